"""A drawn scene whose masks are known, as an image file and as truth."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH = 560, 560


@dataclass(frozen=True)
class Scene:
    """One image and its objects.

    Attributes:
        image: RGB, shape (H, W, 3) uint8.
        masks: Name of an object → its visible pixels, shape (H, W) bool.
    """

    image: npt.NDArray[np.uint8]
    masks: dict[str, npt.NDArray[np.bool_]]

    @cached_property
    def png(self) -> bytes:
        """The image as a file."""
        return cv2.imencode(".png", cv2.cvtColor(self.image, cv2.COLOR_RGB2BGR))[1].tobytes()


def draw_scene() -> Scene:
    """A red disc, a blue box and a green ellipse, well apart on a plain ground."""
    shapes = {
        "disc": ((200, 40, 40), _filled(cv2.circle, (150, 150), 85)),
        "box": ((40, 70, 200), _filled(cv2.rectangle, (330, 60), (500, 210))),
        "ellipse": ((40, 150, 60), _filled(cv2.ellipse, (300, 420), (170, 85), 0, 0, 360)),
    }
    image = np.full((HEIGHT, WIDTH, 3), (205, 200, 190), np.uint8)
    for colour, mask in shapes.values():
        image[mask] = colour
    return Scene(image, {name: mask for name, (_, mask) in shapes.items()})


def _filled(draw, *shape) -> npt.NDArray[np.bool_]:
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    draw(canvas, *shape, 255, thickness=-1)
    return canvas > 0
