"""How fast people are, and how much there is to do on a task, from what they have submitted."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from sam_backend.store.revisions import Revision

FIRST_SECONDS_A_MASK = 34.0
"""Before anybody has labelled: how stage 1 began (arXiv 2304.02643, section 4)."""
FIRST_MASKS_A_TASK = 20.0
"""Likewise: 20 masks an image."""
_SPAN = 20  # observations that a moving average mostly rests on
_PRIOR_WEIGHT = 3  # observations that what others need counts for
_MOST_TIMES = 5.0  # somebody who went for lunch with a task open
_MIN_TASKS = 5  # before what was shown tells what will be submitted


@dataclass(frozen=True, slots=True)
class Throughput:
    """What is known of people's speed and of tasks.

    Attributes:
        seconds_a_mask: Moving averages by user id.
        usual_seconds_a_mask: Seconds a mask of somebody who is not known yet.
        masks_a_task: Number of masks of a task that was not prefilled.
        masks_a_shown: Submitted masks for each one that was shown, on prefilled tasks.
    """

    seconds_a_mask: Mapping[str, float]
    usual_seconds_a_mask: float
    masks_a_task: float
    masks_a_shown: float

    def seconds_of(self, person: str) -> float:
        """Of one mask, by this person."""
        return self.seconds_a_mask.get(person, self.usual_seconds_a_mask)

    def masks_of(self, shown: int | None) -> float:
        """Expected of a task; `shown`: masks it was prefilled with, None without."""
        if shown is None:
            return self.masks_a_task
        return max(1.0, shown * self.masks_a_shown)


def throughput_of(annotations: Iterable[Revision], shown: Mapping[int, int]) -> Throughput:
    """What submitted annotations tell.

    Args:
        annotations: Their newest revisions, in any order.
        shown: Masks that a prefilled task had, by task.
    """
    done = [one for one in annotations if not one.is_skipped and one.author is not None]
    done.sort(key=lambda one: (one.made_at or one.stamp, one.number))
    by_person: dict[str, list[float]] = defaultdict(list)
    for one in done:
        if one.lead_time_s is not None:
            by_person[str(one.author)].append(one.lead_time_s / max(1, one.regions))
    told = [seconds for some in by_person.values() for seconds in some]
    usual = median(told) if told else FIRST_SECONDS_A_MASK
    averages = {person: _average(some, usual) for person, some in by_person.items()}
    plain = [one.regions for one in done if one.task not in shown]
    ratios = [(one.regions, shown[one.task]) for one in done if one.task and shown.get(one.task)]
    submitted, seen = sum(ours for ours, _ in ratios), sum(theirs for _, theirs in ratios)
    return Throughput(
        averages,
        usual,
        max(1.0, sum(plain) / len(plain)) if plain else FIRST_MASKS_A_TASK,
        submitted / seen if len(ratios) >= _MIN_TASKS and submitted else 1.0,
    )


def _average(observed: Sequence[float], usual: float) -> float:
    """Exponential moving average that begins with what others need."""
    average = usual
    for count, seconds in enumerate(observed, 1):
        average = moved(average, seconds, count)
    return average


def moved(average: float, seconds: float, count: int) -> float:
    """The average after the next observation, the `count`th one."""
    weight = max(2 / (_SPAN + 1), 1 / (count + _PRIOR_WEIGHT))
    return average + weight * (min(seconds, _MOST_TIMES * average) - average)
