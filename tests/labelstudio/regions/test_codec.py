"""Masks become regions that Label Studio accepts, and come back as the same pixels."""

import base64
import contextlib
import copy
import io
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import OUTPUT_KINDS, ControlTag, NamedLabel, TagParameters
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.types import Mask
from tests.masks.strategies import mask_of, masks

EXACT = TagParameters(simplify_px=0, min_area_px=0)
RING = mask_of(".....", ".###.", ".#.#.", ".###.", ".....")


def answer(kind: str, parameters: TagParameters = EXACT) -> Answer:
    tag = ControlTag(kind, "image", f"{kind}labels", kind, parameters=parameters)
    return Answer(tag, NamedLabel("Car"), score=0.75)


def region(kind: str, value: dict[str, Any], size: tuple[int, int] = (10, 20)) -> Region:
    return {
        "type": kind,
        "value": value,
        "original_height": size[0],
        "original_width": size[1],
        "image_rotation": 0,
    }


def over_the_wire(regions: list[Region]) -> list[Region]:
    sent: list[Region] = json.loads(json.dumps(regions, allow_nan=False))
    return sent


def union(regions: list[Region], size: tuple[int, int]) -> Mask:
    mask = np.zeros(size, bool)
    for item in regions:
        mask |= codec.decode(item)
    return mask


def bounding_box(mask: Mask) -> Mask:
    box = np.zeros_like(mask)
    if mask.any():
        y, x = np.nonzero(mask)
        box[y.min() : y.max() + 1, x.min() : x.max() + 1] = True
    return box


class TestRoundTrips:
    @pytest.mark.parametrize("kind", ["brush", "bitmask", "polygon"])
    @given(masks)
    @example(np.zeros((1, 1), bool))
    @example(np.ones((1, 1), bool))
    @example(np.eye(7, 90, dtype=bool))
    @example(RING)
    def test_every_pixel_comes_back(self, kind: str, mask: Mask) -> None:
        regions = over_the_wire(codec.encode(mask, answer(kind)))
        assert np.array_equal(union(regions, mask.shape), mask)
        assert bool(regions) == mask.any()

    @given(masks)
    def test_rectangle_is_the_bounding_box(self, mask: Mask) -> None:
        regions = over_the_wire(codec.encode(mask, answer("rectangle")))
        assert len(regions) == int(mask.any())
        assert np.array_equal(union(regions, mask.shape), bounding_box(mask))

    @given(masks)
    def test_a_box_comes_back_as_itself(self, mask: Mask) -> None:
        for first in codec.encode(mask, answer("rectangle")):
            (second,) = codec.encode(codec.decode(first), answer("rectangle"))
            assert second["value"] == first["value"]

    def test_a_part_is_a_region_of_its_own_id(self) -> None:
        regions = codec.encode(mask_of("##.#", "##.#"), answer("polygon"))
        assert len({item["id"] for item in regions}) == 2
        assert [codec.decode(item).sum() for item in regions] in ([4, 2], [2, 4])

    def test_a_hole_hangs_on_its_part(self) -> None:
        (item,) = codec.encode(RING, answer("polygon"))
        assert len(item["value"]["points"]) == 4 + 4 + 2

    def test_polygons_with_many_holes_are_exact_through_percent(self) -> None:
        """A cut to a hole may run through a pixel's centre, and percent round its two sides."""
        rng = np.random.default_rng(1)
        wrong = []
        for round_ in range(400):
            size = rng.integers(3, 60, 2)
            mask = rng.random(size) < rng.uniform(0.9, 0.995)
            shown = over_the_wire(codec.encode(mask, answer("polygon")))
            if not np.array_equal(union(shown, mask.shape), mask):
                wrong.append(round_)
        assert wrong == []

    def test_simplified_polygon_is_close(self) -> None:
        y, x = np.mgrid[:300, :400]
        disc = np.hypot(y - 150, x - 200) < 100
        (item,) = codec.encode(disc, answer("polygon", TagParameters()))
        assert len(item["value"]["points"]) < 100
        assert mask_iou(codec.decode(item), disc) > 0.98

    @pytest.mark.parametrize("kind", OUTPUT_KINDS)
    def test_specks_are_dropped_by_parameter(self, kind: str) -> None:
        speck = mask_of("##...", "##...", "....#")
        regions = codec.encode(speck, answer(kind, TagParameters(0, 0, min_area_px=2)))
        assert union(regions, speck.shape).sum() == 4

    @pytest.mark.parametrize("kind", OUTPUT_KINDS)
    def test_no_pixel_no_region(self, kind: str) -> None:
        assert codec.encode(np.zeros((4, 5), bool), answer(kind)) == []

    def test_every_output_tag_has_its_control(self) -> None:
        assert sorted(codec.CONTROLS) == sorted(OUTPUT_KINDS)


class TestRegions:
    LABELLED = """<View><Image name="image" value="$image"/>
      <{tag}Labels name="out" toName="image"><Label value="Car"/></{tag}Labels></View>"""
    BARE = """<View><Image name="image" value="$image"/>
      <Labels name="lab" toName="image"><Label value="Car"/></Labels>
      <{tag} name="out" toName="image"/></View>"""

    @pytest.mark.parametrize("tag", ["Brush", "Polygon", "Rectangle", "Bitmask"])
    @pytest.mark.parametrize("template", [LABELLED, BARE])
    def test_label_studio_takes_them(self, tag: str, template: str) -> None:
        xml = template.format(tag=tag)
        config = LabelConfig.parse(xml)
        (output,) = config.outputs("image")
        regions = codec.encode(RING, Answer(output, config.label_for(output, "car"), 1.3))
        problems = LabelInterface(xml).validate_prediction({"result": regions}, return_errors=True)
        assert problems == []

    def test_labelled_region(self) -> None:
        (item,) = codec.encode(
            RING,
            Answer(answer("rectangle").control, NamedLabel("Car"), 1.3, {"model": "starter"}),
        )
        assert item.pop("id")
        assert item == {
            "from_name": "rectangle",
            "to_name": "image",
            "type": "rectanglelabels",
            "original_width": 5,
            "original_height": 5,
            "image_rotation": 0,
            "origin": "prediction",
            "score": 1.0,
            "meta": {"model": "starter"},
            "value": {
                "x": 20.0,
                "y": 20.0,
                "width": 60.0,
                "height": 60.0,
                "rotation": 0,
                "rectanglelabels": ["Car"],
            },
        }

    def test_a_bare_tag_gets_its_label_as_a_second_item(self) -> None:
        bare = ControlTag("brush", "image", "brush", "brush")
        shape, name = codec.encode(RING, Answer(bare, NamedLabel("Car", "lab")))
        assert (shape["from_name"], shape["type"]) == ("brush", "brush")
        assert (name["from_name"], name["type"]) == ("lab", "labels")
        assert shape["id"] == name["id"]
        assert name["value"] == {**shape["value"], "labels": ["Car"]}
        assert codec.can_decode(shape)
        assert not codec.can_decode(name)

    def test_without_a_label_there_is_no_empty_list(self) -> None:
        """The editor redirects regions with an empty list of labels to another tag."""
        (item,) = codec.encode(RING, Answer(answer("brush").control))
        assert set(item["value"]) == {"format", "rle"}
        assert not {"score", "meta"} & set(item)

    def test_keep_label_selected_adds_an_item_that_is_no_mask(self) -> None:
        (item,) = codec.encode(RING, answer("brush"))
        added = {**item, "type": "keypointlabels", "from_name": "kp"}
        assert not codec.can_decode(added)
        with pytest.raises(InvalidInputError, match="'keypointlabels' has no mask"):
            codec.decode(added)


class TestBitmask:
    def test_is_black_on_transparent_at_the_images_size(self) -> None:
        (item,) = codec.encode(RING, answer("bitmask"))
        address = item["value"]["imageDataURL"]
        assert address.startswith("data:image/png;base64,")
        picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
        pixels = np.asarray(picture.convert("RGBA"))
        assert np.array_equal(pixels[:, :, 3], np.where(RING, 255, 0))
        assert not pixels[:, :, :3].any()

    def test_reads_what_the_editor_draws(self) -> None:
        rgba = np.zeros((10, 20, 4), np.uint8)
        rgba[2:5, 3:9, 3] = 255
        rgba[5, 3:9, 3] = 60  # a soft edge
        buffer = io.BytesIO()
        Image.fromarray(rgba).save(buffer, "PNG")
        address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
        mask = codec.decode(region("bitmasklabels", {"imageDataURL": address}))
        assert np.argwhere(mask).min(0).tolist() == [2, 3]
        assert mask.sum() == 3 * 6

    @given(st.data())
    def test_damage_is_told(self, data: st.DataObject) -> None:
        (item,) = codec.encode(RING, answer("bitmask"))
        raw = bytearray(base64.b64decode(item["value"]["imageDataURL"].partition(",")[2]))
        position = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            del raw[position:]
        else:
            raw[position] ^= data.draw(st.integers(1, 255))
        item["value"]["imageDataURL"] = "data:image/png;base64," + base64.b64encode(raw).decode()
        with contextlib.suppress(InvalidInputError):  # and nothing else is raised
            assert codec.decode(item).shape == RING.shape


class TestHandDrawn:
    @pytest.mark.parametrize(
        ("value", "rows", "columns"),
        [
            ({"x": 10, "y": 20, "width": 25, "height": 30}, (2, 5), (2, 7)),
            ({"x": 10, "y": 20, "width": 25, "height": 30, "rotation": 0}, (2, 5), (2, 7)),
            # Turned clockwise about (10, 2): 5 wide and 3 high become 3 to the left, 5 down.
            ({"x": 10, "y": 20, "width": 25, "height": 30, "rotation": None}, (2, 5), (2, 7)),
            ({"x": 50, "y": 20, "width": 25, "height": 30, "rotation": 90}, (2, 7), (7, 10)),
            ({"x": 50, "y": 50, "width": 25, "height": 30, "rotation": 180}, (2, 5), (5, 10)),
            ({"x": -50, "y": -50, "width": 200, "height": 200}, (0, 10), (0, 20)),
            # Sides that lead to the left and up, as other tools write them.
            ({"x": 35, "y": 50, "width": -25, "height": -30}, (2, 5), (2, 7)),
            ({"x": 35, "y": 20, "width": -25, "height": 30, "rotation": 0}, (2, 5), (2, 7)),
            ({"x": 50, "y": 70, "width": -25, "height": 30, "rotation": 90}, (2, 7), (7, 10)),
        ],
    )
    def test_rectangle(
        self, value: dict[str, Any], rows: tuple[int, int], columns: tuple[int, int]
    ) -> None:
        expected = np.zeros((10, 20), bool)
        expected[slice(*rows), slice(*columns)] = True
        assert np.array_equal(codec.decode(region("rectanglelabels", value)), expected)

    def test_rectangle_turned_by_an_eighth(self) -> None:
        value = {"x": 50, "y": 10, "width": 25, "height": 50, "rotation": 45}
        mask = codec.decode(region("rectangle", value, (100, 200)))
        assert mask.sum() == pytest.approx(50 * 50, rel=0.01)
        top, bottom = np.flatnonzero(mask.any(1))[[0, -1]]
        assert top == 10
        assert bottom == pytest.approx(10 + 50 * math.sqrt(2), abs=2)
        assert np.flatnonzero(mask[top]).mean() == pytest.approx(100, abs=1)

    def test_ellipse_in_pixels_not_percent(self) -> None:
        value = {"x": 50, "y": 50, "radiusX": 20, "radiusY": 10, "rotation": 90}
        mask = codec.decode(region("ellipselabels", value, (100, 200)))
        assert mask.sum() == pytest.approx(math.pi * 40 * 10, rel=0.02)
        assert mask.any(1).sum() == pytest.approx(80, abs=1)
        assert mask.any(0).sum() == pytest.approx(20, abs=1)

    def test_polygon_that_crosses_itself_is_filled_as_drawn(self) -> None:
        star = [[50, 0], [80, 95], [0, 35], [100, 35], [20, 95]]
        mask = codec.decode(region("polygonlabels", {"points": star}, (50, 50)))
        assert mask[25, 25]


RECTANGLE = {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 0}


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("rectangle", {**RECTANGLE, "x": math.nan}, "x must be a number, not nan"),
        ("rectangle", {**RECTANGLE, "y": "1"}, "y must be a number, not '1'"),
        ("rectangle", {**RECTANGLE, "width": None}, "width must be a number, not None"),
        ("rectangle", {**RECTANGLE, "rotation": 1e300}, "rotation must be a number"),
        ("polygon", {}, "shape"),
        ("polygon", {"points": [[1, 2], [3, 4]]}, "N > 2"),
        ("polygon", {"points": [[1, 2], [3, 4], [5]]}, "pairs of numbers"),
        ("polygon", {"points": [[1, 2], [3, 4], [5, "x"]]}, "pairs of numbers"),
        ("polygon", {"points": [[1, 2], [3, 4], [5, math.inf]]}, "percent of the image"),
        ("polygon", {"points": [[1, 2], [3, 4], [5, math.nan]]}, "percent of the image"),
        ("ellipse", {"x": 5, "y": 5, "radiusX": 0, "radiusY": 1}, "radii must not be 0"),
        ("brush", {"format": "rle", "touches": []}, "no rle yet"),
        ("brush", {"format": "rle", "rle": [1, 2]}, "list of bytes"),
        ("bitmask", {}, "imageDataURL must start"),
        ("bitmask", {"imageDataURL": "http://example.com/a.png"}, "imageDataURL must start"),
        ("bitmask", {"imageDataURL": "data:image/png;base64,%%"}, "no PNG"),
        ("bitmask", {"imageDataURL": "data:image/png;base64,AAAA"}, "no PNG"),
        ("choices", {"choices": ["a"]}, "'choiceslabels' has no mask"),
    ],
)
def test_damaged_regions_are_refused(kind: str, value: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        codec.decode(region(f"{kind}labels", value))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"original_width": None}, "cannot have None x 5"),
        ({"original_width": 0}, "cannot have 0 x 5"),
        ({"original_width": "5"}, "cannot have '5' x 5"),
        ({"original_height": True}, "cannot have 5 x True"),
        ({"original_height": 10**9}, "cannot have 5 x 1000000000"),
        ({"original_height": 65536, "original_width": 65536}, "too large"),
        ({"original_height": 6}, "pixels"),
        ({"value": None}, "value must be an object"),
    ],
)
@pytest.mark.parametrize("kind", ["brush", "bitmask"])
def test_damaged_sizes_are_refused(kind: str, change: dict[str, Any], reason: str) -> None:
    (item,) = codec.encode(RING, answer(kind))
    with pytest.raises(InvalidInputError, match=reason):
        codec.decode({**copy.deepcopy(item), **change})
