"""How far a piece of work is: what jobs tell the queue, and commands show on stderr."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work is; a figure that is None is not known, or makes no sense here.

    Attributes:
        stage: What is being done, in words.
        done: Number of steps, images or tasks that are done.
        of: Number of all of them; None: not known, or only the time counts.
        elapsed_s: Time spent in this stage, over all starts.
        eta_s: Time left at the speed so far.
        masks: Number of masks that were found, read or shown.
        images_per_second: Images at the speed so far.
        masks_per_second: Masks at the speed so far.
        loss: Training: mean loss of the steps since the last report.
        click_iou: Training: mean IoU after a lone click, likewise.
        box_iou: Training: mean IoU after a lone box, likewise.
        last_iou: Training: mean IoU after the last click of a session, likewise.
        held_out: Training: the last held-out score.
    """

    stage: str
    done: int
    of: int | None = None
    elapsed_s: float | None = None
    eta_s: float | None = None
    masks: int | None = None
    images_per_second: float | None = None
    masks_per_second: float | None = None
    loss: float | None = None
    click_iou: float | None = None
    box_iou: float | None = None
    last_iou: float | None = None
    held_out: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what is known, as the queue keeps it; numbers with four digits."""
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self | None:
        """Return what `as_json` gave; None where nothing was told yet."""
        names = {one.name for one in fields(cls)} & told.keys()
        return cls(**{name: told[name] for name in names}) if {"stage", "done"} <= names else None
