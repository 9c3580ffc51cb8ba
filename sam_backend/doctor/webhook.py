"""Do Label Studio's events arrive, once, and with what opens a backend that asks for a password?"""

import base64
from collections.abc import Iterator
from typing import Any

from sam_backend.doctor.findings import Finding
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.event_secret import event_secret, give_secret, has_secret
from sam_backend.labelstudio.api.guarded_http import refusal

Json = dict[str, Any]

NAME = "webhook"


def webhook(
    client: LabelStudioClient,
    hooks: list[Json],
    url: str,
    credentials: tuple[str, str] | None,
    connect: bool,
    switches: str,
) -> Iterator[Finding]:
    """What keeps events away.

    A backend with a password puts a secret into the webhook once it is connected
    (`labelstudio.api.event_secret`); where it could not, this does.

    Args:
        client: Who may change webhooks.
        hooks: The project's webhooks of that address.
        url: The backend's `/webhook`.
        credentials: User and password, if the backend asks for basic auth.
        connect: Put the secret into the webhook if it is not there.
        switches: How to let Label Studio reach the backend.
    """
    active = [hook for hook in hooks if hook.get("is_active", True)]
    if not hooks:
        yield Finding(
            NAME,
            "warn",
            f"there is none for {url}: the backend was saved by half, its events do not arrive",
            f"delete the backend under Settings > Model, {switches}, and connect it again",
        )
    elif len(active) > 1:
        yield Finding(
            NAME,
            "warn",
            f"{len(active)} have the address {url}: every event comes {len(active)} times",
            "delete all but one under Settings > Webhooks",
        )
    elif not active:
        yield Finding(
            NAME, "warn", f"{url} is switched off", "switch it on under Settings > Webhooks"
        )
    elif credentials is None or _is_let_in(active[0], credentials):
        yield Finding(NAME, "ok", "events are sent to the backend, once")
    elif connect:
        yield _give_secret(client, active[0], credentials)
    else:
        yield Finding(
            NAME,
            "warn",
            "events are sent without the password or its secret, and refused: new masks are "
            "counted now and then only",
            "run this with --connect: it puts a secret into the webhook that opens nothing else",
        )


def _is_let_in(hook: Json, credentials: tuple[str, str]) -> bool:
    headers = hook.get("headers") or {}
    told = {str(name).lower(): value for name, value in headers.items()}
    has_password = told.get("authorization") == _authorization(credentials)
    return has_password or has_secret(hook, event_secret(*credentials))


def _give_secret(client: LabelStudioClient, hook: Json, credentials: tuple[str, str]) -> Finding:
    answer = give_secret(client, hook, event_secret(*credentials))
    if not answer.is_success:
        return Finding(
            NAME,
            "warn",
            f"Label Studio refuses a secret for the webhook with {answer.status_code}: "
            f"{refusal(answer)}",
            "a webhook needs a user who may change the project",
        )
    return Finding(NAME, "ok", "events are sent with a secret of their own from now on")


def _authorization(credentials: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
