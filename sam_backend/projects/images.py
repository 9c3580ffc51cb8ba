"""The images of a project's tasks, each fetched once and kept as a file for all retrainings."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sam_backend.datasets.decoding import decode_image, file_suffix
from sam_backend.datasets.file_names import safe_file_name, with_image_suffix
from sam_backend.datasets.image_files import digest_of
from sam_backend.files import replacing
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.images.file_names import original_name
from sam_backend.labelstudio.images.resolver import ImageResolver

_INDEX = "index.jsonl"

SOURCE_NAME = "sam_file"
"""Field of a task's data: the name of the image's file before our import uploaded it."""


def source_name(data: Mapping[str, Any]) -> str | None:
    """The image's original name as a task's data tells it; None if it does not."""
    told = data.get(SOURCE_NAME)
    return told if isinstance(told, str) and told else None


@dataclass(frozen=True, slots=True)
class KeptImage:
    """An image file in the folder.

    Attributes:
        name: The file's name in the folder.
        digest: sha256 of its bytes, lower-case hex.
        height: In pixels, after EXIF rotation.
        width: In pixels, after EXIF rotation.
    """

    name: str
    digest: str
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


def address_key(host: LabelStudioHost, address: str) -> str:
    """An address as the index names it: the address itself may hold a secret."""
    return hashlib.sha256(f"{host.url} {address}".encode()).hexdigest()


def kept_images(folder: Path) -> dict[str, KeptImage]:
    """What lies in a folder of images, by `address_key`; nothing where there is no such folder."""
    known: dict[str, KeptImage] = {}
    index = folder / _INDEX
    if not index.exists():
        return known
    for line in index.read_bytes().splitlines():
        try:
            fields = json.loads(line)
            address = fields.pop("address")
            known[address] = KeptImage(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return known


class ProjectImages:
    """Fetches images into a folder, unless they lie there. One process at a time.

    An address is taken to lead to the same image for good: its masks were drawn on that one. Files
    are never deleted here; the folder may be, at any time, and is filled anew.

    A file keeps its original name. Where another image has it already, the digest's first digits
    follow it; where the address has no name, the digest is the name.

    What an address led to is kept in `index.jsonl`, a line for each; the address itself is kept as
    its sha256 only, for it may hold a secret. A line that a killed process left half written is
    fetched anew.

    Args:
        folder: Made if it is missing.
        resolver: Fetches, with the limits of the server.
        max_pixels: Images with more are refused.

    Attributes:
        n_fetched: Images that were not in the folder yet.
    """

    def __init__(self, folder: Path, resolver: ImageResolver, max_pixels: int) -> None:
        self.folder = folder
        self.n_fetched = 0
        self._resolver = resolver
        self._max_pixels = max_pixels
        self._index = folder / _INDEX
        folder.mkdir(parents=True, exist_ok=True)
        self._known = kept_images(folder)
        self._digests = {kept.name.casefold(): kept.digest for kept in self._known.values()}

    def get(
        self, address: str, host: LabelStudioHost, task_id: int, name: str | None = None
    ) -> KeptImage:
        """The image that a task's field names.

        Args:
            address: What the field says.
            host: Host of the project.
            task_id: The task.
            name: The file's original name, where the address does not tell it.

        Raises:
            ImageFetchError: It cannot be had.
            ImageDecodeError: It is no image that we can read.
        """
        key = address_key(host, address)
        known = self._known.get(key)
        if known is not None and (self.folder / known.name).is_file():
            return known
        fetched = self._resolver.fetch(address, host, task_id)
        height, width = decode_image(fetched.data, self._max_pixels).shape[:2]
        suffix = file_suffix(fetched.data)
        wanted = safe_file_name(name or "") or original_name(address)
        free = self._free_name(with_image_suffix(wanted, suffix), fetched.digest, suffix)
        kept = KeptImage(free, fetched.digest, height, width)
        with replacing(self.folder / free) as unfinished:
            unfinished.write_bytes(fetched.data)
        with self._index.open("a", encoding="ascii") as lines:
            # The line break comes first, so that it also ends a line left half written.
            lines.write("\n" + json.dumps({"address": key, **asdict(kept)}))
        self._known[key] = kept
        self._digests[free.casefold()] = kept.digest
        self.n_fetched += 1
        return kept

    def _free_name(self, wanted: str, digest: str, suffix: str) -> str:
        """A name that no other image has; file systems may not tell upper from lower case."""
        stem, _, ending = wanted.rpartition(".")
        for name in (wanted, f"{stem}-{digest[:8]}.{ending}" if stem else ""):
            is_ours = self._digests.get(name.casefold(), digest) == digest
            if name and is_ours and self._is_free(name, digest):
                return name
        return digest + suffix

    def _is_free(self, name: str, digest: str) -> bool:
        """Whether no other image lies there, of which a killed process has lost the line."""
        file = self.folder / name
        return not file.exists() or (file.is_file() and digest_of(file.read_bytes()) == digest)
