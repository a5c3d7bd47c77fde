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
# # Sliced Wasserstein Estimation with Control Variates
#
# ```{paper-card}
# ```
#
# How far apart are two clouds of points? On a line the answer is quick: sort both and compare the
# smallest with the smallest, the second with the second and so on. In the plane or in a thousand
# dimensions the same question is an expensive assignment problem. The *sliced* Wasserstein distance
# avoids it: look at the clouds from many random directions, solve the quick problem on each line, and
# average.
#
# The average is a Monte Carlo estimate, and such estimates are noisy.
# {cite:t}`sliced_wasserstein` take much of the noise away with an old trick. If you can find a second
# quantity that wobbles in step with the first and whose true mean you know, you can watch how far it
# happens to be off and correct the first accordingly. Their second quantity, a *control variate*,
# comes from pretending that the projected clouds are Gaussian. In this chapter we derive their two
# control variates, measure what they gain on digits, photographs and surfaces, see why they gain
# nothing in one of our cases, and find one that gains more.
#
# ## What the paper claims
#
# 1. Fitting a Gaussian to each one-dimensional projection gives control variates for the Monte Carlo
#    estimate of $\mathrm{SW}_2^2$: a lower and an upper bound of the Gaussians' distance have
#    expectations over all directions in closed form. What they gain is then a matter of correlation.
#    {claims}`C1.a, C1.b, C1.c, C1.d`
# 2. Both estimators, LCV-SW and UCV-SW, reduce the variance "considerably" on images and point clouds
#    at equal numbers $L$ of directions: between zeros and ones of MNIST from 4712 to 48.9 and 244.
#    {claims}`C2.a, C2.b, C2.c, C2.d, C2.e`
# 3. (Ours.) Where the means of the two measures coincide there is nothing to gain. {claims}`C3`
# 4. The estimates are not biased by the control. {claims}`C4.a, C4.b`
# 5. The lower control variate is the projected distance of two Gaussians with identical projected
#    variances (Proposition 3 of the first version). It must therefore be exact for a translate.
#    {claims}`C5.a, C5.b, C5.c, C5.d`
# 6. Gradient flows between point clouds, driven by a controlled estimate, come nearer to the target
#    in exact $W_2$ at the same number of steps: at $L=10$ by 0.8 % after 3000 steps and by 3 % after 5000.
#    {claims}`C6.a, C6.b, C6.c, C6.d, C6.e`
# 7. All this costs the same order of time and memory. {claims}`C7.a, C7.b`
#
# Not tested here: generative models trained with the controlled losses reach a better FID on CIFAR-10
# (at $L=10$ 18.67 with LCV against 21.72) and CelebA.
#
# These statements rest on the first version of the paper (April 2023), on the authors' repository
# ([khainb/CV-SW](https://github.com/khainb/CV-SW): estimators, gradient flow, settings of the
# generative models) and on the public reviews. A later paper by others repeats the flow and finds LCV *not*
# ahead at its end (on a Swiss roll with $L=100$: $W_2$ of 0.00136 against 0.00105 for plain).
#
# ## The idea
#
# **Slices.** For a unit vector $\theta$ let $\mu_\theta$ be the law of $\theta^\top X$ when
# $X\sim\mu$. With $W(\theta)=W_2^2(\mu_\theta,\nu_\theta)$ and $\theta$ uniform on the sphere,
# $\mathrm{SW}_2^2=E_\theta W(\theta)$. For two samples of $n$ points
# $W(\theta)=\frac1n\sum_i(x^\theta_{(i)}-y^\theta_{(i)})^2$ with sorted projections. The plain
# estimate is the average over $L$ random directions,
#
# $$
# \hat S=\frac1L\sum_{l=1}^LW(\theta_l),\qquad \operatorname{Var}\hat S=\frac{\operatorname{Var}W}{L}.
# $$ (eq-cvsw-plain)
#
# **A control variate.** Let $C(\theta)$ be a function with the known mean $B=E_\theta C$. For every
# $\gamma$ the mean of $W-\gamma(C-B)$ is $\mathrm{SW}_2^2$, and its variance is smallest for
# $\gamma^*=\operatorname{Cov}(W,C)/\operatorname{Var}C$: then it is $(1-\rho^2)\operatorname{Var}W$
# with the correlation $\rho$ of $W$ and $C$. The authors estimate $\gamma^*$ from the same directions
# and use the known mean in both sums:
#
# $$
# Z=\hat S-\hat\gamma\,(\bar C-B),\qquad \bar C=\frac1L\sum_lC(\theta_l),\qquad
# \hat\gamma=\frac{\sum_l\bigl(W(\theta_l)-\hat S\bigr)\bigl(C(\theta_l)-B\bigr)}
# {\sum_l\bigl(C(\theta_l)-B\bigr)^2}.
# $$ (eq-cvsw-estimator)
#
# **Which $C$?** It must resemble $W$. Were $\mu_\theta$ and $\nu_\theta$ Gaussian with means
# $m_1,m_2$ and standard deviations $\sigma_1,\sigma_2$, all functions of $\theta$, then $W$ would be
# $(m_1-m_2)^2+(\sigma_1-\sigma_2)^2$. Its expectation contains $E_\theta[\sigma_1\sigma_2]$, which
# has no closed form. But $0\le2\sigma_1\sigma_2$ and $(\sigma_1-\sigma_2)^2\ge0$ give an upper and a
# lower bound that need nothing but $E\,\theta\theta^\top=I/d$:
#
# $$
# C_L=(m_1-m_2)^2,\qquad B_L=\frac{\lVert\bar x-\bar y\rVert^2}{d};\qquad
# C_U=(m_1-m_2)^2+\sigma_1^2+\sigma_2^2,\qquad
# B_U=B_L+\frac{\operatorname{tr}\hat\Sigma_x+\operatorname{tr}\hat\Sigma_y}{d},
# $$ (eq-cvsw-controls)
#
# with the sample's covariances divided by $n$, so that the identities are exact. Item 5 can be read
# off: $C_L$ is what the Gaussian distance becomes if both have the same $\sigma$. We add the Gaussian
# distance itself as a third control, $C_G=(m_1-m_2)^2+(\sigma_1-\sigma_2)^2$, with $B_G$ from a large
# number of directions. These need no sorting, only the moments $\theta^\top\bar x$ and
# $\theta^\top\hat\Sigma_x\theta$.
#
# **What to expect.** On a line, shifting one of two measures changes $W$ by the square of the shift
# of the means, hence
#
# $$
# W(\theta)=(m_1-m_2)^2+W_2^2\bigl(\mu_\theta-m_1,\ \nu_\theta-m_2\bigr).
# $$ (eq-cvsw-split)
#
# If $\nu$ is a translate of $\mu$, then $W=C_L$, and the right $\gamma=1$ gives $Z=B_L$ whatever the
# directions. If both means coincide, $C_L=0$ knows nothing, and LCV can only fall back to plain Monte
# Carlo. In between it depends on how much of the *variation* of $W$ over the directions comes from
# the shift. That may be almost all: what is left after the shift is a mean over all points, which varies
# little from one direction to the next.
#
# **A subtle point.** How well does {eq}`eq-cvsw-estimator` do in the ideal case $W=C$? Let
# $\delta=\bar C-B$ be the luck of the draw and $V=\frac1L\sum(C-\bar C)^2$. The numerator of
# $\hat\gamma$ is $LV$, as $\sum(W-\hat S)=0$. The denominator is $L(V+\delta^2)$. So
#
# $$
# \hat\gamma=\frac{V}{V+\delta^2}\ne1,\qquad
# Z=B+\delta-\frac{V\delta}{V+\delta^2}=B+\frac{\delta^3}{V+\delta^2}.
# $$ (eq-cvsw-cubic)
#
# An error of third order is left, of the size $L^{-3/2}$, where the plain estimate's is $L^{-1/2}$. For a
# normal $\delta$ of variance $V/L$ the variance of $\delta^3/V$ is $15V/L^3$. Beside the share
# $1-\rho^2$ of the plain variance that a control cannot explain, the known-mean form therefore keeps
# another $15\rho^2/L^2$.
# If the denominator is centred as well, $\sum(C-\bar C)^2$, which is the ordinary regression of $W$
# on $C$, then $\hat\gamma=1$ and nothing is left. We shall measure both forms and call them *known
# mean*, the authors', and *centred*.
#
# ## The method in code

# %%
from time import process_time

import numpy as np
import ot

from gaussbook import data
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.transport import (
    projected_moments,
    random_directions,
    sliced_wasserstein_pullback,
    sliced_wasserstein_terms,
    wasserstein,
)

claims = Claims("sliced_wasserstein")
xp = backend()


# %% [markdown]
# The library's `sliced_wasserstein_terms` computes $W(\theta_l)$ for many directions at once, and
# `projected_moments` the means and variances of projections. The three controls follow
# {eq}`eq-cvsw-controls`. Each function returns $C-B$ at all directions, so that a wrong $B$ cannot
# hide.

# %%
def mean_shift(x, y):
    """xbar - ybar."""
    return xp.mean(x, axis=0) - xp.mean(y, axis=0)


def total_variance(x):
    """tr Sigma, with n in the denominator."""
    return xp.sum(xp.var(x, axis=0))


def lower(x, y, theta):
    """C_L - B_L."""
    shift = mean_shift(x, y)
    return (theta @ shift) ** 2 - shift @ shift / x.shape[1]


def upper(x, y, theta):
    """C_U - B_U."""
    variances = projected_moments(x, theta)[1] + projected_moments(y, theta)[1]
    mean = (total_variance(x) + total_variance(y)) / x.shape[1]
    return lower(x, y, theta) + variances - mean


def gaussian(x, y, theta, bank):
    """C_G - B_G, with B_G from the directions of a bank."""
    C, C_bank = (
        (theta @ mean_shift(x, y)) ** 2
        + (xp.sqrt(projected_moments(x, theta)[1]) - xp.sqrt(projected_moments(y, theta)[1])) ** 2
        for theta in (theta, bank)
    )
    return C - xp.mean(C_bank)


# %% [markdown]
# The estimator {eq}`eq-cvsw-estimator` takes $W$ and $c=C-B$ with the directions on the last axis.
# The $10^{-24}$ in the authors' code keeps $\hat\gamma$ finite where $C$ vanishes.

# %%
def coefficient(W, c, known_mean=True):
    """gamma-hat: with the known mean in the denominator, or centred."""
    S, c_mean = (xp.mean(v, axis=-1, keepdims=True) for v in (W, c))
    denominator = xp.mean((c - (0 if known_mean else c_mean)) ** 2, axis=-1) + 1e-24
    return xp.mean((W - S) * (c - c_mean), axis=-1) / denominator, denominator


def controlled(W, c, known_mean=True):
    """Z = S - gamma (mean(C) - B)."""
    return xp.mean(W, axis=-1) - coefficient(W, c, known_mean)[0] * xp.mean(c, axis=-1)


# %% [markdown]
# **Gradients.** A flow needs the derivative of $Z$ with respect to the points, through $\hat\gamma$
# too. Let $D$ be the denominator of $\hat\gamma$, divided by $L$, and $\bar c=\bar C-B$. From
# {eq}`eq-cvsw-estimator`
#
# $$
# \frac{\partial Z}{\partial W_l}=\frac1L\Bigl(1-\frac{\bar c\,(c_l-\bar c)}{D}\Bigr),\qquad
# \frac{\partial Z}{\partial c_l}=
# -\frac1L\Bigl(\hat\gamma+\frac{\bar c}{D}\bigl(W_l-\hat S-2\hat\gamma c_l\bigr)\Bigr)=:v_l,
# $$
#
# where $2\hat\gamma c_l$ becomes $2\hat\gamma(c_l-\bar c)$ for the centred form. The derivatives of
# $W_l$ are the library's: each point is drawn towards its partner along $\theta_l$. For the controls,
# $\sum_lv_l(\theta_l\theta_l^\top-I/d)=A$ collects all directions, and
#
# $$
# \sum_lv_l\frac{\partial c_l}{\partial x_i}=
# \frac2n\,A\,\bigl(\bar x-\bar y\bigr)\ \text{(lower)},\qquad
# \frac2n\,A\,\bigl(\bar x-\bar y+x_i-\bar x\bigr)\ \text{(upper)}.
# $$

# %%
def value_and_gradient(x, y, theta, control=None, known_mean=True):
    """Z and its gradient with respect to the points x."""
    W, pullback = sliced_wasserstein_pullback(x, y, theta)
    (L, d), S = theta.shape, xp.mean(W)
    if control is None:
        return S, pullback(xp.full(L, 1 / L))
    c = control(x, y, theta)
    c_mean, (gamma, D) = xp.mean(c), coefficient(W, c, known_mean)
    along_W = (1 - c_mean * (c - c_mean) / D) / L
    v = -(gamma + c_mean / D * (W - S - 2 * gamma * (c if known_mean else c - c_mean))) / L
    A = (v * theta.T) @ theta - xp.sum(v) / d * xp.eye(d)
    shift = mean_shift(x, y)
    arms = shift + x - xp.mean(x, axis=0) if control is upper else shift[None, :]
    return S - gamma * c_mean, pullback(along_W) + 2 / x.shape[0] * (arms @ A)


# %% [markdown]
# As always, formulas derived by hand meet central differences along a random direction first. For the
# plain terms POT's independent implementation is asked for the same directions.

# %%
rng, h, rows, gaps = generator(0), 1e-6, [], []
x, y, move = rng.standard_normal((3, 40, 3))
y, theta = 1.5 * y + 1, random_directions(10, 3, rng)
for name, control in (("plain", None), ("LCV", lower), ("UCV", upper)):
    for known_mean in (True, False)[: 1 if control is None else 2]:
        terms = value_and_gradient(x, y, theta, control, known_mean)[1] * move
        ahead, behind = (
            value_and_gradient(x + s * move, y, theta, control, known_mean)[0] for s in (h, -h)
        )
        form = "–" if control is None else ("known mean" if known_mean else "centred")
        difference = float(ahead - behind) / (2 * h)
        size = float(xp.sum(xp.abs(terms)))
        rows.append([name, form, float(xp.sum(terms)), difference])
        gaps.append(abs(rows[-1][2] - difference) / size)
columns = ["estimator", "form", "our slope", "central difference"]
table(rows, columns, "Gradients against differences")

# %%
claims.check(
    "C6.d",
    "E3, gradients against central differences, relative to the sum of the slope's terms, largest",
    measured=max(gaps),
    at_most=1e-7,
)
pot = ot.sliced_wasserstein_distance(to_host(x), to_host(y), projections=to_host(theta).T) ** 2
ours = float(xp.mean(sliced_wasserstein_terms(x, y, theta)))
claims.check(
    "C4.b",
    "plain estimate, relative difference from POT's",
    measured=abs(ours / pot - 1),
    at_most=1e-10,
    own=True,
)

# %% [markdown]
# ## Experiments
#
# ### How much variance?
#
# Six pairs of samples, each held fixed, so that all randomness lies in the directions: (a) zeros and
# ones of scikit-learn's digits, (b) threes and eights, (c) the digits 0 to 4 against 5 to 9, with 64
# pixels from 0 to 1; (d) a thousand colour patches of 8 × 8 pixels from each of two photographs; (e)
# 2048 points on a sphere and on a torus, both centred; (f) the same at twice the size, the torus
# shifted by one on each axis.

# %%
digits = data.table("digits")
pixels, labels = digits.data / 16, digits.target


def pair(first, second):
    """The first min(n) rows of both."""
    n = min(first.shape[0], second.shape[0])
    return to_device(first[:n]), to_device(second[:n])


def patches(side):
    """A thousand random colour patches of each of two photographs."""
    return pair(data.patches("astronaut", side, 1000, 0), data.patches("coffee", side, 1000, 1))


def sphere(n, rng):
    """n points of the unit sphere."""
    return random_directions(n, 3, rng)


def torus(n, rng, R=1.0, r=0.4):
    """n points of a torus, uniform in both angles."""
    u, v = rng.uniform(0, 2 * np.pi, (2, n))
    ring = R + r * xp.cos(v)
    return xp.stack([ring * xp.cos(u), ring * xp.sin(u), r * xp.sin(v)], axis=1)


# %%
rng = generator(0)
centred = [z - xp.mean(z, axis=0) for z in (sphere(2048, rng), torus(2048, rng))]
pairs = {
    "(a) digits 0, 1": pair(pixels[labels == 0], pixels[labels == 1]),
    "(b) digits 3, 8": pair(pixels[labels == 3], pixels[labels == 8]),
    "(c) digits 0–4, 5–9": pair(pixels[labels < 5], pixels[labels >= 5]),
    "(d) patches": patches(8),
    "(e) surfaces, centred": tuple(centred),
    "(f) surfaces, shifted": (2 * centred[0], 2 * centred[1] + 1),
}
if scale(default=False, paper=True):
    for side in (16, 32):
        name = f"patches, d = {3 * side * side}"
        pairs[name] = patches(side)

# %% [markdown]
# For each pair we draw a bank of directions once and evaluate $W$ and the controls on it. The
# replications of an experiment with $L$ directions are disjoint blocks of the bank, so nothing is
# computed twice. The correlation on the whole bank says what to expect.

# %%
M = {name: scale(default=40_000, paper=1_000_000) for name in pairs}
M |= {name: scale(default=20_000, paper=1_000_000) for name in pairs if "surfaces" in name}
banks = {}
for name, (x, y) in progress(pairs.items(), "banks"):
    theta = random_directions(M[name], x.shape[1], generator(0))
    banks[name] = {
        "W": sliced_wasserstein_terms(x, y, theta),
        "LCV": lower(x, y, theta),
        "UCV": upper(x, y, theta),
        "Gaussian": gaussian(x, y, theta, theta),
    }


def unexplained(W, c):
    """1 - rho^2 over the whole bank."""
    return float(1 - np.corrcoef(to_host(W), to_host(c))[0, 1] ** 2)


def replicate(bank, L, control=None, known_mean=True):
    """The estimate of each block of L directions."""
    W, c = (xp.reshape(bank[key], (-1, L)) for key in ("W", control or "LCV"))
    return xp.mean(W, axis=1) if control is None else controlled(W, c, known_mean)


# %%
CONTROLS = ("LCV", "UCV", "Gaussian")
predicted, measured, rows = {}, {}, []
for name, bank in banks.items():
    plain = xp.var(replicate(bank, 100))
    for control in CONTROLS:
        predicted[name, control] = unexplained(bank["W"], bank[control])
        for known_mean in (True, False):
            ratio = float(xp.var(replicate(bank, 100, control, known_mean)) / plain)
            measured[name, control, known_mean] = ratio
    row = [name, float(xp.mean(bank["W"]))]
    for control in CONTROLS:
        row += [predicted[name, control], measured[name, control, True]]
    rows.append(row)
columns = ["pair", "SW₂²"]
columns += [f"{c}: {what}" for c in CONTROLS for what in ("1 − ρ²", "measured")]
caption = """Variance of the estimate with L = 100 (known-mean form) divided by that of the plain
estimate, and what the correlation on the whole bank predicts"""
table(rows, columns, " ".join(caption.split()))

# %%
zeros = measured["(a) digits 0, 1", "LCV", True]
say(f""""Considerably" it is. Between zeros and ones the lower control removes {1 - zeros:.1%} of the
variance: one estimate with 100 directions is as good as a plain one with {100 / zeros:.0f}. In the paper it
is 99.0 % between zeros and ones of MNIST.""")

# %% [markdown]
# That lies in {eq}`eq-cvsw-split`: most of the distance is between the two mean digits. For (c) and (d),
# two mixtures of everything with similar means, the gain is
# smaller. The upper control does worse than the lower one everywhere but in the case where the lower
# has nothing to offer. This is no accident either: it adds $\sigma_1^2+\sigma_2^2$, which rises where
# $(\sigma_1-\sigma_2)^2$ need not.
#
# Our third control beats both by far, and it works
# even for (e). But its mean $B_G$ is not free. Here it comes from the whole bank and is the same for
# all blocks, so that its error does not show in the table. A $B_G$ from $M$ directions adds a
# variance of about $\operatorname{Var}W/M$. To stay below two per mille of $\operatorname{Var}W/100$
# it takes more than 50 000 directions; they need moments only, and pay off when one pair of samples
# is compared often. The paper asks for more, an expectation in closed form.
#
# Case (e) deserves attention. A sphere and a torus around the same centre have no shift, so that
# $C_L=0$ and LCV is plain Monte Carlo to the last digit; UCV is hardly better. A control variate is
# no better than what it knows.

# %%
letters = {name[1]: name for name in pairs if name.startswith("(")}


def worst_factor(control, known_mean, L=100):
    """The factor between measured and predicted variance ratio, (a) to (d), farthest from 1."""
    factors = []
    for name in (letters[k] for k in "abcd"):
        left = predicted[name, control]
        cubic = 15 * (1 - left) / L**2 if known_mean else 0
        factors.append(measured[name, control, known_mean] / (left + cubic))
    return max(factors, key=lambda factor: abs(np.log(factor)))


for id, control, known_mean in (
    ("C1.a", "LCV", True),
    ("C1.b", "UCV", True),
    ("C1.c", "LCV", False),
    ("C1.d", "UCV", False),
):
    form, law = ("known mean", "1 − ρ² + 15ρ²/L²") if known_mean else ("centred", "1 − ρ²")
    claims.check(
        id,
        f"E1, (a)–(d), L = 100: variance ratio of {control} ({form}) over {law}, farthest from 1",
        measured=worst_factor(control, known_mean),
        between=(0.7, 1.5),
        own=not known_mean,
    )

# %%
known = {key[:2]: ratio for key, ratio in measured.items() if key[2]}
for id, case, control, bound, paper in (
    ("C2.a", "a", "LCV", 0.03, "48.93 / 4711.97 = 0.010 (MNIST, 0–1)"),
    ("C2.b", "b", "LCV", 0.03, "4.00 / 1398 = 0.003 (MNIST, 0–2)"),
    ("C2.c", "a", "UCV", 0.25, "243.98 / 4711.97 = 0.052 (MNIST, 0–1)"),
    ("C2.d", "b", "UCV", 0.25, "268.67 / 1398 = 0.192 (MNIST, 0–2)"),
    ("C2.e", "d", "LCV", 0.15, "considerable reduction"),
):
    claims.check(
        id,
        f"E1 {letters[case]}, L = 100: variance of {control} over plain",
        measured=known[letters[case], control],
        at_most=bound,
        paper=paper,
    )
claims.check(
    "C3",
    "E1 (e), L = 100: variance of LCV and UCV over plain, smaller one",
    measured=min(known[letters["e"], c] for c in ("LCV", "UCV")),
    at_least=0.7,
    own=True,
)

# %% [markdown]
# The cubic term of {eq}`eq-cvsw-cubic` is our first finding. For threes and eights $1-\rho^2$ is so small
# that at $L=100$ it counts as much, and $1-\rho^2$ alone would be a wrong prediction for the authors' form.
# The centred form stays with it in all cases. With ten directions instead of a hundred the difference is
# no longer subtle.

# %%
BLOCKS, bias, rows = (10, 50, 100), {}, []
for name, bank in banks.items():
    for control, known_mean in (("LCV", True), ("LCV", False), ("UCV", True), ("UCV", False)):
        row = [f"{name}, {control}, {'known mean' if known_mean else 'centred'}"]
        for L in BLOCKS:
            Z, plain = replicate(bank, L, control, known_mean), replicate(bank, L)
            S = float(xp.mean(plain))
            error = float(xp.std(Z - plain)) / np.sqrt(Z.shape[0])
            bias[name, control, known_mean, L] = (float(xp.mean(Z)) - S) / S, error / S
            row += [float(xp.var(Z) / xp.var(plain)), 100 * bias[name, control, known_mean, L][0]]
        rows.append(row)
columns = ["pair, estimator, form"]
columns += [f"L = {L}: {what}" for L in BLOCKS for what in ("variance ratio", "bias (%)")]
table(rows, columns, "Variance ratio to plain, and bias in per cent of SW₂², for several L")

# %% [markdown]
# An estimated coefficient also makes the estimate biased. At $L=10$ the known-mean form of LCV is some per
# cent too low for digits and patches, and its centred form is not. That is the cubic term
# again. $C$ has a long tail of large values, $\mu_3=E(C-B)^3>0$, so that $\delta$ and $V$ are large
# together; the largest $\delta^3$ are divided by the largest $V$, and to leading order the mean of
# $\delta^3/(V+\delta^2)$ is $(1-3)\,\mu_3/(L^2\operatorname{Var}C)$, below zero and falling like
# $1/L^2$. Where the control is poor another bias, of order $1/L$, comes from any curvature of $W$ as
# a function of $C$; with UCV it is largest at $L=10$ for (e), in both forms. At $L=100$
# most of what the table shows for the other pairs is the error of the bank's own plain mean. Dividing by $d$ in $B$ is easily forgotten, and such an estimator would look
# precise, but wrong; the claim below is there to catch it.

# %%
excess = [
    abs(value) / (4 * error + 0.005)
    for (_, control, known_mean, L), (value, error) in bias.items()
    if L == 100 and known_mean
]
claims.check(
    "C4.a",
    "E1, all pairs, LCV and UCV, L = 100: bias over 4 standard errors + 0.5 %, largest",
    measured=max(excess),
    at_most=1,
)

# %% tags=["hide-input"]
alt = """Six scatter plots of W against a control for three pairs. Digits 0 and 1: the points lie on
a narrow line for both controls. Digits 0 to 4 against 5 to 9: a line with scatter for the lower, a
cloud for the upper control. Centred surfaces: the lower control is zero for all directions; against
the upper one the points form a narrow parabola, which its line of regression misses."""
caption = r"""Why it works, and when it does not: $W(\theta)$ of 1500 directions against the lower
(top) and upper (bottom) control, with the line of regression. Left and middle: squared pixels;
right: squared units of length."""
chosen = [letters[k] for k in "ace"]
with figure(2, 3, alt=alt, caption=caption, height=5.2, sharey="col") as axes:
    for column, name in enumerate(chosen):
        for ax, control in zip(axes[:, column], ("LCV", "UCV"), strict=True):
            W, c = (to_host(banks[name][key][:1500]) for key in ("W", control))
            ax.scatter(c, W, s=2, alpha=0.4, lw=0, color=PALETTE["blue"])
            if np.std(c) > 1e-9:
                ends = np.asarray([c.min(), c.max()])
                ax.plot(ends, np.polyval(np.polyfit(c, W, 1), ends), color=PALETTE["vermilion"])
            else:
                ax.set_xlim(-1, 1)
            ax.set(xlabel=f"$C_{control[0]} - B_{control[0]}$", ylabel=r"$W(\theta)$")
        axes[0, column].set_title(name)

# %% [markdown]
# The last panel is worth a second look. $W$ is nearly a *function* of the upper control there, only
# not a linear one: the torus is flatter than the sphere in one direction and wider in the others, so
# that $(\sigma_1-\sigma_2)^2$ has its minimum in between. A correlation is blind to that, and so is a
# linear control variate.
#
# The second figure turns variances into what a user cares about: the error for a given number of
# directions. The reference of each curve is the same estimate from the whole bank, which has at least
# forty times as many directions. For the Gaussian control this leaves out the error of $B_G$, which
# all blocks share.

# %% tags=["hide-input"]
alt = """Three panels with logarithmic axes, relative error against the number of directions from 5
to 500. All curves fall. Digits 0 and 1: at many directions LCV lies far below plain, UCV not quite
as far, the Gaussian control farthest. Digits 0 to 4 against 5 to 9: LCV lies a little below, the
Gaussian control far below. Centred surfaces: plain, LCV and UCV nearly coincide, and only the
Gaussian control lies below."""
caption = """Root mean square error of the estimates of SW₂² relative to its value (known-mean
form)."""
with figure(1, 3, alt=alt, caption=caption, width=9.0, height=3.0, sharey=True) as axes:
    lengths = np.asarray([5, 10, 20, 50, 100, 200, 500])
    for ax, name in zip(axes, chosen, strict=True):
        bank = banks[name]
        for control, marker in ((None, "o"), ("LCV", "s"), ("UCV", "^"), ("Gaussian", "d")):
            reference = float(replicate(bank, M[name], control)[0])
            estimates = (replicate(bank, int(L), control) for L in lengths)
            error = [float(xp.mean((Z - reference) ** 2)) ** 0.5 / reference for Z in estimates]
            ax.loglog(lengths, error, f"{marker}-", label=control or "plain")
        ax.set(title=name, xlabel="directions $L$")
    axes[0].set_ylabel("relative error")
    axes[0].legend()


# %% [markdown]
# ### Limits
#
# Three cases in which the answer is known: a cloud and its translate, two clouds with the same mean,
# and a cloud and itself.

# %%
def repeated(x, y, L, known_mean, repetitions=200):
    """LCV estimates from independent sets of L directions."""
    theta = random_directions(L * repetitions, x.shape[1], generator(1))
    W, c = sliced_wasserstein_terms(x, y, theta), lower(x, y, theta)
    return controlled(xp.reshape(W, (-1, L)), xp.reshape(c, (-1, L)), known_mean)


x = pairs[letters["a"]][0]
translate, rows, spread = x + generator(2).standard_normal(x.shape[1]), [], {}
for L in (2, 10, 100):
    for known_mean in (True, False):
        Z = repeated(x, translate, L, known_mean)
        spread[L, known_mean] = float(xp.std(Z) / xp.mean(Z))
    plain = sliced_wasserstein_terms(x, translate, random_directions(200 * L, 64, generator(1)))
    plain = xp.mean(xp.reshape(plain, (-1, L)), axis=1)
    of_plain = float(xp.std(plain) / xp.mean(plain))
    rows.append([f"L = {L}", of_plain, spread[L, True], spread[L, False]])
columns = ["directions", "plain", "LCV, known mean", "LCV, centred"]
table(rows, columns, "A translate: standard deviation of the estimate divided by its mean")

# %% [markdown]
# The table shows {eq}`eq-cvsw-cubic` at work. The centred form is exact from two directions on. The
# known-mean form is far better than plain at $L=100$, less so at $L=10$, and
# hardly at all at $L=2$. One changed denominator makes the difference. (With few directions and a
# poor control it may also cost something, as some rows of the table of variances show for UCV at $L=10$.)

# %%
claims.check(
    "C5.a",
    "E4, translate: std / mean of LCV (known mean), largest of L = 2, 10, 100",
    measured=max(spread[L, True] for L in (2, 10, 100)),
    at_most=1e-10,
    not_reproduced="the authors' coefficient leaves δ³/(V + δ²), an error of order L^(−3/2)",
)
claims.check(
    "C5.b",
    "E4, translate: the same of LCV (centred)",
    measured=max(spread[L, False] for L in (2, 10, 100)),
    at_most=1e-10,
    own=True,
)

# %%
x, y = pairs[letters["e"]]
theta = random_directions(1000, 3, generator(1))
plain = float(xp.mean(sliced_wasserstein_terms(x, y, theta)))
claims.check(
    "C5.c",
    "E4, equal means: relative difference of LCV from plain",
    measured=abs(float(repeated(x, y, 1000, True, 1)[0]) / plain - 1),
    at_most=1e-10,
    own=True,
)
claims.check(
    "C5.d",
    "E4, a cloud and itself: LCV and UCV, largest absolute value",
    measured=max(abs(float(value_and_gradient(x, x, theta, c)[0])) for c in (lower, upper)),
    at_most=1e-12,
    own=True,
)


# %% [markdown]
# ### What it costs
#
# The controls should cost next to nothing beside sorting. Times differ between machines, and their ratios
# do so a little, so the claim is what the paper says: the same order. We time the three estimates with $L=100$ on
# 2048 points in three dimensions and on the patches, 50 times in turn, and compare the smallest
# processor times.

# %%
def seconds(x, y, control, rng):
    """Processor time of one estimate, drawing directions included."""
    started = process_time()
    theta = random_directions(100, x.shape[1], rng)
    W = sliced_wasserstein_terms(x, y, theta)
    float(xp.mean(W) if control is None else controlled(W, control(x, y, theta)))
    return process_time() - started


ESTIMATORS = {"plain": None, "LCV": lower, "UCV": upper}
rows, cost = [], {}
for name in (letters["f"], letters["d"]):
    rng = generator(3)
    times = [[seconds(*pairs[name], c, rng) for c in ESTIMATORS.values()] for _ in range(50)]
    cost[name] = np.min(times, axis=0)
    rows.append([name, *(1000 * cost[name]), *(cost[name][1:] / cost[name][0])])
columns = ["pair", "plain (ms)", "LCV (ms)", "UCV (ms)", "LCV / plain", "UCV / plain"]
table(rows, columns, "Processor time of one estimate with L = 100, best of 50")
for id, k, bound in (("C7.a", 1, 3.5), ("C7.b", 2, 4.0)):
    claims.check(
        id,
        f"E1, time of {list(ESTIMATORS)[k]} over plain, n = 2048, d = 3, L = 100",
        measured=cost[letters["f"]][k] / cost[letters["f"]][0],
        at_most=bound,
        paper="same order",
    )

# %% [markdown]
# ### A gradient flow
#
# Finally the use for which such distances are made. A cloud on a sphere is to become a torus. It
# follows the negative gradient of $n\sqrt Z$ in small steps with ten fresh directions each, as in the
# authors' script, and we look at the exact $W_2$ distance to the target. With the root each point
# moves by about $\text{rate}/\sqrt3$ a step, however far it has to go; the first 350 steps are spent
# on travelling.
#
# What gain can there be? In the travelling phase all of the distance is the shift $\Delta$. The plain
# step towards the target is proportional to $\sqrt q$ with $q$ the mean of ten $\cos^2$ between
# directions and shift. By Jensen's inequality $E\sqrt q<\sqrt{1/3}$, by about one per cent, while a
# control that knows the shift exactly walks at full speed. One per cent of the way travelled is a few
# per cent of what is left at step 300. That is as much as the distance scatters from run to run, so this
# phase is repeated with many seeds, and three of them go on until after the arrival.

# %%
POINTS, STEPS = scale(default=(256, 600), paper=(2048, 8000))
RATE, OFFSET = scale(default=(0.05, 3.0), paper=(0.01, 10.0))
CHECKPOINTS = scale(default=(1, 150, 300, 450, 600), paper=(1, 3000, 4000, 5000, 6000, 8000))
TRAVELLING = scale(default=300, paper=4000)
SEEDS, LONG = range(scale(default=24, paper=5)), range(scale(default=3, paper=5))
DIRECTIONS = scale(default=(10,), paper=(10, 100))
FLOWS = {
    "plain": (None, True),
    "LCV": (lower, True),
    "UCV": (upper, True),
    "LCV, centred": (lower, False),
}


def flow(x, y, control, known_mean, L, steps, rng):
    """Descend n sqrt(Z); return the clouds at the checkpoints."""
    clouds = []
    for step in range(1, steps + 1):
        theta = random_directions(L, 3, rng)
        Z, gradient = value_and_gradient(x, y, theta, control, known_mean)
        if Z > 0:  # an estimate below zero has no root and gives no direction
            x = x - RATE * x.shape[0] * gradient / (2 * Z**0.5)
        if step in CHECKPOINTS:
            clouds.append(x)
    return clouds


# %%
distances, flows = {}, {}
for L in DIRECTIONS:
    for seed in progress(SEEDS, f"flows, L = {L}"):
        rng, steps = generator(seed), STEPS if seed in LONG else TRAVELLING
        source = 2 * sphere(POINTS, rng) - OFFSET
        target = 2 * torus(POINTS, rng) + OFFSET
        for name, (control, known_mean) in FLOWS.items():
            clouds = flow(source, target, control, known_mean, L, steps, generator(1000 + seed))
            flows.setdefault((L, name), ([source, *clouds], target))
            for step, cloud in zip(CHECKPOINTS, clouds, strict=False):
                exact = wasserstein(cloud, target)
                distances.setdefault((L, name, step), []).append(exact)
rows = [
    [f"L = {L}, {name}", *(np.mean(distances[L, name, step]) for step in CHECKPOINTS)]
    for L, name in flows
]
columns = ["estimate", *(f"step {step}" for step in CHECKPOINTS)]
caption = f"""Exact W₂ distance to the target, mean of {len(SEEDS)} seeds up to step {TRAVELLING} and of
{len(LONG)} seeds after it"""
table(rows, columns, " ".join(caption.split()))

# %% tags=["hide-input"]
alt = """Five views of a cloud of points on its way from the lower left to the upper right,
projected on two axes. It starts as a round sphere, keeps its shape while it travels, and ends as
the flat torus on top of the grey target."""
caption = """The flow with LCV, projected on the first and third axis: points at the start and at
the checkpoints (blue), target in grey. The shape changes on arrival only, because until then the
shift is all that the distance sees."""
clouds, target = flows[DIRECTIONS[0], "LCV"]
shared = {"sharex": True, "sharey": True}
with figure(1, 5, alt=alt, caption=caption, width=10.0, height=2.4, **shared) as axes:
    for ax, cloud, step in zip(axes, [clouds[0], *clouds[2:]], (0, *CHECKPOINTS[1:]), strict=False):
        ax.scatter(*to_host(target[:, ::2]).T, s=1, color="0.7")
        ax.scatter(*to_host(cloud[:, ::2]).T, s=1, color=PALETTE["blue"])
        ax.set(title=f"step {step}", xlabel="first axis", aspect="equal")
    axes[0].set_ylabel("third axis")


# %%
def ratio(name, step):
    """Mean exact W2 relative to plain, and its standard error over the seeds."""
    W, plain = (np.asarray(distances[DIRECTIONS[0], each, step]) for each in (name, "plain"))
    r = W.mean() / plain.mean()
    return r, np.std(W - r * plain, ddof=1) / plain.mean() / np.sqrt(len(W))


# %%
(lcv, lcv_error), (centred, centred_error) = (
    ratio(name, TRAVELLING) for name in ("LCV", "LCV, centred")
)
travelling = f"E3, L = 10, travelling (step {TRAVELLING}): exact W₂"
claims.report_value(
    "C6.a",
    f"{travelling} of LCV over plain",
    measured=lcv,
    spread=lcv_error,
    paper="0.992, 0.987, 0.968 (steps 3000, 4000, 5000)",
    seeds=len(SEEDS),
)
claims.check(
    "C6.b",
    f"{travelling} of LCV, centred, over plain",
    measured=centred,
    at_most=0.99,
    spread=centred_error,
    seeds=len(SEEDS),
    own=True,
)

# %%
before_arrival = [step for step in CHECKPOINTS if step < STEPS]
claims.check(
    "C6.c",
    "E3, L = 10: exact W₂ of LCV and UCV over plain, largest of the checkpoints before the end",
    measured=max(ratio(name, step)[0] for name in ("LCV", "UCV") for step in before_arrival),
    at_most=1.05,
    seeds=len(LONG),
)
end, end_error = ratio("LCV", STEPS)
claims.report_value(
    "C6.e",
    f"E3, L = 10: exact W₂ of LCV over plain, at the end (step {STEPS})",
    measured=end,
    spread=end_error,
    paper="1.5 / 2.1 (step 8000)",
    seeds=len(LONG),
)
say(f"""While the clouds travel, LCV has {lcv:.3f} ± {lcv_error:.3f} of the distance of plain (one standard
error), and its centred form {centred:.3f} ± {centred_error:.3f}. At the end it is {end:.2f} ±
{end_error:.2f}.""")

# %% [markdown]
# So of the published form we can say that it does no harm, and that its gain, here as in the paper's table,
# is of the order of one per cent. In three dimensions the estimate
# {eq}`eq-cvsw-estimator` is one per cent too low at $L=10$ even where $W=C$, so its root is half a
# per cent too low, and that eats up half of what the better direction gains; the centred form keeps it.
# After the arrival no form is ahead: the clouds
# tremble around the target by the length of one step, and which of them happens to be some per cent
# nearer at the last step changes with the seed.
#
# ## Verdict
#
# The heart of the paper holds. With a hundred directions the lower control removes most
# of the variance wherever the means of two samples differ, for digits, photographs and surfaces,
# and costs little time. The upper one removes less and costs more. Where
# the means coincide they remove next to nothing, and no one should expect otherwise. For the gradient
# flow there is little to gain in this setting, and little was gained. One number is not reproduced; its
# cause is the denominator of the authors' coefficient, and centring it mends it. The thresholds of C2
# and C6 are ours, set before the paper's tables were known to us.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# Adversarial training on CIFAR-10 and CelebA needs data and networks that are out of reach of a
# notebook. The shapes of the paper's point clouds may not be passed on with this book; parametric
# surfaces take their place, and bundled digits and photographs that of its images. The offsets of the
# flow are 3 instead of 10 on each axis, with five times the step, so that 600 steps suffice. In 192
# dimensions our UCV takes longer than it must, because it projects the points a second
# time for their variances; code that keeps the projections would avoid that.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells use banks of a million directions (ten thousand
# replications of $L=100$), add patches of 16 × 16 and 32 × 32 pixels with up to 3072 numbers, and
# follow the published flow: 2048 points, offsets of 10, 8000 steps with 10 and with 100 directions,
# five seeds, from sphere to torus. A step sorts $2L$ lists of 2048 numbers, which is what a GPU would
# spend its time on. This scale has not been run on a GPU yet; when it has, the numbers will stand
# here with the device and the date.
