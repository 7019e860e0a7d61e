"""Our parameters under the names of other implementations, so that their code can load them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from nonlocal_ref.arguments import check_choice
from nonlocal_ref.params import BlockConfig, check_config, check_keys, check_shape, param_shapes
from nonlocal_ref.testing.conventions import CONVENTIONS, PARTS, Convention

EXPORTS = tuple(name for name, rules in CONVENTIONS.items() if rules.expresses is not None)


def export_state_dict(
    params: Mapping[str, np.ndarray], config: BlockConfig, convention: str, *, prefix: str = ""
) -> dict[str, np.ndarray]:
    """A state dict for another implementation.

    Parameters
    ----------
    params : mapping of str to numpy.ndarray
        Of a block, with the keys and shapes of `nonlocal_ref.param_shapes`.
    config : BlockConfig
        Which block.
    convention : {"slowfast", "mmcv", "alexhex7"}
        Whose names.
    prefix : str
        Of the block in the network.

    Returns
    -------
    dict of str to numpy.ndarray
        Kernels as convolutions, (C', C, 1, 1, 1); biases that the config does not have are zeros.

    Raises
    ------
    ValueError
        If the parameters do not fit the config, or where the other code computes something else: another order of
        pooling, another scale, a norm that it does not have, no place for a bias that is not zero.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import export_state_dict
    >>> config = nl.BlockConfig(4, variant="gaussian", norm=None, bias=False)
    >>> state = export_state_dict(nl.init_params(config, rng=0), config, "alexhex7", prefix="layer2.0.nl")
    >>> {name: array.shape for name, array in state.items()}["layer2.0.nl.g.0.weight"]
    (2, 4, 1, 1, 1)
    """
    check_config(config)
    check_choice("convention", convention, EXPORTS)
    rules, shapes = CONVENTIONS[convention], param_shapes(config)
    check_params(params, shapes)
    _refuse_other_numbers(config, convention, rules)
    wanted = [f"{part}.bias" for part in PARTS[:4] if f"{part}.weight" in shapes]
    exported = {}
    for key in dict.fromkeys([*shapes, *wanted]):
        value = np.asarray(params[key]) if key in params else np.zeros(shapes[key.replace("bias", "weight")][0])
        if key == "w_z.bias" and convention == "mmcv" and config.norm is not None:
            if np.any(value):
                msg = "w_z.bias must be zero, mmcv has none before a norm; subtract it from bn.running_mean instead"
                raise ValueError(msg)
            continue
        name = rules.names[key][-1 if _takes_last(key, config) else 0]
        exported[f"{prefix}.{name}" if prefix else name] = np.array(value).reshape(_their_shape(key, value, config))
    return exported


def check_params(params: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse parameters with other keys or shapes than those."""
    check_keys(params, shapes)
    for key, shape in shapes.items():
        check_shape(key, params[key], shape)


def _takes_last(key: str, config: BlockConfig) -> bool:
    """Whether their layer stands in a sequence: phi and g with their pooling, W_z with its norm."""
    if key.startswith(("phi", "g")):
        return config.kernel is not None
    return config.norm is not None


def _their_shape(key: str, value: np.ndarray, config: BlockConfig) -> tuple[int, ...]:
    """A kernel of size 1 behind the weights; w_f is a convolution over pairs, always in 2D, with one output."""
    if key == "w_f.weight":
        return (1, *value.shape, 1, 1)
    is_kernel = key.endswith(".weight") and not key.startswith("bn.")
    return (*value.shape, *(1,) * config.dims) if is_kernel else value.shape


def _refuse_other_numbers(config: BlockConfig, name: str, rules: Convention) -> None:
    """Refuse a config that their code cannot compute: the parameters would load, and the numbers be others."""
    values = {field: getattr(config, field) for field in rules.expresses or {}}
    softmax = config.variant in {"gaussian", "embedded_gaussian"}
    if "scale" in values and config.scale_factor == config.depth**-0.5:
        values["scale"] = "inner"
    if config.kernel in {None, BlockConfig(config.channels, dims=config.dims).kernel}:
        values["subsample"] = config.kernel is not None
    irrelevant = {"pool_order": config.kernel is None, "scale": not softmax, "eps": config.norm is None}
    for field, value in values.items():
        fits = (rules.expresses or {}).get(field, (value,))
        if irrelevant.get(field):
            continue
        if field == "scale" and name == "mmcv" and config.variant == "gaussian":
            fits = (None,)
        if not any(value is option or value == option for option in fits):
            known = ", ".join(map(repr, fits))
            msg = f"{rules.title} has no {field}={value!r} (only {known}): it would give other numbers"
            raise ValueError(msg)
