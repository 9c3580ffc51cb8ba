"""Picture sheets: what the figures mean, seen with one's own eyes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import decode
from sam_backend.masks.types import Mask
from sam_backend.metrics.clicks import Annotator, Predictor, Target, click_once_more
from sam_backend.metrics.drawing import Picture, View, sheet
from sam_backend.metrics.interactive import InteractiveReport, Sample, labelled
from sam_backend.metrics.results import MaskResult

LEGEND = "yellow line: the person's mask.  magenta: the model's.  green and red dots: clicks"
TIMES = ("before", "after")
N_EACH = 3
N_SHOWN = 12


def shown_examples(report: InteractiveReport, n_each: int = N_EACH) -> list[tuple[str, MaskResult]]:
    """The results that an evaluation sheet shows, each with what it is an example of.

    The worst, middle and best ones by the IoU after one click; fewer if there are fewer masks.
    """
    ranked = sorted(report.results, key=lambda result: result.ious[0])
    if len(ranked) <= 3 * n_each:
        return [("one of all", result) for result in ranked]
    middle = (len(ranked) - n_each) // 2
    groups = {
        "worst": ranked[:n_each],
        "middle": ranked[middle : middle + n_each],
        "best": ranked[-n_each:],
    }
    return [(kind, result) for kind, results in groups.items() for result in results]


def evaluation_sheet(
    predictor: Predictor,
    samples: Iterable[Sample],
    examples: Sequence[tuple[str, MaskResult]],
    png: Path,
) -> None:
    """Draw examples: the photo, and the mask after one click, after three, and for the box.

    Args:
        predictor: The model that was measured.
        samples: That hold the examples' images, at least; by name.
        examples: From `shown_examples`.
        png: Is written.

    Raises:
        InvalidInputError: The samples hold none of the examples.
    """
    rows: dict[int, list[Picture]] = {}
    for sample in samples:
        masks = {mask.digest: mask for mask in map(labelled, sample.masks)}
        wanted = [  # a name may be there twice
            index
            for index, (_, result) in enumerate(examples)
            if result.image == sample.name and result.mask in masks
        ]
        if not wanted:
            continue
        embedding = predictor.embed(sample.image)
        for index in wanted:
            kind, result = examples[index]
            target = Target(sample.name, embedding, masks[result.mask])
            view = View.of(sample.image, decode(target.mask.rle))
            plain = view.tile(f"{kind}: {sample.name[-28:]}")
            answers = _answers(predictor, target)
            rows[index] = [plain, *(_tile(view, one, f"IoU {one.iou:.2f}") for one in answers)]
    _write(png, LEGEND, ("photo", "1 click", "3 clicks", "box"), [rows[i] for i in sorted(rows)])


def before_after_sheet(
    champion: Predictor, challenger: Predictor, samples: Iterable[Sample], png: Path
) -> None:
    """Draw both models' answers side by side, for one click, three clicks and the box.

    Masks of middle size on the first images, whatever became of them: twelve in all.

    Args:
        champion: The model that is served.
        challenger: The one that wants to be.
        samples: Images with masks.
        png: Is written.

    Raises:
        InvalidInputError: There is no sample.
    """
    chosen = list(islice(samples, N_SHOWN))
    rows = []
    for sample in chosen:
        embeddings = [model.embed(sample.image) for model in (champion, challenger)]
        for mask in _middle_sized(sample, N_SHOWN // len(chosen)):
            view = View.of(sample.image, decode(mask.rle))
            targets = [Target(sample.name, embedding, mask) for embedding in embeddings]
            before = _answers(champion, targets[0])
            after = _answers(challenger, targets[1])
            row = []
            for old, new in zip(before, after, strict=True):
                row.append(_tile(view, old, f"IoU {old.iou:.2f}"))
                row.append(_tile(view, new, f"IoU {new.iou:.2f} ({new.iou - old.iou:+.2f})"))
            rows.append(row)
    header = [f"{what}, {when}" for what in ("1 click", "3 clicks", "box") for when in TIMES]
    _write(png, f"before: champion.  after: challenger.  {LEGEND}", header, rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """A model's mask, its IoU, and the clicks (x, y, is_positive) or the box that asked for it."""

    mask: Mask
    iou: float
    clicks: tuple[tuple[int, int, bool], ...] = ()
    box: npt.NDArray[np.float32] | None = None


def _answers(predictor: Predictor, target: Target) -> list[_Answer]:
    """After one click, after three or the last that was needed, and for the box."""
    annotator = Annotator(target)
    for _ in range(3):
        click_once_more(predictor, [annotator])
    spent = [(x, y, ok) for (x, y), ok in zip(annotator.xy, annotator.is_positive, strict=True)]
    masks, ious = [decode(mask) for mask in annotator.masks], annotator.ious
    prompt = annotator.box_prompt
    ((boxed,),) = predictor.predict_across([target.embedding], [prompt], limit=1)
    return [
        _Answer(masks[0], ious[0], tuple(spent[:1])),
        _Answer(masks[-1], ious[-1], tuple(spent[: len(masks)])),
        _Answer(boxed.mask, annotator.iou(boxed), box=prompt.box),
    ]


def _tile(view: View, answer: _Answer, caption: str) -> Picture:
    return view.tile(caption, answer.mask, answer.clicks, answer.box)


def _middle_sized(sample: Sample, n: int) -> list[LabelledMask]:
    """`n` masks of an image, neither its background nor its crumbs."""
    by_size = sorted(map(labelled, sample.masks), key=lambda mask: mask.rle.area_px)
    start = max(0, (len(by_size) - n) // 2)
    return by_size[start : start + n]


def _write(png: Path, title: str, header: Sequence[str], rows: Sequence[Sequence[Picture]]) -> None:
    if not rows:
        raise InvalidInputError("there is no mask to draw")
    picture = sheet(title, header, rows)
    encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
    png.write_bytes(encoded.tobytes())
