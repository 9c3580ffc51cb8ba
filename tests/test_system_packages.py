"""What happens where a system program is missing: one line each, and an error in CI only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis_server import running_redis

REPOSITORY = Path(__file__).parents[1]


@pytest.mark.parametrize(("ci", "exit_code"), [({}, 0), ({"CI": "true"}, 1), ({"CI": "false"}, 0)])
def test_missing_programs_are_named_and_fail_only_in_ci(
    ci: dict[str, str], exit_code: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.system_packages"],
        cwd=REPOSITORY,
        env={"PATH": str(tmp_path)} | ci,  # neither the programs nor apt-get
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code
    chromium, redis, *_ = done.stderr.splitlines()
    assert chromium.startswith("Skipped: tests in the browser, because chromium is missing")
    assert "apt-get install redis-server" in redis


def test_nothing_is_said_where_all_is_there(tmp_path: Path) -> None:
    for name in ("google-chrome", "redis-server", "initdb", "promtool"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "tests.system_packages"],
        cwd=REPOSITORY,
        env={"PATH": str(tmp_path), "CI": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("false", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_a_missing_redis_fails_in_ci_only(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="redis-server is missing"), running_redis():
        pass


@pytest.mark.parametrize(("given", "seen"), [({}, "true"), ({"CI": "false"}, "false")])
def test_the_ci_command_says_that_it_is_ci(
    given: dict[str, str], seen: str, tmp_path: Path
) -> None:
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho "$CI $*"\n')
    make.chmod(0o755)
    done = subprocess.run(
        [REPOSITORY / ".ci" / "run"],
        env={"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"} | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{seen} test\n"
