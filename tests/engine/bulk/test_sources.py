"""Where images are: folders, globs, lists, fsspec's addresses; lost files and lost shares."""

from pathlib import Path

import fsspec
import pytest

from sam_backend.engine.bulk.sources import ImageReader, list_images, name_of
from sam_backend.errors import ImageFetchError, InvalidInputError, SourceError
from sam_backend.settings import Settings


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
        ("/nowhere/at/all", "there is no folder, glob or list file"),
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
