"""`sam-backend models`: which checkpoints are here, and how to get more."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from sam_backend.cli.gate_table import gate_rows
from sam_backend.cli.options import ProjectNumber
from sam_backend.cli.output import AsJson, echo_json, echo_result
from sam_backend.cli.progress_bar import lines_beside
from sam_backend.cli.tables import echo_table
from sam_backend.errors import InvalidInputError
from sam_backend.sam.families import FAMILIES
from sam_backend.settings import Settings
from sam_backend.store.models import ModelEntry, ModelStore, open_store
from sam_backend.store.project_models import ProjectModels
from sam_backend.store.public_checkpoints import (
    HUB_CHECKPOINTS,
    PUBLIC_CHECKPOINTS,
    HubCheckpoint,
    PublicCheckpoint,
)

HELP = "Checkpoints: list, families, pull, add, promote, rollback, use, diff, prune."
BY = "command line"

Reason = Annotated[str, typer.Option(help="Reason, kept in the store's history.")]
ForProject = Annotated[
    int | None,
    typer.Option(
        "--project",
        help="Only for this Label Studio project, which has a model of its own.",
        min=1,
    ),
]

app = typer.Typer(no_args_is_help=True, help=HELP)


@app.callback()
def models(
    context: typer.Context,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of checkpoints; SAM_BACKEND_MODEL_STORE or your data folder."),
    ] = None,
) -> None:
    """Checkpoints: list, families, pull, add, promote, rollback, use, diff, prune."""
    if context.obj is None:  # else the caller has brought a store
        context.obj = open_store(Settings() if store is None else Settings(model_store=store))


@app.command("list")
def list_(
    context: typer.Context,
    project: Annotated[
        int | None,
        typer.Option(help="Show what is the champion of this Label Studio project.", min=1),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the checkpoints that are here, best first; the champion is served if none is named."""
    store = _store(context)
    entries = store.list()
    champion = store.champion().version if entries else None
    history = store.history()
    if project is not None:
        at = _Named.of(store, project)
        champion, history = at.served(), at.models.history(at.uid)
        typer.echo(at.described(), err=True)
    if as_json:
        echo_json([_as_json(entry, champion) for entry in entries])
        return
    heads = ("VERSION", "ROLE", "FAMILY", "WEIGHTS", "SIZE", "LICENCE", "MEASURED QUALITY")
    echo_table([heads, *(_row(entry, champion) for entry in entries)])
    if history:
        last = history[-1]
        done = "brought back" if last.is_rollback else "promoted"
        typer.echo(f"{last.version} was {done} by {last.by}: {last.reason}", err=True)
    here = {entry.version for entry in entries}
    absent = [name for name, public in PUBLIC_CHECKPOINTS.items() if public.version not in here]
    if absent:
        typer.echo(f"To get more: sam-backend models pull {' | '.join(absent)}", err=True)
        typer.echo("SAM 2, SAM-HQ and SAM 3: see `sam-backend models families`", err=True)


@app.command()
def pull(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=" | ".join((*PUBLIC_CHECKPOINTS, *HUB_CHECKPOINTS)))],
    as_json: AsJson = False,
) -> None:
    """Download a published checkpoint; a cut download goes on where it stopped.

    SAM 2, SAM-HQ and SAM 3 come from the Hugging Face hub and need the extra `transformers`. The
    variables HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN are honoured.
    """
    store = _store(context)
    entry = pull_with_progress(store, name)
    _say_where(entry, store, as_json)


@app.command()
def add(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            help="A .pth, .pt or .safetensors file, or a folder with config.json and "
            "model.safetensors."
        ),
    ],
    version: Annotated[
        str | None, typer.Option(help="Version to store it under. If left out, the file's name.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="Model family. If left out, it is recognised by the weights.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Expected sha256 of the file; another file is refused.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Title for people.")] = None,
    source: Annotated[str | None, typer.Option(help="Where the checkpoint is from.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence, as an SPDX name.")] = None,
    training_data: Annotated[
        str | None, typer.Option(help="What the checkpoint was trained on.")
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="Version that the checkpoint was trained from.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a weights file, or a folder from the Hugging Face hub, and copy it into the store."""
    store = _store(context)
    entry = store.add(
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
    _say_where(entry, store, as_json)


@app.command()
def families(as_json: AsJson = False) -> None:
    """Show the model families: what their checkpoints can do, their licences and sources."""
    published: tuple[PublicCheckpoint | HubCheckpoint, ...]
    published = (*PUBLIC_CHECKPOINTS.values(), *HUB_CHECKPOINTS.values())
    pulled = {
        name: [public.name for public in published if public.family == name] for name in FAMILIES
    }
    if as_json:
        echo_json(
            [
                {
                    "family": family.name,
                    "title": family.title,
                    "pull": pulled[family.name],
                    "retraining": family.is_trainable,
                    "extra": family.extra,
                    "licence": family.licence,
                    "source": family.source,
                }
                for family in FAMILIES.values()
            ]
        )
        return
    heads = ("FAMILY", "MODEL", "PULL", "RETRAINING", "EXTRA", "LICENCE", "SOURCE")
    rows = (
        (
            family.name,
            family.title,
            "\n".join(pulled[family.name]) or "-",
            "yes" if family.is_trainable else "no",
            family.extra or "-",
            family.licence,
            family.source,
        )
        for family in FAMILIES.values()
    )
    echo_table([heads, *rows])


@app.command()
def promote(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="Model version, see `sam-backend models list`.")],
    reason: Reason = "no reason given",
    project: ForProject = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion: running servers go over to it, if no model is set for them.

    With --project it becomes the champion of a project with a model of its own; all others keep
    theirs.
    """
    store = _store(context)
    if project is None:
        is_new = store.promote(version, reason, by=BY)
    else:
        at = _Named.of(store, project)
        is_new = at.models.promote(at.uid, version, reason, BY, extra=at.extra)
    whose = "" if project is None else f" of project {project}"
    if is_new:
        typer.echo(f"{version} is the champion{whose}", err=True)
    else:
        typer.echo(f"{version} had been promoted already: nothing has changed", err=True)
    echo_result({"champion": version, "changed": is_new}, as_json, version)


@app.command()
def rollback(
    context: typer.Context,
    reason: Reason = "no reason given",
    project: ForProject = None,
    as_json: AsJson = False,
) -> None:
    """Bring back the champion before today's."""
    store = _store(context)
    if project is None:
        champion = store.rollback(reason, by=BY)
    else:
        at = _Named.of(store, project)
        champion = at.models.rollback(at.uid, reason, BY, at.extra)
    whose = "" if project is None else f" of project {project}"
    typer.echo(f"{champion.version} is the champion{whose} again", err=True)
    echo_result({"champion": champion.version}, as_json, champion.version)


@app.command()
def use(
    context: typer.Context,
    project: ProjectNumber,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[VERSION]", help="Model version or family, see `sam-backend models list`."
        ),
    ] = None,
    default: Annotated[
        bool, typer.Option("--default", help="Take the project's model back.")
    ] = False,
    reason: Reason = "no reason given",
    as_json: AsJson = False,
) -> None:
    """Give one project a model of its own; servers and commands follow within seconds.

    It goes before the `model` that the project's backend names in its extra_params, and both go
    before SAM_BACKEND_MODEL and the champion. Retrainings of this project start from it, and what
    they promote is served to this project only.
    """
    if (name is None) != default:
        raise InvalidInputError("models use takes either a version or --default")
    at = _Named.of(_store(context), project)
    before = at.served()
    at.models.use(at.uid, name, reason, BY, at.extra)
    now = at.served()
    typer.echo(f"{at.described()}; before, it was served {before or 'nothing'}", err=True)
    told = {"project": project, "model": name, "served": now, "before": before}
    echo_result(told, as_json, now or "")


@app.command()
def diff(
    context: typer.Context,
    first: Annotated[str, typer.Argument(help="Model version to compare.")],
    second: Annotated[str, typer.Argument(help="Model version to compare it with.")],
    as_json: AsJson = False,
) -> None:
    """Show what tells two checkpoints apart: cards, figures and weights."""
    from sam_backend.store.comparison import compare

    store = _store(context)
    entries = store.get(first), store.get(second)
    found = compare(*entries)
    if as_json:
        echo_json(found)
        return
    rows = [("", *(entry.version for entry in entries))]
    for title, pairs in (("", found.facts), ("quality, ", found.quality)):
        rows += [(f"{title}{name}", _cell(a), _cell(b)) for name, (a, b) in pairs.items()]
    echo_table(rows)
    for entry in entries:
        _echo_gate(entry)
    if found.weights is None:
        typer.echo("weights: of different networks")
    for part in found.weights or ():
        typer.echo(
            f"weights, {part.part}: {part.n_different} of {part.n_tensors} tensors differ,"
            f" by {part.relative_change:.3g} of their norm"
        )


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        int, typer.Option(help="Number of the newest refused challengers to keep.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """Remove old challengers that the gate refused; nothing that was ever promoted."""
    from sam_backend.labelstudio.api.connections import Connections

    settings = Settings()
    named = Connections.of(settings).models().values()
    removed = _store(context).prune(keep, settings.model, [*named])
    if as_json:
        echo_json([entry.version for entry in removed])
    else:
        for entry in removed:
            typer.echo(entry.version)
    typer.echo(f"{len(removed)} removed", err=True)


def _echo_gate(entry: ModelEntry) -> None:
    """What the gate said when it met this one, if it did."""
    if not entry.card.gate:
        return
    from sam_backend.metrics.gate import GateDecision

    gate, champion = GateDecision.of(entry.card.gate), entry.card.parent or "?"
    word = "promote" if gate.promote else "keep the champion"
    typer.echo(f"gate, {entry.version} against {champion}: {word}")
    if gate.comparisons:
        echo_table(gate_rows(gate.comparisons, champion, entry.version))


@dataclass(frozen=True, slots=True)
class _Named:
    """A project whose model is looked at or changed.

    Attributes:
        number: Its number in Label Studio.
        uid: Its name in Label Studio's calls.
        extra: The model that its `extra_params` name; empty: none.
        models: The models of all projects.
        store: The model store.
    """

    number: int
    uid: str
    extra: str
    models: ProjectModels
    store: ModelStore

    @classmethod
    def of(cls, store: ModelStore, number: int) -> Self:
        """Find a project; asks Label Studio if no /setup has named it.

        Raises:
            LabelStudioError: There is no such project, or it cannot be asked for.
        """
        from sam_backend.labelstudio.api.connections import Connections
        from sam_backend.projects.project import uid_of_project

        settings = Settings()
        uid = uid_of_project(settings, number)
        return cls(number, uid, Connections.of(settings).model_of(uid), ProjectModels(store), store)

    def served(self) -> str | None:
        """Return the version that answers the project; None: the store has none."""
        own = self.models.of(self.uid, self.extra)
        if own is not None and own.entry is not None:
            return own.entry.version
        return self.store.to_serve(Settings().model).version if self.store.list() else None

    def described(self) -> str:
        """Return what answers the project, and why, in one sentence."""
        own = self.models.of(self.uid, self.extra)
        if own is None:
            return f"project {self.number} names no model: {self.served()} answers, as elsewhere"
        if own.problem:
            return f"{own.problem}; {self.served()} answers instead, as elsewhere"
        return (
            f"project {self.number} has the model {own.name} of its own (by {own.named_by}): "
            f"{self.served()} answers"
        )


def _store(context: typer.Context) -> ModelStore:
    store = context.obj
    if not isinstance(store, ModelStore):
        raise TypeError(f"the context must hold a ModelStore, not {store!r}")
    return store


def pull_with_progress(store: ModelStore, name: str) -> ModelEntry:
    """Download a public checkpoint into the store, with a progress bar on stderr.

    Args:
        store: Gets it.
        name: One of `PUBLIC_CHECKPOINTS`.

    Raises:
        ModelStoreError: It cannot be downloaded or written.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        with lines_beside(console, lambda: _downloaded(bar.tasks[task])):
            return store.pull(
                name, lambda done, total: bar.update(task, completed=done, total=total)
            )


def _downloaded(task: Task) -> str:
    of = "" if task.total is None else f" of {task.total / 1e6:.0f}"
    return f"downloading {task.description}: {task.completed / 1e6:.0f}{of} MB"


def _say_where(entry: ModelEntry, store: ModelStore, as_json: bool) -> None:
    typer.echo(f"{entry.card.name} ({entry.card.family}) is in {entry.folder}", err=True)
    champion = store.champion().version
    echo_result(_as_json(entry, champion), as_json, entry.version)
    if champion != entry.version:
        typer.echo(
            f"{champion} stays the champion; to serve this one: "
            f"sam-backend models promote {entry.version}",
            err=True,
        )


def _as_json(entry: ModelEntry, champion: str | None) -> dict[str, object]:
    card: dict[str, object] = entry.card.model_dump(mode="json", exclude_none=True)
    return card | {
        "weights_path": str(entry.weights_path),
        "n_bytes": entry.n_bytes,
        "champion": entry.version == champion,
    }


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _row(entry: ModelEntry, champion: str | None) -> tuple[str, ...]:
    card = entry.card
    weights = "?" if card.parameters is None else f"{card.parameters / 1e6:.1f} M"
    quality = "; ".join(
        f"{measure} {value:g} ({data_set})"
        for data_set, measures in card.measured_quality.items()
        for measure, value in list(measures.items())[:1]
    )
    size = f"{entry.n_bytes / 1e6:.1f} MB"
    role = "champion" if card.version == champion else "challenger" if card.challenger else ""
    licence = card.licence
    return card.version, role, card.family, weights, size, licence, quality or "not measured"
