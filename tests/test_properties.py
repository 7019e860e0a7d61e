"""What must hold for every size and every draw: hypothesis draws small sizes and a seed, NumPy computes.

Values are uniform in [-1, 1] and the sums short, so logits stay below 5 and the growth of the softmax's error below 6
(see tolerances.py); eps = 1/4 keeps 1 / sqrt(var + eps) below 2. Where the same operations run in the same order the
comparison is exact; elsewhere `assert_equal_up_to_rounding` allows 30 eps of 8 times the largest number.
"""

import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import special

import nonlocal_ref as nl
from nonlocal_ref import pairwise
from nonlocal_ref.norm import standardise
from nonlocal_ref.ops import softmax
from nonlocal_ref.positions import fold, max_pool, unfold
from tests import oracles
from tests.cases import OPERATIONS, PIECES, named_cases
from tests.helpers import trainable
from tests.tolerances import assert_ratio, largest

EPS = np.finfo(np.float64).eps
SOFTMAX = ("gaussian", "embedded_gaussian")
every_variant = pytest.mark.parametrize("variant", nl.VARIANTS)

seeds = st.integers(0, 2**32 - 1)
sizes = st.fixed_dictionaries(
    {
        "batch": st.integers(1, 3),
        "queries": st.integers(1, 5),
        "keys": st.integers(1, 5),
        "depth": st.integers(1, 4),
        "width": st.integers(1, 4),
    }
)
letters = st.fixed_dictionaries({letter: st.integers(1, 4) for letter in "BNMDECTHW"})


def assert_equal_up_to_rounding(got, want, size=1.0):
    """size: how much larger than the result the terms are that it is the sum of, where they cancel."""
    assert_ratio(got, want, 8 * max(largest(want), size), EPS)


def uniform(rng, *shape):
    return rng.uniform(-1, 1, shape)


def operands(variant, size, seed):
    """The arrays of `nonlocal_op` and a dy."""
    rng = np.random.default_rng(seed)
    batch, queries, keys, depth, width = (size[name] for name in ("batch", "queries", "keys", "depth", "width"))
    shapes = [(batch, queries, depth), (batch, keys, depth), (batch, keys, width)]
    if variant == "concatenation":
        shapes.append((2 * depth,))
    return [uniform(rng, *shape) for shape in shapes], uniform(rng, batch, queries, width)


def run(variant, arrays, dy, **options):
    """y and all gradients, in a row."""
    y, backward = nl.nonlocal_op(variant, *arrays, method="dense", **options)
    return [y, *backward(dy)]


# Every operation

half_as_many = settings(max_examples=settings.default.max_examples // 2)  # examples, for each of dozens of operations
of_any_size = pytest.mark.parametrize(
    "case", named_cases([case for case in (*PIECES, *OPERATIONS) if not case.name.startswith("unfold")])
)


@of_any_size
@half_as_many
@given(letters, seeds)
def test_backward_is_linear_in_dy_for_every_size(case, size, seed):
    rng = np.random.default_rng(seed)
    arrays, constants = case.draw(rng, size)
    y, backward = case.op(*(x / 4 for x in arrays), **constants)
    u, v, (a, b) = uniform(rng, *y.shape), uniform(rng, *y.shape), uniform(rng, 2)
    of_u, of_v = backward(u), backward(v)
    size = max(largest(*of_u), largest(*of_v))
    for of_sum, d_u, d_v in zip(backward(a * u + b * v), of_u, of_v, strict=True):
        assert_equal_up_to_rounding(of_sum, a * d_u + b * d_v, max(size, 1.0))


@of_any_size
@half_as_many
@given(letters, seeds)
def test_backward_is_pure_for_every_size(case, size, seed):
    rng = np.random.default_rng(seed)
    arrays, constants = case.draw(rng, size)
    for x in (*arrays, *constants.values()):
        x.flags.writeable = False
    y, backward = case.op(*arrays, **constants)
    dy = uniform(rng, *y.shape)
    dy.flags.writeable = False
    first = [np.array(d) for d in backward(dy)]
    backward(uniform(rng, *y.shape))
    for again, once in zip(backward(dy), first, strict=True):
        np.testing.assert_array_equal(again, once)


# Eq. (1): permutations, batches, linearity


@every_variant
@given(sizes, seeds, st.randoms(use_true_random=False))
def test_permuting_the_keys_changes_nothing_and_permutes_their_gradients(variant, size, seed, random):
    (theta, phi, g, *w_f), dy = operands(variant, size, seed)
    order = random.sample(range(size["keys"]), size["keys"])
    y, dtheta, dphi, dg, *dw_f = run(variant, [theta, phi, g, *w_f], dy)
    y_2, dtheta_2, dphi_2, dg_2, *dw_f_2 = run(variant, [theta, phi[:, order], g[:, order], *w_f], dy)
    for got, want in ((y_2, y), (dtheta_2, dtheta), (dphi_2, dphi[:, order]), (dg_2, dg[:, order])):
        assert_equal_up_to_rounding(got, want)
    for got, want in zip(dw_f_2, dw_f, strict=True):
        assert_equal_up_to_rounding(got, want)


@every_variant
@given(sizes, seeds, st.randoms(use_true_random=False))
def test_permuting_the_queries_permutes_the_output_and_their_gradients(variant, size, seed, random):
    (theta, *others), dy = operands(variant, size, seed)
    order = random.sample(range(size["queries"]), size["queries"])
    y, dtheta, *rest = run(variant, [theta, *others], dy)
    y_2, dtheta_2, *rest_2 = run(variant, [theta[:, order], *others], dy[:, order])
    for got, want in ((y_2, y[:, order]), (dtheta_2, dtheta[:, order]), *zip(rest_2, rest, strict=True)):
        assert_equal_up_to_rounding(got, want)


@every_variant
@given(sizes, seeds)
def test_batch_elements_do_not_see_each_other(variant, size, seed):
    (theta, phi, g, *w_f), dy = operands(variant, size, seed)
    together = run(variant, [theta, phi, g, *w_f], dy)
    alone = [run(variant, [x[b : b + 1] for x in (theta, phi, g)] + w_f, dy[b : b + 1]) for b in range(size["batch"])]
    for whole, parts in zip(together[:4], zip(*(r[:4] for r in alone), strict=True), strict=True):
        assert_equal_up_to_rounding(whole, np.concatenate(parts))
    for whole, parts in zip(together[4:], zip(*(r[4:] for r in alone), strict=True), strict=True):
        assert_equal_up_to_rounding(whole, sum(parts))  # w_f is shared: its gradients add up


@every_variant
@given(sizes, seeds)
def test_y_is_linear_in_g(variant, size, seed):
    (theta, phi, g, *w_f), _ = operands(variant, size, seed)
    rng = np.random.default_rng(seed + 1)
    other, (a, b) = uniform(rng, *g.shape), uniform(rng, 2)
    y, y_other, y_sum = (nl.nonlocal_op(variant, theta, phi, v, *w_f)[0] for v in (g, other, a * g + b * other))
    assert_equal_up_to_rounding(y_sum, a * y + b * y_other)


@every_variant
@given(sizes, seeds)
def test_the_work_done_along_g_is_the_output_itself(variant, size, seed):
    # Euler: y is linear in g, so <dg, g> = <dy, y>
    arrays, dy = operands(variant, size, seed)
    y, _, _, dg, *_ = run(variant, arrays, dy)
    assert_equal_up_to_rounding(np.sum(dg * arrays[2]), np.sum(dy * y), np.sum(np.abs(dy)))


@given(sizes, seeds)
def test_the_dot_product_is_linear_in_theta_and_in_phi(size, seed):
    (theta, phi, g), _ = operands("dot_product", size, seed)
    rng = np.random.default_rng(seed + 1)
    other_theta, other_phi, (a, b) = uniform(rng, *theta.shape), uniform(rng, *phi.shape), uniform(rng, 2)

    def y(theta, phi):
        return nl.nonlocal_op("dot_product", theta, phi, g)[0]

    assert_equal_up_to_rounding(y(a * theta + b * other_theta, phi), a * y(theta, phi) + b * y(other_theta, phi))
    assert_equal_up_to_rounding(y(theta, a * phi + b * other_phi), a * y(theta, phi) + b * y(theta, other_phi))


@given(sizes, seeds, st.floats(0.125, 8))
def test_concatenation_stretches_with_w_f(size, seed, factor):
    # ReLU(c v) = c ReLU(v) for c > 0
    (theta, phi, g, w_f), _ = operands("concatenation", size, seed)
    y, y_stretched = (nl.nonlocal_op("concatenation", theta, phi, g, w)[0] for w in (w_f, factor * w_f))
    assert_equal_up_to_rounding(y_stretched, factor * y, factor)


@given(sizes, seeds)
def test_concatenation_with_both_signs_of_w_f_is_the_sum_without_relu(size, seed):
    # ReLU(v) - ReLU(-v) = v: the mean of (a_i + b_j) g_j is left
    (theta, phi, g, w_f), _ = operands("concatenation", size, seed)
    y, y_minus = (nl.nonlocal_op("concatenation", theta, phi, g, w)[0] for w in (w_f, -w_f))
    depth = size["depth"]
    plain = (theta @ w_f[:depth])[:, :, None] + (phi @ w_f[depth:])[:, None, :]
    assert_equal_up_to_rounding(y - y_minus, plain @ g / size["keys"], 1 + largest(y))


# Eqs. (2) and (3): the softmax


@pytest.mark.parametrize("variant", SOFTMAX)
@given(sizes, seeds)
def test_the_rows_of_a_softmax_variant_sum_to_one_and_are_not_negative(variant, size, seed):
    (theta, phi, _), _ = operands(variant, size, seed)
    weights, _ = nl.weights(variant, 100 * theta, phi)
    assert np.all(weights >= 0)
    assert_ratio(weights.sum(axis=-1), np.ones(weights.shape[:2]), 1, EPS)


@given(sizes, seeds, st.floats(-1e3, 1e3))
def test_the_softmax_does_not_see_what_is_added_to_a_whole_row(size, seed, shift):
    rng = np.random.default_rng(seed)
    scores = uniform(rng, size["batch"], size["queries"], size["keys"])
    rows = shift * uniform(rng, size["batch"], size["queries"], 1)
    p, backward = softmax(scores)
    p_shifted, backward_shifted = softmax(scores + rows)
    dp = uniform(rng, *scores.shape)
    assert_equal_up_to_rounding(p_shifted, p, 1 + abs(shift))  # scores + rows is rounded in units of eps |shift|
    assert_equal_up_to_rounding(backward_shifted(dp)[0], backward(dp)[0], 1 + abs(shift))


@pytest.mark.parametrize("variant", SOFTMAX)
@given(sizes, seeds)
def test_adding_one_vector_to_all_keys_changes_no_softmax_weight(variant, size, seed):
    (theta, phi, _), _ = operands(variant, size, seed)
    common = uniform(np.random.default_rng(seed + 1), size["depth"])
    assert_equal_up_to_rounding(nl.weights(variant, theta, phi + common)[0], nl.weights(variant, theta, phi)[0])


@given(sizes, seeds)
def test_the_gradient_of_the_softmax_does_no_work_along_a_whole_row(size, seed):
    rng = np.random.default_rng(seed)
    scores = uniform(rng, size["batch"], size["queries"], size["keys"])
    _, backward = softmax(scores)
    (dscores,) = backward(uniform(rng, *scores.shape))
    assert_ratio(dscores.sum(axis=-1), np.zeros(scores.shape[:2]), 8, EPS)


@given(sizes, seeds)
def test_y_of_a_softmax_variant_stays_between_the_smallest_and_the_largest_g(size, seed):
    (theta, phi, g), _ = operands("gaussian", size, seed)
    y, _ = nl.nonlocal_op("gaussian", 10 * theta, phi, g)
    slack = 30 * EPS
    assert np.all(y >= g.min(axis=1, keepdims=True) - slack)
    assert np.all(y <= g.max(axis=1, keepdims=True) + slack)


@pytest.mark.parametrize("variant", SOFTMAX)
@given(sizes, seeds, st.floats(-4, 4))
def test_a_scale_multiplies_theta(variant, size, seed, scale):
    (theta, phi, g), dy = operands(variant, size, seed)
    y, dtheta, dphi, dg = run(variant, [theta, phi, g], dy, scale=scale)
    y_2, dtheta_2, dphi_2, dg_2 = run(variant, [scale * theta, phi, g], dy)
    for got, want in ((y, y_2), (dtheta, scale * dtheta_2), (dphi, dphi_2), (dg, dg_2)):
        assert_equal_up_to_rounding(got, want, 4)


@given(sizes, seeds)
def test_with_its_scale_the_embedded_gaussian_is_self_attention(size, seed):
    # softmax(Q Kᵀ / sqrt(d)) V of Vaswani et al., with SciPy's softmax
    (q, k, v), _ = operands("embedded_gaussian", size, seed)
    y, _ = nl.nonlocal_op("embedded_gaussian", q, k, v, scale=size["depth"] ** -0.5)
    logits = np.swapaxes(k, 1, 2)
    assert_equal_up_to_rounding(y, special.softmax(q @ logits / np.sqrt(size["depth"]), axis=-1) @ v)


@given(sizes, seeds)
def test_eq_3_is_self_attention_written_out(size, seed):
    rng = np.random.default_rng(seed)
    x = uniform(rng, size["batch"], size["queries"], size["width"])
    w_theta, w_phi = uniform(rng, size["depth"], size["width"]), uniform(rng, size["depth"], size["width"])
    weights, _ = pairwise.embedded_gaussian(x, x, w_theta, w_phi)
    for b in range(size["batch"]):
        attention = special.softmax((x[b] @ w_theta.T) @ (x[b] @ w_phi.T).T, axis=-1)
        assert_equal_up_to_rounding(weights[b], attention, 3)


@given(sizes, seeds)
def test_a_sharp_gaussian_picks_the_nearest_key(size, seed):
    (theta, phi, g), _ = operands("gaussian", size, seed)
    logits = theta @ np.swapaxes(phi, 1, 2)
    best = np.sort(logits, axis=-1)
    assume(size["keys"] > 1)
    assume(np.all(best[..., -1] - best[..., -2] > 1e-3))  # exp(-1e3) of a lead is nothing
    y, _ = nl.nonlocal_op("gaussian", theta, phi, g, scale=1e6)
    assert_equal_up_to_rounding(y, np.take_along_axis(g, logits.argmax(axis=-1)[:, :, None], axis=1))


# Masks


def random_mask(size, seed):
    rng = np.random.default_rng(seed + 2)
    return rng.random((size["batch"], size["queries"], size["keys"])) < 0.6


@every_variant
@given(sizes, seeds)
def test_a_mask_that_allows_all_is_no_mask(variant, size, seed):
    arrays, dy = operands(variant, size, seed)
    everything = np.ones((size["batch"], size["queries"], size["keys"]), dtype=bool)
    for got, want in zip(run(variant, arrays, dy, mask=everything), run(variant, arrays, dy), strict=True):
        np.testing.assert_array_equal(got, want)


@every_variant
@given(sizes, seeds)
def test_a_query_with_no_candidate_gets_zeros_and_gives_zero_gradients(variant, size, seed):
    arrays, dy = operands(variant, size, seed)
    mask = random_mask(size, seed)
    mask[:, 0] = False
    y, dtheta, *_ = run(variant, arrays, dy, mask=mask)
    assert not np.any(y[:, 0])
    assert not np.any(dtheta[:, 0])
    only_dy_of_it = np.zeros_like(dy)
    only_dy_of_it[:, 0] = dy[:, 0]
    assert not any(np.any(gradient) for gradient in run(variant, arrays, only_dy_of_it, mask=mask)[1:])


@every_variant
@given(sizes, seeds)
def test_masked_keys_are_as_good_as_removed_ones(variant, size, seed):
    (theta, phi, g, *w_f), dy = operands(variant, size, seed)
    kept = np.random.default_rng(seed + 2).random(size["keys"]) < 0.6
    assume(kept.any())
    y, dtheta, dphi, dg, *dw_f = run(variant, [theta, phi, g, *w_f], dy, mask=kept)
    y_2, dtheta_2, dphi_2, dg_2, *dw_f_2 = run(variant, [theta, phi[:, kept], g[:, kept], *w_f], dy)
    for got, want in ((y, y_2), (dtheta, dtheta_2), (dphi[:, kept], dphi_2), (dg[:, kept], dg_2)):
        assert_equal_up_to_rounding(got, want)
    for got, want in zip(dw_f, dw_f_2, strict=True):
        assert_equal_up_to_rounding(got, want)
    assert not np.any(dphi[:, ~kept])
    assert not np.any(dg[:, ~kept])


@every_variant
@given(sizes, seeds)
def test_a_masked_pair_has_no_weight(variant, size, seed):
    (theta, phi, _, *w_f), _ = operands(variant, size, seed)
    mask = random_mask(size, seed)
    weights, _ = nl.weights(variant, theta, phi, *w_f, mask=mask)
    assert not np.any(weights[~mask])


@every_variant
@given(sizes, seeds)
def test_a_mask_broadcasts_as_if_it_were_written_out(variant, size, seed):
    arrays, dy = operands(variant, size, seed)
    full = (size["batch"], size["queries"], size["keys"])
    rng = np.random.default_rng(seed + 2)
    for shape in (full[2:], full[1:], (1, 1, full[2]), (full[0], 1, 1), (1, full[1], 1), ()):
        mask = rng.random(shape) < 0.6 if shape else np.asarray(True)
        written_out = np.array(np.broadcast_to(mask, full))
        for got, want in zip(
            run(variant, arrays, dy, mask=mask), run(variant, arrays, dy, mask=written_out), strict=True
        ):
            np.testing.assert_array_equal(got, want)


# Positions


layouts = st.sampled_from([{}, {"domain": "space"}, {"domain": "time"}, {"frame_group": 1}, {"frame_group": 2}])
volumes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from([2, 4]), st.integers(1, 3), st.integers(1, 3))


@given(volumes, layouts, seeds)
def test_unfold_is_the_inverse_of_fold_and_its_way_back(shape, layout, seed):
    rng = np.random.default_rng(seed)
    x = uniform(rng, *shape)
    features, fold_backward = fold(x, **layout)
    back, unfold_backward = unfold(features, shape, **layout)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(fold_backward(features)[0], x)
    np.testing.assert_array_equal(unfold_backward(x)[0], features)


pools = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=3)


@given(pools, seeds)
def test_max_pool_keeps_the_sum_of_the_gradient_and_gives_each_part_to_one_cell(axes, seed):
    rng = np.random.default_rng(seed)
    x = uniform(rng, 2, *(size for size, _ in axes), 2)
    y, backward = max_pool(x, tuple(kernel for _, kernel in axes))
    dy = uniform(rng, *y.shape)
    (dx,) = backward(dy)
    np.testing.assert_array_equal(np.sort(dx[dx != 0]), np.sort(dy, axis=None))


@given(pools, seeds)
def test_max_pool_is_the_maximum_of_every_window(axes, seed):
    x = uniform(np.random.default_rng(seed), 1, *(size for size, _ in axes), 2)
    kernel = tuple(kernel for _, kernel in axes)
    np.testing.assert_array_equal(max_pool(x, kernel)[0], oracles.max_pool(x, kernel))


@given(pools, seeds)
def test_on_ties_the_first_position_of_a_window_gets_its_whole_gradient(axes, seed):
    rng = np.random.default_rng(seed)
    kernel = tuple(kernel for _, kernel in axes)
    x = rng.integers(0, 2, (1, *(size for size, _ in axes), 1)).astype(float)  # zeros and ones: ties everywhere
    y, backward = max_pool(x, kernel)
    dy = uniform(rng, *y.shape)
    (dx,) = backward(dy)
    expected = np.zeros_like(x)
    for corner in itertools.product(*(range(n) for n in y.shape[1:-1])):
        cells = [
            tuple(c * k + o for c, k, o in zip(corner, kernel, offsets, strict=True))
            for offsets in itertools.product(*map(range, kernel))
        ]
        first = next(cell for cell in cells if x[(0, *cell, 0)] == y[(0, *corner, 0)])
        expected[(0, *first, 0)] = dy[(0, *corner, 0)]
    np.testing.assert_array_equal(dx, expected)


# The block


@st.composite
def blocks(draw, **fixed):
    """A configuration with every option drawn, and a shape of x that fits it."""
    dims = fixed.get("dims") or draw(st.integers(1, 3))
    space = [draw(st.integers(1, 4 if dims < 3 else 3)) for _ in range(dims)]
    options = {
        "variant": draw(st.sampled_from(nl.VARIANTS)),
        "inner_channels": draw(st.sampled_from([None, 1, 2, 3])),
        "pool_order": draw(st.sampled_from(["after", "before"])),
        "norm": draw(st.sampled_from(["batch", "affine", None])),
        "bias": draw(st.booleans()),
        "init": draw(st.sampled_from(["msra", "normal", "torch"])),
        "eps": 0.25,
        "domain": draw(st.sampled_from(["spacetime", "space", "time"])) if dims == 3 else "spacetime",
    } | fixed
    if options["variant"] in SOFTMAX:
        options.setdefault("scale", draw(st.sampled_from([None, "inner", 0.5])))
    if dims == 3 and options["domain"] == "spacetime" and "frame_group" not in fixed:
        options["frame_group"] = draw(st.sampled_from([None, *(n for n in (1, 2, 3) if space[0] % n == 0)]))
    if "subsample" not in fixed:
        largest_kernel = list(space)
        if dims == 3:
            largest_kernel[0] = {"space": 1, "time": space[0]}.get(
                options["domain"], options.get("frame_group") or space[0]
            )
        if options["domain"] == "time":
            largest_kernel[1:] = [1, 1]
        kernel = tuple(draw(st.integers(1, min(size, 2))) for size in largest_kernel)
        options["subsample"] = draw(st.sampled_from([False, kernel]))
    config = nl.BlockConfig(draw(st.integers(1, 3)), dims=dims, **{k: v for k, v in options.items() if k != "dims"})
    return config, (draw(st.integers(1, 2)), config.channels, *space)


def block_example(config, shape, seed):
    """x, parameters of order one, dz."""
    rng = np.random.default_rng(seed)
    params = {key: uniform(rng, *sizes) for key, sizes in nl.param_shapes(config).items()}
    if "bn.running_var" in params:
        params["bn.running_var"] = np.abs(params["bn.running_var"])
    return uniform(rng, *shape), params, uniform(rng, *shape)


def run_block(x, params, config, dz, *, training=False):
    """z, dx and the gradients by key."""
    z, backward = nl.block(x, params, config, training=training, method="dense")
    return z, *backward(dz)


def assert_blocks_equal(got, want):
    for one, other in zip(got[:2], want[:2], strict=True):
        assert_equal_up_to_rounding(one, other)
    assert list(got[2]) == list(want[2])
    for key, gradient in want[2].items():
        assert_equal_up_to_rounding(got[2][key], gradient, largest(*want[2].values()))


@given(blocks(), seeds, st.booleans())
def test_a_fresh_block_is_the_identity_exactly(block, seed, training):
    config, shape = block
    x = 1e3 * uniform(np.random.default_rng(seed), *shape)
    z, _ = nl.block(x, nl.init_params(config, seed), config, training=training)
    np.testing.assert_array_equal(z, x)


@given(blocks(), seeds, st.booleans())
def test_zero_w_z_and_beta_make_any_block_the_identity(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    silent = params | {key: 0 * params[key] for key in params if key in {"w_z.weight", "w_z.bias", "bn.bias"}}
    if config.norm == "batch":
        silent["bn.running_mean"] = 0 * params["bn.running_mean"]
    z, dx, _ = run_block(x, silent, config, dz, training=training)
    np.testing.assert_array_equal(z, x)
    np.testing.assert_array_equal(dx, dz)


@given(blocks(), seeds, st.booleans())
def test_a_block_is_equation_6(block, seed, training):
    config, shape = block
    x, params, _ = block_example(config, shape, seed)
    z, _ = nl.block(x, params, config, training=training)
    assert_equal_up_to_rounding(z, oracles.block(x, params, config, training=training).z)


@given(blocks(domain="spacetime", frame_group=None), seeds, st.booleans())
def test_a_block_is_its_parts(block, seed, training):
    config, shape = block
    x, params, _ = block_example(config, shape, seed)
    rows = np.moveaxis(x, 1, -1)  # channels last

    def embed(name, values):
        if f"{name}.weight" not in params:
            return values
        return values @ params[f"{name}.weight"].T + params.get(f"{name}.bias", 0)

    def pool(values):
        return max_pool(values, config.kernel)[0]

    keys = pool(rows) if config.pool_order == "before" else rows
    phi, g = embed("phi", keys), embed("g", keys)
    if config.pool_order == "after":
        phi, g = pool(phi), pool(g)
    theta, phi, g = (v.reshape(shape[0], -1, v.shape[-1]) for v in (embed("theta", rows), phi, g))
    w_f = [params["w_f.weight"]] if config.variant == "concatenation" else []
    y, _ = nl.nonlocal_op(config.variant, theta, phi, g, *w_f, scale=config.scale_factor)
    w_z_y = embed("w_z", y)
    if config.norm == "batch":
        mean, var = (
            (w_z_y.mean(axis=(0, 1)), w_z_y.var(axis=(0, 1)))
            if training
            else (
                params["bn.running_mean"],
                params["bn.running_var"],
            )
        )
        w_z_y = (w_z_y - mean) / np.sqrt(var + config.eps)
    if config.norm is not None:
        w_z_y = w_z_y * params["bn.weight"] + params["bn.bias"]
    z = np.moveaxis(w_z_y.reshape(rows.shape), -1, 1) + x
    assert_equal_up_to_rounding(nl.block(x, params, config, training=training)[0], z)


@given(blocks(), seeds, st.booleans())
def test_the_gradients_of_a_block_are_named_as_its_trainable_parameters(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    _, dx, grads = run_block(x, params, config, dz, training=training)
    assert dx.shape == x.shape
    assert list(grads) == trainable(params)
    assert {key: gradient.shape for key, gradient in grads.items()} == {key: params[key].shape for key in grads}


@given(blocks(), seeds, st.booleans())
def test_the_gradient_of_a_block_is_the_transpose_of_its_derivative(block, seed, training):
    """One complex step along a random direction through everything: <dz, J v> = <dx, v> + Σ <dparams, v>."""
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    _, dx, grads = run_block(x, params, config, dz, training=training)
    rng, step = np.random.default_rng(seed + 1), 1e-30
    v_x, v_params = uniform(rng, *shape), {key: uniform(rng, *gradient.shape) for key, gradient in grads.items()}
    moved = {key: value + 1j * step * v_params.get(key, 0) for key, value in params.items()}
    z, _ = nl.block(x + 1j * step * v_x, moved, config, training=training, method="dense")
    left = np.sum(dz * z.imag) / step
    terms = [dx * v_x, *(grads[key] * v_params[key] for key in grads)]
    size = sum(float(np.sum(np.abs(term))) for term in terms)  # all that is added up on the right
    assert_equal_up_to_rounding(sum(float(np.sum(term)) for term in terms), left, size)


@given(blocks(dims=1), seeds, st.booleans(), st.sampled_from([2, 3]))
def test_axes_of_length_one_change_nothing(block, seed, training, dims):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    fields = {name: getattr(config, name) for name in config.__dataclass_fields__}
    for place in range(dims):  # where the long axis stands among those of length 1
        kernel = [1] * dims
        kernel[place] = config.kernel[0] if config.kernel else 1
        wider = nl.BlockConfig(**fields | {"dims": dims, "subsample": tuple(kernel)})
        space = [1] * dims
        space[place] = shape[2]
        wide = (*shape[:2], *space)
        z, dx, grads = run_block(x.reshape(wide), params, wider, dz.reshape(wide), training=training)
        want = run_block(x, params, config, dz, training=training)
        assert_blocks_equal((z.reshape(shape), dx.reshape(shape), grads), want)


def with_options(config, **changes):
    return nl.BlockConfig(**{name: getattr(config, name) for name in config.__dataclass_fields__} | changes)


@given(blocks(dims=3, domain="spacetime", frame_group=None), seeds, st.booleans())
def test_one_group_of_all_frames_is_no_group(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    grouped = with_options(config, frame_group=shape[2])
    assert_blocks_equal(
        run_block(x, params, grouped, dz, training=training), run_block(x, params, config, dz, training=training)
    )


@given(blocks(dims=3, domain="space"), seeds, st.booleans())
def test_space_only_is_groups_of_one_frame(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    grouped = with_options(config, domain="spacetime", frame_group=1)
    assert_blocks_equal(
        run_block(x, params, grouped, dz, training=training), run_block(x, params, config, dz, training=training)
    )


def assert_equals_a_loop(config, inner, shape, seed, parts):
    """A block in eval mode is the block `inner` on each of the parts of x, and parameter gradients add up."""
    x, params, dz = block_example(config, shape, seed)
    z, dx, grads = run_block(x, params, config, dz)
    want_z, want_dx, want_grads = np.empty_like(z), np.empty_like(dx), dict.fromkeys(grads, 0)
    for part in parts:
        want_z[part], want_dx[part], more = run_block(x[part], params, inner, dz[part])
        want_grads = {key: want_grads[key] + more[key] for key in grads}
    assert_blocks_equal((z, dx, grads), (want_z, want_dx, want_grads))


@given(blocks(dims=3, domain="space"), seeds)
def test_space_only_is_a_loop_over_frames(block, seed):
    config, shape = block
    kernel = config.kernel and config.kernel[1:]
    inner = with_options(config, dims=2, domain="spacetime", subsample=kernel or False)
    assert_equals_a_loop(config, inner, shape, seed, [np.s_[:, :, t] for t in range(shape[2])])


@given(blocks(dims=3, domain="time"), seeds)
def test_time_only_is_a_loop_over_pixels(block, seed):
    config, shape = block
    kernel = config.kernel and config.kernel[:1]
    inner = with_options(config, dims=1, domain="spacetime", subsample=kernel or False)
    pixels = itertools.product(range(shape[3]), range(shape[4]))
    assert_equals_a_loop(config, inner, shape, seed, [np.s_[:, :, :, h, w] for h, w in pixels])


@given(blocks(dims=3, domain="spacetime"), seeds)
def test_frame_groups_are_a_loop_over_groups(block, seed):
    config, shape = block
    step = config.frame_group or shape[2]
    inner = with_options(config, frame_group=None)
    parts = [np.s_[:, :, t : t + step] for t in range(0, shape[2], step)]
    assert_equals_a_loop(config, inner, shape, seed, parts)


@given(blocks(subsample=False), seeds, st.booleans())
def test_pooling_with_a_kernel_of_one_is_no_pooling(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    ones = with_options(config, subsample=(1,) * config.dims)
    got, want = (run_block(x, params, c, dz, training=training) for c in (ones, config))
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


@given(blocks(subsample=False, domain="spacetime", frame_group=None), seeds, st.randoms(use_true_random=False))
def test_without_pooling_permuting_positions_permutes_the_output(block, seed, random):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    count = int(np.prod(shape[2:]))
    order = random.sample(range(count), count)

    def permuted(values):
        return values.reshape(*shape[:2], count)[:, :, order].reshape(shape)

    for training in (False, True):
        z, dx, grads = run_block(x, params, config, dz, training=training)
        got = run_block(permuted(x), params, config, permuted(dz), training=training)
        assert_blocks_equal(got, (permuted(z), permuted(dx), grads))


@given(blocks(subsample=False), seeds, st.booleans())
def test_without_pooling_the_order_of_pooling_does_not_matter(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    before, after = (with_options(config, pool_order=order) for order in ("before", "after"))
    np.testing.assert_array_equal(
        run_block(x, params, before, dz, training=training)[1], run_block(x, params, after, dz, training=training)[1]
    )


@given(blocks(norm=None, bias=False, inner_channels=None), seeds)
def test_with_identity_embeddings_the_order_of_pooling_does_not_matter(block, seed):
    config, shape = block
    config = with_options(config, inner_channels=config.channels)
    x, params, dz = block_example(config, shape, seed)
    params |= {key: np.eye(config.channels) for key in ("theta.weight", "phi.weight", "g.weight") if key in params}
    before, after = (with_options(config, pool_order=order) for order in ("before", "after"))
    got, want = run_block(x, params, before, dz), run_block(x, params, after, dz)
    # the gradients of the weights differ: only where they are the identity do the two blocks agree
    assert_equal_up_to_rounding(got[0], want[0])
    assert_equal_up_to_rounding(got[1], want[1])


def test_in_general_the_order_of_pooling_matters():
    config = nl.BlockConfig(4, dims=2)
    x, params, _ = block_example(config, (1, 4, 4, 4), 0)
    z_before, z_after = (
        nl.block(x, params, with_options(config, pool_order=order))[0] for order in ("before", "after")
    )
    assert np.abs(z_before - z_after).max() > 1e-3


@given(blocks(norm="batch"), seeds)
def test_evaluating_with_the_statistics_of_the_batch_repeats_training(block, seed):
    config, shape = block
    x, params, _ = block_example(config, shape, seed)
    seen = {}
    z, _ = nl.block(x, params, config, training=True, tap=seen.__setitem__)
    used = params | {"bn.running_mean": seen["bn.mean"], "bn.running_var": seen["bn.var"]}
    np.testing.assert_array_equal(nl.block(x, used, config)[0], z)


@given(blocks(variant="embedded_gaussian", bias=True), seeds, st.booleans())
def test_the_bias_of_phi_never_gets_a_gradient_in_the_embedded_gaussian(block, seed, training):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    _, _, grads = run_block(x, params, config, dz, training=training)
    assert_equal_up_to_rounding(grads["phi.bias"], 0 * grads["phi.bias"], largest(*grads.values()) + dz.size)


@given(blocks(norm="batch", bias=True), seeds)
def test_the_bias_of_w_z_never_gets_a_gradient_under_batch_norm_in_training(block, seed):
    config, shape = block
    x, params, dz = block_example(config, shape, seed)
    _, _, grads = run_block(x, params, config, dz, training=True)
    assert_equal_up_to_rounding(grads["w_z.bias"], 0 * grads["w_z.bias"], largest(*grads.values()) + dz.size)


@given(blocks(norm="batch"), seeds)
def test_what_is_added_before_batch_norm_does_not_come_out_in_training(block, seed):
    config, shape = block
    assume(config.bias)
    x, params, _ = block_example(config, shape, seed)
    louder = params | {"w_z.bias": params["w_z.bias"] + 3.0}
    z, z_louder = (nl.block(x, p, config, training=True)[0] for p in (params, louder))
    assert_equal_up_to_rounding(z_louder, z, 8)


# Norm and running statistics


@given(st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(1, 3)), seeds)
def test_batch_norm_in_training_does_not_see_shifts_of_its_input(shape, seed):
    rng = np.random.default_rng(seed)
    x, shift, dy = uniform(rng, *shape), uniform(rng, shape[2]), uniform(rng, *shape)
    (y, backward), (y_2, backward_2) = standardise(x, 0.25), standardise(x + shift, 0.25)
    assert_equal_up_to_rounding(y_2, y, 2)
    assert_equal_up_to_rounding(backward_2(dy)[0], backward(dy)[0], 2)


@given(st.integers(2, 50), st.integers(1, 4), seeds, st.floats(0, 1))
@example(2, 1, 0, 1.0)
def test_running_statistics_are_the_mean_and_variance_that_numpy_knows(count, channels, seed, momentum):
    rng = np.random.default_rng(seed)
    values = uniform(rng, count, channels)
    params = {"bn.running_mean": uniform(rng, channels), "bn.running_var": np.abs(uniform(rng, channels))}
    updated = nl.update_running_stats(params, values.mean(axis=0), values.var(axis=0), count, momentum)
    for key, batch in (("bn.running_mean", values.mean(axis=0)), ("bn.running_var", values.var(axis=0, ddof=1))):
        assert_equal_up_to_rounding(updated[key], (1 - momentum) * params[key] + momentum * batch)


@given(blocks(), seeds)
def test_to_backend_and_back_gives_the_same_parameters(block, seed):
    config, _ = block
    params = nl.init_params(config, seed)
    for key, value in nl.to_backend(params, "numpy").items():
        np.testing.assert_array_equal(value, params[key])
