"""How far off y, z and every gradient may be after rounding, entry by entry, in units of ε times a magnitude.

    error ratio = |got - exact| / (ε magnitude)

The magnitudes come from eqs. (1) and (6) computed once more (rounded_operation.py, rounded_block.py) with numbers that
keep account of their rounding (rounding.py).  Whoever judges numbers takes them from there: the conformance kit, the
comparison of array libraries, the golden vectors, the tests and the benchmarks.  Host NumPy, float64.
"""

from typing import Any

import numpy as np

from nonlocal_ref.params import BlockConfig
from nonlocal_ref.residual_block import Params
from nonlocal_ref.testing.rounded_block import block
from nonlocal_ref.testing.rounded_operation import operation
from nonlocal_ref.testing.rounding import Rounded, given

LIMIT = 30.0  # LAPACK's bound for all of its routines; rounding alone gives about 1

Values = dict[str, np.ndarray]


def error_ratios(got: np.ndarray, exact: np.ndarray, magnitude: np.ndarray, eps: float) -> np.ndarray:
    """|got - exact| / (eps magnitude), entry by entry; NaN and inf in ``got`` count as inf.  Underflow is forgiven."""
    tiny = float(np.finfo(np.float64 if eps < 1e-10 else np.float32).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        ratios = np.abs(np.asarray(got) - np.asarray(exact)) / (eps * np.asarray(magnitude) + tiny)
    return np.where(np.isnan(ratios), np.inf, ratios)


def operation_magnitudes(
    variant: str, arrays: Values, dy: np.ndarray, scale: float | None = None, mask: np.ndarray | None = None
) -> Values:
    """Magnitudes of the weights, of y and of every gradient of eq. (1); arrays are theta, phi, g, and w_f if any."""
    seen: dict[str, Any] = {}
    inputs = (given(array) for array in arrays.values())
    y, backward = operation(variant, *inputs, scale=scale, mask=mask, tap=seen.__setitem__)
    gradients = dict(zip((f"d{name}" for name in arrays), backward(given(dy)), strict=True))
    return magnitudes_of({"weights": seen["weights"], "y": y} | gradients)


def block_magnitudes(config: BlockConfig, x: np.ndarray, params: Params, dz: np.ndarray, *, training: bool) -> Values:
    """Magnitudes of z, dx and every gradient of eq. (6)."""
    z, dx, grads = block(config, x, params, dz, training=training)
    return magnitudes_of({"z": z, "dx": dx} | {f"d{key}": gradient for key, gradient in grads.items()})


def magnitudes_of(results: dict[str, Rounded]) -> Values:
    """Their magnitudes."""
    return {name: result.magnitude for name, result in results.items()}
