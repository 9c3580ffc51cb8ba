"""The starter's examples: drawn by share, the same for the same step."""

from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.training.held_photos import HeldPhotos
from sam_backend.training.mixture import Mixture, Shares
from sam_backend.training.plan import Phase
from tests.training.tiny import squares

PHASE = Phase(1.0, 64, 8, 6)


def most_targets(mixture: Mixture) -> int:
    """Distinct targets of the richest of eight examples."""
    return max(len({t.tobytes() for t in e.truth}) for e in mixture.batch(0, PHASE))


def test_photos_are_drawn_only_where_there_are_some(tmp_path: Path) -> None:
    photos = squares(tmp_path).images
    assert most_targets(Mixture(0, 64, photos, Shares(0, 0, 0, 1))) == 2  # a photo has two masks
    assert most_targets(Mixture(0, 64, (), Shares(0, 1, 0, 1))) > 2


@pytest.mark.parametrize(
    ("shares", "n_targets"), [(Shares(1, 0, 0, 0), 5), (Shares(0, 0, 1, 0), 6)]
)
def test_each_share_draws_its_own_source(shares: Shares, n_targets: int) -> None:
    richest = most_targets(Mixture(0, 64, (), shares))
    assert richest <= n_targets
    assert (richest == 6) is (shares.leaves == 1)  # leaves fill the picture


def test_a_batch_depends_on_seed_step_and_phase_alone(tmp_path: Path) -> None:
    photos = squares(tmp_path).images
    mixture = Mixture(7, 64, photos)
    later = mixture.batch(5, PHASE)
    mixture.batch(6, PHASE)
    for source in (mixture, Mixture(7, 64, photos)):
        for a, b in zip(later, source.batch(5, PHASE), strict=True):
            np.testing.assert_array_equal(a.image, b.image)
            np.testing.assert_array_equal(a.truth, b.truth)
    images = {
        batch[0].image.tobytes()
        for batch in (later, mixture.batch(6, PHASE), Mixture(8, 64, photos).batch(5, PHASE))
    }
    assert len(images) == 3


def test_a_phase_without_a_size_has_the_networks() -> None:
    example = Mixture(0, 96).batch(0, Phase(1.0, None, 1, 3))[0]
    assert example.image.shape == (96, 96, 3)
    assert example.truth.shape == (3, 24, 24)


@pytest.mark.parametrize("shares", [(0, 0, 0, 0), (1, -1, 0, 0)])
def test_impossible_shares_are_refused(shares: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="shares"):
        Shares(*shares)


def test_photos_alone_without_photos_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="without photos"):
        Mixture(0, 64, (), Shares(0, 0, 0, 1))


def test_photos_are_kept_as_far_as_they_fit(tmp_path: Path) -> None:
    images = squares(tmp_path).images
    held = HeldPhotos(images, max_bytes=2 * 80 * 100 * 3)
    assert len(held) == 3
    assert held[0] is held[0]
    assert held[1] is held.read(images[1])
    assert held[2] is not held[2]
    np.testing.assert_array_equal(held[2], held[2])
    with pytest.raises(ValueError, match="read-only"):
        held[0][0, 0] = 1


def test_a_damaged_photo_gives_way_to_the_next_one(tmp_path: Path) -> None:
    images = squares(tmp_path).images
    images[2].path.write_bytes(b"no image")
    held = HeldPhotos(images)
    assert held[2] is held[0]
    for image in images:
        image.path.unlink()
    with pytest.raises(ImageDecodeError, match="none of 3"):
        HeldPhotos(images)[1]
