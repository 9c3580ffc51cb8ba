"""The log of what was seen: nothing twice, nothing lost, nothing overwritten."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.revisions import DELETED, SAVED, Observation, Revisions, Subject
from sam_backend.store.versions import Circumstances, Versions

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOST = "http://label.example"


def saved(number: int, minute: int = 0, task: int = 1, **state: Any) -> Observation:
    stamp = NOON + timedelta(minutes=minute)
    return Observation(Subject.ANNOTATION, number, SAVED, state, task, "7", stamp, regions=2)


def task(number: int, **data: Any) -> Observation:
    return Observation(Subject.TASK, number, SAVED, {"data": data}, number)


def gone(subject: Subject, number: int, task: int = 1) -> Observation:
    return Observation(subject, number, DELETED, task=task)


def log(database: Database, project: int = 3) -> Revisions:
    return Revisions(database, HOST, project)


def test_what_is_told_twice_is_one_revision(database: Database) -> None:
    revisions = log(database)
    assert revisions.add([task(1, image="a"), saved(5, x=1)], "reading", NOON) == 2
    assert revisions.add([task(1, image="a"), saved(5, x=1)], "reading", NOON) == 0
    assert revisions.add([saved(5, 1, x=1)], "reading", NOON) == 1  # saved again, as it was
    assert revisions.add([saved(5, 2, x=2)], "reading", NOON) == 1
    assert revisions.add([task(1, image="b"), task(1, image="a")], "reading", NOON) == 2
    assert [one.source for one in revisions.history()] == ["reading"] * 6
    assert len(revisions.history(annotation=5)) == 3
    assert len(revisions.history(task=1, limit=2)) == 2
    assert revisions.revision(2).person == "7"
    with pytest.raises(InvalidInputError, match="project 3 has no revision 99"):
        revisions.revision(99)
    assert log(database, 4).history() == []


def test_the_newest_is_what_label_studio_saved_last_whatever_came_last(database: Database) -> None:
    revisions = log(database)
    revisions.add([saved(5, 9, x="late")], "reading", NOON)
    revisions.add([saved(5, 3, x="early")], "reading", NOON)
    revisions.add([saved(6, 1, x="gone")], "reading", NOON)
    asked = revisions.mark()
    revisions.add([gone(Subject.ANNOTATION, 6)], "reading", NOON)
    revisions.add([saved(6, 99, x="asked for before its end")], "reading", NOON, asked)
    revisions.add([task(2, image="b"), saved(7, 1, task=2)], "reading", NOON)
    revisions.add([gone(Subject.TASK, 2, task=2)], "reading", NOON)
    (newest,) = revisions.newest()
    assert (newest.number, newest.stamp) == (5, NOON + timedelta(minutes=9))
    assert revisions.add([gone(Subject.ANNOTATION, 6)], "reading", NOON) == 0


def test_a_few_tasks_are_found_by_their_numbers(tmp_path: Path) -> None:
    """Else each event costs a walk through all that the project ever was: SQLite has no figures."""
    database = open_database(Settings(data_dir=tmp_path))
    revisions = log(database)
    revisions.add([task(1), saved(5), task(2), saved(6, task=2)], "webhook", NOON)
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    revisions.newest([1])
    revisions.refute([1], revisions.mark(), NOON)
    plans = []
    with database.reading() as connection:
        for statement, values in [one for one in asked if "revisions.task" in one[0]]:
            told = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append("; ".join(row[3] for row in told))
    assert len(plans) == 2
    assert all("revisions_by_task (host=? AND project=? AND task=?" in plan for plan in plans)
    assert not any("revisions_by_subject" in plan for plan in plans)
    database.close()


def test_what_an_event_tells_counts_once_the_api_tells_it_too(database: Database) -> None:
    revisions = log(database)
    told = [task(1, image="a"), saved(5, x=1), saved(6, 3, x="forged")]
    assert revisions.add(told, "webhook", NOON) == 3
    assert revisions.newest() == []
    assert [one.is_confirmed for one in revisions.history()] == [False] * 3
    asked = revisions.mark()
    assert revisions.pending(asked) == {1: {Subject.TASK, Subject.ANNOTATION}}
    later = [saved(5, 9, x="meanwhile")]
    revisions.add(later, "webhook", NOON)
    assert revisions.add([task(1, image="a"), saved(5, x=1)], "reading", NOON, asked) == 0
    revisions.refute([1], asked, NOON)
    assert {one.number: one.regions for one in revisions.newest()} == {1: 0, 5: 2}
    assert {one.number for one in revisions.history() if not one.is_confirmed} == {5, 6}
    assert revisions.pending(revisions.mark()) == {1: {Subject.ANNOTATION}}, "told meanwhile"
    assert revisions.pending(revisions.mark(), since=revisions.last_number()) == {}
    assert revisions.add(later, "reading", NOON) == 0
    assert [one.stamp for one in revisions.newest() if one.number == 5] == [later[0].stamp]


def test_an_edit_is_of_whom_the_api_names(database: Database) -> None:
    revisions = log(database)
    revisions.add([replace(saved(5, x=1), person="6", task=2)], "webhook", NOON)
    assert revisions.add([saved(5, x=1)], "reading", NOON) == 1
    assert revisions.add([saved(5, x=1)], "reading", NOON) == 0
    (newest,) = revisions.newest()
    assert (newest.person, newest.task) == ("7", 1)


@pytest.mark.parametrize("source", ["webhook", "reading"])
def test_what_lives_is_alive_whatever_was_told(database: Database, source: str) -> None:
    """A forged event; or an answer of 404 to a token that might not see the project for a while."""
    revisions = log(database)
    states = [task(1, image="a"), saved(5, x=1)]
    revisions.add(states, "reading", NOON)
    ends = [gone(Subject.TASK, 1), gone(Subject.ANNOTATION, 5)]
    for _ in range(2):
        revisions.add(ends, source, NOON)
        assert len(revisions.newest()) == (2 if source == "webhook" else 0)
        revisions.add(states, "reading", NOON)
        assert {one.number for one in revisions.newest()} == {1, 5}
    assert len(revisions.history()) == (4 if source == "webhook" else 6)
    revisions.add(ends[1:], "reading", NOON)
    assert [one.number for one in revisions.newest([1])] == [1]
    assert revisions.newest([2]) == []


def test_the_database_refuses_to_change_the_log(database: Database) -> None:
    log(database).add([task(1, image="a"), saved(5, x=1)], "reading", NOON)
    versions = Versions(database, HOST, 3)
    version = versions.commit(Circumstances("first", "<View/>"), NOON)
    assert version is not None
    versions.tag("v1", version, NOON)
    for table in ("objects", "revisions", "versions", "version_tags"):
        for change in (f"DELETE FROM {table}", f"UPDATE {table} SET digest = 'x'"):
            with (
                pytest.raises(DatabaseError, match="append-only"),
                database.writing() as connection,
            ):
                connection.execute(text(change))
    assert len(log(database).history()) == 2


def test_writers_at_once_neither_lose_nor_double(database: Database) -> None:
    def tell(worker: int) -> int:
        mine = [saved(number, x=number) for number in range(40)]
        return sum(
            log(database).add([one, task(number)], "reading", NOON)
            for number, one in enumerate(mine[worker % 3 :] + mine[: worker % 3])
        )

    with ThreadPoolExecutor(4) as pool:
        added = sum(pool.map(tell, range(4)))
    history = log(database).history()
    assert added == len(history)
    assert len([one for one in history if one.subject is Subject.ANNOTATION]) == 40
    assert len([one for one in history if one.subject is Subject.TASK]) == 40


def test_writers_of_the_same_in_other_orders_do_not_wait_for_each_other(
    database: Database,
) -> None:
    def tell(worker: int) -> int:
        mine = [saved(number, x=number) for number in range(60)]
        return log(database).add(mine[:: -1 if worker % 2 else 1], "reading", NOON)

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            added = list(pool.map(tell, range(4)))
    assert sum(added) == 0
    assert len(log(database).history()) == 60


def test_an_end_that_names_no_task_is_of_the_task_that_is_known(database: Database) -> None:
    log(database).add([saved(5, x=1, task=9)], "reading", NOON)
    end = Observation(Subject.ANNOTATION, 5, DELETED)
    log(database).add([end, Observation(Subject.ANNOTATION, 6, DELETED)], "reading", NOON)
    assert [one.task for one in log(database).history()] == [None, 9, 9]
    assert len(log(database).history(task=9)) == 2


def test_versions_are_a_line_of_what_was(database: Database) -> None:
    revisions, versions = log(database), Versions(database, HOST, 3)
    with pytest.raises(InvalidInputError, match="no version yet"):
        versions.find("head")
    revisions.add([task(1, image="a"), saved(5, x=1)], "reading", NOON)
    first = versions.commit(Circumstances("first", "<View/>", "starter-2", "1"), NOON)
    assert first is not None
    assert (first.tasks, first.annotations, first.regions) == (1, 1, 2)
    assert versions.commit(Circumstances("nothing new", "<View/>"), NOON) is None
    revisions.add([saved(5, 1, x=2), saved(6, x=3)], "reading", NOON)
    second = versions.commit(Circumstances("second", "<View/>"), NOON)
    assert second is not None
    assert second.parent == first.digest
    assert versions.log() == [second, first]
    versions.tag("gold-1", first, NOON)
    versions.tag("gold-1", first, NOON)
    assert versions.find("gold-1") == versions.find(first.digest[:8]) == first
    assert versions.find("head") == second
    assert versions.tags() == {first.digest: ["gold-1"]}
    with pytest.raises(InvalidInputError, match="tags do not move"):
        versions.tag("gold-1", second, NOON)
    for name in ("head", "abcdef1", "-x", ""):
        with pytest.raises(InvalidInputError, match="a tag has letters"):
            versions.tag(name, second, NOON)
    for name, told in (("v9", "no version 'v9'"), ("0" * 8, "begin with '00000000'")):
        with pytest.raises(InvalidInputError, match=told):
            versions.find(name)
    before, after = versions.compare(first, second)
    assert versions.states(before) == {"1/5": {"x": 1}}
    assert versions.states(after) == {"1/5": {"x": 2}, "1/6": {"x": 3}}
    assert versions.states(versions.entries(first)) == {
        "1": {"data": {"image": "a"}},
        "1/5": {"x": 1},
    }
    assert versions.label_config(first) == "<View/>"


def test_commits_at_once_come_one_after_the_other(database: Database) -> None:
    def work(worker: int) -> list[str]:
        found = []
        for turn in range(5):
            number = 10 * worker + turn
            log(database).add([saved(number, x=number)], "reading", NOON)
            told = Circumstances(f"{worker} {turn}", "<View/>")
            version = Versions(database, HOST, 3).commit(told, NOON)
            found += [] if version is None else [version.digest]
        return found

    with ThreadPoolExecutor(3) as pool:
        made = [digest for some in pool.map(work, range(3)) for digest in some]
    versions = Versions(database, HOST, 3).log()
    assert sorted(one.digest for one in versions) == sorted(made)
    assert [one.parent for one in versions] == [one.digest for one in versions[1:]] + [""]
    assert versions[0].annotations == 15
