"""The starter on a pretrained trunk: sizes, padding, and that it is a family like any other."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.convolution import PackedConv, PatchConv, SameConv, SameConvReLU6
from sam_backend.sam.embeddings.keys import EmbeddingKey
from sam_backend.sam.embeddings.packing import pack, unpack
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.starter import EMBEDDING_SIZE, IMAGE_SIZE, PROMPT_DIM
from sam_backend.sam.starter_lite import Trunk, build_starter_lite
from sam_backend.serving.image_features import mean_features
from sam_backend.training.freezing import close_to_learning, open_to_learning
from sam_backend.training.plan import Depth
from sam_backend.training.resolution import set_input_size
from tests.sam.networks import random_starter_lite


def test_it_is_small_and_can_be_built_without_memory() -> None:
    sam = build_starter_lite()
    assert not sam.training
    assert sum(p.numel() for p in sam.parameters()) < 6_000_000
    with torch.device("meta"):
        assert all(p.is_meta for p in build_starter_lite().parameters())


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"),
    [(8, 3, 1, 1, 1), (8, 3, 2, 0, 1), (7, 3, 2, 1, 1), (8, 5, 2, 1, 2), (7, 5, 2, 2, 2)],
)
def test_padding_is_tensorflows(
    side: int, kernel: int, stride: int, before: int, after: int
) -> None:
    """TensorFlow's guide, "SAME" padding: out = ceil(in / stride), the odd pixel comes after."""
    conv = SameConv(1, 1, kernel, stride)
    x = torch.randn(1, 1, side, side)
    padded = F.pad(x, (before, after, before, after))
    wanted = F.conv2d(padded, conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(x), wanted)
    assert wanted.shape[-1] == -(-side // stride)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("kernel", "stride", "groups"), [(1, 1, 1), (3, 1, 8), (3, 2, 8), (3, 2, 1), (5, 2, 8)]
)
@pytest.mark.parametrize("kind", [nn.Conv2d, SameConv, SameConvReLU6])
@torch.inference_mode()
def test_a_packed_convolution_is_the_plain_one(
    dtype: torch.dtype, kernel: int, stride: int, groups: int, kind: type[nn.Conv2d]
) -> None:
    conv = kind(8, 16, kernel, stride, groups=groups).to(dtype)
    x = (9 * torch.randn(2, 8, 13, 16)).to(dtype).contiguous(memory_format=torch.channels_last)
    plain = conv(x)
    torch.testing.assert_close(PackedConv(conv, (13, 16))(x), plain)
    if kind is not SameConvReLU6:
        fused = PackedConv(conv, (13, 16), gelu=True)(x)
        wanted = F.gelu(plain.float())
        if dtype is torch.bfloat16:  # the plain way rounds once more
            torch.testing.assert_close(fused.float(), wanted, rtol=0.02, atol=0.005)
        else:
            torch.testing.assert_close(fused, wanted)


@pytest.mark.parametrize("channels", [8, 16, 24, 40])
@torch.inference_mode()
def test_a_convolution_of_patches_is_the_plain_one(channels: int) -> None:
    """In bfloat16 too, where oneDNN's own answer is garbage on some processors."""
    conv = PatchConv(channels, 80, 4)
    x = torch.randn(2, channels, 32, 16).contiguous(memory_format=torch.channels_last)
    wanted = F.conv2d(x, conv.weight, conv.bias, 4)
    torch.testing.assert_close(conv(x), wanted)
    torch.testing.assert_close(PackedConv(conv, (32, 16))(x), wanted)
    rounded = conv.to(torch.bfloat16)
    for one in (rounded, PackedConv(rounded, (32, 16))):
        torch.testing.assert_close(one(x.bfloat16()).float(), wanted, rtol=0.05, atol=0.02)


@torch.inference_mode()
def test_the_trunk_halves_five_times() -> None:
    sides = [tapped.shape[1:] for tapped in Trunk()(torch.zeros(1, 3, 64, 64))]
    assert sides == [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]


@torch.inference_mode()
def test_the_embedding_follows_the_input() -> None:
    sam = build_starter_lite()
    for side in (96, IMAGE_SIZE):
        set_input_size(sam, side)
        embedding = sam.image_encoder(torch.zeros(1, 3, side, side))
        assert embedding.shape == (1, 4 * PROMPT_DIM, side // 16, side // 16)
    assert embedding.shape[2] == EMBEDDING_SIZE
    fresh = embedding[:, PROMPT_DIM:]
    assert not fresh.any(), "before training the finer features change nothing"


def test_embeddings_are_stored_and_grids_are_scanned() -> None:
    sam = random_starter_lite()
    sam.mask_decoder.iou_prediction_head.layers[-1].bias.data += 1
    segmenter = Segmenter(sam, "lite")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    embedding = segmenter.embed(image)
    key = EmbeddingKey("ab" * 32, segmenter.model_version, segmenter.preprocessing)
    read = unpack(key, pack(key, embedding))
    assert np.array_equal(read.features, embedding.features)
    assert segmenter.is_ours(read), "else no cache is ever of use"
    for one in (embedding, read):
        assert np.array_equal(one.cells, embedding.features[:PROMPT_DIM]), "without finer features"
        assert mean_features(one).shape == (PROMPT_DIM,)
    xy = np.array([[30.0, 40.0], [80.0, 20.0]])
    stored = [mask.rle.counts.tolist() for mask in segmenter.scan(read, xy)]
    assert stored == [mask.rle.counts.tolist() for mask in segmenter.scan(embedding, xy)]
    assert len(stored) == 2 * 3
    settings = AutomaticSettings(points_per_side=4, predicted_iou=0, stability=0)
    assert generate(segmenter, image, settings)


@pytest.mark.parametrize("depth", Depth)
def test_it_learns_at_every_depth(depth: Depth) -> None:
    sam = build_starter_lite()
    set_input_size(sam, 64)
    names = set(sam.state_dict())
    open_to_learning(sam, depth, rank=2)
    sam.image_encoder(torch.randn(1, 3, 64, 64)).square().sum().requires_grad_().backward()
    learned = {name for name, p in sam.named_parameters() if p.grad is not None}
    if depth is Depth.DECODER:
        assert not learned
    elif depth is Depth.ADAPTER:
        assert len(learned) == 2 * len(sam.image_encoder.blocks)
    else:
        assert "image_encoder.trunk.stem.weight" in learned
    close_to_learning(sam)
    assert set(sam.state_dict()) == names
