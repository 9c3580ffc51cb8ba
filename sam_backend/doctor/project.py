"""Does the project exist, and can its labelling configuration show masks for clicks?"""

from collections.abc import Iterator
from typing import Any

from sam_backend.doctor.findings import Check, Finding
from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.api.client import LabelStudioClient
from sam_backend.labelstudio.api.guarded_http import refusal
from sam_backend.labelstudio.api.probes import project_record
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag, ImageTag

Json = dict[str, Any]

TEMPLATES = (
    "Settings > Labeling Interface > Code, and compare with the templates in examples/labelling"
)
_CONFIG = "label config"
# Their smart button shows by default and sends nothing.
_SILENT_SMART = ("brush", "bitmask")


def exists(client: LabelStudioClient, project_id: int) -> Check[Json]:
    """The project is there and our user may see it; returns Label Studio's record of it."""
    name = "project"
    answer = project_record(client, project_id)
    if answer.status_code == 200:
        project: Json = answer.json()
        n_tasks = project.get("task_number") or 0
        yield Finding(name, "ok", f"{project_id} is {project.get('title')!r} with {n_tasks} tasks")
        return project
    names = ", ".join(f"{number} {title!r}" for number, title in client.titles().items()) or "none"
    yield Finding(
        name,
        "fail",
        f"project {project_id} answers {answer.status_code}: {refusal(answer)}",
        f"the number stands in the page's address, /projects/<number>/data; there are: {names}",
    )
    return None


def label_config(project: Json) -> Check[LabelConfig]:
    """The configuration can be read, shows an image, takes prompts and shows masks."""
    try:
        config = LabelConfig.parse(project.get("label_config") or "<View/>")
    except LabelConfigError as error:
        yield Finding(_CONFIG, "fail", str(error), TEMPLATES)
        return None
    if not config.images:
        yield Finding(_CONFIG, "fail", "it shows no <Image> that is served", TEMPLATES)
    for tag in config.unserved:
        yield Finding(
            _CONFIG,
            "skipped",
            f"<{tag.tag}> {tag.name!r} is not served: {tag.reason}; all other tags are",
        )
    if not config.images:
        return None
    failed = False
    for image in config.images:
        for finding in _image(config, image):
            failed = failed or finding.status == "fail"
            yield finding
    return None if failed else config


def prompts_of(config: LabelConfig, image: ImageTag) -> list[ControlTag]:
    """Tags whose smart tools ask the backend about this image; key points first."""
    able = [tag for tag in config.controls if tag.to_name == image.name and tag.is_smart]
    return sorted(able, key=lambda tag: tag.kind != "keypoint")


def _image(config: LabelConfig, image: ImageTag) -> Iterator[Finding]:
    try:
        outputs = config.outputs(image.name)
    except LabelConfigError as error:
        yield Finding(_CONFIG, "fail", str(error), TEMPLATES)
        return
    prompts = prompts_of(config, image)
    if not prompts:
        yield Finding(
            _CONFIG,
            "fail",
            f"image {image.name!r} has no smart tool to ask the backend with",
            f'add <KeyPointLabels toName="{image.name}" smart="true" smartOnly="true">; '
            f"{TEMPLATES}",
        )
        return
    shown = ", ".join(f"{tag.name!r} ({tag.kind})" for tag in outputs)
    asked = ", ".join(f"{tag.name!r} ({tag.kind})" for tag in prompts)
    yield Finding(_CONFIG, "ok", f"image {image.name!r}: prompts by {asked}, masks in {shown}")
    for output in outputs:
        yield from _output(output)
    for prompt in prompts:
        yield from _labels(config, image, prompt, outputs)
        yield from _prompt(prompt, outputs)


def _output(output: ControlTag) -> Iterator[Finding]:
    silent = output.kind in _SILENT_SMART
    if silent and output.attributes.get("smart", "true").strip().lower() != "false":
        yield Finding(
            _CONFIG,
            "warn",
            f"{output.name!r} shows a smart {output.kind}, which asks the backend nothing",
            f'set smart="false" on {output.name!r}',
        )


def _prompt(prompt: ControlTag, outputs: tuple[ControlTag, ...]) -> Iterator[Finding]:
    if prompt in outputs:
        yield Finding(
            _CONFIG,
            "warn",
            f"{prompt.name!r} takes prompts and shows answers: they look alike to the backend",
            f'use two tags, with smart="false" on the one for answers; {TEMPLATES}',
        )
    elif not prompt.is_smart_only:
        yield Finding(
            _CONFIG,
            "warn",
            f"{prompt.name!r} can be drawn by hand too, and such a region looks like a prompt",
            f'set smartOnly="true" on {prompt.name!r}',
        )


def _labels(
    config: LabelConfig, image: ImageTag, prompt: ControlTag, outputs: tuple[ControlTag, ...]
) -> Iterator[Finding]:
    missing = config.route(image.name, labels_of(config, prompt), prompt).missing
    if missing:
        names = ", ".join(repr(label) for label in missing)
        tags = " or ".join(repr(tag.name) for tag in outputs)
        yield Finding(
            _CONFIG,
            "warn",
            f"{tags} has no label {names} of {prompt.name!r}: such masks carry no label",
            f"add {names} to {tags}",
        )


def labels_of(config: LabelConfig, tag: ControlTag) -> list[str]:
    """Labels of a tag as regions store them: its own, or those of the `<Labels>` of its image."""
    holders = [tag] if tag.has_own_labels else []
    if not holders:
        holders = [t for t in config.controls if t.kind == "labels" and t.to_name == tag.to_name]
    return [label.stored for holder in holders for label in holder.labels]
