"""What an observer of a training is told while it runs."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["embedding", "training", "judging"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands.

    Attributes:
        stage: `embedding`: images go through the encoder once; `training`; `judging`: the held-out
            score is being taken.
        step: Images embedded, or steps done.
        steps: Of how many; None if only the time counts.
        elapsed_s: Time spent in this stage, over all starts.
        eta_s: Time left at the speed so far; None before the first step.
        loss: Mean over the steps since the last report; None outside training.
        click_iou: After a lone click, likewise.
        box_iou: After a lone box, likewise.
        last_iou: After the last click of a session, likewise.
        held_out: The last held-out score; None without one.
    """

    stage: Stage
    step: int
    steps: int | None
    elapsed_s: float
    eta_s: float | None = None
    loss: float | None = None
    click_iou: float | None = None
    box_iou: float | None = None
    last_iou: float | None = None
    held_out: float | None = None

    def as_json(self) -> dict[str, Any]:
        """What is known, as jobs and progress bars tell it: `stage`, `done`, `of` and figures."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        stage, done, of = known.pop("stage"), known.pop("step"), known.pop("steps", None)
        figures = {k: round(v, 4) if isinstance(v, float) else v for k, v in known.items()}
        return {"stage": stage, "done": done, "of": of} | figures
