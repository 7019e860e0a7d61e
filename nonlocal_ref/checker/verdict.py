"""When two numbers for the same derivative count as equal.

The analytic number is a = <backward(u), v>, the measured one is n = <u, J v>: one real number, computed in two ways.
They count as equal when

    |a - n| <= rtol max(|a|, |n|) + truncation + 16 (noise of a + noise of n)

``rtol`` is what we are willing to overlook: 1e-7, so that a gradient wrong by one part in a million is rejected.  The
other two are what nobody can see.  A floating-point sum of terms t_k comes out with an error of about ε Σ|t_k|, however
small the sum itself is: where terms cancel, digits are lost, in a right gradient as in a wrong one.  A purely relative
test therefore alarms at a right gradient of a saturated softmax.  The floor is made of the sizes of the summed terms:

    noise of a                            Σ_i (ε |g_i| + δg_i) |v_i|         g = backward(u)
    noise of n, complex step or adjoint   Σ_k |u_k| (ε |ẏ_k| + δẏ_k)         ẏ = J v
    noise of n, differences with step h   Σ_k |u_k| (ε |y_k| + δy_k) / h     two values of y, subtracted, over 2h

The sums that the checker writes down itself are the first terms.  Those inside the operation are out of sight (the
backward of softmax is p (dp - Σ p dp), nothing but cancellation once p saturates), so their rounding is observed: the
operation is run again on inputs moved by one unit in the last place.  That rounds every sum anew, and the distances
δg, δy, δẏ between the runs are of the size of the errors; to δy the second differences of y over tiny steps are added.
The factor 16 covers that this is a sample of a few.

A sample can be blind: a softmax with p = 1 rounds the same way every time.  What cancels there is as large as the
slopes the operation has elsewhere, y divided by the length over which y changes; and a difference has to find that
length, for it is the longest step h over which the operation looks straight.  So before a complex step may call a
gradient wrong, the noise of a difference along the same direction is added to its own.  In the same way a slope that is
lost in the rounding is judged by the noise of the first step that is tried, not by that of a longer one.

That is generous where a difference sees little, beside a kink or where y hardly depends on the array.  A gradient that
is right by this addition alone gets a second look, with ε times the steepest slope of y between here and where y is
another one (at least ε|y| over the size of the array) in place of the addition.  An error beyond that bound counts if
it stays: a - n must be the same, to half of it, at four places where all arrays and u are a millionth away.  A mistake
does, rounding falls anew.

Out of sight stays what is smaller than the rounding it is made of.  A millionth of a gradient cannot be seen where one
unit in the last place of the arguments changes the gradient by 6e-8 of itself (batch norm of nearly equal numbers);
where a softmax is saturated (1 - p below about 1e-9: p (dp - Σ p dp) loses those digits in a right backward too); or
where an operation for real numbers alone has a gradient below about 1e-8 of y per size of the array: a difference sees
no more.

ε is that of the dtype.  A float32 gradient is compared twice: its formula on float64 copies, with the bound above, and
the float32 numbers with ε = 1.2e-7 and rtol = 30 ε.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

SAFETY = 16.0
RTOL = 1e-7
LEAST_RTOL_IN_EPS = 30.0


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
    def size(self) -> float:
        """The larger of the two numbers."""
        return max(abs(self.analytic), abs(self.numeric))

    @property
    def excess(self) -> float:
        """The error in units of the bound."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else np.inf


class Entry(NamedTuple):
    """The verdict on one entry of a gradient."""

    position: tuple[int, ...]
    verdict: Verdict


def default_rtol(eps: float) -> float:
    """1e-7, or 30 ε where the dtype is too coarse for that."""
    return max(RTOL, LEAST_RTOL_IN_EPS * eps)


def judge(analytic: float, numeric: float, rtol: float, noise: float, truncation: float = 0.0) -> Verdict:
    """Compare two numbers; the bound is derived in the first lines of this file."""
    bound = rtol * max(abs(analytic), abs(numeric)) + truncation + SAFETY * noise
    return Verdict(analytic, numeric, abs(analytic - numeric), bound)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict farthest beyond its bound; of several exact ones that on the largest numbers."""
    return max(verdicts, key=lambda verdict: (not verdict.right, verdict.excess, verdict.size))
