"""JSON files from anywhere: loaded with errors that name them, read field by field."""

import json
from pathlib import Path
from typing import Any

from sam_backend.errors import InvalidInputError
from sam_backend.masks.whole_numbers import whole_number


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
    """A name or number as text, `7.0` like `7`; None for anything else."""
    if isinstance(value, str):
        return value
    number = whole_number(value)
    return None if number is None else str(number)


def size_of(record: dict[str, Any]) -> tuple[int, int] | None:
    """(height, width) of an image's record; None if it does not tell."""
    height, width = whole_number(record.get("height")), whole_number(record.get("width"))
    return None if height is None or width is None else (height, width)
