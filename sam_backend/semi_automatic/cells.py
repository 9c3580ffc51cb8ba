"""The cells of an image embedding that lie on the image."""

import math

import numpy as np
import numpy.typing as npt

from sam_backend.sam.types import Embedding


def inner_cells(embedding: Embedding) -> npt.NDArray[np.float32]:
    """Cells without padding, shape (C, rows, columns) float32.

    The image fills the top left of a padded square (segment_anything, `Sam.preprocess`).
    """
    features = embedding.cells
    _, rows, columns = features.shape
    px_a_cell = max(embedding.input_size) / max(rows, columns)
    height, width = embedding.input_size
    inner = features[
        :, : min(rows, math.ceil(height / px_a_cell)), : min(columns, math.ceil(width / px_a_cell))
    ]
    return inner.astype(np.float32)
