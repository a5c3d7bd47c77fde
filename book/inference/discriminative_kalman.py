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
# # A Kalman filter that inverts the measurement model
#
# ```{paper-card}
# ```
#
# A filter follows a hidden state, say the velocity that a person intends for a cursor, through a stream of noisy
# measurements, say the firing of a hundred neurons. The usual recipe models how the *measurement* arises
# from the *state* and turns that around with Bayes' rule at every step. With many strange measurements and
# few states this is the hard direction: a generative model of a hundred neurons is a lot to get wrong.
#
# {cite:t}`discriminative_kalman` asks for the other direction. Learn by regression what a measurement says about the state, as
# a mean $f(x)$ and a covariance $Q(x)$. Dividing by the prior turns that answer back into a likelihood, and if
# everything is Gaussian the filter keeps the closed form of Kalman's. The price is one approximation and, as we
# shall see, one matrix that need not be positive definite. This chapter runs this discriminative Kalman
# filter (DKF) against Kalman filters, their nonlinear relatives and particle filters.
#
# ## What the paper claims
#
# 1. **Exactness.** If $f$ is linear and $Q$ constant, the DKF *is* the stationary Kalman filter.
#    {claims}`C1.a, C1.b`
# 2. **Mixtures of Kalman models.** Where the sign of the measurement is a coin toss, $\mathbb E[x\mid z]=0$, so
#    Kalman filters, extended (EKF) or unscented (UKF), learn nothing, and the DKF does.
#    {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f`
# 3. **Against particles.** The DKF approaches a large particle filter
#    (PF) as the number of measurements grows, orders of magnitude faster (figures only).
#    {claims}`C3.a, C3.b, C3.c`
# 4. **Bernoulli mixtures, and the robust DKF.** The same for binary measurements whose marginal means do not
#    depend on the state; there, as on all simulated data, dropping the division by the prior (the robust DKF)
#    hurts. {claims}`C4.a, C4.b, C4.c, C4.d`
# 5. **Monkey reaching data.** Over six trials the mean angular error falls against Kalman's 0.949 rad by 18 %
#    with a kernel regression $f$ (NW), 15 % with a Gaussian process, 14 % with a small network; the UKF, EKF and an LSTM reach
#    3, 2 and 7 %, the unfiltered regressions 16, 12 and 11 %. A table commented out in the thesis's source has normalised
#    errors: Kalman 0.805, NW −20 %, GP −19 %, network −15 %. We ask it of simulated neurons.
#    {claims}`C5.a, C5.b, C5.c, C5.d`
# 6. **Nonlinear dynamics.** With the DKF's measurement update inside an EKF or UKF the normalised error is 0.331,
#    against 0.329 for the PF, 0.415 for the EKF, 0.472 for the UKF and 0.353 unfiltered.
#    {claims}`C6.a, C6.b, C6.c, C6.d, C6.e, C6.f`
#
# Not tested here: the recordings; that the robust DKF helps on them; and that a Gaussian process whose kernel is
# an average over features, not a product, makes decoding insensitive to a shift of one feature, which is shown on
# simulated sessions without a threshold.
#
# Our numbers rest on the LaTeX source of the thesis's theory, consistency and robustness chapters and on
# the author's published MATLAB and Python code, both read and neither copied. The recordings are not public
# in a form we could bundle.
#
# ## The idea
#
# **Model.** The state $z_t\in\mathbb R^d$ is stationary and linear, and $x_t\in\mathbb R^n$ depends on $z_t$ alone:
#
# $$z_0\sim\mathcal N(0,S),\qquad z_t\mid z_{t-1}\sim\mathcal N(Az_{t-1},\Gamma),\qquad S=ASA^\top+\Gamma .$$
#
# **Turning the measurement around.** Bayes' rule says $p(x\mid z)\propto p(z\mid x)/p(z)$ as a function of $z$. The one
# approximation is $p(z\mid x)\approx\mathcal N(z;f(x),Q(x))$ with $f(x)=\mathbb E[z\mid x]$ and $Q(x)=\operatorname{Var}[z\mid x]$.
# Then with the belief $\mathcal N(\mu_{t-1},\Sigma_{t-1})$ about the last state
#
# $$p(z_t\mid x_{1:t})\;\propto\;\frac{\mathcal N(z_t;f(x_t),Q(x_t))}{\mathcal N(z_t;0,S)}\;
# \mathcal N\bigl(z_t;\,A\mu_{t-1},\,M_t\bigr),\qquad M_t=A\Sigma_{t-1}A^\top+\Gamma .$$
#
# Three Gaussians multiply by adding precisions:
#
# ```{math}
# :label: dkf-update
# \Sigma_t=\bigl(Q^{-1}+M_t^{-1}-S^{-1}\bigr)^{-1},\qquad
# \mu_t=\Sigma_t\bigl(Q^{-1}f(x_t)+M_t^{-1}A\mu_{t-1}\bigr).
# ```
#
# The term $-S^{-1}$ is the point. The regression has already used the prior once, the prediction uses it again
# through $M_t$, and one of the two must go. The *robust* DKF leaves it out: it counts the prior twice, as if the state
# were drawn afresh, and shrinks its estimates.
#
# **Why it gets better with many measurements.** A posterior given many conditionally independent measurements tends to be Gaussian
# (the Bernstein–von Mises theorem), so the one approximation becomes exact as $n$ grows. It is also where particle
# filters get worse, because ever fewer particles fall where a sharp likelihood wants them.
#
# **A measurement as a pair.** Write $J=Q^{-1}-S^{-1}$ and $q=Q^{-1}f$. With $\Sigma_t=(I+M_tJ)^{-1}M_t$ the update becomes
#
# ```{math}
# :label: dkf-information
# \mu_t = A\mu_{t-1}+\Sigma_t\,(q-JA\mu_{t-1}),
# ```
#
# in which neither $M_t$ nor $J$ is inverted. Every filter below with a Gaussian belief is this line with its own pair: for
# a linear measurement $x=Hz+\mathcal N(0,\Lambda)$ the Kalman filter has $q=H^\top\Lambda^{-1}x$ and $J=H^\top\Lambda^{-1}H$.
#
# **Why the linear case is exact.** For that model $Q^{-1}=S^{-1}+H^\top\Lambda^{-1}H$ and $f=QH^\top\Lambda^{-1}x$: the DKF's pair is
# $q=Q^{-1}f=H^\top\Lambda^{-1}x$ and $J=Q^{-1}-S^{-1}=H^\top\Lambda^{-1}H$, which is Kalman's own. Conversely a linear $f=Bx$ with constant
# $Q$ is Kalman's filter for some such model.
#
# **When a measurement confuses.** On average a measurement narrows the belief, but one particular $x$ may leave a posterior wider
# than the prior, such as two far bumps. Then $Q^{-1}-S^{-1}$ has a negative eigenvalue and equation {eq}`dkf-update` may return a
# negative variance. Three repairs are published: the thesis takes the robust step at such a $t$; the journal's synthetic code
# clips the eigenvalues of $Q$ relative to $S$ at 1, so that a confusing direction is ignored; the
# software library replaces $Q$ by $(Q^{-1}+S^{-1})^{-1}$. The last is overconfident: it leaves $J=Q^{-1}$ and $q=(Q^{-1}+S^{-1})f$, and with a
# vague prediction returns $(I+QS^{-1})f$, about twice $f$ where $Q\approx S$. We implement the first two.
#
# ## The method in code

# %%
import math
import time

from scipy.linalg import solve_discrete_lyapunov
from scipy.special import ndtri

from gaussbook import autodiff as ad
from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.blocks import row_blocks
from gaussbook.claims import Claims
from gaussbook.distances import SquaredDistances, squared_distances
from gaussbook.nn import fit, mlp, mlp_init
from gaussbook.optim import Adam, cosine_decay
from gaussbook.particles import systematic_resample
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.rows import row_sums
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("discriminative_kalman")
xp = backend()
transpose = xp.matrix_transpose


# %% [markdown]
# All arrays carry batches of sequences in front, so that only time is a loop: states are $(B,T,d)$ and covariances $(B,T,d,d)$.

# %%
def apply(X: Array, v: Array) -> Array:
    """X v for batches of matrices and vectors."""
    return (X @ v[..., None])[..., 0]


def inverse(X: Array) -> Array:
    """X^-1 for a batch of small covariance matrices, symmetric to the last bit."""
    Y = xp.linalg.inv(X)
    return (Y + transpose(Y)) / 2


def update(m: Array, M: Array, q: Array, J: Array) -> tuple[Array, Array]:
    """Sigma = (I + M J)^-1 M and mu = m + Sigma (q - J m)."""
    Sigma = xp.linalg.solve(xp.eye(M.shape[-1]) + M @ J, M)
    Sigma = (Sigma + transpose(Sigma)) / 2
    return m + apply(Sigma, q - apply(J, m)), Sigma


def information_filter(q, J, A, Gamma, mu, Sigma) -> tuple[Array, Array]:
    """Means and covariances from the pairs (q, J) of times 1, 2, ..., begun with mu, Sigma."""
    means, covariances = [mu], [Sigma]
    for t in range(1, q.shape[-2]):
        m, M = apply(A, mu), A @ Sigma @ A.T + Gamma
        mu, Sigma = update(m, M, q[..., t, :], J[..., t, :, :])
        means.append(mu)
        covariances.append(Sigma)
    return xp.stack(means, axis=-2), xp.stack(covariances, axis=-3)


# %% [markdown]
# The DKF prepares the pairs of all times at once. With $S=LL^\top$ the generalised eigenvalues of $(Q,S)$ are those of $L^{-1}QL^{-\top}=V\lambda V^\top$;
# clipping them gives $Q^{-1}=W\min(\lambda,1)^{-1}W^\top$ and $J=W\bigl(1/\min(\lambda,1)-1\bigr)W^\top$ with $W=L^{-\top}V$, whose
# eigenvalues cannot be negative.

# %%
def clipped_information(f: Array, Q: Array, S: Array) -> tuple[Array, Array]:
    """W / min(lambda, 1) W' f and W (1 / min(lambda, 1) - 1) W', S = L L', W = L^-T V."""
    L_inv = xp.linalg.inv(xp.linalg.cholesky(S))
    values, V = xp.linalg.eigh(L_inv @ Q @ L_inv.T)
    W, precision = L_inv.T @ V, 1 / xp.minimum(values, 1.0)
    J = (W * (precision - 1)[..., None, :]) @ transpose(W)
    return apply(W, precision * apply(transpose(W), f)), J


def information(f: Array, Q: Array, S: Array, variant: str) -> tuple[Array, Array]:
    """q = Q^-1 f and J = Q^-1 - S^-1, repaired ("clip", "thesis"), or J = Q^-1 ("robust")."""
    if variant == "clip":
        return clipped_information(f, Q, S)
    precision = inverse(Q)
    J = precision if variant == "robust" else precision - inverse(S)
    if variant == "thesis":
        sound = xp.min(xp.linalg.eigvalsh(J), axis=-1) > 0
        J = xp.where(sound[..., None, None], J, precision)
    return apply(precision, f), J


def dkf(f, Q, A, Gamma, S, variant="clip") -> tuple[Array, Array]:
    """The discriminative Kalman filter, begun with mu_1 = f(x_1), Sigma_1 = Q(x_1)."""
    first = f[..., 0, :], Q[..., 0, :, :]
    return information_filter(*information(f, Q, S, variant), A, Gamma, *first)


# %% [markdown]
# The particle filter is the bootstrap filter: particles move by the state model, are weighted by the true likelihood
# and are resampled systematically at every step, for all sequences of the batch in one search. Where $N$ measurement models
# watch the same $B$ states, there are $(N,B,m,d)$ particles, and the $N$ filters use the same random numbers.

# %%
def particle_filter(log_likelihood, move, particles: Array, T: int, rng) -> Array:
    """Posterior means (N, B, T, d) from particles (N, B, m, d) with weights p(x_t | z_t)."""
    N, B, m, d = particles.shape
    means = []
    for t in range(T):
        log_w = log_likelihood(t, particles)
        w = xp.exp(log_w - xp.max(log_w, axis=-1, keepdims=True))
        w = w / xp.sum(w, axis=-1, keepdims=True)
        means.append((w[..., None, :] @ particles)[..., 0, :])
        rows = systematic_resample(xp.reshape(w, (N * B, m)), xp.tile(rng.random(B), (N,)))
        kept = xp.take(xp.reshape(particles, (N * B * m, d)), rows, axis=0)
        particles = move(xp.reshape(kept, (N, B, m, d)), rng)
    return xp.stack(means, axis=-2)


# %%
def states(A: Array, Gamma: Array, S: Array, T: int, rng) -> Array:
    """z_1 ~ N(0, S), z_t = A z_{t-1} + N(0, Gamma); shape (T, d)."""
    noise = rng.standard_normal((T, len(A)))
    z = [xp.linalg.cholesky(S) @ noise[0]]
    noise = noise @ xp.linalg.cholesky(Gamma).T
    for t in range(1, T):
        z.append(A @ z[-1] + noise[t])
    return xp.stack(z)


def linear_move(A: Array, Gamma: Array):
    """The particles' step, A z + N(0, Gamma)."""
    L = xp.linalg.cholesky(Gamma)
    return lambda z, rng: z @ A.T + rng.standard_normal(z.shape[1:]) @ L.T


def rmse(z: Array, estimate: Array) -> list[float]:
    """Root mean square error over coordinates and times, mean of B sequences, for each of N."""
    error = xp.sqrt(xp.mean((z - estimate) ** 2, axis=(-2, -1)))
    return to_host(xp.mean(error, axis=-1)).tolist()


# %% [markdown]
# ## Experiments
#
# ### The linear case is exact
#
# We draw a stable model with three states and five measurements, work out $f$ and $Q$ by conditioning the joint
# Gaussian, and compare with Kalman's filter in its textbook form, which has a gain and shares no line with the code above.

# %%
def kalman_filter(x, H, Lam, A, Gamma, mu, Sigma) -> tuple[Array, Array]:
    """K = M H' (H M H' + Lambda)^-1, mu = m + K (x - H m), Sigma = (I - K H) M."""
    means, covariances = [mu], [Sigma]
    for t in range(1, len(x)):
        m, M = A @ mu, A @ Sigma @ A.T + Gamma
        K = xp.linalg.solve(H @ M @ H.T + Lam, H @ M).T
        mu, Sigma = m + K @ (x[t] - H @ m), M - K @ H @ M
        means.append(mu)
        covariances.append(Sigma)
    return xp.stack(means), xp.stack(covariances)


def linear_model(seed: int):
    """A with spectral radius 0.9, Gamma, H, Lambda = I / 2 and the stationary S."""
    rng = generator(seed)
    A, G, H = (rng.standard_normal(shape) for shape in ((3, 3), (3, 3), (5, 3)))
    A = A * (0.9 / float(xp.max(xp.abs(xp.linalg.svd(A)[1]))))
    Gamma = G @ G.T / 3 + 0.1 * xp.eye(3)
    S = to_device(solve_discrete_lyapunov(to_host(A), to_host(Gamma)))
    z = states(A, Gamma, S, 300, rng)
    x = z @ H.T + math.sqrt(0.5) * rng.standard_normal((300, 5))
    return A, Gamma, (S + S.T) / 2, H, 0.5 * xp.eye(5), z, x


# %%
rows = []
for seed in range(3):
    A, Gamma, S, H, Lam, z, x = linear_model(seed)
    B_T = xp.linalg.solve(H @ S @ H.T + Lam, H @ S)  # f(x) = S H' (H S H' + Lambda)^-1 x
    f, Q = x @ B_T, S - B_T.T @ H @ S
    Q_t = xp.zeros((1, len(x), 3, 3)) + Q
    mu, Sigma = (path[0] for path in dkf(f[None, ...], Q_t, A, Gamma, S))
    kf_mu, kf_Sigma = kalman_filter(x, H, Lam, A, Gamma, f[0], Q)
    robust = dkf(f[None, ...], Q_t, A, Gamma, S, "robust")[0][0]
    pairs = ((mu, kf_mu), (Sigma, kf_Sigma), (robust, kf_mu))
    rows.append([f"seed {seed}", *(float(xp.max(xp.abs(a - b))) for a, b in pairs)])
table(
    rows,
    ["Model", "DKF, mean", "DKF, covariance", "Robust DKF, mean"],
    "Largest difference from Kalman's filter over 300 steps.",
)
for letter, column, what in (("a", 1, "mean"), ("b", 2, "covariance")):
    claims.check(
        f"C1.{letter}",
        f"linear model: largest difference between DKF and Kalman, {what}",
        measured=max(row[column] for row in rows),
        at_most=1e-9,
        seeds=3,
    )


# %% [markdown]
# The two agree to rounding. The last column shows that the comparison has teeth: without $-S^{-1}$ the filter is
# another one.
#
# ### A mixture of Kalman models
#
# At every step a fair coin chooses between $x=Hz+\mathcal N(0,\lambda_1I)$ and $x=-Hz+\mathcal N(0,\lambda_2I)$. The mean of
# $x$ is zero whatever $z$ is. With $D_l=(S^{-1}+H^\top H/\lambda_l)^{-1}$ and signs $s_l=\pm1$ the posterior is a mixture with means
# $v_l=s_lD_lH^\top x/\lambda_l$ and log-weights $-\tfrac n2\log\lambda_l+\tfrac12\log\det D_l-\tfrac12\bigl(x^\top x/\lambda_l-v_l^\top D_l^{-1}v_l\bigr)$ up to
# a constant, the density of $x$ under $\mathcal N(0,HSH^\top+\lambda_lI)$ by Woodbury's identity, so that
#
# $$f=\sum_lw_lv_l,\qquad Q=\sum_lw_l\bigl(D_l+v_lv_l^\top\bigr)-ff^\top .$$
#
# The measurement enters through $h=H^\top x$, $x^\top x$ and $G=H^\top H$ alone. We give these sufficient statistics to all
# filters, the particle filter included, whose cost is then free of $n$, too.

# %%
def mixture_update(m, M, h, xx, G, n, lam) -> tuple[Array, Array]:
    """Mean and covariance of N(m, M) after a measurement x = s_l H z + N(0, lam_l I)."""
    means, covariances, log_w = [], [], []
    for s, v in zip((1, -1), lam, strict=True):
        K = xp.eye(m.shape[-1]) + M @ G / v
        D = xp.linalg.solve(K, M)
        g = (s * h - apply(G, m)) / v  # H'(x - s H m) s / v
        r = xx - 2 * s * xp.sum(h * m, axis=-1) + xp.sum(m * apply(G, m), axis=-1)
        step = apply(D, g)
        fit_to_x = r / v - xp.sum(g * step, axis=-1)
        log_w.append(-(n * math.log(v) + xp.linalg.slogdet(K)[1] + fit_to_x) / 2)
        means.append(m + step)
        covariances.append(D)
    w = ((1 + xp.tanh((log_w[0] - log_w[1]) / 2)) / 2)[..., None]
    gap = means[0] - means[1]
    spread = w * (1 - w) * gap
    D = w[..., None] * covariances[0] + (1 - w)[..., None] * covariances[1]
    return w * means[0] + (1 - w) * means[1], D + spread[..., :, None] * gap[..., None, :]


# %% [markdown]
# Begun with $m=0$, $M=S$ this function *is* $f$ and $Q$. Called at every step with the prediction it is another filter, Gaussian
# *assumed-density filtering* (ADF), which knows the measurement model and may use it with the current belief.

# %%
def assumed_density_filter(h, xx, G, n, lam, A, Gamma, S) -> Array:
    """Predict, update the mixture exactly, keep its mean and covariance."""
    m, M = xp.zeros_like(h[..., 0, :]), xp.zeros_like(G) + S
    means = []
    for t in range(h.shape[-2]):
        mu, Sigma = mixture_update(m, M, h[..., t, :], xx[..., t], G, n, lam)
        means.append(mu)
        m, M = apply(A, mu), A @ Sigma @ A.T + Gamma
    return xp.stack(means, axis=-2)


def mixture_log_likelihood(h, xx, G, n, lam):
    """log sum_l N(x; s_l H z, lam_l I) for particles z, up to a constant."""

    def log_likelihood(t, z):
        square = row_sums((z @ G) * z)[..., 0] + xx[..., t, None]
        cross = 2 * apply(z, h[..., t, :])
        first, second = (
            -(n[..., None] * math.log(v) + (square - s * cross) / v) / 2
            for s, v in zip((1, -1), lam, strict=True)
        )
        larger = xp.maximum(first, second)
        return larger + xp.log(1 + xp.exp(xp.minimum(first, second) - larger))  # of the sum

    return log_likelihood


# %% [markdown]
# The journal's recipe: $d=10$, $A=0.95I-0.05$ (subtracted from every entry), $S=I$, $H$ with independent $\mathcal N(0,1/d)$ entries,
# $\lambda=(1,5)$. The thesis has $A=0.91I-0.1$, entries $\mathcal N(0,1)$ and $\lambda=(1,1/8)$, which is another
# problem; the two must not be mixed.

# %%
d, T = 10, scale(default=2000, paper=10_000)
seeds = scale(default=(0, 1), paper=(0, 1, 2, 3, 4))
ns = scale(default=(1, 3, 10, 32, 100, 316), paper=(1, 3, 10, 32, 100, 316, 1000))
particles = scale(default=(10, 100, 1000), paper=(10, 100, 1000, 10_000, 100_000))
S = xp.eye(d)
journal = {"A": 0.95 * xp.eye(d) - 0.05, "lam": (1.0, 5.0), "h": 1 / math.sqrt(d)}
thesis = {"A": 0.91 * xp.eye(d) - 0.1, "lam": (1.0, 1 / 8), "h": 1.0}


def measure(z: Array, H: Array, lam, rng) -> Array:
    """x = s H z + sqrt(lam) noise, the sign and its lam by a coin at each time."""
    heads = (rng.random(len(z)) < 0.5)[:, None]
    noise = rng.standard_normal((len(z), len(H)))
    sign = xp.where(heads, 1.0, -1.0)
    return sign * (z @ H.T) + xp.sqrt(xp.where(heads, lam[0], lam[1])) * noise


def mixture_data(recipe, n: int, T: int) -> tuple[Array, Array, Array]:
    """States (B, T, d), the same for all n, measurements (B, T, n) and H (B, n, d), by seed."""
    runs = []
    for rng in map(generator, seeds):
        z = states(recipe["A"], S - recipe["A"] @ recipe["A"].T, S, T, rng)
        H = recipe["h"] * rng.standard_normal((n, d))
        runs.append((z, measure(z, H, recipe["lam"], rng), H))
    return tuple(xp.stack(part) for part in zip(*runs, strict=True))


# %%
def mixture_statistics(recipe, ns, T: int) -> tuple[Array, ...]:
    """z; h = H'x (N, B, T, d), x'x (N, B, T) and G = H'H (N, B, d, d) for each n; n (N, 1)."""
    parts = []
    for n in ns:
        z, x, H = mixture_data(recipe, n, T)
        parts.append((x @ H, xp.sum(x * x, axis=-1), transpose(H) @ H))
    h, xx, G = (xp.stack(part) for part in zip(*parts, strict=True))
    return z, h, xx, G, to_device([[float(n)] for n in ns])


def exact_posterior(h, xx, G, n, lam) -> tuple[Array, Array]:
    """f and Q of every measurement: the update from N(0, S)."""
    G = G[..., None, :, :]
    return mixture_update(xp.zeros_like(h), xp.zeros_like(G) + S, h, xx, G, n[..., None], lam)


# %%
def compare_on_mixture(recipe, ns, particles, T: int) -> tuple[dict, dict]:
    """RMSE for each n, and processor seconds for all of them, of each filter."""
    z, *measured = mixture_statistics(recipe, ns, T)
    A, lam, clock = recipe["A"], recipe["lam"], time.process_time
    Gamma, shape = S - A @ A.T, (len(ns), len(seeds))
    start = clock()
    f, Q = exact_posterior(*measured, lam)
    spent = {"f only": clock() - start}
    error = {"zero": rmse(z, 0 * f), "f only": rmse(z, f)}
    for variant in ("clip", "thesis", "robust"):
        start = clock() - spent["f only"]
        error[variant] = rmse(z, dkf(f, Q, A, Gamma, S, variant)[0])
        spent[variant] = clock() - start
    start = clock()
    error["ADF"] = rmse(z, assumed_density_filter(*measured, lam, A, Gamma, S))
    spent["ADF"] = clock() - start
    log_likelihood = mixture_log_likelihood(*measured, lam)
    for m in progress(particles, "particles"):
        start, rng = clock(), generator(7)
        cloud = xp.zeros((*shape, 1, 1)) + rng.standard_normal((shape[1], m, d))
        means = particle_filter(log_likelihood, linear_move(A, Gamma), cloud, T, rng)
        error[f"PF {m}"], spent[f"PF {m}"] = rmse(z, means), clock() - start
    return error, spent


# %%
def by_size(ns, error: dict) -> dict:
    """The errors of all filters at each n."""
    return {n: {name: e[k] for name, e in error.items()} for k, n in enumerate(ns)}


errors = by_size(ns, compare_on_mixture(journal, ns, particles, T)[0])
repeats = [compare_on_mixture(journal, (100,), particles, 500)[1] for _ in range(3)]
spent = {name: min(run[name] for run in repeats) for name in repeats[0]}
methods = {"zero": "zero (all Kalman filters)", "clip": "DKF (clip)", "thesis": "DKF (thesis)"}
methods |= {"robust": "robust DKF"}
shown = {"f only": "sky", "clip": "blue", "robust": "purple", "ADF": "green"}
shown |= {"PF 10": "orange", "PF 100": "vermilion", "PF 1000": "black"}
table(
    [[methods.get(k, k), *(errors[n][k] for n in ns)] for k in errors[ns[0]]],
    ["Method", *(f"n = {n}" for n in ns)],
    "RMSE on the sign-flip mixture, the journal's recipe, mean of the seeds.",
)

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: every error falls with n. The DKF lies below f alone and the robust DKF, and from "
    "n = 32 on the assumed-density filter and below 1000 particles. Right: the DKF has the "
    "lowest error, in several times less time than 1000 particles.",
    caption="The sign-flip mixture. Left: RMSE; dotted: the zero predictor, which is what a Kalman "
    "filter amounts to. Right: RMSE at n = 100 against the processor time of 500 steps.",
    width=9,
    height=3.6,
) as axes:
    for name, color in shown.items():
        style = {"color": PALETTE[color], "label": methods.get(name, name)}
        style["ls"] = "--" if name.startswith("PF") else "-"
        axes[0].plot(ns, [errors[n][name] for n in ns], "o", ms=3.5, **style)
        axes[1].plot(spent[name], errors[100][name], "o", **style)
    axes[0].axhline(errors[10]["zero"], color="#444444", ls=":")
    axes[0].set(xscale="log", ylabel="RMSE", xlabel="measurements n")
    axes[1].set(xscale="log", xlabel="processor time (s)", ylabel="RMSE at n = 100")
    axes[0].legend(fontsize=7)


# %% [markdown]
# The DKF follows the pattern that the thesis draws. At $n=1$ nobody knows anything; at $n=32$ the DKF has passed 1000 particles, and
# the particle filters need more and more of them as the likelihood sharpens. The table also holds what the
# thesis's figures do not dwell on: for small $n$ the assumed-density filter is better than the DKF, because an ambiguous sign that
# confuses a measurement on its own is no longer ambiguous to someone who knows roughly where the state is. From $n=32$ on
# the two are the same.
#
# What do the Kalman filters do? Their measurement model is $\mathbb E[x\mid z]=0$, so $H=0$ and the gain is zero. That is so
# for the EKF and UKF as well: the function they linearise or sample is the zero function. To test this rather than
# state it, we fit a Kalman filter to 50 000 training pairs by least squares and run it.

# %%
def learned_kalman(n: int, N: int = 50_000) -> float:
    """Largest |RMSE - RMS(z)| of Kalman's filter with H, Lambda by least squares."""
    z, x, H = mixture_data(journal, n, T)
    A, gaps = journal["A"], []
    for k, seed in enumerate(seeds):
        rng = generator(1000 + seed)
        z_train = rng.standard_normal((N, d))
        x_train = measure(z_train, H[k], journal["lam"], rng)
        H_T = xp.linalg.solve(z_train.T @ z_train, z_train.T @ x_train)
        residual = x_train - z_train @ H_T
        W = xp.linalg.solve(residual.T @ residual / N, H_T.T)  # Lambda^-1 H
        q, J = x[k : k + 1] @ W, xp.zeros((1, T, d, d)) + H_T @ W
        mu, _ = information_filter(q, J, A, S - A @ A.T, xp.zeros((1, d)), S[None, ...])
        error, zero = rmse(z[k], xp.stack([mu, 0 * mu]))
        gaps.append(abs(error - zero))
    return max(gaps)


claims.check(
    "C2.f",
    "a Kalman filter fitted to 50 000 pairs, n = 10 and 32: largest |RMSE − RMS(z)|",
    measured=max(learned_kalman(n) for n in (10, 32)),
    at_most=0.03,
    seeds=len(seeds),
)

# %%
bounds = {10: (0.70, 0.80), 32: (0.45, 0.53), 100: (0.31, 0.38), 316: (0.21, 0.26)}
for letter, (n, bound) in zip("abcd", bounds.items(), strict=True):
    value = errors[n]["clip"]
    text = f"DKF, n = {n}: RMSE"
    claims.check(f"C2.{letter}", text, measured=value, between=bound, seeds=2, own=True)
claims.check(
    "C2.e",
    "n = 100: RMSE of f alone over that of the DKF",
    measured=errors[100]["f only"] / errors[100]["clip"],
    at_least=1.25,
    seeds=len(seeds),
)
claims.check(
    "C3.a",
    "n = 32: RMSE of the DKF minus that of 1000 particles",
    measured=errors[32]["clip"] - errors[32]["PF 1000"],
    at_most=0.01,
    paper="approaches a large PF",
    seeds=len(seeds),
)

# %%
claims.check(
    "C3.b",
    "n ≥ 10: largest ratio of the DKF's RMSE to that of 100 particles",
    measured=max(errors[n]["clip"] / errors[n]["PF 100"] for n in ns if n >= 10),
    at_most=0.9999,
    seeds=len(seeds),
)
claims.report_value(
    "C3.c",
    "n = 100: processor time of f and DKF over that of 1000 particles, best of three",
    measured=spent["clip"] / spent["PF 1000"],
    paper="orders of magnitude",
    seeds=len(seeds),
)

# %% [markdown]
# Now the thesis's recipe, where the measurements are sharper and the repairs matter. The share of confusing measurements says how
# often a repair is needed at all.

# %%
columns = ("f only", "clip", "thesis", "robust", "ADF")
ns_thesis = (10, 20, 50)
_, Q = exact_posterior(*mixture_statistics(thesis, ns_thesis, T)[1:], thesis["lam"])
confusing = xp.astype(xp.linalg.eigvalsh(Q)[..., -1] >= 1, xp.float64)
share = to_host(xp.mean(confusing, axis=(1, 2))).tolist()
thesis_errors = by_size(ns_thesis, compare_on_mixture(thesis, ns_thesis, (), T)[0])
table(
    [
        [f"n = {n}", share[k], *(e[name] for name in columns)]
        for k, (n, e) in enumerate(thesis_errors.items())
    ],
    ["Size", "Confusing share", *(methods.get(k, k) for k in columns)],
    "RMSE with the thesis's recipe: sharper measurements, slower start.",
)

# %% [markdown]
# At $n=10$ most measurements are confusing, and the thesis's repair, which is then the robust step, loses to the
# clipping of the journal's code. The assumed-density filter wins by far where the sign is ambiguous. By $n=50$ all are alike.
#
# ### Binary measurements
#
# Each of $d=3$ coordinates, with $A=0.3I+0.2$ and $S=I$, is seen through $n$ bits. The standard normal quantiles $c_0=-\infty<c_1<\dots<c_n=\infty$
# cut the line into $n$ cells of equal probability; bit $i$ tells with probability 0.999 whether $z\ge c_{i-1}$, and in a second regime, chosen by a
# coin for each coordinate and time, all bits say the opposite. A single bit is therefore one with probability
# $\tfrac12$ whatever the state. The likelihood is constant within a cell, so that with the cells' posterior weights
# $w_k\propto p(x\mid\text{cell }k)$ and the moments of the truncated normal law,
#
# $$f=\sum_kw_k\,n\bigl(\phi(c_{k-1})-\phi(c_k)\bigr),\qquad
# \mathbb E[z^2\mid x]=\sum_kw_k\bigl(1+n\,(c_{k-1}\phi(c_{k-1})-c_k\phi(c_k))\bigr).$$

# %%
eps = 0.001  # how often a bit lies


def cell_moments(n: int) -> tuple[Array, Array, Array]:
    """Edges c, and mean and second moment of N(0, 1) within each of n equal cells."""
    c = ndtri([i / n for i in range(n + 1)])
    phi = [math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in c]
    c_phi = [v * p if p > 0 else 0.0 for v, p in zip(c, phi, strict=True)]
    first = [n * (phi[k] - phi[k + 1]) for k in range(n)]
    second = [1 + n * (c_phi[k] - c_phi[k + 1]) for k in range(n)]
    return to_device(c), to_device(first), to_device(second)


def bits(z: Array, c: Array, rng) -> Array:
    """x_i = 1 with probability eps + (1 - 2 eps) [z >= c_{i-1}], or its complement."""
    above = z[..., None] >= c[:-1]
    p = eps + (1 - 2 * eps) * (above == (rng.random(z.shape) < 0.5)[..., None])
    return xp.astype(rng.random(p.shape) < p, xp.float64)


def cell_log_likelihood(x: Array) -> Array:
    """log p(x | cell k), both regimes; cell k lies above the edges 0 to k."""
    k = xp.arange(x.shape[-1])
    p = eps + (1 - 2 * eps) * (k[:, None] >= k)
    agree = x @ xp.log(p / (1 - p)).T
    return xp.logaddexp(agree + xp.sum(xp.log(1 - p), axis=1), xp.sum(xp.log(p), axis=1) - agree)


# %%
def bits_data(n: int, T: int) -> tuple[Array, Array, Array, Array]:
    """States (B, T, 3), the same for all n, log p(x | cell) (B, T, 3, n), f and Q."""
    A, (c, first, second), runs = 0.3 * xp.eye(3) + 0.2, cell_moments(n), []
    for rng in map(generator, seeds_bits):
        z = states(A, xp.eye(3) - A @ A.T, xp.eye(3), T, rng)
        runs.append((z, bits(z, c, rng)))
    z, x = (xp.stack(part) for part in zip(*runs, strict=True))
    log_p = cell_log_likelihood(x)
    w = xp.exp(log_p - xp.max(log_p, axis=-1, keepdims=True))
    w = w / xp.sum(w, axis=-1, keepdims=True)
    f = w @ first
    Q = (w @ second - f * f)[..., None] * xp.eye(3)  # the coordinates are independent given x
    return z, log_p, f, Q


# %% [markdown]
# The particle filters of all $n$ run as one batch, and most of their time would go into the search for each particle's cell. A table is
# faster: it cuts $[-4,4]$ into 1024 bins, so fine that no two edges share one. The number of edges below a bin and one comparison
# give the cell.

# %%
def find_cells(ns):
    """A function from z, with one row for each n, to the number of edges at or below z."""
    left, far = xp.arange(1024) / 128 - 4, to_device([math.inf])
    inner = [cell_moments(n)[0][1:-1] for n in ns]
    below = xp.concat([xp.searchsorted(c, left, side="left") for c in inner])
    edges = xp.concat([xp.concat([c, xp.tile(far, (max(ns) - len(c),))]) for c in inner])
    row = xp.arange(len(ns))[:, None, None, None]

    def cells(z: Array) -> Array:
        k = xp.astype(xp.clip(128 * z + 512, 0, 1023), xp.int64)
        k = xp.take(below, k + 1024 * row)
        return k + (z >= xp.take(edges, k + max(ns) * row))

    return cells


# %%
def cells_log_likelihood(log_p: list[Array], ns):
    """log p(x_t | z) of particles z (N, B, m, 3), looked up in their cells."""
    B, T, cells = len(log_p[0]), log_p[0].shape[1], find_cells(ns)
    fill = [xp.zeros((B, T, 3, max(ns) - n)) for n in ns]
    parts = [xp.concat(pair, axis=-1) for pair in zip(log_p, fill, strict=True)]
    looked_up = xp.permute_dims(xp.stack(parts), (2, 0, 1, 3, 4))  # (T, N, B, 3, cells)
    offset = max(ns) * xp.reshape(xp.arange(len(ns) * B * 3), (len(ns), B, 1, 3))

    def log_likelihood(t, z):
        return row_sums(xp.take(xp.reshape(looked_up[t], (-1,)), offset + cells(z)))[..., 0]

    return log_likelihood


# %%
def compare_on_bits(ns, T: int, m: int) -> dict[str, list[float]]:
    """RMSE of f, the DKF, the robust DKF and m particles for each number of bits."""
    A, S, B = 0.3 * xp.eye(3) + 0.2, xp.eye(3), len(seeds_bits)
    Gamma, rng = S - A @ A.T, generator(7)
    z, log_p, f, Q = zip(*(bits_data(n, T) for n in progress(ns, "bits")), strict=True)
    z, f, Q = z[0], xp.stack(f), xp.stack(Q)
    cloud = xp.zeros((len(ns), 1, 1, 1)) + rng.standard_normal((B, m, 3))
    log_likelihood = cells_log_likelihood(log_p, ns)
    pf = particle_filter(log_likelihood, linear_move(A, Gamma), cloud, T, rng)
    filters = {v: dkf(f, Q, A, Gamma, S, v)[0] for v in ("clip", "robust")}
    return {k: rmse(z, e) for k, e in ({"f only": f} | filters | {"PF": pf}).items()}


# %%
ns_bits, m_bits = (2, 5, 10, 20, 50), scale(default=1000, paper=100_000)
T_bits = scale(default=3000, paper=10_000)
seeds_bits = scale(default=(0, 1, 2), paper=(0, 1, 2, 3, 4))
bit_errors = by_size(ns_bits, compare_on_bits(ns_bits, T_bits, m_bits))
names = {"f only": "f only", "clip": "DKF", "robust": "robust DKF", "PF": f"PF {m_bits}"}
table(
    [[names[k], *(bit_errors[n][k] for n in ns_bits)] for k in names],
    ["Method", *(f"n = {n}" for n in ns_bits)],
    "RMSE with n bits for each of three coordinates, mean of three seeds.",
)

# %% [markdown]
# Two of the rows deserve a stop. The robust DKF is worse than $f$ without any filter: it pulls each estimate towards a mean in which the prior
# is counted twice. And 1000 particles get *worse* with more bits: cells of probability $1/50$ in each of three coordinates
# are too small for 1000 particles to hit, while the DKF reads its answer off.

# %%
for letter, n in zip("ab", (10, 20), strict=True):
    e = bit_errors[n]
    claims.check(
        f"C4.{letter}",
        f"{n} bits: the larger of DKF − f only and f only − robust, in RMSE",
        measured=max(e["clip"] - e["f only"], e["f only"] - e["robust"]),
        at_most=0.0,
        seeds=len(seeds_bits),
    )
claims.check(
    "C4.c",
    "10 bits: RMSE of the DKF",
    measured=bit_errors[10]["clip"],
    between=(0.165, 0.205),
    seeds=len(seeds_bits),
    own=True,
)

# %%
simulated = [*errors.values(), *bit_errors.values(), *thesis_errors.values()]
claims.check(
    "C4.d",
    "all simulated mixtures: least ratio of the robust DKF's RMSE to the DKF's",
    measured=min(e["robust"] / e["clip"] for e in simulated),
    at_least=1.0001,
    paper="robust loses on simulated data",
    seeds=len(seeds),
)


# %% [markdown]
# ### Learned from pairs: a simulated motor cortex
#
# Now $f$ and $Q$ must be learned. The state is a planar velocity with $A=0.95I$, $S=I$. Neuron $i$ of 40 fires at the rate
# $10\log(1+e^{a_i})$ per second, where $a_i=b_i+u_i^\top z\pm\tfrac12\lVert z\rVert^2$ with a random preferred
# direction $u_i$, a random sign and $b_i\sim\mathcal N(0,1)$. We count spikes in bins of 100 ms, take square roots and keep ten
# principal components, as the thesis does with the recordings. These constants are the first that we tried. There are 5000 training bins and 1000 test bins.

# %%
def session(seed: int, T: int = 6000, neurons: int = 40) -> tuple[Array, Array]:
    """Velocities z and square roots of Poisson counts in bins of 100 ms."""
    rng = generator(seed)
    A = 0.95 * xp.eye(2)
    z = states(A, xp.eye(2) - A @ A.T, xp.eye(2), T, rng)
    angle = 2 * math.pi * rng.random(neurons)
    b = rng.standard_normal(neurons)
    sign = xp.where(rng.random(neurons) < 0.5, -1.0, 1.0)
    a = b + z @ xp.stack([xp.cos(angle), xp.sin(angle)])
    a = a + sign * xp.sum(z * z, axis=1)[:, None] / 2
    counts = rng.poisson(to_host(xp.logaddexp(a, xp.zeros_like(a))))  # 10 / s for 0.1 s
    return z, xp.sqrt(xp.astype(counts, xp.float64))


def principal_components(y: Array, train: int, k: int = 10) -> Array:
    """Projections on k leading eigenvectors, scaled; all learned on the training bins."""
    y = y - xp.mean(y[:train], axis=0)
    _, V = xp.linalg.eigh(y[:train].T @ y[:train])
    x = y @ V[:, -k:]
    return x / xp.std(x[:train], axis=0)


# %% [markdown]
# **Kernel regression** (NW) averages the training targets with weights $e^{-\lVert x-x_i\rVert^2/2h^2}$; the bandwidth $h$ minimises the
# leave-one-out error. Its estimate is a convex combination, so averages of squared residuals stay positive semi-definite.

# %%
def kernel_averages(q: Array, x: Array, y: Array, widths, left_out: bool = False) -> Array:
    """sum_i w_i y_i with w_i proportional to exp(-|q - x_i|^2 / 2 h^2), for each h (h, q, y).

    With left_out the first points of x are q itself, and none counts in its own average.
    """
    distances, y_1 = SquaredDistances(x), xp.concat([y, xp.ones((len(y), 1))], axis=1)
    averages = [[] for _ in widths]
    for rows in row_blocks(len(q), len(x), x):
        D = distances(q[rows])
        if left_out:
            D[xp.arange(len(D)), xp.arange(rows.start, rows.stop)] = math.inf
        D = xp.min(D, axis=1, keepdims=True) - D
        for h, parts in zip(widths, averages, strict=True):
            sums = xp.exp(xp.maximum(D / (2 * h * h), -600.0)) @ y_1  # below, exp is slow
            parts.append(sums[:, :-1] / sums[:, -1:])
    return xp.stack([xp.concat(parts) for parts in averages])


def kernel_regression(x: Array, y: Array, left_out: int = 500):
    """The predictor q -> E[y | q] with the bandwidth of least leave-one-out error."""
    widths = (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0, 3.0)
    errors = kernel_averages(x[:left_out], x, y, widths, left_out=True) - y[:left_out]
    h = widths[int(xp.argmin(xp.mean(errors**2, axis=(1, 2))))]
    return lambda q: kernel_averages(q, x, y, (h,))[0]


# %% [markdown]
# **Gaussian process** regression, one for each state dimension, has the kernel $\sigma^2k$ with $k$ either the product (RBF)
# $e^{-\lVert x-y\rVert^2/2p\ell^2}$ over $p$ features or the thesis's *multiple kernel* (MK)
# $\tfrac1p\sum_j e^{-(x_j-y_j)^2/2\ell^2}$. With noise $\tau\sigma^2$ and $K=V\Lambda V^\top$ the marginal likelihood at the best $\sigma^2$ is
#
# $$-\tfrac n2\log\Bigl(\tfrac1n\sum_i\frac{(V^\top z)_i^2}{\Lambda_i+\tau}\Bigr)-\tfrac12\sum_i\log(\Lambda_i+\tau)+\text{const},$$
#
# so one eigendecomposition serves all $\tau$ and both dimensions. We maximise over a grid of $\ell$ and $\tau$.

# %%
def rbf(a: Array, b: Array, ell: float) -> Array:
    """exp(-|a - b|^2 / 2 p ell^2)."""
    return xp.exp(-squared_distances(a, b) / (2 * ell * ell * a.shape[1]))


def multiple(a: Array, b: Array, ell: float) -> Array:
    """(1 / p) sum_j exp(-(a_j - b_j)^2 / 2 ell^2)."""
    u, v, p = a / (math.sqrt(2) * ell), b / (math.sqrt(2) * ell), a.shape[1]
    blocks = []
    for rows in row_blocks(len(u), len(v), u):
        parts = (xp.exp(-((u[rows, j, None] - v[:, j]) ** 2)) for j in range(p))
        blocks.append(sum(parts) / p)
    return xp.concat(blocks)


# %%
def gaussian_process(kernel, x: Array, z: Array, ells=(1.0, 2.0, 4.0)):
    """Posterior mean with ell and tau of largest marginal likelihood, per column of z."""
    n, best = len(x), [(-math.inf,)] * z.shape[1]
    for ell in ells:
        values, V = xp.linalg.eigh(kernel(x, x, ell))
        for tau in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0):
            s = xp.where(values > 0, values, 0.0) + tau  # rounding leaves values of -1e-14
            for j, y in enumerate((V.T @ z).T):
                fit_to_z = n * math.log(float(xp.mean(y * y / s)))
                score = -(fit_to_z + float(xp.sum(xp.log(s)))) / 2
                best[j] = max(best[j], (score, ell, tau, V @ (y / s)), key=lambda b: b[0])

    def mean(q: Array) -> Array:
        K = {ell: kernel(q, x, ell) for ell in {ell for _, ell, *_ in best}}
        return xp.stack([K[ell] @ alpha for _, ell, _, alpha in best], axis=1)

    return mean


# %% [markdown]
# A **small network** with ten tanh units is trained by Adam on the squared error.

# %%
def train_network(x: Array, y: Array, hidden, seed: int, steps: int, rate: float, gain=1.0):
    """Parameters of a tanh network gain x -> y of least squared error."""
    rng = generator(seed)
    start = mlp_init(rng, [x.shape[1], *hidden, y.shape[1]], dtype="float64")

    def loss(params, x, y):
        return ad.mean((mlp(params, gain * x, "tanh") - y) ** 2)

    optimiser = Adam(cosine_decay(rate, steps))
    return fit(loss, start, (x, y), optimiser, steps=steps, rng=rng).params


# %% [markdown]
# For each $f$, fitted on 70 % of the training bins, $Q(x)$ is the kernel regression of $rr^\top$ on the residuals $r=z-f(x)$ of
# the other 30 %. Residuals from the bins that fitted $f$ would be too small and the filter overconfident.

# %%
def learned_filters(f, held_out, x: Array, dynamics) -> dict[str, Array]:
    """f alone, and the DKF and robust DKF with Q(x) from held-out residuals."""
    x_held, z_held = held_out
    r = z_held - f(x_held)
    Q = kernel_regression(x_held, xp.reshape(r[:, :, None] * r[:, None, :], (-1, 4)))(x)
    fx, Q = f(x)[None, ...], xp.reshape(Q, (1, -1, 2, 2))
    filtered = {v: dkf(fx, Q, *dynamics, v)[0][0] for v in ("clip", "robust")}
    return {"f only": fx[0], "DKF": filtered["clip"], "robust": filtered["robust"]}


def linear_fit(x: Array, y: Array) -> tuple[Array, Array]:
    """B of y = x B by least squares, and the covariance of the residuals."""
    B = xp.linalg.solve(x.T @ x, x.T @ y)
    r = y - x @ B
    return B, r.T @ r / len(r)


# %% [markdown]
# The baselines use all training bins. Kalman's filter has $H$ and $\Lambda$ by least squares; the EKF replaces $Hz$ by a network
# $h(z)$ of ten tanh units, linearised at the prediction $m$, so that $C=h'(m)$, $q=C^\top\Lambda^{-1}(x-h(m)+Cm)$ and $J=C^\top\Lambda^{-1}C$.

# %%
def kalman_decoder(z, x, x_test, A, Gamma, S) -> Array:
    """The pair q = H' Lambda^-1 x, J = H' Lambda^-1 H, begun at the prior."""
    H_T, Lam = linear_fit(z, x)
    W = xp.linalg.solve(Lam, H_T.T)
    q, J = (x_test @ W)[None, ...], xp.zeros((1, len(x_test), 2, 2)) + H_T @ W
    first = update(xp.zeros((1, 2)), S[None, ...], q[:, 0], J[:, 0])
    return information_filter(q, J, A, Gamma, *first)[0][0]


def extended_kalman_decoder(z, x, x_test, A, Gamma, S, seed: int) -> Array:
    """The same with x = h(z) + noise, h a network linearised at the prediction."""
    inner, outer = train_network(z, x, (10,), seed, 1000, 0.02)
    r = x - mlp([inner, outer], z, "tanh")
    R_inv = inverse(r.T @ r / len(r))
    m, M, means = xp.zeros(2), S, []
    for x_t in x_test:
        unit = xp.tanh(m @ inner["weight"] + inner["bias"])
        C = ((inner["weight"] * (1 - unit**2)) @ outer["weight"]).T
        q = C.T @ R_inv @ (x_t - unit @ outer["weight"] - outer["bias"] + C @ m)
        mu, Sigma = update(m, M, q, C.T @ R_inv @ C)
        means.append(mu)
        m, M = A @ mu, A @ Sigma @ A.T + Gamma
    return xp.stack(means)


# %%
train, split, thin = 5000, 3500, 5  # bins; the Gaussian process keeps 700 of 3500


def decode(seed: int) -> tuple[Array, dict[str, Array]]:
    """Test velocities of a session, and what every method makes of them."""
    z, y = session(seed)
    x = principal_components(y, train)
    z_fit, x_fit, z_test, x_test = z[:split], x[:split], z[train:], x[train:]
    A, Gamma = linear_fit(z[: train - 1], z[1:train])
    dynamics = A.T, Gamma, z[:train].T @ z[:train] / train
    network = train_network(x_fit, z_fit, (10,), seed, 1000, 0.02)
    regressions = {
        "NW": kernel_regression(x_fit, z_fit),
        "GP": gaussian_process(rbf, x_fit[::thin], z_fit[::thin]),
        "NN": lambda q: mlp(network, q, "tanh"),
    }
    held = x[split:train], z[split:train]
    estimates = {"Kalman": kalman_decoder(z[:train], x[:train], x_test, *dynamics)}
    for name, f in regressions.items():
        found = learned_filters(f, held, x_test, dynamics)
        estimates |= {f"{kind}-{name}": value for kind, value in found.items()}
    encoder = extended_kalman_decoder(z[:train], x[:train], x_test, *dynamics, seed)
    return z_test, estimates | {"EKF": encoder}


# %% [markdown]
# Two measures: the normalised error (nRMSE), $\lVert\hat z-z\rVert/\lVert z\rVert$, and the mean absolute angular error (MAAE), the wrapped difference of
# directions averaged over bins with $\lVert z\rVert>0.1$.

# %%
def nrmse(z: Array, estimate: Array) -> float:
    """Root of the summed squared error over the root of the summed squares of z."""
    return float(xp.sqrt(xp.sum((z - estimate) ** 2) / xp.sum(z * z)))


def angular_error(z: Array, estimate: Array) -> float:
    """Mean absolute angle (rad) between z and its estimate where |z| > 0.1."""
    cross = z[:, 0] * estimate[:, 1] - z[:, 1] * estimate[:, 0]
    angle = xp.abs(xp.atan2(cross, xp.sum(z * estimate, axis=1)))
    return float(xp.mean(angle[xp.sum(z * z, axis=1) > 0.01]))


sessions = range(scale(default=3, paper=20))
decoded = [decode(seed) for seed in progress(sessions, "sessions")]


def average(measure, name: str) -> float:
    """Mean of a measure over the sessions."""
    return sum(measure(z, estimates[name]) for z, estimates in decoded) / len(decoded)


# %%
reported = {"DKF-NW": -18, "DKF-GP": -15, "DKF-NN": -14, "EKF": -2}
reported |= {"f only-NW": -16, "f only-GP": -12, "f only-NN": -11}
base = {measure: average(measure, "Kalman") for measure in (angular_error, nrmse)}
rows = []
for name in decoded[0][1]:
    row = [name, average(angular_error, name), average(nrmse, name)]
    row += [f"{100 * (average(m, name) / b - 1):+.1f} %" for m, b in base.items()]
    rows.append([*row, f"{reported[name]:+d} %" if name in reported else "–"])
table(
    rows,
    ["Method", "MAAE (rad)", "nRMSE", "MAAE, change", "nRMSE, change", "Thesis, MAAE change"],
    "Simulated sessions, means. Changes are against Kalman; the thesis's are for macaque data.",
)
kinds = {"f only": "sky", "robust": "purple", "DKF": "blue"}
bars = {k: [average(nrmse, f"{k}-{f}") for f in ("NW", "GP", "NN")] for k in kinds}
traced = ("f only-GP", "DKF-GP", "Kalman")
traces = {"true": decoded[0][0]} | {k: decoded[0][1][k] for k in traced}

# %% tags=["hide-input"]
with figure(
    1,
    2,
    alt="Left: over fifteen seconds the DKF follows the true velocity; the unfiltered regression "
    "jumps around it. Right: for each regression the DKF has the least error, f alone the largest; "
    "with a Gaussian process or a network the DKF is below Kalman, with kernels it is not.",
    caption="Simulated motor cortex. Left: one velocity coordinate, first session. Right: nRMSE, "
    "mean of the sessions; the line is the Kalman filter.",
    width=9,
    height=3.4,
) as axes:
    for (k, v), color in zip(traces.items(), ("black", "sky", "blue", "vermilion"), strict=True):
        style = {"color": PALETTE[color], "lw": 1 + (k == "true"), "label": k}
        axes[0].plot([0.1 * t for t in range(150)], to_host(v[:150, 0]), **style)
    axes[0].set(xlabel="time (s)", ylabel="velocity (standard deviations)")
    axes[0].legend(fontsize=7)
    for k, (kind, color) in enumerate(kinds.items()):
        places = [j + 0.25 * (k - 1) for j in range(3)]
        axes[1].bar(places, bars[kind], 0.24, color=PALETTE[color], label=kind)
    axes[1].axhline(base[nrmse], color=PALETTE["vermilion"], label="Kalman")
    axes[1].set(ylabel="nRMSE", xlabel="regression f", ylim=(0, 0.62))
    axes[1].set_xticks(range(3), ["NW", "GP", "NN"])
    axes[1].legend(fontsize=7, loc="upper right", ncol=2)

# %%
claims.check(
    "C5.a",
    "DKF-NW or DKF-GP, the better one: change of nRMSE against Kalman",
    measured=100 * min(average(nrmse, f"DKF-{f}") / base[nrmse] - 1 for f in ("NW", "GP")),
    at_most=-8,
    unit="%",
    paper="−20 (NW), −19 (GP), macaque",
    seeds=len(decoded),
)
for letter, f in zip("bcd", ("NW", "GP", "NN"), strict=True):
    claims.check(
        f"C5.{letter}",
        f"{f}: nRMSE filtered over unfiltered",
        measured=average(nrmse, f"DKF-{f}") / average(nrmse, f"f only-{f}"),
        at_most=0.9999,
        paper="filtered better, by angular error",
        seeds=len(decoded),
    )

# %% [markdown]
# ### Nonlinear dynamics
#
# The prediction in equation {eq}`dkf-information` may come from any filter. In the thesis's model 9 the state moves as $z_t=g(z_{t-1})+\mathcal N(0,\Gamma)$
# with $g(z)=A(\sin z+z)$, and is seen through steps, $x=\lfloor z-a_j\rfloor+z/3$ plus noise, for several offsets $a_j$. The thesis
# does not give $A$, the offsets or the sizes; ours are $d=2$, $a_j=j/5$ for $j=0,\dots,4$ in each coordinate ($n=10$), $A$
# 0.45 times a rotation by 20°, and all noise of variance 0.1.

# %%
turn = math.radians(20)
A_9 = 0.45 * to_device([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
noise = 0.1
Gamma_9, R_9 = noise * xp.eye(2), noise * xp.eye(10)


def g(z: Array) -> Array:
    """A (sin z + z)."""
    return (xp.sin(z) + z) @ A_9.T


def steps(z: Array) -> Array:
    """floor(z - j / 5) + z / 3 for j = 0 ... 4."""
    return xp.concat([xp.floor(z - j / 5) + z / 3 for j in range(5)], axis=-1)


def simulate(T: int, rng, burn_in: int = 50) -> tuple[Array, Array]:
    """A stationary path (T, 2) and its measurements (T, 10)."""
    e = math.sqrt(noise) * rng.standard_normal((T + burn_in, 2))
    z = [e[0]]
    for t in range(1, T + burn_in):
        z.append(g(z[-1]) + e[t])
    z = xp.stack(z[burn_in:])
    return z, steps(z) + math.sqrt(noise) * rng.standard_normal((T, 10))


# %% [markdown]
# The EKF linearises $g$ and the measurement, whose derivative is $\tfrac13$ almost everywhere. The UKF sends the five points $m$,
# $m\pm\sqrt3L_j$ with $LL^\top=M$ through the functions and takes weighted moments, with weights $\tfrac13$ and $\tfrac16$.

# %%
def unscented(mu: Array, P: Array, function) -> tuple[Array, Array, Array]:
    """Mean and covariance of function(z), z ~ N(mu, P), and their cross-covariance."""
    L = math.sqrt(3) * transpose(xp.linalg.cholesky(P))
    points = xp.concat([mu[:, None], mu[:, None] + L, mu[:, None] - L], axis=1)
    w = to_device([1 / 3, *[1 / 6] * 4])[:, None]
    y = function(points)
    m = xp.sum(w * y, axis=1)
    dy = transpose(w * (y - m[:, None]))
    return m, dy @ (y - m[:, None]), transpose(dy @ (points - mu[:, None]))


def predict_ekf(mu: Array, P: Array) -> tuple[Array, Array]:
    """g(mu) and G P G' + Gamma with G = g'(mu)."""
    G = A_9 * (xp.cos(mu) + 1)[:, None, :]
    return g(mu), G @ P @ transpose(G) + Gamma_9


def predict_ukf(mu: Array, P: Array) -> tuple[Array, Array]:
    """Unscented moments of g(z), plus Gamma."""
    m, M, _ = unscented(mu, P, g)
    return m, M + Gamma_9


# %%
def measure_ekf(m: Array, M: Array, x: Array) -> tuple[Array, Array]:
    """q = H' R^-1 (x - h(m) + H m), J = H' R^-1 H with H = 1/3 in each offset."""
    H = xp.concat([xp.eye(2) / 3] * 5)
    J = H.T @ H / noise
    return update(m, M, (x - steps(m)) @ H / noise + m @ J, J)


def measure_ukf(m: Array, M: Array, x: Array) -> tuple[Array, Array]:
    """K = C P_x^-1, m + K (x - E x), M - K C' from unscented moments."""
    x_mean, P, C = unscented(m, M, steps)
    K_T = xp.linalg.solve(P + R_9, transpose(C))
    M = M - C @ K_T
    return m + apply(transpose(K_T), x - x_mean), (M + transpose(M)) / 2


def run_filter(predict, measurement, B: int, T: int, S: Array) -> Array:
    """Alternate measurement(t, m, M) and predict(mu, Sigma) from N(0, S)."""
    m, M, means = xp.zeros((B, 2)), xp.zeros((B, 1, 1)) + S, []
    for t in range(T):
        mu, Sigma = measurement(t, m, M)
        means.append(mu)
        m, M = predict(mu, Sigma)
    return xp.stack(means, axis=1)


# %% [markdown]
# From 10 000 simulated pairs, 70 % of them for $f$ and 30 % for a constant $Q$, we learn two regressions: kernel averages, one for each
# coordinate from its own five measurements, and a network with two layers of 40 tanh units, the best of seven settings on other seeds.
# Beside them stands the $f$ that they should have learned, $\mathbb E[z\mid x]$ itself: with the same
# simulated states $z_i$ and the known likelihood, $f^*(x)=\sum_iw_iz_i$ with $w_i\propto p(x\mid z_i)$.

# %%
def exact_regression(z_train: Array):
    """f*(x) = sum_i w_i z_i with w_i proportional to p(x | z_i)."""
    x_train = steps(z_train)
    return lambda x: kernel_averages(x, x_train, z_train, (math.sqrt(noise),))[0]


def coordinate_kernels(x: Array, z: Array):
    """Kernel regression of each coordinate on the measurements of its own axis."""
    parts = [kernel_regression(x[:, j::2], z[:, j : j + 1]) for j in range(2)]
    return lambda q: xp.concat([part(q[:, j::2]) for j, part in enumerate(parts)], axis=1)


# %%
def learn_model_9(seed: int = 1000) -> tuple[dict, Array]:
    """For each regression: f and its constant Q; and the covariance S."""
    z, x = simulate(10_000, generator(seed))
    params = train_network(x[:7000], z[:7000], (40, 40), 3, 4000, 0.005, gain=3.0)
    regressions = {
        "kernels": coordinate_kernels(x[:7000], z[:7000]),
        "network": lambda q: mlp(params, 3.0 * q, "tanh"),
        "exact f": exact_regression(z[:7000]),
    }
    learned = {}
    for name, f in regressions.items():
        r = z[7000:] - f(x[7000:])
        learned[name] = f, r.T @ r / len(r)
    return learned, z.T @ z / len(z)


def discriminative(f: Array, Q: Array, S: Array):
    """The DKF's measurement step for run_filter."""
    q, J = information(f, Q + xp.zeros((*f.shape[:2], 1, 1)), S, "clip")
    return lambda t, m, M: update(m, M, q[:, t], J[:, t])


# %%
T_9, m_9, B = scale(default=500, paper=5000), scale(default=2000, paper=50_000), 5
learned, S_9 = learn_model_9()
z, x = (xp.stack(p) for p in zip(*(simulate(T_9, generator(s)) for s in range(B)), strict=True))
runs = {
    "EKF": run_filter(predict_ekf, lambda t, m, M: measure_ekf(m, M, x[:, t]), B, T_9, S_9),
    "UKF": run_filter(predict_ukf, lambda t, m, M: measure_ukf(m, M, x[:, t]), B, T_9, S_9),
}
for name, (f, Q) in learned.items():
    fx = xp.reshape(f(xp.reshape(x, (-1, 10))), z.shape)
    step = discriminative(fx, Q, S_9)
    runs[f"unfiltered, {name}"] = fx
    runs[f"EKF+DKF, {name}"] = run_filter(predict_ekf, step, B, T_9, S_9)
    runs[f"UKF+DKF, {name}"] = run_filter(predict_ukf, step, B, T_9, S_9)
rng = generator(7)
runs["PF"] = particle_filter(
    lambda t, p: -row_sums((x[:, t, None] - steps(p)) ** 2)[..., 0] / (2 * noise),
    lambda p, rng: g(p) + math.sqrt(noise) * rng.standard_normal(p.shape),
    rng.standard_normal((1, B, m_9, 2)) @ xp.linalg.cholesky(S_9).T,
    T_9,
    rng,
)[0]

# %%
trials = {k: [nrmse(z[b], e[b]) for b in range(B)] for k, e in runs.items()}
model_9 = {k: sum(v) / B for k, v in trials.items()}
paper_9 = {"EKF": 0.415, "UKF": 0.472, "PF": 0.329, "unfiltered, network": 0.353}
paper_9 |= {"EKF+DKF, network": 0.331, "UKF+DKF, network": 0.331}
table(
    [
        [k, v, f"{100 * (v / model_9['PF'] - 1):+.1f} %", paper_9.get(k, "–")]
        for k, v in model_9.items()
    ],
    ["Method", "nRMSE", "Against PF", "Thesis (other constants)"],
    "Model 9: mean of five trials.",
)

# %%
for letters, predict in (("ad", "EKF"), ("be", "UKF")):
    for letter, f in zip(letters, ("kernels", "exact f"), strict=True):
        own = f == "exact f"
        claims.check(
            f"C6.{letter}",
            f"model 9, {predict}+DKF with the {f}: nRMSE above that of the particle filter",
            measured=100 * (model_9[f"{predict}+DKF, {f}"] / model_9["PF"] - 1),
            at_most=5,
            unit="%",
            paper=None if own else "+0.6",
            seeds=B,
            own=own,
        )
claims.report_value(
    "C6.f",
    "model 9, EKF+DKF with the network: nRMSE above that of the particle filter",
    measured=100 * (model_9["EKF+DKF, network"] / model_9["PF"] - 1),
    unit="%",
    paper="+0.6",
    seeds=B,
)

# %%
claims.check(
    "C6.c",
    "model 9, EKF: nRMSE above that of the particle filter",
    measured=100 * (model_9["EKF"] / model_9["PF"] - 1),
    at_least=10,
    unit="%",
    paper="+26",
    seeds=B,
)


# %% [markdown]
# The DKF with the right regression reaches the particle filter, with a Gaussian approximation and a constant $Q$. Not every regression is the
# right one: this network does not learn the steps. They divide each axis into cells of width $\tfrac15$, the best $f$ decides which cell the
# state is in, and the network finds a smoothed version of it. A kernel average over the five measurements of an axis, learned from the same pairs,
# sees the cells. The weak link is the regression, not the inversion.
#
# ### A feature that shifts
#
# Electrodes drift. We decode the simulated sessions from the first 30 neurons, unfiltered, and add $c$ standard deviations to the
# most informative feature of the test bins, the one most correlated with velocity. Kernels are averaged over features or multiplied, with the length
# $\ell$ of largest marginal likelihood, and once more averaged with a short $\ell=\tfrac12$ set by hand.

# %%
def shift_errors(seed: int, shifts) -> dict[str, list[float]]:
    """Angular error of each decoder for each shift of the most informative feature."""
    z, y = session(seed)
    y = y[:, :30]
    x = (y - xp.mean(y[:train], axis=0)) / xp.std(y[:train], axis=0)
    best = xp.argmax(xp.sum((x[:train].T @ z[:train]) ** 2, axis=1))
    moved = xp.astype(xp.arange(30) == best, xp.float64)
    B, _ = linear_fit(x[:train], z[:train])
    some = x[:train:12], z[:train:12]
    decoders = {
        "linear": lambda q: q @ B,
        "GP, RBF": gaussian_process(rbf, *some),
        "GP, MK": gaussian_process(multiple, *some),
        "GP, MK, ℓ = 1/2": gaussian_process(multiple, *some, (0.5,)),
    }
    return {
        name: [angular_error(z[train:], f(x[train:] + c * moved)) for c in shifts]
        for name, f in decoders.items()
    }


# %%
shifts = (0, 1, 2, 5)
shifted = [shift_errors(seed, shifts) for seed in progress(sessions, "shifts")]
drift = {k: [sum(s[k][i] for s in shifted) / len(shifted) for i in range(4)] for k in shifted[0]}
table(
    [[k, *v] for k, v in drift.items()],
    ["Decoder", *(f"c = {c}" for c in shifts)],
    "Mean absolute angular error (rad) after a shift of one feature by c standard deviations.",
)

# %% [markdown]
# Insensitivity does not come out of the multiple kernel alone. Maximum likelihood gives it a long $\ell$, at which it is nearly linear in each
# feature, and it degrades like the linear decoder. Only with the short $\ell$ does its error stop growing, because a feature far from all training
# data then contributes nothing: at five standard deviations it is paid for on clean data. We have no threshold to assert here and let the
# table speak.
#
# ## Verdict
#
# The algebra holds to rounding, and dividing by the prior matters: wherever the model is known, the robust version that forgets to divide is
# worse, on binary measurements even worse than not filtering. The DKF passes 1000 particles from some tens of measurements on, at a fraction
# of their time. Two things qualify the picture. Someone who knows the measurement model can do better at small $n$ by assumed-density filtering, at the
# same kind of cost. And a discriminative filter is only as good as its regression: on simulated neurons the Gaussian process and the network
# take much off Kalman's normalised error but kernel regression in ten dimensions nothing, and in model 9 a network that smooths the
# steps of $f$ costs what a kernel average saves.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# **The thesis's model 9.** The thesis leaves the constants of the model open; ours are our own, and so is the choice of kernel averages.
#
# **The recordings.** Neither the macaque data nor the human sessions can be bundled. The simulated sessions keep the table's
# layout, not its numbers, and differ in a telling way: in the thesis the unfiltered regressions already beat Kalman's filter, here they are
# far behind it; we suspect that our neurons are closer to linear and a single bin of ours noisier. The best angular errors are close to
# Kalman's, so the claim rests on the normalised error alone. An EKF with a learned encoder, which the thesis found to help little, is the best filter of the table: our neurons are
# conditionally independent given the velocity, which is the world that generative filters assume. Of the thesis's baselines the LSTM is left
# out, and the UKF appears in model 9 only. That the robust version wins on real data needs real data.
#
# **The multiple kernel** is examined above on simulated sessions; the thesis's training set of eight target means and its
# online sessions are not. The thesis remarks that one shifted feature of $m$ never lowers the kernel below $(m-1)/m$. That is true for inputs whose other features are
# identical and with $\sigma_f^2=1$; in general the loss is at most $\sigma_f^2/m$ of whatever value the kernel had.
#
# **The library's repair.** The published code's third repair, $Q\leftarrow(Q^{-1}+S^{-1})^{-1}$, is stated above and not run.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the mixtures run with five seeds, $10^4$ steps, up to 1000 measurements and up to $10^5$ particles, the bits
# likewise, and the simulated cortex with 20 sessions. The particle filters dominate: through the sufficient statistics a step costs
# some $2md^2$ multiplications for each component instead of $mnd$, $4\cdot10^7$ for $10^5$ particles. This has not been run on a GPU yet.
