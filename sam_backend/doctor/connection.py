"""Does Label Studio reach the backend, once, with its webhook and for interactive use?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from sam_backend.doctor.backend import Backend
from sam_backend.doctor.findings import Check, Finding
from sam_backend.doctor.webhook import webhook
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.guarded_http import refusal
from sam_backend.labelstudio.api.probes import connect_backend

Json = dict[str, Any]

NAME = "connection"
SWITCHES = (
    "start Label Studio with LABEL_STUDIO_ML_BLOCK_LOCAL_IP=false and "
    "LABEL_STUDIO_SSRF_PROTECTION_ENABLED=false (both), or with "
    "LABEL_STUDIO_USE_DEFAULT_BANNED_SUBNETS=false alone. Either lowers the protection of the "
    "whole server: users could make it call other addresses of your network. Or give the backend "
    "a public address"
)
_UP = ("Connected", "Predicting", "Training")


@dataclass(frozen=True, slots=True)
class Project:
    """One project on one Label Studio, and the backend it should have."""

    client: LabelStudioClient
    id: int
    backend: Backend
    model_version: str

    def rows(self) -> list[Json]:
        """All backends that the project has; Label Studio asks each for its health."""
        return self.client.ml_backends(self.id)

    def own(self, rows: list[Json]) -> list[Json]:
        """Return the rows of our backend, the interactive ones first: the page asks the first.

        They are told by their address, else by their model: a container has a second address.
        """
        same_url = [row for row in rows if _clean(row["url"]) == _clean(self.backend.url)]
        version = self.model_version
        same_model = [row for row in rows if version and row.get("model_version") == version]
        return sorted(same_url or same_model, key=lambda row: not row["is_interactive"])


def connected(project: Project, connect: bool, project_version: str) -> Check[Json]:
    """The project has our backend; returns Label Studio's row of it.

    Args:
        project: Where to look.
        connect: Add it if it is missing.
        project_version: The project's own `model_version`.
    """
    rows = project.rows()
    own = project.own(rows)
    if not own and connect:
        if not (yield from _connect(project, {row["id"] for row in rows})):
            return None
        rows = project.rows()
        own = project.own(rows)
        project_version = project_version or project.model_version
    if not own:
        others = ", ".join(repr(row["url"]) for row in rows)
        yield Finding(
            NAME,
            "fail",
            f"the project has no backend {project.backend.url}"
            + (f", but {others}" if others else ""),
            "Settings > Model > Connect Model: the backend's address, and Interactive "
            "preannotations on; or run this with --connect",
        )
        return None
    row = own[0]
    yield _state(row, project.backend)
    yield _interactive(row, rows)
    yield from _duplicates(own)
    yield from _webhook(project, row, connect)
    yield from _version(project, row, project_version)
    return row if row["is_interactive"] else None


def _connect(project: Project, known: set[int]) -> Check[bool]:
    backend = project.backend
    body = {"project": project.id, "url": backend.url, "is_interactive": True}
    # Filters by prediction score work only while the project's version, which becomes this
    # title, equals that of the predictions.
    body["title"] = project.model_version or "sam_backend"
    if backend.credentials is not None:
        user, password = backend.credentials
        body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": user, "basic_auth_pass": password}
    answer = connect_backend(project.client, body)
    if answer.status_code == 201:
        yield Finding(NAME, "ok", f"{backend.url} is connected now, interactive")
        return True
    if answer.status_code == 403:
        fix = SWITCHES
    elif answer.status_code == 400:
        fix = _SEEN_FROM_LABEL_STUDIO
    else:
        fix = "connecting needs a user who may change the project"
    seen = f"Label Studio refuses {backend.url} with {answer.status_code}: {refusal(answer)}"
    yield Finding(NAME, "fail", seen, fix)
    for row in project.rows():
        if row["id"] not in known:
            yield Finding(
                NAME,
                "warn",
                f"it saved the backend all the same (number {row['id']}), without its webhook",
                "delete it under Settings > Model before you connect again, or there will be two",
            )
    return False


_SEEN_FROM_LABEL_STUDIO = (
    "the address is looked up on Label Studio's machine: in a container, localhost is the "
    "container itself. Use the service's name (http://backend:9090) or the machine's address, and "
    "let the backend listen there (`sam-backend serve --host 0.0.0.0`)"
)


def _state(row: Json, backend: Backend) -> Finding:
    state, url = row["readable_state"], row["url"]
    if state in _UP:
        return Finding(NAME, "ok", f"Label Studio reaches {url}, title {row['title']!r}")
    reason = " ".join(str(row.get("error_message") or "").split())
    if "401" in reason:
        fix = "edit the backend under Settings > Model: basic authentication, user and password"
    elif "403" in reason:
        fix = f"start the backend with SAM_BACKEND_ALLOWED_HOSTS={httpx.URL(url).host}"
    elif _clean(url) == _clean(backend.url):
        fix = _SEEN_FROM_LABEL_STUDIO
    else:
        fix = f"edit the backend under Settings > Model: is {url} its address?"
    told = f": {reason}" if reason else ""
    return Finding(NAME, "fail", f"Label Studio says {url} is {state.lower()}{told}", fix)


def _interactive(row: Json, rows: list[Json]) -> Finding:
    name = "interactive"
    # The page sends every click to the first interactive backend of the list (1.23.2).
    asked = next((other for other in rows if other["is_interactive"]), None)
    if row["is_interactive"] and asked is row:
        return Finding(name, "ok", "clicks are sent to the backend")
    if row["is_interactive"] and asked is not None:
        return Finding(
            name,
            "fail",
            f"clicks are sent to {asked['url']}, which comes first",
            f"Settings > Model > edit {asked['title']!r}: Interactive preannotations off",
        )
    return Finding(
        name,
        "fail",
        "clicks are not sent to the backend",
        "Settings > Model > edit the backend: Interactive preannotations on",
    )


def _duplicates(own: list[Json]) -> Iterator[Finding]:
    twins = [row for row in own if _clean(row["url"]) == _clean(own[0]["url"])]
    if len(twins) > 1:
        numbers = " and ".join(str(row["id"]) for row in sorted(twins, key=lambda r: r["id"]))
        yield Finding(
            "duplicates",
            "warn",
            f"{own[0]['url']} is connected {len(twins)} times (numbers {numbers}): an attempt "
            "that was refused leaves one behind",
            "delete all but one under Settings > Model",
        )


def _webhook(project: Project, row: Json, connect: bool) -> Iterator[Finding]:
    url = f"{_clean(row['url'])}/webhook"
    hooks = [hook for hook in project.client.webhooks(project.id) if _clean(hook["url"]) == url]
    credentials = project.backend.credentials
    yield from webhook(project.client, hooks, url, credentials, connect, SWITCHES)


def _version(project: Project, row: Json, project_version: str) -> Iterator[Finding]:
    """The project shows a version that has predictions, if any has.

    Connecting sets the project's version to the title that somebody gave the backend (1.23.2);
    prefilling sets it to the served one, so that only a later change hides what was prefilled.
    """
    served = row.get("model_version")
    if not served or project_version in ("", served):
        return
    counts = project.client.model_versions(project.id)
    made = [name for name, count in counts.items() if count > 0]
    if made and project_version not in made:
        yield Finding(
            "model version",
            "warn",
            f"the project shows predictions of {project_version!r}, which has none; they are by "
            f"{', '.join(map(repr, made))}: sorting and filtering by prediction score find none",
            f"choose {(served if served in made else made[-1])!r} under Settings > Annotation > "
            "Prelabeling",
        )


def _clean(url: str) -> str:
    return url.strip().rstrip("/")
