"""Source storages: where the files of a project are kept outside of Label Studio."""

from typing import Any

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient

_FOLDERS = {
    "s3": ("s3", "bucket"),
    "gcs": ("gs", "bucket"),
    "azure": ("az", "container"),
}
"""By kind: the scheme of fsspec, and the field that names the bucket (io_storages, 1.23.2)."""

_RESOURCES = {"s3": "s3", "gcs": "gcs", "azure": "azure", "localfiles": "local"}
"""By kind: label-studio-sdk's name of it."""


def storage_address(client: LabelStudioClient, name: str) -> str:
    """The folder or the bucket of a source storage, as fsspec writes it.

    Args:
        client: Client of its Label Studio.
        name: Kind and number, such as `s3/3` or `localfiles/1`.

    Raises:
        InvalidInputError: The kind is unknown, or the name malformed.
        LabelStudioError: There is no such storage, or Label Studio is out of reach.
    """
    kind, _, number = name.strip("/").partition("/")
    if kind not in _RESOURCES or not number.isdecimal():
        known = ", ".join(_RESOURCES)
        raise InvalidInputError(f"a storage is written <kind>/<number> ({known}), not {name!r}")
    path = f"/api/storages/{kind}/{number}"
    told: Any = client.sdk(
        lambda sdk: getattr(sdk.import_storage, _RESOURCES[kind]).with_raw_response.get(int(number))
    )
    if kind == "localfiles":
        return _text(told, "path", path)
    scheme, field = _FOLDERS[kind]
    prefix = str(told.get("prefix") or "").strip("/")
    return f"{scheme}://{_text(told, field, path)}/{prefix}".rstrip("/")


def _text(told: Any, field: str, path: str) -> str:
    found = told.get(field) if isinstance(told, dict) else None
    if not isinstance(found, str) or not found:
        raise LabelStudioError(f"GET {path} names no {field}")
    return found
