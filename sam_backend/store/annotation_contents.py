"""What is on an annotation, by the digest of its state: read once, for a state never changes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, null, select

from sam_backend.store.database import Database
from sam_backend.store.tables import ANNOTATION_CONTENTS

_AT_ONCE = 500

ImageSizes = Mapping[str, tuple[int, int]]
"""(height, width) in pixels of a task's images, by the names of their tags; unknown ones lack."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is on an annotation.

    Attributes:
        labels: Objects by label.
        sizes: Objects by size: small, medium, large.
        unread: Objects of unknown size: for each a reason (`datasets.reasons`), and which it is.
        images: (height, width) of the images that the objects lie on, by the names of their tags,
            as the sizes were measured; None: it was not known.
    """

    labels: Mapping[str, int]
    sizes: Mapping[str, int]
    unread: tuple[tuple[str, str], ...] = ()
    images: Mapping[str, tuple[int, int] | None] = field(default_factory=dict)

    def fits(self, images: ImageSizes) -> bool:
        """Whether the objects were measured on images of these sizes."""
        return all(images.get(name) == size for name, size in self.images.items())


class AnnotationContents:
    """The contents of annotations. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        """Takes where they are kept."""
        self._database = database

    def put(self, found: Mapping[str, Contents]) -> None:
        """Keeps contents by digest of the state, instead of what was kept of them."""
        rows = [
            {
                "digest": digest,
                "labels": dict(one.labels),
                "sizes": dict(one.sizes),
                "unread": [list(told) for told in one.unread],
                "images": {name: size and list(size) for name, size in one.images.items()},
            }
            for digest, one in sorted(found.items())
        ]
        with self._database.writing() as connection:
            for start in range(0, len(rows), _AT_ONCE):
                some = [row["digest"] for row in rows[start : start + _AT_ONCE]]
                connection.execute(
                    delete(ANNOTATION_CONTENTS).where(ANNOTATION_CONTENTS.c.digest.in_(some))
                )
            self._database.insert_missing(connection, ANNOTATION_CONTENTS, rows)

    def get(self, digests: Collection[str]) -> dict[str, Contents]:
        """Those that are known, by digest; what an earlier release has measured is not."""
        wanted, found = sorted(digests), dict[str, Contents]()
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                asked = select(ANNOTATION_CONTENTS).where(
                    ANNOTATION_CONTENTS.c.digest.in_(wanted[start : start + _AT_ONCE]),
                    ANNOTATION_CONTENTS.c.images.is_not(null()),
                )
                for row in connection.execute(asked):
                    unread = tuple((reason, told) for reason, told in row.unread)
                    images = {name: size and tuple(size) for name, size in row.images.items()}
                    found[row.digest] = Contents(row.labels, row.sizes, unread, images)
        return found
