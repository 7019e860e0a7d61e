"""Processor, cores and memory, as far as the system says."""

import math
import platform
from contextlib import suppress
from pathlib import Path

from nonlocal_ref.exact.costs import available_workers

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def processor_name() -> str:
    """The processor's name."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """Instruction sets, as Linux names them; empty elsewhere."""
    return set((cpuinfo("flags") or cpuinfo("Features")).split())


def cpuinfo(key: str) -> str:
    """The first line of that name."""
    for line in _lines(PROC / "cpuinfo"):
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return ""


def usable_cores() -> int:
    """Cores this process may use: those it may be scheduled on, or fewer where a container's quota says so."""
    cores = available_workers()
    for line in _lines(CGROUP / "cpu.max"):  # "max 100000" or "150000 100000": microseconds in each period
        quota, _, period = line.partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, max(math.ceil(int(quota) / int(period)), 1))
    return cores


def total_memory() -> int | None:
    """Bytes this process may use at most: the machine's, or a container's limit; None where nobody says."""
    return min((found for found in (_meminfo("MemTotal"), _cgroup("memory.max")) if found is not None), default=None)


def free_memory() -> int | None:
    """Bytes this process can still get; None where nobody says."""
    limit, used = _cgroup("memory.max"), _cgroup("memory.current")
    room = None if limit is None or used is None else max(limit - used, 0)
    return min((found for found in (_meminfo("MemAvailable"), room) if found is not None), default=None)


def _meminfo(key: str) -> int | None:
    for line in _lines(PROC / "meminfo"):
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    return None


def _cgroup(name: str) -> int | None:
    for line in _lines(CGROUP / name):
        if line.isdigit():
            return int(line)
    return None


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []
