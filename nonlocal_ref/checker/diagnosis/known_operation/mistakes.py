"""The usual mistakes, the likely ones first: a proposal, and the pieces with which it comes true."""

from dataclasses import dataclass, replace
from typing import Any

from nonlocal_ref.checker.diagnosis import wrong_block as b
from nonlocal_ref.checker.diagnosis import wrong_pairwise as w
from nonlocal_ref.checker.diagnosis.pieces import RIGHT, Piece, Pieces
from nonlocal_ref.checker.diagnosis.wrong_pairwise import Wrong

LINEAR = ("theta", "phi", "g", "w_z")


@dataclass(frozen=True)
class Mistake:
    """A proposal, and the pieces with which it comes true."""

    name: str
    text: str
    pieces: Pieces


def with_backward(piece: Piece, wrong: Wrong) -> Piece:
    """The piece, with wrong(right, d, *inputs) for a backward."""

    def spoiled(*args: Any) -> tuple[Any, Any]:
        y, right = piece(*args)
        return y, lambda *d: wrong(right, *d, *args)

    return spoiled


IN_ONE_PIECE: tuple[tuple[str, str, tuple[Wrong, ...]], ...] = (
    ("stale_value", "softmax", (w.softmax_of_the_scores,)),
    ("index_ignored", "softmax", (w.softmax_without_mask,)),
    ("permuted", "product", (w.product_dphi_not_transposed, w.product_dtheta_transposed, w.product_ds_transposed)),
    ("another_argument", "product", (w.product_exchanged,)),
    ("stale_value", "product", (w.product_theta_for_phi,)),
    ("constant_factor", "mean", (w.count_forgotten,)),
    ("index_ignored", "mean", (w.mask_forgotten, w.mask_in_the_count_alone, w.mask_not_in_the_count)),
    ("index_ignored", "relu", (w.gate_open, w.gate_turned)),
    ("missing_sum", "pairs", (w.sums_exchanged, w.sums_of_one)),
    ("permuted", "split", (w.halves_exchanged, w.halves_read_exchanged)),
    ("permuted", "weigh", (w.dg_not_transposed,)),
    ("stale_value", "weigh", (w.dg_of_scores, w.dweights_of_y)),
    ("index_ignored", "weigh", (w.dg_without_mask, w.dg_counting_allowed, w.dg_counting_all)),
    ("missing_term", "standardise", (b.statistics_constant, b.variance_constant, b.mean_constant)),
    ("scale_twice", "standardise", (b.std_forgotten,)),
    ("scale_twice", "standardise_with", (b.running_std_forgotten, b.running_std_twice)),
    ("scale_twice", "affine", (b.gamma_forgotten, b.gamma_twice)),
    ("stale_value", "affine", (b.y_for_x_hat,)),
    ("permuted", "fold", (b.fold_reshaped,)),
    ("permuted", "unfold", (b.unfold_reshaped,)),
)
IN_LINEAR: tuple[tuple[str, tuple[Wrong, ...]], ...] = (
    ("permuted", (b.weight_not_transposed, b.weight_gradient_transposed)),
    ("stale_value", (b.y_for_x,)),
)
POSITIONS: dict[str, tuple[Any, ...]] = {
    "the first position": (slice(None), 0),
    "the last position": (slice(None), -1),
    "one position of one batch element": (0, 0),
}


def mistakes() -> list[Mistake]:
    """All of them."""
    found = [
        made("softmax_jacobian", text, w.softmax_with(jacobian), "softmax") for text, jacobian in w.SOFTMAX.items()
    ]
    found += [made(name, said(wrong), wrong, piece) for name, piece, some in IN_ONE_PIECE for wrong in some]
    found += [made("index_ignored", text, wrong, "pool") for text, wrong in b.POOLING.items()]
    for name, some in IN_LINEAR:
        for wrong in some:
            found.append(made(name, said(wrong), wrong, *LINEAR))
            found += [made(name, f"{said(wrong)} (in {place})", wrong, place) for place in LINEAR]
    for told, index in POSITIONS.items():
        text = f"only {told} gives to it; the sum over the others is missing"
        found.append(made("missing_sum", text, b.one_position(index), *LINEAR))
    return found


def made(name: str, text: str, wrong: Wrong, *places: str) -> Mistake:
    """The mistake in one or several places."""
    return Mistake(
        name, text, replace(RIGHT, **{place: with_backward(getattr(RIGHT, place), wrong) for place in places})
    )


def said(wrong: Wrong) -> str:
    """A wrong function's docstring."""
    return " ".join((wrong.__doc__ or "").split()).removesuffix(".")
