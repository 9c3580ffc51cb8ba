"""SA-1B's files, one by one and a folder of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from sam_backend.datasets.sa1b import read_sa1b
from sam_backend.errors import InvalidInputError
from tests.datasets.making import box, picture, runs


def document(number: int, **fields: Any) -> dict[str, Any]:
    image = {"image_id": number, "width": 30, "height": 20, "file_name": f"sa_{number}.jpg"}
    annotation = {
        "id": 1,
        "segmentation": runs(box()),
        "bbox": [2, 3, 6, 5],
        "area": 30,
        "predicted_iou": 0.9,
        "stability_score": 0.97,
        "crop_box": [0, 0, 30, 20],
        "point_coords": [[4, 5]],
    }
    return {"image": image, "annotations": [annotation], **fields}


def written(folder: Path, number: int, **fields: Any) -> Path:
    picture(folder / f"sa_{number}.jpg", seed=number)
    file = folder / f"sa_{number}.json"
    file.write_text(json.dumps(document(number, **fields)))
    return file


def test_one_file(tmp_path: Path) -> None:
    dataset = read_sa1b(written(tmp_path, 4))
    (image,) = dataset.images
    assert (dataset.name, dataset.licence, dataset.skipped) == ("sa_4", None, {})
    assert (image.name, image.path, image.size) == ("sa_4.jpg", tmp_path / "sa_4.jpg", (20, 30))
    (mask,) = image.masks
    assert (mask.rle.area_px, mask.label, mask.annotator) == (30, None, None)


def test_a_folder_in_the_order_of_names(tmp_path: Path) -> None:
    folder = tmp_path / "sa_000020"
    for number in (3, 1, 2):
        written(folder, number)
    dataset = read_sa1b(folder)
    assert dataset.name == "sa_000020"
    assert [image.name for image in dataset] == ["sa_1.jpg", "sa_2.jpg", "sa_3.jpg"]


def test_images_in_another_folder(tmp_path: Path) -> None:
    file = written(tmp_path / "set", 1)
    (tmp_path / "set" / "sa_1.jpg").rename(picture(tmp_path / "images" / "sa_1.jpg"))
    for path in (file, tmp_path / "set"):
        assert len(read_sa1b(path, tmp_path / "images")) == 1
        assert read_sa1b(path).skipped == {"missing image": 1}
        assert read_sa1b(path).skipped.names("missing image") == ("sa_1.jpg, with 1 masks",)


def test_damage_is_counted_and_the_others_stay(tmp_path: Path) -> None:
    written(tmp_path, 1)
    (tmp_path / "sa_2.json").write_text("{")
    (tmp_path / "sa_3.json").write_text('{"image": {}, "annotations": []}')
    written(tmp_path, 4, annotations=[])
    whole = document(5)["annotations"]
    empty, other = runs(box(width=0)), runs(box(size=(30, 20)))
    bad = [{"segmentation": segmentation} for segmentation in (empty, other, 3)]
    written(tmp_path, 5, annotations=[*bad, "mask", *whole])
    written(tmp_path, 6)
    (tmp_path / "sa_6.jpg").write_bytes(b"no image")
    dataset = read_sa1b(tmp_path)
    assert [image.name for image in dataset] == ["sa_1.jpg", "sa_5.jpg"]
    assert dataset.n_masks == 2
    assert dataset.skipped == {
        "malformed record": 2,
        "image without masks": 1,
        "empty mask": 1,
        "mask of another size than its image": 1,
        "malformed mask": 2,
        "unreadable image": 1,
    }


@pytest.mark.parametrize("content", ["[]", "{}", '{"image": {"file_name": 3}, "annotations": []}'])
def test_another_kind_of_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "sa_1.json"
    file.write_text(content)
    with pytest.raises(InvalidInputError, match=r"sa_1\.json .* no SA-1B file"):
        read_sa1b(file)


def test_a_folder_without_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="holds no JSON file"):
        read_sa1b(tmp_path)
