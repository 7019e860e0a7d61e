"""Which block: its configuration, the presets, the shapes of its parameters, their initial values.

The only file of the block that knows NumPy: parameters are drawn on the host, in float64, so every backend starts from
the same numbers (`nonlocal_ref.to_backend` moves them).
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from nonlocal_ref.arguments import check_choice, check_integer, check_number, check_rng
from nonlocal_ref.pairwise import SOFTMAX_VARIANTS, VARIANTS

NORMS = ("batch", "affine", None)
DOMAINS = ("spacetime", "space", "time")
INITS = ("msra", "normal", "torch")
STATISTICS = ("bn.running_mean", "bn.running_var")  # parameters that no gradient reaches

# what each published implementation does; docs/differences.md says where it is written
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "caffe2": {"scale": "inner", "pool_order": "before", "init": "normal", "eps": 1.0000001e-5},
    "mmcv": {"scale": "inner", "subsample": False, "norm": None, "init": "normal"},
    "alexhex7": {"init": "torch"},
}


@dataclass(frozen=True)
class BlockConfig:
    """What a non-local block is made of, eq. (6) and sections 3.3 and 4.1 of the paper.

    Parameters
    ----------
    channels : int
        C, the channels of x and z.
    variant : {"gaussian", "embedded_gaussian", "dot_product", "concatenation"}
        The pairwise function, eqs. (2) to (5).  "gaussian" compares x itself in all C channels: no theta, no phi.
    dims : {1, 2, 3}
        Number of spatial axes; with 3 they are T, H, W.
    inner_channels : int, optional
        Channels of theta, phi and g; None means max(C // 2, 1), the paper's bottleneck.
    scale : None, "inner" or float
        Multiplied into θ_i · φ_j, softmax variants only; "inner" is D ** -0.5, D the length of the vectors compared.
    subsample : bool or tuple of int
        Max-pool phi and g: True is kernel 2 over the spatial axes, (2,), (2, 2) or (1, 2, 2); a tuple is the kernel.
        Stride = kernel, the remainder is dropped, no padding.
    pool_order : {"after", "before"}
        "after" pools φ(x) and g(x), the paper's text; "before" pools x first, the authors' code.
    norm : {"batch", "affine", None}
        After W_z: batch norm, or scale and shift without statistics (both start at 0), or nothing (W_z starts at 0).
    domain : {"spacetime", "space", "time"}
        Which positions see each other (dims=3 for the last two); "time" has nothing to pool but its frames.
    frame_group : int, optional
        Split T into groups of so many frames that do not see each other ("spacetime" only); must divide T.
    bias : bool
        All of theta, phi, g, w_z have a bias, or none; w_f never has one.
    init : {"msra", "normal", "torch"}
        Normal with std sqrt(2 / fan_in); normal with std 0.01; uniform as torch.nn.Conv.
    eps : float
        Added to the variance in batch norm.

    Raises
    ------
    TypeError, ValueError
        Naming the field, what came and what fits.

    References
    ----------
    arXiv 1711.07971, sections 3.2 (instantiations), 3.3 (block, bottleneck, subsampling), 4.1 (initialisation).

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> config = nl.BlockConfig(512)
    >>> config.inner, config.kernel
    (256, (1, 2, 2))
    """

    channels: int
    _: KW_ONLY  # what follows has a name wherever it is written
    variant: str = "embedded_gaussian"
    dims: int = 3
    inner_channels: int | None = None
    scale: float | str | None = None
    subsample: bool | tuple[int, ...] = True
    pool_order: str = "after"
    norm: str | None = "batch"
    domain: str = "spacetime"
    frame_group: int | None = None
    bias: bool = True
    init: str = "msra"
    eps: float = 1e-5

    def __post_init__(self) -> None:
        """Refuse a block that cannot be built."""
        check_integer("channels", self.channels, least=1)
        check_choice("variant", self.variant, VARIANTS)
        check_choice("dims", self.dims, (1, 2, 3))
        if self.inner_channels is not None:
            check_integer("inner_channels", self.inner_channels, least=1)
        check_choice("pool_order", self.pool_order, ("after", "before"))
        check_choice("norm", self.norm, NORMS)
        check_choice("domain", self.domain, DOMAINS)
        check_choice("bias", self.bias, (True, False))
        check_choice("init", self.init, INITS)
        check_number("eps", self.eps, lambda value: 0 < value < float("inf"), "positive and finite")
        check_scale(self.variant, self.scale, inner=True)
        self._check_domain()
        self._check_kernel()

    def _check_domain(self) -> None:
        if self.domain != "spacetime" and self.dims != 3:
            msg = f"domain {self.domain!r} needs the axes T, H, W (dims=3), got dims={self.dims}"
            raise ValueError(msg)
        if self.frame_group is None:
            return
        check_integer("frame_group", self.frame_group, least=1)
        if self.domain != "spacetime" or self.dims != 3:
            msg = f"frame_group needs domain 'spacetime' and dims=3, got {self.domain!r} and dims={self.dims}"
            raise ValueError(msg)

    def _check_kernel(self) -> None:
        kernel: Any = self.subsample
        if isinstance(kernel, (bool, np.bool_)):
            return
        if not isinstance(kernel, tuple):
            msg = f"subsample must be a bool or a tuple of integers, got {kernel!r}"
            raise TypeError(msg)
        if len(kernel) != self.dims:
            msg = f"subsample needs one kernel size an axis, {self.dims} for dims={self.dims}, got {kernel}"
            raise ValueError(msg)
        for size in kernel:
            check_integer("subsample", size, least=1)
        if self.domain == "time" and kernel[1:] != (1, 1):
            msg = f"domain 'time' has no space to pool: subsample must be (k, 1, 1), got {kernel}"
            raise ValueError(msg)
        frames = 1 if self.domain == "space" else self.frame_group
        if frames is not None and kernel[0] > frames:
            msg = f"subsample {kernel} pools over {kernel[0]} frames, but only {frames} see each other"
            raise ValueError(msg)

    @classmethod
    def preset(cls, name: str, channels: int, **overrides: Any) -> "BlockConfig":
        """The block of a published implementation; ``overrides`` are fields of this class and win.

        Parameters
        ----------
        name : {"paper", "caffe2", "mmcv", "alexhex7"}
            The paper's text (the defaults), the authors' code, two popular ports.
        channels : int
            C.
        **overrides
            Any other field.  The scale of a preset is dropped where its implementation has none: for (4) and (5), and
            in "mmcv" for (2).

        Returns
        -------
        BlockConfig

        Raises
        ------
        ValueError
            For a name that is not a preset.

        Examples
        --------
        >>> import nonlocal_ref as nl
        >>> nl.BlockConfig.preset("caffe2", 512).pool_order
        'before'
        """
        check_choice("name", name, PRESETS)
        fields = PRESETS[name] | overrides
        variant = fields.get("variant", cls.variant)
        scaled = ("embedded_gaussian",) if name == "mmcv" else SOFTMAX_VARIANTS
        if variant not in scaled and "scale" not in overrides:
            fields.pop("scale", None)
        return cls(channels, **fields)

    @property
    def inner(self) -> int:
        """E, the channels of g (and of theta and phi where there are any)."""
        return self.inner_channels or max(self.channels // 2, 1)

    @property
    def depth(self) -> int:
        """D, the length of the vectors that are compared: C for "gaussian", else the inner channels."""
        return self.channels if self.variant == "gaussian" else self.inner

    @property
    def scale_factor(self) -> float | None:
        """The number that `scale` stands for."""
        if self.scale is None:
            return None
        return float(self.depth) ** -0.5 if self.scale == "inner" else float(self.scale)

    @property
    def kernel(self) -> tuple[int, ...] | None:
        """The pooling kernel that `subsample` stands for, one size a spatial axis; None where nothing is pooled."""
        if isinstance(self.subsample, tuple):
            return self.subsample
        if not self.subsample or self.domain == "time":
            return None
        return {1: (2,), 2: (2, 2), 3: (1, 2, 2)}[self.dims]


def param_shapes(config: BlockConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of a block; a name is absent where the config has no such parameter.

    Parameters
    ----------
    config : BlockConfig
        Which block.

    Returns
    -------
    dict of str to tuple of int
        theta.weight (D, C), theta.bias (D,), the same for phi and g, w_f.weight (2D,), w_z.weight (C, E), w_z.bias,
        bn.weight, bn.bias, bn.running_mean, bn.running_var (C,).  Weights are (out, in).

    Raises
    ------
    TypeError
        If ``config`` is not a `BlockConfig`.

    Notes
    -----
    O(1): nothing is allocated.

    References
    ----------
    arXiv 1711.07971, sections 3.2, 3.3 and 4.1.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> nl.param_shapes(nl.BlockConfig(4, variant="gaussian", norm=None, bias=False))
    {'g.weight': (2, 4), 'w_z.weight': (4, 2)}
    """
    check_config(config)
    channels, inner = config.channels, config.inner
    shapes: dict[str, tuple[int, ...]] = {}
    for name in ("g",) if config.variant == "gaussian" else ("theta", "phi", "g"):
        shapes[f"{name}.weight"] = (inner, channels)
        shapes[f"{name}.bias"] = (inner,)
    if config.variant == "concatenation":
        shapes["w_f.weight"] = (2 * inner,)
    shapes["w_z.weight"] = (channels, inner)
    shapes["w_z.bias"] = (channels,)
    norm_names = {"batch": ("weight", "bias", "running_mean", "running_var"), "affine": ("weight", "bias"), None: ()}
    without_bias = {key: shape for key, shape in shapes.items() if config.bias or not key.endswith(".bias")}
    return without_bias | {f"bn.{name}": (channels,) for name in norm_names[config.norm]}


def init_params(config: BlockConfig, rng: np.random.Generator | int | None = None) -> dict[str, np.ndarray]:
    """Parameters with which the block is the identity, exactly: γ = β = 0, or W_z = 0 where there is no norm.

    Parameters
    ----------
    config : BlockConfig
        Which block; ``config.init`` is the rule for theta, phi, g, w_f and, under a norm, w_z.
    rng : numpy.random.Generator, int or None
        Where the draws come from (SPEC 7).

    Returns
    -------
    dict of str to numpy.ndarray
        float64, on the host, keys and shapes of `param_shapes`; see `to_backend`.

    Raises
    ------
    TypeError
        If ``config`` is not a `BlockConfig`, or ``rng`` is not a generator, an integer or None.
    ValueError
        If ``rng`` is negative.

    Notes
    -----
    Never γ = 0 and W_z = 0 together: in such a block no gradient reaches W_z or γ, it stays dead.

    References
    ----------
    arXiv 1711.07971, section 4.1: the scale of the last batch norm starts at zero.

    Examples
    --------
    >>> import nonlocal_ref as nl
    >>> params = nl.init_params(nl.BlockConfig(2, inner_channels=1, bias=False), rng=0)
    >>> params["bn.weight"], params["bn.running_var"]
    (array([0., 0.]), array([1., 1.]))
    """
    shapes = param_shapes(config)
    generator = check_rng(rng)
    zeros = {"bn.weight", "bn.bias", "bn.running_mean"} | (set() if config.norm else {"w_z.weight", "w_z.bias"})

    def draw(key: str, shape: tuple[int, ...]) -> np.ndarray:
        if key in zeros:
            return np.zeros(shape)
        if key == "bn.running_var":
            return np.ones(shape)
        fan_in = shapes[key.replace(".bias", ".weight")][-1]
        if config.init == "torch":
            return generator.uniform(-(fan_in**-0.5), fan_in**-0.5, shape)
        if key.endswith(".bias"):
            return np.zeros(shape)
        return generator.normal(0.0, 0.01 if config.init == "normal" else (2 / fan_in) ** 0.5, shape)

    return {key: draw(key, shape) for key, shape in shapes.items()}


def check_config(config: Any) -> None:
    """Refuse what is not a `BlockConfig`."""
    if not isinstance(config, BlockConfig):
        msg = f"config must be a BlockConfig, got {type(config).__name__}"
        raise TypeError(msg)


def check_scale(variant: str, scale: Any, *, inner: bool = False) -> None:
    """Refuse a scale of a variant that has none, and what is no finite number; "inner" where that is a choice."""
    if scale is None:
        return
    if variant not in SOFTMAX_VARIANTS:
        msg = f"scale belongs to the softmax variants {SOFTMAX_VARIANTS}, got {scale!r} for {variant!r}"
        raise ValueError(msg)
    if inner and isinstance(scale, str):
        check_choice("scale", scale, ("inner",))
    else:
        fits = "finite, 'inner' or None" if inner else "finite"
        check_number("scale", scale, lambda value: abs(value) < float("inf"), fits)


def check_keys(params: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse parameters that are missing, or that the config does not have."""
    missing, extra = sorted(set(shapes) - set(params)), sorted(set(params) - set(shapes))
    if missing or extra:
        msg = f"params do not fit the config: missing {missing or 'none'}, superfluous {extra or 'none'}"
        raise ValueError(msg)


def check_shape(key: str, value: Any, shape: tuple[int, ...]) -> None:
    """Refuse a parameter of another shape."""
    if tuple(np.shape(value)) != shape:
        msg = f"params[{key!r}] must have shape {shape}, got {tuple(np.shape(value))}"
        raise ValueError(msg)
