"""What a request has to pass before the app gets it: its Host name, its size, its password."""

import base64
import binascii
import hmac
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam_backend.labelstudio.api.event_secret import HEADER, event_secret

log = logging.getLogger(__name__)

# Never delegated to anybody: RFC 6761 (localhost, test), 6762 (local), 8375 (home.arpa), and
# ICANN's resolution 2024.07.29.06 (internal).
_INNER_DOMAINS = ("localhost", "local", "internal", "home.arpa", "test")
_LONGEST = 100
# Liveness and readiness are asked by orchestrators that hold no password.
OPEN_PATHS = frozenset({"/health", "/ready"})


class HostCheck:
    """ASGI middleware: 403 for a Host header that is not allowed, with the remedy.

    It keeps off DNS rebinding. A page that somebody opens in a browser may point its own name at
    this machine's address, and then talk to this backend as if to itself; its name stands in the
    request's Host header. So names that anybody can own are refused unless they are allowed;
    addresses, and names that no public name server gives away, are not.

    Args:
        app: What is called then.
        allowed: Names, beside those that need no permission; `*` stands for anything.
        refused: Told the name and the reason, each time.
    """

    def __init__(
        self, app: ASGIApp, allowed: Sequence[str], refused: Callable[[str, str], None]
    ) -> None:
        self._app = app
        self._allowed = tuple(pattern.lower() for pattern in allowed)
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(told) == 1 and self._is_allowed(host_name(told[0])):
            await self._app(scope, receive, send)
            return
        name = host_name(told[0]) if told else ""
        shown = "".join(char if char.isprintable() else "?" for char in name[:_LONGEST])
        reason = (
            f"this backend is not called {shown!r}. If it is, start it with "
            f"SAM_BACKEND_ALLOWED_HOSTS={shown} (names with commas between them), or with a "
            "password (SAM_BACKEND_BASIC_AUTH_USER and …_PASSWORD), which pages of others do not "
            "know"
        )
        self._refused(shown, reason)
        await _send_text(send, 403, reason)

    def _is_allowed(self, name: str) -> bool:
        return is_inner_name(name) or any(fnmatchcase(name, pattern) for pattern in self._allowed)


def host_name(header: str) -> str:
    """The name or address of a Host header, in lower case, without the port."""
    header = header.strip().lower()
    if header.startswith("["):
        inner, closed, _ = header[1:].partition("]")
        return inner if closed else ""
    name, _, port = header.rpartition(":")
    return (name if name and port.isdecimal() else header).rstrip(".")


def is_inner_name(name: str) -> bool:
    """Whether a name is an address, this machine's own, or one that no stranger can own."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        pass
    else:
        return True
    if not name:
        return False
    if "." not in name:  # a container's service, a machine of the network
        return True
    is_reserved = any(name.endswith(f".{domain}") for domain in _INNER_DOMAINS)
    return is_reserved or name == socket.gethostname().lower()


log = logging.getLogger(__name__)


class BasicAuth:
    """ASGI middleware: 401 without the right user and password, compared in constant time.

    Basic authentication is the only kind that Label Studio offers for ML backends. It encodes user
    and password in latin-1 (seen in 1.23.2), browsers and most clients in UTF-8 (RFC 7617): both
    are let in. Label Studio's events bring the secret that we have put into the webhook instead.
    """

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        self._app = app
        self._event_secret = event_secret(user, password).encode()
        told = f"{user}:{password}"
        self._expected = [told.encode()]
        try:
            self._expected.append(told.encode("latin-1"))
        except UnicodeEncodeError:
            log.warning(
                "user or password hold characters that latin-1 has not, so that Label Studio "
                "cannot send them: change SAM_BACKEND_BASIC_AUTH_USER or _PASSWORD"
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        is_open = scope["type"] != "http" or scope["path"] in OPEN_PATHS
        if is_open or self._is_event(scope) or self._is_allowed(scope):
            await self._app(scope, receive, send)
            return
        await _send_text(
            send, 401, "user and password needed", [(b"www-authenticate", b'Basic realm="sam"')]
        )

    def _is_event(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(HEADER.lower().encode(), b"")
        return scope["path"] == "/webhook" and hmac.compare_digest(given, self._event_secret)

    def _is_allowed(self, scope: Scope) -> bool:
        header = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, encoded = header.partition(b" ")
        if kind.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return False
        same = [hmac.compare_digest(given, expected) for expected in self._expected]
        return any(same)


class BodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes`, whatever its Content-Length claims."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._refusal = f"request body is over {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        claimed = dict(scope["headers"]).get(b"content-length", b"0")
        if claimed.isdigit() and int(claimed) > self._max_bytes:
            await _send_text(send, 413, self._refusal)
            return
        n_bytes = 0

        async def counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._max_bytes:
                raise HTTPException(413, self._refusal)
            return message

        await self._app(scope, counted, send)


async def _send_text(
    send: Send, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    """Send a whole text response and end it."""
    body = text.encode()
    base = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": base + (headers or [])})
    await send({"type": "http.response.body", "body": body})
