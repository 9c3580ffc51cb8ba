"""`sam-backend check`: everything between a click in Label Studio and its mask, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json import JSONDecodeError

from sam_backend.doctor import backend as backends
from sam_backend.doctor import connection, prediction, project, server
from sam_backend.doctor.backend import Backend
from sam_backend.doctor.findings import Finding, Status
from sam_backend.errors import LabelStudioError, SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.projects.project import uid_of_record

_HALF_WAY = "a call failed half-way: run this again, and see Label Studio's log"

__all__ = ["Backend", "Checkup", "Finding", "Status"]


@dataclass(frozen=True, slots=True)
class Checkup:
    """What to check.

    Attributes:
        host: Label Studio and our token for it.
        project_id: Its number in Label Studio's addresses.
        backend: The backend, as both this machine and Label Studio reach it.
        resolver: Fetches the image, as the backend would.
        max_pixels: Images with more are refused, as by the backend.
        connect: Connect the backend to the project if it is not.
        timeout_s: Limit of one ordinary call.
        prefilling: Given the config, the project's name in Label Studio's calls and the backend
            row's `extra_params`, raises a SamBackendError if tasks cannot be prefilled, else says
            how they are; None: not looked at.
        model: Given the project's name and the `extra_params`, raises a SamBackendError if the
            model that the project names cannot answer, else says which one it names, or nothing if
            it names none; None: not looked at.
    """

    host: LabelStudioHost
    project_id: int
    backend: Backend
    resolver: ImageResolver
    max_pixels: int
    connect: bool = False
    timeout_s: float = 10.0
    prefilling: Callable[[LabelConfig, str | None, object], str] | None = None
    model: Callable[[str | None, object], str] | None = None

    def run(self) -> Iterator[Finding]:
        """Findings in the order of the way a click takes, each as soon as it is known."""
        if (yield from server.reachable(self.host.url, self.timeout_s)) is None:
            yield _skipped("token, project, connection", "Label Studio is not reached")
            yield from backends.reachable(self.backend)
            return
        with LabelStudioClient(self.host, self.timeout_s) as client:
            try:
                yield from self._project(client)
            except LabelStudioError as error:
                yield Finding("Label Studio", "fail", str(error), _HALF_WAY)
            except JSONDecodeError:
                seen = "an answer is no JSON: something stands between it and us"
                yield Finding("Label Studio", "fail", seen, _HALF_WAY)

    def _project(self, client: LabelStudioClient) -> Iterator[Finding]:
        record = None
        if (yield from server.token(client)):
            record = yield from project.exists(client, self.project_id)
        config = None if record is None else (yield from project.label_config(record))
        versions = yield from backends.reachable(self.backend)
        if record is None:
            yield _skipped("connection, image access, one click", "there is no project to look at")
            return
        uid = uid_of_record(record)
        version = backends.version_for(versions, uid)
        target = connection.Project(client, self.project_id, self.backend, version)
        shown_version = str(record.get("model_version") or "")
        row = yield from connection.connected(target, self.connect, shown_version)
        extra = None if row is None else row.get("extra_params")
        if self.model is not None:
            yield from _model(self.model, uid, extra)
        if config is None:
            yield _skipped("image access, one click", "the label config comes first")
            return
        if self.prefilling is not None:
            yield _prefilling(self.prefilling, config, uid, extra)
        sample = yield from prediction.image_access(
            client, self.project_id, config, self.resolver, self.max_pixels
        )
        if sample is None or row is None:
            missing = "an image" if sample is None else "an interactive connection"
            yield _skipped("one click", f"it needs {missing}")
            return
        yield from prediction.one_click(client, row, sample, config, self.backend)


def _model(
    ask: Callable[[str | None, object], str], uid: str | None, extra: object
) -> Iterator[Finding]:
    name = "project's model"
    try:
        seen = ask(uid, extra)
    except SamBackendError as error:
        fix = (
            "get it with `sam-backend models pull` or `models add`, or name another one: "
            '{"model": "VERSION"} in the extra_params of the backend, or `sam-backend models use`'
        )
        yield Finding(name, "warn", f"{error}; the default model answers instead", fix)
    else:
        if seen:
            yield Finding(name, "ok", seen)


def _prefilling(
    ask: Callable[[LabelConfig, str | None, object], str],
    config: LabelConfig,
    uid: str | None,
    extra: object,
) -> Finding:
    name = "prefilling"
    try:
        return Finding(name, "ok", ask(config, uid, extra))
    except SamBackendError as error:
        fix = "SAM_BACKEND_PREFILL, the backend's extra_params, or the label config must change"
        return Finding(name, "warn", f"tasks cannot be prefilled: {error}", fix)


def _skipped(name: str, why: str) -> Finding:
    return Finding(name, "skipped", why)
