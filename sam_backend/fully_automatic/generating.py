"""A bulk run from its source to its last shard; the same command goes on where it ended."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam_backend.fully_automatic.executors import Executor
from sam_backend.fully_automatic.manifest import (
    ImageEntry,
    Shard,
    has_listing,
    kept_listing,
    make_manifest,
)
from sam_backend.fully_automatic.run_folder import BulkRun, RunPlan, at_work, begin_run, is_begun
from sam_backend.fully_automatic.sources import ImageReader, list_images
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.models import open_store
from sam_backend.store.shards import ImageMasks, ShardJournal, write_shard


@dataclass(slots=True)
class Progress:
    """How far a run is.

    Attributes:
        stage: What is being done.
        done: Images done, with those of earlier commands.
        of: Images in all.
        known: Images that earlier commands had done, of those done.
        masks: Found by this command.
        elapsed_s: Since this stage began.
    """

    stage: str
    done: int
    of: int
    known: int = 0
    masks: int = 0
    elapsed_s: float = 0.0

    @property
    def images_a_second(self) -> float:
        """At the speed of this command until now."""
        return (self.done - self.known) / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def masks_a_second(self) -> float:
        """At the speed of this command until now."""
        return self.masks / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def eta_s(self) -> float | None:
        """Time left; None before the first image."""
        speed = self.images_a_second
        return (self.of - self.done) / speed if speed else None


@dataclass(slots=True)
class Summary:
    """What a command did.

    Attributes:
        run_id: Id of the run; None if it was stopped before all images were listed.
        listed: Images of the source.
        duplicates: The same bytes as an earlier one.
        unreadable: Reasons by URI, of images that could not be had or decoded, by whatever command.
        notes: What is to be said of images that were read nevertheless, by URI.
        others: Files of the source that are no images, by what their names end with.
        undecoded: Number of unreadable images whose header had looked well.
        shards: Shards of the run.
        progress: At the end.
        device_s: Seconds that the device worked, by stage.
    """

    run_id: str | None = None
    listed: int = 0
    duplicates: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)
    undecoded: int = 0
    shards: int = 0
    progress: Progress = field(default_factory=lambda: Progress("", 0, 0))
    device_s: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """All figures, for people and scripts."""
        told = self.progress
        busy_s = sum(self.device_s.values())
        return {
            "run": self.run_id,
            "images_listed": self.listed,
            "duplicates": self.duplicates,
            "unreadable": len(self.unreadable),
            "unreadable_files": dict(self.unreadable),
            "notes": dict(self.notes),
            "other_files": dict(self.others),
            "images_done": told.done - self.undecoded,
            "images_done_before": told.known,
            "images_to_do": told.of - told.done,
            "shards": self.shards,
            "masks_found_now": told.masks,
            "images_per_second": told.images_a_second,
            "masks_per_second": told.masks_a_second,
            "seconds": told.elapsed_s,
            "device_busy_share": busy_s / told.elapsed_s if told.elapsed_s else 0.0,
            "device_seconds_by_stage": dict(self.device_s),
        }


def plan_run(settings: Settings, source: str, given: dict[str, Any], shard_images: int) -> RunPlan:
    """What a run of the chosen model would be.

    Args:
        settings: The settings of this process.
        source: Where the images are.
        given: Values of `AutomaticSettings` that go before the checkpoint's own.
        shard_images: Images of a shard.

    Raises:
        InvalidInputError: A value is unknown or out of its range.
        ModelStoreError: There is no such model.
    """
    checkpoint = ModelChoice(settings, open_store(settings)).checkpoint()
    automatic = AutomaticSettings.of(checkpoint.card.automatic, **given)
    return RunPlan(source, checkpoint.model_version, automatic, shard_images)


def generate_run(
    settings: Settings,
    folder: Path,
    plan: RunPlan,
    executor: Executor,
    observe: Callable[[Progress], None] = lambda progress: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Find all masks of a source.

    Args:
        settings: The settings of this process.
        folder: Folder of the run; made if it is missing.
        plan: What to do.
        executor: Where.
        observe: Told how far it is.
        is_stopped: True once it should end after the images in hand.

    Raises:
        InvalidInputError: The folder holds another run, or the source has no image.
        SamBackendError: Source, model or folder are out of reach; what is done is kept.
    """
    with at_work(folder):
        is_listed = is_begun(folder, plan) and has_listing(folder)
        found = None if is_listed else list_images(plan.source, settings)
        begin_run(folder, plan)  # once nothing refuses the start any more
        listing = kept_listing(folder, found)
        start_s = time.monotonic()
        manifest = make_manifest(
            folder,
            listing,
            ImageReader(settings, listing.root),
            lambda done, of: observe(
                Progress("reading", done, of, elapsed_s=time.monotonic() - start_s)
            ),
            is_stopped,
        )
        if manifest is None:
            return Summary(listed=len(listing.uris), others=listing.others)
        run = BulkRun(folder, plan, manifest)
        return _Generation(run, listing.others, executor, observe, is_stopped).run()


class _OpenShard:
    """A shard that is not whole yet."""

    def __init__(self, shard: Shard, path: Path) -> None:
        self._path = path
        self._wanted = {image.index for image in shard.images}
        self.journal = ShardJournal(path.with_suffix(".journal"))

    @property
    def is_whole(self) -> bool:
        return self._wanted == self.journal.rows.keys()

    def write(self, run_id: str) -> None:
        write_shard(self._path, self.journal.rows.values(), {"run": run_id})
        self.journal.remove()


class _Generation:
    """The shards that are missing."""

    def __init__(
        self,
        run: BulkRun,
        others: Mapping[str, int],
        executor: Executor,
        observe: Callable[[Progress], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._run = run
        self._run_id = run.run_id
        self._executor = executor
        self._observe = observe
        self._is_stopped = is_stopped
        self._open: dict[int, _OpenShard] = {}
        manifest = run.manifest
        self._summary = Summary(
            run_id=self._run_id,
            listed=manifest.n_listed,
            duplicates=manifest.n_duplicates,
            unreadable=manifest.unreadable(),
            notes=manifest.notes(),
            others=others,
            shards=manifest.n_shards(run.plan.shard_images),
            progress=Progress("finding masks", 0, manifest.n_images),
        )

    def run(self) -> Summary:
        start_s, told = time.monotonic(), self._summary.progress
        rows = self._executor.rows(
            self._run.plan, self._run.manifest.root, self._images(), self._is_stopped
        )
        for row in rows:
            self._keep(row)
            told.done += 1
            told.masks += len(row.masks)
            told.elapsed_s = time.monotonic() - start_s
            self._observe(told)
        self._summary.device_s = self._executor.device_s
        return self._summary

    def _images(self) -> Iterator[ImageEntry]:
        """What is neither in a shard nor in a journal."""
        told = self._summary.progress
        for shard in self._run.shards():
            path = self._run.path_of(shard)
            if path.exists():
                path.with_suffix(".journal").unlink(missing_ok=True)
                for row in self._run.rows(shard, ["uri", "reason"]):
                    self._note(row["uri"], row["reason"])
                told.done += len(shard.images)
                told.known += len(shard.images)
                continue
            unfinished = _OpenShard(shard, path)
            known = unfinished.journal.rows
            told.done += len(known)
            told.known += len(known)
            for image_masks in known.values():
                self._note(image_masks.uri, image_masks.reason)
            if unfinished.is_whole:
                unfinished.write(self._run_id)
                continue
            for image in shard.images:
                if image.index not in known:
                    self._open[image.index] = unfinished
            yield from (image for image in shard.images if image.index in self._open)

    def _keep(self, row: ImageMasks) -> None:
        unfinished = self._open.pop(row.index)
        self._note(row.uri, row.reason)
        unfinished.journal.add(row)
        if unfinished.is_whole:
            unfinished.write(self._run_id)

    def _note(self, uri: str, reason: str | None) -> None:
        """Remember an image that could not be looked at."""
        if reason is not None:
            self._summary.unreadable[uri] = reason
            self._summary.undecoded += 1
