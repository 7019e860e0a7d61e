"""The comparison itself: every case on every backend, one after the other, into one report of plain values."""

import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.arguments import check_integer
from nonlocal_ref.comparison import interruption
from nonlocal_ref.comparison.cases import DIRECTIONS, DTYPES, SIZES, Case, Size, check_request, check_sizes
from nonlocal_ref.comparison.devices import Backend, LeftOut, default_backends, gpu_of
from nonlocal_ref.comparison.environment import describe_environment
from nonlocal_ref.comparison.headline import headline, wins
from nonlocal_ref.comparison.judging import RULE
from nonlocal_ref.comparison.one_case import (
    Found,
    Prepared,
    Refused,
    ceilings_of,
    compare_case,
    label_of,
    prepare,
    row_without_numbers,
)
from nonlocal_ref.comparison.tf32 import TIMEOUT, measure_with_tf32
from nonlocal_ref.machine.gpu import find_gpu

SCHEMA, SCHEMA_VERSION = "nonlocal_ref compare", 1  # the number counts up when a key changes its meaning or goes away
BUDGET = {False: 0.05, True: 0.02}  # seconds of warm calls for each median; whether it must be quick
LATE = 5.0  # seconds that the ceilings may begin later than a case
OVER = "not tried: the time was over; name backends or sizes, or give --seconds, to have more"

Tick = Callable[[int, int], None]


class Comparison:
    """What is going to be compared, and what was found so far: `report` may be asked for at any time."""

    def __init__(
        self,
        variants: Sequence[str] | None = None,
        sizes: Sequence[Any] | None = None,
        dtypes: Sequence[str] | None = None,
        backends: Sequence[str] | None = None,
        directions: Sequence[str] | None = None,
        *,
        quick: bool = False,
        seed: int = 0,
        command: Sequence[str] = (),
        seconds: float | None = None,
    ) -> None:
        self.variants = check_request("variants", variants, nl.VARIANTS)
        self.dtypes = check_request("dtypes", dtypes, DTYPES)
        self.directions = check_request("directions", directions, DIRECTIONS)
        check_integer("seed", seed, least=0)
        self.seconds, self.started = seconds, time.perf_counter()  # begin no more cases after so many seconds
        with_cupy = find_gpu()
        left_out: list[LeftOut] = []
        if backends is None:
            self.backends, left_out = default_backends(with_cupy)
        else:
            self.backends = [Backend(name) for name in check_request("backends", backends)]
        self.left_out = [entry._asdict() for entry in left_out]
        self.gpu = gpu_of(self.backends, with_cupy)
        self.sizes = check_sizes(SIZES[bool(self.gpu), quick] if sizes is None else sizes)
        self.smallest = min(self.sizes, key=Size.pairs)
        self.no_wish = backends is None and sizes is None  # the time is limited: what says nothing new is left away
        self.patient = backends is not None  # JAX compiles every step anew for every size: only where it was asked for
        self.budget, self.quick, self.seed = BUDGET[quick], quick, seed
        self.environment = describe_environment(self.gpu, list(command))
        self.devices = {backend.name: backend.device_name() for backend in self.backends}
        self.found = Found([], [], [])
        self.ceilings: list[dict[str, Any]] = []
        self.on_cupy = [backend.name for backend in self.backends if backend.library == "cupy"]
        self.tf32: dict[str, Any] = {"rows": [], "speed": [], "reason": self.without_tf32()}
        self.complete = False

    def run(self, tick: Tick = lambda done, total: None) -> "Comparison":
        """Everything that was asked for; a case that fails becomes a row that says so."""
        steps = self.steps()
        tried = {(backend.name, dtype) for _, backend, dtype in steps}
        last = [
            (backend, dtype)
            for backend, dtype in product(self.backends, self.dtypes)
            if backend.keeps_time and (backend.name, dtype) in tried
        ]
        total = len(steps) + len(last) + 1
        stop = None if self.seconds is None else self.started + self.seconds
        keys = [f"{case.kind} {case.size}" for case, _, _ in steps]  # the two softmax variants share their oracle
        last_use = {key: done for done, key in enumerate(keys)}
        prepared: dict[str, Prepared | Refused] = {}
        for done, ((case, backend, dtype), key) in enumerate(zip(steps, keys, strict=True)):
            tick(done, total)
            interruption.check()
            if self.is_over():
                self.found.rows.append(row_without_numbers(label_of(case, backend, dtype), OVER, failed=False))
                continue
            prepared = {name: found for name, found in prepared.items() if last_use[name] >= done}
            if key not in prepared:
                prepared[key] = prepare(case, self.seed, stop)
            compare_case(case, backend, dtype, prepared[key], self.directions, self.budget, self.found)
        for done, (backend, dtype) in enumerate(last, start=len(steps)):
            tick(done, total)
            interruption.check()
            if self.is_over(late=LATE):
                break
            self.ceilings.append(ceilings_of(backend, dtype))
        tick(total - 1, total)
        interruption.check()
        if self.on_cupy and "float32" in self.dtypes:
            self.tf32 = self.with_tf32(self.on_cupy[0])
        self.complete = True
        tick(total, total)
        return self

    def without_tf32(self) -> str:
        """Why there is nothing with TF32, until there is."""
        if not self.on_cupy:
            return "not measured: it is a setting of CuPy, which is not compared here"
        if "float32" not in self.dtypes:
            return "not measured: no float32 was asked for"
        return "not measured: the run ended before"

    def with_tf32(self, backend: str) -> dict[str, Any]:
        """The float32 rows once more; where the time is limited, in half of it at most."""
        if self.is_over():
            return self.tf32 | {"reason": OVER}
        seconds = TIMEOUT if self.seconds is None else min(TIMEOUT, self.seconds / 2)
        return measure_with_tf32(self.variants, self.sizes, self.seed, backend, seconds)

    def steps(self) -> list[tuple[Case, Backend, str]]:
        """Every case on every backend in every dtype; last what the time may run out for.

        Where nothing was wished for, JAX runs the smallest size in one dtype; and without a GPU so does the second
        softmax, the same function once more.
        """
        of_kind: dict[str, str] = {}
        for variant in reversed(self.variants):
            of_kind[Case(variant, self.smallest).kind] = variant  # the first of its kind stays
        cases = [Case(variant, size) for size in self.sizes for variant in self.variants]

        def is_first(case: Case, dtype: str) -> bool:
            return case.size == self.smallest and dtype == self.dtypes[0]

        def is_repeat(case: Case) -> bool:
            return of_kind[case.kind] != case.variant

        def is_wanted(case: Case, backend: Backend, dtype: str) -> bool:
            if self.no_wish and not self.gpu and is_repeat(case):
                return is_first(case, dtype)
            if backend.library != "jax" or self.patient:
                return True
            return is_first(case, dtype) if self.no_wish else case.size == self.smallest

        def lateness(step: tuple[Case, Backend, str]) -> tuple[bool, ...]:
            """First every variant on every backend once; late the second softmax, and what compiles."""
            case, backend, dtype = step
            compiles = backend.library == "jax"
            sorts = compiles and case.variant == "concatenation"  # many seconds
            if is_first(case, dtype):
                return (False, sorts, compiles, is_repeat(case))
            return (True, is_repeat(case), compiles, sorts)

        return sorted((step for step in product(cases, self.backends, self.dtypes) if is_wanted(*step)), key=lateness)

    def is_over(self, late: float = 0.0) -> bool:
        """Whether the time for beginning something new is over, by so many seconds."""
        return self.seconds is not None and time.perf_counter() - self.started > self.seconds + late

    def report(self) -> dict[str, Any]:
        """What was found so far, as plain values that JSON holds."""
        rows, speed, memory = self.found
        won = wins(speed)
        failed = sum(row["pass"] is False for row in rows)
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "version": nl.__version__,
            "headline": headline(rows, speed, memory, won, complete=self.complete),
            "ok": failed == 0 and any(row["pass"] for row in rows),
            "complete": self.complete,
            "rule": RULE,
            "failed": failed,
            "seed": self.seed,
            "quick": self.quick,
            "gpu": {"found": bool(self.gpu), "name": self.gpu.name, "reason": self.gpu.reason},
            "asked": {
                "variants": self.variants,
                "sizes": [str(size) for size in self.sizes],
                "dtypes": self.dtypes,
                "backends": [backend.name for backend in self.backends],
                "directions": self.directions,
            },
            "environment": self.environment,
            "devices": self.devices,
            "left_out": self.left_out,
            "rows": rows,
            "speed": speed,
            "wins": won,
            "memory": memory,
            "ceilings": self.ceilings,
            "tf32": self.tf32,
        }


def compare(
    variants: Sequence[str] | None = None,
    sizes: Sequence[int | str | tuple[int, int, int, int, int]] | None = None,
    dtypes: Sequence[str] | None = None,
    backends: Sequence[str] | None = None,
    directions: Sequence[str] | None = None,
    *,
    quick: bool = False,
    seed: int = 0,
    progress: Tick | None = None,
) -> dict[str, Any]:
    """Run the operation on several backends: same numbers, how fast, how much memory.

    Parameters
    ----------
    variants : list of str, optional
        Some of `nonlocal_ref.VARIANTS`; None means all.
    sizes : list, optional
        Each N (one batch element, N queries and keys, 64 channels), (B, N, M, D, E), or either as text: "1024",
        "8x784x196x512x512".  None means a few that suit the machine.
    dtypes : list of {"float32", "float64"}, optional
        None means both.
    backends : list of str, optional
        "numpy", "cupy", "torch", "jax", "array_api_strict", with ":device" where one is chosen ("cupy:1",
        "torch:cuda").  None means NumPy and the GPU, or where there is none everything that can stand in for it; what
        is installed and cannot be used is then left out, and the report says why.  JAX then runs the smallest size
        alone; where no sizes are named either, in the first dtype alone, and without a GPU so does the second softmax.
    directions : list of {"forward", "both"}, optional
        What is timed; None means each of the two.  Values and gradients are compared in any case.
    quick : bool
        Smaller sizes, shorter timings.
    seed : int
        Of the numbers that go in.
    progress : callable, optional
        Called as progress(done, total).

    Returns
    -------
    dict
        The report, plain values throughout: ``schema``, ``seed``, ``environment``, ``rows`` (one for each stage:
        ``variant``, ``size``, ``backend``, ``dtype``, ``stage``, ``ratio``, ``limit``, ``pass``, ...), ``speed``,
        ``memory``, and so on.  A number that was not measured is None, and ``reason`` says why.

    Raises
    ------
    TypeError
        For a size or seed that is not a whole number.
    ValueError
        For an unknown variant, dtype, backend or direction, sizes that are no list, a size out of range.
    BackendUnavailableError
        If a backend that was asked for is not installed, cannot be imported, or has no such device.

    Notes
    -----
    A row passes when its error ratio |got - exact| / (eps magnitude) against a float64 oracle on the host is at most 30
    and at most twice that of NumPy in float32 (or 6, where that is more), and when the norm of its error, in units of
    eps times the norm of the exact values, is at most ten times that of NumPy in float32 (or 100).  Shapes and dtypes
    must be those of the case.  A stage that did not come back fails, and so does one that nobody asked for.

    Sizes that do not fit into memory are not tried: their row has ``pass`` None and says what they need.  An error on a
    backend is a row that fails.

    Examples
    --------
    >>> from nonlocal_ref.comparison import compare
    >>> report = compare(["dot_product"], [16], ["float32"], ["numpy"], quick=True)
    >>> [(row["stage"], row["pass"]) for row in report["rows"]]
    [('weights', True), ('y', True), ('dtheta', True), ('dphi', True), ('dg', True)]
    """
    comparison = Comparison(variants, sizes, dtypes, backends, directions, quick=quick, seed=seed)
    return comparison.run(progress or (lambda done, total: None)).report()
