"""What the story of the three stages knows to be true, beside what the dashboard says; a report."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simulated_annotator import Drawn

from sam_backend.metrics.pages import figure, page, table

Json = dict[str, Any]


@dataclass
class Known:
    """What the script knows to be true, counted by itself.

    Attributes:
        seconds: Of each stage's annotations.
        masks: Likewise.
        annotations: Likewise.
        gold: IoU of each mask that was drawn on a gold picture.
        shown: Prefilled masks of stage 2.
        promoted: Retrainings whose model the gate let pass.
        accepted: Lots that the review accepted.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    annotations: dict[str, int] = field(default_factory=dict)
    gold: list[float] = field(default_factory=list)
    shown: int = 0
    promoted: int = 0
    accepted: int = 0

    def submitted(self, stage: str, drawn: Sequence[Drawn]) -> None:
        """One annotation more."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + sum(one.seconds for one in drawn)
        self.masks[stage] = self.masks.get(stage, 0) + len(drawn)
        self.annotations[stage] = self.annotations.get(stage, 0) + 1


def compare(board: Json, known: Known) -> list[tuple[str, float, float]]:
    """Each figure of the dashboard beside what the script knows."""
    pairs = [("masks shown on prefilled tasks", _shown(board), float(known.shown))]
    course = {visit["stage"]: visit for visit in board["course"]}
    for stage in known.masks:
        told = course.get(stage, {})
        seconds, masks = known.seconds[stage], known.masks[stage]
        pace, images = (
            told.get(name, {}).get("whole") or {}
            for name in ("seconds_per_mask", "masks_per_image")
        )
        pairs += [
            (f"stage {stage}: annotations", told.get("annotations"), known.annotations[stage]),
            (f"stage {stage}: masks", told.get("masks"), masks),
            (f"stage {stage}: seconds a mask", pace.get("value"), seconds / masks),
            (
                f"stage {stage}: masks an image",
                images.get("value"),
                masks / known.annotations[stage],
            ),
        ]
    people = (board["gold"] or {}).get("people") or {}
    gold = people.get("matched_iou") or {}
    promoted = sum(one["promoted"] is True for one in board["retrainings"])
    accepted = sum(one["verdict"] == "accept" for one in board["lots"])
    return [
        *pairs,
        ("people's IoU on gold", gold.get("value"), sum(known.gold) / len(known.gold)),
        ("retrainings promoted", promoted, known.promoted),
        ("lots accepted", accepted, known.accepted),
        ("moves between stages", len(board["moves"]), 3),
    ]


def _shown(board: Json) -> float:
    masks = board["triage"]["masks"]
    return float(masks["accepted"] + masks["review"])


def differs(told: float | None, known: float) -> bool:
    """Beyond what the rounding of times to milliseconds explains."""
    return told is None or abs(told - known) > 1e-6 + 1e-5 * abs(known)


def write_report(out: Path, board: Json, rows: Sequence[tuple[str, float, float]]) -> Path:
    """The final report: figures, and the plots that the commands drew."""
    parts = [figure((out / "stages.png").read_bytes(), "quality and speed, stage by stage")]
    moves = [(one["stage"], one["at"][:19], one["reason"]) for one in board["moves"]]
    parts += ["<h2>Moves</h2>", table([("stage", "when", "why")], moves)]
    lines = [
        (name, f"{told:.4g}" if told is not None else "unknown", f"{known:.4g}")
        for name, told, known in rows
    ]
    parts += ["<h2>The dashboard and the truth</h2>", table([("", "dashboard", "known")], lines)]
    reliability = out / "calibration" / "reliability.png"
    parts += ["<h2>Calibration</h2>", figure(reliability.read_bytes(), "reliability diagram")]
    (out / "report.html").write_text(page("Three stages", parts), encoding="utf-8")
    return out / "report.html"
