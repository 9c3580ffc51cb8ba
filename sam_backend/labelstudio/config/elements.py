"""Reading the XML elements of a labelling configuration into tags."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import cast
from xml.etree import ElementTree
from xml.parsers import expat

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.config.tags import (
    OUTPUT_KINDS,
    SMART_KINDS,
    ControlTag,
    ImageTag,
    Label,
    Role,
    TagParameters,
    UnservedTag,
)

REGION_KINDS = (*OUTPUT_KINDS, "keypoint", "ellipse", "vector", "magicwand")
"""The tags that draw regions on an image, in lower case and without `labels`."""

CONTROL_TAGS = {"labels": "labels"} | {
    tag: kind for kind in REGION_KINDS for tag in (kind, f"{kind}labels")
}
"""The tags that draw or name regions on an image, in lower case, with their kind."""

OTHER_OBJECTS = (
    "audio",
    "audioplus",
    "chat",
    "hypertext",
    "paragraphs",
    "pdf",
    "timeseries",
    "video",
)
"""Tags that show something else to label than an image, in lower case."""

# Specks are nobody's object, and cost a polygon a region each and a rectangle its size; 100 px is
# the paper's appendix B.
_DEFAULTS = {kind: TagParameters(min_area_px=100) for kind in OUTPUT_KINDS}


def read_xml(xml: str) -> ElementTree.Element:
    """The root element; a document type is refused, and with it every entity bomb."""

    def refuse(name: str, *_: object) -> None:
        raise LabelConfigError(f"the label config must not declare a document type ({name!r})")

    scanner = expat.ParserCreate()
    scanner.StartDoctypeDeclHandler = refuse
    try:
        scanner.Parse(xml.strip(), True)
        return ElementTree.fromstring(xml.strip())  # noqa: S314 (no document type: see above)
    except (expat.ExpatError, ElementTree.ParseError, ValueError) as error:
        raise LabelConfigError(f"the label config is not well-formed XML: {error}") from error


def _attributes(element: ElementTree.Element) -> Mapping[str, str]:
    """Attributes with names in lower case, which is how the editor reads them."""
    return MappingProxyType({name.lower(): value for name, value in element.attrib.items()})


def _required(attributes: Mapping[str, str], tag: str, name: str) -> str:
    value = attributes.get(name.lower(), "").strip()
    if not value:
        raise LabelConfigError(f"<{tag}> needs the attribute {name!r}")
    return value


def unserved_object(element: ElementTree.Element, repeats: bool) -> UnservedTag | None:
    """Why no masks are made on what the tag shows; None for a plain `<Image>`."""
    attributes = _attributes(element)
    if element.tag.lower() != "image":
        reason = "masks are made on <Image> only"
    elif repeats:
        reason = "pages of a <Repeater> are not supported"
    elif attributes.get("valuelist"):
        reason = "galleries of several images (valueList) are not supported"
    else:
        return None
    return UnservedTag(attributes.get("name", "").strip(), element.tag, reason)


def unserved_control(
    element: ElementTree.Element, repeats: bool, unserved: Collection[str]
) -> UnservedTag | None:
    """Why no masks are made by a tag that draws or names regions; None where they are.

    Args:
        element: The tag.
        repeats: True if it stands in a `<Repeater>`.
        unserved: Names of the objects that are not served.
    """
    attributes = _attributes(element)
    name, to_name = attributes.get("name", "").strip(), attributes.get("toname", "").strip()
    if "," in to_name:
        # Label Studio's page of 1.23.2 gives such a tag no tool and makes no region of it (seen)
        reason = (
            f'tags of several images (toName="{to_name}") draw nothing on Label Studio\'s page '
            "either: give each image a tag of its own"
        )
    elif to_name in unserved:
        reason = f"it is for {to_name!r}, which is not served"
    elif repeats:
        reason = "pages of a <Repeater> are not supported"
    else:
        return None
    return UnservedTag(name, element.tag, reason)


def read_image(element: ElementTree.Element) -> ImageTag:
    """Read an `<Image>` tag.

    Raises:
        LabelConfigError: It has no `name` or no `value`.
    """
    attributes = _attributes(element)
    name = _required(attributes, element.tag, "name")
    return ImageTag(name, _required(attributes, element.tag, "value"))


def read_control(element: ElementTree.Element, tag: str) -> ControlTag:
    """Read a tag that people draw with.

    Args:
        element: The tag.
        tag: Its name in lower case, a key of `CONTROL_TAGS`.

    Raises:
        LabelConfigError: It has no `name` or no `toName`, or a parameter of ours is wrong.
    """
    attributes = _attributes(element)
    name = _required(attributes, element.tag, "name")
    kind = CONTROL_TAGS[tag]
    return ControlTag(
        name=name,
        to_name=_required(attributes, element.tag, "toName"),
        result_type=tag,
        kind=kind,
        labels=_labels(element),
        has_dynamic_labels=attributes.get("value", "").startswith("$"),
        is_smart=kind in SMART_KINDS
        and (_is_on(attributes, "smart", True) or _is_on(attributes, "smartonly", False)),
        role=_role(attributes, element.tag, name, kind),
        parameters=_parameters(attributes, f"<{element.tag}> {name!r}", kind),
        attributes=attributes,
    )


def _labels(element: ElementTree.Element) -> tuple[Label, ...]:
    found = []
    for child in element.iter():
        if isinstance(child.tag, str) and child.tag.lower() == "label":
            attributes = _attributes(child)
            if attributes.get("value"):
                found.append(Label(attributes["value"], attributes.get("alias") or None))
    return tuple(found)


def _is_on(attributes: Mapping[str, str], name: str, default: bool) -> bool:
    return attributes.get(name, str(default)).strip().lower() == "true"


def _role(attributes: Mapping[str, str], tag: str, name: str, kind: str) -> Role | None:
    role = attributes.get("sam")
    if role is None:
        return None
    if role not in ("output", "prompt"):
        raise LabelConfigError(f'<{tag}> {name!r}: sam must be "output" or "prompt", not {role!r}')
    if role == "output" and kind not in OUTPUT_KINDS:
        raise LabelConfigError(f'<{tag}> {name!r} cannot show a mask, so it cannot be sam="output"')
    return cast(Role, role)


def _parameters(attributes: Mapping[str, str], where: str, kind: str) -> TagParameters:
    defaults = _DEFAULTS.get(kind, TagParameters())
    known = {f"sam_{item.name}" for item in fields(TagParameters)}
    for attribute in attributes:
        if attribute.startswith("sam_") and attribute not in known:
            raise LabelConfigError(
                f"{where}: unknown attribute {attribute!r} (known: {', '.join(sorted(known))})"
            )

    def number(name: str, default: float, highest: float = math.inf) -> float:
        text = attributes.get(f"sam_{name}")
        return default if text is None else _number(text, f"{where}: sam_{name}", highest)

    return TagParameters(
        score_threshold=number("score_threshold", defaults.score_threshold, 1.0),
        simplify_px=number("simplify_px", defaults.simplify_px),
        min_area_px=math.ceil(number("min_area_px", defaults.min_area_px)),
    )


def _number(text: str, where: str, highest: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 <= number <= highest and math.isfinite(number)):
        span = "a number from 0" + (f" to {highest:g}" if math.isfinite(highest) else "")
        raise LabelConfigError(f"{where} must be {span}, not {text!r}")
    return number
