"""SAM 2 and 2.1 on images (arXiv 2408.00714): hiera tiny, small, base+ and large."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from sam_backend.errors import ModelStoreError
from sam_backend.sam.library.model import LibraryModel, parts_of, renamed
from sam_backend.sam.precision import Precision
from sam_backend.sam.preprocess import Stretched

# (channels, blocks) of a trunk, and how it differs from tiny
_SIZES: Mapping[tuple[int, int], tuple[str, Mapping[str, Any]]] = {
    (96, 12): ("tiny", {}),
    (96, 16): ("small", {"blocks": [1, 2, 11, 2], "global": [7, 10, 13]}),
    (112, 24): (
        "base+",
        {"heads": [2, 4, 8, 16], "blocks": [2, 3, 16, 3], "global": [12, 16, 20], "cells": 14},
    ),
    (144, 48): (
        "large",
        {
            "heads": [2, 4, 8, 16],
            "blocks": [2, 6, 36, 4],
            "global": [23, 33, 43],
            "windows": [8, 4, 16, 8],
        },
    ),
}

# from the library's names to those of Meta's files, in this order
_NAMES = (
    (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
    (r"^vision_encoder\.neck\.convs\.(\d+)\.", r"image_encoder.neck.convs.\1.conv."),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"^mask_decoder\.", "sam_mask_decoder."),
    (r"^prompt_encoder\.mask_embed\.", "sam_prompt_encoder.mask_downscaling."),
    (r"^prompt_encoder\.", "sam_prompt_encoder."),
    (r"^(shared_image_embedding|sam_prompt_encoder\.shared_embedding)\.positional_embedding$",
     "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"^no_memory_embedding$", "no_mem_embed"),
    (r"mask_downscaling\.conv1\.", "mask_downscaling.0."),
    (r"mask_downscaling\.layer_norm1\.", "mask_downscaling.1."),
    (r"mask_downscaling\.conv2\.", "mask_downscaling.3."),
    (r"mask_downscaling\.layer_norm2\.", "mask_downscaling.4."),
    (r"mask_downscaling\.conv3\.", "mask_downscaling.6."),
    (r"upscale_conv1\.", "output_upscaling.0."),
    (r"upscale_layer_norm\.", "output_upscaling.1."),
    (r"upscale_conv2\.", "output_upscaling.3."),
    (r"((?:_mlps\.\d+|_head)\.)layers\.0\.", r"\1layers.1."),
    (r"((?:_mlps\.\d+|_head)\.)proj_in\.", r"\1layers.0."),
    (r"((?:_mlps\.\d+|_head)\.)proj_out\.", r"\1layers.2."),
    (r"mlp\.proj_in\.", "mlp.layers.0."),
    (r"mlp\.proj_out\.", "mlp.layers.1."),
    (r"\.o_proj\.", ".out_proj."),
    (r"layer_norm_final_attn\.", "norm_final_attn."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)  # fmt: skip
_POINTS = "sam_prompt_encoder.point_embed.weight"


class Sam2(LibraryModel):
    """SAM 2's image part: its video memory is left out."""

    resize_kind = Stretched
    model_types: ClassVar[tuple[str, ...]] = ("sam2", "sam2_video")
    type_prefix: ClassVar[str] = "sam2_"
    sign: ClassVar[str] = "image_encoder.trunk.pos_embed_window"
    left_out: ClassVar[re.Pattern[str]] = re.compile(
        r"(memory_|mask_downsample\.|maskmem_|obj_ptr_|object_pointer_|no_mem_pos_enc|no_obj_|"
        r"no_memory_positional|no_object_|occlusion_|temporal_positional_)"
    )

    @staticmethod
    def build(config: Mapping[str, Any]) -> nn.Module:
        """The network with fresh weights, as a `config.json` describes it; empty: tiny."""
        from transformers import Sam2Config, Sam2Model

        network: nn.Module = Sam2Model(Sam2Config(**parts_of(config)))
        return network

    @staticmethod
    def config_of(state: Mapping[str, torch.Tensor]) -> Mapping[str, Any]:
        """The configuration of Meta's files, told from channels and blocks of the trunk.

        Raises:
            ModelStoreError: No published size has so many.
        """
        trunk = "image_encoder.trunk."
        names = [re.match(re.escape(trunk) + r"blocks\.(\d+)\.", name) for name in state]
        n_blocks = 1 + max((int(match[1]) for match in names if match), default=-1)
        channels = int(state[trunk + "pos_embed"].shape[1])
        if (channels, n_blocks) not in _SIZES:
            known = ", ".join(size for size, _ in _SIZES.values())
            raise ModelStoreError(
                f"a SAM 2 of {channels} channels and {n_blocks} blocks is none of {known}: "
                "give the folder with its config.json"
            )
        return size_config(channels, n_blocks)

    @staticmethod
    def original_names(name: str) -> Sequence[str]:
        """What Meta's files call a weight: the four kinds of points are four weights there."""
        original = renamed(name, _NAMES)
        if original == _POINTS:
            return [f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in range(4)]
        return [original]

    def __init__(
        self,
        network: nn.Module,
        version: str,
        weights_sha256: str = "",
        precision: Precision = Precision.FLOAT32,
    ) -> None:
        """Take a network; what its neck computes for video alone is not computed any more."""
        neck: Any = network.get_submodule("vision_encoder.neck")
        neck.position_encoding = _NoPositions()
        super().__init__(network, version, weights_sha256, precision)

    def _levels(self, pixels: torch.Tensor) -> Sequence[torch.Tensor]:
        *finer, coarse = self._network.get_image_embeddings(pixels)
        return [coarse, *finer]

    def _level_shapes(self) -> tuple[tuple[int, ...], ...]:
        *finer, coarse = self._network.backbone_feature_sizes
        channels = self._network.config.mask_decoder_config.hidden_size
        widths = [channels >> (3 - index) for index in range(len(finer))]
        return (
            (channels, *coarse),
            *((width, *size) for width, size in zip(widths, finer, strict=True)),
        )

    def _answer(self, levels: Sequence[torch.Tensor], multimask: bool, **prompts: Any) -> Any:
        coarse, *finer = levels
        return self._network(
            image_embeddings=[*finer, coarse], multimask_output=multimask, **prompts
        )


class _NoPositions(nn.Module):
    """In place of the neck's position encodings (6 % of an encode), which images do not need."""

    def forward(
        self, shape: Sequence[int], device: torch.device, dtype: torch.dtype, mask: None = None
    ) -> torch.Tensor:
        """One zero, of as many dimensions."""
        return torch.zeros([1] * len(shape), device=device, dtype=dtype)


def size_config(channels: int, n_blocks: int) -> Mapping[str, Any]:
    """The configuration of a published size, by channels and blocks of its trunk."""
    _, size = _SIZES[channels, n_blocks]
    widths = [channels << stage for stage in range(4)]
    cells = size.get("cells", 7)
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": channels,
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": size.get("heads", [1, 2, 4, 8]),
        "blocks_per_stage": size.get("blocks", [1, 2, 7, 2]),
        "global_attention_blocks": size.get("global", [5, 7, 9]),
        "window_size_per_stage": size.get("windows", [8, 4, 14, 7]),
        "window_positional_embedding_background_size": [cells, cells],
    }
    return {"vision_config": {"backbone_config": trunk, "backbone_channel_list": widths[::-1]}}
