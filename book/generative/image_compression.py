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
# # Image compression with a multivariate Gaussian mixture
#
# ```{paper-card}
# ```
#
# A picture on disk is a message. To make it short, one must be able to guess what comes next: an
# event of probability $p$ costs $-\log_2p$ bits, and no code does better on average. So at the heart
# of every compressor stands a probability distribution, and a better distribution is a shorter file.
# Most learned compressors turn the picture into a grid of vectors and give *each coordinate* a
# distribution of its own. {cite:t}`image_compression` say that this
# throws away what the coordinates know about each other and what one place of the picture knows about
# another, and put one multivariate Gaussian mixture in its place, carried by a cascade of small
# codebooks.
#
# In this chapter we build such a code down to the last byte. A mixture learned on eight photographs
# compresses three others into files; we read the files back, check every symbol and look at the
# result. What we leave out is the deep network in front. Everything here works on a *linear*
# transform of blocks of pixels, so that what we measure is the prior and nothing else.
#
# ## What the paper claims
#
# 1. (Ours.) A vector under a mixture can be sent in two parts, the name of a component and the vector under
#    it, at a price that is known. {claims}`C1.a, C1.b, C1.c, C1.d`
# 2. The vectors of an image's latent map are correlated in two ways: similar vectors recur over the
#    picture (inter-correlation), and the channels of one vector depend on each other
#    (intra-correlation). A univariate prior pays for both, a multivariate Gaussian mixture does not.
#    {claims}`C2.a, C2.b`
# 3. The result has a better rate and distortion than codecs with univariate priors. On one picture
#    (`kodim24`) the authors print 25.97 dB at 0.1259 bits per pixel, against 25.93 dB at 0.1350 for VVC and
#    25.42 dB at 0.1383 for BPG. {claims}`C3`
# 4. $M$ and the codebook sizes alone fix the rate, 0.1277 bits per pixel for $M=2$ and
#    $K=(8192,2048,512)$; what the means leave over goes to a cascade at coarser resolutions.
#    {claims}`C4.a, C4.b, C4.c, C4.d, C4.e`
# 5. The means of the mixture can be carried by probabilistic vector quantisation. {claims}`C5.a, C5.b`
# 6. No context model is needed, and so it compresses 3.18 times faster. {claims}`C6`
#
# Not tested here: the deep transform, and with it the rates above; 25.45 and 22.03 megapixels per second for
# encoding and decoding on an RTX 3090 with $M=2$ (11.07 and 10.21 with $M=12$). That $M$ small codebooks in
# place of a large one cut the complexity is shown in a table.
#
# These statements rest on the paper's abstract and on the authors' repository
# ([McQuic](https://github.com/xiaosu-zhu/McQuic): quantiser, compressor, entropy coder, losses,
# trainer and the tables of its README). The paper's own text was not read; its rate–distortion curves
# were not found as numbers. A retraining by a third party, reported in the repository's issues,
# reaches 27.18 dB at 0.13 bits per pixel on the Kodak pictures, about 2 dB below the article's curve.
#
# ## The idea
#
# **The setting.** An analysis transform turns the picture into a map of vectors $y_s\in\mathbb R^C$,
# one for each site $s$ of a coarse grid. Here a site is a block of 8 × 8 pixels and the transform is
# the principal component analysis of such blocks. The prior is
#
# $$
# p(y)=\sum_{k=1}^{K}\pi_k\,N(y\mid\mu_k,\Sigma_k).
# $$ (eq-imgc-prior)
#
# **How does one send a vector under a mixture?** The obvious way has two parts: name a component $k$,
# then send $y$ under the $k$-th Gaussian. Let $r_k(y)=\pi_kN(y\mid\mu_k,\Sigma_k)/p(y)$ be the
# responsibilities. Taking logarithms of this definition, the two parts cost
#
# $$
# -\log_2\pi_k-\log_2N(y\mid\mu_k,\Sigma_k)=-\log_2p(y)-\log_2r_k(y).
# $$ (eq-imgc-two-part)
#
# The first term on the right is what an ideal code for the mixture would pay. The second is the price
# of naming $k$, although the receiver could have done without: at least $-\log_2\max_kr_k(y)$, which
# is paid by choosing the most responsible component. It vanishes if the components are well
# separated.
#
# **And a univariate code?** If each coordinate has its own table, the price is the sum of the
# entropies of the coordinates, $\sum_ih(y_i)$, in place of $h(y)=-E\log_2p(y)$. The difference,
#
# $$
# TC=\sum_ih(y_i)-h(y)\ge0,
# $$ (eq-imgc-tc)
#
# is the *total correlation*: the intra-correlation of item 2, in bits. Quantising with a small step
# $\Delta$ in each of $d$ dimensions adds $-d\log_2\Delta$ to either. Which of the two codes is
# shorter is therefore a contest between {eq}`eq-imgc-tc` and $E[-\log_2\max_kr_k]$. It can go either
# way, as the first experiment will show.
#
# **Many small codebooks.** At low rates the mixture's means alone are sent: *vector quantisation*.
# Split the $C$ channels into $M$ groups of $d=C/M$, each with a codebook
# $c_{m1},\dots,c_{mK}\in\mathbb R^d$, and send for each group the index of the nearest codeword,
# $\arg\min_kD_{mk}$ with $D_{mk}=\lVert y_m-c_{mk}\rVert^2$. Together these are $K^M$ codewords,
# which are stored as $MKd=KC$ numbers and searched with $KC$ multiplications for a site, not $K^MC$.
#
# To train codebooks with gradients, the authors draw the index at random,
#
# $$
# b_m\sim\mathrm{softmax}_k(\phi_{mk}),\qquad \phi_{mk}=-\tau_mD_{mk}/\sqrt K,\qquad
# \hat y_m=\sum_kb_{mk}\,c_{mk},
# $$ (eq-imgc-logits)
#
# with a learned scale $\tau_m$. These are the responsibilities of a mixture of Gaussians with means
# $c_{mk}$, equal weights and one variance, $\sqrt K/2\tau_m$. The draw adds Gumbel noise $g_{mk}$ to
# the logits and takes the largest; the gradient is that of $\mathrm{softmax}(\phi+g)$, as if no
# choice had been made (*straight through*). In the final code the index is the nearest codeword's.
#
# **The cascade.** What the first level leaves over goes to a second one on a grid of half the
# resolution, and so on to a third. Our levels are the paper's with linear stages. With $r^0=y$ and an
# orthonormal $S_l$ that maps the $4C$ channels of 2 × 2 sites to $C$ (for $l=1$ it is the identity),
#
# $$
# z^l=S_lr^{l-1},\qquad q^l=Q_l(z^l),\qquad r^l=z^l-q^l,\qquad
# \hat x^l=S_l^\top\bigl(q^l+\hat x^{l+1}\bigr),
# $$ (eq-imgc-cascade)
#
# and $\hat y=\hat x^1$. If indices are sent with tables that make all codewords equally likely and
# the first level has blocks of $B\times B$ pixels,
#
# $$
# \text{bits per pixel}=\frac{M}{B^2}\sum_{l=1}^{L}\frac{\log_2K_l}{4^{\,l-1}}
# =M\Bigl(\tfrac{13}{256}+\tfrac{11}{1024}+\tfrac{9}{4096}\Bigr)=0.06372\,M
# $$ (eq-imgc-rate)
#
# for the paper's $B=16$ and $K=(8192,2048,512)$. With $M=2$ this is 0.1274, and the rate of item 4 follows
# from arithmetic, up to 0.0003 bits per pixel: on 512 × 512 pixels nine bytes, as a header might have. (The
# number may be that of one picture rather than of a set; with tables that are not uniform the authors print
# 0.1259.)
#
# ## The method in code

# %%
from io import BytesIO
from time import process_time
from types import SimpleNamespace

import numpy as np
from constriction import stream
from PIL import Image
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm
from skimage.color import gray2rgb, rgb2gray
from sklearn.cluster import kmeans_plusplus

from gaussbook import autodiff as ad
from gaussbook import data, metrics, mixture, nn
from gaussbook.arrays import backend, generator, to_device, to_host
from gaussbook.blocks import row_blocks
from gaussbook.claims import Claims
from gaussbook.notebook import say
from gaussbook.optim import Adam, cosine_decay
from gaussbook.plotting import PALETTE, figure, slider
from gaussbook.progress import progress
from gaussbook.scale import scale
from gaussbook.tables import table

claims = Claims("image_compression")
xp = backend()
AnsCoder, Categorical = stream.stack.AnsCoder, stream.model.Categorical
wrong_symbols, size_ratios, pixel_ratios = [], [], []  # what every decoded file will add to


# %% [markdown]
# ### From probabilities to bytes
#
# The entropy coder is the well-kept one of the library `constriction`: *asymmetric numeral systems*,
# an arithmetic code whose state is a stack. What is pushed last is popped first, so the encoder goes
# through the message backwards and the decoder forwards. A message is a list of parts, each with
# symbols $0,1,2,\dots$ and the table of their probabilities (or another model). Tables are rounded to
# multiples of $2^{-24}$, never to zero, by the same routine on both sides.

# %%
def push(coder, parts):
    """Encode (symbols, model, parameters ...) parts so that they are decoded in this order."""
    for symbols, *model in reversed(parts):
        coder.encode_reverse(np.asarray(symbols, dtype=np.int32), *model)
    return coder


def to_bytes(coder):
    """The coder's words as bytes, least significant first."""
    return coder.get_compressed().astype("<u4").tobytes()


def from_bytes(code):
    """A coder that is ready to decode these bytes."""
    return AnsCoder(np.frombuffer(code, "<u4").astype(np.uint32))


def categorical(P):
    """The coder's model of the symbols 0, 1, ... with the table P of probabilities."""
    return Categorical(np.asarray(P, dtype=np.float32), perfect=False)


# %% [markdown]
# A *codec* below is an object with three methods. `quantise` turns a map of vectors into a list of
# arrays of symbols, `restore` goes the other way, and `layout` says which table each array is coded
# with and how many symbols it has. `layout` is asked for one table at a time. When the decoder asks
# for the second, it has already decoded the first array, and the second table may depend on it. So
# encoder and decoder share all they need, and a file holds nothing but the two sides of the grid and
# the coder's words.

# %%
def encode(y, codec):
    """Code a latent map (h, w, channels): bytes of the file, symbols, ideal number of bytes."""
    h, w = y.shape[:2]
    symbols = codec.quantise(y)
    tables = [P for P, _ in codec.layout(h, w, symbols)]
    coder = push(AnsCoder(), [(s, categorical(P)) for s, P in zip(symbols, tables, strict=True)])
    shares = [P[s] / np.sum(P) for s, P in zip(symbols, tables, strict=True)]
    bits = -np.sum(np.log2(np.concatenate(shares), dtype=np.float64))
    return np.asarray([h, w], "<u2").tobytes() + to_bytes(coder), symbols, bits / 8


def decode(code, codec):
    """Read a file: the symbols and the latent map."""
    h, w = map(int, np.frombuffer(code[:4], "<u2"))
    coder, symbols = from_bytes(code[4:]), []
    for P, count in codec.layout(h, w, symbols):
        symbols.append(coder.decode(categorical(P), count))
    return symbols, codec.restore(symbols, h, w)


# %% [markdown]
# Symbols that no training picture shows must still have a probability. Every table is therefore mixed
# with half a per cent of a Cauchy distribution, whose tails are heavy.

# %%
def with_tail(P, m, width):
    """99.5 % of the table P and 0.5 % of a Cauchy distribution over the integers m."""
    tail = 1 / (1 + (m / width) ** 2)
    sums = [np.sum(a, axis=-1, keepdims=True) for a in (P, tail)]
    return (0.995 * P / sums[0] + 0.005 * tail / sums[1]).astype(np.float32)


# %% [markdown]
# Real numbers become symbols by rounding to multiples of a step $\Delta$ and counting from the most
# negative one that the table has.

# %%
def to_symbols(c, step, largest):
    """Columns of c as symbols 0 .. 2 R, where R is the largest multiple of the step in a column."""
    return list((np.clip(np.rint(to_host(c) / step), -largest, largest) + largest).astype(int).T)


def from_symbols(symbols, step, largest):
    """The rounded numbers again, one column for each array of symbols."""
    return to_device(step * (np.stack(symbols, axis=-1) - largest))


# %% [markdown]
# ### The univariate code
#
# U is the baseline. It rounds each channel to a multiple of $\Delta$ and has a static table for each,
# the histogram of the training blocks.

# %%
class Univariate:
    """Scalar quantisation with a static table for each channel."""

    def __init__(self, y, step):
        self.step, q = step, np.rint(to_host(y) / step).astype(int)
        self.largest = 2 * np.max(np.abs(q), axis=0) + 8
        self.tables = []
        for q_j, R in zip(q.T, self.largest, strict=True):
            counts = np.bincount(q_j + R, minlength=2 * R + 1)
            self.tables.append(with_tail(counts, np.arange(-R, R + 1), 1 + np.std(q_j)))

    def quantise(self, y):
        d = len(self.tables)
        return to_symbols(xp.reshape(y[..., :d], (-1, d)), self.step, self.largest)

    def layout(self, h, w, symbols):
        yield from ((P, h * w) for P in self.tables)

    def restore(self, symbols, h, w):
        return xp.reshape(from_symbols(symbols, self.step, self.largest), (h, w, -1))


# %% [markdown]
# ### The mixture code
#
# G sends the component $k$ with the table $\pi$, then the coordinates of $y$ along the component's
# own axes. With $\Sigma_k=V_k\operatorname{diag}(\lambda_k)V_k^\top$ these are
#
# $$
# c=V_k^\top(y-\mu_k),\qquad m_j=\operatorname{round}(c_j/\Delta),\qquad
# \Pr(m_j)=\Phi\Bigl(\frac{(m_j+\frac12)\Delta}{\sqrt{\lambda_{kj}}}\Bigr)
# -\Phi\Bigl(\frac{(m_j-\frac12)\Delta}{\sqrt{\lambda_{kj}}}\Bigr).
# $$

# %%
def coordinate_tables(variances, step):
    """For each channel the tables of all components, (K, 2 R + 1), and R."""
    s, tables = np.sqrt(to_host(variances)) / step, []
    largest = np.ceil(8 * np.max(s, axis=0)).astype(int) + 3
    for s_j, R in zip(s.T[..., None], largest, strict=True):
        m = np.arange(-R, R + 1)
        P = norm.cdf((m + 0.5) / s_j) - norm.cdf((m - 0.5) / s_j)
        tables.append(with_tail(P, m, 1 + s_j))
    return tables, largest


# %% [markdown]
# Which component? The one that makes the file shortest. At small steps {eq}`eq-imgc-two-part` says
# that this is the most responsible one. At large steps it is not: most coordinates are rounded to
# zero, whose probability has little to do with a density. So the encoder looks up what each component
# would cost,
#
# $$
# k(y)=\arg\min_k\Bigl[-\log_2\pi_k-\sum_j\log_2\Pr{}_{kj}\bigl(m_{kj}\bigr)\Bigr].
# $$ (eq-imgc-choice)
#
# The decoder need not know how the choice was made, and so any other rule gives a valid file too. We
# shall compare with two: the most responsible component, and the most responsible one when the
# rounding is taken for a noise of variance $\Delta^2/12$ and added to all covariances.

# %%
def coordinates(y, codec, k):
    """c of vectors y along the axes of component k."""
    return (y - codec.gmm.means_[k, :]) @ codec.V[k, ...]


def shortest(y, codec):
    """The component with the shortest code for each vector."""
    bits = np.concatenate([-np.log2(P) for P in codec.tables], axis=1)
    zeros = np.cumsum([0, *(P.shape[1] for P in codec.tables[:-1])]) + codec.largest
    lengths = []
    for k, weight in enumerate(codec.weights):
        m = to_host(coordinates(y, codec, k)) / codec.step
        m = np.clip(np.rint(m, out=m), -codec.largest, codec.largest, out=m)
        m += zeros
        used = np.take(bits[k, :], m.astype(np.int32))
        lengths.append(np.sum(used, axis=1) - np.log2(weight))
    return np.argmin(lengths, axis=0)


def most_responsible(y, codec, noise=0.0):
    """The component with the largest responsibility; noise is added to all variances."""
    gmm = codec.gmm
    covariances = gmm.covariances_ + noise * xp.eye(y.shape[1])
    log_joint = mixture.component_log_densities(y, gmm.means_, covariances) + xp.log(gmm.weights_)
    return to_host(xp.argmax(log_joint, axis=1))


def most_responsible_with_rounding(y, codec):
    """The same, rounding taken for a noise of variance step^2 / 12."""
    return most_responsible(y, codec, codec.step**2 / 12)


# %% [markdown]
# All vectors of one component are coded together, channel by channel, so that a table serves a whole
# array. The decoder knows the indices by then and puts the vectors back in place.

# %%
class MixtureCode:
    """A component for each vector, then its rounded coordinates along the component's axes."""

    def __init__(self, gmm, step, choose=shortest):
        self.gmm, self.step, self.choose = gmm, step, choose
        variances, self.V = xp.linalg.eigh(gmm.covariances_)
        self.weights = to_host(gmm.weights_).astype(np.float32)
        self.tables, self.largest = coordinate_tables(variances, step)

    def quantise(self, y):
        y = xp.reshape(y[..., : len(self.tables)], (-1, len(self.tables)))
        symbols = [self.choose(y, self)]
        for k in range(len(self.weights)):
            c = coordinates(y[to_device(symbols[0] == k), :], self, k)
            symbols += to_symbols(c, self.step, self.largest)
        return symbols

    def layout(self, h, w, symbols):
        yield self.weights, h * w
        counts = np.bincount(symbols[0], minlength=len(self.weights))
        yield from ((P[k, :], counts[k]) for k in range(len(counts)) for P in self.tables)

    def restore(self, symbols, h, w):
        d, y = len(self.tables), xp.empty((h * w, len(self.tables)))
        for k, mu in enumerate(self.gmm.means_):
            c = from_symbols(symbols[1 + k * d : 1 + (k + 1) * d], self.step, self.largest)
            y[to_device(symbols[0] == k), :] = mu + c @ xp.matrix_transpose(self.V[k, ...])
        return xp.reshape(y, (h, w, d))


# %% [markdown]
# ### Blocks, codebooks, cascade
#
# The transform needs pictures cut into blocks and put together again. The same function with `side=2`
# joins 2 × 2 sites of a map for the next level of the cascade.

# %%
def blocks(x, side):
    """(H, W, c) to (H / side, W / side, side * side * c)."""
    H, W, c = x.shape
    x = xp.reshape(x, (H // side, side, W // side, side, c))
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3, 4)), (H // side, W // side, -1))


def unblocks(b, side):
    """The inverse of `blocks`."""
    h, w, n = b.shape
    b = xp.reshape(b, (h, w, side, side, n // side**2))
    return xp.reshape(xp.permute_dims(b, (0, 2, 1, 3, 4)), (h * side, w * side, -1))


# %% [markdown]
# Which channels go into which group? Principal components have falling variances, and groups of equal
# codebooks should carry equal loads. We deal the channels out from the largest on, each to the group
# whose product of variances is smallest so far. Codebooks come from Lloyd's iteration, started by
# k-means++ on 2048 training vectors. (With random vectors for a start, our first choice, the codes
# below were a whole decibel worse.) The search for the nearest codeword needs no distances: as
# $\lVert x\rVert^2$ is the same for all of them,
#
# $$
# \arg\min_k\lVert x-c_k\rVert^2=\arg\min_k\bigl[\tfrac12\lVert c_k\rVert^2-x^\top c_k\bigr],
# $$
#
# a product of matrices, for which single precision is enough: an index need only be good, and the
# decoder is told which.

# %%
def balanced_groups(variances, M):
    """M groups of channels of equal size and nearly equal sums of log-variances."""
    size, groups, loads = len(variances) // M, [[] for _ in range(M)], np.zeros(M)
    for j in np.argsort(-variances):
        m = min((m for m in range(M) if len(groups[m]) < size), key=lambda m: loads[m])
        groups[m].append(int(j))
        loads[m] += np.log(variances[j] / np.min(variances)) + 1e-9
    return [to_device(np.asarray(g)) for g in groups]


def nearest_word(x, c):
    """For blocks of rows: the rows in single precision, and the nearest codeword of each."""
    c = xp.astype(c, xp.float32)
    half, to_words = xp.sum(c * c, axis=1) / 2, xp.matrix_transpose(c)
    for rows in row_blocks(x.shape[0], c.shape[0], x, elements=2**18):
        block = xp.astype(x[rows, :], xp.float32)
        yield block, xp.argmin(half - block @ to_words, axis=1)


def lloyd_step(x, c):
    """Every codeword becomes the mean of its vectors; one without vectors stays."""
    sums, counts = xp.zeros(c.shape), xp.zeros((c.shape[0], 1))
    for block, k in nearest_word(x, c):
        sums += ad.scatter_add(block, k, c.shape[0])
        counts += xp.bincount(k, minlength=c.shape[0])[:, None]
    return xp.where(counts > 0, sums / xp.where(counts > 0, counts, 1.0), c)


# %%
def codebook(x, K, rng, steps=6):
    """K codewords by Lloyd's iteration from k-means++ on a sample (large K: from the sample)."""
    rows = rng.host.choice(x.shape[0], max(K, min(2048, x.shape[0])), replace=False)
    c = xp.take(x, to_device(rows), axis=0)
    if K < c.shape[0]:
        seed = int(rng.host.integers(2**31))
        c = to_device(kmeans_plusplus(to_host(c), K, random_state=seed)[0])
    for _ in range(steps):
        c = lloyd_step(x, c)
    return c


def product_codebooks(x, M, K, rng, steps=6):
    """Groups of channels, and a codebook for each."""
    groups = balanced_groups(np.var(to_host(x), axis=0), M)
    return groups, [codebook(xp.take(x, g, axis=1), K, rng, steps) for g in groups]


def nearest(x, groups, codebooks):
    """Index of the nearest codeword in each group."""
    found = (nearest_word(xp.take(x, g, axis=1), c) for g, c in zip(groups, codebooks, strict=True))
    return [to_host(xp.concat([k for _, k in blocks])) for blocks in found]


# %%
def look_up(indices, groups, codebooks):
    """The codewords of all groups, put back into their channels."""
    order = xp.argsort(xp.concat(groups))
    words = [xp.take(c, to_device(k), axis=0) for c, k in zip(codebooks, indices, strict=True)]
    return xp.take(xp.concat(words, axis=1), order, axis=1)


def split(z, books):
    """Indices and residual r = z - q of one map."""
    x = xp.reshape(z, (-1, z.shape[2]))
    indices = nearest(x, *books)
    return indices, xp.reshape(x - look_up(indices, *books), z.shape)


# %% [markdown]
# A level of {eq}`eq-imgc-cascade` is trained on what the levels before it leave over: first $S_l$,
# the leading principal axes of 2 × 2 neighbours, then the codebooks, then the frequencies of their
# words.

# %%
def stage(folded, C):
    """Orthonormal S (C, 4C): the leading principal axes of 2 x 2 residuals."""
    x = xp.concat([xp.reshape(a, (-1, a.shape[2])) for a in folded])
    _, axes = xp.linalg.eigh(xp.matrix_transpose(x) @ x)
    return xp.matrix_transpose(axes[:, -C:])


def frequencies(indices, K):
    """Table of the K words: counts, and half a count for each."""
    counts = np.bincount(indices, minlength=K) + 0.5
    return np.float32(counts / np.sum(counts))


def train_cascade(maps, M, Ks, rng, steps=6):
    """For each level: S, the codebooks, and the tables of the indices."""
    levels, C, r = [], maps[0].shape[2], maps
    for level, K in enumerate(Ks):
        S = stage([blocks(a, 2) for a in r], C) if level else None
        z = [blocks(a, 2) @ xp.matrix_transpose(S) for a in r] if level else r
        x = xp.concat([xp.reshape(a, (-1, C)) for a in z])
        books = product_codebooks(x, M, K, rng, steps)
        indices, r = zip(*(split(a, books) for a in z), strict=True)
        counted = [frequencies(np.concatenate(k), K) for k in zip(*indices, strict=True)]
        levels.append((S, books, counted))
    return levels


# %%
class Cascade:
    """Levels of M codebooks on ever coarser grids; one level is plain vector quantisation."""

    def __init__(self, levels):
        self.levels, self.C = levels, sum(len(g) for g in levels[0][1][0])

    def quantise(self, y):
        symbols, r = [], y[..., : self.C]
        for S, books, _ in self.levels:
            z = r if S is None else blocks(r, 2) @ xp.matrix_transpose(S)
            indices, r = split(z, books)
            symbols += indices
        return symbols

    def layout(self, h, w, symbols):
        for level, (_, _, tables) in enumerate(self.levels):
            yield from ((P, h * w // 4**level) for P in tables)

    def restore(self, symbols, h, w):
        x, M = 0.0, len(symbols) // len(self.levels)
        for level, (S, books, _) in reversed(list(enumerate(self.levels))):
            q = look_up(symbols[level * M : (level + 1) * M], *books)
            x = xp.reshape(q, (h >> level, w >> level, self.C)) + x
            x = x if S is None else unblocks(x @ S, 2)
        return x


# %% [markdown]
# ### A codebook that learns by gradients
#
# Equation {eq}`eq-imgc-logits`, for all groups at once: `y` has shape $(M,n,d)$ and the codebooks
# $(M,K,d)$. The forward value is the hard choice, the gradient that of the soft one.

# %%
def squared_distances(y, c):
    """D of every vector and codeword: (M, n, K)."""
    squares = ad.sum(y**2, axis=-1, keepdims=True) + ad.sum(c**2, axis=-1)[:, None, :]
    return squares - 2 * (y @ ad.matrix_transpose(c))


def gumbel_quantise(y, params, gumbel):
    """Straight-through sample of the quantised vectors."""
    c, tau = params["c"], ad.exp(params["log_tau"])[:, None, None]
    phi = -tau / np.sqrt(c.shape[1]) * squared_distances(y, c)
    soft = ad.softmax(phi + gumbel)
    chosen = ad.plain(soft)
    hard = xp.astype(chosen == xp.max(chosen, axis=-1, keepdims=True), chosen.dtype)
    b = soft + (hard - chosen)
    return b @ c


# %% [markdown]
# ## Experiments
#
# ### Two parts, one part, and bits back
#
# We begin where everything is known: a mixture of eight Gaussians in $\mathbb R^4$, with variances
# 2.5, 1, 0.4 and 0.1 along randomly turned axes and means at the corners
# $\pm\frac{\delta}{\sqrt2}e_j$ of a cross-polytope, so that neighbours are $\delta$ apart. The
# vectors are rounded to multiples $x\Delta$ with $\Delta=0.05$ and coded in three ways, each time
# into bytes.

# %%
STEP = 0.05


def correlated_mixture(delta, rng):
    """Weights, means and covariances of eight components in four dimensions."""
    mu = delta / np.sqrt(2) * np.concatenate([np.eye(4), -np.eye(4)])
    R, _ = np.linalg.qr(rng.standard_normal((8, 4, 4)))
    return np.full(8, 1 / 8), mu, (R * np.array([2.5, 1.0, 0.4, 0.1])) @ R.transpose(0, 2, 1)


def draw(n, model, rng):
    """n vectors of the mixture."""
    pi, mu, Sigma = model
    k = rng.choice(8, n, p=pi)
    return mu[k] + np.einsum(
        "nij,nj->ni", np.linalg.cholesky(Sigma)[k], rng.standard_normal((n, 4))
    )


def log2_joint(y, model):
    """log2 of pi_k N(y | mu_k, Sigma_k): (n, K)."""
    pi, mu, Sigma = model
    return mixture.component_log_densities(y, mu, Sigma) / np.log(2) + np.log2(pi)


# %% [markdown]
# To send $x$ under a correlated Gaussian we use the chain rule: the first coordinate, then the second
# given the first, and so on. Let $\Sigma_k=U D U^\top$ with a unit lower triangular $U$. Then
# coordinate $j$, given the earlier ones, is Gaussian with mean
# $\mu_{kj}+\sum_{i<j}W_{ji}(y_i-\mu_{ki})$, where $W=I-U^{-1}$, and variance $D_{jj}$.

# %%
GAUSSIAN = stream.model.QuantizedGaussian(-1024, 1023)


def conditional(x, k, j, model):
    """Mean and standard deviation of coordinate j given the earlier ones, in steps."""
    _, mu, Sigma = model
    L = np.linalg.cholesky(Sigma)
    roots = np.diagonal(L, axis1=1, axis2=2)
    W = np.eye(4) - np.linalg.inv(L / roots[:, None, :])
    mean = mu[k, j] + np.sum(W[k, j, :j] * (STEP * x[:, :j] - mu[k, :j]), axis=1)
    return mean / STEP, roots[k, j] / STEP


def two_part(x, k, model):
    """Parts of the two-part code: the components k, then the coordinates of x in turn."""
    parts = [(x[:, j], GAUSSIAN, *conditional(x, k, j, model)) for j in range(4)]
    return [(k, categorical(model[0])), *parts]


def pop_two_part(coder, n, model):
    """Decode k and x; each coordinate's model needs the ones before it."""
    k, x = coder.decode(categorical(model[0]), n), np.zeros((n, 4), dtype=np.int32)
    for j in range(4):
        x[:, j] = coder.decode(GAUSSIAN, *conditional(x, k, j, model))
    return k, x


# %% [markdown]
# The third code is the ideal one, $-\log_2p(y)$, and it can be had with the same tables by a trick
# called *bits back*. The freedom to choose $k$ is not wasted but filled with a message: the sender
# takes bits of some other file, which must be sent anyway, from the stack, by *decoding* them as a
# draw of $k$ from $r(y)$. Then it pushes $x$ and $k$ as before. The receiver pops $k$ and $x$,
# computes $r(y)$ itself and re-encodes $k$, which gives the other file back. To draw $k$ took
# $-\log_2r_k(y)$ bits of the other file, exactly what {eq}`eq-imgc-two-part` says that naming this $k$
# costs too much. (On average these are $H(k\mid y)$ bits, more than the most responsible component
# would have cost; but they all come back.)

# %%
def responsibilities(x, model):
    """r(y) at the rounded vectors, a table for each: (n, K)."""
    log_joint = log2_joint(STEP * x, model)
    r = np.exp2(log_joint - np.max(log_joint, axis=1, keepdims=True))
    return (r / np.sum(r, axis=1, keepdims=True)).astype(np.float32)


def bits_back(x, model, rng):
    """Bits of the message on top of another file, and how many words come back wrong."""
    family, other = Categorical(perfect=False), rng.integers(0, 2**32, len(x) // 8, dtype=np.uint32)
    coder = AnsCoder(other, seal=True)
    before = coder.num_valid_bits()
    k = coder.decode(family, responsibilities(x, model))
    net = push(coder, two_part(x, k, model)).num_valid_bits() - before
    k, decoded = pop_two_part(coder, len(x), model)
    coder.encode_reverse(k, family, responsibilities(decoded, model))
    return net, np.sum(decoded != x) + np.sum(coder.get_compressed(unseal=True) != other)


# %% [markdown]
# The univariate code has the exact probabilities of the rounded coordinates. Theory needs $h(y)$ and
# $E[-\log_2\max_kr_k]$, from 100 000 fresh vectors, and $h(y_i)$, from the trapezoidal rule.

# %%
def marginal_parts(x, model):
    """Parts of the univariate code: each coordinate with its exact marginal table."""
    pi, mu, Sigma = model
    sd, edges = np.sqrt(np.diagonal(Sigma, axis1=1, axis2=2)), STEP * (np.arange(-400, 402) - 0.5)
    P = np.diff(norm.cdf((edges[:, None, None] - mu) / sd), axis=0)  # bin, component, coordinate
    P = np.einsum("k,bkj->jb", pi, P)
    return [(x[:, j] + 400, categorical(P[j])) for j in range(4)]


def theory(model, rng):
    """Bits per vector: marginal, two-part and ideal code; and the overhead of two parts."""
    pi, mu, Sigma = model
    log_joint = log2_joint(draw(100_000, model, rng), model)
    log_p, best = np.log2(np.sum(np.exp2(log_joint), axis=1)), np.max(log_joint, axis=1)
    h, overhead, rounding = -np.mean(log_p), np.mean(log_p - best), -4 * np.log2(STEP)
    t, sd = np.linspace(-20, 20, 4001)[:, None], np.sqrt(np.diagonal(Sigma, axis1=1, axis2=2))
    p = np.stack([norm.pdf(t, mu[:, j], sd[:, j]) @ pi for j in range(4)])
    h_marginal = np.sum(np.trapezoid(-p * np.log2(np.maximum(p, 1e-300)), t[:, 0]))
    return np.array([h_marginal, h + overhead, h]) + rounding, overhead


# %%
def measure(delta, seed, n):
    """Bits per vector of the three files, all of which are read back."""
    rng = generator(seed).host
    model = correlated_mixture(delta, rng)
    x = np.rint(draw(n, model, rng) / STEP).astype(np.int32)
    k = np.argmax(log2_joint(STEP * x, model), axis=1)
    marginal, two = (push(AnsCoder(), p) for p in (marginal_parts(x, model), two_part(x, k, model)))
    net, wrong = bits_back(x, model, rng)
    bits = np.array([marginal.num_valid_bits(), two.num_valid_bits(), net]) / n
    k_, x_ = pop_two_part(two, n, model)
    columns = [marginal.decode(model_, n) for _, model_ in marginal_parts(x, model)]
    wrong += np.sum(k_ != k) + np.sum(x_ != x) + np.sum(np.stack(columns, 1) - 400 != x)
    wrong_symbols.append(wrong)
    return bits, *theory(model, rng)


DELTAS, SEEDS = (0, 2, 4, 8), range(3)
runs = [
    [measure(delta, seed, scale(default=20_000, paper=200_000)) for seed in SEEDS]
    for delta in DELTAS
]
measured, expected, overhead = (np.array([[r[i] for r in row] for row in runs]) for i in range(3))

# %% tags=["hide-input"]
m = np.mean(measured, axis=1)
alt = f"""Bits per vector against the distance of the means. The univariate code rises from
{m[0, 0]:.1f} to {m[3, 0]:.1f}, the two-part code from {m[0, 1]:.1f} to {m[3, 1]:.1f}, bits back
from {m[0, 2]:.1f} to {m[3, 2]:.1f}. The two-part curve starts above the univariate one, crosses it
below a distance of 2 and joins bits back at 8. Measured points lie on the lines of theory."""
caption = r"""Length of real bit streams (points, means of three seeds) and theory (lines). Two
parts lose to univariate tables where the components overlap and gain where they are apart; bits
back is best everywhere."""
with figure(alt=alt, caption=caption, width=6.0, height=3.4) as ax:
    names = ("univariate tables", "mixture, two parts", "mixture, bits back")
    for i, (name, colour) in enumerate(zip(names, ("vermilion", "blue", "green"), strict=True)):
        ax.plot(DELTAS, np.mean(expected, axis=1)[:, i], color=PALETTE[colour], lw=1)
        ax.plot(DELTAS, m[:, i], "os^"[i], color=PALETTE[colour], label=name)
    ax.set(
        xlabel=r"distance $\delta$ of neighbouring means", ylabel="bits per vector", xticks=DELTAS
    )
    ax.legend()

# %%
deviation = 100 * np.abs(measured / expected - 1)
for letter, name, i in (("a", "univariate", 0), ("b", "two-part", 1), ("c", "bits-back", 2)):
    claims.check(
        f"C1.{letter}",
        f"E1: bits of the {name} file against theory, largest relative difference",
        measured=np.max(deviation[..., i]),
        at_most=1,
        unit="%",
        seeds=3,
        own=True,
    )
claims.check(
    "C1.d",
    "E1: two-part minus bits-back file against E[−log₂ max r], largest difference",
    measured=np.max(np.abs(measured[..., 1] - measured[..., 2] - overhead)),
    at_most=0.02,
    unit="bit",
    seeds=3,
    own=True,
)

# %% [markdown]
# The files are as long as theory says, and the difference between two parts and bits back is the
# overhead of {eq}`eq-imgc-two-part`. The figure also holds a warning. At $\delta=0$ the mixture is
# the true distribution and its two-part code is still *longer* than that of univariate tables,
# because the name of the component costs more than the total correlation is worth. That a mixture
# prior pays is a fact about the data, not about mixtures. So what about photographs?
#
# ### What photographs look like to a prior
#
# We learn on eight photographs and test on three others, all bundled with scikit-image and
# scikit-learn. They are converted to 8-bit luminance and cropped to multiples of 32.

# %%
TRAIN = ("astronaut", "chelsea", "rocket", "motorcycle_left", "brick", "coins", "grass", "flower")
TEST = ("camera", "coffee", "china")
SIDE = scale(default=8, paper=16)  # pixels of a block
SHIFTS = range(0, SIDE, scale(default=SIDE, paper=2))  # overlapping blocks for training


def picture(name):
    """8-bit values in [0, 1], cropped to whole blocks of three levels: (H, W, channels)."""
    photo = data.photograph(name)
    grey = photo if photo.ndim == 2 else rgb2gray(photo)
    x = scale(default=grey[..., None], paper=gray2rgb(photo) if photo.ndim == 2 else photo)
    H, W = (4 * SIDE * (n // (4 * SIDE)) for n in x.shape[:2])
    return to_device(np.rint(255 * x[:H, :W]) / 255)


def shifted(x):
    """The picture seen from all shifts of the grid, mirrored too if there are several."""
    for view in scale(default=(x,), paper=(x, xp.flip(x, axis=1))):
        for i, j in ((i, j) for i in SHIFTS for j in SHIFTS):
            H, W = (
                4 * SIDE * ((n - s) // (4 * SIDE)) for n, s in zip(x.shape, (i, j), strict=False)
            )
            yield view[i : i + H, j : j + W, :]


# %% [markdown]
# The transform: subtract the mean block and rotate to principal axes. Since it is orthonormal, an
# error of the latents is an error of the pixels. A decoded picture is rounded to 8 bits, like any
# picture on disk.

# %%
D = scale(default=64, paper=192)
views = [blocks(view, SIDE) for name in TRAIN for view in shifted(picture(name))]
sites = sum(b.shape[0] * b.shape[1] for b in views)
mean = sum(xp.sum(b, axis=(0, 1)) for b in views) / sites
centred = (xp.reshape(b - mean, (-1, mean.shape[0])) for b in views)
_, axes_ = xp.linalg.eigh(sum(xp.matrix_transpose(x) @ x for x in centred) / sites)
A = axes_[:, ::-1][:, :D]  # pixels x channels, largest variance first


def latent(x):
    """The latent map of a picture: (H / SIDE, W / SIDE, D)."""
    return (blocks(x, SIDE) - mean) @ A


def render(y):
    """Pixels of a latent map that may have fewer than D channels."""
    pixels = y @ xp.matrix_transpose(A[:, : y.shape[2]]) + mean
    return xp.round(255 * xp.clip(unblocks(pixels, SIDE), 0, 1)) / 255


maps = [(b - mean) @ A for b in views]
Y = xp.concat([xp.reshape(y, (-1, D)) for y in maps])
pictures = {name: picture(name) for name in TEST}
latents = {name: latent(x) for name, x in pictures.items()}

# %% [markdown]
# On the first 16 channels we fit a mixture of 32 Gaussians with full covariances, and for each
# channel a univariate mixture of six. Their held-out log-likelihood, in bits, says how long a file at
# small steps would be. Flat patches of an 8-bit picture have next to no variance, and a density may
# become arbitrarily large there; so a noise of standard deviation 0.01 is added to training and test
# data, the same for all models. EM starts at the centres that k-means++ chooses among 2048 blocks.

# %%
START = {"init_params": "k-means++", "init_size": scale(default=2048, paper=None)}


def bits_per_channel(train, tests, seed, others=()):
    """Held-out code length of univariate mixtures, of others (K, kind) and of the mixture."""
    d = train.shape[1]
    options = {"tol": 0, "max_iter": 10, **START, "random_state": seed}
    columns = [mixture.GaussianMixture(6, **options).fit(train[:, j : j + 1]) for j in range(d)]
    models = [
        mixture.GaussianMixture(K, covariance_type=kind, **options).fit(train)
        for K, kind in (*others, (32, "full"))
    ]
    lengths = [
        [
            -sum(m.score(y[:, j : j + 1]) for j, m in enumerate(columns)),
            *(-m.score(y) for m in models),
        ]
        for y in tests
    ]
    return np.array(lengths) / np.log(2) / d, models[-1]


# %% [markdown]
# As a control everything is repeated after each channel has been shuffled over the blocks by itself.
# That keeps all histograms and destroys all dependence. If a mixture still won, it would have won by
# something else.

# %%
SEED = 1
rng = generator(SEED)
d = 16


def with_noise(y):
    """The first d channels as rows, with noise of standard deviation 0.01."""
    y = xp.reshape(y[..., :d], (-1, d))
    return y + 0.01 * rng.standard_normal(y.shape)


def shuffled(y):
    """Every column permuted by itself."""
    return to_device(rng.host.permuted(to_host(y), axis=0))


train16, tests16 = with_noise(Y), [with_noise(y) for y in latents.values()]
others = (1, "full"), (32, "diag")
lengths, gmm16 = bits_per_channel(train16, tests16, SEED, others)
control, _ = bits_per_channel(shuffled(train16), [shuffled(y) for y in tests16], SEED)
gain, control_gain = lengths[:, 0] - lengths[:, -1], control[:, 0] - control[:, -1]


# %% [markdown]
# The inter-correlation shows in the map of the most responsible component: how much does the index of
# a block say about that of its right or lower neighbour? We measure the mutual information of the
# two, and subtract the value found after shuffling, which is the bias of a finite sample.

# %%
def mutual_information(a, b):
    """Mutual information of two arrays of 32 indices in bits, from their counts."""
    joint = np.zeros((32, 32))
    np.add.at(joint, (a, b), 1 / len(a))
    product = np.outer(np.sum(joint, axis=1), np.sum(joint, axis=0))
    seen = joint > 0
    return np.sum(joint[seen] * np.log2(joint[seen] / product[seen]))


index_maps, information = {}, []
for (name, y), y16 in zip(latents.items(), tests16, strict=True):
    k = index_maps[name] = to_host(gmm16.predict(y16)).reshape(y.shape[:2])
    left, right = (np.concatenate([a.ravel(), b.ravel()])
                   for a, b in ((k[:, :-1], k[:-1]), (k[:, 1:], k[1:])))  # fmt: skip
    bias = mutual_information(left, rng.host.permutation(right))
    shares = np.bincount(k.ravel()) / k.size
    entropy = -np.sum(shares[shares > 0] * np.log2(shares[shares > 0]))
    information.append([entropy, mutual_information(left, right) - bias])

# %%
rows = [
    [name, *row, g, c, *mi]
    for name, row, g, c, mi in zip(TEST, lengths, gain, control_gain, information, strict=True)
]
columns = ["picture", "univariate mixtures", "one Gaussian", "32, diagonal", "32, full", "gain",
           "gain, shuffled", "entropy of k (bits)", "neighbour's information (bits)"]  # fmt: skip
table(
    rows,
    columns,
    "Code length in the limit of small steps (bits per channel, up to a constant) and the index k",
)

# %%
claims.check(
    "C2.a",
    "E2: bits per latent channel that the mixture saves against univariate mixtures, worst picture",
    measured=np.min(gain),
    at_least=0.30,
    unit="bit",
    paper="a univariate prior pays for both correlations",
)
claims.check(
    "C2.b",
    "E2: the same after every channel has been shuffled by itself, best picture",
    measured=np.max(control_gain),
    at_most=0.05,
    unit="bit",
    own=True,
)

# %% tags=["hide-input"]
busy = np.argsort(np.argsort(np.linalg.slogdet(to_host(gmm16.covariances_))[1]))
alt = """Left, a photograph of a Chinese temple behind trees. Right, the same picture as a coarse
map of component indices, ranked from quiet to busy: the sky is uniformly the quietest, roof and
trees are the busiest, edges stand out as chains."""
caption = """The test picture `china` and the component that is most responsible for each block,
coloured by the rank of its determinant (dark: flat, bright: busy). Nobody told the mixture where
blocks lie, but neighbours often share a component: the inter-correlation of item 2."""
with figure(1, 2, alt=alt, caption=caption, height=2.5) as axes:
    grey = np.mean(to_host(pictures["china"]), axis=2)
    axes[0].imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes[1].imshow(busy[index_maps["china"]], cmap="viridis", interpolation="nearest")
    for ax in axes:
        ax.axis("off")

# %% [markdown]
# On photographs there is no contest, and after shuffling nothing of the gain is left. (The mixture then loses, since 32 Gaussians cannot imitate the
# heavy tails of 16 independent channels.) But where does the gain come from? A single Gaussian, which
# knows all correlations, is far worse than channels that know none. A mixture of *diagonal*
# Gaussians, which has no correlation within a component, already has most of the
# gain. What matters most is that patches come in kinds, flat ones, edges, textures, each with
# variances of its own; the orientation of their axes adds the rest. The last column is a gain that
# the two-part code leaves on the table: its index table is static, and a neighbour could save it about
# that many bits a block.
#
# ### Files, decoded and compared
#
# Now the codes on real files. The mixture for G has 32 components in all 64 channels and is fitted
# with five iterations of EM. G differs from U in more than its probabilities: with every component it
# turns and shifts the grid to which it rounds, and its encoder may choose among 32 of these grids. The
# code D takes that away. Its mixture is one of *diagonal* Gaussians whose means lie on U's grid, so that
# its symbols are U's, its decoded pictures are U's, and only their probabilities differ.

# %%
d = 64
K, steps = scale(default=(32, 5), paper=(512, 30))
options = START | {"max_iter": steps, "tol": 0, "reg_covar": 1e-4}
gmm, diagonal = (
    mixture.GaussianMixture(K, covariance_type=kind, random_state=SEED, **options).fit(Y[:, :d])
    for kind in ("full", "diag")
)


def on_grid(step):
    """The diagonal mixture with its means at multiples of the step."""
    means = step * xp.round(diagonal.means_ / step)
    covariances = diagonal.covariances_[:, :, None] * xp.eye(d)
    return SimpleNamespace(weights_=diagonal.weights_, means_=means, covariances_=covariances)


# %%
def trial(name, codec):
    """Encode a test picture, read the file back, and judge the decoded picture."""
    code, symbols, ideal = encode(latents[name], codec)
    decoded, y = decode(code, codec)
    pairs = zip(symbols, decoded, strict=True)
    wrong_symbols.append(sum(int(np.sum(s != t)) for s, t in pairs))
    size_ratios.append(abs(len(code) - ideal) / (0.01 * ideal + 64))
    image, x = render(y), pictures[name]
    exact, C = latents[name], y.shape[2]
    lost = xp.sum((exact[..., :C] - y) ** 2) + xp.sum(exact[..., C:] ** 2)
    pixel_ratios.append(float(xp.sum((image - x) ** 2) / lost))
    bpp = 8 * len(code) / (x.shape[0] * x.shape[1])
    return {"bpp": bpp, "psnr": metrics.psnr(image, x), "image": image, "bytes": len(code)}


# %%
STEPS, COARSE_STEPS = (0.1, 0.14, 0.2, 0.3), (0.42, 0.6)
results = {letter: {name: [] for name in TEST} for letter in "UGD"}
for step in progress(STEPS, "steps"):
    codecs = Univariate(Y[:, :d], step), MixtureCode(gmm, step), MixtureCode(on_grid(step), step)
    for letter, codec in zip("UGD", codecs, strict=True):
        for name in TEST:
            results[letter][name].append(trial(name, codec))
codecs = [Univariate(Y[:, :d], step) for step in COARSE_STEPS]
coarse = {name: [trial(name, codec) for codec in codecs] for name in TEST}
unlike = max(
    float(xp.max(xp.abs(u["image"] - v["image"])))
    for name in TEST
    for u, v in zip(results["U"][name], results["D"][name], strict=True)
)

# %% [markdown]
# The cascade C has three levels with 256, 128 and 64 codewords; V is its first level by itself, with
# one more point for a codebook of 1024. Both work on the first 32 channels, and their indices are
# coded with the frequencies of the training blocks. The outside anchor is JPEG as Pillow writes it,
# with optimised tables, its header included.

# %%
MS, KS = scale(default=((1, 2, 4), (256, 128, 64)), paper=((2, 12), (8192, 2048, 512)))
CHANNELS = scale(default=dict.fromkeys(MS, 32), paper={2: 128, 12: 192})


def codebooks(M, Ks):
    """A cascade with M codebooks of K words at each level, trained on the eight pictures."""
    return Cascade(train_cascade([y[..., : CHANNELS[M]] for y in maps], M, Ks, rng))


cascades = [codebooks(M, KS) for M in MS]
vectors = [Cascade(cascade.levels[:1]) for cascade in cascades]
vectors.insert(1, codebooks(MS[0], (scale(default=1024, paper=16_384),)))
for letter, codecs in (("V", vectors), ("C", cascades)):
    results[letter] = {name: [trial(name, codec) for codec in codecs] for name in TEST}


def jpeg(name, quality):
    """A test picture as Pillow's JPEG file, judged like a trial."""
    x, file = pictures[name], BytesIO()
    pixels = np.squeeze(np.rint(255 * to_host(x)).astype(np.uint8))
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, optimize=True)
    image = np.asarray(Image.open(file)).reshape(x.shape) / 255
    size = len(file.getvalue())
    bpp = 8 * size / (x.shape[0] * x.shape[1])
    return {"bpp": bpp, "psnr": metrics.psnr(image, to_host(x)), "image": image, "bytes": size}


results["JPEG"] = {name: [jpeg(name, q) for q in range(4, 84, 4)] for name in TEST}

# %% [markdown]
# The transform is a rotation, so the squared error of a decoded picture is that of its latent
# vectors, or a little less, as pixels are clipped to the range of grey values. A picture that is
# decoded at the wrong place would show here, before any rate is compared.

# %%
claims.check(
    "C4.d",
    f"E3: squared error of the picture over that of its vectors, {len(pixel_ratios)} files, largest",
    measured=max(pixel_ratios),
    at_most=1.01,
    own=True,
)


# %% [markdown]
# Finally N, a small relative of the authors' network, trained end to end. Encoder and decoder are a
# rotation plus a dense network with one hidden layer, between them four codebooks of 64 words, drawn
# by {eq}`eq-imgc-logits`; the loss is the squared error. Trained from a random start for the few
# seconds that we have, N stays some 3 dB behind plain vector quantisation. We therefore start at the
# optimum of Lloyd's iteration (rotations as in V, dense parts zero) and let the gradients improve on
# it.

# %%
def analyse(p, y):
    """Encoder: vectors (M, n, C / M) of the blocks y (n, d)."""
    z = y @ p["E"] + nn.mlp(p["encoder"], y)
    return ad.permute_dims(ad.reshape(z, (y.shape[0], p["c"].shape[0], -1)), (1, 0, 2))


def synthesise(p, q):
    """Decoder: blocks of the quantised vectors."""
    q = ad.reshape(ad.permute_dims(q, (1, 0, 2)), (q.shape[1], -1))
    return q @ p["D"] + nn.mlp(p["decoder"], q)


def network_init(y, M, K, C, hidden, rng):
    """Rotations and codebooks of plain vector quantisation; networks whose last layer is zero."""
    d, (groups, words) = y.shape[1], product_codebooks(y[:, :C], M, K, rng)
    E = xp.eye(d)[:, xp.concat(groups)]
    p = {"encoder": nn.mlp_init(rng, [d, hidden, C]), "decoder": nn.mlp_init(rng, [C, hidden, d])}
    for net in p.values():
        net[-1] = {name: 0 * a for name, a in net[-1].items()}
    p |= {"E": E, "D": 1 * xp.matrix_transpose(E), "c": xp.stack(words)}
    p["log_tau"] = xp.full((M,), np.log(300))
    return ad.tree_map(lambda a: xp.astype(a, xp.float32), p)


# %%
def train_network(p, y, steps, batch, rng):
    def loss(p, y, gumbel):
        return ad.mean((synthesise(p, gumbel_quantise(analyse(p, y), p, gumbel)) - y) ** 2)

    step, adam, (M, K, _) = ad.value_and_grad(loss), Adam(cosine_decay(1e-3, steps)), p["c"].shape
    for _ in progress(range(steps), "network"):
        some = xp.take(y, rng.integers(0, y.shape[0], batch), axis=0)
        gumbel = xp.astype(rng.gumbel(size=(M, batch, K)), xp.float32)
        p = adam.step(p, step(p, some, gumbel)[1])
    return p


class Network:
    """The trained network as a codec; tables from the training blocks y, scaled by the unit."""

    def __init__(self, p, unit, y):
        self.p, self.unit, K = p, unit, p["c"].shape[1]
        self.tables = [frequencies(k, K) for k in self.quantise(y)]

    def quantise(self, y):
        y = xp.reshape(y, (-1, y.shape[-1]))[:, : self.p["E"].shape[0]] / self.unit
        D = squared_distances(analyse(self.p, xp.astype(y, xp.float32)), self.p["c"])
        return [to_host(xp.argmin(D[m, ...], axis=1)) for m in range(D.shape[0])]

    def layout(self, h, w, symbols):
        yield from ((P, h * w) for P in self.tables)

    def restore(self, symbols, h, w):
        c = self.p["c"]
        q = xp.stack([xp.take(c[m, ...], to_device(k), axis=0) for m, k in enumerate(symbols)])
        return xp.reshape(self.unit * xp.astype(synthesise(self.p, q), xp.float64), (h, w, -1))


# %%
rng = generator(SEED)
M, K, C, hidden = scale(default=(4, 64, 32, 128), paper=(12, 512, 48, 512))
steps, batch = scale(default=(300, 256), paper=(20_000, 4096))
unit = float(xp.mean(Y[:, :C] ** 2)) ** 0.5
y = Y[:, :d] / unit
start = network_init(y, M, K, C, hidden, rng)
network = train_network(start, xp.astype(y, xp.float32), steps, batch, rng)
before, after = (Network(p, unit, Y[:, :d]) for p in (start, network))
trials = {name: [trial(name, codec) for codec in (before, after)] for name in TEST}
results["N"] = {name: pair[1:] for name, pair in trials.items()}
rows = [[name, *[r[key] for r in pair for key in ("bpp", "psnr")]] for name, pair in trials.items()]
columns = ["picture", *(f"{which}: {what}" for which in ("start (Lloyd)", "trained")
                        for what in ("bits per pixel", "PSNR (dB)"))]  # fmt: skip
table(rows, columns, "N before and after training end to end")

# %% tags=["hide-input"]
alt = """Three panels, one for each test picture: PSNR against bits per pixel. In each, the mixture
code G lies above the univariate code U. Vector quantisation V, the cascade C and the network N
start near the end of U's curve and fall below it. JPEG lies between U and G, above G only at the
lowest rates of camera, and below U at the highest of coffee."""
caption = """Rate and distortion of real files: univariate U (with two larger steps), mixture G, vector
quantisation V, cascade C, network N, and JPEG."""
styles = {"JPEG": ("black", "--"), "U": ("vermilion", "o-"), "G": ("blue", "s-"),
          "V": ("green", "^:"), "C": ("purple", "v-"), "N": ("black", "*")}  # fmt: skip
with figure(1, 3, alt=alt, caption=caption, width=9.0, height=3.2) as axes:
    for ax, name in zip(axes, TEST, strict=True):
        for letter, (colour, style) in styles.items():
            curve = results[letter][name] + (coarse[name] if letter == "U" else [])
            bpp, psnr = np.array([(r["bpp"], r["psnr"]) for r in curve]).T
            ax.plot(bpp, psnr, style, color=PALETTE[colour], ms=4, label=letter)
        top = 1.05 * results["U"][name][0]["bpp"]
        inside = [r["psnr"] for curves in results.values() for r in curves[name] if r["bpp"] < top]
        ax.set(title=name, xlabel="bits per pixel", ylabel="PSNR (dB)", xlim=(0, top),
               ylim=(min(inside) - 0.5, max(inside) + 0.5))  # fmt: skip
    axes[0].legend(loc="lower right")


# %%
def compare(anchor, tested, name):
    """BD-rate in per cent on one picture."""
    a, b = ([(r["bpp"], r["psnr"]) for r in results[letter][name]] for letter in (anchor, tested))
    return metrics.bd_rate(*np.array(a).T, *np.array(b).T)


pairs = (("U", "G"), ("U", "D"), ("JPEG", "G"), ("JPEG", "U"), ("V", "C"))
rates = {pair: [compare(*pair, name) for name in TEST] for pair in pairs}
rows = [[f"{b} against {a}", *values, np.mean(values)] for (a, b), values in rates.items()]
table(
    rows,
    ["codes", *TEST, "mean"],
    "Difference in rate at equal PSNR (BD-rate, %; negative: shorter). Pixels of D's pictures "
    f"differ from those of U's by at most {unlike:g}.",
)
claims.check(
    "C3",
    "E3: BD-rate of the mixture code G against the univariate code U, mean of three pictures",
    measured=np.mean(rates["U", "G"]),
    at_most=-5,
    unit="%",
    paper="−7 % at equal PSNR (VVC, one picture)",
)
say(f"""At equal PSNR the mixture needs {-np.mean(rates["U", "G"]):.0f} % fewer bits than the univariate
code. D, which sends the very symbols of U, needs {-np.mean(rates["U", "D"]):.0f} % fewer, and the cascade
{np.mean(rates["V", "C"]):+.0f} % against plain vector quantisation.""")

# %% [markdown]
# Transform, steps, training blocks and entropy coder are the same. Most of the gain is the prior
# and nothing else, as D shows. The rest comes
# with the turned and shifted grids. JPEG has run lengths and steps of its own for each frequency; its steps
# serve the eye and not the PSNR, and so the comparison
# flatters us. How much is due to the choice {eq}`eq-imgc-choice`?

# %%
rules = {
    "shortest code": shortest,
    "most responsible": most_responsible,
    "most responsible, with rounding noise": most_responsible_with_rounding,
}
rows = []
for rule, choose in rules.items():
    trials = [trial("coffee", MixtureCode(gmm, step, choose)) for step in (STEPS[0], STEPS[-1])]
    rows.append([rule, *(value for t in trials for value in (t["bpp"], t["psnr"]))])
columns = ["rule", *(f"Δ = {step:g}: {what}" for step in (STEPS[0], STEPS[-1])
                     for what in ("bits per pixel", "PSNR (dB)"))]  # fmt: skip
table(rows, columns, "Three rules for the component of G, picture coffee")


# %% [markdown]
# It matters, and most at large steps. Taking the rounding for noise, a rule that one might think of
# first, does harm at the small step; at the large one it saves some bits, but loses as much in PSNR as
# they are worth. Counting bits is better at both: the bits that it saves would buy more than the little that
# it loses.
#
# The vector quantisers do worse. Their rates are partly below those of U's four steps, so that we take
# U at two larger steps as well:

# %%
def univariate_psnr(name, bpp):
    """PSNR of U at another code's rate, between its measured points."""
    curve = [(r["bpp"], r["psnr"]) for r in results["U"][name] + coarse[name]]
    return np.interp(bpp, *np.array(curve[::-1]).T, left=np.nan, right=np.nan)


rows = []
for name in TEST:
    last = [results[letter][name][-1] for letter in "VC"]
    gaps = [r["psnr"] - univariate_psnr(name, r["bpp"]) for r in last]
    rows.append(
        [name, *(value for r, gap in zip(last, gaps, strict=True) for value in (r["bpp"], gap))]
    )
columns = [
    "picture",
    "V: bits per pixel",
    "V: PSNR above U (dB)",
    "C: bits per pixel",
    "C: PSNR above U (dB)",
]
table(
    rows, columns, "Vector quantisers with the largest M against the univariate code at their rate"
)


# %% [markdown]
# What does a decibel look like? We give each code the same number of bytes, as many as the cascade
# with $M=2$ needs, find the steps $\Delta$ of U and G and the quality of JPEG that come closest, and
# look at the same detail.

# %%
def fitted(name, make, budget):
    """The trial of the smallest step whose file is within the budget, by bisection."""
    low, high = np.log(0.05), np.log(1.0)
    for _ in range(7):
        middle = (low + high) / 2
        best = trial(name, make(np.exp(middle)))
        low, high = (low, middle) if best["bytes"] <= budget else (middle, high)
    return best if best["bytes"] <= budget else trial(name, make(np.exp(high)))


shown = "coffee"
budget = results["C"][shown][MS.index(2)]["bytes"]
qualities = [jpeg(shown, q) for q in range(1, 60)]
contest = {
    "JPEG": min(qualities, key=lambda r: abs(r["bytes"] - budget)),
    "cascade C": results["C"][shown][MS.index(2)],
    "univariate U": fitted(shown, lambda step: Univariate(Y[:, :d], step), budget),
    "mixture G": fitted(shown, lambda step: MixtureCode(gmm, step), budget),
}

# %% tags=["hide-input"]
listed = "; ".join(f"{k}: {r['bytes']} bytes, {r['psnr']:.2f} dB" for k, r in contest.items())
alt = f"""Upper row, a detail of the coffee cup: the original and four decoded versions of equal
size ({listed}). C is blurred; U and G show flat tiles in the dark parts, U a grid of dots as well.
Lower row, maps of the absolute error: bright edges for C, faint ones for the others."""
caption = f"""The same detail at the same size, about {budget} bytes for the whole picture, and the
absolute error (black: none, white: 0.2)."""
rows, columns = slice(150, 300), slice(200, 400)
original = to_host(pictures[shown])[rows, columns]
with figure(2, 5, alt=alt, caption=caption, width=9.6, height=3.6) as axes:
    axes[0, 0].imshow(np.mean(original, axis=2), cmap="gray", vmin=0, vmax=1)
    axes[0, 0].set_title("original")
    for ax, (name, result) in zip(axes[:, 1:].T, contest.items(), strict=True):
        image = to_host(result["image"])[rows, columns]
        ax[0].imshow(np.mean(image, axis=2), cmap="gray", vmin=0, vmax=1)
        ax[0].set_title(f"{name}\n{result['psnr']:.2f} dB")
        ax[1].imshow(np.mean(np.abs(image - original), axis=2), cmap="gray", vmin=0, vmax=0.2)
    for ax in axes.flat:
        ax.axis("off")

# %% [markdown]
# And how does a picture fall apart as the rate falls? Four files of G and, below its largest step, two of U, each
# beside the JPEG whose size comes closest:

# %% tags=["hide-input"]
by_rate = [("G", r) for r in results["G"][shown]] + [("U", r) for r in coarse[shown]]
by_rate = {f"{r['bpp']:.2f}": (letter, r) for letter, r in by_rate}


def rivals(rate):
    """A file of ours and the JPEG of nearest size, by name."""
    letter, ours = by_rate[rate]
    return {letter: ours, "JPEG": min(qualities, key=lambda r: abs(r["bytes"] - ours["bytes"]))}


def side_by_side(axes, rate):
    """The detail in both files."""
    for ax, (name, result) in zip(axes, rivals(rate).items(), strict=True):
        image = to_host(result["image"])[rows, columns]
        ax.imshow(np.mean(image, axis=2), cmap="gray", vmin=0, vmax=1)
        ax.set_title(f"{name}: {result['bpp']:.2f} bits per pixel, {result['psnr']:.1f} dB")
        ax.axis("off")


# %% tags=["hide-input"]
def in_words(rate):
    """Names, sizes and errors of both."""
    said = (f"{name} with {r['bytes']} bytes at {r['psnr']:.1f} dB" for name, r in rivals(rate).items())
    return f"A detail of the coffee cup in two files of like size: {' and '.join(said)}."


slider(list(by_rate), side_by_side, label="bits per pixel", alt=in_words, columns=2, height=2.9, start=3,
       caption="The detail as the rate falls: our codes (left) and JPEG at the nearest size (right).")  # fmt: skip

# %% tags=["hide-input"]
chosen = {name: results["G"][name][2] for name in TEST}
listed = "; ".join(
    f"{k}: {r['bytes']} bytes, {r['bpp']:.2f} bits per pixel" for k, r in chosen.items()
)
alt = f"""Three test pictures above and their decoded versions below, which look nearly the same
({listed}). In the decoded ones fine texture is smoother."""
caption = r"""The three test pictures (8 bits per pixel) and what is left of them after the mixture
code with $\Delta=0.2$, decoded from its bytes."""
with figure(2, 3, alt=alt, caption=caption, width=9.0, height=4.6) as axes:
    for ax, (name, r) in zip(axes.T, chosen.items(), strict=True):
        for a, image in zip(ax, (pictures[name], r["image"]), strict=True):
            a.imshow(np.mean(to_host(image), axis=2), cmap="gray", vmin=0, vmax=1)
            a.axis("off")
        ax[0].set_title(name)
        ax[1].set_title(f"{r['bytes']} bytes, {r['psnr']:.1f} dB")

# %% [markdown]
# The eye finds other faults than the PSNR. U and G round the block
# means with a large step, which leaves tiles in the dark parts; in U a faint grid of dots is
# added. C blurs the spoon, where the error map glows. JPEG spends more on the smooth parts.
#
# What of the cascade, then? At equal PSNR it needs more bits than plain vector quantisation, so the
# coarser levels do not earn their keep, and both lie below scalar quantisation with an entropy coder.
# Training end to end from there for a few hundred steps does not help either. In a linear space, then,
# codebooks of a few hundred
# words gain nothing by themselves. If they do in the paper, it is because its deep transform is
# trained to deliver vectors that such codebooks can describe, and that is beyond what this chapter
# can test.
#
# Some bookkeeping remains. All files of this chapter were read back, and their symbols compared
# with those that went in; and their lengths were compared with what the tables promise,
# $-\sum\log_2P$. Each level of a cascade must bring
# the picture nearer. And the rate of {eq}`eq-imgc-rate` can be put to the test with the paper's own grid:
# indices of a 512 × 512 picture with $M=2$, coded with uniform tables.

# %%
indices = generator(0).host
parts = [
    (indices.integers(0, K, (512 // 2**level) ** 2), stream.model.Uniform(K))
    for level, K in ((4, 8192), (5, 2048), (6, 512))
    for _ in range(2)
]
coder = push(AnsCoder(), parts)
uniform_bpp = coder.num_valid_bits() / 512**2
wrong_symbols.append(sum(np.sum(coder.decode(model, len(k)) != k) for k, model in parts))

# %%
steps_up = [
    c["psnr"] - v["psnr"]
    for name in TEST
    for v, c in zip([results["V"][name][k] for k in (0, 2, 3)], results["C"][name], strict=False)
]
claims.check(
    "C4.e",
    "E3: PSNR that the coarser levels of the cascade add to the first, smallest",
    measured=min(steps_up),
    at_least=0.02,
    unit="dB",
)

# %%
claims.check(
    "C4.a",
    f"E1–E3: symbols that are decoded wrong, in {len(wrong_symbols)} sets of files",
    measured=sum(wrong_symbols),
    equals=0,
)
claims.check(
    "C4.b",
    f"E3: file size minus cross-entropy, over 1 % + 64 bytes (largest of {len(size_ratios)} files)",
    measured=max(size_ratios),
    at_most=1,
)
claims.check(
    "C4.c",
    "E3: uniform tables, M = 2, K = (8192, 2048, 512), 512 × 512 pixels (within a coder's word)",
    measured=uniform_bpp,
    equals=2 * (13 / 256 + 11 / 1024 + 9 / 4096),
    within=32 / 512**2,
    unit="bits per pixel",
    paper="0.1277, with overhead",
)

# %% [markdown]
# ### One codebook or several?
#
# Several codebooks at a fixed rate of 12 bits for a block: one codebook of 4096 words, two of 64, three of 16.
# All have 4096 effective codewords for the first 24 channels.

# %%
x, tests = Y[:, :24], xp.concat([xp.reshape(y, (-1, D))[:, :24] for y in latents.values()])
rows = []
for M, K, steps in ((1, 4096, 2), (2, 64, 10), (3, 16, 10)):
    groups, books = product_codebooks(x, M, K, rng, steps)
    seconds, error = [], {}
    for _ in range(3):
        started = process_time()
        nearest(tests, groups, books)
        seconds.append(process_time() - started)
    for part, y in (("train", x), ("test", tests)):
        q = look_up(nearest(y, groups, books), groups, books)
        error[part] = float(xp.mean(xp.sum((y - q) ** 2, axis=1)))
    rows.append(
        [f"M = {M}, K = {K}", error["train"], error["test"], 24 * K, 24 * K, 1e3 * min(seconds)]
    )
columns = ["codebooks", "distortion, training", "distortion, test", "numbers to store",
           "multiplications for a block", "search of all test blocks (ms)"]  # fmt: skip
table(rows, columns, "Twelve bits for a block in three ways (squared error of 24 channels)")

# %% [markdown]
# Two codebooks need a 64th of the memory and of the multiplications, three a 256th, and the distortion of new
# pictures grows with their number: groups are coded as if they knew nothing of each other. The single large
# codebook is held back by our small corpus, on which it is much better than on new pictures: with
# few training blocks for a word it learns some by heart. The reduction in complexity is as claimed;
# it is a trade, and its price grows with $M$.
#
# ### A codebook learned by sampling
#
# Does the quantiser of {eq}`eq-imgc-logits` find the codebook that Lloyd's iteration finds? The data
# are a mixture of 16 Gaussians with standard deviation 0.5 in $\mathbb R^8$, and there is one
# codebook with 16 words. As in the authors' code it starts from $N(0,\frac2{5d})$ with $\tau=1$, the
# loss is the distortion alone, the frequencies of the words are tracked by a running mean with decay
# 0.9, and now and then (here every 20 steps) a word that is used less than a tenth of its share
# becomes a copy of the most used one.

# %%
CODEBOOK = 16


def clusters(rng):
    """Means, training points and test points."""
    mu = rng.standard_normal((CODEBOOK, 8))
    points = [
        mu[rng.integers(0, CODEBOOK, 8000), :] + 0.5 * rng.standard_normal((8000, 8))
        for _ in range(2)
    ]
    return mu, *points


def reassign(params, frequency, adam):
    """Dead codewords become copies of the most used one."""
    source = np.where(frequency < 0.1 / CODEBOOK, np.argmax(frequency), np.arange(CODEBOOK))
    adam.reindex({"c": to_device(source)})
    return params | {"c": xp.take(params["c"], to_device(source), axis=0)}


# %%
def distortion_of_draw(p, y, gumbel):
    """Mean squared error of the drawn codewords."""
    q = gumbel_quantise(y[None, :, :], p | {"c": p["c"][None, :, :]}, gumbel)[0, :, :]
    return ad.mean(ad.sum((q - y) ** 2, axis=1))


def learn_codebook(x, rng, steps=600, batch=512):
    """Gumbel straight-through training: the codebook and the distortion on the way."""
    params = {"c": rng.normal(0, (2 / (5 * 8)) ** 0.5, (CODEBOOK, 8)), "log_tau": xp.zeros(1)}
    step = ad.value_and_grad(distortion_of_draw)
    adam, frequency, track = Adam(cosine_decay(3e-2, steps)), np.full(CODEBOOK, 1 / CODEBOOK), []
    for i in range(steps):
        y = xp.take(x, rng.integers(0, x.shape[0], batch), axis=0)
        _, gradient = step(params, y, rng.gumbel(size=(1, batch, CODEBOOK)))
        params = adam.step(params, gradient)
        index = xp.concat([k for _, k in nearest_word(y, params["c"])])
        track.append(float(xp.sum((y - xp.take(params["c"], index, axis=0)) ** 2)) / batch)
        counts = np.bincount(to_host(index), minlength=CODEBOOK)
        frequency = 0.9 * frequency + 0.1 * counts / batch
        if i % 20 == 19 and i < 0.7 * steps:
            params = reassign(params, frequency, adam)
    return params["c"], track


def mean_error(c, mu):
    """Root mean squared distance of codewords and means under the best matching."""
    squares = to_host(xp.sum((c[:, None, :] - mu[None, :, :]) ** 2, axis=2))
    return np.sqrt(np.mean(squares[linear_sum_assignment(squares)]))


# %%
rows, tracks, lloyd = [], [], []
for seed in progress(SEEDS, "codebooks"):
    rng = generator(seed)
    mu, x, tests = clusters(rng)
    c, track = learn_codebook(x, rng)
    best = mixture.k_means(x, CODEBOOK, n_init=5, seed=seed).centres
    index, squares = mixture.assign(tests, c)
    distortion, optimum = float(xp.mean(squares)), float(xp.mean(mixture.assign(tests, best)[1]))
    used = 100 * len(np.unique(to_host(index))) / CODEBOOK
    rows.append([f"seed {seed}", distortion, optimum, distortion / optimum, used,
                 mean_error(c, mu), mean_error(best, mu)])  # fmt: skip
    tracks.append(track)
    lloyd.append(optimum)
columns = ["data", "Gumbel: distortion", "Lloyd, best of 5: distortion", "ratio",
           "codewords used (%)", "Gumbel: error of means", "Lloyd: error of means"]  # fmt: skip
caption = "Held-out squared error of a sampled codebook and of k-means++ with Lloyd's iteration"
table(rows, columns, caption)

# %%
claims.check(
    "C5.a",
    "E5: held-out distortion of the Gumbel codebook over Lloyd's (best of 5), worst seed",
    measured=max(row[3] for row in rows),
    at_most=1.10,
    seeds=3,
)
claims.check(
    "C5.b",
    "E5: codewords used on held-out data, worst seed",
    measured=min(row[4] for row in rows),
    at_least=90,
    unit="%",
    seeds=3,
)

# %% tags=["hide-input"]
ends = [np.mean(track[-50:]) for track in tracks]
alt = f"""Distortion of the nearest codeword on each minibatch against the training step, one curve
for each of three seeds. All start near {tracks[0][0]:.1f}, fall steeply within the first hundred
steps and end between {min(ends):.2f} and {max(ends):.2f}, at the dashed lines of Lloyd's iteration."""
caption = """Training a codebook by sampling: distortion of minibatches (lines), and what Lloyd's
iteration reaches (dashed)."""
with figure(alt=alt, caption=caption, width=6.0, height=2.8) as ax:
    for seed, colour in zip(SEEDS, ("blue", "vermilion", "green"), strict=True):
        ax.semilogy(tracks[seed], color=PALETTE[colour], lw=0.8, label=f"seed {seed}")
        ax.axhline(lloyd[seed], color=PALETTE[colour], ls="--", lw=1)
    ax.set(xlabel="step", ylabel="distortion of the nearest word", yticks=(2, 3, 4, 6))
    ax.set_yticks((2, 3, 4, 6), labels=("2", "3", "4", "6"))
    ax.minorticks_off()
    ax.legend()

# %% [markdown]
# The sampled codebook comes within a few per cent of Lloyd's, with all words in use. The recipe was chosen on ten
# other seeds. Without Gumbel noise one word of the sixteen died on each that we tried, so
# the sampling does something. Without re-assignment but with the authors' narrow start nothing changed:
# here it is the start that prevents dead words.
#
# ### What a context model costs
#
# Codecs with a context model predict a site from neighbours that are already decoded. That saves
# bits, and it makes the decoder wait for one site before it can begin the next, which is what the
# paper avoids. To see the price we code the symbols of `china` at $\Delta=0.2$ once with U's static
# tables and once with a linear predictor from the left and the upper block, whose error is coded
# under a Cauchy distribution with a scale for each channel. As both ends must compute the very same
# prediction, its weights are multiples of 1/1024: then all sums are exact and do not depend on their
# order.

# %%
CAUCHY = stream.model.QuantizedCauchy(-1024, 1023)
COARSE = 0.2


def integers(y):
    """U's symbols of a latent map, as signed integers."""
    return np.rint(to_host(y[..., :d]) / COARSE)


def neighbours(q):
    """Integers of the left and of the upper site (zero outside): (h, w, 2 d)."""
    padded = np.pad(q, ((1, 0), (1, 0), (0, 0)))
    return np.concatenate([padded[1:, :-1], padded[:-1, 1:]], axis=2)


def cauchy_scales(error):
    """Maximum-likelihood scale of each column, among 24 values."""
    grid, bits = np.geomspace(0.02, 20, 24), []
    for s in grid:
        P = np.arctan((error + 0.5) / s) - np.arctan((error - 0.5) / s)
        bits.append(np.mean(-np.log2(np.maximum(P / np.pi, 2.0**-24)), axis=0))
    return grid[np.argmin(bits, axis=0)]


# %%
q_train = [integers(y) for y in maps]
F = np.concatenate([neighbours(q).reshape(-1, 2 * d) for q in q_train])
T = np.concatenate([q.reshape(-1, d) for q in q_train])
W = np.rint(1024 * np.linalg.solve(F.T @ F + 10 * np.eye(2 * d), F.T @ T)) / 1024
scales = {"static": cauchy_scales(T[::8]), "context": cauchy_scales((T - F @ W)[::8])}


def decode_context(code, sites, h, w):
    """Decode one group of sites after another; the neighbours of each must come before it."""
    coder, q = from_bytes(code), np.zeros((h + 1, w + 1, d))
    for i, j in sites:
        mean = q[i, j - 1] @ W[:d] + q[i - 1, j] @ W[d:]
        spread = np.broadcast_to(scales["context"], mean.shape).ravel()
        q[i, j] = coder.decode(CAUCHY, mean.ravel(), spread).reshape(mean.shape)
    return q[1:, 1:]


# %% [markdown]
# In reading order, each group is a single site. But the sites of an anti-diagonal do not need each
# other, and can be decoded together: this *wavefront* is what a fair opponent of static tables would
# do. We time three decoders: static tables, and the context in both orders. A fourth has no context
# but the Cauchy distributions, and tells the price of the context from that of distributions without
# a table.

# %%
def context_code(q, order):
    """The file of the context code, with the sites in this order."""
    mean = (neighbours(q) @ W).reshape(-1, d)[order]
    spread = np.broadcast_to(scales["context"], mean.shape).ravel()
    symbols = q.reshape(-1, d)[order].ravel()
    return to_bytes(push(AnsCoder(), [(symbols, CAUCHY, mean.ravel(), spread)]))


q = integers(latents["china"])
h, w = q.shape[:2]
i, j = (a.ravel() for a in np.indices((h, w)))
waves = [np.flatnonzero(i + j == t) for t in range(h + w - 1)]
reading, wave = np.arange(h * w), np.concatenate(waves)
univariate, zeros = Univariate(Y[:, :d], COARSE), np.zeros(q.size)
spread = np.broadcast_to(scales["static"], q.shape).ravel()
codes = [
    encode(latents["china"], univariate)[0],
    to_bytes(push(AnsCoder(), [(q.ravel(), CAUCHY, zeros, spread)])),
    context_code(q, wave),
    context_code(q, reading),
]

# %%
sites = [(a + 1, b + 1) for a in range(h) for b in range(w)]
fronts = [(i[t] + 1, j[t] + 1) for t in waves]
largest = univariate.largest
decoders = {
    "static tables": lambda c: np.stack(decode(c, univariate)[0], -1).reshape(q.shape) - largest,
    "static Cauchy": lambda c: from_bytes(c).decode(CAUCHY, zeros, spread).reshape(q.shape),
    "context, wavefront": lambda c: decode_context(c, fronts, h, w),
    "context, site by site": lambda c: decode_context(c, sites, h, w),
}
rows, seconds = [], {}
for (name, run), code in zip(decoders.items(), codes, strict=True):
    times = []
    for _ in range(5):
        started = process_time()
        decoded = run(code)
        times.append(process_time() - started)
    wrong, seconds[name] = int(np.sum(decoded != q)), min(times)
    rows.append([name, 8 * len(code) / pictures["china"].shape[0] / pictures["china"].shape[1],
                 wrong, 1e3 * min(times), min(times) / seconds["static tables"]])  # fmt: skip

# %%
columns = ["decoder", "bits per pixel", "wrong symbols", "time (ms)", "time over static tables"]
table(rows, columns, "Decoding the picture china (processor time, best of five)")
claims.check(
    "C6",
    "E6: time of the context decoder, site by site, over that of static tables",
    measured=seconds["context, site by site"] / seconds["static tables"],
    at_least=3,
    paper="3.18 (compression, GPU)",
)

# %% [markdown]
# The claim holds with a margin that says little. Its cause is visible in the order of the rows. A
# distribution that must be computed for each symbol, in place of a table, makes decoding
# slower without any context. With the wavefront the context comes at little further cost; only the
# strict order of single sites is dear again. The context saves a few per cent of the bits. All of this is an
# interpreter on one core: the
# factor says nothing about networks on a GPU, where waiting is far dearer than arithmetic.
#
# ## Verdict
#
# The information theory is exact: real files have the predicted length, and
# two parts cost $E[-\log_2\max_kr_k]$ more than the ideal code, no more and no less. Photographs have
# both of the claimed correlations, and a mixture prior turns them into files that are clearly
# shorter than with univariate tables on the same transform; most of this gain is there
# when the symbols are the same and only their probabilities differ. The rate formula holds, several codebooks
# save what they should, and static tables decode faster than a context. What this chapter could not
# see is the advantage of the full method: on a linear transform the cascade of codebooks stays behind
# scalar quantisation.
#
# The thresholds of C1, C4, C5 and C6 are ours and were set before anything was measured. For C2 and C3 the
# data have no seed; the seed, 1, is that of noise and starts, and channels and steps of EM were chosen with
# seed 0. Two parts of the recipe were improved after a first verdict, the choice of the component and the start
# of the codebooks.

# %%
claims.report()

# %% [markdown]
# ## What was not tested
#
# There is no deep convolutional network here, and no training for MS-SSIM: these need a large corpus
# of photographs and many GPU hours. The Kodak and CLIC curves and the comparison with other learned
# codecs are missing for the same reason, and so is the paper's gain in rate and distortion as such;
# C3 tests the claim about the prior, with other means. The 3.18-fold speed-up is a figure of a GPU
# against particular codecs; C6 tests only its cause. The mixture code here sends its index without
# regard to neighbours. Tables, codebooks, transform and mixture are part of the decoder and are not
# counted in the files, as in the paper. JPEG's file, in contrast, includes its tables.
#
# ## At paper scale
#
# With `GAUSSBOOK_SCALE=paper` the blocks are 16 × 16 pixels in colour, overlapping and mirrored for
# training, about a million of them. The cascade has the paper's geometry, $K=(8192,2048,512)$ with
# $M=2$ in 128 channels and $M=12$ in 192, hence 0.1274 and 0.7646 bits per pixel before entropy
# coding. The mixture has 512 components in 64 channels. The picture quality will be below the
# paper's, for want of the transform. Most of the work is the search of the nearest codeword and the
# E-step, both products of large matrices. This scale has not been run yet; when it has, the numbers
# will stand here with the device and the date.
