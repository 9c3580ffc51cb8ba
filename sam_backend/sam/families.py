"""The model families: which network a checkpoint's weights belong to.

A new family is one file and one line in `FAMILIES`. Networks are imported where they are built,
so that listing models does not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from sam_backend.errors import ModelStoreError
from sam_backend.sam.family import Config, Family, ReadNetwork, differences, summary, with_weights
from sam_backend.sam.library.family import LibraryFamily

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sam_backend.sam.library.model import LibraryModel
    from sam_backend.sam.precision import Precision
    from sam_backend.sam.promptable import PromptableModel
    from sam_backend.sam.reference import Sam


@dataclass(frozen=True, slots=True)
class SamFamily(Family):
    """SAM 1 and the starters: a `Sam` of fixed shapes, run by our own fast path.

    Attributes:
        network: Makes the network with fresh weights.
    """

    is_trainable: ClassVar[bool] = True

    network: Callable[[], Sam]

    def build(self) -> Sam:
        """Makes the network with fresh weights, on the CPU."""
        return self.network()

    def owns(self, state: Mapping[str, torch.Tensor], config: Config) -> bool:
        """Whether the weights have exactly this family's names and shapes."""
        return not config and not self.differences(state)

    def differences(self, state: Mapping[str, torch.Tensor]) -> list[str]:
        """What keeps these weights from being the family's, one line each."""
        shapes = self.shapes()
        return differences(shapes, state, (name for name in state if name not in shapes))

    def preprocessing(self, config: Config) -> str:
        """`Resize.key` of its networks' input, known before weights are read."""
        return _sam_preprocessing(self)

    def read(self, state: Mapping[str, torch.Tensor], path: Path, config: Config) -> ReadNetwork:
        """The network with these weights, strictly: none missing, none left over.

        Raises:
            ModelStoreError: A weight is missing, unknown or of another shape.
        """
        faults = self.differences(state)
        if faults:
            raise ModelStoreError(f"{path} holds no {self.name} weights: {summary(faults)}")
        return ReadNetwork(with_weights(self.build_without_weights(), self.build, state))

    def promptable(
        self,
        network: nn.Module,
        version: str,
        sha256: str,
        precision: Precision,
        compiled: bool = False,
    ) -> PromptableModel:
        """A network that `read` gave, on its device, ready to run."""
        from sam_backend.sam.reference import Sam
        from sam_backend.sam.segmenter import Segmenter

        if not isinstance(network, Sam):
            raise TypeError(f"a {self.name} is a Sam, not a {type(network).__name__}")
        return Segmenter(network, version, sha256, precision, compiled)


@cache
def _sam_preprocessing(family: SamFamily) -> str:
    from sam_backend.sam.preprocess import LongestSide

    sam: Any = family.build_without_weights()
    return LongestSide(int(sam.image_encoder.img_size)).key


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


def _sam2() -> type[LibraryModel]:
    from sam_backend.sam.library.sam2 import Sam2

    return Sam2


def _sam_hq() -> type[LibraryModel]:
    from sam_backend.sam.library.sam_hq import SamHQ

    return SamHQ


def _sam3_tracker() -> type[LibraryModel]:
    from sam_backend.sam.library.sam3_tracker import Sam3Tracker

    return Sam3Tracker


_APACHE = "Apache-2.0"
_SAM = "SAM License (gated, no military use, passed on under the same terms)"
_META = "https://github.com/facebookresearch"

_REGISTERED: tuple[Family, ...] = (
    SamFamily("starter", "Starter", 0, _APACHE, "sam_backend", _starter),
    SamFamily("starter_lite", "Starter lite", 1, _APACHE, "sam_backend", _starter_lite),
    SamFamily("vit_b", "SAM ViT-B", 2, _APACHE, f"{_META}/segment-anything", _vit_b),
    SamFamily("vit_l", "SAM ViT-L", 3, _APACHE, f"{_META}/segment-anything", _vit_l),
    SamFamily("vit_h", "SAM ViT-H", 4, _APACHE, f"{_META}/segment-anything", _vit_h),
    LibraryFamily("sam2", "SAM 2", 5, _APACHE, f"{_META}/sam2", _sam2),
    LibraryFamily("sam_hq", "SAM-HQ", 6, _APACHE, "https://github.com/SysCV/sam-hq", _sam_hq),
    LibraryFamily("sam3_tracker", "SAM 3 tracker", 7, _SAM, f"{_META}/sam3", _sam3_tracker),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _REGISTERED})


def family_named(name: str) -> Family:
    """The family of that name.

    Raises:
        ModelStoreError: There is none.
    """
    if name not in FAMILIES:
        raise ModelStoreError(f"unknown model family {name!r}; known: {', '.join(FAMILIES)}")
    return FAMILIES[name]
