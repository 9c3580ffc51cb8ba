"""Making a project ready to label: create it, upload images, connect a backend as interactive."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost

Json = dict[str, Any]

_IMPORT_BATCH = 20
_PROJECTS_A_PAGE = 100


class Projects:
    """The project-making calls of one Label Studio, with an administrator's token.

    Args:
        url: Address of Label Studio.
        token: Legacy or personal access token.
        timeout_s: Limit of one call; an upload waits for its import.
    """

    def __init__(self, url: str, token: str, timeout_s: float = 60.0) -> None:
        self._client = LabelStudioClient(LabelStudioHost(url, token), timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()

    def find(self, title: str) -> int | None:
        """Id of the first project with this exact title."""
        found = self._client.sdk_items(
            lambda sdk: sdk.projects.list(title=title, page_size=_PROJECTS_A_PAGE)
        )
        return min((int(one.id) for one in found if one.title == title), default=None)

    def create(self, title: str, label_config: str, description: str = "") -> int:
        """Create a project (3 to 50 characters of title) and return its id."""
        made = self._client.sdk(
            lambda sdk: sdk.projects.with_raw_response.create(
                title=title, label_config=label_config, description=description
            )
        )
        return int(made["id"])

    def task_ids(self, project: int) -> list[int]:
        """Ids of the project's tasks, oldest first."""
        query = {"project": str(project), "page_size": "1000"}
        page = self._client.answer("GET", "/api/tasks/", query)
        return sorted(int(task["id"]) for task in page["tasks"])

    def upload(self, project: int, files: Mapping[str, bytes]) -> list[int]:
        """Upload image files by name, one task each; return the ids of the new tasks, in order."""
        before = set(self.task_ids(project))
        items = list(files.items())
        for start in range(0, len(items), _IMPORT_BATCH):
            batch = dict(items[start : start + _IMPORT_BATCH])
            self._client.answer("POST", f"/api/projects/{project}/import", files=batch)
        made = [task for task in self.task_ids(project) if task not in before]
        if len(made) != len(items):
            raise LabelStudioError(f"{len(items)} files were uploaded but {len(made)} tasks made")
        return made

    def task(self, task: int) -> Json:
        """A task with its annotations and predictions."""
        return self._client.task(task)

    def backends(self, project: int) -> list[Json]:
        """The backends connected to a project."""
        return self._client.ml_backends(project)

    def connect_backend(self, project: int, url: str, title: str) -> int:
        """Make `url` the project's one interactive backend and return its id.

        Connecting again never adds a second one: what is connected is kept when it is the same,
        else removed with its webhook, which Label Studio itself leaves behind.

        Args:
            project: Project id.
            url: The backend's address as Label Studio reaches it.
            title: The backend's model version: Label Studio sorts predictions by score only
                while the project's model version, which connecting sets to this title, is theirs.
        """
        kept: int | None = None
        for row in self.backends(project):
            if row["url"] == url and row["title"] == title and kept is None:
                kept = int(row["id"])
            else:
                self._client.sdk(partial(_delete_backend, int(row["id"])))
                self._forget_webhook(project, row["url"])
        if kept is None:
            made = self._client.sdk(
                lambda sdk: sdk.ml.with_raw_response.create(
                    project=project, url=url, title=title, is_interactive=True
                )
            )
            kept = int(made["id"])
        self._client.change_project(project, model_version=title)
        return kept

    def _forget_webhook(self, project: int, backend_url: str) -> None:
        for hook in self._client.webhooks(project):
            if hook["url"] == backend_url.rstrip("/") + "/webhook":
                self._client.sdk(partial(_delete_webhook, int(hook["id"])))


def _delete_backend(number: int, sdk: Any) -> Any:
    return sdk.ml.with_raw_response.delete(number)


def _delete_webhook(number: int, sdk: Any) -> Any:
    return sdk.webhooks.with_raw_response.delete(number)
