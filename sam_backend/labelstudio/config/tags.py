"""The tags of a labelling configuration that matter to us: images, labels and region controls."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sam_backend.errors import InvalidInputError

# Label Studio's own expression for variables in a tag's value (editor, utils/data.js).
_VARIABLE = re.compile(r"\$[\w\[\].{}]+")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")
_PATH_STEP = re.compile(r"[^.\[\]]+")

Role = Literal["output", "prompt"]

OUTPUT_KINDS = ("brush", "polygon", "bitmask", "rectangle")
"""Tags that can show a mask: each has a file in `labelstudio/regions`."""

MASK_KINDS = ("brush", "polygon", "bitmask", "ellipse")
"""Tags whose regions are masks: a rectangle says where an object is, not which pixels are it."""

SMART_KINDS = ("keypoint", "rectangle", "magicwand")
"""Tags whose smart tool asks the backend; the smart button of the others sends nothing."""


@dataclass(frozen=True, slots=True)
class Label:
    """One choice of a control tag.

    Attributes:
        value: What the annotator reads.
        alias: What Label Studio stores instead of the value; None without.
    """

    value: str
    alias: str | None = None

    @property
    def stored(self) -> str:
        """The name that Label Studio writes into a region (editor, mixins/SelectedModel.js)."""
        return self.alias or self.value


@dataclass(frozen=True, slots=True)
class NamedLabel:
    """The label that a region can carry, or several (`choice="multiple"`).

    Attributes:
        label: The name to store in the region.
        labels_tag: Name of the `<Labels>` that holds it; None if the control itself does.
        more_labels: Further names of the same tag.
    """

    label: str
    labels_tag: str | None = None
    more_labels: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All names, in the order they were chosen."""
        return (self.label, *self.more_labels)


@dataclass(frozen=True, slots=True)
class TagParameters:
    """How masks become regions of one control tag; each field is the tag's attribute `sam_<name>`.

    Attributes:
        score_threshold: Masks with a lower predicted IoU are not answered, 0 to 1.
        simplify_px: How far a polygon may leave the mask's edge, in pixels; 0: exact.
        min_area_px: Parts and holes of a mask that are smaller, in pixels, are dropped and filled;
            the largest part always stays.
    """

    score_threshold: float = 0.0
    simplify_px: float = 1.0
    min_area_px: int = 0


@dataclass(frozen=True, slots=True)
class ImageTag:
    """An `<Image>`: where a task keeps its picture's address.

    Attributes:
        name: The tag's name, which regions repeat as `to_name`.
        value: The tag's `value` as written, for example `$image`.
    """

    name: str
    value: str

    @property
    def key(self) -> str | None:
        """The task's field (`image` for `$image`); None if the value is more than that."""
        match = _VARIABLE.fullmatch(self.value)
        return match.group()[1:] if match else None

    def address(self, data: Mapping[str, object]) -> str:
        """The picture's address in one task's data, found as Label Studio's editor finds it.

        Supports `$image`, nested `$meta.urls[0]` and text around variables (`https://host/$name`).

        Raises:
            InvalidInputError: The field is missing, empty or not a text.
        """
        if self.key is not None:
            return self._text(self.key, data)
        return _VARIABLE.sub(lambda match: self._text(match.group()[1:], data), self.value)

    def _text(self, path: str, data: Mapping[str, object]) -> str:
        found = _look_up(data, path)
        if isinstance(found, list):
            raise InvalidInputError(
                f"multi-image tasks are not supported: {path!r} of image {self.name!r} is a list"
            )
        if not isinstance(found, str) or not found:
            raise InvalidInputError(
                f"image {self.name!r} reads the field {path!r}, which is not a text in the task's "
                f"data (fields: {', '.join(sorted(data)) or 'none'})"
            )
        return found


def _look_up(data: Mapping[str, object], path: str) -> object:
    """The value at a path such as `a.b[0]`, or None; a field of that very name wins."""
    if path in data:
        return data[path]
    found: object = data
    for step in _PATH_STEP.findall(path):
        if isinstance(found, Mapping):
            found = found.get(step)
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag that draws regions on an image, or a `<Labels>` that names them.

    Attributes:
        name: The tag's name, which regions repeat as `from_name`.
        to_name: Name of the image tag.
        result_type: The tag in lower case, which regions repeat as `type`: `brushlabels`, `brush`.
        kind: The same without `labels`: brush, polygon, rectangle, bitmask, keypoint, ellipse,
            vector, magicwand; `labels` for `<Labels>`.
        labels: Its labels in the order of the configuration.
        has_dynamic_labels: True if labels also come from the task's data (`value="$labels"`).
        is_smart: True if the tag has a smart tool that asks us (`smart` is on by default).
        role: The tag's `sam` attribute; None without.
        parameters: The tag's `sam_…` attributes.
        attributes: All attributes as written, names in lower case.
    """

    name: str
    to_name: str
    result_type: str
    kind: str
    labels: tuple[Label, ...] = ()
    has_dynamic_labels: bool = False
    is_smart: bool = False
    role: Role | None = None
    parameters: TagParameters = TagParameters()
    attributes: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def has_own_labels(self) -> bool:
        """True for `<BrushLabels>`, False for a bare `<Brush>`, which a `<Labels>` names."""
        return self.result_type.endswith("labels")

    @property
    def is_smart_only(self) -> bool:
        """True if its tool cannot draw by hand (`smartOnly="true"`)."""
        return self.attributes.get("smartonly", "").strip().lower() == "true"

    @property
    def only_asks(self) -> bool:
        """True if its regions are prompts, and none of them is what a person wants to keep."""
        return self.role == "prompt" or (self.is_smart_only and self.role != "output")


@dataclass(frozen=True, slots=True, order=True)
class LabelMatch:
    """How a tag has a label that is asked for; the lowest rank is the best match.

    Attributes:
        rank: 0: by its exact value or alias; 1: without regard to case; 2: it takes any label.
        stored: The name to store in a region of the tag.
    """

    rank: int
    stored: str = field(compare=False)


def match_label(tag: ControlTag, wanted: str) -> LabelMatch | None:
    """The label to store in a region of this tag; None if the tag has no such label.

    An exact value or alias wins over a match without regard to case. A tag whose labels come from
    the task's data takes any label.
    """
    for label in tag.labels:
        if wanted in (label.value, label.alias):
            return LabelMatch(0, label.stored)
    folded = wanted.strip().casefold()
    for label in tag.labels:
        names = (label.value, label.alias or "")
        if folded and folded in (name.strip().casefold() for name in names):
            return LabelMatch(1, label.stored)
    return LabelMatch(2, wanted) if tag.has_dynamic_labels else None


@dataclass(frozen=True, slots=True)
class UnservedTag:
    """A tag of the label config that no masks are made for.

    Attributes:
        name: As written; in a `<Repeater>` it holds a placeholder such as `{{idx}}`.
        tag: The tag's own name as written, such as `Video`.
        reason: Why not, in words that finish "is not served: ".
    """

    name: str
    tag: str
    reason: str

    def is_named(self, name: str) -> bool:
        """True for the name, or for one that a `<Repeater>` makes of it."""
        parts = _PLACEHOLDER.split(self.name)
        # possessive: else a name of many placeholders takes time without end
        return re.fullmatch(r"\d++".join(map(re.escape, parts)), name) is not None
