"""Hypotheses on an operation that was recognised: each usual mistake written out, and each path taken away."""

from collections.abc import Iterator

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Evidence
from nonlocal_ref.checker.diagnosis.factors import described, same
from nonlocal_ref.checker.diagnosis.known_operation.pieces import Paths
from nonlocal_ref.checker.report import Proposal


def a_usual_mistake(evidence: Evidence) -> Iterator[Proposal]:
    """It is what our own pieces give with one mistake among them."""
    recognised = evidence.scene.recognised
    if recognised is None:
        return
    for number, mistake in enumerate(recognised.mistakes):
        candidate = total(recognised.wrong(number), evidence)
        if candidate is not None and evidence.explained_by(candidate):
            yield Proposal(mistake.name, mistake.text)
            return


def a_path_left_out(evidence: Evidence) -> Iterator[Proposal]:
    """Every path to this array with a factor: 0 is a path forgotten."""
    recognised = evidence.scene.recognised
    found = [] if recognised is None else [paths.get(evidence.name, {}) for paths in recognised.right]
    names = list(found[0]) if found else []
    if recognised is None or len(names) < 2 or evidence.equations < 2 * len(names):
        return
    columns = np.stack([np.stack([paths[name].ravel()[evidence.entries] for paths in found]) for name in names], -1)
    factors, _, rank, _ = np.linalg.lstsq(columns.reshape(-1, len(names)), evidence.came.ravel(), rcond=1e-10)
    if rank < len(names) or not evidence.explained_by(columns @ factors):
        return
    off = {name: float(f) for name, f in zip(names, factors, strict=True) if not same(f, 1) and abs(f) > 1e-6}
    missing = [name for name, f in zip(names, factors, strict=True) if abs(f) <= 1e-6]
    if missing:
        path = f"the path{'s' if len(missing) > 1 else ''} through {' and '.join(missing)}"
        yield Proposal("missing_term", f"{path} {'are' if len(missing) > 1 else 'is'} missing in it")
    if off:
        shown = ", ".join(f"the path through {name} comes {described(f, evidence)}" for name, f in off.items())
        scale = recognised.scale
        scaling = {"theta", "phi"} >= off.keys() and scale is not None
        if scaling and all(same(f, scale or 1) or same(f, 1 / (scale or 1)) for f in off.values()):
            yield Proposal("scale_twice", f"{shown}; is the scale applied twice, or forgotten?")
        else:
            yield Proposal("constant_factor", shown)


def total(paths: list[Paths], evidence: Evidence) -> np.ndarray | None:
    """The sum of the paths to this array at its measured entries, one row a cotangent."""
    if not paths or evidence.name not in paths[0]:
        return None
    if any(np.shape(path) != evidence.shape for found in paths for path in found[evidence.name].values()):
        return None
    rows = [np.asarray(sum(found[evidence.name].values())) for found in paths]
    return np.stack([row.ravel()[evidence.entries] for row in rows])
