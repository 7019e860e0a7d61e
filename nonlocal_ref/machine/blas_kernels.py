"""Whether OpenBLAS picked the right kernels for this processor.

It picks them by the processor's model number; one that is newer than the library falls back to older instructions.  So
each set of kernels that the processor can run is measured in a process of its own, with OPENBLAS_CORETYPE.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nonlocal_ref.machine.hardware import processor_flags

# OPENBLAS_CORETYPE -> what the processor must have, in Linux's words; without it the kernels would crash.
KERNELS = {
    "HASWELL": {"avx2", "fma"},
    "ZEN": {"avx2", "fma"},
    "SKYLAKEX": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "COOPERLAKE": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"},
    "SAPPHIRERAPIDS": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16", "amx_bf16"},
    "ARMV8": {"asimd"},
    "NEOVERSEN1": {"asimd", "asimddp", "atomics"},
    "NEOVERSEV1": {"asimd", "sve", "bf16"},
}
WORTH = 1.1  # less than a tenth is not worth a setting
NOISY = 1.25  # equal kernels that differ by more: whatever else runs here decides, and not the kernels
ROUNDS = 2  # the best of them counts: a machine that does something else makes a setting slower, never faster
SECONDS = 10.0  # for all processes together
OVER = f"not measured (the {SECONDS:g} s for all of them were over)"


@dataclass(frozen=True)
class Kernel:
    """One setting: GFLOP/s in float32 and float64, or why there are none."""

    setting: str | None
    name: str | None = None
    float32: float = 0.0
    float64: float = 0.0
    problem: str = ""
    rounds: int = 1

    def __str__(self) -> str:
        label = self.setting or "its own choice"
        if self.problem:
            return f"{label}: {self.problem}"
        return f"{label} (kernel {self.name}): {self.float32:g} GFLOP/s in float32, {self.float64:g} in float64"


def measure_kernels(seconds: float = SECONDS) -> list[Kernel]:
    """The kernels OpenBLAS picks, then those it could have picked, each in several rounds, as far as the time goes."""
    flags = processor_flags()
    settings = (None, *(name for name, needed in KERNELS.items() if needed <= flags))
    found: list[list[Kernel]] = [[] for _ in settings]
    stop = time.monotonic() + seconds
    for _ in range(ROUNDS):
        for setting, rounds in zip(settings, found, strict=True):
            left = stop - time.monotonic()
            kernel = measure_one(setting, left) if left > 0 else Kernel(setting, problem=OVER)
            if not rounds or kernel.problem != OVER:
                rounds.append(kernel)
    return [best(rounds) for rounds in found]


def best(found: Sequence[Kernel]) -> Kernel:
    """What a setting, or settings that mean the same kernels, can do at most; a problem where one had a problem."""
    for kernel in found:
        if kernel.problem:
            return kernel
    single, double = (max(getattr(kernel, dtype) for kernel in found) for dtype in ("float32", "float64"))
    return replace(found[0], float32=single, float64=double, rounds=sum(kernel.rounds for kernel in found))


def measure_one(setting: str | None, seconds: float = SECONDS) -> Kernel:
    """One process with one setting, within so many seconds."""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    if setting is not None:
        environment["OPENBLAS_CORETYPE"] = setting
    command = [sys.executable, "-m", "nonlocal_ref.machine.matrix_product"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return Kernel(setting, problem=OVER)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return Kernel(setting, problem=f"not measured ({type(error).__name__})")
    if found is None:
        return Kernel(setting, problem=f"not measured (the process ended with {done.returncode})")
    return Kernel(setting, found["kernel"], found["float32"], found["float64"])


def verdict(kernels: list[Kernel]) -> str:
    """What setting would gain something, in one line.

    The same kernels under another name gain nothing; what they differ by is noise, and a gain must be larger.  Where
    that is much there is no verdict.
    """
    chosen = kernels[0]
    if chosen.problem:
        return "no verdict: what OpenBLAS picks could not be measured"
    measured = [kernel for kernel in kernels if not kernel.problem]
    named: dict[str | None, list[Kernel]] = {}
    for kernel in measured:
        named.setdefault(kernel.name, []).append(kernel)
    noise = max(
        spread([getattr(k, dtype) for k in same]) for same in named.values() for dtype in ("float32", "float64")
    )
    if noise > NOISY:
        return f"too noisy to tell: equal kernels differed by {noise:.2f}x; measure again when nothing else runs"
    mine, *others = (best(same) for same in named.values())  # the first is what OpenBLAS picked
    gains = [(other.float32 / mine.float32, other.float64 / mine.float64, other.setting) for other in others]
    worth = [gain for gain in gains if max(gain[:2]) >= max(WORTH, noise) and min(gain[:2]) > 1 / WORTH]
    once = any(kernel.rounds < ROUNDS for kernel in measured)
    over = "; some were measured once, the time was over" if once else ""
    if not worth:
        gain = f"gains {100 * (max(WORTH, noise) - 1):.0f} % or more"
        if any(kernel.problem == OVER for kernel in kernels):
            return f"no other setting that was measured {gain}; the time was over before all of them were"
        return f"OpenBLAS picked well: no other setting {gain}{over}"
    single, double, setting = max(worth)
    gain = f"{single:.2f}x in float32, {double:.2f}x in float64"
    return f"OPENBLAS_CORETYPE={setting} gives {gain}: set it before Python{over}"


def spread(values: Sequence[float]) -> float:
    """The largest in parts of the smallest."""
    return max(values) / min(values)
