"""Options that several commands share."""

from typing import Annotated

import typer

ProjectNumber = Annotated[int, typer.Option(help="Number of the Label Studio project.")]
