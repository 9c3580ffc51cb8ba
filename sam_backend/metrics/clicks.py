"""The simulated annotator: clicks until the mask is right, as the click benchmarks agree on it.

The protocol is that of RITM (Sofiiuk, Petrov, Konushin, "Reviving Iterative Training with Mask
Guidance", arXiv 2102.06583; `isegm/inference` of its code), which FocalClick, SimpleClick and
others follow: each click, the first one too, lies in the centre of the largest error region
(`masks.clicks.correction_click`), void pixels are neither clicked nor counted, and the IoU is
looked at after each click. What differs here, none of which changes what a NoC means:

- The model is SAM: all clicks go into each prompt with the logits of the last answer. Of the three
  masks for a lone click the annotator takes the one that would be served, that of the best
  predicted IoU, and not the best one. Masks are cut where logits are 0; RITM cuts at 0.49.
- Clicks lie in the centres of their pixels.
- Sessions go on to the ninth click where RITM ends them at the IoU wanted, so that mIoU after so
  many clicks can be told too; and where no wrong pixel is left to be clicked, they end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.boundary import boundary_iou_of
from sam_backend.masks.clicks import correction_click, deepest_point
from sam_backend.masks.combining import subtract
from sam_backend.masks.overlap import mask_iou
from sam_backend.masks.rle import RLE, box, decode_part
from sam_backend.metrics.results import MaskResult
from sam_backend.sam.types import Candidate, Embedding, Prompt

TARGET_IOU = 0.90
ALWAYS_SPENT = 9
"""Clicks that every mask gets, so that mIoU@9 means what it does in the SAM paper. Those after it
serve NoC alone and end at the highest target."""
N_KEPT = 3


class Predictor(Protocol):
    """The model that is measured: a `PromptableModel`, or one of known quality in a test."""

    def embed(self, image: npt.NDArray[np.uint8], /) -> Embedding:
        """What is to be remembered of RGB pixels, shape (H, W, 3) uint8."""
        ...

    def predict_across(
        self,
        embeddings: Sequence[Embedding],
        prompts: Sequence[Prompt],
        *,
        limit: int | None = None,
    ) -> list[list[Candidate]]:
        """For each prompt, on its own image, at most `limit` candidates, the likeliest first."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A mask that is to be found.

    Attributes:
        image: Names the image in the results.
        embedding: Embedding of the image.
        mask: With pixels that are not void.
    """

    image: str
    embedding: Embedding
    mask: LabelledMask


class Annotator:
    """One annotator in front of one mask.

    Attributes:
        target: What is wanted.
        truth: Its pixels that are not void, not empty.
        xy: Pixels clicked so far and the one to be clicked next, x before y.
        is_positive: For each of them, whether it says "this belongs to it".
        ious: IoU after each click.
        masks: What the model answered to the first three clicks, without void pixels.
        is_done: No click is left to be made: the mask is exact, or good enough for every measure.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.truth = self.counted(target.mask.rle)
        self._rows, self._columns = _window(self.truth)
        inside = decode_part(self.truth, self._rows, self._columns)
        x, y = deepest_point(inside)
        self.xy = [(x + self._columns.start, y + self._rows.start)]
        self.is_positive = [True]
        self.ious: list[float] = []
        self.masks: list[RLE] = []
        self.is_done = False
        self._logits: npt.NDArray[np.float32] | None = None

    @property
    def prompt(self) -> Prompt:
        """All clicks, in the centres of their pixels, with the last answer as mask prompt."""
        centres = np.array(self.xy, np.float32) + np.float32(0.5)
        return Prompt(centres, np.array(self.is_positive, np.bool_), mask_logits=self._logits)

    @property
    def box_prompt(self) -> Prompt:
        """The tight box, right and bottom edges included."""
        ends = (self._columns.start, self._rows.start, self._columns.stop, self._rows.stop)
        return Prompt(box=np.array(ends, np.float32))

    def counted(self, mask: RLE) -> RLE:
        """The pixels of a mask that are not void."""
        void = self.target.mask.ignore
        return mask if void is None else subtract(mask, void)

    def iou(self, answer: Candidate) -> float:
        """IoU of an answer with the truth over all pixels that are not void."""
        return self._judge(self.counted(answer.rle))[0]

    def see(self, answer: Candidate) -> None:
        """Judge an answer to `prompt` and choose the next click."""
        mask = self.counted(answer.rle)
        iou, click = self._judge(mask, with_click=True)
        self.ious.append(iou)
        self._logits = answer.logits
        if len(self.masks) < N_KEPT:
            self.masks.append(mask)
        is_enough = len(self.ious) >= ALWAYS_SPENT and self.ious[-1] >= TARGET_IOU
        if click is None or is_enough:
            self.is_done = True
        else:
            self.xy.append(click[0])
            self.is_positive.append(click[1])

    def _judge(
        self, mask: RLE, with_click: bool = False
    ) -> tuple[float, tuple[tuple[int, int], bool] | None]:
        """IoU and, where asked for, the next click; looked at in the part that holds both masks."""
        rows, columns = self._rows, self._columns
        where = box(mask)
        if where is not None:
            rows = slice(min(rows.start, where[0].start), max(rows.stop, where[0].stop))
            columns = slice(min(columns.start, where[1].start), max(columns.stop, where[1].stop))
        truth, answer = (decode_part(one, rows, columns) for one in (self.truth, mask))
        click = None
        if with_click:
            left, top = columns.start, rows.start
            click = correction_click(truth, answer, [(x - left, y - top) for x, y in self.xy])
            if click is not None:
                (x, y), is_positive = click
                click = (x + left, y + top), is_positive
        return mask_iou(answer, truth), click


def annotate(predictor: Predictor, targets: Sequence[Target], max_clicks: int) -> list[MaskResult]:
    """Annotate masks of any images side by side: their n-th clicks share one call of the model.

    Args:
        predictor: The model.
        targets: What is to be found.
        max_clicks: At most so many for each, at least 1.
    """
    annotators = [Annotator(target) for target in targets]
    embeddings = [target.embedding for target in targets]
    first = predictor.predict_across(embeddings, [annotator.prompt for annotator in annotators])
    for annotator, found in zip(annotators, first, strict=True):
        annotator.see(found[0])
    for _ in range(max_clicks - 1):
        click_once_more(predictor, annotators)
    boxes = [annotator.box_prompt for annotator in annotators]
    boxed = predictor.predict_across(embeddings, boxes, limit=1)
    return [
        MaskResult(
            image=annotator.target.image,
            mask=annotator.target.mask.digest,
            ious=tuple(annotator.ious),
            best_iou=max(annotator.iou(candidate) for candidate in found),
            box_iou=annotator.iou(answer),
            one_click_boundary_iou=boundary_iou_of(annotator.masks[0], annotator.truth),
            three_click_boundary_iou=boundary_iou_of(annotator.masks[-1], annotator.truth),
            box_boundary_iou=boundary_iou_of(annotator.counted(answer.rle), annotator.truth),
            predicted_iou=found[0].predicted_iou,
        )
        for annotator, found, (answer,) in zip(annotators, first, boxed, strict=True)
    ]


def click_once_more(predictor: Predictor, annotators: Sequence[Annotator]) -> None:
    """Show every annotator who is not done the best answer to his clicks."""
    busy = [annotator for annotator in annotators if not annotator.is_done]
    embeddings = [annotator.target.embedding for annotator in busy]
    prompts = [annotator.prompt for annotator in busy]
    answers = predictor.predict_across(embeddings, prompts, limit=1)
    for annotator, (answer,) in zip(busy, answers, strict=True):
        annotator.see(answer)


def _window(mask: RLE) -> tuple[slice, slice]:
    where = box(mask)
    if where is None:
        raise ValueError("an empty mask cannot be looked for")
    return where
