"""The model store: which of its checkpoints is served, and how that changes."""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.sam.families import family_named
from sam_backend.settings import Settings
from sam_backend.store.champions import (
    ChampionFile,
    History,
    ProjectsFile,
    Promotion,
    stamp_of,
)
from sam_backend.store.checkpoint_folders import CheckpointFolders, ModelEntry
from sam_backend.store.public_checkpoints import (
    HUB_CHECKPOINTS,
    PUBLIC_CHECKPOINTS,
    PublicCheckpoint,
)

__all__ = ["ModelEntry", "ModelStore", "open_store", "packaged_store"]

logger = logging.getLogger(__name__)


class ModelStore(CheckpointFolders):
    """Checkpoints, and which one is the champion (the served one).

    The champion is kept in the first folder, with the models, so that every process that sees the
    store sees a promotion.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        public: Mapping[str, PublicCheckpoint] = PUBLIC_CHECKPOINTS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Takes folders that need not exist yet, what `pull` knows, and the clock."""
        super().__init__(folders, public, now)
        self._champions = ChampionFile(folders[0])
        self.projects = ProjectsFile(folders[0])

    def get(self, name: str, follow: bool = True) -> ModelEntry:
        """The checkpoint of that version; or, if the name is a family, the one of it to serve.

        Of a family that is the one promoted last (if the promotion stands), else its best;
        challengers that were never promoted must be called by their version.

        Args:
            name: A version or a family.
            follow: False: of a family it is the best one, whatever was promoted.

        Raises:
            ModelStoreError: There is none; names those that are there.
        """
        entries = self.list()
        here = {entry.version: entry for entry in entries}
        if name in here:
            return here[name]
        chosen = self._champions.read().chosen() if follow else ()
        promoted = [here[v] for v in reversed(chosen) if v in here]
        for entry in (*promoted, *_without_challengers(entries)):
            if entry.card.family == name:
                return entry
        is_public = name in self._public or name in HUB_CHECKPOINTS
        hint = f"; get it with `sam-backend models pull {name}`" if is_public else ""
        versions = ", ".join(here) or "none"
        raise ModelStoreError(f"no model {name!r} in the store (here: {versions}){hint}")

    def best(self) -> ModelEntry:
        """The best checkpoint by its family's rank, from `sam3_tracker` down to `starter`.

        Larger image encoders segment better (the paper's figure 13) but are slower; on a CPU one
        may want to name a smaller one. Within a family the one added last wins, then the higher
        version, then the plain one: `starter-10` before `starter-10-synthetic`. A
        challenger is never picked: whether it is better, only the gate can tell.

        Raises:
            ModelStoreError: There is none.
        """
        entries = _without_challengers(self.list())
        if not entries:
            places = ", ".join(str(folder) for folder in self._folders)
            raise ModelStoreError(
                f"no model in {places}; get one with `sam-backend models pull vit_b`"
            )
        return entries[0]

    def champion(self) -> ModelEntry:
        """The checkpoint to serve when the settings name none.

        That is the promoted one; as long as nothing was promoted, the `best`. A promotion is a
        decision, by the gate or by a person, and outlasts what comes into the store later: a
        pulled vit_b is served once somebody promotes it. A champion that has been removed from
        the store gives way, with a warning, to the one before it.

        Raises:
            ModelStoreError: The store is empty, or `champion.json` is damaged.
        """
        standing = self._champions.read().standing()
        here = {entry.version: entry for entry in self.list()} if standing else {}
        for version in reversed(standing):
            if version in here:
                return here[version]
            logger.warning("champion %s is not in the model store", version)
        return self.best()

    def to_serve(self, model: str | None) -> ModelEntry:
        """The checkpoint that `settings.model` asks for.

        Args:
            model: A version pins that version, whatever is promoted. A family serves that family
                (see `get`). None serves the champion.

        Raises:
            ModelStoreError: There is none.
        """
        return self.get(model) if model else self.champion()

    def promote(
        self,
        version: str,
        reason: str,
        by: str,
        replacing: str | None = None,
        family: str | None = None,
    ) -> bool:
        """Makes a version the champion, for all processes that see the store.

        Args:
            version: Version of a checkpoint in the store.
            reason: Why, for people.
            by: Who or what decided.
            replacing: The champion that it was compared with; anyone without.
            family: Whose champion that was (see `get`); the champion of all without.

        Returns:
            False: it had been promoted already, and nothing has changed.

        Raises:
            ModelStoreError: There is no such version, its family is unknown, or the champion is
                another one than `replacing`.
        """
        entries = {entry.version: entry for entry in self.list()}
        if version not in entries:
            raise ModelStoreError(
                f"no version {version!r} in the store (here: {', '.join(entries) or 'none'})"
            )
        family_named(entries[version].card.family)

        def decide(before: History) -> Promotion | None:
            champion = self._champion_version()
            beaten = self.get(family).version if family else champion
            if replacing not in {None, beaten}:
                of = f" of {family}" if family else ""
                raise ModelStoreError(f"the champion{of} is {beaten} by now, not {replacing}")
            if before.standing()[-1:] == (version,):
                return None
            return Promotion(
                version=version, replaces=champion, at=self._now(), by=by, reason=reason
            )

        return self._champions.add(decide)

    def rollback(self, reason: str, by: str) -> ModelEntry:
        """Brings back the champion before today's; before the first, what was served then.

        Raises:
            ModelStoreError: There is none before it that is still in the store.
        """
        here = {entry.version for entry in self.list()}

        def decide(before: History) -> Promotion:
            today, target = before.to_bring_back(here)
            return Promotion(
                version=target,
                replaces=today,
                at=self._now(),
                by=by,
                reason=reason,
                is_rollback=True,
            )

        self._champions.add(decide)
        return self.champion()

    def prune(
        self, keep: int, served: str | None = None, named: Collection[str] = ()
    ) -> list[ModelEntry]:
        """Removes old challengers that the gate refused; returns what was removed.

        What was ever promoted, for all or for a project, stays, and with it all that a rollback can
        bring back; so do the parents of those that stay, and what `served` or a project name.

        Args:
            keep: So many refused ones stay, the newest.
            served: As `settings.model`.
            named: Versions that projects name in their `extra_params`.

        Raises:
            ModelStoreError: One cannot be removed, or `champion.json` is damaged.
        """
        removed: list[ModelEntry] = []

        def remove(before: History) -> None:  # nobody promotes for all meanwhile
            entries = self.list()
            known = {served, *named, *before.standing()}
            known |= {promotion.version for promotion in before.history}
            known |= self.projects.read().versions
            mine = [entry for entry in entries if entry.folder.parent == self._folders[0]]
            for entry in _to_prune(mine, keep, {version for version in known if version}):
                self._remove(entry)
                removed.append(entry)

        self._champions.change(remove)
        return removed

    def history(self) -> tuple[Promotion, ...]:
        """Every promotion and rollback, the oldest first.

        Raises:
            ModelStoreError: `champion.json` is damaged.
        """
        return self._champions.read().history

    def champion_stamp(self) -> tuple[tuple[int, int], ...]:
        """Differs from an earlier one if the champion may have changed since; a few file stats.

        It changes with `champion.json` and when a checkpoint comes into the store or leaves it.
        """
        return self._champions.stamp(), *(stamp_of(folder) for folder in self._folders)

    def next_version(self, parent: str) -> str:
        """Return the next free name for a checkpoint trained from `parent`, such as starter-3-r1.

        It is not reserved: `add` refuses the second of two that take it.
        """
        base = re.sub(r"-r\d+$", "", parent)[:56]
        taken = {path.name for folder in self._folders for path in folder.glob(f"{base}-r*")}
        taken |= {promotion.version for promotion in self.history()}
        taken |= self.projects.read().versions
        numbers = [re.fullmatch(rf"{re.escape(base)}-r(\d+)", name) for name in taken]
        return f"{base}-r{max((int(match[1]) for match in numbers if match), default=0) + 1}"

    def _champion_version(self) -> str | None:
        try:
            return self.champion().version
        except ModelStoreError:  # nothing but challengers
            return None


def own_store(settings: Settings) -> Path:
    """Folder of the user's store: `model_store`, else under `data_dir`; it need not exist."""
    return settings.model_store or settings.data_dir / "model_store"


def open_store(settings: Settings) -> ModelStore:
    """The user's store on top of the packaged one."""
    own = own_store(settings)
    return ModelStore([own, packaged_store()])


def packaged_store() -> Path:
    """The checkpoints that ship with us: inside the wheel, or `model_store/` of a checkout."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "model_store"
    return in_wheel if in_wheel.is_dir() else package.parent / "model_store"


def _without_challengers(entries: Sequence[ModelEntry]) -> Sequence[ModelEntry]:
    return [entry for entry in entries if not entry.card.challenger]


_NEVER = datetime.min.replace(tzinfo=UTC)


def _to_prune(entries: Sequence[ModelEntry], keep: int, known: Collection[str]) -> list[ModelEntry]:
    """The refused challengers but the newest ones, the oldest first.

    Args:
        entries: Entries of the store.
        keep: So many refused ones stay; one at the least, so that no number is given twice.
        known: Versions that stay in any case.

    Raises:
        InvalidInputError: `keep` is below one.
    """
    if keep < 1:
        raise InvalidInputError(f"at least 1 refused challenger must be kept, not {keep}")
    refused = [
        entry
        for entry in entries
        if entry.card.challenger
        and entry.card.gate.get("promote") is False
        and entry.version not in known
    ]
    refused.sort(key=lambda entry: entry.card.added_at or _NEVER)
    gone = {entry.version for entry in refused[:-keep]}
    while parents := {e.card.parent for e in entries if e.version not in gone} & gone:
        gone -= parents
    return [entry for entry in refused if entry.version in gone]
