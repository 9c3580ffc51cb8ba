"""One optimiser step: embed each image once, annotate its targets, go backward pass by pass."""

from collections.abc import Sequence

import numpy as np
import torch

from sam_backend.sam.reference import Sam
from sam_backend.training.examples import Example
from sam_backend.training.metrics import StepMetrics, mean
from sam_backend.training.plan import TrainingPlan
from sam_backend.training.resolution import network_input
from sam_backend.training.sessions import SessionResult, passes, run_sessions
from sam_backend.training.sources import EncodedExample, session_chance
from sam_backend.training.state import TrainingState

Examples = Sequence[Example] | Sequence[EncodedExample]


def training_step(state: TrainingState, examples: Examples, plan: TrainingPlan) -> StepMetrics:
    """Learn from one batch; `plan.accumulate` parts of it go through the network in turn.

    A batch whose gradient is not finite changes nothing; its metrics tell of it.
    """
    sam, rng = state.sam, session_chance(plan.seed, state.step)
    n_corrections = int(rng.integers(plan.max_corrections + 1))
    clicks = passes(n_corrections, plan.mask_only_passes, rng)
    results = []
    for part in np.array_split(np.arange(len(examples)), min(plan.accumulate, len(examples))):
        chosen = examples[part[0] : part[-1] + 1]
        results.append(_learn(sam, chosen, clicks, rng, plan, len(part) / len(examples)))
    learning = [p for p in sam.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.clip_grad_norm_(learning, plan.max_grad_norm))
    if np.isfinite(norm):
        state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    return mean([StepMetrics(r.loss, r.click_iou, r.box_iou, r.last_iou, norm) for r in results])


def _learn(
    sam: Sam,
    examples: Examples,
    clicks: list[bool],
    rng: np.random.Generator,
    plan: TrainingPlan,
    share: float,
) -> SessionResult:
    """Add the gradients of `share` of a batch."""
    embedded = embeddings(sam, examples, plan.bfloat16)
    leaf = embedded.detach().requires_grad_(embedded.requires_grad)
    truth = np.concatenate([example.truth for example in examples])

    def learn(loss: torch.Tensor) -> None:
        torch.autograd.backward(loss * share)

    result = run_sessions(sam, leaf, truth, clicks, rng, plan.bfloat16, learn, plan.losses)
    if leaf.grad is not None:
        torch.autograd.backward(embedded, leaf.grad)
    return result


def embeddings(sam: Sam, examples: Examples, bfloat16: bool) -> torch.Tensor:
    """The images' embeddings, shape (B, C, h, w) float32, encoded now if they are not yet."""
    encoded = [example.features for example in examples if isinstance(example, EncodedExample)]
    if encoded:
        return torch.from_numpy(np.stack(encoded)).to(sam.device).float()
    images = [example for example in examples if isinstance(example, Example)]
    with torch.autocast(sam.device.type, torch.bfloat16, enabled=bfloat16):
        features: torch.Tensor = sam.image_encoder(network_input(sam, images))
    return features.float()
