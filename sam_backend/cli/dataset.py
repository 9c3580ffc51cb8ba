"""`sam-backend dataset`: versions of a project's annotations."""

from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.paths import output_folder
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_figures, echo_left_out, echo_table
from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from sam_backend.datasets.types import Dataset

HELP = "Versions of a project's annotations: commit, compare, take out, put back."

app = typer.Typer(help=HELP, no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A tag, the first digits of a digest, or head.")]

_DIGITS = 12


class Format(StrEnum):
    """What a version is exported as."""

    COCO = "coco"
    SA1B = "sa1b"
    LABELSTUDIO = "labelstudio"


@app.callback()
def dataset() -> None:
    """Versions of a project's annotations: commit, compare, take out, put back."""


@app.command()
def commit(
    project: ProjectNumber,
    message: Annotated[str, typer.Option("--message", "-m", help="What is in it, for people.")],
    stage: Annotated[
        str | None, typer.Option(help="Stage of the project. If left out, the stage it is in.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model version to record. If left out, the project's.")
    ] = None,
    everything: Annotated[
        bool, typer.Option(help="Read the annotations of every task, not only of changed ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read what the project has now, and keep it as a version."""
    from sam_backend.projects.project import open_project

    with (
        open_project(start_command(model), project, own_model=model is None) as at,
        progress_bar() as show,
    ):
        from sam_backend.serving.model_choice import ModelChoice
        from sam_backend.stages.policy_resolution import policy_of
        from sam_backend.store.models import open_store
        from sam_backend.store.versions import Circumstances
        from sam_backend.versions.reading import read_project

        served = ModelChoice(at.settings, open_store(at.settings)).checkpoint().model_version
        read = read_project(at, everything, counting(show, "reading"))
        config = str(read.project["label_config"])
        policy = policy_of(at)
        if stage is None and policy is not None:
            stage = policy.stage
        told = Circumstances(message, config, served, stage)
        version = at.versions.commit(told, datetime.now(UTC))
    if as_json:
        shown = None if version is None else {"digest": version.digest, **asdict(version)}
        counts = {"tasks": read.tasks, "fetched": read.fetched, "revisions": read.revisions}
        echo_json({"version": shown, "read": counts})
    elif version is None:
        typer.echo("nothing has changed since the last version")
    else:
        typer.echo(
            f"{version.digest[:_DIGITS]}: {version.tasks} tasks, {version.annotations} "
            f"annotations, {version.regions} regions ({read.revisions} new revisions)"
        )


@app.command()
def log(
    project: ProjectNumber,
    edits: Annotated[
        bool, typer.Option("--edits", help="Every revision of a task or annotation instead.")
    ] = False,
    task: Annotated[
        int | None, typer.Option(help="With --edits: show only revisions of this task.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Number of entries to show at most.")] = None,
    as_json: AsJson = False,
) -> None:
    """List versions, or every edit that was seen; newest first."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project, may_be_away=True) as at:
        if edits or task is not None:
            revisions = at.revisions.history(task, limit=limit)
            lines = [asdict(one) | {"stamp": one.stamp, "at": one.at} for one in revisions]
            rows = [
                [
                    str(one.id),
                    f"{one.stamp:%Y-%m-%d %H:%M:%S}",
                    one.person or "?",
                    "" if one.task is None else str(one.task),
                    f"{one.subject} {one.number}",
                    one.change,
                    str(one.regions),
                    (one.digest or "")[:_DIGITS],
                    one.source if one.is_confirmed else f"{one.source}, unconfirmed",
                ]
                for one in revisions
            ]
            heads = ["REVISION", "SAVED", "BY", "TASK", "OF", "CHANGE", "REGIONS", "STATE", "FROM"]
        else:
            tags = at.versions.tags()
            found = at.versions.log(limit)
            lines = [
                {"digest": one.digest, "tags": tags.get(one.digest, []), **asdict(one)}
                for one in found
            ]
            rows = [
                [
                    one.digest[:_DIGITS],
                    one.at[:19].replace("T", " "),
                    ", ".join(tags.get(one.digest, [])),
                    str(one.tasks),
                    str(one.annotations),
                    str(one.regions),
                    one.model_version or "",
                    one.stage or "",
                    one.message,
                ]
                for one in found
            ]
            heads = ["VERSION", "AT", "TAGS", "TASKS", "ANNOTATIONS", "REGIONS", "MODEL", "STAGE"]
            heads.append("MESSAGE")
    if as_json:
        echo_json(lines)
    else:
        of = f"project {project}" if task is None else f"task {task} in project {project}"
        echo_table(
            [heads, *rows],
            f'nothing is kept of {of} yet: `sam-backend dataset commit --project {project} -m "…"`',
        )


@app.command()
def show(project: ProjectNumber, version: Name, as_json: AsJson = True) -> None:
    """Everything that a version says of itself, as JSON."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project, may_be_away=True) as at:
        found = at.versions.find(version)
        tags = at.versions.tags().get(found.digest, [])
    echo_json({"digest": found.digest, "tags": tags, **asdict(found)})


@app.command()
def diff(
    project: ProjectNumber,
    before: Name,
    after: Name,
    draw: Annotated[
        Path | None,
        typer.Option(
            help="Folder for a page that shows regions before and after.", callback=output_folder
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Number of regions to draw at most.")] = 60,
    as_json: AsJson = False,
) -> None:
    """What differs between two versions, in regions: added, removed, relabelled, changed."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at, progress_bar() as bar:
        from sam_backend.versions.changes import differences

        first, second = at.versions.find(before), at.versions.find(after)
        found = differences(at, first, second, counting(bar, "comparing"))
        if draw is not None:
            from sam_backend.labelstudio.config.label_config import LabelConfig
            from sam_backend.versions.drawing import difference_page

            draw.mkdir(parents=True, exist_ok=True)
            (draw / "diff.html").write_text(
                difference_page(
                    at,
                    f"Project {project}: {before} to {after}",
                    found,
                    LabelConfig.parse(at.versions.label_config(second)),
                    at.images(draw),
                    limit,
                    counting(bar, "drawing"),
                )
            )
    if as_json:
        echo_json(found)
    else:
        echo_figures(found, "changes", "not_compared")
        for one in found.regions:
            labels = f"{one.label_before} -> {one.label_after}"
            iou = "" if one.iou is None else f", IoU {one.iou:.3f}"
            typer.echo(f"task {one.task}, {one.region}: {' and '.join(one.kinds)}, {labels}{iou}")
        echo_left_out(found.unread, "not compared")
    if draw is not None:
        typer.echo(str(draw / "diff.html"), err=True)


@app.command()
def tag(
    project: ProjectNumber,
    name: Annotated[str, typer.Argument(help="Name of the tag.")],
    version: Name = "head",
    as_json: AsJson = False,
) -> None:
    """Name a version for good: tags do not move."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        found = at.versions.find(version)
        at.versions.tag(name, found, datetime.now(UTC))
    told = {"tag": name, "digest": found.digest}
    echo_result(told, as_json, f"{name} is {found.digest[:_DIGITS]}")


@app.command()
def checkout(
    project: ProjectNumber,
    version: Name,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for manifest.jsonl, its images, version.json.", callback=output_folder
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Write a version as a data set that `train`, `evaluate` and `gold add` read."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at, progress_bar() as bar:
        from sam_backend.versions.checkout import MANIFEST, check_out

        data = check_out(at, at.versions.find(version), out, counting(bar, "writing"))
    file = str(out / MANIFEST)
    echo_result({"file": file} | _facts(data), as_json, file)
    _say_what(data)


@app.command()
def export(
    project: ProjectNumber,
    version: Name,
    out: Annotated[
        Path, typer.Option(help="Folder; made if it is missing.", callback=output_folder)
    ],
    format_: Annotated[Format, typer.Option("--format", help="Format of the files.")] = Format.COCO,
    as_json: AsJson = False,
) -> None:
    """Write a version as COCO's instances, SA-1B's files, or tasks for Label Studio's import."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at, progress_bar() as bar:
        from sam_backend.datasets.exporting import export_coco, export_sa1b
        from sam_backend.versions.checkout import check_out, write_tasks

        found = at.versions.find(version)
        if format_ is Format.LABELSTUDIO:
            count = write_tasks(at.versions, found, out)
            echo_result({"tasks": count, "to": str(out)}, as_json, f"{count} tasks")
            return
        data = check_out(at, found, out, counting(bar, "writing"))
        if format_ is Format.COCO:
            count, what = export_coco(data, out / "instances.json"), "masks"
        else:
            count, what = export_sa1b(data, out / "annotations"), "files"
    echo_result({what: count, "to": str(out)} | _facts(data), as_json, f"{count} {what}")
    _say_what(data)


@app.command()
def restore(
    project: ProjectNumber,
    task: Annotated[int, typer.Option(help="Number of the task.")],
    version: Annotated[
        str | None,
        typer.Option(help="Restore all annotations of the task as they were in this version."),
    ] = None,
    revision: Annotated[
        int | None,
        typer.Option(help="Restore one annotation as it was in this revision, see `log --edits`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put earlier annotations of a task back into Label Studio; what is there stays in the log."""
    if (version is None) == (revision is None):
        raise InvalidInputError("restore takes either --version or --revision")
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        from sam_backend.versions import restoring

        if revision is not None:
            one = at.revisions.revision(revision)
            wanted = restoring.states_of_revision(at.versions, one, task)
        else:
            found = at.versions.find(version or "")
            wanted = restoring.states_of_version(at.versions, found, task)
        told = restoring.restore(at, task, wanted)
    echo_result(
        told,
        as_json,
        f"{told.changed} changed back, {told.made} made anew, {told.same} as they were, "
        f"{told.later} later ones stay",
    )


def _facts(data: "Dataset") -> dict[str, Any]:
    """Return what was written and what was not, for `--json`."""
    return {
        "masks": data.n_masks,
        "images": len(data),
        "images_without_masks": sum(not image.masks for image in data),
        "left_out": data.skipped,
    }


def _say_what(data: "Dataset") -> None:
    """Say on stderr what was written and what was not."""
    n_bare = sum(not image.masks for image in data)
    bare = f" ({n_bare} of them without masks)" if n_bare else ""
    typer.echo(f"{data.n_masks} masks on {len(data)} images{bare}", err=True)
    echo_left_out(data.skipped)
