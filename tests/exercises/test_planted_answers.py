"""Wrong answers as people write them, in plain NumPy: each gets the hint it should get."""

import numpy as np
import pytest

import nonlocal_ref.exercises as ex
from nonlocal_ref.ops import linear, matmul, relu, softmax
from nonlocal_ref.pairwise import concatenation, gaussian


def transposed(x):
    return np.swapaxes(x, -1, -2)


def softmax_as_product(scores):
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    p = e / e.sum(axis=-1, keepdims=True)

    def backward(dp):
        return (dp * p,)

    return p, backward


def softmax_with_a_batch_mean(scores):
    p, _ = softmax(scores)

    def backward(dp):
        return (p * (dp - dp.mean(axis=-1, keepdims=True)),)

    return p, backward


def softmax_that_overflows(scores):
    p = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)

    def backward(dp):
        return (p * (dp - (dp * p).sum(axis=-1, keepdims=True)),)

    return p, backward


def softmax_with_the_wrong_sign(scores):
    p, backward = softmax(scores)
    return p, lambda dp: (-backward(dp)[0],)


def linear_without_the_sums(x, weight, bias):
    def backward(dy):
        return dy @ weight, transposed(dy) @ x, dy

    return x @ weight.T + bias, backward


def linear_in_another_order(x, weight, bias):
    y, backward = linear(x, weight, bias)

    def backward_shuffled(dy):
        dx, dweight, dbias = backward(dy)
        return dweight, dx, dbias

    return y, backward_shuffled


def linear_transposed_weight_gradient(x, weight, bias):
    y, backward = linear(x, weight, bias)
    return y, lambda dy: (backward(dy)[0], backward(dy)[1].T, backward(dy)[2])


def linear_twice_the_bias(x, weight, bias):
    y, backward = linear(x, weight, bias)
    return y, lambda dy: (*backward(dy)[:2], 2 * backward(dy)[2])


def matmul_exchanged(a, b):
    y, backward = matmul(a, b)
    return y, lambda dy: backward(dy)[::-1]


def relu_in_place(x):
    y, _ = relu(x)

    def backward(dy):
        dy[x < 0] = 0
        return (dy,)

    return y, backward


def relu_that_spoils_its_input(x):
    mask = x > 0
    x *= mask
    return x, lambda dy: (dy * mask,)


def gaussian_without_jacobian(theta, phi):
    p, _ = softmax(theta @ transposed(phi))
    return p, lambda dp: (dp * p @ phi, transposed(dp * p) @ theta)


def gaussian_forgets_phi(theta, phi):
    p, backward = gaussian(theta, phi)
    return p, lambda dp: (backward(dp)[0], np.zeros_like(phi))


def dot_product_by_n(theta, phi):
    n = theta.shape[1]
    return theta @ transposed(phi) / n, lambda dw: (dw @ phi / n, transposed(dw) @ theta / n)


def concatenation_phi_first(theta, phi, w_f):
    w_phi, w_theta = np.split(w_f, 2)
    return concatenation(theta, phi, np.concatenate([w_theta, w_phi]))


def nonlocal_weights_as_constants(theta, phi, g):
    p, _ = gaussian(theta, phi)
    return p @ g, lambda dy: (0 * theta, 0 * phi, transposed(p) @ dy)


def nonlocal_without_transpose(theta, phi, g):
    p, backward = gaussian(theta, phi)
    return p @ g, lambda dy: (*backward(dy @ transposed(g)), p @ dy)


def block_without_dz(x, w_theta, w_phi, w_g, w_z):
    theta, phi, g = x @ w_theta.T, x @ w_phi.T, x @ w_g.T
    p, kernel_backward = gaussian(theta, phi)
    y = p @ g

    def total(d, v):
        return np.tensordot(d, v, axes=((0, 1), (0, 1)))

    def backward(dz):
        dy = dz @ w_z
        dtheta, dphi = kernel_backward(dy @ transposed(g))
        dg = transposed(p) @ dy
        dx = dtheta @ w_theta + dphi @ w_phi + dg @ w_g
        return dx, total(dtheta, x), total(dphi, x), total(dg, x), total(dz, y)

    return y @ w_z.T + x, backward


PLANTED = [
    (ex.check_softmax, softmax_as_product, ["jacobian_missing"]),
    (ex.check_softmax, softmax_with_a_batch_mean, ["plain_mean"]),
    (ex.check_softmax, softmax_that_overflows, ["overflow"]),
    (ex.check_softmax, softmax_with_the_wrong_sign, ["sign"]),
    (ex.check_linear, linear_without_the_sums, ["sum_missing"]),
    (ex.check_linear, linear_in_another_order, ["order"]),
    (ex.check_linear, linear_transposed_weight_gradient, ["transposed"]),
    (ex.check_linear, linear_twice_the_bias, ["factor"]),
    (ex.check_matmul, matmul_exchanged, ["order"]),
    (ex.check_relu, relu_in_place, ["promise"]),
    (ex.check_relu, relu_that_spoils_its_input, ["promise"]),
    (ex.check_gaussian, gaussian_without_jacobian, ["jacobian_missing"]),
    (ex.check_gaussian, gaussian_forgets_phi, ["zero"]),
    (ex.check_dot_product, dot_product_by_n, ["divided_by_queries"]),
    (ex.check_concatenation, concatenation_phi_first, ["halves_exchanged"]),
    (ex.check_nonlocal, nonlocal_weights_as_constants, ["zero"]),
    (ex.check_nonlocal, nonlocal_without_transpose, ["weights_not_transposed"]),
    (ex.check_block, block_without_dz, ["straight_path_missing"]),
    (ex.check_complex_step, lambda f, x, v, h: np.imag(f((x + 1j * h * v).real)) / h, ["real_step"]),
    (ex.check_central_difference, lambda f, x, v, h: (f(x + h * v) - f(x)) / h, ["one_sided"]),
    (ex.check_multiply_adds, lambda N, M, C, D: 8 * N * C * D + 4 * N * M * D, ["counted_as_two"]),
]


@pytest.mark.parametrize(("check", "answer", "names"), PLANTED)
def test_a_planted_answer_gets_the_intended_hint(check, answer, names):
    result = check(answer)
    assert not result
    assert [hint.name for hint in result.hints] == names


def test_the_smallest_input_that_breaks_the_answer_is_shown():
    first = ex.check_softmax(softmax_as_product)
    assert first.inputs["scores"].shape == (1, 1, 2)
    assert "scores = [[[" in str(first)
    last = ex.check_softmax(softmax_that_overflows)
    assert "5 smaller were right" in str(last)
    assert "large scores" in str(last)
    matmul_on_squares = ex.check_matmul(lambda a, b: (a @ b, lambda dy: (dy @ b, a @ dy)))
    assert "1 smaller was right" in str(matmul_on_squares)


def test_what_is_right_is_said_too():
    text = str(ex.check_linear(linear_without_the_sums))
    assert "The value y is right. So is dx. dweight and dbias are not." in text
    assert "weight has shape (5, 4), its gradient has shape (2, 5, 4)" in text  # the checker's own words
