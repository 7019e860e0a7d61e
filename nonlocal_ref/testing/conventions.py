"""What others call the parameters of a non-local block: one data table, ``CONVENTIONS``.

Our keys on the left, theirs on the right, without the prefix that says which block of a network it is.  Several names
stand where it depends on an option (the first without pooling or norm, the last with it), or where a module is
registered twice.  Their kernels are convolutions, (C', C, 1, 1, 1); ours are matrices, (C', C).  What the networks
around the blocks are, and where each name was read: docs/conformance.md.
"""

from typing import Any, NamedTuple

PARTS = ("theta", "phi", "g", "w_z", "w_f")
NORM = ("weight", "bias", "running_mean", "running_var")
KEYS = (*(f"{part}.{end}" for part in PARTS for end in ("weight", "bias")), *(f"bn.{end}" for end in NORM))
COUNTER = "num_batches_tracked"  # PyTorch's batch norm keeps it, nothing depends on it


class Convention(NamedTuple):
    """The names of one family of implementations.

    ``names``: our key -> their names.  ``separator``: what joins a prefix to a name.  ``expresses``: which values of
    the fields of `BlockConfig` that family can compute, where it is known well enough to export to it.
    """

    title: str
    names: dict[str, tuple[str, ...]]
    separator: str = "."
    expresses: dict[str, tuple[Any, ...]] | None = None


def layers(**theirs: str) -> dict[str, tuple[str, ...]]:
    """Names as PyTorch makes them, layer.weight, from our part = their layers."""
    return {
        f"{part}.{end}": tuple(f"{layer}.{end}" for layer in names.split())
        for part, names in theirs.items()
        for end in (NORM if part == "bn" else ("weight", "bias"))
    }


def blobs(**norm: str) -> dict[str, tuple[str, ...]]:
    """Names as Caffe2 makes them, theta_w, theta_b, ...; the norm's are given."""
    convolutions = {"theta": "theta", "phi": "phi", "g": "g", "w_z": "out"}
    letters = {"weight": "w", "bias": "b"}
    return {
        f"{part}.{end}": (f"{theirs}_{letter}",)
        for part, theirs in convolutions.items()
        for end, letter in letters.items()
    } | {f"bn.{end}": tuple(names.split()) for end, names in norm.items()}


POOLED_AFTER = {"pool_order": ("after",), "domain": ("spacetime",), "frame_group": (None,)}

OURS = Convention("nonlocal_ref", {key: (key,) for key in KEYS})
CONVENTIONS: dict[str, Convention] = {
    "nonlocal_ref": OURS,
    "caffe2": Convention(
        "facebookresearch/video-nonlocal-net",
        blobs(weight="bn_s", bias="bn_b", running_mean="bn_rm", running_var="bn_riv"),  # riv: the variance, no inverse
        separator="_",
    ),
    "slowfast": Convention(
        "facebookresearch/SlowFast",
        layers(theta="conv_theta", phi="conv_phi", g="conv_g", w_z="conv_out", bn="bn"),
        expresses={
            "variant": ("embedded_gaussian", "dot_product"),
            "scale": ("inner",),
            "pool_order": ("before",),
            "norm": ("batch",),
            "dims": (3,),
            "domain": ("spacetime",),
        },
    ),
    "pytorchvideo": Convention(
        "facebookresearch/pytorchvideo",
        layers(theta="conv_theta", phi="conv_phi", g="conv_g", w_z="conv_out", bn="norm"),
    ),
    "mmcv": Convention(
        "open-mmlab/mmcv, mmaction2",
        layers(
            theta="theta.conv",
            phi="phi.conv phi.0.conv",
            g="g.conv g.0.conv",
            w_z="conv_out.conv",
            w_f="concat_project.conv",
            bn="conv_out.bn",
        ),
        expresses=POOLED_AFTER | {"norm": ("batch", None), "subsample": (True, False), "scale": (None, "inner")},
    ),
    "alexhex7": Convention(
        "AlexHex7/Non-local_pytorch, temporal-shift-module",
        layers(theta="theta", phi="phi phi.0", g="g g.0", w_z="W W.0", w_f="concat_project.0", bn="W.1"),
        expresses=POOLED_AFTER
        | {"norm": ("batch", None), "subsample": (True, False), "scale": (None,), "eps": (1e-5,)},
    ),
    "tea1528": Convention(
        "tea1528/Non-Local-NN-Pytorch",
        layers(theta="theta", phi="phi", g="g", w_z="W_z W_z.0", w_f="W_f.0", bn="W_z.1"),
    ),
    "gluoncv": Convention(
        "dmlc/gluon-cv, its PyTorch half",  # registers modules twice
        layers(theta="theta", phi="phi sub_phi.0", g="g sub_g.0", w_z="W W_bn.0", bn="bn W_bn.1"),
    ),
    "paddle": Convention(
        "PaddlePaddle/models",
        blobs(weight="bn_scale affine_s", bias="bn_offset affine_b", running_mean="bn_mean", running_var="bn_variance"),
        separator="_",
    ),
}
