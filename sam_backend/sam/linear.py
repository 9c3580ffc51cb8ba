"""A linear layer's weights, made ready once for the device and the arithmetic it is to run in."""

from typing import Final, Self

import torch
from torch import nn

from sam_backend.sam.precision import Precision, can_bfloat16

PART_TOKENS: Final = 1024
"""Tokens that a CPU takes through a layer at a time, where windows allow it: buffers of 12 MB with
ViT-B. Larger ones fall out of the caches, and above 32 MB glibc gets each from the kernel anew."""


def linear(layer: nn.Linear, precision: Precision, gelu: bool = False) -> nn.Module:
    """The layer in that precision on its device, followed by GELU if `gelu`.

    Weights are copies, but for a GPU in float32.
    """
    if precision is Precision.INT8:
        return _then(Int8Linear.of(layer), gelu)
    if can_pack(layer.weight.device, precision):
        return PackedLinear.of(layer, precision.dtype, gelu)
    if precision is Precision.FLOAT32:
        return _then(layer, gelu)
    with torch.device("meta"):
        copy = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    weights = {name: weight.to(precision.dtype) for name, weight in layer.state_dict().items()}
    copy.load_state_dict(weights, assign=True)
    return _then(copy.requires_grad_(requires_grad=False), gelu)


def can_pack(device: torch.device, precision: Precision) -> bool:
    """Whether oneDNN is there to lay weights out for this device and precision."""
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    # torch itself computes in bfloat16 anywhere, if slowly
    return precision is Precision.FLOAT32 or can_bfloat16(torch.device("cpu"))


def _then(layer: nn.Module, gelu: bool) -> nn.Module:
    return nn.Sequential(layer, nn.GELU()) if gelu else layer


class PackedLinear(nn.Module):
    """oneDNN's matrix product, with weights that lie as its kernels read them, and GELU in it.

    Without this, float32 goes to MKL (on two AMD cores a third slower) and bfloat16 lays its
    weights out anew on every call. The operators are those that torch.compile's freezing puts in.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, gelu: bool) -> None:
        """Takes `weight` packed."""
        super().__init__()
        self.weight, self.bias = weight, bias
        self.after = "gelu" if gelu else "none"

    @classmethod
    def of(cls, layer: nn.Linear, dtype: torch.dtype, gelu: bool) -> Self:
        """The layer in that dtype."""
        weight = layer.weight.detach().to(dtype).contiguous()
        bias = None if layer.bias is None else layer.bias.detach().to(dtype)
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight, PART_TOKENS), bias, gelu)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `x`, shape (..., in), to (..., out); both of the weights' dtype."""
        y: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.after, [], "none" if self.after == "gelu" else ""
        )
        return y


class Int8Linear(nn.Module):
    """Integer products of inputs and weights, each row of both with its own scale.

    LLM.int8() (arXiv 2208.07339, section 2) calls it vector-wise quantisation; without its
    separate treatment of outliers.
    """

    def __init__(
        self, weight: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None
    ) -> None:
        """Takes `weight` transposed, (in, out) int8, and what 1 counts in its columns, (out,)."""
        super().__init__()
        self.weight, self.scale, self.bias = weight, scale, bias

    @classmethod
    def of(cls, layer: nn.Linear) -> Self:
        """The nearest int8 layer."""
        weight, scale = _quantised(layer.weight.detach())
        return cls(weight.t(), scale[:, 0], None if layer.bias is None else layer.bias.detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps `x`, shape (..., in) float32, to (..., out) float32."""
        rows, scale = _quantised(x.reshape(-1, x.shape[-1]))
        y = torch._int_mm(rows, self.weight).float().mul_(scale).mul_(self.scale)
        if self.bias is not None:
            y += self.bias
        return y.view(*x.shape[:-1], -1)


def _quantised(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as int8, and what 1 counts in each, shape (R, 1)."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp_(min=torch.finfo(rows.dtype).tiny) / 127
    return (rows / scale).round_().to(torch.int8), scale
