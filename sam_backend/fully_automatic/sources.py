"""Where the images of a bulk run are: listed once, read by their URIs ever after."""

import errno
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from sam_backend.datasets.image_files import path_named, read_bytes, readable_name
from sam_backend.errors import (
    ImageDecodeError,
    ImageFetchError,
    InvalidInputError,
    SamBackendError,
    SourceError,
)
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.project_tasks import task_numbers, tasks_numbered
from sam_backend.labelstudio.api.storages import storage_address
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import ImageResolver, image_resolver
from sam_backend.projects.project import find_project, host_of_project
from sam_backend.settings import Settings

SUFFIXES = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm",
    ".png", ".pnm", ".ppm", ".svg", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Files that are read as images. SVG has no pixels, and HEIC needs a package: people expect both to
be images, and are told why one is none."""
PROJECT = "labelstudio://"
STORAGE = f"{PROJECT}storage/"
_WILD = "*?["
# A share or a bucket that is gone is waited for as long as this; then the run stops.
_PAUSES_S = (1.0, 4.0, 10.0)
_TIMEOUT_S = 60.0
# Errors that are a file's own; others may be those of the place where it lies.
_OF_THE_FILE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Listing:
    """Images of a source, in a fixed order.

    Attributes:
        root: What the URIs begin with, where they have that in common: the folder, with a slash at
            its end. Names are relative to it.
        uris: Absolute paths, URLs that fsspec opens, or `labelstudio://<project>/<task>/<tag>`;
            sorted, but those of a list file, which keep its order. Paths as `readable_name` writes
            them.
        others: How many files were left out, by what their names end with.
    """

    root: str
    uris: tuple[str, ...]
    others: Mapping[str, int] = field(default_factory=dict)


def list_images(source: str, settings: Settings) -> Listing:
    """Find the images of a source.

    Args:
        source: A folder or a URL (with all below it), a glob of either, an image file, a text file
            with a path or URL in each line, `labelstudio://<project>`: images of the project's
            tasks, or `labelstudio://storage/<kind>/<number>`: what a source storage of Label Studio
            names, read with this machine's own rights.
        settings: Settings of this process, which name the Label Studio.

    Raises:
        InvalidInputError: There is no such source, or it has no image.
        SamBackendError: It cannot be listed.
    """
    if source.startswith(STORAGE):
        with _default_client(settings) as client:
            source = storage_address(client, source.removeprefix(STORAGE))
    if source.startswith(PROJECT):
        listing = _of_project(source, settings)
    elif "://" in source:
        listing = _of_url(source)
    else:
        listing = _of_path(Path(source).expanduser().absolute())
    if not listing.uris:
        left_out = ", ".join(f"{n} {suffix}" for suffix, n in listing.others.items())
        raise InvalidInputError(
            f"{readable_name(source)} has no image (files that end with {' '.join(SUFFIXES)})"
            + (f", but {left_out}" if left_out else "")
        )
    return listing


def project_number(source: str) -> int | None:
    """Return the number of the project whose images a source is; None for any other source."""
    number = source.removeprefix(PROJECT) if source.startswith(PROJECT) else ""
    return int(number) if number.isascii() and number.isdecimal() else None


def name_of(uri: str, root: str) -> str:
    """An image's name within its source."""
    return uri.removeprefix(root)


class ImageReader:
    """Reads image files by their URIs. Safe under threads.

    Args:
        settings: Tell which Label Studio, and how large files may be.
        root: Root of the listing, to tell a lost file from a lost share.
        sleep: Waits some seconds; handed in for tests.
    """

    def __init__(
        self, settings: Settings, root: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._settings = settings
        self._root = root
        self._sleep = sleep
        self._tasks = _TaskImages(settings)

    def read(self, uri: str) -> bytes:
        """The bytes of an image file; waits a little for a place that does not answer.

        Raises:
            ImageFetchError: This file cannot be had, although its place is there.
            SourceError: Its place is out of reach.
        """
        for pause_s in (*_PAUSES_S, None):
            try:
                return self._read(uri)
            except _OutOfReach as error:
                if pause_s is None:
                    raise SourceError(f"{error}; the same command goes on") from None
                self._sleep(pause_s)
        raise AssertionError  # the last round returns or raises

    def _read(self, uri: str) -> bytes:
        if uri.startswith(PROJECT):
            return self._tasks.read(uri)
        if "://" in uri:
            return self._read_url(uri)
        try:
            return read_bytes(path_named(uri))
        except FileNotFoundError:
            self._check_root(uri)
            raise ImageFetchError(f"{uri} is not there any more") from None
        except ImageDecodeError as error:  # read_bytes found it, and could not read it
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _OF_THE_FILE:
                raise ImageFetchError(str(error)) from None
            raise _OutOfReach(str(error)) from None

    def _check_root(self, uri: str) -> None:
        """A share that is gone leaves an empty folder, or none."""
        root = path_named(self._root)
        try:
            is_there = any(root.iterdir())
        except OSError:
            is_there = False
        if not is_there:
            raise _OutOfReach(f"{uri} cannot be read: {self._root} is empty or gone")

    def _read_url(self, uri: str) -> bytes:
        fs, path = _filesystem(uri)
        try:
            data = fs.cat_file(path)
        except FileNotFoundError:
            raise ImageFetchError(f"{uri} is not there any more") from None
        except PermissionError as error:
            raise ImageFetchError(f"{uri} cannot be read: {error}") from None
        except Exception as error:  # each storage has errors of its own
            reason = str(error) or "its storage gives no reason"
            raise _OutOfReach(f"{uri} cannot be read: {reason}") from None
        return bytes(data)


class _OutOfReach(Exception):  # noqa: N818  waits, and is never seen outside
    """The place of a file does not answer now."""


class _TaskImages:
    """Images of Label Studio's tasks."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._resolver: ImageResolver = image_resolver(settings)
        self._configs: dict[int, LabelConfig] = {}

    def read(self, uri: str) -> bytes:
        project, task, tag = uri.removeprefix(PROJECT).split("/", 2)
        try:
            host = host_of_project(self._settings, int(project))
            with LabelStudioClient(host, _TIMEOUT_S) as client:
                config = self._configs.get(int(project)) or _config(client, int(project))
                self._configs[int(project)] = config
                found = list(tasks_numbered(client, int(project), [int(task)]))
        except SamBackendError as error:
            raise _OutOfReach(f"{uri} cannot be read: {error}") from None
        if not found:
            raise ImageFetchError(f"{uri}: there is no such task any more")
        (image,) = [one for one in config.images if one.name == tag]
        return self._resolver.fetch(image.address(found[0]["data"]), host, int(task)).data


def _config(client: LabelStudioClient, project: int) -> LabelConfig:
    return LabelConfig.parse(str(find_project(client, project).get("label_config", "")))


def _of_project(source: str, settings: Settings) -> Listing:
    number = source.removeprefix(PROJECT).strip("/")
    if not number.isdecimal():
        raise InvalidInputError(f"a project is written {PROJECT}<number>, not {source!r}")
    host = host_of_project(settings, int(number))
    with LabelStudioClient(host, _TIMEOUT_S) as client:
        tags = [image.name for image in _config(client, int(number)).images]
        tasks = sorted(task_numbers(client, int(number)))
    root = f"{PROJECT}{number}/"
    return Listing(root, tuple(f"{root}{task}/{tag}" for task in tasks for tag in tags))


def _default_client(settings: Settings) -> LabelStudioClient:
    if settings.label_studio_url is None or settings.label_studio_api_key is None:
        raise InvalidInputError(
            f"{STORAGE}… needs LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY: a storage does not say "
            "which Label Studio it belongs to"
        )
    token = settings.label_studio_api_key.get_secret_value()
    return LabelStudioClient(LabelStudioHost(settings.label_studio_url, token), _TIMEOUT_S)


def _of_url(source: str) -> Listing:
    fs, path = _filesystem(source)
    try:
        if any(letter in path for letter in _WILD):
            found = [one for one in fs.glob(path) if fs.isfile(one)]
            path = _before_wild(path)
        else:
            found = fs.find(path)
    except Exception as error:  # each storage has errors of its own
        raise SourceError(f"{source} cannot be listed: {error}") from None
    uris = (fs.unstrip_protocol(one) for one in found)
    return _images(f"{fs.unstrip_protocol(path).rstrip('/')}/", uris)


def _of_path(path: Path) -> Listing:
    text = str(path)
    if path.is_dir():
        found: Iterable[Path] = (one for one in path.rglob("*") if one.is_file())
        return _images(f"{text}/", map(str, found))
    if path.is_file():
        return _of_file(path)
    if any(letter in text for letter in _WILD):
        root = Path(_before_wild(text))
        found = (one for one in root.glob(str(path.relative_to(root))) if one.is_file())
        return _images(f"{root}/", map(str, found))
    raise InvalidInputError(f"there is no folder, glob, image or list file {readable_name(path)}")


def _of_file(path: Path) -> Listing:
    """An image, or a list of some."""
    root = f"{path.parent}/"
    if path.suffix.lower() in SUFFIXES:
        return _images(root, [str(path)])
    # names of files are bytes, and one that is no UTF-8 stops nothing
    text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    if "\x00" in text:
        raise InvalidInputError(
            f"{readable_name(path)} is neither an image (files that end with {' '.join(SUFFIXES)}) "
            "nor a text file with a path or URL in each line"
        )
    told = [line.strip() for line in text.splitlines()]
    uris = (
        line if "://" in line else str(path.parent / line)
        for line in told
        if line and not line.startswith("#")
    )
    return Listing(readable_name(root), tuple(dict.fromkeys(map(readable_name, uris))))


def _images(root: str, found: Iterable[str]) -> Listing:
    """Those of the files that are images, by their names, sorted; the others are counted."""
    uris = []
    others: Counter[str] = Counter()
    for uri in found:
        if uri.lower().endswith(SUFFIXES):
            uris.append(readable_name(uri))
        else:
            others[PurePosixPath(readable_name(uri)).suffix.lower() or "without a suffix"] += 1
    return Listing(readable_name(root), tuple(sorted(uris)), dict(others.most_common()))


def _before_wild(path: str) -> str:
    """The last folder before the first wildcard."""
    first = min(path.index(letter) for letter in _WILD if letter in path)
    return path[:first].rpartition("/")[0] or "/"


def _filesystem(url: str) -> tuple[Any, str]:
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InvalidInputError(
            f"{url} needs a package that is not here: pip install '.[cloud]' in a clone ({error})"
        ) from None
    except ValueError as error:
        raise InvalidInputError(f"{url} cannot be opened: {error}") from None
    return fs, path
