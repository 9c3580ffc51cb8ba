"""Optional HTTP basic authentication, the only kind Label Studio offers for ML backends.

Label Studio encodes user and password in latin-1 (seen in 1.23.2), browsers and most clients in
UTF-8 (RFC 7617): both are let in.
"""

import base64
import binascii
import hmac
import logging

from starlette.types import ASGIApp, Receive, Scope, Send

from sam_backend.labelstudio.api.event_secret import HEADER, event_secret
from sam_backend.server.responses import send_text

log = logging.getLogger(__name__)

# Liveness and readiness are asked by orchestrators that hold no password.
OPEN_PATHS = frozenset({"/health", "/ready"})


class BasicAuth:
    """ASGI middleware: 401 without the right user and password, compared in constant time.

    Label Studio's events bring the secret that we have put into the webhook instead.
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
        await send_text(
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
