"""Finding image files by the names that other tools have written for them."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

_DRIVE = re.compile(r"^[A-Za-z]:")
_MOST_FILES = 500_000  # looked at below the folders: the search of a home folder has to end

_Tail = tuple[str, ...]


class ImageFinder:
    r"""Finds images whose names may be of another machine, or start in another folder.

    A file is looked for where its name leads to from the folders. Else backslashes are taken for
    slashes, and leading folders are left off one by one (`C:\data\train\a.jpg`, or `images/a.jpg`
    below the folder `images`). Else it is looked for below the folders. In the end the base name
    alone decides. A shortened name counts only where it means one image of the set and one file.

    Args:
        folders: Where names may start, the likeliest first.
        names: All names of the set; empty: the base names are known to differ, as SA-1B's do.
    """

    def __init__(self, folders: Sequence[Path], names: Iterable[str] = ()) -> None:
        self._folders = list(dict.fromkeys(folders))
        self._names = list(dict.fromkeys(names))

    def find(self, name: str, beside: Path | None = None) -> Path:
        """The image's file; where none is found, the place where it should be.

        Args:
            name: As the set has it.
            beside: A folder to look into first.
        """
        usual = (beside or self._folders[0]) / name
        for place in (usual, self._folders[0] / name):
            if _is_file(place):
                return place
        parts = _parts(name)
        if not parts:
            return usual
        tails = [parts[start:] for start in range(len(parts))]
        meant = [tail for tail in tails if self._meanings[tail] <= 1]
        places = (folder.joinpath(*tail) for tail in meant for folder in self._folders)
        direct = next(filter(_is_file, places), None)
        return direct or self._below(parts[-1], meant) or usual

    def _below(self, base: str, meant: Sequence[_Tail]) -> Path | None:
        candidates = self._files.get(base, [])
        for tail in meant:
            ending = [file for file in candidates if file.parts[-len(tail) :] == tail]
            if ending:
                return ending[0] if len(ending) == 1 else None
        return None

    @cached_property
    def _meanings(self) -> Counter[_Tail]:
        """How many of the set's images a shortened name could be."""
        parts = {_parts(name) for name in self._names}
        return Counter(one[start:] for one in parts for start in range(len(one)))

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """All files below the folders by their base name."""
        found: dict[str, set[Path]] = defaultdict(set)
        n_files = 0
        for folder in self._folders:
            for root, folders, files in os.walk(folder):
                folders[:] = [one for one in folders if not one.startswith(".")]
                n_files += len(files)
                if n_files > _MOST_FILES:
                    return {}
                for file in files:
                    found[file].add(Path(root) / file)
        return {base: sorted(files) for base, files in found.items()}


def _parts(name: str) -> _Tail:
    """A name's folders and base name, however its tool separates them."""
    plain = _DRIVE.sub("", name.replace("\\", "/"))
    return tuple(part for part in plain.split("/") if part not in ("", ".", ".."))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be read
        return False
