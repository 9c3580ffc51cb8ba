"""Pictures with known objects, and annotators of known skill who label them."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from sam_backend.labelstudio.regions import codec
from sam_backend.masks.rle import encode, to_coco
from tests.e2e.commands import inside

Json = dict[str, Any]

HEIGHT, WIDTH = 240, 320
LABELS = ("Leaf", "Fruit")
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <PolygonLabels name="shape" toName="image" sam="output">
    <Label value="Leaf"/><Label value="Fruit"/>
  </PolygonLabels>
</View>"""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object: its outline in pixels, shape (N, 2), x before y, and its label."""

    outline: npt.NDArray[np.float64]
    label: str

    @property
    def is_small(self) -> bool:
        """By its mask's area, as COCO has it."""
        return bool(codec.decode(region_of(self)).sum() < 32**2)


Picture = tuple[bytes, tuple[Thing, ...]]
Skill = Callable[[tuple[Thing, ...], np.random.Generator], list[Thing]]


def draw_picture(seed: int) -> Picture:
    """A PNG file of seven things on a meadow, three of them small."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(110, 140, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    drawing = ImageDraw.Draw(image)
    things = []
    cells = [(x, y) for y in (60, 180) for x in (50, 125, 200, 275)]
    for place, cell in enumerate(rng.permutation(len(cells))[:7]):
        x, y = cells[cell]
        radius = rng.uniform(9, 13) if place < 3 else rng.uniform(22, 30)
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        radii = radius * rng.uniform(0.9, 1.1, 24)
        outline = np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)
        label = LABELS[place % 2]
        colour = (30, 160, 40) if label == "Leaf" else (200, 60, 30)
        drawing.polygon([tuple(point) for point in outline], fill=colour)
        things.append(Thing(outline, label))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue(), tuple(things)


def region_of(thing: Thing, number: int = 0) -> Json:
    """What the editor makes of a drawn polygon."""
    percent = 100 * thing.outline / (WIDTH, HEIGHT)
    return {
        "id": f"region-{number}",
        "from_name": "shape",
        "to_name": "image",
        "type": "polygonlabels",
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {
            "points": np.clip(percent, 0, 100).tolist(),
            "closed": True,
            "polygonlabels": [thing.label],
        },
    }


def coco_of(pictures: dict[str, Picture]) -> Json:
    """A COCO file of pictures by name."""
    annotations = [
        {
            "id": 100 * number + place,
            "image_id": number,
            "category_id": LABELS.index(thing.label) + 1,
            "segmentation": to_coco(encode(codec.decode(region_of(thing)))),
        }
        for number, (_, things) in enumerate(pictures.values(), start=1)
        for place, thing in enumerate(things)
    ]
    return {
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for number, name in enumerate(pictures, start=1)
        ],
        "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS, start=1)],
        "annotations": annotations,
    }


def exact(things: tuple[Thing, ...], rng: np.random.Generator) -> list[Thing]:
    """Draws what is there."""
    return list(things)


def loose(things: tuple[Thing, ...], rng: np.random.Generator) -> list[Thing]:
    """Keeps three to five pixels away from every edge."""
    drawn = []
    for thing in things:
        centre = thing.outline.mean(axis=0)
        away = thing.outline - centre
        length = np.linalg.norm(away, axis=1, keepdims=True)
        far = centre + away * (1 + rng.uniform(3, 5, length.shape) / length)
        drawn.append(Thing(far, thing.label))
    return drawn


def misses_small(things: tuple[Thing, ...], rng: np.random.Generator) -> list[Thing]:
    """Overlooks most of what is small."""
    return [thing for thing in things if not thing.is_small or rng.random() < 0.2]


def mislabels(things: tuple[Thing, ...], rng: np.random.Generator) -> list[Thing]:
    """Takes a third of the things for something else."""
    return [
        Thing(
            thing.outline,
            LABELS[1 - LABELS.index(thing.label)] if rng.random() < 1 / 3 else thing.label,
        )
        for thing in things
    ]


SKILLS: dict[str, Skill] = {
    "exact": exact,
    "loose": loose,
    "small": misses_small,
    "labels": mislabels,
}


def trust(folder: Path, pictures: dict[str, Picture]) -> None:
    """Makes pictures gold of the backend with this data folder; twice, and once counts."""
    (folder / "truth").mkdir()
    for name, (body, _) in pictures.items():
        (folder / "truth" / name).write_bytes(body)
    (folder / "truth.json").write_text(json.dumps(coco_of(pictures)))
    for change in ("added", "unchanged"):
        told = json.loads(
            inside(folder, "gold", "add", "--data", str(folder / "truth.json"), "--json")
        )
        assert told["images"] == {change: len(pictures)}
    shutil.rmtree(folder / "truth")  # the truth is ours now
