"""The first day: every page, metric and command where nobody has arranged anything.

Pages and commands are those that the application, the command line, README and docs have: one that
comes new is walked, too, or the tests here say what is missing.
"""

import re
import shlex
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import numpy.typing as npt
import pytest
import typer
from fastapi.routing import APIRoute
from playwright.sync_api import Browser
from prometheus_client.parser import text_string_to_metric_families

from sam_backend.cli.main import app
from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.labelstudio.config.templates import template
from sam_backend.server.app import create_app
from sam_backend.settings import Settings
from tests.bullseyes import bullseyes, png
from tests.e2e.commands import command_inside, eventually, inside
from tests.e2e.conftest import running_backend
from tests.e2e.people import Person, brush_region
from tests.pages import shell_lines
from tests.server.watched_server import first_day

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
RELEASE = REPOSITORY / "tests" / "data" / "release_0007"
"""A data folder of the last release, with the host and the project that stand in it."""
RELEASED_HOST, RELEASED_PROJECT = "http://release.example", "7000003"

STATES = ("connected", "tasks", "annotated", "empty", "released")
"""Projects of one backend: just connected; tasks without annotations; one annotation; one that was
submitted empty; one of which the last release's data folder knows much. None but the last is in a
stage."""

NOT_RUN = {
    "serve": "it runs all the while here",
    "demo": "tests/e2e/test_demo.py",
    "models pull": "downloads 375 MB; tests/store/test_downloads.py",
}
"""Commands of which `--help` alone is asked, and where they are run instead."""

OF_OTHERS = ("make demo", "make test", "pip install", "docker compose", "label-studio-ml", "sudo ")
"""What the blocks have beside our commands: `make` and Docker have tests of their own."""

READS = """
    prefill report --project {project}
    prefill learn-labels --project {project}
    quality agreement --project {project}
    tasks gaps --project {project}
    stage log --project {project}
    dataset show head --project {project}
    dataset checkout head --project {project} --out {out}/checkout
    train --project {project}
    train-detector --project {project}
    preannotate --project {project}
    quality calibrate --project {project}
"""
"""Commands about a project that are asked before anything is begun, beside those of the pages."""

WRITES = """
    dataset checkout v1 --project {project} --out {out}/checked-out
    tasks leave --project {project} {email}
    tasks back --project {project} {email}
"""

OF_NO_PROJECT = """
    stage policy
    models list
    models families
    models add {photos}/photo.png
    models promote starter-3
    models rollback
    models prune
    gold list
    gold history
    gold exclude abcdef --reason "a wrong one"
    gold restore abcdef --reason "it was right"
    jobs show 1
    jobs cancel 1
    worker --until-idle
    review reopen runs/photos --reason "another plan"
    export runs/photos --to {out}/exported --format sa1b
    prefill evaluate instances.json --out {out}/curve
"""

READING = {
    "check", "gold score", "quality report", "dataset log", "dataset diff", "tasks people",
    "stage status", "stage plot",
}  # fmt: skip
"""Commands of the pages' blocks that are asked before anything is begun."""


ANSWERS = {
    "check", "prefill report", "quality agreement", "tasks gaps", "stage log", "gold score",
    "dataset log", "tasks people", "stage status", "stage plot", "preannotate", "gold add",
    "gold plant", "dataset commit", "models use", "models list", "tasks order", "tasks balance",
    "tasks leave", "import",
}  # fmt: skip
"""Commands that no project is too empty for: exit code 0. The others say what is missing, and
`review sample` that the run, which all projects share here, is reviewed in another one."""

NEEDS_EXEMPLAR = ("--like", "--proposer similar")
"""Options with which `preannotate` says that nobody has submitted such a mask yet."""


def leaves(command: Any = None, name: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command by its full name."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield " ".join(name), command
    else:
        for word, below in command.commands.items():
            yield from leaves(below, (*name, word))


LEAVES = dict(leaves())


def leaf_of(line: str) -> str:
    """The name of a line's command."""
    words = line.split()
    found = [name for name in LEAVES if words[: len(name.split())] == name.split()]
    assert found, f"no command: {line}"
    return found[0]


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


OURS = [
    line.removeprefix("sam-backend ") for line in shell_lines() if line.startswith("sam-backend ")
]
FOR_PROJECTS = [line for line in OURS if "--project" in line]
FOR_ALL = [line for line in OURS if line not in FOR_PROJECTS and leaf_of(line) not in NOT_RUN]

STANDS_FOR = {
    "check --project 1": "check --url http://localhost:8080 --project 1",
    "--url http://localhost:8080": "--url {label_studio} --backend-url {backend}",
    "--project 1": "--project {project}",
    "--project 2": "--project {project}",
    "anna@example.com ben@example.com": "{email}",
    "/data/photos": "{photos}",
    " --every 30": "",
    "--task 14": "--task {task}",
    "starter-3-r1": "starter-3",
    "--out data": "--out {out}/data",
    "--out report": "--out {out}/report",
    "--out stages.png": "--out {out}/stages.png",
    "--draw diff": "--draw {out}/diff",
}
"""What the pages' words stand for here."""


def own(line: str) -> str:
    """A line of the pages with our own projects, files and people."""
    for word, ours in STANDS_FOR.items():
        line = line.replace(word, ours)
    return line


def before(lines: list[str]) -> list[str]:
    return [line for line in lines if leaf_of(line) in READING]


def after(lines: list[str]) -> list[str]:
    return [line for line in lines if leaf_of(line) not in READING]


WALK = list(
    dict.fromkeys(
        [
            *lines_of(READS),
            *map(own, before(FOR_PROJECTS)),
            *map(own, after(FOR_PROJECTS)),
            *lines_of(WRITES),
        ]
    )
)


@dataclass(frozen=True, slots=True)
class Day:
    """A backend whose data folder is of the last release, connected to projects.

    Attributes:
        folder: Its data folder.
        url: Its address.
        projects: Their numbers by state.
        tasks: A task of each, if it has one.
        words: What stands in the lines for all of them.
    """

    folder: Path
    url: str
    projects: Mapping[str, int]
    tasks: Mapping[str, int]
    words: Mapping[str, str]

    def line(self, line: str, state: str) -> str:
        out = self.folder / "out" / state
        return line.format(
            **self.words,
            backend=self.url or "http://127.0.0.1:9",
            project=self.projects.get(state, 1),
            task=self.tasks.get(state, 14),
            out=out,
        )


def picture(seed: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """A small image (H, W, 3) and a mask (H, W) of it."""
    image, masks = bullseyes(seed)
    return np.ascontiguousarray(image[::2, ::2]), np.ascontiguousarray(masks[0, ::2, ::2])


def open_release(folder: Path, server: LocalLabelStudio, project: int, uid: str) -> None:
    """Make a data folder what the last release left, with this Label Studio and this project."""
    stand_for = {
        RELEASED_HOST: server.url,
        f"{RELEASED_PROJECT}.1": uid,
        RELEASED_PROJECT: str(project),
        "token-of-the-release": server.account.token,
    }
    for file in RELEASE.rglob("*"):
        if file.is_dir():
            continue
        copy = folder / file.relative_to(RELEASE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            copy.write_bytes(file.read_bytes())
            continue
        text = file.read_text(encoding="utf-8")
        for word, ours in stand_for.items():
            text = text.replace(word, ours)
        if file.suffix == ".sql":
            database = sqlite3.connect(copy.with_suffix(".db"))
            database.executescript(text)
            database.close()
        else:
            copy.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def nothing(label_studio: LocalLabelStudio, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """A data folder without a project, a photo, and a bulk run of it."""
    folder = tmp_path_factory.mktemp("nothing")
    words = {
        "label_studio": label_studio.url,
        "email": label_studio.account.email,
        "photos": str(folder / "photos"),
    }
    (folder / "photos").mkdir()
    (folder / "photos" / "photo.png").write_bytes(png(picture(0)[0]))
    inside(folder, "generate", words["photos"], "--out", "runs/photos")
    return Day(folder, "", {}, {}, words)


@pytest.fixture(scope="module")
def day(
    label_studio: LocalLabelStudio,
    projects: Projects,
    nothing: Day,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Day]:
    folder = tmp_path_factory.mktemp("first-day")
    administrator = Person.administrator(label_studio)
    numbers = {state: projects.create(f"first day: {state}", template("brush")) for state in STATES}
    tasks = {}
    for state in STATES[1:]:
        n_pictures = 2 if state in ("tasks", "annotated") else 1
        files = {f"{state}-{n}.png": png(picture(n)[0]) for n in range(n_pictures)}
        tasks[state], *_ = projects.upload(numbers[state], files)
    made = administrator.call("GET", f"/api/projects/{numbers['released']}/")["created_at"]
    uid = f"{numbers['released']}.{int(datetime.fromisoformat(made).timestamp())}"
    open_release(folder, label_studio, numbers["released"], uid)
    shutil.copytree(nothing.folder / "runs", folder / "runs", dirs_exist_ok=True)
    with running_backend(folder) as url:
        version = httpx.get(f"{url}/versions").json()["versions"][0]
        for number in numbers.values():
            projects.connect_backend(number, url, version)
        mask = brush_region("m1", picture(0)[1])
        administrator.submit(tasks["annotated"], mask, lead_time=21.5)
        administrator.submit(tasks["empty"], lead_time=8.5)
        yield Day(folder, url, numbers, tasks, nothing.words)
        log = (folder / "backend.log").read_text()
        assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


def walked_pages() -> list[str]:
    """Every address that the application answers a GET at."""
    routes = create_app(cast(Any, None), Settings()).routes
    return [
        one.path for one in routes if isinstance(one, APIRoute) and "GET" in (one.methods or ())
    ]


def walk_pages(browser: Browser, url: str, query: str, shown: Path) -> dict[str, float]:
    """Open every page, in Chromium too if a person may; returns the metrics by name and labels."""
    found: dict[str, float] = {}
    context = browser.new_context(viewport={"width": 1300, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: complaints.append(str(one)))
    for path in walked_pages():
        answer = httpx.get(
            f"{url}{path}{query}", headers={"accept": "text/html,*/*"}, follow_redirects=True
        )
        assert answer.status_code == 200, f"{path}: {answer.text}"
        if path == "/metrics":
            for family in text_string_to_metric_families(answer.text):
                assert family.documentation, family.name
                for one in family.samples:
                    found[" ".join((one.name, *one.labels.values()))] = one.value
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        page.goto(f"{url}{path}{query}")
        if path == "/dashboard":
            page.wait_for_selector("#live:not(.away):has-text('live')")
        empty = page.evaluate(
            "() => [...document.querySelectorAll('h2')]"
            ".filter(one => !(one.nextElementSibling?.innerText ?? '').trim())"
            ".map(one => one.innerText)"
        )
        assert empty == [], f"{path}: nothing stands under {empty}"
        told = page.inner_text("body")
        assert "cannot be shown" not in told, told
        assert not re.search(r"\b(undefined|NaN|null|None(?! yet))\b", told), told
        page.screenshot(path=f"{shown}{path.replace('/', '-')}.png", full_page=True)
    context.close()
    assert complaints == []
    errors = {name: n for name, n in found.items() if name.startswith("sam_backend_metrics_errors")}
    assert errors, "none are counted"
    assert not any(errors.values()), errors
    return found


def test_commands_with_an_empty_data_folder(nothing: Day, caplog: pytest.LogCaptureFixture) -> None:
    lines = [*map(own, FOR_ALL), *lines_of(OF_NO_PROJECT), *WALK]
    assert walk(nothing, "nothing", lines, caplog) == []


@pytest.mark.parametrize("state", STATES)
def test_pages_and_metrics(day: Day, browser: Browser, artifacts: Path, state: str) -> None:
    number = day.projects[state]
    known = {"annotated": 1, "empty": 1, "released": 20}.get(state, 0)

    def board() -> dict[str, Any]:
        told: dict[str, Any] = httpx.get(f"{day.url}/dashboard/figures?project={number}").json()
        return told["board"]

    def submitted() -> int:
        return sum(one["annotations"] for one in board()["course"])

    eventually(lambda: submitted() == known, 60)  # a webhook tells what was submitted
    shown = artifacts / f"first-day-{state}"
    told = walk_pages(browser, day.url, f"?project={number}", shown)
    assert told[f"sam_backend_stage {number}"] == (2 if state == "released" else 0)
    assert board()["failures"] == {}
    assert (
        sum(told.get(f"sam_backend_annotations {number} {s}", 0) for s in ("none", "1", "2"))
        == known
    )
    if state == "released":
        assert board()["gold"]["people"]["matched_iou"]["value"] == 0.91
        assert board()["calibration"] is None, "it was of starter-2, which no longer ships"


def test_pages_and_metrics_of_an_empty_database(
    browser: Browser, tmp_path: Path, artifacts: Path
) -> None:
    with first_day(tmp_path) as (url, service, _):
        service.wait_until_loaded()
        told = walk_pages(browser, url, "", artifacts / "first-day-nothing")
    assert told["sam_backend_up"] == 1
    assert not any(name.startswith("sam_backend_stage") for name in told)


def test_every_command_is_walked() -> None:
    walked = {leaf_of(line) for line in (*WALK, *lines_of(OF_NO_PROJECT), *FOR_ALL)}
    assert walked | NOT_RUN.keys() == LEAVES.keys()
    assert not walked & NOT_RUN.keys()
    for line in shell_lines():
        assert line.startswith(("sam-backend ", *OF_OTHERS)), f"who walks {line!r}?"


def test_help_says_what_every_command_does(tmp_path: Path) -> None:
    for name in ["", *LEAVES]:
        told = run(tmp_path, f"{name} --help")
        assert (told.code, told.err) == (0, ""), name
        assert "Usage: " in told.out, name
        assert len(told.out.splitlines()) > 5, name


@dataclass(frozen=True, slots=True)
class Told:
    """What a command has said, and for how long it was at it."""

    code: int
    out: str
    err: str
    seconds: float


def run(folder: Path, line: str) -> Told:
    begun = time.monotonic()
    ended = command_inside(folder, *shlex.split(line))
    return Told(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - begun)


def faults_of(told: Told) -> list[str]:
    """What a person should not meet."""
    words = told.out + told.err
    lines = told.out.splitlines()
    found = [f"shows {word!r}" for word in ("nan", "None", "inf") if word in words.split()]
    if "Traceback" in words:
        found.append("a traceback")
    if not words.strip():
        found.append("says nothing")
    if told.code not in (0, 1, 2, 3):
        found.append(f"exit code {told.code}")
    if len(lines) == 1 and lines[0].isupper() and not told.err.strip():
        found.append("a table without rows, and no word why")
    if told.code == 2 and "error: " not in told.err.lower():
        found.append("exit code 2 and no error")
    if told.code and len(words.strip()) < 15:
        found.append(f"exit code {told.code} and no reason")
    return found


def walk(day: Day, state: str, lines: list[str], caplog: pytest.LogCaptureFixture) -> list[str]:
    faults = []
    (day.folder / "out" / state).mkdir(parents=True, exist_ok=True)
    for line in lines:
        caplog.clear()
        filled = day.line(line, state)
        try:
            told = run(day.folder, filled)
        except Exception as error:  # the next ones are walked, too
            faults.append(f"{filled}: raises {error!r}")
            continue
        print(f"{told.seconds:6.1f} s {told.code} {filled}\n{told.out[-1500:]}{told.err[-1500:]}")
        faults += [f"{filled}: {one}" for one in faults_of(told)]
        needs_more = any(option in line for option in NEEDS_EXEMPLAR)
        if state in STATES and told.code and leaf_of(line) in ANSWERS and not needs_more:
            faults.append(f"{filled}: exit code {told.code}: {told.err}")
        faults += [f"{filled}: logs {one.exc_text}" for one in caplog.records if one.exc_info]
    return faults


@pytest.mark.parametrize("state", STATES)
def test_commands_about_a_project(day: Day, state: str, caplog: pytest.LogCaptureFixture) -> None:
    assert walk(day, state, WALK, caplog) == []
