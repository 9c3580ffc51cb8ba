"""Masks that people draw in the real Label Studio come back pixel for pixel as a data set."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter.brush import mask2rle
from PIL import Image

from sam_backend.datasets import reasons
from sam_backend.datasets.manifest import read_manifest
from sam_backend.datasets.types import Dataset
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.annotations import count_human_masks
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.masks import rle
from sam_backend.masks.types import Mask
from sam_backend.projects.dataset import CANCELLED, UNFETCHED_IMAGE, PullProgress, pull_project
from sam_backend.projects.project import host_of_project, open_project
from sam_backend.settings import Settings
from tests.e2e.people import Json, Person

pytestmark = pytest.mark.e2e

HEIGHT, WIDTH = 90, 140
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image"><Label value="Car"/><Label value="Dog"/></BrushLabels>
  <PolygonLabels name="polygon" toName="image"><Label value="Car"/></PolygonLabels>
  <BitmaskLabels name="bitmask" toName="image"><Label value="Car"/></BitmaskLabels>
  <EllipseLabels name="ellipse" toName="image"><Label value="Dog"/></EllipseLabels>
  <KeyPointLabels name="click" toName="image"><Label value="Car"/></KeyPointLabels>
  <RectangleLabels name="box" toName="image"><Label value="Car"/></RectangleLabels>
</View>"""


def picture(seed: int, file_format: str = "PNG", turned: bool = False) -> bytes:
    """An image file that is `HEIGHT` x `WIDTH` once it is upright."""
    size = (WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, exif=exif)
    return buffer.getvalue()


def disc(x: float, y: float, radius_x: float, radius_y: float) -> Mask:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return ((columns - x) / radius_x) ** 2 + ((rows - y) / radius_y) ** 2 <= 1


def box(left: int, top: int, right: int, bottom: int) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def item(region_id: str, name: str, label: str, **value: Any) -> Json:
    return {
        "id": region_id,
        "from_name": name,
        "to_name": "image",
        "type": f"{name}labels" if name != "click" else "keypointlabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, f"{name}labels" if name != "click" else "keypointlabels": [label]},
    }


def brush(region_id: str, mask: Mask, label: str = "Car", name: str = "brush") -> Json:
    return item(region_id, name, label, format="rle", rle=mask2rle(mask.astype(np.uint8) * 255))


def polygon(region_id: str, corners: list[tuple[int, int]]) -> Json:
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in corners]
    return item(region_id, "polygon", "Car", points=points, closed=True)


def bitmask(region_id: str, mask: Mask) -> Json:
    rgba = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    rgba[mask, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    return item(region_id, "bitmask", "Car", imageDataURL=f"data:image/png;base64,{data}")


def ellipse(region_id: str, x: float, y: float, radius_x: float, radius_y: float) -> Json:
    across, down = 100 / WIDTH, 100 / HEIGHT
    value = {"x": x * across, "y": y * down, "rotation": 0}
    value |= {"radiusX": radius_x * across, "radiusY": radius_y * down}
    return item(region_id, "ellipse", "Dog", **value)


def rectangle(region_id: str) -> Json:
    return item(region_id, "rectangle", "Car", x=1, y=1, width=30, height=30, rotation=0) | {
        "from_name": "box"
    }


def pull(settings: Settings, project: int, *told: Any, **options: Any) -> Dataset:
    """The project's masks, read into a folder."""
    with open_project(settings, project) as at:
        return pull_project(at, *told, **options)


@pytest.fixture(scope="module")
def anna(label_studio: LocalLabelStudio) -> Person:
    return Person.administrator(label_studio)


@pytest.fixture(scope="module")
def ben(label_studio: LocalLabelStudio) -> Person:
    return Person.new(label_studio, "ben@example.com")


@pytest.fixture
def settings(label_studio: LocalLabelStudio, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        label_studio_url=label_studio.url,
        label_studio_api_key=label_studio.account.token,
    )


def masks_of(dataset: Dataset, task: int) -> list[tuple[str | None, str | None, bytes]]:
    """Label, annotator and packed pixels of a task's masks."""
    (image,) = (image for image in dataset if image.name == f"task {task}")
    return [
        (mask.label, mask.annotator, np.packbits(rle.decode(mask.rle)).tobytes())
        for mask in image.masks
    ]


def packed(label: str, person: Person, mask: Mask) -> tuple[str, str, bytes]:
    return label, person.number, np.packbits(mask).tobytes()


def test_what_people_accepted(
    projects: Projects, anna: Person, ben: Person, settings: Settings, tmp_path: Path
) -> None:
    project = projects.create("data set", CONFIG)
    files = {"a.png": picture(1), "b.jpg": picture(2, "JPEG", turned=True), "c.png": picture(3)}
    files |= {"d.png": picture(4), "e.png": picture(5), "f.png": picture(9)}
    first, second, cancelled, drafted, gold, empty = projects.upload(project, files)
    ring = disc(60, 40, 30, 20) & ~disc(60, 40, 15, 10)
    strip = box(3, 4, 50, 33)
    L = [(10, 10), (60, 10), (60, 30), (30, 30), (30, 80), (10, 80)]
    l_shape = box(10, 10, 60, 30) | box(10, 10, 30, 80)

    anna.submit(
        first,
        brush("r1", ring),
        brush("r1", ring, name="click"),  # what "keep label selected" leaves
        polygon("r2", L),
        rectangle("r3"),
        {"id": "r2", "from_name": "why", "to_name": "image", "type": "textarea", "value": {}},
    )
    ben.submit(first, bitmask("s1", strip), ellipse("s2", 70, 45, 30, 20))
    ben.submit(second, brush("t1", strip, "Dog"))
    ben.submit(cancelled, brush("u1", strip), was_cancelled=True)
    ben.submit(empty)
    draft = {"result": [brush("v1", strip)], "task": drafted}
    ben.call("POST", f"/api/tasks/{drafted}/drafts", draft)
    guess = {"task": gold, "result": [brush("w1", ring)], "model_version": "starter", "score": 0.9}
    guessed = anna.call("POST", "/api/predictions/", guess)
    anna.submit(gold, brush("w1", ring), parent_prediction=guessed["id"], ground_truth=True)

    seen: list[PullProgress] = []
    dataset = pull(settings, project, tmp_path / "p", seen.append)

    assert [image.name for image in dataset] == [f"task {n}" for n in (first, second, gold)]
    assert masks_of(dataset, first) == [
        packed("Car", anna, ring),
        packed("Car", anna, l_shape),
        packed("Car", ben, strip),
        packed("Dog", ben, disc(70, 45, 30, 20)),
    ]
    assert masks_of(dataset, second) == [packed("Dog", ben, strip)]
    assert masks_of(dataset, gold) == [packed("Car", anna, ring)]
    assert {reason: len(dataset.skipped.names(reason)) for reason in dataset.skipped} == {
        "rectangle is no mask": 1,
        CANCELLED: 1,
        reasons.NO_MASKS: 1,
    }
    assert dataset.skipped.names(CANCELLED) == (f"task {cancelled}",)
    assert dataset.skipped.names(reasons.NO_MASKS) == (f"task {empty}",)
    assert [image.path.name for image in dataset] == ["a.png", "b.jpg", "e.png"]
    assert [image.path.read_bytes() for image in dataset] == [
        files["a.png"],
        files["b.jpg"],
        picture(5),
    ]
    assert seen[-1] == PullProgress(tasks=4, of_tasks=4, masks=6, fetched=3)
    assert read_manifest(tmp_path / "p" / "manifest.jsonl").digest == dataset.digest

    again = pull(settings, project, tmp_path / "p", seen.append)
    assert again.digest == dataset.digest
    assert seen[-1].fetched == 0

    only_gold = pull(settings, project, tmp_path / "gold", only_gold=True)
    assert [image.name for image in only_gold] == [f"task {gold}"]


def test_new_masks_are_counted_since_the_last_ones(
    projects: Projects, anna: Person, ben: Person, settings: Settings, tmp_path: Path
) -> None:
    project = projects.create("counting", CONFIG)
    one, two = projects.upload(project, {"a.png": picture(6), "b.png": picture(7)})
    host = host_of_project(settings, project)
    strip = box(3, 4, 50, 33)
    with LabelStudioClient(host) as client:
        nothing = count_human_masks(client, project)
        assert (nothing.count, nothing.newest) == (0, None)
        made = anna.submit(one, brush("a", strip), polygon("b", [(1, 1), (9, 1), (9, 9)]))
        anna.submit(one, rectangle("c"))
        before = count_human_masks(client, project)
        assert before.count == 2
        assert count_human_masks(client, project) == before
        assert count_human_masks(client, project, before.newest).count == 0

        ben.submit(two, brush("d", strip))
        ben.submit(two, brush("e", strip), was_cancelled=True)
        assert count_human_masks(client, project, before.newest).count == 1
        corrected = {"result": [brush("a", strip, "Dog")]}
        anna.call("PATCH", f"/api/annotations/{made['id']}/", corrected)
        assert count_human_masks(client, project, before.newest).count == 2

    new = pull(settings, project, tmp_path / "new", since=before.newest)
    assert [[mask.label for mask in image.masks] for image in new] == [["Dog"], ["Car"]]


def test_an_image_that_is_gone_costs_only_its_task(
    projects: Projects, anna: Person, settings: Settings, tmp_path: Path
) -> None:
    project = projects.create("gone", CONFIG)
    projects.upload(project, {"a.png": picture(8)})
    missing = {"image": "/data/upload/999999/none.png"}
    anna.call("POST", "/api/tasks/", {"project": project, "data": missing})
    for task in projects.task_ids(project):
        anna.submit(task, brush("a", box(3, 4, 50, 33)))
    dataset = pull(settings, project, tmp_path / "p")
    assert len(dataset) == 1
    assert dataset.skipped == {UNFETCHED_IMAGE: 1}
