"""From ``MODULE:NAME`` to the object that is checked: found, and made where it is a class or a factory."""

import ast
import inspect
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import reduce
from typing import Any, NamedTuple

from nonlocal_ref.blame import in_one_line
from nonlocal_ref.cli.usage import fail
from nonlocal_ref.testing import load_user_function
from nonlocal_ref.testing.torch_module import is_torch_module
from nonlocal_ref.testing.user_function import callables_in


def find(argument: str, path: str) -> Any:
    """What is there; one line where it is not."""
    try:
        return load_user_function(path)
    except ValueError as error:
        cause = error.__cause__
        if cause is None and is_layer(
            there := look_up(path)
        ):  # an object with forward and backward need not be callable
            return there
        message = str(error)
        if isinstance(cause, AttributeError):
            near = get_close_matches(str(cause.name), callables_in(cause.obj), n=3)
            message += f"; did you mean {' or '.join(near)}?" if near else ""
        elif cause is not None:
            module = path.partition(":")[0]
            message = f"module {module!r} cannot be imported: {in_one_line(cause)}"
            if isinstance(cause, ModuleNotFoundError) and (module.endswith(".py") or "/" in module):
                message += "; give the module's name, not its file: my_block:forward"
        fail("check", f"argument {argument}: {message}", error)


def look_up(path: str) -> Any:
    """What a module that was imported has under that name; None where there is nothing."""
    module, _, name = path.partition(":")
    return reduce(lambda found, key: getattr(found, key, None), name.split("."), sys.modules.get(module))


def is_layer(found: Any) -> bool:
    """Whether it is an object with its own forward and backward."""
    return not is_torch_module(found) and all(callable(getattr(found, name, None)) for name in ("forward", "backward"))


class Made(NamedTuple):
    """What is checked, and the Python that makes it."""

    thing: Any
    text: str


def make(path: str, found: Any, given: Mapping[str, Any], channels: int) -> Made:
    """The object itself: of a class an instance, of a function without arguments (or with --with) what it returns."""
    takes, text = required(found), path.replace(":", ".")
    if not (isinstance(found, type) or given or takes == []):
        return Made(found, text)
    missing = [name for name in takes or () if name not in given]
    only_first = isinstance(found, type) and takes is not None and missing == takes[:1]
    first = (channels,) if only_first and missing else ()  # what a block cannot do without is its channels
    if len(missing) > len(first):
        words = " ".join(f"{name}=..." for name in missing)
        fail("check", f"{path} needs {', '.join(missing)}: give {words} with --with")
    try:
        written = [*map(str, first), *(f"{key}={value!r}" for key, value in given.items())]
        return Made(found(*first, **given), f"{text}({', '.join(written)})")
    except Exception as error:  # whatever their code raises
        fail("check", f"{path} cannot be made: {in_one_line(error)}", error)


def required(found: Callable[..., Any]) -> list[str] | None:
    """Names of the arguments that a call needs; None where that is not known, as for builtins, or is any number."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]


def read_pairs(argument: str, words: list[str]) -> dict[str, Any]:
    """KEY=VALUE ... as a dict; a value is what Python reads it as, or else text."""
    found = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key.isidentifier() and equals):
            fail("check", f"argument {argument}: must be KEY=VALUE, got {word!r}")
        try:
            found[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            found[key] = text
    return found
