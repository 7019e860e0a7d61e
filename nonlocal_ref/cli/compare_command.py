"""``nonlocal-ref compare``: one operation on several backends; same numbers, how fast, how much memory."""

import argparse
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nonlocal_ref as nl
from nonlocal_ref.backend import BackendUnavailableError
from nonlocal_ref.cli.output_files import check_file, write_files
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.progress import Tick, optional_bar
from nonlocal_ref.cli.usage import UsageError, fail
from nonlocal_ref.machine.whole_files import is_special

if TYPE_CHECKING:
    from nonlocal_ref.comparison.comparing import Comparison

NO_GPU = 3
FILES = {"json": "everything, as JSON", "md": "Markdown", "html": "one HTML page"}
KEEP = 5.0  # seconds between two reports on the way
# Where neither sizes nor backends are named no case begins after that; the last one and the ceilings take some more.
# With a GPU the sizes are larger, and the host is the one that takes long.
SECONDS = {False: 27.0, True: 150.0}

DESCRIPTION = """\
Run the operation on NumPy and on a GPU, and hold every stage and every gradient against float64: same numbers?  how
much faster, and from which size on?  how much memory?  Where there is no GPU, NumPy is compared with what can stand in
for one.  Exit codes: 0 every row passes; 1 a row fails, a case breaks, or none could be tried; 2 the request cannot be
met; 3 --require-gpu and no row of a GPU was judged; 130 interrupted: the report has what was found until then.  The
file of --json is also written on the way, with "complete": false.  --diff ends with 1 where a row of B fails, or no row
stands in both.
"""


def add_compare(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "compare",
        help="same numbers on two machines? how much faster? how much memory?",
        description=DESCRIPTION,
    )
    parser.add_argument(
        "--variants", nargs="+", choices=nl.VARIANTS, metavar="V", help=f"some of {', '.join(nl.VARIANTS)}"
    )
    parser.add_argument(
        "--sizes", nargs="+", metavar="SIZE", help="each N, or BxNxMxDxE (default: what suits the machine)"
    )
    parser.add_argument("--dtype", nargs="+", choices=("float32", "float64"), help="(default: both)")
    parser.add_argument(
        "--backends",
        nargs="+",
        metavar="NAME",
        help="numpy, cupy, torch, jax, array_api_strict, with :device where one is chosen, as cupy:1 or torch:cuda",
    )
    parser.add_argument("--direction", nargs="+", choices=("forward", "both"), help="what is timed (default: each)")
    parser.add_argument("--seed", type=int, help="of the numbers that go in (default: 0)")
    for option, what in FILES.items():
        parser.add_argument(f"--{option}", metavar="FILE", type=Path, help=f"write the report: {what}")
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="begin no new case after that (default: no limit where sizes or backends are named, "
        f"otherwise {SECONDS[False]:g}, with a GPU {SECONDS[True]:g})",
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes, shorter timings")
    parser.add_argument("--require-gpu", action="store_true", help=f"exit with {NO_GPU} where no GPU was compared")
    parser.add_argument(
        "--diff",
        nargs=2,
        metavar=("A.json", "B.json"),
        type=Path,
        help="compare two JSON reports instead; takes no other option",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compare, print, write; an interruption writes what there is."""
    from nonlocal_ref.comparison import interruption
    from nonlocal_ref.comparison.comparing import Comparison
    from nonlocal_ref.comparison.interruption import remembered
    from nonlocal_ref.comparison.terminal import paragraph, to_terminal
    from nonlocal_ref.machine.gpu import find_gpu

    if args.diff:
        check_alone(args)
        return show_differences(*args.diff)
    check_files(args)
    if args.seconds is not None and not args.seconds > 0:
        fail("compare", f"argument --seconds: must be more than 0, got {args.seconds:g}")
    no_wish = args.sizes is None and args.backends is None
    try:
        with remembered():  # libraries are imported here, which takes a while
            comparison = Comparison(
                *(args.variants, args.sizes, args.dtype, args.backends, args.direction),
                quick=args.quick,
                seed=args.seed or 0,
                command=["nonlocal-ref", *command_line()],
            )
            interruption.check()
    except (TypeError, ValueError) as error:
        if args.require_gpu and isinstance(error, BackendUnavailableError) and not (gpu := find_gpu()):
            show(paragraph(f"No GPU found: {gpu.reason}; {error}.", terminal_width()))
            return NO_GPU
        fail("compare", str(error), error)
    comparison.seconds = SECONDS[bool(comparison.gpu)] if no_wish and args.seconds is None else args.seconds
    gpus = [backend.name for backend in comparison.backends if backend.on_gpu]
    if not comparison.gpu:
        show(paragraph(f"No GPU found: {comparison.gpu.reason}.", terminal_width()))
    elif args.require_gpu and not gpus:
        show(f"No GPU asked for: --require-gpu, and --backends names none ({', '.join(args.backends)}).")
    if args.require_gpu and not gpus:
        return NO_GPU
    try:
        with remembered(), optional_bar("compare") as tick:
            comparison.run(keeping(args.json, comparison, tick))
    finally:  # whatever happened, what was found is not lost
        report = comparison.report()
        lines = write_report(args, report)
        show(to_terminal(report, terminal_width(), shown=0 if comparison.gpu else 1), *lines.written)
        if lines.troubles:
            fail("compare", "; ".join(lines.troubles))
    if (
        args.require_gpu
        and not report["failed"]
        and not any(row["pass"] for row in report["rows"] if row["backend"] in gpus)
    ):
        show(f"No GPU compared: no row of {', '.join(gpus)} could be tried, see the reasons above.")
        return NO_GPU
    return 0 if report["ok"] else 1


def check_files(args: argparse.Namespace) -> None:
    """Leave with one line where a file cannot be written, or one would overwrite another."""
    seen: dict[Path, str] = {}
    for option in FILES:
        path = getattr(args, option)
        if path is not None:
            check_file("compare", f"--{option}", path)
            other = seen.setdefault(path.resolve(), option)
            if other != option:
                fail("compare", f"argument --{option}: must be another file than that of --{other}, got {str(path)!r}")


def check_alone(args: argparse.Namespace) -> None:
    """Leave with one line where something else was asked for beside --diff: nobody would look at it."""
    for option in (
        *("variants", "sizes", "dtype", "backends", "direction", "seed", "seconds"),
        *FILES,
        "quick",
        "require_gpu",
    ):
        wish = getattr(args, option)
        if wish is not None and wish is not False:  # 0 is a wish
            name = option.replace("_", "-")
            fail(
                "compare",
                f"argument --{name}: does not go with --diff, which prints how two reports differ",
            )


def terminal_width() -> int | None:
    """Columns of the terminal, or what COLUMNS says; None where nothing is said, as in a pipe."""
    return shutil.get_terminal_size((0, 0)).columns or None


def command_line() -> list[str]:
    """The words after the program's name, as far as they belong to this command."""
    return sys.argv[1:] if "compare" in sys.argv[1:2] else ["compare"]


def keeping(path: Path | None, comparison: "Comparison", tick: Tick) -> Tick:
    """The tick; every few seconds it also writes the JSON so far: whoever ends this process by force leaves that."""
    from nonlocal_ref.comparison import to_json

    written = time.monotonic()

    def tick_and_keep(done: int, total: int) -> None:
        nonlocal written
        tick(done, total)
        if path is not None and not is_special(path) and time.monotonic() - written >= KEEP:  # a pipe gets one report
            with suppress(UsageError):  # the last report says what was wrong
                write_files("compare", "--json", {path: to_json(comparison.report()).encode()})
            written = time.monotonic()

    return tick_and_keep


class Lines(NamedTuple):
    """What to say about the files: those written, and those that could not be."""

    written: list[str]
    troubles: list[str]


def write_report(args: argparse.Namespace, report: dict[str, Any]) -> Lines:
    """Every file that was asked for; where one cannot be written the others are, and the JSON is kept elsewhere."""
    from nonlocal_ref.comparison import to_html, to_json, to_markdown

    lines = Lines([], [])
    for option, render in {"json": to_json, "md": to_markdown, "html": to_html}.items():
        path = getattr(args, option)
        if path is not None:
            try:
                write_files("compare", f"--{option}", {path: render(report).encode(errors="replace")})
                lines.written.append(f"written: {path}")
            except UsageError as error:
                lines.troubles.append(str(error).partition("error: ")[2])
    if lines.troubles:
        lines.troubles.append(kept_elsewhere(to_json(report)))
    return lines


def kept_elsewhere(text: str) -> str:
    """The report in the folder for temporary files, in words; where that is full as well there is what is printed."""
    place = None
    try:
        with tempfile.NamedTemporaryFile("w", prefix="nonlocal-ref-compare-", suffix=".json", delete=False) as file:
            place = Path(file.name)
            file.write(text)
    except OSError as error:
        with suppress(OSError):
            if place is not None:
                place.unlink()
        return f"nor can the report be kept elsewhere: {error.strerror}; what is printed has its tables"
    return f"the report is kept in {place}"


def show_differences(*files: Path) -> int:
    """Two reports side by side; 1 where a row of the second one fails, or no row stands in both."""
    from nonlocal_ref.comparison import ReportError, differences, read_report
    from nonlocal_ref.comparison.differences import differences_text

    try:
        before, after = (read_report(file) for file in files)
    except ReportError as error:
        fail("compare", f"argument --diff: {error}", error)
    found = differences(before, after)
    show(differences_text(found, terminal_width()))
    return 0 if found["common"] and not found["failing"] else 1
