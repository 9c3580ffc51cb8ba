"""What was answered lately."""

import pytest

from sam_backend.server.monitor import Monitor


def test_the_devices_share_is_of_the_last_minute() -> None:
    now, busy = [0.0], [0.0]
    monitor = Monitor(lambda: busy[0], lambda: now[0])
    for _ in range(200):
        now[0] += 1
        busy[0] += 1.0
        monitor.figures()
    assert monitor.figures().device_busy_share == pytest.approx(1)
    for _ in range(61):
        now[0] += 1
        monitor.figures()
    assert monitor.figures().device_busy_share == pytest.approx(0, abs=0.02)


def test_what_was_long_ago_is_not_lately() -> None:
    now = [0.0]
    monitor = Monitor(lambda: 0.0, lambda: now[0])
    for _ in range(30):
        monitor.answered("click", 9.0, "the image is gone")
    assert monitor.figures().errors == 30
    now[0] = 1000.0
    told = monitor.figures()
    assert (told.clicks.n, told.errors, told.requests) == (0, 0, 0)
