"""What is on an annotation."""

from pathlib import Path

import pytest

from sam_backend.datasets import reasons
from sam_backend.dispatch.ordering.contents import contents_of, read_contents, size_of
from sam_backend.settings import Settings
from sam_backend.store.annotation_contents import AnnotationContents, Contents
from sam_backend.store.database import open_database
from sam_backend.store.objects import Objects, canonical, digest_of


def rectangle(region: str, side_px: float, label: str | None = "Leaf") -> dict:
    """A square polygon on an image of 200x200."""
    side = side_px / 2
    points = [[10, 10], [10 + side, 10], [10 + side, 10 + side], [10, 10 + side]]
    value = {"points": points, "closed": True} | ({"polygonlabels": [label]} if label else {})
    return {
        "id": region,
        "from_name": "shape",
        "to_name": "image",
        "type": "polygonlabels",
        "original_width": 200,
        "original_height": 200,
        "image_rotation": 0,
        "value": value,
    }


@pytest.mark.parametrize(
    ("area_px", "name"),
    [(0, "small"), (1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")],
)
def test_sizes_are_cocos(area_px: int, name: str) -> None:
    assert size_of(area_px) == name


SIZES = {"image": (200, 200)}


def test_objects_count_by_label_and_size() -> None:
    result = [
        rectangle("a", 10),
        rectangle("b", 60),
        rectangle("c", 150, "Fruit"),
        rectangle("d", 20, None),
        {"id": "e", "type": "choices", "value": {"choices": ["blurred"]}},
    ]
    assert contents_of({"result": result}, SIZES) == Contents(
        {"Leaf": 2, "Fruit": 1}, {"small": 2, "medium": 1, "large": 1}, (), SIZES
    )
    assert contents_of({"result": None}, SIZES) == Contents({}, {})


def test_what_has_no_size_counts_by_its_label_and_is_named() -> None:
    broken = rectangle("b", 60) | {"original_width": -1}
    elsewhere = rectangle("c", 60) | {"to_name": "other"}
    larger = rectangle("d", 60) | {"original_width": 400}
    found = contents_of({"result": [rectangle("a", 10), broken, elsewhere, larger]}, SIZES)
    assert (found.labels, found.sizes) == ({"Leaf": 4}, {"small": 1})
    assert [reason for reason, _ in found.unread] == [
        reasons.MALFORMED_MASK,
        reasons.NO_IMAGE_OF_MASK,
        reasons.OTHER_SIZE,
    ]
    told = [text for _, text in found.unread]
    assert told[0].startswith("region b: ")
    assert "-1" in told[0]
    assert told[1:] == [
        "region c: the size of 'other' is unknown",
        "region d: 400 x 200 on 200 x 200 pixels",
    ]


def test_a_state_is_read_once_for_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(Settings(data_dir=tmp_path))
    objects, known = Objects(database), AnnotationContents(database)
    bodies = {}
    for number in range(3):
        body = canonical({"result": [rectangle(str(number), 10 + 40 * number)]})
        bodies[digest_of(body)] = body
    with database.writing() as connection:
        objects.put(connection, bodies)
    unknown = read_contents(known, objects, [(digest, {}) for digest in bodies])
    assert [one.sizes for one in unknown] == [{}, {}, {}]
    states = [(digest, SIZES) for digest in bodies]
    first = read_contents(known, objects, states)
    assert [one.sizes for one in first] == [{"small": 1}, {"medium": 1}, {"medium": 1}]
    with monkeypatch.context() as patched:
        patched.setattr(objects, "value", None)  # reading again would fail
        assert read_contents(known, objects, states) == first
    larger = read_contents(known, objects, [(states[0][0], {"image": (400, 400)})])
    assert (larger[0].sizes, len(larger[0].unread)) == ({}, 1)
    database.close()
