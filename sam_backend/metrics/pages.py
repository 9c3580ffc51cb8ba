"""HTML pages of reports, each one file that fetches nothing: templates, and pictures within."""

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import cv2
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from sam_backend.json_form import words
from sam_backend.metrics.drawing import Picture


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture on a page.

    Attributes:
        png: The picture as the bytes of a PNG file.
        caption: What it shows, for those who cannot see it.
        text: Stands below it; may be empty.
    """

    png: bytes
    caption: str
    text: str = ""

    @classmethod
    def of(cls, pixels: Picture, caption: str, text: str = "") -> Self:
        """A figure of RGB pixels, shape (H, W, 3)."""
        return cls(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes(), caption, text)

    @property
    def address(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def render(package: str, template: str, **values: object) -> str:
    """Fill a template; every value is escaped.

    Args:
        package: Package in whose folder the template lies, such as `sam_backend.server`.
        template: Its file's name. It may extend `base.html` and import `parts.html`, which lie
            beside this module.
        values: What the template names.
    """
    return _environment(package).get_template(template).render(values)


@lru_cache
def _environment(package: str) -> Environment:
    folders = [PackageLoader(name, ".") for name in (package, __package__)]
    environment = Environment(
        loader=ChoiceLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["words"] = words
    return environment


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
