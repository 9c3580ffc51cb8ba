"""What the annotator asks for, object by object, in pixels of the original image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from sam_backend.masks.types import Mask
from sam_backend.sam.types import Prompt

# A click that opens a refinement may miss the box's edge by so much of the box's shorter side.
_MARGIN = 0.05

Source = Literal["context", "memory", "task"]


@dataclass(frozen=True, slots=True)
class Click:
    """A point prompt.

    Attributes:
        region_id: Label Studio's id of the region.
        x: Pixels from the left edge of the original image.
        y: Pixels from its top edge.
        is_positive: True: on the object; False: beside it.
    """

    region_id: str
    x: float
    y: float
    is_positive: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A box prompt, upright, inside the image, at least one pixel wide and high.

    Attributes:
        region_id: Label Studio's id of the region.
        x0: Left edge in pixels of the original image.
        y0: Top edge.
        x1: Right edge.
        y1: Bottom edge.
        source: Whether it stands in the request's context, was remembered, or stands on the task
            as a region of a tag with `sam="prompt"`.
    """

    region_id: str
    x0: float
    y0: float
    x1: float
    y1: float
    source: Source = "context"

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def area(self) -> float:
        """Area in pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def holds(self, click: Click) -> bool:
        """True if the click is inside, or just outside."""
        margin = _MARGIN * min(self.x1 - self.x0, self.y1 - self.y0)
        return (
            self.x0 - margin <= click.x <= self.x1 + margin
            and self.y0 - margin <= click.y <= self.y1 + margin
        )

    def iou(self, other: "Box") -> float:
        """Intersection over union with another box."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        shared = max(width, 0.0) * max(height, 0.0)
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt of an object, to tell whether a later list extends an earlier one.

    Attributes:
        region_id: Label Studio's id.
        numbers: Its coordinates and sign: a prompt that was moved is another one.
    """

    region_id: str
    numbers: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectPrompt:
    """All prompts of one object: clicks, a box and a mask, in any combination.

    Attributes:
        clicks: In the order they were made.
        box: None without.
        mask: Pixels of a brush or bitmask region that stands for the object, shape (H, W); None
            without.
        is_newest: True if it holds the newest region of the context, which the annotator has just
            drawn.
    """

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    mask: Mask | None = None
    is_newest: bool = False

    @property
    def items(self) -> tuple[Item, ...]:
        """Box first, then the clicks in order."""
        found = [] if self.box is None else [Item(self.box.region_id, self.box.xyxy)]
        for click in self.clicks:
            found.append(Item(click.region_id, (click.x, click.y, float(click.is_positive))))
        return tuple(found)

    def prompt(self, mask_logits: npt.NDArray[np.float32] | None = None) -> Prompt:
        """The prompt for the model.

        Args:
            mask_logits: Low-resolution logits of the previous answer, or made from `mask`.

        Raises:
            PromptError: Neither clicks, box nor logits.
        """
        return Prompt(
            points=np.array([(c.x, c.y) for c in self.clicks], np.float32).reshape(-1, 2),
            labels=np.array([c.is_positive for c in self.clicks], np.bool_),
            box=None if self.box is None else np.array(self.box.xyxy, np.float32),
            mask_logits=mask_logits,
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """A region of the context that is no prompt.

    Attributes:
        region_id: Its id; "?" without.
        reason: Why, in words for the log.
        is_error: True if it is malformed or misplaced; False for a leaked ordinary region.
    """

    region_id: str
    reason: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class ContextPrompts:
    """The prompts of one context: one image, one label.

    Attributes:
        objects: At least one; each asks for one mask.
        skipped: Regions that were left out.
        warnings: What may make the answer surprising.
    """

    objects: tuple[ObjectPrompt, ...]
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()


def because(skipped: Sequence[Skipped]) -> str:
    """Return " (region: reason; …)" of the first five regions left out, "" if there are none."""
    if not skipped:
        return ""
    reasons = dict.fromkeys(f"{one.region_id}: {one.reason}" for one in skipped)
    return f" ({'; '.join(list(reasons)[:5])})"


def join(
    clicks: Sequence[Click],
    boxes: Sequence[Box],
    offered: Iterable[ObjectPrompt],
    newest_id: str,
) -> tuple[ObjectPrompt, ...]:
    """Objects of one context.

    Each box is an object. All clicks together are one object: they join the smallest box of the
    context, else the smallest offered one, that holds the first positive click (the first click,
    if all are negative).

    Args:
        clicks: Clicks of the context, oldest first.
        boxes: Boxes of the context, oldest first.
        offered: Boxes and masks that clicks may join, but that ask for nothing by themselves.
        newest_id: Id of the context's newest region.
    """
    objects = [ObjectPrompt(box=box, is_newest=box.region_id == newest_id) for box in boxes]
    if not clicks:
        return tuple(objects)
    is_newest = any(click.region_id == newest_id for click in clicks)
    first = next((click for click in clicks if click.is_positive), clicks[0])
    own = _smallest(objects, first)
    joined = own or _smallest(list(offered), first) or ObjectPrompt()
    clicked = replace(joined, clicks=tuple(clicks), is_newest=is_newest or joined.is_newest)
    return (*(one for one in objects if one is not own), clicked)


def _smallest(objects: Sequence[ObjectPrompt], click: Click) -> ObjectPrompt | None:
    holding = [(one.box.area, one) for one in objects if one.box and one.box.holds(click)]
    return min(holding, key=lambda pair: pair[0])[1] if holding else None
