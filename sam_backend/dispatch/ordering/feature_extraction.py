"""The images of a project's tasks: the first seen by the encoder, and the sizes of all, once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sam_backend.datasets.decoding import decode_image, image_size
from sam_backend.errors import ImageDecodeError, ImageFetchError
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.projects.true_sizes import addresses_key, image_addresses
from sam_backend.serving.image_features import mean_features
from sam_backend.serving.served_model import ServedModel
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
    """What every task's images look like; those that are not known are fetched.

    A task's first image is encoded, of the others only the size is read. One that cannot be had has
    a reason, and is tried again by the next call.

    Args:
        tasks: With number and data.
        config: Names the fields of the images.
        host: Host of the project.
        resolver: Fetches images.
        model: Leased for the length of its use.
        store: Keeps what was seen, in small parts: a call that was killed goes on.
        max_pixels: Images with more are refused.
        observe: Told how many are seen, and of how many.
    """
    known = store.of(model.model_version)
    addresses = {
        int(task["id"]): image_addresses(config.images, task.get("data")) for task in tasks
    }
    due = [
        number
        for number, named in addresses.items()
        if (one := known.get(number)) is None
        or one.features is None
        or one.image != addresses_key(named)
        or one.sizes.keys() != named.keys()
    ]
    new: list[TaskFeatures] = []
    for done, number in enumerate(due, 1):
        before = known.get(number)
        key = addresses_key(addresses[number])
        if before is None or before.image != key:
            before = TaskFeatures(number, model.model_version, key, None)
        one = _see(before, addresses[number], host, resolver, model, max_pixels)
        known[number] = one
        new.append(one)
        if len(new) == _AT_ONCE or done == len(due):
            store.put(new, datetime.now(UTC))
            new.clear()
        observe(done, len(due))
    return {number: known[number] for number in addresses}


def _see(
    before: TaskFeatures,
    addresses: Mapping[str, str],
    host: LabelStudioHost,
    resolver: ImageResolver,
    model: ServedModel,
    max_pixels: int,
) -> TaskFeatures:
    """The same with what was missing, as far as it can be had now."""
    features, sizes = before.features, dict[str, tuple[int, int]]()
    reasons = [] if addresses else ["the label config shows no image"]
    for place, (name, address) in enumerate(addresses.items()):
        is_encoded = place > 0 or features is not None
        if is_encoded and name in before.sizes:
            sizes[name] = before.sizes[name]
            continue
        if not address:
            reasons.append("the task names no image")
            continue
        try:
            data = resolver.fetch(address, host, before.task).data
            if is_encoded:
                sizes[name] = image_size(data, max_pixels)
                continue
            pixels = decode_image(data, max_pixels)
        except (ImageFetchError, ImageDecodeError) as error:
            reasons.append(str(error))
            continue
        height, width = pixels.shape[:2]
        sizes[name] = height, width
        features = mean_features(model.embed(pixels))
    return replace(before, features=features, reason="; ".join(reasons) or None, sizes=sizes)
