"""A version becomes files that others read: ours, COCO's, SA-1B's and Label Studio's."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from sam_backend.datasets.exporting import export_coco, export_sa1b
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset
from sam_backend.engine.project_images import ProjectImages
from sam_backend.engine.versions.checkout import check_out, write_tasks
from sam_backend.engine.versions.sightings import gone
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.labelstudio.images import image_resolver
from sam_backend.masks import rle
from sam_backend.settings import Settings
from sam_backend.store.revisions import Subject
from sam_backend.store.versions import Version
from tests.engine.versions.making import (
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
from tests.labelstudio.played_project import TOKEN
from tests.labelstudio.web import Web, send, serve


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def web() -> Iterator[Web]:
    with serve() as running:
        for number, name in enumerate("abc"):
            running.replies[f"/data/upload/{name}.png"] = send(200, png(number))
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
    )
    made = log.commit()
    log.note(drawn(11, minute=1), gone(Subject.TASK, 2, 2))
    log.commit()
    return made


def taken_out(log: Log, version: Version, web: Web, folder: Path) -> Dataset:
    settings = Settings(data_dir=folder, allow_private_addresses=True)
    images = ProjectImages(folder / "images", image_resolver(settings), 10**6)
    return check_out(log.versions, version, LabelStudioHost(web.url, TOKEN), images, folder)


def test_a_data_set_of_what_was(log: Log, version: Version, web: Web, tmp_path: Path) -> None:
    out = tmp_path / "out"
    dataset = taken_out(log, version, web, out)
    assert dataset.name == f"project 3 at {version.digest[:12]}"
    assert dataset.skipped == {"rectangle is no mask": 1}
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
    assert [image.path.read_bytes() for image in dataset] == [png(0), png(1)]
    assert read_dataset(out / "manifest.jsonl").digest == dataset.digest
    assert json.loads((out / "version.json").read_text()) == {
        "digest": version.digest,
        **asdict(version),
    }


def test_an_image_that_is_gone_is_counted(
    log: Log, version: Version, web: Web, tmp_path: Path
) -> None:
    del web.replies["/data/upload/a.png"]
    dataset = taken_out(log, version, web, tmp_path / "out")
    assert [image.name for image in dataset] == ["task 2"]
    assert dataset.skipped["image cannot be fetched"] == 1
    # but not where it was fetched before
    web.replies["/data/upload/a.png"] = send(200, png(0))
    assert len(taken_out(log, version, web, tmp_path / "again")) == 2
    web.replies.clear()
    assert len(taken_out(log, version, web, tmp_path / "again")) == 2


def test_coco_and_sa1b_can_be_moved_with_their_images(
    log: Log, version: Version, web: Web, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    dataset = taken_out(log, version, web, out)
    assert export_coco(dataset, out / "instances.json") == 4
    assert export_sa1b(dataset, out / "annotations") == 2
    moved = out.rename(tmp_path / "moved")
    coco = COCO(moved / "instances.json")
    assert {one["name"] for one in coco.cats.values()} == {"Car", "Bus"}
    assert sorted(coco.annToMask(one).sum() for one in coco.anns.values()) == [50, 100, 100, 100]
    read = read_dataset(moved / "instances.json")
    assert (read.digest, read.skipped) == (dataset.digest, {})
    masks = [mask for image in read_dataset(moved / "annotations") for mask in image.masks]
    assert [mask.rle.area_px for mask in masks] == [100, 100, 50, 100]


def test_tasks_for_label_studio(log: Log, version: Version, tmp_path: Path) -> None:
    assert write_tasks(log.versions, version, tmp_path / "out") == 4
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [(one["id"], one["data"]["image"]) for one in tasks] == [
        (number, f"/data/upload/{name}.png") for number, name in enumerate("abca", 1)
    ]
    numbers = [[one["id"] for one in task["annotations"]] for task in tasks]
    assert numbers == [[11, 12], [13], [14], []]
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
