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
# # Out-of-domain unlabelled data
#
# ```{paper-card}
# ```
#
# Ten labelled points in two hundred dimensions make a poor classifier: 59 per cent right, where 84 are possible.
# Points without labels are cheap, and even where they come from a slightly different source one would like to use
# them. {cite:t}`unlabeled_out_of_domain` propose *robust self-supervised* training (RSS) for that, with a
# penalty on decision boundaries that run through crowded regions, prove bounds for mixtures of two Gaussians, and show a
# table in which unlabelled points help from the first ten on.
#
# From how many on *do* they help? Here everything can be computed. The direction in which the unlabelled
# cloud is longest beats $m$ labels as soon as $n>d+2m$, that is from 220 points on. Below, even the best rule that there can be
# makes of ten labels and ten unlabelled points only what 10.5 labels would give. From $n=1000$ on we find the
# paper's table confirmed; of its entries with $n\le d$ several are too good to be true as averages, and RSS with one
# setting for all entries does not reach them.
#
# ## What the paper claims
#
# All numbers are accuracies in $d=200$ dimensions. Points that are *shifted* come from class means that have moved by half their length.
#
# 1. Labels alone give 0.59, 0.62, 0.65 and 0.83 with $m=10$, 20, 40 and 10 000 of them. {claims}`C1.a, C1.b`
# 2. With 10 000 unlabelled points RSS reaches 0.82, whether $m$ is 10, 20 or 40. We ask as well that what reaches it is RSS and not
#    something simpler. {claims}`C2.m10, C2.m20, C2.m40, C2.b, C2.c10, C2.c40, C2.d, C2.e, C2.f, C2.g, C2.h, C2.i`
# 3. Fewer will do: 0.79 with $n=1000$ for $m=10$, 0.80 with 2000 for $m=20$, 0.81 with 4000 for $m=40$.
#    {claims}`C3.m10, C3.m20, C3.m40`
# 4. Shifted points are nearly as good: 0.80 to 0.81 with 10 000. With no shift the method is ordinary
#    semi-supervised learning. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f`
# 5. Few unlabelled points help too: for $m=10$ accuracy is 0.63 with ten and 0.66 with a hundred; for $m=40$ it is 0.65 with forty and
#    0.71 with 400; for $m=20$ it is 0.69 with 200. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f, C5.g, C5.h, C5.i, C5.j`
# 6. If $\alpha\le O(1/d)$ and $n\ge\Omega(d^3)$ the number of labels that is needed does not depend on $d$. {claims}`C6.a, C6.b`
# 7. RSS beats training on labels alone when the shift is at most $\alpha\le O(d/m)$ and $n\ge\Omega(m^2/d)$. We add that without
#    its unlabelled term it is training on labels alone. {claims}`C7.a, C7.b, C7.c, C7.d`
#
# Not tested here: the bounds with their rates, among them that $m=O(d/\epsilon)$ labels with $n=O(d/\epsilon^6)$ unlabelled points do the
# work of $m=O(d/\epsilon^2)$ labels, and the tables on tissue images (48 labels: from 0.65 to 0.82 with 2000 unlabelled images).
#
# **What our numbers rest on.** We read the abstract, the source of the authors' poster (set-up, estimator, theorems, both tables) and
# the public reviews; the body of the paper was not available, and the published code holds no training code. The parameters
# of the method and its optimiser are not published: ours are one setting for all entries. The noise $\sigma_0$ is not printed
# either; $\sigma_0=1$ gives exactly the column without unlabelled points. The paper's numbers are single values without a spread.
#
# ## The idea
#
# **The data.** A labelled point is $X=y\mu_0+\text{noise}$ with $y=\pm1$, $\|\mu_0\|=1$ and noise $N(0,I_d)$; there are $m$. An unlabelled one is
# $X'=u\mu_1+\text{noise}$ with an unseen sign $u$ and $\mu_1=\mu_0+\alpha v$, $v$ a random direction; there are $n$. A classifier
# $\operatorname{sign}(w^\top x)$ with $\|w\|=1$ is right with probability exactly $\Phi(w^\top\mu_0)$, so no test set is needed anywhere.
#
# **The robust loss.** An adversary may move a point, at a price of $\gamma$ per unit of length, until the classifier errs. The cheapest
# way is to move it by $|w^\top x|$ straight to the boundary, so the loss of a labelled point, the dearest outcome for us, is
#
# $$
# \phi_\gamma(t)=\sup_z\bigl\{1[\text{error at }z]-\gamma\|z-x\|\bigr\}=\min\bigl(1,\max(0,1-\gamma t)\bigr),\qquad t=y\,w^\top x .
# $$ (eq-ood-ramp)
#
# **The estimator.** An unlabelled point takes its label from the classifier itself, so that $t=|w^\top x'|$:
#
# $$
# J(w)=\frac1m\sum_i\phi_\gamma(y_iw^\top X_i)+\frac\lambda n\sum_j\phi_{\gamma'}(|w^\top X'_j|)\ \to\ \min_{\|w\|=1}.
# $$ (eq-ood-rss)
#
# The second sum is the price of a boundary in a crowd. Without $\|w\|=1$ it could be made small by stretching $w$.
#
# **Labels alone.** The natural rule is $w_0\propto\bar z=\frac1m\sum_iy_iX_i$. Its accuracy is $P(\bar z^\top x>0)$ for a fresh $x\sim N(\mu_0,I)$. With
# $a=\sqrt m\,\bar z+x$ and $b=\sqrt m\,\bar z-x$, which are independent, $\bar z^\top x>0$ means $\|a\|^2>\|b\|^2$, two non-central $\chi^2$ variables:
#
# $$
# \text{acc}_0(m)=P\bigl(\chi^2_d\bigl[\tfrac12(\sqrt m+1)^2\bigr]>\chi^2_d\bigl[\tfrac12(\sqrt m-1)^2\bigr]\bigr)\approx\Phi\bigl((1+d/m)^{-1/2}\bigr).
# $$ (eq-ood-labels)
#
# If $\mu_0$ may point anywhere with equal chance, no rule that sees $m$ labelled points does better on average. So $\text{acc}_0(m+n)$
# bounds *every* use of $n$ unlabelled points from the same source.
#
# **The longest direction.** The covariance of the unlabelled cloud is $I+\mu_1\mu_1^\top$. With $s=\|\mu_1\|^2=1+\alpha^2$ and $c=d/n$ the top eigenvector of
# the empirical one has, for large $d$ (Baik, Ben Arous and Péché's transition),
#
# $$
# \cos^2(\text{top},\mu_1)=\frac{1-c/s^2}{1+c/s}\ \text{ if } s^2>c,\ \text{ else } 0;\qquad \text{acc}=\Phi\bigl(\cos\cdot s^{-1/2}\bigr).
# $$ (eq-ood-spectral)
#
# Labels have $\cos^2=m/(m+d)$. Setting the two equal gives the number of unlabelled points from which the cloud alone is better
# than the labels (which then need only tell which side is which):
#
# $$
# n^*=\frac{d\,[\,m+(m+d)/s^2\,]}{d-m\alpha^2}\quad(\alpha^2<d/m),\qquad \alpha=0:\quad n^*=d+2m .
# $$ (eq-ood-enough)
#
# A condition on the shift like the paper's appears, on $\alpha^2$ in place of $\alpha$: past $\alpha^2=d/m$ no number of unlabelled points is enough.
#
# **The best possible rule.** Let somebody know $\alpha$ and both lengths, and weigh everything optimally. If the mean $\mu_1$ is known with overlap
# $q_1$ (the squared length of its best guess), the best guess of an unseen sign has mean square
# $F(q_1)=E\tanh(q_1+\sqrt{q_1}\,g)$, $g\sim N(0,1)$: the $n$ points are worth $nF(q_1)$ labelled ones. With $r_0=m/d$ and $r_1=nF(q_1)/d$ the two means have the posterior
# covariance $P/d$ per coordinate,
#
# $$
# P_{00}=\frac{1+\alpha^2r_1}{D},\quad P_{01}=\frac1D,\quad P_{11}=\frac{s+\alpha^2r_0}{D},\quad D=(1+r_0)(1+s\,r_1)-r_0r_1,
# $$ (eq-ood-posterior)
#
# and $q_1=s-P_{11}$ closes the circle. The accuracy is $\Phi(\sqrt{1-P_{00}})$. For $\alpha=0$ Lelarge and Miolane (2019) proved
# that this is the limit of the best accuracy when $m$, $n$, $d$ grow in proportion; for $\alpha>0$ it is our extension by the same reasoning,
# and both are tested below. For few points $F(q)\approx q$, and solving gives $q\approx m/(d-n)$: below $n=d$
# the unlabelled points are worth about $m\,n/(d-n)$ labels, half a label if $m=n=10$.
#
# ## The method in code
#
# The formulas {eq}`eq-ood-labels`, {eq}`eq-ood-spectral`, {eq}`eq-ood-enough` and {eq}`eq-ood-posterior` come first.

# %%
import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import shift
from scipy.special import ndtr
from scipy.stats import ncx2, norm
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from gaussbook import data
from gaussbook.arrays import Array, backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("unlabeled_out_of_domain")
xp = backend()
D, M = 200, (10, 20, 40)


# %%
def label_only(m, d=D):
    """acc_0(m), by the trapezoidal rule over the smaller of the two chi-squares."""
    larger, smaller = (math.sqrt(m) + 1) ** 2 / 2, (math.sqrt(m) - 1) ** 2 / 2
    mean, deviation = d + smaller, math.sqrt(2 * (d + 2 * smaller))
    t = np.linspace(max(0, mean - 12 * deviation), mean + 12 * deviation, 2001)
    return np.trapezoid(ncx2.pdf(t, d, smaller) * ncx2.sf(t, d, larger), t)


def spectral_law(n, alpha=0, d=D):
    """Accuracy of the longest direction of the unlabelled cloud (n: number or array)."""
    s, c = 1 + alpha**2, d / np.asarray(n)
    return ndtr(np.sqrt(np.maximum(0, 1 - c / s**2) / (1 + c / s) / s))


def enough(m, alpha=0, d=D):
    """n*, from which the cloud alone beats m labels."""
    s = 1 + alpha**2
    return d * (m + (m + d) / s**2) / (d - m * alpha**2)


# %%
g, g_weight = np.polynomial.hermite_e.hermegauss(60)
g_weight /= g_weight.sum()


def posterior(r0, r1, alpha):
    """P_00, P_01 and P_11."""
    s = 1 + alpha**2
    det = (1 + r0) * (1 + s * r1) - r0 * r1
    return (1 + alpha**2 * r1) / det, 1 / det, (s + alpha**2 * r0) / det


def best_possible(m, n, alpha=0, d=D, labelled=False):
    """Accuracy of the best rule; with `labelled`, if the n points (number or array) had labels."""
    r0, r1 = m / d, np.asarray(n) / d * (1.0 if labelled else 0.0)
    for _ in range(0 if labelled else 300):
        q1 = (1 + alpha**2 - posterior(r0, r1, alpha)[2])[..., None]
        r1 = np.asarray(n) / d * (np.tanh(q1 + np.sqrt(q1) * g) @ g_weight)
    return ndtr(np.sqrt(1 - posterior(r0, r1, alpha)[0]))


# %% [markdown]
# With nothing but formulas the paper's table can already be judged.

# %%
PAPER_LABELS = {10: 0.59, 20: 0.62, 40: 0.65, 10_000: 0.83}
PAPER = {  # (m, alpha): {n: accuracy}
    (10, 0): {10: 0.63, 100: 0.66, 1000: 0.79, 10_000: 0.82},
    (20, 0): {20: 0.64, 200: 0.69, 2000: 0.80, 10_000: 0.82},
    (40, 0): {40: 0.65, 400: 0.71, 4000: 0.81, 10_000: 0.82},
    (10, 0.5): {10: 0.61, 100: 0.65, 1000: 0.78, 10_000: 0.81},
    (20, 0.5): {20: 0.65, 200: 0.65, 2000: 0.79, 10_000: 0.80},
    (40, 0.5): {40: 0.65, 400: 0.73, 4000: 0.78, 10_000: 0.80},
}
curve = np.geomspace(10, 20_000, 60)

# %% tags=["hide-input"]
alt = """Two panels, without shift and with shift one half: accuracy against the number of unlabelled points, from
10 to 20 000, for ten labels. The best possible rule starts at 0.59, rises slowly to 0.67 at 200 points and then
quickly to 0.80 at 1000. The longest direction stays at 0.5 up to the dimension and crosses the line of labels alone
at 220 points, with shift at 146. The paper's values at 10 and 100 points lie well above the best rule, those at 1000 and 10 000 just below."""
caption = r"""Ten labels in two hundred dimensions, by formulas alone. Crosses: the paper's values. Vertical: $n^*$ of
{eq}`eq-ood-enough`."""
with figure(1, 2, alt=alt, caption=caption, height=3.4, sharey=True) as axes:
    for ax, alpha in zip(axes, (0, 0.5), strict=True):
        ax.plot(curve, best_possible(10, curve, alpha, labelled=True), ":", color=PALETTE["black"], label="if all had labels")
        ax.plot(curve, best_possible(10, curve, alpha), color=PALETTE["green"], label="best possible rule")
        ax.plot(curve, spectral_law(curve, alpha), color=PALETTE["blue"], label="longest direction")
        ax.axhline(label_only(10), color=PALETTE["orange"], ls="--", label="labels alone")
        ax.plot(*zip(*PAPER[10, alpha].items(), strict=True), "kx", ms=8, label="paper, RSS")
        ax.axvline(enough(10, alpha), color="gray", lw=1)
        ax.set(xscale="log", xlabel="unlabelled points n", title=f"shift α = {alpha}")
    axes[0].set_ylabel("accuracy")
    axes[1].legend(loc="center right", fontsize=9)

# %%
LABELS = {m: label_only(m) for m in PAPER_LABELS}
claims.check(
    "C1.a", "labels alone, exact, against the paper's four values: largest distance",
    measured=max(abs(LABELS[m] - PAPER_LABELS[m]) for m in LABELS), at_most=0.02,
    paper="0.59, 0.62, 0.65, 0.83",
)  # fmt: skip
above = {
    (m, alpha, n): value - best_possible(m, n, alpha)
    for (m, alpha), row in PAPER.items()
    for n, value in row.items()
}
claims.report_value(
    "C5.h", "entries of the paper's table above the best possible rule by more than 0.005",
    measured=sum(excess > 0.005 for excess in above.values()), unit="of 24", own=True,
)  # fmt: skip

# %%
beyond = [key for key, excess in above.items() if excess > 0.005]
rows = [
    (f"m = {m}, α = {alpha}, n = {n}", f"{PAPER[m, alpha][n]:.2f}", f"{best_possible(m, n, alpha):.3f}",
     f"{best_possible(m, n, alpha, labelled=True):.3f}", f"{label_only(m):.3f}")
    for m, alpha, n in beyond
]  # fmt: skip
columns = ["entry", "paper", "best possible", "if all had labels", "labels alone"]
table(rows, columns, "Entries of the paper's table that lie above the best possible rule")
say(f"""The column of labels alone is met to about the last digit. {len(beyond)} of the other 24 entries lie above what the best possible
rule attains on average, all of them with n ≤ {max(key[2] for key in beyond)}. For m = n = 10 without shift even a rule that sees
the labels of all points has only {label_only(20):.3f}, and that bound is exact.""")


# %% [markdown]
# These entries cannot be averages. A single run may lie above an average, so they need not be errors; how much luck they take is
# measured below.
#
# ### Drawing the data
#
# All seeds and all conditions are computed side by side. A *condition* is a number $m$ of labels, a shift $\alpha$ and a variant of
# the method; it is the last axis of the arrays, and seeds are the first. Conditions share the same noise,
# so that differences between them are not blurred by chance, and one pass over the data serves all:
# $w^\top X'=u\,w^\top\mu_1+w^\top Z$.

# %%
class Points(NamedTuple):
    """Data sets (first axis) under k conditions (last axis)."""

    mu0: Array  # (seeds, d, 1)
    z: Array  # (seeds, 40, d), the labelled points y_i X_i
    share: Array  # (40, k), 1/m for the first m of them
    Z: Array  # (seeds, n, d), the noise of the unlabelled points
    u: Array  # (seeds, n, 1), their unseen signs
    mu1: Array  # (seeds, d, k)

    def project(self, w):
        """The numbers w^T X'_j, shape (seeds, n, k)."""
        return self.Z @ w + self.u * xp.sum(self.mu1 * w, axis=-2, keepdims=True)

    def pull(self, y):
        """The sums of y_j X'_j, shape (seeds, d, k)."""
        return xp.matrix_transpose(self.Z) @ y + self.mu1 * (xp.matrix_transpose(self.u) @ y)


# %%
def unit(w):
    """Vectors (next to last axis) divided by their lengths."""
    return w / xp.linalg.vector_norm(w, axis=-2, keepdims=True)


def draw(seeds, n, conditions, d=D):
    """One data set for each seed, n unlabelled points, conditions (m, alpha)."""
    m, alpha = (xp.asarray(np.array(c, dtype=float)) for c in zip(*conditions, strict=True))
    draws = []
    for seed in seeds:
        rng = generator(seed)
        mu0, v = (unit(rng.standard_normal((d, 1))) for _ in range(2))
        z = mu0[:, 0] + rng.standard_normal((40, d))
        noise = rng.standard_normal((n, d + 1))
        draws.append((mu0, z, noise[:, :d], xp.sign(noise[:, d:]), mu0 + alpha * v))
    mu0, z, Z, u, mu1 = (xp.stack(part) for part in zip(*draws, strict=True))
    first = xp.arange(40)[:, None] < m
    return Points(mu0, z, xp.astype(first, Z.dtype) / m, Z, u, mu1)


# %% [markdown]
# ### The estimator
#
# {eq}`eq-ood-rss` is minimised from $w_0$ by 150 steps of gradient descent with momentum; each removes the part of the gradient along
# $w$ and returns to the sphere. The slope of $\phi_\gamma$ is $-\gamma$ where $0<\gamma t<1$ and zero elsewhere. Throughout $\lambda=20$, $\gamma=1$, $\gamma'=0.3$.
# With `frozen` the pseudo-labels are those of $w_0$ and never change, which is plain self-training.

# %%
def inside(t):
    """Where the ramp is steep."""
    return xp.astype((t > 0) & (t < 1), t.dtype)


def rss_fit(points, lam=20.0, gamma=1.0, gamma2=0.3, frozen=False, steps=150):
    """The minimiser of J and its start w_0, shape (seeds, d, k)."""
    z, zT, n = points.z, xp.matrix_transpose(points.z), points.Z.shape[-2]
    w0 = w = unit(zT @ points.share)
    velocity, label0 = xp.zeros_like(w), xp.sign(points.project(w0))
    for step in range(steps):
        score = points.project(w)
        label = label0 if frozen else xp.sign(score)
        by_labelled = gamma * (zT @ (points.share * inside(gamma * (z @ w))))
        by_unlabelled = lam * gamma2 / n * points.pull(label * inside(gamma2 * label * score))
        gradient = -by_labelled - by_unlabelled
        gradient = gradient - w * xp.sum(gradient * w, axis=-2, keepdims=True)
        velocity = 0.9 * velocity - 0.3 * (1 - step / steps) * gradient
        w = unit(w + velocity)
    return w, w0


# %% [markdown]
# The objective itself, to compare solutions, and the accuracy:

# %%
def ramp(t):
    """phi at gamma t."""
    return xp.clip(1 - t, 0.0, 1.0)


def labelled_loss(points, w, gamma=1.0):
    """The first sum of J(w), shape (seeds, k)."""
    return xp.sum(points.share * ramp(gamma * (points.z @ w)), axis=-2)


def objective(points, w, lam=20.0, gamma2=0.3):
    """J(w), shape (seeds, k)."""
    return labelled_loss(points, w) + lam * xp.mean(ramp(gamma2 * xp.abs(points.project(w))), axis=-2)


def accuracy(points, w):
    """Phi(w^T mu_0), shape (seeds, k)."""
    return ndtr(to_host(xp.sum(points.mu0 * w, axis=-2)))


# %% [markdown]
# Three rivals. Plain self-training takes the signs that $w_0$ gives to the unlabelled points for true, and learns the mean from them.

# %%
def self_training(points, w0):
    """The direction of sum_j h_0(X'_j) X'_j."""
    return unit(points.pull(xp.sign(points.project(w0))))


# %% [markdown]
# The longest direction, by power iteration from $w_0$, whose side it keeps. It only needs second moments, so the $n$ points may be
# replaced by the $d+1$ rows of a Cholesky factor that has the same ones.

# %%
def compressed(points):
    """Fewer rows with the same second moments (n > d)."""
    X = xp.concat([points.Z, points.u], axis=-1)
    R = xp.matrix_transpose(xp.linalg.cholesky(xp.matrix_transpose(X) @ X))
    return points._replace(Z=R[..., :-1], u=R[..., -1:])


def longest_direction(points, w, steps=300):
    """Top eigenvector of sum_j X'_j X'_j^T for each condition, on the side of w."""
    points = compressed(points)
    for _ in range(steps):
        w = unit(points.pull(points.project(w)))
    return w


# %% [markdown]
# And an algorithm that attains the best possible rule in the limit, *approximate message passing*. It alternates between the best guesses
# $\hat y_j=\tanh(\cdot)$ of the signs and those of the means, and each time subtracts what its own last guess has
# echoed back: $P_{11}\hat y$ from the projections, $e\,\hat\mu_1$ with $e=\frac1d\sum_j(1-\hat y_j^2)$ from the sums.

# %%
def message_passing(points, conditions, iterations=15):
    """Directions w, shape (seeds, d, k)."""
    m, alpha = (xp.asarray(np.array(c, dtype=float)) for c in zip(*conditions, strict=True))
    d, r0, r1, y = points.Z.shape[-1], m / points.Z.shape[-1], 0.0, 0.0
    from_labels = r0 * (xp.matrix_transpose(points.z) @ points.share)
    mu1 = from_labels / (1 + r0)
    for _ in range(iterations):
        y = xp.tanh(points.project(mu1) - posterior(r0, r1, alpha)[2] * y)
        r1 = xp.sum(y**2, axis=-2, keepdims=True) / d
        from_cloud = points.pull(y) / d - xp.sum(1 - y**2, axis=-2, keepdims=True) / d * mu1
        P00, P01, P11 = posterior(r0, r1, alpha)
        mu1 = P01 * from_labels + P11 * from_cloud
    return unit(P00 * from_labels + P01 * from_cloud)


# %% [markdown]
# ## Experiments
#
# ### The paper's table, with error bars
#
# All 24 entries, and for ten labels also the sizes between and the shifts ¼ and 1.

# %%
CONDITIONS = [*PAPER, (10, 0.25), (10, 1.0)]
SEEDS = {n: scale(default=20, paper=200) for n in (10, 20, 40, 100, 200, 400)}
SEEDS |= {1000: scale(default=10, paper=200)}
SEEDS |= {n: scale(default=4, paper=200) for n in (2000, 4000, 10_000)}
SEEDS |= {20_000: scale(default=1, paper=50)}


def run(n):
    """Accuracies of RSS, of w_0 and of the rivals at n unlabelled points, and the values of J."""
    points = draw(range(SEEDS[n]), n, CONDITIONS)
    w, w0 = rss_fit(points)
    found = {"rss": accuracy(points, w), "labels": accuracy(points, w0)}
    found["best"] = accuracy(points, message_passing(points, CONDITIONS))
    found["self"] = accuracy(points, self_training(points, w0))
    if n >= 1000:
        longest = longest_direction(points, w0)
        found["longest"] = accuracy(points, longest)
        found["J"] = [to_host(objective(points, each)) for each in (w, longest, w0)]
        found["loss"] = [to_host(labelled_loss(points, each)) for each in (w, longest)]
    return found


results = {n: run(n) for n in progress(SEEDS, "table")}

# %%
CELLS = [(k, *key, n) for k, (key, row) in enumerate(PAPER.items()) for n in row]
rows = []
for k, m, alpha, n in CELLS:
    rss, paper = results[n]["rss"][:, k], PAPER[m, alpha][n]
    reached = 100 * np.mean(results[n]["best"][:, k] >= paper - 0.005)
    formulas = [best_possible(m, n, alpha), best_possible(m, n, alpha, labelled=True)]
    measured = f"{rss.mean():.3f} ± {rss.std(ddof=1):.3f}"
    cell = f"m = {m}, α = {alpha}, n = {n}"
    row = [paper, measured, LABELS[m], spectral_law(n, alpha), *formulas]
    rows.append([cell, *(v if isinstance(v, str) else f"{v:.3f}" for v in row), f"{reached:.0f} %"])
columns = ["entry", "paper", "RSS, mean ± sd", "labels alone", "longest direction, law",
           "best possible", "if all had labels", "best runs that reach the paper"]  # fmt: skip
table(rows, columns, "The paper's table of accuracies, d = 200; the right five columns are for comparison")


# %% [markdown]
# The last column counts the runs of message passing whose accuracy rounds to the paper's value or above: how much luck
# the best rule needs.

# %%
def means(k, what="rss"):
    """Sizes n and the mean accuracies of a condition."""
    return list(SEEDS), [results[n][what][:, k].mean() for n in SEEDS]


# %% tags=["hide-input"]
ten = {n: results[n]["rss"][:, 0].mean() for n in SEEDS}
ends = ", ".join(f"{results[20_000]['rss'][:, k].mean():.2f}" for k in (0, 6, 3, 7))
alt = f"""Two panels against the number of unlabelled points, ten labels. Left, no shift: RSS starts below labels alone, at
{ten[10]:.2f}, has {ten[100]:.2f} at 100 points and {ten[200]:.2f} at 200, and follows the longest direction to {ten[20_000]:.2f}; message
passing follows the best possible rule all along; self-training ends at {results[20_000]["self"][:, 0].mean():.2f}. Right: RSS for shifts 0,
one quarter, one half and one ends at {ends}, near the closed forms."""
caption = r"""Ten labels, mean of the runs (one run at the largest $n$). Left: RSS and its rivals without shift; bars are one standard deviation.
Vertical: $n=d$. Right: RSS with shifts; dashed: the law {eq}`eq-ood-spectral` of the longest direction."""

with figure(1, 2, alt=alt, caption=caption, height=3.8, sharey=True) as axes:
    spread = [results[n]["rss"][:, 0].std() for n in SEEDS]
    axes[0].errorbar(*means(0), yerr=spread, fmt="o-", color=PALETTE["vermilion"], label="RSS")
    axes[0].plot(*means(0, "best"), "s", ms=4, color=PALETTE["green"], label="message passing")
    axes[0].plot(curve, best_possible(10, curve), color=PALETTE["green"], lw=1)
    axes[0].plot(*means(0, "self"), "^-", ms=4, color=PALETTE["purple"], label="self-training")
    axes[0].axhline(LABELS[10], color=PALETTE["orange"], ls="--", label="labels alone")
    axes[0].plot(*zip(*PAPER[10, 0].items(), strict=True), "kx", ms=8, label="paper, RSS")
    for k, alpha in ((0, 0), (6, 0.25), (3, 0.5), (7, 1.0)):
        (line,) = axes[1].plot(*means(k), "o-", ms=4, label=f"α = {alpha}")
        axes[1].plot(curve, spectral_law(curve, alpha), "--", lw=1, color=line.get_color())
    for ax in axes:
        ax.set(xscale="log", xlabel="unlabelled points n")
        ax.axvline(D, ymax=0.64, color="gray", lw=1)
        ax.legend(loc="upper left", fontsize=9)
    axes[0].set_ylabel("accuracy")


# %%
def mean(m, n, alpha=0, what="rss"):
    """Mean accuracy of a condition."""
    return results[n][what][:, CONDITIONS.index((m, alpha))].mean()


def typical(m, n, alpha=0, what="rss"):
    """Median accuracy of a condition."""
    return np.median(results[n][what][:, CONDITIONS.index((m, alpha))])


# %% [markdown]
# Labels must say which side is which, and ten of them err about that with probability $\Phi(-\sqrt{m/(1+\alpha^2)})$, in 0.1 per cent of
# all runs without a shift and 1.3 per cent at $\alpha=1$. Such a run has an accuracy below one half. With few runs of a large size we
# therefore take medians, which it does not move, and count such runs below.

# %%
starts = draw(range(40), 1, CONDITIONS)
starts = accuracy(starts, unit(xp.matrix_transpose(starts.z) @ starts.share)).mean(axis=0)
claims.check(
    "C1.b", "labels alone: mean of the runs against the exact value, largest distance over m",
    measured=max(abs(starts[k] - LABELS[m]) for k, m in enumerate(M)), at_most=0.02, seeds=40,
    own=True,
)  # fmt: skip
for m in M:
    claims.check(
        f"C2.m{m}", f"RSS with {m} labels and 10 000 points, median", measured=typical(m, 10_000),
        between=(0.81, 0.845), paper="0.82", seeds=SEEDS[10_000],
    )  # fmt: skip
for m, n, bound in ((10, 1000, {"between": (0.75, 0.82)}), (20, 2000, {"at_least": 0.79}),
                    (40, 4000, {"at_least": 0.79})):  # fmt: skip
    claims.check(
        f"C3.m{m}", f"RSS with {m} labels and {n} points, median", measured=typical(m, n), **bound,
        paper=str(PAPER[m, 0][n]), seeds=SEEDS[n],
    )  # fmt: skip

# %% [markdown]
# With 10 000 points, and with fewer from $n=1000$ on, the paper's table is right. Is it RSS that does it? Accuracy cannot tell: the longest direction is as accurate. The objective can.

# %%
large = [(k, n) for k, _, _, n in CELLS if n >= 1000]
gap = [results[n]["J"][1][:, k] - results[n]["J"][0][:, k] for k, n in large]
fall = [results[n]["J"][2][:, k] - results[n]["J"][0][:, k] for k, n in large]
gap_all, fall_all = np.concatenate(gap), np.concatenate(fall)
apart = [(results[n]["rss"] - results[n]["longest"])[:, k] for k, n in large]
difference = [np.median(each) for each in apart]
stuck = np.concatenate(apart) < -0.05
wrong = np.concatenate([results[n]["rss"][:, k] for k, n in large]) < 0.5
loss, loss_longest = (np.mean([results[n]["loss"][i][:, k].mean() for k, n in large]) for i in (0, 1))

# %%
claims.check(
    "C2.b", "runs with n ≥ 1000 whose J is below the longest direction's, and below w₀'s by 1",
    measured=100 * np.mean((gap_all > 0) & (fall_all > 1)), at_least=90, unit="%", own=True,
)  # fmt: skip
claims.check(
    "C2.d", "the same runs: how far J lies below the longest direction's, mean",
    measured=gap_all.mean(), at_least=0.05, own=True,
)  # fmt: skip
claims.check(
    "C2.i", "the same runs: mean loss of the labelled points over that of the longest direction",
    measured=loss / loss_longest, at_most=0.6, own=True,
)  # fmt: skip

# %%
claims.check(
    "C2.e", "accuracy of RSS less that of the longest direction, n ≥ 1000: lowest median of the runs",
    measured=min(difference), at_least=-0.02, own=True,
)  # fmt: skip
claims.check(
    "C2.f", "accuracy of RSS less that of the longest direction, n ≥ 1000: highest median of the runs",
    measured=max(difference), at_most=0.01, own=True,
)  # fmt: skip
claims.check(
    "C2.h", "runs with n ≥ 1000 in which RSS ends 0.05 or more below the longest direction",
    measured=100 * stuck.mean(), at_most=10, unit="%", own=True,
)  # fmt: skip
for m, least in ((10, 0.10), (40, 0.05)):
    claims.check(
        f"C2.c{m}", f"RSS less self-training, {m} labels and 10 000 points, medians",
        measured=typical(m, 10_000) - typical(m, 10_000, what="self"), at_least=least, own=True,
        seeds=SEEDS[10_000],
    )  # fmt: skip

# %% [markdown]
# A stronger form of self-training keeps the loss {eq}`eq-ood-ramp`, which gives up points that are far on the wrong side, and freezes only the pseudo-labels:

# %%
points = draw(range(SEEDS[2000]), 2000, [(10, 0), (40, 0)])
frozen = np.median(accuracy(points, rss_fit(points, frozen=True)[0]), axis=0)
claims.check(
    "C2.g", "RSS less RSS with frozen pseudo-labels, n = 2000, medians: smaller of m = 10 and 40",
    measured=min(typical(10, 2000) - frozen[0], typical(40, 2000) - frozen[1]), at_least=0.01, own=True,
    seeds=SEEDS[2000],
)  # fmt: skip

# %%
say(f"""RSS ends lower on its own objective in {100 * np.mean(gap_all > 0):.0f} % of the runs, so it is not the longest direction in disguise.
But it does not beat it: the medians of the difference in accuracy lie between {min(difference):+.3f} and {max(difference):+.3f}. {stuck.sum()} of
{stuck.size} runs end far below it, in a local minimum or on the wrong side, and {wrong.sum()} name the sides the wrong way round. What the labels
still do is pull the boundary off themselves: they lose {loss:.2f} on average, {loss_longest:.2f} under the longest direction. Self-training
stops at {typical(10, 10_000, what="self"):.2f} with ten labels, since it repeats the mistakes of the start, and with the robust loss at
{frozen[0]:.2f}.""")

# %% [markdown]
# The shift costs what its geometry says: the cloud's direction is then $\mu_1$, whose angle to $\mu_0$ has the cosine $(1+\alpha^2)^{-1/2}$.

# %%
shifted = [typical(m, 10_000, 0.5) for m in M]
cost = [typical(m, 10_000) - value for m, value in zip(M, shifted, strict=True)]
for id, words, number, bound in (
    ("C4.a", "α = ½, 10 000 points: lowest median over m", min(shifted), {"at_least": 0.79}),
    ("C4.b", "α = ½, 10 000 points: highest median over m", max(shifted), {"at_most": 0.82}),
    ("C4.c", "what the shift costs, 10 000 points: least over m", min(cost), {"at_least": 0.01}),
    ("C4.d", "what the shift costs, 10 000 points: most over m", max(cost), {"at_most": 0.04}),
):
    paper = "0.80 to 0.81" if id < "C4.c" else "0.01 to 0.02"
    claims.check(id, words, measured=number, **bound, paper=paper, seeds=SEEDS[10_000])

# %%
by_shift = {a: typical(10, 10_000, a) for a in (0, 0.25, 0.5, 1.0)}
claims.check(
    "C4.e", "ten labels, 10 000 points: median at α = ½ less that at α = 1", measured=by_shift[0.5] - by_shift[1.0],
    at_least=0.02, own=True, seeds=SEEDS[10_000],
)  # fmt: skip
claims.check(
    "C7.b", "ten labels, 10 000 points, α = 1: median (limit 0.760)", measured=by_shift[1.0],
    between=(0.74, 0.78), own=True, seeds=SEEDS[10_000],
)  # fmt: skip
claims.check(
    "C7.c", "RSS, median, less labels alone, m = 10, n = 10 000, smallest over shifts up to 1 (α² < d/m)",
    measured=min(by_shift.values()) - LABELS[10], at_least=0.1,
    paper="better if α ≤ O(d/m)", seeds=SEEDS[10_000],
)  # fmt: skip

# %%
distance = [abs(typical(m, n, alpha) - PAPER[m, alpha][n]) for _, m, alpha, n in CELLS if n >= 1000]
claims.check(
    "C4.f", "all twelve entries with n ≥ 1000: largest distance of the median from the paper's number",
    measured=max(distance), at_most=0.035, paper="0.78 to 0.82",
)  # fmt: skip

# %% [markdown]
# Shifts longer than the paper's, with 40 labels and 1000 points, show two things more. Message passing meets the best possible rule there too, where
# it matters that the rule knows $\alpha$; and past $\alpha^2=d/m$, at $\alpha=4$, RSS falls below labels alone.

# %%
FAR = [(40, 1.0), (40, 1.5), (40, 2.0), (40, 4.0)]
points = draw(range(20), 1000, FAR)
passed = accuracy(points, message_passing(points, FAR)).mean(axis=0)
points = draw(range(20), 1000, FAR[3:])
far = np.median(accuracy(points, rss_fit(points)[0]))
claims.check(
    "C5.j", "message passing against the best possible rule, m = 40, α = 1, 1.5 and 2: largest distance",
    measured=max(abs(passed[k] - best_possible(*FAR[k][:1], 1000, FAR[k][1])) for k in range(3)),
    at_most=0.015, own=True, seeds=20,
)  # fmt: skip
claims.check(
    "C7.d", "RSS, median, less labels alone, m = 40, n = 1000, α = 4 (α² > d/m)",
    measured=far - LABELS[40], at_most=-0.02, own=True, seeds=20,
)  # fmt: skip

# %% [markdown]
# ### Below the dimension
#
# Now the entries with few unlabelled points.

# %%
few = {(m, n): mean(m, n) - mean(m, n, what="labels") for m, n in ((10, 10), (10, 100), (40, 40))}
paper_few = "+0.04, +0.07, 0"
claims.check(
    "C5.b", "RSS less labels alone at n < d: mean of (m, n) = (10, 10), (10, 100), (40, 40)",
    measured=np.mean(list(few.values())), at_least=0.02, paper=paper_few, seeds=SEEDS[10],
    not_reproduced="below n ≈ d the cloud's longest direction is noise, and RSS follows it",
)  # fmt: skip
claims.check(
    "C5.c", "the same three differences: lowest", measured=min(few.values()), at_least=-0.09,
    own=True, seeds=SEEDS[10],
)  # fmt: skip
claims.check(
    "C5.d", "the same three differences: highest", measured=max(few.values()), at_most=0.015,
    own=True, seeds=SEEDS[10],
)  # fmt: skip
claims.check(
    "C5.e", "RSS less labels alone at n = 2d, m = 40", measured=mean(40, 400) - mean(40, 400, what="labels"),
    between=(0.03, 0.10), paper="+0.06", seeds=SEEDS[400],
)  # fmt: skip

# %%
small = [n for n in SEEDS if n <= 1000]
gains = np.array([mean(10, n) - mean(10, n, what="labels") for n in small])
last = np.flatnonzero(gains < 0).max()  # from the next size on RSS is better
sizes = np.log(small)[last : last + 2]
crossing = math.exp(np.interp(0, gains[last : last + 2], sizes))
claims.check(
    "C5.f", "number of unlabelled points from which RSS beats ten labels (law of the cloud: 220)",
    measured=crossing, between=(D / 4, 2 * D), own=True, seeds=SEEDS[200],
)  # fmt: skip
off = {
    (m, n, alpha): (typical if n >= 1000 else mean)(m, n, alpha, "best") - best_possible(m, n, alpha)
    for _, m, alpha, n in CELLS
}
claims.check(
    "C5.g", "message passing, median, against the best possible rule, n ≥ 1000: largest distance",
    measured=max(abs(v) for (_, n, _), v in off.items() if n >= 1000), at_most=0.01, own=True,
)  # fmt: skip
claims.check(
    "C5.i", "message passing less the best possible rule, n < 1000: mean of the entries",
    measured=np.mean([v for (_, n, _), v in off.items() if n < 1000]), between=(-0.015, 0.015),
    own=True, seeds=SEEDS[10],
)  # fmt: skip

# %%
over = max(mean(m, n, alpha) - best_possible(m, n, alpha, labelled=True) for _, m, alpha, n in CELLS)
claims.check(
    "C5.a", "RSS less what labels for all points would give: highest of the 24 entries",
    measured=over, at_most=0.015, own=True,
)  # fmt: skip

# %%
middle = mean(20, 200) - mean(20, 200, what="labels")
below = [(k, excess) for (k, _, _, n), excess in zip(CELLS, above.values(), strict=True) if n <= D]
luck = np.sqrt(np.mean([results[n]["best"][:, k].var(ddof=1) for k, _, _, n in CELLS if n <= D]) / len(below))
say(f"""Below the dimension RSS with our parameters loses: {", ".join(f"{v:+.3f}" for v in few.values())} where the paper has {paper_few}.
At n = d (m = 20) it gains {middle:+.3f} (paper +0.07), at n = 2d what the paper says. For ten labels the gain starts at about
n = {crossing:.0f}. The paper's theorem asks for n of the order m²/d, which is {100 / D} here; such a
number is far from enough, unless the constant is in the hundreds. The paper's {len(below)} entries with n ≤ d lie
{np.mean([excess for _, excess in below]):+.3f} from the best possible rule on average, with {luck:.3f} for the scatter of as many
single runs of that rule: possible for a method that is close to optimal and told α and all lengths, not for
RSS as we run it.""")

# %% [markdown]
# ### What the parameters do
#
# Could other parameters give the paper's gain at $n=100$? A grid of both, ten labels, no shift. We also take, in every single run, the
# pair that is best *on the true accuracy*, which nobody can do with ten labels.

# %%
LAM, GAMMA2 = (0.0, 1.0, 5.0, 20.0, 100.0), (0.1, 0.3, 0.5, 1.0)
GRID = [(lam, gamma2) for lam in LAM for gamma2 in GAMMA2]
lam, gamma2 = (xp.asarray(np.array(values)) for values in zip(*GRID, strict=True))
ablation, chosen = {}, {}
for n in progress((100, 1000), "parameters"):
    points = draw(range(6), n, [(10, 0)] * len(GRID))
    scores = accuracy(points, rss_fit(points, lam, gamma2=gamma2)[0])
    chosen[n] = scores.max(axis=1).mean()
    ablation[n] = scores.mean(axis=0).reshape(len(LAM), len(GAMMA2))

# %%
rows = [
    (f"n = {n}, λ = {value:g}", *(f"{v:.3f}" for v in ablation[n][i]))
    for n in ablation
    for i, value in enumerate(LAM)
]
table(rows, ["setting", *(f"γ′ = {v}" for v in GAMMA2)], "Accuracy with ten labels, mean of six runs")
alone = ablation[1000][0, 1]
claims.check(
    "C7.a", "λ = 0 against labels alone", measured=abs(alone - LABELS[10]), at_most=0.04,
    own=True, seeds=6,
)  # fmt: skip
say(f"""At n = 100 no setting has a mean above {ablation[100].max():.3f} (best possible: {best_possible(10, 100):.3f}), and even choosing
in every run the setting with the highest true accuracy gives {chosen[100]:.3f}, where the paper has 0.66. The best mean there has
λ = {LAM[ablation[100].max(axis=1).argmax()]:g}: with λ ≥ 1 no γ′ gives more than {ablation[100][1:].max():.3f}, so the loss below the dimension is not
due to λ = 20 alone. At n = 1000 λ must be large and γ′ small: with γ′ = 1 our descent reaches {ablation[1000][3, 3]:.3f} only.""")

# %% [markdown]
# So parameters alone do not explain the paper's entry.
#
# ### No more labels in more dimensions
#
# With $n=d^3$ unlabelled points, shifted by $1/d$ or not, ten labels should do as well in 40 dimensions as in ten.

# %%
DIMENSIONS = {10: 20, 20: 4, 40: scale(default=1, paper=20)} | scale(default={}, paper={100: 20})
by_d = {}
for d, seeds in progress(DIMENSIONS.items(), "dimensions"):
    points = draw(range(seeds), d**3, [(10, 0), (10, 1 / d)], d)
    by_d[d] = np.median(accuracy(points, rss_fit(points)[0]), axis=0)
rows = [(f"d = {d}", d**3, label_only(10, d), *by_d[d], best_possible(10, d**3, 0, d)) for d in by_d]
columns = ["dimension", "n = d³", "labels alone, exact", "RSS, α = 0", "RSS, α = 1/d", "best possible, α = 0"]
table(rows, columns, "Accuracy with ten labels, median of the runs")

# %%
claims.check(
    "C6.a", "RSS with n = d³: range over d of the median accuracy, larger of α = 0 and 1/d",
    measured=np.ptp(list(by_d.values()), axis=0).max(), at_most=0.02,
    paper="labels needed do not depend on d",
)  # fmt: skip
claims.check(
    "C6.b", "labels alone: fall of the accuracy from d = 10 to 40, exact",
    measured=label_only(10, 10) - label_only(10, 40), at_least=0.05, own=True,
)  # fmt: skip


# %% [markdown]
# ### Under attack
#
# The theorems speak of the *robust* loss, the paper's simulations of plain accuracy. An adversary who moves every point by at most $e$ leaves an accuracy of
# $\Phi(w^\top\mu_0-e)$. The mean of {eq}`eq-ood-ramp` over a fresh point has a closed form too: with $c=w^\top\mu_0$ and
# $h(x)=E\max(0,x-g)=x\Phi(x)+\phi(x)$, where $\phi$ is the normal density, it is $\gamma\,[h(1/\gamma-c)-h(-c)]$. Both depend on $c$ alone and are monotone in it: with round noise and
# a linear rule, robust and plain accuracy rank all rules in the same order. So this needs no claim of its own.

# %%
def robust_loss(c, gamma=1.0):
    """E phi_gamma for w^T mu_0 = c."""
    low, high = -c, 1 / gamma - c
    return gamma * (high * ndtr(high) + norm.pdf(high) - low * ndtr(low) - norm.pdf(low))


names = {"labels alone": LABELS[10], "RSS, n = 1000": typical(10, 1000), "RSS, n = 10 000": typical(10, 10_000),
         "RSS, n = 10 000, α = ½": typical(10, 10_000, 0.5), "all of 10 010 labelled": label_only(10_010)}  # fmt: skip
cosines = {name: norm.ppf(value) for name, value in names.items()}
rows = [(name, *(ndtr(c - e) for e in (0, 0.25, 0.5)), robust_loss(c)) for name, c in cosines.items()]
table(rows, ["rule, ten labels", "e = 0", "e = 0.25", "e = 0.5", "robust loss, γ = 1"],
      "Accuracy under attacks of length e, and the robust loss (at the median accuracy of each rule)")  # fmt: skip

# %% [markdown]
# ### Real data
#
# Tissue images are not bundled with Python libraries. Two tables stand in: the breast cancer measurements (30 features, standardised) and
# the handwritten digits 3 and 8 (20 principal components, one common scale); neither preparation looks at labels. Of each split 30 per cent are the test set, $m$ points have labels, the rest
# have none. Out of domain, the unlabelled points carry noise of standard deviation 0.5, or the digits have moved by one pixel. The parameters are those of the simulation.

# %%
cancer, digits = data.table("breast_cancer"), data.table("digits")
pair = np.isin(digits.target, (3, 8))
images = digits.data[pair].reshape(-1, 8, 8)
pca = PCA(20, svd_solver="full").fit(images.reshape(-1, 64))
size = pca.transform(images.reshape(-1, 64)).std()
moved = shift(images, (0, 0, 1), order=0).reshape(-1, 64)
REAL = {  # points, signs, the same points moved out of domain
    "cancer": (StandardScaler().fit_transform(cancer.data), 2.0 * cancer.target - 1, None),
    "digits": (pca.transform(images.reshape(-1, 64)) / size, digits.target[pair] - 5.5,
               pca.transform(moved) / size),
}  # fmt: skip


def split(X, y, m, seed):
    """Indices of test set, m labelled points (half of each class) and unlabelled points."""
    order = generator(seed).host.permutation(len(X))
    test, rest = np.split(order, [int(0.3 * len(X))])
    labelled = np.concatenate([rest[y[rest] > 0][: m // 2], rest[y[rest] < 0][: m // 2]])
    return test, labelled, np.setdiff1d(rest, labelled)


# %%
def real_accuracies(X, y, source, m, frozen=False):
    """Test accuracies of RSS and labels alone, mean of ten splits; `source` has the unlabelled points."""
    parts = [split(X, y, m, seed) for seed in range(10)]
    test, labelled, rest = (np.stack(part) for part in zip(*parts, strict=True))
    z = to_device(y[labelled][..., None] * X[labelled])
    Z = to_device(source[rest])
    none = xp.zeros_like(Z[..., :1]), xp.zeros_like(xp.matrix_transpose(Z[:, :1, :]))
    points = Points(None, z, xp.full((m, 1), 1 / m), Z, *none)
    return [
        100 * np.mean((X[test] @ to_host(w))[..., 0] * y[test] > 0)
        for w in rss_fit(points, frozen=frozen)
    ]


rows, noise = [], generator(1).host
for name, (X, y, moved) in REAL.items():
    y, noisy = np.sign(y), X + 0.5 * noise.standard_normal(X.shape)
    for m in (6, 10, 20):
        same, alone = real_accuracies(X, y, X, m)
        others = [real_accuracies(X, y, far, m)[0] if far is not None else "–" for far in (noisy, moved)]
        rows.append((f"{name}, m = {m}", alone, same, *others, real_accuracies(X, y, X, m, frozen=True)[0]))
columns = ["data", "labels alone", "RSS", "RSS, noisy", "RSS, moved", "frozen pseudo-labels"]
table(rows, columns, "Test accuracy (%), mean of ten splits")

# %%
gain = [row[2] - row[1] for row in rows]
say(f"""Unlabelled points from the same source add {min(gain[3:]):+.1f} to {max(gain[3:]):+.1f} points for the digits and {min(gain[:3]):+.1f} to
{max(gain[:3]):+.1f} for the tumours, where there is little to gain. Noise changes little. The moved digits do harm: with them
RSS falls to {min(row[4] for row in rows[3:]):.0f} to {max(row[4] for row in rows[3:]):.0f} per cent.""")

# %% [markdown]
# A shift by one pixel also moves the centre of the cloud, which the model with means $\pm\mu_1$ does not foresee. These numbers are a report; no claim hangs on them.
#
# ## Verdict

# %%
say(f"""Where there are many unlabelled points the paper is right: a thousand bring ten labels from {LABELS[10]:.2f} to {typical(10, 1000):.2f}, ten
thousand to {typical(10, 10_000):.2f}, nearly as if all of them had labels, and points of shifted classes are nearly as good.""")

# %% [markdown]
# The formulas say why: from $n^*=d+2m$ points on the longest direction of the cloud is better than the labels. And the theorems'
# condition $O(d/m)$ on the shift has a counterpart: past $\alpha^2=d/m$ the cloud points too far away.
#
# Two reservations. In these simulations the robust objective is not what does the work: the longest direction, found without any parameter, is as
# accurate. And below $n\approx d$ unlabelled points carry next to nothing. There our RSS is worse than labels alone, which stands as not reproduced,
# and several of the paper's entries lie above what the best rule attains on average.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# - **The bounds.** The orders of magnitude in the theorems have no constants that a simulation could contradict; we show where the gain
#   starts, and leave the rates in $\epsilon$ and the proofs alone. The theorem for classes that are not round is not touched.
# - **Tissue images.** The NCT-CRC-HE and PatchCamelyon images and the features of a deep network are not bundled; breast cancer measurements and digits
#   stand in, as a report without a threshold. The paper's robust set-up on them is not repeated.
# - **The paper's own parameters and optimiser**, which are not published. One setting serves all our entries; another fixed setting might do
#   better below the dimension, though never better than the best possible rule.
# - **The best possible rule for shifted points** is our extension of a theorem. An algorithm that attains it is a strong hint, not a proof.
# - **Unlabelled points with another noise**, $\sigma_1\ne\sigma_0$, which the theorems allow within the same distance $\alpha$; only the means are shifted here.
# - **Larger sizes**: more than 200 dimensions and more than 20 000 unlabelled points in the main table.
#
# ## At paper scale
#
# `GAUSSBOOK_SCALE=paper` takes 200 seeds for each entry of the table (50 at $n=20\,000$), so that all 24 have error bars
# of 0.004 or less, and adds $d=100$ with a million unlabelled points. The noise is drawn on the host. None of this has been run on a GPU yet.
