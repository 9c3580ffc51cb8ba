"""A GET that is not led astray: checked addresses, one deadline, counted bytes, no stray token."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ssl import SSLContext

import httpcore
import httpx

from sam_backend.errors import ImageFetchError
from sam_backend.labelstudio.api.hosts import Origin, origin_of
from sam_backend.labelstudio.images.addresses import Resolve, resolve
from sam_backend.labelstudio.images.bulkhead import Bulkhead
from sam_backend.labelstudio.images.guarded_network import (
    AddressRefusedError,
    Clock,
    GuardedBackend,
    TimeLeft,
)
from sam_backend.labelstudio.images.redaction import readable

_PLAIN = frozenset({"", "identity"})
_ENCODINGS = _PLAIN | {"gzip", "x-gzip", "deflate"}
_INFLATED_BYTES = 1 << 20

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one download may cost.

    Attributes:
        max_bytes: Largest body.
        timeout_s: Wall time from the first name look-up to the last byte, over all redirects.
        max_redirects: Redirects followed (curl's and browsers' 20 to 50 serve chains that an
            image has no use for).
    """

    max_bytes: int = 100 * 1024 * 1024
    timeout_s: float = 20.0
    max_redirects: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response, its body counted and complete.

    Attributes:
        status: HTTP status.
        headers: Last value of each header, names in lower case.
        body: Body of a 200 answer; empty otherwise.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetcher:
    """Downloads over http(s), holding no connection and no state between calls.

    Proxy variables of the environment are not read: behind a proxy, the address that is connected
    to could not be checked.

    Args:
        limits: Bounds of one call.
        allow_private: Fetch from addresses that are not public, too.
        resolver: Finds the addresses of a host; handed in for tests.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        limits: FetchLimits,
        allow_private: bool = False,
        resolver: Resolve = resolve,
        clock: Clock = time.monotonic,
    ) -> None:
        self.limits = limits
        self._allow_private = allow_private
        self._resolver = resolver
        self._clock = clock
        self._bulkhead = Bulkhead()
        self._ssl_context = httpx.create_ssl_context(trust_env=True)

    def get(
        self,
        url: str,
        home: Origin | None = None,
        authorization: Callable[[], str | None] = lambda: None,
        renew: Callable[[str | None], bool] = lambda rejected: False,
        is_home_trusted: bool = True,
    ) -> bytes:
        """Body of a GET, following redirects by hand so that every hop is checked anew.

        Args:
            url: Absolute http(s) address.
            home: Label Studio's own origin: the only place that `authorization` is sent to, until
                a redirect leads elsewhere.
            authorization: Value of the Authorization header for `home`.
            renew: Called with the value that `home` answered 401 to; True: `authorization` has
                changed, ask again.
            is_home_trusted: `home` may have a private address, as nothing else may.

        Raises:
            ImageFetchError: A limit is hit, an address is refused, the server cannot be reached
                or answers anything but 200. The message holds no query and no token.
        """
        deadline = self._clock() + self.limits.timeout_s
        is_home_so_far, asked_anew = True, False
        hop, n_redirects = url, 0
        while True:
            target = _parse(hop)
            is_home = home is not None and origin_of(target) == home
            is_home_so_far = is_home_so_far and is_home
            header = authorization() if is_home_so_far else None
            with self._bulkhead.turn(origin_of(target)):
                answer = self._get_once(target, header, deadline, is_home and is_home_trusted)
            if answer.status == 401 and is_home_so_far and not asked_anew and renew(header):
                asked_anew = True
                continue
            if answer.status not in _REDIRECTS:
                return _body(answer, hop, header, is_home_so_far)
            n_redirects += 1
            if n_redirects > self.limits.max_redirects:
                raise ImageFetchError(
                    f"{readable(url)} redirects more than {self.limits.max_redirects} times"
                )
            hop = _next(target, answer)

    def _get_once(
        self, url: httpx.URL, authorization: str | None, deadline: float, may_be_private: bool
    ) -> Answer:
        headers = {"Host": url.netloc.decode("ascii"), "Accept": "image/*,*/*;q=0.5"}
        headers |= {"Accept-Encoding": "identity", "User-Agent": "sam-backend"}
        if authorization is not None:
            headers["Authorization"] = authorization
        time_left = TimeLeft(self._clock, deadline)
        backend = GuardedBackend(self._resolver, time_left, self._allow_private or may_be_private)
        name = readable(str(url))
        try:
            with (
                _pool(self._ssl_context, backend) as pool,
                pool.stream("GET", _core_url(url), headers=list(headers.items())) as response,
            ):
                return self._read(response, name, deadline)
        except AddressRefusedError as refusal:
            raise ImageFetchError(f"{name}: {refusal}") from None
        except (TimeoutError, httpcore.TimeoutException):
            raise ImageFetchError(
                f"{name} took longer than {self.limits.timeout_s:g} s in all"
            ) from None
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError) as error:
            reason = str(error) or type(error).__name__
            raise ImageFetchError(f"{name} cannot be fetched: {reason}") from None

    def _read(self, response: httpcore.Response, name: str, deadline: float) -> Answer:
        headers = {
            key.decode("ascii", "replace").lower(): value.decode("latin-1")
            for key, value in response.headers
        }
        if response.status != 200:
            return Answer(response.status, headers, b"")
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise ImageFetchError(
                f"{name} is sent {encoding!r:.40}-encoded, but we asked for it as it is and read "
                "gzip and deflate: set its storage or server to send images without"
            )
        limit = self.limits.max_bytes
        claimed = headers.get("content-length", "")
        if claimed.isdecimal() and int(claimed) > limit:
            raise ImageFetchError(f"{name} has {claimed} bytes, over the limit of {limit}")
        body = bytearray()
        for chunk in _decoded(response.iter_stream(), encoding, name):
            body += chunk
            if len(body) > limit:
                raise ImageFetchError(f"{name} has over {limit} bytes, the limit")
            if self._clock() > deadline:
                raise TimeoutError
        return Answer(response.status, headers, bytes(body))


def _decoded(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    """A body without its content encoding, in pieces of at most 1 MB.

    Buckets send what was stored gzipped so, whatever was asked for.

    Raises:
        ImageFetchError: It is damaged or cut short.
    """
    if encoding in _PLAIN:
        yield from chunks
        return
    inflater = None
    try:
        for chunk in chunks:
            rest, is_full = chunk, False
            while rest or is_full:
                if inflater is None or (inflater.eof and rest):  # gzip may have several members
                    inflater = zlib.decompressobj(_window_bits(rest, encoding))
                piece = inflater.decompress(rest, _INFLATED_BYTES)
                yield piece
                is_full = len(piece) == _INFLATED_BYTES
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise ImageFetchError(f"{name} is no valid {encoding}: {error}") from None
    if inflater is None or not inflater.eof:
        raise ImageFetchError(f"{name} is cut short: its {encoding} does not end")


def _window_bits(start: bytes, encoding: str) -> int:
    """For zlib: gzip's or zlib's header, or neither, as some servers send deflate."""
    if encoding != "deflate":
        return 16 + zlib.MAX_WBITS
    has_header = start[0] & 0x0F == 8 and (len(start) < 2 or (start[0] << 8 | start[1]) % 31 == 0)
    return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _parse(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise ImageFetchError(f"{readable(url)} is no valid address") from None
    if origin_of(parsed) is None:
        raise ImageFetchError(f"{readable(url)} is no http(s) address with a host")
    if parsed.userinfo:
        raise ImageFetchError(f"{readable(url)} holds a user name or password, which is refused")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise ImageFetchError(f"{readable(url)} has the port {parsed.port}")
    return parsed


def _next(url: httpx.URL, answer: Answer) -> str:
    location = answer.headers.get("location", "")
    try:
        if location:
            return str(url.join(location))
    except (httpx.InvalidURL, ValueError):
        pass
    raise ImageFetchError(
        f"{readable(str(url))} answers {answer.status} with a location that is no address"
    )


def _body(answer: Answer, url: str, authorization: str | None, is_home: bool) -> bytes:
    if answer.status == 200:
        return answer.body
    hint = ""
    if answer.status in (401, 403) and is_home:
        hint = ": Label Studio does not accept our token for it"
        if authorization is None:
            hint = ": we have no token for this Label Studio"
        elif authorization.startswith("Token ") and answer.status == 401:
            hint += " (legacy tokens are off by default: give a personal access token)"
    elif answer.status == 404 and is_home:
        hint = ": no such file, or no storage of the project covers it"
    raise ImageFetchError(f"{readable(url)} answers {answer.status}{hint}", answer.status)


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _pool(ssl_context: SSLContext, backend: httpcore.NetworkBackend) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=ssl_context, network_backend=backend, max_keepalive_connections=0
    )
