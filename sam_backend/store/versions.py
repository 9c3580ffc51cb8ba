"""Versions of a project's data set: immutable, named by their content, each with its parent."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from sam_backend.errors import InvalidInputError
from sam_backend.store import manifest_tree
from sam_backend.store.database import Database
from sam_backend.store.objects import Objects, canonical, digest_of
from sam_backend.store.project_store import ProjectStore
from sam_backend.store.revisions import Revision, Revisions, Subject
from sam_backend.store.tables import VERSION_TAGS, VERSIONS

HEAD = "head"
_SHORTEST = 6
_HEX = re.compile(r"[0-9a-f]{6,64}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Version:
    """A data set as it was.

    Attributes:
        host: Address of the project's Label Studio.
        project: Its number.
        parent: Digest of the version before; empty for the first.
        message: Message of whoever committed it.
        at: When, ISO 8601.
        model_version: Served at that time; None if unknown.
        stage: Stage of the project at that time; None if it has none.
        label_config: Digest of the project's label config.
        tree: Digest of the manifest's root.
        tasks: How many it has.
        annotations: Likewise.
        regions: Likewise.
    """

    host: str
    project: int
    parent: str
    message: str
    at: str
    model_version: str | None
    stage: str | None
    label_config: str
    tree: str
    tasks: int
    annotations: int
    regions: int

    @property
    def body(self) -> bytes:
        """What its digest is of."""
        return canonical(asdict(self))

    @property
    def digest(self) -> str:
        """sha256 of all of it: equal only for the same data with the same history."""
        return digest_of(self.body)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a version says beside its data; attributes as of `Version`."""

    message: str
    label_config: str
    model_version: str | None = None
    stage: str | None = None


class Versions(ProjectStore):
    """The versions of one project, in a line."""

    table = VERSIONS

    def __init__(self, database: Database, host: str, project: int) -> None:
        super().__init__(database, host, project)
        self._objects = Objects(database)
        self._revisions = Revisions(database, host, project)

    def commit(self, told: Circumstances, at: datetime) -> Version | None:
        """Keeps the data as the log knows it now.

        Returns:
            The new version; None: neither data nor label config differ from the head's.
        """
        config = told.label_config.encode()
        while True:
            with self._database.writing() as connection:
                parent = self._head(connection)
                version, nodes = self._now(connection, parent, told, digest_of(config), at)
                if parent is not None and _same_data(version, self._read(parent)):
                    return None
                bodies = {**nodes, digest_of(config): config, version.digest: version.body}
                self._objects.put(connection, bodies)
                row = self._database.insert_new(
                    connection,
                    VERSIONS,
                    digest=version.digest,
                    **self._place,
                    parent=version.parent,
                    at=at,
                )
            if row is not None:  # else another commit came first: this one goes on from there
                return version

    def log(self, limit: int | None = None) -> list[Version]:
        """Versions, newest first."""
        asked = select(VERSIONS.c.digest).where(*self._own()).order_by(VERSIONS.c.id.desc())
        with self._database.reading() as connection:
            digests = [digest for (digest,) in connection.execute(asked.limit(limit))]
        bodies = self._objects.get(digests)
        return [Version(**json.loads(bodies[digest])) for digest in digests]

    def find(self, name: str) -> Version:
        """A version by tag, by the first six or more digits of its digest, or `head`.

        Raises:
            InvalidInputError: There is none, or there are several.
        """
        with self._database.reading() as connection:
            if name == HEAD:
                digest = self._head(connection)
                if digest is None:
                    raise InvalidInputError(f"project {self._project} has no version yet")
                return self._read(digest)
            tagged = connection.execute(
                select(VERSION_TAGS.c.digest).where(
                    *self._own(VERSION_TAGS),
                    VERSION_TAGS.c.name == name,
                )
            ).scalar()
            if tagged is not None:
                return self._read(tagged)
            if not _HEX.fullmatch(name):
                raise InvalidInputError(
                    f"project {self._project} has no version {name!r}: a tag, {HEAD}, or the first "
                    f"{_SHORTEST} digits of a digest or more"
                )
            asked = select(VERSIONS.c.digest).where(
                *self._own(), VERSIONS.c.digest.startswith(name)
            )
            found = [digest for (digest,) in connection.execute(asked)]
            if len(found) != 1:
                told = "no version" if not found else f"{len(found)} versions"
                raise InvalidInputError(f"{told} of project {self._project} begin with {name!r}")
            return self._read(found[0])

    def tag(self, name: str, version: Version, at: datetime) -> None:
        """Names a version for good.

        Raises:
            InvalidInputError: The name is none, or another version has it.
        """
        if not _TAG.fullmatch(name) or _HEX.fullmatch(name) or name == HEAD:
            raise InvalidInputError(
                f"a tag has letters, digits, dots, dashes and underscores, and is not {HEAD} or "
                f"the beginning of a digest, unlike {name!r}"
            )
        with self._database.writing() as connection:
            row = self._database.insert_new(
                connection,
                VERSION_TAGS,
                **self._place,
                name=name,
                digest=version.digest,
                at=at,
            )
        if row is None and self.find(name).digest != version.digest:
            raise InvalidInputError(f"tag {name!r} names another version, and tags do not move")

    def tags(self) -> dict[str, list[str]]:
        """Names by digest."""
        asked = select(VERSION_TAGS.c.name, VERSION_TAGS.c.digest).where(*self._own(VERSION_TAGS))
        found: dict[str, list[str]] = {}
        with self._database.reading() as connection:
            for name, digest in connection.execute(asked.order_by(VERSION_TAGS.c.name)):
                found.setdefault(digest, []).append(name)
        return found

    def entries(self, version: Version) -> dict[str, str]:
        """The manifest: digests of states by key, "12" of a task and "12/34" of an annotation."""
        return manifest_tree.entries_of(version.tree, self._objects.get)

    def entries_of_tasks(self, version: Version, tasks: Iterable[int]) -> dict[str, str]:
        """The manifest's part of these tasks and their annotations; only that part is read."""
        numbers = [str(task) for task in tasks]
        return manifest_tree.entries_of_tasks(version.tree, numbers, self._objects.get)

    def compare(self, before: Version, after: Version) -> tuple[dict[str, str], dict[str, str]]:
        """Entries of the one that the other lacks or has otherwise, and the other way round."""
        return manifest_tree.compare(before.tree, after.tree, self._objects.get)

    def label_config(self, version: Version) -> str:
        """The project's label config as it was."""
        return self._objects.get([version.label_config])[version.label_config].decode()

    def label_configs(self, version: Version) -> list[str]:
        """The label configs of a version and of all before it, oldest first, each once."""
        known = {one.digest: one for one in self.log()}
        line = [version]
        while line[-1].parent in known:
            line.append(known[line[-1].parent])
        digests = list(dict.fromkeys(one.label_config for one in reversed(line)))
        bodies = self._objects.get(digests)
        return [bodies[digest].decode() for digest in digests]

    def states(self, digests: Mapping[str, str]) -> dict[str, Any]:
        """States by key, from digests by key."""
        bodies = self._objects.get(digests.values())
        return {key: json.loads(bodies[digest]) for key, digest in digests.items()}

    def _head(self, connection: Connection) -> str | None:
        asked = select(VERSIONS.c.digest).where(*self._own()).order_by(VERSIONS.c.id.desc())
        return connection.execute(asked.limit(1)).scalar()

    def _read(self, digest: str) -> Version:
        return Version(**self._objects.value(digest))

    def _now(
        self,
        connection: Connection,
        parent: str | None,
        told: Circumstances,
        config: str,
        at: datetime,
    ) -> tuple[Version, dict[str, bytes]]:
        newest = self._revisions.newest_within(connection)
        annotations = [one for one in newest if one.subject is Subject.ANNOTATION]
        tree, nodes = manifest_tree.build({_key(one): str(one.digest) for one in newest})
        version = Version(
            host=self._host,
            project=self._project,
            parent=parent or "",
            message=told.message,
            at=at.isoformat(),
            model_version=told.model_version,
            stage=told.stage,
            label_config=config,
            tree=tree,
            tasks=len(newest) - len(annotations),
            annotations=len(annotations),
            regions=sum(one.regions for one in annotations),
        )
        return version, nodes


def _key(revision: Revision) -> str:
    if revision.subject is Subject.TASK:
        return str(revision.number)
    return f"{revision.task}/{revision.number}"


def _same_data(one: Version, other: Version) -> bool:
    return (one.tree, one.label_config) == (other.tree, other.label_config)
