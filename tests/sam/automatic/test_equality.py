"""The generator must find what `SamAutomaticMaskGenerator` finds, mask by mask."""

from pathlib import Path

import numpy as np
import pytest
import torch
from segment_anything.build_sam import _build_sam
from segment_anything.modeling import Sam

from sam_backend.masks.rle import decode
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import load
from sam_backend.sam.segmenter import Segmenter
from sam_backend.training.scenes import hard_scene
from tests.sam.automatic.passing import with_passing
from tests.sam.automatic.reference import Found, Key, Reference, key_of
from tests.sam.networks import small_sam

STARTER = Path(__file__).parents[3] / "model_store" / "starter-3"
NEAR = 1e-4  # of a threshold, where the last bits of a sum may decide
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
EVERY_MASK = {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0}


def picture(height: int, width: int) -> np.ndarray:
    scene = hard_scene(np.random.default_rng(3), max(height, width, 32))
    return np.ascontiguousarray(scene.image[:height, :width])


@pytest.fixture(scope="module")
def starter() -> Sam:
    return load(STARTER, torch.device("cpu")).sam


def assert_same(sam: Sam, image: np.ndarray, **given: float) -> dict[Key, Found]:
    settings = AutomaticSettings.reference(**given)
    ours = {key_of(one): one for one in generate(Segmenter(sam, "changed"), image, settings)}
    theirs = Reference(sam, **given).found(image)
    both = ours.keys() & theirs.keys()
    apart = {key: ours.get(key) or theirs[key] for key in ours.keys() ^ theirs.keys()}
    for key, one in apart.items():
        print("only one has", key, one.predicted_iou, one.stability)
        assert (
            abs(one.predicted_iou - settings.predicted_iou) < NEAR
            or abs(one.stability - settings.stability) < NEAR
        )
    assert len(apart) <= 0.005 * len(both)
    differing = 0
    for key in both:
        our, their = ours[key], theirs[key]
        assert our.predicted_iou == pytest.approx(their.predicted_iou, abs=1e-5)
        assert our.stability == pytest.approx(their.stability, abs=1e-3)
        assert np.abs(np.subtract(our.box, their.box)).max() <= 1
        assert our.area_px == our.rle.area_px
        pixels = np.count_nonzero(decode(our.rle) != decode(their.rle))
        differing += pixels > 0
        assert pixels <= max(1, 1e-5 * image[..., 0].size)
    assert differing <= max(1, 0.01 * len(both))
    return theirs


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_every_mask_that_passes_the_thresholds(starter: Sam, share: float) -> None:
    image = picture(100, 140)
    sam = with_passing(starter, image, 4, share)
    found = assert_same(sam, image, points_per_side=4, **EVERY_MASK)
    assert len(found) / 48 == pytest.approx(share, abs=0.07)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_random_weights(share: float) -> None:
    image = picture(90, 140)
    sam = with_passing(small_sam(), image, 8, share)
    found = assert_same(sam, image, points_per_side=8, **EVERY_MASK)
    assert len(found) / 192 == pytest.approx(share, abs=0.07)
    assert_same(sam, image, points_per_side=8)


@pytest.mark.parametrize(
    ("size", "given"),
    [
        ((130, 130), {"box_nms_thresh": 0.3, "min_mask_region_area": 400}),
        ((130, 130), {"stability_score_offset": 0.5}),
        ((130, 130), {"stability_score_thresh": 0.0, "pred_iou_thresh": 0.0}),
        ((19, 33), {}),
    ],
)
def test_settings_and_sizes(starter: Sam, size: tuple[int, int], given: dict[str, float]) -> None:
    image = picture(*size)
    sam = with_passing(starter, image, 3, 0.6)
    assert len(assert_same(sam, image, points_per_side=3, **given)) >= 3


@pytest.mark.parametrize(
    ("size", "points", "given"),
    [
        ((170, 120), 3, {"crop_n_layers": 1, "crop_overlap_ratio": 0.6, "crop_nms_thresh": 0.5}),
        (
            (320, 260),
            4,
            {
                "crop_n_layers": 2,
                "crop_n_points_downscale_factor": 2,
                "min_mask_region_area": 100,
            },
        ),
    ],
)
def test_crops(starter: Sam, size: tuple[int, int], points: int, given: dict[str, float]) -> None:
    image = picture(*size)
    sam = with_passing(starter, image, points, 0.6)
    found = assert_same(sam, image, points_per_side=points, **given)
    assert len({crop for crop, *_ in found}) > 2


@pytest.mark.parametrize("size", [(60, 1), (1, 70), (3, 2), (200, 40), (290, 410)])
@pytest.mark.parametrize("min_area", [0, 30])
def test_odd_sizes(size: tuple[int, int], min_area: int) -> None:
    image = picture(*size)
    sam = with_passing(small_sam(), image, 3, 0.5)
    every = {"points_per_side": 3, "min_mask_region_area": min_area}
    assert assert_same(sam, image, **every, **EVERY_MASK)
    assert_same(sam, image, **every)


def test_the_decoder_of_meta_s_checkpoints() -> None:
    """ViT-B's prompt encoder and decoder at 1024 px; the encoder before them has one layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sam = _build_sam(48, 1, 2, []).eval()
    image = picture(60, 90)
    passing = with_passing(sam, image, 2, 0.5)
    found = assert_same(passing, image, points_per_side=2, **EVERY_MASK)
    assert 4 <= len(found) <= 8
