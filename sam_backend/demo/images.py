"""The demo's images: photos that scikit-image's wheel carries, and one drawn scene."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from sam_backend.errors import InvalidInputError
from sam_backend.training.scenes import simple_scene

PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png", "rocket.jpg", "coins.png")
"""All in the wheel, so nothing is downloaded (its README names sources; all free to use)."""

_SCENE_SEED = 9
_SCENE_SIDE_PX = 640


def demo_images() -> dict[str, bytes]:
    """File name → encoded image, in the order in which the annotator meets them.

    Raises:
        InvalidInputError: scikit-image, from the [demo] extra, is not installed.
    """
    scene = simple_scene(np.random.default_rng(_SCENE_SEED), _SCENE_SIDE_PX).image
    encoded = cv2.imencode(".png", cv2.cvtColor(scene, cv2.COLOR_RGB2BGR))[1].tobytes()
    folder = _skimage_folder()
    return {"shapes.png": encoded} | {name: (folder / name).read_bytes() for name in PHOTOS}


def _skimage_folder() -> Path:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise InvalidInputError("the demo needs photos: pip install '.[demo]' in a clone")
    return Path(found.origin).parent / "data"
