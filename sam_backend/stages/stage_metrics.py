"""What is known of a project that its gates look at."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sam_backend.metrics.figures import miou
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.current import current_calibration
from sam_backend.retraining.gate_evaluation import GATE_NAME
from sam_backend.retraining.request import JOB_KIND
from sam_backend.stages.gates import Figure, Reading
from sam_backend.stages.labelling import (
    Labelled,
    labelled_of,
    masks_gain,
    pace_gain,
    since,
)
from sam_backend.store.checkpoint_folders import ModelEntry
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.measurements import (
    DRIFT,
    EDITS,
    GOLD,
    IMPORT,
    LOT,
    Measurement,
    Measurements,
)
from sam_backend.store.stage_moves import StageMove

_REJECT, _ACCEPT = "reject", "accept"
_DECIDED = {_REJECT, _ACCEPT}


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the database and the model store know of a project.

    Attributes:
        labelled: What people have submitted, in order.
        moves: Of the project between stages, oldest first.
        gold: The newest scores on gold; None: never measured.
        edits: The newest report on prefilled tasks; likewise.
        lots: Verdicts on bulk runs, newest first, the last of each run.
        drift: The newest look at the calibration; None: never looked.
        trust: In the served model; None: nothing is known.
        retrainings: Jobs of the project, newest first.
        model_figures: Of the served model on images that it did not learn from, with intervals.
        model_images: Of them.
    """

    labelled: Sequence[Labelled]
    moves: Sequence[StageMove]
    gold: Measurement | None
    edits: Measurement | None
    lots: Sequence[Measurement]
    drift: Measurement | None
    trust: CalibratedModel | None
    retrainings: Sequence[Job]
    model_figures: Mapping[str, Mapping[str, float]]
    model_images: int

    @property
    def stage(self) -> str | None:
        """That the project is in; None: nobody has put it into one."""
        return self.moves[-1].stage if self.moves else None

    @property
    def in_stage(self) -> list[Labelled]:
        """What was labelled since the last move."""
        return since(self.labelled, self.moves[-1] if self.moves else None)

    def readings(self) -> dict[Figure, Reading]:
        """Every figure that is known."""
        found = {
            Figure.MODEL_IOU: _interval(self.model_figures.get(miou(3).name), self.model_images),
            Figure.PEOPLE_IOU: self._people_iou(),
            Figure.RETRAININGS: Reading.counted(sum(map(_is_promoted, self.retrainings)), 1),
            Figure.PACE_GAIN: pace_gain(self.in_stage),
            Figure.MASKS_GAIN: masks_gain(self.in_stage),
            Figure.KEPT: self._kept(),
            Figure.ACCEPT_PROVEN: self._proven(),
            Figure.CALIBRATION_ERROR: self._calibration_error(),
            Figure.REJECTED_LOTS: self._rejected_lots(),
            Figure.CALIBRATION_DRIFT: self._drift(),
        }
        return {figure: reading for figure, reading in found.items() if reading is not None}

    def _people_iou(self) -> Reading | None:
        told = None if self.gold is None else self.gold.document.get("people")
        return None if not told else _interval(told["matched IoU"], told["images"])

    def _kept(self) -> Reading | None:
        told = None if self.edits is None else self.edits.document.get("kept share")
        n = 0 if self.edits is None else int(self.edits.document["annotations"])
        return _interval(told, n)

    def _proven(self) -> Reading | None:
        if self.trust is None:
            return None
        return Reading.counted(float(self.trust.accept is not None), self.trust.images)

    def _calibration_error(self) -> Reading | None:
        if self.trust is None:
            return None
        return Reading.counted(self.trust.after.error, self.trust.images)

    def _rejected_lots(self) -> Reading | None:
        """Of lots that were decided since the last move: older ones were heeded by it."""
        verdicts = [
            str(lot.document["verdict"])
            for lot in self.lots
            if lot.document["verdict"] in _DECIDED
            and (not self.moves or lot.at > self.moves[-1].at)
        ]
        if not verdicts:
            return None
        n = next((n for n, one in enumerate(verdicts) if one != _REJECT), len(verdicts))
        return Reading.counted(n, len(verdicts))

    def _drift(self) -> Reading | None:
        if self.drift is None or self.trust is None:
            return None
        if self.drift.document["model_version"] != self.trust.model_version:
            return None
        return Reading.counted(float(bool(self.drift.document["contradicted"])), 1)


def gather(project: Project, entry: ModelEntry | None, version: str) -> Evidence:
    """Everything that is known without asking Label Studio.

    Args:
        project: The project.
        entry: The served checkpoint's folder; None: unknown.
        version: Model version that is served.
    """
    measurements = project.measurements
    figures, images = _model_figures(entry)
    return Evidence(
        labelled=labelled_of(project.revisions.newest()),
        moves=project.stage_moves.history(),
        gold=measurements.newest(GOLD),
        edits=measurements.newest(EDITS),
        lots=_lots(measurements, project.id),
        drift=measurements.newest(DRIFT),
        trust=current_calibration(project.database, version),
        retrainings=Jobs(project.database).list(kind=JOB_KIND, project=project.id),
        model_figures=figures,
        model_images=images,
    )


def _lots(measurements: Measurements, project: int) -> list[Measurement]:
    """Verdicts on runs that were imported into a project or are reviewed in it.

    Of each run the newest one; the run that was reported on last for the first time comes first.
    """
    runs = {str(one.document["run"]) for one in measurements.history(IMPORT)}
    found: dict[str, Measurement] = {}
    first: dict[str, datetime] = {}
    for lot in measurements.of_all_projects(LOT):
        run = str(lot.document["run"])
        if run in runs or lot.document["review project"] == project:
            found.setdefault(run, lot)
            first[run] = lot.at
    return sorted(found.values(), key=lambda lot: first[str(lot.document["run"])], reverse=True)


def _model_figures(entry: ModelEntry | None) -> tuple[Mapping[str, Mapping[str, float]], int]:
    """What the gate measured before it promoted a checkpoint; nothing for one that never met it."""
    file = None if entry is None else entry.folder / GATE_NAME
    if file is None or not file.exists():
        return {}, 0
    return _read_gate(file)


@lru_cache(maxsize=8)
def _read_gate(file: Path) -> tuple[Mapping[str, Mapping[str, float]], int]:
    """What a gate has written never changes, and holds every mask's result."""
    try:
        challenger: Any = json.loads(file.read_text(encoding="utf-8"))["challenger"]
        return challenger["intervals"], int(challenger["images"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, 0


def _is_promoted(job: Job) -> bool:
    return bool((job.result or {}).get("promoted"))


def _interval(told: Any, n: int) -> Reading | None:
    """An interval as JSON, or what says that there was too little."""
    if not isinstance(told, Mapping):
        return None
    return Reading(float(told["value"]), float(told["low"]), float(told["high"]), n)
