"""What the starter learns from: simple scenes, hard ones, dead leaves and labelled photos."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.types import LabelledImage
from sam_backend.errors import InvalidInputError
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import Example, cut_to_aspect, prepare
from sam_backend.training.held_photos import HeldPhotos
from sam_backend.training.leaves import leaves_scene
from sam_backend.training.photos import LabelledImages
from sam_backend.training.plan import Phase
from sam_backend.training.scenes import hard_scene, simple_scene
from sam_backend.training.sources import example_chance
from sam_backend.training.textures import Photos

MIN_CROP = 0.5
"""Least share of each side that an augmented photo keeps: few photos must look like many."""


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each source is drawn; photos are left out where there are none.

    Raises:
        InvalidInputError: A share is negative or all procedural ones are zero.
    """

    simple: float = 0.25
    hard: float = 0.2
    leaves: float = 0.3
    photos: float = 0.25

    def __post_init__(self) -> None:
        if min(astuple(self)) < 0 or not any(astuple(self)):
            raise InvalidInputError(
                f"shares must not be negative and not all zero, not {astuple(self)}"
            )


def _simple_scene(rng: np.random.Generator, size: int, photos: Photos) -> Scene:
    """Simple scenes stay plain, photos or not."""
    return simple_scene(rng, size)


_SCENES = (_simple_scene, hard_scene, leaves_scene)
"""In the order of `Shares`."""


class SceneSource(ABC):
    """A source of examples (`training.sources.Source`): drawn scenes, and photos between them.

    Args:
        seed: The training's.
        side: Of the network's square input in pixels, for phases without a size of their own.
        pixels: Photos that fill backgrounds and objects of scenes; may be empty.
        weights: How often simple scenes, hard ones, leaves and photos are drawn, shape (4,); at
            least one is above 0.
    """

    def __init__(
        self, seed: int, side: int, pixels: Photos, weights: npt.NDArray[np.float64]
    ) -> None:
        self._seed, self._side, self._pixels = seed, side, pixels
        self._weights = weights / weights.sum()

    def batch(self, step: int, phase: Phase) -> list[Example]:
        """The examples of a step."""
        return [
            self._example(phase, example_chance(self._seed, step, i)) for i in range(phase.n_images)
        ]

    @abstractmethod
    def _photo_example(self, phase: Phase, rng: np.random.Generator) -> Example | None:
        """An example of a photo; None: this one had no target, another draw may have."""

    def _example(self, phase: Phase, rng: np.random.Generator) -> Example:
        size = phase.size or self._side
        while True:
            kind = int(rng.choice(len(self._weights), p=self._weights))
            if kind == len(_SCENES):
                example = self._photo_example(phase, rng)
            else:
                scene = cut_to_aspect(_SCENES[kind](rng, size, self._pixels), rng)
                example = prepare(scene, size, phase.n_targets, rng)
            if example is not None:
                return example


class Mixture(SceneSource):
    """The source of examples for a network that learns from scratch.

    Args:
        seed: The training's.
        side: Of the network's square input in pixels, for phases without a size of their own.
        photos: Labelled images to learn from, whose pixels also fill backgrounds and objects of
            hard scenes and leaves; may be empty.
        shares: How often each source is drawn.

    Raises:
        InvalidInputError: No photo has a usable mask, or there is nothing to draw from.
    """

    def __init__(
        self,
        seed: int,
        side: int,
        photos: Sequence[LabelledImage] = (),
        shares: Shares = Shares(),
    ) -> None:
        held = HeldPhotos(photos)
        self._photos = LabelledImages(photos, side, seed, MIN_CROP, held.read) if photos else None
        weights = np.array(astuple(shares), float)
        if not photos:
            weights[len(_SCENES)] = 0.0
        if not weights.any():
            raise InvalidInputError("without photos, a share other than theirs must be above zero")
        super().__init__(seed, side, held, weights)

    def _photo_example(self, phase: Phase, rng: np.random.Generator) -> Example | None:
        return None if self._photos is None else self._photos.example(phase, rng)
