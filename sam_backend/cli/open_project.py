"""A project that a command works on: its Label Studio, and what we keep of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.process_setup import log_to_stderr
from sam_backend.errors import InvalidInputError, LabelStudioUnavailableError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.labelstudio.api.client import LabelStudioClient
    from sam_backend.projects.images import ProjectImages
    from sam_backend.projects.true_sizes import TrueSizes
    from sam_backend.stages.policy import StagePolicy
    from sam_backend.store.annotators import Annotators
    from sam_backend.store.database import Database
    from sam_backend.store.leases import Leases
    from sam_backend.store.revisions import Revisions
    from sam_backend.store.stage_moves import StageMoves
    from sam_backend.store.versions import Versions

log = logging.getLogger(__name__)

Project = Annotated[int, typer.Option(help="Number of the Label Studio project.")]


@dataclass(frozen=True, slots=True)
class OpenProject:
    """One project.

    Attributes:
        settings: The settings of this process.
        client: API client of the project's Label Studio.
        database: What we keep.
        number: The project's id in Label Studio.
    """

    settings: Settings
    client: "LabelStudioClient"
    database: "Database"
    number: int

    @property
    def revisions(self) -> "Revisions":
        """Its log."""
        from sam_backend.store.revisions import Revisions

        return Revisions(self.database, self.client.host.url, self.number)

    @property
    def versions(self) -> "Versions":
        """Of its annotations."""
        from sam_backend.store.versions import Versions

        return Versions(self.database, self.client.host.url, self.number)

    @property
    def annotators(self) -> "Annotators":
        """Who has a queue."""
        from sam_backend.store.annotators import Annotators

        return Annotators(self.database, self.client.host.url, self.number)

    @property
    def leases(self) -> "Leases":
        """Who holds what."""
        from sam_backend.store.leases import Leases

        return Leases(self.database, self.client.host.url, self.number)

    @property
    def stage_moves(self) -> "StageMoves":
        """Between stages."""
        from sam_backend.store.stage_moves import StageMoves

        return StageMoves(self.database, self.client.host.url, self.number)

    @property
    def policy(self) -> "StagePolicy | None":
        """Of the stage that it is in; None: nobody has put it into one."""
        from sam_backend.stages.policy_resolution import policy_of

        return policy_of(self.settings, self.database, self.client.host.url, self.number)

    @property
    def max_pixels(self) -> int:
        """Of an image."""
        return self.settings.max_image_pixels

    def images(self, folder: Path) -> "ProjectImages":
        """Fetches images into a folder."""
        from sam_backend.labelstudio.images.resolver import image_resolver
        from sam_backend.projects.images import ProjectImages

        return ProjectImages(folder / "images", image_resolver(self.settings), self.max_pixels)

    @property
    def true_sizes(self) -> "TrueSizes":
        """Reads and remembers the true sizes of the project's images."""
        from sam_backend.projects.true_sizes import TrueSizes

        return TrueSizes(self.settings, self.database, self.client.host, self.number)

    @property
    def planted_names(self) -> dict[str, str]:
        """What planted gold images are called, by the token that they were uploaded as."""
        from sam_backend.store.gold import Gold

        gold = Gold(self.database)
        names = {one.digest: one.labelled.path.name for one in gold.images(with_excluded=True)}
        copies = gold.copies(str(self.client.host.origin), self.number)
        return {one.token: names[one.image] for one in copies if one.image in names}

    def people(self, who: list[str]) -> list[str]:
        """User ids of people by email address or user id.

        Raises:
            InvalidInputError: Nobody is called so.
        """
        from sam_backend.labelstudio.api.people import people_names

        names = people_names(self.client)
        by_name = {name.lower(): number for number, name in names.items()}
        # somebody whose account is gone can still leave
        known = names.keys() | {one.person for one in self.annotators.list()}
        found = []
        for one in who:
            number = one if one in known else by_name.get(one.lower())
            if number is None:
                raise InvalidInputError(f"Label Studio knows nobody called {one!r}")
            found.append(number)
        return found


@contextmanager
def open_client(
    number: int, settings: Settings, may_be_away: bool = False
) -> Iterator["LabelStudioClient"]:
    """Open a client of a project's Label Studio, which has said that it has the project.

    Args:
        number: The project's id in Label Studio.
        settings: The settings of this process.
        may_be_away: The command works while Label Studio is out of reach: it shows what our
            database keeps, or tries again and again.

    Raises:
        LabelStudioError: There is no such project, or Label Studio refuses our token or is out of
            reach.
    """
    from sam_backend.projects.dataset import client_of_project, find_project

    with client_of_project(settings, number) as client:
        try:
            find_project(client, number)
        except LabelStudioUnavailableError as error:
            if not may_be_away:
                raise
            log.warning("project %d: %s", number, error)
        yield client


@contextmanager
def open_project(
    number: int, settings: Settings | None = None, may_be_away: bool = False
) -> Iterator[OpenProject]:
    """Open a project for the length of a command; arguments and errors as of `open_client`."""
    settings = settings or Settings()
    log_to_stderr(settings)
    from sam_backend.store.database import open_database

    with open_client(number, settings, may_be_away) as client:
        database = open_database(settings)
        try:
            yield OpenProject(settings, client, database, number)
        finally:
            database.close()
