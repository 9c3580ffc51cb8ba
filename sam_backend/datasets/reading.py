"""A data set from a path, whatever its format."""

from pathlib import Path

from sam_backend.datasets.coco import coco_dataset, is_coco
from sam_backend.datasets.documents import load_json
from sam_backend.datasets.manifest import is_manifest, read_manifest
from sam_backend.datasets.mask_files import has_mask_files, read_mask_files
from sam_backend.datasets.sa1b import is_sa1b, json_files_below, read_sa1b, sa1b_dataset
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError

_FORMATS = (
    "our manifest (JSON lines), a COCO instances file, SA-1B JSON, or folders of images and masks"
)
_PROBED = 10  # files of a folder that are looked into, or named in an error


class NoDatasetError(InvalidInputError):
    """A folder holds nothing that could be a data set."""


def read_dataset(path: Path, images: Path | None = None) -> Dataset:
    """Read a data set.

    Args:
        path: A manifest, a COCO file, a JSON file of SA-1B, or a folder that holds, itself or in
            its subfolders, one manifest or COCO file or any number of SA-1B's; or a folder that
            holds a folder of images and one of mask files (`mask_files`).
        images: Folder of the images, for all but a manifest, which names its images itself, where
            they do not lie beside the masks.

    Raises:
        NoDatasetError: A folder holds none.
        InvalidInputError: There is no data set, one of several must be named, or none of its images
            can be used.
    """
    if not path.exists():
        raise InvalidInputError(f"there is no data set {path}")
    if images is not None and not images.is_dir():
        raise InvalidInputError(f"there is no folder of images {images}")
    dataset = _read_folder(path, images) if path.is_dir() else _read_file(path, images)
    if not dataset.images:
        told = "; ".join(dataset.skipped.lines()) or "it lists none"
        raise InvalidInputError(f"no image of {path} can be used: {told}")
    return dataset


def _read_file(file: Path, images: Path | None) -> Dataset:
    if is_manifest(file):
        if images is not None:
            raise InvalidInputError(f"{file} is a manifest, which names its images itself")
        return read_manifest(file)
    document = load_json(file)
    if is_coco(document):
        return coco_dataset(document, file, images)
    if is_sa1b(document):
        return sa1b_dataset(document, file, images)
    raise InvalidInputError(f"{file} is no data set: {_FORMATS} expected")


def _read_folder(folder: Path, images: Path | None) -> Dataset:
    if has_mask_files(folder) and not any(folder.glob("*.json*")):
        return read_mask_files(folder, images)
    manifests = sorted(file for file in folder.glob("*.jsonl") if is_manifest(file))
    documents = sorted(file for file in folder.glob("*.json") if file.is_file())
    if not manifests and not documents:
        documents = json_files_below(folder)  # CVAT's, Roboflow's and SA-1B's folders
    files = manifests or documents
    if not files:
        raise NoDatasetError(f"{folder} holds no data set: {_FORMATS} expected")
    if len(files) == 1:
        return _read_file(files[0], images)
    if not manifests and any(map(_is_sa1b_file, documents[:_PROBED])):
        return read_sa1b(folder, images)
    names = ", ".join(str(file.relative_to(folder)) for file in files[:_PROBED])
    raise InvalidInputError(f"{folder} holds {len(files)} data sets, name one of them: {names}")


def _is_sa1b_file(file: Path) -> bool:
    try:
        return is_sa1b(load_json(file))
    except InvalidInputError:
        return False
