"""Names of files as text, and back: Linux's names are bytes."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_backend.datasets.image_files import examine, path_named, readable_name
from sam_backend.errors import ImageDecodeError

NAMES = [
    (b"na\xefve.png", "na\\xefve.png"),
    (b"a\nb\t.png", "a\\x0ab\\x09.png"),
    ("größe 日本.png".encode(), "größe 日本.png"),
    (b"100%25.png", "100%25.png"),
    (b"\\xef.png", "\\xef.png"),
]


@pytest.mark.parametrize(("name", "text"), NAMES)
def test_names_are_text_that_leads_back_to_the_file(tmp_path: Path, name: bytes, text: str) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(name)
    told = readable_name(path)
    assert Path(told).name == text
    assert told.encode("utf-8")
    assert path_named(told).read_bytes() == name


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=20))
def test_no_name_is_lost(name: bytes) -> None:
    if b"\x00" in name or b"/" in name or b"\\x" in name or name in (b".", b".."):
        return
    told = readable_name(os.fsdecode(name))
    assert os.fsencode(path_named(told)) == name
    assert told.isprintable() or any(ord(letter) >= 0x80 for letter in told)


def test_half_of_a_character_is_shown_too() -> None:
    assert readable_name("a\ud800.png").encode("utf-8")


def test_errors_can_be_printed(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"na\xefve.png")
    with pytest.raises(FileNotFoundError, match="no image file") as missing:
        examine(path)
    assert str(missing.value).encode("utf-8")
    path.write_bytes(b"<svg/>")
    with pytest.raises(ImageDecodeError, match="SVG drawing"):
        examine(path)
