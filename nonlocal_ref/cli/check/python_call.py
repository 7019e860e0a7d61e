"""The call in Python that repeats a check: what the command line made of somebody's code, in one expression."""

import argparse
from dataclasses import fields
from typing import Any

from nonlocal_ref.cli.check.finding import Made, is_layer, read_pairs
from nonlocal_ref.params import BlockConfig
from nonlocal_ref.testing.torch_module import is_torch_module

USUAL = {"backend": "numpy", "dtype": "float64", "ratio": 30.0}  # is not said


def python_call(made: Made, args: argparse.Namespace, config: BlockConfig | None) -> str:
    """``check_operation(...)``, or ``check_block(...)`` where there is a config."""
    settings = {name: getattr(args, name) for name, usual in USUAL.items() if getattr(args, name) != usual}
    if config is None:
        sizes = {key: int(value) for key, value in read_pairs("--sizes", args.sizes).items()}
        given = {"scale": args.scale, "sizes": sizes or None}
        words = ["check_operation(" + adapter(made, args), repr(args.variant)]
    else:
        given = {name: getattr(args, name) for name in ("shape", "training", "keys", "identity")}
        words = ["check_block(" + adapter(made, args, block=True), config_call(config)]
        words += [f"load_weights({str(args.params)!r})"] if args.params is not None else []
    named = {name: value for name, value in given.items() if value is not None} | {"rng": args.seed} | settings
    return ", ".join([*words, *(f"{name}={value!r}" for name, value in named.items())]) + ")"


def adapter(made: Made, args: argparse.Namespace, *, block: bool = False) -> str:
    """What was handed in, in the form that the checks take."""
    if is_torch_module(made.thing):
        return made.text if block else f"from_torch({made.text}.{'double' if args.dtype == 'float64' else 'float'}())"
    if args.backward is not None:
        path = args.backward if ":" in args.backward else f"{args.what.partition(':')[0]}:{args.backward}"
        return f"from_pair({made.text}, {path.replace(':', '.')})"
    if args.form is not None:
        return f"from_{args.form}({made.text})"
    return f"from_layer({made.text})" if is_layer(made.thing) else made.text


def config_call(config: BlockConfig) -> str:
    """The config, with the fields that are not the usual ones."""
    usual: dict[str, Any] = {field.name: field.default for field in fields(config)}
    words = [f"{name}={value!r}" for name, value in vars(config).items() if value != usual[name]]
    return f"BlockConfig({', '.join(words)})"
