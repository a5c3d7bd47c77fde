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
# # Cloud scaling with a forecast and a promise
#
# ```{paper-card}
# ```
#
# A cloud service buys machines before it knows what its users will ask for. Too few, and requests fail; too many, and money burns. The provider promises: demand
# exceeds what was bought in at most five of a hundred steps. A forecast of *the* demand cannot keep such a promise; a forecast of its whole *distribution* can:
# buy its 95 per cent quantile. {cite:t}`cloud_scaling` forecast many indicators at once with a hierarchical attention network, bend its Gaussian outputs with a
# normalising flow, and let Bayesian decision theory buy. Their claim: resources are saved and the promise holds, also when conditions change.
#
# Conditions do change. In the picture the bursts of a made-up service become four times as frequent, and its processors twice as noisy. The *static* rule keeps
# buying by the distribution that it learned. The *adaptive* one compares the past forecasts with what happened, and corrects the risk that it aims at.

# %% tags=["hide-input"]
import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from scipy.special import betaincinv, entr, ndtr, ndtri

from gaussbook import autodiff as ad
from gaussbook import nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.metrics import crps_gaussian, crps_samples
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay, minimize_lbfgs
from gaussbook.plotting import PALETTE, figure
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.traces import DAY, INDICATORS, clock, lagged, ridge_forecast, service_trace

claims, xp = Claims("cloud_scaling"), backend()
SEEDS = (0, 1)
N_TRAIN, N_VAL = 21 * DAY, 3 * DAY
start = N_TRAIN + N_VAL  # of the test; then 30 fresh days, the shift, and 30 more
FRESH, SHIFT, END = 30 * DAY, 60 * DAY, 90 * DAY
PARTS = {"before": slice(FRESH, SHIFT), "after": slice(SHIFT + 200, END)}  # 200 steps to adapt

# %% tags=["hide-input"]
NAMES, LEVELS = list(INDICATORS), tuple(INDICATORS.values())
N, LOAD = len(NAMES), NAMES.index("load A")
C_0, GAMMA = 20, 0.99

def recalibrated(u, levels, block=128, reach=1000):
    """For each of the levels (L,) and each t the smallest v with G_t(v) >= level; shape (L, n)."""
    u, n, found = xp.minimum(u, xp.asarray(1 - 1e-9)), u.shape[0], []
    for first in range(0, n, block):
        begin, end = max(0, first - reach), min(n, first + block)
        order = xp.argsort(u[begin:end])
        i, t = xp.astype(begin + order, xp.float64), xp.arange(first, end, dtype=xp.float64)[:, None]
        weight = xp.where(i < t, GAMMA ** (t - first) * GAMMA ** (first - 1 - i), xp.asarray(0.0))
        below = xp.cumulative_sum(weight, axis=1, include_initial=True)
        v = xp.concat([xp.take(u[begin:end], order), xp.ones(1)])
        at_jumps = C_0 * v[:-1] + below[:, 1:]
        for level in levels:
            mass = level * (C_0 + below[:, -1:])
            k = xp.sum(xp.astype(at_jumps < mass, xp.int64), axis=1)
            before = xp.take_along_axis(below, k[:, None], axis=1)
            found.append(xp.minimum(xp.take(v, k), ((mass - before) / C_0)[:, 0]))
    return xp.stack([xp.concat(found[k :: len(levels)]) for k in range(len(levels))])


# %% tags=["hide-input"]
EPSILON = 0.05
X = service_trace(generator(SEEDS[0]), END, SHIFT)
D = X[:, LOAD]

def plain_capacity(X, adaptive):
    """Regression plus a quantile of its sorted training errors, from `start` on."""
    forecast = ridge_forecast(X, N_TRAIN)[:, LOAD]
    errors = xp.sort((X[:, LOAD] - forecast)[6:N_TRAIN])
    u = xp.searchsorted(errors, (X[:, LOAD] - forecast)[start:]) / errors.shape[0]
    level = recalibrated(u, [1 - EPSILON])[0, :] if adaptive else xp.full(u.shape, 1 - EPSILON)
    ranks = xp.astype(xp.ceil(level * errors.shape[0]), xp.int64) - 1
    return forecast[start:] + xp.take(errors, ranks)

def violation(c, D, part):
    """How often, in per cent, demand exceeded capacity in a part."""
    return 100 * float(xp.mean(xp.astype(D[part] > c[part.start - start : part.stop - start], xp.float64)))

bought = {name: plain_capacity(X, name == "adaptive") for name in ("static", "adaptive")}

# %% tags=["hide-input"]
alt = """Two panels over time around a shift. Above, a spiky demand and two capacities just above it. Before the shift the two lie on
each other; after it the demand jumps over the static one often, while the adaptive one moves up. Below, the share of broken promises of the
last five days: both near the promise before; then the static rule climbs far above it and stays there, the adaptive one rises a little and comes back."""
caption = """Above: demand (load of service A) and the capacity bought, from a day before the shift to two days after. Below: share
of steps in which demand exceeded capacity, over the last five days, with the central 90 % of its Beta posterior; dotted: the promise."""
with figure(2, 1, alt=alt, caption=caption, height=6.0) as axes:
    near, window = slice(SHIFT - DAY, SHIFT + 2 * DAY), 5 * DAY
    days = (np.arange(near.start, near.stop) - SHIFT) / DAY
    axes[0].fill_between(days, to_host(D[near]), color="gray", alpha=0.5, lw=0, label="demand")
    for (name, c), colour in zip(bought.items(), ("vermilion", "blue"), strict=True):
        axes[0].step(days, to_host(c[near.start - start : near.stop - start]), color=PALETTE[colour], lw=1, label=name)
        k = np.convolve(to_host(D[start:] > c).astype(float), np.ones(window), "valid")
        low, high = (100 * betaincinv(1 + k, 1 + window - k, q) for q in (0.05, 0.95))
        when = (np.arange(window, len(c) + 1) + start - SHIFT) / DAY
        axes[1].plot(when, 100 * k / window, color=PALETTE[colour], label=name)
        axes[1].fill_between(when, low, high, color=PALETTE[colour], alpha=0.25, lw=0)
    axes[1].axhline(100 * EPSILON, color="black", ls=":")
    axes[0].set(xlabel="days after the shift", ylabel="load (requests waiting)", yscale="log")
    axes[1].set(xlabel="days after the shift", ylabel="broken promises (%)", ylim=(0, None))
    axes[0].legend(loc="upper left", ncols=3)
    axes[1].legend(loc="upper left")

# %%
plain = {(name, part): violation(c, D, PARTS[part]) for name, c in bought.items() for part in PARTS}
say(f"""Promised: at most 5 %. Before the shift the static rule breaks its promise in {plain["static", "before"]:.1f} % of the
steps and the adaptive one in {plain["adaptive", "before"]:.1f} %. From 200 steps after it, **{plain["static", "after"]:.1f} % against
{plain["adaptive", "after"]:.1f} %**. The promise holds where the forecast is corrected, not where it is trusted.""")


# %% [markdown]
# So it is with every forecast that we tried (claims C5). Flows do give better distributions than Gaussian outputs (C1 to C3), and where only 1 % is allowed this
# decides (C5.g). At 5 % they buy no cheaper than a margin on the last value (C5.b, C6.a), and the hierarchy of levels brought nothing here (C7.a).
#
# The forecast of the picture is plain: ridge regression on the last six steps of all indicators and the hour, with its sorted training errors as the
# distribution. The correction is one equation. Let $F_i$ be the forecast distribution of the demand $D_i$ and $u_i=F_i(D_i)$, the level that the demand turned
# out to have. If the forecasts are right, the $u_i$ are uniform between 0 and 1. If not, we learn how they are distributed, by a *Dirichlet process*: a belief
# about a distribution that starts as uniform, with the weight of $c_0=20$ observations, and in which old observations fade by $\gamma=0.99$ a step. Its mean is
#
# $$
# G_t(u)=\frac{c_0u+\sum_{i<t}\gamma^{t-1-i}\,1[u_i\le u]}{c_0+\sum_{i<t}\gamma^{t-1-i}},
# \qquad c_t=F_t^{-1}\bigl(G_t^{-1}(1-\epsilon)\bigr).
# $$ (eq-cs-recalibrate)
#
# For a promised risk $\epsilon$ we buy the level $v$ under which a share of $1-\epsilon$ of the demands has lately fallen: the smallest $v$ with
# $G_t(v)\ge1-\epsilon$. The second hidden cell, `recalibrated`, computes it for all steps at once; what is older than 1000 steps has faded below $10^{-4}$ and is
# left out.
#
# ## What the paper claims
#
# 1. Normalising flows turn Gaussian outputs into distributions that need not be Gaussian. {claims}`C1.a, C1.b, C1.c, C1.d, C1.e`
# 2. A Bayesian decision on the full predictive distribution buys the right capacity, where one on a Gaussian does not. {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f`
# 3. The flow improves the forecast. {claims}`C3.a, C3.b, C3.c, C3.d, C3.e, C3.f, C3.g`
# 4. The network forecasts better than the baselines (nine, on four data sets; names and numbers were not found). {claims}`C4.a, C4.b, C4.c, C4.d`
# 5. The promise (the service-level agreement, SLA) is kept under changing conditions, at a lower cost. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f, C5.g`
# 6. Resources are saved. {claims}`C6.a, C6.b`
# 7. Attention in a hierarchy of levels beats flat attention. {claims}`C7.a, C7.b, C7.c, C7.d`
#
# Not tested here: the month in production, in which over 35 000 GPU hours and more than \$100 000 were saved.
#
# **What our numbers rest on.** We read the abstract, a summary, and the released forecasting code with its result file; the paper's full text was not available.
# The decision stage is not released: the rule of this chapter is the standard one that the abstract implies, and its adaptive form is ours. The traces are made
# up, shaped after the statistics of the one published data set, which carries no licence and is not bundled. All thresholds are ours.
#
# ## The idea
#
# **Buying.** Idle capacity costs $c_o$ a unit, missing capacity $c_u$. With the demand's distribution function $F$ the expected cost $c_oE(c-D)_++c_uE(D-c)_+$
# has the derivative $c_oF(c)-c_u(1-F(c))$ and is least at
#
# $$
# c^*=F^{-1}(\tau),\qquad \tau=\frac{c_u}{c_u+c_o},
# $$ (eq-cs-newsvendor)
#
# the *newsvendor* rule. The promise $P(D>c)\le\epsilon$ asks for $c\ge F^{-1}(1-\epsilon)$. These are different constraints, and the larger one binds. We let
# both say the same: $c_u/c_o=19$ belongs to $\epsilon=0.05$ and $99$ to $0.01$.
#
# **Bending.** Which $F$? The network says a mean $\mu_j$ and a deviation $\sigma_j$ for each indicator $j$. A *flow* takes $z\sim
# N(\mu,\operatorname{diag}\sigma^2)$ through an invertible map $T$, and the density of $y=T(z)$ is
#
# $$
# \ln p(y)=\ln N(T^{-1}y;\mu,\sigma^2)+\ln\bigl|\det\partial T^{-1}(y)\bigr|.
# $$ (eq-cs-flow)
#
# The paper uses Real-NVP. A *coupling* with a mask $m$ of zeros and ones leaves the coordinates with $m=1$ alone, and shifts and stretches the others by what
# these say:
#
# $$
# z'=mz+(1-m)\bigl(z\,e^{s(mz)}+t(mz)\bigr),\qquad \ln|\det|=\textstyle\sum(1-m)s .
# $$ (eq-cs-coupling)
#
# Here $s$, bounded by a tanh, and $t$ are small networks, and four couplings with alternating masks follow each other. Given the others a coordinate stays
# Gaussian, so that a lone coordinate stays Gaussian too. We add a bend of each coordinate, the *sinh-arcsinh* map, with an inverse and a derivative in closed
# form:
#
# $$
# u=\sinh\frac{\operatorname{asinh}z+\epsilon_j}{\delta_j},\qquad z=\sinh(\delta_j\operatorname{asinh}u-\epsilon_j),\qquad
# \frac{dz}{du}=\delta_j\sqrt{\frac{1+z^2}{1+u^2}} .
# $$ (eq-cs-bend)
#
# Positive $\epsilon_j$ lean to the right, $\delta_j<1$ makes heavy tails.
#
# **A demand with a law of its own.** The quantiles of one coordinate of a flow need sampling, unless no coupling changes it. Any joint distribution can be
# written as that of the demand times that of the rest given the demand. So we set $m=1$ for the load in all four couplings: the others may depend on it, and its
# own distribution is $\mu$, $\sigma$ and the bend, in closed form.
#
# ## The method in code
#
# **The bend**, equation {eq}`eq-cs-bend`, and the law of a single bent coordinate.

# %%
def asinh(x):
    """The inverse of sinh, without cancellation for negative x."""
    return ad.where(x < 0, -1.0, 1.0) * ad.log(ad.abs(x) + ad.sqrt(x * x + 1))

def sinh(x):
    return (ad.exp(x) - ad.exp(-x)) / 2

def bend(z, epsilon, log_delta):
    """u = sinh((asinh z + epsilon) / delta)."""
    return sinh((asinh(z) + epsilon) * ad.exp(-log_delta))

def unbend(u, epsilon, log_delta):
    """z = sinh(delta asinh u - epsilon) and ln dz/du."""
    z = sinh(ad.exp(log_delta) * asinh(u) - epsilon)
    return z, log_delta + (ad.log(1 + z * z) - ad.log(1 + u * u)) / 2


# %%
@dataclass(frozen=True)
class Law:
    """y = centre + width bend(mu + sigma e) with normal e; numbers or arrays."""
    mu: Any
    sigma: Any
    epsilon: Any = 0.0
    log_delta: Any = None  # no bend: a Gaussian
    centre: Any = 0.0
    width: Any = 1.0
    def column(self, j):
        return Law(*(getattr(self, field.name)[j] for field in fields(self)))
    def unbent(self, y):
        u = (y - self.centre) / self.width
        return (u, 0.0) if self.log_delta is None else unbend(u, self.epsilon, self.log_delta)
    def log_density(self, y):
        z, slope = self.unbent(y)
        e = (z - self.mu) / self.sigma
        return slope - e**2 / 2 - math.log(2 * math.pi) / 2 - ad.log(self.sigma * self.width)
    def cdf(self, y):
        return to_device(ndtr(to_host((self.unbent(y)[0] - self.mu) / self.sigma)))
    def quantile(self, level):
        z = self.mu + self.sigma * to_device(ndtri(to_host(level)))
        u = z if self.log_delta is None else bend(z, self.epsilon, self.log_delta)
        return self.centre + self.width * u


# %%
def fit_law(y):
    """Maximum likelihood, one bent law for each column of y (n, k)."""
    centre, width = xp.mean(y, axis=0), xp.std(y, axis=0)

    def law(p):
        return Law(p["mu"], ad.exp(p["log_sigma"]), p["epsilon"], p["log_delta"], centre, width)

    start = {name: xp.zeros_like(centre) for name in ("mu", "log_sigma", "epsilon", "log_delta")}
    return law(minimize_lbfgs(lambda p: -ad.mean(law(p).log_density(y)), start, tolerance=1e-4).params)


# %% [markdown]
# **The couplings**, equation {eq}`eq-cs-coupling`. Leading axes of the weights are separate flows, trained side by side.

# %%
HIDDEN = scale(default=16, paper=64)

def masks(N, keep=()):
    """Four alternating masks; the coordinates `keep` are never changed."""
    odd = np.arange(N) % 2
    m = np.stack([odd, 1 - odd, odd, 1 - odd]).astype(float)
    m[:, list(keep)] = 1.0
    return to_device(m)

def flow_init(rng, N, lead=(), delta=1.0):
    """Four couplings that begin as the identity, and a bend that does if delta is 1."""
    widths = [(N, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 2 * N)]
    sizes = [N**-0.5, HIDDEN**-0.5, 0.0]
    def layer(n, m, size):
        return {"W": size * rng.standard_normal((*lead, n, m)), "b": xp.zeros((*lead, 1, m))}

    couplings = [[layer(*shape, size) for shape, size in zip(widths, sizes, strict=True)] for _ in range(4)]
    return {"couplings": couplings, "epsilon": xp.zeros((*lead, 1, N)), "log_delta": xp.full((*lead, 1, N), math.log(delta))}

def s_and_t(coupling, m, z):
    """The log-scale s, bounded by tanh, and the shift t of one coupling; 0 where m = 1."""
    z = m * z
    for layer in coupling[:-1]:
        z = ad.tanh(ad.matmul(z, layer["W"]) + layer["b"])
    out = ad.matmul(z, coupling[-1]["W"]) + coupling[-1]["b"]
    half = out.shape[-1] // 2
    return (1 - m) * ad.tanh(out[..., :half]), (1 - m) * out[..., half:]


# %% [markdown]
# `push` is $T$, and `pull` returns $T^{-1}$ with its log-determinant, for equation {eq}`eq-cs-flow`.

# %%
def push(flow, z, m):
    """u = T(z): the couplings, then the bend."""
    for coupling, m_k in zip(flow["couplings"], m, strict=True):
        s, t = s_and_t(coupling, m_k, z)
        z = z * ad.exp(s) + t
    return bend(z, flow["epsilon"], flow["log_delta"])

def pull(flow, u, m):
    """z = T^{-1}(u) and ln |det dz/du|."""
    z, log_det = unbend(u, flow["epsilon"], flow["log_delta"])
    for coupling, m_k in zip(flow["couplings"][::-1], xp.flip(m, axis=0), strict=True):
        s, t = s_and_t(coupling, m_k, z)
        z, log_det = (z - t) * ad.exp(-s), log_det - s
    return z, ad.sum(log_det, axis=-1)

def log_density(flow, u, m, mu, sigma):
    """ln p(u) = ln N(T^{-1} u; mu, sigma^2) + ln |det dT^{-1}|."""
    z, log_det = pull(flow, u, m)
    base = ((z - mu) / sigma) ** 2 / 2 + ad.log(sigma) + math.log(2 * math.pi) / 2
    return log_det - ad.sum(base, axis=-1)


# %% [markdown]
# ## Experiments
#
# ### Can a flow learn a known law?
#
# Three laws: four independent *lognormals* $e^{0.5e}$, a *banana* $(x_1,x_2+x_1^2)$ of normals, and two coordinates of which the first has *bursts*:
# $0.9N(0,1)+0.1N(6,1)$. Each flow sees fresh draws for 250 steps of Adam.

# %%
def lognormals(rng, shape):
    return xp.exp(0.5 * rng.standard_normal((*shape, 4)))

def banana(rng, shape):
    x = rng.standard_normal((*shape, 2))
    return xp.stack([x[..., 0], x[..., 1] + x[..., 0] ** 2], axis=-1)

def bursts(rng, shape):
    x = rng.standard_normal((*shape, 2))
    burst = xp.astype(rng.uniform(size=shape) < 0.1, xp.float64)
    return xp.stack([x[..., 0] + 6 * burst, x[..., 1]], axis=-1)

def log_normal(x):
    return -(x**2) / 2 - math.log(2 * math.pi) / 2

def log_burst(x):
    return xp.log(0.9 * xp.exp(log_normal(x)) + 0.1 * xp.exp(log_normal(x - 6)))

TRUTH = {  # the logarithms of the true densities
    "lognormals": lambda x: xp.sum(log_normal(2 * xp.log(x)) + math.log(2) - xp.log(x), axis=-1),
    "banana": lambda x: log_normal(x[..., 0]) + log_normal(x[..., 1] - x[..., 0] ** 2),
    "bursts": lambda x: log_burst(x[..., 0]) + log_normal(x[..., 1]),
}


# %%
def fit_flows(draws, N, bends, rng, steps=250, batch=128):
    """One flow for each entry of draws and bends, all trained at once; bend 0 is Real-NVP alone."""
    m, lead = masks(N), (len(draws),)
    bends = to_device(np.reshape(bends, (-1, 1, 1)).astype(float))
    zeros = xp.zeros((*lead, 1, N))
    params = {"flow": flow_init(rng, N, lead), "mu": zeros, "log_sigma": zeros}

    def parts(p):
        flow = p["flow"] | {name: bends * p["flow"][name] for name in ("epsilon", "log_delta")}
        return flow, p["mu"], ad.exp(p["log_sigma"])

    def loss(params, x):
        flow, mu, sigma = parts(params)
        return -ad.sum(ad.mean(log_density(flow, x, m, mu, sigma), axis=1))

    def data(rng):
        return (xp.stack([draw(rng, (batch,)) for draw in draws]),)

    fitted = nn.fit(loss, params, data, Adam(cosine_decay(1.2e-2, steps)), steps=steps, rng=rng)
    return parts(fitted.params)

to_fit, to_test = generator(0).spawn(2)
kinds = [1, 1, 1, 0]  # three seeds with the bend, one without
four = fit_flows([lognormals] * 4, 4, kinds, to_fit)
two = fit_flows([bursts] * 4 + [banana] * 2, 2, [*kinds, 1, 0], to_fit)
M4, M2 = masks(4), masks(2)

# %% [markdown]
# The *gap* is the held-out negative log-likelihood (NLL) of 20 000 points minus that of the truth on the same points: an estimate of the divergence, in nats. The
# Gaussian has the true means and covariances; its expected gap is $\frac12\ln\det$ of the covariance plus the Gaussian's constant minus the entropy.

# %%
held_out = {"lognormals": lognormals(to_test, (20_000,)), "bursts": bursts(to_test, (20_000,)), "banana": banana(to_test, (20_000,))}
fits = {"lognormals": (four, M4, slice(0, 4)), "bursts": (two, M2, slice(0, 4)), "banana": (two, M2, slice(4, 6))}

def gaps(law):
    """Gap of each network of a law, in nats."""
    (flow, mu, sigma), m, rows = fits[law]
    x = held_out[law]
    q = log_density(flow, x[None, :, :], m, mu, sigma)
    return to_host(xp.mean(TRUTH[law](x) - q, axis=1))[rows]

gap = {law: gaps(law) for law in fits}
burst_entropy = 0.005 * np.sum(entr(np.exp(to_host(log_burst(to_device(np.linspace(-12, 20, 6401)))))))
VARIANCE = {"lognormals": (math.exp(0.25) - 1) * math.exp(0.25), "bursts": 1 + 0.09 * 36}
gaussian_gap = {"lognormals": 2 * math.log(VARIANCE["lognormals"] / 0.25), "banana": 0.5 * math.log(3)}
gaussian_gap["bursts"] = 0.5 * math.log(2 * math.pi * math.e * VARIANCE["bursts"]) - burst_entropy
with_bend = {"lognormals": 3, "bursts": 3, "banana": 1}
rows = [[law, gaussian_gap[law], float(np.max(gap[law][n:])), float(np.max(gap[law][:n]))] for law, n in with_bend.items()]
table(rows, ["law", "Gaussian", "Real-NVP", "Real-NVP and bend"], "Gap to the truth on held-out points (nats, all dimensions); with the bend the worst of three seeds, banana one")

# %% [markdown]
# On joint laws the couplings come far without the bend: they use the other coordinates as a source of shapes. What remains of the bursts is the hard part, a hole
# between two bumps.

# %%
z = 16 * to_test.uniform(0, 1, (4, 2000, 4)) - 8
there = push(four[0], z, M4)
back, log_det = pull(four[0], there, M4)
claims.check("C1.a", "E1: largest error of the inverse for |z| ≤ 8", measured=float(xp.max(xp.abs(back - z))), at_most=1e-8, seeds=3, own=True)
h, few = 1e-5, z[:, :50, :]
columns = [(push(four[0], few + h * e, M4) - push(four[0], few - h * e, M4)) / (2 * h) for e in xp.eye(4)]
by_differences = xp.linalg.slogdet(xp.stack(columns, axis=-1))[1]
claims.check("C1.c", "E1: largest error of the log-determinant against finite differences",
             measured=float(xp.max(xp.abs(by_differences + log_det[:, :50]))), at_most=1e-5, seeds=3, own=True)
claims.check("C1.d", "E1: lognormals, gap of the flow with the bend, seed farthest from 0",
             measured=float(max(gap["lognormals"][:3], key=abs)) / 4, between=(-0.01, 0.05), unit="nats/dim", seeds=3)
claims.check("C1.e", "E1: bursts, gap of the Gaussian minus that of the flow, smallest",
             measured=gaussian_gap["bursts"] - float(np.max(gap["bursts"][:3])), at_least=0.1, unit="nats", seeds=3)
side = np.sinh(np.linspace(-5.5, 5.5, 500))  # dense in the middle, far out at the ends
step = np.gradient(side)
grid = to_device(np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(1, -1, 2))
burst_flow = ad.tree_map(lambda a: a[:1], two)
mass = xp.exp(log_density(burst_flow[0], grid, M2, *burst_flow[1:]))[0, :]
claims.check("C1.b", "E1: integral of a fitted density over the plane",
             measured=float(xp.sum(mass * to_device(np.outer(step, step).reshape(-1)))), between=(0.99, 1.01), own=True)

# %% [markdown]
# ### What a promise costs under a known law
#
# For the lognormal and for the bursts we know the capacity that keeps the promise exactly. What do a Gaussian of the right mean and variance, the fitted flows,
# and a bend alone, without couplings, buy instead? The true violations are closed forms; the flow's own quantile comes from 100 000 of its draws.

# %%
KNOWN = {
    "lognormal": (lambda c: ndtr(-2 * np.log(c)), (math.exp(0.125), VARIANCE["lognormals"] ** 0.5)),
    "bursts": (lambda c: 0.9 * ndtr(-c) + 0.1 * ndtr(6 - c), (0.6, VARIANCE["bursts"] ** 0.5)),
}
LEVEL = np.array([0.95, 0.99])
line = np.linspace(0.5, 12, 1_150_001)
exact, gaussian, bend_buys, flow_buys = {}, {}, {}, {}
for (law, (tail, (mean, sd))), x in zip(KNOWN.items(), held_out.values(), strict=False):
    exact[law] = np.interp(LEVEL - 1, -tail(line), line)
    gaussian[law] = mean + sd * ndtri(LEVEL)
    bend_buys[law] = to_host(fit_law(x[:, :1]).quantile(to_device(LEVEL)))
for law, (flow, mu, sigma), m, n in (("lognormal", four, M4, 4), ("bursts", two, M2, 2)):
    flow, mu, sigma = (ad.tree_map(lambda a: a[:3], part) for part in (flow, mu, sigma))
    u = push(flow, mu + sigma * to_test.standard_normal((3, 100_000, n)), m)
    flow_buys[law] = np.quantile(to_host(u), LEVEL, axis=1)[..., : 4 if law == "lognormal" else 1]

rows = []
for law, (tail, _) in KNOWN.items():
    for k, level in enumerate(LEVEL):
        flows = 100 * tail(flow_buys[law][k])
        rows.append([law, f"{100 * (1 - level):.0f} %", exact[law][k], gaussian[law][k], float(np.median(flow_buys[law][k])),
                     100 * tail(gaussian[law][k]), 100 * tail(bend_buys[law][k]), f"{flows.min():.2f} to {flows.max():.2f}"])
columns = ["law", "promise", "exact capacity", "Gaussian buys", "flow buys (median)", "Gaussian breaks (%)", "bend alone breaks (%)", "flows break (%)"]
table(rows, columns, "Capacities for a promised risk, and the true violations")

# %%
BY_HAND = {"lognormal": (2.276, 3.200, 2.126, 2.538), "bursts": (6.000, 7.282, 3.987, 5.390)}
off = [np.concatenate([exact[law], gaussian[law]]) / BY_HAND[law] - 1 for law in KNOWN]
claims.check("C2.a", "E2: eight capacities against those computed by hand, largest relative distance",
             measured=100 * float(np.max(np.abs(off))), at_most=0.5, unit="%", own=True)
draws = {"lognormal": lognormals(to_test, (250_000,)), "bursts": bursts(to_test, (1_000_000,))[:, 0]}
ordered = {law: np.sort(to_host(x), axis=None) for law, x in draws.items()}
shares = {law: 100 - np.searchsorted(ordered[law], gaussian[law]) / 1e4 for law in KNOWN}
claims.check("C2.d", "E2: share of a million draws above the Gaussian's capacities against 6.57, 3.12, 9.78 and 7.29 % by hand, largest distance",
             measured=float(np.max(np.abs([shares["lognormal"] - (6.57, 3.12), shares["bursts"] - (9.78, 7.29)]))), at_most=0.15, unit="points", own=True)
flows = 100 * KNOWN["lognormal"][0](flow_buys["lognormal"]).mean(axis=-1)  # of four coordinates
for id, k, bounds in (("C2.b", 0, (4.0, 6.0)), ("C2.f", 1, (0.6, 1.9))):
    promise = 100 * (1 - LEVEL[k])
    claims.check(id, f"E2: lognormal, how often the flow's capacity is exceeded where {promise:.0f} % is promised, farthest seed",
                 measured=float(max(flows[k], key=lambda v: abs(v - promise))), between=bounds, unit="%", seeds=3)
claims.check("C2.e", "E2: bursts, how often the flow's capacity is exceeded where 5 % is promised, mean of the seeds",
             measured=100 * float(np.mean(KNOWN["bursts"][0](flow_buys["bursts"][0]))), at_least=6, unit="%", seeds=3, own=True)

def mean_cost(law, c, ratio=19):
    """E (c - D)_+ + ratio E (D - c)_+ over the million draws."""
    x = ordered[law]
    k, total = np.searchsorted(x, c), np.concatenate([[0], np.cumsum(x)])
    return (c * k - total[k] + ratio * (total[-1] - total[k] - c * (len(x) - k))) / len(x)

cheapest = {law: (grid := np.linspace(0.5, 2, 1501) * exact[law][0])[np.argmin(mean_cost(law, grid))] for law in KNOWN}
claims.check("C2.c", "E2: cheapest capacity on a grid against the quantile at τ = 0.95, largest relative distance",
             measured=100 * max(abs(cheapest[law] / exact[law][0] - 1) for law in KNOWN), at_most=2, unit="%", own=True)

# %% [markdown]
# The Gaussian fails by the shape: on a law with a light left and a heavy right side it buys too little for a strict promise. The flow's lognormal is right. Its
# bursts are not: with a far better likelihood than the Gaussian's, it misses the 5 % promise by nearly as much, and for 1 % it buys too much. It draws one long
# tail through the hole between the bumps and beyond the second one, as a bend alone does. *A better likelihood is not a better quantile*, and a quantile is what
# one buys.
#
# ### Forecasting twelve indicators
#
# **Data.** Two services share a machine: request rates with a daily and a weekly rhythm and bursts (level 1); processors, network, disk, memory and a constant
# (level 2); the load, which is the smoothed $\rho/(1-\rho)$ of a queue with utilisation $\rho$, a latency, and the utilisation, which stands for the queue's
# length (level 3). Each indicator is scaled from 0 to 1 on the training part. The constant carries a little noise, or its likelihood would be infinite.
#
# **Network.** The window of $T$ steps of each indicator becomes one token, by a linear map that all share; a learned vector says which indicator it is. The hour,
# as sine and cosine, gives two more tokens of level 1. In the *cascade*, the tokens of level 1 attend to each other. Those of level 2 attend to each other and to
# the *outputs* of level 1, and so on. A residual, a norm and a dense part follow as usual. Windows are standardised. Four changes of ours suit a small network
# and a short training (150 steps): we subtract the last value where the release subtracts the mean; the training variance is added to the window's, so that a
# quiet window cannot make a burst infinitely surprising; the last value, squeezed into $(-1,1)$, is one more input, or the network could not know how high the
# load stands; and the change to be forecast is measured in units of 1.5 median changes, so that the bend, which begins with $\delta_j=0.5$, works where the data
# are.

# %%
T = scale(default=48, paper=144)
WIDTH, HEADS, LAYERS = scale(default=(32, 4, 1), paper=(512, 8, 2))
STEPS, BATCH, RATE = scale(default=(150, 64, 8e-3), paper=(250, 128, 1e-4))
HOUR = 2  # tokens of the clock

def network_init(rng):
    """A map of windows, a vector for each token, attention blocks, a head."""
    window, name = nn.dense_init(rng, T + 1, WIDTH), nn.normal(rng, (HOUR + N, WIDTH), scale=0.3)
    blocks = [nn.transformer_block_init(rng, WIDTH, 2 * WIDTH) for _ in range(LAYERS)]
    return {"window": window, "name": name, "blocks": blocks, "head": nn.dense_init(rng, WIDTH, 2)}

def by_level(levels):
    """Order of the tokens by level, how many each level has, and the way back."""
    of_token = np.array([1] * HOUR + list(levels))
    order = np.argsort(of_token, kind="stable")
    sizes = [int(np.sum(of_token == level)) for level in (1, 2, 3)]
    return to_device(order), sizes, to_device(np.argsort(order)[HOUR:])


# %%
def cascade(p, h, sizes, zeros=False, lost=None):
    """Attention level by level; each level also sees the outputs of the one before."""
    q, k, v = (nn.dense(p[name], h) for name in ("query", "key", "value"))
    outputs, first = [], 0
    for size in sizes:
        level = slice(first, first + size)
        K, V = k[:, level, :], v[:, level, :]
        if outputs:
            K, V = (ad.concat([outputs[-1], x], axis=1) for x in (K, V))
        if zeros:  # the released code keeps all other tokens, as zeros
            none = xp.zeros((h.shape[0], h.shape[1] - K.shape[1], WIDTH), dtype=xp.float32)
            there = xp.concat([xp.ones(K.shape, dtype=xp.float32), none], axis=1)
            K, V = (ad.concat([x, none], axis=1) for x in (K, V))
            if lost is not None:  # the weight on what is not there, and its share of the tokens
                present = ad.attention(q[:, level, :], K, there, heads=HEADS)
                lost.append((1 - float(xp.mean(present)), none.shape[1] / h.shape[1]))
        outputs.append(ad.attention(q[:, level, :], K, V, heads=HEADS))
        first += size
    return nn.dense(p["output"], ad.concat(outputs, axis=1))


# %%
def network(params, x, levels=LEVELS, flat=False, **absent):
    """mu and sigma of every indicator from standardised windows x (B, HOUR + N, T)."""
    order, sizes, back = by_level(levels)
    h = ad.take(nn.dense(params["window"], x) + params["name"], order, axis=1)
    for p in params["blocks"]:
        if flat:
            seen = nn.multi_head_attention(p["attention"], h, heads=HEADS)
        else:
            seen = cascade(p["attention"], h, sizes, **absent)
        h = nn.layer_norm(p["attention_norm"], h + seen)
        h = nn.layer_norm(p["dense_norm"], h + nn.dense(p["down"], nn.dense(p["up"], h, "gelu")))
    out = ad.astype(ad.take(nn.dense(params["head"], h), back, axis=1), xp.float64)
    return out[..., 0], ad.softplus(out[..., 1]) + 1e-3


# %% [markdown]
# Both heads are trained by the exact likelihood: the Gaussian one by that of $N(\mu,\sigma^2)$, the flow by equation {eq}`eq-cs-flow`. The release does not do
# this. It averages 100 draws of the base, pushes the *average* through the flow and minimises its squared error; the distribution it reports is the one before
# the flow.

# %%
M_LOAD = masks(N, keep=(LOAD,))

def scaled(X):
    """Each indicator from 0 to 1 on the training part."""
    low = xp.min(X[:N_TRAIN, :], axis=0)
    return (X - low) / (xp.max(X[:N_TRAIN, :], axis=0) - low)

def standardised(X):
    """Windows in their own units, the values that follow, and these units (last value, deviation)."""
    x, train = lagged(X, T, T), X[:N_TRAIN, :]
    last, sd = x[:, :, -1], xp.sqrt(xp.var(x, axis=2) + xp.var(train, axis=0))
    height = (last - xp.mean(train, axis=0)) / xp.std(train, axis=0)
    windows = xp.concat([(x - last[:, :, None]) / sd[:, :, None], (height / (1 + xp.abs(height)))[:, :, None]], axis=2)
    windows = xp.concat([lagged(clock(X.shape[0] + 1), T + 1, T + 1), windows], axis=1)
    change = X[T:, :] - last
    unit = 1.5 * sd * to_device(np.median(to_host(xp.abs(change / sd))[: N_TRAIN - T, :], axis=0))
    return xp.astype(windows, xp.float32), change / unit, last, unit

def train(x, y, rng, flow=False, **kind):
    """Maximise the likelihood of the values y after the windows x."""
    params = {"network": network_init(rng)} | ({"flow": flow_init(rng, N, delta=0.5)} if flow else {})

    def loss(params, x, y):
        mu, sigma = network(params["network"], x, **kind)
        if flow:
            return -ad.mean(log_density(params["flow"], y, M_LOAD, mu, sigma)) / N
        return -ad.mean(Law(mu, sigma).log_density(y))

    adam = Adam(cosine_decay(RATE, STEPS), beta2=0.99)
    return nn.fit(loss, params, (x, y), adam, steps=STEPS, rng=rng, batch_size=BATCH, clip=1.0).params


# %% [markdown]
# The models are judged on the six test days and the thirty fresh days before the shift. The scores are the mean squared error (MSE); the *continuous ranked
# probability score* $\mathrm{CRPS}=E|y'-y|-\frac12E|y'-y''|$ with $y',y''$ drawn from the forecast, which has a closed form for Gaussians and is estimated from
# 99 sorted draws otherwise; and the negative log-likelihood (NLL) per dimension. *Draw, push, then average*: the mean of the flow is not the image of the mean.

# %%
KINDS = {"flat, Gaussian": {"flat": True}, "hierarchical, Gaussian": {}, "hierarchical, flow": {"flow": True}}
DRAWS = 99
BURSTY = [NAMES.index(name) for name in ("rate A", "rate B", "CPU A", "CPU B", "load A", "latency", "load B")]

def flow_draws(flow, mu, sigma, M, rng):
    """M draws of all indicators, nine at a time, in single precision."""
    small = ad.tree_map(lambda a: xp.astype(a, xp.float32), (flow, mu, sigma, M_LOAD))
    def draw():
        return to_device(rng.host.standard_normal((9, *mu.shape), dtype=np.float32))

    return xp.concat([push(small[0], small[1] + small[2] * draw(), small[3]) for _ in range(M // 9)])

def exceeds_top(flow, mu, sigma, y, draws, rng):
    """Whether y is above the largest of 999 draws, a level of 0.1 %; 900 are drawn only where 99 do not decide."""
    above = y > xp.max(draws, axis=0)
    rows = xp.nonzero(xp.any(above[:, BURSTY], axis=1))[0]
    more = flow_draws(flow, *(xp.take(a, rows, axis=0) for a in (mu, sigma)), 900, rng)
    above[rows, :] = xp.take(above, rows, axis=0) & (xp.take(y, rows, axis=0) > xp.max(more, axis=0))
    return above[:, BURSTY]


# %%
def score(density, crps, error, u, top):
    """The numbers of one model from its log-densities, CRPS, errors and levels."""
    inside = {f"{q} %": 100 * xp.astype(xp.abs(u - 0.5) <= q / 200, xp.float64) for q in (50, 90, 95, 98)}
    means = {"MSE": error**2, "CRPS": crps, "NLL": -density} | inside | {"top": 100 * xp.astype(top, xp.float64)}
    of_steps = to_host(xp.mean(density, axis=1))
    return {k: float(xp.mean(v)) for k, v in means.items()} | {"median NLL": -float(np.median(of_steps)), "levels": to_host(u)[:, BURSTY]}

def score_law(law, y, mean, unit=1.0):
    """The numbers of a model with a law for each indicator."""
    top = y > law.quantile(xp.full((N,), 0.999))
    density = law.log_density(y) - xp.log(unit + xp.zeros_like(y))
    spaced = xp.reshape((xp.arange(DRAWS) + 0.5) / DRAWS, (DRAWS, 1, 1))
    crps = crps_gaussian(y, law.mu, law.sigma) if law.log_delta is None else crps_samples(law.quantile(spaced), y)
    return score(density, crps * unit, (y - mean) * unit, law.cdf(y), top[:, BURSTY])

def score_flow(flow, mu, sigma, y, unit, rng):
    """The numbers of the flow, from its density and 99 draws."""
    draws = flow_draws(flow, mu, sigma, DRAWS, rng)
    density = log_density(flow, y, M_LOAD, mu, sigma)[:, None] / N - xp.log(unit)
    u = (xp.sum(xp.astype(draws < y, xp.float64), axis=0) + 0.5) / (DRAWS + 1)
    top = exceeds_top(flow, mu, sigma, y, draws, rng)
    return score(density, crps_samples(draws, y) * unit, (y - xp.mean(draws, axis=0)) * unit, u, top)


# %%
def linear_models(X):
    """The regression with two laws of its error, the bent law, the forecasts, and two simple MSEs."""
    forecast = ridge_forecast(X, N_TRAIN)[T:, :]
    error = X[T:, :] - forecast
    e, known = error[TEST, :], error[: N_TRAIN - T, :]
    normal, bent = Law(0.0, xp.std(known, axis=0)), fit_law(known)
    scores = {"linear, Gaussian": score_law(normal, e, 0.0), "linear, bent": score_law(bent, e, 0.0)}
    day = xp.mean(lagged(X, DAY, start), axis=2)[: SHIFT - start, :]
    known = {"last value": X[start - 1 : SHIFT - 1, :], "mean of the last day": day}
    return scores, bent, forecast, {k: float(xp.mean((X[start:SHIFT, :] - v) ** 2)) for k, v in known.items()}


# %%
TEST, PAST = slice(start - T, SHIFT - T), slice(0, N_TRAIN - T)  # rows of the windows
results, trained, said, simple, service = {}, {}, {}, {}, {}
for seed in SEEDS:
    X = service_trace(generator(seed), END, SHIFT)
    x, y, last, unit = standardised(scaled(X))
    results[seed], bent, forecast, simple[seed] = linear_models(scaled(X))
    rngs = generator(seed + 10).spawn(2 * len(KINDS))
    for k, (name, kind) in enumerate(KINDS.items()):
        p = trained[name, seed] = train(x[PAST, ...], y[PAST, :], rngs[2 * k], **kind)
        said[name, seed] = network(p["network"], x[N_TRAIN - T :, ...], flat=kind.get("flat", False))
        mu, sigma = (a[N_VAL : SHIFT - N_TRAIN, :] for a in said[name, seed])
        if "flow" in kind:
            results[seed][name] = score_flow(p["flow"], mu, sigma, y[TEST, :], unit[TEST, :], rngs[2 * k + 1])
        else:
            results[seed][name] = score_law(Law(mu, sigma), y[TEST, :], mu, unit[TEST, :])
    service[seed] = X, x, y, last, unit, bent, forecast

# %% tags=["hide-input"]
rows = [[name, np.mean([simple[s][name] for s in SEEDS]), *["–"] * 7] for name in simple[0]]
for name in ("linear, Gaussian", "linear, bent", *KINDS):
    rows.append([name, *(float(np.mean([results[s][name][k] for s in SEEDS])) for k in ("MSE", "CRPS", "NLL", "median NLL", "50 %", "90 %", "95 %", "98 %"))])
columns = ["model", "MSE", "CRPS", "NLL (nats/dim)", "median NLL", "within 50 %", "90 %", "95 %", "98 %"]
table(rows, columns, "Forecasts one step ahead, all indicators scaled to 0–1, means of two seeds; right: how many per cent fall into the central intervals")

alt = """Three histograms of the level that the bursty indicators turned out to have, for the Gaussian regression, the hierarchical network with a
Gaussian head and the one with the flow. The dashed line of a right forecast is at one. The first two have a hill in the middle, low sides and a
spike in the last bin; the flow's histogram is nearly flat, but for a spike in the last bin and a low first one."""
caption = "Levels $u=F(y)$ of the seven bursty indicators. A right forecast has a flat histogram (dashed); a spike at the right end means demands above all that was expected."
with figure(1, 3, alt=alt, caption=caption, width=9.0, height=3.0, sharey=True) as axes:
    for ax, name in zip(axes, ("linear, Gaussian", "hierarchical, Gaussian", "hierarchical, flow"), strict=True):
        levels = np.concatenate([results[s][name]["levels"] for s in SEEDS]).ravel()
        ax.hist(levels, 50, range=(0, 1), density=True, color=PALETTE["sky"])
        ax.axhline(1, color="black", ls="--", lw=1)
        ax.set(xlabel="level u", title=name)
    axes[0].set_ylabel("density")


# %%
def compare(number, a, b, how):
    """A number of model a against that of model b, for each seed."""
    return [how(results[s][a][number], results[s][b][number]) for s in SEEDS]

GAUSS, FLOW, FLAT = "hierarchical, Gaussian", "hierarchical, flow", "flat, Gaussian"
minus, ratio = (lambda a, b: a - b), (lambda a, b: a / b)
claims.check("C3.a", "E3: NLL of the Gaussian head minus that of the flow, smaller of the seeds",
             measured=min(compare("NLL", GAUSS, FLOW, minus)), at_least=0.05, unit="nats/dim", seeds=2)
claims.check("C3.c", "E3: CRPS of the flow over that of the Gaussian head, larger of the seeds",
             measured=max(compare("CRPS", FLOW, GAUSS, ratio)), at_most=1.01, seeds=2)
claims.check("C3.d", "E3: NLL of the median step, Gaussian head minus flow, smaller of the seeds", measured=min(compare("median NLL", GAUSS, FLOW, minus)), at_least=0.1, unit="nats/dim", seeds=2, own=True)
claims.check("C3.b", "E3: how often the bursty indicators exceed the flow's 0.1 % quantile, smaller of the seeds",
             measured=min(results[s][FLOW]["top"] for s in SEEDS), at_most=0.35, unit="%", seeds=2, not_reproduced="one bend for each indicator is too light for bursts, already on the training part (C3.g)")
claims.check("C3.e", "E3: exceedance of the flow's 0.1 % quantile over that of the Gaussian head's, mean of the seeds",
             measured=float(np.mean(compare("top", FLOW, GAUSS, ratio))), between=(0.4, 0.8), seeds=2, own=True)
claims.check("C3.f", "E3: how often the bursty indicators exceed the Gaussian head's 0.1 % quantile, smaller of the seeds",
             measured=min(results[s][GAUSS]["top"] for s in SEEDS), at_least=0.4, unit="%", seeds=2, own=True)
_, x, y, _, unit, *_ = service[0]
p = trained[FLOW, 0]
known = score_flow(p["flow"], *network(p["network"], x[PAST, ...]), y[PAST, :], unit[PAST, :], generator(5))["top"]
claims.check("C3.g", "E3: how often the bursty indicators exceed the flow's 0.1 % quantile on the training part, one seed",
             measured=known, at_least=0.35, unit="%", own=True)

# %%
claims.check("C4.a", "E3: MSE of a network over that of the last value, largest of networks and seeds",
             measured=max(results[s][name]["MSE"] / simple[s]["last value"] for s in SEEDS for name in KINDS), at_most=0.9, seeds=2)
claims.check("C4.b", "E3: NLL of the flow minus that of the regression with a bent error, mean of the seeds",
             measured=float(np.mean(compare("NLL", FLOW, "linear, bent", minus))), between=(-0.5, -0.1), unit="nats/dim", seeds=2, own=True)
claims.check("C4.c", "E3: MSE of the hierarchical network over that of the regression, smaller of the seeds",
             measured=min(compare("MSE", GAUSS, "linear, bent", ratio)), at_most=1, seeds=2, not_reproduced="networks trained for seconds, where the regression is solved; see the text for the released scores")
claims.check("C4.d", "E3: MSE of the hierarchical network over that of the regression, mean of the seeds",
             measured=float(np.mean(compare("MSE", GAUSS, "linear, bent", ratio))), between=(1.05, 1.4), seeds=2, own=True)
claims.check("C7.a", "E3: at least 5 % better: MSE of hierarchical over flat attention, larger of the seeds",
             measured=max(compare("MSE", GAUSS, FLAT, ratio)), at_most=0.95, seeds=2, not_reproduced="the levels tell this network nothing that flat attention does not find")
claims.check("C7.c", "E3: MSE of hierarchical over flat attention, mean of the seeds",
             measured=float(np.mean(compare("MSE", GAUSS, FLAT, ratio))), between=(0.9, 1.1), seeds=2, own=True)

# %% [markdown]
# Against the Gaussian head the flow improves likelihood and CRPS, and its histogram is nearly flat but for the last bin. Its far tail is better and still too light, on the
# training part as well: it is the shape, not the number of bursts seen, that is wrong. The regression, which is solved and not trained, has the smaller squared
# error and, with the bent law, the smaller CRPS, which looks at one indicator at a time. In likelihood, which also counts how the indicators move together, the
# flow is ahead. That a regression is hard to beat is no accident of ours. On the published data, which we do not ship, the same regression has an MSE of 0.0494
# and a Gaussian CRPS of 0.0832 (last value: 0.084; our own computation, one step, last 20 % as the test); the released result file has 0.0453 to 0.0474 and
# 0.0940 to 0.1097. The network is a few per cent better in the one and worse in the other.
#
# Does the hierarchy help? The ratio to flat attention lies a little above or below one, depending on the seed. A gain of two per cent on
# both seeds would come by chance now and then; we ask for five (C7.a), and for a mean within ten per cent of one (C7.c). That the labels matter at all is
# another question: their permutation must change the cascade and not the flat network.

# %%
X, x, *_ = service[0]
shuffled = tuple(int(v) for v in generator(3).host.permutation(LEVELS))
changed = {}
for name, flat in ((FLOW, False), (FLAT, True)):
    weights = trained[name, 0]["network"]
    mu, moved = (network(weights, x[:500, ...], levels, flat=flat)[0] for levels in (LEVELS, shuffled))
    changed[name] = float(xp.mean(xp.abs(mu - moved)) / xp.std(mu))
claims.check("C7.b", "E3: change of the cascade's means when the levels are permuted, in their deviations",
             measured=changed[FLOW], at_least=0.02, own=True)
claims.check("C7.d", "E3: change of the flat network's means when the levels are permuted, in their deviations", measured=changed[FLAT], at_most=1e-4, own=True)

# %% [markdown]
# ### Keys of zeros
#
# The released cascade keeps the tokens of all other levels, multiplied by zero. Their keys and values are zero, but in the softmax a score of zero still has the
# weight $e^0$, and what falls on them is lost. We train the cascade in this way too, and read off the weights.

# %%
X, x, y, last, unit, *_ = service[0]
p = train(x[PAST, ...], y[PAST, :], generator(10).spawn(3)[2], zeros=True)
lost = []
mu, sigma = network(p["network"], x[TEST, ...], zeros=True, lost=lost)
with_zeros = float(xp.mean(((y[TEST, :] - mu) * unit[TEST, :]) ** 2)) / results[0][GAUSS]["MSE"]
rows = [[f"level {k + 1}", 100 * share, 100 * absent] for k, (share, absent) in enumerate(lost[:3])]
table(rows, ["queries of", "attention on absent tokens (%)", "absent tokens (%)"], "Where attention goes when absent tokens are zeros")
say(f"""With these zeros the MSE is {with_zeros:.2f} times that of the cascade without them.""")


# %% [markdown]
# ### Buying under a promise
#
# Now everything meets: six rules buy for the load of service A, step by step. Three multiply a *point* forecast by a margin: the last value, the regression, and
# the network with a Gaussian head. A margin is a quantile of the ratio of demand to forecast, whose law, bent, is fitted on the three validation days. Three buy
# a *quantile*: of the regression with a bent error, of the Gaussian head, and of the flow. Each is *static* or *adaptive*, by equation {eq}`eq-cs-recalibrate`
# with its own levels $u_i$ since the beginning of the test part.

# %%
@dataclass(frozen=True)
class Margin:
    """Demand = forecast times e^r, and r has a law."""
    forecast: Any
    law: Law
    def cdf(self, D):
        return self.law.cdf(xp.log(D / self.forecast))
    def quantile(self, level):
        return self.forecast * xp.exp(self.law.quantile(level))


# %%
def laws_of_demand(seed):
    """The six forecast distributions of the load from `start` on, in its own units, and the load."""
    X, _, _, last, unit, bent, forecast = service[seed]
    D, known = X[:, LOAD], X[:N_TRAIN, LOAD]
    low, span = xp.min(known), xp.max(known) - xp.min(known)
    late, valid = slice(N_VAL, None), slice(0, N_VAL)  # of all that follows the training part
    last, unit, forecast = (a[N_TRAIN - T :, LOAD] for a in (last, unit, forecast))
    units = {"centre": (low + span * last)[late], "width": span * unit[late]}
    (mu, sigma), (mu_f, sigma_f) = ([a[:, LOAD] for a in said[name, seed]] for name in (GAUSS, FLOW))
    points = {"last value": last, "regression": forecast, "network": last + unit * mu}
    laws = {}
    for name, point in points.items():
        point = low + span * xp.maximum(point, xp.asarray(0.0))  # no forecast below all loads seen
        laws[f"{name} × margin"] = Margin(point[late], fit_law(xp.log(D[N_TRAIN:] / point)[valid, None]))
    error = bent.column(LOAD)
    centre = low + span * (forecast[late] + error.centre)
    laws["regression, bent quantile"] = replace(error, centre=centre, width=span * error.width)
    laws["network, Gaussian quantile"] = Law(mu[late], sigma[late], **units)
    tail = {name: trained[FLOW, seed]["flow"][name][0, LOAD] for name in ("epsilon", "log_delta")}
    laws["network, flow quantile"] = Law(mu_f[late], sigma_f[late], **tail, **units)
    return laws, D


# %%
PROMISES = (0.05, 0.01)

def capacities(law, D, adaptive):
    """What is bought from `start` on for each promise; D enters through the levels of the past."""
    levels = [1 - epsilon for epsilon in PROMISES]
    if adaptive:
        return law.quantile(recalibrated(law.cdf(D[start:]), levels))
    return law.quantile(to_device(np.array(levels)[:, None]) + xp.zeros(D[start:].shape))

def account(c, D, epsilon):
    """Violations, cost and mean capacity, and the capacity that one factor would need to keep the promise exactly."""
    before = PARTS["before"]
    now, had = D[before], c[before.start - start : before.stop - start]
    ratio = (1 - epsilon) / epsilon
    cost = xp.where(had > now, had - now, ratio * (now - had))
    factor = float(np.quantile(to_host(now / had), 1 - epsilon))
    shares = {part: violation(c, D, PARTS[part]) for part in PARTS}
    return shares | {"cost": float(xp.mean(cost)), "capacity": float(xp.mean(had)), "equal": factor * float(xp.mean(had))}

books, laws_at = {}, {seed: laws_of_demand(seed) for seed in SEEDS}
for seed, (laws, D) in laws_at.items():
    for rule, law in laws.items():
        for adaptive in (False, True):
            for epsilon, c in zip(PROMISES, capacities(law, D, adaptive), strict=True):
                books[seed, rule, epsilon, adaptive] = account(c, D, epsilon)
RULES = list(laws)

# %% tags=["hide-input"]
for epsilon in (0.05, 0.01):
    rows = []
    for rule in RULES:
        s, a = ([books[seed, rule, epsilon, adaptive] for seed in SEEDS] for adaptive in (False, True))
        def mean(books, key):
            return float(np.mean([b[key] for b in books]))

        rows.append([rule, mean(s, "before"), mean(a, "before"), mean(s, "after"), mean(a, "after"), mean(s, "cost"), mean(s, "capacity"), mean(s, "equal")])
    columns = ["rule", "before, static (%)", "adaptive (%)", "after, static (%)", "adaptive (%)", "cost before", "capacity before", "capacity at equal risk"]
    table(rows, columns, f"Promise of {100 * epsilon:.0f} %: broken promises before and after the shift; static rules' cost and capacity (units of load), means of two seeds")

# %% [markdown]
# Before the shift every adaptive rule is near its promise, also where the static one is not. After it the static rules break theirs far more often, and the
# correction brings all of them back to a little above five per cent. The second table shows the difference that a distribution makes. At equal risk, the
# capacities of the flow and of the best margin differ by less than they scatter over seeds: whether the one or the other is smaller is chance, so C6.a asks for a
# saving of 3 %, and C6.b bounds the ratio on both sides.

# %%
RULE = "network, flow quantile"
risk = {(part, adaptive): [books[s, RULE, 0.05, adaptive][part] for s in SEEDS] for part in PARTS for adaptive in (False, True)}
def far(values):
    return float(max(values, key=lambda v: abs(v - 5)))

claims.check("C5.a", "E4: before the shift, broken promises of the adaptive flow rule, seed farthest from 5 %",
             measured=far(risk["before", True]), between=(3.5, 6.5), unit="%", seeds=2)
claims.check("C5.d", "E4: after the shift, broken promises of the adaptive flow rule, mean of the seeds",
             measured=float(np.mean(risk["after", True])), between=(3, 7), unit="%", seeds=2)
claims.check("C5.e", "E4: after the shift, broken promises of the static flow rule, smaller of the seeds",
             measured=min(risk["after", False]), at_least=8, unit="%", seeds=2, own=True)
cost = {rule: np.array([books[s, rule, 0.05, False]["cost"] for s in SEEDS]) for rule in RULES}
equal = {rule: np.array([books[s, rule, 0.05, False]["equal"] for s in SEEDS]) for rule in RULES}
POINTS = [rule for rule in RULES if "margin" in rule]
dearer = cost[RULE] / np.min([cost[rule] for rule in [*POINTS, "network, Gaussian quantile"]], axis=0)
claims.check("C5.b", "E4: before the shift, cost of the flow's quantile over the cheapest point or Gaussian rule, larger of the seeds",
             measured=float(np.max(dearer)), at_most=1.02, seeds=2, not_reproduced="a network's forecast with a margin is about as cheap as the best (table): its spread is what costs")
claims.check("C5.f", "E4: the cost of C5.b, mean of the seeds, bounded on both sides", measured=float(np.mean(dearer)), between=(1.0, 1.25), seeds=2, own=True)
strict = [[books[s, rule, 0.01, True]["after"] for s in SEEDS] for rule in ("network, Gaussian quantile", RULE)]
claims.check("C5.g", "E4: promise of 1 %, after the shift, adaptive: broken promises of the Gaussian over those of the flow, smaller of the seeds",
             measured=float(np.min(np.divide(*strict))), at_least=1.5, seeds=2)
share = equal[RULE] / np.min([equal[rule] for rule in POINTS], axis=0)
claims.check("C6.a", "E4: at least 3 % saved: mean capacity at equal risk of the flow's quantile over that of the best point forecast with a margin, mean of the seeds",
             measured=float(np.mean(share)), at_most=0.97, seeds=2, not_reproduced="once the risk is equal, the two need the same capacity, within their scatter over seeds")
claims.check("C6.b", "E4: the capacity of C6.a, bounded on both sides", measured=float(np.mean(share)), between=(0.97, 1.05), seeds=2, own=True)

# %% [markdown]
# An adaptive rule must not see what it decides about. We multiply one demand by ten and ask whether anything bought until then has changed, to the last bit,
# through forecast, levels and correction.

# %%
t = SHIFT + 50
X, (laws, D) = service[0][0], laws_at[0]
other = xp.where((xp.arange(END) == t)[:, None] & (xp.arange(N) == LOAD), 10 * X, X)
pairs = [(bought["adaptive"], plain_capacity(other, True)), [capacities(laws[RULE], d, True)[0, :] for d in (D, other[:, LOAD])]]
peeks = sum(int(np.sum(to_host(a != b)[: t - start + 1])) for a, b in pairs)
claims.check("C5.c", "E4: capacities up to step t that change when the demand of step t is ten times as large",
             measured=peeks, equals=0, own=True)

# %% [markdown]
# ## Verdict
#
# What keeps the promise is the correction by past levels, with every forecast that we tried, the plainest included. What the distribution adds is the tail: where
# 1 % is promised, to correct a Gaussian is not enough (C5.g), and bent laws come close, also that of a margin. The flow is better than a Gaussian head in
# likelihood and in CRPS, and buys no cheaper. That the hierarchy beats flat attention, and that resources are saved at equal risk, is not reproduced on these
# traces by small networks.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The production month; the other three data sets; the nine baselines; the authors' own decision algorithm, which is neither released nor known to us. The
# published data would need a licence. Windows have 48 steps here (72 to 288 in the release), and training is short. The released training, which pushes the mean
# of the draws through the flow, is not run: its flaw is shown by a break of this chapter's claims. Horizons above one step and windows of several lengths belong
# to the larger scale. The intervals are judged at 98 % where 99 % is usual, as 99 draws resolve no more.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` runs the same cells with windows of 144 steps, width 512, eight heads and two layers. It has not been run; when it has, the numbers will
# stand here with the device and the date.
