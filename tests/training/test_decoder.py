"""The training decoder answers as `segment_anything`'s does, and so do its gradients."""

from collections.abc import Callable

import pytest
import torch
from segment_anything.modeling import Sam

from sam_backend.sam.starter import PROMPT_DIM, build_starter
from sam_backend.sam.starter_lite import build_starter_lite
from sam_backend.training.decoder import predict_masks
from sam_backend.training.resolution import set_input_size


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("n_images", [1, 2])
@pytest.mark.parametrize(("build", "widths"), [(build_starter, 1), (build_starter_lite, 4)])
def test_equal_to_segment_anything(
    build: Callable[[], Sam], widths: int, with_mask: bool, n_images: int
) -> None:
    torch.manual_seed(5)
    sam = build()
    for parameter in sam.parameters():  # so that no bias is zero and no norm is plain
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    set_input_size(sam, 64)
    embeddings = torch.randn(n_images, widths * PROMPT_DIM, 4, 4)
    per_image = 3
    points = torch.rand(n_images * per_image, 2, 2) * 64
    labels = torch.ones(n_images * per_image, 2)
    logits = torch.randn(n_images * per_image, 1, 16, 16) if with_mask else None
    position = sam.prompt_encoder.get_dense_pe()

    def gradients_of(masks: torch.Tensor, ious: torch.Tensor) -> list[torch.Tensor]:
        weights = torch.linspace(-1, 1, masks.numel()).view_as(masks)
        (masks * weights).sum().add(ious.square().sum()).backward()
        gradients = [p.grad.clone() for p in sam.mask_decoder.parameters() if p.grad is not None]
        sam.zero_grad()
        return gradients

    sparse, dense = sam.prompt_encoder((points, labels), None, logits)
    ours = predict_masks(
        sam.mask_decoder, embeddings, position, sparse, dense if with_mask else dense[:1]
    )
    our_gradients = gradients_of(*ours)
    sparse, dense = sam.prompt_encoder((points, labels), None, logits)
    theirs = [
        sam.mask_decoder.predict_masks(
            embeddings[i : i + 1],
            position,
            sparse[i * per_image : (i + 1) * per_image],
            dense[i * per_image : (i + 1) * per_image],
        )
        for i in range(n_images)
    ]
    masks, ious = (torch.cat(parts) for parts in zip(*theirs, strict=True))
    torch.testing.assert_close(ours[0], masks, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours[1], ious, atol=1e-4, rtol=1e-4)
    for ours_, theirs_ in zip(our_gradients, gradients_of(masks, ious), strict=True):
        torch.testing.assert_close(ours_, theirs_, atol=2e-3, rtol=1e-3)
