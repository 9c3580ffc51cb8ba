"""One project at this moment, as the dashboard, the metrics and the alerts see it."""

import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.projects.project import Project
from sam_backend.stages.labelling import (
    NO_STAGE,
    Labelled,
    by_stage,
    course,
    seconds_a_mask,
    visits,
)
from sam_backend.stages.policy import StagePolicy
from sam_backend.stages.stage_metrics import Evidence
from sam_backend.stages.transitions import standing
from sam_backend.store.jobs import Job
from sam_backend.store.leases import Lease
from sam_backend.store.measurements import DRIFT, Measurement

log = logging.getLogger(__name__)

Json = dict[str, Any]

TRIAGED = ("accepted", "review", "discarded")
"""What becomes of a prefilled mask, as the ledger counts it (`Judgement.counts`)."""
_LATELY = timedelta(minutes=60)
_N_RETRAININGS = 20
_N_MEASURED = 100


def board(
    project: Project,
    evidence: Evidence,
    policies: Mapping[str, StagePolicy],
    now: datetime,
) -> Json:
    """All figures of one project, with what is told of single people under `people`.

    A part that cannot be made is None, and its reason stands under `failures`, by the part's name:
    one odd figure must not hide the others.

    Args:
        project: The project.
        evidence: Of the project.
        policies: All stages.
        now: The time.
    """
    visited = cache(lambda: visits(evidence.labelled, evidence.moves))
    leases = cache(lambda: project.leases.held())
    parts: dict[str, Callable[[], Any]] = {
        "stage": lambda: standing(evidence, policies).as_json(),
        "moves": lambda: [
            {"at": one.at.isoformat(), "stage": one.stage, "by": one.by, "reason": one.reason}
            for one in evidence.moves
        ],
        "course": lambda: [course(visit) | _aims(policies.get(visit.stage)) for visit in visited()],
        "lately": lambda: _lately(evidence.labelled, now),
        "trade-off": lambda: trade_off(evidence, by_stage(visited())),
        "triage": lambda: triage_shares(project.prefills.totals(project.origin, project.id)),
        "gold": lambda: _gold(evidence.gold),
        "calibration": lambda: _calibration(
            evidence, project.measurements.history(DRIFT, _N_MEASURED)
        ),
        "retrainings": lambda: [_retraining(job) for job in evidence.retrainings[:_N_RETRAININGS]],
        "lots": lambda: [dict(lot.document) | {"at": lot.at.isoformat()} for lot in evidence.lots],
        "queues": lambda: _queues(leases()),
        "people": lambda: _people(evidence, leases(), now),
    }
    found: Json = {
        "project": project.id,
        "label studio": project.host.url,
        "is in a stage": bool(evidence.moves),
    }
    failures: dict[str, str] = {}
    for name, make in parts.items():
        found[name] = None
        try:
            found[name] = make()
        except SamBackendError as error:
            failures[name] = str(error)
        except Exception as error:  # its message may hold data: the log gets it
            log.exception("project %d: no %s", project.id, name)
            failures[name] = f"internal error {type(error).__name__}, see the backend's log"
    return found | {"failures": failures}


def triage_shares(totals: Mapping[str, int]) -> Json:
    """Masks of prefilled tasks by what became of them, and tasks by state."""
    masks = {name: totals.get(name, 0) for name in TRIAGED}
    n = sum(masks.values())
    return {
        "masks": masks,
        "shares": {name: count / n if n else 0.0 for name, count in masks.items()},
        "tasks": {
            name.removeprefix("tasks "): count
            for name, count in totals.items()
            if name.startswith("tasks ")
        },
    }


def _queues(leases: Sequence[Lease]) -> Json:
    by_person = Counter(one.person for one in leases)
    return {
        "tasks": len(leases),
        "people": len(by_person),
        "longest": max(by_person.values(), default=0),
    }


def trade_off(evidence: Evidence, labelled: Mapping[str, Sequence[Labelled]]) -> list[Json]:
    """Quality against speed: for each stage seconds a mask and IoU on gold, as far as known."""
    answers = [] if evidence.gold is None else evidence.gold.document.get("answers", [])
    moments = [move.at for move in evidence.moves]
    qualities: dict[str, list[Mapping[str, Any]]] = {}
    for answer in answers:
        if answer["at"] is not None and answer["pairs"]:
            place = bisect_right(moments, datetime.fromisoformat(answer["at"]))
            stage = evidence.moves[place - 1].stage if place else NO_STAGE
            qualities.setdefault(stage, []).append(answer)
    found = []
    for stage, some in labelled.items():
        pace = seconds_a_mask(some)
        told = qualities.get(stage, [])
        pairs = sum(one["pairs"] for one in told)
        found.append(
            {
                "stage": stage,
                "seconds a mask": None if pace is None else asdict(pace),
                "IoU on gold": sum(one["IoU"] for one in told) / pairs if pairs else None,
                "gold answers": len(told),
            }
        )
    return found


def _aims(policy: StagePolicy | None) -> Json:
    if policy is None:
        return {"aim": None, "budget": None, "paper seconds": None, "paper masks": None}
    return {
        "aim": policy.aim,
        "budget": policy.seconds_a_mask,
        "paper seconds": policy.paper_seconds_a_mask,
        "paper masks": policy.paper_masks_an_image,
    }


def _lately(labelled: Sequence[Labelled], now: datetime) -> Json:
    some = [one for one in labelled if one.at > now - _LATELY]
    return {
        "minutes": _LATELY.total_seconds() / 60,
        "annotations": len(some),
        "masks": sum(one.masks for one in some),
        "people": len({one.person for one in some if one.person is not None}),
    }


def _gold(measured: Measurement | None) -> Json | None:
    if measured is None:
        return None
    told = measured.document
    return {
        "at": measured.at.isoformat(),
        "images": told["gold images"],
        "people": None if told["people"] is None else told["people"]["matched IoU"],
        "models": {
            one["who"]: {"IoU": one["matched IoU"], "images": one["images"]}
            for one in told["models"]
        },
    }


def _calibration(evidence: Evidence, drifts: Sequence[Measurement]) -> Json | None:
    trust = evidence.trust
    if trust is None:
        return None
    return {
        "model version": trust.model_version,
        "at": trust.fitted_at.isoformat(),
        "masks": trust.masks,
        "error before": trust.before.error,
        "error": trust.after.error,
        "accept from": trust.accept,
        "discard under": trust.discard,
        "explained": trust.explain_accept(),
        "drift": [
            {"at": one.at.isoformat()}
            | {name: one.document[name] for name in ("masks", "drift", "contradicted")}
            for one in reversed(drifts)
            if one.document["model_version"] == trust.model_version
        ],
    }


def _retraining(job: Job) -> Json:
    result = job.result or {}
    return {
        "job": job.id,
        "state": job.state,
        "at": (job.finished_at or job.started_at or job.created_at).isoformat(),
        "version": result.get("version"),
        "parent": result.get("parent"),
        "promoted": result.get("promoted"),
        "reason": job.reason or " ".join(result.get("reasons", [])[:1]),
        "figures": {
            one["figure"]: {"champion": one["champion"], "challenger": one["challenger"]}
            for one in result.get("comparisons", [])
        },
    }


def _people(evidence: Evidence, leases: Sequence[Lease], now: datetime) -> Json:
    """By user id; for eyes that have shown a password only."""
    queues = Counter(one.person for one in leases)
    gold = [] if evidence.gold is None else evidence.gold.document["annotators"]
    standings = {one["who"]: one for one in gold}
    by_person: dict[str, list[Labelled]] = {}
    for one in evidence.labelled:
        if one.person is not None:
            by_person.setdefault(one.person, []).append(one)
    found = {}
    for person in sorted({*by_person, *queues, *standings}):
        some = by_person.get(person, [])
        pace = seconds_a_mask(some)
        found[person] = {
            "annotations": len(some),
            "masks": sum(one.masks for one in some),
            "seconds a mask": None if pace is None else asdict(pace),
            "queue": queues[person],
            "IoU on gold": standings[person]["matched IoU"] if person in standings else None,
            "gold images": standings[person]["images"] if person in standings else 0,
            "last": some[-1].at.isoformat() if some else None,
        }
    return found
