/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/warp/test_uffd.c - kernels on memory whose pages come later: a userfaultfd range that
 * another thread fills. The engine knows nothing of it; a worker just waits inside an instruction.
 */
#include "tests/unit/warp/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/check.h"

enum { PAGES = 9, PAGE = 4096, WORDS = PAGE / 4 };
static const size_t range_bytes = (size_t)PAGES * PAGE;

/* Block b adds 1 to each word of page b. */
static const char kernel[] = ".version 7.0\n"
                             ".target sm_75\n"
                             ".address_size 64\n"
                             ".visible .entry add_one(.param .u64 pages)\n"
                             "{\n"
                             "    .reg .b64 %rd<4>;\n"
                             "    .reg .b32 %r<6>;\n"
                             "    ld.param.u64 %rd1, [pages];\n"
                             "    mov.u32 %r1, %ctaid.x;\n"
                             "    mov.u32 %r2, %ntid.x;\n"
                             "    mov.u32 %r3, %tid.x;\n"
                             "    mad.lo.s32 %r4, %r1, %r2, %r3;\n"
                             "    mul.wide.u32 %rd2, %r4, 4;\n"
                             "    add.s64 %rd3, %rd1, %rd2;\n"
                             "    ld.global.u32 %r5, [%rd3];\n"
                             "    add.s32 %r5, %r5, 1;\n"
                             "    st.global.u32 [%rd3], %r5;\n"
                             "    ret;\n"
                             "}\n";

/* The thread that fills pages. The first fault is announced and waits for `go`. */
struct pager {
    int fd, stop[2];
    uint8_t *memory;
    sem_t blocked, go;
    pthread_t thread;
    unsigned filled;
};

/* Every word of page p holds p * 1000. */
static void fill(struct pager *pager, uint64_t address)
{
    uint32_t words[WORDS];
    uint64_t page = address & ~(uint64_t)(PAGE - 1);
    uint32_t number = (uint32_t)((page - (uintptr_t)pager->memory) / PAGE);
    struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)words, .len = PAGE};

    for (unsigned i = 0; i < WORDS; i++)
        words[i] = number * 1000;
    if (ioctl(pager->fd, UFFDIO_COPY, &copy) == 0) {
        pager->filled++;
    } else { /* two workers wanted the same page: it is there */
        struct uffdio_range range = {.start = page, .len = PAGE};
        CHECK_EQ(errno, EEXIST);
        (void)ioctl(pager->fd, UFFDIO_WAKE, &range);
    }
}

static void *pager_main(void *arg)
{
    struct pager *pager = arg;
    struct pollfd wait[2] = {{.fd = pager->fd, .events = POLLIN},
                             {.fd = pager->stop[0], .events = POLLIN}};
    bool is_first = true;

    while (poll(wait, 2, -1) > 0 && !wait[1].revents) {
        struct uffd_msg message;

        if (read(pager->fd, &message, sizeof(message)) != (ssize_t)sizeof(message))
            continue;
        if (is_first) {
            (void)sem_post(&pager->blocked);
            (void)sem_wait(&pager->go);
            is_first = false;
        }
        fill(pager, message.arg.pagefault.address);
    }
    return NULL;
}

static void pager_start(struct pager *pager, uint8_t *memory)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register range = {.range = {.start = (uintptr_t)memory, .len = range_bytes},
                                    .mode = UFFDIO_REGISTER_MODE_MISSING};

    *pager = (struct pager){.memory = memory};
    pager->fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (pager->fd < 0)
        check_skip("userfaultfd: %s", strerror(errno));
    CHECK_EQ(madvise(memory, range_bytes, MADV_DONTNEED), 0);
    CHECK_EQ(ioctl(pager->fd, UFFDIO_API, &api), 0);
    CHECK_EQ(ioctl(pager->fd, UFFDIO_REGISTER, &range), 0);
    CHECK_EQ(pipe2(pager->stop, O_CLOEXEC), 0);
    (void)sem_init(&pager->blocked, 0, 0);
    (void)sem_init(&pager->go, 0, 0);
    CHECK_EQ(pthread_create(&pager->thread, NULL, pager_main, pager), 0);
}

static void pager_stop(struct pager *pager)
{
    CHECK_EQ(write(pager->stop[1], "", 1), 1);
    (void)pthread_join(pager->thread, NULL);
    (void)close(pager->stop[0]);
    (void)close(pager->stop[1]);
    (void)close(pager->fd); /* what is missing still becomes zero */
    (void)sem_destroy(&pager->blocked);
    (void)sem_destroy(&pager->go);
}

static uint8_t *paged_memory(struct harness *h)
{
    uintptr_t memory = (uintptr_t)harness_alloc(h, (size_t)64 * PAGE + range_bytes);

    return (uint8_t *)((memory + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
}

static void test_pages_come_late(void)
{
    struct harness *h = harness_create(NULL);
    uint8_t *memory = paged_memory(h);
    const uint32_t *words = (const uint32_t *)(const void *)memory;
    struct warp_launch *launch;
    struct warp_outcome outcome;
    struct pager pager;

    CHECK(harness_load(h, kernel));
    pager_start(&pager, memory);
    launch = harness_start(h, "add_one", HARNESS_GRID(.grid = {PAGES}, .block = {WORDS}),
                           HARNESS_PTR(memory), HARNESS_END);
    (void)sem_wait(&pager.blocked); /* a worker hangs in an instruction now */
    (void)sem_post(&pager.go);
    outcome = harness_wait(h, launch);
    CHECK(!outcome.failed);
    pager_stop(&pager);
    CHECK_EQ(pager.filled, PAGES);
    for (unsigned i = 0; i < PAGES * WORDS; i++)
        if (!CHECK_EQ(words[i], i / WORDS * 1000 + 1))
            break;
    harness_destroy(h);
}

static void test_cancel_while_blocked(void)
{
    struct harness *h = harness_create(&(struct warp_policy){.worker_count = 1});
    uint8_t *memory = paged_memory(h);
    struct warp_launch *launch;
    struct warp_outcome outcome;
    struct pager pager;

    CHECK(harness_load(h, kernel));
    pager_start(&pager, memory);
    launch = harness_start(h, "add_one", HARNESS_GRID(.grid = {PAGES}, .block = {WORDS}),
                           HARNESS_PTR(memory), HARNESS_END);
    (void)sem_wait(&pager.blocked);
    warp_launch_cancel(launch); /* the page must come before the worker can see it */
    (void)sem_post(&pager.go);
    outcome = harness_wait(h, launch);
    CHECK(outcome.failed);
    CHECK_EQ(outcome.kind, WARP_FAULT_TIMEOUT);
    pager_stop(&pager);
    CHECK(pager.filled < PAGES); /* the other blocks never began */
    harness_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CHECK_TEST(test_pages_come_late),
                                       CHECK_TEST(test_cancel_while_blocked)};

    return check_run(tests);
}
