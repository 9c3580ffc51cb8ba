"""A log of revisions with versions in an empty database, and what people may have drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.tags import ControlTag, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region
from sam_backend.projects.project import Project
from sam_backend.projects.true_sizes import addresses_key
from sam_backend.settings import Settings
from sam_backend.store.database import Database, open_database
from sam_backend.store.revisions import READING, Observation, Revisions
from sam_backend.store.versions import Circumstances, Version, Versions
from sam_backend.versions.changes import Difference, differences
from sam_backend.versions.observations import annotation_observation, task_observation
from tests.labelstudio.played_project import PROJECT, TOKEN

Json = dict[str, Any]
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOST = "http://label.example"
CONFIG = (
    '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">'
    '<Label value="Car"/><Label value="Bus"/></BrushLabels></View>'
)
HEIGHT, WIDTH = 20, 30
PICTURE = "/data/upload/a.png"


@dataclass(frozen=True)
class Log:
    """What is known of one project."""

    project: Project

    @property
    def database(self) -> Database:
        return self.project.database

    @property
    def revisions(self) -> Revisions:
        return self.project.revisions

    @property
    def versions(self) -> Versions:
        return self.project.versions

    def of(self, host: LabelStudioHost) -> "Log":
        """The log of the same project of another Label Studio, in the same database."""
        return Log(replace(self.project, host=host))

    def differences(self, before: Version, after: Version) -> Difference:
        """Of two versions, with the sizes of images that are on record or can be fetched."""
        return differences(self.project, before, after)

    def record_size(self, task: int, image: str = PICTURE) -> None:
        """Puts on record that a task's image has 20 x 30 pixels."""
        key = addresses_key({"image": image})
        self.project.task_features.put_sizes(task, key, {"image": (HEIGHT, WIDTH)}, NOON)

    def note(self, *observations: Observation) -> int:
        """Adds what a reading saw; returns how many revisions are new."""
        return self.revisions.add(observations, READING, NOON)

    def commit(self, message: str = "more", config: str = CONFIG) -> Version:
        """A new version of what is known."""
        version = self.versions.commit(Circumstances(message, config), NOON)
        assert version is not None
        return version

    @property
    def known(self) -> dict[str, Any]:
        """The states of all that is there, by key, as a version would hold them."""
        version = self.versions.commit(Circumstances("look", CONFIG), NOON)
        shown = version or self.versions.find("head")
        return self.versions.states(self.versions.entries(shown))


@contextmanager
def log_in(folder: Path, host: str = HOST) -> Iterator[Log]:
    """An empty one, of the played project."""
    settings = Settings(data_dir=folder)
    database = open_database(settings)
    try:
        with Project(settings, database, LabelStudioHost(host, TOKEN), PROJECT) as project:
            yield Log(project)
    finally:
        database.close()


def brush(
    region: str, left: int = 0, top: int = 0, width: int = 10, height: int = 10, label: str = "Car"
) -> Region:
    """A painted rectangle of pixels on an image of 20 x 30."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + height, left : left + width] = True
    tag = ControlTag("brush", "image", "brushlabels", "brush")
    (item,) = codec.encode(mask, Answer(tag, NamedLabel(label)))
    return {**item, "id": region}


def rectangle(region: str, x: float = 10, label: str = "Car") -> Region:
    """A box, which is no mask."""
    return {
        "id": region,
        "from_name": "box",
        "to_name": "image",
        "type": "rectanglelabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {"x": x, "y": 5, "width": 20, "height": 20, "rectanglelabels": [label]},
    }


def stamp(minute: int) -> str:
    """A moment as Label Studio writes it."""
    return (NOON + timedelta(minutes=minute)).isoformat().replace("+00:00", ".000000Z")


def drawn(
    number: int, *result: Region, task: int = 1, minute: int = 0, **fields: Any
) -> Observation:
    """An annotation, saved so many minutes after noon."""
    told = {
        "id": number,
        "task": task,
        "result": list(result),
        "completed_by": 7,
        "was_cancelled": False,
        "ground_truth": False,
        "lead_time": 12.5,
        "created_at": stamp(0),
        "updated_at": stamp(minute),
    }
    return annotation_observation(told | fields)


def task(number: int, image: str = PICTURE) -> Observation:
    """A task with its image's address."""
    return task_observation({"id": number, "data": {"image": image}})
