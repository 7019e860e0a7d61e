"""Which names of a state dict are which of our parameters, and which fit nothing."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import is_array_api_obj

from nonlocal_ref.arguments import check_choice
from nonlocal_ref.params import BlockConfig, param_shapes
from nonlocal_ref.testing.conventions import CONVENTIONS, COUNTER, Convention

PLACES = {  # where a key that the config has no parameter for would belong
    "theta": "a variant other than 'gaussian'",
    "phi": "a variant other than 'gaussian'",
    "w_f": "variant='concatenation'",
    "bn": "norm='batch', or 'affine' where there are no running statistics",
}


class Match(NamedTuple):
    """Which names of a state are which of our keys."""

    shapes: dict[str, tuple[int, ...]]
    found: dict[str, tuple[str, ...]]  # our key -> full names, several where a module is registered twice
    zeros: tuple[str, ...]
    unused: tuple[str, ...]

    def values(self, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Our parameters, in our order and shapes."""
        found = {key: matrix(names[0], state[names[0]], self.shapes[key]) for key, names in self.found.items()}
        return {key: found[key] if key in found else np.zeros(shape) for key, shape in self.shapes.items()}


def find_convention(name: str) -> Convention:
    """The row of the table with that name."""
    check_choice("convention", name, CONVENTIONS)
    return CONVENTIONS[name]


def choose_convention(state: Mapping[str, Any], config: BlockConfig, prefix: str) -> Convention:
    """The row of the table that fits a block best: fewest keys missing, then fewest left over."""

    def misfit(rules: Convention) -> tuple[int, int]:
        found, unused = _find(state, rules, prefix)
        wanted = [key for key in param_shapes(config) if not _may_be_zero(key)]
        return len([key for key in wanted if key not in found]), len(unused)

    return min(CONVENTIONS.values(), key=misfit)


def match_names(state: Mapping[str, np.ndarray], config: BlockConfig, rules: Convention, prefix: str) -> Match:
    """Find every parameter of the config among the names under the prefix; ValueError names what does not fit."""
    shapes = param_shapes(config)
    found, unused = _find(state, rules, prefix)
    missing = [key for key in shapes if key not in found]
    needed = [key for key in missing if not _may_be_zero(key)]
    if needed:
        msg = (
            f"the state lacks {_spelled(needed, rules, prefix)} ({rules.title} names); "
            f"left over are {', '.join(unused) or 'none'}. Do variant, norm and prefix fit?"
        )
        raise ValueError(msg)
    for key, there in found.items():
        if key not in shapes:
            _refuse_unless_zero(key, there[0], state[there[0]], config)
            continue
        first, *others = (matrix(name, state[name], shapes[key]) for name in there)
        if any(not np.array_equal(first, other, equal_nan=True) for other in others):
            msg = f"{' and '.join(there)} are the same parameter, {key}, but their values differ"
            raise ValueError(msg)
    kept = {key: names for key, names in found.items() if key in shapes}
    return Match(shapes, kept, tuple(key for key in missing if _may_be_zero(key)), tuple(unused))


def unusable(state: Mapping[str, Any], rules: Convention, prefix: str) -> list[str]:
    """Names of parameters under which there is no array."""
    found, _ = _find(state, rules, prefix)
    return [name for names in found.values() for name in names if not is_array_api_obj(state[name])]


def nearest(state: Iterable[str], config: BlockConfig) -> str | None:
    """What a state without a whole block comes closest to, and what is missing of it; None where nothing is near."""
    names = list(state)
    wanted = [key for key in param_shapes(config) if not _may_be_zero(key)]
    weights = {f"{part}.weight" for part in ("theta", "phi", "g", "w_z")} & set(wanted)
    best, said = 0, None
    for rules in CONVENTIONS.values():
        for prefix in _prefixes(names, rules, weights):
            found, _ = _find(names, rules, prefix)
            missing = [key for key in wanted if key not in found]
            if 2 * len(weights & found.keys()) >= len(weights) and len(found) > best:
                best = len(found)
                said = f"{rules.title} names, prefix {prefix!r}, without {_spelled(missing, rules, prefix)}"
    return said


def _prefixes(names: list[str], rules: Convention, keys: Iterable[str]) -> list[str]:
    """Prefixes under which one of these keys is found."""
    found = set()
    for theirs in (name for key in keys for name in rules.names.get(key, ())):
        found |= {""} if theirs in names else set()
        end = f"{rules.separator}{theirs}"
        found |= {name.removesuffix(end) for name in names if name.endswith(end)}
    return sorted(found)


def _spelled(keys: Iterable[str], rules: Convention, prefix: str) -> str:
    """Our keys as their names, all that there are."""
    return ", ".join(
        " or ".join(_join(prefix, rules, name) for name in rules.names.get(key, (f"({key})",))) for key in keys
    )


def matrix(name: str, value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A value in our shape: trailing axes of length 1 are a convolution's kernel, a leading one is w_f's output."""
    trimmed = value.shape
    for came in (trimmed, trimmed[1:] if len(shape) == 1 and trimmed[:1] == (1,) else trimmed):
        if came[: len(shape)] == shape and all(size == 1 for size in came[len(shape) :]):
            return value.reshape(shape)
    msg = f"{name} must have shape {shape}, with a kernel of size 1 behind it or none, got {trimmed}"
    raise ValueError(msg)


def _find(state: Iterable[str], rules: Convention, prefix: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Our key -> its full names, and the names under the prefix that are nobody's."""
    start = _join(prefix, rules, "")
    inside = [name for name in state if name.startswith(start)]
    known = {_join(prefix, rules, name): key for key, names in rules.names.items() for name in names}
    found: dict[str, tuple[str, ...]] = {}
    for name in inside:
        if name in known:
            found[known[name]] = (*found.get(known[name], ()), name)
    return found, [name for name in inside if name not in known and not name.endswith(COUNTER)]


def blocks_of(state: Iterable[str], rules: Convention) -> list[str]:
    """Prefixes under which both g and W_z are found; every variant has them."""
    starts = []
    for key in ("g.weight", "w_z.weight"):
        names = rules.names[key]
        exact = {"" for name in state if name in names}
        ends = [f"{rules.separator}{name}" for name in names]
        starts.append(exact | {name.removesuffix(end) for name in state for end in ends if name.endswith(end)})
    return sorted(starts[0] & starts[1])


def _join(prefix: str, rules: Convention, name: str) -> str:
    return f"{prefix}{rules.separator}{name}" if prefix else name


def _may_be_zero(key: str) -> bool:
    return key.endswith(".bias") and not key.startswith("bn.")


def _refuse_unless_zero(key: str, name: str, value: np.ndarray, config: BlockConfig) -> None:
    """Refuse what the config has no place for; a bias of zeros is nothing, and may be dropped."""
    if _may_be_zero(key) and not np.any(value):
        return
    part = key.partition(".")[0]
    if key == "w_f.bias":
        hint = "w_f has no bias here unless it is zero; move c into theta.bias, as docs/differences.md (D10) shows"
    elif _may_be_zero(key) and part in {"theta", "phi", "g", "w_z"} and f"{part}.weight" in param_shapes(config):
        hint = "the config has bias=False, and it is not zero"
    else:
        hint = f"the config has no place for it, that would need {PLACES.get(part, 'another config')}"
    msg = f"{name} ({key}) cannot be read: {hint}"
    raise ValueError(msg)
