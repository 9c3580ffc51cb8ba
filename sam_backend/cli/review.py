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
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out, echo_table
from sam_backend.errors import InvalidInputError

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
    size: Annotated[
        int | None, typer.Option(help="Images to draw; more than before: the sample grows.", min=1)
    ] = None,
    prove: Annotated[
        str | None,
        typer.Option(help="Share of right masks @ IoU, as 0.97@0.75; draws as many as it takes."),
    ] = None,
    max_defects: Annotated[
        float | None, typer.Option(help="Share of defective images to rule out. If left out, 0.1.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Also draw from each folder, kind of image, or quarter by number of masks or "
            "by confidence."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the draw. If left out, 0.")
    ] = None,
    max_masks: MaxMasks = 100,
    output: Output = "auto",
    label: Label = None,
    upload: Upload = False,
    url_prefix: UrlPrefix = None,
    document_root: DocumentRoot = None,
    as_json: AsJson = False,
) -> None:
    """Draw images at random and put them, with their masks, into a review project.

    What the lot has to prove is written down with the first sample, before anybody looks. A larger
    --size adds images to it, and needs no other option again.
    """
    min_share, iou = _claim(prove) if prove else (None, None)
    settings = start_command()
    from sam_backend.fully_automatic.review.runs import Asked, draw_sample
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.fully_automatic.tasks import TaskOptions
    from sam_backend.projects.project import open_project

    found = read_run(run)
    asked = Asked(min_share, iou, max_defects, size, tuple(by) if by else None, seed)
    with (
        open_project(settings, project) as at,
        progress_bar() as show,
    ):
        drawn = draw_sample(
            at,
            found,
            asked,
            addresses_of(found, at, upload, url_prefix, document_root),
            TaskOptions(max_masks=max_masks, output=output, label=label),
            observe=counting(show, "sampling"),
        )
    lot, plan = drawn.sample, drawn.sample.plan
    clean, *further = plan.for_lot(lot.n_lot).accepting_sizes(2)
    told = {
        "folder": str(drawn.folder),
        "images": len(lot.images),
        "images_that_decide": len(lot.deciding),
        "of": lot.n_lot,
        "new": drawn.imported.made,
        "accepted_after_images": [clean, *further],
        "left_out": drawn.imported.left_out,
    }
    echo_result(told, as_json, str(drawn.folder))
    typer.echo(
        f"{len(lot.images) - drawn.imported.unreadable} of {lot.n_lot} images are in project "
        f"{project} ({drawn.imported.made} new); {len(lot.deciding)} drawn at random from the "
        "whole lot decide",
        err=True,
    )
    if drawn.imported.unreadable:
        typer.echo(
            f"{drawn.imported.unreadable} of the drawn images could not be read: put the files "
            "back and repeat the command; the lot is not accepted while they are missing",
            err=True,
        )
    echo_left_out(drawn.imported.left_out)
    typer.echo(
        f"{plan.severity} inspection: {clean} images without a defect prove less than "
        f"{plan.max_defects:.3g} defective ones"
        + "".join(f"; with {n} defective it takes {size}" for n, size in enumerate(further, 1)),
        err=True,
    )


@app.command()
def report(
    run: Run,
    name: Annotated[
        str | None, typer.Option("--sample", help="Name of the sample. If left out, the newest.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a lot by what people have done to its sample.

    Exit code 0: accepted, 1: rejected, 3: not decided yet. Each look is kept; a rejected lot stays
    rejected.
    """
    settings = start_command()
    from sam_backend.fully_automatic.review.judging import history_rows
    from sam_backend.fully_automatic.review.runs import report_lot
    from sam_backend.fully_automatic.review.samples import REPORT_HTML, read_sample
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.metrics.acceptance import Verdict
    from sam_backend.projects.project import open_project

    found = read_run(run)
    project = read_sample(found, name).project_id
    with open_project(settings, project) as at, progress_bar() as show:
        judged, folder = report_lot(at, found, name, counting(show, "reading"))
    if as_json:
        echo_json(judged)
    else:
        inner = ("images", "paper", "strata", "plan", "unread", "history", "no_longer_defective")
        echo_figures(judged, *inner)
        typer.echo()
        rows = [
            (one.at, one.times, one.what, one.found, one.verdict) for one in history_rows(judged)
        ]
        echo_table([("FIRST AT", "TIMES", "WHAT", "FOUND", "VERDICT"), *rows])
        for stratum, one in judged.strata().items():
            if one.failed:
                typer.echo(f"failed: {stratum}", err=True)
        echo_left_out(judged.unread, "not compared")
    typer.echo(str(folder / REPORT_HTML), err=True)
    if judged.verdict is Verdict.REJECT:
        sys.exit(1)
    if judged.verdict is Verdict.CONTINUE:
        size = judged.settling_size
        if judged.unseen:
            typer.echo(f"{judged.unseen} images of the sample are not submitted yet", err=True)
        elif size > len(judged.sample.deciding):
            typer.echo(
                f"{judged.more_clean_images} more images without a defect would settle it: "
                f"sam-backend review sample {run} --project {judged.sample.project_id} "
                f"--size {size}",
                err=True,
            )
        sys.exit(3)


@app.command()
def quarantine(
    run: Run,
    project: Annotated[int, typer.Option(help="Project that the run was imported into.")],
    anyway: Annotated[
        str | None, typer.Option(help="Reason for removing a lot that is not rejected.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Remove a rejected run's predictions from a project; what people have made of them stays."""
    settings = start_command()
    from sam_backend.fully_automatic.review.quarantine import quarantine as remove
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.projects.project import open_project

    found = read_run(run)
    with open_project(settings, project) as at:
        told = remove(at, found, anyway)
    echo_result(
        {"predictions": told.predictions, "tasks": told.tasks, "kept": told.kept},
        as_json,
        f"{told.predictions} predictions removed from {told.tasks} tasks, {told.kept} kept that "
        "people have worked on",
    )


@app.command()
def reopen(
    run: Run,
    reason: Annotated[str, typer.Option(help="Reason; it is kept with all that was seen before.")],
    as_json: AsJson = False,
) -> None:
    """Begin a lot's review anew: another sample, plan or project, whatever the verdict was.

    The promise of a plan holds from one opening to the next. What was seen before stays in the
    lot's history.
    """
    settings = start_command()
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.store.database import open_database
    from sam_backend.store.lots import Lots

    found = read_run(run)
    Lots(open_database(settings)).reopen(found.run_id, reason)
    text = f"lot {found.run_id} is open again: `sam-backend review sample` draws its sample"
    echo_result({"run": found.run_id, "reason": reason}, as_json, text)


def _claim(text: str) -> tuple[float, float]:
    match = _CLAIM.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"--prove takes share@iou, such as 0.97@0.75, not {text!r}")
    return float(match[1]), float(match[2])
