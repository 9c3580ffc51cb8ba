"""The labelling templates of `examples/labelling`, one for each kind of output."""

from pathlib import Path

from sam_backend.errors import LabelConfigError

_PACKAGE = Path(__file__).parents[2]
_FOLDERS = (
    _PACKAGE / "labelling",  # in the wheel
    _PACKAGE.parent / "examples" / "labelling",  # in the source tree
)


def template(name: str) -> str:
    """The labelling configuration (XML) called `name`: brush, polygon, rectangle or bitmask."""
    for folder in _FOLDERS:
        path = folder / f"{name}.xml"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    known = sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.xml")})
    raise LabelConfigError(f"there is no labelling template {name!r}, only {known}")
