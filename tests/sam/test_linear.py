"""Linear layers made ready for a precision answer as the layer that they were made of."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.linear import Int8Linear, linear
from sam_backend.sam.precision import Precision

RELATIVE_L2 = {Precision.FLOAT32: 1e-6, Precision.BFLOAT16: 1e-2, Precision.INT8: 2e-2}


@pytest.mark.parametrize("gelu", [False, True], ids=["alone", "with GELU"])
@pytest.mark.parametrize("rows", [(1,), (3, 50), (1100,)])
@pytest.mark.parametrize("precision", Precision)
def test_it_is_the_layer(precision: Precision, rows: tuple[int, ...], gelu: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(48, 64).requires_grad_(requires_grad=False)
    x = torch.randn(*rows, 48)
    want = F.gelu(layer(x)) if gelu else layer(x)
    got = linear(layer, precision, gelu)(x.to(precision.dtype))
    assert got.dtype is precision.dtype
    assert got.shape == want.shape
    assert (got - want).norm() <= RELATIVE_L2[precision] * want.norm()


def test_int8_keeps_rows_of_zeros_and_of_any_size() -> None:
    layer = nn.Linear(8, 16, bias=False).requires_grad_(requires_grad=False)
    x = torch.randn(20, 8) * torch.logspace(-8, 8, 20)[:, None]
    x[3] = 0
    got, want = Int8Linear.of(layer)(x), layer(x)
    assert not got[3].any()
    assert bool(((got - want).norm(dim=1) <= 0.03 * x.norm(dim=1)).all())
