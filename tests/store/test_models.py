"""The model store lists only whole checkpoints, best first, and adds them in one step."""

import hashlib
import json
import logging
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sam_backend.errors import ModelStoreError
from sam_backend.sam.checkpoints import load
from sam_backend.sam.families import FAMILIES
from sam_backend.settings import Settings
from sam_backend.store.cards import ModelCard, make_card, read_card, write_card
from sam_backend.store.checkpoint_folders import VersionTakenError
from sam_backend.store.models import ModelStore, open_store, packaged_store
from sam_backend.store.public_checkpoints import PUBLIC_CHECKPOINTS, PublicCheckpoint
from tests.sam.networks import random_starter
from tests.store.checkpoints import put
from tests.store.file_server import public, serving


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same random starter as .pth and .safetensors."""
    folder = tmp_path_factory.mktemp("weights")
    state = random_starter().state_dict()
    torch.save(state, folder / "mine.pth")
    save_file({name: w.contiguous() for name, w in state.items()}, folder / "mine.safetensors")
    return {"pth": folder / "mine.pth", "safetensors": folder / "mine.safetensors"}


def versions(store: ModelStore) -> list[str]:
    return [entry.version for entry in store.list()]


def test_the_best_is_the_largest_family_then_the_newest(tmp_path: Path) -> None:
    def stamp(day: int) -> str:
        return datetime(2026, 1, day, tzinfo=UTC).isoformat()

    put(tmp_path, "starter-2")
    put(tmp_path, "starter-10")
    put(tmp_path, "starter-10-synthetic")
    put(tmp_path, "old-b", "vit_b", added_at=stamp(1))
    put(tmp_path, "new-b", "vit_b", added_at=stamp(2))
    put(tmp_path, "h", "vit_h")
    put(tmp_path, "l", "vit_l", added_at=stamp(3))
    put(tmp_path, "from-the-future", "vit_z")
    store = ModelStore([tmp_path])
    expected = ["h", "l", "new-b", "old-b", "starter-10", "starter-10-synthetic", "starter-2"]
    expected.append("from-the-future")
    assert versions(store) == expected
    assert store.best().version == "h"


def test_get_takes_a_version_or_a_family(tmp_path: Path) -> None:
    put(tmp_path, "mine", "vit_b")
    put(tmp_path, "starter-1")
    store = ModelStore([tmp_path])
    assert store.get("starter-1").version == "starter-1"
    assert store.get("vit_b").version == "mine"
    with pytest.raises(ModelStoreError, match=r"no model 'vit_h' .*here: mine, starter-1.*pull"):
        store.get("vit_h")
    with pytest.raises(
        ModelStoreError, match=r"no model 'x' in the store .here: mine, starter-1.$"
    ):
        store.get("x")


def test_an_empty_store_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    store = ModelStore([tmp_path / "none", tmp_path])
    assert store.list() == []
    with pytest.raises(ModelStoreError, match=r"none, .* `sam-backend models pull vit_b`"):
        store.best()


def test_the_users_folder_hides_the_packaged_one(tmp_path: Path) -> None:
    put(tmp_path / "own", "starter-1", name="mine")
    put(tmp_path / "packaged", "starter-1", name="theirs")
    put(tmp_path / "packaged", "starter-0")
    store = ModelStore([tmp_path / "own", tmp_path / "packaged"])
    assert [entry.card.name for entry in store.list()] == ["mine", "starter-0"]


@pytest.mark.parametrize("broken", ["no card", "no json", "no licence", "no weights", "renamed"])
def test_broken_folders_are_left_out_and_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    put(tmp_path, "good")
    bad = put(tmp_path, "bad")
    card = json.loads((bad / "card.json").read_text())
    if broken == "no card":
        (bad / "card.json").unlink()
    elif broken == "no json":
        (bad / "card.json").write_text("{")
    elif broken == "no licence":
        del card["licence"]
        (bad / "card.json").write_text(json.dumps(card))
    elif broken == "no weights":
        (bad / "weights.pth").unlink()
    else:
        bad.rename(tmp_path / "worse")
    with caplog.at_level(logging.WARNING):
        assert versions(ModelStore([tmp_path])) == ["good"]
    assert "left out of the model store" in caplog.text
    assert "bad" in caplog.text


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_add_checks_copies_and_loads_again(
    tmp_path: Path, weights: dict[str, Path], kind: str
) -> None:
    store = ModelStore([tmp_path], now=lambda: datetime(2026, 5, 6, tzinfo=UTC))
    entry = store.add(weights[kind], licence="MIT", training_data="noise", source=None)
    assert entry.version == "mine"
    assert entry.weights_path == tmp_path / "mine" / f"weights.{kind}"
    assert entry.weights_path.read_bytes() == weights[kind].read_bytes()
    card = read_card(tmp_path / "mine" / "card.json")
    assert card == entry.card
    assert (card.family, card.licence, card.source) == ("starter", "MIT", f"mine.{kind}")
    assert card.parameters == sum(p.numel() for p in random_starter().parameters())
    assert card.added_at == datetime(2026, 5, 6, tzinfo=UTC)
    model = load(entry.folder)
    assert (model.family, model.version, model.sha256) == ("starter", "mine", card.sha256)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_process_may_be_faster(tmp_path: Path, weights: dict[str, Path]) -> None:
    def while_the_file_is_read() -> datetime:
        put(tmp_path, "mine")
        return datetime.now(UTC)

    store = ModelStore([tmp_path], now=while_the_file_is_read)
    with pytest.raises(VersionTakenError, match="version 'mine' is taken"):
        store.add(weights["pth"], "mine")
    assert (tmp_path / "mine" / "weights.pth").read_bytes() == b"weights"


def test_add_refuses_and_leaves_nothing(tmp_path: Path, weights: dict[str, Path]) -> None:
    store = ModelStore([tmp_path / "own", tmp_path / "packaged"])
    put(tmp_path / "packaged", "starter-1")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(weights["pth"].read_bytes()[:1000])
    refused = [
        (broken, {}, "cannot read weights from .*broken.pth"),
        (weights["pth"], {"family": "vit_b"}, "holds no vit_b weights"),
        (weights["pth"], {"family": "vit_x"}, "unknown model family 'vit_x'"),
        (weights["pth"], {"sha256": "0" * 64}, f"not {'0' * 64}"),
        (weights["pth"], {"version": "starter-1"}, "version 'starter-1' is taken"),
        (weights["pth"], {"version": "../out"}, "version: String should match"),
        (weights["pth"], {"parent": 7}, "parent: Input should be a valid string"),
        (tmp_path / "absent.pth", {}, "cannot read .*absent.pth: No such file"),
    ]
    for file, arguments, why in refused:
        with pytest.raises(ModelStoreError, match=why):
            store.add(file, **arguments)
    assert not (tmp_path / "own").exists() or list((tmp_path / "own").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_identity_cannot_be_given_as_a_mere_field(tmp_path: Path, weights: dict[str, Path]) -> None:
    entry = ModelStore([tmp_path]).add(weights["pth"], "a", added_at=None, extra_key=[1, 2])
    assert entry.card.model_extra == {"extra_key": [1, 2]}
    assert entry.card.sha256 == hashlib.sha256(weights["pth"].read_bytes()).hexdigest()


def test_two_adds_of_one_version_give_one_checkpoint(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    store = ModelStore([tmp_path])
    outcomes: list[str] = []

    def add() -> None:
        try:
            outcomes.append(store.add(weights["pth"], "same").version)
        except ModelStoreError:
            outcomes.append("refused")

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "same"]
    assert [path.name for path in tmp_path.iterdir()] == ["same"]


def test_what_dead_processes_left_is_removed_later(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    old, young = tmp_path / ".new-old", tmp_path / ".new-young"
    for folder in (old, young):
        folder.mkdir()
    long_ago = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    os.utime(old, (long_ago, long_ago))
    store = ModelStore([tmp_path])
    assert store.list() == []
    store.add(weights["pth"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new-young", "mine"]


def test_pull_brings_a_checkpoint_that_loads_and_only_once(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    body = weights["pth"].read_bytes()
    with serving(body) as server:
        store = ModelStore([tmp_path], public(server.url, body))
        told: list[int] = []
        entry = store.pull("tiny", lambda done, total: told.append(done))
        assert store.pull("tiny").version == "tiny-1"
        assert len(server.requested) == 1
    assert told[-1] == len(body)
    assert (entry.card.source, entry.card.licence) == (server.url, "Apache-2.0")
    assert load(entry.folder).family == "starter"
    assert list((tmp_path / ".downloads").iterdir()) == []
    assert versions(store) == ["tiny-1"]


def test_pull_of_wrong_bytes_leaves_nothing(tmp_path: Path) -> None:
    with serving(b"wrong") as server:
        store = ModelStore([tmp_path], public(server.url, b"right"))
        with pytest.raises(ModelStoreError, match="thrown away"):
            store.pull("tiny")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert store.list() == []


def test_pull_over_a_broken_folder_fetches_nothing(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    body = weights["pth"].read_bytes()
    (tmp_path / "tiny-1").mkdir()
    (tmp_path / "tiny-1" / "weights.pth").write_bytes(b"cut")
    with serving(body) as server:
        store = ModelStore([tmp_path], public(server.url, body))
        with pytest.raises(ModelStoreError, match=r"tiny-1 is in the way.*remove it"):
            store.pull("tiny")
        assert server.requested == []
        shutil.rmtree(tmp_path / "tiny-1")
        assert store.pull("tiny").version == "tiny-1"


def test_pull_of_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ModelStoreError, match="'vit_x'; there are vit_b, vit_l, vit_h"):
        ModelStore([tmp_path]).pull("vit_x")


@pytest.mark.parametrize("checkpoint", PUBLIC_CHECKPOINTS.values(), ids=PUBLIC_CHECKPOINTS)
def test_the_public_checkpoints_agree_with_their_networks(checkpoint: PublicCheckpoint) -> None:
    network = FAMILIES[checkpoint.family].build_without_weights()
    assert checkpoint.parameters == sum(weight.numel() for weight in network.parameters())
    assert 4 * checkpoint.parameters < checkpoint.n_bytes < 4.01 * checkpoint.parameters
    file_name = checkpoint.url.rsplit("/", 1)[-1]
    assert file_name == f"sam_{checkpoint.version.replace('-', '_')}.pth"


def test_a_card_survives_the_file(tmp_path: Path) -> None:
    card = make_card(
        name="n",
        family="starter",
        version="v-1",
        sha256="ab" * 32,
        source="s",
        licence="MIT",
        training_data="d",
        measured_quality={"scenes": {"1-click mIoU": 0.81, "masks": 70}},
        trained_on="2026-11-23",
        parent="v-0",
        seed=7,
    )
    write_card(card, tmp_path / "card.json")
    assert read_card(tmp_path / "card.json") == card
    assert isinstance(card, ModelCard)
    assert card.model_extra == {"seed": 7}


def test_the_settings_decide_where_the_store_is(tmp_path: Path) -> None:
    put(tmp_path / "a" / "model_store", "in-data-dir", "vit_b")
    put(tmp_path / "b", "named", "vit_b")
    in_data_dir = open_store(Settings(data_dir=tmp_path / "a"))
    assert in_data_dir.best().version == "in-data-dir"
    named = open_store(Settings(data_dir=tmp_path / "a", model_store=tmp_path / "b"))
    assert named.best().version == "named"


def test_the_packaged_store_is_the_checkouts() -> None:
    assert packaged_store() == Path(__file__).resolve().parents[2] / "model_store"
    assert (packaged_store() / "README.md").is_file()
