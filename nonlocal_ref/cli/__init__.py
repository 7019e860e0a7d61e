"""The command line, ``nonlocal-ref COMMAND``; one file a command.

Exit codes: 0 done; 1 a number is wrong; 2 the command was asked for something it cannot do, one line on stderr says
what; 3 a GPU was required and there is none; 130 interrupted.  Where stdout cannot be written to the files are still
written, and 0 becomes 2; a reader that leaves early, as ``head`` does, changes nothing.  Libraries that only a command
needs are imported inside it.
"""

import sys
from collections.abc import Sequence

from nonlocal_ref import __version__
from nonlocal_ref.cli.check_command import add_check
from nonlocal_ref.cli.compare_command import add_compare
from nonlocal_ref.cli.denoise_command import add_denoise
from nonlocal_ref.cli.doctor_command import add_doctor
from nonlocal_ref.cli.gradcheck_command import add_gradcheck
from nonlocal_ref.cli.printing import ended
from nonlocal_ref.cli.tour_command import add_tour
from nonlocal_ref.cli.usage import Parser, UsageError
from nonlocal_ref.cli.vectors_command import add_vectors

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; None takes those of the process.

    Returns
    -------
    int
        The exit code.

    Examples
    --------
    >>> from nonlocal_ref.cli import main
    >>> main(["--version"])
    nonlocal-ref 0...
    0
    """
    try:
        args = build_parser().parse_args(argv)
        code = int(args.run(args))
    except UsageError as error:
        print(error, file=sys.stderr)
        code = 2
    except SystemExit as stop:  # argparse leaves this way after --help and --version
        code = int(stop.code or 0)
    except KeyboardInterrupt:
        print("nonlocal-ref: interrupted", file=sys.stderr)
        code = 130
    return ended(code)


def build_parser() -> Parser:
    """All commands and their arguments."""
    parser = Parser(prog="nonlocal-ref", description="Non-local neural networks and non-local means, to be read.")
    parser.add_argument("--version", action="version", version=f"nonlocal-ref {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    for add_command in (add_tour, add_denoise, add_gradcheck, add_check, add_vectors, add_compare, add_doctor):
        add_command(commands)
    return parser
