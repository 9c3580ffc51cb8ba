"""The starter on a pretrained trunk: EfficientNet-Lite0 under SAM's prompt encoder and decoder.

The trunk is EfficientNet-Lite0 (Apache-2.0; EfficientNet, arXiv 1905.11946, without
squeeze-and-excitation and with ReLU6) up to its last block, with each batch norm folded into its
convolution: what `tools/starter` loads are weights that have seen ImageNet. Its feature maps at
strides 4 to 32 are fused as in an FPN (arXiv 1612.03144), a few of SAM's own attention blocks look
round the whole image, and the maps at strides 2 to 8 help the mask decoder to sharp borders
(`high_resolution`).
"""

from copy import deepcopy
from typing import Final, cast

import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.convolution import PatchConv, SameConvReLU6, pack_convolutions
from sam_backend.sam.encoder import ServedEncoder
from sam_backend.sam.encoder_block import EncoderBlock
from sam_backend.sam.high_resolution import as_images, pack, unpack
from sam_backend.sam.linear import can_pack
from sam_backend.sam.precision import Precision
from sam_backend.sam.reference import MaskDecoder, Sam
from sam_backend.sam.reference import image_encoder as reference
from sam_backend.sam.starter import (
    EMBEDDING_SIZE,
    IMAGE_SIZE,
    PROMPT_DIM,
    ChannelNorm,
    ResidualConv,
    mask_decoder,
    prompt_encoder,
)

STAGES: Final = (
    # expansion, channels, repeats, stride, kernel: table 1 of arXiv 1905.11946, for width 1
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM: Final = 32
_TAPPED: Final = {0: 16, 1: 24, 2: 40, 4: 112, 6: 320}
"""Stages whose last map is used, and its channels: strides 2, 4, 8, 16 and 32."""
WIDTH: Final = 160
"""Channels of the fused map, and of the attention blocks."""
HEADS: Final = 5
WINDOWS: Final = (8, 0)
"""Side of each attention block's windows in cells, block by block; 0: the whole map."""
EXACT_STAGES: Final = 3
"""Stages of the trunk that, with the stem, are computed in float32 even where the rest is in
bfloat16. With starter-3 on drawn scenes the embedding is then at most 0.8 % off (relative L2), with
two stages 1.3 %, with none 4.8 %; the third takes 3 % of the time."""
_FINE: Final = 32
"""Channels of the maps at strides 4 and 8 on their way to the decoder."""


class InvertedResidual(nn.Module):
    """EfficientNet's block: widen, look round each channel by itself, narrow; add where it fits."""

    def __init__(self, n_in: int, n_out: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = n_in * expansion
        self.expand = SameConvReLU6(n_in, wide, 1) if expansion > 1 else None
        self.depthwise = SameConvReLU6(wide, wide, kernel, stride, groups=wide)
        self.project = nn.Conv2d(wide, n_out, 1)
        self.adds = stride == 1 and n_in == n_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H', W')."""
        y = x if self.expand is None else self.expand(x)
        narrow: torch.Tensor = self.project(self.depthwise(y))
        return x + narrow if self.adds else narrow


class Trunk(nn.Module):
    """EfficientNet-Lite0 without its head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConvReLU6(3, _STEM, 3, stride=2)
        stages, n_in = [], _STEM
        for expansion, n_out, repeats, stride, kernel in STAGES:
            blocks = []
            for number in range(repeats):
                blocks.append(
                    InvertedResidual(n_in, n_out, expansion, stride if not number else 1, kernel)
                )
                n_in = n_out
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Map normalised pixels (B, 3, S, S) to maps at strides 2, 4, 8, 16 and 32."""
        x = self.stem(x)
        maps = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in _TAPPED:
                maps.append(x)
        return maps


class Fusion(nn.Module):
    """The trunk's maps at strides 4 to 32 as one at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        _, c2, c3, c4, c5 = _TAPPED.values()
        self.from4 = PatchConv(c2, WIDTH // 2, 4)
        self.mix4 = nn.Conv2d(WIDTH // 2, WIDTH, 1)
        self.from8 = nn.Conv2d(c3, WIDTH, 2, stride=2)
        self.from16 = nn.Conv2d(c4, WIDTH, 1)
        self.from32 = nn.Conv2d(c5, WIDTH, 1)
        self.convs = nn.Sequential(ResidualConv(WIDTH), ResidualConv(WIDTH))

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Map what `Trunk` returns to (B, WIDTH, S/16, S/16)."""
        _, m4, m8, m16, m32 = maps
        y = self.from16(m16) + self.from8(m8) + self.mix4(F.gelu(self.from4(m4)))
        y = y + _resized(self.from32(m32), y)
        fused: torch.Tensor = self.convs(y)
        return fused


class FineFeatures(nn.Module):
    """Maps at strides 8 and 4 for the mask decoder; at first they are zero and change nothing."""

    def __init__(self) -> None:
        super().__init__()
        c1, c2, c3, *_ = _TAPPED.values()
        self.from2 = nn.Conv2d(c1, _FINE, 2, stride=2)
        self.from4 = nn.Conv2d(c2, _FINE, 1)
        self.from8 = nn.Conv2d(c3, _FINE, 1)
        self.from16 = nn.Conv2d(WIDTH, _FINE, 1)
        self.conv8 = ResidualConv(_FINE)
        self.conv4 = ResidualConv(_FINE)
        self.out8 = nn.Conv2d(_FINE, PROMPT_DIM // 4, 1)
        self.out4 = nn.Conv2d(_FINE, PROMPT_DIM // 8, 1)
        for last in (self.out8, self.out4):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(cast(torch.Tensor, last.bias))

    def forward(
        self, maps: list[torch.Tensor], fused: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Map the trunk's maps and the fused one to (B, C/4, S/8, S/8) and (B, C/8, S/4, S/4)."""
        m2, m4, m8, *_ = maps
        y = self.from8(m8)
        eight = self.conv8(y + _resized(self.from16(fused), y))
        y = self.from4(m4) + self.from2(m2)
        four = self.conv4(y + _resized(eight, y))
        return self.out8(eight), self.out4(four)


class LiteEncoder(nn.Module):
    """The image encoder: trunk, fusion, attention, and the fine features packed beside.

    Attributes:
        img_size: Side of the square input in pixels, as in `ImageEncoderViT`.
        pos_embed: None: there are no absolute positions, and any multiple of 16 is a size.
        blocks: The attention blocks; those that low-rank adapters change.
        embedding_channels: Channels of the embedding, finer features included
            (`high_resolution`).
    """

    embedding_channels: Final = 4 * PROMPT_DIM

    def __init__(self) -> None:
        super().__init__()
        self.img_size, self.pos_embed = IMAGE_SIZE, None
        self.trunk = Trunk()
        self.fusion = Fusion()
        self.blocks = nn.ModuleList(
            reference.Block(
                WIDTH,
                HEADS,
                mlp_ratio=3.0,
                use_rel_pos=True,
                window_size=window,
                input_size=(EMBEDDING_SIZE, EMBEDDING_SIZE),
            )
            for window in WINDOWS
        )
        self.out = nn.Sequential(
            nn.Conv2d(WIDTH, PROMPT_DIM, 3, padding=1), ChannelNorm(PROMPT_DIM)
        )
        self.fine = FineFeatures()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `x` (B, 3, S, S), normalised, to an embedding (B, 4·C, S/16, S/16)."""
        maps = self.trunk(x.contiguous(memory_format=torch.channels_last))
        tokens = self.tokens(maps)
        for block in self.blocks:
            tokens = block(tokens)
        return self.embedding(maps, tokens)

    def tokens(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """What the attention blocks start with, shape (B, S/16, S/16, WIDTH), contiguous."""
        fused: torch.Tensor = self.fusion(maps)
        return fused.permute(0, 2, 3, 1).contiguous()

    def embedding(self, maps: list[torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
        """The embedding of the trunk's maps and of what the attention blocks end with."""
        fused = tokens.permute(0, 3, 1, 2)
        half, quarter = self.fine(maps, fused)
        return pack(self.out(fused), half, quarter)

    def served(self, cells: int, precision: Precision) -> ServedEncoder:
        """This encoder made ready to serve, for an embedding of `cells` a side."""
        return ServedLiteEncoder(self, cells, precision)


class ServedLiteEncoder:
    """A `LiteEncoder` laid out for a processor: channels last, and the package's fast attention."""

    def __init__(self, encoder: LiteEncoder, cells: int, precision: Precision) -> None:
        self.blocks = [EncoderBlock(block, cells, precision) for block in encoder.blocks]
        self._dtype = precision.dtype
        self._encoder = deepcopy(encoder).to(self._dtype).to(memory_format=torch.channels_last)
        if self._dtype is not torch.float32:
            trunk, exact = self._encoder.trunk, deepcopy(encoder.trunk)
            trunk.stem = exact.stem
            for number in range(EXACT_STAGES):
                trunk.stages[number] = exact.stages[number]
            trunk.to(memory_format=torch.channels_last)
            cast(nn.Sequential, trunk.stages[EXACT_STAGES]).insert(0, _Rounding(self._dtype))
        device = encoder.trunk.stem.weight.device
        if can_pack(device, precision):
            one = torch.zeros(1, 3, encoder.img_size, encoder.img_size, device=device)
            pack_convolutions(self._encoder, lambda: self(one))

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map pixels (B, 3, S, S) float32 to an embedding (B, 4·C, h, w) float32, contiguous."""
        laid_out = pixels.contiguous(memory_format=torch.channels_last)
        maps = [tapped.to(self._dtype) for tapped in self._encoder.trunk(laid_out)]
        tokens = self._encoder.tokens(maps).float()
        for block in self.blocks:
            tokens = block(tokens)
        embedding = self._encoder.embedding(maps, tokens.to(self._dtype))
        return embedding.float().contiguous()


class _Rounding(nn.Module):
    """Goes on in another dtype."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map `x` to the same numbers, rounded."""
        return x.to(self._dtype)


class MaskDecoderWithFineFeatures(MaskDecoder):  # type: ignore[misc]  # untyped package
    """SAM's mask decoder, which adds the embedding's finer features while it upscales.

    The formula is SAM 2's (`sam2.modeling.sam.mask_decoder`): before the norm that follows the
    first deconvolution, and before the activation that follows the second.
    """

    def predict_masks(
        self,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All masks and predicted IoUs of B prompts on one image; see `MaskDecoder`."""
        cells, finer = unpack(image_embeddings, self.transformer_dim)
        h, w = cells.shape[2:]
        n = len(sparse_prompt_embeddings)
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(n, -1, -1), sparse_prompt_embeddings], dim=1)
        queries, keys = self.transformer(
            cells + dense_prompt_embeddings, image_pe.expand(n, -1, -1, -1), tokens
        )
        first, norm, act, second, last_act = self.output_upscaling
        half, quarter = (0, 0) if finer is None else as_images(finer, (h, w))
        x = act(norm(first(keys.transpose(1, 2).unflatten(2, (h, w))) + half))
        x = last_act(second(x) + quarter)
        weights = torch.stack(
            [mlp(queries[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        masks = (weights @ x.flatten(2)).unflatten(2, x.shape[2:])
        return masks, self.iou_prediction_head(queries[:, 0])


def build_starter_lite() -> Sam:
    """A fresh network in eval mode, with random weights."""
    prompts, decoder = prompt_encoder(), mask_decoder(MaskDecoderWithFineFeatures)
    return Sam(LiteEncoder(), prompts, decoder).eval()


def _resized(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`x` (B, C, h, w), bilinearly, at the height and width of `like`."""
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear")
