"""``nonlocal-ref vectors``: write the golden vectors, or hold a file of them against this package."""

import argparse
from pathlib import Path
from typing import Any

from nonlocal_ref.cli.output_files import check_file
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.usage import fail

SHOWN = 10  # differences, one line each

DESCRIPTION = """\
Write inputs, parameters, outputs and gradients of 240 blocks to one file, for an implementation in any language; or
check such a file: is it whole, and does it agree with what is computed here?  Exit codes: 0 done, or the file is right;
1 something in the file differs; 2 it cannot be written, cannot be read, or is no such file.
"""
EXAMPLES = """\
examples:
  nonlocal-ref vectors vectors.npz
  nonlocal-ref vectors --check vectors.npz
"""


def add_vectors(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "vectors",
        help="numbers to test another implementation with, in one file",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("out", metavar="OUT.npz", nargs="?", type=Path, help="write them here; a file there is replaced")
    what.add_argument("--check", metavar="FILE", type=Path, help="check this file instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write, or check."""
    return write(args.out) if args.check is None else check(args.check)


def write(path: Path) -> int:
    """All vectors in one file that is there whole or not at all."""
    from nonlocal_ref.vectors import write_vectors

    check_file("vectors", "OUT.npz", path)
    try:
        write_vectors(path)
    except ValueError as error:  # another ending
        fail("vectors", f"argument OUT.npz: {error}", error)
    except OSError as error:
        fail("vectors", f"argument OUT.npz: cannot write {str(path)!r}: {error.strerror}", error)
    show(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def check(path: Path) -> int:
    """Say what differs; 1 where something does."""
    from nonlocal_ref.vectors import check_vectors

    try:
        report = check_vectors(path)
    except ValueError as error:
        fail("vectors", f"argument --check: {error}", error)
    except OSError as error:
        fail("vectors", f"argument --check: cannot read {str(path)!r}: {error.strerror}", error)
    show(report)
    for difference in report.differences[1:SHOWN]:
        show(f"  {difference.array}: {difference.what}")
    return 0 if report else 1
