"""`/dashboard`: a page that asks for its figures every few seconds; nothing to build."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import TypeVar

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from sam_backend.errors import SamBackendError
from sam_backend.json_form import as_json
from sam_backend.monitoring.alerts import PROJECT_RULES, Alert, raised
from sam_backend.monitoring.board import Board
from sam_backend.server.figures import SERVER_RULES, ServerFigures
from sam_backend.server.service import Service
from sam_backend.settings import Settings

log = logging.getLogger(__name__)

T = TypeVar("T")

_TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
# No script but ours, and nothing from anywhere else.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
)
_JOURNAL = 20
_NO_PROJECT = (
    "No Label Studio project has called this backend yet: in the project, Settings → Model → "
    "Connect Model."
)


def add_dashboard(app: FastAPI, service: Service, settings: Settings) -> None:
    """Serve the page, and the figures that it shows."""
    pages = files("sam_backend.server").joinpath("pages")

    def page(name: str) -> Response:
        body = pages.joinpath(name).read_bytes()
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(body, media_type=f"{kind}; charset=utf-8", headers=headers)

    @app.get("/dashboard")
    async def dashboard() -> Response:
        return page("dashboard.html")

    @app.get("/dashboard/style.css")
    async def style() -> Response:
        return page("dashboard.css")

    @app.get("/dashboard/script.js")
    async def script() -> Response:
        return page("dashboard.js")

    @app.get("/favicon.ico")  # browsers ask for it by themselves, on every page
    async def icon() -> Response:
        return page("icon.svg")

    @app.get("/dashboard/figures")
    async def figures(project: int | None = None) -> JSONResponse:
        told = await run_in_threadpool(
            dashboard_figures, service, project, settings.basic_auth_user is not None
        )
        return JSONResponse(as_json(told))


@dataclass(frozen=True, slots=True)
class DashboardFigures:
    """What the page shows.

    Attributes:
        projects: Numbers of the known projects.
        server: Figures of this process; None: they cannot be read.
        server_failure: Why they cannot; empty if they can.
        board: Figures of the project; None: they cannot be read.
        failure: Why they cannot; empty if they can.
        alerts: What the rules raise about the server and about the project.
        names: Email addresses of people by user id; empty where single people are not shown.
    """

    projects: Sequence[int]
    server: ServerFigures | None = None
    server_failure: str = ""
    board: Board | None = None
    failure: str = ""
    alerts: Sequence[Alert] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def dashboard_figures(service: Service, project: int | None, with_people: bool) -> DashboardFigures:
    """Return what the page shows.

    What goes wrong is told in its place, and not in the journal: the page asks every few seconds.

    Args:
        service: Behind the wire.
        project: Number of the project; None: the first one that is known.
        with_people: Also what single people did; only for those who have shown a password.
    """
    known = service.boards.projects()
    number = project if project in known else next(iter(known), None)
    server, server_failure = _tried("server", service.figures)
    alerts = [] if server is None else raised(SERVER_RULES, server)
    if server is not None:
        journal = server.status.journal[:_JOURNAL]
        server = replace(server, status=replace(server.status, journal=journal))
    told = DashboardFigures(known, server, server_failure, alerts=alerts)
    if project is not None and project not in known:
        return replace(told, failure=f"project {project} has not called /setup")
    if number is None:
        return replace(told, failure=_NO_PROJECT)
    board, failure = _tried(f"project {number}", lambda: service.boards.board(number))
    if board is None:
        reason = failure or (server and server.status.jobs_failure)
        return replace(told, failure=reason or "there is no database yet")
    told = replace(told, board=board, alerts=[*alerts, *raised(PROJECT_RULES, board)])
    if not with_people:
        return replace(told, board=_without_people(board))
    names, _ = _tried("names", lambda: service.boards.names(number))
    return replace(told, names=names or {})


def _tried(what: str, read: Callable[[], T]) -> tuple[T | None, str]:
    """What is read, or None and why it cannot be."""
    try:
        return read(), ""
    except SamBackendError as error:
        return None, str(error)
    except Exception as error:  # its message may hold data: the log gets it
        log.exception("the dashboard: %s", what)
        return None, f"internal error {type(error).__name__}, see the backend's log"


def _without_people(board: Board) -> Board:
    """Return a board that tells nothing of single people, such as who moved the project."""
    stage = board.stage
    return replace(
        board,
        moves=board.moves and [replace(move, by="") for move in board.moves],
        stage=stage and replace(stage, move=stage.move and replace(stage.move, by="")),
        people=None,
    )
