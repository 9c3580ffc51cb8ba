"""What all families share: prompts are grouped for the decoder, logits become candidates.

A family adds how its network encodes an image and decodes a group of prompts.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.errors import PromptError
from sam_backend.sam.lru_cache import BoundedMemory, Measured
from sam_backend.sam.mask_prompt import mask_to_logits
from sam_backend.sam.postprocess import Frame, shapes
from sam_backend.sam.precision import Precision
from sam_backend.sam.preprocess import PreparedImage, Resize
from sam_backend.sam.types import (
    ALL_MASKS,
    Candidate,
    Embedding,
    PointMask,
    Prompt,
    ScanThresholds,
)

MAX_PROMPTS_AT_ONCE = 64  # segment_anything's generator's `points_per_batch`
IMAGE_SIDES_BYTES = 160 * 2**20
"""Kept of the last images on the device: five with ViT-B, nine with SAM 2, forty with the starter.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Masks of B prompts, M each, on the network's device.

    Attributes:
        ious: Predicted IoU of each mask, shape (B, M) float32.
        kept: Which prompts have logits, ascending, shape (K,) int64.
        logits: Low-resolution logits of these, shape (K, M, L, L) float32.
    """

    ious: torch.Tensor
    kept: torch.Tensor
    logits: torch.Tensor


Opened = TypeVar("Opened", bound=Measured)
"""What a family's decoder needs of one image, on the device."""


@dataclass(frozen=True, slots=True, eq=False)
class _Clicked(Generic[Opened]):
    """An image that was clicked on: holding the embedding keeps its id from being used again."""

    embedding: Embedding
    opened: Opened

    @property
    def n_bytes(self) -> int:
        return self.opened.n_bytes


class EmbedAndPrompt(ABC, Generic[Opened]):
    """A model that encodes an image once and answers prompts on it: a `PromptableModel`.

    Attributes:
        model_version: Names the checkpoint and the settings that shape its answers, such as
            `starter-3+1f0c93aa`: the suffix is a fingerprint of weights, preprocessing, precision.
        preprocessing: Names what is done to an image before it is encoded; part of cache keys.
        mask_side: Side in pixels of low-resolution logits, L.
        mask_threshold: Logits above it are the mask.
    """

    mask_threshold = 0.0

    def __init__(self, resize: Resize, mask_side: int, version: str) -> None:
        """Take how images come into the network.

        Args:
            resize: From an image to the network's input.
            mask_side: Side in pixels of low-resolution logits.
            version: What the model calls itself, see `model_version`.
        """
        self._resize = resize
        self._clicked = BoundedMemory[int, _Clicked[Opened]](IMAGE_SIDES_BYTES)
        self.mask_side = mask_side
        self.preprocessing = resize.key
        self.model_version = version

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the network runs."""

    @abstractmethod
    def encode(self, images: Sequence[PreparedImage]) -> list[Embedding]:
        """Embeddings of a batch of images, as `embed` gives one."""

    @abstractmethod
    def is_ours(self, embedding: Embedding) -> bool:
        """Whether an embedding from a cache has the shapes that this network gives and takes."""

    @abstractmethod
    def _open(self, embedding: Embedding) -> Opened:
        """Brings an image to the device, with all that is the same for each of its prompts."""

    @abstractmethod
    def _decode(
        self,
        image: Opened,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        """Logits of prompts that all have the same parts and number of points.

        Prompts of which no mask has more than `min_predicted_iou` may go without logits.
        """

    @abstractmethod
    def _decode_across(
        self, embeddings: Sequence[Embedding], prompts: Sequence[Prompt], multimask: bool
    ) -> Decoded:
        """Logits of prompts with masks that are alike, on images that are sorted by size."""

    def warm_up(self) -> None:
        """Runs all parts once, so that the first image does not wait for what is made then."""
        side = self._resize.side
        embedding = self.embed(np.zeros((side, side, 3), np.uint8))
        self.predict(embedding, Prompt(np.zeros((1, 2), np.float32), np.ones(1, np.bool_)))

    def prepare(self, image: npt.NDArray[np.uint8]) -> PreparedImage:
        """The part of `embed` that needs no device: RGB pixels, shape (H, W, 3) uint8, made small.

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        return PreparedImage(self._resize.resize(image), (image.shape[0], image.shape[1]))

    def embed(self, image: npt.NDArray[np.uint8]) -> Embedding:
        """Encodes RGB pixels, shape (H, W, 3) uint8.

        Returns:
            Features of shape (C, h, w) float32, read-only. Half precision would halve a cache's
            need but moves mask borders (up to 1 pixel in 7,000 with the starter's network).

        Raises:
            InvalidInputError: The array is no RGB image.
        """
        (embedding,) = self.encode([self.prepare(image)])
        return embedding

    def mask_prompt(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """A drawn mask, shape (H, W) bool, as the `mask_logits` of a `Prompt`."""
        return mask_to_logits(mask, self._resize.of_side(self.mask_side))

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[Candidate]:
        """The masks that one prompt may mean, best predicted IoU first.

        Args:
            embedding: Embedding of the image, made by this model.
            prompt: Points, box and previous logits, in any combination.
            multimask: True: three masks (whole, part, subpart); False: one; None: three if the
                prompt is a lone click, else one (paper, section 3, "resolving ambiguity").
            limit: At most so many candidates; the others are never brought to full size.

        Raises:
            PromptError: The mask prompt has not this model's side.
        """
        return self.predict_many(embedding, [prompt], multimask, limit)[0]

    def predict_many(
        self,
        embedding: Embedding,
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """`predict` for several prompts on one image; prompts of one shape share a decoder run.

        Returns:
            One list of candidates for each prompt, in the prompts' order.
        """
        if not prompts:
            return []
        answers: dict[int, list[Candidate]] = {}
        image = self._opened(embedding)
        for several, part in self._alike(prompts, multimask):
            asked = [prompts[i] for i in part]
            decoded = self._decode(image, embedding, asked, several)
            found = self._candidates(embedding, decoded, limit)
            answers.update(zip(part, found, strict=True))
        return [answers[index] for index in range(len(prompts))]

    def predict_across(
        self,
        embeddings: Sequence[Embedding],
        prompts: Sequence[Prompt],
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """`predict` for prompts on any number of images.

        Prompts with masks share decoder runs across images: of one object an image, as in click
        benchmarks, this is where the time goes. For prompts without masks nothing can be shared but
        by those on one image. What mask prompts need of an image may stay on the device as long as
        somebody holds its embedding: keep few at a time.

        Args:
            embeddings: Embeddings of each prompt's image, made by this model; one object an image.
            prompts: As many.
            multimask: See `predict`.
            limit: See `predict`.

        Returns:
            One list of candidates for each prompt, in the prompts' order; masks are those of
            `predict_many` but for pixels that rounding brings to the other side of the threshold.

        Raises:
            PromptError: A mask prompt has not this model's side.
        """
        answers: dict[int, list[Candidate]] = {}
        by_image: dict[int, list[int]] = defaultdict(list)
        with_mask = []
        for index, (embedding, prompt) in enumerate(zip(embeddings, prompts, strict=True)):
            if prompt.mask_logits is None:
                by_image[id(embedding)].append(index)
            else:
                with_mask.append(index)
        for indexes in by_image.values():
            asked = [prompts[i] for i in indexes]
            found = self.predict_many(embeddings[indexes[0]], asked, multimask, limit)
            answers.update(zip(indexes, found, strict=True))
        for several, places in self._alike([prompts[i] for i in with_mask], multimask):
            part = sorted((with_mask[i] for i in places), key=lambda i: embeddings[i].image_size)
            images = [embeddings[i] for i in part]
            decoded = self._decode_across(images, [prompts[i] for i in part], several)
            for run in same_size(images):
                of_run = Decoded(decoded.ious[run], decoded.kept[run], decoded.logits[run])
                found = self._candidates(images[run.start], of_run, limit)
                answers.update(zip(part[run], found, strict=True))
        return [answers[index] for index in range(len(prompts))]

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.floating],
        thresholds: ScanThresholds = ALL_MASKS,
    ) -> Iterator[PointMask]:
        """The masks of many separate clicks on one image, as they are made.

        Args:
            embedding: Embedding of the image, made by this model.
            xy: Foreground clicks in pixels of the original image, shape (N, 2), x before y.
            thresholds: Which masks are kept.

        Yields:
            Click by click, up to three masks each, in the decoder's order.
        """
        image = self._opened(embedding)
        for start in range(0, len(xy), MAX_PROMPTS_AT_ONCE):
            prompts = [
                Prompt(one[None].astype(np.float32), np.ones(1, np.bool_))
                for one in xy[start : start + MAX_PROMPTS_AT_ONCE]
            ]
            decoded = self._decode(image, embedding, prompts, True, thresholds.min_predicted_iou)
            for mask in self._point_masks(embedding, decoded, thresholds):
                yield replace(mask, point=start + mask.point)

    def _alike(
        self, prompts: Sequence[Prompt], multimask: bool | None
    ) -> Iterator[tuple[bool, list[int]]]:
        """Groups of prompts that the decoder takes together, with whether they get three masks.

        Raises:
            PromptError: A mask prompt has not this model's side.
        """
        groups: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            self._check_side(prompt)
            several = prompt.is_ambiguous if multimask is None else multimask
            has_box, has_mask = prompt.box is not None, prompt.mask_logits is not None
            groups[len(prompt.points), has_box, has_mask, several].append(index)
        for (*_, several), indexes in groups.items():
            for start in range(0, len(indexes), MAX_PROMPTS_AT_ONCE):
                yield several, indexes[start : start + MAX_PROMPTS_AT_ONCE]

    def _check_side(self, prompt: Prompt) -> None:
        """Refuses a mask prompt of another model's size.

        Raises:
            PromptError: It has not this model's side.
        """
        mask, side = prompt.mask_logits, self.mask_side
        if mask is not None and mask.shape != (side, side):
            raise PromptError(f"mask_logits must have shape ({side}, {side}), not {mask.shape}")

    @torch.inference_mode()
    def _opened(self, embedding: Embedding) -> Opened:
        known = self._clicked.get(id(embedding))
        if known is not None:
            return known.opened
        opened = self._open(embedding)
        self._clicked.put(id(embedding), _Clicked(embedding, opened))
        return opened

    def _candidates(
        self, embedding: Embedding, decoded: Decoded, limit: int | None
    ) -> list[list[Candidate]]:
        orders = decoded.ious.argsort(dim=1, descending=True, stable=True)[:, :limit]
        rows = torch.arange(len(orders), device=orders.device)[:, None]
        logits = decoded.logits[rows, orders].flatten(0, 1)
        found = iter(
            Candidate(shape.rle, iou, shape.stability, array)
            for shape, iou, array in zip(
                shapes(logits, self._frame(embedding), self.mask_threshold),
                decoded.ious[rows, orders].flatten().tolist(),
                logits.float().cpu().numpy(),
                strict=True,
            )
        )
        return [[next(found) for _ in order] for order in orders]

    def _point_masks(
        self, embedding: Embedding, decoded: Decoded, thresholds: ScanThresholds
    ) -> list[PointMask]:
        ious = decoded.ious[decoded.kept]
        min_iou, least = thresholds.min_predicted_iou, thresholds.min_stability
        wanted = torch.ones_like(ious, dtype=torch.bool) if min_iou is None else ious > min_iou
        rows, columns = wanted.nonzero(as_tuple=True)
        found = shapes(
            decoded.logits[rows, columns],
            self._frame(embedding),
            self.mask_threshold,
            thresholds.stability_offset,
        )
        return [
            PointMask(
                point=point,
                mask_index=column,
                rle=shape.rle,
                box=shape.box,
                area_px=shape.area_px,
                predicted_iou=iou,
                stability=shape.stability,
            )
            for point, column, iou, shape in zip(
                decoded.kept[rows].tolist(),
                columns.tolist(),
                ious[rows, columns].tolist(),
                found,
                strict=True,
            )
            if least is None or shape.stability >= least
        ]

    def _frame(self, embedding: Embedding) -> Frame:
        return self._resize.frame(self.mask_side, embedding.image_size)


def same_size(embeddings: Sequence[Embedding]) -> list[slice]:
    """Where images of one size lie beside each other."""
    sizes = [embedding.image_size for embedding in embeddings]
    starts = [i for i in range(len(sizes)) if i == 0 or sizes[i] != sizes[i - 1]]
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def model_version(
    version: str,
    weights_sha256: str,
    preprocessing: str,
    precision: Precision = Precision.FLOAT32,
) -> str:
    """What a model of this checkpoint will call itself; known before its weights are read.

    Pixel mean and deviation and the mask threshold are the same within a family.

    Args:
        version: Version of the checkpoint.
        weights_sha256: SHA-256 of its weights file.
        preprocessing: `Resize.key` of the network's input.
        precision: What the image encoder computes in; the rest is float32.
    """
    settings = f"{weights_sha256} {preprocessing} {precision}"
    return f"{version}+{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
