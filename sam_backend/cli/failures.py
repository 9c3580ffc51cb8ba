"""What is said about wrong settings and about files that cannot be used: one sentence each."""

import errno
import os
import re
from collections.abc import Mapping
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from sam_backend.errors import InvalidInputError, suggestion
from sam_backend.settings import ENV_FILE, PREFIX, Settings, variables_of

_MOST_SHOWN = 60
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "dict": "a JSON object",
    "string": "a text",
    "path": "a path",
}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
_FIELD = re.compile(r'field "(\w+)"')
_FILE_FAULTS = {
    errno.ENOENT: "does not exist: is its name right, and is its folder there?",
    errno.EEXIST: "exists already, and is no folder: name another one",
    errno.ENOTDIR: "lies in something that is no folder: name another one",
    errno.EISDIR: "is a folder, where a file is wanted: name a file",
    errno.EACCES: "may not be used by this user: change its permissions, or name another one",
    errno.EPERM: "may not be used by this user: change its permissions, or name another one",
    errno.EROFS: "lies on a file system that is read-only: name another one",
    errno.ENOSPC: "cannot be written, for the disk is full: make room, or name another one",
    errno.ENAMETOOLONG: "has too long a name: name another one",
    errno.ELOOP: "is a link that leads to itself: name another one",
}


def unknown_settings() -> list[str]:
    """Return a warning for each variable that begins like ours and that no setting has.

    Raises:
        InvalidInputError: The file `.env` is no text in UTF-8.
    """
    known = [variable for setting in Settings.model_fields for variable in variables_of(setting)]
    return [
        f"{name} in {place} is no setting and does nothing{suggestion(name, known)}"
        for name, place in sorted(_given_variables().items())
        if name.startswith(PREFIX) and name not in known
    ]


def settings_faults(error: ValidationError | SettingsError) -> list[str]:
    """Return a sentence for each wrong setting: its variable, its value, and what to do."""
    if isinstance(error, SettingsError):  # the JSON of a variable is broken
        field = _FIELD.search(str(error))
        if field is None:
            return [str(error)]
        name = _shown_name(field[1])
        return [f"{name} must be JSON, and is none ({error.__cause__}): correct or remove it"]
    return [_fault(fault) for fault in error.errors(include_url=False)]


def file_fault(error: OSError) -> str:
    """Return a sentence about a file, folder or address that cannot be used."""
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason
    name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
    told = _FILE_FAULTS.get(error.errno or 0)
    return f"{name!r} {told}" if told else f"{name!r} cannot be used: {reason}"


def _given_variables() -> dict[str, str]:
    """Return where each variable is set: "the environment" or the path of the file `.env`.

    Names are in capitals, for settings are read from variables whatever their case.
    """
    file = ENV_FILE.absolute()
    try:
        in_file = dotenv_values(file) if file.is_file() else {}
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{file} is no text in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None
    found = {name.upper(): str(file) for name in in_file}
    return found | {name.upper(): "the environment" for name in os.environ}


def _fault(fault: Mapping[str, Any]) -> str:
    if not fault["loc"]:  # a rule about several settings, which names them
        return str(fault["msg"]).removeprefix("Value error, ")
    first, *rest = (str(part) for part in fault["loc"])
    name = _shown_name(first)
    within = "".join(f" at {part!r}" for part in rest)
    value = "" if _is_secret(first) else f" is {str(fault['input'])[:_MOST_SHOWN]!r}, and"
    return f"{name}{within}{value} must be {_wanted(fault)}: correct or remove it"


def _wanted(fault: Mapping[str, Any]) -> str:
    """Return what a value must be, from pydantic's type of the fault."""
    context = fault.get("ctx", {})
    if fault["type"] == "literal_error":
        return f"one of {context['expected']}"
    for bound, words in _BOUNDS.items():
        if bound in context:
            return f"{words} {context[bound]:g}"
    kind = _KINDS.get(str(fault["type"]).partition("_")[0])
    return kind or f"different ({fault['msg']})"


def _is_secret(setting: str) -> bool:
    field = Settings.model_fields.get(setting)
    return field is not None and SecretStr in (field.annotation, *get_args(field.annotation))


def _shown_name(setting: str) -> str:
    """Return the variable that a setting was given as, and its place; else how it can be given."""
    if setting not in Settings.model_fields:
        return setting
    given, variables = _given_variables(), variables_of(setting)
    for variable in variables:
        if variable in given:
            return f"{variable} in {given[variable]}"
    return f"setting {variables[0]}"
