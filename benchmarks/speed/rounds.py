"""Interleaved rounds and their statistics."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.plan import Contestant


@dataclass(frozen=True, slots=True)
class Samples:
    """Seconds of one contestant, one a round.

    Attributes:
        seconds: In the order of the rounds.

    Raises:
        ValueError: There is no sample, or one that took no time.
    """

    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.seconds or min(self.seconds) <= 0:
            raise ValueError(f"samples must be positive seconds, not {self.seconds}")

    @property
    def median_s(self) -> float:
        """The middle one: a neighbour's burst of work moves it little."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Largest over smallest; far over 1: the machine was busy."""
        return max(self.seconds) / min(self.seconds)


def interleave(
    contestants: Sequence[Contestant],
    n_rounds: int,
    time_one: Callable[[Contestant, int], float],
) -> dict[Contestant, Samples]:
    """Time every contestant once a round; every second round runs backwards.

    Turned round, nobody always follows the same neighbour.

    Args:
        contestants: Each is warm already.
        n_rounds: Samples of each.
        time_one: Seconds of a contestant in the round of that number.
    """
    seconds: dict[Contestant, list[float]] = {one: [] for one in contestants}
    for number in range(n_rounds):
        for one in contestants if number % 2 == 0 else reversed(contestants):
            seconds[one].append(time_one(one, number))
    return {one: Samples(tuple(times)) for one, times in seconds.items()}


def ratio(samples: Mapping[Contestant, Samples], slow: Contestant, fast: Contestant) -> float:
    """How many times faster `fast` is than `slow`: of the medians, as the table shows them."""
    return samples[slow].median_s / samples[fast].median_s


def ratio_range(
    samples: Mapping[Contestant, Samples], slow: Contestant, fast: Contestant
) -> tuple[float, float]:
    """Least and most of the ratios within single rounds: how far noise may have moved `ratio`."""
    pairs = zip(samples[slow].seconds, samples[fast].seconds, strict=True)
    ratios = [slow_s / fast_s for slow_s, fast_s in pairs]
    return min(ratios), max(ratios)
