"""`/dashboard`: a page that asks for its figures every few seconds; nothing to build."""

from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from sam_backend.errors import SamBackendError
from sam_backend.server.service import Service
from sam_backend.settings import Settings

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
# No script but ours, and nothing from anywhere else.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
_JOURNAL = 20


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

    What goes wrong is told under `failure`, not in the journal: the page asks every few seconds.
    """
    known = service.boards.projects()
    server = service.figures()
    server["journal"] = server["journal"][:_JOURNAL]
    told: dict[str, Any] = {"projects": known, "server": server, "board": None, "people": None}
    number = project if project in known else next(iter(known), None)
    if project is not None and project not in known:
        return told | {"failure": f"project {project} has not called /setup"}
    if number is None:
        return told | {"failure": "no Label Studio project has called /setup yet"}
    try:
        board = service.boards.board(number)
    except SamBackendError as error:
        return told | {"failure": str(error)}
    if board is None:
        return told | {"failure": server["database"] or "there is no database yet"}
    people = board["people"]
    shown = {name: value for name, value in board.items() if name != "people"}
    if not with_people:
        moves = [{**move, "by": None} for move in board["moves"]]
        return told | {"board": {**shown, "moves": moves, "stage": {**board["stage"], "by": None}}}
    names = service.boards.names(number)
    listed = [{"name": names.get(who, f"user {who}"), **people[who]} for who in people]
    return told | {"board": shown, "people": listed}
