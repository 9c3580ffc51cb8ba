"""What people have drawn on tasks, and other models predicted, read through the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.predictions import predictions_of
from sam_backend.labelstudio.api.project_tasks import tasks_numbered
from sam_backend.labelstudio.regions.region import Region
from sam_backend.semi_automatic.task_prefill import PrefillTask

_READING_S = 120.0

Json = dict[str, Any]


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
        client: API client of the project's Label Studio.
        project_id: The project.
        own_versions: Model versions under which we have sent predictions there.
    """

    def __init__(
        self, client: LabelStudioClient, project_id: int, own_versions: frozenset[str]
    ) -> None:
        self._client = client
        self._project_id = project_id
        self._own_versions = own_versions

    def read(self, numbers: Sequence[int]) -> Iterator[ReadTask]:
        """Tasks by their numbers, in that order; deleted ones are passed over.

        Raises:
            LabelStudioError: A call fails.
        """
        for task in tasks_numbered(self._client, self._project_id, numbers):
            number = int(task["id"])
            annotations = (
                self._list(f"/api/tasks/{number}/annotations/")
                if task.get("total_annotations") != 0
                else []
            )
            drafts = self._list(f"/api/tasks/{number}/drafts")
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
                    drawn=results([*annotations, *drafts]),
                    predicted=results(others),
                ),
                tuple(int(item["id"]) for item in own if item["id"] not in kept),
            )

    def _list(self, path: str) -> list[Json]:
        response = self._client.call("GET", path, timeout_s=_READING_S)
        if response.status_code == 404:
            return []  # deleted meanwhile
        answer = self._client.json_of(response, "GET", path)
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise LabelStudioError(f"GET {path} answers no list of objects")
        return answer


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
