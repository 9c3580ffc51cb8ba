"""All models that one server serves: the champion, and those of projects with a model of their own.

They share one device and one book of encodes, whose keys hold the model version.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch

from sam_backend.errors import ModelStoreError, SamBackendError
from sam_backend.serving.champion import Champion
from sam_backend.serving.factory import MEGABYTE
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.serving.served_model import LOADING_PATIENCE_S, Checkpoint, ServedModel
from sam_backend.store.project_models import ProjectModel

log = logging.getLogger(__name__)

_LOOK_S = 0.1
_MOST_KEPT = 1000
"""Choices that are remembered: anybody may name any number of projects."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model in memory, for status pages.

    Attributes:
        model_version: Names it.
        family: Its network.
        state: "loading", "ready" or "failed".
        n_bytes: Size of its weights.
        is_default: It answers all projects that name no model.
        projects: Those that name it, by their names in Label Studio's calls.
    """

    model_version: str
    family: str
    state: str
    n_bytes: int
    is_default: bool
    projects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProjectChoice:
    """The model of a project that names one.

    Attributes:
        own: What the project names; None: `projects.json` cannot be read.
        checkpoint: What answers it; None: the default model.
        problem: Why that is not the model which the project names; empty if it is.
    """

    own: ProjectModel | None
    checkpoint: Checkpoint | None
    problem: str = ""


@dataclass(slots=True, eq=False)
class _Slot:
    """A model in memory beside the champion.

    Attributes:
        model: Loaded, or on its way.
        used: Grows with each use.
        leases: Requests that use it now.
    """

    model: ServedModel
    used: int = 0
    leases: int = 0

    @property
    def is_idle(self) -> bool:
        return not self.leases and self.model.state != "loading"


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: object
    choice: ProjectChoice | None


@dataclass(slots=True)
class _Notes:
    """What is remembered of projects.

    Attributes:
        choices: Last choice of each project, with the stamp of what it was made of.
        answering: Model version that answered a project last.
        failed: Model versions that could not be loaded, with the choice's stamp then.
    """

    choices: dict[str, _Kept] = field(default_factory=dict)
    answering: dict[str, str] = field(default_factory=dict)
    failed: dict[str, tuple[object, str]] = field(default_factory=dict)


class ServedModels:
    """Leases each project its model. Safe under threads; close it.

    A project's model is loaded at its first use, on a thread of its own, so that nobody but those
    who need it waits. If room is needed, the idle model that was used least lately goes; one that
    is in use never does, nor does the champion. While a newly promoted model of a project loads,
    the project's model until then goes on. Where a project's model is unknown, too large or
    damaged, the champion answers, and `tell` hears why.

    Args:
        champion: Answers projects that name no model; closed with this object.
        choice: Which checkpoint a project names.
        extra: The model that a project's `extra_params` name; empty: none.
        max_bytes: Most bytes of the weights of all models in memory, the champion's too.
        tell: Told the subject and the reason of what goes wrong.
        patience_s: Seconds that a request waits for room in memory, and then for the model.
    """

    def __init__(
        self,
        champion: Champion,
        choice: ModelChoice,
        extra: Callable[[str], str],
        max_bytes: int,
        tell: Callable[[str, str], None],
        patience_s: float = LOADING_PATIENCE_S,
    ) -> None:
        self.champion = champion
        self._choice, self._extra = choice, extra
        self._max_bytes, self._tell, self._patience_s = max_bytes, tell, patience_s
        self._changed = threading.Condition()
        self._slots: dict[str, _Slot] = {}
        self._uses = itertools.count(1)
        self._n_waiting = 0
        self._notes = _Notes()
        self._is_closed = False

    def choice_of(self, project: str, extra: str | None = None) -> ProjectChoice | None:
        """Return what a project is answered by; None: by the champion, for it names no model.

        Args:
            project: Its name in Label Studio's calls.
            extra: What its `extra_params` name; None: what they are known to name.
        """
        if extra is None:
            extra = self._extra(project)
        stamp = extra, self._choice.project_stamp()
        with self._changed:
            known = self._notes.choices.get(project)
        if known is not None and known.stamp == stamp:
            return known.choice
        choice = self._choose(project, extra)
        with self._changed:
            known = self._notes.choices.get(project)  # another thread may have told it already
            if len(self._notes.choices) >= _MOST_KEPT:
                self._notes.choices.clear()
            self._notes.choices[project] = _Kept(stamp, choice)
        before = None if known is None else known.choice
        if choice is not None and choice.problem and choice != before:
            self._tell_default(project, choice.problem)
        return choice

    def checkpoint_of(self, project: str, extra: str | None = None) -> Checkpoint:
        """Return the checkpoint that answers a project; arguments as of `choice_of`."""
        choice = self.choice_of(project, extra)
        if choice is None or choice.checkpoint is None:
            return self.champion.view().served.checkpoint
        return choice.checkpoint

    @contextmanager
    def lease(self, project: str = "", gives_way: bool = False) -> Iterator[ServedModel]:
        """The model for one request of a project; it stays usable until the block ends.

        Args:
            project: Its name in Label Studio's calls.
            gives_way: Nobody looks at the screen: wait while others need room for their model.

        Raises:
            ModelStoreError: There is no room for the project's model, or it loads too slowly.
        """
        choice = self.choice_of(project)
        wanted = None if choice is None else choice.checkpoint
        if wanted is not None:
            with self.champion.lease() as default:
                if default.model_version == wanted.model_version:
                    self._notes.answering[project] = default.model_version
                    self._drop_twin(default.model_version)
                    yield default
                    return
            slot = self._acquire(project, wanted, gives_way)
            if slot is not None:
                try:
                    yield slot.model
                finally:
                    self._give_back(slot)
                return
        with self.champion.lease() as default:
            yield default

    def view(self, projects: Mapping[str, ProjectChoice]) -> list[LoadedModel]:
        """Return the models in memory, the champion first.

        Args:
            projects: What the projects are answered by that name a model.
        """
        default = self.champion.view().served
        with self._changed:
            others = [slot.model for slot in self._slots.values()]
        by_version: dict[str, list[str]] = {}
        for name, choice in projects.items():
            if choice.checkpoint is not None:
                by_version.setdefault(choice.checkpoint.model_version, []).append(name)
        return [
            LoadedModel(
                model_version=model.model_version,
                family=model.checkpoint.card.family,
                state=model.state,
                n_bytes=model.checkpoint.n_bytes,
                is_default=model is default,
                projects=tuple(sorted(by_version.get(model.model_version, ()))),
            )
            for model in (default, *others)
        ]

    def close(self) -> None:
        """Let go of all models and of the device; who waits is told."""
        with self._changed:
            self._is_closed = True
            slots, self._slots = list(self._slots.values()), {}
            self._changed.notify_all()
        for slot in slots:
            slot.model.close("the server is stopping")
        self.champion.close()

    def _choose(self, project: str, extra: str) -> ProjectChoice | None:
        own: ProjectModel | None = None
        try:
            own = self._choice.project_model(project, extra)
            if own is None:
                return None
            checkpoint = self._choice.checkpoint_of(own.required())
        except SamBackendError as error:
            return ProjectChoice(own, None, str(error))
        n_bytes, default = checkpoint.n_bytes, self._default_bytes()
        if (
            n_bytes + default > self._max_bytes
            and checkpoint.model_version != self.champion.model_version
        ):
            problem = (
                f"model {own.name} needs {n_bytes / MEGABYTE:.0f} MB beside the default model's "
                f"{default / MEGABYTE:.0f} MB, and SAM_BACKEND_MODELS_MEMORY_MB allows "
                f"{self._max_bytes // MEGABYTE} MB"
            )
            return ProjectChoice(own, None, problem)
        return ProjectChoice(own, checkpoint)

    def _acquire(self, project: str, wanted: Checkpoint, gives_way: bool) -> _Slot | None:
        """A leased slot that is ready; None: the champion answers."""
        version = wanted.model_version
        with self._changed:
            if gives_way:
                self._changed.wait_for(lambda: self._is_closed or not self._n_waiting)
            if self._has_failed(version):
                return self._leased(self._stand_in(project, version))
            slot = self._slots.get(version)
            if slot is None or slot.model.state == "loading":
                stand_in = self._stand_in(project, version, wanted.n_bytes)
                if stand_in is not None or self._is_by_champion(project):
                    if slot is None and self._make_room(wanted.n_bytes, keep=stand_in):
                        self._begin(wanted)
                    return self._leased(stand_in)
            if slot is None:
                slot = self._begin_in_turn(wanted)
            self._leased(slot)
        state = slot.model.wait(self._patience_s)
        if state == "ready":
            self._notes.answering[project] = version
            return slot
        failure = slot.model.failure or "unknown"
        self._give_back(slot)
        if state == "loading":
            raise ModelStoreError(f"{version} is still loading after {self._patience_s:.0f} s")
        with self._changed:
            is_news = self._slots.pop(version, None) is not None
            self._notes.failed[version] = self._choice.project_stamp(), failure
            slot = self._leased(self._stand_in(project, version))
        if is_news and not self._is_closed:
            self._tell_default(project, f"{version} cannot be loaded: {failure}")
        return slot

    def _stand_in(self, project: str, version: str, n_bytes: int = 0) -> _Slot | None:
        """The project's model until now, if it is another one, and `n_bytes` fit beside it."""
        before = self._notes.answering.get(project)
        slot = None if before in {None, version} else self._slots.get(str(before))
        if slot is None or slot.model.state != "ready":
            return None
        needed = self._default_bytes() + slot.model.checkpoint.n_bytes + n_bytes
        return slot if needed <= self._max_bytes else None

    def _is_by_champion(self, project: str) -> bool:
        """Whether the champion is the project's model until now."""
        return self._notes.answering.get(project) == self.champion.model_version

    def _has_failed(self, version: str) -> bool:
        """Whether it could not be loaded, and the store has not changed since."""
        stamp, _ = self._notes.failed.get(version, (None, ""))
        if stamp is not None and stamp != self._choice.project_stamp():
            del self._notes.failed[version]
            return False
        return stamp is not None

    def _begin(self, checkpoint: Checkpoint) -> _Slot:
        model = ServedModel(checkpoint, self.champion.device, self.champion.encodes)
        slot = self._slots[checkpoint.model_version] = _Slot(model, next(self._uses))
        log.info("loading %s for a project", checkpoint.model_version)
        return slot

    def _begin_in_turn(self, checkpoint: Checkpoint) -> _Slot:
        """Begin to load once there is room; others may load the same one meanwhile."""
        version, until_s = checkpoint.model_version, time.monotonic() + self._patience_s
        self._n_waiting += 1
        try:
            while not self._is_closed:
                slot = self._slots.get(version)
                if slot is not None:
                    return slot
                if self._make_room(checkpoint.n_bytes):
                    return self._begin(checkpoint)
                if time.monotonic() > until_s:
                    raise ModelStoreError(
                        f"there is no room for {version}: the other projects' models are in use. "
                        f"SAM_BACKEND_MODELS_MEMORY_MB={self._max_bytes // MEGABYTE} bounds them"
                    )
                self._changed.wait(_LOOK_S)
        finally:
            self._n_waiting -= 1
            self._changed.notify_all()
        raise ModelStoreError("the server is stopping")

    def _make_room(self, n_bytes: int, keep: _Slot | None = None) -> bool:
        """Let idle models go, least lately used first, until so many bytes are free."""
        while self._n_bytes() + n_bytes > self._max_bytes:
            idle = [slot for slot in self._slots.values() if slot.is_idle and slot is not keep]
            if not idle:
                return False
            gone = min(idle, key=lambda slot: slot.used)
            del self._slots[gone.model.model_version]
            gone.model.close("another model needed its room")
            torch.cuda.empty_cache()  # nothing on a machine without CUDA
            log.info("%s left memory", gone.model.model_version)
        return True

    def _drop_twin(self, version: str) -> None:
        """Let a model go that has become the champion, once nobody uses it."""
        with self._changed:
            twin = self._slots.get(version)
            if twin is not None and twin.is_idle:
                del self._slots[version]
                twin.model.close("it is the champion")

    def _leased(self, slot: _Slot | None) -> _Slot | None:
        if slot is not None:
            slot.leases += 1
            slot.used = next(self._uses)
        return slot

    def _give_back(self, slot: _Slot) -> None:
        with self._changed:
            slot.leases -= 1
            slot.used = next(self._uses)
            self._changed.notify_all()

    def _n_bytes(self) -> int:
        others = sum(slot.model.checkpoint.n_bytes for slot in self._slots.values())
        return self._default_bytes() + others

    def _default_bytes(self) -> int:
        return self.champion.view().served.checkpoint.n_bytes

    def _tell_default(self, project: str, problem: str) -> None:
        self._tell(
            f"project {project}",
            f"{problem}. The default model {self.champion.model_version} answers instead",
        )
