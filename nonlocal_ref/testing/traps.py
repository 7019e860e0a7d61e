"""What implementations of the non-local block got wrong, one small function a mistake.

A function of `READINGS` looks at the right reading and yields other readings: what happened, in words, and the fields
that differ.  The numbers under each are computed (readings.py) and held against the user's.  Mistakes in the gradient
alone are functions of the right gradients: `GRADIENT_MISTAKES`.  Where each was seen: docs/conformance.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from nonlocal_ref.pairwise import SOFTMAX_VARIANTS
from nonlocal_ref.testing.magnitudes import Values
from nonlocal_ref.testing.readings import Reading

WRONG_AXIS = "softmax over the wrong axis"
SQRT_MULTIPLIED = "multiplied by sqrt(D)"
SCALED_BY_C = "scaled by C"
POOLING_ORDER = "pooling order"
FLAT_POOLING = "flattened pooling"
GAMMA_RESET = "gamma reset to 1"
NEVER_TRAINS = "never trains"
DIVIDED_BY_BATCH = "gradient divided by the batch"
TRAPS = (
    WRONG_AXIS,
    SQRT_MULTIPLIED,
    SCALED_BY_C,
    POOLING_ORDER,
    FLAT_POOLING,
    GAMMA_RESET,
    NEVER_TRAINS,
    DIVIDED_BY_BATCH,
)

Change = tuple[str, dict[str, Any]]  # what happened, and the fields of the reading that differ


@dataclass(frozen=True)
class Sizes:
    """The numbers that mistakes mix up; channels and kernel are those of a block, space what is folded together."""

    batch: int
    depth: int
    queries: int
    keys: int
    channels: int | None = None
    kernel: tuple[int, ...] | None = None
    has_gamma: bool = False
    eps: float | None = None  # of a batch norm


def softmax_over_the_wrong_axis(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Rows of f / C(x) must sum to one."""
    if right.variant not in SOFTMAX_VARIANTS:
        return
    for over in ("queries i", "pairs (i, j) at once", "batch"):
        yield (
            f"the softmax runs over the {over}; it belongs over the keys j, the last axis",
            {"softmax_over": over.split()[0]},
        )


def multiplied_by_sqrt_d(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Dividing by D ** -0.5 is multiplying by sqrt(D)."""
    if right.variant in SOFTMAX_VARIANTS and sizes.depth > 1:
        factor = 1 if right.scale is None else right.scale
        yield (
            f"the logits are multiplied by sqrt(D) = {sizes.depth**0.5:.6g}; the scale here is {factor:.6g}",
            {"scale": sizes.depth**0.5},
        )


def scaled_by_c(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """The vectors compared have D entries, not C."""
    if right.variant in SOFTMAX_VARIANTS and sizes.channels not in {None, sizes.depth}:
        yield (
            "the logits are scaled by C ** -0.5, the block's channels; D is the length of theta_i and phi_j",
            {"scale": (sizes.channels or 1) ** -0.5},
        )


def pooling_order(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """A maximum and a linear map with negative weights cannot change places."""
    if sizes.kernel is None:
        return
    if right.pool_order == "after":
        yield (
            "x is pooled before phi and g; the config pools phi(x) and g(x) (pool_order='after', the paper's text)",
            {"pool_order": "before"},
        )
    else:
        yield (
            "phi(x) and g(x) are pooled; the config pools x before phi and g (pool_order='before', the authors' code)",
            {"pool_order": "after"},
        )


def flattened_pooling(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Neighbours in the flattened index are not neighbours in space."""
    if sizes.kernel is None or len(sizes.kernel) == 1:
        return
    for kernel in sorted({2, max(sizes.kernel), prod(sizes.kernel)}):
        if 1 < kernel <= sizes.queries:
            yield (
                f"windows of {kernel} of the flattened index of positions are pooled; a window has {sizes.kernel}",
                {"flat_kernel": kernel},
            )


def gamma_reset(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """An initialiser that fills every norm with ones after the block was made undoes its zero."""
    if sizes.has_gamma:
        yield "bn.weight is taken to be 1, whatever it is; does something initialise it again?", {"gamma_is_one": True}


def adds_nothing(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """A block that is made anew in every call is the identity for ever."""
    if sizes.channels is not None:
        yield (
            "z = x although no parameter is zero; is the block made anew in each call, or never called?",
            {"adds_nothing": True},
        )


def another_scale(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """None in the paper, D ** -0.5 in the authors' code."""
    if right.variant in SOFTMAX_VARIANTS:
        yield "the logits are not scaled", {"scale": None}
        yield "the logits are scaled by D ** -0.5", {"scale": sizes.depth**-0.5}


def another_divisor(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """C(x) is the number of positions summed over."""
    if right.variant not in SOFTMAX_VARIANTS and sizes.keys != sizes.queries:
        yield "f is divided by N, the number of queries; the sum has M terms, the keys", {"divisor": "queries"}


def not_divided(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Without C(x) the output grows with the number of positions."""
    if right.variant not in SOFTMAX_VARIANTS and sizes.keys > 1:
        yield f"f is not divided by C(x) = M = {sizes.keys}, the number of keys", {"divisor": "nothing"}


def not_pooled(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Subsampling is an option that many ports leave off."""
    if sizes.kernel is not None:
        yield f"nothing is pooled; the config pools with {sizes.kernel}", {"subsample": False}


def another_variant(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Both have the same parameters."""
    other = {"embedded_gaussian": "dot_product", "dot_product": "embedded_gaussian"}.get(right.variant)
    if other is not None:
        scale = None if right.variant == "embedded_gaussian" else sizes.depth**-0.5
        yield f"the pairwise function is {other!r}", {"variant": other, "scale": None}
        if scale is not None:
            yield f"the pairwise function is {other!r}, scaled by D ** -0.5", {"variant": other, "scale": scale}


def another_eps(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """1.0000001e-5 in Caffe2, 1e-5 in PyTorch and MXNet, 1e-3 in Keras."""
    for eps in (1e-5, 1.0000001e-5, 1e-3) if sizes.eps is not None else ():
        if eps != sizes.eps:
            yield f"the norm adds eps = {eps!r} to the variance; the config says {sizes.eps!r}", {"eps": eps}


def no_residual(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """Eq. (6) ends with + x_i."""
    if sizes.channels is not None:
        yield "x is not added: z is W_z y alone (after its norm, if it has one)", {"residual": False}


def axis_not_moved(right: Reading, sizes: Sizes) -> Iterator[Change]:
    """A reshape moves no axis: numbers of different positions and channels change places."""
    for what in ("y", "w_z y") if sizes.channels is not None else ():
        yield (
            f"{what} is (B, N, C) and was reshaped to (B, C, *S); move its channels first: transpose, then reshape",
            {"not_moved": what},
        )


READINGS: tuple[tuple[str, Callable[[Reading, Sizes], Iterator[Change]]], ...] = (
    (WRONG_AXIS, softmax_over_the_wrong_axis),
    (SQRT_MULTIPLIED, multiplied_by_sqrt_d),
    (SCALED_BY_C, scaled_by_c),
    (POOLING_ORDER, pooling_order),
    (FLAT_POOLING, flattened_pooling),
    (GAMMA_RESET, gamma_reset),
    (NEVER_TRAINS, adds_nothing),
    ("another scale", another_scale),
    ("divided by N", another_divisor),
    ("not divided by M", not_divided),
    ("not pooled", not_pooled),
    ("another variant", another_variant),
    ("another eps", another_eps),
    ("no residual", no_residual),
    ("reshape for a transpose", axis_not_moved),
)


def all_divided(gradients: Values, batch: int) -> tuple[str, Values]:
    """A loss averages over the batch; its gradient brings the factor along, the operation must not add another."""
    what = f"every gradient is divided by the batch, B = {batch}; that belongs to the loss, not to the operation"
    return what, {name: value / batch for name, value in gradients.items()}


def parameters_divided(gradients: Values, batch: int) -> tuple[str, Values]:
    """A parameter's gradient is a sum over the batch, not a mean."""
    what = f"the gradients of the parameters are divided by the batch, B = {batch}; they are sums, not means"
    return what, {name: value if name == "dx" else value / batch for name, value in gradients.items()}


GRADIENT_MISTAKES = ((DIVIDED_BY_BATCH, all_divided), (DIVIDED_BY_BATCH, parameters_divided))
