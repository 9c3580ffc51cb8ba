"""Recall and precision of the proposer `similar` beside the grid's, from 1, 3 and 10 exemplars.

    python -m benchmarks.similar [--photos DIR] [--images 8] [--part held] [--sets scenes,balloon]

Each image is asked twice: with exemplars of its own, whose masks then count neither for nor
against the proposals, and with exemplars of other images of the set. What counts is what a person
would see: accepted masks and suggestions at the model card's bars, at most 300 of an image. A mask
is right if it has an IoU of 0.5 with a mask of the exemplars' kind that people drew (in a drawn
scene, of the same shape and colour). The grid does not know kinds: for it all kinds are right.

`--photos` holds folders with `images/` and a COCO file (mushrooms, dsb2018_nuclei, balloon); those
that are missing are passed over. Images are shuffled: on the first twelve, `chosen`, the defaults
were chosen, and `held` are the others. The starter was trained on all the photos.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.reading import read_dataset
from sam_backend.datasets.types import LabelledMask
from sam_backend.masks.overlap import iou_matrix
from sam_backend.masks.rle import RLE, encode
from sam_backend.projects.prefill_settings import PrefillSettings
from sam_backend.sam.device import Priority
from sam_backend.semi_automatic.exemplars import Exemplar
from sam_backend.semi_automatic.prefill import Prefiller
from sam_backend.semi_automatic.proposers import Place, Proposer, Subject, proposer_named
from sam_backend.serving.factory import serving_champion
from sam_backend.serving.served_model import ServedModel
from sam_backend.settings import Settings
from sam_backend.training.canvas import Canvas, local, sides_px, window_of
from sam_backend.training.scenes import camera
from sam_backend.training.shapes import Outline, draw, moved, random_outline
from sam_backend.training.textures import random_colour, random_surface

PHOTOS = ("mushrooms", "dsb2018_nuclei", "balloon")
EXEMPLARS = (1, 3, 10)
MIN_IOU = 0.5
_CHOSEN = 12  # photos of a set
_SIDE = 640
_MAX_MASKS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """An image and its masks, by the kind of what they show.

    Attributes:
        name: Names it.
        pixels: Reads it: RGB, shape (H, W, 3) uint8.
        masks: Masks that people drew, or that the scene was painted with.
        kinds: The kind of each mask.
    """

    name: str
    pixels: Callable[[], npt.NDArray[np.uint8]]
    masks: tuple[RLE, ...]
    kinds: tuple[int, ...]

    def of_kind(self, kind: int) -> list[RLE]:
        """The masks of one kind."""
        return [mask for mask, its in zip(self.masks, self.kinds, strict=True) if its == kind]


@dataclass(slots=True)
class Counts:
    """Sums over images.

    Attributes:
        wanted: Masks that should be found.
        found: Number of the wanted ones that were found.
        shown: Masks that a person would see.
        right: Number of the found ones that were wanted.
        images: Images that were asked.
        seconds: Time that they took.
    """

    wanted: int = 0
    found: int = 0
    shown: int = 0
    right: int = 0
    images: int = 0
    seconds: float = 0.0

    def add(self, shown: Sequence[RLE], wanted: Sequence[RLE], seconds: float) -> None:
        """Count one image."""
        ious = iou_matrix(shown, wanted)
        self.wanted += len(wanted)
        self.found += int(np.count_nonzero(ious.max(axis=0, initial=0) >= MIN_IOU))
        self.shown += len(shown)
        self.right += int(np.count_nonzero(ious.max(axis=1, initial=0) >= MIN_IOU))
        self.images += 1
        self.seconds += seconds


def repeated_scene(rng: np.random.Generator, side: int = _SIDE) -> Drawn:
    """Two to four kinds of objects, each three to twelve times: turned, a bit larger or smaller."""
    canvas = Canvas(random_surface(rng, random_colour(rng), (side, side), (), photo_share=0.0))
    whole = (slice(0, side), slice(0, side))
    everywhere = np.ones((side, side), np.bool_)
    models = [
        (
            random_outline(rng),
            canvas.contrasting(everywhere, whole, rng, distance=30.0),
            side * np.exp(rng.uniform(np.log(0.03), np.log(0.1))),
        )
        for _ in range(int(rng.integers(2, 5)))
    ]
    order = [kind for kind in range(len(models)) for _ in range(int(rng.integers(3, 13)))]
    taken = np.zeros((side, side), np.bool_)
    kinds: list[int] = []
    for kind in rng.permutation(order).tolist():
        outline, colour, radius = models[kind]
        placed = _free_place(outline, radius, taken, rng)
        if placed is None:
            continue
        window = window_of(placed, canvas.size)
        coverage = draw(local(placed, window), sides_px(window))
        tint = colour + rng.normal(0, 6, 3).astype(np.float32)
        surface = random_surface(rng, tint, sides_px(window), (), photo_share=0.0)
        canvas.paint(coverage, surface, window)
        canvas.add_mask(coverage > 127, window, occludes=True)
        taken[window] |= coverage > 127
        kinds.append(kind)
    image = camera(canvas.pixels, rng)
    return Drawn("scene", lambda: image, tuple(map(encode, canvas.masks)), tuple(kinds))


def _free_place(
    outline: Outline, radius: float, taken: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Outline | None:
    """The outline turned and moved to where hardly anything is; None: no such place is found."""
    for _ in range(20):
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array(
            [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], np.float32
        )
        centre = rng.uniform(0.08, 0.92, 2) * taken.shape[0]
        placed = moved([ring @ turn for ring in outline], centre, radius * rng.uniform(0.85, 1.15))
        window = window_of(placed, (taken.shape[0], taken.shape[1]))
        if min(sides_px(window)) < 5:
            continue
        mask = draw(local(placed, window), sides_px(window)) > 127
        if mask.sum() > 60 and (taken[window] & mask).sum() < 0.15 * mask.sum():
            return placed
    return None


def scenes(first_seed: int, count: int) -> list[Drawn]:
    """Scenes by their seeds."""
    return [repeated_scene(np.random.default_rng(first_seed + seed)) for seed in range(count)]


def photos(folder: Path, part: str, count: int) -> list[Drawn]:
    """Photos with two masks or more, of one part of a set."""
    images = [image for image in read_dataset(folder) if len(image.masks) > 1]
    order = np.random.default_rng(7).permutation(len(images))
    order = (order[_CHOSEN:] if part == "held" else order[:_CHOSEN])[:count]
    return [
        Drawn(
            images[i].name,
            partial(read_pixels, images[i]),
            tuple(mask.rle for mask in images[i].masks),
            (0,) * len(images[i].masks),
        )
        for i in order.tolist()
    ]


def measure(model: ServedModel, name: str, images: Sequence[Drawn]) -> Iterator[str]:
    """Rows of the table for one set of images."""
    place = Place(model.checkpoint.card, Path())
    grid = Counts()
    for number, image in enumerate(images):
        subject = _subject(name, number, image, ())
        shown, seconds = _shown(model, proposer_named("grid", {}, place), subject, ())
        grid.add(shown, image.masks, seconds)
    yield _row(name, "grid", "none", grid)
    for count in EXEMPLARS:
        here, elsewhere = Counts(), Counts()
        for number, image in enumerate(images):
            rng = np.random.default_rng([count, number])
            kind = int(rng.choice(image.kinds))
            masks = image.of_kind(kind)
            if len(masks) > count:
                own = [masks[i] for i in rng.permutation(len(masks))[:count].tolist()]
                subject = _subject(name, number, image, own)
                shown, seconds = _shown(model, proposer_named("similar", {}, place), subject, own)
                here.add(shown, [mask for mask in masks if mask not in own], seconds)
            if set(image.kinds) == {0} and len(images) > 1:
                others = _elsewhere(name, number, images, count, rng)
                proposer = proposer_named(
                    "similar", {}, Place(model.checkpoint.card, Path(), exemplars=others)
                )
                subject = _subject(name, number, image, ())
                shown, seconds = _shown(model, proposer, subject, ())
                elsewhere.add(shown, masks, seconds)
        if here.images:
            yield _row(name, "similar", f"{count} of the image", here)
        if elsewhere.images:
            yield _row(name, "similar", f"{count} of others", elsewhere)


def _elsewhere(
    name: str, number: int, images: Sequence[Drawn], count: int, rng: np.random.Generator
) -> Callable[[Sequence[str]], list[Exemplar]]:
    """Exemplars of other images, of as many images as can be."""
    order = rng.permutation([i for i in range(len(images)) if i != number]).tolist()
    found = []
    for place in range(count):
        other = order[place % len(order)]
        mask = images[other].masks[int(rng.integers(len(images[other].masks)))]
        found.append(Exemplar((), mask, f"{name} {other}", images[other].pixels))
    return lambda like: found


def _subject(name: str, number: int, image: Drawn, own: Sequence[RLE]) -> Subject:
    submitted = tuple(LabelledMask(mask) for mask in own)
    return Subject(f"{name} {number}", image.pixels(), np.zeros((0, 4)), submitted=submitted)


def _shown(
    model: ServedModel, proposer: Proposer, subject: Subject, drawn: Sequence[RLE]
) -> tuple[list[RLE], float]:
    """Masks that a person would see, and the seconds that they took; encoding is not counted."""
    model.embedding_of(subject.digest, lambda: subject.pixels, Priority.BACKGROUND)
    start_s = time.perf_counter()
    settings = PrefillSettings.given(
        model.checkpoint.card.prefill, {"max_masks": _MAX_MASKS, "min_area_px": 0}
    )
    judgement = Prefiller(settings, proposer).judge(model, subject, drawn)
    return [one.record.rle for one in judgement.shown], time.perf_counter() - start_s


def _row(name: str, proposer: str, exemplars: str, counts: Counts) -> str:
    recall = counts.found / max(1, counts.wanted)
    precision = counts.right / max(1, counts.shown)
    per_image = counts.shown / counts.images
    return (
        f"| {name} | {proposer} | {exemplars} | {counts.images} | {recall:.2f} | {precision:.2f} "
        f"| {per_image:.1f} | {counts.seconds / counts.images:.1f} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of the photos' folders")
    parser.add_argument("--images", type=int, default=8, help="of each set")
    parser.add_argument("--part", choices=("chosen", "held"), default="held")
    parser.add_argument("--sets", default=",".join(("scenes", *PHOTOS)), help="with commas")
    given = parser.parse_args()
    print(
        "| set | proposer | exemplars | images | recall | precision | masks an image | s an image |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with serving_champion(Settings()) as champion, champion.lease() as model:
        for name in given.sets.split(","):
            if name == "scenes":
                images = scenes(1000 if given.part == "chosen" else 2000, given.images)
            elif given.photos is not None and (given.photos / name).is_dir():
                images = photos(given.photos / name, given.part, given.images)
            else:
                continue
            for row in measure(model, name, images):
                print(row, flush=True)


if __name__ == "__main__":
    main()
