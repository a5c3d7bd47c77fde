"""The host's stand-in for CUDA itself: barriers, shuffles, shared memory, and what it refuses."""

import numpy as np
import pytest

host_cuda = pytest.importorskip("host_cuda")

CODE = """
template <typename T> __device__ T square(T x) { return x * x; }

extern "C" __global__ void sum_of_squares(const double* x, double* result, int n) {
    __shared__ double partial[128];
    extern __shared__ double copy[];
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    partial[threadIdx.x] = i < n ? square(x[i]) : 0;
    for (int step = blockDim.x / 2; step > 0; step /= 2) {
        __syncthreads();
        if (threadIdx.x < step) partial[threadIdx.x] += partial[threadIdx.x + step];
    }
    copy[threadIdx.x] = partial[threadIdx.x];
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1) atomicAdd(result, copy[0]);
}

extern "C" __global__ void forgets_the_barrier(float* result) {
    __shared__ float value;
    if (threadIdx.x == 0) value = 1;
    result[threadIdx.x] = value;
}

extern "C" __global__ void leaves_a_barrier_out(float* result) {
    if (threadIdx.x % 32 < 5) __syncwarp();
    else __syncthreads();
    result[0] = 1;
}

extern "C" __global__ void some_threads_leave_early(int* result) {
    if (threadIdx.x % 3 == 0) return;
    const int others = __syncthreads_count(1);
    __syncthreads();
    result[threadIdx.x] = others;
}

extern "C" __global__ void warp(int* result) {
    const int t = threadIdx.x;
    int* row = result + 6 * t;
    row[0] = __shfl_sync(~0u, t, 3);
    row[1] = __shfl_up_sync(~0u, t, 2);
    row[2] = __shfl_down_sync(~0u, t, 4, 8);
    row[3] = __shfl_xor_sync(~0u, t, 5);
    row[4] = __ballot_sync(~0u, t % 2);
    row[5] = t % 32 < 16 ? __shfl_sync(0x0000ffffu, t, 1) : __any_sync(0xffff0000u, t == 60);
}

extern "C" __global__ void grid(int* result) {
    const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const int threads = blockDim.x * blockDim.y * blockDim.z;
    result[block * threads + thread] = atomicMax(result, 1000 * block + thread);
}
"""


@pytest.fixture(scope="module")
def module(host_module):
    return host_cuda.HostModule(CODE)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [1, 127, 1000])
def test_block_reduction(module, n, reverse):
    x, result = np.random.default_rng(0).normal(size=n), np.zeros(1)
    module.launch(
        "sum_of_squares", (-(-n // 128),), (128,), (x, result, np.int32(n)),
        shared=128 * 8, reverse=reverse,
    )  # fmt: skip
    assert result[0] == pytest.approx((x**2).sum(), rel=1e-14)


def test_a_forgotten_barrier_shows(module):
    result = np.zeros(32, np.float32)
    module.launch("forgets_the_barrier", (1,), (32,), (result,))
    assert np.all(result == 1)  # by luck of the order
    module.launch("forgets_the_barrier", (2,), (32,), (result,), reverse=True)
    assert np.all(np.isnan(result[1:]))  # shared memory does not survive the block


def test_a_barrier_that_is_not_reached(module):
    with pytest.raises(ValueError, match="leaves_a_barrier_out: a barrier is not reached"):
        module.launch("leaves_a_barrier_out", (1,), (64,), (np.zeros(1, np.float32),))


def test_threads_that_have_left_are_not_waited_for(module):
    result = np.zeros(48, np.int32)
    module.launch("some_threads_leave_early", (1,), (48,), (result,))
    np.testing.assert_array_equal(result, np.where(np.arange(48) % 3 == 0, 0, 32))


@pytest.mark.parametrize("reverse", [False, True])
def test_warp_functions(module, reverse):
    result = np.zeros((64, 6), np.int32)
    module.launch("warp", (1,), (64,), (result,), reverse=reverse)
    t = np.arange(64)
    start, lane = t // 32 * 32, t % 32
    expected = [
        start + 3,
        np.where(lane >= 2, t - 2, t),
        np.where(t % 8 + 4 < 8, t + 4, t),
        t ^ 5,
        np.full(64, np.uint32(0xAAAAAAAA).astype(np.int32)),
        np.where(lane < 16, start + 1, start == 32),
    ]
    np.testing.assert_array_equal(result, np.stack(expected, axis=1))


def test_three_dimensional_grid(module):
    result = np.zeros(2 * 3 * 2 * 2 * 1 * 4, np.int32)
    module.launch("grid", (2, 3, 2), (2, 1, 4), (result,))
    assert result[0] == 1000 * 11 + 7
    assert np.all(np.diff(result[1:]) >= 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(1), np.zeros(1)), "wrong number"),
        ((np.zeros(1), np.zeros(1), np.int64(1)), "argument 2 has the wrong size"),
        ((np.zeros(1), np.zeros(1), 1), "argument 2 must be"),
        ((np.zeros((2, 2)).T[:1], np.zeros(1), np.int32(1)), "argument 0 is not contiguous"),
    ],
)
def test_wrong_arguments(module, arguments, message):
    with pytest.raises(ValueError, match=message):
        module.launch("sum_of_squares", (1,), (128,), arguments, shared=1024)


def test_a_kernel_that_is_no_cpp(host_module):
    with pytest.raises(ValueError, match="does not compile"):
        host_cuda.HostModule('extern "C" __global__ void f() { oh }')
    with pytest.raises(ValueError, match="one variable"):
        host_cuda.HostModule('extern "C" __global__ void f() { __shared__ int a, b; }')
