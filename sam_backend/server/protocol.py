"""The wire format of Label Studio's ML-backend calls (see label_studio/ml/api_connector.py)."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sam_backend.errors import InvalidInputError

M = TypeVar("M", bound=BaseModel)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class SetupRequest(_Message):
    """POST /setup: who calls, and with which labelling configuration."""

    project: str = Field(min_length=1, description='"<id>.<created>"')
    label_config: str = Field("", alias="schema")
    hostname: str = ""
    access_token: str = Field("", repr=False)

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


class WebhookRequest(_Message):
    """POST /webhook: an event of the project."""

    action: str = Field(min_length=1)


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
