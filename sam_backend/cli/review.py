"""`sam-backend review`: a lot's sample, its report, its quarantine."""

import re
import sys
from typing import Annotated

import typer

from sam_backend.cli.bulk import (
    DocumentRoot,
    Label,
    MaxMasks,
    Output,
    Run,
    Upload,
    UrlPrefix,
    addresses_of,
)
from sam_backend.cli.launching import log_to_stderr
from sam_backend.cli.open_project import open_client
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out
from sam_backend.errors import InvalidInputError
from sam_backend.settings import Settings

HELP = "A bulk run's masks, verified by people on a sample."

app = typer.Typer(help=HELP, no_args_is_help=True)

_CLAIM = re.compile(r"(0?\.\d+)@(0?\.\d+)")


@app.callback()
def review() -> None:
    """A bulk run's masks, verified by people on a sample."""


@app.command()
def sample(
    run: Run,
    project: Annotated[int, typer.Option(help="Number of the review project.")],
    size: Annotated[int | None, typer.Option(help="Images to draw.", min=1)] = None,
    prove: Annotated[
        str | None,
        typer.Option(help="Share of right masks @ IoU, as 0.97@0.75; draws as many as it takes."),
    ] = None,
    max_defects: Annotated[
        float | None, typer.Option(help="Share of defective images to rule out; else 0.1.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option(help="Stratum: folder, masks, confidence or kind.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    max_masks: MaxMasks = 100,
    output: Output = "auto",
    label: Label = None,
    upload: Upload = False,
    url_prefix: UrlPrefix = None,
    document_root: DocumentRoot = None,
    as_json: AsJson = False,
) -> None:
    """Draw images at random and put them, with their masks, into a review project.

    What the lot has to prove is written down with the sample, before anybody looks.
    """
    if (size is None) == (prove is None):
        raise InvalidInputError("either --size or --prove says how many images are drawn")
    min_share, iou = _claim(prove) if prove else (0.97, 0.75)
    settings = Settings()
    log_to_stderr(settings)
    from sam_backend.engine.bulk.review.runs import draw_sample, plan_for
    from sam_backend.engine.bulk.run_folder import read_run
    from sam_backend.engine.bulk.tasks import TaskOptions
    from sam_backend.store.database import open_database

    found = read_run(run)
    if prove and max_defects is None:
        max_defects = 1 - min_share
    plan = plan_for(open_database(settings), found, min_share, iou, max_defects)
    with (
        open_client(project, settings) as client,
        progress_bar() as show,
    ):
        drawn = draw_sample(
            client,
            project,
            found,
            plan,
            size,
            addresses_of(found, client, project, settings, upload, url_prefix, document_root),
            by or (),
            seed,
            TaskOptions(max_masks=max_masks, output=output, label=label),
            observe=counting(show, "sampling"),
        )
    told = {
        "folder": str(drawn.folder),
        "images": len(drawn.sample.images),
        "of": drawn.sample.n_lot,
        "new": drawn.imported.made,
    }
    echo_result(told, as_json, str(drawn.folder))
    typer.echo(
        f"{len(drawn.sample.images)} of {drawn.sample.n_lot} images are in project {project} "
        f"({drawn.imported.made} new). {plan.severity} inspection: {plan.clean_images} images "
        f"without a defect prove less than {plan.max_defects:.3g} defective ones",
        err=True,
    )


@app.command()
def report(
    run: Run,
    name: Annotated[str | None, typer.Option("--sample", help="Its name; else the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a lot by what people have done to its sample; exit code 1 if it is rejected."""
    settings = Settings()
    log_to_stderr(settings)
    from sam_backend.engine.bulk.review.runs import report_lot
    from sam_backend.engine.bulk.review.samples import REPORT_HTML, read_sample
    from sam_backend.engine.bulk.run_folder import read_run
    from sam_backend.quality.acceptance import Verdict
    from sam_backend.store.database import open_database

    found = read_run(run)
    project = read_sample(found, name).project_id
    with open_client(project, settings) as client, progress_bar() as show:
        judged, folder = report_lot(
            settings,
            open_database(settings),
            client,
            found,
            name,
            counting(show, "reading"),
        )
    told = judged.as_json()
    if as_json:
        echo_json(told)
    else:
        for left_out in ("images", "paper", "strata", "plan", "unread", "unread, which"):
            told.pop(left_out)
        shares = told.pop("shares")
        told |= {
            shown: f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
            for shown, one in shares.items()
            if one
        }
        echo_figures(told)
        for stratum, one in judged.strata().items():
            if one["failed"]:
                typer.echo(f"failed: {stratum}", err=True)
        echo_left_out(judged.unread, "not compared")
    typer.echo(str(folder / REPORT_HTML), err=True)
    if judged.verdict is Verdict.REJECT:
        sys.exit(1)


@app.command()
def quarantine(
    run: Run,
    project: Annotated[int, typer.Option(help="Project that the run was imported into.")],
    as_json: AsJson = False,
) -> None:
    """Remove a run's predictions from a project; what people have made of them stays."""
    settings = Settings()
    log_to_stderr(settings)
    from sam_backend.engine.bulk.review.quarantine import quarantine as remove
    from sam_backend.engine.bulk.run_folder import read_run

    with open_client(project, settings) as client:
        told = remove(client, project, read_run(run))
    echo_result(
        {"predictions": told.predictions, "tasks": told.tasks, "kept": told.kept},
        as_json,
        f"{told.predictions} predictions removed from {told.tasks} tasks, {told.kept} kept that "
        "people have worked on",
    )


def _claim(text: str) -> tuple[float, float]:
    match = _CLAIM.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"--prove takes share@iou, such as 0.97@0.75, not {text!r}")
    return float(match[1]), float(match[2])
