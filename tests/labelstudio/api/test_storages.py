"""Where source storages are."""

import pytest

from sam_backend.errors import InvalidInputError, LabelStudioError
from sam_backend.labelstudio.api.storages import storage_address


class Told:
    """A Label Studio that answers one thing."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def answer(self, method: str, path: str) -> object:
        assert (method, path.rpartition("/")[2]) == ("GET", "3")
        return self._answer


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
    assert storage_address(Told(answer), name) == address  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["redis/3", "s3", "s3/x", ""])
def test_malformed_names(name: str) -> None:
    with pytest.raises(InvalidInputError, match="a storage is written <kind>/<number>"):
        storage_address(Told({}), name)  # type: ignore[arg-type]


def test_answers_without_a_bucket() -> None:
    with pytest.raises(LabelStudioError, match="names no bucket"):
        storage_address(Told({"title": "x"}), "s3/3")  # type: ignore[arg-type]
