"""How exact: error ratios |err| / (eps * magnitude) against the float64 oracle of `nonlocal-ref compare`."""

import numpy as np

from nonlocal_ref.comparison import cases, oracle
from tests import tolerances

EPS = float(np.finfo(np.float32).eps)


def error_ratios(outputs, exact):
    """The largest error ratio of y and of every gradient, by name."""
    return {
        name: float(f"{tolerances.error_ratio(got, *exact[name], EPS):.3g}")
        for name, got in zip(exact, outputs, strict=True)
    }


def reference(case, x):
    """Exact values and their magnitudes by name: y, dtheta, dphi, dg (and dw_f), float64."""
    wide = {name: array.astype(np.float64) for name, array in x.items()}
    exact = oracle.exact_operation(cases.Case(case.variant, cases.Size(case.B, case.N, case.M, case.D, case.E)), wide)
    return {name: exact[name] for name in ("y", *(f"d{name}" for name in case.names))}
