"""Images of tasks: the first is encoded, the size of each is known, and none is asked for twice."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sam_backend.dispatch.ordering.feature_extraction import see_tasks
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import image_resolver
from sam_backend.settings import Settings
from sam_backend.store.database import open_database
from sam_backend.store.task_features import TaskFeatures, TaskFeaturesStore
from tests.labelstudio.web import send, serve
from tests.semi_automatic.served import served_starter

CONFIG = LabelConfig.parse(
    '<View><Image name="rgb" value="$a"/><Image name="nir" value="$b"/></View>'
)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
TASKS = [{"id": 1, "data": {"a": "/data/upload/a.png", "b": "/data/upload/b.png"}}]


def png(height: int, width: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_sizes_are_of_every_image_and_features_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    database = open_database(settings)
    with serve() as web, served_starter() as champion, champion.lease() as model:
        store = TaskFeaturesStore(database, web.url, 3)

        def seen(tasks: list[dict[str, Any]] = TASKS) -> tuple[TaskFeatures, list[str]]:
            host, resolver = LabelStudioHost(web.url, "0" * 40), image_resolver(settings)
            before = len(web.requests)
            found = see_tasks(tasks, CONFIG, host, resolver, model, store, 10**6)
            return found[1], [one.path for one in web.requests[before:]]

        web.replies["/data/upload/a.png"] = send(200, png(30, 40))
        first, asked = seen()
        assert asked == ["/data/upload/a.png", "/data/upload/b.png"]
        assert first.sizes == {"rgb": (30, 40)}
        assert "404" in str(first.reason)

        monkeypatch.setattr(model, "embed", None)  # from here on only sizes are missing
        web.replies["/data/upload/b.png"] = send(200, png(50, 20))
        both, asked = seen()
        assert asked == ["/data/upload/b.png"]
        assert (both.sizes, both.reason) == ({"rgb": (30, 40), "nir": (50, 20)}, None)
        assert seen()[1] == []

        store.put([TaskFeatures(1, both.model_version, both.image, both.features)], NOON)
        again, asked = seen()  # as an earlier release has kept it
        assert (again.sizes, len(asked)) == (both.sizes, 2)
        np.testing.assert_array_equal(again.features, both.features)

        other = [{"id": 1, "data": TASKS[0]["data"] | {"b": ""}}]
        monkeypatch.undo()
        changed, asked = seen(other)
        assert (changed.sizes, asked) == ({"rgb": (30, 40)}, ["/data/upload/a.png"])
        assert changed.reason == "the task names no image"
    database.close()
