// The forward scan, vectorised by hand: how near compiled Python comes to compiled C++.
//
// Arrays are contiguous: u, step, out (k, b, l, d); A (k, d, n); B, C (k, b, l, n); D, bias (k, d).
// Jobs are (path, picture, tile of LANES channels) triples, shared out among OpenMP's threads: where
// torch uses GNU's, these are torch's own.

#include <cstdint>
#include <cstring>

#include <omp.h>

#ifndef VECTORS
#define VECTORS 4
#endif
constexpr int WIDTH = 16, LANES = WIDTH * VECTORS, MOST_STATES = 64;
typedef float Vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t Bits __attribute__((vector_size(WIDTH * sizeof(float))));

static inline Vector load(const float *from) {
    Vector x;
    memcpy(&x, from, sizeof x);
    return x;
}

static inline void store(float *to, Vector x) { memcpy(to, &x, sizeof x); }

static inline Vector all(float x) { return x - Vector{}; }

static inline Vector greater(Vector x, Vector y) { return x > y ? x : y; }

// 2^x: the whole part by adding 1.5 * 2^23, the rest by a polynomial of degree 5.
static inline Vector exp2(Vector x) {
    x = greater(x, all(-126.f));
    const Vector magic = all(12582912.f), shifted = x + magic, f = x - (shifted - magic);
    Bits whole;
    memcpy(&whole, &shifted, sizeof whole);
    const Bits exponent = (whole << 23) + (127 << 23);
    Vector power;
    memcpy(&power, &exponent, sizeof power);
    Vector p = f * 1.32647273e-3f + 9.67151279e-3f;
    p = p * f + 5.55073374e-2f;
    p = p * f + 2.40222421e-1f;
    p = p * f + 6.93146978e-1f;
    return (p * f + 1.f) * power;
}

constexpr float LOG2E = 1.4426950408889634f;

// log(1 + e^x) = max(x, 0) + 2 atanh(e / (2 + e)) with e = e^-|x|.
static inline Vector softplus(Vector x) {
    const Vector e = exp2((x > 0 ? x : -x) * -LOG2E), s = e / (e + 2.f), q = s * s;
    Vector p = q * 0.28178498f + 0.279605713f;
    p = p * q + 0.400249121f;
    p = p * q + 0.666663146f;
    return greater(x, all(0.f)) + (p * q + 2.f) * s;
}

template <int STATES>
static void run(int64_t first, int64_t last, int64_t batch, int64_t length, int64_t d, int states,
                const float *u, const float *step, const float *A, const float *B, const float *C,
                const float *D, const float *bias, float *out) {
    const int n_state = STATES ? STATES : states;
    const int64_t tiles = d / LANES;
    alignas(64) Vector h[STATES ? STATES : MOST_STATES][VECTORS];
    alignas(64) Vector a[STATES ? STATES : MOST_STATES][VECTORS];
    for (int64_t job = first; job < last; job++) {
        const int64_t k = job / (batch * tiles), i = job / tiles % batch, d0 = job % tiles * LANES;
        for (int n = 0; n < n_state; n++)
            for (int r = 0; r < VECTORS; r++) {
                h[n][r] = all(0.f);
                for (int j = 0; j < WIDTH; j++)
                    a[n][r][j] = A[(k * d + d0 + r * WIDTH + j) * n_state + n] * LOG2E;
            }
        for (int64_t t = 0; t < length; t++) {
            const int64_t row = (k * batch + i) * length + t;
            const float *b = B + row * n_state, *c = C + row * n_state;
            Vector delta[VECTORS], drive[VECTORS], y[VECTORS];
            for (int r = 0; r < VECTORS; r++) {
                const int64_t j = d0 + r * WIDTH;
                const Vector x = load(u + row * d + j);
                delta[r] = softplus(load(step + row * d + j) + load(bias + k * d + j));
                drive[r] = delta[r] * x;
                y[r] = load(D + k * d + j) * x;
            }
            for (int n = 0; n < n_state; n++)
                for (int r = 0; r < VECTORS; r++) {
                    h[n][r] = exp2(delta[r] * a[n][r]) * h[n][r] + drive[r] * b[n];
                    y[r] += h[n][r] * c[n];
                }
            for (int r = 0; r < VECTORS; r++) store(out + row * d + d0 + r * WIDTH, y[r]);
        }
    }
}

extern "C" void scan(int threads, int64_t jobs, int64_t batch, int64_t length, int64_t d, int64_t n,
                     const float *u, const float *step, const float *A, const float *B,
                     const float *C, const float *D, const float *bias, float *out) {
    auto kernel = n == 16 ? run<16> : n == 1 ? run<1> : run<0>;
#pragma omp parallel num_threads(threads)
    {
        const int64_t place = omp_get_thread_num(), size = omp_get_num_threads();
        kernel(jobs * place / size, jobs * (place + 1) / size, batch, length, d, (int)n, u, step, A,
               B, C, D, bias, out);
    }
}
