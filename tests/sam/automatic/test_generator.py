"""What the generator adds to segment_anything's: provenance, the 95 % filter, coarse grids."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import decode, encode
from sam_backend.sam.automatic.generator import CropScan, generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Embedding, PointMask
from tests.sam.automatic.passing import with_passing
from tests.sam.networks import small_sam

SIZE = (80, 120)


@dataclass
class Squares:
    """A scanner that knows its masks: a square around each click, or the same mask for all."""

    half: int = 8
    asked: list[np.ndarray] = field(default_factory=list)
    model_version: str = "squares-1"

    def embed(self, image: np.ndarray) -> Embedding:
        size = image.shape[:2]
        return Embedding(np.zeros((1, 1, 1), np.float32), size, size)

    def scan(
        self,
        embedding: Embedding,
        xy: np.ndarray,
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        stability_offset: float = 1.0,
    ) -> Iterator[PointMask]:
        self.asked.append(xy)
        height, width = embedding.image_size
        for index, (x, y) in enumerate(xy.astype(int).tolist()):
            x0, x1 = max(0, x - self.half), min(width, x + self.half)
            y0, y1 = max(0, y - self.half), min(height, y + self.half)
            mask = np.zeros((height, width), bool)
            mask[y0:y1, x0:x1] = True
            box = np.array([x0, y0, x1 - 1, y1 - 1])
            yield PointMask(index, 0, encode(mask), box, int(mask.sum()), 0.9, 0.97)


def found(scanner: Squares, told: list[CropScan] | None = None, **given: float) -> list[MaskRecord]:
    image = np.zeros((*SIZE, 3), np.uint8)
    settings = AutomaticSettings(**given)
    return list(
        generate(scanner, image, settings, "digest", told.append if told is not None else None)
    )


def test_a_record_says_where_it_is_from() -> None:
    told: list[CropScan] = []
    records = found(Squares(), told, points_per_side=2, crop_layers=1)
    assert [scan.done for scan in told] == [1, 2, 3, 4, 5]
    assert {scan.of for scan in told} == {5}
    assert [scan.points for scan in told] == [4] * 5
    for record in records:
        x0, y0, x1, y1 = record.crop
        x, y = record.point
        assert x0 < x < x1
        assert y0 < y < y1
        mask = decode(record.rle)
        assert mask.shape == SIZE
        assert mask[int(y), int(x)]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert record.box == (columns[0], rows[0], columns[-1], rows[-1])
        assert record.area_px == mask.sum()
        assert (record.model_version, record.image_digest) == ("squares-1", "digest")
    settings = AutomaticSettings(points_per_side=2, crop_layers=1)
    assert {record.settings for record in records} == {settings.fingerprint}
    assert len({record.crop for record in records}) > 1


@pytest.mark.parametrize(("share", "n_masks"), [(None, 1), (1.0, 0), (0.95, 0)])
def test_masks_of_all_but_the_whole_image_are_dropped(share: float | None, n_masks: int) -> None:
    assert len(found(Squares(500), points_per_side=3, max_image_share=share)) == n_masks


def test_empty_masks_are_no_records() -> None:
    assert found(Squares(0), points_per_side=3, stability=0.0, predicted_iou=0.0) == []


def test_a_coarse_grid_asks_only_what_no_mask_covers() -> None:
    told: list[CropScan] = []
    scanner = Squares(
        half=11
    )  # cells are 15 by 10 pixels: a mask covers the points above and below
    records = found(scanner, told, points_per_side=8, coarse_step=2, coarse_cover=0.06)
    assert [len(xy) for xy in scanner.asked] == [16, 64 - 16 - told[0].skipped]
    assert told[0].skipped >= 16
    assert 16 <= len(records) < 64
    every = found(Squares(half=11), points_per_side=8)
    assert {record.point for record in records} < {record.point for record in every}


def test_the_parts_of_a_large_mask_are_still_looked_for() -> None:
    told: list[CropScan] = []
    found(Squares(half=11), told, points_per_side=8, coarse_step=2, coarse_cover=0.02)
    assert told[0].skipped == 0


def test_a_coarse_grid_without_masks_asks_every_point() -> None:
    scanner = Squares(0)
    told: list[CropScan] = []
    found(scanner, told, points_per_side=8, coarse_step=4)
    assert [len(xy) for xy in scanner.asked] == [4, 16, 44]
    assert told == [CropScan(1, 1, 64, 0, 0)]


def test_crops_of_an_image_narrower_than_they_are_many() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 1, 3), dtype=np.uint8)
    sam = with_passing(small_sam(), image, 4, 0.5)
    settings = AutomaticSettings(points_per_side=4, crop_layers=2, box_nms=1.0, crop_nms=1.0)
    records = list(generate(Segmenter(sam, "random"), image, settings))
    assert records
    assert all(record.rle.size == (50, 1) for record in records)


def test_an_array_that_is_no_image_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="an image must be uint8"):
        list(
            generate(
                Segmenter(small_sam(), "r"), np.zeros((5, 5, 4), np.uint8), AutomaticSettings()
            )
        )
