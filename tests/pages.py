"""The pages that users read, and the shell lines in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[1]
README = REPOSITORY / "README.md"
DOCS = REPOSITORY / "docs"


def _files_of(nav: list[Any]) -> Iterator[str]:
    """The files of a site's navigation, in its order."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from [below] if isinstance(below, str) else _files_of(below)


def _pages() -> list[Path]:
    nav = yaml.safe_load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    written = [DOCS / name for name in _files_of(nav)]
    return [README, *(page for page in written if page.is_file())]


PAGES = _pages()
"""README first, then the pages of `docs/` in the order of the site."""


def shell_lines() -> list[str]:
    """Every line of the pages' shell blocks once, without comments, in the order of the pages."""
    lines: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S):
            for line in block.splitlines():
                if words := re.split(r"(?:^| )#", line)[0].strip():
                    lines[" ".join(words.split())] = None
    return list(lines)


PYTHON_PAGE = DOCS / "python.md"


def python_blocks() -> list[str]:
    """The examples of the page on the Python API, in its order."""
    return re.findall(r"```python\n(.*?)```", PYTHON_PAGE.read_text(encoding="utf-8"), re.S)
