"""What came out of a retraining, as its job keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sam_backend.datasets.left_out import LeftOut
from sam_backend.metrics.gate import Comparison


@dataclass(frozen=True, slots=True)
class RetrainingResult:
    """The outcome of a retraining.

    Attributes:
        version: Version of the challenger.
        parent: Version that it was trained from.
        promoted: Whether it has become the champion.
        reasons: Why, as sentences.
        comparisons: The figures of both models that the gate compared.
        folder: Folder of the challenger in the model store.
        left_out: What was neither learned from nor judged on.
    """

    version: str
    parent: str | None
    promoted: bool
    reasons: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    folder: str
    left_out: LeftOut

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return the result that a job of this release or an earlier one has kept."""
        return cls(
            version=told.get("version", ""),
            parent=told.get("parent"),
            promoted=bool(told.get("promoted")),
            reasons=tuple(told.get("reasons", ())),
            comparisons=tuple(map(Comparison.of, told.get("comparisons", ()))),
            folder=told.get("folder", ""),
            left_out=LeftOut.from_json(told.get("left_out", told.get("left out"))),
        )
