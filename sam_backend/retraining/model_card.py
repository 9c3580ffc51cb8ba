"""What a challenger's card says of its descent, in words that do not grow with every retraining."""

from sam_backend.datasets.types import Dataset
from sam_backend.retraining.splits import Splits

_THEN = "; then "
_RETRAINED = ", retrained on"
_MAX_NAME = 200


def name(parents: str, data: Dataset) -> str:
    """The parent's name, and what was learned from last."""
    return f"{parents.split(_RETRAINED)[0]}{_RETRAINED} {data.name}"[:_MAX_NAME]


def licence(parents: str, datas: str | None) -> str:
    """Both bind a model; somebody's own masks, of no licence, add nothing to the parent's."""
    added = f"data: {datas}"
    if datas is None or datas == parents or added in parents.split("; "):
        return parents
    return f"{parents}; {added}"


def training_data(parents: str, data: Dataset, learned: Dataset) -> str:
    """All that was learned from; a set that is learned from again is told once, as it is now."""
    before = [part for part in parents.split(_THEN) if not part.startswith(f"{data.name}: ")]
    return _THEN.join([*before, f"{data.name}: {learned.n_masks} masks on {len(learned)} images"])


def gate_name(splits: Splits) -> str:
    """What the gate judged on."""
    return f"{'gold' if splits.is_gold else 'held-out'} masks of {splits.gate.name}"
