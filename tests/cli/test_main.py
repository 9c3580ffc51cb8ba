"""Errors of ours become one line and an exit code, word for word."""

import sys

import pytest
import typer

from sam_backend.cli import main
from sam_backend.errors import InvalidInputError, ModelStoreError, SamBackendError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ModelStoreError("pip install 'sam-backend[demo]'"), 1),
        (InvalidInputError("cannot read [/x].pth"), 2),
    ],
)
def test_an_error_is_said_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: SamBackendError,
    code: int,
) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["sam-backend"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code
    said = capsys.readouterr()
    assert said.err == f"error: {error}\n"
    assert said.out == ""


def test_help_shows_every_command_with_its_stage() -> None:
    shown = [*main.app.registered_commands, *main.app.registered_groups]
    assert len(shown) > 19
    for command in shown:
        assert str(command.rich_help_panel).startswith(("Stage ", "All stages: ")), command.name
