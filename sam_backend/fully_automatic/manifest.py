"""Which images a run has, in which shards: made once, the same for ever after.

All files are read and hashed, part by part, so that a run that is killed meanwhile goes on at the
part that it was at. Images that are the same bytes are done once, as the first of them.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sam_backend.datasets.decoding import image_size, is_first_of_several
from sam_backend.datasets.image_files import digest_of
from sam_backend.errors import ImageDecodeError, ImageFetchError
from sam_backend.fully_automatic.sources import ImageReader, Listing
from sam_backend.store.shards import write_table

PART_IMAGES = 10_000
"""Images of a part: so many are read again at the most when a run is killed."""
_AT_ONCE = 8
_ROOT, _OTHERS = "root", "others"

_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("uri", pa.string()),
        ("digest", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("reason", pa.string()),
        ("note", pa.string()),
    ]
)
FIRST_OF_SEVERAL = "has several pages or frames, of which the first is read"


@dataclass(frozen=True, slots=True)
class ImageEntry:
    """An image that a run has to do.

    Attributes:
        index: In the manifest.
        uri: Where it is.
        digest: sha256 of its bytes, lower-case hex.
    """

    index: int
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Shard:
    """The images of one file.

    Attributes:
        number: From 0.
        name: Name of its file.
        images: In the manifest's order.
    """

    number: int
    name: str
    images: tuple[ImageEntry, ...]


class Manifest:
    """All images of a run.

    Args:
        table: One row an image, `_SCHEMA`, in the listing's order.
        root: Root of the listing.
    """

    def __init__(self, table: pa.Table, root: str) -> None:
        self.root = root
        self._table = table
        readable = table.filter(pc.is_null(table["reason"]))
        firsts = readable.group_by("digest").aggregate([("index", "min")])
        self._todo = table.take(firsts["index_min"].combine_chunks().sort())

    @property
    def n_listed(self) -> int:
        """Images of the source."""
        return len(self._table)

    @property
    def n_images(self) -> int:
        """Images to do: readable ones, each once."""
        return len(self._todo)

    @property
    def n_duplicates(self) -> int:
        """Images that are the same bytes as an earlier one."""
        return self.n_listed - self.n_images - len(self.unreadable())

    @cached_property
    def digest(self) -> str:
        """sha256 over all URIs and contents."""
        told = sha256()
        for batch in self._table.select(["uri", "digest"]).to_batches():
            for row in batch.to_pylist():
                told.update(f"{row['uri']}\n{row['digest']}\n".encode())
        return told.hexdigest()

    def unreadable(self) -> dict[str, str]:
        """Reasons by URI."""
        found = self._table.filter(pc.is_valid(self._table["reason"]))
        return dict(zip(found["uri"].to_pylist(), found["reason"].to_pylist(), strict=True))

    def notes(self) -> dict[str, str]:
        """What is to be said of images that are read nevertheless, by URI."""
        if "note" not in self._table.column_names:
            return {}  # of an earlier release
        found = self._table.filter(pc.is_valid(self._table["note"]))
        return dict(zip(found["uri"].to_pylist(), found["note"].to_pylist(), strict=True))

    def sizes(self, digests: Collection[str]) -> dict[str, tuple[int, int]]:
        """(height, width) in pixels of some contents, by digest, as they were read."""
        wanted = pc.is_in(self._todo["digest"], pa.array(list(digests), pa.string()))
        rows = self._todo.filter(wanted).select(["digest", "height", "width"]).to_pylist()
        return {row["digest"]: (row["height"], row["width"]) for row in rows}

    def n_shards(self, shard_images: int) -> int:
        """Shards of so many images each."""
        return -(-self.n_images // shard_images)

    def shards(self, shard_images: int) -> Iterator[Shard]:
        """All shards in order, each of so many images but the last."""
        columns = self._todo.select(["index", "uri", "digest"])
        for number in range(self.n_shards(shard_images)):
            rows = columns.slice(number * shard_images, shard_images).to_pylist()
            images = tuple(ImageEntry(**row) for row in rows)
            yield Shard(number, f"shard-{number:06}.parquet", images)


def make_manifest(
    folder: Path,
    listing: Listing,
    reader: ImageReader,
    observe: Callable[[int, int], None] = lambda done, of: None,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Manifest | None:
    """Read and hash the images that were listed; parts that are there already are kept.

    Args:
        folder: Folder of the run.
        listing: From `kept_listing`.
        reader: Reads them.
        observe: Told how many images of how many have been read.
        is_stopped: True once it should end.

    Returns:
        The manifest; None if it was stopped.

    Raises:
        SourceError: The source is out of reach.
        OSError: The folder cannot be written.
    """
    uris, parts = listing.uris, []
    for start in range(0, len(uris), PART_IMAGES):
        part = _parts(folder) / f"part-{start // PART_IMAGES:06}.parquet"
        parts.append(part)
        if part.exists():
            continue
        rows = []
        indexes = range(start, min(start + PART_IMAGES, len(uris)))
        for row in _examined(uris, indexes, reader):
            if is_stopped():
                return None
            rows.append(row)
            observe(row["index"] + 1, len(uris))
        write_table(part, pa.Table.from_pylist(rows, schema=_SCHEMA), {})
    whole = pa.concat_tables(map(pq.read_table, parts), promote_options="default")
    write_table(_whole(folder), whole, {_ROOT: listing.root})
    return read_manifest(folder)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a run; None if it has not been made yet."""
    if not _whole(folder).exists():
        return None
    table = pq.read_table(_whole(folder))
    return Manifest(table, table.schema.metadata[_ROOT.encode()].decode())


def has_listing(folder: Path) -> bool:
    """Whether the images of a run have been listed."""
    return _listing(folder).exists()


def kept_listing(folder: Path, made: Listing | None) -> Listing:
    """The listing of a run: kept once, whatever is added to the source later.

    Args:
        folder: Folder of the run.
        made: What to keep; None: it is kept already (`has_listing`).
    """
    file = _listing(folder)
    if made is not None:
        file.parent.mkdir(exist_ok=True)
        notes = {_ROOT: made.root, _OTHERS: json.dumps(made.others)}
        write_table(file, pa.table({"uri": pa.array(made.uris, pa.string())}), notes)
    table = pq.read_table(file)
    metadata = table.schema.metadata
    others = json.loads(metadata.get(_OTHERS.encode(), b"{}"))  # earlier releases counted none
    return Listing(metadata[_ROOT.encode()].decode(), tuple(table["uri"].to_pylist()), others)


def _listing(folder: Path) -> Path:
    return _parts(folder) / "listing.parquet"


def _parts(folder: Path) -> Path:
    return folder / "manifest"


def _whole(folder: Path) -> Path:
    return folder / "manifest.parquet"


def _examined(uris: Sequence[str], part: range, reader: ImageReader) -> Iterator[dict[str, Any]]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hash") as pool:
        try:
            yield from pool.map(lambda index: _row(index, uris[index], reader), part)
        finally:
            pool.shutdown(cancel_futures=True)


def _row(index: int, uri: str, reader: ImageReader) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_SCHEMA.names) | {"index": index, "uri": uri}
    try:
        data = reader.read(uri)
        row["digest"] = digest_of(data)
        row["height"], row["width"] = image_size(data)
        row["note"] = FIRST_OF_SEVERAL if is_first_of_several(data) else None
    except (ImageFetchError, ImageDecodeError) as error:
        row["reason"] = str(error)
    return row
