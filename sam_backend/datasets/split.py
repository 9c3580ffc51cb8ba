"""Which images to train on and which to keep for judging."""

import hashlib
from collections.abc import Set
from dataclasses import dataclass, replace

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The two parts of a data set; no image is in both.

    Attributes:
        train: To learn from.
        held_out: To judge by, never learned from.
    """

    train: Dataset
    held_out: Dataset


def split(dataset: Dataset, held_out_share: float, seed: int = 0, min_held_out: int = 1) -> Split:
    """Divide by image, the same at any time and on any machine.

    An image's part follows from its digest alone: it stays where it is while the set grows, and
    copies of an image stay together. Only where a part were too small, the images nearest to the
    border change sides, and may change back once there are more. A single image is trained on.

    Args:
        dataset: The whole; it alone tells what its reader skipped, the parts do not.
        held_out_share: About this share of the images is held out; between 0 and 1, both excluded.
        seed: Another seed divides differently.
        min_held_out: Hold out so many images at the least, but never the last one.

    Raises:
        InvalidInputError: The share is out of range.
    """
    if not 0 < held_out_share < 1:
        raise InvalidInputError(f"the held-out share must be between 0 and 1, not {held_out_share}")
    digests = {image.digest for image in dataset}
    held_out = held_out_digests(digests, held_out_share, seed, min_held_out)
    if held_out == digests:  # one image is learned from in any case
        held_out -= {max(held_out, key=lambda digest: _place(digest, seed), default="")}
    return Split(
        train=_part(dataset, "train", digests - held_out),
        held_out=_part(dataset, "held out", held_out),
    )


def held_out_digests(digests: Set[str], share: float, seed: int, min_held_out: int) -> set[str]:
    """Return the digests of images that are held out, as `split` does, but the last one too."""
    places = {digest: _place(digest, seed) for digest in digests}
    n_below = sum(place < share for place in places.values())
    by_place = sorted(places, key=lambda digest: places[digest])
    return set(by_place[: max(n_below, min_held_out)])


def _place(digest: str, seed: int) -> float:
    """Where an image stands between 0 and 1, evenly spread over images."""
    content = hashlib.sha256(f"{seed} {digest}".encode()).digest()
    return int.from_bytes(content[:8], "big") / 2**64


def _part(dataset: Dataset, part: str, digests: set[str]) -> Dataset:
    images = tuple(image for image in dataset if image.digest in digests)
    return replace(dataset, name=f"{dataset.name} ({part})", images=images, skipped=LeftOut())
