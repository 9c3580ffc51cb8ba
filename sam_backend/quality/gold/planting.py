"""Trusted images put before annotators as tasks like any other, of which only we know.

A copy's file gets a random name, which is written down before the file is uploaded: a try that was
killed goes on, and never plants an image twice.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sam_backend.datasets.decoding import file_suffix
from sam_backend.datasets.left_out import LeftOut
from sam_backend.errors import InvalidInputError, LabelConfigError
from sam_backend.labelstudio.api.project_tasks import import_tasks, task_numbers, tasks_numbered
from sam_backend.labelstudio.api.uploads import upload_files
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.projects.project import Project
from sam_backend.store.gold import Gold, GoldCopy, GoldImage

SEQUENTIAL = "Sequential sampling"


@dataclass(frozen=True, slots=True)
class Planted:
    """What a planting did.

    Attributes:
        made: New tasks.
        there: Copies that the project had before.
        wanted: Copies that the rate asks for.
        reasons: Why some trusted images cannot be planted, and which.
        is_last: The project shows tasks in their order, so that new ones come last.
    """

    made: int
    there: int
    wanted: int
    reasons: LeftOut = field(default_factory=LeftOut)
    is_last: bool = False


def plant(
    project: Project,
    per_hundred: float,
    seed: int = 0,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> Planted:
    """Bring a project's share of trusted images up to a rate.

    Args:
        project: The project.
        per_hundred: Copies for a hundred tasks of the project's own.
        seed: Seed of the choice.
        observe: Told how many copies of how many are there.

    Raises:
        InvalidInputError: The rate is out of its range.
        SamBackendError: The config wants more of a task than an image, or a call fails.
    """
    if not 0 < per_hundred <= 100:
        raise InvalidInputError(f"the rate must lie between 0 and 100, not {per_hundred:g}")
    record = project.client.project(project.id)
    config = LabelConfig.parse(str(record.get("label_config", "")))
    key = _image_key(config)
    gold = project.gold
    addresses = _addresses(project, key)
    copies = gold.copies(project.origin, project.id)
    there = {copy.image for copy in copies if _is_there(copy, addresses)}
    own = len(addresses) - len(there)
    wanted = round(own * per_hundred / 100)
    usable, reasons = _usable(gold, config, there)
    order = np.random.default_rng(seed).permutation(len(usable))
    planned = {copy.image: copy for copy in copies}
    # what an earlier try has planned comes first
    chosen = sorted((usable[i] for i in order), key=lambda one: one.digest not in planned)
    made = 0
    for image in chosen[: max(0, wanted - len(there))]:
        copy = GoldCopy(secrets.token_hex(16), project.origin, project.id, image.digest)
        _make(project, key, image, gold.plan_copy(copy))
        made += 1
        observe(len(there) + made, wanted)
    return Planted(made, len(there), wanted, reasons, record.get("sampling") == SEQUENTIAL)


def _image_key(config: LabelConfig) -> str:
    if len(config.images) != 1 or config.images[0].key is None:
        told = ", ".join(image.value for image in config.images)
        raise LabelConfigError(
            f"gold is planted in projects with one image whose value is a field, not {told}"
        )
    return config.images[0].key


def _addresses(project: Project, key: str) -> list[str]:
    numbers = task_numbers(project.client, project.id)
    tasks = tasks_numbered(project.client, project.id, numbers)
    return [str((task.get("data") or {}).get(key, "")) for task in tasks]


def _is_there(copy: GoldCopy, addresses: list[str]) -> bool:
    return any(copy.token in address for address in addresses)


def _usable(gold: Gold, config: LabelConfig, there: set[str]) -> tuple[list[GoldImage], LeftOut]:
    known = {label.stored for tag in config.controls for label in tag.labels}
    usable, reasons = [], LeftOut()
    for image in gold.images():
        labels = {mask.label for mask in image.labelled.masks if mask.label is not None}
        if image.digest in there:
            continue
        if labels <= known:
            usable.append(image)
        else:
            others = ", ".join(sorted(labels - known))
            told = f"{image.labelled.path.name} ({image.digest[:12]}): {others}"
            reasons.add("labels that the project has not", told)
    return usable, reasons


def _make(project: Project, key: str, image: GoldImage, copy: GoldCopy) -> None:
    body = image.labelled.path.read_bytes()
    name = f"{copy.token}{file_suffix(body)}"
    addresses = upload_files(project.client, project.id, {name: body})
    task: dict[str, Any] = {"data": {key: addresses[copy.token]}}
    import_tasks(project.client, project.id, [task])
