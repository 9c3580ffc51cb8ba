"""An annotation may claim any size of its image: readers make nothing of it, and name it."""

import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_backend.datasets.left_out import LeftOut
from sam_backend.engine.bulk.review.judging import judge
from sam_backend.engine.bulk.review.samples import Sample
from sam_backend.engine.bulk.review.sampling import SampledImage
from sam_backend.engine.gold.answers import read_answers
from sam_backend.engine.judged_masks import judged_prefills
from sam_backend.engine.ordering.contents import LARGE, MEDIUM, SMALL
from sam_backend.engine.ordering.groups import SIZE
from sam_backend.engine.ordering.ordering import Ordering
from sam_backend.engine.ordering.scores import STAGE_WEIGHTS
from sam_backend.engine.project_dataset import pull_project
from sam_backend.engine.project_images import ProjectImages
from sam_backend.engine.semi_automatic.edit_report import edit_report
from sam_backend.engine.versions.changes import differences
from sam_backend.engine.versions.checkout import check_out
from sam_backend.engine.versions.drawing import difference_page
from sam_backend.labelstudio import controls
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.images import image_resolver
from sam_backend.labelstudio.regions import Answer, Region
from sam_backend.labelstudio.tags import ControlTag, NamedLabel
from sam_backend.masks.rle import encode
from sam_backend.quality.acceptance import AcceptancePlan
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.mask_records import pack
from sam_backend.store.prefills import PrefillRow, Prefills
from tests.engine.semi_automatic.records import record
from tests.engine.semi_automatic.served import served_starter
from tests.engine.versions.making import CONFIG, Log, drawn, log_in, task
from tests.labelstudio.forged import PEAK_BYTES, forged, traced_peak
from tests.labelstudio.played_project import (
    PROJECT,
    PlayedProject,
    annotation,
    answer,
    played_project,
)
from tests.labelstudio.web import send

SIDE = 64
FORGED = ("brush", "ellipse", "polygon", "bitmask", "ellipse")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MASK = np.pad(np.ones((20, 20), np.bool_), 22)


def genuine() -> Region:
    """A region of 400 pixels on the picture of 64 x 64."""
    tag = ControlTag("brush", "image", "brushlabels", "brush")
    (item,) = controls.encode(MASK, Answer(tag, NamedLabel("Car")))
    return item | {"id": "genuine"}


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    buffer = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(buffer, "PNG")
    with played_project() as playing:
        playing.label_config = CONFIG
        playing.web.replies["/data/upload/a.png"] = send(200, buffer.getvalue())
        prediction = {"id": 9, "task": 1, "model_version": "v", "result": [genuine()]}
        playing.web.replies["/api/predictions/9/"] = answer(prediction)
        playing.web.replies["/api/predictions/"] = answer([prediction])
        yield playing


def training(project: PlayedProject, folder: Path) -> LeftOut:
    dataset = pull_project(project.host, PROJECT, folder / "pulled", Settings(data_dir=folder))
    (image,) = dataset
    assert [mask.rle.area_px for mask in image.masks] == [400]
    return LeftOut(dataset.skipped)


def gold(project: PlayedProject, folder: Path) -> LeftOut:
    with LabelStudioClient(project.host) as client:
        found = read_answers(Settings(data_dir=folder), client, PROJECT, lambda digest: True)
    (person,), (model,) = found.people, found.models
    assert [len(one.masks) for one in (person, model)] == [1, 1]
    return found.unread


def edits(project: PlayedProject, folder: Path) -> LeftOut:
    with LabelStudioClient(project.host) as client:
        database = open_database(Settings(data_dir=folder))
        found = edit_report(database, client, PROJECT)
        database.close()
    assert (found.annotations, found.edits.kept, found.edits.added) == (1, 1, 0)
    return found.unread


def ledger(project: PlayedProject, folder: Path) -> LeftOut:
    left_out = LeftOut()
    shown = record(encode(MASK))
    database = open_database(Settings(data_dir=folder))
    masks = pack([(shown, {"end": "accept", "image": "image"})])
    own = (str(project.host.origin), PROJECT, 1, "f", shown.model_version)
    Prefills(database).put([PrefillRow(*own, "done", {}, 0.5, 0.5, None, masks, NOON)])
    prediction = {"id": 9, "model_version": shown.model_version, "result": [genuine()]}
    project.web.replies["/api/predictions/9/"] = answer(prediction)
    with LabelStudioClient(project.host) as client:
        version = shown.model_version
        told = judged_prefills(client, PROJECT, Prefills(database), version, left_out=left_out)
        assert [one.iou for one in told] == [1.0]
    database.close()
    return left_out


def review(project: PlayedProject, folder: Path) -> LeftOut:
    project.tasks[1]["data"] |= {"sam_digest": "d", "sam_run": "run"}
    images = (SampledImage("d", "all", 1.0, decides=True),)
    plan = AcceptancePlan()
    sample = Sample("run", project.host.url, PROJECT, 0, (), 1, plan, images)
    with LabelStudioClient(project.host) as client:
        found = judge(client, sample)
    (one,) = found.reviewed
    assert [pair.iou for pair in one.correction.pairs] == [1.0]
    return found.unread


def order(project: PlayedProject, folder: Path) -> LeftOut:
    database = open_database(Settings(data_dir=folder))
    with LabelStudioClient(project.host) as client, served_starter() as champion:
        ordering = Ordering(Settings(data_dir=folder), client, PROJECT, database, champion, 2)
        found = ordering.order(STAGE_WEIGHTS["1"], 0.3)
    database.close()
    counts = {one.name: one.count for one in found.survey.groups if one.what == SIZE}
    assert counts == {SMALL: 1, MEDIUM: 0, LARGE: 0}
    assert found.unseen == {}
    return found.survey.unread


READERS: list[Callable[[PlayedProject, Path], LeftOut]] = [
    training,
    gold,
    edits,
    ledger,
    review,
    order,
]


@pytest.fixture(scope="module", params=[13_000, 16_000])
def claims(request: pytest.FixtureRequest) -> tuple[int, list[Region]]:
    """Of a size that an image might have, and of a larger one than we open."""
    side = request.param
    return side, [forged(kind, side, number) for number, kind in enumerate(FORGED)]


def assert_named(left_out: LeftOut, side: int) -> None:
    reason, told = (
        ("mask of another size than its image", f"{side} x {side} on 64 x 64 pixels")
        if side == 13_000
        else ("malformed mask", f"{side}x{side} pixels is too large")
    )
    assert left_out == {reason: len(FORGED)}
    names = left_out.names(reason)
    assert len(names) == len(FORGED)
    assert all(re.match(r"task 1, (annotation 1, )?region ", name) for name in names)
    assert all(told in name for name in names)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_readers_of_a_project(
    read: Callable[[PlayedProject, Path], LeftOut],
    claims: tuple[int, list[Region]],
    project: PlayedProject,
    tmp_path: Path,
) -> None:
    side, regions = claims
    project.add(1, annotation(1, *regions, genuine(), parent_prediction=9))
    with traced_peak() as peak:
        left_out = read(project, tmp_path)
    assert peak.bytes < PEAK_BYTES
    assert_named(left_out, side)


def test_versions(claims: tuple[int, list[Region]], project: PlayedProject, tmp_path: Path) -> None:
    side, regions = claims
    settings = Settings(data_dir=tmp_path)
    images = ProjectImages(tmp_path / "images", image_resolver(settings), 10**6)
    with log_in(tmp_path / "data", project.host.url) as log:
        first, second = _versions(log, regions)
        with traced_peak() as peak:
            dataset = check_out(log.versions, second, project.host, images, tmp_path / "out")
            found = differences(log.versions, first, second)
            config = LabelConfig.parse(CONFIG)
            told = difference_page("It", found, config, images, project.host, 99, 10**6)
        assert peak.bytes < PEAK_BYTES
    assert dataset.n_masks == 1
    assert_named(LeftOut(dataset.skipped), side)
    names = {region["id"] for region in regions}
    assert {one.region: one.iou for one in found.regions} == dict.fromkeys(names)
    assert told.count("it has no mask that fits its image of 64 x 64 pixels") == 1
    assert told.count("<img") == len(FORGED) - 1  # as they were


def _versions(log: Log, regions: list[Region]):
    """The forged ones were genuine first, all but one that comes."""
    were = [genuine() | {"id": region["id"]} for region in regions[1:]]
    log.note(task(1), drawn(1, genuine(), *were))
    first = log.commit()
    log.note(drawn(1, genuine(), *regions, minute=1))
    return first, log.commit()
