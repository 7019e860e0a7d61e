"""The four presets once more, as PyTorch modules: written from the paper and the facts in docs/differences.md, with the
parameter names of the implementation that each stands for, and with autograd for the way back.

Nothing is shared with the package.  Positions are flattened to one index; the pairwise product is an einsum, and the
concatenation of eq. (5) is a real concatenation.
"""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
KERNEL = {1: (2,), 2: (2, 2), 3: (1, 2, 2)}


def nonlocal_mean(variant, theta, phi, g, w_f=None, scale=1.0):
    """Eq. (1) on (B, C', *S) volumes; theta's positions stay, phi's and g's are summed over."""
    space = theta.shape[2:]
    theta, phi, g = theta.flatten(2), phi.flatten(2), g.flatten(2)
    if variant == "concatenation":
        n, m = theta.shape[-1], phi.shape[-1]
        pairs = torch.cat([theta[..., :, None].expand(-1, -1, n, m), phi[..., None, :].expand(-1, -1, n, m)], dim=1)
        f = w_f(pairs)[:, 0]
    else:
        f = torch.einsum("bci,bcj->bij", theta, phi) * scale
    softmax = variant in {"gaussian", "embedded_gaussian"}
    weights = f.softmax(dim=2) if softmax else f / f.shape[2]
    return torch.einsum("bij,bcj->bci", weights, g).unflatten(2, space)


class Paper(nn.Module):
    """Figure 2 and section 3.3: pooling after phi and g, no scale, batch norm after W_z; our names."""

    def __init__(self, channels, variant="embedded_gaussian", dims=3):
        super().__init__()
        inner = max(channels // 2, 1)
        self.variant = variant
        if variant != "gaussian":
            self.theta, self.phi = (CONV[dims](channels, inner, 1) for _ in range(2))
        if variant == "concatenation":
            self.w_f = nn.Conv2d(2 * inner, 1, 1, bias=False)
        self.g = CONV[dims](channels, inner, 1)
        self.w_z = CONV[dims](inner, channels, 1)
        self.bn = NORM[dims](channels)
        self.pool = POOL[dims](KERNEL[dims])
        nn.init.zeros_(self.bn.weight)

    def forward(self, x):
        theta, phi = (x, x) if self.variant == "gaussian" else (self.theta(x), self.phi(x))
        w_f = nn.Sequential(self.w_f, nn.ReLU()) if self.variant == "concatenation" else None
        y = nonlocal_mean(self.variant, theta, self.pool(phi), self.pool(self.g(x)), w_f)
        return self.bn(self.w_z(y)) + x


class Caffe2(nn.Module):
    """The authors' code under SlowFast's names: x is pooled once, the softmax has 1 / sqrt(C')."""

    def __init__(self, channels, variant="embedded_gaussian"):
        super().__init__()
        inner = channels // 2
        self.variant = variant
        self.conv_theta, self.conv_phi, self.conv_g = (nn.Conv3d(channels, inner, 1) for _ in range(3))
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels, eps=1.0000001e-5)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x):
        theta, pooled = self.conv_theta(x), nn.functional.max_pool3d(x, (1, 2, 2))
        scale = theta.shape[1] ** -0.5 if self.variant == "embedded_gaussian" else 1.0
        y = nonlocal_mean(self.variant, theta, self.conv_phi(pooled), self.conv_g(pooled), scale=scale)
        return x + self.bn(self.conv_out(y))


class ConvModule(nn.Module):
    """A convolution under the name conv, with a batch norm under the name bn, as mmcv nests them."""

    def __init__(self, dims, into, out, norm=False):
        super().__init__()
        self.conv = CONV[dims](into, out, 1, bias=not norm)
        self.bn = NORM[dims](out) if norm else None

    def forward(self, x):
        return self.conv(x) if self.bn is None else self.bn(self.conv(x))


class Mmcv(nn.Module):
    """mmcv: scaled embedded Gaussian, pooling off unless asked for, W_z without a bias where a norm follows."""

    def __init__(self, channels, variant="embedded_gaussian", dims=2, pooled=False, norm=False):
        super().__init__()
        inner = channels // 2
        self.variant = variant
        self.g = ConvModule(dims, channels, inner)
        self.conv_out = ConvModule(dims, inner, channels, norm)
        if variant != "gaussian":
            self.theta, self.phi = (ConvModule(dims, channels, inner) for _ in range(2))
        if variant == "concatenation":
            self.concat_project = nn.Module()
            self.concat_project.conv = nn.Conv2d(2 * inner, 1, 1, bias=False)
        if pooled:
            self.g = nn.Sequential(self.g, POOL[dims](KERNEL[dims]))
            self.phi = (
                POOL[dims](KERNEL[dims]) if variant == "gaussian" else nn.Sequential(self.phi, POOL[dims](KERNEL[dims]))
            )
        last = self.conv_out.bn if norm else self.conv_out.conv
        nn.init.zeros_(last.weight)

    def forward(self, x):
        theta = x if self.variant == "gaussian" else self.theta(x)
        phi = self.phi(x) if hasattr(self, "phi") else x
        w_f = (lambda pairs: self.concat_project.conv(pairs).relu()) if self.variant == "concatenation" else None
        scale = theta.shape[1] ** -0.5 if self.variant == "embedded_gaussian" else 1.0
        return x + self.conv_out(nonlocal_mean(self.variant, theta, phi, self.g(x), w_f, scale))


class AlexHex7(nn.Module):
    """AlexHex7/Non-local_pytorch: no scale, pooling inside phi and g, W_z and its norm in one sequence W."""

    def __init__(self, channels, variant="embedded_gaussian", dims=3, norm=True):
        super().__init__()
        inner = channels // 2
        self.variant = variant
        pooled = variant != "gaussian"
        self.g = nn.Sequential(CONV[dims](channels, inner, 1), POOL[dims](KERNEL[dims]))
        self.phi = (
            nn.Sequential(CONV[dims](channels, inner, 1), POOL[dims](KERNEL[dims]))
            if pooled
            else POOL[dims](KERNEL[dims])
        )
        if variant != "gaussian":
            self.theta = CONV[dims](channels, inner, 1)
        if variant == "concatenation":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())
        self.W = CONV[dims](inner, channels, 1)
        if norm:
            self.W = nn.Sequential(self.W, NORM[dims](channels))
        last = self.W[1] if norm else self.W
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x):
        theta = x if self.variant == "gaussian" else self.theta(x)
        w_f = self.concat_project if self.variant == "concatenation" else None
        return self.W(nonlocal_mean(self.variant, theta, self.phi(x), self.g(x), w_f)) + x
