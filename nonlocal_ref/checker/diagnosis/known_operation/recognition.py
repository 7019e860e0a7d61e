"""Whether the operation is one that we know: its value is that of eq. (1), or of the block of eq. (6)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, permutations, product
from math import prod

import numpy as np

from nonlocal_ref.checker.diagnosis.constants import Constants
from nonlocal_ref.checker.diagnosis.known_operation.mistakes import Mistake, mistakes
from nonlocal_ref.checker.diagnosis.known_operation.pieces import (
    RIGHT,
    Kernel,
    Paths,
    Piece,
    Pieces,
    block,
    merge_heads,
    operation,
    split_heads,
    weights_of,
)
from nonlocal_ref.checker.leaves import Leaf, Values
from nonlocal_ref.params import BlockConfig, param_shapes

NEAR = 1e-8
HEADS = (2, 3, 4, 8)
Run = Callable[[Pieces], tuple[np.ndarray, Callable[[np.ndarray], Paths]]]
Known = tuple[Run, float | None, list[str], list[str]]  # with its scale, what that goes to, what has positions


@dataclass
class Recognised:
    """An operation as we write it; gradients and their paths are found by the names of the arrays."""

    run: Run
    cotangents: np.ndarray
    scale: float | None
    scaled: frozenset[str]  # the arrays that the scale goes to, and nothing else
    positions: frozenset[str]  # the arrays with an axis of positions, which no sum goes over
    _gradients: dict[int, list[Paths]] = field(default_factory=dict)

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """What may be wrong in it."""
        return mistakes()

    @cached_property
    def right(self) -> list[Paths]:
        """Every path of every gradient, right, for the scene's cotangents."""
        backward = self.run(RIGHT)[1]
        return [backward(u) for u in self.cotangents]

    def wrong(self, number: int) -> list[Paths]:
        """The same with one mistake."""
        if number not in self._gradients:
            backward = self.run(self.mistakes[number].pieces)[1]
            try:
                self._gradients[number] = [backward(u) for u in self.cotangents]
            except ValueError:  # the shapes of this mistake do not fit here, so it was not made
                self._gradients[number] = []
        return self._gradients[number]


def recognise(
    leaves: tuple[Leaf, ...], values: Values, y: np.ndarray, cotangents: np.ndarray, constants: Constants
) -> Recognised | None:
    """The first known operation that gives y; None if there is none."""
    arrays = {leaf.name: x for leaf, x in zip(leaves, values, strict=True) if leaf.floating and x.size}
    known = chain(_blocks(leaves, values, constants), _operations(arrays, y, constants))
    for run, scale, scaled, positions in known:
        try:
            found, _ = run(RIGHT)
        except (ValueError, IndexError):  # these shapes do not fit that operation
            continue
        size = float(np.max(np.abs(y), initial=0.0))
        if found.shape == y.shape and np.max(np.abs(found - y), initial=0.0) <= NEAR * size:
            return Recognised(run, cotangents, scale, frozenset(scaled), frozenset(positions))
    return None


def _blocks(leaves: tuple[Leaf, ...], values: Values, constants: Constants) -> Iterator[Known]:
    """x and a dict of parameters with our keys, under the config that was given or one that fits the shapes."""
    named = {str(leaf.key): (leaf.name, x) for leaf, x in zip(leaves, values, strict=True) if leaf.key is not None}
    inputs = [
        (leaf.name, x)
        for leaf, x in zip(leaves, values, strict=True)
        if leaf.key is None and leaf.floating and x.ndim > 2
    ]
    if not {"g.weight", "w_z.weight"} <= named.keys() or len(inputs) != 1:
        return
    if any(named[key][1].ndim != 2 for key in ("g.weight", "w_z.weight")):  # kernels of convolutions, (out, in, 1, 1)
        return
    x_name, x = inputs[0]
    params = {key: value for key, (_, value) in named.items()}
    names = {"x": x_name} | {key: name for key, (name, _) in named.items()}
    scaled = [names[key] for key in names if key.startswith(("theta.", "phi."))]
    for config, training in product(constants.configs or list(_configs(x, params)), (False, True)):
        if param_shapes(config).keys() <= params.keys():
            run = _named(_block_run(config, x, params, training=training), names)
            yield run, config.scale_factor, scaled, [x_name]


def _block_run(config: BlockConfig, x: np.ndarray, params: dict[str, np.ndarray], *, training: bool) -> Run:
    return lambda pieces: block(pieces, config, x, params, training=training)


def _named(run: Run, names: dict[str, str]) -> Run:
    """The same with gradients by the names of the arrays."""

    def renamed(pieces: Pieces) -> tuple[np.ndarray, Callable[[np.ndarray], Paths]]:
        y, backward = run(pieces)
        return y, lambda u: {names[key]: paths for key, paths in backward(u).items() if key in names}

    return renamed


def _configs(x: np.ndarray, params: dict[str, np.ndarray]) -> Iterator[BlockConfig]:
    """Configs that fit the keys and shapes of somebody's own block."""
    inner, channels = params["g.weight"].shape
    variants = ("concatenation",) if "w_f.weight" in params else ("embedded_gaussian", "dot_product")
    variants = variants if "theta.weight" in params else ("gaussian",)
    norm = None if "bn.weight" not in params else "batch" if "bn.running_var" in params else "affine"
    for variant, subsample, order in product(variants, (True, False), ("after", "before")):
        for scale in (None, "inner") if variant.endswith("gaussian") else (None,):
            if x.ndim <= 5 and (subsample or order == "after"):
                yield BlockConfig(
                    channels,
                    variant=variant,
                    dims=x.ndim - 2,
                    inner_channels=inner,
                    scale=scale,
                    subsample=subsample,
                    pool_order=order,
                    norm=norm,
                    bias="g.bias" in params,
                )


@dataclass(frozen=True)
class Source:
    """Where theta, phi or g comes from: an array, or W times it."""

    array: str
    weight: str | None = None
    inputs_first: bool = False  # W (C, D), used as x W
    bias: str | None = None


@dataclass(frozen=True)
class Roles:
    """Which array is what."""

    theta: Source
    phi: Source
    g: Source | None = None
    w_f: str | None = None
    w_z: Source | None = None  # what it is applied to has no name
    residual: bool = False
    heads: int = 1


def _operations(arrays: dict[str, np.ndarray], y: np.ndarray, constants: Constants) -> Iterator[Known]:
    """Eq. (1), or f / C(x) alone, on the arrays in every order that their shapes allow."""
    values = Parts(arrays)
    for roles in _roles(arrays):
        theta, phi, g = roles.theta, roles.phi, roles.g
        try:
            first, second = (values.of(source) for source in (theta, phi))
            third = None if g is None else values.of(g)
        except ValueError:  # a weight that does not fit
            continue
        if (
            min(first.ndim, second.ndim) < 2
            or first.shape[-1] != second.shape[-1]
            or first.shape[:-2] != second.shape[:-2]
        ):
            continue
        if third is not None and third.shape[:-1] != second.shape[:-1]:
            continue
        if any(x is not None and x.shape[-1] % roles.heads for x in (first, third)):
            continue
        pairs = (*first.shape[:-1], second.shape[-2])
        for kernel in _kernels(first, second, third, y, constants, pairs, roles):
            if not values.may_give(y, roles, kernel):
                continue
            ends = {source.weight or source.array for source in (theta, phi)}
            through = set() if g is None else {g.weight or g.array}
            positions = [source.array for source in (theta, phi, g) if source is not None]
            positions = [] if kernel.variant == "product" else positions
            yield _operation_run(roles, kernel, arrays), kernel.scale, sorted(ends - through), positions


def _roles(arrays: dict[str, np.ndarray]) -> Iterator[Roles]:
    """Every way in which the arrays may be theta, phi, g, w_f, or x and its weights."""
    if len(arrays) == 1:
        (x,) = map(Source, arrays)
        yield from (Roles(x, x, x), Roles(x, x, x, residual=True), Roles(x, x))
    for order in permutations(arrays) if len(arrays) <= 4 else ():
        one, *others = map(Source, order)
        match others:
            case [two]:
                yield from (Roles(one, two), Roles(one, two, two))
            case [two, three]:
                yield from (Roles(one, two, three), Roles(one, two, w_f=three.array))
            case [two, three, four] if arrays[four.array].ndim == 1:
                yield Roles(one, two, three, w_f=four.array)
    yield from _own_blocks(arrays)
    yield from _shared_embeddings(arrays)


def _own_blocks(arrays: dict[str, np.ndarray]) -> Iterator[Roles]:
    """x and three or four matrices in any order; biases, all or that of the last, in the order of their matrices."""
    inputs = [name for name in arrays if arrays[name].ndim > 2]
    weights = [name for name in arrays if arrays[name].ndim == 2]
    biases = [name for name in arrays if arrays[name].ndim == 1]
    if len(weights) == len(arrays) > 3:  # x (N, C) is a matrix as well
        inputs = weights
    elif len(inputs) != 1 or len(inputs + weights + biases) != len(arrays):
        return
    for x in inputs:
        matrices = [name for name in weights if name != x]
        if len(matrices) not in {3, 4} or len(biases) not in {0, 1, len(matrices)}:
            continue
        of_all = dict(zip(matrices, biases, strict=True)) if len(biases) == len(matrices) else {}
        for ordered, turned, residual in product(permutations(matrices), (False, True), (False, True)):
            sources = [Source(x, name, turned, of_all.get(name)) for name in ordered]
            if len(biases) == 1:
                sources[-1] = Source(x, ordered[-1], turned, biases[0])
            theta, phi, g, *w_z = sources
            whole = Roles(theta, phi, g, w_z=w_z[0] if w_z else None, residual=residual)
            yield whole
            width = arrays[ordered[0]].shape[int(turned)]
            yield from (replace(whole, heads=heads) for heads in HEADS if heads < width and width % heads == 0)


def _shared_embeddings(arrays: dict[str, np.ndarray]) -> Iterator[Roles]:
    """x and two or three matrices, each stored in its own way: theta and phi have the same one."""
    if any(x.ndim < 2 for x in arrays.values()) or not 3 <= len(arrays) <= 4:
        return
    for x, *matrices in permutations(arrays):
        if any(arrays[name].ndim != 2 for name in matrices):
            continue
        for turned in product((False, True), repeat=len(matrices)):
            theta, g, *w_z = (Source(x, name, first) for name, first in zip(matrices, turned, strict=True))
            for residual in (False, True):
                yield Roles(theta, theta, g, w_z=w_z[0] if w_z else None, residual=residual)


class Parts:
    """What the values of many readings have in common, each computed once."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self.arrays = arrays
        self._embedded: dict[Source, np.ndarray] = {}
        self._weights: dict[tuple[Source, Source, int, str, float | None, bytes | None], np.ndarray] = {}

    def of(self, source: Source) -> np.ndarray:
        """W x + b, or x."""
        if source not in self._embedded:
            self._embedded[source] = self.applied(source, self.arrays[source.array])
        return self._embedded[source]

    def applied(self, source: Source, x: np.ndarray) -> np.ndarray:
        """W x + b for another x."""
        if source.weight is None:
            return x
        weight = self.arrays[source.weight]
        bias = 0.0 if source.bias is None else self.arrays[source.bias]
        return np.asarray(x @ (weight if source.inputs_first else weight.T) + bias)

    def may_give(self, y: np.ndarray, roles: Roles, kernel: Kernel) -> bool:
        """Whether y is near what this reading gives, for those with a weight; the others are few."""
        if roles.g is None or roles.theta.weight is None or roles.w_f is not None:
            return True
        g, heads = self.of(roles.g), roles.heads
        key = (
            roles.theta,
            roles.phi,
            heads,
            kernel.variant,
            kernel.scale,
            None if kernel.mask is None else kernel.mask.tobytes(),
        )
        if key not in self._weights:
            first, second = (self.split(source, heads) for source in (roles.theta, roles.phi))
            self._weights[key] = weights_of(RIGHT, kernel, first, second, None)[0]
        parts = self._weights[key] @ self.split(roles.g, heads)
        merged = parts if heads == 1 else merge_heads(parts, heads)[0]
        whole = merged.reshape(*self.of(roles.theta).shape[:-1], g.shape[-1])
        try:
            out = whole if roles.w_z is None else self.applied(roles.w_z, whole)
            found = out + self.arrays[roles.theta.array] if roles.residual else out
        except ValueError:  # a weight that does not fit
            return False
        return found.shape == y.shape and bool(np.allclose(found, y, rtol=1e-6, atol=1e-6 * np.max(np.abs(y))))

    def split(self, source: Source, heads: int) -> np.ndarray:
        """Leading axes as one, the heads among them."""
        x = self.of(source)
        flat = x.reshape(prod(x.shape[:-2]), *x.shape[-2:])
        return flat if heads == 1 else split_heads(flat, heads)[0]


def _for_each_head(mask: np.ndarray, heads: int) -> np.ndarray:
    """A mask (..., N, M) with one leading axis, which counts the heads."""
    return np.repeat(mask.reshape(-1, *mask.shape[-2:]), heads, axis=0)


def _kernels(
    theta: np.ndarray,
    phi: np.ndarray,
    g: np.ndarray | None,
    y: np.ndarray,
    constants: Constants,
    pairs: tuple[int, ...],
    roles: Roles,
) -> Iterator[Kernel]:
    """The kernels that may be meant: every known mask and scale."""
    masks: list[np.ndarray | None] = [None]
    for mask in constants.masks:
        try:
            masks.append(_for_each_head(np.broadcast_to(mask, pairs), roles.heads))
        except ValueError:  # not a mask of pairs
            continue
    if pairs[-1] == pairs[-2]:
        causal = np.tril(np.ones(pairs[-2:], dtype=np.bool_))
        masks.append(_for_each_head(np.broadcast_to(causal, pairs), roles.heads))
    depth = theta.shape[-1] // roles.heads
    scales = [None, depth**-0.5, 1 / depth, *(value for value in constants.numbers.values() if value not in {0, 1})]
    for mask in reversed(masks):
        if roles.w_f is not None:
            yield Kernel("concatenation", None, mask)
            continue
        yield from (Kernel("gaussian", scale, mask) for scale in scales)
        yield Kernel("dot_product", None, mask)
    if roles.w_f is None and roles.heads == 1 and roles.w_z is None and not roles.residual:
        scores = theta @ np.swapaxes(phi, -1, -2)
        plain = scores if g is None else scores @ g
        if plain.shape == y.shape and np.any(plain):
            factor = float(np.sum(plain * y) / np.sum(plain * plain))
            if abs(factor * pairs[-1] * depth**0.5 - 1) < NEAR:
                yield Kernel("dot_product", depth**-0.5)
            yield Kernel("product", factor)


def _operation_run(roles: Roles, kernel: Kernel, arrays: dict[str, np.ndarray]) -> Run:
    """Eq. (1) on these arrays; leading axes count as batch."""

    def run(pieces: Pieces) -> tuple[np.ndarray, Callable[[np.ndarray], Paths]]:
        flat, backwards, heads_backwards = {}, {}, {}
        sources = {name: getattr(roles, name) for name in ("theta", "phi", "g") if getattr(roles, name) is not None}
        for name, source in sources.items():
            x = arrays[source.array]
            value, backwards[name] = _embed(getattr(pieces, name), source, x, arrays)
            flat[name] = value.reshape(prod(x.shape[:-2]), *value.shape[-2:])
            if roles.heads > 1:
                flat[name], heads_backwards[name] = getattr(pieces, f"{name}_heads")(flat[name], roles.heads)
        w_f = None if roles.w_f is None else arrays[roles.w_f]
        y, operation_backward = operation(pieces, kernel, flat["theta"], flat["phi"], flat.get("g"), w_f)
        lead = arrays[roles.theta.array].shape[:-2]
        merged, merge_backward = (y, None) if roles.heads == 1 else pieces.merge(y, roles.heads)
        out, project_backward = merged, None
        if roles.w_z is not None:
            out, project_backward = _embed(pieces.w_z, roles.w_z, merged, arrays)
        shaped = out.reshape(*lead, *out.shape[-2:])
        whole = shaped + arrays[roles.theta.array] if roles.residual else shaped

        def backward(u: np.ndarray) -> Paths:
            found: Paths = {}
            dout = u.reshape(out.shape)
            if project_backward is not None:
                dout, dparams = project_backward(dout)
                found |= {array: {"": part} for array, part in dparams.items()}
            if merge_backward is not None:
                (dout,) = merge_backward(dout)
            gradients = operation_backward(dout)
            if roles.residual:
                found.setdefault(roles.theta.array, {})["residual"] = u
            for name, source in sources.items():
                (dpart,) = heads_backwards[name](gradients[name]) if heads_backwards else (gradients[name],)
                dx, dparams = backwards[name](dpart)
                for array, part in ((source.array, dx), *dparams.items()):
                    found.setdefault(array, {})[name] = part
            if roles.w_f is not None:
                found[roles.w_f] = {"": gradients["w_f"]}
            return found

        return whole, backward

    return run


def _embed(
    piece: Piece, source: Source, x: np.ndarray, arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, dict[str, np.ndarray]]]]:
    """W x + b, or x where there is no W.  backward(d) -> dx, the gradients by the names of the arrays."""
    if source.weight is None:
        return x, lambda d: (d.reshape(x.shape), {})
    weight, weight_name = arrays[source.weight], source.weight
    bias = () if source.bias is None else (arrays[source.bias],)
    value, piece_backward = piece(x, weight.T if source.inputs_first else weight, *bias)

    def backward(d: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        dx, dweight, *dbias = piece_backward(d.reshape(value.shape))
        found = {weight_name: dweight.T if source.inputs_first else dweight}
        return dx, found | ({source.bias: dbias[0]} if source.bias is not None else {})

    return value, backward
