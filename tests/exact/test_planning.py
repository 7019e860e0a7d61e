"""The plan: the cheaper form at every size, within the memory it is given, explained."""

import pytest

import nonlocal_ref as nl

FAST = {"gaussian": "tiled", "embedded_gaussian": "tiled", "dot_product": "reassociated", "concatenation": "sorted"}
every_variant = pytest.mark.parametrize("variant", FAST)


@every_variant
def test_few_keys_and_long_vectors_are_computed_densely(variant):
    assert nl.plan(variant, 1, 784, 196, 512, 512).method == "dense"


@every_variant
@pytest.mark.parametrize("sizes", [(1, 8192, 8192, 64, 64), (1, 6272, 1568, 256, 256), (1, 2**20, 2**20, 8, 8)])
def test_many_pairs_are_never_held(variant, sizes):
    assert nl.plan(variant, *sizes).method == FAST[variant]


@pytest.mark.parametrize("variant", ["dot_product", "concatenation"])
def test_a_mask_that_the_fast_form_cannot_take_is_said_in_the_plan(variant):
    plan = nl.plan(variant, 1, 8192, 8192, 64, 64, mask=True)
    assert plan.method == "dense"
    assert f"The {FAST[variant]} form takes no mask." in str(plan)


def test_the_tiled_form_takes_a_mask():
    assert nl.plan("gaussian", 1, 8192, 8192, 64, 64, mask=True).method == "tiled"


def test_a_plan_is_printed_in_one_paragraph():
    text = str(nl.plan("gaussian", 1, 900, 900, 64, 64, workers=2))
    assert "\n" not in text
    for part in ("gaussian", "N=900", "tiled in tiles of", "2 workers", "GFLOP", "MiB", "times as long"):
        assert part in text


@every_variant
@pytest.mark.parametrize("megabytes", [200, 400, 800])
def test_a_memory_limit_is_kept(variant, megabytes):
    assert nl.plan(variant, 1, 65536, 65536, 32, 32, memory_limit=megabytes * 10**6).peak_bytes <= megabytes * 10**6


@every_variant
def test_a_memory_limit_that_nothing_keeps_is_refused_with_the_smallest_one_that_works(variant):
    sizes = (2, 1000, 900, 8, 8)
    with pytest.raises(ValueError, match=r"memory_limit must be at least \d+ bytes") as caught:
        nl.plan(variant, *sizes, memory_limit=10)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert nl.plan(variant, *sizes, memory_limit=least).peak_bytes <= least
    with pytest.raises(ValueError, match="memory_limit"):
        nl.plan(variant, *sizes, memory_limit=least - 1)


def test_a_form_that_is_over_the_limit_is_left_out_and_the_plan_says_so():
    plan = nl.plan("dot_product", 1, 8192, 8192, 64, 64, memory_limit=10**6)
    assert plan.method == "reassociated"
    assert "The dense form would take 768 MiB, which is over the limit." in str(plan)


def test_the_tiles_of_many_small_batch_elements_hold_several():
    assert nl.plan("gaussian", 6272, 8, 8, 64, 64, method="tiled").tile_elements > 1


def test_other_libraries_get_no_threads():
    assert nl.plan("gaussian", 1, 8192, 8192, 64, 64, workers=4, backend="cupy").workers == 1


def test_operations_count_seven_products_tiled_and_six_dense():
    product = 2 * 128 * 96 * 16  # one of B = 1, N = 128, M = 96, D = E = 16
    assert nl.plan("gaussian", 1, 128, 96, 16, 16, method="tiled").operations == 7 * product
    assert nl.plan("gaussian", 1, 128, 96, 16, 16, method="dense").operations == 6 * product


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"variant": "cosine"}, ValueError, r"variant must be one of 'gaussian', .* got 'cosine'"),
        ({"M": 0}, ValueError, "M must be at least 1, got 0"),
        ({"D": 0}, ValueError, "D must be at least 1, got 0"),
        ({"N": -1}, ValueError, "N must be at least 0, got -1"),
        ({"N": 2.0}, TypeError, r"N must be an integer, got 2\.0"),
        ({"dtype": "float16"}, ValueError, r"dtype must be one of 'float32', 'float64', got 'float16'"),
        ({"method": "sorted"}, ValueError, r"must be one of 'auto', 'dense', 'tiled', got 'sorted'"),
        ({"method": "fast"}, ValueError, r"must be one of 'auto', 'dense', 'tiled', got 'fast'"),
        ({"workers": 0}, ValueError, "workers must be at least 1, got 0"),
        ({"memory_limit": 0}, ValueError, "memory_limit must be at least 1, got 0"),
        ({"memory_limit": 1.5}, TypeError, "memory_limit must be an integer"),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(change, error, message):
    arguments = {"variant": "gaussian", "B": 1, "N": 4, "M": 4, "D": 2, "E": 2} | change
    with pytest.raises(error, match=message):
        nl.plan(**arguments)


@pytest.mark.parametrize(
    ("variant", "method"),
    [("gaussian", "sorted"), ("dot_product", "tiled"), ("concatenation", "reassociated"), ("gaussian", "quick")],
)
def test_a_method_that_the_variant_does_not_have_is_refused_by_the_operation(variant, method, rng):
    x = rng.normal(size=(1, 2, 3))
    w_f = rng.normal(size=6) if variant == "concatenation" else None
    with pytest.raises(ValueError, match=rf"method for '{variant}' must be one of .* got '{method}'"):
        nl.nonlocal_op(variant, x, x, x, w_f, method=method)


@pytest.mark.parametrize(("workers", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_a_number_of_workers_that_is_none_is_refused_by_the_operation(workers, error, rng):
    x = rng.normal(size=(1, 2, 3))
    with pytest.raises(error, match="workers must be"):
        nl.nonlocal_op("gaussian", x, x, x, workers=workers)
