"""A real HTTP server with canned answers, to play a Label Studio or a backend that misbehaves."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.http_server import Handler, listening


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

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.url = ""
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
    canned = CannedServer(routes)

    class Answering(Handler):
        def do_GET(self) -> None:
            body = json.loads(self.body() or b"null")
            call = f"{self.command} {self.path.partition('?')[0]}"
            status, content = canned.answer(Request(call, self.headers.get("authorization"), body))
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  http.server finds them by name

    with listening(Answering) as port:
        canned.url = f"http://127.0.0.1:{port}"
        yield canned
