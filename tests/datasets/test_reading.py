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
    (tmp_path / "set").mkdir()
    file = file.rename(tmp_path / "set" / file.name)
    assert read_dataset(file, tmp_path).images[0].path.parent == tmp_path
    reason = rf"no image of .* can be used: 1 x missing image \({image.name}, with 1 masks\)"
    with pytest.raises(InvalidInputError, match=reason):
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
    refused(coco(folder, images=[], annotations=[]), "can be used: it lists none")
    (folder / "list.json").write_text("[]")
    refused(folder / "list.json", r"list\.json is no data set: our manifest .* expected")
    (folder / "text.txt").write_text("text")
    refused(folder / "text.txt", r"text\.txt is no JSON file")


LAYOUTS = {
    "COCO": ("annotations/instances_val.json", "val/1.png", "1.png"),
    "CVAT": ("annotations/instances_default.json", "images/default/1.png", "1.png"),
    "CVAT, older": ("annotations/instances_default.json", "images/1.png", "1.png"),
    "Roboflow": ("train/_annotations.coco.json", "train/1.png", "1.png"),
    "Label Studio": ("result.json", "images/1.png", "images\\1.png"),
    "from Windows": ("set/labels.json", "set/1.png", "C:\\data\\pictures\\1.png"),
}


@pytest.mark.parametrize(("file", "image", "name"), LAYOUTS.values(), ids=LAYOUTS)
def test_folders_as_other_tools_make_them(tmp_path: Path, file: str, image: str, name: str) -> None:
    """Floats for ids and sizes, too: pandas and JavaScript write them."""
    picture(tmp_path / image)
    document = {
        "images": [{"id": 1.0, "file_name": name, "height": 20.0, "width": 30.0}],
        "annotations": [
            {"id": 4.0, "image_id": 1, "category_id": 7, "segmentation": [2, 3, 8, 3, 8, 8, 2, 8]}
        ],
        "categories": [{"id": 7.0, "name": "cat"}],
    }
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(json.dumps(document))
    for path in (tmp_path, tmp_path / file):
        (found,) = read_dataset(path)
        assert found.path == tmp_path / image
        assert [(mask.label, mask.rle.area_px) for mask in found.masks] == [("cat", 30)]


def test_several_parts_are_named_with_their_folders(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        (tmp_path / part).mkdir()
        coco(tmp_path / part, "_annotations.coco.json")
    reason = r"2 data sets, name one of them: train/_anno.*, valid/_anno"
    with pytest.raises(InvalidInputError, match=reason):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path / "valid").n_masks == 1


def test_sa1b_in_subfolders(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        folder = tmp_path / f"sa_{number // 2:06}"
        folder.mkdir(exist_ok=True)
        sa1b(folder, number)
    dataset = read_dataset(tmp_path)
    assert (len(dataset), dataset.n_masks, dataset.skipped) == (3, 3, {})
    pictures = tmp_path.parent / f"{tmp_path.name}-pictures"
    for image in dataset:
        image.path.rename(picture(pictures / "deep" / image.path.name))
    assert len(read_dataset(tmp_path, pictures)) == 3


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    file = coco(tmp_path)
    content = json.loads(file.read_text())
    content["images"].append({"id": 2, "file_name": "gone.png"})
    content["annotations"] += [{**content["annotations"][0], "id": 9, "image_id": 2}] * 2
    content["annotations"].append({**content["annotations"][0], "id": 10, "segmentation": []})
    file.write_text(json.dumps(content))
    dataset = read_dataset(file)
    assert dataset.skipped.names("missing image") == ("gone.png, with 2 masks",)
    (name,) = dataset.skipped.names("malformed mask")
    assert name.endswith("mask 10: it has no segmentation, only a box")
