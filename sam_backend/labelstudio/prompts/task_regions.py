"""The regions that a task already has: in the annotator's drafts and in saved annotations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sam_backend.labelstudio.regions.region import Region


@dataclass(frozen=True, slots=True)
class TaskRegions:
    """Regions of one task. Malformed parts of the task are passed over.

    Attributes:
        drafted: Regions of the drafts; Label Studio sends those of the asking user only.
        saved: Regions of submitted annotations, whoever submitted them.
        draft_stamp: Which drafts there are and when each was saved last: the same text in two
            requests means the same person, and nothing saved between them. Empty without drafts.
    """

    drafted: tuple[Region, ...] = ()
    saved: tuple[Region, ...] = ()
    draft_stamp: str = ""

    @classmethod
    def of(cls, task: object) -> "TaskRegions":
        """Read a task as /predict sends it."""
        if not isinstance(task, Mapping):
            return cls()
        drafts = list(_objects(task.get("drafts")))
        return cls(
            drafted=tuple(_results(drafts)),
            saved=tuple(_results(_objects(task.get("annotations")))),
            draft_stamp=" ".join(sorted(map(_stamp, drafts))),
        )

    @property
    def drafted_ids(self) -> frozenset[str]:
        """Ids of the regions in drafts."""
        return frozenset(str(region.get("id")) for region in self.drafted)

    @property
    def saved_ids(self) -> frozenset[str]:
        """Ids of the regions in annotations."""
        return frozenset(str(region.get("id")) for region in self.saved)


def _stamp(draft: Mapping[str, Any]) -> str:
    return f"{draft.get('id', '?')}@{draft.get('updated_at', '?')}"


def _results(holders: Any) -> Iterator[Region]:
    for holder in holders:
        yield from _objects(holder.get("result"))


def _objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list | tuple):
        yield from (item for item in value if isinstance(item, dict))


def region_kind(region: Mapping[str, Any]) -> str:
    """The region's tag in lower case without `labels`; `labels` for the item of a `<Labels>`."""
    kind = str(region.get("type", "")).lower()
    return kind if kind == "labels" else kind.removesuffix("labels")


def region_label(region: Mapping[str, Any]) -> str | None:
    """The first label of a result item; None without."""
    return next(iter(region_labels(region)), None)


def region_labels(region: Mapping[str, Any]) -> tuple[str, ...]:
    """All labels of a result item, in the order they were chosen (`choice="multiple"`)."""
    value = region.get("value")
    if not isinstance(value, Mapping):
        return ()
    for key in (str(region.get("type", "")), "labels"):
        labels = value.get(key)
        if isinstance(labels, list) and labels and isinstance(labels[0], str):
            return tuple(dict.fromkeys(one for one in labels if isinstance(one, str)))
    return ()
