"""Calibration and thresholds of simulated models whose worth is known."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.quality.calibration.calibrated_model import Asked, CalibratedModel
from sam_backend.quality.calibration.fit import calibrate, stale_reasons
from sam_backend.quality.calibration.fitting import fit, reliabilities
from sam_backend.quality.calibration.judged_masks import JudgedMask, Traits
from sam_backend.quality.calibration.probability import Calibration, Reliability, traits_of
from sam_backend.quality.plots import draw_reliability
from tests.quality.calibration.calibrated import NOON, calibrated_model
from tests.semi_automatic.records import block, record


def chance(traits: np.ndarray) -> np.ndarray:
    """How likely a simulated mask is good."""
    predicted_iou, stability, log_area = traits[:, :3].T
    logits = 25 * (predicted_iou - 0.75) + 10 * (stability - 0.8) + 0.3 * (log_area + 5)
    return 1 / (1 + np.exp(-logits))


def judged(seed: int, n_images: int, worse: float = 0.0) -> list[JudgedMask]:
    """Masks of so many images; predicted IoUs may exceed 1."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_images):
        digest = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()
        for _ in range(rng.integers(4, 12)):
            traits = Traits(
                rng.uniform(0.5, 1.1), rng.uniform(0.6, 1), rng.uniform(-8, -1), rng.random(), 0.0
            )
            (likely,) = chance(np.array([[*_values(traits)]]))
            iou = 0.95 if rng.random() < likely - worse else 0.6
            found.append(JudgedMask(digest, traits, iou, 1.0, "prefill", NOON))
    return found


def _values(traits: Traits) -> tuple[float, ...]:
    return tuple(getattr(traits, name) for name in Traits.__slots__)


@pytest.fixture(scope="module")
def known() -> list[JudgedMask]:
    return judged(1, 500)


@pytest.fixture(scope="module")
def calibrated(known: list[JudgedMask]) -> CalibratedModel:
    return calibrate("model-1", known, Asked(), NOON)


def test_traits_of_a_mask() -> None:
    mask = replace(record(block(10, 20, 30, 40), 1.04, 0.9), box=(10, 20, 29, 39))
    traits = Traits.of(mask)  # on 80 x 60 pixels
    assert (traits.predicted_iou, traits.stability, traits.at_border) == (1.04, 0.9, 0)
    assert traits.log_area == pytest.approx(np.log(400 / 4800))
    assert traits.off_centre == pytest.approx(20 / 50)  # at 20, 30 of 40, 30; half diagonal 50
    assert Traits.of(replace(mask, box=(10, 20, 79, 39))).at_border == 1


def test_the_error_is_that_of_the_table() -> None:
    said = np.array([0.05, 0.95, 0.95, 1.2])
    is_good = np.array([False, True, False, True])
    found = Reliability.of(said, is_good, np.ones(4))
    # the lowest bin says 0.05 and has 0; the highest says 0.967 and has 2 of 3
    assert found.error == pytest.approx(0.25 * 0.05 + 0.75 * (2.9 / 3 - 2 / 3))
    assert found.masks == (1, 0, 0, 0, 0, 0, 0, 0, 0, 3)
    assert found.said[0] == pytest.approx(0.05)
    assert found.came_true[4] is None
    weighted = Reliability.of(said, is_good, np.array([3.0, 1, 1, 1]))
    assert weighted.error == pytest.approx(0.5 * 0.05 + 0.5 * (2.9 / 3 - 2 / 3))


def test_probabilities_are_the_true_ones(known: list[JudgedMask]) -> None:
    calibration, fresh = fit(known), traits_of(judged(2, 500))
    assert np.abs(calibration.of_many(fresh) - chance(fresh)).mean() < 0.03
    before, after = reliabilities(calibration, judged(2, 500))
    assert before.error > 0.15
    assert after.error < 0.03
    one = judged(3, 1)[0].traits
    assert calibration(one) == calibration.of_many(traits_of(judged(3, 1)))[0]
    rising = [calibration(replace(one, predicted_iou=p)) for p in np.linspace(0.3, 1.2, 30)]
    assert rising == sorted(rising)
    assert rising[0] < 0.1 < 0.9 < rising[-1]


def test_the_error_is_told_of_the_fit_that_is_used(
    known: list[JudgedMask], calibrated: CalibratedModel
) -> None:
    """Not of other fits, to other masks: each third image is fitted to, the others tell."""
    unseen = [one for one in known if int(one.image[-8:], 16) % 3]
    assert 0.6 * len(known) < len(unseen) < 0.75 * len(known)
    is_good = np.array([one.is_good for one in unseen])
    traits, ones = traits_of(unseen), np.ones(len(unseen))
    said = calibrated.calibration.of_many(traits)
    assert calibrated.after == Reliability.of(said, is_good, ones)
    assert calibrated.before == Reliability.of(traits[:, 0], is_good, ones)
    only_fitted = [one for one in known if int(one.image[-8:], 16) % 3 == 0]
    with pytest.raises(InvalidInputError, match="none is left to validate"):
        calibrate("model-1", only_fitted, Asked(), NOON)


def test_what_was_learned_is_plain_numbers(calibrated: CalibratedModel) -> None:
    told = json.loads(json.dumps(calibrated.as_json()))
    again = CalibratedModel.of(told)
    assert again.as_json() == calibrated.as_json()
    assert isinstance(again.calibration, Calibration)
    fresh = traits_of(judged(4, 5))
    assert np.array_equal(again.calibration.of_many(fresh), calibrated.calibration.of_many(fresh))


def test_the_thresholds_keep_their_promise(calibrated: CalibratedModel) -> None:
    fresh = traits_of(judged(5, 4000))
    said, likely = calibrated.calibration.of_many(fresh), chance(fresh)
    assert calibrated.accept is not None
    assert calibrated.discard is not None
    accepted, discarded = said >= calibrated.accept, said < calibrated.discard
    assert likely[accepted].mean() >= calibrated.asked.min_precision
    assert likely[discarded].sum() / likely.sum() <= calibrated.asked.max_lost
    assert accepted.mean() > 0.3
    assert discarded.mean() > 0.15
    assert "accepted from a probability of 0." in calibrated.explain_accept()
    assert "on average over images 90% of an image's accepted" in calibrated.explain_accept()
    assert (
        "on average over images at most 5% of the good masks among those that people were shown"
        in calibrated.explain_discard()
    )
    together = calibrated.accepted
    assert together is not None
    assert together.value == pytest.approx(likely[accepted].mean(), abs=0.03)
    assert f"all together, {together.value:.0%} (" in calibrated.explain_accept()


def test_nothing_proven_is_an_answer(known: list[JudgedMask]) -> None:
    few = calibrate("model-1", judged(6, 60), Asked(min_precision=0.98), NOON)
    assert few.accept is None
    assert few.more_masks is not None
    assert few.more_masks > 200
    assert "nothing is accepted; about" in few.explain_accept()
    rng = np.random.default_rng(0)
    noise = [replace(one, iou=0.95 if rng.random() < 0.5 else 0.5) for one in known]
    hopeless = calibrate("model-1", noise, Asked(), NOON)
    assert (hopeless.accept, hopeless.more_images, hopeless.more_masks) == (None, None, None)
    assert "too many of the surest are wrong" in hopeless.explain_accept()


def test_too_few_masks_are_refused_with_their_number() -> None:
    with pytest.raises(InvalidInputError, match=r"\d+ good and \d+ bad masks on \d images"):
        calibrate("model-1", judged(7, 12), Asked(), NOON)


def test_the_diagram_is_drawn(calibrated: CalibratedModel, tmp_path: Path) -> None:
    file = tmp_path / "reliability.png"
    draw_reliability(calibrated.before, calibrated.after, file)
    picture = cv2.imread(str(file))
    assert min(picture.shape[:2]) > 500
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_when_a_calibration_is_stale(calibrated: CalibratedModel, known: list[JudgedMask]) -> None:
    soon, late = NOON + timedelta(days=1), NOON + timedelta(days=91)
    assert stale_reasons(calibrated, known, soon) == []
    assert stale_reasons(calibrated, known, late) == ["it is 91 days old"]
    (doubled,) = stale_reasons(calibrated, known * 2, soon)
    assert "masks are judged by now" in doubled
    later = [replace(one, at=soon) for one in judged(8, 80)]
    assert stale_reasons(calibrated, [*known, *later], soon) == []
    drifted = [replace(one, at=soon) for one in judged(8, 80, worse=0.3)]
    (drift,) = stale_reasons(calibrated, [*known, *drifted], soon)
    assert "differs by -0." in drift


def test_thresholds_of_an_earlier_release_count_no_more(calibrated: CalibratedModel) -> None:
    told = calibrated.as_json()
    for name in ("is_over_images", "accepted"):
        del told[name]
    earlier = CalibratedModel.of(json.loads(json.dumps(told)))
    assert (earlier.accept, earlier.discard) == (None, None)
    assert earlier.calibration == calibrated.calibration
    for sentence in (earlier.explain_accept(), earlier.explain_discard()):
        assert "from an earlier release" in sentence
    (reason,) = stale_reasons(earlier, [], NOON)
    assert "prove them anew with `sam-backend quality calibrate`" in reason


def test_what_is_shown_of_no_proof() -> None:
    assert calibrated_model().more_masks == 35
    assert "about 35 more judged masks (7 images)" in calibrated_model().explain_accept()
    assert "no threshold proves that at most 5%" in calibrated_model().explain_discard()
