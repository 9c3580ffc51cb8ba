"""How many of the human masks the automatic generator finds: average recall of its proposals.

AR@1000 is COCO's (Lin et al., arXiv 1405.0312; Hosang et al., arXiv 1502.05082; SAM's table 4):
the share of human masks found by the 1000 proposals of best score, averaged over IoU thresholds
0.50, 0.55, …, 0.95, with COCO's matching (`matching.match_by_score`), so that it is the number that
pycocotools gives. A proposal answers for one mask only, but for one of each annotator: several
people's masks of an object are all found by one good proposal. A mask's void pixels count neither
for nor against a proposal.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.combining import subtract
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE
from sam_backend.metrics.matching import match_by_score

MAX_PROPOSALS = 1000
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A mask that a generator offers without being asked.

    Attributes:
        rle: The mask at the image's original size.
        score: The higher, the surer; the predicted IoU.
    """

    rle: RLE
    score: float


@dataclass(frozen=True, slots=True)
class ImageRecall:
    """What was found on one image.

    Attributes:
        image: Its name.
        n_proposals: Offered, before the best ones were taken.
        n_masks: Human ones, of all annotators.
        found: So many of them at each of `THRESHOLDS`.
    """

    image: str
    n_proposals: int
    n_masks: int
    found: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AutomaticReport:
    """What an automatic generator found on a data set.

    Attributes:
        images: One entry an image.

    Raises:
        InvalidInputError: There is no human mask.
    """

    images: tuple[ImageRecall, ...]

    def __post_init__(self) -> None:
        if not self.n_masks:
            raise InvalidInputError("recall needs at least one human mask, not none")

    @property
    def n_masks(self) -> int:
        """Human masks to be found."""
        return sum(image.n_masks for image in self.images)

    @property
    def proposals_per_image(self) -> float:
        """Mean number of proposals."""
        return float(np.mean([image.n_proposals for image in self.images]))

    def recall(self, min_iou: float) -> float:
        """Share of the human masks that are found at this IoU, one of `THRESHOLDS`."""
        place = THRESHOLDS.index(min_iou)
        return sum(image.found[place] for image in self.images) / self.n_masks

    @property
    def average_recall(self) -> float:
        """AR@1000: mean of `recall` over `THRESHOLDS`."""
        return float(np.mean([self.recall(threshold) for threshold in THRESHOLDS]))

    def as_json(self, with_results: bool = True) -> dict[str, object]:
        """All figures, and the images they are made of."""
        told: dict[str, object] = {
            "masks": self.n_masks,
            "images": len(self.images),
            f"AR@{MAX_PROPOSALS}": self.average_recall,
            "recall@0.5": self.recall(0.5),
            "proposals_per_image": self.proposals_per_image,
        }
        return told | ({"results": [asdict(i) for i in self.images]} if with_results else {})


def image_recall(
    image: str,
    proposals: Sequence[Proposal],
    truths: Sequence[LabelledMask],
    limit: int = MAX_PROPOSALS,
) -> ImageRecall:
    """Match the best proposals of one image with its human masks.

    Args:
        image: Its name.
        proposals: In any order.
        truths: Truths of one or several annotators.
        limit: Proposals that count, by score.
    """
    best = sorted(proposals, key=lambda proposal: -proposal.score)[:limit]
    by_annotator: dict[str | None, list[LabelledMask]] = defaultdict(list)
    for truth in truths:
        by_annotator[truth.annotator].append(truth)
    masks = [proposal.rle for proposal in best]
    found = np.zeros(len(THRESHOLDS), np.int64)
    for wanted in by_annotator.values():
        found += (match_by_score(_ious(masks, wanted), THRESHOLDS) >= 0).sum(axis=1)
    return ImageRecall(image, len(proposals), len(truths), tuple(found.tolist()))


def _ious(proposals: Sequence[RLE], wanted: Sequence[LabelledMask]) -> npt.NDArray[np.float64]:
    """IoU of each proposal with each mask over the pixels that are not void of that mask."""
    ious = iou_matrix(proposals, [mask.rle for mask in wanted])
    for column, mask in enumerate(wanted):
        if mask.ignore is not None:
            counted = [subtract(one, mask.ignore) for one in proposals]
            ious[:, column] = iou_matrix(counted, [subtract(mask.rle, mask.ignore)])[:, 0]
    return ious
