"""Examples made ahead in worker processes: the same ones, whoever makes them."""

import os
from pathlib import Path

import numpy as np
import pytest

from sam_backend.errors import InvalidInputError, SamBackendError
from sam_backend.training.examples import Example
from sam_backend.training.photos import LabelledImages
from sam_backend.training.plan import Phase
from tests.training.tiny import squares
from tools.starter.data_workers import AHEAD, Feeding

FIRST, LAST = Phase(0.5, 64, 2, 3), Phase(1.0, 96, 1, 3)
STEPS = [(3, FIRST), (4, FIRST), (5, FIRST), (6, LAST), (7, LAST), (2, FIRST)]


class Faulty:
    """A source of which one step fails and another one kills who makes it."""

    def batch(self, step: int, phase: Phase) -> list[Example]:
        if step == 1:
            raise InvalidInputError("nothing to learn from in step 1")
        if step == 2 + AHEAD:  # not before step 1 is asked for
            os._exit(1)
        return []


def test_batches_are_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    images = LabelledImages(squares(tmp_path).images, 64, seed=11)
    fed = []
    for n_workers in (0, 1, 2):
        with Feeding(images, n_workers) as feeding:
            fed.append([feeding.batch(step, phase) for step, phase in STEPS])
    for others in fed[1:]:
        for batch, other in zip(fed[0], others, strict=True):
            for a, b in zip(batch, other, strict=True):
                assert a.input_size == b.input_size
                np.testing.assert_array_equal(a.image, b.image)
                np.testing.assert_array_equal(a.truth, b.truth)


def test_who_asks_hears_of_errors_and_of_dead_workers() -> None:
    with Feeding(Faulty(), 1) as feeding:
        assert feeding.batch(0, FIRST) == []
        with pytest.raises(InvalidInputError, match="step 1"):
            feeding.batch(1, FIRST)
        with pytest.raises(SamBackendError, match="died"):  # noqa: PT012
            for step in range(2, 3 + AHEAD):
                feeding.batch(step, FIRST)


def test_workers_end_with_their_feeding() -> None:
    with Feeding(Faulty(), 2) as feeding:
        processes = [worker.process for worker in feeding._workers]
        assert all(process.is_alive() for process in processes)
    assert not any(process.is_alive() for process in processes)
