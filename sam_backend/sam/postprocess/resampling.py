"""The two bilinear resizes between logits and image as one weighted sum per row and column.

`Sam.postprocess_masks` resizes the logits to the model's square, cuts the image's part out and
resizes that to the image. Each step works on rows and columns apart, so both together are one
matrix per axis, almost all zeros: a pixel of the image is a weighted sum of a few neighbours.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F


class Resize(NamedTuple):
    """One bilinear resize along one axis: each target pixel lies between two source pixels.

    A named tuple, as `Axis` is, because Numba knows them and no dataclasses.

    Attributes:
        first: Index of the first source pixel, shape (n,) int32, never falling.
        second: Index of the second one: the next, or at the end the first again; (n,) int32.
        weights: Weights of both, shape (n, 2) float32; they add up to 1.
    """

    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


class Axis(NamedTuple):
    """Both resizes along one axis.

    Attributes:
        to_input: From logits to pixels of the model's input, cut to the image's part.
        to_image: From those to pixels of the image.
        first: Index of the first of each image pixel's neighbours among the logits, shape (n,)
            int32, never falling.
        weights: Weights of the neighbours from `first` on, shape (n, K) float32, K a multiple of
            4; the last ones may be 0 and lie outside of the logits.
        touched_from: For pair i of neighbours, i and i + 1: the first image pixel that reaches
            i + 1 or beyond, shape (P,) int32. The last i + 1 may lie outside of the logits; it
            stands for the last of them then.
        touched_to: For the same pair: one more than the last image pixel that starts at i or
            before, shape (P,) int32. The image pixels between both mix the pair.
    """

    to_input: Resize
    to_image: Resize
    first: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    touched_from: npt.NDArray[np.int32]
    touched_to: npt.NDArray[np.int32]


def bilinear(n_source: int, n_target: int) -> Resize:
    """What `torch.nn.functional.interpolate` does between two lengths (align_corners=False).

    Torch is asked for its weights instead of computing them anew: a position near 1,000 has an
    error of 6e-5 in float32, so that weights rounded in another way would move mask borders.
    Three signals, of which the r-th is 1 at every third pixel from r on, show the weights of any
    three neighbours in a row.
    """
    signals = (torch.arange(n_source) % 3 == torch.arange(3)[:, None]).float()
    seen = F.interpolate(signals[:, None], n_target, mode="linear", align_corners=False)
    # A quarter back: whichever way torch rounded, its two pixels are among the next three.
    position = (np.arange(n_target) + 0.5) * (n_source / n_target) - 0.75
    start = np.maximum(np.floor(position).astype(np.int64), 0)
    target = np.arange(n_target)
    parts = np.stack([seen[:, 0].numpy()[(start + k) % 3, target] for k in range(3)], axis=1)
    is_later = parts[:, 0] == 0
    first = np.minimum(start + is_later, n_source - 1)
    weights = np.where(is_later[:, None], parts[:, 1:], parts[:, :2])
    second = np.minimum(first + 1, n_source - 1)
    return Resize(first.astype(np.int32), second.astype(np.int32), np.ascontiguousarray(weights))


def axis(mask_side: int, input_side: int, n_input: int, n_image: int) -> Axis:
    """Both resizes along one axis.

    Args:
        mask_side: Number of logits.
        input_side: Number of pixels of the model's padded input.
        n_input: So many of them, from the first, are the image's.
        n_image: Number of pixels of the image.
    """
    to_input, to_image = bilinear(mask_side, input_side), bilinear(n_input, n_image)
    first = to_input.first[to_image.first]
    n_neighbours = int((to_input.second[to_image.second] - first).max()) + 1
    weights = np.zeros((n_image, -(-n_neighbours // 4) * 4))
    rows = np.arange(n_image)
    for middle, part in zip((to_image.first, to_image.second), to_image.weights.T, strict=True):
        weights[rows, to_input.first[middle] - first] += part * to_input.weights[middle, 0]
        weights[rows, to_input.second[middle] - first] += part * to_input.weights[middle, 1]
    # Two neighbours at least: a lone one then has its own pair to be uncertain with.
    last = first + np.maximum(_last_nonzero(weights), 1)
    pairs = np.arange(last.max())
    return Axis(
        to_input=to_input,
        to_image=to_image,
        first=first,
        weights=weights.astype(np.float32),
        touched_from=np.searchsorted(last, pairs + 1, side="left").astype(np.int32),
        touched_to=np.searchsorted(first, pairs, side="right").astype(np.int32),
    )


def _last_nonzero(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    from_end: npt.NDArray[np.int64] = (weights[:, ::-1] != 0).argmax(axis=1)
    return weights.shape[1] - 1 - from_end
