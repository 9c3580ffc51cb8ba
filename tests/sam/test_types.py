"""A prompt is checked once, where it is made."""

import re

import numpy as np
import pytest

from sam_backend.errors import PromptError
from sam_backend.sam.types import Embedding, Prompt

ONE, YES = np.array([[1, 2]], np.float32), np.array([True])


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "a prompt needs a point, a box or a mask"),
        ({"points": np.zeros((2, 3), np.float32), "labels": YES}, "(N, 2), not (2, 3)"),
        ({"points": np.zeros(2, np.float32), "labels": YES}, "(N, 2), not (2,)"),
        ({"points": (410, 220)}, "write one point as [(x, y)]"),
        ({"points": [(1, 2), (3,)]}, "points must be pairs of numbers, x before y, not [(1, 2)"),
        ({"points": [("a", "b")]}, "not [('a', 'b')]"),
        ({"points": ONE, "labels": [1, 0]}, "labels must have shape (1,), one for each point"),
        ({"points": ONE, "labels": [2]}, "0 for background, not [2]"),
        ({"points": ONE, "labels": ["fg"]}, "True or False for each point, not ['fg']"),
        ({"labels": [1], "box": [0, 0, 1, 1]}, "labels must have shape (0,)"),
        ({"points": ONE * np.nan, "labels": YES}, "points must be finite"),
        ({"points": ONE * np.inf, "labels": YES}, "points must be finite"),
        ({"box": np.array([1, 1, 5], np.float32)}, "four finite numbers, not [1.0, 1.0, 5.0]"),
        ({"box": np.array([1, 1, np.nan, 5], np.float32)}, "four finite numbers"),
        ({"box": np.array([1, 1, 1, 5], np.float32)}, "box must have an area"),
        (
            {"box": np.array([5, 5, 1, 1], np.float32)},
            "x0 < x1 and y0 < y1, not [5.0, 5.0, 1.0, 1.0]",
        ),
        ({"mask_logits": np.zeros((1, 4, 4), np.float32)}, "shape (L, L), not (1, 4, 4)"),
        ({"mask_logits": np.full((4, 4), np.inf, np.float32)}, "mask_logits must be finite"),
    ],
)
def test_what_is_wrong_is_named(fields: dict, why: str) -> None:
    with pytest.raises(PromptError, match=re.escape(why)):
        Prompt(**fields)


def test_lists_are_taken_as_well_as_arrays() -> None:
    prompt = Prompt(points=[(410, 220), (3.5, 4)], labels=[1, 0], box=(1, 2, 30, 40))
    assert prompt.points.dtype == np.float32
    assert prompt.points.tolist() == [[410, 220], [3.5, 4]]
    assert prompt.labels.dtype == np.bool_
    assert prompt.labels.tolist() == [True, False]
    assert prompt.box is not None
    assert prompt.box.dtype == np.float32
    assert Prompt(points=[(1, 2)]).labels.tolist() == [True], "a click is foreground"
    assert Prompt(points=[], box=[1, 2, 3, 4]).points.shape == (0, 2)


def test_an_embedding_knows_its_bytes() -> None:
    features = np.zeros((4, 3, 2), np.float16)
    assert Embedding(features, (3, 2), (3, 2)).n_bytes == 48
