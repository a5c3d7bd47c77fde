"""Training steps of networks against PyTorch and compiled JAX, on one thread, in single precision.

Both sides begin with the same weights and take the same step: loss, gradients and Adam.  The check
compares losses and gradients before any step is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cpu import Prepared, Row, Work
from benchmarks.limits import Demand
from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import generator
from gaussbook.optim import Adam

STEPS = 5  # timed together
PEER_LAYOUT = {2: (1, 0), 4: (3, 2, 0, 1)}  # PyTorch keeps outputs first
Network = tuple[Any, Callable, Callable, Callable]  # parameters, our loss, and how to make a peer's


def _same(ours: tuple, peer: tuple) -> None:
    """Compare losses and gradients; afterwards the two are only timed."""
    np.testing.assert_allclose(ours[0], peer[0], rtol=1e-4)
    for a, b in zip(ours[1], peer[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-4 * np.abs(b).max() + 1e-7)


def _ours(params: Any, loss: Callable) -> Work:
    """Return our work: loss and gradients at the first call, steps of Adam at later ones."""
    state, adam, evaluate = {"params": params, "called": False}, Adam(1e-4), ad.value_and_grad(loss)

    def work():
        if not state["called"]:
            state["called"] = True
            value, grads = evaluate(params)
            return float(value), ad.tree_leaves(grads)
        for _ in range(STEPS):
            value, grads = evaluate(state["params"])
            state["params"] = adam.step(state["params"], grads)
        return float(value)

    return work


def _pytorch(network: Callable[[], Network]) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        import torch

        torch.set_num_threads(1)
        params, loss, build, _ = network()
        theirs, transposed = {}, set()
        for path, leaf in ad.tree_items(params):
            host = np.array(leaf)
            if path.split("/")[-1] == "weight" and host.ndim in PEER_LAYOUT:
                host = np.ascontiguousarray(host.transpose(PEER_LAYOUT[host.ndim]))
                transposed.add(path)
            theirs[path] = torch.nn.Parameter(torch.from_numpy(host))
        peer_loss, called = build(theirs), []
        adam = torch.optim.Adam(theirs.values(), lr=1e-4)

        def peer():
            if not called:
                called.append(True)
                value = peer_loss()
                value.backward()
                grads = {path: parameter.grad.numpy() for path, parameter in theirs.items()}
                for path in transposed:
                    grads[path] = grads[path].transpose(np.argsort(PEER_LAYOUT[grads[path].ndim]))
                return value.item(), [g.copy() for g in grads.values()]
            for _ in range(STEPS):
                adam.zero_grad()
                value = peer_loss()
                value.backward()
                adam.step()
            return value.item()

        return _ours(params, loss), peer, _same

    return prepare


def _compiled(network: Callable[[], Network]) -> Callable[[], Prepared]:
    def prepare() -> Prepared:
        import jax
        import jax.numpy as jnp

        params, loss, _, peer_loss = network()
        evaluate = jax.value_and_grad(peer_loss)

        @jax.jit
        def step(state):
            theirs, first, second, count = state
            value, grads = evaluate(theirs)
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, grads)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, grads)
            rate = 1e-4 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
            theirs = jax.tree.map(
                lambda p, m, v: p - rate.astype(p.dtype) * m / (jnp.sqrt(v) + 1e-8),
                *(theirs, first, second),
            )
            return (theirs, first, second, count + 1), value

        theirs = jax.tree.map(jnp.asarray, params)
        zeros = jax.tree.map(jnp.zeros_like, theirs)
        kept = {"state": (theirs, zeros, zeros, jnp.float32(1)), "called": False}

        def peer():
            if not kept["called"]:
                kept["called"] = True
                value, grads = evaluate(theirs)
                step(kept["state"])  # compiles
                found = dict(ad.tree_items(grads))  # JAX sorts the names
                return float(value), [np.asarray(found[path]) for path, _ in ad.tree_items(params)]
            for _ in range(STEPS):
                kept["state"], value = step(kept["state"])
            return float(value)

        return _ours(params, loss), peer, _same

    return prepare


def _jax_cross_entropy(logits: Any, labels: np.ndarray) -> Any:
    import jax
    import jax.numpy as jnp

    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], axis=-1)
    return -jnp.mean(chosen)


def _mlp() -> Network:
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

    def compiled(p):
        import jax.numpy as jnp

        h = x
        for i, layer in enumerate(p):
            h = h @ layer["weight"] + layer["bias"]
            h = jnp.maximum(h, 0) if i < 2 else h
        return _jax_cross_entropy(h, labels)

    return params, loss, build, compiled


def _conv_net() -> Network:
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

    def compiled(p):
        import jax
        import jax.numpy as jnp

        h = x
        for name, stride in (("one", 1), ("two", 2), ("three", 2)):
            h = jax.lax.conv_general_dilated(
                *(h, p[name]["weight"], (stride, stride), [(1, 1), (1, 1)]),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )
            h = jnp.maximum(h + p[name]["bias"], 0)
        h = jnp.mean(h, axis=(1, 2)) @ p["out"]["weight"] + p["out"]["bias"]
        return _jax_cross_entropy(h, labels)

    return params, loss, build, compiled


def _transformer() -> Network:
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

    def compiled(p):
        import jax
        import jax.numpy as jnp

        def norm(params, h):
            centred = h - jnp.mean(h, axis=-1, keepdims=True)
            variance = jnp.mean(centred**2, axis=-1, keepdims=True)
            return centred / jnp.sqrt(variance + 1e-5) * params["scale"] + params["shift"]

        def dense(params, h):
            return h @ params["weight"] + params["bias"]

        def split(h):
            return h.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)

        h = p["embedding"]["table"][ids] + p["positions"]
        for b in p["blocks"]:
            y = norm(b["attention_norm"], h)
            q, k, v = (split(dense(b["attention"][part], y)) for part in ("query", "key", "value"))
            scores = q @ k.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width // heads))
            seen = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ v
            seen = seen.transpose(0, 2, 1, 3).reshape(batch, length, width)
            h = h + dense(b["attention"]["output"], seen)
            up = jax.nn.gelu(dense(b["up"], norm(b["dense_norm"], h)), approximate=True)
            h = h + dense(b["down"], up)
        return _jax_cross_entropy(dense(p["out"], norm(p["norm"], h)), labels)

    return params, loss, build, compiled


# Forward and backward take three products for each weight and row, the first layer two, since
# nobody asks for the gradient of the data: 6 or 4 flops times their numbers.
_WORK = (
    (
        "transformer training step, 3 layers d=64, 32 x 64 tokens",
        _transformer,
        Demand(flops=STEPS * 6 * 32 * 64 * (3 * 12 * 64**2 + 64 * 32), dtype=np.float32),
    ),
    (
        "conv net training step, 3 layers, 64 images 28 x 28",
        _conv_net,
        Demand(
            flops=STEPS * 64 * 9 * (4 * 28**2 * 16 + 6 * (14**2 * 16 * 32 + 7**2 * 32 * 32)),
            dtype=np.float32,
        ),
    ),
    (
        "MLP training step, 784-256-256-10, batch 128",
        _mlp,
        Demand(flops=STEPS * 128 * (4 * 784 * 256 + 6 * (256**2 + 2560)), dtype=np.float32),
    ),
)
ROWS = tuple(
    Row(work, peer, target, prepare(network), demand=demand)
    for work, network, demand in _WORK
    for peer, target, prepare in (("PyTorch", 0.5, _pytorch), ("JAX, compiled", 0.7, _compiled))
)
