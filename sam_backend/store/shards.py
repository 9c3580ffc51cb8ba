"""Shards of a bulk run: one Parquet file for some hundred images, one row an image.

A row is written twice: as a line of the shard's journal as soon as its image is done, and in the
shard once all of its images are. Both go through `ImageMasks.as_dict`. A shard is written under
another name and renamed, so that a file with a shard's name is whole; its bytes depend on its rows
only (and on the release of pyarrow), so that a run that was broken off can be compared with one
that was not.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.masks.rle import from_coco, to_coco
from sam_backend.sam.automatic.records import MaskRecord

_MASK = pa.struct(
    [
        ("counts", pa.string()),
        ("box", pa.list_(pa.int32(), 4)),
        ("area_px", pa.int64()),
        ("predicted_iou", pa.float64()),
        ("stability", pa.float64()),
        ("point", pa.list_(pa.float64(), 2)),
        ("mask_index", pa.int8()),
        ("crop", pa.list_(pa.int32(), 4)),
    ]
)
SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("uri", pa.string()),
        ("digest", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("reason", pa.string()),
        ("model_version", pa.string()),
        ("settings", pa.string()),
        ("features", pa.list_(pa.float32())),
        ("masks", pa.list_(_MASK)),
    ]
)
"""A row is an image: `counts` are COCO's compressed run lengths (pycocotools), the other columns
those of `ImageMasks` and `MaskRecord`."""

_MASK_FIELDS = ("area_px", "predicted_iou", "stability", "mask_index")
_MASK_TUPLES = ("box", "point", "crop")
# Rows that are in memory at once when a shard is read.
_ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class ImageMasks:
    """An image of a bulk run and its masks.

    Attributes:
        index: Index of the image in the run's manifest.
        uri: Where the image is.
        digest: sha256 of its bytes, lower-case hex.
        size: (height, width) in pixels; None if it could not be decoded.
        reason: Why it has no masks; None if it was looked at.
        model_version: Model version of the segmenter.
        settings: `AutomaticSettings.fingerprint`.
        features: Mean of the image encoder's output over the image, shape (C,) float32; None
            without.
        masks: Its masks in the generator's order.
    """

    index: int
    uri: str
    digest: str
    size: tuple[int, int] | None
    reason: str | None
    model_version: str
    settings: str
    features: npt.NDArray[np.float32] | None
    masks: tuple[MaskRecord, ...]

    def as_dict(self) -> dict[str, Any]:
        """A row of the schema, of values that JSON has, too."""
        return {
            "index": self.index,
            "uri": self.uri,
            "digest": self.digest,
            "height": None if self.size is None else self.size[0],
            "width": None if self.size is None else self.size[1],
            "reason": self.reason,
            "model_version": self.model_version,
            "settings": self.settings,
            "features": None if self.features is None else self.features.tolist(),
            "masks": [_mask_dict(mask) for mask in self.masks],
        }

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """What `as_dict` gave, or a row that was read from a shard."""
        size = None if row["height"] is None else (int(row["height"]), int(row["width"]))
        features = row["features"]
        return cls(
            index=row["index"],
            uri=row["uri"],
            digest=row["digest"],
            size=size,
            reason=row["reason"],
            model_version=row["model_version"],
            settings=row["settings"],
            features=None if features is None else np.array(features, np.float32),
            masks=tuple(_record(mask, size, row) for mask in row["masks"]),
        )


def write_shard(path: Path, rows: Iterable[ImageMasks], notes: Mapping[str, str]) -> None:
    """Write a shard and let it appear under its name once it is on the disk.

    Args:
        path: The shard's.
        rows: In any order; they are written by `index`.
        notes: For the file's metadata, such as the run that it belongs to.

    Raises:
        OSError: The disk is full or cannot be written; nothing has the shard's name.
    """
    ordered = sorted(rows, key=lambda row: row.index)
    table = pa.Table.from_pylist([row.as_dict() for row in ordered], schema=SCHEMA)
    write_table(path, table, notes)


def write_table(path: Path, table: pa.Table, notes: Mapping[str, str]) -> None:
    """Write any table as `write_shard` does."""
    told = table.replace_schema_metadata(dict(sorted(notes.items())))
    with replacing(path, is_durable=True) as unfinished, unfinished.open("wb") as file:
        pq.write_table(told, file, compression="zstd")


def read_shard(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a shard as dictionaries, few at a time; `ImageMasks.of` takes whole ones.

    Args:
        path: The shard's.
        columns: Only these.

    Raises:
        InvalidInputError: The file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns):
                yield from batch.to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"shard {path} cannot be read: {error}") from error


class ShardJournal:
    """The finished images of a shard that is not whole yet; one process at a time.

    A line is written for each image, and what a killed process left half written is dropped.

    Args:
        path: Path of the journal; removed once the shard is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows = {row.index: row for row in self._read()}

    def add(self, row: ImageMasks) -> None:
        """Keep a finished image.

        Raises:
            OSError: The disk is full or cannot be written.
        """
        with self._path.open("ab") as file:
            # the line break comes first, and so also ends a line left half written
            file.write(b"\n" + json.dumps(row.as_dict(), separators=(",", ":")).encode())
        self.rows[row.index] = row

    def remove(self) -> None:
        """The shard holds all of it."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> Iterator[ImageMasks]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                try:
                    row = ImageMasks.of(json.loads(line))
                except (ValueError, KeyError, TypeError, InvalidInputError):
                    continue  # an empty line, or one left half written
                yield row


def _mask_dict(mask: MaskRecord) -> dict[str, Any]:
    told: dict[str, Any] = {"counts": to_coco(mask.rle)["counts"]}
    told |= {name: getattr(mask, name) for name in _MASK_FIELDS}
    return told | {name: list(getattr(mask, name)) for name in _MASK_TUPLES}


def _record(
    mask: Mapping[str, Any], size: tuple[int, int] | None, row: Mapping[str, Any]
) -> MaskRecord:
    values: dict[str, Any] = {name: mask[name] for name in _MASK_FIELDS}
    values |= {name: tuple(mask[name]) for name in _MASK_TUPLES}
    return MaskRecord(
        rle=from_coco({"size": size, "counts": mask["counts"]}),
        model_version=row["model_version"],
        settings=row["settings"],
        image_digest=row["digest"],
        **values,
    )
