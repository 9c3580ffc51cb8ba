"""`sam-backend evaluate`: figures on stdout, the rest on stderr and in a folder."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sam_backend.cli import evaluate
from sam_backend.cli.main import app
from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from sam_backend.sam.checkpoint_files import sha256_of
from sam_backend.store.learned_images import LEARNED_NAME, NOTHING_LEARNED
from sam_backend.store.models import ModelStore
from tests.datasets.making import box, picture
from tests.sam.networks import random_starter

SIZE = (96, 128)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.manual_seed(0)
    torch.save(random_starter().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images: a large and a small mask by A, one by B on the first."""
    folder = tmp_path_factory.mktemp("data")
    large, small = (
        encode(box(10, 10, 60, 50, size=SIZE)),
        encode(box(90, 20, 10, 10, size=SIZE)),
    )
    images = []
    for number in range(2):
        path = picture(folder / f"{number}.png", SIZE, seed=number)
        masks = [LabelledMask(large, annotator="A"), LabelledMask(small, annotator="A")]
        masks += [LabelledMask(large, annotator="B")] * (1 - number)
        images.append(LabelledImage(path.name, path, sha256_of(path), SIZE, tuple(masks)))
    write_manifest(Dataset("two pictures", tuple(images)), folder / "data.jsonl")
    return folder / "data.jsonl"


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_BACKEND_TUNE_ALLOCATOR", "false")
    monkeypatch.setenv("SAM_BACKEND_THREADS", "1")


def run(*arguments: object):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_a_table_of_figures_with_intervals(data: Path, weights: Path) -> None:
    done = run(data, "--model", weights, "--clicks", 3)
    assert done.exit_code == 0, done.output
    assert "5 masks on 2 images" in done.stderr
    paper, _, figures = done.stdout.partition("\n\n")
    assert paper.split()[:6] == ["DATA", "SET", "MASKS", "NoC@85", "NoC@90", "1-click"]
    assert paper.splitlines()[1].split()[:3] == ["two", "pictures", "5"]
    header, *rows = figures.splitlines()
    assert header.split()[:2] == ["FIGURE", next(w for w in header.split() if "random+" in w)]
    names = [row.split("  ")[0] for row in rows]
    assert names[:3] == ["1-click mIoU", "3-click mIoU", "1-click mIoU, best of three"]
    assert "NoC@90 (max 3)" in names
    assert "5-click mIoU" not in names
    assert all(" to " in row for row in rows)


def test_json_for_scripts(data: Path, weights: Path) -> None:
    done = run(data, "--model", weights, "--clicks", 1, "--annotator", "B", "--json")
    told = json.loads(done.stdout)
    assert told["interactive"]["masks"] == 1
    assert "results" not in told["interactive"]
    assert told["intervals"] == {}
    assert len(told["data_digest"]) == 64
    assert "automatic" not in told


@pytest.mark.parametrize(
    ("options", "n_masks"),
    [
        ([], 5),
        (["--annotator", "first"], 4),
        (["--min-area", "0.1"], 3),
        (["--limit", "1"], 3),
        (["--limit", "1", "--annotator", "first", "--min-area", "0.1"], 1),
    ],
)
def test_what_is_measured_can_be_chosen(
    data: Path, weights: Path, options: list[str], n_masks: int
) -> None:
    done = run(data, "--model", weights, "--clicks", 1, "--json", *options)
    assert json.loads(done.stdout)["interactive"]["masks"] == n_masks


def test_results_and_pictures_go_into_a_folder(data: Path, weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    assert run(data, "--model", weights, "--clicks", 1, "--out", out).exit_code == 0
    told = json.loads((out / evaluate.RESULTS_NAME).read_text())
    assert len(told["interactive"]["results"]) == 5
    assert cv2.imread(str(out / evaluate.SHEET_NAME)) is not None


def test_automatic_masks_are_measured_when_asked(data: Path, weights: Path) -> None:
    generator = ["--automatic", "--points", 4, "--predicted-iou", 0, "--stability", 0]
    options = ["--model", weights, "--clicks", 1, *generator]
    done = run(data, *options, "--json")
    told = json.loads(done.stdout)
    assert told["thresholds"]["predicted_iou"] == 0
    assert told["automatic"]["masks"] == 5
    assert told["automatic"]["proposals_per_image"] > 0
    assert "automatic AR@1000" in run(data, *options).stdout


def test_nothing_to_measure_says_why(data: Path, weights: Path) -> None:
    done = run(data, "--model", weights, "--annotator", "C")
    assert isinstance(done.exception, InvalidInputError)
    assert "no mask by annotator 'C'" in str(done.exception)


def test_the_packaged_starter_needs_no_name(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path))
    done = run(data, "--clicks", 1, "--limit", 1)
    assert "starter-" in done.stdout


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two data sets, a damaged one, one whose image is gone, and what is none."""
    folder = tmp_path / "suite"
    for number, (name, pair) in enumerate({"Zebra": "img gt", "apple": "images masks"}.items()):
        images, masks = (folder / name / one for one in pair.split())
        for n in range(2):
            picture(images / f"{n}.jpg", SIZE, seed=10 * number + n)
            masks.mkdir(exist_ok=True)
            cv2.imwrite(str(masks / f"{n}.png"), box(10, 10, 60, 50, size=SIZE) * np.uint8(255))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "set.json").write_text("{")
    shutil.copytree(folder / "apple", folder / "cut short")
    whole = (folder / "apple" / "images" / "0.jpg").read_bytes()
    (folder / "cut short" / "images" / "0.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "readme.txt").write_text("no folder")
    return folder


def test_a_suite_is_a_table_as_in_papers_and_no_data_set_costs_the_others(
    suite: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run("--suite", suite, "--model", weights, "--clicks", 3, "--out", out)
    assert done.exit_code == 1  # two could not be measured
    lines = done.stdout.splitlines()
    heads = ["NoC@85", "NoC@90", "1-click mIoU", "3-click mIoU", "box mIoU"]
    assert lines[0].split() == " ".join(["DATA SET MASKS", *heads]).split()
    assert [line.split()[:2] for line in lines[1::2]] == [["Zebra", "2"], ["apple", "2"]]
    assert all("-" in cell for line in lines[2::2] for cell in line.split())
    assert max(map(len, lines)) <= 100
    assert "skipped: notes is no data set" in done.stderr
    assert "hidden" not in done.stderr
    assert "failed: damaged: " in done.stderr
    assert "failed: cut short: image 0.jpg" in done.stderr
    assert json.loads((out / "Zebra" / evaluate.RESULTS_NAME).read_text())["interactive"]
    assert cv2.imread(str(out / "apple" / evaluate.SHEET_NAME)) is not None


def test_a_suite_as_json(suite: Path, weights: Path) -> None:
    for name in ("damaged", "cut short"):
        shutil.rmtree(suite / name)
    done = run("--suite", suite, "--model", weights, "--clicks", 1, "--limit", 1, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert list(told["data_sets"]) == ["Zebra", "apple"]
    assert told["data_sets"]["apple"]["interactive"]["masks"] == 1
    assert (told["skipped"], told["failed"]) == (["notes"], {})


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "either a data set or --suite"),
        (["set.json", "--suite", "."], "either a data set or --suite"),
        (["--suite", "nowhere"], "there is no folder nowhere"),
        (["--suite", "empty"], "has no sub-folder"),
        (["--suite", "bare"], "holds no data set in its folders: notes"),
        (["--suite", "bare", "--images", "."], "--images is of one data set"),
    ],
)
def test_a_suite_that_is_none_says_why(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    told: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare" / "notes").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, "--model", weights)
    assert isinstance(done.exception, InvalidInputError)
    assert told in str(done.exception)


def test_images_that_the_model_has_learned_from_are_told(
    data: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_BACKEND_MODEL_STORE", str(tmp_path / "store"))
    first, *_ = read_manifest(data)
    listed = tmp_path / LEARNED_NAME
    told = NOTHING_LEARNED.and_images([first.digest, "0" * 64]).write(listed)
    store = ModelStore([tmp_path / "store"])
    store.add(weights, "taught", attachments={LEARNED_NAME: listed}, learned_from=told)
    store.add(weights, "untaught")
    ended = run(data, "--model", "taught", "--clicks", 1, "--json")
    assert ended.exit_code == 0, ended.output
    assert "warning: the model has learned from 1 of these images" in ended.stderr
    assert "warning" not in run(data, "--model", "untaught", "--clicks", 1).stderr
