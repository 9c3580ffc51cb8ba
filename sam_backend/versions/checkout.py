"""A version as files: a data set to train on, COCO, SA-1B, or Label Studio's tasks."""

import contextlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sam_backend.datasets.manifest import write_manifest
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.api.annotations import AnnotatedTask, read_annotation
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.projects.dataset import CANCELLED, TaskReader
from sam_backend.projects.project import Project
from sam_backend.store.versions import Version, Versions

NOT_ANNOTATED = "task that nobody has annotated"

MANIFEST, VERSION_FILE, TASKS_FILE = "manifest.jsonl", "version.json", "tasks.json"

_TASKS_AT_ONCE = 200


def check_out(
    project: Project,
    version: Version,
    folder: Path,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> Dataset:
    """Write a version as a data set: its manifest, its images, and what version it is.

    Images that are not in the folder yet are fetched from Label Studio. Planted copies of gold
    images get the names of their originals.

    Images that somebody has submitted without drawing anything are kept as negatives. The data
    set's categories are the labels of the project's label configs, those of the first version
    first: a label that is added later comes after them, so that numbers of categories stay.

    Args:
        project: The project.
        version: The version to write.
        folder: Made if it is missing.
        observe: Told how many tasks are written, and of how many.

    Returns:
        The data set; `skipped` tells what gives no mask, images that cannot be had, annotations
        that were skipped and tasks without any.
    """
    versions, images = project.versions, project.images(folder)
    config = LabelConfig.parse(versions.label_config(version))
    names = _planted_names(project)
    reader = TaskReader(config, images, project.host, with_negatives=True, names=names)
    found: list[LabelledImage] = []
    for done, (task, state) in enumerate(_tasks(versions, version), 1):
        annotations = tuple(
            read_annotation(one) for one in state["annotations"] if not one.get("was_cancelled")
        )
        for one in state["annotations"]:
            if one.get("was_cancelled"):
                reader.skipped.add(CANCELLED, f"task {task}, annotation {one['id']}")
        if not state["annotations"]:
            reader.skipped.add(NOT_ANNOTATED, f"task {task}")
        if annotations:
            found += reader.read(AnnotatedTask(task, state["data"], annotations))
        observe(done, version.tasks)
    name = f"project {version.project} at {version.digest[:12]}"
    dataset = Dataset(name, tuple(found), reader.skipped, categories=_categories(versions, version))
    write_manifest(dataset, folder / MANIFEST)
    told = {"digest": version.digest, **asdict(version)}
    (folder / VERSION_FILE).write_text(json.dumps(told, indent=2) + "\n")
    return dataset


def _planted_names(project: Project) -> dict[str, str]:
    """Return the file names of planted gold images by the token that they were uploaded as."""
    images = project.gold.images(with_excluded=True)
    names = {image.digest: image.labelled.path.name for image in images}
    copies = project.gold.copies(project.origin, project.id)
    return {copy.token: names[copy.image] for copy in copies if copy.image in names}


def _categories(versions: Versions, version: Version) -> tuple[str, ...]:
    labels: dict[str, None] = {}
    for xml in versions.label_configs(version):
        with contextlib.suppress(LabelConfigError):  # what we cannot read has no masks of ours
            labels |= dict.fromkeys(LabelConfig.parse(xml).mask_labels())
    return tuple(labels)


def write_tasks(versions: Versions, version: Version, folder: Path) -> int:
    """Write a version as tasks that Label Studio imports; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / TASKS_FILE).open("w") as out:
        out.write("[")
        for _, state in _tasks(versions, version):
            out.write(("," if count else "") + "\n" + json.dumps(state, separators=(",", ":")))
            count += 1
        out.write("\n]\n")
    return count


def _tasks(versions: Versions, version: Version) -> Iterator[tuple[int, dict[str, Any]]]:
    """Tasks by their numbers, each with its data and annotations."""
    entries = versions.entries(version)
    keys: dict[int, list[str]] = defaultdict(list)
    for key in entries:
        keys[int(key.partition("/")[0])].append(key)
    numbers = sorted(keys)
    for start in range(0, len(numbers), _TASKS_AT_ONCE):
        some = numbers[start : start + _TASKS_AT_ONCE]
        wanted = {key: entries[key] for number in some for key in keys[number]}
        states = versions.states(wanted)
        for number in some:
            annotations = [
                {
                    **states[key],
                    "id": int(key.partition("/")[2]),
                    "updated_at": states[key]["created_at"],
                }
                for key in sorted(keys[number], key=lambda key: int(key.partition("/")[2] or 0))
                if "/" in key
            ]
            data = states.get(str(number), {}).get("data", {})
            for one in annotations:  # the import takes numbers of users only
                author = one["completed_by"]
                one["completed_by"] = None if author is None else int(author)
            yield number, {"id": number, "data": data, "annotations": annotations}
