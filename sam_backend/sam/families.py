"""The model families: which network a checkpoint's weights belong to.

A new family is one builder and one line in `FAMILIES`. Networks are imported where they are built,
so that listing models does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from sam_backend.errors import ModelStoreError

if TYPE_CHECKING:
    from sam_backend.sam.reference import Sam


@dataclass(frozen=True, slots=True)
class Family:
    """One network architecture.

    Attributes:
        name: How cards and the command line call it.
        build: Makes the network with fresh weights, on the CPU.
        rank: Higher is better; decides which checkpoint is served when none is named. The order
            is that of the paper's figure 13 (mask quality grows with the image encoder).
    """

    name: str
    build: Callable[[], Sam]
    rank: int

    def build_without_weights(self) -> Sam:
        """The network on torch's meta device: right names and shapes, no memory, no random init.

        The device context is local to the calling thread.
        """
        import torch

        with torch.device("meta"):
            return self.build()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every weight's name and shape, as the family's state dict has them."""
        weights = self.build_without_weights().state_dict()
        return {name: tuple(weight.shape) for name, weight in weights.items()}


def _starter() -> Sam:
    from sam_backend.sam.starter import build_starter

    return build_starter()


def _starter_lite() -> Sam:
    from sam_backend.sam.starter_lite import build_starter_lite

    return build_starter_lite()


def _vit_b() -> Sam:
    from sam_backend.sam.reference import build_sam_vit_b

    return build_sam_vit_b()


def _vit_l() -> Sam:
    from sam_backend.sam.reference import build_sam_vit_l

    return build_sam_vit_l()


def _vit_h() -> Sam:
    from sam_backend.sam.reference import build_sam_vit_h

    return build_sam_vit_h()


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("starter", _starter, rank=0),
            Family("starter_lite", _starter_lite, rank=1),
            Family("vit_b", _vit_b, rank=2),
            Family("vit_l", _vit_l, rank=3),
            Family("vit_h", _vit_h, rank=4),
        )
    }
)


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        ModelStoreError: There is none.
    """
    if name not in FAMILIES:
        raise ModelStoreError(f"unknown model family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
