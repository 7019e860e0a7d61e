"""Non-local Neural Networks (Wang, Girshick, Gupta, He; CVPR 2018, arXiv 1711.07971), forward and backward, to be read.

Every operation returns its value and the way back: ``y, backward = op(...)``.  From the paper's equations to the files:

    softmax, linear, relu: the pieces of all of them   ops.py
    eq. (1)  y_i = 1 / C(x) Σ_j f(x_i, x_j) g(x_j)     dense.py; the door is operation.py, `nonlocal_op`
    eq. (2)  Gaussian                                  pairwise/gaussian.py
    eq. (3)  embedded Gaussian (self-attention)        pairwise/embedded_gaussian.py
    eq. (4)  dot product                               pairwise/dot_product.py
    eq. (5)  concatenation                             pairwise/concatenation.py
    the same without the N x M matrix                  exact/; the choice is exact/planning.py, `plan`
    eq. (6)  z_i = W_z y_i + x_i, the block            residual_block.py, `block`
    3.3      subsampling; space, time, spacetime       positions.py
    4.1      batch norm after W_z; initialisation      norm.py; params.py
    Buades, Coll, Morel 2005: non-local means          denoise/
    is a gradient right?                               checker/
    hold another implementation to this one            testing/, vectors/
    the same numbers on every library?                 comparison/, machine/
    answers of a learner                               exercises/
    where somebody's code raised; words of reports     blame.py, wording.py
    NumPy, CuPy, PyTorch, JAX                          backend.py
"""

from nonlocal_ref.backend import BackendUnavailableError, to_backend
from nonlocal_ref.checker import GradientError, check_gradients, gradcheck
from nonlocal_ref.denoise import non_local_means
from nonlocal_ref.exact import Plan, plan
from nonlocal_ref.operation import nonlocal_op, weights
from nonlocal_ref.pairwise import VARIANTS
from nonlocal_ref.params import BlockConfig, init_params, param_shapes
from nonlocal_ref.residual_block import block, update_running_stats

__version__ = "0.1.0"

__all__ = [
    "VARIANTS",
    "BackendUnavailableError",
    "BlockConfig",
    "GradientError",
    "Plan",
    "__version__",
    "block",
    "check_gradients",
    "gradcheck",
    "init_params",
    "non_local_means",
    "nonlocal_op",
    "param_shapes",
    "plan",
    "to_backend",
    "update_running_stats",
    "weights",
]
