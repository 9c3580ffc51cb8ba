"""An object and its parts (car and wheel): which of them are proposed."""

from collections.abc import Sequence

import numpy as np

from sam_backend.masks.overlap import share_inside
from sam_backend.projects.prefill_settings import Nesting
from sam_backend.semi_automatic.triage import Judged


def apply_rule(
    judged: Sequence[Judged], rule: Nesting, min_containment: float
) -> tuple[list[Judged], list[Judged]]:
    """What the rule keeps and what it drops, both in the given order.

    Of two masks that lie in each other, which are all but the same, none is the other's part.

    Args:
        judged: Masks of one image.
        rule: The rule.
        min_containment: A mask lies inside another from this share of its pixels.
    """
    if rule == "both" or len(judged) < 2:
        return list(judged), []
    masks = [one.record.rle for one in judged]
    inside = share_inside(masks, masks) >= min_containment
    is_part = inside & ~inside.T  # [i, j]: i is a part of j
    is_dropped = np.any(is_part, axis=1 if rule == "whole" else 0).tolist()
    kept = [one for one, dropped in zip(judged, is_dropped, strict=True) if not dropped]
    return kept, [one for one, dropped in zip(judged, is_dropped, strict=True) if dropped]
