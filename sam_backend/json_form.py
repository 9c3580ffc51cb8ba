"""The form that our values have as JSON, and the words for the names in it.

Dataclasses, enums and dates become JSON here and nowhere else.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import Any


def as_json(value: object) -> Any:
    """Return a value as objects, lists, texts, numbers, booleans and None.

    A dataclass becomes an object with the names of its fields, an enum its value, a date or time
    its ISO 8601 text, and the keys of a mapping become texts. A value with a method `as_json` is
    asked for its own form. What JSON has no form for, such as a path, stays as it is.

    Args:
        value: A value of any kind.
    """
    if hasattr(value, "as_json"):
        return value.as_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_json(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Enum):
        return as_json(value.value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(as_json(name)): as_json(one) for name, one in value.items()}
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        return [as_json(one) for one in value]
    return value


def current_names(
    value: Any, renamed: Mapping[str, str] = MappingProxyType({}), unknown: str | None = None
) -> Any:
    """Return JSON of any release with the names that this release gives.

    Earlier releases wrote names for people, such as "images that decide" for `images_that_decide`.

    Args:
        value: Objects, lists and values as they were stored.
        renamed: Names that are not only written in another way, by the earlier name.
        unknown: Text that stood for a value that is not known, and is None now.
    """
    if isinstance(value, Mapping):
        return {
            renamed.get(name) or re.sub(r"\W+", "_", name).strip("_").lower(): current_names(
                one, renamed, unknown
            )
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [current_names(one, renamed, unknown) for one in value]
    return None if value == unknown else value


def words(name: str) -> str:
    """Return the name of a field as tables show it: "matched IoU" for `matched_iou`.

    A unit at the end is set apart: "lead time, s" for `lead_time_s`, "memory, MB" for `memory_mb`.
    """
    for ending, unit in (("_s", ", s"), ("_mb", ", MB")):
        if name.endswith(ending):
            name = name.removesuffix(ending) + unit
    return name.replace("_", " ").replace("iou", "IoU")
