"""Which hypothesis is asked first, and what is said of a leaf.

Special before general: a hypothesis that has few ways to be true comes before one that has many.  All must explain what
came for every cotangent, and leave far less unexplained than there was (`Evidence.close`).  Cheap before costly: what
needs the operation again is asked where nothing else has explained anything.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np

from nonlocal_ref.checker.contract import ContractError, Problem
from nonlocal_ref.checker.diagnosis.behind import behind_a_layer, hidden_rows
from nonlocal_ref.checker.diagnosis.entrywise import (
    a_derivative_forgotten,
    a_factor_for_each_entry,
    a_factor_for_each_output,
)
from nonlocal_ref.checker.diagnosis.evidence import Evidence, Scene, usable
from nonlocal_ref.checker.diagnosis.factors import (
    constant_factor,
    cotangent_scaled,
    factor_along_an_axis,
    mean_for_sum,
    scale_twice,
    zero_gradient,
)
from nonlocal_ref.checker.diagnosis.gates import gate_of_dy, gradient_where_none_belongs, right_where_open
from nonlocal_ref.checker.diagnosis.known_operation.known import a_path_left_out, a_usual_mistake
from nonlocal_ref.checker.diagnosis.layers import (
    a_path_through_a_weight,
    another_weight,
    other_inputs_of_a_layer,
    paths_with_a_factor,
    weights_not_transposed,
)
from nonlocal_ref.checker.diagnosis.partners import another_array_is_read, moved_and_scaled
from nonlocal_ref.checker.diagnosis.places import (
    another_argument,
    cotangent_permuted,
    forward_along_an_axis,
    forward_for_transpose,
    permuted,
)
from nonlocal_ref.checker.diagnosis.softmax import softmax_jacobian
from nonlocal_ref.checker.diagnosis.sums import added_once_each, one_part_of_the_sum, one_place_of_several, wrong_shape
from nonlocal_ref.checker.diagnosis.terms import (
    gradient_of_another_path,
    nothing_for_some_entries,
    one_factor_of_a_product,
    one_of_two_uses,
    path_straight_through,
    statistics_as_constants,
)
from nonlocal_ref.checker.diagnosis.values import (
    another_input_of_the_last_layer,
    does_not_see_the_values,
    right_at_other_values,
    x_for_y,
)
from nonlocal_ref.checker.jacobians import CutShortError, Jacobians
from nonlocal_ref.checker.report import LeafReport, Proposal

MOST_PROPOSALS = 3
Found = TypeVar("Found")
Hypothesis = Callable[[Evidence], Iterator[Proposal]]
Groups = Callable[[Evidence], Iterator[list[Proposal]]]
FROM_WHAT_IS_KNOWN: tuple[Hypothesis, ...] = (
    zero_gradient,
    scale_twice,
    mean_for_sum,
    constant_factor,
    another_argument,
    permuted,
    one_part_of_the_sum,
    softmax_jacobian,
    a_path_left_out,
    path_straight_through,
    gradient_of_another_path,
    a_usual_mistake,
)
BY_ASKING_AGAIN: tuple[Hypothesis, ...] = (
    one_of_two_uses,
    one_factor_of_a_product,
    cotangent_permuted,
    forward_for_transpose,
    forward_along_an_axis,
    gradient_where_none_belongs,
    right_where_open,
    factor_along_an_axis,
    cotangent_scaled,
    statistics_as_constants,
    added_once_each,
    one_place_of_several,
    nothing_for_some_entries,
    x_for_y,
    another_input_of_the_last_layer,
)
BESIDE_A_RESIDUAL: tuple[Hypothesis, ...] = (
    scale_twice,
    constant_factor,
    permuted,
    one_part_of_the_sum,
    cotangent_permuted,
    cotangent_scaled,
)
IN_ITS_LAYER: tuple[Hypothesis, ...] = (
    a_path_through_a_weight,
    another_weight,
    weights_not_transposed,
    other_inputs_of_a_layer,
    paths_with_a_factor,
)
ENTRY_BY_ENTRY: tuple[Hypothesis, ...] = (
    another_array_is_read,
    moved_and_scaled,
    a_derivative_forgotten,
    a_factor_for_each_output,
    a_factor_for_each_entry,
)
BEHIND_A_LAYER: tuple[Hypothesis, ...] = (
    path_straight_through,
    cotangent_permuted,
    permuted,
    gradient_where_none_belongs,
    factor_along_an_axis,
    statistics_as_constants,
    nothing_for_some_entries,
    a_factor_for_each_entry,
)
AT_OTHER_VALUES: tuple[Hypothesis, ...] = (right_at_other_values, does_not_see_the_values)


def diagnose(
    jacobians: Jacobians, reports: list[LeafReport], problems: list[Problem], seed: int
) -> dict[str, tuple[Proposal, ...]]:
    """Proposals by the name of the array, the likeliest first."""
    found = {problem.culprit: from_problem(problem) for problem in problems}
    found = {name: proposals for name, proposals in found.items() if proposals}
    positions = {leaf.name: position for position, leaf in enumerate(jacobians.evaluation.arguments.leaves)}
    scene = Scene(jacobians, seed)
    nonlinear = {problem.culprit for problem in problems if problem.kind == "not_linear"}
    wrong = [report.name for report in reports if report.status == "wrong" or report.name in nonlinear]
    for groups in (from_the_jacobian, at_other_values):  # the second, for what is left, runs the operation again
        for name in wrong:
            if name not in found:
                proposals = of_leaf(scene, positions[name], groups, linear=name not in nonlinear)
                distinct = {proposal.name: proposal for proposal in reversed(proposals)}
                likeliest = tuple(islice((p for p in proposals if distinct[p.name] is p), MOST_PROPOSALS))
                found |= {name: likeliest} if likeliest else {}
    return found


def same_cause(found: dict[str, tuple[Proposal, ...]]) -> str | None:
    """A note for what no hypothesis explains: where all else has one cause, this may be a consequence of it."""
    if len({proposals[0].name for proposals in found.values()}) != 1:
        return None
    return f"no hypothesis fits; is it a consequence of what is wrong with {next(iter(found))}?"


def from_problem(problem: Problem) -> tuple[Proposal, ...]:
    """A promise that was not kept and says by itself what is wrong."""
    if problem.kind == "overwritten":
        return (Proposal("stale_value", "an array that backward reads is overwritten; make a new one for each call"),)
    return ()


def of_leaf(scene: Scene, position: int, groups: Groups, *, linear: bool) -> list[Proposal]:
    """Everything that explains one gradient."""
    try:
        if not linear:
            return list(gate_of_dy(scene, position))
        if not usable(scene, position):
            return list(wrong_shape(scene, position))
        evidence = Evidence(scene, position)
        if not evidence.wrong:
            return []
    except (ContractError, CutShortError):  # backward raises for other cotangents: nothing can be asked
        return []
    return next((found for found in groups(evidence) if found), [])


def from_the_jacobian(evidence: Evidence) -> Iterator[list[Proposal]]:
    """What each group of hypotheses says, the next one asked only where all before it said nothing."""
    yield told_by(FROM_WHAT_IS_KNOWN, evidence)
    yield told_by(BY_ASKING_AGAIN, evidence)
    rest = evidence.less_the_path_straight_through()
    if rest is not None:
        yield told_by(BESIDE_A_RESIDUAL, rest, "beside the path straight through: ")
    yield told_by(IN_ITS_LAYER, evidence)
    yield told_by(ENTRY_BY_ENTRY, evidence)
    for weight, behind in asked(behind_a_layer, evidence):
        yield told_by(BEHIND_A_LAYER, behind, f"of the product with {weight}: ")
    for weight, hidden in asked(hidden_rows, evidence):
        yield told_by(BEHIND_A_LAYER, hidden, f"of the product with {weight}: ")


def at_other_values(evidence: Evidence) -> Iterator[list[Proposal]]:
    """What runs the operation many times."""
    for hypothesis in AT_OTHER_VALUES:
        yield told_by((hypothesis,), evidence)


def told_by(hypotheses: tuple[Hypothesis, ...], evidence: Evidence, where: str = "") -> list[Proposal]:
    """The proposals of a group, in its order."""
    found = [proposal for hypothesis in hypotheses for proposal in asked(hypothesis, evidence)]
    return [Proposal(name, f"{where}{text}") for name, text in found]


def asked(hypothesis: Callable[[Evidence], Iterator[Found]], evidence: Evidence) -> list[Found]:
    """What a hypothesis says; nothing where the operation raises when it is asked, or may not be run again."""
    try:
        with np.errstate(all="ignore"):
            return list(hypothesis(evidence))
    except (
        ContractError,
        CutShortError,
        np.linalg.LinAlgError,
        ArithmeticError,
    ):  # no value there, no solution, or out of range
        return []
