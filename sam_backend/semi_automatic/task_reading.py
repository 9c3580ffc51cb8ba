"""What people have drawn on tasks, and other models predicted, read through the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sam_backend.labelstudio.api.predictions import predictions_of
from sam_backend.labelstudio.api.project_tasks import tasks_numbered
from sam_backend.labelstudio.api.stored_annotations import stored_annotations, stored_drafts
from sam_backend.labelstudio.regions.region import Region
from sam_backend.projects.project import Project
from sam_backend.semi_automatic.task_prefill import PrefillTask


@dataclass(frozen=True, slots=True, eq=False)
class ReadTask:
    """A task with all that its prefilling depends on.

    Attributes:
        job: The task, and what lies on it.
        own: Numbers of the predictions that we have sent before, without those that a person has
            made an annotation of.
    """

    job: PrefillTask
    own: tuple[int, ...]

    @property
    def number(self) -> int:
        """The task's."""
        return int(self.job.task["id"])


class TaskReader:
    """Reads tasks of one project, with as few calls as their state allows.

    Args:
        project: The project.
        own_versions: Model versions under which we have sent predictions there.
    """

    def __init__(self, project: Project, own_versions: frozenset[str]) -> None:
        self._project = project
        self._client = project.client
        self._own_versions = own_versions

    def read(self, numbers: Sequence[int]) -> Iterator[ReadTask]:
        """Tasks by their numbers, in that order; deleted ones are passed over.

        Raises:
            LabelStudioError: A call fails.
        """
        for task in tasks_numbered(self._client, self._project.id, numbers):
            number = int(task["id"])
            annotations = (
                stored_annotations(self._client, number) or []  # none: deleted meanwhile
                if task.get("total_annotations") != 0
                else []
            )
            drafts = stored_drafts(self._client, number) or []
            predictions = (
                predictions_of(self._client, number) if task.get("total_predictions") != 0 else []
            )
            kept = {item.get("parent_prediction") for item in (*annotations, *drafts)}
            own = [item for item in predictions if item.get("model_version") in self._own_versions]
            others = [item for item in predictions if item not in own]
            yield ReadTask(
                PrefillTask(
                    host=self._client.host,
                    task={"id": number, "data": task.get("data")},
                    submitted=results(annotations),
                    drafts=results(drafts),
                    predicted=results(others),
                ),
                tuple(int(item["id"]) for item in own if item["id"] not in kept),
            )


def results(holders: object) -> list[Region]:
    """Result items of annotations (those that were not skipped), drafts or predictions."""
    if not isinstance(holders, list):
        return []
    return [
        item
        for holder in holders
        if isinstance(holder, Mapping) and not holder.get("was_cancelled")
        for item in _listed(holder.get("result"))
        if isinstance(item, dict)
    ]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
