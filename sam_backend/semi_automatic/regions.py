"""A judgement as Label Studio's regions: which tag shows a mask, and under which label."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import OUTPUT_KINDS, ControlTag, ImageTag, NamedLabel
from sam_backend.labelstudio.regions import codec
from sam_backend.labelstudio.regions.region import Answer, Region, make_regions, to_percent
from sam_backend.masks.rle import decode
from sam_backend.masks.small_regions import clean
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.semi_automatic.gaps import Gap
from sam_backend.semi_automatic.triage import Judged, Outcome

# Light ones first: a bitmask is a compressed picture, a polygon some points, a brush every run.
_LIGHT_FIRST = ("bitmask", "polygon", "brush", "rectangle")
_POINT_WIDTH_PERCENT = 0.5


class RegionWriter:
    """Writes masks as regions of one image tag.

    Args:
        config: Label config of the project.
        image: The tag of the image.
        settings: Which output and which labels.

    Raises:
        LabelConfigError: The config cannot show masks, or has not the label that is set.
    """

    def __init__(self, config: LabelConfig, image: ImageTag, settings: PrefillSettings) -> None:
        self._config = config
        self._image = image
        self._settings = settings
        self._outputs = _outputs(config, image, settings.output)
        first = next(iter(self._labels_of(self._outputs[0])), None)
        label = settings.label or first
        self._usual = (self._outputs[0], None) if label is None else self._named(label)
        review = settings.review_label
        self._review = self._named(review) if review else self._usual

    @property
    def output(self) -> ControlTag:
        """The tag that shows masks with the usual label."""
        return self._usual[0]

    def labels(self) -> list[str]:
        """What a mask can be labelled as: by any tag that shows masks, the preferred one first."""
        found = (label for tag in self._outputs for label in self._labels_of(tag))
        return list(dict.fromkeys(found))

    def masks(
        self, shown: Sequence[Judged], labels: Mapping[int, Sequence[str]] | None = None
    ) -> tuple[list[Region], int]:
        """Regions of masks, without specks.

        Args:
            shown: The masks of an image.
            labels: All labels of a mask by its index in `shown`, from a classifier or from the
                box that it was made of; one that stands with another tag than the first is left
                out. Masks without get the label that is set.

        Returns:
            The regions, and how many masks vanished with their specks.
        """
        regions: list[Region] = []
        n_empty = 0
        for index, one in enumerate(shown):
            mask = clean(decode(one.record.rle), self._settings.min_area_px)
            named = (labels or {}).get(index)
            tag, label = self._shown_as(one) if not named else self._named(*named)
            written = codec.encode(mask, Answer(_cleaned(tag), label, one.confidence))
            n_empty += not written
            regions += written
        return regions, n_empty

    def points(self, gaps: Sequence[Gap], size: tuple[int, int]) -> list[Region]:
        """Key points where something seems to be missing, at most as many as the settings allow.

        They have no `is_positive`, so that nobody's click takes them for a prompt.

        Args:
            gaps: The largest first.
            size: (height, width) of the image in pixels.
        """
        if not self._settings.gap_points:
            return []
        tag = self._point_tag()
        usual = self._usual[1]
        wanted = None if usual is None else usual.label
        label = None if wanted is None else self._config.label_for(tag, wanted)
        regions: list[Region] = []
        for gap in gaps[: self._settings.gap_points]:
            [[x, y]] = to_percent(np.array([[gap.x, gap.y]], np.float64), size).tolist()
            value = {"x": x, "y": y, "width": _POINT_WIDTH_PERCENT}
            regions += make_regions(value, Answer(tag, label), size)
        return regions

    def _shown_as(self, one: Judged) -> tuple[ControlTag, NamedLabel | None]:
        return self._review if one.outcome is Outcome.REVIEW else self._usual

    def _labels_of(self, tag: ControlTag) -> list[str]:
        holders = [tag]
        if not tag.has_own_labels:
            holders = [
                other
                for other in self._config.controls
                if other.kind == "labels" and other.to_name == self._image.name
            ]
        return [label.stored for holder in holders for label in holder.labels]

    def _named(self, *names: str) -> tuple[ControlTag, NamedLabel | None]:
        """The first tag that has the labels, the preferred ones first."""
        routed = self._config.route(self._image.name, names, outputs=self._outputs)
        if routed.missing:
            tags = ", ".join(repr(tag.name) for tag in self._outputs)
            raise LabelConfigError(
                f"tag {tags} has no label {routed.missing[0]!r} for prefilled masks "
                f"(it has: {', '.join(map(repr, self.labels())) or 'none'})"
            )
        return routed.tags[0]

    def _point_tag(self) -> ControlTag:
        for tag in self._config.controls:
            if tag.kind == "keypoint" and tag.to_name == self._image.name:
                return tag
        raise LabelConfigError(
            f"prefill's gap_points is {self._settings.gap_points}, but no KeyPoint tag is on "
            f"image {self._image.name!r}"
        )


def _cleaned(tag: ControlTag) -> ControlTag:
    """The tag for masks that the prefill settings have cleaned: only what it asks for itself.

    Polygons and rectangles are cleaned by their default too: specks become regions of their own.
    """
    if tag.kind not in ("brush", "bitmask") or "sam_min_area_px" in tag.attributes:
        return tag
    return replace(tag, parameters=replace(tag.parameters, min_area_px=0))


def _outputs(config: LabelConfig, image: ImageTag, kind: str) -> list[ControlTag]:
    """The tags that may show masks, the preferred one first."""
    able = [
        tag
        for tag in config.controls
        if tag.to_name == image.name and tag.kind in OUTPUT_KINDS and tag.role != "prompt"
    ]
    if kind != "auto":
        found = [tag for tag in able if tag.kind == kind]
        if found:
            return found
        raise LabelConfigError(
            f"prefill's output is {kind!r}, but image {image.name!r} has no such tag "
            f"(it has: {', '.join(sorted({tag.kind for tag in able})) or 'none'})"
        )
    usual = config.outputs(image.name)
    if usual[0].role == "output":
        return list(usual)
    return sorted(usual, key=lambda tag: _LIGHT_FIRST.index(tag.kind))
