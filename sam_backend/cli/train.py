"""`sam-backend train`: trains the starter network and releases it into the model store."""

import json
import time
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sam_backend.errors import InvalidInputError

RUN_NAME = "run.json"
"""What a run must tell the card of its weights: how many photos it learned from."""

app = typer.Typer(help="Train and release the starter network.", no_args_is_help=True)


@app.callback()
def _commands() -> None:
    """Train and release the starter network."""


@app.command()
def starter(
    out: Annotated[Path, typer.Option(help="Folder for checkpoint and metrics.")],
    minutes: Annotated[float | None, typer.Option(help="Time budget.", min=0)] = None,
    steps: Annotated[int | None, typer.Option(help="Step budget.", min=1)] = None,
    bsds: Annotated[Path | None, typer.Option(help="BSDS500 folder with train.json.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, scenes and clicks.")] = 0,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in --out.")] = False,
) -> None:
    """Train the starter from scratch; progress goes to metrics.jsonl in --out."""
    import torch

    from sam_backend.sam.starter import build_starter
    from sam_backend.training.coco import read_photos
    from sam_backend.training.loop import CHECKPOINT_NAME, train
    from sam_backend.training.mixture import Mixture
    from sam_backend.training.plan import TrainingPlan
    from sam_backend.training.state import TrainingState

    try:
        plan = TrainingPlan(steps=steps, minutes=minutes)
        photos = read_photos(bsds / "train.json").photos if bsds else ()
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        state = TrainingState(build_starter(), plan)
        mixture = Mixture(np.random.default_rng(seed), photos, [photo.image for photo in photos])
        if resume:
            state.load(out / CHECKPOINT_NAME, mixture.rng)
    except InvalidInputError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    out.mkdir(parents=True, exist_ok=True)
    (out / RUN_NAME).write_text(json.dumps({"photos": len(photos), "seed": seed}) + "\n")
    train(state, mixture, plan, out, time.monotonic)
    typer.echo(f"{state.step} steps, {state.elapsed_s:.0f} s: {out / CHECKPOINT_NAME}", err=True)


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="Folder that `train starter` wrote.")],
    version: Annotated[str, typer.Option(help="Such as starter-1.")],
    out: Annotated[Path, typer.Option(help="Folder of the model store to write.")],
    bsds: Annotated[Path | None, typer.Option(help="BSDS500 folder with val.json.")] = None,
    source: Annotated[str, typer.Option(help="How the weights came to be.")] = (
        "trained by this project: sam-backend train starter"
    ),
    images: Annotated[int, typer.Option(help="Images of each held-out set.", min=2)] = 100,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Measure a run's averaged weights, write them with their card, print the card."""
    import torch

    from sam_backend.engine.starter_release import averaged_network, measure
    from sam_backend.engine.starter_release import release as write_release
    from sam_backend.sam.starter import build_starter
    from sam_backend.training.loop import CHECKPOINT_NAME

    torch.set_num_threads(threads)
    sam = averaged_network(build_starter(), run / CHECKPOINT_NAME)
    quality = measure(sam, bsds, images)
    photos_used = json.loads((run / RUN_NAME).read_text())["photos"] > 0
    card = write_release(sam, out, version, date.today(), quality, photos_used, source)
    typer.echo(json.dumps(json.loads(card.read_text()), indent=2))


if __name__ == "__main__":
    app()
