"""From a training run to a checkpoint of the model store: measure, write weights and card."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.pixels import read_pixels
from sam_backend.datasets.selection import select
from sam_backend.datasets.types import Dataset
from sam_backend.engine.starter_runs import StarterRun
from sam_backend.masks.clicks import deepest_point, tight_box
from sam_backend.quality.interactive import InteractiveReport, Sample, evaluate
from sam_backend.sam.reference import Sam
from sam_backend.sam.segmenter import Segmenter
from sam_backend.sam.types import Prompt
from sam_backend.training.canvas import Scene
from sam_backend.training.examples import covered_cells, cut_to_aspect
from sam_backend.training.leaves import leaves_scene
from sam_backend.training.logit_scale import best_factor, scale_logits
from sam_backend.training.scenes import hard_scene, simple_scene
from sam_backend.training.weights import save_weights

SCENE_SIZE_PX = 512
SIMPLE_SEED, HARD_SEED, LEAVES_SEED = 90_001, 90_002, 90_003
"""Of the held-out sets. Training never draws from them: its chance has a list as its seed."""
LEAVES_PER_SCENE = 8
SCALE_SEED, SCENES_SCALED, MASKS_SCALED = 90_004, 40, 4
"""Of the scenes that say how sure the logits should be."""
MIN_SEGMENT_SHARE = 0.01
PHOTOS_MEASURED = f"segments over {MIN_SEGMENT_SHARE:.0%} of the first annotator"
"""Of a segmentation set whose annotators each tile the photo, one's large ones."""
MAX_CLICKS = 3

RESEARCH_LICENCE = (
    "for non-commercial research and education only: the weights learned from BSDS500 photos,"
    " which are given out for that"
)
SCENES_USED = "procedural scenes (sam_backend/training: scenes.py, leaves.py)"
PHOTOS_USED = (
    "BSDS500 train (200 photos, for non-commercial research and education; Arbelaez,"
    " Maire, Fowlkes, Malik, TPAMI 2011)"
)


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
            chosen = rng.choice(large, min(len(large), LEAVES_PER_SCENE), replace=False)
            yield Sample(scene.image, scene.masks[chosen])


def held_out_photos(photos: Dataset, n: int) -> Iterator[Sample]:
    """The first `n` photos with their first annotator's segments over `MIN_SEGMENT_SHARE`."""
    for image in select(photos, MIN_SEGMENT_SHARE, annotator="first", limit=n):
        yield Sample(read_pixels(image), image.masks, image.name)


def _sample(scene: Scene) -> Sample:
    return Sample(scene.image, scene.masks)


def make_ready(sam: Sam, n_scenes: int = SCENES_SCALED) -> float:
    """Scale the logits to mean probabilities and round the weights as they ship; in place.

    The factor is found on scenes of its own, crowded ones and leaves, for clicks and boxes.

    Args:
        sam: The network.
        n_scenes: Fewer make the factor uncertain.

    Returns:
        The factor.
    """
    rng = np.random.default_rng(SCALE_SEED)
    segmenter = Segmenter(sam, "scaled")
    logits: list[npt.NDArray[np.float32]] = []
    truth: list[npt.NDArray[np.float32]] = []
    for number in range(n_scenes):
        make = (hard_scene, leaves_scene)[number % 2]
        scene = cut_to_aspect(make(rng, SCENE_SIZE_PX), rng)
        embedding = segmenter.embed(scene.image)
        cells = -(-embedding.input_size[0] // 4), -(-embedding.input_size[1] // 4)
        masks = scene.masks[rng.permutation(len(scene.masks))[:MASKS_SCALED]]
        for mask in masks:
            x, y = deepest_point(mask)
            click = Prompt(np.array([[x + 0.5, y + 0.5]], np.float32), np.array([True]))
            for prompt in (click, Prompt(box=tight_box(mask))):
                (answer,) = segmenter.predict(embedding, prompt, limit=1)
                logits.append(answer.logits[: cells[0], : cells[1]])
                share = covered_cells(mask, embedding.input_size, sam.image_encoder.img_size)
                truth.append(share[: cells[0], : cells[1]])
    factor = best_factor(logits, truth)
    scale_logits(sam, factor)
    sam.load_state_dict({name: weight.half().float() for name, weight in sam.state_dict().items()})
    return factor


def measure(sam: Sam, photos: Dataset | None, n: int = 100) -> dict[str, InteractiveReport]:
    """Quality of a network on each held-out set, by the set's name.

    Args:
        sam: The network.
        photos: BSDS500 val, or another set that it has not seen; None leaves it out.
        n: Images a set; half of it for the crowded scenes.
    """
    segmenter = Segmenter(sam, "measured")
    sets: dict[str, Callable[[], Iterator[Sample]]] = {
        "simple scenes": lambda: held_out_scenes(n),
        "hard scenes": lambda: held_out_hard_scenes(n // 2),
        "dead leaves": lambda: held_out_leaves(n // 2),
    }
    if photos is not None:
        sets[f"photos ({photos.name}), {PHOTOS_MEASURED}"] = lambda: held_out_photos(photos, n)
    return {
        name: evaluate(segmenter, samples(), max_clicks=MAX_CLICKS)
        for name, samples in sets.items()
    }


def release(
    sam: Sam,
    folder: Path,
    version: str,
    trained_on: date,
    quality: dict[str, InteractiveReport],
    run: StarterRun,
    logit_factor: float,
    automatic: Mapping[str, float] = MappingProxyType({}),
) -> Path:
    """Write `weights.safetensors` (half precision) and `card.json` into `folder`.

    Args:
        sam: The network to ship.
        folder: Of the model store.
        version: Names the checkpoint.
        trained_on: Day on which the training ended.
        quality: What `measure` found.
        run: Where the weights come from; photos bind the licence.
        logit_factor: What `make_ready` returned.
        automatic: Thresholds of the automatic generator that suit it.

    Returns:
        The card's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    digest = save_weights(sam, folder / "weights.safetensors")
    commands = "; then ".join((*run.before, run.command))
    card = {
        "name": "Starter: a small SAM" + ("" if run.photos else ", from procedural scenes alone"),
        "family": "starter",
        "version": version,
        "sha256": digest,
        "source": f"trained by this project: {commands}",
        "licence": RESEARCH_LICENCE if run.photos else "Apache-2.0",
        "training_data": f"{SCENES_USED}; {PHOTOS_USED}" if run.photos else SCENES_USED,
        "learned_from": {"images": 0} | ({"unrecorded": [PHOTOS_USED]} if run.photos else {}),
        "trained_on": trained_on.isoformat(),
        "parameters": sum(p.numel() for p in sam.parameters()),
        "automatic": dict(automatic),
        "run": {"logit_factor": round(logit_factor, 3)},
        "measured_quality": {name: report.as_card() for name, report in quality.items()},
    }
    path = folder / "card.json"
    path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return path
