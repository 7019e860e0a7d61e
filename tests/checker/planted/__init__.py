"""Mistakes as people make them in backwards of their own, and the right twin of each.

`PLANTED` are those that were in sight while the diagnosis was written, `HELD_OUT` those that were not.
"""

from tests.checker.planted import (
    attention,
    closures,
    dot_and_concatenation,
    layers,
    multi_head,
    networks,
    norms,
    our_block,
    recurrent,
    user_block,
)
from tests.checker.planted.held_out import held_out_attention, held_out_blocks, held_out_layers

SHOWN = (
    attention,
    dot_and_concatenation,
    layers,
    norms,
    recurrent,
    closures,
    user_block,
    our_block,
    multi_head,
    networks,
)
HIDDEN = (held_out_attention, held_out_layers, held_out_blocks)

PLANTED = tuple(mistake for module in SHOWN for mistake in module.MISTAKES)
HELD_OUT = tuple(mistake for module in HIDDEN for mistake in module.MISTAKES)
