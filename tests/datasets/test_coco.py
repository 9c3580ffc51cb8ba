"""COCO files, whole and with every kind of damage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam_backend.datasets.coco import read_coco
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import decode
from tests.datasets.making import box, picture, runs

BSDS = Path(__file__).parents[3] / "shared" / "data" / "bsds500"


def annotation(image_id: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 7, "segmentation": runs(box()), **fields}


def document(**fields: Any) -> dict[str, Any]:
    return {
        "images": [{"id": 1, "file_name": "one.png", "height": 20, "width": 30}],
        "annotations": [annotation()],
        "categories": [{"id": 7, "name": "cat"}, {"id": 8, "name": "dog"}],
        **fields,
    }


def written(folder: Path, content: dict[str, Any]) -> Path:
    """The file `set.json`, and its image beside it."""
    picture(folder / "one.png")
    file = folder / "set.json"
    file.write_text(json.dumps(content))
    return file


def test_what_is_read(tmp_path: Path) -> None:
    annotations = [
        annotation(annotator=0),
        annotation(category_id=8, annotator="eve", iscrowd=1),
        annotation(category_id=9, segmentation=[[0, 0, 30, 0, 30, 20, 0, 20]]),
    ]
    dataset = read_coco(written(tmp_path, document(annotations=annotations)))
    (image,) = dataset.images
    assert (dataset.name, dataset.skipped, dataset.licence) == ("set", {}, None)
    assert (image.name, image.path, image.size) == ("one.png", tmp_path / "one.png", (20, 30))
    found = [(mask.label, mask.annotator, mask.rle.area_px) for mask in image.masks]
    assert found == [("cat", "0", 30), ("dog", "eve", 30), (None, None, 600)]
    assert np.array_equal(decode(image.masks[0].rle), box())


@pytest.mark.parametrize(
    "told", [runs(box(left=4)), [[4, 3, 10, 3, 10, 8, 4, 8]], runs(box(left=4)) | {"counts": 0}]
)
def test_void_pixels_are_read(tmp_path: Path, told: Any) -> None:
    dataset = read_coco(
        written(tmp_path, document(annotations=[annotation(ignore=told), annotation()]))
    )
    found = [mask.ignore for mask in dataset.images[0].masks]
    if isinstance(told, dict) and told["counts"] == 0:  # damaged: not read as if nothing were void
        assert (found, dataset.skipped) == ([None], {"malformed mask": 1})
    else:
        assert found[1] is None
        assert found[0] is not None
        assert np.array_equal(decode(found[0]), box(left=4))


@pytest.mark.parametrize("flag", [0, 1, None, False, {}, []])
def test_a_flag_named_ignore_is_no_void_pixel(tmp_path: Path, flag: Any) -> None:
    dataset = read_coco(written(tmp_path, document(annotations=[annotation(ignore=flag)])))
    assert [mask.ignore for mask in dataset.images[0].masks] == [None]


BAD_ANNOTATIONS: list[tuple[Any, str]] = [
    (annotation(segmentation=runs(box(width=0))), "empty mask"),
    (annotation(segmentation=runs(box(width=3))), "mask too small"),
    (annotation(segmentation=runs(box(size=(30, 20)))), "mask of another size than its image"),
    (annotation(segmentation={"size": [20, 30], "counts": [5]}), "malformed mask"),
    (annotation(ignore=runs(box())), "mask of void pixels only"),
    (annotation(ignore=runs(box(size=(30, 20)))), "mask of another size than its image"),
    (annotation(segmentation=[[1, 2]]), "malformed mask"),
    (annotation(segmentation=None), "malformed mask"),
    ({"image_id": 1}, "malformed mask"),
    (annotation(image_id=2), "mask without image"),
    (annotation(image_id=None), "malformed record"),
    (annotation(image_id=[1]), "malformed record"),
    ("mask", "malformed record"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ANNOTATIONS)
def test_a_bad_annotation_is_counted_and_the_others_stay(
    tmp_path: Path, bad: Any, reason: str
) -> None:
    content = document(annotations=[annotation(), bad, annotation()])
    dataset = read_coco(written(tmp_path, content))
    assert (dataset.n_masks, dataset.skipped) == (2, {reason: 1})


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("two.png", "missing image"),
        (".", "missing image"),
        ("a\0b", "missing image"),
        ("n" * 300, "unreadable image"),
        ("set.json", "unreadable image"),
    ],
)
def test_a_bad_image_is_counted_and_the_others_stay(
    tmp_path: Path, file_name: str, reason: str
) -> None:
    images = [*document()["images"], {"id": 2, "file_name": file_name}]
    content = document(images=images, annotations=[annotation(), annotation(2)])
    dataset = read_coco(written(tmp_path, content))
    assert (dataset.n_masks, dataset.skipped) == (1, {reason: 1})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"id": 3, "file_name": "one.png"}, "image without masks"),
        ({"id": 1, "file_name": "one.png"}, "image without masks"),  # the first has them
        ({"id": 3}, "malformed record"),
        ({"file_name": "one.png"}, "malformed record"),
        (None, "malformed record"),
    ],
)
def test_a_bad_image_record_is_counted_and_the_others_stay(
    tmp_path: Path, bad: Any, reason: str
) -> None:
    content = document(images=[*document()["images"], bad])
    dataset = read_coco(written(tmp_path, content))
    assert (dataset.n_masks, dataset.skipped) == (1, {reason: 1})


def test_an_image_whose_masks_are_all_bad_is_left_out(tmp_path: Path) -> None:
    content = document(annotations=[annotation(segmentation=runs(box(width=0)))])
    dataset = read_coco(written(tmp_path, content))
    assert dataset.skipped == {"empty mask": 1, "image without masks": 1}
    assert dataset.images == ()


def test_polygons_of_an_image_that_was_scaled_are_of_another_size(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "one.png", "height": 40, "width": 60}]
    square = [2, 3, 8, 3, 8, 8, 2, 8]
    annotations = [annotation(), annotation(segmentation=[square])]
    dataset = read_coco(written(tmp_path, document(images=images, annotations=annotations)))
    assert (dataset.n_masks, dataset.skipped) == (1, {"mask of another size than its image": 1})


def test_sizes_are_upright(tmp_path: Path) -> None:
    file = written(
        tmp_path, document(annotations=[annotation(segmentation=runs(box(size=(30, 20))))])
    )
    picture(tmp_path / "one.png", (20, 30), turn=6)
    assert read_coco(file).images[0].size == (30, 20)


@pytest.mark.parametrize("place", ["given", "set", "."])
def test_where_images_are_looked_for(tmp_path: Path, place: str) -> None:
    file = written(tmp_path, document())
    (tmp_path / "one.png").rename(picture(tmp_path / place / "one.png"))
    dataset = read_coco(file, images=tmp_path / "given" if place == "given" else None)
    assert dataset.images[0].path == tmp_path / place / "one.png"


@pytest.mark.parametrize(
    ("licences", "told"),
    [
        (None, None),
        ([], None),
        ("CC0", None),
        ([{"id": 1, "name": "CC-BY-4.0"}], "CC-BY-4.0"),
        ([{"id": 1, "name": "CC-BY-4.0"}, {"id": 2, "name": "CC0-1.0"}], None),
        ([{"id": 1, "name": None}], None),
    ],
)
def test_the_one_licence_is_told(tmp_path: Path, licences: Any, told: str | None) -> None:
    assert read_coco(written(tmp_path, document(licenses=licences))).licence == told


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no JSON file"),
        (b"{", "no JSON file"),
        (b"\xff\xfe\x00", "no JSON file"),
        (b"[" * 100_000, "no JSON file"),
        (b"[]", "no COCO file"),
        (b'{"images": []}', "no COCO file"),
        (b'{"images": {}, "annotations": []}', "no COCO file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "set.json"
    file.write_bytes(content)
    with pytest.raises(InvalidInputError, match=reason) as caught:
        read_coco(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"set\.json cannot be read: No such file"):
        read_coco(tmp_path / "set.json")


fields = st.sampled_from(["id", "image_id", "file_name", "size", "counts", "segmentation"])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(fields, inner),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(record=anything, segmentation=anything, field=anything)
def test_no_record_harms_the_others(
    tmp_path: Path, record: Any, segmentation: Any, field: Any
) -> None:
    images = [*document()["images"], record, {"id": field, "file_name": field}]
    annotations = [annotation(segmentation=segmentation), record, annotation(annotator=field)]
    content = document(images=images, annotations=annotations, categories=field, licenses=field)
    names = {image.name for image in read_coco(written(tmp_path, content))}
    assert "one.png" in names


@pytest.mark.skipif(not BSDS.is_dir(), reason="bsds500 is not here")
def test_bsds500() -> None:
    dataset = read_coco(BSDS / "val.json")
    assert (len(dataset), dataset.n_masks, dataset.skipped) == (100, 8104, {})
    areas = [
        record["area"] for record in json.loads((BSDS / "val.json").read_text())["annotations"]
    ]
    assert sorted(mask.rle.area_px for image in dataset for mask in image.masks) == sorted(areas)
    assert {mask.annotator for mask in dataset.images[0].masks} >= {"0", "1"}
