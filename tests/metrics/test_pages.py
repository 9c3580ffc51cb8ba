"""Every template of the package can be read, and a page escapes what is put into it."""

from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError

import sam_backend
from sam_backend.metrics.pages import Figure, _environment, render

PACKAGE = Path(sam_backend.__file__).parent
TEMPLATES = sorted(
    file.relative_to(PACKAGE.parent)
    for file in PACKAGE.rglob("*.html")
    if "{%" in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("template", TEMPLATES, ids=str)
def test_templates_can_be_read(template: Path) -> None:
    folder, name = template.parent, template.name
    if folder.name == "pages":  # the server's, with what the pages fetch
        folder, name = folder.parent, f"pages/{name}"
    _environment(".".join(folder.parts)).get_template(name)


def test_values_are_escaped_and_none_may_be_missing() -> None:
    shown = Figure.of(np.zeros((2, 2, 3), np.uint8), "a <caption>", "a 'text'")
    values = {"counts": {"<added>": 1}, "figures": [shown], "missing": [("x&y", "<why>")]}
    page = render("sam_backend.versions", "drawing.html", title="<title>", left=0, **values)
    for escaped in (
        "&lt;title&gt;",
        "&lt;added&gt;",
        "x&amp;y",
        "&lt;why&gt;",
        "a &lt;caption&gt;",
    ):
        assert escaped in page
    assert "data:image/png;base64," in page
    assert "more are not drawn" not in page
    with pytest.raises(UndefinedError, match="'left' is undefined"):
        render("sam_backend.versions", "drawing.html", title="", **values)
