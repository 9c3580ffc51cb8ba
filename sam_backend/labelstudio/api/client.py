"""A client of one Label Studio: label-studio-sdk over guarded connections, and calls of our own.

`LabelStudioClient.sdk` makes the SDK's calls. The SDK chooses address, query and body; how they
travel, it does not: `GuardedHttp` adds the token, which the SDK never sees, checks each answer and
raises our errors.

`LabelStudioClient.answer` and `.call` are for what SDK 2.1.2 cannot do well:

* Imports of tasks and predictions, new annotations: it walks each number of each mask in Python.
  8.8 MB of predictions take 2.6 s instead of 0.17 s to send.
* Annotations, predictions and whole tasks, read: it builds its models besides the JSON. 13 MB of
  masks take twice the time, and 60 MB of memory instead of 37 MB.
* Pages of tasks: its pager gives models without their JSON, in 13 times the time, and counts pages,
  so that it passes over tasks where earlier ones are deleted meanwhile.
* Uploads: it sends no files, and asks for files by their numbers in a form that Label Studio does
  not read.
* Drafts, and the versions of a project's models: it has no such calls.
* What `sam-backend check` asks, and explains the refusal of: the status is the answer there.
* Exchanging personal access tokens: see `tokens`.

Its client is the base of `label_studio_sdk.client.LabelStudio`, which adds helpers that import
pandas: 1 s and 95 MB more. The base costs 0.1 s and 12 MB, once it is needed.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import httpx

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.guarded_http import GuardedHttp
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.tokens import Authorization, Kind

# Listing makes Label Studio ask each backend: /health three times 1 s, then /setup 3 s.
_LISTING_S = 60.0

_TITLES = 20

Json = dict[str, Any]
Files = Mapping[str, bytes]


class LabelStudioClient:
    """Calls one Label Studio with one token. Safe under threads; close it, or use `with`.

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
        self._http = GuardedHttp(host, self._authorization, timeout_s)

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
        found = self.sdk(lambda sdk: sdk.versions.with_raw_response.get())
        return _object(found, "/api/version/")

    def project(self, project_id: int) -> Json:
        """GET /api/projects/<id>/: its title, label config and counts."""
        found = self.sdk(lambda sdk: sdk.projects.with_raw_response.get(project_id))
        return _object(found, f"/api/projects/{project_id}/")

    def change_project(self, project_id: int, **fields: Any) -> None:
        """PATCH /api/projects/<id>/: set some fields of a project."""
        self.sdk(lambda sdk: sdk.projects.with_raw_response.update(project_id, **fields))

    def titles(self) -> dict[int, str]:
        """GET /api/projects/: titles of the first projects that the token's user may see."""
        found = self.sdk_items(lambda sdk: sdk.projects.list(page_size=_TITLES))
        return {int(one.id): str(one.title) for one in islice(found, _TITLES)}

    def ml_backends(self, project_id: int) -> list[Json]:
        """GET /api/ml/?project=<id>: a project's backends, each asked for its health."""
        options = limit(_LISTING_S)
        found = self.sdk(
            lambda sdk: sdk.ml.with_raw_response.list(project=project_id, request_options=options)
        )
        return objects(found, "GET /api/ml/")

    def model_versions(self, project_id: int) -> dict[str, int]:
        """GET /api/projects/<id>/model-versions/: how many predictions each version has made.

        The version that the project shows is among them, also with none.
        """
        path = f"/api/projects/{project_id}/model-versions/"
        found = _object(self.answer("GET", path), path)
        return {str(name): count for name, count in found.items() if isinstance(count, int)}

    def webhooks(self, project_id: int) -> list[Json]:
        """GET /api/webhooks/?project=<id>: a project's webhooks."""
        found = self.sdk(lambda sdk: sdk.webhooks.with_raw_response.list(project=project_id))
        return objects(found, "GET /api/webhooks/")

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
        return objects(found, "GET /api/tasks/")

    def sdk(self, call: Callable[[Any], Any]) -> Any:
        """The JSON that a call of label-studio-sdk brings, unaltered; None for an empty answer.

        Args:
            call: Makes one call `with_raw_response`, such as
                `lambda sdk: sdk.projects.with_raw_response.get(3)`.

        Raises:
            LabelStudioError: Label Studio is out of reach, refuses the call, or answers what the
                SDK cannot read.
        """
        with self._sdk_errors():
            response = call(self._sdk).response
        return self._http.json_of(response)

    def sdk_items(self, call: Callable[[Any], Any]) -> Iterator[Any]:
        """The items of a list that label-studio-sdk pages, as its models; holds one page.

        Args:
            call: Gives a pager, such as `lambda sdk: sdk.projects.list(page_size=100)`.

        Raises:
            LabelStudioError: As of `sdk`.
        """
        n_seen = 0
        with self._sdk_errors():
            page = call(self._sdk)
            while page.items:
                yield from page.items
                n_seen += len(page.items)
                if n_seen >= (page.response.count or 0):  # the page after the last is answered 404
                    return
                page = page.next_page()

    @contextmanager
    def _sdk_errors(self) -> Iterator[None]:
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except (ApiError, AttributeError, TypeError) as error:
            # Label Studio's refusals are errors of ours by now; this is a good status with another
            # kind of JSON, or with none
            raise LabelStudioError(
                f"{self.host.url} answers not as label-studio-sdk expects it "
                f"({type(error).__name__}): is this a Label Studio?"
            ) from None

    @cached_property
    def _sdk(self) -> Any:
        # imported late: not everything that opens a client makes such a call
        from label_studio_sdk.base_client import LabelStudioBase

        # the token is added by our connections: the SDK has none
        return LabelStudioBase(
            base_url=self.host.url, api_key="", httpx_client=self._http, max_retries=0
        )

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
        options = _options(query, json, files, timeout_s)
        return self._http.json_of(self._http.checked(method, self.host.absolute(path), **options))

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
            path: For example "/api/ml/".
            query: Parameters of the address.
            json: Body.
            files: Body of an upload instead: files by name.
            timeout_s: Limit of this call instead of the client's.

        Raises:
            LabelStudioError: Label Studio is out of reach, or refuses the personal access token.
        """
        options = _options(query, json, files, timeout_s)
        return self._http.plain(method, self.host.absolute(path), **options)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Pass over Label Studio's answer that what a call is about does not exist (404)."""
    try:
        yield
    except LabelStudioError as error:
        if error.status != 404:
            raise


def limit(timeout_s: float) -> Json:
    """The `request_options` of a call of the SDK that may take so many seconds."""
    return {"timeout_in_seconds": timeout_s}


def objects(answer: Any, call: str) -> list[Json]:
    """The objects of a list, or of a page of one, that a call has answered.

    Args:
        answer: The JSON.
        call: Names the call in errors, such as "GET /api/users/".

    Raises:
        LabelStudioError: It is no list of objects.
    """
    found = answer.get("results") if isinstance(answer, dict) else answer
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise LabelStudioError(f"{call} answers {type(answer).__name__}, not a list of objects")
    return found


def presign_path(task_id: int, uri: str) -> str:
    """Label Studio's path that redirects (303) to a signed address of a cloud file, or proxies it.

    /presign/ is the older name of /resolve/; both are answered (io_storages/urls.py, 1.23.2).
    """
    encoded = base64.urlsafe_b64encode(uri.encode()).decode("ascii")
    return f"/tasks/{task_id}/presign/?fileuri={encoded}"


def _options(
    query: Mapping[str, str] | None,
    json: Mapping[str, Any] | Sequence[Any] | None,
    files: Files | None,
    timeout_s: float | None,
) -> dict[str, Any]:
    return {
        "params": query,
        "json": json,
        "files": None if files is None else [(name, (name, files[name])) for name in files],
        "timeout": httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s,
    }


def _object(answer: Any, path: str) -> Json:
    if not isinstance(answer, dict):
        raise LabelStudioError(f"GET {path} answers {type(answer).__name__}, not an object")
    return answer
