"""Gold in the real Label Studio: planted, met by four people of known skill, and told apart."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.demo.server_process import bare_environment
from sam_backend.labelstudio.api.projects import Projects
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.gold import Gold
from tests.e2e.commands import command, command_inside, eventually, inside, settings_of
from tests.e2e.known_skill import (
    CONFIG,
    SKILLS,
    Picture,
    draw_picture,
    region_of,
    trust,
)
from tests.e2e.people import Person

pytestmark = pytest.mark.e2e

N_GOLD = 40
FAULTS = {
    "exact": [],
    "loose": ["loose boundary"],
    "small": ["misses small objects"],
    "labels": ["wrong labels"],
}
SECONDS = {"exact": 70.0, "loose": 35.0, "small": 28.0, "labels": 21.0}


@pytest.fixture(scope="module")
def pictures() -> dict[str, Picture]:
    """Forty trusted pictures by the names of their files."""
    return {f"{number:03}.png": draw_picture(number) for number in range(N_GOLD)}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, pictures: dict[str, Picture]) -> Path:
    """Data folder of a backend that trusts them."""
    folder = tmp_path_factory.mktemp("quality")
    trust(folder, pictures)
    return folder


@pytest.fixture(scope="module")
def settings(label_studio: LocalLabelStudio) -> dict[str, str]:
    return settings_of(label_studio)


@pytest.fixture(scope="module")
def project(label_studio: LocalLabelStudio, data: Path, settings: dict[str, str]) -> int:
    """A project of forty tasks of its own, with forty trusted ones among them."""
    with Projects(label_studio.url, label_studio.account.token) as projects:
        number = projects.create("orchard", CONFIG)
        own = {f"{i:032x}.png": draw_picture(1000 + i)[0] for i in range(N_GOLD)}
        projects.upload(number, own)
    options = ["gold", "plant", "--project", str(number), "--per-hundred", "100"]
    administrator = Person.administrator(label_studio)

    def n_tasks() -> int:
        return administrator.call("GET", f"/api/projects/{number}/")["task_number"]

    for n_planted in (3, 15):
        process = subprocess.Popen(
            [sys.executable, "-m", "sam_backend.cli.main", *options],
            env=bare_environment() | {"SAM_BACKEND_DATA_DIR": str(data)} | settings,
            cwd=data,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda least=N_GOLD + n_planted: n_tasks() >= least, poll_s=0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert n_tasks() < 2 * N_GOLD
    ended = command(data, *options, settings=settings)
    assert ended.returncode == 0, ended.stderr
    assert inside(data, *options, settings=settings) == (
        f"0 planted, {N_GOLD} there before, {N_GOLD} wanted\n"
    )
    return number


@pytest.fixture(scope="module")
def met(
    label_studio: LocalLabelStudio, data: Path, project: int, pictures: dict[str, Picture]
) -> dict[str, Person]:
    """The four people, once they have labelled the trusted tasks."""
    administrator = Person.administrator(label_studio)
    tasks = administrator.tasks(project)
    assert len(tasks) == 2 * N_GOLD
    assert {frozenset(task["data"]) for task in tasks} == {frozenset({"image"})}  # all look alike
    things = _things_by_digest(data, pictures)
    gold = Gold(open_database(Settings(data_dir=data)))
    images = {copy.token: copy.image for copy in gold.copies(label_studio.url, project)}
    assert len(images) == N_GOLD
    rng = np.random.default_rng(8)
    people = {name: Person.new(label_studio, f"{name}@example.com") for name in SKILLS}
    n_met = 0
    for task in tasks:
        token = next((token for token in images if token in task["data"]["image"]), None)
        if token is None:
            continue
        n_met += 1
        for name, person in people.items():
            drawn = SKILLS[name](things[images[token]], rng)
            regions = [region_of(thing, number) for number, thing in enumerate(drawn)]
            person.submit(task["id"], *regions, lead_time=SECONDS[name])
    assert n_met == N_GOLD
    return people


def _things_by_digest(data: Path, pictures: dict[str, Picture]) -> dict[str, tuple]:
    listed = json.loads(inside(data, "gold", "list", "--json"))
    return {one["image"]: pictures[one["name"]][1] for one in listed}


def test_the_report_ranks_four_people_and_names_the_fault_of_each(
    data: Path,
    project: int,
    met: dict[str, Person],
    settings: dict[str, str],
    browser: Browser,
    artifacts: Path,
) -> None:
    told = _scores(data, project, settings)
    standing = {told["names"][one["who"]].partition("@")[0]: one for one in told["annotators"]}
    assert next(iter(standing)) == "exact"
    assert standing.keys() == FAULTS.keys()
    qualities = [one["quality"]["value"] for one in standing.values()]
    assert qualities == sorted(qualities, reverse=True)
    for name, one in standing.items():
        assert [fault.partition(":")[0] for fault in one["faults"]] == FAULTS[name]
        assert one["images"] == N_GOLD
        n_masks = one["masks"]
        assert one["seconds_per_mask"]["value"] == pytest.approx(SECONDS[name] * N_GOLD / n_masks)
    assert standing["exact"]["quality"]["value"] == 1
    assert standing["exact"]["ap"] == pytest.approx(1)
    assert standing["small"]["missing_small"]["value"] == pytest.approx(0.8, abs=0.12)
    assert standing["labels"]["wrong_label"]["value"] == pytest.approx(1 / 3, abs=0.1)
    assert standing["loose"]["labels"]["Leaf"]["boundary_iou"]["value"] < 0.8
    assert len(standing["exact"]["weeks"]) >= 1

    pairs = inside(data, "quality", "agreement", "--project", str(project), settings=settings)
    assert pairs.count("@example.com and") == 6  # narrow tables break such a line

    page = data / "report" / "report.html"
    bars = ["--min-annotator", "0.8", "--proof"]
    ended = command(
        data,
        "quality",
        "report",
        "--project",
        str(project),
        "--out",
        str(page.parent),
        *bars,
        settings=settings,
    )
    assert ended.returncode == 1
    assert "labels@example.com: quality 0." in ended.stderr
    assert "nothing is known of the model" in ended.stderr
    assert "exact@example.com" not in ended.stderr
    written = json.loads((page.parent / "report.json").read_text())
    assert written["gold"]["annotators"] == told["annotators"]
    for width, name in ((1200, "quality-report.png"), (400, "quality-report-phone.png")):
        view = browser.new_page(viewport={"width": width, "height": 900})
        view.goto(page.as_uri())
        assert view.title() == f"Quality of project {project}"
        assert view.locator("figure img").count() > 8
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        view.screenshot(path=artifacts / name, full_page=True)
        view.close()
    inside(
        data,
        "quality",
        "report",
        "--project",
        str(project),
        "--out",
        str(data / "other"),
        settings=settings,
    )


def test_gold_is_excluded_restored_marked_and_agreed_on(
    label_studio: LocalLabelStudio,
    data: Path,
    project: int,
    met: dict[str, Person],
    settings: dict[str, str],
) -> None:
    images = json.loads(inside(data, "gold", "list", "--json"))
    first = images[0]["image"]
    refused = command_inside(data, "gold", "exclude", "zz", "--reason", "blurred")
    assert refused.returncode == 2
    assert "there is no gold image whose digest begins with 'zz'" in refused.stderr
    inside(data, "gold", "exclude", first[:16], "--reason", "blurred")
    told = _scores(data, project, settings)
    assert {one["images"] for one in told["annotators"]} == {N_GOLD - 1}
    inside(data, "gold", "restore", first, "--reason", "sharp enough")
    assert {one["images"] for one in _scores(data, project, settings)["annotators"]} == {N_GOLD}
    history = json.loads(inside(data, "gold", "history", "--json"))
    assert [(one["change"], one["reason"]) for one in history[-2:]] == [
        ("excluded", "blurred"),
        ("restored", "sharp enough"),
    ]

    marked = data / "marked"
    marked.mkdir()
    administrator = Person.administrator(label_studio)
    own = [task for task in administrator.tasks(project) if not task["annotations"]][:2]
    for task in own:
        region = region_of(draw_picture(task["id"])[1][0])
        administrator.submit(task["id"], region, ground_truth=True)
    added = json.loads(
        inside(marked, "gold", "add", "--project", str(project), "--json", settings=settings)
    )
    assert (added["images"], added["masks"]) == ({"added": 2}, 2)
    # the truth itself is no answer to it
    assert _scores(marked, project, settings)["annotators"] == []

    other = data / "consensus"
    other.mkdir()
    agreed = json.loads(
        inside(
            other,
            "gold",
            "add",
            "--project",
            str(project),
            "--consensus",
            "4",
            "--json",
            settings=settings,
        )
    )
    assert agreed["images"] == {"added": N_GOLD}
    # three of four see small things, if the loose one comes near enough: of seven, most are there
    assert agreed["masks"] > 6 * N_GOLD
    assert 0.05 < agreed["mean_disagreement"] < 0.4
    # who has made the truth is not judged by it
    assert _scores(other, project, settings)["annotators"] == []


def _scores(data: Path, project: int, settings: dict[str, str]) -> dict:
    return json.loads(
        inside(data, "gold", "score", "--project", str(project), "--json", settings=settings)
    )
