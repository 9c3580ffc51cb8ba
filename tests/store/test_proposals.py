"""What was found in an image stays found."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.proposals import ProposalKey, Proposals
from tests.semi_automatic.records import block, record

KEY = ProposalKey("a" * 64, "starter-2+00000000", "grid-12345678")
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def same(a, b) -> bool:
    fields = [name for name in a.__slots__ if name != "rle"]
    return (
        all(getattr(a, name) == getattr(b, name) for name in fields)
        and a.rle.size == b.rle.size
        and np.array_equal(a.rle.counts, b.rle.counts)
    )


def test_masks_come_back_as_they_were(database: Database, settings: Settings) -> None:
    masks = [record(block(0, 0, 3, 3)), record(block(5, 6, 70, 50), 0.123456789, 0.5)]
    Proposals(database).put(KEY, masks)
    after_restart = open_database(settings)
    found = Proposals(after_restart).get(KEY)
    after_restart.close()
    assert found is not None
    assert all(map(same, found, masks))
    assert len(found) == 2


@pytest.mark.parametrize(
    "other",
    [
        ProposalKey("b" * 64, KEY.model_version, KEY.proposer),
        ProposalKey(KEY.image, "starter-2+00000001", KEY.proposer),
        ProposalKey(KEY.image, KEY.model_version, "grid-12345679"),
    ],
)
def test_nothing_found_is_an_answer_and_not_looked_is_none(
    database: Database, other: ProposalKey
) -> None:
    proposals = Proposals(database)
    assert proposals.get(KEY) is None
    proposals.put(KEY, [])
    assert proposals.get(KEY) == []
    assert proposals.get(other) is None


def test_several_find_the_same_at_once(database: Database) -> None:
    proposals = Proposals(database)
    masks = [record(block(0, 0, 3, 3))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: proposals.put(KEY, masks), range(24)))
    found = proposals.get(KEY)
    assert found is not None
    assert len(found) == 1


def test_old_ones_are_forgotten(database: Database) -> None:
    for day in range(3):
        key = ProposalKey(str(day), KEY.model_version, KEY.proposer)
        Proposals(database, lambda day=day: NOON + timedelta(days=day)).put(key, [])
    assert Proposals(database).prune(NOON + timedelta(days=2)) == 2
    known = [
        Proposals(database).get(ProposalKey(str(day), KEY.model_version, KEY.proposer))
        for day in range(3)
    ]
    assert known == [None, None, []]
