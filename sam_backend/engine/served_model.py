"""The checkpoint being served: loaded in the background, run by the device's one owner, cached."""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from sam_backend.errors import ModelStoreError, SamBackendError
from sam_backend.sam.device import DeviceOwner, Priority
from sam_backend.sam.embeddings import EmbeddingCache, EmbeddingKey
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.shared_encode import EncodeCounts, SharedEncodes
from sam_backend.sam.types import Candidate, Embedding, Prompt

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed"]

# Label Studio gives up on /predict after 100 s; a click that waits for a model gives up earlier.
LOADING_PATIENCE_S = 60.0


class ServedModel:
    """One checkpoint with its device and its embeddings. Safe under threads.

    Args:
        model_version: Names the checkpoint and the settings that shape its answers; known before
            it is loaded.
        load: Reads the checkpoint; called once, on a thread of its own.
        cache: Where embeddings are kept.
    """

    def __init__(
        self, model_version: str, load: Callable[[], Segmenter], cache: EmbeddingCache
    ) -> None:
        self.model_version = model_version
        self.device = DeviceOwner()
        self._encodes = SharedEncodes(cache, self.device)
        self._settled = threading.Event()
        self._loaded: Segmenter | None = None
        self._failure: str | None = None
        threading.Thread(target=self._load, args=(load,), name="model-load", daemon=True).start()

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

    @property
    def encode_counts(self) -> EncodeCounts:
        """How requests for embeddings were answered so far."""
        return self._encodes.counts

    def segmenter(self, patience_s: float = LOADING_PATIENCE_S) -> Segmenter:
        """The loaded model; waits for it.

        Raises:
            ModelStoreError: Loading failed, or takes longer than `patience_s`.
        """
        if not self._settled.wait(patience_s):
            raise ModelStoreError(f"the model is still loading after {patience_s:.0f} s")
        if self._loaded is None or self._failure is not None:
            raise ModelStoreError(f"the model cannot be used: {self._failure}")
        return self._loaded

    def embed(
        self,
        image_digest: str,
        decode_image: Callable[[], npt.NDArray[np.uint8]],
        priority: Priority,
    ) -> Embedding:
        """The image's embedding from the cache, else made once for all who ask at the same time.

        Args:
            image_digest: sha256 of the image's bytes.
            decode_image: Its pixels, shape (H, W, 3) uint8 RGB; called only when they are needed.
            priority: Who waits.
        """
        segmenter = self.segmenter()
        key = EmbeddingKey(image_digest, segmenter.model_version, segmenter.preprocessing)
        return self._encodes.get_or_encode(key, lambda: segmenter.embed(decode_image()), priority)

    def predict(
        self, embedding: Embedding, prompts: Sequence[Prompt], limit: int | None = 1
    ) -> list[list[Candidate]]:
        """Candidates of each prompt, best predicted IoU first, at most `limit` of each."""
        segmenter = self.segmenter()
        work = self.device.submit(
            lambda: segmenter.predict_many(embedding, prompts, limit=limit), Priority.CLICK
        )
        return work.result()

    def close(self) -> None:
        """End the device's thread; work that waits is cancelled, who waits for a model is told."""
        if not self._settled.is_set():
            self._settle(None, "the server is stopping")
        self.device.close()

    def _load(self, load: Callable[[], Segmenter]) -> None:
        try:
            self._settle(load(), None)
        except SamBackendError as error:
            log.error("the model cannot be loaded: %s", error)  # noqa: TRY400  a known reason
            self._settle(None, str(error))
        except Exception as error:
            log.exception("the model cannot be loaded")
            self._settle(None, str(error) or type(error).__name__)

    def _settle(self, segmenter: Segmenter | None, failure: str | None) -> None:
        # The reason as text: a kept exception would hold the frames of every request it met.
        self._loaded, self._failure = segmenter, failure
        self._settled.set()
