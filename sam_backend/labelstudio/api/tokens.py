"""How a Label Studio token becomes an Authorization header.

Legacy tokens (40 hex digits) go as `Token …`. Personal access tokens are JWT refresh tokens: POST
/api/token/refresh turns one into an access token of 300 s, which goes as `Bearer …`; the personal
token itself as Bearer is 401 (Label Studio 1.23, jwt_auth).

label-studio-sdk 2.1.2 exchanges tokens too, but less strictly: where Label Studio has a sub-path it
sends the personal token outside of it, it renews no token that is answered 401 (a restarted
server, two clocks that differ), and it breaks at an answer that is no JSON.
"""

import base64
import binascii
import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Literal

import httpx
from cachetools import LRUCache

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.hosts import LabelStudioHost, origin_of

Clock = Callable[[], float]
Kind = Literal["legacy", "personal"]

_LIFETIME_S = 300.0  # Label Studio's, where the token does not say
_EARLY_S = 30.0  # renewed this long before it expires
_REFRESH = "/api/token/refresh"


def token_kind(token: str) -> Kind:
    """What a token looks like; a personal one is a JWT whose payload can be read."""
    return "personal" if jwt_claims(token) else "legacy"


def jwt_claims(token: str) -> Mapping[str, Any]:
    """Claims of a JWT, its signature unchecked; empty if it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
    except (binascii.Error, ValueError, RecursionError):  # whoever sends /setup writes it
        return {}
    return claims if isinstance(claims, dict) else {}


class Authorization(httpx.Auth):
    """The Authorization header for one Label Studio. Safe under threads.

    As the `auth` of an HTTP client it goes to this Label Studio's origin only, and is renewed once
    where it is refused.

    Attributes:
        kind: Told by the token's shape alone: Label Studio takes no JWT as `Token …`, and its
            exchange takes nothing else (1.23).

    Args:
        host: Where, and with which token.
        timeout_s: Limit of the token exchange.
        clock: Monotonic seconds.
    """

    def __init__(
        self, host: LabelStudioHost, timeout_s: float = 10.0, clock: Clock = time.monotonic
    ) -> None:
        self._host = host
        self._timeout_s = timeout_s
        self._clock = clock
        self._lock = threading.Lock()
        self.kind: Kind = token_kind(host.token)
        self._access: str | None = None
        self._expires = 0.0

    def __repr__(self) -> str:
        return f"Authorization({self._host.url!r}, kind={self.kind!r})"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with the token, and again with a new one if it is answered 401."""
        header = self.header() if origin_of(request.url) == self._host.origin else None
        if header is not None:
            request.headers["Authorization"] = header
        response = yield request
        if response.status_code == 401 and self.renew(header):
            request.headers["Authorization"] = self.header() or ""
            yield request

    def header(self) -> str | None:
        """Value to send now; None without a token.

        Raises:
            LabelStudioError: A personal access token is refused, or Label Studio is out of reach.
        """
        if not self._host.token:
            return None
        with self._lock:
            return self._header()

    def renew(self, rejected: str | None) -> bool:
        """After a 401: make `header` answer something else. False: nothing is left to try.

        Args:
            rejected: The value that was answered 401.
        """
        if rejected is None:
            return False
        with self._lock:
            try:
                if self._header() != rejected:
                    return True  # another thread has renewed it meanwhile
                self._access = None
                return self._header() != rejected
            except LabelStudioError:
                return False  # the exchange is down: the next call tries it again

    def _header(self) -> str:
        if self.kind == "legacy":
            return f"Token {self._host.token}"
        if jwt_claims(self._host.token).get("token_type") == "access":
            return f"Bearer {self._host.token}"
        if self._access is None or self._clock() >= self._expires:
            self._access = self._exchange()
            claims = jwt_claims(self._access)
            try:
                lifetime_s = float(claims["exp"]) - float(claims["iat"])
            except (KeyError, TypeError, ValueError):
                lifetime_s = _LIFETIME_S
            self._expires = self._clock() + max(lifetime_s - _EARLY_S, lifetime_s / 2)
        return f"Bearer {self._access}"

    def _exchange(self) -> str:
        url = self._host.absolute(_REFRESH)
        try:
            # No proxies: the token goes to Label Studio itself. No redirects: nor elsewhere.
            with httpx.Client(timeout=self._timeout_s, trust_env=False) as client:
                response = client.post(url, json={"refresh": self._host.token})
            access = response.json().get("access") if response.status_code == 200 else None
        except (httpx.HTTPError, ValueError, AttributeError) as error:
            raise LabelStudioError(
                f"POST {_REFRESH} at {self._host.url} failed: {type(error).__name__}"
            ) from None
        if not isinstance(access, str) or not access:
            raise LabelStudioError(
                f"POST {_REFRESH} at {self._host.url} answers {response.status_code}: "
                "the personal access token is refused (expired or revoked?)"
            )
        return access


class Authorizations:
    """One `Authorization` per host and token, so that access tokens are shared. Bounded."""

    def __init__(self, capacity: int = 64) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[LabelStudioHost, Authorization] = LRUCache(capacity)

    def of(self, host: LabelStudioHost) -> Authorization:
        """The authorization of this host and token."""
        with self._lock:
            if host not in self._kept:
                self._kept[host] = Authorization(host)
            return self._kept[host]
