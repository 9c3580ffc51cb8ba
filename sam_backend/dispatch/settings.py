"""How queues are kept."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """How queues are kept.

    Attributes:
        horizon_s: A queue holds so many expected seconds of work.
        lease_s: What somebody holds goes back after so long, if they are not there.
        absent_after_s: Somebody who was not seen for so long is not there.
        gold_per_hundred: Gold tasks for a hundred others, in each queue.
        keep: Tasks at the head of a queue that do not move: they may be open in the page.
        skills_field: Field of a task's data with the skills that it asks for: a list, or a text
            with commas.
        language_field: Field with its language.
    """

    horizon_s: float = 1800.0
    lease_s: float = 4 * 3600.0
    absent_after_s: float = 1800.0
    gold_per_hundred: float = 5.0
    keep: int = 1
    skills_field: str = "skills"
    language_field: str = "language"
