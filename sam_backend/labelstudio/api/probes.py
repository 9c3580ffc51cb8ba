"""Calls of `sam-backend check`, which explains a refusal: they give whatever Label Studio answers.

They are not label-studio-sdk's, for which a refusal is an error without the words that matter.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from sam_backend.labelstudio.api.client import LabelStudioClient

# Connecting makes Label Studio ask the backend: /health three times 1 s, then /setup 3 s twice.
_CONNECTING_S = 60.0
# Label Studio itself waits 100 s for /predict.
_PREDICTING_S = 110.0


def who_am_i(client: LabelStudioClient) -> httpx.Response:
    """GET /api/current-user/whoami: the user whose token we have."""
    return client.call("GET", "/api/current-user/whoami")


def token_settings(client: LabelStudioClient) -> httpx.Response:
    """GET /api/jwt/settings: which kinds of token are accepted."""
    return client.call("GET", "/api/jwt/settings")


def project_record(client: LabelStudioClient, project_id: int) -> httpx.Response:
    """GET /api/projects/<id>/: a project."""
    return client.call("GET", f"/api/projects/{project_id}/")


def first_task(client: LabelStudioClient, project_id: int) -> httpx.Response:
    """GET /api/projects/<id>/tasks/: a list of one task, or of none."""
    return client.call("GET", f"/api/projects/{project_id}/tasks/", {"page_size": "1"})


def connect_backend(client: LabelStudioClient, fields: Mapping[str, Any]) -> httpx.Response:
    """POST /api/ml/: connect a backend to a project; Label Studio asks it before it answers."""
    return client.call("POST", "/api/ml/", json=fields, timeout_s=_CONNECTING_S)


def click(
    client: LabelStudioClient, backend_id: int, task_id: int, context: Mapping[str, Any]
) -> httpx.Response:
    """POST /api/ml/<id>/interactive-annotating: ask a backend as a click in the page does.

    Args:
        client: API client of the project's Label Studio.
        backend_id: Label Studio's number of the backend.
        task_id: The task.
        context: The prompts, as {"result": regions}.
    """
    return client.call(
        "POST",
        f"/api/ml/{backend_id}/interactive-annotating",
        json={"task": task_id, "context": context},
        timeout_s=_PREDICTING_S,
    )
