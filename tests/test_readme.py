"""README and docs name commands, options, settings and files that exist."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from sam_backend.cli.main import app
from sam_backend.settings import Settings
from tests.pages import PAGES as OF_USERS
from tests.pages import README, REPOSITORY

PAGES = (*OF_USERS, *(REPOSITORY / name for name in ("model_store/README.md", "SECURITY.md")))


def text_of(page: Path) -> str:
    """The page, with lines that a backslash continues in one, and tables' bars as they are read."""
    return page.read_text(encoding="utf-8").replace("\\\n", " ").replace("\\|", "|")


def command_lines(page: Path) -> list[str]:
    """Every command of ours, in a block or in a sentence; each one of `models list | pull NAME`."""
    text = text_of(page)
    lines = re.findall(r"`(sam-backend [^`\n]+)`", text)
    lines += re.findall(r"^ *(sam-backend [^\n]+)$", text, re.M)
    found = []
    for line in lines:
        first, *others = (part.strip() for part in line.partition("#")[0].split("|"))
        group = " ".join(first.split()[:2])
        found += [first, *(f"{group} {other}" for other in others)]
    return found


def parse(words: list[str]) -> None:
    """Parse words as the program would, without doing anything; a usage error says what is wrong.

    A command alone, as sentences name it, needs none of its arguments.
    """
    command, name = typer.main.get_command(app), "sam-backend"
    while words and (commands := getattr(command, "commands", None)):
        name, *words = words
        assert name in commands, f"no command {name!r}, only {', '.join(commands)}"
        command = commands[name]
    if words:
        command.make_context(name, words)


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    lines = command_lines(page)
    assert lines or page != README
    for line in lines:
        parse(shlex.split(line)[1:])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("tarin", "no command 'tarin'"),
        ("train --projekt 1", "--projekt"),
        ("jobs cancel x", "integer"),
        ("models diff starter-1", "second"),
        ("models promote starter-1 starter-3", "unexpected extra argument"),
    ],
)
def test_a_wrong_line_would_be_found(line: str, fault: str) -> None:
    with pytest.raises((AssertionError, Exception), match=fault):
        parse(line.split())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_exist(page: Path) -> None:
    known = set()
    for name, field in Settings.model_fields.items():
        choices = getattr(field.validation_alias, "choices", [])
        known |= {f"SAM_BACKEND_{name.upper()}", *choices}
    text = text_of(page)
    named = set(re.findall(r"`((?:SAM_BACKEND|LABEL_STUDIO|REDIS)_[A-Z_]+)[`=]", text))
    of_label_studio = {name for name in named if name.startswith("LABEL_STUDIO_")} - known
    assert named - of_label_studio <= known
    assert all(f"`{name}=" in text for name in of_label_studio), "its own are set in examples"
    for ending in re.findall(r"`…(_[A-Z_]+)`", text):
        assert any(name.endswith(ending) for name in known), ending


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's titles, as the forge and the site make them."""
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        leads_to = page.parent / file if file else page
        assert leads_to.exists(), target
        if anchor:
            assert anchor in anchors_of(leads_to), target
