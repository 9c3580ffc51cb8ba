"""Train and held-out parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam_backend.datasets.split import split
from sam_backend.errors import InvalidInputError
from tests.datasets.making import dataset_of, image_of

numbers = st.lists(st.integers(0, 300), max_size=60)
shares = st.floats(0.01, 0.99)
seeds = st.integers(0, 50)


@given(numbers, shares, seeds)
def test_every_image_is_in_one_part_and_neither_is_empty(
    numbers: list[int], share: float, seed: int
) -> None:
    dataset = dataset_of(*map(image_of, numbers))
    parts = split(dataset, share, seed)
    train = [image.name for image in parts.train]
    held_out = [image.name for image in parts.held_out]
    assert sorted(train + held_out) == sorted(image.name for image in dataset)
    assert not set(train) & set(held_out)
    n_different = len(set(numbers))
    assert bool(train) == (n_different >= 1)
    assert bool(held_out) == (n_different >= 2)


@given(st.permutations(range(40)), seeds)
def test_images_stay_in_their_part_whatever_joins_them(order: list[int], seed: int) -> None:
    small = split(dataset_of(*map(image_of, order[:30])), 0.4, seed)
    large = split(dataset_of(*map(image_of, order)), 0.4, seed)
    for part in ("train", "held_out"):
        before = {image.digest for image in getattr(small, part)}
        assert before <= {image.digest for image in getattr(large, part)}


def test_share_order_and_seed() -> None:
    dataset = dataset_of(*map(image_of, range(1000)))
    parts = split(dataset, 0.2)
    assert 160 <= len(parts.held_out) <= 240
    assert [image.digest for image in parts.held_out] == [
        image.digest for image in dataset if image in set(parts.held_out)
    ]
    assert split(dataset, 0.2, seed=1).held_out.digest != parts.held_out.digest
    turned = dataset_of(*reversed(dataset.images))
    assert split(turned, 0.2).held_out.digest == parts.held_out.digest


@given(numbers, shares, seeds, st.integers(1, 20))
def test_a_least_held_out_part(numbers: list[int], share: float, seed: int, least: int) -> None:
    dataset = dataset_of(*map(image_of, numbers))
    plain, parts = split(dataset, share, seed), split(dataset, share, seed, least)
    held_out = {image.digest for image in parts.held_out}
    assert held_out >= {image.digest for image in plain.held_out}
    n_held_out = len({image.digest for image in plain.held_out})
    assert len(held_out) == max(n_held_out, min(least, len(set(numbers)) - 1))


def test_what_the_parts_tell_of_themselves() -> None:
    parts = split(dataset_of(image_of(1), image_of(2)), 0.5)
    assert (parts.train.name, parts.held_out.name) == ("made (train)", "made (held out)")
    assert parts.train.licence == parts.held_out.licence == "CC0-1.0"
    assert parts.train.skipped == parts.held_out.skipped == {}


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InvalidInputError, match=f"not {share}"):
        split(dataset_of(image_of(1), image_of(2)), share)
