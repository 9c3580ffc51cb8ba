"""The losses against values worked out by hand and against their textbook forms."""

import numpy as np
import pytest
import torch

from sam_backend.training.losses import dice_loss, focal_loss, mask_iou, mask_loss

GENERATOR = torch.Generator().manual_seed(3)


def test_focal_loss_of_hard_truths_is_the_textbook_one() -> None:
    logits = torch.randn(2, 6, 5, generator=GENERATOR)
    truth = (torch.rand(2, 6, 5, generator=GENERATOR) > 0.5).float()
    right = torch.where(truth > 0, logits.sigmoid(), 1 - logits.sigmoid())
    textbook = -((1 - right) ** 2) * right.log()
    torch.testing.assert_close(focal_loss(logits, truth), textbook.mean((1, 2)))


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("loss", [focal_loss, dice_loss, mask_loss])
def test_a_cell_is_best_predicted_by_its_covered_share(loss, share: float) -> None:
    probabilities = torch.linspace(0.001, 0.999, 999)
    logits = torch.logit(probabilities)[:, None, None].expand(-1, 40, 40)
    losses = loss(logits, torch.full((1, 40, 40), share))
    assert probabilities[losses.argmin()].item() == pytest.approx(share, abs=0.002)


def test_dice_of_disjoint_masks_is_one_but_for_the_smoothing() -> None:
    truth = torch.zeros(1, 10, 10)
    truth[:, :, :5] = 1
    logits = torch.where(truth > 0, -50.0, 50.0)
    assert dice_loss(logits, truth).item() == pytest.approx(1 - 1 / 101, abs=1e-6)


def test_focal_weighs_twenty_times_dice() -> None:
    logits, truth = torch.randn(3, 4, 4, generator=GENERATOR), torch.zeros(3, 4, 4)
    expected = 20 * focal_loss(logits, truth) + dice_loss(logits, truth)
    torch.testing.assert_close(mask_loss(logits, truth), expected)


def test_iou_counts_cells_covered_by_half() -> None:
    truth = torch.tensor([[1.0, 0.5, 0.49, 0.0]])
    logits = torch.tensor([[3.0, -1.0, 2.0, -2.0]])
    assert mask_iou(logits, truth).item() == pytest.approx(1 / 3)
    assert mask_iou(-torch.ones(1, 4), torch.zeros(1, 4)).item() == 0.0


def test_four_outputs_share_one_truth() -> None:
    logits = torch.randn(5, 4, 8, 8, generator=GENERATOR)
    truth = torch.rand(5, 1, 8, 8, generator=GENERATOR)
    assert mask_loss(logits, truth).shape == (5, 4)
    assert mask_iou(logits, truth).shape == (5, 4)


def test_loss_falls_as_the_mask_gets_better() -> None:
    truth = torch.from_numpy(np.eye(16, dtype=np.float32))[None]
    steps = [mask_loss(truth * 2 * k - k, truth).item() for k in (0.0, 1.0, 3.0, 8.0)]
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] < 0.01
