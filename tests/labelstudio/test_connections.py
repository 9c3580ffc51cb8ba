"""Connections survive restarts and processes, keep tokens private and never guess a server."""

import multiprocessing
import stat
from pathlib import Path

import pytest

from sam_backend.errors import LabelStudioError
from sam_backend.labelstudio.connections import Connections

PROJECT = "3.1795442316"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "connections.json"


def test_a_restart_remembers(file: Path) -> None:
    Connections(file).remember(PROJECT, "http://localhost:8080/", "t1")
    host = Connections(file).host(PROJECT)
    assert (host.url, host.token) == ("http://localhost:8080", "t1")


def test_only_the_owner_may_read_the_tokens(file: Path) -> None:
    Connections(file).remember(PROJECT, "http://localhost:8080", "t1")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "t1" not in str(Connections(file).projects())


def test_an_unchanged_setup_writes_nothing(file: Path) -> None:
    connections = Connections(file)
    connections.remember(PROJECT, "http://localhost:8080", "t1")
    before = file.stat().st_mtime_ns
    connections.remember(PROJECT, "http://localhost:8080/", "t1")
    assert file.stat().st_mtime_ns == before


def test_another_process_is_seen_without_a_restart(file: Path) -> None:
    ours, theirs = Connections(file), Connections(file)
    with pytest.raises(LabelStudioError, match="is unknown"):
        ours.host(PROJECT)
    theirs.remember(PROJECT, "http://localhost:8080", "t1")
    assert ours.host(PROJECT).token == "t1"


@pytest.mark.parametrize(
    ("second_url", "second_token", "expected"),
    [
        ("http://new:1", "t1", ("http://new:1", "t1")),  # the server moved
        ("http://old:1", "t2", ("http://old:1", "t2")),  # its token was renewed
    ],
)
def test_a_changed_server_replaces_the_old_one(
    file: Path, second_url: str, second_token: str, expected: tuple[str, str]
) -> None:
    connections = Connections(file)
    connections.remember(PROJECT, "http://old:1", "t1")
    connections.remember(PROJECT, second_url, second_token)
    host = connections.host(PROJECT)
    assert (host.url, host.token) == expected


def test_two_servers_with_one_project_id_are_never_guessed(file: Path) -> None:
    connections = Connections(file)
    connections.remember(PROJECT, "http://one:1", "t1")
    connections.remember(PROJECT, "http://two:1", "t2")
    with pytest.raises(LabelStudioError, match="claimed by http://one:1 and http://two:1"):
        connections.host(PROJECT)


def test_settings_override_what_label_studio_sends(file: Path) -> None:
    connections = Connections(file, url="http://inside:8080", token="own")
    assert connections.host("any").url == "http://inside:8080"
    connections.remember(PROJECT, "http://before:80", "old")
    connections.remember(PROJECT, "http://outside:80", "theirs")
    host = connections.host(PROJECT)
    assert (host.url, host.token) == ("http://inside:8080", "own")
    assert host.public_url == "http://outside:80"


class TestByNumber:
    """Outside of a request a project is known by its number only."""

    def test_its_one_setup_tells(self, file: Path) -> None:
        connections = Connections(file)
        for project, url in ((PROJECT, "http://one:1"), ("33.1", "http://two:1")):
            connections.remember(project, url, "t1")
        host = connections.host_of_number(3)
        assert (host.url, host.token) == ("http://one:1", "t1")

    def test_the_settings_tell_without_a_setup(self, file: Path) -> None:
        host = Connections(file, "http://inside:8080", "own").host_of_number(3)
        assert (host.url, host.token) == ("http://inside:8080", "own")

    def test_the_settings_name_the_server_and_its_setup_the_token(self, file: Path) -> None:
        connections = Connections(file, "http://inside:8080")
        connections.remember(PROJECT, "http://outside:80", "theirs")
        host = connections.host_of_number(3)
        assert (host.url, host.token) == ("http://inside:8080", "theirs")
        assert host.public_url == "http://outside:80"

    @pytest.mark.parametrize(
        ("url", "setups", "message"),
        [
            (None, [], "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or connect"),
            (None, [("33.1", "http://one:1")], "project 3 is unknown"),
            ("http://inside:8080", [], "no token .* set LABEL_STUDIO_API_KEY"),
            (
                None,
                [("3.1", "http://one:1"), ("3.2", "http://two:1")],
                "at http://one:1 and http://two:1: set LABEL_STUDIO_URL",
            ),
        ],
    )
    def test_what_to_set_is_said(
        self, file: Path, url: str | None, setups: list[tuple[str, str]], message: str
    ) -> None:
        connections = Connections(file, url)
        for project, address in setups:
            connections.remember(project, address, "t1")
        with pytest.raises(LabelStudioError, match=message):
            connections.host_of_number(3)


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x"])
def test_an_address_that_is_none_is_refused(file: Path, url: str) -> None:
    with pytest.raises(LabelStudioError):
        Connections(file).remember(PROJECT, url, "t1")
    assert not file.exists()


@pytest.mark.parametrize("damage", ["{half", "[1]", '{"a": 1}', "\0"])
def test_a_damaged_file_is_written_anew(file: Path, damage: str) -> None:
    connections = Connections(file)
    connections.remember(PROJECT, "http://one:1", "t1")
    file.write_text(damage)
    with pytest.raises(LabelStudioError, match="is unknown"):
        connections.host(PROJECT)
    connections.remember(PROJECT, "http://one:1", "t1")
    assert Connections(file).host(PROJECT).token == "t1"


def _remember_many(file: Path, worker: int) -> None:
    connections = Connections(file)
    for number in range(20):
        connections.remember(f"{worker}.{number}", f"http://host{worker}:{number + 1}", "t")


def test_processes_lose_no_entry_of_each_other(file: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_remember_many, args=(file, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(Connections(file).projects()) == 80
