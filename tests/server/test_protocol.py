"""Request bodies: what is read, and how a bad one is named without repeating it."""

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.server.protocol import PredictRequest, SetupRequest, WebhookRequest, parse


def test_setup_reads_nulls_as_empty() -> None:
    body = b'{"project": "1.5", "schema": null, "hostname": null, "access_token": null}'
    message = parse(SetupRequest, body)
    assert (message.project, message.label_config, message.hostname) == ("1.5", "", "")


def test_the_token_is_not_in_the_representation() -> None:
    message = parse(SetupRequest, b'{"project": "1.5", "access_token": "s3cret"}')
    assert "s3cret" not in repr(message)


@pytest.mark.parametrize("params", ["", ', "params": null', ', "params": {"context": null}'])
def test_a_batch_has_no_context(params: str) -> None:
    request = parse(PredictRequest, f'{{"tasks": [{{"id": 1}}]{params}}}'.encode())
    assert request.params.context is None
    assert request.tasks == [{"id": 1}]


@pytest.mark.parametrize(
    ("model", "body", "names"),
    [
        (PredictRequest, b"{secret", "body: Invalid JSON"),
        (PredictRequest, b"", "body: Invalid JSON"),
        (PredictRequest, b"[]", "body: "),
        (PredictRequest, b'{"tasks": "secret"}', "tasks: "),
        (PredictRequest, b'{"tasks": ["secret"]}', "tasks.0: "),
        (PredictRequest, b'{"tasks": [], "params": "secret"}', "params: "),
        (SetupRequest, b"{}", "project: "),
        (SetupRequest, b'{"project": ""}', "project: "),
        (WebhookRequest, b'{"action": 3}', "action: "),
    ],
)
def test_bad_bodies_are_named(model: type, body: bytes, names: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        parse(model, body)
    assert str(error.value).startswith(names)
    assert "secret" not in str(error.value)
