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


def divide(data: Dataset, gold: Dataset | None, seed: int) -> Parts:
    """Divide by image; an image keeps its part while the set grows.

    Raises:
        InvalidInputError: There are too few images for three parts; says how many it takes.
    """
    if gold is None:
        first = split(data, GATE_SHARE, seed, MIN_IMAGES)
        rest, gate = first.train, first.held_out
    else:
        golden = {image.digest for image in gold}
        rest = replace(data, images=tuple(i for i in data if i.digest not in golden))
        gate = gold
    learned_from = len({image.digest for image in rest})
    if learned_from < MIN_TRAIN + MIN_STEERING or len(gate) < MIN_IMAGES:
        raise InvalidInputError(
            f"a retraining needs masks on {MIN_TRAIN + MIN_STEERING} images to learn from and "
            f"{MIN_IMAGES} {'gold' if gold is not None else 'others'} to judge on, not "
            f"{learned_from} and {len(gate)}"
        )
    second = split(rest, STEERING_SHARE, seed + 1, MIN_STEERING)
    return Parts(second.train, second.held_out, gate, gold is not None)
