"""The stream of examples: simple scenes, hard scenes, dead leaves and labelled photos, by share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sam_backend.training.canvas import Scene
from sam_backend.training.coco import LabelledPhoto
from sam_backend.training.examples import Example, augment, cut_to_aspect, prepare
from sam_backend.training.leaves import leaves_scene
from sam_backend.training.scenes import hard_scene, simple_scene
from sam_backend.training.textures import Photo


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each source is drawn; photos are left out where there are none."""

    simple: float = 0.25
    hard: float = 0.2
    leaves: float = 0.3
    photos: float = 0.25


class Mixture:
    """An endless source of examples.

    Args:
        rng: Source of all chance.
        labelled: Photos with masks; may be empty.
        textures: Photos whose pixels fill backgrounds and objects of the hard scenes
            and leaves.
        shares: How often each source is drawn.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        labelled: Sequence[LabelledPhoto] = (),
        textures: Sequence[Photo] = (),
        shares: Shares = Shares(),
    ) -> None:
        self.rng = rng
        self._labelled = labelled
        self._textures = textures
        weights = np.array(
            [shares.simple, shares.hard, shares.leaves, shares.photos if labelled else 0.0]
        )
        self._weights = weights / weights.sum()

    def _scene(self, size: int) -> Scene:
        source = int(self.rng.choice(4, p=self._weights))
        if source == 0:
            return cut_to_aspect(simple_scene(self.rng, size), self.rng)
        if source == 1:
            return cut_to_aspect(hard_scene(self.rng, size, self._textures), self.rng)
        if source == 2:
            return cut_to_aspect(leaves_scene(self.rng, size, self._textures), self.rng)
        photo = self._labelled[int(self.rng.integers(len(self._labelled)))]
        return augment(photo.scene(self.rng, limit=16), self.rng)

    def batch(self, n_images: int, size: int, n_targets: int) -> list[Example]:
        """The next `n_images` examples, each `size` pixels wide with `n_targets` targets."""
        examples = self._examples(size, n_targets)
        return [next(examples) for _ in range(n_images)]

    def _examples(self, size: int, n_targets: int) -> Iterator[Example]:
        while True:
            example = prepare(self._scene(size), size, n_targets, self.rng)
            if example is not None:
                yield example
