"""A retraining in a process of its own, to be killed: prints a line for each step."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch

from sam_backend.progress import Progress
from sam_backend.training.retraining import retrain
from sam_backend.training.weights import save_weights
from tests.training.tiny import squares, tiny_plan, tiny_sam


def run(images: Path, folder: Path, observe: Callable[[Progress], None]) -> None:
    """Twelve steps, with a checkpoint after every second one, for its score is taken then."""
    torch.set_num_threads(1)
    result = retrain(
        tiny_sam(),
        "tiny",
        squares(images),
        tiny_plan(steps=12),
        folder,
        judge=lambda sam: float(sam.mask_decoder.iou_token.weight.detach().sum()),
        observe=observe,
    )
    save_weights(result.sam, folder / "weights.safetensors")


if __name__ == "__main__":
    run(
        Path(sys.argv[1]),
        Path(sys.argv[2]),
        lambda progress: print(progress.stage, progress.done, flush=True),
    )
