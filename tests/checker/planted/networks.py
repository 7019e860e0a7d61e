"""Mistakes in small networks: two layers, a convolution, a graph."""

import numpy as np

from tests.checker.planted.row import Family, arguments


def two_layers_forward(x, w_1, w_2):
    h = x @ w_1
    t = np.tanh(h)
    return t @ w_2, (x, w_1, w_2, h, t)


def two_layers_backward(dy, cache):
    x, w_1, w_2, _, t = cache
    dh = dy @ w_2.T * (1 - t * t)
    return dh @ w_1.T, x.T @ dh, t.T @ dy


def derivative_of_tanh_at_the_preactivation(dy, cache):
    x, w_1, w_2, h, t = cache
    dh = dy @ w_2.T * (1 - h * h)
    return dh @ w_1.T, x.T @ dh, t.T @ dy


TWO_LAYERS = Family(two_layers_forward, two_layers_backward, arguments(x=(5, 3), w_1=(3, 4), w_2=(4, 2)))


def convolution_forward(x, w):
    """x (B, C, L), w (O, C, K), no padding: y (B, O, L - K + 1)."""
    length = x.shape[2] - w.shape[2] + 1
    y = sum(np.einsum("bcl,oc->bol", x[:, :, k : k + length], w[:, :, k]) for k in range(w.shape[2]))
    return y, (x, w)


def convolution_backward(dy, cache):
    x, w = cache
    length = dy.shape[2]
    dx = np.zeros_like(x)
    for k in range(w.shape[2]):
        dx[:, :, k : k + length] += np.einsum("bol,oc->bcl", dy, w[:, :, k])
    dw = [np.einsum("bcl,bol->oc", x[:, :, k : k + length], dy) for k in range(w.shape[2])]
    return dx, np.stack(dw, axis=2)


def taps_assigned_where_they_must_be_added(dy, cache):
    x, w = cache
    dx = np.zeros_like(x)
    for k in range(w.shape[2]):
        dx[:, :, k : k + dy.shape[2]] = np.einsum("bol,oc->bcl", dy, w[:, :, k])
    return dx, convolution_backward(dy, cache)[1]


CONVOLUTION = Family(convolution_forward, convolution_backward, arguments(x=(2, 3, 7), w=(4, 3, 3)))
NEIGHBOURS = np.random.default_rng(5).random((6, 6))


def graph_forward(x, w):
    """Each node takes a weighted sum of its neighbours; the graph is no argument."""
    return NEIGHBOURS @ x @ w, (x, w)


def graph_backward(dy, cache):
    x, w = cache
    return NEIGHBOURS.T @ dy @ w.T, (NEIGHBOURS @ x).T @ dy


def neighbours_not_transposed(dy, cache):
    x, w = cache
    return NEIGHBOURS @ dy @ w.T, (NEIGHBOURS @ x).T @ dy


GRAPH = Family(graph_forward, graph_backward, arguments(x=(6, 4), w=(4, 4)))

MISTAKES = (
    TWO_LAYERS.mistake(derivative_of_tanh_at_the_preactivation, "x w_1", "stale_value"),
    CONVOLUTION.mistake(taps_assigned_where_they_must_be_added, "x", "missing_sum"),
    GRAPH.mistake(neighbours_not_transposed, "x", "permuted"),
)
