"""The training loop: step, average, judge, write down, remember."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from sam_backend.progress import Progress
from sam_backend.sam.reference import Sam
from sam_backend.training import metrics
from sam_backend.training.plan import TrainingPlan
from sam_backend.training.resolution import set_input_size
from sam_backend.training.sources import Source
from sam_backend.training.state import TrainingState
from sam_backend.training.steps import training_step

CHECKPOINT_NAME = "checkpoint.pt"
BEST_NAME = "best.pt"

Judge = Callable[[Sam], float]
Observe = Callable[[Progress], None]


class Ending(StrEnum):
    """Why a training ended."""

    SPENT = "spent"
    """The budget is spent."""
    EARLY = "early"
    """The held-out score stopped rising."""
    STOPPED = "stopped"
    """It was asked to stop; it can go on from its checkpoint."""


def _unobserved(progress: Progress) -> None:
    """Nobody watches."""


def _never() -> bool:
    return False


class Training:
    """One training and those who follow it.

    Args:
        state: Fresh or loaded from a checkpoint.
        source: Where examples come from.
        plan: Budget, phases and optimiser.
        folder: Gets the checkpoint, the best weights and the metrics, one JSON object a line.
        clock: Seconds, such as `time.monotonic`.
        judge: Held-out score of a network, higher is better; it must not change the network.
            With it, `BEST_NAME` holds the best averaged weights.
        observe: Told of the progress after each step.
        stop: Asked before each step; true ends the training with a checkpoint.
        checkpoint_every_s: Time between two checkpoints.
        metrics_every: Steps between two lines of metrics.
    """

    def __init__(
        self,
        state: TrainingState,
        source: Source,
        plan: TrainingPlan,
        folder: Path,
        clock: Callable[[], float],
        judge: Judge | None = None,
        observe: Observe = _unobserved,
        stop: Callable[[], bool] = _never,
        checkpoint_every_s: float = 60.0,
        metrics_every: int = 10,
    ) -> None:
        self._state, self._source, self._plan = state, source, plan
        self._folder, self._clock = folder, clock
        self._judge, self._observe, self._stop = judge, observe, stop
        self._checkpoint_every_s, self._metrics_every = checkpoint_every_s, metrics_every
        self._own_size: int = state.sam.image_encoder.img_size
        self._report: metrics.StepMetrics | None = None

    def run(self) -> Ending:
        """Train to the end; the network keeps its last weights, `state.averaged` the average."""
        state, clock = self._state, self._clock
        self._folder.mkdir(parents=True, exist_ok=True)
        metrics.forget_after(self._folder / metrics.METRICS_NAME, state.step)
        state.sam.train()
        started, before = clock(), state.elapsed_s
        saved = started
        while (ending := self._ending()) is None:
            self._take_step()
            state.elapsed_s = before + clock() - started
            self._report = metrics.mean(state.recent)
            self._tell("training")
            if state.step % self._metrics_every == 0:
                self._write_metrics(self._report)
            if clock() - saved >= self._checkpoint_every_s:
                self._save()
                saved = clock()
        set_input_size(state.sam, self._own_size)
        state.sam.eval()
        self._save()
        return ending

    def _ending(self) -> Ending | None:
        """Why to end now, if so; the held-out score is taken where it is due."""
        plan, state = self._plan, self._state
        is_spent = plan.progress(state.step, state.elapsed_s) >= 1.0
        is_due = is_spent or state.step % plan.judge_every == 0
        if self._judge is not None and is_due and state.step not in state.held_out:
            self._take_score(self._judge)
        if is_spent:
            return Ending.SPENT
        best = state.best_step
        if plan.patience is not None and best is not None:
            looks_since = sum(step > best for step in state.held_out)
            if looks_since >= plan.patience:
                return Ending.EARLY
        return Ending.STOPPED if self._stop() else None

    def _take_step(self) -> None:
        plan, state = self._plan, self._state
        progress = plan.progress(state.step, state.elapsed_s)
        phase = plan.phase(progress)
        set_input_size(state.sam, phase.size or self._own_size)
        for group in state.optimizer.param_groups:
            group["lr"] = plan.rate(state.step, progress)
        state.recent.append(training_step(state, self._source.batch(state.step, phase), plan))
        state.step += 1
        state.average(plan.ema_decay)

    def _take_score(self, judge: Judge) -> None:
        """Judge the averaged weights; keep them if they are the best so far."""
        state = self._state
        self._tell("judging")
        set_input_size(state.sam, self._own_size)
        with state.averaged_network() as sam:
            score = float(judge(sam))
        state.held_out[state.step] = score
        if state.best_step == state.step:
            state.save_best(self._folder / BEST_NAME)
        line = {"step": state.step, "elapsed_s": round(state.elapsed_s), "held_out": score}
        metrics.append(self._folder / metrics.METRICS_NAME, line)
        self._save()
        self._tell("judging")

    def _write_metrics(self, report: metrics.StepMetrics) -> None:
        plan, state = self._plan, self._state
        progress = plan.progress(state.step, state.elapsed_s)
        state.recent.clear()
        line = {
            "step": state.step,
            "elapsed_s": round(state.elapsed_s),
            "size": state.sam.image_encoder.img_size,
            "rate": plan.rate(state.step - 1, progress),
        }
        metrics.append(self._folder / metrics.METRICS_NAME, line, report)

    def _tell(self, stage: str) -> None:
        plan, state, report = self._plan, self._state, self._report
        progress = plan.progress(state.step, state.elapsed_s)
        left_s = state.elapsed_s * (1 - progress) / progress if progress else None
        self._observe(
            Progress(
                stage=stage,
                done=state.step,
                of=plan.steps,
                elapsed_s=state.elapsed_s,
                eta_s=left_s,
                loss=report.loss if report else None,
                click_iou=report.click_iou if report else None,
                box_iou=report.box_iou if report else None,
                last_iou=report.last_iou if report else None,
                held_out=state.held_out[max(state.held_out)] if state.held_out else None,
            )
        )

    def _save(self) -> None:
        self._state.save(self._folder / CHECKPOINT_NAME)
