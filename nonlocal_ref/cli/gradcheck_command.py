"""``nonlocal-ref gradcheck``: every gradient of this package against measured derivatives."""

import argparse
import json
from pathlib import Path
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.checker.gradient_check import METHODS, MODES
from nonlocal_ref.cli.output_files import check_file, write_files
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.progress import optional_bar
from nonlocal_ref.cli.usage import fail, need, whole_number

PICTURES = (".png", ".svg")

DESCRIPTION = """\
Check every gradient that this package computes, those of the operation in every form and those of the block with every
option, against derivatives measured by calling it.  The table shows the error of each relative to the gradient, beside
the largest that would pass.  Exit codes: 0 every gradient is right; 1 one is not, or could not be decided; 2 the
request cannot be met.
"""
EXAMPLES = """\
examples:
  nonlocal-ref gradcheck --quick
  nonlocal-ref gradcheck --variant embedded_gaussian --dims 2 --all
  nonlocal-ref gradcheck --backend numpy torch --dtype float64 float32
  nonlocal-ref gradcheck --quick --picture steps.png
"""


def add_gradcheck(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "gradcheck",
        help="is every gradient of this package right?",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        *("--variant", "--variants"),
        nargs="+",
        choices=nl.VARIANTS,
        default=nl.VARIANTS,
        metavar="V",
        help=f"some of {', '.join(nl.VARIANTS)} (default: all)",
    )
    parser.add_argument(
        "--dims", nargs="+", type=int, choices=(1, 2, 3), default=(1, 2, 3), help="axes of the block (default: all)"
    )
    parser.add_argument(
        *("--dtype", "--dtypes"),
        nargs="+",
        choices=("float64", "float32"),
        metavar="KIND",
        default=("float64",),
        help="float64, float32 (default: float64)",
    )
    parser.add_argument(
        *("--backend", "--backends"),
        nargs="+",
        default=("numpy",),
        metavar="NAME",
        help="numpy, cupy, torch, jax, array_api_strict, with :device where one is chosen, as cupy:1 (default: numpy)",
    )
    parser.add_argument(
        "--mode", choices=MODES, default="fast", help="random directions, or entry by entry (default: %(default)s)"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        default="auto",
        help="how to measure; complex leaves out the exact forms, which take real arrays alone (default: %(default)s)",
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of the examples (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="the block without its options: under five seconds")
    parser.add_argument("--all", action="store_true", help="one line for each gradient")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    parser.add_argument(
        *("--picture", "--png"),
        metavar="FILE",
        type=Path,
        help="draw the error of a derivative over its step, .png or .svg",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, write, print."""
    from nonlocal_ref.cli.gradcheck.checking import Request, check_everything
    from nonlocal_ref.cli.gradcheck.terminal import to_terminal

    if args.picture is not None:
        if args.picture.suffix not in PICTURES:
            fail("gradcheck", f"argument --picture: must end in {' or '.join(PICTURES)}, got {str(args.picture)!r}")
        need("gradcheck", "matplotlib")
    for option in ("json", "picture"):
        if getattr(args, option) is not None:
            check_file("gradcheck", f"--{option}", getattr(args, option))
    variants, dims, dtypes, backends = (
        tuple(dict.fromkeys(asked)) for asked in (args.variant, args.dims, args.dtype, args.backend)
    )
    request = Request(variants, dims, dtypes, backends, args.mode, args.method, args.seed, args.quick)
    try:
        with optional_bar("gradcheck") as tick:
            report = check_everything(request, tick)
    except ValueError as error:  # a backend that is not usable here
        fail("gradcheck", f"argument --backend: {error}", error)
    show(to_terminal(report, every=args.all))
    if args.json is not None:
        write_files("gradcheck", "--json", {args.json: (json.dumps(report, indent=1, allow_nan=False) + "\n").encode()})
        show(f"written: {args.json}")
    if args.picture is not None:
        from nonlocal_ref.cli.gradcheck.picture import draw

        write_files("gradcheck", "--picture", {args.picture: draw(report, args.picture.suffix[1:])})
        show(f"written: {args.picture}")
    return 0 if report["ok"] else 1
