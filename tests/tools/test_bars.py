"""Bars are chosen by what they keep, accept and show; what is kept is what the generator keeps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.pixels import read_pixels
from sam_backend.errors import InvalidInputError
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import encode
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.segmenter import Segmenter
from sam_backend.store.cards import read_card
from sam_backend.training.weights import save_weights
from tests.sam.networks import random_starter
from tests.store.checkpoints import put
from tests.training.tiny import squares
from tools.starter import bars
from tools.starter.commands import app

pytestmark = pytest.mark.usefixtures("one_thread")

SIDE = 60


def square(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


def record(mask: np.ndarray, predicted_iou: float, stability: float) -> MaskRecord:
    ys, xs = np.nonzero(mask)
    box = int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())
    area, whole = int(mask.sum()), (0, 0, SIDE, SIDE)
    of = (encode(mask), box, area, predicted_iou, stability, (0.0, 0.0), 0, whole)
    return MaskRecord(*of, model_version="x+1", settings="s", image_digest=None)


def photo() -> bars.Scanned:
    """Two objects, one drawn by two people; a wrong mask that is unsure, one that is unstable."""
    first, second = square(0, 0, 20), square(30, 30, 20)
    found = (
        record(first, 0.9, 0.9),
        record(square(0, 30, 15), 0.8, 0.3),
        record(second, 0.7, 0.8),
        record(square(0, 0, 19), 0.6, 0.8),
        record(square(45, 0, 14), 0.5, 0.9),
    )
    truths = tuple(map(encode, (first, second, first)))
    return bars.Scanned(
        size=(SIDE, SIDE),
        records=found,
        boxes=np.array([one.box for one in found]),
        predicted=np.array([one.predicted_iou for one in found]),
        stability=np.array([one.stability for one in found]),
        truths=truths,
        ious=iou_matrix([one.rle for one in found], truths),
        annotators=np.array(["a", "a", "b"]),
    )


def test_bars_leave_out_what_nobody_drew() -> None:
    photos = [photo(), photo()]
    chosen = bars.choose(photos, points_per_side=8, max_masks=3)
    assert chosen.automatic.points_per_side == 8
    figures = bars.measure(photos, chosen).as_card()
    assert figures["automatic recall@0.5"] == 1
    assert figures["automatic masks a photo"] <= 3
    assert (figures["prefilled precision@0.5"], figures["prefilled recall@0.5"]) == (1, 1)
    assert chosen.prefill.accept_predicted_iou < 0.7
    # both wrong masks are kept and none can be told from the right ones: the best that can be had
    few = bars.choose(photos, points_per_side=8, max_masks=1)
    assert bars.measure(photos, few).masks <= 1
    for none in (lambda: bars.choose([], 8), lambda: bars.measure([], chosen)):
        with pytest.raises(InvalidInputError, match="at least one photo with masks"):
            none()


def test_what_bars_keep_is_what_the_generator_keeps(tmp_path: Path) -> None:
    data = squares(tmp_path, n_images=1)
    segmenter = Segmenter(random_starter(), "random")
    (scanned,) = bars.scan_all(segmenter, data, 4)
    middle = float(np.median(scanned.predicted)), float(np.median(scanned.stability))
    for predicted_iou, stability, nms in ((middle[0], 0.0, 1.0), (0.0, *middle[1:], 0.98)):
        settings = AutomaticSettings(
            points_per_side=4,
            predicted_iou=min(max(predicted_iou, 0), 1),
            stability=stability,
            box_nms=nms,
        )
        wanted = list(generate(segmenter, read_pixels(data.images[0]), settings))
        ours = [scanned.records[i] for i in scanned.kept(settings)]
        assert [(one.point, one.mask_index) for one in ours] == [
            (one.point, one.mask_index) for one in wanted
        ]
        assert 0 < len(ours) < len(scanned.records)


def test_the_command_writes_bars_and_their_figures_on_other_photos(tmp_path: Path) -> None:
    folder = put(tmp_path, "starter-x", measured_quality={"scenes": {"1-click mIoU": 0.5}})
    (folder / "weights.pth").unlink()
    digest = save_weights(random_starter(), folder / "weights.safetensors")
    card = json.loads((folder / "card.json").read_text()) | {"sha256": digest}
    (folder / "card.json").write_text(json.dumps(card))
    data = squares(tmp_path / "images", n_images=3)
    write_manifest(replace(data, name="photos"), tmp_path / "photos.jsonl")
    (tmp_path / "named.txt").write_text("0\n")
    words = [str(folder), str(tmp_path / "photos.jsonl"), "--points", "3", "--threads", "1"]
    for more, n_others in (([], 1), (["--choose-on", str(tmp_path / "named.txt")], 2)):
        ended = CliRunner().invoke(app, ["bars", *words, *more])
        assert ended.exit_code == 0, (ended.output, ended.exception)
        told = read_card(folder / "card.json")
        assert told.automatic["points_per_side"] == 3
        assert told.prefill.keys() > {"accept_predicted_iou", "review_stability"}
        assert told.measured_quality["photos, without clicks"]["photos"] == n_others
        assert told.measured_quality["scenes"] == {"1-click mIoU": 0.5}
