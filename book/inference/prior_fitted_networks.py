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
# # Transformers Can Do Bayesian Inference
#
# ```{paper-card}
# ```
#
# A weather service that has seen a million summers needs no formula to guess tomorrow from the last ten
# days: it has met many stretches like these and remembers how they went on. Bayesian inference can be
# learned in the same way. Invent a world by drawing it from a prior, draw some data from that world,
# hide one observation and let a network guess it from the others. After enough invented worlds, the
# network that guesses best is the one that has learned Bayes' rule for this prior. Given real data, it
# answers in a single pass, without sampling and without optimising anything. (Its next of kin, the
# [distribution transformer](distribution_transformer.md), is told the prior as well.)
#
# {cite:t}`prior_fitted_networks` call this a *prior-data fitted network*, or PFN. In
# this chapter we train PFNs of some 26 000 weights, each for a few seconds on one core, and
# choose priors whose exact answer is known. That turns "has it learned Bayes' rule?" into a number of nats.
#
# ## What the paper claims
#
# 1. Minimising the negative log-likelihood of a held-out point, over datasets drawn from a prior, makes a
#    transformer approximate the posterior predictive distribution: it captures what the known points tell.
#    {claims}`C1.a, C1.b`
# 2. The loss is the expected Kullback–Leibler divergence to the exact predictive distribution plus a constant,
#    so that no network can go below the exact one. Simpler models stay above the network, though not with the
#    fewest points. {claims}`C2.a, C2.b, C2.c`
# 3. PFNs imitate a fixed Gaussian process almost exactly, and come closer with more training datasets
#    (500 000 to 4 million). {claims}`C3.a, C3.b`
# 4. The network is a function of a *set* of known points, and queries do not see each other.
#    {claims}`C4.a, C4.b, C4.c`
# 5. The head decides whether regression works: replacing the paper's discretised density by a Gaussian
#    costs much. {claims}`C5.a, C5.b, C5.c`
# 6. Where hyper-parameters are random as well, a PFN predicts better than a Gaussian process fitted by type-II
#    maximum likelihood (MLE-II), more than 200 times as fast. {claims}`C6.a, C6.b, C6.c, C6.d`
# 7. On small tables with 30 labelled rows, a PFN with a Gaussian process as the prior has a mean rank of 3.833
#    in ROC AUC (logistic regression 4.690, nearest neighbours 6.214) and a calibration error of 0.067 (nearest
#    neighbours 0.093). {claims}`C7.a, C7.b, C7.c, C7.d`
#
# Not tested here: the sampler NUTS, which the paper finds 1000 to 8000 times slower than the PFN and worse; priors
# over Bayesian neural networks, where a PFN needs a 1000th of the time of variational inference and a 10 000th
# of that of NUTS; the best PFN of the tables (mean rank 2.786, with a prior over neural networks), XGBoost
# (3.357) and the other boosted trees; positional encodings, which cost little; and handwritten characters.
#
# These statements rest on the paper's full text with its appendices, in a third-party copy, where the
# results of single tables of claim 7 were not read, and on the authors' code
# ([automl/TransformersCanDoBayesianInference](https://github.com/automl/TransformersCanDoBayesianInference)).
# The results of claims 1 to 6 are printed as curves, so few numbers can be set beside ours.
#
# ## The idea
#
# **The loss.** A *prior* $p(\mathcal D)$ is anything that produces datasets. Draw one and split it into a
# *context* $D=\{(x_i,y_i)\}_{i\le n}$ and a *query* $x$ with the hidden answer $y$. A network $q_\theta$
# with weights $\theta$ maps context and query to a density over answers, and pays
#
# $$
# \ell_\theta=E_{D,x,y}\bigl[-\log q_\theta(y\mid x,D)\bigr].
# $$ (eq-pfn-loss)
#
# Fix $D$ and $x$. What remains random is $y\sim p(\cdot\mid x,D)$, which is by definition the *posterior
# predictive distribution* (PPD). The inner expectation is a cross-entropy, and so
#
# $$
# \ell_\theta=E_{D,x}\,\mathrm{KL}\bigl(p(\cdot\mid x,D)\,\Vert\,q_\theta(\cdot\mid x,D)\bigr)
# +E_{D,x}\,H\bigl(p(\cdot\mid x,D)\bigr).
# $$ (eq-pfn-kl)
#
# The entropy $H$ does not depend on $\theta$. Minimising the loss thus minimises the expected divergence to
# the exact PPD, although nobody has computed that PPD: sampling from the prior is enough. Equation
# {eq}`eq-pfn-kl` is also our measuring device. Where the exact PPD is known, its own loss is the entropy,
# and the difference between the two losses *is* the expected divergence. It cannot be negative, so
# a network that beats the exact answer by more than the noise of the test data must be cheating.
#
# **The network.** The answer must not depend on the order of the context. Each pair $(x_i,y_i)$ becomes one
# vector, $\mathrm{Lin}(x_i)+\mathrm{Lin}(y_i)$, and each query becomes $\mathrm{Lin}(x)$. A transformer
# without positional encodings treats these vectors as a set. Its attention is masked: everyone looks at the
# context, nobody at a query, so that any number of queries can be answered in one pass without knowing of
# each other. In the paper a query also looks at itself. We instead put one learned vector, a *start
# token*, in front of the context for all to look at. It gives the queries something to attend to when the
# context is empty and costs less than a mask. In trial runs our small network, with the paper's mask, missed
# the exact answer by several nats at $n=0$, which training rarely visits.
#
# **The head.** A density over the real line is built from $B$ buckets. Their borders $b_0<\dots<b_B$ are
# quantiles of answers drawn from the prior, so that each bucket is equally likely a priori. The network
# says with which probability $p_k$ the answer falls into bucket $k$ of width $w_k=b_k-b_{k-1}$, and within
# the bucket the density is flat:
#
# $$
# q(y)=p_k/w_k\quad\text{for }b_{k-1}<y\le b_k,\ 1<k<B .
# $$ (eq-pfn-riemann)
#
# The first and the last bucket are open. There the density is $p_k$ times a half-normal density that starts at
# the inner border and points outwards, with scale $s=w_k/0.6745$, so that half of it falls within the width
# that the bucket has in the sample. The paper calls this the *Riemann distribution*. It turns regression into
# classification, and can have any number of peaks.
#
# ## The method in code

# %%
from itertools import count, repeat
from time import process_time

import numpy as np
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gaussbook import autodiff as ad
from gaussbook import data, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.claims import Claims

claims = Claims("prior_fitted_networks")
xp = backend()
T = xp.matrix_transpose

# %%
from gaussbook.gp.covariances import Matern52
from gaussbook.gp.exact import condition_on_data, log_marginal_likelihood
from gaussbook.metrics import expected_calibration_error
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay, minimize_lbfgs, warm_up
from gaussbook.plotting import PALETTE, figure, slider
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

FEATURES = scale(default=1, paper=5)  # dimension of x in regression
N = scale(default=20, paper=200)  # points of a training dataset, context and queries
NOISE = scale(default=1e-2, paper=1e-4)  # variance of the observation noise
BUCKETS = scale(default=100, paper=1000)
BATCH = scale(default=48, paper=100)  # datasets per training step
SIZES = scale(default=(0, 1, 2, 4, 9, 19), paper=(0, 1, 2, 4, 9, 19, 49, 99, 199))

# %% [markdown]
# **The network.** The weights start at random, except that the last layer of each block's attention and of
# its dense part starts at zero, so that a block begins as the identity up to its norm. Each block has the
# norm after the sum, as in the paper, and its attention looks at the positions `seen`, the start token and
# the context. After the last block only the queries are read, so that it computes nothing else. The network
# computes in single precision and hands over its outputs in double, in which everything else here is done.

# %%
WIDTH, LAYERS = scale(default=(32, 2), paper=(256, 6))


def pfn_init(rng, features, outputs):
    """Random weights; every block begins as the identity up to its norm."""
    widths = WIDTH, 2 * WIDTH
    blocks = [nn.transformer_block_init(rng, *widths, identity=True) for _ in range(LAYERS)]
    return {
        "x": nn.dense_init(rng, features, WIDTH),
        "y": nn.dense_init(rng, 1, WIDTH, bias=False),
        "start": nn.normal(rng, (1, 1, WIDTH), scale=1.0),
        "blocks": blocks,
        "head": nn.mlp_init(rng, [WIDTH, 2 * WIDTH, outputs]),
    }


# %%
def attend(block, h, seen):
    """One block: attention to what is seen, then a dense network for each position."""
    looked = nn.multi_head_attention(block["attention"], h, seen, heads=4)
    h = nn.layer_norm(block["attention_norm"], h + looked)
    dense = nn.dense(block["down"], nn.dense(block["up"], h, "gelu"))
    return nn.layer_norm(block["dense_norm"], h + dense)


def pfn(params, x, y, n):
    """Outputs for the queries x[:, n:], given the context x[:, :n], y[:, :n]."""
    x, y = xp.astype(x, xp.float32), xp.astype(y[:, :n, None], xp.float32)
    h = nn.dense(params["x"], x)
    start = ad.broadcast_to(params["start"], (x.shape[0], 1, WIDTH))
    h = ad.concat([start, h[:, :n, :] + nn.dense(params["y"], y), h[:, n:, :]], axis=1)
    *blocks, last = params["blocks"]
    for block in blocks:
        h = attend(block, h, h[:, : n + 1, :])
    h = attend(last, h[:, n + 1 :, :], h[:, : n + 1, :])
    return ad.astype(nn.mlp(params["head"], h, "gelu"), xp.float64)


# %% [markdown]
# **The Riemann head.** The logarithm of {eq}`eq-pfn-riemann` has two parts: $\log p_k$, which is minus the
# cross-entropy of the logits with the bucket's number $k$ as the class, and the logarithm of the density
# within the bucket, which does not depend on the network. An answer beyond the outermost border still has a
# bucket, the first or the last, so that no likelihood is ever zero. The library computes this density as
# `nn.riemann_log_density`.

# %%
def borders(y, B=BUCKETS):
    """Equal-mass borders b_0 < ... < b_B: quantiles of a large sample of the prior."""
    return nn.riemann_borders(y, B)


# %% [markdown]
# The mean is $\sum_kp_km_k$ with the midpoints $m_k$, or the half-normal's mean $s\sqrt{2/\pi}$ beyond the
# inner border in the open buckets. Quantiles follow from the cumulative probabilities, linearly within each
# bucket.

# %%
def riemann_mean(logits, b):
    """sum_k p_k m_k."""
    m = (b[1:] + b[:-1]) / 2
    reach = np.sqrt(2 / np.pi) / 0.67449
    low, high = b[1] - reach * (b[1] - b[0]), b[-2] + reach * (b[-1] - b[-2])
    m = xp.concat([low[None], m[1:-1], high[None]])
    return ad.softmax(logits) @ m


def riemann_quantile(logits, b, level):
    """The y at which the cumulative probability reaches a level."""
    p = ad.softmax(logits)
    above = xp.cumulative_sum(p, axis=-1)
    k = xp.sum(xp.astype(above[..., :-1] < level, xp.int64), axis=-1)
    at_k = (xp.take_along_axis(a, k[..., None], axis=-1)[..., 0] for a in (p, above))
    p_k, above_k = at_k
    return b[k + 1] - (above_k - level) / p_k * (b[k + 1] - b[k])


# %% [markdown]
# **The training loop.** Each step draws fresh datasets of $N$ points and one context size $n$ for all of
# them. The first $n$ points are the context and the other $N-n$ are queries, all scored in one pass. With
# $n$ drawn from $\{0,\dots,N-1\}$ with probability proportional to $1/(N-n)$, all context sizes get the same
# number of scored queries. An empty context comes up in one step of 72, so that a short run of independent
# draws might hardly meet it. We therefore draw $n$ from evenly spread numbers, the multiples of the
# golden ratio modulo one after a random start, which changes its luck and not its distribution. The optimiser
# is Adam with a short warm-up and a cosine to zero; the norm of the gradient is cut at 1. As our runs are short,
# the mean of the squared gradients reaches back over some 50 steps. All weights are laid end to end in one
# vector $\theta$, which makes an optimiser's step a handful of operations. No dataset is ever seen twice, so there
# is nothing to overfit.

# %%
RATE, BETA2 = scale(default=(1.2e-2, 0.98), paper=(3e-4, 0.999))


def context_sizes(N, u):
    """Sizes n with probability proportional to 1 / (N - n), from golden-ratio numbers."""
    share = np.cumsum(1 / (N - np.arange(N)))
    for level in count(u, (np.sqrt(5) - 1) / 2):
        yield int(np.searchsorted(share, share[-1] * (level % 1)))


# %%
def train(
    loss, params, prior, checkpoints, rng, N=N, batch=BATCH, context=None, rate=RATE
):
    """Minimise loss(params, x, y, n) over fresh datasets; return all checkpoints."""
    sizes = context_sizes(N, rng.uniform()) if context is None else repeat(context)
    steps = checkpoints[-1]
    rates = warm_up(cosine_decay(rate, steps - steps // 10), steps // 10)
    adam, kept = Adam(rates, beta2=BETA2), [params]

    def draw(rng):
        return *prior(rng, batch, N), next(sizes)

    for more in np.diff([0, *checkpoints]):
        fitted = nn.fit(loss, kept[-1], draw, adam, steps=int(more), rng=rng, clip=1.0)
        kept.append(fitted.params)
    return kept[1:]


# %% [markdown]
# **The prior.** The first one is a Gaussian process (GP) with a squared exponential covariance of length
# scale $\lambda=0.6$ and variance one, observed with noise of variance $\tau^2$ at points drawn uniformly from
# $[0,1]^d$. With the covariance matrix $K$ of the points and $K+\tau^2I=LL^\top$, the answers are
# $y=Lz$ with $z\sim N(0,I)$. The draws are made in double precision, many datasets at once. The network gets
# the inputs shifted and scaled to mean 0 and variance 1.

# %%
def distances(x):
    """Squared distances (batch, N, N) of the points (batch, N, d) of each dataset."""
    squares = xp.sum(x * x, axis=-1)
    D = squares[:, :, None] + squares[:, None, :] - 2 * x @ T(x)
    return xp.where(D > 0, D, xp.zeros_like(D))


LENGTH = 0.6 * np.sqrt(12)  # x in [0, 1] has standard deviation 1 / sqrt(12)


def gp_covariance(x, length=LENGTH):
    """exp(-|x - x'|^2 / 2 length^2) of standardised x."""
    return xp.exp(-distances(x) / (2 * length**2))


def gaussian_draw(K, rng):
    """y = L z with K = L L'."""
    return (xp.linalg.cholesky(K) @ rng.standard_normal((*K.shape[:2], 1)))[..., 0]


def gp_prior(rng, batch, N):
    """x uniform, standardised; y a noisy path of the Gaussian process."""
    x = (rng.uniform(0, 1, (batch, N, FEATURES)) - 0.5) * np.sqrt(12)
    return x, gaussian_draw(gp_covariance(x) + NOISE * xp.eye(N), rng)


# %% [markdown]
# ## Experiments
#
# ### Against the exact posterior of a Gaussian process
#
# Under this prior the PPD is normal, with the mean and variance of Gaussian process regression. We train two
# networks on two seeds and compare them with the exact PPD on 1000 fresh datasets. The paper's noise of
# $10^{-4}$ makes the exact density so narrow, with a standard deviation of about 0.01, that a hundred buckets could
# not resolve it. We take $10^{-2}$.

# %%
CHECKPOINTS = scale(default=(80, 200, 400), paper=(1250, 2500, 5000))
b_gp = borders(gp_prior(generator(10), 5000, N)[1])


def riemann_loss(params, x, y, n, b=b_gp):
    """Mean of -log q(y | x, D) over all queries."""
    return -ad.mean(nn.riemann_log_density(pfn(params, x, y, n), y[:, n:], b))


trained = []  # seed, checkpoint
for seed in (0, 1):
    to_initialise, to_train = generator(seed).spawn(2)
    start = pfn_init(to_initialise, FEATURES, BUCKETS)
    trained.append(train(riemann_loss, start, gp_prior, CHECKPOINTS, to_train))
x, y = gp_prior(generator(1), scale(default=1000, paper=500), N)


# %% [markdown]
# For comparison we need the exact answer and some that are not. All of them are Gaussian processes with some
# covariance: the exact one; Bayesian linear regression on $(1,x)$, whose covariance is
# $v_0+v_1\,x^\top x'$; and the prior marginal, which ignores the context, as a process without any
# correlation. Conditioning a Gaussian on the context gives mean and variance of each query.

# %%
def gaussian_prediction(K, y, n, noise=NOISE):
    """Mean and variance of the queries' y under y ~ N(0, K + noise I)."""
    variance = xp.linalg.diagonal(K)[:, n:]
    if n == 0:
        return xp.zeros_like(variance), variance + noise
    cross = K[:, n:, :n]
    mean, variance = condition_on_data(K[:, :n, :n], cross, variance, y[:, :n], noise)
    return mean, variance + noise


def gaussian_nll(mean, variance, y):
    """-log N(y | mean, variance)."""
    return 0.5 * (xp.log(2 * np.pi * variance) + (y - mean) ** 2 / variance)


# %% [markdown]
# The linear model gets its best setting: its two weight variances and its noise variance maximise the marginal
# likelihood of 400 whole datasets from the prior.

# %%
def linear_covariance(x, v):
    """v_0 + v_1 x'x of Bayesian linear regression on (1, x)."""
    return v[0] + v[1] * (x @ T(x))


def linear_loss(params, x, y):
    """-log marginal likelihood of linear regression with variances exp(params)."""
    v = ad.exp(params["log_v"])
    L = ad.cholesky(linear_covariance(x, v) + v[2] * xp.eye(x.shape[1]))
    z = ad.solve_triangular(L, y[..., None])
    return (ad.sum(z * z) / 2 + ad.sum(ad.log(ad.diagonal(L)))) / y.size


x_fit, y_fit = gp_prior(generator(11), 400, N)
start = {"log_v": xp.zeros(3)}
found = minimize_lbfgs(lambda p: linear_loss(p, x_fit, y_fit), start, tolerance=1e-4)
v_linear = xp.exp(found.params["log_v"])

# %%
models = {
    "exact GP": (gp_covariance(x), NOISE),
    "linear regression": (linear_covariance(x, v_linear), float(v_linear[2])),
    "prior marginal": (xp.broadcast_to(xp.eye(N), (x.shape[0], N, N)), NOISE),
}


def gaussian_losses(K, noise):
    """Mean loss of a Gaussian predictor for each context size."""
    predictions = [gaussian_prediction(K, y, n, noise) for n in SIZES]
    pairs = zip(predictions, SIZES, strict=True)
    return np.array([float(xp.mean(gaussian_nll(*p, y[:, n:]))) for p, n in pairs])


nll = {name: gaussian_losses(*model) for name, model in models.items()}
gp_nll, linear_nll, prior_nll = nll.values()
pfn_nll = np.empty((2, len(CHECKPOINTS), len(SIZES)))
for seed, checkpoint, i in np.ndindex(*pfn_nll.shape):
    net = trained[seed][checkpoint]
    pfn_nll[seed, checkpoint, i] = riemann_loss(net, x, y, SIZES[i])

# %% [markdown]
# From the losses we read how much of the information in the context the network has captured: 0 for a network
# that is blind to it and 1 for the exact answer,
#
# $$
# \frac{\ell_{\text{prior}}-\ell_{\text{PFN}}}{\ell_{\text{prior}}-\ell_{\text{GP}}} .
# $$

# %%
gap = pfn_nll - gp_nll
rows = [[name, *values] for name, values in nll.items()]
rows[1:1] = [[f"PFN, seed {seed}", *pfn_nll[seed, -1]] for seed in (0, 1)]
other = xp.concat([y[1:, :], y[:1, :]])  # every context gets the answers of another one
swapped = []
for n in SIZES:
    logits = pfn(trained[0][-1], x, other, n)
    swapped.append(-float(xp.mean(nn.riemann_log_density(logits, y[:, n:], b_gp))))
rows.append(["PFN, seed 0, answers of another context", *swapped])
columns = ["predictor", *(f"n = {n}" for n in SIZES)]
table(rows, columns, "Mean loss of a query after n context points (nats)")
captured = {
    n: (prior_nll - pfn_nll[:, -1, :])[:, i] / (prior_nll - gp_nll)[i]
    for i, n in enumerate(SIZES)
    if n > 0
}

# %%
for part, n, least in (("a", 9, 0.85), ("b", 4, 0.84)):
    claims.check(
        f"C1.{part}",
        f"E1: information captured after {n} context points, worse seed",
        measured=min(captured[n]),
        at_least=least,
        paper="≈ 1 (curves)",
        seeds=2,
    )

# %%
ahead = linear_nll - pfn_nll[:, -1, :]
linear_share = ((prior_nll - linear_nll) / (prior_nll - gp_nll))[SIZES.index(9)]
claims.check(
    "C2.a",
    "E1: smallest excess of the PFN's loss over the exact posterior's, any n",
    measured=gap[:, -1, :].min(),
    at_least=-0.02,
    unit="nats",
    seeds=2,
)
late = [SIZES.index(n) for n in (9, 19)]
claims.check(
    "C2.b",
    "E1: smallest advantage over Bayesian linear regression, n = 9 and 19",
    measured=ahead[:, late].min(),
    at_least=0.15,
    unit="nats",
    seeds=2,
    own=True,
)

# %%
early = [SIZES.index(n) for n in (1, 2)]
claims.check(
    "C2.c",
    "E1: smallest lag behind Bayesian linear regression, n = 1 and 2",
    measured=-ahead[:, early].max(),
    between=(0.02, 0.3),
    unit="nats",
    seeds=2,
    own=True,
)

# %%
say(f"A context of nine points tells the network {100 * min(captured[9]):.0f} % of what it "
    "tells the exact posterior. Linear regression, a fair model of so smooth a path, gets "
    f"{100 * linear_share:.0f} %. With one or two points it is *ahead* of the network, by up to "
    f"{-ahead[:, early].min():.2f} nats: short contexts are rare in training.")

# %% [markdown]
# By {eq}`eq-pfn-kl` the distance of a network's curve from the exact one is an expected divergence, and it
# shrinks as the network sees more datasets. The means agree too: we average the absolute difference of the
# two posterior means over all queries.

# %%
n = 9
exact_mean = gaussian_prediction(gp_covariance(x), y, n)[0]
difference = [
    float(xp.mean(xp.abs(riemann_mean(pfn(seed[-1], x, y, n), b_gp) - exact_mean)))
    for seed in trained
]
mean_gap = gap.mean(axis=2)  # seed, checkpoint
claims.check(
    "C3.a",
    "E1: smallest fall of the mean gap to the exact loss between checkpoints",
    measured=-np.diff(mean_gap, axis=1).max(),
    at_least=0.05,
    unit="nats",
    paper="falls with datasets (curves)",
    seeds=2,
)
claims.check(
    "C3.b",
    "E1: mean |PFN mean − GP mean| over queries at n = 9, worse seed",
    measured=max(difference),
    at_most=0.10,
    paper="almost exactly (picture)",
    seeds=2,
)

# %% tags=["hide-input"]
alt = f"""Loss against the number of context points. The exact posterior falls from
{gp_nll[0]:.2f} to {gp_nll[-1]:.2f} nats. The network's mean gap to it is
{mean_gap[0, 0]:.2f}, {mean_gap[0, 1]:.2f} and {mean_gap[0, 2]:.2f} nats at the three
checkpoints. Linear regression levels off near {linear_nll[-1]:.2f}, the prior marginal
stays at {prior_nll[0]:.2f}."""
caption = """Mean loss of a query after $n$ context points (seed 0). The vertical
distance to the black curve is the expected divergence to the exact posterior predictive
distribution."""
with figure(alt=alt, caption=caption, width=6.0, height=3.2) as ax:
    ax.plot(SIZES, gp_nll, "k-o", ms=4, label="exact GP")
    colours = [PALETTE[name] for name in ("sky", "blue", "purple")]
    for values, steps, colour in zip(pfn_nll[0], CHECKPOINTS, colours, strict=True):
        label = f"PFN, {steps * BATCH} datasets"
        ax.plot(SIZES, values, "o-", ms=3, color=colour, label=label)
    ax.plot(SIZES, linear_nll, "--", color=PALETTE["orange"], label="linear regression")
    ax.plot(SIZES, prior_nll, ":", color="0.5", label="prior marginal")
    ax.set(xlabel="context points $n$", ylabel="loss (nats)", xticks=SIZES)
    ax.legend()

# %% [markdown]
# The network never touches the Gaussian process's formulas, and yet draws nearly the same picture, least well
# where it has little to go by. Below
# it answers 120 queries in one pass, for a dataset it has not met, of which it sees more and more points.

# %%
contexts = range(1, 10)
t = xp.linspace(-np.sqrt(3), np.sqrt(3), 120)[:, None]  # along the first feature
grid = xp.concat([t, xp.zeros((120, FEATURES - 1))], axis=1)
bands = {}
for n in contexts:
    points = xp.concat([x[2, :n, :], grid])[None, ...]
    answers = xp.concat([y[2, :n], xp.zeros(120)])[None, :]
    mean, variance = gaussian_prediction(gp_covariance(points), answers, n)
    spread = stats.norm.ppf(0.975) * xp.sqrt(variance)
    logits = pfn(trained[0][-1], points, answers, n)
    low, high = (riemann_quantile(logits, b_gp, level) for level in (0.025, 0.975))
    curves = mean, mean - spread, mean + spread, riemann_mean(logits, b_gp), low, high
    bands[n] = [to_host(curve[0, :]) for curve in curves]

# %% tags=["hide-input"]
caption = """Posterior mean and 95 % band of an answer: exact Gaussian process (black,
dashed band) and PFN (blue). The network has never seen this dataset; each picture is
one forward pass."""


bottom, top = np.min(bands[1]) - 0.2, np.max(bands[1]) + 0.6


def show_posterior(ax, n):
    """The two posteriors given the first n points of the dataset."""
    mean, lower, upper, ours, low, high = bands[n]
    s = to_host(t)[:, 0] / np.sqrt(12) + 0.5
    ax.fill_between(s, low, high, color=PALETTE["sky"], alpha=0.35, lw=0)
    ax.plot(s, ours, color=PALETTE["blue"], label="PFN")
    ax.plot(s, mean, "k-", lw=1, label="exact GP")
    ax.plot(s, np.transpose([lower, upper]), "k--", lw=0.8)
    seen = to_host(x[2, :n, 0]) / np.sqrt(12) + 0.5
    ax.plot(seen, to_host(y[2, :n]), "o", ms=5, color=PALETTE["vermilion"], label="context")
    ax.set(xlabel="input $x$", ylabel="answer $y$", xlim=(0, 1), ylim=(bottom, top))
    ax.legend(loc="upper left", ncols=3)


def in_words(n):
    """What the picture for n points shows."""
    mean, lower, upper, ours, low, high = bands[n]
    apart, network, exact = np.abs(ours - mean).max(), np.mean(high - low), np.mean(upper - lower)
    return f"""With n = {n} the means of network and exact process are nowhere more than
    {apart:.2f} apart; the network's 95 % band is {network:.2f} wide on average, the exact one
    {exact:.2f}."""


# %% tags=["hide-input"]
slider(contexts, show_posterior, label="context points n", start=4, width=6.0, height=3.2,
       alt=in_words, caption=caption)  # fmt: skip

# %% [markdown]
# Two properties hold by construction, whatever the weights: the order of the context does not matter, and a
# query does not see another query. A third one the network has to learn: without any context all buckets are
# equally likely, because their borders were chosen so.

# %%
net, n, rng = trained[0][-1], 9, generator(12)
moved = xp.concat([x[:, : N - 1, :], x[:, N - 1 :, :] + 1], axis=1)


def change_by_permutation(net, n):
    """Largest change of a logit when the context is reordered."""
    order = rng.permutation(n)
    shuffled = [xp.concat([a[:, order, ...], a[:, n:, ...]], axis=1) for a in (x, y)]
    return float(xp.max(xp.abs(pfn(net, *shuffled, n) - pfn(net, x, y, n))))


nets = [seed[-1] for seed in trained]
change = max(change_by_permutation(one, size) for one in nets for size in (2, 4, 9))
double = [nn.tree_map(lambda leaf: xp.astype(leaf, xp.float64), one) for one in nets]
change_double = max(change_by_permutation(one, n) for one in double)
logits = pfn(net, x, y, n)
beside = pfn(net, moved, y, n)
query_error = float(xp.max(xp.abs((beside - logits)[:, :-1, :])))
empty = [xp.mean(ad.softmax(pfn(seed[-1], x, y, 0)), axis=(0, 1)) for seed in trained]
uniformity = float(xp.mean(xp.abs(BUCKETS * xp.stack(empty) - 1)))

# %%
claims.check(
    "C4.a",
    "largest change of a logit when the context is permuted (weights in double precision)",
    measured=change_double,
    at_most=1e-10,
    paper="0 by construction",
    seeds=2,
)
table(
    [["single", change], ["double", change_double]],
    ["precision of the weights", "largest change of a logit"],
    "The context in another order: what rounding does",
)

# %%
claims.check(
    "C4.b",
    "largest change of the other queries' logits when one query moves",
    measured=query_error,
    at_most=1e-6,
    paper="0 by construction",
)
claims.check(
    "C4.c",
    "mean relative deviation of the bucket probabilities from 1/B without context",
    measured=100 * uniformity,
    seeds=2,
    at_most=30,
    unit="%",
    own=True,
)


# %% [markdown]
# Reordering the context changes the order in which attention adds up its terms. In single precision, in
# which the networks were trained, our first bound of $10^{-5}$ is missed on some machines, because the logits are
# large and so is the spacing of the numbers around them. A verdict should not hang on that. So the claim is
# checked with the same weights in double precision: the property belongs to the network, the rest is rounding.
#
# ### What the head is good for
#
# The paper replaces the Riemann head by a Gaussian one, which outputs a mean and a log variance, and loses
# much. On our process the exact PPD *is* Gaussian, so that the Gaussian head ought to have the advantage.
# The second prior takes it away. Let $g=2+f$ with a path $f$ of the same process, and let each observation
# have a random sign of its own, $y=\sigma\,g(x)+\epsilon$ with $\sigma=\pm1$. However many points are known,
# the next one may lie on either of two branches, and the best single Gaussian covers the gap between them.
# On the process
# the Riemann network is the one above (seed 0), and the Gaussian one gets the same 400 steps from the same seed;
# on the random signs both get 200, with 64 datasets in each.

# %%
def signed_prior(rng, batch, N):
    """y = sigma (2 + f(x)) + epsilon with independent random signs sigma."""
    x = (rng.uniform(0, 1, (batch, N, FEATURES)) - 0.5) * np.sqrt(12)
    f = gaussian_draw(gp_covariance(x) + 1e-6 * xp.eye(N), rng)
    sign = 2.0 * rng.integers(0, 2, f.shape) - 1
    return x, sign * (2 + f) + np.sqrt(NOISE) * rng.standard_normal(f.shape)


def gaussian_loss(params, x, y, n):
    """Mean of -log N(y | mean, exp(log variance))."""
    out = pfn(params, x, y, n)
    mean, log_variance = out[..., 0], out[..., 1]
    square = (y[:, n:] - mean) ** 2 * ad.exp(-log_variance)
    return ad.mean(square + log_variance + np.log(2 * np.pi)) / 2


# %%
b_signed = borders(signed_prior(generator(10), 5000, N)[1])
signed_test = signed_prior(generator(1), x.shape[0], N)


def signed_loss(params, x, y, n):
    """The Riemann loss with the borders of the signed prior."""
    return riemann_loss(params, x, y, n, b_signed)


on_process = gp_prior, (x, y), CHECKPOINTS[-1:], BATCH
steps, batch = scale(default=(200, 64), paper=(2500, 100))
on_signs = signed_prior, signed_test, (steps,), batch
plans = {
    ("Gaussian process", "Gaussian"): (gaussian_loss, 2, *on_process),
    ("random signs", "Riemann"): (signed_loss, BUCKETS, *on_signs),
    ("random signs", "Gaussian"): (gaussian_loss, 2, *on_signs),
}
nets, head_nll = {}, {("Gaussian process", "Riemann"): pfn_nll[0, -1]}
for key, (loss, outputs, prior, test, *plan) in plans.items():
    to_initialise, to_train = generator(0).spawn(2)
    start = pfn_init(to_initialise, FEATURES, outputs)
    checkpoints, batch = plan
    nets[key] = train(loss, start, prior, checkpoints, to_train, batch=batch)[-1]
    head_nll[key] = [float(loss(nets[key], *test, n)) for n in SIZES]
rows = [[f"{name}, {head} head", *values] for (name, head), values in head_nll.items()]
columns = ["prior and head", *(f"n = {n}" for n in SIZES)]
table(rows, columns, "Loss of two heads (nats)")

# %%
advantage = {
    name: np.subtract(head_nll[name, "Gaussian"], head_nll[name, "Riemann"])
    for name in ("Gaussian process", "random signs")
}
claims.check(
    "C5.a",
    "E2, random signs: loss of the Gaussian minus that of the Riemann head, mean of n",
    measured=advantage["random signs"].mean(),
    at_least=0.15,
    unit="nats",
    own=True,
)

# %%
words = "E2, Gaussian process: loss of the Gaussian minus that of the Riemann head, mean of n"
loss = advantage["Gaussian process"].mean()
claims.check(
    "C5.b",
    words,
    measured=loss,
    at_least=0.15,
    unit="nats",
    paper="large (curves)",
    not_reproduced="the exact answer is Gaussian here, the family of the Gaussian head",
)
claims.check("C5.c", words, measured=loss, at_least=-0.3, unit="nats", own=True)

# %% tags=["hide-input"]
n, (x2, y2) = 9, signed_test
fine = xp.linspace(-6, 6, 600)
logits = pfn(nets["random signs", "Riemann"], x2, y2, n)[:1, :1, :]
wide = xp.broadcast_to(logits, (1, 600, BUCKETS))
log_density = nn.riemann_log_density(wide, fine[None, :], b_signed)
out = pfn(nets["random signs", "Gaussian"], x2, y2, n)[0, 0, :]
mean, log_variance = map(float, out)
alt = """Left, nine context points scattered on two mirrored branches around zero,
with a vertical line at the query. Right, the predictive densities at the query: the
Riemann head has two peaks, one on each branch, the Gaussian head one broad hump."""
caption = """Left, a dataset with random signs and the place of the query (dashed).
Right, the two heads' predictive densities there."""
with figure(1, 2, alt=alt, caption=caption, height=2.7) as axes:
    unit = to_host(x2[0, :, 0]) / np.sqrt(12) + 0.5
    axes[0].plot(unit[:n], to_host(y2[0, :n]), "o", color=PALETTE["vermilion"])
    axes[0].axvline(unit[n], color="0.5", ls="--", lw=1)
    axes[0].set(xlabel="input $x$", ylabel="answer $y$", xlim=(0, 1))
    density = to_host(xp.exp(log_density))[0]
    axes[1].plot(to_host(fine), density, color=PALETTE["blue"], label="Riemann")
    gaussian = stats.norm.pdf(to_host(fine), mean, np.exp(log_variance / 2))
    axes[1].plot(to_host(fine), gaussian, color=PALETTE["orange"], label="Gaussian")
    axes[1].set(xlabel="answer $y$", ylabel="density")
    axes[1].legend()

# %%
say(f"On the process the Gaussian head's loss is {loss:+.2f} nats from that of the Riemann head; on the "
    f"random signs it is {advantage['random signs'].mean():+.2f}.")

# %% [markdown]
# So on the process it costs little or nothing to replace the head, where the paper's ablation finds a large loss. Two things
# speak for the Gaussian head here: it is the right family, and it has 2 numbers to learn instead of 100, which counts when
# training is a few seconds long. Which of the two is ahead changes with the rounding of the machine. The paper trained for longer and
# at a smaller noise. With random signs the gap is wide, and cannot be trained away, because no single Gaussian has two peaks.
#
# ### When the hyper-parameters are random
#
# Now the length scale and the variance of the process are unknown. The covariance is a Matérn one of
# smoothness 5/2, with the priors that the paper takes over from a common library: length scale
# $\lambda\sim\text{Gamma}(3,6)$ and variance $v\sim\text{Gamma}(2,0.15)$ (shape and rate). The noise has a
# hundredth of the variance $v$. Answers are divided by $\sqrt{E[v]}=\sqrt{2/0.15}$. For the PFN nothing
# changes but the sampler.

# %%
MEAN_VARIANCE = 2 / 0.15
RELATIVE_NOISE = 1e-2


def matern(distance2, length):
    """(1 + a + a^2/3) exp(-a) with a = sqrt(5) distance / length."""
    a = xp.sqrt(5 * distance2) / length
    return (1 + a + a * a / 3) * xp.exp(-a)


def hyper_prior(rng, batch, N):
    """A GP with random length scale and variance; x in [0, 1] standardised."""
    x = rng.uniform(0, 1, (batch, N, 1))
    length, v = rng.gamma(3, 1 / 6, (batch, 1, 1)), rng.gamma(2, 1 / 0.15, (batch, 1))
    K = matern(distances(x), length) + RELATIVE_NOISE * xp.eye(N)
    return (x - 0.5) * np.sqrt(12), xp.sqrt(v / MEAN_VARIANCE) * gaussian_draw(K, rng)


b_hyper = borders(hyper_prior(generator(10), 5000, 20)[1])
to_initialise, to_train = generator(0).spawn(2)
(hyper_net,) = train(
    lambda p, x, y, n: riemann_loss(p, x, y, n, b_hyper),
    pfn_init(to_initialise, 1, BUCKETS),
    hyper_prior,
    (scale(default=600, paper=10_000),),
    to_train,
    N=20,
)


# %% [markdown]
# The exact PPD is a mixture of normals, one for each pair $(\lambda,v)$, weighted by the posterior of the
# pair. With two hyper-parameters the integral can still be done by brute force. We cut each prior into
# 64 parts of equal mass, represent each part by its median, and weight the 4096 pairs by the marginal
# likelihood of the context,
#
# $$
# p(y\mid x,D)\approx\frac{\sum_{j}p(D\mid\lambda_j,v_j)\,p(y\mid x,D,\lambda_j,v_j)}
# {\sum_jp(D\mid\lambda_j,v_j)} .
# $$
#
# Because noise and signal scale together, each length scale needs one factorisation for all variances.

# %%
def oracle_nll(x, y, n, parts=64):
    """-log of the PPD as a mixture over hyper-parameters of equal prior mass."""
    levels = (np.arange(parts) + 0.5) / parts
    length = to_device(stats.gamma.ppf(levels, 3, scale=1 / 6))[:, None, None, None]
    v = to_device(stats.gamma.ppf(levels, 2, scale=1 / 0.15)) / MEAN_VARIANCE
    K = matern(distances(x / np.sqrt(12)), length)  # (length, dataset, N, N)
    D, m = x.shape[0], x.shape[1] - n
    ones, context = xp.ones((parts, D, m)), xp.broadcast_to(y[:, :n], (parts, D, n))
    mean, variance = condition_on_data(
        K[..., :n, :n], K[..., n:, :n], ones, context, RELATIVE_NOISE
    )
    L = xp.linalg.cholesky(K[..., :n, :n] + RELATIVE_NOISE * xp.eye(n))
    z = xp.linalg.solve(L, context[..., None])[..., 0]
    log_det = xp.sum(xp.log(xp.linalg.diagonal(L)), axis=-1)
    v = v[:, None, None]  # (v, length, dataset)
    log_w = -xp.sum(z * z, axis=-1) / (2 * v) - log_det - n / 2 * xp.log(v)
    w = ad.softmax(xp.reshape(log_w, (-1, D)), axis=0)
    spread = (variance + RELATIVE_NOISE) * v[..., None]
    log_p = -gaussian_nll(mean, spread, y[:, n:])
    log_p = xp.reshape(log_p, (-1, D, m)) + xp.log(w)[..., None]
    return -ad.logsumexp(log_p, axis=0)


# %% [markdown]
# What a practitioner would do is fit the two hyper-parameters to each dataset, by L-BFGS on the marginal
# likelihood times the priors (MAP-II). The maximum of a density depends on the scale in which one looks for
# it. We maximise over logarithms, $\lambda^3e^{-6\lambda}\,v^2e^{-0.15v}$, which on trial seeds predicted
# far better than the maximum in $(\lambda,v)$ itself. A second start changed nothing.

# %%
def map2(x, y):
    """log(v / E[v]), log(length) of largest p(y | v, length) p(log v, log length)."""

    def objective(params):
        log_v, log_length = map(float, params["theta"])
        v, length = np.exp(log_v), np.exp(log_length)
        covariance = Matern52(v, length)
        value, slope = log_marginal_likelihood(covariance, RELATIVE_NOISE * v, x, y)
        value += 2 * log_v - 0.15 * MEAN_VARIANCE * v + 3 * log_length - 6 * length
        by_v = slope[0] + slope[2] + 2 - 0.15 * MEAN_VARIANCE * v
        by_length = slope[1] + 3 - 6 * length
        return -value, {"theta": xp.asarray([-by_v, -by_length])}

    start = {"theta": xp.asarray([0.0, np.log(0.5)])}
    found = minimize_lbfgs(objective, start, has_gradient=True, tolerance=1e-4)
    return found.params["theta"]


def map2_nll(thetas, x, y, n):
    """-log N of the queries under the fitted hyper-parameters."""
    v, length = xp.exp(thetas[:, 0])[:, None], xp.exp(thetas[:, 1])[:, None, None]
    K = matern(distances(x / np.sqrt(12)), length)
    mean, variance = gaussian_prediction(K, y, n, RELATIVE_NOISE)
    return gaussian_nll(mean, variance * v, y[:, n:])


# %% [markdown]
# We time what it takes to answer one query of each of 100 datasets: a fit and a prediction for MAP-II, a
# forward pass over all datasets together for the PFN, repeated twenty times to get a readable time.

# %%
x3, y3 = hyper_prior(generator(1), 100, 20)
losses, milliseconds = {}, {}
for n in (3, 10):
    one = x3[:, : n + 1, :], y3[:, : n + 1]  # the context and one query
    begin = process_time()
    thetas = xp.stack([map2(x3[i, :n, :] / np.sqrt(12), y3[i, :n]) for i in range(100)])
    map2_nll(thetas, *one, n)
    fitted = process_time()
    for _ in range(20):
        to_host(pfn(hyper_net, *one, n))
    passed = process_time()
    milliseconds[n] = 10 * (fitted - begin), (passed - fitted) / 2
    losses[n] = {
        "exact (4096 hyper-parameters)": float(xp.mean(oracle_nll(x3, y3, n))),
        "MAP-II": float(xp.mean(map2_nll(thetas, x3, y3, n))),
        "PFN": float(riemann_loss(hyper_net, x3, y3, n, b_hyper)),
    }
    alone = x3[:, n:, :], y3[:, n:], 0, b_hyper
    losses[n]["PFN without context"] = float(riemann_loss(hyper_net, *alone))

# %%
rows = [[name, losses[3][name], losses[10][name]] for name in losses[3]]
times = {"MAP-II": 0, "PFN": 1}
for row in rows:
    k = times.get(row[0])
    row += ["–", "–"] if k is None else [milliseconds[3][k], milliseconds[10][k]]
columns = ["predictor", "loss, n = 3 (nats)", "loss, n = 10 (nats)"]
columns += ["time, n = 3 (ms per dataset)", "time, n = 10 (ms per dataset)"]
table(rows, columns, "Random hyper-parameters: 100 datasets, all queries in the loss")

# %%
faster = min(slow / fast for slow, fast in milliseconds.values())
words = "E3: time of MAP-II over time of the PFN per dataset, smaller of n = 3 and 10"
claims.report_value("C6.a", words, measured=faster, unit="×", paper="> 200×")
claims.check("C6.c", words, measured=faster, at_least=20, unit="×", own=True)
behind = {n: found["PFN"] - found["MAP-II"] for n, found in losses.items()}
claims.check(
    "C6.d",
    "E3: loss of the PFN minus that of MAP-II at n = 10",
    measured=behind[10],
    at_most=0,
    unit="nats",
    paper="better (curves)",
    not_reproduced="a network of 26 000 weights after 600 steps; the paper's is hundreds of times larger",
)
claims.check(
    "C6.b",
    "E3: excess of the PFN's loss over the exact one at n = 10",
    measured=losses[10]["PFN"] - losses[10]["exact (4096 hyper-parameters)"],
    between=(0, 0.35),
    unit="nats",
    own=True,
)

# %%
say(f"The PFN's loss is {behind[3]:+.2f} nats from that of MAP-II with three points, and "
    f"{behind[10]:+.2f} with ten. It answers {faster:.0f} times as fast.")

# %% [markdown]
# Three points do not determine two hyper-parameters. Fitting them anyway makes MAP-II too sure of itself, and
# the PFN, which averages over them without being told to, predicts about as well after a few seconds of training.
# With ten points the hyper-parameters are better known, and there our small network falls behind, where the
# paper's, far larger and trained for longer, is ahead. The factor in time depends on who is timed. Our MAP-II is far
# quicker than the general programs which the paper timed, so that the paper's factor of 200 is no
# verdict here. That it is a factor of more than 20 is one. Training is not counted in it.
#
# ### Small tables, real data
#
# For classification the label of a row is whether its $y$ exceeds the median of the dataset, and the head is
# a single logit. The prior is again a Gaussian process, in $d\le10$ normal features, with a length scale
# $\lambda\sqrt d$, $\log\lambda$ uniform between $\log1$ and $\log8$. Datasets with fewer features fill the
# remaining of ten slots with zeros, and all features are multiplied by $10/d$, as in the paper. A dataset has
# 100 rows, 30 of them labelled. As queries do not see each other, we can score some of the others and leave
# the rest: 35 of the 70.

# %%
SLOTS = scale(default=10, paper=60)
LABELLED, ROWS = 30, 100
SCORED = LABELLED + scale(default=35, paper=70)


def table_prior(rng, batch, N):
    """d used features, a GP of random length scale, labels y = 1[value > median]."""
    d = rng.integers(1, SLOTS + 1, (batch, 1, 1))
    used = xp.astype(xp.arange(SLOTS) < d, xp.float64)
    x = rng.standard_normal((batch, N, SLOTS)) * used
    length = xp.exp(rng.uniform(0, np.log(8), (batch, 1, 1))) * d**0.5
    value = gaussian_draw(gp_covariance(x, length) + 1e-4 * xp.eye(N), rng)
    median = xp.sort(value, axis=1)[:, N // 2 - 1 : N // 2]
    labels = xp.where(value > median, 1.0, -1.0)
    return (x * (SLOTS / d))[:, :SCORED, :], labels[:, :SCORED]


def classification_loss(params, x, y, n):
    """-log sigmoid(label x logit) for labels -1 and 1."""
    return -ad.mean(ad.log_sigmoid(pfn(params, x, y, n)[..., 0] * y[:, n:]))


# %%
to_initialise, to_train = generator(0).spawn(2)
(table_net,) = train(
    classification_loss,
    pfn_init(to_initialise, SLOTS, 1),
    table_prior,
    (scale(default=200, paper=5000),),
    to_train,
    N=ROWS,
    batch=scale(default=32, paper=100),
    context=LABELLED,
    rate=scale(default=8e-3, paper=3e-4),
)

# %% [markdown]
# The test data are four of scikit-learn's tables, each reduced to two classes. A subset has 50 rows of each
# class, 30 of all rows labelled. Standardisation and the principal components, at most ten, are fitted to
# the 30 labelled rows. The rivals come from scikit-learn; the forest has 20 trees, everything else is
# the default but the Gaussian process's initial covariance.

# %%
TABLES = {"breast_cancer": (0, 1), "wine": (0, 1), "iris": (1, 2), "digits": (3, 8)}


def subset(source, classes, rng):
    """100 balanced rows in random order: features (100, <= 10) and labels 0 or 1."""
    of_class = [np.flatnonzero(source.target == c) for c in classes]
    rows = np.concatenate([rng.host.permutation(rows)[:50] for rows in of_class])
    rows = rng.host.permutation(rows)
    x, labels = source.data[rows], source.target[rows] == classes[1]
    reduce = PCA(min(10, x.shape[1]))
    prepare = make_pipeline(StandardScaler(), reduce, StandardScaler())
    return prepare.fit(x[:LABELLED]).transform(x), labels.astype(int)


def pfn_probability(x, labels):
    """P(label = 1) of the unlabelled rows, in one forward pass."""
    padded = np.pad(x * (SLOTS / x.shape[1]), ((0, 0), (0, SLOTS - x.shape[1])))
    signs = to_device(2.0 * labels - 1)[None, :]
    logit = pfn(table_net, to_device(padded)[None, ...], signs, LABELLED)[0, :, 0]
    return to_host(xp.exp(ad.log_sigmoid(logit)))


# %%
rivals = {
    "k nearest neighbours": KNeighborsClassifier(5),
    "logistic regression": LogisticRegression(),
    "GP classifier": GaussianProcessClassifier(ConstantKernel(1.0) * RBF(3.0)),
    "random forest": RandomForestClassifier(20, random_state=0),
}


def auc(p, labels):
    """Share of the pairs of a 1 and a 0 in which the 1 has the larger p; ties count half."""
    return (1 + np.mean(np.sign(p[labels == 1][:, None] - p[labels == 0]))) / 2


def scores(p, labels):
    """ROC AUC, calibration error in 10 and in 100 bins."""
    both = np.stack([1 - p, p], axis=1)
    errors = [expected_calibration_error(both, labels, bins) for bins in (10, 100)]
    return [auc(p, labels), *errors]


# %%
results = {name: [] for name in ("PFN", *rivals)}
for name, classes in progress(TABLES.items(), "tables"):
    source = data.table(name)
    for seed in range(20):
        xs, labels = subset(source, classes, generator(seed))
        known, hidden = labels[:LABELLED], labels[LABELLED:]
        results["PFN"].append(scores(pfn_probability(xs, labels), hidden))
        for rival, model in rivals.items():
            p = model.fit(xs[:LABELLED], known).predict_proba(xs[LABELLED:])[:, 1]
            results[rival].append(scores(p, hidden))

# %%
of = {name: np.reshape(values, (4, 20, 3)) for name, values in results.items()}
mean = {name: values.mean(axis=(0, 1)) for name, values in of.items()}
rows = [[name, *of[name][..., 0].mean(axis=1), *mean[name]] for name in results]
columns = ["classifier", *(f"AUC, {name.replace('_', ' ')}" for name in TABLES)]
columns += ["AUC, mean", "ECE, 10 bins", "ECE, 100 bins"]
table(rows, columns, "Four tables with 30 labelled rows, means of 20 subsets")

# %%
lead = {name: mean["PFN"] - mean[name] for name in rivals}
by_neighbours, by_logistic = lead["k nearest neighbours"], lead["logistic regression"]
claims.check(
    "C7.a",
    "E4: mean ROC AUC of the PFN minus that of nearest neighbours",
    measured=by_neighbours[0],
    at_least=0,
    paper="mean rank 3.833 against 6.214",
    seeds=20,
)
claims.check(
    "C7.b",
    "E4: calibration error (10 bins) of the PFN minus that of nearest neighbours",
    measured=by_neighbours[1],
    at_most=0,
    paper="0.067 − 0.093",
    seeds=20,
    not_reproduced="calibrated on its prior, which real tables do not follow",
)

# %%
claims.check(
    "C7.c",
    "E4: the same difference, bounded from above",
    measured=by_neighbours[1],
    at_most=0.06,
    seeds=20,
    own=True,
)
claims.check(
    "C7.d",
    "E4: mean ROC AUC of the PFN minus that of logistic regression",
    measured=by_logistic[0],
    at_least=0,
    paper="mean rank 3.833 against 4.690",
    seeds=20,
    not_reproduced="two classes of these four tables are nearly separated by a plane",
)
say(f"""The network ranks the rows of four real tables better than nearest neighbours and the
forest, and {-by_logistic[0]:.3f} of AUC below logistic regression. Its calibration error is
{mean["PFN"][1]:.3f}, that of nearest neighbours {mean["k nearest neighbours"][1]:.3f}.""")

# %% [markdown]
# It has been trained on invented tables only, for a few seconds. In the paper such a network is also the better calibrated
# one; here that is not so. Five neighbours are scikit-learn's default and a compromise, since more of them rank better and
# calibrate worse. The range of length scales and the noise of the prior were chosen on subsets that are not used here. With
# a hundred bins and 70 rows most bins hold a single row or none, and the last column measures mostly that.
#
# ## Verdict

# %%
say(f"""A network of 26 000 weights, trained for a few seconds on invented data, captures
{100 * min(captured[4]):.0f} and {100 * min(captured[9]):.0f} % of the information that exact
Gaussian process regression extracts from four and nine points.""")

# %% [markdown]
# Its distance to the exact posterior is an expected divergence, is never negative and falls as training goes on. It is a set
# function: blind to the order of the context, up to rounding. The same loop handles random
# hyper-parameters and classification by a change of the sampler. Where the answer has two peaks, the Riemann
# head is needed; where it has one, a Gaussian head is nothing worse, against the paper. A fit of the
# hyper-parameters (MAP-II) is ahead of so small a network on ten points, and logistic regression on four easy tables.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# The suite of twenty OpenML tables, XGBoost and CatBoost, and the Omniglot images are not bundled with any
# library that this book uses. Bayesian neural networks, and NUTS in any experiment, are too slow for one core, and
# the ablation's positional encodings were left out. Contexts of 2000 points, five dimensions and the noise of
# $10^{-4}$ need the larger network and more buckets. The paper's number of 200 in claim 6 is shown beside ours
# without a verdict.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the same cells use width 256, six layers and 1000 buckets, five dimensions, noise
# of $10^{-4}$ and datasets of 200 points: half a million of them for each seed of the first experiment, a
# quarter of a million for each head, and a million for the random hyper-parameters. The tables get 60 feature
# slots. A training step is then some trillion operations in matrix products, and sampling its datasets takes a
# hundred Cholesky factorisations of order 200. Whether the Riemann head leaves the Gaussian one behind, and the
# PFN overtakes MAP-II at ten points, are the two questions to ask there. This scale has not been run; when
# it has, the numbers will stand here with the device and the date.
