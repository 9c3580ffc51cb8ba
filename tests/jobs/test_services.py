"""Background services whose database cannot be opened: clicks go on, retrainings wait for it."""

import time
from pathlib import Path

import pytest

from sam_backend.errors import DatabaseError, InvalidInputError
from sam_backend.jobs.services import BackgroundServices
from sam_backend.labelstudio.api.webhook_events import START_TRAINING, WebhookEvent
from sam_backend.settings import Settings

BUTTON = WebhookEvent(START_TRAINING, 7, "pressed")
DRAWN = WebhookEvent("ANNOTATION_CREATED", 7, "drawn")


def test_it_waits_for_a_database_that_cannot_be_opened(tmp_path: Path) -> None:
    broken = tmp_path / "sam_backend.db"
    broken.write_bytes(b"this is no database, whatever its name says" * 100)
    told: list[tuple[str, str]] = []
    settings = Settings(data_dir=tmp_path, own_worker=False, retrain_every=5)
    with BackgroundServices(settings, retry_s=0.05) as services:
        services.start(lambda subject, reason: told.append((subject, reason)))
        ((subject, reason),) = told
        assert subject == "retraining"
        assert "file is not a database" in reason
        with pytest.raises(DatabaseError, match="file is not a database"):
            services.handle(BUTTON)
        with pytest.raises(DatabaseError, match="file is not a database"):
            services.newest_jobs(3)
        services.handle(DRAWN)
        broken.unlink()
        jobs = _jobs_once_open(services)
        assert jobs == []
        services.handle(BUTTON)
        assert [job.project for job in services.newest_jobs(3)] == [7]
    assert len(told) == 1


def _jobs_once_open(services: BackgroundServices) -> list[object]:
    deadline = time.monotonic() + 30
    while True:
        try:
            return list(services.newest_jobs(3))
        except DatabaseError:
            assert time.monotonic() < deadline, "it was never opened"
            time.sleep(0.02)


def test_a_wrong_address_is_no_database_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="database 'mysql' is not supported"):
        BackgroundServices(Settings(data_dir=tmp_path, database_url="mysql://host/name"))
