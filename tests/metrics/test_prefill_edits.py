"""Which prefilled masks people kept, by hand-worked cases."""

import pytest

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.metrics.prefill_edits import Edits, compare
from tests.semi_automatic.records import block


def mask(x0: int, y0: int, x1: int, y1: int, label: str = "Object") -> LabelledMask:
    return LabelledMask(block(x0, y0, x1, y1), label, None)


CAR, TREE, DOG = mask(10, 10, 60, 40), mask(65, 5, 78, 50), mask(5, 45, 20, 58)
WIDER_CAR = mask(10, 10, 62, 40)
CAR_FRONT, CAR_AND_ROAD = mask(10, 10, 40, 40), mask(10, 10, 60, 60)
HALF_CAR = mask(10, 10, 34, 40)  # an IoU of 0.48


@pytest.mark.parametrize(
    ("predicted", "annotated", "edits"),
    [
        ([CAR, TREE], [CAR, TREE], Edits(kept=2)),
        ([CAR, TREE], [TREE, CAR], Edits(kept=2)),
        ([CAR, TREE], [TREE, WIDER_CAR], Edits(kept=1, edited=1)),
        ([CAR, TREE, DOG], [WIDER_CAR, TREE], Edits(kept=1, edited=1, rejected=1)),
        ([CAR], [CAR, DOG], Edits(kept=1, added=1)),
        ([CAR], [HALF_CAR], Edits(rejected=1, added=1)),
        ([CAR], [mask(10, 10, 60, 40, "Car")], Edits(edited=1, relabelled=1)),
        ([CAR, CAR], [CAR], Edits(kept=1, rejected=1)),
        # crosswise there would be two pairs of an IoU of 0.6
        ([CAR, CAR_FRONT], [CAR_AND_ROAD, CAR], Edits(kept=1, rejected=1, added=1)),
        # 0.71 and, below what counts, 0.45, are more together than crosswise 0.58 and 0.52
        (
            [mask(10, 15, 40, 40), mask(15, 0, 40, 40)],
            [mask(10, 10, 40, 45), mask(10, 10, 50, 35)],
            Edits(edited=2),
        ),
        (  # one shape, two labels
            [CAR, mask(10, 10, 60, 40, "Car")],
            [mask(10, 10, 60, 40, "Car"), CAR],
            Edits(kept=2),
        ),
        ([], [CAR], Edits(added=1)),
        ([CAR], [], Edits(rejected=1)),
        ([], [], Edits()),
    ],
)
def test_each_object_has_one_end(predicted, annotated, edits: Edits) -> None:
    found = compare(predicted, annotated)
    assert found == edits
    assert found.predicted == len(predicted)
    assert found.kept + found.edited + found.added == len(annotated)


def test_edits_add_up() -> None:
    assert Edits(1, 2, 1, 3, 4) + Edits(kept=1, added=2) == Edits(2, 2, 1, 3, 6)


def test_masks_of_images_of_other_sizes() -> None:
    other = LabelledMask(block(0, 0, 3, 3, (10, 10)), None, None)
    with pytest.raises(InvalidInputError, match="one size"):
        compare([CAR], [other])
