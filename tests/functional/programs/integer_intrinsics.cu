/* SPDX-License-Identifier: Apache-2.0
 * Bit and integer intrinsics, 32 and 64 bits, against plain C on the host.
 */
#include <cstdint>
#include <vector>

#include "examples/check.h"

enum { ROWS = 20 };

__global__ void intrinsics(const uint64_t *in, int64_t *out, int count)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x, row = 0;

    if (i >= count)
        return;
    uint64_t x = in[i], y = in[(i + 1) % count];
    uint32_t a = (uint32_t)x, b = (uint32_t)y;
    int64_t *at = out + i;
#define PUT(value) at[row++ * count] = (int64_t)(value)
    PUT(__clz((int)a));
    PUT(__clzll((long long)x));
    PUT(__popc(a));
    PUT(__popcll(x));
    PUT(__ffs((int)a));
    PUT(__ffsll((long long)x));
    PUT(__brev(a));
    PUT(__brevll(x));
    PUT(__byte_perm(a, b, 0x5140));
    PUT(__funnelshift_l(a, b, 9));
    PUT(__funnelshift_r(a, b, 9));
    PUT(__mulhi((int)a, (int)b));
    PUT(__umulhi(a, b));
    PUT(__umul64hi(x, y));
    PUT(__mul64hi((long long)x, (long long)y));
    PUT(__sad((int)a, (int)b, 5));
    PUT(__dp4a((int)a, (int)b, 7));
    PUT(__hadd((int)a, (int)b));
    PUT(b ? x / b : 0);
    PUT(b ? (int64_t)x % (int64_t)b : 0);
}

static int64_t dp4a(uint32_t a, uint32_t b, int c)
{
    for (int byte = 0; byte < 4; byte++)
        c += (int8_t)(a >> 8 * byte) * (int8_t)(b >> 8 * byte);
    return c;
}

static uint64_t reverse(uint64_t x, int bits)
{
    uint64_t result = 0;

    for (int i = 0; i < bits; i++)
        result |= (x >> i & 1) << (bits - 1 - i);
    return result;
}

static uint32_t permute(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t both = (uint64_t)b << 32 | a;
    uint32_t result = 0;

    for (int byte = 0; byte < 4; byte++)
        result |= (uint32_t)(both >> 8 * (selector >> 4 * byte & 7) & 0xff) << 8 * byte;
    return result;
}

static void expect(uint64_t x, uint64_t y, int64_t *row)
{
    uint32_t a = (uint32_t)x, b = (uint32_t)y;
    const int64_t values[ROWS] = {
        a ? __builtin_clz(a) : 32,
        x ? __builtin_clzll(x) : 64,
        __builtin_popcount(a),
        __builtin_popcountll(x),
        __builtin_ffs((int)a),
        __builtin_ffsll((long long)x),
        (int64_t)reverse(a, 32),
        (int64_t)reverse(x, 64),
        permute(a, b, 0x5140),
        (uint32_t)((((uint64_t)b << 32 | a) << 9) >> 32),
        (uint32_t)(((uint64_t)b << 32 | a) >> 9),
        (int32_t)(((int64_t)(int32_t)a * (int32_t)b) >> 32),
        (int64_t)(((uint64_t)a * b) >> 32),
        (int64_t)(uint64_t)(((unsigned __int128)x * y) >> 64),
        (int64_t)(((__int128)(int64_t)x * (int64_t)y) >> 64),
        (int64_t)(uint32_t)((uint32_t)std::llabs((long long)(int32_t)a - (int32_t)b) + 5u),
        dp4a(a, b, 7),
        (int32_t)(((int64_t)(int32_t)a + (int32_t)b) >> 1),
        b ? (int64_t)(x / b) : 0,
        b ? (int64_t)x % (int64_t)b : 0,
    };

    for (int r = 0; r < ROWS; r++)
        row[r] = values[r];
}

int main()
{
    std::vector<uint64_t> in = {0, 1, 2, 0x7fffffffull, 0x80000000ull, 0xffffffffull, 1ull << 32,
                                0x7fffffffffffffffull, 0x8000000000000000ull, ~0ull};
    uint64_t state = 7;
    for (int i = 0; i < 300; i++)
        in.push_back(state = state * 6364136223846793005ull + 1442695040888963407ull);
    int count = (int)in.size();
    std::vector<int64_t> got(count * ROWS);
    uint64_t *device_in;
    int64_t *device_out;
    long wrong = 0;

    CUDA_CHECK(cudaMalloc(&device_in, count * sizeof(uint64_t)));
    CUDA_CHECK(cudaMalloc(&device_out, got.size() * sizeof(int64_t)));
    CUDA_CHECK(cudaMemcpy(device_in, in.data(), count * sizeof(uint64_t), cudaMemcpyHostToDevice));
    intrinsics<<<(count + 31) / 32, 32>>>(device_in, device_out, count);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaMemcpy(got.data(), device_out, got.size() * sizeof(int64_t),
                          cudaMemcpyDeviceToHost));
    for (int i = 0; i < count; i++) {
        int64_t want[ROWS];
        expect(in[i], in[(i + 1) % count], want);
        for (int row = 0; row < ROWS; row++)
            /* 32-bit results come back sign- or zero-extended by their type: compare by bits. */
            if (got[row * count + i] != want[row] &&
                !(row != 7 && row != 13 && row != 14 && row < 18 &&
                  (uint32_t)got[row * count + i] == (uint32_t)want[row])) {
                if (wrong++ < 5)
                    fprintf(stderr, "row %d of %#llx: got %#llx, want %#llx\n", row,
                            (unsigned long long)in[i], (unsigned long long)got[row * count + i],
                            (unsigned long long)want[row]);
            }
    }
    return finish(wrong);
}
