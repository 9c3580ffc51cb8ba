"""Recorded requests of Label Studio, changed at random: bad input is answered, never a crash."""

import copy
import json
import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from sam_backend.jobs.services import BackgroundServices
from sam_backend.server.app import create_app
from sam_backend.server.protocol import WebhookRequest
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from tests.canned_server import canned_server
from tests.labelstudio.forged import PEAK_BYTES, forged, traced_peak
from tests.server.playing import PROJECT, png

SAMPLES = Path(__file__).parents[1] / "data" / "labelstudio"
RECORDED = [
    *sorted(SAMPLES.glob("predict_*.json")),
    SAMPLES / "setup.json",
    *sorted(SAMPLES.glob("webhook_*.json")),
]
N_EACH = 60
N_CHANGES = 3

Json = Any
Change = Callable[[random.Random, Json], Json]

HOLDING = {"annotations", "drafts", "result", "value", "tasks", "data", "id", "project", "context"}
"""Names of what holds the rest: half of the changes are there."""

ODD: list[Json] = [
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, 2**70, 1.5, 1e308, -1e308, 100.0001, 65536),
    *("", " ", "x", "0", "\0", "\ud83d", "é" * 300, "NaN", "null", "[]", "../../etc/passwd"),
    *([], {}, [[]], [None], [{}], {"": None}, [[0, 0], [1, 1]], {"id": 1}, [1, 2, 3], "<View"),
    *("2026-13-45T99:99:99Z", "keypointlabels", "brushlabels", "ellipselabels", "brush"),
    {"x": 1e9, "y": -1e9, "width": 1e9, "height": 1e9},
    {"format": "rle", "rle": [255] * 50},
    {"points": [[0, 0], [100, 0], [50, 1e4]], "closed": True},
    {"imageDataURL": "data:image/png;base64,iVBORw0KGgo="},
    {"x": 50, "y": 50, "radiusX": 50, "radiusY": 50},
]


def places(value: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything within a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def change(document: Json, rng: random.Random) -> None:
    """One thing in a document is gone, odd, repeated, wrapped, or what another one is."""
    known = list(places(document))
    if not known:
        return
    holding = [path for path in known if path[-1] in HOLDING]
    *way, last = rng.choice(holding if holding and rng.random() < 0.5 else known)
    holder = document
    for key in way:
        holder = holder[key]
    match rng.randrange(6):
        case 0:
            del holder[last]
        case 1:
            holder[last] = [copy.deepcopy(holder[last]) for _ in range(rng.choice([2, 40]))]
        case 2 if isinstance(holder, list):
            holder.extend(copy.deepcopy(holder[last]) for _ in range(rng.choice([1, 60])))
        case 3:
            other = document
            for key in rng.choice(known):
                other = other[key]
            holder[last] = copy.deepcopy(other)
        case _:
            holder[last] = copy.deepcopy(rng.choice(ODD))


def recorded(file: Path, image: str) -> tuple[str, Json]:
    """Path and body of a request, about a picture that can be read and a project that is known."""
    told = json.loads(file.read_text())
    body = told.get("body", told)
    for task in body.get("tasks") or []:
        if isinstance(task, dict) and "data" in task:
            task["data"] = dict.fromkeys(task["data"], image)
    path = "/webhook" if file.stem.startswith("webhook") else told["path"].partition("?")[0]
    return path, body


class Server:
    """The application with all that a server has, but its threads."""

    def __init__(self, folder: Path, image: str) -> None:
        settings = Settings(
            data_dir=folder,
            label_studio_hosts="*",
            allow_private_addresses=True,
            own_worker=False,
            prefill={"parameters": {"points_per_side": 2}},
            prefill_budget_s=20,
        )
        self.background = BackgroundServices(settings)
        self.service = Service.start(
            settings,
            self.background.handle,
            self.background.newest_jobs,
            lambda: self.background.database,
        )
        self.client = TestClient(create_app(self.service, settings), raise_server_exceptions=False)
        self.service.wait_until_loaded()
        for file in RECORDED:  # every project of the samples is known
            path, body = recorded(file, image)
            told = body["project"]
            if path == "/webhook":
                told = WebhookRequest.model_validate(body).event().project
            setup = {"project": told, "hostname": image.rpartition("/")[0], "access_token": "t"}
            assert self.client.post("/setup", json=setup).status_code == 200

    def close(self) -> None:
        self.service.close()
        self.background.close()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    pixels = np.full((48, 64, 3), 200, np.uint8)
    pixels[10:40, 20:50] = (30, 60, 200)
    with canned_server({"GET /a.png": (200, png(pixels))}) as web:
        yield f"{web.url}/a.png"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("mutated"), image)
    yield running
    running.close()


def asked_at_once(body: Json) -> Json:
    """The same task twice and without a prompt: predictions of both are wanted."""
    task = body["tasks"][0]
    tasks = [task, task | {"id": 15, "annotations": task["drafts"]}]
    return body | {"tasks": tasks, "params": body["params"] | {"context": None}}


@pytest.mark.parametrize("file", [*RECORDED, None], ids=lambda file: file and file.stem)
def test_changed_requests_are_answered(
    server: Server, image: str, file: Path | None, caplog: pytest.LogCaptureFixture
) -> None:
    is_batch = file is None
    file = file or SAMPLES / "predict_interactive_with_drafts_in_task.json"
    path, body = recorded(file, image)
    body = asked_at_once(body) if is_batch else body
    rng = random.Random(f"19 {file.stem} {is_batch}")
    caplog.set_level(logging.ERROR)
    for number in range(N_EACH):
        changed = copy.deepcopy(body)
        for _ in range(rng.randint(0, N_CHANGES) if number else 0):
            change(changed, rng)
        told = json.dumps(changed).encode(errors="surrogatepass")
        answer = server.client.post(
            path, content=told, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code < 500, f"change {number}: {answer.text}"
        if path == "/predict" and answer.status_code == 200:
            assert isinstance(answer.json()["results"], list)
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert tracebacks == []
    internal = [
        entry.reason for entry in server.service.journal.entries() if "internal" in entry.reason
    ]
    assert internal == []


KINDS = ("brush", "ellipse", "polygon", "rectangle", "bitmask")
DRAWING = "".join(
    f'<{kind.title()}Labels name="{kind}" toName="image" sam="{role}"><Label value="Car"/>'
    f"</{kind.title()}Labels>"
    for kind, role in zip(KINDS, ("output", *["prompt"] * 4), strict=True)
)
PROMPTED = (
    f'<View><Image name="image" value="$image"/>{DRAWING}<KeyPointLabels name="kp" toName="image" '
    'smart="true"><Label value="Car"/></KeyPointLabels></View>'
)


@pytest.mark.parametrize("where", ["prompts", "drafts", "batch"])
def test_the_size_that_a_region_claims_is_compared_before_it_is_made(
    server: Server, image: str, where: str
) -> None:
    """Of 169 million pixels each, where the picture has 3,072."""
    regions = [forged(kind, 13_000) for kind in KINDS]
    task = {"id": 1, "data": {"image": image}}
    click = {
        "id": "k",
        "type": "keypointlabels",
        "from_name": "kp",
        "to_name": "image",
        "is_positive": True,
        "value": {"x": 50, "y": 50, "keypointlabels": ["Car"]},
    }
    held = {"annotations": [{"result": regions}], "drafts": [{"result": regions}]}
    tasks = [task | held] if where == "drafts" else [task]
    context: Json = {"result": [click] if where == "drafts" else regions}
    if where == "batch":
        tasks, context = [task | held, {**task, "id": 2, **held}], None
    body = {"tasks": tasks, "project": PROJECT, "label_config": PROMPTED}
    with traced_peak() as peak:
        answer = server.client.post("/predict", json=body | {"params": {"context": context}})
    assert answer.status_code == 200
    assert peak.bytes < PEAK_BYTES


def test_a_context_asks_for_bounded_work(server: Server, image: str) -> None:
    def ask(number: int, kind: str) -> str:
        made = [forged(kind, 64) | {"id": f"r{n}"} for n in range(number)]
        for n, region in enumerate(made):
            region["value"] = region["value"] | {"x": n / number}
        body = {
            "tasks": [{"id": 3, "data": {"image": image}}],
            "project": PROJECT,
            "label_config": PROMPTED,
            "params": {"context": {"result": made}},
        }
        assert server.client.post("/predict", json=body).status_code == 200
        told = [entry.reason for entry in server.service.journal.entries()]
        return next(reason for reason in told if "objects" in reason)

    assert "at most 64" in ask(100, "rectangle")
    assert "at most 64" in ask(3000, "rectangle")
