"""A real HTTP server on a free port of this machine, for as long as a block runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext


class Handler(BaseHTTPRequestHandler):
    """Keeps quiet, and reads the body."""

    def log_message(self, *_: object) -> None:
        """Nothing goes to stderr."""

    def body(self) -> bytes:
        """What was sent with the request."""
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


@contextmanager
def listening(handler: type[Handler], ssl_context: SSLContext | None = None) -> Iterator[int]:
    """A running server; gives its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True  # a test may end while an answer still drips
    if ssl_context is not None:
        server.socket = ssl_context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
