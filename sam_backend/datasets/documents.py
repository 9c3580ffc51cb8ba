"""JSON files from anywhere: loaded with errors that name them, read field by field."""

import json
from pathlib import Path
from typing import Any

from sam_backend.errors import InvalidInputError


def load_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        InvalidInputError: It is missing, cannot be read or is no JSON.
    """
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{file} is no JSON file: {error}") from error


def text_of(value: Any) -> str | None:
    """A name or number as text; None for anything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def size_of(record: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) of an image's record; None if it does not tell."""
    height, width = record.get("height"), record.get("width")
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None
