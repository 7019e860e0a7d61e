"""Which blocks have golden vectors: every variant x dims x pooling x norm x domain that exists."""

from itertools import product
from typing import NamedTuple

from nonlocal_ref.pairwise import SOFTMAX_VARIANTS, VARIANTS
from nonlocal_ref.params import BlockConfig

BATCH, CHANNELS, INNER = 2, 4, 3  # inner is not half of C, so that D and C / 2 cannot be mixed up
SPACE = {1: (5,), 2: (5, 4), 3: (5, 3, 4)}  # with remainders when they are pooled, and never one key alone
POOLINGS = ("none", "after", "before")
NORMS: dict[str, tuple[str | None, bool]] = {  # name -> norm, training
    "batch-training": ("batch", True),
    "batch-running": ("batch", False),
    "affine": ("affine", False),
    "none": (None, False),
}
DOMAINS = {1: ("spacetime",), 2: ("spacetime",), 3: ("spacetime", "space", "time")}


class Case(NamedTuple):
    """One block on one input."""

    name: str
    config: BlockConfig
    training: bool
    shape: tuple[int, ...]


def all_cases() -> list[Case]:
    """Every case, in the order of the file."""
    return [
        make_case(variant, dims, domain, pooling, norm)
        for variant, dims in product(VARIANTS, (1, 2, 3))
        for domain, pooling, norm in product(DOMAINS[dims], POOLINGS, NORMS)
    ]


def make_case(variant: str, dims: int, domain: str, pooling: str, norm: str) -> Case:
    """One of them; with pooling first, the softmax variants are scaled as well, as in the authors' code."""
    norm_field, training = NORMS[norm]
    config = BlockConfig(
        CHANNELS,
        variant=variant,
        dims=dims,
        inner_channels=INNER,
        scale="inner" if pooling == "before" and variant in SOFTMAX_VARIANTS else None,
        subsample=False if pooling == "none" else (2, 1, 1) if domain == "time" else True,
        pool_order="before" if pooling == "before" else "after",
        norm=norm_field,
        domain=domain,
    )
    name = f"{variant}/{dims}d-{domain}/pool-{pooling}/norm-{norm}"
    return Case(name, config, training, (BATCH, CHANNELS, *SPACE[dims]))
