"""Why something was left out of a data set: the keys of `Dataset.skipped`."""

from typing import Final

EMPTY_MASK: Final = "empty mask"
SMALL_MASK: Final = "mask too small"
OTHER_SIZE: Final = "mask of another size than its image"
VOID_MASK: Final = "mask of void pixels only"
MALFORMED_MASK: Final = "malformed mask"
NO_IMAGE_OF_MASK: Final = "mask without image"
NO_IMAGE: Final = "image that cannot be had"

NO_MASKS: Final = "image without masks"
NO_USABLE_MASK: Final = "image without a usable mask"
MISSING_IMAGE: Final = "missing image"
UNREADABLE_IMAGE: Final = "unreadable image"
CHANGED_IMAGE: Final = "image changed since"
MALFORMED_RECORD: Final = "malformed record"

SAME_IMAGE: Final = "picture with the same bytes"
"""Not left out, but merged with another one, masks and all."""
