"""Settings come from the environment, under our names and those of Label Studio's backends."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from sam_backend.settings import Settings


@pytest.fixture(autouse=True)
def _no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("variable", "field", "value"),
    [
        ("SAM_BACKEND_PORT", "port", 9999),
        ("SAM_BACKEND_MODEL", "model", "vit_b-01ec64"),
        ("SAM_BACKEND_ALL_MASKS", "all_masks", True),
        ("LABEL_STUDIO_URL", "label_studio_url", "http://ls:8080"),
        ("SAM_BACKEND_LABEL_STUDIO_URL", "label_studio_url", "http://ls:8080"),
    ],
)
def test_variables(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, str(value))
    assert getattr(Settings(), field) == value


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://ls:8080")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "t0ken")
    monkeypatch.setenv("REDIS_URL", "redis://:passw0rd@host")
    monkeypatch.setenv("SAM_BACKEND_DATABASE_URL", "postgresql://sam:passw0rd@host/sam")
    settings = Settings()
    assert settings.database_url is not None
    assert settings.label_studio_api_key is not None
    assert settings.label_studio_api_key.get_secret_value() == "t0ken"
    assert "t0ken" not in repr(settings)
    assert "passw0rd" not in repr(settings)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY", "REDIS_URL", "SAM_BACKEND_PORT"):
        monkeypatch.setenv(name, "")
    settings = Settings()
    assert (settings.label_studio_url, settings.redis_url, settings.port) == (None, None, 9090)


def test_a_file_serves_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SAM_BACKEND_PORT=9191\n")
    assert Settings().port == 9191


@pytest.mark.parametrize(
    ("field", "value"), [("port", 70000), ("max_image_megapixels", 500), ("cache_memory_mb", -1)]
)
def test_out_of_range(field: str, value: int) -> None:
    with pytest.raises(ValidationError, match=field):
        Settings(**{field: value})


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"basic_auth_user": "ann"}, "_PASSWORD"),
        ({"basic_auth_password": "s3cret"}, "SAM_BACKEND_BASIC_AUTH_USER"),
        ({"label_studio_api_key": "s3cret"}, "LABEL_STUDIO_URL"),
    ],
)
def test_half_of_a_pair_is_refused(given: dict[str, str], missing: str) -> None:
    with pytest.raises(ValidationError, match=missing) as refused:
        Settings(**given)
    assert "s3cret" not in str(refused.value.errors(include_input=False))
