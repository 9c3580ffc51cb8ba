"""Accepting or rejecting a lot by a sample of its images: a plan that is stated before one looks.

The unit is the image, for a person looks at whole images: one is defective if too few of its masks
are right. A lot is accepted where the sample proves that fewer images than the plan allows are
defective.

The plan is sequential, as in ISO 28591: the sample may grow, and the lot may be looked at as often
as one likes. For each number of defective images there is a number of images after which the lot is
accepted (`LotTest.images_needed`), and for each number of images a number of defective ones that
rejects it. All of these together, not each of them, err with the probability that the plan allows,
whatever makes people stop or go on. Lots are finite, and the probabilities are exact.
"""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

import numpy as np

from sam_backend.errors import InvalidInputError

CONFIDENCE = 0.95
RELAXED_AFTER = 2
"""Accepted lots in a row after which less is asked."""
FIRST_SHARE = 0.8
"""Of the probability to accept a bad lot, what is spent on a sample without a defect.

It keeps the first sample small: 106 images where a plan for a single look has 99. Each further
acceptance number k adds to what is spent, up to 1 - (1 - FIRST_SHARE) / (k + 1) of it.
"""
_ROUNDING = 1e-12


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
        min_share: Least share of an image's masks that must be right, or it is defective.
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

    def for_lot(self, n_images: int) -> "LotTest":
        """The plan's numbers for a lot of so many images.

        Raises:
            InvalidInputError: The lot has no image.
        """
        return LotTest(n_images, self.max_defects, self.confidence)

    def as_json(self) -> dict[str, Any]:
        """All of it, for people and scripts."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        values = {name: told[name] for name in ("min_share", "iou", "max_defects", "confidence")}
        return cls(**values, severity=Severity(told["severity"]))


@dataclass(frozen=True, slots=True)
class LotTest:
    """A sequential test of a finite lot, whose images are drawn at random without replacement.

    The boundaries are found by the recursion of Armitage, McPherson and Rowe ("Repeated
    significance tests on accumulating data", 1969) with hypergeometric steps; how the error
    probability is shared among them follows Lan and DeMets ("Discrete sequential boundaries for
    clinical trials", 1983).

    Attributes:
        n_lot: Images of the lot.
        max_defects: Share of defective images from which on the lot is bad.
        confidence: A bad lot is accepted with at most the rest of it, over all looks together; a
            good one is rejected with at most as much.

    Raises:
        InvalidInputError: The lot has no image.
    """

    n_lot: int
    max_defects: float
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        if self.n_lot < 1:
            raise InvalidInputError("a lot without an image cannot be judged")

    @property
    def n_bad(self) -> int:
        """The least number of defective images that makes the lot a bad one."""
        return max(1, math.ceil(self.max_defects * self.n_lot - _ROUNDING))

    @property
    def clean_images(self) -> int:
        """Images that prove the plan if none of them is defective."""
        return self.images_needed(0)

    def images_needed(self, defective: int) -> int:
        """Images after which the lot is accepted with so many defective ones among them.

        Args:
            defective: Fewer than `n_bad`: with as many, no sample proves the lot to be good.

        Raises:
            InvalidInputError: There are as many as `n_bad`, or more.
        """
        if defective >= self.n_bad:
            raise InvalidInputError(
                f"a lot of {self.n_lot} images with {defective} defective ones is not accepted"
            )
        return self.accepting_sizes(defective)[defective]

    def accepting_sizes(self, most_defects: int) -> tuple[int, ...]:
        """`images_needed` with 0, 1, … defective images, up to `most_defects` or `n_bad` - 1."""
        most = min(most_defects, self.n_bad - 1)
        return _accepting_sizes(self.n_lot, self.n_bad, self._risk, most, self.n_lot)

    def verdict(self, defective: int, drawn: int, unseen: int = 0) -> Verdict:
        """What a sample says.

        Args:
            defective: Defective images that were found in it.
            drawn: Images of the sample.
            unseen: Those of them that nobody has judged yet. They count as defective before a lot
                is accepted, and as clean before it is rejected: who looks last may leave out the
                hard ones, or the easy ones.
        """
        if self._accepts(defective + unseen, drawn, self.n_bad):
            return Verdict.ACCEPT
        is_above = defective * self.n_lot >= self.n_bad * drawn > 0
        if is_above and defective >= self._rejecting(drawn):
            return Verdict.REJECT
        return Verdict.CONTINUE

    def proven_share(self, defective: int, drawn: int, unseen: int = 0) -> float:
        """Share of defective images that the lot has at most, as far as a sample proves it.

        It holds with the test's confidence at all looks together. 1.0: nothing is proven.
        """
        low, high = defective + unseen, self.n_lot + 1  # proven to be fewer than `high`
        while high - low > 1:
            middle = (low + high) // 2
            if self._accepts(defective + unseen, drawn, middle):
                high = middle
            else:
                low = middle
        return (high - 1) / self.n_lot

    @property
    def _risk(self) -> float:
        return 1 - self.confidence

    def _accepts(self, defective: int, drawn: int, n_bad: int) -> bool:
        """Whether a sample proves that fewer than `n_bad` images of the lot are defective."""
        if defective >= n_bad or defective * self.n_lot >= n_bad * drawn:
            return False  # at the bound, at least half of all samples have as few defects
        sizes = _accepting_sizes(self.n_lot, n_bad, self._risk, defective, _rounded_up(drawn))
        return len(sizes) > defective and sizes[defective] <= drawn

    def _rejecting(self, drawn: int) -> int:
        planned, most = self.clean_images, _rounded_up(drawn)
        return _rejecting_numbers(self.n_lot, self.n_bad - 1, self._risk, planned, most)[drawn]


def _rounded_up(n_images: int) -> int:
    """The next power of two: few different numbers reach the caches below."""
    return 1 << max(n_images - 1, 0).bit_length()


@lru_cache(maxsize=1024)
def _accepting_sizes(
    n_lot: int, n_bad: int, risk: float, most_defects: int, most_images: int
) -> tuple[int, ...]:
    """Images after which a lot is accepted with 0, 1, … `most_defects` defective ones.

    Shorter where that takes more than `most_images`.
    """
    defects = np.arange(most_defects + 1)
    alive = np.zeros(most_defects + 1)  # probability to have so many defects, and no acceptance yet
    alive[0] = 1.0
    sizes: list[int] = []
    spent = 0.0
    for n in range(min(most_images, n_lot)):
        is_defective = alive * np.clip((n_bad - defects) / (n_lot - n), 0.0, 1.0)
        alive -= is_defective
        alive[1:] += is_defective[:-1]
        while (k := len(sizes)) <= most_defects:
            accepted = float(alive[: k + 1].sum())
            if spent + accepted > risk * (1 - (1 - FIRST_SHARE) / (k + 1)) + _ROUNDING:
                break
            spent += accepted
            alive[: k + 1] = 0.0
            sizes.append(n + 1)
        if len(sizes) > most_defects:
            break
    return tuple(sizes)


@lru_cache(maxsize=1024)
def _rejecting_numbers(
    n_lot: int, n_good: int, risk: float, planned: int, most_images: int
) -> tuple[int, ...]:
    """Defective images that reject a lot after 0, 1, … `most_images` images.

    A fifth of the risk may be spent on samples smaller than planned, half of it on the planned
    size, the rest on larger ones. `n_good` defective images are the most of a good lot.
    """
    alive, spent = np.array([1.0]), 0.0  # by defective images: 0, … one less than reject
    numbers = [1]
    for n in range(min(most_images, n_lot)):
        is_defective = alive * np.clip((n_good - np.arange(len(alive))) / (n_lot - n), 0.0, 1.0)
        alive = np.append(alive - is_defective, 0.0)
        alive[1:] += is_defective
        size = n + 1
        share = 0.2 * size / planned if size < planned else 1 - 0.3 * planned / size
        while spent + alive[-1] <= risk * share + _ROUNDING:
            spent += float(alive[-1])
            alive = alive[:-1]
        numbers.append(len(alive))
    return tuple(numbers)


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
