"""One retraining from data to verdict; it may be killed anywhere and goes on where it was.

Each step leaves its result in the run folder: a second start of the same run finds the data pulled,
the training at its last checkpoint, and a finished challenger in the store.
"""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sam_backend.datasets.image_files import path_named
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.files import replacing
from sam_backend.json_form import as_json
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.metrics.gate import GateDecision
from sam_backend.progress import Progress
from sam_backend.projects.dataset import PullProgress, pull_project
from sam_backend.projects.project import model_of_project, open_project, uid_of_project
from sam_backend.retraining import model_card
from sam_backend.retraining.folders import TRAINING_FOLDER, WEIGHTS_NAME
from sam_backend.retraining.gate_evaluation import GATE_NAME, SHEET_NAME, ValidationScore, compare
from sam_backend.retraining.learned import MANIFEST_NAME, learned_by
from sam_backend.retraining.request import RetrainingRequest, chosen_parent
from sam_backend.retraining.result import RetrainingResult
from sam_backend.retraining.splits import GroundTruth, Splits, divide
from sam_backend.sam.checkpoints import choose_device, load
from sam_backend.settings import Settings
from sam_backend.store.cards import ModelCard
from sam_backend.store.checkpoint_folders import VersionTakenError
from sam_backend.store.database import open_database
from sam_backend.store.gold import Gold
from sam_backend.store.job_handling import IsStopped, Report, StoppedError
from sam_backend.store.learned_images import LEARNED_NAME, LearnedImages
from sam_backend.store.models import ModelEntry, ModelStore
from sam_backend.store.project_models import ProjectModel, ProjectModels
from sam_backend.training.loop import Ending
from sam_backend.training.metrics import METRICS_NAME
from sam_backend.training.plan import retraining_plan
from sam_backend.training.retraining import CURVES_NAME, Retrained, retrain
from sam_backend.training.run_config import OtherRunError
from sam_backend.training.weights import save_weights

log = logging.getLogger(__name__)

_PARENT_NAME = "parent.txt"
_PROJECT_NAME = "project.txt"


class RetrainingRun:
    """Everything between a request and its outcome.

    Args:
        request: What is asked.
        folder: Folder of this run alone (`folders.held`); its name names the run.
        settings: Device, limits of images, folder of data, and which model is served.
        store: Champion and challengers.
        report: Takes the state of the work as JSON: `stage`, `done`, `of` and what is known.
        is_stopped: True ends the run with what it has.
        now: The clock, UTC.
    """

    def __init__(
        self,
        request: RetrainingRequest,
        folder: Path,
        settings: Settings,
        store: ModelStore,
        report: Report,
        is_stopped: IsStopped,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._request = request
        self._run_id = folder.name
        self._folder = folder
        self._settings = settings
        self._store = store
        self._report = report
        self._is_stopped = is_stopped
        self._now = now
        self._device = choose_device(settings.device)

    def run(self) -> RetrainingResult:
        """Train, compare, promote or keep; return the outcome.

        Raises:
            StoppedError: Told to stop; the folder holds what is done so far.
            SamBackendError: It cannot be done; the message says why.
        """
        challenger = self._finished()
        if challenger is None:
            parent = self._parent()
            learned = learned_by(parent.version, self._store, self._folder.parent)
            data = self._data()
            try:
                splits = divide(data, self._truth(), learned)
            except InvalidInputError as error:
                lines = data.skipped.lines()
                told = f". Left out of the data: {'; '.join(lines)}" if lines else ""
                raise InvalidInputError(f"{error}{told}") from None
            challenger = self._train_and_judge(parent, data, splits, learned)
        return self._promote(challenger)

    def _finished(self) -> ModelEntry | None:
        """The challenger that this run has brought into the store before it was killed."""
        for entry in self._store.list():
            if entry.card.run.get("id") == self._run_id:
                return entry
        return None

    def _parent(self) -> ModelEntry:
        """The checkpoint to start from and to beat, the same after a restart.

        Raises:
            ModelStoreError: It is not in the store, or of a family that cannot be retrained.
        """
        note = self._folder / _PARENT_NAME
        if note.is_file():
            return self._store.get(note.read_text().strip())
        request = self._request
        uid, own = self._own_model()
        if own is not None and not request.parent:
            request = request.model_copy(update={"parent": own.required().version})
        parent = chosen_parent(request, self._store, self._settings.model)
        if own is not None:
            self._write(_PROJECT_NAME, f"{uid} {own.name}")
        self._write(_PARENT_NAME, parent.version)  # last: it says that all is known
        return parent

    def _own_model(self) -> tuple[str, ProjectModel | None]:
        """The project whose masks are learned from, and the model that it names, if it does."""
        if self._request.project is None:
            return "", None
        uid = uid_of_project(self._settings, self._request.project)
        return uid, model_of_project(self._settings, uid)

    def _write(self, name: str, text: str) -> None:
        with replacing(self._folder / name) as unfinished:
            unfinished.write_text(text + "\n")

    def _data(self) -> Dataset:
        """The masks to learn from; pulled once a run, so that a restart sees the same."""
        manifest = self._folder / MANIFEST_NAME
        if manifest.is_file():
            return read_manifest(manifest)
        if self._request.project is None:
            images = self._request.images
            data = read_dataset(
                path_named(str(self._request.data)), path_named(images) if images else None
            )
        else:
            data = self._pull(self._request.project)
        write_manifest(data, manifest)
        return data

    def _pull(self, number: int) -> Dataset:
        def tell(progress: PullProgress) -> None:
            self._check_stopped()
            self._report(
                Progress("pulling", progress.tasks, progress.of_tasks, masks=progress.masks)
            )

        with open_project(self._settings, number) as project:
            return pull_project(project, observe=tell)

    def _truth(self) -> GroundTruth:
        """What was ordered to judge on, and our own gold."""
        database = open_database(self._settings)
        try:
            gold = Gold(database).images(with_excluded=True)
        finally:
            database.close()
        used = tuple(image.labelled for image in gold if image.excluded is None)
        named = self._request.gold
        return GroundTruth(
            named=None if named is None else read_dataset(path_named(named)),
            stored=Dataset("gold", used),
            reserved=frozenset(image.digest for image in gold),
        )

    def _train_and_judge(
        self, parent: ModelEntry, data: Dataset, splits: Splits, learned: LearnedImages
    ) -> ModelEntry:
        trained = self._train(parent, splits)
        weights = self._folder / WEIGHTS_NAME
        save_weights(trained.sam, weights)
        # What was written is judged, in half precision: it is what would be served.
        verdict = compare(
            load(parent.folder, self._device).sam,
            load(weights, self._device).sam,
            splits.gate,
            self._folder,
            self._request.seed,
            self._tell_judging,
            _left_out(splits, parent.version),
        )
        listed = self._folder / LEARNED_NAME
        used = [image.digest for image in (*splits.train, *splits.validation)]
        learned_from = learned.and_images(used).write(listed)
        left_out = LeftOut(data.skipped)
        if self._request.gold is not None:
            left_out.update(splits.gate.skipped)
        left_out.update(trained.skipped)
        training = self._folder / TRAINING_FOLDER
        files = [self._folder / GATE_NAME, self._folder / SHEET_NAME, listed]
        files += [training / METRICS_NAME, training / CURVES_NAME]
        return self._add(
            parent,
            weights,
            attachments={file.name: file for file in files if file.is_file()},
            name=model_card.name(parent.card.name, data),
            source=f"trained by this project: sam-backend train, run {self._run_id}",
            licence=model_card.licence(parent.card.licence, data.licence),
            training_data=model_card.training_data(parent.card.training_data, data, splits.train),
            parent=parent.version,
            trained_on=self._now().date(),
            automatic=parent.card.automatic,
            prefill=parent.card.prefill,
            challenger=True,
            data_digest=data.digest,
            learned_from=learned_from,
            measured_quality={model_card.gate_name(splits): verdict.challenger.as_card()},
            gate=as_json(verdict.decision),
            run={
                "id": self._run_id,
                "depth": self._request.depth,
                "seed": self._request.seed,
                "steps": trained.steps,
                "best_step": trained.best_step,
                "held_out_by_step": {str(k): round(v, 4) for k, v in trained.judged.items()},
                "skipped": dict(left_out),
                "left_out": left_out.as_json(),
                "images": len(splits.train),
                "masks": splits.train.n_masks,
                "gate_images": len(splits.gate),
                "gate_is_gold": splits.is_gold,
                "gate_left_out": splits.left_out,
            },
        )

    def _add(self, parent: ModelEntry, weights: Path, /, **about: Any) -> ModelEntry:
        while True:
            version = self._store.next_version(parent.version)
            try:
                return self._store.add(weights, version, parent.card.family, **about)
            except VersionTakenError as error:  # another run has just ended
                log.info("%s", error)

    def _train(self, parent: ModelEntry, splits: Splits) -> Retrained:
        try:
            return self._go_on(parent, splits)
        except OtherRunError as error:
            # Stopped on another device, torch or version of ours: halves would not go together.
            log.warning("the training begins anew: %s", error)
            shutil.rmtree(self._folder / TRAINING_FOLDER)
            return self._go_on(parent, splits)

    def _go_on(self, parent: ModelEntry, splits: Splits) -> Retrained:
        request = self._request
        steps = {} if request.steps is None else {"steps": request.steps}
        plan = retraining_plan(request.depth, seed=request.seed, **steps)
        loaded = load(parent.folder, self._device)
        validation = ValidationScore(
            splits.validation, request.depth, request.seed, self._check_stopped
        )
        trained = retrain(
            loaded.sam,
            loaded.family,
            splits.train,
            plan,
            self._folder / TRAINING_FOLDER,
            judge=validation.score,
            observe=self._report,
            stop=self._is_stopped,
        )
        if trained.ending is Ending.STOPPED:
            raise StoppedError(f"stopped at step {trained.steps}")
        return trained

    def _promote(self, challenger: ModelEntry) -> RetrainingResult:
        """Let the gate decide, unless another champion came meanwhile."""
        card, gate = challenger.card, GateDecision.of(challenger.card.gate)
        reasons = list(gate.reasons)
        # Before a restart, perhaps; what a person has decided since stands.
        own, history = self._project(), self._store.history()
        if own is not None:
            history = ProjectModels(self._store).history(own[0])
        promoted = any(one.by == self._run_id for one in history)
        if not promoted and gate.promote:
            if not self._request.promote:
                reasons.append("not promoted: only training was asked for")
            else:
                try:
                    self._make_champion(card, " ".join(reasons), own)
                    promoted = True
                except ModelStoreError as error:
                    reasons.append(f"not promoted: {error}")
        log.info("%s is %s", card.version, "the champion" if promoted else "kept, not served")
        return RetrainingResult(
            version=card.version,
            parent=card.parent,
            promoted=promoted,
            reasons=tuple(reasons),
            comparisons=gate.comparisons,
            folder=str(challenger.folder),
            left_out=LeftOut.from_json(card.run.get("left_out")),
        )

    def _project(self) -> tuple[str, str] | None:
        """The project whose own champion was to be beaten, and the model that it named then."""
        note = self._folder / _PROJECT_NAME
        if not note.is_file():
            return None
        uid, _, named = note.read_text().strip().partition(" ")
        return uid, named

    def _make_champion(self, card: ModelCard, reason: str, own: tuple[str, str] | None) -> None:
        """Promote for the project alone if it names a model, else for all that name none.

        Raises:
            ModelStoreError: Another champion came meanwhile, or the project names another model.
        """
        if own is None:
            self._store.promote(
                card.version,
                reason,
                self._run_id,
                replacing=card.parent,
                family=self._served_family(),
            )
            return
        uid, named = own
        ProjectModels(self._store).promote(
            uid,
            card.version,
            reason,
            self._run_id,
            extra=Connections.of(self._settings).model_of(uid),
            replacing=card.parent,
            named=named,
        )

    def _served_family(self) -> str | None:
        """The family whose champion the settings serve.

        None where that is the champion of all, or a version is pinned: what was compared with a
        pinned version only must not replace a champion that it never met.
        """
        model = self._settings.model
        is_pinned = any(entry.version == model for entry in self._store.list())
        return None if is_pinned else model

    def _tell_judging(self, who: str, done: int, of: int) -> None:
        self._check_stopped()
        self._report(Progress(f"judging {who}", done, of))

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise StoppedError("stopped before the training ended")


def _left_out(splits: Splits, parent: str) -> tuple[str, ...]:
    """Sentences for the gate's reasons: how many images of ground truth could not judge."""
    if not splits.left_out:
        return ()
    return (
        f"Left out of the judging: {splits.left_out} images of ground truth that {parent}, or a "
        "version that it comes from, has learned from.",
    )
