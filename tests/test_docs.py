"""The pages of `docs/`: generated ones are fresh, and the site builds with every link checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import REPOSITORY
from tools.docs.reference import PAGES, command_page, settings_page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_pages_are_fresh(page: Path) -> None:
    fresh = PAGES[page]()
    assert page.read_text(encoding="utf-8") == fresh, "run `python -m tools.docs`"


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 30
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_option_says_what_it_does() -> None:
    rows = [line for line in command_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if row.endswith("|  |")] == []


def test_the_site_builds_and_its_links_and_anchors_lead_somewhere(tmp_path: Path) -> None:
    building = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert building.returncode == 0, building.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for asks in ('src="http', 'rel="stylesheet" href="http', "fonts.googleapis"):
            assert asks not in text, f"{page.name} asks another server"
