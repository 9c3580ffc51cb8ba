"""The starter, served, and pictures whose objects it finds."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from sam_backend.masks.rle import RLE, encode
from sam_backend.sam.checkpoints import load
from sam_backend.sam.embeddings import MemoryEmbeddings
from sam_backend.semi_automatic.proposers.base import Subject
from sam_backend.serving.champion import Champion
from sam_backend.serving.served_model import Checkpoint
from sam_backend.store.models import ModelStore, packaged_store
from tests.e2e.scene import draw_scene


@contextmanager
def served_starter() -> Iterator[Champion]:
    """A champion that is loaded."""
    entry = ModelStore([packaged_store()]).get("starter-3")
    segmenter = load(entry.folder, "cpu").promptable()
    champion = Champion(
        Checkpoint(entry.card, segmenter.model_version, lambda: segmenter),
        MemoryEmbeddings(10**8),
    )
    try:
        yield champion
    finally:
        champion.close()


SCENE = draw_scene()


def scene_subject(boxes: object = ()) -> Subject:
    """The drawn scene: a disc, a box and an ellipse."""
    return Subject("scene", SCENE.image, np.array(boxes, np.float64).reshape(-1, 4))


def scene_masks() -> dict[str, RLE]:
    """Its objects by name."""
    return {name: encode(mask) for name, mask in SCENE.masks.items()}
