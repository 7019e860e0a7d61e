"""When two numbers for the same derivative count as equal.

The analytic number is a = <backward(u), v>, the measured one is n = <u, J v>: the same real number, computed in two ways.
They are equal when

    |a - n| <= rtol max(|a|, |n|) + truncation + 16 (noise of a + noise of n)

``rtol`` (1e-7 in float64) is what we are willing to overlook; a gradient wrong by one part in a million is rejected.  The
other two are what nobody can see.  A floating-point sum of terms t_k comes out with an error of about ε Σ|t_k|, however
small the sum itself is: where terms cancel, digits are lost, in a right gradient as in a wrong one.  So the floor is made
of the sizes of the summed terms, not of the sums:

    noise of a                            = Σ_i (ε |g_i| + δg_i) |v_i|         g = backward(u)
    noise of n, complex step or adjoint   = Σ_k |u_k| (ε |ẏ_k| + δẏ_k)         ẏ = J v
    noise of n, differences with step h   = Σ_k |u_k| (ε |y_k| + δy_k) / h     two values of y, each with its error, over 2h

The sums that we write down ourselves are the first terms.  The sums inside the operation are out of sight (the softmax
backward is p (dp - Σ p dp), nothing but cancellation once p saturates), so their rounding is observed: the operation is
run again on inputs moved by one unit in the last place.  No algorithm can be asked to tell the two apart, every sum inside
is rounded anew, and the distances δg, δy, δẏ between the runs are of the size of their rounding errors: ε times the size
of the terms.  The factor 16 covers that this is a sample of a few, and that rounding errors of different runs differ.

ε is that of the dtype: for a float32 operation the noise of a is float32's, while n is measured in float64.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

SAFETY = 16.0
RTOL = 1e-7
LEAST_RTOL_IN_EPS = 30.0  # float32: 3.6e-6


class Verdict(NamedTuple):
    """One comparison: right where error <= bound."""

    analytic: float
    numeric: float
    error: float
    bound: float

    @property
    def right(self) -> bool:
        """Whether the two numbers are equal within the bound; NaN never is."""
        return self.error <= self.bound

    @property
    def excess(self) -> float:
        """Error in units of the bound, to find the worst of several."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else np.inf


class Entry(NamedTuple):
    """The verdict on one entry of a gradient."""

    index: tuple[int, ...]
    verdict: Verdict


def default_rtol(eps: float) -> float:
    """1e-7, or 30 ε where the dtype is too coarse for that."""
    return max(RTOL, LEAST_RTOL_IN_EPS * eps)


def judge(analytic: float, numeric: float, rtol: float, noise: float, truncation: float = 0.0) -> Verdict:
    """Compare the two numbers; see the module's first lines for the bound."""
    bound = rtol * max(abs(analytic), abs(numeric)) + truncation + SAFETY * noise
    return Verdict(analytic, numeric, abs(analytic - numeric), bound)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict farthest beyond its bound."""
    return max(verdicts, key=lambda verdict: (not verdict.right, verdict.excess))
