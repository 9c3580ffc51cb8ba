"""A project with a model of its own is retrained from it, against it, and for itself alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from sam_backend.datasets.manifest import write_manifest
from sam_backend.errors import ModelStoreError
from sam_backend.jobs.handlers import handlers
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.retraining.folders import run_folder
from sam_backend.retraining.learned import MANIFEST_NAME
from sam_backend.retraining.request import JOB_KIND, RetrainingRequest
from sam_backend.settings import Settings
from sam_backend.store.champions import ProjectsFile
from sam_backend.store.database import open_database
from sam_backend.store.jobs import Job, Jobs
from sam_backend.store.models import ModelStore, open_store
from sam_backend.store.project_models import ProjectModels
from tests.bullseyes import bullseye_dataset
from tests.store.checkpoints import put

CATS, CELLS = "1.1795443184", "2.1795443190"
STEPS = 10


class _Killed(BaseException):
    """Ends a run as kill -9 would: nobody catches it."""


@dataclass
class Trained:
    """A retraining of project 1 that was killed while it was promoted, and ended at a restart.

    Attributes:
        settings: The data folder; the champion of all is a ViT-B that cannot be loaded.
        job: Its order.
        result: Its outcome.
        stages: What the restart did anew.
        before: `champion.json`, before.
    """

    settings: Settings
    job: Job
    result: Mapping[str, Any]
    stages: list[str]
    before: bytes

    @property
    def store(self) -> ModelStore:
        return open_store(self.settings)

    @property
    def models(self) -> ProjectModels:
        return ProjectModels(self.store)

    def served(self, project: str) -> str:
        own = self.models.of(project, Connections.of(self.settings).model_of(project))
        return (self.store.champion() if own is None else own.required()).version

    def again(self) -> tuple[Mapping[str, Any], list[str]]:
        return run(self.settings, self.job)


def run(settings: Settings, job: Job) -> tuple[Mapping[str, Any], list[str]]:
    """The job's outcome, and the stages that it went through."""
    stages: list[str] = []
    handler = handlers(settings)[JOB_KIND]
    result = handler(job, lambda state: stages.append(state.stage), lambda: False)
    return result, stages


def ordered(settings: Settings, project: int) -> Job:
    """A retraining of a project whose masks have been pulled already."""
    request = RetrainingRequest(project=project, steps=STEPS)
    jobs = Jobs(open_database(settings))
    payload = request.model_dump(mode="json", exclude_none=True)
    job = jobs.enqueue(JOB_KIND, payload, project, request.dedupe_key)
    folder = run_folder(settings, job)
    folder.mkdir(parents=True)
    write_manifest(bullseye_dataset(folder / "images", range(14)), folder / MANIFEST_NAME)
    return job


def connect(settings: Settings, project: str, model: str) -> None:
    Connections.of(settings).remember(project, "http://127.0.0.1:1", "t", model=model)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("project")
    settings = Settings(data_dir=folder, device="cpu", threads=1, label_studio_hosts="*")
    put(folder / "model_store", "big-1", "vit_b")
    open_store(settings).promote("big-1", "for all", "test")
    before = (folder / "model_store" / "champion.json").read_bytes()
    for project in (CATS, CELLS):
        connect(settings, project, "starter_lite")
    job = ordered(settings, 1)

    def killed(*_: object) -> None:
        raise _Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProjectsFile, "_write", killed)
        with pytest.raises(_Killed):
            run(settings, job)
    result, stages = run(settings, job)
    return Trained(settings, job, result, stages, before)


def test_it_starts_from_the_projects_model_and_is_promoted_for_the_project_alone(
    trained: Trained,
) -> None:
    assert trained.result["promoted"], trained.result["reasons"]
    assert trained.stages == [], "the restart trains nothing again"
    assert (trained.result["parent"], trained.result["version"]) == ("starter-3", "starter-3-r1")
    assert trained.served(CATS) == "starter-3-r1"
    assert trained.served(CELLS) == "starter-3"
    assert trained.store.champion().version == "big-1"
    champion = trained.settings.data_dir / "model_store" / "champion.json"
    assert champion.read_bytes() == trained.before
    (promotion,) = trained.models.history(CATS)
    assert promotion.named == "starter_lite"


def test_what_was_taken_back_is_not_promoted_again(trained: Trained) -> None:
    assert trained.models.rollback(CATS, "too bold", "ann", "starter_lite").version == "starter-3"
    result, stages = trained.again()
    assert result["promoted"]
    assert stages == []
    assert trained.served(CATS) == "starter-3"


def test_a_project_that_names_another_model_by_now_keeps_that(trained: Trained) -> None:
    file = trained.settings.data_dir / "model_store" / "projects.json"
    file.unlink()  # not promoted yet
    connect(trained.settings, CATS, "big-1")
    result, _ = trained.again()
    assert not result["promoted"]
    assert result["reasons"][-1] == (
        f"not promoted: project {CATS} names the model big-1 by now, not starter_lite"
    )
    connect(trained.settings, CATS, "")
    assert "names no model" in trained.again()[0]["reasons"][-1]
    assert trained.served(CATS) == "big-1"
    assert trained.store.champion().version == "big-1"
    connect(trained.settings, CATS, "starter_lite")


def test_a_model_that_is_not_in_the_store_is_refused_and_the_champion_of_all_stays(
    trained: Trained,
) -> None:
    connect(trained.settings, CELLS, "nosuch")
    job = ordered(trained.settings, 2)
    with pytest.raises(ModelStoreError, match="asks for no model 'nosuch'"):
        run(trained.settings, job)
    assert trained.store.champion().version == "big-1"


def test_the_run_folder_keeps_whose_champion_was_to_be_beaten(trained: Trained) -> None:
    folder = run_folder(trained.settings, trained.job)
    assert (folder / "project.txt").read_text() == f"{CATS} starter_lite\n"
    assert (folder / "parent.txt").read_text() == "starter-3\n"
