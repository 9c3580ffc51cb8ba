"""Settings of the automatic generator: SAM's own, the paper's, a checkpoint's, or somebody's."""

import inspect

import pytest
from segment_anything import SamAutomaticMaskGenerator

from sam_backend.errors import InvalidInputError
from sam_backend.sam.automatic.settings import AutomaticSettings


@pytest.mark.parametrize(
    ("card", "given", "expected"),
    [
        ({}, {}, {}),
        ({"predicted_iou": 0.3}, {}, {"predicted_iou": 0.3}),
        ({"predicted_iou": 0.3}, {"predicted_iou": 0.5}, {"predicted_iou": 0.5}),
        ({"predicted_iou": 0.3}, {"predicted_iou": None}, {"predicted_iou": 0.3}),
        (
            {"points_per_side": 16.0, "box_nms": 0.6},
            {"stability": 0.0},
            {"points_per_side": 16, "box_nms": 0.6, "stability": 0.0},
        ),
    ],
)
def test_a_card_suggests_and_what_is_given_wins(
    card: dict[str, float], given: dict[str, float | None], expected: dict[str, float]
) -> None:
    settings = AutomaticSettings.of(card, **given)
    assert settings == AutomaticSettings(**expected)
    assert isinstance(settings.points_per_side, int)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"predicted_io": 0.3}, r"no setting 'predicted_io' \(did you mean 'predicted_iou'\?\)"),
        ({"points_per_side": "many"}, "points_per_side must be a whole number, not 'many'"),
        ({"points_per_side": 16.5}, "points_per_side must be a whole number, not 16.5"),
        ({"stability": "high"}, "stability must be a number, not 'high'"),
        ({"box_nms": True}, "box_nms must be a number, not True"),
        ({"stability": 1.5}, "stability must be between 0 and 1, not 1.5"),
        ({"max_image_share": -1}, "max_image_share must be between 0 and 1, not -1"),
        ({"points_per_side": 0}, "points_per_side must be at least 1, not 0"),
        ({"stability_offset": -0.5}, "stability_offset must not be negative, not -0.5"),
        ({"coarse_step": 3}, "coarse_step must be 1, 2, 4, 8 …, not 3"),
        (
            {"points_per_side": 3, "crop_layers": 2, "crop_points_divisor": 2},
            "points_per_side 3 leaves no point for crop layer 2",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(card: dict[str, float], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        AutomaticSettings.of(card)


def test_the_reference_s_names_and_defaults() -> None:
    theirs = inspect.signature(SamAutomaticMaskGenerator).parameters
    ours = inspect.signature(AutomaticSettings.reference).parameters
    without = {"model", "points_per_batch", "point_grids", "output_mode"}
    assert [name for name in theirs if name not in without] == list(ours)
    assert all(theirs[name].default == ours[name].default for name in ours)
    assert AutomaticSettings.reference() == AutomaticSettings()
    assert AutomaticSettings.reference(crop_nms_thresh=0.5).crop_nms == 0.5


def test_the_paper_s_recipe() -> None:
    paper = AutomaticSettings.paper()
    assert [paper.points_of_layer(layer) for layer in range(3)] == [32, 16, 8]
    assert (paper.predicted_iou, paper.stability, paper.box_nms, paper.crop_nms) == (
        0.88,
        0.95,
        0.7,
        0.7,
    )
    assert (paper.max_image_share, paper.min_area_px) == (0.95, 100)


def test_a_preset_takes_the_place_of_the_card() -> None:
    card = {"predicted_iou": 0.3, "stability": 0.0, "points_per_side": 16.0}
    assert AutomaticSettings.of(card, preset="paper") == AutomaticSettings.paper()
    theirs = inspect.signature(SamAutomaticMaskGenerator).parameters
    published = AutomaticSettings.of(card, preset="segment_anything")
    assert published == AutomaticSettings.reference(
        **{
            name: theirs[name].default
            for name in inspect.signature(AutomaticSettings.reference).parameters
        }
    )
    finer = AutomaticSettings.of(card, preset="paper", points_per_side=64)
    assert (finer.points_per_side, finer.crop_layers) == (64, 2)
    with pytest.raises(InvalidInputError, match=r"no preset 'papper' \(did you mean 'paper'\?\)"):
        AutomaticSettings.of(card, preset="papper")


def test_fast_asks_fewer_points_and_keeps_the_cards_thresholds() -> None:
    card = {"predicted_iou": 0.3, "stability": 0.0, "points_per_side": 16.0, "crop_layers": 1.0}
    chosen = AutomaticSettings.of(card, preset="fast")
    assert (chosen.predicted_iou, chosen.stability, chosen.points_per_side) == (0.3, 0.0, 16)
    assert (chosen.coarse_step, chosen.crop_layers) == (4, 0)


def test_a_fingerprint_tells_settings_apart() -> None:
    one, same = AutomaticSettings(stability=0.5), AutomaticSettings.of({"stability": 0.5})
    assert one.fingerprint == same.fingerprint
    assert one.fingerprint != AutomaticSettings(predicted_iou=0.5).fingerprint
