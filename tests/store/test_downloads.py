"""A download is whole and right under its final name, or nothing is there."""

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sam_backend.errors import ModelStoreError
from sam_backend.store.downloads import download
from tests.store.file_server import FileServer, serving

BODY = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(BODY) as running:
        yield running


def get(server: FileServer, target: Path, sha256: str = SHA256) -> list[float]:
    """Downloads and returns the pauses that it would have made."""
    pauses: list[float] = []
    download(server.url, target, sha256, sleep=pauses.append)
    return pauses


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_brings_the_file_and_tells_about_every_byte(server: FileServer, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "weights.pth"
    download(server.url, target, SHA256, lambda done, total: told.append((done, total)))
    assert target.read_bytes() == BODY
    assert names(target.parent) == ["weights.pth"]
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert told == sorted(told)


def test_goes_on_after_each_cut(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [1_000_000, 500_000, 0, 700_000]
    pauses = get(server, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert server.requested == [
        "",
        "bytes=1000000-",
        "bytes=1500000-",
        "bytes=1500000-",
        "bytes=2200000-",
    ]
    assert pauses == [1, 1, 2, 1]


def test_starts_over_where_ranges_are_unknown(server: FileServer, tmp_path: Path) -> None:
    server.knows_ranges = False
    server.cuts = [1_000_000, 10]
    get(server, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == BODY


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_gives_up_when_nothing_more_comes_and_keeps_the_part(
    server: FileServer, tmp_path: Path, knows_ranges: bool
) -> None:
    server.knows_ranges = knows_ranges
    server.cuts = [1000] + [0 if knows_ranges else 1000] * 20
    with pytest.raises(ModelStoreError, match="cannot download http://127"):
        get(server, tmp_path / "w.pth")
    assert len(server.requested) == 6
    assert names(tmp_path) == ["w.pth.part"]
    server.cuts, server.knows_ranges = [], True
    get(server, tmp_path / "w.pth")
    assert server.requested[-1] == "bytes=1000-"
    assert (tmp_path / "w.pth").read_bytes() == BODY


def test_a_server_that_cuts_at_changing_places_does_not_keep_us_for_ever(
    server: FileServer, tmp_path: Path
) -> None:
    server.knows_ranges = False
    server.cuts = [1000, 2000] * 50
    with pytest.raises(ModelStoreError, match="cannot download"):
        get(server, tmp_path / "w.pth")


def test_wrong_bytes_are_thrown_away_and_both_digests_named(
    server: FileServer, tmp_path: Path
) -> None:
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(ModelStoreError, match=f"has sha256 {SHA256}, not {other}"):
        get(server, tmp_path / "w.pth", sha256=other)
    assert names(tmp_path) == []


def test_a_part_of_another_file_is_found_out(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "w.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(ModelStoreError, match="thrown away"):
        get(server, tmp_path / "w.pth")
    get(server, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == BODY


@pytest.mark.parametrize("rest", [b"", b"too long"])
def test_a_part_that_is_whole_or_too_long(server: FileServer, tmp_path: Path, rest: bytes) -> None:
    (tmp_path / "w.pth.part").write_bytes(BODY + rest)
    get(server, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert server.requested == [f"bytes={len(BODY + rest)}-"] + ([""] if rest else [])


def test_a_server_that_goes_on_elsewhere_is_not_believed(
    server: FileServer, tmp_path: Path
) -> None:
    server.cuts, server.wrong_start = [1000], 5
    get(server, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").read_bytes() == BODY
    assert server.requested == ["", "bytes=1000-", ""]


def test_busy_servers_are_tried_again_and_absent_files_are_not(
    server: FileServer, tmp_path: Path
) -> None:
    server.statuses = [503, 429, 500]
    assert get(server, tmp_path / "w.pth") == [1, 2, 4]
    server.statuses = [404]
    with pytest.raises(ModelStoreError, match="HTTP 404"):
        get(server, tmp_path / "other.pth")
    assert not (tmp_path / "other.pth").exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with serving(BODY) as server:
        pass
    with pytest.raises(ModelStoreError, match="ConnectError"):
        get(server, tmp_path / "w.pth")


def test_a_right_file_is_not_fetched_again_and_a_wrong_one_is(
    server: FileServer, tmp_path: Path
) -> None:
    target = tmp_path / "w.pth"
    target.write_bytes(BODY)
    get(server, target)
    assert server.requested == []
    target.write_bytes(b"wrong")
    get(server, target)
    assert target.read_bytes() == BODY


def test_a_folder_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ModelStoreError, match=r"cannot write .*w\.pth"):
        get(server, tmp_path / "file" / "w.pth")


def test_killed_in_the_middle_leaves_no_file_and_the_next_goes_on(
    server: FileServer, tmp_path: Path
) -> None:
    """kill -9 of another process; meanwhile a second download is refused, not mixed in."""
    target = tmp_path / "w.pth"
    server.pause = threading.Event()
    code = "import sys, pathlib; from sam_backend.store.downloads import download; "
    code += "download(sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3])"
    process = subprocess.Popen([sys.executable, "-c", code, server.url, str(target), SHA256])
    part = tmp_path / "w.pth.part"
    deadline = time.monotonic() + 60
    while not part.exists() or part.stat().st_size < 1_000_000:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    with pytest.raises(ModelStoreError, match="being written by another download"):
        get(server, target)
    process.kill()
    process.wait()
    server.pause.set()
    server.pause = None
    assert names(tmp_path) == ["w.pth.part", "w.pth.part.lock"]
    have = part.stat().st_size
    get(server, target)
    assert server.requested[-1] == f"bytes={have}-"
    assert target.read_bytes() == BODY
    assert names(tmp_path) == ["w.pth"]
