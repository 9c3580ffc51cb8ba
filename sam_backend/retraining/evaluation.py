"""A checkpoint measured on a data set: clicks, boxes, and the automatic generator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import Dataset
from sam_backend.json_form import as_json
from sam_backend.metrics.automatic import AutomaticReport, Proposal, image_recall
from sam_backend.metrics.interactive import MAX_CLICKS, InteractiveReport, Sample, evaluate
from sam_backend.metrics.intervals import intervals
from sam_backend.metrics.sheets import evaluation_sheet, shown_examples
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import LoadedModel
from sam_backend.sam.promptable import PromptableModel

TellProgress = Callable[[str, int, int], None]
"""What is measured, images done, of how many."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured of one checkpoint.

    Attributes:
        model_version: Names the checkpoint, with the fingerprint of its weights.
        data_digest: Digest of the images and masks that it was measured on.
        interactive: By clicks and boxes.
        automatic: Without prompts; None if that was not asked for.
        thresholds: Thresholds of the automatic generator; None like `automatic`.
    """

    model_version: str
    data_digest: str
    interactive: InteractiveReport
    automatic: AutomaticReport | None = None
    thresholds: AutomaticSettings | None = None

    def as_json(self, with_results: bool = True) -> dict[str, object]:
        """All figures as plain values, with or without the results of single masks and images."""
        told: dict[str, object] = {
            "model_version": self.model_version,
            "data_digest": self.data_digest,
            "interactive": self.interactive.as_json(with_results),
            "intervals": as_json(intervals(self.interactive)),
        }
        if self.automatic is not None and self.thresholds is not None:
            told["automatic"] = self.automatic.as_json(with_results)
            told["thresholds"] = as_json(self.thresholds)
        return told


def samples(dataset: Dataset) -> Iterator[Sample]:
    """The images of a data set with their masks, decoded one at a time.

    Raises:
        ImageDecodeError: An image's file is gone, damaged, or has another size by now.
    """
    for image in dataset:
        yield Sample(read_pixels(image), image.masks, image.name)


def evaluate_model(
    model: LoadedModel,
    dataset: Dataset,
    tell: TellProgress,
    max_clicks: int = MAX_CLICKS,
    thresholds: AutomaticSettings | None = None,
) -> Evaluation:
    """Measure a checkpoint.

    Args:
        model: Ready to run.
        dataset: With at least one mask.
        tell: Called after each image.
        max_clicks: For each mask at the most.
        thresholds: Which automatic masks are kept; None: the generator is not measured.

    Raises:
        InvalidInputError: There is no mask.
        ImageDecodeError: An image cannot be read.
    """
    promptable = model.promptable()
    interactive = evaluate(promptable, _told(dataset, tell), max_clicks)
    automatic = (
        None if thresholds is None else evaluate_automatic(promptable, dataset, thresholds, tell)
    )
    return Evaluation(promptable.model_version, dataset.digest, interactive, automatic, thresholds)


def evaluate_automatic(
    model: PromptableModel, dataset: Dataset, thresholds: AutomaticSettings, tell: TellProgress
) -> AutomaticReport:
    """Recall of the human masks by what the automatic generator finds."""
    found = []
    for done, image in enumerate(dataset, start=1):
        records = generate(model, read_pixels(image), thresholds)
        proposals = [Proposal(record.rle, record.predicted_iou) for record in records]
        found.append(image_recall(image.name, proposals, image.masks))
        tell("automatic", done, len(dataset))
    return AutomaticReport(tuple(found))


def draw_examples(
    model: LoadedModel, dataset: Dataset, report: InteractiveReport, png: Path
) -> None:
    """Write a sheet of the worst, middle and best masks of a report on this data set."""
    examples = shown_examples(report)
    names = {result.image for _, result in examples}
    shown = replace(dataset, images=tuple(image for image in dataset if image.name in names))
    evaluation_sheet(model.promptable(), samples(shown), examples, png)


def _told(dataset: Dataset, tell: TellProgress) -> Iterator[Sample]:
    for done, sample in enumerate(samples(dataset), start=1):
        yield sample  # comes back when this one has been measured
        tell("clicks", done, len(dataset))
