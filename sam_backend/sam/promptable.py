"""The protocol of every model that makes masks of prompts: what the rest of the package knows."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.sam.preprocess import PreparedImage
from sam_backend.sam.types import (
    ALL_MASKS,
    Candidate,
    Embedding,
    PointMask,
    Prompt,
    ScanThresholds,
)


class PromptableModel(Protocol):
    """A network that encodes an image once and then answers any number of prompts on it.

    Safe under threads. Everything outside of `sam` uses models through these methods alone; only
    retraining asks for SAM 1's own network. `sam.embed_and_prompt` has what families share.
    """

    @property
    def model_version(self) -> str:
        """Names the checkpoint and the settings that shape its answers."""
        ...

    @property
    def preprocessing(self) -> str:
        """Names what is done to an image before it is encoded; part of cache keys."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        ...

    def warm_up(self) -> None:
        """Runs all parts once, so that the first image does not wait for what is made then."""
        ...

    def prepare(self, image: npt.NDArray[np.uint8]) -> PreparedImage:
        """The part of `embed` that needs no device: RGB pixels, shape (H, W, 3) uint8, made small.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        ...

    def encode(self, images: Sequence[PreparedImage]) -> list[Embedding]:
        """Embeddings of a batch of images, as `embed` gives one."""
        ...

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Encodes RGB pixels, shape (H, W, 3) uint8; see `EmbedAndPrompt.embed`."""
        ...

    def is_ours(self, embedding: Embedding) -> bool:
        """Whether an embedding from a cache has the shapes that this network gives and takes."""
        ...

    def mask_prompt(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """A drawn mask, shape (H, W) bool, as the `mask_logits` of a `Prompt`."""
        ...

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[Candidate]:
        """The masks that one prompt may mean; see `EmbedAndPrompt.predict`."""
        ...

    def predict_many(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """`predict` for several prompts on one image; see `EmbedAndPrompt.predict_many`."""
        ...

    def predict_across(
        self,
        embeddings: Sequence[Embedding],
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """`predict` for prompts on several images; see `EmbedAndPrompt.predict_across`."""
        ...

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.floating],
        thresholds: ScanThresholds = ALL_MASKS,
    ) -> Iterator[PointMask]:
        """The masks of many separate clicks on one image; see `EmbedAndPrompt.scan`."""
        ...
