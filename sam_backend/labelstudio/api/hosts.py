"""Which Label Studio a task belongs to, and what makes two web addresses the same server."""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import httpx

from sam_backend.errors import LabelStudioError

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what a token may be sent to (RFC 6454)."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default = _DEFAULT_PORTS.get(self.scheme) == self.port
        return f"{self.scheme}://{host}" + ("" if is_default else f":{self.port}")


def origin_of(url: httpx.URL) -> Origin | None:
    """Origin of an http(s) URL; None: another scheme, or no host."""
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        return None
    host = url.raw_host.decode("ascii").rstrip(".").strip("[]")
    return Origin(url.scheme, host, url.port or _DEFAULT_PORTS[url.scheme])


@dataclass(frozen=True, slots=True)
class LabelStudioHost:
    """One Label Studio server and our token for it.

    Two servers number their projects and tasks alike, so whatever is remembered about a task is
    keyed by `origin` too.

    Attributes:
        url: Base address without a trailing slash, e.g. "http://localhost:8080" or
            "https://example.org/label-studio".
        token: Legacy or personal access token; empty without.
        public_url: The address that people use and that Label Studio writes into tasks, if `url`
            is another way to the same server (say, a name inside a container network).
        refusal: Why nothing is fetched from it, with the remedy; empty: it may be.
        must_be_public: A stranger has named it: it is fetched from only while its address is a
            public one.

    Raises:
        LabelStudioError: `url` is no http(s) address or holds more than one, or the token cannot
            be one.
    """

    url: str
    token: str = field(default="", repr=False)
    public_url: str = ""
    refusal: str = field(default="", compare=False)
    must_be_public: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.strip().rstrip("/"))
        object.__setattr__(self, "token", self.token.strip())
        try:
            url = httpx.URL(self.url)
            origin = origin_of(url)
        except (httpx.InvalidURL, ValueError):
            origin = None
        if origin is None:
            raise LabelStudioError(f"Label Studio's address must be http(s)://…, not {self.url!r}")
        if url.userinfo:
            raise LabelStudioError(f"Label Studio's address {origin} must not hold credentials")
        if not all("!" <= char <= "~" for char in self.token):
            # An HTTP library would refuse such a header, and quote it in its message.
            raise LabelStudioError(
                f"the token for {origin} holds spaces or characters beyond ASCII"
            )
        if url.query or url.fragment:
            raise LabelStudioError(f"Label Studio's address {origin} must end before '?' and '#'")

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""
        origin = origin_of(httpx.URL(self.url))
        if origin is None:  # __post_init__ refuses such an address
            raise LabelStudioError(f"Label Studio's address must be http(s)://…, not {self.url!r}")
        return origin

    @property
    def identity(self) -> str:
        """Key of this server and token for caches and logs; the token cannot be read from it."""
        return f"{self.url}#{hashlib.sha256(self.token.encode()).hexdigest()[:16]}"

    def through_url(self, address: httpx.URL) -> str | None:
        """The same file by way of `url`, if the address is at `public_url`; None: it is not."""
        try:
            public = httpx.URL(self.public_url)
        except httpx.InvalidURL:
            return None
        if origin_of(public) is None or origin_of(address) != origin_of(public):
            return None
        path = address.raw_path.decode("ascii")
        prefix = public.path.rstrip("/")
        return self.absolute(path.removeprefix(prefix) if path.startswith(prefix + "/") else path)

    def absolute(self, path: str) -> str:
        """Absolute address of a path that Label Studio wrote, with or without its own sub-path."""
        base = httpx.URL(self.url).path.rstrip("/")
        rooted = path if path.startswith("/") else f"/{path}"
        if base and (rooted == base or rooted.startswith(base + "/")):
            return str(self.origin) + rooted
        return self.url + rooted
