"""A manifest's tree is what its entries say, and reading it costs what differs."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from sam_backend.store.manifest_tree import MAX_LEAF, build, compare, entries_of, entries_of_tasks

KEYS = st.builds(
    lambda task, annotation: f"{task}/{annotation}" if annotation else str(task),
    st.integers(1, 300),
    st.integers(0, 3),
)
ENTRIES = st.dictionaries(KEYS, st.sampled_from(["a" * 64, "b" * 64]), max_size=200)


class Nodes(dict[str, bytes]):
    """Nodes that count how many were read."""

    read = 0

    def get_all(self, digests: Iterable[str]) -> dict[str, bytes]:
        found = {digest: self[digest] for digest in digests}
        self.read += len(found)
        return found


@given(ENTRIES, ENTRIES)
def test_a_comparison_is_that_of_the_sets(before: dict[str, str], after: dict[str, str]) -> None:
    old, nodes = build(before)
    new, more = build(after)
    get = Nodes({**nodes, **more}).get_all
    assert entries_of(old, get) == before
    assert compare(old, new, get) == (
        dict(before.items() - after.items()),
        dict(after.items() - before.items()),
    )
    assert (old == new) == (before == after)


@given(ENTRIES, st.sets(st.integers(1, 300).map(str)))
def test_some_tasks_entries_are_those_of_all(entries: dict[str, str], tasks: set[str]) -> None:
    root, nodes = build(entries)
    assert entries_of_tasks(root, tasks, Nodes(nodes).get_all) == {
        key: digest for key, digest in entries.items() if key.partition("/")[0] in tasks
    }


def test_a_tasks_entries_among_many_cost_few_nodes() -> None:
    root, nodes = build({f"{task}/{task + 7}": "a" * 64 for task in range(20_000)})
    kept = Nodes(nodes)
    assert entries_of_tasks(root, ["77"], kept.get_all) == {"77/84": "a" * 64}
    assert kept.read <= 5


def test_a_change_among_many_adds_and_reads_few_nodes() -> None:
    before = {f"{task}/{task + 7}": "a" * 64 for task in range(20_000)}
    old, nodes = build(before)
    new, more = build(dict(reversed(before.items())) | {"77/84": "b" * 64})
    added = more.keys() - nodes.keys()
    assert len(added) <= 5
    assert sum(len(more[digest]) for digest in added) < 100 * (MAX_LEAF + 5 * 16)
    kept = Nodes({**nodes, **more})
    assert compare(old, new, kept.get_all) == ({"77/84": "a" * 64}, {"77/84": "b" * 64})
    assert kept.read <= 10


def test_annotations_of_one_task_stay_in_one_leaf() -> None:
    entries = {f"5/{number}": "a" * 64 for number in range(3 * MAX_LEAF)}
    root, nodes = build(entries)
    assert list(nodes) == [root]
    assert entries_of(root, Nodes(nodes).get_all) == entries
