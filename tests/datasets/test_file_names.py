"""Names from anywhere become names that any disk takes, and stay what they were where they can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.datasets.file_names import safe_file_name, with_image_suffix
from sam_backend.labelstudio.images.file_names import file_name_of, original_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("cat.png", "cat.png"),
        ("Ä b (1).JPG", "Ä b (1).JPG"),
        ("a/b/cat.png", "cat.png"),
        (r"C:\pics\cat.png", "cat.png"),
        ("../../etc/passwd", "passwd"),
        (".hidden.png", "hidden.png"),
        ("a:b?.png", "a_b_.png"),
        ("no\udcffUTF8.png", "no?UTF8.png".replace("?", "_")),
        ("n" * 300 + ".png", "n" * 200 + ".png"),
        ("...", ""),
        ("folder/", ""),
        ("", ""),
    ],
)
def test_safe_file_name(name: str, safe: str) -> None:
    assert safe_file_name(name) == safe


@given(st.text(st.characters(codec=None), max_size=400))
def test_any_text_is_a_name_or_nothing(text: str) -> None:
    name = with_image_suffix(safe_file_name(text), ".png")
    assert name == safe_file_name(name)
    assert len(name.encode()) <= 210
    assert not set(name) & set('/\\:*?"<>|\0\n')
    assert not name.startswith((".", " "))
    assert name == "" or name.endswith(name[name.rindex(".") :])


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/0a1b2c3d-cat.png", "cat.png"),
        ("http://host/ls/data/upload/3/0a1b2c3d-0a1b2c3d-cat.png", "0a1b2c3d-cat.png"),
        ("/data/upload/cat.png", "cat.png"),
        ("/data/local-files/?d=deep/dog%20one.png", "dog one.png"),
        ("s3://bucket/key/cat.png", "cat.png"),
        ("https://host/cat%20two.png?X-Amz-Signature=secret&file=no.png#part", "cat two.png"),
        ("https://host/", ""),
        ("data:image/png;base64,AAAA", ""),
        ("http://[broken", ""),
    ],
)
def test_original_name(address: str, name: str) -> None:
    assert original_name(address) == name


def test_a_path_may_hold_what_an_address_would_end_at() -> None:
    assert file_name_of("/pics/what?#1.png") == "what_#1.png"
    assert file_name_of("s3://bucket/what.png?version=3") == "what.png"
