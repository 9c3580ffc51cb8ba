"""Prefilling measured on a data set, through the whole path: image to regions and back to masks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import Dataset
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.templates import template
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Region
from sam_backend.masks.rle import RLE, encode
from sam_backend.metrics.prefill_curve import CurvePoint, Tally, tally
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.semi_automatic.prefill import Prefiller
from sam_backend.semi_automatic.proposers.base import Proposer, Subject
from sam_backend.semi_automatic.regions import RegionWriter
from sam_backend.semi_automatic.triage import Outcome
from sam_backend.serving.served_model import ServedModel


def evaluate_prefill(
    model: ServedModel,
    proposer: Proposer,
    settings: PrefillSettings,
    dataset: Dataset,
    bars: Sequence[float],
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> list[CurvePoint]:
    """Recall and precision of what would be prefilled, at each bar of predicted IoU.

    Args:
        model: Leased for the measurement.
        proposer: Where masks come from.
        settings: Everything but the bar.
        dataset: Its masks, of any annotator, are what should be found.
        bars: Least predicted IoUs of an accepted mask.
        observe: Told images done, of how many.

    Raises:
        InvalidInputError: A bar is out of its range.
        ImageDecodeError: An image's file is gone or damaged.
    """
    config = LabelConfig.parse(template("brush"))
    prefillers = [Prefiller(_at(settings, bar), proposer) for bar in bars]
    tallies: list[list[Tally]] = [[] for _ in bars]
    for done, image in enumerate(dataset, start=1):
        subject = Subject(image.digest, read_pixels(image), np.zeros((0, 4)))
        proposed = proposer.propose(model, subject)
        truth = [mask.rle for mask in image.masks]
        for prefiller, found in zip(prefillers, tallies, strict=True):
            judgement = prefiller.choose(proposed, subject.size)
            accepted = [one for one in judgement.shown if one.outcome is Outcome.ACCEPT]
            writer = RegionWriter(config, config.images[0], prefiller.settings)
            regions, _ = writer.masks(accepted)
            found.append(tally(_masks(regions), truth))
        observe(done, len(dataset))
    return [CurvePoint.of(bar, found) for bar, found in zip(bars, tallies, strict=True)]


def _masks(regions: Sequence[Region]) -> list[RLE]:
    return [encode(codec.decode(region)) for region in regions if "rle" in region["value"]]


def _at(settings: PrefillSettings, bar: float) -> PrefillSettings:
    review = min(bar, settings.review_predicted_iou)
    return replace(settings, accept_predicted_iou=bar, review_predicted_iou=review)
