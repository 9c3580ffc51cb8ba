"""Addresses as they may stand in logs and answers: no query secrets, no credentials, short."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

_MAX_LENGTH = 200
# Label Studio's own parameter that names a file and opens nothing.
_HARMLESS = frozenset({"d"})


def readable(address: str) -> str:
    """An image's address without what must not be logged.

    User name, password and fragment are cut, queries too (presigned URLs carry their secret
    there) but for the `d` of Label Studio's local files; data URIs keep their media type only.
    """
    if address[:5].lower() == "data:":
        media_type = address[5:].partition(",")[0].partition(";")[0][:50]
        return f"data:{media_type},… ({len(address)} characters)"
    try:
        parts = urlsplit(address)
    except ValueError:
        return "an address that cannot be parsed"
    netloc = parts.netloc.rpartition("@")[2]
    query = parts.query
    if query:
        is_local_file = parts.path.endswith("/data/local-files/")
        kept = [pair for pair in parse_qsl(query) if pair[0] in _HARMLESS] if is_local_file else []
        query = urlencode(kept, safe="/", quote_via=quote) or "…"
    start = f"{parts.scheme}://{netloc}" if netloc else (parts.scheme and f"{parts.scheme}:")
    text = f"{start}{parts.path}" + (f"?{query}" if query else "")
    text = "".join(char if char.isprintable() else "�" for char in text)
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"
