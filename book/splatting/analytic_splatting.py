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
# # Analytic-Splatting
#
# ```{paper-card}
# ```
#
# Walk away from a picket fence and look back. From near you see pickets; from afar the fence becomes
# a light grey veil. A camera does this by itself: each pixel collects *all* the light that falls on
# its little square. A renderer does not. It usually asks what is to be seen at one point, the middle
# of the square, and so the distant fence flickers: a picket is either hit or missed. This is
# *aliasing*.
#
# In Gaussian splatting a scene is a cloud of coloured Gaussians, and a pixel asks each of them for
# its value at the pixel's centre. The original method hides the flicker by making every Gaussian a
# little fatter on the screen, which is harmless from near and disastrous from afar, where many thin
# Gaussians become many fat ones. {cite:t}`analytic_splatting` do what the camera
# does: they replace the sample by the *integral* over the square. The integral has no closed form,
# but one that is nearly right is cheap. This chapter derives it, measures how wrong it is, down to
# Gaussians where it is very wrong, checks every gradient, and then renders and trains with it.
#
# ## What the paper claims
#
# 1. The logistic function of a cubic, $S(x)=1/(1+e^{-1.6x-0.07x^3})$, is the normal distribution function
#    up to an error of the order of $10^{-4}$. {claims}`C1.a, C1.b`
# 2. In one dimension the integral over the pixel, as a difference of two values of $S$, is a better
#    intensity than the value at the centre, than that of a dilated Gaussian and than that of a Gaussian
#    smoothed with the screen filter of Mip-Splatting; most of all for small Gaussians.
#    {claims}`C2.a, C2.b, C2.c, C2.d, C2.e, C2.f, C2.g, C2.h, C2.i, C2.j`
# 3. So it is in two dimensions, where the pixel is turned into the Gaussian's own axes and two such
#    differences are multiplied.
#    {claims}`C3.a, C3.b, C3.c, C3.d, C3.e, C3.f, C3.g, C3.h, C3.i, C3.j, C3.k`
# 4. This intensity can be trained: its gradient is a formula too. {claims}`C4.a, C4.b, C4.c, C4.d, C4.e`
# 5. Seen from afar, Gaussians drawn with it alias less than with the other three.
#    {claims}`C5.a, C5.b, C5.c, C5.d, C5.e`
# 6. Trained and tested at four scales on the synthetic NeRF scenes, the method is best at every scale
#    (PSNR, the peak signal-to-noise ratio, in dB; higher is better). {claims}`C6.a, C6.b, C6.c, C6.d, C6.e, C6.f`
#
#    | method | full | 1/2 | 1/4 | 1/8 | mean |
#    |---|---|---|---|---|---|
#    | 3DGS | 28.79 | 30.66 | 31.64 | 27.98 | 29.77 |
#    | 3DGS, super-sampled | 32.05 | 33.78 | 33.92 | 31.12 | 32.71 |
#    | Mip-Splatting | 32.81 | 34.49 | 35.45 | 35.50 | 34.56 |
#    | Analytic-Splatting | 33.22 | 34.92 | 35.98 | 36.00 | 35.03 |
#
# Not tested here: the nine scenes of Mip-NeRF 360 at four scales (mean PSNR 27.63 for 3DGS, 29.12 for
# Mip-Splatting, 29.51 dB for theirs); twice the resolution of training (26.90 dB against 26.46 dB of
# Mip-Splatting; others find the same order on synthetic scenes, 23.57 against 22.25 dB at four times the
# resolution, and the opposite one on Mip-NeRF 360, 23.04 against 24.51 dB at eight times); and a frame
# rate that falls by about 10 %.
#
# These statements rest on the paper's abstract, the authors' code
# ([lzhnb/Analytic-Splatting](https://github.com/lzhnb/Analytic-Splatting): forward and backward
# kernels, trainer, converter of the multi-scale data) and a reading note which repeats the tables.
# The paper's own text was read in excerpts only, and its figure of errors in one dimension was not
# available: the error figures below have no number of the paper beside them.
#
# ## The idea
#
# **What a pixel asks.** Seen by a camera, a Gaussian of the scene becomes a Gaussian on the screen,
# with mean $m$ and a $2\times2$ covariance $\Sigma'$ in pixels, and with an opacity $o\le1$. What a
# pixel with centre $p$ needs is the share $\alpha=o\,I(p)$ of its light that the Gaussian takes; the
# Gaussians are then blended front to back. With $d=p-m$ and
# $G_\Sigma(d)=e^{-\frac12d^\top\Sigma^{-1}d}$, four answers are in use:
#
# $$
# \begin{gathered}
# I_{\text{point}}=G_{\Sigma'}(d),\qquad
# I_{\text{3DGS}}=G_{\Sigma'+0.3\,\mathrm{Id}}(d),\\
# I_{\text{Mip}}=\sqrt{\frac{\det\Sigma'}{\det(\Sigma'+0.1\,\mathrm{Id})}}\;G_{\Sigma'+0.1\,\mathrm{Id}}(d),
# \end{gathered}
# $$ (eq-analytic-samples)
#
# and the integral over the pixel's square, $\int_{[-\frac12,\frac12]^2}G_{\Sigma'}(d+t)\,\mathrm dt$.
# The first aliases. The second, the original 3DGS, adds the variance 0.3 and with it *mass*: the
# integral of $I$ over the screen should be $2\pi\sqrt{\det\Sigma'}$, and for a Gaussian of standard
# deviation 0.1 pixels it is 31 times that. Mip-Splatting divides the mass out again, and so takes the
# pixel for a Gaussian of variance 0.1 (a square of side one has variance $\tfrac1{12}\approx0.083$
# along each axis).
#
# **In one dimension** the integral is a difference of two values of the normal distribution function
# $\Phi$,
#
# $$
# \int_{u-1/2}^{u+1/2}e^{-t^2/2\sigma^2}\,\mathrm dt
# =\sqrt{2\pi}\,\sigma\Bigl[\Phi\Bigl(\frac{u+\frac12}\sigma\Bigr)-\Phi\Bigl(\frac{u-\frac12}\sigma\Bigr)\Bigr],
# $$ (eq-analytic-window)
#
# and the paper replaces $\Phi$, which graphics cards compute slowly, by
#
# $$
# \begin{gathered}
# S(x)=\frac1{1+e^{-1.6x-0.07x^3}}=\tfrac12+\tfrac12\tanh\tfrac{1.6x+0.07x^3}2,\\
# S'(x)=(1.6+0.21x^2)\,S(x)\,(1-S(x)).
# \end{gathered}
# $$ (eq-analytic-S)
#
# **In two dimensions** the integral of a correlated Gaussian over a square has no closed form. If the
# axes of the ellipse are those of the pixel, it is the product of two integrals
# {eq}`eq-analytic-window`. So the paper turns the *pixel* until they are. Let $\lambda_1\ge\lambda_2$
# be the eigenvalues of $\Sigma'=\begin{pmatrix}A&B\\B&D\end{pmatrix}$, $\sigma_k=\sqrt{\lambda_k}$,
# and $v_1=(\cos\vartheta,\sin\vartheta)$, $v_2=(-\sin\vartheta,\cos\vartheta)$ its eigenvectors. Then
#
# $$
# \lambda_{1,2}=\tfrac{A+D}2\pm\sqrt{\tfrac{(A-D)^2}4+B^2},\qquad
# \vartheta=\tfrac12\operatorname{atan2}(2B,\,A-D),
# $$ (eq-analytic-frame)
#
# $$
# \begin{gathered}
# I=2\pi I_1I_2,\qquad I_1=\sigma_1\bigl[S(U_+)-S(U_-)\bigr],\\
# U_\pm=\frac{u\pm\frac12}{\sigma_1},\qquad u=v_1\cdot d,
# \end{gathered}
# $$ (eq-analytic-I)
#
# and $I_2$ likewise with $\sigma_2$ and $v=v_2\cdot d$. There is no dilation at all. The angle
# deserves a remark. Written with eigenvectors such as $(B,\lambda_1-A)$, as the public kernel does,
# the frame of a Gaussian that lies exactly along the pixel's axes is $0/0$. The half angle of
# {eq}`eq-analytic-frame` never is.
#
# **Gradients.** What training needs are the derivatives by $m$ and $\Sigma'$; everything before them
# is that of any splatting renderer. The easy ones are
#
# $$
# \begin{gathered}
# \frac{\partial I}{\partial u}=2\pi I_2\bigl[S'(U_+)-S'(U_-)\bigr],\\
# \frac{\partial I}{\partial\sigma_1}=2\pi I_2\bigl[S(U_+)-S(U_-)-U_+S'(U_+)+U_-S'(U_-)\bigr],
# \end{gathered}
# $$ (eq-analytic-strip)
#
# and $\partial I/\partial m=-(v_1I_u+v_2I_v)$. For $\Sigma'$ we need to know how eigenvalues and
# eigenvectors move. First-order perturbation theory says $\mathrm d\lambda_k=v_k^\top\mathrm
# d\Sigma'\,v_k$ and $\mathrm dv_1=w\,v_2$, $\mathrm dv_2=-w\,v_1$ with $w=v_1^\top\mathrm
# d\Sigma'\,v_2/(\lambda_1-\lambda_2)$. Hence $\mathrm du=w\,v$ and $\mathrm dv=-w\,u$, and
#
# $$
# \begin{aligned}
# \mathrm dI&=\sum_k\frac{I_{\sigma_k}}{2\sigma_k}\,v_k^\top\mathrm d\Sigma'\,v_k
# +\frac{v\,I_u-u\,I_v}{\lambda_1-\lambda_2}\,v_1^\top\mathrm d\Sigma'\,v_2\\
# &=\operatorname{tr}\bigl(VEV^\top\mathrm d\Sigma'\bigr),\qquad V=(v_1\;v_2),
# \end{aligned}
# $$
#
# $$
# \begin{gathered}
# E_{kk}=\frac{I_{\sigma_k}}{2\sigma_k},\qquad\Delta=\lambda_1-\lambda_2,\\
# E_{12}=E_{21}=\tfrac12\,(v\,I_u-u\,I_v)\,\frac{\Delta}{\Delta^2+\delta^2}.
# \end{gathered}
# $$ (eq-analytic-E)
#
# With $\delta=0$ this is exact. For an exactly integrated square the numerator would have to vanish
# as the Gaussian becomes round, because a round Gaussian has no angle. The turned square is a square
# of its own orientation, however, so that $I$ keeps a small dependence on an angle which means
# nothing, and $E_{12}$ explodes like $1/\Delta$. We therefore damp it with $\delta=0.02\,\lambda_1$.
#
# **What the turned pixel costs.** Summed over all pixels, the intensities should give the Gaussian's
# mass. Poisson's summation formula says what they give. With the Fourier transform of the Gaussian
# and $\hat w$, that of the turned square, where $\operatorname{sinc}x=\sin(\pi x)/\pi x$,
#
# $$
# \begin{gathered}
# \frac1{2\pi\sigma_1\sigma_2}\sum_pI(p)=\sum_{k\in\mathbb Z^2}e^{-2\pi^2k^\top\Sigma'k}\,\hat w(k)\,
# \cos\bigl(2\pi k\cdot(m-p_0)\bigr),\\
# \hat w(k)=\operatorname{sinc}(k\cdot v_1)\operatorname{sinc}(k\cdot v_2),
# \end{gathered}
# $$ (eq-analytic-poisson)
#
# where $p_0$ is the centre of any pixel. (For $\Phi$; with $S$ it changes little, as the second experiment checks.) The term $k=0$ is 1, the right answer. For an upright square all others vanish, since
# $\operatorname{sinc}$ is zero at integers: upright pixels tile the screen, and no mass is lost
# however small the Gaussian. Turned pixels overlap and leave gaps. What protects them is the first
# factor, and it does so only if the Gaussian is wider than about half a pixel in every direction.
# Keep this in mind for the second experiment.
#
# ## The method in code

# %%
from time import process_time

import numpy as np
from scipy.special import ndtr

from gaussbook import splatting
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.metrics import psnr
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, animation, figure, slider
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.splatting import Analytic, Mip, Point, RenderOptions, downscale, look_at, render
from gaussbook.splatting.pairs import enumerate_pairs
from gaussbook.splatting.projection import project
from gaussbook.tables import table

claims = Claims("analytic_splatting")
xp = backend()


# %% [markdown]
# First one dimension: $\Phi$, the approximation {eq}`eq-analytic-S` with its derivative, and the
# window {eq}`eq-analytic-window`, which takes either of them.

# %%
def Phi(x):
    """The normal distribution function, by SciPy."""
    return to_device(ndtr(to_host(x)))


def S(x):
    """1 / (1 + exp(-1.6 x - 0.07 x^3))."""
    return 0.5 + 0.5 * xp.tanh(0.5 * (1.6 * x + 0.07 * x**3))


def S_prime(x):
    """(1.6 + 0.21 x^2) S (1 - S)."""
    return (1.6 + 0.21 * x**2) * S(x) * (1 - S(x))


def window(u, sigma, cdf=S):
    """Integral of exp(-t^2 / 2 sigma^2) for t from u - 1/2 to u + 1/2."""
    return np.sqrt(2 * np.pi) * sigma * (cdf((u + 0.5) / sigma) - cdf((u - 0.5) / sigma))


# %% [markdown]
# Then two. A covariance is given by its entries $A$, $B$, $D$, a displacement $d$ by $d_x$ and $d_y$:
# four samplers stand side by side, the three of {eq}`eq-analytic-samples` and the turned window.

# %%
def gaussian(dx, dy, A, B, D):
    """exp(-d' Sigma^-1 d / 2)."""
    return xp.exp(-(D * dx**2 - 2 * B * dx * dy + A * dy**2) / (2 * (A * D - B**2)))


def mip(dx, dy, A, B, D, s=0.1):
    """sqrt(det Sigma / det(Sigma + s Id)) times the Gaussian of covariance Sigma + s Id."""
    share = (A * D - B**2) / ((A + s) * (D + s) - B**2)
    return xp.sqrt(share) * gaussian(dx, dy, A + s, B, D + s)


def eigenframe(A, B, D):
    """sigma_1, sigma_2 and the cosine and sine of the angle of the longer axis."""
    radius = xp.sqrt((A - D) ** 2 / 4 + B**2)
    angle = 0.5 * xp.atan2(2 * B, A - D)
    larger, smaller = (A + D) / 2 + radius, xp.clip((A + D) / 2 - radius, 1e-8, None)
    return xp.sqrt(larger), xp.sqrt(smaller), xp.cos(angle), xp.sin(angle)


def analytic(dx, dy, A, B, D):
    """I = 2 pi I_1 I_2 in the eigenframe."""
    sigma1, sigma2, cos, sin = eigenframe(A, B, D)
    return window(cos * dx + sin * dy, sigma1) * window(cos * dy - sin * dx, sigma2)


SAMPLERS = {
    "point": gaussian,
    "3DGS": lambda dx, dy, A, B, D: gaussian(dx, dy, A + 0.3, B, D + 0.3),
    "Mip": mip,
    "analytic": analytic,
}


# %% [markdown]
# And the derivatives {eq}`eq-analytic-strip` and {eq}`eq-analytic-E`, line by line.

# %%
def strip(u, sigma):
    """sigma [S(U+) - S(U-)], and its derivatives by u and by sigma."""
    plus, minus = (u + 0.5) / sigma, (u - 0.5) / sigma
    difference = S(plus) - S(minus)
    by_u = S_prime(plus) - S_prime(minus)
    by_sigma = difference - plus * S_prime(plus) + minus * S_prime(minus)
    return sigma * difference, by_u, by_sigma


def analytic_gradient(dx, dy, A, B, D, damping=0.02):
    """I, and its derivatives by m_x, m_y, A, B and D."""
    sigma1, sigma2, c, s = eigenframe(A, B, D)
    u, v = c * dx + s * dy, c * dy - s * dx
    I1, I1_u, I1_sigma = strip(u, sigma1)
    I2, I2_v, I2_sigma = strip(v, sigma2)
    I_u, I_v = 2 * np.pi * I2 * I1_u, 2 * np.pi * I1 * I2_v
    E11, E22 = np.pi * I2 * I1_sigma / sigma1, np.pi * I1 * I2_sigma / sigma2
    Delta, delta = sigma1**2 - sigma2**2, damping * sigma1**2
    E12 = 0.5 * (v * I_u - u * I_v) * Delta / (Delta**2 + delta**2)
    by_A = c**2 * E11 + s**2 * E22 - 2 * c * s * E12
    by_D = s**2 * E11 + c**2 * E22 + 2 * c * s * E12
    by_B = 2 * c * s * (E11 - E22) + 2 * (c**2 - s**2) * E12
    return 2 * np.pi * I1 * I2, (s * I_v - c * I_u, -s * I_u - c * I_v, by_A, by_B, by_D)


# %% [markdown]
# That is the method. Rendering and training below use the same formulas in the form of the library's
# `Analytic`, which evaluates them for millions of pairs of a Gaussian and a pixel, on a GPU in a
# kernel of its own.
#
# ## Experiments
#
# ### One dimension: a sample against an integral
#
# How good is $S$? And how good are the four intensities of a Gaussian of standard deviation $\sigma$,
# at the worst place $u$ of the pixel? The answer to both is a formula away. Beside $S$ we put the
# logistic function $1/(1+e^{-1.702x})$, the usual one-parameter stand-in for $\Phi$.

# %%
x = xp.linspace(-8, 8, 160_001)
cdf_error = float(xp.max(xp.abs(S(x) - Phi(x))))
logistic_error = float(xp.max(xp.abs(1 / (1 + xp.exp(-1.702 * x)) - Phi(x))))
sigmas, worst, rows = (0.1, 0.3, 0.5, 1.0, 2.0, 4.0, 6.6, 10.0), {}, []
u = xp.linspace(0, 1, 8001)
for sigma in sigmas:
    t, s2 = (5 * sigma + 1) * u, sigma**2
    intensities = {
        "point": xp.exp(-(t**2) / (2 * s2)),
        "3DGS": xp.exp(-(t**2) / (2 * (s2 + 0.3))),
        "Mip": np.sqrt(s2 / (s2 + 0.1)) * xp.exp(-(t**2) / (2 * (s2 + 0.1))),
        "analytic": window(t, sigma),
    }
    exact = window(t, sigma, Phi)
    worst[sigma] = {k: float(xp.max(xp.abs(a - exact))) for k, a in intensities.items()}
    rows.append([f"{sigma:g}", *worst[sigma].values()])
columns = ["σ (pixels)", *intensities]
table(
    rows, columns, "Largest error of the intensity in one dimension, over all places in the pixel"
)

# %% tags=["hide-input"]
alt = f"""Left, S minus the normal distribution function waves between plus and minus
{cdf_error:.5f}. Right, the worst error against sigma: that of the analytic one stays
small, those of the others fall from up to 0.75 and cross it, Mip's near sigma 2, that of the sample
at 4."""
caption = """Left, the error of $S$. Right, the worst error over all places of a pixel; the three samples get
better with $\\sigma$, the approximate integral does not."""
colours = dict(zip(intensities, ("vermilion", "purple", "green", "blue"), strict=True))
with figure(1, 2, alt=alt, caption=caption, height=2.9) as axes:
    axes[0].plot(to_host(x), 1e4 * to_host(S(x) - Phi(x)), color=PALETTE["blue"])
    axes[0].set(xlim=(-5, 5), xlabel="$x$", ylabel="$S-\\Phi$ ($10^{-4}$)")
    for name, colour in colours.items():
        style = {"color": PALETTE[colour], "label": name}
        axes[1].loglog(sigmas, [worst[s][name] for s in sigmas], "o-", ms=3, **style)
    axes[1].set(xlabel="$\\sigma$ (pixels)", ylabel="worst error")
    axes[1].legend(fontsize="small")

# %% [markdown]
# And what does one pixel see, as the Gaussian grows from a fraction of it to several?

# %% tags=["hide-input"]
u, nil = xp.linspace(-3.0, 3.0, 301), xp.zeros(301)


def intensities_seen(sigma):
    """What each sampler, and the exact integral, see at distance u."""
    A, B, D = (xp.asarray(v) for v in (sigma**2, 0.0, 1e6))
    curves = {name: to_host(sample(u, nil, A, B, D)) for name, sample in SAMPLERS.items()}
    return curves | {"exact": to_host(window(u, sigma, Phi))}


def one_pixel(ax, sigma):
    """All curves for one sigma."""
    for name, curve in intensities_seen(sigma).items():
        style = {"color": PALETTE[colours[name]]} if name in colours else {"color": "k", "ls": ":"}
        ax.plot(to_host(u), curve, label=name, lw=2 if name == "exact" else 1.5, **style)
    ax.set(xlabel="distance $u$ (pixels)", ylabel="intensity", ylim=(-0.03, 1.05))
    ax.legend(loc="upper right")


def in_words(sigma):
    """The peaks of the curves."""
    tops = ", ".join(f"{name} {curve.max():.2f}" for name, curve in intensities_seen(sigma).items())
    return f"Intensity of a Gaussian of {sigma:g} pixels against the distance; peaks: {tops}."


slider([0.1, 0.2, 0.3, 0.45, 0.7, 1.0, 1.5], one_pixel, label="σ (pixels)", alt=in_words, start=2,
       width=6.0, height=3.0, caption="What a pixel at distance $u$ sees of a Gaussian.")  # fmt: skip

# %%
claims.check(
    "C1.a",
    "E1: largest |S − Φ| on [−8, 8]",
    measured=cdf_error,
    equals=3.92e-4,
    within=2e-6,
    paper="order 10⁻⁴",
)
claims.check(
    "C1.b",
    "E1: the same for the logistic function of 1.702 x",
    measured=logistic_error,
    equals=0.0095,
    within=0.0002,
    own=True,
)

# %%
THRESHOLDS = {
    (0.3, "analytic"): {"at_most": 4.5e-4},
    (0.3, "Mip"): {"equals": 0.0216, "within": 5e-4},
    (0.3, "point"): {"equals": 0.320, "within": 0.003},
    (0.3, "3DGS"): {"equals": 0.353, "within": 0.003},
    (1.0, "analytic"): {"at_most": 0.002},
    (1.0, "Mip"): {"equals": 0.0064, "within": 1e-4},
    (1.0, "point"): {"equals": 0.0402, "within": 5e-4},
    (1.0, "3DGS"): {"equals": 0.0813, "within": 5e-4},
}
for letter, ((sigma, name), threshold) in zip("abcdefgh", THRESHOLDS.items(), strict=True):
    statement = f"E1: worst error, σ = {sigma:g}, {name}"
    claims.check(f"C2.{letter}", statement, measured=worst[sigma][name], **threshold, own=True)

# %%
claims.check(
    "C2.i",
    "E1: worst error of analytic over that of the sample, smallest over σ = 4, 6.6, 10",
    measured=min(worst[s]["analytic"] / worst[s]["point"] for s in (4.0, 6.6, 10.0)),
    at_least=1,
    own=True,
)
lead = {s: min(w[k] for k in ("point", "3DGS", "Mip")) / w["analytic"] for s, w in worst.items()}
claims.check(
    "C2.j",
    "E1: worst error of the best of the three samples over that of analytic, smallest, σ ≤ 0.5",
    measured=min(value for sigma, value in lead.items() if sigma <= 0.5),
    at_least=10,
)
say(f"""For Gaussians of half a pixel or less the approximate integral is nearer to the truth than the
best of the samples by a factor of {min(lead[s] for s in (0.1, 0.3, 0.5)):.0f} or more, as the paper
says. At $\\sigma=1$ it leads by {lead[1.0]:.1f}; at $\\sigma=2$ Mip's sample is already the better
one.""")

# %% [markdown]
# For wide ones the claim does not hold: at $\sigma=4$ the integral is as bad as a plain sample, and beyond
# that *worse*. There a sample has nothing left to miss, but $S'(0)=0.4$ where the normal density has
# $1/\sqrt{2\pi}=0.3989$, so that $I$ tends to $0.4\sqrt{2\pi}=1.0026$ where it should tend to one.
# The error is small, less than one step of an eight-bit image. In two dimensions it makes the largest
# possible intensity 1.0053.
#
# ### Two dimensions: the turned pixel
#
# For the exact integral over the upright pixel we integrate along $y$ with $\Phi$, since given $x$
# the Gaussian is one in $y$ with mean $xB/A$ and variance $D-B^2/A$, and along $x$ with 32 nodes of
# Gauss and Legendre. Each ellipse is placed at 64 places of a pixel, on a grid of $33\times33$
# pixels. The last of them, `BALL`, is what a small ball looks like near the corner of a picture: perspective
# stretches it away from the axis of the camera, in a picture of 40° by up to 12 %.

# %%
NODES, WEIGHTS = (to_device(a / 2) for a in np.polynomial.legendre.leggauss(32))


def exact_integral(dx, dy, A, B, D):
    """The integral of the Gaussian over the pixel's own square."""
    A, B, D = A[..., None], B[..., None], D[..., None]
    x = dx[..., None] + NODES
    along_y = window(dy[..., None] - x * B / A, xp.sqrt(D - B**2 / A), Phi)
    return xp.sum(WEIGHTS * xp.exp(-(x**2) / (2 * A)) * along_y, axis=-1)


pixel = xp.arange(-16, 17, dtype=xp.float64)
shift = xp.arange(8) / 8  # of the mean, from a pixel's centre
mx, my = (xp.reshape(a, (64, 1, 1)) for a in xp.meshgrid(shift, shift))
dx, dy = pixel[None, None, :] - mx, pixel[None, :, None] - my


# %%
def covariance(sigma_a, sigma_b, degrees):
    """A, B, D of an ellipse whose axis of standard deviation sigma_a has this angle."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    cross = 0.0 if degrees % 90 == 0 else c * s * (sigma_a**2 - sigma_b**2)
    entries = (
        (c * sigma_a) ** 2 + (s * sigma_b) ** 2,
        cross,
        (s * sigma_a) ** 2 + (c * sigma_b) ** 2,
    )
    return tuple(map(xp.asarray, entries))


# %%
BALL = (0.1, 0.112, 45)
ELLIPSES = [(0.3, 0.3, 0), (0.5, 2, 0), (0.5, 2, 22.5), (0.5, 2, 45)]
ELLIPSES += [(0.3, 1, 45), (0.3, 2, 45), (0.2, 4, 45), BALL]
errors, masses, rows = {}, {}, []  # errors: (64, 33, 33) for each sampler; masses: (64,)
for ellipse in ELLIPSES:
    entries = covariance(*ellipse)
    exact, mass = exact_integral(dx, dy, *entries), 2 * np.pi * ellipse[0] * ellipse[1]
    sampled = {name: sample(dx, dy, *entries) for name, sample in SAMPLERS.items()}
    errors[ellipse] = {name: xp.abs(a - exact) for name, a in sampled.items()}
    masses[ellipse] = {name: xp.sum(a, axis=(1, 2)) / mass for name, a in sampled.items()}
    worst_error = [float(xp.max(e)) for e in errors[ellipse].values()]
    kept = [f"{float(xp.min(m)):.3f} to {float(xp.max(m)):.3f}" for m in masses[ellipse].values()]
    rows.append([str(ellipse), *worst_error, *kept[2:]])
columns = ["(σ₁, σ₂, degrees)", *SAMPLERS, "mass, Mip", "mass, analytic"]
caption = "Largest error of the intensity over 64 places, and the range of mass over right mass"
table(rows, columns, caption)

# %% tags=["hide-input"]
ellipse = (0.2, 4, 45)
exact = exact_integral(dx[:1], dy[:1], *covariance(*ellipse))[0]
peaks = {name: float(xp.max(errors[ellipse][name][0])) for name in SAMPLERS}
alt = f"""Five pictures of a thin ellipse at 45 degrees. The first is the exact intensity, a diagonal line.
The others are errors on one colour scale: those of the sample (at most {peaks["point"]:.2f}) and of 3DGS
({peaks["3DGS"]:.2f}) are bright along the line, those of Mip ({peaks["Mip"]:.3f}) and of the analytic
integral ({peaks["analytic"]:.3f}) faint; the latter is too dark on the line."""
caption = """A needle with $\\sigma=(0.2,4)$ pixels at 45° whose centre is a pixel's centre: the exact
intensity and the errors of four samplers (red: too much, up to 0.12 and more;
blue: too little)."""
crop = slice(6, 27)
with figure(1, 5, alt=alt, caption=caption, width=9.0, height=2.2) as axes:
    axes[0].imshow(to_host(exact)[crop, crop], cmap="gray_r", vmin=0, vmax=0.5)
    axes[0].set_title("exact", fontsize="small")
    for ax, (name, sample) in zip(axes[1:], SAMPLERS.items(), strict=True):
        error = to_host(sample(dx[:1], dy[:1], *covariance(*ellipse))[0] - exact)[crop, crop]
        ax.imshow(error, cmap="RdBu_r", vmin=-0.12, vmax=0.12)
        ax.set_title(f"{name}: {np.abs(error).max():.3f}", fontsize="small")
    for ax in axes:
        ax.axis("off")

# %% [markdown]
# The table has good news and bad. For ellipses that are upright or exactly round *on the screen* the
# approximate integral is what it promises, and no mass is lost. For needles at 45° it is not: the error is
# several times that of Mip, and the mass is wrong by some 9 % in a direction that depends on where in the
# pixel the needle lies. Worst is the tiny ball, though it is nearly round: at a tenth of a pixel its mass
# may all but vanish or come out half as large again, and as it moves across the screen it would flicker.
# (Mip's mass is not steady at this size either.) This is what
# {eq}`eq-analytic-poisson` predicts.

# %%
k = xp.arange(-9, 10, dtype=xp.float64)
kx, ky = xp.meshgrid(k, k)


def poisson_mass(A, B, D, mx, my):
    """The right-hand side of Poisson's formula, for means (mx, my) away from a pixel's centre."""
    _, _, c, s = eigenframe(A, B, D)
    damped = xp.exp(-2 * np.pi**2 * (A * kx**2 + 2 * B * kx * ky + D * ky**2))
    sinc = xp.sinc(c * kx + s * ky) * xp.sinc(c * ky - s * kx)
    phase = kx * mx[:, None, None] + ky * my[:, None, None]
    return xp.sum(damped * sinc * xp.cos(2 * np.pi * phase), axis=(1, 2))


flat_x, flat_y = mx[:, 0, 0], my[:, 0, 0]
predicted = {e: poisson_mass(*covariance(*e), flat_x, flat_y) for e in ELLIPSES}
poisson_error = max(float(xp.max(xp.abs(masses[e]["analytic"] - predicted[e]))) for e in ELLIPSES)
upright = [(0.05, 0.05, 0), (0.05, 0.05, 45), (0.3, 0.3, 45), (0.5, 2, 0), (0.5, 2, 90)]
lost = [
    xp.max(xp.abs(xp.sum(analytic(dx, dy, *covariance(*e)), axis=(1, 2)) - 2 * np.pi * e[0] * e[1]))
    for e in upright
]
exact_mass_error = float(max(lost))

# %% tags=["hide-input"]
on_edge = slice(32, 40)  # the eight places with m_y = 1/2
low, high = (float(f(masses[BALL]["analytic"][on_edge])) for f in (xp.min, xp.max))
alt = f"""The mass of a splat over its right value against its place along a pixel's edge, for four
ellipses. Upright it is one. The needle at 45 degrees swings a little around it, the tiny ellipse at
45 degrees between {low:.2f} and {high:.2f}. Dots, from summing pixels, lie on the lines of
Poisson's formula."""
caption = """How much of a Gaussian the turned pixels see, summed over all of them, while it moves along the
edge between two pixels, from the middle of one edge to the next. Lines: Poisson's formula. Dots: the sum."""
places = xp.linspace(0, 1, 101)
shown = dict(zip([ELLIPSES[k] for k in (1, 4, 6, 7)], PALETTE, strict=False))
with figure(alt=alt, caption=caption, width=5.5, height=2.8) as ax:
    for ellipse, colour in shown.items():
        line = poisson_mass(*covariance(*ellipse), places, xp.full(101, 0.5))
        label = f"σ = ({ellipse[0]:g}, {ellipse[1]:g}), {ellipse[2]:g}°"
        ax.plot(to_host(places), to_host(line), color=PALETTE[colour], label=label)
        dots = to_host(masses[ellipse]["analytic"][on_edge])
        ax.plot(to_host(shift), dots, "o", ms=4, color=PALETTE[colour])
    ax.set(
        xlabel="place of the centre along the edge (pixels)",
        ylabel="mass / right mass",
        ylim=(0, 2.3),
    )
    ax.legend(fontsize="small", ncols=2)

# %%
largest = {e: xp.max(errors[e]["analytic"], axis=(1, 2)) for e in ELLIPSES}  # at each place
upright_error, thick, needle = (largest[e] for e in ((0.5, 2, 0), (0.3, 1, 45), (0.2, 4, 45)))
mass = masses[0.2, 4, 45]["analytic"]
against_mip = max(float(xp.max(largest[e]) / xp.max(errors[e]["Mip"])) for e in ELLIPSES)
reason = "0.0027 at the pixel's centre, as the errors of S for σ = 0.5 and 2 imply"
first = {"at_most": 0.0025, "not_reproduced": reason}
CHECKS = [
    ("upright (0.5, 2): largest error", xp.max(upright_error), first),
    ("(0.3, 1) at 45°: largest error, worst place", xp.max(thick), {"at_most": 0.020}),
    ("(0.3, 1) at 45°: largest error, best place", xp.min(thick), {"at_least": 0.009}),
    ("(0.2, 4) at 45°: largest error", xp.max(needle), {"between": (0.03, 0.055)}),
    ("(0.2, 4) at 45°: mass at (0, 0)", mass[0], {"equals": 0.91, "within": 0.01}),
    ("(0.2, 4) at 45°: mass at (½, 0)", mass[4], {"equals": 1.09, "within": 0.01}),
    ("upright or round: largest error of the mass", exact_mass_error, {"at_most": 1e-9}),
    ("mass over right mass, against Poisson", poisson_error, {"at_most": 0.01}),
]
for letter, (statement, measured, threshold) in zip("abcdefgh", CHECKS, strict=True):
    of_all = {"measured": float(measured), "own": True} | threshold
    claims.check(f"C3.{letter}", f"E2: {statement}", **of_all)

# %%
claims.check(
    "C3.i",
    "E2: worst error over that of Mip, largest over the eight ellipses",
    measured=against_mip,
    at_most=1,
    not_reproduced="needles across the grid: the turned pixel misses what the upright one sees",
)
claims.check(
    "C3.j",
    "E2: upright (0.5, 2): largest error over the sum of the two errors of E1",
    measured=float(xp.max(upright_error)) / (worst[0.5]["analytic"] + worst[2.0]["analytic"]),
    at_most=1.001,
    own=True,
)
claims.check(
    "C3.k",
    "E2: a ball of 0.1 pixels in the corner of a picture: range of its mass over the right mass",
    measured=float(xp.max(masses[BALL]["analytic"]) - xp.min(masses[BALL]["analytic"])),
    at_least=1,
    own=True,
)
say(f"""Even at the best of the 64 places the needle's error is {float(xp.min(needle)):.3f}, and at the
worst {float(xp.max(needle)):.3f}, {against_mip:.1f} times that of Mip.""")


# %% [markdown]
# Poisson's formula explains every dot, and it names the culprit: not $S$, but the turning. Two
# conclusions follow for claim 3. For small Gaussians that lie along the pixel grid, or are round on the
# screen, it holds, by a wide margin. For needles, thinner than half a pixel in one direction only, that lie
# across the grid it does not: there the mass-keeping Gaussian of Mip-Splatting is nearer to the
# truth.
#
# ### Gradients
#
# Before we train with these formulas we compare the chapter's gradient and the library's with each other
# and with central differences, on a $9\times9$ image and under a random weighting $g$ of its pixels, for
# ellipses in all positions, with $B=0$ and $A>D$ or $A<D$ among them.

# %%
def library(m, o, entries, g):
    """The sum of g alpha by the library's alpha model, and its gradient by m, A, B, D and o."""
    model, opacity = Analytic(damping=0.0), xp.asarray([o])
    footprints = model.prepare(xp.stack(entries)[None, :], opacity, 0.0)
    pairs = enumerate_pairs(m[None, :], None, 9, 9)
    alpha = model.evaluate(footprints, pairs)
    by_m, by_S, by_o = model.finish(footprints, model.sums(footprints, pairs, alpha, g))
    return xp.concat([by_m[0, :], by_S[0, :], by_o])


# %%
rng, o, h = generator(0), 0.8, 1e-6
column, row = xp.meshgrid(xp.arange(9) + 0.5, xp.arange(9) + 0.5)
g = rng.normal(size=(9, 9))


def weighted(x):
    """Sum of g alpha for x = (m_x, m_y, A, B, D, o)."""
    return xp.sum(g * x[5] * analytic(column - x[0], row - x[1], *x[2:5]))


rows, numeric_error, library_error = [], [], []
for shape in [(2, 0.7, 25), (2, 0.7, 0), (2, 0.7, 90), (0.5, 0.3, -60), (0.12, 0.1, 10)]:
    x = xp.stack([xp.asarray(4.3), xp.asarray(3.8), *covariance(*shape), xp.asarray(o)])
    intensity, slopes = analytic_gradient(column - x[0], row - x[1], *x[2:5], damping=0.0)
    ours = xp.stack([*(o * xp.sum(g * slope) for slope in slopes), xp.sum(g * intensity)])
    steps = h * xp.eye(6)
    numeric = xp.stack([weighted(x + step) - weighted(x - step) for step in steps]) / (2 * h)
    numeric_error.append(float(xp.max(xp.abs(ours - numeric)) / xp.max(xp.abs(numeric))))
    other = library(x[:2], o, tuple(x[2:5]), xp.reshape(g, (-1,)))
    library_error.append(float(xp.max(xp.abs(ours - other)) / xp.max(xp.abs(ours))))
    rows.append([str(shape), numeric_error[-1], library_error[-1]])
columns = ["(σ₁, σ₂, degrees)", "to differences", "to the library"]
table(rows, columns, "Gradient by m, Σ′ and o: largest difference, relative to its largest entry")

# %% [markdown]
# The same check once more through the whole renderer, for all parameters of seven Gaussians in space:
# centres, logarithms of the scales, quaternions, opacities and colours. They are chosen so that none
# is nearly round on the screen, where even exact derivatives are large.

# %%
smooth = {"cutoff": 0.0, "stop": 0.0, "background": (1.0, 1.0, 1.0)}
small, large = RenderOptions(Analytic(damping=0.0), **smooth), RenderOptions(Analytic(), **smooth)
camera, rng = look_at((2.0, 1.0, 1.0), (0, 0, 0), width=12), generator(1)
p = {
    "means": 0.3 * rng.normal(size=(7, 3)),
    "log_scales": xp.log(xp.asarray([0.25, 0.12, 0.05])) + 0.1 * rng.normal(size=(7, 3)),
    "quaternions": rng.normal(size=(7, 4)),
    "opacity_logits": rng.normal(size=7),
    "colors": rng.uniform(size=(7, 3)),
}
A, B, D = project(*(p[k] for k in ("means", "log_scales", "quaternions")), camera).covariances.T
sigma1, sigma2, _, _ = eigenframe(A, B, D)
roundest = float(xp.min(1 - sigma2**2 / sigma1**2))
rendering, state = splatting.render_forward(p, camera, small)
g = rng.normal(size=rendering.image.shape)
gradients, _ = splatting.render_backward(state, g)
scene_error = {}
for name, value in p.items():
    numeric = []
    for step in xp.reshape(1e-6 * xp.eye(value.size), (-1, *value.shape)):
        up, down = (render(p | {name: value + s * step}, camera, small).image for s in (1, -1))
        numeric.append(xp.sum(g * (up - down)) / 2e-6)
    error = xp.max(xp.abs(xp.reshape(gradients[name], (-1,)) - xp.stack(numeric)))
    scene_error[name] = float(error / xp.max(xp.abs(xp.stack(numeric))))

# %% [markdown]
# Last, round Gaussians: exactly round ones, $A=D$ and $B=0$, alone and in the renderer, where every
# Gaussian stands on the camera's axis, must have finite gradients. Nearly round ones, with
# $\Delta/\lambda_1=10^{-9}$, need the damping. For a sample of a round Gaussian
# $\lvert\partial G/\partial B\rvert=\lvert d_xd_y\rvert G/\sigma^4$ is at most $1/(e\sigma^2)$, and an
# integral should not be more sensitive than that.

# %%
intensity, slopes = analytic_gradient(column - 4.3, row - 3.8, *covariance(0.7, 0.7, 0))
straight = look_at((0, 0, -3), (0, 0, 0), up=(0, 1, 0), width=12)
on_axis = p | {
    "means": p["means"] * xp.asarray([0.0, 0.0, 1.0]),
    "log_scales": xp.full((7, 3), np.log(0.1)),
    "quaternions": xp.asarray([[1.0, 0.0, 0.0, 0.0]] * 7),
}
rendering, state = splatting.render_forward(on_axis, straight, large)
round_gradients, _ = splatting.render_backward(state, xp.ones_like(rendering.image))
not_finite = sum(
    int(xp.count_nonzero(~xp.isfinite(a)))
    for a in (intensity, *slopes, rendering.image, *round_gradients.values())
)
nearly = covariance(0.7, 0.7 * (1 - 5e-10), 20)
by_B = []  # largest |dI / dB|, damped and not
for options in ({}, {"damping": 0.0}):
    _, slopes = analytic_gradient(column - 4.3, row - 3.8, *nearly, **options)
    by_B.append(float(xp.max(xp.abs(slopes[3]))))

# %%
claims.check(
    "C4.a",
    "gradient by m, Σ′ and o against central differences, largest relative error",
    measured=max(numeric_error),
    at_most=1e-5,
)
claims.check(
    "C4.b",
    "gradient by all parameters of a scene, through the renderer, likewise "
    f"(smallest (λ₁ − λ₂)/λ₁ {roundest:.2f})",
    measured=max(scene_error.values()),
    at_most=1e-5,
)

# %%
claims.check(
    "C4.c",
    "values and gradients of exactly round Gaussians that are not finite",
    measured=not_finite,
    equals=0,
    own=True,
)
claims.check(
    "C4.d",
    "this chapter's gradient against the library's, largest relative difference",
    measured=max(library_error),
    at_most=1e-10,
    own=True,
)
claims.check(
    "C4.e",
    "largest |∂I/∂B| of a nearly round Gaussian (σ = 0.7), over what a sample's can be",
    measured=by_B[0] * np.e * 0.7**2,
    at_most=1,
    own=True,
)
say(f"""Without the damping, $\\partial I/\\partial B$ of that nearly round Gaussian would reach
{by_B[1]:.1e}, with it {by_B[0]:.2f}.""")

# %% [markdown]
# ### Rendering: 300 Gaussians from farther and farther away
#
# Does this matter in a picture, where Gaussians lie in all directions? We take 300 random Gaussians,
# fitted to nothing, with centres normal in the unit ball, standard deviations of 0.009 to 0.066 along
# each axis (0.4 % to 3 % of the picture's width) and opacities of 0.3 to 0.95. The true image is a
# picture of $256\times256$ samples, in which each Gaussian is wide enough to be sampled, reduced by
# box means to 64, 32, 16 and 8 pixels. Against it stand the four samplers, and 3DGS with $4\times4$
# sub-pixels (dilated by 0.3 square sub-pixels, and averaged).

# %%
MODELS = {"point": Point(0.0), "3DGS": Point(0.3), "Mip": Mip(0.1), "analytic": Analytic()}


def draw(p, camera, model, factor=1):
    """The image on white; each pixel is the mean of factor x factor sub-pixels."""
    options = RenderOptions(model, background=(1.0, 1.0, 1.0))
    return downscale(render(p, camera.scaled(factor * camera.width), options).image, factor)


def random_cloud(n, rng):
    """n Gaussians with centres in the unit ball."""
    centres = 0.5 * rng.normal(size=(3 * n, 3))
    centres = centres[xp.linalg.vector_norm(centres, axis=1) < 1, :][:n, :]
    opacities = rng.uniform(0.3, 0.95, size=n)
    return {
        "means": centres,
        "log_scales": xp.log(xp.asarray(0.009)) + np.log(0.066 / 0.009) * rng.uniform(size=(n, 3)),
        "quaternions": rng.normal(size=(n, 4)),
        "opacity_logits": xp.log(opacities / (1 - opacities)),
        "colors": rng.uniform(size=(n, 3)),
    }


# %% [markdown]
# How well could *any* method do that asks each Gaussian for one number per pixel? The chapter's own
# exact integrals, blended front to back, tell.

# %%
def draw_exact(p, camera):
    """Blend the exact integrals over the pixels, front to back."""
    q = project(p["means"], p["log_scales"], p["quaternions"], camera)
    front = xp.argsort(q.depths)
    m, entries = q.points[front, :, None, None], q.covariances[front, :, None, None]
    centre = xp.arange(camera.width) + 0.5
    dx, dy = centre[None, None, :] - m[:, 0], centre[None, :, None] - m[:, 1]
    o = 1 / (1 + xp.exp(-p["opacity_logits"][front, None, None]))
    alpha = xp.clip(o * exact_integral(dx, dy, *(entries[:, i] for i in range(3))), None, 0.99)
    T = xp.cumulative_prod(1 - alpha, axis=0, include_initial=True)
    shares = xp.permute_dims(alpha * T[:-1, ...], (1, 2, 0))
    return xp.tensordot(shares, p["colors"][front, :], axes=1) + T[-1, ..., None]


# %%
SIZES, far = (64, 32, 16, 8), look_at((2.4, 1.2, 1.34), (0, 0, 0), width=64)
CLOUDS, scores, exact_scores, pictures = 40, {}, [], {}  # the pictures are of the first cloud
for seed in range(CLOUDS):
    cloud = random_cloud(300, generator(seed))
    fine = draw(cloud, far.scaled(256), MODELS["point"])
    for size in SIZES if seed < 3 else SIZES[-1:]:
        truth, camera = downscale(fine, 256 // size), far.scaled(size)
        images = {name: draw(cloud, camera, model) for name, model in MODELS.items()}
        images["3DGS, 4 × 4"] = draw(cloud, camera, MODELS["3DGS"], 4)
        scores.setdefault(size, []).append([psnr(image, truth) for image in images.values()])
        if seed == 0:
            pictures[size] = {"truth": truth} | images
    exact_scores.append(psnr(draw_exact(cloud, camera), truth))
scores = {size: dict(zip(images, np.transpose(of_size), strict=True))
          for size, of_size in scores.items()}  # fmt: skip
rows = [[name, *(scores[size][name].mean() for size in SIZES)] for name in images]
rows.append(["exact integrals", "–", "–", "–", np.mean(exact_scores)])
columns = ["sampler", *(f"{size} px" for size in SIZES)]
caption = f"PSNR (dB) of 300 random Gaussians at four sizes, means of 3 clouds (8 px: of {CLOUDS})"
table(rows, columns, caption)

# %% tags=["hide-input"]
shown = ("truth", *MODELS)
alt = """Pictures of a cloud of 300 coloured Gaussians on white at 64, 16 and 8 pixels, by row; the columns are
the truth and the four samplers. Point samples miss many Gaussians and show others too strongly, so that
the small pictures are speckled; in those of 3DGS every Gaussian is as wide as a pixel, and the cloud is a
solid block; those of Mip and of the analytic integral look like the truth."""
caption = """The same 300 Gaussians at 64, 16 and 8 pixels: box means of a fine picture (left) and the four
samplers, with their PSNR."""
with figure(3, 5, alt=alt, caption=caption, width=8.0, height=5.1) as axes:
    for line, size in zip(axes, (64, 16, 8), strict=True):
        for ax, name in zip(line, shown, strict=True):
            image = pictures[size][name]
            ax.imshow(np.clip(to_host(image), 0, 1), interpolation="nearest")
            score = psnr(image, pictures[size]["truth"]) if name != "truth" else None
            ax.set_title(
                f"{name}, {size} px" if score is None else f"{name}: {score:.1f} dB",
                fontsize="x-small",
            )
            ax.axis("off")

# %%
gain = {name: scores[8]["analytic"] - scores[8][name] for name in ("point", "3DGS", "Mip")}
error_of_mean = np.std(gain["Mip"], ddof=1) / np.sqrt(CLOUDS)
at_64 = np.min([scores[64]["analytic"] - scores[64][name] for name in gain])
CHECKS = [
    ("8 px above that of 3DGS, smallest of the clouds", gain["3DGS"].min(), 15, None),
    ("8 px above that of point, smallest of the clouds", gain["point"].min(), 10, None),
    ("8 px above that of Mip, mean of the clouds", gain["Mip"].mean(), 0.5, error_of_mean),
    ("64 px above the best other, smallest of three clouds", at_64, 0.5, None),
]
common = {"unit": "dB", "seeds": CLOUDS}
for letter, (statement, measured, least, spread) in zip("abcd", CHECKS, strict=True):
    statement = f"E3: PSNR of analytic at {statement}"
    options = {"measured": measured, "at_least": least, "spread": spread} | common
    claims.check(f"C5.{letter}", statement, **options)
claims.report_value(
    "C5.e",
    "E3: PSNR of analytic at 8 px above that of Mip, smallest of the clouds",
    measured=gain["Mip"].min(),
    **common,
)

# %% tags=["hide-input"]
over_mip = [(scores[size]["analytic"] - scores[size]["Mip"]).mean() for size in SIZES]
say(f"""On average over all directions the turned pixel wins at every size: at the smallest by
{gain["3DGS"].mean():.0f} dB against 3DGS and by {gain["point"].mean():.0f} dB against samples, and by
{min(over_mip):.1f} to {max(over_mip):.1f} dB against
Mip-Splatting. That last advantage is not safe in a single picture of 8 × 8 pixels: it scatters by
{np.std(gain["Mip"], ddof=1):.1f} dB from cloud to cloud. Exact integrals would add another
{np.mean(exact_scores) - scores[8]["analytic"].mean():.1f} dB there, which is the price of turning the pixel.""")

# %% [markdown]
# The dilation of 3DGS is not a small blemish: at 8 pixels each of the 300 Gaussians covers a whole pixel.
# And even exact integrals are not the truth. Blending treats what two Gaussians cover in a
# pixel as independent, whether they lie one behind the other or side by side. The true picture is the
# integral of the blend, not the blend of integrals. The next experiment will come back to this.
#
# ### Training at four scales
#
# The paper's main experiment trains on images at four scales at once. Ours does the same with the
# scene that the splatting chapters of this book share: a box and a chequered sphere on a photograph,
# and seven rods, about two thirds of a pixel wide at 64 pixels. Its true images come from a ray
# caster, not from Gaussians. Each camera sees 64 pixels, by $6\times6$ rays in each for training and
# $8\times8$ for testing, and the images at 32, 16 and 8 pixels are box means of that.

# %%
WIDTHS = scale(default=(64, 32, 16, 8), paper=(400, 200, 100, 50))
SCENES = scale(
    default={"blocks": splatting.blocks()},
    paper={"blocks": splatting.blocks(), "snowman": splatting.family("snowman", 0)},
)


def cameras_around():
    """Cameras to train and to test with, at the largest width."""
    if scale(default=True, paper=False):
        return splatting.orbit(WIDTHS[0])
    ring = splatting.fibonacci_hemisphere(150, target=(0, 0, -0.15), width=WIDTHS[0])
    return [c for i, c in enumerate(ring) if i % 3 != 2], ring[2::3]


def at_all_scales(cameras, seen):
    """The cameras and images of all widths, widest first."""
    small = [c.scaled(w) for w in WIDTHS for c in cameras]
    images = [downscale(v.image, WIDTHS[0] // w) for w in WIDTHS for v in seen]
    return small, [xp.astype(image, xp.float32) for image in images]


train_cameras, test_cameras = cameras_around()
seen = {name: splatting.views(scene, train_cameras, 6) for name, scene in SCENES.items()}
tests = {name: splatting.views(scene, test_cameras, 8) for name, scene in SCENES.items()}

# %% [markdown]
# A step draws a view and one of the four scales, and with probability 0.3 it takes the widest
# instead, as the authors' trainer does. All arms start from the same 400 points of the surface and
# see the same views in the same order, in single precision; the loss is that of 3DGS,
# $0.8\,L_1+0.2\,(1-\text{SSIM})$. *Multi* trains on all scales, *single* on the widest only. The
# number of Gaussians stays what it is (at paper scale the usual density control lets it grow). The
# learning rates are the library's, with larger ones for shape and colour, chosen on the seeds 100 to 109,
# since a run has 240 steps and not 30 000.

# %%
RATES = {"log_scales": 0.02, "quaternions": 0.002, "colors": 0.01}
RATES = scale(default=RATES, paper={"means": 1e-3})
N = scale(default=400, paper=20_000)
STEPS = scale(default={"multi": 240, "single": 160}, paper={"multi": 15_000, "single": 10_000})


def view_order(how, steps, rng):
    """Which of the images, of all scales and views, each step sees."""
    n = len(train_cameras)
    level = rng.host.integers(len(WIDTHS), size=steps)
    level[(rng.host.uniform(size=steps) < 0.3) | (how == "single")] = 0
    return [int(i) for i in level * n + rng.host.integers(n, size=steps)]


def subpixel_loss(factor):
    """The loss of an image with factor x factor sub-pixels in each pixel, and its gradient."""

    def loss(image, target):
        value, grad = splatting.photometric_loss(downscale(image, factor), target)
        return value, xp.repeat(xp.repeat(grad, factor, axis=0), factor, axis=1) / factor**2

    return loss


# %%
def train(scene, arm, how, seed):
    """Fit Gaussians; return them and the processor time of a step in milliseconds."""
    (model, factor), steps, rng = ARMS[arm], STEPS[how], generator(seed)
    points = splatting.surface_points(seen[scene], train_cameras, N, rng)
    p = splatting.initialise(*(xp.astype(a, xp.float32) for a in points))
    cameras, images = at_all_scales(train_cameras, seen[scene])
    order, extent = view_order(how, steps, rng), splatting.scene_extent(train_cameras)
    grow = splatting.DensityControl(steps, extent, rng, capacity=100_000)
    started = process_time()
    result = splatting.fit(
        p,
        [camera.scaled(factor * camera.width) for camera in cameras],
        images,
        iterations=steps,
        rng=rng,
        loss=subpixel_loss(factor),
        options=RenderOptions(model, background=(1.0, 1.0, 1.0)),
        rates=RATES,
        extent=extent,
        density=scale(default=None, paper=grow),
        order=order,
        description=f"{arm}, {how}, seed {seed}",
    )
    return result.parameters, 1000 * (process_time() - started) / steps


# %%
ARMS = {"3DGS": (Point(0.3), 1), "Mip": (Mip(0.1), 1), "analytic": (Analytic(), 1)}
ARMS |= scale(default={}, paper={"point": (Point(0.0), 1), "3DGS, 4 × 4": (Point(0.3), 4)})
SEEDS = range(scale(default=2, paper=1))
RUNS = [(arm, "multi", scene, seed) for arm in ARMS for scene in SCENES for seed in SEEDS]
RUNS += [(arm, "single", scene, 0) for arm in ("3DGS", "analytic") for scene in SCENES]
fitted, psnrs, times = {}, {}, {}
for arm, how, scene, seed in RUNS:
    p, milliseconds = train(scene, arm, how, seed)
    pairs = zip(*at_all_scales(test_cameras, tests[scene]), strict=True)
    values = [
        psnr(xp.clip(draw(p, camera, *ARMS[arm]), 0.0, 1.0), image) for camera, image in pairs
    ]
    psnrs.setdefault((arm, how), []).append(np.reshape(values, (len(WIDTHS), -1)).mean(axis=1))
    times.setdefault((arm, how), []).append(milliseconds)
    fitted.setdefault((arm, how), p)
rows = []
for (arm, how), values in psnrs.items():
    mean = np.mean(values, axis=0)
    rows.append([f"{arm}, {how}", *mean, mean.mean(), np.mean(times[arm, how])])
columns = ["arm", *(f"{w} px" for w in WIDTHS), "mean (dB)", "ms per step"]
table(rows, columns, "PSNR (dB) of the test views, and processor time of a training step")

# %% tags=["hide-input"]
paper = {
    ("3DGS", "multi"): (28.79, 30.66, 31.64, 27.98), ("3DGS", "single"): (33.57, 27.04, 21.43, 17.74),
    ("Mip", "multi"): (32.81, 34.49, 35.45, 35.50), ("Mip", "single"): (33.54, 34.09, 31.50, 27.80),
    ("analytic", "multi"): (33.22, 34.92, 35.98, 36.00),
    ("analytic", "single"): (33.78, 34.20, 31.16, 27.22),
}  # fmt: skip

# %% tags=["hide-input"]
ours = {key: np.mean(values, axis=0) for key, values in psnrs.items()}
alt = f"""PSNR against the scale of the test images. Left, ours: 3DGS trained at four scales falls to
{ours["3DGS", "multi"][3]:.0f} dB at an eighth, trained at one scale to {ours["3DGS", "single"][3]:.0f} dB;
Mip and analytic rise from {ours["analytic", "multi"][0]:.0f} to {ours["analytic", "multi"][3]:.0f} dB and lie
on top of each other. Right, published numbers: the same shape, with the analytic curve half a decibel
above Mip's where all scales were trained on, and slightly below it, at small scales, where only one was."""
caption = """Test PSNR at four scales, here (left) and on synthetic NeRF scenes (right). Dashed: trained at the
widest scale only; on the right from a re-run by others."""
arm_colours = {"3DGS": "purple", "Mip": "green", "analytic": "blue"}
with figure(1, 2, alt=alt, caption=caption, width=7.6, height=2.8) as axes:
    for (arm, how), value in ours.items():
        if arm in arm_colours:
            style = {"color": PALETTE[arm_colours[arm]], "ls": "-" if how == "multi" else "--"}
            axes[0].plot(range(4), value, "o", ms=4, label=f"{arm}, {how}", **style)
    for (arm, how), value in paper.items():
        style = {"color": PALETTE[arm_colours[arm]], "ls": "-" if how == "multi" else "--"}
        axes[1].plot(range(4), value, "o", ms=4, label=f"{arm}, {how}", **style)
    for ax in axes:
        ax.set_xticks(range(4), labels=["full", "1/2", "1/4", "1/8"])
        ax.set(xlabel="scale of the test images", ylabel="PSNR (dB)")
        ax.legend(fontsize="x-small")


# %% [markdown]
# The table and the left panel tell one half of the paper's story as the paper does. Against the
# dilation of 3DGS the integral wins at every scale, by most at the smallest. Training on all scales
# does not rescue 3DGS: no Gaussian can be thinner than 0.55 pixels at *any* scale, so that what fits
# one scale is wrong at the others. The other half we do not find: here the integral is no better than the
# mass-keeping Gaussian of Mip-Splatting, and the two lie within a few tenths of a decibel of each other. Nor
# does it lead everywhere elsewhere: where others trained on one scale of the NeRF scenes (dashed on the
# right), Mip-Splatting is ahead at a quarter and at an eighth, by 0.3 and 0.6 dB.
#
# Why does a better filter not show? We draw the Gaussians of both arms once more, with the filter they
# were trained with and by blending samples at four times the widest resolution *before* the box mean;
# those of the analytic arm at 8 pixels also with the exact integrals.

# %%
def two_ways(p, model):
    """PSNR at each width with the model, and blended first; and at 8 px with exact integrals."""
    p, values, exact = {k: xp.astype(v, xp.float64) for k, v in p.items()}, [], []
    for camera, view in zip(test_cameras[:8], tests["blocks"][:8], strict=True):
        fine = draw(p, camera.scaled(4 * WIDTHS[0]), MODELS["point"])
        for w in WIDTHS:
            truth = downscale(view.image, WIDTHS[0] // w)
            pair = draw(p, camera.scaled(w), model), downscale(fine, 4 * WIDTHS[0] // w)
            values.append([psnr(xp.clip(image, 0.0, 1.0), truth) for image in pair])
        truth, image = downscale(view.image, WIDTHS[0] // 8), draw_exact(p, camera.scaled(8))
        exact.append(psnr(xp.clip(image, 0.0, 1.0), truth))
    return np.mean(np.reshape(values, (8, len(WIDTHS), 2)), axis=0).T, np.mean(exact)


rows, ways = [], {}
for arm in ("Mip", "analytic"):
    (filtered, first), exact = ways[arm] = two_ways(fitted[arm, "multi"], ARMS[arm][0])
    rows += [[f"{arm} arm, its filter", *filtered], [f"{arm} arm, blended first", *first]]
rows.append(["analytic arm, exact integrals (8 px)", *["–"] * (len(WIDTHS) - 1), exact])
columns = ["Gaussians, and how the pixel is integrated", *(f"{w} px" for w in WIDTHS)]
table(rows, columns, "PSNR (dB) of eight test views, the same Gaussians drawn in several ways")

# %% [markdown]
# A surface is made of
# many small Gaussians side by side. If twenty of them cover a twentieth of a pixel each, they cover
# all of it; but blending, which knows only their $\alpha=0.05$, lets $0.95^{20}=36\,\%$ of the
# background through. No filter applied to one Gaussian at a time can mend that: at 8 pixels the exact
# integrals are hardly better than their approximation, and both arms are decibels short of what the same
# Gaussians give when they are blended first. At 32 and 64 pixels the order makes no difference; there the
# error is that of a short fit with few Gaussians. So at no scale is the
# filter the larger error, and we take this for the reason why the better one does not show.
#
# Now the pictures. One test view at all four scales, with the errors beside it:

# %% tags=["hide-input"]
shot, target = test_cameras[1], tests["blocks"][1].image
arms = ("3DGS", "Mip", "analytic")
views_of = {}  # (width, arm) to picture
for w in WIDTHS:
    views_of[w, "truth"] = to_host(downscale(target, WIDTHS[0] // w))
    for arm in arms:
        image = draw(fitted[arm, "multi"], shot.scaled(w), ARMS[arm][0])
        views_of[w, arm] = np.clip(to_host(image), 0, 1)
alt = """A box with a portrait, a red chequered sphere and a blue one on a picture of a cat, seen at 64, 32, 16 and
8 pixels, by row. Columns: truth; 3DGS, Mip and analytic trained at four scales; and their absolute errors.
Mip and analytic look like the truth at all sizes, somewhat blurred at 64 pixels. 3DGS gets darker and
wider from row to row; at 8 pixels its error is bright nearly everywhere, the others' are almost black."""
caption = """A test view at 64, 32, 16 and 8 pixels (rows): the truth, three arms trained at all four scales, and
their absolute errors (mean of the channels, black 0 to bright 0.4)."""
with figure(4, 7, alt=alt, caption=caption, width=9.4, height=5.8) as axes:
    for line, w in zip(axes, WIDTHS, strict=True):
        for ax, arm in zip(line[:4], ("truth", *arms), strict=True):
            ax.imshow(views_of[w, arm], interpolation="nearest")
        for ax, arm in zip(line[4:], arms, strict=True):
            error = np.abs(views_of[w, arm] - views_of[w, "truth"]).mean(axis=2)
            ax.imshow(error, cmap="magma", vmin=0, vmax=0.4, interpolation="nearest")
    for ax, title in zip(axes[0], ("truth", *arms, *(f"error, {a}" for a in arms)), strict=True):
        ax.set_title(title, fontsize="small")
    for ax in axes.flat:
        ax.axis("off")

# %% [markdown]
# Last, the scene in motion, 24 pixels wide, as from far away: a quarter of a turn in front of the
# rods. The two panels on the right show *the same Gaussians*, those that the analytic arm has
# learned; they differ only in what a pixel asks of them, a sample or an integral.

# %%
frames, seen_from_afar, middle = [], [], np.array([0.0, 0.0, -0.15])
gap = xp.full((24, 1, 3), 0.5)
for angle in progress(np.radians(np.linspace(225, 315, 24)), "turning"):
    direction = np.array([0.87 * np.cos(angle), 0.87 * np.sin(angle), 0.5])
    camera = look_at(middle + 3 * direction, middle, width=24)
    truth, learned = splatting.view(SCENES["blocks"], camera, 8).image, fitted["analytic", "multi"]
    drawn = [draw(fitted["3DGS", "single"], camera, MODELS["3DGS"])]
    drawn += [draw(learned, camera, MODELS[name]) for name in ("point", "analytic")]
    drawn = [xp.clip(xp.astype(image, xp.float64), 0.0, 1.0) for image in drawn]
    seen_from_afar.append([psnr(image, truth) for image in drawn])
    frames.append(xp.concat([truth, gap, drawn[0], gap, drawn[1], gap, drawn[2]], axis=1))
afar = np.mean(seen_from_afar, axis=0)
animation(
    xp.stack(frames),
    alt=f"""Four panels of the scene from afar while the camera turns: the truth; 3DGS trained at 64 pixels,
    swollen and dark ({afar[0]:.1f} dB); the Gaussians of the analytic arm sampled at pixel centres, with
    rods that flicker as black pixels ({afar[1]:.1f} dB); and the same Gaussians integrated, which look like
    the truth ({afar[2]:.1f} dB).""",
    caption=f"""A quarter of a turn, 24 pixels wide. From left to right: truth; 3DGS trained at 64 pixels
    ({afar[0]:.1f} dB); the Gaussians of the analytic arm, sampled at the pixels' centres ({afar[1]:.1f} dB);
    the same Gaussians, integrated ({afar[2]:.1f} dB).""",
    seconds=4.8,
    magnify=6,
)

# %% [markdown]
# In the third panel the thin rods come and go as single black pixels, and patches of the chequered
# sphere jump; in the fourth they are grey and change smoothly, as in the truth. Most of the learned
# Gaussians are wider than a pixel even from here, so that the samples of this scene lose decibels
# rather than tens of them.

# %%
multi = {arm: np.asarray(psnrs[arm, "multi"]) for arm in ("3DGS", "Mip", "analytic")}
runs = len(multi["analytic"])
over_3dgs, over_mip = (multi["analytic"] - multi[arm] for arm in ("3DGS", "Mip"))
common = {"unit": "dB", "seeds": runs}
claims.check(
    "C6.a",
    "E4, all scales: analytic above 3DGS, test images at an eighth",
    measured=over_3dgs[:, 3].mean(),
    at_least=2,
    paper="+8.02",
    **common,
)
claims.check(
    "C6.b",
    "E4, all scales: the same at full scale",
    measured=over_3dgs[:, 0].mean(),
    at_least=-0.3,
    paper="+4.43",
    **common,
)

# %%
claims.check(
    "C6.c",
    "E4, all scales: analytic above Mip, mean of the four scales, not far behind",
    measured=over_mip.mean(),
    at_least=-0.3,
    own=True,
    **common,
)
claims.check(
    "C6.d",
    "E4, all scales: the same, as large as in the paper",
    measured=over_mip.mean(),
    at_least=0.47,
    paper="+0.47",
    not_reproduced="blending at the smallest scale and the short fit at the widest hide the filter",
    **common,
)

# %%
(_, first), exact = ways["analytic"]
claims.check(
    "C6.e",
    "E4: Gaussians of the analytic arm at an eighth, blended first, above their exact integrals",
    measured=first[3] - exact,
    at_least=2,
    unit="dB",
    own=True,
)
single = {arm: psnrs[arm, "single"][0] for arm in ("3DGS", "analytic")}
claims.check(
    "C6.f",
    "E4, trained at full scale only: analytic above 3DGS, test images at an eighth",
    measured=single["analytic"][3] - single["3DGS"][3],
    at_least=2,
    unit="dB",
    paper="+9.48 (re-run by others)",
)

# %% [markdown]
# ## Verdict
#
# An integral instead of a sample computes aliasing away, and the approximation that makes it cheap is
# as good as the paper says where it applies. The gradients are right, Gaussians that are round or upright on
# the screen lose no mass at any size, and against the dilation of 3DGS the gain in training is there at every
# scale. Two findings
# temper this. Turning the pixel is not free: for Gaussians thinner than half a pixel and oblique to
# the grid the intensity depends on where in the pixel they lie, and Mip-Splatting's simpler filter is
# then nearer to the truth. And in our small scene the advantage of half a decibel over Mip-Splatting
# does not appear; what both have in common is the larger error there: at the smallest scale blending as
# if Gaussians covered a pixel independently, and at the widest a short fit.

# %% tags=["hide-input"]
gain_3dgs = over_3dgs.mean(axis=0)
say(f"""Against 3DGS training gains {gain_3dgs[3]:.1f} dB at an eighth of the scale, where the paper has 8.0,
and {gain_3dgs[0]:.1f} dB at the full one, where it has 4.4; against Mip-Splatting
{over_mip.mean():+.2f} dB in the mean of the scales, where it has +0.47.""")

# %% [markdown]
# C3.a asks a trifle too much. Along each axis the error is at most that of E1, and exact intensities
# are at most one, so that the error of the product is at most the sum of the two errors plus their
# product, which is what C3.j checks. For C5.c we average forty clouds, because the gain over Mip in one picture
# of 8 × 8 pixels scatters by more than a decibel.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The scenes of the paper, synthetic NeRF, Mip-NeRF 360, Tanks and Temples and Deep Blending, are not
# bundled with any library that this book uses; the library's `load_nerf_synthetic` and `load_colmap`
# read them from a reader's own disk. So their numbers stand untested, and with them
# super-resolution. LPIPS needs a network's weights and is not computed. The frame rate of a tuned
# viewer was not measured; in NumPy the table above tells how much longer a training step with the integral
# takes than one with Mip's filter, since evaluating pairs of a Gaussian and a pixel is most of the
# work here, which it is not on a graphics card. The 3D filter that Mip-Splatting has besides its
# screen filter was left out, and so were, at default scale, density control, super-sampled training and
# training of Mip's filter on one scale.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the last experiment runs on two scenes at 400, 200, 100 and 50 pixels,
# with 100 views to train and 50 to test, density control up to 100 000 Gaussians and 15 000 steps,
# and with two more arms: point samples, and 3DGS with $4\times4$ sub-pixels in each pixel. What to
# compare with the paper are the gaps between arms at each scale. This scale has not been run yet;
# when it has, the numbers will stand here with the device and the date.
