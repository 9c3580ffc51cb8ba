"""The simulated annotator during training."""

import numpy as np
import pytest
import torch

from sam_backend.masks.clicks import deepest_point
from sam_backend.sam.starter import PROMPT_DIM, build_starter
from sam_backend.training.plan import LossWeights
from sam_backend.training.resolution import set_input_size
from sam_backend.training.sessions import Session, passes, run_sessions

SIDE = 16


def squares(n: int) -> np.ndarray:
    """Truths of `n` squares at different places, shape (n, 16, 16)."""
    truth = np.zeros((n, SIDE, SIDE), np.float32)
    for i in range(n):
        truth[i, 2 + i % 4 : 8 + i % 4, 3 + i % 3 : 9 + i % 3] = 1
    return truth


def starter(size: int = 64) -> torch.nn.Module:
    torch.manual_seed(0)
    sam = build_starter().train()
    set_input_size(sam, size)
    return sam


def test_prompts_of_both_kinds_have_the_same_number_of_tokens() -> None:
    sam, truth = starter(), squares(6)
    session = Session(truth, np.random.default_rng(0))
    assert 0 < session.is_click.sum() < 6
    for n_clicks in (1, 2, 3):
        logits = torch.randn(6, 1, SIDE, SIDE) if n_clicks > 1 else None
        sparse, dense = session.encode(sam, logits)
        assert sparse.shape == (6, n_clicks + 1, PROMPT_DIM)
        assert dense.shape == (1 if logits is None else 6, PROMPT_DIM, 4, 4)
        session.correct(np.zeros((6, SIDE, SIDE), np.bool_))


def test_a_session_encodes_what_segment_anything_would() -> None:
    sam, truth = starter(), squares(4)
    session = Session(truth, np.random.default_rng(1))
    session.correct(np.zeros((4, SIDE, SIDE), np.bool_))
    sparse, _ = session.encode(sam, torch.zeros(4, 1, SIDE, SIDE))
    first_click = int(np.flatnonzero(session.is_click)[0])
    xy = torch.from_numpy(session._xy[first_click : first_click + 1])
    label = torch.from_numpy(session._label[first_click : first_click + 1])
    alone, _ = sam.prompt_encoder((xy, label), None, None)
    torch.testing.assert_close(sparse[first_click], alone[0])


def test_clicks_lie_in_the_target_and_corrections_in_the_error() -> None:
    truth = squares(8)
    session = Session(truth, np.random.default_rng(2))
    column, row = ((session._xy[:, 0] + 0.5) // 4).astype(int).T
    assert (truth[np.arange(8), row, column] == 1).all()
    everything = np.ones((8, SIDE, SIDE), np.bool_)
    session.correct(everything)
    column, row = ((session._xy[:, 1] + 0.5) // 4).astype(int).T
    assert (truth[np.arange(8), row, column] == 0).all()
    assert (session._label[:, 1] == 0).all()
    session.correct(truth > 0.5)
    assert (session._label[:, 2] == 1).all()


def test_about_half_of_the_clicks_are_at_the_deepest_point() -> None:
    truth = np.zeros((400, SIDE, SIDE), np.float32)
    truth[:, 2:13, 1:14] = 1
    session = Session(truth, np.random.default_rng(0))
    cells = ((session._xy[:, 0] + 0.5) // 4).astype(int)
    is_deepest = (cells == deepest_point(truth[0] > 0.5)).all(1)
    assert 0.42 < is_deepest.mean() < 0.62  # some random clicks fall there too


def test_passes_add_two_without_a_click_one_at_the_end() -> None:
    rng = np.random.default_rng(0)
    assert passes(3, False, rng) == [True] * 3
    assert passes(0, True, rng) == [False, False]
    drawn = [passes(2, True, rng) for _ in range(50)]
    assert all(sum(clicks) == 2 and len(clicks) == 4 and not clicks[-1] for clicks in drawn)
    assert {clicks.index(False) for clicks in drawn} == {0, 1, 2}


def test_a_pass_without_a_click_has_the_prompts_of_the_one_before() -> None:
    sam, tokens = starter(), []
    encode = Session.encode

    class Listening(Session):
        def encode(self, *arguments):
            tokens.append(encode(self, *arguments)[0].shape[1])
            return encode(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sam_backend.training.sessions.Session", Listening)
        run_sessions(
            sam,
            torch.randn(1, PROMPT_DIM, 4, 4),
            squares(3),
            [True, False, True, False],
            np.random.default_rng(0),
            False,
            lambda loss: None,
        )
    assert tokens == [2, 3, 3, 4, 4]


def test_gradients_reach_every_part() -> None:
    sam = starter()
    embeddings = torch.randn(2, PROMPT_DIM, 4, 4, requires_grad=True)
    rng = np.random.default_rng(0)
    result = run_sessions(sam, embeddings, squares(8), [True], rng, False, torch.autograd.backward)
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0
    learning = {
        name.split(".")[0] for name, p in sam.mask_decoder.named_parameters() if p.grad is not None
    }
    assert {"transformer", "output_upscaling", "iou_prediction_head"} <= learning
    for value in (result.click_iou, result.box_iou, result.last_iou):
        assert 0 <= value <= 1


def test_a_lone_click_teaches_the_single_mask_output_if_the_weights_say_so() -> None:
    def gradient(weights: LossWeights) -> torch.Tensor:
        sam, losses = starter(), []
        clicked = torch.randn(1, PROMPT_DIM, 4, 4)
        rng = np.random.default_rng(0)
        run_sessions(sam, clicked, squares(3), [], rng, False, losses.append, weights)
        # the box of the last target always teaches it: what it takes from the clicks is more
        losses[0].backward()
        return sam.mask_decoder.output_hypernetworks_mlps[0].layers[-1].weight.grad

    paper, both = gradient(LossWeights()), gradient(LossWeights(single_mask=0.5))
    assert not torch.allclose(paper, both)


def test_predicted_iou_weighs_as_told() -> None:
    sam = starter()
    embeddings = torch.randn(1, PROMPT_DIM, 4, 4)

    def loss(weight: float) -> float:
        rng = np.random.default_rng(0)
        weights = LossWeights(predicted_iou=weight)
        return run_sessions(sam, embeddings, squares(3), [], rng, False, id, weights).loss

    none, one, four = (loss(weight) for weight in (0.0, 1.0, 4.0))
    assert one > none
    assert four - none == pytest.approx(4 * (one - none), rel=1e-4)


def test_going_backward_pass_by_pass_is_going_backward_once() -> None:
    sam, clicks = starter(), [True, False]
    data = torch.randn(2, PROMPT_DIM, 4, 4)

    def gradients(at_once: bool) -> list[torch.Tensor]:
        sam.zero_grad()
        leaf, losses = data.clone().requires_grad_(), []

        def learn(loss: torch.Tensor) -> None:
            losses.append(loss)
            if not at_once:
                loss.backward()

        result = run_sessions(sam, leaf, squares(4), clicks, np.random.default_rng(1), False, learn)
        if at_once:
            sum(losses).backward()
        assert result.loss == pytest.approx(sum(loss.item() for loss in losses))
        return [leaf.grad, *(p.grad for p in sam.mask_decoder.parameters() if p.grad is not None)]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(one, other)


def test_sessions_are_reproducible() -> None:
    sam = starter()
    embeddings = torch.randn(2, PROMPT_DIM, 4, 4)
    losses = [
        run_sessions(
            sam, embeddings, squares(4), [True, True], np.random.default_rng(3), False, id
        ).loss
        for _ in range(2)
    ]
    assert losses[0] == losses[1]
