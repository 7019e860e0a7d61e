"""``nonlocal-ref check``: somebody's operation or block against this package, with the mistake by name."""

import argparse
from pathlib import Path
from typing import Any

import nonlocal_ref as nl
from nonlocal_ref.cli.output_files import check_file, write_files
from nonlocal_ref.cli.printing import show
from nonlocal_ref.cli.usage import fail, number, whole_number
from nonlocal_ref.params import DOMAINS, PRESETS

DESCRIPTION = """\
Hold an implementation of the non-local operation, eq. (1), or of the block, eq. (6), against this package: its value,
and its gradients if it has any.  What is wrong is named where it is a known mistake.

MODULE:NAME is found as by an import statement, from the current folder too.  What it takes tells what it is:

  (theta, phi, g)    an operation: (B, N, D), (B, M, D), (B, M, E) -> (B, N, E);
                     concatenation takes w_f as well
  (x, params)        a block, with the parameters under our keys;
                     (x) alone needs --params
  a torch.nn.Module  either; its parameters are found by their names
  a class            its instance is checked; its one argument is the channels,
                     others come from --with
  ()                 a function that makes one of these

It returns the value, or (value, backward); a layer has forward and backward, a pair is given with --backward.
Exit codes: 0 right; 1 wrong; 2 it cannot be found or made, or options do not fit.
"""
EXAMPLES = """\
examples:
  nonlocal-ref check my_block:attention --variant embedded_gaussian
  nonlocal-ref check my_block:forward --backward backward --variant dot_product
  nonlocal-ref check my_block:block --variant gaussian --dims 2 --norm none
  nonlocal-ref check my_net:Block --variant gaussian --preset mmcv --with c=8
"""


def add_check(commands: Any) -> None:
    """Declare the command and its arguments."""
    parser = commands.add_parser(
        "check",
        help="is your own operation or block right?",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    parser.add_argument("what", metavar="MODULE:NAME", help="what to check")
    parser.add_argument(
        "--variant", required=True, choices=nl.VARIANTS, metavar="V", help=f"one of {', '.join(nl.VARIANTS)}"
    )
    parser.add_argument(
        "--backward", metavar="NAME", help="the way back of a pair: y, cache = forward(...), backward(dy, cache)"
    )
    parser.add_argument(
        "--form", choices=("torch", "jax"), help="a function of this library's arrays; it differentiates"
    )
    parser.add_argument(
        *("--with",),
        dest="arguments",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="arguments of a class or a factory",
    )
    parser.add_argument(
        "--scale", type=scale, help="factor of the logits: a number, or inner for D ** -0.5 (default: none)"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, help="of the example (default: %(default)s)")
    parser.add_argument(
        "--backend", default="numpy", metavar="NAME", help="library of the arrays, as torch or cupy:1 (default: numpy)"
    )
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="(default: %(default)s)")
    parser.add_argument(
        "--ratio", type=number(0, float("inf")), default=30.0, help="error ratio that is right (default: %(default)g)"
    )
    parser.add_argument(
        "--sizes", nargs="+", default=[], metavar="N=5", help="sizes of an operation's axes B, N, M, D, E"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the report as JSON")
    add_block_options(parser.add_argument_group("a block", "which one it is meant to be; the fields of BlockConfig"))
    parser.set_defaults(run=run)


def add_block_options(group: Any) -> None:
    """Those that say which block; where its signature does not tell, any of them says that it is one."""
    group.add_argument("--block", action="store_true", help="it is a block, where that cannot be seen")
    group.add_argument("--preset", choices=tuple(PRESETS), help="a published one; options below win (default: paper)")
    group.add_argument("--channels", type=whole_number(1), help="(default: those of a module, or 4)")
    group.add_argument(
        "--dims", type=int, choices=(1, 2, 3), help="axes of space and time (default: those of a module, or 3)"
    )
    group.add_argument("--inner-channels", type=whole_number(1), help="(default: half of the channels)")
    group.add_argument(
        "--subsample", type=subsample, metavar="yes|no|1,2,2", help="pool phi and g, by which kernel (default: yes)"
    )
    group.add_argument(
        "--pool-order", choices=("after", "before"), help="pool phi and g, or x before them (default: after)"
    )
    group.add_argument("--norm", choices=("batch", "affine", "none"), help="after W_z (default: batch)")
    group.add_argument("--domain", choices=DOMAINS, help="which positions see each other (default: spacetime)")
    group.add_argument(
        "--frame-group", type=whole_number(1), metavar="T", help="groups of frames that do not see each other"
    )
    group.add_argument(
        "--no-bias", dest="bias", action="store_false", default=None, help="theta, phi, g, w_z have none"
    )
    group.add_argument("--eps", type=number(0, float("inf")), help="of batch norm (default: 1e-5)")
    group.add_argument(
        "--params", metavar="FILE", type=Path, help=".npz or .safetensors with its parameters, under our keys"
    )
    group.add_argument("--shape", type=whole_numbers, metavar="B,C,...", help="of x, where it does not take any")
    group.add_argument(
        "--keys", metavar="ROW", help="whose names a module's parameters have, as mmcv (default: found out)"
    )
    group.add_argument(
        "--training",
        action=argparse.BooleanOptionalAction,
        help="batch norm by the batch (default: a module both ways, else no)",
    )
    group.add_argument(
        "--no-identity", dest="identity", action="store_false", default=None, help="a fresh module need not give back x"
    )


def run(args: argparse.Namespace) -> int:
    """Check, print, write; 1 where something is wrong."""
    from nonlocal_ref.cli.check.report_file import to_json
    from nonlocal_ref.cli.check.subject import check

    if args.json is not None:
        check_file("check", "--json", args.json)
    try:
        report = check(args)
    except SystemExit as error:
        fail("check", f"{args.what} left the program (SystemExit: {error.code})", error)
    show(report)
    if args.json is not None:
        write_files("check", "--json", {args.json: to_json(report, args.what, args.variant).encode()})
        show(f"written: {args.json}")
    return 0 if report else 1


def scale(text: str) -> float | str:
    """A number, or "inner"; whether the number will do is said by the check."""
    if text == "inner":
        return text
    try:
        return float(text)
    except ValueError:
        msg = f"must be a number or inner, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def subsample(text: str) -> bool | tuple[int, ...]:
    """Yes, no, or a kernel."""
    return {"yes": True, "no": False}[text] if text in {"yes", "no"} else whole_numbers(text)


def whole_numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them, as in 2,3,4."""
    return tuple(int(whole_number(1)(word)) for word in text.split(","))
