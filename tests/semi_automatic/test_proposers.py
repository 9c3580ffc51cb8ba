"""Where masks come from: the grid, and boxes that are there already."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import decode
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.device import Priority
from sam_backend.semi_automatic.proposers import Place, Proposer, proposer_named
from sam_backend.serving.champion import Champion
from tests.semi_automatic.served import (
    SCENE,
    scene_masks,
    scene_subject,
    served_starter,
)


@pytest.fixture(scope="module")
def champion() -> Iterator[Champion]:
    with served_starter() as champion:
        yield champion


def place(champion: Champion, folder: Path = Path("nowhere"), project: int | None = 1) -> Place:
    return Place(champion.view().served.checkpoint.card, folder, project)


def grid(champion: Champion, **parameters: object) -> Proposer:
    return proposer_named("grid", parameters, place(champion))


def best_ious(records: list[MaskRecord]) -> dict[str, float]:
    wanted = scene_masks()
    ious = iou_matrix([one.rle for one in records], list(wanted.values()))
    return dict(zip(wanted, ious.max(axis=0).tolist(), strict=True))


def test_grid_finds_what_the_generator_finds(champion: Champion) -> None:
    card = champion.view().served.checkpoint.card
    settings = AutomaticSettings.of(card.automatic, points_per_side=8, crop_layers=1)
    with champion.lease() as model:
        found = grid(champion, points_per_side=8, crop_layers=1).propose(model, scene_subject())
        alone = list(generate(model.segmenter(), SCENE.image, settings, "scene"))
    keys = [(one.crop, one.point, one.mask_index) for one in found]
    assert keys == [(one.crop, one.point, one.mask_index) for one in alone]
    for ours, theirs in zip(found, alone, strict=True):
        assert np.mean(decode(ours.rle) != decode(theirs.rle)) < 1e-4
        assert (ours.image_digest, ours.settings) == ("scene", settings.fingerprint)
    assert min(best_ious(found).values()) > 0.8


def test_clicks_go_before_a_grid(champion: Champion) -> None:
    """A click that comes while a grid is asked waits for one piece of it, not for all."""
    order: list[str] = []
    proposer = grid(champion, points_per_side=16)

    def propose() -> None:
        with champion.lease() as model:
            proposer.propose(model, scene_subject())
        order.append("grid")

    for _ in range(5):  # on a busy machine a grid may have ended before anybody looked
        order.clear()
        busy_s = champion.device.busy_s
        thread = threading.Thread(target=propose)
        thread.start()
        while thread.is_alive() and (
            champion.device.busy_s == busy_s or champion.device.queue_length == 0
        ):
            time.sleep(0.001)  # looking without a pause would take the grid's own core
        if thread.is_alive():
            champion.device.submit(lambda: order.append("click"), Priority.CLICK).result()
        thread.join()
        if "click" in order:
            break
    assert order == ["click", "grid"]


def test_existing_boxes_become_masks(champion: Champion) -> None:
    boxes = [(60, 60, 240, 240), (325, 55, 505, 215), (125, 330, 475, 510)]
    proposer = proposer_named("existing", {}, place(champion))
    subject = scene_subject(boxes)
    with champion.lease() as model:
        found = proposer.propose(model, subject)
        assert proposer.propose(model, scene_subject()) == []
    assert len(found) == 3
    assert min(best_ious(found).values()) > 0.85
    assert found[0].point == (150, 150)
    rows, columns = np.nonzero(decode(found[0].rle))
    assert found[0].box == (columns.min(), rows.min(), columns.max(), rows.max())
    assert proposer.key(subject) != proposer.key(scene_subject(boxes[:2]))


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        (
            "gird",
            {},
            "no proposer is named 'gird' \\(did you mean 'grid'\\?\\); known: grid, detector",
        ),
        ("grid", {"points": 3}, "points"),
        ("grid", {"points_per_side": 0}, "points_per_side"),
        ("existing", {"points": 3}, "proposer 'existing' has no parameters, not points"),
        ("detector", {"score": 1}, "has no setting 'score'"),
        ("detector", {"min_score": 2}, "min_score must be within 0 and 1, not 2"),
        ("detector", {"max_boxes": 0}, "max_boxes must be 1 to 300, not 0"),
    ],
)
def test_wrong_choices_are_named(
    champion: Champion, name: str, parameters: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        proposer_named(name, parameters, place(champion))


def test_a_project_without_a_detector(champion: Champion, tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match=r"project 1 has no detector .*train-detector"):
        proposer_named("detector", {}, place(champion, tmp_path))


def test_fingerprints_tell_parameters_apart(champion: Champion) -> None:
    prints = {grid(champion, points_per_side=n).fingerprint for n in (8, 8, 9)}
    assert len(prints) == 2
