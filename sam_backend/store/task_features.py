"""What the images of a project's tasks look like to an encoder."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from sam_backend.store.project_store import ProjectStore
from sam_backend.store.tables import TASK_FEATURES


@dataclass(frozen=True, slots=True, eq=False)
class TaskFeatures:
    """One task's image.

    Attributes:
        task: Number of the task.
        model_version: Whose encoder looked.
        image: sha256 of the image's address, by which a task that got another image is known.
        features: Mean of the encoder's output, shape (C,) float32; None: there is no image to see.
        reason: Why there is none.
    """

    task: int
    model_version: str
    image: str
    features: npt.NDArray[np.float32] | None = field(repr=False)
    reason: str | None = None


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
                    row.task, row.model_version, row.image, _read(row.features), row.reason
                )
                for row in connection.execute(asked)
            }


def _read(body: bytes | None) -> npt.NDArray[np.float32] | None:
    return None if body is None else np.frombuffer(body, "<f2").astype(np.float32)
