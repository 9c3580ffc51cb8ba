"""The examples of docs/python.md and the notebook run, and say what the page claims."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
import pytest
import segment_anything

import sam_backend as sb
from sam_backend.store.models import packaged_store
from sam_backend.training.scenes import simple_scene
from tests.pages import PYTHON_PAGE, README, python_blocks

skimage = pytest.importorskip("skimage")
REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page finds in its folder: photos, a data set, a checkpoint of Meta's name.

    The checkpoint is the starter, and `segment_anything` builds it by the name `vit_b`: the page's
    two codes then ask one small network instead of one that has to be downloaded.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAM_BACKEND_TUNE_ALLOCATOR", "false")
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path / "data"))
    photo = cv2.imread(str(Path(skimage.__file__).parent / "data" / "coffee.png"))
    cv2.imwrite("cup.jpg", photo)
    for name in ("photos", "val/images", "val/masks"):
        Path(name).mkdir(parents=True)
    scene = simple_scene(np.random.default_rng(3), 128)
    cv2.imwrite("photos/scene.png", scene.image)
    cv2.imwrite("val/images/scene.png", scene.image)
    cv2.imwrite("val/masks/scene.png", scene.masks[0].astype(np.uint8) * 255)

    weights = packaged_store() / "starter-3" / "weights.safetensors"
    shutil.copy(weights, "sam_vit_b_01ec64.pth")
    network = sb.load_model(weights, device="cpu").loaded.sam
    registry = {"vit_b": lambda checkpoint: network}
    monkeypatch.setattr(segment_anything, "sam_model_registry", registry)
    return tmp_path


def test_the_pages_examples_run(folder: Path) -> None:
    blocks = [block for block in python_blocks() if "open_project" not in block]  # tests/e2e
    assert len(blocks) > 7
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, str(PYTHON_PAGE), "exec"), names)
    assert "(400, 600)" in printed.getvalue()
    assert "np.stack([image] * 3, axis=-1)" in printed.getvalue()
    assert "1 1 {}" in printed.getvalue()
    assert "scene.png (128, 128)" in printed.getvalue()

    order = np.argsort(-names["their_scores"])
    for index, ours in zip(order, names["our_masks"], strict=True):
        assert np.count_nonzero(ours.mask != names["their_masks"][index]) <= 3
        assert ours.predicted_iou == pytest.approx(names["their_scores"][index], abs=1e-3)
    theirs = {tuple(record["bbox"]) for record in names["their_records"]}
    ours_bboxes = {
        (x, y, width - 1, height - 1)
        for x, y, width, height in (record.bbox_xywh for record in names["our_records"])
    }
    assert ours_bboxes == theirs


def test_the_notebook_runs() -> None:
    mpl.use("Agg")
    file = REPOSITORY / "examples" / "masks_in_a_notebook.ipynb"
    notebook = json.loads(file.read_text(encoding="utf-8"))
    cells = ["".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "code"]
    assert len({one["id"] for one in notebook["cells"]}) == len(notebook["cells"])
    names: dict[str, Any] = {}
    for source in cells:
        exec(compile(source, str(file), "exec"), names)
    assert len(names["clicked"]) == 3
    assert len(names["records"]) > 20
    assert len(names["right"].images) == 1 + len(names["records"])


def test_the_page_is_found_from_the_readme() -> None:
    assert "docs/python.md" in README.read_text(encoding="utf-8")
