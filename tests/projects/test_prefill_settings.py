"""A project's choices, checked once."""

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.projects.extra_params import ExtraParams
from sam_backend.projects.prefill_settings import PrefillSettings, layered
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
        ({"acept_stability": 1}, r"no setting 'acept_stability' \(did you mean 'accept_stability'"),
        ({"accept_stability": 1.5}, "accept_stability must be within 0 and 1, not 1.5"),
        ({"accept_stability": "high"}, "must be within 0 and 1, not 'high'"),
        ({"max_masks": 0}, "max_masks must be a whole number from 1 on, not 0"),
        ({"max_masks": 2.5}, "not 2.5"),
        ({"nesting": "none"}, "nesting must be one of whole, parts, both, not 'none'"),
        ({"output": "circle"}, "output must be one of auto, brush, .*, not 'circle'"),
        ({"parameters": [1]}, "parameters must be an object"),
        ({"review_stability": 0.99}, "review_stability 0.99 must not be above accept_stability"),
        ({"points_per_side": 9}, r'is of the proposer .*: set parameters=\{"points_per_side": …\}'),
        ({"preset": ["paper"]}, r"no preset \['paper'\] .*; known: paper, segment_anything, fast"),
        ({"preset": "papr"}, r"no preset 'papr' \(did you mean 'paper'\?\)"),
        ({"preset": "paper", "parameters": {"crop_layer": 1}}, "did you mean 'crop_layers'"),
        ({"preset": "paper", "proposer": "existing"}, "is for the proposer 'grid', not for 'exis"),
    ],
)
def test_wrong_choices_are_named(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        PrefillSettings.of(card(), given)


SURE = {"accept_predicted_iou": 0.3, "accept_stability": 0.0, "parameters": {"points_per_side": 8}}


@pytest.mark.parametrize(
    ("layers", "bar", "parameters"),
    [
        ([{"preset": "paper"}], 0.88, {"preset": "paper"}),
        ([SURE, {"preset": "paper"}], 0.88, {"preset": "paper"}),
        ([{"preset": "paper"}, {"accept_predicted_iou": 0.9}], 0.9, {"preset": "paper"}),
        ([{"preset": "paper"}, {"preset": None}], 0.5, {}),
        ([{"preset": "paper"}, {"proposer": "existing"}], 0.5, {}),
        ([{"preset": "fast"}], 0.5, {"preset": "fast"}),
        ([{"preset": "fast"}, SURE], 0.3, {"preset": "fast", "points_per_side": 8}),
        ([SURE, {"preset": "fast"}], 0.3, {"preset": "fast", "points_per_side": 8}),
        ([{"preset": "paper"}, {"preset": "fast"}], 0.5, {"preset": "fast"}),
        ([SURE, {"preset": "fast"}, {"preset": "paper"}], 0.88, {"preset": "paper"}),
        ([{"preset": "fast"}, {"proposer": "existing"}], 0.5, {}),
        (
            [{"preset": "segment_anything", "parameters": {"crop_layers": 1}}],
            0.88,
            {"preset": "segment_anything", "crop_layers": 1},
        ),
    ],
)
def test_a_preset_decides_what_cards_and_earlier_settings_say(
    layers: list[dict[str, object]], bar: float, parameters: dict[str, object]
) -> None:
    told = PrefillSettings.of(card(accept_predicted_iou=0.5, accept_stability=0.2), *layers)
    assert (told.accept_predicted_iou, dict(told.parameters)) == (bar, parameters)


def test_parameters_are_of_their_own_proposer() -> None:
    grid, like = {"parameters": {"points_per_side": 6}}, {"parameters": {"like": ["Car"]}}
    assert "parameters" not in layered(grid, {"proposer": "similar"})
    similar = {"proposer": "similar"} | like
    assert layered(grid, similar) == layered(grid, {"proposer": "similar"}, like) == similar
    assert layered(similar, {"proposer": "similar"}) == similar
    once = layered(similar, {"proposer": "grid"})
    assert layered(similar, once) == once == {"proposer": "grid"}


def test_putting_settings_over_each_other_twice_changes_nothing() -> None:
    """The stage's settings are put under the project's, and the result over the card's again."""
    for every in ({"preset": "paper"}, {"preset": "fast"}):
        for own in ({"preset": None}, {"proposer": "existing"}, {"max_masks": 5}, SURE):
            once = layered({"accept_stability": 0.5}, every, own)
            again = PrefillSettings.given({}, every, once)
            assert again == PrefillSettings.given(once), own
    assert PrefillSettings.given(every, layered(every, {"preset": None})) == PrefillSettings()


def test_the_presets_of_prefilling_are_the_published_recipes() -> None:
    paper = PrefillSettings.of(card(accept_stability=0.2), {"preset": "paper"})
    assert (paper.accept_stability, paper.duplicate_iou, paper.min_area_px) == (0.95, 0.7, 100)
    published = PrefillSettings.of(card(), {"preset": "segment_anything"})
    assert (published.accept_stability, published.min_area_px) == (0.95, 0)


@pytest.mark.parametrize(
    ("extra_params", "says"),
    [
        ({"prefil": {}}, r"have 'prefil' \(did you mean 'prefill'\?\)"),
        ('{"prefill": {}, "proposer": "grid"}', "have 'proposer'"),
        ("{", "are no JSON"),
        ("[" * 100_000, "are no JSON"),
        ({"prefill": {"label": "x" * 20_000}}, "have 20013 letters about prefilling"),
        ([1], "not list with list"),
    ],
)
def test_extra_params_that_would_do_nothing_are_told(extra_params: object, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        ExtraParams.parse(extra_params)


@pytest.mark.parametrize("extra_params", [None, "", {}, "{}", {"prefill": {}}])
def test_a_backend_without_extra_params_says_nothing(extra_params: object) -> None:
    assert ExtraParams.parse(extra_params) == ExtraParams()


def test_the_fingerprint_tells_settings_apart() -> None:
    one = PrefillSettings(parameters={"a": 1, "b": 2})
    assert one.fingerprint == PrefillSettings(parameters={"b": 2, "a": 1}).fingerprint
    others = [PrefillSettings(), PrefillSettings(parameters={"a": 2, "b": 2}),
              PrefillSettings(max_masks=5)]  # fmt: skip
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 4
