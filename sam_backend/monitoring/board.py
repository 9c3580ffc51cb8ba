"""One project at this moment, as the dashboard, the metrics and the alerts see it."""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.metrics.figures import miou
from sam_backend.projects.measured import (
    CalibrationDrift,
    GoldAnswer,
    GoldScores,
    JudgedByGold,
    LotVerdict,
)
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.stages.gates import Reading
from sam_backend.stages.labelling import (
    NO_STAGE,
    Course,
    Labelled,
    by_stage,
    course,
    seconds_per_mask,
    visits,
)
from sam_backend.stages.policy import StagePolicy
from sam_backend.stages.stage_metrics import Evidence, Retrained
from sam_backend.stages.transitions import Standing, standing
from sam_backend.store.leases import Lease
from sam_backend.store.measurements import Measurement
from sam_backend.store.stage_moves import StageMove

log = logging.getLogger(__name__)

TRIAGED = ("accepted", "review", "discarded")
"""What becomes of a prefilled mask, as the ledger counts it (`Judgement.counts`)."""
_LATELY = timedelta(minutes=60)
_N_RETRAININGS = 20
_N_MEASURED = 100


@dataclass(frozen=True, slots=True)
class Lately:
    """What was submitted in the last minutes.

    Attributes:
        minutes: Length of that time.
        annotations: Number of annotations.
        masks: Number of masks on them.
        people: Number of people who made them.
    """

    minutes: float
    annotations: int
    masks: int
    people: int


@dataclass(frozen=True, slots=True)
class TradeOff:
    """Quality against speed in one stage.

    Attributes:
        stage: Stage; `NO_STAGE` before the first move.
        seconds_per_mask: Time of people over masks; None: too few annotations.
        gold_iou: Mean IoU of people's masks on gold images; None: no answers in this stage.
        gold_answers: Number of answers to gold images.
    """

    stage: str
    seconds_per_mask: Reading | None
    gold_iou: float | None
    gold_answers: int


@dataclass(frozen=True, slots=True)
class Triage:
    """What became of prefilled masks.

    Attributes:
        masks: Number of masks by outcome, of `TRIAGED`.
        shares: Share of all these masks by outcome.
        tasks: Number of prefilled tasks by their state.
    """

    masks: Mapping[str, int]
    shares: Mapping[str, float]
    tasks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Gold:
    """People and models against gold.

    Attributes:
        at: When they were measured.
        images: Number of gold images.
        people: Figures of all people together; None: nobody has met gold.
        models: Figures of each model version.
    """

    at: datetime
    images: int
    people: JudgedByGold | None
    models: Sequence[JudgedByGold]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the served model's scores can be trusted.

    Attributes:
        model_version: The served model version.
        at: When it was calibrated.
        masks: Number of judged masks that the calibration rests on.
        error_before: Expected calibration error of the predicted IoU.
        error: Expected calibration error after calibration.
        accept_from: Probability from which masks are accepted; None: nothing is proven.
        discard_under: Probability under which masks are discarded; None: nothing is proven.
        explained: The accept threshold as a sentence.
        drift: Measurements of the masks judged since, oldest first.
    """

    model_version: str
    at: datetime
    masks: int
    error_before: float
    error: float
    accept_from: float | None
    discard_under: float | None
    explained: str
    drift: Sequence[CalibrationDrift]


@dataclass(frozen=True, slots=True)
class Retraining:
    """A retraining of the project.

    Attributes:
        job: Number of the job.
        state: State of the job.
        at: When it ended; else when it started or was ordered.
        reason: Why it failed, or why the gate decided so.
        version: Version of the challenger; None: there is none.
        parent: Version that it was trained from.
        promoted: Whether the gate let it pass; None: it was not asked.
        champion_miou: IoU after one click of the champion; None: not measured.
        challenger_miou: The same of the challenger.
    """

    job: int
    state: str
    at: datetime
    reason: str
    version: str | None = None
    parent: str | None = None
    promoted: bool | None = None
    champion_miou: float | None = None
    challenger_miou: float | None = None


@dataclass(frozen=True, slots=True)
class Queues:
    """People's queues.

    Attributes:
        tasks: Number of tasks in all queues.
        people: Number of people with a queue.
        longest: Number of tasks in the longest queue.
    """

    tasks: int
    people: int
    longest: int


@dataclass(frozen=True, slots=True)
class Person:
    """What one person did; for eyes that have shown a password only.

    Attributes:
        who: User id.
        annotations: Number of submitted annotations.
        masks: Number of masks on them.
        seconds_per_mask: Time over masks; None: too few annotations.
        queue: Number of tasks in the person's queue.
        gold: Figures against gold; None: this person has not met gold.
        last: When the last annotation was submitted; None: there is none.
    """

    who: str
    annotations: int
    masks: int
    seconds_per_mask: Reading | None
    queue: int
    gold: JudgedByGold | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Board:
    """All figures of one project.

    A part that cannot be made is None, and its reason stands in `failures` under its name: one odd
    figure must not hide the others.

    Attributes:
        project: Number of the project.
        label_studio: Address of its Label Studio.
        is_in_stage: Somebody has put the project into a stage.
        policies: All stages by their number.
        failures: Why a part cannot be made, by the name of its attribute.
        stage: How the project stands to its gates.
        moves: Moves between stages, oldest first.
        course: How people labelled, visit by visit to a stage.
        lately: What was submitted in the last hour.
        trade_off: Quality against speed, stage by stage.
        triage: What became of prefilled masks.
        gold: People and models against gold; None also without such scores.
        calibration: Trust in the served model; None also without one.
        retrainings: The newest retrainings, newest first.
        lots: Verdicts on bulk runs, newest first.
        queues: People's queues.
        people: What single people did, by user id.
    """

    project: int
    label_studio: str
    is_in_stage: bool
    policies: Mapping[str, StagePolicy]
    failures: Mapping[str, str]
    stage: Standing | None = None
    moves: Sequence[StageMove] | None = None
    course: Sequence[Course] | None = None
    lately: Lately | None = None
    trade_off: Sequence[TradeOff] | None = None
    triage: Triage | None = None
    gold: Gold | None = None
    calibration: Calibration | None = None
    retrainings: Sequence[Retraining] | None = None
    lots: Sequence[LotVerdict] | None = None
    queues: Queues | None = None
    people: Sequence[Person] | None = None


def board(
    project: Project,
    evidence: Evidence,
    policies: Mapping[str, StagePolicy],
    now: datetime,
) -> Board:
    """Put all figures of one project together.

    Args:
        project: The project.
        evidence: What is known of the project.
        policies: All stages.
        now: The time.
    """
    visited = cache(lambda: visits(evidence.labelled, evidence.moves))
    leases = cache(lambda: project.leases.held())
    gold = cache(lambda: None if evidence.gold is None else GoldScores.of(evidence.gold))
    parts: dict[str, Callable[[], Any]] = {
        "stage": lambda: standing(evidence, policies),
        "moves": lambda: evidence.moves,
        "course": lambda: [course(visit) for visit in visited()],
        "lately": lambda: _lately(evidence.labelled, now),
        "trade_off": lambda: trade_off(evidence.moves, gold(), by_stage(visited())),
        "triage": lambda: triage(project.prefills.totals(project.origin, project.id)),
        "gold": lambda: _gold(gold()),
        "calibration": lambda: _calibration(
            evidence.trust, project.measurements.history(CalibrationDrift.KIND, _N_MEASURED)
        ),
        "retrainings": lambda: [_retraining(one) for one in evidence.retrainings[:_N_RETRAININGS]],
        "lots": lambda: evidence.lots,
        "queues": lambda: _queues(leases()),
        "people": lambda: _people(evidence.labelled, gold(), leases()),
    }
    made: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for name, make in parts.items():
        try:
            made[name] = make()
        except SamBackendError as error:
            failures[name] = str(error)
        except Exception as error:  # its message may hold data: the log gets it
            log.exception("project %d: no %s", project.id, name)
            failures[name] = f"internal error {type(error).__name__}, see the backend's log"
    return Board(
        project=project.id,
        label_studio=project.host.url,
        is_in_stage=bool(evidence.moves),
        policies=policies,
        failures=failures,
        **made,
    )


def triage(totals: Mapping[str, int]) -> Triage:
    """Sum up what became of prefilled masks.

    Args:
        totals: Counts as `Prefills.totals` has them.
    """
    masks = {name: totals.get(name, 0) for name in TRIAGED}
    n = sum(masks.values())
    return Triage(
        masks=masks,
        shares={name: count / n if n else 0.0 for name, count in masks.items()},
        tasks={
            name.removeprefix("tasks "): count
            for name, count in totals.items()
            if name.startswith("tasks ")
        },
    )


def _queues(leases: Sequence[Lease]) -> Queues:
    by_person = Counter(one.person for one in leases)
    return Queues(len(leases), len(by_person), max(by_person.values(), default=0))


def trade_off(
    moves: Sequence[StageMove],
    gold: GoldScores | None,
    labelled: Mapping[str, Sequence[Labelled]],
) -> list[TradeOff]:
    """Return seconds per mask and IoU on gold of each stage, as far as they are known.

    Args:
        moves: Moves of the project between stages, oldest first.
        gold: People against gold; None: never measured.
        labelled: What was labelled, by stage.
    """
    moments = [move.at for move in moves]
    answers: dict[str, list[GoldAnswer]] = {}
    for answer in () if gold is None else gold.answers:
        if answer.at is not None and answer.pairs:
            place = bisect_right(moments, answer.at)
            answers.setdefault(moves[place - 1].stage if place else NO_STAGE, []).append(answer)
    found = []
    for stage, some in labelled.items():
        told = answers.get(stage, [])
        pairs = sum(one.pairs for one in told)
        iou = sum(one.iou_sum for one in told) / pairs if pairs else None
        found.append(TradeOff(stage, seconds_per_mask(some), iou, len(told)))
    return found


def _lately(labelled: Sequence[Labelled], now: datetime) -> Lately:
    some = [one for one in labelled if one.at > now - _LATELY]
    return Lately(
        minutes=_LATELY.total_seconds() / 60,
        annotations=len(some),
        masks=sum(one.masks for one in some),
        people=len({one.person for one in some if one.person is not None}),
    )


def _gold(scores: GoldScores | None) -> Gold | None:
    if scores is None:
        return None
    return Gold(scores.at, scores.images, scores.people, scores.models)


def _calibration(
    trust: CalibratedModel | None, drifts: Sequence[Measurement]
) -> Calibration | None:
    if trust is None:
        return None
    drift = [CalibrationDrift.of(one) for one in reversed(drifts)]
    return Calibration(
        model_version=trust.model_version,
        at=trust.fitted_at,
        masks=trust.masks,
        error_before=trust.before.error,
        error=trust.after.error,
        accept_from=trust.accept,
        discard_under=trust.discard,
        explained=trust.explain_accept(),
        drift=[one for one in drift if one.model_version == trust.model_version],
    )


def _retraining(one: Retrained) -> Retraining:
    job, result = one.job, one.result
    at = job.finished_at or job.started_at or job.created_at
    if result is None:
        return Retraining(job.id, job.state, at, job.reason or "")
    one_click = [figure for figure in result.comparisons if figure.figure == miou(1).name]
    return Retraining(
        job=job.id,
        state=job.state,
        at=at,
        reason=" ".join(result.reasons[:1]),
        version=result.version,
        parent=result.parent,
        promoted=result.promoted,
        champion_miou=one_click[0].champion if one_click else None,
        challenger_miou=one_click[0].challenger if one_click else None,
    )


def _people(
    labelled: Sequence[Labelled], gold: GoldScores | None, leases: Sequence[Lease]
) -> list[Person]:
    queues = Counter(one.person for one in leases)
    judged = {} if gold is None else {one.who: one for one in gold.annotators}
    by_person: dict[str, list[Labelled]] = {}
    for one in labelled:
        if one.person is not None:
            by_person.setdefault(one.person, []).append(one)
    found = []
    for person in sorted({*by_person, *queues, *judged}):
        some = by_person.get(person, [])
        found.append(
            Person(
                who=person,
                annotations=len(some),
                masks=sum(one.masks for one in some),
                seconds_per_mask=seconds_per_mask(some),
                queue=queues[person],
                gold=judged.get(person),
                last=some[-1].at if some else None,
            )
        )
    return found
