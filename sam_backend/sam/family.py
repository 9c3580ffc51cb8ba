"""What a model family tells of itself; `sam.families` lists them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sam_backend.sam.precision import Precision
    from sam_backend.sam.promptable import PromptableModel

Config = Mapping[str, Any]
"""What the `config.json` beside weights says; empty if there is none."""
EMPTY: Config = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class ReadNetwork:
    """A network with a checkpoint's weights.

    Attributes:
        network: In eval mode, on the CPU, without gradients.
        n_left_out: Weights of the checkpoint that images do not need.
    """

    network: nn.Module
    n_left_out: int = 0


@dataclass(frozen=True, slots=True)
class Family(ABC):
    """One network architecture.

    Attributes:
        name: How cards and the command line call it.
        title: For people.
        rank: Higher is better; decides which checkpoint is served when none is named. Among SAM 1
            the order is that of the paper's figure 13 (mask quality grows with the image encoder).
        licence: Licence of the published weights, an SPDX name or the terms in words.
        source: Where the published weights are from.
        is_trainable: Whether retraining can go on with its checkpoints.
        extra: Name of this package's extra that it needs; None: it needs none.
    """

    is_trainable: ClassVar[bool] = False
    extra: ClassVar[str | None] = None

    name: str
    title: str
    rank: int
    licence: str
    source: str

    @abstractmethod
    def build(self) -> nn.Module:
        """Makes the network with fresh weights, on the CPU."""

    @abstractmethod
    def owns(self, state: Mapping[str, torch.Tensor], config: Config) -> bool:
        """Whether a checkpoint is of this family, told without building the network."""

    @abstractmethod
    def preprocessing(self, config: Config) -> str:
        """`Resize.key` of its networks' input, known before weights are read."""

    @abstractmethod
    def read(self, state: Mapping[str, torch.Tensor], path: Path, config: Config) -> ReadNetwork:
        """The network with these weights, strictly, in eval mode, on the CPU.

        Raises:
            ModelStoreError: A weight is missing, unknown or of another shape; names `path`.
        """

    @abstractmethod
    def promptable(
        self,
        network: nn.Module,
        version: str,
        sha256: str,
        precision: Precision,
        compiled: bool = False,
    ) -> PromptableModel:
        """A network that `read` gave, on its device, ready to run.

        Args:
            network: With weights.
            version: Version of the checkpoint.
            sha256: Hash of its weights file, lower-case hex.
            precision: What the image encoder computes in.
            compiled: Compile with `torch.compile` at the first use, where the family can.

        Raises:
            InvalidInputError: The family cannot compute in this precision.
        """

    def build_without_weights(self) -> nn.Module:
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


def differences(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, torch.Tensor], unknown: Iterable[str]
) -> list[str]:
    """Return what keeps weights from being a network's, one line each.

    Args:
        wanted: The shape of each weight of the network, by name.
        found: The weights of a checkpoint, by the network's names.
        unknown: Names of the checkpoint's weights that the network does not have.
    """
    return [
        *(f"{name} is missing" for name in wanted if name not in found),
        *(f"{name} is unknown" for name in unknown),
        *(
            f"{name} has shape {tuple(found[name].shape)}, not {shape}"
            for name, shape in wanted.items()
            if name in found and tuple(found[name].shape) != shape
        ),
    ]


def with_weights(
    empty: nn.Module, build: Callable[[], nn.Module], state: Mapping[str, torch.Tensor]
) -> nn.Module:
    """Return a network with these weights, in eval mode, on the CPU, without gradients.

    Args:
        empty: The network on torch's meta device, which takes the weights without a copy.
        build: Makes it for real, where it has constants that no state dict holds.
        state: Exactly its weights.
    """
    empty.load_state_dict(state, strict=True, assign=True)
    if any(tensor.is_meta for tensor in (*empty.parameters(), *empty.buffers())):
        empty = build()
        empty.load_state_dict(state, strict=True)
    return empty.eval().requires_grad_(requires_grad=False)


def summary(faults: list[str]) -> str:
    """The first three of what is wrong, and how many more there are."""
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(faults[:3]) + more
