"""Both doors write the ledger at once, each in the order its tasks came in."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier

from sam_backend.store.database import Database
from sam_backend.store.prefills import PrefillRow, Prefills

ROW = PrefillRow(
    host="http://localhost:8080",
    project=3,
    task=0,
    fingerprint="f",
    model_version="m+1",
    state="done",
    counts={},
    coverage=0.0,
    score=0.0,
    reason=None,
    masks=b"",
    at=datetime(2026, 1, 2, tzinfo=UTC),
)
ROWS = [replace(ROW, task=task, model_version=f"m+{task % 3}") for task in range(300)]


def test_writers_that_come_from_opposite_ends(database: Database) -> None:
    prefills, start = Prefills(database), Barrier(2)

    def write(rows: list[PrefillRow]) -> None:
        start.wait()
        prefills.put(rows)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, rows) for rows in (ROWS, ROWS[::-1])]:
            done.result()
    known = prefills.states(ROW.host, ROW.project, range(300))
    assert known == {row.task: row for row in ROWS}
    assert prefills.own_versions(ROW.host, ROW.project) == {"m+0", "m+1", "m+2"}


def test_of_two_rows_for_one_task_the_later_stays(database: Database) -> None:
    prefills = Prefills(database)
    prefills.put([replace(ROW, task=2), replace(ROW, score=0.1), replace(ROW, score=0.2)])
    assert prefills.states(ROW.host, ROW.project, [0])[0].score == 0.2
