"""Sizes of images are read once and kept; what is on record asks nobody."""

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_backend.datasets.left_out import LeftOut
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks.rle import encode
from sam_backend.projects.dataset import pull_project
from sam_backend.projects.measured import PrefillEdits
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import addresses_key
from sam_backend.semi_automatic.edit_report import edit_report
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.mask_records import pack
from sam_backend.store.prefills import PrefillRow, Prefills
from sam_backend.store.task_features import TaskFeatures, TaskFeaturesStore
from tests.labelstudio.played_project import (
    PROJECT,
    PlayedProject,
    annotation,
    answer,
    played_project,
)
from tests.labelstudio.web import send
from tests.semi_automatic.records import record
from tests.versions.making import Log, brush, drawn, log_in, task

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
A, B = "/data/upload/a.png", "/data/upload/b.jpg"
CONFIG = '<View><Image name="image" value="$image"/><Image name="nir" value="$nir"/></View>'
HEIGHT, WIDTH = 20, 30


def file(height: int, width: int, kind: str = "PNG", turn: int = 1) -> bytes:
    """A picture, stored as EXIF's orientation says."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def region(image: str, height: int, width: int, region_id: str) -> Region:
    """A painted square."""
    mask = np.zeros((height, width), np.bool_)
    mask[2:12, 2:12] = True
    tag = ControlTag("brush", image, "brushlabels", "brush")
    (item,) = codec.encode(mask, Answer(tag, NamedLabel("Car")))
    return item | {"id": region_id}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.close()


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    """One task, whose prediction somebody has submitted as it was."""
    with played_project() as playing:
        playing.web.replies[A] = send(200, file(HEIGHT, WIDTH))
        begin_with(playing, region("image", HEIGHT, WIDTH, "a"))
        yield playing


def begin_with(project: PlayedProject, *result: Region) -> None:
    prediction = {"id": 9, "task": 1, "model_version": "v", "result": list(result)}
    project.web.replies["/api/predictions/9/"] = answer(prediction)
    project.add(1, annotation(1, *result, parent_prediction=9))


def report(
    project: PlayedProject, settings: Settings, database: Database
) -> tuple[PrefillEdits, LeftOut]:
    with Project(settings, database, project.host, PROJECT) as opened:
        return edit_report(opened)


def nobody(project: PlayedProject, settings: Settings, database: Database) -> None:
    pass


def ordering(project: PlayedProject, settings: Settings, database: Database) -> None:
    """`tasks order` has seen the picture."""
    features, sizes = np.ones(3, np.float32), {"image": (HEIGHT, WIDTH)}
    seen = TaskFeatures(1, "m", addresses_key({"image": A}), features, None, sizes)
    TaskFeaturesStore(database, project.host.url, PROJECT).put([seen], NOON)


def training(project: PlayedProject, settings: Settings, database: Database) -> None:
    """The picture lies in the project's folder."""
    folder = settings.data_dir / "projects" / str(PROJECT)
    with Project(settings, database, project.host, PROJECT) as opened:
        assert pull_project(opened, folder).n_masks == 1


def prefilling(project: PlayedProject, settings: Settings, database: Database) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[:3, :3] = True
    masks = pack([(record(encode(mask)), {"end": "discard", "image": "image"})])
    own = (str(project.host.origin), PROJECT, 1, "f", "v")
    Prefills(database).put([PrefillRow(*own, "done", {}, 0.5, 0.5, None, masks, NOON)])


@pytest.mark.parametrize(
    ("before", "n_fetched"), [(nobody, 1), (ordering, 0), (training, 0), (prefilling, 0)]
)
def test_what_is_on_record_is_not_fetched(
    project: PlayedProject,
    settings: Settings,
    database: Database,
    before: Callable[[PlayedProject, Settings, Database], None],
    n_fetched: int,
) -> None:
    before(project, settings, database)
    n_before = len(project.asked_for("/data"))
    for _ in range(2):
        found, unread = report(project, settings, database)
        assert (found.annotations, found.kept, dict(unread)) == (1, 1, {})
        assert len(project.asked_for("/data")) == n_before + n_fetched
    project.tasks[1]["data"] |= {"image": "/data/upload/new.png"}
    if before is not prefilling:  # nothing is known of another picture
        assert report(project, settings, database)[0].annotations == 0
        assert project.asked_for("/data")[-1] == "/data/upload/new.png"


def test_features_of_an_encoder_outlive_sizes_of_other_pictures(
    project: PlayedProject, settings: Settings, database: Database
) -> None:
    ordering(project, settings, database)
    project.tasks[1]["data"] |= {"image": B}
    project.web.replies[B] = send(200, file(HEIGHT, WIDTH, "JPEG"))
    assert report(project, settings, database)[0].kept == 1
    store = TaskFeaturesStore(database, project.host.url, PROJECT)
    assert store.of("m")[1].sizes == {"image": (HEIGHT, WIDTH)}
    assert store.sizes(1, addresses_key({"image": B})) == {}


def test_a_task_of_two_pictures_of_which_a_camera_has_turned_one(
    project: PlayedProject, settings: Settings, database: Database
) -> None:
    project.label_config = CONFIG
    begin_with(project, region("image", HEIGHT, WIDTH, "a"), region("nir", 50, 40, "b"))
    project.tasks[1]["data"] |= {"nir": B}
    project.web.replies[B] = send(200, file(40, 50, "JPEG", turn=6))
    for _ in range(2):
        found, unread = report(project, settings, database)
        assert (found.kept, dict(unread)) == (2, {})
    assert sorted(project.asked_for("/data")) == [A, B]


def test_an_annotation_whose_picture_cannot_be_had_is_no_figure(
    project: PlayedProject, settings: Settings, database: Database
) -> None:
    project.web.replies[A] = send(404, b"gone")
    found, unread = report(project, settings, database)
    assert found == PrefillEdits(at=found.at, annotations=0)
    (name,) = unread.names("image that cannot be had")
    assert name.startswith("task 1, annotation 1: ")
    assert "404" in name


def test_masks_on_a_tag_that_is_gone_are_named(
    project: PlayedProject, settings: Settings, database: Database
) -> None:
    old = [region("old", HEIGHT, WIDTH, "b")]
    begin_with(project, region("image", HEIGHT, WIDTH, "a"), *old)
    found, unread = report(project, settings, database)
    assert found.kept == 1
    assert unread.names("mask without image") == (
        "prediction of task 1, on 'old'",
        "task 1, annotation 1, on 'old'",
    )


@pytest.fixture
def log(project: PlayedProject, tmp_path: Path) -> Iterator[Log]:
    with log_in(tmp_path / "log", project.host.url) as opened:
        yield opened


def grown(log: Log) -> tuple[float | None, dict[str, int]]:
    """What the difference says of a shape that became twice as large."""
    log.note(task(1), drawn(5, brush("a")))
    first = log.commit()
    log.note(drawn(5, brush("a", width=20), minute=1))
    found = log.differences(first, log.commit())
    (one,) = found.regions
    assert one.kinds == ("changed",)
    return one.iou, dict(found.unread)


def test_a_difference_reads_a_picture_that_is_not_on_record(
    log: Log, project: PlayedProject
) -> None:
    assert grown(log) == (0.5, {})
    versions = log.versions
    again = log.differences(versions.log()[-1], versions.find("head"))
    assert [one.iou for one in again.regions] == [0.5]
    assert project.asked_for("/data") == [A]


def test_a_difference_without_the_picture_tells_the_change_but_no_iou(
    log: Log, project: PlayedProject
) -> None:
    project.web.replies[A] = send(404, b"gone")
    assert grown(log) == (None, {"mask without image": 1})


def test_a_difference_of_two_pictures_is_told_as_that(log: Log, project: PlayedProject) -> None:
    project.web.replies[B] = send(200, file(HEIGHT, 2 * WIDTH, "JPEG"))
    log.note(task(1), drawn(5, brush("a")))
    first = log.commit()
    wide = region("image", HEIGHT, 2 * WIDTH, "a")
    log.note(task(1, B), drawn(5, wide, minute=1))
    found = log.differences(first, log.commit())
    assert [one.iou for one in found.regions] == [None]
    assert found.unread.names("image changed since") == ("task 1, annotation 5, region a",)
