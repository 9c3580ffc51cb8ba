"""Labels of prefilled masks from what people have labelled."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE, encode
from sam_backend.sam.types import Embedding
from sam_backend.semi_automatic.labelling import classifier_named
from sam_backend.semi_automatic.nearest import LabelBook, Nearest, learn_book, looks
from sam_backend.serving.champion import Champion
from tests.semi_automatic.served import served_starter

SIDE = 200


@pytest.fixture(scope="module")
def champion() -> Iterator[Champion]:
    with served_starter() as champion:
        yield champion


def picture(seed: int) -> tuple[np.ndarray, list[tuple[RLE, str]]]:
    """A red disc and a striped square on a plain ground."""
    rng = np.random.default_rng(seed)
    image = np.full((SIDE, SIDE, 3), 210, np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    x, y = rng.integers(45, 60, 2)
    disc = np.hypot(rows - y, columns - x) < rng.integers(28, 38)
    left, top = rng.integers(110, 125, 2)
    square = np.zeros((SIDE, SIDE), bool)
    square[top : top + 65, left : left + 65] = True
    image[disc] = (200, 40, 40)
    image[square] = np.where((rows // 6 % 2)[square][:, None], 20, 250)
    return image, [(encode(disc), "Ball"), (encode(square), "Flag")]


def embedding(champion: Champion, image: np.ndarray) -> Embedding:
    return champion.view().served.segmenter().embed(image)


def taught(champion: Champion, seeds: range) -> LabelBook:
    pictures = [picture(seed) for seed in seeds]
    return learn_book(
        [(lambda image=image: embedding(champion, image), masks) for image, masks in pictures],
        "m+1",
    )


def test_new_pictures_get_the_right_labels(champion: Champion) -> None:
    nearest = Nearest(taught(champion, range(8)))
    right = 0
    for seed in range(100, 106):
        image, masks = picture(seed)
        predictions = nearest.classify(
            embedding(champion, image), [mask for mask, _ in masks], "m+1"
        )
        right += sum(
            prediction is not None and prediction.label == label
            for prediction, (_, label) in zip(predictions, masks, strict=True)
        )
    assert right >= 11


def test_shuffled_labels_teach_nothing(champion: Champion) -> None:
    book = taught(champion, range(8))
    shuffled = LabelBook(book.model_version, book.vectors, ("Ball", "Flag", "Flag", "Ball") * 4)
    image, masks = picture(100)
    predictions = Nearest(shuffled).classify(
        embedding(champion, image), [mask for mask, _ in masks], "m+1"
    )
    assert all(prediction is None or prediction.confidence < 0.9 for prediction in predictions)


def test_a_book_survives_its_file_and_is_asked_by_name(champion: Champion, tmp_path: Path) -> None:
    book = taught(champion, range(6))
    book.save(tmp_path / "labels" / "project-7.npz")
    nearest = classifier_named("nearest", tmp_path, 7)
    image, masks = picture(0)
    [prediction, _] = nearest.classify(
        embedding(champion, image), [mask for mask, _ in masks], "m+1"
    )
    assert prediction is not None
    with pytest.raises(InvalidInputError, match=r"taught with m\+1, and m\+2 is served"):
        nearest.classify(embedding(champion, image), [], "m+2")
    with pytest.raises(InvalidInputError, match="nobody has taught"):
        classifier_named("nearest", tmp_path, 8)
    with pytest.raises(InvalidInputError, match="'best'; known: nearest"):
        classifier_named("best", tmp_path, 7)


def test_nothing_labelled() -> None:
    with pytest.raises(InvalidInputError, match="no labelled mask"):
        learn_book([], "m+1")


def test_a_mask_smaller_than_a_cell_looks_like_its_place(champion: Champion) -> None:
    image, _ = picture(0)
    dot = np.zeros((SIDE, SIDE), bool)
    dot[50, 50] = True
    around = np.zeros((SIDE, SIDE), bool)
    around[44:56, 44:56] = True
    encoded = embedding(champion, image)
    a, b = looks(encoded, encode(dot)), looks(encoded, encode(around))
    assert float(a @ b) > 0.9
    assert float(np.linalg.norm(a)) == pytest.approx(1)
