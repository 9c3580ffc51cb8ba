"""Teaches any checkpoint some more from labelled images, in a run folder that survives a kill."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset
from sam_backend.progress import Progress
from sam_backend.sam.reference import Sam
from sam_backend.training.features import EncodedImages, encode_images
from sam_backend.training.freezing import close_to_learning, open_to_learning
from sam_backend.training.loop import BEST_NAME, CHECKPOINT_NAME, Ending, Judge, Observe, Training
from sam_backend.training.metrics import METRICS_NAME, draw_curves
from sam_backend.training.photos import LabelledImages
from sam_backend.training.plan import Depth, TrainingPlan
from sam_backend.training.run_config import claim_folder, run_config
from sam_backend.training.state import TrainingState

FEATURES_FOLDER = "features"
CURVES_NAME = "curves.png"


@dataclass(frozen=True, slots=True, eq=False)
class Retrained:
    """What came of a retraining.

    Attributes:
        sam: The network, changed in place: the averaged weights of `best_step`, in eval mode.
        ending: Why it ended; after `STOPPED`, the same call with the network as it first came goes
            on.
        steps: Steps done, over all starts.
        best_step: The best judged step after the start; without any, the last step.
        judged: Held-out score by step; step 0 is the network as it came. Empty without a judge.
        skipped: Masks and images left out, by reason.
    """

    sam: Sam
    ending: Ending
    steps: int
    best_step: int
    judged: Mapping[int, float]
    skipped: LeftOut


def retrain(
    sam: Sam,
    family: str,
    train: Dataset,
    plan: TrainingPlan,
    folder: Path,
    *,
    judge: Judge | None = None,
    observe: Observe = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Retrained:
    """Train a checkpoint further; goes on by itself where an earlier call left off.

    The folder gets `config.json`, `metrics.jsonl`, `checkpoint.pt`, `best.pt`, `curves.png` and,
    for `Depth.DECODER`, the embeddings under `features/`, which may be deleted afterwards.

    Args:
        sam: The network as it was loaded, on the device to train on; changed in place.
        family: Its name in `sam.families.FAMILIES`.
        train: Images to learn from, none of which `judge` looks at.
        plan: Such as `retraining_plan(depth)`; the same one on every call with this folder.
        folder: Folder of this run alone.
        judge: Held-out score of a network, higher is better. At `Depth.DECODER` its encoder never
            changes: embeddings of held-out images may be kept from one call to the next.
        observe: Told of the progress before each image and after each step.
        stop: Asked before each image and step; true ends the run with a checkpoint.
        clock: Seconds.

    Raises:
        InvalidInputError: No image has a usable mask, or the folder belongs to another run.
    """
    claim_folder(folder, run_config(sam, family, train, plan))
    source = _source(sam, train, plan, folder, observe, stop, clock)
    if source is None:
        return Retrained(sam, Ending.STOPPED, 0, 0, {}, LeftOut())
    open_to_learning(sam, plan.depth, plan.rank, plan.seed)
    state = TrainingState(sam, plan)
    if (folder / CHECKPOINT_NAME).exists():
        state.load(folder / CHECKPOINT_NAME)
    ending = Training(state, source, plan, folder, clock, judge, observe, stop).run()
    state.export(None if state.best_step is None else folder / BEST_NAME)
    close_to_learning(sam)
    draw_curves(folder / METRICS_NAME, folder / CURVES_NAME)
    best_step = state.step if state.best_step is None else state.best_step
    return Retrained(sam, ending, state.step, best_step, state.held_out, source.skipped)


def _source(
    sam: Sam,
    data: Dataset,
    plan: TrainingPlan,
    folder: Path,
    observe: Observe,
    stop: Callable[[], bool],
    clock: Callable[[], float],
) -> EncodedImages | LabelledImages | None:
    """Where examples come from at this depth; None if `stop` came first."""
    images = sorted(data, key=lambda image: (image.digest, image.name))
    if plan.depth is not Depth.DECODER:
        return LabelledImages(images, sam.image_encoder.img_size, plan.seed)
    skipped = LeftOut()
    started = clock()

    def goes_on(n_done: int) -> bool:
        elapsed_s = clock() - started
        left_s = elapsed_s / n_done * (len(images) - n_done) if n_done else None
        observe(Progress("embedding", n_done, len(images), elapsed_s, left_s))
        return not stop()

    encoded = encode_images(sam, images, folder / FEATURES_FOLDER, plan.flips, skipped, goes_on)
    return None if encoded is None else EncodedImages(encoded, plan.seed, skipped)
