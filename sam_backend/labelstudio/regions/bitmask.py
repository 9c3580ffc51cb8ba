"""`<BitmaskLabels>` and `<Bitmask>`: a PNG of the image's size, black on transparent."""

import base64
import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from PIL import Image
from typing_extensions import override

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.config.tags import TagParameters
from sam_backend.labelstudio.regions.base import Control
from sam_backend.masks.types import Mask, mask_from_opacity

# What Pillow raises for bytes that are no (whole) PNG.
_DAMAGES = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    struct.error,
    zlib.error,
)
_PREFIX = "data:image/png;base64,"


class Bitmask(Control):
    """Keeps every pixel.

    The editor takes the PNG's own size as the mask's, shows every pixel that is not transparent and
    writes black ones itself (editor, regions/BitmaskRegion.jsx).
    """

    kind: ClassVar[str] = "bitmask"

    @override
    def to_values(self, mask: Mask, parameters: TagParameters) -> list[dict[str, object]]:
        # One bit a pixel: colour 0 is transparent black, colour 1 is black.
        height, width = mask.shape
        picture = Image.frombytes("P", (width, height), mask.tobytes())
        picture.putpalette([0, 0, 0, 0, 0, 0])
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG", transparency=b"\x00\xff")
        return [{"imageDataURL": _PREFIX + base64.b64encode(buffer.getvalue()).decode("ascii")}]

    @override
    def to_mask(self, value: Mapping[str, Any], size: tuple[int, int]) -> Mask:
        address = value.get("imageDataURL")
        if not isinstance(address, str) or not address.startswith(_PREFIX):
            raise InvalidInputError(f"a bitmask's imageDataURL must start with {_PREFIX!r}")
        try:
            data = base64.b64decode(address[len(_PREFIX) :], validate=True)
            with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
                if picture.size != (size[1], size[0]):
                    raise InvalidInputError(
                        f"the bitmask has {picture.width}x{picture.height} pixels, its image "
                        f"{size[1]}x{size[0]}"
                    )
                alpha = np.asarray(picture.convert("RGBA").getchannel("A"))
        except _DAMAGES as error:
            raise InvalidInputError(f"the bitmask is no PNG: {error}") from error
        return mask_from_opacity(alpha)
