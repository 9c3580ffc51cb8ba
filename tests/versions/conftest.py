"""A log in a database of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.versions.making import Log, log_in


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty one."""
    with log_in(tmp_path) as opened:
        yield opened
