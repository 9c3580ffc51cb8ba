"""The wire format of Label Studio's ML-backend calls (see label_studio/ml/api_connector.py)."""

import uuid
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.webhook_events import WebhookEvent, event_key
from sam_backend.store.revisions import Observation
from sam_backend.versions.observations import webhook_observations

M = TypeVar("M", bound=BaseModel)

_MAX_ID = 2**63 - 1  # of a database's largest whole number


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SetupRequest(_Message):
    """POST /setup: who calls, and with which labelling configuration."""

    project: str = Field(min_length=1, max_length=64, description='"<id>.<created>"')
    label_config: str = Field("", alias="schema")
    hostname: str = Field("", max_length=2048)
    access_token: str = Field("", max_length=4096, repr=False)
    extra_params: Any = Field(None, repr=False)

    @field_validator("hostname", "access_token", "label_config", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return "" if value is None else value


class PredictParams(_Message):
    """`params` of /predict; `context` is null for batches and for a task that is opened."""

    context: dict[str, Any] | None = None


class PredictRequest(_Message):
    """POST /predict: one task with prompts, or any number of tasks without."""

    tasks: list[dict[str, Any]]
    project: str = ""
    label_config: str = ""
    params: PredictParams = Field(default_factory=PredictParams)

    @field_validator("project", "label_config", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @field_validator("params", mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        return {} if value is None else value


class _Thing(_Message):
    """Anything with a number that an event is about; deleted ones have nothing else."""

    model_config = ConfigDict(extra="allow")

    id: int = Field(ge=0, le=_MAX_ID)
    updated_at: str = Field("", max_length=64)

    @field_validator("updated_at", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object) -> object:
        return "" if value is None else value

    @property
    def told(self) -> dict[str, Any]:
        """All that the event tells of it."""
        return {**(self.model_extra or {}), "id": self.id, "updated_at": self.updated_at}


class _Project(_Thing):
    id: int = Field(ge=1, le=2**31 - 1)  # Label Studio's own column
    created_at: AwareDatetime | None = None

    @property
    def uid(self) -> str:
        """The project as /setup and /predict name it (ml/api_connector.py, _create_project_uid)."""
        made: datetime | None = self.created_at
        return "" if made is None else f"{self.id}.{int(made.timestamp())}"


def _as_list(value: object) -> object:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


# One event names its annotation, another one under the same name a list of them.
_Things = Annotated[list[_Thing], BeforeValidator(_as_list)]


class WebhookRequest(_Message):
    """POST /webhook: an event of a project (webhooks/models.py, `WebhookAction.ACTIONS`)."""

    action: str = Field(min_length=1, max_length=64, pattern="^[A-Z_]+$")
    project: _Project | None = None
    annotation: _Things = Field(default_factory=list)
    annotations: _Things = Field(default_factory=list)
    task: _Things = Field(default_factory=list)
    tasks: _Things = Field(default_factory=list)

    def event(self) -> WebhookEvent:
        """The event; one that nothing tells from the next gets a key of its own."""
        annotations, tasks = self.annotation + self.annotations, self.task + self.tasks
        uid = "" if self.project is None else self.project.uid
        about = annotations or tasks
        if not about and self.project is not None and self.action.startswith("PROJECT_"):
            about = [self.project]
        states = [(thing.id, thing.updated_at) for thing in about]
        return WebhookEvent(
            action=self.action,
            project_id=None if self.project is None else self.project.id,
            key=event_key(self.action, uid, states) or uuid.uuid4().hex,
            annotation_id=annotations[0].id if len(annotations) == 1 else None,
            task_id=tasks[0].id if len(tasks) == 1 else None,
            project=uid,
        )

    def observations(self, key: str) -> list[Observation]:
        """The states that the event tells, for the log of revisions; `key` is the event's."""
        return webhook_observations(
            self.action,
            key,
            None if self.project is None else self.project.told,
            [one.told for one in self.annotation + self.annotations],
            [one.told for one in self.task + self.tasks],
        )


def parse(model: type[M], body: bytes) -> M:
    """Read a request body.

    Raises:
        InvalidInputError: The body is not JSON or lacks a field; the message names the place and
            never repeats the body.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise InvalidInputError(f"{place}: {first['msg']}") from None
