"""From a task's image field to its embedding: fetched, decoded and encoded only where needed."""

from dataclasses import dataclass

from sam_backend.datasets.decoding import decode_image
from sam_backend.labelstudio.api.hosts import LabelStudioHost
from sam_backend.labelstudio.images.resolver import ImageResolver
from sam_backend.sam.device import Priority
from sam_backend.sam.types import Embedding
from sam_backend.serving.served_model import ServedModel
from sam_backend.serving.timing import StageClock


@dataclass(frozen=True, slots=True)
class TaskImage:
    """A task's image as the model sees it.

    Attributes:
        digest: sha256 of the file's bytes, hex.
        embedding: Embedding of its pixels.
    """

    digest: str
    embedding: Embedding


class TaskEmbeddings:
    """Embeddings of the images that tasks name. Safe under threads.

    Args:
        resolver: Fetches image files.
        max_pixels: Images with more are refused.
    """

    def __init__(self, resolver: ImageResolver, max_pixels: int) -> None:
        self._resolver = resolver
        self._max_pixels = max_pixels

    def embed(
        self,
        model: ServedModel,
        address: str,
        host: LabelStudioHost,
        task_id: int | None,
        priority: Priority,
        clock: StageClock,
    ) -> TaskImage:
        """One task's image, encoded.

        Args:
            model: Encodes it.
            address: The image field's value.
            host: The Label Studio that the task came from.
            task_id: The task's number there; cloud addresses are signed for it.
            priority: Who waits.
            clock: Gets the stages fetch and encode (with decoding the file).

        Raises:
            ImageFetchError: The file cannot be had.
            ImageDecodeError: It is no image that we can read.
            ModelStoreError: No model is loaded.
        """
        with clock.span("fetch"):
            image = self._resolver.fetch(address, host, task_id)
        with clock.span("encode"):
            embedding = model.embedding_of(
                image.digest, lambda: decode_image(image.data, self._max_pixels), priority
            )
        return TaskImage(image.digest, embedding)
