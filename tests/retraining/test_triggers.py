"""Retrainings are ordered once, whether events come twice, late or never."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.api.annotations import HumanMasks
from sam_backend.labelstudio.api.webhook_events import WebhookEvent
from sam_backend.retraining.request import RetrainingRequest
from sam_backend.retraining.triggers import Triggers
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.events import Events
from sam_backend.store.jobs import Jobs

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class Project:
    """The masks of project 7: one a minute."""

    def __init__(self) -> None:
        self.n_masks = 0
        self.asked = 0
        self.failure: LabelStudioError | None = None
        self.counted = threading.Event()

    def count(self, project: int, since: datetime | None) -> HumanMasks:
        assert project == 7
        self.asked += 1
        self.counted.set()
        if self.failure is not None:
            raise self.failure
        stamps = [NOON + timedelta(minutes=n) for n in range(self.n_masks)]
        newer = [stamp for stamp in stamps if since is None or stamp > since]
        return HumanMasks(len(newer), max(newer, default=since))


class Bench:
    """Triggers over a real queue."""

    def __init__(
        self, folder: Path, every: int | None, reconcile_s: float, steps: int | None = None
    ) -> None:
        self.database = open_database(Settings(data_dir=folder))
        self.jobs = Jobs(self.database)
        self.project = Project()
        self.told: list[tuple[str, str]] = []
        self.triggers = Triggers(
            self.jobs,
            Events(self.database),
            lambda project: every,
            steps,
            reconcile_s,
            lambda: [7],
            self.project.count,
            lambda subject, reason: self.told.append((subject, reason)),
            spacing_s=0.01,
        )

    def orders(self) -> list[dict[str, object]]:
        return [dict(job.payload) for job in self.jobs.list()]

    def end_job(self) -> None:
        job = self.jobs.claim("w")
        assert job is not None
        self.jobs.finish(job, {})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, every=10, reconcile_s=3600)
    yield made
    made.triggers.close()
    made.database.close()


def button(key: str = "k") -> WebhookEvent:
    return WebhookEvent("START_TRAINING", 7, key)


def submitted(key: str) -> WebhookEvent:
    return WebhookEvent("ANNOTATION_CREATED", 7, key)


def test_the_button_orders_one_retraining_however_often_it_is_told(bench: Bench) -> None:
    for key in ("a", "a", "b"):
        bench.triggers.handle(button(key))
    assert bench.orders() == [{"project": 7, "depth": "decoder", "seed": 0, "promote": True}]
    bench.end_job()
    bench.triggers.handle(button("c"))
    assert len(bench.orders()) == 2, "once it has ended, another press means another one"


def test_each_order_has_the_steps_that_the_settings_ask_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, every=10, reconcile_s=3600, steps=40)
    bench.project.n_masks = 10
    bench.triggers.look(7)
    bench.end_job()
    bench.triggers.handle(button())
    assert [order["steps"] for order in bench.orders()] == [40, 40]
    bench.database.close()


def test_the_button_without_a_project_is_refused(bench: Bench) -> None:
    with pytest.raises(LabelStudioError, match="names no project"):
        bench.triggers.handle(WebhookEvent("START_TRAINING", None, "k"))
    assert bench.orders() == []


def test_enough_new_masks_order_one_and_only_newer_ones_count_again(bench: Bench) -> None:
    for n_masks, n_orders in ((9, 0), (10, 1), (19, 1), (20, 2)):
        bench.project.n_masks = n_masks
        bench.triggers.look(7)
        bench.triggers.look(7)
        assert len(bench.orders()) == n_orders, n_masks
        if n_orders and bench.jobs.is_waiting():
            bench.end_job()
    newest = bench.orders()[0]["masks_until"]
    assert newest == (NOON + timedelta(minutes=19)).isoformat().replace("+00:00", "Z")


def test_a_look_while_the_retraining_runs_orders_no_other(bench: Bench) -> None:
    bench.project.n_masks = 10
    first = bench.triggers.look(7)
    bench.project.n_masks = 40
    again = bench.triggers.look(7)
    assert first is not None
    assert again is not None
    assert again.id == first.id


def test_an_event_makes_it_look_and_its_copy_does_not(bench: Bench) -> None:
    bench.project.n_masks = 10
    bench.triggers.start()
    bench.triggers.handle(submitted("one"))
    assert bench.project.counted.wait(30)
    bench.project.counted.clear()
    bench.triggers.handle(submitted("one"))
    assert not bench.project.counted.wait(0.5)
    bench.triggers.handle(submitted("two"))
    assert bench.project.counted.wait(30)


def test_without_any_event_the_projects_are_looked_at_all_the_same(tmp_path: Path) -> None:
    bench = Bench(tmp_path, every=10, reconcile_s=0.05)
    bench.project.n_masks = 10
    bench.triggers.start()
    try:
        for _ in range(600):
            if bench.orders():
                break
            threading.Event().wait(0.05)
        assert len(bench.orders()) == 1
    finally:
        bench.triggers.close()
        bench.database.close()


def test_a_count_that_fails_is_told_and_tried_again(bench: Bench) -> None:
    bench.project.failure = LabelStudioError("GET /api/tasks/ failed: connection refused")
    bench.triggers.start()
    bench.triggers.handle(submitted("one"))
    assert bench.project.counted.wait(30)
    bench.project.failure, bench.project.n_masks = None, 10
    bench.project.counted.clear()
    bench.triggers.handle(submitted("two"))
    assert bench.project.counted.wait(30)
    bench.triggers.close()
    assert bench.told[0] == (
        "project 7: counting new masks",
        "GET /api/tasks/ failed: connection refused",
    )
    assert len(bench.orders()) == 1


def test_without_the_setting_nothing_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, every=None, reconcile_s=0.01)
    bench.project.n_masks = 100
    bench.triggers.start()
    bench.triggers.handle(submitted("one"))
    assert bench.triggers.look(7) is None
    bench.triggers.close()
    bench.database.close()
    assert bench.project.asked == 0


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "name one"),
        ({"project": 1, "data": "x.json"}, "name one"),
        ({"project": 0}, "project"),
        ({"project": 1, "depth": "deep"}, "depth"),
        ({"project": 1, "stepz": 5}, "stepz"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(payload: object, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        RetrainingRequest.parse(payload)
