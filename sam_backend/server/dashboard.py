"""`/dashboard`: a page that asks for its figures every few seconds; nothing to build."""

import logging
from collections.abc import Callable
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from sam_backend.errors import SamBackendError
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
        return JSONResponse(told)


def dashboard_figures(service: Service, project: int | None, with_people: bool) -> dict[str, Any]:
    """What the page shows.

    Args:
        service: Behind the wire.
        project: Number of the project; None: the first one that is known.
        with_people: Also what single people did; only for those who have shown a password.

    What goes wrong is told under `failure` (of the project), `server failure` and, of parts of the
    board, its `failures`; not in the journal, for the page asks every few seconds.
    """
    known = service.boards.projects()
    number = project if project in known else next(iter(known), None)
    told: dict[str, Any] = {"projects": known, "board": None, "people": None}
    server, told["server failure"] = _tried("server", service.figures)
    told["server"] = server and {**server, "journal": server["journal"][:_JOURNAL]}
    if project is not None and project not in known:
        return told | {"failure": f"project {project} has not called /setup"}
    if number is None:
        return told | {"failure": _NO_PROJECT}
    board, failure = _tried(f"project {number}", lambda: service.boards.board(number))
    if failure:
        return told | {"failure": failure}
    if board is None:
        reason = server and server["database"]
        return told | {"failure": reason or "there is no database yet"}
    people = board["people"]
    shown = {name: value for name, value in board.items() if name != "people"}
    if not with_people:
        return told | {"board": _without_people(shown)}
    if people is None:  # its reason stands among the failures
        return told | {"board": shown}
    names, _ = _tried("names", lambda: service.boards.names(number))
    listed = [{"name": (names or {}).get(who, f"user {who}"), **people[who]} for who in people]
    return told | {"board": shown, "people": listed}


def _tried(what: str, read: Callable[[], T]) -> tuple[T | None, str]:
    """What is read, or None and why it cannot be."""
    try:
        return read(), ""
    except SamBackendError as error:
        return None, str(error)
    except Exception as error:  # its message may hold data: the log gets it
        log.exception("the dashboard: %s", what)
        return None, f"internal error {type(error).__name__}, see the backend's log"


def _without_people(board: dict[str, Any]) -> dict[str, Any]:
    """A board that does not say who moved the project; parts that failed are None."""
    moves, stage = board["moves"], board["stage"]
    return board | {
        "moves": moves and [{**move, "by": None} for move in moves],
        "stage": stage and {**stage, "by": None},
    }
