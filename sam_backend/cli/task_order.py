"""`sam-backend tasks order` and `gaps`: what comes next, and what is under-represented."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.process_setup import (
    keep_compiled,
    log_to_stderr,
    settings_with,
    tune_allocator,
)
from sam_backend.cli.progress_bar import counting, progress_bar
from sam_backend.cli.tables import echo_left_out, echo_table
from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from sam_backend.dispatch.ordering.ordering import Ordering
    from sam_backend.projects.project import Project

Kinds = Annotated[int, typer.Option(help="Kinds of images at the most.", min=1)]
Model = Annotated[
    str | None,
    typer.Option(help="Model version, see `sam-backend models list`. If left out, the project's."),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def order(
    project: ProjectNumber,
    stage: Annotated[
        str | None,
        typer.Option(
            help="Stage whose weights order the tasks: 1, 2 or 3. If left out, the project's, or 1."
        ),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="uncertainty=, gap=, diversity= or freshness=, instead of the stage's."),
    ] = None,
    inject: Annotated[
        float,
        typer.Option(
            help="Share of places in the order for under-represented groups, 0 to 1.", min=0, max=1
        ),
    ] = 0.3,
    kinds: Kinds = 10,
    model: Model = None,
    device: Device = None,
    limit: Annotated[int, typer.Option(help="Tasks shown at the most.", min=0)] = 20,
    as_json: AsJson = False,
) -> None:
    """Find the order in which tasks should be labelled, and why; the next balancing follows it."""
    from sam_backend.dispatch.ordering.scores import STAGE_WEIGHTS

    if stage is not None and stage not in STAGE_WEIGHTS:
        raise InvalidInputError(f"the stage is {', '.join(STAGE_WEIGHTS)}, not {stage!r}")
    numbers = _numbers(weight or [])
    with _ordering(project, kinds, model, device) as (ordering, at), progress_bar() as show:
        if stage is None:
            from sam_backend.stages.policy_resolution import policy_of

            policy = policy_of(at)
            stage = "1" if policy is None else policy.stage
        weights = replace(STAGE_WEIGHTS[stage], **numbers)
        found = ordering.order(weights, inject, counting(show, "seeing images"))
    echo_left_out(found.survey.unread, "no size known")
    if as_json:
        echo_json({"tasks": found.orders, "unseen": found.unseen})
        return
    rows = [(str(one.task), f"{one.priority:.4f}", one.reason) for one in found.orders[:limit]]
    echo_table([("TASK", "PRIORITY", "WHY"), *rows], f"no task of project {project} waits")
    for number, reason in list(found.unseen.items())[:limit]:
        typer.echo(f"task {number} is not seen: {reason}", err=True)


def gaps(
    project: ProjectNumber,
    before: Annotated[
        str | None, typer.Option(help="A version of `sam-backend dataset`, to compare with.")
    ] = None,
    kinds: Kinds = 10,
    model: Model = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Show which labels, sizes and kinds of images are under-represented in what is labelled."""
    from sam_backend.dispatch.ordering.planning import change_table

    with _ordering(project, kinds, model, device) as (ordering, at), progress_bar() as show:
        version = None if before is None else at.versions.find(before)
        then, now = ordering.surveys(version, counting(show, "seeing images"))
    table = change_table(() if then is None else then.groups, now.groups)
    if then is not None:
        echo_left_out(then.unread, f"no size known in {before}")
    echo_left_out(now.unread, "no size known")
    if as_json:
        echo_json(table)
        return
    rows = [("WHAT", "NAME", "WANTED", "BEFORE", "NOW", "")]
    for row in table:
        was = "" if then is None else f"{row.share_before:.1%}"
        is_under = "under-represented" if row.under_represented else ""
        rows.append((row.what, row.name, f"{row.wanted:.1%}", was, f"{row.share:.1%}", is_under))
    echo_table(rows)


@contextmanager
def _ordering(
    project: int, kinds: int, model: str | None, device: str | None
) -> Iterator[tuple["Ordering", "Project"]]:
    settings = settings_with(model, device)
    tune_allocator(settings)
    keep_compiled(settings)
    from sam_backend.projects.project import open_project

    log_to_stderr(settings)
    with open_project(settings, project, own_model=model is None) as at:
        from sam_backend.dispatch.ordering.ordering import Ordering
        from sam_backend.serving.factory import serving_champion

        with serving_champion(at.settings) as champion:
            yield Ordering(at, champion, kinds), at


def _numbers(told: list[str]) -> dict[str, float]:
    """`name=value` of weights.

    Raises:
        InvalidInputError: A name is unknown, or a value no number.
    """
    from sam_backend.dispatch.ordering.scores import Weights

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
