"""What should be labelled next, in the real Label Studio: the rare pictures come first."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser

from sam_backend.demo.local_server import LocalLabelStudio
from sam_backend.dispatch.planning import OLDEST_EVERY, WAITED
from sam_backend.labelstudio.api.projects import Projects
from tests.e2e.browser import LabellingPage
from tests.e2e.commands import command_inside, inside, settings_of
from tests.e2e.known_skill import CONFIG, draw_picture, region_of
from tests.e2e.people import Person
from tools.starter.leaves import leaves_scene

pytestmark = pytest.mark.e2e

N_COMMON = 12
RARE = (4, 9)


def rare_picture(place: int) -> bytes:
    """Something else than the orchard that the others show; twice the same but for its light."""
    scene = leaves_scene(np.random.default_rng(4), 256).image
    if place != RARE[0]:
        scene = scene // 10 * 9
    return cv2.imencode(".png", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR))[1].tobytes()


def test_rare_pictures_come_first_with_their_reason(
    label_studio: LocalLabelStudio,
    projects: Projects,
    tmp_path: Path,
    browser: Browser,
    cookies: list[dict],
    artifacts: Path,
) -> None:
    settings = settings_of(label_studio)
    project = projects.create("order of work", CONFIG)
    files = {
        f"{n:02}.png": rare_picture(n) if n in RARE else draw_picture(n)[0]
        for n in range(N_COMMON + len(RARE))
    }
    tasks = projects.upload(project, files)
    rare = {tasks[place] for place in RARE}
    common = [task for task in tasks if task not in rare]
    anna = Person.new(label_studio, "anna-o@example.com")

    def run(*arguments: str) -> str:
        group, what, *rest = arguments
        return inside(tmp_path, group, what, "--project", str(project), *rest, settings=settings)

    for number, task in enumerate(common[:6]):
        things = draw_picture(number)[1]
        leaves = [region_of(one, n) for n, one in enumerate(things) if one.label == "Leaf"]
        anna.submit(task, *leaves, lead_time=20.0)
    run("dataset", "commit", "-m", "only the orchard")
    run("dataset", "tag", "orchard")
    told = json.loads(run("tasks", "order", "--stage", "1", "--kinds", "2", "--json"))
    assert told["unseen"] == {}
    order = [one["task"] for one in told["tasks"]]
    assert set(order) == set(tasks) - set(common[:6])
    assert set(order[:2]) & rare, order
    first = told["tasks"][0]
    assert "rare among what is labelled" in first["reason"] or "typical" in first["reason"]

    run("tasks", "join", "anna-o@example.com")
    run("tasks", "balance", "--horizon-minutes", "600")
    written = {task["id"]: task["data"] for task in anna.tasks(project)}
    reasons = {one["task"]: one["reason"] for one in told["tasks"]}
    waited = {number for number in order if written[number]["sam_reason"] == WAITED}
    assert len(waited) <= len(order) // OLDEST_EVERY
    by_tab = sorted(order, key=lambda number: written[number]["sam_priority"], reverse=True)
    usual = [number for number in order if number not in waited]
    assert [number for number in by_tab if number not in waited] == usual
    assert [written[number]["sam_reason"] for number in usual] == [reasons[n] for n in usual]

    (view,) = anna.call("GET", f"/api/dm/views/?project={project}")
    page = LabellingPage(browser, label_studio.url)
    page.context.add_cookies(cookies)
    page.page.goto(f"{label_studio.url}/projects/{project}/data?tab={view['id']}")
    page.page.get_by_text(first["reason"]).first.wait_for(timeout=60_000)
    page.screenshot(artifacts / "queue.png")
    page.close()

    gaps_asked = ["tasks", "gaps", "--project", str(project), "--before", "orchard"]
    gaps_asked += ["--kinds", "2", "--json"]
    gaps = {
        (one["what"], one["name"]): one
        for one in json.loads(inside(tmp_path, *gaps_asked, settings=settings))
    }
    fruit = gaps["label", "Fruit"]
    assert (fruit["count"], fruit["under_represented"]) == (0, True)
    assert not gaps["label", "Leaf"]["under_represented"]
    (lacking,) = (
        one for (what, _), one in gaps.items() if what == "image kind" and not one["count"]
    )
    assert lacking["under_represented"]
    broken = region_of(draw_picture(0)[1][1])
    broken |= {"id": "broken", "original_width": -1}
    for task in rare:
        anna.submit(task, region_of(draw_picture(0)[1][1]), broken, lead_time=20.0)
    ended = command_inside(tmp_path, *gaps_asked, settings=settings)
    assert "no size known: 2 x malformed mask (" in ended.stderr
    assert all(f"task {task}, region broken: " in ended.stderr for task in rare)
    after = {(one["what"], one["name"]): one for one in json.loads(ended.stdout)}
    mended = after["image kind", lacking["name"]]
    assert mended["under_represented_before"]
    assert (mended["count_before"], mended["count"]) == (0, 2)
    assert mended["share_before"] == 0 < 0.2 < mended["share"]
