"""The prompt decoder must answer as `segment_anything`'s mask decoder does."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from sam_backend.sam.decoder import PromptDecoder
from sam_backend.sam.decoder.prompt_decoder import BatchSizes, batch_sizes
from sam_backend.sam.embed_and_prompt import Decoded
from sam_backend.sam.starter_lite import MaskDecoderWithFineFeatures
from tests.sam.networks import random_starter, random_starter_lite

N_PROMPTS = 5


def decoding_sam(channels: int, heads: int, depth: int, cells: tuple[int, int]) -> Sam:
    """A network without an image encoder, whose norms and biases all do something."""
    with torch.random.fork_rng():
        torch.manual_seed(depth)
        prompts = PromptEncoder(channels, cells, (16 * cells[0], 16 * cells[1]), mask_in_chans=8)
        transformer = TwoWayTransformer(depth, channels, heads, mlp_dim=2 * channels)
        decoder = MaskDecoder(transformer_dim=channels, transformer=transformer)
        for name, weight in decoder.named_parameters():
            if name.endswith("bias") or weight.ndim == 1:
                nn.init.normal_(weight, 1.0 if name.endswith("weight") else 0.0, 0.3)
        return Sam(nn.Identity(), prompts, decoder).eval()


NETWORKS: dict[str, Callable[[], Sam]] = {
    "one layer": lambda: decoding_sam(32, 2, depth=1, cells=(4, 4)),
    "two layers, portrait": lambda: decoding_sam(32, 4, depth=2, cells=(6, 3)),
    "three layers": lambda: decoding_sam(64, 4, depth=3, cells=(5, 5)),
    "starter": random_starter,
    "finer features": random_starter_lite,
    "sizes of ViT-B, L and H": lambda: decoding_sam(256, 8, depth=2, cells=(16, 16)),
}
SIZES = {
    "the CPU's": None,
    "one by one": BatchSizes(attending=(1,), upscaling=(1,)),
    "padded": BatchSizes(attending=(8,), upscaling=(3,)),
}
PROMPTS = {
    "click": (1, False, False),
    "three clicks": (3, False, False),
    "box": (0, True, False),
    "clicks and box": (2, True, False),
    "mask": (0, False, True),
    "click and mask": (1, False, True),
}


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=NETWORKS.keys())
def sam(request: pytest.FixtureRequest) -> Sam:
    return request.param()


@pytest.fixture(scope="module")
def small() -> Sam:
    return decoding_sam(32, 4, depth=2, cells=(6, 3))


def features_of(sam: Sam) -> torch.Tensor:
    channels, *cells = sam.prompt_encoder.get_dense_pe().shape[1:]
    if isinstance(sam.mask_decoder, MaskDecoderWithFineFeatures):
        channels *= 4
    return torch.randn(channels, *cells, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def encoded(
    sam: Sam, n_points: int, has_box: bool, has_mask: bool, n_prompts: int = N_PROMPTS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random prompts as the prompt encoder gives them."""
    rng = torch.Generator().manual_seed(2)
    encoder = sam.prompt_encoder
    height, width = encoder.input_image_size
    size = torch.tensor([width, height])
    labels = torch.ones(n_prompts, n_points)
    corners = torch.rand(n_prompts, 2, 2, generator=rng) * size
    return encoder(
        points=(torch.rand(n_prompts, n_points, 2, generator=rng) * size, labels)
        if n_points
        else None,
        boxes=corners.sort(dim=1).values.flatten(1) if has_box else None,
        masks=5 * torch.randn(n_prompts, 1, *encoder.mask_input_size, generator=rng)
        if has_mask
        else None,
    )


@torch.inference_mode()
def reference(
    sam: Sam, sparse: torch.Tensor, dense: torch.Tensor, multimask: bool = True
) -> tuple[torch.Tensor, torch.Tensor]:
    return sam.mask_decoder(
        image_embeddings=features_of(sam)[None],
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
    )


def decoded(
    sam: Sam, sparse: torch.Tensor, sizes: BatchSizes | None = None, **options: object
) -> Decoded:
    decoder = PromptDecoder(sam, sizes=sizes)
    return decoder.decode(decoder.image_side(features_of(sam)), sparse, **options)


def assert_equal(ours: Decoded, logits: torch.Tensor, ious: torch.Tensor) -> None:
    torch.testing.assert_close(ours.logits, logits, rtol=0, atol=1e-5 * float(logits.abs().max()))
    torch.testing.assert_close(ours.ious, ious, rtol=0, atol=1e-5)


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_answers_as_segment_anything(
    sam: Sam, prompt: tuple[int, bool, bool], multimask: bool
) -> None:
    sparse, dense = encoded(sam, *prompt)
    ours = decoded(sam, sparse, dense=dense if prompt[2] else None, multimask=multimask)
    assert ours.kept.tolist() == list(range(N_PROMPTS))
    assert_equal(ours, *reference(sam, sparse, dense, multimask))


def test_answers_as_segment_anything_at_full_size() -> None:
    sam = decoding_sam(256, 8, depth=2, cells=(64, 64))
    sparse, dense = encoded(sam, 1, has_box=False, has_mask=False, n_prompts=2)
    assert_equal(decoded(sam, sparse), *reference(sam, sparse, dense))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("has_mask", [True, False], ids=["masks", "no masks"])
def test_batches_do_not_change_answers(
    small: Sam, sizes: BatchSizes | None, has_mask: bool
) -> None:
    sparse, dense = encoded(small, 1, has_box=False, has_mask=has_mask)
    ours = decoded(small, sparse, sizes, dense=dense if has_mask else None)
    assert_equal(ours, *reference(small, sparse, dense))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES.keys())
@pytest.mark.parametrize("has_mask", [True, False], ids=["masks", "no masks"])
def test_only_promising_prompts_get_logits(
    small: Sam, sizes: BatchSizes | None, has_mask: bool
) -> None:
    sparse, dense = encoded(small, 1, has_box=False, has_mask=has_mask)
    options = {"dense": dense if has_mask else None}
    everything = decoded(small, sparse, sizes, **options)
    best = everything.ious.amax(1)
    threshold = float(best.median())  # of one of the five: not above itself, so two remain
    some = decoded(small, sparse, sizes, min_predicted_iou=threshold, **options)
    assert some.kept.tolist() == (best > threshold).nonzero()[:, 0].tolist()
    assert len(some.kept) == N_PROMPTS // 2
    torch.testing.assert_close(some.ious, everything.ious)
    torch.testing.assert_close(some.logits, everything.logits[some.kept], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("multimask", [True, False], ids=["three masks", "one mask"])
def test_nothing_promising_and_no_prompts(small: Sam, multimask: bool) -> None:
    sparse, _ = encoded(small, 1, has_box=False, has_mask=False)
    n_masks = 3 if multimask else 1
    nothing = decoded(small, sparse, multimask=multimask, min_predicted_iou=99.0)
    assert nothing.ious.shape == (N_PROMPTS, n_masks)
    assert nothing.kept.shape == (0,)
    assert nothing.kept.dtype == torch.int64
    assert nothing.logits.shape == (0, n_masks, 24, 12)
    empty = decoded(small, sparse[:0], multimask=multimask)
    assert (empty.ious.shape, empty.logits.shape) == ((0, n_masks), (0, n_masks, 24, 12))


def test_network_and_image_stay_as_they_are(small: Sam) -> None:
    before = {name: weight.clone() for name, weight in small.state_dict().items()}
    sparse, dense = encoded(small, 1, has_box=False, has_mask=True)
    features = features_of(small)
    decoder = PromptDecoder(small)
    image = decoder.image_side(features)
    first = decoder.decode(image, sparse)
    decoder.decode(image, sparse, dense)
    again = decoder.decode(image, sparse)
    assert torch.equal(first.logits, again.logits)
    assert torch.equal(features, features_of(small))
    for name, weight in small.state_dict().items():
        assert torch.equal(weight, before[name]), name


def test_threads_share_a_decoder_and_an_image(small: Sam) -> None:
    sparse, _ = encoded(small, 1, has_box=False, has_mask=False)
    decoder = PromptDecoder(small)
    image = decoder.image_side(features_of(small))
    alone = decoder.decode(image, sparse).logits
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: decoder.decode(image, sparse), range(16)):
            torch.testing.assert_close(found.logits, alone)


def test_image_side_says_its_bytes(sam: Sam) -> None:
    image = PromptDecoder(sam).image_side(features_of(sam))
    tensors = [image.features, image.deconvolved, *image.projected, *image.squares]
    if image.finer is not None:
        tensors += [image.finer.half, image.finer.quarter]
    assert image.n_bytes == 4 * sum(tensor.numel() for tensor in tensors)


@pytest.mark.parametrize("n_pixels", [1, 1024, 4096, 10_000])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batch_sizes_take_a_lone_click_and_rise(device: str, n_pixels: int) -> None:
    sizes = batch_sizes(torch.device(device), n_pixels)
    for steps in (sizes.attending, sizes.upscaling):
        assert steps[0] == 1
        assert list(steps) == sorted(set(steps))
