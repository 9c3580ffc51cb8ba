"""Which images of a lot people look at: drawn by image, by stratum, with known probabilities."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.sources import name_of
from sam_backend.metrics.diversity import k_center, nearest, quotas

N_KINDS = 8
_COLUMNS = ["uri", "digest", "reason", "features", "masks.list.element.predicted_iou"]
# k-center looks at every image for every kind; of more images than this it looks at some.
_MOST_LOOKED_AT = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class LotImage:
    """What sampling needs to know of an image.

    Attributes:
        digest: Digest of the image.
        folder: Where it lies within its source.
        n_masks: So many.
        confidence: Mean predicted IoU of them; 0 without.
        features: Mean of the encoder's output, shape (C,).
    """

    digest: str
    folder: str
    n_masks: int
    confidence: float
    features: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SampledImage:
    """An image that was drawn.

    Attributes:
        digest: Digest of the image.
        stratum: From which it was drawn.
        probability: That it was drawn, as the number of images drawn from its stratum tells.
        decides: It belongs to the simple random sample of the whole lot, which the verdict counts;
            the others were added so that each stratum is seen, and count for the figures only.
    """

    digest: str
    stratum: str
    probability: float
    decides: bool


def lot_images(run: BulkRun) -> list[LotImage]:
    """All images of a finished run that could be read.

    Raises:
        InvalidInputError: The run is not finished, or a shard is damaged.
    """
    found = []
    for shard in run.shards():
        for row in run.rows(shard, _COLUMNS):
            if row["reason"] is None:
                scores = [mask["predicted_iou"] for mask in row["masks"]]
                name = PurePosixPath(name_of(row["uri"], run.manifest.root))
                found.append(
                    LotImage(
                        digest=row["digest"],
                        folder=str(name.parent),
                        n_masks=len(scores),
                        confidence=float(np.mean(scores)) if scores else 0.0,
                        features=np.array(row["features"], np.float32),
                    )
                )
    return found


def _by_folder(images: Sequence[LotImage], seed: int) -> list[str]:
    return [image.folder for image in images]


def _by_masks(images: Sequence[LotImage], seed: int) -> list[str]:
    return _quarters([image.n_masks for image in images], "masks")


def _by_confidence(images: Sequence[LotImage], seed: int) -> list[str]:
    return _quarters([image.confidence for image in images], "confidence")


def _by_kind(images: Sequence[LotImage], seed: int) -> list[str]:
    features = np.stack([image.features for image in images])
    rng = np.random.default_rng(seed)
    looked_at = features
    if len(features) > _MOST_LOOKED_AT:
        looked_at = features[rng.choice(len(features), _MOST_LOOKED_AT, replace=False)]
    centres = looked_at[k_center(looked_at, N_KINDS, seed)]
    return [f"kind {kind}" for kind in nearest(features, centres)]


STRATA: dict[str, Callable[[Sequence[LotImage], int], list[str]]] = {
    "folder": _by_folder,
    "masks": _by_masks,
    "confidence": _by_confidence,
    "kind": _by_kind,
}
"""Ways to tell images apart, by the name of the option."""


def draw(
    images: Sequence[LotImage],
    size: int,
    by: Sequence[str] = (),
    seed: int = 0,
    already: Collection[str] = (),
) -> list[SampledImage]:
    """Draw images without replacement.

    First a simple random sample of the whole lot, whatever the strata: it alone decides, so that
    the promise of the plan does not depend on how the strata differ. Then what the strata lack:
    one image at the least, and by kind as many as of the others, as far as it has images. An
    image's weight is the inverse of its probability, so that estimates of the whole lot stay
    unbiased. A larger sample of one seed holds the smaller one, if `already` tells of it.

    Args:
        images: Images of the lot.
        size: Images that decide; all if there are fewer.
        by: Names in `STRATA`; several are crossed.
        seed: Seed of the draw.
        already: Digests of a smaller sample of the same seed and strata; they are drawn again.

    Raises:
        InvalidInputError: A name is unknown, there is no image, or there are more strata than
            `size`.
    """
    if unknown := [name for name in by if name not in STRATA]:
        raise InvalidInputError(
            f"there is no stratum {', '.join(unknown)} (there are: {', '.join(STRATA)})"
        )
    if size < 1 or not images:
        raise InvalidInputError(f"a sample of {size} images of {len(images)} cannot be drawn")
    columns = [STRATA[name](images, seed) for name in by]
    labels = [" / ".join(parts) for parts in zip(*columns, strict=True)] or ["all"] * len(images)
    names, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if size < len(names):
        raise InvalidInputError(
            f"a sample of {size} images leaves out some of {len(names)} strata by {', '.join(by)}"
        )
    least = quotas(sizes, size) if "kind" in by else np.ones_like(sizes)
    order = np.random.default_rng(seed).permutation(len(images))
    deciding, known = set(order[:size].tolist()), frozenset(already)
    drawn: list[SampledImage] = []
    for stratum, (name, n_all) in enumerate(zip(names, sizes, strict=True)):
        inside = order[index[order] == stratum]
        n_known = sum(images[i].digest in known for i in inside)
        n = max(int(least[stratum]), sum(int(i) in deciding for i in inside), n_known)
        drawn += [
            SampledImage(images[i].digest, str(name), float(n / n_all), int(i) in deciding)
            for i in inside[:n]
        ]
    return drawn


def _quarters(values: Sequence[float], what: str) -> list[str]:
    edges = np.quantile(values, [0.25, 0.5, 0.75])
    quarters = np.searchsorted(edges, values, side="left")
    return [f"{what} {('lowest', 'low', 'high', 'highest')[quarter]}" for quarter in quarters]
