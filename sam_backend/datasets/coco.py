"""COCO's instances file: one JSON for all images.

The format: cocodataset.org, "Data format", object detection. Over it we read `annotator`, which
`bsds500` has: who drew the mask, and `labels`, which our own export writes: all names of a mask
that has several, the category's first; and `ignore`, run lengths or polygons of a mask's void
pixels, as the click benchmarks have them. Masks of a crowd (`iscrowd`) count as any other.

Layouts of other tools are known: images beside the file (Roboflow), in the folder of its name, in
`images/` or folders of their own beside `annotations/` (CVAT, COCO itself).
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import MIN_AREA_PX, Annotation, Collector
from sam_backend.datasets.documents import load_json, size_of, text_of
from sam_backend.datasets.image_finder import ImageFinder
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError


def read_coco(file: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX) -> Dataset:
    """Read a COCO instances file.

    Args:
        file: The JSON file.
        images: Where its `file_name`s start; without, the folder of the same name beside the file
            (`train/` for `train.json`) if there is one, else the file's own folder. Names that lead
            nowhere from there are looked for as `ImageFinder` does.
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
    folders = _folders_beside(file) if images is None else [images]
    finder = ImageFinder(folders, map(_name_of, document["images"]))
    for number, record in enumerate(document["images"], 1):
        key = text_of(record.get("id")) if isinstance(record, dict) else None
        name = _name_of(record)
        if key is None or not name:
            collector.left_out.add(reasons.MALFORMED_RECORD, f"image {name or number}")
            continue
        collector.add(name, finder.find(name), annotations.pop(key, []), size_of(record))
    for key, masks in annotations.items():
        for mask in masks:
            collector.left_out.add(reasons.NO_IMAGE_OF_MASK, f"mask {mask.name} of image {key}")
    names = _by_id(document.get("categories")).values()
    categories = dict.fromkeys(name for name in names if name is not None)
    return collector.dataset(file.stem, _licence(document), tuple(categories))


def _annotations_by_image(
    document: dict[str, Any], collector: Collector
) -> dict[str, list[Annotation]]:
    labels = _by_id(document.get("categories"))
    found: dict[str, list[Annotation]] = defaultdict(list)
    for number, record in enumerate(document["annotations"], 1):
        key = text_of(record.get("image_id")) if isinstance(record, dict) else None
        if key is None:
            collector.left_out.add(reasons.MALFORMED_RECORD, f"annotation {number} of the file")
            continue
        label = labels.get(text_of(record.get("category_id")))
        found[key].append(
            Annotation(
                record.get("segmentation"),
                label,
                text_of(record.get("annotator")),
                more_labels=_more_labels(record.get("labels"), label),
                name=text_of(record.get("id")) or f"number {number}",
                ignore=record.get("ignore"),
            )
        )
    return found


def _name_of(record: Any) -> str:
    """The `file_name` of an image's record; empty without."""
    name = record.get("file_name") if isinstance(record, dict) else None
    return name if isinstance(name, str) else ""


def _more_labels(labels: Any, label: str | None) -> tuple[str, ...]:
    """The further names of a mask with several, as `export_coco` writes them."""
    if not isinstance(labels, list) or not labels or labels[0] != label:
        return ()
    return tuple(one for one in labels[1:] if isinstance(one, str))


def _by_id(records: Any) -> dict[str | None, str | None]:
    """The names of categories or licences; a damaged list has none."""
    if not isinstance(records, list):
        return {}
    whole = [record for record in records if isinstance(record, dict)]
    return {text_of(record.get("id")): text_of(record.get("name")) for record in whole}


def _folders_beside(file: Path) -> list[Path]:
    namesake = file.with_suffix("")
    folders = [namesake] if namesake.is_dir() else []
    folders.append(file.parent)
    if file.absolute().parent.name == "annotations":
        folders.append(file.absolute().parent.parent)
    return folders


def _licence(document: dict[str, Any]) -> str | None:
    """The one licence that the file lists; None if it lists none or several."""
    names = set(_by_id(document.get("licenses")).values())
    return names.pop() if len(names) == 1 else None
