"""``nonlocal-ref gradcheck``: every gradient is checked, wrong ones are told, one report says it all."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

import nonlocal_ref as nl
from nonlocal_ref.cli.gradcheck.cases import all_cases
from nonlocal_ref.cli.gradcheck.checking import Request, check_everything
from nonlocal_ref.cli.gradcheck.curve import error_over_step
from nonlocal_ref.cli.gradcheck.picture import draw
from nonlocal_ref.cli.gradcheck.terminal import MARKS, WIDTH, place_of, scale, to_terminal
from nonlocal_ref.cli.usage import TOUR
from tests.cli.helpers import refusal, run

SMALL = ("gradcheck", "--quick", "--variant", "dot_product", "--dims", "1")


@pytest.fixture(scope="module")
def report():
    """What a small run finds: the softmax's block has gradients that are zero."""
    return check_everything(Request(variants=("embedded_gaussian",), dims=(1,), quick=True))


@pytest.fixture
def weights_alone(monkeypatch):
    """Nothing but the weights is checked: enough to see that something is."""

    def cases(variants, dims, *, quick):
        return [case for case in all_cases(variants, dims, quick=quick) if case.group.endswith("weights")]

    monkeypatch.setattr("nonlocal_ref.cli.gradcheck.checking.all_cases", cases)


@pytest.fixture
def broken_weights(monkeypatch):
    """The weights with a gradient of phi that is 3 in 1000 too large."""
    right = nl.weights

    def wrong(*args, **options):
        f, backward = right(*args, **options)
        return f, lambda df: tuple(dx * (1.003 if i == 1 else 1.0) for i, dx in enumerate(backward(df)))

    monkeypatch.setattr(nl, "weights", wrong)


def test_every_gradient_is_right_and_the_files_are_written(capsys, tmp_path):
    files = tmp_path / "report.json", tmp_path / "steps.png"
    code, out, err = run(capsys, *SMALL, "--json", files[0], "--picture", files[1])
    assert (code, err) == (0, "")
    assert out.startswith("every gradient is right: ")
    assert all(f"written: {file}" in out for file in files)
    written = json.loads(files[0].read_text())
    assert (written["schema"], written["schema_version"], written["ok"]) == ("nonlocal_ref gradcheck", 1, True)
    assert to_terminal(written) in out  # the JSON is all there is
    with Image.open(files[1]) as picture:
        assert picture.size[0] > 1000


def test_every_form_of_every_variant_is_checked():
    groups = {case.group for case in all_cases(list(nl.VARIANTS), [1, 2, 3], quick=False)}
    assert {f"{variant}, dense" for variant in nl.VARIANTS} < groups
    assert {
        "gaussian, tiled",
        "embedded_gaussian, tiled",
        "dot_product, reassociated",
        "concatenation, sorted",
    } < groups
    kinds = ("1D", "2D", "3D", "presets", "norm, bias", "pooling", "domains")
    assert {f"block {variant}, {kind}" for variant in nl.VARIANTS for kind in kinds} < groups


def test_names_of_cases_are_unique():
    names = [case.name for case in all_cases(list(nl.VARIANTS), [1, 2, 3], quick=False)]
    assert len(names) == len(set(names))


def test_without_a_third_axis_there_are_no_domains():
    groups = {case.group for case in all_cases(["gaussian"], [1, 2], quick=False)}
    assert "block gaussian, presets" in groups
    assert "block gaussian, domains" not in groups


def test_the_example_of_a_case_is_the_same_whatever_else_is_checked():
    one, many = (all_cases(list(variants), [1], quick=True) for variants in (["dot_product"], nl.VARIANTS))
    (again,) = (case for case in many if case.name == one[-1].name)
    assert np.array_equal(one[-1].arguments(3)[0], again.arguments(3)[0])


def test_the_same_seed_gives_the_same_report(weights_alone):
    one, two, other = (check_everything(Request(("gaussian",), (1,), seed=seed)) for seed in (0, 0, 1))
    assert one == two
    assert one["rows"] != other["rows"]


def test_a_gradient_that_is_zero_has_no_relative_error(report):
    (row,) = (r for r in report["rows"] if r["argument"] == "phi.bias" and r["operation"].endswith("training"))
    assert row["zero"]
    assert row["relative_error"] is None
    assert row["error"] < 1e-14
    (line,) = (
        line for line in to_terminal(report, every=True).splitlines() if "training" in line and "phi.bias" in line
    )
    assert line.split()[-5:] == ["right", "0", "rounding", "complex", "step"]


def test_a_gradient_for_every_argument_and_parameter(report):
    found = {row["argument"] for row in report["rows"] if row["operation"].endswith("running statistics")}
    shapes = nl.param_shapes(nl.BlockConfig(4, dims=1))
    assert found == {"x"} | {key for key in shapes if "running" not in key}


def test_the_largest_relative_error_is_that_of_the_rows(report):
    errors = [row["relative_error"] for row in report["rows"] if row["method"] == "complex" and not row["zero"]]
    assert report["largest_relative_error"]["complex"] == max(errors) < 1e-10


def test_a_wrong_gradient_is_exit_code_1_and_named(capsys, weights_alone, broken_weights):
    code, out, _ = run(capsys, *SMALL)
    assert code == 1
    assert out.startswith("NOT every gradient is right: ")
    assert "1 wrong" in out.splitlines()[0]
    (line,) = (line for line in out.splitlines() if line.split()[:4] == ["dot_product,", "weights", "phi", "wrong"])
    assert "3e-03" in line
    assert "X" in line
    assert "phi is worst at" in out  # the checker's own report


def test_more_wrong_operations_than_fit_are_counted(weights_alone, broken_weights):
    report = check_everything(Request())
    assert report["wrong"] == 4
    assert "and 1 more such reports" in to_terminal(report)


def test_a_gradient_that_is_left_out_is_no_constant(monkeypatch):
    """Where backward leaves a parameter out, the checker takes it for a constant."""
    right = nl.block

    def forgetful(*args, **options):
        z, backward = right(*args, **options)

        def shorter(dz):
            dx, grads = backward(dz)
            return dx, {key: value for key, value in grads.items() if key != "g.bias"}

        return z, shorter

    monkeypatch.setattr(nl, "block", forgetful)
    report = check_everything(Request(variants=("gaussian",), dims=(1,), quick=True))
    assert not report["ok"]
    assert {problem["culprit"] for problem in report["problems"]} == {"params.g.bias"}
    assert "params.g.bias gets no gradient" in to_terminal(report)


def test_what_a_library_raises_is_a_problem_and_no_traceback(capsys, monkeypatch):
    def fails(*args, **options):
        message = "out of luck"
        raise RuntimeError(message)

    monkeypatch.setattr(nl, "gradcheck", fails)
    code, out, _ = run(capsys, *SMALL)
    assert code == 1
    assert "0 checked" in out
    assert "raised RuntimeError: out of luck" in out


def test_a_complex_step_is_asked_of_what_carries_it_alone():
    report = check_everything(Request(("dot_product",), (1,), method="complex", quick=True))
    assert report["ok"]
    assert set(report["largest_relative_error"]) == {"complex"}


def test_every_library_and_precision_is_checked_where_it_is_asked_for(weights_alone):
    places = ("numpy", "array_api_strict:device1")
    report = check_everything(Request(("dot_product",), (1,), ("float64", "float32"), places))
    assert report["ok"]
    assert {(row["backend"], row["dtype"]) for row in report["rows"]} == {
        (place, dtype) for place in places for dtype in ("float64", "float32")
    }
    assert "the float32 gradients are held to 30 eps" in to_terminal(report)


@pytest.mark.slow
def test_everything_is_right_entry_by_entry():
    report = check_everything(Request(mode="full", quick=True))
    assert report["ok"], to_terminal(report)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_everything_is_right_in_both_precisions(backend):
    if backend == "torch":
        pytest.importorskip("torch")
    report = check_everything(Request(dtypes=("float64", "float32"), backends=(backend,), quick=backend != "numpy"))
    assert report["ok"], to_terminal(report)


@pytest.mark.parametrize("seed", range(2))
def test_differences_have_a_best_step_and_the_complex_step_has_none(seed):
    curve = error_over_step(seed)
    errors = curve["errors"]
    for name, best in (("central", 1e-10), ("fourth", 1e-11)):
        assert min(errors[name]) < best
        assert errors[name][0] > 0.01  # h = 1
        assert errors[name][-1] > 0.01  # h = 1e-16
    assert max(errors["complex"][len(errors["complex"]) // 2 :]) < 1e-14


def test_the_picture_is_the_same_for_the_same_report(report):
    drawn = draw(report, "svg")
    assert b"<svg" in drawn
    assert draw(report, "svg") == drawn


def test_the_scale_ends_where_its_marks_end(report):
    assert len(MARKS) == WIDTH + 2
    assert [MARKS.index(f"1e{e}") for e in (-16, -12, -8, -4, 0)] == [place_of(10.0**e) for e in (-16, -12, -8, -4, 0)]
    assert (place_of(0.0), place_of(1e-30), place_of(7.0)) == (0, 0, WIDTH - 1)
    zero = next(row for row in report["rows"] if row["zero"])
    assert scale([zero]).strip() == ""


def test_characters_that_a_terminal_lacks_become_question_marks(capsys, monkeypatch, weights_alone):
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii_only)
    monkeypatch.setattr("nonlocal_ref.cli.gradcheck.terminal.FLOAT32", "Σ")
    assert run(capsys, *SMALL, "--dtype", "float32")[0] == 0
    ascii_only.seek(0)
    assert "?" in ascii_only.read()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "median"], "argument --variant/--variants: invalid choice: 'median'"),
        (["--dims", "4"], "argument --dims: invalid choice: 4"),
        (["--seed", "-1"], "argument --seed: must be a whole number of at least 0"),
        (["--backend", "pencil"], "argument --backend: backend must be one of numpy"),
        (["--backend", "numpy:7"], "argument --backend"),
        (["--picture", "steps.gif"], "argument --picture: must end in .png or .svg, got 'steps.gif'"),
        (["--json", "nowhere/report.json"], "argument --json: must be in a folder that exists"),
    ],
)
def test_what_does_not_fit_is_refused(capsys, options, message):
    assert message in refusal(capsys, *SMALL, *options)


def test_a_device_without_the_precision_is_refused(capsys):
    pytest.importorskip("array_api_strict")
    line = refusal(capsys, *SMALL, "--backend", "numpy", "array_api_strict:no_float64")
    assert "argument --backend: array_api_strict:no_float64 does not hold float64, pass another --dtype" in line


def test_a_picture_without_matplotlib_names_the_line_that_installs_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = refusal(capsys, *SMALL, "--picture", tmp_path / "steps.png")
    assert f"matplotlib is not installed; install what it needs with: pip install {TOUR}" in line
