"""How many masks a task may carry: brush-heavy ones freeze Label Studio's editor."""

from collections.abc import Sequence

from sam_backend.semi_automatic.triage import Judged


def cap(judged: Sequence[Judged], max_masks: int) -> tuple[list[Judged], list[Judged]]:
    """The masks worth most, confidence times area, and those over the limit.

    What chance has drawn stays whatever it is worth: else it would stand for nothing.

    Returns:
        What stays, the largest first, so that small masks lie on top of large ones in the editor;
        and what goes, the most valuable first.
    """
    by_worth = sorted(
        judged,
        key=lambda one: (one.drawn_for is not None, one.confidence * one.record.area_px),
        reverse=True,
    )
    kept = sorted(by_worth[:max_masks], key=lambda one: one.record.area_px, reverse=True)
    return kept, by_worth[max_masks:]
