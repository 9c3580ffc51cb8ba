"""Of masks whose boxes all but coincide, the best one."""

import numpy as np
import numpy.typing as npt
import torch


def best_of_each(
    boxes: npt.NDArray[np.int64], scores: npt.NDArray[np.floating], max_iou: float
) -> list[int]:
    """Non-maximum suppression: boxes that no better box overlaps by more than `max_iou`.

    The very call of `segment_anything`, in single precision as there: equal scores are settled
    alike, by position.

    Args:
        boxes: Shape (N, 4), x0 y0 x1 y1 in pixels.
        scores: Shape (N,), the higher the better.
        max_iou: Of two boxes that stay.

    Returns:
        Indexes of the boxes that stay, best score first.
    """
    # Not at the top: it brings torch's compiler, for which no server's start need wait.
    from torchvision.ops import batched_nms

    one_category = torch.zeros(len(boxes))
    kept = batched_nms(
        torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.as_tensor(scores, dtype=torch.float32),
        one_category,
        max_iou,
    )
    indexes: list[int] = kept.tolist()
    return indexes
