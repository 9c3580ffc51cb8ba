"""Once a project is connected to a backend with a password, its webhook is given the secret."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from sam_backend.errors import SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.event_secret import give_secret, has_secret
from sam_backend.labelstudio.api.guarded_http import refusal

log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
# Label Studio calls /setup while it connects a backend, and makes the webhook right after that.
_TRIES_S = (0.5, 1.0, 3.0, 10.0, 30.0)
_REST_S = 60.0
"""A project is looked at again so long after it was well: somebody may connect it anew."""
_GRACE_S = 5.0
REMEDY = "run `sam-backend check --project {number} --connect`, which puts it there"


@dataclass(slots=True)
class _Due:
    """A project whose webhook is to be given the secret."""

    called_as: str
    next_at: float
    tries: int = 0


class EventRegistrar:
    """Gives webhooks their secret, on a thread of its own. Close it.

    Args:
        secret: What this backend's webhooks send (`labelstudio.api.event_secret`).
        connections: Which Label Studio a project is of.
        tell: Told the subject and the reason of what goes wrong.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        secret: str,
        connections: Connections,
        tell: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secret = secret
        self._connections = connections
        self._tell = tell
        self._clock = clock
        self._lock = threading.Lock()
        self._due: dict[str, _Due] = {}
        self._well_at: dict[str, float] = {}
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="event-registrar", daemon=True)
        self._thread.start()

    def hint(self, project: str, called_as: str) -> None:
        """A project has called /setup; returns at once.

        Args:
            project: As /setup names it.
            called_as: The request's Host header: the webhook has the same in its address.
        """
        now = self._clock()
        with self._lock:
            if now - self._well_at.get(project, -_REST_S) < _REST_S or project in self._due:
                return
            self._due[project] = _Due(called_as, now + _TRIES_S[0])
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._wake.set()
        self._thread.join(_GRACE_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            with self._lock:
                next_at = min((due.next_at for due in self._due.values()), default=None)
            self._wake.wait(None if next_at is None else max(next_at - self._clock(), 0.0))
            self._wake.clear()
            now = self._clock()
            with self._lock:
                ready = {name: due for name, due in self._due.items() if due.next_at <= now}
            for project, due in ready.items():
                if not self._closed.is_set():
                    self._try(project, due)

    def _try(self, project: str, due: _Due) -> None:
        try:
            reason = self._register(project, due.called_as)
        except SamBackendError as error:
            reason = str(error)
        except Exception:  # the thread must outlive whatever Label Studio answers
            log.exception("project %s: its webhook cannot be given the secret", project)
            reason = "internal error, see the log"
        due.tries += 1
        with self._lock:
            if reason and due.tries < len(_TRIES_S):
                due.next_at = self._clock() + _TRIES_S[due.tries]
                return
            del self._due[project]
            if not reason:
                self._well_at[project] = self._clock()
        if reason:
            number = project.partition(".")[0]
            self._tell(
                f"project {project}: its events are refused",
                f"they come without the password or its secret: {reason}; "
                f"{REMEDY.format(number=number)}",
            )

    def _register(self, project: str, called_as: str) -> str:
        """Why the webhook has no secret; empty if it has."""
        number = project.partition(".")[0]
        if not number.isdecimal():
            return f"a project is named '<id>.<created>', not {project!r:.40}"
        with LabelStudioClient(self._connections.host(project), _TIMEOUT_S) as client:
            hooks = [
                hook
                for hook in client.webhooks(int(number))
                if _is_ours(str(hook.get("url", "")), called_as)
            ]
            for hook in hooks:
                if has_secret(hook, self._secret):
                    continue
                answer = give_secret(client, hook, self._secret)
                if not answer.is_success:
                    return f"Label Studio answers {answer.status_code}: {refusal(answer)}"
                log.info("project %s: its webhook sends the secret from now on", project)
        return "" if hooks else f"the project has no webhook to http(s)://{called_as}/webhook"


def _is_ours(url: str, called_as: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    host = parsed.netloc.decode("ascii").lower()
    return parsed.path.rstrip("/").endswith("/webhook") and host == called_as.strip().lower()
