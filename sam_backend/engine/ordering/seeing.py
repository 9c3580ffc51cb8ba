"""The images of a project's tasks seen by the encoder, each once."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sam_backend.datasets.decoding import decode_image
from sam_backend.engine.image_features import mean_features
from sam_backend.engine.served_model import ServedModel
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.config import LabelConfig
from sam_backend.labelstudio.hosts import LabelStudioHost
from sam_backend.labelstudio.images import ImageResolver
from sam_backend.store.task_features import TaskFeatures, TaskFeaturesStore

_AT_ONCE = 20


def see_tasks(
    tasks: Sequence[Mapping[str, Any]],
    config: LabelConfig,
    host: LabelStudioHost,
    resolver: ImageResolver,
    model: ServedModel,
    store: TaskFeaturesStore,
    max_pixels: int,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> dict[int, TaskFeatures]:
    """What every task's image looks like; those that are not known are fetched and encoded.

    A task's first image is meant. One that cannot be had has a reason, and is tried again by the
    next call.

    Args:
        tasks: With number and data.
        config: Names the field of the image.
        host: Of the project.
        resolver: Fetches images.
        model: Leased for the length of its use.
        store: Keeps what was seen, in small parts: a call that was killed goes on.
        max_pixels: Images with more are refused.
        observe: Told how many are seen, and of how many.
    """
    known = store.of(model.model_version)
    addresses = {int(task["id"]): _address(task, config) for task in tasks}
    due = [
        number
        for number, address in addresses.items()
        if (one := known.get(number)) is None or one.features is None or one.image != _key(address)
    ]
    new: list[TaskFeatures] = []
    for done, number in enumerate(due, 1):
        one = _see(number, addresses[number], host, resolver, model, max_pixels)
        known[number] = one
        new.append(one)
        if len(new) == _AT_ONCE or done == len(due):
            store.put(new, datetime.now(UTC))
            new.clear()
        observe(done, len(due))
    return {number: known[number] for number in addresses}


def _see(
    number: int,
    address: str,
    host: LabelStudioHost,
    resolver: ImageResolver,
    model: ServedModel,
    max_pixels: int,
) -> TaskFeatures:
    version, key = model.model_version, _key(address)
    if not address:
        return TaskFeatures(number, version, key, None, "the task names no image")
    try:
        fetched = resolver.fetch(address, host, number)
        embedding = model.encode(decode_image(fetched.data, max_pixels))
    except (ImageFetchError, ImageDecodeError) as error:
        return TaskFeatures(number, version, key, None, str(error))
    return TaskFeatures(number, version, key, mean_features(embedding))


def _address(task: Mapping[str, Any], config: LabelConfig) -> str:
    data = task.get("data")
    try:
        return config.images[0].address(data if isinstance(data, dict) else {})
    except (InvalidInputError, IndexError):
        return ""


def _key(address: str) -> str:
    """The address may hold a secret."""
    return hashlib.sha256(address.encode()).hexdigest()
