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
# # On Kinetic Optimal Probability Paths
#
# ```{paper-card}
# ```
#
# A generative model of the flow kind moves noise into data. At time 0 its particles are Gaussian, at
# time 1 they are pictures, and in between each particle is a blend, so much picture and so much
# noise. Which blend should there be at which time? Diffusion models, the trigonometric schedule and
# the plain straight line are three answers in use, mostly chosen by taste.
# {cite:t}`kinetic_optimal_paths` ask which of them moves the particles with the least
# *kinetic energy*, because a calm motion can be followed with few steps.
#
# Their surprise is that the data enter this question through one function of one variable only,
# however many pixels the pictures have. In this chapter we look at that function from a new side: it
# is the share of a velocity that a regression can explain, and once it is known, the best path is a
# straight line on a piece of paper that has been rolled up. That gives a closed form where the paper
# trains a small network.
#
# ## What the paper claims
#
# 1. On the paths $x_t=a_tx_1+m_tz$ from noise $z$ to data $x_1$ the kinetic energy of the motion
#    depends on the data only through one scalar function $\lambda(s)$, the *data separation*, of
#    $s=a/m$. The path of least energy, the *kinetic optimal* one (KO), solves an ordinary differential
#    equation: with one number $b$, its radius is $r_t=\sqrt{1-bt+bt^2}$, and its angle satisfies
#    $\dot\theta_t=\sqrt{(b-b^2/4)/\gamma(\theta_t)}\,/\,(1-bt+bt^2)$ (their Theorem 3.1).
#    {claims}`C1.a, C1.b, C1.c, C1.d`
# 2. $s^2/(1+s^2)\le\lambda(s)\le1$ for normalised data, and a standard Gaussian attains the lower
#    end; no other path of blends has less energy than KO. {claims}`C2.a, C2.b, C2.c, C2.d, C2.e`
# 3. For every normalised set of $n$ points in $d$ dimensions
#    $\int_0^\infty(1-\lambda)\,\mathrm ds\le3n/\sqrt d$ (their Theorem 4.1). So the straight path
#    $a=t$, $m=1-t$ (*Cond-OT*) becomes optimal when $n/\sqrt d\to0$; for ImageNet at 64 × 64 pixels the two
#    practically coincide. {claims}`C3.a, C3.b, C3.c`
# 4. In two dimensions, on a checkerboard, Cond-OT is not optimal. {claims}`C4.a, C4.b, C4.c`
# 5. There, sampling along the KO path in 2 to 16 Euler steps is better than along Cond-OT and the
#    trigonometric path. {claims}`C5.a, C5.b, C5.c, C5.d, C5.e, C5.f, C5.g`
# 6. In the paper's Table 1 the kinetic energies of trained networks are 2.30 for the DDPM path, 1.30
#    for the trigonometric one, 1.09 for Cond-OT and 1.08 for KO on CIFAR-10, and 2.22, 1.27, 1.08 and
#    1.07 on ImageNet-32. {claims}`C6`
#
# Not tested here: FID with 20 Euler steps on CIFAR-10 (38.5 for DDPM, 10.4 for the trigonometric path, 9.9
# for Cond-OT and 9.1 for KO), likelihoods, and the steps of an adaptive solver.
#
# These statements rest on the paper's abstract and on a detailed report by a third party that quotes
# its equations, its theorems, Table 1 and its figures. The paper's own text was not read, and no code
# of the authors was found. Everything below that concerns the shape of the optimal path was derived
# anew, and agrees with the quoted theorem.
#
# ## The idea
#
# **Blends.** Let $z\sim N(0,I)$ in $\mathbb R^d$ and let the data $x_1$ be *normalised*: mean zero
# and $E\lVert x_1\rVert^2=d$. A path is a pair of functions with $a_0=0$, $m_0=1$ at the noise and
# $a_1=1$, $m_1=0$ at the data. We write it in polar form, $a=r\sin\theta$ and $m=r\cos\theta$, so
# that the angle runs from 0 to $\pi/2$ and $\tan\theta=a/m=s$. With
#
# $$
# x_\theta=\sin\theta\,x_1+\cos\theta\,z,\qquad
# e_\theta=\frac{\mathrm dx_\theta}{\mathrm d\theta}=\cos\theta\,x_1-\sin\theta\,z
# $$ (eq-kop-circle)
#
# the blend is $x_t=r\,x_\theta$ and a particle that knows its end moves with the velocity
# $\dot x_t=\dot r\,x_\theta+r\dot\theta\,e_\theta$. Position $x_\theta$ and angular velocity
# $e_\theta$ both have mean square $d$, and they are uncorrelated:
# $E\langle x_\theta,e_\theta\rangle=
# \sin\theta\cos\theta\,(E\lVert x_1\rVert^2-E\lVert z\rVert^2)=0$.
# That is what the normalisation is for.
#
# **The velocity of the crowd.** A model cannot know where a particle will end. What it learns (*flow
# matching*) is the mean velocity of all particles that pass through one place,
#
# $$
# u_t(x)=E[\dot x_t\mid x_t=x]=\frac{\dot r}{r}\,x+r\dot\theta\,F_\theta(x/r),\qquad
# F_\theta(x)=E[e_\theta\mid x_\theta=x]=\frac{\hat x_1-\sin\theta\,x}{\cos\theta},
# $$ (eq-kop-velocity)
#
# with the *posterior mean* $\hat x_1=E[x_1\mid x_\theta=x]$, the best guess of the data given the
# blend. The last form follows from $\cos\theta\,e_\theta=x_1-\sin\theta\,x_\theta$.
#
# **One function.** How much of the angular velocity can be guessed from the position? Call its share
#
# $$
# \gamma(\theta)=\frac{E\lVert F_\theta\rVert^2}{E\lVert e_\theta\rVert^2}
# =1-\frac{E\lVert e_\theta-F_\theta(x_\theta)\rVert^2}{E\lVert e_\theta\rVert^2},
# $$ (eq-kop-gamma)
#
# which a statistician knows as the coefficient of determination, $R^2$, of the regression of
# $e_\theta$ (whose mean is zero) on $x_\theta$, by the best of all functions and not only the linear
# ones. It lies between 0 and 1. Since $x_\theta$ and $F_\theta(x_\theta)$ are uncorrelated as well,
# the mean square of {eq}`eq-kop-velocity` has no cross term, and the kinetic energy for each
# dimension is
#
# $$
# \mathcal E=\int_0^1\frac1d\,E\lVert u_t(x_t)\rVert^2\,\mathrm dt
# =\int_0^1\Bigl[\dot r^2+\gamma(\theta)\,r^2\dot\theta^2\Bigr]\mathrm dt .
# $$ (eq-kop-energy)
#
# Here is the paper's first claim: whatever the data are, only $\gamma$ is left of them. The paper's
# $\lambda(s)=\frac1dE\lVert E[x_1\mid x_1+z/s]\rVert^2$ is the same thing in other clothes. Since
# $e_\theta-F_\theta=(x_1-\hat x_1)/\cos\theta$,
#
# $$
# 1-\lambda(\tan\theta)=\cos^2\!\theta\,\bigl(1-\gamma(\theta)\bigr),
# \qquad\text{that is}\qquad\gamma=\lambda\,(1+s^2)-s^2 .
# $$ (eq-kop-lambda)
#
# That $R^2\ge0$ is the bound $\lambda\ge s^2/(1+s^2)$, and that $R^2\le1$ is $\lambda\le1$: the third
# claim. For standard Gaussian data $x_\theta$ and $e_\theta$ are independent, and $\gamma=0$.
#
# **A cone, unrolled.** For $\gamma=1$ the energy {eq}`eq-kop-energy` is that of a moving point with
# polar coordinates $(r,\theta)$ in the plane. For any other $\gamma$ we stretch the angle to
# $\varphi(\theta)=\int_0^\theta\sqrt{\gamma}\,\mathrm d\theta'$, and it reads
# $\int\dot r^2+r^2\dot\varphi^2$: again the energy of a point in the plane, in a sector with the
# smaller opening angle
#
# $$
# \Phi=\int_0^{\pi/2}\!\sqrt{\gamma(\theta)}\,\mathrm d\theta\ \le\ \frac\pi2 .
# $$ (eq-kop-opening)
#
# The path must lead from radius 1 at angle 0 to radius 1 at angle $\Phi$. Since $\Phi\le\pi/2$ the
# chord between these points lies within the sector, and the least energy is that of this chord,
# walked at constant speed:
#
# $$
# \bigl(X_t,Y_t\bigr)=\bigl(1-t+t\cos\Phi,\ t\sin\Phi\bigr),\quad
# r_t=\sqrt{X_t^2+Y_t^2},\quad\theta_t=\varphi^{-1}\bigl(\operatorname{atan2}(Y_t,X_t)\bigr),\quad
# \mathcal E_{\mathrm{KO}}=2-2\cos\Phi .
# $$ (eq-kop-chord)
#
# This is Theorem 3.1: $r_t^2=1-bt+bt^2$ with $b=2-2\cos\Phi$, and since
# $r^2\dot\varphi=X\dot Y-Y\dot X=\sin\Phi =\sqrt{b-b^2/4}$, its equation for $\dot\theta$ too. The
# number $b$ turns out to be the energy itself. (One quoted version of the energy lets $\gamma$
# multiply $\dot r^2$ as well. The derivation above shows that this is a misprint.)
#
# **The other paths.** Cond-OT, $a=t$ and $m=1-t$, has $\dot a^2+\dot m^2=2$ and $r^2\dot\theta=1$.
# The trigonometric path has $r=1$ and $\theta=\pi t/2$. Inserted in {eq}`eq-kop-energy`, both need
# one integral only:
#
# $$
# \mathcal E_{\text{Cond-OT}}=2-J,\qquad
# \mathcal E_{\text{trig}}=\frac\pi2\Bigl(\frac\pi2-J\Bigr),\qquad
# J=\int_0^{\pi/2}(1-\gamma)\,\mathrm d\theta=\int_0^\infty(1-\lambda)\,\mathrm ds .
# $$ (eq-kop-others)
#
# So the integral of the paper's fourth claim decides between them: Cond-OT beats the trigonometric
# path where $J<\frac{\pi^2/4-2}{\pi/2-1}=0.82$. And the two energies together say what $J$ is, a fact
# that we shall use on the paper's own table. The DDPM or VP path has $r=1$ too and
# $a=\exp\bigl(-\tfrac14(1-t)^2(\beta_1-\beta_0)-\tfrac12(1-t)\beta_0\bigr)$ with $\beta_0=0.1$,
# $\beta_1=20$.
#
# How much better KO can be follows from $J$ too. Since $\gamma\le\sqrt\gamma$, and by Cauchy and
# Schwarz,
#
# $$
# \frac\pi2-J\ \le\ \Phi\ \le\ \sqrt{\tfrac\pi2\bigl(\tfrac\pi2-J\bigr)}
# =\sqrt{\mathcal E_{\text{trig}}} .
# $$ (eq-kop-bracket)
#
# **A floor for all paths.** No motion from $N(0,I)$ to the data, along blends or not, has less energy
# than $W_2^2/d$, the squared Wasserstein distance between the two.
#
# ## The method in code

# %%
from itertools import pairwise

import numpy as np
from scipy.integrate import cumulative_trapezoid, quad
from scipy.interpolate import PchipInterpolator
from sklearn.decomposition import PCA

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.blocks import row_blocks
from gaussbook.claims import Claims
from gaussbook.logsumexp import normalise
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay, minimize_lbfgs
from gaussbook.plotting import PALETTE, figure, slider
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table
from gaussbook.transport import wasserstein

claims = Claims("kinetic_optimal_paths")
xp = backend()


# %% [markdown]
# **The share $\gamma$ from samples.** Draw data and noise, blend them at an angle, ask for the
# posterior mean and compare two sums of squares, {eq}`eq-kop-gamma`. The denominator could be
# replaced by its expectation, $d$ for each sample. We keep the sum over the same samples: for nearly
# Gaussian data numerator and denominator are almost equal, their noise is almost the same, and it
# cancels in the ratio. All angles share the same draws.

# %%
def squared_errors(sample, posterior_mean, theta, k, rng):
    """||e - F(x)||^2 and ||e||^2 of k blends at each angle: two arrays (angles, k)."""
    x1 = sample(k, rng)
    z = rng.standard_normal(x1.shape)
    errors = []
    for angle in progress(theta, "angles"):
        a, m = np.sin(angle), np.cos(angle)
        e = m * x1 - a * z
        left = (x1 - posterior_mean(a * x1 + m * z, a, m)) / m  # e - F
        errors.append(xp.stack([xp.vecdot(left, left), xp.vecdot(e, e)]))
    return np.swapaxes(to_host(xp.stack(errors)), 0, 1)


def share(errors):
    """gamma(theta), the R^2 of e given x."""
    left, total = np.sum(errors, axis=-1)
    return 1 - left / total


def angles(count, power=1):
    """Angles in (0, pi/2), crowded towards 0 if power > 1."""
    return np.pi / 2 * ((np.arange(count) + 0.5) / count) ** power


# %% [markdown]
# **Posterior means.** For equal balls $N(c_k,\tau^2I)$ the blend is a mixture with the variance
# $v=m^2+a^2\tau^2$, and with the responsibilities
# $w_k\propto\exp\bigl(-\lVert x-ac_k\rVert^2/2v\bigr)$
#
# $$
# \hat x_1=\sum_kw_k\Bigl(c_k+\frac{a\tau^2}{v}(x-ac_k)\Bigr)
# =\frac{m^2}{v}\sum_kw_kc_k+\frac{a\tau^2}{v}\,x .
# $$ (eq-kop-balls)
#
# With $\tau=0$ the balls are the points of a finite data set.

# %%
def balls(c, tau=0.0):
    """Sampler and posterior mean of equal balls N(c_k, tau^2 I)."""
    half_squares = xp.sum(c**2, axis=1) / 2

    def sample(k, rng):
        return c[rng.integers(c.shape[0], size=k), :] + tau * rng.standard_normal((k, c.shape[1]))

    def posterior_mean(x, a, m):
        v = m**2 + (a * tau) ** 2
        along, shrunk, parts = a / v * c.T, m**2 / v * c, []
        for rows in row_blocks(x.shape[0], c.shape[0], x, elements=2**17):
            part = x[rows, :]
            _, w = normalise(part @ along - a**2 / v * half_squares)
            parts.append(w @ shrunk + a * tau**2 / v * part if tau else w @ shrunk)
        return xp.concat(parts)

    return sample, posterior_mean


# %% [markdown]
# The checkerboard fills 8 of the 16 squares of $[-\sqrt3,\sqrt3]^2$ evenly, which is normalised.
# Given that $x_1$ lies in the square $(i,j)$, its coordinates are independent truncated normals
# around $x/a$. Let $\ell_i$ and $h_i$ be the edges of column $i$ as seen from $x$ in units of the
# noise, $(a\cdot\text{edge}-x)/m$. Then the column has the probability
# $P_i=\Phi_N(h_i)-\Phi_N(\ell_i)$ and the mean $\bigl(x+m\,[\phi_N(\ell_i)-\phi_N(h_i)]/P_i\bigr)/a$,
# where $\Phi_N$ and $\phi_N$ belong to the standard normal. A square weighs $P_iP_j$. Particles may
# stray far from the board, so all of it is done with logarithms, from the side on which the tails are
# small.

# %%
EDGES = to_device(np.sqrt(3) * np.linspace(-1, 1, 5))
WHITE = np.indices((4, 4)).sum(axis=0) % 2 == 0


def column_moments(x, a, m):
    """log P_i and mean of each of the four columns, for each coordinate: (n, 2, 4)."""
    z = (a * EDGES - x[:, :, None]) / m
    low, high = z[..., :-1], z[..., 1:]
    right = low + high > 0  # mirror these columns, so that the smaller tail is used
    log_high = ad.log_ndtr(xp.where(right, -low, high))
    log_low = ad.log_ndtr(xp.where(right, -high, low))
    log_P = log_high + xp.log(-xp.expm1(log_low - log_high))
    log_phi = -(z**2) / 2 - np.log(2 * np.pi) / 2
    tilt = xp.exp(log_phi[..., :-1] - log_P) - xp.exp(log_phi[..., 1:] - log_P)
    return log_P, (x[:, :, None] + m * tilt) / a


def checkerboard_mean(x, a, m):
    """E[x1 | x]: the means of the white squares, weighted by P_i P_j."""
    log_P, mean = column_moments(x, a, m)
    joint = xp.where(to_device(WHITE), log_P[:, 0, :, None] + log_P[:, 1, None, :], -xp.inf)
    w = xp.reshape(ad.softmax(xp.reshape(joint, (-1, 16))), (-1, 4, 4))
    weights = xp.stack([xp.sum(w, axis=2), xp.sum(w, axis=1)], axis=1)
    return xp.sum(weights * mean, axis=2)


def checkerboard(k, rng):
    """k points of the checkerboard."""
    corners = to_device(np.argwhere(WHITE))[rng.integers(8, size=k), :]
    return EDGES[0] + (EDGES[1] - EDGES[0]) * (corners + rng.uniform(size=(k, 2)))


# %% [markdown]
# **Paths.** A path is a function from $t$ to $(r,\theta,\dot r,\dot\theta)$. Three are formulas. The
# fourth follows {eq}`eq-kop-chord`: tabulate $\varphi$ on a fine grid, walk the chord, and look the
# angle up. Where $\gamma$ vanishes $\varphi$ is flat and its inverse steep, hence the floor of
# $10^{-8}$ under $\gamma$.

# %%
FINE = np.linspace(0, np.pi / 2, 20_001)


def cond_ot(t):
    """a = t, m = 1 - t."""
    r = np.hypot(t, 1 - t)
    return r, np.arctan2(t, 1 - t), (2 * t - 1) / r, 1 / r**2


def trigonometric(t):
    """r = 1, theta = pi t / 2."""
    return np.ones_like(t), np.pi / 2 * t, np.zeros_like(t), np.full_like(t, np.pi / 2)


def vp(t, beta0=0.1, beta1=20.0):
    """r = 1 and the a of DDPM."""
    a = np.exp(-((1 - t) ** 2) * (beta1 - beta0) / 4 - (1 - t) * beta0 / 2)
    a_dot = a * ((1 - t) * (beta1 - beta0) + beta0) / 2
    return np.ones_like(t), np.arcsin(a), np.zeros_like(t), a_dot / np.sqrt(1 - a**2)


def kinetic_optimal(gamma):
    """The straight chord in the unrolled sector."""
    floored = np.maximum(gamma(FINE), 1e-8)
    phi = cumulative_trapezoid(np.sqrt(floored), FINE, initial=0)
    dX, dY = np.cos(phi[-1]) - 1, np.sin(phi[-1])

    def path(t):
        X, Y = 1 + t * dX, t * dY
        r, theta = np.hypot(X, Y), np.interp(np.arctan2(Y, X), phi, FINE)
        theta_dot = dY / r**2 / np.sqrt(np.interp(theta, FINE, floored))
        return r, theta, (X * dX + Y * dY) / r, theta_dot

    return path


# %% [markdown]
# **Energies.** Estimates of $\gamma$ at single angles are joined by a monotone cubic (PCHIP), with
# $\gamma(0)=0$, since pure noise says nothing about the data. The last angle's value is kept up to
# $\pi/2$. The four energies are {eq}`eq-kop-chord` and {eq}`eq-kop-others`, and for the VP path the
# integral {eq}`eq-kop-energy`, which starts at $a\approx0.007$, as the path does, and stops at
# $t=1-10^{-3}$. At its end $\dot\theta^2\approx\beta_0/4(1-t)$: where $\gamma$ stays at 1, as for
# finite sets, each further factor of ten would add 0.06 to the energy, without end.

# %%
TIMES = np.linspace(0, 1 - 1e-3, 20_001)


def curve(theta, values):
    """gamma as a function of the angle."""
    ends = np.concatenate([[0], theta, [np.pi / 2]]), np.concatenate([[0], values, values[-1:]])
    return PchipInterpolator(*ends)


def energy(path, gamma, t=TIMES):
    """The integral of r'^2 + gamma r^2 theta'^2 over the times t."""
    r, theta, r_dot, theta_dot = path(t)
    return np.trapezoid(r_dot**2 + np.maximum(gamma(theta), 0) * (r * theta_dot) ** 2, t)


def energies(gamma):
    """Kinetic energies of the KO, Cond-OT, trigonometric and VP paths."""
    values = np.maximum(gamma(FINE), 0)  # noise may take an estimate below 0
    opening, J = np.trapezoid(np.sqrt(values), FINE), np.trapezoid(1 - values, FINE)
    ko, trig = 2 - 2 * np.cos(opening), np.pi / 2 * (np.pi / 2 - J)
    return np.asarray([ko, 2 - J, trig, energy(vp, gamma)])


# %% [markdown]
# ## Experiments
#
# ### Laws with a formula
#
# For three laws $\gamma$ is known. For $N(0,\operatorname{diag}\nu)$ the posterior mean is linear in
# each coordinate, and $1-\lambda=\frac1d\sum_j\nu_j/(1+\nu_js^2)$. For independent coordinates $\pm1$
# it is $\tanh(s^2y)$ for each coordinate of $y=x_1+z/s$, and
# $1-\lambda=E\operatorname{sech}^2(s^2+sz)$. A single point has $\lambda=1$ throughout; it is not
# normalised (its mean is not zero), but it is where many points in very many dimensions end up.
#
# The Gaussian integrals can be carried on by hand. With
# $\int_0^\infty\frac{\nu}{1+\nu s^2}\mathrm ds=\frac\pi2\sqrt\nu$ and $q=\frac1d\sum_j\sqrt{\nu_j}$,
# {eq}`eq-kop-others` gives $J=\frac\pi2q$. For two dimensions with $\nu_1+\nu_2=2$ we also find
# $\cos\Phi=q$ without integrating: the Wasserstein geodesic from $N(0,I)$ has the standard deviations
# $(1-t)+t\sqrt{\nu_j}$, and their two squares can be written as $a^2\nu_j+m^2$ (two linear equations,
# whose solutions $a^2$ and $m^2$ are positive). So here the geodesic *is* a path of blends, and the
# KO energy must be the floor $W_2^2/d=\frac1d\sum_j(1-\sqrt{\nu_j})^2=2-2q$. For $\pm1$ we compare
# with nested adaptive quadrature, and with $\gamma$ from samples.

# %%
def gaussian_gamma(*nu):
    """gamma of N(0, diag(nu)), the mean of nu being one."""

    def gamma(theta):
        a2, m2 = np.sin(theta) ** 2, np.cos(theta) ** 2
        return 1 - np.mean([v / (m2 + v * a2) for v in nu], axis=0)

    return gamma


def sign_gamma(theta):
    """gamma of independent signs: 1 - (1 + s^2) E sech^2(s^2 + s z)."""
    z = np.linspace(-9, 9, 2001)
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    s = np.tan(np.minimum(theta, 1.5))[:, None]  # sech^2 has vanished long before 1.5
    mmse = np.trapezoid(weight / np.cosh(np.minimum(s**2 + s * z, 300)) ** 2, z, axis=1)
    return 1 - (1 + s[:, 0] ** 2) * mmse


NU = (1.9, 0.1)
grid = angles(200)
known = {
    "N(0, I)": curve(grid, gaussian_gamma(1.0, 1.0)(grid)),
    "N(0, diag(1.9, 0.1))": curve(grid, gaussian_gamma(*NU)(grid)),
    "independent ±1": curve(grid, sign_gamma(grid)),
    "one point": lambda theta: np.ones_like(theta),
}


# %%
def sign_reference():
    """The energies of independent signs by nested adaptive quadrature."""

    def mmse(s):
        def integrand(z):
            return np.exp(-z * z / 2) / np.cosh(min(abs(s * s + s * z), 300)) ** 2

        return quad(integrand, -9, 9, points=[max(-s, -9)])[0] / np.sqrt(2 * np.pi)

    def root(s):
        return np.sqrt(max(1 - (1 + s * s) * mmse(s), 0)) / (1 + s * s)

    J = quad(mmse, 0, 14, epsabs=1e-8)[0]
    opening = quad(root, 0, 14, epsabs=1e-7)[0] + np.pi / 2 - np.arctan(14)
    return 2 - 2 * np.cos(opening), 2 - J, np.pi / 2 * (np.pi / 2 - J)


q, half_pi = np.mean(np.sqrt(NU)), np.pi / 2
reference = {
    "N(0, I)": (0.0, 2 - half_pi, 0.0),
    "N(0, diag(1.9, 0.1))": (2 - 2 * q, 2 - half_pi * q, half_pi**2 * (1 - q)),
    "independent ±1": sign_reference(),
    "one point": (2.0, 2.0, half_pi**2),
}
results = {name: energies(gamma) for name, gamma in known.items()}
rows = [
    [name, *(x for pair in zip(results[name][:3], reference[name], strict=True) for x in pair)]
    for name in known
]
columns = ["law", "KO", "exact", "Cond-OT", "exact", "trigonometric", "exact"]
table(rows, columns, "Kinetic energy for each dimension where γ is a formula")


# %%
def signs(k, rng):
    """k points of 64 independent signs."""
    return 2.0 * rng.integers(2, size=(k, 64)) - 1


def sign_mean(x, a, m):
    """E[x1 | x] = tanh(a x / m^2)."""
    return xp.tanh(a * x / m**2)


sampled = share(squared_errors(signs, sign_mean, angles(60), 1000, generator(0)))

# %%
claims.check(
    "C1.a",
    "E1: energies of three laws (KO, Cond-OT, trigonometric), largest difference from exact values",
    measured=max(np.max(np.abs(results[n][:3] - reference[n])) for n in list(known)[:3]),
    at_most=1e-3,
)
claims.check(
    "C1.b",
    "E1: the same for ±1 with γ from 1000 samples in 64 dimensions",
    measured=np.max(
        np.abs(energies(curve(angles(60), sampled))[:3] - reference["independent ±1"])
    ),
    at_most=1e-2,
    own=True,
)


# %% [markdown]
# The Gaussian with two unlike axes already tells the whole story. The straight path costs more than
# twice the optimal one, because between a round and a flat Gaussian there is little to do and Cond-OT
# shrinks the cloud half way and blows it up again.
#
# ### Data
#
# Now the curves for laws without a formula: the checkerboard and a ring of eight small balls in the
# plane, as populations, the 1797 handwritten digits of scikit-learn with all 64 pixels and with 16
# principal components, and 3000 patches of 8 × 8 pixels of a photograph. The last three are finite
# sets of points, each only shifted by its mean and divided by one number.

# %%
def normalised(x):
    """Mean zero and mean squared norm d."""
    x = x - np.mean(x, axis=0)
    return x / np.sqrt(np.mean(x**2))


# %%
circle = np.arange(8) * np.pi / 4
radius = np.sqrt(2 / 1.02)  # with balls of a tenth of it, the mean squared norm is 2
ring = radius * np.stack([np.cos(circle), np.sin(circle)], axis=1)
digits = data.table("digits").data
sets = {
    "digits, d = 64": digits,
    "digits, d = 16": PCA(16, random_state=0).fit_transform(digits),
    "patches, d = 64": data.patches("camera", 8, 3000),
}
colour = ["astronaut", "chelsea", "coffee", "rocket", "china", "flower"]
for side in scale(default=(), paper=(8, 16, 32)):
    cut = [data.patches(name, side, 8334) for name in colour]
    sets[f"patches, d = {3 * side**2}"] = np.concatenate(cut)
sets = {name: to_device(normalised(x)) for name, x in sets.items()}
laws = {
    "checkerboard": (checkerboard, checkerboard_mean),
    "ring": balls(to_device(ring), 0.1 * radius),
} | {name: balls(x) for name, x in sets.items()}


# %% [markdown]
# For the checkerboard, which all that follows turns on, noise would do harm: its covariance is that of the
# noise, so that $\gamma$ starts even flatter than $\theta^2$, and samples show nothing there but their own
# scatter. In the plane we can integrate instead. Columns and rows enter the density of $x_\theta$ as
# $p\propto\sum_{(i,j)}P_i(x)P_j(y)$, a product of three matrices on a grid, and so does
# $p\,\hat x_1$. The grid is finer within a few $m$ of the edges.

# %%
def checkerboard_gamma(theta):
    """gamma = E F_x^2 of the checkerboard by the trapezoidal rule over the plane."""
    W, edges, values = to_device(1.0 * WHITE), to_host(EDGES), []
    for a, m in zip(np.sin(theta), np.cos(theta), strict=True):
        wide = (edges[-1] * a + 7 * m) * np.linspace(-1, 1, 121)
        x = np.unique([*wide, *(a * edges[:, None] + m * np.linspace(-7, 7, 61)).flat])
        x, weight = to_device(x), to_device(np.gradient(x))
        log_P, mean = (moment[:, 0, :] for moment in column_moments(x[:, None], a, m))
        P = xp.exp(log_P)
        p = xp.clip(P @ W @ P.T, 1e-300, None)
        F = ((P * mean) @ W @ P.T / p - a * x[:, None]) / m
        values.append(float(weight @ (p * F**2) @ weight / (weight @ p @ weight)))
    return np.asarray(values)


# %%
errors, gammas = {}, dict(known)
gammas["checkerboard"] = curve(angles(120), checkerboard_gamma(angles(120)))
for name, law in list(laws.items())[1:]:
    count, k = (120, 20_000) if name == "ring" else (60, scale(default=1000, paper=10_000))
    errors[name] = squared_errors(*law, angles(count), k, generator(0))
    gammas[name] = curve(angles(count), share(errors[name]))
results = {name: energies(gamma) for name, gamma in gammas.items()}


# %% [markdown]
# Two columns put the energies in perspective. The error is the standard deviation of the KO energy
# over 50 bootstrap samples of the draws: a root of a noisy $\gamma$ is biased, and where the errors
# are small the bias is too. The floor $W_2^2/d$ is exact for
# the first four laws. For the planar ones it is the mean over two exact plans between 1000 points of
# each side. By Jensen's inequality such a value is too large in expectation, so that the test below
# is if anything the stricter for it. For the others it is Gelbrich's
# bound from the eigenvalues $\nu_j$ of the covariance, $W_2^2/d\ge\frac1d\sum_j(1-\sqrt{\nu_j})^2$.

# %%
def bootstrap_error(name, samples=50):
    """Standard deviation of the KO energy over redrawn blends."""
    count, k = errors[name].shape[1:]
    times = generator(0).host.multinomial(k, np.full(k, 1 / k), size=samples).T
    left, total = errors[name] @ times
    values = (1 - left / total).T
    return np.std([energies(curve(angles(count), v))[0] for v in values])


def floor(name):
    """W2^2 / d between N(0, I) and the law, or a lower bound of it."""
    if name in ("checkerboard", "ring"):
        rng, sample = generator(1), laws[name][0]
        draws = [(rng.standard_normal((1000, 2)), sample(1000, rng)) for _ in range(2)]
        return np.mean([wasserstein(z, x1) ** 2 / 2 for z, x1 in draws])
    if name in sets:
        nu = np.linalg.eigvalsh(np.cov(to_host(sets[name]).T, bias=True))
        return np.mean((1 - np.sqrt(np.maximum(nu, 0))) ** 2)
    exact = {"N(0, I)": 0.0, "N(0, diag(1.9, 0.1))": 2 - 2 * q, "one point": 2.0}
    return exact.get(name, 2 - 2 * np.sqrt(2 / np.pi))  # signs: E (|z| - 1)^2


# %%
floors = {name: floor(name) for name in gammas}
rows = [
    [name, *results[name], bootstrap_error(name) if name in errors else "–", floors[name]]
    for name in gammas
]
columns = ["law", "KO", "Cond-OT", "trigonometric", "VP", "error of KO", "floor W₂²/d"]
caption = "Kinetic energy for each dimension along four paths, and the floor for all motions"
table(rows, columns, caption)

# %% tags=["hide-input"]
alt = """Three panels of curves for eight laws. Left: lambda rises from 0 to 1 with the angle; the
standard Gaussian is lowest, digits and patches reach 1 early. Middle: gamma is 0 for the Gaussian,
a hump for the flat Gaussian, the checkerboard and the ring, and climbs to 1 for signs, digits and
patches. Right: optimal paths in the plane of a and m, between the straight diagonal, to which
patches come nearest, and the quarter circle, which the checkerboard hardly leaves."""
caption = r"""Left, the data separation $\lambda$ (the paper's figure 1); middle, the share $\gamma$
of the angular velocity that the position explains; right, the kinetic optimal paths from noise (top
left) to data (bottom right), with Cond-OT (dashed) and the quarter circle of the trigonometric and
VP paths (dotted)."""
shown = ["N(0, I)", "N(0, diag(1.9, 0.1))", "checkerboard", "ring", "independent ±1"]
with figure(1, 3, alt=alt, caption=caption, width=10.0, height=3.9) as axes:
    t = np.linspace(0, 1, 400)
    for k, name in enumerate([*shown, *list(sets)[:3]]):
        style = {"color": [*PALETTE.values(), "0.6"][k], "label": name}
        gamma = gammas[name](FINE)
        axes[0].plot(FINE, 1 - (1 - gamma) * np.cos(FINE) ** 2, **style)
        axes[1].plot(FINE, gamma, **style)
        r, theta, *_ = kinetic_optimal(gammas[name])(t)
        axes[2].plot(r * np.sin(theta), r * np.cos(theta), **style)
    axes[0].set(xlabel=r"angle $\theta$ (rad)", ylabel=r"$\lambda(\tan\theta)$")
    axes[1].set(xlabel=r"angle $\theta$ (rad)", ylabel=r"$\gamma(\theta)$")
    axes[2].plot(t, 1 - t, color="0.3", ls="--", lw=1)
    axes[2].plot(np.sin(half_pi * t), np.cos(half_pi * t), color="0.3", ls=":", lw=1)
    axes[2].set(xlabel="$a$ (share of data)", ylabel="$m$ (share of noise)", aspect="equal")
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %% [markdown]
# A point of a finite set is recognised with certainty once the noise is smaller than the distance to
# its neighbours, and $\gamma$ goes to 1. A law with a density is never resolved: the posterior
# becomes a Gaussian of the noise's own size, $1-\lambda\approx1/s^2$, and $\gamma$ falls back to 0 at
# the end. The digits are 1797 points here, and their energies are those of the points, not of
# handwriting as such.

# %% tags=["hide-input"]
opening = np.arccos(1 - results["checkerboard"][0] / 2)
_, theta, *_ = kinetic_optimal(gammas["checkerboard"])(np.asarray([0.1]))
say(f"""The path of the checkerboard hardly leaves the quarter circle, since the chord of so small an angle
is nowhere more than {1 - np.cos(opening / 2):.1%} away from its arc. What sets it apart from the
trigonometric path is the pace. As long as the cloud looks Gaussian, $\\gamma$ is almost 0 and turning costs
nothing, so that {theta[0] / half_pi:.0%} of the way from noise to data are covered in the first tenth of the
time.""")

# %% [markdown]
# In the unrolled sector we can see why the energies differ. Each path is a curve from one end of the
# sector to the other, and the energy of the KO path is the squared length of the chord. All others
# have longer curves or an uneven pace.

# %% tags=["hide-input"]
alt = """Three sectors with growing opening angle: the checkerboard's is narrow, that of independent
signs wider, that of digits the widest. In each the optimal path is the straight chord. Cond-OT
leaves the chord towards the centre, more so in narrow sectors; the trigonometric and VP paths run
along the arc."""
caption = r"""Paths in the unrolled sector with polar coordinates $(r,\varphi)$. Dots mark
twentieths of the time. The KO path is the chord at constant speed. The wider the sector, the closer
Cond-OT comes to it."""
sectors = ("checkerboard", "independent ±1", "digits, d = 64")
with figure(1, 3, alt=alt, caption=caption, width=9.5, height=3.6, sharey=True) as axes:
    for ax, name in zip(axes, sectors, strict=True):
        phi = cumulative_trapezoid(np.sqrt(np.maximum(gammas[name](FINE), 1e-8)), FINE, initial=0)
        paths = {"KO": kinetic_optimal(gammas[name]), "Cond-OT": cond_ot}
        paths |= {"trigonometric": trigonometric, "VP": vp}
        for label, path in paths.items():
            r, theta, *_ = path(TIMES[::50])
            angle = np.interp(theta, FINE, phi)
            style = {"ms": 3, "markevery": 20, "lw": 1.2, "label": label}
            ax.plot(r * np.cos(angle), r * np.sin(angle), "o-", **style)
        ax.plot([np.cos(phi[-1]), 0, 1], [np.sin(phi[-1]), 0, 0], color="0.6", lw=0.8)
        title = f"{name}, Φ = {np.degrees(phi[-1]):.0f}°"
        ax.set(title=title, xlabel=r"$r\cos\varphi$", aspect="equal")
    axes[0].set_ylabel(r"$r\sin\varphi$")
    axes[0].legend(loc="upper left")

# %%
excess, ceiling, dearer, above_floor, off = [], [], [], [], []
for name, gamma in gammas.items():
    theta, (ko, *others) = angles(120), results[name]
    excess.append(np.min(gamma(theta) * np.cos(theta) ** 2))  # lambda - s^2 / (1 + s^2)
    ceiling.append(np.max(1 - (1 - gamma(theta)) * np.cos(theta) ** 2) - 1)
    moved = energy(kinetic_optimal(gamma), gamma)
    dearer.append(moved - 1.01 * min(others))
    off.append(abs(moved - ko))
    above_floor += [ko / floors[name]] if floors[name] else []

# %%
for id, statement, measured, threshold in (
    ("C2.a", "λ minus s²/(1+s²), smallest", min(excess), {"at_least": -0.01}),
    ("C2.b", "λ minus 1, largest", max(ceiling), {"at_most": 1e-9}),
    ("C2.c", "∫ along KO minus 1.01 of the cheapest other, largest", max(dearer), {"at_most": 1e-6}),
    ("C2.d", "KO over the floor for all motions, smallest", min(above_floor), {"at_least": 0.97}),
    ("C2.e", "∫ along KO against 2 − 2 cos Φ, largest", max(off), {"at_most": 0.01, "own": True}),
):
    claims.check(id, f"E1, all laws: {statement}", measured=measured, **threshold)
ratio = results["checkerboard"][1] / results["checkerboard"][0]
claims.check(
    "C4.a",
    "E1: Cond-OT over KO energy, checkerboard",
    measured=ratio,
    at_least=3,
    paper="not optimal (figure)",
)


# %% [markdown]
# An $R^2$ computed from samples as in {eq}`eq-kop-gamma` never exceeds 1, so C2.b can only fail for the
# checkerboard.
#
# **What Table 1 says about CIFAR-10.** The paper's energies are not those defined here: its Cond-OT
# row is 1.09, while ours lies between 1.5 and 2 for data of many dimensions, and how they are scaled
# we do not know. Ratios need no scale; we must suppose, however, that the networks come close to the
# exact velocity and that the data were normalised as here, for otherwise the chord would end at
# another radius. By {eq}`eq-kop-others` the ratio of the trigonometric energy to that of Cond-OT is a
# function of $J$ alone, at most $\pi^2/8=1.234$, and can be solved for $J$. With $J$ the bracket
# {eq}`eq-kop-bracket` says between which numbers the ratio of KO to Cond-OT must lie.

# %%
def integral_from_ratio(ratio):
    """Solve pi/2 (pi/2 - J) = ratio (2 - J) for J."""
    return (half_pi**2 - 2 * ratio) / (half_pi - ratio)


def bracket(J):
    """Least and largest ratio of KO to Cond-OT energy that J allows."""
    openings = np.asarray([half_pi - J, np.sqrt(half_pi * (half_pi - J))])
    return (2 - 2 * np.cos(openings)) / (2 - J)


# %%
rows = []
for name, trig, ot, vp_energy, ko in [
    ("CIFAR-10 (Table 1)", 1.30, 1.09, 2.30, 1.08),
    ("ImageNet-32 (Table 1)", 1.27, 1.08, 2.22, 1.07),
    *((name, *results[name][[2, 1, 3, 0]]) for name in (*sets, "one point")),
]:
    J = integral_from_ratio(trig / ot)
    rows.append([name, trig / ot, J, *bracket(J), ko / ot, vp_energy / ot])
columns = ["data", "trigonometric / Cond-OT", "J", "KO / Cond-OT, least", "largest", "actual"]
columns += ["VP / Cond-OT"]
table(rows, columns, "Ratios of energies: trained networks of the paper, and exact velocities here")
digits_ratio = results["digits, d = 64"][2] / results["digits, d = 64"][1]
claims.report_value(
    "C6",
    "E1: trigonometric over Cond-OT energy on the digits (at most π²/8 = 1.234 for any data)",
    measured=digits_ratio,
    paper="1.19 (CIFAR-10)",
)


# %% [markdown]
# The paper's networks were trained on pictures of 3072 numbers, so small a $J$ as 0.2 to 0.3 is no
# surprise; with two decimals in the table it is known to about 0.05. The paper's KO rows are
# consistent: 0.991 lies within both brackets, near the upper end, where $\gamma$ is constant and
# there is little for an optimal path to gain. It is a weak test. The two decimals leave that ratio
# uncertain by 0.01, which is more than its distance from the upper end. The ratio of the
# trigonometric energy to that of Cond-OT is nearly the same for our patches of a photograph as for
# CIFAR-10. For digits it is lower, presumably because 1797 points on their few strokes look more like
# a flat Gaussian; with 16 components Cond-OT and the trigonometric path all but break even.
#
# ### Many dimensions
#
# Theorem 4.1 bounds $J$ by $3n/\sqrt d$ for any $n$ points. We take clouds of normal points,
# normalise them, and follow $J$ from 16 to 4096 dimensions. All that matters happens at small angles
# now, where the grid is crowded.

# %%
def cloud(n, d, seed=0):
    """gamma of n normalised Gaussian points in d dimensions."""
    rng = generator(seed)
    theta = angles(60, power=3)
    law = balls(to_device(normalised(rng.host.standard_normal((n, d)))))
    return curve(theta, share(squared_errors(*law, theta, scale(default=300, paper=2000), rng)))


sizes = [(64, 16), (64, 64), (64, 256), (64, 1024), (64, 4096), (8, 256), (256, 256), (8, 4096)]
rows = []
for n, d in sizes:
    ko, ot, *_ = energies(cloud(n, d))
    rows.append([f"{n} points, d = {d}", 2 - ot, 3 * n / np.sqrt(d), ot, ko, ko / ot])
columns = ["cloud", "J", "bound 3n/√d", "Cond-OT", "KO", "KO / Cond-OT"]
table(rows, columns, "Clouds of normal points: the integral J, its bound, and the energies")

# %% tags=["hide-input"]
J, bound, ot, ko = np.asarray([row[1:5] for row in rows]).T
dimension = np.asarray([d for _, d in sizes[:5]])
slope = np.polyfit(np.log(dimension), np.log(J[:5]), 1)[0]
alt = f"""Left: on logarithmic axes J falls along a straight line of slope {slope:.2f} from
{J[0]:.1f} at 16 dimensions to {J[4]:.2f} at 4096; the bound is a parallel line far above it. Right:
the energies of Cond-OT and KO both rise towards 2 and approach each other."""
caption = r"""Sixty-four normal points. Left, the integral $J$ and the bound of Theorem 4.1; right,
the energies of the two paths."""
with figure(1, 2, alt=alt, caption=caption, height=2.9) as axes:
    axes[0].loglog(dimension, J[:5], "o-", label=f"measured, slope {slope:.2f}")
    axes[0].loglog(dimension, bound[:5], "--", color="0.4", label=r"bound $3n/\sqrt{d}$")
    axes[0].set(xlabel="dimension $d$", ylabel="$J$")
    axes[0].legend()
    axes[1].semilogx(dimension, ot[:5], "o-", label="Cond-OT")
    axes[1].semilogx(dimension, ko[:5], "s-", label="KO")
    axes[1].set(xlabel="dimension $d$", ylabel="energy for each dimension")
    axes[1].legend()

# %%
claims.check(
    "C3.a",
    "E2: J over its bound 3n/√d, largest where the bound is below π/2",
    measured=np.max((J / bound)[bound < half_pi]),
    at_most=1,
    paper="at most 1",
)
claims.check(
    "C3.b",
    "E2: slope of log J against log d, 64 points",
    measured=slope,
    between=(-0.65, -0.35),
    own=True,
)
claims.check(
    "C3.c",
    "E2: energy by which Cond-OT exceeds KO, 64 points in 4096 dimensions",
    measured=100 * (ot[4] / ko[4] - 1),
    at_most=3,
    unit="%",
    paper="they coincide (ImageNet-64)",
)

# %% tags=["hide-input"]
say(f"""With 64 points $J$ is about {np.mean(J[:5] * np.sqrt(dimension)):.1f}$/\\sqrt d$, where the theorem
promises $192/\\sqrt d$.""")


# %% [markdown]
# The bound holds with more than enough room. For most of these clouds it could not fail: as
# $\gamma\ge0$, no $J$ exceeds $\pi/2$, and only for eight points is the bound below that (C3.a looks at
# these). It has the right power of $d$, but its factor is far from tight for such clouds: two normal points
# of $d$ coordinates can be told apart once $s\sqrt d$ exceeds a few units. So Cond-OT is near the optimum
# much earlier than the theorem can promise.
#
# ### Is the chord the shortest way?
#
# The derivation says that no path has less energy than the chord. As a check that shares nothing with
# it, we minimise the energy {eq}`eq-kop-energy` directly, over all paths that are linear in
# $(r,\theta)$ between 64 free knots, from Cond-OT as the start. Eight-point Gauss quadrature on each
# piece makes the energy of such a path exact for practical purposes, so that the minimum can only lie
# above the true one.

# %%
def minimise_energy(gamma, knots=64):
    """Least energy of piecewise linear paths (r, theta), found by L-BFGS."""
    slope = gamma.derivative()
    share = ad.primitive(lambda theta: to_device(gamma(to_host(theta))))
    ad.defvjp(share, lambda ans, theta: lambda g: g * to_device(slope(to_host(theta))))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    u, w = to_device((nodes + 1) / 2)[:, None], to_device(weights / 2)
    one = xp.ones(1)

    def objective(inner):
        r = ad.concat([one, inner["r"], one])
        theta = ad.concat([0 * one, inner["theta"], half_pi * one])
        dr, dtheta = r[1:] - r[:-1], theta[1:] - theta[:-1]
        middle = share(theta[:-1] + u * dtheta) * (r[:-1] + u * dr) ** 2
        return ad.sum(dr**2 + dtheta**2 * (w @ middle)) * (knots + 1)

    start = cond_ot(np.linspace(0, 1, knots + 2)[1:-1])
    inner = {"r": to_device(start[0]), "theta": to_device(start[1])}
    return minimize_lbfgs(objective, inner, max_steps=2000)


# %%
rows = []
for name in ("N(0, diag(1.9, 0.1))", "independent ±1", "checkerboard"):
    found, chord = minimise_energy(gammas[name]), results[name][0]
    rows.append([name, results[name][1], float(found.value), chord, float(found.value) / chord - 1])
columns = ["law", "Cond-OT (the start)", "minimised", "chord 2 − 2 cos Φ", "relative excess"]
table(rows, columns, "Direct minimisation over paths with 64 knots")
claims.check(
    "C1.c",
    "E5: excess of the minimised energy over the chord's, largest",
    measured=100 * max(row[4] for row in rows),
    at_most=1,
    unit="%",
    own=True,
)
claims.check(
    "C1.d",
    "E5: minimised energy minus the chord's, smallest",
    measured=min(row[2] - row[3] for row in rows),
    at_least=-1e-3,
)


# %% [markdown]
# The optimiser comes to within a per cent of the chord and never below it. What is left is the price
# of the straight pieces.
#
# ### Few steps on the checkerboard
#
# Does less energy mean better samples? We know the exact velocity {eq}`eq-kop-velocity` of the
# checkerboard, so no network can blur the answer. Six hundred particles follow it in $N$ Euler steps,
# $N$ evaluations of the velocity (NFE), from $t=0$ to $1-10^{-3}$, since the velocity is singular at
# the end. At the very start the KO path turns with infinite speed through angles at which nothing
# happens. The product $\dot\theta F_\theta$ has a limit, and instead of it we take its value at
# $t=10^{-3}$, for all paths alike. The result is compared with 600 fresh points of the board in the
# exact $W_2$ distance.

# %%
def euler(path, F, x, steps, first=1e-3):
    """Follow u_t(x) = r'/r x + r theta' F(x / r), with t = first in place of 0: x and its energy."""
    times, energy = np.linspace(0, 1 - 1e-3, steps + 1), 0.0
    for t, dt in zip(times, np.diff(times), strict=False):
        r, theta, r_dot, theta_dot = path(np.maximum(t, first))
        u = r_dot / r * x + r * theta_dot * F(x / r, theta)
        x, energy = x + dt * u, energy + dt * float(xp.mean(u**2))
    return x, energy


def exact_F(posterior_mean):
    """F_theta(x) = (E[x1 | x] - sin(theta) x) / cos(theta)."""

    def F(x, theta):
        a, m = np.sin(theta), np.cos(theta)
        return (posterior_mean(x, a, m) - a * x) / m

    return F


# %% [markdown]
# The distance of two samples is mostly that of their draws. A sharper judge compares each particle with
# the place where it should end. By {eq}`eq-kop-velocity` a particle's place on the unit circle of blends,
# $y=x/r$, follows $\mathrm dy/\mathrm d\theta=F_\theta(y)$, whatever the path: *all paths lead a particle to the
# same end*, and differ by Euler's error alone. We find the end with 50 steps of the rule of Runge and
# Kutta.

# %%
def exact_flow(F, y, steps=50):
    """Follow dy / dtheta = F(y) from the noise to the data: the angles, and y at each of them."""
    places, grid = [y], np.clip(half_pi * (1 - (1 - np.linspace(0, 1, steps + 1)) ** 1.5), 1e-4, half_pi - 1e-3)
    for a, b in pairwise(grid):
        h = b - a
        k1 = F(y, a)
        k2 = F(y + h / 2 * k1, a + h / 2)
        k3 = F(y + h / 2 * k2, a + h / 2)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + F(y + h * k3, b))
        places.append(y)
    return grid, xp.stack(places)


# %%
STEPS, SEEDS = (2, 4, 6, 10, 50), range(scale(default=6, paper=20))
boards = scale(default=["checkerboard"], paper=["checkerboard", "ring"])
distance, miss, power, samples = {}, {}, {}, {}
for name in boards:
    sample, F = laws[name][0], exact_F(laws[name][1])
    paths = {"KO": kinetic_optimal(gammas[name]), "Cond-OT": cond_ot}
    paths |= {"trigonometric": trigonometric, "VP": vp}
    for seed in progress(SEEDS, name):
        rng = generator(seed)
        noise, target = rng.standard_normal((600, 2)), sample(600, rng)
        grid, flow = exact_flow(F, noise)
        end = flow[-1]
        distance.setdefault((name, "fresh", 0), []).append(wasserstein(sample(600, rng), target))
        for label, path in paths.items():
            for steps in STEPS:
                key = name, label, steps
                samples[key], moved = euler(path, F, noise, steps)
                distance.setdefault(key, []).append(wasserstein(samples[key], target))
                miss.setdefault(key, []).append(float(xp.mean((samples[key] - end) ** 2)) ** 0.5)
                power.setdefault(key, []).append(moved)
W2, errors, moved = ({k: np.mean(v) for k, v in d.items()} for d in (distance, miss, power))

# %%
rows = [
    [f"{name}, {label}", *(W2[name, label, steps] for steps in STEPS)]
    for name in boards
    for label in paths
]
rows += [[f"{name}, fresh points", *["–"] * 4, W2[name, "fresh", 0]] for name in boards]
columns = ["path", *(f"NFE {steps}" for steps in STEPS)]
caption = f"W₂ distance of 600 generated points to 600 fresh ones, mean of {len(SEEDS)} seeds"
table(rows, columns, caption)
rows = [
    [f"{name}, {label}", *(errors[name, label, n] for n in STEPS[:4]), moved[name, label, 50]]
    for name in boards
    for label in paths
]
columns = ["path", *(f"NFE {steps}" for steps in STEPS[:4]), "energy, NFE 50"]
table(rows, columns, "Root mean square distance of the same points from their exact ends")

# %% tags=["hide-input"]
alt = """A grid of scatter plots: rows KO, Cond-OT and trigonometric, columns 2, 4, 6 and 10 Euler
steps. With two steps KO shows a blurred but complete checkerboard, Cond-OT a shrunken round cloud,
trigonometric a cloud wider than the board. From four steps on KO fills the squares, while Cond-OT
crowds towards the centre, with thin outer squares, until six steps or more."""
caption = """Six hundred particles after 2, 4, 6 and 10 Euler steps with the exact velocity, for
three paths. The squares of the board are drawn in grey."""
board = "checkerboard"
shared = {"sharex": True, "sharey": True}
with figure(3, 4, alt=alt, caption=caption, width=8.4, height=6.6, **shared) as axes:
    for row, label in zip(axes, ("KO", "Cond-OT", "trigonometric"), strict=True):
        for ax, steps in zip(row, STEPS, strict=False):
            extent = [-np.sqrt(3), np.sqrt(3)] * 2
            ax.imshow(WHITE.T, extent=extent, cmap="Greys", vmin=0, vmax=5, origin="lower")
            ax.scatter(*to_host(samples[board, label, steps]).T, s=2, color=PALETTE["blue"], lw=0)
            ax.set(title=f"{label}, {steps}", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4))
            ax.axis("off")


# %% [markdown]
# Why so? Here are the same particles on the way, without any error of Euler's: the exact flow of the last seed, on the
# clocks of the two paths.

# %% tags=["hide-input"]
def on_the_way(path, t):
    """Places r(t) y(theta(t)) on the exact flow, r and theta."""
    r, theta, *_ = (float(v[0]) for v in path(np.asarray([np.clip(t, 1e-3, 1 - 1e-3)])))
    k = int(np.clip(np.searchsorted(grid, theta), 1, len(grid) - 1))
    share = np.clip((theta - grid[k - 1]) / (grid[k] - grid[k - 1]), 0, 1)
    return to_host(r * ((1 - share) * flow[k - 1] + share * flow[k])), r, theta


def two_clouds(axes, t):
    """The particles of both paths at time t."""
    for ax, label in zip(axes, ("KO", "Cond-OT"), strict=True):
        extent = [-np.sqrt(3), np.sqrt(3)] * 2
        ax.imshow(WHITE.T, extent=extent, cmap="Greys", vmin=0, vmax=5, origin="lower")
        ax.scatter(*on_the_way(paths[label], t)[0].T, s=3, color=PALETTE["blue"], lw=0)
        ax.set(title=f"{label}, t = {t:g}", xlim=(-3, 3), ylim=(-3, 3))
        ax.axis("off")


def in_words(t):
    """Size of the cloud and share of the way, for both paths."""
    both = {label: on_the_way(paths[label], t)[1:] for label in ("KO", "Cond-OT")}
    said = [f"along {k} the cloud has {r:.2f} of its size and has covered {v / half_pi:.0%} of the angle"
            for k, (r, v) in both.items()]  # fmt: skip
    return f"Particles over the checkerboard at time {t:g}: {', '.join(said)}."


caption = """Six hundred particles at time $t$ on the exact flow. Cond-OT first pulls them towards the centre;
KO keeps the cloud's size and turns most while it still looks Gaussian."""
slider([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1], two_clouds, label="time t", alt=in_words,
       caption=caption, start=5, columns=2, height=3.6, sharex=True, sharey=True)  # fmt: skip

# %%
ratios = {n: W2[board, "KO", n] / W2[board, "Cond-OT", n] for n in STEPS}
few = [ratios[n] for n in (4, 6, 10)]
claims.check(
    "C5.a",
    "E3: W₂ of KO over that of Cond-OT at NFE 4, 6 and 10, largest",
    measured=max(few),
    at_most=1,
    paper="KO better (figure)",
    seeds=len(SEEDS),
)
claims.check("C5.b", "E3: the same, smallest", measured=min(few), at_most=0.9, seeds=len(SEEDS))
claims.check(
    "C5.c",
    "E3: difference between KO and Cond-OT at NFE 50",
    measured=100 * abs(ratios[50] - 1),
    at_most=15,
    unit="%",
    seeds=len(SEEDS),
)


# %%
def over(label, steps):
    """Distance from the exact ends along KO over that along another path: mean, and its error."""
    ratio = np.divide(miss[board, "KO", steps], miss[board, label, steps])
    return np.mean(ratio), np.std(ratio, ddof=1) / np.sqrt(len(SEEDS))


claims.check(
    "C5.e",
    "E3: distance from the exact ends, KO over Cond-OT, largest of NFE 2, 4 and 6",
    measured=max(over("Cond-OT", n)[0] for n in (2, 4, 6)),
    at_most=0.6,
    seeds=len(SEEDS),
)

# %%
for id, steps, at_most in (("C5.f", 2, 0.95), ("C5.g", 4, 1)):
    ratio, spread = over("trigonometric", steps)
    claims.check(
        id,
        f"E3: distance from the exact ends, KO over the trigonometric path, NFE {steps}",
        measured=ratio,
        at_most=at_most,
        paper="KO better (figure)",
        seeds=len(SEEDS),
        spread=spread,
    )
claims.check(
    "C4.c",
    "E3: energy of the moving particles, NFE 50, KO over the cheapest of the three other paths",
    measured=moved[board, "KO", 50] / min(moved[board, label, 50] for label in list(paths)[1:]),
    at_most=0.8,
    seeds=len(SEEDS),
)
say(f"""With four evaluations KO comes to a $W_2$ of {W2[board, "KO", 4]:.3f}, with fifty to
{W2[board, "KO", 50]:.3f}, and two sets of 600 fresh points are {W2[board, "fresh", 0]:.3f} apart. Cond-OT needs
more than ten evaluations for what KO does with four.""")


# %% [markdown]
# Note what Cond-OT is up against here: it is not the worst of paths in general, but here it spends its first
# steps on pulling all particles towards the centre. The trigonometric path does not, and comes close to KO.
# Its particles spend half as much energy again, which C4.c measures on the way; of Euler's error they have a
# tenth more with two steps. From ten steps on the two cannot be told apart, and the $W_2$ distances of 600
# points tell nothing about their order at any number: from draw to draw their ratio scatters by more than a
# tenth.
#
# ### A small network
#
# Finally the same with a velocity that is learned. Equation {eq}`eq-kop-velocity` says what to learn:
# given the place on the unit circle of blends and the angle, the mean of $e_\theta$. We train one
# small network for each path by the square loss $\lVert f(x_\theta,\theta)-e_\theta\rVert^2$, with
# $t$ uniform and $\theta=\theta_t$ of that path. This is flow matching up to the factor
# $(r\dot\theta)^2$ in front of the loss, which does not change the minimiser at any time but has an
# infinite mean on the exact KO path. For small angles only the covariance $\Sigma$ of the data
# matters, $\gamma\approx(\operatorname{tr}\Sigma^2/d-1)\,\theta^2$, so that $\varphi\propto\theta^2$,
# $\theta_t\propto\sqrt t$, and $\dot\theta_t^2\propto1/t$. All networks therefore aim at one and the
# same function; the path decides only at which angles they practise.

# %%
def network(params, x, theta):
    """Estimate of E[e | x_theta = x]; theta has one entry for each row."""
    waves = xp.stack([wave(k * theta) for k in (1, 2, 4) for wave in (xp.sin, xp.cos)], axis=1)
    inputs = ad.concat([x, waves], axis=1)
    return nn.mlp(params, xp.astype(inputs, xp.float32), "silu")


def regression(params, x, theta, e):
    """Mean square of f(x, theta) - e for each coordinate."""
    return ad.mean((network(params, x, theta) - xp.astype(e, xp.float32)) ** 2)


def train(path, sample, seed):
    """Learn F along a path from fresh blends."""
    rng, steps = generator(seed), scale(default=1500, paper=20_000)

    def blends(rng):
        x1 = sample(256, rng)
        z, theta = rng.standard_normal(x1.shape), to_device(path(rng.host.uniform(size=256))[1])
        a, m = xp.sin(theta)[:, None], xp.cos(theta)[:, None]
        return a * x1 + m * z, theta, m * x1 - a * z

    d, width = sample(1, generator(seed)).shape[1], scale(default=128, paper=512)
    params = nn.mlp_init(rng, [d + 6, width, width, d])
    adam = Adam(cosine_decay(scale(default=1e-2, paper=1e-3), steps))
    return nn.fit(regression, params, blends, adam, steps=steps, rng=rng).params


# %% [markdown]
# A first trial, with half of the learning rate above, held a surprise: at six steps the KO path did
# *worse* than Cond-OT. Where $\gamma$ is nearly 0 the KO path rushes, as the
# exact $F_\theta$ is nearly 0 there. A network's is not. It has an error, say of mean square
# $\delta^2$ for each coordinate at every angle, and $r\dot\theta$ multiplies the error too. Let us
# charge a path for it and ask for the least sum of the energy and the mean square error of the
# velocity. That is {eq}`eq-kop-energy` with $\gamma+\delta^2$ in the place of $\gamma$, and the
# optimal path is known as well: it is the chord for $\gamma+\delta^2$. On the two seeds 100 and 101
# the choices $\delta^2=0.003$, $0.01$ and $0.03$ were equally good (and the learning rate 0.01 better
# than 0.005); we take $\delta^2=0.01$ as the third path and call it *cautious*.
#
# The learned model's energy is measured as in Table 1, as the mean square of its velocity along the
# path, here on fresh blends at 200 times; then it generates 600 points in 6 and 16 steps.

# %%
def learned_F(params):
    """The network as a function of points and one angle."""
    return lambda x, theta: xp.astype(
        network(params, x, xp.full(x.shape[0], float(theta))), xp.float64
    )


def judge(path, params, sample, seed):
    """Energy of the learned velocity and W2 to fresh points at NFE 6 and 16."""
    rng, F, power = generator(1000 + seed), learned_F(params), []
    x1, target = sample(600, rng), sample(600, rng)
    z, noise = rng.standard_normal(x1.shape), rng.standard_normal(x1.shape)
    for r, theta, r_dot, theta_dot in zip(*path(np.linspace(0, 1, 202)[1:-1]), strict=True):
        x = np.sin(theta) * x1 + np.cos(theta) * z
        power.append(float(xp.mean((r_dot * x + r * theta_dot * F(x, theta)) ** 2)))
    ends = [euler(path, F, noise, n)[0] for n in (6, 16)]
    return [np.mean(power), *(wasserstein(x, target) for x in ends)]


# %%
nets, learned, rows, trials = {}, {}, [], range(scale(default=1, paper=5))
for name in scale(default=["checkerboard"], paper=["checkerboard", "digits, d = 64"]):
    sample, gamma = laws[name][0], gammas[name]
    cautious = kinetic_optimal(lambda theta, gamma=gamma: gamma(theta) + 0.01)
    paths = {"KO": kinetic_optimal(gamma), "cautious KO": cautious, "Cond-OT": cond_ot}
    for label, path in paths.items():
        nets[name, label] = [train(path, sample, seed) for seed in trials]
        runs = [judge(path, net, sample, k) for k, net in enumerate(nets[name, label])]
        learned[name, label] = np.mean(runs, axis=0)
        rows.append([f"{name}, {label}", energy(path, gamma), *learned[name, label]])
columns = ["path", "energy, exact", "energy, learned", "W₂, NFE 6", "W₂, NFE 16"]
table(rows, columns, "A network of two hidden layers trained along each path")

# %%
ko, cautious, ot = (learned[board, label] for label in ("KO", "cautious KO", "Cond-OT"))
claims.check(
    "C4.b",
    "E4: energy of the learned velocity, Cond-OT over KO, checkerboard",
    measured=ot[0] / ko[0],
    at_least=3,
    seeds=len(trials),
    own=True,
)
claims.check(
    "C5.d",
    "E4: W₂ of the cautious KO path over that of Cond-OT, network, NFE 6",
    measured=cautious[1] / ot[1],
    at_most=0.9,
    seeds=len(trials),
    own=True,
)
say(f"""With six evaluations of a small network the cautious path comes to a $W_2$ of {cautious[1]:.2f}, the
plain KO path to {ko[1]:.2f} and Cond-OT to {ot[1]:.2f}; with the exact velocity KO came to
{W2[board, "KO", 6]:.2f}.""")

# %% [markdown]
# The cautious path gives away a few per cent of the energy. A learned energy may be lower than the exact one,
# which is no merit: a fit by least squares that misses a part of $F_\theta$ explains less of $e_\theta$.
#
# How much of the trouble of the plain KO path is the path's, and how much is the solver's? Euler's
# first step multiplies $\dot\theta$ at one instant, here $t=10^{-3}$, by a sixth, though $\dot\theta$
# falls steeply over that step. With the exact $F_\theta$ that does no harm, because the product has a
# limit. With a network it magnifies the error by as much as we care to let it. So we vary this
# instant.

# %%
FIRST, rows = (1e-4, 1e-3, 1e-2), []
sample, mean = laws[board]
cautious = kinetic_optimal(lambda theta: gammas[board](theta) + 0.01)
for label, path in (("KO", kinetic_optimal(gammas[board])), ("cautious KO", cautious)):
    for kind, F in (("exact", exact_F(mean)), ("network", learned_F(nets[board, label][0]))):
        row = [f"{label}, {kind}"]
        for first in FIRST:
            rng = generator(2000)
            draws = [(rng.standard_normal((600, 2)), sample(600, rng)) for _ in range(2)]
            ends = [euler(path, F, z, 6, first)[0] for z, _ in draws]
            row.append(np.mean([wasserstein(x, x1) for x, (_, x1) in zip(ends, draws, strict=True)]))
        rows.append(row)
columns = ["path, velocity", *(f"first step at t = {first:g}" for first in FIRST)]
table(rows, columns, "W₂ distance at NFE 6 on the checkerboard, mean of two draws")

# %% [markdown]
# With the exact velocity it hardly matters. With the network the plain KO path does worst when its first
# step looks at $t=10^{-4}$, and much better when it looks at $t=10^{-2}$. So it is
# not the path that fails but a single evaluation near its singular start. Caution removes the
# singularity, and with it the need to choose. The paper fits its angle with ten parameters, which may
# keep it from rushing as well.
#
# ## Verdict
#
# One function of one variable does decide, and it can be read as an $R^2$. The closed form agrees
# with exact integrals, with the quoted theorem and with a direct minimisation. The bounds on
# $\lambda$ and Theorem 4.1 hold, the latter with so much room that it says little about these clouds,
# and in 4096 dimensions KO and Cond-OT nearly coincide. In the plane KO is far ahead of Cond-OT, in energy and
# in samples of few steps, as the paper says; it is ahead of the trigonometric path too, clearly in energy and
# by a little in the error of two and of four steps. To see this, $\gamma$ has to be exact: with a $\gamma$ from
# 20 000 samples, which is noise at small angles, the KO path loses that little lead. The paper's claims on few steps are figures without numbers,
# so the thresholds of C5 are ours, as are those of C4; those of C4.c, C5.e and C5.f were set on the seeds 100
# to 105. With a learned velocity the KO path needs some care at its start, where it is infinitely fast.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The networks on CIFAR-10 and ImageNet, and with them likelihoods, FID and the number of steps of an
# adaptive solver, are out of reach of a notebook. Of Table 1 only ratios of energies are compared,
# because the scale of its energies is not the one defined here and could not be found. The curves of
# $\lambda$ for ImageNet at four sizes are replaced by digits and by patches of a photograph, which
# are far fewer points. The paper fits $\theta_t$ with a network of ten parameters; we replaced it by
# a quadrature, and did not run the network. All results for finite sets are about those sets: with
# more digits we would expect a larger $J$.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells estimate $\gamma$ from 10 000 blends, add 50 000 colour
# patches of six photographs with 192, 768 and 3072 numbers each (the trend of the paper's first
# figure), sample the ring as well with ten seeds, and train networks of width 512 for 20 000 steps on
# five seeds, on the digits too. A blend costs two products with the matrix of all points and a
# softmax, for 3072 numbers and 60 angles about $4\cdot10^{14}$ operations in all. This scale has not
# been run on a GPU yet; when it has, the numbers will stand here with the device and the date.
