"""Tiny networks of the transformers library with random weights, and the folders they make."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sam_backend.sam.families import family_named

_SAM2_DECODER = {
    "prompt_encoder_config": {"hidden_size": 32, "image_size": 128, "mask_input_channels": 8},
    "mask_decoder_config": {
        "hidden_size": 32,
        "num_attention_heads": 4,
        "mlp_dim": 64,
        "iou_head_hidden_dim": 32,
    },
}
_SAM2_TRUNK = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 12,
    "image_size": [128, 128],
    "embed_dim_per_stage": [12, 24, 48, 96],
}
CONFIGS: Mapping[str, dict[str, Any]] = {
    "sam2": {
        "model_type": "sam2",
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_config": _SAM2_TRUNK,
            "backbone_channel_list": [96, 48, 24, 12],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "fpn_hidden_size": 32,
        },
        **_SAM2_DECODER,
    },
    "sam_hq": {
        "model_type": "sam_hq",
        "vision_config": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 64,
            "patch_size": 8,
            "output_channels": 32,
            "global_attn_indexes": [0, 1],
            "window_size": 4,
            "mlp_dim": 64,
            "num_pos_feats": 16,
            "initializer_range": 0.1,
        },
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": 64,
            "patch_size": 8,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": {
            "hidden_size": 32,
            "num_attention_heads": 4,
            "mlp_dim": 64,
            "iou_head_hidden_dim": 32,
            "vit_dim": 32,
        },
    },
    "sam3_tracker": {
        "model_type": "sam3_tracker",
        "vision_config": {
            "model_type": "sam3_vision_model",
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "image_size": 112,
                "pretrain_image_size": 56,
                "patch_size": 14,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
            "fpn_hidden_size": 32,
            "scale_factors": [4.0, 2.0, 1.0],
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        },
        "prompt_encoder_config": {
            "hidden_size": 32,
            "image_size": 112,
            "patch_size": 14,
            "mask_input_channels": 8,
        },
        "mask_decoder_config": _SAM2_DECODER["mask_decoder_config"],
    },
}
FAMILIES_HERE = tuple(CONFIGS)


def network(name: str, seed: int = 0, config: Mapping[str, Any] | None = None) -> Any:
    """A network of a family whose masks have borders; the same weights for the same seed."""
    family: Any = family_named(name)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made: Any = family._build(CONFIGS[name] if config is None else config)
        with torch.no_grad():
            for weight in made.state_dict().values():
                weight.copy_(weight + 0.02 * torch.randn_like(weight))
            twin = made.prompt_encoder.shared_embedding.positional_embedding
            twin.copy_(made.shared_image_embedding.positional_embedding)  # as in all checkpoints
            for mlp in made.mask_decoder.output_hypernetworks_mlps:
                mlp.proj_out.weight *= 40
                mlp.proj_out.bias.normal_(0, 4)
    return made.eval().requires_grad_(False)


def folder_of(name: str, path: Path, seed: int = 0) -> Path:
    """A folder as the library saves it: `config.json` and `model.safetensors`."""
    network(name, seed).save_pretrained(path)
    assert json.loads((path / "config.json").read_text())["model_type"] == name
    return path
