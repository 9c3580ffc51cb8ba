"""The commands of `python -m tools.starter`."""

import json
import shlex
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import torch
import typer

from sam_backend.cli.process_setup import leaving_at_signals
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.sam import checkpoints
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.sam.checkpoints import choose_device
from sam_backend.sam.precision import has_fast_bfloat16
from sam_backend.sam.reference import Sam
from sam_backend.sam.starter import IMAGE_SIZE
from sam_backend.sam.starter_lite import build_starter_lite
from sam_backend.training.loop import CHECKPOINT_NAME
from sam_backend.training.metrics import METRICS_NAME, draw_curves
from sam_backend.training.plan import Phase
from sam_backend.training.weights import save_weights
from tools.starter import bars as bars_module
from tools.starter import demo_picture, measuring, releasing
from tools.starter.data_workers import Feeding
from tools.starter.imagenet import weights_path
from tools.starter.network import begin, level_taps, load_weights
from tools.starter.sources import StarterSource, read_photos
from tools.starter.training import (
    PHASES,
    StarterPlan,
    StarterState,
    last_run,
    note_run,
    train,
)

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Judged = Annotated[
    list[Path] | None, typer.Option(help="A held-out data set; repeat it for several.")
]
Threads = Annotated[int, typer.Option(help="CPU threads of the network.", min=1)]


@app.command("train")
def train_command(
    out: Annotated[Path, typer.Option(help="Folder of the run; one with a checkpoint goes on.")],
    minutes: Annotated[float | None, typer.Option(help="Time budget over all starts.")] = None,
    steps: Annotated[int | None, typer.Option(help="Step budget over all starts.")] = None,
    photos: Annotated[
        list[str] | None,
        typer.Option(help="Labelled photos, PATH or PATH=SHARE; repeat it for several."),
    ] = None,
    judge: Judged = None,
    decoder: Annotated[
        Path | None,
        typer.Option(help="Folder of a starter whose prompt encoder and decoder to begin with."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights of this family to begin with (`export`).")
    ] = None,
    random_trunk: Annotated[
        bool, typer.Option("--random-trunk", help="No ImageNet weights: for tests.")
    ] = False,
    phase: Annotated[
        list[str] | None,
        typer.Option(help="END,SIZE,IMAGES,TARGETS: 0.75,256,10,4. Repeat it; the last END is 1."),
    ] = None,
    unfreeze: Annotated[
        float, typer.Option(help="Share of the budget after which the trunk learns.", min=0, max=1)
    ] = 0.4,
    corrections: Annotated[int, typer.Option(help="Most clicks after the first.", min=0)] = 3,
    learning_rate: Annotated[float, typer.Option(help="Peak of the rate.", min=0)] = 7e-4,
    judge_every: Annotated[int, typer.Option(help="Steps between two looks.", min=1)] = 500,
    judge_images: Annotated[int | None, typer.Option(help="Images of a look.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights, examples and clicks.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that make examples.", min=0)] = 1,
    threads: Threads = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train, or go on: the same command on the same folder resumes, whatever ended it.

    A larger budget later stretches the plan. SIGINT and SIGTERM end a run with a checkpoint.
    """
    if weights is not None and decoder is not None:
        raise InvalidInputError("begin with --weights or with --decoder, not with both")
    torch.set_num_threads(threads)
    on = choose_device(device)
    plan = StarterPlan(
        steps=steps,
        minutes=minutes,
        phases=tuple(_phase(told) for told in phase) if phase else PHASES,
        max_corrections=corrections,
        learning_rate=learning_rate,
        bfloat16=has_fast_bfloat16(on),
        unfreeze=unfreeze,
        seed=seed,
        judge_every=judge_every,
    )
    sets = [read_photos(told) for told in photos or ()]
    judged = [read_dataset(path) for path in judge or ()]
    source = StarterSource(sets, IMAGE_SIZE, seed)
    is_new = not (out / CHECKPOINT_NAME).exists()
    if is_new and weights is not None:
        sam = begin(seed)
        load_weights(sam, weights)
    elif is_new:
        sam = begin(seed, None if random_trunk else weights_path(), decoder)
        level_taps(sam, source.batch(0, Phase(1.0, 256, 8, 2)))
    else:
        sam = build_starter_lite()
    state = StarterState(sam.to(on), plan)
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "tools.starter", *sys.argv[1:]]),
        "photos": {
            one.dataset.name: {
                "share": one.share,
                "images": len(one.dataset),
                "masks": one.dataset.n_masks,
                "digest": one.dataset.digest,
            }
            for one in sets
        },
        "judged": {one.name: one.digest for one in judged},
        "torch": torch.__version__,
        "device": str(on),
    }
    note_run(out, record)

    def look(network: Sam) -> dict[str, float]:
        return measuring.figures(network, judged, judge_images)

    with Feeding(source, workers) as feeding, leaving_at_signals(lambda: None) as is_leaving:
        train(state, feeding, plan, out, time.monotonic, is_leaving, look if judged else None)
    draw_curves(out / METRICS_NAME, out / "curves.png")
    typer.echo(f"{state.step} steps, {state.elapsed_s:.0f} s", err=True)


@app.command()
def measure(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a file that `export` wrote.")],
    judge: Judged = None,
    images: Annotated[int | None, typer.Option(help="Images of each set.", min=1)] = None,
    draw: Annotated[
        list[str] | None, typer.Option(help="Name of an image to draw; repeat it for several.")
    ] = None,
    picture: Annotated[Path, typer.Option(help="Picture of the images drawn.")] = Path("masks.png"),
    threads: Threads = 2,
) -> None:
    """Print the figures of a run's averaged weights on held-out data as JSON."""
    torch.set_num_threads(threads)
    sam = _averaged(run)
    judged = [read_dataset(path) for path in judge or ()]
    if draw:
        measuring.draw(sam, judged[0], draw, picture)
    typer.echo(json.dumps(measuring.figures(sam, judged, images)))


@app.command()
def picture(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the model store.")],
    png: Annotated[Path, typer.Argument(help="The picture to write.")],
) -> None:
    """Draw one click, three clicks and a box on each of the demo's images."""
    demo_picture.draw_demo(checkpoints.load(checkpoint).promptable(), png)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    file: Annotated[Path, typer.Argument(help="The .safetensors to write, in half precision.")],
) -> None:
    """Write a run's averaged weights, which `train --weights` can begin with."""
    typer.echo(save_weights(_averaged(run), file))


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the model store to write; its name is the version.")
    ],
    photos: Annotated[
        list[str] | None,
        typer.Option(help="What the run learned from, as `train` was told; repeat it."),
    ] = None,
    choose: Annotated[
        list[Path] | None,
        typer.Option(help="A held-out data set to calibrate and measure on; repeat it."),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="One to measure on with three clicks only, PATH or PATH=NAME; repeat it."
        ),
    ] = None,
    images: Annotated[
        int | None, typer.Option(help="Images of each held-out set; all without.", min=2)
    ] = None,
    bar: Annotated[
        list[str] | None,
        typer.Option(help="Of the card: automatic.predicted_iou=0.5. Repeat it for several."),
    ] = None,
    threads: Threads = 2,
) -> None:
    """Calibrate a run's averaged weights, measure them, write them with their card; print the card.

    The card lists every data set with its terms; one whose terms are not known is refused.
    """
    torch.set_num_threads(threads)
    learned = [read_photos(told).dataset for told in photos or ()]
    record = last_run(run, learned)
    bars = _bars(bar or [])
    releasing.training_data(learned)
    chosen = [read_dataset(path) for path in choose or ()]
    judged = [_named(told) for told in judge or ()]
    sam = _averaged(run)
    ready = releasing.make_ready(sam, chosen, min(images or 40, 40))
    quality = releasing.measure(sam, chosen, n=images, judged=judged)
    day = datetime.fromtimestamp((run / CHECKPOINT_NAME).stat().st_mtime, UTC).date()
    card = releasing.release(
        sam, out, learned, str(record["command"]), ready, quality, bars, trained_on=day
    )
    typer.echo(card.read_text(encoding="utf-8"))


@app.command()
def bars(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of the model store: its card.")],
    data: Annotated[
        str, typer.Argument(help="Photos with masks that the weights never saw, PATH or PATH=NAME.")
    ],
    choose_on: Annotated[
        Path | None,
        typer.Option(help="File with names of photos, without suffix; without it the first half."),
    ] = None,
    points: Annotated[int, typer.Option(help="A side of the grid on the card.", min=1)] = 16,
    threads: Threads = 2,
) -> None:
    """Choose the card's bars for automatic and prefilled masks; write them and what they give.

    One pass over the photos. Some of them choose, the others measure: their figures go on the card.
    """
    torch.set_num_threads(threads)
    photos = _named(data)
    if choose_on is None:
        named = {Path(image.name).stem for image in photos.images[: -(-len(photos) // 2)]}
    else:
        named = set(choose_on.read_text(encoding="utf-8").split())
    segmenter = checkpoints.load(checkpoint).promptable()
    chosen_on, measured_on = (
        bars_module.scan_all(
            segmenter,
            replace(
                photos,
                images=tuple(
                    image for image in photos if (Path(image.name).stem in named) is is_named
                ),
            ),
            points,
            _tell_photos,
        )
        for is_named in (True, False)
    )
    found = bars_module.choose(chosen_on, points)
    figures = bars_module.measure(measured_on, found).as_card()
    releasing.write_bars(checkpoint, found.as_card(), photos.name, figures)
    told = {
        **found.as_card(),
        "on the photos that chose": bars_module.measure(chosen_on, found).as_card(),
        "on the others": figures,
    }
    typer.echo(json.dumps(told, indent=2))


def _named(told: str) -> Dataset:
    """A data set under the name that the card shall call it by."""
    path, _, name = told.partition("=")
    dataset = read_dataset(Path(path))
    return replace(dataset, name=name or dataset.name)


def _tell_photos(done: int, of: int) -> None:
    if done % 10 == 0 or done == of:
        typer.echo(f"{done} of {of} photos", err=True)


def _bars(given: list[str]) -> dict[str, dict[str, float]]:
    """What `automatic.predicted_iou=0.5` and its like say, checked as the settings they become."""
    bars: dict[str, dict[str, float]] = {"automatic": {}, "prefill": {}}
    for told in given:
        name, _, value = told.partition("=")
        room, _, key = name.partition(".")
        try:
            bars[room][key] = float(value)
        except (KeyError, ValueError) as error:
            raise InvalidInputError(
                f"a bar is automatic.NAME=NUMBER or prefill.NAME=NUMBER, not {told!r}"
            ) from error
    AutomaticSettings.of(bars["automatic"])
    PrefillSettings.given(bars["prefill"])
    return bars


def _averaged(run: Path) -> Sam:
    sam = begin(0)
    if run.is_dir():
        document = torch.load(run / CHECKPOINT_NAME, map_location="cpu", weights_only=True)
        sam.load_state_dict(document["averaged"])
    else:
        load_weights(sam, run)
    return sam.eval()


def _phase(told: str) -> Phase:
    try:
        until, size, n_images, n_targets = told.split(",")
        return Phase(float(until), int(size), int(n_images), int(n_targets))
    except ValueError as error:
        raise InvalidInputError(f"a phase is END,SIZE,IMAGES,TARGETS, not {told!r}") from error
