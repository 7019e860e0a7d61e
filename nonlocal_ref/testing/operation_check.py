"""`check_operation`: hold an implementation of eq. (1) against ours."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nonlocal_ref.arguments import check_choice, check_integer, read_seed
from nonlocal_ref.operation import nonlocal_op
from nonlocal_ref.pairwise import VARIANTS
from nonlocal_ref.params import check_scale
from nonlocal_ref.testing.diagnosis import Subject
from nonlocal_ref.testing.examples import SIZES, check_sizes, draw_example
from nonlocal_ref.testing.implementation import BrokenError, Implementation, Outcome, check_callable, observe
from nonlocal_ref.testing.judgement import Judgement, gradients_by_name, name_of, read_settings
from nonlocal_ref.testing.magnitudes import LIMIT, Values, operation_magnitudes
from nonlocal_ref.testing.readings import Reading, read_operation
from nonlocal_ref.testing.report import ConformanceReport
from nonlocal_ref.testing.traps import Sizes
from nonlocal_ref.wording import kind


def check_operation(
    fn: Any,
    variant: str,
    *,
    scale: float | str | None = None,
    sizes: Mapping[str, int] | None = None,
    rng: np.random.Generator | int | None = None,
    backend: str = "numpy",
    dtype: str = "float64",
    ratio: float = LIMIT,
) -> ConformanceReport:
    """Hold an implementation of eq. (1) against `nonlocal_ref.nonlocal_op`: its value, and its gradients if it has any.

    Parameters
    ----------
    fn : callable
        ``fn(theta, phi, g)``, for "concatenation" ``fn(theta, phi, g, w_f)``, with theta (B, N, D), phi (B, M, D),
        g (B, M, E), w_f (2D,); returns y (B, N, E), or ``(y, backward)`` with one gradient an argument from
        ``backward(dy)``.  See `from_pair`, `from_layer`, `from_torch`, `from_jax` for other forms.
    variant : {"gaussian", "embedded_gaussian", "dot_product", "concatenation"}
        Which pairwise function it computes.
    scale : None, "inner" or float
        Multiplied into the logits of the softmax variants; "inner" is D ** -0.5.
    sizes : mapping, optional
        Sizes of axes by letter, where fn does not take any: ``{"N": 4, "M": 4}``.  By default all differ.
    rng : numpy.random.Generator, int or None
        Source of the example; the report states the seed that repeats it.
    backend : str
        Library in which the arrays are handed over, as in `nonlocal_ref.to_backend`.
    dtype : {"float64", "float32"}
        Their precision; the reference is float64 always.
    ratio : float
        Largest error ratio, |difference| in units of rounding, that is right.

    Returns
    -------
    ConformanceReport
        True; its rows have the error ratios.

    Raises
    ------
    ConformanceError
        An AssertionError with the whole report, also as its ``report``: what differs, and the mistake it comes from if
        it is a known one.
    TypeError, ValueError
        For arguments of check_operation itself, and for sizes that do not fit into memory.

    Notes
    -----
    It costs two calls of fn; where something differs, up to a hundred evaluations of the reference in other readings.

    Examples
    --------
    >>> import numpy as np
    >>> from nonlocal_ref.testing import ConformanceError, check_operation
    >>> def attention(theta, phi, g):
    ...     f = np.exp(theta @ phi.mT)
    ...     return f / f.sum(axis=1, keepdims=True) @ g
    >>> try:
    ...     check_operation(attention, "gaussian", rng=0)
    ... except ConformanceError as error:
    ...     print(error.report.findings[0].what)
    the softmax runs over the queries i; it belongs over the keys j, the last axis
    """
    check_callable(fn)
    check_choice("variant", variant, VARIANTS)
    read_settings(backend, dtype, ratio)
    found = read_sizes(sizes)
    number = read_scale(scale, variant, found["D"])
    check_sizes(variant, found)
    seed = read_seed(rng)
    arrays, dy = draw_example(variant, found, number, np.random.default_rng(seed))
    subject = operation_subject(variant, number, arrays, dy)
    names = tuple(f"d{name}" for name in arrays)

    def read_gradients(outcome: Outcome, gradients: Any) -> None:
        if not isinstance(gradients, (tuple, list)) or len(gradients) != len(names):
            msg = f"backward must return {len(names)} gradients ({', '.join(names)}), got {kind(gradients)}"
            raise BrokenError(msg)
        for name, gradient in zip(names, gradients, strict=True):
            outcome.take(name, gradient, subject.expected[name].shape)

    implementation = Implementation(fn, backend, dtype)
    outcome = observe(implementation, "y", arrays, dy, read_gradients)
    judgement = Judgement(f"{name_of(fn)} against eq. (1), {variant}", seed, ratio)
    judgement.add(outcome, subject, dtype)
    if any(not row.right for row in judgement.rows) and len(outcome.values) > 1:
        judgement.check_gradients(fn, *(implementation.hand_over(array) for array in arrays.values()))
    return judgement.finish()


def read_sizes(sizes: Any) -> dict[str, int]:
    """The size of every axis, from the few that were given."""
    if not isinstance(sizes, Mapping | None):
        msg = f"sizes must map letters to integers, got {sizes!r}"
        raise TypeError(msg)
    for letter, size in (sizes or {}).items():
        check_choice("an axis in sizes", letter, SIZES)
        check_integer(f"sizes[{letter!r}]", size, least=1)
    return SIZES | dict(sizes or {})


def read_scale(scale: float | str | None, variant: str, depth: int) -> float | None:
    """The number that a scale stands for."""
    check_scale(variant, scale, inner=True)
    if scale is None:
        return None
    return float(depth**-0.5 if scale == "inner" else scale)


def operation_subject(variant: str, scale: float | None, arrays: Values, dy: np.ndarray) -> Subject:
    """Everything that is known of eq. (1) on one example."""
    theta, phi, g, w_f = (arrays.get(name) for name in ("theta", "phi", "g", "w_f"))
    if theta is None or phi is None or g is None:
        msg = f"an example has theta, phi and g, got {', '.join(arrays)}"
        raise ValueError(msg)
    names = tuple(f"d{name}" for name in arrays)
    y, backward = nonlocal_op(variant, theta, phi, g, w_f, scale=scale, method="dense")

    def compute(reading: Reading) -> tuple[np.ndarray, Callable[[], Values]]:
        y_read, backward_read = read_operation(reading, theta, phi, g, w_f)
        return y_read, lambda: gradients_by_name(backward_read, dy, names)

    return Subject(
        "y",
        Reading(variant, scale),
        Sizes(theta.shape[0], theta.shape[2], theta.shape[1], phi.shape[1]),
        {"y": y} | gradients_by_name(backward, dy, names),
        operation_magnitudes(variant, arrays, dy, scale),
        compute,
    )
