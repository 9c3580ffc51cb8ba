"""What bfloat16 does to automatic masks: issue 4's tier, on the starter that ships.

Every accepted mask is compared, before suppression: whether a ragged mask's box overlaps another's
by more than a threshold is decided by single pixels, which tells of the masks' raggedness.
"""

import numpy as np
import pytest

from benchmarks.speed.equality import EMBEDDING_TOLERANCE, judge_close, judge_embedding
from benchmarks.speed.outcome import Outcome
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import load
from sam_backend.sam.precision import Precision
from sam_backend.sam.promptable import PromptableModel
from sam_backend.store.models import ModelStore, packaged_store
from sam_backend.training.scenes import hard_scene

N_IMAGES = 4


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    square = [hard_scene(rng, 256).image for _ in range(N_IMAGES - 1)]
    return [*square, hard_scene(rng, 256).image[:160]]  # what fills it up is not far off either


@pytest.fixture(scope="module")
def both() -> tuple[PromptableModel, PromptableModel]:
    folder = ModelStore([packaged_store()]).get("starter-3").folder
    exact, close = (
        load(folder, "cpu").promptable(precision)
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
    )
    return exact, close


def test_embeddings_are_near(
    both: tuple[PromptableModel, PromptableModel], images: list[np.ndarray]
) -> None:
    exact, close = both
    for image in images:
        a, b = exact.embed(image).features, close.embed(image).features
        assert judge_embedding(a, b, EMBEDDING_TOLERANCE).equal
        assert not np.array_equal(a, b), "bfloat16 was not computed in"


def test_masks_are_those_of_float32(
    both: tuple[PromptableModel, PromptableModel], images: list[np.ndarray]
) -> None:
    card = ModelStore([packaged_store()]).get("starter-3").card.automatic
    settings = AutomaticSettings.of(card, points_per_side=16, box_nms=1.0)
    reference, ours = (
        [one for number, image in enumerate(images) for one in masks(who, number, image, settings)]
        for who in both
    )
    verdict = judge_close(reference, ours, n_key=3)
    assert verdict.equal, verdict
    assert len(reference) >= 50 * N_IMAGES


def masks(
    segmenter: PromptableModel, number: int, image: np.ndarray, settings: AutomaticSettings
) -> list[Outcome]:
    """Of one image; keys are its number and the click."""
    return [
        Outcome(key=(number, *one.point), rle=one.rle, box=one.box)
        for one in generate(segmenter, image, settings)
    ]
