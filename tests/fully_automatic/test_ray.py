"""The Ray executor: the shards of the local one, also when a worker is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.executors import Machines, executor_named
from sam_backend.fully_automatic.generating import Progress
from sam_backend.settings import Settings
from tests.fully_automatic.making import generate, make_images, shard_bytes

ray = pytest.importorskip("ray")

N_IMAGES = 100


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two workers on this machine, for all tests: a start takes its time."""
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def test_a_killed_worker_loses_nothing(cluster: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_images(source, N_IMAGES)
    generate(source, tmp_path / "local")
    killed: list[int] = []

    def kill_one(state: Progress) -> None:
        if state.stage == "finding masks" and not killed:
            actors = [
                int(file.parent.name)
                for file in Path("/proc").glob("[0-9]*/cmdline")
                if b"ray::MapWorker" in file.read_bytes()
            ]
            if len(actors) == 2:  # the second one may still be starting
                os.kill(actors[0], signal.SIGKILL)
                killed.append(state.done)

    workers = executor_named("ray", Settings(threads=1), Machines(actors=2))
    summary = generate(source, tmp_path / "ray", workers, observe=kill_one)
    assert killed
    assert killed[0] < N_IMAGES / 2
    assert summary.progress.done == N_IMAGES
    assert shard_bytes(tmp_path / "ray") == shard_bytes(tmp_path / "local")


def test_unknown_executors_and_clusters(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no executor 'slurm' \(there are: local, ray\)"):
        executor_named("slurm", Settings(), Machines())
