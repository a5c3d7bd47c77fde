"""Rows against what is compiled for the machine: JAX, OTT-JAX, tinygp, faiss and scikit-learn.

Every peer is compiled and warmed up before it is timed.  JAX gets one thread, as all others do.
"""

from __future__ import annotations

import warnings

import numpy as np

from benchmarks.cpu import Prepared, Row, agree, clustered, start_of_em
from benchmarks.limits import Demand
from benchmarks.transport import sinkhorn_demand
from gaussbook import density, transport
from gaussbook.gp import covariances
from gaussbook.gp.statespace import StateSpaceRegressor
from gaussbook.mixture import GaussianMixture, k_means


def _jax():
    """Return JAX in double precision."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


def _em() -> Prepared:
    jax = _jax()
    import jax.numpy as jnp

    n, d, K, steps, block = 200_000, 16, 16, 10, 2_000
    X = clustered(n, d, K)
    start = start_of_em(X, K, steps)

    def of_block(sums, rows, log_weights, means, factors, half_log_det):
        z = jnp.einsum("kij,nkj->nki", factors, rows[:, None, :] - means)
        joint = log_weights + half_log_det - 0.5 * jnp.sum(z * z, axis=2)
        total = jax.scipy.special.logsumexp(joint, axis=1)
        r = jnp.exp(joint - total[:, None])
        products = jnp.einsum("nk,ni,nj->kij", r, rows, rows, optimize="optimal")
        parts = jnp.sum(total), jnp.sum(r, axis=0), r.T @ rows, products
        return tuple(a + b for a, b in zip(sums, parts, strict=True)), None

    def step(state, blocks):
        log_weights, means, covariances_ = state
        L = jnp.linalg.cholesky(covariances_)
        inverse = jax.scipy.linalg.solve_triangular(
            L, jnp.broadcast_to(jnp.eye(d), L.shape), lower=True
        )
        half_log_det = jnp.sum(jnp.log(jnp.diagonal(inverse, axis1=1, axis2=2)), axis=1)
        half_log_det = half_log_det - 0.5 * d * jnp.log(2 * jnp.pi)
        zeros = 0.0, jnp.zeros(K), jnp.zeros((K, d)), jnp.zeros((K, d, d))
        (bound, weights, sums, products), _ = jax.lax.scan(
            lambda s, rows: of_block(s, rows, log_weights, means, inverse, half_log_det),
            zeros,
            blocks,
        )
        means = sums / weights[:, None]
        centred = products / weights[:, None, None] - means[:, :, None] * means[:, None, :]
        state = jnp.log(weights / n), means, centred + 1e-6 * jnp.eye(d)
        return state, bound / n

    @jax.jit
    def run(blocks):
        state = jnp.full(K, -jnp.log(K)), blocks[0, :K], jnp.tile(jnp.eye(d), (K, 1, 1))
        _, bounds = jax.lax.scan(lambda s, _: step(s, blocks), state, None, length=steps)
        return bounds[-1]

    blocks = jnp.asarray(X.reshape(-1, block, d))

    def ours():
        return GaussianMixture(**start).fit(X).lower_bound_

    return ours, lambda: float(run(blocks)), agree(1e-6)


def _k_means(peer_name: str):
    def prepare() -> Prepared:
        n, d, K, steps = 200_000, 16, 64, 10
        X = clustered(n, d, K).astype(np.float32)
        start = X[:K].copy()

        def ours():
            return k_means(X, K, init=start, max_iter=steps, tol=0.0).inertia

        def scikit_learn():
            from sklearn.cluster import KMeans
            from sklearn.exceptions import ConvergenceWarning

            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                rule = {"n_init": 1, "max_iter": steps, "tol": 0.0, "algorithm": "lloyd"}
                return KMeans(K, init=start, **rule).fit(X).inertia_

        def with_faiss():
            import faiss

            faiss.omp_set_num_threads(1)
            clustering = faiss.Clustering(d, K)
            clustering.niter, clustering.max_points_per_centroid = steps, n
            faiss.copy_array_to_vector(start.ravel(), clustering.centroids)
            index = faiss.IndexFlatL2(d)
            clustering.train(X, index)
            return float(np.sum(index.search(X, 1)[0]))

        peer = {"scikit-learn": scikit_learn, "faiss": with_faiss}[peer_name]
        peer()  # an import error belongs to the row, not to its timing
        return ours, peer, agree(1e-3)

    return prepare


def _sinkhorn() -> Prepared:
    jax = _jax()
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2000, 3)), 0.5 + 0.7 * rng.standard_normal((2000, 3))
    M = transport.cost_matrix(x, y)
    M /= M.max()
    a, b = rng.dirichlet(np.ones(2000)), rng.dirichlet(np.ones(2000))
    reg, tolerance = 0.01, 1e-6

    def ours():
        return transport.sinkhorn(a, b, M, reg, tol=tolerance)

    @jax.jit
    def solve(cost, a, b):
        problem = linear_problem.LinearProblem(
            geometry.Geometry(cost_matrix=cost, epsilon=reg), a=a, b=b
        )
        # Its threshold is the sum, ours the Euclidean norm, of the same marginals' errors.
        rule = {"threshold": tolerance * 10, "max_iterations": 10_000, "lse_mode": True}
        return jnp.sum(sinkhorn.Sinkhorn(**rule)(problem).matrix * cost)

    arguments = jnp.asarray(M), jnp.asarray(a), jnp.asarray(b)

    def check(result: transport.SinkhornResult, cost: float) -> None:
        np.testing.assert_allclose(result.cost, cost, rtol=1e-4)

    return ours, lambda: float(solve(*arguments)), check


def _line() -> Prepared:
    jax = _jax()
    import jax.numpy as jnp
    from tinygp import GaussianProcess
    from tinygp.kernels import quasisep

    rng = np.random.default_rng(0)
    t = np.sort(rng.uniform(0, 1000, 100_000))
    y = np.sin(t) + 0.3 * rng.standard_normal(len(t))

    def ours():
        model = StateSpaceRegressor(covariances.Matern52(1.0, 1.5), 0.09)
        return model.fit(t, y).log_marginal_likelihood_

    @jax.jit
    def likelihood(t, y):
        return GaussianProcess(quasisep.Matern52(1.5), t, diag=0.09).log_probability(y)

    return ours, lambda: float(likelihood(jnp.asarray(t), jnp.asarray(y))), agree(1e-8)


def _density() -> Prepared:
    jax = _jax()
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    data, x = rng.standard_normal((100_000, 8)), rng.standard_normal((2_000, 8))
    h = 0.5

    @jax.jit
    def peer(x, data):
        def of_block(carry, rows):
            squares = jnp.sum(x * x, axis=1)[:, None] + jnp.sum(rows * rows, axis=1)
            exponents = -0.5 / h**2 * (squares - 2 * x @ rows.T)
            return jnp.logaddexp(carry, jax.scipy.special.logsumexp(exponents, axis=1)), None

        start = jnp.full(x.shape[0], -jnp.inf)
        total, _ = jax.lax.scan(of_block, start, data.reshape(-1, 1000, data.shape[1]))
        return total - jnp.log(data.shape[0]) - data.shape[1] * jnp.log(h * jnp.sqrt(2 * jnp.pi))

    on_device = jnp.asarray(x), jnp.asarray(data)
    works = (lambda: density.log_density(x, data, h), lambda: np.asarray(peer(*on_device)))
    return *works, agree(1e-8)


_BOUNDS = (
    "all multiply in single precision; ours knows what a square can be off by, decides in double "
    "precision where that leaves the nearest centre open, and skips the points whose centre cannot "
    "have changed; its bounds and minima are passes of their own, where the peers look at squares "
    "in the loop that multiplies"
)
# The bounds leave half of the pairs, and every step sums all points.
_K_MEANS = Demand(flops=5 * 2 * 200_000 * 16 * 64, moved=10 * 200_000 * 16 * 8, dtype=np.float32)
ROWS = (
    Row(
        "EM, full, n=200 000 d=16 K=16, 10 steps",
        "JAX, compiled",
        2.5,
        _em,
        "blocks of 2 000 rows; the share of the limit says how much faster ours could be at most; "
        "the rest of its time goes to exponentials, sums and passes between the products",
        demand=Demand(flops=10 * 4 * 200_000 * 16 * 16**2, exps=10 * 200_000 * 16),
    ),
    Row(
        "k-means, 200 000 x 16 float32, K=64, 10 steps",
        "scikit-learn",
        1.2,
        _k_means("scikit-learn"),
        _BOUNDS,
        demand=_K_MEANS,
    ),
    Row(
        "k-means, 200 000 x 16 float32, K=64, 10 steps",
        "faiss",
        0.8,
        _k_means("faiss"),
        _BOUNDS,
        demand=_K_MEANS,
    ),
    Row(
        "Sinkhorn, 2 000 x 2 000, to marginal error 1e-6",
        "OTT-JAX",
        3.0,
        _sinkhorn,
        "the peer's threshold is the sum of the marginals' errors, ours their Euclidean norm; "
        "it is set ten times as wide; our iteration reads the kernel twice, the limit once",
        demand=sinkhorn_demand,
    ),
    Row(
        "Matérn-5/2 likelihood on a line, n=100 000",
        "tinygp, compiled",
        1.0,
        _line,
        "ours is a scan of array operations in blocks, the peer a compiled loop over the points",
    ),
    Row(
        "KDE log-density, n=100 000 m=2 000 d=8",
        "JAX, compiled",
        1.0,
        _density,
        "the peer expands the squares, which is less exact for near points far from the origin, "
        "and brings its own exponential",
        demand=Demand(flops=2 * 8 * 200_000_000, exps=200_000_000),
    ),
)
