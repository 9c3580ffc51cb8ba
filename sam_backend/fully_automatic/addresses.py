"""How Label Studio gets at the images of a bulk run."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from typing_extensions import override

from sam_backend.datasets.decoding import file_suffix
from sam_backend.datasets.image_files import digest_of, path_named
from sam_backend.errors import ImageFetchError, InvalidInputError
from sam_backend.fully_automatic.sources import ImageReader, name_of
from sam_backend.labelstudio.api.uploads import upload_files, uploaded_files
from sam_backend.projects.project import Project
from sam_backend.store.shards import ImageMasks

# What fsspec calls it, and Label Studio's storages.
_SCHEMES = {"az": "azure-blob", "abfs": "azure-blob", "gcs": "gs"}


class Addresses(ABC):
    """Addresses of images for Label Studio's tasks."""

    @abstractmethod
    def of(self, images: Sequence[ImageMasks]) -> Sequence[str | ImageFetchError]:
        """What the tasks' field says, in the images' order; why there is none where a file is lost.

        Raises:
            InvalidInputError: Images cannot be reached in this way.
            SamBackendError: The images' place or Label Studio is out of reach.
        """


class OwnAddresses(Addresses):
    """The URIs themselves, for web addresses and buckets that are the project's storage."""

    @override
    def of(self, images: Sequence[ImageMasks]) -> list[str]:
        return [self._address(image.uri) for image in images]

    def _address(self, uri: str) -> str:
        scheme, sign, rest = uri.partition("://")
        if not sign or scheme not in ("http", "https", "s3", "gs", *_SCHEMES):
            raise InvalidInputError(
                f"{uri} is no address that Label Studio opens; say --url-prefix or "
                "--document-root, or bring the files there by `sam-backend import … --upload`"
            )
        return f"{_SCHEMES.get(scheme, scheme)}://{rest}"


class PrefixAddresses(Addresses):
    """A web address, and behind it an image's name within its source.

    Args:
        prefix: Such as "https://images.example.org/".
        root: Root of the run's listing.
    """

    def __init__(self, prefix: str, root: str) -> None:
        self._prefix = prefix.rstrip("/") + "/"
        self._root = root

    @override
    def of(self, images: Sequence[ImageMasks]) -> list[str]:
        return [self._prefix + self._quoted(image.uri) for image in images]

    def _quoted(self, uri: str) -> str:
        if "://" in uri:
            return quote(name_of(uri, self._root))
        name = name_of(str(path_named(uri)), f"{path_named(self._root)}/")
        return quote(os.fsencode(name))  # the bytes of the name, whatever they mean


class LocalFileAddresses(Addresses):
    """Files below Label Studio's document root, which a local-files storage of the project covers.

    Args:
        document_root: `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, as this machine sees it.
    """

    def __init__(self, document_root: Path) -> None:
        self._document_root = document_root.absolute()

    @override
    def of(self, images: Sequence[ImageMasks]) -> list[str]:
        return [self._address(image.uri) for image in images]

    def _address(self, uri: str) -> str:
        try:
            inside = path_named(uri).relative_to(self._document_root)
        except ValueError:
            raise InvalidInputError(
                f"{uri} does not lie below the document root {self._document_root}"
            ) from None
        return f"/data/local-files/?d={quote(os.fsencode(inside))}"


class UploadedAddresses(Addresses):
    """Files that are uploaded to the project; those of a broken run are found again.

    Args:
        project: The project.
        reader: Reads the images.
    """

    def __init__(self, project: Project, reader: ImageReader) -> None:
        self._project = project
        self._reader = reader
        self._known: dict[str, str] | None = None

    @override
    def of(self, images: Sequence[ImageMasks]) -> list[str | ImageFetchError]:
        known = self._known or uploaded_files(self._project.client, self._project.id)
        self._known = None  # an upload whose answer is lost may have been kept
        files: dict[str, bytes] = {}
        lost: dict[str, ImageFetchError] = {}
        for image in images:
            if image.digest not in known:
                try:
                    data = self._reader.read(image.uri)
                except ImageFetchError as error:
                    lost[image.digest] = error
                    continue
                if digest_of(data) == image.digest:
                    files[f"{image.digest}{file_suffix(data)}"] = data
                else:  # the masks are of another picture
                    reason = f"{image.uri} has changed since it was listed"
                    lost[image.digest] = ImageFetchError(reason)
        known |= upload_files(self._project.client, self._project.id, files)
        self._known = known
        return [lost.get(image.digest) or known[image.digest] for image in images]
