/* SPDX-License-Identifier: Apache-2.0
 * Tests of cuda-client/managed_move.c: host memory and its places at workers hold the same bytes at
 * the boundaries that CUDA names; with workers on this host, and on others.
 */
#include "tests/unit/cuda-client/fake_remote.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "cuda-client/managed_int.h"
#include "cuda-client/memory.h"
#include "cuda-client/memory_int.h"
#include "cuda-client/thread.h"
#include "generated/cuda-api/client_impl.h"

enum { UNIT = 64 * 1024 };

static unsigned char *managed(size_t bytes, CUdeviceptr *address_out)
{
    CHECK_EQ(cudac_cuMemAllocManaged(address_out, bytes, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
    return (unsigned char *)(uintptr_t)*address_out; /* NOLINT(performance-no-int-to-ptr) */
}

static void end_call(void)
{
    if (cudac_thread.has_given)
        cudac_memory_call_end();
}

static const struct cuc_params none;

/* A launch without parameters; its stream is busy until finish(). */
static void launch(uint32_t worker, uint32_t stream)
{
    CHECK_EQ(cudac_memory_before_launch(fake_stream(worker, stream), &none, NULL), CUDA_SUCCESS);
    fake_work(fake_stream(worker, stream));
    end_call();
}

static void finish(uint32_t worker, uint32_t stream)
{
    fake_finish(fake_stream(worker, stream));
    CHECK_EQ(cudac_memory_after_wait(fake_worker(worker)), CUDA_SUCCESS);
}

static uint32_t copies(uint32_t worker)
{
    return fake_workers[worker].seen[WIRE_COPY_IN];
}

static void test_nothing_managed(void)
{
    fake_reset(false, FAKE_MIB);
    launch(0, 0);
    finish(0, 0);
    CHECK_EQ(fake_messages, 0);
}

static void test_same_host(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(true, FAKE_MIB);
    host = managed(4 * UNIT, &address);
    launch(0, 0);
    launch(0, 0);
    launch(1, 0);
    CHECK_CASE("one place a worker, and no bytes");
    CHECK_EQ(fake_workers[0].seen[WIRE_HOST_MAP], 1);
    CHECK_EQ(fake_workers[1].seen[WIRE_HOST_MAP], 1);
    host[5] = 7;
    CHECK_EQ(fake_place(0, address)[5], 7);
    finish(0, 0);
    CHECK_EQ(fake_messages, 2);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK(!fake_place(0, address) && !fake_place(1, address));
}

static void test_there_and_back(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(4 * UNIT, &address);
    host[0] = 1;
    host[3 * UNIT] = 2;
    launch(0, 0);
    CHECK_EQ(fake_place(0, address)[0], 1);
    CHECK_EQ(fake_place(0, address)[3 * UNIT], 2);
    CHECK_CASE("kernels write, the host reads");
    fake_place(0, address)[3 * UNIT + 1] = 3;
    finish(0, 0);
    CHECK_EQ(host[3 * UNIT + 1], 3);
    CHECK_CASE("nothing changed: nothing is sent");
    uint32_t before = copies(0);

    launch(0, 0);
    CHECK_EQ(copies(0), before);
    finish(0, 0);
    CHECK_CASE("one byte: one run");
    host[UNIT + 9] = 4;
    launch(0, 0);
    CHECK_EQ(copies(0), before + 1);
    CHECK_EQ(fake_place(0, address)[UNIT + 9], 4);
    finish(0, 0);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
    CHECK(!fake_place(0, address));
}

/* Bytes of one unit, written by both sides between synchronisations. */
static void test_both_sides(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    launch(0, 0);
    fake_place(0, address)[1] = 11; /* the kernel */
    host[0] = host[2] = 22;
    launch(0, 0);
    CHECK_CASE("the host's bytes come, the kernel's stay");
    CHECK_MEM(fake_place(0, address), ((unsigned char[]){22, 11, 22}), 3);
    host[5] = 33; /* while it runs */
    finish(0, 0);
    CHECK_CASE("the kernel's bytes come, the host's stay");
    CHECK_MEM(host, ((unsigned char[]){22, 11, 22, 0, 0, 33}), 6);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void test_one_of_two_streams(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    launch(0, 0);
    launch(0, 1);
    fake_place(0, address)[0] = 1;
    finish(0, 0);
    CHECK_EQ(host[0], 1);
    CHECK_CASE("the other one is still writing");
    fake_place(0, address)[1] = 2;
    CHECK_EQ(host[1], 0);
    finish(0, 1);
    CHECK_EQ(host[1], 2);
    CHECK_CASE("then it is at home");
    uint32_t before = fake_messages;

    finish(0, 0);
    CHECK_EQ(fake_messages, before);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void test_two_workers(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(2 * UNIT, &address);
    for (unsigned char round = 1; round < 6; round++) {
        uint32_t worker = round % 2;

        CHECK_CASE("round %d", round);
        host[0] = round;
        launch(worker, 0);
        CHECK_EQ(fake_place(worker, address)[0], round);
        CHECK_EQ(fake_place(worker, address)[UNIT], round - 1);
        fake_place(worker, address)[UNIT] = round; /* nobody waits: the next launch does */
    }
    finish(1, 0);
    CHECK_EQ(host[UNIT], 5);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void test_lost_worker(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    host[0] = 5;
    launch(0, 0);
    fake_place(0, address)[0] = 6;
    fake_workers[0].is_lost = true;
    CHECK_CASE("what it had is lost, the home copy stands");
    launch(1, 0);
    CHECK_EQ(fake_place(1, address)[0], 5);
    finish(1, 0);
    fake_make_current(fake_context(1));
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS); /* it is the host's */
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
}

static void test_copies_of_managed(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    host[0] = 1;
    CHECK_CASE("it gets a place for it");
    CHECK(cudac_memory_place(fake_worker(0), address).is_away);
    end_call();
    CHECK_MEM(fake_place(0, address), ((unsigned char[]){1, 0}), 2);
    CHECK_CASE("what the copy wrote comes back");
    fake_place(0, address)[2] = 3;
    finish(0, 0);
    CHECK_EQ(host[2], 3);
    CHECK_CASE("what the host wrote goes first");
    host[1] = 2;
    CHECK(cudac_memory_place(fake_worker(0), address).is_away);
    end_call();
    CHECK_MEM(fake_place(0, address), ((unsigned char[]){1, 2, 3}), 3);
    CHECK_CASE("copies into the host's bytes are on their way: these are meant");
    fake_place(0, address)[3] = 4;
    fake_landing = true;
    CHECK(!cudac_memory_place(fake_worker(0), address).is_away);
    CHECK_EQ(host[3], 4);
    fake_landing = false;
    finish(0, 0);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

static pthread_barrier_t turn;

/* Stops between giving memory to a launch and posting it. */
static void *slow_launch(void *arg)
{
    (void)arg;
    CHECK_EQ(cudac_memory_before_launch(fake_stream(0, 1), &none, NULL), CUDA_SUCCESS);
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn);
    fake_work(fake_stream(0, 1));
    cudac_memory_call_end();
    return NULL;
}

static void test_two_threads(void)
{
    CUdeviceptr address;
    unsigned char *host;
    pthread_t thread;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    (void)pthread_barrier_init(&turn, NULL, 2);
    if (!CHECK_EQ(pthread_create(&thread, NULL, slow_launch, NULL), 0))
        return;
    (void)pthread_barrier_wait(&turn);
    CHECK_CASE("no stream is busy, but one will be");
    finish(0, 0);
    (void)pthread_barrier_wait(&turn);
    (void)pthread_join(thread, NULL);
    fake_place(0, address)[0] = 7;
    finish(0, 1);
    CHECK_EQ(host[0], 7);
    (void)pthread_barrier_destroy(&turn);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

/* The same for a copy, while the other worker wants the memory: what waits for it must wait until
 * it is posted, and then for it. */
static void *slow_copy(void *arg)
{
    const CUdeviceptr *address = arg;

    CHECK(cudac_memory_place(fake_worker(0), *address).is_away);
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn);
    fake_work(fake_stream(0, 0));
    cudac_memory_call_end();
    (void)pthread_barrier_wait(&turn);
    return NULL;
}

static CUdeviceptr slow_address;

static void slow_copy_is_done(void)
{
    fake_on_wait = NULL;
    fake_place(0, slow_address)[0] = 8;
}

/* When the first wait for the worker is over. */
static void let_slow_copy_post(void)
{
    (void)pthread_barrier_wait(&turn);
    (void)pthread_barrier_wait(&turn);
    fake_on_wait = slow_copy_is_done; /* at the next one */
}

static void test_taken_while_given(void)
{
    unsigned char *host;
    pthread_t thread;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &slow_address);
    (void)pthread_barrier_init(&turn, NULL, 2);
    if (!CHECK_EQ(pthread_create(&thread, NULL, slow_copy, &slow_address), 0))
        return;
    (void)pthread_barrier_wait(&turn);
    fake_on_wait = let_slow_copy_post;
    launch(1, 0);
    (void)pthread_join(thread, NULL);
    CHECK_EQ(host[0], 8);
    CHECK_EQ(fake_place(1, slow_address)[0], 8);
    finish(1, 0);
    (void)pthread_barrier_destroy(&turn);
    CHECK_EQ(cudac_cuMemFree_v2(slow_address), CUDA_SUCCESS);
}

/* What one launch has sent, or the carrying, is not there yet when the next one finds nothing left
 * to send. */
static void test_sent_by_another(void)
{
    const struct fake_worker *worker = &fake_workers[0];
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    host[0] = 1;
    launch(0, 0);
    CHECK_CASE("a launch in another stream waits for it, too");
    launch(0, 1);
    CHECK_EQ(worker->seen[WIRE_COPY_IN], 1);
    CHECK_EQ(worker->seen[WIRE_EVENT_WAIT], 2);
    CHECK_CASE("and a copy");
    CHECK(cudac_memory_place(fake_worker(0), address).is_away);
    end_call();
    CHECK_EQ(worker->seen[WIRE_STREAM_SYNC], 1);
    CHECK_CASE("then it is known to be there");
    launch(0, 1);
    CHECK(cudac_memory_place(fake_worker(0), address).is_away);
    end_call();
    CHECK_EQ(worker->seen[WIRE_EVENT_WAIT], 2);
    CHECK_EQ(worker->seen[WIRE_STREAM_SYNC], 1);
    CHECK_CASE("a host function's stream goes on when it is");
    host[1] = 2;
    cudac_memory_after_host_call();
    CHECK_EQ(worker->seen[WIRE_STREAM_SYNC], 2);
    finish(0, 0);
    finish(0, 1);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

static void *late;

/* When the stream is done that uses it. */
static void write_late(void)
{
    struct cudac_stream *stream = fake_stream(0, 1);

    if (atomic_load(&stream->done) == atomic_load(&stream->posted))
        *fake_place(0, (uintptr_t)late) = 4;
}

static void launch_with(uint32_t worker, uint32_t stream, const void *const *memory, size_t count)
{
    const uint32_t offset = 0, size = (uint32_t)(count * sizeof(*memory));
    const struct cuc_params params = {1, size, &offset, &size};

    CHECK_EQ(
        cudac_memory_before_launch(fake_stream(worker, stream), &params, (const uint8_t *)memory),
        CUDA_SUCCESS);
    fake_work(fake_stream(worker, stream));
    end_call();
}

/* Two that were used in two streams, and go to the other worker: it is not enough to wait for the
 * one that was used last. */
static void test_two_regions(void)
{
    const void *memory[2];
    void *soon;

    fake_reset(false, FAKE_MIB);
    CHECK_EQ(cudac_cuMemAllocHost_v2(&late, UNIT), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemAllocHost_v2(&soon, UNIT), CUDA_SUCCESS);
    memory[0] = late;
    memory[1] = soon;
    launch_with(0, 1, memory, 1);
    launch_with(0, 0, memory + 1, 1);
    fake_on_wait = write_late;
    launch_with(1, 0, memory, 2);
    CHECK_EQ(*(unsigned char *)late, 4);
    CHECK_EQ(*fake_place(1, (uintptr_t)late), 4);
    fake_on_wait = NULL;
    finish(1, 0);
    CHECK_EQ(cudac_cuMemFreeHost(late), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFreeHost(soon), CUDA_SUCCESS);
}

/* A copy between two of these waits for the source after its destination was given. */
static void test_given_by_this_call(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    CHECK(cudac_memory_place(fake_worker(0), address).is_away);
    CHECK_EQ(cudac_memory_after_wait(fake_worker(0)), CUDA_SUCCESS);
    fake_work(fake_stream(0, 0));
    end_call();
    fake_place(0, address)[0] = 9;
    finish(0, 0);
    CHECK_EQ(host[0], 9);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

/* A stream at one worker goes on from what another did: what it lets the host see is both. */
static void test_behind_another(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    launch(0, 0);
    CHECK_CASE("nothing ties them");
    fake_place(0, address)[0] = 1;
    CHECK_EQ(cudac_memory_after_wait(fake_worker(1)), CUDA_SUCCESS);
    CHECK_EQ(host[0], 0);
    CHECK_CASE("an event does");
    cudac_memory_waits_for(fake_worker(1), fake_worker(0));
    CHECK_EQ(cudac_memory_before_host_call(fake_worker(1)), CUDA_SUCCESS);
    CHECK_EQ(host[0], 1);
    fake_place(0, address)[1] = 2;
    CHECK_EQ(cudac_memory_after_wait(fake_worker(1)), CUDA_SUCCESS);
    CHECK_EQ(host[1], 2);
    CHECK_CASE("it is still there");
    fake_place(0, address)[2] = 3;
    finish(0, 0);
    CHECK_EQ(host[2], 3);
    CHECK_CASE("the other one is lost");
    launch(0, 0);
    fake_workers[0].is_lost = true;
    CHECK_EQ(cudac_memory_after_wait(fake_worker(1)), CUDA_SUCCESS);
    fake_make_current(fake_context(1));
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

/* A launch is posted before the host function that it comes after has run. */
static void test_host_function(void)
{
    CUdeviceptr address;
    unsigned char *host;

    fake_reset(false, FAKE_MIB);
    host = managed(UNIT, &address);
    launch(0, 0);
    launch(0, 0); /* and a host function between them */
    fake_place(0, address)[0] = 1;
    CHECK_CASE("it sees what the kernel before it wrote");
    CHECK_EQ(cudac_memory_before_host_call(fake_worker(0)), CUDA_SUCCESS);
    CHECK_EQ(host[0], 1);
    CHECK_CASE("and the kernel after it sees what it wrote");
    host[1] = 2;
    cudac_memory_after_host_call();
    CHECK_EQ(fake_place(0, address)[1], 2);
    finish(0, 0);
    CHECK_CASE("also where nothing was changed at the launch");
    launch(0, 0);
    finish(0, 0);
    host[2] = 3;
    cudac_memory_after_host_call();
    CHECK_EQ(fake_place(0, address)[2], 3);
    CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_SUCCESS);
}

/* Where the worker's driver placed it: in the managed range, or anywhere. */
static void test_variable(void)
{
    static const char owner;
    void *free_place = mmap(NULL, 4 * UNIT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK_EQ(munmap(free_place, 4 * UNIT), 0);
    const struct {
        const char *label;
        uint64_t address;
        CUresult result;
    } cases[] = {
        {"in the range", cudac_layout()->managed.base + 5 * UNIT + 16, CUDA_SUCCESS},
        {"elsewhere", (uintptr_t)free_place + 4096 + 32, CUDA_SUCCESS},
        {"where we have something", (uintptr_t)&owner, CUDA_ERROR_NOT_SUPPORTED},
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(cases); i++) {
        uint64_t address = cases[i].address;
        struct cudac_memory_info info;

        CHECK_CASE("%s", cases[i].label);
        fake_reset(true, FAKE_MIB);
        fake_place_add(0, address, 64);
        fake_place(0, address)[3] = 42; /* its initial value */
        CHECK_EQ(cudac_memory_add_fixed(fake_context(0), address, 64, true, &owner),
                 cases[i].result);
        if (cases[i].result != CUDA_SUCCESS)
            continue;
        unsigned char *host =
            (unsigned char *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr) */

        CHECK_EQ(host[3], 42);
        CHECK(cudac_memory_find(address, &info) && info.kind == CUDAC_MEMORY_MANAGED);
        host[4] = 1;
        launch(0, 0);
        CHECK_EQ(fake_place(0, address)[4], 1);
        fake_place(0, address)[5] = 2;
        finish(0, 0);
        CHECK_EQ(host[5], 2);
        CHECK_EQ(cudac_cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
        cudac_memory_remove_fixed(&owner);
        CHECK(!cudac_memory_find(address, &info));
        CHECK_CASE("%s, by another module", cases[i].label);
        memset(fake_place(0, address), 0, 64);
        CHECK_EQ(cudac_memory_add_fixed(fake_context(0), address, 64, true, &owner), CUDA_SUCCESS);
        CHECK_EQ(host[3] | host[4] | host[5], 0);
        cudac_memory_remove_fixed(&owner);
    }
}

static void test_pinned(void)
{
    struct cudac_stream *stream;
    CUdeviceptr device = 0;
    void *plain, *mapped;

    fake_reset(false, FAKE_MIB);
    stream = fake_stream(0, 0);
    CHECK_EQ(cudac_cuMemAllocHost_v2(&plain, UNIT), CUDA_SUCCESS);
    CHECK_CASE("memory for copies only has no place");
    launch(0, 0);
    CHECK(!fake_place(0, (uintptr_t)plain));
    unsigned char bytes[13] = {0};
    const uint64_t inside = (uintptr_t)plain + 100;

    memcpy(bytes + 5, &inside, sizeof(inside));
    memset(plain, 9, UNIT);
    CHECK_CASE("parameters that pass for a pointer only together");
    static const uint32_t offsets[] = {0, 9}, sizes[] = {9, 4}, size = 13;
    const struct cuc_params two = {2, 13, offsets, sizes}, one = {1, 13, offsets, &size};

    CHECK_EQ(cudac_memory_before_launch(stream, &two, bytes), CUDA_SUCCESS);
    CHECK(!fake_place(0, inside));
    CHECK_CASE("a parameter points at it, at any alignment");
    CHECK_EQ(cudac_memory_before_launch(stream, &one, bytes), CUDA_SUCCESS);
    CHECK(fake_place(0, inside) && *fake_place(0, inside) == 9);
    fake_work(stream);
    end_call();
    CHECK_CASE("it is away, also after a launch that has nothing to do with it");
    launch(0, 0);
    fake_place(0, inside)[1] = 8;
    finish(0, 0);
    CHECK_EQ(((unsigned char *)plain)[101], 8);
    CHECK_CASE("mapped memory always has one");
    CHECK_EQ(cudac_cuMemHostAlloc(&mapped, UNIT, CU_MEMHOSTALLOC_DEVICEMAP), CUDA_SUCCESS);
    launch(0, 0);
    CHECK(fake_place(0, (uintptr_t)mapped) != NULL);
    CHECK_EQ(cudac_cuMemHostGetDevicePointer_v2(&device, (char *)mapped + 8, 0), CUDA_SUCCESS);
    CHECK_EQ(device, (uintptr_t)mapped + 8);
    finish(0, 0);
    CHECK_EQ(cudac_cuMemFreeHost(plain), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFreeHost(mapped), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemFreeHost(mapped), CUDA_ERROR_INVALID_VALUE);
}

static bool carry(bool *changed_out)
{
    (void)pthread_mutex_lock(&cudac_memory_lock);
    *changed_out = false;
    bool any = cudac_move_carry(changed_out);

    (void)pthread_mutex_unlock(&cudac_memory_lock);
    return any;
}

/* A kernel waits for a word that the host stores, and the other way round. */
static void test_while_both_run(void)
{
    unsigned char *host;
    bool changed;
    void *mapped;

    fake_reset(false, FAKE_MIB);
    CHECK_EQ(cudac_cuMemHostAlloc(&mapped, UNIT, CU_MEMHOSTALLOC_DEVICEMAP), CUDA_SUCCESS);
    host = mapped;
    CHECK_CASE("at home");
    CHECK(!carry(&changed));
    launch(0, 0);
    CHECK_EQ(fake_carries, 1);
    CHECK_CASE("nothing changed");
    CHECK(carry(&changed) && !changed);
    CHECK_CASE("each side stores");
    host[0] = 1;
    fake_place(0, (uintptr_t)mapped)[1] = 2;
    CHECK(carry(&changed) && changed);
    CHECK_EQ(fake_place(0, (uintptr_t)mapped)[0], 1);
    CHECK_EQ(host[1], 2);
    CHECK_CASE("the context by which it was carried is closed");
    cudac_move_context_close(fake_context(0));
    host[2] = 3;
    CHECK(carry(&changed) && changed);
    CHECK_EQ(fake_place(0, (uintptr_t)mapped)[2], 3);
    CHECK_CASE("at home again");
    finish(0, 0);
    CHECK(!carry(&changed));
    CHECK_CASE("a worker is lost meanwhile");
    launch(0, 0);
    fake_workers[0].is_lost = true;
    (void)carry(&changed);
    CHECK(!carry(&changed));
    fake_make_current(fake_context(1));
    CHECK_EQ(cudac_cuMemFreeHost(mapped), CUDA_SUCCESS);
}

static void test_registered(void)
{
    static unsigned char bytes[3 * UNIT];
    struct cudac_memory_info info;
    CUdeviceptr alias = 0;

    fake_reset(true, FAKE_MIB);
    CHECK_EQ(cudac_cuMemHostRegister_v2(bytes + 3, 2 * UNIT, 0), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemHostRegister_v2(bytes, 8, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    CHECK_EQ(cudac_cuMemHostGetDevicePointer_v2(&alias, bytes + 10, 0), CUDA_SUCCESS);
    CHECK(alias != (uintptr_t)(bytes + 10));
    CHECK_CASE("by either address");
    CHECK(cudac_memory_find(alias, &info));
    CHECK_EQ(info.kind, CUDAC_MEMORY_REGISTERED);
    CHECK_EQ(info.host_address, (uintptr_t)(bytes + 10));
    CHECK(cudac_memory_find((uintptr_t)(bytes + 10), &info));
    CHECK_EQ(info.device_address, alias);
    CHECK_CASE("moved, also on this host");
    bytes[10] = 1;
    launch(0, 0);
    CHECK_EQ(*fake_place(0, alias), 1);
    fake_place(0, alias)[1] = 2;
    finish(0, 0);
    CHECK_EQ(bytes[11], 2);
    CHECK_EQ(cudac_cuMemHostUnregister(bytes + 3), CUDA_SUCCESS);
    CHECK_EQ(cudac_cuMemHostUnregister(bytes + 3), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    CHECK(!cudac_memory_find(alias, &info) && !fake_place(0, alias));
}

int main(void)
{
    fake_reset(true, FAKE_MIB);
    const struct CMUnitTest tests[] = {
        CHECK_TEST(test_nothing_managed),
        CHECK_TEST(test_same_host),
        CHECK_TEST(test_there_and_back),
        CHECK_TEST(test_both_sides),
        CHECK_TEST(test_one_of_two_streams),
        CHECK_TEST(test_two_workers),
        CHECK_TEST(test_lost_worker),
        CHECK_TEST(test_copies_of_managed),
        CHECK_TEST(test_host_function),
        CHECK_TEST(test_two_threads),
        CHECK_TEST(test_taken_while_given),
        CHECK_TEST(test_given_by_this_call),
        CHECK_TEST(test_two_regions),
        CHECK_TEST(test_sent_by_another),
        CHECK_TEST(test_behind_another),
        CHECK_TEST(test_variable),
        CHECK_TEST(test_pinned),
        CHECK_TEST(test_while_both_run),
        CHECK_TEST(test_registered),
    };

    return check_run(tests);
}
