"""What a proposer found in an image, kept so that nobody has to look twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, delete, select

from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.store.database import Database
from sam_backend.store.mask_records import pack, unpack
from sam_backend.store.tables import PROPOSALS


@dataclass(frozen=True, slots=True)
class ProposalKey:
    """What the masks depend on.

    Attributes:
        image: sha256 of the file's bytes, hex.
        model_version: Model version of the segmenter.
        proposer: Its fingerprint, up to 128 characters.
    """

    image: str
    model_version: str
    proposer: str


class Proposals:
    """Masks by image. Safe for any number of threads and processes.

    Args:
        database: Where they are kept.
        now: The clock, with a time zone.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now

    def get(self, key: ProposalKey) -> list[MaskRecord] | None:
        """The masks in their order; None: nobody has looked yet."""
        table = PROPOSALS.c
        query = select(table.masks).where(
            and_(
                table.image == key.image,
                table.model_version == key.model_version,
                table.proposer == key.proposer,
            )
        )
        with self._database.reading() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else [record for record, _ in unpack(body)]

    def of_image(self, image: str, model_version: str) -> list[MaskRecord]:
        """What any proposer has found in an image, the oldest finding only of equal masks.

        Args:
            image: sha256 of the file's bytes, hex.
            model_version: Model version of the segmenter.
        """
        table = PROPOSALS.c
        query = (
            select(table.masks)
            .where(and_(table.image == image, table.model_version == model_version))
            .order_by(table.at, table.proposer)
        )
        with self._database.reading() as connection:
            bodies = list(connection.execute(query).scalars())
        found = {
            record.rle.counts.tobytes(): record
            for body in reversed(bodies)
            for record, _ in unpack(body)
        }
        return list(found.values())

    def put(self, key: ProposalKey, masks: Sequence[MaskRecord]) -> None:
        """Keep them; what is there already stays."""
        with self._database.writing() as connection:
            self._database.insert_new(
                connection,
                PROPOSALS,
                image=key.image,
                model_version=key.model_version,
                proposer=key.proposer,
                masks=pack((mask, {}) for mask in masks),
                at=self._now(),
            )

    def prune(self, before: datetime) -> int:
        """Forget what was found earlier; returns of how many images."""
        with self._database.writing() as connection:
            return connection.execute(delete(PROPOSALS).where(PROPOSALS.c.at < before)).rowcount
