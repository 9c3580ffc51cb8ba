"""The errors a caller can act on; HTTP server and command line translate them, once each."""

from collections.abc import Iterable
from difflib import get_close_matches


class SamBackendError(Exception):
    """Base of all our errors. The message names the wrong value and never holds a secret."""


class InvalidInputError(SamBackendError):
    """The request, file or argument is wrong: HTTP 400, exit code 2."""


class LabelConfigError(InvalidInputError):
    """The project's labelling configuration cannot be used."""


class PromptError(InvalidInputError):
    """A prompt is malformed or lies outside the image."""


class NoExemplarError(SamBackendError):
    """Nobody has submitted a mask yet whose look-alikes could be proposed."""


class ImageFetchError(SamBackendError):
    """An image could not be fetched (address, permission, size or time limit).

    Attributes:
        status: HTTP status that its server answered with; None if it did not answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ImageDecodeError(SamBackendError):
    """The fetched bytes are not an image that we can read."""


class SourceError(SamBackendError):
    """The place of a run's images is out of reach; the run stops, and goes on when it is back."""


class RunFolderError(SamBackendError):
    """The folder of a bulk run cannot be written, or another process is at work in it."""


class ModelStoreError(SamBackendError):
    """A checkpoint is missing, damaged or of an unknown family."""


class DatabaseError(SamBackendError):
    """The database cannot be opened, reached or written."""


class LabelStudioError(SamBackendError):
    """Label Studio refused a call or could not be reached.

    Attributes:
        status: HTTP status of its answer; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LabelStudioUnavailableError(LabelStudioError):
    """Label Studio is out of reach, busy or broken: the same call may go well later.

    Attributes:
        retry_after_s: When it wants to be asked again; None if it has not said.
    """

    def __init__(
        self, message: str, retry_after_s: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for a misspelt name, or "" if no known name is like it.

    Args:
        name: What somebody wrote.
        known: The names that exist.
    """
    by_lower = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.7)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""


def unknown_names(subject: str, unknown: Iterable[str], known: Iterable[str]) -> InvalidInputError:
    """Return the error about names that do not exist, each with the known name that is nearest.

    Args:
        subject: What has no such name, such as "prefill".
        unknown: The wrong names; at least one.
        known: The names that exist.
    """
    names = sorted(known)
    wrong = ", ".join(f"{one!r}{suggestion(one, names)}" for one in sorted(map(str, unknown)))
    return InvalidInputError(f"{subject} has no setting {wrong}; known: {', '.join(names)}")
