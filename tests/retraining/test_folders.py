"""Run folders: one process at a time, and nothing heavy that stays for ever."""

import os
import time
from pathlib import Path

import pytest

from sam_backend.retraining.folders import clear, clear_abandoned, held
from sam_backend.store.job_handling import StoppedError


def run(folder: Path) -> Path:
    """A run in the middle of its work."""
    with held(folder, lambda: False):
        (folder / "training" / "features").mkdir(parents=True)
    for name in ("training/features/0.npy", "training/checkpoint.pt", "training/metrics.jsonl"):
        (folder / name).write_text(name)
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_second_one_waits_until_it_is_told_to_stop(tmp_path: Path) -> None:
    asked: list[bool] = []

    def is_stopped() -> bool:
        asked.append(True)
        return len(asked) > 1

    with (
        held(tmp_path, lambda: False),
        pytest.raises(StoppedError, match="another process worked in"),
        held(tmp_path, is_stopped),
    ):
        pytest.fail("two in one folder")
    assert len(asked) == 2
    with held(tmp_path, lambda: True):
        pass


def test_records_stay(tmp_path: Path) -> None:
    clear(run(tmp_path / "run"))
    assert names(tmp_path) == {".lock", "metrics.jsonl"}


def test_runs_that_nobody_goes_on_with_are_cleared(tmp_path: Path) -> None:
    old, busy, new = (run(tmp_path / name) for name in ("old", "busy", "new"))
    whole = names(new)
    with held(busy, lambda: False):
        for folder in (old, busy):
            long_ago = time.time() - 1000
            os.utime(folder / ".lock", (long_ago, long_ago))
        clear_abandoned(tmp_path, kept_s=500)
    assert names(old) == {".lock", "metrics.jsonl"}
    assert names(busy) == names(new) == whole
