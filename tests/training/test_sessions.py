"""The simulated annotator during training."""

import numpy as np
import torch

from sam_backend.sam.starter import PROMPT_DIM, build_starter
from sam_backend.training.resolution import set_input_size
from sam_backend.training.sessions import Session, run_sessions

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


def test_gradients_reach_every_part_and_only_the_best_of_three_learns() -> None:
    sam = starter()
    embeddings = torch.randn(2, PROMPT_DIM, 4, 4, requires_grad=True)
    result = run_sessions(sam, embeddings, squares(8), 1, np.random.default_rng(0), autocast=False)
    result.loss.backward()
    assert embeddings.grad is not None
    assert embeddings.grad.abs().sum() > 0
    learning = {
        name.split(".")[0] for name, p in sam.mask_decoder.named_parameters() if p.grad is not None
    }
    assert {"transformer", "output_upscaling", "iou_prediction_head"} <= learning
    for value in (result.click_iou, result.box_iou, result.last_iou):
        assert 0 <= value <= 1


def test_sessions_are_reproducible() -> None:
    sam = starter()
    embeddings = torch.randn(2, PROMPT_DIM, 4, 4)
    losses = [
        run_sessions(sam, embeddings, squares(4), 2, np.random.default_rng(3), False).loss.item()
        for _ in range(2)
    ]
    assert losses[0] == losses[1]
