"""Learning a calibration from judged masks, and seeing how true it speaks.

A logistic regression puts what is known of a mask into one number, and an isotonic regression
(Zadrozny and Elkan, KDD 2002) says which share of the masks with such a number was good; it sees
numbers of masks that the first one has not learned from, image by image.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.quality.calibration.judged_masks import JudgedMask
from sam_backend.quality.calibration.probability import Calibration, Floats, Reliability, traits_of

N_FOLDS = 5
MIN_IMAGES, MIN_OF_A_KIND = 10, 20
"""Each fold needs images, and a regression some masks of either kind."""


def fit(judged: Sequence[JudgedMask]) -> Calibration:
    """Learn from judged masks.

    Raises:
        InvalidInputError: They are too few, or all good or all bad.
    """
    _, images, is_good, _ = _columns(judged)
    n_images, n_good = len(np.unique(images)), int(is_good.sum())
    if n_images < MIN_IMAGES or min(n_good, len(judged) - n_good) < MIN_OF_A_KIND:
        raise InvalidInputError(
            f"{n_good} good and {len(judged) - n_good} bad masks on {n_images} images are too few "
            f"to calibrate: at least {MIN_OF_A_KIND} of each kind and {MIN_IMAGES} images"
        )
    return _fit(*_columns(judged))


def reliabilities(
    calibration: Calibration, unseen: Sequence[JudgedMask]
) -> tuple[Reliability, Reliability]:
    """Compare what is said of masks with what came true.

    Args:
        calibration: That is used.
        unseen: Judged masks that it has not learned from, at least one.

    Returns:
        Of the predicted IoU as it is, and of the calibrated probability.
    """
    traits, _, is_good, weights = _columns(unseen)
    before = Reliability.of(traits[:, 0], is_good, weights)
    return before, Reliability.of(calibration.of_many(traits), is_good, weights)


def _columns(
    judged: Sequence[JudgedMask],
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.bool_], Floats]:
    """Traits, images, worth and weights."""
    _, images = np.unique([one.image for one in judged], return_inverse=True)
    return (
        traits_of(judged),
        images.astype(np.int64),
        np.array([one.is_good for one in judged], np.bool_),
        np.array([one.weight for one in judged], np.float64),
    )


def _fit(
    traits: Floats,
    images: npt.NDArray[np.int64],
    is_good: npt.NDArray[np.bool_],
    weights: Floats,
) -> Calibration:
    # Not at the top: scikit-learn takes most of a second to import, and servers rarely fit.
    from sklearn.isotonic import IsotonicRegression
    from sklearn.model_selection import GroupKFold

    means, scales = traits.mean(axis=0), traits.std(axis=0)
    scales[scales == 0] = 1.0
    standard = (traits - means) / scales
    unseen = np.zeros(len(traits))
    for learned, rest in GroupKFold(N_FOLDS).split(standard, is_good, images):
        unseen[rest] = _sums(standard[rest], *_line(standard, is_good, weights, learned))
    line = _line(standard, is_good, weights, np.arange(len(traits)))
    steps = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    steps.fit(unseen, is_good, sample_weight=weights)
    return Calibration(
        means=tuple(means.tolist()),
        scales=tuple(scales.tolist()),
        weights=tuple(line[0].tolist()),
        bias=line[1],
        knots=tuple(steps.X_thresholds_.tolist()),
        probabilities=tuple(steps.y_thresholds_.tolist()),
    )


def _line(
    standard: Floats,
    is_good: npt.NDArray[np.bool_],
    weights: Floats,
    learned: npt.NDArray[np.int64],
) -> tuple[Floats, float]:
    """Weights and bias of a logistic regression; of one kind only, its constant."""
    from sklearn.linear_model import LogisticRegression

    if is_good[learned].all() or not is_good[learned].any():
        return np.zeros(standard.shape[1]), 10.0 if is_good[learned].any() else -10.0
    model = LogisticRegression().fit(standard[learned], is_good[learned], weights[learned])
    return model.coef_[0], float(model.intercept_[0])


def _sums(standard: Floats, weights: Floats, bias: float) -> Floats:
    return standard @ weights + bias
