"""Detectors of objects: folders `<project>/<version>/{weights.safetensors, card.json}`."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam_backend.errors import ModelStoreError
from sam_backend.files import new_folder
from sam_backend.sam.checkpoint_files import sha256_of

_CARD, _WEIGHTS = "card.json", "weights.safetensors"


class DetectorCard(BaseModel):
    """What a detector is and how good.

    Attributes:
        version: Names it within its project.
        network: The architecture's name.
        side_px: Long side of the images that it sees.
        sha256: SHA-256 of the weights.
        data_digest: Digest of the data set that it learned from.
        images: It learned from so many.
        box_recall: On held-out images, of 100 boxes at IoU 0.5; None if there was none.
        plan: How it was trained.
        made_at: When, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    version: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    network: str
    side_px: int
    sha256: str
    data_digest: str
    images: int
    box_recall: float | None = None
    plan: dict[str, object] = Field(default_factory=dict)
    made_at: datetime


class DetectorStore:
    """The detectors of one project.

    Args:
        data_dir: The settings' data folder.
        project_id: The project.
    """

    def __init__(self, data_dir: Path, project_id: int) -> None:
        self._folder = data_dir / "detectors" / f"project-{project_id}"
        self._project_id = project_id

    def add(self, card: DetectorCard, write_weights: Callable[[Path], None]) -> DetectorCard:
        """Keep a detector: it is there as a whole, or not at all.

        Args:
            card: Its `sha256` is taken from the weights.
            write_weights: Writes the file.

        Raises:
            OSError: The folder cannot be written.
        """
        target = self._folder / card.version
        if target.exists():  # the same run has ended here before it was killed
            return self.get(card.version)[0]
        with new_folder(target) as folder:
            write_weights(folder / _WEIGHTS)
            whole = card.model_copy(update={"sha256": sha256_of(folder / _WEIGHTS)})
            (folder / _CARD).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return whole

    def get(self, version: str | None = None) -> tuple[DetectorCard, Path]:
        """A detector and its weights' file; the newest without a version.

        Raises:
            ModelStoreError: There is none.
        """
        cards = self.list()
        for card in cards:
            if version in (None, card.version):
                return card, self._folder / card.version / _WEIGHTS
        known = ", ".join(card.version for card in cards) or "none"
        raise ModelStoreError(
            f"project {self._project_id} has no detector {version or ''}".rstrip()
            + f" (there are: {known}): make one with sam-backend train-detector"
        )

    def list(self) -> list[DetectorCard]:
        """All of them, the newest first.

        Raises:
            ModelStoreError: A card cannot be read.
        """
        cards = []
        for path in self._folder.glob(f"[!.]*/{_CARD}"):
            try:
                cards.append(DetectorCard.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                raise ModelStoreError(f"{path} is no detector's card: {error}") from error
        return sorted(cards, key=lambda card: card.made_at, reverse=True)
