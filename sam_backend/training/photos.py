"""Labelled images as they come, augmented anew each time: for trainings whose encoder learns."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import LabelledImage
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.masks import rle
from sam_backend.training.balance import draw_targets, image_weights
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import Example, augment, prepare
from sam_backend.training.plan import Phase
from sam_backend.training.sources import example_chance
from sam_backend.training.targets import min_area_px

MIN_CROP = 0.7
"""Least share of each side that an augmented image keeps: a checkpoint that is served whole images
should learn from nearly whole ones."""
_MASKS_PER_TARGET = 2
_MAX_TRIES = 200


class LabelledImages:
    """The source of examples for an encoder that learns: images balanced by class, random masks.

    Args:
        images: Images of a data set.
        side: Side of the network's square input in pixels.
        seed: The training's.

    Raises:
        InvalidInputError: No image has a usable mask.
    """

    def __init__(self, images: Sequence[LabelledImage], side: int, seed: int) -> None:
        self._side, self._seed = side, seed
        self._unreadable: dict[str, str] = {}  # why, by digest
        self._unusable = LeftOut()
        areas = [self._usable_areas(image, side) for image in images]
        kept = [i for i, area in enumerate(areas) if area.any()]
        if not kept:
            told = "; ".join(self.skipped.lines())
            raise InvalidInputError(f"no image can be learned from; left out: {told}")
        self._images = [images[i] for i in kept]
        self._areas = [areas[i] for i in kept]
        self._weights = image_weights(self._images)

    @property
    def skipped(self) -> LeftOut:
        """Masks and images left out so far, by reason."""
        found = LeftOut(self._unusable)
        for told in self._unreadable.values():
            found.add(reasons.UNREADABLE_IMAGE, told)
        return found

    def _usable_areas(self, image: LabelledImage, side: int) -> npt.NDArray[np.float64]:
        """Area of each mask in pixels, 0 for those that are no targets, shape (N,)."""
        area = np.array([mask.rle.area_px for mask in image.masks], np.float64)
        is_small = (area > 0) & (area < min_area_px(image.size, side))
        self._unusable.add(reasons.EMPTY_MASK, image.name, int((area == 0).sum()))
        self._unusable.add(reasons.SMALL_MASK, image.name, int(is_small.sum()))
        area[is_small] = 0
        return area

    def batch(self, step: int, phase: Phase) -> list[Example]:
        """The examples of a step.

        Raises:
            InvalidInputError: None of many images drawn can be read.
        """
        return [
            self.example(phase, example_chance(self._seed, step, i)) for i in range(phase.n_images)
        ]

    def example(self, phase: Phase, rng: np.random.Generator) -> Example:
        """A random image and random masks of it.

        Raises:
            InvalidInputError: None of many images drawn can be read.
        """
        for _ in range(_MAX_TRIES):
            index = int(rng.choice(len(self._images), p=self._weights))
            image = self._images[index]
            try:
                pixels = read_pixels(image)
            except ImageDecodeError as error:
                self._unreadable[image.digest] = str(error)
                continue
            usable = np.flatnonzero(self._areas[index])
            n_masks = min(len(usable), _MASKS_PER_TARGET * phase.n_targets)
            chosen = usable[draw_targets(self._areas[index][usable], n_masks, rng)]
            masks = np.stack([rle.decode(image.masks[i].rle) for i in chosen])
            scene = augment(Scene(pixels, masks), rng, MIN_CROP)
            example = prepare(scene, phase.size or self._side, phase.n_targets, rng)
            if example is not None:
                return example
        raise InvalidInputError(
            f"no example in {_MAX_TRIES} draws: {len(self._unreadable)} of {len(self._images)}"
            " images cannot be read"
        )
