"""Reports made by hand and by chance."""

import numpy as np

from sam_backend.metrics.interactive import InteractiveReport
from sam_backend.metrics.results import MaskResult


def result(
    image: str,
    mask: str,
    one: float,
    *,
    three: float | None = None,
    box: float | None = None,
    predicted: float | None = None,
) -> MaskResult:
    """A mask of which everything follows from the first IoU, unless it is given."""
    three = min(1.0, one + 0.1) if three is None else three
    box = one if box is None else box
    return MaskResult(
        image=image,
        mask=mask,
        ious=(one, (one + three) / 2, three, *np.linspace(three, 1, 17)),
        best_iou=one,
        box_iou=box,
        one_click_boundary_iou=one / 2,
        three_click_boundary_iou=three / 2,
        box_boundary_iou=box / 2,
        predicted_iou=one if predicted is None else predicted,
    )


def chance_reports(
    rng: np.random.Generator, n_images: int, gain: float
) -> tuple[InteractiveReport, InteractiveReport]:
    """Two models on the same masks; the second one's true IoU is higher by `gain`.

    Images differ in difficulty, masks within an image less so, and each model errs by itself.
    """
    before, after = [], []
    for image in range(n_images):
        difficulty = rng.normal(0, 0.12)
        for mask in range(int(rng.integers(1, 9))):
            level = 0.6 + difficulty + rng.normal(0, 0.1)
            for results, shift in ((before, 0.0), (after, gain)):
                one, box, predicted = np.clip(level + shift + rng.normal(0, 0.06, 3), 0, 1)
                results.append(
                    result(str(image), f"{image} {mask}", one, box=box, predicted=predicted)
                )
    return InteractiveReport(tuple(before)), InteractiveReport(tuple(after))
