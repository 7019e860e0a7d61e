"""The gradient checker: whether ``backward`` is the derivative of ``op``, and keeps its promises.

From the question to the files:

    what is asked                                    gradient_check.py: `gradcheck`, `check_gradients`
    arguments -> named arrays (leaves)               leaves.py
    y, backward = op(...): promises kept?            contract.py, observation.py
    a derivative, by calling op                      differences.py; evaluation.py, measurement.py
    <backward(u), v> against <u, J v>                leaf_check.py
    when two numbers count as equal                  verdict.py, noise.py
    where it is worst, ∂y / ∂leaf entry by entry     jacobians.py
    what may be wrong                                diagnosis/
    what comes out                                   report.py
"""

from nonlocal_ref.checker.gradient_check import GradientError, check_gradients, gradcheck
from nonlocal_ref.checker.report import LeafReport, Proposal, Report

__all__ = ["GradientError", "LeafReport", "Proposal", "Report", "check_gradients", "gradcheck"]
