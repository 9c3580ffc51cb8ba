"""`<BrushLabels>` and `<Brush>`: pixels, packed run by run."""

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.tags import TagParameters
from sam_backend.labelstudio.regions.base import Control
from sam_backend.labelstudio.regions.rle_pack import pack, unpack
from sam_backend.masks.types import Mask


class Brush(Control):
    """Keeps every pixel."""

    kind: ClassVar[str] = "brush"

    @override
    def to_values(self, mask: Mask, parameters: TagParameters) -> list[dict[str, object]]:
        return [{"format": "rle", "rle": pack(mask)}]

    @override
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        if not isinstance(value.get("rle"), list):
            # Drafts keep the strokes of the brush until the annotation is saved.
            raise InvalidInputError("the brush region has no rle yet: its annotation is not saved")
        return unpack(value["rle"], size)
