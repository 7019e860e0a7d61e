"""`nonlocal_op` and `weights`: eqs. (1) to (5) against the loops of oracles.py, taps, NaN, empty and masked inputs."""

import dataclasses
import functools
import tracemalloc

import numpy as np
import pytest

import nonlocal_ref as nl
from tests import oracles, tolerances
from tests.helpers import NUMPY, Recorder, example, normal
from tests.tolerances import assert_ratio, error_ratio, largest

SOFTMAX = ("gaussian", "embedded_gaussian")
FAST = {"gaussian": "tiled", "embedded_gaussian": "tiled", "dot_product": "reassociated", "concatenation": "sorted"}
every_variant = pytest.mark.parametrize("variant", nl.VARIANTS)
every_method = pytest.mark.parametrize(
    ("variant", "method"), [(variant, method) for variant in nl.VARIANTS for method in ("dense", FAST[variant])]
)

# variant, scale, shape of the mask; in a (2, 3, 4) mask one query is allowed nothing
ORACLE_CASES = {
    "gaussian": ("gaussian", None, None),
    "gaussian-scale": ("gaussian", -0.375, None),
    "embedded": ("embedded_gaussian", None, None),
    "embedded-scale-mask": ("embedded_gaussian", 0.375, (2, 3, 4)),
    "embedded-mask-of-keys": ("embedded_gaussian", None, (2, 1, 4)),
    "dot": ("dot_product", None, None),
    "dot-mask": ("dot_product", None, (2, 3, 4)),
    "dot-mask-of-pairs": ("dot_product", None, (3, 4)),
    "concatenation": ("concatenation", None, None),
    "concatenation-mask": ("concatenation", None, (2, 3, 4)),
    "concatenation-mask-of-keys": ("concatenation", None, (4,)),
}
against_the_oracle = pytest.mark.parametrize("name", ORACLE_CASES)
with_every_method = pytest.mark.parametrize("how", ["dense", "fast"])


@dataclasses.dataclass(frozen=True)
class Exact:
    """One example with its exact y, weights and gradients, and their magnitudes."""

    variant: str
    arrays: list
    options: dict
    dy: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    gradients: list
    magnitude: object

    def run(self, xp, how):
        method = FAST[self.variant] if how == "fast" else how
        return nl.nonlocal_op(self.variant, *map(xp.asarray, self.arrays), **self.options_on(xp), method=method)

    def run_weights(self, xp):
        theta, phi, _, *w_f = map(xp.asarray, self.arrays)
        return nl.weights(self.variant, theta, phi, *w_f, **self.options_on(xp))

    def options_on(self, xp):
        return {key: xp.asarray(x) if isinstance(x, np.ndarray) else x for key, x in self.options.items()}


@functools.cache
def exact(name):
    variant, scale, mask_shape = ORACLE_CASES[name]
    rng = np.random.default_rng(1711_07971)
    arrays = example(rng, variant=variant)
    mask = None
    if mask_shape is not None:
        mask = rng.random(mask_shape) < 0.7
        if mask_shape == (2, 3, 4):
            mask[0, 1] = False
    options = {key: x for key, x in (("scale", scale), ("mask", mask)) if x is not None}
    y, weights = oracles.nonlocal_op(variant, *arrays, **options)
    dy = normal(rng, *y.shape)
    gradients = oracles.complex_step(
        lambda *given: oracles.nonlocal_op(variant, *given, **options, numbers=oracles.COMPLEX)[0], arrays, dy
    )
    magnitude = tolerances.operation(variant, arrays, dy, **options)
    return Exact(variant, arrays, options, dy, y, weights, gradients, magnitude)


@with_every_method
@against_the_oracle
def test_y_is_equation_1(name, how, xp):
    case = exact(name)
    y, _ = case.run(xp, how)
    assert_ratio(xp.to_numpy(y), case.y, case.magnitude.y, xp.eps)


@against_the_oracle
def test_the_weights_are_f_over_c(name, xp):
    case = exact(name)
    weights, _ = case.run_weights(xp)
    assert_ratio(xp.to_numpy(weights), case.weights, case.magnitude.weights, xp.eps)


@with_every_method
@against_the_oracle
def test_backward_gives_the_gradients_of_equation_1(name, how, xp):
    case = exact(name)
    _, backward = case.run(xp, how)
    gradients = backward(xp.asarray(case.dy))
    for got, want, magnitude in zip(gradients, case.gradients, case.magnitude.gradients, strict=True):
        assert_ratio(xp.to_numpy(got), want, magnitude, xp.eps)


@every_variant
def test_the_gradient_of_the_weights_is_that_of_y_with_g_the_identity(variant, xp, rng):
    # y_i = Σ_j weights_ij g_j with g = 1 is the row of weights itself
    theta, phi, _, *w_f = [xp.asarray(x) for x in example(rng, variant=variant)]
    dweights = xp.asarray(normal(rng, 2, 3, 4))
    eye = xp.asarray(np.stack([np.eye(4)] * 2))
    weights, weights_backward = nl.weights(variant, theta, phi, *w_f)
    y, y_backward = nl.nonlocal_op(variant, theta, phi, eye, *w_f, method="dense")
    dtheta, dphi, _, *dw_f = y_backward(dweights)
    assert_ratio(xp.to_numpy(weights), xp.to_numpy(y), largest(xp.to_numpy(y)), xp.eps)
    for got, want in zip(weights_backward(dweights), (dtheta, dphi, *dw_f), strict=True):
        assert_ratio(xp.to_numpy(got), xp.to_numpy(want), largest(xp.to_numpy(want)), xp.eps)


def test_gaussian_and_embedded_gaussian_are_the_same_function_of_embedded_features(xp, rng):
    theta, phi, g = (xp.asarray(x) for x in example(rng, variant="gaussian"))
    dy = xp.asarray(normal(rng, 2, 3, 3))
    y, backward = nl.nonlocal_op("gaussian", theta, phi, g)
    y_embedded, backward_embedded = nl.nonlocal_op("embedded_gaussian", theta, phi, g)
    np.testing.assert_array_equal(xp.to_numpy(y_embedded), xp.to_numpy(y))
    for got, want in zip(backward_embedded(dy), backward(dy), strict=True):
        np.testing.assert_array_equal(xp.to_numpy(got), xp.to_numpy(want))


@every_variant
def test_method_and_workers_do_not_change_a_bit_of_the_dense_form(variant, rng):
    arrays = example(rng, variant=variant)
    y, _ = nl.nonlocal_op(variant, *arrays, method="dense")
    for workers in (None, 1, 2):
        np.testing.assert_array_equal(nl.nonlocal_op(variant, *arrays, method="dense", workers=workers)[0], y)


# Hard cases, against 50 digits


def hard_case(name):
    """theta, phi, g, w_f (1, 2, 2), (1, 3, 2), (1, 3, 2), (4,), chosen where a careless formula fails."""
    theta = np.array([[[1.5, -0.25], [-0.75, 2.0]]])
    phi = np.array([[[0.5, 1.25], [-1.0, 0.75], [2.0, -0.5]]])
    g = np.array([[[1.0, -2.0], [0.5, 3.0], [-1.5, 0.25]]])
    w_f = np.array([0.5, -1.25, 0.75, 2.0])
    return {
        "exponentials overflow": (theta * 32, phi * 32, g, w_f),
        "exponentials underflow": (np.abs(theta) * -32, np.abs(phi) * 32, g, w_f),
        "one weight is one and the rest vanish": (theta * 1024, phi * 1024, g, w_f),
        "all weights are equal": (theta * 0, phi, g, w_f),
        "weights differ in the last digits": (theta * 2.0**-45, phi, g, w_f),
        "y cancels": (theta * 2.0**-20, phi, np.array([[[1.0, 3.0], [1.0, -1.0], [-2.0, -2.0]]]), w_f),
        "logits cancel": (theta[..., :1] * [1.0, -1.0], phi[..., :1] + [0.0, 2.0**-40], g, w_f),
        "g spans thirty orders": (theta, phi, g * np.array([1e-15, 1.0, 1e15])[:, None], w_f),
    }[name]


HARD_CASES = (
    "exponentials overflow",
    "exponentials underflow",
    "one weight is one and the rest vanish",
    "all weights are equal",
    "weights differ in the last digits",
    "y cancels",
    "logits cancel",
    "g spans thirty orders",
)


@every_method
@pytest.mark.parametrize("name", HARD_CASES)
def test_a_hard_case_agrees_with_fifty_digits(variant, method, name):
    mpmath = pytest.importorskip("mpmath", reason="mpmath is not installed")
    arrays = list(hard_case(name))[: 4 if variant == "concatenation" else 3]
    dy = np.array([[[0.75, -1.25], [2.0, 0.5]]])
    numbers = oracles.multiprecision()

    def oracle(*given):
        return oracles.nonlocal_op(variant, *given, numbers=numbers)[0]

    with mpmath.workdps(50):
        y = np.array(oracle(*map(oracles.exactly, arrays)), dtype=float)
        gradients = oracles.multiprecision_gradient(oracle, arrays, dy)
    m = tolerances.operation(variant, arrays, dy)
    got_y, backward = nl.nonlocal_op(variant, *arrays, method=method)
    assert_ratio(got_y, y, m.y, NUMPY.eps)
    for got, want, size in zip(backward(dy), gradients, m.gradients, strict=True):
        assert_ratio(got, want, size, NUMPY.eps)


@every_method
@pytest.mark.parametrize("spread", [1.0, 4.0], ids=["plain", "sharp"])
def test_float32_loses_what_rounding_must_lose_and_no_more(variant, method, spread, xp, rng):
    """At N = M = 96, against float64: at most 30, and at most twice what NumPy's float32 loses (or 6)."""
    arrays = example(rng, batch=1, queries=96, keys=96, depth=32, width=16, variant=variant)
    arrays[0] = np.float32(arrays[0] * spread / 32**0.5).astype(float)
    dy = normal(rng, 1, 96, 16)
    y, backward = nl.nonlocal_op(variant, *arrays, method="dense")
    m = tolerances.operation(variant, arrays, dy)
    exact_values = [y, *backward(dy)]
    magnitudes = [m.y, *m.gradients]

    def ratios(library):
        single = dataclasses.replace(library, precision="float32")
        got_y, got_backward = nl.nonlocal_op(variant, *map(single.asarray, arrays), method=method)
        values = [library.to_numpy(v) for v in (got_y, *got_backward(single.asarray(dy)))]
        return [
            error_ratio(v, want, size, single.eps)
            for v, want, size in zip(values, exact_values, magnitudes, strict=True)
        ]

    for ratio, own in zip(ratios(xp), ratios(NUMPY), strict=True):
        assert ratio <= min(tolerances.LIMIT, max(2 * own, 6))


# Taps


@pytest.mark.parametrize("variant", SOFTMAX)
def test_the_tap_of_a_softmax_variant_sees_every_stage(variant, xp, rng):
    theta, phi, g = (xp.asarray(x) for x in example(rng, variant=variant))
    seen = {}
    y, _ = nl.nonlocal_op(variant, theta, phi, g, scale=0.5, method="dense", tap=seen.__setitem__)
    assert list(seen) == ["logits", "max", "exp", "sum", "weights", "y"]
    host = {name: xp.to_numpy(array) for name, array in seen.items()}
    logits = 0.5 * xp.to_numpy(theta) @ np.swapaxes(xp.to_numpy(phi), 1, 2)
    size = 1 + largest(logits)
    assert_ratio(host["logits"], logits, size, xp.eps)
    np.testing.assert_array_equal(host["max"], host["logits"].max(axis=-1, keepdims=True))
    assert_ratio(host["exp"], np.exp(host["logits"] - host["max"]), 1, xp.eps)
    assert_ratio(host["sum"], host["exp"].sum(axis=-1, keepdims=True), host["sum"], xp.eps)
    assert_ratio(host["weights"], host["exp"] / host["sum"], 1, xp.eps)
    np.testing.assert_array_equal(host["y"], xp.to_numpy(y))


@pytest.mark.parametrize("variant", ["dot_product", "concatenation"])
def test_the_tap_of_an_averaging_variant_sees_the_weights_and_y(variant, xp, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant)]
    seen = {}
    y, _ = nl.nonlocal_op(variant, *arrays, method="dense", tap=seen.__setitem__)
    assert list(seen) == ["weights", "y"]
    weights, _ = nl.weights(variant, *arrays[:2], *arrays[3:])
    np.testing.assert_array_equal(xp.to_numpy(seen["weights"]), xp.to_numpy(weights))
    np.testing.assert_array_equal(xp.to_numpy(seen["y"]), xp.to_numpy(y))


@pytest.mark.parametrize("variant", FAST)
def test_the_tap_of_a_fast_form_sees_y_alone(variant, rng):
    seen = {}
    y, _ = nl.nonlocal_op(variant, *example(rng, variant=variant), method=FAST[variant], tap=seen.__setitem__)
    assert list(seen) == ["y"]
    assert seen["y"] is y


def test_a_masked_pair_shows_in_the_tap_as_minus_infinity_and_an_empty_row_keeps_a_finite_maximum(xp, rng):
    theta, phi, g = (xp.asarray(x) for x in example(rng, variant="gaussian"))
    mask = np.ones((2, 3, 4), dtype=bool)
    mask[0, 0, 1], mask[1, 2, :] = False, False
    seen = {}
    nl.nonlocal_op("gaussian", theta, phi, g, mask=xp.asarray(mask), method="dense", tap=seen.__setitem__)
    assert np.array_equal(np.isneginf(xp.to_numpy(seen["logits"])), ~mask)
    assert xp.to_numpy(seen["max"])[1, 2, 0] == 0
    assert xp.to_numpy(seen["sum"])[1, 2, 0] == 1


@every_variant
def test_a_tap_that_is_still_an_empty_dict_is_called(variant, rng):
    seen = Recorder()
    y, _ = nl.nonlocal_op(variant, *example(rng, variant=variant), tap=seen)
    assert seen["y"] is y


@every_variant
def test_a_tap_changes_nothing(variant, rng):
    arrays = example(rng, variant=variant)
    y, _ = nl.nonlocal_op(variant, *arrays, tap=lambda name, array: None)
    np.testing.assert_array_equal(y, nl.nonlocal_op(variant, *arrays)[0])


# Masks


@every_method
def test_a_query_that_is_allowed_nothing_gets_zeros_and_gives_zero_gradients(variant, method, xp, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant)]
    nothing = xp.asarray(np.zeros((2, 3, 4), dtype=bool))
    y, backward = nl.nonlocal_op(variant, *arrays, mask=nothing, method=method)
    for array in (y, *backward(xp.asarray(normal(rng, 2, 3, 3)))):
        assert not np.any(xp.to_numpy(array))


@every_method
def test_a_query_that_is_allowed_nothing_leaves_the_other_queries_alone(variant, method, xp, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant)]
    mask = np.ones((2, 3, 4), dtype=bool)
    mask[0, 1, :] = False
    y, backward = nl.nonlocal_op(variant, *arrays, mask=xp.asarray(mask), method=method)
    y_open, _ = nl.nonlocal_op(variant, *arrays, mask=xp.asarray(np.ones_like(mask)), method=method)
    dy = normal(rng, 2, 3, 3)
    dtheta = xp.to_numpy(backward(xp.asarray(dy))[0])
    got, want = xp.to_numpy(y), xp.to_numpy(y_open)
    assert not np.any(got[0, 1])
    assert not np.any(dtheta[0, 1])
    np.testing.assert_array_equal(got[0, [0, 2]], want[0, [0, 2]])
    np.testing.assert_array_equal(got[1], want[1])


# NaN, infinity


@every_method
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_in_theta_i_reaches_row_i_alone(variant, method, bad, rng):
    arrays = example(rng, variant=variant)
    dy = normal(rng, 2, 3, 3)
    poisoned = [np.array(x) for x in arrays]
    poisoned[0][0, 1, 2] = bad
    y, backward = nl.nonlocal_op(variant, *arrays, method=method)
    with np.errstate(all="ignore"):
        y_bad, backward_bad = nl.nonlocal_op(variant, *poisoned, method=method)
        dtheta, dphi, dg, *_ = backward(dy)
        dtheta_bad, dphi_bad, dg_bad, *_ = backward_bad(dy)
    others = np.array([[True, False, True], [True, True, True]])
    np.testing.assert_array_equal(y_bad[others], y[others])
    np.testing.assert_array_equal(dtheta_bad[others], dtheta[others])
    for got, want in ((dphi_bad, dphi), (dg_bad, dg)):
        np.testing.assert_array_equal(got[1], want[1])  # never another batch element


@every_method
def test_nan_in_theta_i_is_never_lost(variant, method, rng):
    arrays = example(rng, variant=variant)
    arrays[0][0, 1, 2] = np.nan
    y, _ = nl.nonlocal_op(variant, *arrays, method=method)
    assert np.all(np.isnan(y[0, 1]))


@every_method
@pytest.mark.parametrize("argument", ["phi", "g"])
def test_nan_in_a_key_is_never_lost_and_stays_in_its_batch_element(variant, method, argument, rng):
    arrays = example(rng, variant=variant)
    dy = normal(rng, 2, 3, 3)
    y, backward = nl.nonlocal_op(variant, *arrays, method=method)
    poisoned = [np.array(x) for x in arrays]
    poisoned[{"phi": 1, "g": 2}[argument]][0, 3, 0] = np.nan
    with np.errstate(invalid="ignore"):
        y_bad, backward_bad = nl.nonlocal_op(variant, *poisoned, method=method)
        gradients_bad = backward_bad(dy)[:3]
    assert np.all(np.isnan(y_bad[0]).any(axis=-1))  # every query of the element sees the key
    for got, want in zip((y_bad, *gradients_bad), (y, *backward(dy)[:3]), strict=True):
        np.testing.assert_array_equal(got[1], want[1])


def test_nan_in_w_f_reaches_every_row(rng):
    arrays = example(rng)
    arrays[3][0] = np.nan
    y, _ = nl.nonlocal_op("concatenation", *arrays)
    assert np.all(np.isnan(y))


@every_method
def test_nan_in_dy_i_reaches_the_gradient_of_theta_i_and_no_other_row(variant, method, rng):
    arrays = example(rng, variant=variant)
    _, backward = nl.nonlocal_op(variant, *arrays, method=method)
    dy = normal(rng, 2, 3, 3)
    clean = backward(dy)
    dy[0, 1, 0] = np.nan
    dtheta, dphi, dg, *_ = backward(dy)
    assert np.any(np.isnan(dtheta[0, 1]))
    np.testing.assert_array_equal(dtheta[0, [0, 2]], clean[0][0, [0, 2]])
    for got, want in zip((dtheta, dphi, dg), clean[:3], strict=True):
        np.testing.assert_array_equal(got[1], want[1])


@pytest.mark.parametrize("method", ["dense", "tiled"])
@pytest.mark.parametrize("variant", SOFTMAX)
def test_a_plus_infinite_logit_gives_nan_and_not_a_quiet_number(variant, method):
    theta, phi, g = np.array([[[np.inf]]]), np.array([[[1.0], [2.0]]]), np.array([[[1.0], [2.0]]])
    with np.errstate(invalid="ignore"):
        y, _ = nl.nonlocal_op(variant, theta, phi, g, method=method)
    assert np.all(np.isnan(y))


@every_method
def test_finite_inputs_raise_no_floating_point_flag(variant, method, rng):
    arrays = example(rng, variant=variant)
    mask = np.array([[True, False, True, True], [False] * 4, [True] * 4])
    with np.errstate(divide="raise", over="raise", invalid="raise"):  # exp may underflow to zero, as it must
        y, backward = nl.nonlocal_op(variant, *arrays, mask=mask, method=method)
        backward(np.ones_like(y))


# Empty


@every_method
@pytest.mark.parametrize("empty", ["batch", "queries", "width"])
def test_an_empty_batch_query_or_channel_axis_gives_empty_results(variant, method, empty, xp, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant, **{empty: 0})]
    y, backward = nl.nonlocal_op(variant, *arrays, method=method)
    expected = {"batch": (0, 3, 3), "queries": (2, 0, 3), "width": (2, 3, 0)}[empty]
    assert tuple(y.shape) == expected
    gradients = backward(xp.asarray(np.zeros(expected)))
    for gradient, argument in zip(gradients, arrays, strict=True):
        assert tuple(gradient.shape) == tuple(argument.shape)
        assert not np.any(xp.to_numpy(gradient))


@every_method
def test_an_empty_mask_fits_an_empty_batch(variant, method, rng):
    arrays = example(rng, variant=variant, batch=0)
    y, _ = nl.nonlocal_op(variant, *arrays, mask=np.ones((0, 3, 4), dtype=bool))
    assert y.shape == (0, 3, 3)


@every_method
def test_one_query_and_one_key_are_enough(variant, method, xp, rng):
    arrays = [xp.asarray(x) for x in example(rng, variant=variant, batch=1, queries=1, keys=1, depth=1, width=1)]
    y, backward = nl.nonlocal_op(variant, *arrays, method=method)
    if variant in SOFTMAX:  # the only key gets all the weight, whatever the logit
        np.testing.assert_array_equal(xp.to_numpy(y), xp.to_numpy(arrays[2]))
        dtheta, dphi, _ = backward(xp.asarray(np.array([[[1.5]]])))
        assert not np.any(xp.to_numpy(dtheta))
        assert not np.any(xp.to_numpy(dphi))


# Ties and memory


def test_relu_has_no_slope_at_zero(xp):
    # a_i + b_j = 1 - 1 is a tie: the pair gives nothing to y and nothing to the gradients
    theta, phi, g, w_f = (xp.asarray(np.array(v)) for v in ([[[1.0]]], [[[-1.0]]], [[[3.0]]], [1.0, 1.0]))
    y, backward = nl.nonlocal_op("concatenation", theta, phi, g, w_f)
    for array in (y, *backward(xp.asarray(np.array([[[2.0]]])))):
        assert not np.any(xp.to_numpy(array))


def test_concatenation_never_forms_the_tensor_of_concatenated_pairs(rng):
    """The (B, 2D, N, M) tensor alone would hold 2 D = 128 numbers a pair; forward and backward hold 8 at the most."""
    arrays = example(rng, batch=1, queries=128, keys=128, depth=64, width=4)
    dy = normal(rng, 1, 128, 4)
    tracemalloc.start()
    try:
        y, backward = nl.nonlocal_op("concatenation", *arrays, method="dense")
        backward(dy)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert y.shape == (1, 128, 4)
    assert peak < 8 * 8 * 128 * 128


# Bad input


def huge(*shape):
    """An array of any size that takes no memory."""
    return np.broadcast_to(np.float64(0), shape)


def good(variant="gaussian"):
    names = ("theta", "phi", "g", "w_f")
    return dict(zip(names, example(np.random.default_rng(0), variant=variant), strict=False))


FULL = good("concatenation")
F32 = {name: np.float32(x) for name, x in FULL.items()}
BAD_OPERATION = {
    # what changes against the good example: variant, arguments, exception, pattern
    "unknown variant": (
        "nearest",
        {},
        ValueError,
        r"variant must be one of 'gaussian'.*'concatenation', got 'nearest'",
    ),
    "variant not a name": (None, {}, ValueError, "variant must be one of .*, got None"),
    "theta a list": ("gaussian", {"theta": [[[1.0]]]}, TypeError, "theta must be an array .*, got list"),
    "phi a number": ("gaussian", {"phi": 1.0}, TypeError, "phi must be an array .*, got float"),
    "theta a NumPy scalar": ("gaussian", {"theta": np.float64(1)}, TypeError, "theta must be an array .*, got float64"),
    "g None": ("gaussian", {"g": None}, TypeError, "g must be an array .*, got NoneType"),
    "theta integer": (
        "gaussian",
        {"theta": np.ones((2, 3, 5), int)},
        TypeError,
        r"theta must be .*int64; .*astype\(theta",
    ),
    "g boolean": ("gaussian", {"g": np.ones((2, 4, 3), bool)}, TypeError, "g must be float32 or float64, got bool"),
    "theta object": ("gaussian", {"theta": np.full((2, 3, 5), None)}, TypeError, "theta must be .*, got object"),
    "theta float16": (
        "gaussian",
        {"theta": np.ones((2, 3, 5), np.float16)},
        TypeError,
        r"theta must be .*float16; cast it first: xp.astype\(theta, xp.float32\)",
    ),
    "theta masked": (
        "gaussian",
        {"theta": np.ma.array(FULL["theta"])},
        TypeError,
        "theta must be a plain array, got numpy MaskedArray; leave keys out through mask=",
    ),
    "w_f masked": (
        "concatenation",
        {"w_f": np.ma.array(FULL["w_f"])},
        TypeError,
        r"w_f must be a plain array, got numpy MaskedArray; fill it first: w_f.filled\(value\)",
    ),
    **{
        f"{name} of foreign byte order": (
            "concatenation",
            {name: x.astype(x.dtype.newbyteorder("S"))},
            TypeError,
            rf"{name} must have the byte order of this machine, .*{name}.astype\({name}.dtype.newbyteorder\('='\)\)",
        )
        for name, x in FULL.items()
    },
    "theta a matrix": (
        "gaussian",
        {"theta": np.ones((3, 5)).view(np.matrix)},
        TypeError,
        "theta must be an array .*, got matrix",
    ),
    "phi of another dtype": ("gaussian", {"phi": F32["phi"]}, TypeError, "phi is float32 but theta is float64"),
    "g of another dtype": ("gaussian", {"g": F32["g"]}, TypeError, "g is float32 but theta is float64"),
    "w_f of another dtype": ("concatenation", {"w_f": F32["w_f"]}, TypeError, "w_f is float32 but theta is float64"),
    "phi complex": ("gaussian", {"phi": FULL["phi"] + 0j}, TypeError, "phi is complex128 but theta is float64"),
    "theta of two axes": (
        "gaussian",
        {"theta": FULL["theta"][0]},
        ValueError,
        r"theta must have 3 axes \(B, N, D\), got shape \(3, 5\); for one example pass theta\[None\]",
    ),
    "phi of two axes": (
        "gaussian",
        {"phi": FULL["phi"][0]},
        ValueError,
        r"phi must have 3 axes \(B, M, D\).*phi\[None\]",
    ),
    "g of two axes": ("gaussian", {"g": FULL["g"][0]}, ValueError, r"g must have 3 axes \(B, M, E\).*g\[None\]"),
    "theta of four axes": (
        "gaussian",
        {"theta": np.ones((1, 2, 3, 5))},
        ValueError,
        r"theta .* got shape \(1, 2, 3, 5\)$",
    ),
    "theta of one axis": (
        "gaussian",
        {"theta": np.ones(5)},
        ValueError,
        r"theta must have 3 axes .*, got shape \(5,\)$",
    ),
    "w_f of two axes": (
        "concatenation",
        {"w_f": np.ones((1, 10))},
        ValueError,
        r"w_f must have 1 axes \(2D\).*\(1, 10\)",
    ),
    "depths differ": (
        "gaussian",
        {"phi": np.ones((2, 4, 7))},
        ValueError,
        r"theta and phi need the same last axis D, got theta \(2, 3, 5\) and phi \(2, 4, 7\)",
    ),
    "batches of theta and phi differ": (
        "gaussian",
        {"phi": np.ones((3, 4, 5))},
        ValueError,
        r"theta and phi need the same first axis B, got theta \(2, 3, 5\) and phi \(3, 4, 5\)",
    ),
    "batches of theta and g differ": (
        "gaussian",
        {"g": np.ones((1, 4, 3))},
        ValueError,
        r"theta and g need the same first axis B, got theta \(2, 3, 5\) and g \(1, 4, 3\)",
    ),
    "keys of phi and g differ": (
        "dot_product",
        {"g": np.ones((2, 5, 3))},
        ValueError,
        r"phi and g need the same number of key positions M, got phi \(2, 4, 5\) and g \(2, 5, 3\)",
    ),
    "no key": (
        "gaussian",
        {"phi": np.ones((2, 0, 5)), "g": np.ones((2, 0, 3))},
        ValueError,
        r"phi must have at least one position M .*, got shape \(2, 0, 5\)",
    ),
    "no channel": (
        "dot_product",
        {"theta": np.ones((2, 3, 0)), "phi": np.ones((2, 4, 0))},
        ValueError,
        r"phi must have .* one channel D, got shape \(2, 4, 0\)",
    ),
    "w_f missing": ("concatenation", {"w_f": None}, ValueError, r"'concatenation' needs w_f.*got None"),
    "w_f superfluous": (
        "gaussian",
        {"w_f": np.ones(10)},
        ValueError,
        "w_f belongs to .*'concatenation' alone.*'gaussian'",
    ),
    "w_f of another length": (
        "concatenation",
        {"w_f": np.ones(5)},
        ValueError,
        r"w_f must have shape .*\(10,\).*got \(5,\)",
    ),
    "scale for (4)": ("dot_product", {"scale": 0.5}, ValueError, "scale belongs to .*, got 0.5 for 'dot_product'"),
    "scale for (5)": ("concatenation", {"scale": 1}, ValueError, "scale belongs to .*, got 1 for 'concatenation'"),
    "scale a word": ("gaussian", {"scale": "inner"}, TypeError, r"scale must be a number, got 'inner' \(str\)"),
    "scale complex": ("gaussian", {"scale": 1j}, TypeError, r"scale must be a number, got 1j \(complex\)"),
    "scale boolean": ("gaussian", {"scale": True}, TypeError, r"scale must be a number, got True \(bool\)"),
    "scale NaN": ("gaussian", {"scale": float("nan")}, ValueError, "scale must be finite, got nan"),
    "scale beyond floats": ("gaussian", {"scale": 10**400}, ValueError, "scale must be finite, got a number that no"),
    "scale infinite": ("gaussian", {"scale": float("inf")}, ValueError, "scale must be finite, got inf"),
    "mask a list": ("gaussian", {"mask": [True]}, TypeError, "mask must be an array .*, got list"),
    "mask of numbers": ("gaussian", {"mask": np.ones((2, 3, 4))}, TypeError, "mask must be boolean .*, got float64"),
    "mask masked": (
        "gaussian",
        {"mask": np.ma.array(True)},
        TypeError,
        "mask must be a plain array, got .*MaskedArray",
    ),
    "mask of other keys": (
        "dot_product",
        {"mask": np.ones((2, 3, 5), bool)},
        ValueError,
        r"mask must broadcast to \(B, N, M\) = \(2, 3, 4\), got shape \(2, 3, 5\)",
    ),
    "mask of four axes": (
        "gaussian",
        {"mask": np.ones((1, 2, 3, 4), bool)},
        ValueError,
        r"mask .*got shape \(1, 2, 3, 4\)",
    ),
    "mask over an axis of one": (
        "gaussian",
        {"theta": np.ones((2, 1, 5)), "mask": np.ones((2, 3, 4), bool)},
        ValueError,
        r"mask must broadcast to \(B, N, M\) = \(2, 1, 4\), got shape \(2, 3, 4\)",
    ),
}


def call(function, variant, changes):
    arguments = good("concatenation" if variant == "concatenation" else "gaussian") | changes
    if function is nl.weights:
        del arguments["g"]
    return function(variant, **arguments)


@pytest.mark.parametrize("name", BAD_OPERATION)
def test_nonlocal_op_refuses(name):
    variant, changes, error, pattern = BAD_OPERATION[name]
    with pytest.raises(error, match=pattern):
        call(nl.nonlocal_op, variant, changes)


@pytest.mark.parametrize("name", [name for name, (_, changes, _, _) in BAD_OPERATION.items() if set(changes) != {"g"}])
def test_weights_refuses(name):
    variant, changes, error, pattern = BAD_OPERATION[name]
    changes = {key: value for key, value in changes.items() if key != "g"}
    with pytest.raises(error, match=pattern):
        call(nl.weights, variant, changes)


@pytest.mark.parametrize(
    ("options", "error", "pattern"),
    [
        ({"method": "fast"}, ValueError, "method .*must be one of 'auto', 'dense', .*, got 'fast'"),
        ({"method": None}, ValueError, "method .*must be one of .*, got None"),
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"workers": 1.5}, TypeError, r"workers must be an integer, got 1.5 \(float\)"),
        ({"workers": True}, TypeError, r"workers must be an integer, got True \(bool\)"),
        ({"tap": 3}, TypeError, r"tap must be callable as tap\(name, array\), got int"),
        ({"tap": 0}, TypeError, r"tap must be callable as tap\(name, array\), got int"),
    ],
)
def test_nonlocal_op_refuses_a_way_to_compute_it_that_there_is_not(options, error, pattern):
    with pytest.raises(error, match=pattern):
        nl.nonlocal_op("gaussian", **good(), **options)


BAD_COTANGENTS = {
    "a list": ([1.0], TypeError, "{name} must be an array .*, got list"),
    "another shape": (np.ones((2, 3, 2)), ValueError, r"{name} must have the shape of {of}, .*, got \(2, 3, 2\)"),
    "a shape that would broadcast": (np.ones((1, 3, 1)), ValueError, r"{name} must have .*, got \(1, 3, 1\)"),
    "another precision": (np.ones((2, 3, 3), np.float32), TypeError, "{name} is float32 but {of} is float64"),
    "integers": (np.ones((2, 3, 3), int), TypeError, "{name} must be float32 or float64, got int64"),
    "foreign byte order": (
        np.ones((2, 3, 3), np.dtype("f8").newbyteorder("S")),
        TypeError,
        "{name} must have the byte order of this machine",
    ),
}


@pytest.mark.parametrize("case", BAD_COTANGENTS)
def test_the_backward_of_nonlocal_op_refuses_a_dy_that_does_not_match_y(case):
    dy, error, pattern = BAD_COTANGENTS[case]
    _, backward = nl.nonlocal_op("gaussian", **good())
    with pytest.raises(error, match=pattern.format(name="dy", of="y")):
        backward(dy)


@pytest.mark.parametrize("case", BAD_COTANGENTS)
def test_the_backward_of_weights_refuses_a_cotangent_that_does_not_match(case):
    dy, error, pattern = BAD_COTANGENTS[case]
    arguments = good()
    _, backward = nl.weights("gaussian", arguments["theta"], arguments["phi"])
    with pytest.raises(error, match=pattern.format(name="dweights", of="weights")):
        backward(dy)


def test_arguments_of_two_libraries_are_refused_by_name(rng):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    theta, phi, g = example(rng, variant="gaussian")
    with pytest.raises(TypeError, match=r"phi is a array_api_strict array but theta is a numpy array.*to_backend"):
        nl.nonlocal_op("gaussian", theta, strict.asarray(phi), g)
    with pytest.raises(TypeError, match="mask is a array_api_strict array but theta is a numpy array"):
        nl.nonlocal_op("gaussian", theta, phi, g, mask=strict.asarray(True))
    _, backward = nl.nonlocal_op("gaussian", theta, phi, g)
    with pytest.raises(TypeError, match="dy is a array_api_strict array but y is a numpy array"):
        backward(strict.asarray(normal(rng, 2, 3, 3)))


def test_arguments_on_two_devices_are_refused_by_name(rng):
    strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")
    one, other = strict.Device("CPU_DEVICE"), strict.Device("device1")
    theta, phi, g = (strict.asarray(x, device=one) for x in example(rng, variant="gaussian"))
    with pytest.raises(ValueError, match=r"g is on .*device1.* but theta is on .*CPU_DEVICE"):
        nl.nonlocal_op("gaussian", theta, phi, strict.asarray(example(rng)[2], device=other))
    with pytest.raises(ValueError, match=r"mask is on .*device1.* but theta is on .*CPU_DEVICE"):
        nl.nonlocal_op("gaussian", theta, phi, g, mask=strict.asarray(True, device=other))
    _, backward = nl.nonlocal_op("gaussian", theta, phi, g)
    with pytest.raises(ValueError, match=r"dy is on .*device1.* but y is on .*CPU_DEVICE"):
        backward(strict.asarray(normal(rng, 2, 3, 3), device=other))


@pytest.mark.parametrize(
    "changes", [{"g": huge(1, 10**6, 3)}, {"mask": np.ones((1, 1, 3), bool)}, {"scale": "inner"}, {"tap": 3}]
)
def test_bad_input_is_refused_before_a_large_allocation(changes):
    # ten million queries and keys: the pairs would take 800 TB
    arguments = {"theta": huge(1, 10**7, 64), "phi": huge(1, 10**7, 64), "g": huge(1, 10**7, 64)} | changes
    with pytest.raises((TypeError, ValueError), match=next(iter(changes))):
        nl.nonlocal_op("gaussian", **arguments)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_scale_of_any_kind_of_number_leaves_the_precision_as_it_is(precision, rng):
    theta, phi, g = (x.astype(precision) for x in example(rng, variant="gaussian"))
    for scale in (2, 0.5, np.float64(0.5), np.float32(0.5), np.int64(2)):
        y, backward = nl.nonlocal_op("gaussian", theta, phi, g, scale=scale)
        assert {array.dtype.name for array in (y, *backward(np.ones_like(y)))} == {precision}
