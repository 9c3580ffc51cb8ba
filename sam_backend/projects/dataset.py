"""What people accepted in a Label Studio project, as a data set on disk."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.collecting import MIN_AREA_PX
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import (
    ImageDecodeError,
    ImageFetchError,
    InvalidInputError,
)
from sam_backend.labelstudio.api.annotations import (
    AnnotatedTask,
    annotated_tasks,
    count_annotated_tasks,
    skipped_tasks,
)
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.elements import REGION_KINDS
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ImageTag
from sam_backend.labelstudio.images.file_names import original_name
from sam_backend.labelstudio.prompts.task_regions import region_kind
from sam_backend.labelstudio.regions.drawn_masks import DrawnMask, count_objects, drawn_masks
from sam_backend.projects.images import KeptImage, ProjectImages, source_name
from sam_backend.projects.project import Project, find_project

log = logging.getLogger(__name__)

CANCELLED = "skipped by its annotator"
NO_ADDRESS = "task without an image address"
UNFETCHED_IMAGE = "image cannot be fetched"


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull is.

    Attributes:
        tasks: Annotated tasks read so far.
        of_tasks: Annotated tasks that the project had at the start.
        masks: Masks kept so far.
        fetched: Images fetched so far; the others lay in the folder.
    """

    tasks: int
    of_tasks: int
    masks: int
    fetched: int


def pull_project(
    project: Project,
    folder: Path | None = None,
    observe: Callable[[PullProgress], None] | None = None,
    only_gold: bool = False,
    since: datetime | None = None,
) -> Dataset:
    """Read all accepted masks of a project, and its images into a folder.

    Images are kept in `images/` under their digest, so that the next pull into the same folder
    fetches new ones only; `manifest.jsonl` is what was pulled last. The masks of all annotators
    are kept, each with its annotator's user id; a task's second image tag is an image of its own.

    Args:
        project: The project.
        folder: Made if it is missing; None: the project's own. Two pulls must not share it at the
            same time.
        observe: Told after each task.
        only_gold: Only annotations marked as ground truth.
        since: Only annotations saved after this moment of Label Studio's clock.

    Returns:
        The data set, possibly without images. `skipped` tells masks that cannot be used, images
        that cannot be had or are without masks, and tasks that annotators have skipped.

    Raises:
        LabelConfigError: The project's label config cannot be used.
        LabelStudioError: Label Studio is out of reach or refuses a call.
        OSError: The folder cannot be written.
    """
    client = project.client
    record = find_project(client, project.id)
    images = project.images(folder)
    config = LabelConfig.parse(str(record.get("label_config", "")))
    reader = TaskReader(config, images, project.host)
    cancelled = record.get("skipped_annotations_number")
    if isinstance(cancelled, int) and cancelled > 0:
        reader.skipped.add(CANCELLED, count=cancelled)
        reader.skipped.add_names(
            CANCELLED, (f"task {number}" for number in skipped_tasks(client, project.id))
        )
    n_tasks = count_annotated_tasks(client, project.id, since)
    found: list[LabelledImage] = []
    n_masks = 0
    tasks = annotated_tasks(client, project.id, only_gold, since)
    for number, task in enumerate(tasks, 1):
        labelled = reader.read(task)
        found += labelled
        n_masks += sum(len(image.masks) for image in labelled)
        if observe is not None:
            observe(PullProgress(number, max(n_tasks, number), n_masks, images.n_fetched))
    name = f"{record.get('title', '')} (project {project.id})".strip()
    dataset = Dataset(name, tuple(found), reader.skipped)
    write_manifest(dataset, (folder or project.folder) / "manifest.jsonl")
    return dataset


class TaskReader:
    """Turns tasks into labelled images and tells what it leaves out.

    Args:
        config: Config of the project.
        images: Fetches, and keeps what was fetched.
        host: Host of the project.
        with_negatives: Keep images on which people have submitted that there is nothing; without,
            they are left out, and not fetched.
        names: Original names of files whose address does not tell them: of planted gold, by the
            token that it was uploaded as.

    Attributes:
        skipped: What was left out, by reason.
    """

    def __init__(
        self,
        config: LabelConfig,
        images: ProjectImages,
        host: LabelStudioHost,
        with_negatives: bool = False,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.skipped = LeftOut()
        self._config = config
        self._images = images
        self._host = host
        self._with_negatives = with_negatives
        self._names = names or {}

    def read(self, task: AnnotatedTask) -> list[LabelledImage]:
        """A task's images with at least one mask, and its negatives where they are kept."""
        had: dict[str, KeptImage | None] = {}
        drawn: list[DrawnMask] = []
        for annotation in task.annotations:
            where = f"task {task.task_id}, annotation {annotation.annotation_id}"
            size_of = partial(self._size, task, had, where)
            drawn += [
                replace(one, mask=replace(one.mask, is_gold=annotation.is_gold))
                for one in drawn_masks(
                    annotation.result, annotation.annotator, self.skipped, where, size_of
                )
            ]
        images = (self._image(task, tag, drawn, had) for tag in self._config.images)
        return [image for image in images if image is not None]

    def _size(
        self, task: AnnotatedTask, had: dict[str, KeptImage | None], where: str, image_name: str
    ) -> tuple[int, int] | None:
        """Of the image of a tag, which is fetched for it; None, and told, if there is none."""
        tag = next((tag for tag in self._config.images if tag.name == image_name), None)
        if tag is None:
            told = f"{where}, on {image_name!r}{self._why_unserved(image_name)}"
            self.skipped.add(reasons.NO_IMAGE_OF_MASK, told)
            return None
        kept = self._kept(task, tag, had)
        return None if kept is None else kept.size

    def _kept(
        self, task: AnnotatedTask, tag: ImageTag, had: dict[str, KeptImage | None]
    ) -> KeptImage | None:
        """The image of a tag, asked for once; None, and told, if it cannot be had."""
        if tag.name not in had:
            had[tag.name] = None
            try:
                address = tag.address(task.data)
                told = _original_name(task.data, address, self._names)
                had[tag.name] = self._images.get(address, self._host, task.task_id, told)
            except (InvalidInputError, ImageFetchError, ImageDecodeError) as error:
                name, n_masks = self._name(task, tag), _count_drawn(task, tag)
                self.skipped.add(_reason(error), f"{name}, with {n_masks} masks: {error}")
                log.warning("%s is left out with its %d masks: %s", name, n_masks, error)
        return had[tag.name]

    def _name(self, task: AnnotatedTask, tag: ImageTag) -> str:
        name = f"task {task.task_id}"
        return f"{name} {tag.name}" if len(self._config.images) > 1 else name

    def _why_unserved(self, image_name: str) -> str:
        tag = next((one for one in self._config.unserved if one.is_named(image_name)), None)
        return "" if tag is None else f": {tag.reason}"

    def _image(
        self,
        task: AnnotatedTask,
        tag: ImageTag,
        drawn: Iterable[DrawnMask],
        had: dict[str, KeptImage | None],
    ) -> LabelledImage | None:
        name = self._name(task, tag)
        is_negative = not _has_regions(task, tag)
        if is_negative and not self._with_negatives:  # not fetched either
            self.skipped.add(reasons.NO_MASKS, name)
            return None
        kept = self._kept(task, tag, had) if is_negative else had.get(tag.name)
        if kept is None and tag.name in had:  # told already
            return None
        masks = [mask.mask for mask in drawn if mask.image_name == tag.name]
        usable = tuple(mask for mask in masks if self._is_usable(mask, name))
        if kept is None or not (usable or is_negative):
            self.skipped.add(reasons.NO_USABLE_MASK, name)
            return None
        return LabelledImage(name, self._images.folder / kept.name, kept.digest, kept.size, usable)

    def _is_usable(self, mask: LabelledMask, name: str) -> bool:
        if mask.rle.area_px < MIN_AREA_PX:
            self.skipped.add(reasons.SMALL_MASK, f"{name}: {mask.rle.area_px} px")
            return False
        return True


def _has_regions(task: AnnotatedTask, tag: ImageTag) -> bool:
    """Whether anybody has drawn anything on an image, be it of use to us or not."""
    return any(
        item.get("to_name") == tag.name and region_kind(item) in REGION_KINDS
        for annotation in task.annotations
        for item in annotation.result
    )


def _count_drawn(task: AnnotatedTask, tag: ImageTag) -> int:
    """Objects with pixels that people have drawn on an image."""
    return sum(
        count_objects([item for item in annotation.result if item.get("to_name") == tag.name])
        for annotation in task.annotations
    )


def _original_name(data: Mapping[str, Any], address: str, names: Mapping[str, str]) -> str | None:
    """What an image was called, where its address does not tell it."""
    return source_name(data) or names.get(PurePosixPath(original_name(address)).stem)


def _reason(error: InvalidInputError | ImageFetchError | ImageDecodeError) -> str:
    if isinstance(error, ImageFetchError):
        return UNFETCHED_IMAGE
    return reasons.UNREADABLE_IMAGE if isinstance(error, ImageDecodeError) else NO_ADDRESS
