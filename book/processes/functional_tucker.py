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
# # Functional Bayesian Tucker decomposition
#
# ```{paper-card}
# ```
#
# How much dust is in the air at this longitude, that latitude and half past three? A table with
# one row for each station and one column for each hour is a poor home for such data: places and
# times are real numbers, and a table knows nothing of what lies between its rows.
# {cite:t}`functional_tucker` keep the useful half of the table, the *low-rank structure*, by which
# a value is a sum of products of one number per axis. They replace the other half: the number is a
# smooth *function* of the real-valued index, with a Gaussian process as its prior.
#
# Processes usually cost the cube of the number of points. Here they cost a constant per point and
# nothing is approximated, because a Matérn process is the first entry of a small random vector
# that moves from index to index, and a Kalman filter follows it. Below, this shortcut equals the
# dense computation to rounding. On random tensors of which one cell in 270 is observed, with
# noise, the functions bring the error far below that of the same decomposition without them, and
# of a Gaussian process without the decomposition. What the paper does not say: the released
# starting point mostly ends in poor solutions, and one number of it accounts for a part. On a
# photograph, which is not of low rank, the method is a little ahead of a decomposition without a
# prior, by less than we had expected, and behind copying the nearest pixel when 15 per cent of the
# numbers are known.
#
# ## What the paper claims
#
# 1. Turning each Gaussian process into a linear stochastic differential equation makes the cost of
#    a mode (an axis of the tensor) linear in the number of distinct indices, and does not
#    approximate the Matérn prior. {claims}`C1.a, C1.b, C1.c`
# 2. Message passing recovers the latent functions. On a synthetic surface the stored output of the
#    authors' notebook has a test RMSE (root of the mean squared error) of 0.004 and a mean
#    absolute error of 0.002. {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f, C2.g`
# 3. A tensor with continuous indices is modelled better with functions than by cutting the indices
#    into bins, or by treating them as mere names, for Tucker and CP alike.
#    {claims}`C3.a, C3.b, C3.c, C3.d, C3.e, C3.f, C3.g, C3.h, C3.i, C3.j, C3.k`
# 4. (Ours.) The best of several starts can be told without test data, and the start matters.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e`
# 5. The posterior tells its own uncertainty. {claims}`C5.a, C5.b, C5.c, C5.d`
# 6. It works on real data. {claims}`C6.a, C6.b, C6.c, C6.d, C6.e, C6.f`
#
# Table 1 of the paper has air quality in Beijing (PM2.5, PM10, SO2), with test RMSE 0.288, 0.328,
# 0.386 for the method at rank 2 and 0.296, 0.343, 0.386 for its CP form; the best discrete
# competitor has 0.706, 0.783, 0.69, and the best continuous one 0.942, 0.933, 0.794. On
# temperatures in the US the stored output of a notebook has 1.171. Not tested here: these data,
# which are not bundled with any library that we use.
#
# **What our numbers rest on.** We read the complete code with the outputs stored in its notebooks,
# the abstract, and Table 1 as shown on the authors' slides; the text of the paper was not
# available. Item 3 is tested on synthetic tensors, item 6 on a photograph.
#
# ## The idea
#
# **The model.** An entry $y_n$ stands at a vector of real indices $(i_n^1,\dots,i_n^K)$. Each mode
# $k$ has $R$ functions $u^k=(u^k_1,\dots,u^k_R)$, independent Gaussian processes, and the *core*
# $\mathcal W$, an $R\times\dots\times R$ array, says how they combine:
#
# $$
# \begin{gathered}
# y_n\sim N\Bigl(\sum_{r_1,\dots,r_K}\mathcal W_{r_1\dots r_K}\,u^1_{r_1}(i^1_n)\cdots u^K_{r_K}(i^K_n),\ \tau^{-1}\Bigr),\\
# \mathcal W_{r_1\dots r_K}\sim N(0,1),\quad \tau\sim\mathrm{Gamma}(a_0,b_0).
# \end{gathered}
# $$ (eq-ft-model)
#
# This is the *Tucker* form. In the *CP* form only the terms $r_1=\dots=r_K$ count, each with
# weight one.
#
# **From process to state.** A Matérn-3/2 process with length $\ell$ and variance $\sigma^2$,
# together with its derivative divided by $\lambda=\sqrt3/\ell$, is a Markov chain: over a gap
# $\Delta$ the state moves by
#
# $$
# \begin{gathered}
# s(t+\Delta)=A(\Delta)\,s(t)+N(0,Q),\quad Q=P-AP A^\top,\quad P=\sigma^2I,\\
# A(\Delta)=e^{-\lambda\Delta}\begin{pmatrix}1+\lambda\Delta&\lambda\Delta\\-\lambda\Delta&1-\lambda\Delta\end{pmatrix}.
# \end{gathered}
# $$ (eq-ft-state)
#
# A filter that walks up the sorted indices and a smoother that walks down again give the posterior
# at every index. The walk has as many steps as there are indices. A new index is one more step, at
# which nothing was observed.
#
# **What a mode is told.** The posterior is approximated by a product over modes, core and noise.
# Fix all but mode $k$. The entry is then linear in $u^k(i_n^k)$, with weights
# $a_n=\mathcal W_{(k)}\bigotimes_{j\ne k}u^j(i_n^j)$, where $\mathcal W_{(k)}$ is the core as a
# matrix with one row for each component of mode $k$ (CP: the product of the $u^j$, component by
# component). So entry $n$ contributes a Gaussian factor, and all entries with the same index $i$
# add up:
#
# $$
# \Lambda_i=\sum_{n:\,i_n^k=i}E[\tau]\,E[a_na_n^\top],\qquad \eta_i=\sum_{n:\,i_n^k=i}E[\tau]\,y_n\,E[a_n].
# $$ (eq-ft-message)
#
# This pair is a joint observation of the $R$ values $u^k(i)$, and the smoother takes it from
# there. The second moments are those of the current posterior, $E[uu^\top]=V+mm^\top$ with mean
# $m$ and covariance $V$: forgetting $V$ means believing the other modes blindly.
#
# **Core and noise** follow in the same way. With $z_n=\bigotimes_ku^k(i_n^k)$ and $w$ the vector
# of the core,
#
# $$
# \begin{aligned}
# w&=\Bigl(I+E[\tau]\sum_nE[z_nz_n^\top]\Bigr)^{-1}E[\tau]\sum_ny_nE[z_n],\\
# E[\tau]&=\frac{a_0+N/2}{b_0+\frac12\sum_n\bigl(y_n^2-2y_nw^\top E[z_n]+w^\top E[z_nz_n^\top]w\bigr)}.
# \end{aligned}
# $$ (eq-ft-core)
#
# As in the released code the core enters the moments with its mean alone. An *epoch* updates every
# mode, the core and the noise once; each message is *damped*, new = $d\cdot$old
# $+(1-d)\cdot$computed. The code adds $I$ to every $\Lambda_i$ as well; that counts a prior twice
# and is left out.
#
# ## The method in code
#
# ### The smoother is exact

# %%
import math
import time
from dataclasses import dataclass, fields

import numpy as np
from scipy.interpolate import NearestNDInterpolator
from skimage.transform import resize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from gaussbook import data
from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.covariances import Matern12, Matern32
from gaussbook.gp.statespace import StateSpaceRegressor, information_smoother, matern_transitions
from gaussbook.notebook import say
from gaussbook.plotting import figure, slider
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("functional_tucker")
xp = backend()


# %% [markdown]
# Equation {eq}`eq-ft-state`, for $B$ problems side by side, and the smoother of the library, which
# takes $\Lambda_i$ and $\eta_i$ as they are: no $\Lambda_i$ is inverted, so some of them may be
# zero.

# %%
def dynamics(t: Array, covariance: Matern12 | Matern32) -> tuple[Array, Array, Array]:
    """A and Q of the steps to the sorted indices t (T, B), and P of the state."""
    gaps = xp.concat([xp.zeros((1, t.shape[1])), t[1:] - t[:-1]])
    A, Q, P = matern_transitions(covariance, xp.reshape(gaps, (-1,)))
    A, Q = (xp.reshape(v, (*t.shape, *P.shape)) for v in (A, Q))
    return A, Q, xp.broadcast_to(P, (1, t.shape[1], *P.shape))


def posterior(prior: tuple, Lambda: Array, eta: Array) -> tuple[Array, Array]:
    """Means m_i (T, B, R) and covariances V_i (T, B, R, R) of the functions of a mode."""
    A, Q, P = prior
    return information_smoother(A, Q, P[0], Lambda, eta)


# %% [markdown]
# The same posterior by brute force: with $K$ the covariance matrix of all functions at all indices
# and $\Lambda$ block-diagonal, the covariance is $(I+K\Lambda)^{-1}K$ and the mean is that times
# $\eta$. We take two functions at 200 irregular indices with evidence of very uneven strength, a
# fifth of them without any.

# %%
def dense(k: Matern32, t: Array, Lambda: Array, eta: Array) -> tuple[Array, Array]:
    """Means (n, r) and covariances (n, r, r) from the whole covariance matrix."""
    (n, r), every = eta.shape, xp.arange(eta.shape[0])
    K, blocks = xp.kron(k(t), xp.eye(r)), xp.zeros((n, r, n, r))
    blocks[every, :, every, :] = Lambda
    C = xp.linalg.solve(xp.eye(n * r) + K @ xp.reshape(blocks, K.shape), K)
    V = xp.reshape(C, (n, r, n, r))[every, :, every, :]
    return xp.reshape(C @ xp.reshape(eta, (-1,)), (n, r)), V


rng, n, k = generator(0), 200, Matern32(1.0, 0.3)
t = xp.sort(rng.uniform(size=n))
a = rng.standard_normal((n, 2)) * rng.uniform(0.1, 10, (n, 1))
a = xp.where(rng.uniform(size=(n, 1)) < 0.2, 0.0, a)
Lambda, eta = a[:, :, None] * a[:, None, :], a * rng.standard_normal((n, 1))
m, V = posterior(dynamics(t[:, None], k), Lambda[:, None], eta[:, None])
m_dense, V_dense = dense(k, t, Lambda, eta)


# %% [markdown]
# For the growth of the cost we take a single long series, for which the library has a smoother that
# cuts the walk into blocks (the one above takes one step per index), and beside it the Cholesky
# factor of the dense covariance matrix. Only ratios of processor times within this run are judged.

# %%
def seconds(fit, n: int) -> float:
    """Processor time of a fit to n observations, the best of three."""
    t, times = xp.linspace(0.0, n / 1000, n), []
    for _ in range(3):
        begin = time.process_time()
        fit(t, xp.sin(t))
        times.append(time.process_time() - begin)
    return min(times)


def cholesky(t, y):
    """The dense route's most expensive step."""
    xp.linalg.cholesky(k(t) + 0.1 * xp.eye(t.shape[0]))


walk = {n: seconds(StateSpaceRegressor(k, 0.1).fit, n) for n in (1000, 10_000, 100_000)}
factor = {n: seconds(cholesky, n) for n in (500, 1000, 2000)}

# %% tags=["hide-input"]
alt = """Processor time against the number of indices, both axes logarithmic. The smoother's line rises with slope one or less over
two decades; the dense factor's is much steeper and crosses it at some hundred indices."""
caption = "Processor time of the smoother and of the dense Cholesky factor, measured in this run."
with figure(alt=alt, caption=caption, width=5.4, height=3.2) as ax:
    ax.loglog(list(walk), list(walk.values()), "o-", label="state space")
    ax.loglog(list(factor), list(factor.values()), "s--", label="dense Cholesky factor")
    ax.set(xlabel="number of indices", ylabel="processor time (s)")
    ax.legend()

# %%
claims.check("C1.a", "posterior means, smoother less dense: largest difference",
    measured=float(xp.max(xp.abs(m[:, 0] - m_dense))), at_most=1e-8, paper="no approximation")
claims.check("C1.b", "posterior covariances, smoother less dense: largest difference",
    measured=float(xp.max(xp.abs(V[:, 0] - V_dense))), at_most=1e-8, paper="no approximation")
claims.check("C1.c", "processor time of 100 000 indices over that of 10 000",
    measured=walk[100_000] / walk[10_000], at_most=25, paper="linear")
say(f"""From 500 to 2000 indices the dense route became {factor[2000] / factor[500]:.0f} times dearer; the
smoother needed {walk[100_000] / walk[10_000]:.0f} times as long for 100 000 indices as for 10 000.""")


# %% [markdown]
# ### Message passing
#
# A problem is one tensor. A `Mode` holds what is known about the functions of one mode, for $B$
# fits side by side: restarts, data sets and noise levels all go through one smoother at once.

# %%
@dataclass
class Problem:
    """K sorted arrays of indices, the places (K, n) of the entries in them, and their values (n,)."""

    t: list[Array]
    at: Array
    y: Array


@dataclass
class Mode:
    """Indices (T, B), prior, moments m and S = E[u u'], and sums of messages; fits on axis 1."""

    t: Array
    prior: tuple
    m: Array
    S: Array
    Lambda: Array
    eta: Array


def second_moment(m: Array, V: Array) -> Array:
    """E[u u'] = V + m m'."""
    return V + m[..., :, None] * m[..., None, :]


# %% [markdown]
# Every fit starts from standard normal means and core. The covariances of the functions start at
# $0.1\,I$ and $E[\tau]$ at 10; the released code has $I$ and 1, and the fourth item shows what
# hangs on it. An entry's `key` names its index and its fit.

# %%
class FunBaT:
    """B fits side by side, of CP form or, with `tucker`, with a core."""

    def __init__(self, problems, R, covariances, seeds, tucker=False, E_tau=10.0, V=0.1, d=0.1):
        B, K = len(problems), len(covariances)
        self.problems, self.R, self.covariances, self.d = problems, R, covariances, d
        self.y, self.N = xp.concat([p.y for p in problems]), xp.asarray([len(p.y) for p in problems])
        self.fit = xp.concat([xp.full(len(p.y), b) for b, p in enumerate(problems)])
        self.key = xp.concat([p.at for p in problems], axis=1) * B + self.fit
        rngs, self.modes, self.infer = [generator(seed) for seed in seeds], [], posterior
        for k, covariance in enumerate(covariances):
            t = xp.stack([p.t[k] for p in problems], axis=1)
            m = xp.stack([rng.standard_normal((t.shape[0], R)) for rng in rngs], axis=1)
            S = second_moment(m, V * xp.eye(R))
            self.modes.append(Mode(t, dynamics(t, covariance), m, S, 0 * S, 0 * m))
        self.E_tau, self.tucker, self.W = xp.full(B, float(E_tau)), tucker, None
        if tucker:
            self.W = xp.stack([rng.standard_normal((R,) * K) for rng in rngs])
        self.Lambda_W, self.eta_W = xp.zeros((B, R**K, R**K)), xp.zeros((B, R**K, 1))

    def damped(self, old: Array, new: Array) -> Array:
        """d old + (1 - d) new."""
        return self.d * old + (1 - self.d) * new


# %% [markdown]
# The sums of equation {eq}`eq-ft-message` are taken *before* the core is applied: over the entries
# of an index we add up $E[zz^\top]$ and $y\,E[z]$, with $z$ the product over the other modes, and
# $\mathcal W_{(k)}$ goes on afterwards, once for each index instead of once for each entry. The
# moments of $z$ are products of the modes' moments: of all pairs of columns for Tucker, of equal
# columns for CP.

# %%
def over_entries(tables: list, keys: list, tucker: bool) -> Array:
    """For each entry (last axis) the product over modes of its columns in the tables."""
    out = tables[0][:, keys[0]]
    for columns, key in zip(tables[1:], keys[1:], strict=True):
        new = columns[:, key]
        out = xp.reshape(out[:, None] * new, (-1, new.shape[1])) if tucker else out * new
    return out


def sums(fits: FunBaT, k: int, moment: str) -> Array:
    """Of S: the sum of E[z z'], of m: that of y E[z], over the entries of each (index, fit)."""
    others = [j for j in range(len(fits.modes)) if j != k]
    tables = [getattr(fits.modes[j], moment) for j in others]
    tables = [xp.reshape(u, (u.shape[0] * u.shape[1], -1)).T for u in tables]
    z = over_entries(tables, [fits.key[j] for j in others], fits.tucker)
    z = z * fits.y if moment == "m" else z
    T, B = fits.modes[k].t.shape
    columns = [xp.bincount(fits.key[k], weights=column, minlength=T * B) for column in z]
    return xp.reshape(xp.stack(columns, axis=-1), (T, B, -1))


# %% [markdown]
# A product of second moments carries a row and a column index for each mode; `as_matrix` puts all
# rows first.

# %%
def as_matrix(pairs: Array, R: int, lead: int) -> Array:
    """(..., (r s)(p q)...) as the matrix (..., (r p ...), (s q ...)); `lead` axes stay."""
    K = round(math.log(pairs.shape[lead], R * R)) if R > 1 else 1
    split = xp.reshape(pairs, (*pairs.shape[:lead], *(R,) * (2 * K)))
    axes = [*range(lead), *range(lead, lead + 2 * K, 2), *range(lead + 1, lead + 2 * K, 2)]
    return xp.reshape(xp.permute_dims(split, axes), (*pairs.shape[:lead], R**K, R**K))


def update_mode(fits: FunBaT, k: int) -> tuple[Array, Array]:
    """Lambda_i and eta_i of all indices, then the smoother; the sums are returned."""
    mode, R, tau = fits.modes[k], fits.R, fits.E_tau[:, None]
    pairs, yz = sums(fits, k, "S"), sums(fits, k, "m")
    aa, ya = as_matrix(pairs, R, 2), yz
    if fits.tucker:
        W_k = xp.reshape(xp.moveaxis(fits.W, k + 1, 1), (len(fits.problems), R, -1))
        aa, ya = W_k @ aa @ xp.matrix_transpose(W_k), (W_k @ yz[..., None])[..., 0]
    mode.Lambda = fits.damped(mode.Lambda, tau[..., None] * aa)
    mode.eta = fits.damped(mode.eta, tau * ya)
    mode.m, V = fits.infer(mode.prior, mode.Lambda, mode.eta)
    mode.S = second_moment(mode.m, V)
    return pairs, yz


# %% [markdown]
# Equation {eq}`eq-ft-core`. The sums over *all* entries follow from those of the last mode, whose
# functions depend on the index alone.

# %%
def update_core(fits: FunBaT, pairs: Array, yz: Array) -> tuple[Array, Array]:
    """w' E[z z'] w and w' E[z] y, summed over all entries; for Tucker the core before that."""
    last, R, tau = fits.modes[-1], fits.R, fits.E_tau[:, None, None]
    S = xp.reshape(last.S, (*last.m.shape[:2], -1))
    if not fits.tucker:
        return xp.sum(pairs * S, axis=(0, 2)), xp.sum(yz * last.m, axis=(0, 2))
    by_fit = [xp.permute_dims(v, (1, 0, 2)) for v in (pairs, S, yz, last.m)]
    ZZ, z = (xp.matrix_transpose(by_fit[j]) @ by_fit[j + 1] for j in (0, 2))
    ZZ = as_matrix(xp.reshape(ZZ, (ZZ.shape[0], -1)), R, 1)
    z = xp.reshape(z, (z.shape[0], -1, 1))
    fits.Lambda_W = fits.damped(fits.Lambda_W, tau * ZZ)
    fits.eta_W = fits.damped(fits.eta_W, tau * z)
    w = xp.linalg.solve(xp.eye(ZZ.shape[-1]) + fits.Lambda_W, fits.eta_W)
    fits.W = xp.reshape(w, fits.W.shape)
    return xp.sum(w * (ZZ @ w), axis=(1, 2)), xp.sum(w * z, axis=(1, 2))


# %%
def run(fits: FunBaT, epochs: int, a0=1.0, b0=1e-3, noise=True) -> FunBaT:
    """Epochs over all modes, the core and, if asked, the noise."""
    yy = xp.bincount(fits.fit, weights=fits.y**2, minlength=len(fits.problems))
    for _ in range(epochs):
        for k in range(len(fits.modes)):
            pairs, yz = update_mode(fits, k)
        wzzw, ywz = update_core(fits, pairs, yz)
        if noise:
            new = (a0 + fits.N / 2) / (b0 + yy / 2 - ywz + wzzw / 2)
            fits.E_tau = fits.damped(fits.E_tau, new)
    return fits


# %% [markdown]
# The prediction at all cells of a grid is one contraction. So is its second moment, with $S$ in
# the place of $m$ and $\mathcal W\otimes\mathcal W$ in that of $\mathcal W$.

# %%
def contract(W: Array | None, U: list[Array]) -> Array:
    """All cells of the tensor with core W (None: CP) and the factors U^k (T_k, R)."""
    if W is None:
        out = U[0].T
        for u in U[1:-1]:
            out = xp.reshape(out[:, :, None] * u.T[:, None, :], (out.shape[0], -1))
        return xp.reshape(out.T @ U[-1].T, tuple(u.shape[0] for u in U))
    for u in U:
        W = xp.tensordot(W, u, axes=((0,), (1,)))
    return W


# %%
def mean_of(fits: FunBaT, b: int) -> Array:
    """The posterior mean of all cells of fit b."""
    return contract(fits.W[b] if fits.tucker else None, [mode.m[:, b] for mode in fits.modes])


def variance_of(fits: FunBaT, b: int) -> Array:
    """Their posterior variance, without the noise."""
    pairs = [xp.reshape(mode.S[:, b], (mode.t.shape[0], -1)) for mode in fits.modes]
    WW, K = None, len(pairs)
    if fits.tucker:
        WW = xp.tensordot(fits.W[b], fits.W[b], axes=0)
        WW = xp.permute_dims(WW, [j + half for j in range(K) for half in (0, K)])
        WW = xp.reshape(WW, (fits.R**2,) * K)
    return contract(WW, pairs) - mean_of(fits, b) ** 2


# %% [markdown]
# ## Experiments
#
# ### The surface of the paper
#
# The authors' synthetic data have one component: $y=u^1(i^1)\,u^2(i^2)$ with
# $u^1(t)=e^{-2t}\sin\frac{3\pi t}2$ and $u^2(t)=\sin^2(2\pi t)\cos(2\pi t)$, observed on six
# blocks of 15 × 15 random indices. Half of the 1350 entries train. The prior is Matérn-3/2 with
# $\ell=0.1$, $\sigma^2=0.5$, as in their configuration. We fit without noise and with noise of
# standard deviation 0.02, five seeds each, 40 epochs.

# %%
@dataclass
class Surface:
    """The training problem, the true functions at the indices, and the test entries."""

    train: Problem
    u: list[Array]
    test: Array
    clean: Array


# %%
def surface(seed: int, noise: float, n_train: int = 675) -> Surface:
    """Six blocks of 15 x 15 indices; n_train of the first 675 shuffled entries train."""
    rng = generator(seed)
    t = [xp.sort(rng.uniform(size=90)) for _ in range(2)]
    u = [
        xp.exp(-2 * t[0]) * xp.sin(1.5 * math.pi * t[0]),
        xp.sin(2 * math.pi * t[1]) ** 2 * xp.cos(2 * math.pi * t[1]),
    ]
    blocks = [xp.reshape(rng.permutation(90), (6, 15)) for _ in range(2)]
    rows = xp.repeat(blocks[0], 15, axis=1)
    at = xp.stack([xp.reshape(v, (-1,)) for v in (rows, xp.tile(blocks[1], (1, 15)))])
    at = at[:, rng.permutation(1350)]
    clean = u[0][at[0]] * u[1][at[1]]
    y = clean + noise * rng.standard_normal(1350)
    train = Problem(t, at[:, :n_train], y[:n_train])
    return Surface(train, u, at[:, 675:], clean[675:])


# %%
NOISES, SURFACE_SEEDS = (0.0, 0.02), range(5)
surfaces = [surface(seed, noise) for noise in NOISES for seed in SURFACE_SEEDS]


def fit_surfaces(surfaces: list[Surface], b0: float = 1e-3) -> FunBaT:
    """One component, 40 epochs."""
    seeds = range(100, 100 + len(surfaces))
    fits = FunBaT([s.train for s in surfaces], 1, [Matern32(0.5, 0.1)] * 2, seeds)
    return run(fits, 40, b0=b0)


def test_errors(fits: FunBaT, surfaces: list[Surface]) -> np.ndarray:
    """Error on the test entries of each fit, against the surface without noise."""
    out = [mean_of(fits, b)[s.test[0], s.test[1]] - s.clean for b, s in enumerate(surfaces)]
    return to_host(xp.stack(out))


fitted, as_released = fit_surfaces(surfaces), fit_surfaces(surfaces[:5], b0=1.0)
error, error_released = test_errors(fitted, surfaces), test_errors(as_released, surfaces[:5])
rmse, rmse_released = (np.sqrt(np.mean(e**2, axis=1)) for e in (error, error_released))


# %%
def cosine(b: int, k: int) -> float:
    """Of the recovered and the true function of a mode, at the 90 indices."""
    m, u = fitted.modes[k].m[:, b, 0], surfaces[b].u[k]
    return abs(float(m @ u / xp.linalg.vector_norm(m) / xp.linalg.vector_norm(u)))


def shared_pairs(s: Surface) -> float:
    """Share of the test entries whose (row, column) pair occurs in training."""
    train, test = (v[0] * 90 + v[1] for v in (s.train.at, s.test))
    return float(xp.mean(xp.astype(xp.isin(test, train), xp.float64)))


# %%
claims.check("C2.a", "without noise: test RMSE, worst seed", measured=rmse[:5].max(), at_most=0.008,
    seeds=5, paper="0.004")
claims.check("C2.b", "test entries whose (row, column) pair occurs in training: largest share",
    measured=max(map(shared_pairs, surfaces)), equals=0, own=True)
claims.check("C2.c", "noise 0.02: RMSE to the clean surface, worst seed", measured=rmse[5:].max(),
    at_most=0.012, seeds=5, own=True)
claims.check("C2.d", "noise 0.02: least cosine of a recovered and a true latent function",
    measured=min(cosine(b, k) for b in range(5, 10) for k in (0, 1)), at_least=0.98, seeds=5,
    paper="recovers the functions")
claims.check("C2.e", "without noise: mean absolute test error, worst seed",
    measured=np.abs(error[:5]).mean(axis=1).max(), at_most=0.004, seeds=5, paper="0.002")
claims.check("C2.g", "without noise, b₀ = 1 as released: mean test RMSE", measured=rmse_released.mean(),
    between=(0.001, 0.008), seeds=5, paper="0.004")
claims.check("C2.f", "without noise: mean test RMSE with b₀ = 1 over that with b₀ = 0.001",
    measured=rmse_released.mean() / rmse[:5].mean(), at_least=10, seeds=5, own=True)
say(f"""A surface of standard deviation {float(xp.std(surfaces[0].clean)):.2f} is recovered to {rmse[:5].mean():.1g} without noise and to
{rmse[5:].mean():.1g} under noise of 0.02. With the b₀ = 1 of the released configuration the noise-free error is
{rmse_released.mean():.1g}, the size of the paper's 0.004: this prior alone puts the noise at
{float(xp.mean(as_released.E_tau**-0.5)):.2g}, however clean the data are.""")

# %% [markdown]
# How many entries does it take to see the functions? They are determined up to a common factor,
# which we set by least squares for the picture.

# %%
COUNTS = (20, 45, 100, 675)
few = fit_surfaces([surface(0, 0.02, n) for n in COUNTS])


# %% tags=["hide-input"]
def draw(axes, n):
    """Both latent functions with their bands."""
    b = COUNTS.index(n)
    for k, ax in enumerate(axes):
        mode, u = few.modes[k], to_host(surfaces[0].u[k])
        m, S = to_host(mode.m[:, b, 0]), to_host(mode.S[:, b, 0, 0])
        c, x = (m @ u) / (m @ m), to_host(surfaces[5].train.t[k])
        sd = abs(c) * np.sqrt(np.maximum(S - m**2, 0))
        low, high = (np.clip(c * m + sign * sd, -1, 1) for sign in (-3, 3))
        ax.fill_between(x, low, high, color="#56B4E9", alpha=0.5, lw=0)
        ax.plot(x, c * m, label="posterior mean, ± 3 sd")
        ax.plot(x, u, "k--", lw=1.2, label="truth")
        seen = to_host(surfaces[5].train.at[k][:n])
        ax.plot(x[seen], np.full(n, -0.93), "|", color="gray", ms=6)
        ax.set(xlabel=f"index $i^{k + 1}$ (no unit)", ylim=(-1, 1.5), title=f"$u^{k + 1}$")
    axes[0].set_ylabel("value (no unit)")
    axes[0].legend(loc="upper right", fontsize=8)


slider(
    COUNTS, draw, label="training entries", start=2, columns=2, height=3.0, sharey=True,
    alt=lambda n: f"The two latent functions from {n} entries: posterior means with bands, and the truth. The fewer entries, the "
    "wider the bands, above all in the gaps between the indices that occur; from all entries mean and truth coincide.",
    caption="The latent functions of the surface, recovered under noise of 0.02. Grey ticks: the indices of the training entries.",
)

# %% [markdown]
# ### Functions against names
#
# Now the paper's main claim. A random tensor has three modes with $T=60$ random indices each, two
# components per mode drawn from a Matérn-3/2 process with $\ell=0.3$, and a core of standard
# normals, scaled so that the 216 000 cells have standard deviation one. We observe 800 cells (one
# in 270), or 3000, with noise of standard deviation 0.1. Twenty further indices of each mode occur
# in no entry at all.

# %%
T, SEEDS, WIDE = scale(default=60, paper=200), range(3), range(12)
FEW, MANY = scale(default=(800, 3000), paper=(4000, 40_000))
RESTARTS = {FEW: 10, MANY: 5}
prior, discrete = Matern32(1.0, 0.3), Matern32(1.0, 0.003)


def tensor(seed: int) -> tuple[list[Array], Array]:
    """T sorted indices of each mode and 20 unseen ones after them; all cells over both."""
    rng, t, U = generator(seed), [], []
    for _ in range(3):
        s = rng.uniform(size=T + 20)
        t.append(xp.concat([xp.sort(s[:T]), s[T:]]))
        L = xp.linalg.cholesky(Matern32(1.0, 0.3)(t[-1]) + 1e-9 * xp.eye(T + 20))
        U.append(L @ rng.standard_normal((T + 20, 2)))
    Y = contract(rng.standard_normal((2, 2, 2)), U)
    return t, Y / xp.std(Y[:T, :T, :T])


# %%
def observed(seed: int, N: int) -> Problem:
    """N random cells of the tensor with noise."""
    rng, (t, Y) = generator(1000 + seed), tensors[seed]
    at = xp.stack(xp.unravel_index(rng.permutation(T**3)[:N], (T, T, T)))
    y = Y[at[0], at[1], at[2]] + 0.1 * rng.standard_normal(N)
    return Problem([s[:T] for s in t], at, y)


tensors = {seed: tensor(seed) for seed in SEEDS}
problems = {N: [observed(seed, N) for seed in SEEDS] for N in (FEW, MANY)}
cells = [tensors[seed][1][:T, :T, :T] for seed in SEEDS]


# %% [markdown]
# The components can be permuted and rotated, so we compare cells, all of them. Each method gets
# ten starts per data set (five where there are more entries), 20 epochs each. The start with the
# largest $E[\tau]$, which is the one that leaves the least noise unexplained, goes on for 40 more.

# %% tags=["hide-input"]
def keep(fits: FunBaT, chosen, problems: list | None = None) -> FunBaT:
    """The chosen fits alone, as they stand, with other entries if given."""
    problems = problems or [fits.problems[b] for b in chosen]
    few = FunBaT(problems, fits.R, fits.covariances, range(len(problems)), fits.tucker, d=fits.d)
    few.E_tau, few.infer = fits.E_tau[chosen], fits.infer
    few.Lambda_W, few.eta_W = fits.Lambda_W[chosen], fits.eta_W[chosen]
    few.W = fits.W[chosen] if fits.tucker else None
    for k, old in enumerate(fits.modes):
        prior = tuple(v[:, chosen] for v in old.prior)
        arrays = [getattr(old, field.name)[:, chosen] for field in fields(Mode)[2:]]
        few.modes[k] = Mode(old.t[:, chosen], prior, *arrays)
    return few


def best_starts(score: Array, starts: int) -> list[int]:
    """Position of the largest score among each problem's starts."""
    score = np.reshape(to_host(score), (-1, starts))
    return [int(row.argmax()) + starts * i for i, row in enumerate(score)]


# %%
def rms(cells: Array, truth: Array) -> float:
    """Root of the mean squared difference."""
    return float(xp.sqrt(xp.mean((cells - truth) ** 2)))


def rmse_of(fits: FunBaT, truths: list[Array]) -> np.ndarray:
    """Error over all cells, for equally many fits of each truth."""
    n = len(fits.problems)
    return np.asarray([rms(mean_of(fits, b), truths[b * len(truths) // n]) for b in range(n)])


# %%
def starts_of(problems, R, covariances, starts, **options) -> FunBaT:
    """Several starts for each problem."""
    each = [p for p in problems for _ in range(starts)]
    return FunBaT(each, R, covariances, range(500, 500 + len(each)), **options)


def best_of(starts: FunBaT) -> FunBaT:
    """The best start of each of the three tensors, after 40 more epochs."""
    return run(keep(starts, best_starts(starts.E_tau, len(starts.problems) // 3)), 40)


started, fits = {}, {}
for N, n in RESTARTS.items():
    started["CP", N] = run(starts_of(problems[N], 3, [prior] * 3, n), 20)
    started["Tucker", N] = run(starts_of(problems[N], 2, [prior] * 3, n, tucker=True), 20)
    fits |= {(form, N): best_of(started[form, N]) for form in ("CP", "Tucker")}
discretised = best_of(run(starts_of(problems[FEW], 3, [discrete] * 3, 10), 20))
scores = {name: rmse_of(fit, cells) for name, fit in fits.items()}
scores["CP, neighbours independent", FEW] = rmse_of(discretised, cells)


# %% [markdown]
# **Competitors**, on the same entries. *CP-ALS* is alternating least squares with a ridge penalty
# $\rho$ on factors that know no neighbours: the same sweep with
# $m_i=(\Lambda_i+\rho I)^{-1}\eta_i$ and $V=0$. It gets rank 2 or 3, four values of $\rho$ and as
# many starts for each; a tenth of the entries is held out to choose among all of them, after which
# it sees these entries too.

# %%
def ridge(prior: tuple, Lambda: Array, eta: Array) -> tuple[Array, Array]:
    """Least squares with a penalty instead of a process."""
    return xp.linalg.solve(Lambda + prior[0], eta[..., None])[..., 0], 0.0


# %% tags=["hide-input"]
def held_out(fits: FunBaT, problems: list[Problem]) -> Array:
    """Minus the squared error on the last tenth of the entries, for each fit."""
    each, out = len(fits.problems) // len(problems), []
    for b in range(len(fits.problems)):
        p = problems[b // each]
        cut = len(p.y) - len(p.y) // 10
        U = [mode.m[at[cut:], b] for mode, at in zip(fits.modes, p.at, strict=True)]
        out.append(-xp.mean((xp.sum(math.prod(U), axis=1) - p.y[cut:]) ** 2))
    return xp.stack(out)


# %% tags=["hide-input"]
def cp_als(problems: list[Problem], R: int, starts: int) -> tuple[FunBaT, np.ndarray]:
    """The fit chosen by held-out entries for each problem, and its held-out error."""
    rho = xp.repeat(xp.asarray([0.1, 0.3, 1.0, 3.0]), starts)
    cuts = [len(p.y) - len(p.y) // 10 for p in problems]
    part = [Problem(p.t, p.at[:, :c], p.y[:c]) for p, c in zip(problems, cuts, strict=True)]
    als = starts_of(part, R, [prior] * len(part[0].t), len(rho), E_tau=1.0, V=0.0, d=0.0)
    als.infer = ridge
    for mode in als.modes:
        mode.prior = (xp.tile(rho, len(problems))[None, :, None, None] * xp.eye(R),)
    run(als, 15, noise=False)
    order = np.argsort(-np.reshape(to_host(held_out(als, problems)), (len(problems), -1)), axis=1)
    four = (order[:, :4] + len(rho) * np.arange(len(problems))[:, None]).ravel()
    als = run(keep(als, four), 45, noise=False)
    score = held_out(als, problems)
    chosen = best_starts(score, 4)
    return run(keep(als, chosen, problems), 25, noise=False), -to_host(score)[chosen]


# %% tags=["hide-input"]
def best_als(N: int) -> list[Array]:
    """All cells by CP-ALS, for each tensor at the rank with the smaller held-out error."""
    runs = [cp_als(problems[N], R, RESTARTS[N]) for R in (2, 3)]
    ranks = np.argmin([error for _, error in runs], axis=0)
    return [mean_of(runs[rank][0], b) for b, rank in enumerate(ranks)]


als = {N: best_als(N) for N in (FEW, MANY)}
for N in als:
    scores["CP-ALS", N] = np.asarray([rms(als[N][b], cells[b]) for b in range(3)])


# %% [markdown]
# The *plain Gaussian process* of scikit-learn takes the three coordinates as inputs; its lengths
# and noise are fitted to 250 entries, then it conditions on all 800. It is judged on 4000 random
# cells. *Binned Tucker* averages the entries in each bin of a grid, truncates that tensor to rank
# 2 (higher-order singular value decomposition), and takes 5, 10, 20 or 40 bins by the held-out
# tenth.

# %% tags=["hide-input"]
def plain_gp(b: int) -> float:
    """RMSE of a Gaussian process on the coordinates."""
    p, at = problems[FEW][b], to_host(generator(7).integers(0, T, (3, 4000)))
    t, y = [to_host(s) for s in p.t], to_host(p.y)
    X, X_new = (np.stack([t[k][v[k]] for k in range(3)], axis=1) for v in (to_host(p.at), at))
    kernel = 1.0 * Matern([0.3] * 3, nu=1.5) + WhiteKernel(0.1)
    kernel = GaussianProcessRegressor(kernel).fit(X[:250], y[:250]).kernel_
    model = GaussianProcessRegressor(kernel, optimizer=None).fit(X, y)
    return float(np.sqrt(np.mean((model.predict(X_new) - to_host(cells[b])[tuple(at)]) ** 2)))


# %% tags=["hide-input"]
def binned(p: Problem, bins: int, n: int) -> Array:
    """All cells from the first n entries by HOSVD of bin means."""
    bin_of = [xp.astype(xp.floor(bins * s), xp.int64) for s in p.t]
    i, j, h = (b[at[:n]] for b, at in zip(bin_of, p.at, strict=True))
    flat = (i * bins + j) * bins + h
    count = xp.bincount(flat, minlength=bins**3)
    total = xp.bincount(flat, weights=p.y[:n], minlength=bins**3)
    X = xp.reshape(total / xp.where(count > 0, count, 1), (bins,) * 3)
    unfolded = [xp.reshape(xp.moveaxis(X, k, 0), (bins, -1)) for k in range(3)]
    U = [xp.linalg.svd(v, full_matrices=False)[0][:, :2] for v in unfolded]
    W = contract(X, [u.T for u in U])
    return contract(W, [u[b] for u, b in zip(U, bin_of, strict=True)])


def best_binned(b: int) -> float:
    """RMSE of binned Tucker, bins chosen by the last tenth of the entries."""
    p = problems[FEW][b]
    n = len(p.y) - len(p.y) // 10
    held = tuple(p.at[:, n:])
    bins = min((5, 10, 20, 40), key=lambda bins: rms(binned(p, bins, n)[held], p.y[n:]))
    return rms(binned(p, bins, len(p.y)), cells[b])


scores["plain Gaussian process", FEW] = np.asarray([plain_gp(b) for b in range(3)])
scores["binned Tucker", FEW] = np.asarray([best_binned(b) for b in range(3)])

# %%
rows = [[name, str(N), *map(float, values)] for (name, N), values in scores.items()]
columns = ["method", "entries", *(f"tensor {b + 1}" for b in range(3))]
table(rows, columns, "RMSE over all cells in units of their standard deviation (to predict zero gives 1); CP and Tucker: FunBaT.")

# %% tags=["hide-input"]
layer = to_host(xp.argmax(xp.std(cells[0], axis=(0, 1))))
p = problems[FEW][0]
near = to_host(xp.abs(p.at[2] - int(layer)) <= 2)
pictures = {
    "truth": cells[0], "FunBaT (CP)": mean_of(fits["CP", FEW], 0), "CP-ALS": als[FEW][0],
}
alt = """Four panels of one layer of a tensor over two continuous indices. Truth: smooth hills and valleys. Entries: a scatter of a few
dozen coloured points. FunBaT: practically the truth. CP-ALS: the same areas, cut up by stripes along rows and columns."""
caption = "One layer of the first tensor, and all entries of this and the two layers on either side of it. Orange is negative, purple positive, on the same scale in all panels."
with figure(2, 2, alt=alt, caption=caption, width=4.8, height=5.0, sharex=True, sharey=True) as axes:
    axes = axes.ravel()
    x, y = (to_host(s) for s in p.t[:2])
    top = float(xp.max(xp.abs(cells[0][:, :, int(layer)])))
    style = {"cmap": "PuOr", "vmin": -top, "vmax": top}
    for ax, (name, values) in zip(axes[[0, 2, 3]], pictures.items(), strict=True):
        ax.pcolormesh(x, y, to_host(values[:, :, int(layer)]).T, shading="nearest", rasterized=True, **style)
        ax.set(title=name)
    at = to_host(p.at[:, near])
    axes[1].scatter(x[at[0]], y[at[1]], c=to_host(p.y)[near], s=14, edgecolors="gray", lw=0.4, **style)
    axes[1].set(title="entries")
    for ax in axes:
        ax.set(xlabel="$i^1$ (no unit)", ylabel="$i^2$ (no unit)", xticks=[0, 1], yticks=[0, 1])


# %% [markdown]
# **Indices that never occurred.** For the 20 unseen indices of each mode we walk once more, with a
# step that carries no evidence at each of them, and predict all $20^3$ new cells. The discrete
# habit is to borrow the factors of the nearest known index: those of CP-ALS, or our own functions
# there. The latter difference varies from tensor to tensor, so it is taken over twelve tensors,
# with one start of CP each.

# %%
def at_unseen(fits: FunBaT, b: int, k: int, new: Array) -> Array:
    """Posterior means (n, R) of the functions of mode k at new indices."""
    mode, n = fits.modes[k], new.shape[0]
    t = xp.concat([mode.t[:, b], new])
    order = xp.argsort(t)
    Lambda, eta = (xp.concat([v[:, b], xp.zeros((n, *v.shape[2:]))])[order] for v in (mode.Lambda, mode.eta))
    m, _ = posterior(dynamics(t[order][:, None], prior), Lambda[:, None], eta[:, None])
    return m[xp.argsort(order)[-n:], 0]


def at_nearest(fits: FunBaT, b: int, k: int, new: Array) -> Array:
    """Means at the nearest known index."""
    mode = fits.modes[k]
    return mode.m[xp.argmin(xp.abs(new[:, None] - mode.t[:, b]), axis=1), b]


# %%
def unseen_errors(fits: FunBaT, at) -> np.ndarray:
    """RMSE over the new cells of each tensor, for CP."""
    out = []
    for b in range(len(fits.problems)):
        t, Y = tensors[b]
        U = [at(fits, b, k, s[T:]) for k, s in enumerate(t)]
        out.append(rms(contract(None, U), Y[T:, T:, T:]))
    return np.asarray(out)


def als_unseen(b: int) -> float:
    """RMSE of CP-ALS with the cell at the nearest known indices."""
    t, Y = tensors[b]
    i, j, h = (xp.argmin(xp.abs(s[T:, None] - s[:T]), axis=1) for s in t)
    return rms(als[FEW][b][i[:, None, None], j[:, None], h], Y[T:, T:, T:])


# %%
tensors |= {seed: tensor(seed) for seed in WIDE if seed not in SEEDS}
wide = FunBaT([observed(seed, FEW) for seed in WIDE], 3, [prior] * 3, WIDE)
wide = run(wide, 60)
unseen = unseen_errors(fits["CP", FEW], at_unseen)
rival_unseen = np.asarray([als_unseen(b) for b in SEEDS])
nearest_wide, unseen_wide = unseen_errors(wide, at_nearest), unseen_errors(wide, at_unseen)

# %%
cp, tucker = scores["CP", FEW], scores["Tucker", FEW]
rivals = ("CP-ALS", "binned Tucker", "plain Gaussian process")
best_rival = np.min([scores[name, FEW] for name in rivals], axis=0)
claims.check("C3.a", f"{FEW} entries: RMSE of CP, worst tensor", measured=cp.max(), at_most=0.15, seeds=3, own=True)
claims.check("C3.e", f"{FEW} entries: RMSE of Tucker, median tensor", measured=np.median(tucker),
    at_most=0.15, seeds=3, own=True)
claims.check("C3.f", "RMSE of CP over that of the best competitor, worst tensor", measured=(cp / best_rival).max(),
    at_most=0.5, seeds=3, paper="lower (Table 1: 0.296 against 0.706)")
claims.check("C3.g", "RMSE of Tucker over that of the best competitor, median tensor",
    measured=np.median(tucker / best_rival), at_most=0.5, seeds=3, paper="lower (Table 1: 0.288 against 0.706)")

# %%
claims.check("C3.b", f"{MANY} entries: RMSE of Tucker, median tensor", measured=np.median(scores["Tucker", MANY]),
    at_most=0.08, seeds=3, own=True)
claims.check("C3.h", f"{MANY} entries: RMSE of CP, median tensor", measured=np.median(scores["CP", MANY]),
    at_most=0.06, seeds=3, own=True)
claims.report_value("C3.i", f"{MANY} entries: RMSE of CP over that of CP-ALS, median tensor",
    measured=np.median(scores["CP", MANY] / scores["CP-ALS", MANY]), seeds=3, own=True)
claims.check("C3.c", "RMSE with neighbours independent (ℓ = 0.003) over that with ℓ = 0.3, median tensor",
    measured=np.median(scores["CP, neighbours independent", FEW] / cp), at_least=3, seeds=3, paper="functions are better")
claims.check("C3.d", "unseen indices: RMSE of CP, worst tensor", measured=unseen.max(), at_most=0.25,
    seeds=3, own=True)
claims.check("C3.k", "unseen indices: RMSE of CP over that of CP-ALS at the nearest index, worst tensor",
    measured=(unseen / rival_unseen).max(), at_most=0.5, seeds=3, own=True)
claims.check("C3.j", "unseen indices: RMSE with the nearest index's functions over that of the walk, median tensor",
    measured=np.median(nearest_wide / unseen_wide), at_least=1.15, seeds=len(WIDE), own=True)

say(f"""With {FEW} entries the functions leave {100 * np.median(cp):.0f} (CP) and {100 * np.median(tucker):.0f} per cent (Tucker) of
a standard deviation, the best competitor {100 * np.median(best_rival):.0f}, and the same code with independent neighbours
{100 * np.median(scores["CP, neighbours independent", FEW]):.0f}. At indices that never occurred the walk errs by
{100 * np.median(unseen):.0f} per cent, CP-ALS at the nearest index by {100 * np.median(rival_unseen):.0f}.""")


# %% [markdown]
# ### Which start?
#
# The released code starts with factor means uniform on $[0,1]$, covariances $I$, a uniform core
# and $E[\tau]=1$. We give Tucker ten such starts for each tensor of 800 entries beside ten of
# ours, and ten more in which only $E[\tau]=10$ is changed.

# %%
def uniform_start(fits: FunBaT) -> FunBaT:
    """Means and core uniform on [0, 1], covariances I."""
    rng = generator(11)
    for mode in fits.modes:
        mode.m = rng.uniform(size=mode.m.shape)
        mode.S = second_moment(mode.m, xp.eye(fits.R))
    fits.W = rng.uniform(size=fits.W.shape)
    return fits


pools = [started["Tucker", FEW]]  # ours, the released one, the released one with E[tau] = 10
for E_tau in (1.0, 10.0):
    released = starts_of(problems[FEW], 2, [prior] * 3, 10, tucker=True, E_tau=E_tau)
    pools.append(run(uniform_start(released), 20))
start_error = np.hstack([np.reshape(rmse_of(pool, cells), (3, 10)) for pool in pools])
start_tau = np.hstack([np.reshape(to_host(pool.E_tau), (3, 10)) for pool in pools])
chosen = np.argmax(start_tau, axis=1)
chosen_error = np.take_along_axis(start_error, chosen[:, None], axis=1)
worse = start_error / chosen_error
low = start_tau < start_tau.max(axis=1, keepdims=True) / 2

# %% tags=["hide-input"]
alt = """Error against the noise level that a start believes in, both logarithmic. Our starts crowd at the lower left, near the true noise and
with small errors. Most released starts lie to the upper right, with more noise and several times the error; with more trust in the data most of them come down."""
caption = "Thirty starts of Tucker for each of three tensors after 20 epochs; dashed: the true noise."
with figure(alt=alt, caption=caption, width=5.4, height=3.2) as ax:
    names = ("our start", "released start", "released, but $E[\\tau]=10$")
    for j, (name, mark) in enumerate(zip(names, "o^s", strict=True)):
        tau, e = (v[:, 10 * j : 10 * j + 10].ravel() for v in (start_tau, start_error))
        ax.loglog(tau**-0.5, e, mark, alpha=0.6, label=name)
    ax.axvline(0.1, color="gray", ls="--", lw=1)
    ax.set(xlabel=r"noise that the fit believes in, $E[\tau]^{-1/2}$ (sd of the tensor)", ylabel="RMSE (sd)")
    ax.legend(loc="lower right")

# %%
claims.check("C4.a", "error of the start with the largest E[τ] over that of the best start, worst tensor",
    measured=(chosen_error / start_error.min(axis=1, keepdims=True)).max(), at_most=1.3, seeds=3, own=True)
claims.check("C4.b", "error of starts with E[τ] below half of the largest over that of the chosen one, least",
    measured=worse[low].min() if low.any() else 0.0, at_least=1.5, seeds=3, own=True)
lost = 100 * (np.reshape(worse, (3, 3, 10)) > 1.5).mean(axis=(0, 2))
claims.check("C4.c", "released starts that end with more than 1.5 times the error of the chosen one",
    measured=lost[1], at_least=50, unit="%", seeds=3, own=True)
claims.check("C4.d", "our starts that do, median tensor",
    measured=100 * np.median((worse[:, :10] > 1.5).mean(axis=1)), at_most=20, unit="%", seeds=3, own=True)
claims.report_value("C4.e", "by how much E[τ] = 10 alone lowers that share of the released starts",
    measured=lost[1] - lost[2], unit="points", seeds=3, own=True)
say(f"""{lost[1]:.0f} per cent of the released starts are lost, {lost[2]:.0f} per cent where E[τ] starts at 10, and
{lost[0]:.0f} per cent of ours.""")


# %% [markdown]
# Why does the released start fail? We read it so: with $E[\tau]=1$ the entries, whose variance is one, are
# believed to be all noise. The first messages are weak, the prior shrinks a component to nothing,
# and once its mean is zero no message can revive it. A start that trusts the data lets every
# component speak first.
#
# ### Does it know what it does not know?
#
# For the cells that were not observed we draw new noisy values and ask how many lie within two
# predictive standard deviations. Then we ask the functions: is $u^k$ less certain at the six
# indices with the fewest entries than at the six with the most, on average over the twelve tensors?

# %%
def coverage(fits: FunBaT, b: int) -> float:
    """Share of new noisy values of unobserved cells within 2 sd."""
    hidden = xp.ones((T, T, T), dtype=xp.bool)
    hidden[tuple(fits.problems[b].at)] = False
    sd = xp.sqrt(variance_of(fits, b) + 1 / fits.E_tau[b])
    y = cells[b] + 0.1 * generator(20 + b).standard_normal((T, T, T))
    inside = xp.abs(y - mean_of(fits, b)) < 2 * sd
    return float(xp.mean(xp.astype(inside[hidden], xp.float64)))


def emptiness(fits: FunBaT) -> float:
    """Geometric mean of sd(u) at the 10 % emptiest indices over that at the 10 % fullest."""
    logs, n = [], T // 10
    for k, mode in enumerate(fits.modes):
        V = mode.S - second_moment(mode.m, 0.0)
        log_sd = xp.log(xp.linalg.trace(V)) / 2
        for b, p in enumerate(fits.problems):
            order = xp.argsort(xp.bincount(p.at[k], minlength=T))
            logs.append(xp.mean(log_sd[order[:n], b]) - xp.mean(log_sd[order[-n:], b]))
    return float(xp.exp(xp.mean(xp.stack(logs))))


covers = np.asarray([[coverage(fits[form, FEW], b) for b in range(3)] for form in ("CP", "Tucker")])
noise_sd = np.concatenate([to_host(fits[form, MANY].E_tau) ** -0.5 for form in ("CP", "Tucker")])
empty = emptiness(wide), emptiness(discretised)

# %%
claims.check("C5.a", "coverage of ± 2 sd on unobserved cells, CP and Tucker: mean of three tensors",
    measured=100 * covers.mean(), between=(90, 99.5), unit="%", seeds=3, paper="with uncertainty")
claims.check("C5.b", f"{MANY} entries: noise found, relative error, worst fit",
    measured=100 * np.abs(noise_sd / 0.1 - 1).max(), at_most=25, unit="%", seeds=3, own=True)
claims.check("C5.c", "sd of the functions at the emptiest tenth of the indices over that at the fullest",
    measured=empty[0], at_least=1.05, seeds=len(WIDE), own=True)
claims.check("C5.d", "the same with neighbours independent, over that with ℓ = 0.3", measured=empty[1] / empty[0],
    at_least=1.2, seeds=3, own=True)
say(f"""Between {100 * covers.min():.1f} and {100 * covers.max():.1f} per cent of the new values lie within two standard deviations.
An index with few entries is {100 * empty[0] - 100:.0f} per cent less certain than one with many; without the
prior it would be {100 * empty[1] - 100:.0f} per cent. The neighbours fill in.""")

# %% [markdown]
# ### A photograph
#
# The paper's data are not bundled, so we take a photograph of 96 × 96 pixels. Its rows and columns
# are continuous modes, its three colours a discrete one: indices that are so far apart that they
# are independent. Of the 27 648 numbers 15 or 5 per cent are observed. FunBaT gets rank 5 in CP
# form (Matérn-3/2, $\ell=0.1$) and rank 4 in Tucker form, CP-ALS rank 5 with the ridge chosen as
# above, and *nearest* copies the nearest observed pixel of the same colour. A sum of five products,
# laid out as a matrix of rows against columns and colours, has rank five. So no such sum comes
# closer to the photograph than that matrix's truncated singular value decomposition (Eckart and
# Young), and the same for columns against the rest: a ceiling for FunBaT and CP-ALS alike.

# %%
SIDE = 96
astronaut = data.photograph("astronaut").astype(float)
photo = to_device(resize(astronaut, (SIDE, SIDE, 3), anti_aliasing=True))
centre, spread = xp.mean(photo), xp.std(photo)
SHARES, RANGE = (0.15, 0.05), astronaut.max()


def pixels(share: float) -> Problem:
    """A random share of the numbers, standardised."""
    order = generator(30).permutation(photo.size)[: round(share * photo.size)]
    at = xp.stack(xp.unravel_index(order, photo.shape))
    line = xp.arange(SIDE) / (SIDE - 1)
    y = (photo[at[0], at[1], at[2]] - centre) / spread
    return Problem([line, line, 1e6 * xp.arange(3)], at, y)


def psnr(image: Array) -> float:
    """Peak signal-to-noise ratio in dB."""
    return -20 * math.log10(rms(spread * image + centre, photo) / RANGE)


# %%
masks, smooth = [pixels(share) for share in SHARES], [Matern32(1.0, 0.1)] * 2 + [Matern12(1.0, 1.0)]
starts = run(starts_of(masks, 5, smooth, 3), 15)
photo_cp = run(keep(starts, best_starts(starts.E_tau, 3)), 25)
photo_tucker = run(FunBaT(masks, 4, smooth, range(2), tucker=True), 15)
photo_als, _ = cp_als(masks, 5, 3)


# %% tags=["hide-input"]
def nearest_pixel(p: Problem) -> Array:
    """Each colour from its nearest observed pixel."""
    at, y = to_host(p.at), to_host(p.y)
    grid = np.mgrid[:SIDE, :SIDE]
    layers = [NearestNDInterpolator(at[:2, at[2] == c].T, y[at[2] == c])(*grid) for c in range(3)]
    return to_device(np.stack(layers, axis=-1))


def ceiling(R: int) -> float:
    """PSNR that no sum of R products can exceed, whatever it has seen."""
    unfolded = [xp.reshape(xp.moveaxis(photo - centre, k, 0), (SIDE, -1)) for k in range(2)]
    least = max(xp.sum(xp.linalg.svd(v, full_matrices=False)[1][R:] ** 2) for v in unfolded)
    return -20 * math.log10(math.sqrt(float(least) / photo.size) / RANGE)


# %%
pictures = {
    "FunBaT, CP": [mean_of(photo_cp, b) for b in range(2)],
    "FunBaT, Tucker": [mean_of(photo_tucker, b) for b in range(2)],
    "CP-ALS": [mean_of(photo_als, b) for b in range(2)],
    "nearest": [nearest_pixel(p) for p in masks],
}
dB = {name: [psnr(image) for image in images] for name, images in pictures.items()}
table([[name, *values] for name, values in dB.items()], ["method", "15 % observed", "5 % observed"],
    "Peak signal-to-noise ratio (dB) over all pixels; larger is better.")

# %% tags=["hide-input"]
alt = """Four pictures of an astronaut from 15 per cent of the numbers. The original; FunBaT and CP-ALS, blurred by horizontal and vertical
streaks, CP-ALS with more of them; the nearest pixel, blocky, but with a face that one recognises."""
caption = "The photograph from 15 % of its numbers. A face is not a sum of a few products of rows and columns."
with figure(2, 2, alt=alt, caption=caption, width=4.8, height=5.2) as axes:
    shown = {"original": (photo - centre) / spread} | {n: v[0] for n, v in pictures.items() if "Tucker" not in n}
    for ax, (name, image) in zip(axes.flat, shown.items(), strict=True):
        ax.imshow(np.clip(to_host(spread * image + centre) / RANGE, 0, 1))
        ax.set_title(name)
        ax.axis("off")

# %%
ahead = np.asarray(dB["FunBaT, CP"]) - dB["CP-ALS"]
behind = np.asarray(dB["nearest"]) - dB["FunBaT, CP"]
claims.check("C6.a", "15 % observed: PSNR of FunBaT less that of CP-ALS, both CP of rank 5", measured=ahead[0],
    at_least=3, unit="dB", own=True,
    not_reproduced="five products cannot draw it: even the best five are less than 3 dB above CP-ALS (C6.e)")
claims.check("C6.e", "the bound on five products, fitted to all numbers, less CP-ALS at 15 % observed",
    measured=ceiling(5) - dB["CP-ALS"][0], at_most=3, unit="dB", own=True)
claims.check("C6.f", "15 % observed: FunBaT is ahead of CP-ALS", measured=ahead[0], at_least=0.3, unit="dB",
    paper="better than discrete models")
claims.check("C6.b", "5 % observed: the same", measured=ahead[1], at_least=2, unit="dB", own=True)
claims.check("C6.c", "15 % observed: PSNR of the nearest pixel less that of FunBaT", measured=behind[0],
    between=(0.5, 4), unit="dB", own=True)
claims.report_value("C6.d", "5 % observed: PSNR of the nearest pixel less that of FunBaT", measured=behind[1],
    unit="dB", own=True)

# %% [markdown]
# ## Verdict
#
# The central claim holds. The state-space walk is exact, and low rank with smooth functions is more
# than either alone. With 13 entries per index the decomposition without neighbours has nothing to
# hold on to, and a Gaussian process on the coordinates has too few points for three dimensions.
# The same code with independent neighbours fails as well: it is the prior that helps, not the
# message passing. With four times as many entries CP-ALS catches up in part.
#
# Two details of the released configuration cost accuracy: $b_0=1$ invents noise where there is
# none, and $E[\tau]=1$ at the start loses most fits. $E[\tau]$ at the end tells which, without test
# data.
#
# On a photograph the limits show. We had expected a lead of 3 dB over CP-ALS; no sum of five
# products has one. To copy the nearest pixel is better while 15 per cent are observed. The tensors
# of the paper, smooth fields over space and time, are nearer to our random ones.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# Beijing air quality and US temperatures are not bundled, so Table 1 stands beside our ratios and
# is not repeated. The other competitors of the paper (stochastic variational Tucker and P-Tucker,
# functional tensor trains, neural and Gaussian-process factorisations) are not built again; our
# discrete competitors are CP-ALS and binned Tucker. The lengths and variances of the prior are
# given, not learned, and our random tensors are drawn from the very prior of the fit. The
# predictive variance leaves out the core's own uncertainty, as the code does. Ranks above 5 are
# not tried.
#
# With independent approximations for each mode the messages equal those of mean-field variational
# inference; the paper derives them by moment matching with conditional moments. We do not run the
# released code, only its equations.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes 200 indices for each mode and 4000 or 40 000 entries. For a million
# entries at rank 5 the products of all pairs of components, 625 numbers for each entry, would have
# to be summed in chunks; that is not part of it. Nothing here has been run on a GPU, and nothing
# at that scale.
