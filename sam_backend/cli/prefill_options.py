"""What the commands that prefill have in common: settings given as name=value."""

import json
from typing import Annotated, Any

import typer

from sam_backend.errors import InvalidInputError

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A prefill setting, name=value, in place of the project's and the model card's.",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        help="Settings of the grid. Instead of the model card's: paper (SA-1B's recipe: crops, "
        "predicted IoU 0.88, stability 0.95, NMS, no mask over 95 % of the image, no specks) or "
        "segment_anything (the defaults of its SamAutomaticMaskGenerator). Over the model card's: "
        "fast (fewer points, without crops).",
    ),
]

ProposerOption = Annotated[
    str | None,
    typer.Option(
        help="Where masks come from: grid, detector, existing or similar. If left out, what the "
        "project's settings say.",
    ),
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Propose what looks like submitted masks of this label, or like those of this task "
        "(12), annotation (12/34) or region (12/34/ID). Repeatable. Implies --proposer similar.",
    ),
]


def read_settings(
    given: list[str] | None,
    preset: str | None = None,
    proposer: str | None = None,
    like: list[str] | None = None,
) -> dict[str, Any]:
    """Return the settings that the options --set, --preset, --proposer and --like give, by name.

    Args:
        given: `name=value` pairs; a value is JSON where it can be, else a text.
        preset: Name of the preset; None: none.
        proposer: Name of the proposer; None: as --set or the project says.
        like: Exemplars of the proposer `similar`; None or empty: those of all labels.

    Raises:
        InvalidInputError: A pair has no name or no value.
    """
    told: dict[str, Any] = {} if preset is None else {"preset": preset}
    if proposer is not None or like:
        told["proposer"] = proposer or "similar"
    for pair in given or ():
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InvalidInputError(f"--set takes name=value, not {pair!r}")
        try:
            told[name] = json.loads(value)
        except ValueError:
            told[name] = value
    if like and isinstance(parameters := told.setdefault("parameters", {}), dict):
        parameters["like"] = like
    return told
