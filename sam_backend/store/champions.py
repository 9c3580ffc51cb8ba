"""Which checkpoint was promoted: the history in `champion.json`, beside the models it speaks of."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sam_backend.errors import ModelStoreError
from sam_backend.files import lock, replacing

CHAMPION_NAME = "champion.json"


class Promotion(BaseModel):
    """One change of the champion.

    Attributes:
        version: The champion from then on.
        replaces: What was served before; None if nothing was.
        at: When.
        by: Who or what decided, such as "the gate".
        reason: Why.
        is_rollback: It brought back an earlier champion.
    """

    model_config = ConfigDict(frozen=True)

    version: str
    replaces: str | None = None
    at: datetime
    by: str
    reason: str
    is_rollback: bool = False


class History(BaseModel):
    """All promotions, the oldest first; what `champion.json` holds."""

    model_config = ConfigDict(frozen=True)

    history: tuple[Promotion, ...] = Field(())

    def standing(self) -> tuple[str, ...]:
        """The champions that a rollback can go back through; the last one is today's.

        The first one is what was served before anything was promoted. A rollback takes away the
        champions after the one that it brings back.
        """
        stack: list[str] = []
        for promotion in self.history:
            if promotion.is_rollback:
                while stack and stack[-1] != promotion.version:
                    stack.pop()
                stack = stack or [promotion.version]
                continue
            if not stack and promotion.replaces not in {None, promotion.version}:
                stack.append(str(promotion.replaces))
            stack.append(promotion.version)
        return tuple(stack)

    def chosen(self) -> tuple[str, ...]:
        """Of those standing, the ones that somebody has promoted."""
        named = {promotion.version for promotion in self.history}
        return tuple(version for version in self.standing() if version in named)


class ChampionFile:
    """`champion.json` of a model store: every process that sees the folder sees the champion.

    Args:
        folder: The store's own folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CHAMPION_NAME

    def read(self) -> History:
        """What has been promoted so far.

        Raises:
            ModelStoreError: The file cannot be read or understood.
        """
        try:
            return History.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return History()
        except OSError as error:
            raise ModelStoreError(f"cannot read {self._path}: {error.strerror}") from error
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise ModelStoreError(
                f"{self._path} is no history of champions: {place} {fault['msg']}"
            ) from error

    def change(self, decide: Callable[[History], Promotion | None]) -> bool:
        """Adds what `decide` says of the history so far; one process at a time.

        Returns:
            False: it said None, nothing has changed.

        Raises:
            ModelStoreError: The file cannot be read or written.
        """
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with lock(folder / f".{CHAMPION_NAME}.lock"):
                before = self.read()
                promotion = decide(before)
                if promotion is not None:
                    self._write(History(history=(*before.history, promotion)))
                return promotion is not None
        except OSError as error:
            raise ModelStoreError(f"cannot write {self._path}: {error.strerror}") from error

    def _write(self, history: History) -> None:
        """A reader sees the old file or the new one, even after a power cut."""
        with replacing(self._path, is_durable=True) as unfinished:
            unfinished.write_text(history.model_dump_json(indent=2) + "\n", encoding="utf-8")
