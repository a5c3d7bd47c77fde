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
# # Generative Marginalization Models
#
# ```{paper-card}
# ```
#
# Half of a form has been filled in. How likely are these answers, whatever the missing ones turn out to
# be? A model of complete forms can only reply by adding up its probabilities over all ways to fill the
# gaps, and their number doubles with every missing yes or no. An autoregressive model, which fills in one
# field after another, needs one call of its network for each field that is known, and it can be right only
# for the order in which it was trained to ask.
#
# {cite:t}`marginalization_models` train a second network that looks at the half-filled
# form and says the number directly. They call it a *marginalization model*, MaM for short. The network is
# never shown the right answer, which nobody knows. It is only asked to agree with itself: the probability of
# five answers must be that of four of them times that of the fifth given the four. In this chapter we train
# such networks on magnets so small that every one of their 65 536 states can be listed, where every marginal
# has an exact value. Then we train them on handwritten digits, where it has not.
#
# ## What the paper claims
#
# 1. An exact yardstick: the Ising model has a normaliser and an entropy that can be computed, which turns the
#    paper's likelihoods into true distances. This item is ours.
#    {claims}`C1.a, C1.b, C1.c, C1.d, C1.e, C1.f`
# 2. The model can be trained from an energy instead of data. On the Ising model on a 10 × 10 lattice, the
#    negative log-likelihood in bits per spin and the Kullback–Leibler divergence without $\log Z$ are 0.80 and
#    −77.77 for MaM; 0.79 and −78.63 for an autoregressive model in a fixed order (ARM); 0.78 and −78.17 for a
#    GFlowNet; 24.84 and −18.01 for ARM-MC (item 6). {claims}`C2.a, C2.b, C2.c, C2.d`
# 3. A network that takes a partially observed vector, with a symbol "?" for what is missing, and returns the
#    logarithm of its marginal probability gives any marginal in *one* forward pass, where an autoregressive model
#    of $D$ variables needs up to $D$. {claims}`C3.a, C3.b, C3.c, C3.d, C3.e`
# 4. One-step squared errors suffice to teach it consistency. On binary MNIST its values correlate with those
#    of an ensemble of any-order autoregressive models (AO-ARM) at a Spearman coefficient of 0.992 and a
#    Pearson coefficient of 0.993, in 0.018 s instead of 661.98 s for 16 images.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e`
# 5. The any-order model that teaches it is a good one. {claims}`C5`
# 6. *ARM-MC*, which replaces the sum over all $D$ conditionals by a random one of them, fails because the
#    variance of its gradient is extremely high. {claims}`C6.a, C6.b, C6.c, C6.d, C6.e`
# 7. On 10 × 10 spins the printed numbers of item 2 put MaM 0.92 nats from the target and the ARM 0.06.
#    {claims}`C7.a (paper), C7.b (paper), C7.c (paper)`
#
# Not tested here: the time of a marginal (0.000375 s instead of 0.529 s on 10 × 10 spins), molecules (MOSES, with
# coefficients of 0.998 and 0.995) and text (text8, 0.937 and 0.945), and 30 × 30 spins, where MaM reaches
# 0.835 bits per spin while ARM and GFlowNet do not fit into the same memory.
#
# These statements rest on the main text of the conference version with all its tables, without the appendix,
# and on the authors' code ([PrincetonLIPS/MaM](https://github.com/PrincetonLIPS/MaM)). Item 6 is a figure in
# the paper, so that there is no number to set beside ours.
#
# ## The idea
#
# **Two networks.** Let $x\in\{-1,1\}^D$ be a state of $D$ binary variables and write 0 for "?". For a set $s$
# of observed positions, $x_s$ is the vector in $\{-1,0,1\}^D$ that keeps the values in $s$ and has zeros
# elsewhere. A *marginal network* $f_\theta$ maps $x_s$ to one number, meant to be $\log p(x_s)$. A *conditional
# network* with $D$ outputs $l_\phi$ says what a further variable would be. As there are only two values,
# one logit for each position is enough,
#
# $$
# \log p_\phi(x_j\mid x_s)=\log\frac{1}{1+e^{-x_j\,l_{\phi,j}(x_s)}},\qquad j\notin s .
# $$ (eq-mam-conditional)
#
# **Agreement.** Let $\sigma$ be an ordering of the positions. We write $r_j$ for the rank of position $j$ in
# it, from 0 to $D-1$, and $x_{<d}$ for the vector that keeps the $d$ positions with $r_j<d$. The two networks
# describe one distribution if
#
# $$
# f_\theta(x_{<d})+\log p_\phi(x_{j}\mid x_{<d})=f_\theta(x_{<d+1}),\qquad r_j=d,
# $$ (eq-mam-consistency)
#
# for all orderings, states and $d$. Add these equations up along an ordering: $f_\theta(x)-f_\theta(?\dots?)$ is
# the sum of all log-conditionals, hence a normalised log-probability, and the same in every order. So every
# agreement over many steps follows from those over one step, and these are equations between just three
# numbers, two of which come from the network that is to be taught.
#
# **From data.** First the conditional network learns alone. For a random ordering and a random $d$ it pays for
# all positions that are not observed yet,
#
# $$
# \ell(\phi)=-E_{x,\sigma,d}\ \frac{D}{D-d}\sum_{j:\,r_j\ge d}\log p_\phi(x_j\mid x_{<d}) .
# $$ (eq-mam-ao)
#
# Given $\sigma$'s first $d$ positions, each of the others is equally likely to come next, so that the average
# over $j$ stands for the next one, and $D$ times the average over $d$ for the sum over all steps: $\ell$ is
# the expected $-\log p_\phi(x)$ along a random ordering. This is an AO-ARM. Then $\phi$ is frozen, and
# $f_\theta$ learns to agree with it,
#
# $$
# \ell(\theta)=E_{x\sim q,\sigma,d}\bigl[f_\theta(x_{<d})+\log p_\phi(x_j\mid x_{<d})-f_\theta(x_{<d+1})\bigr]^2
# +f_\theta(?\dots?)^2,
# $$ (eq-mam-theta)
#
# where $q$ is half data and half samples of the model, so that $f_\theta$ also sees states which the data lack.
#
# **From an energy.** Now there are no data. Instead the target is known up to its normaliser, $p^*(x)=f^*(x)/Z$
# with an explicit $\log f^*$. The divergence from the model to it,
# $\mathrm{KL}(p_\theta\Vert p^*)=E_{p_\theta}[\log p_\theta-\log f^*]+\log Z$, has the gradient
#
# $$
# E_{x\sim p_\theta}\bigl[R(x)\,\nabla_\theta\log p_\theta(x)\bigr],\qquad R(x)=\log p_\theta(x)-\log f^*(x),
# $$ (eq-mam-reinforce)
#
# because $E\,\nabla\log p_\theta=0$; for the same reason any constant may be taken off $R$. This is the
# score-function or REINFORCE gradient. The paper replaces $R$ by its standardised value $\bar R$ in the
# batch, treats that as a number without a derivative, draws the samples from $p_\phi$, and adds the
# consistency,
#
# $$
# \mathcal L=\frac1n\sum_{i}\bar R_i\,f_\theta(x_i)+\alpha\Bigl(D\cdot\frac1n\sum_{i}\text{gap}_i^2
# +\bigl(f_\theta(?\dots?)-D\log2\bigr)^2\Bigr),
# $$ (eq-mam-energy)
#
# where $\text{gap}_i$ is the difference of the two sides of {eq}`eq-mam-consistency` at one random
# $(\sigma,d)$ for each sample, and its gradient goes into both networks. The last term ties the free constant
# of $f_\theta$ to something of the right size. It does not normalise: probabilities are differences from
# $f_\theta(?\dots?)$. New samples need not cost $D$ passes. The batch persists, and each step erases the last
# four positions of a random ordering and draws them again from $p_\phi$: block Gibbs sampling. About once in
# 200 steps the batch is drawn from scratch.
#
# **The price in evaluations.** A sum of $D$ log-conditionals is $D$ rows through the network for each sample,
# with a gradient. Equation {eq}`eq-mam-energy` needs three rows of $f_\theta$ and one of $p_\phi$ whatever
# $D$ is. That is the point of the method for large $D$.
#
# **An exact yardstick.** Our target is the Ising model on an $L\times L$ lattice that is closed to a torus. With
# spins $x_i\in\{-1,1\}$ and the adjacency matrix times $\sigma_J$ as $J$, the paper's energy is
# $\log f^*(x)=x^\top Jx+b\sum_ix_i$. Since $x^\top Jx$ meets every bond twice,
#
# $$
# \log f^*(x)=2\sigma_J\sum_{\text{bonds }ij}x_ix_j+b\sum_ix_i .
# $$ (eq-mam-ising)
#
# Cut the torus into rows $y_1,\dots,y_L$. Let $h(y)=2\sigma_J\sum_jy_jy_{j+1}+b\sum_jy_j$ be the energy
# within a row. Giving each half of a row's energy to either side yields $\log f^*=\sum_k\log T(y_k,y_{k+1})$
# with the symmetric *transfer matrix*
#
# $$
# T(y,y')=\exp\bigl(\tfrac12h(y)+2\sigma_J\,y^\top y'+\tfrac12h(y')\bigr),\qquad
# Z=\sum_{y_1,\dots,y_L}\prod_kT(y_k,y_{k+1})=\operatorname{tr}T^L .
# $$ (eq-mam-transfer)
#
# The trace equals $\sum_i\lambda_i^L$ over the eigenvalues, but we need no eigenvalue: a matrix
# of order $2^L$ is multiplied a few times. The *entropy*, below which no code for $p^*$ can go, is
# $H=-E\log p^*=\log Z-E\log f^*$, and by the symmetry of the rows $E\log f^*=L\,E\log T(y_1,y_2)$:
#
# $$
# H=\log Z-\frac{L}{Z}\sum_{y,y'}(T^{L-1})_{y'y}\,T(y,y')\log T(y,y').
# $$ (eq-mam-entropy)
#
# This is also $\log Z-\partial_t\log Z(tJ,tb)$ at $t=1$, since the derivative of $T$ with respect to $t$ is
# $T\log T$, entry by entry. A last yardstick is the best *product* distribution, the mean field. With
# ferromagnetic bonds all spins share one magnetisation $m$, and its divergence is
#
# $$
# \log Z-D\max_m\Bigl[4\sigma_Jm^2+bm-\sum_{\pm}\tfrac{1\pm m}2\log\tfrac{1\pm m}2\Bigr].
# $$ (eq-mam-meanfield)
#
# ## The method in code

# %%
from time import process_time

import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.stats import pearsonr, spearmanr

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, figure
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("marginalization_models")
xp = backend()
transpose = xp.matrix_transpose


# %% [markdown]
# **The target.** A target is a triple $(L,\sigma_J,b)$. Each spin looks at its neighbours below and to the right,
# which meets every bond of the torus once.

# %%
def log_f(x, target):
    """log f*(x) of states (n, L L) on the torus."""
    L, sigma, b = target
    s = xp.reshape(xp.astype(x, xp.float64), (-1, L, L))
    neighbours = xp.roll(s, 1, axis=-1) + xp.roll(s, 1, axis=-2)
    return xp.sum(2 * sigma * s * neighbours + b * s, axis=(-2, -1))


def configurations(n):
    """All 2^n vectors of n signs."""
    bits = (xp.arange(2**n)[:, None] >> xp.arange(n)) & 1
    return xp.astype(2 * bits - 1, xp.float32)


def log_partition_and_entropy(target):
    """log Z = log tr T^L and H of the transfer matrix T."""
    L, sigma, b = target
    y = xp.astype(configurations(L), xp.float64)
    h = xp.sum(2 * sigma * y * xp.roll(y, 1, axis=1) + b * y, axis=1)
    log_T = (h[:, None] + h) / 2 + 2 * sigma * (y @ transpose(y))
    pairs = xp.linalg.matrix_power(xp.exp(log_T), L - 1) * xp.exp(log_T)
    Z = xp.sum(pairs)
    return float(xp.log(Z)), float(xp.log(Z) - L * xp.sum(pairs * log_T) / Z)


# %% [markdown]
# A four by four torus has 65 536 states, which can simply be listed. Both routes must lead to the same numbers.

# %%
SMALL = {"a": (4, 0.1, 0.2), "b": (4, 0.15, 0.0)}
BIG = (10, 0.1, 0.2)
states = configurations(16)
exact, difference = {}, []
for name, target in SMALL.items():
    log_Z, H = log_partition_and_entropy(target)
    energy = log_f(states, target)
    log_p = energy - ad.logsumexp(energy)
    exact[name] = {"log Z": log_Z, "H": H, "log p": log_p}
    difference += [float(ad.logsumexp(energy)) - log_Z, -float(xp.exp(log_p) @ log_p) - H]
log_Z_big, H_big = log_partition_and_entropy(BIG)
statements = {
    "C1.a": ("4 × 4, target a: log Z", exact["a"]["log Z"], 12.598503, 1e-6),
    "C1.b": ("4 × 4, target a: entropy", exact["a"]["H"], 8.681267, 1e-6),
    "C1.c": ("4 × 4: largest |transfer − listing|", max(map(abs, difference)), 0, 1e-6),
    "C1.d": ("10 × 10: log Z", log_Z_big, 78.68806, 1e-4),
    "C1.e": ("10 × 10: entropy (bits per spin)", H_big / 100 / np.log(2), 0.78332, 1e-4),
}
for id, (words, value, known, within) in statements.items():
    claims.check(id, words, measured=value, equals=known, within=within, own=True)


# %% [markdown]
# With $\log Z$ in hand the paper's divergences become readable. The table adds 78.688 to each of them. Below
# the entropy of 0.7833 bits no likelihood of enough exact samples can fall; the GFlowNet's printed 0.78 just
# rounds to it.

# %%
def mean_field_kl(target, log_Z):
    """Divergence of the best product distribution, m on a fine grid."""
    L, sigma, b = target
    p = (1 + xp.linspace(-1, 1, 200_003)[1:-1]) / 2
    m, H = 2 * p - 1, -p * xp.log(p) - (1 - p) * xp.log(1 - p)
    return log_Z - L * L * float(xp.max(4 * sigma * m * m + b * m + H))


printed = {"ARM": (0.79, -78.63), "GFlowNet": (0.78, -78.17), "MaM": (0.80, -77.77)}
printed["ARM-MC"] = (24.84, -18.01)
rows = [["exact", H_big / 100 / np.log(2), "–", 0.0]]
rows += [[name, nll, kl, log_Z_big + kl] for name, (nll, kl) in printed.items()]
rows.append(["mean field", "–", "–", mean_field_kl(BIG, log_Z_big)])
columns = ["10 × 10, as printed", "bits per spin", "KL − log Z (nats)", "true KL (nats)"]
table(rows, columns, "The paper's 10 × 10 results with log Z put back; mean field is ours")


# %% [markdown]
# So MaM is 0.92 nats from the target, less than half as far as independent spins, and the fixed-order ARM
# much nearer, as far as two printed decimals tell. ARM-MC is farther from it than independent coins, whose
# divergence is 9.37 nats. We come back to what its numbers say.
#
# **The networks.** The input of both is the one-hot code of the three symbols $-1$, 0 and 1 at each position.
# Hidden layers add to what they receive, and a direct linear path goes from input to output. That path alone
# would be an independent-spin model as a marginal and logistic regression as a conditional network. The
# networks compute in single precision and hand over double.

# %%
def net_init(rng, D, width, blocks, outputs):
    """First layer, residual blocks, head, and a linear path from input to output."""
    first, *middle, head = nn.mlp_init(rng, [3 * D, *[width] * (blocks + 1), outputs])
    skip = nn.dense_init(rng, 3 * D, outputs, bias=False)
    return {"first": first, "blocks": middle, "head": head, "skip": skip}


def net(params, x):
    """Outputs for vectors x of -1, 0 ("?") and 1, shape (..., D)."""
    code = xp.astype(xp.concat([x < 0, x == 0, x > 0], axis=-1), xp.float32)
    h = nn.dense(params["first"], code, "silu")
    for block in params["blocks"]:
        h = h + nn.dense(block, h, "silu")
    out = nn.dense(params["head"], h) + nn.dense(params["skip"], code)
    return ad.astype(out, xp.float64)


def log_marginal(theta, x):
    """f_theta(x)."""
    return net(theta, x)[..., 0]


def log_conditional(phi, x, answer):
    """log p_phi(x_j | x); the answer is x_j at position j and 0 elsewhere."""
    return ad.log_sigmoid(ad.sum(net(phi, x) * answer, axis=-1))


# %% [markdown]
# **Orders and samples.** An ordering is stored as its ranks $r$, so that $x_{<d}$ is `x * (rank < d)` and no
# gather is needed. Drawing adds logistic noise to a logit and takes the sign, which is $+1$ with probability
# $1/(1+e^{-l})$. `resample` erases the ranks from `first` on and draws them again one by one: with `first`
# zero it draws a new state, with $D-4$ it is the Gibbs step, and with anything between it completes a partial
# state.

# %%
def orders(rng, n, D):
    """Ranks of n random orderings."""
    return xp.argsort(rng.uniform(size=(n, D)), axis=1)


def resample(phi, x, rank, first, rng):
    """Draw the positions with rank >= first anew; also return their log p_phi."""
    x, log_p = x * xp.astype(rank < first, xp.float32), 0.0
    for d in range(first, x.shape[1]):
        here = xp.astype(rank == d, xp.float32)
        logit = xp.sum(net(phi, x) * here, axis=1)
        sign = xp.where(logit + rng.logistic(size=logit.shape) > 0, 1.0, -1.0)
        log_p = log_p + ad.log_sigmoid(sign * logit)
        x = x + here * xp.astype(sign, xp.float32)[:, None]
    return x, log_p


def sample(phi, rank, rng):
    """Draw one state along each ordering, with its log p_phi(x | sigma)."""
    return resample(phi, xp.zeros(rank.shape, dtype=xp.float32), rank, 0, rng)


def log_prob(phi, x, rank, stop=None):
    """Sum of log p_phi(x_j | x_<d) over the ranks below stop (all)."""
    total = xp.zeros(x.shape[0])
    for d in range(x.shape[1] if stop is None else stop):
        total = total + log_conditional(phi, x * (rank < d), x * (rank == d))
    return total


# %% [markdown]
# **The losses.** `reinforce` is the surrogate whose gradient is {eq}`eq-mam-reinforce`. A separate estimate of
# $\log p$ in the reward will be needed for the last experiment.

# %%
def reinforce(log_p, log_target, estimate=None, standardise=True):
    """Mean of R log p with R = estimate - log f*, centred, not differentiated."""
    reward = ad.stop_gradient(log_p if estimate is None else estimate) - log_target
    reward = reward - xp.mean(reward)
    if standardise:
        reward = reward / xp.std(reward)
    return ad.mean(reward * log_p)


def energy_loss(params, x, log_target, rank, d, alpha):
    """Reward + alpha (D mean gap^2 + (f(?) - D log 2)^2)."""
    phi, (n, D) = params["phi"], x.shape
    before, after = x * (rank < d), x * (rank <= d)
    rows = xp.concat([x, before, after, 0 * x[:1, :]])
    f = log_marginal(params["theta"], rows)
    gap = f[n : 2 * n] + log_conditional(phi, before, x * (rank == d)) - f[2 * n : 3 * n]
    begin = (f[3 * n] - D * np.log(2)) ** 2
    return reinforce(f[:n], log_target) + alpha * (D * ad.mean(gap**2) + begin)


# %%
WIDTH, BLOCKS = scale(default=(128, 1), paper=(1024, 4))
ENERGY = scale(
    default={"steps": 1000, "batch": 128, "learning_rate": 1e-2, "alpha": 1},
    paper={"steps": 15_000, "batch": 512, "learning_rate": 5e-4, "alpha": 4},
)


def train_mam(target, rng, steps, batch, learning_rate, alpha, again=195):
    """Energy-based training: theta and phi together, samples from p_phi."""
    D = target[0] ** 2
    to_initialise, rng = rng.spawn(2)
    params = {
        "theta": net_init(to_initialise, D, WIDTH, BLOCKS, 1),
        "phi": net_init(to_initialise, D, WIDTH, BLOCKS, D),
    }
    adam, slope = Adam(cosine_decay(learning_rate, steps, 1e-4)), ad.grad(energy_loss)
    for step in progress(range(steps), f"MaM, L = {target[0]}"):
        rank = orders(rng, batch, D)
        if step % again == 0:
            x, _ = sample(params["phi"], rank, rng)
        x, _ = resample(params["phi"], x, rank, D - 4, rng)
        d = rng.integers(D, size=(batch, 1))
        grads = slope(params, x, log_f(x, target), rank, d, alpha)
        params = adam.step(params, grads)
    return params


# %% [markdown]
# **The baseline.** A fixed-order ARM is the same conditional network, asked in the forward order only. Each
# sample costs $D$ rows, of which the tensor `x[:, None, :] * (r < d)` holds all at once.

# %%
ARM = scale(
    default={"steps": 200, "batch": 64, "learning_rate": 1e-2},
    paper={"steps": 3000, "batch": 128, "learning_rate": 5e-4},
)


def forward(n, D):
    """Ranks of the forward order."""
    return xp.broadcast_to(xp.arange(D), (n, D))


def arm_log_prob(phi, x):
    """Sum over d of log p_phi(x_d | x_<d), all D rows of a sample at once."""
    r, s = xp.arange(x.shape[1]), x[:, None, :]
    d = r[:, None]
    return ad.sum(log_conditional(phi, s * (r < d), s * (r == d)), axis=1)


def train_arm(estimator, target, rng, steps, batch, learning_rate):
    """REINFORCE with fresh samples; estimator(phi, x, log_target, rng) is the surrogate."""
    D = target[0] ** 2
    to_initialise, rng = rng.spawn(2)
    phi = net_init(to_initialise, D, WIDTH, BLOCKS, D)
    adam, slope = Adam(cosine_decay(learning_rate, steps, 1e-4)), ad.grad(estimator)
    for _ in progress(range(steps), f"ARM, L = {target[0]}"):
        x, _ = sample(phi, forward(batch, D), rng)
        phi = adam.step(phi, slope(phi, x, log_f(x, target), rng))
    return phi


def arm_full(phi, x, log_target, rng):
    """The exact log p of every sample."""
    return reinforce(arm_log_prob(phi, x), log_target)


# %% [markdown]
# ## Experiments
#
# ### Marginals against the exact ones
#
# Target **a** has the paper's couplings, $\sigma_J=0.1$ and $b=0.2$. Target **b** has no field and stronger
# bonds, $\sigma_J=0.15$: mean field takes it for a magnet (4 neighbours times $2\sigma_J$ exceeds one, so
# that $m\ne0$), while the true distribution is symmetric under flipping all spins. A MaM and an ARM are
# trained on each.

# %%
SEEDS = scale(default=(0,), paper=(0, 1, 2))
mams = {
    (name, seed): train_mam(target, generator(seed), **ENERGY)
    for name, target in SMALL.items()
    for seed in SEEDS
}
arms = {
    name: train_arm(arm_full, target, generator(0), **ARM)
    for name, target in SMALL.items()
}


# %% [markdown]
# The reverse divergence of $p_\phi$ is the mean of $\log p_\phi(x\mid\sigma)-\log p^*(x)$ over 20 000 samples
# in random orders. It is the divergence of the pair (state, ordering), at least as large as that of the state
# alone. An ARM has one order, in which there are only $2^d$ beginnings of $d$ spins: `arm_listed` asks for all of
# them, and its numbers need no samples. The marginal network is judged by listing: one pass over the 65 536 states gives its own normaliser
# $\sum_xe^{f_\theta(x)}$, which consistency wants to be $e^{f_\theta(?\dots?)}$, and the divergence of the
# distribution it defines. And if $f_\theta-\log f^*$ is a constant $c$, then $\log Z=f_\theta(?\dots?)-c$:
# the network's value for "nothing observed" is an estimate of the partition function. We take for $c$ the
# mean over 4000 samples of $p_\phi$.

# %%
def reverse_kl(phi, target, log_Z, rank, rng):
    """Mean and standard error of log p_phi(x | sigma) - log p*(x), x ~ p_phi."""
    x, log_p = sample(phi, rank, rng)
    log_ratio = log_p - log_f(x, target) + log_Z
    return float(xp.mean(log_ratio)), float(xp.std(log_ratio)) / rank.shape[0] ** 0.5


def arm_listed(phi):
    """log p_phi of all listed states, drawn in the forward order."""
    log_q = xp.zeros(1)
    for d in range(16):
        known = configurations(d)
        x = xp.concat([known, xp.zeros((2**d, 16 - d), dtype=known.dtype)], axis=1)
        logit = net(phi, x)[:, d]
        log_q = xp.concat([log_q + ad.log_sigmoid(sign * logit) for sign in (-1, 1)])
    return log_q


def exact_samples(log_p, n, rng):
    """Draw listed states by inverting the cumulative probability."""
    levels = xp.cumulative_sum(xp.exp(log_p))
    return states[xp.searchsorted(levels, rng.uniform(0, float(levels[-1]), size=n)), :]


def gaps(params, x, rng):
    """The difference of the two sides of the consistency at a random step."""
    rank, d = orders(rng, *x.shape), rng.integers(x.shape[1], size=(x.shape[0], 1))
    before, after = (log_marginal(params["theta"], x * (rank < k)) for k in (d, d + 1))
    return before + log_conditional(params["phi"], x * (rank < d), x * (rank == d)) - after


# %% [markdown]
# For the marginals we draw 200 exact states, keep a random subset of one to eight spins of each, and sum the
# exact probabilities of all states that agree with it. Agreement is a matrix product: the inner product of
# $x_s$ and a state equals $|s|$ exactly if they agree on $s$.

# %%
def random_marginals(log_p, rng, n=200):
    """x_s with 1 to 8 observed spins, and the exact log p*(x_s)."""
    x, size = exact_samples(log_p, n, rng), rng.integers(1, 9, size=(n, 1))
    x = x * (orders(rng, n, 16) < size)
    agrees = xp.astype(x @ transpose(states) == size, xp.float64)
    return x, xp.log(agrees @ xp.exp(log_p))


# %%
def bits_per_spin(log_q, x, target, of):
    """Mean of -log q over exact samples, by H plus the mean of log p* - log q."""
    excess = float(xp.mean(log_f(x, target) - of["log Z"] - log_q))
    return (of["H"] + excess) / 16 / np.log(2)


def judge(params, target, of, rng):
    """All numbers of one MaM on a listed target."""
    theta, log_p, rank = params["theta"], of["log p"], orders(rng, 20_000, 16)
    kl, error = reverse_kl(params["phi"], target, of["log Z"], rank, rng)
    f, empty = log_marginal(theta, states), log_marginal(theta, 0 * states[:1, :])
    log_total = ad.logsumexp(f)
    x = exact_samples(log_p, 4000, rng)
    log_q = log_prob(params["phi"], x, orders(rng, *x.shape))
    own, _ = sample(params["phi"], orders(rng, *x.shape), rng)
    constant = xp.mean(log_marginal(theta, own) - log_f(own, target))
    parts, truth = random_marginals(log_p, rng)
    return {
        "KL": kl, "error": error, "bits": bits_per_spin(log_q, x, target, of),
        "rmse": float(xp.mean(gaps(params, x, rng) ** 2)) ** 0.5,
        "normaliser": float(log_total - empty[0]), "log Z": float(empty[0] - constant),
        "KL of f": float(xp.sum(xp.exp(f - log_total) * (f - log_total - log_p))),
        "size": to_host(xp.sum(parts != 0, axis=1)),
        "truth": to_host(truth), "ours": to_host(log_marginal(theta, parts) - empty),
    }  # fmt: skip


# %%
judged = {
    (name, seed): judge(params, SMALL[name], exact[name], generator(1000 + seed))
    for (name, seed), params in mams.items()
}
rows, arm_kl = [], {}
for name, target in SMALL.items():
    log_Z, ours = exact[name]["log Z"], judged[name, 0]
    log_p, log_q = exact[name]["log p"], arm_listed(arms[name])
    arm_kl[name] = float(xp.exp(log_q) @ (log_q - log_p))
    uniform = log_Z - 16 * np.log(2)  # E log f* = 0 under independent fair coins
    rows.append([f"{name}: fair coins", uniform, 1.0, "–", "–", "–"])
    rows.append([f"{name}: mean field", mean_field_kl(target, log_Z), "–", "–", "–", "–"])
    bits = -float(xp.exp(log_p) @ log_q) / 16 / np.log(2)
    rows.append([f"{name}: ARM", arm_kl[name], bits, "–", "–", "–"])
    cells = ours["KL"], ours["bits"], ours["rmse"]
    rows.append([f"{name}: MaM, conditionals", *cells, "–", "–"])
    cells = ours["KL of f"], "–", "–", ours["normaliser"], ours["log Z"]
    rows.append([f"{name}: MaM, marginals", *cells])
    rows.append([f"{name}: exact", 0.0, exact[name]["H"] / 16 / np.log(2), 0.0, 0.0, log_Z])
columns = ["target: model", "KL (nats)", "bits per spin", "gap, RMS (nats)"]
columns += ["log Σ exp f(x) − f(?)", "log Z (nats)"]
table(rows, columns, "Models of the 4 × 4 Ising torus (MaM: seed 0)")


# %%
def worst(key, name, choose=max):
    return choose(judged[name, seed][key] for seed in SEEDS)


paper = "0.92 nats on 10 × 10"
for id, name, most in (("C2.a", "b", 0.6), ("C2.b", "a", 0.2)):
    field = mean_field_kl(SMALL[name], exact[name]["log Z"])
    words = f"E1, target {name}: KL of MaM's conditionals (mean field {field:.3f})"
    facts = {"unit": "nats", "paper": paper, "seeds": len(SEEDS)}
    claims.check(id, words, measured=worst("KL", name), at_most=most, **facts)
claims.check(
    "C2.c",
    "E1: smallest KL of MaM's conditionals over its standard error",
    measured=min(found["KL"] / found["error"] for found in judged.values()),
    at_least=-3,
    seeds=len(SEEDS),
    own=True,
)
claims.check(
    "C2.d",
    "E1: KL of MaM's conditionals minus that of the ARM, smaller of the two targets",
    measured=min(judged[key]["KL"] - arm_kl[key[0]] for key in judged),
    at_least=0.01,
    unit="nats",
    paper="0.86 on 10 × 10",
    seeds=len(SEEDS),
)


# %%
def blocks(log_p):
    """All patterns of all 2 x 2 blocks, and their exact log p*."""
    i, j = xp.arange(4)[:, None, None], xp.arange(4)[None, :, None]
    square = xp.asarray([0, 0, 1, 1]), xp.asarray([0, 1, 0, 1])
    at = xp.reshape((i + square[0]) % 4 * 4 + (j + square[1]) % 4, (16, 4))
    here = xp.astype(at[:, :, None] == xp.arange(16), xp.float32)
    x = xp.reshape(configurations(4) @ here, (-1, 16))
    agrees = xp.astype(x @ transpose(states) == 4, xp.float64)
    return x, xp.log(agrees @ xp.exp(log_p))


block, block_truth = blocks(exact["a"]["log p"])
for (name, seed), found in judged.items():
    theta = mams[name, seed]["theta"]
    value = log_marginal(theta, block) - log_marginal(theta, 0 * block[:1, :])
    found["worst block"] = float(xp.max(xp.abs(value - block_truth)))
p_up = float(xp.exp(exact["a"]["log p"]) @ xp.astype(states[:, 0] > 0, xp.float64))
ups = xp.sum(xp.astype(block > 0, xp.float64), axis=1)
independent = ups * np.log(p_up) + (4 - ups) * np.log(1 - p_up)
worst_independent = float(xp.max(xp.abs(independent - block_truth)))

# %%
for (name, _), found in judged.items():
    found["off in log Z"] = abs(found["log Z"] - exact[name]["log Z"])
    found["off"] = np.mean(np.abs(found["ours"] - found["truth"]))
    found["pearson"] = pearsonr(found["ours"], found["truth"]).statistic
for id, words, value, bound in (
    ("C3.a", "mean |log-marginal − exact|", worst("off", "a"), {"at_most": 0.12}),
    ("C3.b", "Pearson correlation", worst("pearson", "a", min), {"at_least": 0.98}),
    ("C3.c", "root mean square gap", worst("rmse", "a"), {"at_most": 0.15}),
    ("C3.d", "|log Z from f(?…?) − exact|", worst("off in log Z", "a"), {"at_most": 0.05}),
    ("C3.e", "worst |log-marginal − exact|, all 2 × 2 blocks", worst("worst block", "a"), {"at_most": 0.8}),
):
    unit = "" if id == "C3.b" else "nats"
    seeds = len(SEEDS)
    own = id in ("C3.d", "C3.e")
    words = f"E1, target a: {words}"
    claims.check(id, words, measured=value, unit=unit, seeds=seeds, own=own, **bound)

# %% tags=["hide-input"]
alt = f"""Two scatter plots of 200 log-marginals, network against exact, with the diagonal. Target a: the
points lie on it, {judged["a", 0]["off"]:.2f} nats away on average. Target b: {judged["b", 0]["off"]:.2f} nats,
with the likeliest states of three and more spins below the diagonal and most others above it."""
caption = """Log-probability of 200 random partial states of the 4 × 4 torus: the sum over all
states that agree (horizontal) and one forward pass (vertical)."""
with figure(1, 2, alt=alt, caption=caption, width=7.2, height=3.2) as axes:
    sizes = {"1–2 spins": (1, 2), "3–5 spins": (3, 5), "6–8 spins": (6, 8)}
    colours = [PALETTE[name] for name in ("sky", "blue", "vermilion")]
    for ax, name in zip(axes, SMALL, strict=True):
        found = judged[name, 0]
        low = min(found["truth"].min(), found["ours"].min()) - 0.2
        ax.plot([low, 0], [low, 0], color="0.5", lw=1)
        for (label, (least, most)), colour in zip(sizes.items(), colours, strict=True):
            chosen = (found["size"] >= least) & (found["size"] <= most)
            ax.plot(found["truth"][chosen], found["ours"][chosen], "o", ms=3, color=colour, label=label)
        ax.set(title=f"target {name}", xlabel="exact $\\log p^*(x_s)$ (nats)", aspect="equal")
        ax.set_ylabel("$f_\\theta(x_s)-f_\\theta(?\\ldots?)$ (nats)")
    axes[0].legend()

# %%
ours = judged["a", 0]
say(f"""On target a the values are off by {ours["off"]:.2f} nats in the mean over likely patterns, and
by {ours["worst block"]:.2f} nats for the worst pattern of four spins in a square (independent spins with the
exact magnetisation: {worst_independent:.2f}). The network's value for "nothing observed" gives $\\log Z$ to
{ours["off in log Z"]:.3f} nats. As a distribution over complete states the marginal network is
{ours["KL of f"]:.4f} and {judged["b", 0]["KL of f"]:.4f} nats from targets a and b, its conditionals
{ours["KL"]:.3f} and {judged["b", 0]["KL"]:.3f}, and the ARM {arm_kl["a"]:.4f} and {arm_kl["b"]:.4f}.""")

# %% [markdown]
# A sum over thousands of states has become one pass through a network that was never told any such sum. The
# rare patterns, of spins that all point against the field, are the ones that it gets wrong: they are seldom drawn,
# so little is asked of them. Target b is harder. Its spins
# like to agree, so that states come in two mirrored crowds. The likeliest states of three and more spins,
# in which all agree, are given too little, and most others too much.
#
# There is a division of labour here which the paper's main text does not mention. Only $f_\theta$ is rewarded;
# $p_\phi$ learns by having to agree, and what it has not caught up with is nearly all of its divergence. So the
# samples lag behind the density. The ARM, where the two are one network, is the better model, as in the paper.
# With only 16 conditionals it is also the cheaper one. A
# step evaluates, with a gradient, 16 rows for each of 64 samples, which is 1024; a step of MaM four rows
# for each of 128 samples and one for "?", which is 513; and MaM takes five times as many steps. The price
# turns with $D$. On 30 × 30 spins with the same batches a step of the ARM would be 57 600 rows and 900
# passes to draw its samples, against the same 513 rows and four passes.
#
# The factor $D$ before the gaps matters. In a trial without it the divergence of the conditionals still looked
# healthy, but the marginals failed C3.a: who judges by samples alone would not notice.
#
# The recipe is not the paper's. The consistency is multiplied by $\alpha D$, which is 64 with the paper's $\alpha=4$.
# It is a stiff spring between the networks, both of which must move for the reward to be followed, and the authors give
# it 39 000 steps. In 1000 steps we need $\alpha=1$, a larger learning rate and smoother units (SiLU); with the paper's
# settings a trial on target b ended about where mean field is. All this was chosen on seeds which are not used here.
#
# ### On handwritten digits
#
# The data are scikit-learn's 1797 handwritten digits of 8 × 8 pixels, ink (1) where the grey level exceeds
# seven of sixteen, and paper ($-1$) elsewhere. 1500 random ones are for training and 297 for the test.

# %%
to_split, to_first, to_second, to_judge = generator(0).spawn(4)
pixels = to_device(np.where(data.table("digits").data > 7, 1, -1).astype(np.float32))
shuffled = to_split.permutation(pixels.shape[0])
train, test = pixels[shuffled[:1500], :], pixels[shuffled[1500:], :]
D = pixels.shape[1]


def conditional_loss(phi, x, rank, d):
    """-D / (D - d) sum of log p_phi(x_j | x_<d) over all j not observed, in the mean."""
    share = xp.astype(rank >= d, xp.float64) * (D / (D - d))
    return -ad.mean(ad.sum(ad.log_sigmoid(net(phi, x * (rank < d)) * x) * share, axis=1))


def draw_images(rng, batch=128):
    x = train[rng.integers(train.shape[0], size=batch), :]
    return x, orders(rng, batch, D), rng.integers(D, size=(batch, 1))


to_initialise, rng = to_first.spawn(2)
STEPS, HIDDEN = scale(default=(1200, 256), paper=(10_000, 1024))
phi = net_init(to_initialise, D, HIDDEN, 0, D)
adam = Adam(cosine_decay(1e-2, STEPS, 1e-4))
phi = nn.fit(conditional_loss, phi, draw_images, adam, steps=STEPS, rng=rng).params


# %% [markdown]
# The second stage freezes $\phi$. Since the conditionals no longer change, there is no need to carry samples
# from step to step: we draw 1500 once, as many as there are data, and take minibatches from both together.
# There are two more economies. The marginal network starts from the first layer of the
# conditional network, whose features of partial images it would have to learn anyway. And each ordering
# contributes eight consecutive steps instead of one, because nine values of $f_\theta$ make eight gaps, where
# separate steps would take sixteen. The price of this is that the seven steps at either end of an ordering come
# up less often, the very first and the very last one eighth as often as those between.

# %%
def marginal_loss(theta, points, log_p):
    """Mean of gap^2 over k steps of n orderings, plus f(?)^2."""
    n, k = log_p.shape
    rows = xp.concat([xp.reshape(points, (-1, D)), 0 * points[0, :1, :]])
    f = log_marginal(theta, rows)
    along = ad.reshape(f[:-1], (n, k + 1))
    return ad.mean((along[:, :-1] + log_p - along[:, 1:]) ** 2) + f[-1] ** 2


to_initialise, rng = to_second.spawn(2)
dreams, _ = sample(phi, orders(rng, train.shape[0], D), rng)
both = xp.concat([train, dreams])


def draw_steps(rng, n=24, k=8):
    x = both[rng.integers(both.shape[0], size=n), :][:, None, :]
    rank = orders(rng, n, D)[:, None, :]
    d = rng.integers(D - k + 1, size=(n, 1, 1)) + xp.arange(k + 1)[:, None]
    points, answers = x * (rank < d), x * (rank == d[:, :-1, :])
    return points, log_conditional(phi, points[:, :-1, :], answers)


# %%
STEPS = scale(default=2000, paper=20_000)
theta = net_init(to_initialise, D, HIDDEN, 1, 1) | {"first": phi["first"]}
adam = Adam(cosine_decay(4e-3, STEPS, 1e-4))
theta = nn.fit(marginal_loss, theta, draw_steps, adam, steps=STEPS, rng=rng).params


# %% [markdown]
# How good is the AO-ARM itself? Its likelihood depends on the order. An ensemble averages the probabilities
# of five random orders, by the logarithm of the mean of exponentials. As baselines we take independent pixels
# and the *Chow–Liu tree*, the best distribution in which each pixel depends on one other: the spanning tree
# with the largest sum of mutual informations. Counts start from one invented image, spread evenly over the
# possibilities.

# %%
def ensemble(phi, x, rng, k=5, stop=None):
    """log of the mean probability over k random orders; the first `stop` ranks are observed."""
    def one():
        u = rng.uniform(size=x.shape) + (x == 0)  # what is missing comes last
        return log_prob(phi, x, xp.argsort(xp.argsort(u, axis=1), axis=1), stop)

    return ad.logsumexp(xp.stack([one() for _ in range(k)]), axis=0) - np.log(k)


def bernoulli_and_tree(train, test):
    """log p of test images under independent pixels and under the Chow-Liu tree."""
    known, new = ([(x == v).astype(float) for v in (-1, 1)] for x in (train, test))
    n = known[0].shape[0] + 1
    one = np.array([(a.sum(axis=0) + 1 / 2) / n for a in known])
    pair = np.array([[(a.T @ b + 1 / 4) / n for b in known] for a in known])
    ratio = np.log(pair / (one[:, None, :, None] * one[None, :, None, :]))
    information = np.sum(pair * ratio, axis=(0, 1))
    i, j = minimum_spanning_tree(-np.triu(information, 1)).nonzero()
    log_one = sum(a @ np.log(p) for a, p in zip(new, one, strict=True))
    cells = np.ndindex(2, 2)
    return log_one, log_one + sum((new[u][:, i] * new[v][:, j]) @ ratio[u, v, i, j] for u, v in cells)


# %%
def bits(log_p):
    return -float(np.mean(to_host(log_p))) / D / np.log(2)


independent, tree = bernoulli_and_tree(to_host(train), to_host(test))
empty = log_marginal(theta, 0 * test[:1, :])
one_order = log_prob(phi, test, orders(to_judge, *test.shape))
nll = {
    "independent pixels": bits(independent),
    "Chow–Liu tree": bits(tree),
    "AO-ARM, one order": bits(one_order),
    "AO-ARM, five orders": bits(ensemble(phi, test, to_judge)),
    "MaM, one pass (not a likelihood)": bits(log_marginal(theta, test) - empty),
}
table(list(map(list, nll.items())), ["model", "bits per pixel"], "The 297 test digits")
claims.check(
    "C5",
    "E2: negative log-likelihood of the AO-ARM over that of independent pixels",
    measured=nll["AO-ARM, five orders"] / nll["independent pixels"],
    at_most=0.85,
    own=True,
)

# %% [markdown]
# As in the paper, we now hide 16, 32 or 48 pixels of a test image and let the conditional network complete
# it, five times for each number. With the original these are 16 images of different plausibility, for each of
# 60 test digits. The marginal network gets one pass for each image, the ensemble $5\cdot64$.

# %%
digits, MISSING = test[:60, :], (16, 32, 48)
groups = [digits]
for hidden in MISSING:
    for _ in range(5):
        rank = orders(to_judge, *digits.shape)
        groups.append(resample(phi, digits, rank, D - hidden, to_judge)[0])
images = xp.reshape(xp.stack(groups, axis=1), (-1, D))
reference = to_host(ensemble(phi, images, to_judge))
finer = to_host(ensemble(phi, images[:320, :], to_judge, k=25))
one_pass = to_host(log_marginal(theta, images) - empty)


def correlations(ours, truth):
    """Spearman and Pearson over all images, and their means over groups of 16."""
    both = [spearmanr, pearsonr]
    pairs = list(zip(ours.reshape(-1, 16), truth.reshape(-1, 16), strict=True))
    within = [float(np.mean([rho(*pair).statistic for pair in pairs])) for rho in both]
    return [float(rho(ours, truth).statistic) for rho in both] + within


# %% [markdown]
# The completed images show $f_\theta$ at its far end only. Partial images are what it is for: we also hide
# pixels and do *not* complete them. An AO-ARM can evaluate those too, by asking for the observed pixels
# first.

# %%
partial = {}
for hidden in MISSING:
    x = digits * (orders(to_judge, *digits.shape) < D - hidden)
    truth = ensemble(phi, x, to_judge, stop=D - hidden)
    partial[hidden] = to_host(log_marginal(theta, x) - empty), to_host(truth)


def seconds(work, times):
    """Processor time of a call, best of five rounds."""
    rounds = []
    for _ in range(5):
        begin = process_time()
        for _ in range(times):
            to_host(work())
        rounds.append((process_time() - begin) / times)
    return min(rounds)


rank, eight = orders(to_judge, 8, D), digits[:8, :]
shown = [eight, eight * (rank < 32)]
shown += [resample(phi, eight, rank, 32, to_judge)[0] for _ in range(2)]
tiles = to_host(xp.stack(shown)).reshape(4, 8, 8, 8)
grid = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-1)
batch = images[:16, :]
slow = seconds(lambda: ensemble(phi, batch, to_judge), 1)
fast = seconds(lambda: log_marginal(theta, batch), 50)

# %%
ours, close = correlations(one_pass, reference), correlations(one_pass[:320], finer)
rows = [["960 complete images, MaM", *ours], ["320 of them, 25 orders, MaM", *close]]
rows.append(["320 of them, 25 orders, five orders", *correlations(reference[:320], finer)])
for hidden, (mam, truth) in partial.items():
    both = [float(rho(mam, truth).statistic) for rho in (spearmanr, pearsonr)]
    rows.append([f"60 images, {hidden} pixels missing, MaM", *both, "–", "–"])
columns = ["log-probabilities compared with the ensemble's", "Spearman", "Pearson"]
columns += ["Spearman, mean of groups", "Pearson, mean of groups"]
table(rows, columns, "One forward pass against five orders of 64 passes")

# %%
paper, words = "0.992, 0.993 (MNIST)", "E2, MaM and AO-ARM ensemble of 25 orders:"
statement = f"{words} Spearman, 320 images"
claims.check("C4.a", statement, measured=close[0], at_least=0.9, paper=paper)
# Pearson's follows the few least likely images and moves by 0.04 from one training to another
statement = f"{words} Pearson, 320 images"
claims.check("C4.b", statement, measured=close[1], at_least=0.82, paper=paper)
words = f"{words} smaller of the two within a digit's 16 images, mean of 20 digits"
claims.check(
    "C4.c",
    words,
    measured=min(close[2:]),
    at_least=0.95,
    paper=paper,
    not_reproduced=scale(default="still learning after these few steps", paper=None),
)
claims.check("C4.e", words, measured=min(close[2:]), at_least=0.75, own=True)

# %%
claims.check(
    "C4.d",
    "E2: processor time of the ensemble (320 passes) over that of MaM (1 pass)",
    measured=slow / fast,
    at_least=50,
    unit="×",
    paper="661.98 s / 0.018 s",
)

# %% tags=["hide-input"]
alt = f"""Left, log-probabilities of 960 images by the network against those of the ensemble: a band along the
diagonal with a correlation of {ours[1]:.2f}. Right, eight digits in four rows: the original, with 32
pixels hidden, and two completions, most of which look like digits."""
caption = """Left, log-probability of complete images: one pass of the marginal network against the ensemble.
Right, test digits (top), with half of the pixels hidden (grey), and two completions."""
with figure(1, 2, alt=alt, caption=caption, width=7.6, height=3.4) as axes:
    left, right = axes
    low = reference.min() - 1
    high = reference.max() + 1
    left.plot([low, high], [low, high], color="0.5", lw=1)
    names = ["original"] + [f"{hidden} pixels redrawn" for hidden in MISSING]
    colours = [PALETTE[name] for name in ("vermilion", "sky", "blue", "purple")]
    group = np.tile(np.repeat([0, 1, 2, 3], [1, 5, 5, 5]), 60)
    for k in (3, 2, 1, 0):
        chosen = group == k
        left.plot(reference[chosen], one_pass[chosen], "o", ms=2, color=colours[k], label=names[k])
    left.set(xlabel="ensemble, 320 passes (nats)", ylabel="$f_\\theta(x)$, one pass (nats)")
    left.legend()
    right.imshow(grid.transpose(0, 2, 1, 3).reshape(40, 80), cmap="gray_r", vmin=-1, vmax=1)
    right.set_yticks([5, 15, 25, 35], labels=["original", "hidden", "drawn", "drawn"])
    right.set(xticks=[], ylabel="eight digits")
    right.grid(False)


# %% [markdown]
# Over all images one pass ranks and scores much as the ensemble does, and partial images, with a quarter to
# three quarters of their pixels missing, are no harder than complete ones. *Within* the sixteen images of one
# digit the correlation is lower, since there the differences are smaller. Part of what is missing there is the noise of
# five random orders, so the claims ask an ensemble of 25; the last row shows what five orders are worth against it. In
# trial runs the coefficients rose whenever the network saw more gaps, by longer training or larger batches,
# so we read this as a short training rather than as a limit of the method. But we have not shown it.
#
# Two details mattered in trials: a marginal network that starts from the conditional network's features learns
# faster than one with a random first layer, and SiLU faster than hyperbolic tangents. The one-pass value is not a
# likelihood: nothing forces $\sum_xe^{f_\theta(x)}$ to be one, and its bits per pixel may fall on either side of the
# ensemble's.
#
# The factor in time counts a minibatch of 16 on one core, with the passes of the ensemble as many as there
# are; the paper's larger factor has $D=784$ and convolutional networks behind it.
#
# ### One conditional instead of all
#
# An ARM pays $D$ rows for each sample. Why not pick one position $i$ at random and take $D\log p_\phi(x_i\mid
# x_{<i})$ as an estimate of $\log p_\phi(x)$? It is unbiased, costs one row, and is what the paper calls
# ARM-MC. Two readings are possible, since the log-probability occurs twice in {eq}`eq-mam-reinforce`. Using
# the *same* position in the reward and in the gradient gives
#
# $$
# E_x\,\frac1D\sum_i\bigl(D\,\ell_i-\log f^*\bigr)\,D\,\nabla\ell_i
# =E_x\Bigl[D\sum_i\ell_i\nabla\ell_i-\log f^*\sum_i\nabla\ell_i\Bigr],\qquad \ell_i=\log p_\phi(x_i\mid x_{<i}),
# $$ (eq-mam-bias)
#
# where the right gradient has $\sum_{ik}\ell_i\nabla\ell_k$ in place of $D\sum_i\ell_i\nabla\ell_i$. The
# product of two unbiased estimates is not an unbiased estimate of the product. What does it aim at? In the
# right gradient the terms with $i<k$ average to zero, since $E[\nabla\ell_k\mid x_{<k}]=0$; those with $i=k$
# are the gradient of each conditional's own entropy (with a minus sign), and those with $i>k$ reward a variable
# for the entropy that later ones keep. The biased one has lost the last and counts the own entropies $D$ times,
# but the energy once. Its fixed point, $p_\phi(x_k\mid x_{<k})\propto e^{E[\log f^*\mid x_{\le k}]/D}$, is
# nearly the target at $D$ times the temperature, close to fair coins. Drawing *two independent* positions, one
# for each place, is unbiased and leaves only the noise. We measure both, and MaM's reward gradient beside
# them, at one random initialisation, on 200 batches of 64 samples.

# %%
def single(phi, x, rng):
    """D log p_phi(x_i | x_<i) at a random position i of each sample."""
    n, D = x.shape
    r, i = xp.arange(D), rng.integers(D, size=(n, 1))
    return D * log_conditional(phi, x * (r < i), x * (r == i))


def arm_all(phi, x, log_target, rng, **how):
    return reinforce(arm_log_prob(phi, x), log_target, **how)


def arm_same(phi, x, log_target, rng, **how):
    return reinforce(single(phi, x, rng), log_target, **how)


def arm_two(phi, x, log_target, rng, **how):
    return reinforce(single(phi, x, rng), log_target, single(phi, x, rng), **how)


def mam_reward(theta, x, log_target, rng, **how):
    return reinforce(log_marginal(theta, x), log_target, **how)


# %%
ESTIMATORS = {
    "ARM, all positions": arm_all,
    "ARM-MC, same position": arm_same,
    "ARM-MC, two positions": arm_two,
    "MaM, reward": mam_reward,
}
rng, target = generator(0), SMALL["a"]
fresh = net_init(rng, 16, 128, 1, 16)
fresh_theta = net_init(rng, 16, 128, 1, 1)
batches = xp.reshape(sample(fresh, forward(200 * 64, 16), rng)[0], (200, 64, 16))


def gradient_draws(names, standardise):
    """Gradients by each estimator, all of them at the same batches of 64 samples."""
    draws = {name: [] for name in names}
    for x in progress(batches, "gradients"):
        log_target = log_f(x, target)
        for name in names:
            params = fresh_theta if name == "MaM, reward" else fresh
            slope = ad.grad(ESTIMATORS[name])
            grads = slope(params, x, log_target, rng, standardise=standardise)
            draws[name].append(nn.ravel_tree(grads)[0])
    return draws


gradients = gradient_draws(ESTIMATORS, standardise=False)
in_training = gradient_draws(list(ESTIMATORS)[:3], standardise=True)


# %% [markdown]
# In the first set the rewards are centred but not divided by their standard deviation. That division, which
# the training loop does, measures each estimator in its own units and hides the noise that comes in through
# the reward; the second set has it, and the table shows both ratios. A third number does not depend on
# units at all, the noise divided by the squared length of the mean gradient.

# %%
def noise_and_signal(draws):
    """Sum of the variances of all parameters, squared length of the mean, the mean."""
    g = xp.astype(xp.stack(draws), xp.float64)
    mean, variance = xp.mean(g, axis=0), float(xp.sum(xp.var(g, axis=0, correction=1)))
    return variance, float(xp.sum(mean**2)) - variance / g.shape[0], mean


found = {name: noise_and_signal(draws) for name, draws in gradients.items()}
standardised = {name: noise_and_signal(draws)[0] for name, draws in in_training.items()}
ratio = {name: v / standardised["ARM, all positions"] for name, v in standardised.items()}
least, _, truth = found["ARM, all positions"]
rows = []
for name, (variance, signal, mean) in found.items():
    cosine = "–"
    if mean.shape == truth.shape:
        cosine = float(mean @ truth / xp.sqrt((mean @ mean) * (truth @ truth)))
    ratios = variance / least, ratio.get(name, "–")
    rows.append([name, variance, *ratios, signal, variance / signal, cosine])
columns = ["gradient", "variance, all parameters", "over ARM's", "the same, standardised"]
columns += ["|mean|²", "variance over |mean|²", "cosine with ARM's mean"]
table(rows, columns, "200 gradients of batches of 64 at initialisation, target a")

# %%
claims.check(
    "C6.a",
    "E3: gradient variance of ARM-MC (same position) over that of ARM",
    measured=found["ARM-MC, same position"][0] / least,
    at_least=20,
    paper="extremely high (figure)",
)
claims.check(
    "C6.b",
    "E3: gradient variance of ARM-MC (two positions) over that of ARM",
    measured=found["ARM-MC, two positions"][0] / least,
    at_least=20,
    paper="extremely high (figure)",
)

# %%
claims.check(
    "C6.d",
    "E3: the same with rewards standardised as in training",
    measured=ratio["ARM-MC, two positions"],
    at_least=20,
    paper="extremely high (figure)",
    not_reproduced="one term in place of a sum of D explains a factor D, and D is 16 here",
)
claims.check(
    "C6.e",
    "E3: that ratio, bounded from below by half of D",
    measured=ratio["ARM-MC, two positions"],
    at_least=8,
    own=True,
)

# %% [markdown]
# Does it matter? Both variants are trained for as many steps as the ARM, at a tenth of its learning rate,
# which suits them better.

# %%
mc_kl, log_Z, log_p = {}, exact["a"]["log Z"], exact["a"]["log p"]
for name, estimator in (("same position", arm_same), ("two positions", arm_two)):
    settings = ARM | {"learning_rate": ARM["learning_rate"] / 10}
    trained = train_arm(estimator, target, generator(0), **settings)
    log_q = arm_listed(trained)
    mc_kl[name] = float(xp.exp(log_q) @ (log_q - log_p))
field = mean_field_kl(target, log_Z)
rows = [["ARM, all positions", arm_kl["a"]]]
rows += [[f"ARM-MC, {name}", kl] for name, kl in mc_kl.items()]
hot = log_f(states, target) / 16
hot = hot - ad.logsumexp(hot)
rows.append(["the target at 16 times the temperature", float(xp.exp(hot) @ (hot - log_p))])
rows += [["mean field", field], ["fair coins", log_Z - 16 * np.log(2)]]
table(rows, ["model", "KL (nats)"], "Target a after equally many steps")
claims.check(
    "C6.c",
    "E3: KL of the better ARM-MC minus that of mean field, target a",
    measured=min(mc_kl.values()) - field,
    at_least=0,
    unit="nats",
    paper="60.68 − 2.24 on 10 × 10",
)

# %%
same, two = (found[f"ARM-MC, {name}"] for name in ("same position", "two positions"))
lengths = [float(xp.sqrt(mean @ mean)) for mean in (same[2], truth)]
say(f"""With the same position in both places the mean gradient is {lengths[0] / lengths[1]:.0f} times
too long, and training ends at {mc_kl["same position"]:.2f} nats. With two positions the variance is
{two[0] / least:.0f} times that of the full sum, and training ends at
{mc_kl["two positions"]:.2f} nats (fair coins: {log_Z - 16 * np.log(2):.2f}).""")


# %% [markdown]
# Both variants fail, and for different reasons. With the same position in both places the entropy counts many
# times over, and after training the model sits where {eq}`eq-mam-bias` says, near the divergence of the target at
# 16 times the temperature. Noise relative to the signal is not its problem. With two positions the mean has about
# the right length, and the noise is what the paper complains about. Its training does not settle, and at larger
# learning rates trials ended far above fair coins. A model that puts everything on one state $x$ has the divergence
# $\log Z-\log f^*(x)$, and an unbounded loss on all others. The paper's ARM-MC, with 60.7 nats and 24.84 bits per
# spin, looks like such a collapse, onto states that are not even the likeliest. So the paper's word for it, variance,
# fits the second reading.
#
# A word on the ratio in C6. Its threshold of 20 was set before anything was measured, without a word on the units
# of the reward; C6.a and C6.b take raw rewards, a choice made with trials of both at hand. With rewards
# standardised, as in the training loop, the ratio of two positions is smaller and misses the threshold (C6.d). The
# scores alone explain 16, since a sum of $D$ uncorrelated terms of variance $v$ has variance $Dv$, and $D$ times one
# of them has $D^2v$. The factor grows with $D$, and $D=16$ is small.
#
# ### Larger lattices
#
# Ten by ten spins cannot be listed. The exact $\log Z$ is there all the same, and exact samples come from a
# long Gibbs chain on the energy itself. The spins of one colour of a checkerboard have no bond among them, so
# that they are drawn together, each with the log-odds $2(2\sigma_J\sum_{\text{neighbours}}x_j+b)$. We check
# the chain by its mean energy, which is $\log Z-H$.

# %%
def gibbs_ising(target, chains, sweeps, rng):
    """Samples of the torus, L even, by checkerboard Gibbs sampling."""
    L, sigma, b = target
    s, i = xp.ones((chains, L, L)), xp.arange(L)
    white = (i[:, None] + i) % 2 == 0
    for _ in range(sweeps):
        for colour in (white, ~white):
            around = sum(xp.roll(s, k, axis=axis) for k in (1, -1) for axis in (1, 2))
            up = 2 * (2 * sigma * around + b) + rng.logistic(size=s.shape) > 0
            s = xp.where(colour, xp.where(up, 1.0, -1.0), s)
    return xp.astype(xp.reshape(s, (chains, -1)), xp.float32)


energy = log_f(gibbs_ising(BIG, 500, 40, generator(0)), BIG)
claims.check(
    "C1.f",
    "10 × 10: mean energy of Gibbs samples, distance to log Z − H in standard errors",
    measured=abs(float(xp.mean(energy)) - log_Z_big + H_big) / float(xp.std(energy)) * 500**0.5,
    at_most=4,
    own=True,
)

# %% [markdown]
# The paper's own sizes, 10 × 10 and 30 × 30, run at paper scale only. There the same functions fill this
# table, and C7 asks for a true divergence of MaM between 0 and 1.5 nats on 10 × 10 and a smaller one of the
# ARM. The larger lattice is not at its critical point, so its $\log Z$ and entropy per spin are those of the
# smaller.

# %%
LARGE = scale(default=(), paper=(10, 30))
rows, gap = [["10 × 10: exact", H_big / 100 / np.log(2), 0.0]], {}
for L in LARGE:
    target, log_Z, rng = (L, *BIG[1:]), log_Z_big * L * L / 100, generator(2000)
    x = gibbs_ising(target, 2000, 200, rng)
    for seed in SEEDS:
        trained = train_mam(target, generator(seed), **ENERGY)["phi"]
        rank = orders(rng, *x.shape)
        gap[L, seed] = reverse_kl(trained, target, log_Z, rank, rng)[0]
        nats = -float(xp.mean(log_prob(trained, x, rank)))
        name = f"{L} × {L}: MaM, seed {seed}"
        rows.append([name, nats / L / L / np.log(2), gap[L, seed]])

# %%
for L in LARGE[:1]:
    target, rng, rank = (L, *BIG[1:]), generator(2001), forward(2000, L * L)
    x = gibbs_ising(target, 2000, 200, rng)
    for name, estimator in (("ARM", arm_full), ("ARM-MC", arm_two)):
        trained = train_arm(estimator, target, generator(0), **ARM)
        gap[name] = reverse_kl(trained, target, log_Z_big, rank, rng)[0]
        nats = -float(xp.mean(log_prob(trained, x, rank)))
        rows.append([f"{L} × {L}: {name}", nats / L / L / np.log(2), gap[name]])
    ours = [gap[L, seed] for seed in SEEDS]
    words = "10 × 10: true KL of MaM"
    facts = {"unit": "nats", "paper": "0.92", "seeds": len(SEEDS)}
    claims.check("C7.a", f"{words}, largest", measured=max(ours), at_most=1.5, **facts)
    claims.check("C7.b", f"{words}, smallest", measured=min(ours), at_least=0, **facts)
    words, facts["paper"] = "10 × 10: true KL of MaM minus that of the ARM", "0.86"
    claims.check("C7.c", words, measured=min(ours) - gap["ARM"], at_least=0, **facts)
table(rows, ["lattice: model", "bits per spin", "KL (nats)"], "Lattices of the paper's size")

# %% [markdown]
# ## Verdict
#
# The central claim holds where it can be checked to the last digit. A network trained by one-step agreement
# and a reward, without data and without a single exact probability, gives marginals of an Ising model in one
# pass, close on likely patterns and half a nat off on rare ones, and its value for the empty observation gives
# $\log Z$. Agreement alone carries the knowledge of an autoregressive model of digits into a network that needs one
# pass instead of 320. The price is paid in the conditionals, which lag behind the marginals and lose to a plain
# fixed-order model as long as that one can be afforded. ARM-MC fails as claimed. But in one of its two readings the
# reason is bias, not variance.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# MNIST and CIFAR with convolutional networks, the molecules of MOSES, text8 and the molecules with a target
# property need data and networks beyond a laptop core. GFlowNet and EiNet were not rebuilt, so that their
# rows in the paper's tables stand without a check. The comparison of fixed with any order is made on the
# Ising model only. The 10 × 10 and 30 × 30 lattices (item 7) run at paper scale only. Nor did we run three seeds
# of target b, or a Boltzmann machine on the digits, whose likelihood has no closed form.
#
# A remark on the baselines: for target b the divergence of independent fair coins is 1.695 nats. Mean field
# is better, since its magnetised solution beats the symmetric one as soon as $8\sigma_J>1$.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells train networks with four residual blocks of width 1024, on
# batches of 512, for 15 000 steps with the authors' $\alpha=4$ and learning rate, on three seeds. The 4 × 4
# targets are followed by 10 × 10, with ARM and ARM-MC beside MaM, and by 30 × 30. A training step of MaM
# evaluates 2048 rows with a gradient and four passes of 512 without one, about $10^{11}$ operations,
# on either lattice; one of the ARM on 10 × 10 evaluates 12 800 rows. The networks for the digits grow to
# width 1024 and about ten times the steps. This scale has not been run yet; when it has,
# the numbers will stand here with the device and the date.
