"""Names of files as text, and back: Linux's names are bytes."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sam_backend.datasets.image_files import examine, path_named, readable_name
from sam_backend.datasets.manifest import read_manifest, write_manifest
from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import ImageDecodeError
from sam_backend.masks.rle import encode
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.gold import Gold, GoldImage

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


def test_a_data_set_in_such_a_folder_becomes_gold(tmp_path: Path) -> None:
    """Names go into the database, and into a manifest that leads back to the file."""
    folder = tmp_path / os.fsdecode(b"Daten \xfc")
    folder.mkdir()
    odd = folder / os.fsdecode(b"na\xefve.png")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(odd)
    mask = LabelledMask(encode(np.ones((8, 9), np.bool_)), "all")
    image = LabelledImage(odd.name, odd, examine(odd).digest, (8, 9), (mask,))
    data = Dataset(folder.name, (image,))
    assert (data.name, image.name) == ("Daten \\xfc", "na\\xefve.png")
    write_manifest(data, folder / "data.jsonl")
    (again,) = read_manifest(folder / "data.jsonl")
    assert read_pixels(again).shape == (8, 9, 3)
    gold = Gold(open_database(Settings(data_dir=tmp_path)))
    gold.put(GoldImage(again, data.name))
    assert [one.labelled.name for one in gold.images()] == [image.name]
