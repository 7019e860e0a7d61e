"""A saturated loss: what is left of 1 - p, either way, is rounded like 1.  No alarm, and no mistake passes."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.checker.differences import jump, off_the_line
from nonlocal_ref.checker.measurement import LOOKS
from tests.checker.random_cases import spoil
from tests.checker.samples import normal
from tests.checker.saturated import CLASSIFIERS, POINTWISE, SPREAD

MARGINS = (0, 10, 20, 25, 30, 33, 35, 37, 40, 45)
HOW = [("auto", "fast"), ("central", "fast"), ("complex", "fast"), ("auto", "full"), ("central", "full")]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # exp and log far out


def slow(*values):
    """Parameters for .ci/run alone."""
    return pytest.param(*values, marks=pytest.mark.slow)


def check(op, x, seed, method, mode):
    report = nl.gradcheck(op, x, rng=seed, method=method, mode=mode)
    if method == "complex" and report.status == "inconclusive":
        pytest.skip("for real numbers alone")
    return report


@pytest.mark.parametrize("margin", [slow(20), 30, slow(40)])
@pytest.mark.parametrize("method", ["auto", slow("central")])
@pytest.mark.parametrize("name", [*CLASSIFIERS, *POINTWISE])
def test_a_trained_classifier_does_not_alarm(name, method, margin):
    op, draw = (CLASSIFIERS | POINTWISE)[name]
    report = check(op, draw(margin, 0), 0, method, "fast")
    assert report, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("method", "mode"), HOW)
@pytest.mark.parametrize("name", [*CLASSIFIERS, *POINTWISE])
def test_no_margin_alarms(name, method, mode, seed):
    op, draw = (CLASSIFIERS | POINTWISE)[name]
    for margin in MARGINS:
        report = check(op, draw(margin, seed), seed, method, mode)
        assert report, f"margin {margin}\n{report}"


@pytest.mark.parametrize("seed", [1, 19, 51])
def test_what_a_complex_step_through_abs_misses_by_a_ten_millionth_is_no_alarm(seed):
    z = np.asarray([908.0, 339, 1420, 379, 1045, 368, 291, -491, 17.67, -560, -282, 87, 1169, -242, 635])
    target = np.asarray([1.0, 0, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1])

    def loss(z):
        y = np.mean(np.maximum(z, 0) - z * target + np.log1p(np.exp(-np.abs(z))))
        return y, lambda d: ((1 / (1 + np.exp(-z)) - target) * d / z.size,)

    report = nl.gradcheck(loss, z, rng=seed)
    assert report, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("method", "mode"), HOW)
@pytest.mark.parametrize("name", SPREAD)
def test_no_scale_of_the_logits_alarms(name, method, mode, seed):
    for scale in (1e-3, 1, 5, 10, 30, 100, 1000):
        x = normal((6, 5), seed, scale)
        if np.all(np.isfinite(SPREAD[name](x)[0])):
            report = check(SPREAD[name], x, seed, method, mode)
            assert report, f"scale {scale}\n{report}"


def without_one_hot(op):
    """The classic: p for p - one_hot."""

    def wrong(z):
        y, backward = op(z)
        right = backward(np.ones_like(y))[0]
        one_hot = (right < 0).astype(float) / (len(z) if np.ndim(y) == 0 and z.ndim > 1 else 1)
        return y, lambda d: (backward(d)[0] + np.reshape(d, (*np.shape(d), *[1] * (z.ndim - np.ndim(d)))) * one_hot,)

    return wrong


MISTAKES = {
    "twice": lambda op: spoil(op, 0, 2.0),
    "half": lambda op: spoil(op, 0, 0.5),
    "a thousandth": lambda op: spoil(op, 0, 1.001),
    "zero": lambda op: spoil(op, 0, 0.0),
    "one hot forgotten": without_one_hot,
}


@pytest.mark.parametrize("margin", [slow(10), 15, slow(20)])
@pytest.mark.parametrize(("method", "mode"), [("auto", "fast"), slow("central", "fast"), slow("auto", "full")])
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_mistake_in_the_same_functions_is_rejected(name, mistake, method, mode, margin):
    if mistake == "one hot forgotten" and name.startswith("binary"):
        pytest.skip("it has none")
    op, draw = CLASSIFIERS[name]
    assert nl.gradcheck(MISTAKES[mistake](op), draw(margin, 0), rng=0, method=method, mode=mode).status == "wrong"


@pytest.mark.parametrize("margin", [25, 30, 35])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_complex_step_sees_it_still_where_less_than_a_trillionth_is_left(mistake, margin):
    op, draw = CLASSIFIERS["-log p"]
    assert nl.gradcheck(MISTAKES[mistake](op), draw(margin, 0), rng=0).status == "wrong"


@pytest.mark.parametrize("step", [1e-3, 1e-16])
def test_a_step_jumps_and_a_kink_does_not(step):
    assert jump(lambda t: step * (t > 0.3), 0.0, 1.0) == step
    assert jump(lambda t: step * max(t - 0.3, 0.0), 0.0, 1.0) == 0
    assert jump(lambda t: step * t**8, 0.0, 1.0) == 0


def test_the_last_place_of_the_argument_is_no_jump():
    smooth = lambda t: np.sin(10 + t)  # 10 + t moves in steps of 1.8e-15  # noqa: E731
    assert jump(smooth, 0.0, 1e-7) > 0
    assert jump(smooth, 0.0, 1e-7, 1e-14) == 0


@pytest.mark.parametrize("per_look", [0.3, 1.0, 110.02, 136.0])
def test_steps_of_rounding_are_seen_whatever_fits_between_two_looks(per_look):
    rounded = lambda t: np.asarray(np.round(per_look * t))  # noqa: E731
    assert np.max(off_the_line(rounded, LOOKS)) > 0.1


def test_a_straight_line_is_on_the_line():
    assert np.max(off_the_line(lambda t: np.asarray(3 * t + 1), LOOKS)) < 1e-14


def test_steps_that_are_meant_are_not_taken_for_rounding():
    op = lambda x: (np.round(8 * x) / 8, lambda dy: (dy,))  # noqa: E731
    assert not nl.gradcheck(op, normal(5), rng=0)
