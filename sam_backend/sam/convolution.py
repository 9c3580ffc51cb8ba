"""Convolutions whose weights are made ready once for a CPU, with the activation in them."""

from collections.abc import Callable
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from sam_backend.sam.starter import ResidualConv

_After = tuple[str, list[float], str]

_RELU6: Final[_After] = ("hardtanh", [0.0, 6.0], "")
_GELU: Final[_After] = ("gelu", [], "none")
_NOTHING: Final[_After] = ("none", [], "")


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": where it is uneven, more right and below."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        (top, bottom), (left, right) = (self.around(side) for side in x.shape[2:])
        if top == bottom == left == right:
            return F.conv2d(x, self.weight, self.bias, self.stride, top, 1, self.groups)
        return super().forward(F.pad(x, (left, right, top, bottom)))

    def around(self, side: int) -> tuple[int, int]:
        """Zeros before and after `side` pixels."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        return total // 2, total - total // 2


class SameConvReLU6(SameConv):
    """A `SameConv`, then min(max(x, 0), 6)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        return F.relu6(super().forward(x), inplace=True)


class PackedConv(nn.Module):
    """oneDNN's convolution with weights laid out for one input size, and the activation in it.

    Without this every call lays the weights out anew, and ReLU6 passes over the map once more. The
    operators are those that torch.compile's freezing puts in. On two cores with AVX-512 the encoder
    of `starter_lite` took 0.93 of its time in float32 and 0.92 in bfloat16.
    """

    def __init__(self, conv: nn.Conv2d, size: tuple[int, int], *, gelu: bool = False) -> None:
        """Packs the weights of `conv` in their own dtype; `conv` is left as it is.

        Args:
            conv: A convolution without dilation, with zeros around.
            size: Height and width of all that it will be given.
            gelu: Follow it by GELU.
        """
        super().__init__()
        self._around: Callable[[int], tuple[int, int]] | None = None
        padding = [int(side) for side in conv.padding]
        if isinstance(conv, SameConv):
            (top, bottom), (left, right) = (conv.around(side) for side in size)
            if top == bottom == left == right:
                padding = [top, left]
            else:
                self._around = conv.around
                padding = [0, 0]
                size = size[0] + top + bottom, size[1] + left + right
        self._how = padding, list(conv.stride), list(conv.dilation), conv.groups
        weight = conv.weight.detach()
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, *self._how, [1, conv.in_channels, *size]
        )
        self._bias = None if conv.bias is None else conv.bias.detach()
        is_relu6 = isinstance(conv, SameConvReLU6)
        self._after = _RELU6 if is_relu6 else _GELU if gelu else _NOTHING

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) as the convolution that was packed does, and its activation."""
        if self._around is not None:
            (top, bottom), (left, right) = (self._around(side) for side in x.shape[2:])
            x = F.pad(x, (left, right, top, bottom))
        y: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._how, *self._after
        )
        return y


def pack_convolutions(network: nn.Module, run: Callable[[], object]) -> None:
    """Replace the convolutions of `network` by packed ones, GELUs of its `ResidualConv` included.

    Args:
        network: On a CPU, with its final weights and dtype.
        run: Runs all of it once on an input of the size that is to be served.
    """
    sizes: dict[nn.Module, tuple[int, int]] = {}

    def note(conv: nn.Module, given: tuple[torch.Tensor]) -> None:
        sizes[conv] = given[0].shape[2], given[0].shape[3]

    hooks = [
        module.register_forward_pre_hook(note)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    run()
    for hook in hooks:
        hook.remove()
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                gelu = isinstance(parent, ResidualConv)
                setattr(parent, name, PackedConv(child, sizes[child], gelu=gelu))
                if gelu:
                    parent.act = nn.Identity()
