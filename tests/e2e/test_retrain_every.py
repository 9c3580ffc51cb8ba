"""Enough new masks order one retraining, whether webhooks come twice or not at all."""

from pathlib import Path

import pytest

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Job, Jobs
from tests.bullseyes import bullseyes, png
from tests.e2e.commands import eventually
from tests.e2e.conftest import running_backend
from tests.e2e.people import Person, brush_region

pytestmark = pytest.mark.e2e

EVERY = 3
"""Masks; one a picture."""


def test_enough_masks_order_one_retraining(
    label_studio: LocalLabelStudio, projects: Projects, tmp_path: Path
) -> None:
    """Three masks are too few to learn from: that it was asked for, and how often, is the point."""
    anna = Person.administrator(label_studio)
    project = projects.create("e2e retrain every", template("brush"))
    files = {f"{seed}.png": png(bullseyes(seed)[0]) for seed in range(2 * EVERY)}
    tasks = iter(enumerate(projects.upload(project, files)))
    jobs = Jobs(open_database(Settings(data_dir=tmp_path)))
    every = {"SAM_BACKEND_RETRAIN_EVERY": str(EVERY)}

    def submit() -> None:
        seed, task = next(tasks)
        anna.submit(task, brush_region("m", bullseyes(seed)[1][0]))

    def ended(n_jobs: int) -> list[Job] | None:
        found = jobs.list()
        is_over = len(found) >= n_jobs and all(job.finished_at is not None for job in found)
        return found if is_over else None

    with running_backend(tmp_path, **every) as backend:
        projects.connect_backend(project, backend, "starter-3")
        hook = {"project": project, "url": f"{backend}/webhook", "send_payload": True}
        anna.call("POST", "/api/webhooks/", hook | {"send_for_all_actions": True})
        hooks = anna.call("GET", f"/api/webhooks/?project={project}")
        assert [hook["url"] for hook in hooks] == [f"{backend}/webhook"] * 2
        for _ in range(EVERY):
            assert jobs.list() == []
            submit()
        (job,) = eventually(lambda: ended(1))
        assert (job.kind, job.project, job.state) == ("retrain", project, "failed")
        assert (job.reason or "").startswith("a retraining needs masks on"), job.reason
        assert job.payload["masks_until"]

        for hook in hooks:
            anna.call("DELETE", f"/api/webhooks/{hook['id']}/")
        for _ in range(EVERY):
            submit()

    with running_backend(tmp_path, **every, SAM_BACKEND_RECONCILE_S="1"):
        second, first = eventually(lambda: ended(2))
        assert first == job
        assert second.payload["masks_until"] > job.payload["masks_until"]
