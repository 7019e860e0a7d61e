"""Blocks that silently do nothing."""

from collections.abc import Mapping

import numpy as np


def idle_reasons(params: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Why a block with these parameters adds nothing to x that depends on x; empty if it does add something.

    Parameters
    ----------
    params : mapping of str to numpy.ndarray
        Of a block, under our keys.

    Returns
    -------
    tuple of str
        One sentence each.  A block that was never trained has one (it starts as the identity); after training it is a
        sign that the block was not in the network, or that something initialised it again.  Two zeros at once are a
        dead block: no gradient can reach them any more.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import idle_reasons
    >>> idle_reasons(nl.init_params(nl.BlockConfig(4, norm=None), rng=0))
    ('w_z.weight is zero everywhere: the block adds no more than a constant to x',)
    """
    zero = zero_weights(params)
    reasons = [f"{key} is zero everywhere: the block adds no more than a constant to x" for key in zero]
    dead = reason_to_be_dead(params)
    if dead is not None:
        reasons.append(dead)
    elif (
        not zero and "bn.weight" in params and not np.any(params["w_z.weight"].any(axis=1) & (params["bn.weight"] != 0))
    ):
        reasons.append("in every channel bn.weight or w_z.weight is zero: the block adds no more than a constant to x")
    return tuple(reasons)


def reason_to_be_dead(params: Mapping[str, np.ndarray]) -> str | None:
    """Why no gradient can reach these parameters any more; None if it can."""
    zero = zero_weights(params)
    if len(zero) < 2:
        return None
    return f"{' and '.join(zero)} are zero together: no gradient reaches them, the block is dead"


def zero_weights(params: Mapping[str, np.ndarray]) -> list[str]:
    """Of the weights that y is multiplied by one after the other, those that are zero everywhere."""
    return [key for key in ("g.weight", "w_z.weight", "bn.weight") if key in params and not np.any(params[key])]
