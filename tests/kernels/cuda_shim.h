// CUDA built-ins for an ordinary C++17 compiler, so that a kernel runs, and is checked, on the host.
//
// Each thread of a block is a fiber (ucontext) of one operating-system thread.  A fiber runs until
// it reaches a barrier (__syncthreads, or a warp's in __syncwarp, shuffles and votes), where it
// waits until every other live fiber of the block (or of the warp's mask) has arrived, as on the
// device.  What a kernel may not rely on is made to hurt: fibers run in an order that the caller
// chooses, shared memory starts as NaN in every block, a barrier that some thread never reaches
// is an error instead of a hang.  Blocks run one after the other.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

using std::max;
using std::min;

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline
#define __noinline__
#define __restrict__ __restrict
#define __launch_bounds__(...)

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
static dim3 gridDim, blockDim, blockIdx, threadIdx;
static const int warpSize = 32;

struct float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct double2 { double x, y; };
struct int2 { int x, y; };
struct int3 { int x, y, z; };
struct alignas(16) int4 { int x, y, z, w; };
struct uint2 { unsigned x, y; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

namespace cuda_shim {

enum class State { ready, at_block_barrier, at_warp_barrier, finished };

struct Fiber {
    ucontext_t context;
    std::vector<char> stack;
    State state;
    unsigned mask;  // lanes expected at the warp barrier
};

static const size_t STACK_BYTES = 64 * 1024;
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static unsigned current;
static void (*body)();
static std::vector<char> dynamic_shared;
static std::map<void*, unsigned long> fresh_in;  // shared variable -> last block that has seen it
static unsigned long block_serial;
static std::vector<char> exchange(32 * 64);  // a slot of 16 bytes for every thread of a block
static std::vector<unsigned> votes;

inline void wait(State state, unsigned mask = 0) {
    Fiber& fiber = fibers[current];
    fiber.state = state;
    fiber.mask = mask;
    swapcontext(&fiber.context, &scheduler);
}

// Shared memory has no value when a block starts: fill it with NaN at its first declaration.
template <class T>
void fresh(T& variable) {
    unsigned long& seen = fresh_in[&variable];
    if (seen == block_serial) return;
    seen = block_serial;
    memset((void*)&variable, 0xff, sizeof variable);
}

template <class T>
T* dynamic_shared_memory() {
    return reinterpret_cast<T*>(dynamic_shared.data());
}

static std::exception_ptr failure;  // of a fiber, whose stack the caller cannot unwind

inline void enter() {
    try {
        body();
    } catch (...) {
        failure = std::current_exception();
    }
    fibers[current].state = State::finished;
    swapcontext(&fibers[current].context, &scheduler);
}

inline unsigned threads() { return blockDim.x * blockDim.y * blockDim.z; }

// Let go every complete barrier; return whether there was one.
inline bool release() {
    bool released = false;
    const unsigned n = threads();
    bool whole_block = true;
    for (unsigned t = 0; t < n; ++t)
        whole_block &= fibers[t].state == State::at_block_barrier ||
                       fibers[t].state == State::finished;
    for (unsigned start = 0; start < n; start += 32) {
        for (unsigned t = start; t < std::min(start + 32, n); ++t) {
            if (fibers[t].state != State::at_warp_barrier) continue;
            const unsigned mask = fibers[t].mask;
            bool complete = true;
            for (unsigned lane = 0; lane < 32 && start + lane < n; ++lane) {
                if (!(mask >> lane & 1)) continue;
                const Fiber& other = fibers[start + lane];
                complete &= other.state == State::finished ||
                            (other.state == State::at_warp_barrier && other.mask == mask);
            }
            if (!complete) continue;
            for (unsigned lane = 0; lane < 32 && start + lane < n; ++lane)
                if (mask >> lane & 1 && fibers[start + lane].state != State::finished)
                    fibers[start + lane].state = State::ready;
            released = true;
        }
    }
    if (whole_block) {
        for (unsigned t = 0; t < n; ++t) {
            if (fibers[t].state != State::at_block_barrier) continue;
            fibers[t].state = State::ready;
            released = true;
        }
    }
    return released;
}

inline void run_block(bool reverse) {
    const unsigned n = threads();
    for (unsigned t = 0; t < n; ++t) {
        Fiber& fiber = fibers[t];
        fiber.state = State::ready;
        getcontext(&fiber.context);
        fiber.stack.resize(STACK_BYTES);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, enter, 0);
    }
    ++block_serial;
    std::fill(dynamic_shared.begin(), dynamic_shared.end(), char(0xff));
    for (;;) {
        for (unsigned i = 0; i < n; ++i) {
            const unsigned t = reverse ? n - 1 - i : i;
            if (fibers[t].state != State::ready) continue;
            current = t;
            threadIdx = dim3(t % blockDim.x, t / blockDim.x % blockDim.y,
                             t / (blockDim.x * blockDim.y));
            swapcontext(&scheduler, &fibers[t].context);
            if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
        }
        unsigned finished = 0;
        for (unsigned t = 0; t < n; ++t) finished += fibers[t].state == State::finished;
        if (finished == n) return;
        if (!release()) throw std::runtime_error("a barrier is not reached by all its threads");
    }
}

static void (*invoke)(void**);
static void** invoke_arguments;

template <class... A, size_t... I>
void unpack(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_const_t<A>*>(arguments[I])...);
}

// Run a kernel as cuLaunchKernel would; `sizes` are those of the values in `arguments`.
template <class... A>
void launch(void (*kernel)(A...), const unsigned* grid, const unsigned* block, size_t shared,
            bool reverse, void** arguments, const size_t* sizes, size_t count) {
    if (count != sizeof...(A)) throw std::runtime_error("wrong number of arguments");
    const size_t wanted[] = {sizeof(A)..., 0};
    for (size_t i = 0; i < count; ++i)
        if (sizes[i] != wanted[i])
            throw std::runtime_error("argument " + std::to_string(i) + " has the wrong size");
    gridDim = dim3(grid[0], grid[1], grid[2]);
    blockDim = dim3(block[0], block[1], block[2]);
    if (threads() == 0 || threads() > 1024) throw std::runtime_error("1 to 1024 threads a block");
    if (shared > 227 * 1024) throw std::runtime_error("more shared memory than a GPU has");
    if (fibers.size() < threads()) fibers.resize(threads());
    exchange.resize(threads() * 16);
    votes.resize(threads());
    dynamic_shared.resize(shared);
    static thread_local void (*running)(A...);
    running = kernel;
    invoke_arguments = arguments;
    body = [] { unpack(running, invoke_arguments, std::index_sequence_for<A...>{}); };
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block(reverse);
}

template <class T>
T shuffle(unsigned mask, T value, unsigned source_lane) {
    static_assert(sizeof(T) <= 16, "shuffled value too large");
    if (!(mask >> current % 32 & 1)) throw std::runtime_error("a thread outside the mask");
    memcpy(&exchange[current * 16], &value, sizeof value);
    wait(State::at_warp_barrier, mask);
    T result;
    const unsigned source = current / 32 * 32 + source_lane;
    memcpy(&result, &exchange[(source < threads() ? source : current) * 16], sizeof result);
    wait(State::at_warp_barrier, mask);
    return result;
}

inline unsigned ballot(unsigned mask, bool predicate) {
    votes[current] = predicate;
    wait(State::at_warp_barrier, mask);
    unsigned result = 0;
    for (unsigned lane = 0; lane < 32 && current / 32 * 32 + lane < threads(); ++lane)
        if (mask >> lane & 1 && votes[current / 32 * 32 + lane]) result |= 1u << lane;
    wait(State::at_warp_barrier, mask);
    return result;
}

inline int count_block(bool predicate) {
    votes[current] = predicate;
    wait(State::at_block_barrier);
    int result = 0;
    for (unsigned t = 0; t < threads(); ++t)
        result += fibers[t].state != State::finished && votes[t];
    wait(State::at_block_barrier);
    return result;
}

}  // namespace cuda_shim

static inline void __syncthreads() { cuda_shim::wait(cuda_shim::State::at_block_barrier); }
static inline int __syncthreads_count(int p) { return cuda_shim::count_block(p); }
static inline int __syncthreads_or(int p) { return cuda_shim::count_block(p) > 0; }
static inline int __syncthreads_and(int p) { return cuda_shim::count_block(!p) == 0; }
static inline void __syncwarp(unsigned mask = 0xffffffffu) {
    cuda_shim::wait(cuda_shim::State::at_warp_barrier, mask);
}
static inline void __threadfence() {}
static inline void __threadfence_block() {}

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    const unsigned lane = cuda_shim::current % 32, start = lane / width * width;
    return cuda_shim::shuffle(mask, value, start + unsigned(source) % width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
    const unsigned lane = cuda_shim::current % 32, source = lane ^ lane_mask;
    return cuda_shim::shuffle(mask, value, source / width > lane / width ? lane : source);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = cuda_shim::current % 32;
    return cuda_shim::shuffle(mask, value, lane % width >= delta ? lane - delta : lane);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
    const unsigned lane = cuda_shim::current % 32;
    return cuda_shim::shuffle(mask, value, lane % width + delta < unsigned(width) ? lane + delta : lane);
}
static inline unsigned __ballot_sync(unsigned mask, int p) { return cuda_shim::ballot(mask, p); }
static inline int __any_sync(unsigned mask, int p) { return cuda_shim::ballot(mask, p) != 0; }
static inline int __all_sync(unsigned mask, int p) { return cuda_shim::ballot(mask, !p) == 0; }

// One operating-system thread runs all fibers, and none is interrupted here: plain code is atomic.
template <class T, class U>
T cuda_shim_replace(T* address, U value) {
    const T old = *address;
    *address = T(value);
    return old;
}
template <class T, class U> T atomicAdd(T* a, U v) { return cuda_shim_replace(a, *a + T(v)); }
template <class T, class U> T atomicSub(T* a, U v) { return cuda_shim_replace(a, *a - T(v)); }
template <class T, class U> T atomicMin(T* a, U v) { return cuda_shim_replace(a, min(*a, T(v))); }
template <class T, class U> T atomicMax(T* a, U v) { return cuda_shim_replace(a, max(*a, T(v))); }
template <class T, class U> T atomicOr(T* a, U v) { return cuda_shim_replace(a, *a | T(v)); }
template <class T, class U> T atomicAnd(T* a, U v) { return cuda_shim_replace(a, *a & T(v)); }
template <class T, class U> T atomicExch(T* a, U v) { return cuda_shim_replace(a, v); }
template <class T, class U, class V>
T atomicCAS(T* a, U expected, V v) {
    return cuda_shim_replace(a, *a == T(expected) ? T(v) : *a);
}

template <class To, class From>
To cuda_shim_bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "sizes differ");
    To result;
    memcpy(&result, &value, sizeof result);
    return result;
}
static inline float __int_as_float(int v) { return cuda_shim_bits<float>(v); }
static inline int __float_as_int(float v) { return cuda_shim_bits<int>(v); }
static inline float __uint_as_float(unsigned v) { return cuda_shim_bits<float>(v); }
static inline unsigned __float_as_uint(float v) { return cuda_shim_bits<unsigned>(v); }
static inline double __longlong_as_double(long long v) { return cuda_shim_bits<double>(v); }
static inline long long __double_as_longlong(double v) { return cuda_shim_bits<long long>(v); }

static inline float rsqrtf(float v) { return 1 / sqrtf(v); }
static inline double rsqrt(double v) { return 1 / ::sqrt(v); }
static inline float rsqrt(float v) { return 1 / sqrtf(v); }
// The C library has hidden functions of these names.
#define __expf expf
#define __logf logf
#define __powf powf
#define __sinf sinf
#define __cosf cosf
#define __tanf tanf
static inline float __fdividef(float v, float w) { return v / w; }
static inline float __frcp_rn(float v) { return 1 / v; }
static inline float __saturatef(float v) { return fminf(fmaxf(v, 0), 1); }
static inline float normcdff(float v) { return 0.5f * erfcf(-v * 0.70710678118654752f); }
static inline double normcdf(double v) { return 0.5 * erfc(-v * 0.70710678118654752440); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __float2int_rd(float v) { return int(floorf(v)); }
static inline int __float2int_ru(float v) { return int(ceilf(v)); }
template <class T> T __ldg(const T* address) { return *address; }
