"""Where a bulk run computes. A new executor is one file and one line here."""

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.executors.base import Executor, Machines
from sam_backend.fully_automatic.executors.local import Local
from sam_backend.fully_automatic.executors.ray import Ray
from sam_backend.settings import Settings

EXECUTORS: tuple[type[Executor], ...] = (Local, Ray)


def executor_named(name: str, settings: Settings, machines: Machines) -> Executor:
    """An executor by its name.

    Raises:
        InvalidInputError: There is none of this name.
    """
    for kind in EXECUTORS:
        if kind.name == name:
            return kind(settings, machines)
    names = ", ".join(kind.name for kind in EXECUTORS)
    raise InvalidInputError(f"there is no executor {name!r} (there are: {names})")


__all__ = ["EXECUTORS", "Executor", "Machines", "executor_named"]
