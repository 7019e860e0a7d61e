"""python tests/benchmarks/run.py [--json FILE] [--quick] [--growth] [--picture FILE] [--page FILE]: see --help."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])  # the root: `tests` and, where not installed, the package
    from tests.benchmarks.command import main

    sys.exit(main())
