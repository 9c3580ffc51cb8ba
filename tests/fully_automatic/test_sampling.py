"""Samples of a lot: known probabilities, every stratum, estimates without bias."""

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.fully_automatic.review.sampling import LotImage, SampledImage, draw


def lot(n: int = 200) -> list[LotImage]:
    """Images of three kinds; those of the rare one have few masks and low confidence."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(n):
        kind = 2 if number % 50 == 0 else number % 2
        features = np.eye(3, 6)[kind] + rng.normal(0, 0.01, 6)
        found.append(
            LotImage(
                digest=f"{number:064x}",
                folder=("a", "b/c")[number % 2],
                n_masks=int(rng.integers(0, 50)),
                confidence=float(rng.random()),
                features=features.astype(np.float32),
            )
        )
    return found


@pytest.mark.parametrize("by", [(), ("folder",), ("masks", "folder"), ("confidence",), ("kind",)])
@pytest.mark.parametrize("size", [12, 40, 500])
def test_samples_have_their_size_and_probabilities(by: tuple[str, ...], size: int) -> None:
    images = lot()
    drawn = draw(images, size, by, seed=3)
    deciding = {one.digest for one in drawn if one.decides}
    assert len(deciding) == min(size, len(images))
    assert len(drawn) == len({one.digest for one in drawn})
    assert drawn == draw(images, size, by, seed=3)
    assert size == 500 or drawn != draw(images, size, by, seed=4)
    assert sum(1 / one.probability for one in drawn) == pytest.approx(len(images))


def test_rare_kinds_are_seen() -> None:
    images = lot()
    rare = {image.digest for number, image in enumerate(images) if number % 50 == 0}
    for seed in range(5):
        drawn = draw(images, 16, ["kind"], seed)
        assert rare & {one.digest for one in drawn}


@pytest.mark.parametrize("by", [(), ("folder", "masks"), ("kind",)])
def test_estimates_are_unbiased(by: tuple[str, ...]) -> None:
    images = lot()
    n_masks = {image.digest: image.n_masks for image in images}
    estimates = [
        sum(n_masks[one.digest] / one.probability for one in draw(images, 40, by, seed))
        for seed in range(400)
    ]
    error = np.mean(estimates) - sum(n_masks.values())
    assert abs(error) < 3.5 * np.std(estimates) / np.sqrt(len(estimates))


@pytest.mark.parametrize("by", [(), ("folder", "masks"), ("kind",)])
def test_what_decides_is_a_simple_random_sample(by: tuple[str, ...]) -> None:
    """Whatever the strata: the same images decide as without them, so that the promise holds."""
    images = lot()
    deciding = [
        {one.digest for one in draw(images, 40, told, seed=5) if one.decides} for told in ((), by)
    ]
    assert deciding[0] == deciding[1]


def test_equal_quotas_add_images_that_do_not_decide() -> None:
    images = lot()
    drawn = draw(images, 40, ["kind"], seed=1)
    assert len(drawn) > sum(one.decides for one in drawn) == 40
    for kind in {one.stratum for one in drawn}:
        inside = [one for one in drawn if one.stratum == kind]
        assert len(inside) >= 5 or inside[0].probability == 1  # 40 images, 8 kinds


@pytest.mark.parametrize("by", [(), ("folder",), ("masks", "folder"), ("kind",)])
def test_larger_samples_hold_smaller_ones(by: tuple[str, ...]) -> None:
    images = lot()
    drawn: list[SampledImage] = []
    for size in (20, 27, 50, 51, 200):
        already = {one.digest for one in drawn}
        decided = {one.digest for one in drawn if one.decides}
        drawn = draw(images, size, by, 9, already)
        assert already < {one.digest for one in drawn} or size == 200
        assert decided < {one.digest for one in drawn if one.decides}


def test_wrong_samples() -> None:
    with pytest.raises(InvalidInputError, match=r"no stratum colour \(there are: folder, masks"):
        draw(lot(), 5, ["colour"])
    with pytest.raises(InvalidInputError, match="sample of 0 images of 200"):
        draw(lot(), 0)
    with pytest.raises(InvalidInputError, match="leaves out some of 8 strata by masks, folder"):
        draw(lot(), 7, ["masks", "folder"])
    with pytest.raises(InvalidInputError, match="sample of 5 images of 0"):
        draw([], 5)
