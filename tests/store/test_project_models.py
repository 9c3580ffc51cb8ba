"""A model per project: what it names, what is promoted for it alone, and what a kill leaves."""

import json
import os
import signal
import time
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest

from sam_backend.errors import ModelStoreError
from sam_backend.store.models import ModelStore
from sam_backend.store.project_models import ProjectModel, ProjectModels
from tests.store.checkpoints import put
from tests.store.workers import promote_for_project, promote_without_end

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CATS, CELLS = "1.1795443184", "2.1795443190"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with a starter, two ViT-B and challengers of all."""
    put(tmp_path / "packaged", "starter-1")
    put(tmp_path / "own", "b-1", "vit_b", added_at="2026-01-01T00:00:00Z")
    put(tmp_path / "own", "b-2", "vit_b", added_at="2026-01-02T00:00:00Z")
    for version in ("starter-1-r1", "starter-1-r2"):
        put(tmp_path / "own", version, challenger=True, parent="starter-1")
    put(tmp_path / "own", "b-2-r1", "vit_b", challenger=True, parent="b-2")
    made = ModelStore([tmp_path / "own", tmp_path / "packaged"], now=lambda: NOON)
    made.promote("b-1", "the test's beginning", "a test")
    return made


@pytest.fixture
def models(store: ModelStore) -> ProjectModels:
    return ProjectModels(store, now=lambda: NOON)


def served(model: ProjectModel | None) -> str | None:
    return None if model is None or model.entry is None else model.entry.version


def promote(models: ProjectModels, project: str, version: str, **more: str) -> bool:
    return models.promote(project, version, "for the test", "a test", **more)


def test_a_project_that_names_nothing_has_no_model_of_its_own(models: ProjectModels) -> None:
    assert models.of(CATS) is None
    assert models.history(CATS) == ()
    for refused in (
        lambda: promote(models, CATS, "starter-1"),
        lambda: models.rollback(CATS, "no", "a test"),
    ):
        with pytest.raises(ModelStoreError, match=r"names no model.*models use"):
            refused()


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("starter-1", "starter-1"),
        ("starter-1-r2", "starter-1-r2"),
        ("starter", "starter-1"),
        ("vit_b", "b-2"),  # its best, though b-1 was promoted for all
    ],
)
def test_a_version_or_a_family_is_named(models: ProjectModels, name: str, version: str) -> None:
    assert served(models.of(CATS, extra=name)) == version
    models.use(CELLS, name, "for the test", "a test")
    assert served(models.of(CELLS)) == version
    assert models.of(CATS) is None


def test_an_unknown_name_is_told_and_there_once_it_is_in_the_store(
    models: ProjectModels, store: ModelStore, tmp_path: Path
) -> None:
    told = models.of(CATS, extra="l-1")
    assert told is not None
    assert told.entry is None
    assert told.problem.startswith(f"project {CATS} asks for no model 'l-1' in the store (here: ")
    with pytest.raises(ModelStoreError, match="no model 'l-1'"):
        told.required()
    with pytest.raises(ModelStoreError, match="no model 'l-1'"):
        models.use(CATS, "l-1", "for the test", "a test")
    assert models.of(CATS) is None
    put(tmp_path / "own", "l-1", "vit_l")
    assert served(models.of(CATS, extra="l-1")) == "l-1"


def test_what_is_used_goes_before_extra_params_until_it_is_taken_back(
    models: ProjectModels,
) -> None:
    before = models.use(CATS, "b-2", "for the test", "a test", extra="starter")
    assert served(before) == "starter-1"
    own = models.of(CATS, extra="starter")
    assert own is not None
    assert (own.name, own.named_by, served(own)) == ("b-2", "models use", "b-2")
    before = models.use(CATS, None, "for the test", "a test", extra="starter")
    assert served(before) == "b-2"
    own = models.of(CATS, extra="starter")
    assert own is not None
    assert (own.named_by, served(own)) == ("extra_params", "starter-1")
    assert models.of(CATS) is None


def test_a_promotion_for_a_project_changes_no_other(
    models: ProjectModels, store: ModelStore, tmp_path: Path
) -> None:
    models.use(CATS, "starter", "for the test", "a test")
    models.use(CELLS, "starter", "for the test", "a test")
    for_all = (tmp_path / "own" / "champion.json").read_bytes()
    assert promote(models, CATS, "starter-1-r1", replacing="starter-1", named="starter")
    assert not promote(models, CATS, "starter-1-r1")
    assert served(models.of(CATS)) == "starter-1-r1"
    assert served(models.of(CELLS)) == "starter-1"
    assert store.champion().version == "b-1"
    assert (tmp_path / "own" / "champion.json").read_bytes() == for_all
    (entry,) = models.history(CATS)
    assert (entry.version, entry.replaces, entry.named) == ("starter-1-r1", "starter-1", "starter")
    store.promote("b-2", "for all", "a test")
    assert served(models.of(CATS)) == "starter-1-r1"


def test_a_promotion_is_refused_where_things_have_changed(models: ProjectModels) -> None:
    models.use(CATS, "starter", "for the test", "a test")
    promote(models, CATS, "starter-1-r1")
    with pytest.raises(ModelStoreError, match="is starter-1-r1 by now, not starter-1"):
        promote(models, CATS, "starter-1-r2", replacing="starter-1")
    with pytest.raises(ModelStoreError, match="names the model starter by now, not vit_b"):
        promote(models, CATS, "b-2-r1", named="vit_b")
    with pytest.raises(ModelStoreError, match="no version 'none'"):
        promote(models, CATS, "none")
    assert served(models.of(CATS)) == "starter-1-r1"


def test_rollback_goes_back_through_the_projects_own_champions(models: ProjectModels) -> None:
    models.use(CATS, "starter", "for the test", "a test")
    promote(models, CATS, "starter-1-r1")
    promote(models, CATS, "starter-1-r2")
    assert models.rollback(CATS, "worse", "ann").version == "starter-1-r1"
    assert models.rollback(CATS, "worse", "ann").version == "starter-1"
    with pytest.raises(ModelStoreError, match="no champion before starter-1"):
        models.rollback(CATS, "worse", "ann")
    assert served(models.of(CATS)) == "starter-1"


def test_each_name_has_a_line_of_champions_of_its_own(models: ProjectModels) -> None:
    promote(models, CATS, "starter-1-r1", extra="starter")
    assert served(models.of(CATS, extra="starter")) == "starter-1-r1"
    assert served(models.of(CATS, extra="vit_b")) == "b-2"
    assert served(models.of(CATS, extra="starter")) == "starter-1-r1"
    models.use(CATS, "starter", "begin anew", "ann")
    assert served(models.of(CATS)) == "starter-1", "it was asked for by an operator"


def test_a_champion_that_left_the_store_gives_way(models: ProjectModels, tmp_path: Path) -> None:
    models.use(CATS, "starter", "for the test", "a test")
    promote(models, CATS, "starter-1-r1")
    (tmp_path / "own" / "starter-1-r1").rename(tmp_path / "gone")
    assert served(models.of(CATS)) == "starter-1"


def test_versions_of_projects_are_neither_pruned_nor_given_again(
    models: ProjectModels, store: ModelStore, tmp_path: Path
) -> None:
    for number in range(3, 9):
        stamp = f"2026-01-{number:02d}T00:00:00Z"
        about = {"challenger": True, "gate": {"promote": False}, "added_at": stamp}
        put(tmp_path / "own", f"starter-1-r{number}", **about)
    models.use(CATS, "starter-1-r3", "for the test", "a test")
    models.use(CELLS, "starter", "for the test", "a test")
    promote(models, CELLS, "starter-1-r4")
    removed = store.prune(1, None, ["starter-1-r5"])
    assert [entry.version for entry in removed] == ["starter-1-r6", "starter-1-r7"]
    (tmp_path / "own" / "starter-1-r8").rename(tmp_path / "gone")
    promote(models, CELLS, "starter-1-r5")
    (tmp_path / "own" / "starter-1-r5").rename(tmp_path / "gone too")
    assert store.next_version("starter-1") == "starter-1-r6"


def test_a_damaged_file_is_named_and_stays(
    models: ProjectModels, store: ModelStore, tmp_path: Path
) -> None:
    file = tmp_path / "own" / "projects.json"
    file.write_text('{"projects": {"1.2": {"history": [{}]}}}')
    for attempt in (
        lambda: models.of(CATS),
        lambda: models.use(CATS, "starter", "no", "a test"),
        lambda: store.prune(1),
    ):
        with pytest.raises(ModelStoreError, match=r"projects.json is no history of champions"):
            attempt()
    assert "history" in file.read_text()
    assert store.champion().version == "b-1", "the others go on"


def test_processes_that_promote_at_once_lose_nothing(models: ProjectModels, tmp_path: Path) -> None:
    folders = [str(tmp_path / "own"), str(tmp_path / "packaged")]
    for project in (CATS, CELLS):
        models.use(project, "starter", "for the test", "a test")
    versions = ["starter-1-r1", "starter-1-r2"]
    asked = [(folders, (CATS, CELLS)[n // 2 % 2], versions[n % 2]) for n in range(20)]
    with get_context("spawn").Pool(2) as pool:
        changed = pool.starmap(promote_for_project, asked)
    assert len(models.history(CATS)) + len(models.history(CELLS)) == sum(changed)
    for project in (CATS, CELLS):
        chain = ["starter-1", *(one.version for one in models.history(project))]
        assert [one.replaces for one in models.history(project)] == chain[:-1]


def test_a_kill_during_promotions_leaves_a_whole_history(
    models: ProjectModels, tmp_path: Path
) -> None:
    folders = [str(tmp_path / "own"), str(tmp_path / "packaged")]
    models.use(CATS, "starter", "for the test", "a test")
    file = tmp_path / "own" / "projects.json"
    for _ in range(3):
        n_before = len(models.history(CATS))
        process = get_context("spawn").Process(target=promote_without_end, args=(folders, CATS))
        process.start()
        deadline = time.monotonic() + 60
        while len(models.history(CATS)) < n_before + 5:  # read all the while: whole each time
            assert time.monotonic() < deadline
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        history = json.loads(file.read_text())["projects"][CATS]["history"]
        chain = ["starter-1", *(one["version"] for one in history)]
        assert [one["replaces"] for one in history] == chain[:-1]
        assert served(models.of(CATS)) == chain[-1]
    assert models.rollback(CATS, "the lock is free", "a test").version == chain[-2]
