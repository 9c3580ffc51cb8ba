"""Sampling, reporting and quarantine from settings to result: what the commands call."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sam_backend.engine.bulk.addresses import Addresses
from sam_backend.engine.bulk.importing import BulkImport, ImportSummary
from sam_backend.engine.bulk.review.foretelling import foretold
from sam_backend.engine.bulk.review.judging import LotReport, judge
from sam_backend.engine.bulk.review.page import write_page
from sam_backend.engine.bulk.review.samples import (
    REPORT_HTML,
    REPORT_JSON,
    Sample,
    folder_of,
    keep_sample,
    read_sample,
)
from sam_backend.engine.bulk.review.sampling import draw, lot_images
from sam_backend.engine.bulk.run_folder import BulkRun
from sam_backend.engine.bulk.sources import ImageReader
from sam_backend.engine.bulk.tasks import TaskOptions, TaskWriter
from sam_backend.engine.measured import LOT
from sam_backend.engine.trusting import trust_of
from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.client import LabelStudioClient
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.patience import Patience
from sam_backend.quality.acceptance import (
    MAX_DEFECTS,
    AcceptancePlan,
    Severity,
    Verdict,
    next_severity,
)
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.lots import Lots
from sam_backend.store.measurements import Measurements

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


def plan_for(
    database: Database, run: BulkRun, min_share: float, iou: float, max_defects: float | None
) -> AcceptancePlan:
    """What a lot has to prove, after the lots before it.

    Args:
        database: Knows those.
        run: Of the lot.
        min_share: Of an image's masks that must be right.
        iou: From which they are.
        max_defects: Share of defective images to rule out in a normal inspection, halved and
            doubled by its severity; None: as `MAX_DEFECTS`.

    Raises:
        InvalidInputError: A value is out of its range.
    """
    severity = next_severity([Verdict(told) for told in Lots(database).verdicts(run.run_id)])
    allowed = MAX_DEFECTS[severity]
    if max_defects is not None:
        allowed = round(max_defects * allowed / MAX_DEFECTS[Severity.NORMAL], 6)
    return AcceptancePlan(min_share, iou, allowed, severity=severity)


def draw_sample(
    client: LabelStudioClient,
    project_id: int,
    run: BulkRun,
    plan: AcceptancePlan,
    size: int | None,
    addresses: Addresses,
    by: Sequence[str] = (),
    seed: int = 0,
    options: TaskOptions | None = None,
    patience: Patience | None = None,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> Drawn:
    """Draw images of a finished run and put them into a review project, masks and all.

    The same command draws the same sample, and adds what the project lacks of it.

    Args:
        client: Of the project's Label Studio.
        project_id: The review project.
        run: The lot.
        plan: What it has to prove.
        size: Images; None: as many as prove the plan if none is defective.
        addresses: Of the images.
        by: Strata, see `STRATA`.
        seed: Of the draw.
        options: How masks are shown.
        patience: Waits out a Label Studio that is away.
        observe: Told how many images of how many are there.

    Raises:
        SamBackendError: The run is not finished, or Label Studio refuses a call.
    """
    waiting = patience or Patience(600)
    images = lot_images(run)
    sample = Sample(
        run_id=run.run_id,
        host=str(client.host.origin),
        project_id=project_id,
        seed=seed,
        by=tuple(by),
        n_lot=len(images),
        plan=plan,
        images=tuple(draw(images, plan.clean_images if size is None else size, by, seed)),
    )
    config = waiting.get(lambda: client.project(project_id))["label_config"]
    told = options or TaskOptions()
    drawn = {image.digest: image for image in sample.images}
    summary = BulkImport(
        client,
        project_id,
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
    return Drawn(sample, keep_sample(run, sample), summary)


def report_lot(
    settings: Settings,
    database: Database,
    client: LabelStudioClient,
    run: BulkRun,
    name: str | None = None,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[LotReport, Path]:
    """Judge a lot by its sample; returns the report and its folder, with JSON and HTML.

    Args:
        settings: Of this process.
        database: Keeps the verdict and the figures.
        client: Of the review project's Label Studio.
        run: The lot.
        name: Of the sample; None: the newest.
        observe: Told how many images of how many have been read.

    Raises:
        SamBackendError: There is no sample, or Label Studio refuses a call.
    """
    sample = read_sample(run, name)
    if str(client.host.origin) != sample.host:
        raise InvalidInputError(
            f"sample {sample.name} was put into {sample.host}, not {client.host.origin}"
        )
    report = judge(client, sample, observe)
    folder = folder_of(run, sample)
    trust = trust_of(database, run.plan.model_version)
    if trust is not None:
        report = replace(report, foretold=foretold(run, report, trust))
    (folder / REPORT_JSON).write_text(json.dumps(report.as_json(), indent=1) + "\n")
    write_page(report, run, ImageReader(settings, run.manifest.root), folder / REPORT_HTML)
    if report.verdict is not Verdict.CONTINUE:
        Lots(database).judged(run.run_id, report.verdict, sample.plan.severity)
    document = report.measured() | {"run": run.run_id, "review project": sample.project_id}
    Measurements(database, client.host.url, sample.project_id).add(LOT, document, datetime.now(UTC))
    return report, folder
