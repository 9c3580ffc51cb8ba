"""The labelling templates that we hand out are ones that we can answer."""

import xml.etree.ElementTree as ElementTree

import pytest

from sam_backend.errors import LabelConfigError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.templates import template

OUTPUTS = ["brush", "polygon", "rectangle", "bitmask"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_template_has_one_output_and_prompts_of_its_labels(name: str) -> None:
    config = LabelConfig.parse(template(name))
    (output,) = config.outputs("image")
    assert output.name == "mask"
    tags = {tag.get("name"): tag for tag in ElementTree.fromstring(template(name)).iter()}
    assert tags["mask"].tag.lower() == f"{name}labels"
    assert tags["mask"].get("smart") == "false"
    labels = [label.get("value") for label in tags["mask"]]
    for prompt in ("click", "box"):
        assert (tags[prompt].get("smart"), tags[prompt].get("smartOnly")) == ("true", "true")
        assert [label.get("value") for label in tags[prompt]] == labels


@pytest.mark.parametrize("name", OUTPUTS)
def test_labels_stand_above_the_image_and_key_1_is_the_smart_points(name: str) -> None:
    """Below a tall image choosing a label scrolls the page, and a brush's key 1 paints a dot."""
    kinds = [tag.tag for tag in ElementTree.fromstring(template(name)).iter()]
    drawing = [kind for kind in kinds if kind.endswith("Labels")]
    assert drawing[:2] == ["KeyPointLabels", "RectangleLabels"]
    assert len(drawing) == 3
    assert kinds[-1] == "Image"


def test_an_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(LabelConfigError, match=r"'video'.*bitmask.*rectangle"):
        template("video")
