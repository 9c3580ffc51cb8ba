"""The prompts of a context, in pixels of its image, without the regions that are no prompts."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sam_backend.errors import InvalidInputError, LabelConfigError, PromptError
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.context import ContextReading, PendingRegion
from sam_backend.labelstudio.geometry import OUTLINES, PIXELS, place_shape, point_px
from sam_backend.labelstudio.leaks import Recalled, Suspect, find_leaks
from sam_backend.labelstudio.prompts import (
    Box,
    Click,
    ContextPrompts,
    ObjectPrompt,
    Skipped,
    because,
    join,
)
from sam_backend.labelstudio.regions import Region, numbers
from sam_backend.labelstudio.tags import ControlTag
from sam_backend.labelstudio.task_regions import TaskRegions, region_kind, region_label
from sam_backend.masks.types import Mask

_MASKS = ("brush", "bitmask", "polygon")
# Decoding the masks of a crowded task for one click would take longer than the click's answer.
_MAX_MASKS_COMPARED = 50
_MAX_ASPECT_ERROR = 0.02


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

    def result(self) -> ContextPrompts:
        clicks: list[Click] = []
        suspects: list[Suspect] = []
        masks: dict[str, Mask] = {}
        for region in self._reading.regions:
            try:
                control = self._control(region)
                if region.kind == "keypoint":
                    clicks.extend(self._click(region))
                    continue
                box, mask = place_shape(region.region, region.region_id, self._size)
                suspects.append(Suspect(region.region, box, control, region is self._newest))
                if mask is not None:
                    masks[region.region_id] = mask
            except InvalidInputError as error:
                self._skip(region, str(error), is_error=True)
        leaks = find_leaks(suspects, self._on_task, self._recalled, self._mask_boxes)
        for suspect in suspects:
            if suspect.box.region_id in leaks:
                reason = leaks[suspect.box.region_id]
                self._skipped.append(Skipped(suspect.box.region_id, reason, is_error=False))
        boxes = [suspect.box for suspect in suspects if suspect.box.region_id not in leaks]
        objects = join(clicks, boxes, self._offered(clicks), self._newest.region_id)
        return self._checked([self._completed(one, masks) for one in objects])

    def _completed(self, one: ObjectPrompt, masks: Mapping[str, Mask]) -> ObjectPrompt:
        """With the mask of its shape, and the remembered clicks of a box that has none here."""
        if one.box is None:
            return one
        box_id = one.box.region_id
        clicks = one.clicks or self._recalled.clicks.get(box_id, ())
        return replace(one, clicks=clicks, mask=masks.get(box_id, one.mask))

    def _checked(self, objects: Sequence[ObjectPrompt]) -> ContextPrompts:
        asking = []
        for one in objects:
            if one.box is None and not any(click.is_positive for click in one.clicks):
                reason = "only negative clicks: nothing says what to segment"
                for click in one.clicks:
                    self._skipped.append(Skipped(click.region_id, reason, is_error=True))
            else:
                asking.append(one)
        if not asking:
            raise PromptError("the context holds no prompt" + because(self._skipped))
        return ContextPrompts(tuple(asking), tuple(self._skipped), tuple(self._warnings()))

    def _control(self, region: PendingRegion) -> ControlTag:
        if region.label != self._newest.label:
            raise InvalidInputError(
                f"its label {region.label!r} is not that of the newest, {self._newest.label!r}"
            )
        try:
            control = self._config.control(region.from_name)
        except LabelConfigError as error:
            raise InvalidInputError(str(error)) from None
        if control.to_name != region.to_name:
            raise InvalidInputError(
                f"tag {control.name!r} draws on {control.to_name!r}, not on {region.to_name!r}"
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
            known.add(region_id)
            try:
                box, mask = place_shape(region, region_id, self._size)
            except InvalidInputError as error:
                self._skipped.append(Skipped(region_id, str(error), is_error=True))
            else:
                placed = Box(region_id, *box.xyxy, source="task")
                offered.append(ObjectPrompt(box=placed, mask=mask))
        return offered

    def _marked_controls(self) -> frozenset[str]:
        return frozenset(tag.name for tag in self._config.controls if tag.role == "prompt")

    def _same_label(self, control_names: frozenset[str]) -> Iterator[Region]:
        """The task's shapes of some tags on this image and with this label, or with none."""
        for region in (*self._on_task.drafted, *self._on_task.saved):
            index = region.get("item_index")
            if (
                str(region.get("from_name")) in control_names
                and region.get("to_name") == self._newest.to_name
                and (index if isinstance(index, int) else 0) == self._newest.item_index
                and region_kind(region) in (*OUTLINES, *PIXELS)
                and region_label(region) in (None, self._newest.label)
            ):
                yield region

    @functools.cached_property
    def _boxes_of_masks(self) -> list[Box]:
        names = frozenset(tag.name for tag in self._config.controls if tag.kind in _MASKS)
        found = []
        for region in list(self._same_label(names))[-_MAX_MASKS_COMPARED:]:
            try:
                found.append(place_shape(region, str(region.get("id")), self._size)[0])
            except InvalidInputError:
                continue  # a brush stroke in a draft has no pixels yet
        return found

    def _mask_boxes(self) -> Sequence[Box]:
        return self._boxes_of_masks

    def _warnings(self) -> Iterator[str]:
        try:
            width, height = numbers(self._newest.region, "original_width", "original_height")
            drawn, real = width / height, self._size[1] / self._size[0]
        except (InvalidInputError, ZeroDivisionError):
            return  # old clients do not say
        if not math.isclose(drawn, real, rel_tol=_MAX_ASPECT_ERROR):
            yield (
                f"the prompt was drawn on an image of {width:g}x{height:g}, but the image has "
                f"{self._size[1]}x{self._size[0]} pixels: another file, or turned by its EXIF data?"
            )

    def _skip(self, region: PendingRegion, reason: str, is_error: bool) -> None:
        self._skipped.append(Skipped(region.region_id, reason, is_error))
