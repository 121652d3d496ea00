/* SPDX-License-Identifier: Apache-2.0
 * Thrust's device algorithms: radix and merge sort, scans, reductions, compaction, custom functors.
 */
#include <thrust/copy.h>
#include <thrust/count.h>
#include <thrust/device_vector.h>
#include <thrust/extrema.h>
#include <thrust/functional.h>
#include <thrust/host_vector.h>
#include <thrust/inner_product.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <thrust/transform_reduce.h>
#include <thrust/unique.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "examples/check.h"

struct by_last_digit {
    __host__ __device__ bool operator()(int a, int b) const
    {
        return a % 10 != b % 10 ? a % 10 < b % 10 : a < b;
    }
};

struct is_odd {
    __host__ __device__ bool operator()(int x) const { return x & 1; }
};

struct square {
    __host__ __device__ long long operator()(int x) const { return (long long)x * x; }
};

int main()
{
    const int count = 20000;
    std::vector<int> host(count);
    unsigned state = 1;
    long wrong = 0;

    for (int &value : host) {
        state = state * 1103515245u + 12345u;
        value = (int)((state >> 8) % 50000);
    }
    thrust::device_vector<int> device(host.begin(), host.end());

    thrust::device_vector<int> sorted = device;
    std::vector<int> want = host, got(count);
    thrust::sort(sorted.begin(), sorted.end());
    std::sort(want.begin(), want.end());
    thrust::copy(sorted.begin(), sorted.end(), got.begin());
    wrong += got != want;

    thrust::device_vector<int> unique = sorted;
    unique.erase(thrust::unique(unique.begin(), unique.end()), unique.end());
    want.erase(std::unique(want.begin(), want.end()), want.end());
    wrong += unique.size() != want.size();

    thrust::device_vector<int> merged = device;
    thrust::sort(merged.begin(), merged.end(), by_last_digit());
    want = host;
    std::sort(want.begin(), want.end(), by_last_digit());
    thrust::copy(merged.begin(), merged.end(), got.begin());
    wrong += got != want;

    thrust::device_vector<int> keys = device, values(count);
    thrust::sequence(values.begin(), values.end());
    thrust::stable_sort_by_key(keys.begin(), keys.end(), values.begin());
    thrust::copy(values.begin(), values.end(), got.begin());
    std::vector<int> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return host[a] < host[b]; });
    wrong += got != order;

    thrust::device_vector<int> sums(count);
    thrust::exclusive_scan(device.begin(), device.end(), sums.begin(), 7);
    thrust::copy(sums.begin(), sums.end(), got.begin());
    for (int i = 0, sum = 7; i < count; sum += host[i++])
        wrong += got[i] != sum;

    long long squares = thrust::transform_reduce(device.begin(), device.end(), square(), 0LL,
                                                 thrust::plus<long long>());
    long long want_squares = 0;
    for (int value : host)
        want_squares += (long long)value * value;
    wrong += squares != want_squares;
    wrong += thrust::count_if(device.begin(), device.end(), is_odd()) !=
             std::count_if(host.begin(), host.end(), [](int x) { return x & 1; });
    wrong += *thrust::max_element(device.begin(), device.end()) !=
             *std::max_element(host.begin(), host.end());

    thrust::device_vector<int> odd(count);
    auto end = thrust::copy_if(device.begin(), device.end(), odd.begin(), is_odd());
    wrong += end - odd.begin() != std::count_if(host.begin(), host.end(),
                                                [](int x) { return x & 1; });
    return finish(wrong);
}
