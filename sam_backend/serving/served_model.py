"""One checkpoint being served: loaded in the background, run by the device's owner, cached."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.errors import ModelStoreError, SamBackendError
from sam_backend.sam.device import DeviceOwner, Priority
from sam_backend.sam.embed_and_prompt import MAX_PROMPTS_AT_ONCE
from sam_backend.sam.embeddings import EmbeddingKey
from sam_backend.sam.promptable import PromptableModel
from sam_backend.sam.single_flight import Encode, SharedEncodes
from sam_backend.sam.types import (
    ALL_MASKS,
    Candidate,
    Embedding,
    PointMask,
    Prompt,
    ScanThresholds,
)
from sam_backend.store.cards import ModelCard

log = logging.getLogger(__name__)

Result = TypeVar("Result")
State = Literal["loading", "ready", "failed"]

# Label Studio gives up on /predict after 100 s; a click that waits for a model gives up earlier.
LOADING_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can be served.

    Attributes:
        card: What is known about it.
        model_version: Names it and the settings that shape its answers, before it is loaded.
        load: Reads it.
        n_bytes: Size of its weights in memory; 0: unknown.
    """

    card: ModelCard
    model_version: str
    load: Callable[[], PromptableModel]
    n_bytes: int = 0


class ServedModel:
    """One checkpoint on a device that it may share with others. Safe under threads.

    Args:
        checkpoint: Loaded at once, on a thread of its own.
        device: Runs it; whoever has made it closes it.
        encodes: Where embeddings are kept and made.
    """

    def __init__(self, checkpoint: Checkpoint, device: DeviceOwner, encodes: SharedEncodes) -> None:
        self.checkpoint = checkpoint
        self._device = device
        self._encodes = encodes
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._loaded: PromptableModel | None = None
        self._failure: str | None = None
        # no daemon: a process that ends while torch reads weights on one would abort
        self._loading = threading.Thread(target=self._load, name="model-load")
        self._loading.start()

    @property
    def model_version(self) -> str:
        """Names the checkpoint and the settings that shape its answers."""
        return self.checkpoint.model_version

    @property
    def state(self) -> State:
        """Whether masks can be made."""
        if not self._settled.is_set():
            return "loading"
        return "ready" if self._failure is None else "failed"

    @property
    def failure(self) -> str | None:
        """Why there is no model; None if there is one, or will be."""
        return self._failure

    def wait(self, patience_s: float | None = None) -> State:
        """Wait until it is loaded, has failed or is closed; None: however long that takes."""
        self._settled.wait(patience_s)
        return self.state

    def segmenter(self, patience_s: float = LOADING_PATIENCE_S) -> PromptableModel:
        """The loaded model; waits for it.

        Raises:
            ModelStoreError: Loading failed, or takes longer than `patience_s`.
        """
        if not self._settled.wait(patience_s):
            raise ModelStoreError(f"the model is still loading after {patience_s:.0f} s")
        loaded = self._loaded
        if loaded is None:
            raise ModelStoreError(f"the model cannot be used: {self._failure}")
        return loaded

    def embedding_of(
        self,
        image_digest: str,
        decode_image: Callable[[], npt.NDArray[np.uint8]],
        priority: Priority,
    ) -> Embedding:
        """Return an image file's embedding from the cache, else encode it once for all who ask.

        Args:
            image_digest: sha256 of the image's bytes.
            decode_image: Its pixels, shape (H, W, 3) uint8 RGB; called only when they are needed,
                on this thread.
            priority: Who waits.
        """
        segmenter = self.segmenter()
        key = EmbeddingKey(image_digest, segmenter.model_version, segmenter.preprocessing)

        def prepare() -> Encode:
            image = segmenter.prepare(decode_image())
            return lambda: segmenter.encode([image])[0]

        return self._encodes.get_or_encode(key, prepare, priority, segmenter.is_ours)

    def predict(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        limit: int | None = 1,
        priority: Priority = Priority.CLICK,
    ) -> list[list[Candidate]]:
        """Candidates of each prompt, best predicted IoU first, at most `limit` of each."""
        segmenter = self.segmenter()
        work = self._device.submit(
            lambda: segmenter.predict_many(embedding, prompts, limit=limit), priority, "decode"
        )
        return work.result()

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.floating],
        thresholds: ScanThresholds = ALL_MASKS,
    ) -> Iterator[PointMask]:
        """`PromptableModel.scan` in small pieces, between which clicks get their turn."""
        segmenter = self.segmenter()
        for start in range(0, len(xy), MAX_PROMPTS_AT_ONCE):
            part = xy[start : start + MAX_PROMPTS_AT_ONCE]

            def work(part: npt.NDArray[np.floating] = part) -> list[PointMask]:
                return list(segmenter.scan(embedding, part, thresholds))

            for mask in self._device.submit(work, Priority.BACKGROUND, "decode").result():
                yield replace(mask, point=start + mask.point)

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Encode pixels that are no image file, such as a crop; the embedding is kept nowhere.

        Args:
            image: RGB, shape (H, W, 3) uint8.
        """
        segmenter = self.segmenter()
        prepared = segmenter.prepare(image)
        work = self._device.submit(
            lambda: segmenter.encode([prepared])[0], Priority.BACKGROUND, "encode"
        )
        return work.result()

    @property
    def device(self) -> torch.device:
        """Where it runs; waits for the model."""
        return self.segmenter().device

    def run(self, work: Callable[[], Result], priority: Priority) -> Result:
        """Anything else on the device, in its turn."""
        return self._device.submit(work, priority).result()

    def close(self, reason: str) -> None:
        """Let go of the network; who waits for it is told the reason.

        Waits for a loading that is under way: once the process ends, the thread pools that it
        needs take no more work, and it would die with a traceback.
        """
        with self._lock:
            self._loaded, self._failure = None, reason
            self._settled.set()
        if self._loading is not threading.current_thread():
            self._loading.join()

    def _load(self) -> None:
        try:
            self._settle(self.checkpoint.load(), None)
        except SamBackendError as error:
            log.error("%s cannot be loaded: %s", self.model_version, error)  # noqa: TRY400  known
            self._settle(None, str(error))
        except Exception as error:
            log.exception("%s cannot be loaded", self.model_version)
            self._settle(None, str(error) or type(error).__name__)

    def _settle(self, segmenter: PromptableModel | None, failure: str | None) -> None:
        # The reason as text: a kept exception would hold the frames of every request it met.
        with self._lock:
            if not self._settled.is_set():  # else it was closed while it was loading
                self._loaded, self._failure = segmenter, failure
                self._settled.set()
