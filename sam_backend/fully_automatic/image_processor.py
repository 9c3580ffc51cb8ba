"""One image of a bulk run: read, decoded, all its masks found."""

import numpy as np
import numpy.typing as npt

from sam_backend.datasets.decoding import decode_image
from sam_backend.datasets.image_files import digest_of
from sam_backend.errors import ImageDecodeError, ImageFetchError
from sam_backend.fully_automatic.manifest import ImageEntry
from sam_backend.fully_automatic.sources import ImageReader
from sam_backend.sam.automatic.generator import generate
from sam_backend.sam.automatic.records import MaskRecord
from sam_backend.sam.automatic.settings import AutomaticSettings
from sam_backend.serving.image_features import mean_features
from sam_backend.serving.served_model import ServedModel
from sam_backend.store.shards import ImageMasks


class ImageProcessor:
    """Finds the masks of images. Safe under threads.

    Args:
        model: Whose masks they are.
        settings: Which masks are looked for.
        reader: Reads the images.
        max_pixels: Images with more are refused.
    """

    def __init__(
        self, model: ServedModel, settings: AutomaticSettings, reader: ImageReader, max_pixels: int
    ) -> None:
        self._model = model
        self._settings = settings
        self._reader = reader
        self._max_pixels = max_pixels

    def process(self, entry: ImageEntry) -> ImageMasks:
        """The masks of an image; an image that cannot be had or read has a reason instead.

        Raises:
            SourceError: The images' place is out of reach.
            ModelStoreError: There is no model.
        """
        try:
            data = self._reader.read(entry.uri)
            pixels = decode_image(data, self._max_pixels)
        except (ImageFetchError, ImageDecodeError) as error:
            return self._row(entry, reason=str(error))
        if digest_of(data) != entry.digest:
            return self._row(entry, reason=f"{entry.uri} has changed since it was listed")
        embedding = self._model.embed(pixels)
        found = generate(self._model, pixels, self._settings, entry.digest, embedding=embedding)
        masks = tuple(found)
        height, width = pixels.shape[:2]
        return self._row(entry, (height, width), None, mean_features(embedding), masks)

    def _row(
        self,
        entry: ImageEntry,
        size: tuple[int, int] | None = None,
        reason: str | None = None,
        features: npt.NDArray[np.float32] | None = None,
        masks: tuple[MaskRecord, ...] = (),
    ) -> ImageMasks:
        return ImageMasks(
            index=entry.index,
            uri=entry.uri,
            digest=entry.digest,
            size=size,
            reason=reason,
            model_version=self._model.model_version,
            settings=self._settings.fingerprint,
            features=features,
            masks=masks,
        )
