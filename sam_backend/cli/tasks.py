"""`sam-backend tasks`: who labels what, and in which order."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from math import isfinite
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.launching import (
    keep_compiled,
    leaving_at_signals,
    log_to_stderr,
    settings_with,
    tune_allocator,
)
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_table
from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.settings import Settings

if TYPE_CHECKING:
    from sam_backend.engine.dispatch.report import Balance
    from sam_backend.engine.ordering.ordering import Ordering
    from sam_backend.labelstudio.client import LabelStudioClient
    from sam_backend.store.annotators import Annotators
    from sam_backend.store.database import Database
    from sam_backend.store.versions import Versions

HELP = "Queues of annotators, and which tasks should be labelled next."

app = typer.Typer(help=HELP, no_args_is_help=True)
log = logging.getLogger(__name__)

Project = Annotated[int, typer.Option(help="Number of the Label Studio project.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]
Who = Annotated[list[str], typer.Argument(help="Email address or user id.")]


@dataclass(frozen=True, slots=True)
class _Opened:
    settings: Settings
    client: "LabelStudioClient"
    database: "Database"
    project: int

    @property
    def annotators(self) -> "Annotators":
        """Who has a queue."""
        from sam_backend.store.annotators import Annotators

        return Annotators(self.database, self.client.host.url, self.project)

    def numbers(self, who: list[str]) -> list[str]:
        """User ids of people by email address or user id."""
        from sam_backend.labelstudio.people import people_names

        names = people_names(self.client)
        by_name = {name.lower(): number for number, name in names.items()}
        # somebody whose account is gone can still leave
        known = names.keys() | {one.person for one in self.annotators.list()}
        found = []
        for one in who:
            number = one if one in known else by_name.get(one.lower())
            if number is None:
                raise InvalidInputError(f"Label Studio knows nobody called {one!r}")
            found.append(number)
        return found


@contextmanager
def _opened(project: int, settings: Settings | None = None) -> Iterator[_Opened]:
    settings = settings or Settings()
    log_to_stderr(settings)
    from sam_backend.engine.project_dataset import client_of_project
    from sam_backend.store.database import open_database

    with client_of_project(settings, project) as client:
        yield _Opened(settings, client, open_database(settings), project)


@app.callback()
def tasks() -> None:
    """Queues of annotators, and which tasks should be labelled next."""


@app.command()
def join(
    project: Project,
    who: Annotated[
        list[str] | None, typer.Argument(help="Email address or user id; all with --everyone.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Everybody who has an account.")
    ] = False,
    skill: Annotated[
        list[str] | None, typer.Option(help="They can do tasks that ask for it.")
    ] = None,
    language: Annotated[list[str] | None, typer.Option(help="Likewise.")] = None,
) -> None:
    """Give people a queue, or other skills and languages; the next balancing fills it."""
    if bool(who) == everyone:
        raise InvalidInputError("join takes either people or --everyone")
    with _opened(project) as at:
        from sam_backend.labelstudio.people import people_names

        chosen = list(people_names(at.client)) if everyone else at.numbers(who or [])
        for person in chosen:
            at.annotators.join(person, skill or (), language or (), datetime.now(UTC))
    typer.echo(f"{len(chosen)} with a queue")


@app.command()
def leave(project: Project, who: Who) -> None:
    """Take queues away; what people held goes to others at the next balancing."""
    with _opened(project) as at:
        for person in at.numbers(who):
            at.annotators.leave(person, datetime.now(UTC))


@app.command()
def away(
    project: Project,
    who: Who,
    until: Annotated[
        datetime | None, typer.Option(help="Back from then on; until `tasks back` without.")
    ] = None,
) -> None:
    """Give people nothing for a while; what they held goes to others at the next balancing."""
    with _opened(project) as at:
        from sam_backend.store.annotators import FOR_GOOD

        moment = FOR_GOOD if until is None else until.astimezone(UTC)
        for person in at.numbers(who):
            at.annotators.away(person, moment)


@app.command()
def back(project: Project, who: Who) -> None:
    """People who were away are here again."""
    with _opened(project) as at:
        for person in at.numbers(who):
            at.annotators.back(person, datetime.now(UTC))


@app.command()
def people(project: Project, as_json: AsJson = False) -> None:
    """Show who has a queue, and what is in it."""
    with _opened(project) as at:
        from sam_backend.labelstudio.people import people_names
        from sam_backend.store.annotators import FOR_GOOD
        from sam_backend.store.leases import Leases

        names = people_names(at.client)
        leases = Leases(at.database, at.client.host.url, project)
        held, violations = leases.held(), leases.violations()
        lines = [
            asdict(one)
            | {
                "name": names.get(one.person, "?"),
                "skills": sorted(one.skills),
                "languages": sorted(one.languages),
                "queue": [lease.task for lease in held if lease.person == one.person],
                "violations": sum(found.person == one.person for found in violations),
            }
            for one in at.annotators.list()
        ]
    if as_json:
        typer.echo(json.dumps(lines, indent=2, default=str))
        return
    rows = [("WHO", "TASKS", "SKILLS", "LANGUAGES", "AWAY UNTIL", "OUTSIDE THE QUEUE")]
    for line in lines:
        until, has_left = line["away_until"], line["left_at"] is not None
        told = (
            "for good" if until == FOR_GOOD else "" if until is None else f"{until:%Y-%m-%d %H:%M}"
        )
        rows.append(
            (
                str(line["name"]),
                "has left" if has_left else str(len(line["queue"])),
                ", ".join(line["skills"]),
                ", ".join(line["languages"]),
                told,
                str(line["violations"]),
            )
        )
    echo_table(rows)


@app.command()
def balance(
    project: Project,
    every: Annotated[
        float | None, typer.Option(help="Seconds between two balancings; once without.", min=1)
    ] = None,
    horizon_minutes: Annotated[float, typer.Option(help="Work in a queue.", min=1)] = 30,
    lease_minutes: Annotated[
        float, typer.Option(help="Tasks of absent people go back after so long.", min=1)
    ] = 240,
    absent_minutes: Annotated[
        float, typer.Option(help="Somebody not seen for so long is absent.", min=1)
    ] = 30,
    patience_days: Annotated[
        float,
        typer.Option(help="A task that has waited for so long is as urgent as any.", min=0.01),
    ] = 14,
    keep: Annotated[
        int, typer.Option(help="Tasks at the head of a queue that nobody else gets.", min=0)
    ] = 1,
    gold_per_hundred: Annotated[
        float | None,
        typer.Option(help="Gold tasks in a queue for a hundred others.", min=0, max=100),
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
    stopped = threading.Event()
    with leaving_at_signals(stopped.set), _opened(project) as at:
        from sam_backend.engine.dispatch.balancing import Dispatcher, DispatchSettings

        gold = at.settings.gold_per_hundred if gold_per_hundred is None else gold_per_hundred
        settings = DispatchSettings(
            horizon_s=60 * horizon_minutes,
            lease_s=60 * lease_minutes,
            absent_after_s=60 * absent_minutes,
            gold_per_hundred=gold,
            keep=keep,
            skills_field=skills_field,
            language_field=language_field,
        )
        dispatcher = Dispatcher(at.client, project, at.database, settings)
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


@app.command()
def order(
    project: Project,
    stage: Annotated[str, typer.Option(help="1, 2 or 3: what counts how much.")] = "1",
    weight: Annotated[
        list[str] | None,
        typer.Option(help="uncertainty=, gap=, diversity= or freshness=, instead of the stage's."),
    ] = None,
    inject: Annotated[
        float,
        typer.Option(help="Share of the order for under-represented groups.", min=0, max=1),
    ] = 0.3,
    kinds: Annotated[int, typer.Option(help="Kinds of images at the most.", min=1)] = 10,
    model: Annotated[
        str | None, typer.Option(help="Version, see `sam-backend models list`.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    limit: Annotated[int, typer.Option(help="Tasks shown at the most.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Find the order in which tasks should be labelled, and why; the next balancing follows it."""
    from sam_backend.engine.ordering.scores import STAGE_WEIGHTS

    if stage not in STAGE_WEIGHTS:
        raise InvalidInputError(f"the stage is {', '.join(STAGE_WEIGHTS)}, not {stage!r}")
    weights = replace(STAGE_WEIGHTS[stage], **_numbers(weight or []))
    with _ordering(project, kinds, model, device) as (ordering, _), progress_bar() as show:
        found = ordering.order(weights, inject, counting(show, "seeing images"))
    if as_json:
        lines = [asdict(one) for one in found.orders]
        typer.echo(json.dumps({"tasks": lines, "unseen": dict(found.unseen)}, default=str))
        return
    rows = [(str(one.task), f"{one.priority:.4f}", one.reason) for one in found.orders[:limit]]
    echo_table([("TASK", "PRIORITY", "WHY"), *rows])
    for number, reason in list(found.unseen.items())[:limit]:
        typer.echo(f"task {number} is not seen: {reason}", err=True)


@app.command()
def gaps(
    project: Project,
    before: Annotated[
        str | None, typer.Option(help="A version of `sam-backend dataset`, to compare with.")
    ] = None,
    kinds: Annotated[int, typer.Option(help="Kinds of images at the most.", min=1)] = 10,
    model: Annotated[
        str | None, typer.Option(help="Version, see `sam-backend models list`.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which labels, sizes and kinds of images are under-represented in what is labelled."""
    from sam_backend.engine.ordering.planning import change_table

    with _ordering(project, kinds, model, device) as (ordering, versions), progress_bar() as show:
        version = None if before is None else versions.find(before)
        then, now = ordering.surveys(version, counting(show, "seeing images"))
    table = change_table(() if then is None else then.groups, now.groups)
    if as_json:
        typer.echo(json.dumps([dict(row) for row in table], indent=2))
        return
    rows = [("WHAT", "NAME", "WANTED", "BEFORE", "NOW", "")]
    for row in table:
        was = "" if then is None else f"{row['share before']:.1%}"
        is_under = "under-represented" if row["under-represented"] else ""
        rows.append(
            (
                *(str(row["what"]), str(row["name"]), f"{row['wanted']:.1%}"),
                *(was, f"{row['share']:.1%}", is_under),
            )
        )
    echo_table(rows)


@contextmanager
def _ordering(
    project: int, kinds: int, model: str | None, device: str | None
) -> Iterator[tuple["Ordering", "Versions"]]:
    settings = settings_with(model, device)
    tune_allocator(settings)
    keep_compiled(settings)
    with _opened(project, settings) as at:
        from sam_backend.engine.ordering.ordering import Ordering
        from sam_backend.engine.serving import serving_champion
        from sam_backend.store.versions import Versions

        with serving_champion(settings) as champion:
            yield (
                Ordering(settings, at.client, project, at.database, champion, kinds),
                Versions(at.database, at.client.host.url, project),
            )


def _numbers(told: list[str]) -> dict[str, float]:
    """`name=value` of weights.

    Raises:
        InvalidInputError: A name is unknown, or a value no number.
    """
    from sam_backend.engine.ordering.scores import Weights

    known = [field.name for field in fields(Weights)]
    found = {}
    for one in told:
        name, _, value = one.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if name not in known or not isfinite(number):
            raise InvalidInputError(f"a weight is {'=, '.join(known)}= a number, not {one!r}")
        found[name] = number
    return found


def _tell(told: "Balance", as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told.as_json(), default=str))
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
        typer.echo(f"{count} annotations want {wants}, which nobody with a queue has", err=True)
    names = {one.person: one.name for one in told.people}
    for found in told.violations:
        typer.echo(
            f"{names.get(found.person, found.person)} has labelled task {found.task} "
            + ("after it went to somebody else" if found.kind == "late" else "outside the queue"),
            err=True,
        )
