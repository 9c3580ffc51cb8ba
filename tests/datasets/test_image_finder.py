"""Images are found by names of other machines and tools, and never by a guess."""

from pathlib import Path

import pytest

from sam_backend.datasets.image_finder import ImageFinder


def laid_out(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"")


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        (["a.jpg"], "a.jpg", "a.jpg"),
        (["deep/a.jpg", "a.jpg"], "deep/a.jpg", "deep/a.jpg"),
        (["deep/a.jpg"], r"deep\a.jpg", "deep/a.jpg"),
        (["a.jpg"], r"C:\Users\eva\data\a.jpg", "a.jpg"),
        (["train/a.jpg", "val/a.jpg"], r"D:\set\train\a.jpg", "train/a.jpg"),
        (["a.jpg"], "/home/eva/set/a.jpg", "a.jpg"),
        (["a.jpg"], "images/a.jpg", "a.jpg"),  # the folder was given twice over
        (["some/where/a.jpg"], "a.jpg", "some/where/a.jpg"),
        (["x/train/a.jpg", "x/val/a.jpg"], "other/val/a.jpg", "x/val/a.jpg"),
        (["a\\b.jpg"], "a\\b.jpg", "a\\b.jpg"),  # a Linux file may be called so
        (["Ä ö.jpg"], "bilder/Ä ö.jpg", "Ä ö.jpg"),
    ],
)
def test_found(tmp_path: Path, files: list[str], name: str, found: str) -> None:
    laid_out(tmp_path, *files)
    assert ImageFinder([tmp_path], [name]).find(name) == tmp_path / found


@pytest.mark.parametrize(
    ("files", "names", "name"),
    [
        (["b.jpg"], ["a.jpg"], "a.jpg"),
        (["train/a.jpg", "val/a.jpg"], ["a.jpg"], "a.jpg"),  # which of them?
        (["a.jpg"], ["train/a.jpg", "val/a.jpg"], "train/a.jpg"),  # and for which of the two?
        (["x/a.jpg"], ["train/a.jpg", "val/a.jpg"], "val/a.jpg"),
        ([".hidden/a.jpg"], ["a.jpg"], "a.jpg"),
        (["a.jpg"], ["n" * 300], "n" * 300),
        (["a.jpg"], ["a\0b"], "a\0b"),
        (["a.jpg"], [".."], ".."),
    ],
)
def test_not_found(tmp_path: Path, files: list[str], names: list[str], name: str) -> None:
    laid_out(tmp_path, *files)
    assert ImageFinder([tmp_path], names).find(name) == tmp_path / name
