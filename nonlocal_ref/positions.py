"""From (B, C, *S) at the edge to the positions that see each other, and max-pool subsampling of the keys.

Inside the block, features are channels-last, (B', T, H, W, C): one batch element B' holds exactly the positions that
may look at each other.  Folding axes into the batch is what makes the operation space-only or time-only (paper, table
2d), so pooling never crosses the border either.
"""

from math import prod

from nonlocal_ref.backend import Array, array_namespace, device
from nonlocal_ref.ops import Backward, constant, identity


def fold(x: Array, domain: str = "spacetime", frame_group: int | None = None) -> tuple[Array, Backward]:
    """Channels last, and the axes that do not see each other into the batch.

    x (B, C, *S) -> features: spacetime (B, *S, C); frame_group t (B T / t, t, H, W, C); space, that is one frame a
    group, (B T, 1, H, W, C); time (B H W, T, 1, 1, C).  Keeps: shapes.
    """
    xp = array_namespace(x)
    shape = tuple(x.shape)
    split, order, folded = _layout(shape, domain, frame_group)
    features = xp.reshape(xp.permute_dims(xp.reshape(x, split), order), folded)

    def backward(dfeatures: Array) -> tuple[Array]:
        return (unfold(dfeatures, shape, domain, frame_group)[0],)  # a permutation: the way back undoes it

    return features, backward


def unfold(
    features: Array, shape: tuple[int, ...], domain: str = "spacetime", frame_group: int | None = None
) -> tuple[Array, Backward]:
    """The inverse of `fold`.  features (B', *S', C) or (B', N, C), x's shape (B, C, *S) -> x.  Keeps: shapes."""
    xp = array_namespace(features)
    folded = tuple(features.shape)
    split, order, _ = _layout(shape, domain, frame_group)
    ordered = xp.reshape(features, tuple(split[axis] for axis in order))
    x = xp.reshape(xp.permute_dims(ordered, _inverse(order)), shape)

    def backward(dx: Array) -> tuple[Array]:
        return (xp.reshape(fold(dx, domain, frame_group)[0], folded),)

    return x, backward


def _layout(
    shape: tuple[int, ...], domain: str, frame_group: int | None
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """How (B, C, *S) is split into axes, in which order they go, and the shape they are folded to."""
    batch, channels, *space = shape
    if domain == "spacetime" and frame_group is None:
        return shape, (0, *range(2, len(shape)), 1), (batch, *space, channels)
    frames, height, width = space
    if domain == "time":
        return shape, (0, 3, 4, 2, 1), (batch * height * width, frames, 1, 1, channels)
    group = frame_group or 1
    split = (batch, channels, frames // group, group, height, width)
    return split, (0, 2, 3, 4, 5, 1), (batch * (frames // group), group, height, width, channels)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes ``order``."""
    return tuple(order.index(axis) for axis in range(len(order)))


def max_pool(x: Array, kernel: tuple[int, ...] | None) -> tuple[Array, Backward]:
    """Maximum over windows of ``kernel`` (stride = kernel, remainder dropped, no padding), channels last.

    x (B, *S, C) -> y (B, *(S // kernel), C).  On a tie the first position in row-major order gets the whole gradient.
    Keeps: which position won, one index an output.
    """
    if kernel is None or all(k == 1 for k in kernel):
        return identity(x)
    xp = array_namespace(x)
    windows, windows_backward = cut_windows(x, kernel)  # (B, *(S // kernel), C, cells)
    cells = windows.shape[-1]
    winner = xp.argmax(xp.real(windows), axis=-1, keepdims=True)
    y = xp.take_along_axis(windows, winner, axis=-1)[..., 0]

    def backward(dy: Array) -> tuple[Array]:
        cell = xp.arange(cells, dtype=winner.dtype, device=device(dy))
        dwindows = xp.where(cell == winner, dy[..., None], constant(0, dy))
        (dx,) = windows_backward(dwindows)
        return (dx,)

    return y, backward


def cut_windows(x: Array, kernel: tuple[int, ...]) -> tuple[Array, Backward]:
    """Whole windows of ``kernel``, their cells in row-major order on the last axis; the remainder is dropped.

    x (B, *S, C) -> windows (B, *(S // kernel), C, cells).  Keeps: shapes.
    """
    xp = array_namespace(x)
    batch, *space, channels = x.shape
    rank, cells = len(kernel), prod(kernel)
    counts = tuple(size // k for size, k in zip(space, kernel, strict=True))
    used = tuple(n * k for n, k in zip(counts, kernel, strict=True))
    # each axis S is split in two, S // kernel windows of kernel cells: (B, n_1, k_1, n_2, k_2, ..., C)
    split = (batch, *(size for pair in zip(counts, kernel, strict=True) for size in pair), channels)
    # and the cells go behind the channels: (B, n_1, n_2, ..., C, k_1, k_2, ...)
    order = (0, *range(1, 2 * rank, 2), 2 * rank + 1, *range(2, 2 * rank + 1, 2))
    cropped = x[(slice(None), *(slice(0, size) for size in used), slice(None))]
    windows = xp.reshape(xp.permute_dims(xp.reshape(cropped, split), order), (batch, *counts, channels, cells))

    def backward(dwindows: Array) -> tuple[Array]:
        ordered = xp.reshape(dwindows, (batch, *counts, channels, *kernel))
        dcropped = xp.reshape(xp.permute_dims(ordered, _inverse(order)), (batch, *used, channels))
        return (_pad_with_zeros(dcropped, space),)

    return windows, backward


def _pad_with_zeros(x: Array, space: list[int]) -> Array:
    """Zeros after the end of each spatial axis, up to ``space``: the gradient of what the pooling dropped."""
    xp = array_namespace(x)
    for axis, size in enumerate(space, start=1):
        if x.shape[axis] < size:
            shape = (*x.shape[:axis], size - x.shape[axis], *x.shape[axis + 1 :])
            x = xp.concat([x, xp.zeros(shape, dtype=x.dtype, device=device(x))], axis=axis)
    return x
