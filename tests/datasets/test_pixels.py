"""From a labelled image to its pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam_backend.datasets.pixels import read_pixels
from sam_backend.errors import ImageDecodeError
from tests.datasets.making import image_of, picture


def test_pixels_are_upright(tmp_path: Path) -> None:
    path = picture(tmp_path / "1.png", turn=6)
    stored = np.asarray(Image.open(path))
    pixels = read_pixels(image_of(1, size=(30, 20), folder=tmp_path))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.rot90(stored, -1))


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    image = image_of(1, folder=tmp_path)
    with pytest.raises(ImageDecodeError, match=r"1\.png.*no image file"):
        read_pixels(image)
    picture(image.path, size=(21, 30))
    with pytest.raises(ImageDecodeError, match=r"1\.png.*\(21, 30\), its masks have \(20, 30\)"):
        read_pixels(image)
    picture(image.path)
    with pytest.raises(ImageDecodeError, match=r"1\.png.*over the limit of 599"):
        read_pixels(image, max_pixels=599)
    image.path.write_bytes(image.path.read_bytes()[:-200])
    with pytest.raises(ImageDecodeError, match=r"1\.png.*cannot be read as an image"):
        read_pixels(image)
    with pytest.raises(ImageDecodeError, match=r"cannot be read: File name too long"):
        read_pixels(replace(image, path=tmp_path / ("n" * 300)))
