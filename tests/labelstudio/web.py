"""Real web servers on this machine: they answer as a test wants and remember what was asked."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from ssl import SSLContext

from tests.http_server import Handler, listening

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

    scheme: str
    port: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

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

    web = Web("http" if ssl_context is None else "https")
    web.replies = {f"/{path}": reply for path, reply in replies.items()}

    class Replying(Handler):
        def do_GET(self) -> None:
            web.requests.append(Request(self.command, self.path, dict(self.headers), self.body()))
            web.replies.get(self.path.partition("?")[0], send(404))(self)

        do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815  http.server finds them by name

        def handle(self) -> None:
            with suppress(OSError):  # the client may go away, as some tests want
                super().handle()

    with listening(Replying, ssl_context) as web.port:
        yield web
