"""Arrays that are likely to be inside an operation: a product with a weight, and the usual functions of it."""

from collections.abc import Callable, Iterator

import numpy as np

from nonlocal_ref.checker.diagnosis.evidence import Scene

Function = Callable[[np.ndarray], np.ndarray]
MOST = 200  # arrays
MOST_NUMBERS = 20_000  # in each


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without an overflow."""
    return np.asarray((1 + np.tanh(x / 2)) / 2)


FUNCTIONS: dict[str, tuple[Function, Function]] = {  # and their derivatives
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "a sigmoid": (sigmoid, lambda x: sigmoid(x) * (1 - sigmoid(x))),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "exp": (np.exp, np.exp),
    "a square": (np.square, lambda x: 2 * x),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
}


def arrays_inside(scene: Scene) -> Iterator[tuple[str, np.ndarray]]:
    """y, the arguments, and at most so many arrays inside, with a name for each."""
    arrays = [(leaf.name, x) for leaf, x in zip(scene.leaves, scene.values, strict=True) if leaf.floating and x.size]
    yield "y", scene.y
    yield from arrays
    count = 0
    for name, h in products(arrays):
        for told, value in ((name, h), *((f"{f} of {name}", call(h)) for f, (call, _) in FUNCTIONS.items())):
            if count == MOST:
                return
            count += 1
            yield told, value


def products(arrays: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
    """x W for all that fit, W (in, out) or (out, in), with and without a bias."""
    biases = [(f" + {name}", b) for name, b in arrays if b.ndim == 1]
    for name, x in arrays:
        for weight, w in arrays:
            if weight == name or x.ndim < 2 or w.ndim != 2 or max(x.size, w.size) > MOST_NUMBERS:
                continue
            for turned in (w, w.T):
                if turned.shape[0] == x.shape[-1]:
                    h = x @ turned
                    yield f"{name} {weight}", h
                    yield from ((f"{name} {weight}{plus}", h + b) for plus, b in biases if len(b) == h.shape[-1])
