"""Training's tests have small networks."""

import pytest


@pytest.fixture(autouse=True)
def one_thread_everywhere(one_thread: None) -> None:
    """Each test of this room has one thread for torch."""
