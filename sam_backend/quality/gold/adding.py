"""Trusted images from a data set: as they are, or what several people agree on."""

import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.types import Dataset, LabelledImage, LabelledMask
from sam_backend.errors import InvalidInputError
from sam_backend.files import replacing
from sam_backend.metrics.consensus import Consensus, consensus
from sam_backend.settings import Settings
from sam_backend.store.database import Database
from sam_backend.store.gold import Gold, GoldImage

SEVERAL_PEOPLE = "masks of several people: only a consensus of them can be trusted"
TOO_FEW_PEOPLE = "fewer people than the consensus asks for"
NOTHING_AGREED = "nothing that the majority has drawn"


@dataclass(slots=True)
class Added:
    """What became of a data set.

    Attributes:
        images: By what happened: added, changed, unchanged.
        masks: Trusted ones of all of them.
        merged: Images that are one with an earlier one of the data set, byte by byte.
        skipped: What is not gold: images, and what the data set's reader left out.
        disagreement: Disagreement of each image that people had to agree on, by name; 0: all drew
            the same.
        dropped: Objects that no majority saw, of all images.
    """

    images: Counter[str] = field(default_factory=Counter)
    masks: int = 0
    merged: LeftOut = field(default_factory=LeftOut)
    skipped: LeftOut = field(default_factory=LeftOut)
    disagreement: dict[str, float] = field(default_factory=dict)
    dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "images": dict(self.images),
            "masks": self.masks,
            "merged": self.merged.as_json(),
            "skipped": self.skipped.as_json(),
            "objects_that_no_majority_saw": self.dropped,
            "disagreement": self.disagreement,
            "mean_disagreement": sum(self.disagreement.values()) / len(self.disagreement)
            if self.disagreement
            else None,
        }


def gold_folder(settings: Settings) -> Path:
    """Where the files of trusted images lie."""
    return settings.data_dir / "gold"


def add_gold(
    settings: Settings,
    database: Database,
    dataset: Dataset,
    source: str,
    people: int | None = None,
    has_accounts: bool = False,
) -> Added:
    """Trust a data set's images; their files are copied, so that the truth is complete.

    Images with the same bytes are one, with the masks of all. The same call again changes nothing.
    Excluded images stay excluded.

    Args:
        settings: The settings of this process.
        database: Where gold is kept.
        dataset: Images with masks, of any number of annotators.
        source: For people.
        people: Trust what more than half of at least so many people have drawn; None: the masks of
            one annotator, as they are.
        has_accounts: Annotators are users of Label Studio: those who made the truth of an image are
            not judged by it.

    Raises:
        InvalidInputError: A consensus of fewer than two people is asked for.
        OSError: A file cannot be copied.
    """
    if people is not None and people < 2:
        raise InvalidInputError(f"a consensus takes at least two people, not {people}")
    store, told = Gold(database), Added(skipped=LeftOut(dataset.skipped))
    for image in dataset.by_content(told.merged):
        by_person = _by_person(image.masks)
        if people is None and len(by_person) > 1:
            told.skipped.add(SEVERAL_PEOPLE, image.name)
            continue
        if people is not None and len(by_person) < people:
            told.skipped.add(TOO_FEW_PEOPLE, f"{image.name}: {len(by_person)}")
            continue
        masks = image.masks if people is None else _agreed(image.name, by_person, told)
        if not masks:
            told.skipped.add(NOTHING_AGREED, image.name)
            continue
        kept = replace(image, path=_copied(image, gold_folder(settings)), masks=masks)
        makers = frozenset(by_person) - {""} if has_accounts else frozenset()
        change = store.put(GoldImage(kept, source, makers))
        told.images[change or "unchanged"] += 1
        told.masks += len(masks)
    return told


def _by_person(masks: Sequence[LabelledMask]) -> dict[str, list[LabelledMask]]:
    found: dict[str, list[LabelledMask]] = defaultdict(list)
    for mask in masks:
        found[mask.annotator or ""].append(mask)
    return dict(found)


def _agreed(
    name: str, by_person: dict[str, list[LabelledMask]], told: Added
) -> tuple[LabelledMask, ...]:
    found: Consensus = consensus(by_person)
    told.disagreement[name] = found.disagreement
    told.dropped += len(found.dropped)
    return tuple(one.mask for one in found.agreed)


def _copied(image: LabelledImage, folder: Path) -> Path:
    """A copy under the image's own name, in a folder of its digest."""
    file = folder / image.digest / image.path.name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as unfinished:
            shutil.copyfile(image.path, unfinished)
    return file
