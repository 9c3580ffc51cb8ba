"""Which checkpoints were promoted: `champion.json` for all, `projects.json` for single projects."""

from collections.abc import Callable, Collection
from datetime import datetime
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import override

from sam_backend.errors import ModelStoreError
from sam_backend.files import lock, replacing

CHAMPION_NAME = "champion.json"
PROJECTS_NAME = "projects.json"

State = TypeVar("State", bound=BaseModel)


class Promotion(BaseModel):
    """One change of the champion.

    Attributes:
        version: The champion from then on.
        replaces: What was served before; None if nothing was.
        at: When.
        by: Who or what decided, such as "the gate".
        reason: Why.
        is_rollback: It brought back an earlier champion.
        named: The model that the project named then, a version or a family; None: it is the
            champion of all projects that name none.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    replaces: str | None = None
    at: datetime
    by: str
    reason: str
    is_rollback: bool = False
    named: str | None = None


class History(BaseModel):
    """All promotions, the oldest first; what `champion.json` holds."""

    model_config = ConfigDict(frozen=True)

    history: tuple[Promotion, ...] = Field(())

    def standing(self) -> tuple[str, ...]:
        """The champions that a rollback can go back through; the last one is today's.

        The first one is what was served before anything was promoted. A rollback takes away the
        champions after the one that it brings back.
        """
        stack: list[str] = []
        for promotion in self.history:
            if promotion.is_rollback:
                while stack and stack[-1] != promotion.version:
                    stack.pop()
                stack = stack or [promotion.version]
                continue
            if not stack and promotion.replaces not in {None, promotion.version}:
                stack.append(str(promotion.replaces))
            stack.append(promotion.version)
        return tuple(stack)

    def chosen(self) -> tuple[str, ...]:
        """Of those standing, the ones that somebody has promoted."""
        named = {promotion.version for promotion in self.history}
        return tuple(version for version in self.standing() if version in named)

    def to_bring_back(self, here: Collection[str]) -> tuple[str | None, str]:
        """Return today's champion, and the one before it that a rollback brings back.

        Args:
            here: Versions that are in the store.

        Raises:
            ModelStoreError: There is none before it that is still in the store.
        """
        *earlier, today = self.standing() or (None,)
        target = next((v for v in reversed(earlier) if v in here and v != today), None)
        if target is None:
            raise ModelStoreError(
                "nothing was promoted yet: there is no champion to go back from"
                if today is None
                else f"no champion before {today} is in the store to go back to"
            )
        return today, target


class OwnModel(BaseModel):
    """What `sam-backend models use` said about one project.

    Attributes:
        name: A version or a family of the store.
        at: When.
        by: Who said so.
        reason: Why.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    at: datetime
    by: str
    reason: str


class ProjectRecord(BaseModel):
    """What the store keeps of one project.

    Attributes:
        use: The model that an operator gave it; None: none, or it was taken back.
        history: Its own promotions and rollbacks, the oldest first.
    """

    model_config = ConfigDict(frozen=True)

    use: OwnModel | None = None
    history: tuple[Promotion, ...] = ()

    def under(self, name: str) -> History:
        """Return what was promoted while the project named this model."""
        return History(history=tuple(one for one in self.history if one.named == name))


class ProjectRecords(BaseModel):
    """All projects with a model of their own; what `projects.json` holds.

    Attributes:
        projects: By the name that Label Studio's calls give a project, `<id>.<created>`.
    """

    model_config = ConfigDict(frozen=True)

    projects: dict[str, ProjectRecord] = Field(default_factory=dict)

    @property
    def versions(self) -> set[str]:
        """Every version that a project was given by name, or that was ever promoted for one."""
        found = {one.version for record in self.projects.values() for one in record.history}
        found |= {one.replaces for p in self.projects.values() for one in p.history if one.replaces}
        return found | {one.use.name for one in self.projects.values() if one.use is not None}


class StateFile(Generic[State]):
    """One JSON file of a model store that processes read and change together.

    Args:
        path: Its folder need not exist yet.
        kind: What it holds; the file need not exist, its default stands for that.
    """

    def __init__(self, path: Path, kind: type[State]) -> None:
        self.path = path
        self._kind = kind

    def stamp(self) -> tuple[int, int]:
        """Return what differs from an earlier stamp if the file has changed; a file stat."""
        return stamp_of(self.path)

    def read(self) -> State:
        """Return what the file holds.

        Raises:
            ModelStoreError: The file cannot be read or understood.
        """
        try:
            return self._kind.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return self._kind()
        except OSError as error:
            raise ModelStoreError(f"cannot read {self.path}: {error.strerror}") from error
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise ModelStoreError(
                f"{self.path} is no history of champions: {place} {fault['msg']}"
            ) from error

    def change(self, decide: Callable[[State], State | None]) -> bool:
        """Replace what the file holds by what `decide` makes of it; one process at a time.

        Returns:
            False: it said None, nothing has changed.

        Raises:
            ModelStoreError: The file cannot be read or written.
        """
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lock(folder / f".{self.path.name}.lock"):
                after = decide(self.read())
                if after is not None:
                    self._write(after)
                return after is not None
        except OSError as error:
            raise ModelStoreError(f"cannot write {self.path}: {error.strerror}") from error

    def _write(self, state: State) -> None:
        """A reader sees the old file or the new one, even after a power cut."""
        with replacing(self.path, is_durable=True) as unfinished:
            unfinished.write_text(state.model_dump_json(indent=2) + "\n", encoding="utf-8")


class ChampionFile(StateFile[History]):
    """`champion.json` of a model store: every process that sees the folder sees the champion.

    Args:
        folder: The store's own folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / CHAMPION_NAME, History)

    def add(self, decide: Callable[[History], Promotion | None]) -> bool:
        """Add what `decide` says of the history so far; as `change`."""

        def longer(before: History) -> History | None:
            promotion = decide(before)
            if promotion is None:
                return None
            return History(history=(*before.history, promotion))

        return self.change(longer)


class ProjectsFile(StateFile[ProjectRecords]):
    """`projects.json` of a model store: which projects have a model of their own.

    Args:
        folder: The store's own folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / PROJECTS_NAME, ProjectRecords)

    @override
    def read(self) -> ProjectRecords:
        if not self.path.parent.is_dir():  # else each project would be told of a data folder gone
            return ProjectRecords()
        return super().read()


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's or folder's time of change (ns) and inode; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino
