"""Checkpoints on disk: one folder `<version>/` each, with a weights file and `card.json`."""

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from sam_backend.errors import ModelStoreError
from sam_backend.files import new_folder
from sam_backend.sam.checkpoint_files import (
    CARD_NAME,
    CONFIG_NAME,
    WEIGHTS_NAMES,
    is_safetensors,
    no_weights_reason,
    read_config,
    sha256_of,
    weights_file,
)
from sam_backend.sam.families import FAMILIES, family_named
from sam_backend.store.cards import VERSION_PATTERN, ModelCard, make_card, read_card, write_card
from sam_backend.store.downloads import Progress, download
from sam_backend.store.hub import download_folder
from sam_backend.store.public_checkpoints import (
    HUB_CHECKPOINTS,
    PUBLIC_CHECKPOINTS,
    HubCheckpoint,
    PublicCheckpoint,
)

logger = logging.getLogger(__name__)

_PLAIN = 1 << 62  # ends a version, so that the plain one stands above its variants
_STALE_S = 6 * 3600.0  # an unfinished folder older than this was left by a process that died


class VersionTakenError(ModelStoreError):
    """The store has a checkpoint of that version."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One checkpoint in the store.

    Attributes:
        card: What is known about it.
        folder: Where it lies.
        weights_path: Its weights file.
    """

    card: ModelCard
    folder: Path
    weights_path: Path

    @property
    def version(self) -> str:
        """Names the checkpoint."""
        return self.card.version

    @property
    def n_bytes(self) -> int:
        """Size of the weights file."""
        return self.weights_path.stat().st_size


class CheckpointFolders:
    """Checkpoints in several folders; the first one is the user's, the others are only read.

    A version in an earlier folder hides the same version in a later one. Nothing half-written is
    ever listed: a checkpoint is made in a hidden folder and renamed.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        public: Mapping[str, PublicCheckpoint] = PUBLIC_CHECKPOINTS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Takes folders that need not exist yet, what `pull` knows, and the clock."""
        self._folders = tuple(folders)
        self._public = public
        self._now = now

    def list(self) -> list[ModelEntry]:
        """Every checkpoint, best first (see `ModelStore.best`), challengers last.

        Broken ones are left out with a warning.
        """
        entries: dict[str, ModelEntry] = {}
        for folder in self._folders:
            for path in sorted(folder.glob("*/")):
                if path.name.startswith("."):
                    continue
                try:
                    entry = _read_entry(path)
                except ModelStoreError as error:
                    logger.warning("left out of the model store: %s", error)
                else:
                    entries.setdefault(entry.version, entry)
        return sorted(entries.values(), key=_goodness, reverse=True)

    def add(
        self,
        file: Path,
        version: str | None = None,
        family: str | None = None,
        sha256: str | None = None,
        attachments: Mapping[str, Path] = MappingProxyType({}),
        **about: object,
    ) -> ModelEntry:
        """Copies a checkpoint into the store, after checking that it loads.

        Args:
            file: `.pth`, `.pt` or `.safetensors`, or a folder of the transformers library
                (`config.json` and `model.safetensors`).
            version: Its name in the store; that of the file or folder without.
            family: Its network; told from its configuration or its weights without.
            sha256: What the file must have; not checked without.
            attachments: Further files to lie beside the weights, by the name they get there.
            about: Further fields of the card: name, source, licence, training_data, parent …

        Raises:
            VersionTakenError: The store has one of that version.
            ModelStoreError: The file is damaged or fits no family, or an attachment is missing or
                ill-named.
        """
        from sam_backend.sam.checkpoints import detect_family, read_weights

        is_folder = file.is_dir()
        name = file.resolve().name if is_folder else file.stem
        version = version or re.sub(r"[^A-Za-z0-9._-]", "-", name)
        self._refuse_taken(version)
        config = read_config(file) if is_folder else {}
        if config:
            attachments = {**attachments, CONFIG_NAME: file / CONFIG_NAME}
        source_name, file = file.name, weights_file(file) if is_folder else file
        for attached in attachments:
            plain = re.fullmatch(VERSION_PATTERN, attached)
            if plain is None or attached in {CARD_NAME, *WEIGHTS_NAMES}:
                raise ModelStoreError(f"an attachment cannot be called {attached!r}")
        digest = sha256_of(file)
        if sha256 is not None and digest != sha256.lower():
            reason = no_weights_reason(file)
            told = "" if reason is None else f": {reason}"
            raise ModelStoreError(f"{file} has sha256 {digest}, not {sha256}{told}")
        weights = read_weights(file)
        chosen = family_named(family) if family else detect_family(weights, file, config)
        read = chosen.read(weights, file, config)
        if read.n_left_out:
            logger.info("%d weights of %s are not needed for images", read.n_left_out, source_name)
        fields: dict[str, object] = {
            "name": version,
            "source": source_name,
            "licence": "unknown",
            "training_data": "unknown",
            "parameters": sum(weight.numel() for weight in read.network.parameters()),
            "added_at": self._now(),
        }
        given = {name: value for name, value in about.items() if value is not None}
        identity = {"family": chosen.name, "version": version, "sha256": digest}
        card = make_card(**(fields | given | identity))
        suffix = ".safetensors" if is_safetensors(file) else ".pth"
        with self._new_folder(version) as folder:
            write_card(card, folder / CARD_NAME)
            for attached, source_path in attachments.items():
                shutil.copyfile(source_path, folder / attached)
            copy = folder / f"weights{suffix}"
            with file.open("rb") as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            if sha256_of(copy) != digest:
                raise ModelStoreError(f"{file} has changed while it was copied")
        return _read_entry(self._folders[0] / version)

    def pull(self, name: str, progress: Progress = lambda done, total: None) -> ModelEntry:
        """Downloads a public checkpoint; if it is here already, nothing is fetched.

        A download that was cut, even by kill -9, goes on where it stopped.

        Args:
            name: One of the public ones, such as `vit_b` or `sam2.1_tiny`.
            progress: Told about bytes as they come.

        Raises:
            ModelStoreError: The name is unknown, its folder is taken by something broken, or the
                download failed.
        """
        if name not in {**self._public, **HUB_CHECKPOINTS}:
            known = ", ".join((*self._public, *HUB_CHECKPOINTS))
            raise ModelStoreError(f"no public checkpoint {name!r}; there are {known}")
        version = self._public[name].version if name in self._public else name
        for entry in self.list():
            if entry.version == version:
                return entry
        if name not in self._public:
            return self._pull_from_hub(HUB_CHECKPOINTS[name])
        public = self._public[name]
        taken = self._folders[0] / public.version
        if taken.exists():
            raise ModelStoreError(
                f"{taken} is in the way: it is no whole checkpoint; remove it and pull again"
            )
        target = self._folders[0] / ".downloads" / public.url.rsplit("/", 1)[-1]
        download(public.url, target, public.sha256, progress)
        card = make_card(
            name=public.title,
            family=public.family,
            version=public.version,
            sha256=public.sha256,
            source=public.url,
            licence=public.licence,
            training_data=public.training_data,
            parameters=public.parameters,
            added_at=self._now(),
        )
        with self._new_folder(public.version) as folder:
            target.rename(folder / f"weights{target.suffix}")
            write_card(card, folder / CARD_NAME)
        return _read_entry(self._folders[0] / public.version)

    def _pull_from_hub(self, public: HubCheckpoint) -> ModelEntry:
        """Fetches a repository of the Hugging Face hub and adds what comes."""
        return self.add(
            download_folder(public.repository),
            public.version,
            public.family,
            name=public.title,
            source=f"https://huggingface.co/{public.repository}",
            licence=public.licence,
            training_data=public.training_data,
        )

    def _remove(self, entry: ModelEntry) -> None:
        """Takes a checkpoint of the user's folder away: nobody sees half of one."""
        hidden = self._folders[0] / f".old-{uuid.uuid4().hex}"
        try:
            entry.folder.rename(hidden)
        except OSError as error:
            raise ModelStoreError(f"cannot remove {entry.folder}: {error.strerror}") from error
        shutil.rmtree(hidden, ignore_errors=True)

    def _refuse_taken(self, version: str) -> None:
        for folder in self._folders:
            if (folder / version).exists():
                raise VersionTakenError(
                    f"version {version!r} is taken ({folder / version}); choose another"
                )

    @contextmanager
    def _new_folder(self, version: str) -> Iterator[Path]:
        """A hidden folder that becomes the version's when the block ends well, else vanishes."""
        store = self._folders[0]
        try:
            _remove_stale(store)
            with new_folder(store / version) as folder:
                yield folder
        except OSError as error:
            self._refuse_taken(version)  # another process was faster
            raise ModelStoreError(f"cannot write {store / version}: {error}") from error


def _read_entry(folder: Path) -> ModelEntry:
    card = read_card(folder / CARD_NAME)
    if card.version != folder.name:
        raise ModelStoreError(f"{folder} holds a card of version {card.version!r}")
    return ModelEntry(card, folder, weights_file(folder))


def _goodness(entry: ModelEntry) -> tuple[bool, int, float, list[tuple[int, str]]]:
    family = FAMILIES.get(entry.card.family)
    added_at = entry.card.added_at
    parts = re.findall(r"\d+|\D+", entry.version)
    natural = [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
    natural.append((_PLAIN, ""))
    return (
        not entry.card.challenger,
        -1 if family is None else family.rank,
        0.0 if added_at is None else added_at.timestamp(),
        natural,
    )


def _remove_stale(store: Path) -> None:
    for path in (*store.glob(".new-*"), *store.glob(".old-*")):
        if time.time() - path.stat().st_mtime > _STALE_S:
            shutil.rmtree(path, ignore_errors=True)
