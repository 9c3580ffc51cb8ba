"""The model of one project: the one it names, and what was promoted for it since."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sam_backend.errors import ModelStoreError
from sam_backend.sam.families import family_named
from sam_backend.store.champions import OwnModel, ProjectRecord, ProjectRecords, Promotion
from sam_backend.store.models import ModelEntry, ModelStore

NamedBy = Literal["models use", "extra_params"]


@dataclass(frozen=True, slots=True)
class ProjectModel:
    """The model of a project that names one.

    Attributes:
        name: The version or family that the project names.
        named_by: Where it is named. `models use` goes before `extra_params`.
        entry: The checkpoint that answers; None: the name is not in the store.
        problem: Why there is none, in one sentence; empty if there is one.
    """

    name: str
    named_by: NamedBy
    entry: ModelEntry | None
    problem: str = ""

    def required(self) -> ModelEntry:
        """Return the checkpoint.

        Raises:
            ModelStoreError: The name is not in the store.
        """
        if self.entry is None:
            raise ModelStoreError(self.problem)
        return self.entry


class ProjectModels:
    """Names, promotions and rollbacks of the projects with a model of their own.

    A project without one is served the champion of the store. Of a project that names a version or
    a family, the champion is what was promoted last for this project while it named the same; as
    long as nothing was, it is that version, or the best of that family. What is promoted for other
    projects changes nothing.

    Projects are named as in Label Studio's calls: `<id>.<created>`. Methods take beside that name
    what the project's `extra_params` name (`extra`), empty if they name nothing.

    Args:
        store: The checkpoints; `projects.json` lies in its own folder.
        now: The clock, UTC.
    """

    def __init__(
        self, store: ModelStore, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._file = store.projects
        self._now = now

    def of(self, project: str, extra: str = "") -> ProjectModel | None:
        """Return the model of a project; None if it names none.

        Raises:
            ModelStoreError: `projects.json` is damaged.
        """
        return self._in(self._file.read(), project, extra)

    def use(
        self, project: str, name: str | None, reason: str, by: str, extra: str = ""
    ) -> ProjectModel | None:
        """Give a project a model, or take it back, for all processes that see the store.

        Args:
            project: Its name.
            name: A version or a family; None: what `extra_params` say counts again, and where they
                say nothing, the project is served the champion of the store.
            reason: Why, for people.
            by: Who decided.
            extra: What its `extra_params` name.

        Returns:
            The model that the project had before.

        Raises:
            ModelStoreError: There is no such model, or it is of an unknown family.
        """
        entry = None if name is None else self._store.get(name, follow=False)
        if entry is not None:
            family_named(entry.card.family)
        before: list[ProjectModel | None] = []

        def decide(records: ProjectRecords) -> ProjectRecords:
            before.append(self._in(records, project, extra))
            record, at = _record(records, project), self._now()
            if name is None or entry is None:
                return _with(records, project, record.model_copy(update={"use": None}))
            standing = record.under(name).standing()
            if standing[-1:] not in ((), (entry.version,)):  # it was retrained from this before
                back = Promotion(
                    version=entry.version,
                    replaces=standing[-1],
                    at=at,
                    by=by,
                    reason=reason,
                    named=name,
                )
                record = record.model_copy(update={"history": (*record.history, back)})
            use = OwnModel(name=name, at=at, by=by, reason=reason)
            return _with(records, project, record.model_copy(update={"use": use}))

        self._file.change(decide)
        return before[-1]

    def promote(
        self,
        project: str,
        version: str,
        reason: str,
        by: str,
        *,
        extra: str = "",
        replacing: str | None = None,
        named: str | None = None,
    ) -> bool:
        """Make a version the champion of one project that names a model.

        Args:
            project: Its name.
            version: Version of a checkpoint in the store.
            reason: Why, for people.
            by: Who or what decided.
            extra: What its `extra_params` name.
            replacing: The champion that it was compared with; None: any.
            named: The model that the project named then; None: any.

        Returns:
            False: it had been promoted already, and nothing has changed.

        Raises:
            ModelStoreError: There is no such version, the project names no model or another one
                than `named`, or its champion is another one than `replacing`.
        """
        entry = next((one for one in self._store.list() if one.version == version), None)
        if entry is None:
            raise ModelStoreError(f"no version {version!r} in the store: see the list of models")
        family_named(entry.card.family)

        def decide(records: ProjectRecords) -> ProjectRecords | None:
            own = self._named(records, project, extra)
            champion = None if own.entry is None else own.entry.version
            if named not in {None, own.name}:
                raise ModelStoreError(
                    f"project {project} names the model {own.name} by now, not {named}"
                )
            if replacing not in {None, champion}:
                raise ModelStoreError(
                    f"the champion of project {project} is {champion} by now, not {replacing}"
                )
            if version == champion:
                return None
            return self._longer(
                records,
                project,
                Promotion(
                    version=version,
                    replaces=champion,
                    at=self._now(),
                    by=by,
                    reason=reason,
                    named=own.name,
                ),
            )

        return self._file.change(decide)

    def rollback(self, project: str, reason: str, by: str, extra: str = "") -> ModelEntry:
        """Bring back the champion of a project that was there before today's.

        Raises:
            ModelStoreError: The project names no model, or none before today's is in the store.
        """
        here = {entry.version: entry for entry in self._store.list()}
        brought: list[str] = []

        def decide(records: ProjectRecords) -> ProjectRecords:
            own = self._named(records, project, extra)
            today, target = _record(records, project).under(own.name).to_bring_back(here)
            brought.append(target)
            return self._longer(
                records,
                project,
                Promotion(
                    version=target,
                    replaces=today,
                    at=self._now(),
                    by=by,
                    reason=reason,
                    is_rollback=True,
                    named=own.name,
                ),
            )

        self._file.change(decide)
        return here[brought[-1]]

    def history(self, project: str) -> tuple[Promotion, ...]:
        """Return the promotions and rollbacks of one project, the oldest first.

        Raises:
            ModelStoreError: `projects.json` is damaged.
        """
        return _record(self._file.read(), project).history

    def _in(self, records: ProjectRecords, project: str, extra: str) -> ProjectModel | None:
        record = _record(records, project)
        name = extra if record.use is None else record.use.name
        if not name:
            return None
        by: NamedBy = "extra_params" if record.use is None else "models use"
        here = {entry.version: entry for entry in self._store.list()}
        for version in reversed(record.under(name).standing()):
            if version in here:
                return ProjectModel(name, by, here[version])
        try:
            return ProjectModel(name, by, self._store.get(name, follow=False))
        except ModelStoreError as error:
            return ProjectModel(name, by, None, f"project {project} asks for {error}")

    def _named(self, records: ProjectRecords, project: str, extra: str) -> ProjectModel:
        own = self._in(records, project, extra)
        if own is None:
            raise ModelStoreError(
                f"project {project} names no model, it is served the champion of all: give it one "
                "of its own with `sam-backend models use VERSION --project NUMBER`"
            )
        return own

    def _longer(
        self, records: ProjectRecords, project: str, promotion: Promotion
    ) -> ProjectRecords:
        record = _record(records, project)
        longer = record.model_copy(update={"history": (*record.history, promotion)})
        return _with(records, project, longer)


def _record(records: ProjectRecords, project: str) -> ProjectRecord:
    return records.projects.get(project, ProjectRecord())


def _with(records: ProjectRecords, project: str, record: ProjectRecord) -> ProjectRecords:
    return ProjectRecords(projects={**records.projects, project: record})
