"""SA-1B's files: one JSON beside each image.

The format: segment_anything's README, "Dataset": `image` (file_name, width, height, …) and
`annotations` (segmentation as run lengths, …). There are no labels, and no person drew the masks.
Over it we read `ignore`, run lengths of a mask's void pixels, which our own export writes.
"""

from pathlib import Path
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import MIN_AREA_PX, Annotation, Collector
from sam_backend.datasets.documents import load_json, size_of, text_of
from sam_backend.datasets.image_finder import ImageFinder
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError


def read_sa1b(path: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX) -> Dataset:
    """Read one JSON file of SA-1B, or all below a folder in the order of their paths.

    In a folder, files of another kind are left out and named.

    Args:
        path: The JSON file or the folder.
        images: Folder of the images; without, they lie beside their JSON.
        min_area_px: Masks with fewer pixels are skipped.

    Raises:
        InvalidInputError: The file is missing or of another kind, or the folder holds no JSON.
    """
    if not path.is_dir():
        return sa1b_dataset(load_json(path), path, images, min_area_px)
    files = json_files_below(path)
    if not files:
        raise InvalidInputError(f"{path} holds no JSON file: no folder of SA-1B")
    collector, finder = Collector(min_area_px), ImageFinder([images or path])
    for file in files:
        try:
            document = load_json(file)
        except InvalidInputError:
            document = None
        if is_sa1b(document):
            _add(document, finder, collector, None if images else file.parent)
        else:
            collector.left_out.add(reasons.MALFORMED_RECORD, str(file.relative_to(path)))
    return collector.dataset(path.resolve().name)


def json_files_below(folder: Path) -> list[Path]:
    """The `*.json` of a folder and its subfolders, hidden ones excepted, by their paths."""
    return sorted(
        file
        for file in folder.rglob("*.json")
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    )


def is_sa1b(document: Any) -> bool:
    """Whether a JSON document is one of SA-1B's."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("annotations"), list)
        and isinstance(document.get("image"), dict)
        and isinstance(document["image"].get("file_name"), str)
    )


def sa1b_dataset(
    document: Any, file: Path, images: Path | None = None, min_area_px: int = MIN_AREA_PX
) -> Dataset:
    """`read_sa1b` of one file that was loaded already."""
    if not is_sa1b(document):
        raise InvalidInputError(
            f"{file} has no `image` with a `file_name`, or no list `annotations`: no SA-1B file"
        )
    collector = Collector(min_area_px)
    _add(document, ImageFinder([images or file.parent]), collector)
    return collector.dataset(file.stem)


def _add(
    document: dict[str, Any],
    finder: ImageFinder,
    collector: Collector,
    beside: Path | None = None,
) -> None:
    record = document["image"]
    masks = [
        Annotation(
            mask.get("segmentation"), name=text_of(mask.get("id")), ignore=mask.get("ignore")
        )
        if isinstance(mask, dict)
        else Annotation(None)
        for mask in document["annotations"]
    ]
    name = record["file_name"]
    collector.add(name, finder.find(name, beside), masks, size_of(record))
