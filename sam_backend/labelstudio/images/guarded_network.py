"""The network under `fetching`: connects to checked addresses only, and keeps one deadline."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import httpcore

from sam_backend.labelstudio.images.addresses import Resolve, is_public

Clock = Callable[[], float]

_CONNECT_FAILURES = (OSError, httpcore.ConnectError, httpcore.ConnectTimeout)


class AddressRefusedError(Exception):
    """The host resolves to an address that we do not fetch from."""


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Counts down to a deadline.

    Attributes:
        clock: Monotonic seconds.
        deadline: Moment of that clock.
    """

    clock: Clock
    deadline: float

    def __call__(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self.deadline - self.clock()
        if left <= 0:
            raise TimeoutError
        return left


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to an address that was checked, and gives no single step more time than is left.

    The name is resolved here and nowhere else, so a second answer of its name server (DNS
    rebinding) is never asked for. TLS still checks the certificate against the name.
    """

    def __init__(self, resolver: Resolve, left: TimeLeft, allow_private: bool) -> None:
        self._resolver = resolver
        self._left = left
        self._allow_private = allow_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that answers; refuse if any is not allowed."""
        addresses = self._resolver(host, port, self._left())
        refused = [] if self._allow_private else [a for a in addresses if not is_public(a)]
        if refused:
            raise AddressRefusedError(
                f"{host!r} is at {refused[0]}, which is not a public address "
                "(SAM_BACKEND_ALLOW_PRIVATE_ADDRESSES=true allows it)"
            )
        failure: Exception = OSError(f"{host!r} has no address")
        for n_left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share_s = self._left() / n_left  # a silent address must not use up all the time
            try:
                stream = self._sockets.connect_tcp(
                    str(address), port, share_s, local_address, socket_options
                )
            except _CONNECT_FAILURES as error:
                failure = error
            else:
                return _TimedStream(stream, self._left)
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Refused: no image lives behind a local socket."""
        raise AddressRefusedError("local sockets are refused")


class _TimedStream(httpcore.NetworkStream):
    """A stream whose every step ends by the deadline, so that a slow drip cannot outlast it."""

    def __init__(self, stream: httpcore.NetworkStream, left: TimeLeft) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._left())
        return _TimedStream(stream, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
