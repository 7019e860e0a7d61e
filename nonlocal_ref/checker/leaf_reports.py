"""Every gradient that backward returned, checked one after the other."""

from dataclasses import replace

import numpy as np

from nonlocal_ref.checker.evaluation import Evaluation
from nonlocal_ref.checker.jacobians import CutShortError, Jacobians
from nonlocal_ref.checker.leaf_check import LeafCheck
from nonlocal_ref.checker.measurement import Measurement
from nonlocal_ref.checker.noise import RUNS, moved_by_one_ulp, output_noise, sample_gradients
from nonlocal_ref.checker.observation import Observation
from nonlocal_ref.checker.report import LeafReport
from nonlocal_ref.checker.verdict import Entry, default_rtol, worst

CLOSER = 3  # entries that are measured carefully, to name the worst one
UNUSABLE = "not every cotangent gave a gradient that can be compared"
KINKED = "a kink in every direction tried (or the operation rounds far more coarsely inside than its dtype)"


def check_leaves(
    observation: Observation,
    evaluation: Evaluation,
    rng: np.random.Generator,
    method: str,
    rtol: float | None,
    *,
    full: bool,
    jacobians: Jacobians | None,
) -> list[LeafReport]:
    """Compare every gradient with measurements: that of a float64 copy for its formula, then that of float32 itself.

    With Jacobians to be measured the worst entry of a wrong one is named as well.
    """
    call, finer = observation.call, evaluation.call
    gradients, noise = observation.gradients, observation.noise
    if finer is not call:
        gradients, noise = sample_gradients(finer, observation.cotangents, rng)
    neighbours = [moved_by_one_ulp(finer.arguments, finer.values, rng) for _ in range(RUNS)]
    y_noise = output_noise(finer, neighbours)
    cotangents = np.stack([u.ravel() for u in observation.cotangents]).astype(np.float64)

    reports = []
    for position in observation.returned:
        leaf = call.arguments.leaves[position]
        if any(position not in found for found in (*observation.gradients, *gradients)):
            reports.append(LeafReport(leaf.name, leaf.like.shape, "wrong", notes=(UNUSABLE,)))
            continue
        if leaf.values.size == 0:
            reports.append(LeafReport(leaf.name, leaf.like.shape, "right", notes=("no entries",)))
            continue
        eps = float(finer.precision(position).eps)
        accepted = default_rtol(eps) if rtol is None else rtol
        measurement = Measurement(
            evaluation, position, cotangents, y_noise.ravel(), neighbours[0], method, accepted, evaluation.eps
        )
        check = LeafCheck(measurement, _rows(gradients, position), _rows(noise, position))
        report = check_leaf(check, rng, len(cotangents), full=full, jacobians=jacobians)
        if report.status == "right" and call.precision(position).eps > eps:
            report = check_own_precision(observation, measurement, rng, jacobians) or report
        reports.append(report)
    return reports


def check_own_precision(
    observation: Observation, measurement: Measurement, rng: np.random.Generator, jacobians: Jacobians | None
) -> LeafReport | None:
    """The gradient in the dtype it was asked for, where that is coarser than the measurement; None if it is right."""
    call, finer, position = observation.call, measurement.evaluation.call, measurement.position
    eps = float(call.precision(position).eps)
    noise = eps * np.abs(finer.y_values) + np.abs(call.y_values - finer.y_values)
    coarse = replace(
        measurement,
        output_noise=noise.ravel(),
        method="central",
        rtol=max(measurement.rtol, default_rtol(eps)),
        eps=eps,
        notes=[f"right in float64, but in {measurement.leaf.values.dtype} farther off than its rounding"],
    )
    check = LeafCheck(coarse, _rows(observation.gradients, position), _rows(observation.noise, position))
    report = check_leaf(check, rng, 1, full=False, jacobians=jacobians)
    return report if report.status == "wrong" else None


def check_leaf(
    check: LeafCheck, rng: np.random.Generator, count: int, *, full: bool, jacobians: Jacobians | None
) -> LeafReport:
    """Random directions, or every entry; what is wrong along a direction is then looked at entry by entry."""
    measurement, leaf = check.measurement, check.measurement.leaf
    size = leaf.values.size
    entries = check.at_entries(range(size)) if full else []
    verdicts = [entry.verdict for entry in entries] if full else check.along_directions(rng, count)
    if not verdicts:
        notes = (*measurement.notes, KINKED) if measurement.applies else tuple(measurement.notes)
        return LeafReport(leaf.name, leaf.like.shape, "inconclusive", kinked=check.kinked, notes=notes)
    right = all(verdict.right for verdict in verdicts)
    if jacobians is not None:
        jacobians.methods.setdefault(measurement.position, measurement.method)
        if not right and not full:
            entries = worst_entries(check, jacobians)
    at_worst = worst(verdicts)
    if not full and check.unseen.size:
        unseen = f"{check.unseen.size} of {size} entries are beside a kink wherever they move, and were not compared"
        measurement.notes.append(unseen)
    return LeafReport(
        leaf.name,
        leaf.like.shape,
        "right" if right else "wrong",
        method=measurement.method,
        analytic=at_worst.analytic,
        numeric=at_worst.numeric,
        error=at_worst.error,
        bound=at_worst.bound,
        worst_entry=max(entries, key=lambda entry: (not entry.verdict.right, entry.verdict.error), default=None),
        zero=all(verdict.size <= verdict.bound for verdict in verdicts),
        smooth=check.smooth,
        kinked=check.kinked,
        notes=tuple(measurement.notes),
    )


def worst_entries(check: LeafCheck, jacobians: Jacobians) -> list[Entry]:
    """The first that is wrong of the entries that differ most from the measured Jacobian; it may be beside a kink."""
    measurement = check.measurement
    try:
        entries, jacobian = jacobians.of(measurement.position)
        off = np.max(np.abs(check.gradients[:, entries] - measurement.cotangents @ jacobian), axis=0, initial=0.0)
        plain = LeafCheck(replace(measurement, closely=False), check.gradients, check.noise)
        for entry in entries[np.argsort(-off)][:CLOSER]:
            found = plain.at_entries([int(entry)])
            if any(not looked_at.verdict.right for looked_at in found):
                return found
    except CutShortError:
        return []
    return []


def _rows(found: list[dict[int, np.ndarray]], position: int) -> np.ndarray:
    """One leaf's gradients for all cotangents, one row each."""
    return np.stack([gradients[position].ravel() for gradients in found])
