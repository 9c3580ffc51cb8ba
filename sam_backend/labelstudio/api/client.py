"""The few calls of Label Studio's REST API that this backend makes."""

import base64
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from sam_backend.errors import LabelStudioError, LabelStudioUnavailableError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.tokens import Authorization, Kind
from sam_backend.labelstudio.images.redaction import readable

_MAX_REASON = 200
_PAUSES_S = (0.3, 1.0)
_SECRET = re.compile(r"[0-9a-f]{40}|eyJ[\w-]+(?:\.[\w-]*){1,2}", re.IGNORECASE)

# Listing makes Label Studio ask each backend: /health three times 1 s, then /setup 3 s.
_LISTING_S = 60.0

_TITLES = 20

Json = dict[str, Any]
Files = Mapping[str, bytes]


class LabelStudioClient:
    """Calls one Label Studio with one token. Safe under threads; close it, or use `with`.

    Redirects are not followed and proxies of the environment not used, so that the token reaches
    Label Studio's own address only.

    Args:
        host: Where, and with which token.
        timeout_s: Limit of connecting and of each read.
        authorization: Shared access token of this host; its own without.
    """

    def __init__(
        self,
        host: LabelStudioHost,
        timeout_s: float = 10.0,
        authorization: Authorization | None = None,
    ) -> None:
        self.host = host
        self._authorization = authorization or Authorization(host, timeout_s)
        self._http = httpx.Client(timeout=timeout_s, trust_env=False, follow_redirects=False)

    def __enter__(self) -> "LabelStudioClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LabelStudioClient({self.host.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @property
    def token_kind(self) -> Kind:
        """The kind of the token, by its shape."""
        return self._authorization.kind

    def version(self) -> Json:
        """GET /api/version/: the release and its parts. Needs no token."""
        return _object(self.answer("GET", "/api/version/"), "/api/version/")

    def project(self, project_id: int) -> Json:
        """GET /api/projects/<id>/: its title, label config and counts."""
        path = f"/api/projects/{project_id}/"
        return _object(self.answer("GET", path), path)

    def titles(self) -> dict[int, str]:
        """GET /api/projects/: titles of the first projects that the token's user may see."""
        query = {"page_size": str(_TITLES)}
        found = _objects(self.answer("GET", "/api/projects/", query), "/api/projects/")
        return {int(project["id"]): str(project.get("title", "")) for project in found}

    def ml_backends(self, project_id: int) -> list[Json]:
        """GET /api/ml?project=<id>: a project's backends; Label Studio asks each for its health."""
        query = {"project": str(project_id)}
        return _objects(self.answer("GET", "/api/ml", query, timeout_s=_LISTING_S), "/api/ml")

    def model_versions(self, project_id: int) -> dict[str, int]:
        """GET /api/projects/<id>/model-versions/: how many predictions each version has made.

        The version that the project shows is among them, also with none.
        """
        path = f"/api/projects/{project_id}/model-versions/"
        found = _object(self.answer("GET", path), path)
        return {str(name): count for name, count in found.items() if isinstance(count, int)}

    def webhooks(self, project_id: int) -> list[Json]:
        """GET /api/webhooks/?project=<id>: a project's webhooks."""
        query = {"project": str(project_id)}
        return _objects(self.answer("GET", "/api/webhooks/", query), "/api/webhooks/")

    def task(self, task_id: int) -> Json:
        """GET /api/tasks/<id>/: its data, annotations, drafts and predictions."""
        path = f"/api/tasks/{task_id}/"
        return _object(self.answer("GET", path), path)

    def tasks_after(self, project_id: int, task_id: int, limit: int) -> list[Json]:
        """GET /api/tasks/: up to `limit` tasks with higher ids, in order, with their data."""
        item = {
            "filter": "filter:tasks:id",
            "operator": "greater",
            "type": "Number",
            "value": task_id,
        }
        query = {"filters": {"conjunction": "and", "items": [item]}, "ordering": ["tasks:id"]}
        answer = self.answer(
            "GET",
            "/api/tasks/",
            {
                "project": str(project_id),
                "query": json.dumps(query),
                "fields": "task_only",
                "page_size": str(limit),
            },
        )
        found = answer.get("tasks") if isinstance(answer, dict) else answer
        return _objects(found, "/api/tasks/")

    def _headers(self) -> dict[str, str]:
        header = self._authorization.header()
        return {} if header is None else {"Authorization": header}

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | Sequence[Any] | None = None,
        files: Files | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The JSON that a call brings; None for an empty answer. Arguments as of `call`.

        What only reads is asked again, twice, after an error of the server.

        Raises:
            LabelStudioError: Label Studio is out of reach, refuses the call, or answers no JSON.
        """
        response = self.call(method, path, query, json, files, timeout_s)
        for pause_s in _PAUSES_S if method == "GET" else ():
            if not response.is_server_error:
                break
            # busy for a moment: an SQLite that is locked, a proxy whose server just starts
            time.sleep(pause_s)
            response = self.call(method, path, query, json, files, timeout_s)
        return self.json_of(response, method, path)

    def json_of(self, response: httpx.Response, method: str, path: str) -> Any:
        """The JSON of an answer to `call`; None for an empty one.

        Raises:
            LabelStudioError: The answer is an error, a redirect or no JSON.
        """
        if response.is_redirect:
            raise LabelStudioError(
                f"{method} {path} at {self.host.url} answers {response.status_code}, a redirect "
                f"to {self._target(response)}: use that address"
            )
        if response.is_error:
            told = (
                f"{method} {path} at {self.host.url} answers {response.status_code}: "
                f"{_words(response)}"
            )
            if response.status_code == 429 or response.is_server_error:
                raise LabelStudioUnavailableError(
                    told, _retry_after_s(response), response.status_code
                )
            raise LabelStudioError(told, response.status_code)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{method} {path} at {self.host.url} answers no JSON: is this a Label Studio?"
            ) from None

    def _target(self, response: httpx.Response) -> str:
        """Where a redirect leads, if that is the same machine: else it is nobody's business."""
        try:
            target = response.url.join(response.headers.get("location", ""))
        except (httpx.InvalidURL, ValueError):
            return "nowhere"
        return readable(str(target)) if target.host == response.url.host else "another machine"

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | Sequence[Any] | None = None,
        files: Files | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Any call, whatever Label Studio answers; a token that it refuses is renewed once.

        Args:
            method: HTTP method.
            path: For example "/api/ml".
            query: Parameters of the address.
            json: Body.
            files: Body of an upload instead: files by name.
            timeout_s: Limit of this call instead of the client's.

        Raises:
            LabelStudioError: Label Studio is out of reach, or refuses the personal access token.
        """

        if self.host.refusal:
            raise LabelStudioError(self.host.refusal)

        def send() -> httpx.Response:
            headers = self._headers()
            try:
                return self._http.request(
                    method,
                    self.host.absolute(path),
                    params=query,
                    json=json,
                    files=None
                    if files is None
                    else [(name, (name, files[name])) for name in files],
                    headers=headers,
                    timeout=httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
                )
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                raise LabelStudioUnavailableError(
                    f"{method} {path} at {self.host.url} failed: {reason}"
                ) from None

        response = send()
        sent = response.request.headers.get("Authorization")
        if response.status_code == 401 and self._authorization.renew(sent):
            response = send()
        return response


def presign_path(task_id: int, uri: str) -> str:
    """Label Studio's path that redirects (303) to a signed address of a cloud file, or proxies it.

    /presign/ is the older name of /resolve/; both are answered (io_storages/urls.py, 1.23.2).
    """
    encoded = base64.urlsafe_b64encode(uri.encode()).decode("ascii")
    return f"/tasks/{task_id}/presign/?fileuri={encoded}"


def _words(response: httpx.Response) -> str:
    """What Label Studio says in an error; nothing of an answer that is not of its form.

    The address may have been named by a stranger, and the text ends on the page `/status`.
    """
    try:
        body = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return refusal(response)
    return f"not as Label Studio does ({len(response.content)} bytes)"


def refusal(response: httpx.Response) -> str:
    """What an error answer says, in one short line without tokens."""
    try:
        body = response.json()
        text = str(body.get("detail") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        text = response.text
    text = " ".join(_SECRET.sub("…", text).split())
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def _retry_after_s(response: httpx.Response) -> float | None:
    """The header's seconds; its other form, a date, is as good as none."""
    told = response.headers.get("retry-after", "")
    return float(told) if told.isdecimal() else None


def _object(answer: Any, path: str) -> Json:
    if not isinstance(answer, dict):
        raise LabelStudioError(f"GET {path} answers {type(answer).__name__}, not an object")
    return answer


def _objects(answer: Any, path: str) -> list[Json]:
    found = answer.get("results") if isinstance(answer, dict) else answer
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise LabelStudioError(f"GET {path} answers {type(answer).__name__}, not a list of objects")
    return found
