"""Trusted images: the truth stays, and every change of it is told with its reason."""

from pathlib import Path

import pytest

from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold, GoldCopy, GoldImage
from tests.semi_automatic.records import SIZE, block


def image(digit: str, *labels: str, makers: frozenset[str] = frozenset()) -> GoldImage:
    """A trusted image whose digest begins with a digit, and a mask for each label."""
    masks = tuple(
        LabelledMask(
            block(i, i, i + 9, i + 5),
            label,
            "7",
            is_gold=True,
            ignore=block(0, 0, 3, 3) if i else None,  # of all but the first
        )
        for i, label in enumerate(labels)
    )
    labelled = LabelledImage(f"task {digit}", Path("a.png"), digit * 64, SIZE, masks)
    return GoldImage(labelled, "project 3", makers)


def test_the_truth_comes_back_as_it_was(database: Database) -> None:
    gold = Gold(database)
    assert gold.put(image("a", "Cat", "Dog", makers=frozenset({"7"}))) == "added"
    assert gold.put(image("b", "Cat")) == "added"
    assert gold.put(image("b", "Cat")) is None
    assert gold.put(image("b", "Dog")) == "changed"
    first, second = gold.images()
    assert (first.digest, first.source, first.makers) == ("a" * 64, "project 3", {"7"})
    assert first.labelled.size == SIZE
    assert first.labelled.path == Path("a.png")
    for kept, given in zip(
        first.labelled.masks, image("a", "Cat", "Dog").labelled.masks, strict=True
    ):
        assert (kept.label, kept.annotator, kept.is_gold) == (given.label, "7", True)
        assert kept.digest == given.digest  # pixels and void pixels
    assert [mask.label for mask in second.labelled.masks] == ["Dog"]


def test_what_is_excluded_stays_out_until_it_is_restored(database: Database) -> None:
    gold = Gold(database)
    gold.put(image("a", "Cat"))
    gold.put(image("b", "Cat"))
    assert gold.exclude("bb", "out of focus") == "b" * 64
    gold.put(image("b", "Dog"))  # a better truth does not make it sharp
    assert [one.digest[0] for one in gold.images()] == ["a"]
    assert [one.excluded for one in gold.images(with_excluded=True)] == [None, "out of focus"]
    gold.restore("b", "seen again")
    assert [one.digest[0] for one in gold.images()] == ["a", "b"]
    assert [(one.change, one.reason) for one in gold.changes("b" * 64)] == [
        ("added", "project 3"),
        ("excluded", "out of focus"),
        ("changed", "project 3"),
        ("restored", "seen again"),
    ]
    assert len(gold.changes()) == 5


@pytest.mark.parametrize(
    ("digest", "reason", "message"),
    [
        ("c", "blurred", "there is no gold image whose digest begins with 'c'"),
        ("", "blurred", "there is no gold image"),
        ("%", "blurred", "there is no gold image"),
        ("a", "blurred", "there is more than one gold image"),
        ("aa", " ", "for a reason: none is given"),
        ("b", "again", "is excluded already"),
    ],
)
def test_what_cannot_be_excluded(
    database: Database, digest: str, reason: str, message: str
) -> None:
    gold = Gold(database)
    gold.put(image("a", "Cat"))
    other = image("a", "Cat").labelled
    twin = LabelledImage(other.name, other.path, "a" * 32 + "0" * 32, SIZE, other.masks)
    gold.put(GoldImage(twin, "project 3"))
    gold.put(image("b", "Cat"))
    gold.exclude("b", "blurred")
    with pytest.raises(InvalidInputError, match=message):
        gold.exclude(digest, reason)
    with pytest.raises(InvalidInputError, match="is not excluded"):
        gold.restore("a" * 33, "why not")


def test_a_copy_is_planned_once(database: Database) -> None:
    gold = Gold(database)
    first = gold.plan_copy(GoldCopy("one", "http://ls", 3, "a" * 64))
    again = gold.plan_copy(GoldCopy("two", "http://ls", 3, "a" * 64))
    elsewhere = gold.plan_copy(GoldCopy("three", "http://ls", 4, "a" * 64))
    assert (first.token, again.token, elsewhere.token) == ("one", "one", "three")
    assert gold.copies("http://ls", 3) == [first]
