"""How often each image and each of its masks is drawn."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledImage

RARE_BELOW = 0.1
"""Labels on a smaller share of the images are drawn more often than they occur. LVIS takes 0.001 of
its hundred thousand images; among hundreds, that would be no image at all."""


def image_weights(images: Sequence[LabelledImage]) -> npt.NDArray[np.float64]:
    """How often to draw each image, shape (N,), summing to 1: balanced by class.

    The repeat factor of LVIS (arXiv 1908.03195, appendix B.2): for a label on a share f of the
    images it is max(1, sqrt(t / f)), for an image the largest of its labels'. Masks without a label
    count as one label.
    """
    labels = [{mask.label for mask in image.masks} for image in images]
    n_images = Counter(label for of_image in labels for label in of_image)
    factor = {
        label: max(1.0, (RARE_BELOW * len(images) / n) ** 0.5) for label, n in n_images.items()
    }
    weights = np.array([max(factor[label] for label in of_image) for of_image in labels])
    shares: npt.NDArray[np.float64] = weights / weights.sum()
    return shares


def draw_targets(
    area: npt.NDArray[np.floating], n_targets: int, rng: np.random.Generator
) -> npt.NDArray[np.intp]:
    """Indexes of `n_targets` masks, the likelier the larger the root of their `area`, shape (N,).

    Each is drawn once before any is drawn twice.
    """
    weight = np.sqrt(area)
    n_distinct = min(n_targets, len(area))
    chosen = rng.choice(len(area), n_distinct, replace=False, p=weight / weight.sum())
    if n_distinct < n_targets:
        chosen = np.concatenate([chosen, rng.choice(chosen, n_targets - n_distinct)])
    return chosen
