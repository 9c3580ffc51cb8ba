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
        ({"xy": np.zeros((2, 3), np.float32), "is_positive": YES}, "(N, 2), not (2, 3)"),
        ({"xy": np.zeros(2, np.float32), "is_positive": YES}, "(N, 2), not (2,)"),
        ({"xy": ONE}, "is_positive must have shape (1,), not (0,)"),
        ({"xy": ONE * np.nan, "is_positive": YES}, "xy must be finite"),
        ({"xy": ONE * np.inf, "is_positive": YES}, "xy must be finite"),
        ({"box": np.array([1, 1, 5], np.float32)}, "four finite numbers, not [1.0, 1.0, 5.0]"),
        ({"box": np.array([1, 1, np.nan, 5], np.float32)}, "four finite numbers"),
        ({"box": np.array([1, 1, 1, 5], np.float32)}, "box must have an area"),
        ({"box": np.array([5, 5, 1, 1], np.float32)}, "box must have an area"),
        ({"mask_logits": np.zeros((1, 4, 4), np.float32)}, "shape (L, L), not (1, 4, 4)"),
        ({"mask_logits": np.full((4, 4), np.inf, np.float32)}, "mask_logits must be finite"),
    ],
)
def test_what_is_wrong_is_named(fields: dict, why: str) -> None:
    with pytest.raises(PromptError, match=re.escape(why)):
        Prompt(**fields)


def test_an_embedding_knows_its_bytes() -> None:
    features = np.zeros((4, 3, 2), np.float16)
    assert Embedding(features, (3, 2), (3, 2)).n_bytes == 48
