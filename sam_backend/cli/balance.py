"""`sam-backend tasks balance`: queues filled and levelled, once or all the while."""

import logging
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.process_setup import leaving_at_signals, start_command
from sam_backend.cli.tables import echo_table
from sam_backend.errors import InvalidInputError, SamBackendError

if TYPE_CHECKING:
    from sam_backend.dispatch.report import Balance

log = logging.getLogger(__name__)


def balance(
    project: ProjectNumber,
    every: Annotated[
        float | None,
        typer.Option(
            help="Seconds between two balancings. If left out, balance once and end.", min=1
        ),
    ] = None,
    horizon_minutes: Annotated[
        float, typer.Option(help="Minutes of work in each queue.", min=1)
    ] = 30,
    lease_minutes: Annotated[
        float,
        typer.Option(help="Minutes after which the tasks of absent people go to others.", min=1),
    ] = 240,
    absent_minutes: Annotated[
        float,
        typer.Option(help="Minutes without activity after which somebody counts as absent.", min=1),
    ] = 30,
    keep: Annotated[
        int,
        typer.Option(
            help="Number of tasks at the head of each queue that nobody else can get.", min=0
        ),
    ] = 1,
    gold_per_hundred: Annotated[
        float | None,
        typer.Option(help="Number of gold tasks for a hundred others in a queue.", min=0, max=100),
    ] = None,
    skills_field: Annotated[
        str, typer.Option(help="Field of the tasks with the skills they ask for.")
    ] = "skills",
    language_field: Annotated[
        str, typer.Option(help="Field of the tasks with their language.")
    ] = "language",
    as_json: AsJson = False,
) -> None:
    """Fill the queues, level them, and take back what absent people hold.

    Any number of these may run for one project, and each may be killed at any moment. With --every
    the first SIGINT or SIGTERM ends after the balancing in hand.
    """
    from sam_backend.projects.project import open_project

    stopped = threading.Event()
    with (
        leaving_at_signals(stopped.set),
        open_project(start_command(), project, may_be_away=every is not None) as at,
    ):
        from sam_backend.dispatch.balancing import Dispatcher
        from sam_backend.dispatch.types import DispatchSettings
        from sam_backend.stages.policy_resolution import gold_rate, policy_of

        gold = (
            gold_rate(at.settings, policy_of(at)) if gold_per_hundred is None else gold_per_hundred
        )
        settings = DispatchSettings(
            horizon_s=60 * horizon_minutes,
            lease_s=60 * lease_minutes,
            absent_after_s=60 * absent_minutes,
            gold_per_hundred=gold,
            keep=keep,
            skills_field=skills_field,
            language_field=language_field,
        )
        dispatcher = Dispatcher(at, settings)
        while True:
            try:
                _tell(dispatcher.balance(), as_json)
            except InvalidInputError:
                raise
            except SamBackendError as error:  # Label Studio or the database comes back
                if every is None:
                    raise
                log.warning("project %d: %s", project, error)
            if every is None or stopped.wait(every):
                return


def _tell(told: "Balance", as_json: bool) -> None:
    if as_json:
        echo_json(told.as_json())
        return
    echo_table(
        [
            ("WHO", "HERE", "TASKS", "MINUTES", "S A MASK", "DONE", "GOLD"),
            *(
                (
                    one.name,
                    "yes" if one.is_present else "no",
                    str(one.queue),
                    f"{one.expected_minutes:.0f}",
                    f"{one.seconds_a_mask:.1f}",
                    str(one.done),
                    str(one.gold),
                )
                for one in told.people
            ),
        ]
    )
    ended = "".join(f", {count} {outcome}" for outcome, count in told.ended.items())
    typer.echo(
        f"{told.labelled} of {told.tasks} tasks labelled; {told.given} given, {told.moved} moved"
        f"{ended}"
    )
    for needs, count in told.unservable.items():
        wants = ", ".join([*sorted(needs.skills), *([needs.language] if needs.language else [])])
        who = f"somebody with {wants}" if wants else "somebody else"
        typer.echo(f"{count} annotations wait for {who} who has a queue and is here", err=True)
    names = {one.person: one.name for one in told.people}
    for found in told.violations:
        typer.echo(
            f"{names.get(found.person, found.person)} has labelled task {found.task} "
            + ("after it went to somebody else" if found.kind == "late" else "outside the queue"),
            err=True,
        )
