"""Independent PyTorch formulations of the presets pass; a module that is wrong is named; none is touched."""

import copy

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.testing import ConformanceError, check_block

torch = pytest.importorskip("torch")
from tests.testing.torch_blocks import AlexHex7, Caffe2, Mmcv, Paper  # noqa: E402

C = 4


def blocks():
    for dims, variant in zip((1, 2, 3, 2), nl.VARIANTS, strict=True):
        options = {"variant": variant, "dims": dims}
        yield f"paper-{variant}", Paper, options, "paper", {}
        yield f"alexhex7-{variant}", AlexHex7, options, "alexhex7", {}
        yield f"mmcv-{variant}", Mmcv, options, "mmcv", {}
    pooled = {"variant": "concatenation", "dims": 3}
    yield "mmaction2", Mmcv, pooled | {"pooled": True, "norm": True}, "mmcv", {"subsample": True, "norm": "batch"}
    yield "alexhex7-no-norm", AlexHex7, {"dims": 2, "norm": False}, "alexhex7", {"norm": None}
    yield "caffe2-softmax", Caffe2, {"variant": "embedded_gaussian"}, "caffe2", {}
    yield "caffe2-dot", Caffe2, {"variant": "dot_product"}, "caffe2", {}


@pytest.mark.parametrize(
    ("module", "options", "preset", "overrides"), [pytest.param(*rest, id=name) for name, *rest in blocks()]
)
def test_each_preset_agrees_with_an_independent_formulation(module, options, preset, overrides):
    fields = {key: value for key, value in options.items() if key in {"variant", "dims"}}
    config = nl.BlockConfig.preset(preset, C, **fields | overrides)
    report = check_block(module(C, **options), config, rng=0)
    assert report.worst <= 3
    assert {"z", "dx", "dg.weight", "dw_z.weight"} <= {row.name for row in report}


PAPER = nl.BlockConfig.preset("paper", C, dims=2)


def paper(**steps):
    """A block of the paper in 2D with some of its methods exchanged."""
    wrong = type("Wrong", (Paper,), steps)
    return wrong(C, dims=2)


def report_of(module, config=PAPER, **options):
    with pytest.raises(ConformanceError) as caught:
        check_block(module, config, rng=0, **options)
    return caught.value.report


def forward_with(weights, scale=1.0, pool_first=False):
    def forward(self, x):
        keys = self.pool(x) if pool_first else x
        theta, phi, g = self.theta(x).flatten(2), self.phi(keys), self.g(keys)
        phi, g = ((v if pool_first else self.pool(v)).flatten(2) for v in (phi, g))
        y = g @ weights(theta.mT @ phi * scale).mT
        return self.bn(self.w_z(y.unflatten(2, x.shape[2:]))) + x

    return forward


def over_keys(scores):
    return scores.softmax(-1)


def pooled_flat(self, x):
    theta, phi, g = self.theta(x).flatten(2), self.phi(x).flatten(2), self.g(x).flatten(2)
    phi, g = (torch.nn.functional.max_pool1d(v, 2) for v in (phi, g))
    y = g @ (theta.mT @ phi).softmax(-1).mT
    return self.bn(self.w_z(y.unflatten(2, x.shape[2:]))) + x


def gamma_reset_in_forward(self, x):
    torch.nn.init.ones_(self.bn.weight)
    return Paper.forward(self, x)


def detached(self, x):
    return (Paper.forward(self, x) - x).detach() + x


def made_anew(self, x):
    return Paper(C, dims=2).double()(x)


class DividedByBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.batch = len(x)
        return x.clone()

    @staticmethod
    def backward(ctx, dz):
        return dz / ctx.batch


SCALED = nl.BlockConfig(C, dims=2, scale="inner")
TRAPS = {
    "softmax over the wrong axis": (forward_with(lambda f: f.softmax(1)), PAPER),
    "multiplied by sqrt(D)": (forward_with(over_keys, scale=2**0.5), SCALED),
    "scaled by C": (forward_with(over_keys, scale=C**-0.5), SCALED),
    "pooling order": (forward_with(over_keys, pool_first=True), PAPER),
    "flattened pooling": (pooled_flat, PAPER),
    "gamma reset to 1": (gamma_reset_in_forward, PAPER),
    "never trains": (detached, PAPER),
    "gradient divided by the batch": (lambda self, x: DividedByBatch.apply(Paper.forward(self, x)), PAPER),
}


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_in_a_module_is_named(name):
    forward, config = TRAPS[name]
    assert report_of(paper(forward=forward), config).traps == (name,)


@pytest.mark.parametrize("name", ["softmax over the wrong axis", "pooling order", "flattened pooling"])
def test_the_gradients_of_a_known_mistake_are_known_as_well(name):
    forward, config = TRAPS[name]
    assert not report_of(paper(forward=forward), config).notes


def test_a_block_that_is_made_anew_in_every_call_never_trains():
    assert report_of(paper(forward=made_anew)).traps == ("never trains",)


def test_a_module_without_parameters_never_trains():
    class Bare(torch.nn.Module):
        def forward(self, x):
            return made_anew(self, x)

    assert report_of(Bare()).traps == ("never trains",)


def test_a_gamma_that_an_initialiser_set_to_one_is_named():
    module = Paper(C, dims=2)
    module.apply(lambda part: part.reset_parameters() if isinstance(part, torch.nn.BatchNorm2d) else None)
    assert report_of(module).traps == ("gamma reset to 1",)
    assert check_block(module, PAPER, identity=False)


def test_a_block_with_two_zeros_is_dead():
    module = Paper(C, dims=2)
    torch.nn.init.zeros_(module.w_z.weight)
    report = report_of(module)
    assert report.traps == ("never trains",)
    assert "dead" in str(report)


def test_the_callers_module_is_left_as_it_was():
    module = Paper(C, dims=2).train()
    module.theta.weight.requires_grad_(False)
    module.phi.weight.grad = torch.ones_like(module.phi.weight)
    state = copy.deepcopy(module.state_dict())
    check_block(module, PAPER)
    assert all(
        torch.equal(value, state[key]) and value.dtype == state[key].dtype for key, value in module.state_dict().items()
    )
    assert module.training
    assert not module.theta.weight.requires_grad
    assert torch.equal(module.phi.weight.grad, torch.ones_like(module.phi.weight))
    assert module.g.weight.grad is None


def test_a_frozen_parameter_is_noted_and_its_gradient_checked():
    module = Paper(C, dims=2)
    module.theta.weight.requires_grad_(False)
    report = check_block(module, PAPER)
    assert "requires_grad is off for theta.weight" in str(report)
    assert report["dtheta.weight"].right


def test_a_module_is_fed_with_the_parameters_given():
    config = nl.BlockConfig.preset("mmcv", C, dims=2)
    report = check_block(Mmcv(C), config, nl.init_params(config, rng=0))
    assert report["dtheta.weight"].expected == 0  # W_z is zero: a fresh block


def test_a_trap_in_a_fresh_block_is_seen_in_its_gradients():
    config = nl.BlockConfig.preset("mmcv", C, dims=2, subsample=True, pool_order="before")
    report = report_of(Mmcv(C, pooled=True), config, params=nl.init_params(config, rng=0))
    assert report["z"].right  # W_z is zero
    assert report.traps == ("pooling order",)


def test_names_may_be_given_as_a_dict():
    class Other(Paper):
        def __init__(self):
            super().__init__(C, dims=2)
            self.value = self.g
            del self.g

        def forward(self, x):
            y = self.value(x)
            object.__setattr__(self, "g", lambda x: y)
            return Paper.forward(self, x)

    keys = {key: key.replace("g.", "value.") if key.startswith("g.") else key for key in nl.param_shapes(PAPER)}
    with pytest.raises(ValueError, match=r"the state lacks .*g.weight.*left over are value.weight, value.bias"):
        check_block(Other(), PAPER)
    assert check_block(Other(), PAPER, keys=keys)


class Wrapper(torch.nn.Module):
    """A block, or several, one after the other, inside another module."""

    def __init__(self, **blocks):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        for name, block in blocks.items():
            self.add_module(name, block)

    def forward(self, x):
        for block in self.children():
            x = block(x)
        return x


@pytest.mark.parametrize("keys", [None, "alexhex7"])
def test_the_one_block_inside_a_wrapper_is_found(keys):
    config = nl.BlockConfig.preset("alexhex7", C, dims=2)
    module = Wrapper(b=Wrapper(nl=AlexHex7(C, dims=2)))
    report = check_block(module, config, keys=keys, rng=0)
    assert report["dtheta.weight"].right
    assert "its block was found at 'b.nl'" in report.notes


def test_a_mistake_inside_a_wrapper_is_named():
    module = Wrapper(b=paper(forward=forward_with(lambda f: f.softmax(1))))
    assert report_of(module).traps == ("softmax over the wrong axis",)


def test_names_inside_a_wrapper_may_be_given_as_a_dict():
    keys = {key: f"b.{key}" for key in nl.param_shapes(PAPER)}
    assert check_block(Wrapper(b=Paper(C, dims=2)), PAPER, keys=keys)


@pytest.mark.parametrize("keys", [None, "nonlocal_ref"])
def test_of_several_blocks_in_a_module_one_must_be_passed(keys):
    module = Wrapper(a=Paper(C, dims=2), b=Paper(C, dims=2))
    told = r"the module has 2 blocks, 'a', 'b'; pass one of them: module.get_submodule\('a'\)"
    with pytest.raises(ValueError, match=told):
        check_block(module, PAPER, keys=keys)
    assert check_block(module.get_submodule("a"), PAPER)


def test_a_bias_on_w_f_is_refused_by_name_unless_it_is_zero():
    config = nl.BlockConfig(C, variant="concatenation", dims=2)
    module = Paper(C, "concatenation", dims=2)
    module.w_f = torch.nn.Conv2d(C, 1, 1)
    with pytest.raises(ValueError, match=r"w_f.bias .* cannot be read: w_f has no bias here unless it is zero"):
        check_block(module, config)
    torch.nn.init.zeros_(module.w_f.bias)
    assert check_block(module, config)


@pytest.mark.parametrize(
    ("keys", "error", "message"),
    [
        ("keras", ValueError, "convention must be one of"),
        ({"psi.weight": "w"}, ValueError, "keys must map our keys"),
        (3, TypeError, "keys must be the name of a convention or a dict"),
        ({"g.weight": "nowhere"}, ValueError, "the state lacks"),
    ],
)
def test_bad_names_are_refused(keys, error, message):
    with pytest.raises(error, match=message):
        check_block(Paper(C, dims=2), PAPER, keys=keys)


def test_a_bias_that_the_module_does_not_have_must_be_zero():
    config = nl.BlockConfig.preset("mmcv", C, norm="batch", dims=2)
    params = {key: np.ones(shape) for key, shape in nl.param_shapes(config).items()}
    with pytest.raises(ValueError, match=r"the module has no w_z.bias; in params they must be zero"):
        check_block(Mmcv(C, norm=True), config, params)


def test_a_module_that_changes_its_input_is_told_so():
    def forward(self, x):
        z = Paper.forward(self, x)
        x.data.mul_(0)
        return z

    assert "x was changed by the implementation" in str(report_of(paper(forward=forward)))


@pytest.mark.parametrize("steps", [{"residual": False}, {"moved": False}])
def test_common_mistakes_of_modules_are_named(steps):
    def forward(self, x):
        theta, phi, g = self.theta(x).flatten(2), self.pool(self.phi(x)).flatten(2), self.pool(self.g(x)).flatten(2)
        y = (theta.mT @ phi).softmax(-1) @ g.mT  # (B, N, C)
        y = y.mT if steps.get("moved", True) else y
        w_z_y = self.bn(self.w_z(y.reshape(len(x), -1, *x.shape[2:])))
        return w_z_y + x if steps.get("residual", True) else w_z_y

    report = report_of(paper(forward=forward))
    name = "no residual" if "residual" in steps else "reshape for a transpose"
    assert {finding.name for finding in report.findings} == {name}
    assert not report.notes


def test_a_module_that_returns_no_tensor_is_a_problem():
    assert "the module must return a tensor, got a tuple of 2" in str(report_of(paper(forward=lambda self, x: (x, x))))


def test_a_module_that_raises_is_a_problem():
    assert "raised RuntimeError" in str(report_of(paper(forward=lambda self, x: self.theta(x[:, :1]))))
