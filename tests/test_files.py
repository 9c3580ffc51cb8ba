"""Files and folders that are whole or not there."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sam_backend.files import lock, new_folder, remove_unfinished, replacing

KILLED = """
import os, signal, sys
from pathlib import Path
from sam_backend.files import new_folder, replacing

folder = Path(sys.argv[1])
with replacing(folder / "file") as file, new_folder(folder / "made") as made:
    file.write_text("half")
    (made / "part").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

HELD = """
import os, signal, sys
from pathlib import Path
from sam_backend.files import lock

with lock(Path(sys.argv[1])):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_file_is_the_old_one_until_the_new_one_is_whole(
    tmp_path: Path, *, is_durable: bool
) -> None:
    file = tmp_path / ("x" * 255)  # no longer name is possible
    file.write_text("old")
    with replacing(file, is_durable=is_durable) as unfinished:
        unfinished.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert names(tmp_path) == [file.name]


def fill_and_fail(unfinished: Path) -> None:
    unfinished.write_text("new")
    raise ZeroDivisionError


def test_a_block_that_fails_leaves_what_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as unfinished:
        fill_and_fail(unfinished)
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "made") as made:
        fill_and_fail(made / "part")
    assert names(tmp_path) == ["file"]
    assert file.read_text() == "old"


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    with replacing(tmp_path / "file", mode=0o600) as unfinished:
        assert unfinished.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with replacing(file) as one:
        one.write_text("one")
        with replacing(file) as other:
            other.write_text("other")
        assert file.read_text() == "other"
    assert file.read_text() == "one"


def test_a_folder_appears_with_what_is_in_it(tmp_path: Path) -> None:
    with new_folder(tmp_path / "outer" / "made") as made:
        (made / "part").write_text("whole")
        assert not (tmp_path / "outer" / "made").exists()
    assert names(tmp_path / "outer") == ["made"]
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "outer" / "made"):
        pass
    assert names(tmp_path / "outer") == ["made"]
    assert (tmp_path / "outer" / "made" / "part").read_text() == "whole"


def test_after_a_kill_nothing_has_the_name_and_the_rest_can_be_removed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    killed = subprocess.run([sys.executable, "-P", "-c", KILLED, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    assert not (tmp_path / "made").exists()
    assert len(names(tmp_path)) == 3
    remove_unfinished(tmp_path)
    assert [name for name in names(tmp_path) if not name.startswith(".new-")] == ["file"]


def test_a_lock_keeps_others_out_and_goes_with_its_process(tmp_path: Path) -> None:
    busy = RuntimeError("somebody has it")
    with lock(tmp_path / "lock"), pytest.raises(RuntimeError, match="somebody has it"):
        lock(tmp_path / "lock", busy)
    killed = subprocess.run([sys.executable, "-P", "-c", HELD, str(tmp_path / "lock")], check=False)
    assert killed.returncode == -signal.SIGKILL
    with lock(tmp_path / "lock", busy):
        pass


def test_help_waits_for_no_lock() -> None:
    code = "import sys, sam_backend.cli.main; print('filelock' in sys.modules)"
    told = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, check=True)
    assert told.stdout.strip() == b"False"
