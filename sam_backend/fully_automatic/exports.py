"""What a run found, for other tools: SA-1B's and COCO's JSON, Label Studio's tasks."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from sam_backend.datasets import reasons
from sam_backend.datasets.file_names import free_name
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageFetchError
from sam_backend.fully_automatic.addresses import Addresses
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.sources import name_of
from sam_backend.fully_automatic.tasks import HIDDEN_MASK, TaskWriter
from sam_backend.masks.rle import to_coco
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.store.shards import ImageMasks

# Label Studio takes a file of 250 MB.
_MOST_BYTES = 64 * 2**20
_IMAGES_AT_ONCE = 100


def export_sa1b(run: BulkRun, folder: Path, left_out: LeftOut) -> int:
    """One JSON file an image, as SA-1B has them; returns the number of files.

    Its fields are those of segment_anything's README, "Dataset". A file is named as its image, with
    the image's suffix or a number too where several would share the name, and lies in the same
    folder as in the source.
    `bbox` holds every pixel of its mask, as in our COCO files and by pycocotools' `toBbox`. The
    boxes that segment_anything's own generator writes are a pixel narrower and lower (last less
    first): a mask of one column has no width there.

    Args:
        run: Whose masks.
        folder: Folder that the files go into.
        left_out: Gets the images that could not be read.

    Raises:
        InvalidInputError: The run is not finished.
    """
    taken: set[str] = set()
    mask_id = 0
    for image in _readable(run, left_out):
        name = _file_name(run, image)
        path = folder / f"{free_name((str(PurePosixPath(name).with_suffix('')), name), taken)}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        annotations = [
            {
                "id": mask_id + number,
                "segmentation": to_coco(mask.rle),
                "bbox": list(mask.bbox_xywh),
                "area": mask.area_px,
                "predicted_iou": mask.predicted_iou,
                "stability_score": mask.stability,
                "crop_box": _crop_box(mask),
                "point_coords": [list(mask.point)],
            }
            for number, mask in enumerate(image.masks)
        ]
        mask_id += len(annotations)
        path.write_text(
            json.dumps({"image": _image(image, name, "image_id"), "annotations": annotations})
        )
    return len(taken)


def export_coco(run: BulkRun, file: Path, left_out: LeftOut) -> int:
    """One instances file with one category, `object`; returns the number of masks.

    Args:
        run: Whose masks.
        file: To write.
        left_out: Gets the images that could not be read.

    Raises:
        InvalidInputError: The run is not finished.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    images = _readable(run, left_out)
    with file.open("w") as out:
        head = {"description": f"sam_backend run {run.run_id} by {run.plan.model_version}"}
        category = {"id": 1, "name": "object", "supercategory": ""}
        out.write(f'{{"info":{json.dumps(head)},"licenses":[],"categories":')
        out.write(f'{json.dumps([category])},"images":')
        _write_list(out, (_image(one, _file_name(run, one), "id") for one in images))
        out.write(',"annotations":')
        n_masks = _write_list(out, _coco_annotations(run))
        out.write("}\n")
    return n_masks


def export_tasks(
    run: BulkRun, folder: Path, writer: TaskWriter, addresses: Addresses, left_out: LeftOut
) -> int:
    """Label Studio's tasks in files that its import takes; returns the number of tasks.

    Args:
        run: Whose masks.
        folder: Folder that the files go into.
        writer: Writes the tasks.
        addresses: Addresses of the images.
        left_out: Gets the images that could not be read, and masks that no task shows.

    Raises:
        InvalidInputError: The run is not finished, or an image has no address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n_tasks = 0
    for number, part in enumerate(_task_files(run, writer, addresses, left_out)):
        (folder / f"tasks-{number:05}.json").write_text(f"[{','.join(part)}]\n")
        n_tasks += len(part)
    return n_tasks


def _task_files(
    run: BulkRun, writer: TaskWriter, addresses: Addresses, left_out: LeftOut
) -> Iterator[list[str]]:
    part: list[str] = []
    n_bytes = 0
    for images in _batches(_readable(run, left_out)):
        for image, address in zip(images, addresses.of(images), strict=True):
            if isinstance(address, ImageFetchError):
                left_out.add(reasons.UNREADABLE_IMAGE, str(address))
                continue
            left_out.add(HIDDEN_MASK, image.uri, writer.n_hidden(image))
            text = json.dumps(writer.task(image, address, {}))
            if part and n_bytes + len(text) > _MOST_BYTES:
                yield part
                part, n_bytes = [], 0
            part.append(text)
            n_bytes += len(text)
    if part:
        yield part


def _batches(images: Iterable[ImageMasks]) -> Iterator[list[ImageMasks]]:
    batch: list[ImageMasks] = []
    for image in images:
        batch.append(image)
        if len(batch) == _IMAGES_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _readable(run: BulkRun, left_out: LeftOut) -> Iterator[ImageMasks]:
    """Images with their masks; what the listing or the run could not read is left out."""
    for uri, reason in run.manifest.unreadable().items():
        left_out.add(reasons.UNREADABLE_IMAGE, f"{uri}: {reason}")
    for image in run.images():
        if image.reason is None:
            yield image
        else:
            left_out.add(reasons.UNREADABLE_IMAGE, f"{image.uri}: {image.reason}")


def _file_name(run: BulkRun, image: ImageMasks) -> str:
    """The image's name within its source; with its digest where it lies elsewhere."""
    name = name_of(image.uri, run.manifest.root)
    if "://" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
        return f"{image.digest[:12]}-{PurePosixPath(name).name}"
    return name


def _image(image: ImageMasks, name: str, id_field: str) -> dict[str, Any]:
    height, width = image.size or (0, 0)
    return {id_field: image.index, "width": width, "height": height, "file_name": name}


def _coco_annotations(run: BulkRun) -> Iterator[dict[str, Any]]:
    number = 0
    for image in _readable(run, LeftOut()):
        for mask in image.masks:
            number += 1
            yield {
                "id": number,
                "image_id": image.index,
                "category_id": 1,
                "segmentation": to_coco(mask.rle),
                "area": mask.area_px,
                "bbox": list(mask.bbox_xywh),
                "iscrowd": 0,
                "score": mask.predicted_iou,
            }


def _crop_box(mask: MaskRecord) -> list[int]:
    x0, y0, x1, y1 = mask.crop
    return [x0, y0, x1 - x0, y1 - y0]


def _write_list(out: IO[str], items: Iterable[dict[str, Any]]) -> int:
    count = 0
    out.write("[")
    for item in items:
        out.write(("," if count else "") + "\n" + json.dumps(item, separators=(",", ":")))
        count += 1
    out.write("\n]")
    return count
