"""Images embedded once and for all, on disk, for trainings that leave the encoder as it is.

Per image, and per mirrored image, two arrays in the run folder: the embedding and the targets. They
are read through memory maps, so that a step touches what it draws and no more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sam_backend.datasets import reasons
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.types import LabelledImage
from sam_backend.errors import ImageDecodeError, InvalidInputError
from sam_backend.files import replacing
from sam_backend.sam.preprocess import LongestSide
from sam_backend.sam.reference import Sam
from sam_backend.training.balance import draw_targets, image_weights
from sam_backend.training.plan import Phase
from sam_backend.training.sources import EncodedExample, example_chance
from sam_backend.training.targets import shares, targets


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An embedded image on disk.

    Attributes:
        features: File of the embedding, shape (C, h, w) float16. Rounding moves an embedding by
            less than a thousandth of itself, far less than a mirrored view does.
        targets: File of the masks, shape (N, L, L) uint8, in 1/255 of a cell.
        area: Area of the masks in cells, shape (N,).
    """

    features: Path
    targets: Path
    area: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """A labelled image and its views: as it is, and mirrored if wanted."""

    image: LabelledImage
    views: tuple[View, ...]


class EncodedImages:
    """The source of examples for a fixed encoder: images balanced by class, random views and masks.

    Args:
        images: What `encode_images` returned.
        seed: The training's.
        skipped: Masks and images left out, by reason.

    Raises:
        InvalidInputError: There are no images.
    """

    def __init__(self, images: Sequence[EncodedImage], seed: int, skipped: LeftOut) -> None:
        if not images:
            told = "; ".join(skipped.lines())
            raise InvalidInputError(f"no image can be learned from; left out: {told}")
        self.skipped = skipped
        self._images, self._seed = images, seed
        self._weights = image_weights([encoded.image for encoded in images])

    def batch(self, step: int, phase: Phase) -> list[EncodedExample]:
        """The examples of a step."""
        rng = example_chance(self._seed, step)
        chosen = rng.choice(len(self._images), phase.n_images, p=self._weights)
        return [_example(self._images[i].views, phase.n_targets, rng) for i in chosen]


def _example(views: Sequence[View], n_targets: int, rng: np.random.Generator) -> EncodedExample:
    view = views[int(rng.integers(len(views)))]
    cells = np.load(view.targets, mmap_mode="r")
    return EncodedExample(
        np.load(view.features), shares(cells[draw_targets(view.area, n_targets, rng)])
    )


def encode_images(
    sam: Sam,
    images: Sequence[LabelledImage],
    folder: Path,
    flips: bool,
    skipped: LeftOut,
    goes_on: Callable[[int], bool],
) -> list[EncodedImage] | None:
    """Embed images as they are embedded for a click; embeddings that lie in `folder` stay.

    Args:
        sam: Whose encoder; `folder` must be for this network and these images alone.
        images: In a fixed order.
        folder: Folder that the files go into.
        flips: Make a mirrored view of each image too.
        skipped: Gets the masks and images left out.
        goes_on: Told how many images are done before each one; false ends the work.

    Returns:
        The images that can be read and have a usable mask; None if `goes_on` ended the work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoded = []
    for number, image in enumerate(images):
        if not goes_on(number):
            return None
        found = targets(image, sam.image_encoder.img_size, False, skipped)
        if not len(found):
            continue
        name = f"{number:06}-{image.digest[:12]}"
        try:
            views = [_view(sam, image, folder / name, False, found)]
            if flips:
                mirrored = targets(image, sam.image_encoder.img_size, True, LeftOut())
                if len(mirrored):
                    views.append(_view(sam, image, folder / f"{name}-m", True, mirrored))
        except ImageDecodeError as error:
            skipped.add(reasons.UNREADABLE_IMAGE, str(error))
            continue
        encoded.append(EncodedImage(image, tuple(views)))
    return encoded


def _view(
    sam: Sam,
    image: LabelledImage,
    stem: Path,
    is_mirrored: bool,
    found: npt.NDArray[np.uint8],
) -> View:
    """Write what is not there yet."""
    features, masks = stem.with_suffix(".features.npy"), stem.with_suffix(".targets.npy")
    if not features.exists():
        pixels = read_pixels(image)
        mirrored = np.ascontiguousarray(pixels[:, ::-1])
        _save(features, _embed(sam, mirrored if is_mirrored else pixels))
    _save(masks, found)
    return View(features, masks, shares(found).sum((1, 2), dtype=np.float64))


@torch.inference_mode()
def _embed(sam: Sam, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float16]:
    resized = LongestSide(sam.image_encoder.img_size).resize(pixels)
    tensor = torch.as_tensor(resized, device=sam.device).permute(2, 0, 1)[None]
    embedding: npt.NDArray[np.float16] = (
        sam.image_encoder(sam.preprocess(tensor))[0].half().cpu().numpy()
    )
    return embedding


def _save(file: Path, array: npt.NDArray[np.generic]) -> None:
    """Write an array; a half-written file never carries its name."""
    with replacing(file) as unfinished, unfinished.open("wb") as out:
        np.save(out, array)
