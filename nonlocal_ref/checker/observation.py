"""The operation on its arguments as they were given: gradients for random cotangents, and which promises it keeps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from nonlocal_ref.checker.contract import Call, ContractError, Gradients, Problem, misplaced, run, unusable
from nonlocal_ref.checker.leaves import Arguments
from nonlocal_ref.checker.noise import sample_gradients
from nonlocal_ref.checker.verdict import default_rtol

REORDERED = 256.0  # rounding errors, in units of ε, by which two runs on the same arrays may differ


class Observation(NamedTuple):
    """What backward gave for some cotangents, and what was seen on the way."""

    call: Call
    cotangents: list[np.ndarray]
    gradients: list[Gradients]  # one dict per cotangent; only leaves whose gradient can be computed with
    noise: list[Gradients]
    returned: list[int]  # positions of all leaves that got a gradient
    problems: list[Problem]


def observe(op: Callable[..., Any], arguments: Arguments, rng: np.random.Generator, count: int) -> Observation:
    """Run the operation, call backward for ``count`` random cotangents, and watch what else happens."""
    call = run(op, arguments, arguments.values)
    check_repeatable(call)
    # never ones: the backward of softmax, for one, is zero for a cotangent of ones
    cotangents = [rng.normal(size=call.y_values.shape).astype(call.y_values.dtype) for _ in range(count)]
    first = cotangents[0]
    returned = call.returned(first)
    gradients, noise = sample_gradients(call, cotangents, rng)
    twice, at_zero, at_minus_two = call.gradients(first), call.gradients(0 * first), call.gradients(-2 * first)

    observation = Observation(call, cotangents, gradients, noise, sorted(returned), gradient_problems(call, returned))
    told = "gets another gradient when backward is called a second time"
    impure = [Problem(name, told, "not_repeatable") for name in differing(observation, twice, 1)]
    told = "gets a gradient that is not 0 for dy = 0; backward must be linear"
    moved = {name for found in (at_zero, at_minus_two, *gradients[1:]) for name in differing(observation, found, 1)}
    nonlinear = [
        Problem(name, told if name in moved else f"{told}: backward does not use dy", "not_linear")
        for name in differing(observation, at_zero, 0)
    ]
    # a factor of -2 is exact in floating point, and tells |dy| from dy
    told = "gets a gradient for -2 dy that is not -2 times that for dy; backward must be linear"
    nonlinear += [Problem(name, told, "not_linear") for name in differing(observation, at_minus_two, -2)]
    observation.problems.extend([*call.changes(), *(impure or nonlinear)])
    return observation


def coarse_output(observation: Observation) -> tuple[str, ...]:
    """That y has fewer digits than all arrays it is made from, so that small mistakes are not seen."""
    call = observation.call
    dtypes = [leaf.values.dtype for leaf in call.arguments.leaves if leaf.floating]
    coarsest = max(dtypes, key=lambda dtype: np.finfo(dtype).eps)
    y_dtype, eps = call.y_values.dtype, float(np.finfo(call.y_values.dtype).eps)
    if eps <= np.finfo(coarsest).eps:
        return ()
    return (f"y is {y_dtype} though the arrays are {coarsest}: an error below {default_rtol(eps):.1g} is not seen",)


def problems_afterwards(observation: Observation) -> list[Problem]:
    """Whether backward read anything that later runs of the operation have overwritten."""
    if observation.problems:
        return []
    again = observation.call.gradients(observation.cotangents[0])
    told = "gets another gradient after the operation ran on other inputs; backward must keep what it needs"
    stale = [Problem(name, told, "overwritten") for name in differing(observation, again, 1)]
    return observation.call.changes() + stale


def check_repeatable(call: Call) -> None:
    """Refuse an operation that gives another y for the same arguments (but for the rounding of a parallel device)."""
    y, again = call.y_values, call.again(call.values).y_values
    rounding = REORDERED * float(np.finfo(y.dtype).eps) * np.max(np.abs(y), initial=0.0)
    if again.shape != y.shape or np.any(np.abs(again - y) > rounding):
        raise ContractError("op", "gives another y when it is called again with the same arguments; is it random?")


def gradient_problems(call: Call, returned: dict[int, Any]) -> list[Problem]:
    """Gradients that cannot be used, or have another dtype, library or device than their array."""
    problems = []
    for position, dx in returned.items():
        leaf = call.arguments.leaves[position]
        why = unusable(leaf, dx) or misplaced(leaf, dx)
        if why is not None:
            problems.append(Problem(leaf.name, why))
    return problems


def differing(observation: Observation, found: Gradients, factor: float) -> list[str]:
    """Leaves whose gradient in ``found`` is not ``factor`` times the first one, up to the reordering of sums."""
    first, call = observation.gradients[0], observation.call
    leaves = call.arguments.leaves
    # sums of terms as large as any gradient, each in the units of its own array
    largest = max((np.max(np.abs(dx), initial=0.0) * leaves[p].scale for p, dx in first.items()), default=0.0)
    names = []
    for position, dx in first.items():
        precision = call.precision(position)
        rounding = REORDERED * float(precision.eps) * largest / leaves[position].scale + float(precision.tiny)
        if position not in found or np.any(np.abs(found[position] - factor * dx) > rounding):
            names.append(leaves[position].name)
    return names
