"""Every way from logits to masks must end where `segment_anything`'s own functions do."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, decode
from sam_backend.sam.postprocess import Frame, MaskShape, compiled, shapes, tensors
from sam_backend.sam.postprocess.reference import shape as reference_shape
from tests.sam.postprocess.making import IMAGE_SIZES, blobs, frame_of, odd_planes, reference

Way = Callable[[torch.Tensor, Frame, float, float], list[MaskShape]]


def plainly(logits: torch.Tensor, frame: Frame, threshold: float, offset: float) -> list[MaskShape]:
    return [reference_shape(plane, frame, threshold, offset) for plane in logits]


WAYS: dict[str, Way] = {
    "plain": plainly,
    "compiled": compiled.shapes,
    "tensors": tensors.shapes,
    "tensors, one mask at a time": partial(tensors.shapes, max_pixels_at_once=1),
}


def assert_equal(
    way: Way, logits: torch.Tensor, frame: Frame, threshold: float = 0.0, offset: float = 1.0
) -> None:
    """ "Equal" as the fp32 tier means it: 99 % of the masks alike, the rest but for 1e-5 of it."""
    expected = reference(logits, frame, threshold, offset)
    found = way(logits, frame, threshold, offset)
    assert len(found) == len(logits)
    n_pixels = frame.image_size[0] * frame.image_size[1]
    n_alike = 0
    for index, shape in enumerate(found):
        counts = expected.counts[index]
        assert shape.rle.size == frame.image_size
        if shape.rle.counts.tolist() == counts:
            n_alike += 1
        else:
            theirs = RLE(frame.image_size, np.array(counts, np.uint32))
            assert (decode(shape.rle) != decode(theirs)).sum() <= max(1, 1e-5 * n_pixels)
        assert shape.area_px == shape.rle.area_px
        assert np.abs(shape.box - expected.boxes[index]).max() <= 1
        error = abs(shape.stability - expected.stabilities[index])
        assert error <= 1e-6 + 2 / max(1, shape.area_px)
    assert n_alike >= 0.99 * len(logits)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", IMAGE_SIZES)
def test_equals_segment_anything(size: str, way: str) -> None:
    frame = frame_of(IMAGE_SIZES[size])
    n_blobs = 4 if size == "much larger" else 40
    logits = torch.cat([blobs(n_blobs, 64), odd_planes(64)])
    assert_equal(WAYS[way], logits, frame)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("threshold", "offset"), [(0.0, 0.0), (2.5, 1.0), (-3.0, 0.25), (0, 40)])
def test_other_thresholds(way: str, threshold: float, offset: float) -> None:
    logits = torch.cat([blobs(30, 64, seed=1), odd_planes(64)])
    assert_equal(WAYS[way], logits, frame_of((150, 211)), threshold, offset)


@pytest.mark.parametrize("way", ["compiled", "tensors"])
def test_sides_of_the_large_models(way: str) -> None:
    assert_equal(WAYS[way], blobs(16, 256, seed=2), frame_of((481, 321), 256, 1024))


def test_logits_of_more_pixels_than_the_models_input() -> None:
    # Each image pixel then mixes neighbours that lie apart.
    frame = Frame(96, 32, (32, 20), (61, 40))
    assert_equal(compiled.shapes, blobs(30, 96, seed=3), frame)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_any_frame(image_size: tuple[int, int], mask_side: int, input_side: int, seed: int) -> None:
    frame = frame_of(image_size, mask_side, input_side)
    assert_equal(compiled.shapes, blobs(3, mask_side, seed), frame)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_no_numbers(way: str, value: float) -> None:
    logits = blobs(2, 64)
    logits[0, 10:20, 10:20] = value
    assert_equal(WAYS[way], logits, frame_of((150, 211)))


def test_the_choice_takes_any_memory_layout_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = blobs(6, 64)
    frame = frame_of((150, 211))
    expected = plainly(logits, frame, 0.0, 1.0)
    turned = logits.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    for n_threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda n=n_threads: n)
        found = shapes(turned, frame)
        assert [shape.area_px for shape in found] == [shape.area_px for shape in expected]
    assert shapes(logits[:0], frame) == []


@pytest.mark.parametrize(
    ("logits", "offset", "reason"),
    [
        (torch.zeros(64, 64), 1.0, "must be float32 of shape"),
        (torch.zeros(1, 64, 32), 1.0, "must be float32 of shape"),
        (torch.zeros(1, 64, 64, dtype=torch.bfloat16), 1.0, "not torch.bfloat16"),
        (torch.zeros(1, 64, 64), -1.0, "must not be negative, not -1.0"),
    ],
)
def test_what_does_not_fit_is_refused(logits: torch.Tensor, offset: float, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        shapes(logits, frame_of((150, 211)), 0.0, offset)
