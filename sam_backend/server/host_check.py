"""Which names this backend may be called under: against DNS rebinding.

A page that somebody opens in a browser may point its own name at this machine's address, and then
talk to this backend as if to itself. Its name stands in the request's Host header. So names that
anybody can own are refused unless they are allowed; addresses, and names that no public name server
gives away, are not.
"""

import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from starlette.types import ASGIApp, Receive, Scope, Send

from sam_backend.server.responses import send_text

log = logging.getLogger(__name__)

# Never delegated to anybody: RFC 6761 (localhost, test), 6762 (local), 8375 (home.arpa), and
# ICANN's resolution 2024.07.29.06 (internal).
_INNER_DOMAINS = ("localhost", "local", "internal", "home.arpa", "test")
_LONGEST = 100


class HostCheck:
    """ASGI middleware: 403 for a Host header that is not allowed, with the remedy.

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
        await send_text(send, 403, reason)

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
