"""What tells two checkpoints apart: their cards, their figures, their weights."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sam_backend.store.checkpoint_folders import ModelEntry

_FACTS = (
    "name",
    "family",
    "parent",
    "challenger",
    "licence",
    "training_data",
    "data_digest",
    "learned_from",
    "parameters",
    "source",
    "trained_on",
    "run",
)

Pair = tuple[Any, Any]
"""What the first checkpoint says, and the second; None: nothing."""


@dataclass(frozen=True, slots=True)
class PartChange:
    """How the weights of one part of the network differ.

    Attributes:
        part: image_encoder, prompt_encoder or mask_decoder.
        n_tensors: Weights and buffers in it.
        n_different: Those that are not equal in every value.
        relative_change: L2 norm of the difference, as a share of the first checkpoint's norm.
    """

    part: str
    n_tensors: int
    n_different: int
    relative_change: float


@dataclass(frozen=True, slots=True)
class ModelDiff:
    """What tells a second checkpoint from a first one.

    Attributes:
        facts: Fields of the cards that differ.
        quality: Every measured figure of either, "data set: measure".
        gate: What each card keeps of its meeting with the gate; empty if there was none.
        weights: By part of the network; None if the networks are different.
    """

    facts: Mapping[str, Pair]
    quality: Mapping[str, Pair]
    gate: tuple[Mapping[str, Any], Mapping[str, Any]]
    weights: tuple[PartChange, ...] | None


def compare(first: ModelEntry, second: ModelEntry) -> ModelDiff:
    """Compares two checkpoints; reads both weights files.

    Raises:
        ModelStoreError: A weights file is damaged.
    """
    cards = [entry.card.model_dump(mode="json") for entry in (first, second)]
    facts = {name: (cards[0][name], cards[1][name]) for name in _FACTS}
    return ModelDiff(
        facts={name: pair for name, pair in facts.items() if pair[0] != pair[1]},
        quality=_side_by_side(*(_figures(card["measured_quality"]) for card in cards)),
        gate=(cards[0]["gate"], cards[1]["gate"]),
        weights=_changes(first, second) if first.card.family == second.card.family else None,
    )


def _changes(first: ModelEntry, second: ModelEntry) -> tuple[PartChange, ...] | None:
    import torch

    from sam_backend.sam.checkpoints import read_weights

    before, after = read_weights(first.weights_path), read_weights(second.weights_path)
    sizes = [{name: weight.shape for name, weight in one.items()} for one in (before, after)]
    if sizes[0] != sizes[1]:  # a family may have several sizes
        return None
    counts: dict[str, int] = defaultdict(int)
    different: dict[str, int] = defaultdict(int)
    squares: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for name, old in before.items():
        part = name.partition(".")[0]
        counts[part] += 1
        if torch.equal(old, after[name]):
            difference = 0.0
        else:
            different[part] += 1
            difference = float((after[name].double() - old.double()).square().sum())
        squares[part][0] += difference
        squares[part][1] += float(old.double().square().sum())
    return tuple(
        PartChange(part, n, different[part], (squares[part][0] / (squares[part][1] or 1.0)) ** 0.5)
        for part, n in sorted(counts.items())
    )


def _side_by_side(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Pair]:
    return {name: (first.get(name), second.get(name)) for name in {**first, **second}}


def _figures(quality: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    return {
        f"{data_set}: {measure}": value
        for data_set, measures in quality.items()
        for measure, value in measures.items()
    }
