"""Stage 3 in the real Label Studio: a run is imported once, whatever happens meanwhile."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from sam_backend.datasets.image_files import digest_of
from sam_backend.datasets.left_out import LeftOut
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import bare_environment
from sam_backend.errors import ImageFetchError
from sam_backend.fully_automatic.run_folder import BulkRun, read_run
from sam_backend.fully_automatic.sources import ImageReader, list_images, name_of
from sam_backend.fully_automatic.tasks import surest
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.masks.rle import encode
from sam_backend.metrics.acceptance import LotTest
from sam_backend.semi_automatic.triage import Judged, Outcome, predicted_confidence
from sam_backend.settings import Settings
from tests.e2e.commands import command, command_inside, eventually, inside, settings_of
from tests.e2e.people import Person, brush_region
from tests.fully_automatic.making import generate, make_images

pytestmark = pytest.mark.e2e

N_IMAGES = 60
KILLS = 6


@pytest.fixture(scope="module")
def studio(
    label_studio_program: Path, label_studio_tables: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalLabelStudio]:
    """A Label Studio that may be stopped and started."""
    folder = tmp_path_factory.mktemp("bulk-label-studio")
    shutil.copy(label_studio_tables, folder)
    with LocalLabelStudio(label_studio_program, folder) as server:
        yield server


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> BulkRun:
    """A finished run over so many pictures."""
    folder = tmp_path_factory.mktemp("bulk")
    make_images(folder / "source", N_IMAGES)
    (folder / "source" / "even" / "broken.png").write_bytes(b"no picture")
    generate(folder / "source", folder / "run")
    return read_run(folder / "run")


def test_import_makes_every_task_once(
    studio: LocalLabelStudio, run: BulkRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Projects(studio.url, studio.account.token) as projects:
        project = projects.create("bulk", template("brush"))
    options = ["import", str(run.folder), "--project", str(project), "--upload", "--batch", "2"]
    rng = random.Random(5)
    person = Person.administrator(studio)

    def n_tasks() -> int:
        return person.call("GET", f"/api/projects/{project}/")["task_number"]

    for _ in range(KILLS):
        n_before = n_tasks()
        process = begin(tmp_path, studio, [*options, "--rate", "4"])
        eventually(lambda least=n_before: n_tasks() > least, 60, 0.05)
        time.sleep(rng.uniform(0, 1))
        process.kill()
        process.wait()
    n_before = n_tasks()
    assert n_before < N_IMAGES - 10
    process = begin(tmp_path, studio, [*options, "--rate", "4"])
    eventually(lambda: n_tasks() > n_before, 60, 0.05)
    studio.stop()
    time.sleep(2)
    studio.start()
    assert process.wait(120) == 0
    told = json.loads(inside(tmp_path, *options, "--json", settings=settings_of(studio)))
    assert (told["tasks_made"], told["tasks_there_before"]) == (0, N_IMAGES)

    tasks = Person.administrator(studio).tasks(project)
    images = {image.digest: image for image in run.images() if image.reason is None}
    assert len(tasks) == N_IMAGES
    assert {task["data"]["sam_digest"] for task in tasks} == images.keys()
    for task in tasks:
        image = images[task["data"]["sam_digest"]]
        assert task["data"]["sam_file"] == Path(image.uri).name
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == run.plan.model_version
        drawn = [encode(codec.decode(region)) for region in prediction["result"]]
        assert [one.counts.tolist() for one in drawn] == [
            mask.rle.counts.tolist() for mask in image.masks
        ]
        assert image.digest in task["data"]["image"]

    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.account.token)
    settings = Settings(data_dir=tmp_path)
    listing = list_images(f"labelstudio://{project}", settings)
    reader = ImageReader(settings, listing.root)
    assert {digest_of(reader.read(uri)) for uri in listing.uris} == images.keys()
    with pytest.raises(ImageFetchError, match="there is no such task any more"):
        reader.read(f"labelstudio://{project}/999999/image")


def test_import_as_annotations_of_another_tag(
    studio: LocalLabelStudio, run: BulkRun, tmp_path: Path
) -> None:
    with Projects(studio.url, studio.account.token) as projects:
        project = projects.create("bulk bitmasks", template("bitmask"))
    options = ["import", str(run.folder), "--project", str(project), "--upload", "--json"]
    options += ["--as", "annotations", "--max-masks", "3"]
    source = run.folder.parent / "source"
    lost, changed = source / "even" / "0000.png", source / "odd" / "0001.png"
    bytes_before = changed.read_bytes()
    lost.rename(moved := tmp_path / "moved.png")
    changed.write_bytes(moved.read_bytes())
    told = json.loads(inside(tmp_path, *options, settings=settings_of(studio)))
    moved.rename(lost)
    changed.write_bytes(bytes_before)
    assert (told["tasks_made"], told["images_without_a_task"]) == (N_IMAGES - 2, 3)
    which = told["left_out"]["unreadable image"]["which"]
    assert which[:2] == [
        f"{lost} is not there any more", f"{changed} has changed since it was listed"
    ]  # fmt: skip
    assert "broken.png: " in which[2]
    for n_made in (2, 0):
        told = json.loads(inside(tmp_path, *options, settings=settings_of(studio)))
        assert (told["tasks_made"], told["images_without_a_task"]) == (n_made, 1)
    tasks = Person.administrator(studio).tasks(project)
    assert len(tasks) == N_IMAGES
    images = {image.digest: image for image in run.images()}
    for task in tasks:
        (annotation,) = task["annotations"]
        assert not task["predictions"]
        assert {region["type"] for region in annotation["result"]} == {"bitmasklabels"}
        image = images[task["data"]["sam_digest"]]
        sizes = {str(region["to_name"]): image.size for region in annotation["result"]}
        read = drawn_masks(annotation["result"], None, LeftOut(), "it", sizes.get)
        drawn = [one.mask.rle for one in read]
        judged = [Judged(mask, predicted_confidence(mask), Outcome.ACCEPT) for mask in image.masks]
        kept = [one.record.rle.counts.tolist() for one in surest(judged, 3)]
        assert [one.counts.tolist() for one in drawn] == kept
    refused = command(
        tmp_path, *options[:4], "--output", "polygon", "--upload", settings=settings_of(studio)
    )
    assert refused.returncode == 2
    assert "output is 'polygon'" in refused.stderr


def test_a_storage_is_a_source(
    studio: LocalLabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = studio.files_root / "photos"
    make_images(folder, 2)
    with Projects(studio.url, studio.account.token) as projects:
        project = projects.create("storage", template("brush"))
    storage = Person.administrator(studio).call(
        "POST", "/api/storages/localfiles", {"project": project, "path": str(folder)}
    )
    monkeypatch.setenv("LABEL_STUDIO_URL", studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.account.token)
    source = f"labelstudio://storage/localfiles/{storage['id']}"
    listing = list_images(source, Settings(data_dir=tmp_path))
    assert [name_of(uri, listing.root) for uri in listing.uris] == ["even/0000.png", "odd/0001.png"]


def test_a_good_lot_is_accepted_and_a_bad_one_rejected(
    studio: LocalLabelStudio,
    run: BulkRun,
    tmp_path: Path,
    browser: Browser,
    artifacts: Path,
) -> None:
    with Projects(studio.url, studio.account.token) as projects:
        good, bad, bulk = (
            projects.create(f"bulk {name}", template("brush")) for name in ("good", "bad", "all")
        )
    person = Person.administrator(studio)

    def review(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        ended = command_inside(tmp_path, *arguments, settings=settings_of(studio))
        assert ended.returncode == code, ended.stderr
        return ended

    options = ["--by", "folder", "--upload", "--seed", "4"]
    lot = str(run.folder)
    drawing = [
        "review", "sample", lot, "--project", str(good), "--size", "30", "--max-defects", "0.2",
    ]  # fmt: skip
    odd = run.folder.parent / "source" / "odd"
    odd.rename(away := tmp_path / "odd")
    told = json.loads(review(*drawing, *options, "--json").stdout)
    away.rename(odd)
    assert 0 < told["new"] < 30
    assert told["left_out"]["unreadable image"]["count"] == 30 - told["new"]
    again = review(*drawing, *options)  # finds its tasks, and adds those that were lost
    assert f"30 of {N_IMAGES} images are in project {good} ({30 - told['new']} new)" in again.stderr
    tasks = person.tasks(good)
    assert len(tasks) == 30
    told = json.loads(review("review", "report", lot, "--json", code=3).stdout)
    assert (told["verdict"], told["images_reviewed"]) == ("continue sampling", 0)
    correct(person, tasks[:3], [without_one, with_one_more, with_one_halved])
    correct(person, tasks[3:5], [with_one_touched_up] * 2)
    correct(person, tasks[5:], [unchanged] * 25)
    undecided = review("review", "report", lot, code=3)
    size = LotTest(N_IMAGES, 0.2).images_needed(3)
    advice = f"review sample {lot} --project {good} --size {size}"
    assert f"{size - 30} more images without a defect would settle it: sam-backend {advice}" in (
        undecided.stderr
    )
    refused = review("review", "quarantine", lot, "--project", str(good), code=2)
    assert "is not decided yet, and only a rejected one is quarantined" in refused.stderr
    review(*advice.split(), "--upload")
    first, tasks = tasks, person.tasks(good)
    assert len(tasks) == size
    assert [task["id"] for task in tasks[:30]] == [task["id"] for task in first]
    told = json.loads(review("review", "report", lot, "--json", code=3).stdout)
    assert told["clean_images_that_would_settle_it"] == size - 30
    correct(person, tasks[30:-1], [unchanged] * (size - 31))
    review("review", "report", lot, code=3)  # one image is missing
    correct(person, tasks[-1:], [unchanged])
    told = json.loads(review("review", "report", lot, "--json").stdout)
    n_masks = sum(len(task["predictions"][0]["result"]) for task in tasks)
    assert told["verdict"] == "accept"
    looks = [one for one in told["history"] if one["kind"] == "looked"]
    assert [one["of_them_reviewed"] for one in looks] == [0, 30, 30, size - 1, size]
    assert [one["verdict"] for one in looks] == ["continue sampling"] * 4 + ["accept"]
    assert (told["masks_shown"], told["deleted"], told["added"]) == (n_masks, 1, 1)
    assert (told["changed"], told["defective_images"], told["unread"]) == (3, 3, {})
    folders = {task["data"]["sam_digest"]: task["data"]["sam_stratum"] for task in tasks}
    defective = {task["data"]["sam_digest"] for task in tasks[:3]}
    assert {one["digest"] for one in told["images"] if one["is_defective"]} == defective
    assert {one["digest"]: one["stratum"] for one in told["images"]} == folders
    shares = told["shares"]
    assert shares["pairs_above_iou_75"]["value"] == pytest.approx(1 - 1 / (n_masks - 1), abs=0.002)
    assert shares["pairs_above_iou_75"]["low"] < shares["pairs_above_iou_75"]["value"]

    make_images(tmp_path / "planted", 36, seed=9)
    generate(tmp_path / "planted", tmp_path / "run")
    lot = str(tmp_path / "run")
    review("import", lot, "--project", str(bulk), "--upload")
    claim = ["--prove", "0.9@0.75", "--size", "29"]
    review("review", "sample", lot, "--project", str(bad), *claim, *options)
    tasks = person.tasks(bad)
    assert len(tasks) == 29
    is_odd = [task["data"]["sam_stratum"] == "odd" for task in tasks]
    correct(person, tasks, [nothing_right if odd else unchanged for odd in is_odd])
    told = json.loads(review("review", "report", lot, "--json", code=1).stdout)
    assert told["verdict"] == "reject"
    assert {name: one["failed"] for name, one in told["strata"].items()} == {
        "even": False, "odd": True,
    }  # fmt: skip
    assert told["defective_images"] == sum(is_odd)
    (page,) = (tmp_path / "run" / "reviews").glob("*/report.html")
    look_at(browser, page, artifacts / "review-rejected.png")
    page = max(run.folder.glob("reviews/*/report.html"), key=lambda file: file.stat().st_mtime)
    look_at(browser, page, artifacts / "review-accepted.png")
    learned = review("quality", "calibrate", "--run", lot, "--no-gold", "--json").stdout
    assert json.loads(learned)["sources"].keys() == {"review"}
    assert json.loads(learned)["masks"] == told["masks_shown"]

    # another sample, and better opinions of this one: the lot is what it was
    again = ["review", "sample", lot, "--project", str(bad), "--upload"]
    refused = review(*again, "--size", "30", "--seed", "5", code=2)
    assert "is under review with seed 4, not 5: a sample may grow" in refused.stderr
    correct(person, tasks, [unchanged] * len(tasks))
    told = json.loads(review("review", "report", lot, "--json", code=1).stdout)
    assert (told["verdict"], told["this_look_alone"]) == ("reject", "accept")
    assert len(told["no_longer_defective"]) == sum(is_odd)
    assert [one["verdict"] for one in told["history"][1:]] == ["reject", "reject"]

    used, *others = person.tasks(bulk)
    correct(person, [used], [unchanged])
    review("review", "quarantine", lot, "--project", str(bulk))
    left = {task["id"]: len(task["predictions"]) for task in person.tasks(bulk)}
    assert left == {used["id"]: 1} | {task["id"]: 0 for task in others}
    # the verdict on one lot says what is asked of the next
    lot = str(run.folder)
    review("review", "reopen", lot, "--reason", "to see what is asked now")
    stated = review("review", "sample", lot, "--project", str(good), "--size", "1", "--upload")
    clean = LotTest(N_IMAGES, 0.05).clean_images
    assert f"tightened inspection: {clean} images without a defect" in stated.stderr


Result = list[dict[str, Any]]


def correct(
    person: Person, tasks: list[dict[str, Any]], how: list[Callable[[Result], Result]]
) -> None:
    """Submit annotations that begin with the tasks' predictions."""
    for task, change in zip(tasks, how, strict=True):
        (prediction,) = task["predictions"]
        person.submit(task["id"], *change(prediction["result"]), parent_prediction=prediction["id"])


def unchanged(result: Result) -> Result:
    return result


def without_one(result: Result) -> Result:
    return result[1:]


def nothing_right(result: Result) -> Result:
    return [reshaped(region, 0.4) for region in result[::2]]


def with_one_more(result: Result) -> Result:
    mask = np.zeros((96, 96), np.bool_)
    mask[:2, :3] = True
    return [*result, brush_region("more", mask)]


def with_one_halved(result: Result) -> Result:
    return [reshaped(result[0], 0.5), *result[1:]]


def with_one_touched_up(result: Result) -> Result:
    return [reshaped(result[0], 0.85), *result[1:]]


def reshaped(region: dict[str, Any], share: float) -> dict[str, Any]:
    """The first part of a mask's pixels."""
    mask = codec.decode(region)
    inside = np.flatnonzero(mask)
    mask.reshape(-1)[inside[round(share * len(inside)) :]] = False
    return brush_region(region["id"], mask)


def look_at(browser: Browser, page: Path, picture: Path) -> None:
    """The report as people see it."""
    shown = browser.new_page(viewport={"width": 1100, "height": 900})
    shown.goto(page.as_uri())
    assert shown.locator(".verdict").inner_text() in ("accept", "reject")
    assert shown.locator("figure img").count() >= 3
    shown.screenshot(path=picture, full_page=True)
    shown.close()


def begin(folder: Path, studio: LocalLabelStudio, options: list[str]) -> subprocess.Popen[bytes]:
    own = {"SAM_BACKEND_DATA_DIR": str(folder)} | settings_of(studio)
    return subprocess.Popen(
        [sys.executable, "-m", "sam_backend.cli.main", *options],
        env=bare_environment() | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
