"""What a version learned from, also where an earlier release has kept no list of it."""

import json
from pathlib import Path

from sam_backend.datasets.split import held_out_digests
from sam_backend.errors import InvalidInputError
from sam_backend.metrics.intervals import MIN_IMAGES
from sam_backend.retraining.splits import GATE_SEED, GATE_SHARE
from sam_backend.store.cards import ModelCard
from sam_backend.store.learned_images import RETIRED, LearnedImages, not_recorded, read_learned
from sam_backend.store.models import ModelEntry, ModelStore

MANIFEST_NAME = "manifest.jsonl"
"""In a run's folder: the images that it had, with their masks."""


def learned_by(version: str, store: ModelStore, runs: Path) -> LearnedImages:
    """Tell which images a version and its ancestors learned from.

    Of a retraining by a release that kept no list, the run's folder tells; where that is ambiguous,
    all images of the run count as learned from. What checkpoints from elsewhere were trained on is
    not known image by image, and named as that: champion and challenger have it in common.

    Args:
        version: In the store.
        store: That has it and its ancestors.
        runs: Folder of all runs' folders.

    Raises:
        InvalidInputError: One of them is a retraining of which neither a list nor the folder is
            left. The message says what to do.
        ModelStoreError: A list is damaged.
    """
    entries = {entry.version: entry for entry in store.list()}
    return _learned_by(version, entries, runs)


def _learned_by(version: str, entries: dict[str, ModelEntry], runs: Path) -> LearnedImages:
    entry = entries.get(version)
    if entry is None and version in RETIRED:
        return RETIRED[version]
    if entry is None:
        raise _unknown(version, "it is not in the model store any more")
    known, card = read_learned(entry), entry.card
    if known is not None:
        return known
    if not card.challenger:
        before = LearnedImages()
        if card.parent in entries or card.parent in RETIRED:
            before = _learned_by(card.parent, entries, runs)
        return LearnedImages(before.prefixes, (*before.unrecorded, not_recorded(card)))
    digests = _images_of_run(card, runs)
    if digests is None:
        raise _unknown(version, "an earlier release made it, and its run folder is gone")
    return _learned_by(str(card.parent), entries, runs).and_images(digests)


def _images_of_run(card: ModelCard, runs: Path) -> set[str] | None:
    """Images that a run without a list learned from; None: nothing is left of it."""
    try:
        lines = (runs / str(card.run["id"]) / MANIFEST_NAME).read_bytes().splitlines()[1:]
        digests = {str(json.loads(line)["digest"]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if card.run.get("gate_is_gold") is not False:
        return digests  # which of them were gold then, nobody can tell
    return digests - held_out_digests(digests, GATE_SHARE, GATE_SEED, MIN_IMAGES)


def _unknown(version: str, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"what {version} learned from is not known: {why}. So no image is known to be fit to judge "
        "what is retrained from it. Start from a version whose training is known "
        "(`sam-backend train --parent`), or choose one yourself with `sam-backend models promote`"
    )
