// Responsibilities of a Gaussian mixture in one pass over the points:
//
//   a_k = constants_k - |P_k^T (x - mu_k)|^2 / 2,   L = log sum_k exp(a_k),   r_k = exp(a_k - L).
//
// A group of `lanes` neighbouring threads (a power of two, at most 32) shares POINTS points; each
// thread takes every lanes-th component.  The parameters have the component as their last axis, so
// that a group reads them, and writes the responsibilities, side by side.  A thread keeps several
// points (and, for full covariances, several columns of P) in registers: a parameter that has been
// fetched is used POINTS times, a coordinate COLUMNS times.

#define POINTS 4
#define COLUMNS 4
#define WHOLE_WARP 0xffffffffu

// squares[p] = sum_j ((x_pj - mean_j) factor_j)^2 with factor_j = 1 / sigma_j
template <typename T>
__device__ void diagonal_squares(const T* const* points, const T* means, const T* factors, int d,
                                 int n_components, T* squares) {
    for (int j = 0; j < d; ++j) {
        const T mean = means[j * n_components], factor = factors[j * n_components];
#pragma unroll
        for (int p = 0; p < POINTS; ++p) {
            const T white = (points[p][j] - mean) * factor;
            squares[p] += white * white;
        }
    }
}

// squares[p] = sum_j (sum_{i <= j} (x_pi - mean_i) P_ij)^2 with P upper triangular
template <typename T>
__device__ void full_squares(const T* const* points, const T* means, const T* factors, int d,
                             int n_components, T* squares) {
    for (int j = 0; j < d; j += COLUMNS) {
        T white[COLUMNS][POINTS] = {};
        const int rows = j + COLUMNS < d ? j + COLUMNS : d;
        for (int i = 0; i < rows; ++i) {
            const T mean = means[i * n_components];
            T difference[POINTS];
#pragma unroll
            for (int p = 0; p < POINTS; ++p) difference[p] = points[p][i] - mean;
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) {
                if (j + c >= d || i > j + c) continue;
                const T factor = factors[(long long)(i * d + j + c) * n_components];
#pragma unroll
                for (int p = 0; p < POINTS; ++p) white[c][p] += difference[p] * factor;
            }
        }
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c)
#pragma unroll
            for (int p = 0; p < POINTS; ++p) squares[p] += white[c][p] * white[c][p];
    }
}

template <typename T, bool FULL>
__device__ void posterior(const T* x, const T* constants, const T* means, const T* factors,
                          T* log_likelihood, T* responsibilities, long long n, int d,
                          int n_components, int lanes) {
    const T minus_infinity = T(__int_as_float(0xff800000));
    const int lane = threadIdx.x % lanes;
    const long long first =
        (blockIdx.x * (long long)blockDim.x + threadIdx.x) / lanes * POINTS;
    // No thread leaves early, because all take part in the shuffles: those past the end repeat the
    // last point and write nothing.
    const T* points[POINTS];
    T largest[POINTS], total[POINTS];
#pragma unroll
    for (int p = 0; p < POINTS; ++p) {
        points[p] = x + (first + p < n ? first + p : n - 1) * d;
        largest[p] = minus_infinity;
        total[p] = 0;
    }
    for (int k = lane; k < n_components; k += lanes) {
        T squares[POINTS] = {};
        if (FULL)
            full_squares(points, means + k, factors + k, d, n_components, squares);
        else
            diagonal_squares(points, means + k, factors + k, d, n_components, squares);
#pragma unroll
        for (int p = 0; p < POINTS; ++p) {
            const T value = constants[k] - squares[p] / 2;
            if (first + p < n) responsibilities[(first + p) * n_components + k] = value;
            if (value > largest[p]) {
                total[p] = total[p] * exp(largest[p] - value) + 1;
                largest[p] = value;
            } else if (value > minus_infinity) {
                total[p] += exp(value - largest[p]);
            }
        }
    }
#pragma unroll
    for (int p = 0; p < POINTS; ++p) {
        T top = largest[p];
        for (int step = lanes / 2; step > 0; step /= 2) {
            const T other = __shfl_xor_sync(WHOLE_WARP, top, step);
            top = other > top ? other : top;
        }
        T sum = total[p] * exp(largest[p] - top);
        for (int step = lanes / 2; step > 0; step /= 2)
            sum += __shfl_xor_sync(WHOLE_WARP, sum, step);
        if (first + p >= n) continue;  // not `return`: the next point's shuffles need every thread
        if (lane == 0) log_likelihood[first + p] = top + log(sum);
        T* row = responsibilities + (first + p) * n_components;
        for (int k = lane; k < n_components; k += lanes) row[k] = exp(row[k] - top) / sum;
    }
}

#define POSTERIOR(NAME, T, FULL)                                                                  \
    extern "C" __global__ void NAME(const T* x, const T* constants, const T* means,               \
                                    const T* factors, T* log_likelihood, T* responsibilities,     \
                                    long long n, int d, int n_components, int lanes) {            \
        posterior<T, FULL>(x, constants, means, factors, log_likelihood, responsibilities, n, d,  \
                           n_components, lanes);                                                  \
    }

POSTERIOR(posterior_diagonal_float32, float, false)
POSTERIOR(posterior_diagonal_float64, double, false)
POSTERIOR(posterior_full_float32, float, true)
POSTERIOR(posterior_full_float64, double, true)
