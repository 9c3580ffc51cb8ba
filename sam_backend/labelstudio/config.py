"""A project's labelling configuration: which images it shows and which tags draw on them."""

from dataclasses import dataclass

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.elements import CONTROL_TAGS, read_control, read_image, read_xml
from sam_backend.labelstudio.tags import (
    MASK_KINDS,
    OUTPUT_KINDS,
    ControlTag,
    ImageTag,
    NamedLabel,
    match_label,
)


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """The parts of a labelling configuration that matter to us, in its own order."""

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]

    @classmethod
    def parse(cls, xml: str) -> "LabelConfig":
        """Read the configuration that Label Studio sends.

        Raises:
            LabelConfigError: The XML is broken or declares a document type, a tag lacks a name,
                several images are in one tag, or one of our attributes has a wrong value.
        """
        images: list[ImageTag] = []
        controls: list[ControlTag] = []
        for element in read_xml(xml).iter():
            tag = element.tag.lower() if isinstance(element.tag, str) else ""
            if tag == "image":
                images.append(read_image(element))
            elif tag in CONTROL_TAGS:
                controls.append(read_control(element, tag))
        names = [*(tag.name for tag in images), *(tag.name for tag in controls)]
        for name in names:
            if names.count(name) > 1:
                raise LabelConfigError(f"two tags are named {name!r}")
        return cls(tuple(images), tuple(controls))

    def image(self, name: str) -> ImageTag:
        """The image tag of this name; LabelConfigError without."""
        for tag in self.images:
            if tag.name == name:
                return tag
        raise LabelConfigError(f"no image tag is named {name!r:.60} ({_listing(self.images)})")

    def control(self, name: str) -> ControlTag:
        """The control tag of this name; LabelConfigError without."""
        for tag in self.controls:
            if tag.name == name:
                return tag
        raise LabelConfigError(f"no control tag is named {name!r:.60} ({_listing(self.controls)})")

    def outputs(self, image_name: str) -> tuple[ControlTag, ...]:
        """The tags of one image that masks are answered with.

        The rule: all tags marked `sam="output"`; else the first brush, polygon or bitmask that is
        not marked `sam="prompt"`, or rectangle with `smart="false"`; else the first rectangle.

        Raises:
            LabelConfigError: No tag of the image can show a mask.
        """
        able = [
            tag
            for tag in self.controls
            if tag.to_name == image_name and tag.kind in OUTPUT_KINDS and tag.role != "prompt"
        ]
        marked = tuple(tag for tag in able if tag.role == "output")
        if marked:
            return marked
        for tag in able:
            if tag.kind != "rectangle" or not tag.is_smart:
                return (tag,)
        if able:
            return (able[0],)
        raise LabelConfigError(
            f"no tag of image {image_name!r} can show a mask: add BrushLabels, PolygonLabels, "
            f'BitmaskLabels or RectangleLabels with toName="{image_name}"'
        )

    def mask_labels(self) -> tuple[str, ...]:
        """The labels that a mask may carry, in the config's order, as regions store them."""
        return tuple(
            dict.fromkeys(
                label.stored
                for tag in self.controls
                if tag.kind in (*MASK_KINDS, "labels")
                for label in tag.labels
            )
        )

    def label_for(
        self, output: ControlTag, wanted: str, prompt: ControlTag | None = None
    ) -> NamedLabel | None:
        """Where and how the output tag carries the label of a prompt; None if it cannot.

        Args:
            output: The tag that shows the mask.
            wanted: The label of the prompt, as Label Studio sent it: its alias if it has one.
            prompt: The tag of the prompt, through which an alias is also known by its value.
        """
        holders = [output] if output.has_own_labels else self._labels_tags(output.to_name)
        for name in self._names_of(wanted, prompt):
            for holder in holders:
                label = match_label(holder, name)
                if label is not None:
                    return NamedLabel(label, None if holder is output else holder.name)
        return None

    def _labels_tags(self, image_name: str) -> list[ControlTag]:
        return [tag for tag in self.controls if tag.kind == "labels" and tag.to_name == image_name]

    def _names_of(self, wanted: str, prompt: ControlTag | None) -> list[str]:
        if prompt is None:
            return [wanted]
        holders = [prompt, *([] if prompt.has_own_labels else self._labels_tags(prompt.to_name))]
        values = [label.value for tag in holders for label in tag.labels if label.alias == wanted]
        return [wanted, *values]


def _listing(tags: tuple[ImageTag, ...] | tuple[ControlTag, ...]) -> str:
    return "there are: " + ", ".join(repr(tag.name) for tag in tags) if tags else "there are none"
