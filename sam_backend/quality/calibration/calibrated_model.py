"""A calibrated model version: probabilities of its masks, and thresholds that are proven."""

from dataclasses import asdict, astuple, dataclass
from datetime import datetime
from typing import Any, Self

from sam_backend.metrics.intervals import Interval
from sam_backend.quality.calibration.probability import Calibration, Reliability, as_tuples

PROVEN_OTHERWISE = (
    "its thresholds are from an earlier release, whose bound one image with many wrong masks could "
    "break; prove them anew with `sam-backend quality calibrate`"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a threshold has to prove.

    Attributes:
        min_precision: Share of an image's accepted masks that need no correction, on average over
            images.
        max_lost: Share of an image's masks that need none that may be discarded, likewise.
        confidence: With which.
    """

    min_precision: float = 0.9
    max_lost: float = 0.05
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class CalibratedModel:
    """What is known of a model version's masks.

    Attributes:
        model_version: Version of the model that made the masks.
        fitted_at: When.
        masks: Judged ones that it rests on.
        images: Number of their images.
        sources: Masks by where they were judged.
        calibration: From traits to a probability.
        before: Reliability of the predicted IoU, on masks that the calibration was not fitted to.
        after: Calibration error of its probability, on the same masks.
        asked: What thresholds have to prove.
        accept: Masks of at least this probability are accepted; None: nothing can be proven, and
            nothing is accepted.
        discard: Masks of a lower one are discarded; None: nothing can be proven, and nothing is.
        more_images: Further judged images that would prove some accept threshold; None: no number
            of such images would.
        accepted: Share of the judged masks over the accept threshold that need no correction, all
            counted together; None: nothing is accepted, or there are too few.
        is_over_images: The thresholds are proven as means over images. Those of earlier releases
            are not: their bound could be broken by one image with many wrong masks.
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
    accepted: Interval | None = None
    is_over_images: bool = False

    @property
    def more_masks(self) -> int | None:
        """About as many masks as `more_images` have."""
        if self.more_images is None:
            return None
        return round(self.more_images * self.masks / self.images)

    def explain_accept(self) -> str:
        """The accept threshold as a sentence."""
        if not self.is_over_images:
            return f"nothing is accepted: {PROVEN_OTHERWISE}"
        share, sure = f"{self.asked.min_precision:.0%}", f"{self.asked.confidence:.0%}"
        if self.accept is not None:
            told = (
                f"accepted from a probability of {self.accept:.3f}: on average over images {share} "
                f"of an image's accepted masks need no correction, with {sure} confidence"
            )
            if self.accepted is not None:
                value, low, high = astuple(self.accepted)
                told += f"; of those judged, all together, {value:.0%} ({low:.0%} to {high:.0%})"
            return told
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
        if not self.is_over_images:
            return f"nothing is discarded: {PROVEN_OTHERWISE}"
        share = f"{self.asked.max_lost:.0%}"
        if self.discard is None:
            return f"no threshold proves that at most {share} of the good masks would be lost"
        return (
            f"discarded under a probability of {self.discard:.3f}: on average over images at most "
            f"{share} of the good masks among those that people were shown are lost"
        )

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self) | {
            "fitted_at": self.fitted_at.isoformat(),
            "calibration": self.calibration.as_json(),
            "more_masks": self.more_masks,
        }

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave; thresholds of an earlier release prove nothing and are dropped."""
        values = {name: value for name, value in told.items() if name != "more_masks"}
        proven = {} if told.get("is_over_images") else {"accept": None, "discard": None}
        return cls(
            **values
            | proven
            | {
                "fitted_at": datetime.fromisoformat(told["fitted_at"]),
                "calibration": Calibration.of(told["calibration"]),
                "before": Reliability(**as_tuples(told["before"])),
                "after": Reliability(**as_tuples(told["after"])),
                "asked": Asked(**told["asked"]),
                "accepted": Interval(**accepted) if (accepted := told.get("accepted")) else None,
            }
        )
