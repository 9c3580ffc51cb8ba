"""A gate between two stages: a figure, a bar, and what is missing where it is not passed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Figure(StrEnum):
    """What gates look at; the name is shown to people."""

    MODEL_IOU = "model's IoU after 3 clicks"
    PEOPLE_IOU = "people's IoU on gold"
    RETRAININGS = "retrainings promoted"
    PACE_GAIN = "fall of seconds a mask"
    KEPT = "prefilled masks kept"
    ACCEPT_PROVEN = "accept threshold proven"
    CALIBRATION_ERROR = "calibration error"
    MASKS_GAIN = "rise of masks an image"
    REJECTED_LOTS = "lots rejected in a row"
    CALIBRATION_DRIFT = "calibration contradicted"


SOURCES: Mapping[Figure, str] = {
    Figure.MODEL_IOU: "a retraining that was promoted measures it on held-out or gold images",
    Figure.PEOPLE_IOU: "`sam-backend gold score` measures it, once people have met gold",
    Figure.RETRAININGS: "`sam-backend train` or the button, and the gate of the challenger",
    Figure.PACE_GAIN: "it shows once enough annotations have their time",
    Figure.KEPT: "`sam-backend prefill report` compares what was submitted with what was shown",
    Figure.ACCEPT_PROVEN: "`sam-backend quality calibrate` proves it on judged masks",
    Figure.CALIBRATION_ERROR: "`sam-backend quality calibrate` measures it",
    Figure.MASKS_GAIN: "it shows once enough annotations are there",
    Figure.REJECTED_LOTS: "`sam-backend review report` judges a lot",
    Figure.CALIBRATION_DRIFT: "`sam-backend quality report` looks at masks judged since",
}
"""What has to happen for a figure to be known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A figure as it stands.

    Attributes:
        value: As measured.
        low: Lower end of its 95 % interval; of what is counted the value itself.
        high: Upper end.
        n: Witnesses: images, annotations, lots.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def counted(cls, value: float, n: int) -> Self:
        """Of something that has no interval."""
        return cls(value, value, value, n)


@dataclass(frozen=True, slots=True)
class Gate:
    """What must be proven before a stage is left.

    The whole interval has to be on the right side, so that chance opens no gate; and as a gate down
    has another bar than the one up, a project does not swing between two stages.

    Attributes:
        figure: That it looks at.
        bar: Which the figure has to reach.
        is_least: The figure must be at least `bar`; else at most.
        min_n: Witnesses at the least.
    """

    figure: Figure
    bar: float
    is_least: bool = True
    min_n: int = 1

    def check(self, reading: Reading | None) -> "Checked":
        """How the figure stands to the bar; None: it is not known."""
        if reading is None:
            return Checked(self, None, False, f"not known yet: {SOURCES[self.figure]}")
        if reading.n < self.min_n:
            missing = f"rests on {reading.n}, and {self.min_n} are asked"
            return Checked(self, reading, False, missing)
        end = reading.low if self.is_least else reading.high
        passes = end >= self.bar if self.is_least else end <= self.bar
        if passes:
            return Checked(self, reading, True, "")
        side = "lower" if self.is_least else "upper"
        told = f"{end:.3g}" if reading.low == reading.high else f"the {side} bound is {end:.3g}"
        return Checked(self, reading, False, f"{told}, {self.asked}")

    @property
    def asked(self) -> str:
        """The bar in words."""
        return f"{'at least' if self.is_least else 'at most'} {self.bar:g} is asked"


@dataclass(frozen=True, slots=True)
class Checked:
    """A gate and what was read.

    Attributes:
        gate: It.
        reading: None: not known.
        passes: The bar is reached.
        missing: What it takes; empty where it passes.
    """

    gate: Gate
    reading: Reading | None
    passes: bool
    missing: str
