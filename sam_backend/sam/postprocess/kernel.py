"""From logits straight to run lengths, compiled by Numba: no full-size mask is ever made.

The image's columns are made one after the other, as COCO's run lengths go. A column of the image is
first mixed from columns of the logits, at the logits' few rows; each of its values is ranked by the
three cuts it lies above (for stability at the lower threshold, the mask, for stability at the
higher). A pixel between rows of one rank has that rank too, being a weighted mean of them, so only
pixels between rows of different ranks are computed one by one.

Sums are made in another order than torch makes them. Values that rounding could bring to the other
side of a cut are therefore computed again in torch's order, and the masks are its own.

All of it is in this one file because Numba takes kept machine code for valid until the file of the
function it was made of changes; it does not look at other files. This module imports Numba, which
takes half a second: import it where it is first needed.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sam_backend.sam.postprocess.machine_code import compiled_and_kept, part
from sam_backend.sam.postprocess.resampling import Axis, Resize

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


class Scratch(NamedTuple):
    """Room for one column of the image, used again for the next.

    Attributes:
        values: The column at the logits' rows, shape (R,) float32.
        ranks: Ranks of those and of one more row, outside of the logits, shape (P + 1,) uint8.
        is_mixed: Whether a row and the next differ in rank, shape (P or some more,) uint8.
        ranges: As `_mixed_ranges` finds them, shape (P, 3) int64.
        pixels: The column at the image's rows, only where it is mixed, shape (H,) float32.
        pixel_ranks: Pixel ranks of those, shape (H,) uint8.
        is_change: Whether a pixel's rank is another one than the pixel's before, or uncertain,
            shape (H or some more,) uint8.
        places: Where bytes are marked, shape (P or H, the larger,) int64.
        begins: First pixels of stretches of one rank, then H, shape (H + 1,) int64.
        found: Ranks of the stretches, shape (H,) uint8.
    """

    values: _Floats
    ranks: _Bytes
    is_mixed: _Bytes
    ranges: npt.NDArray[np.int64]
    pixels: _Floats
    pixel_ranks: _Bytes
    is_change: _Bytes
    places: npt.NDArray[np.int64]
    begins: npt.NDArray[np.int64]
    found: _Bytes


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


@part
def _rank(value: np.float32, cuts: Cuts) -> int:
    """The number of cuts that a value lies above, 0 to 3; UNCERTAIN close to one."""
    low, middle, high, margin = cuts.values[0], cuts.values[1], cuts.values[2], cuts.margin
    at_most = (value > low - margin) + (value > middle - margin) + (value > high - margin)
    at_least = (value > low + margin) + (value > middle + margin) + (value > high + margin)
    return at_least if at_least == at_most else UNCERTAIN


@part
def _mix(first: np.float32, second: np.float32, weights: _Floats, index: int) -> np.float32:
    """A bilinear step as torch's machine code does it: the second product is added unrounded."""
    start = np.float64(np.float32(first * weights[index, 0]))
    return np.float32(start + np.float64(second) * np.float64(weights[index, 1]))


@part
def _input_value(logits: _Floats, rows: Resize, columns: Resize, y: int, x: int) -> np.float32:
    """The value at pixel x, y of the model's input, as torch computes it."""
    above, below = rows.first[y], rows.second[y]
    left, right = columns.first[x], columns.second[x]
    upper = _mix(logits[above, left], logits[above, right], columns.weights, x)
    lower = _mix(logits[below, left], logits[below, right], columns.weights, x)
    return _mix(upper, lower, rows.weights, y)


@part
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


@part
def _turned(logits: _Floats, n_rows: int, spare: int) -> _Floats:
    """The first rows of logits as columns, with zeros beyond their ends for weights of 0."""
    turned = np.zeros((logits.shape[1] + spare, n_rows + spare), np.float32)
    for j in range(logits.shape[1]):
        for i in range(n_rows):
            turned[j, i] = logits[i, j]
    return turned


@part
def _busy(turned: _Floats, cuts: Cuts, spare: int) -> tuple[int, int, int, int]:
    """The columns and rows, from and to, outside of which all is surely below every cut."""
    n_columns, n_rows = turned.shape[0] - spare, turned.shape[1] - spare
    left, right, top, bottom = n_columns, 0, n_rows, 0
    for j in range(n_columns):
        for i in range(n_rows):
            if turned[j, i] > cuts.values[0] - cuts.margin:
                left, right = min(left, j), j + 1
                top, bottom = min(top, i), max(bottom, i + 1)
    return left, right, top, bottom


@part
def _tall(turned: _Floats, axis: Axis, left: int, right: int, start: int, stop: int) -> _Floats:
    """Some columns of the logits at some of the image's rows; what lies beyond is not set."""
    tall = np.empty((turned.shape[0], len(axis.first)), np.float32)
    for j in range(left, right):
        source, target = turned[j], tall[j]
        for y in range(start, stop):
            i = axis.first[y]
            value = np.float32(0)
            for k in range(0, axis.weights.shape[1], 4):
                value += (
                    axis.weights[y, k] * source[i + k]
                    + axis.weights[y, k + 1] * source[i + k + 1]
                    + axis.weights[y, k + 2] * source[i + k + 2]
                    + axis.weights[y, k + 3] * source[i + k + 3]
                )
            target[y] = value
    return tall


@part
def _column(sources: _Floats, axis: Axis, x: int, start: int, stop: int, values: _Floats) -> None:
    """Mixes the image's column x from columns of the logits into `values`, at some of the rows."""
    # Slices: their indexes cannot be negative, and the loops become vector instructions.
    some = values[start:stop]
    some[:] = 0
    for k in range(0, axis.weights.shape[1], 4):
        j = axis.first[x] + k
        a, b = sources[j, start:stop], sources[j + 1, start:stop]
        c, d = sources[j + 2, start:stop], sources[j + 3, start:stop]
        of_a, of_b = axis.weights[x, k], axis.weights[x, k + 1]
        of_c, of_d = axis.weights[x, k + 2], axis.weights[x, k + 3]
        for i in range(len(some)):
            some[i] += of_a * a[i] + of_b * b[i] + of_c * c[i] + of_d * d[i]


@part
def _rank_some(values: _Floats, cuts: Cuts, start: int, stop: int, ranks: _Bytes) -> None:
    some, ranked = values[start:stop], ranks[start:stop]
    for i in range(len(some)):
        ranked[i] = _rank(some[i], cuts)


@part
def _mark(ranks: _Bytes, start: int, stop: int, marks: _Bytes) -> None:
    """Marks the first of some ranks, and those that are uncertain or differ from the one before."""
    marks[start] = 1
    before, here, some = ranks[start : stop - 1], ranks[start + 1 : stop], marks[start + 1 : stop]
    for i in range(len(here)):
        some[i] = (here[i] != before[i]) | (here[i] == UNCERTAIN)


@part
def _mark_pairs(start: int, stop: int, n_rows: int, room: Scratch) -> None:
    """Marks pairs of rows that the pixels between must mix."""
    ranks = room.ranks
    ranks[n_rows:] = ranks[n_rows - 1]
    here, after, some = ranks[start:stop], ranks[start + 1 : stop + 1], room.is_mixed[start:stop]
    for i in range(len(after)):
        some[i] = (here[i] != after[i]) | (here[i] == UNCERTAIN)


@part
def _marked(marks: _Bytes, start: int, stop: int, places: npt.NDArray[np.int64]) -> int:
    """Writes where bytes are not 0 to `places`; returns how many are not."""
    n = 0
    eights = marks.view(np.uint64)
    for eight in range(start // 8, -(-stop // 8)):
        if eights[eight] != 0:  # most are 0: eight bytes passed over at once
            for place in range(max(8 * eight, start), min(8 * eight + 8, stop)):
                if marks[place]:
                    places[n] = place
                    n += 1
    return n


@part
def _mixed_ranges(axis: Axis, room: Scratch) -> int:
    """Where a column's pixels mix rows of different ranks.

    `room.ranges` gets first pixel, pixel after the last and the row whose rank the pixels before
    have; returns how many ranges there are.
    """
    n, ranges = 0, room.ranges
    for k in range(_marked(room.is_mixed, 0, len(axis.touched_from), room.places)):
        pair = room.places[k]
        if n > 0 and axis.touched_from[pair] <= ranges[n - 1, 1]:
            ranges[n - 1, 1] = axis.touched_to[pair]
        else:
            ranges[n, 0], ranges[n, 1] = axis.touched_from[pair], axis.touched_to[pair]
            ranges[n, 2] = pair
            n += 1
    return n


@part
def _add(n: int, y: int, rank: int, room: Scratch) -> int:
    """Adds a stretch to the n before it, unless it goes on with the last one's rank."""
    if n > 0 and room.found[n - 1] == rank:
        return n
    room.begins[n], room.found[n] = y, rank
    return n + 1


@part
def _stretches(
    logits: _Floats, tall: _Floats, rows: Axis, columns: Axis, x: int, cuts: Cuts, room: Scratch
) -> int:
    """Cuts the image's column x into stretches of one rank each; returns how many there are."""
    n, y = 0, 0
    for k in range(_mixed_ranges(rows, room)):
        start, stop = room.ranges[k, 0], room.ranges[k, 1]
        if start > y:
            n = _add(n, y, room.ranks[room.ranges[k, 2]], room)
        _column(tall, columns, x, start, stop, room.pixels)
        _rank_some(room.pixels, cuts, start, stop, room.pixel_ranks)
        _mark(room.pixel_ranks, start, stop, room.is_change)
        for c in range(_marked(room.is_change, start, stop, room.places)):
            y = room.places[c]
            rank = room.pixel_ranks[y]
            if rank == UNCERTAIN:
                rank = _exact_rank(logits, rows, columns, y, x, cuts)
            n = _add(n, y, rank, room)
        y = stop
    if y < len(rows.first):
        n = _add(n, y, room.ranks[-1], room)
    room.begins[n] = len(rows.first)
    return n


@compiled_and_kept
def sweep(logits: _Floats, rows: Axis, columns: Axis, cuts: Cuts) -> Swept:
    """The mask of one plane of finite logits.

    Args:
        logits: Logits of one mask, shape (L, L) float32.
        rows: From the logits' rows to the image's.
        columns: From the logits' columns to the image's.
        cuts: Where the logits are cut.

    Returns:
        A `Swept`.
    """
    height, width = len(rows.first), len(columns.first)
    n_pairs = len(rows.touched_from)
    n_rows = min(n_pairs + 1, len(logits))
    spare = max(rows.weights.shape[1], columns.weights.shape[1])
    turned = _turned(logits, n_rows, spare)
    left, right, top, bottom = _busy(turned, cuts, spare)
    start, stop = max(top - spare, 0), min(bottom + spare, n_rows)
    tall = _tall(
        turned,
        rows,
        max(left - spare, 0),
        min(right + spare, len(turned)),
        rows.touched_from[start],
        rows.touched_to[min(stop, n_pairs) - 1],
    )
    room = Scratch(
        values=np.empty(n_rows, np.float32),
        ranks=np.zeros(n_pairs + 1, np.uint8),
        is_mixed=np.zeros(-(-n_pairs // 8) * 8, np.uint8),
        ranges=np.empty((n_pairs, 3), np.int64),
        pixels=np.empty(height, np.float32),
        pixel_ranks=np.empty(height, np.uint8),
        is_change=np.zeros(-(-height // 8) * 8, np.uint8),
        places=np.empty(max(n_pairs, height), np.int64),
        begins=np.empty(height + 1, np.int64),
        found=np.empty(height, np.uint8),
    )
    begins, found = room.begins, room.found
    counts = np.empty(4 * (height + width), np.uint32)
    n_runs, run_start, is_on = 0, 0, False
    n_lower, n_mask, n_higher = 0, 0, 0
    x0, y0, x1, y1 = width, height, -1, -1
    for x in range(width):
        if left < columns.first[x] + columns.weights.shape[1] and columns.first[x] < right:
            _column(turned, columns, x, start, stop, room.values)
            _rank_some(room.values, cuts, start, stop, room.ranks)
            _mark_pairs(start, stop, n_rows, room)
            n = _stretches(logits, tall, rows, columns, x, cuts, room)
        else:
            n, begins[0], begins[1], found[0] = 1, 0, height, 0
        if n_runs + n + 1 > len(counts):
            longer = np.empty(2 * (len(counts) + n), np.uint32)
            longer[:n_runs] = counts[:n_runs]
            counts = longer
        for k in range(n):
            y, length = begins[k], begins[k + 1] - begins[k]
            n_lower += length * (found[k] >= 1)
            n_mask += length * (found[k] >= 2)
            n_higher += length * (found[k] >= 3)
            if (found[k] >= 2) != is_on:
                counts[n_runs] = x * height + y - run_start
                n_runs, run_start, is_on = n_runs + 1, x * height + y, not is_on
            if is_on:
                x0, y0, x1, y1 = min(x0, x), min(y0, y), x, max(y1, begins[k + 1] - 1)
    counts[n_runs] = width * height - run_start
    box = np.array([x0, y0, x1, y1]) if n_mask else np.zeros(4, np.int64)
    return Swept(counts[: n_runs + 1].copy(), box, np.array([n_lower, n_mask, n_higher]))
