"""Sampling, reporting and quarantine from settings to result: what the commands call."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.addresses import Addresses
from sam_backend.fully_automatic.importing import BulkImport, ImportSummary
from sam_backend.fully_automatic.review.judged_reviews import check_calibration
from sam_backend.fully_automatic.review.judging import LotReport, judge
from sam_backend.fully_automatic.review.page import write_page
from sam_backend.fully_automatic.review.samples import (
    REPORT_HTML,
    REPORT_JSON,
    Sample,
    keep_sample,
    newest_sample,
    read_sample,
)
from sam_backend.fully_automatic.review.sampling import draw, lot_images
from sam_backend.fully_automatic.run_folder import BulkRun
from sam_backend.fully_automatic.sources import ImageReader
from sam_backend.fully_automatic.tasks import TaskOptions, TaskWriter
from sam_backend.labelstudio.api.retry import Retry
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.metrics.acceptance import (
    MAX_DEFECTS,
    AcceptancePlan,
    Severity,
    Verdict,
    next_severity,
)
from sam_backend.projects.project import Project
from sam_backend.quality.calibration.current import current_calibration
from sam_backend.store.lots import Lots

STRATUM, SAMPLE_NAME = "sam_stratum", "sam_sample"
"""Fields of a review task's data."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample that is in its project.

    Attributes:
        sample: What was drawn.
        folder: Where it is written down.
        imported: What was new in the project.
    """

    sample: Sample
    folder: Path
    imported: ImportSummary


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks of a sample; None: as the lot's smaller sample has it, else the default.

    Attributes:
        min_share: Least share of an image's masks that must be right.
        iou: From which they are.
        max_defects: Share of defective images to rule out in a normal inspection, halved and
            doubled by its severity; without, `1 - min_share`, and `MAX_DEFECTS` without either.
        size: Images that decide; without, as many as prove the plan if none is defective.
        by: Strata, see `STRATA`.
        seed: Seed of the draw.
    """

    min_share: float | None = None
    iou: float | None = None
    max_defects: float | None = None
    size: int | None = None
    by: tuple[str, ...] | None = None
    seed: int | None = None

    def plan(self, severity: Severity) -> AcceptancePlan:
        """What the first sample of a lot states.

        Raises:
            InvalidInputError: A value is out of its range.
        """
        default = AcceptancePlan()
        return AcceptancePlan(
            default.min_share if self.min_share is None else self.min_share,
            default.iou if self.iou is None else self.iou,
            self._allowed(severity) or MAX_DEFECTS[severity],
            severity=severity,
        )

    def check_same(self, earlier: Sample) -> None:
        """Refuse another plan than the one that was stated before anybody looked.

        Raises:
            InvalidInputError: The values that differ.
        """
        plan = earlier.plan
        told = (
            ("share of right masks", self.min_share, plan.min_share),
            ("IoU", self.iou, plan.iou),
            ("share of defective images", self._allowed(plan.severity), plan.max_defects),
            ("strata", self.by, earlier.by),
            ("seed", self.seed, earlier.seed),
        )
        other = [f"{name} {was}, not {now}" for name, now, was in told if now not in (None, was)]
        if self.size is not None and self.size < len(earlier.deciding):
            other.append(f"{len(earlier.deciding)} images, not {self.size}")
        if other:
            raise InvalidInputError(
                f"lot {earlier.run_id} is under review with {'; '.join(other)}: a sample may grow, "
                f"and nothing else may change. {_REOPEN}"
            )

    def _allowed(self, severity: Severity) -> float | None:
        allowed = self.max_defects
        if allowed is None and self.min_share is not None:
            allowed = 1 - self.min_share
        if allowed is None:
            return None
        return round(allowed * MAX_DEFECTS[severity] / MAX_DEFECTS[Severity.NORMAL], 6)


_REOPEN = "`sam-backend review reopen RUN --reason …` begins a new review, and keeps what was seen"


def draw_sample(
    project: Project,
    run: BulkRun,
    asked: Asked,
    addresses: Addresses,
    options: TaskOptions | None = None,
    retry: Retry | None = None,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> Drawn:
    """Draw images of a finished run and put them into a review project, masks and all.

    The same command draws the same sample, and adds what the project lacks of it. A larger size
    adds images to the lot's sample; everything else stays as it was first stated.

    Args:
        project: The review project.
        run: The lot.
        asked: What the sample is to be.
        addresses: Addresses of the images.
        options: How masks are shown.
        retry: Waits out a Label Studio that is away.
        observe: Told how many images of how many are there.

    Raises:
        SamBackendError: The run is not finished, another review of it is under way, or Label Studio
            refuses a call.
    """
    waiting = retry or Retry(600)
    lots = Lots(project.database)
    sample = next_sample(project, run, asked)
    config = waiting.get(lambda: project.client.project(project.id))["label_config"]
    told = options or TaskOptions()
    drawn = {image.digest: image for image in sample.images}
    folder = keep_sample(run, sample)
    lots.sampled(run.run_id, sample_record(sample))
    summary = BulkImport(
        project,
        run,
        TaskWriter(LabelConfig.parse(str(config)), run.run_id, replace(told, as_="predictions")),
        addresses,
        waiting,
        observe=observe,
    ).put(
        run.images_of(drawn.keys()),
        len(drawn),
        lambda image: {STRATUM: drawn[image.digest].stratum, SAMPLE_NAME: sample.name},
    )
    return Drawn(sample, folder, summary)


def next_sample(project: Project, run: BulkRun, asked: Asked) -> Sample:
    """Draw the lot's first sample, or a larger one that holds those before it.

    Args:
        project: The review project.
        run: The lot.
        asked: What the sample is to be.

    Raises:
        InvalidInputError: A first sample has no size, or the lot is under another review.
    """
    lots = Lots(project.database)
    images = lot_images(run)
    earlier = open_sample(lots, run)
    if earlier is None:
        if asked.size is None and asked.min_share is None:
            raise InvalidInputError("--size or --prove says how many images are drawn")
        severity = next_severity([Verdict(told) for told in lots.verdicts(run.run_id)])
        plan, by, seed = asked.plan(severity), asked.by or (), asked.seed or 0
    else:
        asked.check_same(earlier)
        if (earlier.host, earlier.project_id) != (project.origin, project.id):
            raise InvalidInputError(
                f"lot {run.run_id} is under review in project {earlier.project_id} of "
                f"{earlier.host}, not in project {project.id} of {project.origin}. {_REOPEN}"
            )
        plan, by, seed = earlier.plan, earlier.by, earlier.seed
    size = asked.size or (len(earlier.deciding) if earlier else 0)
    if not size and images:
        size = plan.for_lot(len(images)).clean_images
    already = () if earlier is None else [image.digest for image in earlier.images]
    drawn = tuple(draw(images, size, by, seed, already))
    return Sample(run.run_id, project.origin, project.id, seed, by, len(images), plan, drawn)


def open_sample(lots: Lots, run: BulkRun) -> Sample | None:
    """The sample by which a lot is judged now; None: none was drawn since it was (re)opened."""
    record = lots.sample(run.run_id)
    if record is None:
        # a run of an earlier release has samples on the disk only
        return None if lots.history(run.run_id) else newest_sample(run)
    return newest_sample(run, record["sample"]) or Sample.of({**record["design"], "images": []})


def sample_record(sample: Sample) -> dict[str, Any]:
    """What the lot's log keeps of a sample."""
    return {
        "sample": sample.name,
        "images": len(sample.images),
        "images_that_decide": len(sample.deciding),
        "design": sample.design,
    }


def report_lot(
    project: Project,
    run: BulkRun,
    name: str | None = None,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[LotReport, Path]:
    """Judge a lot by its sample; returns the report and its folder, with JSON and HTML.

    Each look is kept. A lot that was rejected stays rejected, whatever this look says.

    Args:
        project: The review project.
        run: The lot.
        name: Name of the sample; None: the newest.
        observe: Told how many images of how many have been read.

    Raises:
        SamBackendError: There is no sample, or Label Studio refuses a call.
    """
    lots = Lots(project.database)
    judged_by = open_sample(lots, run)
    if judged_by is None:
        raise InvalidInputError(
            f"{run.folder} has no sample to judge by: `sam-backend review sample` draws one"
        )
    sample = judged_by if name is None else read_sample(run, name)
    if sample.design != judged_by.design:
        raise InvalidInputError(
            f"sample {name} was drawn by another plan than the one that lot {run.run_id} is under "
            f"review by. {_REOPEN}"
        )
    if not sample.images:
        raise InvalidInputError(
            f"the images of the lot's sample are not in {run.folder}: draw it again, `sam-backend "
            f"review sample {run.folder} --project {sample.project_id}`"
        )
    if project.origin != sample.host:
        raise InvalidInputError(
            f"sample {sample.name} was put into {sample.host}, not {project.origin}"
        )
    if not lots.history(run.run_id):
        lots.sampled(run.run_id, sample_record(sample))
    report = judge(project.client, run, sample, observe)
    stands = lots.looked(run.run_id, report.look, sample.plan.severity, report.looked())
    report = replace(report, verdict=Verdict(stands), history=tuple(lots.history(run.run_id)))
    folder = keep_sample(run, sample)
    calibrated = current_calibration(project.database, run.plan.model_version)
    if calibrated is not None:
        report = replace(report, calibration_check=check_calibration(run, report, calibrated))
    (folder / REPORT_JSON).write_text(json.dumps(report.as_json(), indent=1) + "\n")
    write_page(report, run, ImageReader(project.settings, run.manifest.root), folder / REPORT_HTML)
    report.measured(datetime.now(UTC)).keep(project.measurements)
    return report, folder
