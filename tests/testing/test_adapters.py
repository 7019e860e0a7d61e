"""What people have becomes an operation that the gradient checker takes."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import check_block, check_operation, from_jax, from_layer, from_loss, from_pair, from_torch

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


def batchnorm_forward(x, gamma, beta, bn_param):
    """As in cs231n: the running statistics live in the dict, and are put back into it."""
    mode, eps, momentum = bn_param["mode"], bn_param.get("eps", 1e-5), bn_param.get("momentum", 0.9)
    running_mean = bn_param.get("running_mean", np.zeros(x.shape[1], dtype=x.dtype))
    running_var = bn_param.get("running_var", np.zeros(x.shape[1], dtype=x.dtype))
    mean, var = (x.mean(axis=0), x.var(axis=0)) if mode == "train" else (running_mean, running_var)
    if mode == "train":
        running_mean *= momentum
        running_mean += (1 - momentum) * mean
        running_var = momentum * running_var + (1 - momentum) * var
    x_hat = (x - mean) / np.sqrt(var + eps)
    bn_param["running_mean"], bn_param["running_var"] = running_mean, running_var
    return gamma * x_hat + beta, (x_hat, gamma, np.sqrt(var + eps), mode)


def batchnorm_backward(dout, cache):
    x_hat, gamma, std, mode = cache
    dgamma, dbeta = (dout * x_hat).sum(axis=0), dout.sum(axis=0)
    centred = dout - dbeta / len(dout) - x_hat * dgamma / len(dout) if mode == "train" else dout
    return gamma * centred / std, dgamma, dbeta


NORM = (X, np.array([0.5, 1.5, -1.0]), np.ones(3))
STATISTICS = {"running_mean": np.zeros(3), "running_var": np.ones(3)}


@pytest.mark.parametrize(
    "bn_param",
    [{"mode": "train"}, {"mode": "train", **STATISTICS}, {"mode": "test", **STATISTICS}],
    ids=["train", "train-with-statistics", "test"],
)
def test_the_batch_norm_of_cs231n_is_right_with_its_dict(bn_param):
    keys, before = list(bn_param), {key: np.copy(value) for key, value in bn_param.items()}
    report = nl.gradcheck(from_pair(batchnorm_forward, batchnorm_backward), *NORM, bn_param, rng=0)
    assert report, report
    assert [leaf.name for leaf in report] == ["x", "gamma", "beta"]
    assert report.constants == tuple(f"bn_param.{key}" for key in keys[1:])
    assert list(bn_param) == keys
    assert all(np.array_equal(bn_param[key], value) for key, value in before.items())


def test_a_wrong_batch_norm_is_rejected_with_its_dict():
    def backward(dout, cache):
        dx, dgamma, dbeta = batchnorm_backward(dout, cache)
        return dx, dbeta, dgamma

    report = nl.gradcheck(from_pair(batchnorm_forward, backward), *NORM, {"mode": "train", **STATISTICS}, rng=0)
    assert {leaf.name for leaf in report if leaf.status == "wrong"} == {"gamma", "beta"}


def test_a_dict_may_have_gradients_in_a_pair():
    op = from_pair(
        lambda x, params: (x @ params["w"], (x, params)),
        lambda dy, cache: (dy @ cache[1]["w"].T, {"w": cache[0].T @ dy}),
    )
    report = nl.gradcheck(op, X, {"w": W}, names=["x", "params"])
    assert report
    assert [leaf.name for leaf in report] == ["x", "params.w"]


def test_a_gradient_of_an_array_may_not_be_left_out_of_a_pair():
    op = from_pair(batchnorm_forward, lambda dout, cache: batchnorm_backward(dout, cache)[:2])
    assert "got 2" in str(nl.gradcheck(op, *NORM, {"mode": "train", **STATISTICS}))


def test_a_block_whose_backward_gives_dx_alone_is_a_pair_too():
    config = nl.BlockConfig(4, dims=2, norm=None)

    def forward(x, params):
        z, backward = nl.block(x, params, config)
        return z, backward

    report = check_block(from_pair(forward, lambda dz, backward: backward(dz)[0]), config, rng=0)
    assert [row.name for row in report] == ["z", "dx"]
    assert "backward returned dx alone" in str(report.notes)


@pytest.mark.parametrize(
    ("adapter", "given", "told"),
    [
        (from_pair, (3, 4), "forward must be callable, got an int"),
        (from_pair, (product_forward, (product_backward,)), "backward must be callable, got a tuple of 1"),
        (from_loss, (None,), "loss_and_gradient must be callable, got None"),
        (from_torch, (3,), "function must be callable, got an int"),
        (from_jax, ("a",), "function must be callable, got a str"),
    ],
)
def test_what_cannot_be_called_is_refused_when_it_is_handed_in(adapter, given, told):
    with pytest.raises(TypeError, match=told):
        adapter(*given)


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
