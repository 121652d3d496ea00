/* SPDX-License-Identifier: Apache-2.0
 * compose.h - libcompose: GPUs of the rack for programs that compose systems themselves.
 *
 * A client of the Redfish API that fabricd answers (docs/api.md), over its unix socket or HTTPS;
 * `compose` is made of the same calls. Every call blocks until it is answered. One object belongs
 * to one thread at a time; several objects may be used at once. Depends on nothing but the C
 * library, so it may be included from C11 and C++.
 *
 *     cc program.c $(pkg-config --cflags --libs libcompose)
 */
#ifndef COMPOSE_H
#define COMPOSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COMPOSE_EXPORT __attribute__((visibility("default")))

enum {
    COMPOSE_NAME_BYTES = 64,
    COMPOSE_UUID_BYTES = 48,
    COMPOSE_REASON_BYTES = 200,
    COMPOSE_GPUS_MAX = 64 /* of one system */
};

/* Where the daemon listens when neither the caller nor FABRIC_API says it. */
#define COMPOSE_SOCKET "/run/fabricd/api.sock"

enum compose_status {
    COMPOSE_OK,
    COMPOSE_MISUSED,   /* the request is wrong in itself (400, 405) */
    COMPOSE_DENIED,    /* not allowed, or the certificate or token was refused (401, 403) */
    COMPOSE_NOT_FOUND, /* no such system, node or GPU (404) */
    COMPOSE_CONFLICT,  /* the name is taken, or the object's state forbids it (409) */
    COMPOSE_FULL,      /* not enough free GPUs (503, code Fabric.1.0.Full) */
    COMPOSE_AWAY,      /* no daemon, or a daemon without its manager: trying again may help */
    COMPOSE_TIMEOUT,   /* the limit passed; what was begun has been undone (504) */
    COMPOSE_FAILED     /* all else: no memory, an answer that cannot be read */
};

/* Why a call failed. Filled on failure only; every function takes NULL for it. */
struct compose_error {
    enum compose_status status;
    unsigned http_status; /* 0: there was no answer */
    char code[64];        /* the API's, such as "Fabric.1.0.Full"; "": ours */
    char message[512];    /* one sentence: what was asked, what stands in the way, what to do */
};

struct compose; /* a connection */

struct compose_options {
    /* A unix socket's path, or "https://HOST[:PORT]". NULL: $FABRIC_API, else COMPOSE_SOCKET. */
    const char *api;
    const char *ca;                /* HTTPS: file of the CA's certificate; NULL: the system's */
    const char *certificate, *key; /* HTTPS: files of the caller's own; NULL: none */
    const char *token;             /* HTTPS: of a Redfish session (X-Auth-Token); NULL: none */
    /* Called about once a second while an answer is waited for; not 0 gives up: the request is
     * withdrawn and the call fails with COMPOSE_TIMEOUT. NULL: never. */
    int (*tick)(void *user);
    void *user;
};

/* Opens nothing yet: the first request connects. `options` may be NULL; it is copied. */
COMPOSE_EXPORT enum compose_status compose_open(const struct compose_options *options,
                                                struct compose **compose_out,
                                                struct compose_error *error);
COMPOSE_EXPORT void compose_close(struct compose *compose); /* takes NULL */

/* ---- systems ------------------------------------------------------------------------------- */

struct compose_gpu {
    char uuid[COMPOSE_UUID_BYTES];
    char node[COMPOSE_NAME_BYTES]; /* where it is */
    char model[COMPOSE_NAME_BYTES];
    uint32_t index; /* on its node */
    int load;       /* percent; -1: unknown */
    uint64_t memory_bytes;
    uint64_t used_bytes; /* UINT64_MAX: unknown */
};

/* A host of a system; its programs count the GPUs from 0 in this order. */
struct compose_host {
    char name[COMPOSE_NAME_BYTES];
    size_t gpu_count;
    struct compose_gpu *gpus;
};

struct compose_system {
    char name[COMPOSE_NAME_BYTES];
    char state[16]; /* "reserved", "composing", "composed", "releasing", "failed" */
    char reason[COMPOSE_REASON_BYTES];
    uint32_t owner_uid;
    uint64_t created_ms, since_ms; /* since 1970; of the system, of its state */
    size_t host_count, gpu_count;
    struct compose_host *hosts;
};

/* What is asked for. All zero but what matters. */
struct compose_request {
    const char *name;         /* NULL: the manager makes one */
    const char *const *hosts; /* at least one; the GPUs are split evenly */
    size_t host_count;
    uint32_t gpus; /* how many; 0 if `uuids` names them */
    const char *const *uuids;
    size_t uuid_count;
    const char *strategy; /* "pack", "spread"; NULL: by the bandwidth that each GPU gets */
    uint32_t rails;       /* to use, on nodes that have so many; 0: all */
    uint64_t wait_ms;     /* stand in line for so long when the rack is full; 0: do not wait */
    uint64_t limit_ms;    /* for composing; 0: the manager's own */
    int is_adhoc;         /* ends with the calling process, whatever it becomes by execve() */
};

/* All GPUs or none. Returns when they are composed and checked. The same request for a name that
 * the same user has already made gives that system. The system is given (compose_system_free). */
COMPOSE_EXPORT enum compose_status compose_create(struct compose *compose,
                                                  const struct compose_request *request,
                                                  struct compose_system **system_out,
                                                  struct compose_error *error);
/* All that the caller may see, by age; given (compose_list_free). */
COMPOSE_EXPORT enum compose_status compose_list(struct compose *compose,
                                                struct compose_system ***systems_out,
                                                size_t *count_out, struct compose_error *error);
COMPOSE_EXPORT enum compose_status compose_show(struct compose *compose, const char *name,
                                                struct compose_system **system_out,
                                                struct compose_error *error);
/* Returns when every GPU is released. */
COMPOSE_EXPORT enum compose_status compose_delete(struct compose *compose, const char *name,
                                                  struct compose_error *error);
/* Until somebody else's create of `name` has ended: COMPOSE_OK when it is composed,
 * COMPOSE_CONFLICT when it failed, COMPOSE_TIMEOUT. The system may not be there yet. */
COMPOSE_EXPORT enum compose_status compose_wait(struct compose *compose, const char *name,
                                                uint64_t limit_ms, struct compose_error *error);

COMPOSE_EXPORT void compose_system_free(struct compose_system *system); /* takes NULL */
COMPOSE_EXPORT void compose_list_free(struct compose_system **systems, size_t count);

/* ---- all else, as the API says it ------------------------------------------------------------ */

struct compose_answer {
    unsigned http_status;
    char *body; /* ends with a NUL that is not counted */
    size_t body_bytes;
};

/* One request; `path` begins with "/", `body` is JSON or NULL. The answer is given
 * (compose_answer_clear) on COMPOSE_OK, which is any status from 200 to 299. */
COMPOSE_EXPORT enum compose_status compose_ask(struct compose *compose, const char *method,
                                               const char *path, const char *body,
                                               struct compose_answer *answer_out,
                                               struct compose_error *error);
COMPOSE_EXPORT void compose_answer_clear(struct compose_answer *answer);

/* Events as they happen, after those that are kept and have a number above `after`;
 * COMPOSE_FROM_NOW: none of these. `take` gets each one's number and JSON object, and ends it by
 * not returning 0 (COMPOSE_OK). Else it lasts until the connection ends: COMPOSE_AWAY, and the
 * caller may go on after the last number. */
#define COMPOSE_FROM_NOW UINT64_MAX
COMPOSE_EXPORT enum compose_status compose_follow(struct compose *compose, uint64_t after,
                                                  int (*take)(void *user, uint64_t number,
                                                              const char *json),
                                                  void *user, struct compose_error *error);

#ifdef __cplusplus
}
#endif

#endif /* COMPOSE_H */
