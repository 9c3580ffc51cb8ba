"""How good the masks are that an annotator gets, from one click to twenty, and for a box."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.combining import subtract
from sam_backend.masks.rle import RLE, encode
from sam_backend.masks.types import Mask
from sam_backend.metrics.clicks import Predictor, Target, annotate
from sam_backend.metrics.figures import (
    BOX_MIOU,
    CALIBRATION_ERROR,
    ORACLE_MIOU,
    THREE_CLICK_BOUNDARY,
    Figure,
    figures,
    miou,
    noc,
)
from sam_backend.metrics.results import MaskResult

MAX_CLICKS = 20
"""The usual limit of NoC (RITM, arXiv 2102.06583)."""
MASKS_AT_ONCE = 32
"""Masks, over as many images, that are clicked side by side. An embedding takes 1 to 8 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image and the masks to be found on it.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        masks: Each bool, shape (H, W), its run lengths, or that of a data set with its void pixels;
            none of them empty, or void as a whole.
        name: Names the image within its set; empty: it gets its number.
    """

    image: npt.NDArray[np.uint8]
    masks: Collection[Mask | RLE | LabelledMask] | npt.NDArray[np.bool_]
    name: str = ""


@dataclass(frozen=True, slots=True)
class InteractiveReport:
    """What the simulated annotators of a data set saw.

    Attributes:
        results: One a mask, at least one.
        max_clicks: That each mask could get.

    Raises:
        InvalidInputError: There is no result.
    """

    results: tuple[MaskResult, ...]
    max_clicks: int = MAX_CLICKS

    def __post_init__(self) -> None:
        if not self.results:
            raise InvalidInputError("a report needs at least one mask, not none")

    def value(self, figure: Figure) -> float:
        """A figure over all masks."""
        return figure.value(self.results, self.max_clicks)

    def miou_at(self, clicks: int) -> float:
        """Mean IoU after so many clicks.

        Raises:
            InvalidInputError: No mask could get so many.
        """
        if not 1 <= clicks <= self.max_clicks:
            raise InvalidInputError(f"clicks must be 1 to {self.max_clicks}, not {clicks}")
        return self.value(miou(clicks))

    def noc(self, target_iou: float) -> float:
        """Mean number of clicks to an IoU; failures count as `max_clicks`."""
        return self.value(noc(target_iou))

    def n_failures(self, target_iou: float) -> int:
        """Masks that never reached an IoU (NoF)."""
        return sum(not r.reaches(target_iou, self.max_clicks) for r in self.results)

    @property
    def oracle_miou(self) -> float:
        """Mean IoU after one click, had the annotators picked the best of the candidates."""
        return self.value(ORACLE_MIOU)

    @property
    def box_miou(self) -> float:
        """Mean IoU for the tight box."""
        return self.value(BOX_MIOU)

    @property
    def boundary_iou(self) -> float:
        """Mean boundary IoU after three clicks."""
        return self.value(THREE_CLICK_BOUNDARY)

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the predicted IoU after one click."""
        return self.value(CALIBRATION_ERROR)

    @property
    def n_masks(self) -> int:
        """Masks asked for."""
        return len(self.results)

    @property
    def n_images(self) -> int:
        """Images that they lie on."""
        return len({result.image for result in self.results})

    def as_card(self) -> dict[str, float]:
        """What a model card says of a data set, rounded to three digits."""
        clicks = [miou(1), ORACLE_MIOU, *([miou(3)] if self.max_clicks >= 3 else []), BOX_MIOU]
        told: dict[str, float] = {figure.name: round(self.value(figure), 3) for figure in clicks}
        return told | {"masks": self.n_masks}

    def as_json(self, with_results: bool = True) -> dict[str, object]:
        """All figures, and the results they are made of."""
        told: dict[str, object] = {
            "masks": self.n_masks,
            "images": self.n_images,
            "max_clicks": self.max_clicks,
            "figures": {figure.name: self.value(figure) for figure in figures(self.max_clicks)},
        }
        return told | ({"results": [asdict(r) for r in self.results]} if with_results else {})


def evaluate(
    predictor: Predictor, samples: Iterable[Sample], max_clicks: int = MAX_CLICKS
) -> InteractiveReport:
    """Let a simulated annotator get every mask of every sample.

    Every mask gets nine clicks unless it is exact before; clicks after the ninth are spent until
    an IoU of 0.90. Where clicks end early the last IoU counts for all later ones.

    Raises:
        InvalidInputError: There is no mask at all, an empty one, or no click allowed.
    """
    if max_clicks < 1:
        raise InvalidInputError(f"max_clicks must be at least 1, not {max_clicks}")
    targets = _targets(predictor, samples)
    results: list[MaskResult] = []
    while together := list(islice(targets, MASKS_AT_ONCE)):
        results += annotate(predictor, together, max_clicks)
    return InteractiveReport(tuple(results), max_clicks)


def labelled(mask: Mask | RLE | LabelledMask) -> LabelledMask:
    """One of a sample's masks, whatever its form, as one of a data set."""
    if isinstance(mask, LabelledMask):
        return mask
    return LabelledMask(mask if isinstance(mask, RLE) else encode(mask))


def _targets(predictor: Predictor, samples: Iterable[Sample]) -> Iterator[Target]:
    for number, sample in enumerate(samples):
        name = sample.name or str(number)
        masks = [labelled(mask) for mask in sample.masks]
        for mask in masks:
            counted = mask.rle if mask.ignore is None else subtract(mask.rle, mask.ignore)
            if counted.area_px == 0:
                raise InvalidInputError(f"image {name!r}: a mask to be found must not be empty")
        if masks:
            embedding = predictor.embed(sample.image)
            yield from (Target(name, embedding, mask) for mask in masks)
