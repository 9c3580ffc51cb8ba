"""Gold: images whose masks are trusted. The truth stays here, whatever becomes of its tasks."""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, select, update

from sam_backend.datasets.image_files import path_named, readable_name
from sam_backend.datasets.types import LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import from_coco, to_coco
from sam_backend.store.database import Database
from sam_backend.store.tables import GOLD, GOLD_CHANGES, GOLD_COPIES


@dataclass(frozen=True, slots=True, eq=False)
class GoldImage:
    """A trusted image.

    Attributes:
        labelled: The image and its masks.
        source: Where the truth is from, for people.
        makers: Annotators who have made it, and so cannot be judged by it.
        excluded: Why it is not used at the moment; None: it is.
        at: Since when its masks are what they are; None: it is not stored yet.
    """

    labelled: LabelledImage
    source: str
    makers: frozenset[str] = frozenset()
    excluded: str | None = None
    at: datetime | None = None

    @property
    def digest(self) -> str:
        """The image's sha256, hex."""
        return self.labelled.digest


@dataclass(frozen=True, slots=True)
class GoldChange:
    """One thing that was done to a trusted image.

    Attributes:
        image: Its digest.
        change: added, changed, excluded or restored.
        reason: Why.
        at: When.
    """

    image: str
    change: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class GoldCopy:
    """A trusted image among the tasks of a project.

    Attributes:
        token: What its file is named there; tells it from other tasks, for us only.
        host: Origin of the Label Studio.
        project: Its project.
        image: Digest of the trusted image.
    """

    token: str
    host: str
    project: int
    image: str


class Gold:
    """The store of trusted images. Safe for any number of threads and processes.

    Args:
        database: Where they are kept.
        now: The clock, with a time zone.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._database = database
        self._now = now

    def put(self, image: GoldImage) -> str | None:
        """Keep one; what was known of the image goes, but an exclusion stays.

        Returns:
            added or changed; None: it was there just so.
        """
        body = _pack(image.labelled.masks)
        with self._database.writing() as connection:
            known = self._row(connection, image.digest)
            if known is not None and known.masks == body:
                return None
            self._database.put(
                connection,
                GOLD,
                image=image.digest,
                name=image.labelled.name,
                file=readable_name(image.labelled.path),
                height=image.labelled.size[0],
                width=image.labelled.size[1],
                masks=body,
                source=image.source,
                makers=sorted(image.makers),
                at=self._now(),
            )
            change = "added" if known is None else "changed"
            self._tell(connection, image.digest, change, image.source)
        return change

    def images(self, with_excluded: bool = False) -> list[GoldImage]:
        """All in the order of their digests."""
        query = select(GOLD).order_by(GOLD.c.image)
        if not with_excluded:
            query = query.where(GOLD.c.excluded.is_(None))
        with self._database.reading() as connection:
            return [_image(row) for row in connection.execute(query)]

    def exclude(self, digest: str, reason: str) -> str:
        """Do not use an image until it is restored; returns its whole digest.

        Args:
            digest: Or its beginning, as far as it is the only one.
            reason: Why; kept.

        Raises:
            InvalidInputError: There is no such image, or several, or it is excluded already, or no
                reason is given.
        """
        return self._mark(digest, "excluded", reason)

    def restore(self, digest: str, reason: str) -> str:
        """Use an image again; arguments, answer and errors as of `exclude`."""
        return self._mark(digest, "restored", reason)

    def changes(self, digest: str | None = None) -> list[GoldChange]:
        """What was done, oldest first, to one image or to all."""
        query = select(GOLD_CHANGES).order_by(GOLD_CHANGES.c.id)
        if digest is not None:
            query = query.where(GOLD_CHANGES.c.image == digest)
        with self._database.reading() as connection:
            return [
                GoldChange(row.image, row.change, row.reason, row.at)
                for row in connection.execute(query)
            ]

    def plan_copy(self, copy: GoldCopy) -> GoldCopy:
        """Write down a copy before it is made; returns the one that an earlier try has planned."""
        with self._database.writing() as connection:
            values = {name: getattr(copy, name) for name in GoldCopy.__slots__}
            self._database.insert_new(connection, GOLD_COPIES, **values, at=self._now())
            (kept,) = _copies(connection, copy.host, copy.project, copy.image)
        return kept

    def copies(self, host: str, project: int) -> list[GoldCopy]:
        """All copies in a project, made or planned."""
        with self._database.reading() as connection:
            return _copies(connection, host, project)

    def _mark(self, digest: str, change: str, reason: str) -> str:
        if not reason.strip():
            raise InvalidInputError(f"an image is {change} for a reason: none is given")
        with self._database.writing() as connection:
            row = self._named(connection, digest)
            is_excluded = change == "excluded"
            if (row.excluded is not None) == is_excluded:
                told = "excluded already" if is_excluded else "not excluded"
                raise InvalidInputError(f"gold image {row.image} is {told}")
            connection.execute(
                update(GOLD)
                .where(GOLD.c.image == row.image)
                .values(excluded=reason if is_excluded else None)
            )
            self._tell(connection, row.image, change, reason)
        return str(row.image)

    def _named(self, connection: Connection, digest: str) -> Row[Any]:
        query = select(GOLD).where(GOLD.c.image.startswith(digest, autoescape=True)).limit(2)
        found = connection.execute(query).all() if digest else []
        if len(found) != 1:
            told = "no gold image" if not found else "more than one gold image"
            raise InvalidInputError(f"there is {told} whose digest begins with {digest!r}")
        return found[0]

    def _row(self, connection: Connection, digest: str) -> Row[Any] | None:
        query = select(GOLD).where(GOLD.c.image == digest).with_for_update()
        return connection.execute(query).first()

    def _tell(self, connection: Connection, digest: str, change: str, reason: str) -> None:
        connection.execute(
            GOLD_CHANGES.insert().values(image=digest, change=change, reason=reason, at=self._now())
        )


def _copies(
    connection: Connection, host: str, project: int, image: str | None = None
) -> list[GoldCopy]:
    wanted = and_(GOLD_COPIES.c.host == host, GOLD_COPIES.c.project == project)
    if image is not None:
        wanted = and_(wanted, GOLD_COPIES.c.image == image)
    query = select(GOLD_COPIES).where(wanted).order_by(GOLD_COPIES.c.at, GOLD_COPIES.c.token)
    return [
        GoldCopy(row.token, row.host, row.project, row.image) for row in connection.execute(query)
    ]


def _pack(masks: Sequence[LabelledMask]) -> bytes:
    told = [
        {"rle": to_coco(one.rle), "label": one.label, "annotator": one.annotator}
        | ({} if one.ignore is None else {"ignore": to_coco(one.ignore)})
        for one in masks
    ]
    return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 6)


def _image(row: Row[Any]) -> GoldImage:
    masks = tuple(
        LabelledMask(
            from_coco(one["rle"]),
            one["label"],
            one["annotator"],
            is_gold=True,
            ignore=from_coco(one["ignore"]) if "ignore" in one else None,
        )
        for one in json.loads(zlib.decompress(row.masks))
    )
    size = (row.height, row.width)
    labelled = LabelledImage(row.name, path_named(row.file), row.image, size, masks)
    return GoldImage(labelled, row.source, frozenset(row.makers), row.excluded, row.at)
