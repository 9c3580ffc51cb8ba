"""What a person changed: pairs, deleted and added masks, and the figures of a lot."""

import numpy as np
import pytest

from sam_backend.metrics.corrections import LotShares, correction, lot_shares
from sam_backend.metrics.intervals import Interval
from tests.semi_automatic.records import block

SQUARE, WIDE, OTHER = block(0, 0, 10, 10), block(0, 0, 10, 8), block(40, 40, 50, 50)


def test_a_hand_worked_image() -> None:
    found = correction(
        "d", [SQUARE, OTHER, block(20, 0, 30, 10)], [WIDE, OTHER, block(60, 0, 70, 9)]
    )
    assert [pair.iou for pair in found.pairs] == [pytest.approx(0.8), 1.0, 0.0]
    assert [pair.corrected is None for pair in found.pairs] == [False, False, True]
    assert (found.n_deleted, len(found.added)) == (1, 1)
    assert (found.n_above(0.75), found.n_above(0.9)) == (2, 1)
    assert found.right_share(0.75) == pytest.approx(2 / 4)
    assert found.right_share(0.9) == pytest.approx(1 / 4)


def test_a_mask_that_was_hardly_touched_keeps_its_partner() -> None:
    """Crosswise the summed IoU would be higher: 0.8 and 0.79 for 0.95 and 0.6."""
    touched, within, larger = (block(0, 0, width, 10) for width in (60, 45, 75))
    found = correction("d", [block(0, 0, 57, 10), larger], [within, touched])
    assert [one.iou for one in found.pairs] == pytest.approx([0.95, 0.6])
    assert found.n_above(0.9) == 1


def test_a_tenth_in_common_is_still_the_same_object() -> None:
    """Anything less is one mask deleted, and another added."""
    tenth, less = block(0, 0, 10, 1), block(0, 0, 9, 1)
    assert correction("d", [SQUARE], [tenth]).n_deleted == 0
    found = correction("d", [SQUARE], [less])
    assert (found.n_deleted, len(found.added)) == (1, 1)


def test_empty_images() -> None:
    assert correction("d", [], []).right_share(0.75) == 1
    assert correction("d", [], [SQUARE]).right_share(0.75) == 0
    assert correction("d", [SQUARE], []).right_share(0.75) == 0


def test_shares_of_a_lot() -> None:
    clean, poor = correction("a", [SQUARE], [SQUARE]), correction("b", [SQUARE, OTHER], [WIDE])
    shares = lot_shares([clean, poor, clean], np.array([2.0, 1.0, 2.0]), ["x", "y", "x"])
    above_90, above_75, deleted, added = (getattr(shares, one) for one in LotShares.__slots__)
    assert (above_90.value, above_75.value) == (pytest.approx(4 / 5), 1.0)
    assert (deleted.value, added.value) == (pytest.approx(1 / 6), 0.0)
    assert added.low == 0 < added.high, "that none was added to three images proves little"
    twice = lot_shares([correction("c", [SQUARE], [SQUARE, OTHER])] * 8, np.ones(8), ["x"] * 8)
    assert twice.added_masks_per_automatic_mask == Interval(1, 1, 1)
    assert lot_shares([clean], np.ones(1), ["x"]) == LotShares()
