"""What a closure keeps: found by walking it, so that "Keeps:" in a docstring can be held to."""

from functools import partial

from array_api_compat import is_array_api_obj


def saved_arrays(backward):
    """All arrays that a closure can reach through what it captured: cells, defaults, partials, tuples, lists, dicts."""
    found, seen, waiting = [], set(), [backward]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if is_array_api_obj(thing):
            found.append(thing)
        elif isinstance(thing, (tuple, list)):
            waiting += thing
        elif isinstance(thing, dict):
            waiting += thing.values()
        elif isinstance(thing, partial):
            waiting += [thing.func, thing.args, thing.keywords]
        elif callable(thing) and hasattr(thing, "__closure__"):
            waiting += [cell.cell_contents for cell in thing.__closure__ or ()]
            waiting += [thing.__defaults__ or (), thing.__kwdefaults__ or {}]
    return found
