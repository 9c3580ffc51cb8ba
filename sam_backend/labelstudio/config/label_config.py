"""A project's labelling configuration: which images it shows and which tags draw on them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.config.elements import (
    CONTROL_TAGS,
    OTHER_OBJECTS,
    read_control,
    read_image,
    read_xml,
    unserved_control,
    unserved_object,
)
from sam_backend.labelstudio.config.tags import (
    MASK_KINDS,
    OUTPUT_KINDS,
    ControlTag,
    ImageTag,
    LabelMatch,
    NamedLabel,
    UnservedTag,
    match_label,
)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where the mask of a prompt is shown.

    Attributes:
        tags: Each tag that shows it, with its labels there; None: the region carries no label.
        missing: Labels of the prompt that no such tag has.
    """

    tags: tuple[tuple[ControlTag, NamedLabel | None], ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """The parts of a labelling configuration that matter to us, in its own order.

    Attributes:
        images: Images that masks are made for.
        controls: Tags that draw on them or name regions.
        unserved: What masks are not made for. It costs the others nothing.
    """

    images: tuple[ImageTag, ...]
    controls: tuple[ControlTag, ...]
    unserved: tuple[UnservedTag, ...] = ()

    @classmethod
    def parse(cls, xml: str) -> "LabelConfig":
        """Read the configuration that Label Studio sends.

        Raises:
            LabelConfigError: The XML is broken or declares a document type, a tag lacks a name, or
                one of our attributes has a wrong value.
        """
        elements = list(_walk(read_xml(xml)))
        images: list[ImageTag] = []
        unserved: list[UnservedTag] = []
        for element, repeats in elements:
            if element.tag.lower() in ("image", *OTHER_OBJECTS):
                left_out = unserved_object(element, repeats)
                if left_out is None:
                    images.append(read_image(element))
                elif left_out.name:
                    unserved.append(left_out)
        others = frozenset(tag.name for tag in unserved)
        controls: list[ControlTag] = []
        for element, repeats in elements:
            tag = element.tag.lower()
            if tag in CONTROL_TAGS:
                left_out = unserved_control(element, repeats, others)
                if left_out is None:
                    controls.append(read_control(element, tag))
                else:
                    unserved.append(left_out)
        names = Counter([*(tag.name for tag in images), *(tag.name for tag in controls)])
        for name, count in names.most_common(1):
            if count > 1:
                raise LabelConfigError(f"two tags are named {name!r}")
        return cls(tuple(images), tuple(controls), tuple(unserved))

    def image(self, name: str) -> ImageTag:
        """The image tag of this name; LabelConfigError without."""
        for tag in self.images:
            if tag.name == name:
                return tag
        self._refuse_unserved(name)
        raise LabelConfigError(f"no image tag is named {name!r:.60} ({_listing(self.images)})")

    def control(self, name: str) -> ControlTag:
        """The control tag of this name; LabelConfigError without."""
        for tag in self.controls:
            if tag.name == name:
                return tag
        self._refuse_unserved(name)
        raise LabelConfigError(f"no control tag is named {name!r:.60} ({_listing(self.controls)})")

    def _refuse_unserved(self, name: str) -> None:
        for tag in self.unserved:
            if tag.is_named(name):
                raise LabelConfigError(f"<{tag.tag}> {name!r:.60} is not served: {tag.reason}")

    def outputs(self, image_name: str) -> tuple[ControlTag, ...]:
        """The tags of one image that can show a mask, in the order of the configuration.

        The rule: all tags marked `sam="output"`; else each brush, polygon or bitmask that is not
        marked `sam="prompt"` and each rectangle with `smart="false"`; else the first rectangle.
        Which of them shows an answer is up to its label: see `route`.

        Raises:
            LabelConfigError: No tag of the image can show a mask.
        """
        able = [
            tag
            for tag in self.controls
            if tag.to_name == image_name and tag.kind in OUTPUT_KINDS and tag.role != "prompt"
        ]
        marked = tuple(tag for tag in able if tag.role == "output")
        drawing = tuple(tag for tag in able if tag.kind != "rectangle" or not tag.is_smart)
        found = marked or drawing or tuple(able[:1])
        if not found:
            raise LabelConfigError(
                f"no tag of image {image_name!r} can show a mask: add BrushLabels, PolygonLabels, "
                f'BitmaskLabels or RectangleLabels with toName="{image_name}"'
            )
        return found

    def route(
        self,
        image_name: str,
        wanted: Sequence[str],
        prompt: ControlTag | None = None,
        outputs: Sequence[ControlTag] = (),
    ) -> Routed:
        """Which tags show the mask of a prompt: those that have its labels.

        Each label goes to the first output tag that has it, by its value or alias; an exact name
        goes before one without regard to case. Of tags marked `sam="output"` all that have a label
        show the mask. If none has any, the first one (all marked ones) shows it without a label.

        Args:
            image_name: Image that the prompt stands on.
            wanted: Labels of the prompt, as Label Studio sent them.
            prompt: Its tag, through which an alias is also known by its value.
            outputs: Tags to choose from, the preferred one first; those of `outputs` without.

        Raises:
            LabelConfigError: No tag of the image can show a mask.
        """
        outputs = outputs or self.outputs(image_name)
        is_marked = outputs[0].role == "output"
        found: dict[str, list[NamedLabel]] = {tag.name: [] for tag in outputs}
        missing = []
        for label in wanted:
            matches = [
                (match, named, tag)
                for tag in outputs
                for match, named in self._matches(tag, label, prompt)[:1]
            ]
            if not matches:
                missing.append(label)
            elif not is_marked:
                # Of equal matches the tag that shows an earlier label, so that they stay together.
                matches = [min(matches, key=lambda one: (one[0].rank, not found[one[2].name]))]
            for _, named, tag in matches:
                found[tag.name].append(named)
        shown = [(tag, _together(found[tag.name])) for tag in outputs if found[tag.name]]
        unlabelled = [(tag, None) for tag in (outputs if is_marked else outputs[:1])]
        return Routed(tuple(shown or unlabelled), tuple(missing))

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
        return next((named for _, named in self._matches(output, wanted, prompt)), None)

    def _matches(
        self, output: ControlTag, wanted: str, prompt: ControlTag | None
    ) -> list[tuple[LabelMatch, NamedLabel]]:
        """The ways in which a tag can carry a label, the best first."""
        holders = [output] if output.has_own_labels else self._labels_tags(output.to_name)
        found = []
        for name in self._names_of(wanted, prompt):
            for holder in holders:
                match = match_label(holder, name)
                if match is not None:
                    labels_tag = None if holder is output else holder.name
                    found.append((match, NamedLabel(match.stored, labels_tag)))
        return sorted(found, key=lambda pair: pair[0])

    def _labels_tags(self, image_name: str) -> list[ControlTag]:
        return [tag for tag in self.controls if tag.kind == "labels" and tag.to_name == image_name]

    def _names_of(self, wanted: str, prompt: ControlTag | None) -> list[str]:
        if prompt is None:
            return [wanted]
        holders = [prompt, *([] if prompt.has_own_labels else self._labels_tags(prompt.to_name))]
        values = [label.value for tag in holders for label in tag.labels if label.alias == wanted]
        return [wanted, *values]


def images_of(xml: str) -> tuple[ImageTag, ...]:
    """Images of a label config that are served; none where it cannot be read."""
    try:
        return LabelConfig.parse(xml).images
    except LabelConfigError:
        return ()


def _walk(root: Element) -> Iterator[tuple[Element, bool]]:
    """Elements in their order, and whether each stands in a `<Repeater>`; however deeply nested."""
    waiting = [(root, False)]
    while waiting:
        element, repeats = waiting.pop()
        if not isinstance(element.tag, str):
            continue
        yield element, repeats
        is_repeater = element.tag.lower() == "repeater"
        waiting += [(child, repeats or is_repeater) for child in reversed(element)]


def _together(labels: Sequence[NamedLabel]) -> NamedLabel:
    """One for all labels of the same `<Labels>`, or of the tag itself, as the first."""
    first = labels[0]
    same = [one.label for one in labels if one.labels_tag == first.labels_tag]
    _, *more = dict.fromkeys(same)
    return NamedLabel(first.label, first.labels_tag, tuple(more))


def _listing(tags: tuple[ImageTag, ...] | tuple[ControlTag, ...]) -> str:
    return "there are: " + ", ".join(repr(tag.name) for tag in tags) if tags else "there are none"
