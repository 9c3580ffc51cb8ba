"""Which checkpoint is served: the one that the settings name, else the store's champion."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sam_backend.sam import postprocess
from sam_backend.sam.checkpoint_files import read_config
from sam_backend.sam.checkpoints import choose_device, load
from sam_backend.sam.embed_and_prompt import model_version
from sam_backend.sam.families import FAMILIES, family_named
from sam_backend.sam.precision import choose_precision
from sam_backend.sam.promptable import PromptableModel
from sam_backend.serving.served_model import Checkpoint
from sam_backend.settings import Settings
from sam_backend.store.models import ModelEntry, ModelStore
from sam_backend.store.project_models import ProjectModel, ProjectModels

_FLOAT32_BYTES = 4


class ModelChoice:
    """Chooses among the checkpoints of a store as the settings say.

    Without a name that is the champion of the store, with a family's name the champion of that
    family; a version is served whatever is promoted.

    Args:
        settings: Name, device and precision.
        store: The model store.

    Raises:
        InvalidInputError: The device is not here, or cannot compute so.
    """

    def __init__(self, settings: Settings, store: ModelStore) -> None:
        name, versions = settings.model, {entry.version for entry in store.list()}
        self._name = name
        self._is_pinned = name is not None and (name in versions or name not in FAMILIES)
        self._store = store
        self._projects = ProjectModels(store)
        self.device = choose_device(settings.device)
        self.precision = choose_precision(settings.precision, self.device)
        self._is_compiled = settings.compile

    @property
    def is_pinned(self) -> bool:
        """True if the settings name one version."""
        return self._is_pinned

    def stamp(self) -> object:
        """Differs from an earlier one if `checkpoint` may answer another; costs a few stats."""
        return self._store.champion_stamp()

    def checkpoint(self) -> Checkpoint:
        """The checkpoint to serve now.

        Raises:
            ModelStoreError: It is not in the store, or the store is empty.
        """
        return self.checkpoint_of(self._store.to_serve(self._name))

    def checkpoint_of(self, entry: ModelEntry) -> Checkpoint:
        """Return a checkpoint of the store as it would be served.

        Raises:
            ModelStoreError: Its family is unknown.
        """
        folder, parameters = entry.folder, entry.card.parameters
        n_bytes = entry.n_bytes if parameters is None else _FLOAT32_BYTES * parameters
        version = self._version(entry)
        return Checkpoint(entry.card, version, lambda: self._load(folder), n_bytes)

    def project_model(self, project: str, extra: str) -> ProjectModel | None:
        """Return the model that a project names; arguments and errors as of `ProjectModels.of`."""
        return self._projects.of(project, extra)

    def project_stamp(self) -> object:
        """Differs from an earlier one if `project_model` may answer another; a few stats."""
        return self._store.champion_stamp(), self._store.projects.stamp()

    def own_projects(self) -> list[str]:
        """Return the projects that `sam-backend models use` gave a model.

        Raises:
            ModelStoreError: `projects.json` is damaged.
        """
        records = self._store.projects.read().projects
        return [name for name, record in records.items() if record.use is not None]

    def versions(self) -> list[str]:
        """Model versions of all checkpoints in the store, best first."""
        known = [entry for entry in self._store.list() if entry.card.family in FAMILIES]
        return [self._version(entry) for entry in known]

    def _load(self, folder: Path) -> PromptableModel:
        with ThreadPoolExecutor(1, "kernel") as beside:  # compiled at the first start: 10 s
            kernel = beside.submit(postprocess.warm_up)
            model = load(folder, self.device).promptable(self.precision, self._is_compiled)
            kernel.result()
        model.warm_up()
        return model

    def _version(self, entry: ModelEntry) -> str:
        preprocessing = family_named(entry.card.family).preprocessing(read_config(entry.folder))
        return model_version(entry.version, entry.card.sha256, preprocessing, self.precision)
