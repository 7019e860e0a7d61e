"""`check_block`: hold an implementation of eq. (6), a function or a PyTorch module, against ours."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nonlocal_ref.arguments import check_choice, check_integer, read_seed
from nonlocal_ref.backend import to_backend
from nonlocal_ref.checker.contract import NoGradients
from nonlocal_ref.params import STATISTICS, BlockConfig, check_config, param_shapes
from nonlocal_ref.residual_block import Params, block, check_arguments
from nonlocal_ref.testing.diagnosis import Subject
from nonlocal_ref.testing.examples import check_shape, default_shape, draw, feature_size, random_params, with_pairs
from nonlocal_ref.testing.export import check_params
from nonlocal_ref.testing.idleness import reason_to_be_dead
from nonlocal_ref.testing.implementation import (
    BrokenError,
    Implementation,
    Outcome,
    check_callable,
    observe,
    takes_parameters,
)
from nonlocal_ref.testing.judgement import Judgement, name_of, read_settings
from nonlocal_ref.testing.magnitudes import LIMIT, Values, block_magnitudes
from nonlocal_ref.testing.readings import Reading, read_block, right_reading
from nonlocal_ref.testing.report import ConformanceReport, Finding
from nonlocal_ref.testing.torch_module import Module, is_torch_module, open_module
from nonlocal_ref.testing.traps import GAMMA_RESET, NEVER_TRAINS, Sizes
from nonlocal_ref.wording import kind


def check_block(
    fn: Any,
    config: BlockConfig,
    params: Mapping[str, Any] | None = None,
    *,
    keys: str | dict[str, str] | None = None,
    shape: tuple[int, ...] | None = None,
    training: bool | None = None,
    identity: bool = True,
    rng: np.random.Generator | int | None = None,
    backend: str = "numpy",
    dtype: str = "float64",
    ratio: float = LIMIT,
) -> ConformanceReport:
    """Hold an implementation of the non-local block against `nonlocal_ref.block`: z, dx and every parameter's gradient.

    Parameters
    ----------
    fn : callable or torch.nn.Module
        ``fn(x, params)`` or, with its parameters inside, ``fn(x)``; returns z, or ``(z, backward)``, where
        ``backward(dz)`` gives ``(dx, grads)`` or dx alone.  Of a module a deep copy is taken to float64 and given our
        parameters; the module itself is not touched.  The block may be a part of it, if it is the only one there; it is
        the module as a whole that is called.
    config : BlockConfig
        Which block it is meant to be.
    params : mapping of str to array, optional
        Those to compare with, under our keys; random ones by default, none of them zero.  ``fn(x)`` needs its own.
    keys : str or dict, optional
        For a module: the name of a row of `CONVENTIONS`, or a dict from our keys to its names; found out by default.
    shape : tuple of int, optional
        Of x, (B, C, *S), where fn does not take any; small by default, with a remainder for the pooling to drop.
    training : bool, optional
        Whether batch norm takes the statistics of the batch.  By default False; a module is tried in both modes.
    identity : bool
        A module that was not trained yet must be the identity; False for ports that start with gamma = 1.
    rng, backend, dtype, ratio
        As in `check_operation`.

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
        For arguments of check_block itself: parameters that do not fit the config, a module without the names, a shape
        that does not fit into memory.

    Notes
    -----
    It costs two calls of fn for each mode, and where something differs some hundred evaluations of small examples.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import ConformanceError, check_block
    >>> config = nl.BlockConfig(4, dims=2)
    >>> def pooled_too_early(x, params):
    ...     return nl.block(x, params, nl.BlockConfig(4, dims=2, pool_order="before"))
    >>> try:
    ...     check_block(pooled_too_early, config, rng=0)
    ... except ConformanceError as error:
    ...     error.report.traps
    ('pooling order',)
    """
    check_config(config)
    read_settings(backend, dtype, ratio)
    seed = read_seed(rng)
    generator = np.random.default_rng(seed)
    judgement = Judgement(f"{name_of(fn)} against eq. (6), {_describe(config)}", seed, ratio)
    size = _read_shape(shape, config)
    check_shape(config, size)
    module = _open(fn, config, keys, judgement)
    if judgement.findings:  # nothing to compare with
        return judgement.finish()
    host = _read_params(fn, params, config, generator, module)
    x = draw(generator, size, feature_size(config))
    check_arguments(x, host, config)
    host = with_pairs(config, x, host) if params is None else host
    dz = draw(generator, x.shape)
    absent = module.absent if module is not None else set()
    if module is not None:
        _judge_own_state(module, judgement, identity=identity)
    for mode, trains in _modes(config, training, module):
        call = _as_function(fn) if module is None else module.operation(training=trains)
        subject = block_subject(config, x, host, dz, training=trains)
        implementation = Implementation(call, "numpy" if module else backend, "float64" if module else dtype)
        outcome = observe(implementation, "z", {"x": x, "params": host}, dz, _gradient_reader(subject, absent))
        judgement.add(outcome, subject, implementation.dtype, mode)
        if any(not row.right for row in judgement.rows) and len(outcome.values) + len(absent) == len(subject.expected):
            judgement.check_gradients(call, implementation.hand_over(x), implementation.hand_over(host))
    return judgement.finish()


def block_subject(config: BlockConfig, x: np.ndarray, params: Params, dz: np.ndarray, *, training: bool) -> Subject:
    """Everything that is known of eq. (6) on one example."""
    seen: dict[str, Any] = {}
    z, backward = block(x, params, config, training=training, method="dense", tap=lambda n, v: seen.update({n: v}))

    def compute(reading: Reading) -> tuple[np.ndarray, Callable[[], Values]]:
        z_read, backward_read = read_block(reading, config, x, params, training=training)
        return z_read, lambda: _named(backward_read(dz))

    sizes = Sizes(
        *(x.shape[0], config.depth, seen["theta"].shape[1], seen["phi"].shape[1]),
        channels=config.channels,
        kernel=config.kernel,
        has_gamma=config.norm is not None,
        eps=config.eps if config.norm == "batch" else None,
    )
    magnitudes = block_magnitudes(config, x, params, dz, training=training)
    return Subject("z", right_reading(config), sizes, {"z": z} | _named(backward(dz)), magnitudes, compute)


def _open(fn: Any, config: BlockConfig, keys: Any, judgement: Judgement) -> Module | None:
    """The module behind ``fn``, if it is one; one without any parameter never trains."""
    if is_torch_module(fn):
        if not list(fn.parameters()):
            what = "the module has no parameters at all; are its layers made in forward, anew in each call?"
            judgement.findings.append(Finding(NEVER_TRAINS, what))
            return None
        return open_module(fn, config, keys)
    check_callable(fn)
    if keys is not None:
        msg = "keys are the names of a PyTorch module's parameters; a function gets params under our keys"
        raise ValueError(msg)
    return None


def _read_params(fn: Any, params: Any, config: BlockConfig, rng: np.random.Generator, module: Module | None) -> Params:
    """The parameters to compare with, float64 on the host."""
    absent = module.absent if module is not None else set()
    if params is None:
        if module is None and not takes_parameters(fn):
            msg = "fn takes x alone; pass the parameters that it was made with as params"
            raise ValueError(msg)
        return {key: 0 * value if key in absent else value for key, value in random_params(config, rng).items()}
    if not isinstance(params, Mapping):
        msg = f"params must be a dict of arrays, got {type(params).__name__}"
        raise TypeError(msg)
    host: Params = to_backend(dict(params), "numpy", dtype="float64")
    check_params(host, param_shapes(config))
    nonzero = sorted(key for key in absent if np.any(host[key]))
    if nonzero:
        msg = f"the module has no {', '.join(nonzero)}; in params they must be zero"
        raise ValueError(msg)
    return host


def _judge_own_state(module: Module, judgement: Judgement, *, identity: bool) -> None:
    """What the module's own parameters say, before they are exchanged."""
    gamma = module.own.get("bn.weight")
    if identity and gamma is not None and np.all(gamma == 1):
        what = "bn.weight of the module is 1 everywhere: it is not the identity; pass identity=False if that is meant"
        judgement.findings.append(Finding(GAMMA_RESET, what))
    dead = reason_to_be_dead(module.own)
    if dead is not None:
        judgement.findings.append(Finding(NEVER_TRAINS, dead))
    if module.prefix:
        judgement.notes.append(f"its block was found at {module.prefix!r}")
    if module.frozen:
        judgement.notes.append(f"requires_grad is off for {', '.join(module.frozen)}")


def _read_shape(shape: Any, config: BlockConfig) -> tuple[int, ...]:
    """The shape of x, with at least one of everything: an empty x would compare nothing."""
    if shape is None:
        return default_shape(config)
    if not isinstance(shape, tuple):
        msg = f"shape must be a tuple of integers, (B, C, *S), got {shape!r}"
        raise TypeError(msg)
    return tuple(check_integer("shape", size, least=1) for size in shape)


def _modes(config: BlockConfig, training: bool | None, module: Module | None) -> list[tuple[str, bool]]:
    """Which modes to try, and what to put before the names of the arrays."""
    if training is not None:
        check_choice("training", training, (True, False))
        return [("", training)]
    return [("", False), ("training: ", True)] if module is not None and config.norm == "batch" else [("", False)]


def _as_function(fn: Callable[..., Any]) -> Callable[..., Any]:
    """``fn`` as a function of (x, params)."""
    if takes_parameters(fn):
        return fn

    def of_x_alone(x: Any, params: Any) -> Any:
        return fn(x)

    return of_x_alone


def _gradient_reader(subject: Subject, absent: set[str]) -> Callable[[Outcome, Any], None]:
    """Takes apart what backward(dz) returns."""
    wanted = [name for name in subject.expected if name not in {"z", "dx"} and name[1:] not in absent]

    def read(outcome: Outcome, gradients: Any) -> None:
        if isinstance(gradients, (tuple, list)):
            dx, grads = (*gradients, None)[:2] if 1 <= len(gradients) <= 2 else (None, None)
        else:
            dx, grads = gradients, None
        if dx is None or not (grads is None or isinstance(grads, dict)):
            msg = f"backward must return (dx, grads) with a dict of gradients, or dx, got {kind(gradients)}"
            raise BrokenError(msg)
        outcome.take("dx", dx, subject.expected["dx"].shape)
        if grads is None or isinstance(grads, NoGradients):
            outcome.notes.append("backward returned dx alone, so no gradient of a parameter was checked")
            return
        missing = [name[1:] for name in wanted if grads.get(name[1:]) is None]
        if missing:
            outcome.problems.append(f"backward returns no gradient for {', '.join(missing)}")
        known = {name[1:] for name in subject.expected} | set(STATISTICS)
        more = [str(key) for key in grads if key not in known]
        if more:
            outcome.notes.append(f"backward returns a gradient for {', '.join(more)}, which is no parameter here")
        for name in wanted:
            if name[1:] not in missing:
                outcome.take(name, grads[name[1:]], subject.expected[name].shape)

    return read


def _named(gradients: tuple[np.ndarray, Params]) -> Values:
    dx, grads = gradients
    return {"dx": dx} | {f"d{key}": value for key, value in grads.items()}


def _describe(config: BlockConfig) -> str:
    return f"{config.variant}, {config.dims}D, norm {config.norm!r}"
