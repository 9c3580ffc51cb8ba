"""Networks whose masks pass `SamAutomaticMaskGenerator`'s default thresholds in a wanted share.

Random weights pass none, or all: equality of empty sets proves nothing.
"""

from copy import deepcopy

import numpy as np
import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid, calculate_stability_score

MIN_IOU, MIN_STABILITY = 0.88, 0.95
ROUNDING = 5e-4  # of a logit that lies on a cut, generously


@torch.inference_mode()
def with_passing(sam: Sam, image: np.ndarray, points_per_side: int, share: float) -> Sam:
    """A copy in which about this share of the masks of a grid on the image passes both thresholds.

    The predicted IoU's last layer is stretched and shifted until about sqrt(share) pass; then the
    last layers of the hypernetworks are scaled, and all logits with them: the sharper a mask, the
    more stable it is.
    """
    logits, ious = _answers(sam, image, points_per_side)
    changed = deepcopy(sam)
    stretch = 0.1 / float(ious.std())
    best_first = ious.sort(descending=True).values
    last = min(round(share**0.5 * len(ious)), len(ious) - 2)
    shift = MIN_IOU - stretch * float(best_first[last - 1] + best_first[last]) / 2
    head = changed.mask_decoder.iou_prediction_head.layers[-1]
    head.weight *= stretch
    head.bias.copy_(head.bias * stretch + shift)

    sure = logits[ious * stretch + shift > MIN_IOU]
    factor = _factor(sure, share * len(ious) / len(sure))
    for mlp in changed.mask_decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight *= factor
        mlp.layers[-1].bias *= factor
    return changed


def _factor(logits: torch.Tensor, share: float) -> float:
    """By which logits, (N, H, W), are multiplied so that this share of the masks is stable."""
    low, high = -4.0, 12.0  # of its binary logarithm
    for _ in range(14):
        middle = (low + high) / 2
        if _passing(logits, 2**middle) < share:
            low = middle
        else:
            high = middle
    near = [2 ** (high + step / 50) for step in range(8)]
    return min(near, key=lambda factor: _undecided(logits, factor))


def _passing(logits: torch.Tensor, factor: float) -> float:
    return float(_is_stable(logits, factor).float().mean())


def _undecided(logits: torch.Tensor, factor: float) -> int:
    """Masks that the last bits of their logits may decide: a pixel lies just on a cut."""
    less, more = (_is_stable(logits, factor * (1 + by)) for by in (-ROUNDING, ROUNDING))
    return int((less != more).sum())


def _is_stable(logits: torch.Tensor, factor: float) -> torch.Tensor:
    return calculate_stability_score(logits, 0.0, 1 / factor) >= MIN_STABILITY


def _answers(sam: Sam, image: np.ndarray, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Full-size logits and predicted IoUs of all masks of a grid: (N, H, W) and (N,)."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    size = image.shape[:2]
    points = predictor.transform.apply_coords(build_point_grid(n) * size[::-1], size)
    logits, ious, _ = predictor.predict_torch(
        torch.as_tensor(points)[:, None], torch.ones(n * n, 1), return_logits=True
    )
    return logits.flatten(0, 1), ious.flatten()
