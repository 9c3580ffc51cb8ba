"""A version becomes files that others read: ours, COCO's, SA-1B's and Label Studio's."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sam_backend.datasets.exporting import export_coco, export_sa1b
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.masks import rle
from sam_backend.settings import Settings
from sam_backend.store.gold import GoldCopy, GoldImage
from sam_backend.store.revisions import Subject
from sam_backend.store.versions import Version
from sam_backend.versions.checkout import check_out, write_tasks
from sam_backend.versions.observations import gone, task_observation
from tests.labelstudio.played_project import PROJECT
from tests.labelstudio.web import Web, send, serve
from tests.versions.making import (
    HEIGHT,
    WIDTH,
    Log,
    brush,
    drawn,
    log_in,
    rectangle,
    stamp,
    task,
)


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        for number, name in enumerate("abc"):
            running.replies[f"/data/upload/{name}.png"] = send(200, png(number))
        running.replies["/data/upload/3/0a1b2c3d-empty.png"] = send(200, png(3))
        yield running


@pytest.fixture
def log(web: Web, tmp_path: Path) -> Iterator[Log]:
    with log_in(tmp_path / "data", web.url) as opened:
        yield opened


@pytest.fixture
def version(log: Log) -> Version:
    """Two annotated tasks, a skipped one, an empty one; what came after it is another version."""
    log.note(
        *(task(number, f"/data/upload/{name}.png") for number, name in enumerate("abca", 1)),
        drawn(11, brush("a"), brush("b", 12, label="Bus"), rectangle("c")),
        drawn(12, brush("a", width=5), completed_by=9, ground_truth=True),
        drawn(13, brush("a", 3, 4), task=2, completed_by=None),
        drawn(14, brush("a"), task=3, was_cancelled=True),
        task(5, "/data/upload/3/0a1b2c3d-empty.png"),
        drawn(15, task=5),
    )
    made = log.commit()
    log.note(drawn(11, minute=1), gone(Subject.TASK, 2, 2))
    log.commit()
    return made


def taken_out(log: Log, version: Version, folder: Path) -> Dataset:
    settings = Settings(data_dir=folder, allow_private_addresses=True)
    return check_out(replace(log.project, settings=settings), version, folder)


def test_a_data_set_of_what_was(log: Log, version: Version, web: Web, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dataset = taken_out(log, version, out)
    assert dataset.name == f"project 3 at {version.digest[:12]}"
    assert {reason: dataset.skipped.names(reason) for reason in dataset.skipped} == {
        "rectangle is no mask": ("task 1, annotation 11, region c",),
        "skipped by its annotator": ("task 3, annotation 14",),
        "task that nobody has annotated": ("task 4",),
    }
    assert [(image.name, len(image.masks)) for image in dataset] == [
        ("task 1", 3),
        ("task 2", 1),
        ("task 5", 0),
    ]
    told = [
        (image.name, mask.label, mask.annotator, mask.is_gold, rle.box(mask.rle))
        for image in dataset
        for mask in image.masks
    ]
    assert told == [
        ("task 1", "Car", "7", False, (slice(0, 10), slice(0, 10))),
        ("task 1", "Bus", "7", False, (slice(0, 10), slice(12, 22))),
        ("task 1", "Car", "9", True, (slice(0, 10), slice(0, 5))),
        ("task 2", "Car", None, False, (slice(4, 14), slice(3, 13))),
    ]
    assert [image.path.read_bytes() for image in dataset] == [png(0), png(1), png(3)]
    assert [image.path.name for image in dataset] == ["a.png", "b.png", "empty.png"]
    read = read_dataset(out / "manifest.jsonl")
    assert read.skipped["image without masks"] == 1
    assert read.digest == replace(dataset, images=dataset.images[:2]).digest
    assert json.loads((out / "version.json").read_text()) == {
        "digest": version.digest,
        **asdict(version),
    }


def test_an_image_that_is_gone_is_counted(
    log: Log, version: Version, web: Web, tmp_path: Path
) -> None:
    del web.replies["/data/upload/a.png"]
    dataset = taken_out(log, version, tmp_path / "out")
    assert [image.name for image in dataset] == ["task 2", "task 5"]
    assert dataset.skipped["image cannot be fetched"] == 1
    # but not where it was fetched before
    web.replies["/data/upload/a.png"] = send(200, png(0))
    assert len(taken_out(log, version, tmp_path / "again")) == 3
    web.replies.clear()
    assert len(taken_out(log, version, tmp_path / "again")) == 3


def test_coco_and_sa1b_can_be_moved_with_their_images(
    log: Log, version: Version, web: Web, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    dataset = taken_out(log, version, out)
    assert export_coco(dataset, out / "instances.json") == 4
    assert export_sa1b(dataset, out / "annotations") == 3
    moved = out.rename(tmp_path / "moved")
    coco = COCO(moved / "instances.json")
    assert [one["name"] for one in coco.cats.values()] == ["Car", "Bus"]
    assert [one["file_name"] for one in coco.imgs.values()] == [
        "images/a.png", "images/b.png", "images/empty.png",
    ]  # fmt: skip
    assert sorted(coco.annToMask(one).sum() for one in coco.anns.values()) == [50, 100, 100, 100]
    read = read_dataset(moved / "instances.json")
    assert (read.n_masks, read.skipped) == (4, {"image without masks": 1})
    masks = [mask for image in read_dataset(moved / "annotations") for mask in image.masks]
    assert [mask.rle.area_px for mask in masks] == [100, 100, 50, 100]


def test_tasks_for_label_studio(log: Log, version: Version, tmp_path: Path) -> None:
    assert write_tasks(log.versions, version, tmp_path / "out") == 5
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [(one["id"], one["data"]["image"]) for one in tasks] == [
        *((number, f"/data/upload/{name}.png") for number, name in enumerate("abca", 1)),
        (5, "/data/upload/3/0a1b2c3d-empty.png"),
    ]
    numbers = [[one["id"] for one in task["annotations"]] for task in tasks]
    assert numbers == [[11, 12], [13], [14], [], [15]]
    first, second = tasks[0]["annotations"]
    assert first["result"] == [brush("a"), brush("b", 12, label="Bus"), rectangle("c")]
    assert (first["completed_by"], first["created_at"]) == (7, stamp(0))
    assert (second["completed_by"], second["ground_truth"]) == (9, True)
    assert tasks[1]["annotations"][0]["completed_by"] is None
    assert tasks[2]["annotations"][0]["was_cancelled"] is True


def test_the_same_version_gives_the_same_files(log: Log, version: Version, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_tasks(log.versions, version, tmp_path / folder)
    one, two = ((tmp_path / folder / "tasks.json").read_bytes() for folder in ("one", "two"))
    assert one == two


def config_of(*labels: str) -> str:
    names = "".join(f'<Label value="{label}"/>' for label in labels)
    return (
        '<View><Image name="image" value="$image"/>'
        f'<BrushLabels name="brush" toName="image">{names}</BrushLabels>'
        f'<KeyPointLabels name="p" toName="image"><Label value="Hint"/></KeyPointLabels></View>'
    )


def test_category_numbers_stay_when_the_config_grows(log: Log, web: Web, tmp_path: Path) -> None:
    """A label that is put before others later is numbered after them; one that goes stays."""

    def numbered(version: Version) -> dict[str, int]:
        out = tmp_path / version.digest
        export_coco(taken_out(log, version, out), out / "instances.json")
        told = json.loads((out / "instances.json").read_text())["categories"]
        return {one["name"]: one["id"] for one in told}

    log.note(task(1), drawn(11, brush("a", label="Dog")))
    first = log.commit(config=config_of("Cat", "Dog"))
    log.note(drawn(11, brush("a", label="Ant"), brush("b", 12), minute=1))
    second = log.commit(config=config_of("Ant", "Dog"))
    log.commit(config="<View")
    fourth = log.commit(config=config_of("Dog"))
    assert numbered(first) == {"Cat": 1, "Dog": 2}
    assert numbered(second) == {"Cat": 1, "Dog": 2, "Ant": 3, "Car": 4}
    assert numbered(fourth) == numbered(second)
    assert numbered(first) == {"Cat": 1, "Dog": 2}, "later versions change nothing"


def test_an_image_whose_regions_are_no_masks_is_no_negative(
    log: Log, web: Web, tmp_path: Path
) -> None:
    log.note(task(1), drawn(11, rectangle("a")), task(2), drawn(12, task=2))
    dataset = taken_out(log, log.commit(), tmp_path / "out")
    assert [image.name for image in dataset] == ["task 2"]
    assert dataset.skipped.names("image without a usable mask") == ("task 1",)


def test_planted_gold_gets_its_name_back(log: Log, web: Web, tmp_path: Path) -> None:
    web.replies["/data/upload/3/0a1b2c3d-5ecret.png"] = send(200, png(3))
    address = "/data/upload/3/0a1b2c3d-5ecret.png"
    log.note(task(1, address), drawn(11, brush("a")))
    log.note(
        task_observation({"id": 2, "data": {"image": "/data/upload/b.png", "sam_file": "x/y.png"}})
    )
    log.note(drawn(12, brush("a"), task=2))
    kitten = LabelledImage("kitten", tmp_path / "kitten.png", "d" * 64, (20, 30), ())
    log.project.gold.put(GoldImage(kitten, "the test"))
    log.project.gold.plan_copy(GoldCopy("5ecret", log.project.origin, PROJECT, kitten.digest))
    dataset = taken_out(log, log.commit(), tmp_path / "out")
    assert [image.path.name for image in dataset] == ["kitten.png", "y.png"]
