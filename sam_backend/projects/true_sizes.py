"""True sizes of a project's images: what our own code has read, and not what a region claims."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from sam_backend.datasets import reasons
from sam_backend.datasets.decoding import image_size
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import ImageFetchError, InvalidInputError
from sam_backend.labelstudio.config.tags import ImageTag
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.labelstudio.regions.drawn_masks import SizeOf
from sam_backend.projects.images import KeptImage, address_key, kept_images
from sam_backend.projects.project import Project
from sam_backend.store.annotation_contents import ImageSizes


def image_addresses(images: Sequence[ImageTag], data: object) -> dict[str, str]:
    """Where a task's images are, by the names of their tags; "" where its data does not say."""
    found = {}
    for image in images:
        try:
            found[image.name] = image.address(data if isinstance(data, dict) else {})
        except InvalidInputError:
            found[image.name] = ""
    return found


def addresses_key(addresses: Mapping[str, str]) -> str:
    """Tells a task's images apart from those that it had before; addresses may hold secrets."""
    return hashlib.sha256("\n".join(addresses.values()).encode()).hexdigest()


class TrueSizes:
    """Sizes of the images of one project. For one thread.

    What is on record is not fetched: sizes that an earlier command has read, and images that lie in
    the project's folder. The header of any other image is read, and its size is recorded.

    Args:
        project: The project.
    """

    def __init__(self, project: Project) -> None:
        self._host = project.host
        self._store = project.task_features
        self._resolver = image_resolver(project.settings)
        self._max_pixels = project.settings.max_image_pixels
        self._folder = project.folder / "images"

    def of_task(
        self,
        task: int,
        data: Mapping[str, Any],
        images: Sequence[ImageTag],
        recorded: Callable[[], ImageSizes] = dict,
    ) -> "TaskSizes":
        """Sizes of a task's images.

        Args:
            task: Its number.
            data: Its data.
            images: The label config's.
            recorded: Sizes that the caller has on record; asked before an image is fetched.
        """
        return TaskSizes(self, task, image_addresses(images, data), recorded)

    def known(self, task: int, addresses: Mapping[str, str]) -> dict[str, tuple[int, int]]:
        """What is on record of a task's images, by the names of their tags."""
        found = dict(self._store.sizes(task, addresses_key(addresses)))
        for name, address in addresses.items():
            kept = self._kept.get(address_key(self._host, address))
            if name not in found and kept is not None:
                found[name] = kept.size
        return found

    def read(self, task: int, addresses: Mapping[str, str], name: str) -> tuple[int, int]:
        """The size of an image by its header; it is on record from then on.

        Raises:
            ImageFetchError: It cannot be had.
            ImageDecodeError: It is no image that we can read.
        """
        if not addresses[name]:
            raise ImageFetchError(f"the task names no image for {name!r}")
        data = self._resolver.fetch(addresses[name], self._host, task).data
        size = image_size(data, self._max_pixels)
        self._store.put_sizes(task, addresses_key(addresses), {name: size}, datetime.now(UTC))
        return size

    @cached_property
    def _kept(self) -> dict[str, KeptImage]:
        return kept_images(self._folder)


class TaskSizes:
    """Sizes of one task's images, each looked for when it is first asked for, and once.

    Args:
        sizes: Sizes of the project.
        task: Number of the task.
        addresses: Addresses of its images, by the names of their tags.
        recorded: As of `TrueSizes.of_task`.
    """

    def __init__(
        self,
        sizes: TrueSizes,
        task: int,
        addresses: Mapping[str, str],
        recorded: Callable[[], ImageSizes],
    ) -> None:
        self._sizes = sizes
        self._task = task
        self._addresses = addresses
        self._recorded = recorded

    def or_left_out(self, left_out: LeftOut, where: str) -> SizeOf:
        """Asks for sizes; an image that the label config does not have is left out, by name.

        What it gives raises ImageFetchError and ImageDecodeError, as `TrueSizes.read` does.
        """
        return partial(self._find, left_out, where)

    def _find(self, left_out: LeftOut, where: str, name: str) -> tuple[int, int] | None:
        size = self._known.get(name)
        if size is None and name not in self._addresses:
            left_out.add(reasons.NO_IMAGE_OF_MASK, f"{where}, on {name!r}")
            return None
        if size is None:
            size = self._known[name] = self._sizes.read(self._task, self._addresses, name)
        return size

    @cached_property
    def _known(self) -> dict[str, tuple[int, int]]:
        found = self._sizes.known(self._task, self._addresses)
        if found.keys() >= self._addresses.keys():
            return found
        return {**self._recorded(), **found}
