"""The watch over the store's champion: looks that cost nothing, and champions refused once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import save_file

from sam_backend.sam.embeddings import MemoryEmbeddings
from sam_backend.serving.champion import Champion
from sam_backend.serving.champion_watch import ChampionWatch, Refused
from sam_backend.serving.model_choice import ModelChoice
from sam_backend.settings import Settings
from sam_backend.store.models import ModelStore, open_store
from tests.sam.networks import random_starter


class Watched:
    """A watch that looks when told, over a store with one random starter beside the shipped one."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data_dir=folder)
        self.store: ModelStore = open_store(settings)
        save_file(random_starter().state_dict(), folder / "r.safetensors")
        self.store.add(folder / "r.safetensors", "starter-r")
        self.promote("starter-3")
        choice = ModelChoice(settings, self.store)
        self.champion = Champion(choice.checkpoint(), MemoryEmbeddings(0))
        self.told: list[Refused] = []
        self.watch = ChampionWatch(choice, self.champion, 1.0, self.told.append)
        self.file = folder / "model_store" / "champion.json"

    def promote(self, version: str) -> None:
        self.store.promote(version, reason="a test", by="the test")

    def look(self) -> str:
        self.watch.look()
        return self.champion.model_version.partition("+")[0]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    yield made
    made.champion.close()
    made.watch.close()


def test_promotion_and_rollback_are_followed(watched: Watched) -> None:
    assert watched.look() == "starter-3"
    watched.promote("starter-r")
    assert watched.look() == "starter-r"
    watched.store.rollback(reason="a test", by="the test")
    assert watched.look() == "starter-3"
    assert watched.told == []


def test_a_history_that_cannot_be_read_is_told_once_and_got_over(watched: Watched) -> None:
    good = watched.file.read_bytes()
    watched.file.write_text("{")
    for _ in range(3):
        assert watched.look() == "starter-3"
    (refused,) = watched.told
    assert "champion.json" in refused.reason
    assert watched.watch.refused == refused
    watched.file.write_bytes(good)
    assert watched.look() == "starter-3"
    assert watched.watch.refused is None


def test_a_champion_that_fails_is_tried_again_after_the_next_change(watched: Watched) -> None:
    weights = watched.store.get("starter-r").weights_path
    good = weights.read_bytes()
    weights.write_bytes(b"damaged")
    watched.promote("starter-r")
    assert watched.look() == "starter-3"
    assert watched.look() == "starter-3"
    assert [refused.version.partition("+")[0] for refused in watched.told] == ["starter-r"]
    weights.write_bytes(good)
    assert watched.look() == "starter-3"
    watched.promote("starter-3")
    watched.promote("starter-r")
    assert watched.look() == "starter-r"
    assert watched.watch.refused is None


def test_a_champion_that_was_removed_gives_way_to_the_one_before(watched: Watched) -> None:
    watched.promote("starter-r")
    assert watched.look() == "starter-r"
    folder = watched.store.get("starter-r").folder
    folder.rename(folder.parent.parent / "gone")
    assert watched.look() == "starter-3"
