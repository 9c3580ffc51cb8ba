"""What the starter learns from: drawn scenes and labelled photos, with objects pasted on others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import Dataset, LabelledImage
from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.masks.types import window
from sam_backend.training.balance import draw_targets
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import Example, augment, cut_to_aspect, prepare
from sam_backend.training.plan import Phase
from sam_backend.training.scenes import camera, hard_scene, simple_scene
from sam_backend.training.sources import example_chance
from sam_backend.training.targets import min_area_px
from tools.starter.leaves import leaves_scene

SCENES = {"simple": 0.1, "hard": 0.1, "leaves": 0.05}
"""Share of the examples that each kind of drawn scene gets; photos get the rest."""
PASTED = 0.35
"""Share of the photos that get an object of another photo."""
CAMERA = 0.35
"""Share of the photos that are blurred, grained, or coded as JPEG anew."""
MIN_CROP = 0.5
"""Least share of each side that a crop keeps."""
_MASKS_PER_TARGET = 2


@dataclass(frozen=True, slots=True, eq=False)
class Photos:
    """A data set and how often it is drawn.

    Attributes:
        dataset: With a mask at least on each image.
        share: Of the photos; relative to that of other sets.
    """

    dataset: Dataset
    share: float


def read_photos(told: str) -> Photos:
    """Read `PATH` or `PATH=SHARE`; the share is 1 if none is told.

    Raises:
        InvalidInputError: There is no data set, or the share is no positive number.
    """
    path, _, share = told.partition("=")
    try:
        number = float(share or 1)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise InvalidInputError(f"the share of {path} must be a number above 0, not {share!r}")
    return Photos(read_dataset(Path(path)), number)


class Pixels:
    """The photos as textures of drawn scenes, decoded when asked for."""

    def __init__(self, images: Sequence[LabelledImage]) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return read_pixels(self._images[index])


class StarterSource:
    """The source of examples: see `sam_backend.training.sources.Source`.

    Args:
        photos: Labelled photos; may be empty, then all examples are drawn scenes.
        side: Of the network's square input in pixels, for phases without a size of their own.
        seed: The training's.

    Raises:
        InvalidInputError: A data set has no mask that is large enough.
    """

    def __init__(self, photos: Sequence[Photos], side: int, seed: int) -> None:
        self._side, self._seed = side, seed
        self._sets = [_usable(one.dataset, side) for one in photos]
        shares = np.array([one.share for one in photos])
        self._shares = shares / shares.sum() if photos else shares
        self._pixels = Pixels([image for images in self._sets for image in images])
        weights = [*SCENES.values(), 1 - sum(SCENES.values()) if photos else 0.0]
        self._weights = np.array(weights) / sum(weights)

    def batch(self, step: int, phase: Phase) -> list[Example]:
        """The examples of a step."""
        return [
            self._example(phase, example_chance(self._seed, step, i)) for i in range(phase.n_images)
        ]

    def _example(self, phase: Phase, rng: np.random.Generator) -> Example:
        size = phase.size or self._side
        while True:
            kind = int(rng.choice(len(self._weights), p=self._weights))
            if kind == 0:
                scene = cut_to_aspect(simple_scene(rng, size), rng)
            elif kind == 1:
                scene = cut_to_aspect(hard_scene(rng, size, self._pixels), rng)
            elif kind == 2:
                scene = cut_to_aspect(leaves_scene(rng, size, self._pixels), rng)
            else:
                scene = self._photo(phase.n_targets, rng)
            example = prepare(scene, size, phase.n_targets, rng)
            if example is not None:
                return example

    def _photo(self, n_targets: int, rng: np.random.Generator) -> Scene:
        image, masks = self._draw(_MASKS_PER_TARGET * n_targets, rng)
        scene = Scene(read_pixels(image), masks)
        if rng.random() < PASTED:
            other, objects = self._draw(1, rng)
            scene = paste(scene, read_pixels(other), objects[0], rng)
        scene = augment(scene, rng, MIN_CROP)
        if rng.random() < CAMERA:
            scene = Scene(camera(scene.image.astype(np.float32), rng), scene.masks)
        return scene

    def _draw(
        self, n_masks: int, rng: np.random.Generator
    ) -> tuple[LabelledImage, npt.NDArray[np.bool_]]:
        """A random photo and at most `n_masks` of its masks, larger ones more often."""
        images = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        image = images[int(rng.integers(len(images)))]
        area = np.array([mask.rle.area_px for mask in image.masks], float)
        usable = np.flatnonzero(area >= min_area_px(image.size, self._side))
        chosen = usable[draw_targets(area[usable], min(len(usable), n_masks), rng)]
        return image, np.stack([rle.decode(image.masks[i].rle) for i in chosen])


def paste(
    scene: Scene,
    source: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Scene:
    """Paste an object of another photo onto a scene: it hides what is behind it, and has a mask.

    Args:
        scene: What to paste on.
        source: The photo with the object, RGB, shape (H, W, 3) uint8.
        mask: The object, shape (H, W) bool, not empty.
        rng: Draws size, place, and whether it is mirrored.
    """
    where = window(mask)
    if where is None:
        raise ValueError("an empty mask cannot be pasted")
    height, width = scene.image.shape[:2]
    cut, inside = source[where], mask[where]
    if rng.random() < 0.5:
        cut, inside = cut[:, ::-1], inside[:, ::-1]
    target = max(height, width) * np.exp(rng.uniform(np.log(0.12), np.log(0.7)))
    scale = min(target / max(inside.shape), 2.0)
    h, w = (max(4, round(side * scale)) for side in inside.shape)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = cv2.resize(np.ascontiguousarray(cut), (w, h), interpolation=interpolation)
    share = cv2.resize(inside.astype(np.float32), (w, h), interpolation=interpolation)
    share = cv2.GaussianBlur(share, (0, 0), float(rng.uniform(0.4, 1.0)))  # no edge of scissors
    top = int(rng.integers(-h // 4, height - h + h // 4 + 1)) if height > h // 2 else 0
    left = int(rng.integers(-w // 4, width - w + w // 4 + 1)) if width > w // 2 else 0
    y0, x0, y1, x1 = max(0, top), max(0, left), min(height, top + h), min(width, left + w)
    if y1 <= y0 or x1 <= x0:
        return scene
    seen = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    onto = (slice(y0, y1), slice(x0, x1))
    image, masks = scene.image.copy(), scene.masks.copy()
    alpha = share[seen][..., None]
    image[onto] = (image[onto] * (1 - alpha) + cut[seen] * alpha).astype(np.uint8)
    covered = share[seen] >= 0.5
    masks[:, y0:y1, x0:x1] &= ~covered
    added = np.zeros((1, height, width), np.bool_)
    added[0, y0:y1, x0:x1] = covered
    return Scene(image, np.concatenate([masks, added]))


def _usable(dataset: Dataset, side: int) -> list[LabelledImage]:
    """The images with a mask that is a target."""
    images = [
        image
        for image in dataset
        if any(mask.rle.area_px >= min_area_px(image.size, side) for mask in image.masks)
    ]
    if not images:
        raise InvalidInputError(f"no mask of {dataset.name} is large enough to learn from")
    return images
