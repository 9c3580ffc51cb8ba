"""How a detector is trained."""

from dataclasses import asdict, dataclass

from sam_backend.errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorPlan:
    """Settings of a training.

    Attributes:
        network: See `network.build`.
        side_px: Long side of the images that it sees.
        steps: Optimiser steps.
        batch: Images of a step.
        learning_rate: At its highest, of SGD with momentum 0.9 (Ren et al. 2015, section 3.1.3);
            it rises over the first twentieth of the steps and falls by a cosine.
        seed: Seed of order, mirroring and first weights.

    Raises:
        InvalidInputError: A value is out of its range.
    """

    network: str = "mobilenet"
    side_px: int = 512
    steps: int = 3000
    batch: int = 4
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < 10:
            raise InvalidInputError(f"the learning rate cannot be {self.learning_rate}")

    def as_json(self) -> dict[str, object]:
        """All settings by name."""
        return asdict(self)
