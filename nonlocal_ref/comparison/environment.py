"""Where a comparison ran: what is needed to run it again, without names of people, machines or folders."""

import platform
import re
from collections.abc import Sequence
from typing import Any

from nonlocal_ref.machine.diagnosis import describe_gpu
from nonlocal_ref.machine.gpu import Gpu
from nonlocal_ref.machine.hardware import processor_name, total_memory, usable_cores
from nonlocal_ref.machine.software import (
    VARIABLES,
    blas_libraries,
    git_commit,
    package_versions,
    python_name,
    variables,
)

_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[\\/]+[^\\/\s'\"=,:;()]+)+[\\/]*")


def describe_environment(gpu: Gpu, command: Sequence[str]) -> dict[str, Any]:
    """A dict for the report."""
    return {
        "python": python_name(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": usable_cores(),
        "memory_bytes": total_memory(),
        "packages": package_versions(),
        "blas": blas_libraries(),
        "gpu": describe_gpu(gpu),
        "variables": dict.fromkeys(VARIABLES) | {name: without_folders(value) for name, value in variables().items()},
        "git_commit": git_commit(),
        "command": " ".join(without_folders(word) for word in command),
    }


def without_folders(text: str) -> str:
    """Every path in a text cut down to its last name; line breaks go as well.

    >>> without_folders("cannot open '/srv/data/x.so': no such file")
    "cannot open 'x.so': no such file"
    """
    shorter = _FOLDERS.sub(lambda found: re.split(r"[\\/]+", found[0].rstrip("\\/"))[-1], text)
    return " ".join(shorter.split())
