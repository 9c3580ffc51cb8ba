"""The prompts of a context, in pixels of its image, without the regions that are no prompts."""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sam_backend.errors import InvalidInputError, LabelConfigError, PromptError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag
from sam_backend.labelstudio.prompts.context import ContextReading, PendingRegion
from sam_backend.labelstudio.prompts.geometry import (
    MAX_ASPECT_ERROR,
    OUTLINES,
    PIXELS,
    drawn_mask,
    place_shape,
    point_px,
)
from sam_backend.labelstudio.prompts.object_prompts import (
    Box,
    Click,
    ContextPrompts,
    ObjectPrompt,
    Skipped,
    because,
    join,
)
from sam_backend.labelstudio.prompts.prompt_filter import Recalled, Suspect, find_leaks
from sam_backend.labelstudio.prompts.task_regions import TaskRegions, region_kind, region_label
from sam_backend.labelstudio.regions.region import Region, image_size

_MASKS = ("brush", "bitmask", "polygon")
# Decoding the masks of a crowded task for one click would take longer than the click's answer.
_MAX_MASKS_DECODED = 50
_MOST_BOXES = 500  # each prompt is compared with each of them
# The model's work grows with both, and annotators click some twenty times at the most.
_MOST_OBJECTS, _MOST_CLICKS = 64, 100


def place_prompts(
    reading: ContextReading,
    size: tuple[int, int],
    config: LabelConfig,
    on_task: TaskRegions | None = None,
    recalled: Recalled | None = None,
) -> ContextPrompts:
    """Place a context's regions in pixels and tell prompts from leaked regions.

    Percent count of the real image, whatever size the region was drawn on. Each rectangle,
    ellipse, polygon or brush region is an object; all clicks together are one, which joins a box
    of the context, a remembered one, or a region on the task whose tag is marked `sam="prompt"`,
    if its first positive click is inside. `leaks` has the rules for what is no prompt.

    Args:
        reading: The context.
        size: (height, width) of the image in pixels.
        config: The project's labelling configuration.
        on_task: The task's own regions.
        recalled: What is remembered of this task, label and image.

    Raises:
        PromptError: No prompt is left, or only negative clicks.
    """
    return _Placing(
        reading, size, config, on_task or TaskRegions(), recalled or Recalled()
    ).result()


class _Placing:
    """One context on one image: collects clicks and shapes, and the reasons against the rest."""

    def __init__(
        self,
        reading: ContextReading,
        size: tuple[int, int],
        config: LabelConfig,
        on_task: TaskRegions,
        recalled: Recalled,
    ) -> None:
        self._reading = reading
        self._newest = reading.newest
        self._size = size
        self._config = config
        self._on_task = on_task
        self._recalled = recalled
        self._skipped = list(reading.skipped)
        # Brush and bitmask regions by id: full-size masks are made of those that are asked about.
        self._drawn: dict[str, Region] = {}

    def result(self) -> ContextPrompts:
        clicks: list[Click] = []
        suspects: list[Suspect] = []
        for region in self._reading.regions:
            try:
                control = self._control(region)
                if region.kind == "keypoint":
                    clicks.extend(self._click(region))
                    continue
                box = self._placed(region.region, region.region_id)
                suspects.append(Suspect(region.region, box, control, region is self._newest))
            except InvalidInputError as error:
                self._skip(region, str(error), is_error=True)
        leaks = find_leaks(suspects, self._on_task, self._recalled, self._mask_boxes)
        for suspect in suspects:
            if suspect.box.region_id in leaks:
                reason = leaks[suspect.box.region_id]
                self._skipped.append(Skipped(suspect.box.region_id, reason, is_error=False))
        boxes = [suspect.box for suspect in suspects if suspect.box.region_id not in leaks]
        objects = join(clicks, boxes, self._offered(clicks), self._newest.region_id)
        return self._checked([self._completed(one) for one in objects])

    def _placed(self, region: Region, region_id: str) -> Box:
        box = place_shape(region, region_id, self._size)
        if region_kind(region) in PIXELS:
            self._drawn[region_id] = region
        return box

    def _completed(self, one: ObjectPrompt) -> ObjectPrompt:
        """With the mask of its shape, and the remembered clicks of a box that has none here."""
        if one.box is None:
            return one
        box_id = one.box.region_id
        clicks = one.clicks or self._recalled.clicks.get(box_id, ())
        drawn = self._drawn.get(box_id)
        mask = None if drawn is None else drawn_mask(drawn, self._size)
        return replace(one, clicks=clicks, mask=mask)

    def _checked(self, objects: Sequence[ObjectPrompt]) -> ContextPrompts:
        asking = []
        for one in objects:
            if one.box is None and not any(click.is_positive for click in one.clicks):
                reason = (
                    "only negative clicks: nothing says what to segment (the first box of a task "
                    "counts once Label Studio has saved it as a draft, after five seconds)"
                )
                for click in one.clicks:
                    self._skipped.append(Skipped(click.region_id, reason, is_error=True))
            else:
                asking.append(one)
        if len(asking) > _MOST_OBJECTS or any(len(one.clicks) > _MOST_CLICKS for one in asking):
            raise PromptError(
                f"{len(asking)} objects are asked for at once, with up to "
                f"{max(len(one.clicks) for one in asking)} clicks; at most {_MOST_OBJECTS} with "
                f"{_MOST_CLICKS} clicks each are answered"
            )
        if not asking:
            raise PromptError("the context holds no prompt" + because(self._skipped))
        return ContextPrompts(tuple(asking), tuple(self._skipped), tuple(self._warnings()))

    def _control(self, region: PendingRegion) -> ControlTag:
        if region.label != self._newest.label:
            raise InvalidInputError(
                f"its label {region.label!r:.40} is not that of the newest, "
                f"{self._newest.label!r:.40}"
            )
        try:
            control = self._config.control(region.from_name)
        except LabelConfigError as error:
            raise InvalidInputError(str(error)) from None
        if control.to_name != region.to_name:
            raise InvalidInputError(
                f"tag {control.name!r} draws on {control.to_name!r}, not on {region.to_name!r:.40}"
            )
        return control

    def _click(self, region: PendingRegion) -> Iterator[Click]:
        sign = region.region.get("is_positive", region.value.get("positive"))
        if "rle" in region.value:
            self._skip(region, "it repeats an accepted mask", is_error=False)
        elif sign is None:
            self._skip(region, "a keypoint without is_positive is no click", is_error=False)
        elif not isinstance(sign, bool):
            raise InvalidInputError(f"is_positive must be true or false, not {sign!r:.40}")
        elif region.region_id in self._on_task.saved_ids:
            self._skip(region, "it belongs to a saved annotation", is_error=False)
        else:
            x, y = point_px(region.value, self._size)
            yield Click(region.region_id, x, y, sign)

    def _offered(self, clicks: Sequence[Click]) -> list[ObjectPrompt]:
        """Remembered boxes, then regions on the task whose tag is marked `sam="prompt"`."""
        if not clicks:
            return []
        offered = [ObjectPrompt(box=box) for box in self._recalled.boxes]
        known = {box.region_id for box in self._recalled.boxes} | self._recalled.settled
        for region in self._same_label(self._marked_controls()):
            region_id = str(region.get("id"))
            if region_id in known:
                continue
            try:
                box = replace(self._placed(region, region_id), source="task")
            except InvalidInputError as error:
                self._skipped.append(Skipped(region_id, str(error), is_error=True))
            else:
                offered.append(ObjectPrompt(box=box))
        return offered

    def _marked_controls(self) -> frozenset[str]:
        return frozenset(tag.name for tag in self._config.controls if tag.role == "prompt")

    def _same_label(self, control_names: frozenset[str]) -> Iterator[Region]:
        """The asker's shapes of some tags on this image and with this label, or with none.

        Those of the drafts, which hold all that the page shows five seconds after a change. Saved
        annotations may be another person's, and nothing in a request tells whose page shows them.

        Each id once, the newest first, and no more brushes and bitmasks than can be decoded.
        """
        seen: set[str] = set()
        n_drawn = 0
        for region in reversed(self._on_task.drafted):
            index, kind, region_id = region.get("item_index"), region_kind(region), region.get("id")
            if (
                str(region.get("from_name")) in control_names
                and region.get("to_name") == self._newest.to_name
                and (index if isinstance(index, int) else 0) == self._newest.item_index
                and kind in (*OUTLINES, *PIXELS)
                and region_label(region) in (None, self._newest.label)
                and str(region_id) not in seen
            ):
                seen.add(str(region_id))
                n_drawn += kind in PIXELS
                if kind in OUTLINES or n_drawn <= _MAX_MASKS_DECODED:
                    yield region

    @functools.cached_property
    def _boxes_of_masks(self) -> list[Box]:
        names = frozenset(tag.name for tag in self._config.controls if tag.kind in _MASKS)
        found: list[Box] = []
        for region in self._same_label(names):
            if len(found) >= _MOST_BOXES:
                break
            try:
                found.append(place_shape(region, str(region.get("id")), self._size))
            except InvalidInputError:
                continue  # a brush stroke in a draft has no pixels yet
        return found

    def _mask_boxes(self) -> Sequence[Box]:
        return self._boxes_of_masks

    def _warnings(self) -> Iterator[str]:
        try:
            height, width = image_size(self._newest.region)
        except InvalidInputError:
            return  # old clients do not say
        real = self._size[1] / self._size[0]
        if not math.isclose(width / height, real, rel_tol=MAX_ASPECT_ERROR):
            yield (
                f"the prompt was drawn on an image of {width}x{height}, but the image has "
                f"{self._size[1]}x{self._size[0]} pixels: another file, or turned by its EXIF data?"
            )

    def _skip(self, region: PendingRegion, reason: str, is_error: bool) -> None:
        self._skipped.append(Skipped(region.region_id, reason, is_error))
