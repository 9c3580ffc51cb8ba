"""From a training run to a checkpoint of the model store: measure, write weights and card."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from sam_backend.quality.interactive import InteractiveReport, Sample, evaluate
from sam_backend.sam.segmenter import Segmenter
from sam_backend.training.canvas import Scene
from sam_backend.training.coco import read_photos
from sam_backend.training.examples import cut_to_aspect
from sam_backend.training.scenes import hard_scene, simple_scene

SCENE_SIZE_PX = 512
SIMPLE_SEED, HARD_SEED, PHOTO_SEED = 90_001, 90_002, 90_003
"""Of the held-out sets; training runs take small seeds, so no scene is in both."""
MASKS_PER_PHOTO = 4
MIN_SEGMENT_PX = 500

RESEARCH_LICENCE = (
    "for non-commercial research and education only: the weights learned from BSDS500 photos,"
    " which are given out for that"
)


def held_out_scenes(n: int) -> Iterator[Sample]:
    """`n` simple scenes that no training has seen."""
    rng = np.random.default_rng(SIMPLE_SEED)
    return (_sample(cut_to_aspect(simple_scene(rng, SCENE_SIZE_PX), rng)) for _ in range(n))


def held_out_hard_scenes(n: int) -> Iterator[Sample]:
    """`n` hard scenes, without photos, that no training has seen."""
    rng = np.random.default_rng(HARD_SEED)
    return (_sample(cut_to_aspect(hard_scene(rng, SCENE_SIZE_PX), rng)) for _ in range(n))


def held_out_photos(coco_file: Path, n: int) -> Iterator[Sample]:
    """The first `n` photos of a COCO file, a few random segments of each."""
    rng = np.random.default_rng(PHOTO_SEED)
    for photo in read_photos(coco_file, MIN_SEGMENT_PX).photos[:n]:
        yield _sample(photo.scene(rng, limit=MASKS_PER_PHOTO))


def _sample(scene: Scene) -> Sample:
    return Sample(scene.image, scene.masks)


def measure(sam: Sam, bsds: Path | None, n: int = 100) -> dict[str, InteractiveReport]:
    """Quality of a network on each held-out set, by the set's name.

    Args:
        sam: The network.
        bsds: Folder of BSDS500 with `val.json`; None leaves the photos out.
        n: Images a set.
    """
    segmenter = Segmenter(sam, "measured")
    sets = {
        "simple scenes": held_out_scenes(n),
        "hard scenes": held_out_hard_scenes(n // 2),
    }
    if bsds is not None:
        name = f"BSDS500 val, segments of at least {MIN_SEGMENT_PX} px"
        sets[name] = held_out_photos(bsds / "val.json", n)
    return {name: evaluate(segmenter, samples, max_clicks=3) for name, samples in sets.items()}


def release(
    sam: Sam,
    folder: Path,
    version: str,
    trained_on: date,
    quality: dict[str, InteractiveReport],
    photos_used: bool,
    source: str = "trained by this project: sam-backend train starter",
) -> Path:
    """Write `weights.safetensors` (half precision) and `card.json` into `folder`.

    Args:
        sam: The network to ship.
        folder: Of the model store.
        version: Names the checkpoint.
        trained_on: Day on which the training ended.
        quality: What `measure` found.
        photos_used: Whether it learned from BSDS500, which binds its licence.
        source: How it came to be.

    Returns:
        The card's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "weights.safetensors"
    halves = {
        name: (t.half() if t.is_floating_point() else t).contiguous()
        for name, t in sam.state_dict().items()
    }
    save_file(halves, weights)
    card = {
        "name": "Starter: a small SAM",
        "family": "starter",
        "version": version,
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "source": source,
        "licence": RESEARCH_LICENCE if photos_used else "Apache-2.0",
        "training_data": "procedural scenes (sam_backend/training/scenes.py)"
        + (
            "; BSDS500 train (200 photos, for non-commercial research and education; Arbelaez,"
            " Maire, Fowlkes, Malik, TPAMI 2011)"
            if photos_used
            else ""
        ),
        "trained_on": trained_on.isoformat(),
        "parameters": sum(p.numel() for p in sam.parameters()),
        "measured_quality": {name: result.as_card() for name, result in quality.items()},
    }
    path = folder / "card.json"
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path


def averaged_network(sam: Sam, checkpoint: Path) -> Sam:
    """Load the averaged weights of a training's checkpoint into `sam`, in half precision's values.

    The card must speak of the weights that ship, and those are halves.
    """
    state = torch.load(checkpoint, weights_only=True)["averaged"]
    sam.load_state_dict({k: t.half().float() for k, t in state.items()})
    return sam.eval()
