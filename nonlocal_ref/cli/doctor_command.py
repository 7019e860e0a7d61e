"""``nonlocal-ref doctor``: what this machine has, what it lacks, and the lines that install it."""

import argparse
from typing import Any

from nonlocal_ref.cli.printing import show

DESCRIPTION = """\
Say what was found and what is missing, whether a GPU is seen and if not why, which BLAS multiplies with which kernels
and threads, how much memory there is, and how many workers to ask for.
"""


def add_doctor(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "doctor",
        help="what this machine has and lacks, and how to get it",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "--deep", action="store_true", help="also measure whether OpenBLAS picked the right kernels (up to ten seconds)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the diagnosis; 0 whenever it ran, whatever it found."""
    from nonlocal_ref.machine.blas_kernels import measure_kernels, verdict
    from nonlocal_ref.machine.diagnosis import diagnose, in_words

    found = diagnose()
    show(in_words(found))
    if args.deep:
        if all(library["name"] != "openblas" for library in found["blas"]):
            why = "this is no OpenBLAS" if found["blas"] else "the BLAS is unknown"
            show(f"kernels    not measured: {why}")
            return 0
        kernels = measure_kernels()
        for kernel in kernels:
            show(f"kernels    {kernel}")
        show(f"kernels    {verdict(kernels)}")
    return 0
