"""Exemplars of a project, read from a stand-in that answers as Label Studio does."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import NamedLabel
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks.rle import decode
from sam_backend.semi_automatic.exemplars import (
    MOST_TASKS,
    PER_IMAGE,
    PER_LABEL,
    Exemplar,
    ProjectExemplars,
)
from sam_backend.settings import Settings
from tests.labelstudio.played_project import PROJECT, PlayedProject, annotation, played_project
from tests.labelstudio.web import send
from tests.server.playing import CONFIG, disc, disc_image, png

SIZE = (60, 80)
IMAGE = "/data/upload/a.png"


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    with played_project() as playing:
        put_image(playing, IMAGE)
        yield playing


def put_image(project: PlayedProject, address: str, red: int = 0) -> None:
    content = png(disc_image(SIZE, 30, 30, 15, (red, 30, 30)))
    project.web.replies[address] = send(200, content, {"Content-Type": "image/png"})


def read(project: PlayedProject, *like: str, labels: Sequence[str] = ("Car", "Wheel")):
    config, settings = LabelConfig.parse(CONFIG), Settings()
    reader = ProjectExemplars(
        project.host, PROJECT, config, tuple(labels), image_resolver(settings), 10**6
    )
    return reader(like)


def region(name: str, label: str, radius: float = 15, size: tuple[int, int] = SIZE) -> Region:
    tag = LabelConfig.parse(CONFIG).control("brush")
    mask = disc(size, 30, 30, radius)
    [made] = codec.encode(mask, Answer(tag, NamedLabel(label), 1.0))
    return {**made, "id": name}


def labels_of(found: Sequence[Exemplar]) -> list[tuple[str, ...]]:
    return [one.labels for one in found]


def test_a_project_that_nobody_has_begun(project: PlayedProject) -> None:
    assert read(project) == ()
    project.add(1, annotation(1))
    assert read(project) == ()


def test_submitted_masks_with_their_images(project: PlayedProject) -> None:
    skipped = annotation(3, region("c", "Car"), was_cancelled=True)
    project.add(1, annotation(1, region("a", "Car"), region("b", "Wheel", 8)), skipped)
    car, wheel = read(project)
    assert labels_of([car, wheel]) == [("Car",), ("Wheel",)]
    assert np.array_equal(decode(wheel.rle), disc(SIZE, 30, 30, 8))
    assert car.pixels().shape == (*SIZE, 3)
    assert car.image_digest == wheel.image_digest
    assert car.key != wheel.key
    assert labels_of(read(project, "Wheel")) == [("Wheel",)]


def test_a_task_an_annotation_or_a_region_is_named(project: PlayedProject) -> None:
    project.add(1, annotation(1, region("a", "Car"), region("b", "Wheel", 8)))
    project.add(2, annotation(2, region("c", "Car", 9)), annotation(3, region("d", "Car", 7)))
    assert labels_of(read(project, "1")) == [("Car",), ("Wheel",)]
    assert [one.rle.area_px for one in read(project, "2/3")] == [disc(SIZE, 30, 30, 7).sum()]
    assert labels_of(read(project, "1/1/b")) == [("Wheel",)]
    assert labels_of(read(project, "1/1/b", "2/2")) == [("Wheel",), ("Car",)]
    assert labels_of(read(project, "1/1/b", "Car")) == [("Wheel",), ("Car",), ("Car",), ("Car",)]
    for lost in ("9", "1/3", "1/1/c"):
        with pytest.raises(InvalidInputError, match=f"names '{lost}', but project 3 has no subm"):
            read(project, lost)


def test_several_images_and_no_more_than_needed(project: PlayedProject) -> None:
    for task in range(1, 6):
        put_image(project, f"/data/upload/{task}.png", task)
        many = [region(f"{task}-{i}", "Car", 5 + i) for i in range(PER_IMAGE + 2)]
        project.add(task, annotation(task, *many), image=f"/data/upload/{task}.png")
    found = read(project, labels=["Car"])
    assert len(found) == PER_LABEL
    assert len({one.image_digest for one in found}) == PER_LABEL // PER_IMAGE
    assert len(project.asked_for("/api/tasks/3/")) == 0
    # a label that nobody has used does not make us read a large project
    for task in range(6, MOST_TASKS + 10):
        project.add(task, annotation(task % 60))
    read(project)
    assert len(project.asked_for(f"/api/tasks/{MOST_TASKS}/")) == 1
    assert len(project.asked_for(f"/api/tasks/{MOST_TASKS + 1}/")) == 0


def test_what_cannot_be_read_is_left_out(project: PlayedProject) -> None:
    """An image that is gone, and a mask of another size than its image."""
    project.add(1, annotation(1, region("a", "Car")), image="/data/upload/gone.png")
    project.add(2, annotation(2, region("b", "Car", size=(30, 40)), region("c", "Wheel")))
    assert labels_of(read(project)) == [("Wheel",)]
