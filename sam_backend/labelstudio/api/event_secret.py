"""How a backend with a password lets Label Studio's events in: by a secret in a webhook's header.

Label Studio makes a webhook when a backend is connected, and never with the backend's password; but
it sends whatever headers a webhook has. Those stand under Settings > Webhooks, for everybody who
may open that page: so not the password is put there, but a secret that opens `/webhook` only.
"""

import hashlib
from typing import Any

import httpx

from sam_backend.labelstudio.api.client import LabelStudioClient

HEADER = "X-Sam-Backend-Events"

Json = dict[str, Any]


def event_secret(user: str, password: str) -> str:
    """The secret of a backend with this user and password, 64 hex digits.

    By scrypt, with the parameters that RFC 7914 gives for interactive use: whoever reads the secret
    cannot try out passwords quickly.
    """
    salt = f"sam_backend events {user}".encode()
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32).hex()


def has_secret(hook: Json, secret: str) -> bool:
    """Whether a webhook, as Label Studio's API gives it, sends the secret."""
    headers = hook.get("headers")
    told = headers if isinstance(headers, dict) else {}
    return any(str(name).lower() == HEADER.lower() and told[name] == secret for name in told)


def give_secret(client: LabelStudioClient, hook: Json, secret: str) -> httpx.Response:
    """Have a webhook send the secret, and no password; returns Label Studio's answer.

    Other headers stay, such as the token that a proxy before the backend asks for.

    Args:
        client: Whose token may change the project's webhooks.
        hook: The webhook, as Label Studio's API gives it.
        secret: What this backend's webhooks send (`event_secret`).

    Raises:
        LabelStudioError: Label Studio is out of reach.
    """
    headers = hook.get("headers")
    told = headers if isinstance(headers, dict) else {}
    kept = {
        name: value for name, value in told.items() if not _is_ours(str(name).lower(), str(value))
    }
    path = f"/api/webhooks/{hook['id']}/"
    # the caller explains a refusal
    return client.call("PATCH", path, json={"headers": kept | {HEADER: secret}})


def _is_ours(name: str, value: str) -> bool:
    """Whether a header is the secret's, or a password as earlier releases have put it there."""
    is_password = name == "authorization" and value.lower().startswith("basic ")
    return is_password or name == HEADER.lower()
