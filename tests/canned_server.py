"""A real HTTP server with canned answers, to play a Label Studio or a backend that misbehaves."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """One call that came in.

    Attributes:
        call: For example "GET /health", without the query.
        authorization: The header; None without.
        body: What was sent as JSON; None without.
    """

    call: str
    authorization: str | None
    body: Any


Canned = tuple[int, Any]
Routes = Mapping[str, Canned | Callable[[Request], Canned]]
"""Answers by call: status and body (bytes as they are, else as JSON). Others get 404."""


class CannedServer:
    """Answers by its routes and remembers what it was asked."""

    def __init__(self, routes: Routes, port: int) -> None:
        self.routes = routes
        self.url = f"http://127.0.0.1:{port}"
        self.requests: list[Request] = []

    def answer(self, request: Request) -> Canned:
        """Status and body for one request."""
        self.requests.append(request)
        found = self.routes.get(request.call, (404, {"detail": "Not found."}))
        return found(request) if callable(found) else found

    def asked(self, call: str) -> list[Request]:
        """Requests of one call, in order."""
        return [request for request in self.requests if request.call == call]


@contextmanager
def canned_server(routes: Routes) -> Iterator[CannedServer]:
    """A running server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            call = f"{self.command} {self.path.partition('?')[0]}"
            status, content = canned.answer(Request(call, self.headers.get("authorization"), body))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815  http.server finds it by this name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    canned = CannedServer(routes, server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield canned
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
