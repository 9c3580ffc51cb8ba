"""`sam-backend serve`: the HTTP server that Label Studio talks to."""

from contextlib import ExitStack
from typing import Annotated, Any

import typer

from sam_backend.cli.listening import check_address
from sam_backend.cli.process_setup import (
    ending_at_signals,
    keep_compiled,
    log_to_stderr,
    tune_allocator,
)
from sam_backend.settings import Settings

_PATIENCE_S = 5
"""For requests under way when the server is told to end; whoever waits for it may wait 10 s."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model version, see `sam-backend models list`. If left out, the champion."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
) -> None:
    """Serve masks to Label Studio. All settings: SAM_BACKEND_* variables, see docs/settings.md."""
    given: dict[str, Any] = {"host": host, "port": port, "model": model, "device": device}
    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    tune_allocator(settings)
    keep_compiled(settings)
    log_to_stderr(settings)
    check_address(settings)

    # Not at the top: torch takes seconds to import, and `--help` need not wait for it.
    import uvicorn

    from sam_backend.jobs.services import BackgroundServices
    from sam_backend.server.app import create_app
    from sam_backend.server.service import Service

    # The application starts the background services and closes all at its end, while the process
    # still lives: uvicorn raises a signal again when it is done. Where the application never began
    # or is hurried, all is closed here.
    with ending_at_signals(), ExitStack() as parts:
        background = parts.enter_context(BackgroundServices(settings))
        service = parts.enter_context(
            Service.start(
                settings, background.handle, background.newest_jobs, lambda: background.database
            )
        )
        parts.callback(background.leave)
        uvicorn.run(
            create_app(
                service,
                settings,
                start=lambda: background.start(service.journal.error),
                close=parts.close,
            ),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_PATIENCE_S,
        )
