"""The key decides whose embedding one gets."""

from hypothesis import given
from hypothesis import strategies as st

from sam_backend.sam.embeddings import EmbeddingKey

keys = st.builds(EmbeddingKey, st.text(), st.text(), st.text())


@given(keys, keys)
def test_names_are_equal_exactly_when_keys_are(one: EmbeddingKey, other: EmbeddingKey) -> None:
    assert (str(one) == str(other)) == (one == other)


def test_moving_text_between_parts_makes_another_name() -> None:
    assert str(EmbeddingKey("a", "bc", "d")) != str(EmbeddingKey("ab", "c", "d"))


def test_names_stay_as_they_are_between_releases() -> None:
    """Else every shared cache would be lost, or worse, two releases would not share one."""
    name = "889fc099553ca1b05eff0b7ab90fdea9dfc6ea61cf282670af7f632f17cad0c8"
    assert str(EmbeddingKey("0" * 64, "starter-1+00000000", "longest512")) == name
