"""From proposals to what is shown, and as which regions."""

from dataclasses import replace

import numpy as np
import pytest

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.labelstudio.regions import codec
from sam_backend.masks.rle import decode, encode
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.semi_automatic.prefill import Prefiller
from sam_backend.semi_automatic.proposers.existing import Existing
from sam_backend.semi_automatic.regions import RegionWriter
from sam_backend.semi_automatic.task_prefill import TaskPrefiller
from sam_backend.settings import Settings
from tests.semi_automatic.records import SIZE, block, record

CAR = record(block(10, 10, 60, 40), 0.95, 0.97)
WHEEL = record(block(15, 30, 25, 40), 0.9, 0.96)
TREE = record(block(65, 5, 78, 50), 0.85, 0.92)  # to review
NOISE = record(block(0, 50, 30, 60), 0.5, 0.9)
SPECK = record(block(70, 55, 74, 59), 0.99, 0.99)  # 16 px

CONFIG = """<View><Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image">
    <Label value="Thing"/><Label value="Maybe"/>
  </BrushLabels>
  {more}</View>"""
POLYGON = (
    '<PolygonLabels name="polygon" toName="image"><Label value="Thing"/>'
    '<Label value="Maybe" alias="maybe"/></PolygonLabels>'
)
POINTS = '<KeyPointLabels name="point" toName="image"><Label value="Thing"/></KeyPointLabels>'


def judgement(drawn=(), **settings):
    prefiller = Prefiller(PrefillSettings(**settings), Existing())
    return prefiller.choose([NOISE, WHEEL, CAR, TREE, SPECK], SIZE, drawn)


def regions(found, more: str = "", **settings):
    config = LabelConfig.parse(CONFIG.format(more=more))
    writer = RegionWriter(config, config.images[0], PrefillSettings(**settings))
    return writer, writer.masks(found.shown)


def test_every_mask_has_one_end() -> None:
    found = judgement()
    assert [one.record for one in found.shown] == [CAR, TREE, WHEEL, SPECK]
    assert found.counts() == {
        "accepted": 3, "review": 1, "discarded": 1, "cut": 0, "repeats": 0, "nested": 0,
        "duplicates": 0,
    }  # fmt: skip
    assert found.gaps.coverage == pytest.approx((50 * 30 + 16) / 4800)
    assert [gap.area_px for gap in found.gaps.largest] == [13 * 45, 30 * 10]
    assert found.score == pytest.approx((0.95 * 1500 + 0.99 * 16) / 4800)


def test_drawn_masks_rules_and_limits() -> None:
    drawn = judgement(drawn=[block(10, 10, 60, 41)])
    assert [one.record for one in drawn.shown] == [TREE, WHEEL, SPECK]
    assert drawn.gaps.coverage == pytest.approx((50 * 31 + 16) / 4800)
    whole = judgement(nesting="whole")
    assert whole.counts()["nested"] == 1
    assert WHEEL not in [one.record for one in whole.shown]
    capped = judgement(max_masks=1)
    assert [one.record for one in capped.shown] == [CAR]
    assert capped.counts()["cut"] == 3
    assert capped.gaps.coverage == pytest.approx(1500 / 4800)


def test_drawn_rectangles_count_as_drawn() -> None:
    """Also where the mask is not sure enough to be shown: it is no gap then."""
    boxes = np.array([[10.0, 10.0, 60.0, 41.0], [0.0, 50.0, 30.0, 60.0]])
    prefiller = Prefiller(PrefillSettings(), Existing())
    found = prefiller.choose([NOISE, WHEEL, CAR, TREE, SPECK], SIZE, (), boxes)
    assert [one.record for one in found.shown] == [TREE, WHEEL, SPECK]
    assert [one.judged.record for one in found.repeats] == [CAR]
    assert found.gaps.coverage == pytest.approx((50 * 30 + 16) / 4800)
    assert [gap.area_px for gap in found.gaps.largest] == [13 * 45]


def test_masks_go_to_the_tag_that_has_their_label() -> None:
    """Two tags, as organ and lesion; a classifier names each mask."""
    lesion = '<PolygonLabels name="lesion" toName="image"><Label value="Tumor"/></PolygonLabels>'
    writer, (shown, _) = regions(judgement(), lesion, label="Thing", review_label="Tumor")
    assert [region["from_name"] for region in shown] == ["brush", "lesion", "brush", "brush"]
    assert shown[1]["value"]["polygonlabels"] == ["Tumor"]
    assert writer.labels() == ["Tumor", "Thing", "Maybe"]
    named, _ = writer.masks(judgement().shown, {0: ("Tumor",)})
    assert [region["from_name"] for region in named] == ["lesion", "lesion", "brush", "brush"]


def test_regions_show_the_masks() -> None:
    _, (shown, n_empty) = regions(judgement(), min_area_px=0)
    assert n_empty == 0
    assert [region["from_name"] for region in shown] == ["brush"] * 4
    for region, wanted in zip(shown, (CAR, TREE, WHEEL, SPECK), strict=True):
        assert (codec.decode(region) == decode(wanted.rle)).all()
        assert region["score"] == wanted.predicted_iou
        assert region["value"]["brushlabels"] == ["Thing"]
    assert len({region["id"] for region in shown}) == 4


def test_specks_go_by_the_prefill_settings_unless_the_tag_says_otherwise() -> None:
    """A bulk import keeps its masks to the pixel; `sam_min_area_px` cleans nevertheless."""
    mask = decode(CAR.rle) | decode(SPECK.rle)
    both = replace(CAR, rle=encode(mask))
    found = Prefiller(PrefillSettings(), Existing()).choose([both], SIZE)
    settings = PrefillSettings(min_area_px=0)
    for attribute, kept in (("", mask), (' sam_min_area_px="50"', decode(CAR.rle))):
        config = LabelConfig.parse(
            CONFIG.format(more="").replace(' name="brush"', f' name="b"{attribute}')
        )
        [region], _ = RegionWriter(config, config.images[0], settings).masks(found.shown)
        assert (codec.decode(region) == kept).all()


def test_a_mask_under_a_speck_keeps_its_largest_part() -> None:
    _, (shown, n_empty) = regions(judgement(), min_area_px=100)
    assert (len(shown), n_empty) == (4, 0)


def test_masks_to_review_have_their_label() -> None:
    _, (shown, _) = regions(judgement(), review_label="Maybe")
    assert [region["value"]["brushlabels"] for region in shown] == [
        ["Thing"], ["Maybe"], ["Thing"], ["Thing"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "output", "used"),
    [
        ("", "auto", "brush"),
        (POLYGON, "auto", "polygon"),
        (POLYGON, "brush", "brush"),
        ('<Rectangle name="r" toName="image"/>', "auto", "brush"),
        (POLYGON.replace("<PolygonLabels", '<PolygonLabels sam="prompt"'), "auto", "brush"),
    ],
)
def test_the_lightest_tag_is_taken(more: str, output: str, used: str) -> None:
    writer, _ = regions(judgement(), more, output=output)
    assert writer.output.kind == used


def test_points_say_where_to_look_and_are_no_prompts() -> None:
    writer, _ = regions(judgement(), POINTS, gap_points=1)
    [point] = writer.points(judgement().gaps.largest, SIZE)
    assert point["type"] == "keypointlabels"
    assert "is_positive" not in point
    x, y = point["value"]["x"] * 80 / 100, point["value"]["y"] * 60 / 100
    assert decode(TREE.rle)[round(y), round(x)]
    assert regions(judgement(), POINTS)[0].points(judgement().gaps.largest, SIZE) == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"label": "Car"}, "tag 'brush' has no label 'Car' .*'Thing', 'Maybe'"),
        ({"review_label": "Car"}, "no label 'Car'"),
        ({"output": "bitmask"}, r"output is 'bitmask', .* no such tag \(it has: brush\)"),
    ],
)
def test_what_the_config_lacks_is_named(settings: dict[str, str], says: str) -> None:
    with pytest.raises(LabelConfigError, match=says):
        regions(judgement(), **settings)


def test_a_config_whose_images_are_not_served_says_so() -> None:
    config = LabelConfig.parse('<View><Image name="g" valueList="$urls"/></View>')
    resolver = image_resolver(Settings())
    with pytest.raises(LabelConfigError, match=r"no image that is served .*'g': galleries"):
        TaskPrefiller(Prefiller(PrefillSettings(), Existing()), config, resolver, 10**6)


def test_points_without_a_tag_for_them() -> None:
    writer, _ = regions(judgement(), gap_points=2)
    with pytest.raises(LabelConfigError, match="gap_points is 2, but no KeyPoint tag"):
        writer.points(judgement().gaps.largest, SIZE)
