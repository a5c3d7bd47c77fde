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
# # Generalized exponential splatting
#
# ```{paper-card}
# ```
#
# Gaussian splatting draws a scene as a cloud of soft, coloured blobs. Soft blobs are good at clouds and
# bad at edges: to draw the sharp border of a table with things that fade out smoothly, one has to line up
# many small ones. So why not let each blob learn how sharp it is? Put a *shape exponent* $\beta$ in the
# place of the 2 in $e^{-x^2/2}$. With $\beta=1$ the blob gets a peak, with $\beta=8$ it is nearly a box,
# and a box needs no help to draw an edge.
#
# {cite:t}`generalized_exponential` build a splatting method on this thought, GES, and
# report scenes of the same quality in less than half the memory. This chapter follows the thought from
# one dimension to three. On a line and on a page of print it holds: with a learned exponent fewer
# primitives draw sharper edges. In three dimensions the story takes a turn, because what GES draws there
# *is* a Gaussian. Memory is saved all the same, and we take the method apart to see by what.
#
# ## What the paper claims
#
# 1. A function with a learned shape exponent draws what no Gaussian can: for a square wave and any fixed
#    scale there is an exponent with a smaller error than the Gaussian's.
#    {claims}`C1.a, C1.b, C1.c, C1.d, C1.e, C1.f`
# 2. The shape can be learned by gradient, like position and scale. {claims}`C2.a, C2.b`
# 3. In one dimension, mixtures of such functions fit common signals with a lower error than as many
#    Gaussians, most clearly at sharp edges. {claims}`C3.a, C3.b, C3.c, C3.d`
# 4. In space a cheap approximation is enough: the shape enters only as a factor on each particle's scales,
#    so that any Gaussian rasteriser can be used unchanged. {claims}`C4.a, C4.b, C4.c, C4.d`
# 5. Fewer particles are needed, about half the memory of Gaussian splatting at competitive quality (on
#    Mip-NeRF360 377 MB and 26.91 dB against 734 MB and 27.21 dB), and shape and mask loss help to that.
#    {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f, C5.g`
# 6. The loss uses masks of edges whose frequency band moves during training, without a gradient of their
#    own. {claims}`C6.a, C6.b, C6.c, C6.d`
#
# Not tested here: the numbers of the real scenes (26.91 dB and 377 MB on Mip-NeRF360, 23.35 dB and 222 MB
# on Tanks & Temples, 29.68 dB and 399 MB on Deep Blending), up to 39 % faster rendering, and images to
# objects.
#
# The list rests on the abstract, the authors' code
# ([ajhamdi/ges-splatting](https://github.com/ajhamdi/ges-splatting)) with its one-dimensional simulation,
# their table of results by scene, and the tables and printed errors of the paper's second arXiv version,
# which we had as converted text without its figures.
#
# ## The idea
#
# **The function.** With location $\mu$, scale $\alpha$, shape $\beta$ and amplitude $A$,
#
# $$
# f(x)=A\,\exp\Bigl(-\Bigl(\frac{|x-\mu|}{\alpha}\Bigr)^{\beta}\Bigr),\qquad
# \text{variance}=\alpha^2\,\frac{\Gamma(3/\beta)}{\Gamma(1/\beta)} .
# $$ (eq-ges-gef)
#
# $\beta=2$ is the Gaussian with $\alpha^2=2\sigma^2$, $\beta=1$ the Laplace function, and as
# $\beta\to\infty$ it becomes a box of half-width $\alpha$.
#
# **How badly does a Gaussian draw a box?** The best amplitude for a shape $g$ is $A=\langle
# g,y\rangle/\langle g,g\rangle$, and leaves the squared error $\langle y,y\rangle-\langle
# g,y\rangle^2/\langle g,g\rangle$. For the box $y=1$ on $|x|<3$ and $g=e^{-x^2/2\sigma^2}$ we have
# $\langle g,y\rangle=\sqrt{2\pi}\,\sigma\operatorname{erf}(3/\sigma\sqrt2)$ and $\langle
# g,g\rangle=\sqrt\pi\,\sigma$, so that the error is
#
# $$
# 6-2\sqrt\pi\,\sigma\operatorname{erf}^2\!\Bigl(\frac{3}{\sigma\sqrt2}\Bigr).
# $$ (eq-ges-box)
#
# Its minimum, at $\sigma=2.143$, is 11 % of the box's energy of 6. One exponential with a large $\beta$
# has almost none.
#
# **Mixtures.** The authors' simulation adds $K$ terms. With $\delta=|x-\mu_k|$,
#
# $$
# y(x)=\sum_k a_k\,\mathcal K(q_k),\qquad q_k=\frac{\delta^{\,b_k}}{v_k},\qquad \mathcal K(q)=e^{-q/2},\qquad
# b_k=\operatorname{softplus}(t_k)+\tfrac12 ,
# $$ (eq-ges-mixture)
#
# where the weight $a_k=\operatorname{softplus}(w_k)$ is positive (in a second mode it is $w_k$ itself).
# For $b_k=2$ the terms are Gaussians of variance $v_k$. Two other competitors fit into the same mould
# with another profile: $\mathcal K=e^{-q/2}-e^{-2q}$, a difference of Gaussians whose variances differ by
# a factor of 4, and $\mathcal K=(1-q)e^{-q/2}$, the Laplacian of a Gaussian. All need only the
# derivatives of $q$,
#
# $$
# \frac{\partial q}{\partial\mu}=-\frac{b\,q}{\delta}\operatorname{sign}(x-\mu),\qquad
# \frac{\partial q}{\partial v}=-\frac qv,\qquad
# \frac{\partial q}{\partial b}=q\ln\delta .
# $$ (eq-ges-gradients)
#
# At $\delta=0$ the first and the last are set to zero.
#
# **Three dimensions, and a detour.** In space one would put $\exp(-\frac12(m^2)^{\beta/2})$ with the
# squared Mahalanobis distance $m^2=(x-\mu)^\top\Sigma^{-1}(x-\mu)$. But a rasteriser draws what is left
# after integrating along the line of sight, and only a Gaussian stays in its family there. For
# $\beta\to\infty$ the function is a solid ball, and its shadow $2\sqrt{1-r^2}$ is a dome and not a box.
# There is no closed form in between. GES therefore draws an ordinary Gaussian and lets the raw shape $b$,
# which starts at 0, only multiply its standard deviations $s$:
#
# $$
# s'=s\,\varphi(b),\qquad \varphi(b)=\frac{2}{1+e^{-\rho b}},\qquad \rho=0.1 .
# $$ (eq-ges-phi)
#
# The derivative is $\varphi'=\rho\,\varphi\,(1-\varphi/2)$. With $\ell=\log s$ and $\ell'=\log
# s'=\ell+\log\varphi(b)$ a gradient with respect to $\ell'$ passes unchanged to $\ell$, and
#
# $$
# \frac{\partial L}{\partial b}=\varphi'\sum_{i=1}^3 s_i\,\frac{\partial L}{\partial s'_i}
# =\frac{\varphi'}{\varphi}\sum_i\frac{\partial L}{\partial\ell'_i}=\rho\Bigl(1-\frac\varphi2\Bigr)\sum_i\frac{\partial L}{\partial\ell'_i} .
# $$ (eq-ges-phi-gradient)
#
# Two things follow before any experiment. First, $\ell+\log\varphi(b)$ is a log-scale like any other:
# after training, $b$ can be *folded* into it, and a plain Gaussian scene is left. Whatever GES gains, it
# does not gain by drawing sharper kernels. Second, $0<\varphi<2$, so the factor at most doubles a scale.
# GES also drops particles with $\varphi<0.005$; that means $b<-10\ln 399=-59.9$, while Adam with the
# published rate of $10^{-3}$ moves $b$ by about one between two of the published resets to zero, and by
# some 25 after the last one.
#
# **The loss.** Gaussian splatting minimises $0.8\,\|C-C^*\|_1+0.2\,(1-\mathrm{SSIM})$ between an image
# $C$ and a photograph $C^*$, norms being means over pixels. GES adds a binary mask $M_\omega$ of a
# frequency band $\omega$:
#
# $$
# L=0.3\,\|C-C^*\|_1+0.2\,(1-\mathrm{SSIM})+0.5\,\|M_\omega C-M_\omega C^*\|_1 .
# $$ (eq-ges-loss)
#
# Since $M$ is 0 or 1, the two norms are one weighted sum of the pixels' errors:
#
# $$
# L=\overline{(0.3+0.5M_\omega)\,|C-C^*|}+0.2\,(1-\mathrm{SSIM}) .
# $$ (eq-ges-weights)
#
# So inside the mask the loss is that of Gaussian splatting to the letter, and outside it the error counts
# three eighths. Keep this in mind: where gradients get smaller, a fixed threshold on gradients lets fewer
# particles be born.
#
# **The mask** comes from the rendered image, at progress $f=100\cdot\text{iteration}/\text{iterations}$:
# turn it to grey, shrink it to a fifth, take the difference $G_{\sigma_1}-G_{2\sigma_1}$ of two Gaussian
# blurs, enlarge it again, rescale it to $[0,1]$, and compare it with $\frac12$. In the first half of the
# training $\sigma_1=0.1+0.1f$ grows to 5 and the comparison is reversed. In the second half
# $\sigma_1=0.1+0.1(100-f)$ falls, so the band moves from coarse to fine. No gradient passes through the
# mask.
#
# **Births.** As in Gaussian splatting, where the image pulls at a particle's position harder than a
# threshold $\tau$, the particle is cloned or split. Here GES changes one more number:
# $\tau=3\cdot10^{-4}$, half as much again as the $2\cdot10^{-4}$ of Gaussian splatting. That alone makes
# fewer particles, whatever the shapes do. An honest comparison therefore needs a third party: Gaussian
# splatting with the higher threshold.
#
# ## The method in code

# %%
import tempfile
from itertools import product
from math import pi, sqrt
from pathlib import Path
from time import process_time

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.special import erf, gamma, gammainc
from skimage.transform import resize

from gaussbook import autodiff as ad
from gaussbook import data, metrics, splatting
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import offer, say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, animation, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.splatting import RenderOptions, render
from gaussbook.sweep import sweep
from gaussbook.tables import table

claims = Claims("generalized_exponential")
xp = backend()


# %% [markdown]
# **The mixture** {eq}`eq-ges-mixture`. A profile is $\mathcal K$ and its derivative. The arrays carry the
# run, the signal and the component on their first three axes and the points $x$ on the last, so that all
# fits are one array.

# %%
def exponential(q):
    E = xp.exp(-q / 2)
    return E, E / -2


def difference(q):
    E = xp.exp(-q / 2)
    return E - E**4, 2 * E**4 - E / 2


def laplacian(q):
    E = xp.exp(-q / 2)
    return (1 - q) * E, (q - 3) / 2 * E


PROFILES = {"Gaussian": exponential, "GEF": exponential, "DoG": difference, "LoG": laplacian}


def exponent_and_power(delta, theta, model):
    """b, ln|delta| and |delta|^b, no more than e^40."""
    if model != "GEF":
        return 2.0, None, delta**2
    b, log_delta = ad.softplus(theta["t"]) + 0.5, xp.log(xp.clip(xp.abs(delta), 1e-12, None))
    return b, log_delta, xp.exp(xp.clip(b[..., None] * log_delta, None, 40.0))


# %% [markdown]
# The gradients of the mean squared error are sums over $x$ of the residual times the derivatives in
# {eq}`eq-ges-gradients`, that is products of a matrix, component by point, and a vector.

# %%
def error_and_gradient(x, y, theta, model, positive=True):
    """Mean squared error of each fit, its gradient by theta, and the fitted curve."""
    delta, v = x - theta["mu"][..., None], theta["v"] + 0.5e-8
    b, log_delta, power = exponent_and_power(delta, theta, model)
    q = xp.clip(power / v[..., None], None, 80.0)  # e^-40 is nothing, and still a normal number
    K, slope = PROFILES[model](q)
    a = ad.softplus(theta["w"]) if positive else theta["w"]
    residual = (a[..., None, :] @ K)[..., 0, :] - y
    r, slope = 2 / x.shape[0] * residual[..., None], slope * q  # K'(q) q
    away = xp.where(delta == 0, xp.ones_like(delta), delta)  # q = 0 where delta = 0
    gradient = {
        "mu": -a * b * (slope / away @ r)[..., 0],
        "v": -a / v * (slope @ r)[..., 0],
        "w": (K @ r)[..., 0] * (ad.sigmoid(theta["w"]) if positive else 1.0),
    }
    if model == "GEF":
        gradient["t"] = a * (slope * log_delta @ r)[..., 0] * ad.sigmoid(theta["t"])
    return xp.mean(residual**2, axis=-1), gradient, y + residual


# %% [markdown]
# Each fit starts as in the simulation: $\mu$ and $w$ standard normal, $v=|1+0.1\,z|$, and $t$ uniform in
# $(0.5,1)$, so that the exponents begin between 1.47 and 1.81. Models with one seed share their first
# draws. The simulation lets $v$ cross zero, where the exponential explodes; its figure counts the runs
# lost to that. We stop $v$ at $10^{-3}$ instead and lose none. The descent runs in single precision.

# %%
def start(n_signals, K, model, seeds):
    """First parameters, shape (run, signal, component)."""
    draws = []
    for rng in map(generator, seeds):
        mu, w, z = rng.standard_normal((3, n_signals, K))
        draws.append({"mu": mu, "w": w, "v": xp.abs(1 + 0.1 * z)})
        draws[-1] |= {"t": rng.uniform(0.5, 1, (n_signals, K))} if model == "GEF" else {}
    stacked = {name: xp.stack([draw[name] for draw in draws]) for name in draws[0]}
    return {name: xp.astype(rows, xp.float32) for name, rows in stacked.items()}


def fit_mixtures(x, y, K, model, seeds, steps, positive=True):
    """Adam at rate 0.01: the mean squared errors, shape (run, signal), and the curves."""
    theta, adam = start(y.shape[0], K, model, seeds), Adam(0.01)
    x, y = xp.astype(x, xp.float32), xp.astype(y, xp.float32)
    for _ in progress(range(steps), f"{model}, K = {K}"):
        _, gradient, _ = error_and_gradient(x, y, theta, model, positive)
        theta = adam.step(theta, gradient)
        theta["v"] = xp.clip(theta["v"], 1e-3, None)
    error, _, curve = error_and_gradient(x, y, theta, model, positive)
    return to_host(error), to_host(curve)


# %% [markdown]
# **Folding the shape.** `drawn` is {eq}`eq-ges-phi` in logarithms and `reparametrise` adds the pullback
# {eq}`eq-ges-phi-gradient`. That is all the renderer needs, or rather does not need to know.

# %%
RHO = 0.1


def phi(b):
    """phi(b) = 2 / (1 + exp(-rho b))."""
    return 2 * ad.sigmoid(RHO * b)


def drawn(theta):
    """The plain Gaussians that GES draws: log-scales l + log phi(b)."""
    rest = {name: rows for name, rows in theta.items() if name != "b"}
    if "b" in theta:
        rest["log_scales"] = theta["log_scales"] + xp.log(phi(theta["b"]))[:, None]
    return rest


def reparametrise(theta):
    """What is rendered, and the way back of its gradients."""

    def pullback(gradients):
        total = xp.sum(gradients["log_scales"], axis=1)
        return gradients | {"b": RHO * (1 - phi(theta["b"]) / 2) * total}

    return drawn(theta), pullback


# %% [markdown]
# **Mask and loss.** The filters come from SciPy and scikit-image. Kernels reach $3\sigma$, rounded, from
# their middle.

# %%
def dog_mask(image, f, shrink=5, widest=5):
    """The binary mask of the band of progress f, in per cent, from a rendered image."""
    sigma = 0.1 + widest / 50 * (100 - f if f >= 50 else f)
    grey = to_host(image) @ np.array([0.299, 0.587, 0.114])
    small = resize(grey, [round(n / shrink) for n in grey.shape], order=1, anti_aliasing=False)
    narrow, wide = (gaussian_filter(small, s, radius=round(3 * s)) for s in (sigma, 2 * sigma))
    band = resize(narrow - wide, grey.shape, order=1, anti_aliasing=False)
    span = np.ptp(band)
    value = (band - band.min()) / span if span > 0 else np.ones_like(band)
    return to_device((value > 0.5 if f >= 50 else 1 - value > 0.5).astype(float))


class FrequencyLoss:
    """The loss with weights 0.3 + 0.5 M, which counts the iterations to know its progress."""

    def __init__(self, iterations, mask):
        self.iterations, self.mask, self.shares = iterations, mask, []

    def __call__(self, image, target):
        M = self.mask(image, 100 * len(self.shares) / self.iterations)
        self.shares.append(float(xp.mean(M)))
        weight = (0.3 + 0.5 * M)[:, :, None]
        similarity, to_similarity = splatting.ssim_and_gradient(image, target)
        value = xp.mean(weight * xp.abs(image - target)) + 0.2 * (1 - similarity)
        gradient = weight * xp.sign(image - target) / np.prod(image.shape)
        return float(value), gradient - 0.2 * to_similarity


# %% [markdown]
# **Control of the shapes.** Around the density control of Gaussian splatting, which is the library's, GES
# resets all $b$ to zero every 1000 of 30 000 iterations in the first half of the training, and drops
# particles with $\varphi<0.005$.

# %%
class ShapeControl:
    """Density control, then pruning by phi; resets of b."""

    def __init__(self, density, every, last):
        self.density, self.every, self.last = density, every, last
        self.largest, self.pruned = 0.0, 0

    def observe(self, screen, state):
        self.density.observe(screen, state)

    def step(self, i, theta, adam):
        events = len(self.density.history)
        theta = self.density.step(i, theta, adam)
        self.largest = max(self.largest, float(xp.max(xp.abs(theta["b"]))))
        if len(self.density.history) > events:
            (kept,) = xp.nonzero(phi(theta["b"]) >= 0.005)
            self.pruned += theta["b"].shape[0] - kept.shape[0]
            adam.reindex({name: kept for name in theta})
            theta = {name: xp.take(rows, kept, axis=0) for name, rows in theta.items()}
        if (i + 1) % self.every == 0 and i + 1 <= self.last:
            adam.reindex({"b": xp.full(theta["b"].shape[0], -1)})
            theta = theta | {"b": xp.zeros_like(theta["b"])}
        return theta


# %% [markdown]
# Before anything is trained, the derivatives are compared with central differences: all parameters of all
# mixtures, and the shape factor through the whole renderer, with the loss of Gaussian splatting at its
# end. Its absolute values have a kink where image and truth agree, which a difference must not step across.

# %%
def slope_error(value, theta, gradient, h=1e-5):
    """Difference of slope and central difference, relative to the sum of the slope's terms."""
    errors = []
    for name, rows in theta.items():
        delta = generator(1).standard_normal(rows.shape)
        ahead, behind = (value(theta | {name: rows + s * delta}) for s in (h, -h))
        terms = gradient[name] * delta
        gap = float(ahead - behind) / (2 * h) - float(xp.sum(terms))
        errors.append(abs(gap) / float(xp.sum(xp.abs(terms))))
    return max(errors)


def clear_of_kinks(image, truth, least=1e-2):
    """The image, moved where it comes so near to the truth that |image - truth| has its kink."""
    r = image - truth
    away = truth + xp.where(r < 0, -least, least)
    return xp.where((r != 0) & (xp.abs(r) < least), away, image)


x, y = to_device(np.linspace(-10, 10, 50)), generator(0).standard_normal((2, 50))


def mixture_slope_error(model, positive):
    theta = start(2, 3, model, [0, 1])
    theta = {name: xp.astype(rows, xp.float64) for name, rows in theta.items()}
    gradient = error_and_gradient(x, y, theta, model, positive)[1]
    return slope_error(
        lambda th: xp.sum(error_and_gradient(x, y, th, model, positive)[0]), theta, gradient
    )


mixture_errors = [mixture_slope_error(*mode) for mode in product(PROFILES, (True, False))]


# %%
def random_scene(n, rng):
    """n Gaussians within a ball of radius one half or so, with shapes b between -20 and 20."""
    return {
        "means": 0.3 * rng.standard_normal((n, 3)),
        "log_scales": rng.uniform(-3, -1.5, (n, 3)),
        "quaternions": rng.standard_normal((n, 4)),
        "opacity_logits": rng.standard_normal(n),
        "colors": rng.uniform(size=(n, 3)),
        "b": rng.uniform(-20, 20, n),
    }


scene, (camera, *_) = random_scene(30, generator(0)), splatting.fibonacci_hemisphere(4, width=32)
smooth = RenderOptions(cutoff=0, stop=0)  # cut-offs make steps, which differences would see


# %%
def scene_loss(theta):
    return splatting.photometric_loss(render(drawn(theta), camera, smooth).image, target)[0]


plain, pullback = reparametrise(scene)
rendering, state = splatting.render_forward(plain, camera, smooth)
target = clear_of_kinks(generator(1).uniform(size=(32, 32, 3)), rendering.image)
to_image = splatting.photometric_loss(rendering.image, target)[1]
gradient = pullback(splatting.render_backward(state, to_image)[0])
claims.check(
    "C2.a",
    "gradients of the mixtures (four models, positive and real weights): largest relative error",
    measured=max(mixture_errors),
    at_most=1e-6,
)
claims.check(
    "C2.b",
    "gradient by b through φ and the renderer: relative error, largest of all parameters",
    measured=slope_error(scene_loss, scene, gradient),
    at_most=1e-6,
)

# %% [markdown]
# ## Experiments
#
# ### One function, six signals
#
# How much does one exponent change? For each of the simulation's six signals, on 1000 points between −10
# and 10, we look for the best single Gaussian and the best single function {eq}`eq-ges-gef`, with the
# best amplitude in closed form and the rest by direct minimisation.

# %%
SIGNALS = ("square", "triangle", "parabola", "half sine", "exponential", "Gaussian")


def signals(x):
    """The six signals of the simulation, one in each row."""
    inside = xp.astype(xp.abs(x) < 3, x.dtype)
    half_sine = xp.sin((x + 3) * pi / 6)
    shapes = [xp.ones_like(x), 3 - xp.abs(x), 9 - x**2, half_sine, xp.exp(-xp.abs(x))]
    return xp.stack([*(shape * inside for shape in shapes), xp.exp(-(x**2) / 8)])


def profile(x, alpha, beta):
    """exp(-(|x| / alpha)^beta), for centre 0."""
    return np.exp(-((np.abs(x) / alpha) ** beta))


def best_single(x, y, beta=None):
    """(error, alpha, beta) of the best function with centre 0, for one beta or for any."""

    def error(log):
        log = np.clip(log, -3, 4)  # beyond beta = 54.6 it is a box as far as 1000 points can tell
        g = profile(x, np.exp(log[0]), np.exp(log[1]) if beta is None else beta)
        return np.mean((y - g * (g @ y) / (g @ g)) ** 2)

    starts = [[a, b] if beta is None else [a] for a in (0.0, 1.1) for b in (0.0, 1.5)]
    options = {"xatol": 1e-8, "fatol": 1e-15}
    found = [minimize(error, s, method="Nelder-Mead", options=options) for s in starts]
    best = min(found, key=lambda result: result.fun)
    return best.fun, *np.exp(np.clip(best.x, -3, 4))


# %%
grid = np.linspace(-10, 10, 1000)
values = to_host(signals(to_device(grid)))
one_gaussian = {name: best_single(grid, y, 2) for name, y in zip(SIGNALS, values, strict=True)}
one_gef = {name: best_single(grid, y) for name, y in zip(SIGNALS, values, strict=True)}
box8 = best_single(grid, values[0], 8)[0]
shape = {name: beta if beta < 54 else "no limit" for name, (_, _, beta) in one_gef.items()}
rows = []
for name in SIGNALS:
    (error, alpha), (gef, *_) = one_gaussian[name], one_gef[name]
    rows.append([name, error, alpha / sqrt(2), gef, shape[name]])
columns = ["signal", "Gaussian: error", "best σ", "GEF: error", "best β"]
table(rows, columns, "The best single Gaussian and the best single GEF: mean squared errors")
fine = np.arange(2, 2.3, 1e-4)
continuous = np.min(6 - 2 * sqrt(pi) * fine * erf(3 / (fine * sqrt(2))) ** 2) / 20

# %% tags=["hide-input"]
alt = f"""Six panels, one for each signal, with the best single Gaussian and the best single GEF.
On the square the Gaussian is a bell far too high in the middle and far too wide, the GEF a box
whose beta has no limit. On parabola and half sine the GEF, with
beta {one_gef["parabola"][2]:.1f} and {one_gef["half sine"][2]:.1f}, lies on the signal, the
Gaussian does not. On the exponential the GEF has a peak, beta {one_gef["exponential"][2]:.2f}. On
triangle and Gaussian both lie on the signal."""
caption = """Six signals (grey), the best single Gaussian and the best single generalized
exponential. The exponent pays where the signal has an edge or a peak that no Gaussian has."""
with figure(2, 3, alt=alt, caption=caption, height=4.2, sharex=True) as axes:
    for ax, name, y in zip(axes.flat, SIGNALS, values, strict=True):
        ax.fill_between(grid, y, color="0.85", lw=0, label="signal")
        for best, colour, label in (
            (one_gaussian, "vermilion", "Gaussian"),
            (one_gef, "blue", "GEF"),
        ):
            alpha, beta = (*best[name][1:], 2.0)[:2]
            g = profile(grid, alpha, beta)
            ax.plot(grid, g * (g @ y) / (g @ g), color=PALETTE[colour], label=label, lw=1.4)
        best = f"{shape[name]:.3g}" if shape[name] != "no limit" else "\\infty"
        ax.set(title=f"{name}, $\\beta={best}$", xlim=(-6, 6))
        ax.set_ylabel("$y$")
    for ax in axes[1, :]:
        ax.set_xlabel("$x$")
    axes[1, 1].legend(loc="upper right", fontsize="x-small")

# %%
claims.check(
    "C1.a",
    "E0: mean squared error of the best single Gaussian on the square",
    measured=one_gaussian["square"][0],
    equals=0.03297,
    within=0.01 * 0.03297,
    own=True,
)
claims.check(
    "C1.b",
    "E0: its standard deviation (the continuous box has its optimum at 2.143)",
    measured=one_gaussian["square"][1] / sqrt(2),
    equals=2.143,
    within=0.01 * 2.143,
    own=True,
)
claims.check(
    "C1.c",
    "E0: mean squared error on the square of the best GEF with β = 8",
    measured=box8,
    equals=0.0097,
    within=0.03 * 0.0097,
    own=True,
)

# %%
claims.check(
    "C1.d",
    "E0: error of the best Gaussian over that of the best GEF on the half sine",
    measured=one_gaussian["half sine"][0] / one_gef["half sine"][0],
    at_least=5,
)
claims.check(
    "C1.e",
    "E0: best Gaussian on the square, error on 1000 points over that of the closed form",
    measured=one_gaussian["square"][0] / continuous,
    equals=1,
    within=0.01,
    own=True,
)


# %% [markdown]
# The paper's theorem compares at one scale $\alpha$ and amplitude 1, in the L1 norm. With the mass
# $m=\int_0^\infty f=\alpha\,\Gamma(1+1/\beta)$, of which the share $P(1/\beta,(3/\alpha)^\beta)$ (a regularised
# incomplete gamma function) lies within the box, the error is $2\,(3+m-2mP)$.

# %%
def l1_error(alpha, beta):
    """L1 distance of exp(-(|x| / alpha)^beta) and the box of half-width 3."""
    m = alpha * gamma(1 + 1 / beta)
    return 2 * (3 + m - 2 * m * gammainc(1 / beta, (3 / alpha) ** beta))


betas, alphas = np.geomspace(0.3, 200, 400), np.linspace(0.5, 9, 30)
relative = [np.min(l1_error(alpha, betas)) / l1_error(alpha, 2) for alpha in alphas]
claims.check(
    "C1.f",
    "E0: square wave, L1 error of the best β over that of β = 2, worst of 30 scales 0.5 … 9",
    measured=max(relative),
    at_most=0.99,
)

# %% [markdown]
# The square is the extreme case: the larger $\beta$ the better, without end. On a triangle, whose peak
# and foot ask for opposite exponents, the best $\beta$ is close to 2 and nothing is gained.
#
# ### Mixtures: the simulation
#
# Now several terms at once, all of them learned, on 200 points. A sixth of the paper's 10 000 steps is
# enough to see who is ahead. Beside our errors stand those that the paper prints in its figures, of one run
# each, as far as we have them (divided by 100, the unit in which they agree with ours).

# %%
x = to_device(np.linspace(-10, 10, scale(default=200, paper=1000)))
y = signals(x)
SIZES = scale(default=(2, 5), paper=(2, 5, 8, 10, 15, 20, 50, 100))
MODELS = scale(default=("Gaussian", "GEF"), paper=tuple(PROFILES))
SEEDS, STEPS = range(scale(default=10, paper=20)), scale(default=1500, paper=10_000)
MODES = scale(default=(True,), paper=(True, False))  # positive weights, real weights


def fit_cell(K, model, positive):
    """All runs of one size, model and kind of weights, on all signals."""
    return fit_mixtures(x, y, K, model, SEEDS, STEPS, positive)


cells = list(product(SIZES, MODELS, MODES))
named = [dict(zip(("K", "model", "positive"), cell, strict=True)) for cell in cells]
found = sweep(fit_cell, named, workers=scale(default=1, paper=None), description="mixtures")
error = {cell: np.median(errors, axis=0) for cell, (errors, _) in zip(cells, found, strict=True)}
fits = {cell: curves for cell, (_, curves) in zip(cells, found, strict=True)}

# %%
PAPER = {
    "square, 2": "0.0182 / 0.0044", "square, 5": "0.0048 / 0.0009",
    "triangle, 2": "0.0034 / 0.0005", "triangle, 5": "0.0002 / 0.0000",
    "parabola, 2": "0.1875 / 0.0295", "parabola, 5": "0.0198 / 0.0008",
    "exponential, 2": "0.0001 / diverged",
}  # fmt: skip
rows = []
for k, name in enumerate(SIGNALS):
    for positive, K in product(MODES, SIZES):
        of_models = {model: error[K, model, positive][k] for model in MODELS}
        cell = f"{name}, {K}" + ("" if positive else ", real")
        ratio = of_models["Gaussian"] / of_models["GEF"]
        rows.append([cell, *of_models.values(), ratio, PAPER.get(cell, "–")])
columns = ["signal, K", *MODELS, "Gaussian / GEF", "paper: Gaussian / GEF"]
caption = f"Median mean squared error of {len(SEEDS)} runs of {STEPS} steps"
table(rows, columns, caption)

# %% tags=["hide-input"]
shown = (("square", 0), ("parabola", 2))
ratio = [error[5, "Gaussian", True][k] / error[5, "GEF", True][k] for _, k in shown]
alt = f"""Square and parabola with the mixtures of five Gaussians and of five GEFs of one run after
{STEPS} steps. Both ripple on top of the square, and the Gaussians reach farther beyond its edges.
At the feet of the parabola the Gaussians' error is the larger one. The median errors differ by
factors of {ratio[0]:.1f} and {ratio[1]:.1f}."""
caption = f"""Five terms each, after {STEPS} steps from one seed; below, the errors. The edges at
$x=\\pm3$ are where the exponents pay."""
with figure(2, 2, alt=alt, caption=caption, height=4.4, sharex=True) as axes:
    for (name, k), (above, below) in zip(shown, axes.T, strict=True):
        above.fill_between(to_host(x), to_host(y[k, :]), color="0.85", lw=0)
        for model, colour in (("Gaussian", "vermilion"), ("GEF", "blue")):
            curve = fits[5, model, True][0, k, :]
            above.plot(to_host(x), curve, color=PALETTE[colour], lw=1.4)
            below.plot(
                to_host(x), curve - to_host(y[k, :]), color=PALETTE[colour], lw=1.2, label=model
            )
        above.set(title=name, xlim=(-6, 6), ylabel="$y$")
        below.set(xlabel="$x$", ylabel="error")
    axes[1, 0].legend(loc="upper center", fontsize="small")

# %%
edges = [SIGNALS.index(name) for name in ("square", "parabola", "half sine")]
ratios = np.array(
    [error[K, "Gaussian", True][edges] / error[K, "GEF", True][edges] for K in (2, 5)]
).ravel()
claims.check(
    "C3.a",
    "E1: cells of three signals and two sizes in which the median error of GEF is the lower one",
    measured=int(np.sum(ratios > 1)),
    at_least=5,
    paper="4 of 4 (square and parabola)",
    seeds=len(SEEDS),
)
claims.check(
    "C3.b",
    "E1: geometric mean over these cells of the error of Gaussians over that of GEFs",
    measured=float(np.exp(np.mean(np.log(ratios)))),
    at_least=1.5,
    paper="4.1, 5.3, 6.4 and 25 (square and parabola)",
    seeds=len(SEEDS),
)

# %% [markdown]
# The exponential is not among these cells: two Gaussians fit it nearly perfectly, in the paper's figure as
# here. And on the Gaussian signal, where both models contain the truth, exponents must not win: a large
# lead there would mean that something else than shape is at work. Single runs scatter widely there, so this
# row takes the geometric mean of many.

# %%
runs = range(120)
bell = y[SIGNALS.index("Gaussian") :, :]
lead = np.log(fit_mixtures(x, bell, 5, "Gaussian", runs, STEPS)[0][:, 0])
lead -= np.log(fit_mixtures(x, bell, 5, "GEF", runs, STEPS)[0][:, 0])
claims.check(
    "C3.c",
    "E1: the same ratio on the Gaussian signal, K = 5, where exponents cannot help",
    measured=np.exp(lead.mean()),
    at_most=2,
    seeds=len(runs),
    spread=np.exp(lead.mean()) * lead.std(ddof=1) / sqrt(len(runs)),
    own=True,
)
won = dict(zip(product((2, 5), ("square", "parabola", "half sine")), ratios, strict=True))
say(f"""Two terms: on the square the error of Gaussians is {won[2, "square"]:.1f} times that of GEFs, on
the parabola {won[2, "parabola"]:.1f} times. Five terms: {won[5, "square"]:.1f} and
{won[5, "parabola"]:.1f} times. On the Gaussian signal it is {np.exp(lead.mean()):.2f} times.""")

# %% [markdown]
# The square gains less here than its one-term
# optimum promises, because the exponent and $v$ move by at most 0.01 in a step and have a long way to go
# from a bell to a box. The small lead on the Gaussian signal has another reason than shape: after few steps
# neither model has converged, and mixtures with one more number to each term descend faster at first.
#
# ### A page of print: what true splats would do
#
# Before we turn to what GES does in space, let us see what a picture gains if its splats really have an
# exponent. In the plane no projection is in the way. We fit a crop of a printed page, sharp dark strokes
# on a light ground, by elliptical functions added to a constant ground $y_0$,
#
# $$
# y(p)=y_0+\sum_k A_k\,e^{-u_k/2},\qquad u_k=(m_k^2)^{\beta_k/2},\qquad
# m_k^2=(p-\mu_k)^\top\Sigma_k^{-1}(p-\mu_k).
# $$ (eq-ges-splats)
#
# $m_k^2$ is a polynomial of degree two in the pixel's coordinates: six coefficients $Q_{kj}$ times six
# monomials $F_j(p)$. So all $m_k^2$ at all pixels are one matrix product, and so is the way back. With
# the residual $r_p$, times 2 over the number of pixels,
#
# $$
# \frac{\partial L}{\partial A_k}=\sum_pr_pE_{kp},\quad
# \frac{\partial L}{\partial\log(\beta_k/2)}=-\frac{A_k\beta_k}{4}\sum_pr_pE_{kp}u_{kp}\ln m^2_{kp},\quad
# \frac{\partial L}{\partial Q_{kj}}=-\frac{A_k\beta_k}{4}\sum_pr_pE_{kp}\frac{u_{kp}}{m^2_{kp}}F_{jp},
# $$ (eq-ges-splat-gradients)
#
# with $E=e^{-u/2}$. From $Q$ to centre, axes and angle the book's automatic differentiation takes over.
#
# Where $u>34$ a splat is less than single precision keeps of the picture. So the page is cut into
# tiles, and a tile asks only the splats whose ellipse $u\le34$, or rather the box around it, meets it.

# %%
side, K2 = 96, 150
page = data.photograph("page")[6 : 6 + side, 150 : 150 + side]
paper_white = float(np.median(page))
ink = to_device((page - paper_white).ravel(), dtype=xp.float32)


def monomials(n):
    """x^2, xy, y^2, x, y, 1 at the centres of n x n pixels of the square from -1 to 1."""
    c = (np.arange(n) + 0.5) * 2 / n - 1
    py, px = (a.ravel() for a in np.meshgrid(c, c, indexing="ij"))
    return to_device(np.stack([px**2, px * py, py**2, px, py, 0 * px + 1]), dtype=xp.float32)


def cut(n, k):
    """The pixels of each of the k x k tiles of a picture of n x n."""
    pixels = np.arange(n * n).reshape(k, n // k, k, n // k)
    return to_device(np.moveaxis(pixels, 2, 1).reshape(k * k, -1))


FORM = ("mx", "my", "log_s1", "log_s2", "angle")


def form(theta):
    """The six coefficients of m^2 of each splat."""
    c, s = ad.cos(theta["angle"]), ad.sin(theta["angle"])
    p, q = ad.exp(-2 * theta["log_s1"]), ad.exp(-2 * theta["log_s2"])
    A, B, C = c * c * p + s * s * q, c * s * (p - q), s * s * p + c * c * q
    mx, my = theta["mx"], theta["my"]
    rest = [-2 * (A * mx + B * my), -2 * (B * mx + C * my)]
    return ad.stack([A, 2 * B, C, *rest, A * mx * mx + 2 * B * mx * my + C * my * my], axis=1)


# %%
def draw_splats(theta, Q, F):
    """E = exp(-u / 2) with u = (m^2)^(beta / 2), and u, m^2 and ln m^2, splat by pixel."""
    m2, largest = xp.clip(Q @ F, 1e-6, None), 80.0  # e^-40 is nothing, and still a normal number
    if "log_half_beta" not in theta:
        return xp.exp(xp.clip(m2, None, largest) / -2), m2, m2, None
    log_m2 = xp.log(m2)
    log_u = xp.exp(theta["log_half_beta"])[:, None] * log_m2
    u = xp.exp(xp.clip(log_u, None, np.log(largest)))
    return xp.exp(u / -2), u, m2, log_m2


def near(theta, F):
    """Whether the box around u <= 34 meets each tile, tile by splat; F holds a matrix a tile."""
    c2, v1, v2 = xp.cos(theta["angle"]) ** 2, *(xp.exp(2 * theta[s]) for s in ("log_s1", "log_s2"))
    power = xp.exp(-theta["log_half_beta"]) if "log_half_beta" in theta else 1.0
    variance = xp.stack([c2 * v1 + (1 - c2) * v2, (1 - c2) * v1 + c2 * v2])
    middle, half = xp.stack([theta["mx"], theta["my"]]), xp.sqrt(34.0**power * variance)
    low, high = F[:, 3:5, :1], F[:, 3:5, -1:]  # the first and the last pixel are its corners
    return xp.all((middle + half > low) & (middle - half < high), axis=1)


# %%
def tile_gradient(theta, Q, F, ink):
    """Gradient by A, by log(beta / 2) and by Q of the squared errors of some pixels."""
    E, u, m2, log_m2 = draw_splats(theta, Q, F)
    r = 2 / side**2 * (theta["A"] @ E - ink)
    gradient, factor = {"A": E @ r}, -theta["A"] / 2
    if log_m2 is None:
        return gradient | {"Q": factor[:, None] * (E @ (F * r).T)}
    by_u, factor = E * u, factor * xp.exp(theta["log_half_beta"])
    gradient["log_half_beta"] = factor * ((by_u * log_m2) @ r)
    return gradient | {"Q": factor[:, None] * ((by_u / m2) @ (F * r).T)}


# %%
def page_gradient(theta, F, ink):
    """Gradient of the mean squared error over the pixels, tile by tile."""
    Q, pull = ad.vjp(form, {name: theta[name] for name in FORM})
    total = {name: xp.zeros_like(rows) for name, rows in (theta | {"Q": Q}).items()}
    for F_t, ink_t, meets in zip(F, ink, near(theta, F), strict=True):
        (k,) = xp.nonzero(meets)
        part = {name: rows[k] for name, rows in theta.items()}
        for name, rows in tile_gradient(part, Q[k], F_t, ink_t).items():
            total[name][k] += rows
    return total | pull(total.pop("Q"))


# %% [markdown]
# Each splat has six numbers, with the exponent seven. At an equal number of splats the GEFs therefore
# have more to adjust. A second comparison gives as many numbers to Gaussians: 175 of them for 150 GEFs.
# All arms start and train alike, 150 steps of Adam at 0.08, the better of three rates for either model on
# trial seeds.

# %%
def fit_page(K, learn_beta, seed):
    """Adam on K splats that start as round Gaussians of 2 pixels on the ink."""
    steps = scale(default=150, paper=3000)
    rng, F = generator(seed), monomials(side)
    weight = np.abs(to_host(ink)).astype(float)
    chosen = to_device(rng.host.choice(side**2, K, replace=False, p=weight / weight.sum()))
    size = xp.full(K, np.log(4 / side), dtype=F.dtype)
    theta = {"mx": F[3, chosen], "my": F[4, chosen], "log_s1": size, "log_s2": size,
             "angle": xp.astype(rng.uniform(0, pi, K), F.dtype), "A": ink[chosen] / 2}  # fmt: skip
    theta |= {"log_half_beta": xp.zeros_like(size)} if learn_beta else {}
    adam = Adam(cosine_decay(0.08, steps, 0.008), multipliers={"mx": 0.3, "my": 0.3})
    tiles = cut(side, 4)
    F, ink_t = xp.moveaxis(F[:, tiles], 0, 1), ink[tiles]
    for _ in progress(range(steps), f"{K} splats"):
        theta = adam.step(theta, page_gradient(theta, F, ink_t))
    return theta


# %%
def printed(theta, F, shape=(side, side)):
    """The page as the splats draw it at the columns of F."""
    E = draw_splats(theta, form(theta), F)[0]
    grey = to_host(theta["A"] @ E).astype(float) + paper_white
    return np.clip(grey.reshape(shape), 0, 1)


kinds = {
    "150 Gaussians": (K2, False),
    "175 Gaussians": (K2 * 7 // 6, False),
    "150 GEFs": (K2, True),
}
splats, scores, page_seeds = {}, [], range(3)
for seed in reversed(page_seeds):  # the splats of seed 0 are shown
    splats = {name: fit_page(*kind, seed) for name, kind in kinds.items()}
    pictures = {name: printed(theta, monomials(side)) for name, theta in splats.items()}
    scores.append([metrics.psnr(picture, page) for picture in pictures.values()])
page_psnr = dict(zip(kinds, np.mean(scores, axis=0), strict=True))
gain = np.subtract(*np.transpose(scores)[[2, 0]])
beta = 2 * np.exp(to_host(splats["150 GEFs"]["log_half_beta"]))
rows = [[name, len(t["A"]) * len(t), page_psnr[name]] for name, t in splats.items()]
caption = "A crop of a printed page, 96 × 96 pixels, means of three seeds"
table(rows, ["splats", "numbers in all", "PSNR (dB)"], caption)

# %% tags=["hide-input"]
zoom, lines, letters = 4, slice(2, 36), slice(6, 58)
grid = monomials(zoom * side).reshape((6, zoom * side, zoom * side))
window = tuple(slice(zoom * cut.start, zoom * cut.stop) for cut in (lines, letters))
fine = grid[:, *window]
alt = f"""Two rows of four pictures: the printed page, with parts of the word segmentation and of
two lines below it, and its reconstructions. Those by Gaussians ({page_psnr["150 Gaussians"]:.1f}
and {page_psnr["175 Gaussians"]:.1f} dB) are chains of soft blobs; that by GEFs
({page_psnr["150 GEFs"]:.1f} dB) has flatter strokes with sharper borders. The second row
magnifies the heading, where the difference is plain."""
caption = f"""The page and three reconstructions, with the PSNR of three seeds. Below, the heading
magnified: splats are functions, so they are drawn on a grid four times as fine as the one they
were fitted on. Half of the learned exponents lie between {np.quantile(beta, 0.25):.1f} and
{np.quantile(beta, 0.75):.1f}."""
with figure(2, 4, alt=alt, caption=caption, width=9.0, height=4.4) as axes:
    for (name, picture), (above, below) in zip(
        ({"page": page} | pictures).items(), axes.T, strict=True
    ):
        detail = page[lines, letters]
        if name != "page":
            detail = printed(splats[name], fine.reshape((6, -1)), fine.shape[1:])
        score = f"\n{page_psnr[name]:.2f} dB" if name != "page" else "\n"
        above.set_title(name + score, fontsize="medium")
        for ax, shown_picture in ((above, picture), (below, detail)):
            ax.imshow(shown_picture, cmap="gray", vmin=0.1, vmax=0.9)
            ax.axis("off")

# %%
claims.check(
    "C3.d",
    "E4: PSNR of 150 GEFs minus that of 150 Gaussians on the page",
    measured=gain.mean(),
    at_least=0.3,
    unit="dB",
    seeds=3,
    spread=gain.std(ddof=1) / sqrt(len(gain)),
    own=True,
)

# %% [markdown]
# The lower row shows what the exponent is for: bars with flat tops and crisp ends in place of chains of
# blobs. (The threshold of C3.d was set on the seeds 100–109. The one seed that we first meant to judge by
# lay on its edge, so now the mean of three judges.) But the third column
# deserves as long a look. As many *numbers*, spent on more Gaussians, do about as well as the
# exponents. So a learned exponent saves primitives, and saves memory only where a primitive carries so
# much else that one number more is nothing. In splatting of scenes it does: 59 numbers, most of them for
# colours.
#
# ### What GES draws
#
# The function of space above is what one would like to see projected. What GES renders is
# {eq}`eq-ges-phi`. Two hundred Gaussians with random shapes are drawn in four ways: with the definition
# $s'=s\,\varphi(b)$; with the shape folded as $\ell+\log\varphi(b)$; folded as $\varphi(b)\,\ell$, which
# is what the public exporter writes; and without any shape.

# %%
scene, camera = random_scene(200, generator(0)), splatting.look_at((3, 0, 1), (0, 0, 0), width=32)
rest = {name: rows for name, rows in scene.items() if name != "b"}
factor = phi(scene["b"])[:, None]
rules = {
    "s φ(b), the definition": xp.log(xp.exp(scene["log_scales"]) * factor),
    "ℓ + log φ(b)": drawn(scene)["log_scales"],
    "φ(b) ℓ": scene["log_scales"] * factor,
    "ℓ, no shape": scene["log_scales"],
}
folded = [render(rest | {"log_scales": scales}, camera, smooth).image for scales in rules.values()]
difference = [float(xp.max(xp.abs(image - folded[0]))) for image in folded]
rows = [[name, gap] for name, gap in zip(rules, difference, strict=True)][1:]
table(rows, ["log-scales", "largest difference"], "Against images drawn with the definition")


# %% [markdown]
# A single splat in front of the camera should then be a Gaussian of variance $(f s\,\varphi(b)/z)^2+0.3$
# on the image, for any $b$, in square pixels. We compare it with the shadow that a real GEF of space
# would cast.

# %%
def single_splat(b, width=97):
    """Opacity along the middle row of the image of one particle, and the Gaussian it should be."""
    one = {"means": xp.zeros((1, 3)), "log_scales": xp.full((1, 3), np.log(0.25))}
    one |= {"quaternions": to_device([[1.0, 0, 0, 0]]), "opacity_logits": xp.zeros(1)}
    one |= {"colors": xp.ones((1, 3)), "b": to_device([float(b)])}
    camera = splatting.look_at((3, 0, 0), (0, 0, 0), width=width)
    r = np.arange(width) - width // 2
    v = (camera.fx * 0.25 * float(phi(one["b"])[0]) / 3) ** 2 + 0.3
    row = to_host(render(drawn(one), camera, smooth).alpha)[width // 2, :]
    return r, row, np.exp(-(r**2) / (2 * v)) / 2


def shadow(r, beta):
    """The integral of exp(-m^beta / 2) along a line at distance r, relative to that at r = 0."""
    z = np.linspace(-6, 6, 1201)
    height = np.sum(np.exp(-((r[:, None] ** 2 + z**2) ** (beta / 2)) / 2), axis=1)
    return height / height.max()


shapes = (-20, 0, 20)
splat_gap = max(np.max(np.abs(np.subtract(*single_splat(b)[1:]))) for b in shapes)

# %% tags=["hide-input"]
alt = """Left, three splats of GES for b of -20, 0 and 20: bells of one form, narrower and wider.
Right, the shadows of generalized exponentials in space with beta 1, 2 and 8: a wide bell with
long tails, a bell, and a dome that ends almost at once near distance 1."""
caption = """Left, what GES draws for three shapes $b$: always a Gaussian, only its width changes.
Right, what functions with $\\exp(-m^\\beta/2)$ in space would look like from the side, had they a
formula."""
with figure(1, 2, alt=alt, caption=caption, height=2.8, sharey=True) as axes:
    r = np.linspace(-3.5, 3.5, 281)
    colours = ("vermilion", "black", "blue")
    for b, beta_3d, colour, style in zip(
        shapes, (1, 2, 8), colours, ("--", "-", "-."), strict=True
    ):
        pixels, row, _ = single_splat(b)
        look = {"color": PALETTE[colour], "ls": style}
        axes[0].plot(pixels / 11.1, row / row.max(), label=f"$b={b}$", **look)
        axes[1].plot(r, shadow(r, beta_3d), label=f"$\\beta={beta_3d}$", **look)
    for ax, title in zip(axes, ("drawn by GES", "shadow of a GEF in space"), strict=True):
        ax.set(
            title=title, xlabel="distance from the centre (standard deviations)", xlim=(-3.5, 3.5)
        )
        ax.legend()
    axes[0].set_ylabel("relative opacity")

# %%
claims.check(
    "C4.a",
    "E2: image with scales s φ(b) against the image with the shape folded in, largest difference",
    measured=difference[1],
    at_most=1e-12,
)
claims.check("C4.b", "φ(0)", measured=float(phi(xp.zeros(1))[0]), equals=1)
claims.check("C4.c", "φ at b = 10 000", measured=float(phi(xp.full(1, 1e4))[0]), equals=2)
claims.check(
    "C4.d",
    "E2: a single splat against the Gaussian of variance (f s φ / z)² + 0.3, b = −20, 0, 20",
    measured=splat_gap,
    at_most=1e-12,
)

# %% [markdown]
# The fold is exact, and the picture on the left of the figure is all there is to say about sharpness: for
# every $b$ the splat is the same bell, so GES draws edges with Gaussians like everybody else. Not even a
# true GEF in space would give its $\beta$ to the image. The shadow of $\beta=8$ is a dome, sharper at its
# rim than a Gaussian but no box. If GES needs fewer particles, the reason must be in the way it is
# trained. There are three candidates: the factor $\varphi$ as a second handle on the scales, the masked
# loss, and the raised threshold.
#
# The second row of the table is a warning to users of the public code: its exporter multiplies log-scales
# by $\varphi$, and $\varphi(b)\,\ell$ is a different scene.
#
# ### A scene in three dimensions
#
# The scene is the book's: a box, two spheres and seven thin rods on the photograph of a cat, seen by 24
# cameras to train with and 8 to test with, at 48 × 48 pixels for 220 iterations. Its true images come
# from a ray caster. Every arm starts from the same 300 points of the surfaces and sees the same views in
# the same order. The intervals of density control are scaled to the short run, with three changes that we
# chose on other seeds, 100–104.
#
# *Thresholds.* With the published ones hardly any particle in so small an image stays below: on a trial
# seed 3DGS grew to several Gaussians for each pixel and ended with a *lower* test PSNR than with a fifth
# of them. We multiply both thresholds by five and keep their ratio.
#
# *Rate of $b$.* At $\varphi\approx1$ a step $\Delta b$ moves the log-scales by $\rho\,\Delta b/2$. The
# published rate, $10^{-3}$, thus moves them by $5\cdot10^{-5}$ per step, where their own rate is
# $5\cdot10^{-3}$, a hundred times as much. In 220 steps that is nothing. So we give $b$ the rate with which
# it can go as far between two resets as
# it can in the published schedule, about one. The resets come every ten iterations here, and that makes
# it 0.1. Then $\varphi$ moves the scales as fast as they move themselves. A gain could come from the
# shape, or from scales that learn at twice the rate, and a sixth arm, F, tells: it has no shape but
# doubles the rate of the log-scales.
#
# *Lengths of the mask.* Reduced to a fifth, our picture has ten pixels, and a blur of $\sigma_1=5$ is
# half of it: the mask then splits the picture into an upper and a lower half. A photograph has a thousand
# pixels or more. We keep the proportion and not the number: no reduction, and $\sigma_1$ up to 1. This we
# noticed late, on the pictures of the masks, when the seed of the verdict had been run once; the change is
# in favour of GES.
#
# The other arms: A is 3DGS, B differs from it by the threshold alone, C is GES, and D is C with 3DGS's
# loss. E is C with a flat mask: at each iteration it has the same mean as the real mask, but spread
# evenly over the picture. It has the weights {eq}`eq-ges-weights` without the frequencies.

# %%
W, N_VIEWS = scale(default=(48, 32), paper=(400, 100))
ITERATIONS, POINTS, FACTOR = scale(default=(220, 300, 5), paper=(30_000, 20_000, 1))
WHITE = RenderOptions(background=(1, 1, 1))
cameras = splatting.fibonacci_hemisphere(N_VIEWS, target=(0, 0, -0.15), width=W)
test, train = cameras[3::4], [camera for k, camera in enumerate(cameras) if k % 4 != 3]
solids = splatting.blocks().solids
parts = scale(default=(solids,), paper=(solids, solids[:1] + solids[4:], solids[:1] + solids[2:3]))
SCENES = [
    (splatting.views(splatting.Scene(part), train), splatting.views(splatting.Scene(part), test))
    for part in parts
]


# %%
def scene_mask(image, f):
    """The mask with lengths in proportion to the picture."""
    shrink, widest = scale(default=(1, 1), paper=(5, 5))
    return dog_mask(image, f, shrink, widest)


def flat_mask(image, f):
    """As much weight as the mask of this image and moment has, spread evenly."""
    return xp.full(image.shape[:2], float(xp.mean(scene_mask(image, f))))


ARMS = {  # threshold over 1e-4, mask, shape
    "A  3DGS": (2, None, False),
    "B  3DGS, τ raised": (3, None, False),
    "C  GES": (3, scene_mask, True),
    "D  GES without mask loss": (3, None, True),
    "E  GES, flat mask": (3, flat_mask, True),
    "F  B, scales learn twice as fast": (3, None, False),
}


# %%
def train_arm(arm, seen, seed):
    """Fit one scene; the result and the two objects that controlled it."""
    threshold, mask, shaped = ARMS[arm]
    rng, every = generator(seed), max(10, ITERATIONS * 1000 // 30_000)
    theta = splatting.initialise(*splatting.surface_points(seen, train, POINTS, rng))
    control = density = splatting.DensityControl(
        ITERATIONS,
        splatting.scene_extent(train),
        rng,
        threshold=FACTOR * threshold * 1e-4,
        capacity=300_000,
    )
    loss = splatting.photometric_loss if mask is None else FrequencyLoss(ITERATIONS, mask)
    rates = {"log_scales": 1e-2} if arm.startswith("F") else {}
    if shaped:
        theta["b"], rates["b"] = xp.zeros(POINTS), 1 / every
        control = ShapeControl(density, every, ITERATIONS // 2)
    images = [view.image for view in seen]
    options = {"loss": loss, "options": WHITE, "rates": rates, "density": control}
    options |= {"reparametrise": reparametrise} if shaped else {}
    fit = splatting.fit(
        theta, train, images, iterations=ITERATIONS, rng=rng, description=arm, **options
    )
    return fit, density.history, control, loss


# %%
def judge(theta, unseen):
    """PSNR, SSIM, HF-PSNR on the test views, and processor time of an image (ms)."""
    scores, times = [], []
    for camera, truth in zip(test, unseen, strict=True):
        started = process_time()
        image = xp.clip(render(theta, camera, WHITE).image, 0, 1)
        times.append(1000 * (process_time() - started))
        pair = to_host(image), to_host(truth.image)
        similarity = metrics.ssim(*pair, channel_axis=2)
        scores.append([metrics.psnr(*pair), similarity, metrics.hf_psnr(*pair)])
    return [*np.mean(scores, axis=0), min(times)]


# %%
trained, results = {}, {}
for arm in ARMS:
    rows = []
    for seen, unseen in SCENES:
        fit, history, control, loss = train_arm(arm, seen, seed=0)
        trained.setdefault(arm[0], (fit, control, loss))  # of the first scene, to look at
        count, added = fit.counts[-1], sum(event.cloned + event.split for event in history)
        rows.append([count, added, *judge(drawn(fit.parameters), unseen)])
    results[arm[0]] = np.mean(rows, axis=0)
rows = [[arm, *results[arm[0]][:2], 236e-6 * results[arm[0]][0]] for arm in ARMS]
rows = [row + list(results[row[0][0]][2:]) for row in rows]
columns = ["arm", "Gaussians", "added", "size (MB)"]
columns += ["PSNR (dB)", "SSIM", "HF-PSNR (dB)", "ms per image"]
caption = """Test views. Size as in the published files, 59 numbers of 4 bytes for each Gaussian
(the shape is folded in). HF-PSNR is the PSNR of fine detail, the image minus its blur. Times are
of the processor, and rough"""
table(rows, columns, caption)

# %%
N, psnr = ({arm: r[k] for arm, r in results.items()} for k in (0, 2))
share = np.log(N["B"] / N["A"]) / np.log(N["C"] / N["A"])
rows = [
    ["GES against 3DGS, N(C) / N(A)", N["C"] / N["A"], psnr["C"] - psnr["A"]],
    ["… by the threshold, N(B) / N(A)", N["B"] / N["A"], psnr["B"] - psnr["A"]],
    ["… by all the rest, N(C) / N(B)", N["C"] / N["B"], psnr["C"] - psnr["B"]],
    ["of the rest: by the shape, N(D) / N(B)", N["D"] / N["B"], psnr["D"] - psnr["B"]],
    ["of the rest: by the mask loss, N(C) / N(D)", N["C"] / N["D"], psnr["C"] - psnr["D"]],
    ["mask against flat mask, N(C) / N(E)", N["C"] / N["E"], psnr["C"] - psnr["E"]],
    ["shape against faster scales, N(D) / N(F)", N["D"] / N["F"], psnr["D"] - psnr["F"]],
]
table(rows, ["comparison", "ratio of Gaussians", "gain (dB)"], "Where the saving comes from")

# %% tags=["hide-input"]
alt = f"""Number of Gaussians against iterations for six arms. All double several times, then
bend. Arm A ends at {N["A"]:.0f}, arms B, D and F near {N["B"]:.0f}, C at {N["C"]:.0f} and E at
{N["E"]:.0f}."""
caption = """The number of Gaussians during training. Between A and B, which differ in nothing but
the threshold, lies most of the distance."""
with figure(alt=alt, caption=caption, height=3.0) as ax:
    styles = ("-", "-", "-", "--", ":", ":")
    for (arm, colour), style in zip(zip(ARMS, PALETTE, strict=False), styles, strict=True):
        ax.plot(trained[arm[0]][0].counts, label=arm, color=PALETTE[colour], ls=style)
    ax.set(xlabel="iteration", ylabel="Gaussians")
    ax.legend(loc="lower right", fontsize="small", ncols=2)

# %%
claims.check(
    "C5.a",
    "E3: Gaussians added by GES over those added by 3DGS",
    measured=results["C"][1] / results["A"][1],
    at_most=0.85,
    paper="0.50 of all components (scene Train)",
    seeds=1,
)
claims.check(
    "C5.b",
    "E3: test PSNR of GES minus that of 3DGS",
    measured=psnr["C"] - psnr["A"],
    at_least=-0.7,
    unit="dB",
    paper="−0.30 (Mip-NeRF360)",
    seeds=1,
)
claims.check(
    "C5.c",
    "E3: part of the saving that the threshold alone gives, ln(N(B)/N(A)) / ln(N(C)/N(A))",
    measured=share,
    at_least=0.5,
    seeds=1,
    own=True,
)

# %% [markdown]
# The two parts of the method that are more than a threshold: the mask should save Gaussians against a mask
# of the same weight without any picture in it, at least one in twenty, and the shape should give at least
# as much as scales that learn faster. For both we also say how far from it the run is.

# %%
claims.check(
    "C5.d",
    "E3: Gaussians of GES over those with a flat mask of the same weight",
    measured=N["C"] / N["E"],
    at_most=0.95,
    paper="377 against 411 MB without mask loss",
    seeds=1,
    not_reproduced="a mask of equal weight without any picture in it saves as much",
)
claims.check(
    "C5.e",
    "E3: the same ratio, so that neither mask saves much against the other",
    measured=N["C"] / N["E"],
    between=(0.95, 1.15),
    seeds=1,
    own=True,
)

# %%
claims.check(
    "C5.f",
    "E3: test PSNR of the shape factor minus that of a doubled rate of the log-scales (D − F)",
    measured=psnr["D"] - psnr["F"],
    at_least=0,
    unit="dB",
    seeds=1,
    not_reproduced="a doubled rate of the scales gives more than the factor",
)
claims.check(
    "C5.g",
    "E3: the gain of the doubled rate over the shape factor (F − D)",
    measured=psnr["F"] - psnr["D"],
    between=(0, 1),
    unit="dB",
    seeds=1,
    own=True,
)

# %%
say(f"""GES needs {N["C"] / N["A"]:.0%} of the Gaussians of 3DGS and loses
{psnr["A"] - psnr["C"]:.2f} dB. But arm B, plain Gaussian splatting with one number changed, has
{N["B"] / N["A"]:.0%} of them and loses {psnr["A"] - psnr["B"]:.2f} dB: in logarithms, {share:.0%} of the
saving are the threshold's. The shape alone (D against B) changes the number by {N["D"] / N["B"] - 1:+.1%},
the masked loss (C against D) by {N["C"] / N["D"] - 1:+.0%}.""")

# %% [markdown]
# The paper's own Table 4 points the same way. The same pipeline with $\beta$ fixed at 2 needs 415 MB on
# Mip-NeRF360 where GES needs 376 MB and 3DGS 734 MB, and on its three sets of scenes the learned shape
# accounts for 9 to 14 % of the size. The rest comes from the threshold, the schedule and the loss.
#
# The masked loss saves because it has smaller gradients, as {eq}`eq-ges-weights` let us expect: while
# Gaussians are being born, in the first half, the real mask covers only a part of the picture, and outside
# it errors count three eighths. Where the mask lies matters little for the number: spread evenly (E), the
# same weight saves as much. That the masks help to use fewer particles is marked as not reproduced.
#
# The shape factor has little to show, too. What it may give, a second learning rate for the scales gives
# more reliably: F has no shape. A likely reason are the resets: they throw away, every ten steps, what $b$
# has contributed.

# %%
control = trained["C"][1]
rows = [["largest |b| of the run", control.largest], ["dropped for φ < 0.005", control.pruned]]
half = trained["C"][2].shares[: ITERATIONS // 2]
rows.append(["mean of the mask while Gaussians are born", float(np.mean(half))])
table(
    rows, ["arm C", "value"], "Shapes and masks of GES; to be dropped a particle needs b < −59.9"
)

# %% tags=["hide-input"]
look, spot = 1, np.s_[14:38, 12:36]
truth = to_host(SCENES[0][1][look].image)
shots = {"truth": truth}
for arm, name in (("A", "3DGS"), ("B", "3DGS, τ raised"), ("C", "GES")):
    image = render(drawn(trained[arm][0].parameters), test[look], WHITE).image
    shots[name] = np.clip(to_host(image), 0, 1)
alt = """Three rows of four pictures of the scene, a box, two spheres and thin rods on a
photograph of a cat: the truth, 3DGS, 3DGS with the raised threshold, and GES. First row the whole
view, second row an enlarged part with box and spheres, third row the absolute errors. The three
reconstructions look alike; all miss the rods' sharpness and the borders of the spheres' tiles, in
the same places."""
caption = f"""A test view, a part of it, and the absolute errors (white is 0, black 0.5), of the
truth and of arms A, B and C with {N["A"]:.0f}, {N["B"]:.0f} and {N["C"]:.0f} Gaussians."""
with figure(3, 4, alt=alt, caption=caption, width=8.0, height=6.2) as axes:
    for (name, image), (whole, part, error) in zip(shots.items(), axes.T, strict=True):
        whole.set_title(name, fontsize="medium")
        whole.imshow(image)
        part.imshow(image[spot])
        error.imshow(np.abs(image - truth).mean(axis=2), cmap="gray_r", vmin=0, vmax=0.5)
    label = "absolute error,\nwhite 0, black 0.5"
    axes[2, 0].text(0.5, 0.5, label, ha="center", transform=axes[2, 0].transAxes)
    for ax in axes.flat:
        ax.axis("off")

# %% [markdown]
# The three reconstructions are hard to tell apart, and so are their errors. All miss the rods and the
# borders of the tiles, where something sharper than a Gaussian would be welcome.
#
# Which pixels does the mask pick? The last claim asks for four of its properties. At $f=49$ and $f=51$,
# on both sides of half time and with the same $\sigma_1$, the masks are complementary; no mask is
# constant; a small change of the image does not flip a pixel; and so the gradient of {eq}`eq-ges-loss`
# that leaves the mask alone is the true one. We test the masks with the published lengths and with those
# of arm C.

# %%
loss = trained["C"][2]
image = xp.clip(render(drawn(trained["C"][0].parameters), test[look], WHITE).image, 0, 1)
before, after = dog_mask(image, 49), dog_mask(image, 51)
masks = {f: [scene_mask(image, f), dog_mask(image, f)] for f in range(101)}
ones = [int(xp.sum(mask)) for pair in masks.values() for mask in pair]
ones += [round(share * W * W) for share in loss.shares]
nudge = 1e-6 * generator(0).standard_normal(image.shape)
moved = {f: [scene_mask(image + nudge, f), dog_mask(image + nudge, f)] for f in range(0, 101, 10)}
flips = sum(int(xp.sum(a != b)) for f in moved for a, b in zip(masks[f], moved[f], strict=True))


class AtProgress(FrequencyLoss):
    """The loss at one progress."""

    def __call__(self, image, target):
        self.shares = [0.0] * 30
        return super().__call__(image, target)


loss30, goal = AtProgress(100, scene_mask), SCENES[0][1][look].image
clear = clear_of_kinks(image, goal)
mask_error = slope_error(
    lambda th: loss30(th["C"], goal)[0], {"C": clear}, {"C": loss30(clear, goal)[1]}, h=1e-6
)

# %% tags=["hide-input"]
progress_shown = (5, 30, 49, 51, 70, 95)
alt = """A rendered view of the scene and, in two rows, six black and white masks of it, at 5, 30,
49, 51, 70 and 95 per cent of the training. Upper row: outlines of the objects, thin at 5 and 95
per cent and thicker in between, white on black in the first half and black on white after it.
Lower row: at 49 and 51 per cent no more than the upper and the lower half of the picture. In both
rows the masks of 49 and 51 per cent are negatives of each other."""
caption = """A rendered view and its masks at six moments of the training (white: full weight).
Above, blurs in proportion to our small picture, as arm C has them; below, those made for large
photographs."""
with figure(2, 7, alt=alt, caption=caption, width=9.0, height=3.2) as axes:
    for row, name in enumerate(("proportional", "published")):
        axes[row, 0].imshow(to_host(image))
        axes[row, 0].set_title(name, fontsize="medium")
        for ax, f in zip(axes[row, 1:], progress_shown, strict=True):
            ax.imshow(to_host(masks[f][row]), cmap="gray", vmin=0, vmax=1)
            ax.set_title(f"$f={f}$ %", fontsize="medium")
    for ax in axes.flat:
        ax.axis("off")

# %%
claims.check(
    "C6.a",
    "pixels in exactly one of the masks at f = 49 and 51, both with σ₁ = 5",
    measured=float(xp.mean(xp.astype(before + after == 1, xp.float64))),
    equals=1,
)
claims.check(
    "C6.b",
    "pixels of the rarer value in a mask, fewest of f = 0 … 100 and of all iterations of GES",
    measured=min(min(n, W * W - n) for n in ones),
    at_least=1,
)

# %%
claims.check(
    "C6.c",
    "pixels of 22 masks that flip when the image moves by 1e-6: the mask has no gradient",
    measured=flips,
    equals=0,
)
claims.check(
    "C6.d",
    "gradient of the loss against differences of the loss with its mask made anew: relative error",
    measured=mask_error,
    at_most=1e-6,
)

# %% [markdown]
# The masks hold all this, but look at them. The band is rescaled with its sign and cut in the middle, so
# the mask is not where edges are but where the image is *brighter* than its surroundings (and before half
# time, where it is not). Flat regions fall on one side or the other, depending on whether the brightest
# or the darkest spot is the more extreme. Here the mask is the dark side of the outlines in the first
# half, and all but that in the second, when outlines count least. That may be why a mask without any
# picture in it does as well. The lower row is the reason for our change of lengths.
#
# Finally, both scenes once around.

# %% tags=["hide-input"]
angles = np.linspace(0, 2 * pi, 24, endpoint=False) + 0.6
places = [(2.6 * np.cos(a), 2.6 * np.sin(a), 1.3) for a in angles]
ring = [splatting.look_at(place, (0, 0, -0.15), width=48) for place in places]
turns = []
for arm in "AC":
    theta = drawn(trained[arm][0].parameters)
    turns.append(np.stack([to_host(render(theta, camera, WHITE).image) for camera in ring]))
frames = np.concatenate(turns, axis=2)
alt = f"""Two reconstructions of the scene turn side by side, once around: 3DGS with {N["A"]:.0f}
Gaussians on the left, GES with {N["C"]:.0f} on the right. Box, spheres, rods and the photograph
on the ground look the same on both sides in every frame."""
caption = f"""Left 3DGS with {N["A"]:.0f} Gaussians, right GES with {N["C"]:.0f}, from 24 places
around the scene (one turn, then it stands still)."""
animation(frames, alt=alt, caption=caption, seconds=4, magnify=4)

# %% [markdown]
# ### Saving the scene

# %%
theta = trained["C"][0].parameters
rest = {name: rows for name, rows in theta.items() if name != "b"}
wrong = rest | {"log_scales": theta["log_scales"] * phi(theta["b"])[:, None]}
rows = []
with tempfile.TemporaryDirectory() as folder:
    for name, saved in (("ℓ + log φ(b)", drawn(theta)), ("φ(b) ℓ", wrong), ("ℓ, no shape", rest)):
        splatting.write_ply(Path(folder) / "scene.ply", saved)
        loaded = splatting.read_ply(Path(folder) / "scene.ply")
        rows.append([name, judge(loaded, SCENES[0][1])[0]])
rows.append(["not saved", psnr["C"]])
table(
    rows, ["log-scales in the file", "test PSNR (dB)"], "GES, saved in three ways and read again"
)
text = "The scene as GES left it, its shapes folded into the scales; any viewer of splats opens it."
offer("blocks_ges.ply", lambda path: splatting.write_ply(path, drawn(theta)), text)

# %% [markdown]
# Folded correctly, the file loses very little, because its colours are harmonics, which
# cannot be negative, while ours could. Folded as the public exporter does it, the scene is ruined here,
# where $b$ grows large. Its authors consider this harmless, since $b$ is reset during training. By the
# argument about rates $b$ should indeed be small at their setting, which is one more sign that the factor
# does not do much there.
#
# ## Verdict
#
# The thought is right. A learned exponent lets one function draw a box, a half sine or a peak, and
# mixtures and splats in the plane need fewer primitives with it, most of all at edges. The fewer
# primitives are not fewer numbers, unless each of them carries many. In space the method does not draw
# this function, and does not claim to: it draws Gaussians with one more factor on their scale. It needs
# about half as many of them at nearly the same quality, as announced. But the larger part of that saving
# (in logarithms) is had by raising a threshold of plain Gaussian splatting, the rest by a loss with
# smaller weights. Frequency bands and shape add nothing to the saving that we could find; a doubled
# learning rate of the scales does more for quality. These attributions are from a scene of 48 × 48 pixels
# and one seed; real scenes may differ, but the paper's own table of components agrees.
#
# The thresholds of C5.c to C5.g and C3.d are ours. C5.c asks for the larger part; C3.d was
# set on the seeds 100–109; C5.d and C5.f say what one would expect if mask and shape did what they
# are for. C3.c checks the comparison rather than the paper.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The real scenes are not bundled with any library and their absolute numbers are not touched.
# LPIPS needs a downloaded network. The frame rate of the CUDA rasteriser and training times were not
# measured; our times for an image are from a CPU renderer and say only that fewer Gaussians cost less.
# The schedule of 40 000 iterations, against 30 000 of Gaussian splatting, is another confounder that we
# avoid, since all arms train equally long. The simulation runs here with 200 points, 1500 steps, two and
# five terms and positive weights; the other two models, larger mixtures and real weights wait for the
# paper's scale. The two details of the mask that we could not find, how the blurs treat the border and
# which weights make an image grey, are SciPy's reflection and the usual 0.299, 0.587, 0.114.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells run the simulation as in the authors' notebook, with 1000
# points, all eight sizes, four models, both kinds of weights, 20 runs and 10 000 steps, and the page for
# 3000 steps. The 64 cells of the simulation then run side by side, on all cores, or on the Dask cluster
# whose scheduler's address stands in `GAUSSBOOK_DASK`. The scene grows to 400 × 400 pixels, 100 views, 30 000 iterations with the published
# thresholds and intervals, up to 300 000 Gaussians, and to three scenes: blocks, rods alone, and the
# chequered sphere. That meets the comparison of memory and quality between the arms, not the numbers of
# the real scenes; these can be had by reading a folder with `gaussbook.splatting.load_nerf_synthetic` or
# `load_colmap`. It has not been run yet, and with eighteen trainings of full length it may take longer
# than ten minutes on one GPU. The findings C5.d and C5.f may well turn out differently there.
