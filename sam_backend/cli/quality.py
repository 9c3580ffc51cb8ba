"""`sam-backend quality`: agreement, calibration, thresholds, and the report of all of it."""

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_left_out, echo_table
from sam_backend.errors import InvalidInputError
from sam_backend.json_form import words
from sam_backend.progress import Progress

HELP = "What masks are worth: agreement, calibration, proven thresholds."

app = typer.Typer(help=HELP, no_args_is_help=True)

Model = Annotated[
    str | None,
    typer.Option(help="Model version, see `sam-backend models list`. If left out, the project's."),
]


@app.callback()
def quality() -> None:
    """What masks are worth: agreement, calibration, proven thresholds."""


@app.command()
def agreement(project: ProjectNumber, as_json: AsJson = False) -> None:
    """How much people agree on the tasks that several of them have labelled."""
    from sam_backend.labelstudio.api.people import people_names
    from sam_backend.metrics.agreement import FIGURES, agreements
    from sam_backend.metrics.scorecards import shown
    from sam_backend.projects.project import open_project
    from sam_backend.quality.gold.answers import read_answers

    with open_project(start_command(), project) as at, progress_bar() as show:
        names = people_names(at.client)
        answers = read_answers(at, observe=counting(show, "reading"))
    found = agreements(answers.people)
    echo_left_out(answers.unread, "not compared")
    if as_json:
        echo_json(found)
        return
    rows = [
        [
            " and ".join(names.get(who, who) for who in one.people),
            str(one.images),
            *(shown(figure, ".3f") for figure in one.figures.values()),
        ]
        for one in found
    ]
    if not rows:
        typer.echo("no image has been labelled by two people", err=True)
        return
    echo_table([["PEOPLE", "IMAGES", *(words(name).upper() for name in FIGURES)], *rows])


@app.command()
def calibrate(
    project: Annotated[
        list[int] | None, typer.Option(help="Project whose prefilled tasks people have submitted.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="Bulk run whose sample people have reviewed.")
    ] = None,
    gold: Annotated[bool, typer.Option(help="Also use what was proposed for gold images.")] = True,
    precision: Annotated[
        float, typer.Option(help="Share of accepted masks that must need no correction, 0 to 1.")
    ] = 0.9,
    max_lost: Annotated[
        float, typer.Option(help="Highest share of good masks that discarding may lose, 0 to 1.")
    ] = 0.05,
    confidence: Annotated[
        float, typer.Option(help="Confidence level of the proof, for example 0.95.")
    ] = 0.95,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the reliability diagram.", callback=output_folder),
    ] = None,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Learn from judged masks what the model's scores are worth, and prove thresholds.

    Both hold for this model version from now on: scores of new predictions are probabilities, and
    `triage` = `proven` accepts and discards by what is proven.
    """
    settings = start_command(model)
    from sam_backend.datasets.left_out import LeftOut
    from sam_backend.fully_automatic.review.judged_reviews import read_judged_reviews
    from sam_backend.fully_automatic.run_folder import read_run
    from sam_backend.projects.project import Project, settings_of_project
    from sam_backend.quality.calibration.calibrated_model import Asked
    from sam_backend.quality.calibration.gather import calibrate_model, gather_judged
    from sam_backend.quality.report import write_reliability
    from sam_backend.serving.model_choice import ModelChoice
    from sam_backend.store.database import open_database
    from sam_backend.store.models import open_store

    if model is None and project is not None and len(project) == 1:
        settings = settings_of_project(settings, project[0])
    version = ModelChoice(settings, open_store(settings)).checkpoint().model_version
    database = open_database(settings)
    left_out = LeftOut()
    runs = [read_run(folder) for folder in run or ()]
    with progress_bar() as show, ExitStack() as stack:
        projects = [
            stack.enter_context(Project.of(settings, database, number)) for number in project or ()
        ]

        def observe(what: str, done: int) -> None:
            show(Progress(what, done, done))

        reviewed = [
            mask
            for one in runs
            for mask in read_judged_reviews(
                settings, one, version, partial(observe, "review"), left_out
            )
        ]
        judged = gather_judged(
            settings, database, version, projects, reviewed, gold, observe, left_out
        )
    echo_left_out(left_out, "not compared")
    if not judged:
        raise InvalidInputError(
            f"no mask of {version} has been judged: name projects or runs, or add gold"
        )
    calibrated = calibrate_model(database, version, judged, Asked(precision, max_lost, confidence))
    if out is not None:
        write_reliability(calibrated, out)
    if as_json:
        echo_json(calibrated.as_json())
        return
    typer.echo(f"{version}: {calibrated.masks} judged masks on {calibrated.images} images")
    typer.echo(
        f"expected calibration error {calibrated.before.error:.3f} before, "
        f"{calibrated.after.error:.3f} after"
    )
    typer.echo(calibrated.explain_accept())
    typer.echo(calibrated.explain_discard())


@app.command()
def report(
    project: ProjectNumber,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the page, its JSON and its plots.", callback=output_folder),
    ],
    min_annotator: Annotated[
        float | None, typer.Option(help="Lowest accepted quality of each annotator on gold images.")
    ] = None,
    min_model: Annotated[
        float | None,
        typer.Option(help="Lowest accepted quality of each model version on gold images."),
    ] = None,
    max_calibration_error: Annotated[
        float | None, typer.Option(help="Largest expected calibration error.")
    ] = None,
    proof: Annotated[
        bool, typer.Option("--proof", help="An accept threshold must be proven, and not stale.")
    ] = False,
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """All that is known of a project's quality; exit code 1 if a bar is not passed."""
    settings = start_command(model)
    from sam_backend.projects.project import open_project
    from sam_backend.quality.report import Bars, quality_report, write_report
    from sam_backend.serving.model_choice import ModelChoice
    from sam_backend.store.models import open_store

    bars = Bars(min_annotator, min_model, max_calibration_error, proof)
    with open_project(settings, project, own_model=model is None) as at, progress_bar() as show:
        version = ModelChoice(at.settings, open_store(at.settings)).checkpoint().model_version
        told = quality_report(at, version, bars, counting(show, "reading"))
        file = write_report(told, at.database, out)
    if as_json:
        echo_json(told.as_json())
    else:
        typer.echo(str(file))
    echo_left_out(told.gold.unread, "not compared")
    for failure in told.failures:
        typer.echo(failure, err=True)
    if told.failures:
        sys.exit(1)
