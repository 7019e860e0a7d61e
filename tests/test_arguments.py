"""The checks at the public edges: TypeError for the wrong kind of thing, ValueError for a wrong shape or value."""

from fractions import Fraction

import numpy as np
import pytest

from nonlocal_ref import arguments
from tests.helpers import normal


def test_like_remembers_everything_but_the_values(xp, rng):
    x = xp.asarray(normal(rng, 2, 3))
    rule = arguments.like(x)
    assert rule.shape == (2, 3)
    arguments.check_same_kind("y", xp.asarray(normal(rng, 5)), "x", rule)


def test_check_alike_returns_the_rule_of_the_first(xp, rng):
    x, y = xp.asarray(normal(rng, 2)), xp.asarray(normal(rng, 3))
    assert arguments.check_alike({"x": x, "y": y}) == arguments.like(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_single_and_double_precision_are_taken(dtype):
    arguments.check_floating("x", np.ones(2, dtype))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_are_taken_where_the_dense_form_takes_them_and_only_there(dtype):
    arguments.check_floating("x", np.ones(2, dtype), complex_too=True)
    with pytest.raises(TypeError, match=f"x must be float32 or float64, got {dtype}"):
        arguments.check_floating("x", np.ones(2, dtype))


@pytest.mark.parametrize(("dtype", "cast"), [("float16", "float32"), ("int64", "float64"), ("bool", "float64")])
def test_the_message_writes_the_cast(dtype, cast):
    with pytest.raises(TypeError, match=rf"x must be .*, got {dtype}; cast it first: xp.astype\(x, xp.{cast}\)"):
        arguments.check_floating("x", np.ones(2, dtype))


def test_bfloat16_is_refused_with_the_cast_to_write():
    jnp = pytest.importorskip("jax.numpy", reason="jax is not installed")
    with pytest.raises(TypeError, match=r"x must be .*, got bfloat16; cast it first: xp.astype\(x, xp.float32\)"):
        arguments.check_floating("x", jnp.ones(2, dtype=jnp.bfloat16))


@pytest.mark.parametrize("x", [[1.0], (1.0,), 2.0, None, "x", np.float64(1), {"x": 1}])
def test_what_is_no_array_is_refused(x):
    with pytest.raises(TypeError, match=rf"x must be an array \(NumPy, CuPy, .*\), got {type(x).__name__}"):
        arguments.check_array("x", x)


def test_a_masked_array_is_refused_with_the_way_to_fill_it():
    with pytest.raises(TypeError, match=r"x must be a plain array, got numpy MaskedArray; .*: x.filled\(value\)"):
        arguments.check_array("x", np.ma.array([1.0]))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_a_foreign_byte_order_is_refused_with_the_cast_to_write(dtype):
    x = np.ones(2, np.dtype(dtype).newbyteorder("S"))
    with pytest.raises(TypeError, match=r"x must have the byte order of this machine, got [<>].*; convert") as error:
        arguments.check_floating("x", x, complex_too=True)
    cast = str(error.value).partition("convert it first: ")[2]
    arguments.check_floating("x", eval(cast, {"x": x}), complex_too=True)


def test_a_missing_batch_axis_gets_the_index_that_adds_it():
    with pytest.raises(ValueError, match=r"x must have 3 axes \(B, N, D\), got shape \(4, 5\); for one .* x\[None\]"):
        arguments.check_rank("x", np.ones((4, 5)), "B N D")


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4)])
def test_any_other_rank_gets_no_such_hint(shape):
    with pytest.raises(ValueError, match=r"x must have 3 axes \(B, N, D\), got shape \([0-9, ]+\)$"):
        arguments.check_rank("x", np.ones(shape), "B N D")


def test_a_missing_axis_that_is_no_batch_gets_no_such_hint():
    with pytest.raises(ValueError, match=r"w must have 1 axes \(2D\), got shape \(\)$"):
        arguments.check_rank("w", np.ones(()), "2D")


@pytest.mark.parametrize("value", ["c", 1, True, None, ["a"], np.ones(2)])
def test_a_choice_that_is_not_there_is_refused_with_those_that_are(value):
    with pytest.raises(ValueError, match="name must be one of 'a', 'b', got "):
        arguments.check_choice("name", value, ("a", "b"))


def test_true_is_no_one():
    arguments.check_choice("dims", 1, (1, 2))
    with pytest.raises(ValueError, match="dims must be one of 1, 2, got True"):
        arguments.check_choice("dims", True, (1, 2))


@pytest.mark.parametrize("value", [np.str_("a"), np.int64(3), np.uint8(3), np.True_])
def test_a_scalar_of_numpy_is_the_choice_it_holds(value):
    arguments.check_choice("name", value, ("a", 3, True))


@pytest.mark.parametrize("value", [np.True_, np.float64(1), np.str_("1"), np.int64(2)])
def test_a_scalar_of_numpy_is_no_other_choice(value):
    with pytest.raises(ValueError, match="dims must be one of 1, got "):
        arguments.check_choice("dims", value, (1,))


def test_none_can_be_a_choice():
    arguments.check_choice("norm", None, ("batch", None))


@pytest.mark.parametrize("value", [3, 0, "print", []])
def test_what_cannot_be_called_is_refused_with_the_call(value):
    with pytest.raises(TypeError, match=rf"tap must be callable as tap\(name, array\), got {type(value).__name__}"):
        arguments.check_callable("tap", value, "tap(name, array)")


@pytest.mark.parametrize("value", [3, np.int32(3), np.uint8(3)])
def test_whole_numbers_of_any_library_are_taken_and_become_int(value):
    assert type(arguments.check_integer("n", value, least=3)) is int


@pytest.mark.parametrize("value", [3.0, "3", None, True, np.bool_(True)])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match=rf"n must be an integer, got .* \({type(value).__name__}\)"):
        arguments.check_integer("n", value, least=0)


def test_a_whole_number_below_the_least_is_refused():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        arguments.check_integer("n", 0, least=1)


@pytest.mark.parametrize("value", [1, 0.5, np.float32(0.5), np.int64(2)])
def test_numbers_of_any_library_are_taken_and_become_float(value):
    assert type(arguments.check_number("h", value, lambda number: number > 0, "positive")) is float


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_number_that_does_not_fit_is_refused_with_what_fits(value):
    with pytest.raises(ValueError, match="h must be positive, got "):
        arguments.check_number("h", value, lambda number: number > 0, "positive")


@pytest.mark.parametrize("value", [10**400, -(10**400), Fraction(10**400)], ids=["integer", "negative", "fraction"])
def test_a_number_beyond_all_floats_is_refused_by_name(value):
    with pytest.raises(ValueError, match="h must be finite, got a number that no float holds"):
        arguments.check_number("h", value, lambda number: True, "finite")


@pytest.mark.parametrize("value", ["1", None, True, 1j, [1.0], np.ones(1)])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match=rf"h must be a number, got .* \({type(value).__name__}\)"):
        arguments.check_number("h", value, lambda number: True, "anything")


def test_a_cotangent_of_the_right_kind_and_shape_is_taken(xp, rng):
    y = xp.asarray(normal(rng, 2, 3))
    arguments.check_cotangent("dy", xp.asarray(normal(rng, 2, 3)), arguments.like(y), "y")
    with pytest.raises(ValueError, match=r"dy must have the shape of y, \(2, 3\), got \(3, 2\)"):
        arguments.check_cotangent("dy", xp.asarray(normal(rng, 3, 2)), arguments.like(y), "y")
