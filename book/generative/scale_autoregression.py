# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,-all
#     default_lexer: ipython3
#     formats: ipynb,md:myst,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # M-VAR: Decoupled Scale-wise Autoregressive Modeling
#
# ```{paper-card}
# ```
#
# A painter begins with a rough sketch and refines it. A *scale-wise autoregressive model* (VAR)
# paints in the same way. It draws one symbol for the whole picture, then four for its quarters,
# then nine, and each finer map is drawn at one go by a transformer that looks at all coarser ones.
# That look has two halves. A symbol looks at its neighbours on its own map, and it looks back at
# the coarser maps.
#
# {cite:t}`scale_autoregression` take the halves apart. Attention stays, but only inside a map. The
# look back is left to a *state-space layer* (Mamba), which reads all maps in one pass and
# remembers a summary. The paper says that the model becomes better, smaller and faster. Its images
# need hardware and weights that we do not have, but its ledger needs only arithmetic, and what
# each half can do can be tested on channels whose entropy is known. There each half does what the
# paper says, and only that. On small images the new half alone does all the work. And the saving
# comes from somewhere else: from fewer layers, not from cheaper ones.
#
# ## What the paper claims
#
# 1. Scale-wise modelling splits into a part inside a scale and a part between scales, and the
#    second is the costly one. The models have 310 M, 600 M, 1.0 B and 2.0 B parameters (VAR with
#    16, 20, 24 and 30 layers) and 1.5 B (M-VAR with 24). {claims}`C1.a, C1.b, C1.c, C1.d, C1.e`
# 2. Replacing attention between scales by a layer of linear cost makes the model cheaper. The 1.5
#    B model is faster than the 2 B one. {claims}`C2.a, C2.b, C2.b2, C2.c, C2.d`
# 3. (Ours.) The layers are what they should be: the state-space layer has four forms that agree,
#    no information flows from fine to coarse, and inside a scale it flows both ways.
#    {claims}`C3.a, C3.b, C3.b2, C3.c, C3.d`
# 4. The state-space layer suffices between scales, and attention is needed inside one.
#    {claims}`C4.a, C4.a2, C4.a3, C4.b, C4.b2, C4.c`
# 5. M-VAR models images better than VAR: 1.5 B parameters against 2 B. Here, on digits.
#    {claims}`C5.a, C5.a2, C5.b, C5.c, C5.c2, C5.d`
# 6. M-VAR's samples are better, with a Fréchet distance (FID) of 1.78 on ImageNet at 256 × 256
#    pixels (32 layers). Here, on digits, against a simple baseline. {claims}`C6.a, C6.a2, C6.a3,
#    C6.b, C6.b2`
# 7. The part inside a scale is the one that matters for quality. {claims}`C7.a, C7.a2`
#
# Not tested here: the FID of 1.78 and its margins over LlamaGen and VAR (0.40 and 0.19) and over
# LDM and DiT (1.82 and 0.49), which imply 2.18, 1.97, 3.60 and 2.27. VAR's own page confirms the
# 1.97, and lists 1.80 with rejection sampling, which would leave a margin of 0.02. Reviewers of a
# withdrawn version noted that 32 layers of M-VAR are 3 B parameters against VAR's 2 B, and that an
# image takes 1.0 s instead of 0.7 s.
#
# **What our numbers rest on.** We read the abstract, the public reviews, and the code and notes of
# both projects ([OliverRensu/MVAR](https://github.com/OliverRensu/MVAR) and FoundationVision/VAR).
# The full text was not available, so that its tables beyond the abstract's numbers are not found
# here. The state-space layer is imported there from a package; its equations and starting values
# below are the textbook's.
#
# ## The idea
#
# **Tokens.** A picture becomes a feature map $f$ of $h\times h$ vectors. It is written as a sum of
# *token maps* $r_1,\dots,r_S$ with sides $p_1<\dots<p_S=h$. Starting from $\hat f=0$, for each
# scale $s$ the rest $f-\hat f$ is averaged down to $p_s\times p_s$, every vector is replaced by
# the number of its nearest codeword out of $V$, and the codewords, interpolated up to $h\times h$,
# are added to $\hat f$:
#
# $$
# r_s=\operatorname{nearest}\bigl(\operatorname{down}_{p_s}(f-\hat f)\bigr),\qquad
# \hat f\leftarrow\hat f+\operatorname{up}_h(\text{codeword}(r_s)).
# $$ (eq-mvar-tokens)
#
# Scale $s$ has $n_s=p_s^2$ tokens, all scales together $L=\sum_sn_s$. For ImageNet at 256 pixels
# the sides are 1, 2, 3, 4, 5, 6, 8, 10, 13, 16 and $L=680$.
#
# **The factorisation.** With $r_{s,i}$ the tokens of scale $s$,
#
# $$
# p(r_1,\dots,r_S)=\prod_{s=1}^S\prod_{i=1}^{n_s}p(r_{s,i}\mid r_1,\dots,r_{s-1}).
# $$ (eq-mvar-factor)
#
# All tokens of one scale are drawn at once and independently, given the coarser scales. The
# network's input at scale $s$ is $\operatorname{down}_{p_s}(\hat f)$ of what the coarser scales
# have made, one vector for each token to be drawn. At scale 1 it is a vector for the wanted class.
#
# **VAR and M-VAR.** In VAR a token looks at all tokens of its own and of coarser scales. M-VAR's
# block has three parts: attention inside a scale and in both directions, a state-space layer along
# all scales, and a dense network for each token, the FFN. Each begins with a layer norm LN and is
# modulated by three of nine vectors $\gamma,\alpha,\beta$ that a small layer computes from the
# class:
#
# $$
# \begin{aligned}
# x&\mathrel{+}=\gamma_1\,\mathrm{Attn}\bigl((1+\alpha_1)\,\mathrm{LN}\,x+\beta_1\bigr) && \text{inside a scale},\\
# x&\mathrel{+}=\gamma_2\,\mathrm{SSM}\bigl((1+\alpha_2)\,\mathrm{LN}\,x+\beta_2\bigr) && \text{along all scales},\\
# x&\mathrel{+}=\gamma_3\,\mathrm{FFN}\bigl((1+\alpha_3)\,\mathrm{LN}\,x+\beta_3\bigr) && \text{each token alone}.
# \end{aligned}
# $$ (eq-mvar-block)
#
# **The state-space layer** (SSM, here Mamba-2). The tokens $t=1,\dots,L$ of all scales stand in
# one row. From each, linear maps make an input $x_t\in\mathbb R^P$, a key $B_t$ and a query
# $C_t\in\mathbb R^N$ and a step $\Delta_t>0$. A matrix $H\in\mathbb R^{N\times P}$ is the memory,
#
# $$
# H_t=e^{-a\Delta_t}H_{t-1}+\Delta_tB_tx_t^\top,\qquad y_t=H_t^\top C_t+Dx_t .
# $$ (eq-mvar-recurrence)
#
# It forgets at the rate $a>0$. Unrolling the recursion turns it into a product with a triangular
# matrix,
#
# $$
# Y=(\Lambda\odot CB^\top)\operatorname{diag}(\Delta)X+DX,\qquad
# \Lambda_{ij}=\exp\Bigl(-a\sum_{r=j+1}^i\Delta_r\Bigr)\ \text{ for }i\ge j,
# $$ (eq-mvar-dual)
#
# and 0 for $i<j$. That is attention without a softmax and with a decay. It costs $O(L^2)$ in this
# form and $O(L)$ in the other.
#
# ## The method in code
#
# ### The ledger
#
# Let the network have $d$ layers of width $C$; both models take $C=64\,d$. What is there to count?
#
# **Pairs.** Attention compares pairs of tokens. Inside scales there are $\sum_sn_s^2$ of them, and
# VAR has
#
# $$
# \sum_sn_s\sum_{j\le s}n_j=\tfrac12\Bigl(L^2+\sum_sn_s^2\Bigr).
# $$ (eq-mvar-pairs)
#
# **Parameters.** One layer of attention has $4C^2$ (query, key, value, output), the FFN, which
# widens to $4C$, has $8C^2$, and the modulation has $3C^2$ for each part of the block. The SSM has
# $4C^2$ on its way in, as it works at width $2C$ and has a gate, and $2C^2$ on its way out. VAR:
# $4+8+6=18\,C^2$. M-VAR: $4+6+8+9=27\,C^2$. The modulation acts once for each image, so that a
# token costs $12C^2$ multiplications in VAR's linear maps and $18C^2$ in M-VAR's.
#
# **Attention** takes $2C$ multiplications for each pair, one for the comparison and one for the
# weighted sum. M-VAR thus saves $2C$ times the difference of the pairs, $C(L^2-\sum n_s^2)$, and
# adds $6C^2L$. It gains where
#
# $$
# L\,\Bigl(1-\frac{\sum_sn_s^2}{L^2}\Bigr)>6\,C .
# $$ (eq-mvar-breakeven)

# %%
from time import process_time

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.mixture import assign, k_means
from gaussbook.notebook import say
from gaussbook.optim import AdamW, cosine_decay, warm_up
from gaussbook.plotting import PALETTE, figure, slider
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.transport import bures_wasserstein

claims = Claims("scale_autoregression")
xp = backend()

# %%
SCHEDULES = {
    "toy": (1, 2, 3, 4),
    "256 px": (1, 2, 3, 4, 5, 6, 8, 10, 13, 16),
    "512 px": (1, 2, 3, 4, 6, 9, 13, 18, 24, 32),
}


def pairs(sides):
    """Length L, pairs of VAR's attention, pairs inside scales."""
    n = np.square(sides)
    return int(n.sum()), int(n @ np.cumsum(n)), int(n @ n)


rows = [[name, *pairs(p), pairs(p)[1] / pairs(p)[2]] for name, p in SCHEDULES.items()]
columns = ["schedule", "tokens L", "pairs, VAR", "pairs, M-VAR", "ratio"]
table(rows, columns, "Pairs of tokens that attention compares, for each head and layer")


# %% [markdown]
# The small terms matter once we want the printed digits: biases, embeddings of 1000 classes and
# one for "no class", of positions and of scales, the map of 32 features into the network, the head
# with its own modulation, and in the SSM a filter over four neighbours, $N=64$ memory rows and
# heads of 64 channels.

# %%
def parameters(depth, ssm, sides=SCHEDULES["256 px"], V=4096, features=32, N=64, P=64):
    """Parameters by their place in a network of width C = 64 depth."""
    C, L, E = 64 * depth, pairs(sides)[0], 128 * depth
    heads, mixed = E // P, E + 2 * N
    layer = {
        "attention": 4 * C**2 + 3 * C + depth,
        "SSM": ssm * (C * (E + mixed + heads) + 5 * mixed + 3 * heads + E + E * C),
        "FFN": 8 * C**2 + 5 * C,
        "modulation": (2 + ssm) * 3 * (C**2 + C),
    }
    count = {name: depth * number for name, number in layer.items()}
    ends = (1001 + 1 + L + len(sides) + features + 1) * C
    count["ends"] = ends + 2 * (C**2 + C) + V * (C + 1)
    return count


PRINTED = {("VAR", 16): 310, ("VAR", 20): 600, ("VAR", 24): 1000, ("VAR", 30): 2000}
PRINTED |= {("M-VAR", 16): None, ("M-VAR", 20): None, ("M-VAR", 24): 1500, ("M-VAR", 32): None}
ledger = {key: parameters(key[1], key[0] == "M-VAR") for key in PRINTED}
millions = {key: sum(count.values()) / 1e6 for key, count in ledger.items()}

# %% tags=["hide-input"]
n = np.repeat(np.arange(4), np.square(SCHEDULES["toy"]))
seen = np.where(n[:, None] == n, 2, np.where(n[:, None] > n, 1, 0))
alt = """Left: a matrix of tokens, in which the blocks on the diagonal, one for each scale, are dark
and the part below them is light. Right: stacked bars of parameters for eight networks. In M-VAR's bars
modulation and the dense part are the largest pieces, then the state-space layer, then attention."""
caption = """Left: who sees whom, with scales of 1, 4, 9 and 16 tokens. VAR's attention covers both shades,
M-VAR's the dark blocks only; the light part is the state-space layer's. Right: where the parameters are."""
with figure(1, 2, alt=alt, caption=caption, width=8.0, height=3.5) as axes:
    axes[0].imshow(seen, cmap="Blues", vmin=0, vmax=3)
    axes[0].set(xlabel="token that is seen", ylabel="token that looks")
    axes[0].grid(False)
    base = np.zeros(len(ledger))
    colours = ("blue", "vermilion", "sky", "orange", "black")
    for part, colour in zip(ledger["VAR", 16], colours, strict=True):
        height = np.array([count[part] / 1e9 for count in ledger.values()])
        axes[1].bar(range(len(ledger)), height, bottom=base, color=PALETTE[colour], label=part)
        base += height
    names = [f"{name}\n{d}" for name, d in ledger]
    axes[1].set_xticks(range(len(ledger)), names, fontsize=7)
    axes[1].set(ylabel="parameters (billions)", xlabel="model, layers")
    axes[1].legend(fontsize=8)

# %%
ratio = {name: row[-1] for name, row in zip(SCHEDULES, rows, strict=True)}
claims.check("C1.a", "pairs of VAR over pairs inside scales, 256 px", measured=ratio["256 px"],
             equals=286434 / 110468, within=1e-9, own=True)  # fmt: skip
claims.check("C1.b", "the same, 512 px", measured=ratio["512 px"],
             equals=3269850 / 1522100, within=1e-9, own=True)  # fmt: skip
var = [key for key in PRINTED if key[0] == "VAR"]
wrong = sum(float(f"{millions[key]:.2g}") != PRINTED[key] for key in var)
claims.check("C1.c", "VAR with 16, 20, 24, 30 layers: counts that do not round to the printed ones",
             measured=wrong, equals=0, paper="310 M, 600 M, 1.0 B, 2.0 B")  # fmt: skip
claims.check("C1.d", "parameters of M-VAR with 24 layers", measured=millions["M-VAR", 24] / 1e3,
             equals=1.55, within=0.005, unit="billions", paper="1.5 B")  # fmt: skip
claims.report_value("C1.e", "parameters of M-VAR with 32 layers", unit="billions",
                    measured=millions["M-VAR", 32] / 1e3, paper="3 B (reviewers)")  # fmt: skip

# %%
big = ledger["M-VAR", 24]
share = {part: 100 * number / sum(big.values()) for part, number in big.items()}
inside, causal = pairs(SCHEDULES["256 px"])[2], pairs(SCHEDULES["256 px"])[1]
say(f"""We count {millions["VAR", 30]:.0f} M for VAR with 30 layers and {millions["M-VAR", 24]:.0f} M for
M-VAR with 24. In the latter {share["attention"]:.0f} % of the parameters belong to attention inside a scale,
{share["SSM"]:.0f} % to the state-space layer between scales, {share["FFN"]:.0f} % to the dense part and
{share["modulation"]:.0f} % to the modulation, which acts once for each image. Of the pairs that VAR compares,
{100 * (1 - inside / causal):.0f} % lie between scales.""")


# %% [markdown]
# The claim of cost is about whole models of 24 and 30 layers, and there it is true. But does the
# *layer* get cheaper? We count multiplications for an image. The recurrence takes about six for
# each of $2C\cdot N$ entries of memory.

# %%
def multiplications(depth, ssm, sides, C=None, N=64):
    """Multiplications of linear maps, attention pairs and recurrence for an image."""
    C, (L, causal, inside) = C or 64 * depth, pairs(sides)
    linear = (18 if ssm else 12) * C**2 * L
    looks = 2 * C * (inside if ssm else causal)
    return depth * np.array([linear, looks, ssm * 6 * L * 2 * C * N])


def per_token(depth, ssm):
    """Multiplications of the linear maps for a token."""
    return (18 if ssm else 12) * (64 * depth) ** 2 * depth


whole = {key: multiplications(key[1], key[0] == "M-VAR", SCHEDULES["256 px"]) for key in ledger}
rows = [[f"{name}, {d} layers", millions[name, d], *work / 1e9, work.sum() / 1e9]
        for (name, d), work in whole.items()]  # fmt: skip
columns = ["model", "parameters (M)", "linear maps (10⁹)", "attention (10⁹)", "recurrence (10⁹)",
           "all (10⁹)"]  # fmt: skip
table(rows, columns, "Multiplications for one image of 256 px, one pass without guidance")

# %%
L, C, total = pairs(SCHEDULES["256 px"])[0], 64 * 16, {key: w.sum() for key, w in whole.items()}
claims.check("C2.a", "linear work for a token: M-VAR with 24 layers over VAR with 30",
             measured=per_token(24, True) / per_token(30, False), equals=0.768, within=5e-4,
             paper="1.5 B faster than 2 B")  # fmt: skip
equal = total["M-VAR", 24] / total["VAR", 24]
words = "all multiplications for an image of 256 px at equal depth 24: M-VAR over VAR"
claims.check("C2.b", words, measured=equal, at_most=1, paper="cheaper",
             not_reproduced="the SSM's maps cost more than the attention saved")  # fmt: skip
claims.check("C2.b2", words, measured=equal, between=(1.4, 1.6), own=True)
claims.check("C2.c", "256 px, C = 1024: attention saved over the work of the SSM's maps",
             measured=2 * C * (causal - inside) / (6 * C**2 * L), at_most=0.1, own=True)  # fmt: skip

ratios = [multiplications(d, True, SCHEDULES[name]).sum() / multiplications(d, False, SCHEDULES[name]).sum()
          for name in ("256 px", "512 px") for d in (16, 20, 24, 30, 32)]  # fmt: skip
claims.check("C2.d", "the same as C2.b, smallest ratio over both sizes and 16 to 32 layers",
             measured=min(ratios), at_least=1.1, own=True)  # fmt: skip


# %%
def break_even(C, sides):
    """Tokens at which M-VAR's layer is as cheap as VAR's, for a schedule of these proportions."""
    L, _, inside = pairs(sides)
    return 6 * C / (1 - inside / L**2)


longer = break_even(1024, SCHEDULES["256 px"])
say(f"""For C = 1024 a layer of M-VAR becomes cheaper than one of VAR at {longer:.0f} tokens,
{longer / L:.0f} times as many as an image of 256 pixels has; for wider networks at more. M-VAR with 24
layers does {total["M-VAR", 24] / total["VAR", 30]:.2f} times the work of VAR with 30, and {equal:.2f} times
the work of VAR with 24.""")

# %% [markdown]
# So the saving of M-VAR with 24 layers is an effect of its depth and width, not of the new layer.
# If it is as good as VAR with 30 layers, the layer has earned it by quality and not by price. What
# can it do?
#
# ### The layers
#
# **The state-space layer**, in matrix form {eq}`eq-mvar-dual`. In front of it stands a filter over
# the last four tokens, behind it a gate and a norm of the root mean square (RMS) whose own gain
# the last linear map absorbs. All arrays begin with the axes (network, image, token), so that
# networks of one shape are trained side by side. A `cache` makes the layer stream: it holds the
# memory $H$ and the last three inputs of the filter, and adds what the past contributes,
# $e^{-a\sum\Delta}H^\top C$.

# %%
WIDTH, HEADS, LAYERS = scale(default=(32, 2, 1), paper=(256, 8, 6))
N, P = scale(default=(16, 32), paper=(64, 64))


def ssm_init(rng, C):
    """Textbook start: a in [1, 16], Delta log-uniform in [0.001, 0.1], D = 1."""
    E, heads = 2 * C, 2 * C // P
    into = nn.dense_init(rng, C, E + 2 * N + heads)
    delta = xp.exp(rng.uniform(np.log(1e-3), np.log(1e-1), heads))
    into["bias"][-heads:] = xp.astype(delta + xp.log(-xp.expm1(-delta)), xp.float32)
    log_a = xp.astype(xp.log(rng.uniform(1, 16, heads)), xp.float32)
    taps = nn.normal(rng, (4, E + 2 * N), scale=0.5)
    return {"gate": nn.dense_init(rng, C, E), "into": into, "taps": taps, "log_a": log_a,
            "D": xp.ones_like(log_a), "out": nn.dense_init(rng, E, C)}  # fmt: skip


# %%
def project(params, u, cache):
    """Gate, filtered x, B, C, and Delta of the tokens u (M, images, L, width)."""
    E = params["out"]["weight"].shape[-2]
    h = nn.dense(params["into"], u)
    mixed, Delta = h[..., : E + 2 * N], ad.softplus(h[..., E + 2 * N :])
    start = xp.zeros((*u.shape[:2], 3, mixed.shape[-1]), dtype=u.dtype)
    row = ad.concat([cache.get("inputs", start), mixed], axis=2)
    cache["inputs"] = row[:, :, -3:, :]
    w = ad.causal_conv(row, params["taps"], "silu")
    gate = nn.dense(params["gate"], u, "silu")
    return gate, w[..., :E], w[..., E : E + N], w[..., E + N :], Delta


# %%
def by_head(x):
    """(M, images, L, heads, ...) to (M, images, heads, L, ...)."""
    return ad.permute_dims(x, (0, 1, 3, 2, *range(4, x.ndim)))


def finish(params, y, gate):
    """Gate, RMS norm, map back to the width of the network."""
    y = ad.reshape(y, gate.shape) * gate
    return nn.dense(params["out"], nn.rms_norm({"scale": xp.ones(y.shape[-1], dtype=y.dtype)}, y))


def ssm(params, u, cache):
    """The layer in matrix form, from the state in the cache on."""
    gate, x, B, C, Delta = project(params, u, cache)
    a = ad.exp(params["log_a"])[:, None, None, :]
    decay = by_head(ad.cumsum(-a * Delta, axis=2))
    x = ad.reshape(x, (*Delta.shape, P))
    weighted = by_head(Delta[..., None] * x)
    Y = by_head(ad.decayed_attention(C, B, weighted, decay))
    Y = Y + params["D"][:, None, None, :, None] * x
    if "H" in cache:
        Y = Y + by_head(ad.exp(decay)[..., None] * (C[:, :, None] @ cache["H"]))
    return finish(params, Y, gate), (decay, B, weighted)


# %%
def remember(cache, decay, B, weighted):
    """The memory H after the tokens of a chunk."""
    last = decay[..., -1:]
    fresh = ad.matrix_transpose(B)[:, :, None] @ (ad.exp(last - decay)[..., None] * weighted)
    cache["H"] = fresh + (ad.exp(last)[..., None] * cache["H"] if "H" in cache else 0)


# %% [markdown]
# **The network.** Its parts are named in `MODELS`: VAR has attention with the block-causal mask,
# M-VAR attention inside scales and an SSM. Two more serve as controls, each lacking one half. The
# modulation's rows for $\gamma$ begin near zero, so that every block begins as the identity.

# %%
MODELS = {
    "VAR": ("block-causal", False),
    "M-VAR": ("inside", True),
    "intra-only": ("inside", False),
    "SSM-only": (None, True),
}


def masks(sides):
    """The scale of each token, and who may look at whom."""
    of = np.repeat(np.arange(len(sides)), np.square(sides))
    return of, {"block-causal": of[:, None] >= of, "inside": of[:, None] == of}


# %%
GAMMA_START = 1e-2


def block_init(rng, C, attention, with_ssm):
    """One block of the parts that a model has."""
    parts = 1 + (attention is not None) + with_ssm
    block = {"up": nn.dense_init(rng, C, 4 * C), "down": nn.dense_init(rng, 4 * C, C)}
    block["modulation"] = nn.dense_init(rng, C, 3 * parts * C)
    for k in range(parts):
        block["modulation"]["weight"][:, 3 * k * C : (3 * k + 1) * C] *= GAMMA_START
    if attention is not None:
        block |= {"qkv": nn.dense_init(rng, C, 3 * C), "merge": nn.dense_init(rng, C, C)}
    return block | ({"ssm": ssm_init(rng, C)} if with_ssm else {})


# %%
def network_init(rng, model, sides, features, V, classes, C=WIDTH, layers=LAYERS):
    """Random weights of one network."""
    return {
        "input": nn.dense_init(rng, features, C),
        "class": nn.embedding_init(rng, classes, C, scale=0.3),
        "position": nn.normal(rng, (pairs(sides)[0], C)),
        "level": nn.normal(rng, (len(sides), C)),
        "blocks": [block_init(rng, C, *MODELS[model]) for _ in range(layers)],
        "modulation": nn.dense_init(rng, C, 2 * C),
        "head": nn.dense_init(rng, C, V),
    }


def stack(models, seeds, sides, *sizes, **options):
    """Networks of one shape along a leading axis, their masks, and the scales of the tokens."""
    nets = [network_init(generator(k), m, sides, *sizes, **options) for m in models for k in seeds]
    of, mask = masks(sides)
    mask = [mask.get(MODELS[m][0], of[:, None] < 0) for m in models for _ in seeds]
    form = {"mask": to_device(np.stack(mask)), "level": to_device(1.0 * (of[:, None] == np.unique(of)))}
    return ad.tree_map(lambda *leaves: xp.stack(leaves), *nets), form


# %%
def modulated(x, shift):
    """(1 + alpha) LN x + beta."""
    alpha, beta = shift
    one = xp.ones(x.shape[-1], dtype=x.dtype)
    return ad.layer_norm(x, one, 0 * one) * (1 + alpha) + beta


def attend(block, x, mask, seen):
    """Attention of the tokens to those that the mask (M, L, L) shows."""
    M, images, L, C = x.shape
    qkv = ad.reshape(nn.dense(block["qkv"], x), (M * images, L, 3 * C))
    q, k, v = (qkv[..., i * C : (i + 1) * C] for i in range(3))
    each = xp.repeat(mask, images, axis=0)[:, None]
    if seen is not None:
        seen.append(attention_weights(q, k, each))
    looked = ad.attention(q, k, v, heads=HEADS, mask=each)
    return nn.dense(block["merge"], ad.reshape(looked, (M, images, L, C)))


def attention_weights(q, k, mask):
    """softmax(Q K' / sqrt(d)), mean over the heads."""
    q, k = (by_head(xp.reshape(part, (1, *part.shape[:2], HEADS, -1))) for part in (q, k))
    scores = q @ xp.matrix_transpose(k) / q.shape[-1] ** 0.5
    return xp.mean(ad.softmax(xp.where(mask, scores, -xp.inf))[0], axis=1)


# %% [markdown]
# The forward pass follows {eq}`eq-mvar-block`. `span` says which tokens are computed, and `caches`
# makes the state-space layers go on from where they stopped.

# %%
def forward(params, form, features, labels, span=slice(None), caches=None, seen=None):
    """Logits (M, images, L, V) of the tokens whose inputs are (M, images, L, features)."""
    M, C, classes = features.shape[0], params["head"]["weight"].shape[-2], params["class"]["table"]
    rows = labels + classes.shape[1] * xp.arange(M)[:, None]
    c = nn.embedding({"table": ad.reshape(classes, (-1, C))}, rows)[:, :, None, :]
    level = xp.astype(form["level"], features.dtype) @ params["level"]
    start = xp.astype(xp.arange(level.shape[1]) == 0, features.dtype)[:, None]
    x = nn.dense(params["input"], features) + (params["position"] + level)[:, None, span, :]
    x, c = x + start[span, :] * c, ad.silu(c)
    for block, cache in zip(params["blocks"], caches or [{} for _ in params["blocks"]], strict=True):
        m = nn.dense(block["modulation"], c)
        m = iter([m[..., k : k + C] for k in range(0, m.shape[-1], C)])
        if "qkv" in block:
            gamma, *shift = next(m), next(m), next(m)
            x = x + gamma * attend(block, modulated(x, shift), form["mask"][:, span, span], seen)
        if "ssm" in block:
            gamma, *shift = next(m), next(m), next(m)
            y, state = ssm(block["ssm"], modulated(x, shift), cache)
            x = x + gamma * y
            if caches is not None:
                remember(cache, *state)
        gamma, *shift = next(m), next(m), next(m)
        x = x + gamma * nn.dense(block["down"], nn.dense(block["up"], modulated(x, shift), "gelu"))
    m = nn.dense(params["modulation"], c)
    return nn.dense(params["head"], modulated(x, (m[..., :C], m[..., C:])))


# %% [markdown]
# **Training** minimises the mean of $-\log_2p$ over all tokens, the cost in bits, for all networks
# of a stack at once. They share no weights, so that the sum of their costs trains each for itself.
# The optimiser is AdamW with the paper's weight decay of 0.05.

# %%
def bits(params, form, tokens, features, labels):
    """-log2 p of every token, shape (M, images, L)."""
    return ad.cross_entropy(forward(params, form, features, labels), tokens) / np.log(2)


def train(params, form, draw, steps, rng, rate=1e-2):
    """Train a stack on fresh batches (tokens, features, labels)."""
    def cost(params, *batch):
        return ad.sum(ad.mean(bits(params, form, *batch), axis=(1, 2)))

    adam = AdamW(warm_up(cosine_decay(rate, steps - steps // 10), steps // 10), weight_decay=0.05)
    return nn.fit(cost, params, draw, adam, steps=steps, rng=rng).params


# %% [markdown]
# ## Experiments
#
# ### Four forms of one layer
#
# The recurrence {eq}`eq-mvar-recurrence` as it is written, the matrix form, the matrix form in
# chunks of one scale each, and one token after the other with a cache: for the 680 tokens of an
# image of 256 pixels, in double precision and for three seeds at once, all four must agree.

# %%
def recurrence(params, u):
    """The layer by equation (recurrence), token by token."""
    gate, x, B, C, Delta = project(params, u, {})
    x, a = xp.reshape(x, (*Delta.shape, P)), xp.exp(params["log_a"])[:, None, :]
    H, Y = 0.0, []
    for t in range(u.shape[2]):
        fresh = B[:, :, t, None, :, None] * x[:, :, t, :, None, :]
        step = Delta[:, :, t, :, None, None]
        H = xp.exp(-a[..., None, None] * step) * H + step * fresh
        Y.append(xp.sum(H * C[:, :, t, None, :, None], axis=-2))
    return finish(params, xp.stack(Y, axis=2) + params["D"][:, None, None, :, None] * x, gate)


# %%
def in_chunks(params, u, ends):
    """The matrix form chunk by chunk, with a cache."""
    cache, parts = {}, []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        y, state = ssm(params, u[:, :, begin:end, :], cache)
        remember(cache, *state)
        parts.append(y)
    return xp.concat(parts, axis=2)


def double(tree):
    """The same numbers in double precision."""
    return ad.tree_map(lambda leaf: xp.astype(leaf, xp.float64), tree)


# %%
sides = SCHEDULES["256 px"]
layers = double(ad.tree_map(lambda *a: xp.stack(a), *(ssm_init(generator(k), 32) for k in range(3))))
u = generator(0).standard_normal((3, 1, pairs(sides)[0], 32))
forms = [ssm(layers, u, {})[0], recurrence(layers, u)]
forms += [in_chunks(layers, u, np.cumsum(np.square(sides))), in_chunks(layers, u, range(1, 681))]
off = max(float(xp.max(xp.abs(form - forms[0]))) for form in forms[1:])
claims.check("C3.a", "largest difference of recurrence, chunks and cached steps from the matrix form",
             measured=off, at_most=1e-9, seeds=3, own=True)  # fmt: skip


# %% [markdown]
# Who depends on whom? We change the inputs of one scale of fresh networks and look at which
# outputs move.

# %%
def moved(model, changed, watched):
    """Largest change of the logits at `watched` tokens when the inputs at `changed` ones change."""
    params, form = stack([model], [0], SCHEDULES["toy"], 4, 8, 1)
    params, x = double(params), generator(1).standard_normal((1, 1, 30, 4))
    other = xp.where(to_device(changed)[:, None], x + 1, x)
    label = xp.zeros((1, 1), dtype=xp.int64)
    a, b = (to_host(forward(params, form, inputs, label))[0, 0] for inputs in (x, other))
    return np.max(np.abs(a - b)[watched])


of, mask = masks(SCHEDULES["toy"])
used = {m: int(xp.sum(xp.astype(stack([m], [0], SCHEDULES["toy"], 4, 8, 1)[1]["mask"], xp.int64)))
        for m in ("VAR", "M-VAR")}  # fmt: skip
leaks = [moved(m, of == s, of < s) for m in ("VAR", "M-VAR") for s in (1, 2, 3)]
leaks += [moved("intra-only", of == s, of != s) for s in range(4)]
ahead = min(moved("M-VAR", np.arange(30) == e - 1, np.arange(30) == b) for b, e in ((1, 5), (5, 14)))
claims.check("C3.b", "pairs that M-VAR's attention sees, of 900 (VAR: 627)", measured=used["M-VAR"],
             equals=354, own=True)  # fmt: skip
claims.check("C3.b2", "pairs that VAR's attention sees", measured=used["VAR"], equals=627, own=True)
claims.check("C3.c", "largest influence of finer on coarser scales, and across scales of attention alone",
             measured=max(leaks), equals=0, own=True)  # fmt: skip
claims.check("C3.d", "M-VAR: log₁₀ of the smallest influence of the last token of a scale on its first",
             measured=np.log10(ahead), at_least=-7, own=True)  # fmt: skip

# %% [markdown]
# ### Two channels of known entropy
#
# What can each half do? We build two channels in which only one half can help, and whose best cost
# is known. There are scales of 1, 4 and 16 tokens with four values each. The first two scales are
# uniform. In the *first channel* each token of the third scale copies the single token of scale 1
# with probability 0.8 and is uniform otherwise. The network's input at scale 3 shows scale 2 only,
# enlarged, so that the copied token can come only through the layer between scales. In the *second
# channel* the third scale copies the last, bottom right token of scale 2. That one stands in the
# input itself, but only in the bottom right quarter of scale 3, so that the tokens there must tell
# the others. A layer that reads row by row meets it at the eleventh token only.
#
# A copied token has the right value with probability $q=0.8+0.2/4=0.85$ and each other one with
# $0.05$, hence
#
# $$
# h=-0.85\log_2 0.85-3\cdot0.05\log_2 0.05=0.8476\text{ bits},\qquad
# \tfrac1{16}(10\cdot2+6\,h)=1.568\text{ bits}
# $$ (eq-mvar-entropy)
#
# are the best costs of a token of scale 3 for those who see the source, and for row-by-row readers
# of the second channel. Without the source it costs 2 bits.

# %%
COPY, CHANNEL = 0.8, (1, 2, 4)
q = np.array([COPY + (1 - COPY) / 4] + 3 * [(1 - COPY) / 4])
h = -(q @ np.log2(q))
ROW_BY_ROW = (10 * 2 + 6 * h) / 16


def channel(rng, first, copy, images):
    """Tokens and inputs of M networks: from the first channel or the second, with a copy rate each."""
    shape = (len(first), images)
    r1, r2, r3 = (rng.integers(0, 4, (*shape, n)) for n in (1, 4, 16))
    source = xp.where(to_device(first)[:, None, None], r1, r2[..., 3:])
    copied = rng.uniform(0, 1, (*shape, 16)) < to_device(copy)[:, None, None]
    tokens = xp.concat([r1, r2, xp.where(copied, source, r3)], axis=-1)
    quarter = to_device(np.kron([[0, 1], [2, 3]], np.ones((2, 2), int)).ravel())
    shown = xp.concat([-xp.ones_like(r1), xp.repeat(r1, 4, axis=-1), r2[..., quarter]], axis=-1)
    features = xp.astype(shown[..., None] == xp.arange(4), xp.float32)
    return tokens, features, xp.zeros(shape, dtype=xp.int64)


# %% [markdown]
# One stack holds all networks of one shape, for both channels and two seeds. A last network of
# each model learns a channel that copies nothing: whoever costs less than 2 bits there sees what
# it should not.

# %%
STEPS, IMAGES = scale(default=(180, 12), paper=(2000, 256))
SEEDS = (0, 1)
GROUPS = (
    (("VAR", "intra-only"), (("VAR", True), ("intra-only", True), ("VAR", False))),
    (("M-VAR",), (("M-VAR", True), ("M-VAR", False))),
    (("SSM-only",), (("SSM-only", False),)),
)


# %%
def learn_channels(models, jobs, seeds):
    """Mean bits of each token of fresh sequences, and what the third scale costs who knows the source."""
    runs = [(m, first, COPY, k) for m, first in jobs for k in seeds]
    runs += [(m, True, 0.0, seeds[0]) for m in models]
    nets, forms = zip(*(stack([m], [k], CHANNEL, 4, 4, 1) for m, _, _, k in runs), strict=True)
    params, form = (ad.tree_map(lambda *a: xp.concat(a), *trees) for trees in (nets, forms))
    form["level"] = forms[0]["level"]
    first, copy = (np.array([run[i] for run in runs]) for i in (1, 2))

    def draw(rng, images=IMAGES):
        return channel(rng, first, copy, images)

    params = train(params, form, draw, STEPS, generator(seeds[0]))
    rng, costs = generator(seeds[0] + 50), []
    for _ in range(50):
        tokens, *shown = draw(rng, 20)
        known = xp.where(to_device(first)[:, None], tokens[..., 0], tokens[..., 4])
        oracle = -xp.log2(xp.where(tokens[..., 5:] == known[..., None], q[0], q[1]))
        both = [bits(params, form, tokens, *shown), oracle]
        costs.append(to_host(xp.mean(xp.concat(both, axis=2), axis=1)))
    return dict(zip(runs, np.mean(costs, axis=0), strict=True))


# %%
channels = {}
for models, jobs in GROUPS:
    channels |= learn_channels(models, jobs, SEEDS)
cost = {run: c[5:21].mean() for run, c in channels.items()}
above = {run: c[5:21].mean() - c[21:].mean() for run, c in channels.items() if run[2]}
best = {(m, first): h for m in MODELS for first in (True, False)}
best |= {("intra-only", True): 2.0, ("SSM-only", False): ROW_BY_ROW}
rows = [[m, "first" if first else "second", copy, k, value, best[m, first] if copy else 2.0]
        for (m, first, copy, k), value in cost.items()]  # fmt: skip
columns = ["model", "channel", "copy rate", "seed", "bits per token of scale 3", "best for it"]
table(rows, columns, "Two channels of known entropy: 1000 fresh sequences for each network")

# %% tags=["hide-input"]
alt = """Two panels of bits against the position of a token in scale 3. First channel: VAR and M-VAR lie
flat on the lower dashed line, attention inside scales alone lies flat on the upper one. Second channel: VAR
and M-VAR lie flat on the lower line, and the state-space layer alone lies on the upper line until it drops
to the lower one at position 10, and rises again at the beginning of the last row."""
caption = """Cost of each token of scale 3 in reading order, means of two seeds. Dashed: 2 bits and the
entropy of a copied token. Left: only the layer between scales can know the source. Right: reading row by row
meets it at position 10."""
with figure(1, 2, alt=alt, caption=caption, width=8.0, height=3.2, sharey=True) as axes:
    for ax, first, models in ((axes[0], True, ("VAR", "M-VAR", "intra-only")),
                              (axes[1], False, ("VAR", "M-VAR", "SSM-only"))):  # fmt: skip
        for model, marker in zip(models, "os^", strict=True):
            curve = np.mean([channels[model, first, COPY, k][5:21] for k in SEEDS], axis=0)
            ax.plot(curve, marker + "-", ms=4, label=model)
        for level in (h, 2):
            ax.axhline(level, color="gray", ls="--", lw=1)
        ax.set(xlabel="position in scale 3", ylim=(0.7, 2.2), xticks=range(0, 16, 5))
        ax.legend(loc="center left", fontsize=8)
    axes[0].set(ylabel="cost (bits per token)", title="first channel: between scales")
    axes[1].set_title("second channel: inside a scale")


# %%
def costs(model, first, copy=COPY):
    """Costs of a model's networks on one channel."""
    return [value for (m, f, c, _), value in cost.items() if (m, f, c) == (model, first, copy)]


claims.check("C4.a", "first channel: largest cost of M-VAR and VAR", unit="bits",
             measured=max(costs("M-VAR", True) + costs("VAR", True)), at_most=1.05,
             paper="linear layer suffices between scales", seeds=2)  # fmt: skip
claims.check("C4.a2", "first channel: smallest cost of attention inside scales alone", unit="bits",
             measured=min(costs("intra-only", True)), at_least=1.9, own=True, seeds=2)  # fmt: skip
claims.check("C4.a3", "both channels: smallest cost of any network minus that of who knows the source",
             measured=min(above.values()), at_least=-0.03, unit="bits", own=True)  # fmt: skip
claims.check("C4.b", "second channel: largest cost of M-VAR and VAR", unit="bits",
             measured=max(costs("M-VAR", False) + costs("VAR", False)), at_most=1.05,
             paper="attention matters inside a scale", seeds=2)  # fmt: skip
claims.check("C4.b2", "second channel: smallest cost of the SSM alone (best possible 1.568)", unit="bits",
             measured=min(costs("SSM-only", False)), at_least=1.52, own=True, seeds=2)  # fmt: skip
claims.check("C4.c", "nothing is copied: smallest cost of any model (exactly 2 is right)", unit="bits",
             measured=min(v for (*_, c, _), v in cost.items() if not c), at_least=1.98, own=True)  # fmt: skip


# %% [markdown]
# Each half does what only it can do. The linear layer carries a fact from scale to scale as well
# as VAR's attention, and it cannot replace attention inside a scale, where it sees only what it
# has already read.
#
# ### Digits
#
# Real images now: scikit-learn's 8 × 8 digits. Blocks of 2 × 2 pixels are the features, a map of 4
# × 4 vectors of length 4. The sides are 1, 2, 3, 4 and the codebook has 64 entries. Unlike the
# paper's tokenizer ours learns no convolution. It averages down by areas and interpolates up with
# the bicubic kernel
#
# $$
# k(t)=\begin{cases}(a+2)|t|^3-(a+3)|t|^2+1,&|t|\le1,\\ a|t|^3-5a|t|^2+8a|t|-4a,&1<|t|<2,\end{cases}
# \qquad a=-\tfrac34,
# $$ (eq-mvar-bicubic)
#
# both as one matrix, the Kronecker square of a one-dimensional one.

# %%
def down(h, p):
    """Averages of h x h maps over p x p areas, as a matrix (p p, h h)."""
    edge = np.arange(p + 1) * h / p
    begin, end = np.maximum(edge[:-1, None], np.arange(h)), np.minimum(edge[1:, None], np.arange(h) + 1)
    W = np.maximum(end - begin, 0) * p / h
    return to_device(np.kron(W, W))


def up(p, h, a=-0.75):
    """Bicubic interpolation of p x p maps to h x h, as a matrix (h h, p p)."""
    centre = (np.arange(h) + 0.5) * p / h - 0.5
    W = np.zeros((h, p))
    for tap in range(-2, 4):
        at = np.floor(centre).astype(int) + tap
        t = np.abs(centre - at)
        near = (a + 2) * t**3 - (a + 3) * t**2 + 1
        far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
        k = np.where(t <= 1, near, np.where(t < 2, far, 0))
        np.add.at(W, (np.arange(h), np.clip(at, 0, p - 1)), k)
    return to_device(np.kron(W, W))


# %% [markdown]
# The codebook is found by $k$-means on the rests of all scales. The rests depend on the codebook,
# so we start from those without quantisation and repeat once with the real ones.

# %%
SIDES, V, BLOCK = scale(default=((1, 2, 3, 4), 64, 2), paper=((1, 2, 3, 4, 6, 8), 512, 4))
SIDE = SIDES[-1]
DOWN, UP = {p: down(SIDE, p) for p in SIDES}, {p: up(p, SIDE) for p in SIDES}
ENDS = np.cumsum(np.square(SIDES))


# %%
def tokenize(f, codebook=None):
    """Tokens, inputs and rests of feature maps (images, h h, C_v), and the error after each scale."""
    f_hat, tokens, inputs, rests, errors = xp.zeros_like(f), [], [], [], []
    for p in SIDES:
        inputs.append(DOWN[p] @ f_hat)
        rest = DOWN[p] @ (f - f_hat)
        rests.append(xp.reshape(rest, (-1, f.shape[2])))
        if codebook is not None:
            tokens.append(xp.reshape(assign(rests[-1], codebook)[0], (f.shape[0], p * p)))
            rest = xp.reshape(xp.take(codebook, xp.reshape(tokens[-1], (-1,)), axis=0), rest.shape)
        f_hat = f_hat + UP[p] @ rest
        errors.append(float(xp.mean((f - f_hat) ** 2)))
    if codebook is None:
        return xp.concat(rests)
    inputs = xp.astype(xp.concat(inputs, axis=1), xp.float32)
    return xp.concat(tokens, axis=1), inputs, xp.concat(rests), errors


# %%
def to_maps(images):
    """Images (n, side, side) to features (n, h h, block block)."""
    x = xp.reshape(images, (-1, SIDE, BLOCK, SIDE, BLOCK))
    return xp.reshape(xp.permute_dims(x, (0, 1, 3, 2, 4)), (-1, SIDE**2, BLOCK**2))


def to_images(f):
    """The way back."""
    x = xp.reshape(f, (-1, SIDE, SIDE, BLOCK, BLOCK))
    return xp.reshape(xp.permute_dims(x, (0, 1, 3, 2, 4)), (-1, SIDE * BLOCK, SIDE * BLOCK))


# %%
GREY = ("brick", "camera", "coins", "grass", "gravel", "moon", "page")


def pictures():
    """Images and labels: digits, or at paper scale patches of photographs and which one it is."""
    if scale(default=True, paper=False):
        digits = data.table("digits")
        return digits.data / 16, digits.target
    cut = [data.patches(name, SIDE * BLOCK, 15_000) for name in GREY]
    return np.concatenate(cut), np.repeat(np.arange(len(GREY)), 15_000)


images, labels = pictures()
held_out = scale(default=397, paper=5000)
split = train_test_split(images, labels, test_size=held_out, stratify=labels, random_state=0)
images_train, images_test, labels_train, labels_test = map(to_device, split)
CLASSES = len(np.unique(labels))

# %%
f_train, f_test = (to_maps(x) for x in (images_train, images_test))
few = f_train[: scale(default=500, paper=5000)]
codebook = k_means(tokenize(few), V, max_iter=10, seed=generator(0)).centres
codebook = k_means(tokenize(few, codebook)[2], V, init=codebook, max_iter=10).centres
tokens_train, inputs_train, _, errors = tokenize(f_train, codebook)
tokens_test, inputs_test, _, _ = tokenize(f_test, codebook)
say(f"""Mean squared error of the training images before and after each scale:
{float(xp.mean(images_train**2)):.4f}, {", ".join(f"{error:.4f}" for error in errors)}.""")

# %% [markdown]
# VAR, M-VAR and attention inside scales alone train with two seeds each, and with one seed two
# controls, the SSM alone and a wider VAR with as many parameters as M-VAR; all see the same number
# of images. In one of ten training images the label is replaced by "no class", which guidance
# needs below. The plain baseline knows for each class and position how often each token occurs,
# with the pseudo-count that suits the test images best.

# %%
DIGIT_STEPS, DIGIT_IMAGES = scale(default=(240, 16), paper=(5000, 256))
WIDE = scale(default=40, paper=312)


def batch_of(nets):
    """A function that draws a training batch for each network of a stack."""
    def draw(rng):
        rows = rng.integers(0, tokens_train.shape[0], (nets, DIGIT_IMAGES))
        no_class = rng.uniform(0, 1, rows.shape) < 0.1
        return (tokens_train[rows, :], inputs_train[rows, ...],
                xp.where(no_class, CLASSES, labels_train[rows]))  # fmt: skip
    return draw


# %%
def learn(models, seeds, **options):
    """A trained stack on the images."""
    params, form = stack(models, seeds, SIDES, BLOCK**2, V, CLASSES + 1, **options)
    draw = batch_of(len(models) * len(seeds))
    return train(params, form, draw, DIGIT_STEPS, generator(seeds[0] + 7), 1.5e-2), form


# %%
def judge(params, form, wrong=0):
    """Bits of every token of the test images under labels that are wrong by so many."""
    M, parts = form["mask"].shape[0], []
    for rows in np.array_split(np.arange(labels_test.shape[0]), max(1, labels_test.shape[0] // 50)):
        rows = to_device(np.tile(rows, (M, 1)))
        batch = tokens_test[rows, :], inputs_test[rows, ...], (labels_test[rows] + wrong) % CLASSES
        parts.append(to_host(bits(params, form, *batch)))
    return np.concatenate(parts, axis=1)


# %%
stacks = {models: learn(models, SEEDS) for models in (("VAR", "intra-only"), ("M-VAR",))}
stacks["SSM-only",] = learn(("SSM-only",), SEEDS[:1])
stacks["wide VAR",] = learn(("VAR",), SEEDS[:1], C=WIDE)
found = {}
for models, (params, form) in stacks.items():
    all_bits = np.split(judge(params, form), len(models))
    found |= dict(zip(models, all_bits, strict=True))
wrong_label = judge(*stacks["M-VAR",], wrong=1)


# %%
def frequencies(pseudo):
    """p(token | class, position) with a pseudo-count, shape (classes, L, V)."""
    counts = np.zeros((CLASSES, int(ENDS[-1]), V))
    np.add.at(counts, (to_host(labels_train)[:, None], np.arange(ENDS[-1]), to_host(tokens_train)), 1)
    return (counts + pseudo) / np.sum(counts + pseudo, axis=-1, keepdims=True)


at = to_host(labels_test)[:, None], np.arange(ENDS[-1]), to_host(tokens_test)
tries = {pseudo: -np.log2(frequencies(pseudo)[at]) for pseudo in (0.05, 0.1, 0.5)}
pseudo = min(tries, key=lambda a: tries[a].mean())
found["frequencies"] = tries[pseudo][None]


# %%
def count(params):
    """Parameters of one network of a stack."""
    return sum(leaf.size // leaf.shape[0] for leaf in ad.tree_leaves(params))


sizes = {m: count(params) for models, (params, _) in stacks.items() for m in models}
sizes["frequencies"] = CLASSES * int(ENDS[-1]) * (V - 1)
rows = []
for model, values in found.items():
    by_scale = [part.mean() for part in np.split(values, ENDS[:-1], axis=2)]
    per_image = (values.mean(axis=2) - found["VAR"].mean(axis=2)).mean(axis=0)
    error = per_image.std(ddof=1) / len(per_image) ** 0.5
    rows.append([model, sizes[model], values.mean(), per_image.mean(), error, *by_scale])
columns = ["model", "parameters", "bits per token", "minus VAR's", "standard error"]
columns += [f"scale {s + 1}" for s in range(len(SIDES))]
table(rows, columns, "Held-out cost on digits, means of two seeds; standard errors over test images")

# %% tags=["hide-input"]
alt = """Bars of bits per token for six models, by scale and in all. All networks cost nearly the same at the
three coarse scales and less than the frequencies at the finer ones. At the finest scale the models with a
state-space layer are lowest, VAR and attention inside scales higher, the frequencies highest."""
caption = "Held-out cost on digits by scale: lower is better. Points: single seeds."
with figure(alt=alt, caption=caption, width=8.0, height=3.4) as ax:
    for k, (model, values) in enumerate(found.items()):
        parts = [*np.split(values, ENDS[:-1], axis=2), values]
        x = np.arange(len(parts)) + (k - 2.5) * 0.14
        ax.bar(x, [part.mean() for part in parts], 0.13, label=model)
        for seed in range(len(values)):
            ax.plot(x, [part[seed].mean() for part in parts], "k.", ms=3)
    ax.set_xticks(range(len(SIDES) + 1), [*(f"scale {s + 1}" for s in range(len(SIDES))), "all"])
    ax.set(xlabel="tokens", ylabel="cost (bits per token)")
    ax.legend(fontsize=7, ncols=3, loc="upper left")
    ax.set_ylim(top=1.35 * ax.get_ylim()[1])

# %%
mean = {model: values.mean() for model, values in found.items()}
claims.check("C5.a", "digits: bits per token of M-VAR over VAR's at equal width", seeds=2,
             measured=mean["M-VAR"] / mean["VAR"], at_most=1.03, paper="FID 1.78 against 1.97")  # fmt: skip
claims.check("C5.a2", "digits: bits per token of the worse of M-VAR and VAR over the frequencies'", seeds=2,
             measured=max(mean["M-VAR"], mean["VAR"]) / mean["frequencies"], at_most=0.95, own=True)  # fmt: skip
claims.check("C5.b", "digits: M-VAR's cost of a wrong label", measured=100 * (wrong_label.mean() / mean["M-VAR"] - 1),
             at_least=3, unit="%", seeds=2, own=True)  # fmt: skip
without = 100 * (mean["SSM-only"] / mean["M-VAR"] - 1)
claims.report_value("C5.c", "digits: what M-VAR loses without attention inside scales", unit="%",
                    measured=without, paper="the part that matters", seeds=2)  # fmt: skip
claims.check("C5.c2", "the same, less than what M-VAR gains on VAR", measured=without, at_most=3,
             unit="%", seeds=2, own=True)  # fmt: skip
claims.check("C5.d", "digits: bits per token of M-VAR over those of a VAR with as many parameters",
             measured=mean["M-VAR"] / mean["wide VAR"], at_most=0.999, own=True)  # fmt: skip

# %%
say(f"""M-VAR costs {mean["M-VAR"]:.3f} bits for a token, VAR of the same width {mean["VAR"]:.3f}, and VAR with
about as many parameters {mean["wide VAR"]:.3f}. Taking attention inside scales out of M-VAR changes its cost by
{without:+.1f} %, taking attention between scales out of VAR by
{100 * (mean["intra-only"] / mean["VAR"] - 1):+.1f} %.""")


# %% [markdown]
# Digits speak for the state-space layer and not for attention inside a scale: the layer alone does
# about as well as together with it. That a part can be left out here does not contradict the
# second channel, where it could not. The inputs already show all coarser scales through $\hat f$,
# and thirty tokens leave little for attention to find. Note too that no model can reach the
# entropy of the data, since {eq}`eq-mvar-factor` draws the tokens of a scale independently.
#
# ### Where VAR looks
#
# If the part inside a scale matters more, a trained VAR should look at its own scale more than it
# has to. A token of scale $s$ that looked at all visible tokens alike would give its own scale the
# weight $n_s/\sum_{j\le s}n_j$. The mean of that over tokens is the null value.

# %%
def null_of(sides):
    """Mean weight on the own scale of someone who looks at all visible tokens alike."""
    _, mask = masks(sides)
    return np.mean(mask["inside"].sum(axis=1) / mask["block-causal"].sum(axis=1))


# %%
def own_scale_weight(params, form):
    """Mean attention to the own scale by layer and network, on test images."""
    seen, M = [], form["mask"].shape[0]
    rows = to_device(np.tile(np.arange(100), (M, 1)))
    forward(params, form, inputs_test[rows, ...], labels_test[rows], seen=seen)
    _, mask = masks(SIDES)
    same = to_device(1.0 * mask["inside"])
    weights = [xp.reshape(xp.sum(w * same, axis=-1), (M, -1)) for w in seen]
    return np.array([to_host(xp.mean(w, axis=1)) for w in weights])


params, form = stacks["VAR", "intra-only"]
only_var = ad.tree_map(lambda leaf: leaf[: len(SEEDS)], params)
weights = own_scale_weight(only_var, form | {"mask": form["mask"][: len(SEEDS)]})
null = null_of(SIDES)
excess = float(np.max(weights.mean(axis=1) - null))
say(f"""The trained VARs give their own scale the weight {weights.mean():.3f}, looking evenly would give
{null:.3f}. For the schedule of 256 pixels the null value would be {null_of(SCHEDULES["256 px"]):.3f}.""")
words = "trained VAR: weight on the own scale minus the null value, largest of the layers"
claims.report_value("C7.a", words, measured=excess, paper="the part that matters", seeds=2)
claims.check("C7.a2", words, measured=excess, between=(-0.2, 0.1), seeds=2, own=True)


# %% [markdown]
# Attention on digits is spread nearly evenly over all that it may see. Whether the own scale gets
# a little more or a little less than that changes from seed to seed, so that there is no verdict
# on the paper's statement. A marked preference would exceed the bound.
#
# ### Samples
#
# To draw an image, each scale is drawn at once, with *guidance*: the network is asked with the
# class and with "no class", and the logits $\ell_c$ and $\ell_\varnothing$ become
#
# $$
# (1+t_s)\,\ell_c-t_s\,\ell_\varnothing,\qquad t_s=g\,\frac{s-1}{S-1},
# $$ (eq-mvar-guidance)
#
# which exaggerates, more so at finer scales, what the class changes. The paper uses $g=1.5$ and
# keeps only the likeliest tokens that make up 96 % of the probability. The published program reads
# the whole prefix again at each scale, 1710 instead of 680 tokens for an image of 256 pixels. With
# the state in a cache each token is read once. We do both, with the same uniform random numbers.

# %%
def pick(logits, u, keep=0.96):
    """Draw tokens from the likeliest ones that make up `keep`, by inverting the distribution at u."""
    p = ad.softmax(logits)
    order = xp.argsort(-p, axis=-1, stable=True)
    p = xp.take_along_axis(p, order, axis=-1)
    above = xp.cumulative_sum(p, axis=-1)
    total = xp.sum(xp.where(above - p < keep, p, 0.0), axis=-1)
    k = xp.sum(xp.astype(above < (u * total)[..., None], xp.int64), axis=-1)
    return xp.take_along_axis(order, k[..., None], axis=-1)[..., 0]


# %%
def generate(params, form, labels, g, u, cached=True):
    """Tokens, feature maps and logits of images (M, images), from uniform numbers u (M, images, L)."""
    both = xp.concat([labels, xp.full_like(labels, CLASSES)], axis=1)
    caches = [{} for _ in params["blocks"]] if cached else None
    inputs = xp.zeros((*both.shape, 1, BLOCK**2))
    f_hat, tokens, told = xp.zeros((*labels.shape, SIDE**2, BLOCK**2)), [], []
    for s, (begin, end) in enumerate(zip([0, *ENDS[:-1]], ENDS, strict=True)):
        span = slice(begin if cached else 0, end)
        logits = forward(params, form, inputs[:, :, span, :], both, span, caches)[:, :, begin - end :, :]
        t, half = g * s / (len(SIDES) - 1), labels.shape[1]
        told.append((1 + t) * logits[:, :half, ...] - t * logits[:, half:, ...])
        tokens.append(pick(told[-1], u[..., begin:end]))
        f_hat = f_hat + UP[SIDES[s]] @ codebook[tokens[-1]]
        if s + 1 < len(SIDES):
            shown = DOWN[SIDES[s + 1]] @ f_hat
            inputs = xp.concat([inputs, xp.concat([shown, shown], axis=1)], axis=2)
    return xp.concat(tokens, axis=2), f_hat, xp.concat(told, axis=2)


# %%
DRAWN = scale(default=250, paper=2500)  # images of each of the two networks
params, form = stacks["M-VAR",]
params = double(params)
wanted = to_device(np.tile(np.arange(DRAWN) % CLASSES, (len(SEEDS), 1)))
u = generator(3).uniform(0, 1, (*wanted.shape, int(ENDS[-1])))
GUIDANCE = (0.0, 0.5, 1.5, 3.0)
samples = {g: generate(params, form, wanted, g, u) for g in GUIDANCE}
again = generate(params, form, wanted[:, :50], 1.5, u[:, :50, :], cached=False)
same = float(xp.max(xp.abs(again[2] - samples[1.5][2][:, :50, ...])))
other = int(xp.sum(xp.astype(again[0] != samples[1.5][0][:, :50, :], xp.int64)))

# %% [markdown]
# The Fréchet distance is that of two Gaussians with the means and covariances of the images, here
# in their first 20 principal components. A logistic regression that has seen real digits says
# whether a sample shows the wanted class. The rival's images are drawn from the frequencies, token
# by token.

# %%
pca = PCA(20, random_state=0).fit(to_host(xp.reshape(images_train, (len(images_train), -1))))
reader = LogisticRegression(C=0.1, max_iter=200, tol=1e-3)


def flat(pictures):
    """Images as rows, on the host."""
    return to_host(xp.reshape(pictures, (-1, (SIDE * BLOCK) ** 2)))


def frechet(x, y):
    """Squared distance of the Gaussians with the moments of two sets of images."""
    moments = [(z.mean(axis=0), np.cov(z.T)) for z in (pca.transform(x), pca.transform(y))]
    return float(bures_wasserstein(*moments[0], *moments[1]))


# %%
reader.fit(flat(images_train), to_host(labels_train))
p = to_device(frequencies(pseudo))[wanted, ...]
above = xp.cumulative_sum(p, axis=-1)
drawn = xp.sum(xp.astype(above < u[..., None] * above[..., -1:], xp.int64), axis=-1)
f_hat = sum(UP[side] @ codebook[part] for side, part in
            zip(SIDES, np.split(drawn, ENDS[:-1], axis=2), strict=True))  # fmt: skip
sets = {f"M-VAR, guidance {g:g}": to_images(samples[g][1]) for g in GUIDANCE}
sets["frequencies"] = to_images(f_hat)
real = flat(images_test)
quality = {name: (frechet(flat(x), real), reader.score(flat(x), to_host(wanted).ravel()))
           for name, x in sets.items()}  # fmt: skip
n = min(500, len(images_train))
floor = frechet(flat(images_train[:n, ...]), real)
rows = [[name, *values] for name, values in quality.items()]
rows.append(["real images", floor, reader.score(real, to_host(labels_test))])
columns = ["images", "Fréchet distance to held-out ones", "read as the wanted class"]
table(rows, columns, f"Samples of digits, {len(SEEDS) * DRAWN} of each; squared pixel intensities")


# %%
def mosaic(axes, g):
    """Seven samples of each of ten classes."""
    x = to_host(sets[f"M-VAR, guidance {g:g}"])
    x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    columns = [np.concatenate(list(x[k::CLASSES][:7])) for k in range(min(CLASSES, 10))]
    axes.imshow(np.concatenate(columns, axis=1), cmap="gray_r", vmin=0, vmax=1)
    axes.axis("off")


def in_words(g):
    """What the mosaic shows."""
    return f"""Seven small grey images of each digit, one column for each, drawn by M-VAR with guidance {g:g}.
    Many strokes are broken or blurred; the more guidance, the more the images of a column are alike."""


caption = "Digits drawn by M-VAR, one column for each class. More guidance makes them clearer and more alike."
slider(GUIDANCE, mosaic, label="guidance g", alt=in_words, caption=caption, start=2, width=5.0, height=3.6)

# %%
guided, baseline = quality["M-VAR, guidance 1.5"], quality["frequencies"]
claims.check("C6.a", "digits: Fréchet distance of M-VAR's samples (g = 0.5) over the frequencies'", seeds=2,
             measured=quality["M-VAR, guidance 0.5"][0] / baseline[0], at_most=0.97, own=True)  # fmt: skip
claims.check("C6.a2", "cached against full generation: tokens that differ", measured=other, equals=0,
             own=True)  # fmt: skip
claims.check("C6.a3", "the same: largest difference of the logits", measured=same, at_most=1e-9, own=True)
claims.check("C6.b", "samples with g = 1.5 that are read as the wanted class", measured=guided[1],
             at_least=0.7, own=True, seeds=2)  # fmt: skip
claims.check("C6.b2", "the same minus that without guidance", at_least=-0.03, own=True, seeds=2,
             measured=guided[1] - quality["M-VAR, guidance 0"][1])  # fmt: skip

# %% [markdown]
# Guidance trades variety for clarity, as it does in large models. The floor, the distance between
# two sets of real images, is far away for all of them: tokens of one scale are drawn
# independently, and the networks are tiny.
#
# ### Time
#
# At last the work between tokens alone, without the linear maps whose cost the ledger has settled:
# VAR's attention against attention inside scales and a state-space layer in chunks of one scale.
# Times are reported without a verdict.

# %%
TIMED = {"256 px": SCHEDULES["256 px"], "between": (1, 2, 4, 6, 8, 10, 13, 16, 20, 26),
         "512 px": SCHEDULES["512 px"]}  # fmt: skip


def look(x, ends, back):
    """Attention of each scale to itself, and if `back` to all coarser ones."""
    parts = []
    for begin, end in zip([0, *ends[:-1]], ends, strict=True):
        known = x[:, 0 if back else begin : end, :]
        parts.append(ad.attention(x[:, begin:end, :], known, known))
    return parts


# %%
def milliseconds(work, *arguments):
    """Processor time of the second of two calls."""
    for _ in range(2):
        begin = process_time()
        to_host(work(*arguments)[-1])
    return 1e3 * (process_time() - begin)


layer, rows = double(ad.tree_map(lambda a: a[None], ssm_init(generator(0), 64))), []
for name, sides in TIMED.items():
    ends = np.cumsum(np.square(sides))
    x = generator(1).standard_normal((1, int(ends[-1]), 64))
    rows.append([name, int(ends[-1]), milliseconds(look, x, ends, True),
                 milliseconds(look, x, ends, False), milliseconds(in_chunks, layer, x[None], ends)])  # fmt: skip
columns = ["schedule", "tokens", "VAR's attention (ms)", "attention inside scales (ms)", "SSM layer (ms)"]
table(rows, columns, "One layer of width 64, one image, on this machine")

# %% [markdown]
# The state-space column holds the layer's own linear maps. In chunks of a scale its matrix form
# has, for the largest scale, as many pairs as attention inside it.
#
# ## Verdict
#
# Which half does the work? Between scales, a memory of a thousand numbers does what attention
# does, and inside a scale only attention can do it; the two channels show both to a few hundredths
# of a bit. On digits M-VAR predicts better than VAR, also than a VAR with as many parameters, and
# the gain comes from the state-space layer, which is as good alone. So claim 1 shows in the second
# channel and not on digits. The ledger holds the surprise. The new layer is dearer than the one it
# replaces at every length that the paper uses, and the 1.5 B model is cheaper than the 2 B one
# because it is shallower.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# ImageNet, its pretrained tokenizer and weights, and the latency of a large GPU are out of reach,
# so that the paper's FID and its margins were only checked for agreeing with each other.
# Normalised queries and keys, which are an option of the published code, drop-path and clipping
# are left out. The published start-up code scales only the first two of three $\gamma$ and splits
# a shared modulation in six parts where nine are needed; we follow the equations. Our tokenizer
# has no convolution, and the networks a single layer.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells take patches of 32 × 32 pixels of seven grey
# photographs, whose numbers are the classes, scales 1, 2, 3, 4, 6, 8 with 130 tokens, 512
# codewords and six layers of width 256. The question to ask there is whether attention inside a
# scale earns its place once there are enough tokens. This scale has not been run; when it has, the
# numbers will stand here with the device and the date.
