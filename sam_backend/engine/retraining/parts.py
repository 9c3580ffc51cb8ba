"""What of the data is learned from, what steers the training, and what the gate judges on."""

from dataclasses import dataclass, replace

from sam_backend.datasets.split import split
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.quality.gate import MIN_IMAGES

GATE_SHARE = 0.2
STEERING_SHARE = 0.1
MIN_STEERING = 2
MIN_TRAIN = 3
_GATE_SEED, _STEERING_SEED = 0, 1


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Three sets without a common image.

    Attributes:
        train: Learned from.
        steering: Tells when to stop; the best step is chosen on it, so it cannot judge.
        gate: Judges champion and challenger: gold masks, else a held-out part.
        is_gold: Whether the gate's masks are gold.
    """

    train: Dataset
    steering: Dataset
    gate: Dataset
    is_gold: bool


def divide(data: Dataset, gold: Dataset | None = None) -> Parts:
    """Divide by image; an image keeps its part while the set grows.

    What an image is for follows from its digest alone, the same for every training: else a later
    one would judge on images that its champion has learned from.

    Args:
        data: The whole. Its own gold masks are the gate's, if they lie on enough images and leave
            enough others to learn from.
        gold: Judge on these instead.

    Raises:
        InvalidInputError: There are too few images for three parts; says how many it takes.
    """
    data = data.by_content()  # drawn as often as others, and a single witness
    gold = _gold_of(data) if gold is None else gold.by_content()
    if gold is None:
        first = split(data, GATE_SHARE, _GATE_SEED, MIN_IMAGES)
        rest, gate = first.train, first.held_out
    else:
        rest, gate = _without(data, gold), gold
    learned_from = len(rest)
    if learned_from < MIN_TRAIN + MIN_STEERING or len(gate) < MIN_IMAGES:
        raise InvalidInputError(
            f"a retraining needs masks on {MIN_TRAIN + MIN_STEERING} images to learn from and "
            f"{MIN_IMAGES} {'gold' if gold is not None else 'others'} to judge on, not "
            f"{learned_from} and {len(gate)}"
        )
    second = split(rest, STEERING_SHARE, _STEERING_SEED, MIN_STEERING)
    return Parts(second.train, second.held_out, gate, gold is not None)


def _gold_of(data: Dataset) -> Dataset | None:
    """The masks of the data that are marked as gold; None if one cannot judge on them."""
    marked = [(image, tuple(m for m in image.masks if m.is_gold)) for image in data]
    images = tuple(replace(image, masks=masks) for image, masks in marked if masks)
    gold = replace(data, name=f"{data.name} (gold)", images=images, skipped={})
    leaves_enough = len(_without(data, gold)) >= MIN_TRAIN + MIN_STEERING
    return gold if len(gold) >= MIN_IMAGES and leaves_enough else None


def _without(data: Dataset, other: Dataset) -> Dataset:
    digests = {image.digest for image in other}
    return replace(data, images=tuple(i for i in data if i.digest not in digests))
