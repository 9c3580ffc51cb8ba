"""Checkpoints load strictly: the right network, or an error that names the file and the fault."""

import argparse
import json
import traceback
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sam_backend.errors import InvalidInputError, ModelStoreError
from sam_backend.sam import checkpoints
from sam_backend.sam.checkpoint_files import sha256_of
from sam_backend.sam.checkpoints import choose_device, detect_family, load
from sam_backend.sam.families import FAMILIES, SamFamily, family_named
from sam_backend.sam.family import EMPTY
from sam_backend.sam.segmenter import Segmenter
from tests.sam.networks import random_starter


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return random_starter().state_dict()


def write(path: Path, state: dict[str, Any]) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: weight.contiguous() for name, weight in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def write_folder(folder: Path, state: dict[str, torch.Tensor], **card: str) -> Path:
    folder.mkdir()
    weights = write(folder / "weights.safetensors", state)
    whole = {"family": "starter", "version": "starter-7", "sha256": sha256_of(weights)} | card
    (folder / "card.json").write_text(json.dumps(whole))
    return folder


@pytest.mark.parametrize("name", ["my.pth", "my.safetensors"])
def test_a_bare_file_answers_like_the_network_it_came_from(
    tmp_path: Path, state: dict[str, torch.Tensor], name: str
) -> None:
    model = load(write(tmp_path / name, state))
    assert (model.family, model.version) == ("starter", "my")
    assert model.sha256 == sha256_of(tmp_path / name)
    assert not model.sam.training
    assert not any(weight.requires_grad for weight in model.sam.parameters())
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        model.promptable().embed(image).features,
        Segmenter(random_starter(), "same").embed(image).features,
        atol=1e-4,
    )


def test_half_precision_is_widened(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    halves = {name: weight.half() for name, weight in state.items()}
    sam = load(write(tmp_path / "half.safetensors", halves)).sam
    for name, weight in sam.state_dict().items():
        assert weight.dtype == torch.float32
        assert torch.equal(weight, halves[name].float())


def test_a_folder_takes_family_and_version_from_its_card(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    model = load(write_folder(tmp_path / "any", state))
    assert (model.family, model.version) == ("starter", "starter-7")


def test_every_weight_and_constant_is_real(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    sam = load(write(tmp_path / "my.pth", state)).sam
    fresh = FAMILIES["starter"].build()
    assert {name for name, _ in sam.named_buffers()} == {n for n, _ in fresh.named_buffers()}
    assert torch.equal(sam.pixel_mean, fresh.pixel_mean)
    assert torch.equal(sam.pixel_std, fresh.pixel_std)
    assert not any(tensor.is_meta for tensor in (*sam.parameters(), *sam.buffers()))


@pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if isinstance(family, SamFamily)]
)
def test_each_family_is_told_from_its_shapes(name: str) -> None:
    """With tensors that take no memory: ViT-H has 2.5 GB of weights."""
    weights = FAMILIES[name].build_without_weights().state_dict()
    assert detect_family(weights, Path("x.pth")).name == name


def test_a_wrapper_within_itself_has_an_end(tmp_path: Path) -> None:
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pth")
    with pytest.raises(ModelStoreError, match="'model' is a dict"):
        checkpoints.read_weights(tmp_path / "endless.pth")


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "model.", "sam."])
def test_what_training_scripts_put_around_weights_is_taken_off(
    tmp_path: Path, state: dict[str, torch.Tensor], wrapper: str, prefix: str
) -> None:
    inner = {prefix + name: weight for name, weight in state.items()}
    document = {"epoch": 3, wrapper: inner, "optimizer": {"lr": 0.1}, "best": torch.ones(1)}
    sam = load(write(tmp_path / "my.pth", document)).sam
    assert all(torch.equal(sam.state_dict()[name], weight) for name, weight in state.items())
    plain = load(write(tmp_path / "plain.pth", inner)).sam
    assert all(torch.equal(plain.state_dict()[name], weight) for name, weight in state.items())


def test_arguments_paths_and_scores_beside_weights_are_read(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    beside = {"args": argparse.Namespace(lr=0.1, out=Path("runs")), "best": np.float64(0.9)}
    beside |= {"scores": np.ones(3, np.float32), "done": np.bool_(True), "n": np.int64(3)}
    sam = load(write(tmp_path / "my.pth", {"model": state} | beside)).sam
    assert all(torch.equal(sam.state_dict()[name], weight) for name, weight in state.items())


def test_another_networks_head_beside_the_weights_is_left_out_and_counted(
    tmp_path: Path, state: dict[str, torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    """As micro-sam saves its decoder for instances."""
    caplog.set_level("INFO")
    head = {"base.0.weight": torch.zeros(2), "out_conv.bias": torch.zeros(3)}
    load(write(tmp_path / "vit_b_lm.pt", {"model_state": state, "decoder_state": head}))
    assert "vit_b_lm.pt: the 2 weights of decoder_state are left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", "is MobileSAM's .* pull sam2.1_tiny"),
        ("image_encoder.blocks.0.Adapter.channel.0.weight", "is SAM-Med2D's .* pull vit_b"),
    ],
)
def test_a_known_checkpoint_that_none_runs_is_named(
    tmp_path: Path, state: dict[str, torch.Tensor], name: str, why: str
) -> None:
    with pytest.raises(ModelStoreError, match=why):
        load(write(tmp_path / "other.pt", state | {name: torch.zeros(1)}))


def test_the_content_tells_the_format_not_the_suffix(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    write(tmp_path / "a.safetensors", state).rename(tmp_path / "a.pth")
    write(tmp_path / "b.pth", state).rename(tmp_path / "b.safetensors")
    for name in ("a.pth", "b.safetensors"):
        assert load(tmp_path / name).family == "starter"


HEADS = {
    "page": b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>Sign in</title></html>",
    "bucket's error": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:ec2d\nsize 375042383\n",
}


def damaged(tmp_path: Path, state: dict[str, torch.Tensor], how: str) -> Path:
    first, second = list(state)[:2]
    if how == "with a number":
        return write(tmp_path / "a.pth", state | {"epoch": 3})
    if how in HEADS:
        (tmp_path / "a.pth").write_bytes(HEADS[how])
        return tmp_path / "a.pth"
    if how == "pickle that would run code":
        return write(tmp_path / "a.pth", {"x": Fraction(1, 3)})
    if how == "missing":
        return write(tmp_path / "a.pth", {k: v for k, v in state.items() if k != first})
    if how == "unknown":
        return write(tmp_path / "a.pth", state | {"head.weight": torch.zeros(1)})
    if how == "shape":
        return write(tmp_path / "a.pth", state | {second: torch.zeros(3, 5)})
    if how == "list":
        torch.save([1, 2], tmp_path / "a.pth")
        return tmp_path / "a.pth"
    path = write(tmp_path / f"a.{how.split()[0]}", state)
    data = path.read_bytes()
    path.write_bytes(
        {"cut": data[:5000], "noise": b"\x00noise" * 999, "empty": b""}[how.split()[1]]
    )
    return path


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("with a number", "'epoch' is a int"),
        ("pickle that would run code", r"objects of the class fractions\.Fraction, .* run code"),
        ("page", "it is a web page, not a weights file"),
        ("bucket's error", "it is a web page"),
        ("LFS pointer", "it is a Git LFS pointer, .*`git lfs pull`"),
        ("missing", "closest is starter: .* is missing"),
        ("unknown", "closest is starter: head.weight is unknown"),
        ("shape", r"closest is starter: .* has shape \(3, 5\), not"),
        ("list", "no state dict but a list"),
        ("pth cut", "cannot read weights"),
        ("pth noise", "cannot read weights"),
        ("pth empty", "cannot read weights .* it is empty"),
        ("safetensors cut", "cannot read weights"),
        ("safetensors noise", "cannot read weights"),
        ("safetensors empty", "cannot read weights"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(
    tmp_path: Path, state: dict[str, torch.Tensor], how: str, why: str
) -> None:
    path = damaged(tmp_path, state, how)
    with pytest.raises(ModelStoreError, match=why) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    told = "".join(traceback.format_exception(caught.value))
    assert "weights_only" not in told.replace("weights_only=True", ""), "PyTorch's advice"


def test_a_card_of_another_family_is_an_error(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    folder = write_folder(tmp_path / "m", state, family="vit_b")
    with pytest.raises(
        ModelStoreError, match=r"weights.safetensors holds no vit_b weights: .* more"
    ):
        load(folder)


def test_one_changed_byte_of_a_stored_checkpoint_is_seen(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    folder = write_folder(tmp_path / "m", state)
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ModelStoreError, match=r"weights.safetensors is damaged: its sha256 is"):
        load(folder)


def test_a_folder_without_card_or_weights_is_an_error(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    with pytest.raises(ModelStoreError, match=r"card.json is no model card"):
        load(tmp_path)
    folder = write_folder(tmp_path / "m", state)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelStoreError, match=r"m has no weights.safetensors or weights.pth or "):
        load(folder)
    with pytest.raises(ModelStoreError, match=r"cannot read .*nowhere\.pth: No such file"):
        load(tmp_path / "nowhere.pth")


def test_an_unknown_family_names_the_known_ones() -> None:
    with pytest.raises(
        ModelStoreError,
        match="'vit_x'; known: starter, starter_lite, vit_b, vit_l, vit_h, sam2, "
        "sam_hq, sam3_tracker",
    ):
        family_named("vit_x")


def test_the_ranks_put_the_larger_encoder_first() -> None:
    ranked = sorted(FAMILIES.values(), key=lambda family: family.rank)
    assert [family.name for family in ranked] == [
        "starter",
        "starter_lite",
        "vit_b",
        "vit_l",
        "vit_h",
        "sam2",
        "sam_hq",
        "sam3_tracker",
    ]


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    assert choose_device() == torch.device(auto)


@pytest.mark.parametrize("name", ["mps", "tpu", "", "cuda:x"])
def test_unknown_devices_are_named(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"not '{name}'"):
        choose_device(name)


def test_a_missing_cuda_device_is_named() -> None:
    with pytest.raises(InvalidInputError, match="'cuda:63' is not here: torch sees"):
        choose_device("cuda:63")


def test_constants_that_no_state_dict_holds_are_computed(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    def build() -> Any:
        sam = random_starter()
        sam.register_buffer("steps", torch.arange(3.0), persistent=False)
        return sam

    family = SamFamily("mine", "Mine", 0, "MIT", "here", build)
    sam: Any = family.read(state, tmp_path, EMPTY).network
    assert sam.steps.tolist() == [0, 1, 2]
    for name, weight in sam.state_dict().items():
        assert torch.equal(weight, state[name]), name
