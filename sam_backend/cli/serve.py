"""`sam-backend serve`: the HTTP server that Label Studio talks to."""

from typing import Annotated, Any

import typer

from sam_backend.cli.launching import keep_compiled, log_to_stderr, tune_allocator
from sam_backend.settings import Settings


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
    tune_allocator(settings)
    keep_compiled(settings)
    log_to_stderr(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    import uvicorn

    from sam_backend.engine.retraining.loop import RetrainingLoop
    from sam_backend.server.app import create_app
    from sam_backend.server.service import Service

    with (
        RetrainingLoop(settings) as loop,
        Service.start(settings, loop.handle, loop.newest_jobs, lambda: loop.database) as service,
    ):
        loop.start(service.journal.error)
        uvicorn.run(
            create_app(service, settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=10,
        )
