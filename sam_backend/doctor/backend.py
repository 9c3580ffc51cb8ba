"""The backend as seen from here: does it live, is its model loaded, what went wrong lately?"""

from dataclasses import dataclass, field
from typing import Any

import httpx

from sam_backend.doctor.findings import Check, Finding

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a backend is, and how to ask it.

    Attributes:
        url: Base address without a trailing slash.
        credentials: User and password if it asks for basic auth.
    """

    url: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    def get(self, path: str, timeout_s: float = 5.0) -> httpx.Response:
        """GET, whatever is answered; httpx.HTTPError if nothing is."""
        return httpx.get(
            f"{self.url}{path}",
            auth=self.credentials,
            timeout=timeout_s,
            trust_env=False,
            headers={"Accept": "application/json"},
        )

    def json(self, path: str) -> Json:
        """The object that a path answers with, of any status; empty if there is none."""
        try:
            return _object(self.get(path))
        except (httpx.HTTPError, httpx.InvalidURL):
            return {}

    def journal(self) -> list[Json]:
        """What went wrong lately, newest first; empty if the backend does not say."""
        entries = self.json("/status").get("journal")
        return [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []


def reachable(backend: Backend) -> Check[Json]:
    """/health and /ready answer from here; returns what /versions says."""
    name = "backend"
    try:
        health, versions = backend.get("/health"), backend.get("/versions")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Finding(
            name,
            "fail",
            f"{backend.url} cannot be reached: {str(error) or type(error).__name__}",
            "start it with `sam-backend serve`, or give its address as --backend-url",
        )
        return None
    if health.status_code == 403 and "SAM_BACKEND_ALLOWED_HOSTS" in health.text:
        yield Finding(
            name,
            "fail",
            f"{backend.url} refuses to be called by this name",
            f"start it with SAM_BACKEND_ALLOWED_HOSTS={httpx.URL(backend.url).host}",
        )
        return None
    if health.status_code != 200 or _object(health).get("model_class") != "sam_backend":
        yield Finding(
            name,
            "fail",
            f"{backend.url}/health answers {health.status_code}, not as sam_backend does",
            "give --backend-url the address that `sam-backend serve` prints",
        )
        return None
    if versions.status_code == 401:
        yield Finding(
            name,
            "fail",
            f"{backend.url} asks for a user and password",
            "give this command SAM_BACKEND_BASIC_AUTH_USER and SAM_BACKEND_BASIC_AUTH_PASSWORD as "
            "the backend has them, and Label Studio the same under Settings > Model",
        )
        return None
    known = _object(versions)
    yield Finding(name, "ok", f"{backend.url} is up")
    yield _readiness(backend, version_for(known))
    return known


def version_for(versions: Json | None, project: str | None = None) -> str:
    """Return the model version that answers a project; "" if it is not told.

    Args:
        versions: What the backend's /versions says; None: nothing.
        project: The project's name in Label Studio's calls; None: one that names no model.
    """
    told = versions or {}
    own, known = told.get("projects"), told.get("versions")
    if isinstance(own, dict) and own.get(project):
        return str(own[project])
    return str(known[0]) if isinstance(known, list) and known else ""


def _object(response: httpx.Response) -> Json:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _readiness(backend: Backend, version: str) -> Finding:
    name = "model"
    state = backend.json("/ready")
    told = backend.json("/status").get("model")
    model = told if isinstance(told, dict) else {}
    if state.get("ready"):
        note = model.get("note")
        return Finding(name, "ok", f"{version} is loaded" + (f". {note}" if note else ""))
    if state.get("state") == "failed":
        seen = f"{version} cannot be loaded: {model.get('failure', 'see its log')}"
        return Finding(name, "fail", seen, "see `sam-backend models list`")
    return Finding(name, "warn", f"{version} is still loading", "wait, and run this again")
