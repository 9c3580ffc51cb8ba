"""What one of the benchmark's processes can be told to do; answers are JSON."""

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.speed.clicks import first_click, later_click, photo
from benchmarks.speed.equality import Verdict, judge_close, judge_exact
from benchmarks.speed.judging import judge_clicks
from benchmarks.speed.networks import build
from benchmarks.speed.ours import Ours
from benchmarks.speed.plan import Path, Side
from benchmarks.speed.profiling import profile
from benchmarks.speed.reference import Reference
from sam_backend.sam.types import Prompt

LEAST_SAMPLE_S = 0.3
"""Shorter calls are repeated, and the sample is their mean."""
N_SHAPES = 64
"""Masks of one post-processing call: as many as the reference decodes points at once."""
N_WARM_POINTS_PER_SIDE = 8
"""One batch of the reference: all its memory has been touched after it."""

Key = tuple[Side, str, bool]


class Stage:
    """One process's networks and what is done with them.

    Args:
        device: Where they run.
        threads: Of torch.
    """

    def __init__(self, device: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._device = device
        self._model = ""
        self._theirs: Reference | None = None
        self._mine: dict[tuple[str, bool], Ours] = {}

    def open(self, path: Path, model: str, image_size: list[int], points_per_side: int) -> None:
        """Take on a case; networks of another model are let go."""
        if model != self._model:
            self._theirs = None
            self._mine.clear()
        self._path, self._model, self._points = path, model, points_per_side
        self._size = (image_size[0], image_size[1])
        self._image = photo(self._size)
        self._prompt: Prompt | None = None
        self._logits: torch.Tensor | None = None
        self._last: dict[Key, Any] = {}
        for side in filter(None, (self._theirs, *self._mine.values())):
            side.take(self._image, points_per_side)

    def warm(self, side: Side, dtype: str, compiled: bool) -> float:
        """Seconds of a contestant's first call, with whatever is compiled or loaded for it."""
        who = self._who(side, dtype, compiled)
        if self._path == "amg":
            who.take(self._image, min(self._points, N_WARM_POINTS_PER_SIDE))
        seconds, _ = self._timed(self._call(who, 0))
        if self._path == "amg":
            who.take(self._image, self._points)
        else:
            self._timed(self._call(who, 0))
        return seconds

    def run(self, side: Side, dtype: str, compiled: bool, number: int) -> float:
        """Seconds of one call; short calls are repeated."""
        call = self._call(self._who(side, dtype, compiled), number)
        n_calls, spent_s = 0, 0.0
        while spent_s < LEAST_SAMPLE_S:
            seconds, self._last[side, dtype, compiled] = self._timed(call)
            spent_s += seconds
            n_calls += 1
        return spent_s / n_calls

    def judge(self, dtype: str, compiled: bool) -> dict[str, object]:
        """Whether the reference and we gave the same; with every figure."""
        verdict = self._verdict(dtype, compiled)
        return {"equal": verdict.equal, "faults": verdict.faults, "figures": verdict.figures}

    def batch(self, dtype: str, compiled: bool, n_images: int) -> float:
        """Our seconds an image where so many are encoded at once."""
        segmenter = self._ours(dtype, compiled).segmenter
        images = [segmenter.prepare(self._image)] * n_images
        segmenter.encode(images)
        return self._timed(lambda: segmenter.encode(images))[0] / n_images

    def profile(self, dtype: str, compiled: bool, n_most: int) -> list[list[object]]:
        """Where our time goes: names and shares of the wall time, the largest first."""
        ours = self._ours(dtype, compiled)
        call = self._call(ours, 0)
        return [list(one) for one in profile(call, self._device, n_most)]

    def peak_bytes(self) -> int:
        """Most memory held until now: of the GPU's, else of this process."""
        if self._device != "cpu":
            return int(torch.cuda.max_memory_allocated(self._device))
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def _verdict(self, dtype: str, compiled: bool) -> Verdict:
        reference, ours = self._reference(), self._ours(dtype, compiled)
        is_exact = dtype == "float32"
        if self._path == "amg":  # what was timed last is what is judged
            a = reference.generated(self._last["reference", "float32", False])
            b = ours.generated(self._last["ours", dtype, compiled])
            if not is_exact:
                return judge_close(a, b)
            return judge_exact(a, b, reference.thresholds, reference.generated_again)
        for side in (reference, ours):
            if not side.is_embedded:
                side.embed()
        if self._path == "postprocess":  # the same logits for both, whatever network they are of
            logits = self._shape_logits()
            a, b = reference.shaped(reference.shapes(logits)), ours.shaped(ours.shapes(logits))
            return judge_exact(a, b)
        return judge_clicks(self._path, reference, ours, self._size, is_exact)

    def _call(self, who: Reference | Ours, number: int) -> Callable[[], Any]:
        """What is timed. Whatever the path finds present is made before."""
        if self._path == "amg":
            return who.generate
        if self._path == "first_click":
            prompt = first_click(number, self._size)
            return lambda: (who.embed(), who.click(prompt))
        if not who.is_embedded:
            who.embed()
        if self._path == "postprocess":
            logits = self._shape_logits()
            return lambda: who.shapes(logits)
        later = self._later_prompt()
        return lambda: who.click(later)

    def _later_prompt(self) -> Prompt:
        if self._prompt is None:
            best = self._reference_with_image().clicked(first_click(0, self._size), 0)[0]
            if best.logits is None:
                raise ValueError("the reference gave no logits")
            self._prompt = later_click(0, self._size, best.logits)
        return self._prompt

    def _shape_logits(self) -> torch.Tensor:
        if self._logits is None:
            prompts = [first_click(number, self._size) for number in range(N_SHAPES)]
            self._logits = self._reference_with_image().low_res_logits(prompts)
        return self._logits

    def _reference_with_image(self) -> Reference:
        reference = self._reference()
        if not reference.is_embedded:
            reference.embed()
        return reference

    def _who(self, side: Side, dtype: str, compiled: bool) -> Reference | Ours:
        return self._reference() if side == "reference" else self._ours(dtype, compiled)

    def _reference(self) -> Reference:
        if self._theirs is None:
            self._theirs = Reference(build(self._model, self._device))
            self._theirs.take(self._image, self._points)
        return self._theirs

    def _ours(self, dtype: str, compiled: bool) -> Ours:
        key = (dtype, compiled)
        if key not in self._mine:
            self._mine[key] = Ours(build(self._model, self._device), dtype, compiled)
            self._mine[key].take(self._image, self._points)
        return self._mine[key]

    def _timed(self, call: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds until all work is done, a GPU's, too."""
        self._synchronise()
        start_s = time.perf_counter()
        found = call()
        self._synchronise()
        return time.perf_counter() - start_s, found

    def _synchronise(self) -> None:
        if self._device != "cpu":
            torch.cuda.synchronize(self._device)
