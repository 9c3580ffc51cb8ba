"""COCO's instances file: one JSON for all images.

The format: cocodataset.org, "Data format", object detection. Over it we read `annotator`, which
`bsds500` has: who drew the mask. Masks of a crowd (`iscrowd`) count as any other.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import MIN_AREA_PX, Annotation, Collector
from sam_backend.datasets.documents import load_json, size_of, text_of
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError


def read_coco(file: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX) -> Dataset:
    """Read a COCO instances file.

    Args:
        file: The JSON file.
        images: Where its `file_name`s start; without, the folder of the same name beside the file
            (`train/` for `train.json`) if there is one, else the file's own folder.
        min_area_px: Masks with fewer pixels are skipped.

    Raises:
        InvalidInputError: The file is missing or no COCO file.
    """
    return coco_dataset(load_json(file), file, images, min_area_px)


def is_coco(document: Any) -> bool:
    """Whether a JSON document has the lists of a COCO file."""
    return isinstance(document, dict) and all(
        isinstance(document.get(key), list) for key in ("images", "annotations")
    )


def coco_dataset(
    document: Any, file: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX
) -> Dataset:
    """`read_coco` of a file that was loaded already."""
    if not is_coco(document):
        raise InvalidInputError(f"{file} has no lists `images` and `annotations`: no COCO file")
    collector = Collector(min_area_px)
    annotations = _annotations_by_image(document, collector)
    folder = images or _folder_beside(file)
    for record in document["images"]:
        key = text_of(record.get("id")) if isinstance(record, dict) else None
        if key is None or not isinstance(record.get("file_name"), str):
            collector.skip(reasons.MALFORMED_RECORD)
            continue
        name = record["file_name"]
        collector.add(name, folder / name, annotations.pop(key, []), size_of(record))
    collector.skip(reasons.NO_IMAGE_OF_MASK, sum(map(len, annotations.values())))
    return collector.dataset(file.stem, _licence(document))


def _annotations_by_image(
    document: dict[str, Any], collector: Collector
) -> dict[str, list[Annotation]]:
    labels = _by_id(document.get("categories"))
    found: dict[str, list[Annotation]] = defaultdict(list)
    for record in document["annotations"]:
        key = text_of(record.get("image_id")) if isinstance(record, dict) else None
        if key is None:
            collector.skip(reasons.MALFORMED_RECORD)
            continue
        label = labels.get(text_of(record.get("category_id")))
        annotator = text_of(record.get("annotator"))
        found[key].append(Annotation(record.get("segmentation"), label, annotator))
    return found


def _by_id(records: Any) -> dict[str | None, str | None]:
    """The names of categories or licences; a damaged list has none."""
    if not isinstance(records, list):
        return {}
    whole = [record for record in records if isinstance(record, dict)]
    return {text_of(record.get("id")): text_of(record.get("name")) for record in whole}


def _folder_beside(file: Path) -> Path:
    namesake = file.with_suffix("")
    return namesake if namesake.is_dir() else file.parent


def _licence(document: dict[str, Any]) -> str | None:
    """The one licence that the file lists; None if it lists none or several."""
    names = set(_by_id(document.get("licenses")).values())
    return names.pop() if len(names) == 1 else None
