"""What differs between two versions, reckoned by hand."""

from collections import Counter
from collections.abc import Sequence

import pytest

from sam_backend.labelstudio.regions.region import Region
from sam_backend.store.revisions import Subject
from sam_backend.versions.changes import Difference, RegionChange
from sam_backend.versions.observations import gone
from tests.versions.making import Log, brush, drawn, rectangle, task


def named_apart(label: str) -> list[Region]:
    """A `<Brush>` whose label is an item of its own, from a `<Labels>`."""
    painted = brush("a")
    bare = {name: told for name, told in painted["value"].items() if name != "brushlabels"}
    labels = {"id": "a", "type": "labels", "value": {"labels": [label]}}
    return [{**painted, "type": "brush", "value": bare}, labels]


Change = tuple[str, tuple[str, ...], float | None]
CASES: dict[str, tuple[list[Region], list[Region], list[Change]]] = {
    "added": ([brush("a")], [brush("a"), brush("b")], [("b", ("added",), None)]),
    "removed": ([brush("a"), brush("b")], [brush("b")], [("a", ("removed",), None)]),
    "relabelled": ([brush("a")], [brush("a", label="Bus")], [("a", ("relabelled",), 1.0)]),
    "relabelled apart": (named_apart("Car"), named_apart("Bus"), [("a", ("relabelled",), 1.0)]),
    # 100 pixels, then 200 that hold them
    "grown": ([brush("a")], [brush("a", width=20)], [("a", ("changed",), 1 / 2)]),
    # two of ten columns are common: 20 of 180 pixels
    "moved": ([brush("a")], [brush("a", left=8)], [("a", ("changed",), 1 / 9)]),
    "moved away": ([brush("a")], [brush("a", left=15)], [("a", ("changed",), 0.0)]),
    "relabelled and halved": (
        [brush("a")],
        [brush("a", height=5, label="Bus")],
        [("a", ("relabelled", "changed"), 1 / 2)],
    ),
    "a field that is no shape": (
        [brush("a")],
        [{**brush("a"), "meta": {"text": ["odd"]}}],
        [("a", ("changed",), 1.0)],
    ),
    "another order": ([brush("a"), brush("b", 12)], [brush("b", 12), brush("a")], []),
    "drawn anew": (
        [brush("a")],
        [brush("b")],
        [("a", ("removed",), None), ("b", ("added",), None)],
    ),
    "boxes, which are no masks": (
        [rectangle("a"), rectangle("b"), rectangle("c")],
        [rectangle("a", x=40), rectangle("b", label="Bus"), rectangle("c", x=40, label="Bus")],
        [
            ("a", ("changed",), None),
            ("b", ("relabelled",), 1.0),
            ("c", ("relabelled", "changed"), None),
        ],
    ),
}


def from_to(log: Log, before: Sequence[Region], after: Sequence[Region]) -> list[RegionChange]:
    """What differs if an annotation had the one regions, then the others."""
    log.record_size(1)
    log.note(task(1), drawn(5, *before))
    first = log.commit()
    log.note(drawn(5, *after, minute=1))
    found = log.differences(first, log.commit())
    assert found.annotations == {"changed": 1}
    return sorted(found.regions, key=lambda one: one.region)


@pytest.mark.parametrize("case", CASES)
def test_one_annotation(log: Log, case: str) -> None:
    before, after, expected = CASES[case]
    found = from_to(log, before, after)
    assert [(one.region, one.kinds) for one in found] == [one[:2] for one in expected]
    assert [one.iou for one in found] == [pytest.approx(iou) for *_, iou in expected]
    assert all((one.task, one.annotation) == (1, 5) for one in found)
    # the other way round, added is removed, and the rest is the same
    versions = log.versions
    back = log.differences(versions.find("head"), versions.log()[-1])
    turned = {"added": "removed", "removed": "added"}
    assert sorted((one.region, one.kinds) for one in back.regions) == [
        (region, tuple(turned.get(kind, kind) for kind in kinds)) for region, kinds, _ in expected
    ]


def test_one_that_was_deleted_and_put_back_under_another_number_is_the_same(log: Log) -> None:
    log.note(task(1), drawn(5, brush("a"), brush("b", 12)), drawn(6, brush("a", label="Bus")))
    first = log.commit()
    log.record_size(1)
    log.note(gone(Subject.ANNOTATION, 5, 1), drawn(9, brush("a"), brush("b", 12, width=5)))
    found = log.differences(first, log.commit())
    assert found.annotations == {"removed": 1, "added": 1}
    (changed,) = found.regions  # and "a" of 6, who drew another one, is not taken for "a" of 5
    assert (changed.annotation, changed.region, changed.kinds) == (9, "b", ("changed",))
    assert changed.iou == pytest.approx(0.5)


def test_whole_tasks_come_and_go(log: Log) -> None:
    log.note(task(1), drawn(5, brush("a")), task(2), drawn(6, brush("a"), task=2), task(3))
    first = log.commit()
    log.note(gone(Subject.TASK, 1, 1), task(3, "/data/upload/z.png"))
    log.note(task(4, "/data/upload/d.png"), drawn(8, brush("x"), rectangle("y"), task=4))
    found = log.differences(first, log.commit())
    assert found.tasks == {"removed": 1, "added": 1, "changed": 1}
    assert found.counts == {"added": 2, "removed": 1, "relabelled": 0, "changed": 0}
    # where the picture of each region is: of the deleted task as it was last
    addresses = {number: data["image"] for number, data in found.data.items()}
    assert addresses == {1: "/data/upload/a.png", 4: "/data/upload/d.png"}
    assert log.differences(first, first).as_json() == _nothing().as_json()


def test_what_is_told_in_json(log: Log) -> None:
    (one,) = from_to(log, [brush("a")], [brush("a", label="Bus", width=20)])
    assert one.as_json() == {
        "task": 1,
        "annotation": 5,
        "region": "a",
        "kinds": ["relabelled", "changed"],
        "label_before": "Car",
        "label_after": "Bus",
        "iou": 0.5,
    }


def _nothing() -> Difference:
    return Difference(Counter(), Counter(), (), {})
