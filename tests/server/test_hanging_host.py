"""A host of images that hangs costs its own clicks only, however many there are."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from sam_backend.errors import ImageFetchError
from sam_backend.labelstudio.api.hosts import Origin
from sam_backend.labelstudio.images.bulkhead import Bulkhead
from sam_backend.server.app import create_app
from sam_backend.settings import Settings
from tests.canned_server import Canned, Request, canned_server
from tests.server.playing import (
    CONFIG,
    PROJECT,
    disc_image,
    png,
    point,
    running_service,
    serving,
    set_up,
)

N_CLICKS = 60  # of as many annotators; the application's threads are fewer
_LIMIT_S = 30.0  # far below `image_timeout_s`: who waited for the hanging host would miss it


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def click(image: str, task: int) -> dict[str, Any]:
    return {
        "tasks": [{"id": task, "project": 1, "data": {"image": image}}],
        "project": PROJECT,
        "label_config": CONFIG,
        "params": {"context": {"result": [point(30, 50)]}},
    }


@pytest.mark.parametrize("n_hosts", [1, 4])
def test_hosts_that_hang_block_nobody_else(
    tmp_path: Path, may_end: threading.Event, n_hosts: int
) -> None:
    under_way = threading.Semaphore(0)

    def hang(request: Request) -> Canned:
        under_way.release()
        may_end.wait()
        return 404, b""

    picture = png(disc_image((240, 320), 96, 120, 50, (200, 30, 30)))
    settings = {"image_timeout_s": 300.0, "allow_private_addresses": True}
    with (
        canned_server({"GET /a.png": (200, picture)}) as images,
        running_service(tmp_path, **settings) as service,
        serving(create_app(service, Settings(data_dir=tmp_path, **settings))) as url,
        httpx.Client(base_url=url, timeout=_LIMIT_S) as client,
        ThreadPoolExecutor(N_CLICKS) as annotators,
        ExitStack() as stack,
    ):
        hosts = [
            stack.enter_context(canned_server({"GET /a.png": hang})).url for _ in range(n_hosts)
        ]
        stack.callback(may_end.set)  # first, also where the test fails
        service.wait_until_loaded()
        set_up(service, images.url)

        def annotate(number: int) -> httpx.Response:
            # a third of them on one task
            task = 7 if number % 3 == 0 else 100 + number
            body = click(f"{hosts[number % n_hosts]}/a.png", task)
            return httpx.post(f"{url}/predict", json=body, timeout=None)

        waiting = [annotators.submit(annotate, number) for number in range(N_CLICKS)]
        for _ in range(10 * n_hosts):  # with four hosts, all threads for clicks
            assert under_way.acquire(timeout=_LIMIT_S)

        setup = {"project": PROJECT, "schema": CONFIG, "hostname": images.url, "access_token": "t"}
        assert client.post("/setup", json=setup).status_code == 200
        assert client.post("/webhook", json={"action": "PROJECT_CREATED"}).status_code == 200
        for path in ("/health", "/versions", "/status", "/metrics"):
            assert client.get(path).status_code == 200
        if n_hosts == 1:  # the rest gave up, so that threads are left for other hosts' pictures
            answer = client.post("/predict", json=click(f"{images.url}/a.png", 1)).json()
            assert answer["results"][0]["result"]
        may_end.set()
        done, late = wait(waiting, _LIMIT_S)
        assert not late
        assert {one.result().status_code for one in done} == {200}


HOST, OTHER = Origin("http", "images.example", 80), Origin("http", "other.example", 80)


def test_more_than_can_be_fetched_at_once_wait_while_some_arrive() -> None:
    bulkhead = Bulkhead(at_once=2, patience_s=60.0)
    running, most, lock = 0, 0, threading.Lock()

    def fetch(_: int) -> None:
        nonlocal running, most
        with bulkhead.turn(HOST):
            with lock:
                running += 1
                most = max(most, running)
            with lock:
                running -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fetch, range(200)))
    assert 1 <= most <= 2


def test_who_waits_for_a_host_that_hangs_gives_up() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0  # each look at the clock is a second later
        return now[0]

    bulkhead = Bulkhead(at_once=1, patience_s=0.5, clock=clock)
    with bulkhead.turn(HOST):
        with (
            pytest.raises(ImageFetchError, match="hangs: 1 images"),
            bulkhead.turn(HOST),
        ):
            pass
        with bulkhead.turn(OTHER):
            pass
    with bulkhead.turn(HOST):
        pass
