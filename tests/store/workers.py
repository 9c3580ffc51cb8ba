"""What the processes of the store's tests do."""

from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Jobs
from sam_backend.store.models import ModelStore
from sam_backend.store.project_models import ProjectModels


def claim_and_note_all(settings: Settings, notes: str, ready: Barrier) -> None:
    """Does jobs until there are none, writing down the number of each; all have one at the start.

    SQLite hands its lock to whoever asks next, often to the one that had it: without this start a
    worker could find nothing left.
    """
    jobs = Jobs(open_database(settings))
    job = jobs.claim(notes)
    ready.wait()
    with Path(notes).open("w") as file:
        while job is not None:
            file.write(f"{job.payload['n']}\n")
            jobs.finish(job, {})
            job = jobs.claim(notes)


def claim_and_hang(settings: Settings, begun: Connection) -> None:
    """Takes a job, tells so, and never ends."""
    jobs = Jobs(open_database(settings))
    job = jobs.claim("doomed", 60)
    assert job is not None
    jobs.heartbeat(job, {"step": 1})
    begun.send(job.id)
    begun.recv()


def enqueue_one(settings: Settings) -> int:
    """Asks for the job that everybody asks for."""
    database = open_database(settings)
    try:
        return Jobs(database).enqueue("retrain", {}, dedupe_key="the one").id
    finally:
        database.close()


def promote_one(folders: list[str], version: str) -> bool:
    """Promotes a version."""
    store = ModelStore([Path(folder) for folder in folders])
    return store.promote(version, "for the test", "a test")


def promote_for_project(folders: list[str], project: str, version: str) -> bool:
    """Makes a version the champion of a project; whether that was news."""
    models = ProjectModels(ModelStore([Path(folder) for folder in folders]))
    return models.promote(project, version, "for the test", "a test")


def promote_without_end(folders: list[str], project: str) -> None:
    """Promotes two versions for a project in turn, until it is killed."""
    models = ProjectModels(ModelStore([Path(folder) for folder in folders]))
    while True:
        for version in ("starter-1-r1", "starter-1-r2"):
            models.promote(project, version, "for the test", "a test")
