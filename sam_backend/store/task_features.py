"""What the images of a project's tasks look like to an encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import TASK_FEATURES


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
                    sizes={name: list(size) for name, size in one.sizes.items()},
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
                    {name: (height, width) for name, (height, width) in (row.sizes or {}).items()},
                )
                for row in connection.execute(asked)
            }


def _read(body: bytes | None) -> npt.NDArray[np.float32] | None:
    return None if body is None else np.frombuffer(body, "<f2").astype(np.float32)
