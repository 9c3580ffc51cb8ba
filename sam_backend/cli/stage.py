"""`sam-backend stage`: where a project stands, and its moves from stage to stage."""

import getpass
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend import json_form
from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.paths import output_picture
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.progress_bar import progress_bar
from sam_backend.cli.tables import echo_table
from sam_backend.errors import SamBackendError
from sam_backend.json_form import words
from sam_backend.progress import Progress
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.projects.project import Project
    from sam_backend.stages.gates import Checked
    from sam_backend.stages.transitions import Standing
    from sam_backend.store.stage_moves import StageMove

HELP = "Accuracy, then coverage, then scale: the stage of a project, and its gates."

app = typer.Typer(help=HELP, no_args_is_help=True)

Reason = Annotated[
    str, typer.Option(help="Reason for moving although a gate says no; it is kept in the history.")
]
Measure = Annotated[bool, typer.Option(help="First bring the measurements up to date.")]


@app.callback()
def stage() -> None:
    """Accuracy, then coverage, then scale: the stage of a project, and its gates."""


@app.command()
def policy(as_json: AsJson = False) -> None:
    """The table of stages: what each is for, how it works, and when it is left."""
    from sam_backend.stages.policy import policies

    told = policies(Settings().stages)
    if as_json:
        echo_json(told)
        return
    rows = [("", *(f"STAGE {one.stage}" for one in told.values()))]
    for field in fields(next(iter(told.values()))):
        if field.name not in ("stage", "up", "down"):
            values = (getattr(one, field.name) for one in told.values())
            rows.append((words(field.name), *map(_shown, values)))
    echo_table(rows)
    for one in told.values():
        for way, gates in (("up", one.up), ("down", one.down)):
            for gate in gates:
                typer.echo(f"stage {one.stage} {way}: {gate.figure}, {gate.asked}")


@app.command()
def status(project: ProjectNumber, measure: Measure = False, as_json: AsJson = False) -> None:
    """Every gate of the project's stage: its figure, and what is missing."""
    with _standing(project, measure) as (_, now):
        if as_json:
            told = json_form.as_json(now)
            echo_json(told | {"may_advance": now.may_advance, "must_retreat": now.must_retreat})
            return
        begun = "begun" if now.move is None else f"since {now.move.at:%Y-%m-%d %H:%M}"
        where = f"stage {now.policy.stage}, {now.policy.name}, for {now.policy.aim}"
        if now.move is None:
            typer.echo(f"in no stage yet (`sam-backend stage begin`); of {where}:")
        else:
            typer.echo(f"{where}: {begun} by {now.move.by}, {now.move.reason}")
        rows = [("", "GATE", "NOW", "ASKED", "")]
        rows += [_row("up", one) for one in now.up]
        rows += [_row("down", one) for one in now.down]
        echo_table(rows)
        if now.must_retreat:
            typer.echo("back: a gate down is open")
        elif now.may_advance:
            typer.echo("on: every gate up is open")


@app.command()
def begin(project: ProjectNumber, as_json: AsJson = False) -> None:
    """Put a project into the first stage: from now on it works as the table says."""
    from sam_backend.stages.transitions import begin as begin_

    with _standing(project, False) as (at, now):
        _told(begin_(at.stage_moves, now, _who(), datetime.now(UTC)), as_json)


@app.command()
def advance(
    project: ProjectNumber, reason: Reason = "", measure: Measure = True, as_json: AsJson = False
) -> None:
    """On to the next stage, if every gate is open or there is a reason; exit code 1 if not."""
    from sam_backend.stages.transitions import advance as move

    _move(project, measure, reason, move, as_json)


@app.command()
def retreat(
    project: ProjectNumber, reason: Reason = "", measure: Measure = True, as_json: AsJson = False
) -> None:
    """Back to the stage before, if a gate down is open or there is a reason."""
    from sam_backend.stages.transitions import retreat as move

    _move(project, measure, reason, move, as_json)


@app.command()
def log(project: ProjectNumber, as_json: AsJson = False) -> None:
    """All moves of a project, newest first, with what the gates read."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project, may_be_away=True) as at:
        moves = list(reversed(at.stage_moves.history()))
    if as_json:
        echo_json(moves)
        return
    rows = [(f"{one.at:%Y-%m-%d %H:%M}", one.stage, one.by, one.reason) for one in moves]
    echo_table(
        [("WHEN", "STAGE", "BY", "WHY"), *rows],
        f"project {project} is in no stage yet: `sam-backend stage begin --project {project}`",
    )


@app.command()
def plot(
    project: ProjectNumber,
    out: Annotated[Path, typer.Option(help="PNG that is written.", callback=output_picture)],
    as_json: AsJson = False,
) -> None:
    """Draw quality against speed, and seconds a mask as the project went on.

    With --json the figures that are drawn are printed, too.
    """
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project, may_be_away=True) as at:
        from sam_backend.monitoring.stage_plot import draw_stages
        from sam_backend.monitoring.surveying import board_of, served_by

        told = board_of(at, served_by(at.settings))
        if told.course is None or told.trade_off is None:
            reason = told.failures.get("course") or told.failures["trade_off"]
            raise SamBackendError(f"the stages cannot be drawn: {reason}")
        draw_stages(told.course, told.trade_off, told.policies, out)
    drawn = {"file": str(out), "course": told.course, "trade_off": told.trade_off}
    echo_result(drawn, as_json, str(out))


@contextmanager
def _standing(project: int, measures: bool) -> "Iterator[tuple[Project, Standing]]":
    """A project and how it stands, measured anew or as it was measured last."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        from sam_backend.monitoring.surveying import evidence_of, measure
        from sam_backend.stages.policy import policies
        from sam_backend.stages.transitions import standing

        told = policies(at.settings.stages)
        if measures:
            with progress_bar() as show:
                measure(at, lambda what, done: show(Progress(what, done)))
        yield at, standing(evidence_of(at), told)


def _move(
    project: int, measures: bool, reason: str, move: "Callable[..., StageMove]", as_json: bool
) -> None:
    from sam_backend.stages.policy import policies

    with _standing(project, measures) as (at, now):
        told = policies(at.settings.stages)
        _told(move(at.stage_moves, now, told, _who(), datetime.now(UTC), reason), as_json)


def _told(move: "StageMove", as_json: bool) -> None:
    echo_result(move, as_json, f"stage {move.stage}: {move.reason}")


def _who() -> str:
    """Who moves the project; a container's user may have no name."""
    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _row(way: str, one: "Checked") -> tuple[str, str, str, str, str]:
    reading = one.reading
    if reading is None:
        now = "unknown"
    else:  # what differs by rounding alone is the same
        value, low, high = (
            f"{round(end, 9) + 0.0:.3g}" for end in (reading.value, reading.low, reading.high)
        )
        now = f"{value} (n {reading.n})"
        if low != high:
            now = f"{value} ({low} to {high}, n {reading.n})"
    state = "open" if one.passes else one.missing
    if way == "down":
        state = "open: back" if one.passes else "shut"
    return way, one.gate.figure.value, now, one.gate.asked.removesuffix(" is asked"), state


def _shown(value: object) -> str:
    """A cell of the table of stages."""
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return " to ".join(f"{one:g}" for one in value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value)) if value else "as set"
    return f"{value:g}" if isinstance(value, float) else str(value)
