"""Licence, citation, changelog and CI say what the package says."""

import ast
import re
import tomllib
from pathlib import Path

import yaml

import sam_backend

REPOSITORY = Path(__file__).parents[1]


def text_of(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def test_the_version_is_told_alike_everywhere() -> None:
    assert yaml.safe_load(text_of("CITATION.cff"))["version"] == sam_backend.__version__
    released = re.findall(r"^## \[(\d[\d.]+)\] - (\S+)$", text_of("CHANGELOG.md"), re.M)
    day = str(yaml.safe_load(text_of("CITATION.cff"))["date-released"])
    assert released[0] == (sam_backend.__version__, day)


def test_modules_hand_each_other_no_words_as_keys() -> None:
    """Names are attributes, or snake_case in JSON; words for people stand where they are shown."""
    reader_of_old_names = REPOSITORY / "sam_backend" / "projects" / "measured.py"
    found = []
    for file in (REPOSITORY / "sam_backend").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            keys = node.keys if isinstance(node, ast.Dict) else []
            keys = [node.slice] if isinstance(node, ast.Subscript) else keys
            names = [one.value for one in keys if isinstance(one, ast.Constant)]
            if file != reader_of_old_names:
                found += [(file.name, one) for one in names if isinstance(one, str) and " " in one]
    assert found == []
    script = text_of("sam_backend/server/pages/dashboard.js")
    assert re.findall(r'[\w)\]]\["[^"]* [^"]*"\]', script) == []


def test_the_licence_is_the_packages() -> None:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert project["license"] == yaml.safe_load(text_of("CITATION.cff"))["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text_of("LICENSE")
    assert "NonCommercial" in text_of("NOTICE"), "of some photos that the starter learned from"


def test_ci_runs_what_a_developer_runs_on_every_python() -> None:
    (job,) = yaml.safe_load(text_of(".github/workflows/ci.yml"))["jobs"].values()
    assert ".ci/run" in [step.get("run") for step in job["steps"]]
    pythons = job["strategy"]["matrix"]["python"]
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert project["requires-python"] == f">={pythons[0]}"
    assert pythons == ["3.11", "3.12", "3.13"]


def test_a_commit_is_checked_by_make_lint() -> None:
    (group,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert [hook["entry"] for hook in group["hooks"]] == ["make lint"]


def test_issue_forms_are_well_formed() -> None:
    for file in (REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(file.read_text(encoding="utf-8"))
        if file.stem == "config":
            continue
        assert form["name"]
        assert form["description"]
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 1


def test_contributing_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:[\w.]+/)*[\w.]+\.py)`", text_of("CONTRIBUTING.md")))
    tracked = [str(one.relative_to(REPOSITORY)) for one in REPOSITORY.glob("*/**/*.py")]
    for file in named - {"sam_backend/sam/NAME.py"}:
        if "NAME" in file:
            assert (REPOSITORY / file).parent.is_dir(), file
        else:
            assert any(one == file or one.endswith(f"/{file}") for one in tracked), file
    for target in re.findall(r"\]\(([^)#]+)\)", text_of("CONTRIBUTING.md")):
        assert "://" in target or (REPOSITORY / target).exists(), target
