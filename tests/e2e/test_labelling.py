"""The main job: an annotator clicks in Label Studio and SAM's mask appears, is kept and saved."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from sam_backend.datasets.left_out import LeftOut
from sam_backend.demo.images import demo_images
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.masks.rle import decode
from tests.e2e.browser import LabellingPage
from tests.e2e.conftest import REPOSITORY, OpenTask
from tests.e2e.decoding import bounding_box, iou, mask_of, union_of
from tests.e2e.people import Person
from tests.e2e.scene import HEIGHT, WIDTH, Scene

pytestmark = pytest.mark.e2e

ON_DISC = (150, 150)
PICTURES = {
    "click": (240, 90, 1180, 960),
    "annotators-tools": (240, 90, 1180, 960),
    "annotators-settings": (460, 90, 1040, 850),
}
"""What is kept of each picture: left, top, right, bottom in pixels."""

AROUND_DISC, AROUND_BOX = (57, 57, 243, 243), (322, 52, 508, 218)


@pytest.mark.parametrize(
    "open_task", ["brush", "polygon", "rectangle", "bitmask"], indirect=True, ids=str
)
def test_a_click_becomes_a_saved_region(
    open_task: OpenTask, scene: Scene, artifacts: Path, request: pytest.FixtureRequest
) -> None:
    output = request.node.callspec.params["open_task"]
    truth = scene.masks["disc"]
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")

    suggestions = page.click(*ON_DISC)

    page.screenshot(artifacts / f"click-{output}.png")
    shown = union_of(suggestions)
    quality = iou(shown, bounding_box(truth) if output == "rectangle" else truth)
    assert quality > 0.8

    page.accept()
    page.submit()

    saved = open_task.saved_result()
    assert (union_of(saved) == shown).all()
    for region in saved:
        assert region["from_name"] == "mask"
        assert region["value"][region["type"]] == ["Object"]


def test_key_1_and_a_click_on_a_page_as_it_opens_draw_nothing(open_task: OpenTask) -> None:
    """The first label is the smart point's: no brush paints a dot that nobody sees."""
    page = open_task.page
    page.page.locator(".konvajs-content").hover()
    page.page.keyboard.press("1")
    page.page.mouse.click(*page.on_screen(*ON_DISC))
    page.page.wait_for_timeout(1000)
    assert page.regions() == []

    page.use_clicks()
    page.page.keyboard.press("1")
    (suggestion,) = page.click(*ON_DISC)
    assert suggestion["from_name"] == "mask"


def test_more_clicks_refine_the_mask(open_task: OpenTask, scene: Scene, artifacts: Path) -> None:
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")
    (suggestion,) = page.click(*ON_DISC)
    disc_only = mask_of(suggestion)
    around = np.hypot(*np.mgrid[-135 : HEIGHT - 135, -470 : WIDTH - 470]) < 25
    assert not (disc_only & around).any()

    page.choose_label("click", "Object")
    (suggestion,) = page.click(350, 135)
    page.screenshot(artifacts / "second-click.png")
    with_box = mask_of(suggestion)
    assert with_box[135, 350]
    assert with_box[ON_DISC[1], ON_DISC[0]]

    page.choose_label("click", "Object")
    (suggestion,) = page.click(470, 135, is_positive=False)
    page.screenshot(artifacts / "negative-click.png")
    without = mask_of(suggestion)
    assert not without[135, 470]
    assert (without & around).sum() < (with_box & around).sum()


def test_a_box_and_a_click_make_two_objects(
    open_task: OpenTask, scene: Scene, artifacts: Path
) -> None:
    page = open_task.page
    page.use_boxes()
    page.choose_label("box", "Animal")
    (boxed,) = page.drag(*AROUND_BOX)
    quality = iou(mask_of(boxed), scene.masks["box"])
    assert quality > 0.8
    page.accept()

    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(*ON_DISC)
    quality = iou(mask_of(clicked), scene.masks["disc"])
    assert quality > 0.8
    page.accept()
    page.screenshot(artifacts / "two-objects.png")
    page.submit()

    saved = open_task.saved_result()
    by_label = {region["value"]["brushlabels"][0]: mask_of(region) for region in saved}
    assert len(saved) == 2
    assert (by_label["Animal"] == mask_of(boxed)).all()
    assert (by_label["Object"] == mask_of(clicked)).all()


def test_two_pending_boxes_give_a_mask_each(open_task: OpenTask, scene: Scene) -> None:
    page = open_task.page
    page.use_boxes()
    page.choose_label("box", "Object")
    page.drag(*AROUND_BOX)
    page.choose_label("box", "Object")
    found = page.drag(*AROUND_DISC)

    assert len(found) == 2
    best = {
        name: max(iou(mask_of(region), scene.masks[name]) for region in found)
        for name in ("box", "disc")
    }
    assert min(best.values()) > 0.8, best


def test_two_people_on_one_task_never_get_each_others_box(
    open_task: OpenTask, browser: Browser, label_studio: LocalLabelStudio, scene: Scene
) -> None:
    """Anna's pending box holds the ellipse's left half; Ben clicks inside it."""
    truth, left_half, inside = scene.masks["ellipse"], (125, 330, 300, 510), (220, 420)
    Person.new(label_studio, "ben-beside@example.com")
    anna, ben = open_task.page, LabellingPage(browser, label_studio.url)
    try:
        ben.login("ben-beside@example.com", "correct horse")
        ben.open_task(open_task.project, open_task.task)
        ben.turn_on_auto_annotation()
        ben.use_clicks()
        anna.use_boxes()
        anna.choose_label("box", "Object")
        ben.choose_label("click", "Object")
        with anna.draft_saved():
            anna.drag(*left_half)
            (at_once,) = ben.click(*inside)
        ben.choose_label("click", "Object")
        (later,) = ben.click(260, 430)
        assert iou(mask_of(at_once), truth) > 0.8
        assert iou(mask_of(later), truth) > 0.8

        anna.use_clicks()
        anna.choose_label("click", "Object")
        (hers,) = anna.click(*inside, in_region=True)
        outside = mask_of(hers).copy()
        outside[330:510, 125:300] = False
        assert outside.sum() < 0.1 * mask_of(hers).sum(), "her box still counts for her"
    finally:
        ben.close()


def test_rejecting_leaves_nothing(open_task: OpenTask) -> None:
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")
    page.click(*ON_DISC)

    page.reject()

    assert page.suggestions() == []
    assert page.regions() == []


@pytest.mark.parametrize("open_task", ["brush", "bitmask"], indirect=True, ids=str)
def test_a_saved_annotation_opens_again(open_task: OpenTask) -> None:
    page = open_task.page
    page.use_clicks()
    page.choose_label("click", "Object")
    (suggestion,) = page.click(*ON_DISC)
    page.accept()
    page.submit()

    page.open_task(open_task.project, open_task.task)

    (region,) = page.regions()
    assert (mask_of(region) == mask_of(suggestion)).all()


def test_a_click_on_a_real_photo(
    open_image: Callable[[bytes, str], OpenTask], artifacts: Path
) -> None:
    page = open_image(demo_images()["rocket.jpg"], "brush").page
    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(322, 250)
    page.screenshot(artifacts / "click-photo.png")
    mask = mask_of(clicked)
    assert mask[250, 322]
    assert mask.mean() < 0.2


def test_a_coin_by_a_click_and_by_a_box(
    open_image: Callable[[bytes, str], OpenTask], artifacts: Path
) -> None:
    """On a real photo: the pictures of README and of docs/annotators.md.

    With KEEP_PICTURES=1 they replace those in docs/.
    """
    page = open_image(demo_images()["coins.png"], "brush").page
    page.page.set_viewport_size({"width": 1500, "height": 960})
    page.open_smart_tools()
    page.screenshot(artifacts / "annotators-tools.png")
    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(213, 193)
    page.screenshot(artifacts / "click.png")
    page.reject()
    page.use_boxes()
    page.choose_label("box", "Object")
    (boxed,) = page.drag(186, 166, 240, 220)
    page.screenshot(artifacts / "box-photo.png")
    coin = cv2.circle(np.zeros(mask_of(boxed).shape, np.uint8), (213, 193), 22, 1, thickness=-1) > 0
    assert iou(mask_of(clicked), coin) > 0.75
    assert iou(mask_of(boxed), coin) > 0.75
    page.open_settings()
    page.screenshot(artifacts / "annotators-settings.png")
    if os.environ.get("KEEP_PICTURES"):
        for name, box in PICTURES.items():
            with Image.open(artifacts / f"{name}.png") as whole:
                whole.convert("RGB").crop(box).save(REPOSITORY / "docs" / f"{name}.png")


TURNABLE = """<View>
  <Image name="image" value="$image" rotateControl="true" width="50%"/>
  <BrushLabels name="mask" toName="image" smart="false"><Label value="Object"/></BrushLabels>
  <PolygonLabels name="polygon" toName="image"><Label value="Object"/></PolygonLabels>
  <EllipseLabels name="ellipse" toName="image"><Label value="Object"/></EllipseLabels>
  <KeyPointLabels name="click" toName="image" smart="true" smartOnly="true">
    <Label value="Object"/>
  </KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true" smartOnly="true">
    <Label value="Object"/>
  </RectangleLabels>
  <RectangleLabels name="frame" toName="image" smart="false">
    <Label value="Animal"/>
  </RectangleLabels>
</View>"""


def test_a_picture_that_the_annotator_turned(
    open_image: Callable[[bytes, str], OpenTask], scene: Scene, artifacts: Path
) -> None:
    """Key point and rectangle, as prompts, and all shapes, drawn by hand, count pixels of the
    picture as it is stored."""
    height = 420  # not square, so that a turn shows
    truth = {name: mask[:height] for name, mask in scene.masks.items()}
    png = cv2.imencode(".png", cv2.cvtColor(scene.image[:height], cv2.COLOR_RGB2BGR))[1].tobytes()
    task = open_image(png, TURNABLE)
    page = task.page
    page.turn_right()
    for name, (x, y) in {"disc": ON_DISC, "box": (335, 205), "ellipse": (300, 380)}.items():
        assert np.allclose(page.colour_at(x, y), scene.image[y, x], atol=12), name

    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(*ON_DISC)
    page.screenshot(artifacts / "turned-click.png")
    assert iou(mask_of(clicked), truth["disc"]) > 0.8
    page.accept()
    page.use_boxes()
    page.choose_label("box", "Object")
    (boxed,) = page.drag(*AROUND_BOX)
    assert iou(mask_of(boxed), truth["box"]) > 0.8
    page.accept()

    corners = [(330, 60), (500, 60), (500, 210), (330, 210)]
    page.draw("polygon-tool", ("polygon", "Object"), *corners)
    page.draw("ellipse-tool", ("ellipse", "Object"), (150, 150), (235, 235))
    page.draw("brush-tool", ("mask", "Object"), (200, 380), (400, 380))
    frames = {90: (240, 398, 360, 414), 180: (20, 270, 90, 400), 270: (430, 240, 550, 300)}
    for turn, (x0, y0, x1, y1) in frames.items():
        if turn > 90:
            page.turn_right()
        assert np.allclose(page.colour_at(180, 412), scene.image[412, 180], atol=12), turn
        page.draw(None, ("frame", "Animal"), (x0, y0), (x1, y1))
    page.screenshot(artifacts / "turned-drawn.png")
    page.submit()

    saved = task.saved_result()
    assert {region["image_rotation"] for region in saved} == {270}  # of all, as it was last
    assert {(r["original_width"], r["original_height"]) for r in saved} == {(560, height)}
    left_out = LeftOut()
    drawn = drawn_masks(saved, None, left_out, "task 1", lambda name: (height, 560))
    assert left_out == {"rectangle is no mask": len(frames)}
    click, box, polygon, ellipse, brush = (decode(one.mask.rle) for one in drawn)
    assert (click == mask_of(clicked)).all()
    assert (box == mask_of(boxed)).all()
    assert iou(polygon, truth["box"]) > 0.97
    assert iou(ellipse, truth["disc"]) > 0.95
    assert brush[380, 200:400].all()
    assert (brush & truth["ellipse"]).sum() > 0.97 * brush.sum()
    by_hand = [region for region in saved if region["from_name"] == "frame"]
    for region, (turn, (x0, y0, x1, y1)) in zip(by_hand, frames.items(), strict=True):
        frame = np.zeros((height, 560), bool)
        frame[y0:y1, x0:x1] = True
        assert iou(codec.decode(region, (height, 560)), frame) > 0.97, turn


TWO_IMAGES = """<View>
  <Image name="rgb" value="$image" width="40%"/>
  <Image name="nir" value="$image" width="40%"/>
  <KeyPointLabels name="click" toName="rgb" smart="true" smartOnly="true">
    <Label value="Object"/>
  </KeyPointLabels>
  <RectangleLabels name="box" toName="rgb" smart="true" smartOnly="true">
    <Label value="Object"/>
  </RectangleLabels>
  <BrushLabels name="mask" toName="rgb" smart="false"><Label value="Object"/></BrushLabels>
  <KeyPointLabels name="both" toName="rgb,nir" smart="true"><Label value="Car"/></KeyPointLabels>
  <RectangleLabels name="frames" toName="rgb,nir"><Label value="Car"/></RectangleLabels>
  <BrushLabels name="paint" toName="rgb,nir" smart="false"><Label value="Car"/></BrushLabels>
</View>"""


def test_a_tag_of_two_images_draws_nothing_and_costs_the_others_nothing(
    open_image: Callable[[bytes, str], OpenTask], scene: Scene, artifacts: Path
) -> None:
    """Label Studio takes the config, but its page gives such a tag no tool and sends nothing."""
    assert [tag.name for tag in LabelConfig.parse(TWO_IMAGES).unserved] == [
        "both",
        "frames",
        "paint",
    ]
    task = open_image(scene.png, TWO_IMAGES)
    page = task.page
    sent: list[str] = []
    page.page.on("request", lambda request: sent.append(request.url))
    page.use_clicks()
    for name in ("both", "frames", "paint"):
        page.choose_label(name, "Car")
        page.page.mouse.click(*page.on_screen(*ON_DISC))
        page.page.mouse.move(*page.on_screen(*AROUND_BOX[:2]))
        page.page.mouse.down()
        page.page.mouse.move(*page.on_screen(*AROUND_BOX[2:]), steps=5)
        page.page.mouse.up()
    page.page.wait_for_timeout(500)
    assert not [url for url in sent if "interactive-annotating" in url]
    assert page.regions() == []

    page.use_clicks()
    page.choose_label("click", "Object")
    (clicked,) = page.click(*ON_DISC)
    page.screenshot(artifacts / "two-images.png")
    assert iou(mask_of(clicked), scene.masks["disc"]) > 0.8
    page.accept()
    page.submit()
    (saved,) = task.saved_result()
    assert (saved["from_name"], saved["to_name"]) == ("mask", "rgb")
