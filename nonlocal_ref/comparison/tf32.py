"""float32 on a GPU that may round products to TF32: CuPy reads the setting when it is imported, so a process apart."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nonlocal_ref.comparison.cases import Size

PAIRS = 2**24  # no size with more than these: every size costs an oracle
TIMEOUT = 240.0  # seconds, unless the comparison itself has fewer


def measure_with_tf32(
    variants: Sequence[str], sizes: Sequence[Size], seed: int, backend: str, seconds: float = TIMEOUT
) -> dict[str, Any]:
    """``rows`` and ``speed`` with CUPY_TF32=1, shown beside those without and not judged; or the reason for none.

    The process begins no case after half of the seconds, so that it has a report when they are over.
    """
    small = [str(size) for size in sizes if size.pairs() <= PAIRS]
    nothing: dict[str, Any] = {"rows": [], "speed": []}
    if os.environ.get("CUPY_TF32", "0") != "0":
        return nothing | {"reason": "not measured apart: CUPY_TF32 is set for all rows already"}
    if not small:
        return nothing | {"reason": "not measured: all sizes are too large for one more oracle"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tf32.json")
        command = [sys.executable, "-m", "nonlocal_ref", "compare", "--backends", backend, "--dtype", "float32"]
        command += ["--variants", *variants, "--sizes", *small, "--direction", "both"]
        command += ["--seed", str(seed), "--seconds", f"{seconds / 2:g}", "--json", str(file)]
        environment = os.environ | {"CUPY_TF32": "1"}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return nothing | {"reason": f"not measured: it took longer than {seconds:g} s"}
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"complete": False}
        if not found["complete"]:  # rows that fail, as they may with TF32, do not end the process early
            return nothing | {"reason": f"not measured: the process ended with {done.returncode}"}
    return {"rows": found["rows"], "speed": found["speed"], "reason": ""}
