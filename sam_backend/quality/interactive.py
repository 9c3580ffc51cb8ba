"""How good the masks are that an annotator gets: mean IoU after one click, three clicks, a box.

The simulated annotator is the SAM paper's (arXiv 2304.02643, section 7.1 and appendix D.1): the
first click lies farthest from the boundary, each next one in the centre of the largest error. Of
three masks for a lone click the one with the best predicted IoU counts, not the best one.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.errors import InvalidInputError
from sam_backend.masks.clicks import correction_click, deepest_point, tight_box
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Candidate, Embedding, Prompt

N_CLICKS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An image and the masks to be found on it.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        masks: Shape (N, H, W) bool, none of them empty.
    """

    image: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class InteractiveQuality:
    """Mean IoUs over all masks of a data set.

    Attributes:
        one_click_miou: After the first click.
        oracle_miou: After the first click, had the annotator picked the best of the three masks.
        three_click_miou: After two corrections.
        box_miou: For the tight box.
        n_masks: Masks asked for.
    """

    one_click_miou: float
    oracle_miou: float
    three_click_miou: float
    box_miou: float
    n_masks: int

    def as_card(self) -> dict[str, float]:
        """What a model card says of a data set, rounded to three digits."""
        return {
            "1-click mIoU": round(self.one_click_miou, 3),
            "1-click mIoU, best of three": round(self.oracle_miou, 3),
            "3-click mIoU": round(self.three_click_miou, 3),
            "box mIoU": round(self.box_miou, 3),
            "masks": self.n_masks,
        }


def iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Intersection over union of two masks of one shape; 1 if both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def evaluate(segmenter: Segmenter, samples: Iterable[Sample]) -> InteractiveQuality:
    """Annotate every mask of every sample and average.

    Raises:
        InvalidInputError: There is no mask at all.
    """
    scores = [
        _scores(segmenter, embedding, mask)
        for sample in samples
        for embedding in (segmenter.embed(sample.image),)
        for mask in sample.masks
    ]
    if not scores:
        raise InvalidInputError("samples must hold at least one mask, not none")
    one, oracle, three, box = np.mean(scores, axis=0).tolist()
    return InteractiveQuality(one, oracle, three, box, len(scores))


def _scores(
    segmenter: Segmenter, embedding: Embedding, truth: npt.NDArray[np.bool_]
) -> tuple[float, float, float, float]:
    """IoU of one mask after one click, with the best of three, after three clicks, for a box."""
    first = _click_prompt([deepest_point(truth)], [True], None)
    candidates = segmenter.predict(embedding, first)
    refined = _refine(segmenter, embedding, truth, candidates[0])
    boxed = segmenter.predict(embedding, Prompt(box=tight_box(truth)))[0]
    return (
        iou(candidates[0].mask, truth),
        max(iou(candidate.mask, truth) for candidate in candidates),
        iou(refined.mask, truth),
        iou(boxed.mask, truth),
    )


def _refine(
    segmenter: Segmenter, embedding: Embedding, truth: npt.NDArray[np.bool_], start: Candidate
) -> Candidate:
    """The mask after the remaining clicks; an annotator without a complaint stops."""
    xy, is_positive, current = [deepest_point(truth)], [True], start
    for _ in range(N_CLICKS - 1):
        click = correction_click(truth, current.mask)
        if click is None:
            break
        xy.append(click[0])
        is_positive.append(click[1])
        prompt = _click_prompt(xy, is_positive, current.logits)
        current = segmenter.predict(embedding, prompt)[0]
    return current


def _click_prompt(
    xy: list[tuple[int, int]], is_positive: list[bool], logits: npt.NDArray[np.float32] | None
) -> Prompt:
    """Clicks in the centres of pixels."""
    centres = np.array(xy, np.float32) + np.float32(0.5)
    return Prompt(centres, np.array(is_positive, np.bool_), mask_logits=logits)
