"""Where and in which precision the operation is called for the measured derivative.

A measured derivative needs all the digits it can get.  Unless everything is in float64 already, the same values are
handed to the operation in float64: on the arrays' own device where it holds float64, else as NumPy arrays on the host,
else (an operation that is made for float32 alone) as they were given.
"""

import warnings
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from array_api_compat import numpy as xp_numpy

from nonlocal_ref.backend import Array, from_host, to_numpy
from nonlocal_ref.checker.contract import Call, ContractError, run
from nonlocal_ref.checker.differences import Line
from nonlocal_ref.checker.leaves import Leaf, Values

# Where else to look: so many sizes of the array away, and at arrays so much smaller
DISTANCES = tuple(sign * 2.0**k for k in range(-2, 5) for sign in (1.0, -1.0))
FACTORS = (2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-10)


def _where_they_are(leaf: Leaf, values: np.ndarray) -> Array:
    return from_host(values, leaf.like.xp, leaf.like.device)


def _on_the_host(leaf: Leaf, values: np.ndarray) -> Array:
    return from_host(values, xp_numpy, None)


ROUTES = {"on float64 copies": _where_they_are, "on float64 copies, as NumPy arrays on the host": _on_the_host}


class Evaluation:
    """The operation as a function of host arrays, as precise as can be had: values of all leaves in, output out."""

    def __init__(self, call: Call, u: np.ndarray) -> None:
        self.arguments = call.arguments
        self.values: Values = [
            leaf.values.astype(np.float64) if leaf.floating else leaf.values for leaf in self.arguments.leaves
        ]
        self.call = call
        self.route = ""
        floating = [leaf.values for leaf in self.arguments.leaves if leaf.floating]
        if any(x.dtype != np.float64 for x in [call.y_values, *floating]):
            for route, convert in ROUTES.items():
                try:
                    finer = run(call.op, self.arguments, self.values, convert)
                    finer.gradients(u)
                except Exception:  # whatever the operation, or its library, says to arrays it was not made for
                    continue
                self.call, self.route = finer, route
                break
        self.shape = self.call.y_values.shape
        self.eps = max(
            float(self.call.precision(i).eps) for i, leaf in enumerate(self.arguments.leaves) if leaf.floating
        )

    def elsewhere(self, position: int, v: np.ndarray) -> list["Evaluation"]:
        """The same where one leaf has moved along v, the nearest first, then where all of them are smaller.

        Only places where the operation has a value; somewhere among them it is not saturated.
        """
        leaves = self.arguments.leaves
        tried = []
        for t in DISTANCES:
            moved = [x + t * leaves[position].scale * v if i == position else x for i, x in enumerate(self.values)]
            tried.append((moved, self.arguments))
        for factor in FACTORS:
            smaller = [factor * x if leaf.floating else x for x, leaf in zip(self.values, leaves, strict=True)]
            rescaled = tuple(leaf._replace(values=x) for x, leaf in zip(smaller, leaves, strict=True))
            tried.append((smaller, replace(self.arguments, leaves=rescaled)))
        found = []
        for values, arguments in tried:
            there = copy(self)
            there.values, there.arguments = values, arguments
            with suppress(ContractError), np.errstate(all="ignore"):
                there.call = self.call.again(values)
                found.append(there)
        return found

    def output(self, values: Values) -> np.ndarray:
        """op(values) on the host; overflow and the like are not reported here, they show as inf or NaN."""
        args, _ = self.arguments.fill(values, self.call.convert)
        with np.errstate(all="ignore"):
            y, _ = self.call.op(*args)
        return to_numpy(y)

    def line(self, position: int, v: np.ndarray, values: Values | None = None) -> Line:
        """f(t) = op(x + t v), moving the leaf at ``position``; NaN where the operation raises.

        For a complex t all floating leaves become complex together.
        """
        base = self.values if values is None else values

        @cache
        def f(t: Any) -> np.ndarray:
            moved = list(base)
            moved[position] = base[position] + t * v
            return self._carried(moved) if isinstance(t, complex) else self._stepped(moved)

        return f

    def _stepped(self, values: Values) -> np.ndarray:
        """op(values), or NaN outside the domain of op: no derivative can be had from that step."""
        try:
            y = self.output(values)
        except Exception:  # whatever the operation raises there
            y = np.empty(0)
        return y if y.shape == self.shape else np.full(self.shape, np.nan)

    def _carried(self, values: Values) -> np.ndarray:
        """op on complex arrays, or NaN if it refuses them, drops the imaginary part, or gives real numbers back."""
        leaves = self.arguments.leaves
        numbers = [x.astype(np.complex128) if leaf.floating else x for leaf, x in zip(leaves, values, strict=True)]
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*[Cc]omplex values to real")
            try:
                y = self.output(numbers)
            except Exception:  # most libraries refuse to order or to cast complex numbers
                y = np.empty(0)
        return y if np.iscomplexobj(y) and y.shape == self.shape else np.full(self.shape, complex(np.nan, np.nan))
