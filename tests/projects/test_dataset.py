"""A project becomes a data set: images once, masks of everybody, and a count of all left out."""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam_backend.datasets import reasons
from sam_backend.datasets.manifest import read_manifest
from sam_backend.errors import LabelConfigError, LabelStudioError
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.masks import rle
from sam_backend.masks.types import Mask
from sam_backend.projects.dataset import (
    CANCELLED,
    NO_ADDRESS,
    UNFETCHED_IMAGE,
    PullProgress,
    pull_project,
)
from sam_backend.projects.project import host_of_project
from sam_backend.settings import Settings
from tests.labelstudio.played_project import (
    PlayedProject,
    annotation,
    played_project,
)
from tests.labelstudio.web import send

HEIGHT, WIDTH = 20, 30
BRUSH = '<Brush name="brush" toName="image"/>'
ONE_IMAGE = f'<View><Image name="image" value="$image"/>{BRUSH}</View>'
TWO_IMAGES = (
    '<View><Image name="image" value="$image"/><Image name="night" value="$dark.url"/>'
    f'{BRUSH}<Brush name="brush2" toName="night"/></View>'
)


def png(shade: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((*size, 3), shade, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def square(side: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Mask:
    mask = np.zeros(size, bool)
    mask[2 : 2 + side, 3 : 3 + side] = True
    return mask


def brush(mask: Mask, image: str = "image") -> Region:
    tag = ControlTag("brush", image, "brushlabels", "brush")
    (item,) = codec.encode(mask, Answer(tag, NamedLabel("Car")))
    return item


@pytest.fixture
def project() -> Iterator[PlayedProject]:
    with played_project() as playing:
        playing.label_config = ONE_IMAGE
        for number, name in enumerate("abc"):
            playing.web.replies[f"/data/upload/{name}.png"] = send(200, png(number))
        yield playing


class Pull:
    """Pulls into one folder; remembers what it was told."""

    def __init__(self, project: PlayedProject, folder: Path) -> None:
        self.folder = folder
        self.progress: list[PullProgress] = []
        self._project = project

    def __call__(self, **options: Any):
        with self._project.opened(Settings(data_dir=self.folder)) as project:
            return pull_project(project, self.folder / "pulled", self.progress.append, **options)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "pulled" / "images").iterdir())


@pytest.fixture
def pull(project: PlayedProject, tmp_path: Path) -> Pull:
    return Pull(project, tmp_path)


def test_masks_of_all_annotators(project: PlayedProject, pull: Pull) -> None:
    project.add(
        7,
        annotation(1, brush(square(5)), brush(square(6))),
        annotation(2, brush(square(7)), completed_by=9),
    )
    dataset = pull()
    (image,) = dataset
    assert (dataset.name, image.name, image.size) == ("Cars (project 3)", "task 7", (20, 30))
    assert [mask.annotator for mask in image.masks] == ["1", "1", "9"]
    assert [mask.label for mask in image.masks] == ["Car"] * 3
    for mask, side in zip(image.masks, (5, 6, 7), strict=True):
        assert np.array_equal(rle.decode(mask.rle), square(side))
    assert image.path == pull.folder / "pulled" / "images" / "a.png"
    assert image.path.read_bytes() == png(0)
    assert dataset.skipped == {}
    assert read_manifest(pull.folder / "pulled" / "manifest.jsonl").digest == dataset.digest


def test_images_are_fetched_once(project: PlayedProject, pull: Pull) -> None:
    for task, name in enumerate("ab", 1):
        project.add(task, annotation(task, brush(square(5))), image=f"/data/upload/{name}.png")
    before = pull()
    project.add(3, annotation(3, brush(square(5))), image="/data/upload/c.png")
    after = pull()
    assert len(before) == 2
    assert len(after) == 3
    assert project.asked_for("/data/") == [f"/data/upload/{name}.png" for name in "abc"]
    assert pull.progress == [
        PullProgress(1, 2, 1, 1),
        PullProgress(2, 2, 2, 2),
        PullProgress(1, 3, 1, 0),
        PullProgress(2, 3, 2, 0),
        PullProgress(3, 3, 3, 1),
    ]
    assert pull.files == ["a.png", "b.png", "c.png", "index.jsonl"]


def test_files_keep_their_names(project: PlayedProject, pull: Pull) -> None:
    """Of uploads without Label Studio's prefix; of two that clash the later one gets a digest."""
    body = png(7)
    names = {
        "/data/upload/3/0a1b2c3d-cat.png": "cat.png",
        "/data/upload/3/4e5f6a7b-Cat.PNG": f"Cat-{hashlib.sha256(png(8)).hexdigest()[:8]}.PNG",
        "/data/local-files/?d=deep/er/dog%20one.png": "dog one.png",
        "/files/picture": "picture.png",
        "/files/..%2F..%2Findex.jsonl": "index.jsonl.png",
    }
    for task, address in enumerate(names, 1):
        project.web.replies[address.partition("?")[0]] = send(200, png(8) if task == 2 else body)
        project.add(task, annotation(task, brush(square(5))), image=address)
    assert [image.path.name for image in pull()] == list(names.values())
    assert [image.path.name for image in pull()] == list(names.values())
    assert (pull.folder / "pulled" / "images" / "Cat.PNG").exists() is False


@pytest.mark.parametrize("damage", ["half a line", "a file gone"])
def test_a_folder_that_a_kill_left_is_mended(
    project: PlayedProject, pull: Pull, damage: str
) -> None:
    project.add(1, annotation(1, brush(square(5))))
    (image,) = pull()
    index = image.path.parent / "index.jsonl"
    if damage == "half a line":
        index.write_bytes(index.read_bytes()[:-9])
    else:
        image.path.unlink()
    assert pull().digest == pull().digest
    assert len(project.asked_for("/data/")) == 2
    assert image.path.exists()


def test_the_index_holds_no_address(project: PlayedProject, pull: Pull) -> None:
    address = "/data/upload/a.png?signature=secret"
    project.add(1, annotation(1, brush(square(5))), image=address)
    assert len(pull()) == 1
    assert "secret" not in (pull.folder / "pulled" / "images" / "index.jsonl").read_text()
    assert "secret" not in (pull.folder / "pulled" / "manifest.jsonl").read_text()


@pytest.mark.parametrize(
    ("image", "body", "reason"),
    [
        ("/data/upload/gone.png", None, UNFETCHED_IMAGE),
        ("ftp://x/a.png", None, UNFETCHED_IMAGE),
        ("http://10.0.0.1/a.png", None, UNFETCHED_IMAGE),  # the server's own guard
        ("/data/upload/text.png", b"no image", reasons.UNREADABLE_IMAGE),
        ("/data/upload/cut.png", png(9)[:60], reasons.UNREADABLE_IMAGE),
        ("", None, NO_ADDRESS),
        (["/data/upload/a.png", "/data/upload/b.png"], None, NO_ADDRESS),
    ],
)
def test_an_image_that_cannot_be_had_costs_its_task_only(
    project: PlayedProject,
    pull: Pull,
    caplog: pytest.LogCaptureFixture,
    image: Any,
    body: bytes | None,
    reason: str,
) -> None:
    if body is not None:
        project.web.replies[image] = send(200, body)
    project.add(1, annotation(1, brush(square(5))), image=image)
    project.add(2, annotation(2, brush(square(5))), image="/data/upload/b.png")
    dataset = pull()
    assert [image.name for image in dataset] == ["task 2"]
    assert dataset.skipped == {reason: 1}
    (name,) = dataset.skipped.names(reason)
    assert name.startswith("task 1, with 1 masks: ")
    assert "task 1 is left out with its 1 masks" in caplog.text


def test_masks_that_cannot_be_used_are_counted(project: PlayedProject, pull: Pull) -> None:
    project.n_cancelled, project.cancelled = 4, [5, 6]
    project.add(
        1,
        annotation(
            1,
            brush(square(5)),
            brush(square(3)),
            brush(square(5, (40, 60))),
            brush(square(5), image="gone"),
            brush(square(5)) | {"type": "rectanglelabels"},
        ),
    )
    project.add(2, annotation(2, brush(square(3))), image="/data/upload/b.png")
    dataset = pull()
    assert [image.name for image in dataset] == ["task 1"]
    assert dataset.n_masks == 1
    assert dataset.skipped == {
        CANCELLED: 4,
        reasons.SMALL_MASK: 2,
        reasons.OTHER_SIZE: 1,
        reasons.NO_IMAGE_OF_MASK: 1,
        reasons.NO_USABLE_MASK: 1,
        "rectangle is no mask": 1,
    }
    assert dataset.skipped.names(CANCELLED) == ("task 5", "task 6")
    assert dataset.skipped.names(reasons.SMALL_MASK) == ("task 1: 9 px", "task 2: 9 px")
    (name,) = dataset.skipped.names(reasons.OTHER_SIZE)
    assert name.startswith("task 1, annotation 1, region ")
    assert name.endswith(": 60 x 40 on 30 x 20 pixels")
    assert dataset.skipped.names(reasons.NO_IMAGE_OF_MASK) == ("task 1, annotation 1, on 'gone'",)
    assert dataset.skipped.names(reasons.NO_USABLE_MASK) == ("task 2",)
    back = read_manifest(pull.folder / "pulled" / "manifest.jsonl")
    assert back.skipped.lines() == dataset.skipped.lines()


def test_a_task_without_masks_costs_no_download(project: PlayedProject, pull: Pull) -> None:
    project.add(1, annotation(1))
    dataset = pull()
    assert len(dataset) == 0
    assert dataset.skipped == {reasons.NO_MASKS: 1}
    assert project.asked_for("/data/") == []


def test_a_gallery_costs_its_own_masks_only(project: PlayedProject, pull: Pull) -> None:
    project.label_config = (
        '<View><Image name="image" value="$image"/><Image name="all" valueList="$images"/></View>'
    )
    project.add(1, annotation(1, brush(square(5)), brush(square(6), image="all")))
    dataset = pull()
    assert [image.name for image in dataset] == ["task 1"]
    assert dataset.skipped == {reasons.NO_IMAGE_OF_MASK: 1}
    (name,) = dataset.skipped.names(reasons.NO_IMAGE_OF_MASK)
    assert name.startswith("task 1, annotation 1, on 'all': ")
    assert "valueList" in name


def test_two_image_tags_are_two_images(project: PlayedProject, pull: Pull) -> None:
    project.label_config = TWO_IMAGES
    project.add(1, annotation(1, brush(square(5)), brush(square(6), image="night")))
    project.tasks[1]["data"]["dark"] = {"url": "/data/upload/b.png"}
    assert {image.name: image.masks[0].rle.area_px for image in pull()} == {
        "task 1 image": 25,
        "task 1 night": 36,
    }


def test_only_gold(project: PlayedProject, pull: Pull) -> None:
    project.add(
        1, annotation(1, brush(square(5))), annotation(2, brush(square(6)), ground_truth=True)
    )
    (image,) = pull(only_gold=True)
    assert [mask.rle.area_px for mask in image.masks] == [36]
    (image,) = pull()
    assert [mask.is_gold for mask in image.masks] == [False, True]
    (image,) = read_manifest(pull.folder / "pulled" / "manifest.jsonl")
    assert [mask.is_gold for mask in image.masks] == [False, True]


@pytest.mark.parametrize(
    ("config", "reply", "error"),
    [
        ('<View><Image name="image" value="$image"></View>', None, LabelConfigError),
        (ONE_IMAGE, send(403, b'{"detail": "no"}'), LabelStudioError),
    ],
)
def test_a_project_that_cannot_be_read(
    project: PlayedProject, pull: Pull, config: str, reply: Any, error: type[Exception]
) -> None:
    project.label_config = config
    project.add(1, annotation(1, brush(square(5))))
    if reply is not None:
        project.web.replies["/api/tasks/1/annotations/"] = reply
    with pytest.raises(error):
        pull()
    assert not (pull.folder / "pulled" / "manifest.jsonl").exists()


def test_the_settings_name_the_host(tmp_path: Path) -> None:
    with pytest.raises(LabelStudioError, match="set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"):
        host_of_project(Settings(data_dir=tmp_path), 3)
    connections = {"3.1795442316": {"http://localhost:8080": "theirs"}}
    (tmp_path / "connections.json").write_text(json.dumps(connections))
    assert host_of_project(Settings(data_dir=tmp_path), 3).token == "theirs"
    settings = Settings(
        data_dir=tmp_path, label_studio_url="http://inside:8080", label_studio_api_key="own"
    )
    host = host_of_project(settings, 3)
    assert (host.url, host.token) == ("http://inside:8080", "own")
