"""Which way of computing attention is fastest on a device."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

import torch

from sam_backend.sam.attention import Attention, PositionTables, attend

ON_CPUS: Final[Mapping[torch.dtype, Attention]] = MappingProxyType(
    {torch.float32: Attention.BLOCKED, torch.bfloat16: Attention.PLAIN}
)
"""Measured with ViT-B and the starter on two cores with AVX-512; see `benchmarks/README.md`.

Fixed, because a CPU that is busy with something else while a server starts measures that: the ways
differ by less than such noise, and embeddings should not differ from start to start.
"""
_ROUNDS: Final = 5
"""The best of a few: the first runs of a kernel are slow."""


@dataclass(frozen=True, slots=True)
class AttentionCase:
    """What the fastest way depends on, beside the machine.

    Attributes:
        device: Where it runs.
        dtype: Data type of queries, keys and values.
        groups: Heads times windows times images that are computed together, G.
        side: Side of the square grid or window, in cells.
        head: Channels of a head, d.
    """

    device: torch.device
    dtype: torch.dtype
    groups: int
    side: int
    head: int


def fastest(case: AttentionCase) -> Attention:
    """The way to take: known for a CPU; on any other device measured once in a process."""
    if case.device.type == "cpu":
        return ON_CPUS.get(case.dtype, Attention.BLOCKED)
    return _measured(case)


@cache
def _measured(case: AttentionCase) -> Attention:
    seconds = measure(case)
    return min(seconds, key=seconds.__getitem__)


def measure(case: AttentionCase) -> dict[Attention, float]:
    """Seconds that each way takes for a case: the best of a few interleaved rounds."""
    tokens = case.side**2
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(case.device, case.dtype)

    weights = noise(2 * case.side - 1, case.head)
    tables = PositionTables.of(weights, weights, case.side, case.side)
    q, k, v = (noise(case.groups, tokens, case.head) for _ in range(3))
    seconds = dict.fromkeys(Attention, float("inf"))
    with torch.inference_mode():
        for _ in range(_ROUNDS):
            for way in Attention:
                start = time.perf_counter()
                attend(way, q, k, v, tables)
                if case.device.type == "cuda":
                    torch.cuda.synchronize(case.device)
                seconds[way] = min(seconds[way], time.perf_counter() - start)
    return seconds
