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
# # A functional prior for neural networks
#
# ```{paper-card}
# ```
#
# A Bayesian neural network needs a prior on its weights, and nobody knows what a weight should be.
# What one does know is what the *function* should look like: how large its values are and over
# which distance they change. A Gaussian process says exactly that, with a variance and a length
# scale. {cite:t}`functional_prior` let the Gaussian process speak for the network: they tune the
# standard deviations of the weights until the functions that the network draws are as close as
# possible to those of a chosen Gaussian process, and only then look at data.
#
# Does it work? The claims about the prior hold: with the usual weights of standard deviation one the
# network draws nearly constant functions, whatever was meant, and after tuning it draws functions of
# about the right size and roughness (the first figure). The posterior in one dimension is better too:
# the error bars open where data are missing, as those of the exact Gaussian process do. What does
# not hold is the gain on real data. And the network is still not *equal* to the process: its
# functions stay smoother than their target, and a naive form of the distance, which looks harmless,
# would have shrunk them instead.
#
# ## What the paper claims
#
# 1. Weights of standard deviation one imply an unintended prior on functions; tuning one standard
#    deviation for each layer's weights and one for its biases brings it close to the prior that was
#    meant. {claims}`C1.a, C1.b, C1.c, C1.d, C1.e, C1.f`
# 2. The distance is computed through its dual, with a network, the *critic*, as the test function.
#    (Ours: the dual agrees with exact transport between samples.) {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. A penalty on the critic's gradient keeps the critic honest. {claims}`C3.a, C3.b, C3.c, C3.d`
# 4. With the tuned prior the posterior is better: on a one-dimensional example the root-mean-square
#    error on the training points falls from 0.353 to 0.248. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e,
#    C4.f, C4.g, C4.h, C4.i, C4.j, C4.k`
# 5. It predicts better on real data: on Boston housing the negative log-likelihood falls from 2.567
#    to 2.470, the error from 3.132 to 2.797. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e`
# 6. In classification the variance and the length scale of the chosen process show in the
#    posterior: larger variance, more confidence; longer length scale, smoother boundaries.
#    {claims}`C6.a, C6.b, C6.c, C6.d`
#
# Not tested here: that richer families of priors (hierarchical, normalising flows) can be tuned the
# same way, and that the method scales to convolutional networks and beats other approximations.
#
# **What our numbers rest on.** We read the abstract and the complete official code with the outputs
# stored in its notebooks; all numbers of the paper below are from these notebooks. The paper's own
# tables were not available. A third party has run the one-dimensional notebook again and found
# 0.358 and 0.286 where the authors have 0.353 and 0.248, so run-to-run scatter is about 0.04.
#
# ## The idea
#
# **The network.** Layer $l$ turns its input $h$ into $h\,W_l/\sqrt{D_l}+b_l$, with $D_l$ the number
# of inputs, and hidden layers pass the result through $\tanh$. The prior is
#
# $$
# W_l=\sigma_{w,l}\,z,\qquad b_l=\sigma_{b,l}\,z',\qquad z,z'\sim N(0,I),
# $$ (eq-fp-prior)
#
# so that $\psi=\{\sigma_{w,l},\sigma_{b,l}\}$, eight numbers for three hidden layers, decide the
# distribution $p_\psi$ of the function's values $f=(f(x_1),\dots,f(x_M))$ at $M$ *measurement
# points*. The target is the distribution $p_{GP}$ of a Gaussian process at the same points, here
# with covariance $v\,e^{-(x-x')^2/2\ell^2}$, variance $v=1$ and length scale $\ell=0.6$.
#
# **The distance** between the two is Wasserstein's: the least mean distance over which mass must be
# carried,
#
# $$
# W_1(p_\psi,p_{GP})=\min_{\text{couplings}}E\|f-g\|=\max_{\|\phi\|_L\le1}E\,\phi(f)-E\,\phi(g),
# $$ (eq-fp-w1)
#
# where $\|\phi\|_L\le1$ means that $\phi$ changes no faster than its argument moves. The paper
# takes the right side, with a network for $\phi$. The left side is also within reach: between two
# *samples* of $n$ functions the best coupling is an assignment, one function to one, found exactly.
# We use the left side first and the right side as a check.
#
# **A bias, and its cure.** The distance between two samples of the *same* distribution is not zero:
# in 40 dimensions independent functions are far apart. That floor depends on $\psi$, for smaller
# functions lie closer to everything, and minimising $W_1$ between samples therefore shrinks the
# network. The cure is to subtract the network's distance from itself,
#
# $$
# \mathcal D(\psi)=W_1(f,g)-\tfrac12W_1(f,f'),
# $$ (eq-fp-debiased)
#
# with $f$ and $f'$ independent samples of the network (the same term for the process is a
# constant).
#
# ## The method in code
#
# Networks come in batches: the weights $z$ of {eq}`eq-fp-prior` have a leading axis, one entry for
# each function, and one call evaluates all functions.

# %%
import math
from itertools import combinations, pairwise, product

import numpy as np
from skimage.measure import find_contours
from sklearn.datasets import make_moons
from sklearn.linear_model import RidgeCV

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.covariances import SquaredExponential
from gaussbook.gp.exact import GaussianProcessRegressor
from gaussbook.gp.sampling import sample_gaussian
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.transport.exact import exact_plan, wasserstein
from gaussbook.transport.pairs import cost_matrix

claims = Claims("functional_prior")
xp = backend()


# %%
def draw_weights(widths, n, rng):
    """Standard normal weights z of n networks, layer by layer."""
    return [
        {
            "W": rng.standard_normal((n, i, o), dtype=np.float32),
            "b": rng.standard_normal((n, 1, o), dtype=np.float32),
        }
        for i, o in pairwise(widths)
    ]


def network(sigma, z, X):
    """Values f(X), shape (n, M), of networks with weights sigma z; sigma[k] is (sd of W, of b)."""
    h = X
    for k, layer in enumerate(z):
        to_W, to_b = sigma[k, 0] / math.sqrt(layer["W"].shape[-2]), sigma[k, 1]
        h = ad.matmul(h * to_W, layer["W"]) + to_b * layer["b"]
        h = ad.tanh(h) if k < len(z) - 1 else h
    return h[..., 0]


# %%
def draw_process(covariance, X, n, rng):
    """n functions of the Gaussian process at the points X, in single precision."""
    K = covariance(X) + 1e-6 * covariance.variance * xp.eye(X.shape[0])
    return xp.astype(sample_gaussian(xp.zeros(X.shape[0]), K, n, rng), xp.float32)


# %% [markdown]
# The left side of {eq}`eq-fp-w1`. The optimal plan between two samples of equal size is a
# permutation $\pi$. It stays the same for small changes of $f$, so the gradient of the distance
# flows through the paired distances $\|f_i-g_{\pi(i)}\|$ alone. We divide by $\sqrt M$, which makes
# the unit that of a function's value.

# %%
def transport(f, g):
    """W_1 between two samples of n functions, per sqrt(M), differentiable in both."""
    cost = cost_matrix(ad.plain(f), ad.plain(g), p=1)
    pi = xp.argmax(exact_plan(None, None, cost)[0], axis=1)
    paired = ad.sum((f - ad.take(g, pi, axis=0)) ** 2, axis=1)
    return ad.mean(ad.sqrt(paired + 1e-12)) / math.sqrt(f.shape[1])


def objective(raw, z, g, X, debias=True):
    """D(psi) of a batch of networks and a batch of the process, or the plain W_1."""
    f = network(ad.softplus(raw), z, X)
    f, other = f[: len(g)], f[len(g) :]
    return transport(f, g) - (0.5 * transport(f, other) if debias else 0.0)


# %% [markdown]
# The deviations are positive through $\sigma=\log(1+e^r)$, and all start at one. Each step takes
# fresh batches from a pool of weights and of functions of the process, and, where there are more
# inputs than measurement points, a fresh set of these. The optimiser is Adam with a falling rate,
# where the paper has RMSprop with a constant one and ten times as many steps.

# %%
POOL, N_S = scale(default=1024, paper=16384), scale(default=64, paper=512)
STEPS = scale(default=70, paper=400)


def take(z, rows):
    """Some of the networks of a batch."""
    return ad.tree_map(lambda leaf: leaf[rows], z)


def tune(widths, X, g, rng, points=None, debias=True):
    """The deviations sigma of shape (layers, 2) that bring the network to the functions g at X."""
    z, X, n = draw_weights(widths, 2 * POOL, rng), xp.astype(X, xp.float32), len(g)
    start = xp.full((len(widths) - 1, 2), math.log(math.e - 1), dtype=xp.float32)

    def batch(rng):
        at = rng.permutation(X.shape[0])[: points or X.shape[0]]
        rows, functions = rng.integers(0, 2 * POOL, 2 * N_S), rng.integers(0, n, N_S)
        return take(z, rows), g[functions][:, at], X[at]

    def loss(raw, z, g, X):
        return objective(raw, z, g, X, debias)

    optimiser = Adam(cosine_decay(0.17, STEPS, 0.04), beta1=0.5)
    return ad.softplus(nn.fit(loss, start, batch, optimiser, steps=STEPS, rng=rng).params)


# %% [markdown]
# ## Experiments
#
# ### Functions as they were meant
#
# A network with one input, three hidden layers of 50 units and one output; 40 measurement points
# from −6 to 6. We tune it to the process with length scale 0.6 from two seeds, to one with length
# scale 1.8, and once with the plain distance instead of {eq}`eq-fp-debiased`.

# %%
WIDTHS, M = (1, 50, 50, 50, 1), scale(default=40, paper=200)
X_M = xp.linspace(-6, 6, M)[:, None]
TARGETS = {ell: SquaredExponential(1.0, ell) for ell in (0.6, 1.8)}
FG = xp.ones((4, 2), dtype=xp.float32)  # the fixed Gaussian prior


def tuned(ell, seed, debias=True):
    """The deviations for the target of one length scale."""
    rng = generator(seed)
    g = draw_process(TARGETS[ell], X_M, POOL, rng)
    return tune(WIDTHS, X_M, g, rng, debias=debias)


GPI = [tuned(0.6, seed) for seed in (0, 1)]
LONG, PLAIN = tuned(1.8, 0), tuned(0.6, 0, debias=False)


# %% [markdown]
# Each prior is judged with fresh functions: the *excess* of its $W_1$ over the floor, which is the
# same distance for a second sample of the process; the mean variance; and the correlation of
# neighbouring values at three lags.

# %%
def mean_distance(pairs):
    """Mean of W_1/sqrt(M) over pairs of samples."""
    return np.mean([wasserstein(a, b, p=1) for a, b in pairs]) / math.sqrt(M)


def process_samples(ell, n=300):
    """Three samples of n functions of the process."""
    rng = generator(10)
    return [to_host(draw_process(TARGETS[ell], X_M, n, rng)) for _ in range(3)]


JUDGES = {ell: process_samples(ell) for ell in TARGETS}
FLOOR = {ell: mean_distance(combinations(JUDGES[ell], 2)) for ell in TARGETS}


# %%
def distances(sigma, n=300):
    """For each target the excess of W_1/sqrt(M) over the floor, and the unbiased distance."""
    rng, X = generator(11), xp.astype(X_M, xp.float32)
    f = [to_host(network(sigma, draw_weights(WIDTHS, n, rng), X)) for _ in range(3)]
    to = {ell: mean_distance(product(f, g)) - FLOOR[ell] for ell, g in JUDGES.items()}
    itself = mean_distance(combinations(f, 2))
    return {ell: (to[ell], to[ell] - (itself - FLOOR[ell]) / 2) for ell in TARGETS}


LAGS = (0.3, 0.6, 1.2)


def moments(sigma, seed=12, n=1200):
    """Mean variance of the function's values and their correlations at three lags."""
    X, z = xp.astype(X_M, xp.float32), draw_weights(WIDTHS, n, generator(seed))
    f = to_host(network(sigma, z, X)).astype(float)
    C, step = np.corrcoef(f.T), 12 / (M - 1)
    lags = [np.diagonal(C, round(lag / step)).mean() for lag in LAGS]
    return [f.var(axis=0).mean(), *lags]


# %%
priors = {"all deviations 1": FG, "tuned": GPI[0], "tuned, other seed": GPI[1]}
priors |= {"tuned for length scale 1.8": LONG, "plain distance": PLAIN}
gap = {name: distances(sigma) for name, sigma in priors.items()}
shape = {name: moments(sigma) for name, sigma in priors.items()}
exact = [math.exp(-((round(lag / (12 / (M - 1))) * 12 / (M - 1)) ** 2) / 0.72) for lag in LAGS]

# %% tags=["hide-input"]
alt = """Three panels of six functions each, from minus six to six. The Gaussian process wiggles
around zero. The network with deviations one draws nearly constant functions at different heights.
The tuned network draws functions that wiggle about zero too, with longer level stretches."""
caption = r"""Six functions drawn from each prior: the Gaussian process that was meant ($v=1$,
$\ell=0.6$), the network with all standard deviations one, and the same network after tuning."""
fine = xp.linspace(-6, 6, 300)[:, None]
z = draw_weights(WIDTHS, 6, generator(3))
drawn = {"Gaussian process": draw_process(TARGETS[0.6], fine, 6, generator(3))}
for name, sigma in (("network, all deviations 1", FG), ("network, tuned", GPI[0])):
    drawn[name] = network(sigma, z, xp.astype(fine, xp.float32))
with figure(1, 3, alt=alt, caption=caption, width=9.6, height=3.0, sharey=True) as axes:
    for ax, (name, f) in zip(axes, drawn.items(), strict=True):
        ax.plot(to_host(fine)[:, 0], to_host(f).T, lw=1.2)
        ax.set(title=name, xlabel="input x")
    axes[0].set_ylabel("function value")

# %%
rows = [
    (name, gap[name][0.6][0], gap[name][0.6][1], gap[name][1.8][1], *shape[name]) for name in priors
]
rows.append(("Gaussian process, 0.6", 0.0, 0.0, "–", 1.0, *exact))
columns = ["prior", "excess of W₁ (ℓ = 0.6)", "unbiased (ℓ = 0.6)", "unbiased (ℓ = 1.8)"]
columns += ["mean variance", *(f"correlation at lag {lag}" for lag in LAGS)]
table(rows, columns, "The priors, judged with fresh functions; distances per √M")

# %% [markdown]
# The *excess* is the plain distance less its floor, and the plain distance is what its own
# minimiser wins: with functions that have lost most of their variance. A small distance between
# samples alone proves nothing, so variance and correlation are claims of their own, and the table
# also has the unbiased distance.

# %%
before, after, plain = (gap[k][0.6][0] for k in ("all deviations 1", "tuned", "plain distance"))
lag = {name: row[2] for name, row in shape.items()}
say(f"""After tuning the excess is {after:.3f} instead of {before:.3f}, and the correlation at lag 0.6
is {lag["tuned"]:.2f} instead of {lag["all deviations 1"]:.3f}, where the target has {exact[1]:.2f}:
what remains of the distance is roughness. The minimiser of the plain distance has variance
{shape["plain distance"][0]:.2f} and excess {plain:.3f}.""")

# %%
both = [shape["tuned"], shape["tuned, other seed"]]
claims.check(
    "C1.a", "excess of W₁/√M over the floor after tuning, mean of two seeds",
    measured=(gap["tuned"][0.6][0] + gap["tuned, other seed"][0.6][0]) / 2,
    between=(-0.03, 0.4 * before), seeds=2, paper="35.5 → 7.1 by its critic",
)  # fmt: skip
claims.check(
    "C1.b", "mean variance if the plain distance is minimised", measured=shape["plain distance"][0],
    at_most=0.6, own=True,
)  # fmt: skip
claims.check(
    "C1.d", "mean variance after tuning, the seed farther from 1",
    measured=max((row[0] for row in both), key=lambda v: abs(v - 1)), between=(0.6, 1.4), seeds=2,
    paper="close to the target",
)  # fmt: skip
claims.check(
    "C1.e", "correlation at lag 0.6 after tuning, the larger of two seeds (target 0.59)",
    measured=max(row[2] for row in both), at_most=0.94, seeds=2, paper="close to the target",
)  # fmt: skip

# %% [markdown]
# The target steers: the prior tuned for a longer length scale draws smoother functions, and on the
# mean of both targets the prior tuned for it is nearer than the one tuned for the other. All of that
# gain comes from the rougher target; for the smooth one both priors are about equally near. A fixed
# set of deviations, however well chosen, cannot do even that.

# %%
claims.check(
    "C1.c", "correlation at lag 0.6: tuned for ℓ = 1.8 less tuned for ℓ = 0.6",
    measured=shape["tuned for length scale 1.8"][2] - shape["tuned"][2], at_least=0.02, own=True,
)  # fmt: skip
nearer = [
    gap["tuned for length scale 1.8"][0.6][1] - gap["tuned"][0.6][1],
    gap["tuned"][1.8][1] - gap["tuned for length scale 1.8"][1.8][1],
]
claims.check(
    "C1.f", "unbiased distance: prior tuned for the other target less that for this, mean of both",
    measured=np.mean(nearer), at_least=0.01, own=True,
)  # fmt: skip
say(f"""The gain is {nearer[0]:.3f} for the length scale 0.6 and {nearer[1]:.3f} for 1.8.""")


# %% [markdown]
# ### The dual, as the paper computes it
#
# The right side of {eq}`eq-fp-w1` needs a function $\phi$ of $M$ numbers that climbs as steeply as
# possible from the process to the network, but nowhere steeper than one. The critic is a network
# with two hidden layers and the activation $\log(1+e^a)$; with $s=1/(1+e^{-a})$ its gradient is a
# second pass,
#
# $$
# \phi(f)=w_3^\top\operatorname{softplus}(a_2)+b_3,\qquad
# \nabla\phi(f)=W_1\bigl(s_1\odot W_2(s_2\odot w_3)\bigr),
# $$ (eq-fp-critic)
#
# and its loss is minus the dual value plus a penalty of $10\,E(\|\nabla\phi\|-1)^2$ on random
# mixtures of the two samples.

# %%
def critic(phi, f):
    """phi(f) and its gradient, shapes (n,) and (n, M)."""
    first, second, last = phi
    a_1 = nn.dense(first, f)
    a_2 = nn.dense(second, ad.softplus(a_1))
    back = ad.matmul(ad.sigmoid(a_2) * last["weight"][:, 0], ad.matrix_transpose(second["weight"]))
    slope = ad.matmul(ad.sigmoid(a_1) * back, ad.matrix_transpose(first["weight"]))
    return nn.dense(last, ad.softplus(a_2))[:, 0], slope


def dual(phi, f, g):
    """E phi(f) - E phi(g)."""
    return ad.mean(critic(phi, f)[0]) - ad.mean(critic(phi, g)[0])


def steepness(phi, f, g, u):
    """|grad phi| on mixtures of both samples."""
    return ad.sqrt(ad.sum(critic(phi, u * f + (1 - u) * g)[1] ** 2, axis=1) + 1e-12)


# %%
def train_critic(phi, f, g, optimiser, steps, rng, penalty=10.0):
    """Maximise the dual value over the critic for some steps."""

    def batch(rng):
        i, j = rng.integers(0, len(f), N_S), rng.integers(0, len(g), N_S)
        return f[i], g[j], xp.astype(rng.uniform(size=(N_S, 1)), xp.float32)

    def loss(phi, f, g, u):
        return penalty * ad.mean((steepness(phi, f, g, u) - 1) ** 2) - dual(phi, f, g)

    return nn.fit(loss, phi, batch, optimiser, steps=steps, rng=rng).params


# %% [markdown]
# Tuning alternates: five steps of the critic, then one of $\psi$ down the critic's value with the
# critic frozen. The paper trains the critic anew, for hundreds of steps, before each step; we keep
# it from step to step. The critic sees other weights than the step of $\psi$, for what it has
# learnt by heart would pull the network towards zero as the plain distance does.

# %%
OUTER, INNER = scale(default=80, paper=400), scale(default=5, paper=200)


def new_critic(rng):
    """A fresh critic with two hidden layers of 64 units."""
    return nn.mlp_init(rng, [M, 64, 64, 1])


# %%
def tune_dual(seed):
    """The deviations found through the dual."""
    rng, X = generator(seed), xp.astype(X_M, xp.float32)
    g, z = draw_process(TARGETS[0.6], X_M, 4 * POOL, rng), draw_weights(WIDTHS, 2 * POOL, rng)
    raw, phi = xp.full((4, 2), math.log(math.e - 1), dtype=xp.float32), new_critic(rng)
    outer, inner = Adam(cosine_decay(0.3, OUTER), beta1=0.0), Adam(0.01, beta1=0.5)
    for _ in progress(range(OUTER), "dual"):
        f = network(ad.softplus(raw), take(z, rng.integers(0, POOL, 4 * N_S)), X)
        phi = train_critic(phi, f, g, inner, INNER, rng)

        def value(raw, z, phi=phi):
            return ad.mean(critic(phi, network(ad.softplus(raw), z, X))[0])

        def batch(rng):
            return (take(z, rng.integers(POOL, 2 * POOL, N_S)),)

        raw = nn.fit(value, raw, batch, outer, steps=1, rng=rng).params
    return ad.softplus(raw)


DUAL = tune_dual(0)
gap["dual"], shape["dual"] = distances(DUAL), moments(DUAL)

# %%
claims.check(
    "C2.a", "excess of W₁/√M after tuning through the dual", measured=gap["dual"][0.6][0],
    between=(-0.03, 0.4 * before), paper="35.5 → 7.1 by its critic",
)  # fmt: skip
claims.check(
    "C2.b", "mean variance after tuning through the dual", measured=shape["dual"][0],
    between=(0.6, 1.4), paper="close to the target",
)  # fmt: skip
claims.check(
    "C2.c", "correlation at lag 0.6 after tuning through the dual", measured=shape["dual"][2],
    at_most=0.94, paper="close to the target",
)  # fmt: skip
claims.check(
    "C2.d", "dual and exact transport: difference of W₁/√M to the target",
    measured=abs(gap["dual"][0.6][0] - gap["tuned"][0.6][0]), at_most=0.08, own=True,
)  # fmt: skip


# %% [markdown]
# Is the critic to be trusted? We train three fresh ones for 150 steps and look at samples they have
# not seen: the network with deviations one against the process, the process against itself, and the
# first pair without the penalty.

# %%
def judge(sigma, seed, penalty=10.0, n=1024):
    """Dual value and mean steepness on fresh samples; the process itself if sigma is None."""
    rng, X = generator(seed), xp.astype(X_M, xp.float32)

    def sample():
        if sigma is None:
            return draw_process(TARGETS[0.6], X_M, n, rng)
        return network(sigma, draw_weights(WIDTHS, n, rng), X)

    (f, f_new), (g, g_new) = (
        [draw() for _ in range(2)]
        for draw in (sample, lambda: draw_process(TARGETS[0.6], X_M, n, rng))
    )
    phi = train_critic(new_critic(rng), f, g, Adam(0.003, beta1=0.5), 150, rng, penalty)
    u = xp.astype(rng.uniform(size=(n, 1)), xp.float32)
    return float(dual(phi, f_new, g_new)), float(ad.mean(steepness(phi, f_new, g_new, u)))


# %%
apart, same, free = judge(FG, 20), judge(None, 21), judge(FG, 20, penalty=0.0)
claims.check(
    "C3.a", "dual value of the process against itself over that of the untuned network",
    measured=abs(same[0] / apart[0]), at_most=0.25, own=True,
)  # fmt: skip
claims.check(
    "C3.b", "mean gradient norm of the critic without the penalty", measured=free[1],
    at_least=1.6, own=True,
)  # fmt: skip
claims.check(
    "C3.c", "mean gradient norm of the critic with the penalty, untuned network",
    measured=apart[1], between=(0.6, 1.4), paper="penalised towards one",
)  # fmt: skip
claims.check(
    "C3.d", "the same, process against itself", measured=same[1], between=(0.6, 1.4), own=True
)

# %% [markdown]
# The penalty holds the slope near one. Without it the dual value has no bound, and neither has the
# slope.
#
# ### The posterior in one dimension
#
# Given $N$ observations with noise variance $\tau^2$, the weights' posterior density is $\propto
# e^{-U(z)}$ with
#
# $$
# U(z)=\tfrac12\|z\|^2+\frac1{2\tau^2}\sum_{i=1}^N\bigl(y_i-f_z(x_i)\bigr)^2 .
# $$ (eq-fp-posterior)
#
# In the standard normal weights $z$ the prior term is the same for every $\psi$, so that chains of
# all priors and all data sets run as one batch. The paper samples with stochastic-gradient
# Hamiltonian Monte Carlo on batches of 32; we use its limit without batches, a particle with
# friction and noise, with velocity $v$ and step $\epsilon$:
#
# $$
# v\leftarrow v-\epsilon\nabla U(z),\qquad z\leftarrow z+\epsilon v .
# $$ (eq-fp-langevin)
#
# In every fifth step the move of $z$ is cut in two halves, and between them friction and noise act
# for the time of five steps: $v\leftarrow cv+\sqrt{1-c^2}\,\xi$ with $c=e^{-5\epsilon}$ and
# $\xi\sim N(0,I)$. The scheme is symmetric in time, so that its error is of order $\epsilon^2$.

# %%
REFRESH = 5  # steps between two doses of noise


def langevin(data_term, z, look, steps, burn_in, epsilon, rng, every=10):
    """Run all chains; what look(z) sees every few steps after the burn-in: (T, chains, m)."""
    epsilon = xp.asarray(epsilon, dtype=xp.float32)
    force, c, seen = ad.grad(data_term), xp.exp(-REFRESH * epsilon), []

    def noise(leaf):
        return rng.standard_normal(leaf.shape, dtype=np.float32)

    v = ad.tree_map(noise, z)
    for step in progress(range(steps), "sampling"):
        v = ad.tree_map(lambda v, z, F: v - epsilon * (z + F), v, z, force(z))
        if step % REFRESH == 0:
            z = ad.tree_map(lambda z, v: z + epsilon / 2 * v, z, v)
            v = ad.tree_map(lambda v: c * v + xp.sqrt(1 - c**2) * noise(v), v)
            z = ad.tree_map(lambda z, v: z + epsilon / 2 * v, z, v)
        else:
            z = ad.tree_map(lambda z, v: z + epsilon * v, z, v)
        if step >= burn_in and step % every == 0:
            seen.append(to_host(look(z)).astype(float))
    return np.stack(seen)


# %%
def split_r_hat(draws):
    """Gelman and Rubin's statistic of draws (T, chains, ...), each chain cut in two."""
    T = len(draws) // 2
    draws = np.concatenate([draws[:T], draws[T : 2 * T]], axis=1)
    within, between = draws.var(axis=0, ddof=1).mean(axis=0), draws.mean(axis=0).var(axis=0, ddof=1)
    return np.sqrt((T - 1) / T + between / within)


# %% [markdown]
# First the sampler itself. Without data the chains must return the prior: 48 chains start at $z=0$,
# and the variance of the function at five inputs is compared with that of direct draws.

# %%
def sampled_variance(sigma, seed, chains=48):
    """Variance at five inputs, from the chains without data over that from direct draws."""
    rng, X = generator(seed), xp.astype(xp.linspace(-2, 2, 5)[:, None], xp.float32)
    start = ad.tree_map(lambda leaf: 0 * leaf, draw_weights(WIDTHS, chains, rng))

    def no_data(z):
        return ad.sum(network(sigma, z, X[:0, :]) ** 2)

    f = langevin(no_data, start, lambda z: network(sigma, z, X), 300, 100, 0.2, rng)
    direct = to_host(network(sigma, draw_weights(WIDTHS, 3000, rng), X)).astype(float)
    return f.var(axis=(0, 1)) / direct.var(axis=0)


ratio = sampled_variance(GPI[0], 30)
claims.check(
    "C4.c", "chains without data: variance over the prior's, at five inputs, farthest from 1",
    measured=max(ratio, key=lambda v: abs(v - 1)), between=(0.8, 1.2), own=True,
)  # fmt: skip


# %% [markdown]
# The data are made as in the paper: 64 inputs from −10 to 10 with a random gap of 40 per cent of
# the range, values from a Gaussian process of amplitude 1.6 and length scale 1.8, noise variance
# 0.1, all standardised afterwards. In standardised units this length scale is about 0.3, half of
# the target's 0.6: the target is *misspecified*. So we add data whose process has the length scale
# 0.6 in these units (3.5 before), for which the target is right.

# %%
def toy(seed, amplitude, ell, n=64, gap=8.0):
    """Inputs (n, 1), values and the two ends of the gap, standardised."""
    rng = generator(seed)
    left = float(rng.uniform(-9, 1))
    x = xp.sort(rng.uniform(-10, 10 - gap, n))
    x = xp.where(x > left, x + gap, x)[:, None]
    K = SquaredExponential(amplitude**2, ell)(x) + 0.1 * xp.eye(n)
    y = sample_gaussian(xp.zeros(n), K, 1, rng)[0, :]
    centre, unit = xp.mean(x), xp.std(x)
    ends = [float((end - centre) / unit) for end in (left, left + gap)]
    return (x - centre) / unit, (y - xp.mean(y)) / xp.std(y), ends


NOISE = 0.1
PUBLISHED = [toy(seed, 1.6, 1.8) for seed in (40, 41)]
MATCHED = [toy(seed, 1.0, 3.5) for seed in range(50, 56)]

# %% [markdown]
# Four chains for each of eight data sets and two priors, 64 networks at once. They start from
# prior draws.

# %%
CHAINS, POINTS = 4, 81
LENGTH, BURN_IN = scale(default=700, paper=8000), scale(default=230, paper=2000)
EPSILON = (0.02, 0.01)  # the tuned networks are stiffer


def grid_of(x):
    """Inputs over the range of the data."""
    return xp.linspace(float(xp.min(x)), float(xp.max(x)), POINTS)[:, None]


def per_chain(values, chains):
    """Stack one value for each job, repeated for its chains."""
    return xp.stack([xp.asarray(v, dtype=xp.float32) for v in values for _ in range(chains)])


def chain_sigma(sigmas, chains):
    """Deviations of shape (layers, 2, networks, 1, 1)."""
    return xp.moveaxis(per_chain(sigmas, chains), 0, -1)[..., None, None]


# %%
def posterior(toys, sigmas, seed):
    """Draws (T, toys, priors, chains, m) of f on the grid and at the training inputs."""
    rng, jobs = generator(seed), [(x, y, k) for x, y, _ in toys for k in range(len(sigmas))]
    X, y = (per_chain([job[k] for job in jobs], CHAINS) for k in range(2))
    at = per_chain([xp.concat([grid_of(x), x]) for x, *_ in jobs], CHAINS)
    sigma = chain_sigma([sigmas[k] for *_, k in jobs], CHAINS)
    epsilon = per_chain([EPSILON[k] for *_, k in jobs], CHAINS)[:, None, None]

    def data_term(z):
        return ad.sum((y - network(sigma, z, X)) ** 2) / (2 * NOISE)

    start = draw_weights(WIDTHS, len(X), rng)
    f = langevin(data_term, start, lambda z: network(sigma, z, at), LENGTH, BURN_IN, epsilon, rng)
    return f.reshape(len(f), len(toys), len(sigmas), CHAINS, -1)


f = posterior(PUBLISHED + MATCHED, (FG, GPI[0]), 60)


# %% [markdown]
# For each data set the exact posterior of the target is one Cholesky factorisation away. Chains of
# finite length have an error of their own in their mean $\bar f$; products of the errors of
# *different* chains $c\neq c'$ are free of it on average, so we take
#
# $$
# \mathrm{RMSE}^2=\operatorname*{mean}_x\ \operatorname*{mean}_{c\ne c'}
# \bigl(\bar f_c(x)-\mu(x)\bigr)\bigl(\bar f_{c'}(x)-\mu(x)\bigr).
# $$ (eq-fp-pairs)

# %%
def squared_error(means, mu):
    """Mean over points and pairs of chains of the product of errors."""
    e, C = means - mu, len(means)
    return ((e.sum(axis=0) ** 2 - (e**2).sum(axis=0)) / (C * (C - 1))).mean()


def compare(f, x, y, ends):
    """Numbers of one data set: draws (T, priors, chains, m) against the exact process."""
    grid, y, n = grid_of(x), to_host(y), POINTS
    exact = GaussianProcessRegressor(TARGETS[0.6], NOISE).fit(x, y, optimise=False)
    mu, sd = (to_host(v) for v in exact.predict(xp.concat([grid, x]), return_std=True))
    hole = to_host((grid > ends[0]) & (grid < ends[1]))[:, 0]
    fit = np.sqrt(np.mean((mu[n:] - y) ** 2))
    out = {"GP": (0.0, sd[:n][hole].mean(), sd[n:].mean(), fit)}
    for name, draws in zip(("FG", "GPi-G"), np.moveaxis(f, 1, 0), strict=True):
        means, spread = draws.mean(axis=0), draws.std(axis=(0, 1))
        fit = np.sqrt(np.mean((means.mean(axis=0)[n:] - y) ** 2))
        likelihood = np.exp(-((draws[..., n:] - y) ** 2) / (2 * NOISE)).mean(axis=(0, 1))
        nll = (np.log(2 * np.pi * NOISE) / 2 - np.log(likelihood)).mean()
        error, r_hat = squared_error(means[:, :n], mu[:n]), split_r_hat(draws)
        sds = spread[:n][hole].mean(), spread[n:].mean()
        out[name] = (error, *sds, fit, nll, np.median(r_hat), r_hat.max())
    return out


# %%
found = [compare(f[:, k], *toy) for k, toy in enumerate(PUBLISHED + MATCHED)]
published, matched = found[: len(PUBLISHED)], found[len(PUBLISHED) :]


def average(results, name, column):
    """Mean over data sets of one number."""
    return float(np.mean([result[name][column] for result in results]))


def rmse(results, name):
    """Mean over data sets of the root-mean-square error of the posterior mean."""
    return float(np.mean([math.sqrt(max(result[name][0], 0.0)) for result in results]))


rows = []
for kind, results in (("as published", published), ("from the target", matched)):
    for name in ("FG", "GPi-G", "GP"):
        fit, hole, inside = (average(results, name, c) for c in (3, 1, 2))
        rows.append((f"{kind}, {name}", rmse(results, name), hole, inside, hole / inside, fit))
columns = ["data and prior", "RMSE to the GP's mean", "sd in the gap", "sd at the data"]
columns += ["their ratio", "training RMSE"]
table(rows, columns, "Posteriors, mean over data sets (standardised units)")

# %% tags=["hide-input"]
alt = """Three panels with the same points, which leave a gap. The exact Gaussian process has a wide
band in the gap and a narrow one at the data. The network with deviations one has a smooth mean and
a narrow band, in the gap too. The tuned network has a band that opens in the gap."""
caption = """Posterior mean and two standard deviations on data drawn from the target process: exact,
with the fixed prior (FG) and with the tuned one (GPi-G). Shaded grey: the gap without data."""
shown = 1
x, y, ends = MATCHED[shown]
exact_fit = GaussianProcessRegressor(TARGETS[0.6], NOISE).fit(x, y, optimise=False)
bands = {"exact Gaussian process": [to_host(v) for v in exact_fit.predict(grid_of(x), return_std=True)]}
for k, name in enumerate(("network, FG", "network, GPi-G")):
    draws = f[:, len(PUBLISHED) + shown, k, :, : POINTS]
    bands[name] = [draws.mean(axis=(0, 1)), draws.std(axis=(0, 1))]
with figure(1, 3, alt=alt, caption=caption, width=9.6, height=3.2, sharey=True) as axes:
    for ax, (name, (mean, sd)) in zip(axes, bands.items(), strict=True):
        grid = to_host(grid_of(x))[:, 0]
        ax.axvspan(*ends, color="gray", alpha=0.15, lw=0)
        ax.fill_between(grid, mean - 2 * sd, mean + 2 * sd, color=PALETTE["sky"], alpha=0.5, lw=0)
        ax.plot(grid, mean, color=PALETTE["blue"])
        ax.plot(to_host(x)[:, 0], to_host(y), ".", color=PALETTE["vermilion"], ms=4)
        ax.set(title=name, xlabel="input x (standardised)")
    axes[0].set_ylabel("value (standardised)")

# %%
claims.check(
    "C4.a", "data from the target: RMSE between the means of network and process, GPi-G over FG",
    measured=rmse(matched, "GPi-G") / rmse(matched, "FG"), at_most=0.85, seeds=6,
    paper="the intended posterior",
)  # fmt: skip
claims.check(
    "C4.d", "the same RMSE for GPi-G (a network is not the process)",
    measured=rmse(matched, "GPi-G"), at_least=0.01, seeds=6, own=True,
)  # fmt: skip
claims.check(
    "C4.e", "data from the target: sd in the gap, GPi-G over the exact process",
    measured=average(matched, "GPi-G", 1) / average(matched, "GP", 1), between=(0.6, 1.4), seeds=6,
    own=True,
)  # fmt: skip

# %%
widening = {
    name: [result[name][1] / result[name][2] for result in found] for name in ("FG", "GPi-G")
}
claims.check(
    "C4.b", "GPi-G: sd in the gap over sd at the data, median of eight data sets",
    measured=np.median(widening["GPi-G"]), at_least=1.5, seeds=8, own=True,
)  # fmt: skip
claims.check(
    "C4.f", "that ratio, GPi-G over FG, median of eight data sets",
    measured=np.median(np.divide(widening["GPi-G"], widening["FG"])), at_least=1.0, seeds=8,
    own=True,
)  # fmt: skip

# %%
claims.check(
    "C4.g", "published kind of data: training RMSE, GPi-G over FG",
    measured=average(published, "GPi-G", 3) / average(published, "FG", 3), at_most=0.85, seeds=2,
    paper="0.248 / 0.353 = 0.70",
)  # fmt: skip
claims.check(
    "C4.h", "published kind of data: training NLL, GPi-G less FG",
    measured=average(published, "GPi-G", 4) - average(published, "FG", 4), at_most=-0.1,
    unit="nats", seeds=2, paper="0.267 − 0.409 = −0.142",
)  # fmt: skip
claims.check(
    "C4.i", "published kind of data: training RMSE, GPi-G over the exact process of the target",
    measured=average(published, "GPi-G", 3) / average(published, "GP", 3), at_most=1.0, seeds=2,
    own=True,
)  # fmt: skip

# %%
claims.report_value(
    "C4.j", "published kind of data: RMSE between the means, GPi-G over FG",
    measured=rmse(published, "GPi-G") / rmse(published, "FG"), seeds=2, own=True,
)  # fmt: skip
claims.check(
    "C4.k", "split R-hat of the predictions, median over inputs, data sets and priors",
    measured=np.median([row[name][5] for row in found for name in ("FG", "GPi-G")]), at_most=1.1,
    paper="1.01",
)  # fmt: skip
worst = max(result[name][6] for result in found for name in ("FG", "GPi-G"))
say(f"""The largest split R-hat of any single prediction is {worst:.2f}.""")

# %%
share = rmse(matched, "GPi-G") / rmse(matched, "FG")
hole = {name: average(matched, name, 1) / average(matched, "GP", 1) for name in ("FG", "GPi-G")}
say(f"""On data from the target the tuned network's posterior mean has {share:.2f} times the fixed one's
distance from the exact mean, and its deviation in the gap is {hole["GPi-G"]:.2f} times the exact one,
against {hole["FG"]:.2f} for the fixed prior. On the published kind of data the training error falls
as in the paper; but there the exact process itself has an error of
{average(published, "GP", 3):.2f}, the tuned network one of {average(published, "GPi-G", 3):.2f}.""")


# %% [markdown]
# On the published kind of data the target is too smooth: the exact process cannot follow the
# points, and the tuned network, whose functions are not quite those of the process, follows them
# better. The improvement of the fit is real there, but it is no approach to the target; C4.j may
# fall on either side of one. And all these claims tell a tuned prior from an untuned one, not one
# length scale from another: in a trial with the prior tuned for 1.8 in the place of that for 0.6
# every one of them still held.
#
# ### Real data
#
# Diabetes: 442 patients, ten inputs, eight random splits with only 60 patients for training, so
# that the prior has work to do. A network with one hidden layer of 50 units. The target is the
# notebook's: a process with a length scale for each input, where every function has its own length
# scales, $\log\ell\sim N(\log\sqrt{2D},1)$, and its own variance, $\log v\sim N(0.1,1)$. As there,
# 70 per cent of the measurement points are patients and 30 per cent uniform in the box of all
# inputs. The target uses no outcomes, so one tuning serves all splits.

# %%
def hierarchical_process(X, n, rng):
    """n functions at X, each from a process with its own length scales and variance."""
    d = X.shape[1]
    ell = xp.exp(math.log(math.sqrt(2 * d)) + rng.standard_normal((n, d)))
    v = xp.exp(0.1 + rng.standard_normal(n))
    squares = (X[:, None, :] - X[None, :, :]) ** 2
    K = xp.exp(-0.5 * xp.reshape(ell**-2.0 @ xp.reshape(squares, (-1, d)).T, (n, len(X), len(X))))
    K = v[:, None, None] * (K + 1e-6 * xp.eye(len(X)))
    return xp.astype(sample_gaussian(xp.zeros(len(X)), K, 1, rng)[0, ...], xp.float32)


# %%
diabetes = data.table("diabetes")
inputs = (diabetes.data - diabetes.data.mean(axis=0)) / diabetes.data.std(axis=0)
WIDE, SPLITS = (10, scale(default=50, paper=100), 1), 8


def tune_for_table(seed, points=60):
    """The deviations of the regression network for the hierarchical process."""
    rng = generator(seed)
    rows = inputs[rng.host.permutation(len(inputs))[: 7 * points // 10]]
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    box = rng.host.uniform(low, high, (points - len(rows), inputs.shape[1]))
    X = to_device(np.concatenate([rows, box]))
    return tune(WIDE, X, hierarchical_process(X, POOL, rng), rng)


TABLE_PRIOR = tune_for_table(70)


# %% [markdown]
# Inputs and outcomes are standardised on the training patients. The noise variance is ridge
# regression's mean squared error over left-out training patients, the same for all methods. Ridge
# regression and a Gaussian process whose variance and one length scale maximise the marginal
# likelihood stand beside the networks.

# %%
def split(rng, n=60):
    """Training and test patients, standardised on the former, and the noise variance."""
    order = rng.host.permutation(len(inputs))
    target = diabetes.target.astype(float)
    train, test = order[:n], order[n:]
    target = (target - target[train].mean()) / target[train].std()
    centre, unit = inputs[train].mean(axis=0), inputs[train].std(axis=0)
    X, X_test = ((inputs[rows] - centre) / unit for rows in (train, test))
    ridge = RidgeCV(np.logspace(-1, 3, 9)).fit(X, target[train])
    return X, target[train], X_test, target[test], -ridge.best_score_, ridge


def scores(mean, nll, y):
    """RMSE and mean negative log-likelihood."""
    return float(np.sqrt(np.mean((mean - y) ** 2))), float(np.mean(nll))


def gaussian_nll(y, mean, variance):
    """-log N(y; mean, variance)."""
    return 0.5 * (np.log(2 * np.pi * variance) + (y - mean) ** 2 / variance)


# %%
rng = generator(71)
splits = [split(rng) for _ in range(SPLITS)]
PAIR, LENGTH_TABLE = 2, scale(default=1000, paper=6000)


def sample_table(sigmas, seed, epsilon=0.03):
    """Draws (T, splits, priors, chains, test) of the networks' predictions."""
    jobs = [(part, sigma) for part in splits for sigma in sigmas]
    X, y, at = (per_chain([part[k] for part, _ in jobs], PAIR) for k in range(3))
    precision = per_chain([[1 / part[4]] for part, _ in jobs], PAIR)
    sigma, rng = chain_sigma([sigma for _, sigma in jobs], PAIR), generator(seed)

    def data_term(z):
        return ad.sum(precision * (y - network(sigma, z, X)) ** 2) / 2

    start = draw_weights(WIDE, len(X), rng)
    burn_in = LENGTH_TABLE // 4
    f = langevin(
        data_term, start, lambda z: network(sigma, z, at), LENGTH_TABLE, burn_in, epsilon, rng
    )
    return f.reshape(len(f), SPLITS, len(sigmas), PAIR, -1)


f = sample_table((xp.ones_like(TABLE_PRIOR), TABLE_PRIOR), 72)

# %%
results = {name: [] for name in ("FG", "GPi-G", "GP", "ridge")}
for k, (X, y, X_test, y_test, noise, ridge) in enumerate(splits):
    for name, draws in zip(("FG", "GPi-G"), np.moveaxis(f[:, k], 1, 0), strict=True):
        density = np.exp(-gaussian_nll(y_test, draws, noise)).mean(axis=(0, 1))
        results[name].append(scores(draws.mean(axis=(0, 1)), -np.log(density), y_test))
    start = SquaredExponential(1.0, math.sqrt(2 * X.shape[1]))
    process = GaussianProcessRegressor(start, noise, fixed_noise=True)
    process.fit(to_device(X), to_device(y))
    mean, sd = (to_host(v) for v in process.predict(to_device(X_test), return_std=True))
    results["GP"].append(scores(mean, gaussian_nll(y_test, mean, sd**2 + noise), y_test))
    mean = ridge.predict(X_test)
    results["ridge"].append(scores(mean, gaussian_nll(y_test, mean, noise), y_test))
results = {name: np.asarray(values) for name, values in results.items()}


# %%
def paired(name, column):
    """Mean and standard error over the splits of the difference from FG."""
    change = results[name][:, column] - results["FG"][:, column]
    return change.mean(), change.std(ddof=1) / math.sqrt(SPLITS)


rows = [
    (name, *values.mean(axis=0), *(paired(name, 1) if name != "FG" else ("–", "–")))
    for name, values in results.items()
]
columns = ["method", "test RMSE", "test NLL (nats)", "NLL less FG's", "its standard error"]
table(rows, columns, "Diabetes, eight splits with 60 training patients (standardised outcome)")

# %%
change, error = paired("GPi-G", 1)
WHY = "an exact Gaussian process is no better than the fixed prior on these data either (C5.e)"
claims.check(
    "C5.a", "diabetes: test NLL, GPi-G less FG", measured=change, at_most=-0.02, unit="nats",
    seeds=SPLITS, paper="2.470 − 2.567 = −0.097 (Boston)", not_reproduced=WHY,
)  # fmt: skip
claims.check(
    "C5.b", "diabetes: size of that difference", measured=abs(change), at_most=0.05, unit="nats",
    seeds=SPLITS, own=True,
)  # fmt: skip
ratio = results["GPi-G"][:, 0].mean() / results["FG"][:, 0].mean()
claims.check(
    "C5.c", "diabetes: test RMSE, GPi-G over FG", measured=ratio, at_most=0.97, seeds=SPLITS,
    paper="2.797 / 3.132 = 0.89 (Boston)", not_reproduced=WHY,
)  # fmt: skip
claims.check(
    "C5.d", "diabetes: that ratio, bounded on both sides", measured=ratio, between=(0.97, 1.03),
    seeds=SPLITS, own=True,
)  # fmt: skip
claims.check(
    "C5.e", "diabetes: test NLL, exact process less FG", measured=paired("GP", 1)[0],
    at_least=-0.02, unit="nats", seeds=SPLITS, own=True,
)  # fmt: skip

# %% [markdown]
# No method stands out, ridge regression included: ten nearly linear inputs leave a functional prior
# nothing to mend, and tuning costs the network a little. The paper's gain on Boston housing is not
# contradicted; it does not carry over.
#
# ### Classification
#
# Two interleaved half moons, 300 points with noise 0.25, standardised. The network has two hidden
# layers of 50 units; its output is the logit of one class. Four targets: variance 1 or 32, length
# scale 1 or 4. As in the paper the measurement points are random training inputs, here 40 in each
# step.

# %%
CURVE = (2, 50, 50, 1)
PROCESSES = {(v, ell): SquaredExponential(v, ell) for v in (1.0, 32.0) for ell in (1.0, 4.0)}


def moons(rng, n=300):
    """Standardised inputs (n, 2) and labels -1 or 1."""
    X, t = make_moons(n, noise=0.25, random_state=int(rng.host.integers(2**31)))
    return to_device((X - X.mean(axis=0)) / X.std(axis=0)), to_device(2.0 * t - 1)


SETS = [moons(generator(seed)) for seed in (80, 81)]


def tune_for_moons(process, seed):
    """The deviations of the classifier for one target, at the first set's inputs."""
    rng, X = generator(seed), SETS[0][0]
    return tune(CURVE, X, draw_process(process, X, POOL, rng), rng, points=40)


CLASSIFIERS = {"FG": xp.ones((3, 2), dtype=xp.float32)}
CLASSIFIERS |= {key: tune_for_moons(process, 82) for key, process in PROCESSES.items()}

# %%
SIDE, LENGTH_MOONS = 41, scale(default=320, paper=4000)
axis = np.linspace(-3, 3, SIDE)
PLANE = to_device(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))


def sample_moons(seed, epsilon=0.02):
    """Mean probabilities (sets, priors, SIDE, SIDE) on the plane."""
    jobs = [(X, t, s) for X, t in SETS for s in CLASSIFIERS.values()]
    X, t = (per_chain([job[k] for job in jobs], PAIR) for k in range(2))
    sigma = chain_sigma([job[2] for job in jobs], PAIR)
    rng, at = generator(seed), xp.astype(PLANE, xp.float32)

    def data_term(z):
        return -ad.sum(ad.log_sigmoid(t * network(sigma, z, X)))

    start = draw_weights(CURVE, len(X), rng)
    p = langevin(
        data_term, start, lambda z: ad.sigmoid(network(sigma, z, at)),
        LENGTH_MOONS, LENGTH_MOONS // 4, epsilon, rng,
    )  # fmt: skip
    return p.mean(axis=0).reshape(len(SETS), len(CLASSIFIERS), PAIR, SIDE, SIDE).mean(axis=2)


probability = sample_moons(83)


# %%
def entropy(p):
    """Mean entropy over the plane, in nats."""
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())


def boundary(p):
    """Length of the line p = 1/2 on the plane."""
    lines = find_contours(p, 0.5)
    return 6 / (SIDE - 1) * sum(np.hypot(*np.diff(line, axis=0).T).sum() for line in lines)


seen = {
    key: [np.mean([measure(p) for p in probability[:, k]]) for measure in (entropy, boundary)]
    for k, key in enumerate(CLASSIFIERS)
}
names = {key: "FG" if key == "FG" else f"v = {key[0]:g}, ℓ = {key[1]:g}" for key in CLASSIFIERS}
rows = [(names[key], *values) for key, values in seen.items()]
columns = ["prior", "mean entropy (nats)", "length of the boundary"]
table(rows, columns, "Moons, mean of two data sets")

# %% tags=["hide-input"]
alt = """Five maps of the predictive probability over the plane with the two moons. Variance 1: pale
far from the data. Variance 32: strong colours almost everywhere. With length scale 1 the line of one
half winds between the moons more than with length scale 4 or with the fixed prior."""
caption = """Predictive probability of one class, with the line of one half, for the fixed prior and
the four targets; points: the training data of the first set."""
with figure(
    2, 3, alt=alt, caption=caption, width=8.4, height=5.8, sharex=True, sharey=True
) as axes:
    X, t = (to_host(v) for v in SETS[0])
    for ax, key, p in zip(axes.flat, CLASSIFIERS, probability[0], strict=False):
        ax.pcolormesh(axis, axis, p, cmap="PuOr", vmin=-0.5, vmax=1.5, rasterized=True)
        ax.contour(axis, axis, p, [0.5], colors="k", linewidths=1.4)
        for side, colour in ((-1, "k"), (1, "w")):
            ax.plot(*X[t == side].T, "o", ms=2.2, mew=0.4, mfc=colour, mec="k")
        ax.set(title=names[key], aspect="equal")
    axes[1, 2].set_axis_off()
    for ax in axes.flat[:5]:
        ax.set(xlabel="$x_1$", ylabel="$x_2$")

# %%
drop = [seen[1.0, ell][0] - seen[32.0, ell][0] for ell in (1.0, 4.0)]
claims.check(
    "C6.a", "fall of the mean entropy from variance 1 to 32, smaller of both length scales",
    measured=min(drop), at_least=0.05, unit="nats", seeds=2, paper="more confident",
)  # fmt: skip
smooth = [seen[v, 4.0][1] / seen[v, 1.0][1] for v in (1.0, 32.0)]
claims.check(
    "C6.c", "length of the boundary, length scale 4 over 1, larger of both variances",
    measured=max(smooth), at_most=1.0, seeds=2, paper="smoother boundaries",
)  # fmt: skip
claims.report_value(
    "C6.b", "FG: mean entropy", measured=seen["FG"][0], unit="nats", seeds=2, own=True
)
claims.report_value(
    "C6.d", "FG: length of the boundary", measured=seen["FG"][1], seeds=2, own=True
)

# %% [markdown]
# Variance shows as confidence far from the data, and the length scale as the boundary's length,
# with the network, data and sampler unchanged. The fixed prior is about as unsure as the smooth
# target of variance one.
#
# ## Verdict
#
# The prior of a network can be made nearly the one that was meant, by exact transport between
# samples or by the paper's critic, provided the distance is freed of its bias towards small
# functions. With such a prior the error bars open in a gap as those of the exact process do, and
# the training error on the one-dimensional example falls as published. In classification the
# variance and the length scale of the target arrive in the posterior. Two things do not hold: the
# tuned network is not the process, since its functions stay smoother, and on the one real data set
# that is bundled the prediction does not improve.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# Hierarchical priors and normalising flows (in the paper's notebook the fixed hierarchical prior is
# already as good as the tuned one: training NLL 0.252 against 0.261), convolutional networks, the
# other regression sets and comparisons with other approximate methods. Boston housing is not
# bundled with scikit-learn; diabetes stands in for it, and half moons for the banana data. Outside
# the measurement points the notebook re-run by a third party found a distance of 9.7 after tuning
# and 15.3 before: only part of the gap closes there; we did not look there. The critic is kept from
# step to step, the sampler sees all points in each step, and on diabetes one tuning serves all
# splits: these are our deviations, and the smaller networks, samples and numbers of steps are ours
# too. Where the spectrum of possible functions ends, tuned scales cannot help: networks with
# $\tanh$ and eight numbers do not reach the process, and a learned activation, as others have
# tried, comes nearer.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes 200 measurement points, 512 functions in a batch, longer tuning with
# 200 critic steps for each outer step, and chains about nine times as long. Nothing here has been
# run on a GPU yet.
