"""The two things of a task that every stage needs, read with care: a task is what somebody sent."""

from collections.abc import Mapping
from typing import Any

from sam_backend.errors import InvalidInputError


def task_data(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task's fields.

    Raises:
        InvalidInputError: `data` is no object.
    """
    data = task.get("data")
    if not isinstance(data, Mapping):
        raise InvalidInputError(f"a task's data must be an object, not {type(data).__name__}")
    return data


def task_id(task: Mapping[str, Any]) -> int | None:
    """The task's number in its Label Studio; None without one."""
    number = task.get("id")
    return number if isinstance(number, int) else None
