"""Random weights whose masks look like masks.

As they are initialised, SAM's networks give one and the same checkerboard for every click (the four
taps of a stride-2 deconvolution are independent), accept none of it, and have no relative positions
at all (they start at zero): equality and speed on that prove little. So the encoder gets positions,
the upscaling gets smooth, and the final layers of the hypernetworks and of the IoU head are shifted
and scaled until about three in ten masks pass the generator's default thresholds.
"""

from collections.abc import Callable

import torch
from segment_anything.modeling import Sam
from torch import nn

_POSITION = 0.5
_RELATIVE_POSITION = 0.1
_SMOOTHNESS = 0.8
"""Of the deconvolutions' four taps; 1 would make plateaus, whose logits change sign as one."""
_CALIBRATION_SIDE = 3
_DIFFERENCE = 3.0
"""Of one click's mask from another's, against what the random network has."""
_LEVEL = 0.7
"""How far the masks' mean lies under the threshold, in standard deviations: area about 20 %."""
_LOGIT_STD = 55.0
"""Standard deviation of a mask's logits: about half of the masks get a stability of 0.95."""
_IOU_DIFFERENCE = 10.0
_IOU_MEAN = 0.93


@torch.no_grad()
def spread(sam: Sam) -> None:
    """Change a network's weights in place; random numbers come from torch's global generator."""
    _give_positions(sam)
    for layer in sam.mask_decoder.output_upscaling:
        if isinstance(layer, nn.ConvTranspose2d):
            layer.weight.lerp_(layer.weight.mean((2, 3), keepdim=True), _SMOOTHNESS)
    hypernetworks = [mlp.layers[-1] for mlp in sam.mask_decoder.output_hypernetworks_mlps]
    iou_head = sam.mask_decoder.iou_prediction_head.layers[-1]
    upscaling = sam.mask_decoder.output_upscaling
    inputs, outputs = _watch(sam, [*hypernetworks, iou_head, upscaling])
    upscaled = outputs[upscaling]
    for layer in hypernetworks:
        _spread_masks(layer, inputs[layer].mean(0), upscaled)
    hidden = inputs[iou_head].mean(0)
    iou_head.weight.mul_(_IOU_DIFFERENCE)
    iou_head.bias.copy_(_IOU_MEAN - iou_head.weight @ hidden)


def _give_positions(sam: Sam) -> None:
    encoder = sam.image_encoder
    smooth = sam.prompt_encoder.get_dense_pe()[0].permute(1, 2, 0)
    n_channels = encoder.pos_embed.shape[-1]
    n_times = -(-n_channels // smooth.shape[-1])
    encoder.pos_embed.copy_(_POSITION * smooth.repeat(1, 1, n_times)[..., :n_channels])
    for block in encoder.blocks:
        block.attn.rel_pos_h.normal_(0, _RELATIVE_POSITION)
        block.attn.rel_pos_w.normal_(0, _RELATIVE_POSITION)


def _watch(
    sam: Sam, modules: list[nn.Module]
) -> tuple[dict[nn.Module, torch.Tensor], dict[nn.Module, torch.Tensor]]:
    """What goes into and comes out of modules when a noise image is clicked all over."""
    inputs: dict[nn.Module, torch.Tensor] = {}
    outputs: dict[nn.Module, torch.Tensor] = {}

    def keep(module: nn.Module) -> Callable[..., None]:
        def hook(_: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
            inputs[module], outputs[module] = given[0], made

        return hook

    handles = [module.register_forward_hook(keep(module)) for module in modules]
    side = (torch.arange(_CALIBRATION_SIDE) + 0.5) * sam.image_encoder.img_size / _CALIBRATION_SIDE
    points = torch.cartesian_prod(side, side)[:, None]
    labels = torch.ones(points.shape[:2], dtype=torch.int)
    sparse, dense = sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)
    position = sam.prompt_encoder.get_dense_pe()
    # the encoder's output is normed: noise of one standard deviation stands in for it
    sam.mask_decoder(torch.randn_like(position), position, sparse, dense, multimask_output=True)
    for handle in handles:
        handle.remove()
    return inputs, outputs


def _spread_masks(layer: nn.Linear, hidden: torch.Tensor, upscaled: torch.Tensor) -> None:
    """Let a hypernetwork's masks differ more, cover less, and have steeper edges.

    Args:
        layer: Its last.
        hidden: Mean of what goes into it, shape (C,).
        upscaled: The pixels' features that its output is multiplied with, shape (N, c, H, W).
    """
    mean_pixel = upscaled.mean((0, 2, 3))
    level = mean_pixel / (mean_pixel @ mean_pixel)  # adds 1 to the mean of a mask's logits
    mean_free = torch.eye(len(mean_pixel)) - torch.outer(level, mean_pixel)
    common = mean_free @ (layer.weight @ hidden + layer.bias)
    std = torch.einsum("c,nchw->nhw", common, upscaled).std()
    weight = _DIFFERENCE * mean_free @ layer.weight
    bias = common - weight @ hidden - _LEVEL * std * level
    layer.weight.copy_(weight * (_LOGIT_STD / std))
    layer.bias.copy_(bias * (_LOGIT_STD / std))
