"""Kinds of images, so that a sample sees the rare ones too.

Images are told apart by the mean of the encoder's output. The centres of the kinds are found by
k-center: each next one is the image farthest from all before (Gonzalez, "Clustering to minimize the
maximum intercluster distance", 1985), so that what is unlike everything else is a kind of its own.
"""

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from sam_backend.errors import InvalidInputError

Features = npt.NDArray[np.float32]


def k_center(features: Features, k: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Indexes of up to `k` images that every other image is near to, shape (k,).

    Args:
        features: Features of all images, shape (N, C).
        k: How many; fewer where fewer images differ.
        seed: Chooses the first.

    Raises:
        InvalidInputError: There is no image, or `k` is under 1.
    """
    if k < 1 or not len(features):
        raise InvalidInputError(
            f"k_center needs images and k from 1 on, not {k} of {len(features)}"
        )
    points = unit(features)
    centres = [int(np.random.default_rng(seed).integers(len(points)))]
    far = _distances(points, points[centres[0]])
    while len(centres) < k and far.max() > 0:
        centres.append(int(far.argmax()))
        far = np.minimum(far, _distances(points, points[centres[-1]]))
    return np.array(centres, np.int64)


def nearest(features: Features, centres: Features) -> npt.NDArray[np.int64]:
    """Which centre each image is nearest to, shape (N,).

    Args:
        features: Shape (N, C).
        centres: Shape (k, C).
    """
    found: npt.NDArray[np.int64] = (unit(features) @ unit(centres).T).argmax(axis=1)
    return found


def quotas(sizes: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """How many of each kind to draw: as equal as the sizes allow, `n` in all, shape (k,).

    Args:
        sizes: Images of each kind, shape (k,).
        n: To draw; all images if there are fewer.
    """
    told = np.zeros_like(sizes)
    left = min(n, int(sizes.sum()))
    while left:
        open_ = np.flatnonzero(told < sizes)
        share = max(1, left // len(open_))
        for kind in open_[np.argsort(sizes[open_], kind="stable")][:left]:
            step = min(share, int(sizes[kind] - told[kind]), left)
            told[kind] += step
            left -= step
    return told


def unit(features: Features) -> Features:
    """Rows of length 1; zeros stay zeros."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    found: Features = features / np.maximum(norms, np.finfo(np.float32).tiny)
    return found


def standardised(features: Features) -> Features:
    """Columns of mean 0 and standard deviation 1; constant ones are 0."""
    centred = features - features.mean(axis=0)
    spread = centred.std(axis=0)
    is_constant = spread <= 1e-6 * np.abs(features).max(axis=0)
    found: Features = np.where(is_constant, 0.0, centred / np.where(is_constant, 1.0, spread))
    return found


def whitened(features: Features, n_components: int) -> Features:
    """The directions in which images differ most, each of variance 1.

    Args:
        features: Features of all images, shape (N, C).
        n_components: Directions at the most.

    Returns:
        Shape (N, n), n from 1 on.
    """
    points = standardised(features)
    n = min(n_components, int(np.linalg.matrix_rank(points)))
    if not n:  # images that do not differ
        return np.zeros((len(points), 1), np.float32)
    found: Features = PCA(n, whiten=True, random_state=0).fit_transform(points)
    return found


def _distances(points: Features, centre: Features) -> npt.NDArray[np.float32]:
    """Squared distances."""
    gaps: npt.NDArray[np.float32] = ((points - centre) ** 2).sum(axis=1)
    return gaps
