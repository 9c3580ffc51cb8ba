"""Networks of `segment_anything`'s classes with random weights, small enough for tests."""

from functools import partial

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

from sam_backend.sam.starter import build_starter
from sam_backend.sam.starter_lite import build_starter_lite


def small_sam(side: int = 64, seed: int = 0) -> Sam:
    """A `Sam` with a square input of `side` pixels; the same weights for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        cells = side // 16
        encoder = ImageEncoderViT(
            img_size=side,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=32,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=2,
            global_attn_indexes=(1,),
        )
        prompts = PromptEncoder(
            embed_dim=32,
            image_embedding_size=(cells, cells),
            input_image_size=(side, side),
            mask_in_chans=8,
        )
        transformer = TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=2)
        decoder = MaskDecoder(
            transformer_dim=32, transformer=transformer, iou_head_depth=2, iou_head_hidden_dim=32
        )
        return _sharpen(Sam(encoder, prompts, decoder))


def random_starter(seed: int = 0) -> Sam:
    """The starter's network with random weights; the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _sharpen(build_starter())


def random_starter_lite(seed: int = 3) -> Sam:
    """The network of `starter_lite` with random weights, whose fine features do something.

    The trunk's weights are drawn so that sixteen blocks of it leave something of the image, and
    with the default seed every mask has an inside and an outside.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sam = build_starter_lite()
        for layer in sam.image_encoder.trunk.modules():
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        for last in (sam.image_encoder.fine.out8, sam.image_encoder.fine.out4):
            torch.nn.init.normal_(last.weight, 0, 0.1)
        return _sharpen(sam)


def _sharpen(sam: Sam) -> Sam:
    """Spreads the logits around 0: random weights alone give masks that are all or nothing."""
    with torch.no_grad():
        for mlp in sam.mask_decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight *= 40
            mlp.layers[-1].bias.normal_(0, 4)
    return sam.eval()
