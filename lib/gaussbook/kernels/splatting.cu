// 3D Gaussian splatting in tiles of 16 x 16 pixels, in single precision.
//
// project, project_pullback: one thread a Gaussian, from the scene to the image and back.
// emit_keys: tile << 32 | rank in depth for each tile that a Gaussian touches; sorted, the keys of
// a tile stand together, nearest first.  tile_ranges: where each tile's keys start and end.
// blend_*, blend_pullback_*: one block a tile, one thread a pixel; Gaussians come through shared
// memory in batches.  The alpha models are plug-ins: a record of RECORD numbers for each Gaussian,
// opacity from it, and the SUMS sums over pixels of which the gradients are made.

#define TILE 16
#define BATCH (TILE * TILE)
#define RECORD 5
#define SUMS 6
#define WHOLE_WARP 0xffffffffu

struct View {
    float R[9], t[3], fx, fy, cx, cy, limit_x, limit_y, near;
};

// Everything about one Gaussian that both directions need.
struct Geometry {
    float q[4], length, R[3][3], s[3], t[3], z, slope[2], T[2][3], U[2][3];
    bool inside[2];
};

__device__ void load_view(const float* numbers, View& view) {
    float* fields = (float*)&view;
    for (int i = 0; i < 19; ++i) fields[i] = numbers[i];
}

__device__ void rotation(const float* q, float R[3][3]) {
    const float w = q[0], x = q[1], y = q[2], z = q[3];
    R[0][0] = 1 - 2 * (y * y + z * z), R[0][1] = 2 * (x * y - w * z), R[0][2] = 2 * (x * z + w * y);
    R[1][0] = 2 * (x * y + w * z), R[1][1] = 1 - 2 * (x * x + z * z), R[1][2] = 2 * (y * z - w * x);
    R[2][0] = 2 * (x * z - w * y), R[2][1] = 2 * (y * z + w * x), R[2][2] = 1 - 2 * (x * x + y * y);
}

__device__ void geometry(const float* mean, const float* log_scale, const float* quaternion,
                         const View& view, Geometry& g) {
    g.length = 0;
    for (int k = 0; k < 4; ++k) g.length += quaternion[k] * quaternion[k];
    g.length = sqrtf(g.length);
    for (int k = 0; k < 4; ++k) g.q[k] = quaternion[k] / g.length;
    rotation(g.q, g.R);
    for (int k = 0; k < 3; ++k) {
        g.s[k] = expf(log_scale[k]);
        g.t[k] = view.t[k];
        for (int j = 0; j < 3; ++j) g.t[k] += view.R[3 * k + j] * mean[j];
    }
    g.z = g.t[2] > view.near ? g.t[2] : 1;
    const float focal[2] = {view.fx, view.fy}, limit[2] = {view.limit_x, view.limit_y};
    for (int i = 0; i < 2; ++i) {
        const float raw = g.t[i] / g.z;
        g.inside[i] = fabsf(raw) <= limit[i];
        g.slope[i] = g.inside[i] ? raw : copysignf(limit[i], raw);
        for (int j = 0; j < 3; ++j)
            g.T[i][j] = focal[i] / g.z * (view.R[3 * i + j] - g.slope[i] * view.R[6 + j]);
    }
    for (int i = 0; i < 2; ++i)
        for (int k = 0; k < 3; ++k) {
            g.U[i][k] = 0;
            for (int j = 0; j < 3; ++j) g.U[i][k] += g.T[i][j] * g.R[j][k];
            g.U[i][k] *= g.s[k];
        }
}

extern "C" __global__ void project(const float* means, const float* log_scales,
                                   const float* quaternions, const float* camera, float* points,
                                   float* covariances, float* depths, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    View view;
    load_view(camera, view);
    Geometry g;
    geometry(means + 3 * i, log_scales + 3 * i, quaternions + 4 * i, view, g);
    points[2 * i] = view.fx * g.t[0] / g.z + view.cx;
    points[2 * i + 1] = view.fy * g.t[1] / g.z + view.cy;
    depths[i] = g.t[2];
    float* covariance = covariances + 3 * i;
    covariance[0] = covariance[1] = covariance[2] = 0;
    for (int k = 0; k < 3; ++k) {
        covariance[0] += g.U[0][k] * g.U[0][k];
        covariance[1] += g.U[0][k] * g.U[1][k];
        covariance[2] += g.U[1][k] * g.U[1][k];
    }
}

// (I - q q^T) dL/dq / |q| for G = dL/dR
__device__ void rotation_pullback(const Geometry& g, const float G[3][3], float* result) {
    const float w = g.q[0], x = g.q[1], y = g.q[2], z = g.q[3];
    const float s01 = G[0][1] + G[1][0], s02 = G[0][2] + G[2][0], s12 = G[1][2] + G[2][1];
    const float a10 = G[1][0] - G[0][1], a02 = G[0][2] - G[2][0], a21 = G[2][1] - G[1][2];
    const float d[4] = {2 * (z * a10 + y * a02 + x * a21),
                        2 * (y * s01 + z * s02 + w * a21) - 4 * x * (G[1][1] + G[2][2]),
                        2 * (x * s01 + z * s12 + w * a02) - 4 * y * (G[0][0] + G[2][2]),
                        2 * (x * s02 + y * s12 + w * a10) - 4 * z * (G[0][0] + G[1][1])};
    float along = 0;
    for (int k = 0; k < 4; ++k) along += d[k] * g.q[k];
    for (int k = 0; k < 4; ++k) result[k] = (d[k] - along * g.q[k]) / g.length;
}

extern "C" __global__ void project_pullback(
    const float* means, const float* log_scales, const float* quaternions, const float* camera,
    const float* grad_points, const float* grad_covariances, const float* grad_depths,
    const float* grad_rotations, float* grad_means, float* grad_log_scales,
    float* grad_quaternions, int n, int with_rotations) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    View view;
    load_view(camera, view);
    Geometry g;
    geometry(means + 3 * i, log_scales + 3 * i, quaternions + 4 * i, view, g);
    const float* gc = grad_covariances + 3 * i;
    float G_U[2][3], G_M[3][3], G_R[3][3];
    for (int k = 0; k < 3; ++k) {
        G_U[0][k] = 2 * gc[0] * g.U[0][k] + gc[1] * g.U[1][k];
        G_U[1][k] = gc[1] * g.U[0][k] + 2 * gc[2] * g.U[1][k];
    }
    for (int j = 0; j < 3; ++j)
        for (int k = 0; k < 3; ++k) {
            G_M[j][k] = g.T[0][j] * G_U[0][k] + g.T[1][j] * G_U[1][k];
            G_R[j][k] = G_M[j][k] * g.s[k];
            if (with_rotations) G_R[j][k] += grad_rotations[9 * i + 3 * j + k];
        }
    for (int k = 0; k < 3; ++k) {
        float sum = 0;
        for (int j = 0; j < 3; ++j) sum += g.R[j][k] * G_M[j][k];
        grad_log_scales[3 * i + k] = g.s[k] * sum;
    }
    rotation_pullback(g, G_R, grad_quaternions + 4 * i);

    const float focal[2] = {view.fx, view.fy};
    float grad_t[3] = {0, 0, grad_depths[i]};
    for (int a = 0; a < 2; ++a) {
        float G_T[3];  // row a of G_U M^T
        for (int j = 0; j < 3; ++j) {
            G_T[j] = 0;
            for (int k = 0; k < 3; ++k) G_T[j] += G_U[a][k] * g.R[j][k] * g.s[k];
        }
        float diagonal = 0, last = 0;
        for (int j = 0; j < 3; ++j) {
            diagonal += G_T[j] * view.R[3 * a + j];
            last += G_T[j] * view.R[6 + j];
        }
        const float unit = focal[a] / g.z, gp = grad_points[2 * i + a];
        grad_t[a] = unit * (gp - (g.inside[a] ? last / g.z : 0));
        grad_t[2] -= unit / g.z * (g.t[a] * gp + diagonal);
        grad_t[2] += (g.inside[a] ? 2 : 1) * g.slope[a] * last * unit / g.z;
    }
    for (int j = 0; j < 3; ++j) {
        float sum = 0;
        for (int k = 0; k < 3; ++k) sum += view.R[3 * k + j] * grad_t[k];
        grad_means[3 * i + j] = sum;
    }
}

extern "C" __global__ void emit_keys(const int* boxes, const long long* offsets, long long* keys,
                                     int n, int tiles_x) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const int *box = boxes + 4 * i, width = box[1], height = box[3];
    long long* key = keys + offsets[i];
    for (int y = box[2]; y < box[2] + height; ++y)
        for (int x = box[0]; x < box[0] + width; ++x)
            *key++ = (long long)(y * tiles_x + x) << 32 | i;
}

// `ranges` holds zeros: tiles without keys are left alone.
extern "C" __global__ void tile_ranges(const long long* keys, int* ranges, long long n) {
    const long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= n) return;
    const int tile = (int)(keys[k] >> 32);
    if (k == 0 || (int)(keys[k - 1] >> 32) != tile) ranges[2 * tile] = (int)k;
    if (k == n - 1 || (int)(keys[k + 1] >> 32) != tile) ranges[2 * tile + 1] = (int)(k + 1);
}

// o exp(-d^T Q d / 2); record: Q_xx, Q_xy, Q_yy, o
struct Point {
    static __device__ float alpha(const float* r, float dx, float dy) {
        return r[3] * expf(-0.5f * (r[0] * dx * dx + r[2] * dy * dy) - r[1] * dx * dy);
    }
    static __device__ void sums(const float* r, float dx, float dy, float alpha, float gamma,
                                float* s) {
        const float h = alpha * gamma;
        s[0] = h, s[1] = h * dx, s[2] = h * dx * dx;
        s[3] = h * dy, s[4] = h * dx * dy, s[5] = h * dy * dy;
    }
};

// o times the integral over the pixel's window, turned into the eigenframe;
// record: cos, sin, sigma_1, sigma_2, o
struct Analytic {
    static __device__ float half_tanh(float x) { return 0.5f * tanhf(x * (0.8f + 0.035f * x * x)); }
    static __device__ float density(float x, float h) {  // S', from h = S - 1/2
        return (1.6f + 0.21f * x * x) * (0.25f - h * h);
    }
    static __device__ float alpha(const float* r, float dx, float dy) {
        const float u = r[0] * dx + r[1] * dy, v = r[0] * dy - r[1] * dx;
        const float a = half_tanh((u + 0.5f) / r[2]) - half_tanh((u - 0.5f) / r[2]);
        const float b = half_tanh((v + 0.5f) / r[3]) - half_tanh((v - 0.5f) / r[3]);
        return 6.2831853f * r[4] * r[2] * r[3] * a * b;
    }
    static __device__ void sums(const float* r, float dx, float dy, float alpha, float gamma,
                                float* s) {
        const float u = r[0] * dx + r[1] * dy, v = r[0] * dy - r[1] * dx;
        const float right = (u + 0.5f) / r[2], left = (u - 0.5f) / r[2];
        const float top = (v + 0.5f) / r[3], bottom = (v - 0.5f) / r[3];
        const float hr = half_tanh(right), hl = half_tanh(left);
        const float ht = half_tanh(top), hb = half_tanh(bottom);
        const float sr = density(right, hr), sl = density(left, hl);
        const float st = density(top, ht), sb = density(bottom, hb);
        const float scale = 6.2831853f * r[4];
        s[0] = gamma * (ht - hb) * (sr - sl);
        s[1] = gamma * (hr - hl) * (st - sb);
        s[2] = gamma * (ht - hb) * (hr - hl - right * sr + left * sl);
        s[3] = gamma * (hr - hl) * (ht - hb - top * st + bottom * sb);
        s[4] = scale * (v * s[0] * r[3] - u * s[1] * r[2]);
        s[5] = gamma * alpha;
    }
};

// Thread t of the block brings the Gaussian of key `k` to place t of the shared arrays.
template <int CHANNELS>
__device__ void fetch(long long key, const float* records, const float* channels, int* ids,
                      float* shared_records, float* shared_channels) {
    const int t = threadIdx.y * TILE + threadIdx.x, id = (int)(key & 0xffffffffll);
    ids[t] = id;
    for (int c = 0; c < RECORD + 2; ++c)
        shared_records[t * (RECORD + 2) + c] = records[(long long)id * (RECORD + 2) + c];
    for (int c = 0; c < CHANNELS; ++c)
        shared_channels[t * CHANNELS + c] = channels[(long long)id * CHANNELS + c];
}

template <class Model, int CHANNELS>
__device__ void blend(const long long* keys, const int* ranges, const float* records,
                      const float* channels, const float* background, float* image, float* left,
                      int* last, int width, int height, float cutoff, float largest, float stop) {
    __shared__ int ids[BATCH];
    __shared__ float shared_records[BATCH * (RECORD + 2)];
    __shared__ float shared_channels[BATCH * CHANNELS];
    const int t = threadIdx.y * TILE + threadIdx.x;
    const int column = blockIdx.x * TILE + threadIdx.x, row = blockIdx.y * TILE + threadIdx.y;
    const bool on_image = column < width && row < height;
    const int* range = ranges + 2 * (blockIdx.y * gridDim.x + blockIdx.x);
    const int first = range[0], end = range[1];
    float sum[CHANNELS] = {}, T = 1;
    int blended = 0;  // keys up to the last that this pixel has blended
    bool done = !on_image;
    for (int start = first; start < end; start += BATCH) {
        if (__syncthreads_count(done) == BATCH) break;
        if (start + t < end)
            fetch<CHANNELS>(keys[start + t], records, channels, ids, shared_records,
                            shared_channels);
        __syncthreads();
        const int count = min(BATCH, end - start);
        for (int k = 0; k < count && !done; ++k) {
            const float* r = shared_records + k * (RECORD + 2);
            const float raw = Model::alpha(r + 2, column + 0.5f - r[0], row + 0.5f - r[1]);
            if (!(raw >= cutoff)) continue;
            const float alpha = fminf(raw, largest), next = T * (1 - alpha);
            if (next < stop) {
                done = true;
                break;
            }
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c)
                sum[c] += alpha * T * shared_channels[k * CHANNELS + c];
            T = next;
            blended = start + k + 1 - first;
        }
    }
    if (!on_image) return;
    const long long pixel = (long long)row * width + column;
    for (int c = 0; c < CHANNELS; ++c) image[pixel * CHANNELS + c] = sum[c] + T * background[c];
    left[pixel] = T;
    last[pixel] = blended;
}

// Sum over the warp; its first thread adds the sum to `target`.
__device__ void add_warp(float value, float* target) {
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(WHOLE_WARP, value, step);
    if ((threadIdx.y * TILE + threadIdx.x) % 32 == 0 && value != 0) atomicAdd(target, value);
}

template <class Model, int CHANNELS>
__device__ void blend_pullback(const long long* keys, const int* ranges, const float* records,
                               const float* channels, const float* background, const float* left,
                               const int* last, const float* grad, float* grad_sums,
                               float* grad_channels, int width, int height, float cutoff,
                               float largest) {
    __shared__ int ids[BATCH];
    __shared__ float shared_records[BATCH * (RECORD + 2)];
    __shared__ float shared_channels[BATCH * CHANNELS];
    __shared__ int deepest;
    const int t = threadIdx.y * TILE + threadIdx.x;
    const int column = blockIdx.x * TILE + threadIdx.x, row = blockIdx.y * TILE + threadIdx.y;
    const bool on_image = column < width && row < height;
    const long long pixel = (long long)row * width + column;
    const int first = ranges[2 * (blockIdx.y * gridDim.x + blockIdx.x)];
    const int blended = on_image ? last[pixel] : 0;
    float g[CHANNELS], T = on_image ? left[pixel] : 1, suffix = 0;  // of g.c alpha T behind
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
        g[c] = on_image ? grad[pixel * CHANNELS + c] : 0;
        suffix += g[c] * T * background[c];
    }
    if (t == 0) deepest = 0;
    __syncthreads();
    atomicMax(&deepest, blended);
    __syncthreads();
    for (int end = deepest; end > 0; end -= BATCH) {
        __syncthreads();
        if (t < end)
            fetch<CHANNELS>(keys[first + end - 1 - t], records, channels, ids, shared_records,
                            shared_channels);
        __syncthreads();
        for (int k = 0; k < min(BATCH, end); ++k) {
            const float* r = shared_records + k * (RECORD + 2);
            const float dx = column + 0.5f - r[0], dy = row + 0.5f - r[1];
            const float raw = end - k <= blended ? Model::alpha(r + 2, dx, dy) : 0;
            const bool active = end - k <= blended && raw >= cutoff;
            if (!__any_sync(WHOLE_WARP, active)) continue;
            float sums[SUMS] = {}, weight = 0;
            if (active) {
                const float alpha = fminf(raw, largest), rest = 1 / (1 - alpha);
                float e = 0;
#pragma unroll
                for (int c = 0; c < CHANNELS; ++c) e += g[c] * shared_channels[k * CHANNELS + c];
                T *= rest;
                weight = alpha * T;
                if (raw < largest)
                    Model::sums(r + 2, dx, dy, raw, T * e - suffix * rest, sums);
                suffix += e * weight;
            }
            for (int s = 0; s < SUMS; ++s)
                add_warp(sums[s], grad_sums + (long long)ids[k] * SUMS + s);
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c)
                add_warp(weight * g[c], grad_channels + (long long)ids[k] * CHANNELS + c);
        }
    }
}

#define BLEND(NAME, MODEL, CHANNELS)                                                              \
    extern "C" __global__ void __launch_bounds__(256) blend_##NAME(                               \
        const long long* keys, const int* ranges, const float* records, const float* channels,    \
        const float* background, float* image, float* left, int* last, int width, int height,     \
        float cutoff, float largest, float stop) {                                                \
        blend<MODEL, CHANNELS>(keys, ranges, records, channels, background, image, left, last,    \
                               width, height, cutoff, largest, stop);                             \
    }                                                                                             \
    extern "C" __global__ void __launch_bounds__(256) blend_pullback_##NAME(                      \
        const long long* keys, const int* ranges, const float* records, const float* channels,    \
        const float* background, const float* left, const int* last, const float* grad,           \
        float* grad_sums, float* grad_channels, int width, int height, float cutoff,              \
        float largest) {                                                                          \
        blend_pullback<MODEL, CHANNELS>(keys, ranges, records, channels, background, left, last,  \
                                        grad, grad_sums, grad_channels, width, height, cutoff,    \
                                        largest);                                                 \
    }

BLEND(point_5, Point, 5)
BLEND(point_8, Point, 8)
BLEND(point_16, Point, 16)
BLEND(analytic_5, Analytic, 5)
BLEND(analytic_8, Analytic, 8)
BLEND(analytic_16, Analytic, 16)
