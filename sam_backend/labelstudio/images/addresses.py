"""Which network addresses an image may be fetched from (against server-side request forgery)."""

import ipaddress
import queue
import socket
import threading
from collections.abc import Callable

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int, float], list[IPAddress]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_COMPATIBLE = ipaddress.ip_network("::/96")  # RFC 4291, deprecated, still routed by some stacks


def is_public(address: IPAddress) -> bool:
    """True if the address is reachable on the public internet only.

    Loopback, private, link-local (so cloud metadata services), shared, multicast, reserved and
    unspecified addresses are not public; neither is an IPv6 address that carries such an IPv4 one
    (mapped, 6to4, Teredo, NAT64). The ranges are those of IANA's special-purpose registries, as
    kept by Python's `ipaddress`.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if any(not is_public(inner) for inner in _carried_ipv4(address)):
            return False
        if address.ipv4_mapped is not None or address in _NAT64:
            return True  # Python calls these ranges reserved, whatever they carry
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _carried_ipv4(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    carried = [inner for inner in (address.ipv4_mapped, address.sixtofour) if inner is not None]
    if address.teredo is not None:
        carried.extend(address.teredo)
    if address in _NAT64 or address in _COMPATIBLE:
        carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return carried


def resolve(host: str, port: int, timeout_s: float) -> list[IPAddress]:
    """Addresses of a host name or literal, in the system's order of preference.

    The system's resolver also reads forms such as "2130706433" and "0177.0.0.1", so what is
    checked is what is connected to.

    Raises:
        OSError: The name has no address, or the answer took longer than `timeout_s` seconds.
    """
    # getaddrinfo knows no timeout, so it runs in a thread that may outlive this call.
    answer: queue.SimpleQueue[list[IPAddress] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
            answer.put(list(dict.fromkeys(addresses)))
        except OSError as error:
            answer.put(error)
        except ValueError as error:  # a label that is too long, an address family that is no IP
            answer.put(OSError(str(error)))

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        result = answer.get(timeout=max(timeout_s, 0.0))
    except queue.Empty:
        raise TimeoutError(f"no address for {host!r} within {timeout_s:.1f} s") from None
    if isinstance(result, OSError):
        raise result
    return result
