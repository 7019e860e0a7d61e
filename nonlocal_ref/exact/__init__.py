"""The same values as `nonlocal_ref.dense` without the N x M matrix, and the plan that chooses.

Eqs. (2), (3): tiled.py, a walk over tiles of queries that computes the weights again on the way back.
Eq. (4): reassociated.py, (θ φᵀ) g = θ (φᵀ g).
Eq. (5): sorted_form.py, sorting and prefix sums.
"""

from nonlocal_ref.exact.planning import Plan, plan
from nonlocal_ref.exact.reassociated import reassociated
from nonlocal_ref.exact.sorted_form import sorted_form
from nonlocal_ref.exact.tiled import tiled

__all__ = ["Plan", "plan", "reassociated", "sorted_form", "tiled"]
