"""SAM-HQ (arXiv 2306.01567): SAM 1 with sharper masks, on ViT-B, ViT-L or ViT-H."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from sam_backend.errors import ModelStoreError
from sam_backend.sam.library.model import LibraryModel, parts_of, renamed
from sam_backend.sam.preprocess import LongestSide

# channels of the image encoder: layers, heads and the layers with global attention
_SIZES: Mapping[int, tuple[int, int, Sequence[int]]] = {
    768: (12, 12, (2, 5, 8, 11)),
    1024: (24, 16, (5, 11, 17, 23)),
    1280: (32, 16, (7, 15, 23, 31)),
}

# from the library's names to those of the authors' files, in this order
_NAMES = (
    (r"^vision_encoder\.", "image_encoder."),
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"^image_encoder\.layers\.", "image_encoder.blocks."),
    (r"\.neck\.conv1\.", ".neck.0."),
    (r"\.neck\.layer_norm1\.", ".neck.1."),
    (r"\.neck\.conv2\.", ".neck.2."),
    (r"\.neck\.layer_norm2\.", ".neck.3."),
    (r"\.mask_embed\.conv1\.", ".mask_downscaling.0."),
    (r"\.mask_embed\.layer_norm1\.", ".mask_downscaling.1."),
    (r"\.mask_embed\.conv2\.", ".mask_downscaling.3."),
    (r"\.mask_embed\.layer_norm2\.", ".mask_downscaling.4."),
    (r"\.mask_embed\.conv3\.", ".mask_downscaling.6."),
    (r"^(shared_image_embedding|prompt_encoder\.shared_embedding)\.positional_embedding$",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"),
    (r"\.point_embed\.", ".point_embeddings."),
    (r"\.upscale_conv1\.", ".output_upscaling.0."),
    (r"\.upscale_layer_norm\.", ".output_upscaling.1."),
    (r"\.upscale_conv2\.", ".output_upscaling.3."),
    (r"\.hq_token\.", ".hf_token."),
    (r"\.hq_mask_mlp\.", ".hf_mlp."),
    (r"\.compress_vit_conv1\.", ".compress_vit_feat.0."),
    (r"\.compress_vit_norm\.", ".compress_vit_feat.1."),
    (r"\.compress_vit_conv2\.", ".compress_vit_feat.3."),
    (r"\.encoder_conv1\.", ".embedding_encoder.0."),
    (r"\.encoder_norm\.", ".embedding_encoder.1."),
    (r"\.encoder_conv2\.", ".embedding_encoder.3."),
    (r"\.mask_conv1\.", ".embedding_maskfeature.0."),
    (r"\.mask_norm\.", ".embedding_maskfeature.1."),
    (r"\.mask_conv2\.", ".embedding_maskfeature.3."),
    (r"((?:_mlps\.\d+|_head|hf_mlp)\.)layers\.0\.", r"\1layers.1."),
    (r"((?:_mlps\.\d+|_head|hf_mlp)\.)proj_in\.", r"\1layers.0."),
    (r"((?:_mlps\.\d+|_head|hf_mlp)\.)proj_out\.", r"\1layers.2."),
    (r"\.layer_norm_final_attn\.", ".norm_final_attn."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)  # fmt: skip


class SamHQ(LibraryModel):
    """SAM-HQ: the features of the first global block travel as the embedding's finer level."""

    resize_kind = LongestSide
    model_types: ClassVar[tuple[str, ...]] = ("sam_hq",)
    type_prefix: ClassVar[str] = "sam_hq_"
    sign: ClassVar[str] = "mask_decoder.hf_token.weight"

    @staticmethod
    def build(config: Mapping[str, Any]) -> nn.Module:
        """The network with fresh weights, as a `config.json` describes it; empty: ViT-B."""
        from transformers import SamHQConfig, SamHQModel

        network: nn.Module = SamHQModel(SamHQConfig(**parts_of(config)))
        return network

    @staticmethod
    def config_of(state: Mapping[str, torch.Tensor]) -> Mapping[str, Any]:
        """The configuration of the authors' files, told from the image encoder's channels.

        Raises:
            ModelStoreError: No published size has so many, such as light HQ-SAM's TinyViT.
        """
        position = state.get("image_encoder.pos_embed")
        channels = 0 if position is None else int(position.shape[-1])
        if channels not in _SIZES:
            raise ModelStoreError(
                "this SAM-HQ's image encoder is none of ViT-B, ViT-L and ViT-H: take "
                "sam_hq_vit_b.pth, sam_hq_vit_l.pth or sam_hq_vit_h.pth"
            )
        layers, heads, with_global = _SIZES[channels]
        vision = {
            "hidden_size": channels,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "global_attn_indexes": list(with_global),
        }
        return {"vision_config": vision, "mask_decoder_config": {"vit_dim": channels}}

    @staticmethod
    def original_names(name: str) -> Sequence[str]:
        """What the authors' files call a weight."""
        return [renamed(name, _NAMES)]

    def _levels(self, pixels: torch.Tensor) -> Sequence[torch.Tensor]:
        coarse, of_blocks = self._network.get_image_embeddings(pixels)
        return [coarse, of_blocks[0]]  # the decoder reads no other one

    def _level_shapes(self) -> tuple[tuple[int, ...], ...]:
        config = self._network.config
        cells = config.prompt_encoder_config.image_size // config.prompt_encoder_config.patch_size
        coarse = (config.mask_decoder_config.hidden_size, cells, cells)
        return coarse, (cells, cells, config.vision_config.hidden_size)

    def _answer(self, levels: Sequence[torch.Tensor], multimask: bool, **prompts: Any) -> Any:
        coarse, of_block = levels
        return self._network(
            image_embeddings=coarse,
            intermediate_embeddings=[of_block],
            multimask_output=multimask,
            **prompts,
        )
