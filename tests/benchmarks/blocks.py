"""The whole block, eq. (6), against the same block in PyTorch: training mode, batch norm, keys pooled (1, 2, 2)."""

from typing import NamedTuple

import numpy as np

import nonlocal_ref as nl
from tests.benchmarks import torch_peers
from tests.benchmarks.candidates import cores
from tests.benchmarks.cases import VARIANTS
from tests.benchmarks.timing import in_turn, summary

EPS = float(np.finfo(np.float32).eps)


class BlockCase(NamedTuple):
    """A block at one place of the network."""

    place: str
    kind: str
    channels: int
    space: tuple[int, int, int]

    @property
    def label(self):
        return f"block {self.place} {self.kind}"

    @property
    def config(self):
        scale = "inner" if self.kind == "softmax" else None
        return nl.BlockConfig(self.channels, variant=VARIANTS[self.kind], scale=scale, subsample=(1, 2, 2))

    def draw(self, seed=0):
        """x, dz and parameters in the middle of training, float32."""
        rng = np.random.default_rng(seed)
        params = {key: value.astype(np.float32) for key, value in nl.init_params(self.config, rng=rng).items()}
        for key in ("bn.weight", "bn.bias"):
            params[key] = rng.standard_normal(self.channels, dtype=np.float32)
        x, dz = rng.standard_normal((2, 1, self.channels, *self.space), dtype=np.float32)
        return x, dz, params


def block_cases(quick):
    places = {"res3": (512, (4, 28, 28)), "res4": (1024, (4, 14, 14))}
    if quick:
        places = {"res3": (8, (2, 4, 4))}
    return [BlockCase(place, kind, *size) for place, size in places.items() for kind in VARIANTS]


def ours(config, params, x, dz, method):
    def call():
        z, backward = nl.block(x, params, config, training=True, method=method)
        return z, *backward(dz)

    return call, lambda outputs: outputs


def measure(case, rounds, pause):
    """A row of the table -> a dict for the JSON."""
    x, dz, params = case.draw()
    config = case.config
    wide = {key: value.astype(np.float64) for key, value in params.items()}
    exact = ours(config, wide, x.astype(np.float64), dz.astype(np.float64), "dense")[0]()
    made = {
        "auto": ours(config, params, x, dz, "auto"),
        "dense": ours(config, params, x, dz, "dense"),
    }
    titles = {"auto": "nonlocal_ref", "dense": "nonlocal_ref, dense", "torch": "PyTorch, nn.Module"}
    row = {
        "label": case.label,
        "place": case.place,
        "kind": case.kind,
        "channels": case.channels,
        "space": list(case.space),
        "candidates": {name: {"title": title} for name, title in titles.items()},
    }
    if torch_peers.torch_is_here():
        torch_peers.use_threads(cores())
        made["torch"] = torch_peers.block_call(config, params, x, dz)
    else:
        row["candidates"]["torch"]["skipped"] = "not measured: PyTorch is not installed"
    for name, (call, arrays) in made.items():
        errors = distances(arrays(call()), exact)
        row["candidates"][name] |= {"error": max(errors.values()), "errors": errors}
    for name, values in in_turn({name: call for name, (call, _) in made.items()}, rounds, pause).items():
        row["candidates"][name] |= summary(values)
    return row


def distances(got, exact):
    """|got - exact| / (eps |exact|) with Euclidean norms, of z, of dx and of every weight's gradient.

    Not of the biases: two of them have a gradient of exactly zero, where rounding is all there is.
    """
    z, dx, grads = got
    exact_z, exact_dx, exact_grads = exact
    pairs = {"z": (z, exact_z), "dx": (dx, exact_dx)}
    pairs |= {f"d {key}": (grads[key], exact_grads[key]) for key in exact_grads if key.endswith("weight")}
    return {
        name: float(f"{np.linalg.norm((a - b).ravel()) / (EPS * np.linalg.norm(b.ravel())):.3g}")
        for name, (a, b) in pairs.items()
    }
