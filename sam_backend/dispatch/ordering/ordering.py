"""The order of a project's tasks, found and kept; and what is under-represented in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.dispatch.ordering.contents import read_contents
from sam_backend.dispatch.ordering.feature_extraction import see_tasks
from sam_backend.dispatch.ordering.planning import KnownTask, Survey, kinds_of, plan_order, survey
from sam_backend.dispatch.ordering.scores import Weights
from sam_backend.labelstudio.api.timestamps import moment
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.projects.project import Project
from sam_backend.serving.champion import Champion
from sam_backend.store.annotation_contents import AnnotationContents, Contents
from sam_backend.store.objects import Objects
from sam_backend.store.prefills import PrefillRow
from sam_backend.store.revisions import Subject
from sam_backend.store.task_features import TaskFeatures
from sam_backend.store.task_orders import TaskOrder
from sam_backend.store.versions import Version
from sam_backend.versions.reading import read_project

Json = dict[str, Any]
Observe = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Ordered:
    """What an ordering found.

    Attributes:
        orders: The tasks that wait, most urgent first.
        survey: The project.
        unseen: Why images could not be seen, by task.
    """

    orders: tuple[TaskOrder, ...]
    survey: Survey
    unseen: Mapping[int, str]


class Ordering:
    """Finds the order of one project's tasks.

    Args:
        project: The project.
        champion: Whose encoder sees the images.
        n_kinds: Kinds of images at the most.
    """

    def __init__(self, project: Project, champion: Champion, n_kinds: int) -> None:
        self._project = project
        self._champion, self._n_kinds = champion, n_kinds
        self._contents = AnnotationContents(project.database)
        self._objects = Objects(project.database)

    def order(
        self,
        weights: Weights,
        injected_share: float,
        observe: Observe = lambda done, of: None,
    ) -> Ordered:
        """Find the order and keep it; the next balancing gives tasks out by it.

        Args:
            weights: Weights of the sides.
            injected_share: Share of the order that goes to under-represented groups, 0 to
                1.
            observe: Told how many images are seen, and of how many.

        Raises:
            SamBackendError: Label Studio, model or database is out of reach.
        """
        look = self._look(observe)
        found = self._survey(look, self._labelled())
        orders = plan_order(found, weights, injected_share, datetime.now(UTC))
        self._project.task_orders.replace(orders)
        unseen = {number: one.reason for number, one in look.seen.items() if one.reason is not None}
        return Ordered(tuple(orders), found, unseen)

    def surveys(
        self, before: Version | None, observe: Observe = lambda done, of: None
    ) -> tuple[Survey | None, Survey]:
        """What is labelled of each group: in a version, and now.

        Raises:
            SamBackendError: Label Studio, model or database is out of reach.
        """
        look = self._look(observe)
        then = None
        if before is not None:
            skipped = self._project.revisions.skipped_digests()
            was = [
                (int(key.partition("/")[0]), digest)
                for key, digest in self._project.versions.entries(before).items()
                if "/" in key and digest not in skipped
            ]
            then = self._survey(look, was)
        return then, self._survey(look, self._labelled())

    def _look(self, observe: Observe) -> "_Look":
        """All but what is labelled."""
        tasks: list[Json] = []
        read = read_project(self._project, take=tasks.append)
        config = LabelConfig.parse(str(read.project.get("label_config", "")))
        with self._champion.lease() as model:
            seen = see_tasks(
                tasks,
                config,
                self._project.host,
                image_resolver(self._project.settings),
                model,
                self._project.task_features,
                self._project.settings.max_image_pixels,
                observe,
            )
        numbers = [int(task["id"]) for task in tasks]
        rows = self._project.prefills.states(self._project.origin, self._project.id, numbers)
        prefills = {
            number: row for number, row in rows.items() if row.state == "done" and not row.reason
        }
        kinds = kinds_of([seen[number].features for number in numbers], self._n_kinds)
        return _Look(tasks, config, seen, prefills, kinds)

    def _labelled(self) -> list[tuple[int, str]]:
        """Each submitted annotation: its task, and the digest of its state."""
        return [
            (one.task, str(one.digest))
            for one in self._project.revisions.newest()
            if one.subject is Subject.ANNOTATION and one.task is not None and not one.is_skipped
        ]

    def _survey(self, look: "_Look", labelled: Sequence[tuple[int, str]]) -> Survey:
        here = [(number, digest) for number, digest in labelled if number in look.seen]
        states = [(digest, look.seen[number].sizes) for number, digest in here]
        contents: dict[int, list[Contents]] = {}
        for (number, _), one in zip(
            here, read_contents(self._contents, self._objects, states), strict=True
        ):
            contents.setdefault(number, []).append(one)
        known = []
        for task in look.tasks:
            number, overlap = int(task["id"]), task.get("overlap")
            row, own = look.prefills.get(number), tuple(contents.get(number, ()))
            known.append(
                KnownTask(
                    number,
                    moment(task.get("created_at")),
                    own,
                    len(own) < (overlap if isinstance(overlap, int) else 1),
                    look.seen[number].features,
                    None if row is None else row.score,
                    None if row is None else row.coverage,
                )
            )
        labels = dict.fromkeys(label.stored for tag in look.config.controls for label in tag.labels)
        return survey(known, list(labels), look.kinds)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A project but for what is labelled.

    Attributes:
        tasks: All of them.
        config: Config of the project.
        seen: What their images look like, by task.
        prefills: Prefills of tasks that were prefilled, by task.
        kinds: Kind of each image, shape (N,).
    """

    tasks: Sequence[Json]
    config: LabelConfig
    seen: Mapping[int, TaskFeatures]
    prefills: Mapping[int, PrefillRow]
    kinds: npt.NDArray[np.int64]
