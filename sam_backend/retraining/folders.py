"""The folder that a run keeps its work in: one process at a time, and no longer than needed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sam_backend.files import remove_unfinished
from sam_backend.settings import Settings
from sam_backend.store.job_handling import IsStopped, StoppedError
from sam_backend.store.jobs import Job

TRAINING_FOLDER = "training"
WEIGHTS_NAME = "weights.safetensors"
FEATURES = f"{TRAINING_FOLDER}/features"
KEPT_S = 7 * 24 * 3600.0
"""What a run that was cancelled or killed may still go on from is kept for so long."""

_LOCK_NAME = ".lock"
_POLL_S = 1.0
# Gigabytes, where embeddings, targets and an optimiser's state are kept; the store has the weights.
_WORK = (
    FEATURES,
    f"{TRAINING_FOLDER}/checkpoint.pt",
    f"{TRAINING_FOLDER}/best.pt",
    WEIGHTS_NAME,
)


def runs_folder(settings: Settings) -> Path:
    """Where all runs keep their work."""
    return settings.data_dir / "runs"


def run_folder(settings: Settings, job: Job) -> Path:
    """Where a job keeps its work: by moment and number, for a new database counts from 1."""
    return runs_folder(settings) / f"{job.created_at:%Y%m%d-%H%M%S}-{job.kind}-{job.id}"


@contextmanager
def held(folder: Path, is_stopped: IsStopped) -> Iterator[None]:
    """Keep other processes out of a run's folder, made if needed, for the length of the block.

    A worker that lost its lease while its database was away may still be at work in it.

    Raises:
        StoppedError: We were told to stop while another one held it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK_NAME)
    while not lock.is_locked:
        try:
            held = lock.acquire(timeout=_POLL_S)
        except Timeout:
            if is_stopped():
                raise StoppedError(f"stopped while another process worked in {folder}") from None
    with held:
        Path(lock.lock_file).touch()
        for work in (folder, folder / TRAINING_FOLDER):
            remove_unfinished(work)
        yield


def clear(folder: Path) -> None:
    """Remove what only a run that goes on needs; its records stay."""
    for name in _WORK:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def clear_abandoned(runs: Path, kept_s: float = KEPT_S) -> None:
    """`clear` the runs that nobody holds and nobody has gone on with for `kept_s` seconds."""
    for lock in runs.glob(f"*/{_LOCK_NAME}"):
        with suppress(OSError):  # it goes away under us, is held, or is somebody else's
            if time.time() - lock.stat().st_mtime > kept_s:
                with FileLock(lock, timeout=0):
                    clear(lock.parent)
