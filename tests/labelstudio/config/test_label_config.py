"""Label configurations as people write them."""

import json
from pathlib import Path

import pytest
from label_studio_sdk.label_interface import LabelInterface

from sam_backend.errors import InvalidInputError, LabelConfigError
from sam_backend.labelstudio.config.label_config import LabelConfig
from sam_backend.labelstudio.config.tags import ControlTag, ImageTag, Label, NamedLabel, match_label

SAMPLES = Path(__file__).parents[2] / "data" / "labelstudio"

FULL = """<View>
  <!-- a comment with <BrushLabels name="no" toName="no"/> in it -->
  <Style>.lsf { color: red }</Style>
  <Header value="Draw $title &amp; more"/>
  <View style="display: flex">
    <Text name="caption" value="$caption"/>
    <Image name="image" value="$img" zoom="true"/>
    <p>plain <b>HTML</b></p>
    <View>
      <BrushLabels name="brush" toName="image" smart="false" sam_score_threshold="0.5">
        <Label value="Car &amp; van" background="#f00"/>
        <View><Label value="Wheel" alias="w"/></View>
      </BrushLabels>
    </View>
  </View>
  <KeyPointLabels name="kp" toName="image" smart="true">
    <Label value="Wheel" alias="w"/></KeyPointLabels>
  <RectangleLabels name="rect" toName="image" smart="true">
    <Label value="car &amp; VAN"/></RectangleLabels>
  <PolygonLabels name="poly" toName="image" sam_simplify_px="2.5">
    <Label value="Wheel"/></PolygonLabels>
  <Choices name="quality" toName="image"><Choice value="good"/></Choices>
</View>"""

BARE = """<View>
  <Image name="image" value="$image"/>
  <Labels name="lab" toName="image"><Label value="Car"/><Label value="Wheel" alias="w"/></Labels>
  <Brush name="brush" toName="image" smart="false"/>
  <KeyPoint name="kp" toName="image" smart="true" smartOnly="true"/>
</View>"""


def config_of(*tags: str) -> LabelConfig:
    return LabelConfig.parse(f'<View><Image name="image" value="$image"/>{"".join(tags)}</View>')


def tag(kind: str, attributes: str = "") -> str:
    return f'<{kind} name="{kind}" toName="image" {attributes}><Label value="Car"/></{kind}>'


class TestParse:
    def test_reads_images_controls_labels_and_entities_in_order(self) -> None:
        config = LabelConfig.parse(FULL)
        assert config.images == (ImageTag("image", "$img"),)
        assert [tag.name for tag in config.controls] == ["brush", "kp", "rect", "poly"]
        assert [tag.kind for tag in config.controls] == [
            "brush",
            "keypoint",
            "rectangle",
            "polygon",
        ]
        assert config.control("brush").labels == (Label("Car & van"), Label("Wheel", "w"))
        assert config.control("brush").result_type == "brushlabels"
        assert config.control("brush").attributes["smart"] == "false"

    def test_full_config_is_valid_for_label_studio_too(self) -> None:
        LabelInterface(FULL).validate()
        LabelInterface(FULL.replace('name="poly"', 'name="poly" sam="output"')).validate()

    @pytest.mark.parametrize(
        ("attributes", "expected"),
        [
            ("", True),
            ('smart="true"', True),
            ('smart="false"', False),
            ('smart="false" smartOnly="true"', True),
        ],
    )
    def test_smart_is_on_by_default(self, attributes: str, expected: bool) -> None:
        assert config_of(tag("RectangleLabels", attributes)).controls[0].is_smart is expected

    def test_brush_is_no_smart_source_since_its_button_sends_nothing(self) -> None:
        assert not config_of(tag("BrushLabels", 'smart="true"')).controls[0].is_smart

    def test_parameters_have_defaults_by_tag(self) -> None:
        config = LabelConfig.parse(FULL)
        brush, polygon = config.control("brush").parameters, config.control("poly").parameters
        assert (brush.score_threshold, brush.simplify_px, brush.min_area_px) == (0.5, 1.0, 100)
        assert (polygon.score_threshold, polygon.simplify_px, polygon.min_area_px) == (0, 2.5, 100)

    @pytest.mark.parametrize("name", ["predict_interactive_keypoint_plus_Labels", "setup"])
    def test_reads_recorded_configs(self, name: str) -> None:
        body = json.loads((SAMPLES / f"{name}.json").read_text())["body"]
        config = LabelConfig.parse(body.get("label_config") or body["schema"])
        assert config.images[0].key == "image"
        assert config.outputs("image")[0].name == "brush"

    @pytest.mark.parametrize(
        ("xml", "reason"),
        [
            ("", "not well-formed"),
            ("<View>", "not well-formed"),
            ("<View>&nbsp;</View>", "not well-formed"),
            ("<View>\x00</View>", "not well-formed"),
            ("<View>\ud800</View>", "not well-formed"),
            ('<!DOCTYPE View [<!ENTITY a "b">]><View>&a;</View>', "document type.*'View'"),
            ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "document type.*'x'"),
            ('<View><Image value="$a"/></View>', "<Image> needs the attribute 'name'"),
            ('<View><Image name="a"/></View>', "<Image> needs the attribute 'value'"),
            ('<View><Brush name="a"/></View>', "<Brush> needs the attribute 'toName'"),
            (
                '<View><Brush name="a" toName="i"/><Brush name="a" toName="i"/></View>',
                "two tags are named 'a'",
            ),
        ],
    )
    def test_says_what_is_wrong(self, xml: str, reason: str) -> None:
        with pytest.raises(LabelConfigError, match=reason):
            LabelConfig.parse(xml)

    @pytest.mark.parametrize(
        ("attribute", "reason"),
        [
            (
                'sam_score_threshold="1.5"',
                "sam_score_threshold must be a number from 0 to 1.*'1.5'",
            ),
            ('sam_simplify_px="-1"', "sam_simplify_px must be a number from 0.*'-1'"),
            ('sam_min_area_px="big"', "sam_min_area_px must be a number from 0.*'big'"),
            ('sam_min_area_px="nan"', "'nan'"),
            ('sam_simplify_px="inf"', "'inf'"),
            ('sam_simplify="1"', "unknown attribute 'sam_simplify'.*sam_simplify_px"),
            ('sam="input"', 'sam must be "output" or "prompt", not \'input\''),
        ],
    )
    def test_names_tag_attribute_and_value(self, attribute: str, reason: str) -> None:
        with pytest.raises(LabelConfigError, match=f"<PolygonLabels> 'PolygonLabels'.*{reason}"):
            config_of(tag("PolygonLabels", attribute))

    def test_however_deeply_it_is_nested(self) -> None:
        image = '<Image name="image" value="$img"/>'
        deep = "<View>" * 5000 + image + "</View>" * 5000
        assert LabelConfig.parse(deep) == LabelConfig.parse(f"<View>{image}</View>")

    def test_a_point_cannot_be_an_output(self) -> None:
        with pytest.raises(LabelConfigError, match="<KeyPoint> 'KeyPoint' cannot show a mask"):
            config_of(tag("KeyPoint", 'sam="output"'))


L = '<Label value="Car"/>'
SERVED = (
    f'<Image name="image" value="$image"/><BrushLabels name="b" toName="image">{L}</BrushLabels>'
    f'<KeyPointLabels name="k" toName="image">{L}</KeyPointLabels>'
)


class TestUnserved:
    """One tag that is not served must not cost the others their masks."""

    @pytest.mark.parametrize(
        ("more", "asked", "reason"),
        [
            (
                f'<Image name="g" valueList="$urls"/><Brush name="gb" toName="g"/>{L}',
                {"image": "g", "control": "gb"},
                "valueList|'g', which is not served",
            ),
            ('<Video name="v" value="$v"/>', {"image": "v"}, "<Image> only"),
            (
                '<HyperText name="h" value="$h"/><Labels name="hl" toName="h"/>',
                {"image": "h", "control": "hl"},
                "<Image> only|'h', which is not served",
            ),
            (
                '<Repeater on="$pages" indexFlag="{{idx}}"><View>'
                '<Image name="page_{{idx}}" value="$pages[{{idx}}].url"/>'
                '<KeyPoint name="kp_{{idx}}" toName="page_{{idx}}"/></View></Repeater>',
                {"image": "page_0", "control": "kp_12"},
                "Repeater|which is not served",
            ),
            (
                '<Image name="nir" value="$nir"/><KeyPoint name="both" toName="image,nir"/>',
                {"control": "both"},
                'toName="image,nir"',
            ),
        ],
        ids=["gallery", "video", "hypertext", "repeater", "two images"],
    )
    def test_the_others_are_read(self, more: str, asked: dict[str, str], reason: str) -> None:
        for xml in (f"<View>{SERVED}{more}</View>", f"<View>{more}{SERVED}</View>"):
            config = LabelConfig.parse(xml)
            assert config.image("image").key == "image"
            assert [tag.name for tag in config.controls] == ["b", "k"]
            assert [tag.name for tag in config.outputs("image")] == ["b"]
            assert config.unserved
            for lookup, name in asked.items():
                with pytest.raises(LabelConfigError, match=f"{name}' is not served: .*({reason})"):
                    getattr(config, lookup)(name)

    def test_a_name_of_many_placeholders_is_looked_up_at_once(self) -> None:
        """Who sends /predict writes both: matched step by step, this one took years."""
        many = "{{a}}" * 30
        xml = f'<View><Repeater><Image name="{many}" value="$i"/></Repeater></View>'
        with pytest.raises(LabelConfigError, match="no image tag is named"):
            LabelConfig.parse(xml).image("1" * 60 + "x")

    def test_plain_text_beside_an_image_is_nothing_to_serve(self) -> None:
        assert LabelConfig.parse(FULL).unserved == ()


class TestImage:
    @pytest.mark.parametrize(
        ("value", "data", "expected"),
        [
            ("$img", {"caption": "a", "img": "b"}, "b"),
            ("$meta.img", {"meta": {"img": "b"}}, "b"),
            ("$meta.img", {"meta.img": "flat", "meta": {"img": "b"}}, "flat"),
            ("$urls[1]", {"urls": ["a", "b"]}, "b"),
            ("https://h/$name?x=$y", {"name": "b", "y": "1"}, "https://h/b?x=1"),
            ("https://h/fixed.png", {}, "https://h/fixed.png"),
        ],
    )
    def test_address(self, value: str, data: dict[str, object], expected: str) -> None:
        assert ImageTag("image", value).address(data) == expected

    @pytest.mark.parametrize(
        ("value", "data", "reason"),
        [
            ("$img", {"image": "b"}, "'img', which is not a text.*fields: image"),
            ("$img", {}, "fields: none"),
            ("$img", {"img": ""}, "'img'"),
            ("$img", {"img": 5}, "'img'"),
            ("$img", {"img": ["a"]}, "multi-image"),
            ("$a.b.c", {"a": {"b": "text"}}, "'a.b.c'"),
            ("$a[7]", {"a": ["x"]}, "'a\\[7\\]'"),
        ],
    )
    def test_address_that_is_missing(
        self, value: str, data: dict[str, object], reason: str
    ) -> None:
        with pytest.raises(InvalidInputError, match=reason):
            ImageTag("image", value).address(data)

    @pytest.mark.parametrize(
        ("value", "key"), [("$img", "img"), ("$a.b", "a.b"), ("x$a", None), ("http://a", None)]
    )
    def test_key(self, value: str, key: str | None) -> None:
        assert ImageTag("image", value).key == key


class TestOutputs:
    @pytest.mark.parametrize(
        ("tags", "expected"),
        [
            ([tag("KeyPointLabels"), tag("RectangleLabels"), tag("BrushLabels")], ["BrushLabels"]),
            ([tag("PolygonLabels"), tag("BrushLabels")], ["PolygonLabels", "BrushLabels"]),
            ([tag("PolygonLabels"), tag("BrushLabels", 'sam="output"')], ["BrushLabels"]),
            (
                [tag("Bitmask", 'sam="output"'), tag("BrushLabels", 'sam="output"')],
                ["Bitmask", "BrushLabels"],
            ),
            ([tag("PolygonLabels", 'sam="prompt"'), tag("BrushLabels")], ["BrushLabels"]),
            ([tag("RectangleLabels", 'smart="false"'), tag("Brush")], ["RectangleLabels", "Brush"]),
            ([tag("KeyPoint"), tag("RectangleLabels")], ["RectangleLabels"]),
            ([tag("RectangleLabels", 'sam="output"'), tag("BrushLabels")], ["RectangleLabels"]),
        ],
    )
    def test_rule(self, tags: list[str], expected: list[str]) -> None:
        assert [output.name for output in config_of(*tags).outputs("image")] == expected

    def test_only_tags_of_the_image_count(self) -> None:
        xml = (
            '<View><Image name="a" value="$a"/><Image name="b" value="$b"/>'
            '<Brush name="on_a" toName="a"/><Brush name="on_b" toName="b"/></View>'
        )
        assert [output.name for output in LabelConfig.parse(xml).outputs("b")] == ["on_b"]

    def test_none_is_an_error(self) -> None:
        with pytest.raises(LabelConfigError, match="no tag of image 'image' can show a mask"):
            config_of(tag("KeyPointLabels")).outputs("image")

    @pytest.mark.parametrize(("lookup", "known"), [("image", "'image'"), ("control", "'Brush'")])
    def test_unknown_name_lists_the_known_ones(self, lookup: str, known: str) -> None:
        with pytest.raises(LabelConfigError, match=f"'gone'.*there are: {known}"):
            getattr(config_of(tag("Brush")), lookup)("gone")


class TestLabels:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            ("Car", "Car"),
            ("car", "car"),
            ("CAR ", "Car"),
            ("Wheel", "w"),
            ("W", "w"),
            ("Bus", None),
        ],
    )
    def test_match_label(self, wanted: str, expected: str | None) -> None:
        labels = (Label("Car"), Label("car"), Label("Wheel", "w"))
        match = match_label(ControlTag("b", "i", "brushlabels", "brush", labels), wanted)
        assert (match and match.stored) == expected

    def test_labels_from_the_task_take_any_label(self) -> None:
        config = config_of('<BrushLabels name="b" toName="image" value="$labels"/>')
        match = match_label(config.control("b"), "Bus")
        assert match is not None
        assert match.stored == "Bus"

    def test_an_alias_of_the_prompt_is_known_by_its_value(self) -> None:
        config = LabelConfig.parse(FULL)
        polygon, points = config.control("poly"), config.control("kp")
        assert config.label_for(polygon, "w") is None
        assert config.label_for(polygon, "w", points) == NamedLabel("Wheel")

    def test_a_bare_tag_is_named_by_its_labels_tag(self) -> None:
        config = LabelConfig.parse(BARE)
        brush = config.control("brush")
        assert config.label_for(brush, "wheel") == NamedLabel("w", "lab")
        assert config.label_for(brush, "Bus") is None


def labelled(kind: str, name: str, *labels: str, more: str = "") -> str:
    """A tag with labels, each as `value` or `value=alias`."""
    inside = "".join(
        f'<Label value="{value}"{f" alias={chr(34)}{alias}{chr(34)}" if alias else ""}/>'
        for value, _, alias in (label.partition("=") for label in labels)
    )
    return f'<{kind} name="{name}" toName="image" smart="false" {more}>{inside}</{kind}>'


ORGAN, LESION = (
    labelled("BrushLabels", "organ", "Liver", "tumor"),
    labelled("PolygonLabels", "lesion", "Tumor", "Cyst=c"),
)
POINTS = labelled("KeyPointLabels", "point", "Liver", "Tumor", "Cyst=cy", "Bone")


class TestRoute:
    """A label goes to the tag that has it."""

    @staticmethod
    def routed(*tags: str, wanted: tuple[str, ...]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        config = config_of(*tags, POINTS)
        found = config.route("image", wanted, config.control("point"))
        names = {tag.name: () if label is None else label.labels for tag, label in found.tags}
        return names, list(found.missing)

    @pytest.mark.parametrize(
        ("wanted", "shown", "missing"),
        [
            ((), {"organ": ()}, []),
            (("Liver",), {"organ": ("Liver",)}, []),
            (("Tumor",), {"lesion": ("Tumor",)}, []),
            (("TUMOR",), {"organ": ("tumor",)}, []),
            (("c",), {"lesion": ("c",)}, []),
            (("cy",), {"lesion": ("c",)}, []),
            (("Bone",), {"organ": ()}, ["Bone"]),
            (("Tumor", "Bone", "Cyst"), {"lesion": ("Tumor", "c")}, ["Bone"]),
            (("Tumor", "Liver"), {"organ": ("Liver",), "lesion": ("Tumor",)}, []),
        ],
    )
    def test_by_value_and_alias(
        self, wanted: tuple[str, ...], shown: dict[str, tuple[str, ...]], missing: list[str]
    ) -> None:
        assert self.routed(ORGAN, LESION, wanted=wanted) == (shown, missing)

    def test_marked_tags_narrow_the_choice(self) -> None:
        organ = ORGAN.replace("smart=", 'sam="output" smart=')
        assert self.routed(organ, LESION, wanted=("Cyst",)) == ({"organ": ()}, ["Cyst"])
        lesion = LESION.replace("smart=", 'sam="output" smart=')
        shown = {"organ": ("tumor",), "lesion": ("Tumor",)}
        assert self.routed(organ, lesion, wanted=("Tumor",)) == (shown, [])
        assert self.routed(organ, lesion, wanted=("Bone",))[0] == {"organ": (), "lesion": ()}

    def test_of_two_tags_with_the_label_the_first_one(self) -> None:
        twin = labelled("PolygonLabels", "twin", "Liver", "Bone")
        assert self.routed(ORGAN, twin, wanted=("Liver",))[0] == {"organ": ("Liver",)}
        assert self.routed(ORGAN, twin, wanted=("Bone", "Liver"))[0] == {"twin": ("Bone", "Liver")}

    def test_a_tag_that_takes_any_label_comes_last(self) -> None:
        any_label = '<BrushLabels name="any" toName="image" smart="false" value="$labels"/>'
        assert self.routed(any_label, LESION, wanted=("Tumor",))[0] == {"lesion": ("Tumor",)}
        assert self.routed(any_label, LESION, wanted=("Bone",))[0] == {"any": ("Bone",)}
