"""What an image was called before Label Studio had it."""

import re
from urllib.parse import parse_qs, unquote, urlsplit

from sam_backend.datasets.file_names import safe_file_name

# Label Studio puts eight hex digits and a dash before the name of an upload.
_UPLOAD = re.compile(r"/?data/upload/\d+/[0-9a-f]{8}-(?P<name>[^/]+)")


def file_name_of(uri: str) -> str:
    """The file name of a path or of a web or cloud address, without the address' query."""
    return original_name(uri) if "://" in uri else safe_file_name(uri)


def original_name(address: str) -> str:
    """The file name that a task's image address tells, fit for a disk; empty if it tells none.

    Args:
        address: An upload, a local file (`/data/local-files/?d=folder/a.jpg`), a web address or a
            cloud URI. Queries, which may hold secrets, are not looked at; a data URI has no name.
    """
    if address[:5].lower() == "data:":
        return ""
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    path = parts.path
    if path.rstrip("/").endswith("data/local-files"):
        path = next(iter(parse_qs(parts.query).get("d", ())), "")
    else:
        path = unquote(path)
        found = _UPLOAD.search(path)
        path = found["name"] if found else path
    return safe_file_name(path)
