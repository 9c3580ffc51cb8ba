"""The starter network: SAM's classes, small, and loadable as a state dict."""

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam

from sam_backend.sam.starter import (
    EMBEDDING_SIZE,
    IMAGE_SIZE,
    MASK_SIZE,
    PROMPT_DIM,
    build_starter,
)


def test_it_is_a_small_sam() -> None:
    sam = build_starter()
    assert isinstance(sam, Sam)
    assert isinstance(sam.image_encoder, ImageEncoderViT)
    assert isinstance(sam.prompt_encoder, PromptEncoder)
    assert isinstance(sam.mask_decoder, MaskDecoder)
    assert sum(p.numel() for p in sam.parameters()) < 6_000_000
    assert sam.image_encoder.img_size == IMAGE_SIZE
    assert sam.prompt_encoder.mask_input_size == (MASK_SIZE, MASK_SIZE)
    assert not sam.training


@torch.inference_mode()
def test_an_image_and_a_click_become_three_masks() -> None:
    sam = build_starter()
    embedding = sam.image_encoder(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE))
    assert embedding.shape == (1, PROMPT_DIM, EMBEDDING_SIZE, EMBEDDING_SIZE)
    click = (torch.tensor([[[100.0, 50.0]]]), torch.ones(1, 1))
    sparse, dense = sam.prompt_encoder(points=click, boxes=None, masks=None)
    position = sam.prompt_encoder.get_dense_pe()
    masks, ious = sam.mask_decoder(embedding, position, sparse, dense, multimask_output=True)
    assert masks.shape == (1, 3, MASK_SIZE, MASK_SIZE)
    assert ious.shape == (1, 3)


def test_its_weights_load_strictly() -> None:
    weights = build_starter().state_dict()
    build_starter().load_state_dict(weights, strict=True)


def test_it_can_be_built_without_memory() -> None:
    with torch.device("meta"):
        assert all(p.is_meta for p in build_starter().parameters())


@torch.inference_mode()
def test_a_fresh_starter_already_tells_clicks_apart_by_place() -> None:
    torch.manual_seed(0)
    sam = build_starter()
    embedding = torch.randn(1, PROMPT_DIM, EMBEDDING_SIZE, EMBEDDING_SIZE)
    clicks = torch.tensor([[[128.0, 128.0]], [[384.0, 352.0]]])
    sparse, dense = sam.prompt_encoder((clicks, torch.ones(2, 1)), None, None)
    position = sam.prompt_encoder.get_dense_pe()
    tokens = torch.cat(
        [sam.mask_decoder.iou_token.weight, sam.mask_decoder.mask_tokens.weight]
    ).expand(2, -1, -1)
    _, image = sam.mask_decoder.transformer(
        embedding + dense, position.expand(2, -1, -1, -1), torch.cat([tokens, sparse], 1)
    )
    change = (image[0] - image[1]).sub((image[0] - image[1]).mean(0)).norm(dim=1)
    change = change.view(EMBEDDING_SIZE, EMBEDDING_SIZE)
    at_clicks = (change[7:9, 7:9].mean() + change[21:23, 23:25].mean()) / 2
    assert at_clicks > 1.2 * change.mean()
