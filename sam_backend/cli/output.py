"""What a command prints on stdout: JSON for scripts (`--json`), else text for people."""

import json
from typing import Annotated

import typer

from sam_backend.json_form import as_json

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def echo_json(value: object, indent: int | None = 2) -> None:
    """Print a value as JSON (`json_form`); what JSON has no form for, such as a path, as its text.

    Args:
        value: What is printed.
        indent: Spaces of a level; None: all in one line, for a command that prints many values.
    """
    typer.echo(json.dumps(as_json(value), indent=indent, default=str))


def echo_result(value: object, as_json: bool, text: str) -> None:
    """Print a result as JSON if that is wanted, else as a text."""
    if as_json:
        echo_json(value)
    else:
        typer.echo(text)
