"""Data sets for other tools: COCO's instances and SA-1B's files."""

import json
import os
from pathlib import Path
from typing import Any

from sam_backend.datasets.file_names import free_name
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.masks.rle import box, to_coco

UNLABELLED = "object"
"""The category of masks without a label."""


def export_coco(dataset: Dataset, file: Path) -> int:
    """One instances file (cocodataset.org, "Data format"); returns the number of masks.

    Categories are the data set's own, numbered from 1 in their order whether they occur or not, so
    that numbers stay from one export to the next; other labels of masks follow by name, and
    `object` where a mask has none. Images without masks are negatives and stay. COCO knows one
    category an annotation: a mask with several labels has the first one's, and all of them in
    `labels`. Who drew a mask is its `annotator`; its void pixels, if it has some, are `ignore`.
    `file_name` is relative to the file's folder where the image lies below that or beside it.
    `bbox` holds every pixel, as pycocotools' `toBbox`.
    """
    numbers = {label: number for number, label in enumerate(_categories(dataset), 1)}
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(dataset, 1):
        for mask in image.masks:
            told = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": numbers[_label(mask)],
                "segmentation": to_coco(mask.rle),
                "area": mask.rle.area_px,
                "bbox": _bbox(mask),
                "iscrowd": 0,
                "annotator": mask.annotator,
            }
            if mask.more_labels:
                told["labels"] = list(mask.labels)
            if mask.ignore is not None:
                told["ignore"] = to_coco(mask.ignore)
            annotations.append(told)
    content = {
        "info": {"description": dataset.name},
        "licenses": [],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        "images": [_image(image, n, file.parent, "id") for n, image in enumerate(dataset, 1)],
        "annotations": annotations,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    return len(annotations)


def export_sa1b(dataset: Dataset, folder: Path) -> int:
    """One JSON file an image (segment_anything's README, "Dataset"); returns how many files.

    A file is named as its image, with the image's suffix or a number too where several would share
    the name; `file_name` and `bbox` are as of `export_coco`, so that `bbox` is a pixel wider and
    higher than what segment_anything's generator writes (last pixel less first). Images without
    masks have an empty list; void pixels are `ignore`, as of `export_coco`. SA-1B has no labels and
    no annotators, and what only a model knows (predicted IoU, stability, prompt) is left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mask_id = 0
    taken: set[str] = set()
    for number, image in enumerate(dataset, 1):
        annotations = []
        for mask in image.masks:
            mask_id += 1
            told: dict[str, Any] = {
                "id": mask_id,
                "segmentation": to_coco(mask.rle),
                "bbox": _bbox(mask),
                "area": mask.rle.area_px,
            }
            if mask.ignore is not None:
                told["ignore"] = to_coco(mask.ignore)
            annotations.append(told)
        content = {
            "image": _image(image, number, folder, "image_id"),
            "annotations": annotations,
        }
        names = (image.path.stem, image.path.name, f"{image.path.name}-{number}")
        name = free_name(names, taken)
        (folder / f"{name}.json").write_text(json.dumps(content) + "\n")
    return len(dataset)


def _categories(dataset: Dataset) -> list[str]:
    used = {label for image in dataset for mask in image.masks for label in mask.labels}
    others = sorted(used - {*dataset.categories, UNLABELLED})
    bare = any(_label(mask) == UNLABELLED for image in dataset for mask in image.masks)
    return list(dict.fromkeys([*dataset.categories, *others, *([UNLABELLED] if bare else [])]))


def _label(mask: LabelledMask) -> str:
    return UNLABELLED if mask.label is None else mask.label


def _bbox(mask: LabelledMask) -> list[int]:
    """x, y, width, height as pycocotools' `toBbox` has them."""
    where = box(mask.rle)
    if where is None:
        return [0, 0, 0, 0]
    rows, columns = where
    return [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]


def _image(image: LabelledImage, number: int, folder: Path, id_field: str) -> dict[str, Any]:
    height, width = image.size
    path, base = image.path.absolute(), folder.absolute()
    is_near = path.is_relative_to(base.parent)  # both may be moved together
    name = Path(os.path.relpath(path, base)) if is_near else path
    return {id_field: number, "width": width, "height": height, "file_name": name.as_posix()}
