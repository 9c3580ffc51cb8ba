"""Do Label Studio's events arrive, once, and with the password that the backend asks for?"""

import base64
from collections.abc import Iterator
from typing import Any

from sam_backend.labelstudio.checks.findings import Finding
from sam_backend.labelstudio.client import LabelStudioClient, refusal

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

    Label Studio makes the webhook when a backend is connected, and never with a password; but it
    sends whatever headers a webhook has.

    Args:
        client: Who may change webhooks.
        hooks: The project's webhooks of that address.
        url: The backend's `/webhook`.
        credentials: User and password, if the backend asks for basic auth.
        connect: Put the password into the webhook if it is not there.
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
    elif credentials is None or _has_password(active[0], credentials):
        yield Finding(NAME, "ok", "events are sent to the backend, once")
    elif connect:
        yield _give_password(client, active[0], credentials)
    else:
        yield Finding(
            NAME,
            "warn",
            "events are sent without the password, and refused: new masks are counted now and then "
            "only",
            "run this with --connect: it puts the password into the webhook, where those who may "
            "open Settings > Webhooks can read it",
        )


def _has_password(hook: Json, credentials: tuple[str, str]) -> bool:
    headers = hook.get("headers") or {}
    told = {str(name).lower(): value for name, value in headers.items()}
    return told.get("authorization") == _authorization(credentials)


def _give_password(client: LabelStudioClient, hook: Json, credentials: tuple[str, str]) -> Finding:
    kept = {k: v for k, v in (hook.get("headers") or {}).items() if k.lower() != "authorization"}
    headers = kept | {"Authorization": _authorization(credentials)}
    path = f"/api/webhooks/{hook['id']}/"
    answer = client.call("PATCH", path, json={"headers": headers})
    if not answer.is_success:
        return Finding(
            NAME,
            "warn",
            f"Label Studio refuses a password for the webhook with {answer.status_code}: "
            f"{refusal(answer)}",
            "a webhook needs a user who may change the project",
        )
    seen = "events are sent with the password from now on"
    return Finding(NAME, "ok", f"{seen}; it can be read under Settings > Webhooks")


def _authorization(credentials: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
