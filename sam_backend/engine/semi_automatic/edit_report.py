"""What people did after prefilling: the figures that say whether stage 2 pays."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.annotations import AcceptedAnnotation, annotated_tasks
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.drawn_masks import drawn_masks
from sam_backend.labelstudio.predictions import prediction
from sam_backend.labelstudio.regions import Region
from sam_backend.quality.prefill_edits import Edits, compare


@dataclass(frozen=True, slots=True)
class EditReport:
    """Figures of a project's annotations that were made from predictions.

    Attributes:
        annotations: So many.
        without_prediction: Annotations that began with nothing: not in the figures.
        edits: Summed over the annotations.
        lead_time_s: Time that people spent on them, as Label Studio's editor measured it.
        unread: Masks that could not be compared, by reason.
    """

    annotations: int
    without_prediction: int
    edits: Edits
    lead_time_s: float
    unread: dict[str, int]

    @property
    def new_masks_an_image(self) -> float | None:
        """Masks that people added after prefilling; None without annotations."""
        return self.edits.added / self.annotations if self.annotations else None

    @property
    def seconds_an_added_mask(self) -> float | None:
        """All lead time over what was added: an upper bound, for looking, mending and rejecting
        take their part of it; None where nothing was added.
        """
        return self.lead_time_s / self.edits.added if self.edits.added else None

    @property
    def edits_a_prefilled_mask(self) -> float | None:
        """Share of the prefilled masks that people changed or rejected; None without any."""
        predicted = self.edits.predicted
        return (self.edits.edited + self.edits.rejected) / predicted if predicted else None

    def as_json(self) -> dict[str, Any]:
        """All figures by name."""
        return {
            "annotations": self.annotations,
            "annotations without a prediction": self.without_prediction,
            **asdict(self.edits),
            "lead_time_s": self.lead_time_s,
            "new masks an image": self.new_masks_an_image,
            "seconds an added mask, at most": self.seconds_an_added_mask,
            "edits a prefilled mask": self.edits_a_prefilled_mask,
            "unread": self.unread,
        }


def edit_report(
    client: LabelStudioClient,
    project_id: int,
    observe: Callable[[int], None] = lambda annotations: None,
) -> EditReport:
    """Compare every annotation of a project with the prediction that it was made from.

    Args:
        client: Of the project's Label Studio.
        project_id: The project.
        observe: Told how many annotations have been compared.

    Raises:
        LabelStudioError: A call fails.
    """
    unread: Counter[str] = Counter()
    edits, n_compared, n_without, lead_time_s = Edits(), 0, 0, 0.0
    for task in annotated_tasks(client, project_id):
        for annotation in task.annotations:
            begun_with = _begun_with(client, annotation)
            if begun_with is None:
                n_without += 1
                continue
            edits += _compared(begun_with, annotation, unread)
            n_compared += 1
            lead_time_s += annotation.lead_time_s or 0.0
            observe(n_compared)
    return EditReport(n_compared, n_without, edits, lead_time_s, dict(unread))


def _begun_with(
    client: LabelStudioClient, annotation: AcceptedAnnotation
) -> Sequence[Region] | None:
    if annotation.parent_prediction is None:
        return None
    found = prediction(client, annotation.parent_prediction)
    return None if found is None else found["result"]


def _compared(
    begun_with: Sequence[Region], annotation: AcceptedAnnotation, unread: Counter[str]
) -> Edits:
    """Image by image: masks of different images have nothing in common."""
    before = drawn_masks(begun_with, None, unread)
    after = drawn_masks(annotation.result, annotation.annotator, unread)
    edits = Edits()
    for name in {one.image_name for one in (*before, *after)}:
        try:
            edits += compare(
                [one.mask for one in before if one.image_name == name],
                [one.mask for one in after if one.image_name == name],
            )
        except InvalidInputError:
            unread["masks of different sizes"] += 1
    return edits
