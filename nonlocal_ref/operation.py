"""The one door to the non-local operation: `nonlocal_op`, eq. (1), and `weights`, f / C(x) of eqs. (2) to (5)."""

from functools import partial
from typing import Any

from nonlocal_ref.arguments import (
    FLOATS,
    check_alike,
    check_array,
    check_callable,
    check_choice,
    check_cotangent,
    check_device,
    check_integer,
    check_rank,
    like,
)
from nonlocal_ref.backend import Array, array_namespace, backend_name, dtype_name
from nonlocal_ref.dense import dense
from nonlocal_ref.exact import Plan, plan, reassociated, sorted_form, tiled
from nonlocal_ref.exact.planning import check_method
from nonlocal_ref.ops import Backward, Operation, Tap, no_tap
from nonlocal_ref.pairwise import VARIANTS, concatenation, dot_product, gaussian
from nonlocal_ref.params import check_scale


def nonlocal_op(
    variant: str,
    theta: Array,
    phi: Array,
    g: Array,
    w_f: Array | None = None,
    *,
    scale: float | None = None,
    mask: Array | None = None,
    method: str = "auto",
    workers: int | None = None,
    tap: Tap | None = None,
) -> tuple[Array, Backward]:
    """Eq. (1): y_i = 1 / C(x) Σ_j f(x_i, x_j) g(x_j), and its way back.

    Parameters
    ----------
    variant : {"gaussian", "embedded_gaussian", "dot_product", "concatenation"}
        The pairwise function f: eqs. (2), (3), (4), (5).  theta and phi come embedded, so the first two are the same
        function here.
    theta : array (B, N, D)
        Embedded features of the N query positions.
    phi : array (B, M, D)
        Embedded features of the M key positions; M may differ from N.
    g : array (B, M, E)
        What is summed.
    w_f : array (2 D,), optional
        The weights of eq. (5), the half for theta first; "concatenation" needs it, the others refuse it.
    scale : float, optional
        Number multiplied into θ_i · φ_j of (2) and (3), D ** -0.5 for instance; None means 1, as in the paper.
    mask : boolean array broadcastable to (B, N, M), optional
        False where j is not a candidate for i.  (2), (3): softmax over the allowed j.  (4), (5): C(x) counts the
        allowed j.  A row with none gives zeros and zero gradients.
    method : {"auto", "dense", "tiled", "reassociated", "sorted"}
        How to compute it; the numbers are the same up to rounding.  "auto" follows `plan`.  The last three are the
        exact forms without the N x M matrix, of (2) and (3), of (4), of (5); the latter two fall back to dense under a
        mask.
    workers : int, optional
        Threads for the tiled form, with the BLAS limited to one thread each; 1 means no Python threads and the BLAS as
        it is; None lets `plan` decide.  For NumPy alone: other libraries have threads of their own, and on a GPU
        threads would only queue up for the device, so there it is ignored.
    tap : callable, optional
        Called as tap(name, array) with "logits", "max", "exp", "sum" (softmax variants), "weights" (f / C(x)), "y".
        The tap never changes the method: the fast forms have "y" alone to show.

    Returns
    -------
    y : array (B, N, E)
        Of the dtype, namespace and device of the arguments.
    backward : callable
        backward(dy) -> (dtheta, dphi, dg), and dw_f fourth for "concatenation".  Keeps: theta, phi, g, and what the
        form keeps: the dense one the N x M weights (for eq. (5) the sums a_i + b_j as well), the others no N x M array.

    Raises
    ------
    TypeError
        For lists, masked or integer arrays, float16, the byte order of other machines, mixed dtypes or libraries, a
        mask that is not boolean, a tap that is not callable.
    ValueError
        For an unknown variant or method, axes that do not fit, M = 0 or D = 0, mixed devices, a mask that does not
        broadcast, w_f missing or superfluous, a scale for (4) or (5).

    Notes
    -----
    Dense form: B N M (D + E) multiply-adds forward and twice that backward, B (N M E + (N + M) D) for eq. (5); memory
    B N M numbers, a few times over.
    For the others see `plan`.  At "concatenation", ReLU'(0) = 0.  Complex arrays (for a complex-step check) are carried
    through in the dense form, which "auto" then takes.

    References
    ----------
    Wang, Girshick, Gupta, He, "Non-local Neural Networks", CVPR 2018, arXiv 1711.07971, section 3.1, eq. (1), and
    section 3.2, eqs. (2) to (5).

    Examples
    --------
    One query that looks at two keys; the weights are softmax([0, log 3]) = [1/4, 3/4]:

    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> theta = np.asarray([[[1.0]]])
    >>> phi = np.asarray([[[0.0], [np.log(3.0)]]])
    >>> g = np.asarray([[[4.0], [8.0]]])
    >>> y, backward = nl.nonlocal_op("gaussian", theta, phi, g)
    >>> y
    array([[[7.]]])
    >>> dtheta, dphi, dg = backward(np.ones_like(y))
    >>> dg
    array([[[0.25],
            [0.75]]])
    """
    check_arguments(variant, theta, phi, w_f, scale, mask, g=g)
    check_how(variant, theta, method, workers, tap)
    factor = None if scale is None else float(scale)  # a NumPy scalar would raise float32 arrays to float64
    y, operation_backward = unchecked_nonlocal_op(
        variant, theta, phi, g, w_f, scale=factor, mask=mask, method=method, workers=workers, tap=tap
    )
    rule = like(y)

    def backward(dy: Array) -> tuple[Array, ...]:
        check_cotangent("dy", dy, rule, "y")
        return operation_backward(dy)  # type: ignore[no-any-return]

    return y, backward


def weights(
    variant: str,
    theta: Array,
    phi: Array,
    w_f: Array | None = None,
    *,
    scale: float | None = None,
    mask: Array | None = None,
) -> tuple[Array, Backward]:
    """f(x_i, x_j) / C(x) of eqs. (2) to (5): where each position looks.

    Parameters
    ----------
    variant, theta, phi, w_f, scale, mask
        As in `nonlocal_op`.

    Returns
    -------
    weights : array (B, N, M)
        Rows of (2) and (3) sum to one.
    backward : callable
        backward(dweights) -> (dtheta, dphi), and dw_f third for "concatenation".  Keeps: the arguments, and for (2)
        and (3) the weights themselves: do not change those in place before it is called.

    Raises
    ------
    TypeError, ValueError
        As in `nonlocal_op`.

    Notes
    -----
    Every pair in memory: B N M numbers, B N M D multiply-adds.

    References
    ----------
    arXiv 1711.07971, section 3.2, eqs. (2) to (5).

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> theta = np.asarray([[[1.0, 0.0]]])
    >>> phi = np.asarray([[[2.0, 5.0], [4.0, 7.0]]])
    >>> f, backward = nl.weights("dot_product", theta, phi)
    >>> f  # [2, 4] / M with M = 2
    array([[[1., 2.]]])
    """
    check_arguments(variant, theta, phi, w_f, scale, mask)
    factor = None if scale is None else float(scale)  # as in `nonlocal_op`
    f, kernel_backward = pairwise_kernel(variant, w_f, factor, mask)(theta, phi)
    rule = like(f)

    def backward(dweights: Array) -> tuple[Array, ...]:
        check_cotangent("dweights", dweights, rule, "weights")
        return kernel_backward(dweights)  # type: ignore[no-any-return]

    return f, backward


def unchecked_nonlocal_op(
    variant: str,
    theta: Array,
    phi: Array,
    g: Array,
    w_f: Array | None = None,
    *,
    scale: float | None = None,
    mask: Array | None = None,
    method: str = "auto",
    workers: int | None = None,
    tap: Tap | None = None,
) -> tuple[Array, Backward]:
    """`nonlocal_op` for arguments that are known to fit, as those the block computes."""
    look = no_tap if tap is None else tap  # a recorder that is still empty is falsy
    form = _choose(variant, theta, phi, g, mask, method, workers)
    if form.method == "tiled":
        return tiled(theta, phi, g, tiling=form.tiling, scale=scale, mask=mask, tap=look)
    if form.method == "reassociated":
        return reassociated(theta, phi, g, tap=look)
    if form.method == "sorted":
        return sorted_form(theta, phi, g, w_f, tap=look)
    return dense(pairwise_kernel(variant, w_f, scale, mask, look), theta, phi, g, look)


def _choose(
    variant: str, theta: Array, phi: Array, g: Array, mask: Array | None, method: str, workers: int | None
) -> Plan:
    """The plan for these arrays; complex ones have the dense form alone."""
    is_real = dtype_name(theta.dtype) in FLOATS
    batch, queries, depth = theta.shape
    return plan(
        variant,
        *(batch, queries, phi.shape[1], depth, g.shape[2]),
        dtype=dtype_name(theta.dtype) if is_real else "float64",
        mask=mask is not None,
        workers=workers,
        method=method if is_real else "dense",
        backend=backend_name(theta),
    )


def check_how(variant: str, x: Any, method: Any, workers: Any, tap: Any) -> None:
    """Refuse a method that the variant or complex arrays do not have, less than one thread, a tap that is no call."""
    check_method(variant, method)
    kind = dtype_name(x.dtype)
    if kind not in FLOATS and method not in ("auto", "dense"):
        msg = f"method {method!r} is for float32 and float64; {kind} arrays need method 'dense' (or 'auto')"
        raise ValueError(msg)
    if workers is not None:
        check_integer("workers", workers, least=1)
    check_callable("tap", tap, "tap(name, array)")


def pairwise_kernel(
    variant: str, w_f: Array | None, scale: float | None, mask: Array | None, tap: Tap = no_tap
) -> Operation:
    """f / C(x) of a variant as a function of theta and phi alone; both Gaussian variants are eq. (2) here."""
    if variant == "dot_product":
        return partial(dot_product, mask=mask)
    if variant == "concatenation":
        return partial(concatenation, w_f=w_f, mask=mask)
    return partial(gaussian, scale=scale, mask=mask, tap=tap)


def check_arguments(variant: str, theta: Any, phi: Any, w_f: Any, scale: Any, mask: Any, **g: Any) -> None:
    """Refuse arguments that do not fit together, before anything is computed; ``g`` only where there is one."""
    check_choice("variant", variant, VARIANTS)
    arrays = {"theta": theta, "phi": phi, **g}
    if variant == "concatenation":
        if w_f is None:
            msg = "variant 'concatenation' needs w_f, the (2D,) weights of eq. (5), got None"
            raise ValueError(msg)
        arrays["w_f"] = w_f
    elif w_f is not None:
        msg = f"w_f belongs to variant 'concatenation' alone, got one for {variant!r}"
        raise ValueError(msg)
    for name, x in arrays.items():
        if name != "w_f":
            check_array(name, x, unmask="leave keys out through mask=")
    check_alike(arrays, complex_too=True)
    for name, x in arrays.items():
        check_rank(name, x, {"theta": "B N D", "phi": "B M D", "g": "B M E", "w_f": "2D"}[name])
    _check_axes(theta.shape, phi.shape, **{name: x.shape for name, x in arrays.items() if name in {"g", "w_f"}})
    check_scale(variant, scale)
    if mask is not None:
        _check_mask(mask, theta, (theta.shape[0], theta.shape[1], phi.shape[1]))


def _check_axes(
    theta: tuple[int, ...], phi: tuple[int, ...], g: tuple[int, ...] | None = None, w_f: tuple[int, ...] | None = None
) -> None:
    """Refuse shapes whose shared axes differ, and an empty M or D."""
    for what, axis, name, other in (
        ("last axis D", 2, "phi", phi),
        ("first axis B", 0, "phi", phi),
        ("first axis B", 0, "g", g),
    ):
        if other is not None and theta[axis] != other[axis]:
            msg = f"theta and {name} need the same {what}, got theta {tuple(theta)} and {name} {tuple(other)}"
            raise ValueError(msg)
    if g is not None and phi[1] != g[1]:
        msg = f"phi and g need the same number of key positions M, got phi {tuple(phi)} and g {tuple(g)}"
        raise ValueError(msg)
    if w_f is not None and w_f[0] != 2 * theta[2]:
        msg = f"w_f must have shape (2D,) = ({2 * theta[2]},), the half for theta first, got {tuple(w_f)}"
        raise ValueError(msg)
    if phi[1] == 0 or phi[2] == 0:
        msg = f"phi must have at least one position M and one channel D, got shape {tuple(phi)}"
        raise ValueError(msg)


def _check_mask(mask: Any, theta: Array, shape: tuple[int, ...]) -> None:
    """Refuse a mask that is not boolean, lives elsewhere than theta, or does not broadcast to (B, N, M)."""
    check_array("mask", mask)
    xp = array_namespace(theta)
    if array_namespace(mask) is not xp:
        msg = f"mask is a {backend_name(mask)} array but theta is a {backend_name(theta)} array"
        raise TypeError(msg)
    if not xp.isdtype(mask.dtype, "bool"):
        msg = f"mask must be boolean (False = not a candidate), got {dtype_name(mask.dtype)}"
        raise TypeError(msg)
    check_device("mask", mask, "theta", like(theta))
    fits = mask.ndim <= len(shape) and all(
        m in (1, n) for m, n in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if not fits:
        msg = f"mask must broadcast to (B, N, M) = {shape}, got shape {tuple(mask.shape)}"
        raise ValueError(msg)
