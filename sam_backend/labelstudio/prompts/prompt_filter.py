"""Telling prompts from ordinary regions that Label Studio's context leaks.

The editor sends, with each prompt, **all** regions of the same shape, label and image, whether the
smart tool drew them or not (mixins/Regions, `getConnectedDynamicRegions`; 1.23.2). What a context
says of a region:

* A keypoint of the smart tool carries `is_positive`; one restored from a draft has lost it.
* A rectangle carries nothing of the kind. So, in this order, for a rectangle or another shape:

  1. Its tag is neither smart nor marked `sam="prompt"`: no prompt (the output rectangles of a
     project with rectangle masks).
  2. A mask that we answered it with now stands on the task: no prompt, it was accepted.
  3. It has a score, or its origin is a prediction: no prompt, it is an accepted answer.
  4. It stands in a saved annotation: no prompt; a pending one is only ever in drafts.
  5. It once was the newest region of a context: a prompt, still pending. The smart tool sends each
     region the moment it is drawn; a region drawn by hand never is the newest.
  6. It is the newest, and not in a draft: a prompt, just drawn.
  7. A mask of its label stands on the task and has nearly its box: no prompt, it has its mask.
  8. It stands in a draft, and its tag can draw by hand too (no `smartOnly`): no prompt.
  9. Otherwise a prompt. Drafts are saved some 5 s late, so a rectangle drawn by hand just before
     counts as a prompt once: a mask too many, which the annotator sees and can delete.

Rules 7 and 8 go by circumstance. A context is only sent because of some prompt, so if all are
ruled out and the newest by 7 or 8 only (a restart of ours has lost what rule 5 needs), the newest
stays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sam_backend.labelstudio.config.tags import ControlTag
from sam_backend.labelstudio.prompts.object_prompts import Box, Click
from sam_backend.labelstudio.prompts.task_regions import TaskRegions
from sam_backend.labelstudio.regions.region import Region

# A box drawn by hand against the tight box of a mask: above this they mean the same object. Our
# choice: a box 15 % too long and too high still matches, a neighbour's does not.
_SAME_OBJECT_IOU = 0.75


@dataclass(frozen=True, slots=True)
class Recalled:
    """What is remembered of a task, label and image when the next context arrives.

    Attributes:
        pending: Ids of boxes that were the newest of a context and were not settled since.
        settled: Ids of boxes whose answered mask stands on the task.
        boxes: Pending boxes that clicks may refine, in pixels, oldest first.
        clicks: Clicks that refined a pending box, by its id; a context of boxes leaves them out.
    """

    pending: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()
    boxes: tuple[Box, ...] = ()
    clicks: Mapping[str, tuple[Click, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A shape of the context that may be a prompt.

    Attributes:
        region: As sent.
        box: Its box in pixels.
        control: Its tag.
        is_newest: True for the context's newest region.
    """

    region: Region
    box: Box
    control: ControlTag
    is_newest: bool


def find_leaks(
    suspects: Sequence[Suspect],
    on_task: TaskRegions,
    recalled: Recalled,
    mask_boxes: Callable[[], Sequence[Box]],
) -> dict[str, str]:
    """Find the shapes that are no prompts; the module's text has the rules.

    Args:
        suspects: Shapes of the context, oldest first.
        on_task: What the task has in drafts and annotations.
        recalled: What is remembered.
        mask_boxes: Boxes of the masks of this label on the task; called only if a rule needs them.

    Returns:
        The reason for each of them, by region id.
    """
    certain: dict[str, str] = {}
    likely: dict[str, str] = {}
    for suspect in suspects:
        region_id = suspect.box.region_id
        reason = _certainly_none(suspect, on_task, recalled)
        if reason is not None:
            certain[region_id] = reason
        elif not _certainly_one(suspect, on_task, recalled):
            reason = _likely_none(suspect, on_task, mask_boxes)
            if reason is not None:
                likely[region_id] = reason
    if len(certain) + len(likely) == len(suspects):
        for suspect in suspects:
            if suspect.is_newest:
                likely.pop(suspect.box.region_id, None)
    return certain | likely


def _certainly_none(suspect: Suspect, on_task: TaskRegions, recalled: Recalled) -> str | None:
    region, region_id = suspect.region, suspect.box.region_id
    if not suspect.control.is_smart and suspect.control.role != "prompt":
        return f"tag {suspect.control.name!r} is not smart, so its regions are no prompts"
    if region_id in recalled.settled:
        return "its mask was accepted"
    score = region.get("score")
    if str(region.get("origin", "manual")) != "manual" or isinstance(score, int | float):
        return "it comes from a prediction"
    if region_id in on_task.saved_ids:
        return "it belongs to a saved annotation"
    return None


def _certainly_one(suspect: Suspect, on_task: TaskRegions, recalled: Recalled) -> bool:
    region_id = suspect.box.region_id
    return region_id in recalled.pending or (
        suspect.is_newest and region_id not in on_task.drafted_ids
    )


def _likely_none(
    suspect: Suspect, on_task: TaskRegions, mask_boxes: Callable[[], Sequence[Box]]
) -> str | None:
    if any(suspect.box.iou(box) >= _SAME_OBJECT_IOU for box in mask_boxes()):
        return "it has its mask on the task"
    if suspect.box.region_id in on_task.drafted_ids and not suspect.control.is_smart_only:
        return "it stands in the draft as drawn by hand"
    return None
