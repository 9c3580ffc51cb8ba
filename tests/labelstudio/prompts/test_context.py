"""Contexts as Label Studio sends them: the recorded ones, and those that go wrong."""

import copy
import json
import math
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam_backend.errors import PromptError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.prompts.context import read_context
from sam_backend.labelstudio.prompts.object_prompts import Box, Click, ContextPrompts
from sam_backend.labelstudio.prompts.prompt_builder import place_prompts
from sam_backend.labelstudio.prompts.prompt_filter import Recalled
from sam_backend.labelstudio.prompts.task_regions import TaskRegions
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.codec import decode
from sam_backend.labelstudio.regions.rle_pack import pack

RECORDED = Path(__file__).parents[2] / "data" / "labelstudio"
SIZE = (100, 200)  # height, width

CONFIG = LabelConfig.parse("""<View>
  <Image name="image" value="$image"/>
  <Image name="other" value="$other"/>
  <BrushLabels name="brush" toName="image" smart="false"><Label value="Car"/></BrushLabels>
  <KeyPointLabels name="kp" toName="image" smart="true"><Label value="Car"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true" smartOnly="true">
    <Label value="Car"/></RectangleLabels>
  <RectangleLabels name="both" toName="image" smart="true"><Label value="Car"/></RectangleLabels>
  <RectangleLabels name="drawn" toName="image" smart="false"><Label value="Car"/></RectangleLabels>
  <EllipseLabels name="hint" toName="image" sam="prompt"><Label value="Car"/></EllipseLabels>
  <BrushLabels name="rough" toName="image" sam="prompt"><Label value="Car"/></BrushLabels>
  <PolygonLabels name="poly" toName="image" sam="prompt"><Label value="Car"/></PolygonLabels>
</View>""")


def region(
    region_id: str, kind: str, value: dict[str, Any], from_name: str, **more: Any
) -> dict[str, Any]:
    return {
        "id": region_id,
        "from_name": from_name,
        "to_name": "image",
        "type": f"{kind}labels",
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "value": {**value, f"{kind}labels": ["Car"]},
        "origin": "manual",
        **more,
    }


def click(region_id: str, x: Any, y: Any, is_positive: Any = True, **more: Any) -> dict[str, Any]:
    """A keypoint, percent; `is_positive=None` leaves it out, as one restored from a draft does."""
    sign = {} if is_positive is None else {"is_positive": is_positive}
    return region(region_id, "keypoint", {"x": x, "y": y, "width": 0.2}, "kp", **sign, **more)


def box(region_id: str, *numbers: Any, from_name: str = "rect", **more: Any) -> dict[str, Any]:
    """A rectangle, percent: x, y, width, height and, if given, rotation."""
    names = ("x", "y", "width", "height", "rotation")
    value = {"rotation": 0, **dict(zip(names, numbers, strict=False))}
    return region(region_id, "rectangle", value, from_name, **more)


def place(
    *regions: Any,
    drafts: list[Any] | None = None,
    annotations: list[Any] | None = None,
    recalled: Recalled | None = None,
    size: tuple[int, int] = SIZE,
) -> ContextPrompts:
    task = {
        "drafts": [{"result": drafts or [], "updated_at": "2026-11-23T14:00:00Z"}],
        "annotations": [{"result": annotations or []}],
    }
    reading = read_context({"result": list(regions)})
    assert reading is not None
    return place_prompts(reading, size, CONFIG, TaskRegions.of(task), recalled)


def asked(prompts: ContextPrompts) -> list[tuple[str, ...]]:
    """Ids of each object's prompts, box first."""
    return [tuple(item.region_id for item in one.items) for one in prompts.objects]


# ---------------------------------------------------------------- recorded requests


def recorded(name: str) -> tuple[ContextPrompts, str | None]:
    body = json.loads((RECORDED / f"predict_interactive_{name}.json").read_text())["body"]
    reading = read_context(body["params"]["context"])
    assert reading is not None
    assert reading.to_name == "image"
    config = LabelConfig.parse(body["label_config"])
    placed = place_prompts(reading, (1200, 1800), config, TaskRegions.of(body["tasks"][0]))
    assert placed.warnings == ()
    return placed, reading.label


@pytest.mark.parametrize(
    ("name", "label", "objects", "skipped"),
    [
        ("keypoint", "Car", [("XSud9a0SOG",)], []),
        ("keypoint_plus_Labels", "Wheel", [("UKq3ZWYYP2",)], []),
        ("pos_pos_neg", "Wheel", [("TNSUclgOrh", "XSAWmbUvUt", "yM5JajwubI")], []),
        ("rect", "Car", [("GO78Vb_RIK",)], []),
        ("two_rects", "Car", [("GO78Vb_RIK",), ("6ECoxM96Le",)], []),
        ("with_drafts_in_task", "Wheel", [("F4bWhBOG8A",)], []),
        (
            "restored_draft_point_leaks",
            "Car",
            [("uDmhC1s1hg", "QJZBrVGmgE", "mDXP1fTTDA")],
            ["EsJDh6MdDV"],
        ),
    ],
)
def test_recorded(
    name: str, label: str, objects: list[tuple[str, ...]], skipped: list[str]
) -> None:
    placed, found_label = recorded(name)
    assert found_label == label
    assert asked(placed) == objects
    assert [one.region_id for one in placed.skipped] == skipped


def test_recorded_clicks_in_pixels() -> None:
    [one] = recorded("pos_pos_neg")[0].objects
    prompt = one.prompt()
    expected = [(1079.79, 601.04), (1260.10, 601.04), (1260.10, 959.59)]
    assert np.allclose(prompt.points, expected, atol=0.01)
    assert prompt.labels.tolist() == [True, True, False]
    assert prompt.box is None


def test_recorded_box_in_pixels() -> None:
    [one] = recorded("rect")[0].objects
    assert np.allclose(one.prompt().box, (360.62, 601.04, 721.24, 839.38), atol=0.01)


def test_recorded_batch_has_no_context() -> None:
    body = json.loads((RECORDED / "predict_batch_null_context.json").read_text())["body"]
    assert read_context(body["params"]["context"]) is None


# ---------------------------------------------------------------- clicks


def test_value_positive_counts_too() -> None:
    regions = [click("a", 10, 10, None), click("b", 20, 20, None), click("c", 30, 30, False)]
    regions[0]["value"]["positive"] = True
    regions[1]["value"]["positive"] = False
    regions[2]["value"]["positive"] = True  # the result's own word wins
    [one] = place(*regions).objects
    assert [c.is_positive for c in one.clicks] == [True, False, False]


def test_only_negative_clicks_ask_for_nothing() -> None:
    with pytest.raises(PromptError, match="only negative"):
        place(click("a", 10, 10, False))


def test_a_keypoint_that_repeats_a_mask_is_no_click() -> None:
    """ "Keep label selected" adds the RLE of the accepted brush to a keypointlabels item."""
    repeated = click("a", 10, 10)
    repeated["value"]["rle"] = [1, 2]
    placed = place(repeated, click("b", 20, 20))
    assert asked(placed) == [("b",)]
    assert not placed.skipped[0].is_error


def test_a_click_of_a_saved_annotation_is_over() -> None:
    assert asked(place(click("a", 1, 1), click("b", 2, 2), annotations=[click("a", 1, 1)])) == [
        ("b",)
    ]


@pytest.mark.parametrize(
    ("x", "y", "pixel"),
    [(0, 0, (0, 0)), (50, 50, (100, 50)), (100, 100, (199, 99)), (-0.4, 100.4, (0, 99))],
)
def test_click_position(x: float, y: float, pixel: tuple[float, float]) -> None:
    [one] = place(click("a", x, y)).objects
    assert (one.clicks[0].x, one.clicks[0].y) == pixel


# ---------------------------------------------------------------- boxes


def test_rotated_rectangle_is_its_upright_box() -> None:
    """Label Studio turns clockwise around the corner (x, y), in pixels."""
    [one] = place(box("a", 50, 20, 20, 10, 90)).objects
    assert one.box is not None
    # 40 x 10 px at (100, 20), turned by 90 degrees: 10 px to the left, 40 px down.
    assert one.box.xyxy == pytest.approx((90, 20, 100, 60))


@pytest.mark.parametrize("rotation", [0, 30, 45, 135, 250, -20, 360])
def test_rotated_rectangle_keeps_its_area_inside(rotation: float) -> None:
    [one] = place(box("a", 50, 50, 10, 10, rotation)).objects
    assert one.box is not None
    width, height = one.box.x1 - one.box.x0, one.box.y1 - one.box.y0
    cos, sin = abs(math.cos(math.radians(rotation))), abs(math.sin(math.radians(rotation)))
    assert width == pytest.approx(20 * cos + 10 * sin)
    assert height == pytest.approx(20 * sin + 10 * cos)


def test_box_is_cut_to_the_image() -> None:
    [one] = place(box("a", -10, 90, 20, 50)).objects
    assert one.box is not None
    assert one.box.xyxy == pytest.approx((0, 90, 20, 100))


def test_box_and_clicks_in_one_context_join() -> None:
    placed = place(box("b", 0, 0, 20, 20), box("c", 50, 50, 20, 20), click("k", 60, 60))
    assert asked(placed) == [("b",), ("c", "k")]


def test_newest_is_marked() -> None:
    placed = place(box("a", 0, 0, 20, 20), box("b", 50, 50, 20, 20))
    assert [one.is_newest for one in placed.objects] == [False, True]


def test_all_chosen_labels_are_read() -> None:
    """As the page sends them with `choice="multiple"`, on a tag of its own and by `<Labels>`."""
    labels = ["Object", "Animal"]
    own = click("a", 10, 10)
    own["value"].update(labels=labels, keypointlabels=labels)
    value = {"x": 10, "y": 10, "width": 0.2, "labels": labels}
    bare = {"id": "b", "to_name": "image", "from_name": "kp", "type": "keypoint", "value": value}
    named = bare | {"from_name": "label", "type": "labels"}
    for items in ([own], [bare | {"is_positive": True}, named]):
        reading = read_context({"result": items})
        assert reading is not None
        assert (reading.label, reading.labels) == ("Object", ("Object", "Animal"))


# ---------------------------------------------------------------- leaked rectangles

FIRST, SECOND = (10, 10, 20, 20), (60, 60, 20, 20)


def mask_region(box_percent: tuple[int, int, int, int], **more: Any) -> dict[str, Any]:
    """A brush region whose pixels fill a box, given in percent."""
    x, y, width, height = box_percent
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + height, x * 2 : (x + width) * 2] = True
    value = {"format": "rle", "rle": pack(mask)}
    return region("mask", "brush", value, "brush", **more)


@pytest.mark.parametrize(
    ("rule", "first", "task", "recalled", "is_prompt"),
    [
        ("1: not smart", {"from_name": "drawn"}, {}, {}, False),
        ("2: settled", {}, {}, {"settled": frozenset("a")}, False),
        ("3: predicted", {"origin": "prediction"}, {}, {}, False),
        ("3: predicted, edited", {"origin": "prediction-changed"}, {}, {}, False),
        ("3: scored", {"score": 0.9}, {}, {}, False),
        ("4: saved", {}, {"annotations": [box("a", *FIRST)]}, {}, False),
        ("4 before 5", {}, {"annotations": [box("a", *FIRST)]}, {"pending": frozenset("a")}, False),
        ("5: once newest", {}, {"drafts": [box("a", *FIRST)]}, {"pending": frozenset("a")}, True),
        (
            "5 before 7",
            {},
            {"drafts": [box("a", *FIRST), mask_region(FIRST)]},
            {"pending": frozenset("a")},
            True,
        ),
        (
            "5 before 8",
            {"from_name": "both"},
            {"drafts": [box("a", *FIRST)]},
            {"pending": frozenset("a")},
            True,
        ),
        ("7: has its mask", {}, {"drafts": [box("a", *FIRST), mask_region(FIRST)]}, {}, False),
        ("7: perhaps another's", {}, {"annotations": [mask_region(FIRST)]}, {}, True),
        ("7: other mask", {}, {"drafts": [mask_region((40, 40, 9, 9))]}, {}, True),
        (
            "8: drawn by hand",
            {"from_name": "both"},
            {"drafts": [box("a", *FIRST, from_name="both")]},
            {},
            False,
        ),
        ("9: smartOnly", {}, {"drafts": [box("a", *FIRST)]}, {}, True),
        ("9: not saved yet", {"from_name": "both"}, {}, {}, True),
    ],
)
def test_rules(
    rule: str,
    first: dict[str, Any],
    task: dict[str, Any],
    recalled: dict[str, Any],
    is_prompt: bool,
) -> None:
    placed = place(
        box("a", *FIRST, **first), box("b", *SECOND), recalled=Recalled(**recalled), **task
    )
    assert asked(placed) == ([("a",), ("b",)] if is_prompt else [("b",)]), rule
    assert [one.is_error for one in placed.skipped] == ([] if is_prompt else [False])


def test_rule_6_a_new_box_on_an_old_mask_is_a_prompt() -> None:
    assert asked(place(box("b", *FIRST), annotations=[mask_region(FIRST)])) == [("b",)]


def test_the_newest_stays_if_circumstance_rules_all_out() -> None:
    """After a restart of ours, a box that was moved is sent again and stands in the draft."""
    regions = [box("a", *FIRST, from_name="both"), box("b", *SECOND, from_name="both")]
    assert asked(place(*regions, drafts=regions)) == [("b",)]
    masked = [mask_region(SECOND)]
    assert asked(place(regions[1], drafts=[regions[1]], annotations=masked)) == [("b",)]


def test_only_leaks_is_an_error_with_the_reasons() -> None:
    with pytest.raises(PromptError, match="saved annotation"):
        place(box("a", *FIRST), annotations=[box("a", *FIRST)])


# ---------------------------------------------------------------- joined by memory and by the task


def test_clicks_join_the_remembered_box_around_them() -> None:
    recalled = Recalled(boxes=(Box("far", 120, 0, 180, 60), Box("near", 0, 0, 60, 60)))
    [one] = place(click("k", 10, 10), click("n", 20, 20, False), recalled=recalled).objects
    assert [item.region_id for item in one.items] == ["near", "k", "n"]
    prompt = one.prompt()
    assert prompt.box is not None
    assert prompt.box.tolist() == [0, 0, 60, 60]
    assert len(prompt.points) == 2


def test_a_negative_click_refines_the_box_around_it() -> None:
    recalled = Recalled(boxes=(Box("b", 0, 0, 60, 60),))
    assert asked(place(click("n", 10, 10, False), recalled=recalled)) == [("b", "n")]


@pytest.mark.parametrize(("x", "joins"), [(30.5, True), (35, False)])
def test_a_click_just_outside_the_box_still_joins(x: float, joins: bool) -> None:
    recalled = Recalled(boxes=(Box("b", 0, 0, 60, 60),))  # 60 px are 30 %
    assert asked(place(click("k", x, 10), recalled=recalled)) == [("b", "k") if joins else ("k",)]


def test_the_first_positive_click_decides() -> None:
    recalled = Recalled(boxes=(Box("b", 0, 0, 60, 60),))
    clicks = [click("n", 90, 90, False), click("k", 10, 10), click("l", 90, 10)]
    assert asked(place(*clicks, recalled=recalled)) == [("b", "n", "k", "l")]
    assert asked(place(clicks[2], clicks[1], recalled=recalled)) == [("l", "k")]


def test_remembered_clicks_stay_with_their_box() -> None:
    """A second box is drawn after the first was refined; its context leaves the clicks out."""
    refined = Recalled(clicks={"a": (Click("k", 30, 20, True),)})
    placed = place(box("a", *FIRST), box("b", *SECOND), recalled=refined)
    assert asked(placed) == [("a", "k"), ("b",)]


HINTS = {
    "ellipse": region("h", "ellipse", {"x": 30, "y": 30, "radiusX": 10, "radiusY": 20}, "hint"),
    "polygon": region("h", "polygon", {"points": [[20, 10], [40, 10], [30, 50]]}, "poly"),
    "brush": {**mask_region((20, 10, 20, 40)), "id": "h", "from_name": "rough"},
}


@pytest.mark.parametrize("kind", HINTS)
def test_marked_regions_of_the_draft_serve_as_prompts(kind: str) -> None:
    [one] = place(click("k", 30, 30), drafts=[HINTS[kind]]).objects
    assert one.box is not None
    assert one.box.xyxy == pytest.approx((40, 10, 80, 50))
    assert one.box.source == "task"
    assert (one.mask is not None) == (kind == "brush")
    if one.mask is not None:
        assert one.mask.sum() == 40 * 40
    assert asked(place(click("k", 90, 90), drafts=[HINTS[kind]])) == [("k",)]


@pytest.mark.parametrize("kind", HINTS)
def test_marked_regions_of_annotations_may_be_another_persons(kind: str) -> None:
    assert asked(place(click("k", 30, 30), annotations=[HINTS[kind]])) == [("k",)]


def rough(region_id: str, *percent: float) -> dict[str, Any]:
    """A brush region that is marked `sam="prompt"`."""
    return {**mask_region(percent), "id": region_id, "from_name": "rough"}


def test_of_many_marked_brushes_the_newest_count() -> None:
    old, new = rough("old", 0, 0, 20, 20), rough("new", 50, 50, 20, 20)
    between = [rough(str(number), 80, 80, 10, 10) for number in range(49)]
    oval = {**HINTS["ellipse"], "id": "oval"}
    task = {"drafts": [old, oval, *between, new]}
    assert asked(place(click("k", 60, 60), **task)) == [("new", "k")]
    assert asked(place(click("k", 10, 10), **task)) == [("k",)]
    assert asked(place(click("k", 30, 40), **task)) == [("oval", "k")]


def test_one_full_size_mask_is_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred brush regions on a photo of 20 megapixels would take 2 GB."""
    decoded: list[weakref.ref[Any]] = []

    def watched(item: dict[str, Any]) -> Any:
        assert [one() for one in decoded if one() is not None] == []
        mask = decode(item)
        decoded.append(weakref.ref(mask))
        return mask

    monkeypatch.setattr(codec, "decode", watched)
    brushes = [rough(str(number), 10 * number, 10, 10, 10) for number in range(5)]
    [one] = place(click("k", 25, 15), drafts=brushes).objects
    assert one.mask is not None
    assert one.mask[10:20, 40:60].all()
    assert one.mask.sum() == 10 * 20


def test_unmarked_and_unlike_regions_of_the_task_are_none() -> None:
    others = [
        mask_region((20, 10, 20, 40)),
        {**HINTS["ellipse"], "to_name": "other"},
        {**HINTS["ellipse"], "item_index": 3},
        {**HINTS["ellipse"], "value": {**HINTS["ellipse"]["value"], "ellipselabels": ["Bus"]}},
    ]
    for other in others:
        assert asked(place(click("k", 30, 30), drafts=[other])) == [("k",)]


def test_a_mask_drawn_at_another_size_is_fitted() -> None:
    brush = {**HINTS["brush"], "original_width": SIZE[1], "original_height": SIZE[0]}
    [one] = place(click("k", 30, 30), drafts=[brush], size=(50, 100)).objects
    assert one.mask is not None
    assert one.mask.shape == (50, 100)
    assert one.mask.sum() == 20 * 20


# ---------------------------------------------------------------- another size than was drawn on


def test_percent_count_of_the_real_image() -> None:
    placed = place(click("a", 50, 50, original_width=2000, original_height=1000))
    assert (placed.objects[0].clicks[0].x, placed.objects[0].clicks[0].y) == (100, 50)
    assert placed.warnings == ()


@pytest.mark.parametrize("drawn", [(100, 200), (200, 90), (20_000, 8800)])
def test_another_aspect_is_a_warning(drawn: tuple[int, int]) -> None:
    placed = place(click("a", 50, 50, original_width=drawn[0], original_height=drawn[1]))
    assert (placed.objects[0].clicks[0].x, placed.objects[0].clicks[0].y) == (100, 50)
    assert f"{drawn[0]}x{drawn[1]}" in placed.warnings[0]
    assert "200x100" in placed.warnings[0]


@pytest.mark.parametrize("side", [0, None, "wide", -1, float("nan"), 10**400, True])
def test_a_senseless_size_is_passed_over(side: Any) -> None:
    placed = place(click("a", 50, 50, original_width=side, original_height=side))
    assert asked(placed) == [("a",)]


# ---------------------------------------------------------------- malformed

GOOD = click("good", 50, 50)


def without(item: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != key}


def valued(item: dict[str, Any], **value: Any) -> dict[str, Any]:
    return {**item, "value": {**item["value"], **value}}


BAD: dict[str, Any] = {
    "not an object": 7,
    "null": None,
    "no id": without(GOOD, "id"),
    "id is a list": {**GOOD, "id": []},
    "no type": without({**GOOD, "id": "x"}, "type"),
    "unknown type": {**GOOD, "id": "x", "type": "audio"},
    "unhashable type": {**GOOD, "id": "x", "type": ["keypointlabels"]},
    "no value": without({**GOOD, "id": "x"}, "value"),
    "value is a list": {**GOOD, "id": "x", "value": [1]},
    "no from_name": without({**GOOD, "id": "x"}, "from_name"),
    "unknown control": {**GOOD, "id": "x", "from_name": "nobody"},
    "from_name is a number": {**GOOD, "id": "x", "from_name": 3},
    "NaN": click("x", float("nan"), 50),
    "infinite": click("x", 50, float("inf")),
    "huge": click("x", 10**400, 50),
    "text": click("x", "50", 50),
    "missing y": click("x", 50, None),
    "true for a number": click("x", True, 50),
    "outside": click("x", 101, 50),
    "far outside": click("x", 50, -1e300),
    "sign is a text": click("x", 50, 50, "yes"),
    "zero width": box("x", 10, 10, 0, 10),
    "zero height": box("x", 10, 10, 10, 0),
    "thinner than a pixel": box("x", 10, 10, 0.4, 10),
    "box outside": box("x", 101, 10, 10, 10),
    "box without height": box("x", 10, 10, 10),
    "rotation is a text": box("x", 10, 10, 10, 10, "90"),
    "overflowing box": box("x", 1e308, 10, 1e308, 10, 45),
    "only a label": {**GOOD, "id": "x", "type": "labels"},
    "other label": valued({**GOOD, "id": "x"}, keypointlabels=["Bus"]),
    "label is a number": valued({**GOOD, "id": "x"}, keypointlabels=[3]),
    "other image": {**GOOD, "id": "x", "to_name": "other"},
    "other item": {**GOOD, "id": "x", "item_index": 1},
}


LONG = "x" * 10_000
ENDLESS: dict[str, Any] = {
    "id": {**GOOD, "id": LONG},
    "id in a list": {**GOOD, "id": [LONG]},
    "coordinate": click("x", LONG, 50),
    "is_positive": click("x", 50, 50, LONG),
    "type": {**GOOD, "id": "x", "type": LONG},
    "value": {**GOOD, "id": "x", "value": LONG},
    "from_name": {**GOOD, "id": "x", "from_name": LONG},
    "from_name in a list": {**GOOD, "id": "x", "from_name": [LONG]},
    "label": valued({**GOOD, "id": "x"}, keypointlabels=[LONG]),
    "width": {**rough("x", 10, 10, 10, 10), "original_width": LONG},
    "mask": {**rough("x", 10, 10, 10, 10), "value": {"rle": LONG, "brushlabels": ["Car"]}},
}


@pytest.mark.parametrize("name", ENDLESS)
def test_reasons_are_short_whatever_was_sent(name: str) -> None:
    [skipped] = place(ENDLESS[name], GOOD).skipped
    assert len(skipped.region_id) <= 100
    assert len(skipped.reason) < 400


@pytest.mark.parametrize("name", BAD)
def test_a_bad_region_is_left_out(name: str) -> None:
    with np.errstate(all="ignore"):
        placed = place(BAD[name], GOOD)
    assert asked(placed) == [("good",)]
    assert len(placed.skipped) == 1
    assert placed.skipped[0].reason


@pytest.mark.parametrize("name", [name for name in BAD if not name.startswith("other")])
def test_nothing_left_is_an_error_that_says_why(name: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(PromptError, match="no prompt"):
        place(BAD[name] if name != "label is a number" else click("x", 200, 50))


@pytest.mark.parametrize("context", [[], "x", 3, {"result": {}}, {"result": "x"}])
def test_no_context_at_all_is_an_error(context: Any) -> None:
    with pytest.raises(PromptError):
        read_context(context)


@pytest.mark.parametrize("context", [{}, {"result": None}, {"result": []}])
def test_an_empty_context_is_none(context: Any) -> None:
    reading = read_context(context)
    assert reading is not None
    assert reading.is_empty
    with pytest.raises(PromptError):
        _ = reading.to_name


@pytest.mark.parametrize(
    "task",
    [
        None,
        [],
        "x",
        {},
        {"drafts": None, "annotations": {}},
        {"drafts": [None, 3, {"result": None}], "annotations": ["x", {"result": [None, "y"]}]},
        {"drafts": [{"result": [{}, {"id": None, "value": 3, "from_name": "poly"}]}]},
        {"annotations": [{"result": [{**HINTS["brush"], "value": {"rle": "x"}}]}]},
        {"annotations": [{"result": [{**HINTS["polygon"], "value": {"points": [[1], 2, 3]}}]}]},
    ],
)
def test_a_malformed_task_is_passed_over(task: Any) -> None:
    reading = read_context({"result": [GOOD]})
    assert reading is not None
    assert asked(place_prompts(reading, SIZE, CONFIG, TaskRegions.of(task))) == [("good",)]


# Regions as they should be, with some fields replaced by any JSON.
SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5)
ODD = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=5)
SOUND = [
    click("a", 10, 10),
    click("b", 20, 20, False),
    click("c", 30, 30, None),
    box("d", 5, 5, 50, 50),
    box("e", 5, 5, 50, 50, 30, from_name="both"),
    *HINTS.values(),
    mask_region((20, 10, 20, 40)),
]


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    found = copy.deepcopy(draw(st.sampled_from(SOUND)))
    for _ in range(draw(st.integers(0, 2))):
        part = found if draw(st.booleans()) else found["value"]
        part[draw(st.sampled_from(sorted(part)))] = draw(ODD | st.floats(-20, 120))
        if not isinstance(found["value"], dict):
            break
    return found


REGIONS = st.lists(damaged() | ODD, max_size=4)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(REGIONS, REGIONS, REGIONS)
def test_no_context_makes_anything_but_prompts_or_a_prompt_error(
    result: Any, draft: Any, annotation: Any
) -> None:
    task = {"drafts": [{"result": draft}], "annotations": [{"result": annotation}]}
    with np.errstate(all="ignore"):
        try:
            reading = read_context({"result": result})
            assert reading is not None
            placed = place_prompts(reading, SIZE, CONFIG, TaskRegions.of(task))
        except PromptError:
            return
    assert placed.objects
    for one in placed.objects:
        prompt = one.prompt()
        assert (prompt.points >= 0).all()
        assert (prompt.points < (SIZE[1], SIZE[0])).all()
