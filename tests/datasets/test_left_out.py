"""What is left out is counted, named and told within bounds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.datasets.left_out import MAX_NAMES, SHOWN_NAMES, LeftOut


def test_counts_and_names() -> None:
    found = LeftOut()
    found.add("empty mask", "task 1, region a")
    found.add("empty mask")
    found.add("missing image", "b.png", 3)
    found.add("nothing", "of it", 0)
    assert found == {"empty mask": 2, "missing image": 3}
    assert found.names("empty mask") == ("task 1, region a",)
    assert found.lines() == [
        "2 x empty mask (task 1, region a; and 1 more)",
        "3 x missing image (b.png; and 2 more)",
    ]
    more = LeftOut(found)
    more.update({"empty mask": 1})
    more.update(found)
    assert more == {"empty mask": 5, "missing image": 6}
    assert more.names("missing image") == ("b.png", "b.png")
    assert found == {"empty mask": 2, "missing image": 3}


def test_a_million_names_are_some() -> None:
    found = LeftOut()
    for number in range(3 * MAX_NAMES):
        found.add("missing image", f"{number}.png")
    found.add("long", "n" * 10_000)
    assert len(found.names("missing image")) == MAX_NAMES
    (line, long) = found.lines()
    assert line.endswith(f"; {SHOWN_NAMES - 1}.png; and {3 * MAX_NAMES - SHOWN_NAMES} more)")
    assert len(long) < 400


@given(
    st.dictionaries(
        st.text(), st.tuples(st.integers(1, 9), st.lists(st.text(max_size=9), max_size=3))
    )
)
def test_json_brings_it_back(told: dict[str, tuple[int, list[str]]]) -> None:
    found = LeftOut()
    for reason, (count, names) in told.items():
        found.add(reason, count=count)
        found.add_names(reason, names)
    back = LeftOut.from_json(json.loads(json.dumps(found.as_json())))
    assert back == found
    assert all(back.names(reason) == found.names(reason) for reason in found)


@pytest.mark.parametrize(
    ("told", "counts"),
    [
        ({"empty mask": 3}, {"empty mask": 3}),  # manifests of earlier releases
        ({"a": {"count": 2, "which": "b"}, "b": {"count": "2"}, "c": True, "d": -1}, {"a": 2}),
        (None, {}),
        ([3], {}),
    ],
)
def test_other_json_is_read_as_far_as_it_goes(told: object, counts: dict[str, int]) -> None:
    assert LeftOut.from_json(told) == counts
