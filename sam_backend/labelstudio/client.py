"""The few calls of Label Studio's REST API that this backend makes."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.labelstudio.tokens import Authorization, Kind

_MAX_REASON = 200
_SECRET = re.compile(r"[0-9a-f]{40}|eyJ[\w-]+(?:\.[\w-]*){1,2}", re.IGNORECASE)

Json = dict[str, Any]


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
        return _object(self._request("GET", "/api/version/"), "/api/version/")

    def whoami(self) -> Json:
        """GET /api/current-user/whoami: the token's owner."""
        path = "/api/current-user/whoami"
        return _object(self._request("GET", path), path)

    def project(self, project_id: int) -> Json:
        """GET /api/projects/<id>/: with label_config, model_version and the rest."""
        path = f"/api/projects/{project_id}/"
        return _object(self._request("GET", path), path)

    def ml_backends(self, project_id: int) -> list[Json]:
        """GET /api/ml?project=<id>: a project's backends; Label Studio asks each for its health."""
        return _objects(self._request("GET", "/api/ml", {"project": str(project_id)}), "/api/ml")

    def webhooks(self, project_id: int | None = None) -> list[Json]:
        """GET /api/webhooks/: of one project, or of the organisation."""
        query = {} if project_id is None else {"project": str(project_id)}
        return _objects(self._request("GET", "/api/webhooks/", query), "/api/webhooks/")

    def task(self, task_id: int) -> Json:
        """GET /api/tasks/<id>/: its data, annotations, drafts and predictions."""
        path = f"/api/tasks/{task_id}/"
        return _object(self._request("GET", path), path)

    def tasks_after(self, project_id: int, task_id: int, limit: int) -> list[Json]:
        """GET /api/tasks/: up to `limit` tasks with higher ids, in order, with their data."""
        item = {
            "filter": "filter:tasks:id",
            "operator": "greater",
            "type": "Number",
            "value": task_id,
        }
        query = {"filters": {"conjunction": "and", "items": [item]}, "ordering": ["tasks:id"]}
        answer = self._request(
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

    def presign(self, task_id: int, uri: str) -> str:
        """Address of a cloud file, signed for a short time; Label Studio's own if it proxies it.

        Args:
            task_id: A task of a project with the storage.
            uri: For example "s3://bucket/key.jpg".
        """
        path = presign_path(task_id, uri)
        with self._http.stream("GET", self.host.absolute(path), headers=self._headers()) as answer:
            location = answer.headers.get("location")
            if answer.status_code == 200:
                return self.host.absolute(path)
        if answer.is_redirect and location:
            return str(answer.url.join(location))
        raise LabelStudioError(
            f"GET /tasks/{task_id}/presign/ at {self.host.url} answers {answer.status_code} for "
            f"{uri!r}: no storage of the project covers it, or it cannot sign"
        )

    def _headers(self) -> dict[str, str]:
        header = self._authorization.header()
        return {} if header is None else {"Authorization": header}

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """Any call, whatever Label Studio answers; a token that it refuses is renewed once.

        Args:
            method: HTTP method.
            path: For example "/api/ml".
            query: Parameters of the address.
            json: Body.
            timeout_s: Limit of this call instead of the client's.

        Raises:
            LabelStudioError: Label Studio is out of reach, or refuses the personal access token.
        """
        response = self._send(method, path, query, json, timeout_s)
        if response.status_code == 401 and self._authorization.renew(
            response.request.headers.get("Authorization")
        ):
            response = self._send(method, path, query, json, timeout_s)
        return response

    def _request(self, method: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        response = self.call(method, path, query)
        if response.is_redirect:
            raise LabelStudioError(
                f"{method} {path} at {self.host.url} answers {response.status_code} to "
                f"{response.headers.get('location', 'nowhere')!r}: use that address"
            )
        if response.is_error:
            raise LabelStudioError(
                f"{method} {path} at {self.host.url} answers {response.status_code}: "
                f"{refusal(response)}"
            )
        try:
            return response.json()
        except ValueError:
            raise LabelStudioError(
                f"{method} {path} at {self.host.url} answers no JSON: is this a Label Studio?"
            ) from None

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        json: Mapping[str, Any] | None,
        timeout_s: float | None,
    ) -> httpx.Response:
        timeout = httpx.USE_CLIENT_DEFAULT if timeout_s is None else httpx.Timeout(timeout_s)
        headers, url = self._headers(), self.host.absolute(path)
        try:
            return self._http.request(
                method, url, params=query, json=json, headers=headers, timeout=timeout
            )
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise LabelStudioError(f"{method} {path} at {self.host.url} failed: {reason}") from None


def presign_path(task_id: int, uri: str) -> str:
    """Label Studio's path that redirects (303) to a signed address of a cloud file, or proxies it.

    /presign/ is the older name of /resolve/; both are answered (io_storages/urls.py, 1.23.2).
    """
    encoded = base64.urlsafe_b64encode(uri.encode()).decode("ascii")
    return f"/tasks/{task_id}/presign/?fileuri={encoded}"


def refusal(response: httpx.Response) -> str:
    """What an error answer says, in one short line without tokens."""
    try:
        body = response.json()
        text = str(body.get("detail") or body) if isinstance(body, dict) else str(body)
    except ValueError:
        text = response.text
    text = " ".join(_SECRET.sub("…", text).split())
    return text if len(text) <= _MAX_REASON else text[: _MAX_REASON - 1] + "…"


def _object(answer: Any, path: str) -> Json:
    if not isinstance(answer, dict):
        raise LabelStudioError(f"GET {path} answers {type(answer).__name__}, not an object")
    return answer


def _objects(answer: Any, path: str) -> list[Json]:
    found = answer.get("results") if isinstance(answer, dict) else answer
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise LabelStudioError(f"GET {path} answers {type(answer).__name__}, not a list of objects")
    return found
