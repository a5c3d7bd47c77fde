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
# # Adversarial robustness and accuracy disparity
#
# ```{paper-card}
# ```
#
# A classifier that must not be fooled by small changes of its input pays with accuracy, and it does not pay
# evenly: the rare class pays more. {cite:t}`accuracy_disparity` separate two reasons. Robustness itself turns the
# decision boundary away from the best direction, for all classes alike; and once one class is rarer than the
# other, robustness moves the boundary further into the rare class than standard training would.
#
# On two Gaussian classes with a linear classifier both effects can be written down. This chapter derives them,
# trains the robust classifier and finds it where the formula says, and then follows the paper to heavy tails,
# where the story changes completely, and to handwritten digits, where it does not.
#
# ## What the paper claims
#
# 1. For a mixture of two Gaussians and linear classifiers a robustness constraint lowers the clean accuracy of
#    *all* classes, also when the classes are balanced, and that of a rare class most. {claims}`C1.a, C1.b`
# 2. Adversarial training finds these classifiers. {claims}`C2.a, C2.b`
# 3. With a class ratio $R>1$ robustness *increases the accuracy disparity* between the classes over that of
#    standard training, the more the larger $R$ (among 1, 2, 5 and 10) and the larger the allowed perturbation
#    $\varepsilon$. {claims}`C3.a, C3.b, C3.c, C3.d, C3.e`
# 4. For classes with heavy, stable tails the balanced case still degrades, but $R$ acts in a different way.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f`
# 5. The picture carries over to real data. {claims}`C5.a, C5.b, C5.c, C5.d`
#
# Not tested here: MNIST, Fashion-MNIST and CIFAR-10, and deep models; a small network is shown, without a
# claim.
#
# **What our numbers rest on.** We read the abstract, the opening and the authors' scripts; the theorems, the
# figures and the data files were not available. The paper prints its results as figures whose values we do not
# have, so the column of the paper's numbers is empty, and the mean vectors and covariances are our own. All
# formulas are derived here.
#
# ## The idea
#
# **The classes.** $y=+1$ is the majority, $P(+1)=R/(1+R)$, and $x\mid y\sim N(y\eta,\Sigma)$. A linear classifier says
# $\operatorname{sign}(w^\top x+b)$; the adversary moves $x$ by any $\delta$ with $\|\delta\|_p\le\varepsilon$. Against a linear classifier the best attack
# lowers the margin by exactly $\varepsilon\|w\|_*$, with the dual norm ($\ell_2$ of $\ell_2$, $\ell_1$ of $\ell_\infty$).
#
# **The direction.** Scale $w$ so that $w^\top x$ has unit variance in each class. The distance of a class from the
# boundary is then, clean and under attack,
#
# $$
# s=\frac{w^\top\eta}{\|w\|_\Sigma},\qquad s_\varepsilon=\frac{w^\top\eta-\varepsilon\|w\|_*}{\|w\|_\Sigma},\qquad \|w\|_\Sigma^2=w^\top\Sigma w .
# $$
#
# The robust direction maximises $s_\varepsilon$. Since $w^\top\eta-\varepsilon\|w\|_*=\min_{\|z\|_p\le\varepsilon}w^\top(\eta-z)$, exchanging minimum and maximum gives
#
# $$
# z_\varepsilon=\arg\min_{\|z\|_p\le\varepsilon}(\eta-z)^\top\Sigma^{-1}(\eta-z),\qquad w_\varepsilon=\Sigma^{-1}(\eta-z_\varepsilon),\qquad s_\varepsilon=\|\eta-z_\varepsilon\|_{\Sigma^{-1}} .
# $$ (eq-disparity-direction)
#
# For $p=2$ it is $z=(I+\lambda\Sigma)^{-1}\eta$ with the one $\lambda\ge0$ that makes $\|z\|=\varepsilon$; for $p=\infty$ and a diagonal $\Sigma$
# each coordinate of $\eta$ is cut at $\pm\varepsilon$.
#
# **The threshold.** Under attack the error is $\pi_+\Phi(-s_\varepsilon-b)+\pi_-\Phi(-s_\varepsilon+b)$. Its minimum is where the two densities,
# weighted with the class probabilities, are equal:
#
# $$
# b=\frac{\log R}{2s_\varepsilon},\qquad \text{acc}_{\text{maj}}=\Phi(s+b),\qquad \text{acc}_{\text{min}}=\Phi(s-b).
# $$ (eq-disparity-accuracy)
#
# The *accuracy disparity* is $\text{AD}=\Phi(s+b)-\Phi(s-b)$, measured on clean points of both classes alike. It falls with $s$ and
# rises with $b$, and robustness does both: the direction $w_\varepsilon$ is not the best one for clean points, so $s$ falls (part A,
# there for $R=1$ too), and $s_\varepsilon$ falls even more, so that $b$ grows (part B, only for $R>1$). For $\Sigma=\sigma^2I$ and $p=2$ the
# direction does not turn, and part A is absent.
#
# **Training.** Logistic regression against the adversary,
#
# $$
# \min_{w,b}\ \frac1n\sum_i\log\bigl(1+e^{-y_i(w^\top x_i+b)+\varepsilon\|w\|_*}\bigr),
# $$ (eq-disparity-training)
#
# is convex, and in the limit of many points its minimiser is $w=2\Sigma^{-1}(\eta-z_\varepsilon)$, $b=\log R$: this is Bayes' rule for the
# classes moved together by $z_\varepsilon$. So the trained classifier must end on {eq}`eq-disparity-accuracy`.
#
# ## The method in code

# %%
import math

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import expit
from scipy.stats import cauchy, norm
from sklearn.model_selection import ParameterGrid

from gaussbook import autodiff as ad
from gaussbook import data
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.optim import Adam
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.sweep import sweep
from gaussbook.tables import table

claims = Claims("accuracy_disparity")
xp = backend()


# %% [markdown]
# Equations {eq}`eq-disparity-direction` and {eq}`eq-disparity-accuracy`; covariances are diagonal, so $\Sigma$ is the vector of variances.

# %%
def nearest_attack(eta, Sigma, eps, p):
    """z_eps, the attack that brings the class means closest in the metric of Sigma."""
    if eps == 0:
        return np.zeros_like(eta)
    if p == math.inf:
        return np.clip(eta, -eps, eps)

    def excess(log_lam):
        return np.linalg.norm(eta / (1 + math.exp(log_lam) * Sigma)) - eps

    return eta / (1 + math.exp(brentq(excess, -50, 50)) * Sigma)


def margins(eta, Sigma, eps, p):
    """The direction w_eps and its margins s (clean) and s_eps (under attack)."""
    z = nearest_attack(eta, Sigma, eps, p)
    w = (eta - z) / Sigma
    length = math.sqrt(w @ (Sigma * w))
    return w, w @ eta / length, length


def accuracies(s, b):
    """Clean accuracy of majority and minority."""
    return norm.cdf(s + b), norm.cdf(s - b)


# %% [markdown]
# Training by L-BFGS with the gradient by hand. The dual norm of $\ell_\infty$, $\|w\|_1$, has corners, so there $w=w^+-w^-$ with
# both parts non-negative, and the norm is their sum.

# %%
def train(X, y, eps, p):
    """The minimiser (w, b) of the adversarial logistic loss."""
    d, split = X.shape[1], p != 2
    X, y = to_host(X), to_host(y)

    def loss(theta):
        w, b = theta[:-1], theta[-1]
        dual = w.sum() if split else math.sqrt(w @ w + 1e-12)
        margin = y * (X @ (w[:d] - w[d:] if split else w) + b) - eps * dual
        pull = expit(-margin) / len(y)
        by_w = -(y * pull) @ X
        by_w = np.append(by_w, -by_w) + eps * pull.sum() if split else by_w + eps * pull.sum() * w / dual
        return np.logaddexp(0, -margin).mean(), np.append(by_w, -(y * pull).sum())

    start = np.zeros((2 * d if split else d) + 1)
    bounds = [(0, None)] * (2 * d) + [(None, None)] if split else None
    options = {"maxiter": 2000, "ftol": 1e-11, "gtol": 1e-6}
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return (theta[:d] - theta[d:-1] if split else theta[:-1]), theta[-1]


# %% [markdown]
# ## Experiments
#
# ### Two Gaussian classes, in closed form
#
# A hundred dimensions with variances from $\frac14$ to 16, and the same mean in each, scaled so that the clean margin is 2.
# The adversary may move a point by up to half the length of $\eta$.

# %%
Sigma = np.geomspace(0.25, 16, 100)
eta = np.ones(100)
eta *= 2 / math.sqrt(eta @ (eta / Sigma))
FRACTIONS, RATIOS = (0, 1 / 8, 1 / 4, 3 / 8, 1 / 2), (1, 2, 5, 10)


def closed_form(eta, Sigma, fraction, R, p=2):
    """s, s_eps and both accuracies at eps = fraction times the norm of eta."""
    _, s, s_eps = margins(eta, Sigma, fraction * np.linalg.norm(eta, p), p)
    return s, s_eps, *accuracies(s, math.log(R) / (2 * s_eps))


EXPECTED = {  # (fraction, R): accuracies of majority and minority, to three digits
    (0, 5): (0.992, 0.945), (0, 10): (0.995, 0.923), (0.25, 1): (0.974, 0.974),
    (0.25, 10): (0.998, 0.858), (0.5, 1): (0.960, 0.960), (0.5, 5): (0.998, 0.746),
    (0.5, 10): (1.000, 0.577),
}  # fmt: skip
rows = []
for (fraction, R), expected in EXPECTED.items():
    s, s_eps, major, minor = closed_form(eta, Sigma, fraction, R)
    rows.append([f"ε = {fraction:g}‖η‖, R = {R}", s, s_eps, major, minor, *expected])
off = max(abs(np.asarray(row[3:5]) - row[5:]).max() for row in rows)
columns = ["case", "s", "s_ε", "majority", "minority", "majority, reference", "minority, reference"]
table(rows, columns, "Clean accuracies of the robust classifier, closed form and reference")

# %%
quarter, half = (closed_form(eta, Sigma, f, 1)[:2] for f in (0.25, 0.5))
off_s = np.abs(np.asarray([*quarter, *half]) - (1.947, 1.312, 1.748, 0.741)).max()
claims.check(
    "C1.a", "accuracies of both classes: largest distance from the reference table",
    measured=off, at_most=0.002,
)  # fmt: skip
claims.check(
    "C1.b", "margins s and s_ε at ε = ¼‖η‖ and ½‖η‖: largest distance from the reference",
    measured=off_s, at_most=0.002,
)  # fmt: skip


# %% [markdown]
# The robustness gap of the disparity, gap-AD, is the disparity of the robust classifier less that of the standard one.
# We split it into its parts: A keeps the standard threshold and turns the direction, B moves the threshold.

# %%
def gap_parts(eta, Sigma, fraction, R, p=2):
    """Parts A and B of gap-AD."""
    s0 = closed_form(eta, Sigma, 0, R, p)[0]
    s, s_eps = closed_form(eta, Sigma, fraction, R, p)[:2]
    b0, b = math.log(R) / (2 * s0), math.log(R) / (2 * s_eps)
    standard, turned, robust = (
        np.subtract(*accuracies(*pair)) for pair in ((s0, b0), (s, b0), (s, b))
    )
    return turned - standard, robust - turned


parts = np.asarray([[gap_parts(eta, Sigma, f, R) for f in FRACTIONS] for R in RATIOS])
gap = parts.sum(axis=-1)  # (R, fraction)
uneven = generator(0).host.uniform(size=100)
uneven *= 2 / math.sqrt(uneven @ (uneven / Sigma))
gap_max = np.asarray([[sum(gap_parts(uneven, Sigma, f, R, math.inf)) for f in FRACTIONS] for R in RATIOS])

# %% tags=["hide-input"]
alt = f"""Three panels against the size of the attack, a line for each class ratio 2, 5 and 10. Part
A, the turned direction, adds at most {100 * parts[..., 0].max():.0f} points of disparity; part B,
the moved threshold, up to {100 * parts[..., 1].max():.0f} points. The right panel, the whole gap
for attacks in the maximum norm, grows in the same way to {100 * gap_max.max():.0f} points."""
caption = r"""What robustness adds to the accuracy disparity. Left and middle: its two parts for $\ell_2$ attacks. Right: the
whole, for $\ell_\infty$ attacks and an uneven mean vector."""
with figure(1, 3, alt=alt, caption=caption, width=9.6, height=3.2, sharey=True) as axes:
    for k, R in enumerate(RATIOS):
        for ax, values in zip(axes, (parts[k, :, 0], parts[k, :, 1], gap_max[k]), strict=True):
            ax.plot(FRACTIONS, 100 * values, "o-", label=f"R = {R}")
    for ax, title in zip(axes, ("part A", "part B", "whole, maximum norm"), strict=True):
        ax.set(xlabel="attack ε / ‖η‖", title=title)
    axes[0].set_ylabel("added disparity (points)")
    axes[0].legend()

# %%
balanced = [closed_form(eta, Sigma, f, 1)[2] for f in FRACTIONS]
round_ = np.full(100, 4.0)
isotropic = [closed_form(np.full(100, 0.4), round_, f, 1)[2] for f in FRACTIONS]
claims.check(
    "C3.a", "smallest step of gap-AD from one ε to the next, R = 2, 5, 10, both norms",
    measured=100 * min(np.diff(gap[1:]).min(), np.diff(gap_max[1:]).min()), at_least=0.1,
    unit="points",
)  # fmt: skip
claims.check(
    "C3.c", "fall of the balanced accuracy at ε = ½‖η‖", measured=balanced[0] - balanced[-1],
    at_least=0.015,
)  # fmt: skip
claims.check(
    "C3.d", "change of the balanced accuracy when Σ is isotropic",
    measured=np.ptp(isotropic), at_most=1e-3, own=True,
)  # fmt: skip
claims.check(
    "C3.e", "smallest step of gap-AD from one R to the next, ε > 0",
    measured=100 * np.diff(gap[:, 1:], axis=0).min(), at_least=0.1, unit="points",
)  # fmt: skip


# %% [markdown]
# ### Trained classifiers
#
# Does training find these classifiers? We draw 50 000 points, minimise {eq}`eq-disparity-training`, and evaluate the clean
# accuracies of what comes out exactly: for a given $(w,b)$ they are $\Phi\bigl((w^\top\eta\pm b)/\|w\|_\Sigma\bigr)$.

# %%
def sample(n_major, n_minor, rng, eta=eta):
    """Points and labels of the two Gaussian classes."""
    y = np.repeat([1.0, -1.0], [n_major, n_minor])
    return y[:, None] * eta + np.sqrt(Sigma) * rng.standard_normal((len(y), 100)), y


def exact_accuracies(w, b, eta=eta):
    """Clean accuracies of majority and minority under the true classes."""
    length = math.sqrt(w @ (Sigma * w))
    return accuracies(w @ eta / length, b / length)


n, off, off_max, balanced_gap = scale(default=50_000, paper=500_000), [], [], []
for seed in progress(range(2), "large samples"):
    for R in (1, 5):
        X, y = sample(n * R // (1 + R), n // (1 + R), generator(seed).host)
        found = [exact_accuracies(*train(X, y, f * np.linalg.norm(eta), 2)) for f in (0, 0.25, 0.5)]
        expected = [closed_form(eta, Sigma, f, R)[2:] for f in (0, 0.25, 0.5)]
        off.append(np.abs(np.subtract(found, expected)).max())
        if R == 1:
            balanced_gap.append(abs(np.subtract(*found[2]) - np.subtract(*found[0])))
    X, y = sample(n * 5 // 6, n // 6, generator(seed).host, uneven)
    found = exact_accuracies(*train(X, y, np.abs(uneven).max() / 2, math.inf), uneven)
    off_max.append(np.abs(np.subtract(found, closed_form(uneven, Sigma, 0.5, 5, math.inf)[2:])).max())

# %%
claims.check(
    "C2.a", "ℓ₂: trained on 50 000 points, largest distance of an accuracy from the closed form",
    measured=max(off), at_most=0.012, seeds=2,
)  # fmt: skip
claims.check(
    "C2.b", "ℓ∞: the same for R = 5, ε = ½‖η‖∞ and the uneven mean vector",
    measured=max(off_max), at_most=0.012, seeds=2,
)  # fmt: skip
claims.check(
    "C3.b", "balanced classes, trained at ε = ½‖η‖: largest |gap-AD|",
    measured=max(balanced_gap), at_most=0.005, seeds=2,
)  # fmt: skip

# %% [markdown]
# The paper trains on a thousand points of the majority and $1000/R$ of the minority. At this size the fit itself is noisy in
# a hundred dimensions; five seeds show what is left of the effect.

# %%
small = {}
for R in progress(RATIOS, "paper's size"):
    runs = []
    for seed in range(5):
        X, y = sample(1000, 1000 // R, generator(seed).host)
        fits = [train(X, y, f * np.linalg.norm(eta), 2) for f in (0, 0.25, 0.375, 0.5)]
        runs.append([np.subtract(*exact_accuracies(*fit)) for fit in fits])
    small[R] = 100 * np.asarray(runs)
rows = []
for R, AD in small.items():
    gaps = AD[:, 1:] - AD[:, :1]
    error = gaps.std(axis=0, ddof=1) / math.sqrt(5)
    theory = 100 * np.asarray([sum(gap_parts(eta, Sigma, f, R)) for f in (0.25, 0.375, 0.5)])
    cells = [f"{g:.1f} ± {e:.1f} ({t:.1f})" for g, e, t in zip(gaps.mean(0), error, theory, strict=True)]
    rows.append([f"R = {R}", f"{AD[:, 0].mean():.1f}", *cells])
columns = ["ratio", "standard AD (points)", "gap, ε = ¼‖η‖", "gap, ε = ⅜‖η‖", "gap, ε = ½‖η‖"]
table(rows, columns, "Trained at the paper's size: gap-AD in points, mean ± standard error (closed form)")


# %% [markdown]
# ### Heavy tails
#
# Now let the noise be stable with index $\alpha<2$: $x=y\eta+\Sigma^{1/2}\xi$ with $\xi$ spherical, so that every projection of unit scale has
# the characteristic function $e^{-|t|^\alpha}$. The directions stay as above, and only the threshold changes. For $\alpha=1$, the Cauchy law
# with density $f$, the condition $R f(s+b)=f(s-b)$ is a quadratic equation,
#
# $$
# b=\frac{s(R+1)-\sqrt{4Rs^2-(R-1)^2}}{R-1},
# $$ (eq-disparity-cauchy)
#
# which has a real solution only for $s\ge(R-1)/(2\sqrt R)$. And a stationary point need not be the minimum: its error has to be
# compared with that of the *constant* classifier, $1/(1+R)$. In a heavy tail the majority is everywhere $R$ times denser far out, so
# beyond a ratio $R_c(s)$ it is best to ignore the minority altogether; the disparity is then 1. A Gaussian never gives up.

# %%
def cauchy_threshold(s, R):
    """The optimal b; infinity where the constant classifier is better."""
    if R == 1:
        return 0.0
    square = 4 * R * s**2 - (R - 1) ** 2
    if square < 0:
        return math.inf
    b = (s * (R + 1) - math.sqrt(square)) / (R - 1)
    error = (R * cauchy.cdf(-s - b) + cauchy.cdf(-s + b)) / (1 + R)
    return b if error < 1 / (1 + R) else math.inf


def erm_threshold(t, y):
    """The b that minimises the 0-1 errors of sign(t + b) on a sample, by one sort."""
    order = np.argsort(t)
    t, y = t[order], y[order]
    # Everything below the cut is called minority: majority points there, minority points above.
    errors = np.concatenate([[0], np.cumsum(y > 0)]) + np.sum(y < 0)
    errors = errors - np.concatenate([[0], np.cumsum(y < 0)])
    k = np.argmin(errors)
    return -(t[k - 1] + t[k]) / 2 if 0 < k < len(t) else math.copysign(math.inf, len(t) / 2 - k)


# %% [markdown]
# With a clean margin of 3 and $\varepsilon=\frac12\|\eta\|$ we compare the formula with the empirical optimum over 200 000 points. Only the
# projection on $w$ matters, so one dimension suffices. The error is so flat around its minimum that the threshold of a single sample
# moves the minority's accuracy by a point, even at this size, so we take five samples.

# %%
eta3 = 1.5 * eta
_, s_rob, s_eps = margins(eta3, Sigma, np.linalg.norm(eta3) / 2, 2)
n, R_HEAVY = scale(default=200_000, paper=20_000_000), (2, 5, 10, 20, 50)


def empirical(s, R, rng):
    """Threshold of empirical risk minimisation at margin s, and the share called minority."""
    y = np.where(rng.uniform(size=n) < R / (1 + R), 1.0, -1.0)
    t = y * s + rng.standard_cauchy(n)
    b = erm_threshold(t, y)
    return b, np.mean(t + b < 0)


rows, found = [], {}
for R in R_HEAVY:
    for name, s, margin in (("standard", 3.0, 3.0), ("robust", s_rob, s_eps)):
        runs = [empirical(margin, R, generator(seed).host) for seed in range(5)]
        b, share = np.asarray(runs).T
        found[name, R] = (share.max(), cauchy.cdf(s + b).mean(), cauchy.cdf(s - b).mean())
        formula = cauchy_threshold(margin, R)
        rows.append([f"{name}, R = {R}", margin, formula, np.median(b), 100 * share.mean(), *found[name, R][1:]])
columns = ["classifier", "margin", "b, formula", "b, samples", "called minority (%)", "majority", "minority"]
table(rows, columns, "Cauchy classes: thresholds, and clean accuracies at the samples' thresholds")

# %% [markdown]
# A classifier counts as constant when in all five samples it calls less than one point in a hundred a member of the minority.

# %%
constant = {key: values[0] < 0.01 for key, values in found.items()}
expected = {
    ("standard", 2): False, ("robust", 2): False, ("standard", 10): False,
    ("robust", 10): True, ("standard", 20): True, ("robust", 20): True,
}  # fmt: skip
claims.check(
    "C4.a", "collapses of the samples' threshold at R = 2, 10, 20 that differ from theory",
    measured=sum(constant[key] != value for key, value in expected.items()), equals=0, seeds=5, own=True,
)  # fmt: skip
interior = {5: (0.927, 0.831), 10: (0.935, 0.777)}
off = [np.abs(np.subtract(found["standard", R][1:], value)).max() for R, value in interior.items()]
claims.check(
    "C4.b", "interior accuracies at s = 3, R = 5 and 10: distance from theory",
    measured=max(off), at_most=0.01, seeds=5, own=True,
)  # fmt: skip


# %% [markdown]
# The ratio $R_c(s)$ at which the formula switches can be found by bisection and compared with its tabulated values; at
# $R_c(s_\varepsilon)<R<R_c(s)$ only the robust classifier is constant.

# %%
def collapse_ratio(s):
    """R_c(s), by bisection in R."""
    low, high = 1.0, 1000.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if math.isinf(cauchy_threshold(s, middle)) else (middle, high)
    return low


TABULATED = {0.5: 2.00, 1: 3.50, 1.5: 5.35, 2: 7.42, 3: 11.94, 4: 16.78}
off = [abs(collapse_ratio(s) - R) for s, R in TABULATED.items()]
claims.check(
    "C4.f", "ratios R_c at which a Cauchy classifier becomes constant: distance from the table",
    measured=max(off), at_most=0.01, own=True,
)  # fmt: skip


# %% [markdown]
# For other indices the density is a cosine integral, and the threshold the best of a grid. The Holtsmark law of the paper has
# $\alpha=\frac32$; $\alpha=2$ is a Gaussian and checks the routine.

# %%
def stable_cdf(alpha, x):
    """F(x) of the law with characteristic function exp(-|t|^alpha)."""
    t = np.linspace(0, 40 ** (1 / alpha), 8001)[1:]
    weight = np.exp(-(t**alpha)) / t
    integral = np.sin(np.outer(x, t)) @ weight * (t[1] - t[0]) + x * (t[1] - t[0]) / 2
    return 0.5 + integral / math.pi


def disparity_curve(alpha, s, margin, ratios):
    """AD at the optimal threshold for each ratio; 1 where the constant classifier is best."""
    b = np.linspace(0, 30, 1501)
    F_major, F_minor = stable_cdf(alpha, -margin - b), stable_cdf(alpha, b - margin)
    AD = []
    for R in ratios:
        errors = (R * F_major + F_minor) / (1 + R)
        k = np.argmin(errors)
        constant = errors[k] >= 1 / (1 + R) - 1e-9
        cdf = stable_cdf(alpha, np.asarray([s + b[k], s - b[k]]))
        AD.append(1.0 if constant else cdf[0] - cdf[1])
    return np.asarray(AD)


# %%
ratios = np.geomspace(1, 60, 60)
curves = {
    alpha: disparity_curve(alpha, s_rob, s_eps, ratios) - disparity_curve(alpha, 3, 3, ratios)
    for alpha in progress((2.0, 1.5, 1.0), "stable laws")
}
cauchy_gap = {
    R: (found["robust", R][1] - found["robust", R][2])
    - (found["standard", R][1] - found["standard", R][2])
    for R in R_HEAVY
}
claims.check(
    "C4.c", "Cauchy: rise of gap-AD from R = 2 to its largest value",
    measured=max(cauchy_gap.values()) - cauchy_gap[2], at_least=0.5,
)  # fmt: skip
claims.check(
    "C4.d", "Cauchy: gap-AD at R = 50, both classifiers constant",
    measured=abs(cauchy_gap[50]), at_most=0.01, own=True,
)  # fmt: skip
claims.check(
    "C4.e", "Gaussian: smallest step of gap-AD over the same ratios up to 20",
    measured=np.diff(curves[2.0][ratios <= 20]).min(), at_least=0, own=True,
)  # fmt: skip

# %% tags=["hide-input"]
alt = """Added disparity against the class ratio from 1 to 60. The Gaussian curve rises smoothly.
The Cauchy curve jumps to almost 1 where the robust classifier gives the minority up, and falls to
zero where the standard one does; the curve for alpha 1.5 does the same at larger ratios. Dots of
the samples lie on the Cauchy curve."""
caption = r"""What robustness adds to the disparity, for three tails, at a clean margin of 3 and $\varepsilon=\frac12\|\eta\|$. Dots: empirical
thresholds for the Cauchy law."""
with figure(alt=alt, caption=caption, width=6.2, height=3.6) as ax:
    for (alpha, values), colour in zip(curves.items(), ("blue", "green", "vermilion"), strict=True):
        ax.plot(ratios, values, color=PALETTE[colour], label=f"α = {alpha:g}")
    ax.plot(R_HEAVY, list(cauchy_gap.values()), "o", color=PALETTE["vermilion"])
    ax.set(xlabel="class ratio R", ylabel="added disparity", xscale="log")
    ax.set_xticks((1, 2, 5, 10, 20, 50), labels=(1, 2, 5, 10, 20, 50))
    ax.minorticks_off()
    ax.legend()


# %% [markdown]
# Under heavy tails the ratio does not turn a knob, it throws a switch: robustness brings forward the point where the minority is
# given up, and between the two switches it costs the minority everything. Beyond both it costs nothing more, because nothing is left.
#
# ### Real data
#
# Five pairs of digits that look alike, and the tumours of scikit-learn's breast-cancer table with the malignant ones as the minority. Each
# training set has 120 points of the majority and $120/R$ of the minority; all others are the test set, as each class is judged by
# itself. The attacks are fractions of half the distance between the two class means, in the norm that is used. Differences of a point
# are a test point or two, so twenty splits are averaged.

# %%
def pair_problems():
    """Name -> points of the majority and points of the minority."""
    digits, tumours = data.table("digits"), data.table("breast_cancer")
    X, standard = digits.data / 16, tumours.data
    standard = (standard - standard.mean(axis=0)) / standard.std(axis=0)
    pairs = ((1, 7), (3, 8), (4, 9), (0, 6), (5, 9))
    problems = {f"digits {a}, {b}": (X[digits.target == a], X[digits.target == b]) for a, b in pairs}
    return problems | {"tumours": (standard[tumours.target == 1], standard[tumours.target == 0])}


def split(problem, R, seed):
    """Training points and labels, and all other points of both classes."""
    rng = generator(seed).host
    major, minor = (rng.permutation(points) for points in problem)
    k = 120 // R
    X = np.concatenate([major[:120], minor[:k]])
    return X, np.repeat([1.0, -1.0], [120, k]), major[120:], minor[k:]


def disparity(w, b, major, minor):
    """AD of the classifier sign(w x + b) on clean test points."""
    return np.mean(major @ w + b > 0) - np.mean(minor @ w + b < 0)


# %%
problems, FRACTIONS_REAL, SPLITS = pair_problems(), (0.25, 0.375, 0.5), 20


def disparities(name, maximum, R, seed):
    """AD without attack and at each fraction, in points."""
    p, problem = math.inf if maximum else 2, problems[name]
    half = (problem[0].mean(axis=0) - problem[1].mean(axis=0)) / 2
    X, y, major, minor = split(problem, R, seed)
    fits = [train(X, y, f * np.linalg.norm(half, p), p) for f in (0, *FRACTIONS_REAL)]
    return [100 * disparity(w, b, major, minor) for w, b in fits]


grid = {"name": list(problems), "maximum": [False, True], "R": RATIOS, "seed": range(SPLITS)}
cases = list(ParameterGrid(grid))
workers = scale(default=1, paper=None)
found = sweep(disparities, cases, workers=workers, description="real data")
AD = {}  # (problem, norm, R) -> (seed, fraction), the first column without attack
for case, values in zip(cases, found, strict=True):
    p = math.inf if case["maximum"] else 2
    AD.setdefault((case["name"], p, case["R"]), []).append(values)
AD = {key: np.asarray(runs) for key, runs in AD.items()}
gaps = {key: (runs[:, 1:] - runs[:, :1]).mean(axis=0) for key, runs in AD.items()}

# %%
rows = []
for name in problems:
    for p, norm_name in ((2, "ℓ₂"), (math.inf, "ℓ∞")):
        cells = [f"{AD[name, p, R][:, 0].mean():.1f} / {gaps[name, p, R][-1]:+.1f}" for R in RATIOS]
        rows.append([f"{name}, {norm_name}", *cells])
table(
    rows,
    ["problem", *(f"R = {R}" for R in RATIOS)],
    "Real data: standard disparity / what robustness at the largest ε adds (points, twenty splits)",
)


# %%
def mean_gaps(name, p, splits=slice(None)):
    """Mean gap-AD of a problem and norm for R >= 5 and each ε, over some of the splits."""
    runs = [AD[name, p, R][splits] for R in RATIOS if R >= 5]
    return np.stack([(r[:, 1:] - r[:, :1]).mean(axis=0) for r in runs])


arms = [(name, p) for name in problems for p in (2, math.inf)]
positive = 100 * np.mean([mean_gaps(*arm).mean() > 0 for arm in arms])
cells = [
    100 * np.mean([mean_gaps(*arm, slice(k, None, 4)) > 0 for arm in arms]) for k in range(4)
]

# %%
why = "where the standard classifier hardly errs, as on 0 and 6, robustness adds nothing to the disparity"
statement = "share of cells (problem, norm, R ≥ 5, ε) whose gap-AD is positive in the mean of five splits"
for id, bound in (
    ("C5.a", {"at_least": 80, "paper": "positive (figure)", "not_reproduced": why}),
    ("C5.d", {"at_least": 55, "own": True}),
):
    claims.check(id, statement, measured=np.mean(cells), unit="%", seeds=SPLITS,
                 spread=np.std(cells, ddof=1) / 2, **bound)
claims.report_value(
    "C5.c", "share of problems and norms whose gap-AD, mean over R ≥ 5, all ε and splits, is positive",
    measured=positive, unit="%", seeds=SPLITS, own=True,
)
by_ratio = {R: np.mean([v for (_, _, r), v in gaps.items() if r == R]) for R in RATIOS}
claims.check(
    "C5.b", "mean gap-AD at R = 10 less that at R = 2",
    measured=by_ratio[10] - by_ratio[2], at_least=0.1, unit="points", seeds=SPLITS,
)  # fmt: skip


# %% [markdown]
# Finally a network, 64 inputs, 32 hidden units, trained by Adam against five steps of projected gradient ascent on its input. Five seeds are
# trained at once; the arrays have a leading axis of runs.

# %%
def score(theta, x):
    """Score of each run."""
    h = ad.relu(x @ theta["W"] + theta["c"])
    return (h @ theta["v"])[..., 0] + theta["b"]


def logistic_loss(theta, x, y):
    """Mean logistic loss, summed over the runs."""
    return ad.sum(ad.softplus(-y * score(theta, x))) / y.shape[1]


def attack(theta, x, y, eps):
    """Five steps of projected gradient ascent in the l2 ball."""
    delta, slope = xp.zeros_like(x), ad.grad(logistic_loss, argnum=1)
    for _ in range(5 if eps else 0):
        g = slope(theta, x + delta, y)
        delta = delta + 0.5 * eps * g / (xp.linalg.vector_norm(g, axis=-1, keepdims=True) + 1e-12)
        length = xp.linalg.vector_norm(delta, axis=-1, keepdims=True)
        delta = delta * xp.minimum(xp.ones_like(length), eps / xp.maximum(length, 1e-12 + 0 * length))
    return x + delta


# %%
def train_network(x, y, eps, steps=200):
    """Adversarial training of all runs; full batches."""
    rng, runs, slope = generator(0), x.shape[0], ad.grad(logistic_loss)
    theta = {
        "W": rng.standard_normal((runs, 64, 32)) / 8, "c": xp.zeros((runs, 1, 32)),
        "v": rng.standard_normal((runs, 32, 1)) / 6, "b": xp.zeros((runs, 1)),
    }  # fmt: skip
    adam = Adam(0.01)
    for _ in range(steps):
        theta = adam.step(theta, slope(theta, attack(theta, x, y, eps), y))
    return theta


rows = []
for name in ("digits 3, 8", "digits 4, 9"):
    radius = np.linalg.norm(problems[name][0].mean(0) - problems[name][1].mean(0)) / 2
    for R in (1, 10):
        splits = zip(*(split(problems[name], R, seed) for seed in range(5)), strict=True)
        X, y, *tests = (to_device(np.stack(part)) for part in splits)
        nets = [train_network(X, y, f * radius) for f in (0, 0.5)]
        scores = [[to_host(score(net, test)) for test in tests] for net in nets]
        AD_net = [100 * ((a > 0).mean() - (b < 0).mean()) for a, b in scores]
        rows.append([f"{name}, R = {R}", AD_net[0], AD_net[1], AD_net[1] - AD_net[0]])
columns = ["problem", "standard AD (points)", "robust AD (points)", "added (points)"]
table(rows, columns, "A network on two pairs, ε half of half the distance of the means, five seeds")

# %%
added = {(name, p): gaps[name, p, 10][-1] for name in problems for p in (2, math.inf)}
say(f"""Where the classes overlap, the picture is the paper's: at R = 10 and the largest attack robustness
adds {added["tumours", math.inf]:.0f} points for the tumours and {added["digits 3, 8", math.inf]:.0f} for the
digits 3 and 8 (ℓ∞), and the mean over all problems grows with R, from {by_ratio[2]:.1f} points at R = 2 to
{by_ratio[10]:.1f} at R = 10. Of single cells of the grid {np.mean(cells):.0f} ± {np.std(cells, ddof=1):.0f}
per cent are positive.""")

# %% [markdown]
# The cells that are not positive are mostly those of pairs that are told apart almost without error whatever the attack, 0, 6 and 1, 7.
# Disparity needs errors to be distributed unevenly, and there are hardly any. A single cell is a matter of one or two test points there,
# and its sign changes with the splits.
#
# Two more things differ from the Gaussian model. The tumours have a gap already for balanced classes: the malignant ones
# spread more widely, so the turned direction does not cost both classes the same. And at this size the network shows little effect
# in either direction; we do not count it as evidence for or against the paper.
#
# ## Verdict
#
# On Gaussian classes the paper's statements hold as exactly as they can: the formulas have both effects, the trained classifiers land on
# them, and balanced or isotropic controls switch off what they should. In finite samples of the paper's size the added disparity is smaller
# than in theory, because the standard classifier is already hurt by overfitting and the robust penalty also regularises.
#
# For heavy tails the ratio indeed acts differently: it decides which classifier gives the minority up. At $R=2$ the Cauchy
# gap is even slightly negative, since a lower margin moves the optimal threshold *towards* the middle there. On real data the
# direction is right in the mean, and the gap is large where the classes overlap; but it is not there in four cells of five, because
# pairs that are hardly ever confused have no accuracy to lose. That row stands as not reproduced.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# MNIST, Fashion-MNIST and CIFAR-10 are not bundled, and the authors' synthetic mean vectors and covariances were not in the copy that
# we read; digits and a design of our own stand in. The theorems are replaced by the formulas above. For Cauchy data the
# expected logistic loss is infinite for every $w\ne0$, so a trained logistic classifier depends on the sample size there; we
# therefore test the statement about the 0–1 optimum only.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes ten times more training points in the large samples and a hundred times more Cauchy points. The paper's grid
# of learning rates is not needed: the problem is convex and solved to the end. The real data are a `sweep` over problems, norms, ratios
# and splits, which runs on all cores there, or on a Dask cluster (`GAUSSBOOK_DASK`). Nothing here has been run on a GPU.
