"""The folder of a bulk run: its plan, its manifest, its shards.

run.json             what the run is: source, model, settings
manifest.parquet     its images
manifest/            the manifest's parts
shards/              one Parquet file a shard; journals of unfinished ones
reviews/             samples that people look at, and reports
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from sam_backend.errors import InvalidInputError, RunFolderError
from sam_backend.files import lock, remove_unfinished, replacing
from sam_backend.fully_automatic.manifest import Manifest, Shard, read_manifest
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.store.shards import ImageMasks, read_shard

SHARD_IMAGES = 256
_PLAN, _LOCK = "run.json", ".lock"


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What makes a run this run: two runs with equal plans and manifests have equal shards.

    Attributes:
        source: As the user has written it.
        model_version: Whose masks they are.
        settings: Which masks are looked for.
        shard_images: Images of a shard.
    """

    source: str
    model_version: str
    settings: AutomaticSettings
    shard_images: int = SHARD_IMAGES

    def __post_init__(self) -> None:
        if self.shard_images < 1:
            raise InvalidInputError(f"a shard has at least one image, not {self.shard_images}")

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that differ where the plan does."""
        told = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return asdict(self)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """What `as_json` gave."""
        return cls(**{**told, "settings": AutomaticSettings(**told["settings"])})


@dataclass(frozen=True, slots=True, eq=False)
class BulkRun:
    """A run whose manifest is made.

    Attributes:
        folder: Folder of the run.
        plan: What it is.
        manifest: Its images.
    """

    folder: Path
    plan: RunPlan
    manifest: Manifest

    @property
    def run_id(self) -> str:
        """Names the run: twelve hex digits of its plan and of all its images."""
        told = f"{self.plan.fingerprint} {self.manifest.digest}"
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def path_of(self, shard: Shard) -> Path:
        """Where a shard is, or will be."""
        return self.folder / "shards" / shard.name

    def shards(self) -> Iterator[Shard]:
        """All shards in order."""
        return self.manifest.shards(self.plan.shard_images)

    def images(self) -> Iterator[ImageMasks]:
        """What the run found, image by image.

        Raises:
            InvalidInputError: A shard is missing (the run is not finished) or damaged.
        """
        for shard in self.shards():
            yield from map(ImageMasks.of, self.rows(shard))

    def rows(self, shard: Shard, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows of a shard, whole or only some columns; see `read_shard`.

        Raises:
            InvalidInputError: As of `images`.
        """
        path = self.path_of(shard)
        if not path.exists():
            raise InvalidInputError(
                f"{self.folder} has no {shard.name}: the run is not finished; "
                "`sam-backend generate` goes on"
            )
        return read_shard(path, columns)

    def images_of(self, digests: Collection[str]) -> Iterator[ImageMasks]:
        """`images` of some contents only; other shards are not opened."""
        for shard in self.shards():
            if any(image.digest in digests for image in shard.images):
                for row in self.rows(shard):
                    if row["digest"] in digests:
                        yield ImageMasks.of(row)

    def uris_of(self, digests: Collection[str]) -> dict[str, str]:
        """Where some contents are, by digest."""
        return {
            image.digest: image.uri
            for shard in self.shards()
            for image in shard.images
            if image.digest in digests
        }


def begin_run(folder: Path, plan: RunPlan) -> None:
    """Make the folder the plan's, or find that it is.

    Raises:
        InvalidInputError: The folder belongs to another plan.
    """
    if not is_begun(folder, plan):
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with replacing(folder / _PLAN) as unfinished:
            unfinished.write_text(json.dumps(plan.as_json(), indent=1) + "\n")


def is_begun(folder: Path, plan: RunPlan) -> bool:
    """Whether the folder is the plan's already; False: it is nobody's.

    Raises:
        InvalidInputError: The folder belongs to another plan.
    """
    if not (folder / _PLAN).exists():
        return False
    known = read_plan(folder)
    if known != plan:
        before, now = known.as_json(), plan.as_json()
        before |= before.pop("settings")
        now |= now.pop("settings")
        other = [
            f"{name} was {before[name]!r} and is {now[name]!r}"
            for name in now
            if before[name] != now[name]
        ]
        raise InvalidInputError(f"{folder} holds another run: {'; '.join(other)}")
    return True


def read_plan(folder: Path) -> RunPlan:
    """The plan of a run.

    Raises:
        InvalidInputError: The folder holds none.
    """
    try:
        return RunPlan.of(json.loads((folder / _PLAN).read_text()))
    except FileNotFoundError:
        raise InvalidInputError(f"{folder} holds no run: it has no run.json") from None
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidInputError(f"{folder / _PLAN} is damaged: {error}") from None


def read_run(folder: Path) -> BulkRun:
    """A run, to use what it found.

    Raises:
        InvalidInputError: The folder holds none, or its manifest is not made yet.
    """
    plan, manifest = read_plan(folder), read_manifest(folder)
    if manifest is None:
        raise InvalidInputError(f"{folder} has no manifest yet: `sam-backend generate` goes on")
    return BulkRun(folder, plan, manifest)


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Nobody else works in the folder for the length of the block; errors of files become ours.

    A folder in which the block has begun no run is left as it was found.

    Raises:
        RunFolderError: Somebody does, or the folder cannot be written.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        busy = RunFolderError(f"another process is at work in {folder}")
        with lock(folder / _LOCK, busy):
            remove_unfinished(folder)
            try:
                yield
            finally:
                if not (folder / _PLAN).exists():
                    (folder / _LOCK).unlink(missing_ok=True)
    except OSError as error:
        if not (folder / _PLAN).exists():
            reason = error.strerror or str(error)
            raise RunFolderError(
                f"no run can be begun in {folder}: {reason}; name another folder"
            ) from error
        raise RunFolderError(
            f"the run in {folder} stopped: {error}; nothing that is done is lost, the same command "
            "goes on"
        ) from error
    finally:
        if not (folder / _PLAN).exists():
            _remove_empty(made)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, inner ones first, as far as nothing lies in them."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
