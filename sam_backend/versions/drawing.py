"""A page that shows what differs between two versions: the old outline on the new mask."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sam_backend.datasets.decoding import decode_image
from sam_backend.errors import ImageDecodeError, ImageFetchError, InvalidInputError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.regions.drawn_masks import labels_of, shape_of
from sam_backend.metrics.drawing import Picture, View
from sam_backend.metrics.pages import Figure, render
from sam_backend.projects.images import ProjectImages
from sam_backend.projects.project import Project
from sam_backend.versions.changes import Difference, RegionChange, mask_of


def difference_page(
    project: Project,
    title: str,
    difference: Difference,
    config: LabelConfig,
    images: ProjectImages,
    limit: int,
    observe: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """HTML of the counts and the first `limit` regions that differ.

    Args:
        project: The project.
        title: Title of the page.
        difference: What to show.
        config: Names the images' fields.
        images: Fetches, and keeps what was fetched.
        limit: Pictures at the most.
        observe: Told how many pictures are drawn, and of how many.
    """
    shown = difference.regions[:limit]
    figures, missing = [], []
    for done, one in enumerate(shown, 1):
        text = _words(one)
        try:
            figures.append(_figure(project, one, text, difference, config, images))
        except (ImageFetchError, ImageDecodeError, InvalidInputError) as error:
            missing.append((text, str(error)))
        observe(done, len(shown))
    return render(
        __package__,
        "drawing.html",
        title=title,
        counts=difference.counts,
        figures=figures,
        missing=missing,
        left=len(difference.regions) - len(shown),
    )


def _figure(
    project: Project,
    one: RegionChange,
    text: str,
    difference: Difference,
    config: LabelConfig,
    images: ProjectImages,
) -> Figure:
    if not any(map(shape_of, (one.before, one.after))):
        raise InvalidInputError("it has no mask")
    pixels = _pixels(project, one, difference, config, images)
    height, width = pixels.shape[:2]
    before, after = (mask_of(items, (height, width)) for items in (one.before, one.after))
    outline = after if before is None or not before.any() else before
    if outline is None or not outline.any():
        raise InvalidInputError(f"it has no mask that fits its image of {width} x {height} pixels")
    return Figure.of(View.of(pixels, outline).tile("", after), text, text)


def _pixels(
    project: Project,
    one: RegionChange,
    difference: Difference,
    config: LabelConfig,
    images: ProjectImages,
) -> Picture:
    shape = shape_of(one.after or one.before) or {}
    tag = next((tag for tag in config.images if tag.name == shape.get("to_name")), None)
    if tag is None or one.task not in difference.data:
        raise InvalidInputError("its image is unknown")
    kept = images.get(tag.address(difference.data[one.task]), project.host, one.task)
    file: Path = images.folder / kept.name
    return np.asarray(decode_image(file.read_bytes(), project.settings.max_image_pixels))


def _words(one: RegionChange) -> str:
    labels = [
        ", ".join(labels_of(items)) or "no label" for items in (one.before, one.after) if items
    ]
    told = f"task {one.task}, {' and '.join(one.kinds)}: {' → '.join(dict.fromkeys(labels))}"
    return told if one.iou is None else f"{told}, IoU {one.iou:.2f}"
