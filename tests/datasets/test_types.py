"""Identity of data sets."""

from dataclasses import replace
from pathlib import Path

import pytest

from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import encode
from tests.datasets.making import box, dataset_of, image_of

CAT = LabelledMask(encode(box()), "cat", "a")
DOG = LabelledMask(encode(box(width=7)), "dog", "b")
DATASET = dataset_of(image_of(1, CAT, DOG), image_of(2, CAT))


def test_the_digest_is_that_of_the_content() -> None:
    moved = dataset_of(
        image_of(2, CAT, folder=Path("/elsewhere")),
        replace(image_of(1, DOG, CAT), name="other name"),
    )
    assert moved.digest == DATASET.digest


@pytest.mark.parametrize(
    "images",
    [
        [image_of(1, CAT, DOG)],
        [image_of(1, CAT, DOG), image_of(3, CAT)],
        [image_of(1, CAT, CAT), image_of(2, CAT)],
        [image_of(1, CAT, replace(DOG, label=None)), image_of(2, CAT)],
        [image_of(1, CAT, replace(DOG, annotator="a")), image_of(2, CAT)],
        [image_of(1, CAT, DOG), image_of(2, LabelledMask(encode(box(3)), "cat", "a"))],
    ],
)
def test_other_content_has_another_digest(images: list[LabelledImage]) -> None:
    assert dataset_of(*images).digest != DATASET.digest


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"1\.png: a mask of \(20, 30\) lies on"):
        image_of(1, CAT, size=(30, 20))
