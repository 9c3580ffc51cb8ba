"""The dashboard as people see it, in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from sam_backend.projects.measured import GoldScores
from sam_backend.store.measurements import Measurements
from tests.projects.working_project import HOST, PROJECT
from tests.server.watched_server import NOW, connect, first_day, serving

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("server")) as (url, service):
        service.monitor.answered("click", 0.02)
        service.journal.error("project 3, task 1", "<b>the image is gone</b>")
        yield url


@contextmanager
def opened(browser: Browser, url: str, width: int, **context: Any) -> Iterator[Page]:
    """The page once its figures are there."""
    made = browser.new_context(viewport={"width": width, "height": 900}, **context)
    page = made.new_page()
    complaints: list[str] = []
    page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda one: complaints.append(str(one)))
    page.goto(url)
    page.wait_for_selector("#live:not(.away):has-text('live')")
    yield page
    assert complaints == []
    made.close()


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_shows_the_projects_figures(
    browser: Browser, address: str, width: int, artifacts: Path
) -> None:
    with opened(browser, f"{address}/dashboard", width) as page:
        page.screenshot(path=artifacts / f"dashboard-{width}.png", full_page=True)
        assert "stage\u00a01" in page.inner_text("#seconds")
        assert page.inner_text("#seconds").count("34 → 14") == 1
        assert "0.91" in page.inner_text("#gold")
        assert "30 %" in page.inner_text("#triage")
        assert "0.04 (0.02 to 0.06)" in page.inner_text("#calibration")
        assert page.locator("#calibration polyline").count() == 1
        assert "promoted" in page.inner_text("#retrainings")
        assert page.inner_text("#lots").count("reject") >= 1
        assert "3 tasks in 2 queues" in page.inner_text("#people")
        assert "asks for a password" in page.inner_text("#people")
        assert "lot rejected" in page.inner_text("#alerts")
        assert "<b>the image is gone</b>" in page.inner_text("#journal"), "as text"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no scrolling"


def test_on_the_first_day_every_panel_says_what_is_missing(
    browser: Browser, tmp_path: Path, artifacts: Path
) -> None:
    with first_day(tmp_path) as (url, service, database):
        with opened(browser, f"{url}/dashboard", 1200) as page:
            assert "Connect Model" in page.inner_text("#stage")
            assert empty_panels(page) == []
        connect(service)
        with opened(browser, f"{url}/dashboard", 1200) as page:
            assert "In no stage yet" in page.inner_text("#stage")
            assert "Nothing has been submitted since" in page.inner_text("#seconds")
            assert empty_panels(page) == []
            page.screenshot(path=artifacts / "dashboard-first-day.png", full_page=True)
        odd = {"images": 1, "people": "?", "models": [], "annotators": [], "answers": []}
        Measurements(database, HOST, PROJECT).add(GoldScores.KIND, odd, NOW)
        service.boards._kept.clear()
        with opened(browser, f"{url}/dashboard", 1200) as page:
            assert "the gold measurement of" in page.inner_text("#gold")
            assert "Nothing has been submitted since" in page.inner_text("#masks"), "others live on"
            assert empty_panels(page) == []
            page.screenshot(path=artifacts / "dashboard-failed-part.png", full_page=True)


def empty_panels(page: Page) -> list[str]:
    """Headings of panels that show nothing."""
    return page.evaluate(
        "() => [...document.querySelectorAll('section:has(h2)')]"
        ".filter(one => !one.querySelector('div').innerText.trim())"
        ".map(one => one.querySelector('h2').innerText)"
    )


def test_the_page_follows_what_happens_and_says_when_it_cannot(
    browser: Browser, tmp_path: Path
) -> None:
    with serving(tmp_path) as (url, service), opened(browser, f"{url}/dashboard", 1200) as page:
        assert "Nobody has clicked" in page.inner_text("#clicks")
        service.monitor.answered("click", 0.5)
        page.wait_for_selector("#clicks:has-text('500 ms')")
        failed = "500 Internal Server Error"
        page.route("**/dashboard/figures*", lambda route: route.fulfill(status=200, body=failed))
        page.wait_for_selector("#live.away:has-text('not live')")
        page.unroute("**/dashboard/figures*")
        page.wait_for_selector("#live:not(.away)")


def test_single_people_are_shown_behind_a_password(browser: Browser, tmp_path: Path) -> None:
    auth = {"basic_auth_user": "anna", "basic_auth_password": "correct horse"}
    login = {"username": "anna", "password": "correct horse"}
    with (
        serving(tmp_path, **auth) as (url, _),
        opened(browser, f"{url}/dashboard", 1200, http_credentials=login) as page,
    ):
        assert "user 1" in page.inner_text("#people")
        assert "user 1" in page.inner_text("#gold")
        assert httpx.get(f"{url}/dashboard").status_code == 401
        assert httpx.get(f"{url}/metrics").status_code == 401
