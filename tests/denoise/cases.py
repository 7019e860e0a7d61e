"""Small images and options, drawn by hypothesis."""

import numpy as np
from hypothesis import strategies as st

SHAPES = st.sampled_from([(1,), (2,), (9,), (30,), (1, 1), (1, 7), (5, 6), (6, 4), (2, 3, 4), (3, 1, 5), (1, 4, 1)])
OPTIONS = {
    "padding": st.sampled_from(["reflect", "symmetric", "edge", "wrap"]),
    "patch_weights": st.sampled_from(["flat", "gaussian"]),
    "center": st.sampled_from(["one", "max", "zero"]),
    "h": st.sampled_from([0.4, 1.0, 3.0, float("inf")]),
    "sigma": st.sampled_from([0.0, 0.3, 1.5]),
}
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def images(draw, shapes=SHAPES):
    """Normal noise, or a few levels only, so that some patches are equal."""
    rng = np.random.default_rng(draw(SEEDS))
    noise = rng.standard_normal(draw(shapes))
    return np.round(noise) if draw(st.booleans()) else noise


@st.composite
def sizes(draw, axes, choices):
    """One number, or one per axis."""
    one = st.sampled_from(choices)
    return draw(st.one_of(one, st.tuples(*[one] * axes)))


@st.composite
def cases(draw, fixed=None, **narrowed):
    """An image, with or without channels, and every option; ``fixed`` are options not drawn."""
    image = draw(images())
    axes = image.ndim
    channel_axis = draw(st.one_of(st.none(), st.integers(-axes - 1, axes)))
    if channel_axis is not None:
        rng = np.random.default_rng(draw(SEEDS))
        image = np.stack([image + rng.standard_normal(image.shape) for _ in range(2)], axis=channel_axis)
    fixed = fixed or {}
    options = {name: draw(narrowed.get(name, choices)) for name, choices in OPTIONS.items() if name not in fixed}
    options["patch_size"] = draw(sizes(axes, [1, 3, 5]))
    options["patch_distance"] = draw(sizes(axes, [0, 1, 2, 40]))
    return image, options | {"channel_axis": channel_axis} | fixed
