"""What is exported is read back as it was, by us and by the field's own readers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from sam_backend.datasets.exporting import export_coco, export_sa1b
from sam_backend.datasets.image_files import examine
from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.masks.rle import encode
from tests.datasets.making import SIZE, box, dataset_of, image_of, picture


def labelled(label: str | None, annotator: str | None = None, **where: int) -> LabelledMask:
    return LabelledMask(encode(box(**where)), label, annotator)


def on_disk(folder: Path) -> Dataset:
    """Two pictures with boxes: three on the first, one on the second."""
    first = image_of(
        1, labelled("dog", "eve"), labelled("cat", "0", left=20, width=4), labelled(None)
    )
    second = image_of(2, labelled("dog", left=0, top=0, width=30, height=20))
    images = []
    for image in (first, second):
        path = picture(folder / image.name, seed=int(image.name[0]))
        images.append(LabelledImage(image.name, path, image.digest, SIZE, image.masks))
    return dataset_of(*images)


def drawn(dataset: Dataset) -> list[list[tuple[str | None, str | None, tuple[int, ...]]]]:
    """Label, annotator and run lengths of all masks, image by image."""
    return [
        [(mask.label, mask.annotator, tuple(mask.rle.counts)) for mask in image.masks]
        for image in dataset
    ]


def test_coco(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path / "images")
    file = tmp_path / "instances.json"
    assert export_coco(dataset, file) == 4
    content = json.loads(file.read_text())
    assert content["info"] == {"description": "made"}
    assert content["categories"] == [
        {"id": 1, "name": "cat"},
        {"id": 2, "name": "dog"},
        {"id": 3, "name": "object"},
    ]
    assert [(one["id"], one["file_name"]) for one in content["images"]] == [
        (1, "images/1.png"),
        (2, "images/2.png"),
    ]
    # the box of making.py: x 2 to 8, y 3 to 8
    first = content["annotations"][0]
    assert (first["bbox"], first["area"], first["iscrowd"]) == ([2, 3, 6, 5], 30, 0)
    assert [one["image_id"] for one in content["annotations"]] == [1, 1, 1, 2]
    coco = COCO(file)
    assert np.array_equal(coco.annToMask(coco.anns[1]), box())
    assert coco.loadCats(coco.anns[2]["category_id"])[0]["name"] == "cat"
    read = read_dataset(file)
    assert read.skipped == {}
    told = drawn(dataset)
    told[0][2] = ("object", *told[0][2][1:])
    assert drawn(read) == told


def test_sa1b(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path / "images")
    assert export_sa1b(dataset, tmp_path / "annotations") == 2
    files = sorted((tmp_path / "annotations").iterdir())
    assert [file.name for file in files] == ["1.json", "2.json"]
    content = json.loads(files[0].read_text())
    assert content["image"] == {
        "image_id": 1,
        "width": 30,
        "height": 20,
        "file_name": "../images/1.png",
    }
    assert [one["id"] for one in content["annotations"]] == [1, 2, 3]
    assert json.loads(files[1].read_text())["annotations"][0]["id"] == 4, "numbers are of the set"
    assert content["annotations"][1] == {
        "id": 2,
        "segmentation": content["annotations"][1]["segmentation"],
        "bbox": [20, 3, 4, 5],
        "area": 20,
    }
    read = read_dataset(tmp_path / "annotations")
    assert read.skipped == {}
    assert [[one[2] for one in image] for image in drawn(read)] == [
        [one[2] for one in image] for image in drawn(dataset)
    ]


@pytest.mark.parametrize(
    ("images", "name"),
    [("set", "1.png"), ("set/deep", "deep/1.png"), ("beside", "../beside/1.png"), (None, None)],
)
def test_images_are_named_by_where_they_lie_from_the_file(
    tmp_path: Path, images: str | None, name: str | None
) -> None:
    base = tmp_path / "base"
    folder = tmp_path / "elsewhere" if images is None else base / images
    dataset = dataset_of(image_of(1, folder=folder))
    export_coco(dataset, base / "set" / "instances.json")
    (told,) = json.loads((base / "set" / "instances.json").read_text())["images"]
    assert told["file_name"] == (name or str(folder / "1.png"))


def test_an_empty_mask_has_an_empty_box(tmp_path: Path) -> None:
    dataset = dataset_of(image_of(1, labelled("cat", width=0)))
    assert export_coco(dataset, tmp_path / "set.json") == 1
    (told,) = json.loads((tmp_path / "set.json").read_text())["annotations"]
    assert (told["bbox"], told["area"]) == ([0, 0, 0, 0], 0)


def test_a_set_without_images_is_a_file_without_them(tmp_path: Path) -> None:
    assert export_coco(dataset_of(), tmp_path / "set.json") == 0
    assert export_sa1b(dataset_of(), tmp_path / "annotations") == 0
    content = json.loads((tmp_path / "set.json").read_text())
    assert content["images"] == content["annotations"] == content["categories"] == []


def test_categories_keep_their_numbers_whatever_occurs(tmp_path: Path) -> None:
    """Those of the data set in its order, then strays by name, then masks without a label."""
    kinds = ("dog", "cat", "bird")

    def categories(*masks: LabelledMask) -> list[tuple[int, str]]:
        dataset = replace(dataset_of(image_of(1, *masks)), categories=kinds)
        export_coco(dataset, tmp_path / "set.json")
        told = json.loads((tmp_path / "set.json").read_text())["categories"]
        return [(one["id"], one["name"]) for one in told]

    fixed = [(1, "dog"), (2, "cat"), (3, "bird")]
    assert categories(labelled("cat")) == fixed
    assert categories(labelled("bird"), labelled("dog")) == fixed
    assert categories(labelled(None), labelled("zebra"), labelled("ape")) == [
        *fixed, (4, "ape"), (5, "zebra"), (6, "object"),
    ]  # fmt: skip


def test_negatives_stay(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path / "images")
    bare = replace(dataset.images[1], masks=())
    dataset = replace(dataset, images=(dataset.images[0], bare), categories=("dog",))
    assert export_coco(dataset, tmp_path / "set.json") == 3
    coco = COCO(tmp_path / "set.json")
    assert [len(coco.getAnnIds([number])) for number in coco.getImgIds()] == [3, 0]
    assert export_sa1b(dataset, tmp_path / "annotations") == 2
    told = json.loads((tmp_path / "annotations" / "2.json").read_text())
    assert told["annotations"] == []
    # our own reader wants masks to learn from, and says what it leaves out
    read = read_dataset(tmp_path / "set.json")
    assert (len(read), read.skipped) == (1, {"image without masks": 1})
    assert read.skipped.names("image without masks") == ("images/2.png",)


def test_a_mask_with_several_labels_keeps_them(tmp_path: Path) -> None:
    path = picture(tmp_path / "1.png")
    mask = replace(labelled("dog"), more_labels=("wet", "old"))
    image = replace(image_of(1, mask, labelled("cat")), path=path)
    dataset = replace(dataset_of(image), categories=("cat", "dog"))
    export_coco(dataset, tmp_path / "set.json")
    content = json.loads((tmp_path / "set.json").read_text())
    first, second = content["annotations"]
    assert (first["category_id"], first["labels"]) == (2, ["dog", "wet", "old"])
    assert "labels" not in second
    names = [one["name"] for one in content["categories"]]
    assert names == ["cat", "dog", "old", "wet"], "each label is a category"
    (read,) = read_dataset(tmp_path / "set.json")
    assert [one.labels for one in read.masks] == [("dog", "wet", "old"), ("cat",)]
    assert read_dataset(tmp_path / "set.json").categories == ("cat", "dog", "old", "wet")


def test_boxes_of_coco_and_sa1b_agree(tmp_path: Path) -> None:
    dataset = on_disk(tmp_path / "images")
    export_coco(dataset, tmp_path / "set.json")
    export_sa1b(dataset, tmp_path / "annotations")
    theirs = json.loads((tmp_path / "set.json").read_text())["annotations"]
    files = sorted((tmp_path / "annotations").iterdir())
    ours = [one for file in files for one in json.loads(file.read_text())["annotations"]]
    assert [one["bbox"] for one in ours] == [one["bbox"] for one in theirs]
    for one in ours:
        assert one["bbox"] == coco_mask.toBbox(one["segmentation"]).tolist()


def test_sa1b_files_of_images_that_share_a_name(tmp_path: Path) -> None:
    paths = ("a/cat.png", "b/Cat.jpg", "c/cat.png", "d/cat.png", "a/cat.png-6.png", "e/cat.png")
    images = [replace(image_of(number), path=tmp_path / name) for number, name in enumerate(paths)]
    assert export_sa1b(dataset_of(*images), tmp_path / "out") == 6
    names = {
        file.stem: json.loads(file.read_text())["image"]["file_name"]
        for file in (tmp_path / "out").iterdir()
    }
    assert names == {
        "cat": "../a/cat.png",
        "Cat.jpg": "../b/Cat.jpg",
        "cat.png": "../c/cat.png",
        "cat.png-4": "../d/cat.png",
        "cat.png-6": "../a/cat.png-6.png",
        "cat.png-6-2": "../e/cat.png",
    }


def test_void_pixels_stay_wherever_a_set_is_written(tmp_path: Path) -> None:
    void = encode(box(left=5))
    path = picture(tmp_path / "one.png")
    masks = (LabelledMask(encode(box()), ignore=void), LabelledMask(encode(box(left=12))))
    dataset = dataset_of(LabelledImage(path.name, path, examine(path).digest, SIZE, masks))
    export_coco(dataset, tmp_path / "coco.json")
    export_sa1b(dataset, tmp_path / "sa1b")
    write_manifest(dataset, tmp_path / "set.jsonl")
    assert (
        dataset.digest
        != replace(
            dataset,
            images=(replace(dataset.images[0], masks=(LabelledMask(encode(box())), masks[1])),),
        ).digest
    )
    for written in ("coco.json", "sa1b", "set.jsonl"):
        images = tmp_path if written == "sa1b" else None
        (image,) = read_dataset(tmp_path / written, images)
        assert [None if m.ignore is None else m.ignore.counts.tolist() for m in image.masks] == [
            void.counts.tolist(),
            None,
        ], written
