"""Random writing: words as outlines of objects, and as ink on a surface."""

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.training.shapes import Outline
from sam_backend.training.textures import Surface, spread

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def _word(rng: np.random.Generator, most: int) -> str:
    return "".join(rng.choice(list(LETTERS), int(rng.integers(1, most + 1))))


def word(rng: np.random.Generator) -> Outline:
    """One to five thick letters, about unit radius round the origin, holes and all."""
    text, font = _word(rng, 5), FONTS[int(rng.integers(len(FONTS)))]
    thickness = int(rng.integers(4, 12))
    (width, height), below = cv2.getTextSize(text, font, 2.0, thickness)
    margin = 2 * thickness
    ink = np.zeros((height + below + 2 * margin, width + 2 * margin), np.uint8)
    cv2.putText(ink, text, (margin, margin + height), font, 2.0, 255, thickness)
    rings, _ = cv2.findContours(ink, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    centre = np.array([ink.shape[1] / 2, ink.shape[0] / 2], np.float32)
    scale = np.float32(2 / np.hypot(width, height))
    angle = rng.normal(0, 0.15) if rng.random() < 0.8 else rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return [
        (((ring[:, 0] - centre) * scale) @ turn).astype(np.float32)
        for ring in rings
        if len(ring) >= 3
    ]


def written(rng: np.random.Generator, surface: Surface) -> Surface:
    """`surface` with lines of writing in one colour on it, shape (H, W, 3)."""
    h, w = surface.shape[:2]
    font = FONTS[int(rng.integers(len(FONTS)))]
    letter_px = max(5.0, min(h, w) * np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
    scale, thickness = letter_px / 22, max(1, round(letter_px * rng.uniform(0.06, 0.2)))
    ink: npt.NDArray[np.uint8] = np.zeros((h, w), np.uint8)
    for baseline in np.arange(letter_px, h + letter_px, letter_px * 1.7):
        text = " ".join(_word(rng, 8) for _ in range(min(8, int(w / letter_px / 3) + 1)))
        at = int(rng.uniform(-1, 1) * letter_px), int(baseline)
        cv2.putText(ink, text, at, font, scale, 255, thickness, cv2.LINE_AA)
    colour = surface.mean((0, 1)) + np.float32(rng.choice([-1, 1])) * rng.uniform(40, 150, 3)
    share = spread(ink * np.float32(1 / 255))
    inked: Surface = surface + (colour.astype(np.float32) - surface) * share
    return inked
