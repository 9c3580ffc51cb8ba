"""`sam-backend gold`: images whose masks are trusted, and who stands the test of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out, echo_table
from sam_backend.errors import InvalidInputError
from sam_backend.json_form import words
from sam_backend.progress import Progress
from sam_backend.settings import Settings

HELP = "Gold: images whose masks are trusted."

app = typer.Typer(help=HELP, no_args_is_help=True)

Digest = Annotated[str, typer.Argument(help="The image's digest, or the beginning of it.")]
Reason = Annotated[str, typer.Option(help="Reason, kept in the history.")]


@app.callback()
def gold() -> None:
    """Gold: images whose masks are trusted."""


@app.command()
def add(
    project: Annotated[
        int | None, typer.Option(help="Project whose annotations marked as ground truth count.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Data set instead: COCO, SA-1B, a manifest, mask files.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the data set's images.")] = None,
    consensus: Annotated[
        int | None,
        typer.Option(help="Take as truth what the majority of at least so many people has drawn."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Trust images: what is marked as ground truth, a data set, or what several people agree on."""
    if (project is None) == (data is None):
        raise InvalidInputError("gold comes from --project or from --data: name one")
    settings = start_command()
    from sam_backend.datasets.reading import read_dataset
    from sam_backend.projects.dataset import pull_project
    from sam_backend.projects.project import open_project
    from sam_backend.quality.gold.adding import add_gold
    from sam_backend.store.database import open_database

    with progress_bar() as show:
        if project is not None:
            with open_project(settings, project) as at:
                dataset = pull_project(
                    at,
                    observe=lambda p: show(Progress("reading", p.tasks, p.of_tasks)),
                    only_gold=consensus is None,
                )
            source = f"project {project}"
        else:
            dataset = read_dataset(Path(str(data)), images)
            source = dataset.name
        if consensus is not None:
            source += f", consensus of {consensus} or more people"
        added = add_gold(
            settings, open_database(settings), dataset, source, consensus, project is not None
        )
    if as_json:
        echo_json(added)
        return
    echo_figures(added, "disagreement", "merged", "skipped")
    if not added.images:
        typer.echo(_why_no_gold(project, data, consensus), err=True)
    echo_left_out(added.merged, "merged")
    echo_left_out(added.skipped)
    worst = sorted(added.disagreement.items(), key=lambda one: -one[1])[:5]
    for name, value in worst:
        if value > 0:
            typer.echo(f"disagreement {value:.2f}: {name}", err=True)


def _why_no_gold(project: int | None, data: Path | None, consensus: int | None) -> str:
    """Say what is missing where nothing became gold."""
    if consensus is not None:
        return f"no image has been labelled by {consensus} people or more who agree on a mask"
    if project is None:
        return f"no image of {data} with masks of one annotator: see `--consensus`"
    return (
        f"no annotation of project {project} that can be used is marked as ground truth: mark some "
        "with the star above the annotation in Label Studio, or take what several people agree on "
        "with `--consensus 2`"
    )


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """All trusted images."""
    settings = Settings()
    from sam_backend.store.database import open_database
    from sam_backend.store.gold import Gold

    images = Gold(open_database(settings)).images(with_excluded=True)
    told: list[dict[str, Any]] = [
        {
            "image": one.digest,
            "name": one.labelled.name,
            "file": one.labelled.path.name,
            "masks": len(one.labelled.masks),
            "source": one.source,
            "excluded": one.excluded,
        }
        for one in images
    ]
    if as_json:
        echo_json(told)
        return
    rows = [
        (
            one["image"][:12],
            one["name"],
            one["file"],
            str(one["masks"]),
            one["source"],
            one["excluded"] or "",
        )
        for one in told
    ]
    echo_table(
        [("IMAGE", "NAME", "FILE", "MASKS", "SOURCE", "EXCLUDED, WHY"), *rows],
        "no image is gold yet: `sam-backend gold add`",
    )


@app.command()
def exclude(image: Digest, reason: Reason, as_json: AsJson = False) -> None:
    """Do not judge by an image until it is restored."""
    settings = Settings()
    from sam_backend.store.database import open_database
    from sam_backend.store.gold import Gold

    digest = Gold(open_database(settings)).exclude(image, reason)
    echo_result({"image": digest, "excluded": reason}, as_json, digest)


@app.command()
def restore(image: Digest, reason: Reason, as_json: AsJson = False) -> None:
    """Judge by an image again."""
    settings = Settings()
    from sam_backend.store.database import open_database
    from sam_backend.store.gold import Gold

    digest = Gold(open_database(settings)).restore(image, reason)
    echo_result({"image": digest, "excluded": None}, as_json, digest)


@app.command()
def history(as_json: AsJson = False) -> None:
    """What was added, changed, excluded and restored, with the reasons."""
    settings = Settings()
    from sam_backend.store.database import open_database
    from sam_backend.store.gold import Gold

    changes = Gold(open_database(settings)).changes()
    rows = [(one.at.isoformat(), one.image, one.change, one.reason) for one in changes]
    if as_json:
        names = ("at", "image", "change", "reason")
        echo_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    short = [(at[:19], image[:12], change, reason) for at, image, change, reason in rows]
    echo_table(
        [("AT (UTC)", "IMAGE", "CHANGE", "REASON"), *short],
        "no image is gold yet: `sam-backend gold add`",
    )


@app.command()
def plant(
    project: ProjectNumber,
    per_hundred: Annotated[
        float | None,
        typer.Option(
            help="Gold copies for a hundred tasks. If left out, SAM_BACKEND_GOLD_PER_HUNDRED, or "
            "the stage's."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the choice.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Put trusted images before annotators as tasks like any other.

    The same command adds what is missing, such as after new tasks came.
    """
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at, progress_bar() as show:
        from sam_backend.quality.gold.planting import plant as put
        from sam_backend.stages.policy_resolution import gold_rate, policy_of

        told = put(
            at,
            gold_rate(at.settings, policy_of(at)) if per_hundred is None else per_hundred,
            seed,
            counting(show, "planting"),
        )
    counts = {"planted": told.made, "there_before": told.there, "wanted": told.wanted}
    echo_result(
        counts | {"not_planted": told.reasons},
        as_json,
        f"{told.made} planted, {told.there} there before, {told.wanted} wanted",
    )
    echo_left_out(told.reasons, "not planted")
    if told.made + told.there < told.wanted:
        typer.echo("there are not enough gold images for this rate", err=True)
    if told.made and told.is_last:
        typer.echo(
            "the project shows tasks in their order, so that annotators meet these last: uniform "
            "sampling, in the project's settings, mixes them in",
            err=True,
        )


@app.command()
def score(
    project: ProjectNumber,
    by: Annotated[
        str,
        typer.Option(
            help="Show a line for each label or week, or one in all: nothing, label or week."
        ),
    ] = "nothing",
    as_json: AsJson = False,
) -> None:
    """Judge annotators and models by the trusted images that they have met."""
    if by not in ("nothing", "label", "week"):
        raise InvalidInputError(f"--by is nothing, label or week, not {by!r}")
    from sam_backend.labelstudio.api.people import people_names
    from sam_backend.metrics import scorecards
    from sam_backend.projects.project import open_project
    from sam_backend.quality.gold.scoring import score_project

    with open_project(start_command(), project) as at, progress_bar() as show:
        names = people_names(at.client)
        report, _ = score_project(at, counting(show, "reading"))
    if as_json:
        echo_json(report.as_json() | {"names": names})
        return
    columns = (
        scorecards.QUALITY,
        scorecards.MATCHED_IOU,
        scorecards.BOUNDARY_IOU,
        scorecards.MISSING,
        scorecards.EXTRA,
        scorecards.WRONG_LABEL,
        scorecards.SECONDS,
    )
    rows = []
    for one in (*report.annotators, *report.models):
        cards = {"": one.card}
        if by != "nothing":
            cards = dict(one.labels if by == "label" else one.weeks)
        for key, card in cards.items():
            figures = [scorecards.shown(card.figures[name], ".3g") for name in columns]
            rows.append([names.get(card.who, card.who), key, str(card.images), *figures])
    heads = [
        "WHO",
        "" if by == "nothing" else by.upper(),
        "IMAGES",
        *(words(name).upper() for name in columns),
    ]
    echo_table([heads, *rows], f"nobody has labelled a gold image of project {project} yet")
    for one in (*report.annotators, *report.models):
        for fault in one.faults:
            typer.echo(f"{names.get(one.card.who, one.card.who)}: {fault}", err=True)
    echo_left_out(report.unread, "not compared")
