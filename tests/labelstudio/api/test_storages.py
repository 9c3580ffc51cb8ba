"""Where source storages are."""

import pytest

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.api.storages import storage_address
from tests.canned_server import canned_server


def address_of(name: str, answer: object) -> str:
    """What a Label Studio that gives one answer for this storage makes of its name."""
    with (
        canned_server({f"GET /api/storages/{name}": (200, answer)}) as server,
        LabelStudioClient(LabelStudioHost(server.url, "token")) as client,
    ):
        return storage_address(client, name)


@pytest.mark.parametrize(
    ("name", "answer", "address"),
    [
        ("s3/3", {"bucket": "b", "prefix": "x/y/"}, "s3://b/x/y"),
        ("s3/3", {"bucket": "b", "prefix": None}, "s3://b"),
        ("gcs/3", {"bucket": "b", "prefix": ""}, "gs://b"),
        ("azure/3", {"container": "c", "prefix": "p"}, "az://c/p"),
        ("localfiles/3", {"path": "/files/photos"}, "/files/photos"),
    ],
)
def test_addresses(name: str, answer: object, address: str) -> None:
    assert address_of(name, answer) == address


@pytest.mark.parametrize("name", ["redis/3", "s3", "s3/x", ""])
def test_malformed_names(name: str) -> None:
    with pytest.raises(InvalidInputError, match="a storage is written <kind>/<number>"):
        address_of(name, {})


def test_answers_without_a_bucket() -> None:
    with pytest.raises(LabelStudioError, match="names no bucket"):
        address_of("s3/3", {"title": "x"})
