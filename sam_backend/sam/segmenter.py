"""Runs one checkpoint: image to embedding, embedding and prompts to candidates.

Safe under threads, and stateless but for what the decoder needs of the last few images, which a
person clicks on again and again. The results are those of `segment_anything.SamPredictor`, whose
arithmetic is rearranged to be fast; the tests hold the two equal.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.sam.checkpoints import LoadedModel
from sam_backend.sam.decoder import Decoded, ImageFeatures, ImageSide, PromptDecoder
from sam_backend.sam.encoder import ImageEncoder
from sam_backend.sam.lru_cache import BoundedMemory
from sam_backend.sam.postprocess import Frame, shapes
from sam_backend.sam.precision import Precision
from sam_backend.sam.preprocess import LongestSide, PreparedImage
from sam_backend.sam.prompt_tensors import PromptTensors
from sam_backend.sam.reference import Sam
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
"""Kept of the last images on the device: five with ViT-B, forty with the starter."""


@dataclass(frozen=True, slots=True, eq=False)
class _Clicked:
    """An image that was clicked on: holding the embedding keeps its id from being used again."""

    embedding: Embedding
    side: ImageSide

    @property
    def n_bytes(self) -> int:
        return self.side.n_bytes


class Segmenter:
    """A promptable segmentation model.

    Attributes:
        model_version: Names the checkpoint and the settings that shape its answers, such as
            `starter-3+1f0c93aa`: the suffix is a fingerprint of weights, preprocessing, precision.
        preprocessing: Names what is done to an image before it is encoded; part of cache keys.
        mask_side: Side in pixels of low-resolution logits, L.
    """

    def __init__(
        self,
        sam: Sam,
        version: str,
        weights_sha256: str = "",
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
    ) -> None:
        """Takes a network in eval mode; `version` names its checkpoint.

        Args:
            sam: The network, on the device that it is to run on; later changes of its weights
                do not show.
            version: The checkpoint's version.
            weights_sha256: Of its weights; tells apart checkpoints of the same version.
            precision: What the image encoder computes in; the rest is float32.
            compiled: Compile encoder and decoder with `torch.compile` at their first use.
        """
        sam = sam.eval().requires_grad_(requires_grad=False)
        self._sam = sam
        self._resize = LongestSide(sam.image_encoder.img_size)
        self._prompts = PromptTensors(sam, self._resize)
        self._encoder = ImageEncoder(sam, precision, compiled)
        self._decoder = PromptDecoder(sam, compiled)
        self._clicked = BoundedMemory[int, _Clicked](IMAGE_SIDES_BYTES)
        self._features = WeakKeyDictionary[Embedding, ImageFeatures]()
        self.mask_side = self._prompts.mask_side
        self.preprocessing = self._resize.key
        self.model_version = model_version(version, weights_sha256, self._resize.side, precision)

    @classmethod
    def of(
        cls,
        model: LoadedModel,
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
    ) -> Self:
        """A segmenter of a checkpoint that `checkpoints.load` has read."""
        return cls(model.sam, model.version, model.sha256, precision, compiled)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return torch.device(self._sam.device)

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

    @torch.inference_mode()
    def encode(self, images: Sequence[PreparedImage]) -> list[Embedding]:
        """Embeddings of a batch of images, as `embed` gives one."""
        batch = [
            torch.as_tensor(image.pixels, device=self.device).permute(2, 0, 1) for image in images
        ]
        features = self._encoder(torch.stack([self._sam.preprocess(one) for one in batch]))
        arrays = features.float().cpu().numpy()
        arrays.flags.writeable = False
        return [
            Embedding(
                features=array,
                image_size=image.image_size,
                input_size=image.input_size,
                cell_channels=self._sam.prompt_encoder.embed_dim,
            )
            for array, image in zip(arrays, images, strict=True)
        ]

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

    def is_ours(self, embedding: Embedding) -> bool:
        """Whether an embedding from a cache has the shape that this network gives and takes."""
        prompts = self._sam.prompt_encoder
        # one with finer features has more channels than its decoder is wide (`high_resolution`)
        channels = getattr(self._sam.image_encoder, "embedding_channels", prompts.embed_dim)
        shape = (channels, *prompts.image_embedding_size)
        is_resized = embedding.input_size == self._resize.input_size(embedding.image_size)
        return embedding.features.shape == shape and is_resized

    def predict(
        self,
        embedding: Embedding,
        prompt: Prompt,
        multimask: bool | None = None,
        limit: int | None = None,
    ) -> list[Candidate]:
        """The masks that one prompt may mean, best predicted IoU first.

        Args:
            embedding: Of the image, made by this segmenter.
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
        image = self._image_side(embedding)
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
        by those on one image. What mask prompts need of an image stays on the device as long as
        somebody holds its embedding: keep few at a time.

        Args:
            embeddings: Of each prompt's image, made by this segmenter; one object an image.
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
            for run in _same_size(images):
                of_run = Decoded(decoded.ious[run], decoded.kept[run], decoded.logits[run])
                found = self._candidates(images[run.start], of_run, limit)
                answers.update(zip(part[run], found, strict=True))
        return [answers[index] for index in range(len(prompts))]

    def _alike(
        self, prompts: Sequence[Prompt], multimask: bool | None
    ) -> Iterator[tuple[bool, list[int]]]:
        """Groups of prompts that the decoder takes together, with whether they get three masks.

        Raises:
            PromptError: A mask prompt has not this model's side.
        """
        groups: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            self._prompts.check(prompt)
            several = prompt.is_ambiguous if multimask is None else multimask
            has_box, has_mask = prompt.box is not None, prompt.mask_logits is not None
            groups[len(prompt.points), has_box, has_mask, several].append(index)
        for (*_, several), indexes in groups.items():
            for start in range(0, len(indexes), MAX_PROMPTS_AT_ONCE):
                yield several, indexes[start : start + MAX_PROMPTS_AT_ONCE]

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.floating],
        thresholds: ScanThresholds = ALL_MASKS,
    ) -> Iterator[PointMask]:
        """The masks of many separate clicks on one image, as they are made.

        Args:
            embedding: Of the image, made by this segmenter.
            xy: Foreground clicks in pixels of the original image, shape (N, 2), x before y.
            thresholds: Which masks are kept.

        Yields:
            Click by click, up to three masks each, in the decoder's order.
        """
        image = self._image_side(embedding)
        for start in range(0, len(xy), MAX_PROMPTS_AT_ONCE):
            prompts = [
                Prompt(one[None].astype(np.float32), np.ones(1, np.bool_))
                for one in xy[start : start + MAX_PROMPTS_AT_ONCE]
            ]
            decoded = self._decode(image, embedding, prompts, True, thresholds.min_predicted_iou)
            for mask in self._point_masks(embedding, decoded, thresholds):
                yield replace(mask, point=start + mask.point)

    @torch.inference_mode()
    def _image_side(self, embedding: Embedding) -> ImageSide:
        known = self._clicked.get(id(embedding))
        if known is not None:
            return known.side
        side = self._decoder.image_side(self._on_device(embedding))
        self._clicked.put(id(embedding), _Clicked(embedding, side))
        return side

    def _on_device(self, embedding: Embedding) -> torch.Tensor:
        # a copy: the cached array is read-only and may be shared between threads
        return torch.tensor(embedding.features, dtype=torch.float32, device=self.device)

    @torch.inference_mode()
    def _image_features(self, embedding: Embedding) -> ImageFeatures:
        known = self._features.get(embedding)
        if known is None:
            known = self._decoder.image_features(self._on_device(embedding))
            self._features[embedding] = known
        return known

    @torch.inference_mode()
    def _decode(
        self,
        image: ImageSide,
        embedding: Embedding,
        prompts: list[Prompt],
        multimask: bool,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        """Logits of prompts that all have the same parts and number of points."""
        sparse, dense = self._prompts.encode(prompts, embedding.image_size)
        return self._decoder.decode(image, sparse, dense, multimask, min_predicted_iou)

    @torch.inference_mode()
    def _decode_across(
        self, embeddings: list[Embedding], prompts: list[Prompt], multimask: bool
    ) -> Decoded:
        """Logits of prompts with masks that are alike, on images that are sorted by size."""
        parts = [
            self._prompts.encode(prompts[run], embeddings[run.start].image_size)
            for run in _same_size(embeddings)
        ]
        sparse = torch.cat([tokens for tokens, _ in parts])
        dense = torch.cat([masks for _, masks in parts if masks is not None])
        images = [self._image_features(embedding) for embedding in embeddings]
        return self._decoder.decode_across(images, sparse, dense, multimask)

    def _candidates(
        self, embedding: Embedding, decoded: Decoded, limit: int | None
    ) -> list[list[Candidate]]:
        orders = decoded.ious.argsort(dim=1, descending=True, stable=True)[:, :limit]
        rows = torch.arange(len(orders), device=orders.device)[:, None]
        logits = decoded.logits[rows, orders].flatten(0, 1)
        found = iter(
            Candidate(shape.rle, iou, shape.stability, array)
            for shape, iou, array in zip(
                shapes(logits, self._frame(embedding), self._sam.mask_threshold),
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
            self._sam.mask_threshold,
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
        return Frame(self.mask_side, self._resize.side, embedding.input_size, embedding.image_size)


def _same_size(embeddings: Sequence[Embedding]) -> list[slice]:
    """Where images of one size lie beside each other."""
    sizes = [embedding.image_size for embedding in embeddings]
    starts = [i for i in range(len(sizes)) if i == 0 or sizes[i] != sizes[i - 1]]
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(sizes)], strict=True)]


def model_version(
    version: str,
    weights_sha256: str,
    image_side: int,
    precision: Precision = Precision.FLOAT32,
) -> str:
    """What a segmenter of this checkpoint will call itself; known before its weights are read.

    Pixel mean and deviation and the mask threshold are the same in every family (`Sam`'s own).

    Args:
        version: The checkpoint's.
        weights_sha256: Of its weights file.
        image_side: Side of the network's square input in pixels.
        precision: What the image encoder computes in; the rest is float32.
    """
    settings = f"{weights_sha256} {LongestSide(image_side).key} {precision}"
    return f"{version}+{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
