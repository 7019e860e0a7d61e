"""Find a function by its name: ``"module:name"``."""

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any


def load_user_function(path: str) -> Callable[..., Any]:
    """The object that ``"module:name"`` names, imported with the current directory in reach.

    Parameters
    ----------
    path : str
        A module as in an import statement, a colon, a name in it: ``"my_block:forward"``, ``"my.net:Block.forward"``.

    Returns
    -------
    callable
        What is there.

    Raises
    ------
    ValueError
        If the text has another form, the module cannot be imported, or the name is not there or cannot be called.

    Notes
    -----
    Importing a module runs it.  The current directory is put first on ``sys.path``, and stays there, as for
    ``python -m``.

    Examples
    --------
    >>> from nonlocal_ref.testing import load_user_function
    >>> load_user_function("math:sqrt")(9.0)
    3.0
    """
    module_name, colon, name = str(path).partition(":")
    if not (module_name and colon and name) or module_name.startswith("."):
        msg = f"the function must be given as MODULE:NAME, as in my_block:forward, got {path!r}"
        raise ValueError(msg)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module may raise anything
        msg = f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ValueError(msg) from error
    try:
        found = reduce(getattr, name.split("."), module)
    except AttributeError as error:
        some = ", ".join(callables_in(module))
        msg = f"module {module_name!r} has no {name!r}; it has {some or 'nothing to call'}"
        raise ValueError(msg) from error
    if not callable(found):
        msg = f"{path!r} must be callable, got {type(found).__name__}"
        raise ValueError(msg)
    return found


def callables_in(holder: Any) -> list[str]:
    """Names of what a module, or something in it, has to be called: of classes only those made there, none imported."""
    module = getattr(holder, "__module__", None) or getattr(holder, "__name__", None)  # a module has no __module__
    found = {name: inspect.getattr_static(holder, name, None) for name in dir(holder) if not name.startswith("_")}
    own = [name for name, x in found.items() if not isinstance(x, type) or x.__module__ == module]
    return [name for name in own if callable(found[name])]
