"""Which checkpoint is served: promotions outlast what comes later, and can be taken back."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.store.champions import History, Promotion
from sam_backend.store.models import ModelStore
from tests.sam.networks import random_starter
from tests.store.checkpoints import put
from tests.store.workers import promote_one

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with a starter and two challengers that descend from it."""
    put(tmp_path / "packaged", "starter-1")
    for version in ("starter-1-r1", "starter-1-r2"):
        put(tmp_path / "own", version, challenger=True)
    return ModelStore([tmp_path / "own", tmp_path / "packaged"], now=lambda: NOON)


def promote(store: ModelStore, *versions: str) -> None:
    for version in versions:
        assert store.promote(version, "for the test", "a test")


def test_without_a_promotion_the_best_is_served_and_never_a_challenger(
    store: ModelStore, tmp_path: Path
) -> None:
    assert store.champion().version == "starter-1"
    assert store.list()[0].version == "starter-1"
    assert store.get("starter").version == "starter-1"
    assert store.get("starter-1-r1").version == "starter-1-r1"
    put(tmp_path / "own", "vit_b-r1", "vit_b", challenger=True)
    assert store.champion().version == "starter-1"
    with pytest.raises(ModelStoreError, match="no model 'vit_b'"):
        store.get("vit_b")
    put(tmp_path / "own", "vit_b-01ec64", "vit_b")
    assert store.champion().version == "vit_b-01ec64"
    assert store.history() == ()


def test_a_promotion_outlasts_what_comes_later(store: ModelStore, tmp_path: Path) -> None:
    promote(store, "starter-1-r1")
    put(tmp_path / "own", "vit_b-01ec64", "vit_b")
    assert store.champion().version == "starter-1-r1"
    assert store.best().version == "vit_b-01ec64"
    promote(store, "vit_b-01ec64")
    assert store.champion().version == "vit_b-01ec64"
    assert [(p.version, p.replaces) for p in store.history()] == [
        ("starter-1-r1", "starter-1"),
        ("vit_b-01ec64", "starter-1-r1"),
    ]


@pytest.mark.parametrize(
    ("model", "served"),
    [
        (None, "vit_b-01ec64"),
        ("starter-1", "starter-1"),
        ("starter-1-r2", "starter-1-r2"),
        ("starter", "starter-1-r1"),  # promoted, though a vit_b has been promoted since
        ("vit_b", "vit_b-01ec64"),
        ("vit_l", "l"),
    ],
)
def test_the_setting_pins_a_version_or_a_family(
    store: ModelStore, tmp_path: Path, model: str | None, served: str
) -> None:
    put(tmp_path / "own", "vit_b-01ec64", "vit_b")
    put(tmp_path / "own", "vit_b-newer", "vit_b", added_at=NOON.isoformat())
    put(tmp_path / "own", "l", "vit_l")
    promote(store, "starter-1-r1", "vit_b-01ec64")
    assert store.to_serve(model).version == served


def test_promoting_the_best_keeps_it_and_again_changes_nothing(
    store: ModelStore, tmp_path: Path
) -> None:
    promote(store, "starter-1")
    assert not store.promote("starter-1", "again", "a test")
    put(tmp_path / "own", "h", "vit_h")
    assert store.champion().version == "starter-1"
    assert store.history() == (
        Promotion(
            version="starter-1",
            replaces="starter-1",
            at=NOON,
            by="a test",
            reason="for the test",
        ),
    )
    with pytest.raises(ModelStoreError, match="no champion before starter-1"):
        store.rollback("no", "a test")


def test_what_cannot_be_promoted(store: ModelStore, tmp_path: Path) -> None:
    put(tmp_path / "own", "from-the-future", "vit_z")
    for version, why in [("starter", "no version 'starter' .*here: starter-1,"), ("none", "none")]:
        with pytest.raises(ModelStoreError, match=why):
            store.promote(version, "no", "a test")
    with pytest.raises(ModelStoreError, match="unknown model family 'vit_z'"):
        store.promote("from-the-future", "no", "a test")
    assert store.history() == ()


def test_a_gate_that_compared_with_an_earlier_champion_is_refused(store: ModelStore) -> None:
    assert store.promote("starter-1-r1", "better", "the gate", replacing="starter-1")
    with pytest.raises(ModelStoreError, match="starter-1-r1 by now, not starter-1"):
        store.promote("starter-1-r2", "better", "the gate", replacing="starter-1")
    assert store.champion().version == "starter-1-r1"


def test_the_champion_of_a_family_may_be_another_one(store: ModelStore, tmp_path: Path) -> None:
    put(tmp_path / "own", "big-1", "vit_b")
    promote(store, "big-1")
    with pytest.raises(ModelStoreError, match="the champion is big-1 by now, not starter-1"):
        store.promote("starter-1-r1", "better", "the gate", replacing="starter-1")
    with pytest.raises(ModelStoreError, match="of vit_b is big-1 by now, not starter-1"):
        store.promote("starter-1-r1", "better", "gate", replacing="starter-1", family="vit_b")
    assert store.promote("starter-1-r1", "better", "gate", replacing="starter-1", family="starter")
    assert store.get("starter").version == store.champion().version == "starter-1-r1"


def test_rollbacks_go_back_step_by_step_to_what_was_served_first(store: ModelStore) -> None:
    with pytest.raises(ModelStoreError, match="nothing was promoted yet"):
        store.rollback("no", "a test")
    promote(store, "starter-1-r1", "starter-1-r2")
    assert store.rollback("worse", "ann").version == "starter-1-r1"
    assert store.rollback("worse", "ann").version == "starter-1"
    with pytest.raises(ModelStoreError, match="no champion before starter-1 "):
        store.rollback("no", "ann")
    last = store.history()[-1]
    assert (last.version, last.replaces, last.is_rollback) == ("starter-1", "starter-1-r1", True)
    promote(store, "starter-1-r2")
    assert store.rollback("worse", "ann").version == "starter-1"


def test_a_champion_that_is_gone_gives_way(
    store: ModelStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    promote(store, "starter-1-r1", "starter-1-r2")
    (tmp_path / "own" / "starter-1-r2").rename(tmp_path / "r2")
    with caplog.at_level(logging.WARNING):
        assert store.champion().version == "starter-1-r1"
    assert "champion starter-1-r2 is not in the model store" in caplog.text
    (tmp_path / "own" / "starter-1-r1").rename(tmp_path / "r1")
    assert store.champion().version == "starter-1"
    assert store.rollback("both are gone", "ann").version == "starter-1"


def play(*moves: str) -> History:
    """A history of promotions, "-v" for a rollback to v; "first" was served before."""
    history: list[Promotion] = []
    for move in moves:
        replaces = history[-1].version if history else "first"
        version, is_rollback = move.removeprefix("-"), move.startswith("-")
        history.append(
            Promotion(
                version=version,
                replaces=replaces,
                at=NOON,
                by="",
                reason="",
                is_rollback=is_rollback,
            )
        )
    return History(history=tuple(history))


@pytest.mark.parametrize(
    ("moves", "standing", "chosen"),
    [
        ([], [], []),
        (["a"], ["first", "a"], ["a"]),
        (["first"], ["first"], ["first"]),
        (["a", "b"], ["first", "a", "b"], ["a", "b"]),
        (["a", "b", "-a"], ["first", "a"], ["a"]),
        (["a", "b", "-first"], ["first"], ["first"]),
        (["a", "b", "a", "-b"], ["first", "a", "b"], ["a", "b"]),
        (["a", "-first", "b"], ["first", "b"], ["first", "b"]),
    ],
)
def test_which_champions_stand(moves: list[str], standing: list[str], chosen: list[str]) -> None:
    history = play(*moves)
    assert list(history.standing()) == standing
    assert list(history.chosen()) == chosen


@pytest.mark.parametrize("damage", ["{", '{"history": [{"version": "a"}]}'])
def test_a_damaged_history_is_named(store: ModelStore, tmp_path: Path, damage: str) -> None:
    (tmp_path / "own" / "champion.json").write_text(damage)
    attempts: list[Callable[[], object]] = [
        store.champion,
        store.history,
        lambda: store.promote("starter-1", "no", "a test"),
    ]
    for attempt in attempts:
        with pytest.raises(ModelStoreError, match=r"champion.json is no history of champions"):
            attempt()
    assert (tmp_path / "own" / "champion.json").read_text() == damage
    assert store.to_serve("starter-1").version == "starter-1"


def test_the_stamp_changes_when_the_champion_may(store: ModelStore, tmp_path: Path) -> None:
    stamps = [store.champion_stamp()]
    assert store.champion_stamp() == stamps[0]
    changes: list[Callable[[], object]] = [
        lambda: promote(store, "starter-1-r1"),
        lambda: promote(store, "starter-1-r2"),
        lambda: store.rollback("worse", "ann"),
        lambda: put(tmp_path / "own", "vit_b-01ec64", "vit_b"),
    ]
    for change in changes:
        change()
        assert store.champion_stamp() not in stamps
        stamps.append(store.champion_stamp())
    assert ModelStore([tmp_path / "none"]).champion_stamp() == ((0, 0), (0, 0))


def test_processes_that_promote_at_once_lose_no_promotion(
    store: ModelStore, tmp_path: Path
) -> None:
    folders = [str(tmp_path / "own"), str(tmp_path / "packaged")]
    versions = ["starter-1-r1", "starter-1-r2"]
    with get_context("spawn").Pool(2) as pool:
        changed = pool.starmap(promote_one, [(folders, versions[n % 2]) for n in range(20)])
    history = store.history()
    assert len(history) == sum(changed)
    chain = ["starter-1", *(p.version for p in history)]
    assert [p.replaces for p in history] == chain[:-1]
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [
        ".champion.json.lock",
        "champion.json",
        *versions,
    ]


def test_refused_challengers_are_pruned_and_nothing_else(tmp_path: Path) -> None:
    own, packaged = tmp_path / "own", tmp_path / "packaged"
    store = ModelStore([own, packaged])

    def challenger(number: int, folder: Path = own, passed: bool = False, **more: object) -> None:
        stamp = f"2026-01-{number:02d}T00:00:00Z"
        about = {"challenger": True, "gate": {"promote": passed}, "added_at": stamp}
        put(folder, f"starter-1-r{number}", **about, **more)

    put(packaged, "starter-1")
    challenger(1, packaged)  # not ours to remove
    for number in (2, 3, 4, 5, 6, 8, 9, 10, 11):
        challenger(number)
    challenger(7, passed=True)
    challenger(12, parent="starter-1-r6")
    promote(store, "starter-1-r4", "starter-1-r3")
    store.rollback("worse", "ann")
    removed = store.prune(keep=2, served="starter-1-r2")
    assert [entry.version for entry in removed] == [f"starter-1-r{n}" for n in (5, 8, 9, 10)]
    left = {entry.version for entry in store.list()}
    assert left == {"starter-1", *(f"starter-1-r{n}" for n in (1, 2, 3, 4, 6, 7, 11, 12))}
    assert store.prune(keep=2, served="starter-1-r2") == []
    assert store.champion().version == "starter-1-r4"
    assert not list(own.glob(".old-*"))
    with pytest.raises(
        InvalidInputError, match="at least 1 refused challenger must be kept, not 0"
    ):
        store.prune(keep=0)


@pytest.mark.parametrize(
    ("parent", "there", "following"),
    [
        ("starter-1", [], "starter-1-r1"),
        ("starter-1-r1", ["starter-1-r1"], "starter-1-r2"),
        ("starter-1", ["starter-1-r1", "starter-1-r10", "starter-1-rx"], "starter-1-r11"),
        ("starter-1", ["starter-10-r3"], "starter-1-r1"),
        ("x" * 64, [], "x" * 56 + "-r1"),
    ],
)
def test_the_next_version(tmp_path: Path, parent: str, there: list[str], following: str) -> None:
    for version in there:
        (tmp_path / version).mkdir()
    assert ModelStore([tmp_path]).next_version(parent) == following


def test_a_version_once_promoted_is_never_given_again(store: ModelStore, tmp_path: Path) -> None:
    promote(store, "starter-1-r2")
    (tmp_path / "own" / "starter-1-r2").rename(tmp_path / "gone")
    assert store.next_version("starter-1") == "starter-1-r3"


def test_a_challenger_comes_with_its_papers(tmp_path: Path) -> None:
    weights, metrics = tmp_path / "w.pth", tmp_path / "run" / "metrics.jsonl"
    torch.save(random_starter().state_dict(), weights)
    metrics.parent.mkdir()
    metrics.write_text('{"step": 1}\n')
    store = ModelStore([tmp_path / "own"])
    entry = store.add(
        weights,
        "starter-1-r1",
        attachments={"metrics.jsonl": metrics},
        parent="starter-1",
        challenger=True,
        data_digest="ab" * 32,
        gate={"promote": True},
        run={"depth": "decoder", "seed": 1},
    )
    assert (entry.folder / "metrics.jsonl").read_text() == '{"step": 1}\n'
    card = json.loads((entry.folder / "card.json").read_text())
    assert (card["challenger"], card["gate"]) == (True, {"promote": True})
    assert (entry.card.run, entry.card.data_digest) == ({"depth": "decoder", "seed": 1}, "ab" * 32)
    for name in ("card.json", "weights.safetensors", "../out", "..", "", "a/b"):
        with pytest.raises(ModelStoreError, match="an attachment cannot be called"):
            store.add(weights, "other", attachments={name: metrics})
    with pytest.raises(ModelStoreError, match="absent"):
        store.add(weights, "other", attachments={"a": tmp_path / "absent"})
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["starter-1-r1"]
