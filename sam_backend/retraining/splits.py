"""Splits of the data: what is learned from, what tells when to stop, what the gate judges on."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from sam_backend.datasets.split import held_out_digests, split
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import InvalidInputError
from sam_backend.metrics.intervals import MIN_IMAGES
from sam_backend.store.learned_images import NOTHING_LEARNED, LearnedImages

GATE_SHARE = 0.2
GATE_SEED = 0
VALIDATION_SHARE = 0.1
VALIDATION_SEED = 1
MIN_VALIDATION = 2
MIN_TRAIN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Three sets without a common image.

    Attributes:
        train: Learned from.
        validation: Tells when to stop; the best step is chosen on it, so it cannot judge.
        gate: Judges champion and challenger: ground truth, else a held-out part. An ancestor of the
            two has learned from none of its images.
        is_gold: Whether the gate's masks are ground truth.
        left_out: Images of ground truth that do not judge, for an ancestor has learned from them.
    """

    train: Dataset
    validation: Dataset
    gate: Dataset
    is_gold: bool
    left_out: int


_NO_IMAGES = Dataset("gold", ())


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """Images that are trusted enough to judge, and never learned from.

    Attributes:
        named: A data set that somebody named to judge on; None without.
        stored: Our own gold that is in use.
        reserved: Digests of all our own gold, used or not.
    """

    named: Dataset | None = None
    stored: Dataset = _NO_IMAGES
    reserved: Collection[str] = ()


NO_TRUTH = GroundTruth()


def divide(
    data: Dataset,
    truth: GroundTruth = NO_TRUTH,
    learned: LearnedImages = NOTHING_LEARNED,
) -> Splits:
    """Divide by image; an image keeps its part while the set grows.

    Ground truth is never learned from, and judges as soon as enough of it is clean, that is: no
    ancestor of the models has learned from it. Else a part of the data is held out, of clean images
    too. Which part an image falls into then, follows from its digest alone, the same for every
    training.

    Args:
        data: The whole; masks that are marked as gold are ground truth.
        truth: Further ground truth.
        learned: What the parent of the training, and so all its ancestors, learned from.

    Raises:
        InvalidInputError: There are too few images for three splits; says how many it takes, and
            why those that are there do not do.
    """
    data = data.by_content()  # drawn as often as others, and a single witness
    known = _known_truth(data, truth)
    judges = _only(known, lambda image: image.digest not in learned)
    left_out = len(known) - len(judges)
    reserved = {image.digest for image in (*known, *_marked(data))} | set(truth.reserved)
    rest = _only(data, lambda image: image.digest not in reserved)
    is_gold = truth.named is not None or len(judges) >= MIN_IMAGES
    if is_gold:
        gate = judges
    else:
        here = {image.digest for image in data}
        own = _only(judges, lambda image: image.digest in here)
        clean = {image.digest for image in rest if image.digest not in learned}
        taken = held_out_digests(clean, GATE_SHARE, GATE_SEED, MIN_IMAGES - len(own))
        held_out = _only(rest, lambda image: image.digest in taken)
        gate = replace(held_out, images=(*own, *held_out))
        rest = _only(rest, lambda image: image.digest not in taken)
    if len(rest) < MIN_TRAIN + MIN_VALIDATION or len(gate) < MIN_IMAGES:
        told = (
            f"a retraining needs masks on {MIN_TRAIN + MIN_VALIDATION} images to learn from and "
            f"{MIN_IMAGES} {'gold' if is_gold else 'others'} to judge on, not {len(rest)} and "
            f"{len(gate)}"
        )
        n_learned = len({one.digest for one in (*data, *known) if one.digest in learned})
        if len(gate) < MIN_IMAGES and n_learned:
            told += (
                ": too few clean images, for the model or an ancestor of it has learned from "
                f"{n_learned} others, and these cannot judge"
            )
        n_reserved = sum(image.digest in reserved for image in data)
        if len(rest) < MIN_TRAIN + MIN_VALIDATION and n_reserved:
            told += f"; {n_reserved} of the images are ground truth, which is never learned from"
        raise InvalidInputError(told)
    second = split(rest, VALIDATION_SHARE, VALIDATION_SEED, MIN_VALIDATION)
    return Splits(second.train, second.held_out, gate, is_gold, left_out)


def _known_truth(data: Dataset, truth: GroundTruth) -> Dataset:
    """What was named, else our own gold and the data's own."""
    if truth.named is not None:
        return truth.named.by_content()
    stored = truth.stored.by_content()
    here = {image.digest for image in stored} | set(truth.reserved)
    own = tuple(image for image in _marked(data) if image.digest not in here)
    return replace(stored, name=stored.name if len(stored) else data.name, images=(*stored, *own))


def _marked(data: Dataset) -> tuple[LabelledImage, ...]:
    """The images that have gold masks, with those alone."""
    marked = [(image, tuple(mask for mask in image.masks if mask.is_gold)) for image in data]
    return tuple(replace(image, masks=masks) for image, masks in marked if masks)


def _only(data: Dataset, is_wanted: Callable[[LabelledImage], bool]) -> Dataset:
    return replace(data, images=tuple(image for image in data if is_wanted(image)))
