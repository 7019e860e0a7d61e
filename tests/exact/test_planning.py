"""The plan: the cheaper form at every size, within the memory it is given, explained."""

import os
import tracemalloc

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.exact.costs import available_workers
from tests.helpers import example

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


def test_a_form_without_tiles_has_none_in_its_plan_and_one_worker():
    plan = nl.plan("dot_product", 3, 40, 50, 4, 4, method="dense", workers=2)
    assert (plan.tile_rows, plan.tile_keys, plan.tile_elements, plan.workers) == (0, 0, 0, 1)
    assert plan.tiling == (1, 1, 1, 1)


def test_the_workers_that_are_asked_for_are_the_workers_of_the_plan():
    assert nl.plan("gaussian", 1, 64, 64, 4, 4, method="tiled", workers=3).workers == 3


@pytest.mark.parametrize(("keys", "workers"), [(2**9 - 1, 1), (2**9, 5)])
def test_all_processors_work_where_there_are_pairs_enough(keys, workers, monkeypatch):
    monkeypatch.setattr("nonlocal_ref.exact.costs.available_workers", lambda: 5)
    assert nl.plan("gaussian", 1, 2**10, keys, 4, 4, method="tiled").workers == workers


@pytest.mark.parametrize(
    ("queries", "keys", "reason"),
    [
        (2**9, 2**9, "The matrix has 262144 numbers, few enough to stay in the cache."),
        (2**18 + 1, 1, "times as long."),
        (2**10, 2**10, "times as long."),
        (2**20 + 1, 1, "A dense matrix would have 1.05e+06 numbers, several times over."),
    ],
)
def test_a_softmax_is_dense_up_to_a_cache_full_and_tiled_beyond_four_and_between_the_cheaper(queries, keys, reason):
    assert nl.plan("gaussian", 1, queries, keys, 8, 8).reason.endswith(reason)


def test_the_dense_form_can_be_the_cheaper_of_two():
    reason = nl.plan("dot_product", 1, 784, 196, 512, 512).reason
    assert reason.startswith("The reassociated form would take about ")
    assert reason.endswith(" times as long.")


def test_a_form_that_needs_exactly_the_limit_keeps_it():
    dense = nl.plan("dot_product", 1, 800, 900, 8, 8, method="dense").peak_bytes
    assert nl.plan("dot_product", 1, 800, 900, 8, 8, memory_limit=dense).reason.endswith(" times as long.")
    assert nl.plan("dot_product", 1, 800, 900, 8, 8, memory_limit=dense - 1).reason.endswith(" is over the limit.")


@pytest.mark.parametrize(("variant", "method"), [("gaussian", "dense"), ("dot_product", "reassociated")])
def test_double_precision_takes_twice_the_memory(variant, method):
    single, double = (nl.plan(variant, 1, 50, 60, 8, 8, kind, method=method) for kind in ("float32", "float64"))
    assert double.peak_bytes == 2 * single.peak_bytes


@pytest.mark.parametrize(
    ("variant", "method", "masked", "sizes"),
    [
        ("gaussian", "dense", False, (1, 300, 280, 5, 3)),
        ("gaussian", "dense", True, (1, 300, 280, 5, 3)),
        ("gaussian", "tiled", False, (1, 300, 280, 5, 3)),
        ("gaussian", "tiled", True, (1, 300, 280, 5, 3)),
        ("dot_product", "dense", False, (1, 300, 280, 5, 3)),
        ("dot_product", "dense", True, (1, 300, 280, 5, 3)),
        ("dot_product", "reassociated", False, (3, 8, 8, 64, 48)),
        ("concatenation", "dense", False, (1, 300, 280, 5, 3)),
        ("concatenation", "dense", True, (1, 300, 280, 5, 3)),
        ("concatenation", "sorted", False, (1, 300, 280, 5, 30)),
        ("concatenation", "sorted", False, (1, 300, 1200, 5, 30)),
        ("concatenation", "sorted", False, (1, 1200, 300, 5, 30)),
    ],
)
def test_a_call_takes_the_memory_of_its_plan_or_somewhat_less(variant, method, masked, sizes, rng):
    batch, queries, keys, depth, width = sizes
    drawn = example(rng, batch=batch, queries=queries, keys=keys, depth=depth, width=width, variant=variant)
    arrays = [x.astype(np.float32) for x in drawn]
    dy = rng.normal(size=(batch, queries, width)).astype(np.float32)
    mask = rng.random((batch, queries, keys)) < 0.7 if masked else None
    nl.nonlocal_op(variant, *arrays, mask=mask, method=method, workers=1)  # what the first call imports does not count
    tracemalloc.start()
    try:
        y, backward = nl.nonlocal_op(variant, *arrays, mask=mask, method=method, workers=1)
        results = (y, *backward(dy))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    taken = peak - sum(x.nbytes for x in results)
    planned = nl.plan(variant, *sizes, mask=masked, method=method, workers=1).peak_bytes
    assert 0.4 < taken / planned < 1.2


@pytest.mark.parametrize(
    ("arguments", "options", "paragraph"),
    [
        (
            ("gaussian", 1, 128, 96, 16, 8),
            {},
            "gaussian, B=1 N=128 M=96 D=16 E=8 float32: dense; 0.00177 GFLOP of matrix products and 0.188 MiB on top "
            "of arguments and results, forward and backward. The matrix has 12288 numbers, few enough to stay in the "
            "cache.",
        ),
        (
            ("gaussian", 2, 8, 8, 2, 2),
            {"method": "tiled", "workers": 1},
            "gaussian, B=2 N=8 M=8 D=2 E=2 float32: tiled in tiles of 2 batch elements of 8 queries and 8 keys, "
            "1 worker; 3.58e-06 GFLOP of matrix products and 0.00238 MiB on top of arguments and results, forward and "
            "backward. It is the form that was asked for.",
        ),
        (
            ("gaussian", 1, 900, 900, 64, 64),
            {"workers": 2, "memory_limit": 2**24},
            "gaussian, B=1 N=900 M=900 D=64 E=64 float32: tiled in tiles of 450 queries and 582 keys, 2 workers; 0.726 "
            "GFLOP of matrix products and 7.98 MiB on top of arguments and results, forward and backward. The dense "
            "form would take about 1.41 times as long.",
        ),
    ],
    ids=["dense", "several-elements", "two-workers"],
)
def test_the_paragraph_of_a_plan_names_form_tiles_work_memory_and_reason(arguments, options, paragraph):
    assert str(nl.plan(*arguments, **options)) == paragraph


@every_variant
@pytest.mark.parametrize("megabytes", [200, 400, 800])
def test_a_memory_limit_is_kept(variant, megabytes):
    assert nl.plan(variant, 1, 65536, 65536, 32, 32, memory_limit=megabytes * 10**6).peak_bytes <= megabytes * 10**6


@pytest.mark.parametrize("kilobytes", [1900, 2000, 3000])
def test_tiles_under_a_tight_memory_limit_are_no_thin_strips(kilobytes):
    plan = nl.plan("gaussian", 1, 4096, 4096, 16, 16, workers=1, memory_limit=kilobytes * 1000)
    assert plan.tile_rows * plan.tile_keys < 512 * 512
    assert plan.tile_keys <= plan.tile_rows <= 3 * plan.tile_keys


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


@pytest.mark.parametrize(
    ("sizes", "options", "tiling"),
    [
        ((1, 8192, 8192), {}, (1, 512, 512, 1)),
        ((1, 8192, 8192), {"dtype": "float64"}, (1, 512, 256, 1)),  # as many bytes
        ((1, 8192, 8192), {"backend": "cupy"}, (1, 8192, 8192, 1)),  # few launches
        ((1, 1024, 1024), {"workers": 8}, (1, 128, 1024, 8)),  # as many tiles as workers
        ((2, 1024, 1024), {"workers": 8}, (1, 512, 512, 8)),
        ((9000, 9, 7), {}, (4161, 9, 7, 1)),  # 4161 * 9 * 7 is just below 512 * 512
        ((9000, 9, 7), {"workers": 4}, (2250, 9, 7, 4)),
        ((9000, 9, 7), {"memory_limit": 10**9}, (1, 9, 7, 1)),
        ((10, 600, 100), {}, (1, 512, 100, 1)),  # a part of an element is never joined with others
        ((1, 9, 7), {}, (1, 9, 7, 1)),
        ((1, 9, 7), {"memory_limit": 1000}, (1, 1, 1, 1)),  # the least: one pair at a time
        ((1, 9, 7), {"memory_limit": 1012}, (1, 2, 1, 1)),
    ],
)
def test_tiles_fill_a_cache_and_no_more_than_the_limit_leaves(sizes, options, tiling):
    plan = nl.plan("gaussian", *sizes, 4, 4, method="tiled", **{"workers": 1} | options)
    assert repr(tuple(plan.tiling)) == repr(tiling)  # 4161 and not 4161.0


def test_as_many_workers_are_kept_as_the_limit_leaves_room_for():
    assert nl.plan("gaussian", 2, 1000, 900, 8, 8, workers=8, memory_limit=10**6).workers == 6


def test_other_libraries_get_no_threads():
    assert nl.plan("gaussian", 1, 8192, 8192, 64, 64, workers=4, backend="cupy").workers == 1


def test_operations_count_seven_products_tiled_and_six_dense():
    product = 2 * 128 * 96 * 16  # one of B = 1, N = 128, M = 96, D = E = 16
    assert nl.plan("gaussian", 1, 128, 96, 16, 16, method="tiled").operations == 7 * product
    assert nl.plan("gaussian", 1, 128, 96, 16, 16, method="dense").operations == 6 * product


@pytest.mark.parametrize(
    ("variant", "method", "multiply_adds"),
    [
        ("gaussian", "tiled", 2 * 3 * 5 * (4 * 7 + 3 * 11)),  # pairs (4 D + 3 E)
        ("gaussian", "dense", 3 * 2 * 3 * 5 * (7 + 11)),  # 3 pairs (D + E)
        ("concatenation", "dense", 3 * 2 * ((3 + 5) * 7 + 3 * 5 * 11)),  # a and b need no pairs
        ("dot_product", "reassociated", 3 * 2 * (3 + 5) * 7 * 11),  # 3 (N + M) D E
        ("concatenation", "sorted", 2 * (3 + 5) * (3 * 7 + 2 * 64 * 11)),  # blocks of 64
    ],
)
def test_operations_are_twice_the_multiply_adds_of_the_products(variant, method, multiply_adds):
    assert nl.plan(variant, 2, 3, 5, 7, 11, method=method).operations == 2 * multiply_adds


def test_the_smallest_limit_is_told_with_the_sizes_and_the_mask_it_holds_for():
    with pytest.raises(ValueError, match=r"with B=2, N=9, M=8, D=3, E=4, got 10$"):
        nl.plan("concatenation", 2, 9, 8, 3, 4, memory_limit=10)
    with pytest.raises(ValueError, match=r"with B=2, N=9, M=8, D=3, E=4 and a mask, got 10$"):
        nl.plan("concatenation", 2, 9, 8, 3, 4, memory_limit=10, mask=True)


def test_the_workers_that_are_there_are_the_processors_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", {0: {3, 5, 7}}.__getitem__, raising=False)
    assert available_workers() == 3


@pytest.mark.parametrize(("count", "workers"), [(6, 6), (None, 1)])
def test_where_a_system_does_not_say_which_processors_all_of_them_count(count, workers, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert available_workers() == workers


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"variant": "cosine"}, ValueError, r"variant must be one of 'gaussian', .* got 'cosine'"),
        ({"M": 0}, ValueError, "M must be at least 1, got 0"),
        ({"D": 0}, ValueError, "D must be at least 1, got 0"),
        ({"B": -1}, ValueError, "B must be at least 0, got -1"),
        ({"N": -1}, ValueError, "N must be at least 0, got -1"),
        ({"E": -1}, ValueError, "E must be at least 0, got -1"),
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


@pytest.fixture
def asked(monkeypatch):
    """What the operation asks the plan, call by call: sizes and options."""
    calls = []

    def plan(*sizes, **options):
        calls.append((sizes, options))
        return nl.plan(*sizes, **options)

    monkeypatch.setattr("nonlocal_ref.operation.plan", plan)
    return calls


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_operation_asks_for_the_plan_of_its_own_sizes_and_options(dtype, asked, rng):
    theta, phi, g = (rng.normal(size=shape).astype(dtype) for shape in ((2, 3, 5), (2, 4, 5), (2, 4, 6)))
    nl.nonlocal_op("gaussian", theta, phi, g, mask=np.ones((3, 4), dtype=bool), method="tiled", workers=2)
    options = {"dtype": dtype, "mask": True, "workers": 2, "method": "tiled", "backend": "numpy"}
    assert asked == [(("gaussian", 2, 3, 4, 5, 6), options)]


def test_the_operation_asks_for_the_dense_plan_where_numbers_are_complex(asked, rng):
    x = rng.normal(size=(1, 2, 3)) + 0j
    nl.nonlocal_op("dot_product", x, x, x)
    options = {"dtype": "float64", "mask": False, "workers": None, "method": "dense", "backend": "numpy"}
    assert asked == [(("dot_product", 1, 2, 2, 3, 3), options)]


def test_the_block_hands_method_and_workers_on_to_the_plan(asked, rng):
    config = nl.BlockConfig(4, dims=1)
    nl.block(rng.normal(size=(2, 4, 6)), nl.init_params(config, rng), config, method="tiled", workers=3)
    ((_, options),) = asked
    assert (options["method"], options["workers"]) == ("tiled", 3)


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
