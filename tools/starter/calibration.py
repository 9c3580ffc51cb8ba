"""Predicted IoUs that mean IoUs: a line for each of the decoder's answers, folded into the weights.

The IoU head learns from its own training images, on which masks are better than on any other photo.
Fitted on held-out photos, a line for each answer makes its predictions right on average, and
answers that promise too much are chosen less often.
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.masks.clicks import deepest_point, tight_box
from sam_backend.metrics.interactive import Sample, labelled
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Prompt

OF_BOXES = 0
"""The answer that is given for a box; a lone click may get each of the others."""
MIN_MASKS = 30
"""Fewer tell nothing about a slope."""


def iou_pairs(sam: Sam, samples: Iterable[Sample]) -> list[npt.NDArray[np.float64]]:
    """Predicted and true IoUs of each of the decoder's answers.

    Args:
        sam: In eval mode.
        samples: Held-out images with their masks.

    Returns:
        For each answer, first that for boxes, then the three for a click at the centre: shape
        (N, 2), the predicted IoU first.
    """
    segmenter = Segmenter(sam, "calibrated")
    pairs: list[list[tuple[float, float]]] = [[] for _ in range(sam.mask_decoder.num_mask_tokens)]
    for sample in samples:
        embedding = segmenter.embed(sample.image)
        truths = [rle.decode(labelled(one).rle) for one in sample.masks]
        centres = np.array([deepest_point(truth) for truth in truths], np.float64) + 0.5
        for answer in segmenter.scan(embedding, centres):
            true = _iou(rle.decode(answer.rle), truths[answer.point])
            pairs[1 + answer.mask_index].append((answer.predicted_iou, true))
        for truth in truths:
            boxed = segmenter.predict(embedding, Prompt(box=tight_box(truth)))[0]
            pairs[OF_BOXES].append((boxed.predicted_iou, _iou(boxed.mask, truth)))
    return [np.reshape(of_answer, (-1, 2)) for of_answer in pairs]


def lines(pairs: list[npt.NDArray[np.float64]]) -> list[tuple[float, float]]:
    """The slope and offset that take each answer's predictions to its true IoUs, least squares.

    Slopes are not negative: where predictions tell nothing, all are the mean.

    Args:
        pairs: Of `iou_pairs`.

    Raises:
        InvalidInputError: An answer has fewer than `MIN_MASKS` masks.
    """
    found = []
    for number, of_answer in enumerate(pairs):
        if len(of_answer) < MIN_MASKS:
            raise InvalidInputError(
                f"calibrating takes {MIN_MASKS} masks at least; answer {number} has "
                f"{len(of_answer)}"
            )
        predicted, true = of_answer.T
        spread = predicted.var()
        slope = 0.0
        if spread > 0:
            slope = max(0.0, float(((predicted - predicted.mean()) * (true - true.mean())).mean()))
            slope /= float(spread)
        found.append((slope, float(true.mean() - slope * predicted.mean())))
    return found


@torch.no_grad()
def fold(sam: Sam, fitted: list[tuple[float, float]]) -> None:
    """Change the IoU head in place, so that each answer's prediction goes through its line.

    Args:
        sam: The network; its masks stay.
        fitted: Slope and offset of each answer.
    """
    last = sam.mask_decoder.iou_prediction_head.layers[-1]
    for number, (slope, offset) in enumerate(fitted):
        last.weight[number] *= slope
        last.bias[number] = last.bias[number] * slope + offset


def _iou(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> float:
    return float((predicted & truth).sum() / max(1, (predicted | truth).sum()))
