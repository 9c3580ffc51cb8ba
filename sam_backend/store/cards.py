"""The card that lies beside every checkpoint: what it is, where it is from, how good it is."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam_backend.errors import ModelStoreError

VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class LearnedFrom(BaseModel):
    """Which images a checkpoint and its ancestors learned from, as the card tells it.

    Attributes:
        images: So many are listed in `learned_from.txt` beside the card (`store.learned_images`).
        sha256: SHA-256 of that file; None where there is no image and no file.
        unrecorded: What else was learned from, in words: no list of its images is known.
    """

    model_config = ConfigDict(frozen=True)

    images: int = Field(ge=0)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    unrecorded: tuple[str, ...] = ()


class ModelCard(BaseModel):
    """`card.json` of one checkpoint. Unknown keys are kept: trainers may say more.

    Attributes:
        name: For people, such as "SAM ViT-B".
        family: The network, a name in `sam_backend.sam.families.FAMILIES`.
        version: Names the checkpoint everywhere; also its folder's name.
        sha256: SHA-256 of the weights file.
        source: Where it comes from: an address, or how it was made.
        licence: SPDX name, or "unknown".
        training_data: What it was trained on, in words.
        parameters: Number of weights.
        measured_quality: What we measured ourselves, no figures from papers: data set to measure to
            value, such as {"simple scenes": {"1-click mIoU": 0.83}}; the most telling one first.
        automatic: Thresholds of the automatic generator that suit this checkpoint, by their names
            in `sam.automatic.settings.AutomaticSettings`; where it is silent, SAM's own.
        prefill: Bars for masks to be prefilled, by their names in
            `engine.projects.prefill_settings.PrefillSettings`; where it is silent, SAM's own.
        parent: Version that the training began from.
        challenger: A training run of ours made it: not served unless promoted or named.
        data_digest: Digest of the data set it learned from (`Dataset.digest`).
        learned_from: The images that it and its ancestors learned from; None: not recorded.
        gate: What the quality gate found when it met the champion.
        run: How it was trained: depth, steps, seed …
        trained_on: Day that the training ended.
        added_at: When it came into the store (UTC); None for what the package ships.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    family: str
    version: str = Field(pattern=VERSION_PATTERN)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    source: str
    licence: str
    training_data: str
    parameters: int | None = Field(None, ge=1)
    measured_quality: dict[str, dict[str, float]] = Field(default_factory=dict)
    automatic: dict[str, float] = Field(default_factory=dict)
    prefill: dict[str, float] = Field(default_factory=dict)
    parent: str | None = None
    challenger: bool = False
    data_digest: str | None = None
    learned_from: LearnedFrom | None = None
    gate: dict[str, Any] = Field(default_factory=dict)
    run: dict[str, Any] = Field(default_factory=dict)
    trained_on: date | None = None
    added_at: datetime | None = None


def read_card(path: Path) -> ModelCard:
    """Reads and checks a `card.json`.

    Raises:
        ModelStoreError: It is missing or wrong; names the file and the fields.
    """
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelStoreError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ModelStoreError(f"{path} is no model card: {_faults(error)}") from error


def make_card(**fields: object) -> ModelCard:
    """A checked card of these fields.

    Raises:
        ModelStoreError: A field is missing or wrong.
    """
    try:
        return ModelCard.model_validate(fields)
    except ValidationError as error:
        raise ModelStoreError(f"no model card can be made: {_faults(error)}") from error


def write_card(card: ModelCard, path: Path) -> None:
    """Writes a card as indented JSON, without the fields that say nothing."""
    path.write_text(card.model_dump_json(indent=2, exclude_defaults=True) + "\n", encoding="utf-8")


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'text'}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
