"""The rows that a run leaves behind: as JSON for programs, as a table for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.speed.plan import REFERENCES, Case, Contestant
from benchmarks.speed.rounds import Samples, ratio

COLUMNS = (
    "path",
    "model",
    "dtype",
    "reference, default",
    "reference, tuned",
    "ours",
    "ratio to default",
    "ratio to tuned",
    "goal",
    "equal",
)

GOALS: Mapping[tuple[str, str, str], tuple[float, ...]] = {
    ("first_click", "cpu", "float32"): (2, 1.1),
    ("first_click", "cpu", "bfloat16"): (4.5, 2.5),
    ("first_click", "cuda", "float32"): (1.3,),
    ("first_click", "cuda", "bfloat16"): (3,),
    ("later_click", "cpu", "float32"): (2.5, 2),
    ("later_click", "cpu", "bfloat16"): (5, 4),
    ("later_click", "cuda", "float32"): (2,),
    ("later_click", "cuda", "bfloat16"): (3,),
    ("amg", "cpu", "float32"): (4, 3),
    ("amg", "cpu", "bfloat16"): (9, 7),
    ("amg", "cuda", "float32"): (5,),
    ("amg", "cuda", "bfloat16"): (15,),
    ("postprocess", "cpu", "float32"): (40,),
    ("postprocess", "cpu", "bfloat16"): (40,),
    ("postprocess", "cuda", "float32"): (20,),
    ("postprocess", "cuda", "bfloat16"): (20,),
}
"""Of issue 4 for ViT-B: ratio to the reference under the default allocator, and the tuned one."""
VIT_H_AMG_GOAL = (12.0,)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; the fields are those of issue 4.

    Attributes:
        path: What people wait for.
        model: Network.
        device: Where.
        dtype: Of our arithmetic.
        ratio_default: The reference's median seconds over ours; it under the default allocator.
        ratio_tuned: The same with the reference under the tuned allocator.
        equal: Whether the masks are the same by the rules for this dtype.
        reference_s: The reference's median seconds under the default allocator.
        ours_s: Our median seconds, under the tuned allocator that our launcher sets.
    """

    path: str
    model: str
    device: str
    dtype: str
    ratio_default: float
    ratio_tuned: float
    equal: bool
    reference_s: float
    ours_s: float


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured of one contestant of ours, with what stands behind the row.

    Attributes:
        case: What was measured.
        contestant: Of ours.
        samples: Of everybody.
        equal: Of the judge.
        faults: Why not.
        figures: The judge's.
        first_call_s: Of our first call, compiling and loading included.
    """

    case: Case
    contestant: Contestant
    samples: Mapping[Contestant, Samples]
    equal: bool
    faults: Sequence[str]
    figures: Mapping[str, float]
    first_call_s: float

    def row(self, device: str) -> Row:
        """As results have it."""
        default, tuned = REFERENCES
        return Row(
            path=self.case.path,
            model=self.case.model,
            device=device,
            dtype=self.contestant.label,
            ratio_default=ratio(self.samples, default, self.contestant),
            ratio_tuned=ratio(self.samples, tuned, self.contestant),
            equal=self.equal,
            reference_s=self.samples[default].median_s,
            ours_s=self.samples[self.contestant].median_s,
        )


def write_json(rows: Sequence[Row], path: Path) -> None:
    """A list of rows, one a line."""
    lines = [json.dumps(_rounded(row)) for row in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n  " + ",\n  ".join(lines) + "\n]\n", encoding="utf-8")


def _rounded(row: Row) -> dict[str, object]:
    told = asdict(row)
    return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in told.items()}


def goal_of(row: Row) -> tuple[float, ...]:
    """The issue's goals for a row: default, tuned; fewer where it names fewer."""
    kind = row.device.partition("-")[0]
    if (row.path, row.model, kind, row.dtype) == ("amg", "vit_h", "cuda", "bfloat16"):
        return VIT_H_AMG_GOAL
    return GOALS.get((row.path, kind, row.dtype), ()) if row.model == "vit_b" else ()


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    return "\n".join([*lines, *(_line(row) for row in rows)])


def _line(row: Row) -> str:
    tuned_s = row.ratio_tuned * row.ours_s
    goals = goal_of(row)
    reached = all(
        got >= wanted
        for got, wanted in zip((row.ratio_default, row.ratio_tuned), goals, strict=False)
    )
    goal = " / ".join(f"{one:g}" for one in goals)
    cells = (
        row.path,
        row.model,
        row.dtype,
        seconds(row.reference_s),
        seconds(tuned_s),
        seconds(row.ours_s),
        f"{row.ratio_default:.2f}",
        f"{row.ratio_tuned:.2f}",
        f"{goal} {'reached' if reached else 'missed'}" if goals else "",
        "yes" if row.equal else "**no**",
    )
    return f"| {' | '.join(cells)} |"


def seconds(value: float) -> str:
    """With a unit that suits it."""
    return (
        f"{value:.1f} s"
        if value >= 10
        else f"{value:.2f} s"
        if value >= 1
        else (f"{value * 1e3:.0f} ms" if value >= 0.01 else f"{value * 1e3:.2f} ms")
    )
