"""What differs between two versions, in regions: added, removed, relabelled, changed in shape."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.config.label_config import images_of
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.drawn_masks import (
    Unusable,
    labels_of,
    objects_by_id,
    read_mask,
    shape_of,
)
from sam_backend.labelstudio.regions.region import Region
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.types import Mask
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import TaskSizes, TrueSizes
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
        iou: IoU of both shapes; 1 if only labels or other fields differ; None without two masks
            that are on one image, and of its size.
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

    @property
    def label_before(self) -> str | None:
        """Its labels as it was; None without any."""
        return _told(self.before)

    @property
    def label_after(self) -> str | None:
        """Its labels as it is; None without any."""
        return _told(self.after)

    def as_json(self) -> dict[str, Any]:
        """Without the shapes."""
        return {
            "task": self.task,
            "annotation": self.annotation,
            "region": self.region,
            "kinds": list(self.kinds),
            "label_before": self.label_before,
            "label_after": self.label_after,
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
        unread: Changed objects without an IoU, for a mask is of another size than its image, is
            damaged, or its image cannot be had.
    """

    tasks: Counter[str]
    annotations: Counter[str]
    regions: tuple[RegionChange, ...]
    data: Mapping[int, Mapping[str, Any]] = field(repr=False)
    unread: LeftOut = field(default_factory=LeftOut)

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
            "not_compared": self.unread.as_json(),
            "changes": [one.as_json() for one in self.regions],
        }


def differences(
    project: Project,
    before: Version,
    after: Version,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> Difference:
    """Compare two versions; what they have in common is not read.

    An object is the same one if its annotation and its id are; else if its task and its id are, for
    an annotation that was deleted and put back has another number.

    Args:
        project: The project; the sizes of its images are read where a shape has changed.
        before: The earlier version.
        after: The later version.
        observe: Told how many tasks of how many have been compared.
    """
    versions, sizes = project.versions, TrueSizes(project)
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
    data: dict[int, Mapping[str, Any]] = {}
    configs = [(one, images_of(versions.label_config(one))) for one in (before, after)]
    unread = LeftOut()
    for start in range(0, len(numbers), _TASKS_AT_ONCE):
        some = numbers[start : start + _TASKS_AT_ONCE]
        keys = {key for number in some for key in by_task[number]}
        was = versions.states({key: old[key] for key in keys if key in old})
        now = versions.states({key: new[key] for key in keys if key in new})
        told = [(_data(versions, version, some), images) for version, images in configs]
        for done, number in enumerate(some, start + 1):
            sides = [sizes.of_task(number, side.get(number, {}), images) for side, images in told]
            first, second = (_objects(states, by_task[number]) for states in (was, now))
            changes = list(_of_task(number, first, second, _Shapes(number, sides, unread)))
            found += changes
            for side, _ in told if changes else ():
                data |= {number: side[number]} if number in side else {}
            observe(done, len(numbers))
    return Difference(tasks, annotations, tuple(found), data, unread)


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
    task: int,
    was: dict[_Key, tuple[Region, ...]],
    now: dict[_Key, tuple[Region, ...]],
    shapes: "_Shapes",
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
            yield RegionChange(task, *new, was[old], now[new], shapes.iou(new, was[old], now[new]))


def mask_of(items: Iterable[Region], size: tuple[int, int]) -> Mask | None:
    """The pixels of an object on an image of size (height, width), shape (H, W).

    None without any that can be read, or of an object that claims another size.
    """
    shape = shape_of(items)
    try:
        return None if shape is None else codec.decode(shape, size)
    except InvalidInputError:
        return None


class _Shapes:
    """Compares the shapes of a task's objects.

    Args:
        task: Its number.
        sizes: Sizes of its images as they were, and as they are.
        unread: Gets what cannot be compared.
    """

    def __init__(self, task: int, sizes: Sequence[TaskSizes], unread: LeftOut) -> None:
        self._task = task
        self._sizes = sizes
        self._unread = unread

    def iou(self, key: _Key, before: tuple[Region, ...], after: tuple[Region, ...]) -> float | None:
        """Of an object as it was and as it is; None, and told, if that cannot be said."""
        if _geometry(before) == _geometry(after):
            return 1.0
        shapes = [shape for shape in map(shape_of, (before, after)) if shape is not None]
        if len(shapes) < 2:
            return None
        name = f"task {self._task}, annotation {key[0]}, region {key[1]}"
        masks = []
        for shape, sizes in zip(shapes, self._sizes, strict=True):
            try:
                mask = read_mask(shape, sizes.or_left_out(self._unread, name))
            except (ImageFetchError, ImageDecodeError) as error:
                mask = Unusable(reasons.NO_IMAGE_OF_MASK, str(error))
            if isinstance(mask, Unusable):
                self._unread.add(mask.reason, f"{name}: {mask.told}")
            if mask is None or isinstance(mask, Unusable):
                return None
            masks.append(mask)
        old, new = masks
        if old.shape != new.shape:
            self._unread.add(reasons.CHANGED_IMAGE, name)
            return None
        return float(mask_iou(old, new))


def _geometry(items: Iterable[Region]) -> list[tuple[object, object]]:
    """What of an object is no label: also of a rectangle, which is no mask."""
    return [
        (item.get("type"), {k: v for k, v in item["value"].items() if not k.endswith("labels")})
        for item in items
        if isinstance(item.get("value"), dict)
    ]


def _data(versions: Versions, version: Version, tasks: Iterable[int]) -> dict[int, Any]:
    """Data of those tasks that a version has."""
    entries = versions.entries_of_tasks(version, tasks)
    states = versions.states({key: one for key, one in entries.items() if "/" not in key})
    return {int(key): state["data"] for key, state in states.items()}
