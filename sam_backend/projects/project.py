"""A Label Studio project as one object: its Label Studio, and what our database keeps of it."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from sam_backend.errors import LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.timestamps import moment
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.projects.images import ProjectImages
from sam_backend.settings import Settings
from sam_backend.store.annotators import Annotators
from sam_backend.store.database import Database, open_database
from sam_backend.store.gold import Gold
from sam_backend.store.leases import Leases
from sam_backend.store.measurements import Measurements
from sam_backend.store.models import open_store
from sam_backend.store.prefills import Prefills
from sam_backend.store.project_models import ProjectModel, ProjectModels
from sam_backend.store.revisions import Revisions
from sam_backend.store.stage_moves import StageMoves
from sam_backend.store.task_features import TaskFeaturesStore
from sam_backend.store.task_orders import TaskOrders
from sam_backend.store.versions import Versions

log = logging.getLogger(__name__)

# Each call waits for Label Studio's database, which a busy server shares with its annotators.
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Project:
    """One project of one Label Studio. Close it, or use `with`.

    It connects to Label Studio when `client` is first asked for: what only reads our database works
    while Label Studio is out of reach. The database belongs to whoever opened it, and stays open.

    Attributes:
        settings: The settings of this process.
        database: Holds what we keep of the project.
        host: The project's Label Studio, with our token for it.
        id: The project's id in Label Studio.
    """

    settings: Settings
    database: Database
    host: LabelStudioHost
    id: int

    @classmethod
    def of(cls, settings: Settings, database: Database, project_id: int) -> Self:
        """Find a project's Label Studio (`host_of_project`), without asking it anything.

        Raises:
            LabelStudioError: No Label Studio with such a project is known.
        """
        return cls(settings, database, host_of_project(settings, project_id), project_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to Label Studio, if there are any."""
        if "client" in self.__dict__:
            self.client.close()

    @cached_property
    def client(self) -> LabelStudioClient:
        """API client of the project's Label Studio."""
        return LabelStudioClient(self.host, _TIMEOUT_S)

    @property
    def origin(self) -> str:
        """Scheme, host and port of Label Studio: names it in gold copies, prefills and samples."""
        return str(self.host.origin)

    @property
    def folder(self) -> Path:
        """Folder that keeps the project's images and its data set between two readings."""
        return self.settings.data_dir / "projects" / str(self.id)

    def images(self, folder: Path | None = None) -> ProjectImages:
        """Return what fetches images into the sub-folder `images` of a folder.

        Args:
            folder: Made if it is missing; None: the project's own.
        """
        resolver = image_resolver(self.settings)
        at = (folder or self.folder) / "images"
        return ProjectImages(at, resolver, self.settings.max_image_pixels)

    @property
    def revisions(self) -> Revisions:
        """Log of all states of tasks and annotations."""
        return Revisions(*self._place)

    @property
    def versions(self) -> Versions:
        """Dataset versions."""
        return Versions(*self._place)

    @property
    def annotators(self) -> Annotators:
        """People who have a queue."""
        return Annotators(*self._place)

    @property
    def leases(self) -> Leases:
        """Tasks in the queues: who holds which."""
        return Leases(*self._place)

    @property
    def stage_moves(self) -> StageMoves:
        """Moves from stage to stage."""
        return StageMoves(*self._place)

    @property
    def measurements(self) -> Measurements:
        """Figures by kind and time."""
        return Measurements(*self._place)

    @property
    def task_features(self) -> TaskFeaturesStore:
        """Features and true sizes of the tasks' images."""
        return TaskFeaturesStore(*self._place)

    @property
    def task_orders(self) -> TaskOrders:
        """The order in which tasks should be labelled."""
        return TaskOrders(*self._place)

    @property
    def gold(self) -> Gold:
        """Trusted images of all projects, and their copies."""
        return Gold(self.database)

    @property
    def prefills(self) -> Prefills:
        """Prefill log of all projects."""
        return Prefills(self.database)

    @property
    def _place(self) -> tuple[Database, str, int]:
        return self.database, self.host.url, self.id


@contextmanager
def open_project(
    settings: Settings, project_id: int, may_be_away: bool = False, own_model: bool = True
) -> Iterator[Project]:
    """Open a project with its database, once Label Studio has said that it has the project.

    The settings of the opened project name its own model, if it has one.

    Args:
        settings: The settings of this process.
        project_id: The project's id in Label Studio.
        may_be_away: Open it although Label Studio is out of reach, with a warning: the caller
            shows what our database keeps, or tries again and again.
        own_model: False: `settings` name the model that somebody asked for, whatever the project
            names.

    Raises:
        LabelStudioError: There is no such project, or Label Studio refuses our token or is out of
            reach.
        DatabaseError: The database cannot be opened.
    """
    uid = None
    with client_of_project(settings, project_id) as client:  # before a database file is made
        try:
            uid = uid_of_record(find_project(client, project_id))
        except LabelStudioUnavailableError as error:
            if not may_be_away:
                raise
            log.warning("project %d: %s", project_id, error)
    if own_model:
        uid = uid or Connections.of(settings).uid_of_number(project_id)
        settings = with_model_of(settings, uid)
    database = open_database(settings)
    try:
        with Project.of(settings, database, project_id) as project:
            yield project
    finally:
        database.close()


def uid_of_record(record: Mapping[str, Any]) -> str | None:
    """Return the name that Label Studio's calls give a project, `<id>.<created>`.

    Args:
        record: Label Studio's record of the project; None is returned if it does not say.
    """
    made = moment(record.get("created_at"))
    return None if made is None else f"{record.get('id')}.{int(made.timestamp())}"


def uid_of_project(settings: Settings, project_id: int) -> str:
    """Return the name that Label Studio's calls give a project; asks it if no /setup has told.

    Raises:
        LabelStudioError: There is no such project, or its Label Studio is unknown, refuses our
            token or is out of reach.
    """
    uid = Connections.of(settings).uid_of_number(project_id)
    if uid is not None:
        return uid
    with client_of_project(settings, project_id) as client:
        found = uid_of_record(find_project(client, project_id))
    if found is None:
        raise LabelStudioError(f"Label Studio does not say when project {project_id} was made")
    return found


def settings_of_project(settings: Settings, project_id: int) -> Settings:
    """Return the settings with the version of a project's own model; asks no Label Studio."""
    return with_model_of(settings, Connections.of(settings).uid_of_number(project_id))


def model_of_project(settings: Settings, uid: str | None) -> ProjectModel | None:
    """Return the model that a project names; None if it names none.

    Args:
        settings: The settings of this process.
        uid: The project's name in Label Studio's calls; None: unknown, it names none.

    Raises:
        ModelStoreError: `projects.json` is damaged.
    """
    if uid is None:
        return None
    extra = Connections.of(settings).model_of(uid)
    return ProjectModels(open_store(settings)).of(uid, extra)


def with_model_of(settings: Settings, uid: str | None) -> Settings:
    """Return the settings with the version of a project's own model, if it has one.

    A model that is not in the store changes nothing, with a warning: the default answers.

    Args:
        settings: The settings of this process.
        uid: The project's name in Label Studio's calls; None: unknown.

    Raises:
        ModelStoreError: `projects.json` is damaged.
    """
    own = model_of_project(settings, uid)
    if own is None:
        return settings
    if own.entry is None:
        log.warning("%s; the default model answers", own.problem)
        return settings
    return settings.model_copy(update={"model": own.entry.version})


def host_of_project(settings: Settings, project_id: int) -> LabelStudioHost:
    """The Label Studio of a project, for work outside of a request.

    It is what LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY say, else what the project's /setup said.

    Raises:
        LabelStudioError: Neither is known, or several servers have such a project. The message
            says what to set.
    """
    return Connections.of(settings).host_of_number(project_id)


def client_of_project(settings: Settings, project_id: int) -> LabelStudioClient:
    """A client of a project's Label Studio (`host_of_project`), for its caller to close."""
    return LabelStudioClient(host_of_project(settings, project_id), _TIMEOUT_S)


def find_project(client: LabelStudioClient, project_id: int) -> dict[str, Any]:
    """Return Label Studio's record of a project, once it is sure that there is one.

    Raises:
        LabelStudioUnavailableError: Label Studio is out of reach.
        LabelStudioError: It has no such project, or refuses our token; says what to do.
    """
    where = f"Label Studio at {client.host.url}"
    try:
        return client.project(project_id)
    except LabelStudioUnavailableError as error:
        raise LabelStudioUnavailableError(
            f"{error}: does Label Studio run, and is LABEL_STUDIO_URL right?",
            error.retry_after_s,
            error.status,
        ) from None
    except LabelStudioError as error:
        if error.status == 404:
            titles = client.titles().items()
            names = ", ".join(f"{number} ({title!r})" for number, title in titles) or "none"
            raise LabelStudioError(
                f"{where} has no project {project_id} that our user may see; there are: {names}",
                error.status,
            ) from None
        if error.status in (401, 403):
            raise LabelStudioError(
                f"{where} refuses our token ({error}): set LABEL_STUDIO_API_KEY to an access token "
                "of Account & Settings, and LABEL_STUDIO_URL",
                error.status,
            ) from None
        raise
