"""`sam-backend tasks`: who has a queue; with `balance`, `order` and `gaps`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.balance import balance
from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.process_setup import start_command
from sam_backend.cli.tables import echo_table
from sam_backend.cli.task_order import gaps, order
from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from sam_backend.projects.project import Project

HELP = "Queues of annotators, and which tasks should be labelled next."

app = typer.Typer(help=HELP, no_args_is_help=True)

Who = Annotated[list[str], typer.Argument(help="Email address or user id.")]


@app.callback()
def tasks() -> None:
    """Queues of annotators, and which tasks should be labelled next."""


@app.command()
def join(
    project: ProjectNumber,
    who: Annotated[
        list[str] | None, typer.Argument(help="Email address or user id; all with --everyone.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--everyone", help="Everybody who has an account.")
    ] = False,
    skill: Annotated[
        list[str] | None, typer.Option(help="Skills of tasks that they can do.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option(help="Languages of tasks that they can do.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give people a queue, or other skills and languages; the next balancing fills it."""
    if bool(who) == everyone:
        raise InvalidInputError("join takes either people or --everyone")
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        from sam_backend.labelstudio.api.people import people_names

        chosen = list(people_names(at.client)) if everyone else _people(at, who or [])
        for person in chosen:
            at.annotators.join(person, skill or (), language or (), datetime.now(UTC))
    echo_result({"joined": chosen}, as_json, f"{len(chosen)} with a queue")


@app.command()
def leave(project: ProjectNumber, who: Who, as_json: AsJson = False) -> None:
    """Take queues away; what people held goes to others at the next balancing."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        people = _people(at, who)
        for person in people:
            at.annotators.leave(person, datetime.now(UTC))
    echo_result({"left": people}, as_json, f"{len(people)} left")


@app.command()
def away(
    project: ProjectNumber,
    who: Who,
    until: Annotated[
        datetime | None,
        typer.Option(help="When they are back. If left out, they are away until `tasks back`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give people nothing for a while; what they held goes to others at the next balancing."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        from sam_backend.store.annotators import FOR_GOOD

        moment = FOR_GOOD if until is None else until.astimezone(UTC)
        people = _people(at, who)
        for person in people:
            at.annotators.away(person, moment)
    told = {"away": people, "until": None if until is None else moment.isoformat()}
    echo_result(told, as_json, f"{len(people)} away")


@app.command()
def back(project: ProjectNumber, who: Who, as_json: AsJson = False) -> None:
    """People who were away are here again."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        people = _people(at, who)
        for person in people:
            at.annotators.back(person, datetime.now(UTC))
    echo_result({"back": people}, as_json, f"{len(people)} back")


@app.command()
def people(project: ProjectNumber, as_json: AsJson = False) -> None:
    """Show who has a queue, and what is in it."""
    from sam_backend.projects.project import open_project

    with open_project(start_command(), project) as at:
        from sam_backend.labelstudio.api.people import people_names
        from sam_backend.store.annotators import FOR_GOOD

        names = people_names(at.client)
        held, violations = at.leases.held(), at.leases.violations()
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
        echo_json(lines)
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
    echo_table(rows, f"nobody has a queue: `sam-backend tasks join --project {project} --everyone`")


def _people(project: "Project", who: list[str]) -> list[str]:
    """Return the user ids of people who are named by email address or user id.

    Raises:
        InvalidInputError: Label Studio knows nobody of this name.
    """
    from sam_backend.labelstudio.api.people import people_names

    names = people_names(project.client)
    by_name = {name.lower(): number for number, name in names.items()}
    # somebody whose account is gone can still leave
    known = names.keys() | {one.person for one in project.annotators.list()}
    found = []
    for one in who:
        number = one if one in known else by_name.get(one.lower())
        if number is None:
            raise InvalidInputError(f"Label Studio knows nobody called {one!r}")
        found.append(number)
    return found


app.command()(balance)
app.command()(order)
app.command()(gaps)
