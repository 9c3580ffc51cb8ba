"""A very small SAM with absolute positions, as ViT-B has, and a very small data set."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

from sam_backend.datasets.image_files import examine
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.masks import rle
from sam_backend.training.plan import Depth, Phase, TrainingPlan

SIDE = 64
DIM = 32


def tiny_sam(seed: int = 0) -> Sam:
    torch.manual_seed(seed)
    encoder = ImageEncoderViT(
        img_size=SIDE,
        embed_dim=DIM,
        depth=2,
        num_heads=2,
        mlp_ratio=2.0,
        out_chans=DIM,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=2,
        global_attn_indexes=(1,),
    )
    prompts = PromptEncoder(
        embed_dim=DIM, image_embedding_size=(4, 4), input_image_size=(SIDE, SIDE), mask_in_chans=4
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, mlp_dim=32, num_heads=2)
    decoder = MaskDecoder(transformer_dim=DIM, transformer=transformer, iou_head_hidden_dim=16)
    return Sam(encoder, prompts, decoder).eval().requires_grad_(requires_grad=False)


def tiny_plan(depth: Depth = Depth.DECODER, steps: int = 4, **changes: object) -> TrainingPlan:
    values = {
        "steps": steps,
        "phases": (Phase(1.0, None, 2, 3),),
        "depth": depth,
        "learning_rate": 1e-3,
        "warmup_steps": 1,
        "judge_every": 2,
    }
    return TrainingPlan(**(values | changes))


def squares(folder: Path, n_images: int = 3, label: str | None = "square") -> Dataset:
    """Images of 80 x 100 pixels with a red and a blue square and a mask of each."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(n_images):
        rng = np.random.default_rng(number)
        pixels = rng.integers(90, 130, (80, 100, 3), np.uint8)
        masks = []
        for colour, left in (([255, 0, 0], 5), ([0, 0, 255], 55)):
            x, y, side = left + rng.integers(10), rng.integers(5, 40), rng.integers(18, 30)
            mask = np.zeros((80, 100), np.bool_)
            mask[y : y + side, x : x + side] = True
            pixels[mask] = colour
            masks.append(LabelledMask(rle.encode(mask), label))
        path = folder / f"{number}.png"
        cv2.imwrite(str(path), pixels[..., ::-1])
        images.append(LabelledImage(path.name, path, examine(path).digest, (80, 100), tuple(masks)))
    return Dataset("squares", tuple(images))


def mask_of(pixels: int, size: tuple[int, int] = (80, 100)) -> LabelledMask:
    """The first `pixels` pixels of row 40 as a mask."""
    mask = np.zeros(size, np.bool_)
    mask[40, :pixels] = True
    return LabelledMask(rle.encode(mask))
