"""The ledger of prefilled tasks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

from sam_backend.store.database import Database
from sam_backend.store.mask_records import pack
from sam_backend.store.prefills import PrefillRow, Prefills
from tests.semi_automatic.records import block, record

HOST = "http://localhost:8080"
ROW = PrefillRow(
    host=HOST,
    project=3,
    task=7,
    fingerprint="f",
    model_version="m+1",
    state="sending",
    counts={"accepted": 2, "discarded": 1},
    coverage=0.5,
    score=0.4,
    reason=None,
    masks=pack([(record(block(0, 0, 3, 3)), {"end": "accept"})]),
    at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_a_task_has_one_row_the_last(database: Database) -> None:
    prefills = Prefills(database)
    prefills.put([ROW, replace(ROW, task=8)])
    prefills.put([replace(ROW, state="done", score=0.7)])
    found = prefills.states(HOST, 3, [7, 8, 9])
    assert {task: row.state for task, row in found.items()} == {7: "done", 8: "sending"}
    assert found[7] == replace(ROW, state="done", score=0.7, masks=b"")
    assert prefills.totals(HOST, 3) == {
        "tasks done": 1, "tasks sending": 1, "accepted": 4, "discarded": 2
    }  # fmt: skip


def test_masks_for_audits(database: Database) -> None:
    prefills = Prefills(database)
    prefills.put([ROW])
    found = prefills.masks(HOST, 3, 7)
    assert found is not None
    [(mask, more)] = found
    assert (mask.area_px, more) == (9, {"end": "accept"})
    assert prefills.masks(HOST, 3, 8) is None


def test_servers_and_projects_are_told_apart(database: Database) -> None:
    prefills = Prefills(database)
    prefills.put([ROW])
    assert prefills.states("http://elsewhere", 3, [7]) == {}
    assert prefills.states(HOST, 4, [7]) == {}


def test_a_version_is_ours_for_good(database: Database) -> None:
    prefills = Prefills(database)
    prefills.put([ROW])
    prefills.put([replace(ROW, model_version="m+2")])
    prefills.put([replace(ROW, project=4, model_version="m+3")])
    assert prefills.own_versions(HOST, 3) == {"m+1", "m+2"}


def test_many_tasks_and_several_writers(database: Database) -> None:
    prefills = Prefills(database)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: prefills.put([replace(ROW, task=n % 40)]), range(120)))
    prefills.put([replace(ROW, task=number) for number in range(1200)])
    assert len(prefills.states(HOST, 3, list(range(1300)))) == 1200
