"""Is Label Studio there, and does it accept our token?"""

from sam_backend.doctor.findings import Check, Finding
from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.guarded_http import refusal
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.probes import token_settings, who_am_i

PROVEN_VERSION = "1.23.2"

ENABLE_LEGACY = (
    "allow legacy tokens: Organization > API Tokens Settings > Legacy Tokens (only a data folder's "
    "first start also heeds LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true)"
)
USE_PERSONAL = (
    "create a personal access token (Account & Settings > Personal Access Token) and give it to "
    "the backend and to this command as LABEL_STUDIO_API_KEY, with LABEL_STUDIO_URL"
)


def reachable(url: str, timeout_s: float) -> Check[str]:
    """Label Studio answers under its address; returns its version. No token is sent."""
    name = "Label Studio"
    try:
        with LabelStudioClient(LabelStudioHost(url), timeout_s) as client:
            version = client.version().get("release")
    except LabelStudioError as error:
        yield Finding(
            name,
            "fail",
            str(error),
            "give --url the address that the browser shows, as far as the port; from inside a "
            "container, localhost is the container itself: use the service's name",
        )
        return None
    if not isinstance(version, str):
        yield Finding(
            name,
            "fail",
            f"{url} answers, but not as Label Studio does",
            "give --url Label Studio's address, not the backend's",
        )
        return None
    proven = "" if version == PROVEN_VERSION else f" (this backend is proven with {PROVEN_VERSION})"
    yield Finding(name, "ok", f"version {version} at {url}{proven}")
    return version


def token(client: LabelStudioClient) -> Check[bool]:
    """Our token is accepted, and so is the legacy token that Label Studio hands to backends."""
    name = "token"
    if not client.host.token:
        yield Finding(name, "fail", "no token is given", f"{USE_PERSONAL} (or --token)")
        return None
    try:
        answer = who_am_i(client)
    except LabelStudioError as error:
        yield Finding(name, "fail", str(error), USE_PERSONAL)
        return None
    if answer.status_code != 200:
        reason = refusal(answer)
        is_switched_off = "legacy token authentication has been disabled" in reason
        yield Finding(
            name,
            "fail",
            f"the {client.token_kind} token is refused with {answer.status_code}: {reason}",
            f"{USE_PERSONAL}; or {ENABLE_LEGACY}" if is_switched_off else USE_PERSONAL,
        )
        return None
    user = answer.json().get("email") or answer.json().get("username")
    yield Finding(name, "ok", f"the {client.token_kind} token is accepted, it is {user}'s")
    yield from _token_of_setup(client)
    return True


def _token_of_setup(client: LabelStudioClient) -> Check[bool]:
    """/setup hands the backend the legacy token of the project's creator: does it count?"""
    name = "token sent to the backend"
    if client.token_kind == "legacy":  # noqa: S105  a kind, not a token
        yield Finding(name, "ok", "legacy tokens are accepted, so the one of /setup is")
        return True
    answer = token_settings(client)
    is_on = answer.json().get("legacy_api_tokens_enabled") if answer.status_code == 200 else None
    if is_on is None:
        yield Finding(
            name,
            "warn",
            f"the token settings answer {answer.status_code}: it cannot be told whether "
            "legacy tokens are accepted",
            "give the backend LABEL_STUDIO_API_KEY, then it does not matter",
        )
    elif is_on:
        yield Finding(name, "ok", "legacy tokens are accepted, so the one of /setup is")
    else:
        yield Finding(
            name,
            "warn",
            "legacy tokens are off (Label Studio's default), so the one that it hands to the "
            "backend opens no image",
            f"start the backend with LABEL_STUDIO_API_KEY, as this command; or {ENABLE_LEGACY}",
        )
    return bool(is_on)
