"""The report of a lot as one HTML file: verdict, figures, strata, pictures of the worst pairs."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from sam_backend.datasets.decoding import decode_image
from sam_backend.errors import ImageDecodeError, ImageFetchError, SourceError
from sam_backend.fully_automatic.review.judging import PAPER, LotReport, history_rows
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.sources import ImageReader
from sam_backend.masks.rle import RLE, decode
from sam_backend.metrics.drawing import Picture, View
from sam_backend.metrics.intervals import Interval
from sam_backend.metrics.pages import page, picture, table

N_WORST, N_OF_AN_IMAGE = 12, 2


def write_page(report: LotReport, run: BulkRun, reader: ImageReader, file: Path) -> None:
    """Write the report; pictures of images that cannot be had are left out.

    Args:
        report: Of the lot.
        run: Whose images.
        reader: Reads them.
        file: To write.
    """
    told = report.as_json()
    kind = str(report.verdict).split()[0]
    parts = [
        f"<p class='verdict {kind}'>{escape(str(report.verdict))}</p>",
        f"<p>{escape(_reason(report))}</p>",
        *_history(report),
        "<h2>Masks</h2>",
        table(
            [("", "of this lot", "95 % interval", "paper")],
            [
                (
                    name,
                    _percent(None if found is None else found.value),
                    _interval(found),
                    _percent(PAPER.get(name)),
                )
                for name, found in report.shares.items()
            ],
        ),
        table(
            [],
            [
                (name, str(told[name]))
                for name in ("images of the lot", "images sampled", "images reviewed")
            ]
            + [(name, str(told[name])) for name in ("masks shown", "changed", "deleted", "added")]
            + [("not compared", line) for line in report.unread.lines()],
        ),
        *_foretold(report),
        "<h2>Strata</h2>",
        _strata(report),
        "<h2>The worst pairs</h2><p>Filled: as found. Outlined: as corrected.</p>",
        *_worst(report, run, reader),
    ]
    file.write_text(page(f"Lot {run.run_id}", parts), encoding="utf-8")


def _reason(report: LotReport) -> str:
    plan = report.sample.plan
    told = (
        f"Asked, before anybody looked ({plan.severity} inspection): less than "
        f"{plan.max_defects:.3g} of the images may have fewer than {plan.min_share:.0%} of their "
        f"masks right, that is at an IoU of {plan.iou:g} or more with what a person submitted. "
        f"Found: {report.counted} of {len(report.sample.deciding) - report.unseen} images of the "
        f"random sample, so at most {report.defect_high:.3g} of the lot with "
        f"{plan.confidence:.0%} confidence, however often one looks."
    )
    if report.verdict is not report.look:
        told += f" By this look alone: {report.look}; a lot that was rejected stays rejected."
    if report.more_clean_images:
        told += f" {report.more_clean_images} further images without a defect would settle it."
    if lost := len(report.no_longer_defective):
        told += f" Images that an earlier look found defective and this one does not: {lost}."
    return told


def _history(report: LotReport) -> list[str]:
    rows = [(one.at, one.times, one.what, one.found, one.verdict) for one in history_rows(report)]
    if not rows:
        return []
    return ["<h2>Looks</h2>", table([("first at", "times", "what", "found", "verdict")], rows)]


def _foretold(report: LotReport) -> list[str]:
    told = report.foretold
    if told is None:
        return []
    text = (
        f"Calibrated confidence said that {told.said:.1%} of these masks would need no correction; "
        f"{told.came_true:.1%} needed none."
    )
    if told.accepted is not None:
        text += (
            f" Of {told.accepted} masks above the proven accept threshold, {told.accepted_good} "
            "needed none."
        )
    return [f"<p>{text}</p>"]


def _strata(report: LotReport) -> str:
    rows = []
    for name, one in report.strata().items():
        shown = f"<span class='failed'>{escape(name)}, failed</span>" if one["failed"] else None
        rows.append(
            (
                shown or escape(name),
                f"{one['reviewed']} of {one['sampled']}",
                str(one["defective"]),
                _percent(one["right masks"]),
            )
        )
    head = ("stratum", "reviewed", "defective", "right masks, mean")
    return table([head], rows, is_html=True)


def _worst(report: LotReport, run: BulkRun, reader: ImageReader) -> list[str]:
    pairs: list[tuple[float, str, RLE | None, RLE | None]] = [
        (pair.iou, one.correction.digest, pair.automatic, pair.corrected)
        for one in report.reviewed
        for pair in one.correction.pairs
    ]
    pairs += [
        (0.0, one.correction.digest, None, mask)
        for one in report.reviewed
        for mask in one.correction.added
    ]
    worst = sorted((pair for pair in pairs if pair[0] < 1), key=lambda pair: pair[0])
    pairs = _few_of_each(worst)[:N_WORST]
    uris = run.uris_of({digest for _, digest, _, _ in pairs})
    pictures: dict[str, Picture | None] = {}
    found = []
    for iou, digest, automatic, corrected in pairs:
        if digest not in pictures:
            pictures[digest] = _pixels(reader, uris[digest])
        pixels = pictures[digest]
        if pixels is not None:
            found.append(_figure(pixels, automatic, corrected, iou))
    return found or ["<p>No mask was changed, or no image could be had.</p>"]


def _few_of_each(
    pairs: Sequence[tuple[float, str, RLE | None, RLE | None]],
) -> list[tuple[float, str, RLE | None, RLE | None]]:
    """The first pairs of each image: one bad image must not hide the others."""
    shown: Counter[str] = Counter()
    found = []
    for pair in pairs:
        shown[pair[1]] += 1
        if shown[pair[1]] <= N_OF_AN_IMAGE:
            found.append(pair)
    return found


def _pixels(reader: ImageReader, uri: str) -> Picture | None:
    try:
        return decode_image(reader.read(uri))
    except (ImageFetchError, ImageDecodeError, SourceError):
        return None


def _figure(image: Picture, automatic: RLE | None, corrected: RLE | None, iou: float) -> str:
    answer = None if automatic is None else decode(automatic)
    truth = np.zeros(image.shape[:2], np.bool_) if corrected is None else decode(corrected)
    around = truth if answer is None or truth.any() else answer
    if automatic is None:
        caption = "added"
    elif corrected is None:
        caption = "deleted"
    else:
        caption = f"IoU {iou:.2f}"
    view = View.of(image, around)
    return picture(View(image, truth, view.where, view.scale).tile(caption, answer), caption)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(found: Interval | None) -> str:
    return "" if found is None else f"{_percent(found.low)} to {_percent(found.high)}"
