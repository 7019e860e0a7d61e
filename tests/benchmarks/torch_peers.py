"""The same operations in PyTorch, as its users write them; a peer to measure against, and optional.

Tensors are contiguous in the layout that each form multiplies best.  Forward is a function of its own: what autograd
does not keep is gone before backward begins.  Gradients come from `torch.autograd.grad`: fresh ones on every call,
nothing accumulates.  torch is imported where it is used, since it may not be there.
"""

import importlib.util
from functools import cache

import numpy as np


def torch_is_here():
    return importlib.util.find_spec("torch") is not None


@cache
def use_threads(count):
    """As many threads as this process has cores."""
    import torch

    torch.set_num_threads(count)


def leaf(x):
    """A tensor that gets a gradient, on the memory of a host array."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(x)).requires_grad_()


def constant(x):
    import torch

    return torch.from_numpy(x)


def transposed(x):
    return np.swapaxes(x, -1, -2)


def eager_softmax(x):
    """theta (B, N, D) times phi (B, D, M), softmax, times g (B, M, E)."""
    import torch

    theta, phi, g, dy = leaf(x["theta"]), leaf(transposed(x["phi"])), leaf(x["g"]), constant(x["dy"])

    def forward():
        weights = torch.matmul(theta, phi).softmax(dim=-1)
        return torch.matmul(weights, g)

    return there_and_back(forward, (theta, phi, g), dy), as_arrays(phi_transposed=True)


def eager_dot_product(x):
    """theta (B, N, D) times phi (B, D, M), divided by M, times g (B, M, E)."""
    import torch

    theta, phi, g, dy = leaf(x["theta"]), leaf(transposed(x["phi"])), leaf(x["g"]), constant(x["dy"])

    def forward():
        f = torch.matmul(theta, phi)
        f = f / f.shape[-1]
        return torch.matmul(f, g)

    return there_and_back(forward, (theta, phi, g), dy), as_arrays(phi_transposed=True)


def literal_concatenation(x):
    """repeat, cat, 1 x 1 convolution: the (B, 2D, N, M) tensor as other implementations write it."""
    import torch

    theta, phi = leaf(transposed(x["theta"])[:, :, :, None]), leaf(transposed(x["phi"])[:, :, None, :])
    g, dy, weight = leaf(x["g"]), constant(x["dy"]), leaf(x["w_f"][None, :, None, None])

    def forward():
        queries, keys = theta.shape[2], phi.shape[3]
        left, right = theta.repeat(1, 1, 1, keys), phi.repeat(1, 1, queries, 1)
        f = torch.relu(torch.nn.functional.conv2d(torch.cat([left, right], dim=1), weight))[:, 0]
        f = f / keys
        return torch.matmul(f, g)

    def arrays(outputs):
        y, dtheta, dphi, dg, dweight = (t.detach().numpy() for t in outputs)
        return [y, transposed(dtheta[:, :, :, 0]), transposed(dphi[:, :, 0, :]), dg, dweight[0, :, 0, 0]]

    return there_and_back(forward, (theta, phi, g, weight), dy), arrays


def broadcast_concatenation(x):
    """relu(a_i + b_j) / M times g, with a and b computed first: what a careful user writes."""
    import torch

    depth = x["theta"].shape[2]
    theta, phi, g, w_f, dy = leaf(x["theta"]), leaf(x["phi"]), leaf(x["g"]), leaf(x["w_f"]), constant(x["dy"])

    def forward():
        a, b = torch.matmul(theta, w_f[:depth]), torch.matmul(phi, w_f[depth:])
        f = torch.relu(a[:, :, None] + b[:, None, :])
        f = f / f.shape[-1]
        return torch.matmul(f, g)

    return there_and_back(forward, (theta, phi, g, w_f), dy), as_arrays()


def scaled_dot_product_attention(x):
    """PyTorch's fused attention: one head, scale 1, as eqs. (2) and (3) have it."""
    import torch

    theta, phi, g = (leaf(x[name][:, None]) for name in ("theta", "phi", "g"))
    dy = constant(x["dy"][:, None])

    def forward():
        return torch.nn.functional.scaled_dot_product_attention(theta, phi, g, scale=1.0)

    def arrays(outputs):
        return [t.detach().numpy()[:, 0] for t in outputs]

    return there_and_back(forward, (theta, phi, g), dy), arrays


def there_and_back(forward, leaves, dy):
    """A call of no arguments: the value, and the gradient of every leaf."""
    import torch

    def call():
        y = forward()
        return y, *torch.autograd.grad(y, leaves, dy)

    return call


def as_arrays(phi_transposed=False):
    """From what a call returns to host arrays y, dtheta, dphi, ... in the package's layout."""

    def arrays(outputs):
        y, dtheta, dphi, *others = (t.detach().numpy() for t in outputs)
        return [y, dtheta, transposed(dphi) if phi_transposed else dphi, *others]

    return arrays


def torch_block(config, params):
    """The whole block, eq. (6), as an nn.Module in training mode with the given weights; pooled after phi and g."""
    import torch
    from torch import nn

    channels, inner, keys_axis = config.channels, params["g.weight"].shape[0], 2

    class NonLocalBlock(nn.Module):
        def __init__(self):
            super().__init__()
            self.theta = nn.Conv3d(channels, inner, 1)
            self.phi = nn.Conv3d(channels, inner, 1)
            self.g = nn.Conv3d(channels, inner, 1)
            self.w_z = nn.Conv3d(inner, channels, 1)
            self.bn = nn.BatchNorm3d(channels, eps=config.eps)
            self.pool = nn.MaxPool3d((1, 2, 2))
            if config.variant == "concatenation":
                self.w_f = nn.Parameter(torch.empty(2 * inner))

        def forward(self, x):
            theta = self.theta(x).flatten(2).transpose(1, 2)  # (B, N, D)
            phi = self.pool(self.phi(x)).flatten(2)  # (B, D, M)
            g = self.pool(self.g(x)).flatten(2).transpose(1, 2)  # (B, M, E)
            y = torch.matmul(self.weights(theta, phi), g).transpose(1, 2).reshape(x.shape[0], inner, *x.shape[2:])
            return self.bn(self.w_z(y)) + x

        def weights(self, theta, phi):
            if config.variant == "concatenation":
                a, b = torch.matmul(theta, self.w_f[:inner]), torch.matmul(self.w_f[inner:], phi)
                return torch.relu(a[:, :, None] + b[:, None, :]) / phi.shape[keys_axis]
            f = torch.matmul(theta, phi)
            if config.variant == "dot_product":
                return f / phi.shape[keys_axis]
            return (f * inner**-0.5).softmax(dim=-1)  # config.scale is "inner"

    module = NonLocalBlock().train()
    state = module.state_dict()
    for key, value in params.items():
        name = "w_f" if key == "w_f.weight" else key
        state[name] = torch.from_numpy(value).reshape(state[name].shape).clone()
    module.load_state_dict(state)
    return module


def block_call(config, params, x, dz):
    """Forward and backward of that module: z, dx, and the gradients by the package's keys."""
    module, features, cotangent = torch_block(config, params), leaf(x), constant(dz)
    named = dict(module.named_parameters())
    keys = ["w_f.weight" if name == "w_f" else name for name in named]

    def arrays(outputs):
        z, dx, *grads = (t.detach().numpy() for t in outputs)
        return z, dx, {key: grad.reshape(params[key].shape) for key, grad in zip(keys, grads, strict=True)}

    return there_and_back(lambda: module(features), (features, *named.values()), cotangent), arrays
