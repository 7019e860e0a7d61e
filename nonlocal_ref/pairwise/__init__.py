"""f(x_i, x_j) / C(x), every pair in memory: one equation of the paper (section 3.2) a file."""

from nonlocal_ref.pairwise.concatenation import concatenation
from nonlocal_ref.pairwise.dot_product import dot_product
from nonlocal_ref.pairwise.embedded_gaussian import embedded_gaussian
from nonlocal_ref.pairwise.gaussian import gaussian

VARIANTS = ("gaussian", "embedded_gaussian", "dot_product", "concatenation")
SOFTMAX_VARIANTS = ("gaussian", "embedded_gaussian")

__all__ = ["SOFTMAX_VARIANTS", "VARIANTS", "concatenation", "dot_product", "embedded_gaussian", "gaussian"]
