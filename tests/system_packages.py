"""Programs that the tests need and pip does not bring: found, installed where allowed, or named.

`python -m tests.system_packages` installs what is missing (as root, with apt-get), else it says in
one line what will be skipped and why; in CI (variable CI) a missing one is an error.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """A program outside Python.

    Attributes:
        programs: Names under which it may be found, the preferred one first.
        debian: Debian packages that bring it.
        tests: What cannot be tested without it.
        beside: Folders to look into after PATH's, a pattern under the root folder; the
            last one that has it wins.
    """

    programs: tuple[str, ...]
    debian: tuple[str, ...]
    tests: str
    beside: str | None = None

    def find(self) -> Path | None:
        """Its executable; None where it is missing."""
        found = next(filter(None, map(shutil.which, self.programs)), None)
        if found is None and self.beside is not None:
            folders = os.pathsep.join(map(str, sorted(Path("/").glob(self.beside), reverse=True)))
            found = shutil.which(self.programs[0], path=folders)
        return Path(found) if found else None

    def require(self) -> Path:
        """Its executable; the test is skipped without it, and fails in CI."""
        found = self.find()
        if found is None:
            reason = f"{self.programs[0]} is missing: no {self.tests}"
            if in_ci():
                pytest.fail(reason)
            pytest.skip(reason)
        return found


CHROMIUM = SystemPackage(
    ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome"),
    ("chromium", "fonts-dejavu-core"),
    "tests in the browser",
)
REDIS = SystemPackage(("redis-server",), ("redis-server",), "tests with a Redis server")
POSTGRESQL = SystemPackage(
    ("initdb",),
    ("postgresql",),
    "tests with a PostgreSQL server",
    beside="usr/lib/postgresql/*/bin",  # Debian keeps the server's programs out of PATH
)
PROMETHEUS = SystemPackage(("promtool",), ("prometheus",), "tests of rules for Prometheus")
PACKAGES = (CHROMIUM, REDIS, POSTGRESQL, PROMETHEUS)


def in_ci() -> bool:
    """True where nothing may be skipped."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def main() -> int:
    """Install what is missing; exit code 1 when CI would have to skip something."""
    missing = [package for package in PACKAGES if package.find() is None]
    if missing and shutil.which("apt-get") and os.geteuid() == 0:
        names = [name for package in missing for name in package.debian]
        print(f"Installing {', '.join(names)} with apt-get …", flush=True)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "--no-install-recommends", *names]
        for command in (["apt-get", "update"], install):
            # A failure shows below, as a program that is still missing.
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        missing = [package for package in missing if package.find() is None]
    for package in missing:
        print(
            f"Skipped: {package.tests}, because {package.programs[0]} is missing and cannot be "
            f"installed here (as root: apt-get install {' '.join(package.debian)})",
            file=sys.stderr,
        )
    return 1 if missing and in_ci() else 0


if __name__ == "__main__":
    sys.exit(main())
