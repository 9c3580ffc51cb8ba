"""Files in a project's upload folder, without the tasks that an import would make of them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient

# Label Studio puts eight hex digits and a dash before the name of an upload.
_STORED_NAME = re.compile(r"[0-9a-f]{8}-(?P<stem>[^.]+)\.[^/]*")
_MOST_FILES = 50  # Label Studio takes 100 in a request, of 250 MB together
_MOST_BYTES = 64 * 2**20
_UPLOADING_S = 300.0


def upload_files(
    client: LabelStudioClient, project_id: int, files: Mapping[str, bytes]
) -> dict[str, str]:
    """Upload files; returns their addresses for a task's data, by name without its suffix.

    Args:
        client: API client of the project's Label Studio.
        project_id: The project.
        files: By name, with a suffix.

    Raises:
        LabelStudioError: A call fails, or Label Studio keeps fewer files than were sent.
    """
    addresses: dict[str, str] = {}
    for part in _parts(files):
        path = f"/api/projects/{project_id}/import"
        answer = client.answer(
            "POST", path, {"commit_to_project": "false"}, files=part, timeout_s=_UPLOADING_S
        )
        numbers = answer.get("file_upload_ids") if isinstance(answer, dict) else None
        found = _listed(client, project_id, {"ids": json.dumps(numbers or [])})
        stems = {name.rpartition(".")[0] for name in part}
        if not stems <= found.keys():
            raise LabelStudioError(f"{len(part)} files were uploaded but {len(found)} kept")
        addresses |= found
    return addresses


def uploaded_files(client: LabelStudioClient, project_id: int) -> dict[str, str]:
    """Addresses of all files that this token's user has uploaded, by name without its suffix."""
    return _listed(client, project_id, {"all": "true"})


def _listed(client: LabelStudioClient, project_id: int, query: Mapping[str, str]) -> dict[str, str]:
    path = f"/api/projects/{project_id}/file-uploads"
    answer = client.answer("GET", path, query, timeout_s=_UPLOADING_S)
    rows: Any = answer.get("results") if isinstance(answer, dict) else answer
    if not isinstance(rows, list):
        raise LabelStudioError(f"GET {path} answers no list of uploads")
    found = {}
    for row in rows:
        file = str(row["file"])
        match = _STORED_NAME.fullmatch(file.rpartition("/")[2])
        if match:
            found[match["stem"]] = f"/data/{file}"
    return found


def _parts(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    part: dict[str, bytes] = {}
    for name, data in files.items():
        n_bytes = sum(map(len, part.values()))
        if part and (len(part) == _MOST_FILES or n_bytes + len(data) > _MOST_BYTES):
            yield part
            part = {}
        part[name] = data
    if part:
        yield part
