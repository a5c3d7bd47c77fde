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
# # How much is a noisy image worth?
#
# ```{paper-card}
# ```
#
# Clean data are expensive, noisy data are cheap: photographs taken in the dark, scans made in
# haste. A generative model can be trained on noisy pictures and still learn to make clean ones, if
# the amount of noise in each picture is known. But noisy pictures are worth less. How much less?
# {cite:t}`ambient_diffusion` train more than eighty diffusion models on mixtures of clean and noisy
# pictures to find an exchange rate, and prove one for mixtures of Gaussians.
#
# Their answer has two halves. A data set that is noisy throughout is nearly worthless for the fine
# detail, but a small clean set beside it changes the price: then a noisy picture counts for more
# than half of a clean one. In this chapter the exchange rates are computed, exactly where that is
# possible, as derivatives of an information matrix. The first figure below shows both halves at
# once, and both hold. The price of one clean sample is steep, and it falls when some of the others
# are clean. One comparison does not come out on our smallest model: there a tenth of clean samples
# needs no help from noisy ones.
#
# ## What the paper claims
#
# 1. For a mixture of $k$ Gaussians seen with known noise of standard deviation $\sigma$, a noisy
#    sample counts $\sigma^{-4}$ when the subspace of the means is sought and $\sigma^{-(4k-2)}$ for
#    the means within it: exponentially less the more components there are (Theorem 4.2, and 4.4 for
#    the lower bound). Once a small clean set exists the price is mild: between 1.5 and 1.75 noisy
#    pictures for a clean one at $\sigma=0.2$ on all three data sets.
#    {claims}`C1.a, C1.b, C1.c, C1.d, C1.e, C1.f`
# 2. A small clean set and many noisy samples do better than either alone; the estimator has to know
#    which sample is how noisy.
#    {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. On real pictures the order is the same: all clean, then 10 % clean with 90 % noisy, then the
#    two poor ones, all noisy and 10 % clean alone (the table below).
#    {claims}`C3.a, C3.b, C3.c, C3.d, C3.e`
# 4. Diffusion models trained with the *ambient* loss show it. Noisy data alone do not suffice.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f, C4.g, C4.h, C4.i, C4.j, C4.k`
# 5. The ambient loss is right: its minimiser is the denoiser of the *clean* data at every noise
#    level above that of the samples.
#    {claims}`C5.a, C5.b, C5.c`
#
# The paper's Table 1, Fréchet distances of generated pictures (FID, lower is better) at noise of
# standard deviation 0.2 on pixels in $[-1,1]$:
#
# | training data | CIFAR-10 | CelebA | ImageNet |
# |---|---|---|---|
# | 100 % clean | 1.99 ± 0.02 | 2.40 ± 0.07 | 1.41 ± 0.03 |
# | 100 % noisy | 11.93 ± 0.09 | 12.97 ± 0.11 | 5.32 ± 0.08 |
# | 10 % clean only | 17.30 ± 0.14 | 11.92 ± 0.05 | 10.57 ± 0.06 |
# | 10 % clean + 90 % noisy | 2.81 ± 0.02 | 2.75 ± 0.02 | 1.68 ± 0.02 |
#
# Not tested here: FID, networks for pictures and the proofs. **What this rests on:** the abstract,
# the theorems' statements and the tables of the full paper, the public reviews, and the authors'
# code for the loss, the sampler and their settings. The proofs were not read.
#
# ## The idea
#
# **Two kinds of samples.** Sample $i$ comes as $y_i=x_0+\sigma_iz$ with a standard normal $z$ and a
# *known* $\sigma_i$, zero for a clean one.
#
# **What a sample is worth.** Let $x_0$ be drawn from $k$ equal balls with centres
# $\mu_1,\dots,\mu_k$ on a line, so that an observation of total standard deviation $s$ has the
# density $p(x)=\frac1k\sum_jN(x\mid\mu_j,s^2I)$. With the *posterior weights* $w_j$, the
# probabilities that $x$ came from ball $j$, the slope of $\log p$ in $\mu_j$ is $w_j(x-\mu_j)/s^2$.
# Its second moment is the *Fisher information* of one sample about the centres. It splits into the
# line of the centres and the $d-1$ directions across, where the coordinates are plain noise of
# variance $s^2$:
#
# $$
# \begin{gathered}
# F^\parallel_{jl}=E\Bigl[w_jw_l\,\frac{(x-\mu_j)(x-\mu_l)}{s^4}\Bigr],\\
# F^\perp_{jl}=\frac{E[w_jw_l]}{s^2}.
# \end{gathered}
# $$ (eq-amb-fisher)
#
# Independent samples add their information. With $n_s$ samples of noise $s$ no unbiased estimate of
# the centres has a smaller total mean squared error than the *Cramér–Rao bound*, and a good one
# attains it as samples grow many:
#
# $$
# \begin{aligned}
# \mathrm{MSE}={}&\operatorname{tr}\Bigl(\sum_sn_sF^\parallel_s\Bigr)^{-1}\\
# &+(d-1)\operatorname{tr}\Bigl(\sum_sn_sF^\perp_s\Bigr)^{-1}.
# \end{aligned}
# $$ (eq-amb-bound)
#
# The **price** of a clean sample is the number of noisy ones that lower this error as much as one
# clean sample does, the ratio of two derivatives. With the inverses $C$ of the two sums,
#
# $$
# \begin{gathered}
# -\frac{\partial\,\mathrm{MSE}}{\partial n_s}=\operatorname{tr}C^\parallel F^\parallel_sC^\parallel\qquad\\
# \qquad+(d-1)\operatorname{tr}C^\perp F^\perp_sC^\perp,\\
# \text{price}=\frac{\partial\,\mathrm{MSE}/\partial n_{\text{clean}}}{\partial\,\mathrm{MSE}/\partial n_{\text{noisy}}} .
# \end{gathered}
# $$ (eq-amb-price)
#
# **The theorem.** For atoms at unknown places with unknown weights, in a ball and seen with
# $\sigma_i\ge1$, the paper's Theorem 4.2 bounds the Wasserstein distance of an estimate to the
# truth by a constant times
#
# $$
# \begin{aligned}
# &k\Bigl(\frac{d+\log\frac1\delta}{\sum_i\sigma_i^{-4}}\Bigr)^{1/4}\\
# &+k^3\Bigl(\frac{k\log k+\log\frac1\delta}{\sum_i\sigma_i^{-(4k-2)}}\Bigr)^{1/(4k-2)}
# \end{aligned}
# $$ (eq-amb-theorem)
#
# with probability $1-\delta$; Theorem 4.4 has a lower bound with the same two sums. In the second
# term a sample counts $\sigma_i^{-(4k-2)}$.
#
# **Why the power of $\sigma$ grows with $k$.** Under heavy noise the balls melt into one hill, and
# data show the centres only through the moments of the hill. The variance of an estimated $j$-th
# moment grows as $\sigma^{2j}$. To tell $k$ centres of known weights apart takes $k$ moments, hence
# $\sigma^{2k}$. With unknown weights there are $2k-1$ numbers to find: $2k-1$ moments, hence
# $\sigma^{2(2k-1)}=\sigma^{4k-2}$, the exponent of the theorem. Both powers are tested below.
#
# ## The method in code

# %%
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.mixture import k_means
from gaussbook.notebook import say
from gaussbook.optim import Adam
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.transport import energy_distance

claims = Claims("ambient_diffusion")
xp = backend()


# %% [markdown]
# Equation {eq}`eq-amb-fisher` on the line is an integral over one variable, which the trapezoidal
# rule gives to rounding error. A row of `root` is the score at one point times the root of its
# share of the integral, so that $F=\texttt{root}^\top\texttt{root}$. We keep the root and not the
# product: $\operatorname{tr}F^{-1}$ is the sum of $1/\tau^2$ over the singular values $\tau$ of the
# root, and with many components some of them are so small that squaring would lose them. The scores
# of free weights, whose sum is one, are $kw_j-kw_k$ for $j<k$.

# %%
def roots(mu, s, free_weights=False):
    """Roots of the information of one sample: along the line, and across it."""
    x = np.linspace(mu[0] - 9 * s, mu[-1] + 9 * s, 2001)
    z = (x[:, None] - mu) / s
    p = np.mean(np.exp(-(z**2) / 2), axis=1) / np.sqrt(2 * np.pi) / s
    share = np.sqrt(p * (x[1] - x[0]))[:, None]
    w = ad.softmax(-(z**2) / 2)
    score = w * z / s
    if free_weights:
        score = np.concatenate([score, len(mu) * (w[:, :-1] - w[:, -1:])], axis=1)
    return share * score, share * w / s


def trace_inverse(root, keep=None):
    """tr F^-1 for F = root^T root; of its first `keep` coordinates."""
    _, tau, v = np.linalg.svd(root, full_matrices=False)
    return float(np.sum((v[:, :keep] / tau[:, None]) ** 2))


# %% [markdown]
# The bound {eq}`eq-amb-bound` stacks the roots of all groups, each times $\sqrt{n_s}$.

# %%
def bound(groups, mu, d):
    """Cramer-Rao bound for groups of (number of samples, their total standard deviation)."""
    parts = [[np.sqrt(n) * root for root in roots(mu, s)] for n, s in groups]
    along, across = (np.concatenate(part) for part in zip(*parts, strict=True))
    return trace_inverse(along) + (d - 1) * trace_inverse(across)


def price(share, s_clean, s_noisy, mu, d):
    """Noisy samples that are worth one clean sample, where `share` of all are clean."""
    gains = np.zeros(2)
    for a, b, times in zip(roots(mu, s_clean), roots(mu, s_noisy), (1, d - 1), strict=True):
        C = np.linalg.inv(share * a.T @ a + (1 - share) * b.T @ b)
        gains += [times * np.sum((root @ C) ** 2) for root in (a, b)]
    return gains[0] / gains[1]


# %% [markdown]
# ## Experiments
#
# ### E1: exchange rates
#
# Centres equally spaced on $[-1,1]$, clean samples with $s=0.2$. *All noisy*: by what factor does
# the error grow when the noise of every sample grows? In one dimension, on the line of the centres.
# *Mixed*: four centres in 16 dimensions. What does one clean sample cost where a share of the
# samples is clean already?

# %%
S_CLEAN, COMPONENTS, NOISES, D = 0.2, (2, 3, 4, 5), np.geomspace(0.2, 4, 41), 16
lines = {k: np.linspace(-1, 1, k) for k in COMPONENTS}
mu = lines[4]


def growth(k, s, free_weights=False):
    """tr C_noisy / tr C_clean for the centres."""
    errors = [trace_inverse(roots(lines[k], v, free_weights)[0], k) for v in (s, S_CLEAN)]
    return errors[0] / errors[1]


curves = {k: [growth(k, s) for s in NOISES] for k in COMPONENTS}
SHARES, MIXED = np.geomspace(0.001, 1, 40), (0.4, 0.6, 1.0)
prices = {s: [price(f, S_CLEAN, s, mu, D) for f in SHARES] for s in MIXED}

# %% tags=["hide-input"]
alt = """Two panels with logarithmic axes. Left: the error grows with the noise along four curves that
bend into straight lines, steeper for more components. Right: the price of a clean sample against the
share of clean samples, one falling curve for each of three noise levels; the noisier the steeper, and all
flatten once a tenth of the samples is clean. Dotted lines far below mark the price for one component."""
caption = r"""Left: all samples noisy. By what factor the error of $k$ known-weight centres grows with the
noise. Right: some samples clean. How many noisy samples buy one clean sample; dotted, the price
$(s/0.2)^2$ that a single component would have."""
with figure(1, 2, alt=alt, caption=caption, width=9.0, height=3.8) as axes:
    for k, curve in curves.items():
        axes[0].loglog(NOISES, curve, label=f"k = {k}")
    for (s, curve), colour in zip(prices.items(), PALETTE.values(), strict=False):
        axes[1].loglog(100 * SHARES, curve, color=colour, label=f"s = {s:g}")
        axes[1].axhline((s / S_CLEAN) ** 2, color=colour, ls=":", lw=1)
    axes[0].set_xticks((0.2, 0.5, 1, 2, 4), labels=("0.2", "0.5", "1", "2", "4"))
    axes[1].set_xticks((0.1, 1, 10, 100), labels=("0.1", "1", "10", "100"))
    axes[0].minorticks_off()
    axes[0].set(xlabel="total noise s of all samples", ylabel="error, relative to s = 0.2")
    axes[1].set(xlabel="clean samples (%)", ylabel="price of a clean sample (noisy ones)")
    axes[0].legend()
    axes[1].legend()

# %% [markdown]
# Left, the price of data that are noisy throughout: at $s=2$, ten times the clean spread, five
# centres cost over a million times as many samples. Right, the second half of the answer: the same
# noisy samples gain value as soon as a few clean ones fix what noise hides, and the price comes
# down towards, though never to, that of a single component, $(s/0.2)^2$.

# %%
REFERENCE = {1: (39.7, 90.7, 447, 3927), 2: (208, 2296, 52932, 1.79e6)}
off = [
    abs(growth(k, s) / value - 1)
    for s, values in REFERENCE.items()
    for k, value in zip(COMPONENTS, values, strict=True)
]
claims.check(
    "C1.a", "E1: growth of the error at s = 1 and 2, k = 2 to 5: largest distance from reference values",
    measured=100 * max(off), at_most=2, unit="%", own=True,
)  # fmt: skip

# %%
GRID = (0.02, 0.1, 0.5)
PRICES = ((12.49, 9.52, 7.10), (71.7, 30.7, 20.3), (208.4, 91.4, 67.7))
found = np.asarray([[price(f, S_CLEAN, s, mu, D) for f in GRID] for s in MIXED])
claims.check(
    "C1.b", "E1: nine prices, k = 4, d = 16: largest distance from reference values",
    measured=100 * float(np.max(np.abs(found / PRICES - 1))), at_most=2, unit="%", own=True,
)  # fmt: skip
claims.check(
    "C1.e", "E1: price of a clean sample, 50 % clean over 2 % clean: largest of three noise levels",
    measured=float(np.max(found[:, 2] / found[:, 0])), at_most=0.7, paper="a small clean set suffices",
)  # fmt: skip
rows = [[f"s = {s:g}", *row, (s / S_CLEAN) ** 2] for s, row in zip(MIXED, found, strict=True)]
columns = ["noisy samples", *(f"{f:.0%} clean" for f in GRID), "one component"]
table(rows, columns, "How many noisy samples are worth one clean sample (four centres, 16 dimensions)")


# %% [markdown]
# The slopes on the left between $s=2$ and $s=4$ approach $2k$. With free weights they should
# approach $4k-2$, the theorem's exponent; for two and three components we can follow that with
# twice the noise.

# %%
def slope(k, s, free_weights=False):
    """Power of s with which the error grows between s and 2 s."""
    return np.log2(growth(k, 2 * s, free_weights) / growth(k, s, free_weights))


known = [slope(k, 2) for k in COMPONENTS]
free = {k: slope(k, 4, free_weights=True) for k in (2, 3)}
claims.check(
    "C1.c", "E1: log-log slopes between s = 2 and 4: largest distance from 3.27, 5.54, 7.55, 9.51",
    measured=float(np.max(np.abs(np.subtract(known, (3.27, 5.54, 7.55, 9.51))))), at_most=0.05, own=True,
)  # fmt: skip
claims.check(
    "C1.d", "E1: rise of the slope with each further component, the farthest from 2",
    measured=float(max(np.diff(known), key=lambda step: abs(step - 2))), between=(1.9, 2.3),
    paper="exponential in k",
)  # fmt: skip
claims.check(
    "C1.f", "E1: slope with free weights between s = 4 and 8 less 4k − 2, k = 2 and 3, the farthest from 0",
    measured=float(max((free[k] - (4 * k - 2) for k in free), key=abs)), between=(-0.5, 0.5),
    paper="σ^(4k−2)",
)  # fmt: skip
say(f"""With known weights the slopes are {", ".join(f"{v:.2f}" for v in known)} for two to five components;
with free weights {free[2]:.2f} and {free[3]:.2f} for two and three, where the theorem's exponents are 6 and
10.""")

# %% [markdown]
# ### The price in the paper's own tables
#
# The paper's Table 3 gives the FID of models trained on a share of the clean pictures alone, and on
# the same share with all other pictures noisy ($\sigma=0.2$). So we can ask which share of clean
# pictures *alone* would have been as good as a mixture, by interpolating $\log\mathrm{FID}$
# linearly between neighbouring shares. If a share $f$ with noise equals a share $g$ without, then
# $1-f$ noisy pictures replace $g-f$ clean ones, at the price $(1-f)/(g-f)$.

# %%
CLEAN_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
TABLE_3 = {  # FID of clean pictures alone by share; FID of the mixtures at 10, 30 and 50 % clean
    "CIFAR-10": ((17.30, 3.99, 2.40, 2.20, 2.07, 1.99), (2.81, 2.42, 2.24)),
    "CelebA": ((11.92, 3.72, 2.83, 2.68, 2.50, 2.40), (2.75, 2.67, 2.52)),
    "ImageNet": ((10.57, 4.34, 2.15, 1.65, 1.50, 1.41), (1.68, 1.59, 1.51)),
}
paper_prices = {}
for name, (alone, mixtures) in TABLE_3.items():
    equivalent = np.interp(-np.log(mixtures), -np.log(alone), CLEAN_SHARES)
    clean = np.asarray(CLEAN_SHARES[:3])
    paper_prices[name] = (1 - clean) / (equivalent - clean)
rows = [[name, *row] for name, row in paper_prices.items()]
columns = ["data", "10 % clean", "30 % clean", "50 % clean"]
table(rows, columns, "Noisy pictures for one clean picture, read off the paper's Table 3")


# %% [markdown]
# This is arithmetic on published numbers, so it has no row in the verdict. The paper finds its
# range of 1.5 to 1.75 by comparing pairs of models; which pairs we do not know. One pair on CIFAR-10 points
# elsewhere: 30 % clean with 70 % noisy pictures (2.42) come out level with 50 % clean pictures
# alone (2.40), so that 70 noisy ones replace 20 clean ones. Either way it is a small number.
#
# ### E2: four budgets, in theory and in a simulation
#
# Does an estimator cash in what the bound promises? Expectation-maximisation (EM) for the centres,
# with weights and noise known, weighs every sample by its own precision,
#
# $$
# \begin{gathered}
# q_{ij}\propto N(y_i\mid m_j,s_i^2I),\\
# m_j\leftarrow\frac{\sum_iq_{ij}\,y_i/s_i^2}{\sum_iq_{ij}/s_i^2}.
# \end{gathered}
# $$ (eq-amb-em)
#
# The cell runs it for all seeds at once, along leading axes.

# %%
def em_means(y, s, m, steps):
    """Centres (..., k, d) and log-likelihood (up to a constant) of samples y (..., n, d)."""
    precision = 1 / s[:, None] ** 2
    for _ in range(steps):
        logits = (y @ xp.matrix_transpose(m) - xp.sum(m**2, axis=-1)[..., None, :] / 2) * precision
        q = ad.softmax(logits) * precision
        m = xp.matrix_transpose(q) @ y / xp.sum(q, axis=-2)[..., None]
    return m, xp.sum(ad.logsumexp(logits, axis=-1), axis=-1)


# %% [markdown]
# 2000 samples in 16 dimensions, four centres on the first axis, $s=0.2$ for clean and $0.4$ for
# noisy samples, 20 seeds. EM starts near the truth, since the bound speaks of an estimate that has
# found the right hill. The last row tells EM only the mean variance of the mixture instead of each
# sample's own.

# %%
SEEDS, N, S_NOISY, rng = 20, 2000, 0.4, generator(0)
centres = to_device(mu[:, None] * np.eye(D)[0])
labels, z = rng.integers(4, size=(SEEDS, N)), rng.standard_normal((SEEDS, N, D))
start = centres + 0.05 * rng.standard_normal((SEEDS, 4, D))
tenth = np.where(np.arange(N) < N // 10, S_CLEAN, S_NOISY)
budgets = {
    "100 % clean": np.full(N, S_CLEAN),
    "100 % noisy": np.full(N, S_NOISY),
    "10 % clean only": np.full(N // 10, S_CLEAN),
    "10 % clean + 90 % noisy": tenth,
}


def observed(s):
    """The first len(s) samples of every seed with the noise s."""
    return centres[labels[:, : len(s)], :] + to_device(s)[:, None] * z[:, : len(s), :]


def squared_error(m):
    """Total squared error of the centres."""
    return xp.sum((m - centres) ** 2, axis=(-2, -1))


# %%
simulated, limits, rows = {}, {}, []
for name, s in progress(budgets.items(), "EM"):
    m, _ = em_means(observed(s), to_device(s), start, scale(default=80, paper=400))
    simulated[name] = float(xp.mean(squared_error(m)))
    limits[name] = bound([(np.sum(s == v), v) for v in np.unique(s)], mu, D)
    rows.append([name, limits[name], simulated[name], simulated[name] / limits[name]])
pooled = np.full(N, np.sqrt(np.mean(tenth**2)))
m, _ = em_means(observed(tenth), to_device(pooled), start, scale(default=80, paper=400))
simulated["pooled"] = float(xp.mean(squared_error(m)))
rows.append(["the same, told one mean variance", "–", simulated["pooled"], "–"])
columns = ["data", "Cramér–Rao bound", "EM, mean of 20 seeds", "ratio"]
table(rows, columns, "Total squared error of four centres")

# %% [markdown]
# That noisy samples alone have a hill near the truth does not mean that EM finds it. From random
# starts (four random observations, ten times, the likeliest result kept) we look at three seeds:

# %%
TRIED, STARTS = 3, 10
levels = to_device(budgets["100 % noisy"])
y = observed(budgets["100 % noisy"])[:TRIED, ...]
picks = to_device(rng.host.integers(N, size=(TRIED, STARTS * 4)))
first = xp.stack([xp.take(y[i, ...], picks[i, :], axis=0) for i in range(TRIED)])
first = xp.reshape(first, (TRIED, STARTS, 4, D))
m, likelihood = em_means(y[:, None, :, :], levels, first, scale(default=150, paper=1000))
winner = to_host(xp.argmax(likelihood, axis=1))
found = to_host(m)[np.arange(TRIED), winner]
squares = np.sum((found[:, :, None, :] - to_host(centres)) ** 2, axis=-1)
from_random = [float(cost[linear_sum_assignment(cost)].sum()) for cost in squares]
from_truth = to_host(squared_error(em_means(y, levels, start[:TRIED, ...], 80)[0]))
rows = [["near the truth", *from_truth], ["best of ten random starts", *from_random]]
columns = ["start", *(f"seed {i}" for i in range(TRIED))]
table(rows, columns, "Total squared error of EM on noisy samples only")
worst = max(a / b for a, b in zip(from_random, from_truth, strict=True))
say(f"""At worst the error from random starts is {worst:.2f} times that from the start near the truth.""")

# %%
ratios = [simulated[name] / limits[name] for name in budgets if name != "100 % noisy"]
mix = simulated["10 % clean + 90 % noisy"]
claims.check(
    "C2.a", "E2: simulated error over the bound; all clean, 10 % clean or mix, the farthest from 1",
    measured=max(ratios, key=lambda ratio: abs(np.log(ratio))), between=(0.7, 1.5), seeds=SEEDS, own=True,
)  # fmt: skip

# %%
for id, words, other, own in (
    ("C2.b", "the mix when told one mean variance", "pooled", True),
    ("C2.c", "noisy only", "100 % noisy", False),
    ("C2.d", "10 % clean only", "10 % clean only", False),
):
    claims.check(
        id, f"E2: error of {words} over that of the mix", measured=simulated[other] / mix,
        at_least=1.5, seeds=SEEDS, paper=None if own else "mix is better", own=own,
    )  # fmt: skip


# %% [markdown]
# EM comes to the bound. A tenth of clean samples alone is ten times worse than all of them and the
# noisy ones alone nearly as bad; together they halve the error. Most of the gain is lost when the
# samples' own noise levels are not used.
#
# ### E3: digits
#
# Now real pictures, and a model whose likelihood can be computed: a mixture of four Gaussians with
# full covariances $V_k$ for the *clean* digits, fitted to noisy ones. Since a sample of component
# $k$ with noise $\sigma_i$ has the covariance $T_{ik}=V_k+\sigma_i^2I$, EM guesses the clean
# picture behind each sample (Bovy and others call it *extreme deconvolution*):
#
# $$
# \begin{gathered}
# q_{ik}\propto\pi_kN(y_i\mid m_k,T_{ik}),\\
# b_{ik}=m_k+G_{ik}(y_i-m_k),\\
# G_{ik}=V_kT_{ik}^{-1},\quad B_{ik}=V_k-G_{ik}V_k .
# \end{gathered}
# $$ (eq-amb-estep)
#
# The new weights, means and covariances are the moments of these guesses, with their remaining
# covariance $B$:
#
# $$
# \begin{gathered}
# \pi_k=\tfrac1n\sum_iq_{ik},\qquad m_k=\frac{\sum_iq_{ik}b_{ik}}{\sum_iq_{ik}},\\
# S_k=\sum_iq_{ik}\bigl[(b_{ik}-m_k)(b_{ik}-m_k)^\top+B_{ik}\bigr],\\
# V_k=\frac{S_k+\nu\Psi}{\sum_iq_{ik}+\nu}+10^{-3}I .
# \end{gathered}
# $$ (eq-amb-mstep)
#
# The terms with $\nu=40$ pull all covariances towards a common $\Psi$, the covariance within the
# clusters of the start, less the mean noise. A model from 140 pictures needs that. As there are
# only two noise levels, $T$ is factorised once for each component and level. The arrays carry the
# seeds along the first axis.

# %%
def e_step(y, noise, log_pi, m, V):
    """log of pi_k N(y | m_k, V_k + noise^2 I), (S, K, n), and the offsets y - m, (S, K, n, d)."""
    eye = xp.eye(y.shape[-1])
    L = xp.linalg.cholesky(V + noise**2 * eye)
    offset = y[:, None, :, :] - m[:, :, None, :]
    white = offset @ xp.matrix_transpose(xp.linalg.solve(L, xp.broadcast_to(eye, L.shape)))
    half_log_det = xp.sum(xp.log(xp.linalg.diagonal(L)), axis=-1)
    constant = log_pi - half_log_det - y.shape[-1] * np.log(2 * np.pi) / 2
    return constant[:, :, None] - xp.sum(white**2, axis=-1) / 2, offset


# %% [markdown]
# The sums of {eq}`eq-amb-mstep` need of each group only the count of a component, the sum of its
# offsets $y-m$ and their scatter: since $b-m=G(y-m)$, the guesses themselves never have to be
# formed.

# %%
def em_step(groups, log_pi, m, V, Psi, nu):
    """One step of EM; groups holds pairs of samples (S, n, d) and their noise."""
    eye, count, shift, second = xp.eye(m.shape[-1]), 0, 0, 0
    for y, noise in groups:
        log_joint, offset = e_step(y, noise, log_pi, m, V)
        q = ad.softmax(log_joint, axis=1)
        G = xp.matrix_transpose(xp.linalg.solve(V + noise**2 * eye, V))
        n = xp.sum(q, axis=2)
        count = count + n
        shift = shift + (G @ (xp.matrix_transpose(offset) @ q[..., None]))[..., 0]
        scatter = xp.matrix_transpose(offset) @ (q[..., None] * offset)
        second = second + G @ scatter @ xp.matrix_transpose(G) + n[..., None, None] * (V - G @ V)
    move = shift / count[..., None]
    second = second - count[..., None, None] * move[..., :, None] * move[..., None, :]
    V = (second + nu * Psi) / (count + nu)[..., None, None] + 1e-3 * eye
    return xp.log(count / xp.sum(count, axis=1, keepdims=True)), m + move, V


# %% [markdown]
# **Data.** Pixels lie in $[-1,1]$. The pictures are projected on the 20 principal axes of the clean
# training set, not rescaled, so that noise stays the same in all directions. The axes are shared by
# all conditions, as likelihoods must be compared in one space; that is a gift to the noisy ones.
# There are 1400 training and 397 test pictures, noise has the standard deviation 1, and each
# condition starts from k-means on its own data.

# %%
DIGIT_SEEDS, AXES, K, NOISE, n_train, n_clean = 5, 20, 4, 1.0, 1400, 140
pixels = data.table("digits").data / 8 - 1


def split(seed):
    """Training set, its noise, test set and the axes of one seed."""
    rng = generator(seed)
    order = to_host(rng.permutation(len(pixels)))
    train, test = pixels[order[:n_train]], pixels[order[n_train:]]
    axes = PCA(AXES, svd_solver="full").fit(train)
    return axes.transform(train), rng.host.standard_normal((n_train, AXES)), axes.transform(test), axes


x, z, held_out, axes_of = zip(*(split(seed) for seed in range(DIGIT_SEEDS)), strict=True)
x, z, held_out = (to_device(np.stack(part)) for part in (x, z, held_out))
noisy, few = x + NOISE * z, x[:, :n_clean, :]
conditions = {
    "100 % clean": [(x, 0.0)],
    "100 % noisy": [(noisy, NOISE)],
    "10 % clean only": [(few, 0.0)],
    "10 % clean + 90 % noisy": [(few, 0.0), (noisy[:, n_clean:, :], NOISE)],
    "the same, all taken for clean": [(xp.concat([few, noisy[:, n_clean:, :]], axis=1), 0.0)],
}


# %%
def begin(groups):
    """Weights, means and Psi of each seed from k-means on all samples of a condition."""
    y = xp.concat([part for part, _ in groups], axis=1)
    noise = sum(part.shape[1] * level**2 for part, level in groups) / y.shape[1]
    starts = []
    for seed, rows in enumerate(y):
        clusters = k_means(rows, K, seed=seed)
        own = xp.astype(clusters.labels[:, None] == xp.arange(K), xp.float64)
        within = rows - xp.take(clusters.centres, clusters.labels, axis=0)
        value, vector = xp.linalg.eigh(within.T @ within / rows.shape[0])
        value = xp.clip(value - noise, 0.02, None)
        starts.append((xp.log(xp.mean(own, axis=0)), clusters.centres, (vector * value) @ vector.T))
    log_pi, m, Psi = (xp.stack(part) for part in zip(*starts, strict=True))
    return log_pi, m, Psi[:, None, :, :]


def deconvolve(groups, steps=30, nu=40):
    """The prior of clean pictures behind a condition's samples, for all seeds."""
    log_pi, m, Psi = begin(groups)
    V = xp.broadcast_to(Psi, (*m.shape, m.shape[-1]))
    for _ in range(steps):
        log_pi, m, V = em_step(groups, log_pi, m, V, Psi, nu)
    return log_pi, m, V


# %%
def score(prior):
    """Mean log-likelihood of the clean test pictures, for each seed."""
    return to_host(xp.mean(ad.logsumexp(e_step(held_out, 0.0, *prior)[0], axis=1), axis=1))


priors = {name: deconvolve(groups) for name, groups in progress(conditions.items(), "priors")}
scores = {name: score(prior) for name, prior in priors.items()}
rows = [[name, float(np.mean(values)), *values] for name, values in scores.items()]
columns = ["training data", "mean", *(f"seed {i}" for i in range(DIGIT_SEEDS))]
table(rows, columns, "Mean log-likelihood of a clean test picture (nats)")


# %% tags=["hide-input"]
def strip(name, seed=0, count=12):
    """Pictures drawn from a prior of one seed, side by side."""
    rng = generator(seed)  # the same draws for every prior
    log_pi, m, V = (to_host(part[seed]) for part in priors[name])
    u, z = rng.host.uniform(size=count), rng.host.standard_normal((count, AXES, 1))
    k = np.minimum(np.searchsorted(np.cumsum(np.exp(log_pi)), u), K - 1)
    points = m[k] + (np.linalg.cholesky(V[k]) @ z)[..., 0]
    pictures = axes_of[seed].inverse_transform(points).reshape(count, 8, 8)
    return np.concatenate(np.pad(pictures, ((0, 0), (0, 0), (0, 1)), constant_values=1), axis=1)


alt = """Five rows of twelve small pictures drawn from the five priors with the same random numbers:
bright blurred strokes on black, some of them like digits. A column looks alike in most rows. The all-noisy
row is paler, and the last row, fitted as if noisy pictures were clean, has the harshest contrasts."""
caption = "Pictures drawn from each prior, with the same random numbers in every row."
with figure(5, 1, alt=alt, caption=caption, width=7.2, height=4.4) as axes:
    for ax, name in zip(axes, priors, strict=True):
        ax.imshow(strip(name), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_title(name, fontsize=9, loc="left")
        ax.set(xticks=[], yticks=[])

# %%
clean, noisy_only, tenth_only, mixed, blind = scores.values()
best = np.maximum(noisy_only, tenth_only)
ahead = int(np.sum(mixed > best))
top = max(np.mean(noisy_only), np.mean(tenth_only))
claims.check(
    "C3.a", "E3: mean test log-likelihood, all clean less mix",
    measured=float(np.mean(clean - mixed)), at_least=0.5, unit="nats", seeds=DIGIT_SEEDS,
    paper="FID 1.99 against 2.81 (CIFAR-10)",
)  # fmt: skip
claims.check(
    "C3.c", "E3: mix less the better of noisy only and 10 % clean only, means of the seeds",
    measured=float(np.mean(mixed) - top), at_least=0.2, unit="nats", seeds=DIGIT_SEEDS,
    paper="FID 2.81 against 11.93 and 17.30 (CIFAR-10)",
)  # fmt: skip

# %%
claims.check(
    "C3.d", "E3: seeds of five in which the mix is better than both",
    measured=ahead, at_least=4, seeds=DIGIT_SEEDS, paper="mix is better",
)  # fmt: skip
claims.check(
    "C3.e", "E3: share of the way from the better of the two to all clean that the mix goes",
    measured=float(np.mean((mixed - best) / (clean - best))), at_least=0.1, seeds=DIGIT_SEEDS,
    paper="0.92 of FID (CIFAR-10)",
)  # fmt: skip
claims.check(
    "C3.b", "E3: mix fitted as if all were clean, less the worse of noisy only and 10 % clean only",
    measured=float(np.mean(blind) - min(np.mean(noisy_only), np.mean(tenth_only))), at_most=0.0,
    unit="nats", seeds=DIGIT_SEEDS, own=True,
)  # fmt: skip

# %% [markdown]
# The order is the paper's. The mixture goes a smaller part of the way than on CIFAR-10: noise of 1
# on pixels in $[-1,1]$ is five times the paper's.
#
# ### E4: ambient diffusion
#
# A *diffusion model* adds noise of every strength $\sigma$ to data, $x_\sigma=x_0+\sigma\epsilon$,
# and trains a network $\hat x_0(x,\sigma)$ to guess the picture behind it. The best guess is
# $E[x_0\mid x_\sigma]$, and following it from strong noise to none draws a new picture. With a
# noisy sample $y_i$ in the place of $x_0$ the network would learn to guess $y_i$. The *ambient*
# loss converts. For $\sigma\ge\sigma_i$ take $x=y_i+\sqrt{\sigma^2-\sigma_i^2}\,\epsilon$, which
# has the law of $x_\sigma$. Given $x$ and $x_0$, the noise in $y_i$ is the share
# $\sigma_i^2/\sigma^2$ of the noise $x-x_0$ in $x$. Hence
#
# $$
# \begin{gathered}
# E[y_i\mid x]=(1-a)\,E[x_0\mid x]+a\,x,\\
# a=\frac{\sigma_i^2}{\sigma^2},\quad
# \mathcal L=w(\sigma)\,\bigl\lVert(1-a)\,\hat x_0+a\,x-y_i\bigr\rVert^2
# \end{gathered}
# $$ (eq-amb-loss)
#
# The mean of $\mathcal L$ is least at $\hat x_0=E[x_0\mid x_\sigma]$, for every $\sigma>\sigma_i$. As
# in the authors' code $\sigma$ is drawn with $\ln\sigma\sim N(-1.2,1.2^2)$ and then raised to
# $\sigma_i$ where it is smaller (there $a=1$ and the loss is zero: such draws are wasted), and
# $w=(\sigma^2+\sigma_d^2)/(\sigma\sigma_d)^2$ with the standard deviation $\sigma_d=0.7$ of the
# data. Our data are a ring of eight small balls.

# %%
TAU, SIGMA_D = 0.05, 0.7
around = np.arange(8) * np.pi / 4
RING = to_device(np.stack([np.cos(around), np.sin(around)], axis=1))


def ring(n, rng):
    """n clean points of the ring."""
    return xp.take(RING, rng.integers(8, size=n), axis=0) + TAU * rng.standard_normal((n, 2))


def noise_levels(shape, rng):
    """The authors' law of sigma."""
    return xp.exp(-1.2 + 1.2 * rng.standard_normal(shape))


def predicted(x_hat, x, a):
    """The guess of y_i that belongs to a guess of x_0."""
    return (1 - a) * x_hat + a * x


def weight(sigma):
    """w(sigma)."""
    return (sigma**2 + SIGMA_D**2) / (sigma * SIGMA_D) ** 2


# %% [markdown]
# **Is the loss right?** On the ring the best guess is known. With the centres $c_j$, their
# posterior weights and $\tau=0.05$
#
# $$
# E[x_0\mid x]=\frac{\sigma^2\sum_jw_jc_j+\tau^2x}{\sigma^2+\tau^2} .
# $$ (eq-amb-guess)
#
# At a minimum the derivative of the mean loss must vanish in every direction $f$ in which
# $\hat x_0$ may be changed,
#
# $$
# \begin{aligned}
# &\frac{\mathrm d}{\mathrm d\epsilon}\mathcal L[\hat x_0+\epsilon f]\\
# &\quad=2w\,(1-a)\,\bigl\langle f,(1-a)\hat x_0+ax-y_i\bigr\rangle .
# \end{aligned}
# $$ (eq-amb-derivative)
#
# We take 200 000 draws and count how many standard errors the mean is from zero, for clean and
# noisy samples and three directions; then once more without the conversion ($a=0$), and with its
# sign wrong.

# %%
def best_guess(x, sigma):
    """E[x_0 | x_sigma = x] on the ring."""
    v = sigma**2 + TAU**2
    w = ad.softmax((x @ RING.T - 0.5) / v)  # every centre has norm 1
    return (sigma**2 * (w @ RING) + TAU**2 * x) / v


def t_values(sigma_i, factor=1.0):
    """Mean derivative over its standard error along a constant, x, and the best guess."""
    rng, n = generator(0), scale(default=200_000, paper=5_000_000)
    sigma = xp.clip(noise_levels((n, 1), rng), sigma_i, None)
    y = ring(n, rng) + sigma_i * rng.standard_normal((n, 2))
    x = y + xp.sqrt(sigma**2 - sigma_i**2) * rng.standard_normal((n, 2))
    a, x_hat = factor * (sigma_i / sigma) ** 2, best_guess(x, sigma)
    residual = 2 * weight(sigma) * (1 - a) * (predicted(x_hat, x, a) - y)
    slopes = [xp.sum(f * residual, axis=1) for f in (xp.ones_like(x), x, x_hat)]
    return [float(xp.mean(v) / xp.std(v) * n**0.5) for v in slopes]


# %%
tests = {
    "clean samples": t_values(0.0),
    "noisy samples, converted": t_values(0.3),
    "noisy samples, no conversion": t_values(0.3, factor=0.0),
    "noisy samples, wrong sign": t_values(0.3, factor=-1.0),
}
rows = [[name, *values] for name, values in tests.items()]
columns = ["loss", "constant", "x", "best guess"]
table(rows, columns, "Mean derivative of the loss at the best guess, in standard errors")

# %%
right = tests["clean samples"] + tests["noisy samples, converted"]
claims.check(
    "C5.a", "E4: derivative of the ambient loss at the best guess, largest of six",
    measured=max(map(abs, right)), at_most=4, unit="standard errors", paper="unbiased",
)  # fmt: skip
for id, loss in (("C5.b", "no conversion"), ("C5.c", "wrong sign")):
    claims.check(
        id, f"E4: the same with {loss}, along x", measured=tests[f"noisy samples, {loss}"][1],
        at_most=-40, unit="standard errors", own=True,
    )  # fmt: skip


# %% [markdown]
# The columns for $x$ and the best guess show the power of the test, the first column a trap: since
# the ring is centred, a constant shift cannot tell the losses apart.
#
# **The network** is a small one, 3 → 64 → 64 → 2, wrapped as in the EDM models on which the authors
# build, so that inputs and targets have unit scale at every noise level:
#
# $$
# \begin{gathered}
# \hat x_0=c_{\text{skip}}x+c_{\text{out}}\,\mathrm{net}\bigl(c_{\text{in}}x,\tfrac14\ln\sigma\bigr),\\
# c_{\text{skip}}=\tfrac{\sigma_d^2}{\sigma^2+\sigma_d^2},\quad c_{\text{out}}=\tfrac{\sigma\sigma_d}{\sqrt{\sigma^2+\sigma_d^2}},\\
# c_{\text{in}}=\tfrac1{\sqrt{\sigma^2+\sigma_d^2}} .
# \end{gathered}
# $$ (eq-amb-edm)

# %%
def denoiser(params, x, sigma):
    """The network's guess of x_0."""
    total = sigma**2 + SIGMA_D**2
    level = xp.broadcast_to(xp.log(sigma) / 4, (*x.shape[:-1], 1))
    out = nn.mlp(params, xp.concat([x / total**0.5, level], axis=-1))
    return SIGMA_D**2 / total * x + sigma * SIGMA_D / total**0.5 * out


def ambient_loss(params, x, y, sigma, sigma_i):
    """The loss of all networks, each on its own samples."""
    y_hat = predicted(denoiser(params, x, sigma), x, (sigma_i / sigma) ** 2)
    return ad.mean(weight(sigma) * (y_hat - y) ** 2)


# %% [markdown]
# **Arms.** Seven networks for each of three seeds learn side by side as one batch with a leading
# axis. They share points, noise and first weights, and differ in what they are given. Noise is
# drawn *once* for each sample and stays: fresh noise at each step would average away. The arm that
# takes noisy data for clean is the trivial competitor.

# %%
class Arm(NamedTuple):
    """What one network is trained on."""

    clean: int
    noisy: int
    noise: float = 0.3
    told: bool = True  # whether the loss knows the noise


arms = {
    "100 % clean": Arm(2000, 0),
    "100 % noisy": Arm(0, 2000),
    "10 % clean only": Arm(200, 0),
    "10 % clean + 90 % noisy": Arm(200, 1800),
    "noisy taken for clean": Arm(0, 2000, told=False),
    "1 % clean only": Arm(20, 0),
    "1 % clean + 99 % noisy": Arm(20, 1980),
}
RING_SEEDS, LUCK_SEEDS = 3, 10

# %%
NOISE_GRID, SIZE_GRID = scale(default=((), ()), paper=((0.1, 0.2, 0.3), (500, 2000, 8000, 32000)))
for noise, p, n in product(NOISE_GRID, (0, 0.5, 0.9, 0.99, 1), SIZE_GRID):
    arms[f"n = {n}, {p:.0%} of noise {noise}"] = Arm(n - round(p * n), round(p * n), noise)
ROWS = max(arm.clean + arm.noisy for arm in arms.values())


def samples(arm, x, z):
    """Samples of an arm, repeated to ROWS, and the noise that its loss is told."""
    index = xp.arange(ROWS) % (arm.clean + arm.noisy)
    level = xp.where(index < arm.clean, 0.0, arm.noise)[:, None]
    return xp.take(x, index, axis=0) + level * xp.take(z, index, axis=0), level * arm.told


# %%
STEPS, BATCH, WIDTH = scale(default=1500, paper=6000), 256, scale(default=64, paper=128)


def single(*arrays):
    """Arrays in single precision, for the network."""
    return tuple(xp.astype(part, xp.float32) for part in arrays)


# %% [markdown]
# A step draws 256 rows, noise levels and noise that all networks share, and Adam's rate of 0.003
# falls to zero over the second half of the steps.

# %%
def train(arms, seeds):
    """Train all arms of all seeds; their parameters have the leading axis (seed, arm)."""
    everything, nets = [], []
    for seed in seeds:
        rng = generator(seed)
        x, z = ring(ROWS, rng), rng.standard_normal((ROWS, 2))
        everything += [samples(arm, x, z) for arm in arms.values()]
        nets += [nn.mlp_init(rng, [3, WIDTH, WIDTH, 2])] * len(arms)
    y, sigma_i = single(*(xp.stack(part) for part in zip(*everything, strict=True)))
    params = [{key: xp.stack([net[k][key] for net in nets]) for key in nets[0][k]} for k in range(3)]

    def batch(rng):
        rows = rng.integers(ROWS, size=BATCH)
        sigma, eps = single(noise_levels((BATCH, 1), rng), rng.standard_normal((BATCH, 2)))
        own, level = xp.take(y, rows, axis=1), xp.take(sigma_i, rows, axis=1)
        sigma = xp.maximum(sigma, level)
        return own + xp.sqrt(sigma**2 - level**2) * eps, own, sigma, level

    adam = Adam(lambda step: 3e-3 * min(1, 2 - 2 * step / STEPS) + 1e-9)
    return nn.fit(ambient_loss, params, batch, adam, steps=STEPS, rng=generator(seeds[0])).params


# %% [markdown]
# **Sampling** follows $\mathrm dx/\mathrm d\sigma=(x-\hat x_0)/\sigma$ from $\sigma=10$ to 0 over
# 18 levels of EDM's grid with Heun's rule, which averages the slopes at both ends of a step. Every
# network is sampled down to zero, also below the noise of its data where it was never trained: that
# is the effect under study. (The 11.93 of noisy CIFAR-10 in Table 1 needs a further *consistency*
# loss. Sampled like here the paper's noisy-only model has 60.73, and 12.12 if sampling stops at the
# noise of the data.)

# %%
def generate(params, z, N=18, low=0.002, high=10.0, rho=7):
    """Heun's rule from noise z (n, 2) for every network: (networks, n, 2)."""
    ramp = high ** (1 / rho) + np.arange(N) / (N - 1) * (low ** (1 / rho) - high ** (1 / rho))
    levels = [*ramp**rho, 0.0]

    def slope(x, sigma):
        (level,) = single(xp.full((1, 1, 1), sigma))
        return (x - denoiser(params, x, level)) / level

    networks = params[0]["weight"].shape[0]
    (x,) = single(xp.broadcast_to(high * z, (networks, *z.shape)))
    for sigma, following in pairwise(levels):
        step, first = following - sigma, slope(x, sigma)
        straight = x + step * first
        x = straight if following == 0 else x + step / 2 * (first + slope(straight, following))
    return xp.astype(x, xp.float64)



# %% [markdown]
# Two numbers judge the points. The *energy distance*
# $2E\lVert X-Y\rVert-E\lVert X-X'\rVert-E\lVert Y-Y'\rVert$ to 2000 points of the ring, 250 from
# every ball, notices whatever differs; $n$ perfect points are at the distance
# $E\lVert X-X'\rVert/n$ on average, simply because they are few. The mean distance to the nearest
# centre notices blur only.

# %%
def mode_distance(x):
    """Mean distance to the nearest centre."""
    return float(xp.mean(xp.sqrt(xp.min(xp.sum((x[:, None, :] - RING) ** 2, axis=-1), axis=1))))


rng = generator(1000)
z, others = rng.standard_normal((2000, 2)), ring(2000, rng)
points = generate(train(arms, range(RING_SEEDS)), z)
real = xp.tile(RING, (250, 1)) + TAU * rng.standard_normal((2000, 2))  # 250 points in every ball
measures = [(energy_distance(v, real), mode_distance(v)) for v in points]
measures = np.reshape(measures, (RING_SEEDS, len(arms), 2))
energy, nearest = (dict(zip(arms, measures[..., k].mean(axis=0), strict=True)) for k in range(2))
fresh = {n: float(np.mean(pdist(to_host(real)))) / n for n in (20, 200)}
rows = [[name, energy[name], nearest[name]] for name in arms]
rows += [[f"{n} perfect points, expected", value, "–"] for n, value in fresh.items()]
rows.append(["2000 perfect points, drawn", energy_distance(others, real), mode_distance(others)])
columns = ["training data", "energy distance", "distance to nearest mode"]
table(rows, columns, "Generated points against the ring, mean of three seeds")

# %% tags=["hide-input"]
alt = """Four panels of generated points. All clean: eight tight clusters on a ring, joined by thin
trails. All noisy: one broad ring without clusters, with points inside. 10 % clean only: eight tight
clusters again. 10 % clean with 90 % noisy: a narrower ring, densest at the eight places but joined
between them."""
caption = "Points generated by four of the networks of the first seed."
with figure(2, 2, alt=alt, caption=caption, width=7.0, height=7.0, sharex=True, sharey=True) as axes:
    for ax, name, x in zip(axes.flat, arms, points, strict=False):
        ax.plot(*to_host(x).T, ".", ms=2, alpha=0.4)
        ax.set(title=name, xlim=(-1.9, 1.9), ylim=(-1.9, 1.9), aspect="equal")
    for ax in axes.flat:
        ax.set(xlabel="first coordinate", ylabel="second coordinate")
        ax.label_outer()

# %%
MIX, ALONE, NOISY = "10 % clean + 90 % noisy", "10 % clean only", "100 % noisy"
for id, ours, other, bound, paper in (
    ("C4.a", MIX, NOISY, 0.5, "FID 2.81 over 60.73 (CIFAR-10, sampled to zero)"),
    ("C4.b", "100 % clean", MIX, 0.5, None),
    ("C4.c", MIX, "noisy taken for clean", 0.8, None),
    ("C4.g", "1 % clean + 99 % noisy", "1 % clean only", 0.8, "FID 3.53 with 1 % clean (CIFAR-10)"),
    ("C4.h", "noisy taken for clean", NOISY, 1.3, None),
):
    claims.check(
        id, f"E4: energy distance, {ours} over {other}", measured=energy[ours] / energy[other],
        at_most=bound, seeds=RING_SEEDS, paper=paper, own=paper is None,
    )  # fmt: skip

# %%
for id, ours, other, bound, paper in (
    ("C4.d", NOISY, MIX, 1.3, "noisy data alone cannot match clean data"),
    ("C4.k", MIX, ALONE, 1.5, None),
):
    claims.check(
        id, f"E4: distance to the nearest mode, {ours} over {other}",
        measured=nearest[ours] / nearest[other], at_least=bound, seeds=RING_SEEDS, paper=paper,
        own=paper is None,
    )  # fmt: skip
claims.check(
    "C4.e", "E4: distance to the nearest mode, all clean",
    measured=nearest["100 % clean"], at_most=0.15, seeds=RING_SEEDS, own=True,
)  # fmt: skip

# %% [markdown]
# The mixture is far better than noisy points alone, and a single per cent of clean points already
# helps (C4.g). Two results deserve a warning. The trivial competitor, noisy data taken for clean,
# is no worse than the ambient model of noisy data (C4.h): without any clean point the network is
# never trained below the noise, and what it does there is its own invention.
#
# And at 10 % the mixture is *not* better than its clean points alone. For a ring of eight balls 200
# clean points are plenty (C4.i). What they lack is balance, since they fall on the balls unevenly,
# and that is luck: it differs much between seeds. So we train ten models of clean points and take
# the luck out. The energy distance of each model's own 200 points to the ring is known, and so is
# its mean over all draws. We subtract the difference of the two. The mixture has no such trouble,
# but its balls are blurred (C4.k), which costs as much.

# %%
alone = [*points[list(arms).index(ALONE) :: len(arms)]]
alone += [*generate(train({ALONE: arms[ALONE]}, range(RING_SEEDS, LUCK_SEEDS)), z)]
given = [ring(ROWS, generator(seed))[:200, :] for seed in range(LUCK_SEEDS)]
luck = np.mean([energy_distance(x, real) for x in given]) - fresh[200]
alone = float(np.mean([energy_distance(x, real) for x in alone]) - luck)
claims.check(
    "C4.f", "E4: energy distance, mix over 10 % clean only (the luck of its points taken out)",
    measured=energy[MIX] / alone, at_most=0.8, seeds=LUCK_SEEDS, paper="FID 2.81 over 17.30 (CIFAR-10)",
    not_reproduced="200 clean points suffice for eight balls (C4.i); the mix is blurred (C4.k)",
)  # fmt: skip
claims.check(
    "C4.i", "E4: energy distance, 10 % clean only (luck taken out) over that of 200 perfect points",
    measured=alone / fresh[200], at_most=1.5, seeds=LUCK_SEEDS, own=True,
)  # fmt: skip
claims.check(
    "C4.j", "E4: energy distance, mix over that of 200 perfect points",
    measured=energy[MIX] / fresh[200], between=(0.6, 2), seeds=RING_SEEDS, own=True,
)  # fmt: skip

# %% [markdown]
# ## Verdict
#
# A noisy sample has a price, and it depends on the company it keeps.
#
# Where all data are noisy, the price of detail is a power of the noise that grows by two with every
# component, and by four where the weights are unknown too, as the theorem has it. With a tenth of
# the samples clean the price is finite and moderate, and EM shows that an estimator can have it. On
# digits the order of the paper's Table 1 is reproduced with likelihoods. The ambient loss passes a
# test that its wrong forms fail. In one comparison the ring does not follow Table 1: 200 of its 2000
# points, clean, are enough for it, and noisy ones besides do not help.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# Networks for pictures, FID and the paper's data sets need days on many GPUs. The theorems are
# stated but not proved. Their rates hold in the worst case, when atoms may collide; our bounds are
# local, and with unknown weights their power of the noise was computed for two and three components
# only. They were not compared with EM at $s=0.6$ and $1$, where that takes many more than 2000
# samples. The paper's *consistency* loss, which asks the guesses at two noise levels to agree, was
# not run at any scale, nor was sampling that stops at the noise of the data, nor a network on
# digits.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells also train one network for each of three noise levels,
# five shares of noisy points, four sizes and three seeds, all as one batch: the paper's grid. Width
# is 128, for 6000 steps. The derivative test takes 5 million draws, and EM runs to convergence.
# This scale has not been run on a GPU yet.
