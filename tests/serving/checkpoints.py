"""Small checkpoints to serve: each answers with masks of its own."""

import copy
import functools
from collections.abc import Callable

from segment_anything.modeling import Sam

from sam_backend.sam.segmenter import Segmenter
from sam_backend.serving.served_model import Checkpoint
from sam_backend.store.cards import ModelCard, make_card
from tests.sam.networks import small_sam


def card(version: str) -> ModelCard:
    """A card with no more than a card needs."""
    return make_card(
        name=version,
        family="starter",
        version=version,
        sha256="0" * 64,
        source="random",
        licence="unknown",
        training_data="none",
    )


def segmenter(version: str, seed: int) -> Segmenter:
    """A network with random weights."""
    return Segmenter(copy.deepcopy(_network(seed)), version)


def checkpoint(version: str, seed: int, load: Callable[[], Segmenter] | None = None) -> Checkpoint:
    """A checkpoint of a network with random weights; `load` in place of making it."""
    made = segmenter(version, seed)  # here, for seeds are of the whole process: no two at once
    return Checkpoint(card(version), made.model_version, load or (lambda: segmenter(version, seed)))


@functools.cache
def _network(seed: int) -> Sam:
    return small_sam(seed=seed)
