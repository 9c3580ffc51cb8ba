"""From one image to the masks that it is prefilled with, and what is left for people to do."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sam_backend.masks.rle import RLE
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.quality.calibration.calibrated_model import CalibratedModel
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.semi_automatic.gaps import Gaps, find_gaps, prediction_score
from sam_backend.semi_automatic.proposers.base import Proposer, Subject
from sam_backend.semi_automatic.selection import (
    Repeat,
    cap,
    select_nested,
    split_boxed,
    split_duplicates,
    split_repeats,
)
from sam_backend.semi_automatic.triage import (
    Bar,
    Judged,
    Outcome,
    confidence_of,
    proven_triage,
    triage,
)
from sam_backend.serving.served_model import ServedModel
from sam_backend.store.proposals import ProposalKey, Proposals

_NO_BOXES = np.zeros((0, 4), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What became of all masks that were proposed for one image.

    Attributes:
        shown: Prefilled (accepted) or suggested (to review), in drawing order, the largest first.
        cut: Would be shown but for the limit of masks.
        duplicates: All but the same as a surer one.
        nested: Left out by the rule for objects and their parts.
        repeats: A person has drawn them already.
        discarded: Not confident enough to be shown.
        gaps: What people have to look for.
        score: Score of the prediction: 0 knows nothing of the image, 1 covers all of it
            confidently.
    """

    shown: tuple[Judged, ...]
    cut: tuple[Judged, ...]
    duplicates: tuple[Judged, ...]
    nested: tuple[Judged, ...]
    repeats: tuple[Repeat, ...]
    discarded: tuple[Judged, ...]
    gaps: Gaps
    score: float

    def counts(self) -> dict[str, int]:
        """How many masks met which end."""
        return {
            "accepted": self.count(Outcome.ACCEPT),
            "review": self.count(Outcome.REVIEW),
            "discarded": len(self.discarded),
            "cut": len(self.cut),
            "repeats": len(self.repeats),
            "duplicates": len(self.duplicates),
            "nested": len(self.nested),
        }

    def count(self, outcome: Outcome) -> int:
        """How many masks of one outcome are shown."""
        return sum(one.outcome is outcome for one in self.shown)


class Prefiller:
    """Proposes, judges and chooses. Safe under threads.

    Args:
        settings: What is believed and shown.
        proposer: Where masks come from; the one that the settings name.
        proposals: Keeps what was proposed for an image; None: nothing is kept.
        calibrated: The calibrated model version; None: it is not calibrated.
    """

    def __init__(
        self,
        settings: PrefillSettings,
        proposer: Proposer,
        proposals: Proposals | None = None,
        calibrated: CalibratedModel | None = None,
    ) -> None:
        self.settings = settings
        self.proposer = proposer
        self._proposals = proposals
        self._calibrated = calibrated

    @property
    def fingerprint(self) -> str:
        """Differs where settings, proposer or calibration do; the model has its own version."""
        told = f"{self.settings.fingerprint} {self.proposer.fingerprint}"
        if self._calibrated is not None:
            told += f" {self._calibrated.fitted_at.isoformat()}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def propose(self, model: ServedModel, subject: Subject) -> list[MaskRecord]:
        """All masks of an image, from the store where it has them.

        Raises:
            SamBackendError: There is no model, or it cannot be asked.
        """
        if self._proposals is None:
            return self.proposer.propose(model, subject)
        key = ProposalKey(subject.digest, model.model_version, self.proposer.key(subject))
        known = self._proposals.get(key)
        if known is None:
            known = self.proposer.propose(model, subject)
            self._proposals.put(key, known)
        return known

    def judge(self, model: ServedModel, subject: Subject, drawn: Sequence[RLE] = ()) -> Judgement:
        """What to show of an image.

        Args:
            model: Leased for this image.
            subject: The image.
            drawn: Masks that people have drawn on it, of the image's size.

        Raises:
            SamBackendError: There is no model, or it cannot be asked.
        """
        return self.choose(self.propose(model, subject), subject.size, drawn)

    def choose(
        self,
        proposed: Sequence[MaskRecord],
        size: tuple[int, int],
        drawn: Sequence[RLE] = (),
        drawn_boxes: npt.NDArray[np.float64] = _NO_BOXES,
    ) -> Judgement:
        """The part of `judge` that needs no model.

        Args:
            proposed: Masks of the image.
            size: The image's (height, width).
            drawn: Masks that people have drawn on it, of that size.
            drawn_boxes: Rectangles that people have drawn on it, shape (N, 4), x0 y0 x1 y1.
        """
        told = self.settings
        review = Bar(told.review_predicted_iou, told.review_stability)
        if told.triage == "proven":
            judged = proven_triage(proposed, self._calibrated, review, told.audit_share)
        else:
            accept = Bar(told.accept_predicted_iou, told.accept_stability)
            judged = triage(proposed, accept, review, confidence_of(self._calibrated))
        discarded = [one for one in judged if one.outcome is Outcome.DISCARD]
        candidates = [one for one in judged if one.outcome is not Outcome.DISCARD]
        single, duplicates = split_duplicates(candidates, told.duplicate_iou)
        new, repeats = split_repeats(
            single, drawn, told.nesting, told.repeat_iou, told.repeat_containment
        )
        new, boxed = split_boxed(new, drawn_boxes, told.repeat_iou)
        unboxed, _ = split_boxed(discarded, drawn_boxes, told.repeat_iou)
        known = [*drawn, *(one.judged.record.rle for one in boxed)]
        chosen, nested = select_nested(new, told.nesting, told.repeat_containment)
        shown, cut = cap(chosen, told.max_masks)
        # what is not shown covers nothing for the person who looks at the task
        unseen = [replace(one, outcome=Outcome.DISCARD) for one in (*cut, *nested)]
        return Judgement(
            shown=tuple(shown),
            cut=tuple(cut),
            duplicates=tuple(duplicates),
            nested=tuple(nested),
            repeats=(*repeats, *boxed),
            discarded=tuple(discarded),
            gaps=find_gaps([*shown, *unseen, *unboxed], known, size),
            score=prediction_score(shown, known, size),
        )
