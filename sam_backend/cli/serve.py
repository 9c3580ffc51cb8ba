"""`sam-backend serve`: the HTTP server that Label Studio talks to."""

import logging
import os
import sys
from typing import Annotated, Any

import typer

from sam_backend.settings import Settings

# Page faults of big short-lived buffers cost as much as SAM's arithmetic: with these, glibc keeps
# its pages, and encoder and decoder run about twice as fast. Read by glibc at process start only.
ALLOCATOR_TUNING = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "268435456",
}


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Version, see `sam-backend models list`.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
) -> None:
    """Serve masks to Label Studio. All settings: SAM_BACKEND_* variables, see the README."""
    given: dict[str, Any] = {"host": host, "port": port, "model": model, "device": device}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    _tune_allocator(settings)
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # They log every URL and redirect with its query, where presigned addresses carry their secret.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    import uvicorn

    from sam_backend.server.app import create_app
    from sam_backend.server.service import Service

    with Service.start(settings) as service:
        uvicorn.run(
            create_app(service, settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,
        )


def _tune_allocator(settings: Settings) -> None:
    """Start this process anew, under the same id, with the allocator's variables set."""
    if settings.tune_allocator and not ALLOCATOR_TUNING.keys() & os.environ.keys():
        arguments = [sys.executable, "-m", "sam_backend.cli.main", *sys.argv[1:]]
        os.execve(sys.executable, arguments, os.environ | ALLOCATOR_TUNING)  # noqa: S606
