"""Training steps of networks against PyTorch, on one thread, in single precision.

Both sides begin with the same weights and take the same step: loss, gradients and Adam.  The check
compares losses and gradients before any step is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cpu import Row, Work
from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import generator
from gaussbook.optim import Adam

STEPS = 5  # timed together
Prepared = tuple[Work, Work, Callable[[object, object], None]]
PEER_LAYOUT = {2: (1, 0), 4: (3, 2, 0, 1)}  # PyTorch keeps outputs first


def _same(ours: tuple, peer: tuple) -> None:
    """Compare losses and gradients; afterwards the two are only timed."""
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-4)
    for a, b in zip(ours[1], peer[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4 * np.abs(b).max() + 1e-7)


def _compare(params: Any, loss: Callable, build: Callable, transposed: set[str]) -> Prepared:
    """Prepare a row from our loss and a function that makes the peer's from its parameters.

    The first call of each side returns loss and gradients for the check; later ones take steps.
    """
    import torch

    torch.set_num_threads(1)
    theirs = {}
    for path, leaf in ad.tree_items(params):
        host = np.array(leaf)
        if path.split("/")[-1] in transposed and host.ndim in PEER_LAYOUT:
            host = np.ascontiguousarray(host.transpose(PEER_LAYOUT[host.ndim]))
        theirs[path] = torch.nn.Parameter(torch.from_numpy(host))
    peer_loss = build(theirs)
    torch_adam = torch.optim.Adam(theirs.values(), lr=1e-4)
    state = {"params": params}
    adam, evaluate = Adam(1e-4), ad.value_and_grad(loss)
    called = {"ours": False, "peer": False}

    def ours():
        if not called["ours"]:
            called["ours"] = True
            value, grads = evaluate(params)
            return float(value), ad.tree_leaves(grads)
        for _ in range(STEPS):
            value, grads = evaluate(state["params"])
            state["params"] = adam.step(state["params"], grads)
        return float(value)

    def peer():
        if not called["peer"]:
            called["peer"] = True
            value = peer_loss()
            value.backward()
            grads = []
            for path, parameter in theirs.items():
                g = parameter.grad.numpy()
                if path.split("/")[-1] in transposed and g.ndim in PEER_LAYOUT:
                    g = g.transpose(np.argsort(PEER_LAYOUT[g.ndim]))
                grads.append(g.copy())
            return value.item(), grads
        for _ in range(STEPS):
            torch_adam.zero_grad()
            value = peer_loss()
            value.backward()
            torch_adam.step()
        return value.item()

    return ours, peer, _same


def _mlp() -> Prepared:
    rng = generator(0)
    params = nn.mlp_init(rng, [784, 256, 256, 10])
    x = rng.standard_normal((128, 784)).astype(np.float32)
    labels = rng.integers(0, 10, 128)

    def loss(p):
        return ad.mean(ad.cross_entropy(nn.mlp(p, x), labels))

    def build(theirs):
        import torch
        from torch.nn import functional as F

        xt, yt = torch.from_numpy(x), torch.from_numpy(labels)

        def peer_loss():
            h = xt
            for i in range(3):
                h = F.linear(h, theirs[f"{i}/weight"], theirs[f"{i}/bias"])
                h = F.relu(h) if i < 2 else h
            return F.cross_entropy(h, yt)

        return peer_loss

    return _compare(params, loss, build, {"weight"})


def _conv_net() -> Prepared:
    rng = generator(0)
    params = {
        "one": nn.conv_init(rng, 1, 16),
        "two": nn.conv_init(rng, 16, 32),
        "three": nn.conv_init(rng, 32, 32),
        "out": nn.dense_init(rng, 32, 10),
    }
    x = rng.standard_normal((64, 28, 28, 1)).astype(np.float32)
    labels = rng.integers(0, 10, 64)

    def loss(p):
        h = nn.conv(p["one"], x, pad=1, activation="relu")
        h = nn.conv(p["two"], h, stride=2, pad=1, activation="relu")
        h = nn.conv(p["three"], h, stride=2, pad=1, activation="relu")
        logits = nn.dense(p["out"], ad.mean(h, axis=(1, 2)))
        return ad.mean(ad.cross_entropy(logits, labels))

    def build(theirs):
        import torch
        from torch.nn import functional as F

        xt = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
        yt = torch.from_numpy(labels)

        def peer_loss():
            h = xt
            for name, stride in (("one", 1), ("two", 2), ("three", 2)):
                weight, bias = theirs[f"{name}/weight"], theirs[f"{name}/bias"]
                h = F.relu(F.conv2d(h, weight, bias, stride=stride, padding=1))
            h = F.linear(h.mean(dim=(2, 3)), theirs["out/weight"], theirs["out/bias"])
            return F.cross_entropy(h, yt)

        return peer_loss

    return _compare(params, loss, build, {"weight"})


def _transformer() -> Prepared:
    rng = generator(0)
    batch, length, width, heads, layers, classes = 32, 64, 64, 4, 3, 32
    params = {
        "embedding": nn.embedding_init(rng, classes, width),
        "positions": nn.normal(rng, (length, width)),
        "blocks": [nn.transformer_block_init(rng, width) for _ in range(layers)],
        "norm": nn.norm_init(rng, width),
        "out": nn.dense_init(rng, width, classes),
    }
    ids = rng.integers(0, classes, (batch, length))
    labels = rng.integers(0, classes, (batch, length))
    mask = np.tril(np.ones((length, length), dtype=bool))

    def loss(p):
        h = nn.embedding(p["embedding"], ids) + p["positions"]
        for block in p["blocks"]:
            h = nn.transformer_block(block, h, heads=heads, mask=mask)
        logits = nn.dense(p["out"], nn.layer_norm(p["norm"], h))
        return ad.mean(ad.cross_entropy(logits, labels))

    def build(theirs):
        import torch
        from torch.nn import functional as F

        idt, yt, maskt = (torch.from_numpy(a) for a in (ids, labels.ravel(), mask))

        def norm(name, h):
            return F.layer_norm(h, (width,), theirs[f"{name}/scale"], theirs[f"{name}/shift"])

        def dense(name, h):
            return F.linear(h, theirs[f"{name}/weight"], theirs[f"{name}/bias"])

        def split(h):
            return h.view(batch, length, heads, width // heads).transpose(1, 2)

        def peer_loss():
            h = theirs["embedding/table"][idt] + theirs["positions"]
            for i in range(layers):
                b, y = f"blocks/{i}", norm(f"blocks/{i}/attention_norm", h)
                q, k, v = (
                    split(dense(f"{b}/attention/{part}", y)) for part in ("query", "key", "value")
                )
                seen = F.scaled_dot_product_attention(q, k, v, attn_mask=maskt)
                h = h + dense(f"{b}/attention/output", seen.transpose(1, 2).flatten(2))
                up = F.gelu(dense(f"{b}/up", norm(f"{b}/dense_norm", h)), approximate="tanh")
                h = h + dense(f"{b}/down", up)
            return F.cross_entropy(dense("out", norm("norm", h)).flatten(0, 1), yt)

        return peer_loss

    return _compare(params, loss, build, {"weight"})


ROWS = (
    Row("transformer training step, 3 layers d=64, 32 x 64 tokens", "PyTorch", 0.5, _transformer),
    Row("conv net training step, 3 layers, 64 images 28 x 28", "PyTorch", 0.5, _conv_net),
    Row("MLP training step, 784-256-256-10, batch 128", "PyTorch", 0.5, _mlp),
)
