"""`ray`: actors on a Ray cluster, each with a model; Ray Data hands them images.

One stage: rows of (index, URI, digest) go in, rows of run lengths come out, and no pixel is ever
in the object store. An actor that dies is started again by Ray, with the images that it had; the
journals of the shards, written where the command runs, hold what has come back.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

from typing_extensions import override

from sam_backend.errors import InvalidInputError, RunFolderError
from sam_backend.fully_automatic.executors.base import Executor
from sam_backend.fully_automatic.executors.local import image_processor, open_champion
from sam_backend.fully_automatic.manifest import ImageEntry
from sam_backend.fully_automatic.run_folder import RunPlan
from sam_backend.settings import Settings
from sam_backend.store.shards import ImageMasks

# Images of one call: few, for those of a dead actor are looked at again.
_BATCH = 4
_IMAGES_A_BLOCK = 8


class Ray(Executor):
    """A Ray cluster, or one that is started on this machine."""

    name: ClassVar[str] = "ray"

    @override
    def rows(
        self,
        plan: RunPlan,
        root: str,
        images: Iterable[ImageEntry],
        is_stopped: Callable[[], bool],
    ) -> Iterator[ImageMasks]:
        try:
            import ray
            import ray.data
        except ImportError:
            raise InvalidInputError(
                "executor ray needs a package that is not here: pip install '.[ray]' in a clone"
            ) from None
        items = [
            {"index": image.index, "uri": image.uri, "digest": image.digest} for image in images
        ]
        if not items:
            return
        is_ours = not ray.is_initialized()
        if is_ours:
            try:
                ray.init(address=self._machines.address, logging_level=logging.WARNING)
            except ConnectionError as error:
                raise InvalidInputError(
                    f"there is no Ray cluster at {self._machines.address}: {error} (if it asks for "
                    "a token, as clusters of newer releases do, set RAY_AUTH_MODE=token)"
                ) from None
        try:
            blocks = -(-len(items) // _IMAGES_A_BLOCK)
            found = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
                _Actor,
                batch_size=_BATCH,
                concurrency=self._machines.actors,
                num_cpus=self._machines.cpus,
                num_gpus=self._machines.gpus,
                fn_constructor_args=(self._settings, plan, root),
            )
            for row in found.iter_rows():
                yield ImageMasks.of(json.loads(row["row"]))
                if is_stopped():
                    return
        except ray.exceptions.RayError as error:
            raise RunFolderError(f"Ray gave up: {_first_line(error)}") from error
        finally:
            if is_ours:
                ray.shutdown()


class _Actor:
    """A model in a process of its own."""

    def __init__(self, settings: Settings, plan: RunPlan, root: str) -> None:
        self._processor = image_processor(open_champion(settings), plan, root, settings)
        self._pool = ThreadPoolExecutor(_BATCH, thread_name_prefix="image")

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        entries = [
            ImageEntry(int(index), str(uri), str(digest))
            for index, uri, digest in zip(
                batch["index"], batch["uri"], batch["digest"], strict=True
            )
        ]
        rows = self._pool.map(self._processor.process, entries)
        return {"row": [json.dumps(row.as_dict()) for row in rows]}


def _first_line(error: Exception) -> str:
    told = str(error).strip().splitlines()
    return told[-1] if told else type(error).__name__
