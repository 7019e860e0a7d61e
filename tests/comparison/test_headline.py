"""One line: whose numbers are wrong and where first, what could not be run, how much faster which GPU is."""

import pytest

from nonlocal_ref.comparison.headline import (
    broken_in_words,
    faster_in_words,
    headline,
    missing,
    missing_in_words,
    numbers_in_words,
    wins,
)


def row(stage, passes, *, backend="cupy", variant="dot_product", reason=""):
    ratio = None if stage == "run" else 1.0
    return {"backend": backend, "variant": variant, "stage": stage, "pass": passes, "ratio": ratio, "reason": reason}


def timed(backend, size, seconds, *, variant="gaussian", dtype="float32"):
    label = {"variant": variant, "dtype": dtype, "direction": "both", "size": str(size), "B": 1, "N": size, "M": size}
    on_gpu = backend != "numpy"
    moving = 0.0 if on_gpu else None
    moved = {"on_gpu": on_gpu, "to_device_s": moving, "from_device_s": moving}
    return label | {"backend": backend, "median_s": seconds} | moved


def words_of(speed):
    return list(faster_in_words(speed, wins(speed)))


def test_the_first_wrong_stage_in_the_order_of_computation_is_named():
    rows = [row("weights", False), row("y", False), row("dg", False), row("weights", True, backend="numpy")]
    assert numbers_in_words(rows) == "NOT the same numbers: 3 of 4 rows fail, first at cupy dot_product weights"


def test_a_case_that_broke_is_no_wrong_number():
    rows = [row("y", True, backend="numpy"), row("run", False, reason="OutOfMemoryError: 12 GiB")]
    assert numbers_in_words(rows).startswith("Same numbers on numpy: all 1 rows pass")
    assert broken_in_words(rows) == "1 case could not be run, as cupy dot_product (OutOfMemoryError: 12 GiB)"
    assert "1 case could not be run" in headline(rows, [], [], [], complete=True)


def test_where_every_case_broke_nothing_was_compared():
    line = headline([row("run", False, reason="RuntimeError")] * 2, [], [], [], complete=True)
    assert line == "Nothing was compared; 2 cases could not be run, as cupy dot_product (RuntimeError)."


def test_a_long_reason_is_cut_short():
    assert len(broken_in_words([row("run", False, reason="word " * 100)])) < 200


@pytest.mark.parametrize("order", [1, -1])
def test_every_gpu_has_a_range_of_its_own_and_cupy_comes_first(order):
    speed = [timed("numpy", 64, 1000.0), timed("cupy", 64, 100.0), timed("torch:cuda", 64, 1.0)]
    first, second = words_of(speed[::order])
    assert first == "cupy is 10 times as fast as numpy at size 64 (gaussian in float32: from size 64 on)"
    assert second.startswith("torch:cuda is 1000 times as fast")


def test_a_range_is_of_one_size():
    speed = [timed(name, size, s) for name, size, s in (("numpy", 8, 40.0), ("numpy", 64, 90.0), ("cupy", 8, 1.0))]
    speed += [timed("cupy", 64, 30.0), timed("numpy", 8, 70.0, variant="dot_product")]
    speed += [timed("cupy", 8, 1.0, variant="dot_product")]  # its larger size did not fit
    assert words_of(speed) == ["cupy is 3 times as fast as numpy at size 64 (gaussian in float32: from size 8 on)"]


def test_a_gpu_without_numpy_beside_it_was_measured_all_the_same():
    assert words_of([timed("cupy", 8, 1.0)]) == ["cupy was not timed beside numpy: no speed-up is known"]
    named = [timed("numpy:cpu", 8, 4.0) | {"on_gpu": False}, timed("cupy", 8, 1.0)]
    assert words_of(named)[0].startswith("cupy is 4 times as fast as numpy at size 8")


def test_a_gpu_that_was_timed_forward_alone_has_its_factor():
    forward = [timed(name, 8, s) | {"direction": "forward"} for name, s in (("numpy", 5.0), ("cupy", 1.0))]
    assert words_of(forward)[0].startswith("cupy is 5 times as fast as numpy forward at size 8")


def test_what_was_not_tried_at_all_comes_first():
    rows = [row("y", True, backend=name, variant=v) for name in ("numpy", "torch") for v in ("gaussian", "dot_product")]
    rows += [row("run", None, backend="jax", variant=v, reason="not tried") for v in ("gaussian", "dot_product")]
    assert headline(rows, [], [], [], complete=True).startswith(
        "NOT tried: jax; Same numbers on numpy and torch: all 4"
    )
    some = [r if r["backend"] != "torch" or r["variant"] != "gaussian" else r | {"pass": None} for r in rows]
    assert missing(some) == ["gaussian on torch", "jax"]
    none = [r | {"pass": None} if r["variant"] == "gaussian" else r for r in rows]
    assert missing(none) == ["gaussian", "jax"]
    broken = [r | {"pass": False} if r["backend"] == "jax" else r for r in rows]
    assert missing(broken) == []
    many = [row("run", None, backend=f"cupy:{n}") for n in range(6)]
    line = missing_in_words([*rows[:4], *many])
    assert line == "NOT tried: cupy:0, cupy:1, cupy:2, cupy:3 and 2 more"


def test_without_a_gpu_nothing_is_said_about_its_speed():
    assert words_of([timed("numpy", 8, 1.0)]) == ["no GPU was measured, so nothing is said about its speed"]
    assert words_of([]) == []
