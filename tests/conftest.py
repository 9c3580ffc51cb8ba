"""What holds for all tests: own settings and tokens stay outside, no test depends on speed."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.postgresql_server import PostgresqlServer, running_postgresql

SETTINGS = ("SAM_BACKEND_", "LABEL_STUDIO_", "REDIS_URL")

for name in [name for name in os.environ if name.startswith(SETTINGS)]:
    del os.environ[name]

# Threads that wait for each other sleep and do not spin: servers, browser and tests share the
# cores, where spinning takes what others need; a grid of prompts took four times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

LONGEST = (
    "tests/e2e/",
    "tests/fully_automatic/",
    "tests/semi_automatic/",
    "tests/retraining/",
    "tests/serving/",
    "tests/jobs/",
    "tests/projects/",
    "tests/versions/",
    "tests/cli/",
    "tests/training/",
    "tests/server/",
)
"""Where a file takes minutes. It begins first, or one process would still be at it while the others
have nothing left to do."""

# A busy machine must not fail a property: time limits belong to benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files: those of `LONGEST` first. Run with xdist's --no-loadscope-reorder."""
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch: small networks run fastest on one, and busy machines wait less."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """One server for all; each test makes a schema of its own."""
    with running_postgresql() as server:
        yield server
