"""Leases: a place of a task has one holder at a time, whoever decides."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.store.annotators import FOR_GOOD, Annotators
from sam_backend.store.database import Database
from sam_backend.store.leases import Lease, LeaseBook, Leases, Outcome, Violation

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOST = "http://label.example"
HOUR = timedelta(hours=1)


def leases(database: Database, project: int = 3) -> Leases:
    return Leases(database, HOST, project)


def give(
    book: LeaseBook,
    task: int,
    person: str,
    place: int = 0,
    at: datetime = NOON,
    is_gold: bool = False,
) -> Lease:
    return book.give(task, place, person, is_gold, 0.5, "because", at, at + HOUR)


def test_what_is_given_is_held_until_it_ends(database: Database) -> None:
    with leases(database).deciding() as book:
        assert (book.began_at(), book.held(), book.counts()) == (None, [], {})
        one, two = give(book, 1, "7"), give(book, 2, "7", at=NOON + HOUR, is_gold=True)
        three = give(book, 1, "8", place=1)
        book.renew([one], NOON + 9 * HOUR)
        book.end([two], Outcome.DONE, NOON + 2 * HOUR)
        book.end([three], Outcome.RETURNED, NOON + 3 * HOUR)
        book.end([two], Outcome.RETURNED, NOON + 5 * HOUR)  # it has ended: nothing changes
    (held,) = leases(database).held()
    assert (held.id, held.until, held.outcome) == (one.id, NOON + 9 * HOUR, None)
    assert [x.outcome for x in leases(database).history()] == [None, "done", "returned"]
    assert [x.id for x in leases(database).history(task=1)] == [one.id, three.id]
    with leases(database).deciding() as book:
        assert book.began_at() == NOON
        assert book.counts() == {"7": (2, 1)}, "what was given back does not count"
        assert book.returned_at() == {"8": NOON + 3 * HOUR}
        assert book.last_given_at() == {"7": NOON + HOUR, "8": NOON}
        assert [x.id for x in book.ended_of([1, 2])] == [two.id, three.id]
        assert give(book, 1, "8", place=1).place == 1, "a place is free again"
    assert leases(database, 4).held() == []


@pytest.mark.parametrize(("person", "place"), [("8", 0), ("7", 1)])
def test_the_database_refuses_a_second_holder(database: Database, person: str, place: int) -> None:
    with leases(database).deciding() as book:
        give(book, 1, "7")

    def decide() -> None:
        with leases(database).deciding() as book:
            give(book, 9, "9")
            give(book, 1, person, place)

    with pytest.raises(DatabaseError):
        decide()
    assert [one.task for one in leases(database).held()] == [1], "all of it, or nothing"


def test_deciders_come_one_after_the_other(database: Database) -> None:
    def decide(worker: int) -> int:
        given = 0
        for _ in range(10):
            with leases(database).deciding() as book:
                taken = {one.task for one in book.held()}
                free = [task for task in range(30) if task not in taken]
                if free:  # who did not wait would give the same one
                    give(book, free[0], str(worker))
                    given += 1
        return given

    with ThreadPoolExecutor(4) as pool:
        given = sum(pool.map(decide, range(4)))
    held = leases(database).held()
    assert given == len(held) == 30
    assert {one.task for one in held} == set(range(30))


def test_a_violation_is_written_down_once(database: Database) -> None:
    found = Violation(5, 1, "7", "outside", NOON, NOON + HOUR)
    for _ in range(2):
        with leases(database).deciding() as book:
            book.add_violation(found)
            assert book.known_violations() == {5}
    assert leases(database).violations() == [found]


def test_people_join_are_away_and_leave(database: Database) -> None:
    people = Annotators(database, HOST, 3)
    assert people.list() == []
    people.join("7", {"x-ray", "ct"}, {"de"}, NOON)
    people.join("8", (), (), NOON)
    people.away("7", FOR_GOOD)
    people.leave("8", NOON + HOUR)
    seven, eight = people.list()
    assert (seven.skills, seven.languages) == ({"x-ray", "ct"}, {"de"})
    assert (seven.away_until, seven.left_at, eight.left_at) == (FOR_GOOD, None, NOON + HOUR)
    people.back("7", NOON + HOUR)
    seven = people.list()[0]
    assert (seven.away_until, seven.joined_at) == (None, NOON + HOUR)
    people.join("8", {"ct"}, (), NOON + 2 * HOUR)
    assert (people.list()[1].skills, people.list()[1].left_at) == ({"ct"}, None)
    people.leave("8", NOON)
    for change in (lambda: people.leave("8", NOON), lambda: people.back("9", NOON)):
        with pytest.raises(InvalidInputError, match="has no queue in project 3"):
            change()
    assert Annotators(database, HOST, 4).list() == []
