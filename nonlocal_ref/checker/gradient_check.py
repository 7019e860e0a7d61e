"""The two public functions: whether ``backward`` is the derivative of ``op``, and keeps its promises."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from nonlocal_ref.arguments import check_choice, check_integer, check_number, read_seed
from nonlocal_ref.checker.contract import ContractError, Problem
from nonlocal_ref.checker.diagnosis import diagnose as proposals_for
from nonlocal_ref.checker.diagnosis import same_cause
from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.jacobians import Jacobians
from nonlocal_ref.checker.leaf_reports import check_leaves
from nonlocal_ref.checker.leaves import read_arguments, unseen
from nonlocal_ref.checker.observation import coarse_output, observe, problems_afterwards
from nonlocal_ref.checker.report import LeafReport, Report

MODES = ("fast", "full")
METHODS = ("auto", "complex", "central", "fourth")


def gradcheck(
    op: Callable[..., Any],
    *args: Any,
    rng: np.random.Generator | int | None = None,
    mode: str = "fast",
    method: str = "auto",
    directions: int = 3,
    rtol: float | None = None,
    linear: bool = False,
    names: Sequence[str] | None = None,
    diagnose: bool = True,
) -> Report:
    """Check every gradient that ``backward`` of an operation returns against measured derivatives.

    For a cotangent u and a direction v the number <backward(u), v> must be the derivative of <u, op(x + t v)> at t = 0.

    Parameters
    ----------
    op : callable
        ``y, backward = op(*args)``; ``backward(dy)`` returns a tuple with one gradient per array argument, in argument
        order.
    *args
        Float arrays (float32 or float64, of any library) and dicts of them are differentiated by; a dict gets a dict of
        gradients, and its keys that get none (running statistics) are constants.  Everything else is a constant.
    rng : numpy.random.Generator, int or None
        Source of the random directions and cotangents; the report states the seed that repeats the check.
    mode : {"fast", "full"}
        "fast": random directions, at a cost that does not grow with the arrays.  "full": entry by entry.
    method : {"auto", "complex", "central", "fourth"}
        How to measure: "complex" step; "central" differences; "fourth"-order differences.  "auto" takes the complex
        step where the operation carries complex numbers through, compares it once with a central difference, and falls
        back on central differences where it does not hold.
    directions : int
        Random cotangents, and in mode "fast" random directions per array: each direction is tried with each cotangent.
    rtol : float, optional
        Relative error to overlook; 1e-7 by default, for float32 30 ε = 3.6e-6.
    linear : bool
        The operation is linear in each array on its own, the others held (a matrix product, a convolution; not x W + b,
        where b is added to what depends on x).  Then op(v) is the derivative along v, and <u, op(v)> = <backward(u), v>
        is checked without any differences.
    names : sequence of str, optional
        One name per argument, constants too; from the signature by default.
    diagnose : bool
        Whether a wrong gradient is looked at further: where it is worst, and what may be wrong with it.  False gives
        the verdict alone.

    Returns
    -------
    Report
        True when every gradient is right and was checked in at least one smooth direction.  ``status`` is "right",
        "wrong" or "inconclusive"; ``report["theta"]`` has the numbers for one array, ``report["theta"].diagnosis`` what
        may be wrong with it, the likeliest first; ``str(report)`` explains.

    Raises
    ------
    TypeError
        If ``op`` is not callable, no argument can be differentiated by, or an option is of the wrong kind.
    ValueError
        For an option that is not known, a float argument with NaN or inf, or arrays without entries alone.

    Notes
    -----
    What the operation does wrong (raise, return the wrong number of gradients, change its inputs) goes into the report.
    When two numbers count as equal, and why, is derived in `nonlocal_ref.checker.verdict`.  A direction along which the
    operation has a kink (ReLU at 0, a tie in a maximum) is drawn again up to 10 times.

    Cost in runs of the operation: a handful, and for each array "fast" about 2 per direction with the complex step and
    6 to 40 with differences; "full" as many per entry.  A wrong array costs 50 to 150 more, for it may be rounding.
    With ``diagnose``, another 25 to 75 to say where it is worst, and 1 (complex step) or 2 for each of at most 128
    entries of it, and of the arrays that hypotheses compare it with.  Where nothing fits, more is asked.  Entries and
    hypotheses together take at most 1000 runs and 30 seconds; where that was not enough, a note says so.

    References
    ----------
    Squire and Trapp, SIAM Review 40 (1998), 110-112: the complex step.  Nocedal and Wright, Numerical Optimization, 2nd
    edition 2006, section 8.1: differences and their best step.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> def square(x):
    ...     def backward(dy):
    ...         return (2 * x * dy,)
    ...
    ...     return x * x, backward
    >>> x = np.asarray([1.0, 2.0, 3.0])
    >>> bool(nl.gradcheck(square, x, rng=0))
    True

    A backward that forgets the factor 2 is found, and told from the right one by its worst entry:

    >>> def wrong_square(x):
    ...     return x * x, lambda dy: (x * dy,)
    >>> report = nl.gradcheck(wrong_square, x, rng=0)
    >>> report.status, report["x"].worst
    ('wrong', (2,))
    >>> report["x"].diagnosis[0]
    Proposal(name='constant_factor', text='half of what it must be (factor 0.5000000)')
    """
    check_options(op, mode, method, directions, rtol, linear)
    check_choice("diagnose", diagnose, (True, False))
    seed = read_seed(rng)
    arguments = read_arguments(op, args, names)
    report = partial(Report, operation_name(op), seed=seed, mode=mode, directions=directions)

    generator = np.random.default_rng(seed)
    try:
        observation = observe(op, arguments, generator, directions)
        evaluation = Evaluation(observation.call, observation.cotangents[0])
        how = "adjoint" if linear else method
        jacobians = Jacobians(evaluation, seed) if diagnose else None
        leaves = check_leaves(observation, evaluation, generator, how, rtol, full=mode == "full", jacobians=jacobians)
        problems = [*observation.problems, *problems_afterwards(observation)]
    except ContractError as error:
        unchecked = [
            LeafReport(leaf.name, leaf.like.shape, "inconclusive", notes=("was not checked",))
            for leaf in arguments.leaves
            if leaf.floating
        ]
        return report(leaves=tuple(unchecked), problems=(error.problem,), constants=(), notes=())
    if jacobians is not None:
        leaves = with_diagnosis(leaves, jacobians, problems, seed)
    changing = {problem.culprit for problem in problems if problem.kind == "not_repeatable"}
    leaves = [without_numbers(leaf) if leaf.name in changing else leaf for leaf in leaves]
    constants = [
        leaf.name for i, leaf in enumerate(arguments.leaves) if leaf.floating and i not in observation.returned
    ]
    measured = (f"derivatives were measured {evaluation.route}",) if evaluation.route else ()
    notes = (*measured, *coarse_output(observation), *unseen(arguments), *cut_short(jacobians))
    return report(leaves=tuple(leaves), problems=tuple(problems), constants=tuple(constants), notes=notes)


def without_numbers(leaf: LeafReport) -> LeafReport:
    """The row of a gradient that is another one in every call: any of them may be right, and none is compared."""
    note = "was not compared, backward gives other numbers each time"
    return LeafReport(leaf.name, leaf.shape, "inconclusive", notes=(note,), diagnosis=leaf.diagnosis)


def with_diagnosis(
    leaves: list[LeafReport], jacobians: Jacobians, problems: list[Problem], seed: int
) -> list[LeafReport]:
    """The reports, with what may be wrong."""
    proposed = proposals_for(jacobians, leaves, problems, seed)
    note = same_cause(proposed)
    return [
        replace(leaf, notes=(*leaf.notes, note))
        if note and leaf.status == "wrong" and leaf.name not in proposed
        else replace(leaf, diagnosis=proposed.get(leaf.name, ()))
        for leaf in leaves
    ]


def cut_short(jacobians: Jacobians | None) -> Iterator[str]:
    """A note where there was not enough of runs, or of time, for the diagnosis."""
    if jacobians is not None and jacobians.runs.cut_short:
        runs = jacobians.runs
        told = f"{runs.made} runs of the operation, {runs.took:.0f} s" if runs.took > 1 else f"{runs.made} runs"
        yield f"the diagnosis was cut short after {told}; a smaller example would tell more"


class GradientError(AssertionError):
    """A gradient is wrong, or could not be checked.

    Attributes
    ----------
    report : Report
        What `nonlocal_ref.gradcheck` returns; it is also the text.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


def check_gradients(
    op: Callable[..., Any],
    *args: Any,
    rng: np.random.Generator | int | None = None,
    mode: str = "fast",
    method: str = "auto",
    directions: int = 3,
    rtol: float | None = None,
    linear: bool = False,
    names: Sequence[str] | None = None,
    diagnose: bool = True,
) -> None:
    """Raise an AssertionError with the whole report unless every gradient is right: `gradcheck` for use inside tests.

    Parameters
    ----------
    op, *args, rng, mode, method, directions, rtol, linear, names, diagnose
        As in `gradcheck`.

    Raises
    ------
    GradientError
        If a gradient is wrong, a promise of the contract is not kept, or an array could not be checked.  It is an
        AssertionError; the report is its ``report`` and its text.
    TypeError, ValueError
        As in `gradcheck`.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> nl.check_gradients(nl.nonlocal_op, "dot_product", *np.random.default_rng(0).normal(size=(3, 1, 4, 2)))
    """
    report = gradcheck(
        op,
        *args,
        rng=rng,
        mode=mode,
        method=method,
        directions=directions,
        rtol=rtol,
        linear=linear,
        names=names,
        diagnose=diagnose,
    )
    if not report:
        raise GradientError(report)


def check_options(op: Any, mode: Any, method: Any, directions: Any, rtol: Any, linear: Any) -> None:
    """Refuse options that do not fit, before anything is called."""
    if not callable(op):
        msg = f"op must be callable, got {type(op).__name__}"
        raise TypeError(msg)
    check_choice("mode", mode, MODES)
    check_choice("method", method, METHODS)
    check_choice("linear", linear, (True, False))
    check_integer("directions", directions, least=1)
    if rtol is not None:
        check_number("rtol", rtol, lambda value: 0 < value < 1, "between 0 and 1")
    if linear and method != "auto":
        msg = f"linear=True measures without differences; leave method='auto', got {method!r}"
        raise ValueError(msg)


def operation_name(op: Callable[..., Any]) -> str:
    """What to call the operation in the report."""
    if isinstance(op, partial):
        fixed = [*map(repr, op.args), *(f"{key}=..." for key in op.keywords)]
        return f"{operation_name(op.func)}({', '.join([*fixed, '...'])})"
    return getattr(op, "__name__", type(op).__name__)
