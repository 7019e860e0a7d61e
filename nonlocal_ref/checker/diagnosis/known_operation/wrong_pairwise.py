"""Wrong ways back of the pieces of eqs. (1) to (5): each has the forward of the right piece.

A function is called as wrong(right, d, *inputs), with the piece's own backward first.  Its docstring is what the report
says.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nonlocal_ref.ops import softmax

Wrong = Callable[..., tuple[Any, ...]]


def softmax_with(jacobian: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Wrong:
    """A softmax whose way back is jacobian(p, dp)."""

    def wrong(right: Any, dp: np.ndarray, scores: np.ndarray, mask: Any = None) -> tuple[Any, ...]:
        return (jacobian(softmax(scores, mask)[0], dp),)

    return wrong


def _dot(p: np.ndarray, dp: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.sum(p * dp, axis=axis, keepdims=True))


SOFTMAX = {
    "softmax without the second term of its Jacobian: p dp, where p (dp - Σ p dp) belongs": lambda p, dp: p * dp,
    "softmax without its Jacobian: dp, where p (dp - Σ p dp) belongs": lambda p, dp: dp,
    "of the Jacobian of softmax the diagonal alone: p (1 - p) dp": lambda p, dp: p * (1 - p) * dp,
    "in the Jacobian of softmax Σ p dp goes over the queries; it belongs over the keys": lambda p, dp: (
        p * (dp - _dot(p, dp, -2))
    ),
    "in the Jacobian of softmax Σ p dp goes over all pairs; it belongs over the keys": lambda p, dp: (
        p * (dp - np.sum(p * dp, axis=(-2, -1), keepdims=True))
    ),
    "in the Jacobian of softmax the sign of the second term is turned": lambda p, dp: p * (dp + _dot(p, dp)),
    "in the Jacobian of softmax a plain mean of dp stands for Σ p dp": lambda p, dp: (
        p * (dp - np.mean(dp, axis=-1, keepdims=True))
    ),
    "in the Jacobian of softmax the mean of p dp stands for Σ p dp": lambda p, dp: p * (dp - _dot(p, dp) / p.shape[-1]),
    "in the Jacobian of softmax Σ dp stands for Σ p dp": lambda p, dp: p * (dp - np.sum(dp, axis=-1, keepdims=True)),
    "in the Jacobian of softmax the factor p in front is missing": lambda p, dp: dp - _dot(p, dp),
    "in the Jacobian of softmax the second term lacks its factor p": lambda p, dp: p * dp - _dot(p, dp),
    "in the Jacobian of softmax the first term is missing": lambda p, dp: -p * _dot(p, dp),
}


def softmax_of_the_scores(right: Any, dp: np.ndarray, scores: np.ndarray, mask: Any = None) -> tuple[Any, ...]:
    """in the Jacobian of softmax the scores stand for the weights."""
    return (scores * (dp - _dot(scores, dp)),)


def softmax_without_mask(right: Any, dp: np.ndarray, scores: np.ndarray, mask: Any = None) -> tuple[Any, ...]:
    """the softmax on the way back ignores the mask."""
    return tuple(softmax(scores)[1](dp))


def product_dphi_not_transposed(right: Any, ds: np.ndarray, theta: Any, phi: Any, scale: Any) -> tuple[Any, ...]:
    """dphi needs ds transposed, dphi_j = Σ_i ds_ij theta_i."""
    return right(ds)[0], ds @ theta * _or_one(scale)


def product_dtheta_transposed(right: Any, ds: np.ndarray, theta: Any, phi: Any, scale: Any) -> tuple[Any, ...]:
    """dtheta must not have ds transposed."""
    return np.swapaxes(ds, 1, 2) @ phi * _or_one(scale), right(ds)[1]


def product_ds_transposed(right: Any, ds: np.ndarray, theta: Any, phi: Any, scale: Any) -> tuple[Any, ...]:
    """the gradient of the scores is transposed."""
    return tuple(right(np.swapaxes(ds, 1, 2)))


def product_exchanged(right: Any, ds: np.ndarray, theta: Any, phi: Any, scale: Any) -> tuple[Any, ...]:
    """the gradients of theta and phi are exchanged."""
    dtheta, dphi = right(ds)
    return dphi, dtheta


def product_theta_for_phi(right: Any, ds: np.ndarray, theta: Any, phi: Any, scale: Any) -> tuple[Any, ...]:
    """theta stands where phi belongs, or phi for theta."""
    return ds @ theta * _or_one(scale), np.swapaxes(ds, 1, 2) @ phi * _or_one(scale)


def count_forgotten(right: Any, dweights: np.ndarray, f: np.ndarray, mask: Any) -> tuple[Any, ...]:
    """the normalisation 1 / C(x) is forgotten."""
    return (dweights if mask is None else np.where(mask, dweights, 0.0),)


def mask_forgotten(right: Any, dweights: np.ndarray, f: np.ndarray, mask: Any) -> tuple[Any, ...]:
    """the mask is ignored on the way back."""
    return (dweights / f.shape[-1],)


def mask_in_the_count_alone(right: Any, dweights: np.ndarray, f: np.ndarray, mask: Any) -> tuple[Any, ...]:
    """masked pairs get a gradient; only C(x) sees the mask."""
    allowed = f.shape[-1] if mask is None else np.sum(np.broadcast_to(mask, f.shape), axis=-1, keepdims=True)
    return (dweights / np.maximum(allowed, 1),)


def mask_not_in_the_count(right: Any, dweights: np.ndarray, f: np.ndarray, mask: Any) -> tuple[Any, ...]:
    """C(x) counts masked pairs on the way back."""
    return ((dweights if mask is None else np.where(mask, dweights, 0.0)) / f.shape[-1],)


def heads_reshaped(right: Any, dparts: np.ndarray, x: np.ndarray, heads: int) -> tuple[Any, ...]:
    """the heads are merged by a reshape alone; their axis must be moved first."""
    return (dparts.reshape(x.shape),)


def heads_split_by_reshape(right: Any, dwhole: np.ndarray, y: np.ndarray, heads: int) -> tuple[Any, ...]:
    """dy is split into heads by a reshape alone; their axis must be moved as well."""
    return (dwhole.reshape(y.shape),)


def gate_open(right: Any, dy: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    """the ReLU is open everywhere on the way back."""
    return (dy,)


def gate_turned(right: Any, dy: np.ndarray, x: np.ndarray) -> tuple[Any, ...]:
    """the gate of the ReLU is turned: open where it must be closed."""
    return (np.where(x > 0, 0.0, dy),)


def sums_exchanged(right: Any, dsums: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    """the sums over i and over j go over each other's axis."""
    return dsums.sum(axis=1), dsums.sum(axis=2)


def sums_of_one(right: Any, dsums: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    """of the sums over i and j only the first term came."""
    return dsums[:, :, 0], dsums[:, 0, :]


def halves_exchanged(right: Any, da: Any, db: Any, theta: Any, phi: Any, w_f: Any) -> tuple[Any, ...]:
    """the halves of dw_f are exchanged."""
    dtheta, dphi, dw_f = right(da, db)
    return dtheta, dphi, np.roll(dw_f, len(dw_f) // 2)


def halves_read_exchanged(right: Any, da: Any, db: Any, theta: Any, phi: Any, w_f: Any) -> tuple[Any, ...]:
    """the halves of w_f are exchanged."""
    first, second = np.split(w_f, 2)
    return da[..., None] * second, db[..., None] * first, right(da, db)[2]


def dg_not_transposed(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """dg needs the weights transposed, dg_j = Σ_i w_ij dy_i."""
    return right(dy)[0], weights @ dy


def dg_of_scores(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """the scores stand where the weights belong in dg."""
    return right(dy)[0], np.swapaxes(scores, 1, 2) @ dy


def dg_without_mask(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """the weights in dg are those without the mask."""
    return right(dy)[0], np.swapaxes(softmax(scores)[0], 1, 2) @ dy


def dg_counting_allowed(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """the weights in dg are those without the mask."""
    return right(dy)[0], np.swapaxes(mask_in_the_count_alone(None, scores, scores, mask)[0], 1, 2) @ dy


def dg_counting_all(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """the weights in dg are those without the mask."""
    return right(dy)[0], np.swapaxes(scores, 1, 2) @ dy / scores.shape[-1]


def dweights_of_y(right: Any, dy: np.ndarray, weights: Any, g: Any, scores: Any, mask: Any) -> tuple[Any, ...]:
    """y stands where g belongs in the gradient of the weights."""
    return dy @ np.swapaxes(weights @ g, 1, 2), right(dy)[1]


def _or_one(scale: float | None) -> float:
    return 1.0 if scale is None else scale
