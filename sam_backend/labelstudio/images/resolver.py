"""From the image value of a task to its bytes, wherever Label Studio keeps them."""

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import httpx
from cachetools import TTLCache

from sam_backend.errors import ImageFetchError, LabelStudioError
from sam_backend.labelstudio.api.client import presign_path
from sam_backend.labelstudio.api.hosts import LabelStudioHost, Origin, origin_of
from sam_backend.labelstudio.api.tokens import Authorizations
from sam_backend.labelstudio.images.addresses import Resolve, resolve
from sam_backend.labelstudio.images.fetching import Fetcher, FetchLimits
from sam_backend.labelstudio.images.redaction import readable
from sam_backend.settings import Settings

# Schemes of Label Studio's storages that it can sign (io_storages, 1.23.2).
CLOUD_SCHEMES = ("s3", "gs", "azure-blob")


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image file.

    Attributes:
        data: The file's bytes.
        digest: sha256 of the bytes, hex: the image's identity.
        address: Where it came from, without secrets: fit for logs.
    """

    data: bytes = field(repr=False)
    digest: str
    address: str


class ImageResolver:
    """Fetches the images of tasks. Safe under threads.

    Files are kept for a short while, so that a click does not download what the last one had. The
    key is Label Studio's address, our token and the image's address, never a task's number: two
    servers number their tasks alike.

    Args:
        limits: Bounds of one download; `FetchLimits()` without.
        allow_private: Fetch from addresses that are not public, too; Label Studio's own is
            always allowed.
        max_cached_bytes: Memory for kept files; 0: none are kept.
        keep_s: Seconds that a file is kept. An upload never changes under its name, other
            addresses may.
        resolver: Finds the addresses of a host; handed in for tests.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        allow_private: bool = False,
        max_cached_bytes: int = 256 * 1024 * 1024,
        keep_s: float = 60.0,
        resolver: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or FetchLimits()
        self._fetcher = Fetcher(self._limits, allow_private, resolver)
        self._authorizations = Authorizations()
        self._lock = threading.Lock()
        self._kept: TTLCache[tuple[str, str], FetchedImage] = TTLCache(
            max_cached_bytes, keep_s, clock, lambda image: len(image.data)
        )

    def fetch(self, value: str, host: LabelStudioHost, task_id: int | None = None) -> FetchedImage:
        """The image that a task's field names.

        Args:
            value: Upload (`/data/upload/…`), local file (`/data/local-files/?d=…`), any other
                path on Label Studio, http(s) address, cloud URI (`s3://…`, `gs://…`,
                `azure-blob://…`) or data URI.
            host: The Label Studio that the task came from.
            task_id: The task; needed for cloud URIs, which Label Studio signs for a task.

        Raises:
            ImageFetchError: The value is none of these, or the image cannot be had. The message
                names the address without secrets.
        """
        value = value.strip()
        if value[:5].lower() == "data:":
            return _image(read_data_uri(value, self._limits.max_bytes), value)
        url = absolute_address(value, host, task_id)
        key = (host.identity, url)
        with self._lock:
            self._kept.expire()  # else it would hold memory until the next one is put
            kept = self._kept.get(key)
        if kept is not None:
            return kept
        if host.refusal and _origin(url) == host.origin:
            raise ImageFetchError(f"{readable(value)} cannot be fetched: {host.refusal}")
        authorization = self._authorizations.of(host)
        home = None if host.refusal else host.origin
        try:
            data = self._fetcher.get(
                url,
                home,
                authorization.header,
                authorization.renew,
                is_home_trusted=not host.must_be_public,
            )
        except LabelStudioError as error:
            raise ImageFetchError(f"{readable(value)} cannot be fetched: {error}") from None
        except ImageFetchError as error:
            if _scheme(value) not in CLOUD_SCHEMES:
                raise
            raise ImageFetchError(f"{readable(value)}: {error}", error.status) from None
        image = _image(data, value)
        if len(image.data) <= self._kept.maxsize:
            with self._lock:
                self._kept[key] = image
        return image


def image_resolver(settings: Settings) -> ImageResolver:
    """Fetches images within the bounds that the settings give."""
    limits = FetchLimits(settings.max_image_mb * 1024 * 1024, settings.image_timeout_s)
    return ImageResolver(limits, settings.allow_private_addresses)


def absolute_address(value: str, host: LabelStudioHost, task_id: int | None) -> str:
    """The http(s) address to fetch an image value from.

    Raises:
        ImageFetchError: Another scheme, an empty value, or a cloud URI without a task.
    """
    if not value:
        raise ImageFetchError("the task's image field is empty")
    scheme = _scheme(value)
    if scheme in ("http", "https"):
        return _reachable(value, host)
    if scheme in CLOUD_SCHEMES:
        if task_id is None:
            raise ImageFetchError(f"{readable(value)} can only be signed for a task with a number")
        return host.absolute(presign_path(task_id, value))
    if value.startswith("//"):
        return f"{host.origin.scheme}:{value}"
    if value.startswith(("/", "data/")):
        return host.absolute(value)
    raise ImageFetchError(
        f"{readable(value)} is no address that we fetch: http(s)://, {'://, '.join(CLOUD_SCHEMES)}"
        "://, data: or a path of Label Studio"
    )


def _origin(address: str) -> Origin | None:
    """Scheme, host and port of an address; None without."""
    try:
        return origin_of(httpx.URL(address))
    except (httpx.InvalidURL, ValueError):
        return None


def _scheme(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    return scheme.lower() if separator else ""


def _reachable(address: str, host: LabelStudioHost) -> str:
    try:
        return host.through_url(httpx.URL(address)) or address
    except (httpx.InvalidURL, ValueError):
        raise ImageFetchError(f"{readable(address)} is no valid address") from None


def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """Bytes of a data URI (RFC 2397), base64 or percent-encoded.

    Raises:
        ImageFetchError: Malformed, or over `max_bytes`.
    """
    head, comma, body = uri.partition(",")
    if not comma:
        raise ImageFetchError(f"{readable(uri)} has no comma")
    is_base64 = head.lower().endswith(";base64")
    if (len(body) * 3 // 4 if is_base64 else len(body) // 3) > max_bytes:
        raise ImageFetchError(f"{readable(uri)} is over the limit of {max_bytes} bytes")
    data = unquote_to_bytes(body)
    if is_base64:
        try:
            data = base64.b64decode(b"".join(data.split()), validate=True)
        except binascii.Error as error:
            raise ImageFetchError(f"{readable(uri)} is no valid base64: {error}") from None
    if len(data) > max_bytes:
        raise ImageFetchError(f"{readable(uri)} has {len(data)} bytes, over the limit {max_bytes}")
    return data


def _image(data: bytes, value: str) -> FetchedImage:
    return FetchedImage(data, hashlib.sha256(data).hexdigest(), readable(value))
