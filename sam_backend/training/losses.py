"""The losses of SAM's appendix A: focal and dice on masks, squared error on predicted IoUs."""

import torch
from torch.nn import functional as F

FOCAL_WEIGHT = 20.0
"""Focal to dice is 20 : 1 (appendix A)."""
FOCAL_GAMMA = 2.0


def focal_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Focal loss for shares: the cross entropy weighted by |truth - p|^gamma, mean over cells.

    For truths of 0 and 1 this is the focal loss of Lin et al. (arXiv 1708.02002) without its class
    weight; for cells that the boundary crosses it is the quality focal loss of Li et al.
    (arXiv 2006.04388).

    Args:
        logits: Shape (..., h, w).
        truth: Covered share of each cell, 0..1, of a shape that broadcasts to it.

    Returns:
        Shape (...).
    """
    truth = truth.expand_as(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    weight = (truth - logits.sigmoid()).abs() ** FOCAL_GAMMA
    return (weight * entropy).mean((-2, -1))


def dice_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """One minus the dice overlap (Milletari et al., arXiv 1606.04797), with squared sums below.

    Squares keep the optimum at p = truth where the truth is a share.

    Args:
        logits: Shape (..., h, w).
        truth: Covered share of each cell, 0..1, of a shape that broadcasts to it.

    Returns:
        Shape (...).
    """
    probability = logits.sigmoid()
    overlap = (probability * truth).sum((-2, -1))
    total = (probability**2).sum((-2, -1)) + (truth**2).sum((-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1)


def mask_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Focal and dice loss of each mask, shape (...) for logits of shape (..., h, w)."""
    return FOCAL_WEIGHT * focal_loss(logits, truth) + dice_loss(logits, truth)


def mask_iou(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """IoU of the masks where the logits are positive and the truth covers half a cell.

    Returns:
        Shape (...) for logits of shape (..., h, w); without gradient.
    """
    predicted, wanted = logits.detach() > 0, truth >= 0.5
    overlap = (predicted & wanted).sum((-2, -1)).float()
    return overlap / (predicted | wanted).sum((-2, -1)).clamp(min=1)
