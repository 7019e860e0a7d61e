"""What people have becomes an operation that the gradient checker takes."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import check_operation, from_jax, from_layer, from_loss, from_pair, from_torch

ARRAYS = np.random.default_rng(0).normal(size=(3, 2, 4, 3))  # theta, phi, g


def product_forward(x, w, unused=None):
    return x @ w, (x, w)


def product_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout


class Scale:
    """A layer that keeps its input in itself and adds up its gradient."""

    def __init__(self):
        self.w, self.dw = np.ones(3), np.zeros(3)

    def forward(self, x):
        self.x = x
        return x * self.w

    def backward(self, dout):
        self.dw = self.dw + (self.x * dout).sum(axis=0)
        return dout * self.w


X, W = ARRAYS[0, 0], ARRAYS[1, 0].T


def test_a_pair_of_functions_is_an_operation():
    assert nl.gradcheck(from_pair(product_forward, product_backward), X, W, names=["x", "w"])


def test_a_wrong_pair_is_rejected():
    def transposed(dout, cache):
        dx, dw = product_backward(dout, cache)
        return -dx, dw

    report = nl.gradcheck(from_pair(product_forward, transposed), X, W, names=["x", "w"])
    assert report["x"].status == "wrong"
    assert report["w"].status == "right"


def test_a_single_gradient_may_come_alone():
    op = from_pair(lambda x: (2 * x, None), lambda dout, cache: 2 * dout)
    assert nl.gradcheck(op, X, names=["x"])


def test_constants_go_through_a_pair():
    op = from_pair(lambda x, factor: (factor * x, factor), lambda dout, factor: (factor * dout,))
    assert nl.gradcheck(op, X, 3, names=["x", "factor"])


def test_a_layer_is_an_operation_of_its_input_and_parameters():
    assert nl.gradcheck(from_layer(Scale(), w="dw"), X, np.arange(3.0), names=["x", "w"])


def test_a_layer_is_not_changed():
    layer = Scale()
    y, backward = from_layer(layer, w="dw")(X, np.arange(3.0))
    backward(y)
    assert not hasattr(layer, "x")
    assert np.array_equal(layer.w, np.ones(3))


def test_a_loss_with_its_gradient_is_an_operation():
    assert nl.gradcheck(from_loss(lambda w: (float(np.sum(w**2)), 2 * w)), X, names=["w"])


def test_a_loss_of_a_dict_gets_a_dict_of_gradients():
    def loss(params):
        return sum(np.sum(w**3) for w in params.values()), {key: 3 * w**2 for key, w in params.items()}

    assert nl.gradcheck(from_loss(loss), {"w": W, "v": X}, names=["params"])


def test_a_wrong_loss_gradient_is_rejected():
    assert not nl.gradcheck(from_loss(lambda w: (float(np.sum(w**2)), w)), X, names=["w"])


# names and errors are those of the code that was handed in


class Affine:
    def __init__(self):
        self.W, self.b = W, np.ones(W.shape[1])

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, dout.sum(axis=0)
        return dout @ self.W.T


def affine_loss(x, w):
    return float(np.sum(x @ w)), (np.ones((len(x), w.shape[1])) @ w.T, x.T @ np.ones((len(x), w.shape[1])))


@pytest.mark.parametrize(
    ("op", "names", "title"),
    [
        (from_pair(product_forward, product_backward), ["x", "w"], "product_forward"),
        (from_layer(Affine(), W="dW", b="db"), ["x", "W", "b"], "Affine"),
        (from_loss(affine_loss), ["x", "w"], "affine_loss"),
    ],
    ids=["pair", "layer", "loss"],
)
def test_an_adapter_keeps_the_names_of_what_it_was_made_from(op, names, title):
    report = nl.gradcheck(op, X, W, np.ones(W.shape[1])) if len(names) == 3 else nl.gradcheck(op, X, W)
    assert [leaf.name for leaf in report] == names
    assert report.op == title
    assert report


def test_a_torch_function_keeps_its_names():
    torch = pytest.importorskip("torch")

    def attend(theta, phi):
        return torch.softmax(theta @ phi.mT, -1)

    report = nl.gradcheck(from_torch(attend), *ARRAYS[:2])
    assert [leaf.name for leaf in report] == ["theta", "phi"]
    assert report.op == "attend"


def test_a_torch_module_keeps_the_names_of_its_forward():
    torch = pytest.importorskip("torch")
    report = nl.gradcheck(from_torch(torch.nn.Linear(3, 2).double()), X)
    assert [leaf.name for leaf in report] == ["input"]
    assert report.op == "Linear"


def test_a_jax_function_keeps_its_names(jax_in_64_bits):
    def product(x, w):
        return x @ w

    assert [leaf.name for leaf in nl.gradcheck(from_jax(product), X, W)] == ["x", "w"]


def two_things(x):
    return x, x


RETURNED = {
    "pair-without-cache": (from_pair(lambda x: 2 * x, lambda dout, cache: dout), "forward must return (y, cache), got"),
    "pair-of-two-rows": (from_pair(lambda x: x[:2], lambda dout, cache: dout), "got an array of shape (2, 3)"),
    "pair-of-three": (from_pair(lambda x: (x, x, x), lambda dout, cache: dout), "got a tuple of 3"),
    "loss-alone": (from_loss(lambda w: np.sum(w)), "f must return (loss, gradient), got"),
    "loss-of-each-example": (
        from_loss(lambda w: (np.sum(w, axis=1), w)),
        "the loss must be one number, got an array of shape (4,)",
    ),
    "layer-one-short": (from_layer(Affine(), W="dW", b="db"), "the operation takes x, W, b; got 1 of them"),
    "layer-misspelt-gradient": (from_layer(Scale(), w="dww"), "Scale has no attribute 'dww' after backward; did you"),
}


@pytest.mark.parametrize(("op", "told"), [pytest.param(*case, id=key) for key, case in RETURNED.items()])
def test_what_does_not_fit_an_adapter_is_said_in_the_words_of_its_form(op, told):
    report = nl.gradcheck(op, X, np.ones(3)) if "dww" in told else nl.gradcheck(op, X)
    (problem,) = report.problems
    assert told in problem.message
    assert "line" not in problem.message


@pytest.mark.parametrize(
    ("layer", "parameters", "error", "told"),
    [
        (Affine(), {"Q": "dW"}, ValueError, "Affine has no attribute 'Q' for a parameter; it has W, b"),
        (Affine(), {"W_": "dW"}, ValueError, "did you mean 'W'"),
        (Affine(), {"W": 3}, TypeError, "W must be the name of the attribute with its gradient, got an int"),
        (Affine, {}, TypeError, "a layer must be an object, got the class Affine"),
        (np.sum, {}, TypeError, "a layer must have forward and backward, got .* without forward"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused_before_it_is_called(layer, parameters, error, told):
    with pytest.raises(error, match=told):
        from_layer(layer, **parameters)


def test_a_torch_function_that_returns_two_tensors_is_told_so():
    pytest.importorskip("torch")
    assert "the function must return one tensor, got a tuple of 2" in str(nl.gradcheck(from_torch(two_things), X))


def test_a_jax_function_that_returns_two_arrays_is_told_so(jax_in_64_bits):
    assert "the function must return one array, got a tuple of 2" in str(nl.gradcheck(from_jax(two_things), X))


def test_the_wrong_number_of_arguments_shows_nothing_of_the_inside():
    pytest.importorskip("torch")
    (problem,) = nl.gradcheck(from_torch(two_things), X, X).problems
    assert "takes 1 positional argument but 2 were given" in problem.message
    assert "line" not in problem.message


def test_a_torch_function_is_an_operation():
    torch = pytest.importorskip("torch")
    assert nl.gradcheck(
        from_torch(lambda theta, phi: torch.softmax(theta @ phi.mT, -1)), *ARRAYS[:2], names=["theta", "phi"]
    )


def test_a_torch_function_of_tensors_gives_tensors():
    torch = pytest.importorskip("torch")
    x = torch.ones(3, dtype=torch.float64)
    y, backward = from_torch(torch.sigmoid)(x)
    assert isinstance(y, torch.Tensor)
    assert isinstance(backward(y)[0], torch.Tensor)
    assert not x.requires_grad


def test_what_autograd_does_not_reach_gets_zeros():
    torch = pytest.importorskip("torch")
    _, backward = from_torch(lambda x, w: torch.sin(x))(X, W)
    assert np.array_equal(backward(X)[1], np.zeros_like(W))


def test_a_torch_function_of_a_dict_and_of_constants_is_an_operation():
    torch = pytest.importorskip("torch")

    def function(x, params, mask, power):
        return torch.where(mask, (x @ params["w"]) ** power, 0.0)

    args = X, {"w": W}, np.ones((4, 4), dtype=bool), 3
    assert nl.gradcheck(from_torch(function), *args, names=["x", "params", "mask", "power"])


def test_a_torch_module_is_an_operation_of_its_input():
    torch = pytest.importorskip("torch")
    assert nl.gradcheck(from_torch(torch.nn.Linear(3, 2).double()), X, names=["x"])


def test_attention_of_torch_passes_the_conformance_check():
    torch = pytest.importorskip("torch")

    def attention(theta, phi, g):
        return torch.nn.functional.scaled_dot_product_attention(theta, phi, g)

    assert check_operation(from_torch(attention), "embedded_gaussian", scale="inner")


@pytest.fixture
def jax_in_64_bits():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


def test_a_jax_function_is_an_operation(jax_in_64_bits):
    softmax = jax_in_64_bits.nn.softmax

    def attention(theta, phi, g):
        return softmax(theta @ phi.mT, axis=-1) @ g

    assert check_operation(from_jax(attention), "gaussian")


def test_a_jax_function_of_a_dict_and_of_constants_is_an_operation(jax_in_64_bits):
    def function(x, params, power):
        return (x @ params["w"]) ** power

    y, backward = from_jax(function)(X, {"w": W}, 3)
    dx, dparams = backward(np.ones_like(y))
    assert np.allclose(dx, 3 * (X @ W) ** 2 @ W.T)
    assert list(dparams) == ["w"]


def test_jax_in_32_bits_refuses_float64_instead_of_rounding():
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="jax_enable_x64"):
            from_jax(jax.numpy.tanh)(X)
    finally:
        jax.config.update("jax_enable_x64", before)


@pytest.mark.parametrize("adapter", [from_torch, from_jax])
def test_no_array_at_all_is_refused(adapter):
    pytest.importorskip(adapter.__name__.removeprefix("from_"))
    with pytest.raises(TypeError, match="there must be an array"):
        adapter(lambda x: x)(1.0)
