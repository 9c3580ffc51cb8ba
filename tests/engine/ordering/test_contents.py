"""What is on an annotation."""

from pathlib import Path

import pytest

from sam_backend.engine.ordering.contents import contents_by_digest, contents_of, size_of
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


def test_objects_count_by_label_and_size() -> None:
    result = [
        rectangle("a", 10),
        rectangle("b", 60),
        rectangle("c", 150, "Fruit"),
        rectangle("d", 20, None),
        {"id": "e", "type": "choices", "value": {"choices": ["blurred"]}},
    ]
    assert contents_of({"result": result}) == Contents(
        {"Leaf": 2, "Fruit": 1}, {"small": 2, "medium": 1, "large": 1}
    )
    assert contents_of({"result": None}) == Contents({}, {})


def test_what_has_no_size_is_named() -> None:
    broken = rectangle("b", 60) | {"original_width": -1}
    found = contents_of({"result": [rectangle("a", 10), broken]})
    assert (found.labels, found.sizes) == ({"Leaf": 2}, {"small": 1})
    (told,) = found.unread
    assert told.startswith("region b: ")
    assert "-1" in told


def test_a_state_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(Settings(data_dir=tmp_path))
    objects, known = Objects(database), AnnotationContents(database)
    bodies = {}
    for number in range(3):
        body = canonical({"result": [rectangle(str(number), 10 + 40 * number)]})
        bodies[digest_of(body)] = body
    with database.writing() as connection:
        objects.put(connection, bodies)
    first = contents_by_digest(known, objects, bodies.keys())
    assert first.keys() == bodies.keys()
    monkeypatch.setattr(objects, "value", None)  # reading again would fail
    assert contents_by_digest(known, objects, bodies.keys()) == first
    database.close()
