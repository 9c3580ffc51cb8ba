"""What each of Label Studio's calls does, whatever carries it: our HTTP server or an adapter."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sam_backend.engine.assisted import Assisted, InteractiveAnswer, InteractiveRequest
from sam_backend.engine.opening import Opening
from sam_backend.engine.served_model import ServedModel
from sam_backend.engine.serving import STARTER_NOTE, Caches, open_caches, serve_checkpoint
from sam_backend.engine.task_embeddings import TaskEmbeddings
from sam_backend.engine.timing import StageClock
from sam_backend.errors import InvalidInputError, LabelStudioError, SamBackendError
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.connections import Connections
from sam_backend.labelstudio.images import image_resolver
from sam_backend.labelstudio.memory import TaskMemory
from sam_backend.sam.segmenter import Segmenter
from sam_backend.server.journal import Journal
from sam_backend.server.protocol import PredictRequest, SetupRequest
from sam_backend.settings import Settings
from sam_backend.store.models import ModelEntry

log = logging.getLogger(__name__)

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to /predict.

    Attributes:
        content: The JSON body.
        clock: Where the time went.
    """

    content: dict[str, Any]
    clock: StageClock = field(default_factory=StageClock)


class Service:
    """The backend behind the wire. Safe under threads; close it, or use `with`.

    Attributes:
        journal: What went wrong lately, with reasons.
    """

    def __init__(
        self,
        settings: Settings,
        caches: Caches,
        entry: ModelEntry,
        model: ServedModel,
    ) -> None:
        self.journal = Journal()
        self._caches = caches
        self._entry = entry
        self._model = model
        url, token = settings.label_studio_url, settings.label_studio_api_key
        self._connections = Connections(
            settings.data_dir / "connections.json", url, token.get_secret_value() if token else None
        )
        embeddings = TaskEmbeddings(
            image_resolver(settings), model, settings.max_image_megapixels * 1_000_000
        )
        self._assisted = Assisted(model, embeddings, TaskMemory(), settings.all_masks)
        self._opening = Opening(embeddings, settings.prefetch_tasks)

    @classmethod
    def start(cls, settings: Settings) -> Self:
        """A service whose model loads in the background.

        Raises:
            SamBackendError: A setting cannot be followed.
        """
        caches = open_caches(settings)
        entry, model = serve_checkpoint(settings, caches.all)
        return cls(settings, caches, entry, model)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop what waits, write what is cached, end the threads."""
        self._opening.close()
        self._model.close()
        self._caches.close()

    @property
    def model_version(self) -> str:
        """Names checkpoint and settings; known before the model is loaded."""
        return self._model.model_version

    def wait_until_loaded(self) -> Segmenter:
        """Wait for the model.

        Raises:
            ModelStoreError: It cannot be loaded.
        """
        return self._model.segmenter()

    def setup(self, message: SetupRequest) -> str:
        """Remember who calls; returns the model version."""
        try:
            self._connections.remember(message.project, message.hostname, message.access_token)
        except (LabelStudioError, OSError) as error:
            # A data folder that is full or read-only costs the next start, not this one's clicks.
            self.journal.error(f"setup of project {message.project}", str(error))
        return self.model_version

    def predict(self, request: PredictRequest) -> Reply:
        """Masks for prompts; without prompts, a head start for the image that was opened.

        What goes wrong is an empty answer and an entry in the journal: Label Studio would show the
        annotator nothing of an error either.

        Raises:
            InvalidInputError: Prompts come with no task, or with several.
        """
        if request.params.context is None:
            return self._open(request)
        if len(request.tasks) != 1:
            raise InvalidInputError(
                f"prompts must come with one task, not with {len(request.tasks)}"
            )
        clock = StageClock()
        task = request.tasks[0]
        subject = _subject(request.project, task)
        answer = InteractiveAnswer()
        try:
            answer = self._assisted.answer(
                InteractiveRequest(
                    host=self._connections.host(request.project),
                    project=request.project,
                    task=task,
                    config=LabelConfig.parse(request.label_config),
                    context=request.params.context,
                ),
                clock,
            )
        except SamBackendError as error:
            self.journal.error(subject, str(error))
        except Exception as error:
            # A foreign error's message may hold data: the journal gets its class, the log the rest.
            log.exception("%s: unexpected error", subject)
            self.journal.error(subject, f"internal error {type(error).__name__}, see the log")
        for reason in answer.errors:
            self.journal.error(subject, reason)
        for reason in answer.warnings:
            self.journal.warn(subject, reason)
        log.info("%s: %d regions; %s", subject, len(answer.regions), clock.server_timing())
        prediction = {
            "result": list(answer.regions),
            "score": answer.score,
            "model_version": self.model_version,
        }
        return Reply({"results": [prediction]}, clock)

    def readiness(self) -> dict[str, Any]:
        """Whether masks can be made now."""
        return {
            "ready": self._model.state == "ready",
            "state": self._model.state,
            "model_version": self.model_version,
        }

    def status(self) -> dict[str, Any]:
        """Everything worth knowing about this process; holds no token."""
        card = self._entry.card
        device, redis, memory = self._model.device, self._caches.redis, self._caches.memory
        counts = self._model.encode_counts
        return {
            "model": {
                "state": self._model.state,
                "version": self.model_version,
                "family": card.family,
                "licence": card.licence,
                "failure": self._model.failure or "none",
                "note": STARTER_NOTE if card.family == "starter" else "",
            },
            "work": {"waiting": device.queue_length, "device_busy_s": round(device.busy_s, 1)},
            "embeddings": {
                "in_memory": len(memory),
                "memory_mb": round(memory.n_bytes / MEGABYTE, 1),
                "redis": "not set" if redis is None else _availability(redis.is_available),
                "from_cache": counts.cached,
                "encoded": counts.encoded,
                "shared": counts.joined,
                "failed": counts.failed,
            },
            "projects": self._connections.projects(),
            "journal": [
                {
                    "at": entry.at.strftime("%Y-%m-%d %H:%M:%S"),
                    "level": entry.level,
                    "subject": entry.subject,
                    "reason": entry.reason,
                }
                for entry in self.journal.entries()
            ],
        }

    def _open(self, request: PredictRequest) -> Reply:
        """No prompts: a task was opened, or predictions of many are asked for.

        Each task is answered with an empty list of predictions. Label Studio stores nothing then
        and asks again the next time, while `"result": []` would be stored as an empty prediction
        (ml/models.py, `_get_predictions_from_ml_backend`).
        """
        if len(request.tasks) == 1:
            task = request.tasks[0]
            try:
                host = self._connections.host(request.project)
                self._opening.warm(task, LabelConfig.parse(request.label_config), host)
            except SamBackendError as error:
                self.journal.error(_subject(request.project, task), str(error))
        return Reply({"results": [[] for _ in request.tasks]})


def _subject(project: str, task: Mapping[str, Any]) -> str:
    return f"project {project or '?'}, task {task.get('id', '?')}"


def _availability(is_available: bool) -> str:
    return "connected" if is_available else "away: memory only"
