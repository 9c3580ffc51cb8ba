"""Runs one checkpoint: image to embedding, embedding and prompts to candidates.

Stateless and safe under threads: nothing is written after construction. The arithmetic is
that of `segment_anything.SamPredictor`; the tests hold the two equal.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from segment_anything.modeling import Sam
from segment_anything.utils.amg import batched_mask_to_box

from sam_backend.errors import PromptError
from sam_backend.masks.rle import encode
from sam_backend.sam.checkpoints import LoadedModel
from sam_backend.sam.postprocess import full_size_logits, stability
from sam_backend.sam.preprocess import LongestSide, PreparedImage
from sam_backend.sam.types import Candidate, Embedding, PointMask, Prompt

MAX_PROMPTS_AT_ONCE = 64  # segment_anything's generator's `points_per_batch`


class Segmenter:
    """A promptable segmentation model.

    Attributes:
        model_version: Names the checkpoint and the settings that shape its answers, such as
            `starter-1+1f0c93aa`: the suffix is a fingerprint of weights, preprocessing, precision.
        preprocessing: Names what is done to an image before it is encoded; part of cache keys.
        mask_side: Side in pixels of low-resolution logits, L.
    """

    def __init__(self, sam: Sam, version: str, weights_sha256: str = "") -> None:
        """Takes a network in eval mode; `version` names its checkpoint.

        Args:
            sam: The network, on the device that it is to run on.
            version: The checkpoint's version.
            weights_sha256: Of its weights; tells apart checkpoints of the same version.
        """
        self._sam = sam.eval().requires_grad_(requires_grad=False)
        self._resize = LongestSide(sam.image_encoder.img_size)
        with torch.inference_mode():
            self._dense_pe = sam.prompt_encoder.get_dense_pe()
        self.mask_side = int(sam.prompt_encoder.mask_input_size[0])
        self.preprocessing = self._resize.key
        self.model_version = model_version(version, weights_sha256, self._resize.side)

    @classmethod
    def of(cls, model: LoadedModel) -> Self:
        """A segmenter of a checkpoint that `checkpoints.load` has read."""
        return cls(model.sam, model.version, model.sha256)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return torch.device(self._sam.device)

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
        pixels = torch.stack([self._sam.preprocess(one) for one in batch])
        features = self._sam.image_encoder(pixels)
        arrays = features.float().cpu().numpy()
        arrays.flags.writeable = False
        return [
            Embedding(features=array, image_size=image.image_size, input_size=image.input_size)
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
        groups: dict[tuple[int, bool, bool, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            self._check(prompt)
            several = prompt.is_ambiguous if multimask is None else multimask
            has_box, has_mask = prompt.box is not None, prompt.mask_logits is not None
            groups[len(prompt.xy), has_box, has_mask, several].append(index)
        answers: dict[int, list[Candidate]] = {}
        for (*_, several), indexes in groups.items():
            for start in range(0, len(indexes), MAX_PROMPTS_AT_ONCE):
                part = indexes[start : start + MAX_PROMPTS_AT_ONCE]
                found = self._decode(embedding, [prompts[i] for i in part], several, limit)
                answers.update(zip(part, found, strict=True))
        return [answers[index] for index in range(len(prompts))]

    def scan(
        self,
        embedding: Embedding,
        xy: npt.NDArray[np.floating],
        min_predicted_iou: float | None = None,
        min_stability: float | None = None,
        stability_offset: float = 1.0,
    ) -> Iterator[PointMask]:
        """The masks of many separate clicks on one image, as they are made.

        Args:
            embedding: Of the image, made by this segmenter.
            xy: Foreground clicks in pixels of the original image, shape (N, 2), x before y.
            min_predicted_iou: Only masks above it (`SamAutomaticMaskGenerator` keeps `>`).
            min_stability: Only masks of at least this stability.
            stability_offset: Distance of stability's two cuts from the mask's, in logits.

        Yields:
            Click by click, up to three masks each, in the decoder's order.
        """
        for start in range(0, len(xy), MAX_PROMPTS_AT_ONCE):
            prompts = [
                Prompt(one[None].astype(np.float32), np.ones(1, np.bool_))
                for one in xy[start : start + MAX_PROMPTS_AT_ONCE]
            ]
            for point, found in enumerate(self._scan(embedding, prompts, stability_offset), start):
                for mask in found:
                    if (min_predicted_iou is None or mask.predicted_iou > min_predicted_iou) and (
                        min_stability is None or mask.stability >= min_stability
                    ):
                        yield replace(mask, point=point)

    @torch.inference_mode()
    def _scan(
        self, embedding: Embedding, prompts: list[Prompt], offset: float
    ) -> list[list[PointMask]]:
        logits, ious = self._logits(embedding, prompts, True)
        answers = []
        for row in range(len(prompts)):
            masks = []
            for column in range(3):
                full = full_size_logits(
                    logits[row, column],
                    self._resize.side,
                    embedding.input_size,
                    embedding.image_size,
                )
                mask = (full > self._sam.mask_threshold).cpu()
                box = batched_mask_to_box(mask[None])[0].numpy()
                masks.append(
                    PointMask(
                        point=0,
                        mask_index=column,
                        rle=encode(mask.numpy()),
                        box=box,
                        area_px=int(mask.sum()),
                        predicted_iou=float(ious[row, column]),
                        stability=stability(full, self._sam.mask_threshold, offset),
                    )
                )
            answers.append(masks)
        return answers

    @torch.inference_mode()
    def _decode(
        self, embedding: Embedding, prompts: list[Prompt], multimask: bool, limit: int | None
    ) -> list[list[Candidate]]:
        """Candidates of prompts that all have the same parts and number of points."""
        logits, ious = self._logits(embedding, prompts, multimask)
        return [
            [
                self._candidate(embedding, logits[row, column], float(ious[row, column]))
                for column in ious[row].argsort(descending=True, stable=True).tolist()[:limit]
            ]
            for row in range(len(prompts))
        ]

    def _logits(
        self, embedding: Embedding, prompts: list[Prompt], multimask: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        sparse, dense = self._sam.prompt_encoder(
            points=self._points(embedding, prompts),
            boxes=self._boxes(embedding, prompts),
            masks=self._masks(prompts),
        )
        # a copy: the cached array is read-only and may be shared between threads
        features = torch.tensor(embedding.features, dtype=torch.float32, device=self.device)
        logits, ious = self._sam.mask_decoder(
            image_embeddings=features[None],
            image_pe=self._dense_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
        )
        return logits, ious

    def _candidate(
        self, embedding: Embedding, logits: torch.Tensor, predicted_iou: float
    ) -> Candidate:
        full = full_size_logits(
            logits, self._resize.side, embedding.input_size, embedding.image_size
        )
        threshold = self._sam.mask_threshold
        return Candidate(
            rle=encode((full > threshold).cpu().numpy()),
            predicted_iou=predicted_iou,
            stability=stability(full, threshold),
            logits=logits.float().cpu().numpy(),
        )

    def _points(
        self, embedding: Embedding, prompts: list[Prompt]
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        if not len(prompts[0].xy):
            return None
        xy = self._resize.to_input(np.stack([p.xy for p in prompts]), embedding.image_size)
        labels = np.stack([p.is_positive for p in prompts])
        return (
            torch.as_tensor(xy, dtype=torch.float, device=self.device),
            torch.as_tensor(labels, dtype=torch.int, device=self.device),
        )

    def _boxes(self, embedding: Embedding, prompts: list[Prompt]) -> torch.Tensor | None:
        boxes = [p.box for p in prompts if p.box is not None]
        if not boxes:
            return None
        corners = np.stack(boxes).reshape(-1, 2, 2)
        scaled = self._resize.to_input(corners, embedding.image_size).reshape(-1, 4)
        return torch.as_tensor(scaled, dtype=torch.float, device=self.device)

    def _masks(self, prompts: list[Prompt]) -> torch.Tensor | None:
        masks = [p.mask_logits for p in prompts if p.mask_logits is not None]
        if not masks:
            return None
        return torch.tensor(np.stack(masks)[:, None], dtype=torch.float, device=self.device)

    def _check(self, prompt: Prompt) -> None:
        mask, side = prompt.mask_logits, self.mask_side
        if mask is not None and mask.shape != (side, side):
            raise PromptError(f"mask_logits must have shape ({side}, {side}), not {mask.shape}")


def model_version(version: str, weights_sha256: str, image_side: int) -> str:
    """What a segmenter of this checkpoint will call itself; known before its weights are read.

    Pixel mean and deviation and the mask threshold are the same in every family (`Sam`'s own).

    Args:
        version: The checkpoint's.
        weights_sha256: Of its weights file.
        image_side: Side of the network's square input in pixels.
    """
    settings = f"{weights_sha256} {LongestSide(image_side).key} float32"
    return f"{version}+{hashlib.sha256(settings.encode()).hexdigest()[:8]}"
