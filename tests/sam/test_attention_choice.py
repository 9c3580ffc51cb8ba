"""The fastest way is taken, measured once, and kept in a file where one is given."""

import json
from pathlib import Path

import pytest
import torch

from sam_backend.sam.attention import Attention
from sam_backend.sam.attention_choice import AttentionCase, AttentionChoice, measure

CASE = AttentionCase(torch.device("cpu"), torch.float32, groups=2, side=3, head=4)
LARGER = AttentionCase(torch.device("cpu"), torch.float32, groups=2, side=9, head=4)


class Stopwatch:
    """Tells fixed times and counts how often it was asked."""

    def __init__(self, fastest: Attention) -> None:
        self.fastest = fastest
        self.asked: list[AttentionCase] = []

    def __call__(self, case: AttentionCase) -> dict[Attention, float]:
        self.asked.append(case)
        return {way: 1.0 if way is self.fastest else 2.0 for way in Attention}


@pytest.mark.parametrize("fastest", Attention)
def test_the_fastest_is_taken_and_measured_once(fastest: Attention) -> None:
    watch = Stopwatch(fastest)
    choose = AttentionChoice(measure=watch)
    assert [choose(CASE), choose(CASE), choose(LARGER)] == [fastest] * 3
    assert watch.asked == [CASE, LARGER]


def test_noise_moves_nothing_from_the_blocked_way() -> None:
    seconds = {Attention.PLAIN: 9.9, Attention.FOLDED: 9.8, Attention.BLOCKED: 10.0}
    assert AttentionChoice(measure=lambda _: seconds)(CASE) is Attention.BLOCKED


def test_the_next_process_reads_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "new" / "attention.json"
    AttentionChoice(path, Stopwatch(Attention.FOLDED))(CASE)
    watch = Stopwatch(Attention.PLAIN)
    assert AttentionChoice(path, watch)(CASE) is Attention.FOLDED
    assert not watch.asked
    assert [file.name for file in path.parent.iterdir()] == ["attention.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"case": 1}', '{"case": {"plain": 1}}', json.dumps({"x": None})]
)
def test_a_damaged_file_is_measured_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "attention.json"
    path.write_text(text, encoding="utf-8")
    assert AttentionChoice(path, Stopwatch(Attention.FOLDED))(CASE) is Attention.FOLDED
    assert AttentionChoice(path, Stopwatch(Attention.PLAIN))(CASE) is Attention.FOLDED


def test_without_a_place_to_write_it_is_measured_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    choose = AttentionChoice(tmp_path / "file" / "attention.json", Stopwatch(Attention.PLAIN))
    assert choose(CASE) is Attention.PLAIN


def test_cases_differ_by_dtype_and_shape() -> None:
    half = AttentionCase(torch.device("cpu"), torch.bfloat16, groups=2, side=3, head=4)
    assert len({CASE.key(), half.key(), LARGER.key()}) == 3


def test_a_measurement_times_every_way() -> None:
    seconds = measure(CASE)
    assert set(seconds) == set(Attention)
    assert all(0 < value < float("inf") for value in seconds.values())
