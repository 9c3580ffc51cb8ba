"""Images of a bulk run as Label Studio's tasks, with their masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sam_backend.errors import InvalidInputError, LabelConfigError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.file_names import file_name_of
from sam_backend.labelstudio.regions.region import Region
from sam_backend.projects.images import SOURCE_NAME
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.regions import RegionWriter
from sam_backend.semi_automatic.triage import (
    Bar,
    Judged,
    Outcome,
    confidence_of,
    proven_triage,
)
from sam_backend.store.shards import ImageMasks

RUN, DIGEST, MASKS = "sam_run", "sam_digest", "sam_masks"
"""Fields of a task's data: run and digest are the key that keeps a task from being made twice."""

HIDDEN_MASK = "mask that its task does not show (over --max-masks, or not proven)"

MAX_MASKS = 100

_NO_BAR = Bar(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """How masks are shown.

    Attributes:
        as_: What they are to Label Studio: `predictions` or `annotations`.
        max_masks: Most masks of one task, the surest: more would freeze Label Studio's editor
            (its issue 4940).
        output: The kind of tag that shows them; see `PrefillSettings.output`.
        label: Label of every mask; None: the first label of that tag.
        calibrated: The calibrated model version of the masks, whose probabilities are their scores;
            None: the predicted IoU is.
        proven: Only masks that are accepted by proof, and
        audit_share: of the others so many, drawn at random, so that the proof can be renewed.

    Raises:
        InvalidInputError: A value is out of its range, or nothing is proven.
    """

    as_: str = "predictions"
    max_masks: int = MAX_MASKS
    output: str = "auto"
    label: str | None = None
    calibrated: CalibratedModel | None = None
    proven: bool = False
    audit_share: float = 0.02

    def __post_init__(self) -> None:
        if self.proven and (self.calibrated is None or self.calibrated.accept is None):
            told = "nothing is known of this model version: `sam-backend quality calibrate`"
            raise InvalidInputError(
                told if self.calibrated is None else self.calibrated.explain_accept()
            )
        if self.as_ not in ("predictions", "annotations"):
            raise InvalidInputError(f"masks become predictions or annotations, not {self.as_!r}")
        if self.max_masks < 1:
            raise InvalidInputError(f"max_masks must be at least 1, not {self.max_masks}")


class TaskWriter:
    """Writes the tasks of one run for one project.

    Args:
        config: The project's, with one image.
        run_id: Run id of the run.
        options: How masks are shown.

    Raises:
        LabelConfigError: The config has several images, cannot show masks, or lacks the label.
    """

    def __init__(self, config: LabelConfig, run_id: str, options: TaskOptions) -> None:
        if len(config.images) != 1 or config.images[0].key is None:
            told = ", ".join(image.value for image in config.images)
            raise LabelConfigError(
                f"a bulk run needs one image whose value is one field, such as $image, not {told}"
            )
        self._key = config.images[0].key
        self._run_id = run_id
        self._options = options
        shown = PrefillSettings(output=options.output, label=options.label, min_area_px=0)
        self._writer = RegionWriter(config, config.images[0], shown)

    @property
    def makes_predictions(self) -> bool:
        """Whether masks become predictions."""
        return self._options.as_ == "predictions"

    def task(self, image: ImageMasks, address: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """A task as Label Studio's import takes it.

        Args:
            image: With its masks.
            address: Address of the image for Label Studio.
            more: Further fields of the task's data.
        """
        data = {
            self._key: address,
            RUN: self._run_id,
            DIGEST: image.digest,
            SOURCE_NAME: file_name_of(image.uri),
            MASKS: len(image.masks),
            **more,
        }
        if not image.masks:
            return {"data": data}
        if not self.makes_predictions:
            return {"data": data, "annotations": [{"result": self._regions(self._shown(image))}]}
        return {"data": data, "predictions": [self.prediction(image)]}

    def n_hidden(self, image: ImageMasks) -> int:
        """Masks of an image that its task does not show: over the limit, or not proven."""
        return len(image.masks) - len(self._shown(image))

    def prediction(self, image: ImageMasks) -> dict[str, Any]:
        """The masks of an image as Label Studio stores a prediction."""
        shown = self._shown(image)
        total = sum(one.confidence for one in shown)
        return {
            "result": self._regions(shown),
            "score": total / len(shown) if shown else 0.0,
            "model_version": image.model_version,
        }

    def _shown(self, image: ImageMasks) -> list[Judged]:
        return [
            replace(one, outcome=Outcome.ACCEPT)
            for one in surest(self._judged(image.masks), self._options.max_masks)
        ]

    def _judged(self, masks: Sequence[MaskRecord]) -> list[Judged]:
        """The masks that may be shown, as sure as they are."""
        told = self._options
        if not told.proven or told.calibrated is None:
            confidence = confidence_of(told.calibrated)
            return [Judged(mask, confidence(mask), Outcome.ACCEPT) for mask in masks]
        # nobody looks at what is not accepted: there is nothing between
        strict = replace(told.calibrated, discard=told.calibrated.accept)
        judged = proven_triage(masks, strict, _NO_BAR, told.audit_share)
        return [one for one in judged if one.outcome is not Outcome.DISCARD]

    def _regions(self, shown: Sequence[Judged]) -> list[Region]:
        return self._writer.masks(shown)[0]


def surest(masks: Sequence[Judged], limit: int) -> list[Judged]:
    """What chance has drawn, and the masks with the highest confidence, in their order."""
    if len(masks) <= limit:
        return list(masks)
    ranked = sorted(
        range(len(masks)),
        key=lambda index: (
            masks[index].drawn_for is None,
            -masks[index].confidence,
            -masks[index].record.predicted_iou,
        ),
    )
    return [masks[index] for index in sorted(ranked[:limit])]
