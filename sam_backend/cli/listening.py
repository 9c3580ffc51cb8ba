"""What `sam-backend serve` asks of its address before anything is loaded."""

import ipaddress
import logging
import socket

from sam_backend.errors import SamBackendError
from sam_backend.settings import Settings

log = logging.getLogger(__name__)


def check_address(settings: Settings) -> None:
    """Find out whether the server can listen where it shall, and warn if strangers reach it.

    Raises:
        SamBackendError: The host is none of this machine's, or the port is taken.
    """
    host, port = settings.host, settings.port
    addresses = check_free(host, port, "--host and --port (0 takes a free port)")
    if settings.basic_auth_user is None and not all(map(_is_local, addresses)):
        log.warning(
            "anybody who reaches %s port %d can use this backend, and tell it where to fetch "
            "images from: set SAM_BACKEND_BASIC_AUTH_USER and SAM_BACKEND_BASIC_AUTH_PASSWORD, or "
            "listen on 127.0.0.1",
            host,
            port,
        )


def check_free(host: str, port: int, options: str) -> list[str]:
    """Return the addresses of a host, on all of which a server can listen.

    Args:
        host: Name or address.
        port: 0: any.
        options: Where others can be chosen, for the error.

    Raises:
        SamBackendError: The host is none of this machine's, or the port is taken.
    """
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, place in places:
            with socket.socket(family, kind, protocol) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind(place)
    except OSError as error:
        raise SamBackendError(
            f"cannot listen on {host} port {port} ({error.strerror or error}): stop what listens "
            f"there, or choose another by {options}"
        ) from None
    return [str(place[4][0]) for place in places]


def _is_local(address: str) -> bool:
    """Return whether only this machine can reach an address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
