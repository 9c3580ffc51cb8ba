"""Real web servers on this machine: they answer as a test wants and remember what was asked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Web:
    """A running server: `replies` by path without query; anything else is 404."""

    port: int
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def authorizations(self) -> list[str | None]:
        return [request.headers.get("Authorization") for request in self.requests]


def send(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, sized: bool = True
) -> Reply:
    """A whole answer; `sized=False` leaves Content-Length out and closes the connection."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        if sized and "Content-Length" not in (headers or {}):
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def redirect(location: str, status: int = 302) -> Reply:
    return send(status, headers={"Location": location})


@contextmanager
def serve(ssl_context: SSLContext | None = None, **replies: Reply) -> Iterator[Web]:
    """A server on a free port; its paths are the keywords with a slash before them."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            web.requests.append(Request(self.command, self.path, dict(self.headers), body))
            web.replies.get(self.path.partition("?")[0], send(404))(self)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError):  # the client may go away, as some tests want
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
    web = Web(server.server_port, {f"/{path}": reply for path, reply in replies.items()})
    web.scheme = "http" if ssl_context is None else "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
