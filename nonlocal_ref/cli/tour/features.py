"""What the operations compare: a few numbers a pixel, found by the picture itself."""

import numpy as np

from nonlocal_ref.denoise import patch_embedding

COUNT = 8
PATCH_SIZE = 9  # large enough for the noise to average out


def leading_components(picture: np.ndarray) -> np.ndarray:
    """The 8 strongest principal components of the patches, each with variance 1.  (H, W, C) -> (H, W, 8).

    They are linear filters: averages of brightness and colour first, then slopes, then finer structure.
    """
    planes = np.moveaxis(picture, -1, 0)
    patches = patch_embedding(planes, patch_size=(PATCH_SIZE, PATCH_SIZE))[0]  # (N, D)
    centred = patches - patches.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    filters = directions[:, ::-1][:, :COUNT]
    signs = np.where(filters.sum(axis=0) < 0, -1.0, 1.0)  # the first one: bright is positive
    deviations = np.sqrt(np.maximum(variances[::-1][:COUNT], 1e-12))
    components = centred @ (filters * signs / deviations)
    return np.asarray(components.reshape(*picture.shape[:2], COUNT))
