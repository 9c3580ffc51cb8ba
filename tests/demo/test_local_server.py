"""The account and the environment of a private Label Studio; tests/e2e starts it for real."""

import stat
from pathlib import Path

import pytest

from sam_backend.demo.local_server import (
    LABEL_STUDIO_VERSION,
    Account,
    LocalLabelStudio,
    ensure_label_studio_env,
)
from sam_backend.errors import LabelStudioError


def test_an_account_is_made_once_and_read_only_by_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = Account.of(folder)
    assert Account.of(folder) == first
    assert stat.S_IMODE((folder / "account.json").stat().st_mode) == 0o600
    assert len(first.token) == 40
    assert first.password not in repr(first)
    assert first.token not in repr(first)
    assert Account.of(tmp_path / "other").token != first.token


def test_secrets_are_not_among_the_arguments(tmp_path: Path) -> None:
    server = LocalLabelStudio(Path("label-studio"), tmp_path, port=8123)
    arguments = " ".join(server.process._command)
    assert server.account.token not in arguments
    assert server.account.password not in arguments
    assert "--internal-host 127.0.0.1 --port 8123" in arguments
    assert server.url == "http://localhost:8123"


def test_a_finished_environment_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "label-studio"
    program.touch()
    (tmp_path / f".label-studio-{LABEL_STUDIO_VERSION}").touch()
    lines: list[str] = []
    assert ensure_label_studio_env(tmp_path, lines.append) == program
    assert lines == []


def test_a_failed_install_leaves_no_stamp_and_shows_why(tmp_path: Path) -> None:
    """The environment's Python is one that fails, as pip does without a registry."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").touch()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho no registry here\nexit 7\n")
    python.chmod(0o755)
    lines: list[str] = []
    with pytest.raises(LabelStudioError, match=r"failed \(7\)(.|\n)*no registry here"):
        ensure_label_studio_env(tmp_path, lines.append)
    assert lines == ["no registry here"]
    assert not list(tmp_path.glob(".label-studio-*"))
