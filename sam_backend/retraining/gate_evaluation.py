"""Judging while a challenger learns, and judging it against its champion once it has.

Networks under training are SAM 1's, so this is one of the two places that know `Segmenter`.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import ImageDecodeError
from sam_backend.json_form import as_json
from sam_backend.metrics.gate import GateDecision, decide
from sam_backend.metrics.interactive import InteractiveReport, Sample, evaluate
from sam_backend.metrics.intervals import intervals
from sam_backend.metrics.sheets import before_after_sheet
from sam_backend.retraining.evaluation import samples
from sam_backend.sam.promptable import PromptableModel
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Embedding
from sam_backend.training.plan import Depth

log = logging.getLogger(__name__)

GATE_NAME = "gate.json"
SHEET_NAME = "before_after.png"

MAX_GATE_MASKS = 400
"""Twenty clicks on each cost a second or more on a CPU; the interval tells what so few prove."""
MAX_VALIDATION_MASKS = 100

TellProgress = Callable[[str, int, int], None]
"""Who is judged, images done, of how many."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate saw and says.

    Attributes:
        champion: Results of the champion, on the gate's masks.
        challenger: Results of the challenger, on the same ones.
        decision: Promote or keep, with reasons.
    """

    champion: InteractiveReport
    challenger: InteractiveReport
    decision: GateDecision


class ValidationScore:
    """The held-out score that tells a training when to stop: mean IoU after one click.

    Args:
        data: Images that are neither learned from nor judged on.
        depth: At `DECODER` the image encoder stays as it is: each image is embedded once.
        seed: Chooses the masks, if there are many.
        check: Called for each image; what it raises ends the look.
    """

    def __init__(
        self,
        data: Dataset,
        depth: Depth,
        seed: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._data = spread(data, MAX_VALIDATION_MASKS, seed)
        self._check = check
        self._keeps = depth is Depth.DECODER
        self._embeddings: dict[str, Embedding] = {}

    def score(self, sam: Sam) -> float:
        """The score of a network, 0 to 1.

        Raises:
            InvalidInputError: No image can be read.
        """
        kept = self._embeddings if self._keeps else {}
        predictor = _Remembering(Segmenter(sam, "validation"), kept)
        seen = _readable(self._data, lambda done: self._check())
        report = evaluate(predictor, seen, max_clicks=1)
        return report.miou_at(1)


class _Remembering:
    """A model that embeds each image once, over several networks of one image encoder."""

    def __init__(self, segmenter: PromptableModel, kept: dict[str, Embedding]) -> None:
        self._segmenter = segmenter
        self._kept = kept
        self.predict_across = segmenter.predict_across

    def embed(self, image: npt.NDArray[np.uint8], /) -> Embedding:
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        if digest not in self._kept:
            self._kept[digest] = self._segmenter.embed(image)
        return self._kept[digest]


def compare(
    champion: Sam,
    challenger: Sam,
    gate: Dataset,
    folder: Path,
    seed: int,
    tell: TellProgress,
    notes: tuple[str, ...] = (),
) -> Verdict:
    """Let both find the gate's masks, decide, and write `GATE_NAME` and `SHEET_NAME`.

    Args:
        champion: In eval mode, like the other.
        challenger: What would take its place, as it would be served.
        gate: Images that neither of the two, nor an ancestor, has learned from.
        folder: Gets the figures and a picture of masks before and after.
        seed: Chooses masks, if there are too many.
        tell: Called for each image.
        notes: Sentences that the decision's reasons end with.

    Raises:
        InvalidInputError: No image can be read.
    """
    judged = spread(gate, MAX_GATE_MASKS, seed)
    old, new = Segmenter(champion, "champion"), Segmenter(challenger, "challenger")
    before = evaluate(old, _told(judged, "champion", tell))
    after = evaluate(new, _told(judged, "challenger", tell))
    decision = decide(before, after)
    decision = replace(decision, reasons=(*decision.reasons, *notes))
    seen = {
        name: one.as_json() | {"intervals": as_json(intervals(one))}
        for name, one in (("champion", before), ("challenger", after))
    }
    document = json.dumps(as_json(decision) | seen, indent=1)
    (folder / GATE_NAME).write_text(document + "\n", encoding="utf-8")
    before_after_sheet(old, new, _readable(judged), folder / SHEET_NAME)
    return Verdict(before, after, decision)


def spread(data: Dataset, max_masks: int, seed: int) -> Dataset:
    """At most `max_masks` masks, as evenly over the images as they allow.

    Of more images than that, some: an image costs its encoding however few its masks are.
    """
    if data.n_masks <= max_masks:
        return data
    images = data.images
    if len(images) > max_masks:
        chosen = np.random.default_rng(seed).choice(len(images), max_masks, replace=False)
        images = tuple(images[index] for index in sorted(chosen.tolist()))
    each = max_masks // len(images)
    return replace(data, images=tuple(_at_most(image, each, seed) for image in images))


def _at_most(image: LabelledImage, n: int, seed: int) -> LabelledImage:
    if len(image.masks) <= n:
        return image
    rng = np.random.default_rng([seed, int(image.digest[:8], 16)])
    chosen = sorted(rng.choice(len(image.masks), n, replace=False).tolist())
    return replace(image, masks=tuple(image.masks[index] for index in chosen))


def _told(data: Dataset, who: str, tell: TellProgress) -> Iterator[Sample]:
    return _readable(data, lambda done: tell(who, done, len(data)))


def _readable(data: Dataset, tell: Callable[[int], None] = lambda done: None) -> Iterator[Sample]:
    """The images that can be decoded: one damaged file must not cost a whole training."""
    for done, image in enumerate(data):
        tell(done)
        try:
            (sample,) = samples(replace(data, images=(image,)))
        except ImageDecodeError as error:
            log.warning("not judged on: %s", error)
        else:
            yield sample
