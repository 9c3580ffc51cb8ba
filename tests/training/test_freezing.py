"""Low-rank changes of the encoder, and what is left of them in the end."""

import torch

from sam_backend.training.freezing import close_to_learning, open_to_learning
from sam_backend.training.plan import Depth
from tests.training.tiny import SIDE, tiny_sam


def test_a_fresh_adapter_changes_nothing_and_a_merged_one_answers_as_before() -> None:
    sam = tiny_sam()
    names, pixels = set(sam.state_dict()), torch.randn(1, 3, SIDE, SIDE)
    untouched = sam.image_encoder(pixels)
    open_to_learning(sam, Depth.ADAPTER, rank=2)
    torch.testing.assert_close(sam.image_encoder(pixels), untouched)
    with torch.no_grad():
        for name, weight in sam.named_parameters():
            if name.endswith(".up"):
                weight.normal_()
    changed = sam.image_encoder(pixels)
    assert not torch.allclose(changed, untouched, atol=1e-3)
    close_to_learning(sam)
    torch.testing.assert_close(sam.image_encoder(pixels), changed, atol=1e-5, rtol=1e-5)
    assert set(sam.state_dict()) == names
    assert not any(p.requires_grad for p in sam.parameters())


def test_every_block_learns_from_the_first_step_on() -> None:
    sam = tiny_sam()
    open_to_learning(sam, Depth.ADAPTER, rank=2)
    sam.image_encoder(torch.randn(1, 3, SIDE, SIDE)).square().sum().backward()
    ups = [p for name, p in sam.image_encoder.named_parameters() if name.endswith(".up")]
    assert len(ups) == len(sam.image_encoder.blocks)
    assert all(up.grad is not None and up.grad.abs().sum() > 0 for up in ups)


def test_adapters_are_drawn_by_seed() -> None:
    downs = []
    for seed in (1, 1, 2):
        sam = tiny_sam()
        open_to_learning(sam, Depth.ADAPTER, rank=2, seed=seed)
        downs.append(next(p for n, p in sam.named_parameters() if n.endswith(".down")).clone())
    assert torch.equal(downs[0], downs[1])
    assert not torch.equal(downs[0], downs[2])


def test_what_learns_at_each_depth() -> None:
    def learning(depth: Depth) -> set[str]:
        sam = tiny_sam()
        open_to_learning(sam, depth)
        return {name for name, p in sam.named_parameters() if p.requires_grad}

    everything = {name for name, _ in tiny_sam().named_parameters()}
    decoder = {name for name in everything if not name.startswith("image_encoder")}
    assert learning(Depth.FULL) == everything
    assert learning(Depth.DECODER) == decoder
    added = learning(Depth.ADAPTER) - decoder
    assert decoder < learning(Depth.ADAPTER)
    assert all("attn.qkv.parametrizations.weight.0" in name for name in added)
