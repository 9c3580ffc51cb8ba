"""Scaled logits change how sure a network is, and nothing else."""

import numpy as np
import pytest
import torch

from sam_backend.errors import InvalidInputError
from sam_backend.sam.starter import build_starter
from tools.starter.logit_scale import best_factor, scale_logits


@pytest.mark.parametrize("factor", [0.5, 2.0, 7.0])
def test_the_factor_that_was_taken_away_is_found(factor: float) -> None:
    rng = np.random.default_rng(0)
    sure = rng.normal(0, 3, (40, 64, 64)).astype(np.float32)
    truth = (rng.random(sure.shape) < 1 / (1 + np.exp(-sure))).astype(np.float32)
    assert best_factor(list(sure / factor), list(truth)) == pytest.approx(factor, rel=0.05)


def test_masks_and_predicted_ious_stay_over_a_refinement() -> None:
    torch.manual_seed(0)
    plain, scaled = build_starter(), build_starter()
    scaled.load_state_dict(plain.state_dict())
    scale_logits(scaled, 5.0)
    features = torch.randn(1, 128, 32, 32)
    clicks = torch.tensor([[[200.0, 100.0]]]), torch.tensor([[1]])

    def annotate(sam, mask):
        sparse, dense = sam.prompt_encoder(points=clicks, boxes=None, masks=mask)
        return sam.mask_decoder(
            features, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=False
        )

    with torch.no_grad():
        first, first_iou = annotate(plain, None)
        sure, sure_iou = annotate(scaled, None)
        torch.testing.assert_close(sure, 5 * first)
        torch.testing.assert_close(sure_iou, first_iou)
        second, second_iou = annotate(plain, first)
        sure, sure_iou = annotate(scaled, sure)
        assert not torch.equal(second, first)
        torch.testing.assert_close(sure, 5 * second)
        torch.testing.assert_close(sure_iou, second_iou)


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_factor_must_keep_the_sign(factor: float) -> None:
    with pytest.raises(InvalidInputError, match=str(factor)):
        scale_logits(build_starter(), factor)


def test_no_masks_no_factor() -> None:
    with pytest.raises(InvalidInputError, match="at least one mask"):
        best_factor([], [])
