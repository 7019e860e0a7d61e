"""Sentences of the pages that are about what the package does."""

import numpy as np
import pytest

import nonlocal_ref as nl
from nonlocal_ref.ops import softmax
from tests.docs.pages import DOCS, ROOT


def words(path):
    return " ".join(path.read_text(encoding="utf-8").split())


TRIES = words(ROOT / "tutorials" / "05_checking_a_gradient.md")
QUESTION = "no hypothesis fits; is it a consequence of what is wrong with theta?"


def gaussian_without_jacobian(sign):
    """What tutorial 5 asks its reader to write, with the minus of the first mistake or without."""

    def gaussian(theta, phi):
        weights, _ = softmax(theta @ np.matrix_transpose(phi))

        def backward(dweights):
            dlogits = weights * dweights
            return dlogits @ phi, sign * np.matrix_transpose(dlogits) @ theta

        return weights, backward

    return gaussian


@pytest.mark.parametrize(("sign", "asked"), [(-1, True), (1, False)], ids=["minus left in", "minus dropped"])
def test_what_no_hypothesis_explains_is_a_question_in_a_note(sign, asked):
    rng = np.random.default_rng(0)
    report = nl.gradcheck(
        gaussian_without_jacobian(sign), rng.normal(size=(2, 6, 4)), rng.normal(size=(2, 5, 4)), rng=0
    )
    assert {proposals[0].name for proposals in report.diagnosis.values()} == {"softmax_jacobian"}
    assert (QUESTION in report["phi"].notes) == asked
    assert QUESTION in TRIES
    assert 'begins with "note"' in words(DOCS / "check.md")


def test_another_init_is_the_same_draw_scaled_otherwise():
    first, second = (nl.init_params(nl.BlockConfig(64, init=init), rng=1) for init in ("msra", "normal"))
    for key in ("theta.weight", "phi.weight", "g.weight"):
        ratio = second[key] / first[key]
        np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-12)
