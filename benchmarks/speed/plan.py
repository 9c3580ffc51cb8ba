"""What is measured: the paths, the cases and who takes part."""

from dataclasses import asdict, dataclass
from typing import Literal

Path = Literal["first_click", "later_click", "amg", "postprocess"]
Side = Literal["reference", "ours"]
Allocator = Literal["default", "tuned"]

PATHS: tuple[Path, ...] = ("first_click", "later_click", "amg", "postprocess")
IMAGE_SIZE = (1200, 1800)


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison.

    Attributes:
        path: What people wait for.
        model: `starter`, or a family that gets random weights: `vit_b`, `vit_l`, `vit_h`.
        image_size: (height, width) of the photo in pixels.
        points_per_side: Of the automatic generator's grid.
    """

    path: Path
    model: str
    image_size: tuple[int, int] = IMAGE_SIZE
    points_per_side: int = 32

    def as_arguments(self) -> dict[str, object]:
        """For `Stage.open`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who is timed.

    Attributes:
        side: `segment_anything`, or this package.
        allocator: Of its process; ours is measured as our launcher starts it.
        dtype: Of our network's arithmetic; the reference has float32 only.
        compiled: With `torch.compile`.
    """

    side: Side
    allocator: Allocator = "tuned"
    dtype: str = "float32"
    compiled: bool = False

    @property
    def name(self) -> str:
        """As tables call it."""
        if self.side == "reference":
            return f"reference, {self.allocator} allocator"
        return f"ours, {self.label}"

    @property
    def label(self) -> str:
        """The row's `dtype`."""
        return f"{self.dtype}, compiled" if self.compiled else self.dtype


REFERENCES = (Contestant("reference", "default"), Contestant("reference", "tuned"))
