"""What the commands that prefill have in common: settings given as name=value."""

import json
from typing import Annotated, Any

import typer

from sam_backend.errors import InvalidInputError

SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="A prefill setting, name=value; before the project's own."),
]


def read_settings(given: list[str]) -> dict[str, Any]:
    """`name=value` pairs; a value is JSON where it can be, else a text."""
    told: dict[str, Any] = {}
    for pair in given:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise InvalidInputError(f"--set takes name=value, not {pair!r}")
        try:
            told[name] = json.loads(value)
        except ValueError:
            told[name] = value
    return told
