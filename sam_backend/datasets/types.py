"""A labelled image and a set of them, whatever they were read from.

Masks are run lengths at the original resolution; pixels stay in their file until they are asked
for, so a set of a million images fits in memory.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sam_backend.datasets.image_files import readable_name
from sam_backend.datasets.left_out import LeftOut
from sam_backend.datasets.reasons import SAME_IMAGE
from sam_backend.errors import InvalidInputError
from sam_backend.masks.rle import RLE


@dataclass(frozen=True, slots=True, eq=False)
class LabelledMask:
    """One mask that somebody vouches for.

    Attributes:
        rle: The mask at the image's original size.
        label: What it shows, the first of `labels`; None without classes.
        annotator: Who drew it; None if unknown. Masks of several annotators of one image may cover
            the same object.
        is_gold: Trusted enough to judge others by.
        more_labels: Further labels of the same mask, in the order they were chosen.
        ignore: Pixels of which nobody knows whether they belong to it (void pixels): they count
            neither for nor against an answer. Of the image's size; None: there are none.
    """

    rle: RLE
    label: str | None = None
    annotator: str | None = None
    is_gold: bool = False
    more_labels: tuple[str, ...] = ()
    ignore: RLE | None = None

    @property
    def digest(self) -> str:
        """sha256 of its pixels and void pixels, lower-case hex, whatever its labels."""
        told = rle_digest(self.rle)
        if self.ignore is None:
            return told
        return hashlib.sha256(f"{told} ignore {rle_digest(self.ignore)}".encode()).hexdigest()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels, the first one first; empty without classes."""
        return (() if self.label is None else (self.label,)) + self.more_labels


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """An image on disk and its masks.

    Attributes:
        name: Names the image within its set, e.g. a file name or `task 14`.
        path: Its file.
        digest: sha256 of the file's bytes, lower-case hex: the image's identity.
        size: (height, width) in pixels, after EXIF rotation.
        masks: All of `size`. None at all makes the image a negative: somebody has looked and found
            nothing.

    Raises:
        InvalidInputError: A mask, or what is void of it, has another size.
    """

    name: str
    path: Path
    digest: str
    size: tuple[int, int]
    masks: tuple[LabelledMask, ...]

    def __post_init__(self) -> None:
        # a file's name may be no UTF-8, and this one goes into databases and onto terminals
        object.__setattr__(self, "name", readable_name(self.name))
        for mask in self.masks:
            for one in (mask.rle, mask.ignore):
                if one is not None and one.size != self.size:
                    raise InvalidInputError(
                        f"{self.name}: a mask of {one.size} lies on an image of {self.size}"
                    )


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled images in a fixed order.

    Attributes:
        name: For people.
        images: In the source's order.
        skipped: What was left out: counts by reason, and which.
        licence: Licence of the data, SPDX name or words; None if unknown.
        categories: Labels that masks may have, whether one has it or not, in an order that stays.
    """

    name: str
    images: tuple[LabelledImage, ...]
    skipped: LeftOut = field(default_factory=LeftOut)
    licence: str | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", readable_name(self.name))

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[LabelledImage]:
        return iter(self.images)

    def by_content(self, merged: LeftOut | None = None) -> "Dataset":
        """The same with each image once: tasks of one image become one, with the masks of all.

        Args:
            merged: Gets the images that became part of an earlier one.
        """
        found: dict[str, LabelledImage] = {}
        for image in self.images:
            known = found.get(image.digest)
            if known is not None and merged is not None:
                merged.add(SAME_IMAGE, f"{image.name}: as {known.name}")
            masks = image.masks if known is None else known.masks + image.masks
            found[image.digest] = replace(known or image, masks=masks)
        return replace(self, images=tuple(found.values()))

    @property
    def n_masks(self) -> int:
        """Masks of all images."""
        return sum(len(image.masks) for image in self.images)

    @property
    def digest(self) -> str:
        """sha256 over images and masks, whatever their order and wherever the files lie."""
        lines = sorted(
            f"{image.digest} {_named(mask)} {mask.annotator!r} {mask.digest}"
            for image in self.images
            for mask in image.masks
        )
        lines += sorted(f"{image.digest} negative" for image in self.images if not image.masks)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _named(mask: LabelledMask) -> str:
    return repr(mask.label) if not mask.more_labels else repr(mask.labels)


def rle_digest(rle: RLE) -> str:
    """sha256 of a mask's size and run lengths, lower-case hex."""
    height, width = rle.size
    content = f"{height} {width} ".encode() + rle.counts.astype("<u4").tobytes()
    return hashlib.sha256(content).hexdigest()
