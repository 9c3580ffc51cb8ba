"""One mask an object: of proposals that are all but the same, the surest stays.

The generator compares boxes (paper, appendix B), which a stray speck widens; masks tell better.
"""

from collections.abc import Sequence

import numpy as np

from sam_backend.masks.overlap import iou_matrix
from sam_backend.semi_automatic.triage import Judged


def split_duplicates(judged: Sequence[Judged], min_iou: float) -> tuple[list[Judged], list[Judged]]:
    """What stays and what goes, both in the given order.

    Args:
        judged: Masks of one image.
        min_iou: From this IoU with a surer one on, a mask goes (greedily, the surest first).
    """
    masks = [one.record.rle for one in judged]
    ious = iou_matrix(masks, masks)
    kept: list[int] = []
    for index in np.argsort([-one.confidence for one in judged], kind="stable").tolist():
        if not kept or ious[index, kept].max() < min_iou:
            kept.append(index)
    stays = set(kept)
    return (
        [one for index, one in enumerate(judged) if index in stays],
        [one for index, one in enumerate(judged) if index not in stays],
    )
