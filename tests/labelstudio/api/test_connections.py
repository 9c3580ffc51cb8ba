"""Connections survive restarts and processes, keep tokens private and never guess a server."""

import ipaddress
import json
import multiprocessing
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sam_backend.errors import ImageFetchError, LabelStudioError
from sam_backend.labelstudio.api import claims
from sam_backend.labelstudio.api import connections as module
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.labelstudio.images.resolver import ImageResolver
from tests.canned_server import Canned, CannedServer, Request, Routes, canned_server

PROJECT = "3.1795442316"


def routes(token: str, made: int = 1795442316) -> Routes:
    """What a Label Studio with the project answers to this token, and to others."""
    moment = datetime.fromtimestamp(made, UTC).isoformat()

    def project(request: Request) -> Canned:
        if request.authorization != f"Token {token}":
            return 401, {"detail": "Invalid token."}
        return 200, {"id": 3, "created_at": moment}

    return {"GET /api/projects/3/": project}


def label_studio(token: str, made: int = 1795442316) -> AbstractContextManager[CannedServer]:
    """A server that plays the one call that proves whose project it is."""
    return canned_server(routes(token, made))


@contextmanager
def endless_server() -> Iterator[str]:
    """A server that sends a byte now and then, and never ends its answer; yields its address."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=drip, args=(connection,), daemon=True).start()

    def drip(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            while not ended.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()


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


class TestClaims:
    """Whoever reaches the port can send a /setup: what it says is proven before it counts."""

    def test_a_label_studio_on_this_machine_proves_itself(self, file: Path) -> None:
        """What a person has who configured nothing."""
        with label_studio("t1") as studio:
            connections = Connections(file)
            connections.remember(PROJECT, studio.url, "t1", "127.0.0.1")
            assert connections.settle(PROJECT) == []
            assert connections.host(PROJECT).refusal == ""
            assert Connections(file).host(PROJECT).token == "t1"
            assert len(studio.requests) == 1, "a proof is kept"

    def test_a_server_that_is_no_label_studio_is_asked_once_and_never_fetched_from(
        self, file: Path
    ) -> None:
        secret = {"GET /api/projects/3/": (200, {"secret": "s3cret"}), "GET /a.png": (200, b"s3")}
        with canned_server(secret) as inside:
            connections = Connections(file)
            connections.remember(PROJECT, inside.url, "t1", "127.0.0.1")
            (reason,) = connections.settle(PROJECT)
            assert "127.0.0.1, no public address, and is not the Label Studio that has" in reason
            assert "SAM_BACKEND_LABEL_STUDIO_HOSTS=127.0.0.1" in reason
            assert "LABEL_STUDIO_URL" in reason
            host = connections.host(PROJECT)
            assert host.refusal == reason
            with pytest.raises(LabelStudioError, match="no public address"):
                LabelStudioClient(host).project(3)
            for value in ("/a.png", f"{inside.url}/a.png"):
                with pytest.raises(ImageFetchError, match="no public address"):
                    ImageResolver().fetch(value, host)
            assert [request.call for request in inside.requests] == ["GET /api/projects/3/"]
            assert "s3" not in reason.replace("is not", "")

    def test_a_refused_token_is_named(self, file: Path) -> None:
        """Label Studio's default: the token that it sends opens nothing."""
        with label_studio("another") as studio:
            connections = Connections(file)
            connections.remember(PROJECT, studio.url, "t1")
            (reason,) = connections.settle(PROJECT)
            assert "legacy tokens are off by default" in reason
            studio.routes = routes("t1")  # somebody switches them on and opens the page again
            connections.remember(PROJECT, studio.url, "t1")
            assert connections.host(PROJECT).refusal == ""

    def test_strangers_from_outside_name_nothing_inside(self, file: Path) -> None:
        with label_studio("t1") as studio:
            connections = Connections(file)
            connections.remember(PROJECT, studio.url, "t1", "93.184.215.14")
            (reason,) = connections.settle(PROJECT)
            assert "named from outside, by 93.184.215.14" in reason
            assert studio.requests == []

    @pytest.mark.parametrize("url", ["http://169.254.169.254", "http://[::1]:1", "http://10.0.0.1"])
    def test_public_addresses_and_allowed_ones_need_no_proof(self, file: Path, url: str) -> None:
        for allowed in ("*", "169.254.169.254,::1:1,10.*"):
            connections = Connections(file, allowed=allowed.split(","))
            connections.remember(PROJECT, url, "t1")
            assert connections.settle(PROJECT) == []
            assert connections.host(PROJECT).url == url
            file.unlink()
        public = Connections(file)
        public.remember(PROJECT, "https://93.184.215.14", "t1", "8.8.8.8")
        assert public.settle(PROJECT) == []
        assert public.host(PROJECT).refusal == ""

    def test_a_name_that_was_public_leads_nowhere_inside_later(self, file: Path) -> None:
        """DNS rebinding: its owner answers another address once the claim is accepted."""
        Connections(file).remember(PROJECT, "http://93.184.215.14:8080", "t1", "8.8.8.8")
        host = Connections(file).host(PROJECT)
        inside = ImageResolver(resolver=lambda *_: [ipaddress.ip_address("127.0.0.1")])
        with pytest.raises(ImageFetchError, match="not a public address"):
            inside.fetch("/a.png", host)

    def test_a_claim_that_comes_while_others_are_settled_is_not_believed(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle = Connections.settle

        def settle_late(self: Connections, project: str) -> list[str]:
            reasons = settle(self, project)
            self.remember(project, "http://127.0.0.1:1", "t2")
            return reasons

        monkeypatch.setattr(Connections, "settle", settle_late)
        with label_studio("another") as studio:
            connections = Connections(file)
            connections.remember(PROJECT, studio.url, "t1")
            host = connections.host(PROJECT)
            assert host.url == "http://127.0.0.1:1"
            assert "has to prove itself first" in host.refusal

    def test_a_decision_stands_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("a file where the folder should be")
        with label_studio("another") as studio:
            connections = Connections(tmp_path / "data" / "connections.json")
            with pytest.raises(OSError, match=r"exists|directory"):
                connections.remember(PROJECT, studio.url, "t1")
            for _ in range(2):
                assert "legacy tokens are off" in connections.host(PROJECT).refusal
            assert len(studio.requests) == 1, "nobody is asked at each click"

    def test_who_answers_without_end_is_not_waited_for(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claims, "_PROOF_S", 0.5)
        claims._fetcher.cache_clear()
        with endless_server() as url:
            connections = Connections(file)
            connections.remember(PROJECT, url, "t1")
            began = time.monotonic()
            (reason,) = connections.settle(PROJECT)
            assert "does not answer as a Label Studio" in reason
            assert time.monotonic() - began < 10
        claims._fetcher.cache_clear()

    def test_a_wrong_setup_does_not_take_a_known_project(self, file: Path) -> None:
        with label_studio("t1") as studio, label_studio("t2", made=1) as stranger:
            connections = Connections(file, allowed=["*"])
            connections.remember(PROJECT, studio.url, "t1")
            for url, token in (
                (stranger.url, "t2"),  # has no such project
                (studio.url, "forged"),
                *((f"http://127.0.0.1:{port}", "x") for port in range(2, 12)),
            ):
                connections.remember(PROJECT, url, token)
                assert connections.host(PROJECT).url == studio.url
                (reason,) = connections.settle(PROJECT)
                assert f"is of {studio.url}; another /setup is not heeded" in reason
            assert (connections.host(PROJECT).token, connections.settle(PROJECT)) == ("t1", [])
            assert len(json.loads(file.read_text())[PROJECT]) <= 4

    def test_a_renewed_token_and_a_moved_server_prove_themselves(self, file: Path) -> None:
        connections = Connections(file, allowed=["*"])
        with label_studio("t1") as studio:
            connections.remember(PROJECT, studio.url, "t1")
            studio.routes = routes("t2")
            connections.remember(PROJECT, studio.url, "t2")
            assert connections.settle(PROJECT) == []
            assert connections.host(PROJECT).token == "t2"
            with label_studio("t2") as moved:
                connections.remember(PROJECT, moved.url, "t2")
                assert connections.settle(PROJECT) == []
                assert connections.host(PROJECT).url == moved.url
        with label_studio("t3") as elsewhere:  # the one before is gone
            connections.remember(PROJECT, elsewhere.url, "t3")
            assert connections.settle(PROJECT) == []
            assert connections.host(PROJECT).url == elsewhere.url

    def test_another_server_needs_permission_while_the_known_one_is_away(self, file: Path) -> None:
        """Else whoever waits for its restart has the project, and can prove anything."""
        connections = Connections(file)
        with label_studio("t1") as studio:
            connections.remember(PROJECT, studio.url, "t1")
            assert connections.settle(PROJECT) == []
        with label_studio("t2") as stranger:
            connections.remember(PROJECT, stranger.url, "t2")
            (reason,) = connections.settle(PROJECT)
            assert "does not answer as a Label Studio" in reason
            assert "if it moved" in reason
            assert "SAM_BACKEND_LABEL_STUDIO_HOSTS=127.0.0.1" in reason
            assert connections.host(PROJECT).url == studio.url
            assert not connections.heeds(PROJECT, stranger.url, "t2")

    def test_two_servers_with_one_project_id_are_never_mixed(self, file: Path) -> None:
        with label_studio("t1") as one, label_studio("t2") as two:
            connections = Connections(file, allowed=["*"])
            connections.remember(PROJECT, one.url, "t1")
            connections.remember(PROJECT, two.url, "t2")
            (reason,) = connections.settle(PROJECT)
            assert f"is of {one.url}, and {two.url} has one of the same name" in reason
            assert connections.host(PROJECT).url == one.url

    def test_a_forged_token_does_not_shut_out_the_configured_label_studio(self, file: Path) -> None:
        with label_studio("t1") as studio:
            connections = Connections(file, url=studio.url)
            connections.remember(PROJECT, "http://outside:80", "t1")
            assert connections.settle(PROJECT) == []
            connections.remember(PROJECT, "http://elsewhere:80", "forged")
            (reason,) = connections.settle(PROJECT)
            assert "another /setup is not heeded" in reason
            host = connections.host(PROJECT)
            assert (host.url, host.token, host.public_url) == (
                studio.url,
                "t1",
                "http://outside:80",
            )

    def test_made_up_projects_fill_no_disk_and_push_no_known_one_out(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_MOST_UNPROVEN", 3)
        with label_studio("t1") as studio:
            connections = Connections(file)
            connections.remember(PROJECT, studio.url, "t1")
            assert connections.settle(PROJECT) == []
        for number in range(10, 20):
            connections.remember(f"{number}.1", "http://127.0.0.1:1", "x")
        assert list(Connections(file).projects()) == [PROJECT, "17.1", "18.1", "19.1"]

    def test_what_an_earlier_release_kept(self, file: Path) -> None:
        with label_studio("t1") as studio:
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps({PROJECT: {"http://127.0.0.1:1": "x", studio.url: "t1"}}))
            host = Connections(file).host(PROJECT)
            assert (host.url, host.token, host.refusal) == (studio.url, "t1", "")


def test_settings_override_what_label_studio_sends(file: Path) -> None:
    connections = Connections(file, url="http://inside:8080", token="own")
    assert connections.host("any").url == "http://inside:8080"
    connections.remember(PROJECT, "http://before:80", "theirs")
    assert connections.settle(PROJECT) == []
    connections.remember(PROJECT, "http://outside:80", "theirs")
    assert connections.settle(PROJECT) == []
    host = connections.host(PROJECT)
    assert (host.url, host.token) == ("http://inside:8080", "own")
    assert host.public_url == "http://outside:80"


class TestByNumber:
    """Outside of a request a project is known by its number only."""

    def test_names_that_are_no_projects_have_no_number(self, file: Path) -> None:
        """Anybody may send them; a number that no database holds stopped all surveys."""
        connections = Connections(file, allowed=["*"])
        for name in (PROJECT, "²", "0", "-1", str(2**31), "9" * 40, "x", "٣"):
            connections.remember(name, "http://one:1", "t1")
        assert connections.numbers() == [3]
        assert list(connections.urls_by_number()) == [3]

    def test_its_one_setup_tells(self, file: Path) -> None:
        connections = Connections(file, allowed=["*"])
        for project, url in ((PROJECT, "http://one:1"), ("33.1", "http://two:1")):
            connections.remember(project, url, "t1")
        host = connections.host_of_number(3)
        assert (host.url, host.token) == ("http://one:1", "t1")

    @pytest.mark.parametrize("first", [0, 1])
    def test_of_a_label_studio_set_up_anew_the_project_made_last_counts(
        self, file: Path, first: int
    ) -> None:
        connections = Connections(file, allowed=["*"])
        setups = [("3.1795442316", "old"), ("3.1895442316", "new")]
        for project, token in (setups[first], setups[1 - first]):
            connections.remember(project, "http://one:1", token)
        host = connections.host_of_number(3)
        assert (host.url, host.token) == ("http://one:1", "new")

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
        connections = Connections(file, url, allowed=["*"])
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


def test_the_model_that_setup_names_survives_a_restart_and_follows_the_next_setup(
    file: Path,
) -> None:
    known = Connections(file, allowed=["localhost"])
    known.remember(PROJECT, "http://localhost:8080", "t1", model="vit_b")
    assert Connections(file).model_of(PROJECT) == known.model_of(PROJECT) == "vit_b"
    known.remember(PROJECT, "http://localhost:8080", "t1", model=None)
    assert known.model_of(PROJECT) == "vit_b", "what cannot be understood changes nothing"
    other = Connections(file, allowed=["localhost"])
    other.remember(PROJECT, "http://localhost:8080", "t1", model="starter")
    assert known.model_of(PROJECT) == "starter"
    assert known.models() == {PROJECT: "starter"}
    other.remember(PROJECT, "http://localhost:8080", "t1")
    assert known.models() == {}


def test_a_claim_that_is_not_accepted_names_no_model(file: Path) -> None:
    with label_studio("theirs") as server:
        known = Connections(file)
        known.remember(PROJECT, server.url, "wrong", model="vit_b")
        assert known.model_of(PROJECT) == ""
        known.settle(PROJECT)
        assert known.model_of(PROJECT) == ""
        known.remember(PROJECT, server.url, "theirs", model="starter")
        known.settle(PROJECT)
        assert known.model_of(PROJECT) == "starter"


@pytest.mark.parametrize("forged", [("http://localhost:1", "x"), ("http://localhost:8080", "x")])
def test_a_forged_setup_does_not_change_a_known_projects_model(
    file: Path, forged: tuple[str, str]
) -> None:
    known = Connections(file, allowed=["localhost"])
    known.remember(PROJECT, "http://localhost:8080", "t1", model="vit_b")
    known.remember(PROJECT, *forged, model="starter")
    known.settle(PROJECT)
    assert known.model_of(PROJECT) == "vit_b"
    assert Connections(file).model_of(PROJECT) == "vit_b"


def test_where_the_settings_say_all_another_token_must_prove_itself_to_change_the_model(
    file: Path,
) -> None:
    with label_studio("new") as server:
        known = Connections(file, url=server.url, token="key")
        for token, model in (("old", "vit_b"), ("forged", "starter")):
            known.remember(PROJECT, "http://public", token, model=model)
            known.settle(PROJECT)
            assert known.model_of(PROJECT) == "vit_b"
        known.remember(PROJECT, "http://public", "new", model="starter")
        known.settle(PROJECT)
        assert known.model_of(PROJECT) == "starter"


def test_a_project_is_named_by_its_number_where_one_accepted_setup_names_it(file: Path) -> None:
    known = Connections(file, allowed=["localhost"])
    assert known.uid_of_number(3) is None
    known.remember(PROJECT, "http://localhost:8080", "t1")
    assert known.uid_of_number(3) == PROJECT
    known.remember("3.1", "http://10.0.0.1", "x")  # has to prove itself first
    assert known.uid_of_number(3) == PROJECT
    known.remember("3.2", "http://localhost:8081", "t2")
    assert known.uid_of_number(3) is None, "only Label Studio knows which of the two it is"
