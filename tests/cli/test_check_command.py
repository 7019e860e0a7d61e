"""``nonlocal-ref check``: somebody's code by its name, what is wrong with it, and where their own errors come from."""

import json
import sys

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref import testing
from nonlocal_ref.cli import check_command
from nonlocal_ref.testing import save_weights
from tests.cli.helpers import refusal, run

THEIRS = """\
import numpy as np

import nonlocal_ref as nl


def wrong_axis(theta, phi, g):
    f = np.exp(theta @ phi.mT)
    return f / f.sum(axis=1, keepdims=True) @ g


def right(theta, phi, g):
    return nl.nonlocal_op("dot_product", theta, phi, g)


def forward(theta, phi, g):
    return theta @ phi.mT @ g / phi.shape[1], (theta, phi, g)


def backward(dy, cache):
    theta, phi, g = cache
    df = dy @ g.mT / phi.shape[1]
    return df @ phi, df.mT @ theta, (theta @ phi.mT).mT @ dy / phi.shape[1]


def forgetful_backward(dy, cache):
    dtheta, dphi, dg = backward(dy, cache)
    return dtheta, 2 * dphi, dg


class Layer:
    def forward(self, theta, phi, g):
        y, self.back = right(theta, phi, g)
        return y

    def backward(self, dy):
        return self.back(dy)


layer = Layer()
size = 3
CONFIG = nl.BlockConfig(4, dims=2, norm=None)


def block(x, params):
    return nl.block(x, params, CONFIG)


class Unlayered(Layer):
    def backward(self, dy):
        return tuple(2 * d for d in self.back(dy))


def fresh_block(x):
    return nl.block(x, nl.init_params(CONFIG, rng=0), CONFIG)[0]


class Block:
    def __init__(self, channels, dims=2, *, norm):
        self.config = nl.BlockConfig(channels, dims=dims, norm=norm)

    def __call__(self, x, params):
        return nl.block(x, params, self.config)


def make():
    return right


def make_of(scale):
    return lambda theta, phi, g: scale * right(theta, phi, g)[0]


def make_nothing():
    return None


def raises(theta, phi, g):
    return theta @ phi


def calls_what_raises(theta, phi, g):
    return raises(theta, phi, g)


def lists(theta, phi, g):
    return [theta, phi, g]


def leaves(theta, phi, g):
    raise SystemExit(0)


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


def unspeakable(theta, phi, g):
    raise Unspeakable


class Unmade:
    def __init__(self):
        raise RuntimeError("not\\ntoday")
"""
BLOCK = ("--dims", "2", "--norm", "none")
RAISED = THEIRS.splitlines().index("    return theta @ phi") + 1


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A current directory with somebody's modules in it, forgotten afterwards."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    (tmp_path / "theirs_broken.py").write_text("import numpy as np\n\nx = nump.ones(3)\n")
    (tmp_path / "theirs_misspelt.py").write_text("def forward(x:\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in {name for name in set(sys.modules) - before if name.startswith("theirs")}:
        del sys.modules[name]


def check(capsys, name, *options, variant="dot_product"):
    code, out, err = run(capsys, "check", f"theirs:{name}", "--variant", variant, *options)
    assert err == ""
    return code, out


def test_a_right_operation_is_exit_code_0_and_the_report_a_file(capsys, here):
    code, out = check(capsys, "right", "--json", "report.json")
    assert code == 0
    assert out.startswith("right against eq. (1), dot_product: right (4 arrays")
    report = json.loads((here / "report.json").read_text())
    assert (report["schema"], report["schema_version"], report["ok"]) == ("nonlocal_ref check", 1, True)
    assert [row["name"] for row in report["rows"]] == ["y", "dtheta", "dphi", "dg"]


def test_a_known_mistake_is_named(capsys, here):
    code, out = check(capsys, "wrong_axis", "--json", "report.json", variant="embedded_gaussian")
    assert code == 1
    assert "trap: softmax over the wrong axis" in out
    assert json.loads((here / "report.json").read_text())["traps"] == ["softmax over the wrong axis"]


def test_a_pair_of_functions_is_an_operation(capsys):
    assert check(capsys, "forward", "--backward", "backward")[0] == 0
    assert check(capsys, "forward", "--backward", "theirs:backward")[0] == 0


def test_a_wrong_way_back_is_told_by_the_names_of_their_arguments(capsys):
    code, out = check(capsys, "forward", "--backward", "forgetful_backward")
    assert code == 1
    assert "WRONG: dphi" in out
    assert "forward: WRONG: phi" in out  # the gradient check of what was handed in, by itself


@pytest.mark.parametrize(
    ("argv", "call"),
    [
        (["raises"], "check_operation(theirs.raises, 'dot_product', rng=0)"),
        (
            ["forward", "--backward", "forgetful_backward", "--seed", "3", "--sizes", "N=4", "--dtype", "float32"],
            "check_operation(from_pair(theirs.forward, theirs.forgetful_backward), 'dot_product', "
            "sizes={'N': 4}, rng=3, dtype='float32')",
        ),
        (["make_of", "--with", "scale=1.1"], "check_operation(theirs.make_of(scale=1.1), 'dot_product', rng=0)"),
        (["Unlayered"], "check_operation(from_layer(theirs.Unlayered()), 'dot_product', rng=0)"),
        (
            ["Block", "--norm", "none", "--dims", "2", "--with", "norm=None", "--shape", "2,4,3,3"],
            "check_block(theirs.Block(4, norm=None), "
            "BlockConfig(channels=4, variant='dot_product', dims=2, norm=None), shape=(2, 4, 3, 3), rng=0)",
        ),
        (
            ["fresh_block", *BLOCK, "--params", "params.npz"],
            "check_block(theirs.fresh_block, BlockConfig(channels=4, variant='dot_product', dims=2, norm=None), "
            "load_weights('params.npz'), rng=0)",
        ),
    ],
    ids=["function", "pair", "factory", "layer", "block", "params"],
)
def test_a_failure_says_once_how_to_repeat_it_in_python(capsys, here, argv, call):
    shapes = nl.param_shapes(nl.BlockConfig(4, dims=2, norm=None))
    save_weights(here / "params.npz", {key: np.ones(shape) for key, shape in shapes.items()})
    code, out = check(capsys, *argv, "--json", "report.json")
    assert code == 1
    assert out.count("repeat with") == 1
    assert f"repeat with {call}\n" in out
    assert json.loads((here / "report.json").read_text())["call"] == call
    scope = {name: getattr(nl.testing, name) for name in testing.__all__} | {"BlockConfig": nl.BlockConfig}
    with pytest.raises(testing.ConformanceError) as caught:
        eval(call, scope | {"theirs": sys.modules["theirs"]})  # the line is Python that can be run
    told = str(caught.value).splitlines()
    assert set(told[2:-1]) <= set(out.splitlines())


@pytest.mark.parametrize("name", ["Layer", "layer", "make"])
def test_a_class_an_object_and_a_factory_will_do(capsys, name):
    code, out = check(capsys, name)
    assert code == 0
    assert "right (4 arrays" in out


def test_arguments_of_a_factory_are_given_by_name(capsys):
    assert check(capsys, "make_of", "--with", "scale=1.0")[0] == 0
    assert check(capsys, "make_of", "--with", "scale=1.1")[0] == 1
    assert (
        "the implementation raised" in check(capsys, "make_of", "--with", "scale=[1")[1]
    )  # what Python cannot read is text


def test_a_block_is_known_by_what_it_takes(capsys):
    code, out = check(capsys, "block", *BLOCK, variant="embedded_gaussian")
    assert code == 0
    assert out.startswith("block against eq. (6), embedded_gaussian, 2D, norm None: right")


def test_every_field_of_a_block_reaches_the_config(monkeypatch):
    from nonlocal_ref.cli.check.subject import block_config

    words = "--channels 8 --dims 3 --inner-channels 3 --scale inner --subsample 2,1,1 --pool-order before --norm affine"
    words += " --domain time --no-bias --eps 1e-3 --preset caffe2"
    seen = []
    monkeypatch.setattr(check_command, "run", lambda args: seen.append(args) or 0)
    from nonlocal_ref.cli import main

    assert main(["check", "theirs:block", "--variant", "embedded_gaussian", *words.split()]) == 0
    fields = {"dims": 3, "inner_channels": 3, "scale": "inner", "subsample": (2, 1, 1), "pool_order": "before"}
    fields |= {"norm": "affine", "domain": "time", "bias": False, "eps": 1e-3}
    assert block_config(None, seen[0]) == nl.BlockConfig.preset("caffe2", 8, **fields)


def test_a_class_gets_the_channels_and_what_is_given(capsys):
    code, out = check(capsys, "Block", *BLOCK, "--channels", "6", "--with", "norm=None", variant="gaussian")
    assert code == 1  # it has another variant
    assert "another variant" in out or "missing" in out
    code, _ = check(capsys, "Block", *BLOCK, "--channels", "6", "--with", "norm=None", variant="embedded_gaussian")
    assert code == 0


def test_a_block_of_x_alone_comes_with_its_parameters(capsys, here):
    config = nl.BlockConfig(4, dims=2, norm=None)
    save_weights(here / "params.npz", nl.init_params(config, rng=0))
    options = (*BLOCK, "--params", "params.npz", "--shape", "1,4,5,5", "--training")
    code, out = check(capsys, "fresh_block", *options, variant="embedded_gaussian")
    assert code == 0
    assert "(1, 4, 5, 5)" in out


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("raises", "raised ValueError: matmul: "),
        ("raises", f"(in raises, theirs.py line {RAISED})"),
        ("calls_what_raises", f"(in raises, theirs.py line {RAISED})"),
        ("lists", "must return an array or (array, backward), got a list of 3"),
        ("unspeakable", "raised theirs.Unspeakable: <exception str() failed> (in unspeakable, theirs.py line"),
    ],
)
def test_what_their_code_does_wrong_is_a_problem_with_its_place(capsys, name, problem):
    code, out = check(capsys, name)
    assert code == 1
    assert problem in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["nothing:f"], "module 'nothing' cannot be imported: ModuleNotFoundError: No module named 'nothing'\n"),
        (["theirs_broken:f"], "NameError: name 'nump' is not defined (in <module>, theirs_broken.py line 3)"),
        (["theirs_misspelt:f"], "SyntaxError: '(' was never closed (theirs_misspelt.py line 1)"),
        (["theirs.py:right"], "give the module's name, not its file"),
        (["theirs"], "must be given as MODULE:NAME"),
        (["theirs:forwardd"], "did you mean forward?"),
        (["theirs:xyzzyx"], "has no 'xyzzyx'; it has Block, "),
        (["theirs:size"], "'theirs:size' must be callable, got int"),
        (["theirs:right", "--backward", "no_such_way"], "argument --backward: module 'theirs' has no 'no_such_way'"),
        (["theirs:leaves"], "theirs:leaves left the program (SystemExit: 0)"),
        (["theirs:make_nothing"], "must give something to call, or with forward and backward, got NoneType"),
        (["theirs:Unmade"], "cannot be made: RuntimeError: not today (in __init__, theirs.py line"),
        (["theirs:Block", "--with", "channels=4"], "theirs:Block needs norm: give norm=... with --with"),
        (["theirs:Block"], "theirs:Block needs channels, norm: give channels=... norm=..."),
        (["theirs:make_of", "--with", "scale"], "argument --with: must be KEY=VALUE, got 'scale'"),
        (["theirs:fresh_block"], "takes x alone: give the parameters that it was made with by --params FILE"),
        (["theirs:block", "--params", "no.npz"], "argument --params: cannot read 'no.npz': No such file"),
        (["theirs:block", "--params", "theirs.py"], "argument --params: path must end in .npz or .safetensors"),
        (["theirs:block", "--domain", "time", "--dims", "2"], "domain 'time' needs the axes T, H, W"),
        (["theirs:right", "--scale", "inner"], "scale belongs to the softmax variants"),
        (["theirs:right", "--scale", "large"], "argument --scale: must be a number or inner, got 'large'"),
        (["theirs:right", "--dims", "2"], "--dims: of a block, and theirs:right takes theta, phi, g: an operation"),
        (["theirs:layer", "--no-bias", "--channels", "4"], "--channels, --no-bias: of a block, and theirs:layer takes"),
        (["theirs:right", "--block"], "--block: of a block, and theirs:right takes theta, phi, g"),
        (["theirs:block", "--sizes", "N=4"], "--sizes: of an operation, and theirs:block is a block"),
        (["theirs:right", "--sizes", "N=100000000", "M=100000000"], "GB for the reference, which holds every pair"),
        (["theirs:right", "--sizes", f"D={10**20}"], "GB for the reference"),
        (["theirs:block", *BLOCK, "--shape", "1,4,100000,100000"], "GB for the reference"),
        (["theirs:block", *BLOCK, "--channels", "10000000"], "GB for the reference"),
        (["theirs:right", "--sizes", "N=four"], "sizes['N'] must be an integer, got 'four'"),
        (["theirs:block", "--shape", "1,x"], "argument --shape: must be a whole number of at least 1, got 'x'"),
        (["theirs:block", "--subsample", "maybe"], "argument --subsample"),
        (["theirs:right", "--backend", "pencil"], "backend must be one of numpy"),
        (["theirs:right", "--json", "nowhere/r.json"], "argument --json: must be in a folder that exists"),
        (["theirs:right", "--json", "-"], "argument --json: must be the name of a file, got '-'"),
    ],
)
def test_what_cannot_be_found_made_or_asked_is_one_line(capsys, argv, message):
    assert message in refusal(capsys, "check", *argv, "--variant", "dot_product")


def test_no_module_that_was_imported_is_suggested(capsys):
    line = refusal(capsys, "check", "theirs:nope", "--variant", "dot_product")  # near np
    assert "did you mean" not in line
    assert " np" not in line


def test_a_method_is_suggested(capsys):
    for holder in ("Layer", "layer"):
        assert "did you mean forward?" in refusal(
            capsys, "check", f"theirs:{holder}.forwrd", "--variant", "dot_product"
        )
    assert "did you mean" not in refusal(capsys, "check", "theirs:size.forwrd", "--variant", "dot_product")


def test_the_variant_must_be_said(capsys):
    assert "--variant" in refusal(capsys, "check", "theirs:right")


def test_a_number_that_is_none_is_null_in_the_file(capsys, here):
    (here / "theirs_nan.py").write_text("def op(theta, phi, g):\n    return theta @ phi.mT @ g / 0\n")
    with np.errstate(all="ignore"):
        code, _, _ = run(capsys, "check", "theirs_nan:op", "--variant", "dot_product", "--json", "report.json")
    (row,) = json.loads((here / "report.json").read_text())["rows"]
    assert (code, row["implementation"]) == (1, None)


@pytest.mark.slow
def test_a_jax_function_is_differentiated_by_jax(capsys, here):
    (here / "theirs_jax.py").write_text("def op(theta, phi, g):\n    return theta @ phi.mT @ g / phi.shape[1]\n")
    code, out, _ = run(capsys, "check", "theirs_jax:op", "--variant", "dot_product", "--form", "jax")
    assert (code, "right (4 arrays" in out) == (0, True)


TORCH = """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, channels=4, dims=2):
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d}[dims]
        self.theta, self.phi, self.g = (conv(channels, channels // 2, 1) for _ in range(3))
        self.w_z = conv(channels // 2, channels, 1)
        nn.init.zeros_(self.w_z.weight)
        nn.init.zeros_(self.w_z.bias)

    def forward(self, x):
        theta, phi, g = (part(x).flatten(2) for part in (self.theta, self.phi, self.g))
        y = g @ (theta.mT @ phi).softmax(-1).mT
        return self.w_z(y.unflatten(2, x.shape[2:])) + x


class Raises(Block):
    def forward(self, x):
        return self.g(x[0, 0])


class Idle(nn.Module):
    def forward(self, x):
        return x


class Operation(nn.Module):
    def forward(self, theta, phi, g):
        return op(theta, phi, g)


def op(theta, phi, g):
    return (theta @ phi.mT).softmax(-1) @ g


block = Block(6, 1)
"""


@pytest.fixture
def torch_here(here):
    pytest.importorskip("torch")
    (here / "theirs_torch.py").write_text(TORCH)


@pytest.mark.parametrize(
    ("name", "options", "first_line"),
    [
        (
            "Block",
            ["--norm", "none", "--subsample", "no"],
            "Block against eq. (6), embedded_gaussian, 2D, norm None: right",
        ),
        (
            "block",
            ["--norm", "none", "--subsample", "no"],
            "Block against eq. (6), embedded_gaussian, 1D, norm None: right",
        ),
        ("Operation", [], "Operation against eq. (1), embedded_gaussian: right (4 arrays"),
        ("op", ["--form", "torch"], "op against eq. (1), embedded_gaussian: right (4 arrays"),
        ("op", ["--backend", "torch"], "op against eq. (1), embedded_gaussian: right (1 array"),
    ],
)
def test_pytorch_code_is_checked_in_every_form(capsys, torch_here, name, options, first_line):
    code, out, err = run(capsys, "check", f"theirs_torch:{name}", "--variant", "embedded_gaussian", *options)
    assert (code, err) == (0, "")
    assert out.startswith(first_line)


def test_a_failure_of_a_torch_function_says_how_to_repeat_it_with_numpy(capsys, torch_here):
    code, out, _ = run(capsys, "check", "theirs_torch:op", "--variant", "dot_product", "--form", "torch")
    assert code == 1
    assert out.endswith("repeat with check_operation(from_torch(theirs_torch.op), 'dot_product', rng=0)\n")
    code, out, _ = run(capsys, "check", "theirs_torch:Operation", "--variant", "dot_product")
    assert out.endswith("check_operation(from_torch(theirs_torch.Operation().double()), 'dot_product', rng=0)\n")


def test_an_error_inside_pytorch_is_placed_in_their_file(capsys, torch_here):
    options = ("--norm", "none", "--subsample", "no")
    code, out, _ = run(capsys, "check", "theirs_torch:Raises", "--variant", "embedded_gaussian", *options)
    assert code == 1
    assert "(in forward, theirs_torch.py line 22)" in out


def test_a_module_without_parameters_never_trains(capsys, torch_here):
    code, out, _ = run(capsys, "check", "theirs_torch:Idle", "--variant", "embedded_gaussian")
    assert (code, "trap: never trains" in out) == (1, True)


def test_a_module_of_another_kind_is_refused_by_its_parameters(capsys, torch_here):
    line = refusal(capsys, "check", "theirs_torch:Block", "--variant", "embedded_gaussian")
    assert "the state lacks" in line
