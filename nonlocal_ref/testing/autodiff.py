"""Operations from PyTorch and JAX functions: the library's own differentiation is the way back.

Both take arrays of any library and give their results back in it, so a NumPy example can be held against either.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from array_api_compat import is_array_api_obj

from nonlocal_ref.backend import array_namespace, device, from_host, load_backend, to_numpy
from nonlocal_ref.testing.adapters import Operation, inputs_of, is_array, is_floating, like_source, need_callable
from nonlocal_ref.wording import kind

Convert = Callable[[Any], Any]


def from_torch(function: Callable[..., Any]) -> Operation:
    """An operation from a PyTorch function: autograd gives the gradient.

    Parameters
    ----------
    function : callable
        Takes tensors, and dicts of tensors, and returns a tensor.  An ``nn.Module`` will do; its own parameters are
        constants then, and it must be in the precision of the arrays (`check_block` takes a module with parameters).

    Returns
    -------
    callable
        ``y, backward = op(*arrays)``.  What autograd does not reach gets zeros.

    Raises
    ------
    TypeError
        If it is not callable.
    BackendUnavailableError
        If PyTorch is not installed.

    Examples
    --------
    ``nl.gradcheck(from_torch(torch.sigmoid), np.ones(3))``
    """
    need_callable("function", function)
    load_backend("torch")  # says how to install it
    torch = importlib.import_module("torch")

    def op(*args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        places, like = _float_places(args), _first_array(args)
        where = device(like) if isinstance(like, torch.Tensor) else None
        tensors = _convert(args, lambda x: torch.asarray(to_numpy(x), device=where))
        leaves = [leaf.requires_grad_() for leaf in _pick(tensors, places)]
        with torch.enable_grad():
            y = _one_array(function(*tensors), "tensor")

        def backward(dy: Any) -> tuple[Any, ...]:
            dy_tensor = torch.asarray(to_numpy(dy), device=y.device)
            gradients = tensor_gradients(y, leaves, dy_tensor)
            return _by_argument(args, places, [_back(gradient, like) for gradient in gradients])

        return _back(y, like), backward

    return like_source(op, function, inputs_of(function.forward) if isinstance(function, torch.nn.Module) else None)


def tensor_gradients(y: Any, leaves: Sequence[Any], dy: Any) -> list[Any]:
    """dyᵀ ∂y / ∂leaf for each leaf, by autograd; zeros where y does not depend on it."""
    torch = importlib.import_module("torch")
    if not y.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    found = torch.autograd.grad(y, leaves, dy, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(leaf) if dx is None else dx for leaf, dx in zip(leaves, found, strict=True)]


def from_jax(function: Callable[..., Any]) -> Operation:
    """An operation from a JAX function: ``jax.vjp`` gives the gradient.

    Parameters
    ----------
    function : callable
        Takes JAX arrays, and dicts of them, and returns one.

    Returns
    -------
    callable
        ``y, backward = op(*arrays)``.  Called with float64 arrays while JAX is in its 32-bit mode it raises ValueError:
        JAX would round them without a word.

    Raises
    ------
    TypeError
        If it is not callable.
    BackendUnavailableError
        If JAX is not installed.

    Examples
    --------
    ``nl.gradcheck(from_jax(jax.numpy.tanh), np.ones(3))``
    """
    need_callable("function", function)
    xp, place = load_backend("jax")
    jax = importlib.import_module("jax")

    def op(*args: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        places, like = _float_places(args), _first_array(args)
        arrays = _convert(args, lambda x: from_host(to_numpy(x), xp, place))

        def of_leaves(*leaves: Any) -> Any:
            return _one_array(function(*_fill(arrays, places, leaves)), "array")

        y, vjp = jax.vjp(of_leaves, *_pick(arrays, places))

        def backward(dy: Any) -> tuple[Any, ...]:
            gradients = vjp(from_host(to_numpy(dy), xp, place))
            return _by_argument(args, places, [_back(gradient, like) for gradient in gradients])

        return _back(y, like), backward

    return like_source(op, function)


def _one_array(y: Any, what: str) -> Any:
    """What a function returned, if it can be differentiated."""
    if is_array_api_obj(y):
        return y
    msg = f"the function must return one {what}, got {kind(y)}"
    raise TypeError(msg)


Place = tuple[int, Any]  # position of the argument, and the key if that argument is a dict


def _first_array(args: Sequence[Any]) -> Any:
    leaves = [leaf for arg in args for leaf in (arg.values() if isinstance(arg, dict) else [arg])]
    arrays = [leaf for leaf in leaves if is_array(leaf)]
    if not arrays:
        msg = f"there must be an array among the arguments, got {', '.join(type(arg).__name__ for arg in args)}"
        raise TypeError(msg)
    return arrays[0]


def _float_places(args: Sequence[Any]) -> list[Place]:
    """Where the arrays stand that have a gradient."""
    leaves = [
        (position, key, leaf)
        for position, arg in enumerate(args)
        for key, leaf in (arg.items() if isinstance(arg, dict) else [(None, arg)])
    ]
    return [(position, key) for position, key, leaf in leaves if is_floating(leaf)]


def _convert(args: Sequence[Any], convert: Convert) -> list[Any]:
    """Every array converted, everything else as it is."""

    def one(x: Any) -> Any:
        return convert(x) if is_array(x) else x

    return [{key: one(x) for key, x in arg.items()} if isinstance(arg, dict) else one(arg) for arg in args]


def _pick(args: Sequence[Any], places: list[Place]) -> list[Any]:
    return [args[i][key] if isinstance(args[i], dict) else args[i] for i, key in places]


def _fill(args: Sequence[Any], places: list[Place], leaves: Sequence[Any]) -> list[Any]:
    """The arguments with the arrays at those places exchanged."""
    filled = [dict(arg) if isinstance(arg, dict) else arg for arg in args]
    for (i, key), leaf in zip(places, leaves, strict=True):
        if isinstance(filled[i], dict):
            filled[i][key] = leaf
        else:
            filled[i] = leaf
    return filled


def _by_argument(args: Sequence[Any], places: list[Place], gradients: Sequence[Any]) -> tuple[Any, ...]:
    """One gradient an argument that has one; a dict gets a dict."""
    grouped: dict[int, Any] = {}
    for (i, key), gradient in zip(places, gradients, strict=True):
        if isinstance(args[i], dict):
            grouped.setdefault(i, {})[key] = gradient
        else:
            grouped[i] = gradient
    return tuple(grouped.values())


def _back(x: Any, like: Any) -> Any:
    """A result as an array of the library and device that the arguments came from."""
    return from_host(to_numpy(x), array_namespace(like), device(like))
