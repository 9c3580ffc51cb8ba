"""Checkpoints of the Hugging Face hub come through its client; what is wrong is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from sam_backend.errors import ModelStoreError
from sam_backend.store import hub
from sam_backend.store.models import ModelStore
from sam_backend.store.public_checkpoints import HUB_CHECKPOINTS
from tests.sam.library.networks import folder_of


def answering(monkeypatch: pytest.MonkeyPatch, folder: Path | Exception) -> list[tuple[str, str]]:
    """Lets the client give a folder's files, or fail; returns what it was asked for."""
    import huggingface_hub

    asked: list[tuple[str, str]] = []

    def download(repository: str, name: str) -> str:
        asked.append((repository, name))
        if isinstance(folder, Exception):
            raise folder
        return str(folder / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_a_pulled_checkpoint_has_a_card_and_is_pulled_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, folder_of("sam2", tmp_path / "cache"))
    store = ModelStore([tmp_path / "store"])
    card = store.pull("sam2.1_tiny").card
    assert (card.version, card.family, card.licence) == ("sam2.1_tiny", "sam2", "Apache-2.0")
    assert card.source == "https://huggingface.co/facebook/sam2.1-hiera-tiny"
    repository = "facebook/sam2.1-hiera-tiny"
    assert asked == [(repository, "config.json"), (repository, "model.safetensors")]
    assert store.pull("sam2.1_tiny").version == "sam2.1_tiny"
    assert len(asked) == 2


def test_the_reason_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    from huggingface_hub import errors

    response = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))
    for error, why in [
        (errors.GatedRepoError("no", response=response), "accept its terms at .*facebook/sam3"),
        (errors.RepositoryNotFoundError("no", response=response), "is not there, or HF_TOKEN"),
        (errors.LocalEntryNotFoundError("no"), "HF_HUB_OFFLINE.* models add FOLDER"),
        (errors.HfHubHTTPError("no", response=response), r"\(HfHubHTTPError\); try again"),
        (OSError("disk"), r"\(OSError\); try again"),
    ]:
        answering(monkeypatch, error)
        with pytest.raises(ModelStoreError, match=why):
            ModelStore([tmp_path / "store"]).pull("sam3")


def test_offline_is_honoured(tmp_path: Path) -> None:
    code = "from sam_backend.store.hub import download_folder as d; d('facebook/sam2.1-hiera-tiny')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "is not in the cache of huggingface_hub and cannot be fetched" in ran.stderr


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(ModelStoreError, match=r"pip install '\.\[transformers\]' in a clone"):
        hub.download_folder("facebook/sam2.1-hiera-tiny")


def test_every_name_has_a_family() -> None:
    from sam_backend.sam.families import FAMILIES

    assert {public.family for public in HUB_CHECKPOINTS.values()} <= set(FAMILIES)
    assert HUB_CHECKPOINTS["sam2.1_base_plus"].repository == "facebook/sam2.1-hiera-base-plus"
