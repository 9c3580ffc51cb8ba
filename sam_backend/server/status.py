"""The status report: everything worth knowing about this process, and no token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.server.journal import Journal
from sam_backend.serving.champion import Champion
from sam_backend.serving.champion_watch import ChampionWatch
from sam_backend.serving.factory import MEGABYTE, STARTER_NOTE, Caches, is_starter
from sam_backend.store.jobs import Job
from sam_backend.store.models import ModelStore

N_CHAMPIONS = 5
N_JOBS = 10


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Makes the report out of the parts of a service."""

    champion: Champion
    watch: ChampionWatch
    caches: Caches
    connections: Connections
    journal: Journal
    store: ModelStore
    newest_jobs: Callable[[int], Sequence[Job]]

    def make(self) -> dict[str, Any]:
        """The report as JSON: model, champions, jobs, work, embeddings, projects, journal."""
        device, counts = self.champion.device, self.champion.encode_counts
        memory, redis = self.caches.memory, self.caches.redis
        jobs, jobs_failure = self._jobs()
        return {
            "model": self._model(),
            "champions": self._champions(),
            "jobs": jobs,
            "jobs_failure": jobs_failure,
            "work": {"waiting": device.queue_length, "device_busy_s": round(device.busy_s, 1)},
            "embeddings": {
                "in_memory": len(memory),
                "memory_mb": round(memory.n_bytes / MEGABYTE, 1),
                "redis": "not set" if redis is None else _availability(redis.is_available),
                "from_cache": counts.cached,
                "encoded": counts.encoded,
                "shared": counts.joined,
                "failed": counts.failed,
            },
            "projects": self.connections.projects(),
            "journal": [
                {
                    "at": _seconds(entry.at),
                    "level": entry.level,
                    "subject": entry.subject,
                    "reason": entry.reason,
                }
                for entry in self.journal.entries()
            ],
        }

    def _model(self) -> dict[str, Any]:
        view, refused = self.champion.view(), self.watch.refused
        card = view.served.checkpoint.card
        return {
            "state": view.served.state,
            "version": view.served.model_version,
            "family": card.family,
            "licence": card.licence,
            "failure": view.served.failure or "none",
            "loading_next": view.loading or "none",
            "answering_last_requests": ", ".join(view.finishing) or "none",
            "not_served": "none"
            if refused is None
            else f"{refused.version or 'the champion'}: {refused.reason}",
            "note": STARTER_NOTE if is_starter(card) else "",
        }

    def _champions(self) -> list[dict[str, str]]:
        """The last promotions and rollbacks, newest first."""
        try:
            history = self.store.history()
        except SamBackendError:  # the watch has said so in the journal
            return []
        return [
            {
                "at": _seconds(one.at.astimezone(UTC)),
                "action": "rollback" if one.is_rollback else "promotion",
                "version": one.version,
                "by": one.by,
                "reason": one.reason,
            }
            for one in reversed(history[-N_CHAMPIONS:])
        ]

    def _jobs(self) -> tuple[list[dict[str, str]], str]:
        """The newest jobs, and why they cannot be listed (else empty)."""
        try:
            jobs = self.newest_jobs(N_JOBS)
        except SamBackendError as error:  # clicks need no database
            return [], str(error)
        return [_job(job) for job in jobs], ""


def _job(job: Job) -> dict[str, str]:
    ended_at = job.finished_at or job.started_at or job.created_at
    return {
        "id": str(job.id),
        "kind": job.kind,
        "project": "" if job.project is None else str(job.project),
        "state": "stopping" if job.state == "running" and job.cancel_requested else job.state,
        "progress": job.reason or _told(job.result or job.progress),
        "at": _seconds(ended_at),
    }


def _told(facts: Mapping[str, Any]) -> str:
    """What a worker tells, in one line: plain values only, numbers to three digits."""
    facts = dict(facts)
    stage, done, of = (facts.pop(name, None) for name in ("stage", "done", "of"))
    parts = [] if stage is None else [str(stage)]
    if done is not None:
        parts.append(f"{done} of {of}" if of else f"{done}")
    for name, value in facts.items():
        words = name.removesuffix("_s").replace("_", " ")
        if name.endswith("_s") and isinstance(value, int | float):
            parts.append(f"{words} {value:.0f} s")
        elif isinstance(value, float):
            parts.append(f"{words} {value:.3g}")
        elif isinstance(value, bool | int | str):
            parts.append(f"{words} {value}")
    return ", ".join(parts)


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def _availability(is_available: bool) -> str:
    return "connected" if is_available else "away: memory only"
