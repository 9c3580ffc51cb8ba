"""`sam-backend models`: data on stdout, the rest on stderr."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sam_backend.cli import models
from sam_backend.errors import ModelStoreError
from sam_backend.labelstudio.api.connections import Connections
from sam_backend.sam.families import FAMILIES
from sam_backend.store.models import ModelStore, packaged_store
from tests.sam.networks import random_starter
from tests.store.checkpoints import put
from tests.store.file_server import public, serving


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(random_starter().state_dict(), path)
    return path


def run(store: Path, *arguments: str):
    return CliRunner().invoke(models.app, ["--store", str(store), *arguments])


def test_add_then_list(tmp_path: Path, weights: Path) -> None:
    added = run(
        tmp_path, "add", str(weights), "--version", "v-1", "--licence", "MIT", "--name", "Mine"
    )
    assert (added.exit_code, added.stdout) == (0, "v-1\n")
    assert "Mine (starter) is in" in added.stderr

    listed = run(tmp_path, "list")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[0].split()[:3] == ["VERSION", "ROLE", "FAMILY"]
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("v-1 ")]
    millions = sum(weight.numel() for weight in random_starter().parameters()) / 1e6
    size = f"{weights.stat().st_size / 1e6:.1f} MB"
    assert " ".join(line.split()[1:]) == f"starter {millions:.1f} M {size} MIT not measured"
    assert "starter-3 stays the champion" in added.stderr, "its family is the better one"
    assert "models pull vit_b | vit_l | vit_h" in listed.stderr

    as_json = json.loads(run(tmp_path, "list", "--json").stdout)
    (card,) = [card for card in as_json if card["version"] == "v-1"]
    assert (card["family"], card["licence"], card["name"]) == ("starter", "MIT", "Mine")
    assert Path(card["weights_path"]).stat().st_size == card["n_bytes"]


def test_the_families_are_shown_with_licence_and_what_can_be_pulled(tmp_path: Path) -> None:
    shown = run(tmp_path, "families").stdout
    assert shown.split()[:3] == ["FAMILY", "MODEL", "PULL"]
    assert "sam2.1_tiny" in shown
    told = {one["family"]: one for one in json.loads(run(tmp_path, "families", "--json").stdout)}
    assert list(told) == list(FAMILIES)
    assert told["vit_b"]["pull"] == ["vit_b"]
    assert (told["starter"]["retraining"], told["sam2"]["retraining"]) == (True, False)
    assert (told["starter"]["extra"], told["sam_hq"]["extra"]) == (None, "transformers")
    assert "no military use" in told["sam3_tracker"]["licence"]


def test_the_packaged_checkpoints_are_listed(tmp_path: Path) -> None:
    packaged = [path.parent.name for path in packaged_store().glob("*/card.json")]
    listed = [card["version"] for card in json.loads(run(tmp_path, "list", "--json").stdout)]
    assert sorted(listed) == sorted(packaged)


def test_errors_come_through_for_the_one_place_that_translates_them(
    tmp_path: Path, weights: Path
) -> None:
    for arguments in (
        ["pull", "vit_x"],
        ["add", str(tmp_path / "absent.pth")],
        ["add", str(weights), "--family", "vit_h"],
        ["add", str(weights), "--sha256", "0" * 64],
    ):
        result = run(tmp_path, *arguments)
        assert result.exit_code == 1
        assert isinstance(result.exception, ModelStoreError), arguments
        assert result.stdout == ""


def test_pull_prints_the_version_and_tells_the_rest_elsewhere(
    tmp_path: Path, weights: Path
) -> None:
    body = weights.read_bytes()
    with serving(body) as server:
        store = ModelStore([tmp_path], public(server.url, body))
        result = CliRunner().invoke(models.app, ["pull", "tiny"], obj=store)
    assert (result.exit_code, result.stdout) == (0, "tiny-1\n")
    assert f"Tiny (starter) is in {tmp_path / 'tiny-1'}" in result.stderr


def test_a_list_shows_the_first_measure_of_each_data_set(tmp_path: Path, weights: Path) -> None:
    quality = {"scenes": {"1-click mIoU": 0.8125, "masks": 70}, "photos": {"1-click mIoU": 0.5}}
    ModelStore([tmp_path]).add(weights, measured_quality=quality)
    lines = run(tmp_path, "list").stdout.splitlines()
    head = lines[0].index("MEASURED")
    shown = " ".join(line[head:].strip() for line in lines)
    assert "1-click mIoU 0.8125 (scenes); 1-click mIoU 0.5 (photos)" in shown


def test_pull_of_a_checkpoint_that_is_here_fetches_nothing(tmp_path: Path) -> None:
    put(tmp_path, "vit_b-01ec64", "vit_b")
    result = run(tmp_path, "pull", "vit_b")
    assert (result.exit_code, result.stdout) == (0, "vit_b-01ec64\n")


def roles(store: Path) -> dict[str, str]:
    """What `list` says of each version."""
    lines = [line.split() for line in run(store, "list").stdout.splitlines()[1:]]
    return {line[0]: line[1] for line in lines if line[1] in {"champion", "challenger"}}


def test_promote_and_rollback(tmp_path: Path) -> None:
    put(tmp_path, "old-b", "vit_b")
    put(tmp_path, "old-b-r1", family="vit_b", challenger=True)
    assert roles(tmp_path) == {"old-b": "champion", "old-b-r1": "challenger"}

    promoted = run(tmp_path, "promote", "old-b-r1", "--reason", "better on cells")
    assert (promoted.exit_code, promoted.stdout) == (0, "old-b-r1\n")
    assert roles(tmp_path) == {"old-b-r1": "champion"}
    listed = run(tmp_path, "list")
    assert "old-b-r1 was promoted by command line: better on cells" in listed.stderr
    cards = json.loads(run(tmp_path, "list", "--json").stdout)
    assert [card["version"] for card in cards if card["champion"]] == ["old-b-r1"]

    again = run(tmp_path, "promote", "old-b-r1")
    assert (again.exit_code, again.stdout) == (0, "old-b-r1\n")
    assert "nothing has changed" in again.stderr

    back = run(tmp_path, "rollback")
    assert (back.exit_code, back.stdout) == (0, "old-b\n")
    assert roles(tmp_path) == {"old-b": "champion", "old-b-r1": "challenger"}
    assert "old-b was brought back by command line" in run(tmp_path, "list").stderr
    for refused in (["rollback"], ["promote", "vit_b"]):
        assert isinstance(run(tmp_path, *refused).exception, ModelStoreError)


def test_what_is_added_after_a_promotion_says_that_it_is_not_served(
    tmp_path: Path, weights: Path
) -> None:
    put(tmp_path, "mine", family="vit_b")
    run(tmp_path, "promote", "mine")
    added = run(tmp_path, "add", str(weights), "--version", "v-1")
    assert (
        "mine stays the champion; to serve this one: sam-backend models promote v-1" in added.stderr
    )
    put(tmp_path, "vit_b-01ec64", family="vit_b")
    assert "models promote vit_b-01ec64" in run(tmp_path, "pull", "vit_b").stderr
    run(tmp_path, "promote", "vit_b-01ec64")
    assert "stays the champion" not in run(tmp_path, "pull", "vit_b").stderr


def test_prune_tells_what_it_removed(tmp_path: Path) -> None:
    put(tmp_path, "starter-9")
    for number in (1, 2, 3):
        stamp = f"2026-01-0{number}T00:00:00Z"
        about = {"challenger": True, "gate": {"promote": False}, "added_at": stamp}
        put(tmp_path, f"starter-9-r{number}", **about)
    pruned = run(tmp_path, "prune")
    assert (pruned.exit_code, pruned.stdout, pruned.stderr) == (0, "", "0 removed\n")
    pruned = run(tmp_path, "prune", "--keep", "1")
    assert pruned.stdout == "starter-9-r1\nstarter-9-r2\n"
    assert pruned.stderr == "2 removed\n"


def test_diff(tmp_path: Path, weights: Path) -> None:
    other = tmp_path / "other.pth"
    changed = random_starter()
    with torch.no_grad():
        changed.mask_decoder.mask_tokens.weight.mul_(2)
    torch.save(changed.state_dict(), other)
    store = ModelStore([tmp_path / "store"])
    store.add(weights, "a", measured_quality={"scenes": {"1-click mIoU": 0.5}})
    figure = {"figure": "1-click mIoU", "champion": 0.5, "challenger": 0.6, "verdict": "better"}
    change = {"value": 0.1, "low": 0.05, "high": 0.15, "confidence": 0.95}
    gate = {"promote": True, "comparisons": [figure | {"difference": change, "digits": 3}]}
    store.add(other, "b", parent="a", gate=gate)
    shown = run(tmp_path / "store", "diff", "a", "b")
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "a b"
    assert "parent - a" in lines
    assert "quality, scenes: 1-click mIoU 0.5 -" in lines
    at = lines.index("gate, b against a: promote")
    assert lines[at + 1 : at + 3] == [
        "FIGURE a b DIFFERENCE",
        "1-click mIoU 0.500 0.600 +0.100 (+0.050 to +0.150) better",
    ]
    assert not any(line.startswith("gate, a ") for line in lines)
    decoder = next(line for line in lines if line.startswith("weights, mask_decoder: 1 of "))
    assert decoder.endswith("of their norm")
    assert any(line.startswith("weights, image_encoder: 0 of ") for line in lines)

    found = json.loads(run(tmp_path / "store", "diff", "a", "b", "--json").stdout)
    assert found["facts"]["parent"] == [None, "a"]
    assert found["gate"] == [{}, gate]
    put(tmp_path / "store", "big", family="vit_b")
    assert "of different networks" in run(tmp_path / "store", "diff", "a", "big").stdout


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of project 7, which /setup has told; the data folder is that of the command."""
    monkeypatch.setenv("SAM_BACKEND_DATA_DIR", str(tmp_path / "data"))
    known = Connections(tmp_path / "data" / "connections.json", allowed=["*"])
    known.remember("7.1795443184", "http://127.0.0.1:1", "t")
    return "7.1795443184"


def test_a_project_gets_a_model_of_its_own_and_gives_it_back(
    tmp_path: Path, connected: str
) -> None:
    put(tmp_path, "b-1", "vit_b")
    put(tmp_path, "s-1", "starter")
    put(tmp_path, "s-1-r1", "starter", challenger=True)
    used = run(tmp_path, "use", "s-1", "--project", "7", "--reason", "small things")
    assert (used.exit_code, used.stdout) == (0, "s-1\n")
    assert "project 7 has the model s-1 of its own (by models use): s-1 answers" in used.stderr
    assert "before, it was served b-1" in used.stderr

    promoted = run(tmp_path, "promote", "s-1-r1", "--project", "7", "--reason", "better")
    assert (promoted.exit_code, promoted.stdout) == (0, "s-1-r1\n")
    assert "s-1-r1 is the champion of project 7" in promoted.stderr
    assert roles(tmp_path) == {"b-1": "champion", "s-1-r1": "challenger"}
    listed = run(tmp_path, "list", "--project", "7")
    assert "s-1-r1 answers" in listed.stderr
    assert "s-1-r1 was promoted by command line: better" in listed.stderr
    cards = json.loads(run(tmp_path, "list", "--project", "7", "--json").stdout)
    assert [card["version"] for card in cards if card["champion"]] == ["s-1-r1"]

    back = run(tmp_path, "rollback", "--project", "7")
    assert (back.exit_code, back.stdout) == (0, "s-1\n")
    assert "s-1 is the champion of project 7 again" in back.stderr

    taken = run(tmp_path, "use", "--default", "--project", "7", "--json")
    assert json.loads(taken.stdout) == {
        "project": 7,
        "model": None,
        "served": "b-1",
        "before": "s-1",
    }
    assert "project 7 names no model: b-1 answers, as elsewhere" in taken.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["use", "--project", "7"], "either a version or --default"),
        (["use", "b-1", "--default", "--project", "7"], "either a version or --default"),
        (["use", "nosuch", "--project", "7"], "no model 'nosuch' in the store"),
        (["promote", "b-1", "--project", "7"], "project 7.1795443184 names no model"),
        (["rollback", "--project", "7"], "project 7.1795443184 names no model"),
        (["use", "b-1", "--project", "8"], "project 8 is unknown"),
    ],
)
def test_what_cannot_be_done_for_a_project_is_told(
    tmp_path: Path, connected: str, arguments: list[str], says: str
) -> None:
    put(tmp_path, "b-1", "vit_b")
    result = run(tmp_path, *arguments)
    assert result.exit_code == 1
    assert says in str(result.exception)


def test_a_name_of_extra_params_is_shown_and_kept_from_pruning(
    tmp_path: Path, connected: str
) -> None:
    for number in range(1, 4):
        stamp = f"2026-01-0{number}T00:00:00Z"
        about = {"challenger": True, "gate": {"promote": False}, "added_at": stamp}
        put(tmp_path, f"s-1-r{number}", **about)
    put(tmp_path, "s-1")
    known = Connections(tmp_path / "data" / "connections.json", allowed=["*"])
    known.remember(connected, "http://127.0.0.1:1", "t", model="s-1-r1")
    listed = run(tmp_path, "list", "--project", "7")
    assert "has the model s-1-r1 of its own (by extra_params)" in listed.stderr
    assert run(tmp_path, "prune", "--keep", "1").stdout == "s-1-r2\n"
    known.remember(connected, "http://127.0.0.1:1", "t", model="gone")
    assert "asks for no model 'gone'" in run(tmp_path, "list", "--project", "7").stderr
