"""Many prompts on one image: tokens first, masks only for those that are worth it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from sam_backend.sam.compiler import check_compiler
from sam_backend.sam.decoder.image_side import (
    ImageFactor,
    ImageFeatures,
    ImageSide,
    own,
    own_pixels,
    share,
)
from sam_backend.sam.decoder.keys import Keys
from sam_backend.sam.decoder.upscaling import Upscaling
from sam_backend.sam.decoder.weights import fold_weights
from sam_backend.sam.decoder.whole_keys import WholeKeys, is_cheaper
from sam_backend.sam.embed_and_prompt import Decoded
from sam_backend.sam.reference import Sam


class PromptDecoder:
    """Runs a network's mask decoder; safe under threads, nothing is written after construction.

    Answers are those of `MaskDecoder.forward`: logits within 1e-5 of the largest and predicted IoU
    within 1e-5. The arithmetic is float32 whatever the encoder's: in bfloat16 a third is saved, but
    ragged masks' boxes move so much that suppression kept only 87 % of the starter's masks.
    """

    def __init__(
        self,
        sam: Sam,
        compiled: bool = False,
        sizes: "BatchSizes | None" = None,
    ) -> None:
        """Folds the decoder's weights; `sam` stays as it is.

        Args:
            sam: The network, in eval mode, on the device that it is to run on.
            compiled: Compile with `torch.compile`, for each number of tokens anew.
            sizes: How many prompts run together; None: chosen for the device.

        Raises:
            InvalidInputError: There is no compiler for `compiled`.
        """
        with torch.inference_mode():
            position = sam.prompt_encoder.get_dense_pe()
            self._decoder = sam.mask_decoder
            self._cells = (position.shape[2], position.shape[3])
            self._position = position[0].flatten(1).T.contiguous()
            self._weights = fold_weights(self._decoder, position)
            self._upscaling = Upscaling(self._decoder, self._weights, self._cells)
            self._no_mask = sam.prompt_encoder.no_mask_embed.weight[0].clone()
            self._own_tokens = torch.cat(
                [self._decoder.iou_token.weight, self._decoder.mask_tokens.weight]
            )
        self._sizes = sizes or batch_sizes(position.device, self._cells[0] * self._cells[1])
        self._attend, self._upscale = self._run_transformer, self._upscaling.__call__
        if compiled:
            check_compiler(position.device)
            # shapes are few (`batch_sizes`), and code for fixed ones is faster
            self._attend = torch.compile(self._attend, dynamic=False)
            self._upscale = torch.compile(self._upscale, dynamic=False)

    @torch.inference_mode()
    def image_side(self, features: torch.Tensor) -> ImageSide:
        """Prepares an image; worth keeping while prompts on it may come.

        Args:
            features: The image encoder's output, shape (C, h, w) float32, or (4·C, h, w) with finer
                features (`high_resolution`).
        """
        return share(features, self._no_mask, self._weights, self._upscaling.deconvolution)

    @torch.inference_mode()
    def image_features(self, features: torch.Tensor) -> ImageFeatures:
        """What prompts with masks need of an image, for `decode_across`.

        Args:
            features: As of `image_side`.
        """
        return ImageFeatures.of(features, len(self._no_mask))

    @torch.inference_mode()
    def decode(
        self,
        image: ImageSide,
        sparse: torch.Tensor,
        dense: torch.Tensor | None = None,
        multimask: bool = True,
        min_predicted_iou: float | None = None,
    ) -> Decoded:
        """Masks and predicted IoU of prompts on one image.

        Args:
            image: What `image_side` returned.
            sparse: The prompt encoder's tokens of points and boxes, shape (B, T, C) float32.
            dense: Its mask prompts, shape (B, C, h, w) float32; None: no prompt has a mask.
            multimask: Three masks a prompt (whole, part, subpart), else one.
            min_predicted_iou: Leave out the logits of prompts whose masks all have a predicted
                IoU of at most this.
        """

        def factor(rows: torch.Tensor) -> ImageFactor | WholeKeys:
            return image if dense is None else self._own([one], dense[rows], sparse.shape[1])

        one = ImageFeatures(image.features, image.finer)
        sizes = self._sizes.attending if dense is None else self._sizes.upscaling
        return self._decode(factor, sparse, sizes, multimask, min_predicted_iou)

    @torch.inference_mode()
    def decode_across(
        self,
        images: Sequence[ImageFeatures],
        sparse: torch.Tensor,
        dense: torch.Tensor,
        multimask: bool = True,
    ) -> Decoded:
        """`decode` of prompts with masks, each on an image of its own.

        Args:
            images: The image of each prompt, B of them.
            sparse: Tokens of points and boxes, shape (B, T, C) float32.
            dense: Mask prompts, shape (B, C, h, w) float32.
            multimask: Three masks a prompt (whole, part, subpart), else one.
        """

        def factor(rows: torch.Tensor) -> ImageFactor | WholeKeys:
            at = [images[row] for row in rows.tolist()]
            return self._own(at, dense[rows], sparse.shape[1])

        return self._decode(factor, sparse, self._sizes.upscaling, multimask, None)

    def _decode(
        self,
        factor: Callable[[torch.Tensor], ImageFactor | WholeKeys],
        sparse: torch.Tensor,
        sizes: tuple[int, ...],
        multimask: bool,
        min_predicted_iou: float | None,
    ) -> Decoded:
        """Masks of prompts; `factor` gives the images of those at some rows (K,) int64."""
        asked = slice(1, None) if multimask else slice(0, 1)
        n_masks = len(range(*asked.indices(self._decoder.num_mask_tokens)))
        side_h, side_w = (4 * cells for cells in self._cells)
        ious, kept = [sparse.new_empty(0, n_masks)], [sparse.new_empty(0, dtype=torch.int64)]
        logits = [sparse.new_empty(0, n_masks, side_h, side_w)]
        for rows in _batches(torch.arange(len(sparse), device=sparse.device), sizes):
            padded = _pad(rows, sizes)
            tokens, all_ious, keys = self._attend(factor(padded), sparse[padded])
            ious.append(all_ious[: len(rows), asked])
            passing = torch.arange(len(rows), device=rows.device)
            if min_predicted_iou is not None:
                passing = passing[(ious[-1] > min_predicted_iou).any(1)]
            kept.append(rows[passing])
            mask_tokens = tokens[:, 1 : 1 + self._decoder.num_mask_tokens][:, asked]
            logits += self._logits(keys, mask_tokens, asked.start, passing)
        return Decoded(torch.cat(ious), torch.cat(kept), torch.cat(logits))

    def _logits(
        self, keys: Keys | WholeKeys, mask_tokens: torch.Tensor, first: int, passing: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """The logits of the prompts at `passing` (K,), in parts of shape (?, M, L, L)."""
        for rows in _batches(passing, self._sizes.upscaling):
            padded = _pad(rows, self._sizes.upscaling)
            yield self._upscale(keys.select(padded), mask_tokens[padded], first)[: len(rows)]

    def _own(
        self, images: Sequence[ImageFeatures], dense: torch.Tensor, n_tokens: int
    ) -> ImageFactor | WholeKeys:
        """The images of prompts with masks and so many tokens, in the form that is cheaper."""
        pixels, finer = own_pixels(images, dense)
        if is_cheaper(self._weights.final.module, len(self._own_tokens) + n_tokens):
            return WholeKeys(pixels.transpose(1, 2).contiguous(), self._position, finer)
        return own(pixels, finer, self._weights, self._upscaling.deconvolution)

    def _run_transformer(
        self, image: ImageFactor | WholeKeys, sparse: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Keys | WholeKeys]:
        """Tokens attend to each other and the image; then the IoU head.

        Returns:
            Tokens after the last layer, shape (B, 1 + masks + T, C); predicted IoU of every mask,
            shape (B, masks); image tokens after the last layer.
        """
        own_tokens = self._own_tokens.expand(len(sparse), -1, -1)
        position = torch.cat([own_tokens, sparse], dim=1)
        tokens, keys = position, image if isinstance(image, WholeKeys) else Keys(image)
        for number, layer in enumerate(self._weights.layers):
            module = layer.module
            if module.skip_first_layer_pe:
                tokens = module.self_attn(q=tokens, k=tokens, v=tokens)
            else:
                query = tokens + position
                tokens = tokens + module.self_attn(q=query, k=query, v=tokens)
            tokens = module.norm1(tokens)
            tokens = module.norm2(tokens + keys.attend(layer.to_image, tokens + position))
            tokens = module.norm3(tokens + module.mlp(tokens))
            keys = keys.update(number, layer.to_tokens, tokens + position, tokens)
        tokens = tokens + keys.attend(self._weights.final, tokens + position)
        tokens = self._decoder.transformer.norm_final_attn(tokens)
        return tokens, self._decoder.iou_prediction_head(tokens[:, 0]), keys


@dataclass(frozen=True, slots=True)
class BatchSizes:
    """How many prompts run together, ascending; smaller batches are padded to the next of these.

    A few sizes only, so that compiled code meets few shapes.

    Attributes:
        attending: In the transformer.
        upscaling: From the transformer to logits, and everywhere for prompts with masks.
    """

    attending: tuple[int, ...]
    upscaling: tuple[int, ...]


def batch_sizes(device: torch.device, n_pixels: int) -> BatchSizes:
    """What fits a processor's caches, or fills a GPU.

    Measured for SAM's 64x64 pixels on 2 cores with 1 MB of second-level cache each: four prompts
    together attend 1.5 times as fast as one by one, but one by one they are upscaled faster.

    Args:
        device: Where the decoder runs.
        n_pixels: Number of pixels of the embedding, h * w.
    """
    if device.type != "cpu":
        return BatchSizes(attending=(1, 8, 32), upscaling=(1, 8, 32))
    at_once = max(1, 64 * 64 // n_pixels)
    return BatchSizes(
        attending=tuple(sorted({1, 2, at_once, 4 * at_once})),
        upscaling=tuple(sorted({1, at_once})),
    )


def _batches(rows: torch.Tensor, sizes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    """`rows` in parts of the largest size; no part if there are none."""
    return torch.split(rows, sizes[-1]) if len(rows) else ()


def _pad(rows: torch.Tensor, sizes: tuple[int, ...]) -> torch.Tensor:
    """`rows` and zeros behind them, so that the length is one of `sizes`."""
    size = next(size for size in sizes if size >= len(rows))
    return F.pad(rows, (0, size - len(rows)))
