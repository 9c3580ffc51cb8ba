"""Plain HTML pages of reports: one file, no script, nothing fetched."""

import base64
from collections.abc import Sequence
from html import escape

import cv2

from sam_backend.metrics.drawing import Picture

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; color: #222;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th { text-align: left; }
td, th { padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #ddd; }
.verdict { font-size: 1.5rem; padding: .6rem 1rem; border-radius: .4rem; color: #fff; }
.accept { background: #2e7d32; } .reject { background: #b71c1c; } .continue { background: #8a6d00; }
.failed { color: #b71c1c; font-weight: 600; }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; max-width: 100%; }
figure img { max-width: 100%; } figcaption { font-size: .8rem; max-width: 280px; }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts that are HTML already."""
    shown = escape(title)
    return "\n".join(
        [
            "<!doctype html><html lang='en'><meta charset='utf-8'>",
            "<meta name='viewport' content='width=device-width'>",
            f"<title>{shown}</title><style>{_STYLE}</style><h1>{shown}</h1>",
            *parts,
            "",
        ]
    )


def table(
    heads: Sequence[tuple[str, ...]], rows: Sequence[tuple[str, ...]], is_html: bool = False
) -> str:
    """A table of texts, or of HTML in its rows."""
    lines = ["<table>"]
    lines += [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>" for head in heads]
    for row in rows:
        cells = "".join(f"<td>{cell if is_html else escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</table>"])


def figure(png: bytes, caption: str, text: str = "") -> str:
    """A picture; `caption` is its alternative text too, `text` stands below it."""
    data = base64.b64encode(png).decode()
    below = f"<figcaption>{escape(text)}</figcaption>" if text else ""
    return (
        f"<figure><img alt='{escape(caption, quote=True)}' src='data:image/png;base64,{data}'>"
        f"{below}</figure>"
    )


def picture(pixels: Picture, caption: str, text: str = "") -> str:
    """`figure` of RGB pixels."""
    return figure(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes(), caption, text)
