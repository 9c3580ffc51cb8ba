"""The disk cache: whole files only, within a bound, shared, and never an error."""

import logging
import os
import random
import threading
from pathlib import Path

import pytest

from sam_backend.sam.embeddings import DiskEmbeddings
from sam_backend.sam.embeddings.packing import pack
from tests.sam.embeddings.examples import embedding, key, same

FILE_BYTES = len(pack(key(), embedding()))


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_keeps_embeddings_between_processes(tmp_path: Path) -> None:
    DiskEmbeddings(tmp_path / "new" / "folder", 10**6).put(key(), embedding(7))
    again = DiskEmbeddings(tmp_path / "new" / "folder", 10**6)
    assert same(again.get(key()), embedding(7))
    assert again.get(key("other")) is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_file_is_a_miss_and_is_removed(tmp_path: Path, damage: str) -> None:
    cache = DiskEmbeddings(tmp_path, 10**6)
    cache.put(key(), embedding())
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": bytes(data[:50]), "empty": b""}[damage])
    assert cache.get(key()) is None
    assert files(tmp_path) == []
    cache.put(key(), embedding(2))
    assert same(cache.get(key()), embedding(2))


def test_the_least_recently_used_go_when_the_bound_is_reached(tmp_path: Path) -> None:
    now = [1000.0]
    cache = DiskEmbeddings(tmp_path, 3 * FILE_BYTES, now=lambda: now[0])
    for name in "abc":
        cache.put(key(name), embedding())
        (path,) = tmp_path.rglob(f"{key(name)}*")
        os.utime(path, (now[0], now[0]))
        now[0] += 1
    cache.get(key("a"))
    cache.put(key("d"), embedding())
    assert [name for name in "abcd" if cache.get(key(name)) is not None] == ["a", "c", "d"]
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 3 * FILE_BYTES


def test_the_bound_holds_for_what_was_there_before(tmp_path: Path) -> None:
    large = DiskEmbeddings(tmp_path, 10 * FILE_BYTES)
    for name in "abcdef":
        large.put(key(name), embedding())
    DiskEmbeddings(tmp_path, 2 * FILE_BYTES)
    assert len(files(tmp_path)) == 2
    DiskEmbeddings(tmp_path, FILE_BYTES // 2).put(key("x"), embedding())
    assert files(tmp_path) == []


def test_what_dead_processes_left_is_removed_and_the_living_ones_files_are_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "ab"
    folder.mkdir()
    old, young = folder / ".x.embedding.1.tmp", folder / ".x.embedding.2.tmp"
    for path, age_s in ((old, 7200), (young, 10)):
        path.write_bytes(b"half")
        os.utime(path, (10_000 - age_s, 10_000 - age_s))
    DiskEmbeddings(tmp_path, 10**6, now=lambda: 10_000)
    assert files(tmp_path) == [young]


def test_a_disk_that_cannot_be_written_warns_once_and_is_a_miss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskEmbeddings(tmp_path / "cache", 10**6)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            cache.put(key(), embedding())
            assert cache.get(key()) is None
    assert len(caplog.records) == 1
    assert "not kept on disk" in caplog.text


def test_two_owners_of_one_folder_never_see_half_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caches = [DiskEmbeddings(tmp_path, 4 * FILE_BYTES) for _ in range(2)]
    wrong: list[int] = []

    def work(cache: DiskEmbeddings, seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(300):
            value = rng.randrange(8)
            cache.put(key(str(value)), embedding(value))
            value = rng.randrange(8)
            found = cache.get(key(str(value)))
            if found is not None and not same(found, embedding(value)):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(caches[n % 2], n)) for n in range(4)]
    with caplog.at_level(logging.WARNING):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert caplog.records == []
    assert all(path.suffix == ".embedding" for path in files(tmp_path))
