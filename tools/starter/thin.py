"""Random outlines of thin things: poles, twigs and fences.

Like those of `shapes`: about unit radius round the origin, rings inside others are holes.
"""

import numpy as np
import numpy.typing as npt

from sam_backend.training.shapes import Outline, Ring


def _turned(points: npt.NDArray[np.float64], angle: float) -> Ring:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned: Ring = (points @ turn).astype(np.float32)
    return turned


def pole(rng: np.random.Generator) -> Outline:
    """A straight bar, nearly upright as a rule, that may taper."""
    foot = np.exp(rng.uniform(np.log(0.02), np.log(0.12)))
    top = foot * rng.uniform(0.3, 1.0)
    bar = np.array([[-foot, 1.0], [foot, 1.0], [top, -1.0], [-top, -1.0]])
    angle = rng.normal(0, 0.08) if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
    return [_turned(bar, angle)]


def twig(rng: np.random.Generator) -> Outline:
    """A stem that forks, as one walk round it."""

    def walk(
        foot: npt.NDArray[np.float64], angle: float, length: float, width: float, depth: int
    ) -> list[npt.NDArray[np.float64]]:
        """Up the left side, round every branch, down the right side."""
        along = np.array([np.sin(angle), -np.cos(angle)])
        across = np.array([-along[1], along[0]]) * width
        tip = foot + along * length
        if depth == 0:
            return [foot - across, tip - across * 0.3, tip + across * 0.3, foot + across]
        turns = np.sort(rng.uniform(-0.9, 0.9, int(rng.integers(2, 4))))
        branches = [
            corner
            for turn in turns
            for corner in walk(
                tip, angle + turn, length * rng.uniform(0.5, 0.85), width * 0.6, depth - 1
            )
        ]
        return [foot - across, *branches, foot + across]

    width = rng.uniform(0.03, 0.09)
    walked = np.array(walk(np.array([0.0, 1.0]), rng.normal(0, 0.2), 0.8, width, 3))
    angle = 0.0 if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
    return [_turned(walked, angle)]


def fence(rng: np.random.Generator) -> Outline:
    """A grid of bars: a rectangle with rows of rectangular holes."""
    columns, rows = int(rng.integers(2, 8)), int(rng.integers(1, 5))
    half = np.array([1.0, np.exp(rng.uniform(np.log(0.3), 0))])
    bar = rng.uniform(0.12, 0.45)
    cell = 2 * half / [columns, rows]
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    centres = [(np.array([x, y]) + 0.5) * cell - half for x in range(columns) for y in range(rows)]
    gap = cell / 2 - min(cell) / 2 * bar
    angle = rng.normal(0, 0.1)
    return [_turned(square * half, angle)] + [
        _turned(square * gap + centre, angle) for centre in centres
    ]
