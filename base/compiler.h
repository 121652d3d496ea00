/* SPDX-License-Identifier: Apache-2.0
 * base/compiler.h - GNU attributes and small helpers behind our own names.
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#define FAB_NODISCARD __attribute__((warn_unused_result))
#define FAB_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define FAB_NORETURN __attribute__((noreturn))
#define FAB_EXPORT __attribute__((visibility("default")))
#define FAB_ALIGNED(n) __attribute__((aligned(n)))
#define FAB_LIKELY(x) __builtin_expect(!!(x), 1)
#define FAB_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define FAB_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Lock contracts, checked by clang -Wthread-safety (preset analyze), empty elsewhere. */
#if defined(__clang__)
#define FAB_TSA(x) __attribute__((x))
#else
#define FAB_TSA(x)
#endif
#define FAB_CAPABILITY(kind) FAB_TSA(capability(kind)) /* on a lock type: base/mutex.h */
#define FAB_UNCHECKED FAB_TSA(no_thread_safety_analysis)
#define FAB_REQUIRES(lock) FAB_TSA(requires_capability(lock))
#define FAB_EXCLUDES(lock) FAB_TSA(locks_excluded(lock))
#define FAB_ACQUIRE(lock) FAB_TSA(acquire_capability(lock))
#define FAB_RELEASE(lock) FAB_TSA(release_capability(lock))

#endif /* BASE_COMPILER_H */
