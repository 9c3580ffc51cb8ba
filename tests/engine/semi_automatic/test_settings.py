"""A project's choices, checked once."""

import pytest

from sam_backend.engine.semi_automatic.settings import PrefillSettings
from sam_backend.errors import InvalidInputError
from sam_backend.store.cards import ModelCard, make_card

CARD_FIELDS = {
    "name": "m",
    "family": "starter",
    "version": "m-1",
    "sha256": "0" * 64,
    "source": "a test",
    "licence": "unknown",
    "training_data": "none",
}


def card(**prefill: float) -> ModelCard:
    return make_card(**CARD_FIELDS, prefill=prefill)


def test_the_card_then_the_process_then_the_project() -> None:
    told = PrefillSettings.of(
        card(accept_predicted_iou=0.6, accept_stability=0.7),
        {"accept_predicted_iou": 0.65, "max_masks": 30},
        {"max_masks": 20},
    )
    assert (told.accept_predicted_iou, told.accept_stability, told.max_masks) == (0.65, 0.7, 20)
    assert (told.review_predicted_iou, told.review_stability) == (0.65, 0.7)
    assert PrefillSettings.of(card()) == PrefillSettings()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"acept_stability": 1}, "prefill has no acept_stability; known: accept_predicted_iou"),
        ({"accept_stability": 1.5}, "accept_stability must be within 0 and 1, not 1.5"),
        ({"accept_stability": "high"}, "must be within 0 and 1, not 'high'"),
        ({"max_masks": 0}, "max_masks must be a whole number from 1 on, not 0"),
        ({"max_masks": 2.5}, "not 2.5"),
        ({"nesting": "none"}, "nesting must be one of whole, parts, both, not 'none'"),
        ({"output": "circle"}, "output must be one of auto, brush, .*, not 'circle'"),
        ({"parameters": [1]}, "parameters must be an object"),
        ({"review_stability": 0.99}, "review_stability 0.99 must not be above accept_stability"),
    ],
)
def test_wrong_choices_are_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        PrefillSettings.of(card(), given)


def test_the_fingerprint_tells_settings_apart() -> None:
    one = PrefillSettings(parameters={"a": 1, "b": 2})
    assert one.fingerprint == PrefillSettings(parameters={"b": 2, "a": 1}).fingerprint
    others = [PrefillSettings(), PrefillSettings(parameters={"a": 2, "b": 2}),
              PrefillSettings(max_masks=5)]  # fmt: skip
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4
