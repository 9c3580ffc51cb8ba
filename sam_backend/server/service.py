"""What each of Label Studio's calls does, whatever carries it: our HTTP server or an adapter."""

import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sam_backend.assisted_manual.interactive import Assisted, InteractiveAnswer, InteractiveRequest
from sam_backend.assisted_manual.prefetch import Prefetch
from sam_backend.assisted_manual.task_embeddings import TaskEmbeddings
from sam_backend.errors import (
    DatabaseError,
    InvalidInputError,
    LabelStudioError,
    ModelStoreError,
    SamBackendError,
)
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.event_secret import event_secret
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.webhook_events import START_TRAINING, WebhookEvent
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.labelstudio.prompts.prompt_session import PromptSessions
from sam_backend.monitoring.surveying import Served
from sam_backend.projects.extra_params import ExtraParams
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.sam.promptable import PromptableModel
from sam_backend.server.boards import Boards
from sam_backend.server.event_registrar import EventRegistrar
from sam_backend.server.figures import ServerFigures
from sam_backend.server.journal import Journal, utc_now
from sam_backend.server.metrics import Figures
from sam_backend.server.monitor import Monitor
from sam_backend.server.prefilling import NOT_READY, Prefilling
from sam_backend.server.protocol import PredictRequest, SetupRequest, WebhookRequest
from sam_backend.server.status import Status, StatusReport
from sam_backend.serving.champion import Champion
from sam_backend.serving.champion_watch import ChampionWatch, Refused
from sam_backend.serving.factory import MEGABYTE, Caches, open_caches, serve_champion
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.serving.served_model import ServedModel
from sam_backend.serving.served_models import ProjectChoice, ServedModels
from sam_backend.serving.timing import StageClock
from sam_backend.settings import Settings
from sam_backend.stages.policy import policies
from sam_backend.store.database import Database
from sam_backend.store.jobs import Job
from sam_backend.store.models import ModelStore, open_store
from sam_backend.store.revisions import WEBHOOK, Revisions

log = logging.getLogger(__name__)

_SETTLING = 4
"""Claims of /setup that are settled at once: a server that hangs keeps one of these threads."""


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

    Args:
        settings: The settings of this process.
        caches: Closed with the service.
        store: Where checkpoints and the champion's history are.
        champion: Answers; closed with the service.
        on_event: Told each event of a webhook; must not wait for anything.
        newest_jobs: At most so many, for the status page.
        database: Keeps what was prefilled and what was told; None while there is none.

    Attributes:
        journal: What went wrong lately, with reasons.
        models: The champion, and the models of projects with one of their own.
        monitor: What was answered, and how quickly.
        boards: Boards of the projects.
    """

    def __init__(
        self,
        settings: Settings,
        caches: Caches,
        store: ModelStore,
        champion: Champion,
        on_event: Callable[[WebhookEvent], None] = lambda event: None,
        newest_jobs: Callable[[int], Sequence[Job]] = lambda limit: (),
        database: Callable[[], Database | None] = lambda: None,
    ) -> None:
        self.journal = Journal()
        self._caches = caches
        self._champion = champion
        self._on_event = on_event
        self._choice = ModelChoice(settings, store)
        self._database = database
        self._connections = Connections.of(settings)
        self._settling = ThreadPoolExecutor(_SETTLING, thread_name_prefix="setup")
        user, password = settings.basic_auth_user, settings.basic_auth_password
        self._registrar: EventRegistrar | None = None
        if user is not None and password is not None:
            secret = event_secret(user, password.get_secret_value())
            self._registrar = EventRegistrar(secret, self._connections, self.journal.warn)
        resolver = image_resolver(settings)
        embeddings = TaskEmbeddings(resolver, settings.max_image_pixels)
        self._assisted = Assisted(embeddings, PromptSessions(), settings.all_masks)
        self.models = ServedModels(
            champion,
            self._choice,
            self._connections.model_of,
            settings.models_memory_mb * MEGABYTE,
            self.journal.error,
        )
        self._prefetch = Prefetch(self.models, embeddings, settings.prefetch_tasks)
        self._prefilling = Prefilling(
            settings, self.models, self._connections, resolver, database, self.journal
        )
        self._watch = ChampionWatch(
            self._choice, champion, settings.champion_poll_s, self._tell_refused
        )
        self._report = StatusReport(
            self.models,
            self.project_choices,
            self._watch,
            caches,
            self._connections,
            self.journal,
            store,
            newest_jobs,
        )
        self.monitor = Monitor(lambda: champion.device.busy_s)
        self._store = store
        self.boards = Boards(settings, self._connections, database, self._served)
        self.monitor.registry.register(Figures(self.figures, self.boards))
        self._watch.start()

    @classmethod
    def start(
        cls,
        settings: Settings,
        on_event: Callable[[WebhookEvent], None] = lambda event: None,
        newest_jobs: Callable[[int], Sequence[Job]] = lambda limit: (),
        database: Callable[[], Database | None] = lambda: None,
    ) -> Self:
        """A service whose model loads in the background; see the class for the arguments.

        Raises:
            SamBackendError: A setting cannot be followed.
        """
        # what is wrong is said now, not at the first look at a project
        policies(settings.stages)
        PrefillSettings.given(settings.prefill)
        caches = open_caches(settings)
        store = open_store(settings)
        champion = serve_champion(settings, ModelChoice(settings, store), caches.all)
        return cls(settings, caches, store, champion, on_event, newest_jobs, database)

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
        self._settling.shutdown(wait=False, cancel_futures=True)
        if self._registrar is not None:
            self._registrar.close()
        self._prefetch.close()
        self._prefilling.close()
        self.models.close()
        self._watch.close()
        self._caches.close()

    @property
    def model_version(self) -> str:
        """Of the model that answers new requests; known before it is loaded."""
        return self._champion.model_version

    def wait_until_loaded(self) -> PromptableModel:
        """Wait for the model.

        Raises:
            ModelStoreError: It cannot be loaded.
        """
        with self._champion.lease() as model:
            return model.segmenter()

    def versions(self) -> list[str]:
        """Model versions of all checkpoints that could be served, the served one first."""
        served = self.model_version
        return [served, *(version for version in self._choice.versions() if version != served)]

    def project_choices(self) -> dict[str, ProjectChoice]:
        """What the projects are answered by that name a model, by their names."""
        names = {*self._connections.models()}
        with contextlib.suppress(ModelStoreError):  # the journal has it from the first click
            names |= set(self._choice.own_projects())
        choices = {name: self.models.choice_of(name) for name in sorted(names)}
        return {name: choice for name, choice in choices.items() if choice is not None}

    def project_versions(self) -> dict[str, str]:
        """Model versions that answer the projects that name a model, by their names."""
        return {
            name: choice.checkpoint.model_version
            for name, choice in self.project_choices().items()
            if choice.checkpoint is not None
        }

    def setup(self, message: SetupRequest, caller: str = "", called_as: str = "") -> str:
        """Remember who calls and what it wants; returns the model version that answers it.

        Whether what is said is true is found out in the background: Label Studio waits 3 s, and is
        itself asked.

        Args:
            message: What Label Studio says.
            caller: Network address of whoever says so.
            called_as: The request's Host header; empty if unknown.
        """
        extra = self._extra_params(message)
        model = None if extra is None else extra.model
        try:
            self._connections.remember(
                message.project, message.hostname, message.access_token, caller, model
            )
        except (LabelStudioError, OSError) as error:
            # A data folder that is full or read-only costs the next start, not this one's clicks.
            self.journal.error(f"setup of project {message.project}", str(error))
        is_heeded = self._is_heeded(message)
        if is_heeded and extra is not None:
            self._prefilling.remember(message.project, extra.prefill)
        self._settling.submit(self._settle, message, extra)
        if self._registrar is not None and called_as:
            self._registrar.hint(message.project, called_as)
        # a first /setup is answered by what it names, though it has yet to be settled
        is_first = is_heeded and not self._connections.is_accepted(message.project)
        return self.models.checkpoint_of(message.project, model if is_first else None).model_version

    def predict(self, request: PredictRequest) -> Reply:
        """Masks for prompts; without prompts, a head start for the image that was opened.

        What goes wrong is an empty answer and an entry in the journal: Label Studio would show the
        annotator nothing of an error either.

        Raises:
            InvalidInputError: Prompts come with no task, or with several.
        """
        begun_s = time.perf_counter()
        if request.params.context is None:
            return self._open(request, begun_s)
        if len(request.tasks) != 1:
            raise InvalidInputError(
                f"prompts must come with one task, not with {len(request.tasks)}"
            )
        try:
            with self.models.lease(request.project) as model:
                reply, error = self._answer(model, request)
        except ModelStoreError as failure:  # no model could be had; what it answers never raises
            error = str(failure)
            self.journal.error(_subject(request.project, request.tasks[0]), error)
            version = self.models.checkpoint_of(request.project).model_version
            nothing = {"result": [], "score": InteractiveAnswer().score, "model_version": version}
            reply = Reply({"results": [nothing]})
        self.monitor.answered("click", time.perf_counter() - begun_s, error, reply.clock)
        return reply

    def webhook(self, message: WebhookRequest) -> dict[str, Any]:
        """Write the event down and hand it on; work that it may start is none of this request's.

        Returns:
            `{"status": "ok"}` for what was written; "ignored", with the reason, for an event of no
            project or of one that is not known.

        Raises:
            SamBackendError: It could not be written, or handed on: Label Studio shows the answer to
                START_TRAINING to whoever pressed the button.
        """
        event = message.event()
        host, reason = self._host_of(event)
        if host is None and event.action == START_TRAINING:
            raise InvalidInputError(reason)
        if host is None:  # anybody can make such events up: nothing is kept of them
            return {"status": "ignored", "reason": reason}
        failure: SamBackendError | None = None
        try:
            self._note(host, event, message)
        except SamBackendError as error:
            failure = error  # what only counts masks may go on
        self._on_event(event)
        if failure is not None:
            raise failure
        return {"status": "ok"}

    def readiness(self) -> dict[str, Any]:
        """Whether masks can be made now."""
        model = self._champion.view().served
        return {
            "ready": model.state == "ready",
            "state": model.state,
            "model_version": model.model_version,
        }

    def status(self) -> Status:
        """Return everything worth knowing about this process; it holds no token."""
        return self._report.make()

    def figures(self) -> ServerFigures:
        """Return the status and what was answered lately."""
        return ServerFigures(self.status(), self.monitor.figures())

    def _answer(self, model: ServedModel, request: PredictRequest) -> tuple[Reply, str]:
        """Masks by one model, whatever is promoted meanwhile; and why there are none (or empty)."""
        clock = StageClock()
        task = request.tasks[0]
        subject = _subject(request.project, task)
        answer, failure = InteractiveAnswer(), ""
        try:
            interactive = InteractiveRequest(
                host=self._connections.host(request.project),
                project=request.project,
                task=task,
                config=LabelConfig.parse(request.label_config),
                context=request.params.context or {},
            )
            answer = self._assisted.answer(model, interactive, clock)
        except SamBackendError as error:
            failure = str(error)
        except Exception as error:
            # A foreign error's message may hold data: the journal gets its class, the log the rest.
            log.exception("%s: unexpected error", subject)
            failure = f"internal error {type(error).__name__}, see the log"
        if failure:
            self.journal.error(subject, failure)
        for reason in answer.errors:
            self.journal.error(subject, reason)
        for reason in answer.warnings:
            self.journal.warn(subject, reason)
        log.info("%s: %d regions; %s", subject, len(answer.regions), clock.server_timing())
        prediction = {
            "result": list(answer.regions),
            "score": answer.score,
            "model_version": model.model_version,
        }
        return Reply({"results": [prediction]}, clock), failure or "; ".join(answer.errors)

    def _is_heeded(self, message: SetupRequest) -> bool:
        """Whether a /setup is of the project's Label Studio, or of one that has none yet."""
        return self._connections.heeds(message.project, message.hostname, message.access_token)

    def _extra_params(self, message: SetupRequest) -> ExtraParams | None:
        """What a /setup says of model and prefilling; None, with the reason in the journal."""
        try:
            return ExtraParams.parse(message.extra_params)
        except InvalidInputError as error:
            self.journal.error(f"setup of project {message.project}", str(error))
            return None

    def _settle(self, message: SetupRequest, extra: ExtraParams | None) -> None:
        project = message.project
        try:
            was_heeded = self._is_heeded(message)
            for reason in self._connections.settle(project):
                self.journal.warn(f"setup of project {project}", reason)
            if extra is not None and not was_heeded and self._is_heeded(message):
                self._prefilling.remember(project, extra.prefill)  # it has replaced another
        except Exception:  # the pool would swallow it
            log.exception("setup of project %s", project)

    def _host_of(self, event: WebhookEvent) -> tuple[LabelStudioHost | None, str]:
        """Whose event it is; None, and why, if that is not known."""
        if event.project_id is None:
            return None, f"{event.action} names no project: the webhook must send its payload"
        known = self._connections
        try:  # without a word to Label Studio: it gives an event up after a second
            named = known.host(event.project, may_ask=False) if event.project else None
            return named or known.host_of_number(event.project_id, may_ask=False), ""
        except LabelStudioError as error:
            self.journal.warn(f"project {event.project_id}: {event.action}", str(error))
            return None, str(error)

    def _note(self, host: LabelStudioHost, event: WebhookEvent, message: WebhookRequest) -> None:
        """Write what an event tells into the log of revisions, before it is answered.

        Raises:
            SamBackendError: It cannot be written; the next reading through the API will find it.
        """
        database = self._database()
        if database is None:
            raise DatabaseError("the event is not written: the database is not open, see /status")
        if event.project_id is None:
            return
        revisions = Revisions(database, host.url, event.project_id)
        revisions.add(message.observations(event.key), WEBHOOK, utc_now())

    def _served(self, number: int) -> Served:
        """What answers a project now, whatever else the store holds."""
        checkpoint = self.models.checkpoint_of(self._connections.uid_of_number(number) or "")
        return Served(checkpoint.model_version, self._store.get(checkpoint.card.version))

    def _tell_refused(self, refused: Refused) -> None:
        self.journal.error(
            f"champion {refused.version or '?'}",
            f"it cannot be served, {self.model_version} goes on: {refused.reason}",
        )

    def _open(self, request: PredictRequest, begun_s: float) -> Reply:
        """No prompts: a task was opened, or predictions of many are asked for."""
        if self._prefilling.wants(request):
            results, failure = self._prefilling.answer(request)
            self.monitor.answered("prefill", time.perf_counter() - begun_s, failure)
            return Reply({"results": results})
        failure = ""
        if len(request.tasks) == 1:
            task = request.tasks[0]
            try:
                host = self._connections.host(request.project)
                config = LabelConfig.parse(request.label_config)
                self._prefetch.warm(task, config, host, request.project)
            except SamBackendError as error:
                failure = str(error)
                self.journal.error(_subject(request.project, task), failure)
        self.monitor.answered("open", time.perf_counter() - begun_s, failure)
        return Reply({"results": [NOT_READY for _ in request.tasks]})


def _subject(project: str, task: Mapping[str, Any]) -> str:
    return f"project {project or '?'}, task {task.get('id', '?')}"
