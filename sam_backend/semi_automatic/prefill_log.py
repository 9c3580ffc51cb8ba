"""A prefilled task as a row of the ledger, with every mask and what became of it."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.prefill import Judgement
from sam_backend.semi_automatic.task_prefill import COVERAGE, Prefilled
from sam_backend.semi_automatic.triage import Judged
from sam_backend.store.mask_records import pack
from sam_backend.store.prefills import PrefillRow


def ledger_row(
    host: LabelStudioHost,
    project_id: int,
    task_id: int,
    prefilled: Prefilled,
    model_version: str,
    fingerprint: str,
) -> PrefillRow:
    """What is written down of one task.

    Args:
        host: Its Label Studio.
        project_id: Its project.
        task_id: Its number.
        prefilled: What it is answered with.
        model_version: Version of the model that made the prediction.
        fingerprint: Fingerprint of what shaped it, but for the model.
    """
    counts: Counter[str] = Counter()
    masks: list[tuple[MaskRecord, dict[str, Any]]] = []
    for image, judgement in prefilled.judgements.items():
        counts.update(judgement.counts())
        masks += [
            (one.record, {"image": image, "end": end, "confidence": one.confidence} | _drawn(one))
            for one, end in _ends(judgement)
        ]
    return PrefillRow(
        host=str(host.origin),
        project=project_id,
        task=task_id,
        fingerprint=fingerprint,
        model_version=model_version,
        state="failed" if prefilled.asks_again else "done",
        counts=dict(counts),
        coverage=float(str(prefilled.fields.get(COVERAGE, 0.0))),
        score=prefilled.score,
        reason=prefilled.reason,
        masks=pack(masks),
        at=datetime.now(UTC),
    )


def _drawn(one: Judged) -> dict[str, Any]:
    """Of a mask that chance has drawn: what it would have been, and how likely it was drawn."""
    if one.drawn_for is None:
        return {}
    return {"drawn_for": one.drawn_for.value, "shown_share": one.shown_share}


def _ends(judgement: Judgement) -> Iterator[tuple[Judged, str]]:
    yield from ((one, one.outcome.value) for one in judgement.shown)
    yield from ((one, "cut") for one in judgement.cut)
    yield from ((one, "duplicate") for one in judgement.duplicates)
    yield from ((one, "nested") for one in judgement.nested)
    yield from ((one.judged, "repeat") for one in judgement.repeats)
    yield from ((one, "discard") for one in judgement.discarded)
