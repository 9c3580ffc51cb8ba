"""Which images a checkpoint and its ancestors learned from; such images cannot judge it.

The list lies beside the weights, 17 bytes an image: the first `DIGITS` hex digits of each image's
sha256, a line each, sorted. The card holds how many there are and the sha256 of the list. Each
checkpoint's list holds its ancestors' images too, so that none of them is needed to read it.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sam_backend.errors import ModelStoreError
from sam_backend.store.cards import LearnedFrom, ModelCard
from sam_backend.store.checkpoint_folders import ModelEntry

LEARNED_NAME = "learned_from.txt"
DIGITS = 16
"""64 bits: of ten million images and as many others, two agree by chance in one case of 200,000."""


@dataclass(frozen=True, slots=True)
class LearnedImages:
    """Images that were learned from, or steered a training.

    Attributes:
        prefixes: First `DIGITS` hex digits of each image's sha256.
        unrecorded: What else was learned from, in words, of which no list of images is known.
    """

    prefixes: frozenset[str] = frozenset()
    unrecorded: tuple[str, ...] = ()

    def __contains__(self, digest: str) -> bool:
        """Whether an image, by its sha256 in hex, was learned from."""
        return digest[:DIGITS] in self.prefixes

    def and_images(self, digests: Iterable[str]) -> "LearnedImages":
        """Return these and further images, by their sha256 in hex."""
        more = frozenset(digest[:DIGITS] for digest in digests)
        return LearnedImages(self.prefixes | more, self.unrecorded)

    def write(self, file: Path) -> LearnedFrom:
        """Write the list; returns what the card has to say of it.

        Raises:
            OSError: The file cannot be written.
        """
        text = "".join(f"{prefix}\n" for prefix in sorted(self.prefixes)).encode()
        file.write_bytes(text)
        digest = hashlib.sha256(text).hexdigest()
        return LearnedFrom(images=len(self.prefixes), sha256=digest, unrecorded=self.unrecorded)


NOTHING_LEARNED = LearnedImages()
_BSDS_TRAIN = (
    "BSDS500 train (200 photos, for non-commercial research and education; Arbelaez, Maire, "
    "Fowlkes, Malik, TPAMI 2011)"
)
RETIRED = {
    "starter-1": LearnedImages(unrecorded=(_BSDS_TRAIN,)),
    "starter-2": LearnedImages(unrecorded=(_BSDS_TRAIN,)),
    "starter-2-synthetic": NOTHING_LEARNED,
}
"""Starters that shipped once: checkpoints that were retrained from them still name them."""


def not_recorded(card: ModelCard) -> str:
    """Say what a checkpoint without a list was trained on, as far as its card tells."""
    return f"{card.version}: {card.training_data}"


def read_learned(entry: ModelEntry) -> LearnedImages | None:
    """Read what a checkpoint and its ancestors learned from; None: there is no record of it.

    Raises:
        ModelStoreError: The card speaks of a list that is missing or was changed.
    """
    told = entry.card.learned_from
    if told is None:
        return None
    if not told.images:
        return LearnedImages(frozenset(), told.unrecorded)
    file = entry.folder / LEARNED_NAME
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ModelStoreError(f"cannot read {file}: {error.strerror}") from error
    if hashlib.sha256(text).hexdigest() != told.sha256:
        raise ModelStoreError(
            f"{file} is not the list of images that the card of {entry.version} speaks of: it was "
            "changed or damaged"
        )
    return LearnedImages(frozenset(text.decode("ascii").split()), told.unrecorded)


def learned_by_model(entries: Iterable[ModelEntry], model_version: str) -> LearnedImages:
    """Tell what a model learned from, by its name on predictions; nothing, if it is not known.

    Args:
        entries: Entries of the model store.
        model_version: The version, `+`, and the fingerprint of its weights.

    Raises:
        ModelStoreError: As `read_learned`.
    """
    version = model_version.partition("+")[0]
    found = (read_learned(entry) for entry in entries if entry.version == version)
    return next(found, None) or NOTHING_LEARNED
