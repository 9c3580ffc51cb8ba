"""Result items of an annotation become masks; everything else is counted."""

from typing import Any

import numpy as np
import pytest

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel, TagParameters
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.drawn_masks import (
    MULTI_IMAGE,
    OPEN_POLYGON,
    count_objects,
    drawn_masks,
)
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks import rle
from sam_backend.masks.types import Mask
from tests.masks.strategies import mask_of

SIZES = {"image": (5, 5)}

RING = mask_of(".....", ".###.", ".#.#.", ".###.", ".....")
CORNER = mask_of("##...", "##...", ".....", ".....", ".....")
PLUS = mask_of(".....", "..#..", ".###.", "..#..", ".....")


def drawn(kind: str, mask: Mask, region_id: str = "r", **changes: Any) -> Region:
    """A region of a tag with labels of its own."""
    tag = ControlTag(
        kind, "image", f"{kind}labels", kind, parameters=TagParameters(simplify_px=0, min_area_px=0)
    )
    (item,) = codec.encode(mask, Answer(tag, NamedLabel("Car")))
    return item | {"id": region_id} | changes


def named_brush(mask: Mask) -> list[Region]:
    """A `<Brush>` that a `<Labels>` names: two items with one id."""
    tag = ControlTag("brush", "image", "brush", "brush")
    return codec.encode(mask, Answer(tag, NamedLabel("Dog", "classes")))


def ellipse() -> Region:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "ellipselabels": ["Car"]}
    size = {"original_width": 5, "original_height": 5, "image_rotation": 0}
    return {"id": "e", "type": "ellipselabels", "to_name": "image", "value": value, **size}


def read(*result: Region) -> tuple[list[tuple[str | None, Mask]], LeftOut]:
    skipped = LeftOut()
    masks = drawn_masks(result, "7", skipped, "task 1", SIZES.get)
    assert all(mask.image_name == "image" and mask.mask.annotator == "7" for mask in masks)
    return [(mask.mask.label, rle.decode(mask.mask.rle)) for mask in masks], skipped


@pytest.mark.parametrize(
    ("result", "label", "expected"),
    [
        ([drawn("brush", RING)], "Car", RING),
        ([drawn("bitmask", RING)], "Car", RING),
        ([drawn("polygon", RING)], "Car", RING),  # its hole hangs on a cut of no width
        ([ellipse()], "Car", PLUS),
        (named_brush(RING), "Dog", RING),
        (named_brush(RING)[::-1], "Dog", RING),
    ],
)
def test_each_shape(result: list[Region], label: str, expected: Mask) -> None:
    [(found_label, mask)], skipped = read(*result)
    assert found_label == label
    assert np.array_equal(mask, expected)
    assert not skipped
    assert count_objects(result) == 1


def test_what_keep_label_selected_leaves_is_no_second_mask() -> None:
    brush = drawn("brush", RING)
    rest = brush | {"type": "keypointlabels", "from_name": "click"}
    for result in ([brush, rest], [rest, brush]):
        masks, skipped = read(*result)
        assert len(masks) == 1
        assert not skipped


def test_objects_stay_in_the_order_drawn() -> None:
    masks, _ = read(drawn("brush", RING, "z"), drawn("polygon", CORNER, "a"))
    assert [mask.sum() for _, mask in masks] == [RING.sum(), CORNER.sum()]


def test_regions_without_an_id_are_objects_of_their_own() -> None:
    brush = drawn("brush", RING)
    del brush["id"]
    assert len(read(brush, brush)[0]) == 2


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (drawn("rectangle", RING), "rectangle is no mask"),
        (drawn("brush", RING, type="keypointlabels"), "keypoint is no mask"),
        (drawn("brush", RING, type="vectorlabels"), "vector is no mask"),
        (drawn("brush", RING, item_index=1), MULTI_IMAGE),
        (drawn("brush", RING, original_width=7), reasons.OTHER_SIZE),
        (
            drawn("brush", RING[:4], original_width=5, original_height=5),
            reasons.MALFORMED_MASK,
        ),
        (drawn("brush", RING, original_width=None), reasons.MALFORMED_MASK),
        (drawn("brush", RING, value={"format": "rle", "rle": [1]}), reasons.MALFORMED_MASK),
        (drawn("brush", RING, value=None), reasons.MALFORMED_MASK),
        (
            drawn("polygon", CORNER, value={"points": [[0, 0], [9, 0], [9, 9]], "closed": False}),
            OPEN_POLYGON,
        ),
        (
            drawn("polygon", CORNER, value={"points": [[0, 0], [0, 0], [0, 0]], "closed": True}),
            reasons.EMPTY_MASK,
        ),
    ],
)
def test_what_gives_no_mask_is_counted_and_costs_no_other(item: Region, reason: str) -> None:
    masks, skipped = read(item | {"id": "bad"}, drawn("brush", CORNER, "good"))
    assert len(masks) == 1
    assert skipped == {reason: 1}
    (name,) = skipped.names(reason)
    assert name.startswith("task 1, region bad")


@pytest.mark.parametrize("turn", [90, 180, 270, 90.0])
@pytest.mark.parametrize("kind", ["brush", "bitmask", "polygon"])
def test_a_turn_of_the_picture_changes_no_mask(kind: str, turn: float) -> None:
    """`tests/e2e/test_labelling.py` draws in the real page that was turned."""
    [(_, mask)], skipped = read(drawn(kind, RING, image_rotation=turn))
    assert np.array_equal(mask, RING)
    assert not skipped


def test_floats_for_whole_numbers() -> None:
    """pandas and JavaScript write them: `400.0`."""
    brush = drawn("brush", RING, 7.0, original_width=5.0, original_height=5.0, item_index=0.0)
    brush["value"]["rle"] = [float(number) for number in brush["value"]["rle"]]
    click = {**brush, "type": "keypointlabels", "id": 7}
    [(label, mask)], skipped = read(brush, click)
    assert label == "Car"
    assert np.array_equal(mask, RING)
    assert not skipped
    assert read(drawn("brush", RING, original_width=5.5))[1] == {reasons.MALFORMED_MASK: 1}


def test_all_labels_of_a_region_are_kept() -> None:
    brush = drawn("brush", RING)
    brush["value"]["brushlabels"] = ["Car", "Wet", "Car"]
    (one,) = drawn_masks([brush], "7", LeftOut(), "task 1", SIZES.get)
    assert one.mask.labels == ("Car", "Wet")
    bare, named = named_brush(RING)
    named["value"]["labels"] = ["Dog", "Wet"]
    (one,) = drawn_masks([bare, named], "7", LeftOut(), "task 1", SIZES.get)
    assert (one.mask.label, one.mask.more_labels) == ("Dog", ("Wet",))


@pytest.mark.parametrize("kind", ["choices", "textarea", "relation", None])
def test_what_is_on_no_image_is_nobodys_loss(kind: str | None) -> None:
    masks, skipped = read({"id": "x", "type": kind, "value": {}})
    assert not masks
    assert not skipped
