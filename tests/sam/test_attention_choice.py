"""The same way at each start on a CPU; a measurement that times every way elsewhere."""

import pytest
import torch

from sam_backend.sam.attention import Attention
from sam_backend.sam.attention_choice import ON_CPUS, AttentionCase, fastest, measure

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_cpu_takes_the_same_way_at_each_start(dtype: torch.dtype) -> None:
    case = AttentionCase(CPU, dtype, groups=2, side=3, head=4)
    assert fastest(case) is ON_CPUS.get(dtype, Attention.BLOCKED)


def test_a_measurement_times_every_way() -> None:
    seconds = measure(AttentionCase(CPU, torch.float32, groups=2, side=3, head=4))
    assert set(seconds) == set(Attention)
    assert all(0 < value < float("inf") for value in seconds.values())
