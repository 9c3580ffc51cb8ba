"""All like this one: masks that look like a submitted one, with its label, or a clear sentence."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError, NoExemplarError
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE, encode
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.exemplars import Exemplar, split_names
from sam_backend.semi_automatic.proposers import Place, Proposer, Subject, proposer_named
from sam_backend.serving.champion import Champion
from tests.semi_automatic.served import served_starter

RED, BLUE = (200, 40, 40), (30, 60, 200)
DISCS = [(80, 70), (230, 90), (90, 220), (250, 240)]
SQUARES = [(150, 150), (300, 160), (160, 290)]


@pytest.fixture(scope="module")
def champion() -> Iterator[Champion]:
    with served_starter() as champion:
        yield champion


def picture(
    size: tuple[int, int] = (340, 360),
) -> tuple[npt.NDArray[np.uint8], list[RLE], list[RLE]]:
    """Four red discs and three blue squares on a grey ground; pixels, discs, squares."""
    image = np.full((*size, 3), 190, np.uint8)
    discs, squares = [], []
    for number, (x, y) in enumerate(DISCS):
        mask = np.zeros(size, np.uint8)
        cv2.circle(mask, (x, y), 26 + 2 * number, 1, -1)
        image[mask > 0] = RED
        discs.append(encode(mask > 0))
    for x, y in SQUARES:
        mask = np.zeros(size, np.bool_)
        mask[y - 24 : y + 24, x - 24 : x + 24] = True
        image[mask] = BLUE
        squares.append(encode(mask))
    return image, discs, squares


IMAGE, RED_DISCS, BLUE_SQUARES = picture()


def subject(*submitted: LabelledMask, image: npt.NDArray[np.uint8] = IMAGE) -> Subject:
    return Subject(f"{image.shape}", image, np.zeros((0, 4)), submitted=submitted)


def similar(
    champion: Champion,
    labels: Sequence[str] = ("Ball", "Box"),
    exemplars: Sequence[Exemplar] = (),
    **parameters: object,
) -> Proposer:
    card = champion.view().served.checkpoint.card
    place = Place(card, Path(), 1, tuple(labels), lambda like: exemplars)
    return proposer_named("similar", parameters, place)


def labelled(
    champion: Champion, proposer: Proposer, asked: Subject
) -> list[tuple[MaskRecord, tuple[str, ...]]]:
    with champion.lease() as model:
        records = proposer.propose(model, asked)
        return list(zip(records, proposer.labels(model, asked, records), strict=True))


def n_found(records: Sequence[MaskRecord], wanted: Sequence[RLE]) -> int:
    ious = iou_matrix([one.rle for one in records], wanted)
    return int((ious.max(axis=0, initial=0) > 0.7).sum())


def test_one_mask_finds_its_look_alikes_and_no_others(champion: Champion) -> None:
    asked = subject(LabelledMask(RED_DISCS[0], "Ball"))
    proposer = similar(champion)
    found = labelled(champion, proposer, asked)
    records = [record for record, _ in found]
    assert n_found(records, RED_DISCS) == 4
    assert n_found(records, BLUE_SQUARES) == 0
    assert {labels for _, labels in found} == {("Ball",)}
    assert all(one.image_digest == asked.digest for one in records)
    [note] = proposer.notes(asked)
    assert note.startswith("nothing is proposed for label 'Box': submit")


def test_each_mask_gets_the_label_that_it_resembles(champion: Champion) -> None:
    asked = subject(LabelledMask(RED_DISCS[3], "Ball"), LabelledMask(BLUE_SQUARES[0], "Box"))
    proposer = similar(champion)
    found = labelled(champion, proposer, asked)
    for label, wanted, others in (
        ("Ball", RED_DISCS, BLUE_SQUARES),
        ("Box", BLUE_SQUARES, RED_DISCS),
    ):
        records = [record for record, labels in found if labels == (label,)]
        assert n_found(records, wanted) == len(wanted)
        assert n_found(records, others) == 0
    assert proposer.notes(asked) == []
    again = [one.rle.counts.tolist() for one, _ in labelled(champion, similar(champion), asked)]
    assert again == [one.rle.counts.tolist() for one, _ in found]


def test_an_exemplar_on_another_image_of_another_size(champion: Champion) -> None:
    image, discs, _ = picture((400, 520))
    elsewhere = Exemplar(("Ball",), discs[1], "another", lambda: image)
    found = labelled(champion, similar(champion, exemplars=[elsewhere]), subject())
    records = [record for record, _ in found]
    assert n_found(records, RED_DISCS) == 4
    assert n_found(records, BLUE_SQUARES) == 0


def test_only_what_is_like_the_named_ones(champion: Champion) -> None:
    both = subject(LabelledMask(RED_DISCS[0], "Ball"), LabelledMask(BLUE_SQUARES[0], "Box"))
    boxes = labelled(champion, similar(champion, like=["Box"]), both)
    assert {labels for _, labels in boxes} == {("Box",)}
    # a named place counts alone, whatever else was submitted, and also without a label
    named = Exemplar((), RED_DISCS[1], both.digest, lambda: IMAGE)
    balls = labelled(champion, similar(champion, exemplars=[named], like=["12/34"]), both)
    assert {labels for _, labels in balls} == {()}
    assert n_found([record for record, _ in balls], RED_DISCS) == 4


def test_a_project_without_labels(champion: Champion) -> None:
    found = labelled(champion, similar(champion, ()), subject(LabelledMask(RED_DISCS[0])))
    assert {labels for _, labels in found} == {()}
    assert n_found([record for record, _ in found], RED_DISCS) == 4


@pytest.mark.parametrize(
    ("labels", "like", "says"),
    [
        (("Ball", "Box"), [], "submitted a mask of labels 'Ball', 'Box' yet. Draw one, submit"),
        (("Ball", "Box"), ["Box"], "submitted a mask of label 'Box' yet"),
        ((), [], "nobody has submitted a mask yet"),
    ],
)
def test_without_an_exemplar_a_sentence_says_what_to_do(
    champion: Champion, labels: tuple[str, ...], like: list[str], says: str
) -> None:
    proposer = similar(champion, labels, like=like)
    with pytest.raises(NoExemplarError, match=says), champion.lease() as model:
        proposer.propose(model, subject())
    with pytest.raises(NoExemplarError, match=says):
        proposer.check()


def test_masks_of_other_labels_are_no_exemplars(champion: Champion) -> None:
    """Such as of a label that the config had once, or of a mask without one."""
    asked = subject(LabelledMask(RED_DISCS[0], "Old"), LabelledMask(RED_DISCS[1]))
    with pytest.raises(NoExemplarError), champion.lease() as model:
        similar(champion).propose(model, asked)


@pytest.mark.parametrize("kind", ["whole image", "one pixel", "half a cell"])
def test_odd_exemplars_find_little_and_break_nothing(champion: Champion, kind: str) -> None:
    mask = np.zeros(IMAGE.shape[:2], np.bool_)
    if kind == "whole image":
        mask[:] = True
    else:
        mask[70, 80 : 81 if kind == "one pixel" else 86] = True
    found = labelled(champion, similar(champion), subject(LabelledMask(encode(mask), "Ball")))
    assert n_found([record for record, _ in found], BLUE_SQUARES) == 0


def test_a_picture_of_one_pixel(champion: Champion) -> None:
    image = np.full((1, 1, 3), 90, np.uint8)
    mask = LabelledMask(encode(np.ones((1, 1), np.bool_)), "Ball")
    labelled(champion, similar(champion), subject(mask, image=image))


def test_keys_change_with_the_exemplars(champion: Champion) -> None:
    proposer = similar(champion)
    one, other = (subject(LabelledMask(mask, "Ball")) for mask in RED_DISCS[:2])
    keys = {proposer.key(one), proposer.key(other), proposer.key(subject())}
    assert len(keys) == 3
    assert max(map(len, keys)) <= 60
    exemplar = partial(Exemplar, ("Ball",), RED_DISCS[0], pixels=lambda: IMAGE)
    prints = {
        similar(champion, exemplars=some).fingerprint
        for some in ([], [exemplar("a")], [exemplar("a")], [exemplar("b")])
    }
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"points_per_side": 3}, "has no setting 'points_per_side'"),
        ({"like": ["Bal"]}, r"like names 'Bal', .*did you mean 'Ball'.*'Ball', 'Box'"),
        ({"like": [2.5]}, "like must be a list of labels, tasks"),
        ({"min_likeness": "much"}, "min_likeness must be a number, not 'much'"),
        ({"points": 0}, "points must be 1 to 4096, not 0"),
    ],
)
def test_wrong_parameters_are_named(
    champion: Champion, parameters: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        similar(champion, **parameters)


def test_names_of_places_and_of_labels() -> None:
    assert split_names(["12", "Ball", "12/34", "7/8/a-b", "A/1"]) == (
        ["12", "12/34", "7/8/a-b"],
        ["Ball", "A/1"],
    )
