"""The numbers of one case: what goes in, what comes out, and how far off the latter may be."""

from typing import NamedTuple
from zlib import crc32

import numpy as np

from nonlocal_ref.residual_block import block
from nonlocal_ref.testing.examples import draw, feature_size, random_params, with_pairs
from nonlocal_ref.testing.magnitudes import Values, block_magnitudes
from nonlocal_ref.vectors.cases import Case


class Outputs(NamedTuple):
    """Arrays under the names of the file, z, dx and grads/..., and the magnitudes of their rounding errors."""

    values: Values
    magnitudes: Values


def draw_inputs(case: Case) -> Values:
    """x, dz and params/..., the same ones every time, exact in float32."""
    rng = np.random.default_rng(crc32(case.name.encode()))
    params = random_params(case.config, rng)
    x = draw(rng, case.shape, feature_size(case.config))
    params = with_pairs(case.config, x, params)
    return {"x": x, "dz": draw(rng, case.shape)} | {f"params/{key}": value for key, value in params.items()}


def compute_outputs(case: Case, inputs: Values) -> Outputs:
    """z, dx and every gradient by the dense form, from the inputs."""
    x, dz = inputs["x"], inputs["dz"]
    params = {name.removeprefix("params/"): value for name, value in inputs.items() if name.startswith("params/")}
    z, backward = block(x, params, case.config, training=case.training, method="dense")
    dx, grads = backward(dz)
    magnitudes = block_magnitudes(case.config, x, params, dz, training=case.training)
    values = {"z": z, "dx": dx} | {f"grads/{key}": value for key, value in grads.items()}
    sizes = {name: magnitudes[f"d{name.removeprefix('grads/')}" if "/" in name else name] for name in values}
    return Outputs(values, sizes)
