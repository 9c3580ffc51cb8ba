"""Predictions that Label Studio asks for without prompts: one answer a task, in order."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer
from sam_backend.masks.overlap import mask_iou
from sam_backend.server.prefilling import NOT_READY
from sam_backend.server.protocol import PredictRequest, SetupRequest
from sam_backend.server.service import Service
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.prefills import Prefills
from tests.canned_server import CannedServer, Request, canned_server
from tests.projects.working_project import move
from tests.server.playing import CONFIG, PROJECT, disc, disc_image, png, reasons, set_up

SIZE = (240, 320)
LEFT, RIGHT = (90, 120, 50), (230, 110, 60)
FEW_POINTS = {"parameters": {"points_per_side": 6}}


def tasks_of(request: Request) -> tuple[int, Any]:
    return 200, {"tasks": [{"id": 1, "data": {"image": "/left.png"}}], "total": 1}


ROUTES = {
    "GET /left.png": (200, png(disc_image(SIZE, *LEFT, (200, 30, 30)))),
    "GET /right.png": (200, png(disc_image(SIZE, *RIGHT, (30, 60, 200)))),
    "GET /broken.png": (200, b"\x89PNG\r\n\x1a\n and no more"),
    "GET /api/tasks/": tasks_of,
    "GET /api/projects/1/": (200, {"model_version": "another title"}),
    "PATCH /api/projects/1/": (200, {}),
    "PATCH /api/tasks/1/": (200, {}),
    "GET /api/ml/": (200, []),
}


@pytest.fixture
def studio() -> Iterator[CannedServer]:
    with canned_server(ROUTES) as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(Settings(data_dir=tmp_path))
    yield opened
    opened.close()


def service_of(folder: Path, database: Database, **settings: Any) -> Service:
    told = Settings(data_dir=folder, label_studio_hosts="*", **{"prefill": FEW_POINTS, **settings})
    return Service.start(told, database=lambda: database)


def predict(service: Service, *images: str, **task: Any) -> list[Any]:
    tasks = [
        {"id": number, "data": {"image": image}} | task for number, image in enumerate(images, 1)
    ]
    request = PredictRequest(tasks=tasks, project=PROJECT, label_config=CONFIG)
    return service.predict(request).content["results"]


def masks(prediction: dict[str, Any]) -> list[Any]:
    return [codec.decode(region) for region in prediction["result"]]


def eventually(ask: Any) -> None:
    deadline = time.monotonic() + 60
    while not ask():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_every_task_gets_its_answer_in_order(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database) as service:
        set_up(service, studio.url)
        left, broken, missing, right = predict(
            service, "/left.png", "/broken.png", "/missing.png", "/right.png"
        )
        for prediction, wanted in ((left, LEFT), (right, RIGHT)):
            assert prediction["model_version"] == service.model_version
            assert 0 < prediction["score"] <= 1
            assert max(mask_iou(mask, disc(SIZE, *wanted)) for mask in masks(prediction)) > 0.8
        # what is no image will not become one; what cannot be had now may be had later
        assert broken == {"result": [], "score": 0.0, "model_version": service.model_version}
        assert missing == []
        told = reasons(service)
        assert any("its PNG data is damaged or cut short" in reason for reason in told)
        assert any("/missing.png" in reason for reason in told)

        # what was answered is written down right after
        eventually(lambda: len(Prefills(database).states(studio.url, 1, [1, 2, 3, 4])) == 4)
        rows = Prefills(database).states(studio.url, 1, [1, 2, 3, 4])
        assert [rows[task].state for task in (1, 2, 3, 4)] == ["done", "done", "failed", "done"]
        assert "cannot be read" in str(rows[2].reason)
        ends = [more["end"] for _, more in Prefills(database).masks(studio.url, 1, 1) or []]
        assert ends.count("accept") == rows[1].counts["accepted"] > 0
        assert len(ends) == sum(rows[1].counts.values())


def test_figures_go_into_the_task_and_the_version_is_shown(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database) as service:
        set_up(service, studio.url)
        predict(service, "/left.png", "/right.png")
        eventually(lambda: studio.asked("PATCH /api/tasks/1/"))
        [written] = studio.asked("PATCH /api/tasks/1/")[:1]
        data = written.body["data"]
        assert data["image"] == "/left.png"
        assert data["sam_masks"] >= 1
        assert 0 < data["sam_coverage"] <= 1
        assert data["sam_note"] == ""
        [shown] = studio.asked("PATCH /api/projects/1/")[:1]
        assert shown.body == {"model_version": service.model_version}


def test_what_is_late_goes_on_and_is_there_the_next_time(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database, prefill_budget_s=0.001) as service:
        set_up(service, studio.url)
        service.wait_until_loaded()
        images = ["/left.png", "/right.png"] * 2
        assert predict(service, *images) == [[]] * 4
        assert any("4 were not ready within 0.001 s" in reason for reason in reasons(service))
        eventually(lambda: len(Prefills(database).states(studio.url, 1, [1, 2, 3, 4])) == 4)
        # a task that is opened gets what is ready, whatever the setting says of opened tasks
        [prediction] = predict(service, "/left.png")
        assert prediction == [] or prediction["result"]
    with service_of(tmp_path, database) as again:
        set_up(again, studio.url)
        found = predict(again, *images)
        assert all(prediction["result"] for prediction in found)
        counts = again.status().embeddings
        assert counts.encoded == 0, "masks come from the store, nothing is encoded"


def test_an_opened_task_is_only_warmed(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database) as service:
        set_up(service, studio.url)
        assert predict(service, "/left.png") == [[]]
    with service_of(tmp_path, database, prefill_when="never") as service:
        set_up(service, studio.url)
        assert predict(service, "/left.png", "/right.png") == [[], []]
    with service_of(tmp_path, database, prefill_when="always") as service:
        set_up(service, studio.url)
        [prediction] = predict(service, "/left.png")
        assert prediction["result"]


def test_the_project_says_how(studio: CannedServer, database: Database, tmp_path: Path) -> None:
    with service_of(tmp_path, database) as service:
        said = {"prefill": {**FEW_POINTS, "label": "Wheel", "max_masks": 1}}
        service.setup(
            SetupRequest(
                project=PROJECT,
                schema=CONFIG,
                hostname=studio.url,
                access_token="t",
                extra_params=said,
            )
        )
        for prediction in predict(service, "/left.png", "/right.png"):
            [region] = prediction["result"]
            assert region["value"]["brushlabels"] == ["Wheel"]


def test_a_setup_from_elsewhere_does_not_say_how(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database) as service:
        set_up(service, studio.url)
        forged = {"project": PROJECT, "hostname": "http://127.0.0.1:1", "access_token": "x"}
        service.setup(SetupRequest(**forged, extra_params={"prefill": {"label": "Tree"}}))
        assert all(one["result"] for one in predict(service, "/left.png", "/right.png"))


@pytest.mark.parametrize(
    ("prefill", "says"),
    [
        ({"label": "Tree"}, "has no label 'Tree'"),
        ({"proposer": "magic"}, "no proposer is named 'magic'"),
    ],
)
def test_what_cannot_work_is_told_and_nothing_is_stored(
    studio: CannedServer, database: Database, tmp_path: Path, prefill: Any, says: str
) -> None:
    with service_of(tmp_path, database, prefill=prefill) as service:
        set_up(service, studio.url)
        assert predict(service, "/left.png", "/right.png") == [[], []]
        assert says in reasons(service)[0]


def test_drawn_masks_and_drafts_are_no_news(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    with service_of(tmp_path, database) as service:
        set_up(service, studio.url)
        [first, _] = predict(service, "/left.png", "/right.png")
        near = [mask for mask in masks(first) if mask_iou(mask, disc(SIZE, *LEFT)) > 0.5]
        assert near
        drafts = [{"result": first["result"]}]
        [second, _] = predict(service, "/left.png", "/right.png", drafts=drafts)
        assert not [mask for mask in masks(second) if mask_iou(mask, disc(SIZE, *LEFT)) > 0.5]


def boxed(name: str, corners: tuple[int, int, int, int], *labels: str) -> dict[str, Any]:
    x0, y0, x1, y1 = corners
    height, width = SIZE
    percent = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width}
    percent |= {"height": (y1 - y0) / height}
    value = {key: 100 * part for key, part in percent.items()} | {"rotation": 0}
    return {
        "id": name,
        "type": "rectanglelabels",
        "from_name": "box",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "value": value | {"rectanglelabels": list(labels)},
    }


def test_masks_of_drawn_boxes_keep_all_labels_of_their_box(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    """Also of one of two boxes that share their centre; a label that no tag has is left out."""
    x, y, radius = LEFT
    around = (x - radius, y - radius, x + radius, y + radius)
    within = (x - 20, y - 20, x + 20, y + 20)
    drawn = [boxed("a", around, "Wheel", "Car"), boxed("b", within, "Tree", "Wheel")]
    sure = {"accept_predicted_iou": 0, "accept_stability": 0, "duplicate_iou": 1, "label": "Car"}
    asked = {"proposer": "existing", "review_predicted_iou": 0, "review_stability": 0} | sure
    with service_of(tmp_path, database, prefill=asked) as service:
        set_up(service, studio.url)
        annotations = [{"id": 7, "result": drawn}]
        found, _ = predict(service, "/left.png", "/right.png", annotations=annotations)
        labels = [region["value"]["brushlabels"] for region in found["result"]]
        assert sorted(labels) == [["Wheel"], ["Wheel", "Car"]]


def test_look_alikes_of_a_submitted_mask_come_with_its_label(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    """At first nobody has submitted one: Label Studio stores nothing, and the reason is told."""
    size, spots = (240, 480), [(90, 120), (230, 110), (390, 130)]
    pixels = np.full((*size, 3), 190, np.uint8)
    for x, y in spots:
        pixels[disc(size, x, y, 40)] = (200, 30, 30)
    page = {"tasks": [], "total": 0}
    studio.routes = {
        **ROUTES,
        "GET /three.png": (200, png(pixels)),
        "GET /api/tasks/": lambda request: (200, page),
    }
    with service_of(tmp_path, database, prefill={"proposer": "similar"}) as service:
        set_up(service, studio.url)
        assert predict(service, "/three.png", "/left.png") == [NOT_READY] * 2
        assert any("a mask of labels 'Car', 'Wheel' yet. Draw one" in r for r in reasons(service))
        answer = Answer(LabelConfig.parse(CONFIG).control("brush"), NamedLabel("Wheel"), 1.0)
        region = codec.encode(disc(size, *spots[0], 40), answer)
        annotations = [{"id": 7, "result": json.loads(json.dumps(region))}]
        found, _ = predict(service, "/three.png", "/left.png", annotations=annotations)
        assert {tuple(one["value"]["brushlabels"]) for one in found["result"]} == {("Wheel",)}
        for x, y in spots[1:]:
            assert max(mask_iou(mask, disc(size, x, y, 40)) for mask in masks(found)) > 0.8
        drawn = disc(size, *spots[0], 40)
        assert max(mask_iou(mask, drawn) for mask in masks(found)) < 0.5, "it is there already"


def test_the_stage_says_whether_tasks_are_prefilled(
    studio: CannedServer, database: Database, tmp_path: Path
) -> None:
    begun = datetime(2026, 1, 2, 12, tzinfo=UTC)
    few = {"2": {"prefill": FEW_POINTS | {"max_masks": 1}}}
    with service_of(tmp_path, database, prefill={}, stages=few) as service:
        set_up(service, studio.url)
        move(database, 1, "1", begun, host=studio.url, project=1)
        assert predict(service, "/left.png", "/right.png") == [NOT_READY] * 2
        move(database, 2, "2", begun, host=studio.url, project=1)
        left, right = predict(service, "/left.png", "/right.png")
        assert len(left["result"]) == len(right["result"]) == 1, "as the stage says"
        move(database, 3, "1", begun, host=studio.url, project=1)
        own = f'{{"prefill": {json.dumps(FEW_POINTS)}}}'
        service.setup(
            SetupRequest(
                project=PROJECT,
                schema=CONFIG,
                hostname=studio.url,
                access_token="t",
                extra_params=own,
            )
        )
        left, right = predict(service, "/left.png", "/right.png")
        assert len(left["result"]) > 1, "the project asks for it"
