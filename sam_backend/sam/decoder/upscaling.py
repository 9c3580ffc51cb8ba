"""Image tokens to mask logits: deconvolutions and hypernetworks as matrix products.

Both deconvolutions have kernel 2 and stride 2: every pixel becomes 2x2 pixels of its own, which is
one matrix product a pixel. Sub-pixels stay where the products leave them (pixels first, channels
last) until the logits are put in order, once.
"""

import torch
import torch.nn.functional as F

from sam_backend.sam.decoder.keys import Keys
from sam_backend.sam.decoder.weights import DecoderWeights
from sam_backend.sam.decoder.whole_keys import WholeKeys
from sam_backend.sam.reference import MaskDecoder


class Upscaling:
    """`MaskDecoder.output_upscaling` and its product with the hypernetworks' answers."""

    def __init__(
        self,
        decoder: MaskDecoder,
        weights: DecoderWeights,
        cells: tuple[int, int],
    ) -> None:
        """Reshapes the weights of `decoder`; `cells` is the embedding's (h, w)."""
        first, norm, _, second, _ = decoder.output_upscaling
        self._cells = cells
        self._hypernetworks = decoder.output_hypernetworks_mlps
        # (C, C'/4, 2, 2) to (C, 2*2*C/4): sub-pixels before channels
        self._first = first.weight.detach().permute(0, 2, 3, 1).flatten(1).float()
        self._first_bias = first.bias.detach().float().repeat(4)
        self._bias = self._first_bias + weights.shift @ self._first
        self.deconvolution = weights.fold @ self._first
        self._norm_shape = (len(norm.weight),)
        self._norm = (norm.weight.detach(), norm.bias.detach(), norm.eps)
        self._second = (
            second.weight.detach().permute(2, 3, 1, 0).flatten(0, 2).contiguous(),
            second.bias.detach().repeat(4),
        )

    def __call__(
        self, keys: Keys | WholeKeys, mask_tokens: torch.Tensor, first: int
    ) -> torch.Tensor:
        """Logits of B prompts.

        Args:
            keys: After the last layer.
            mask_tokens: The tokens of the masks that are asked for, shape (B, M, C).
            first: Which of the decoder's masks the first of them is.

        Returns:
            Shape (B, M, 4h, 4w) float32.
        """
        hyper = torch.stack(
            [
                self._hypernetworks[first + i](mask_tokens[:, i])
                for i in range(mask_tokens.shape[1])
            ],
            dim=1,
        )
        finer = keys.finer
        x = self._deconvolve(keys)
        x = x.view(*x.shape[:2], -1, *self._norm_shape)
        if finer is not None:
            x = x + finer.half
        x = F.layer_norm(x, self._norm_shape, *self._norm)
        x = F.gelu(x)
        x = F.linear(x, *self._second)
        if finer is not None:
            x = x.add_(finer.quarter.flatten(3))
        x = F.gelu(x)
        return self._in_order(torch.bmm(hyper, x.view(len(x), -1, hyper.shape[2]).transpose(1, 2)))

    def _deconvolve(self, keys: Keys | WholeKeys) -> torch.Tensor:
        """The first deconvolution, shape (B, N, 4 * C/4)."""
        if isinstance(keys, WholeKeys):
            return torch.matmul(keys.pixels, self._first).add_(self._first_bias)
        x = keys.image.upscaled()
        if keys.scale is not None:
            x = torch.addcmul(self._bias, x, keys.scale[:, :, None])
        for added in keys.added:
            x = x.baddbmm_(added.mix.transpose(1, 2), added.rows @ self._first)
        return x

    def _in_order(self, products: torch.Tensor) -> torch.Tensor:
        """(B, M, h*w*2*2*2*2) to (B, M, 4h, 4w): a row of sub-pixels for each row."""
        h, w = self._cells
        parts = products.view(*products.shape[:2], h, w, 2, 2, 2, 2)
        ordered = parts.permute(0, 1, 2, 4, 6, 3, 5, 7)
        return ordered.reshape(*products.shape[:2], 4 * h, 4 * w)
