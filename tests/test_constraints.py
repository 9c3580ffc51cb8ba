"""constraints.txt holds a version of everything that pyproject.toml asks for."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
NOT_LOCKED = {"label-studio-ml"}  # this extra would hold others down


def _asked() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    groups = [project["dependencies"], *(extras[name] for name in extras if name not in NOT_LOCKED)]
    asked = [Requirement(line) for group in groups for line in group]
    return [one for one in asked if one.name != project["name"]]


def _pins() -> dict[str, set[str]]:
    pins: dict[str, set[str]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pin = Requirement(line)
            (version,) = pin.specifier
            assert version.operator == "==", line
            assert not pin.extras, f"pip takes no extras in constraints: {line}"
            pins.setdefault(canonicalize_name(pin.name), set()).add(version.version)
    return pins


@pytest.mark.parametrize("asked", _asked(), ids=str)
def test_each_dependency_is_locked_within_its_bounds(asked: Requirement) -> None:
    versions = _pins().get(canonicalize_name(asked.name), set())
    assert versions, f"{asked.name} is missing in constraints.txt: run `make lock`"
    for version in versions:
        assert asked.specifier.contains(version), f"{asked}, but {version}: run `make lock`"
