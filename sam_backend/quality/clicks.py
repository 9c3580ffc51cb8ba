"""The simulated annotator: clicks until the mask is right, as people do and benchmarks agree.

The first click lies farthest from the mask's boundary, each next one in the centre of the largest
error region (SAM, arXiv 2304.02643, section 7.1 and appendix D.1; RITM, arXiv 2102.06583). Of
three masks for a lone click the annotator takes the one with the best predicted IoU.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import rle_digest
from sam_backend.masks.boundary import boundary_iou
from sam_backend.masks.clicks import correction_click, deepest_point, tight_box
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.rle import RLE, decode
from sam_backend.masks.types import Mask
from sam_backend.quality.results import MaskResult
from sam_backend.sam.types import Candidate, Embedding, Prompt

TARGET_IOU = 0.90
ALWAYS_SPENT = 9
"""Clicks that every mask gets, so that mIoU@9 means what it does in the SAM paper. Those after it
serve NoC alone and end at the highest target."""
N_KEPT = 3


class Predictor(Protocol):
    """What can be measured: `sam.segmenter.Segmenter`, or a stand-in of known quality."""

    def embed(self, image: npt.NDArray[np.uint8], /) -> Embedding:
        """What is to be remembered of RGB pixels, shape (H, W, 3) uint8."""
        ...

    def predict_many(
        self, embedding: Embedding, prompts: Sequence[Prompt], *, limit: int | None = None
    ) -> list[list[Candidate]]:
        """For each prompt at most `limit` candidates, best predicted IoU first."""
        ...


class Annotator:
    """One annotator in front of one mask.

    Attributes:
        truth: The mask wanted, shape (H, W) bool, not empty.
        xy: Pixels clicked so far and the one to be clicked next, x before y.
        is_positive: For each of them, whether it says "this belongs to it".
        ious: IoU after each click.
        masks: What the model answered to the first three clicks, each shape (H, W) bool.
        is_done: No click is left to be made: the mask is exact, or good enough for every measure.
    """

    def __init__(self, truth: Mask) -> None:
        self.truth = truth
        self.xy = [deepest_point(truth)]
        self.is_positive = [True]
        self.ious: list[float] = []
        self.masks: list[Mask] = []
        self.is_done = False
        self._logits: npt.NDArray[np.float32] | None = None

    @property
    def prompt(self) -> Prompt:
        """All clicks, in the centres of their pixels, with the last answer as mask prompt."""
        centres = np.array(self.xy, np.float32) + np.float32(0.5)
        return Prompt(centres, np.array(self.is_positive, np.bool_), mask_logits=self._logits)

    def see(self, answer: Candidate) -> None:
        """Judge an answer to `prompt` and choose the next click."""
        mask = answer.mask
        self.ious.append(mask_iou(mask, self.truth))
        self._logits = answer.logits
        if len(self.masks) < N_KEPT:
            self.masks.append(mask)
        click = correction_click(self.truth, mask)
        is_enough = len(self.ious) >= ALWAYS_SPENT and self.ious[-1] >= TARGET_IOU
        if click is None or is_enough:
            self.is_done = True
        else:
            self.xy.append(click[0])
            self.is_positive.append(click[1])


def annotate(
    predictor: Predictor, embedding: Embedding, image: str, masks: Sequence[RLE], max_clicks: int
) -> list[MaskResult]:
    """Annotate masks of one image side by side: their n-th clicks share one call of the model.

    Args:
        predictor: The model.
        embedding: Of the image.
        image: Names the image in the results.
        masks: None of them empty.
        max_clicks: At most so many for each, at least 1.
    """
    annotators = [Annotator(decode(mask)) for mask in masks]
    first = predictor.predict_many(embedding, [annotator.prompt for annotator in annotators])
    for annotator, found in zip(annotators, first, strict=True):
        annotator.see(found[0])
    for _ in range(max_clicks - 1):
        click_once_more(predictor, embedding, annotators)
    boxes = [Prompt(box=tight_box(annotator.truth)) for annotator in annotators]
    boxed = predictor.predict_many(embedding, boxes, limit=1)
    return [
        MaskResult(
            image=image,
            mask=rle_digest(mask),
            ious=tuple(annotator.ious),
            best_iou=max(mask_iou(candidate.mask, annotator.truth) for candidate in found),
            box_iou=mask_iou(box.mask, annotator.truth),
            one_click_boundary_iou=boundary_iou(annotator.masks[0], annotator.truth),
            three_click_boundary_iou=boundary_iou(annotator.masks[-1], annotator.truth),
            box_boundary_iou=boundary_iou(box.mask, annotator.truth),
            predicted_iou=found[0].predicted_iou,
        )
        for mask, annotator, found, (box,) in zip(masks, annotators, first, boxed, strict=True)
    ]


def click_once_more(
    predictor: Predictor, embedding: Embedding, annotators: Sequence[Annotator]
) -> None:
    """Show every annotator who is not done the best answer to his clicks."""
    busy = [annotator for annotator in annotators if not annotator.is_done]
    prompts = [annotator.prompt for annotator in busy]
    answers = predictor.predict_many(embedding, prompts, limit=1)
    for annotator, (answer,) in zip(busy, answers, strict=True):
        annotator.see(answer)
