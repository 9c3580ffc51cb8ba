"""One task's prediction: its images fetched, masks proposed and chosen, regions written."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.decoding import decode_image
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import (
    ImageDecodeError,
    ImageFetchError,
    InvalidInputError,
    LabelConfigError,
    NoExemplarError,
)
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ImageTag
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.labelstudio.prompts.task_regions import region_kind
from sam_backend.labelstudio.regions.drawn_masks import DrawnMask, drawn_masks
from sam_backend.labelstudio.regions.region import Region
from sam_backend.masks.rle import RLE
from sam_backend.projects.tasks import task_data, task_id
from sam_backend.sam.device import Priority
from sam_backend.semi_automatic.boxes import region_boxes
from sam_backend.semi_automatic.label_prediction import Classifier
from sam_backend.semi_automatic.prefill import Judgement, Prefiller
from sam_backend.semi_automatic.proposers.base import Subject
from sam_backend.semi_automatic.regions import RegionWriter
from sam_backend.semi_automatic.triage import Outcome
from sam_backend.serving.served_model import ServedModel
from sam_backend.serving.timing import StageClock

log = logging.getLogger(__name__)

COVERAGE, MASKS, REVIEW, GAP, NOTE = (
    f"sam_{name}" for name in ("coverage", "masks", "review", "gap", "note")
)
"""Fields of a task's data: what a Data Manager tab sorts and filters by (those of `meta` fail)."""

OVER_LIMIT = "mask over the limit of max_masks"


@dataclass(frozen=True, slots=True, eq=False)
class PrefillTask:
    """A task to be prefilled.

    Attributes:
        host: Its Label Studio.
        task: Its `id` and `data`.
        submitted: Result items of the annotations that people have submitted.
        drafts: Result items that people have drawn and not submitted.
        predicted: Result items of other models, whose boxes the proposer `existing` takes.
    """

    host: LabelStudioHost
    task: Mapping[str, Any]
    submitted: Sequence[Region] = ()
    drafts: Sequence[Region] = ()
    predicted: Sequence[Region] = ()

    @property
    def drawn(self) -> list[Region]:
        """Result items of people."""
        return [*self.submitted, *self.drafts]


@dataclass(frozen=True, slots=True, eq=False)
class Prefilled:
    """What a task is answered with.

    Attributes:
        regions: Result items.
        score: Score of the prediction, 0 to 1: the task with the lowest needs people most.
        fields: For the task's data.
        judgements: By image tag.
        reason: Why there is nothing; None if all went well.
        left_out: What people have drawn that we cannot read, so that it may be proposed again, and
            masks over the limit.
        asks_again: Another try may go better, so that Label Studio should store nothing: the image
            could not be fetched, or people must draw something first. What is no image will not
            become one.
    """

    regions: tuple[Region, ...] = ()
    score: float = 0.0
    fields: Mapping[str, object] = field(default_factory=dict)
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    reason: str | None = None
    asks_again: bool = False
    left_out: LeftOut = field(default_factory=LeftOut)

    def prediction(self, model_version: str) -> dict[str, Any]:
        """As Label Studio stores it."""
        return {
            "result": list(self.regions),
            "score": self.score,
            "model_version": model_version,
        }


class TaskPrefiller:
    """Prefills the tasks of one project. Safe under threads.

    Args:
        prefiller: Chooses the masks of an image.
        config: Label config of the project.
        resolver: Fetches images.
        max_pixels: Images with more are refused.
        classifier: Names labels; None: the label that is set.

    Raises:
        LabelConfigError: The config cannot show masks, or lacks the label.
    """

    def __init__(
        self,
        prefiller: Prefiller,
        config: LabelConfig,
        resolver: ImageResolver,
        max_pixels: int,
        classifier: Classifier | None = None,
    ) -> None:
        self._prefiller = prefiller
        self._config = config
        self._resolver = resolver
        self._max_pixels = max_pixels
        self._classifier = classifier
        if not config.images:
            left_out = "; ".join(
                f"<{tag.tag}> {tag.name!r}: {tag.reason}" for tag in config.unserved
            )
            raise LabelConfigError(
                f"the label config shows no image that is served ({left_out or 'no <Image>'})"
            )
        self._writers = {
            image.name: RegionWriter(config, image, prefiller.settings) for image in config.images
        }

    @property
    def fingerprint(self) -> str:
        """Tells apart what shapes the predictions but for the model."""
        return self._prefiller.fingerprint

    def check(self) -> None:
        """See whether any task can be prefilled, before a model is loaded.

        Raises:
            SamBackendError: None can; the message says what to do.
        """
        self._prefiller.proposer.check()

    def prefill(self, model: ServedModel, job: PrefillTask, clock: StageClock) -> Prefilled:
        """The masks of one task.

        A task whose image cannot be had or read is answered with the reason.

        Args:
            model: Leased for this task.
            job: The task.
            clock: Gets the stages fetch, encode, propose, filter and regions.

        Raises:
            SamBackendError: Nothing can be prefilled now, such as without a model.
        """
        regions: list[Region] = []
        judgements: dict[str, Judgement] = {}
        notes: list[str] = []
        left_out = LeftOut()
        where = f"task {task_id(job.task)}"
        subjects: dict[str, Subject] = {}
        for image in self._config.images:
            try:
                subjects[image.name] = self._subject(image, job, clock)
            except (InvalidInputError, ImageFetchError, ImageDecodeError) as error:
                is_lasting = isinstance(error, ImageDecodeError)
                return Prefilled(
                    fields=_nothing(str(error)), reason=str(error), asks_again=not is_lasting
                )
        sizes = {name: subject.size for name, subject in subjects.items()}

        def masks(items: Sequence[Region]) -> list[DrawnMask]:
            # Rectangles count by their boxes: see `_drawn_boxes`.
            shapes = [item for item in items if region_kind(item) != "rectangle"]
            return drawn_masks(shapes, None, left_out, where, sizes.get)

        submitted, drafts = masks(job.submitted), masks(job.drafts)
        for image in self._config.images:
            here = tuple(one.mask for one in submitted if one.image_name == image.name)
            subject = replace(subjects[image.name], submitted=here)
            drawn = [one.mask.rle for one in drafts if one.image_name == image.name]
            drawn += [mask.rle for mask in here]
            try:
                judgement = self._judge(model, image, subject, job, drawn, clock)
            except NoExemplarError as error:
                return Prefilled(fields=_nothing(str(error)), reason=str(error), asks_again=True)
            judgements[image.name] = judgement
            notes += self._prefiller.proposer.notes(subject)
            left_out.add(OVER_LIMIT, where, len(judgement.cut))
            with clock.span("regions"):
                regions += self._written(model, image, subject, judgement, notes)
        if notes:
            log.info("task %s: %s", task_id(job.task), "; ".join(notes))
        return Prefilled(
            regions=tuple(regions),
            score=min((one.score for one in judgements.values()), default=0.0),
            fields=_fields(list(judgements.values()), notes),
            judgements=judgements,
            left_out=left_out,
        )

    def _subject(self, image: ImageTag, job: PrefillTask, clock: StageClock) -> Subject:
        address = image.address(task_data(job.task))
        with clock.span("fetch"):
            fetched = self._resolver.fetch(address, job.host, task_id(job.task))
        with clock.span("open"):
            pixels = decode_image(fetched.data, self._max_pixels)
        height, width = pixels.shape[:2]
        boxes = region_boxes([*job.drawn, *job.predicted], image.name, (height, width))
        return Subject(fetched.digest, pixels, boxes.corners, boxes.labels)

    def _judge(
        self,
        model: ServedModel,
        image: ImageTag,
        subject: Subject,
        job: PrefillTask,
        drawn: Sequence[RLE],
        clock: StageClock,
    ) -> Judgement:
        with clock.span("propose"):
            proposed = self._prefiller.propose(model, subject)
        with clock.span("filter"):
            boxes = self._drawn_boxes(image, job, subject.size)
            return self._prefiller.choose(proposed, subject.size, drawn, boxes)

    def _drawn_boxes(
        self, image: ImageTag, job: PrefillTask, size: tuple[int, int]
    ) -> npt.NDArray[np.float64]:
        """The rectangles that stand for an object, shape (N, 4).

        Those of smart-only and prompt tags ask for a mask instead, and so do all where the proposer
        makes masks of them.
        """
        if self._prefiller.settings.proposer == "existing":
            return np.zeros((0, 4))
        asking = {tag.name for tag in self._config.controls if tag.only_asks}
        regions = [item for item in job.drawn if str(item.get("from_name")) not in asking]
        return region_boxes(regions, image.name, size).corners

    def _written(
        self,
        model: ServedModel,
        image: ImageTag,
        subject: Subject,
        judgement: Judgement,
        notes: list[str],
    ) -> list[Region]:
        writer = self._writers[image.name]
        labels = self._labels(model, writer, subject, judgement)
        regions, n_empty = writer.masks(judgement.shown, labels)
        if judgement.cut:
            notes.append(f"{len(judgement.cut)} masks over the limit of max_masks are not shown")
        if n_empty:
            notes.append(f"{n_empty} masks were nothing but specks")
        points = writer.points(judgement.gaps.largest, subject.size)
        return [*regions, *points]

    def _labels(
        self, model: ServedModel, writer: RegionWriter, subject: Subject, judgement: Judgement
    ) -> dict[int, tuple[str, ...]]:
        """Choose the labels that the proposer knows, else those that a classifier is sure of.

        Returns:
            Labels by a mask's index; masks that are not in it keep the label that is set.
        """
        known = set(writer.labels())
        records = [one.record for one in judgement.shown]
        found: dict[int, tuple[str, ...]] = {}
        if self._classifier is not None and records:
            embedding = model.embedding_of(
                subject.digest, lambda: subject.pixels, Priority.BACKGROUND
            )
            masks = [record.rle for record in records]
            predictions = self._classifier.classify(embedding, masks, model.model_version)
            found = {
                index: (prediction.label,)
                for index, prediction in enumerate(predictions)
                if prediction is not None and prediction.label in known
            }
        proposed = self._prefiller.proposer.labels(model, subject, records)
        for index, named in enumerate(proposed):
            labels = tuple(one for one in named if one in known)
            found |= {index: labels} if labels else {}
        return found


def _nothing(reason: str) -> dict[str, object]:
    return {COVERAGE: 0.0, MASKS: 0, REVIEW: 0, GAP: 0.0, NOTE: reason}


def _fields(judgements: Sequence[Judgement], notes: Sequence[str]) -> dict[str, object]:
    """Of all images of a task: shares are those of the neediest one, counts are sums."""
    gaps = [one.gaps.largest[0].share for one in judgements if one.gaps.largest]
    return {
        COVERAGE: round(min((one.gaps.coverage for one in judgements), default=0.0), 4),
        MASKS: sum(one.count(Outcome.ACCEPT) for one in judgements),
        REVIEW: sum(one.count(Outcome.REVIEW) for one in judgements),
        GAP: round(max(gaps, default=0.0), 4),
        NOTE: "; ".join(notes),
    }
