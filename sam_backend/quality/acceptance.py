"""Accepting or rejecting a lot by a sample of its images: a plan that is stated before one looks.

The unit is the image, for a person looks at whole images: one is defective if too few of its masks
are right. A lot is accepted where the sample proves that fewer images than the plan allows are
defective; without a defect among them, 29, 59 and 299 images prove less than 10, 5 and 1 % with
95 % confidence.
"""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from scipy import stats

from sam_backend.errors import InvalidInputError

CONFIDENCE = 0.95
RELAXED_AFTER = 2
"""Accepted lots in a row after which less is asked."""


class Severity(StrEnum):
    """How much is asked of the next lot, as in the switching rules of ISO 2859-1, clause 9."""

    RELAXED = "relaxed"
    NORMAL = "normal"
    TIGHTENED = "tightened"


MAX_DEFECTS = {Severity.RELAXED: 0.2, Severity.NORMAL: 0.1, Severity.TIGHTENED: 0.05}
"""Share of defective images that a sample must rule out."""


class Verdict(StrEnum):
    """What becomes of a lot."""

    ACCEPT = "accept"
    REJECT = "reject"
    CONTINUE = "continue sampling"


@dataclass(frozen=True, slots=True)
class AcceptancePlan:
    """What a lot has to prove.

    Attributes:
        min_share: Of an image's masks, so many must be right, or the image is defective.
        iou: Masks are right that a person changed so little that they have at least this IoU.
        max_defects: Share of defective images that must be ruled out.
        confidence: With which.
        severity: How the allowed share came about.

    Raises:
        InvalidInputError: A value is out of its range.
    """

    min_share: float = 0.97
    iou: float = 0.75
    max_defects: float = MAX_DEFECTS[Severity.NORMAL]
    confidence: float = CONFIDENCE
    severity: Severity = Severity.NORMAL

    def __post_init__(self) -> None:
        for name in ("min_share", "iou", "max_defects", "confidence"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InvalidInputError(f"{name} must lie between 0 and 1, not {value}")

    @property
    def clean_images(self) -> int:
        """Images that prove the plan if none of them is defective."""
        return clean_images_needed(self.max_defects, self.confidence)

    def verdict(self, defective: float, n_images: float, is_complete: bool = True) -> Verdict:
        """What a sample says.

        Args:
            defective: Estimated number of defective images of the sample; no whole number where
                images were drawn with different probabilities.
            n_images: Effective size of the sample, likewise.
            is_complete: All sampled images have been looked at; an incomplete sample can reject,
                but not accept: who looks last may leave out the hard ones.
        """
        low, high = defect_bounds(defective, n_images, self.confidence)
        if low > self.max_defects:
            return Verdict.REJECT
        return Verdict.ACCEPT if high < self.max_defects and is_complete else Verdict.CONTINUE

    def as_json(self) -> dict[str, Any]:
        """All of it, for people and scripts."""
        return asdict(self) | {"clean images that prove it": self.clean_images}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        values = {name: told[name] for name in ("min_share", "iou", "max_defects", "confidence")}
        return cls(**values, severity=Severity(told["severity"]))


def clean_images_needed(max_defects: float, confidence: float = CONFIDENCE) -> int:
    """Images without a defect that prove that fewer than this share are defective.

    The least n with (1 - max_defects)^n <= 1 - confidence.
    """
    return math.ceil(math.log(1 - confidence) / math.log(1 - max_defects))


def defect_bounds(
    defective: float, n_images: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """One-sided bounds of the share of defective images (Clopper and Pearson, 1934).

    With an effective sample size the numbers are no whole ones: Korn and Graubard, "Confidence
    intervals for proportions with small expected number of positive counts estimated from survey
    data" (Survey Methodology, 1998).

    Args:
        defective: Of the images.
        n_images: In the sample.
        confidence: Of each bound by itself.
    """
    if n_images <= 0:
        return 0.0, 1.0
    good = n_images - defective
    tail = 1 - confidence
    low = stats.beta.ppf(tail, defective, good + 1) if defective > 0 else 0.0
    high = stats.beta.ppf(1 - tail, defective + 1, good) if good > 0 else 1.0
    return float(low), float(high)


def next_severity(verdicts: list[Verdict]) -> Severity:
    """What is asked of a lot after those before it, oldest first.

    A rejected lot tightens until two in a row are accepted; two accepted ones in a row relax until
    one is rejected. Lots that were never decided count as neither.
    """
    severity, accepted = Severity.NORMAL, 0
    for verdict in verdicts:
        if verdict is Verdict.REJECT:
            severity, accepted = Severity.TIGHTENED, 0
        elif verdict is Verdict.ACCEPT:
            accepted += 1
            if accepted >= RELAXED_AFTER:
                was_tightened = severity is Severity.TIGHTENED
                severity = Severity.NORMAL if was_tightened else Severity.RELAXED
                accepted = 0 if was_tightened else accepted
    return severity
