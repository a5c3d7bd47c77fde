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
# # Scale mixtures of neural network Gaussian processes
#
# ```{paper-card}
# ```
#
# A neural network with random weights is a random function, and when its layers become infinitely wide that
# function is a Gaussian process (GP). Gaussian tails are thin, and the width of a GP's error bars knows nothing of
# the targets: it depends on where the data lie and not on what they say. A model whose prior has the
# wrong scale is therefore confidently wrong, and never notices.
#
# {cite:t}`scale_mixture_nngp` repair this with one random number. Multiply the last layer by a
# random scale, drawn once for each network, and the limit is a *scale mixture* of Gaussian processes;
# with an inverse-gamma scale it is a Student-t process, heavy-tailed and nearly as easy to compute with. This chapter
# derives the limits, checks them on ensembles of finite networks, and then asks what the heavy tail buys when
# the data are not what the prior expected, and against which baseline.
#
# ## What the paper claims
#
# 1. **The limit.** A random scale on the last layer turns the infinite-width limit of a network from a
#    GP into a scale mixture of that GP. An inverse-gamma scale with parameters $\alpha, \beta$ gives a Student-t process
#    with $2\alpha$ degrees of freedom (the paper's first figure: 1000 networks with 3 × 512 units).
#    {claims}`C1.a, C1.b, C1.c`
# 2. **Training.** After gradient descent to convergence, of the last layer or of all layers, the ensemble's law
#    is again a scale mixture, centred at the regression mean of the network's covariance or of its
#    tangent kernel. {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. **Inference.** With an inverse gamma the posterior is in closed form, as easy as that of the GP. {claims}`C3`
# 4. **Regression.** The test likelihood is similar to that of the GP or better. We look at what the scale buys when the prior's is
#    wrong, and on data sets. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e`
# 5. **Other scales.** For other laws of the scale the posterior is found by importance sampling. {claims}`C5.a, C5.b, C5.c`
# 6. **Classification.** A stochastic variational bound serves classifiers; on corrupted or foreign
#    images the accuracy is similar and the likelihood better. {claims}`C6.a, C6.b, C6.c, C6.d, C6.e`
#
# Not tested here: the eight regression data sets and the images of the paper, its convolutional kernels, and
# the ensembles of finite classifiers.
#
# Our numbers rest on the official code, which we read in full, on the abstract and on secondary summaries; the body
# of the paper and its tables were not available to us. The theory below is derived here, and no
# number below is compared with a printed one.
#
# ## The idea
#
# **The network.** With inputs $x \in \mathbb R^d$, hidden layers of $n$ units with activation $\phi$, weights of standard deviation $w$
# and biases of standard deviation $b$,
#
# $$h^{(1)} = \tfrac{w}{\sqrt d}\,W^{(1)}x + b\,u^{(1)},\qquad
# h^{(l+1)} = \tfrac{w}{\sqrt n}\,W^{(l+1)}\phi(h^{(l)}) + b\,u^{(l+1)},\qquad
# f(x) = \tfrac{\sigma}{\sqrt n}\sum_{i=1}^n v_i\,\phi(h_i^{(L)}(x)),$$
#
# all entries of $W, u, v$ standard normal. Given the last hidden layer, $f$ is Gaussian with covariance
# $\sigma^2\,\tfrac1n\sum_i\phi_i(x)\phi_i(x')$, and as $n\to\infty$ that sum converges to the kernel $K(x, x')$ of the
# neural network Gaussian process (NNGP). So $f\mid\sigma^2\sim GP(0,\sigma^2K)$.
#
# **The mixture.** Now draw $\sigma^2$ once for each network. The scale does not touch the hidden layers, so whatever the
# architecture, the limit is $\int GP(0,\sigma^2K)\,p(\sigma^2)\,d\sigma^2$. Take $\sigma^2\sim IG(\alpha,\beta)$, of density
# $\propto(\sigma^2)^{-\alpha-1}e^{-\beta/\sigma^2}$. Then $\sigma = \sqrt{\beta/g}$ with $g\sim\mathrm{Gamma}(\alpha,1)$, a normal vector over
# the root of an independent gamma variable: the values of $f$ at any points are multivariate Student-t with
# $2\alpha$ degrees of freedom and shape matrix $\frac\beta\alpha K$. All values share one $g$; this sharing is the whole point, since it lets
# one part of the data inform us about the scale of the rest.
#
# **The posterior.** Let the noise have variance $\sigma^2\epsilon$, $\tilde K = K+\epsilon I$, and observe $y\in\mathbb R^n$. Given
# $\sigma^2$ this is ordinary regression, and the likelihood sees the scale through two numbers of the data only,
#
# ```{math}
# :label: scale-likelihood
# \log p(y\mid\sigma^2) = -\tfrac n2\log(2\pi\sigma^2)-\tfrac12\log\det\tilde K-\frac{q}{2\sigma^2},
# \qquad q = y^\top\tilde K^{-1}y .
# ```
#
# The inverse gamma is conjugate to it: $\sigma^2\mid y\sim IG(\alpha+\frac n2,\ \beta+\frac q2)$. The prediction at a new
# point is Student-t with $2\alpha+n$ degrees of freedom and
#
# ```{math}
# :label: scale-posterior
# m_* = K_*\tilde K^{-1}y,\qquad
# s_*^2 = \frac{\beta+q/2}{\alpha+n/2}\;v_*,\qquad v_* = k_{**}+\epsilon-K_*\tilde K^{-1}K_*^\top .
# ```
#
# The mean is the GP's. The error bar is the GP's times a factor that compares the data with the prior: $q/n$ is the
# maximum-likelihood value of $\sigma^2$, and for $n\gg2\alpha$ the factor is just that. This is the thing to remember when
# reading the experiments: with much data the *tail* is nearly Gaussian, and what remains of the benefit is a scale that has been
# learned.
#
# **Training.** Let gradient descent train the last layer alone until the squared error vanishes. The weights move in the span
# of the features at the data $X$, so the trained function is the initial one, corrected:
#
# ```{math}
# :label: scale-last-layer
# f_\infty(x) = f_0(x)+K_*K^{-1}\bigl(y-f_0(X)\bigr).
# ```
#
# Given $\sigma^2$ this has mean $K_*K^{-1}y$, free of $\sigma^2$, and covariance $\sigma^2(K_{**}-K_*K^{-1}K_*^\top)$: again a scale mixture. When all layers are
# trained the kernel in the correction is the tangent kernel $\Theta = \sigma^2\bar\Theta$ (in the parametrisation above), the scale cancels from
# $A=\Theta_*\Theta^{-1}$, and the covariance is $\sigma^2(K_{**}+AKA^\top-AK_{X*}-K_{*X}A^\top)$.
#
# ## The method in code

# %%
import math

import numpy as np
from scipy import special, stats
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

from gaussbook import data
from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.gp.cholesky import (
    add_to_diagonal,
    cholesky_inverse,
    jittered_cholesky,
    log_determinant,
    solve_triangular,
)
from gaussbook.gp.network import NeuralNetwork, erf
from gaussbook.logsumexp import log_sum_exp
from gaussbook.notebook import say
from gaussbook.optim import Adam
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims, xp = Claims("scale_mixture_nngp"), backend()


# %% [markdown]
# **Regression.** The kernel $K$ is the library's `NeuralNetwork`. Everything that a scale prior needs of the data is $m_*$, $v_*$ and
# the two numbers of equation {eq}`scale-likelihood`.

# %%
def condition(k, X: Array, y: Array, x: Array, eps: float) -> tuple:
    """m = K_* K~^-1 y, v = k_** + eps - K_* K~^-1 K_*', q = y' K~^-1 y, log det K~."""
    L, _ = jittered_cholesky(add_to_diagonal(k(X), eps))
    H, z = solve_triangular(L, k(X, x)), solve_triangular(L, y)
    v = k.diagonal(x) + eps - xp.sum(H * H, axis=0)
    return xp.matrix_transpose(H) @ z, v, float(z @ z), log_determinant(L)


# %% [markdown]
# The densities of the normal and the Student-t law, and of a mixture
# $\sum_j w_j\,N(m, \sigma_j^2 v)$, all in logarithms.

# %%
def log_normal(y: Array, m: Array, s2: Array) -> Array:
    """log N(y; m, s2)."""
    return -0.5 * ((y - m) ** 2 / s2 + xp.log(2 * math.pi * s2))


def log_student(y: Array, nu: float, m: Array, s2: Array) -> Array:
    """log of the Student-t density with nu degrees of freedom and squared scale s2."""
    constant = (
        math.lgamma((nu + 1) / 2) - math.lgamma(nu / 2) - 0.5 * math.log(nu * math.pi)
    )
    return (
        constant - 0.5 * xp.log(s2) - (nu + 1) / 2 * xp.log1p((y - m) ** 2 / (nu * s2))
    )


# %%
def log_mixture(y: Array, m: Array, v: Array, s2: Array, log_w: Array) -> Array:
    """log sum_j w_j N(y; m, s2_j v)."""
    parts = log_normal(y[:, None], m[:, None], s2 * v[:, None])
    return log_sum_exp(log_w + parts)


# %% [markdown]
# For a general prior $p(\sigma^2)$ the posterior weights of a set of scales follow from equation {eq}`scale-likelihood`. On an even grid of
# $t=\log\sigma^2$ they give a quadrature that is exact for all practical purposes. With $S$ draws from a proposal $r$ they are
# self-normalised importance weights, $w_j\propto p(\sigma_j^2)\,p(y\mid\sigma_j^2)/r(\sigma_j^2)$, whose quality the effective sample size $1/\sum_jw_j^2$
# measures. The second prior of the paper is the Burr XII law, $p(s)\propto s/(1+s^2)^2$ for its parameters $(2, 1)$.

# %%
def log_inverse_gamma(s2: Array, a: float, b: float) -> Array:
    """log IG(s2; a, b)."""
    return a * math.log(b) - math.lgamma(a) - (a + 1) * xp.log(s2) - b / s2


def log_burr(s2: Array) -> Array:
    """log of the Burr XII density 2 s / (1 + s^2)^2."""
    return math.log(2) + xp.log(s2) - 2 * xp.log1p(s2**2)


def posterior_weights(
    log_prior: Array, s2: Array, q: float, n: int, log_r: Array
) -> Array:
    """log w_j: prior times likelihood over proposal, normalised."""
    log_w = log_prior - n / 2 * xp.log(s2) - q / (2 * s2) - log_r
    return log_w - log_sum_exp(log_w)


# %%
def effective_size(log_w: Array) -> float:
    """1 / sum_j w_j^2."""
    return math.exp(-float(log_sum_exp(2 * log_w)))


line = xp.exp(
    xp.linspace(-15, 15, 4001)
)  # quadrature nodes: even in log s2, so r = 1 / s2


# %% [markdown]
# **Networks.** To look at an ensemble of finite networks at $P$ points we need not draw their $n\times n$ weights. Given the features
# $\phi\in\mathbb R^{n\times P}$ of a layer, the units of the next one are independent Gaussian vectors with covariance
# $b^2+\frac{w^2}n\phi^\top\phi$, exactly, at any width. Drawing these instead is the same law at a fraction $P/n$ of the random numbers,
# and is the proof of the limit in one line: as $n$ grows the covariance stops being random.

# %%
def features(x: Array, depth: int, w: float, b: float, n: int, M: int, rng) -> Array:
    """phi (M, n, P): last hidden layer of M networks with scalar inputs x (P,)."""
    F = xp.stack([w * x, xp.full(x.shape, b)], axis=-1)  # F F' is the covariance
    for _ in range(depth):
        h = rng.standard_normal((M, n, F.shape[-1])) @ xp.matrix_transpose(F)
        phi = erf(xp.astype(h, xp.float32))
        second = xp.astype(xp.matrix_transpose(phi) @ phi, xp.float64)
        F, _ = jittered_cholesky(b**2 + w**2 / n * second)
    return xp.astype(phi, xp.float64)


def initial_networks(phi: Array, alpha: float, rng) -> Array:
    """f = sigma / sqrt(n) v' phi with sigma^2 ~ IG(alpha, alpha): values (M, P)."""
    M, n, _ = phi.shape
    sigma = xp.sqrt(alpha / rng.gamma(alpha, size=M))
    v = rng.standard_normal((M, 1, n))
    return sigma[:, None] / math.sqrt(n) * (v @ phi)[:, 0, :]


# %% [markdown]
# ## Experiments
#
# ### The law of a random network
#
# The recipe is the paper's, with narrower layers and more networks: three hidden layers of erf units, $w=8$, $b=0.05$, $\alpha=\beta=2$. We evaluate 4000
# networks at four of 40 grid points on $[-\pi,\pi]$, divide by $\sqrt{K(x,x)}$ and compare with the law of $t_4$ by the Kolmogorov–Smirnov (KS) distance.
# A perfect sample exceeds $1.63/\sqrt M$ once in a hundred times. The rival is the normal law with the
# variance of $t_4$, which is 2.

# %%
M = scale(default=4000, paper=20_000)  # networks
n = scale(default=128, paper=512)  # units in each layer
seeds = range(5)
grid = xp.linspace(-math.pi, math.pi, 40)
points = grid[xp.asarray([21, 5, 13, 35])]
sd = xp.sqrt(NeuralNetwork(3, "erf", 1.0, 8.0**2, 0.05**2).diagonal(points))


def ks(u: Array, law) -> float:
    """Kolmogorov-Smirnov distance of a sample and a law."""
    return float(stats.kstest(to_host(u), law.cdf).statistic)


# %%
samples, values = [], []
for seed in seeds:
    rng = generator(seed)
    batches = [features(points, 3, 8.0, 0.05, n, 500, rng) for _ in range(M // 500)]
    f = xp.concat([initial_networks(phi, 2.0, rng) for phi in batches])
    samples.append(f / sd)
    values.append(f)
student, normal = stats.t(4), stats.norm(scale=math.sqrt(2))
rows = [
    [
        f"{float(x):.3f}",
        *(max(ks(u[:, i], law) for u in samples) for law in (student, normal)),
    ]
    for i, x in enumerate(points)
]
table(rows, ["Input x", "KS to t₄", "KS to the normal"], "Worst of five seeds.")

# %% tags=["hide-input"]
rivals = {"t₄": student, "normal": normal}
u = to_host(xp.concat([s[:, 0] for s in samples]))
x, far = np.linspace(-6, 6, 241), np.linspace(0, 9, 91)
beyond = [(abs(u) > c).mean() for c in far]

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: the histogram of network outputs follows the Student density, peaked in "
    "the middle, not the flatter normal one. Right: the share of networks beyond a "
    "distance follows the Student tail, a hundred times above the normal one at 6.",
    caption="Output of random networks at $x=0.242$ in units of $\\sqrt{K(x,x)}$. "
    "Left: density. Right: share of networks farther out than a distance.",
) as axes:
    axes[0].hist(u, bins=80, range=(-6, 6), density=True, color="#cccccc")
    axes[1].semilogy(far, beyond, "o", ms=3, color="#888888")
    for name, law in rivals.items():
        axes[0].plot(x, law.pdf(x), label=name)
        axes[1].semilogy(far, 2 * law.sf(far))
    axes[0].set(xlabel="f(x) / √K(x, x)", ylabel="density")
    axes[1].set(xlabel="distance", ylabel="share beyond", ylim=(3e-5, 1.2))
    axes[0].legend(loc="upper right")

# %%
bound = 1.63 / math.sqrt(M)
claims.check(
    "C1.a",
    "seeds in which the KS distance to t₄ is below 1.63/√M",
    measured=sum(ks(u[:, 0], student) < bound for u in samples),
    at_least=4,
    unit="of 5",
    seeds=5,
)
claims.check(
    "C1.b",
    "KS distance to the normal law of equal variance, smallest of the seeds",
    measured=min(ks(u[:, 0], normal) for u in samples),
    at_least=0.035,
    seeds=5,
)

# %% [markdown]
# That all values of one network share *one* scale is a statement about pairs. Decorrelated by the Cholesky factor of $K$, the values at
# different points are $u_i = z_i/\sqrt g$ with independent normal $z_i$. Independent Student-t values would leave $\log|u_i|$ and
# $\log|u_j|$ uncorrelated; a shared $g\sim\mathrm{Gamma}(2, 1)$ correlates them by
#
# $$\rho = \frac{\tfrac14\psi'(2)}{\tfrac14\psi'(2)+\tfrac{\pi^2}8} = 0.116,$$
#
# because $\log|z|$ has the variance $\pi^2/8$ and $\log g$ the variance $\psi'(2)$, the trigamma function.

# %%
L, _ = jittered_cholesky(NeuralNetwork(3, "erf", 1.0, 8.0**2, 0.05**2)(points))
u = solve_triangular(L, xp.matrix_transpose(xp.concat(values)))
correlations = xp.corrcoef(xp.log(xp.abs(u)))
shared = special.polygamma(1, 2) / 4
claims.check(
    "C1.c",
    "decorrelated values of a network: correlation of log|u| at two points, mean of six pairs",
    measured=float(xp.sum(correlations) - 4) / 12,
    equals=float(shared / (shared + math.pi**2 / 8)),
    within=0.03,
    seeds=5,
)


# %% [markdown]
# The normal law misses both the peak and the tail. With 128 units in each layer the ensemble is $t_4$ to the accuracy of 4000 draws, though the
# 20 000 draws of the figure lie a little above its tail near 6: a kernel that still fluctuates from network to network is one more random scale.
#
# ### Training the last layer
#
# Equation {eq}`scale-last-layer` also holds for a finite network, with the kernel of its own features. We train 2000 networks this way on five noisy
# values of a sine and divide what they predict, less $K_*K^{-1}y$, by $\sqrt{v}$; the limit says $t_4$. A small ridge stands for the last bit of training.

# %%
def train_last_layer(phi: Array, y: Array, alpha: float, rng) -> Array:
    """f_0(x) + K_* (K + 1e-4 I)^-1 (y - f_0(X)); the first len(y) points are X."""
    m, f = len(y), initial_networks(phi, alpha, rng)
    K = xp.matrix_transpose(phi) @ phi / phi.shape[1]
    ridge = K[:, :m, :m] + 1e-4 * xp.eye(m)
    change = K[:, m:, :m] @ xp.linalg.solve(ridge, (y - f[:, :m])[..., None])
    return f[:, m:] + change[..., 0]


def sine_data(rng) -> tuple[Array, Array]:
    """Five points on [-pi, pi] and sin(x) with noise of standard deviation 0.1."""
    X = math.pi * (2 * xp.arange(5) - 4) / 5
    return X, xp.sin(X) + 0.1 * rng.standard_normal(5)


# %%
def trained_law(k, theta, X: Array, y: Array, x: Array) -> tuple[Array, Array]:
    """Mean A y, A = T_* T^-1, and the diagonal of K_** + A K A' - 2 A K_X* at x."""
    A = xp.matrix_transpose(xp.linalg.solve(theta(X), theta(X, x)))
    v = k.diagonal(x) + xp.sum(A * (A @ k(X) - 2 * k(x, X)), axis=1)
    return A @ y, v


# %% [markdown]
# The specification of this test leaves the weights open. We first took those of the experiment above, $b=0.05$, and met a surprise: with a one-dimensional
# input and almost no bias, erf units of gain 8 see little more than the sign of $x$. The table shows what that does.

# %%
M2, n2 = scale(default=2000, paper=8000), scale(default=256, paper=1024)
rows, trained = [], {}
for b in (0.05, 4.0):
    rng = generator(0)
    X, y = sine_data(rng)
    k = NeuralNetwork(2, "erf", 1.0, 8.0**2, b**2)
    mean, v = trained_law(k, k, X, y, grid)
    every = xp.concat([X, grid])
    f = xp.concat(
        [
            train_last_layer(features(every, 2, 8.0, b, n2, 250, rng), y, 2.0, rng)
            for _ in range(M2 // 250)
        ]
    )
    trained[b] = f, mean, v
    eigenvalues = xp.linalg.eigvalsh(k(X))
    u = ((f - mean) / xp.sqrt(v))[:, xp.asarray([10, 21])]
    left = math.exp(-4 * float(eigenvalues[0]))
    distances = [ks(u[:, i], student) for i in (0, 1)]
    rows.append([f"{b:g}", float(eigenvalues[-1] / eigenvalues[0]), left, *distances])

# %%
table(
    rows,
    [
        "b",
        "Condition of K",
        "Left of the slowest mode",
        "KS at x = −1.53",
        "KS at x = 0.242",
    ],
    "Last-layer training with two bias scales; third column: the share of the error "
    "along the slowest direction that is left after 10⁴ steps of size 10⁻³ "
    "(with σ = 1).",
)

# %% [markdown]
# With $b=0.05$ the matrix $K$ of the five points is so ill-conditioned that the fluctuation of the finite kernel, of order $1/\sqrt n$, dwarfs its
# smallest eigenvalues, and at this width the ensemble misses the limit (2000 draws would allow a distance of 0.036). The third column adds that the official notebook's $10^4$ steps
# of size $10^{-3}$ on a mean squared error, which shrink the error along an eigenvector as $e^{-4\lambda\sigma^2}$, would leave the slowest
# mode untouched; "trained to convergence" needs the closed form. We go on with $b=4$, where the question can be answered. The
# worst of ten distances (two points, five seeds) exceeds $1.95/\sqrt M$ once in a hundred times by chance.

# %%
k = NeuralNetwork(2, "erf", 1.0, 8.0**2, 4.0**2)
worst = []
for seed in seeds:
    rng = generator(seed)
    X, y = sine_data(rng)
    x = grid[xp.asarray([10, 21])]
    mean, v = trained_law(k, k, X, y, x)
    phi = features(xp.concat([X, x]), 2, 8.0, 4.0, n2, M2, rng)
    u = (train_last_layer(phi, y, 2.0, rng) - mean) / xp.sqrt(v)
    worst.append(max(ks(u[:, i], student) for i in (0, 1)))
f, mean, _ = trained[4.0]
claims.check(
    "C2.a",
    "last layer trained: KS distance to t₄ at two points, worst of the seeds",
    measured=max(worst),
    at_most=1.95 / math.sqrt(M2),
    seeds=5,
)
claims.check(
    "C2.b",
    "last layer trained: correlation of the ensemble's mean with the regression mean",
    measured=float(xp.corrcoef(xp.mean(f, axis=0), mean)[0, 1]),
    at_least=0.98,
)


# %% [markdown]
# ### Training all layers
#
# Now gradient descent on every weight and bias of networks with one hidden layer, $\alpha=\beta=1$ as in the paper, so that the
# limit is a $t_2$. Since $\Theta\propto\sigma^2$, each network needs its own step, $\frac12/(\sigma^2\lambda_{\max}(\bar\Theta))$. All networks are trained at once, in
# single precision, and those whose errors have fallen below $10^{-3}$ leave the batch.

# %%
def network(p: tuple, x: Array) -> tuple[Array, Array, Array]:
    """f = sigma / sqrt(n) erf(h) v, h = w x W' + b u'; returns f, erf(h), h."""
    sigma, W, u, v = p
    h = 8.0 * x[:, None] * W[:, None, :] + 4.0 * u[:, None, :]
    phi = erf(h)
    f = sigma / math.sqrt(W.shape[1]) * (phi @ v[..., None])[..., 0]
    return f, phi, h


def descend(p: tuple, X: Array, y: Array, step: Array) -> tuple[tuple, Array]:
    """One step of descent on half the squared error; the largest error before it."""
    sigma, W, u, v = p
    f, phi, h = network(p, X)
    gain = step * sigma / math.sqrt(W.shape[1])
    error = gain * (y - f)
    inputs = 2 / math.sqrt(math.pi) * xp.stack([8.0 * X * error, 4.0 * error], axis=1)
    back = inputs @ xp.exp(-h * h)  # for W and for u, still without v
    W_new, u_new = W + back[:, 0, :] * v, u + back[:, 1, :] * v
    moved = (sigma, W_new, u_new, v + (error[:, None, :] @ phi)[:, 0, :])
    return moved, xp.max(xp.abs(y - f), axis=1)


# %%
def train_all(M: int, n: int, X: Array, y: Array, top: float, rng) -> tuple:
    """Train M networks until every error is below 1e-3; returns their parameters."""
    sigma = xp.sqrt(1 / rng.gamma(1.0, size=(M, 1)))
    p = (sigma, *(rng.standard_normal((M, n)) for _ in range(3)))
    p = tuple(xp.astype(a, xp.float32) for a in p)
    X, y, done = xp.astype(X, xp.float32), xp.astype(y, xp.float32), []
    while len(p[0]):
        step = 0.5 / (p[0] ** 2 * top)
        for _ in range(20):
            p, largest = descend(p, X, y, step)
        ready = largest < 1e-3
        done.append(tuple(a[ready, ...] for a in p))
        p = tuple(a[~ready, ...] for a in p)
    trained = (xp.concat(parts) for parts in zip(*done, strict=True))
    return tuple(xp.astype(a, xp.float64) for a in trained)


# %% [markdown]
# A $t_2$ law has no variance, so the plain mean of an ensemble settles slowly and erratically. But the conditional mean does not depend on $\sigma^2$, so the
# average with weights $1/\sigma^2$ estimates the same function with a finite error. We show both.

# %%
k = NeuralNetwork(1, "erf", 1.0, 8.0**2, 4.0**2)
M3, n3 = scale(default=300, paper=1000), scale(default=256, paper=2048)


def ensemble(n: int, seed: int) -> tuple:
    """Functions of M3 trained networks, their weighted mean, the limit, and sd(y)."""
    rng = generator(seed)
    X, y = sine_data(rng)
    top = float(xp.linalg.eigvalsh(k.tangent(X))[-1])
    p = train_all(M3, n, X, y, top, rng)
    f, weight = network(p, grid)[0], 1 / p[0] ** 2
    centre = xp.sum(weight * f, axis=0) / xp.sum(weight)
    return f, centre, *trained_law(k, k.tangent, X, y, grid), float(xp.std(y))


def rms(x: Array) -> float:
    """Root mean square over the grid."""
    return float(xp.sqrt(xp.mean(x**2)))


# %%
rows, full = [], []
for n, seed in progress(
    [(n3 // 4, 0), *((n3, s) for s in range(3))], "trained ensembles"
):
    f, centre, mean, v, spread = ensemble(n, seed)
    errors = [rms(e - mean) / spread for e in (xp.mean(f, axis=0), centre)]
    u = (f - mean) / xp.sqrt(v)
    share = float(xp.mean(xp.astype(xp.abs(u) > 4, xp.float64)))
    distance = np.median([ks(u[:, i], stats.t(2)) for i in range(len(grid))])
    rows.append([str(n), str(seed), *errors, 100 * share, distance])
    full.append((f, mean, v))
rows.append(["limit", "–", 0.0, 0.0, 200 * float(stats.t(2).sf(4)), 0.0])
table(
    rows,
    ["Width", "Seed", "Mean", "Weighted mean", "Beyond 4 (%)", "Median KS to t₂"],
    "All layers trained. Errors of two estimates of the mean (RMS over the grid, units "
    "of sd(y)), share of values beyond four scales, and KS distance to the limit.",
)

# %%
rows = rows[1:4]  # the three seeds of the wide networks
claims.check(
    "C2.c",
    "all layers trained: RMS of weighted mean less tangent-kernel mean, worst seed",
    measured=max(r[3] for r in rows),
    at_most=0.1,
    unit="sd(y)",
    seeds=3,
)
claims.check(
    "C2.d",
    "all layers trained: share beyond 4 scales over that of t₂ (t₄ has 0.28, a normal law 0.001)",
    measured=np.mean([r[4] for r in rows]) / (200 * float(stats.t(2).sf(4))),
    at_least=0.45,
    seeds=3,
    spread=np.std([r[4] for r in rows], ddof=1) / (200 * float(stats.t(2).sf(4))) / math.sqrt(3),
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Two panels of functions through five points of a sine. Bands of the "
    "ensembles, which pinch at the data, agree with the limits drawn as lines; for "
    "full training the ensemble's band is a little narrower.",
    caption="Trained ensembles (shaded: the middle 50 % and 90 %) and the quantiles of "
    "their infinite-width limit (lines). Left: last layer trained. Right: all layers "
    "trained.",
    sharey=True,
) as axes:
    cases = [(trained[4.0], 4, "last layer"), (full[1], 2, "all layers")]
    for ax, ((f, mean, v), nu, name) in zip(axes, cases, strict=True):
        values, m, s, x = to_host(f), to_host(mean), to_host(xp.sqrt(v)), to_host(grid)
        for level, alpha in ((0.9, 0.2), (0.5, 0.35)):
            low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
            ax.fill_between(x, low, high, color=PALETTE["blue"], alpha=alpha, lw=0)
            for sign in (-1, 1):
                edge = m + sign * stats.t(nu).ppf((1 + level) / 2) * s
                ax.plot(x, edge, color=PALETTE["vermilion"], lw=1)
        ax.plot(*map(to_host, sine_data(generator(0))), "o", color="#000000")
        ax.set(xlabel="input x", ylabel="f(x)", title=name, ylim=(-3, 3))

# %% [markdown]
# After last-layer training the ensemble and the limit coincide. After full training the heavy tail is there and the centre is right (C2.c), but the
# spread at width 256 is a little smaller than the limit's: there are fewer values beyond four scales, and the KS distance is
# above the 0.094 that chance allows. At width 64 both the centre and the law are farther off, so this
# is the finite width at work: the tangent kernel of a network with 256 units is itself random, and moves during training.
#
# ### The posterior, and how well its scale adapts
#
# What the limits are for is inference without any network. First the check that equation {eq}`scale-posterior` is right, against the mixture
# $\int N(y;m_*,\sigma^2v_*)\,p(\sigma^2\mid y)\,d\sigma^2$ by quadrature, from the centre of the prediction to 40 scales out. The data are a sine with 30 points,
# multiplied by $c$, noise included; the model always expects $c\approx1$.

# %%
kernel, eps = NeuralNetwork(3, "erf", 1.0, 2.0**2, 0.05), 0.01
alpha = beta = 2.0


def wave(seed: int) -> tuple:
    """30 training and 50 test points of sin(2x) + 0.1 noise on [-pi, pi]."""
    rng = generator(seed)
    x = rng.uniform(-math.pi, math.pi, 80)
    y = xp.sin(2 * x) + 0.1 * rng.standard_normal(80)
    return x[:30], y[:30], x[30:], y[30:]


# %%
X, y, x, _ = wave(0)
difference = 0.0
for c in (0.2, 1.0, 5.0):
    m, v, q, _ = condition(kernel, X, c * y, x, eps)
    a, b = alpha + 15, beta + q / 2
    log_w = posterior_weights(
        log_inverse_gamma(line, alpha, beta), line, q, 30, -xp.log(line)
    )
    for z in (0.0, 1.0, 5.0, 40.0):
        at = m + z * xp.sqrt(b / a * v)
        closed = log_student(at, 2 * a, m, b / a * v)
        gap = closed - log_mixture(at, m, v, line, log_w)
        difference = max(difference, float(xp.max(xp.abs(gap))))
claims.check(
    "C3",
    "closed form against quadrature: largest difference of the log-densities",
    measured=difference,
    at_most=1e-6,
    unit="nats",
)


# %% [markdown]
# Now the question of the chapter: what happens when the data are $c$ times larger or smaller than the prior expects? The negative log-likelihood (NLL) of
# 50 test points is compared for the GP with $\sigma^2=1$, the inverse gamma $IG(2,2)$, the Burr XII law by quadrature, and one more model that the paper's
# comparison lacks: a GP whose $\sigma^2$ is set to its maximum-likelihood value $q/n$, the cheapest cure one could think of.

# %%
def scores(m: Array, v: Array, q: float, n: int, t: Array) -> dict[str, float]:
    """Mean NLL of the test targets t under each scale."""
    a, b = alpha + n / 2, beta + q / 2
    log_w = posterior_weights(log_burr(line), line, q, n, -xp.log(line))
    densities = {
        "GP, σ² = 1": log_normal(t, m, v),
        "GP, σ² by maximum likelihood": log_normal(t, m, q / n * v),
        "inverse gamma": log_student(t, 2 * a, m, b / a * v),
        "Burr XII": log_mixture(t, m, v, line, log_w),
    }
    return {name: -float(xp.mean(d)) for name, d in densities.items()}


# %%
factors = [0.2, 0.35, 0.6, 1.0, 1.7, 3.0, 5.0]
waves = range(20)
nll = {}
for seed in waves:
    X, y, x, t = wave(seed)
    m, v, q, _ = condition(kernel, X, y, x, eps)
    for c in factors:
        for name, value in scores(c * m, v, c**2 * q, 30, c * t).items():
            nll.setdefault(name, {}).setdefault(c, []).append(value)
rows = [
    [name, *(np.mean(by_c[c]) for c in (0.2, 1.0, 5.0))] for name, by_c in nll.items()
]
columns = ["Scale", "c = 0.2", "c = 1", "c = 5"]
table(rows, columns, "Test NLL (nats for each point), mean of 20 seeds.")

# %% tags=["hide-input"]
X, y, x, t = wave(1)
far = xp.linspace(-math.pi, math.pi, 300)
m, v, q, _ = condition(kernel, X, 5 * y, far, eps)
factor = (beta + q / 2) / (alpha + 15)
widths = [factor**0.5 * stats.t(34).ppf(0.975), 1.96]
names = "inverse gamma", "GP, σ² = 1"
data_1, test_1 = [[to_host(a) for a in pair] for pair in ((X, 5 * y), (x, 5 * t))]
centre, spread, far = to_host(m), to_host(xp.sqrt(v)), to_host(far)
reference = nll["inverse gamma"]
excess = {
    name: [np.mean(by_c[c]) - np.mean(reference[c]) for c in factors]
    for name, by_c in nll.items()
}

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: at c = 5 the narrow Gaussian band misses many test points between the "
    "data while the Student band covers them. Right: the NLL of the fixed GP explodes "
    "as c grows, while inverse gamma, Burr and maximum likelihood lie on one line.",
    caption="Left: 95 % bands of the GP with $\\sigma^2 = 1$ and of the Student-t "
    "process at $c=5$. Right: test NLL less that of the inverse gamma, against the "
    "factor $c$.",
) as axes:
    for width, name, opacity in zip(widths, names, (0.3, 0.6), strict=True):
        low, high = centre - width * spread, centre + width * spread
        axes[0].fill_between(far, low, high, alpha=opacity, lw=0, label=name)
    axes[0].plot(*data_1, "o", ms=3, color="#000000", label="data")
    axes[0].plot(*test_1, "x", ms=4, color=PALETTE["vermilion"], label="test")
    axes[0].set(xlabel="input x", ylabel="target", ylim=(-13, 13))
    axes[0].legend(ncols=2, loc="upper center")
    for name, values in excess.items():
        axes[1].plot(factors, values, "o-", ms=3, label=name)
    axes[1].set(xlabel="factor c", ylabel="NLL less that of IG (nats)", xscale="log")
    axes[1].set_yscale("symlog", linthresh=0.1)
    axes[1].minorticks_off()
    axes[1].set_xticks(factors, labels=[f"{c:g}" for c in factors])
    axes[1].legend(fontsize="x-small")


# %%
def gap(first: str, second: str, c: float) -> np.ndarray:
    """NLL of the first less that of the second, for each seed."""
    return np.asarray(nll[first][c]) - np.asarray(nll[second][c])


for letter, c, least in (("a", 5.0, 20), ("b", 1.0, 1)):
    claims.check(
        f"C4.{letter}",
        f"c = {c:g}: NLL of the GP with σ² = 1 less that of the inverse gamma, mean",
        measured=gap("GP, σ² = 1", "inverse gamma", c).mean(),
        at_least=least,
        unit="nats",
        seeds=20,
    )
claims.check(
    "C4.c",
    "c = 5: NLL of inverse gamma against that of the best σ², worst difference",
    measured=abs(gap("inverse gamma", "GP, σ² by maximum likelihood", 5.0)).max(),
    at_most=0.5,
    unit="nats",
    seeds=20,
)

# %%
saved = [gap("GP, σ² = 1", "inverse gamma", c).mean() for c in (5.0, 1.0)]
fitted = gap("GP, σ² by maximum likelihood", "inverse gamma", 5.0).mean()
say(f"""The random scale saves {saved[0]:.0f} nats for each test point where the fixed one is off by a factor of
five, and {saved[1]:.1f} even where it is right on average. But the plain GP with a fitted σ² saves just as much: it is
{fitted:.3f} nats worse.""")


# %% [markdown]
# What is bought is the scale; the *tail* matters little, because 30 targets already
# leave a $t_{34}$. The Burr law, whose prior is quite different, gives the same NLL for the same reason.
#
# ### Importance sampling from the prior, and a better proposal
#
# For scales without a closed form the official code draws $S=1000$ scales from the *prior* and weighs them by the likelihood. That works
# when prior and posterior overlap. The conjugate posterior $IG(\alpha+\frac n2,\beta+\frac q2)$ is at hand as a proposal for any other prior and costs
# nothing.

# %%
def burr_draws(S: int, rng) -> Array:
    """Burr XII draws by inversion: s = sqrt(U / (1 - U))."""
    U = rng.random(S)
    return xp.sqrt(U / (1 - U))


# %%
rows = []
for c in (0.2, 1.0, 5.0):
    sizes, values = [], []
    for seed in waves:
        X, y, x, t = wave(seed)
        m, v, q, _ = condition(kernel, X, c * y, x, eps)
        rng, a, b = generator(seed), alpha + 15, beta + q / 2
        prior, conjugate = burr_draws(1000, rng), b / rng.gamma(a, size=1000)
        proposals = (
            (prior, log_burr(prior)),
            (conjugate, log_inverse_gamma(conjugate, a, b)),
        )
        weights = [posterior_weights(log_burr(s), s, q, 30, r) for s, r in proposals]
        sizes.append([effective_size(w) for w in weights])
        pairs = zip((prior, conjugate), weights, strict=True)
        values.append(
            [-float(xp.mean(log_mixture(c * t, m, v, s, w))) for s, w in pairs]
        )
    exact = nll["Burr XII"][c]
    error = np.max(abs(np.asarray(values) - np.asarray(exact)[:, None]), axis=0)
    averages = [np.mean(exact), *np.mean(values, axis=0), *np.mean(sizes, axis=0)]
    rows.append([f"{c:g}", *averages, *error])

# %%
table(
    rows,
    ["c", "NLL, exact", "NLL, prior", "NLL, conjugate",
     "Draws, prior", "Draws, conjugate",
     "Error, prior", "Error, conjugate"],
    "Burr XII scale by importance sampling with 1000 draws from its prior or from the "
    "conjugate posterior: means of 20 seeds of the NLL and of the effective number of "
    "draws; last, the largest error of the NLL in a seed.",
)  # fmt: skip

# %%
sizes = np.asarray(sizes)  # at c = 5, like the errors
claims.check(
    "C5.a",
    "c = 5: effective number of draws from the prior, of 1000, largest of the seeds",
    measured=sizes[:, 0].max(),
    at_most=5,
    seeds=20,
)
claims.check(
    "C5.b",
    "c = 5: effective number of draws from the conjugate posterior, smallest",
    measured=sizes[:, 1].min(),
    at_least=500,
    seeds=20,
)
claims.check(
    "C5.c",
    "c = 5: NLL by conjugate proposal against quadrature, worst difference",
    measured=error[1],
    at_most=0.01,
    unit="nats",
    seeds=20,
)


# %% [markdown]
# At $c=5$ one draw of the thousand carries all the weight: the prior sampler reports the NLL of its largest draw. Nothing in its output warns of
# that except the effective sample size, which should therefore always be shown. The conjugate proposal keeps all its draws, and not by accident: for
# large scales the densities of Burr XII(2, 1) and $IG(2,2)$ both fall like $\sigma^{-6}$, so at $c=5$ the two posteriors are nearly the same law. At
# $c=0.2$, where the priors differ, fewer draws remain.
#
# ### Formulas that look right
#
# The repository holds several slips that a reader who starts from it should know. Its figure notebook takes
# $\nu=2\alpha+n$ *and* divides by $\nu+n$, which counts the data twice (and forgets $\alpha/\beta$ in the quadratic form, which is invisible for
# $\alpha=\beta$). Its regression test drops $\epsilon$ from $q$, keeping only a jitter of $10^{-6}$. Its sampler of multivariate $t$ values multiplies *independent* $t$
# coordinates by a Cholesky factor, instead of dividing one normal vector by one common root. (Besides, its GP predicts with a regulariser relative to the mean
# of the diagonal, but trains with an absolute one.) What do they cost?

# %%
def coverage(m: Array, v: Array, factor: float, nu: float, t: Array) -> float:
    """Share of test targets inside the 95 % band of a prediction, in per cent."""
    inside = xp.abs(t - m) < float(stats.t(nu).ppf(0.975)) * xp.sqrt(factor * v)
    return 100 * float(xp.mean(xp.astype(inside, xp.float64)))


# %%
covered = {"equation above": {}, "data counted twice": {}, "noise missing from q": {}}
for seed in waves:
    X, y, x, t = wave(seed)
    m, v, q, _ = condition(kernel, X, y, x, eps)
    q_bare = condition(kernel, X, y, x, 1e-6)[2]
    for c in (0.2, 1.0, 5.0):
        q_c, bare = c**2 * q, c**2 * q_bare
        shares = [(4 + q_c) / 34, (4 + 30 + q_c) / (4 + 60), (4 + bare) / 34]
        for by_c, factor in zip(covered.values(), shares, strict=True):
            by_c.setdefault(c, []).append(coverage(c * m, v, factor, 34, c * t))
rows = [
    [name, *(np.mean(by_c[c]) for c in (0.2, 1.0, 5.0))]
    for name, by_c in covered.items()
]
table(
    rows,
    ["Formula", "c = 0.2", "c = 1", "c = 5"],
    "Coverage of the 95 % band (%), 20 seeds.",
)

# %%
rng = generator(0)
K = NeuralNetwork(2, "erf", 1.0, 8.0**2, 4.0**2)(grid[xp.asarray([2, 13, 25, 37])])
L, _ = jittered_cholesky(K)
Z, g = rng.standard_normal((100_000, 4)), rng.gamma(2.0, size=(100_000, 4)) / 2
draws = {
    "one root for each draw": (Z @ xp.matrix_transpose(L)) / xp.sqrt(g[:, :1]),
    "independent coordinates": (Z / xp.sqrt(g)) @ xp.matrix_transpose(L),
}
rows = []
for name, f in draws.items():
    u = f / xp.sqrt(xp.linalg.diagonal(K))
    extreme = xp.astype(xp.min(xp.abs(u), axis=1) > 3, xp.float64)
    rows.append([name, ks(u[:, 3], student), 1000 * float(xp.mean(extreme))])
table(
    rows,
    ["Sampler", "KS of the last value to t₄", "All four beyond 3 (per 1000)"],
    "Two ways to draw four values of a Student-t process, 100 000 draws.",
)

# %% [markdown]
# Counting the data twice spoils the coverage in both directions: too wide where the data are small, too narrow where they are large, which is
# just where the scale should help. Without $\epsilon$ in $q$ the noise is read as signal of enormous scale and the band covers everything. Independent coordinates
# give values that are not $t_4$ one by one (their weighted sum is closer to normal), and they lose the common scale: it is much rarer that
# all values are extreme together.
#
# ### Real data: diabetes, and two synthetic series
#
# On real regression data the honest rival is a GP whose scale is fitted. We take scikit-learn's diabetes data (442 patients, ten variables), ten random splits of 80 %
# training, 10 % validation (not needed here) and 10 % test, and networks with four hidden layers. Activation, $w$, $b$ and $\epsilon$ are chosen by the
# evidence, together with $\sigma^2$ for the GP (maximised by $\hat\sigma^2=q/n$) or $\alpha,\beta$ for the Student-t process, of the marginal likelihoods
#
# $$\log p(y) = -\tfrac n2\log(2\pi\hat\sigma^2)-\tfrac12\log\det\tilde K-\tfrac n2
# \quad\text{or}\quad
# \log\frac{\Gamma(\alpha+\frac n2)\,\beta^\alpha}{\Gamma(\alpha)\,(\beta+\frac q2)^{\alpha+n/2}}-\tfrac12\log\det\tilde K-\tfrac n2\log2\pi .$$
#
# With one eigendecomposition $K = U\Lambda U^\top$ for each kernel every $\epsilon$ is free. The same decomposition serves the targets with and without outliers.

# %%
ratios = 10.0 ** np.arange(-6, 4.5, 0.5)  # eps
priors = [(a, b) for a in (1.0, 2.0, 3.0) for b in (1.0, 2.0, 3.0)]


def evidences(q: np.ndarray, logdet: np.ndarray, n: int) -> dict:
    """Log evidence of each eps (rows) and scale (columns): fixed, fitted and random."""
    two_pi = math.log(2 * math.pi)
    fixed = -0.5 * (n * two_pi + logdet + q)
    fitted = -0.5 * (n * (two_pi + np.log(q / n)) + logdet + n)
    student = [
        special.gammaln(a + n / 2) - special.gammaln(a) + a * math.log(b)
        - (a + n / 2) * np.log(b + q / 2) - 0.5 * (logdet + n * two_pi)
        for a, b in priors
    ]  # fmt: skip
    return {
        "GP, σ² = 1": fixed[:, None],
        "GP, σ² by evidence": fitted[:, None],
        "inverse gamma": np.stack(student, axis=1),
    }


# %%
def log_density(name: str, j: int, t, m, v, q: float, n: int):
    """Predictive log-density of the chosen scale."""
    if name == "inverse gamma":
        a, b = priors[j][0] + n / 2, priors[j][1] + q / 2
        return log_student(t, 2 * a, m, b / a * v)
    return log_normal(t, m, v * (q / n if "evidence" in name else 1.0))


# %%
def regress(kernels: list, y: Array, train: Array, test: Array, t: Array) -> dict:
    """Test NLL of each model, each with the hyper-parameters of most evidence."""
    best, n = {}, len(train)
    for K, cross, variance in kernels:  # cross: covariances of each kind of test input
        eigenvalues, U = xp.linalg.eigh(K[train, :][:, train])
        z = xp.matrix_transpose(U) @ y
        total = to_host(eigenvalues)[None, :] + ratios[:, None]
        q = np.sum(to_host(z) ** 2 / total, axis=1)
        for name, e in evidences(q, np.sum(np.log(total), axis=1), n).items():
            i, j = np.unravel_index(np.argmax(e), e.shape)
            if e[i, j] <= best.get(name, (-math.inf,))[0]:
                continue
            out = []
            for C, k in zip(cross, variance, strict=True):
                H = C[test, :][:, train] @ U
                weights = 1 / to_device(total[i])
                v = k[test] + ratios[i] - xp.sum(H * H * weights, axis=1)
                out.append(
                    -float(
                        xp.mean(log_density(name, j, t, H @ (weights * z), v, q[i], n))
                    )
                )
            best[name] = (e[i, j], out)
    return {name: out for name, (_, out) in best.items()}


# %%
def networks(x: Array, shift: Array | None = None) -> list:
    """Covariances of all points for each network: with themselves, and shifted."""
    inputs = [x] if shift is None else [x, x + shift]
    widths = [(w, b) for w in (1.0, 1.4, 2.0) for b in (0.3, 1.0)]
    every = [
        NeuralNetwork(4, act, 1.0, w**2, b**2)
        for act in ("relu", "erf")
        for w, b in widths
    ]
    return [
        (k(x), [k(i, x) for i in inputs], [k.diagonal(i) for i in inputs])
        for k in every
    ]


def split(n: int, rng) -> tuple[Array, Array]:
    """80 % training and 10 % test indices; the 10 % of validation stay aside."""
    order = rng.permutation(n)
    return order[: int(0.8 * n)], order[int(0.9 * n) :]


def standardise(y: Array, train: Array) -> Array:
    """Targets in units of the training targets."""
    return (y - xp.mean(y[train])) / xp.std(y[train])


# %% [markdown]
# The targets are clean, or 5 % of the training targets are replaced by draws of a $t_1$ (Cauchy) law, or each test input is moved by one
# standard deviation in every variable. The synthetic series are those of the repository, each drawn anew for each split: a Gaussian process of length-scale 1 on
# unit-spaced points, 300 of them with noise of $0.8\,t_1$, or 100 with Gaussian noise of standard deviation 0.2; the latter also with one
# test target moved far away.

# %%
def table_inputs(x: Array) -> Array:
    """Inputs with mean 0 and standard deviation 1 in every column."""
    return (x - xp.mean(x, axis=0)) / xp.std(x, axis=0)


results = {}
diabetes = data.table("diabetes")
x, target = table_inputs(to_device(diabetes.data)), to_device(diabetes.target)
kernels = networks(x, xp.ones(10))
for seed in progress(range(10), "diabetes"):
    rng = generator(seed)
    train, test = split(len(target), rng)
    y = standardise(target, train)
    outlier = rng.random(len(train)) < 0.05
    spoilt = xp.where(outlier, rng.standard_t(1, len(train)), y[train])
    for name, values in regress(kernels, y[train], train, test, y[test]).items():
        results.setdefault(("diabetes", name), []).append(values[0])
        results.setdefault(("diabetes, shifted inputs", name), []).append(values[1])
    plain = [(K, C[:1], v[:1]) for K, C, v in kernels]
    for name, values in regress(plain, spoilt, train, test, y[test]).items():
        results.setdefault(("diabetes, outliers", name), []).append(values[0])


# %%
def series(n: int, rng) -> Array:
    """A path of the GP with covariance exp(-(i - j)^2 / 2) at n unit-spaced points."""
    i = xp.astype(xp.arange(n), xp.float64)
    L, _ = jittered_cholesky(xp.exp(-0.5 * (i[:, None] - i[None, :]) ** 2))
    return L @ rng.standard_normal(n)


for n, name in ((300, "series, Cauchy noise"), (100, "series, Gaussian noise")):
    kernels = networks(table_inputs(xp.astype(xp.arange(n), xp.float64)[:, None]))
    for seed in progress(range(10), name):
        rng = generator(seed)
        noise = 0.8 * rng.standard_t(1, n) if n == 300 else 0.2 * rng.standard_normal(n)
        y = series(n, rng) + noise
        train, test = split(n, rng)
        y = standardise(y, train)
        targets = {name: y[test]}
        if n == 100:  # and the same with one test target far away
            targets[name + ", one far"] = xp.concat([y[test][1:], xp.asarray([1000.0])])
        for kind, t in targets.items():
            for model, values in regress(kernels, y[train], train, test, t).items():
                results.setdefault((kind, model), []).append(values[0])

# %%
models = ["GP, σ² = 1", "GP, σ² by evidence", "inverse gamma"]
kinds = list(dict.fromkeys(kind for kind, _ in results))
rows = []
for kind in kinds:
    values = [np.asarray(results[kind, model]) for model in models]
    difference = np.median(values[2] - values[1])
    rows.append(
        [kind, *(np.median(v) for v in values), difference, *map(np.mean, values[1:])]
    )
columns = ["Data", *models, "Difference", "GP, mean", "Inverse gamma, mean"]
table(
    rows,
    columns,
    "Test NLL (nats for each point): medians of ten splits, the median difference of "
    "the inverse gamma and the GP with σ² by evidence, and the means of these two.",
)


# %%
def difference_of_models(kind: str) -> np.ndarray:
    """NLL of the inverse gamma less that of the GP with fitted scale, in each split."""
    return np.asarray(results[kind, models[2]]) - np.asarray(results[kind, models[1]])


claims.check(
    "C4.d",
    "diabetes: NLL of the inverse gamma less that of the GP with fitted σ², median split",
    measured=np.median(difference_of_models("diabetes")),
    between=(-0.02, 0.02),
    unit="nats",
    seeds=10,
)
far = [np.asarray(results["series, Gaussian noise, one far", m]) for m in models[1:]]
claims.check(
    "C4.e",
    "series, one test target at 1000 s.d.: NLL of the GP with fitted σ² over that of the inverse gamma, least",
    measured=np.min(far[0] / far[1]),
    at_least=10,
    seeds=10,
    own=True,
)


# %% [markdown]
# With the scale of the GP fitted, the two models cannot be told apart on the diabetes data: with 353 targets the
# Student-t process has over 350 degrees of freedom. Nor does it protect against outliers among the training targets or against shifted inputs. One shared scale makes the whole function
# uncertain; it does not model single bad targets, for which the *noise* would need heavy tails. The one large difference is the price of a single test target far from all others: it costs the GP the square
# of its distance, and the Student-t process a multiple of the logarithm. The last row shows it with one target moved to a thousand
# deviations. On the series with Cauchy noise it is a matter of luck whether one of ten splits has such a target, and that decides
# its means; in the median split the two are equal there too.
#
# ### Digits: a scale in a classifier
#
# For classification the posterior needs a variational bound. With values $u_c$ at $M$ inducing inputs for each class $c$, the stochastic variational
# Student-t process (SVTP) takes $q(\sigma^2)=IG(a,b)$ and $q(u_c\mid\sigma^2)=N(m_c,\sigma^2S_c)$ with diagonal $S_c$. With
# $A=K_{BM}(K_{MM}+\epsilon I)^{-1}$ a logit is
#
# ```{math}
# :label: scale-logit
# f_{c} = (Am_c) + \sigma\sqrt{v_c}\,Z,\qquad v_c = \operatorname{diag}(AS_cA^\top+K_{BB}-AK_{MB}),\quad Z\sim N(0,1),
# ```
#
# and the loss for $N$ data is $-\mathbb E\log\operatorname{softmax}(f)_y+\mathrm{KL}/N$, where, up to constants, with $K = K_{MM}+\epsilon I$,
#
# $$\mathrm{KL}=\tfrac12\sum_c\Bigl[\operatorname{tr}K^{-1}S_c-\log|S_c|+\tfrac ab\,m_c^\top K^{-1}m_c\Bigr]
# +\alpha\log\tfrac b\beta-\log\Gamma(a)+(a-\alpha)\psi(a)+(\beta-b)\tfrac ab .$$
#
# The classical SVGP has $\sigma^2=1$ and no second group. As in regression we add the rival that learns $\sigma^2$ as a number, by the
# same bound with $1/\sigma^2$ for $a/b$.
#
# To differentiate through $\sigma^2=b/g$ write $g$ as the $u$-quantile of the gamma law with parameter $a$, for evenly spread $u$; its derivative by $a$ at fixed
# $u$ is a difference quotient of one-dimensional quantiles.

# %%
def draw_scale(p: dict, u: Array) -> tuple[Array, dict]:
    """sigma^2 at the levels u, and its derivatives by the parameters of its law."""
    if "log_b" in p:
        a, h = math.exp(float(p["log_a"][0])), 1e-4
        low, g, high = (
            to_device(special.gammaincinv(a * s, to_host(u))) for s in (1 - h, 1, 1 + h)
        )
        s2 = xp.exp(p["log_b"]) / g
        return s2, {"log_b": s2, "log_a": -s2 / g * (high - low) / (2 * h)}
    if "log_s" in p:
        s2 = xp.exp(p["log_s"]) * xp.ones_like(u)
        return s2, {"log_s": s2}
    return xp.ones_like(u), {}


# %% [markdown]
# The $a$, $b$ terms of the KL divergence, and $\mathbb E\,\sigma^{-2} = a/b$, which multiplies $\sum_c m_c^\top K^{-1}m_c = Q$:

# %%
def scale_penalty(p: dict, Q: float) -> tuple[float, dict]:
    """E[1 / sigma^2] and the derivatives of the KL terms in a and b."""
    if "log_b" in p:
        a, b = (math.exp(float(p[name][0])) for name in ("log_a", "log_b"))
        by_a = Q / (2 * b) + (a - alpha) * special.polygamma(1, a) + (beta - b) / b
        return a / b, {"log_a": a * by_a, "log_b": alpha - (beta + Q / 2) * a / b}
    r = math.exp(-float(p["log_s"][0])) if "log_s" in p else 1.0
    return r, ({"log_s": -Q * r / 2} if "log_s" in p else {})


# %%
def softmax(f: Array) -> Array:
    """exp f_c / sum exp f over the last axis."""
    e = xp.exp(f - xp.max(f, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def logits(p: dict, A: Array, v0: Array, s2: Array, Z: Array) -> tuple[Array, Array]:
    """Samples of the logits and sqrt(v)."""
    root = xp.sqrt((A * A) @ xp.exp(p["log_S"]) + v0[:, None])
    return A @ p["m"] + xp.sqrt(s2)[:, None, None] * root * Z, root


# %% [markdown]
# The gradient of the loss is four short chains of products; we checked it against finite differences.

# %%
def loss_gradient(
    p: dict, A: Array, v0: Array, y: Array, K_inv: Array, N: int, u, Z
) -> dict:
    """Gradient of the loss on a batch: one-hot labels y (B, C), samples Z (S, B, C)."""
    s2, slopes = draw_scale(p, u)
    f, root = logits(p, A, v0, s2, Z)
    D = (softmax(f) - y) / (len(u) * y.shape[0])
    sigma, S, A_t = xp.sqrt(s2), xp.exp(p["log_S"]), xp.matrix_transpose(A)
    by_root = xp.sum(sigma[:, None, None] * D * Z, axis=0)
    by_s2 = xp.sum(D * Z * root, axis=(1, 2)) / (2 * sigma)
    K_m = K_inv @ p["m"]
    r, penalties = scale_penalty(p, float(xp.sum(p["m"] * K_m)))
    diagonal = xp.linalg.diagonal(K_inv)[:, None]
    by_S = xp.matrix_transpose(A * A) @ (by_root / (2 * root))
    grads = {"m": A_t @ xp.sum(D, axis=0) + r * K_m / N}
    grads["log_S"] = S * by_S + (S * diagonal - 1) / (2 * N)
    for name, slope in slopes.items():
        grads[name] = xp.reshape(xp.sum(by_s2 * slope), (1,)) + penalties[name] / N
    return grads


# %% [markdown]
# All three models have the same kernel (three ReLU layers, $w^2=2$, $b^2=0.01$), the same 100 inducing images, the first of each class, the same 300 steps of Adam with
# batches of 200 and 32 samples, and the same random numbers. The step size 0.1 was chosen for all of them on seeds 100 and 101;
# with the usual 0.01 three hundred steps end far from the optimum.

# %%
STARTS = {
    "SVGP, σ² = 1": {},
    "SVGP, σ² learned": {"log_s": [0.0]},
    "SVTP": {"log_a": [math.log(2)], "log_b": [math.log(2)]},
}
relu = NeuralNetwork(3, "relu", 1.0, 2.0, 0.01)
steps, draws = scale(default=300, paper=3000), 32


def fit(models, A: Array, v0: Array, y: Array, K_inv: Array, rng) -> dict[str, dict]:
    """Variational parameters after `steps` of Adam; y holds one-hot labels (N, C)."""
    (N, C), p, adam = y.shape, {}, {name: Adam(0.1) for name in models}
    spread = -xp.log(xp.linalg.diagonal(K_inv))[:, None] * xp.ones((1, C))
    for model in models:
        p[model] = {"m": xp.zeros(spread.shape), "log_S": spread}
        p[model] |= {name: to_device(value) for name, value in STARTS[model].items()}
    for _ in range(steps):
        i = rng.integers(0, N, 200)
        u = (xp.arange(draws) + rng.random(draws)) / draws
        Z = rng.standard_normal((draws, 200, C))
        for m, q in p.items():
            slope = loss_gradient(q, A[i, :], v0[i], y[i, :], K_inv, N, u, Z)
            p[m] = adam[m].step(q, slope)
    return p


# %%
def predictive_draws(n: int, C: int, rng) -> tuple[Array, Array]:
    """128 levels of the scale, and normal numbers for the logits of n points."""
    return (xp.arange(128) + rng.random(128)) / 128, rng.standard_normal((128, n, C))


def classify(p: dict, A: Array, v0: Array, u: Array, Z: Array) -> Array:
    """Mean of softmax over 128 samples of scale and logits, each point by itself."""
    return xp.mean(softmax(logits(p, A, v0, draw_scale(p, u)[0], Z)[0]), axis=0)


# %% [markdown]
# The digits of scikit-learn have 8 × 8 pixels. We train on 1200 and test on the other 597, clean and under three corruptions of three strengths each. The last
# row of the table is no corruption of nature: in the version of the official data loader that we read, the training images are standardised first and the test images
# afterwards with the mean and deviation of the *already standardised* training images, which are 0 and 1. Test images then stay raw, with grey values from 0 to 255.

# %%
def corrupted(images: np.ndarray, rng) -> dict[str, np.ndarray]:
    """Shot noise (photons per pixel), impulses (share of pixels) and blur (pixels)."""
    out = {}
    for rate in (30, 10, 4):
        out[f"shot noise, {rate}"] = np.minimum(rng.poisson(images * rate) / rate, 1.0)
    for share in (0.05, 0.1, 0.2):
        hit, value = rng.random(images.shape) < share, rng.integers(0, 2, images.shape)
        out[f"impulses, {share:g}"] = np.where(hit, value, images)
    for width in (0.4, 0.7, 1.0):
        out[f"blur, {width:g}"] = gaussian_filter(images, (0, width, width))
    return out


digits = data.table("digits")
pictures, labels = digits.data.reshape(-1, 8, 8) / 16, digits.target


# %%
def prepare(train: np.ndarray, classes: int) -> tuple:
    """Projection of images on the inducing ones: a function to (A, v0), and K^-1."""
    centre, spread = pictures[train].mean(), pictures[train].std()
    first = [
        np.flatnonzero(labels[train] == c)[: 100 // classes] for c in range(classes)
    ]
    flat = (pictures[train].reshape(-1, 64) - centre) / spread
    z = to_device(flat[np.concatenate(first)])
    L, _ = jittered_cholesky(add_to_diagonal(relu(z), 1e-6))
    K_inv = cholesky_inverse(L)

    def project(images: np.ndarray, standardised: bool = True) -> tuple[Array, Array]:
        x = images.reshape(-1, 64)
        x = to_device((x - centre) / spread if standardised else 255 * x)
        cross = relu(x, z)
        A = cross @ K_inv
        return A, relu.diagonal(x) - xp.sum(A * cross, axis=1)

    return project, K_inv


# %%
def judge(P: Array, y: np.ndarray) -> tuple[float, float]:
    """Accuracy (%) and NLL of class probabilities."""
    P = to_host(P)
    return 100 * np.mean(P.argmax(axis=1) == y), -np.mean(
        np.log(P[np.arange(len(y)), y])
    )


# %%
seeds6, outcome = range(3), {}
for seed in progress(seeds6, "digits"):
    rng = generator(seed)
    order = rng.host.permutation(len(labels))
    train, test = order[:1200], order[1200:]
    project, K_inv = prepare(train, 10)
    sets = {"clean": project(pictures[test])}
    for name, images in corrupted(pictures[test], rng.host).items():
        sets[name] = project(images)
    sets["raw grey values"] = project(pictures[test], standardised=False)
    one_hot = to_device(np.eye(10)[labels[train]])
    fitted = fit(STARTS, *project(pictures[train]), one_hot, K_inv, generator(seed))
    u, Z = predictive_draws(len(test), 10, generator(seed))
    for model, p in fitted.items():
        for name, (A, v0) in sets.items():
            score = judge(classify(p, A, v0, u, Z), labels[test])
            outcome.setdefault((model, name), []).append(score)

# %%
average = {key: np.mean(values, axis=0) for key, values in outcome.items()}
rows = [[name, *average["SVGP, σ² = 1", name], *average["SVGP, σ² learned", name],
         *average["SVTP", name]] for name in sets]  # fmt: skip
columns = [f"{kind}, {model}" for model in STARTS for kind in ("Accuracy (%)", "NLL")]
table(rows, ["Test images", *columns], "Digits: means of three seeds.")

# %%
damaged = [name for name in sets if name not in ("clean", "raw grey values")]


def corruption_nll(model: str) -> float:
    """NLL over all corruptions and seeds."""
    return float(np.mean([average[model, name][1] for name in damaged]))


def accuracy_gap(rival: str) -> float:
    """Largest difference of the clean accuracies over the seeds, in points."""
    pairs = zip(outcome["SVTP", "clean"], outcome[rival, "clean"], strict=True)
    return max(abs(a[0] - b[0]) for a, b in pairs)


# %% tags=["hide-input"]
with figure(
    alt="Dots of the test NLL for clean digits and nine corruptions. The SVGP with "
    "unit scale lies far to the right everywhere; the SVGP with learned scale and the "
    "SVTP coincide.",
    caption="Test NLL on clean and corrupted digits, means of three seeds.",
    height=3.4,
) as ax:
    places = list(range(len(damaged) + 1))
    for model, marker in zip(STARTS, ("s", "o", "x"), strict=True):
        values = [average[model, name][1] for name in ("clean", *damaged)]
        ax.plot(values, places, marker, label=model)
    ax.set(yticks=places, yticklabels=("clean", *damaged), xlim=(0, None))
    ax.set(xlabel="test NLL (nats for each image)", ylabel="test images")
    ax.invert_yaxis()
    ax.legend()

# %%
claims.check(
    "C6.a",
    "clean accuracy: SVTP against SVGP with learned σ², largest difference",
    measured=accuracy_gap("SVGP, σ² learned"),
    at_most=1.5,
    unit="points",
    seeds=3,
)
claims.check(
    "C6.b",
    "clean accuracy: SVTP against SVGP with σ² = 1, largest difference",
    measured=accuracy_gap("SVGP, σ² = 1"),
    at_most=1.5,
    unit="points",
    seeds=3,
    not_reproduced="the SVGP with unit scale underfits; the SVTP is more accurate",
)

# %%
more = np.subtract(outcome["SVTP", "clean"], outcome["SVGP, σ² = 1", "clean"])[:, 0]
claims.check(
    "C6.e",
    "clean accuracy: SVTP less SVGP with σ² = 1, mean",
    measured=more.mean(),
    between=(1.5, 7),
    unit="points",
    seeds=3,
    spread=more.std(ddof=1) / math.sqrt(3),
    own=True,
)

# %%
for letter, rival, most in (("c", "SVGP, σ² = 1", -0.1), ("d", "SVGP, σ² learned", 0.02)):
    claims.check(
        f"C6.{letter}",
        f"NLL over all corruptions: SVTP less {rival}",
        measured=corruption_nll("SVTP") - corruption_nll(rival),
        at_most=most,
        unit="nats",
        seeds=3,
    )

# %% [markdown]
# Against the SVGP with $\sigma^2=1$ the Student-t process is far better on every set of standardised images, and more accurate too: a kernel whose prior logits have a
# variance near one half cannot be confident, and a class of functions with free scale can. So "similar accuracy" does not hold here, in favour of the paper's method. But the whole benefit goes away when the
# rival learns its scale: the two columns of NLLs hardly differ. We expected
# the heavy tail to show at least under the strongest corruptions; it does not. The row of raw grey values, which multiplies all logits, is the exception that proves the rule: there the
# underconfident model is the lucky one. Whether the paper's corrupted-image results were computed with test images so scaled we cannot tell, but they would
# reward any model that doubts its own scale.
#
# ### Foreign digits
#
# Last, images of classes that were never seen: we train on the digits 0 to 6 and show 7, 8 and 9. The models cannot be right; they can be unsure. We score the entropy of the
# predicted probabilities, by the area under its curve (AUROC) for telling foreign from known test digits, and the price of confidence: every predicted label is wrong, so
# the model's own NLL of that fact is $-\log(1-\max_cp_c)$.

# %%
rows = {model: [] for model in STARTS}
for seed in scale(default=range(1), paper=range(3)):
    rng = generator(seed)
    known = rng.host.permutation(np.flatnonzero(labels < 7))
    train, test, foreign = known[:900], known[900:], np.flatnonzero(labels >= 7)
    project, K_inv = prepare(train, 7)
    one_hot = to_device(np.eye(7)[labels[train]])
    fitted = fit(STARTS, *project(pictures[train]), one_hot, K_inv, generator(seed))
    both = np.concatenate([test, foreign])
    is_foreign = np.arange(len(both)) >= len(test)
    shown, draws_7 = project(pictures[both]), predictive_draws(len(both), 7, generator(seed))
    for model, p in fitted.items():
        P = to_host(classify(p, *shown, *draws_7))
        entropy = -np.sum(P * np.log(P + 1e-300), axis=1)
        price = -np.log1p(-P[is_foreign].max(axis=1)).mean()
        accuracy, loss = judge(P[~is_foreign], labels[test])
        auroc = roc_auc_score(is_foreign, entropy)
        confident = 100 * np.mean(P[is_foreign].max(axis=1) > 0.9)
        rows[model].append([accuracy, loss, auroc, confident, price])

# %%
columns = ["Model", "Accuracy (%)", "NLL", "AUROC", "Above 0.9 (%)", "Price (nats)"]
summary = [[model, *np.mean(values, axis=0)] for model, values in rows.items()]
table(
    summary,
    columns,
    "Known digits (accuracy, NLL) and foreign ones (AUROC, share of predictions above "
    "0.9, price).",
)

# %% [markdown]
# The picture is the same. A learned scale, random or not, separates foreign from known digits a little better and fits the known ones much
# better, and pays for its sharper predictions with a higher price on the foreign ones. On this data the law of the scale, with $a$ and $b$ free to
# concentrate, has become nearly a point.
#
# ## Verdict
#
# The mathematics holds to the last digit and the limits are visible in finite networks: the initial law with 128 units in each layer, last-layer training with
# 256, full training in its centre and its tail but not yet in its whole law at 256 units. Two choices of ours matter: the bias scale in the training experiments, without which the five
# points cannot be told apart by the kernel, and the weighted mean, because the mean of a $t_2$ ensemble has no finite error.
#
# What does the scale buy? Much, when the prior is off by a factor of five or a classifier's kernel is too weak. A single scale
# fitted by maximum likelihood or by the variational bound buys the same in every experiment but one, that with Cauchy-distributed test
# targets. The Student-t process is the principled form of a simple rule, *let the data set the scale*, and it needs no optimiser for it. The
# heavy tail itself is seen in the networks and hardly in the predictions. One part of the claim did not hold as stated: the accuracies are not similar when the rival's scale is fixed.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The paper's eight UCI sets, the MNIST family, SVHN and CIFAR with their corruptions are not bundled with the libraries we use, and the values of the paper's
# tables are not known to us, so no number is set beside a printed one. Diabetes and the 8 × 8 digits stand in for them; a fully connected network replaces the
# convolutional and residual kernels, whose cost grows with the square of the number of pixels for each pair of images. The ensembles of 32-channel networks trained as classifiers are not
# repeated either, nor is the ensemble of 1000 networks trained by $10^4$ stochastic steps.
#
# The specification of our tests asked that the accuracy of the variational Student-t process stay within 1.5 points of that of the Gaussian one. With
# $\sigma^2=1$ in the latter it is more accurate by a larger margin (C6.b, C6.e); with a learned $\sigma^2$ the accuracies agree (C6.a).
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells draw 20 000 networks of 3 × 512 units, train 8000 last layers of width 1024 and 1000 full networks of width 2048, where the law of the fully trained
# ensemble should close in on its limit, and run 3000 steps for each classifier. The work is in batched products of matrices, which suit a GPU; the
# quantiles of the gamma law and the KS distances stay on the host. This has not been run on a GPU yet.
