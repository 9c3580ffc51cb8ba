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
from sam_backend.dispatch.ordering.contents import LARGE, MEDIUM, SMALL
from sam_backend.dispatch.ordering.groups import SIZE
from sam_backend.dispatch.ordering.ordering import Ordering
from sam_backend.dispatch.ordering.scores import STAGE_WEIGHTS
from sam_backend.fully_automatic.manifest import kept_listing, make_manifest
from sam_backend.fully_automatic.review.judging import judge
from sam_backend.fully_automatic.review.samples import Sample
from sam_backend.fully_automatic.review.sampling import SampledImage
from sam_backend.fully_automatic.run_folder import BulkRun, RunPlan
from sam_backend.fully_automatic.sources import ImageReader, Listing
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks.rle import encode
from sam_backend.metrics.acceptance import AcceptancePlan
from sam_backend.projects.dataset import pull_project
from sam_backend.quality.calibration.judgements import judged_prefills
from sam_backend.quality.gold.answers import read_answers
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.semi_automatic.edit_report import edit_report
from sam_backend.settings import Settings
from sam_backend.store.mask_records import pack
from sam_backend.store.prefills import PrefillRow
from sam_backend.versions.checkout import check_out
from sam_backend.versions.drawing import difference_page
from tests.labelstudio.forged import PEAK_BYTES, forged, traced_peak
from tests.labelstudio.played_project import (
    PROJECT,
    PlayedProject,
    annotation,
    answer,
    played_project,
)
from tests.labelstudio.web import send
from tests.semi_automatic.records import record
from tests.semi_automatic.served import served_starter
from tests.versions.making import CONFIG, Log, drawn, log_in, task

SIDE = 64
FORGED = ("brush", "ellipse", "polygon", "bitmask", "ellipse")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
MASK = np.pad(np.ones((20, 20), np.bool_), 22)


def genuine() -> Region:
    """A region of 400 pixels on the picture of 64 x 64."""
    tag = ControlTag("brush", "image", "brushlabels", "brush")
    (item,) = codec.encode(MASK, Answer(tag, NamedLabel("Car")))
    return item | {"id": "genuine"}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    with played_project() as playing:
        playing.label_config = CONFIG
        playing.web.replies["/data/upload/a.png"] = send(200, picture())
        predict(playing, genuine())
        yield playing


def predict(project: PlayedProject, *result: Region) -> None:
    """What the annotations have begun with."""
    prediction = {"id": 9, "task": 1, "model_version": "v", "result": list(result)}
    project.web.replies["/api/predictions/9/"] = answer(prediction)
    project.web.replies["/api/predictions/"] = answer([prediction])


def training(project: PlayedProject, folder: Path) -> LeftOut:
    with project.opened(Settings(data_dir=folder)) as at:
        dataset = pull_project(at)
    (image,) = dataset
    assert [mask.rle.area_px for mask in image.masks] == [400]
    return LeftOut(dataset.skipped)


def gold(project: PlayedProject, folder: Path) -> LeftOut:
    with project.opened(Settings(data_dir=folder)) as at:
        found = read_answers(at, lambda digest: True)
    (person,), (model,) = found.people, found.models
    assert [len(one.masks) for one in (person, model)] == [1, 1]
    return found.unread


def edits(project: PlayedProject, folder: Path) -> LeftOut:
    with project.opened(Settings(data_dir=folder)) as at:
        found, unread = edit_report(at)
    assert (found.annotations, found.kept, found.added) == (1, 1, 0)
    return unread


def ledger(project: PlayedProject, folder: Path) -> LeftOut:
    left_out = LeftOut()
    shown = record(encode(MASK))
    masks = pack([(shown, {"end": "accept", "image": "image"})])
    own = (str(project.host.origin), PROJECT, 1, "f", shown.model_version)
    prediction = {"id": 9, "model_version": shown.model_version, "result": [genuine()]}
    project.web.replies["/api/predictions/9/"] = answer(prediction)
    with project.opened(Settings(data_dir=folder)) as at:
        at.prefills.put([PrefillRow(*own, "done", {}, 0.5, 0.5, None, masks, NOON)])
        told = judged_prefills(at, shown.model_version, left_out=left_out)
        assert [one.iou for one in told] == [1.0]
    return left_out


def review(project: PlayedProject, folder: Path) -> LeftOut:
    run = lot(project, folder)
    (digest,) = (image.digest for shard in run.shards() for image in shard.images)
    project.tasks[1]["data"] |= {"sam_digest": digest, "sam_run": "run"}
    images = (SampledImage(digest, "all", 1.0, decides=True),)
    plan = AcceptancePlan()
    sample = Sample("run", project.host.url, PROJECT, 0, (), 1, plan, images)
    with LabelStudioClient(project.host) as client:
        found = judge(client, run, sample)
    (one,) = found.reviewed
    assert [pair.iou for pair in one.correction.pairs] == [1.0]
    return found.unread


def lot(project: PlayedProject, folder: Path) -> BulkRun:
    """A bulk run that has read the project's picture."""
    file = folder / "a.png"
    file.write_bytes(picture())
    reader = ImageReader(Settings(), f"{folder}/")
    (folder / "run").mkdir()
    listing = kept_listing(folder / "run", Listing(f"{folder}/", (str(file),)))
    manifest = make_manifest(folder / "run", listing, reader)
    assert manifest is not None
    plan = RunPlan(str(folder), "v", AutomaticSettings())
    return BulkRun(folder / "run", plan, manifest)


def order(project: PlayedProject, folder: Path) -> LeftOut:
    with project.opened(Settings(data_dir=folder)) as at, served_starter() as champion:
        found = Ordering(at, champion, 2).order(STAGE_WEIGHTS["1"], 0.3)
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


def assert_named(left_out: LeftOut, side: int, count: int = len(FORGED)) -> None:
    reason, told = (
        ("mask of another size than its image", f"{side} x {side} on 64 x 64 pixels")
        if side == 13_000
        else ("malformed mask", f"{side}x{side} pixels is too large")
    )
    assert left_out == {reason: count}
    names = left_out.names(reason)
    assert len(names) == count
    where = r"(prediction of )?task 1, (annotation 1, )?region "
    assert all(re.match(where, name) for name in names)
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


@pytest.mark.parametrize("read", [edits, review], ids=lambda read: read.__name__)
def test_predictions_are_not_believed_either(
    read: Callable[[PlayedProject, Path], LeftOut],
    claims: tuple[int, list[Region]],
    project: PlayedProject,
    tmp_path: Path,
) -> None:
    side, regions = claims
    predict(project, *regions, genuine())
    project.add(1, annotation(1, *regions, genuine(), parent_prediction=9))
    with traced_peak() as peak:
        left_out = read(project, tmp_path)
    assert peak.bytes < PEAK_BYTES
    assert_named(left_out, side, 2 * len(FORGED))


def test_versions(claims: tuple[int, list[Region]], project: PlayedProject, tmp_path: Path) -> None:
    side, regions = claims
    with log_in(tmp_path / "data", project.host.url) as log:
        first, second = _versions(log, regions)
        with traced_peak() as peak:
            dataset = check_out(log.project, second, tmp_path / "out")
            found = log.differences(first, second)
            config = LabelConfig.parse(CONFIG)
            images = log.project.images(tmp_path / "out")
            told = difference_page(log.project, "It", found, config, images, 99)
        assert peak.bytes < PEAK_BYTES
    assert dataset.n_masks == 1
    assert_named(LeftOut(dataset.skipped), side)
    names = {region["id"] for region in regions}
    assert {one.region: one.iou for one in found.regions} == dict.fromkeys(names)
    assert_named(found.unread, side, len(FORGED) - 1)
    assert told.count("it has no mask that fits its image of 64 x 64 pixels") == 1
    assert told.count("<img") == len(FORGED) - 1  # as they were


def test_a_difference_of_two_claims(
    claims: tuple[int, list[Region]], project: PlayedProject, tmp_path: Path
) -> None:
    """Both versions claim the same, so that one bears the other out."""
    side, regions = claims
    others = [one | {"id": region["id"]} for one, region in zip(regions[1:], regions, strict=False)]
    with log_in(tmp_path / "data", project.host.url) as log:
        log.note(task(1), drawn(1, genuine(), *others))
        first = log.commit()
        log.note(drawn(1, genuine(), *regions[:-1], minute=1))
        second = log.commit()
        with traced_peak() as peak:
            found = log.differences(first, second)
    assert peak.bytes < PEAK_BYTES
    assert [one.iou for one in found.regions] == [None] * len(others)
    assert_named(found.unread, side, len(others))
    assert project.asked_for("/data") == ["/data/upload/a.png"] * (side == 13_000)


def _versions(log: Log, regions: list[Region]):
    """The forged ones were genuine first, all but one that comes."""
    were = [genuine() | {"id": region["id"]} for region in regions[1:]]
    log.note(task(1), drawn(1, genuine(), *were))
    first = log.commit()
    log.note(drawn(1, genuine(), *regions, minute=1))
    return first, log.commit()
