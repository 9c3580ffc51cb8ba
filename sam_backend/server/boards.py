"""Boards of the known projects, put together no more often than they can be afforded."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.people import people_names
from sam_backend.monitoring.board import Board
from sam_backend.monitoring.surveying import Served, board_of
from sam_backend.projects.project import Project
from sam_backend.settings import Settings
from sam_backend.store.database import Database

MAX_PROJECTS = 50
"""That `/metrics` tells of: labels of a metric have to be bounded."""

_LEAST_S = 3.0
_TIMES = 20
"""A board that took a second is put together every twenty seconds at the most."""
_NAMES_S = 120.0
_NAMES_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Kept:
    lock: threading.Lock = field(default_factory=threading.Lock)
    board: Board | None = None
    until_s: float = 0.0


class Boards:
    """Boards by project. Safe under threads.

    Args:
        settings: The settings of this process.
        connections: The known projects.
        database: Called for each look; None while there is none.
        served: Likewise; the model that answers a project, by its number.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        settings: Settings,
        connections: Connections,
        database: Callable[[], Database | None],
        served: Callable[[int], Served],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._connections, self._database = settings, connections, database
        self._served, self._clock = served, clock
        self._lock = threading.Lock()
        self._kept: dict[int, _Kept] = {}
        self._names: dict[str, tuple[float, Mapping[str, str]]] = {}

    def projects(self) -> list[int]:
        """Numbers of the known projects."""
        return self._connections.numbers()

    def board(self, number: int) -> Board | None:
        """Return a project's board; None: there is no database.

        Raises:
            SamBackendError: The project is unknown, or database or model store cannot be read.
        """
        database = self._database()
        if database is None:
            return None
        host = self._connections.host_of_number(number)
        project = Project(self._settings, database, host, number)
        with self._lock:
            kept = self._kept.setdefault(number, _Kept())
        with kept.lock:
            if kept.board is None or self._clock() >= kept.until_s:
                begun = self._clock()
                kept.board = board_of(project, self._served(number))
                now = self._clock()
                kept.until_s = now + max(_LEAST_S, _TIMES * (now - begun))
            return kept.board

    def names(self, project: int) -> Mapping[str, str]:
        """Email addresses of people by user id; nothing where Label Studio does not answer."""
        try:
            host = self._connections.host_of_number(project)
            asked_at, names = self._names.get(host.url, (-_NAMES_S, {}))
            if self._clock() - asked_at >= _NAMES_S:
                self._names[host.url] = self._clock(), names
                with LabelStudioClient(host, _NAMES_TIMEOUT_S) as client:
                    names = people_names(client)
                self._names[host.url] = self._clock(), names
        except SamBackendError:
            return {}
        return names
