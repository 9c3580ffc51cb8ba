"""Where images are: folders, globs, lists, fsspec's addresses; lost files and lost shares."""

import os
from pathlib import Path

import fsspec
import pytest

from sam_backend.errors import ImageFetchError, InvalidInputError, SourceError
from sam_backend.fully_automatic.addresses import LocalFileAddresses, PrefixAddresses
from sam_backend.fully_automatic.sources import ImageReader, list_images, name_of
from sam_backend.settings import Settings
from sam_backend.store.shards import ImageMasks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.JPG", "a/1.png", "a/notes.txt", "3.webp"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "images"


def names(source: str) -> list[str]:
    listing = list_images(source, Settings())
    return [name_of(uri, listing.root) for uri in listing.uris]


def test_folders_globs_and_lists(folder: Path) -> None:
    assert names(str(folder)) == ["3.webp", "a/1.png", "b/2.JPG"]
    assert names(f"{folder}/*/*.[pJ]*") == ["a/1.png", "b/2.JPG"]
    assert names(f"{folder}/**/*.png") == ["a/1.png"]
    (folder / "list.txt").write_text(
        "b/2.JPG\n# not this\n\na/notes.txt\nmemory://x/1.png\nb/2.JPG"
    )
    assert names(f"{folder}/list.txt") == ["b/2.JPG", "a/notes.txt", "memory://x/1.png"]


def test_addresses_of_fsspec() -> None:
    files = fsspec.filesystem("memory")
    files.pipe({"/bucket/x/1.png": b"1", "/bucket/y/2.jpg": b"22", "/bucket/y/2.json": b"{}"})
    assert names("memory://bucket") == ["x/1.png", "y/2.jpg"]
    assert names("memory://bucket/*/*.png") == ["x/1.png"]
    listing = list_images("memory://bucket/", Settings())
    reader = ImageReader(Settings(), listing.root)
    assert [reader.read(uri) for uri in listing.uris] == [b"1", b"22"]
    with pytest.raises(ImageFetchError, match="is not there"):
        reader.read("memory://bucket/x/9.png")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("/nowhere/at/all", "there is no folder, glob, image or list file"),
        ("nosuch://bucket", "cannot be opened"),
        ("s3://bucket", "needs a package that is not here"),
        ("labelstudio://seven", "a project is written labelstudio://<number>"),
    ],
)
def test_wrong_sources(source: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        list_images(source, Settings())


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has no image"):
        list_images(str(tmp_path), Settings())
    for name in ("a.NEF", "b.nef", "readme"):
        (tmp_path / name).write_bytes(b"1")
    with pytest.raises(InvalidInputError, match=r"no image .*, but 2 \.nef, 1 without a suffix"):
        list_images(str(tmp_path), Settings())


def test_what_is_left_out_is_counted(folder: Path) -> None:
    for name in ("x.heic", "x.JFIF", "x.jpe", "x.svg", "x.avif", "x.raw", "y.raw"):
        (folder / name).write_bytes(b"1")
    listing = list_images(str(folder), Settings())
    assert len(listing.uris) == 3 + 5
    assert listing.others == {".raw": 2, ".txt": 1}


def test_one_image_is_a_source(folder: Path) -> None:
    assert names(str(folder / "b" / "2.JPG")) == ["2.JPG"]
    (folder / "film.mp4").write_bytes(b"\x00\x00\x00\x18ftypisom")
    with pytest.raises(InvalidInputError, match=r"neither an image .* nor a text file"):
        list_images(str(folder / "film.mp4"), Settings())


def test_names_that_are_no_utf8_cost_nobody_anything(folder: Path) -> None:
    odd = folder / os.fsdecode(b"na\xefve\n.png")
    odd.write_bytes(b"odd")
    listing = list_images(str(folder), Settings())
    reader = ImageReader(Settings(), listing.root)
    told = {name_of(uri, listing.root): reader.read(uri) for uri in listing.uris}
    assert told.pop("na\\xefve\\x0a.png") == b"odd"
    assert told == {name: name.encode() for name in ("3.webp", "a/1.png", "b/2.JPG")}
    (folder / "list.txt").write_bytes(b"b/2.JPG\r\nna\xefve.png\r\ngone.png\n")
    (folder / os.fsdecode(b"na\xefve.png")).write_bytes(b"listed")
    listing = list_images(f"{folder}/list.txt", Settings())
    assert [reader.read(uri) for uri in listing.uris[:2]] == [b"b/2.JPG", b"listed"]
    with pytest.raises(ImageFetchError, match=r"gone\.png is not there"):
        reader.read(listing.uris[2])


def test_a_folder_with_such_a_name_is_a_source(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xfcber")
    folder.mkdir()
    (folder / "1.png").write_bytes(b"1")
    listing = list_images(str(folder), Settings())
    assert listing.root.endswith("\\xfcber/")
    assert ImageReader(Settings(), listing.root).read(listing.uris[0]) == b"1"
    with pytest.raises(ImageFetchError, match="is not there any more"):
        ImageReader(Settings(), listing.root).read(listing.root + "2.png")
    address = PrefixAddresses("http://images.example", listing.root)
    row = ImageMasks(0, listing.uris[0], "d", None, None, "m", "s", None, ())
    assert address.of([row]) == ["http://images.example/1.png"]
    local = LocalFileAddresses(tmp_path)
    assert local.of([row]) == ["/data/local-files/?d=%FCber/1.png"]


def test_a_name_that_is_too_long_is_that_files_own_fault(folder: Path) -> None:
    reader = ImageReader(Settings(), f"{folder}/", lambda pause_s: pytest.fail("waited"))
    with pytest.raises(ImageFetchError, match="cannot be read: File name too long"):
        reader.read(f"{folder}/{'x' * 300}.png")


def test_a_lost_file_is_told_and_a_lost_share_waited_for(folder: Path) -> None:
    pauses: list[float] = []
    reader = ImageReader(Settings(), f"{folder}/", pauses.append)
    (folder / "3.webp").unlink()
    with pytest.raises(ImageFetchError, match=r"3\.webp is not there any more"):
        reader.read(str(folder / "3.webp"))
    assert not pauses
    away = folder.with_name("away")
    folder.rename(away)
    with pytest.raises(SourceError, match="is empty or gone; the same command goes on"):
        reader.read(str(folder / "a/1.png"))
    assert pauses == [1, 4, 10]

    def come_back(pause_s: float) -> None:
        away.rename(folder)

    assert ImageReader(Settings(), f"{folder}/", come_back).read(str(folder / "a/1.png"))
