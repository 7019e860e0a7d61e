"""An array and the weight that it is multiplied by: paths, other weights, other inputs, and what lies behind it."""

import numpy as np
import pytest

import nonlocal_ref as nl
from tests.checker.diagnosis.wrong_operations import first_names, normal, softmax, turned

NAMES = ("x", "w1", "b1", "w2", "b2")
SQUARE = [normal(4, 3), normal(3, 3), normal(3), normal(3, 3, seed=1), normal(3, seed=2)]
WIDE = [normal(4, 3), normal(3, 5), normal(5), normal(5, 2), normal(2)]


def network(**spoilt):
    """tanh(x w1 + b1) w2 + b2, with spoilt gradients: functions of what is inside, by name."""

    def op(x, w1, b1, w2, b2):
        a = x @ w1 + b1
        h = np.tanh(a)

        def backward(dy):
            dh = dy @ w2.T
            da = dh * (1 - h * h)
            right = {"x": da @ w1.T, "w1": x.T @ da, "b1": da.sum(axis=0), "w2": h.T @ dy, "b2": dy.sum(axis=0)}
            inside = {"x": x, "w1": w1, "w2": w2, "a": a, "h": h, "dh": dh, "da": da, "dy": dy}
            return tuple((right | {name: f(inside) for name, f in spoilt.items()})[name] for name in NAMES)

        return h @ w2 + b2, backward

    return op


def mixed(op):
    """The same with all rows mixed at last."""
    m = normal(4, 4)

    def mixing(*args):
        y, backward = op(*args)
        return m @ y, lambda dy: backward(m.T @ dy)

    return mixing


MISTAKES = {
    "w2 for w1": ("stale_value", "w2 stands where w1 belongs", {"x": lambda i: i["da"] @ i["w2"].T}),
    "w1 not transposed": ("permuted", "w1 must be transposed", {"x": lambda i: i["da"] @ i["w1"]}),
    "the first row": ("missing_sum", "axis 0 at the index 0 of x", {"w1": lambda i: i["x"][:1].T @ i["da"][:1]}),
    "all but the last": ("missing_sum", "all but the part", {"w1": lambda i: i["x"][:-1].T @ i["da"][:-1]}),
    "the hidden layer": ("stale_value", "tanh of x w1 + b1 stands", {"w1": lambda i: i["h"].T @ i["da"]}),
    "x upside down": ("permuted", "flipped along axis 0", {"w1": lambda i: i["x"][::-1].T @ i["da"]}),
    "one step off": ("stale_value", "one step off", {"w1": lambda i: np.roll(i["x"], 1, 0).T @ i["da"]}),
    "the last of a loop": ("stale_value", "read for all", {"w1": lambda i: (0 * i["x"] + i["x"][-1]).T @ i["da"]}),
    "b1 of one row": ("missing_sum", "at the index 1 of x", {"b1": lambda i: i["da"][1]}),
    "the derivative at a": (
        "stale_value",
        "its own factor",
        {"x": lambda i: i["dh"] * (1 - i["a"] ** 2) @ i["w1"].T},
    ),
    "no derivative": ("missing_term", "the derivative of tanh", {"x": lambda i: i["dh"] @ i["w1"].T}),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_hidden_layer_is_named(mistake):
    name, told, spoilt = MISTAKES[mistake]
    (proposals,) = nl.gradcheck(mixed(network(**spoilt)), *SQUARE, rng=0, names=NAMES).diagnosis.values()
    assert proposals[0].name == name
    assert told in proposals[0].text


@pytest.mark.slow
@pytest.mark.parametrize("mistake", ["the first row", "all but the last", "b1 of one row"])
def test_a_part_of_a_sum_is_found_where_the_weight_cannot_be_inverted(mistake):
    name, _, spoilt = MISTAKES[mistake]
    assert set(first_names(mixed(network(**spoilt)), *WIDE, names=NAMES).values()) == {name}


def two_branches(factors, residual):
    """tanh(x wa) + cos(x wb) + x, with a factor for each path in dx."""

    def op(x, wa, wb):
        a, b = np.tanh(x @ wa), np.cos(x @ wb)

        def backward(dy):
            da, db = dy * (1 - a * a), -dy * np.sin(x @ wb)
            dx = factors[0] * da @ wa.T + factors[1] * db @ wb.T + factors[2] * dy
            return dx, x.T @ da, x.T @ db

        return a + b + residual * x, backward

    return op


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factors", "name", "told"),
    [
        ((0, 1, 1), "missing_term", "the path through wa is missing"),
        ((1, 0, 0), "missing_term", "only the path through wa"),
        ((1, 2, 1), "constant_factor", "the path through wb comes 2 times"),
    ],
)
def test_a_path_through_a_weight(factors, name, told):
    args = [normal(4, 3), normal(3, 3), normal(3, 3, seed=1)]
    (proposals,) = nl.gradcheck(two_branches(factors, 1), *args, rng=0, names=["x", "wa", "wb"]).diagnosis.values()
    assert proposals[0].name == name
    assert told in proposals[0].text


def test_another_array_inside_is_read_for_the_last_layer():
    op = network(w2=lambda i: i["a"].T @ i["dy"])
    (proposals,) = nl.gradcheck(op, *SQUARE, rng=0, names=NAMES).diagnosis.values()
    assert "x w1 + b1 stands" in proposals[0].text


def test_a_closed_gate_behind_a_weight():
    def op(x, w, v):
        a = x @ w
        return a * (a > 0) @ v, lambda dy: (dy @ v.T @ w.T, x.T @ (dy @ v.T * (a > 0)), (a * (a > 0)).T @ dy)

    assert first_names(op, normal(4, 5), normal(5, 3), normal(3, 2)) == {"x": "index_ignored"}


@pytest.mark.slow
@pytest.mark.parametrize("inputs_first", [True, False])
@pytest.mark.parametrize("biases", [0, 1, 4])
def test_somebody_s_own_block_is_recognised_by_its_shapes(inputs_first, biases):
    def op(x, *params):
        weights = [w if inputs_first else w.T for w in params[:4]]
        b = [*(0,) * (4 - biases), *params[4:]]
        q, k, v = (x @ w + shift for w, shift in zip(weights[:3], b[:3], strict=True))
        p = softmax(q @ turned(k))

        def backward(dz):
            dv = p @ (dz @ weights[3].T)  # p must be transposed
            dwv = np.einsum("bnc,bnd->cd", x, dv)
            return 0 * x, *(0 * w for w in params[:2]), dwv if inputs_first else dwv.T, *(0 * w for w in params[3:])

        return x + p @ v @ weights[3] + b[3], backward

    shapes = [(4, 3), (4, 3), (4, 3), (3, 4)]
    weights = [normal(*shape[:: 1 if inputs_first else -1], seed=seed) for seed, shape in enumerate(shapes)]
    vectors = [normal(len) for len in ([4] if biases == 1 else [3, 3, 3, 4][:biases])]
    found = nl.gradcheck(op, normal(2, 5, 4), *weights, *vectors, rng=0).diagnosis
    assert found["params[2]"][0].text.startswith("dg needs the weights transposed")


@pytest.mark.slow
def test_random_gradients_of_a_network_get_no_proposal():
    def noise(name):
        return lambda i: np.tensordot(i["dy"], normal(4, 3, *dict(zip(NAMES, SQUARE, strict=True))[name].shape), 2)

    assert first_names(network(**{name: noise(name) for name in NAMES}), *SQUARE, names=NAMES) == {}


def three_ways(spoil, *, channels_first=False):
    """tanh of a sum of products that mixes the rows of x, so that no equation of ours fits."""
    m = normal(4, 4)

    def op(x, w1, w2, w3):
        rows = turned(x) if channels_first else x
        parts = [m @ rows @ w1, rows @ w2, np.sin(rows @ w3)]
        y = np.tanh(sum(parts))

        def backward(dy):
            da = dy * (1 - y * y)
            d = [m.T @ da, da, da * np.cos(rows @ w3)]
            dx = spoil(d, [w1, w2, w3])
            return turned(dx) if channels_first else dx, *(rows.T @ each for each in d)

        return y, backward

    x = normal(3, 4) if channels_first else normal(4, 3)
    return nl.gradcheck(op, x, *(normal(3, 3, seed=i) for i in range(3)), rng=0)["x"].diagnosis


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("some", [(0, 1), (0, 1, 2)])
def test_several_weights_that_are_not_transposed_are_named(some, channels_first):
    def spoil(d, weights):
        return sum(each @ (w if i in some else w.T) for i, (each, w) in enumerate(zip(d, weights, strict=True)))

    first = three_ways(spoil, channels_first=channels_first)[0]
    names = ", ".join(f"w{i + 1}" for i in some)
    assert first == ("permuted", f"{names} must be transposed on the way back")


@pytest.mark.parametrize("channels_first", [False, True])
def test_paths_with_a_factor_are_named(channels_first):
    def spoil(d, weights):
        return 3 * d[0] @ weights[0].T + 0.5 * d[1] @ weights[1].T + d[2] @ weights[2].T

    first = three_ways(spoil, channels_first=channels_first)[0]
    told = "the path through w1 comes 3 times, that through w2 comes 0.5 times, the others are right"
    assert first == ("constant_factor", told)


@pytest.mark.parametrize(
    ("derivative", "name", "told"),
    [
        (lambda a, h: 1 - a * a, "stale_value", "of the product with w1: every entry has its own factor"),
        (lambda a, h: 1 + 0 * a, "missing_term", "of the product with w1: the derivative of tanh is missing"),
        (lambda a, h: (1 - h * h) * (np.arange(5) + 1), "constant_factor", "along axis 1"),
    ],
    ids=["at a", "forgotten", "a factor for each channel"],
)
def test_what_is_wrong_behind_a_layer_wider_than_its_input_is_seen_in_its_weight(derivative, name, told):
    def spoiled_inside(i):
        return i["dh"] * derivative(i["a"], i["h"])

    spoilt = {"x": lambda i: spoiled_inside(i) @ i["w1"].T, "w1": lambda i: i["x"].T @ spoiled_inside(i)}
    report = nl.gradcheck(network(**spoilt), *WIDE, rng=0, names=NAMES)
    for array in ("x", "w1"):
        first = report[array].diagnosis[0]
        assert first.name == name
        assert told in first.text
