"""A simulated annotator during training: a first click or box, then clicks where the mask is wrong.

After appendix A of the SAM paper (arXiv 2304.02643): each pass gives the decoder all prompts so far
and the previous logits; a lone click gets three masks of which only the best one learns (nearly,
see RELAXATION), everything else gets one mask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from sam_backend.masks.clicks import MAX_BOX_SHIFT_PX, deepest_point, noisy_box, random_point
from sam_backend.sam.reference import Sam
from sam_backend.training.decoder import predict_masks
from sam_backend.training.losses import mask_iou, mask_loss
from sam_backend.training.plan import PAPER_WEIGHTS, LossWeights

CLICK_SHARE = 0.6
"""Share of the sessions that start with a click; the others start with a box."""
DEEPEST_SHARE = 0.5
"""Share of the clicks at the deepest point of their region, where people click and where the
standard evaluation does; the paper samples all of them at random."""
RELAXATION = 0.2
"""Share of the loss that outputs other than the best get for a lone click.

The paper's best-of-three alone leaves outputs that were never best free to be anything, and the
one chosen by predicted IoU may be one of those. Rupprecht et al. (arXiv 1612.00197) relax it."""
_CELL_PX = 4
_PAPER_SIDE_PX = 1024


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a batch's sessions cost and reached.

    Attributes:
        loss: Mask and IoU losses, summed over passes, mean over targets.
        click_iou: Mean IoU of the masks chosen for lone clicks.
        box_iou: Mean IoU of the masks for lone boxes.
        last_iou: Mean IoU after the last pass.
    """

    loss: float
    click_iou: float
    box_iou: float
    last_iou: float


class Session:
    """The prompts of a batch of targets as they grow: some start with a click, some with a box.

    Args:
        truth: Covered share of each low-resolution cell, shape (N, L, L) float32.
        rng: Source of all chance.

    Attributes:
        is_click: True where the session started with a click, shape (N,).
    """

    def __init__(self, truth: npt.NDArray[np.float32], rng: np.random.Generator) -> None:
        self._wanted = truth >= 0.5
        self._rng = rng
        self.is_click = rng.random(len(truth)) < CLICK_SHARE
        self.is_click[0], self.is_click[-1] = True, False
        self._xy = np.array([self._click(wanted) for wanted in self._wanted], np.float32)[:, None]
        self._label = np.ones((len(truth), 1), np.float32)
        shift = MAX_BOX_SHIFT_PX / _PAPER_SIDE_PX * truth.shape[1]
        boxes = [noisy_box(wanted, rng, shift) for wanted in self._wanted[~self.is_click]]
        self._boxes = torch.from_numpy(np.stack(boxes) * _CELL_PX)

    def _click(self, region: npt.NDArray[np.bool_]) -> tuple[float, float]:
        """A click somewhere in a cell of `region`, x and y in pixels of the input."""
        if self._rng.random() < DEEPEST_SHARE:
            x, y = deepest_point(region)
        else:
            x, y = random_point(region, self._rng)
        dx, dy = self._rng.random(2)
        return (x + dx) * _CELL_PX - 0.5, (y + dy) * _CELL_PX - 0.5

    def correct(self, predicted: npt.NDArray[np.bool_]) -> None:
        """Add one click to each target, in the error of `predicted`, shape (N, L, L) bool.

        A mask without error gets one more click inside, as from an annotator who agrees.
        """
        error = self._wanted ^ predicted
        regions = [e if e.any() else wanted for e, wanted in zip(error, self._wanted, strict=True)]
        xy = np.array([self._click(region) for region in regions], np.float32)
        column, row = ((xy + 0.5) // _CELL_PX).astype(int).T
        label = self._wanted[np.arange(len(xy)), row, column].astype(np.float32)
        self._xy = np.concatenate([self._xy, xy[:, None]], axis=1)
        self._label = np.concatenate([self._label, label[:, None]], axis=1)

    def encode(self, sam: Sam, logits: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Sparse (N, T, C) and dense (N, C, h, w) prompts for `logits` (N, 1, L, L).

        Without logits the dense prompt is the same for all, (1, C, h, w). SAM pads clicks without
        a box by one "no point"; sessions with a box skip their first click: all have T tokens.
        """
        encoder, n_clicks, device = sam.prompt_encoder, self._xy.shape[1], sam.device
        xy, label = torch.from_numpy(self._xy).to(device), torch.from_numpy(self._label).to(device)
        lone = torch.from_numpy(self.is_click).to(device)
        later = (xy[~lone, 1:], label[~lone, 1:]) if n_clicks > 1 else None
        clicked, dense = encoder(points=(xy[lone], label[lone]), boxes=None, masks=None)
        boxed, _ = encoder(points=later, boxes=self._boxes.to(device), masks=None)
        sparse = clicked.new_empty(len(lone), *clicked.shape[1:])
        sparse = sparse.index_put((lone,), clicked).index_put((~lone,), boxed)
        if logits is None:
            return sparse, dense[:1]
        return sparse, encoder(points=None, boxes=None, masks=logits)[1]


def passes(n_corrections: int, mask_only: bool, rng: np.random.Generator) -> list[bool]:
    """For each pass after the first, whether a new click comes before it.

    Args:
        n_corrections: New clicks.
        mask_only: Add two passes that have only the previous mask to go by, one at a random place
            and one at the end (appendix A).
        rng: Source of all chance.
    """
    with_click = [True] * n_corrections
    if mask_only:
        with_click.insert(int(rng.integers(n_corrections + 1)), False)
        with_click.append(False)
    return with_click


def run_sessions(
    sam: Sam,
    embeddings: torch.Tensor,
    truth: npt.NDArray[np.float32],
    clicks: list[bool],
    rng: np.random.Generator,
    autocast: bool,
    learn: Callable[[torch.Tensor], object],
    weights: LossWeights = PAPER_WEIGHTS,
) -> SessionResult:
    """Annotate all targets of a batch of images.

    Args:
        sam: The network; its prompt encoder must be set to the input's size.
        embeddings: The image encoder's output, shape (B, C, h, w).
        truth: Covered share of each low-resolution cell, shape (B * P, L, L) float32, the first P
            on the first image.
        clicks: For each pass after the first, whether a new click comes before it (`passes`).
        rng: Source of all chance.
        autocast: Run the decoder in bfloat16.
        learn: Takes each pass's loss, a scalar, and should go backward at once: passes share
            nothing but the embeddings, so memory is needed for one pass only.
        weights: Weights of the losses.
    """
    session = Session(truth, rng)
    device = embeddings.device
    wanted = torch.from_numpy(truth).to(device)[:, None]
    lone = torch.from_numpy(session.is_click).to(device)
    rows = torch.arange(len(truth), device=device)
    position = sam.prompt_encoder.get_dense_pe()
    previous: torch.Tensor | None = None
    ious, total = [], 0.0
    for with_click in [False, *clicks]:
        if previous is not None and with_click:
            session.correct((previous[:, 0] > 0).cpu().numpy())
        sparse, dense = session.encode(sam, previous)
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            logits, predicted_iou = predict_masks(
                sam.mask_decoder, embeddings, position, sparse, dense
            )
        judged = _judge(logits.float(), predicted_iou.float(), wanted, weights)
        is_ambiguous = lone if previous is None else torch.zeros_like(lone)
        loss = torch.where(is_ambiguous, judged.loss_of_click, judged.loss_of_one).mean()
        learn(loss)
        total += loss.item()
        best = torch.where(is_ambiguous, judged.best_of_three, 0)
        previous = logits.detach().float()[rows, best][:, None]
        ious.append(judged.iou[rows, best])
    return SessionResult(
        total,
        click_iou=float(ious[0][lone].mean()),
        box_iou=float(ious[0][~lone].mean()),
        last_iou=float(ious[-1].mean()),
    )


def _relaxed_best(losses: torch.Tensor) -> torch.Tensor:
    """Mostly the lowest of each row's losses, a little their mean: (N, 3) to (N,)."""
    return (1 - RELAXATION) * losses.amin(1) + RELAXATION * losses.mean(1)


@dataclass(frozen=True, slots=True)
class _Judged:
    """Losses and IoUs of a pass.

    Attributes:
        loss_of_one: Loss if output 0 is the answer, shape (N,).
        loss_of_click: Loss if the prompt is a lone click: mostly that of the best of outputs 1..3,
            shape (N,).
        best_of_three: Output 1..3 of the highest predicted IoU, shape (N,).
        iou: True IoU of each output, shape (N, 4), without gradient.
    """

    loss_of_one: torch.Tensor
    loss_of_click: torch.Tensor
    best_of_three: torch.Tensor
    iou: torch.Tensor


def _judge(
    logits: torch.Tensor, predicted_iou: torch.Tensor, wanted: torch.Tensor, weights: LossWeights
) -> _Judged:
    """Compare logits (N, 4, L, L) and predicted IoUs (N, 4) with the truth (N, 1, L, L)."""
    iou = mask_iou(logits, wanted)
    mask_losses = mask_loss(logits, wanted)
    iou_losses = weights.predicted_iou * F.mse_loss(predicted_iou, iou, reduction="none")
    single = mask_losses[:, 0] + iou_losses[:, 0]
    three = _relaxed_best(mask_losses[:, 1:]) + iou_losses[:, 1:].mean(1)
    return _Judged(
        loss_of_one=single,
        loss_of_click=three + weights.single_mask * single,
        best_of_three=1 + predicted_iou.detach()[:, 1:].argmax(1),
        iou=iou,
    )
