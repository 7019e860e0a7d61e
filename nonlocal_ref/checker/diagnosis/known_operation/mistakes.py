"""The usual mistakes, the likely ones first: a proposal, and the pieces with which it comes true."""

from dataclasses import dataclass, replace
from typing import Any

from nonlocal_ref.checker.diagnosis.known_operation import wrong_block, wrong_pairwise
from nonlocal_ref.checker.diagnosis.known_operation.pieces import RIGHT, Piece, Pieces
from nonlocal_ref.checker.diagnosis.known_operation.wrong_pairwise import Wrong
from nonlocal_ref.checker.report import Cause

LINEAR = ("theta", "phi", "g", "w_z")
HEADS = ("theta_heads", "phi_heads", "g_heads")


@dataclass(frozen=True)
class Mistake:
    """A proposal, and the pieces with which it comes true."""

    name: Cause
    text: str
    pieces: Pieces


def with_backward(piece: Piece, wrong: Wrong) -> Piece:
    """The piece, with wrong(right, d, *inputs) for a backward."""

    def spoiled(*args: Any) -> tuple[Any, Any]:
        y, right = piece(*args)
        return y, lambda *d: wrong(right, *d, *args)

    return spoiled


IN_ONE_PIECE: tuple[tuple[Cause, str, tuple[Wrong, ...]], ...] = (
    ("stale_value", "softmax", (wrong_pairwise.softmax_of_the_scores,)),
    ("index_ignored", "softmax", (wrong_pairwise.softmax_without_mask,)),
    (
        "permuted",
        "product",
        (
            wrong_pairwise.product_dphi_not_transposed,
            wrong_pairwise.product_dtheta_transposed,
            wrong_pairwise.product_ds_transposed,
        ),
    ),
    ("another_argument", "product", (wrong_pairwise.product_exchanged,)),
    ("stale_value", "product", (wrong_pairwise.product_theta_for_phi,)),
    ("constant_factor", "mean", (wrong_pairwise.count_forgotten,)),
    (
        "index_ignored",
        "mean",
        (wrong_pairwise.mask_forgotten, wrong_pairwise.mask_in_the_count_alone, wrong_pairwise.mask_not_in_the_count),
    ),
    ("index_ignored", "relu", (wrong_pairwise.gate_open, wrong_pairwise.gate_turned)),
    ("missing_sum", "pairs", (wrong_pairwise.sums_exchanged, wrong_pairwise.sums_of_one)),
    ("permuted", "split", (wrong_pairwise.halves_exchanged, wrong_pairwise.halves_read_exchanged)),
    ("permuted", "merge", (wrong_pairwise.heads_split_by_reshape,)),
    ("permuted", "weigh", (wrong_pairwise.dg_not_transposed,)),
    ("stale_value", "weigh", (wrong_pairwise.dg_of_scores, wrong_pairwise.dweights_of_y)),
    (
        "index_ignored",
        "weigh",
        (wrong_pairwise.dg_without_mask, wrong_pairwise.dg_counting_allowed, wrong_pairwise.dg_counting_all),
    ),
    (
        "missing_term",
        "standardise",
        (wrong_block.statistics_constant, wrong_block.variance_constant, wrong_block.mean_constant),
    ),
    ("scale_twice", "standardise", (wrong_block.std_forgotten,)),
    ("scale_twice", "standardise_with", (wrong_block.running_std_forgotten, wrong_block.running_std_twice)),
    ("scale_twice", "affine", (wrong_block.gamma_forgotten, wrong_block.gamma_twice)),
    ("stale_value", "affine", (wrong_block.y_for_x_hat,)),
    ("permuted", "fold", (wrong_block.fold_reshaped,)),
    ("permuted", "unfold", (wrong_block.unfold_reshaped,)),
)
IN_LINEAR: tuple[tuple[Cause, tuple[Wrong, ...]], ...] = (
    ("permuted", (wrong_block.weight_not_transposed, wrong_block.weight_gradient_transposed)),
    ("stale_value", (wrong_block.y_for_x,)),
)
POSITIONS: dict[str, tuple[Any, ...]] = {
    "the first position": (slice(None), 0),
    "the last position": (slice(None), -1),
    "one position of one batch element": (0, 0),
}


def mistakes() -> list[Mistake]:
    """All mistakes, the likely ones first."""
    found = [
        made("softmax_jacobian", text, wrong_pairwise.softmax_with(jacobian), "softmax")
        for text, jacobian in wrong_pairwise.SOFTMAX.items()
    ]
    found += [made(name, said(wrong), wrong, piece) for name, piece, some in IN_ONE_PIECE for wrong in some]
    found += [made("index_ignored", text, wrong, "pool") for text, wrong in wrong_block.POOLING.items()]
    for name, some in IN_LINEAR:
        for wrong in some:
            found.append(made(name, said(wrong), wrong, *LINEAR))
            found += [made(name, f"{said(wrong)} (in {place})", wrong, place) for place in LINEAR]
            found.append(made(name, f"{said(wrong)} (in theta, phi and g)", wrong, *LINEAR[:3]))
    for places in (HEADS, HEADS[:2], *((place,) for place in HEADS)):
        found.append(made("permuted", said(wrong_pairwise.heads_reshaped), wrong_pairwise.heads_reshaped, *places))
    for told, index in POSITIONS.items():
        text = f"only {told} gives to it; the sum over the others is missing"
        found.append(made("missing_sum", text, wrong_block.one_position(index), *LINEAR))
    return found


def made(name: Cause, text: str, wrong: Wrong, *places: str) -> Mistake:
    """The mistake in one or several places."""
    return Mistake(
        name, text, replace(RIGHT, **{place: with_backward(getattr(RIGHT, place), wrong) for place in places})
    )


def said(wrong: Wrong) -> str:
    """A wrong function's docstring."""
    return " ".join((wrong.__doc__ or "").split()).removesuffix(".")
