"""Eq. (6). z_i = W_z y_i + x_i: the non-local block, forward from top to bottom, backward from bottom to top."""

from math import prod
from typing import Any

from nonlocal_ref.arguments import (
    check_alike,
    check_choice,
    check_cotangent,
    check_integer,
    check_number,
    check_rank,
    check_same_kind,
    like,
)
from nonlocal_ref.backend import Array, array_namespace
from nonlocal_ref.norm import affine, standardise, standardise_with
from nonlocal_ref.operation import check_how, unchecked_nonlocal_op
from nonlocal_ref.ops import Backward, Tap, identity, linear, no_tap
from nonlocal_ref.params import STATISTICS, BlockConfig, check_config, check_keys, check_shape, param_shapes
from nonlocal_ref.positions import fold, max_pool, unfold

Params = dict[str, Array]


def block(
    x: Array,
    params: Params,
    config: BlockConfig,
    *,
    training: bool = False,
    method: str = "auto",
    workers: int | None = None,
    tap: Tap | None = None,
) -> tuple[Array, Backward]:
    """Eq. (6): z_i = W_z y_i + x_i, y the non-local operation on W_θ x, W_φ x, W_g x.

    Parameters
    ----------
    x : array (B, C, *S)
        Features, channels first, with ``config.dims`` spatial axes.
    params : dict of str to array
        The parameters that `param_shapes` names, of the dtype, namespace and device of x.
    config : BlockConfig
        Which block.
    training : bool
        Batch norm uses the statistics of this batch instead of the running ones.
    method, workers
        How to compute eq. (1), as in `nonlocal_op`.
    tap : callable, optional
        Called as tap(name, array) with "theta", "phi", "g" (B', N, D) after folding, the names of `nonlocal_op`, and in
        training "bn.mean", "bn.var" (biased, as used) and "bn.count".

    Returns
    -------
    z : array (B, C, *S)
    backward : callable
        backward(dz) -> (dx, grads), grads with the keys of the trainable parameters (not ``bn.running_*``).
        Keeps: x, theta, phi, g and their inputs, what `nonlocal_op` keeps, y and W_z y.

    Raises
    ------
    TypeError
        For arrays of another kind, library or dtype than x, a config that is none, or a tap that is not callable.
    ValueError
        For the wrong number of axes or channels, missing, superfluous or misshapen parameters, a frame group that does
        not divide T, an axis shorter than its pooling kernel.

    Notes
    -----
    Multiply-adds at N positions and M keys: 2 N C E for theta and W_z, as much for phi and g (a kernel's worth less
    with pool_order "before"), and N M (D + E) for the operation; backward twice that.

    References
    ----------
    arXiv 1711.07971, section 3.3, eq. (6), figure 2; section 4.1.

    Examples
    --------
    A fresh block changes nothing, so it can be inserted anywhere:

    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> config = nl.BlockConfig(4, dims=1)
    >>> x = np.arange(16.0).reshape(1, 4, 4)
    >>> z, backward = nl.block(x, nl.init_params(config, rng=0), config)
    >>> bool((z == x).all())
    True
    >>> dx, grads = backward(np.ones_like(z))
    >>> grads["bn.bias"]
    array([4., 4., 4., 4.])
    """
    check_config(config)
    check_arguments(x, params, config)
    check_choice("training", training, (True, False))
    check_how(config.variant, x, method, workers, tap)
    look = no_tap if tap is None else tap  # a recorder that is still empty is falsy
    domain, group = config.domain, config.frame_group

    features, fold_backward = fold(x, domain, group)  # (B', *S', C)
    (theta, phi, g), embed_backward = embed(features, params, config)  # (B', N, D), (B', M, D), (B', M, E)
    for name, array in (("theta", theta), ("phi", phi), ("g", g)):
        look(name, array)
    w_f, scale = params.get("w_f.weight"), config.scale_factor
    y, operation_backward = unchecked_nonlocal_op(
        config.variant, theta, phi, g, w_f, scale=scale, method=method, workers=workers, tap=look
    )  # (B', N, E)
    w_z_y, project_backward = project(y, params, config, training=training, tap=look)  # (B', N, C)
    residual, unfold_backward = unfold(w_z_y, tuple(x.shape), domain, group)  # (B, C, *S)
    z = residual + x
    rule, keys = like(z), tuple(params)  # the dict is the caller's, who may change it before the way back

    def backward(dz: Array) -> tuple[Array, Params]:
        check_cotangent("dz", dz, rule, "z")
        (dw_z_y,) = unfold_backward(dz)
        dy, project_grads = project_backward(dw_z_y)
        dtheta, dphi, dg, *dw_f = operation_backward(dy)
        dfeatures, embed_grads = embed_backward(dtheta, dphi, dg)
        (dx_residual,) = fold_backward(dfeatures)
        dx = dz + dx_residual  # x goes two ways in eq. (6)
        grads = embed_grads | project_grads
        if config.variant == "concatenation":
            (grads["w_f.weight"],) = dw_f
        return dx, {key: grads[key] for key in keys if key in grads}

    return z, backward


def embed(features: Array, params: Params, config: BlockConfig) -> tuple[tuple[Array, Array, Array], Backward]:
    """θ = W_θ x, φ = W_φ x, g = W_g x, with φ and g subsampled; for the Gaussian variant θ = x, φ = x.

    features (B', *S', C) -> theta (B', N, D), phi (B', M, D), g (B', M, E).
    backward(dtheta, dphi, dg) -> (dfeatures, grads).  Keeps: features (pooled ones as well), weights, pooling winners.
    """
    xp = array_namespace(features)
    before, after = (config.kernel, None) if config.pool_order == "before" else (None, config.kernel)
    keys, keys_backward = max_pool(features, before)
    theta_map, theta_backward = embedding("theta", features, params)
    phi_map, phi_backward = embedding("phi", keys, params)
    g_map, g_backward = embedding("g", keys, params)
    phi_pooled, phi_pool_backward = max_pool(phi_map, after)
    g_pooled, g_pool_backward = max_pool(g_map, after)

    def positions(values: Array) -> Array:
        return xp.reshape(values, (values.shape[0], prod(values.shape[1:-1]), values.shape[-1]))

    def backward(dtheta: Array, dphi: Array, dg: Array) -> tuple[Array, Params]:
        (dg_map,) = g_pool_backward(xp.reshape(dg, g_pooled.shape))
        (dphi_map,) = phi_pool_backward(xp.reshape(dphi, phi_pooled.shape))
        dkeys_g, g_grads = g_backward(dg_map)
        dkeys_phi, phi_grads = phi_backward(dphi_map)
        dx_theta, theta_grads = theta_backward(xp.reshape(dtheta, theta_map.shape))
        (dx_keys,) = keys_backward(dkeys_phi + dkeys_g)
        return dx_theta + dx_keys, theta_grads | phi_grads | g_grads

    return (positions(theta_map), positions(phi_pooled), positions(g_pooled)), backward


def embedding(name: str, x: Array, params: Params) -> tuple[Array, Backward]:
    """W x + b with the weights of that name, or x itself where there are none (θ and φ of the Gaussian variant).

    x (..., C) -> y (..., D).  backward(dy) -> (dx, grads).  Keeps: x, the weights.
    """
    keys = [key for key in (f"{name}.weight", f"{name}.bias") if key in params]
    y, linear_backward = linear(x, *(params[key] for key in keys)) if keys else identity(x)

    def backward(dy: Array) -> tuple[Array, Params]:
        dx, *dparams = linear_backward(dy)
        return dx, dict(zip(keys, dparams, strict=True))

    return y, backward


def project(
    y: Array, params: Params, config: BlockConfig, *, training: bool, tap: Tap = no_tap
) -> tuple[Array, Backward]:
    """W_z y, and the norm after it.

    y (B', N, E) -> w_z_y (B', N, C).  backward(dw_z_y) -> (dy, grads).  Keeps: y, W_z, x̂ or W_z y, gamma.
    """
    raw, w_z_backward = embedding("w_z", y, params)
    if config.norm is None:
        return raw, w_z_backward
    x_hat, standardise_backward = standardised(raw, params, config, training=training, tap=tap)
    normed, affine_backward = affine(x_hat, params["bn.weight"], params["bn.bias"])

    def backward(dnormed: Array) -> tuple[Array, Params]:
        dx_hat, dgamma, dbeta = affine_backward(dnormed)
        (draw,) = standardise_backward(dx_hat)
        dy, w_z_grads = w_z_backward(draw)
        return dy, w_z_grads | {"bn.weight": dgamma, "bn.bias": dbeta}

    return normed, backward


def standardised(
    raw: Array, params: Params, config: BlockConfig, *, training: bool, tap: Tap
) -> tuple[Array, Backward]:
    """What gamma and beta are applied to: W_z y itself (norm "affine"), or W_z y standardised.  (B', N, C) -> same."""
    if config.norm == "affine":
        return identity(raw)
    if training:
        return standardise(raw, float(config.eps), tap)
    return standardise_with(raw, params["bn.running_mean"], params["bn.running_var"], float(config.eps))


def update_running_stats(params: Params, mean: Array, var: Array, count: int, momentum: float = 0.1) -> Params:
    """The parameters with running statistics moved towards those of one training batch.

    Parameters
    ----------
    params : dict of str to array
        Parameters of a block with norm "batch"; they are not changed.
    mean, var : array (C,)
        What ``block(..., training=True, tap=...)`` hands to the tap as "bn.mean" and "bn.var" (the biased variance).
    count : int
        Number of positions they were taken over, "bn.count".
    momentum : float
        Weight of the new batch, in [0, 1] (PyTorch's convention; Caffe2's is one minus this).

    Returns
    -------
    dict of str to array
        A new dict: running = (1 - momentum) * running + momentum * new, where the variance is the unbiased one,
        var * count / (count - 1), as PyTorch stores it.

    Raises
    ------
    TypeError
        If ``params`` is no dict, or the arrays are not of one kind.
    ValueError
        If the block has no running statistics, a shape differs, count < 2, or the momentum is not in [0, 1].

    Notes
    -----
    O(C).  Only evaluation reads what is moved here, and no gradient reaches it.

    References
    ----------
    Ioffe and Szegedy, arXiv 1502.03167, section 3.1 and algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> params = nl.init_params(nl.BlockConfig(1, inner_channels=1), rng=0)
    >>> new = nl.update_running_stats(params, np.asarray([2.0]), np.asarray([3.0]), 4)
    >>> new["bn.running_mean"], new["bn.running_var"]  # 0.9 * 0 + 0.1 * 2, 0.9 * 1 + 0.1 * 3 * 4 / 3
    (array([0.2]), array([1.3]))
    """
    check_dict(params)
    if not set(STATISTICS) <= set(params):
        msg = f"params must hold {' and '.join(STATISTICS)} (norm 'batch'), got the keys {sorted(params)}"
        raise ValueError(msg)
    positions = check_integer("count", count, least=2)
    weight = check_number("momentum", momentum, lambda value: 0 <= value <= 1, "in [0, 1]")
    rule = check_alike({key: params[key] for key in STATISTICS})
    for name, value in (("mean", mean), ("var", var)):
        check_same_kind(name, value, "bn.running_mean", rule)
        if tuple(value.shape) != rule.shape:
            msg = f"{name} must have the shape of bn.running_mean, {rule.shape}, got {tuple(value.shape)}"
            raise ValueError(msg)
    fresh = {"bn.running_mean": mean, "bn.running_var": var * (positions / (positions - 1))}
    return params | {key: (1 - weight) * params[key] + weight * fresh[key] for key in STATISTICS}


def check_arguments(x: Any, params: Any, config: BlockConfig) -> None:
    """Refuse features and parameters that do not fit the config, before anything is computed."""
    rule = check_alike({"x": x}, complex_too=True)
    check_rank("x", x, {1: "B C S", 2: "B C H W", 3: "B C T H W"}[config.dims])
    if x.shape[1] != config.channels:
        msg = f"x must have {config.channels} channels on axis 1, as the config says, got shape {tuple(x.shape)}"
        raise ValueError(msg)
    _check_space(tuple(x.shape), config)
    check_dict(params)
    shapes = param_shapes(config)
    check_keys(params, shapes)
    for key, shape in shapes.items():
        check_same_kind(f"params[{key!r}]", params[key], "x", rule, complex_too=True)
        check_shape(key, params[key], shape)


def check_dict(params: Any) -> None:
    """Refuse what is not a dict."""
    if not isinstance(params, dict):
        msg = f"params must be a dict of arrays, got {type(params).__name__}"
        raise TypeError(msg)


def _check_space(shape: tuple[int, ...], config: BlockConfig) -> None:
    """Refuse positions that cannot be grouped or pooled."""
    space = shape[2:]
    group = config.frame_group
    if group is not None and space[0] % group:
        msg = f"frame_group must divide T, got frame_group {group} and x {shape} with T = {space[0]}"
        raise ValueError(msg)
    kernel = config.kernel or (1,) * len(space)
    if any(size < k for size, k in zip(space, kernel, strict=True)):
        msg = f"no key position would be left: every spatial axis must hold its kernel {kernel}, got x {shape}"
        raise ValueError(msg)
