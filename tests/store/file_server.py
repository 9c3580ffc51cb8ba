"""A local HTTP server for one file, with the faults that real ones have."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sam_backend.store.public_checkpoints import PublicCheckpoint
from tests.http_server import Handler, listening


class FileServer:
    """What to serve and how to misbehave; tests change it while it runs.

    Attributes:
        body: The file.
        url: Where it is.
        cuts: Before each answer one number is taken: only so many body bytes are sent, then the
            connection is dropped. Empty: whole answers.
        knows_ranges: False: Range headers are ignored, as simple servers do.
        statuses: Before each answer one is taken and sent instead of the file.
        wrong_start: An offset added to where a 206 answer says that it starts.
        requested: The Range header of every request, "" without.
        pause: Waited for in mid-body when set.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.url = ""
        self.cuts: list[int] = []
        self.knows_ranges = True
        self.statuses: list[int] = []
        self.wrong_start = 0
        self.requested: list[str] = []
        self.pause: threading.Event | None = None


def _handler(server: FileServer) -> type[Handler]:
    class Serving(Handler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            server.requested.append(asked)
            if server.statuses:
                self._empty(server.statuses.pop(0))
                return
            match = re.fullmatch(r"bytes=(\d+)-", asked) if server.knows_ranges else None
            start = int(match[1]) if match else 0
            if start >= len(server.body) and match:
                self._empty(416, f"bytes */{len(server.body)}")
                return
            body = server.body[start:]
            self.send_response(206 if match else 200)
            if match:
                shown = start + server.wrong_start
                end, total = len(server.body) - 1, len(server.body)
                self.send_header("Content-Range", f"bytes {shown}-{end}/{total}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if server.pause is not None:
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                server.pause.wait(60)
                body = body[len(body) // 2 :]
            self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)
            self.close_connection = True

        def _empty(self, status: int, content_range: str = "") -> None:
            self.send_response(status)
            if content_range:
                self.send_header("Content-Range", content_range)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Serving


@contextmanager
def serving(body: bytes) -> Iterator[FileServer]:
    """A running server on a free port."""
    server = FileServer(body)
    with listening(_handler(server)) as port:
        server.url = f"http://127.0.0.1:{port}/weights.pth"
        yield server


def public(url: str, body: bytes, sha256: str | None = None) -> dict[str, PublicCheckpoint]:
    """What `pull` may know: one checkpoint `tiny` at this address."""
    found = hashlib.sha256(body).hexdigest()
    checkpoint = PublicCheckpoint(
        "tiny", "tiny-1", "starter", "Tiny", url, len(body), sha256 or found, 5
    )
    return {"tiny": checkpoint}
