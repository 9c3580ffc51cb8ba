"""Runs a SAM image encoder: the reference's features, without its slow attention."""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.attention import Attention
from sam_backend.sam.attention_choice import AttentionCase, fastest
from sam_backend.sam.compiler import check_compiler
from sam_backend.sam.encoder_block import EncoderBlock
from sam_backend.sam.precision import Precision
from sam_backend.sam.reference import Sam


class ServedEncoder(Protocol):
    """An encoder of a family of its own, made ready to serve.

    A network whose image encoder is no `ImageEncoderViT` gives it the method
    `served(cells: int, precision: Precision) -> ServedEncoder`; `cells` is the embedding's side.

    Attributes:
        blocks: Its attention blocks, if it has any.
    """

    blocks: list[EncoderBlock]

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map pixels (B, 3, S, S) float32 to features (B, C, h, w) float32, contiguous."""
        ...


class ImageEncoder:
    """The image encoder of one network, safe under threads: a call writes only what it makes.

    Attributes:
        attention: How each block computes its attention, in the blocks' order.
    """

    def __init__(
        self,
        sam: Sam,
        precision: Precision = Precision.FLOAT32,
        compiled: bool = False,
        attention: Attention | Callable[[AttentionCase], Attention] | None = None,
    ) -> None:
        """Makes the weights of `sam` ready, on its device; the network itself is left as it is.

        Args:
            sam: A network in eval mode, float32. Later changes of its weights have no effect that
                could be relied on.
            precision: Precision of the arithmetic. Weights of the linear layers are copied but for
                float32 on a GPU: laid out for the CPU's kernels or in another dtype.
            compiled: Have torch.compile fuse what lies between the matrix products on a GPU. A CPU
                gains nothing: there oneDNN has GELU in the product already, the rest is 5 % of a
                block, and with attention's blocks in it compiling takes minutes.
            attention: How to compute attention in all blocks, or what chooses for a case; None:
                the fastest way.

        Raises:
            InvalidInputError: There is no compiler for `compiled`.
        """
        encoder = sam.image_encoder
        self._device = torch.device(sam.device)
        self._one_by_one = compiled or self._device.type == "cpu"
        compiles = compiled and self._device.type != "cpu"
        if compiles:
            check_compiler(self._device)
        cells = int(sam.prompt_encoder.image_embedding_size[0])
        with torch.no_grad():
            make = encoder.served if hasattr(encoder, "served") else partial(ServedViT, encoder)
            self._served: ServedEncoder = make(cells, precision)
        choose = fastest if attention is None else attention
        for block in self._served.blocks:
            case = block.case(self._device)
            block.way = choose if isinstance(choose, Attention) else choose(case)
            if compiles:
                block.compile()
        self.attention = tuple(block.way for block in self._served.blocks)

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encodes images.

        One after the other on a CPU, since together they would only fall out of its caches, and
        when compiled, since each size of a batch would be compiled anew.

        Args:
            pixels: Shape (B, 3, S, S) float32, normalised and padded as `Sam.preprocess` does.

        Returns:
            Shape (B, C, h, w) float32, contiguous.
        """
        if self._one_by_one:
            return torch.cat([self._served(image) for image in torch.split(pixels, 1)])
        return self._served(pixels)


class ServedViT:
    """SAM's own image encoder, `ImageEncoderViT`, made ready: see `ServedEncoder`."""

    def __init__(self, encoder: Any, cells: int, precision: Precision) -> None:
        self._dtype = precision.dtype
        self._patch_embed = _in_dtype(encoder.patch_embed, self._dtype)
        self._pos_embed = encoder.pos_embed
        self.blocks = [EncoderBlock(block, cells, precision) for block in encoder.blocks]
        self._neck = Neck(encoder.neck, self._dtype)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map pixels (B, 3, S, S) float32 to features (B, C, h, w) float32, contiguous."""
        tokens: torch.Tensor = self._patch_embed(pixels.to(self._dtype)).float()
        if self._pos_embed is not None:
            tokens = tokens + self._pos_embed
        tokens = tokens.contiguous()
        for block in self.blocks:
            tokens = block(tokens)
        features: torch.Tensor = self._neck(tokens)
        return features


class Neck(nn.Module):
    """From tokens to features, as `ImageEncoderViT.neck`, but with channels last throughout."""

    def __init__(self, neck: nn.Sequential, dtype: torch.dtype) -> None:
        """Takes the reference's neck: convolution 1x1, norm, convolution 3x3, norm."""
        super().__init__()
        narrow, norm1, spread, norm2 = cast(tuple[Any, Any, Any, Any], tuple(neck))
        self.norm1, self.norm2 = _channels_last(norm1), _channels_last(norm2)
        self.dtype = dtype
        self.narrow = narrow.weight.detach().flatten(1).to(dtype)
        self.spread = spread.weight.detach().to(dtype, memory_format=torch.channels_last)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Maps tokens (B, h, w, D) float32 to features (B, C, h, w) float32."""
        x = F.linear(tokens.to(self.dtype), self.narrow).float()
        x = self.norm1(x).to(self.dtype).permute(0, 3, 1, 2)
        x = F.conv2d(x, self.spread, padding=1).float().permute(0, 2, 3, 1)
        features: torch.Tensor = self.norm2(x)
        return features.permute(0, 3, 1, 2).contiguous()


def _channels_last(norm: Any) -> nn.LayerNorm:
    """The reference's `LayerNorm2d` for (B, h, w, C); shares its weights."""
    last = nn.LayerNorm(len(norm.weight), eps=norm.eps)
    last.weight, last.bias = norm.weight, norm.bias
    return last


def _in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The module itself if it is of that dtype, else a copy."""
    if next(module.parameters()).dtype is dtype:
        return module
    return deepcopy(module).to(dtype)
