"""Requests for predictions without prompts: answered by stage 2, in Label Studio's order."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.projects.project import Project
from sam_backend.projects.tasks import task_id
from sam_backend.semi_automatic.factory import PrefillChoice, params_of_project
from sam_backend.semi_automatic.online import Asked, AskedAnswer, AskedPredictions
from sam_backend.semi_automatic.prefill_log import ledger_row
from sam_backend.semi_automatic.task_prefill import Prefilled
from sam_backend.semi_automatic.writeback import TaskUpdate, TaskWriter
from sam_backend.server.journal import Journal
from sam_backend.server.protocol import PredictRequest
from sam_backend.serving.served_models import ServedModels
from sam_backend.settings import Settings
from sam_backend.stages.policy import StagePolicy
from sam_backend.stages.policy_resolution import policy_of, prefills, staged_params
from sam_backend.store.database import Database
from sam_backend.store.prefills import Prefills

log = logging.getLogger(__name__)

NOT_READY: list[Any] = []
"""An empty list of predictions: Label Studio stores nothing and asks again the next time, while an
empty prediction would be stored (ml/models.py, `_get_predictions_from_ml_backend`)."""

_PARAMS_S = 60.0


class Prefilling:
    """Stage 2 as the server runs it. Safe under threads; close it.

    Args:
        settings: When, and for how long a request may wait.
        models: Whose masks they are.
        connections: Which Label Studio a project is of.
        resolver: Fetches images.
        database: Where proposals and the ledger are kept; called for each request, None while
            there is none.
        journal: Gets the reasons of what goes wrong.
    """

    def __init__(
        self,
        settings: Settings,
        models: ServedModels,
        connections: Connections,
        resolver: ImageResolver,
        database: Callable[[], Database | None],
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._connections = connections
        self._database = database
        self._journal = journal
        self._params: dict[str, dict[str, Any]] = {}
        # tasks that were answered with nothing yet, and those of them that have been done since
        self._late: set[tuple[str, int | None]] = set()
        self._ready: set[tuple[str, int | None]] = set()
        self._task_writer = TaskWriter(journal.error)
        self._asked = AskedPredictions(
            models, lambda: PrefillChoice(settings, database(), resolver), self._record
        )

    def remember(self, project: str, params: dict[str, Any]) -> None:
        """Keep what /setup said about prefilling a project."""
        self._params[project] = params

    def wants(self, request: PredictRequest) -> bool:
        """Whether the tasks of a request without prompts are to be prefilled now."""
        when = self._settings.prefill_when
        if when == "batch" and len(request.tasks) == 1:
            is_wanted = any(self._is_ready(request, task) for task in request.tasks)
        else:
            is_wanted = when != "never"
        is_told = "prefill_when" in self._settings.model_fields_set and when == "always"
        return is_wanted and (is_told or self._is_for_prefilling(request))

    def answer(self, request: PredictRequest) -> tuple[list[Any], str]:
        """One prediction, or `NOT_READY`, for each task, in order; and what went wrong, or empty.

        What goes on in the background has not gone wrong.
        """
        subject = f"project {request.project or '?'}, {len(request.tasks)} tasks"
        try:
            answer = self._asked.answer(self._read(request), self._settings.prefill_budget_s)
        except SamBackendError as error:
            self._journal.error(subject, str(error))
            return [NOT_READY for _ in request.tasks], str(error)
        results = [
            self._result(request, task, place, answer) for place, task in enumerate(request.tasks)
        ]
        if answer.n_waiting:
            self._journal.warn(
                subject,
                f"{answer.n_waiting} were not ready within {self._settings.prefill_budget_s:g} s "
                "and go on in the background: ask again for them",
            )
        log.info("%s: %d predictions", subject, sum(result != NOT_READY for result in results))
        return results, next(iter(answer.reasons.values()), "")

    @property
    def n_running(self) -> int:
        """Tasks that are worked on, or wait for it."""
        return self._asked.n_running

    def close(self) -> None:
        """Drop what has not begun."""
        self._asked.close()
        self._task_writer.close()

    def _is_ready(self, request: PredictRequest, task: Mapping[str, Any]) -> bool:
        """Whether an earlier request has had the task prefilled, only too late for its answer."""
        return (request.project, task_id(task)) in self._ready

    def _read(self, request: PredictRequest) -> Asked:
        host = self._connections.host(request.project)
        number = request.project.partition(".")[0]
        if not number.isdecimal():
            raise InvalidInputError(f"a project is named '<id>.<created>', not {request.project!r}")
        config = LabelConfig.parse(request.label_config)
        return Asked(
            host=host,
            project=request.project,
            project_id=int(number),
            tasks=request.tasks,
            config=config,
            params=staged_params(
                self._settings, self._policy(host, int(number)), self._params_of(request, host)
            ),
        )

    def _is_for_prefilling(self, request: PredictRequest) -> bool:
        """Whether the project's stage has its tasks prefilled."""
        number = request.project.partition(".")[0]
        if not number.isdecimal():
            return True  # reading the request says what is wrong with it
        try:
            host = self._connections.host(request.project)
            policy = self._policy(host, int(number))
            if prefills(self._settings, policy, {}):
                return True
            return prefills(self._settings, policy, self._params_of(request, host))
        except SamBackendError as error:
            self._journal.error(f"project {request.project}", str(error))
            return True

    def _params_of(self, request: PredictRequest, host: LabelStudioHost) -> Mapping[str, Any]:
        """What the project says about prefilling; asked for where another process was told."""
        if request.project not in self._params:
            number = int(request.project.partition(".")[0])
            with LabelStudioClient(host, _PARAMS_S) as client:
                self._params[request.project] = params_of_project(client, number)
        return self._params[request.project]

    def _policy(self, host: LabelStudioHost, project: int) -> StagePolicy | None:
        database = self._database()
        if database is None:
            return None
        return policy_of(Project(self._settings, database, host, project))

    def _result(
        self, request: PredictRequest, task: Mapping[str, Any], place: int, answer: AskedAnswer
    ) -> Any:
        prefilled, known = answer.prefilled[place], (request.project, task_id(task))
        self._ready.discard(known)
        if prefilled is None:
            self._late.add(known)
        reason = answer.reasons.get(place) if prefilled is None else prefilled.reason
        if reason is not None:
            self._journal.error(f"project {request.project}, task {task.get('id', '?')}", reason)
        if prefilled is None or prefilled.asks_again:
            return NOT_READY
        return prefilled.prediction(answer.model_version)

    def _record(
        self,
        asked: Asked,
        task: Mapping[str, Any],
        prefilled: Prefilled,
        version: str,
        fingerprint: str,
    ) -> None:
        number = task_id(task)
        if number is None:
            return
        if (asked.project, number) in self._late:
            self._late.discard((asked.project, number))
            self._ready.add((asked.project, number))
        self._task_writer.put(
            TaskUpdate.of(asked.host, asked.project_id, number, prefilled, version)
        )
        database = self._database()
        if database is not None:
            row = ledger_row(asked.host, asked.project_id, number, prefilled, version, fingerprint)
            Prefills(database).put([row])
