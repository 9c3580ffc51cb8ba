"""The demo offers a better model where somebody can answer and it can be had; else it is silent."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from sam_backend.cli.demo_model import has_better, offer_better
from sam_backend.store.models import ModelStore
from tests.store.file_server import FileServer, public, serving


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


def offered(
    monkeypatch: pytest.MonkeyPatch, folder: Path, server: FileServer, stdin: io.StringIO
) -> tuple[ModelStore, str]:
    """The store after the offer, and what was printed beside the question."""
    monkeypatch.setattr("sys.stdin", stdin)
    known = public(server.url, server.body)
    store = ModelStore([folder], known)
    printed = io.StringIO()
    offer_better(store, Console(file=printed, width=200), known["tiny"])
    return store, printed.getvalue()


def test_yes_brings_it_and_it_is_not_offered_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(b"weights") as server:
        store, printed = offered(monkeypatch, tmp_path, server, Terminal("y\n"))
        assert "makes better masks" in printed
        assert has_better(store, public(server.url, server.body)["tiny"])
        asked = len(server.requested)
        _, printed = offered(monkeypatch, tmp_path, server, Terminal("y\n"))
        assert (printed, len(server.requested)) == ("", asked)


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_no_or_no_answer_leaves_the_starter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str
) -> None:
    with serving(b"weights") as server:
        store, _ = offered(monkeypatch, tmp_path, server, Terminal(typed))
        assert store.list() == []


def test_a_pipe_is_not_asked_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(b"weights") as server:
        store, printed = offered(monkeypatch, tmp_path, server, io.StringIO("y\n"))
        assert (store.list(), printed, server.requested) == ([], "", [])


def test_without_a_network_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server = FileServer(b"weights")
    server.url = "http://127.0.0.1:9/weights.pth"
    assert offered(monkeypatch, tmp_path, server, Terminal("y\n"))[1] == ""


def test_a_download_that_fails_says_why_and_the_demo_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving(b"weights") as server:
        server.statuses = [200, 404]
        _, printed = offered(monkeypatch, tmp_path, server, Terminal("y\n"))
        assert "The starter goes on: cannot download" in printed
