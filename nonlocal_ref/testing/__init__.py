"""Hold any implementation of the non-local operation or block against this one, with or without a framework.

    is it right?                         operation_check.py: `check_operation`; block_check.py: `check_block`
    what people have -> (y, backward)    adapters.py, autodiff.py: `from_pair`, ..., `from_jax`
    a PyTorch module                     torch_module.py
    when two numbers count as equal      magnitudes.py, from rounding.py, rounded_operation.py, rounded_block.py
    what others got wrong                traps.py, `TRAPS`; readings.py computes it, diagnosis.py recognises it
    what comes out                       report.py
    parameters of other implementations  conventions.py, the table; name_matching.py, state_dict.py, export.py
    files of parameters                  weight_files.py, npz.py

Nothing here is a pytest plugin: these are functions that raise AssertionError with the whole report.
"""

from nonlocal_ref.testing.adapters import from_layer, from_loss, from_pair
from nonlocal_ref.testing.autodiff import from_jax, from_torch
from nonlocal_ref.testing.block_check import check_block
from nonlocal_ref.testing.conventions import CONVENTIONS
from nonlocal_ref.testing.export import export_state_dict
from nonlocal_ref.testing.idleness import idle_reasons
from nonlocal_ref.testing.operation_check import check_operation
from nonlocal_ref.testing.report import ConformanceError, ConformanceReport, Finding
from nonlocal_ref.testing.state_dict import StateReport, find_blocks, read_state_dict
from nonlocal_ref.testing.traps import TRAPS
from nonlocal_ref.testing.user_function import load_user_function
from nonlocal_ref.testing.weight_files import load_weights, save_weights

__all__ = [
    "CONVENTIONS",
    "TRAPS",
    "ConformanceError",
    "ConformanceReport",
    "Finding",
    "StateReport",
    "check_block",
    "check_operation",
    "export_state_dict",
    "find_blocks",
    "from_jax",
    "from_layer",
    "from_loss",
    "from_pair",
    "from_torch",
    "idle_reasons",
    "load_user_function",
    "load_weights",
    "read_state_dict",
    "save_weights",
]
