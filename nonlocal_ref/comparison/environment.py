"""Where a comparison ran: what is needed to run it again, without names of people, machines or folders."""

import platform
import shlex
from collections.abc import Sequence
from typing import Any

from nonlocal_ref.machine.diagnosis import describe_gpu
from nonlocal_ref.machine.folders import last_name_of_argument, without_folders
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
        "command": shlex.join(map(last_name_of_argument, command)),
    }
