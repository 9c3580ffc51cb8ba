"""Samples of one lot: they grow, and nothing else about them changes behind anybody's back."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.fully_automatic.review.quarantine import quarantine
from sam_backend.fully_automatic.review.runs import Asked, next_sample, open_sample, sample_record
from sam_backend.fully_automatic.review.samples import Sample, keep_sample
from sam_backend.fully_automatic.run_folder import BulkRun, read_run
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.metrics.acceptance import Severity
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.lots import ACCEPTED, REJECTED, UNDECIDED, Lots
from tests.fully_automatic.making import generate, make_images


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BulkRun:
    folder = tmp_path_factory.mktemp("review")
    make_images(folder / "source", 12)
    generate(folder / "source", folder / "run")
    return read_run(folder / "run")


@pytest.fixture
def run(made: BulkRun, tmp_path: Path) -> BulkRun:
    """The same run; its samples lie elsewhere each time."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "shards").symlink_to(made.folder / "shards")
    return BulkRun(tmp_path / "run", made.plan, made.manifest)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A review project whose Label Studio does not answer."""
    settings = Settings(data_dir=tmp_path)
    host = LabelStudioHost("http://127.0.0.1:9", "0" * 40)
    with Project(settings, open_database(settings), host, 3) as opened:
        yield opened


@pytest.fixture
def lots(project: Project) -> Lots:
    return Lots(project.database)


def draw(project: Project, run: BulkRun, asked: Asked, keeps: bool = True) -> Sample:
    sample = next_sample(project, run, asked)
    if keeps:
        keep_sample(run, sample)
    Lots(project.database).sampled(run.run_id, sample_record(sample))
    return sample


def test_a_sample_grows_by_its_size_alone(project: Project, lots: Lots, run: BulkRun) -> None:
    first = draw(project, run, Asked(0.9, 0.75, size=4, by=("folder",), seed=7))
    assert draw(project, run, Asked()) == first
    assert draw(project, run, Asked(0.9, 0.75, size=4, by=("folder",), seed=7)) == first
    larger = draw(project, run, Asked(size=6))
    assert larger.design == first.design
    assert {one.digest for one in first.images} < {one.digest for one in larger.images}
    assert len(larger.deciding) == 6
    assert open_sample(lots, run) == larger


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(seed=8), "seed 7, not 8"),
        (Asked(by=()), "strata"),
        (Asked(0.8, 0.75), "share of right masks 0.9, not 0.8"),
        (Asked(iou=0.5), "IoU 0.75, not 0.5"),
        (Asked(max_defects=0.2), "share of defective images 0.1, not 0.2"),
        (Asked(size=3), "4 images, not 3"),
    ],
)
def test_nothing_else_may_change(project: Project, run: BulkRun, asked: Asked, told: str) -> None:
    draw(project, run, Asked(0.9, 0.75, size=4, by=("folder",), seed=7))
    with pytest.raises(InvalidInputError, match=rf"{told}.*a sample may grow.*review reopen"):
        draw(project, run, asked)


def test_another_project_is_another_review(project: Project, lots: Lots, run: BulkRun) -> None:
    draw(project, run, Asked(size=4))
    with pytest.raises(
        InvalidInputError, match=r"in project 3 of http://127\.0\.0\.1:9, not in project 4"
    ):
        draw(replace(project, id=4), run, Asked(size=4))
    lots.reopen(run.run_id, "project 3 is gone")
    assert draw(replace(project, id=4), run, Asked(size=4, seed=5)).project_id == 4


def test_the_first_sample_says_how_many_and_what_the_lots_before_ask(
    project: Project, lots: Lots, run: BulkRun
) -> None:
    with pytest.raises(InvalidInputError, match="--size or --prove"):
        draw(project, run, Asked())
    for other, verdict in (("one", ACCEPTED), ("two", REJECTED)):
        lots.looked(other, verdict, "normal", {})
    sample = draw(project, run, Asked(0.8, 0.75))
    assert (sample.plan.severity, sample.plan.max_defects) == (Severity.TIGHTENED, 0.1)
    assert len(sample.deciding) == sample.plan.for_lot(12).clean_images < 12
    # what became of others meanwhile does not change what was stated
    lots.looked("two", ACCEPTED, "normal", {})
    assert draw(project, run, Asked(0.8, 0.75, size=12)).plan == sample.plan


def test_a_run_folder_that_was_made_anew_goes_on_with_the_same_sample(
    project: Project, run: BulkRun
) -> None:
    first = draw(project, run, Asked(size=4, seed=7), keeps=False)
    with pytest.raises(InvalidInputError, match="seed 7, not 8"):
        draw(project, run, Asked(size=4, seed=8))
    assert draw(project, run, Asked(size=4)) == first


def test_a_sample_of_an_earlier_release_is_gone_on_with(project: Project, run: BulkRun) -> None:
    keep_sample(run, next_sample(project, run, Asked(size=4, seed=7)))
    with pytest.raises(InvalidInputError, match="seed 7, not 8"):
        draw(project, run, Asked(size=4, seed=8))
    assert len(draw(project, run, Asked(size=5)).deciding) == 5


def test_only_a_rejected_lot_is_quarantined_unless_for_a_reason(
    project: Project, lots: Lots, run: BulkRun
) -> None:
    for verdict, told in (
        (UNDECIDED, "not decided yet"),
        (ACCEPTED, "accepted"),
        (UNDECIDED, "not decided yet"),
    ):
        lots.looked(run.run_id, verdict, "normal", {})
        with pytest.raises(InvalidInputError, match=f"is {told}, and only a rejected one"):
            quarantine(project, run, anyway=" ")
    with pytest.raises(LabelStudioError, match=r"127\.0\.0\.1:9 failed"):  # it was asked
        quarantine(project, run, anyway="imported into the wrong project")
    lots.looked(run.run_id, REJECTED, "normal", {})
    with pytest.raises(LabelStudioError, match=r"127\.0\.0\.1:9 failed"):
        quarantine(project, run)
