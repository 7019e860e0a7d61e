"""Threads change the time a call takes, and nothing else."""

import os
import signal
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl

import nonlocal_ref as nl
from nonlocal_ref.exact.threads import _OneBlasThread, one_blas_thread, share_out
from tests.exact.test_fast_forms import draw


def blas_threads():
    """Threads of NumPy's BLAS; SciPy and PyTorch bring their own, which the tiles never call."""
    return [
        pool["num_threads"]
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
    ]


def test_neighbours_stay_together_and_results_come_in_order():
    assert share_out(list, range(7), 3) == [[0, 1], [2, 3], [4, 5, 6]]


def test_one_worker_gets_everything_there_is_in_the_thread_that_asks():
    items = range(3)
    assert share_out(lambda run: (run is items, threading.current_thread()), items, 1) == [
        (True, threading.current_thread())
    ]


def test_more_workers_than_items_are_not_started():
    assert share_out(list, range(2), 5) == [[0], [1]]


def test_the_error_state_of_the_caller_holds_in_every_thread():
    with np.errstate(over="raise"):
        assert share_out(lambda run: np.geterr()["over"], range(4), 2) == ["raise", "raise"]
    assert share_out(lambda run: np.geterr()["over"], range(4), 2) == [np.geterr()["over"]] * 2


def test_an_overflow_that_the_caller_wants_raised_is_raised_with_threads_too():
    theta, phi, g = np.full((1, 8, 1), 1e200), np.full((1, 8, 1), 1e200), np.ones((1, 8, 1))
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        nl.nonlocal_op("gaussian", theta, phi, g, method="tiled", workers=2)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_same_call_gives_the_same_bits_every_time(workers, rng):
    arrays, dy = draw(rng, "gaussian", (2, 40, 50, 4, 3))
    runs = []
    for _ in range(3):
        y, backward = nl.nonlocal_op("gaussian", *arrays, method="tiled", workers=workers)
        runs.append((y, *backward(dy)))
    for other in runs[1:]:
        for a, b in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_calls_from_several_threads_give_the_same_and_leave_the_blas_as_it_was(rng):
    arrays, dy = draw(rng, "gaussian", (2, 40, 50, 4, 3))
    before = blas_threads()

    def call(_):
        y, backward = nl.nonlocal_op("gaussian", *arrays, method="tiled", workers=2)
        return (y, *backward(dy))

    alone = call(0)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(call, range(12)):
            for a, b in zip(alone, together, strict=True):
                np.testing.assert_array_equal(a, b)
    assert blas_threads() == before


def test_a_limit_can_be_set_and_lifted_again_and_again():
    limit, before = _OneBlasThread(), blas_threads()
    for _ in range(2):
        with limit():
            assert all(count == 1 for count in blas_threads())
        assert blas_threads() == before


def test_overlapping_limits_end_with_the_last_one():
    before, inside, release = blas_threads(), threading.Event(), threading.Event()

    def hold():
        with one_blas_thread():
            inside.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(10)
    with one_blas_thread():
        pass
    assert all(count == 1 for count in blas_threads())  # the first one is still in
    release.set()
    holder.join()
    assert blas_threads() == before


def test_an_error_in_a_tile_lifts_the_limit():
    before = blas_threads()

    def fail(_):
        msg = "broken tile"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="broken tile"):
        share_out(fail, range(4), 2)
    assert blas_threads() == before


@pytest.mark.parametrize("variant", nl.VARIANTS)
def test_memory_stays_far_below_one_n_by_m_matrix_and_within_the_plan(variant, rng):
    """N = M = 4096 in float32: one matrix is 64 MiB; the plan says how much a call takes, give or take a half."""
    sizes = (1, 4096, 4096, 8, 8)
    arrays, dy = draw(rng, variant, sizes)
    arrays, dy = [x.astype(np.float32) for x in arrays], dy.astype(np.float32)
    nl.nonlocal_op(variant, *arrays)  # what is imported or cached on the first call does not count
    tracemalloc.start()
    try:
        y, backward = nl.nonlocal_op(variant, *arrays)
        results = (y, *backward(dy))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    extra = peak - sum(x.nbytes for x in results)
    planned = nl.plan(variant, *sizes).peak_bytes
    assert extra < 32 * 2**20
    assert extra < 1.5 * planned + 2**20


def test_an_error_in_a_run_leaves_the_rest_of_the_others_undone():
    failed, done = threading.Event(), []

    def work(run):
        for item in run:
            if item == 0:
                failed.set()
                msg = "broken tile"
                raise RuntimeError(msg)
            assert failed.wait(timeout=30)
            done.append(item)
            time.sleep(0.01)

    with pytest.raises(RuntimeError, match="broken tile"):
        share_out(work, range(1000), 2)
    assert len(done) < 500


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal to itself")
def test_ctrl_c_leaves_the_rest_of_all_runs_undone_and_lifts_the_limit():
    before, done = blas_threads(), []

    def work(run):
        for item in run:
            if item == 0:
                os.kill(os.getpid(), signal.SIGINT)
            done.append(item)
            time.sleep(0.01)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test that runs beside others ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            share_out(work, range(1000), 2)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert len(done) < 1000
    assert blas_threads() == before
