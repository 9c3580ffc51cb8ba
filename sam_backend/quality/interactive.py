"""How good the masks are that an annotator gets, from one click to twenty, and for a box."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, encode
from sam_backend.masks.types import Mask
from sam_backend.quality.clicks import Predictor, annotate
from sam_backend.quality.figures import (
    BOX_MIOU,
    CALIBRATION_ERROR,
    ORACLE_MIOU,
    THREE_CLICK_BOUNDARY,
    Figure,
    figures,
    miou,
    noc,
)
from sam_backend.quality.results import MaskResult

MAX_CLICKS = 20
"""The usual limit of NoC (RITM, arXiv 2102.06583)."""
PIXELS_AT_ONCE = 64_000_000
"""Of full-size candidate masks that are held together; small enough for any machine."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image and the masks to be found on it.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        masks: Each bool, shape (H, W), or its run lengths; none of them empty.
        name: Names the image within its set; empty: it gets its number.
    """

    image: npt.NDArray[np.uint8]
    masks: Collection[Mask | RLE] | npt.NDArray[np.bool_]
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
    results: list[MaskResult] = []
    for number, sample in enumerate(samples):
        results += _results(predictor, replace(sample, name=sample.name or str(number)), max_clicks)
    return InteractiveReport(tuple(results), max_clicks)


def _results(predictor: Predictor, sample: Sample, max_clicks: int) -> list[MaskResult]:
    masks = [mask if isinstance(mask, RLE) else encode(mask) for mask in sample.masks]
    if any(mask.area_px == 0 for mask in masks):
        raise InvalidInputError(f"image {sample.name!r}: a mask to be found must not be empty")
    height, width = sample.image.shape[:2]
    at_once = max(1, PIXELS_AT_ONCE // (3 * height * width))
    embedding = predictor.embed(sample.image)
    return [
        result
        for start in range(0, len(masks), at_once)
        for result in annotate(
            predictor, embedding, sample.name, masks[start : start + at_once], max_clicks
        )
    ]
