"""The learning loop with all its real parts: people teach the model what they mean here.

They label pictures of targets, of which they want the inner disc; the starter takes the whole.
"""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser
from sqlalchemy import update

from sam_backend.cli.process_setup import backend_process
from sam_backend.datasets.manifest import write_manifest
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import ServerProcess
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.models import ModelStore, open_store
from sam_backend.store.tables import JOBS
from sam_backend.training.metrics import METRICS_NAME, read
from tests.bullseyes import SIZE, bullseye_dataset, bullseyes, png
from tests.e2e.browser import LabellingPage
from tests.e2e.commands import command, eventually, listed
from tests.e2e.decoding import iou, mask_of
from tests.e2e.model_page import ModelPage
from tests.e2e.people import Json, Person, brush_region

pytestmark = pytest.mark.e2e

N_ANNOTATED = 20
STEPS = 14
SHOWN, CLICKED = 26, 27
"""Pictures of which the starter takes the whole."""
STARTER = "starter-3"
GOLD = range(1000, 1006)


@dataclass
class Targets:
    """A project of targets, connected to a backend with a data folder of its own.

    Attributes:
        folder: The data folder.
        server: The backend.
        person: Who labels.
        project: Its number.
        backend: The backend's row in Label Studio.
        annotated: Tasks that have an annotation, and its number.
        shown: A task that nobody has labelled, for the page.
        clicked: Another one, for clicks all the while.
    """

    folder: Path
    server: ServerProcess
    person: Person
    project: int
    backend: int
    annotated: dict[int, int]
    shown: int
    clicked: int

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder)

    @property
    def store(self) -> ModelStore:
        return open_store(self.settings)

    def get(self, path: str) -> Any:
        headers = {"Accept": "application/json"}
        answer = httpx.get(self.server.origin + path, headers=headers, timeout=30)
        return answer.raise_for_status().json()

    def served(self) -> str:
        return self.get("/versions")["versions"][0]


def regions(seed: int, whole: bool = False) -> list[Json]:
    """What somebody paints on a picture of targets."""
    _, masks = bullseyes(seed, whole)
    return [brush_region(f"m{number}", mask) for number, mask in enumerate(masks)]


def centre(seed: int) -> tuple[float, float]:
    """The middle of the first target, x before y."""
    ys, xs = np.nonzero(bullseyes(seed)[1][0])
    return float(xs.mean()), float(ys.mean())


@pytest.fixture(scope="module")
def targets(
    label_studio: LocalLabelStudio, projects: Projects, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Targets]:
    folder = tmp_path_factory.mktemp("retraining")
    open_store(Settings(data_dir=folder)).promote(STARTER, "the test's beginning", "test")
    person = Person.administrator(label_studio)
    project = projects.create("e2e retraining", template("brush"))
    pictures = {
        f"{seed}.png": png(bullseyes(seed)[0]) for seed in (*range(N_ANNOTATED), SHOWN, CLICKED)
    }
    *labelled, shown, clicked = projects.upload(project, pictures)
    annotated = {
        task: person.submit(task, *regions(seed))["id"] for seed, task in enumerate(labelled)
    }
    own = {"SAM_BACKEND_DATA_DIR": str(folder), "SAM_BACKEND_RETRAIN_STEPS": str(STEPS)}
    with backend_process(folder, own) as server:
        backend = projects.connect_backend(project, server.origin, STARTER)
        yield Targets(folder, server, person, project, backend, annotated, shown, clicked)


@pytest.fixture(scope="module")
def page(
    browser: Browser, label_studio: LocalLabelStudio, cookies: list[dict]
) -> Iterator[LabellingPage]:
    page = LabellingPage(browser, label_studio.url, timeout_s=120)
    page.context.add_cookies(cookies)
    yield page
    page.close()


@dataclass
class ClicksAllTheWhile:
    """Somebody who clicks without a pause while models come and go.

    Attributes:
        versions: Of each answer.
        failure: What went wrong, if something did.
    """

    targets: Targets
    versions: list[str] = field(default_factory=list)
    failure: BaseException | None = None

    def __enter__(self) -> "ClicksAllTheWhile":
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._click)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _click(self) -> None:
        targets, at = self.targets, centre(CLICKED)
        try:
            while not self._ended.wait(0.3):
                answer = targets.person.click(targets.backend, targets.clicked, *at, SIZE)
                assert len(answer["result"]) == 1
                self.versions.append(answer["model_version"])
        except BaseException as error:
            self.failure = error


def click_on_the_page(page: LabellingPage, targets: Targets, picture: Path) -> tuple[str, float]:
    """A person opens the task and clicks; version and IoU with what they want."""
    page.open_task(targets.project, targets.shown)
    page.turn_on_auto_annotation()
    page.use_clicks()
    page.choose_label("click", "Object")
    (suggestion,) = page.click(*centre(SHOWN))
    page.screenshot(picture)
    wanted = bullseyes(SHOWN)[1][0]
    return page.last_answer["data"]["model_version"], iou(mask_of(suggestion), wanted)


def is_learning(folder: Path) -> bool:
    """Whether a retraining has taken some steps and kept them."""
    files = folder.glob(f"runs/*/training/{METRICS_NAME}")
    return any(len(read(file)) > 1 for file in files)


def kill(worker: str) -> None:
    """`kill -9` of a worker process, by the name that it gives itself."""
    host, _, number = worker.rpartition(":")
    assert host == socket.gethostname()
    arguments = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    assert b"worker" in arguments, arguments
    os.kill(int(number), signal.SIGKILL)


def end_lease(jobs_of: Settings) -> None:
    """What a minute without a sign of life does to the job of a dead worker; nobody waits here."""
    database = open_database(jobs_of)
    with database.writing() as connection:
        connection.execute(update(JOBS).values(lease_until=datetime.now(UTC)))
    database.close()


def test_the_button_brings_a_model_that_knows_what_people_mean(
    targets: Targets, page: LabellingPage, projects: Projects, artifacts: Path
) -> None:
    """One worker is killed on the way, and nobody who clicks notices anything."""
    jobs = Jobs(open_database(targets.settings))

    def only_job() -> Job:
        (job,) = jobs.list()
        return job

    before, overlap = click_on_the_page(page, targets, artifacts / "retraining-1-before.png")
    assert before.startswith(STARTER)
    assert overlap < 0.5, "else there is nothing to learn"

    with ClicksAllTheWhile(targets) as clicks:
        models = ModelPage(page.page, page.url, targets.project)
        models.start_training()
        page.screenshot(artifacts / "retraining-2-button.png")

        eventually(lambda: is_learning(targets.folder), poll_s=0.1)
        begun = only_job()
        (shown,) = targets.get("/status")["jobs"]
        assert (shown["kind"], shown["state"]) == ("retrain", "running")
        (also,) = listed(targets.folder, "jobs")
        assert (also["state"], also["project"]) == ("running", targets.project)
        press = {"action": "START_TRAINING", "project": {"id": targets.project}}
        for _ in range(2):  # the same again, as from a second webhook
            httpx.post(targets.server.origin + "/webhook", json=press).raise_for_status()
        assert only_job().id == begun.id

        kill(str(begun.worker))
        end_lease(targets.settings)
        assert targets.served() == before
        eventually(lambda: only_job().state != "running")
        job = only_job()
        assert job.state == "done", job.reason
        assert job.attempts == 2
        assert job.worker != begun.worker
        assert job.progress["stage"] == "judging challenger"
        assert job.result is not None
        assert job.result["promoted"], job.result["reasons"]
        after = eventually(lambda: served if (served := targets.served()) != before else None)
        n_clicks = len(clicks.versions)
        eventually(lambda: clicks.failure or len(clicks.versions) >= n_clicks + 2)

    assert clicks.failure is None, clicks.failure
    first_new = clicks.versions.index(after)
    assert clicks.versions == [before] * first_new + [after] * (len(clicks.versions) - first_new)

    assert after.startswith(job.result["version"])
    assert targets.store.champion().version == job.result["version"]
    challengers = [entry.version for entry in targets.store.list() if entry.card.challenger]
    assert challengers == [job.result["version"]], "one, however often it was begun"
    (row,) = projects.backends(targets.project)  # a listing asks /setup anew
    assert row["model_version"] == after

    now, overlap = click_on_the_page(page, targets, artifacts / "retraining-4-after.png")
    assert now == after
    assert overlap > 0.7
    assert targets.server.is_running, "the same process all the while"
    told = [entry["reason"] for entry in targets.get("/status")["journal"]]
    assert told == ["the worker process ended with -9, see the log"]
    page.page.goto(targets.server.origin + "/status")
    page.screenshot(artifacts / "retraining-3-status.png")


def test_a_challenger_of_shuffled_labels_is_refused(targets: Targets, tmp_path: Path) -> None:
    """Whole targets here, which the starter finds: any size that was learned is of no use then."""
    for seed, annotation in enumerate(targets.annotated.values(), start=1):
        shuffled = {"result": regions(seed % N_ANNOTATED, whole=True)}
        targets.person.call("PATCH", f"/api/annotations/{annotation}/", shuffled)
    gold = tmp_path / "gold.jsonl"
    write_manifest(bullseye_dataset(tmp_path / "gold", GOLD, whole=True), gold)
    champion = targets.served()

    arguments = ["--project", str(targets.project), "--gold", str(gold), "--parent", STARTER]
    ended = command(targets.folder, "train", *arguments, "--steps", str(STEPS), "--json")

    assert ended.returncode == 1, ended.stderr
    outcome = json.loads(ended.stdout)
    assert outcome["promoted"] is False
    assert outcome["reasons"][0].startswith("Kept the champion: ")
    verdicts = {one["figure"]: one["verdict"] for one in outcome["comparisons"]}
    assert verdicts["1-click mIoU"] != "better"
    assert targets.served() == champion
    cards = {card["version"]: card for card in listed(targets.folder, "models")}
    kept = cards[outcome["version"]]
    assert (kept["challenger"], kept["champion"], kept["parent"]) == (True, False, STARTER)
    assert kept["gate"]["promote"] is False
    assert kept["run"]["gate_is_gold"] is True
