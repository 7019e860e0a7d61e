"""python tests/benchmarks/gradient_checkers/run.py --json FILE [--section ...] [--page FILE] [--quick]."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[3])  # the root: `tests` and, where not installed, the package
    from tests.benchmarks.gradient_checkers.command import main

    sys.exit(main())
