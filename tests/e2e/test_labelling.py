"""The main job: an annotator clicks in Label Studio and SAM's mask appears, is kept and saved."""

from pathlib import Path

import pytest

from tests.e2e.conftest import OpenTask
from tests.e2e.decoding import bounding_box, iou, mask_of
from tests.e2e.scene import Scene

pytestmark = pytest.mark.e2e

DISC, BOX, ELLIPSE = (180, 170), (485, 170), (350, 380)


@pytest.mark.parametrize(
    "open_task", ["brush", "polygon", "rectangle", "bitmask"], indirect=True, ids=str
)
def test_a_click_becomes_a_saved_region(
    open_task: OpenTask, scene: Scene, artifacts: Path, request: pytest.FixtureRequest
) -> None:
    output = request.node.callspec.params["open_task"]
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")

    (suggestion,) = page.click(*DISC)

    truth = scene.masks["disc"]
    shown = mask_of(suggestion)
    assert iou(shown, bounding_box(truth) if output == "rectangle" else truth) > 0.8
    assert suggestion["value"][suggestion["type"]] == ["Object"]
    page.screenshot(artifacts / f"click-{output}.png")

    page.accept()
    page.submit()

    (saved,) = open_task.saved_result()
    assert saved["from_name"] == "mask"
    assert saved["value"][saved["type"]] == ["Object"]
    assert (mask_of(saved) == shown).all()


def test_more_clicks_refine_the_mask(open_task: OpenTask, scene: Scene, artifacts: Path) -> None:
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")
    page.click(*DISC)

    page.choose_label("click", "Object")
    (second,) = page.click(*ELLIPSE)
    both = mask_of(second)
    assert both[ELLIPSE[1], ELLIPSE[0]]

    page.choose_label("click", "Object")
    (third,) = page.click(*ELLIPSE, is_positive=False)
    page.screenshot(artifacts / "negative-click.png")
    less = mask_of(third)
    assert not less[ELLIPSE[1], ELLIPSE[0]]
    assert (less & scene.masks["ellipse"]).sum() < (both & scene.masks["ellipse"]).sum()


def test_a_box_and_a_click_make_two_objects(
    open_task: OpenTask, scene: Scene, artifacts: Path
) -> None:
    page = open_task.page
    page.use_boxes()
    page.choose_label("box", "Animal")
    (boxed,) = page.drag(380, 80, 590, 260)
    assert iou(mask_of(boxed), scene.masks["box"]) > 0.8
    page.accept()

    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(*DISC)
    assert iou(mask_of(clicked), scene.masks["disc"]) > 0.8
    page.accept()
    page.submit()
    page.screenshot(artifacts / "submitted.png")

    saved = open_task.saved_result()
    labels = {region["value"]["brushlabels"][0]: mask_of(region) for region in saved}
    assert len(saved) == 2
    assert (labels["Animal"] == mask_of(boxed)).all()
    assert (labels["Object"] == mask_of(clicked)).all()


def test_two_pending_boxes_give_a_mask_each(open_task: OpenTask, scene: Scene) -> None:
    page = open_task.page
    page.use_boxes()
    page.choose_label("box", "Object")
    page.drag(380, 80, 590, 260)
    page.choose_label("box", "Object")
    found = page.drag(75, 65, 285, 275)

    assert len(found) == 2
    best = {
        name: max(iou(mask_of(region), scene.masks[name]) for region in found)
        for name in ("box", "disc")
    }
    assert min(best.values()) > 0.8, best


@pytest.mark.parametrize("open_task", ["brush", "bitmask"], indirect=True, ids=str)
def test_a_saved_annotation_opens_again(open_task: OpenTask) -> None:
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")
    (suggestion,) = page.click(*DISC)
    page.accept()
    page.submit()

    page.open_task(open_task.project, open_task.task)

    (region,) = page.regions()
    assert (mask_of(region) == mask_of(suggestion)).all()
