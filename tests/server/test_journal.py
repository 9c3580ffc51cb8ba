"""The journal keeps the newest reasons and logs each."""

import logging
from datetime import UTC, datetime

import pytest

from sam_backend.server.journal import Journal


def test_newest_first_and_bounded(caplog: pytest.LogCaptureFixture) -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    journal = Journal(capacity=2, clock=lambda: at)
    with caplog.at_level(logging.WARNING):
        journal.warn("task 1", "first")
        journal.error("task 2", "second")
        journal.warn("task 3", "third")
    assert [(e.level, e.subject, e.reason) for e in journal.entries()] == [
        ("warning", "task 3", "third"),
        ("error", "task 2", "second"),
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "WARNING"]
    assert journal.entries()[0].at == at


def test_a_request_can_neither_flood_nor_forge_the_log(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal()
    with caplog.at_level(logging.WARNING):
        journal.error("project p\nFAKE LOG LINE, task " + "9" * 5_000_000, "x\r\n" * 1_000_000)
    (entry,) = journal.entries()
    assert len(entry.subject) == 100
    assert len(entry.reason) == 400
    assert entry.subject.startswith("project p�FAKE")
    assert len(caplog.text.splitlines()) == 1
