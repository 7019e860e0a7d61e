"""A PyTorch module as ``z, backward = op(x, params)``: a deep copy in float64, fed with our parameters.

The module itself is not touched: the copy is called through ``torch.func.functional_call``, which lends it tensors for
the parameters and takes them away again.
"""

import importlib
import sys
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from nonlocal_ref.backend import to_numpy
from nonlocal_ref.params import STATISTICS, BlockConfig
from nonlocal_ref.testing.adapters import Operation
from nonlocal_ref.testing.autodiff import tensor_gradients
from nonlocal_ref.testing.conventions import KEYS, OURS, Convention
from nonlocal_ref.testing.implementation import BrokenError
from nonlocal_ref.testing.name_matching import Match, blocks_of, choose_convention, find_convention, match_names
from nonlocal_ref.testing.state_dict import find_blocks, plain
from nonlocal_ref.wording import kind


def is_torch_module(x: Any) -> bool:
    """Whether ``x`` is an ``nn.Module``, without importing PyTorch for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(x, torch.nn.Module)


@dataclass(frozen=True)
class Module:
    """A copy of a PyTorch module, in float64, and where our parameters are in it."""

    copy: Any
    match: Match
    prefix: str  # where the block is in it, "" where it is the module itself
    own: dict[str, np.ndarray]  # the parameters it came with, under our keys

    @property
    def absent(self) -> set[str]:
        """Biases that it does not have; they are zero."""
        return set(self.match.zeros)

    @property
    def frozen(self) -> list[str]:
        """Parameters that do not ask for a gradient."""
        asks = {name: tensor.requires_grad for name, tensor in self.copy.named_parameters()}
        return [key for key, names in self.match.found.items() if not any(asks.get(name, True) for name in names)]

    def operation(self, *, training: bool) -> Operation:
        """Forward and back, with NumPy arrays outside and tensors inside."""
        torch = importlib.import_module("torch")
        state = {name: x for name, x in self.copy.state_dict().items() if isinstance(x, torch.Tensor)}
        where = next((tensor.device for tensor in state.values()), torch.device("cpu"))
        self.copy.train(training)

        def op(x: np.ndarray, params: dict[str, np.ndarray]) -> tuple[Any, Any]:
            x_tensor = torch.tensor(x, dtype=torch.float64, device=where, requires_grad=True)
            tensors = {}
            for key in self.match.found:
                shape = tuple(state[self.match.found[key][0]].shape)
                value = torch.tensor(params[key].reshape(shape), dtype=torch.float64, device=where)
                tensors[key] = value if key in STATISTICS else value.requires_grad_()
            lent = {name: tensors[key] for key, names in self.match.found.items() for name in names}
            with torch.enable_grad():
                z = torch.func.functional_call(self.copy, lent, (x_tensor,))
            x[...] = to_numpy(x_tensor)  # whoever changes the tensor changes the input
            if not isinstance(z, torch.Tensor):
                msg = f"the module must return a tensor, got {kind(z)}"
                raise BrokenError(msg)

            def backward(dz: np.ndarray) -> tuple[Any, dict[str, Any]]:
                trained = [key for key in tensors if key not in STATISTICS]
                dz_tensor = torch.tensor(dz, dtype=z.dtype, device=z.device)
                dx, *found = tensor_gradients(z, [x_tensor, *(tensors[key] for key in trained)], dz_tensor)
                grads = {
                    key: to_numpy(gradient).reshape(params[key].shape)
                    for key, gradient in zip(trained, found, strict=True)
                }
                return to_numpy(dx), grads

            return to_numpy(z), backward

        return op


def open_module(module: Any, config: BlockConfig, keys: str | dict[str, str] | None) -> Module:
    """Copy a module and find the parameters of ``config`` in it; ValueError where they do not fit together."""
    torch = importlib.import_module("torch")
    try:
        copy = deepcopy(module)
    except Exception as error:  # whatever the module keeps may refuse
        msg = f"the module cannot be copied (copy.deepcopy): {error}"
        raise ValueError(msg) from error
    copy = copy.to(torch.float64)
    tensors = {name: x for name, x in copy.state_dict().items() if isinstance(x, torch.Tensor)}
    state = {name: plain(name, tensor) for name, tensor in tensors.items()}
    prefix = _prefix(state, keys)
    match = match_names(state, config, _convention(state, config, keys, prefix), prefix)
    return Module(copy, match, prefix, match.values(state))


def _prefix(state: dict[str, np.ndarray], keys: Any) -> str:
    """Where the one block of a module is; names that were given are whole."""
    if not isinstance(keys, str | None):
        return ""
    places = find_blocks(state) if keys is None else blocks_of(state, find_convention(keys))
    if len(places) > 1 and "" not in places:
        some = ", ".join(map(repr, places))
        msg = f"the module has {len(places)} blocks, {some}; pass one of them: module.get_submodule({places[0]!r})"
        raise ValueError(msg)
    return places[0] if len(places) == 1 else ""


def _convention(state: dict[str, np.ndarray], config: BlockConfig, keys: Any, prefix: str) -> Convention:
    """The names that the module uses: by name, as a dict from ours to theirs, or found out."""
    if keys is None:
        return choose_convention(state, config, prefix)
    if isinstance(keys, str):
        return find_convention(keys)
    if not isinstance(keys, dict) or not all(isinstance(name, str) for pair in keys.items() for name in pair):
        msg = f"keys must be the name of a convention or a dict from our keys to the module's names, got {keys!r}"
        raise TypeError(msg)
    unknown = sorted(set(keys) - set(KEYS))
    if unknown:
        msg = f"keys must map our keys ({', '.join(KEYS)}) to the module's names, got {', '.join(unknown)}"
        raise ValueError(msg)
    return OURS._replace(title="the keys given", names={ours: (theirs,) for ours, theirs in keys.items()})
