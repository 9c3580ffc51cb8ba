"""How long work tells how far it is where nobody sees a bar."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from sam_backend.cli import progress_bar as bars
from sam_backend.cli.progress_bar import lines_beside, progress_bar
from sam_backend.progress import Progress


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every 20 ms instead of every 30 s."""
    assert bars.LINE_S == 30
    monkeypatch.setattr(bars, "LINE_S", 0.02)


@pytest.mark.usefixtures("often")
def test_a_pipe_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        told = wait_for_line(capsys)
        assert told == "starting"
        show(Progress("finding masks", 3, 12, masks=40, eta_s=75))
        while (told := wait_for_line(capsys)) == "starting":
            pass
        assert told == "finding masks: 3/12 · 40 masks · 1:15 left"
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == "", "nothing comes after the end"


@pytest.mark.usefixtures("often")
def test_a_terminal_has_its_bar_alone() -> None:
    out = io.StringIO()
    with lines_beside(Console(file=out, force_terminal=True), lambda: "a line"):
        time.sleep(0.1)
    assert out.getvalue() == ""


def wait_for_line(capsys: pytest.CaptureFixture[str]) -> str:
    deadline = time.monotonic() + 60
    while not (told := capsys.readouterr().err):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return told.splitlines()[-1]


def test_what_a_job_keeps_is_shown_again() -> None:
    told = Progress("training", 3, 12, elapsed_s=1.5, loss=0.123456)
    kept = told.as_json()
    assert kept == {"stage": "training", "done": 3, "of": 12, "elapsed_s": 1.5, "loss": 0.1235}
    assert Progress.of_json(kept | {"unknown": 1}) == replace(told, loss=0.1235)
    assert Progress.of_json({}) is None, "a job that has just begun has told nothing"
