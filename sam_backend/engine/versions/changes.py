"""What differs between two versions, in regions: added, removed, relabelled, changed in shape."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio import controls
from sam_backend.labelstudio.drawn_masks import labels_of, objects_by_id, shape_of
from sam_backend.labelstudio.regions import Region, image_size
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.types import Mask
from sam_backend.store.versions import Version, Versions

ADDED, REMOVED, RELABELLED, CHANGED = "added", "removed", "relabelled", "changed"
KINDS = (ADDED, REMOVED, RELABELLED, CHANGED)

_TASKS_AT_ONCE = 200


@dataclass(frozen=True, slots=True, eq=False)
class RegionChange:
    """One object that is not as it was.

    Attributes:
        task: Its task.
        annotation: As it is now; as it was for a removed one.
        region: The object's id.
        before: Its items as they were; empty for an added one.
        after: As they are; empty for a removed one.
        iou: Of both shapes; 1 if only labels or other fields differ; None without two masks.
    """

    task: int
    annotation: int
    region: str
    before: tuple[Region, ...] = field(repr=False)
    after: tuple[Region, ...] = field(repr=False)
    iou: float | None

    @property
    def kinds(self) -> tuple[str, ...]:
        """What happened to it, one or more of `KINDS`."""
        if not self.before:
            return (ADDED,)
        if not self.after:
            return (REMOVED,)
        is_relabelled = labels_of(self.before) != labels_of(self.after)
        is_reshaped = self.iou != 1 or not is_relabelled
        return (RELABELLED,) * is_relabelled + (CHANGED,) * is_reshaped

    def as_json(self) -> dict[str, Any]:
        """Without the shapes."""
        return {
            "task": self.task,
            "annotation": self.annotation,
            "region": self.region,
            "kinds": list(self.kinds),
            "label before": _told(self.before),
            "label after": _told(self.after),
            "iou": self.iou,
        }


def _told(items: Sequence[Region]) -> str | None:
    return ", ".join(labels_of(items)) or None


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Between two versions.

    Attributes:
        tasks: How many were added, removed, changed in their data.
        annotations: How many were added, removed, changed.
        regions: The objects that differ, by task.
        data: Data of the tasks that `regions` are of, as it is or was last, by task.
    """

    tasks: Counter[str]
    annotations: Counter[str]
    regions: tuple[RegionChange, ...]
    data: Mapping[int, Mapping[str, Any]] = field(repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Objects by what happened to them."""
        found = Counter(kind for one in self.regions for kind in one.kinds)
        return {kind: found[kind] for kind in KINDS}

    def as_json(self) -> dict[str, Any]:
        """All of it, without shapes."""
        return {
            "tasks": dict(self.tasks),
            "annotations": dict(self.annotations),
            "regions": self.counts,
            "changes": [one.as_json() for one in self.regions],
        }


def differences(versions: Versions, before: Version, after: Version) -> Difference:
    """Compare two versions; what they have in common is not read.

    An object is the same one if its annotation and its id are; else if its task and its id are, for
    an annotation that was deleted and put back has another number.
    """
    old, new = versions.compare(before, after)
    tasks, annotations = Counter[str](), Counter[str]()
    for key in old.keys() | new.keys():
        what = ADDED if key not in old else REMOVED if key not in new else CHANGED
        (annotations if "/" in key else tasks)[what] += 1
    by_task: dict[int, set[str]] = defaultdict(set)
    for key in old.keys() | new.keys():
        if "/" in key:
            by_task[int(key.partition("/")[0])].add(key)
    numbers = sorted(by_task)
    found: list[RegionChange] = []
    for start in range(0, len(numbers), _TASKS_AT_ONCE):
        some = numbers[start : start + _TASKS_AT_ONCE]
        keys = {key for number in some for key in by_task[number]}
        was = versions.states({key: old[key] for key in keys if key in old})
        now = versions.states({key: new[key] for key in keys if key in new})
        for number in some:
            found += _of_task(
                number, _objects(was, by_task[number]), _objects(now, by_task[number])
            )
    return Difference(tasks, annotations, tuple(found), _data(versions, before, after, found))


_Key = tuple[int, str]  # annotation, region


def _objects(states: Mapping[str, Any], keys: Iterable[str]) -> dict[_Key, tuple[Region, ...]]:
    found = {}
    for key in sorted(keys & states.keys()):
        annotation = int(key.partition("/")[2])
        result = states[key].get("result")
        items = [item for item in result if isinstance(item, dict)] if result else []
        for region, some in objects_by_id(items).items():
            found[annotation, str(region)] = tuple(some)
    return found


def _of_task(
    task: int, was: dict[_Key, tuple[Region, ...]], now: dict[_Key, tuple[Region, ...]]
) -> Iterator[RegionChange]:
    pairs = [(key, key) for key in was if key in now]
    left = [key for key in was if key not in now]
    come = {key: None for key in now if key not in was}
    for key in left:
        twin = next((one for one in come if one[1] == key[1]), None)
        if twin is not None:
            del come[twin]
            pairs.append((key, twin))
        else:
            yield RegionChange(task, *key, was[key], (), None)
    for key in come:
        yield RegionChange(task, *key, (), now[key], None)
    for old, new in pairs:
        if was[old] != now[new]:
            yield RegionChange(task, *new, was[old], now[new], _iou(was[old], now[new]))


def mask_of(items: Iterable[Region], size: tuple[int, int]) -> Mask | None:
    """The pixels of an object on an image of size (height, width), shape (H, W).

    None without any that can be read, or of an object that claims another size.
    """
    shape = shape_of(items)
    try:
        return None if shape is None else controls.decode(shape, size)
    except InvalidInputError:
        return None


def _iou(before: tuple[Region, ...], after: tuple[Region, ...]) -> float | None:
    if _geometry(before) == _geometry(after):
        return 1.0
    shape = shape_of(before)
    try:
        size = None if shape is None else image_size(shape)
    except InvalidInputError:
        return None
    # Pixels are made of the new one only if it claims the old one's size, and of the old one then.
    new = None if size is None else mask_of(after, size)
    old = None if size is None or new is None else mask_of(before, size)
    return None if old is None or new is None else float(mask_iou(old, new))


def _geometry(items: Iterable[Region]) -> list[tuple[object, object]]:
    """What of an object is no label: also of a rectangle, which is no mask."""
    return [
        (item.get("type"), {k: v for k, v in item["value"].items() if not k.endswith("labels")})
        for item in items
        if isinstance(item.get("value"), dict)
    ]


def _data(
    versions: Versions, before: Version, after: Version, found: Iterable[RegionChange]
) -> dict[int, Mapping[str, Any]]:
    wanted = {one.task for one in found}
    digests: dict[str, str] = {}
    for version in (before, after):
        entries = versions.entries_of_tasks(version, wanted)
        digests |= {key: digest for key, digest in entries.items() if "/" not in key}
    return {int(key): state["data"] for key, state in versions.states(digests).items()}
