"""What an image looks like to the encoder, as one vector."""

import numpy as np
import numpy.typing as npt

from sam_backend.sam.types import Embedding


def mean_features(embedding: Embedding) -> npt.NDArray[np.float32]:
    """Mean of an embedding's cells over the image without its padding, shape (C,) float32."""
    height, width = embedding.input_size
    _, rows, columns = embedding.cells.shape
    side = max(height, width)  # of the padded square
    inside = embedding.cells[
        :, : max(1, round(rows * height / side)), : max(1, round(columns * width / side))
    ]
    mean: npt.NDArray[np.float32] = inside.astype(np.float32).mean(axis=(1, 2))
    return mean
