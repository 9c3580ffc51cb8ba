"""What is known of a project that its gates look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from sam_backend.metrics.figures import miou
from sam_backend.metrics.intervals import Interval
from sam_backend.projects.measured import (
    CalibrationDrift,
    GoldScores,
    LotVerdict,
    PrefillEdits,
    RunImport,
)
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.quality.calibration.current import current_calibration
from sam_backend.retraining.gate_evaluation import GATE_NAME
from sam_backend.retraining.request import JOB_KIND
from sam_backend.retraining.result import RetrainingResult
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
from sam_backend.store.measurements import Measurement, Measurements
from sam_backend.store.stage_moves import StageMove

_REJECT, _ACCEPT = "reject", "accept"
_DECIDED = {_REJECT, _ACCEPT}


@dataclass(frozen=True, slots=True)
class Retrained:
    """A retraining that was ordered.

    Attributes:
        job: The job.
        result: What came out; None: nothing yet, or it failed.
    """

    job: Job
    result: RetrainingResult | None


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What the database and the model store know of a project.

    Attributes:
        labelled: What people have submitted, in order.
        moves: Moves of the project between stages, oldest first.
        gold: The newest scores on gold; None: never measured.
        edits: The newest report on prefilled tasks; likewise.
        lots: Verdicts on bulk runs, newest first, the last of each run.
        drift: The newest look at the calibration; None: never looked.
        trust: In the served model; None: nothing is known.
        retrainings: Retrainings of the project, newest first.
        model_iou: IoU after 3 clicks of the served model, on images that it did not learn from;
            None: unknown.
    """

    labelled: Sequence[Labelled]
    moves: Sequence[StageMove]
    gold: Measurement | None
    edits: Measurement | None
    lots: Sequence[LotVerdict]
    drift: Measurement | None
    trust: CalibratedModel | None
    retrainings: Sequence[Retrained]
    model_iou: Reading | None

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
            Figure.MODEL_IOU: self.model_iou,
            Figure.PEOPLE_IOU: self._people_iou(),
            Figure.RETRAININGS: Reading.counted(
                sum(one.result is not None and one.result.promoted for one in self.retrainings), 1
            ),
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
        people = None if self.gold is None else GoldScores.of(self.gold).people
        return None if people is None else _reading(people.matched_iou, people.images)

    def _kept(self) -> Reading | None:
        if self.edits is None:
            return None
        edits = PrefillEdits.of(self.edits)
        return _reading(edits.kept_share, edits.annotations)

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
        since = self.moves[-1].at if self.moves else None
        verdicts = [
            lot.verdict
            for lot in self.lots
            if lot.verdict in _DECIDED and (since is None or lot.at > since)
        ]
        if not verdicts:
            return None
        n = next((n for n, one in enumerate(verdicts) if one != _REJECT), len(verdicts))
        return Reading.counted(n, len(verdicts))

    def _drift(self) -> Reading | None:
        drift = None if self.drift is None else CalibrationDrift.of(self.drift)
        if drift is None or self.trust is None or drift.model_version != self.trust.model_version:
            return None
        return Reading.counted(float(drift.contradicted), 1)


def gather(project: Project, entry: ModelEntry | None, version: str) -> Evidence:
    """Everything that is known without asking Label Studio.

    Args:
        project: The project.
        entry: The served checkpoint's folder; None: unknown.
        version: Model version that is served.
    """
    measurements = project.measurements
    gate = None if entry is None else entry.folder / GATE_NAME
    return Evidence(
        labelled=labelled_of(project.revisions.newest()),
        moves=project.stage_moves.history(),
        gold=measurements.newest(GoldScores.KIND),
        edits=measurements.newest(PrefillEdits.KIND),
        lots=_lots(measurements, project.id),
        drift=measurements.newest(CalibrationDrift.KIND),
        trust=current_calibration(project.database, version),
        retrainings=[
            Retrained(job, None if job.result is None else RetrainingResult.of(job.result))
            for job in Jobs(project.database).list(kind=JOB_KIND, project=project.id)
        ],
        model_iou=_gate_iou(gate) if gate is not None and gate.exists() else None,
    )


def _lots(measurements: Measurements, project: int) -> list[LotVerdict]:
    """Verdicts on runs that were imported into a project or are reviewed in it.

    Of each run the newest one; the run that was reported on last for the first time comes first.
    """
    runs = {RunImport.of(one).run for one in measurements.history(RunImport.KIND)}
    found: dict[str, LotVerdict] = {}
    first: dict[str, datetime] = {}
    for lot in map(LotVerdict.of, measurements.of_all_projects(LotVerdict.KIND)):
        if lot.run in runs or lot.review_project == project:
            found.setdefault(lot.run, lot)
            first[lot.run] = lot.at
    return sorted(found.values(), key=lambda lot: first[lot.run], reverse=True)


@lru_cache(maxsize=8)
def _gate_iou(file: Path) -> Reading | None:
    """Return the IoU after 3 clicks that the gate measured before it promoted a checkpoint.

    What a gate has written never changes, and holds every mask's result: it is read once.

    Args:
        file: File of the gate; a damaged one tells nothing.
    """
    try:
        challenger: Any = json.loads(file.read_text(encoding="utf-8"))["challenger"]
        found = Interval(**challenger["intervals"][miou(3).name])
        return _reading(found, int(challenger["images"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reading(found: Interval | None, n: int) -> Reading | None:
    return None if found is None else Reading(found.value, found.low, found.high, n)
