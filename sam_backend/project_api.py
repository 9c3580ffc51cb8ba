"""The Python API of a Label Studio project: prefill its tasks, read what people labelled in it.

`sam_backend.open_project` is how it begins; `docs/python.md` shows it at work.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.projects import project as projects
from sam_backend.projects.dataset import pull_project
from sam_backend.semi_automatic.batch import Progress, Summary
from sam_backend.semi_automatic.runs import preannotate_project
from sam_backend.settings import Settings


class LabelStudioProject:
    """A project of a Label Studio that was found; `open_project` gives one.

    Attributes:
        id: The project's id in Label Studio.
        url: Address of its Label Studio.
    """

    def __init__(self, project: projects.Project) -> None:
        """Take an open project."""
        self._project = project
        self.id = project.id
        self.url = project.host.url

    def __repr__(self) -> str:
        """Return the project's number and its Label Studio, for notebooks."""
        return f"<LabelStudioProject {self.id} of {self.url}>"

    def preannotate(
        self,
        *,
        view: int | None = None,
        limit: int | None = None,
        again: bool = False,
        observe: Callable[[Progress], None] = lambda progress: None,
        **settings: Any,
    ) -> Summary:
        """Prefill tasks with confident masks as predictions, as `sam-backend preannotate` does.

        The same call goes on where a killed one ended, and does nothing where all is done. Older
        predictions of this backend are replaced; nothing that a person has made is touched.

        Args:
            view: Only tasks of the Data Manager's tab of this id; None: all tasks.
            limit: Prefill at most so many tasks, at least 1.
            again: Prefill tasks again that were prefilled before with the same model and settings.
            observe: Called with the progress after each batch of tasks.
            **settings: Prefill settings that go before the project's own, such as
                `accept_predicted_iou=0.8` or `preset="paper"`; `docs/prefill.md` lists them.

        Returns:
            How many tasks were prefilled, with how many masks, and why some were not.

        Raises:
            InvalidInputError: A setting is unknown or out of range.
            LabelStudioError: Label Studio is out of reach; what was sent is kept.
            ModelStoreError: The model cannot be loaded.
        """
        if limit is not None and limit < 1:
            raise InvalidInputError(f"limit must be at least 1, not {limit}")
        return preannotate_project(self._project, view, None, limit, settings, observe, again=again)

    def pull(self, folder: str | Path | None = None, *, only_gold: bool = False) -> Dataset:
        """Read all masks that people submitted, and fetch the images that are not here yet.

        Args:
            folder: Gets the images and a manifest, so that `evaluate(model, folder)` can read it;
                None: a folder of the project in the data folder.
            only_gold: Read only annotations marked as ground truth.

        Returns:
            The labelled images; `skipped` counts and names what was left out, and why.

        Raises:
            LabelStudioError: Label Studio is out of reach.
            InvalidInputError: The folder cannot be written.
        """
        at = None if folder is None else Path(folder)
        return pull_project(self._project, at, only_gold=only_gold)


@contextmanager
def open_project(
    project_id: int, url: str | None = None, api_key: str | None = None
) -> Iterator[LabelStudioProject]:
    """Open a project of a Label Studio: `with sb.open_project(7) as project: …`.

    Args:
        project_id: The project's id, the number in its address.
        url: Address of Label Studio; None: `LABEL_STUDIO_URL`, else the one that connected this
            backend to the project.
        api_key: Access token of Account & Settings; None: `LABEL_STUDIO_API_KEY`, else the one
            that connected this backend. It is sent to `url` only.

    Raises:
        InvalidInputError: A token is given without an address.
        LabelStudioError: There is no such project, or Label Studio refuses the token or is out of
            reach.
    """
    with projects.open_project(project_settings(url, api_key), project_id) as project:
        yield LabelStudioProject(project)


def project_settings(url: str | None, api_key: str | None) -> Settings:
    """Return this process's settings, with an address and a token of Label Studio before them.

    A token of the environment is left out if it is for another address than `url`.

    Raises:
        InvalidInputError: A token is given, and no address is known.
    """
    configured = Settings()
    given: dict[str, Any] = {}
    if url is not None and url != configured.label_studio_url:
        given = {"label_studio_url": url, "label_studio_api_key": None}
    if api_key is not None:
        if url is None and configured.label_studio_url is None:
            raise InvalidInputError("api_key needs url, the address of the Label Studio it is for")
        given["label_studio_api_key"] = api_key
    return Settings(**given)
