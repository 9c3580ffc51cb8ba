"""`sam-backend models`: which checkpoints are here, and how to get more."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sam_backend.settings import Settings
from sam_backend.store.models import ModelEntry, ModelStore, open_store
from sam_backend.store.public_checkpoints import PUBLIC_CHECKPOINTS

app = typer.Typer(no_args_is_help=True, help="Checkpoints: list, pull, add.")


@app.callback()
def models(
    context: typer.Context,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints; SAM_BACKEND_MODEL_STORE or your data folder."),
    ] = None,
) -> None:
    """Checkpoints: list, pull, add."""
    if context.obj is None:  # else the caller has brought a store
        context.obj = open_store(Settings() if store is None else Settings(model_store=store))


@app.command("list")
def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Cards as a JSON array.")] = False,
) -> None:
    """Show the checkpoints that are here, best first; the first is served when none is named."""
    entries = _store(context).list()
    if as_json:
        typer.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
        return
    rows = [("VERSION", "FAMILY", "WEIGHTS", "SIZE", "LICENCE", "MEASURED QUALITY")]
    rows += [_row(entry) for entry in entries]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    here = {entry.version for entry in entries}
    absent = [name for name, public in PUBLIC_CHECKPOINTS.items() if public.version not in here]
    if absent:
        typer.echo(f"To get more: sam-backend models pull {' | '.join(absent)}", err=True)


@app.command()
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=" | ".join(PUBLIC_CHECKPOINTS))],
) -> None:
    """Download one of Meta's checkpoints; a cut download goes on where it stopped."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=None)
        entry = _store(context).pull(
            name, lambda done, total: bar.update(task, completed=done, total=total)
        )
    _say_where(entry)


@app.command()
def add(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A .pth, .pt or .safetensors file.")],
    version: Annotated[str | None, typer.Option(help="Its name here; the file's without.")] = None,
    family: Annotated[
        str | None, typer.Option(help="Its network; told from its weights without.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the file must have.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name for people.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from.")] = None,
    licence: Annotated[str | None, typer.Option(help="SPDX name.")] = None,
    training_data: Annotated[str | None, typer.Option(help="What it was trained on.")] = None,
    parent: Annotated[str | None, typer.Option(help="Version it was trained from.")] = None,
) -> None:
    """Check a weights file and copy it into the store."""
    entry = _store(context).add(
        file,
        version,
        family,
        sha256,
        name=name,
        source=source,
        licence=licence,
        training_data=training_data,
        parent=parent,
    )
    _say_where(entry)


def _store(context: typer.Context) -> ModelStore:
    store = context.obj
    if not isinstance(store, ModelStore):
        raise TypeError(f"the context must hold a ModelStore, not {store!r}")
    return store


def _say_where(entry: ModelEntry) -> None:
    typer.echo(entry.version)
    typer.echo(f"{entry.card.name} ({entry.card.family}) is in {entry.folder}", err=True)


def _as_json(entry: ModelEntry) -> dict[str, object]:
    card: dict[str, object] = entry.card.model_dump(mode="json", exclude_none=True)
    return card | {"weights_path": str(entry.weights_path), "n_bytes": entry.n_bytes}


def _row(entry: ModelEntry) -> tuple[str, str, str, str, str, str]:
    card = entry.card
    weights = "?" if card.parameters is None else f"{card.parameters / 1e6:.1f} M"
    quality = "; ".join(
        f"{measure} {value:g} ({data_set})"
        for data_set, measures in card.measured_quality.items()
        for measure, value in list(measures.items())[:1]
    )
    size = f"{entry.n_bytes / 1e6:.1f} MB"
    return card.version, card.family, weights, size, card.licence, quality or "not measured"
