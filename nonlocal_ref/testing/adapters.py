"""From what people have to what can be checked: ``y, backward = op(*arrays)``.

Each adapter is the contract in the words of another convention.  What comes out goes into `nonlocal_ref.gradcheck` and,
for a non-local operation or block, into `check_operation` and `check_block`.
"""

import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from copy import deepcopy
from difflib import get_close_matches
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.arguments import FLOATS
from nonlocal_ref.backend import array_namespace, device, dtype_name
from nonlocal_ref.checker.contract import NoGradients
from nonlocal_ref.wording import kind

Operation = Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]


def from_pair(forward: Callable[..., Any], backward: Callable[..., Any]) -> Operation:
    """An operation from two functions: ``y, cache = forward(*arrays)`` and ``dx, dw, ... = backward(dy, cache)``.

    Parameters
    ----------
    forward : callable
        Returns the value and whatever the way back needs, as in the assignments of cs231n.  A dict argument
        (``bn_param``) it gets as a copy, arrays and all, so it may write into it.
    backward : callable
        Returns one gradient per array, in argument order; a single one may come alone.  Dict arguments may be left out,
        all together: their arrays are constants then.

    Returns
    -------
    callable
        ``y, backward = op(*arrays)``.

    Raises
    ------
    TypeError
        If one of the two is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import from_pair
    >>> def scale_forward(x, w):
    ...     return w * x, (x, w)
    >>> def scale_backward(dout, cache):
    ...     x, w = cache
    ...     return w * dout, x * dout
    >>> bool(nl.gradcheck(from_pair(scale_forward, scale_backward), np.ones(3), np.arange(3.0)))
    True
    """
    need_callable("forward", forward)
    need_callable("backward", backward)

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        given = [deepcopy(x) if isinstance(x, dict) else x for x in arrays]
        y, cache = _pair("forward", "(y, cache)", forward(*given))
        return y, lambda dy: _with_dicts(_as_tuple(backward(dy, cache)), arrays)

    return like_source(op, forward)


def from_layer(layer: Any, **parameters: str) -> Operation:
    """An operation from an object with ``forward(*arrays)`` and ``backward(dy)``.

    Parameters
    ----------
    layer : object
        It is copied for every call, so it may keep its inputs in itself and add up gradients.
    **parameters : str
        Attribute of a parameter = attribute that holds its gradient after ``backward``.  The parameters follow the
        inputs as arguments of the operation, in the order given here.

    Returns
    -------
    callable
        ``y, backward = op(*arrays)``.

    Raises
    ------
    TypeError
        If the layer has no forward and backward, or the name of an attribute is no string.
    ValueError
        If the layer has no attribute of a parameter's name.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import from_layer
    >>> class Scale:
    ...     w = 1.0
    ...
    ...     def forward(self, x):
    ...         self.x = x
    ...         return self.w * x
    ...
    ...     def backward(self, dout):
    ...         self.dw = self.x * dout
    ...         return self.w * dout
    >>> bool(nl.gradcheck(from_layer(Scale(), w="dw"), np.ones(3), np.arange(3.0), names=["x", "w"]))
    True
    """
    _check_layer(layer, parameters)
    inputs = inputs_of(layer.forward)

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        own = deepcopy(layer)
        count = len(arrays) - len(parameters)
        if count < len(inputs or ()):
            msg = f"the operation takes {', '.join([*(inputs or ()), *parameters])}; got {len(arrays)} of them"
            raise TypeError(msg)
        for name, array in zip(parameters, arrays[count:], strict=True):
            setattr(own, name, array)
        y = own.forward(*arrays[:count])

        def backward(dy: Any) -> tuple[Any, ...]:
            once = deepcopy(own)
            gradients = _as_tuple(once.backward(dy))
            return (*gradients, *(_attribute(once, gradient, "after backward") for gradient in parameters.values()))

        return y, backward

    names = None if inputs is None else [*inputs, *parameters]
    return like_source(op, type(layer), names)


def from_loss(loss_and_gradient: Callable[..., Any]) -> Operation:
    """An operation from ``loss, grad = f(w)``, the form that optimisers take.

    Parameters
    ----------
    loss_and_gradient : callable
        ``loss, grad = f(*arrays)``, with a number for a loss.  A dict of arrays gets a dict of gradients.

    Returns
    -------
    callable
        ``loss, backward = op(*arrays)``, the loss an array without axes.

    Raises
    ------
    TypeError
        If it is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import from_loss
    >>> bool(nl.gradcheck(from_loss(lambda w: (np.sum(w**2) / 2, w)), np.arange(3.0), names=["w"]))
    True
    """
    need_callable("loss_and_gradient", loss_and_gradient)

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        loss, gradient = _pair("f", "(loss, gradient)", loss_and_gradient(*arrays))
        first = _first_array(arrays)
        y = array_namespace(first).asarray(loss, device=device(first))
        if y.ndim:
            msg = f"the loss must be one number, got {kind(y)}; is it summed over the examples?"
            raise ValueError(msg)
        return y, lambda dy: tuple(_times(part, dy) for part in _as_tuple(gradient))

    return like_source(op, loss_and_gradient)


def like_source(op: Operation, source: Any, names: Iterable[str] | None = None) -> Operation:
    """The operation under the name of what it was made from, with the names of its arguments, for the reports."""
    op.__name__ = getattr(source, "__name__", type(source).__name__)
    with suppress(TypeError, ValueError):  # builtins have no signature, and names may occur twice
        if names is None:
            op.__signature__ = inspect.signature(source)  # type: ignore[attr-defined]
        else:
            fields = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
            op.__signature__ = inspect.Signature(fields)  # type: ignore[attr-defined]
    return op


def need_callable(who: str, function: Any) -> None:
    """Refuse what cannot be called, when it is handed in and not when it is used."""
    if not callable(function):
        msg = f"{who} must be callable, got {kind(function)}"
        raise TypeError(msg)


def is_array(x: Any) -> bool:
    """Whether x is an array; NumPy's numbers are none."""
    return is_array_api_obj(x) and not isinstance(x, np.generic)


def is_floating(x: Any) -> bool:
    """Whether x is an array that has a gradient."""
    return is_array(x) and dtype_name(x.dtype) in FLOATS


def _pair(who: str, form: str, returned: Any) -> tuple[Any, Any]:
    """Two things, and no array that happens to have two rows."""
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        msg = f"{who} must return {form}, got {kind(returned)}"
        raise TypeError(msg)
    first, second = returned
    return first, second


def _check_layer(layer: Any, parameters: dict[str, Any]) -> None:
    """Refuse what has no forward and backward, or no such parameters; gradients may first appear in backward."""
    if isinstance(layer, type):
        msg = f"a layer must be an object, got the class {layer.__name__}; make one: {layer.__name__}(...)"
        raise TypeError(msg)
    for method in ("forward", "backward"):
        if not callable(getattr(layer, method, None)):
            msg = f"a layer must have forward and backward, got {kind(layer)} without {method}"
            raise TypeError(msg)
    for name, gradient in parameters.items():
        if not isinstance(gradient, str):
            msg = f"{name} must be the name of the attribute with its gradient, got {kind(gradient)}"
            raise TypeError(msg)
        _attribute(layer, name, "for a parameter")


def _attribute(layer: Any, name: str, when: str) -> Any:
    """What the layer has under a name; ValueError with those that it has."""
    if hasattr(layer, name):
        return getattr(layer, name)
    there = [key for key in getattr(layer, "__dict__", {}) if not key.startswith("_")]
    near = get_close_matches(name, there, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(there) or 'none'}"
    msg = f"{type(layer).__name__} has no attribute {name!r} {when}{hint}"
    raise ValueError(msg)


def inputs_of(forward: Callable[..., Any]) -> list[str] | None:
    """Names of the arguments that forward needs; None where that is not known, or any number."""
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in parameters if p.kind in positional and p.default is inspect.Parameter.empty]


def _as_tuple(gradients: Any) -> tuple[Any, ...]:
    """One gradient may come alone."""
    return tuple(gradients) if isinstance(gradients, (tuple, list)) else (gradients,)


def _with_dicts(gradients: tuple[Any, ...], arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """No gradients for each dict of arrays, where backward returned one for every other array alone."""
    if len(gradients) != sum(is_floating(x) for x in arrays):
        return gradients
    left = iter(gradients)
    wanted = [x for x in arrays if is_floating(x) or (isinstance(x, dict) and any(map(is_floating, x.values())))]
    return tuple(NoGradients() if isinstance(x, dict) else next(left) for x in wanted)


def _times(gradient: Any, dy: Any) -> Any:
    """dy times an array, or times every array of a dict."""
    return {key: part * dy for key, part in gradient.items()} if isinstance(gradient, dict) else gradient * dy


def _first_array(arrays: tuple[Any, ...]) -> Any:
    first = arrays[0]
    return next(iter(first.values())) if isinstance(first, dict) else first
