"""Which challengers nobody will miss."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sam_backend.errors import InvalidInputError
from sam_backend.store.checkpoint_folders import ModelEntry

_NEVER = datetime.min.replace(tzinfo=UTC)


def to_prune(entries: Sequence[ModelEntry], keep: int, known: Collection[str]) -> list[ModelEntry]:
    """The refused challengers but the newest ones, the oldest first.

    Args:
        entries: Of the store.
        keep: So many refused ones stay; one at the least, so that no number is given twice.
        known: Versions that stay in any case.

    Raises:
        InvalidInputError: `keep` is below one.
    """
    if keep < 1:
        raise InvalidInputError(f"at least 1 refused challenger must be kept, not {keep}")
    refused = [
        entry
        for entry in entries
        if entry.card.challenger
        and entry.card.gate.get("promote") is False
        and entry.version not in known
    ]
    refused.sort(key=lambda entry: entry.card.added_at or _NEVER)
    gone = {entry.version for entry in refused[:-keep]}
    while parents := {e.card.parent for e in entries if e.version not in gone} & gone:
        gone -= parents
    return [entry for entry in refused if entry.version in gone]
