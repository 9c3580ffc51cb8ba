"""One case from warm-up to verdict: who is timed when, and by which process."""

import sys
from collections.abc import Sequence

from benchmarks.speed.plan import REFERENCES, Case, Contestant
from benchmarks.speed.player import Player
from benchmarks.speed.results import Finding
from benchmarks.speed.rounds import interleave


def compete(
    case: Case, ours: Sequence[Contestant], players: dict[str, Player], n_rounds: int
) -> list[Finding]:
    """Measure a case.

    Args:
        case: What is measured.
        ours: Our contestants; the reference takes part under both allocators.
        players: The processes by allocator; only one is asked at a time.
        n_rounds: Samples of each.
    """
    everybody = (*REFERENCES, *ours)
    for player in players.values():
        player.call("open", **case.as_arguments())
    first_s: dict[Contestant, float] = {}
    for one in everybody:
        tell(f"{case.path} {case.model}: {one.name} warms up")
        first_s[one] = players[one.allocator].call("warm", **_who(one))

    def time_one(one: Contestant, number: int) -> float:
        seconds: float = players[one.allocator].call("run", **_who(one), number=number)
        tell(f"{case.path} {case.model}: round {number + 1}, {one.name}: {seconds:.4g} s")
        return seconds

    samples = interleave(everybody, n_rounds, time_one)
    findings = []
    for one in ours:
        told = players[one.allocator].call("judge", dtype=one.dtype, compiled=one.compiled)
        tell(f"{case.path} {case.model}: {one.name}: {told}")
        findings.append(
            Finding(
                case=case,
                contestant=one,
                samples=samples,
                equal=told["equal"],
                faults=told["faults"],
                figures=told["figures"],
                first_call_s=first_s[one],
            )
        )
    return findings


def _who(one: Contestant) -> dict[str, object]:
    return {"side": one.side, "dtype": one.dtype, "compiled": one.compiled}


def tell(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr, flush=True)
