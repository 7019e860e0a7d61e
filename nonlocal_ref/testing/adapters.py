"""From what people have to what can be checked: ``y, backward = op(*arrays)``.

Each adapter is the contract in the words of another convention.  What comes out goes into `nonlocal_ref.gradcheck` and,
for a non-local operation or block, into `check_operation` and `check_block`.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from nonlocal_ref.backend import array_namespace, device

Operation = Callable[..., tuple[Any, Callable[[Any], tuple[Any, ...]]]]


def from_pair(forward: Callable[..., Any], backward: Callable[..., Any]) -> Operation:
    """An operation from two functions: ``y, cache = forward(*arrays)`` and ``dx, dw, ... = backward(dy, cache)``.

    Parameters
    ----------
    forward : callable
        Returns the value and whatever the way back needs, as in the assignments of cs231n.
    backward : callable
        Returns one gradient per array, in argument order; a single one may come alone.

    Returns
    -------
    callable
        ``y, backward = op(*arrays)``.

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

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        y, cache = forward(*arrays)
        return y, lambda dy: _as_tuple(backward(dy, cache))

    return op


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

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        own = deepcopy(layer)
        count = len(arrays) - len(parameters)
        for name, array in zip(parameters, arrays[count:], strict=True):
            setattr(own, name, array)
        y = own.forward(*arrays[:count])

        def backward(dy: Any) -> tuple[Any, ...]:
            once = deepcopy(own)
            gradients = _as_tuple(once.backward(dy))
            return (*gradients, *(getattr(once, gradient) for gradient in parameters.values()))

        return y, backward

    return op


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

    Examples
    --------
    >>> import numpy as np
    >>> import nonlocal_ref as nl
    >>> from nonlocal_ref.testing import from_loss
    >>> bool(nl.gradcheck(from_loss(lambda w: (np.sum(w**2) / 2, w)), np.arange(3.0), names=["w"]))
    True
    """

    def op(*arrays: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        loss, gradient = loss_and_gradient(*arrays)
        first = _first_array(arrays)
        y = array_namespace(first).asarray(loss, device=device(first))
        return y, lambda dy: tuple(_times(part, dy) for part in _as_tuple(gradient))

    return op


def _as_tuple(gradients: Any) -> tuple[Any, ...]:
    """One gradient may come alone."""
    return tuple(gradients) if isinstance(gradients, (tuple, list)) else (gradients,)


def _times(gradient: Any, dy: Any) -> Any:
    """dy times an array, or times every array of a dict."""
    return {key: part * dy for key, part in gradient.items()} if isinstance(gradient, dict) else gradient * dy


def _first_array(arrays: tuple[Any, ...]) -> Any:
    first = arrays[0]
    return next(iter(first.values())) if isinstance(first, dict) else first
