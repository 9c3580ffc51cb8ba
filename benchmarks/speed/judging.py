"""What is compared on each path before it counts as equal."""

import numpy as np
from label_studio_sdk.converter.brush import decode_rle

from benchmarks.speed.clicks import N_JUDGED, first_click, later_click
from benchmarks.speed.equality import (
    EMBEDDING_TOLERANCE,
    Verdict,
    judge_close,
    judge_embedding,
    judge_exact,
)
from benchmarks.speed.ours import Ours
from benchmarks.speed.outcome import Outcome
from benchmarks.speed.plan import Path
from benchmarks.speed.reference import Reference
from sam_backend.masks import rle
from sam_backend.sam.types import Prompt


def judge_clicks(
    path: Path, reference: Reference, ours: Ours, size: tuple[int, int], is_exact: bool
) -> Verdict:
    """Every mask of many clicks, and that our region's JSON, read by Label Studio's SDK, is one.

    Args:
        path: `first_click`: each with the embedding of its own side, whose distance is judged,
            too. `later_click`: both sides go on from the reference's logits.
        reference: With the image embedded.
        ours: With the image embedded.
        size: (height, width) of the image.
        is_exact: By the rules of float32, else by those of bfloat16.
    """
    theirs: list[Outcome] = []
    mine: list[Outcome] = []
    prompts: list[Prompt] = []
    verdict = Verdict()
    for number in range(N_JUDGED):
        prompt = first_click(number, size)
        if path == "later_click":
            best = reference.clicked(prompt, number)[0]
            prompt = later_click(number, size, _logits(best))
        prompts.append(prompt)
        theirs += reference.clicked(prompt, number)
        found = ours.clicked(prompt, number)
        mine += found
        verdict = verdict.joined(judge_region(ours, prompt, found[0]))
    if path == "first_click" and not is_exact:
        distance = judge_embedding(reference.features(), ours.features(), EMBEDDING_TOLERANCE)
        verdict = verdict.joined(distance)
    if not is_exact:
        return verdict.joined(judge_close(theirs, mine, n_key=1))

    def again() -> list[Outcome]:
        other = reference.encoded_again() if path == "first_click" else reference
        return other.clicked_together(prompts)

    return verdict.joined(judge_exact(theirs, mine, again=again))


def judge_region(ours: Ours, prompt: Prompt, best: Outcome) -> Verdict:
    """Whether what goes over the wire is the best mask."""
    [region] = ours.region(prompt)
    flat = decode_rle(region["value"]["rle"])
    height, width = best.rle.size
    mask = flat.reshape(height, width, 4)[:, :, 3] > 0
    same = np.array_equal(mask, rle.decode(best.rle))
    return Verdict(() if same else (f"the region of click {best.key[0]:g} is another mask",))


def _logits(outcome: Outcome) -> np.ndarray:
    if outcome.logits is None:
        raise ValueError(f"outcome {outcome.key} has no logits")
    return outcome.logits
