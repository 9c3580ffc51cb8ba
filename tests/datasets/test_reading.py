"""Every format is told by what it holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.reading import read_dataset
from sam_backend.errors import InvalidInputError
from tests.datasets.making import box, picture, runs


def coco(folder: Path, name: str = "set.json", **fields: Any) -> Path:
    picture(folder / "one.png")
    content = {
        "images": [{"id": 1, "file_name": "one.png"}],
        "annotations": [{"image_id": 1, "segmentation": runs(box())}],
        **fields,
    }
    (folder / name).write_text(json.dumps(content))
    return folder / name


def sa1b(folder: Path, number: int = 1) -> Path:
    picture(folder / f"sa_{number}.jpg")
    content = {
        "image": {"file_name": f"sa_{number}.jpg", "height": 20, "width": 30},
        "annotations": [{"segmentation": runs(box())}],
    }
    (folder / f"sa_{number}.json").write_text(json.dumps(content))
    return folder / f"sa_{number}.json"


def manifest(folder: Path, name: str = "set.jsonl") -> Path:
    dataset = read_dataset(coco(folder / "source"))
    write_manifest(dataset, folder / name)
    return folder / name


FORMATS = pytest.mark.parametrize("make", [coco, sa1b, manifest])


@FORMATS
def test_a_file_of_each_format(tmp_path: Path, make: Any) -> None:
    assert read_dataset(make(tmp_path)).n_masks == 1


@FORMATS
def test_a_folder_that_holds_one(tmp_path: Path, make: Any) -> None:
    make(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"loss": 1}\n')
    for folder in ("folder.jsonl", "folder.json"):
        (tmp_path / folder).mkdir()
    assert read_dataset(tmp_path).n_masks == 1


def test_a_folder_of_many_sa1b_files(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{")
    for number in (1, 2):
        sa1b(tmp_path, number)
    dataset = read_dataset(tmp_path)
    assert (len(dataset), dataset.skipped) == (2, {"malformed record": 1})


@pytest.mark.parametrize("make", [coco, sa1b])
def test_images_elsewhere(tmp_path: Path, make: Any) -> None:
    file = make(tmp_path)
    (image,) = (path for path in tmp_path.iterdir() if path != file)
    (tmp_path / "images").mkdir()
    image.rename(tmp_path / "images" / image.name)
    assert read_dataset(file, tmp_path / "images").images[0].path.parent == tmp_path / "images"
    with pytest.raises(InvalidInputError, match=r"no image of .* can be used \(missing image: 1\)"):
        read_dataset(file)


def test_what_is_no_data_set_is_named(tmp_path: Path) -> None:
    def refused(path: Path, reason: str, images: Path | None = None) -> None:
        with pytest.raises(InvalidInputError, match=reason):
            read_dataset(path, images)

    refused(tmp_path / "none", "there is no data set .*none")
    refused(tmp_path, "holds no data set: our manifest .* expected")
    refused(manifest(tmp_path), r"set\.jsonl is a manifest, which names", images=tmp_path)
    refused(tmp_path, "there is no folder of images .*none", images=tmp_path / "none")
    manifest(tmp_path, "other.jsonl")
    refused(tmp_path, r"holds 2 data sets, name one of them: other\.jsonl, set\.jsonl")
    folder = tmp_path / "coco"
    folder.mkdir()
    coco(folder, "a.json")
    coco(folder, "b.json")
    refused(folder, r"holds 2 data sets, name one of them: a\.json, b\.json")
    refused(coco(folder, images=[], annotations=[]), "can be used .it lists none")
    (folder / "list.json").write_text("[]")
    refused(folder / "list.json", r"list\.json is no data set: our manifest .* expected")
    (folder / "text.txt").write_text("text")
    refused(folder / "text.txt", r"text\.txt is no JSON file")
