"""What the images of a project's tasks look like to an encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import select, update

from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import TASK_FEATURES

NO_ENCODER = ""
"""Stands for the model version where no encoder has looked, and only sizes are known."""


@dataclass(frozen=True, slots=True, eq=False)
class TaskFeatures:
    """One task's images.

    Attributes:
        task: Number of the task.
        model_version: Whose encoder looked.
        image: sha256 of the images' addresses, by which a task that got another image is known.
        features: Mean of the encoder's output of the first image, shape (C,) float32; None: there
            is no image to see.
        reason: Why an image could not be seen; None: all were.
        sizes: (height, width) in pixels of the images that could be read, by their tags' names.
    """

    task: int
    model_version: str
    image: str
    features: npt.NDArray[np.float32] | None = field(repr=False)
    reason: str | None = None
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class TaskFeaturesStore(ProjectStore):
    """The features of one project's tasks."""

    table = TASK_FEATURES

    def put(self, found: Sequence[TaskFeatures], at: datetime) -> None:
        """Keeps the features of some tasks, instead of what was known of them."""
        with self._database.writing() as connection:
            for one in sorted(found, key=lambda one: one.task):
                body = None if one.features is None else one.features.astype("<f2").tobytes()
                self._database.put(
                    connection,
                    TASK_FEATURES,
                    **self._place,
                    task=one.task,
                    model_version=one.model_version,
                    image=one.image,
                    features=body,
                    reason=one.reason,
                    sizes=_written(one.sizes),
                    at=at,
                )

    def of(self, model_version: str) -> dict[int, TaskFeatures]:
        """What this encoder has seen, by task."""
        asked = select(TASK_FEATURES).where(
            *self._own(), TASK_FEATURES.c.model_version == model_version
        )
        with self._database.reading() as connection:
            return {
                row.task: TaskFeatures(
                    row.task,
                    row.model_version,
                    row.image,
                    _read(row.features),
                    row.reason,
                    _sizes(row.sizes),
                )
                for row in connection.execute(asked)
            }

    def sizes(self, task: int, image: str) -> dict[str, tuple[int, int]]:
        """Sizes that are known of a task's images, whoever's encoder looked.

        Args:
            task: Its number.
            image: sha256 of its images' addresses: of other images nothing is known.
        """
        asked = select(TASK_FEATURES.c.sizes).where(
            *self._own(), TASK_FEATURES.c.task == task, TASK_FEATURES.c.image == image
        )
        with self._database.reading() as connection:
            return _sizes(connection.execute(asked).scalar())

    def put_sizes(
        self, task: int, image: str, sizes: Mapping[str, tuple[int, int]], at: datetime
    ) -> None:
        """Keeps sizes of a task's images beside what is known of them.

        Where an encoder has looked at other images of the task, that stays instead.
        """
        with self._database.writing() as connection:
            is_it = (*self._own(), TASK_FEATURES.c.task == task)
            asked = select(TASK_FEATURES).where(*is_it).with_for_update()
            row = connection.execute(asked).first()
            if row is None or (row.image != image and row.model_version == NO_ENCODER):
                self._database.put(
                    connection,
                    TASK_FEATURES,
                    **self._place,
                    task=task,
                    model_version=NO_ENCODER,
                    image=image,
                    features=None,
                    reason=None,
                    sizes=_written(sizes),
                    at=at,
                )
            elif row.image == image:
                merged = {**(row.sizes or {}), **_written(sizes)}
                connection.execute(update(TASK_FEATURES).where(*is_it).values(sizes=merged))


def _written(sizes: Mapping[str, tuple[int, int]]) -> dict[str, list[int]]:
    return {name: list(size) for name, size in sizes.items()}


def _sizes(written: Mapping[str, list[int]] | None) -> dict[str, tuple[int, int]]:
    return {name: (height, width) for name, (height, width) in (written or {}).items()}


def _read(body: bytes | None) -> npt.NDArray[np.float32] | None:
    return None if body is None else np.frombuffer(body, "<f2").astype(np.float32)
