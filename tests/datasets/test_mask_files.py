"""Folders of images and mask files, as the click benchmarks have them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_backend.datasets.mask_files import FOLDERS
from sam_backend.datasets.reading import NoDatasetError, read_dataset
from sam_backend.datasets.types import Dataset
from sam_backend.masks.rle import decode
from tests.datasets.making import SIZE, box, picture

LEFT, RIGHT = box(left=0, width=10), box(left=15, width=10)


def levels(*parts: tuple[np.ndarray, int]) -> np.ndarray:
    drawn = np.zeros(SIZE, np.uint8)
    for mask, level in parts:
        drawn[mask] = level
    return drawn


def written(
    folder: Path, drawn: np.ndarray, names: tuple[str, str] = ("images", "masks"), mode: str = "L"
) -> Path:
    """A folder with one image and its mask file."""
    picture(folder / names[0] / "one.jpg")
    (folder / names[1]).mkdir(exist_ok=True)
    image = Image.fromarray(drawn)
    if mode == "P":
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    image.save(folder / names[1] / "one.png")
    return folder


def masks(dataset: Dataset) -> list[tuple[np.ndarray, np.ndarray | None]]:
    (image,) = dataset
    return [
        (decode(one.rle), None if one.ignore is None else decode(one.ignore)) for one in image.masks
    ]


@pytest.mark.parametrize("names", FOLDERS)
def test_one_object(tmp_path: Path, names: tuple[str, str]) -> None:
    dataset = read_dataset(written(tmp_path / "GrabCut", levels((LEFT, 255)), names))
    assert (dataset.name, dataset.skipped) == ("GrabCut", {})
    ((mask, void),) = masks(dataset)
    assert np.array_equal(mask, LEFT)
    assert void is None


@pytest.mark.parametrize("level", [1, 255])
def test_128_is_void(tmp_path: Path, level: int) -> None:
    ((mask, void),) = masks(read_dataset(written(tmp_path, levels((LEFT, level), (RIGHT, 128)))))
    assert np.array_equal(mask, LEFT)
    assert np.array_equal(void, RIGHT)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_in_gt_all_that_is_not_black_is_the_object(tmp_path: Path, mode: str) -> None:
    drawn = levels((LEFT, 128 if mode == "L" else 1), (RIGHT, 2))
    ((mask, void),) = masks(read_dataset(written(tmp_path, drawn, ("img", "gt"), mode)))
    assert np.array_equal(mask, LEFT | RIGHT)
    assert void is None


@pytest.mark.parametrize("mode", ["L", "P"])
def test_other_numbers_are_objects_and_255_is_void(tmp_path: Path, mode: str) -> None:
    void = box(left=27, width=2)
    drawn = levels((LEFT, 1), (RIGHT, 2), (void, 255))
    first, second = masks(read_dataset(written(tmp_path, drawn, mode=mode)))
    assert np.array_equal(first[0], LEFT)
    assert np.array_equal(second[0], RIGHT)
    assert np.array_equal(first[1], void)


def test_deep_numbers_are_objects(tmp_path: Path) -> None:
    drawn = levels((LEFT, 1)).astype(np.uint16) + 700 * RIGHT.astype(np.uint16)
    assert len(masks(read_dataset(written(tmp_path, drawn)))) == 2


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        (levels((LEFT, 255), (RIGHT[:, ::-1] & ~LEFT, 17)), "is its edge blurred"),
        (np.dstack([levels((LEFT, 255))] * 2 + [levels((RIGHT, 9))]), "it is coloured"),
    ],
)
def test_what_could_mean_anything_is_left_out_and_told(
    tmp_path: Path, drawn: np.ndarray, told: str
) -> None:
    written(tmp_path, drawn)
    picture(tmp_path / "images" / "two.png", seed=1)
    Image.fromarray(levels((LEFT, 255))).save(tmp_path / "masks" / "two.bmp")
    Image.fromarray(levels((LEFT, 255))).save(tmp_path / "masks" / "three.png")
    (tmp_path / "masks" / "four.png").write_bytes(b"no picture")
    picture(tmp_path / "images" / "four.png", seed=4)
    dataset = read_dataset(tmp_path)
    assert [image.name for image in dataset] == ["two.png"]
    assert dataset.skipped["malformed mask"] == 2
    assert any(told in name for name in dataset.skipped.names("malformed mask"))
    assert dataset.skipped.names("mask without image") == ("three.png",)


def test_an_image_that_is_there_once_an_object_is_one_image(tmp_path: Path) -> None:
    written(tmp_path, levels((LEFT, 255)))
    picture(tmp_path / "images" / "one_a.jpg")
    Image.fromarray(levels((RIGHT, 255))).save(tmp_path / "masks" / "one_a.png")
    assert len(masks(read_dataset(tmp_path))) == 2


def test_masks_of_another_size_are_told(tmp_path: Path) -> None:
    written(tmp_path, levels((LEFT, 255))[:, :20].copy())
    picture(tmp_path / "images" / "two.png", seed=1)
    Image.fromarray(levels((LEFT, 255))).save(tmp_path / "masks" / "two.png")
    assert read_dataset(tmp_path).skipped["mask of another size than its image"] == 1


def test_a_folder_without_either_is_no_data_set(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "one.jpg")
    with pytest.raises(NoDatasetError, match="folders of images and masks"):
        read_dataset(tmp_path)
