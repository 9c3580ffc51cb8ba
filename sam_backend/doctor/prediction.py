"""Can an image be had, and does a click on it come back as a mask, through Label Studio?"""

import time
from typing import Any, NamedTuple

from sam_backend.datasets.decoding import decode_image
from sam_backend.doctor.backend import Backend
from sam_backend.doctor.findings import Check, Finding
from sam_backend.doctor.project import labels_of, prompts_of
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.guarded_http import refusal
from sam_backend.labelstudio.api.probes import click, first_task
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.labelstudio.regions.codec import can_decode, decode

Json = dict[str, Any]

_REPORT = "this is a bug of the backend: report it with its model version"


class Sample(NamedTuple):
    """A task and the size of its image in pixels."""

    task_id: int
    width: int
    height: int


def image_access(
    client: LabelStudioClient,
    project_id: int,
    config: LabelConfig,
    resolver: ImageResolver,
    max_pixels: int,
) -> Check[Sample]:
    """The first task's image can be fetched with our token, and decoded, and is not too large."""
    name = "image access"
    answer = first_task(client, project_id)
    tasks = answer.json() if answer.status_code == 200 else []
    if not tasks:
        yield Finding(name, "skipped", "the project has no task", "import an image")
        return None
    task, image = tasks[0], config.images[0]
    address = ""
    try:
        address = image.address(task["data"])
        fetched = resolver.fetch(address, client.host, task["id"])
        height, width = decode_image(fetched.data, max_pixels).shape[:2]
    except InvalidInputError as error:
        fix = "the image tag's value must name a field of the tasks, e.g. $image"
        yield Finding(name, "fail", f"task {task['id']}: {error}", fix)
        return None
    except ImageDecodeError as error:
        fix = (
            "replace the file by an image that browsers show; "
            "SAM_BACKEND_MAX_IMAGE_MEGAPIXELS bounds its size"
        )
        yield Finding(name, "fail", f"task {task['id']}: {error}", fix)
        return None
    except ImageFetchError as error:
        yield Finding(
            name, "fail", f"task {task['id']}: {error}", _fetch_fix(address, client, error.status)
        )
        return None
    seen = f"task {task['id']}: {fetched.address}, {width} x {height} pixels"
    yield Finding(name, "ok", seen)
    return Sample(task["id"], width, height)


_GONE = (404, 410)
_LOCKED = (401, 403)
_LOST = 500
"""Label Studio's answer for an upload whose file is gone from its data folder (1.23.2)."""


def _fetch_fix(address: str, client: LabelStudioClient, status: int | None) -> str:
    """Return what to do about an image; `status` is its server's answer, None if there was none."""
    url = client.host.url
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme not in ("", "http", "https"):
        return (
            "connect the storage to this project (Settings > Cloud Storage), and check that the "
            "file is in it"
        )
    if "/data/local-files/" in address:
        return (
            "the file must lie below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, in a folder that is a "
            "storage of this project (Settings > Cloud Storage > Local files)"
        )
    if "/data/upload/" in address and status in (*_GONE, _LOST):
        return (
            "the uploaded file is gone from Label Studio's data folder: put it back, or delete the "
            "task and import the image again"
        )
    if status in _GONE:
        return (
            "there is no file at this address: correct the task's data, or delete the task and "
            "import the image again"
        )
    if status in _LOCKED and scheme:
        return (
            "its server wants a login, which the backend has for Label Studio only: make it "
            "readable, or connect it as a storage of the project"
        )
    if not scheme:
        return f"does the browser show it at {url}?"
    if address.startswith(("http://", "https://")) and "/data/" in address:
        return (
            f"if this is Label Studio itself: our token goes to {client.host.origin} only, so "
            "LABEL_STUDIO_HOST of Label Studio and --url must be the same address"
        )
    return (
        "the backend must reach the address: private networks are refused unless "
        "SAM_BACKEND_ALLOW_PRIVATE_ADDRESSES=true; cloud storages must be connected to the project"
    )


def one_click(
    client: LabelStudioClient, row: Json, sample: Sample, config: LabelConfig, backend: Backend
) -> Check[bool]:
    """A prompt in the middle of the image, sent through Label Studio, brings a region back."""
    name = "one click"
    prompt = prompts_of(config, config.images[0])[0]
    context = {"result": prompt_regions(prompt, config, sample)}
    before = backend.journal()
    started = time.monotonic()
    answer = click(client, row["id"], sample.task_id, context)
    waited_s = time.monotonic() - started
    if answer.status_code != 200:
        seen = f"Label Studio answers {answer.status_code}: {refusal(answer)}"
        yield Finding(name, "fail", seen, "see Label Studio's log")
        return None
    body = answer.json()
    regions = (body.get("data") or {}).get("result") or []
    if not regions:
        told = "; ".join(str(error) for error in body.get("errors") or []) or "no region"
        yield Finding(
            name, "fail", f"task {sample.task_id} brings {told}", _reasons(backend, before)
        )
        return None
    try:
        seen = _describe(regions[0], sample)
    except (InvalidInputError, KeyError, TypeError) as error:
        yield Finding(name, "fail", f"the region that comes back is damaged: {error}", _REPORT)
        return None
    yield Finding(name, "ok", f"{seen} after {waited_s:.1f} s")
    return True


def prompt_regions(prompt: ControlTag, config: LabelConfig, sample: Sample) -> list[Json]:
    """A click in the middle, or for a rectangle tag a box over the middle half, as the page sends.

    Returns:
        Result items; two with the same id where a `<Labels>` names a bare tag.
    """
    value: Json = {"x": 50.0, "y": 50.0, "width": 0.25}
    if prompt.kind == "rectangle":
        value = {"x": 25.0, "y": 25.0, "width": 50.0, "height": 50.0, "rotation": 0}
    labels = labels_of(config, prompt)[:1]
    if labels:
        value |= {"labels": labels}
    common: Json = {
        "id": "sam-check1",
        "to_name": prompt.to_name,
        "original_width": sample.width,
        "original_height": sample.height,
        "image_rotation": 0,
        "origin": "manual",
    }
    if prompt.kind != "rectangle":
        common["is_positive"] = True
    own = {**common, "from_name": prompt.name, "type": prompt.result_type}
    if prompt.has_own_labels:
        return [{**own, "value": {**value, **({prompt.result_type: labels} if labels else {})}}]
    naming = [tag for tag in config.controls if tag.kind == "labels"]
    named = [{**common, "from_name": t.name, "type": "labels", "value": value} for t in naming[:1]]
    return [{**own, "value": value}, *named]


def _describe(region: Json, sample: Sample) -> str:
    """The region in words; one that claims another size than the image's is damaged."""
    names = [label for key, label in region["value"].items() if key.endswith("labels")]
    label = f" {names[0][0]!r}" if names and names[0] else " without a label"
    text = f"a {region['type']} region{label}"
    if not can_decode(region):
        return text
    mask = decode(region, (sample.height, sample.width))
    return f"{text}, {100 * float(mask.mean()):.1f} % of the image,"


def _reasons(backend: Backend, before: list[Json]) -> str:
    new = [entry for entry in backend.journal() if entry not in before]
    told = "; ".join(str(entry.get("reason")) for entry in new[:3])
    return f"the backend says: {told}" if told else f"see {backend.url}/status and its log"
