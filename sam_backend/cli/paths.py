"""Files and folders that commands are given: what cannot be used is told before any work."""

from pathlib import Path
from tempfile import TemporaryFile

from sam_backend.errors import InvalidInputError


def output_folder(path: Path | None) -> Path | None:
    """Return a folder of results, once it is sure that it can be made and written; makes nothing.

    It is the callback of options: it runs before their command does.

    Raises:
        InvalidInputError: A file stands in its way, or nothing can be written there.
    """
    if path is None:
        return None
    place = path.absolute()
    while not (place.exists() or place.is_symlink()):
        place = place.parent
    if not place.is_dir():
        raise InvalidInputError(f"{place} is a file, where a folder is wanted: name another one")
    try:
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise InvalidInputError(
            f"nothing can be written to {place} ({error.strerror}): name another folder than {path}"
        ) from None
    return path


def output_file(path: Path) -> Path:
    """Return a file of results, once it is sure that it can be written; its folder is made later.

    Raises:
        InvalidInputError: It is a folder, or it cannot be written.
    """
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder, where a file is wanted: name a file in it")
    output_folder(path.absolute().parent)
    if path.exists():
        try:
            path.open("ab").close()
        except OSError as error:
            raise InvalidInputError(
                f"{path} cannot be written ({error.strerror}): name another file"
            ) from None
    return path


def output_picture(path: Path) -> Path:
    """Return a PNG that can be written, see `output_file`.

    Raises:
        InvalidInputError: As of `output_file`, or its name is no PNG's.
    """
    if path.suffix.lower() != ".png" and not path.is_dir():
        raise InvalidInputError(f"the picture is a PNG: its name must end in .png, not as {path}")
    return output_file(path)


def read_text(path: Path) -> str:
    """Return the text of a file that an option names.

    Raises:
        InvalidInputError: It is no text in UTF-8.
        OSError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path} is no text in UTF-8 (byte {error.start}): name a text file"
        ) from None
