"""How far the masks of one model version may be trusted: calibration and proven thresholds.

Images are divided by their digest: a third teaches the calibration, the others prove thresholds on
what it says, for who has learned from a mask is no witness of it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import numpy as np

from sam_backend.quality.bootstrap import weighted_ratio_interval
from sam_backend.quality.calibration import (
    Calibration,
    Reliability,
    as_tuples,
    fit,
    reliabilities,
    traits_of,
)
from sam_backend.quality.judged_masks import JudgedMask, scored
from sam_backend.quality.proven_thresholds import (
    CONFIDENCE,
    accept_threshold,
    discard_threshold,
    more_images_needed,
)

TEACHERS = 3
"""Of so many images one teaches the calibration, the others are witnesses."""
MAX_AGE = timedelta(days=90)
MAX_DRIFT = 0.05
"""Of the share of good masks from what was said, before a calibration is stale."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a threshold has to prove.

    Attributes:
        min_precision: Share of accepted masks that need no correction.
        max_lost: Share of all masks that need none that may be discarded.
        confidence: With which.
    """

    min_precision: float = 0.9
    max_lost: float = 0.05
    confidence: float = CONFIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """What is known of a model version's masks.

    Attributes:
        model_version: Of the masks.
        fitted_at: When.
        masks: Judged ones that it rests on.
        images: Of them.
        sources: Masks by where they were judged.
        calibration: From traits to a probability.
        before: Reliability of the predicted IoU.
        after: Of the probability, on masks that it has not learned from.
        asked: What thresholds have to prove.
        accept: Masks of at least this probability are accepted; None: nothing can be proven, and
            nothing is accepted.
        discard: Masks of a lower one are discarded; None: nothing can be proven, and nothing is.
        more_images: Further judged images that would prove some accept threshold; None: no number
            of such images would.
    """

    model_version: str
    fitted_at: datetime
    masks: int
    images: int
    sources: dict[str, int]
    calibration: Calibration
    before: Reliability
    after: Reliability
    asked: Asked
    accept: float | None
    discard: float | None
    more_images: int | None

    @property
    def more_masks(self) -> int | None:
        """About as many masks as `more_images` have."""
        if self.more_images is None:
            return None
        return round(self.more_images * self.masks / self.images)

    def explain_accept(self) -> str:
        """The accept threshold as a sentence."""
        share, sure = f"{self.asked.min_precision:.0%}", f"{self.asked.confidence:.0%}"
        if self.accept is not None:
            return f"accepted from a probability of {self.accept:.3f}: {share} of them need no " + (
                f"correction, with {sure} confidence"
            )
        if self.more_images is None:
            rest = "no number of such masks would prove it: too many of the surest are wrong"
        else:
            rest = (
                f"about {self.more_masks} more judged masks ({self.more_images} images) like these "
                "would settle it"
            )
        return f"no threshold proves {share} with {sure} confidence: nothing is accepted; {rest}"

    def explain_discard(self) -> str:
        """The discard threshold as a sentence."""
        share = f"{self.asked.max_lost:.0%}"
        if self.discard is None:
            return f"no threshold proves that at most {share} of the good masks would be lost"
        return f"discarded under {self.discard:.3f}: at most {share} of the good masks are lost"

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {
            "fitted_at": self.fitted_at.isoformat(),
            "calibration": self.calibration.as_json(),
            "more_masks": self.more_masks,
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        values = {name: value for name, value in told.items() if name != "more_masks"}
        return cls(
            **values
            | {
                "fitted_at": datetime.fromisoformat(told["fitted_at"]),
                "calibration": Calibration.of(told["calibration"]),
                "before": Reliability(**as_tuples(told["before"])),
                "after": Reliability(**as_tuples(told["after"])),
                "asked": Asked(**told["asked"]),
            }
        )


def establish(
    model_version: str, judged: Sequence[JudgedMask], asked: Asked, now: datetime
) -> Trust:
    """Fit a calibration and prove thresholds.

    Args:
        model_version: Whose masks they are.
        judged: They; drawn whatever their worth.
        asked: What thresholds have to prove.
        now: The time.

    Raises:
        InvalidInputError: They are too few, or what is asked is out of its range.
    """
    calibration = fit([one for one in judged if _teaches(one)])
    before, after = reliabilities(judged)
    witnesses = [one for one in judged if not _teaches(one)]
    probabilities = calibration.of_many(traits_of(witnesses)) if witnesses else np.zeros(0)
    known = scored(witnesses, probabilities)
    return Trust(
        model_version=model_version,
        fitted_at=now,
        masks=len(judged),
        images=len({one.image for one in judged}),
        sources=dict(Counter(one.source for one in judged)),
        calibration=calibration,
        before=before,
        after=after,
        asked=asked,
        accept=accept_threshold(known, asked.min_precision, asked.confidence),
        discard=discard_threshold(known, asked.max_lost, asked.confidence),
        more_images=_with_teachers(
            more_images_needed(known, asked.min_precision, asked.confidence)
        ),
    )


def stale_reasons(trust: Trust, judged: Sequence[JudgedMask], now: datetime) -> list[str]:
    """Why a calibration should be made anew; none: it holds.

    Args:
        trust: In use.
        judged: All masks of its model version that are known now.
        now: The time.
    """
    reasons = []
    age = now - trust.fitted_at
    if age > MAX_AGE:
        reasons.append(f"it is {age.days} days old")
    if len(judged) >= 2 * trust.masks:
        reasons.append(f"{len(judged)} masks are judged by now, and it rests on {trust.masks}")
    later = [one for one in judged if one.at > trust.fitted_at]
    drift = _drift(trust, later)
    if drift is not None:
        reasons.append(drift)
    return reasons


def _drift(trust: Trust, later: Sequence[JudgedMask]) -> str | None:
    """How far masks judged since are better or worse than was said, where that is proven."""
    if not later:
        return None
    said = trust.calibration.of_many(traits_of(later))
    names, images = np.unique([one.image for one in later], return_inverse=True)
    weights = np.array([one.weight for one in later])
    gaps = np.array([one.is_good for one in later]) - said
    parts, wholes = (
        np.bincount(images, weights * column).astype(np.float64)
        for column in (gaps, np.ones(len(said)))
    )
    found = weighted_ratio_interval(parts, wholes, np.ones(len(names)), ["all"] * len(names))
    if found is None or (found.low <= MAX_DRIFT and found.high >= -MAX_DRIFT):
        return None
    return (
        f"of {len(later)} masks judged since, the share that needs no correction differs by "
        f"{found.value:+.2f} from what it says ({found.low:+.2f} to {found.high:+.2f})"
    )


def _teaches(one: JudgedMask) -> bool:
    return int(one.image[-8:], 16) % TEACHERS == 0


def _with_teachers(witnesses: int | None) -> int | None:
    """Images of which so many are witnesses."""
    return None if witnesses is None else -(-witnesses * TEACHERS // (TEACHERS - 1))
