"""The HTTP application: Label Studio's ML-backend protocol, health, readiness and status."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.json_form import as_json
from sam_backend.server.dashboard import add_dashboard
from sam_backend.server.guards import BasicAuth, BodyLimit, HostCheck
from sam_backend.server.protocol import PredictRequest, SetupRequest, WebhookRequest, parse
from sam_backend.server.service import Service
from sam_backend.server.status_page import render_status
from sam_backend.settings import Settings

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def create_app(
    service: Service,
    settings: Settings,
    start: Callable[[], None] = lambda: None,
    close: Callable[[], None] = lambda: None,
) -> FastAPI:
    """Build the application over a service that may still be loading its model.

    Args:
        service: Behind the wire.
        settings: The settings of this process.
        start: Called before the first request: starts what runs beside requests.
        close: Called at the end, once no request is under way.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        start()
        yield
        await run_in_threadpool(close)

    app = FastAPI(
        title="sam_backend", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    if settings.basic_auth_user is not None and settings.basic_auth_password is not None:
        app.add_middleware(
            BasicAuth,
            user=settings.basic_auth_user,
            password=settings.basic_auth_password.get_secret_value(),
        )
    elif "*" not in settings.allowed_host_patterns:
        # a password is not known to a page that points its name here; without one, names count
        app.add_middleware(
            HostCheck,
            allowed=(settings.host.lower(), *settings.allowed_host_patterns),
            refused=lambda name, reason: service.journal.error(f"called as {name!r}", reason),
        )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_mb * 1024 * 1024)
    _add_protocol(app, service)
    _add_operations(app, service)
    add_dashboard(app, service, settings)
    _add_error_handlers(app, service)
    return app


def _add_protocol(app: FastAPI, service: Service) -> None:
    """What Label Studio calls; light calls stay on the event loop and answer while SAM works."""

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "UP", "model_class": "sam_backend", "v2": True}

    protocol, reading, clicks, batches = (_Threads(number) for number in (8, 8, 40, 40))

    @app.post("/setup")
    async def setup(request: Request) -> dict[str, str]:
        message = parse(SetupRequest, await _json_body(request))
        caller = "" if request.client is None else request.client.host
        called_as = request.headers.get("host", "")
        return {"model_version": await protocol.run(service.setup, message, caller, called_as)}

    @app.get("/versions")
    async def versions() -> dict[str, Any]:
        listed = await protocol.run(service.versions)
        return {"versions": listed, "projects": await protocol.run(service.project_versions)}

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        message = await reading.run(parse, PredictRequest, await _json_body(request))
        threads = batches if message.params.context is None else clicks
        return await threads.run(_predict, service, message)

    @app.post("/webhook")
    async def webhook(request: Request) -> dict[str, Any]:
        return await protocol.run(_webhook, service, await _json_body(request))


class _Threads:
    """Threads for one kind of request, so that none waits for those of another kind.

    A click waits for its picture's host, Retrieve predictions for 80 s, and Label Studio gives up
    /setup after 3 s and /webhook after 1 s: those that wait must not take the threads of the rest.

    Args:
        number: Requests that are worked on at once; more of them wait.
    """

    def __init__(self, number: int) -> None:
        self._limiter = CapacityLimiter(number)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work on a thread, as soon as one of this kind is free."""
        return await to_thread.run_sync(partial(work, *args, **kwargs), limiter=self._limiter)


async def _json_body(request: Request) -> bytes:
    """The body of a request that says it is JSON.

    A page in the admin's browser can send other types to a local address without asking first
    (CORS "simple requests"); /setup must not be told whom to trust by such a page.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"the body must be application/json, not {kind[:40]!r}")
    return await request.body()


def _webhook(service: Service, body: bytes) -> dict[str, Any]:
    return service.webhook(parse(WebhookRequest, body))


def _predict(service: Service, message: PredictRequest) -> Response:
    reply = service.predict(message)
    with reply.clock.span("json"):
        content = json.dumps(reply.content, separators=(",", ":")).encode()
    return Response(
        content,
        media_type="application/json",
        headers={"Server-Timing": reply.clock.server_timing()},
    )


def _add_operations(app: FastAPI, service: Service) -> None:
    @app.get("/ready")
    async def ready() -> JSONResponse:
        state = service.readiness()
        return JSONResponse(state, status_code=200 if state["ready"] else 503)

    @app.get("/status")
    async def status(request: Request) -> Response:
        report = await run_in_threadpool(service.status)
        wants_html = "text/html" in request.headers.get("accept", "")
        return HTMLResponse(render_status(report)) if wants_html else JSONResponse(as_json(report))

    @app.get("/metrics")
    async def metrics() -> Response:
        told = await run_in_threadpool(generate_latest, service.monitor.registry)
        return Response(told, media_type=CONTENT_TYPE_LATEST)

    @app.get("/")
    async def root() -> RedirectResponse:
        return RedirectResponse("/status")


def _add_error_handlers(app: FastAPI, service: Service) -> None:
    @app.exception_handler(SamBackendError)
    async def ours(request: Request, error: SamBackendError) -> JSONResponse:
        service.journal.error(request.url.path, str(error))
        status = 400 if isinstance(error, InvalidInputError) else 500
        return JSONResponse({"error": str(error)}, status_code=status)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        # A foreign error's message may hold data: only its class leaves the log.
        log.error("unexpected error in %s", request.url.path, exc_info=error)
        service.journal.error(request.url.path, f"internal error: {type(error).__name__}")
        return JSONResponse({"error": "internal error, see the backend's log"}, status_code=500)
