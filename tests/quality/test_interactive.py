"""The measurement itself, with models whose answers are known."""

from collections.abc import Callable

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.quality.interactive import InteractiveQuality, Sample, evaluate, iou
from sam_backend.sam.types import Candidate, Embedding, Prompt

SIZE = 40
SQUARE = np.zeros((SIZE, SIZE), np.bool_)
SQUARE[10:30, 10:30] = True
HALF = SQUARE.copy()
HALF[:, 20:] = False
NOTHING = np.zeros_like(SQUARE)


class Known:
    """A segmenter that answers each prompt with masks from a function."""

    def __init__(self, answer: Callable[[Prompt], list[np.ndarray]]) -> None:
        self.answer = answer
        self.prompts: list[Prompt] = []

    def embed(self, image: np.ndarray) -> Embedding:
        return Embedding(np.zeros((1, 1, 1), np.float32), image.shape[:2], image.shape[:2])

    def predict(self, embedding: Embedding, prompt: Prompt) -> list[Candidate]:
        self.prompts.append(prompt)
        logits = np.full((4, 4), len(self.prompts), np.float32)
        masks = self.answer(prompt)
        return [Candidate(m, 1 - i / 10, 1.0, logits) for i, m in enumerate(masks)]


def measure(model: Known) -> InteractiveQuality:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    return evaluate(model, [Sample(image, SQUARE[None])])


def test_a_perfect_model_scores_one_and_is_asked_no_more() -> None:
    model = Known(lambda prompt: [SQUARE])
    quality = measure(model)
    assert quality == InteractiveQuality(1.0, 1.0, 1.0, 1.0, 1)
    assert len(model.prompts) == 2
    assert model.prompts[1].box is not None
    assert model.prompts[1].box.tolist() == [10, 10, 30, 30]


def test_the_first_candidate_counts_and_the_best_is_told_apart() -> None:
    quality = measure(Known(lambda prompt: [HALF, SQUARE, NOTHING]))
    assert quality.one_click_miou == pytest.approx(0.5)
    assert quality.oracle_miou == 1.0


def test_corrections_go_where_the_error_is_with_the_last_logits() -> None:
    model = Known(lambda prompt: [SQUARE if len(prompt.xy) > 1 else HALF])
    quality = measure(model)
    assert (quality.one_click_miou, quality.three_click_miou) == (0.5, 1.0)
    assert quality.box_miou == pytest.approx(0.5)
    second = model.prompts[1]
    assert second.xy.shape == (2, 2)
    assert second.is_positive.tolist() == [True, True]
    x, y = second.xy[1]
    assert 20 <= x <= 30
    assert 10 <= y <= 30
    assert second.mask_logits is not None
    assert second.mask_logits[0, 0] == 1


def test_too_much_mask_gets_negative_clicks() -> None:
    model = Known(lambda prompt: [np.ones_like(SQUARE)])
    measure(model)
    assert model.prompts[2].is_positive.tolist() == [True, False, False]


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="at least one mask"):
        evaluate(Known(lambda prompt: []), [])


def test_iou_of_masks() -> None:
    assert iou(SQUARE, HALF) == 0.5
    assert iou(SQUARE, NOTHING) == 0.0
    assert iou(NOTHING, NOTHING) == 1.0


def test_a_card_rounds_and_counts() -> None:
    card = InteractiveQuality(0.12345, 0.2, 0.3, 0.4, 7).as_card()
    assert card["1-click mIoU"] == 0.123
    assert card["masks"] == 7
