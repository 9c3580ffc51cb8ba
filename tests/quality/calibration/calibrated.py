"""A model whose predicted IoU is the probability that a mask needs no correction."""

from datetime import UTC, datetime

from sam_backend.quality.calibration.calibrated_model import Asked, CalibratedModel
from sam_backend.quality.calibration.probability import Calibration, Reliability

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def calibrated_model(model_version: str = "model-1+00000000") -> CalibratedModel:
    """Nothing is proven of it."""
    nothing = (None,) * 10
    reliability = Reliability(0.0, nothing, nothing, (0,) * 10)
    same = Calibration((0.0,) * 5, (1.0,) * 5, (1.0, 0, 0, 0, 0), 0.0, (0.0, 1.0), (0.0, 1.0))
    return CalibratedModel(
        model_version=model_version,
        fitted_at=NOON,
        masks=100,
        images=20,
        sources={"prefill": 100},
        calibration=same,
        before=reliability,
        after=reliability,
        asked=Asked(),
        accept=None,
        discard=None,
        more_images=7,
        is_over_images=True,
    )
