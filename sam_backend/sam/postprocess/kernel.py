"""From logits straight to run lengths, compiled by Numba: no full-size mask is ever made.

The image's columns are made one after the other, as COCO's run lengths go. A column of the image is
first mixed from columns of the logits, at the logits' few rows; each of its values is ranked by the
three cuts it lies above (for stability at the lower threshold, the mask, for stability at the
higher). A pixel between rows of one rank has that rank too, being a weighted mean of them, so only
pixels between rows of different ranks are computed one by one.

Sums are made in another order than torch makes them. Values that rounding could bring to the other
side of a cut are therefore computed again in torch's order, and the masks are its own.

This module imports Numba, which takes half a second: import it where it is first needed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from sam_backend.sam.postprocess.resampling import Axis, Resize

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Floats = npt.NDArray[np.float32]
_Bytes = npt.NDArray[np.uint8]

UNCERTAIN = 255
"""The rank of a value that lies so close to a cut that rounding could move it across."""
MARGIN = 4e-6
"""How close that is, as a part of the largest logit: some 60 units in the last place, where two
resizes with their weights and sums are off by less than 20."""


class Cuts(NamedTuple):
    """Where logits are cut.

    Attributes:
        values: The lower threshold, the mask's and the higher one, shape (3,) float32, rising.
        margin: Values closer to a cut than this are uncertain.
    """

    values: _Floats
    margin: np.float32


class Swept(NamedTuple):
    """What one sweep over the image finds.

    Attributes:
        counts: The mask's run lengths, shape (K,) uint32, as `masks.rle.RLE` has them.
        box: x0, y0, x1, y1 of its outermost pixels, shape (4,) int64; zeros if it is empty.
        n_above: Pixels above each cut, shape (3,) int64.
    """

    counts: npt.NDArray[np.uint32]
    box: npt.NDArray[np.int64]
    n_above: npt.NDArray[np.int64]


def _compiled(function: _Function) -> _Function:
    """Compiles at the first call, for this machine, and frees other threads while it runs."""
    return cast(_Function, numba.njit(nogil=True, error_model="numpy")(function))


def compiled_and_kept(function: _Function) -> _Function:
    """The same, and keeps the machine code for the next start where a folder can be written."""
    try:
        kept = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # Numba found none
        return _compiled(function)
    return cast(_Function, kept)


@_compiled
def _rank(value: np.float32, cuts: Cuts) -> int:
    """The number of cuts that a value lies above, 0 to 3; UNCERTAIN close to one."""
    low, middle, high, margin = cuts.values[0], cuts.values[1], cuts.values[2], cuts.margin
    at_most = (value > low - margin) + (value > middle - margin) + (value > high - margin)
    at_least = (value > low + margin) + (value > middle + margin) + (value > high + margin)
    return at_least if at_least == at_most else UNCERTAIN


@_compiled
def _mix(first: np.float32, second: np.float32, weights: _Floats, index: int) -> np.float32:
    """A bilinear step as torch's machine code does it: the second product is added unrounded."""
    start = np.float64(np.float32(first * weights[index, 0]))
    return np.float32(start + np.float64(second) * np.float64(weights[index, 1]))


@_compiled
def _input_value(logits: _Floats, rows: Resize, columns: Resize, y: int, x: int) -> np.float32:
    """The value at pixel x, y of the model's input, as torch computes it."""
    above, below = rows.first[y], rows.second[y]
    left, right = columns.first[x], columns.second[x]
    upper = _mix(logits[above, left], logits[above, right], columns.weights, x)
    lower = _mix(logits[below, left], logits[below, right], columns.weights, x)
    return _mix(upper, lower, rows.weights, y)


@_compiled
def _exact_rank(logits: _Floats, rows: Axis, columns: Axis, y: int, x: int, cuts: Cuts) -> int:
    """The number of cuts below pixel x, y of the image, computed in torch's order."""
    above, below = rows.to_image.first[y], rows.to_image.second[y]
    left, right = columns.to_image.first[x], columns.to_image.second[x]
    down, along = rows.to_input, columns.to_input
    upper = _mix(
        _input_value(logits, down, along, above, left),
        _input_value(logits, down, along, above, right),
        columns.to_image.weights,
        x,
    )
    lower = _mix(
        _input_value(logits, down, along, below, left),
        _input_value(logits, down, along, below, right),
        columns.to_image.weights,
        x,
    )
    value = _mix(upper, lower, rows.to_image.weights, y)
    return int(value > cuts.values[0]) + int(value > cuts.values[1]) + int(value > cuts.values[2])


@_compiled
def _turned(logits: _Floats, n_rows: int, n_spare: int) -> _Floats:
    """The first rows of logits as columns, with columns of zeros after them for weights of 0."""
    turned = np.zeros((logits.shape[1] + n_spare, n_rows), np.float32)
    for j in range(logits.shape[1]):
        for i in range(n_rows):
            turned[j, i] = logits[i, j]
    return turned


@_compiled
def _busy(turned: _Floats, cuts: Cuts) -> tuple[int, int, int, int]:
    """The columns and rows, from and to, outside of which all is surely below every cut."""
    left, right, top, bottom = len(turned), 0, turned.shape[1], 0
    for j in range(len(turned)):
        for i in range(turned.shape[1]):
            if turned[j, i] > cuts.values[0] - cuts.margin:
                left, right = min(left, j), j + 1
                top, bottom = min(top, i), max(bottom, i + 1)
    return left, right, top, bottom


@_compiled
def _column(turned: _Floats, axis: Axis, x: int, start: int, stop: int, values: _Floats) -> None:
    """Mixes the image's column x from columns of the logits into `values`, at some of the rows."""
    values[start:stop] = 0
    for k in range(0, axis.weights.shape[1], 4):
        j = axis.first[x] + k
        a, b, c, d = turned[j], turned[j + 1], turned[j + 2], turned[j + 3]
        wa, wb, wc, wd = (
            axis.weights[x, k],
            axis.weights[x, k + 1],
            axis.weights[x, k + 2],
            axis.weights[x, k + 3],
        )
        for i in range(start, stop):
            values[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]


@_compiled
def _pixel(values: _Floats, axis: Axis, y: int) -> np.float32:
    """Mixes pixel y from a column's values; four neighbours at a time."""
    first, weights = axis.first[y], axis.weights
    value = np.float32(0)
    for k in range(0, weights.shape[1], 4):
        i = first + k
        value += (
            weights[y, k] * values[i]
            + weights[y, k + 1] * values[i + 1]
            + weights[y, k + 2] * values[i + 2]
            + weights[y, k + 3] * values[i + 3]
        )
    return value


@_compiled
def _rank_rows(
    values: _Floats,
    cuts: Cuts,
    start: int,
    stop: int,
    n_rows: int,
    ranks: _Bytes,
    is_mixed: _Bytes,
) -> None:
    """Ranks a column's values at some of its rows; marks pairs that pixels between must mix."""
    # Slices: their indexes cannot be negative, and the loops become vector instructions.
    some, ranked = values[start:stop], ranks[start:stop]
    for i in range(len(some)):
        ranked[i] = _rank(some[i], cuts)
    ranks[n_rows:] = ranks[n_rows - 1]  # the one outside of the logits, if there is one
    next_ranks, marks = ranks[start + 1 : stop + 1], is_mixed[start:stop]
    for i in range(len(next_ranks)):
        marks[i] = (ranked[i] != next_ranks[i]) | (ranked[i] == UNCERTAIN)


@_compiled
def _stretches(
    logits: _Floats,
    rows: Axis,
    columns: Axis,
    x: int,
    values: _Floats,
    cuts: Cuts,
    ranks: _Bytes,
    eights: npt.NDArray[np.uint64],
    stops: npt.NDArray[np.int64],
    found: _Bytes,
) -> int:
    """Cuts the image's column x into stretches of one rank each.

    `stops` gets the pixel after each stretch, `found` its rank; returns how many there are.
    """
    n, y = 0, 0
    for eight in range(len(eights)):
        if eights[eight] == 0:
            continue
        for pair in range(8 * eight, min(8 * eight + 8, len(rows.touched_from))):
            if not (eights[eight] >> np.uint64(8 * (pair - 8 * eight))) & np.uint64(1):
                continue
            start, stop = rows.touched_from[pair], rows.touched_to[pair]
            if start > y:
                stops[n], found[n] = start, ranks[pair]
                n, y = n + 1, start
            while y < stop:
                rank = _rank(_pixel(values, rows, y), cuts)
                if rank == UNCERTAIN:
                    rank = _exact_rank(logits, rows, columns, y, x, cuts)
                if n > 0 and found[n - 1] == rank:
                    n -= 1
                y += 1
                stops[n], found[n] = y, rank
                n += 1
    if y < len(rows.first):
        stops[n], found[n] = len(rows.first), ranks[-1]
        n += 1
    return n


@compiled_and_kept
def sweep(logits: _Floats, rows: Axis, columns: Axis, cuts: Cuts) -> Swept:
    """The mask of one plane of finite logits.

    Args:
        logits: Of one mask, shape (L, L) float32.
        rows: From the logits' rows to the image's.
        columns: From the logits' columns to the image's.
        cuts: Where the logits are cut.

    Returns:
        A `Swept`.
    """
    height, width = len(rows.first), len(columns.first)
    n_pairs = len(rows.touched_from)
    n_rows = min(n_pairs + 1, len(logits))
    reach = rows.weights.shape[1]
    turned = _turned(logits, n_rows, columns.weights.shape[1])
    left, right, top, bottom = _busy(turned, cuts)
    start, stop = max(top - reach, 0), min(bottom + reach, n_rows)
    values = np.zeros(n_pairs + 1 + reach, np.float32)
    ranks = np.zeros(n_pairs + 1, np.uint8)
    is_mixed = np.zeros(-(-n_pairs // 8) * 8, np.uint8)
    eights = is_mixed.view(np.uint64)  # most are 0: eight pairs are passed over at once
    stops, found = np.empty(height, np.int64), np.empty(height, np.uint8)
    counts = np.empty(4 * (height + width), np.uint32)
    n_runs, run_start, is_on = 0, 0, False
    n_lower, n_mask, n_higher = 0, 0, 0
    x0, y0, x1, y1 = width, height, -1, -1
    for x in range(width):
        if left < columns.first[x] + columns.weights.shape[1] and columns.first[x] < right:
            _column(turned, columns, x, start, stop, values)
            _rank_rows(values, cuts, start, stop, n_rows, ranks, is_mixed)
            n = _stretches(logits, rows, columns, x, values, cuts, ranks, eights, stops, found)
        else:
            n, stops[0], found[0] = 1, height, 0
        if n_runs + n + 1 > len(counts):
            longer = np.empty(2 * (len(counts) + n), np.uint32)
            longer[:n_runs] = counts[:n_runs]
            counts = longer
        y = 0
        for k in range(n):
            length = stops[k] - y
            n_lower += length * (found[k] >= 1)
            n_mask += length * (found[k] >= 2)
            n_higher += length * (found[k] >= 3)
            if (found[k] >= 2) != is_on:
                counts[n_runs] = x * height + y - run_start
                n_runs, run_start, is_on = n_runs + 1, x * height + y, not is_on
            if is_on:
                x0, y0, x1, y1 = min(x0, x), min(y0, y), x, max(y1, stops[k] - 1)
            y = stops[k]
    counts[n_runs] = width * height - run_start
    box = np.array([x0, y0, x1, y1]) if n_mask else np.zeros(4, np.int64)
    return Swept(counts[: n_runs + 1].copy(), box, np.array([n_lower, n_mask, n_higher]))
