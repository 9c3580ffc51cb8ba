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


class PatchConv(nn.Conv2d):
    """A convolution whose windows touch and never overlap, as one product over the patches.

    The answer is that of `nn.Conv2d`. The oneDNN of torch 2.14 gets that one wrong in bfloat16 on
    processors with AMX: with windows of 4 pixels or more and 8, 16 or 24 input channels, the error
    was larger than the answer.
    """

    def __init__(self, n_in: int, n_out: int, side: int) -> None:
        """Map patches of `side` x `side` pixels and `n_in` channels to `n_out` channels."""
        super().__init__(n_in, n_out, side, stride=side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C', H / side, W / side)."""
        return F.conv2d(self.patches(x), self.pointwise_weight(), self.bias)

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """Lay each patch's pixels into channels, row by row, the channels of a pixel together.

        Args:
            x: Shape (B, C, H, W), best channels last.

        Returns:
            Shape (B, side²·C, H / side, W / side), channels last.
        """
        side = self.stride[0]
        b, c, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(b, h // side, side, w // side, side, c)
        return rows.transpose(2, 3).reshape(b, h // side, w // side, -1).permute(0, 3, 1, 2)

    def pointwise_weight(self) -> torch.Tensor:
        """Return the weights in the order of `patches`, shape (C', side²·C, 1, 1)."""
        return self.weight.permute(0, 2, 3, 1).flatten(1)[:, :, None, None]


class PackedConv(nn.Module):
    """oneDNN's convolution with weights laid out for one input size, and the activation in it.

    Without this every call lays the weights out anew, and ReLU6 passes over the map once more. The
    operators are those that torch.compile's freezing puts in.
    """

    def __init__(self, conv: nn.Conv2d, size: tuple[int, int], *, gelu: bool = False) -> None:
        """Packs the weights of `conv` in their own dtype; `conv` is left as it is.

        Args:
            conv: A convolution without dilation, with zeros around.
            size: Height and width of all that it will be given.
            gelu: Follow it by GELU.
        """
        super().__init__()
        self._patches: Callable[[torch.Tensor], torch.Tensor] | None = None
        weight = conv.weight.detach()
        padding, stride = [int(side) for side in conv.padding], list(conv.stride)
        if isinstance(conv, SameConv):
            # One more row and column of zeros before the kernel make an uneven padding even.
            # Padding the map itself took a sixth of the encoder's time.
            uneven = [after - before for before, after in map(conv.around, size)]
            weight = F.pad(weight, (uneven[1], 0, uneven[0], 0))
            padding = [conv.around(side)[1] for side in size]
        elif isinstance(conv, PatchConv):
            self._patches = conv.patches
            weight = conv.pointwise_weight().detach()
            size, stride = (size[0] // stride[0], size[1] // stride[1]), [1, 1]
        self._how = padding, stride, list(conv.dilation), conv.groups
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, *self._how, [1, weight.shape[1] * conv.groups, *size]
        )
        self._bias = None if conv.bias is None else conv.bias.detach()
        is_relu6 = isinstance(conv, SameConvReLU6)
        self._after = _RELU6 if is_relu6 else _GELU if gelu else _NOTHING

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) as the convolution that was packed does, and its activation."""
        if self._patches is not None:
            x = self._patches(x)
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
