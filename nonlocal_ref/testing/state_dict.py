"""Parameters from other people's state dicts to ours, and back, with a report of what did not fit."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj, is_torch_array

from nonlocal_ref.backend import to_numpy
from nonlocal_ref.params import BlockConfig, check_config
from nonlocal_ref.testing.conventions import CONVENTIONS
from nonlocal_ref.testing.idleness import idle_reasons
from nonlocal_ref.testing.name_matching import (
    blocks_of,
    choose_convention,
    find_convention,
    match_names,
    nearest,
    unusable,
)
from nonlocal_ref.wording import kind


class StateReport(NamedTuple):
    """What was read, and what was not.

    Attributes
    ----------
    convention, prefix : str
        Whose names they were, and of which block.
    zeros : tuple of str
        Our biases that the state does not have; they are zero.
    unused : tuple of str
        Names under the prefix that belong to no parameter of a block.
    warnings : tuple of str
        What is suspicious about the values: a block that does nothing, NaN, a negative variance.
    """

    convention: str
    prefix: str
    zeros: tuple[str, ...]
    unused: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.convention} names, prefix {self.prefix!r}"]
        for title, found in (("not there, taken as zero", self.zeros), ("unused", self.unused)):
            lines.append(f"{title}: {', '.join(found) or 'none'}")
        return "\n".join([*lines, *(f"warning: {warning}" for warning in self.warnings)])


class LoadedBlock(NamedTuple):
    """Our parameters and the report on how they were found: ``params, report = read_state_dict(...)``."""

    params: dict[str, np.ndarray]
    report: StateReport


def read_state_dict(
    state: Mapping[str, Any], config: BlockConfig, *, convention: str | None = None, prefix: Any = None
) -> LoadedBlock:
    """The parameters of one block out of a state dict of another implementation.

    Parameters
    ----------
    state : mapping of str to array
        Of a block, or of a whole network: ``module.state_dict()``, what `load_weights` read, a dict of Caffe2 blobs.
    config : BlockConfig
        Which block it is: a state dict does not tell the variant, the pooling or the scale.
    convention : str, optional
        Whose names they are, one of `CONVENTIONS`; found out by default.
    prefix : str, optional
        Of the block in the network, ``"layer3.1.non_local_block"``; by default the only one there is.

    Returns
    -------
    params : dict of str to numpy.ndarray
        float64, in the keys and shapes of `nonlocal_ref.param_shapes`.
    report : StateReport
        What was taken as zero, what was left over, what looks wrong.

    Raises
    ------
    TypeError
        If the state is no mapping of names to arrays, or a parameter in it is None, a list, a string.
    ValueError
        For missing keys, misshapen values, several blocks and no prefix, and for what the config has no place for, as a
        bias on w_f that is not zero; with the names.

    Notes
    -----
    Missing biases are zero (mmcv has none on W_z before a norm).  Biases that the config does not want are ignored
    where they are zero.  Kernels (C', C, 1, 1, 1) become matrices (C', C).

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import export_state_dict, read_state_dict
    >>> config = nl.BlockConfig(4, pool_order="before", scale="inner")
    >>> state = export_state_dict(nl.init_params(config, rng=0), config, "slowfast", prefix="s3.pathway0_nonlocal1")
    >>> params, report = read_state_dict(state, config)
    >>> report.convention, report.prefix
    ('slowfast', 's3.pathway0_nonlocal1')
    >>> print(report.warnings[0])
    bn.weight is zero everywhere: the block adds no more than a constant to x
    """
    check_config(config)
    check_state(state)
    if prefix is None:
        places = find_blocks(state) if convention is None else blocks_of(state, find_convention(convention))
        prefix = _only(places, state, config)
    if not isinstance(prefix, str):
        msg = f"prefix must be a string, got {prefix!r}"
        raise TypeError(msg)
    prefix = prefix.rstrip("._")
    inside = {name: x for name, x in state.items() if name.startswith(prefix)}
    rules = choose_convention(inside, config, prefix) if convention is None else find_convention(convention)
    for name in unusable(inside, rules, prefix):
        msg = f"{name} must be an array, got {kind(inside[name])}; a bias that is not there is left out"
        raise TypeError(msg)
    arrays = {name: plain(name, x) for name, x in inside.items() if is_array_api_obj(x)}
    match = match_names(arrays, config, rules, prefix)
    params = match.values(arrays)
    name = next(name for name, rule in CONVENTIONS.items() if rule is rules)
    warnings = [*_suspicious(params), *idle_reasons(params)]
    return LoadedBlock(params, StateReport(name, prefix, match.zeros, match.unused, tuple(warnings)))


def find_blocks(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Prefixes of all non-local blocks in a state dict, under every known naming; empty where the network has none.

    Parameters
    ----------
    state : mapping of str to array
        Of a whole network.

    Returns
    -------
    tuple of str
        In the order of the state.

    Examples
    --------
    >>> from nonlocal_ref.testing import find_blocks
    >>> find_blocks({"layer3.1.nl.g.weight": 0, "layer3.1.nl.W.0.weight": 0, "fc.weight": 0})
    ('layer3.1.nl',)
    """
    found = [prefix for rules in CONVENTIONS.values() for prefix in blocks_of(state, rules)]
    order = list(state)
    return tuple(sorted(set(found), key=lambda prefix: next(i for i, n in enumerate(order) if n.startswith(prefix))))


def check_state(state: Any) -> None:
    """Refuse what is no mapping of names."""
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        msg = f"state must map names to arrays, got {type(state).__name__}; for Caffe2 pass the dict under 'blobs'"
        raise TypeError(msg)


def plain(name: str, value: Any) -> np.ndarray:
    """One array as float64 on the host; half precision is widened, objects are refused."""
    host = to_numpy(value.double() if is_torch_array(value) and value.is_floating_point() else value)
    if host.dtype.kind not in "fiub":
        msg = f"{name} must hold numbers, got {host.dtype}"
        raise TypeError(msg)
    return host.astype(np.float64)


def _only(places: Iterable[str], state: Mapping[str, Any], config: BlockConfig) -> str:
    """The one block there is."""
    prefixes = list(places)
    if len(prefixes) == 1:
        return prefixes[0]
    if prefixes:
        msg = f"there are {len(prefixes)} blocks, prefix must be one of {', '.join(map(repr, prefixes))}"
    else:
        some = ", ".join(list(state)[:5]) or "nothing"
        near = nearest(state, config)
        there = f"the state has {some}, ..." if near is None else f"nearest are {near}"
        msg = f"no non-local block was found under any known naming ({', '.join(CONVENTIONS)}); {there}"
    raise ValueError(msg)


def _suspicious(params: Mapping[str, np.ndarray]) -> list[str]:
    found = [f"{key} is not finite" for key, value in params.items() if not np.all(np.isfinite(value))]
    if np.any(params.get("bn.running_var", np.ones(1)) < 0):
        found.append("bn.running_var is negative somewhere: no variance is")
    return found
