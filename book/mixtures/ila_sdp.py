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
# # Likelihood-adjusted semidefinite programs for clustering
#
# ```{paper-card}
# ```
#
# K-means looks for round clusters of one size. Real clusters are stretched, tilted and of different
# widths, and the standard remedy, a Gaussian mixture fitted by expectation–maximisation (EM), climbs
# from wherever it is started and stops at the first summit it meets. {cite:t}`ila_sdp` start from the
# same likelihood and take another road: they write the likelihood of a *partition* as a linear
# function of a few matrices, drop the one constraint that makes the problem combinatorial, and solve
# what is left, a semidefinite program (SDP), to its global optimum. The cluster centres disappear on
# the way, and with them the need to guess where they are.
#
# This chapter derives the program from the Gaussian density, solves it with a page of NumPy, proves
# for each solution how far it can be from the optimum, and then asks when the method beats K-means,
# the older K-means SDP and EM. The answers are less one-sided than one might expect.
#
# ## What the paper claims
#
# 1. The iterative likelihood-adjusted SDP (iLA-SDP) maximises the exact likelihood of a Gaussian
#    mixture whose groups have *different* covariances, with the labels as parameters; no centre is
#    ever estimated. {claims}`C1.a, C1.b, C1.c, C1.d, C1.e, C1.f, C1.g, C1.h, C1.i`
# 2. On heterogeneous data the program misclusters fewer points than K-means and the K-means SDP of Peng and
#    Wei (2007); here with known covariances. {claims}`C2.a, C2.b, C2.c`
# 3. Well-separated groups are recovered exactly, also where the centres are placed so that EM and
#    Lloyd's K-means algorithm fall into a trap. {claims}`C3.a, C3.b, C3.c`
# 4. With unknown covariances it misclusters fewer points than K-means and EM, and depends less on its initial
#    value than EM does. We compare it with hard-assignment EM (CEM) as well.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e, C4.f, C4.g, C4.h`
# 5. The objective of the relaxed iteration never increases (a check of ours). {claims}`C5.a, C5.b, C5.c`
# 6. As background, from earlier work of two of the authors (Chen and Yang, 2021): when all
#    covariances equal $\sigma^2I$ and the $K$ groups are equally large, the K-means SDP recovers the
#    partition exactly once the centres are further apart than
#    $\bar\Delta=2\sigma\big[\big(1+\sqrt{1+Kp/(n\log n)}\big)\log n\big]^{1/2}$.
#    {claims}`C6.a, C6.b, C6.c, C6.d, C6.e`
#
# Not tested here: that the method is more stable than EM as the dimension grows (E6 shows three data sets for each
# dimension), and the exact-recovery theorem for different covariances.
#
# **What our numbers rest on.** We read the paper's abstract and the first lines of its introduction,
# and the public code of a later paper by the same group. The equations below are derived from the
# Gaussian model, not copied, and the experiments are our own designs: the paper's tables were not
# available to us, so the column of the paper's numbers in the verdict stays empty. The constant in
# item 6 is quoted from memory and serves as a reference line only.
#
# ## The idea
#
# **From a partition to a likelihood.** Let $X_1,\dots,X_n\in\mathbb R^p$ be the points and
# $G_1,\dots,G_K$ a partition of their indices; a point of group $k$ is drawn from
# $N(\mu_k,\Sigma_k)$. Apart from the constant $np\log2\pi$, minus twice the log-likelihood is
#
# $$
# -2\ell=\sum_{k=1}^K\sum_{i\in G_k}\Big\{\log|\Sigma_k|+\|X_i-\mu_k\|^2_{\Sigma_k^{-1}}\Big\},
# \qquad \|x\|^2_{\Sigma^{-1}}=x^\top\Sigma^{-1}x .
# $$
#
# Whatever the covariances are, the best centre of a group is its mean $\bar X_k$. Put it in ("profile
# it out") and use that squared distances to a mean are half the average of the squared distances
# between pairs:
#
# $$
# \sum_{i\in G_k}\|X_i-\bar X_k\|^2_{\Sigma_k^{-1}}
# =\frac1{2|G_k|}\sum_{i,j\in G_k}\|X_i-X_j\|^2_{\Sigma_k^{-1}} .
# $$
#
# No centre is left: only pairs of points are compared.
#
# **From a likelihood to a linear function.** Describe group $k$ by the $n\times n$ *membership matrix*
#
# $$
# Z_k=\frac1{|G_k|}\,1_{G_k}1_{G_k}^\top ,
# $$
#
# where $1_{G_k}$ is the vector with ones at the members. The number $\sum_{i,j\in G_k}a_{ij}/|G_k|$
# is then the inner product $\langle A,Z_k\rangle=\sum_{ij}A_{ij}Z_{k,ij}$, and since the entries of
# $Z_k$ add up to $|G_k|$, the determinant fits in as well:
#
# $$
# -2\ell_{\max}=\sum_{k=1}^K\langle C_k,Z_k\rangle,\qquad
# C_k[i,j]=\tfrac12\|X_i-X_j\|^2_{\Sigma_k^{-1}}+\log|\Sigma_k| .
# $$ (ila-objective)
#
# The likelihood has become *linear*. What makes the problem hard has moved into the set of allowed
# matrices.
#
# **From a combinatorial set to a convex one.** Every $Z_k$ that comes from a partition is positive
# semidefinite ($Z_k\succeq0$), has no negative entry ($Z_k\ge0$) and trace one; and because
# $Z_k1_n=1_{G_k}$ and each point lies in one group, $\sum_kZ_k1_n=1_n$. It has rank one, too; that
# last property is the one we give up. What remains is the **likelihood-adjusted SDP** (LA-SDP):
#
# $$
# \min_{Z_1,\dots,Z_K}\ \sum_k\langle C_k,Z_k\rangle
# \quad\text{s.t.}\quad Z_k\succeq0,\quad Z_k\ge0,\quad \operatorname{tr}Z_k=1,\quad
# \sum_kZ_k1_n=1_n .
# $$ (ila-sdp)
#
# It is convex, so it has no local optima, and its value is a lower bound of $-2\ell_{\max}$ over *all*
# partitions. A solution that happens to be a partition is therefore the best partition there is. The
# labels are read off by the mass that each group gives a point,
# $\hat l_i=\arg\max_k(Z_k1_n)_i$.
#
# **When the covariances are equal, the labels vanish.** If $C_1=\dots=C_K=C$, the objective sees only
# $Z=\sum_kZ_k$, and any feasible $Z_1,\dots,Z_K$ may be replaced by its average, $Z_k=Z/K$, which is
# feasible again because the constraints are convex and symmetric in $k$. So the program collapses to
# the K-means SDP of Peng and Wei,
#
# $$
# \min_Z\ \langle C,Z\rangle\quad\text{s.t.}\quad Z\succeq0,\quad Z\ge0,\quad
# \operatorname{tr}Z=K,\quad Z1_n=1_n ,
# $$
#
# every point gets the mass $1/K$ from every group, and the arg max above is a coin toss. The
# *partition* is not lost; it sits in the blocks of the sum $Z$. We read it off by *spectral rounding*:
# K-means on the rows of the $K$ leading eigenvectors of $Z$. This case is not exotic. It is the
# natural first step when nothing is known about the covariances.
#
# **Unknown covariances.** For fixed $Z$, put $n_k=1^\top Z_k1$ and
# $S_k=X^\top\{\operatorname{diag}(Z_k1)-Z_k\}X$, where $X$ has the points as rows. Then the objective
# is $\sum_k\{\operatorname{tr}(\Sigma_k^{-1}S_k)+n_k\log|\Sigma_k|\}$ and its minimiser is
# $\Sigma_k=S_k/n_k$, for a partition just the covariance of group $k$. A likelihood of this kind has
# no upper bound (a group of one point can have an arbitrarily small covariance), so $\Sigma_k$ is kept
# above a floor, $\Sigma_k\succeq\epsilon_0T$ with the covariance $T$ of all points. In coordinates in which
# $T=I$ the exact minimiser under that constraint lifts the eigenvalues of $S_k/n_k$ that are below $\epsilon_0$ to
# $\epsilon_0$, and leaves the others alone. A floor $\epsilon_0I$ would do as well for the bound, but then the
# result would depend on the units of the coordinates; the likelihood does not.
#
# **iLA-SDP** alternates: labels from the K-means SDP, then covariances → LA-SDP → labels, and so on
# until the labels repeat. Two variants suggest themselves. The *soft* one takes the covariances from
# the relaxed $Z_k$; both of its steps minimise one function, which can therefore never increase. The
# *rounded* one takes them from the rounded labels and has no such guarantee, but each of its
# covariances belongs to a real partition. It is our default, and we run both.
#
# ## The method in code

# %%
import numpy as np
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.data import table as load_table
from gaussbook.metrics import clustering_error
from gaussbook.notebook import say
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("ila_sdp")
xp = backend()
transpose = xp.matrix_transpose
RHO = 80.0  # step size of the solver, in units of the costs
RENEW = 20  # the steps between two whole eigendecompositions
CHECK = 4  # the steps between two looks at what the copies still differ by


# %% [markdown]
# Every function below works on a whole batch of data sets at once: `X` has shape
# (data sets, $n$, $p$), and matrices that belong to groups have shape (data sets, $K$, …). Labels
# enter as indicators $A_k=1_{G_k}^\top$, and these give the membership matrices
# $Z_k=A_k^\top A_k/|G_k|$.

# %%
def indicators(labels, K):
    """A_ki = 1 if point i is in group k, else 0."""
    return xp.astype(labels[:, None, :] == xp.arange(K)[:, None], xp.float64)


def lift(A):
    """Z_k = 1_{G_k} 1_{G_k}ᵀ / |G_k| (zero for an empty group)."""
    size = xp.maximum(xp.sum(A, axis=-1), xp.asarray(1.0))
    return A[..., :, None] * A[..., None, :] / size[..., None, None]


# %% [markdown]
# **The cost matrices** of {eq}`ila-objective`. With the Cholesky factor $\Sigma_k=L_kL_k^\top$, the
# points $Y_i=L_k^{-1}X_i$ have $\|X_i-X_j\|^2_{\Sigma_k^{-1}}=\|Y_i-Y_j\|^2$, and
# $\log|\Sigma_k|=2\sum_a\log (L_k)_{aa}$; no matrix is inverted.

# %%
def whiten(X, Sigma):
    """Y_i = L_k⁻¹ X_i and log|Σ_k|, where Σ_k = L_k L_kᵀ."""
    L = xp.linalg.cholesky(Sigma)
    logdet = 2 * xp.sum(xp.log(xp.linalg.diagonal(L)), axis=-1)
    return transpose(xp.linalg.solve(L, transpose(X))), logdet


def costs(X, Sigma):
    """C_k[i, j] = ½ (X_i − X_j)ᵀ Σ_k⁻¹ (X_i − X_j) + log|Σ_k|."""
    Y, logdet = whiten(X[:, None], Sigma)
    square = xp.sum(Y**2, axis=-1)
    half_distance = (square[..., :, None] + square[..., None, :]) / 2 - Y @ transpose(Y)
    return half_distance + logdet[..., None, None]


def objective(C, Z):
    """Σ_k ⟨C_k, Z_k⟩."""
    return xp.sum(C * Z, axis=(1, 2, 3))


# %% [markdown]
# **The projection onto the linear constraints.** The solver needs the matrices nearest to given
# $M_1,\dots,M_K$ among the symmetric ones with $\operatorname{tr}Z_k=r$ and $\sum_kZ_k1=1$; here $r=1$
# for LA-SDP, and one block with $r=K$ is the K-means SDP, so a single code serves both. With a
# multiplier $t_k$ for each trace and a vector $v$ for the row sums, setting the derivative of the
# Lagrangian $\sum_k\big\{\tfrac12\|Z_k-M_k\|^2+t_k(\operatorname{tr}Z_k-r)\big\}+v^\top(\sum_kZ_k1-1)$
# to zero gives
#
# $$
# Z_k=M_k-t_kI-\tfrac12\big(v1^\top+1v^\top\big)
# $$
#
# (the gradient $v1^\top$ appears symmetrised because only symmetric matrices compete). Write
# $\tau_k=\operatorname{tr}M_k$, $m=\sum_kM_k1$ and $s=1^\top v$. The constraints become
# $\tau_k-nt_k-s=r$ and $m-(\sum_kt_k)1-\tfrac K2(nv+s1)=1$. Adding up the entries of the second,
# and eliminating the $t_k$ with the first, leaves one equation for the number $s$:
#
# $$
# s=\frac{1^\top m-\sum_k\tau_k+Kr-n}{K(n-1)},\qquad t_k=\frac{\tau_k-r-s}n,\qquad
# v=\frac2{Kn}\Big(m-\big(1+\textstyle\sum_kt_k\big)1\Big)-\frac sn1 .
# $$
#
# The other two projections are textbook: negative eigenvalues to zero, negative entries to zero.

# %%
def project_affine(M, r):
    """Nearest symmetric Z_k with tr Z_k = r and Σ_k Z_k 1 = 1: M_k − t_k I − ½(v1ᵀ + 1vᵀ)."""
    K, n = M.shape[1], M.shape[-1]
    m, tau = xp.sum(M, axis=(1, 3)), xp.linalg.trace(M)
    s = (xp.sum(m, axis=-1) - xp.sum(tau, axis=-1) + K * r - n) / (K * (n - 1))
    t = (tau - r - s[:, None]) / n
    v = 2 / (K * n) * (m - 1 - xp.sum(t, axis=-1)[:, None]) - s[:, None] / n
    symmetric = (v[:, None, :, None] + v[:, None, None, :]) / 2
    return M - t[..., None, None] * xp.eye(n) - symmetric


# %% [markdown]
# The projection onto the cone costs most, and there is no need for a whole eigendecomposition: close to a solution
# only a few eigenvalues of $M$ are positive, and their eigenvectors $Q$ hardly move from one step to the next. So we
# take the eigenvectors of the last step, look for those of $M$ in the space spanned by $Q$ and $MQ$, and keep the
# leading ones (the Rayleigh–Ritz method: an orthonormal basis $B$, and the eigendecomposition of the small
# $B^\top MB$). How many we carry grows with the trace $r$; for LA-SDP it is eight. If all of them have positive
# eigenvalues there may be more, and $M$ is decomposed whole; so it is in every twentieth
# step, in case an eigenvector has come up outside that space.

# %%
def positive_part(lam, Q):
    """Q max(λ, 0) Qᵀ."""
    return Q * xp.maximum(lam, xp.asarray(0.0))[..., None, :] @ transpose(Q)


def project_psd(M, width, Q=None):
    """Nearest P ⪰ 0 and `width` leading eigenvectors, sought in span{Q, MQ} if Q is given."""
    if Q is None:
        lam, V = xp.linalg.eigh(M)
        return positive_part(lam, V), V[..., -width:]
    B, _ = xp.linalg.qr(xp.concat([Q, M @ Q], axis=-1))
    lam, V = xp.linalg.eigh(transpose(B) @ M @ B)
    lam, Q = lam[..., -width:], B @ V[..., -width:]
    P, more = positive_part(lam, Q), lam[..., 0] > 0
    if bool(xp.any(more)):
        P[more], Q[more] = project_psd(M[more], width)
    return P, Q


# %% [markdown]
# **The solver** is the alternating direction method of multipliers (ADMM). Each $Z_k$ gets two copies,
# $P_k\succeq0$ and $N_k\ge0$, with scaled multipliers $U_k$ and $V_k$ that pull the copies together. One
# step minimises over $Z$, then over the copies, then moves the multipliers:
#
# $$
# \begin{aligned}
# Z&\leftarrow\Pi_{\rm affine}\big(\tfrac12(P-U+N-V)-\tfrac1{2\rho}C\big), &
# P&\leftarrow\Pi_{\succeq0}(Z+U), & U&\leftarrow U+Z-P,\\
# && N&\leftarrow\max(Z+V,0), & V&\leftarrow V+Z-N .
# \end{aligned}
# $$
#
# Where $Z$ stands in the other updates, the mixture $\alpha Z+(1-\alpha)P$ (or $N$) with $\alpha=1.6$ takes its
# place; this *over-relaxation* saves steps and moves no solution. All $C_k$ of a data set are divided by *one*
# number, so that one $\rho$ fits all data sets (one number per group would change the problem): their mean
# absolute entry, after the mean of their diagonals has been taken off. That mean is a constant of the problem,
# as the entries of all $Z_k$ add up to $n$, and it is all that a change of units does to the costs. The
# projection onto the cone is the only expensive line; it runs over all groups of all data sets at once, and a data
# set leaves the batch when its copies agree, which we look up in every fourth step.

# %%
def spread(C):
    """The mean of |C_k[i, j] − c|, where c is the mean of the diagonals: free of units."""
    c = xp.mean(xp.linalg.diagonal(C), axis=(1, 2))[:, None, None, None]
    return xp.mean(xp.abs(C - c), axis=(1, 2, 3), keepdims=True)


# %%
def sdp(C, r=1.0, state=None, steps=400, tol=2e-3, rho=RHO, alpha=1.6):
    """Minimise Σ_k⟨C_k, Z_k⟩ s.t. Z_k ⪰ 0, Z_k ≥ 0, tr Z_k = r, Σ_k Z_k 1 = 1; give N, state."""
    pull = C / (2 * rho * spread(C))
    if state is None:
        state = xp.zeros((C.shape[0], 2, 2, *C.shape[1:]))
    copies, duals = state[:, 0], state[:, 1]  # (P, N) and (U, V)
    result, active, Q = xp.empty_like(state), xp.arange(C.shape[0]), None
    for step in range(1, steps + 1):
        Z = project_affine(xp.mean(copies - duals, axis=1) - pull, r)
        target = alpha * Z[:, None] + (1 - alpha) * copies + duals
        P, Q = project_psd(target[:, 0], 4 + 4 * int(r), None if step % RENEW == 1 else Q)
        N = xp.maximum(target[:, 1], xp.asarray(0.0))
        moved, copies = P - copies[:, 0], xp.stack([P, N], axis=1)
        duals = target - copies
        if step % CHECK and step < steps:
            continue
        gaps = xp.stack([Z - P, Z - N, moved], axis=1)
        done = (xp.max(xp.sum(gaps**2, axis=(2, 3, 4)), axis=1) < tol**2) | (step == steps)
        if bool(xp.any(done)):
            result[active[done]] = xp.stack([copies[done], duals[done]], axis=1)
            active, pull, Q = active[~done], pull[~done], Q[~done]
            copies, duals = copies[~done], duals[~done]
        if not active.shape[0]:
            break
    return result[:, 0, 1], result


# %% [markdown]
# **Rounding.** By mass where the covariances differ, and by the eigenvectors of $\sum_kZ_k$ where they
# do not. K-means itself comes from scikit-learn, on the host.

# %%
def mass_labels(Z):
    """l_i = argmax_k (Z_k 1)_i."""
    return xp.argmax(xp.sum(Z, axis=-1), axis=1)


def k_means(X, K, init="k-means++", n_init=20, seed=0):
    """Labels of min Σ_k Σ_{i∈G_k} ‖X_i − μ_k‖², the best of n_init starts."""
    labels = []
    for i, x in enumerate(to_host(X)):
        model = KMeans(K, init=init, n_init=n_init, random_state=seed * len(X) + i)
        labels.append(model.fit_predict(x).astype(int))
    return to_device(np.stack(labels))


def spectral_labels(Z, K):
    """K-means on the rows of the K leading eigenvectors of Σ_k Z_k."""
    _, Q = xp.linalg.eigh(xp.sum(Z, axis=1))
    return k_means(Q[..., -K:], K, n_init=10)


# %% [markdown]
# **The covariance step**, $\Sigma_k=S_k/n_k$ kept above $\epsilon_0T$ with $\epsilon_0=10^{-3}$ and the
# covariance $T=LL^\top$ of all points.

# %%
def floored(S, X):
    """Maximiser of the likelihood among Σ ⪰ ε₀ T = ε₀ LLᵀ: eigenvalues of L⁻¹SL⁻ᵀ at least ε₀."""
    centred = X - xp.mean(X, axis=1, keepdims=True)
    L = xp.linalg.cholesky(transpose(centred) @ centred / X.shape[1])[:, None]
    half = xp.linalg.solve(L, S)
    lam, Q = xp.linalg.eigh(xp.linalg.solve(L, transpose(half)))
    root = L @ Q
    return root * xp.maximum(lam, xp.asarray(1e-3))[..., None, :] @ transpose(root)


def covariances(X, Z):
    """Σ_k = Xᵀ{diag(Z_k 1) − Z_k}X / 1ᵀZ_k 1, eigenvalues at least ε₀."""
    mass = xp.sum(Z, axis=-1)
    S = transpose(X)[:, None] @ (mass[..., None] * X[:, None] - Z @ X[:, None])
    n = xp.maximum(xp.sum(mass, axis=-1), xp.asarray(1.0))
    return floored(S / n[..., None, None], X)


# %% [markdown]
# **iLA-SDP.** Each round starts the solver where the last one stopped, and so needs only a few dozen
# steps. A run ends when its labels repeat, or when a group has lost all but one of its points.

# %%
def ila_sdp(X, labels, K, soft=False, rounds=12, steps=200, tol=4e-3):
    """Repeat Σ_k from Z_k, Z_k from LA-SDP(Σ_k), l_i = argmax_k (Z_k 1)_i until l repeats."""
    labels, Z = xp.asarray(labels, copy=True), lift(indicators(labels, K))
    value = xp.full((rounds + 1, X.shape[0]), xp.nan)
    value[0] = objective(costs(X, covariances(X, Z)), Z)
    active, state = xp.arange(X.shape[0]), None
    for t in progress(range(1, rounds + 1), "iLA-SDP rounds"):
        C = costs(X[active], covariances(X[active], Z[active]))
        relaxed, state = sdp(C, state=state, steps=steps, tol=tol)
        value[t, active] = objective(C, relaxed)
        new = mass_labels(relaxed)
        A = indicators(new, K)
        going = xp.any(new != labels[active], axis=1) & xp.all(xp.sum(A, axis=-1) > 1, axis=1)
        labels[active] = new
        Z[active] = relaxed if soft else lift(A)
        active, state = active[going], state[going]
        if not active.shape[0]:
            break
    return labels, Z, value


# %% [markdown]
# **The rivals.** EM and its hard-assignment form, classification EM (CEM), start from the same labels
# and use the same floor. CEM maximises *exactly* the likelihood {eq}`ila-objective` of iLA-SDP, by local
# moves; EM maximises the mixture likelihood with group weights $\pi_k=n_k/n$ and soft memberships
# $R_{ki}\propto\pi_k\,N(X_i;\mu_k,\Sigma_k)$, kept in logarithms until the last moment. Both rest on
# the *deviance* $\log|\Sigma_k|+\|X_i-\mu_k\|^2_{\Sigma_k^{-1}}$, whose arg min under the true
# parameters is also the best any method could do here, the oracle (quadratic discriminant analysis).

# %%
def deviances(X, mu, Sigma):
    """log|Σ_k| + (X_i − μ_k)ᵀ Σ_k⁻¹ (X_i − μ_k)."""
    Y, logdet = whiten(X[:, None] - mu[:, :, None], Sigma)
    return xp.sum(Y**2, axis=-1) + logdet[..., None]


def moments(X, R):
    """n_k = Σ_i R_ki, μ_k = Σ_i R_ki X_i / n_k and Σ_k, the covariance under the weights R_ki."""
    n = xp.maximum(xp.sum(R, axis=-1, keepdims=True), xp.asarray(1e-300))
    mu = R @ X / n
    centred = X[:, None] - mu[:, :, None]
    S = transpose(centred * R[..., None]) @ centred / n[..., None]
    return n, mu, floored(S, X)


# %%
def em(X, labels, K, hard=False, steps=200):
    """Repeat μ_k, Σ_k from R and R_ki ∝ n_k N(X_i; μ_k, Σ_k), or the arg max of N if hard."""
    R = indicators(labels, K)
    for _ in range(steps):
        old = R
        n, mu, Sigma = moments(X, R)
        empty = xp.sum(R, axis=-1, keepdims=True) == 0  # nothing may join such a group
        log_p = xp.where(empty, -xp.inf, -deviances(X, mu, Sigma) / 2)
        if hard:
            R = indicators(xp.argmax(log_p, axis=1), K)
        else:
            log_p = log_p + xp.log(n)
            R = xp.exp(log_p - xp.max(log_p, axis=1, keepdims=True))
            R = R / xp.sum(R, axis=1, keepdims=True)
        if float(xp.max(xp.abs(R - old))) < 1e-6:
            break
    return xp.argmax(R, axis=1)


# %% [markdown]
# Data sets are drawn group by group, $X_i=\mu_k+L_k\varepsilon_i$, and errors are counted under the
# best naming of the clusters (a linear assignment on the table of label pairs).

# %%
def draw(seeds, mu, Sigma, m):
    """X_i = μ_k + L_k ε_i with m points in each group: one data set for each seed."""
    truth = xp.repeat(xp.arange(len(mu)), m)
    L = xp.linalg.cholesky(xp.asarray(Sigma))
    shape = (truth.shape[0], len(mu[0]), 1)
    noise = xp.stack([generator(seed).standard_normal(shape) for seed in seeds])
    return xp.asarray(mu)[truth] + (L[truth] @ noise)[..., 0], truth


def errors(labels, truth):
    """min_π #{i : l_i ≠ π(truth_i)} / n for each data set."""
    return np.array([clustering_error(row, truth) for row in labels])


# %% [markdown]
# ## Experiments
#
# Every experiment has seeds of its own data (0, 1, 2, …); all seeds are reported, and all data sets of
# one experiment are solved in one batch.
#
# ### E1. Round clusters: a sharp threshold
#
# The background claim first. Four groups of 20 points in $\mathbb R^{20}$ share $\Sigma=I$; their
# centres lie on four axes, at the distance $\Delta=\lambda\bar\Delta$ from each other, with
# $\bar\Delta$ from item 6. All covariances are equal, so this is the K-means SDP: one block, $r=K$,
# spectral rounding. K-means competes twice, with a single random start (five of them for each data
# set, counted one by one) and with the best of 20.

# %%
K, p, m = 4, 20, scale(default=20, paper=50)
n = K * m
Delta_bar = 2 * np.sqrt((1 + np.sqrt(1 + K * p / (n * np.log(n)))) * np.log(n))
ratios = scale(default=(0.4, 0.6, 0.8, 1.0, 1.2), paper=np.round(np.linspace(0.2, 1.2, 11), 1))
seeds = range(scale(default=16, paper=50))

same = np.stack([np.eye(p)] * K)
drawn = [draw(seeds, q * Delta_bar / np.sqrt(2) * np.eye(K, p), same, m) for q in ratios]
X, truth = xp.concat([x for x, _ in drawn]), drawn[0][1]
identity = xp.broadcast_to(xp.eye(p), (X.shape[0], 1, p, p))
Z, _ = sdp(costs(X, identity), r=K)


# %%
def exact(labels):
    """Share of data sets whose partition is found without an error, for each λ."""
    return np.mean((errors(labels, truth) == 0).reshape(len(ratios), -1), axis=1)


single = [k_means(X, K, init="random", n_init=1, seed=start) for start in range(5)]
recovered = {
    "K-means SDP": exact(spectral_labels(Z, K)),
    "K-means, best of 20 starts": exact(k_means(X, K, init="random")),
    "K-means, one random start": np.mean([exact(labels) for labels in single], axis=0),
}

# %%
with figure(
    alt="Share of exactly recovered partitions against the separation. All three methods recover "
    "almost nothing up to 0.8. Then the K-means SDP and the best of 20 K-means starts rise on nearly "
    "the same curve; K-means with one random start stays clearly below.",
    caption="Exact recovery of four round clusters. The dashed line is the theory's threshold.",
) as ax:
    for (name, share), style in zip(recovered.items(), ("o-", "s--", "^-"), strict=True):
        ax.plot(ratios, share, style, label=name)
    ax.axvline(1, color=PALETTE["black"], linestyle="--", linewidth=1)
    ax.set(xlabel="separation λ = Δ / Δ̄", ylabel="share recovered exactly", ylim=(-0.04, 1.04))
    ax.legend(loc="upper left")
table(
    [[name, *share] for name, share in recovered.items()],
    ["method", *(f"λ = {q:.2g}" for q in ratios)],
    f"Share of data sets recovered exactly, {len(seeds)} seeds",
)

# %%
share = ", ".join(f"{s:.2f}" for s in recovered["K-means SDP"])
say(f"""The threshold is where it should be: the shares recovered by the K-means SDP are {share}. The surprise is
the dashed curve, K-means with 20 starts, which differs from the SDP's by at most
{np.max(abs(recovered["K-means SDP"] - recovered["K-means, best of 20 starts"])):.2f}: here the convex program buys
the certainty of the global optimum, not a better one. What it saves is the luck: a single random start recovers a
share of {recovered["K-means, one random start"][-1]:.2f} where the groups are furthest apart.""")

# %%
sdp_share, single_share = recovered["K-means SDP"], recovered["K-means, one random start"]
at = dict(zip(map(float, ratios), range(len(ratios)), strict=True))
count = len(seeds)
for id, q, bound in (
    ("C6.a", 1.2, {"at_least": 0.75}),
    ("C6.b", 0.4, {"at_most": 0.15}),
    ("C6.c", 0.6, {"at_most": 0.15}),
):
    statement = f"E1: share of data sets that the K-means SDP recovers at λ = {q}"
    claims.check(id, statement, measured=sdp_share[at[q]], **bound, seeds=count)
statement = "E1: largest fall of that share from one λ to the next"
fall = max(0.0, -np.min(np.diff(sdp_share)))
claims.check("C6.d", statement, measured=fall, at_most=1 / 8, seeds=count)
statement = "E1: lead of the K-means SDP over K-means with one random start at λ = 1.2"
lead = (sdp_share - single_share)[at[1.2]]
claims.check("C6.e", statement, measured=lead, at_least=0.1, seeds=count)


# %% [markdown]
# ### E2. Crossing ellipses, covariances known
#
# Two groups of 40 points in $\mathbb R^4$ lie across each other: centres $0$ and $(2,2,0,0)$,
# covariances $\operatorname{diag}(16,\tfrac14,1,1)$ and $\operatorname{diag}(\tfrac14,16,1,1)$. K-means
# and its SDP see two centres close together; only the shapes tell the groups apart. LA-SDP is given the
# true covariances, and nothing else.

# %%
def crossing(p):
    """μ and Σ of two ellipses that cross in the first two of p coordinates."""
    mu, rest = np.zeros((2, p)), np.ones(p - 2)
    mu[1, :2] = 2
    return mu, np.stack([np.diag([16, 0.25, *rest]), np.diag([0.25, 16, *rest])])


mu, Sigma = map(xp.asarray, crossing(4))
seeds, m = range(10), scale(default=40, paper=200)
X, truth = draw(seeds, mu, Sigma, m)
C = costs(X, Sigma[None])
Z, state = sdp(C, steps=1000, tol=5e-4)
plain = costs(X, xp.eye(4)[None, None])  # one block: covariance I for all
Z_plain, _ = sdp(plain, r=2, tol=1e-3)
labels = {
    "oracle (true parameters)": xp.argmin(deviances(X, mu[None], Sigma[None]), axis=1),
    "LA-SDP (true covariances)": mass_labels(Z),
    "K-means SDP": spectral_labels(Z_plain, 2),
    "K-means, best of 20 starts": k_means(X, 2),
}

# %%
error = {name: errors(found, truth) for name, found in labels.items()}
table(
    [[name, 100 * np.mean(e), 100 * np.min(e), 100 * np.max(e)] for name, e in error.items()],
    ["method", "mean error (%)", "smallest", "largest"],
    f"Misclustered points of the crossing ellipses, {len(seeds)} seeds",
)

# %%
x, g = to_host(X[0]), to_host(truth)
order = np.lexsort((np.where(g == 0, x[:, 0], x[:, 1]), g))  # by group, then along its ellipse
found = to_host(labels["LA-SDP (true covariances)"][0])
pictures = {"$Z_1$": Z[0, 0], "$Z_2$": Z[0, 1], "K-means SDP": Z_plain[0, 0]}
with figure(
    1,
    4,
    width=8.4,
    height=2.5,
    alt="First panel: two clouds of points, one stretched along each axis, crossing off centre, "
    "with a few wrong labels where they cross. Second and third: the first membership matrix is "
    "flat and full on most of the first group's block, the second on most of the other's; for the "
    "points in the middle of each ellipse both are patchy. Fourth: the K-means SDP's matrix joins "
    "only the points of one arm of each ellipse and blurs the rest.",
    caption="Seed 0. Left: the data, coloured by LA-SDP; rings mark errors. Right: membership "
    "matrices times the group size, points sorted by true group and then along its ellipse.",
) as axes:
    for k, colour in enumerate((PALETTE["blue"], PALETTE["orange"])):
        axes[0].plot(*x[found == k, :2].T, "o", color=colour, markersize=3)
    axes[0].plot(*x[found != g, :2].T, "o", color=PALETTE["black"], markersize=8, fillstyle="none")
    axes[0].set(xlabel="coordinate 1", ylabel="coordinate 2", title="labels")
    for ax, (name, picture) in zip(axes[1:], pictures.items(), strict=True):
        ax.imshow(to_host(picture)[np.ix_(order, order)] * m, vmin=0, vmax=1)
        ax.set(xlabel="point j", ylabel="point i", title=name)
        ax.grid(False)

# %% [markdown]
# LA-SDP's error is close to the oracle's, while both methods that know only
# distances fail on many points, as they must: their criterion prefers another partition.
# The pictures show where the relaxation hesitates. For the outer points of either ellipse $Z_1$ and
# $Z_2$ have the flat block of an exact partition; for the points in the middle, where the ellipses
# cross, mass is shared between the groups, and only there is anything left to round. The K-means SDP sees
# nothing of this: it ties together the one arm of each ellipse that sticks out furthest, and blurs the
# rest.

# %%
excess = 100 * np.mean(error["LA-SDP (true covariances)"] - error["oracle (true parameters)"])
statement = "E2: mean error of LA-SDP above the oracle's"
claims.check("C2.a", statement, measured=excess, at_most=3, unit="%", seeds=len(seeds))
for id, name in (("C2.b", "K-means, best of 20 starts"), ("C2.c", "K-means SDP")):
    measured = 100 * np.mean(error[name])
    statement = f"E2: mean error of {name}"
    claims.check(id, statement, measured=measured, at_least=20, unit="%", seeds=len(seeds))

# %% [markdown]
# **Is this really the optimum?** The solver returns $N$, which is non-negative by construction; whether
# it meets the other constraints has to be measured. And since the true partition is feasible, a solver
# that works must not return a larger objective than the true partition's.

# %%
rows, traces, lam = xp.sum(Z, axis=(1, 3)), xp.linalg.trace(Z), xp.linalg.eigvalsh(Z)
value, value_true = objective(C, Z), objective(C, lift(indicators(truth[None], 2)))
excess = 100 * xp.max(value / value_true - 1)
for id, what, measured, bound in (
    ("C1.a", "largest |Σ_k Z_k 1 − 1|", xp.max(xp.abs(rows - 1)), {"at_most": 0.02}),
    ("C1.b", "largest |tr Z_k − 1|", xp.max(xp.abs(traces - 1)), {"at_most": 0.02}),
    ("C1.c", "smallest eigenvalue of any Z_k", xp.min(lam), {"at_least": -0.01}),
    ("C1.d", "largest excess over the true partition", excess, {"at_most": 1, "unit": "%"}),
):
    claims.check(id, f"E2: {what}", measured=measured, **bound, seeds=len(seeds), own=True)


# %% [markdown]
# Duality says more: how far the value can be from the optimum, whatever the solver did. Take any
# $W_k\ge0$ and any $R_k=t_kI+\frac12(v1^\top+1v^\top)$. Every feasible $Z$ has
# $\langle W_k,Z_k\rangle\ge0$ and $\langle A,Z_k\rangle\ge\lambda_{\min}(A)\operatorname{tr}Z_k$, while
# $\sum_k\langle R_k,Z_k\rangle=\sum_k\langle R_k,Z^0_k\rangle$ is the same number for all matrices $Z^0$
# that satisfy the linear constraints. Hence
#
# $$
# \sum_k\langle C_k,Z_k\rangle\ \ge\ \sum_k\langle R_k,Z^0_k\rangle
# +r\sum_k\lambda_{\min}(C_k-W_k-R_k)\qquad\text{for every feasible }Z .
# $$
#
# The solver's multipliers supply good choices: $W=-\rho V$, which is non-negative by its update, and
# $R$ the part of $G=C-W+\rho U$ at right angles to the feasible directions,
# $R=G-\Pi_{\rm affine}(G)+\Pi_{\rm affine}(0)$, with $Z^0=\Pi_{\rm affine}(0)$.

# %% tags=["hide-input"]
def certified_bound(C, state, r=1.0, rho=RHO):
    """Σ_k⟨R_k, Z⁰_k⟩ + r Σ_k λ_min(C_k − W_k − R_k), below every feasible objective."""
    unit = rho * spread(C)
    U, V = state[:, 1, 0], state[:, 1, 1]
    W = xp.maximum(-unit * V, xp.asarray(0.0))
    G = C - W + unit * U
    Z0 = project_affine(xp.zeros_like(C), r)
    R = G - project_affine(G, r) + Z0
    slack = xp.linalg.eigvalsh(C - W - R)[..., 0]
    return objective(R, Z0) + r * xp.sum(slack, axis=-1)


gap = 100 * xp.max(xp.abs(value / certified_bound(C, state) - 1))
statement = "E2: largest distance of the objective from the certified bound"
claims.check("C1.e", statement, measured=gap, at_most=1, unit="%", seeds=len(seeds), own=True)

# %% [markdown]
# So on every seed the objective is within one per cent of a number that no feasible point, and hence no
# partition, can fall below. The optimum is certified without trusting the solver. Note also what the
# negative number in C1.d says: the optimum lies *below* the true partition, because the groups overlap
# and the truth is not the likeliest partition.
#
# Two statements of the derivation can be checked just as sharply. The objective of the true partition
# must be the profiled likelihood, here evaluated by SciPy's Gaussian density at the group means. And
# with equal covariances LA-SDP must collapse: the value of the K-means SDP, and half of every point's
# mass for each of the two groups.

# %%
from scipy.stats import multivariate_normal as normal

parts = to_host(X).reshape(len(seeds), 2, m, 4)  # the points are sorted by group
direct = np.full(len(seeds), -2 * m * 4 * np.log(2 * np.pi))
for k, covariance in enumerate(to_host(Sigma)):
    density = [normal(y.mean(axis=0), covariance).logpdf(y) for y in parts[:, k]]
    direct -= 2 * np.sum(density, axis=1)
error_f = np.max(np.abs(to_host(value_true) / direct - 1))
statement = "E2: largest relative difference of objective and −2 log-likelihood, true partition"
claims.check("C1.f", statement, measured=error_f, at_most=1e-10, seeds=len(seeds))

# %%
equal = xp.concat([plain[:4], plain[:4]], axis=1)  # C_1 = C_2, four data sets
Z_equal, _ = sdp(equal, tol=1e-3)
ratio = objective(equal, Z_equal) / objective(plain[:4], Z_plain[:4])
difference = 100 * xp.max(xp.abs(ratio - 1))
statement = "equal covariances: largest difference in value, LA-SDP and K-means SDP"
claims.check("C1.g", statement, measured=difference, at_most=1, unit="%", seeds=4, own=True)
uneven = xp.max(xp.abs(xp.sum(Z_equal, axis=-1) - 0.5))
statement = "equal covariances: largest |(Z_k 1)_i − 1/2|"
claims.check("C1.h", statement, measured=uneven, at_most=0.01, seeds=4, own=True)


# %% [markdown]
# ### E3. Crossing ellipses, covariances unknown
#
# The same design, twenty data sets, and now nobody is told the covariances. iLA-SDP, CEM and EM all start from the
# same labels: those of K-means and, on the first three data sets, those of the K-means SDP and the true
# labels with 20 % or 40 % of them flipped at random.

# %%
def flipped(truth, share, seed):
    """The true labels of two groups, each flipped with probability `share`."""
    flip = xp.astype(generator(seed).random(truth.shape[0]) < share, truth.dtype)
    return xp.abs(truth - flip)


first, (X, truth) = range(3), draw(range(20), mu, Sigma, m)
starts = {
    "K-means": k_means(X, 2),
    "K-means SDP": labels["K-means SDP"][:3],
    "20 % flipped": xp.stack([flipped(truth, 0.2, 1000 + seed) for seed in first]),
    "40 % flipped": xp.stack([flipped(truth, 0.4, 1000 + seed) for seed in first]),
}
X_runs = xp.concat([X[: len(start)] for start in starts.values()])
start = xp.concat(list(starts.values()))
rounded, _, value_rounded = ila_sdp(X_runs, start, 2)
soft, _, value_soft = ila_sdp(X_runs, start, 2, soft=True)

# %%
found = {
    "start": start,
    "iLA-SDP": rounded,
    "iLA-SDP, soft": soft,
    "CEM": em(X_runs, start, 2, hard=True),
    "EM": em(X_runs, start, 2),
}
run_error = {name: errors(run, truth) for name, run in found.items()}
ends = np.cumsum([0, *map(len, starts.values())])
runs = {name: slice(*ends[k : k + 2]) for k, name in enumerate(starts)}
table(
    [[name, *(100 * np.mean(e[part]) for e in run_error.values())] for name, part in runs.items()],
    ["start", *run_error],
    "Mean error (%) by start and method (20, 3, 3 and 3 data sets)",
)

# %%
methods = dict(zip(run_error, ("black", "blue", "sky", "orange", "vermilion"), strict=True))
with figure(
    alt="Errors of five methods for four starts, one dot per data set. From K-means most runs of "
    "iLA-SDP and of its soft variant lie near ten per cent or below, with some above twenty; CEM is "
    "spread more widely, EM less.",
    caption="Error of each run (dots) and mean (bars) by start; the black dots are the starts.",
) as ax:
    for shift, (name, colour) in zip(np.linspace(-0.3, 0.3, 5), methods.items(), strict=True):
        for place, part in enumerate(runs.values()):
            e = 100 * run_error[name][part]
            label = name if place == 0 else None
            style = {"color": PALETTE[colour], "label": label}
            ax.plot(place + shift + np.linspace(-0.04, 0.04, len(e)), e, "o", **style)
            ax.hlines(np.mean(e), place + shift - 0.06, place + shift + 0.06, color=PALETTE[colour])
    ax.set_xticks(range(4), starts)
    ax.set(xlabel="start", ylabel="misclustered (%)", ylim=(0, 60))
    ax.legend(ncols=3, loc="upper center")


# %% [markdown]
# Three things stand out. First, shapes matter: from the same K-means labels, both variants of iLA-SDP
# cut the error. Second, against CEM, which climbs the same likelihood by moving points
# to the nearest group, the global step pays where the start is a clustering. Third, EM wins from K-means labels:
# most runs of iLA-SDP are as good as EM's, and a few did not move far from their start.
#
# Are those few the fault of the criterion, or were they trapped? The objective tells. If a run ends in a
# partition that is *less* likely than the true one, a better one was there and was missed.

# %%
def partition_objective(X, labels, K):
    """Σ_k⟨C_k, Z_k⟩ of a partition with its own covariances: −2 log-likelihood, profiled."""
    Z = lift(indicators(labels, K))
    return objective(costs(X, covariances(X, Z)), Z)


level = partition_objective(X_runs, xp.broadcast_to(truth, start.shape), 2)
trapped = {
    name: to_host(partition_objective(X_runs, run, 2) > level) for name, run in found.items()
}
table(
    [
        [name, *(f"{np.sum(t[part])} of {len(t[part])}" for t in trapped.values())]
        for name, part in runs.items()
    ],
    ["start", *trapped],
    "Trapped runs: those that end with a partition less likely than the true one",
)

# %% [markdown]
# Trapped, then. LA-SDP is convex for given covariances, and the covariance step is exact for given
# memberships, but the two together are not convex, and alternating between them can stall like any other
# alternation: bad labels give two similar covariances, similar covariances give the labels back. The
# global step in $Z$ makes this rarer than for CEM but does not abolish it. EM's soft memberships,
# which commit to nothing before the end, escape more often still.

# %%
mean = {name: 100 * np.mean(e[runs["K-means"]]) for name, e in run_error.items()}
part = runs["K-means"]
share = {name: 100 * np.mean(t[part]) for name, t in trapped.items()}
why, words = "EM is trapped less often on these data", "E3, from K-means labels: "
for id, what, numbers, name, rival, bound in (
    ("C4.a", "mean error", mean, "iLA-SDP", "start", {"at_most": -5}),
    ("C4.b", "mean error", mean, "iLA-SDP", "CEM", {"at_most": 1}),
    ("C4.c", "mean error", mean, "iLA-SDP", "EM", {"at_most": 0, "not_reproduced": why}),
    ("C4.g", "mean error", mean, "iLA-SDP", "EM", {"at_most": 15, "own": True}),
    ("C4.f", "mean error", mean, "iLA-SDP, soft", "CEM", {"at_most": -3, "own": True}),
    ("C4.d", "share of trapped runs", share, "iLA-SDP, soft", "CEM", {"at_most": -10, "own": True}),
):
    statement = f"{words}{what}, {name} minus {rival.replace('start', 'K-means itself')}"
    difference = numbers[name] - numbers[rival]
    claims.check(id, statement, measured=difference, unit="%", seeds=20, **bound)
claims.report_value(
    "C4.e", f"{words}share of trapped runs, iLA-SDP minus EM",
    measured=share["iLA-SDP"] - share["EM"], unit="%", seeds=20, own=True,
)  # fmt: skip

# %% [markdown]
# The likelihood does not depend on the units of the coordinates, and nor should the labels. We multiply the
# coordinates of three data sets by 1, 8, ¼ and 2 and start again from the same labels.

# %%
rescaled, _, _ = ila_sdp(X[:3] * xp.asarray([1, 8, 0.25, 2]), start[:3], 2)
changed = int(xp.sum(rescaled != rounded[:3]))
statement = "E3: labels that iLA-SDP changes in other units, of 240"
claims.check("C1.i", statement, measured=changed, equals=0, seeds=3, own=True)


# %% [markdown]
# How the objective moves from round to round separates the two variants:

# %%
def carried(value):
    """The values of each run, the last one repeated after the run has ended."""
    last = np.maximum.accumulate(np.where(np.isnan(value), 0, np.arange(len(value))[:, None]))
    return np.take_along_axis(value, last, axis=0)


part = runs["K-means"]
soft_path, rounded_path = (carried(to_host(v)[:, part]) for v in (value_soft, value_rounded))
table(
    [
        [str(t), np.mean(a), np.mean(b), int(np.sum(np.isfinite(to_host(value_soft)[t, part])))]
        for t, (a, b) in enumerate(zip(soft_path, rounded_path, strict=True))
    ],
    ["round", "soft", "rounded", "soft runs still going"],
    "Objective Σ⟨C_k, Z_k⟩, mean of 20 data sets from K-means (round 0: the start itself)",
)


# %%
def largest_increase(value):
    """Largest (F_{t+1} − F_t) / |F_t| over the rounds of each run, in per cent."""
    value = to_host(value)
    return 100 * np.nanmax(np.diff(value, axis=0) / np.abs(value[:-1]), axis=0)


rise = largest_increase(value_soft)
statement = "E3: largest rise of the soft objective in a round, mean of 29 runs"
wobble = rise.std(ddof=1) / np.sqrt(len(rise))
claims.check("C5.a", statement, measured=rise.mean(), at_most=0, unit="%", spread=wobble, own=True)
statement = "E3: largest rise of the soft objective in a round, 29 runs"
claims.check("C5.c", statement, measured=rise.max(), at_most=1, unit="%", seeds=20, own=True)
say(f"For the rounded variant the largest rise is {largest_increase(value_rounded).max():.2f} %.")

# %% [markdown]
# The soft variant goes down in every round, as its derivation promises, up to the accuracy at which the
# program is solved; the rounded one, which has no such promise, rises a little at times. From K-means
# labels the soft variant also ends lower in the mean, in the objective as in the error: on these data
# there is no reason to prefer rounding. The soft variant has one blind
# spot, though. From the K-means SDP's own $Z_k=Z/K$ it would get $K$ equal covariances, hence equal
# costs, hence $Z_k=Z/K$ again; it has to be started from labels, as we do.
#
# ### E4. A trap for centres
#
# Three groups of 20 points in $\mathbb R^6$, well separated, with centres at 0, 7 and 30 on the first
# axis and different shapes. This is the classical trap: whoever starts with two centres in the far group
# and one between the other two is stuck, because no small move of a centre improves anything. EM and
# K-means get ten single random starts for each of the ten data sets ($K$ random points, every point
# joins the nearest). The K-means SDP and iLA-SDP need no start.

# %%
K, m, seeds = 3, scale(default=20, paper=200), range(10)
mu, Sigma = np.zeros((K, 6)), np.stack([np.eye(6)] * K)
mu[:, 0] = 0, 7, 30
Sigma[1, [1, 2], [1, 2]], Sigma[2, 0, 0] = 6, 9
X, truth = draw(seeds, mu, Sigma, m)
Z_plain, _ = sdp(costs(X, xp.eye(6)[None, None]), r=K)
from_sdp = spectral_labels(Z_plain, K)
from_ila, _, _ = ila_sdp(X, from_sdp, K)


# %%
def random_starts(x, K, count, seed):
    """l_i = argmin_k ‖x_i − c_k‖ for K points c_k of x chosen at random, `count` times."""
    indices = np.tile(np.arange(x.shape[0]), (count, 1))
    c = x[generator(seed).permuted(indices, axis=1)[:, :K]]
    return xp.argmin(xp.sum((x - c[:, :, None]) ** 2, axis=-1), axis=1)


starts = xp.stack([random_starts(x, K, 10, 2000 + seed) for seed, x in zip(seeds, X, strict=True)])
each = xp.repeat(xp.arange(10), 10)  # ten starts for each data set
tries = xp.reshape(starts, (100, -1))
from_random = {
    "K-means, one random start": xp.concat(
        [k_means(X, K, init="random", n_init=1, seed=start) for start in range(10)]
    ),
    "CEM, one random start": em(X[each], tries, K, hard=True),
    "EM, one random start": em(X[each], tries, K),
    "iLA-SDP, one random start": ila_sdp(X, starts[:, 0], K)[0],
}

# %% [markdown]
# A run fails if it misclusters more than a tenth of the points. The last row of the table is a trial of
# ours: iLA-SDP, robbed of its convex first step and given one random start for each data set.

# %%
trap = {"K-means SDP": errors(from_sdp, truth), "iLA-SDP": errors(from_ila, truth)}
trap |= {name: errors(run, truth) for name, run in from_random.items()}
table(
    [
        [name, len(e), 100 * np.mean(e), 100 * np.max(e), 100 * np.mean(e > 0.1)]
        for name, e in trap.items()
    ],
    ["method", "runs", "mean error (%)", "largest error (%)", "failed runs (%)"],
    "Three groups with centres at 0, 7 and 30",
)

# %%
runs_0 = from_random["EM, one random start"][:10]
worst = runs_0[int(np.argmax(errors(runs_0, truth)))]
relaxed_labels, Z, _ = ila_sdp(X[:1], from_sdp[:1], K, soft=True)
x = to_host(X[0])


def left_to_right(labels):
    """The groups in the order of their means on the first axis, so that colours agree."""
    return sorted(range(K), key=lambda k: x[labels == k, 0].mean())


order = left_to_right(to_host(relaxed_labels[0]))

# %%
with figure(
    2,
    3,
    height=5.0,
    alt="Top: the same three groups on a line, coloured by truth, by a trapped EM run, which "
    "merges the two groups on the left and splits the one on the right, and by iLA-SDP, which "
    "agrees with the truth. Bottom: each of the three membership matrices fills the diagonal "
    "block of one group and is empty elsewhere, but for one faint row and column.",
    caption="Seed 0. Top: the truth, the worst of ten EM runs, and iLA-SDP. Bottom: the relaxed "
    "membership matrices times the group size, points sorted by true group.",
) as axes:
    views = {"truth": truth, "EM, trapped": worst, "iLA-SDP": from_ila[0]}
    for k, (ax, (name, view)) in enumerate(zip(axes[0], views.items(), strict=True)):
        view = to_host(view)
        for group, colour in zip(left_to_right(view), ("blue", "orange", "green"), strict=True):
            ax.plot(*x[view == group, :2].T, "o", color=PALETTE[colour], markersize=3)
        ax.set(xlabel="coordinate 1", ylabel="coordinate 2", title=name)
        axes[1, k].imshow(to_host(Z[0, order[k]]) * m, vmin=0, vmax=1)
        axes[1, k].set(xlabel="point j", ylabel="point i", title=f"$Z_{k + 1}$")
        axes[1, k].grid(False)

# %% [markdown]
# Many EM and K-means runs end in the trap (last column); the K-means SDP and iLA-SDP do not. This is the paper's case at its clearest. The last row of the table shows to what
# it is owed: iLA-SDP from a random start is trapped too, because a group that begins as the
# union of two gets one elongated covariance that fits the union well. It is the first, convex step with
# equal covariances that avoids the trap. The membership matrices below the scatter plots are partitions
# already, but for one point that lends a little of its mass to a neighbour.

# %%
for id, name in (("C3.a", "K-means SDP"), ("C3.b", "iLA-SDP")):
    largest = 100 * np.max(trap[name])
    claims.check(
        id, f"E4: largest error of {name}", measured=largest, at_most=2, unit="%", seeds=10
    )
failed = 100 * np.mean(trap["EM, one random start"] > 0.1)
statement = "E4: share of EM runs from one random start that fail"
claims.check("C3.c", statement, measured=failed, at_least=40, unit="%", seeds=10)

# %% [markdown]
# ### E5. Iris
#
# 150 flowers of three species, four lengths each, standardised. The truth is known, but no threshold was
# set: this is a look at real data, not a test. To learn how much hangs on the start, iLA-SDP runs twice:
# from the K-means SDP's labels, and from the same labels with one flower moved, the one whose distances
# to its two nearest group means differ least.

# %%
iris = load_table("iris")
truth, K = iris.target, 3
x = (iris.data - iris.data.mean(axis=0)) / iris.data.std(axis=0)
X = to_device(x)[None]
Z, _ = sdp(costs(X, xp.eye(4)[None, None]), r=K)
from_sdp = spectral_labels(Z, K)
_, means, _ = moments(X, indicators(from_sdp, K))
distance = xp.sqrt(xp.sum((X[0] - means[0][:, None]) ** 2, axis=-1))
near, second = xp.sort(distance, axis=0)[:2]
flower = int(xp.argmin(second - near))
moved = xp.asarray(from_sdp, copy=True)
moved[0, flower] = xp.argsort(distance[:, flower])[1]
both, _, _ = ila_sdp(xp.concat([X, X]), xp.concat([from_sdp, moved]), K, tol=5e-3)

# %%
mixture = GaussianMixture(K, n_init=10, random_state=0).fit_predict(x)
species = {
    "K-means, best of 20 starts": k_means(X, K),
    "K-means SDP": from_sdp,
    "iLA-SDP from the K-means SDP": both[:1],
    "iLA-SDP from the same, one flower moved": both[1:],
    "CEM from the K-means SDP": em(X, from_sdp, K, hard=True),
    "EM from the K-means SDP": em(X, from_sdp, K),
    "EM, best of 10 starts (scikit-learn)": to_device(mixture)[None],
    "the species themselves": to_device(truth)[None],
}

# %%
table(
    [
        [name, 100 * errors(run, truth)[0], float(partition_objective(X, run, K)[0])]
        for name, run in species.items()
    ],
    ["method", "misclustered (%)", "−2 log-likelihood"],
    "Iris, standardised: errors, and the objective that iLA-SDP and CEM minimise",
)

# %% [markdown]
# Two starts that differ in one flower out of 150 may end apart, and the right column says which of two runs has
# found the likelier partition: one that stops at a larger value is in a trap like those of E3. Which of
# the two starts is the lucky one is an accident, so no ranking of iLA-SDP and
# EM should be read into this table. Its lesson is that modelling the shapes pays if the search gets through.
#
# ### E6. More dimensions
#
# The crossing ellipses of E2 with noise coordinates added, $N(0,1)$ in both groups, up to $p=32$; three
# seeds. LA-SDP knows the covariances; EM and iLA-SDP, from K-means labels, have to estimate
# $p(p+1)/2$ numbers for each group of 40 points. (iLA-SDP runs at $p=4$ and 16 only.)

# %%
dimensions, seeds = (4, 8, 16, 32), range(3)
precise = {"steps": 1500, "tol": 1e-4}  # before the search is blamed, the program is solved
names = ("oracle", "LA-SDP, true covariances", "K-means", "EM", "iLA-SDP", "iLA-SDP, soft")
by_dimension = {name: {} for name in names}
for name in names[4:]:  # p = 4 is E3 again
    by_dimension[name][4] = 100 * np.mean(run_error[name][first])
for p in progress(dimensions, "dimensions"):
    mu, Sigma = map(xp.asarray, crossing(p))
    X, truth = draw(seeds, mu, Sigma, scale(default=40, paper=200))
    k_means_labels = k_means(X, 2)
    results = [
        xp.argmin(deviances(X, mu[None], Sigma[None]), axis=1),
        mass_labels(sdp(costs(X, Sigma[None]))[0]),
        k_means_labels,
        em(X, k_means_labels, 2),
    ]
    if p == 16:
        soft, _, value_soft = ila_sdp(X, k_means_labels, 2, soft=True, **precise)
        true_labels = xp.broadcast_to(truth, k_means_labels.shape)
        from_truth, _, _ = ila_sdp(X, true_labels, 2, **precise)
        results += [ila_sdp(X, k_means_labels, 2, **precise)[0], soft]
        wide = X, true_labels, results[-2], from_truth
    for name, run in zip(names, results, strict=False):
        by_dimension[name][p] = 100 * np.mean(errors(run, truth))

# %%
with figure(
    alt="Mean error against the dimension, 4 to 32. The oracle and LA-SDP with true covariances "
    "stay low throughout. K-means lies far above. EM rises from a low error at dimension 4 to that "
    "of K-means at 16 and 32; iLA-SDP and its soft variant rise, too.",
    caption="Crossing ellipses with noise coordinates: mean error over three seeds.",
) as ax:
    for (name, e), marker in zip(by_dimension.items(), "os^vDP", strict=True):
        ax.plot(list(e), list(e.values()), marker=marker, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(dimensions, dimensions)
    ax.set(xlabel="dimension p", ylabel="misclustered (%)", ylim=(0, 45))
    ax.legend(ncols=2, loc="upper left")
table(
    [[name, *(e.get(p, "–") for p in dimensions)] for name, e in by_dimension.items()],
    ["method", *(f"p = {p}" for p in dimensions)],
    "Mean error (%) by dimension, three seeds",
)

# %% [markdown]
# Given the covariances, LA-SDP hardly notices the extra dimensions. Given only the data, EM and iLA-SDP meet at
# the level of K-means by $p=16$. Is the criterion to blame, with 40 points and 136 free numbers for each
# covariance, or the search? Again the objective tells.

# %%
x, true_labels, ended, from_truth = wide
level, end = (to_host(partition_objective(x, run, 2)) for run in (true_labels, ended))
lost, kept = (100 * np.mean(errors(run, true_labels[0])) for run in (ended, from_truth))
claims.check("C4.h", "E6, p = 16: mean error from K-means labels minus that from the true labels",
             measured=lost - kept, at_least=10, unit="%", seeds=3, own=True)  # fmt: skip
say(f"""From K-means labels the runs end {", ".join(f"{d:+.0f}" for d in end - level)} units from the objective of the
true partition. {np.sum(end > level)} of the three stopped at a partition *less* likely than the truth: the search is
to blame. {np.sum(end < level)} found a wrong partition that is *likelier*: there the criterion is, with so many free
numbers. Started from the true labels, iLA-SDP stays close to them, at a mean error of {kept:.1f} %.""")

# %% [markdown]
# So at this size both give way, now one and now the other, and the start decides where the iteration ends:
# the covariances of a start confirm the labels they were computed from. The paper's stability in growing
# dimension must rest on a setting with more points, closer shapes or better starts than ours.

# %%
rise = largest_increase(value_soft).max()
statement = "E6, p = 16: largest rise of the soft objective in a round"
claims.check("C5.b", statement, measured=rise, at_most=1, unit="%", seeds=len(seeds), own=True)

# %% [markdown]
# ## Verdict
#
# What is claimed about the *program* holds: it is the likelihood, it is solved to a
# certified optimum, it beats K-means and the K-means SDP where shapes differ, and its convex first step
# walks past traps that hold EM. The *iteration* beats K-means and CEM; against EM, from the same labels, it does
# not on our data, and that number stands in the table as not reproduced.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# - **Stability in growing dimension** (item 4's second half in the paper). Three data sets for each dimension are
#   too few for a verdict, and our designs are not the paper's.
# - **The paper's simulation grids, tables and real data sets** were not available to us.
# - **The exact-recovery theorem** for LA-SDP and its constants. E1 tests the older theorem for equal
#   covariances only.
# - **The solver.** SDP problems of this kind are usually given to SDPNAL+; ours is a plain ADMM, and the
#   certified bound of E2 stands in for its stopping rule. The factorisation for large $n$ is not implemented, and
#   wine and digits, which the paper scale might hold, are not run.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells run the phase transition of E1 with 200 points, 11
# separations and 50 seeds, and E2–E4 and E6 with 200 points in each group. Most of the time
# goes into the projections of $K$ matrices of size $n\times n$ for each data set and step, batched over everything
# that is still running. A whole eigendecomposition takes about $10n^3$ operations, the search among LA-SDP's sixteen vectors
# fewer than $100n^2$; the rest reads and writes those matrices a few times. None of this has been run on a
# GPU yet. For $n$ in the thousands the matrices themselves become the obstacle, and one would replace $Z_k$ by $U_kU_k^\top$ with a
# thin non-negative $U_k$ (Burer and Monteiro's factorisation), which gives up convexity; we have not
# implemented that.
