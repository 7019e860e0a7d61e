"""A hint is true of the numbers below it, and of every larger input."""

import numpy as np
import pytest

import nonlocal_ref.exercises as ex
from nonlocal_ref.exercises.block_pieces import batch_norm, pool
from nonlocal_ref.exercises.hints import Hint, general
from nonlocal_ref.exercises.ladder import Exercise, Rung, climb
from nonlocal_ref.ops import linear, matmul, relu, softmax
from nonlocal_ref.pairwise import gaussian


def transposed(x):
    return np.swapaxes(x, -1, -2)


def names(result):
    assert not result
    return [hint.name for hint in result.hints]


def softmax_with(shift):
    """The softmax of somebody who subtracts something else than the row's largest score."""

    def answer(scores):
        e = np.exp(scores - shift(scores))
        p = e / e.sum(axis=-1, keepdims=True)
        return p, lambda dp: (p * (dp - (p * dp).sum(axis=-1, keepdims=True)),)

    return answer


SHIFTS = [
    (lambda s: s.max(), "one_shift_for_all", "rows far apart"),
    (lambda s: s.mean(axis=-1, keepdims=True), "mean_subtracted", "one score far from the others"),
    (lambda s: s.min(axis=-1, keepdims=True), "smallest_subtracted", "one score far from the others"),
]


@pytest.mark.parametrize(("shift", "hint", "about"), SHIFTS)
def test_a_softmax_that_overflows_somewhere_is_not_right(shift, hint, about):
    answer = softmax_with(shift)
    for result in (ex.check_softmax(answer), ex.check_softmax_rows(lambda scores: answer(scores)[0])):
        assert names(result) == [hint]
        assert about in str(result)


def test_what_happens_to_large_scores_explains_nothing_smaller():
    def with_absolute_values(scores):
        e = np.exp(np.abs(scores))  # overflows as well, but later
        return e / e.sum(axis=1, keepdims=True)

    def product_that_overflows(scores):
        e = np.exp(scores)
        p = e / e.sum(axis=-1, keepdims=True)
        return p, lambda dp: (p * dp,)

    assert names(ex.check_softmax_rows(with_absolute_values)) == ["of_absolute_scores"]
    assert names(ex.check_softmax(product_that_overflows)) == ["jacobian_missing"]


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_shapes_that_fit_by_chance_are_shown_with_the_input_where_they_do_not(shift):
    def without_keepdims(scores):
        e = np.exp(scores - shift * scores.max(axis=1, keepdims=True))
        return e / e.sum(axis=1)

    result = ex.check_softmax_rows(without_keepdims)
    text = str(result)
    assert names(result) == ["keepdims_forgotten" if shift else "raised"]
    assert ("could not be broadcast" in " ".join(text.split())) == (not shift)
    assert text.count("scores = [[") == (1 if shift else 2)


@pytest.mark.parametrize("relu_too", [False, True])
def test_a_hint_does_not_contradict_the_numbers_below_it(relu_too):
    def products(theta, phi, w_f):
        depth = theta.shape[1]
        f = (theta * w_f[:depth]) @ (phi * w_f[depth:]).T
        return np.maximum(f, 0) if relu_too else f

    result = ex.check_pair_scores(products)
    assert names(result) == ["products_of_channels" if relu_too else "products_without_relu"]
    assert "zero" not in str(result)


def on(*inputs):
    """An exercise without mistakes of its own: y = x."""
    return Exercise("same", ("x",), "y", lambda x: x, lambda: [Rung((np.asarray(x),)) for x in inputs], plain=True)


def test_a_relation_that_a_larger_input_lacks_is_not_said():
    def zero_at_first(x):
        return x * (np.arange(x.size) >= 2)

    assert names(climb(on([1.0, 2.0], [1.0, 2.0, 3.0]), zero_at_first)) == []
    assert names(climb(on([1.0, 2.0], [1.0, 2.0, 3.0]), np.zeros_like)) == ["zero"]


def test_a_relation_that_only_a_larger_input_shows_comes_with_that_input():
    result = climb(on([1.0], [1.0, 2.5]), lambda x: 3 * x)
    assert names(result) == ["factor"]
    assert "The larger input\n    x = [1. , 2.5]\n    your  y = [3. , 7.5]" in str(result)
    alone = climb(on([1.0]), lambda x: 3 * x)
    assert names(alone) == []


def test_a_number_that_depends_on_the_input_is_not_given_as_the_number():
    result = climb(on([1.0, 2.0], [1.0, 2.0, 3.0]), lambda x: x.size * x)
    assert "y is 2 times what it should be, everywhere. With another input the number is another." in str(result)
    result = climb(on([1.0, 2.0], [1.0, 2.0, 3.0]), lambda x: 4 * x)
    assert "y is 4 times what it should be, everywhere.\n" in str(result)


def test_what_only_the_largest_inputs_show_is_no_relation():
    one_too_many = ex.check_multiply_adds(lambda N, M, C, D: 4 * N * C * D + 2 * N * M * D + 1)
    assert names(one_too_many) == []  # of the first it is a tenth, of the last next to nothing
    result = climb(on([1.0], [1.0, 2.0], [1.0, 2.0, 3.0]), lambda x: x * (1 + (x.size < 3) * np.arange(x.size) + 1e-5))
    assert names(result) == []


def test_a_single_number_has_no_entries():
    found = general("d2", np.asarray(1.0001), np.asarray(1.0))
    assert found == Hint("nearly", "d2 is nearly right: it differs by 0.0001 of the right number.")
    half = ex.check_patch_distance(lambda a, b: np.mean((a - b) ** 2) / 2)
    assert half.hints[0].text == "d2 is 0.5 times what it should be, for every input."
    zero = climb(
        Exercise("zero", ("x",), "y", lambda x: 2.0, lambda: [Rung((1.0,)), Rung((2.0,))], plain=True), lambda x: 0.0
    )
    assert names(zero) == ["zero"]


def test_h_that_has_no_effect_is_said_so():
    def mine(patches, i, h):
        w = np.exp(-np.mean((patches - patches[i]) ** 2, axis=1) / h * h)
        return w / w.sum()

    result = ex.check_weights_of_a_pixel(mine)
    assert names(result) == ["h_forgotten"]
    assert "h has no effect" in str(result)


def test_names_stand_with_commas():
    text = str(ex.check_block(block_by_hand(gaussian_with_wrong_theta)))
    assert "So are dw_phi, dw_g and dw_z. dx and dw_theta are not." in text


def gaussian_with_wrong_theta(theta, phi):
    p, backward = gaussian(theta, phi)
    return p, lambda dp: (3 * backward(dp)[0], backward(dp)[1])


def test_a_factor_takes_two_numbers():
    assert general("y", np.asarray([3.0, 0.0]), np.asarray([1.0, 0.0])) is None
    assert general("y", np.asarray([3.0, 6.0]), np.asarray([1.0, 2.0])) == Hint(
        "factor", "y is 3 times what it should be, everywhere."
    )


def without_dy(x):
    return relu(x)[0], lambda dy: ((x > 0) * 1.0,)


def columns_first(scores):
    p, _ = softmax(scores)
    return p, lambda dp: (p * (dp - (p * dp).sum(axis=-2, keepdims=True)),)


def dy_alone(theta, phi, g):
    p, _ = gaussian(theta, phi)

    def backward(dy):
        dlogits = p * (dy @ transposed(g) - dy.sum(axis=-1, keepdims=True))
        return dlogits @ phi, transposed(dlogits) @ theta, transposed(p) @ dy

    return p @ g, backward


def dy_times_maximum(x):
    y, backward = pool(x)
    return y, lambda dy: backward(dy * y)


def without_the_root(x, gamma, beta):
    y, backward = batch_norm(x, gamma, beta)
    return y, lambda dy: (backward(dy)[0] * np.sqrt(x.var(axis=(0, 1)) + 1e-5), *backward(dy)[1:])


ONE_ROW = [  # of which a single row or a single number says something else
    (ex.check_relu, without_dy, "not_linear"),
    (ex.check_softmax, columns_first, "dot_over_columns"),
    (ex.check_nonlocal, dy_alone, "sum_of_dy"),
    (ex.check_max_pool, dy_times_maximum, "times_the_maximum"),
    (ex.check_batch_norm, without_the_root, "root_forgotten_on_the_way_back"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), ONE_ROW)
def test_one_row_does_not_mislead(check, answer, hint):
    result = check(answer)
    assert names(result) == [hint]
    assert "nl.gradcheck says of a larger input" in str(result)
    assert "diagonal alone" not in str(result)


def test_the_checker_is_asked_about_the_largest_input_that_is_wrong():
    result = ex.check_linear(
        lambda x, w, b: (linear(x, w, b)[0], lambda dy: (dy @ w, *linear(x, 2 * w, b)[1](2 * dy)[1:]))
    )
    assert "nl.gradcheck says of a larger input, x (2, 3, 4), weight (5, 4), bias (5,)" in str(result)
    assert result.report["weight"].shape == (5, 4)
    assert result.inputs["weight"].shape == (1, 1)


def test_a_report_on_the_input_that_is_shown_says_so():
    def on_large_inputs_only(a, b):
        y, backward = matmul(a, b)
        return y, lambda dy: tuple(d * (1 + (a.size > 20)) for d in backward(dy))

    assert "nl.gradcheck says of it" in str(ex.check_matmul(on_large_inputs_only))


# A mistake in each exercise as people make it, with the name of its hint.


def normalised(mean, root):
    def answer(x, gamma, beta):
        x_hat = (x - mean(x)) / root(x)
        return gamma * x_hat + beta, batch_norm(x, gamma, beta)[1]

    return answer


def of_windows(x, *shape):
    batch, height, width, channels = x.shape
    sizes = {"B": batch, "H": height // 2, "W": width // 2, "C": channels}
    windows = x[:, : height // 2 * 2, : width // 2 * 2].reshape([sizes.get(s, s) for s in shape])
    y = windows.max(axis=tuple(i for i, s in enumerate(shape) if s in (2, 4)))
    return y, lambda dy: pool(x)[1](dy)


def of_four_neighbours(x):
    return of_windows(x, "B", "H", "W", 4, "C")


def last_winner(x):
    y, _ = pool(x)

    def backward(dy):
        dx = np.zeros_like(x)
        for b, h, w, c in np.ndindex(y.shape):
            window = x[b, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2, c]
            i, j = np.argwhere(window == window.max())[-1]
            dx[b, 2 * h + i, 2 * w + j, c] += dy[b, h, w, c]
        return (dx,)

    return y, backward


def sums_on_the_way_back(x, gamma, beta):
    y, backward = batch_norm(x, gamma, beta)
    root = np.sqrt(x.var(axis=(0, 1)) + 1e-5)
    x_hat = (x - x.mean(axis=(0, 1))) / root

    def backward_with_sums(dy):
        d = dy * gamma
        dx = (d - d.sum(axis=(0, 1)) - x_hat * (d * x_hat).sum(axis=(0, 1))) / root
        return dx, *backward(dy)[1:]

    return y, backward_with_sums


def scaled_operation(theta, phi, g):
    weights, backward = gaussian(theta / np.sqrt(theta.shape[-1]), phi)
    return weights @ g, lambda dy: (*backward(dy @ transposed(g)), transposed(weights) @ dy)


def batch_norm_by_hand(mean):
    """dx as people write it, with some mean over positions."""

    def answer(x, gamma, beta):
        y, backward = batch_norm(x, gamma, beta)
        root = np.sqrt(x.var(axis=(0, 1)) + 1e-5)
        x_hat = (x - x.mean(axis=(0, 1))) / root

        def backward_by_hand(dy):
            d = gamma * dy
            return (d - mean(d) - x_hat * mean(d * x_hat)) / root, *backward(dy)[1:]

        return y, backward_by_hand

    return answer


def softmax_back(in_front, inside):
    def answer(scores):
        p, _ = softmax(scores)
        e = np.exp(scores - scores.max(axis=-1, keepdims=True))
        numbers = {"p": p, "e": e, "exp": np.exp(scores)}
        a, b = numbers[in_front], numbers[inside]
        return p, lambda dp: (a * (dp - (b * dp).sum(axis=-1, keepdims=True)),)

    return answer


def block_by_hand(weights_of, dg_is_dy=False):
    """Eq. (6) by hand; a wrong value needs no right way back."""

    def answer(x, w_theta, w_phi, w_g, w_z):
        theta, phi, g = x @ w_theta.T, x @ w_phi.T, x @ w_g.T
        p, kernel_backward = weights_of(theta, phi)

        def total(d, v):
            return np.tensordot(d, v, axes=((0, 1), (0, 1)))

        def backward(dz):
            dy = dz @ w_z
            dtheta, dphi = kernel_backward(dy @ transposed(g))
            dg = dy if dg_is_dy else transposed(p) @ dy
            right_dg = transposed(p) @ dy
            dx = dz + dtheta @ w_theta + dphi @ w_phi + (dg if dg_is_dy == "everywhere" else right_dg) @ w_g
            return dx, total(dtheta, x), total(dphi, x), total(dg, x), total(dz, p @ g)

        return p @ g @ w_z.T + x, backward

    return answer


def without_way_back(weights):
    return lambda theta, phi: (weights(theta, phi), None)


def embedding_with(last):
    def answer(patches, h):
        both = np.sqrt(2) * patches / h
        return np.stack([np.c_[both, np.ones(len(both))], np.c_[both, last(patches, h)]])

    return answer


AS_PEOPLE_WRITE = [
    (ex.check_multiply_adds, lambda N, M, C, D: 4 * N * C * D + 2 * N * M * D + N * M, "softmax_counted"),
    (ex.check_batch_norm, batch_norm_by_hand(lambda v: v.mean(axis=1, keepdims=True)), "means_of_one_example"),
    (ex.check_batch_norm, lambda x, gamma, beta: (batch_norm(x, gamma, 0 * beta)[0], None), "beta_missing"),
    (ex.check_batch_norm, lambda x, gamma, beta: (batch_norm(x, gamma / gamma, beta)[0], None), "gamma_missing"),
    (ex.check_softmax, softmax_back("e", "e"), "exponentials_for_p"),
    (ex.check_softmax, softmax_back("exp", "exp"), "unshifted_exponentials_for_p"),
    (ex.check_softmax, softmax_back("p", "e"), "exponentials_in_the_sum"),
    (ex.check_softmax, softmax_back("e", "p"), "exponentials_in_front"),
    (
        ex.check_normaliser,
        lambda equation, f: f.sum(1) if equation != 4 else 0.0 * f[:, 0] + f.shape[1],
        "sum_for_the_concatenation",
    ),
    (
        ex.check_normaliser,
        lambda equation, f: f.sum(1) if equation != 5 else 0.0 * f[:, 0] + f.shape[1],
        "sum_for_the_dot_product",
    ),
    (ex.check_block, block_by_hand(lambda t, p: gaussian(t / t.shape[-1] ** 0.5, p)), "scores_scaled"),
    (ex.check_block, block_by_hand(without_way_back(lambda t, p: t @ transposed(p))), "softmax_missing"),
    (
        ex.check_block,
        block_by_hand(without_way_back(lambda t, p: t @ transposed(p) / t.shape[1])),
        "number_of_positions_for_softmax",
    ),
    (ex.check_block, block_by_hand(without_way_back(lambda t, p: np.exp(t @ transposed(p)))), "sum_not_divided"),
    (ex.check_block, block_by_hand(gaussian, "for the weights alone"), "dy_for_dg"),
    pytest.param(ex.check_block, block_by_hand(gaussian, "everywhere"), "dy_for_dg", id="dy_for_dg-everywhere"),
    (ex.check_augmented_embedding, embedding_with(lambda P, h: -2 * (P**2).sum(1) / h**2), "norm_with_the_two"),
    (ex.check_central_difference, lambda f, x, v, h: (f(x) - f(x - h * v)) / h, "one_sided_backwards"),
    (ex.check_patch_distance, lambda a, b: np.mean((a - b) ** 2) / 2, "factor"),
    (ex.check_multiply_adds, lambda N, M, C, D: 6 * N * C * D + 3 * N * M * D, "factor"),
    (ex.check_patch_distance, lambda a, b: ((a - b) ** 2).sum() / 25, "divided_by_25"),
    (ex.check_patch_distance, lambda a, b: ((a - b) ** 2).sum() / len(a), "divided_by_rows"),
    (ex.check_patch_distance, lambda a, b: ((a - b) ** 2).sum() / len(a) / a.shape[1], "channels_not_counted"),
    (ex.check_patch_distance, lambda a, b: np.linalg.norm(a - b), "norm_taken"),
    (ex.check_nonlocal, scaled_operation, "scaled_logits"),
    (ex.check_max_pool, of_four_neighbours, "cut_without_transpose"),
    (ex.check_max_pool, lambda x: of_windows(x, "B", "H", "W", 2, 2, "C"), "cut_without_transpose"),
    (ex.check_max_pool, last_winner, "last_of_a_tie"),
    (
        ex.check_batch_norm,
        normalised(lambda x: x.mean(axis=-1, keepdims=True), lambda x: np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)),
        "over_channels",
    ),
    (ex.check_batch_norm, normalised(np.mean, lambda x: np.sqrt(x.var() + 1e-5)), "over_everything"),
    (
        ex.check_batch_norm,
        normalised(lambda x: x.mean((0, 1)), lambda x: x.var((0, 1)) + 1e-5),
        "divided_by_the_variance",
    ),
    (
        ex.check_batch_norm,
        normalised(lambda x: x.mean((0, 1)), lambda x: x.var((0, 1))),
        "divided_by_the_variance_alone",
    ),
    (ex.check_batch_norm, normalised(lambda x: x.mean((0, 1)), lambda x: x.std((0, 1)) + 1e-5), "eps_outside_the_root"),
    (ex.check_batch_norm, sums_on_the_way_back, "sums_for_means"),
    (ex.check_multiply_adds, lambda N, M, C, D: 4 * N * C * D + 2 * N * M * C, "pairs_with_all_channels"),
    (ex.check_normaliser, lambda equation, f: np.abs(f).sum(axis=1), "sum_of_absolute_values"),
    (
        ex.check_normaliser,
        lambda equation, f: np.full(len(f), 1.0 * f.shape[1]) if equation == 5 else np.abs(f).sum(axis=1),
        "absolute_values_for_the_dot_product",
    ),
    (ex.check_central_difference, lambda f, x, v, h: (f(x + h * v / 2) - f(x - h * v / 2)) / h, "half_step"),
    (ex.check_central_difference, lambda f, x, v, h: (f(x + 1e-5 * v) - f(x - 1e-5 * v)) / 2e-5, "nearly"),
    (ex.check_complex_step, lambda f, x, v, h: (f(x + h * v) - f(x - h * v)) / (2 * h), "difference_of_values"),
]


@pytest.mark.parametrize(("check", "answer", "hint"), AS_PEOPLE_WRITE)
def test_a_mistake_as_people_make_it_gets_its_hint(check, answer, hint):
    assert names(check(answer)) == [hint]


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (ex.check_central_difference, lambda f, x, v, h: (f(x + h / 2 * v) - f(x - h / 2 * v)) / h),
        (ex.check_complex_step, lambda f, x, v, h: (f(x + h * v) - f(x - h * v)) / (2 * h)),
        (ex.check_patch_distance, lambda a, b: np.mean((a - b) ** 2) * (1 + 2e-9)),
    ],
)
def test_numbers_that_are_not_the_same_do_not_look_the_same(check, answer):
    text = str(check(answer))
    yours, right = (text.partition(f"    {who} ")[2].partition("\n")[0] for who in ("your ", "right"))
    assert yours.strip() != right.strip()


def test_numbers_are_written_as_people_write_them():
    text = str(ex.check_patch_distance(lambda a, b: np.mean(np.abs(a - b))))
    assert "np.float64" not in text
    assert "right d2 = 2.3525" in text
    close = str(ex.check_patch_distance(lambda a, b: np.mean((a - b) ** 2) + 3e-7))
    assert "your  d2 = 2.3525003\n" in close
    assert "np.int64" not in str(ex.check_multiply_adds(lambda N, M, C, D: np.int64(4 * N * C * D)))
