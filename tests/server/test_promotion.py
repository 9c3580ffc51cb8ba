"""Promotions under a real HTTP server that is being clicked at all the time."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from safetensors.torch import save_file

from sam_backend.demo.server_process import free_port
from sam_backend.labelstudio.regions import codec
from sam_backend.server.app import create_app
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from sam_backend.store.models import ModelStore, open_store
from tests.canned_server import canned_server
from tests.sam.networks import random_starter
from tests.server.playing import CONFIG, PROJECT, disc_image, png, point, reasons, set_up

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGES = {
    f"/{number}.png": png(disc_image((64, 80), 20 + 10 * number, 30, 14, (200, 40 * number, 30)))
    for number in range(4)
}
VERSIONS = ("random-a", "random-b")
POLL_S = 0.05
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two checkpoints of the starter's family; random weights, but not the same."""
    folder = tmp_path_factory.mktemp("weights")
    files = {version: folder / f"{version}.safetensors" for version in VERSIONS}
    for seed, file in enumerate(files.values()):
        save_file(random_starter(seed).state_dict(), file)
    return files


@pytest.fixture
def settings(tmp_path: Path, weights: dict[str, Path]) -> Settings:
    """A store with both checkpoints; the first one is the champion."""
    made = Settings(data_dir=tmp_path, champion_poll_s=POLL_S, label_studio_hosts="*")
    store = open_store(made)
    for version, file in weights.items():
        store.add(file, version)
    promote(store, "random-a")
    return made


def promote(store: ModelStore, version: str) -> None:
    store.promote(version, reason="a test", by="the test")


@contextmanager
def serving(settings: Settings) -> Iterator[tuple[Service, str]]:
    """A service on a real socket, and its address."""
    with Service.start(settings) as service, canned_images() as images:
        set_up(service, images)
        port = free_port()
        app = create_app(service, settings)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            wait_until(lambda: server.started)
            yield service, f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def canned_images() -> Iterator[str]:
    with canned_server({f"GET {path}": (200, data) for path, data in IMAGES.items()}) as server:
        yield server.url


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def click(client: httpx.Client, url: str, path: str, task_id: int) -> dict[str, Any]:
    """The prediction for one click on an image."""
    body = {
        "tasks": [{"id": task_id, "data": {"image": path}}],
        "project": PROJECT,
        "label_config": CONFIG,
        "params": {"context": {"result": [point(40, 50, original_width=80, original_height=64)]}},
    }
    answer = client.post(f"{url}/predict", json=body, timeout=PATIENCE_S).raise_for_status()
    (prediction,) = answer.json()["results"]
    return prediction


def mask_of(prediction: dict[str, Any]) -> bytes:
    (region,) = prediction["result"]
    return codec.decode(region).tobytes()


@dataclass
class Annotator:
    """Clicks without a pause until told to stop."""

    url: str
    number: int
    stop: threading.Event
    answers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def run(self) -> None:
        paths = list(IMAGES)
        with httpx.Client() as client:
            while not self.stop.is_set():
                turn = len(self.answers)
                path = paths[(self.number + turn) % len(paths)]
                try:
                    prediction = click(client, self.url, path, 1000 * self.number + turn)
                except Exception as error:
                    self.failures.append(error)
                    return
                self.answers.append((path, prediction))


@pytest.fixture
def expected(settings: Settings) -> dict[tuple[str, str], bytes]:
    """The mask of each version on each image, asked one after the other of each alone."""
    found = {}
    for version in VERSIONS:
        pinned = settings.model_copy(update={"model": version})
        with serving(pinned) as (service, url), httpx.Client() as client:
            service.wait_until_loaded()
            for path in IMAGES:
                found[service.model_version, path] = mask_of(click(client, url, path, 1))
    # else the masks could not tell who has answered
    assert len(set(found.values())) == len(VERSIONS) * len(IMAGES)
    return found


def test_no_click_is_lost_or_mixed_while_the_champion_changes(
    settings: Settings, expected: dict[tuple[str, str], bytes]
) -> None:
    store = open_store(settings)
    with serving(settings) as (service, url):
        service.wait_until_loaded()
        stop = threading.Event()
        annotators = [Annotator(url, number, stop) for number in range(3)]
        threads = [threading.Thread(target=one.run) for one in annotators]
        for thread in threads:
            thread.start()
        served = [service.model_version]
        try:
            for version in ("random-b", "random-a", "random-b"):
                n_before = sum(len(one.answers) for one in annotators)
                wait_until(lambda n=n_before: sum(len(o.answers) for o in annotators) > n + 5)
                promote(store, version)
                wait_until(lambda v=version: service.model_version.startswith(v))
                served.append(service.model_version)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        last = httpx.post(f"{url}/setup", json={"project": PROJECT, "hostname": "http://ls"})
        assert last.json()["model_version"] == served[-1]
        assert httpx.get(f"{url}/versions").json()["versions"][0] == served[-1]
        assert [one for one in reasons(service) if "another /setup is not heeded" not in one] == []
    assert [failure for one in annotators for failure in one.failures] == []
    answers = [answer for one in annotators for answer in one.answers]
    assert {prediction["model_version"] for _, prediction in answers} == set(served)
    for path, prediction in answers:
        assert mask_of(prediction) == expected[prediction["model_version"], path]


def test_a_click_under_way_ends_on_the_old_model_which_is_freed_then(
    settings: Settings, expected: dict[tuple[str, str], bytes]
) -> None:
    with serving(settings) as (service, url), httpx.Client() as client:
        old = weakref.ref(service.wait_until_loaded())
        before = service.model_version
        blocked, may_go = threading.Event(), threading.Event()

        def hold() -> None:
            blocked.set()
            may_go.wait(PATIENCE_S)

        device = service._champion.device
        device.submit(hold)
        blocked.wait()
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(click, client, url, "/0.png", 1)
            wait_until(lambda: device.queue_length == 1)
            promote(open_store(settings), "random-b")
            wait_until(lambda: service.model_version != before)
            status = service.status().model
            may_go.set()
        assert status.answering_last_requests == before
        assert answer.result()["model_version"] == before
        assert mask_of(answer.result()) == expected[before, "/0.png"]
        assert service.status().model.answering_last_requests == "none"
        gc.collect()
        assert old() is None


def test_a_damaged_champion_is_refused_once_and_said(settings: Settings) -> None:
    store = open_store(settings)
    entry = store.get("random-b")
    entry.weights_path.write_bytes(b"no weights")
    with serving(settings) as (service, url):
        service.wait_until_loaded()
        before = service.model_version
        promote(store, "random-b")
        wait_until(lambda: bool(reasons(service)))
        time.sleep(5 * POLL_S)
        (reason,) = reasons(service)
        assert "damaged" in reason
        assert "goes on" in reason
        status = httpx.get(f"{url}/status").json()
        assert status["model"]["not_served"].startswith("random-b+")
        assert [one["version"] for one in status["champions"]] == ["random-b", "random-a"]
        with httpx.Client() as client:
            assert click(client, url, "/0.png", 1)["model_version"] == before
        store.rollback(reason="it is damaged", by="the test")
        wait_until(lambda: service.status().model.not_served == "none")
        assert service.model_version == before


@pytest.mark.parametrize(("model", "served"), [("random-a", "random-a"), ("starter", "random-b")])
def test_a_pinned_version_stays_and_a_family_follows(
    settings: Settings, model: str, served: str
) -> None:
    named = settings.model_copy(update={"model": model})
    with Service.start(named) as service:
        service.wait_until_loaded()
        assert service.model_version.startswith("random-a+")
        promote(open_store(settings), "random-b")
        if served == "random-a":
            time.sleep(5 * POLL_S)
        wait_until(lambda: service.model_version.startswith(f"{served}+"))


def test_all_versions_of_the_store_are_listed_as_predictions_name_them(settings: Settings) -> None:
    with Service.start(settings) as service:
        first, *others = service.versions()
        assert first == service.model_version
        assert len(set(others)) == len(others)
        assert first not in others
        promote(open_store(settings), "random-b")
        wait_until(lambda: service.model_version.startswith("random-b+"))
        assert service.model_version in others
        assert service.versions()[0] == service.model_version
