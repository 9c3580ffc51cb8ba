"""`sam-backend starter`: trains the starter network from scratch and releases it."""

import json
import shlex
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam_backend.cli.output import AsJson, echo_json
from sam_backend.cli.paths import output_folder
from sam_backend.cli.tables import echo_left_out
from sam_backend.errors import InvalidInputError

if TYPE_CHECKING:
    from sam_backend.training.mixture import Shares
    from sam_backend.training.plan import Phase, TrainingPlan

HELP = "The starter network: train it from scratch, release it into a model store."

app = typer.Typer(help=HELP, no_args_is_help=True)

Threads = Annotated[int, typer.Option(help="CPU threads of the network.", min=1)]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")]


@app.callback()
def _commands() -> None:
    """The starter network: train it from scratch, release it into a model store."""


@app.command()
def train(
    context: typer.Context,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the run: checkpoint, metrics, curves.", callback=output_folder
        ),
    ],
    minutes: Annotated[float | None, typer.Option(help="Time budget.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="Step budget.", min=1)] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Labelled photos, such as BSDS500's train.json.")
    ] = None,
    shares: Annotated[
        str | None, typer.Option(help="Of simple scenes, hard scenes, leaves and photos: 4,3,4,4.")
    ] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="END,SIZE,IMAGES,TARGETS: 0.3,128,16,6. Repeat it; the last END is 1."),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak of the rate.", min=0)] = None,
    corrections: Annotated[int, typer.Option(help="Most clicks after the first.", min=0)] = 1,
    mask_only: Annotated[
        bool, typer.Option("--mask-only", help="Passes without a new click, as in the paper.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of weights, scenes and clicks.")] = 0,
    began: Annotated[
        Path | None, typer.Option("--from", help="Folder of a run whose weights to begin from.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that make examples.", min=0)] = 0,
    threads: Threads = 1,
    device: Device = "cpu",
) -> None:
    """Train the starter; SIGINT or SIGTERM ends the run with a checkpoint."""
    import torch

    from sam_backend.cli.launching import leaving_at_signals
    from sam_backend.cli.progress_bar import progress_bar
    from sam_backend.datasets.reading import read_dataset
    from sam_backend.engine.starter_runs import StarterRun, begin_run
    from sam_backend.sam.starter import IMAGE_SIZE
    from sam_backend.training.curves import draw_curves
    from sam_backend.training.feeding import Feeding
    from sam_backend.training.loop import Training
    from sam_backend.training.metrics import METRICS_NAME
    from sam_backend.training.mixture import Mixture

    plan = _plan(steps, minutes, phase, learning_rate, corrections, mask_only, seed)
    drawn = _shares(shares)
    dataset = None if photos is None else read_dataset(photos)
    if dataset is not None:
        echo_left_out(dataset.skipped)
    torch.set_num_threads(threads)
    this = StarterRun(_command(context), 0 if dataset is None else len(dataset))
    state = begin_run(out, this, plan, torch.device(device), began, resume)
    mixture = Mixture(seed, IMAGE_SIZE, () if dataset is None else dataset.images, drawn)
    with (
        Feeding(mixture, workers) as feeding,
        progress_bar() as show,
        leaving_at_signals(lambda: None) as is_leaving,
    ):
        training = Training(
            state,
            feeding,
            plan,
            out,
            time.monotonic,
            observe=lambda progress: show(progress.as_json()),
            stop=is_leaving,
        )
        ending = training.run()
    draw_curves(out / METRICS_NAME, out / "curves.png")
    typer.echo(f"{ending}: {state.step} steps, {state.elapsed_s:.0f} s", err=True)


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="Folder of a run of `starter train`.")],
    version: Annotated[str, typer.Option(help="Such as starter-2.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the model store to write.", callback=output_folder)
    ],
    photos: Annotated[
        Path | None, typer.Option(help="Labelled photos to measure on, such as val.json.")
    ] = None,
    images: Annotated[
        int, typer.Option(help="Images of each held-out set, and to scale on.", min=2)
    ] = 100,
    predicted_iou: Annotated[
        float | None,
        typer.Option(
            help="Least predicted IoU of its automatic masks, for the card.", min=0, max=1
        ),
    ] = None,
    stability: Annotated[
        float | None,
        typer.Option(help="Least stability of its automatic masks, for the card.", min=0, max=1),
    ] = None,
    threads: Threads = 1,
    device: Device = "cpu",
    as_json: AsJson = True,
) -> None:
    """Scale a run's averaged weights, measure them, write them with their card, print the card.

    A run that saw photos, or began from one that did, gets their research licence; one that saw
    procedural scenes alone gets Apache-2.0.
    """
    import torch

    from sam_backend.datasets.reading import read_dataset
    from sam_backend.engine.starter_release import SCENES_SCALED, make_ready, measure
    from sam_backend.engine.starter_release import release as write_release
    from sam_backend.engine.starter_runs import averaged_network, read_run

    torch.set_num_threads(threads)
    told = read_run(run)
    sam = averaged_network(run, torch.device(device))
    factor = make_ready(sam, min(images, SCENES_SCALED))
    quality = measure(sam, None if photos is None else read_dataset(photos), images)
    given = {"predicted_iou": predicted_iou, "stability": stability}
    automatic = {name: value for name, value in given.items() if value is not None}
    card = write_release(sam, out, version, date.today(), quality, told, factor, automatic)
    echo_json(json.loads(card.read_text(encoding="utf-8")))


def _numbers(text: str, count: int, option: str) -> list[float]:
    """`count` numbers with commas between them."""
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise InvalidInputError(f"{option} needs {count} numbers with commas, not {text!r}")
    return numbers


def _shares(text: str | None) -> "Shares":
    from sam_backend.training.mixture import Shares

    return Shares() if text is None else Shares(*_numbers(text, 4, "--shares"))


def _phase(text: str) -> "Phase":
    from sam_backend.training.plan import Phase

    until, size, n_images, n_targets = _numbers(text, 4, "--phase")
    return Phase(until, int(size), int(n_images), int(n_targets))


def _plan(
    steps: int | None,
    minutes: float | None,
    phases: list[str] | None,
    learning_rate: float | None,
    corrections: int,
    mask_only: bool,
    seed: int,
) -> "TrainingPlan":
    from dataclasses import replace

    from sam_backend.training.plan import TrainingPlan

    plan = TrainingPlan(
        steps,
        minutes,
        max_corrections=corrections,
        mask_only_passes=mask_only,
        seed=seed,
    )
    if phases:
        plan = replace(plan, phases=tuple(_phase(text) for text in phases))
    return plan if learning_rate is None else replace(plan, learning_rate=learning_rate)


def _command(context: typer.Context) -> str:
    """The command line that gives these weights, without what only this machine is about."""
    words = ["sam-backend", "starter", "train"]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if parameter.name in ("workers", "threads") or value in (parameter.default, None, ()):
            continue
        name = max(parameter.opts, key=len)
        for one in value if isinstance(value, list | tuple) else [value]:
            text = one.name if isinstance(one, Path) else str(one)
            words += [name] if one is True else [name, text]
    return shlex.join(words)
