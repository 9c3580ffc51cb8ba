"""COCO run lengths against pycocotools."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pycocotools import mask as coco

from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.masks.types import Mask, window
from tests.masks.strategies import masks


@given(masks)
@example(np.zeros((1, 1), bool))
@example(np.ones((1, 1), bool))
@example(np.zeros((700, 900), bool))
@example(np.ones((700, 900), bool))
def test_round_trips_and_pycocotools_agrees(mask: Mask) -> None:
    runs = rle.encode(mask)
    assert np.array_equal(rle.decode(runs), mask)
    assert runs.area_px == mask.sum()
    segmentation = rle.to_coco(runs)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert segmentation["counts"] == theirs["counts"].decode()
    assert segmentation["size"] == theirs["size"]
    for counts in (theirs["counts"], segmentation["counts"], runs.counts.tolist()):
        read = rle.from_coco({"size": theirs["size"], "counts": counts})
        assert np.array_equal(read.counts, runs.counts)


@st.composite
def crops(draw: st.DrawFn) -> tuple[Mask, tuple[int, int], Mask]:
    """A crop's mask, its place in an image (x before y) and the whole image's mask."""
    crop = draw(masks)
    left, right, above, below = (draw(st.integers(0, 9)) for _ in range(4))
    return crop, (left, above), np.pad(crop, ((above, below), (left, right)))


@given(crops())
@example((np.ones((3, 2), bool), (0, 0), np.ones((3, 2), bool)))
@example((np.ones((3, 2), bool), (1, 0), np.pad(np.ones((3, 2), bool), ((0, 0), (1, 1)))))
@example((np.ones((3, 2), bool), (0, 1), np.pad(np.ones((3, 2), bool), ((1, 0), (0, 0)))))
@example((np.zeros((3, 2), bool), (1, 0), np.zeros((3, 4), bool)))
def test_a_crop_in_its_image(crop: tuple[Mask, tuple[int, int], Mask]) -> None:
    mask, at, whole = crop
    placed = rle.place(rle.encode(mask), at, whole.shape)
    assert placed.size == whole.shape
    assert placed.counts.tolist() == rle.encode(whole).counts.tolist()


def test_a_crop_with_runs_of_no_pixels() -> None:
    crop = rle.RLE((2, 2), np.array([0, 1, 0, 1, 1, 0, 1], np.uint32))
    assert rle.place(crop, (1, 1), (4, 3)).counts.tolist() == [5, 2, 5]


@pytest.mark.parametrize("at", [(-1, 0), (0, -1), (2, 0), (0, 3)])
def test_a_crop_must_lie_within_the_image(at: tuple[int, int]) -> None:
    crop = rle.encode(np.ones((2, 3), bool))
    with pytest.raises(InvalidInputError, match="a crop of 3x2 pixels at"):
        rle.place(crop, at, (4, 4))


@given(st.lists(st.integers(0, 2**27), min_size=1, max_size=30))
def test_compressed_counts_of_any_length(counts: list[int]) -> None:
    total = sum(counts)
    if total == 0:
        counts, total = [1], 1
    runs = rle.RLE((1, total), np.array(counts, np.uint32))
    text = rle.to_coco(runs)["counts"]
    assert rle.from_coco({"size": [1, total], "counts": text}).counts.tolist() == counts
    # Its rleToString has room for six letters a count and writes a zero after them: where all need
    # six, it writes outside of its memory.
    if max(counts) < 2**23:
        theirs = coco.frPyObjects({"size": [1, total], "counts": counts}, 1, total)
        assert text == theirs["counts"].decode()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"counts": [4]}, "size must be"),
        ({"size": [2], "counts": [4]}, "size must be"),
        ({"size": [2, "2"], "counts": [4]}, "size must be"),
        ({"size": [2, 2]}, "counts must be a text or a list, not NoneType"),
        ({"size": [2, 2], "counts": [3]}, "runs of 3 pixels do not fill an image of 2x2"),
        ({"size": [0, 2], "counts": []}, "do not fill"),
        ({"size": [2, 2], "counts": [5, -1]}, "negative"),
        ({"size": [2, 2], "counts": [2**40]}, "longer than"),
        ({"size": [2, 2], "counts": [2**70]}, "longer than"),
        ({"size": [2, 2], "counts": "\ud800"}, "letters"),
        ({"size": [2, 2], "counts": ""}, "runs of 0 pixels"),
        ({"size": [2, 2], "counts": "4é"}, "letters"),
        ({"size": [2, 2], "counts": "\x01"}, "letters"),
        ({"size": [2, 2], "counts": "T"}, "letters"),
        ({"size": [2, 2], "counts": "TTTTTTTT0"}, "more than 32 bits"),
    ],
)
def test_damaged_segmentations_are_refused(segmentation: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        rle.from_coco(segmentation)


@pytest.mark.parametrize(
    "mask", [np.zeros((2, 2), np.uint8), np.zeros(4, bool), np.zeros((0, 4), bool)]
)
def test_only_masks_are_encoded(mask: np.ndarray) -> None:
    with pytest.raises(InvalidInputError, match="a mask must be bool"):
        rle.encode(mask)


@given(masks)
@example(np.zeros((3, 4), bool))
def test_the_box_and_its_part_are_those_of_the_mask(mask: Mask) -> None:
    lengths = rle.encode(mask)
    assert rle.box(lengths) == window(mask)
    height, width = mask.shape
    for rows, columns in (
        window(mask) or (slice(0, height), slice(0, width)),
        (slice(height // 3, height), slice(width // 3, max(width // 3 + 1, width // 2))),
    ):
        part = rle.decode_part(lengths, rows, columns)
        np.testing.assert_array_equal(part, mask[rows, columns])
