"""Logits that mean probabilities: one factor, found on held-out masks, folded into the weights.

Focal loss stops pushing once a pixel is about right, which leaves logits flat (Mukhoti et al.,
arXiv 2002.09437); then stability, the IoU of the mask cut at -1 and at +1, tells of the scale and
not of the mask. Temperature scaling (Guo et al., arXiv 1706.04599) mends it without moving a
boundary, for the cut at 0 stays where it is.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_expit

from sam_backend.errors import InvalidInputError
from sam_backend.sam.reference import Sam

_MAX_FACTOR = 100.0


def best_factor(
    logits: Sequence[npt.NDArray[np.float32]], truth: Sequence[npt.NDArray[np.float32]]
) -> float:
    """The factor under which the logits' sigmoid explains the truth best.

    Args:
        logits: Of some masks, each of any shape.
        truth: Covered share of each cell, 0..1, of the same shapes.

    Returns:
        Between 1/100 and 100: the minimum of the mean cross entropy, each mask weighing the same.

    Raises:
        InvalidInputError: There is no mask.
    """
    if not len(logits):
        raise InvalidInputError("a factor needs at least one mask, not none")

    def cross_entropy(log_factor: float) -> float:
        factor = np.exp(log_factor)
        return float(
            np.mean(
                [
                    -(
                        share * log_expit(factor * one) + (1 - share) * log_expit(-factor * one)
                    ).mean()
                    for one, share in zip(logits, truth, strict=True)
                ]
            )
        )

    limit = np.log(_MAX_FACTOR)
    found = minimize_scalar(cross_entropy, bounds=(-limit, limit), method="bounded")
    return float(np.exp(found.x))


@torch.no_grad()
def scale_logits(sam: Sam, factor: float) -> None:
    """Multiply all mask logits of a network, in place; its masks and predicted IoUs stay.

    The logits that come back as a mask prompt are as much larger, so the first layer that reads
    them divides by the factor.

    Raises:
        InvalidInputError: The factor is not above 0.
    """
    if factor <= 0:
        raise InvalidInputError(f"factor must be above 0, not {factor}")
    for mlp in sam.mask_decoder.output_hypernetworks_mlps:
        last = mlp.layers[-1]
        last.weight.mul_(factor)
        last.bias.mul_(factor)
    sam.prompt_encoder.mask_downscaling[0].weight.div_(factor)
