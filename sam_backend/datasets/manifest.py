"""Our own file of a data set: JSON lines, one an image.

The first line is the header:

    {"format": "sam-backend data set", "version": 1, "name": …, "licence": …, "skipped": {…},
     "categories": [labels]}

and each other line an image, its path relative to the manifest where it lies below it:

    {"name": …, "path": …, "digest": …, "size": [H, W], "masks": [{"segmentation":
     {"size": [H, W], "counts": …}, "label": …, "annotator": …, "gold": true,
     "more_labels": […], "ignore": {"size": [H, W], "counts": …}}, …]}

`gold`, `more_labels` and `ignore` are there only for masks that are gold, have several labels or
void pixels. `skipped` is `{reason: {"count": …, "which": [names]}}`. An image without masks is a
negative.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import Annotation, Collector
from sam_backend.datasets.decoding import MAX_PIXELS
from sam_backend.datasets.documents import text_of
from sam_backend.datasets.image_files import ImageFile, examine
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset, LabelledMask
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.files import replacing
from sam_backend.masks.rle import to_coco
from sam_backend.masks.whole_numbers import whole_number

FORMAT = "sam-backend data set"
VERSION = 1
_MAX_HEADER_BYTES = 1 << 20


def write_manifest(dataset: Dataset, file: Path) -> None:
    """Write a data set's manifest; at no time a half of it lies at `file`.

    Args:
        dataset: What to write.
        file: By custom `*.jsonl`; its folder is made.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = file.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(file) as unfinished, unfinished.open("w", encoding="ascii") as stream:
        for record in _records(dataset, folder):
            stream.write(json.dumps(record, separators=(",", ":")) + "\n")


def _records(dataset: Dataset, folder: Path) -> Iterator[dict[str, Any]]:
    yield {
        "format": FORMAT,
        "version": VERSION,
        "name": dataset.name,
        "licence": dataset.licence,
        "skipped": dataset.skipped.as_json(),
        "categories": list(dataset.categories),
    }
    for image in dataset:
        path = image.path.absolute()
        yield {
            "name": image.name,
            "path": str(path.relative_to(folder) if path.is_relative_to(folder) else path),
            "digest": image.digest,
            "size": list(image.size),
            "masks": [_mask_record(mask) for mask in image.masks],
        }


def _mask_record(mask: LabelledMask) -> dict[str, Any]:
    record: dict[str, Any] = {
        "segmentation": to_coco(mask.rle),
        "label": mask.label,
        "annotator": mask.annotator,
    }
    if mask.is_gold:
        record["gold"] = True
    if mask.more_labels:
        record["more_labels"] = list(mask.more_labels)
    if mask.ignore is not None:
        record["ignore"] = to_coco(mask.ignore)
    return record


def read_manifest(file: Path, verify: bool = True) -> Dataset:
    """Read a manifest; what it counted as skipped is counted on.

    Args:
        file: Written by `write_manifest`.
        verify: Read every image file and skip those that are not the ones the masks were drawn on.
            Without, only that it exists is looked at.

    Raises:
        InvalidInputError: The file is missing or no manifest that we know.
    """
    try:
        with file.open("rb") as stream:
            header = _check_header(stream.readline(), file)
            collector = Collector(min_area_px=1)
            collector.left_out.update(LeftOut.from_json(header.get("skipped")))
            for number, line in enumerate(stream, 2):
                _add(line, f"line {number}", file.absolute().parent, verify, collector)
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}") from error
    name, licence = text_of(header.get("name")), text_of(header.get("licence"))
    told = header.get("categories")
    categories = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    return collector.dataset(file.stem if name is None else name, licence, categories)


def is_manifest(file: Path) -> bool:
    """Whether a file's first line is a manifest's header, of any version."""
    try:
        with file.open("rb") as stream:
            header = _parse(stream.readline(_MAX_HEADER_BYTES))
    except OSError:
        return False
    return header is not None and header.get("format") == FORMAT


def _check_header(line: bytes, file: Path) -> dict[str, Any]:
    header = _parse(line)
    if header is None or header.get("format") != FORMAT:
        raise InvalidInputError(f"{file} does not start with the header of a {FORMAT}")
    if header.get("version") != VERSION:
        raise InvalidInputError(
            f"{file} is a {FORMAT} of version {header.get('version')!r}, we read {VERSION}"
        )
    return header


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _add(line: bytes, place: str, folder: Path, verify: bool, collector: Collector) -> None:
    record = _parse(line) or {}
    name, path, masks = record.get("name"), record.get("path"), record.get("masks")
    file = _image_file(record)
    if (
        file is None
        or not isinstance(name, str)
        or not isinstance(path, str)
        or not isinstance(masks, list)
    ):
        collector.left_out.add(reasons.MALFORMED_RECORD, place)
        return
    fault = _fault(folder / path, file, verify)
    if fault is not None:
        collector.left_out.add(fault, f"{name}, {path}")
        return
    annotations = [_annotation(mask if isinstance(mask, dict) else {}) for mask in masks]
    collector.add_examined(name, folder / path, file, annotations, file.size)


def _image_file(record: dict[str, Any]) -> ImageFile | None:
    digest, size = record.get("digest"), record.get("size")
    if not isinstance(digest, str) or not isinstance(size, list) or len(size) != 2:
        return None
    height, width = map(whole_number, size)
    if height is None or width is None or min(height, width) < 1:
        return None
    return ImageFile(digest, (height, width)) if height * width <= MAX_PIXELS else None


def _annotation(record: dict[str, Any]) -> Annotation:
    more = record.get("more_labels")
    return Annotation(
        record.get("segmentation"),
        text_of(record.get("label")),
        text_of(record.get("annotator")),
        record.get("gold") is True,
        tuple(one for one in more if isinstance(one, str)) if isinstance(more, list) else (),
        ignore=record.get("ignore"),
    )


def _fault(path: Path, expected: ImageFile, verify: bool) -> str | None:
    """Why an image cannot be used; None if it can."""
    try:
        if verify:
            return None if examine(path) == expected else reasons.CHANGED_IMAGE
        return None if path.is_file() else reasons.MISSING_IMAGE
    except FileNotFoundError:
        return reasons.MISSING_IMAGE
    except (ImageDecodeError, OSError):
        return reasons.UNREADABLE_IMAGE
