"""`params.context` of an interactive /predict: its regions, their image and their label.

Reading is in two steps, since the image is not known before the context says which image tag it is
about: `read_context` finds that out, `placing.place_prompts` then puts everything in pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.errors import InvalidInputError, PromptError
from sam_backend.labelstudio.prompts.object_prompts import Skipped, because
from sam_backend.labelstudio.prompts.task_regions import region_kind, region_labels
from sam_backend.labelstudio.regions.region import Region

_MOST_REGIONS = 1000  # a context holds all regions of a label, and tasks some hundred at the most
_MAX_ID = 100  # the editor's own have 10 characters; ours stand in every message


@dataclass(frozen=True, slots=True)
class PendingRegion:
    """A region of the context; `<Labels>` with a bare tag sends two items, which are one.

    Attributes:
        region: The item with the shape.
        region_id: Label Studio's id.
        kind: The tag without `labels`.
        from_name: Control tag.
        to_name: Image tag.
        labels: In the order they were chosen, several with `choice="multiple"`; empty without.
        item_index: Which image of a multi-image task.
    """

    region: Region
    region_id: str
    kind: str
    from_name: str
    to_name: str
    labels: tuple[str, ...]
    item_index: int

    @property
    def label(self) -> str | None:
        """The first label; None without."""
        return next(iter(self.labels), None)

    @property
    def value(self) -> Mapping[str, Any]:
        """The shape, in percent."""
        value = self.region["value"]
        return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True)
class ContextReading:
    """A context before its image is known.

    Attributes:
        regions: One for each id, oldest first, all on the newest one's image.
        skipped: Regions that cannot be read.
    """

    regions: tuple[PendingRegion, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if the context holds nothing at all: the last prompt was removed."""
        return not self.regions and not self.skipped

    @property
    def to_name(self) -> str:
        """The image tag that the prompts stand on; PromptError if there are none."""
        return self.newest.to_name

    @property
    def from_name(self) -> str:
        """The control tag of the newest prompt; PromptError if there are none."""
        return self.newest.from_name

    @property
    def label(self) -> str | None:
        """The label of the newest prompt; None if it has none. PromptError without prompts."""
        return self.newest.label

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels of the newest prompt. PromptError without prompts."""
        return self.newest.labels

    @property
    def region_ids(self) -> tuple[str, ...]:
        """Ids, oldest first."""
        return tuple(region.region_id for region in self.regions)

    @property
    def holds_clicks(self) -> bool:
        """True if it is a context of keypoints."""
        return any(region.kind == "keypoint" for region in self.regions)

    @property
    def holds_shapes(self) -> bool:
        """True if it is a context of rectangles or other shapes."""
        return any(region.kind != "keypoint" for region in self.regions)

    @property
    def newest(self) -> PendingRegion:
        """The region that the annotator drew last; PromptError if there are none."""
        if not self.regions:
            raise PromptError("the context holds no prompt" + because(self.skipped))
        return self.regions[-1]


def read_context(context: object) -> ContextReading | None:
    """Read `params.context`. None: there is none (a batch, or a task that is opened).

    Raises:
        PromptError: It is no object with a list of regions.
    """
    if context is None:
        return None
    if not isinstance(context, Mapping):
        raise PromptError(f"params.context must be an object, not {type(context).__name__}")
    results = context.get("result")
    if results is None:
        return ContextReading(())
    if not isinstance(results, list):
        raise PromptError(f"params.context.result must be a list, not {type(results).__name__}")
    skipped: list[Skipped] = []
    if len(results) > _MOST_REGIONS:  # prompts that wait are the newest
        reason = f"only the newest {_MOST_REGIONS} regions of a context are read"
        skipped.append(Skipped("?", reason, is_error=False))
        results = results[-_MOST_REGIONS:]
    items: dict[str, list[Region]] = {}
    for item in results:
        try:
            items.setdefault(_checked_id(item), []).append(item)
        except InvalidInputError as error:
            skipped.append(Skipped("?", str(error), is_error=True))
    regions = []
    for region_id, same in items.items():
        try:
            regions.append(_merge(region_id, same))
        except InvalidInputError as error:
            skipped.append(Skipped(region_id, str(error), is_error=True))
    kept = []
    for region in regions:
        if (region.to_name, region.item_index) == (regions[-1].to_name, regions[-1].item_index):
            kept.append(region)
        else:
            skipped.append(Skipped(region.region_id, "it is on another image", is_error=False))
    return ContextReading(tuple(kept), tuple(skipped))


def _checked_id(item: object) -> str:
    if not isinstance(item, Mapping):
        raise InvalidInputError(f"a region must be an object, not {type(item).__name__}")
    region_id = item.get("id")
    if not isinstance(region_id, str | int) or isinstance(region_id, bool) or region_id == "":
        raise InvalidInputError(f"a region's id must be a text, not {region_id!r:.40}")
    if len(str(region_id)) > _MAX_ID:
        raise InvalidInputError(f"a region's id is too long: {region_id!r:.40}")
    return str(region_id)


def _merge(region_id: str, items: Sequence[Region]) -> PendingRegion:
    shape = next((item for item in items if region_kind(item) != "labels"), None)
    if shape is None:
        raise InvalidInputError("it has a label but no shape")
    if not isinstance(shape.get("value"), Mapping):
        raise InvalidInputError(f"its value must be an object, not {shape.get('value')!r:.40}")
    names = [shape.get("from_name"), shape.get("to_name")]
    if not all(isinstance(name, str) and name for name in names):
        raise InvalidInputError(f"its from_name and to_name must be texts, not {names!r:.80}")
    labels = map(region_labels, (shape, *items))
    index = shape.get("item_index")
    return PendingRegion(
        region=shape,
        region_id=region_id,
        kind=region_kind(shape),
        from_name=str(names[0]),
        to_name=str(names[1]),
        labels=next(filter(None, labels), ()),
        item_index=index if isinstance(index, int) else 0,
    )
