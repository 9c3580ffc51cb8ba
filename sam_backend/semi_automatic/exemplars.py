"""Exemplars: masks that people have submitted, whose look-alikes are to be found."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.decoding import decode_image, image_size
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.api.annotations import (
    AcceptedAnnotation,
    AnnotatedTask,
    accepted_annotations,
    annotated_tasks,
)
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.project_tasks import tasks_numbered
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ImageTag
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.labelstudio.regions.drawn_masks import drawn_masks
from sam_backend.masks.rle import RLE

log = logging.getLogger(__name__)

PER_LABEL = 10
"""Exemplars of one label that are looked for in a project."""
PER_IMAGE = 5
"""At most so many of one label and one image: images differ more than what is on them."""
MOST_TASKS = 50
"""Annotated tasks that are read for them, from the first one on, so that they stay the same."""

_CALL_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """One mask that a person has submitted.

    Attributes:
        labels: All its labels; empty in a project without labels.
        rle: The mask, of the image's size.
        image_digest: sha256 of the image file's bytes, hex.
        pixels: Reads the image: RGB, shape (H, W, 3) uint8. It may raise ImageFetchError.
    """

    labels: tuple[str, ...]
    rle: RLE
    image_digest: str
    pixels: Callable[[], npt.NDArray[np.uint8]]

    @property
    def key(self) -> str:
        """Digests and labels that tell it from others."""
        mask = LabelledMask(self.rle).digest
        return f"{self.image_digest} {mask} {self.labels!r}"


@dataclass(frozen=True, slots=True)
class ProjectExemplars:
    """Reads the exemplars of a project through Label Studio's API.

    Attributes:
        host: The project's Label Studio.
        project_id: The project.
        config: Its labelling configuration.
        labels: Labels of the configuration that masks can have.
        resolver: Fetches images.
        max_pixels: Images with more are refused.
    """

    host: LabelStudioHost
    project_id: int
    config: LabelConfig
    labels: tuple[str, ...]
    resolver: ImageResolver
    max_pixels: int

    def __call__(self, like: Sequence[str]) -> tuple[Exemplar, ...]:
        """Read up to `PER_LABEL` exemplars of each label, or those that are named.

        Args:
            like: Labels, and tasks (`12`), annotations (`12/34`) or regions (`12/34/a1b2c3`). With
                labels only, only they are looked for.

        Raises:
            InvalidInputError: A task, annotation or region is named that has no submitted mask.
            LabelStudioError: A call fails.
        """
        places, labels = split_names(like)
        with LabelStudioClient(self.host, _CALL_S) as client:
            found = [one for place in places for one in self._named(client, place)]
            if labels or not places:
                found += self._of_labels(client, labels or self.labels)
        return tuple(found)

    def _named(self, client: LabelStudioClient, place: str) -> list[Exemplar]:
        number, _, inside = place.partition("/")
        annotation_id, _, region = inside.partition("/")
        found: list[Exemplar] = []
        for task in tasks_numbered(client, self.project_id, [int(number)]):
            annotations = tuple(
                replace(one, result=tuple(_of_region(one, region)))
                for one in accepted_annotations(client, int(number))
                if annotation_id in ("", str(one.annotation_id))
            )
            found = self._of_task(AnnotatedTask(int(number), task["data"], annotations))
        if not found:
            raise InvalidInputError(
                f"'like' names {place!r}, but project {self.project_id} has no submitted mask there"
            )
        return found

    def _of_labels(self, client: LabelStudioClient, labels: Sequence[str]) -> list[Exemplar]:
        found: dict[str, list[Exemplar]] = {label: [] for label in labels or ("",)}
        for task in islice(annotated_tasks(client, self.project_id), MOST_TASKS):
            of_image: dict[tuple[str, str], int] = {}
            for one in self._of_task(task):
                label = one.labels[0] if one.labels else ""
                n_here = of_image.get((one.image_digest, label), 0)
                if n_here < PER_IMAGE and len(found.get(label, ())) < PER_LABEL and label in found:
                    of_image[one.image_digest, label] = n_here + 1
                    found[label].append(one)
            if all(len(some) >= PER_LABEL for some in found.values()):
                break
        return [one for some in found.values() for one in some]

    def _of_task(self, task: AnnotatedTask) -> list[Exemplar]:
        """All masks of a task; an image that cannot be had is logged and left out."""
        images: dict[str, tuple[str, tuple[int, int]]] = {}
        by_name = {tag.name: tag for tag in self.config.images}

        def size_of(name: str) -> tuple[int, int] | None:
            if name not in by_name:
                return None
            if name not in images:
                fetched = self.resolver.fetch(
                    by_name[name].address(task.data), self.host, task.task_id
                )
                images[name] = fetched.digest, image_size(fetched.data, self.max_pixels)
            return images[name][1]

        found: list[Exemplar] = []
        for annotation in task.annotations:
            try:
                drawn = drawn_masks(annotation.result, None, LeftOut(), "", size_of)
            except (InvalidInputError, ImageFetchError, ImageDecodeError) as error:
                log.warning("task %d gives no exemplar: %s", task.task_id, error)
                break
            found += [
                Exemplar(
                    one.mask.labels,
                    one.mask.rle,
                    images[one.image_name][0],
                    partial(self._pixels, task.data, task.task_id, by_name[one.image_name]),
                )
                for one in drawn
            ]
        return found

    def _pixels(
        self, data: Mapping[str, Any], task_id: int, tag: ImageTag
    ) -> npt.NDArray[np.uint8]:
        fetched = self.resolver.fetch(tag.address(data), self.host, task_id)
        return decode_image(fetched.data, self.max_pixels)


def split_names(like: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell what names a place (`12`, `12/34`, `12/34/a1b2c3`) from labels.

    Returns:
        The places and the labels, each in the given order.
    """
    places = [name for name in like if name.partition("/")[0].isdecimal()]
    return places, [name for name in like if name not in places]


def _of_region(annotation: AcceptedAnnotation, region: str) -> Iterator[dict[str, Any]]:
    """The result items of an annotation, or of one region of it."""
    yield from (item for item in annotation.result if region in ("", str(item.get("id"))))
