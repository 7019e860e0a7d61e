"""The limit: an operation's own matrix products and exponentials, alone, in NumPy on the same BLAS.

Same sizes, same tiles, same number of threads as the plan that computes the operation; everything between the products
(maxima, sums, masks, joining tiles) is left out, and results go to memory that was there before.  What an operation
takes beyond this is what its code costs.
"""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from threadpoolctl import ThreadpoolController

BLOCK = 64  # length of a block in the prefix sums of the sorted form


def products_alone(case, x):
    """A function of no arguments that runs them once."""
    plan = case.plan()
    return FORMS[case.kind, plan.method][0](x, plan)


def words(case):
    """Which products and exps they are."""
    return FORMS[case.kind, case.plan().method][1]


def transposed(x):
    return np.swapaxes(x, -1, -2)


def products(*factors):
    """All these pairs multiplied, each into memory of its own."""
    work = [(a, b, np.matmul(a, b)) for a, b in factors]

    def call():
        for a, b, out in work:
            np.matmul(a, b, out=out)

    return call


def dense_softmax(x, plan):
    theta, phi, g, dy = x["theta"], x["phi"], x["g"], x["dy"]
    s = theta @ transposed(phi)
    first = products((theta, transposed(phi)))
    p = np.exp(s)
    rest = products((p, g), (dy, transposed(g)), (s, phi), (transposed(s), theta), (transposed(p), dy))

    def call():
        first()
        np.exp(s, out=p)
        rest()

    return call


def tiled_softmax(x, plan):
    """Forward 2 products and an exp a tile, then backward 5 products and an exp a tile."""
    theta, phi, g, dy = x["theta"], x["phi"], x["g"], x["dy"]
    phi_t, g_t = transposed(phi), transposed(g)
    (batch, queries, depth), (keys, width) = theta.shape, g.shape[1:]
    elements, rows, columns = max(plan.tile_elements, 1), max(plan.tile_rows, 1), max(plan.tile_keys, 1)
    tiles = [
        (slice(b, min(b + elements, batch)), slice(i, min(i + rows, queries)), slice(j, min(j + columns, keys)))
        for b in range(0, batch, elements)
        for i in range(0, queries, rows)
        for j in range(0, keys, columns)
    ]
    count = min(plan.workers, len(tiles))
    shares = [tiles[start:stop] for start, stop in pairwise(len(tiles) * k // count for k in range(count + 1))]
    spaces = [
        {
            "p": np.empty((elements, rows, columns), dtype=theta.dtype),
            "ds": np.empty((elements, rows, columns), dtype=theta.dtype),
            "y": np.empty((elements, rows, width), dtype=theta.dtype),
            "dtheta": np.empty((elements, rows, depth), dtype=theta.dtype),
            "dphi": np.empty((elements, columns, depth), dtype=theta.dtype),
            "dg": np.empty((elements, columns, width), dtype=theta.dtype),
        }
        for _ in shares
    ]

    def weights(b, i, j, space):
        p = space["p"][: b.stop - b.start, : i.stop - i.start, : j.stop - j.start]
        np.matmul(theta[b, i], phi_t[b, :, j], out=p)
        return np.exp(p, out=p)

    def forward(share, space):
        for b, i, j in share:
            p = weights(b, i, j, space)
            np.matmul(p, g[b, j], out=space["y"][: p.shape[0], : p.shape[1]])

    def backward(share, space):
        for b, i, j in share:
            p = weights(b, i, j, space)
            ds = space["ds"][: p.shape[0], : p.shape[1], : p.shape[2]]
            np.matmul(dy[b, i], g_t[b, :, j], out=ds)
            np.matmul(ds, phi[b, j], out=space["dtheta"][: p.shape[0], : p.shape[1]])
            np.matmul(transposed(ds), theta[b, i], out=space["dphi"][: p.shape[0], : p.shape[2]])
            np.matmul(transposed(p), dy[b, i], out=space["dg"][: p.shape[0], : p.shape[2]])

    if count == 1:

        def call():
            forward(tiles, spaces[0])
            backward(tiles, spaces[0])

        return call

    pool, controller = ThreadPoolExecutor(count), ThreadpoolController()

    def call_in_threads():
        with controller.limit(limits=1, user_api="blas"):
            list(pool.map(forward, shares, spaces))
            list(pool.map(backward, shares, spaces))

    return call_in_threads


def dense_dot_product(x, plan):
    theta, phi, g, dy = x["theta"], x["phi"], x["g"], x["dy"]
    s = theta @ transposed(phi)
    return products(
        (theta, transposed(phi)), (s, g), (dy, transposed(g)), (s, phi), (transposed(s), theta), (transposed(s), dy)
    )


def reassociated(x, plan):
    theta, phi, g, dy = x["theta"], x["phi"], x["g"], x["dy"]
    k = transposed(phi) @ g
    return products(
        (transposed(phi), g), (theta, k), (dy, transposed(k)), (transposed(theta), dy), (g, transposed(k)), (phi, k)
    )


def scores(x):
    """The products with w_f, forth and back: a, b; dtheta, dphi; dw_f."""
    theta, phi, depth = x["theta"], x["phi"], x["theta"].shape[2]
    left, right = x["w_f"][:depth, None], x["w_f"][depth:, None]
    a, b = theta @ left, phi @ right
    return (
        *((theta, left), (phi, right)),
        *((a, left.T), (b, right.T)),
        *((transposed(a), theta), (transposed(b), phi)),
    )


def dense_concatenation(x, plan):
    a, b, g, dy = x["theta"][:, :, :1], x["phi"][:, :, :1], x["g"], x["dy"]
    f = np.maximum(a + transposed(b), 0)
    return products(*scores(x), (f, g), (dy, transposed(g)), (transposed(f), dy))


def sorted_form(x, plan):
    """The triangular products that sum g and b g over the keys, dy and a dy over the queries, block by block."""
    lower = np.tril(np.ones((BLOCK, BLOCK), dtype=np.float32))
    return products(*scores(x), *((lower, blocks(np.concatenate([v, v], axis=2))) for v in (x["g"], x["dy"])))


def blocks(x):
    """Rows in blocks of 64, the last one filled up with zeros.  x (B, M, W) -> (B, M / 64, 64, W)."""
    batch, count, width = x.shape
    padded = np.concatenate([x, np.zeros((batch, -count % BLOCK, width), dtype=x.dtype)], axis=1)
    return padded.reshape(batch, -1, BLOCK, width)


FORMS = {
    ("softmax", "tiled"): (tiled_softmax, "7 products, 2 exps"),
    ("softmax", "dense"): (dense_softmax, "6 products, 1 exp"),
    ("dot_product", "reassociated"): (reassociated, "6 products"),
    ("dot_product", "dense"): (dense_dot_product, "6 products"),
    ("concatenation", "sorted"): (sorted_form, "8 products, 2 of them for prefix sums"),
    ("concatenation", "dense"): (dense_concatenation, "9 products"),
}
