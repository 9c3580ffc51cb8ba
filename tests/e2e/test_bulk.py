"""Stage 3 in the real Label Studio: a run is imported once, whatever happens meanwhile."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sam_backend.engine.bulk.run_folder import BulkRun, read_run
from sam_backend.labelstudio import controls
from sam_backend.labelstudio.local_server import LocalLabelStudio
from sam_backend.labelstudio.projects import Projects
from sam_backend.labelstudio.server_process import bare_environment
from sam_backend.labelstudio.templates import template
from sam_backend.masks.rle import encode
from tests.e2e.commands import command, eventually
from tests.e2e.people import Person
from tests.engine.bulk.making import generate, make_images

pytestmark = pytest.mark.e2e

N_IMAGES = 60
KILLS = 8


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


def settings_of(studio: LocalLabelStudio) -> dict[str, str]:
    return {
        "LABEL_STUDIO_URL": studio.url,
        "LABEL_STUDIO_API_KEY": studio.account.token,
    }


def tasks_of(person: Person, project: int) -> list[dict[str, Any]]:
    path = f"/api/tasks/?project={project}&page_size=500&fields=all"
    return person.call("GET", path)["tasks"]


def test_import_makes_every_task_once(
    studio: LocalLabelStudio, run: BulkRun, tmp_path: Path
) -> None:
    with Projects(studio.url, studio.account.token) as projects:
        project = projects.create("bulk", template("brush"))
    options = ["import", str(run.folder), "--project", str(project), "--upload", "--batch", "2"]
    rng = random.Random(5)
    for _ in range(KILLS):
        process = begin(tmp_path, studio, [*options, "--rate", "2"])
        time.sleep(rng.uniform(1.5, 3.0))
        process.kill()
        process.wait()
    person = Person.administrator(studio)
    assert len(tasks_of(person, project)) < N_IMAGES
    process = begin(tmp_path, studio, [*options, "--rate", "1.5"])
    n_before = len(tasks_of(person, project))
    eventually(lambda: len(tasks_of(person, project)) > n_before, 60)
    studio.stop()
    time.sleep(5)
    studio.start()
    assert process.wait(120) == 0
    again = command(tmp_path, *options, "--json", settings=settings_of(studio))
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert (told["tasks made"], told["tasks there before"]) == (0, N_IMAGES)

    tasks = tasks_of(Person.administrator(studio), project)
    images = {image.digest: image for image in run.images()}
    assert len(tasks) == N_IMAGES
    assert {task["data"]["sam_digest"] for task in tasks} == images.keys()
    for task in tasks:
        image = images[task["data"]["sam_digest"]]
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == run.plan.model_version
        drawn = [encode(controls.decode(region)) for region in prediction["result"]]
        assert [one.counts.tolist() for one in drawn] == [
            mask.rle.counts.tolist() for mask in image.masks
        ]
        assert image.digest in task["data"]["image"]


def begin(folder: Path, studio: LocalLabelStudio, options: list[str]) -> subprocess.Popen[bytes]:
    own = {"SAM_BACKEND_DATA_DIR": str(folder)} | settings_of(studio)
    return subprocess.Popen(
        [sys.executable, "-m", "sam_backend.cli.main", *options],
        env=bare_environment() | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
