"""The report of a lot as one HTML file: verdict, figures, strata, pictures of the worst pairs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from sam_backend.datasets.decoding import decode_image
from sam_backend.errors import ImageDecodeError, ImageFetchError, SourceError
from sam_backend.fully_automatic.review.judging import PAPER, LotReport, history_rows
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.sources import ImageReader
from sam_backend.masks.rle import RLE, decode
from sam_backend.metrics.drawing import Picture, View
from sam_backend.metrics.pages import Figure, render

N_WORST, N_OF_AN_IMAGE = 12, 2


def write_page(report: LotReport, run: BulkRun, reader: ImageReader, file: Path) -> None:
    """Write the report; pictures of images that cannot be had are left out.

    Args:
        report: Report of the lot.
        run: Whose images.
        reader: Reads them.
        file: To write.
    """
    text = render(
        __package__,
        "page.html",
        title=f"Lot {run.run_id}",
        report=report,
        kind=str(report.verdict).split()[0],
        reason=_reason(report),
        history=[astuple(row) for row in history_rows(report)],
        paper=PAPER,
        worst=_worst(report, run, reader),
    )
    file.write_text(text, encoding="utf-8")


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


def _worst(report: LotReport, run: BulkRun, reader: ImageReader) -> list[Figure]:
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
    return found


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


def _figure(image: Picture, automatic: RLE | None, corrected: RLE | None, iou: float) -> Figure:
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
    return Figure.of(View(image, truth, view.where, view.scale).tile(caption, answer), caption)
