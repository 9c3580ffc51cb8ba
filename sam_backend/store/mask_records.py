"""Mask records as bytes for a column of the database: compressed JSON."""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sam_backend.masks.rle import from_coco, to_coco
from sam_backend.sam.automatic.records import MaskRecord

_NAMES = tuple(field.name for field in fields(MaskRecord) if field.name != "rle")
_TUPLES = ("box", "point", "crop")


def pack(masks: Iterable[tuple[MaskRecord, Mapping[str, Any]]]) -> bytes:
    """Records, each with what else is to be known of it, JSON."""
    told = [
        {
            **{name: getattr(record, name) for name in _NAMES},
            "rle": to_coco(record.rle),
            "more": dict(more),
        }
        for record, more in masks
    ]
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 6)


def unpack(body: bytes) -> list[tuple[MaskRecord, dict[str, Any]]]:
    """What `pack` was given, in its order."""
    found = []
    for told in json.loads(zlib.decompress(body)):
        values = {name: told[name] for name in _NAMES}
        values |= {name: tuple(told[name]) for name in _TUPLES}
        found.append((MaskRecord(rle=from_coco(told["rle"]), **values), told["more"]))
    return found
