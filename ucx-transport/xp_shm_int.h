/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_shm_int.h - the objects of the same-host backend, private to xp_shm*.c.
 */
#ifndef UCX_TRANSPORT_XP_SHM_INT_H
#define UCX_TRANSPORT_XP_SHM_INT_H

#include <sys/un.h>

#include "base/map.h"
#include "base/mutex.h"
#include "base/vec.h"
#include "ucx-transport/xp_backend.h"
#include "ucx-transport/xp_ring.h"

enum {
    SHM_CAPACITY_BYTES = 4 << 20, /* of each ring; above the largest frame */
    SHM_RING_BYTES = XP_RING_HEAD_BYTES + SHM_CAPACITY_BYTES,
    SHM_FRAME_BODY_MAX_BYTES = XP_MESSAGE_MAX_BYTES + (64 << 10),
    SHM_STEP_BYTES = 256 << 10,    /* of a chunk at a time, so that both ends copy at once */
    SHM_LOAN_STEP_BYTES = 1 << 20, /* of a lent chunk between looks at the other endpoints */
    SHM_STRANGERS_MAX = 64,        /* sockets that have not said who they are */
    SHM_SOCKET_TURNS = 64,         /* busy turns between looks at the sockets */
};

/* What stands before each record in a ring, 16 bytes little-endian: kind u16, header u16, 0 u32,
 * body u64. Header and body are filled up to 16. In place of the body a lent chunk has 16 bytes: id
 * u64 of registered memory and offset u64 in it. Its record is released, and the memory is the
 * sender's again, when the receiver has copied the bytes from there. */
enum {
    SHM_RECORD_BYTES = 16,
    SHM_RECORD_FRAME = 1,
    SHM_RECORD_CHUNK = 2,
    SHM_RECORD_LENT = 3,
    SHM_LOAN_BYTES = 16,
};

/* Messages on the socket: one byte of kind, then the struct; a descriptor beside where said. */
enum shm_word {
    SHM_WORD_RINGS = 1, /* connector: descriptor of both rings */
    SHM_WORD_WAKE,      /* look at the rings */
    SHM_WORD_MEMORY,    /* descriptor of registered memory; struct shm_memory_word */
    SHM_WORD_FORGET,    /* struct shm_memory_word: only the id counts */
};
struct shm_memory_word {
    uint64_t id, offset, size_bytes, writable; /* same machine: its own byte order */
};

/* What an epoll event belongs to. */
enum shm_source_kind { SHM_SOURCE_LISTENER, SHM_SOURCE_EP, SHM_SOURCE_STRANGER };
struct shm_source {
    enum shm_source_kind kind;
    void *object;
};

/* Registered memory of this process, offered to peers. */
struct shm_memory {
    struct fab_list link; /* wire->memories */
    struct xp_wire *wire;
    struct shm_memory_word word;
    const char *address; /* here */
    int fd;              /* read-only unless peers may write */
};

/* A peer's registered memory, mapped. */
struct shm_view {
    struct shm_memory_word word;
    void *mapped;
};

struct shm_stranger {
    struct fab_list link; /* wire->strangers */
    struct shm_source source;
    int fd;
};

struct xp_ep {
    struct fab_list link; /* wire->eps */
    struct shm_source source, death_source;
    struct xp_wire *wire;
    void *owner;
    int fd;       /* the socket */
    int death_fd; /* pidfd of the peer; -1 */
    void *memory; /* both rings */
    struct xp_ring out, in;
    bool hung, told_failed, closing, proved;
    bool stalled;          /* a frame did not fit: progress() says when it may */
    struct fab_list sends; /* chunks; the first is being written */
    uint64_t sent_bytes;   /* of its body; its record is written */
    bool record_written;
    struct fab_list lent;         /* chunks whose bytes the peer still has to copy, oldest first */
    uint64_t body_left, pad_left; /* of the incoming chunk */
    struct xp_landing *landing;   /* where it goes; NULL: nowhere */
    bool wake_due;                /* the peer waits for what it lent; it can until we have all */
    bool was_frame;               /* what was taken last: nobody waits for its room */
    bool borrowed;                /* it lies in memory of the peer: */
    uint64_t loan_id, loan_offset;
    /* wire->lock: */
    struct fab_map views;   /* id -> struct shm_view */
    struct fab_map told;    /* id -> struct shm_memory that the peer knows */
    struct fab_vec forgets; /* ids that it shall forget */
    bool behind;            /* its socket was full: not all is said */
};

struct xp_wire {
    struct xp_wire_config config;
    struct sockaddr_un address;
    socklen_t address_bytes;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": abstract */
    int listen_fd, epoll_fd;
    struct shm_source listen_source;
    uint32_t turns;
    bool look_at_sockets;
    struct fab_list eps, strangers;
    const struct xp_ep *recent; /* the last one that a frame or chunk came or went by; NULL */
    uint32_t stranger_count;
    uint8_t *frame;        /* one frame's header and body, out of the peer's reach */
    struct fab_mutex lock; /* eps (changes), memories, views: mem_register() and view() come from
                              any thread */
    struct fab_list memories;
    struct fab_mutex words_lock; /* before lock: what sockets say is taken by one thread */
};

struct xp_offer {
    struct xp_ep *ep;
    bool answered;
};

/* xp_shm.c */
void shm_ep_hung(struct xp_ep *ep);
struct xp_ep *shm_ep_create(struct xp_wire *wire, int fd, void *memory, bool connector,
                            void *owner);
bool shm_has_fds(const struct xp_wire *wire); /* see xp_wire_events */
void shm_wake_peer(struct xp_ep *ep);

/* xp_shm_socket.c */
bool shm_sockets_look(struct xp_wire *wire); /* all that is readable now */
bool shm_ep_take_words(struct xp_ep *ep);    /* false: the peer is gone */
FAB_NODISCARD enum fab_status shm_listen(struct xp_wire *wire, struct fab_err *err);
FAB_NODISCARD enum fab_status shm_connect(struct xp_wire *wire, const uint8_t *address,
                                          size_t address_bytes, void *owner, struct xp_ep **ep_out,
                                          struct fab_err *err);
void shm_stranger_free(struct shm_stranger *stranger);
void shm_ep_hear(struct xp_ep *ep);                 /* what is on its socket now */
void shm_watch_room(struct xp_ep *ep, bool wanted); /* an event when its socket has room */
bool shm_say(int fd, enum shm_word word, const struct shm_memory_word *memory, int passed_fd);

/* xp_shm_memory.c */
void shm_memory_tell_locked(struct xp_ep *ep); /* all that a proved peer does not know yet */
/* Whether the peer knows the memory that holds these bytes, and where they are in it. */
bool shm_memory_lends(struct xp_ep *ep, const struct xp_buffer *bytes, uint64_t *id_out,
                      uint64_t *offset_out);
void shm_view_add(struct xp_ep *ep, const struct shm_memory_word *word,
                  int fd); /* fd is borrowed */
void shm_view_forget(struct xp_ep *ep, uint64_t id);
void shm_views_free(struct xp_ep *ep);
enum fab_status shm_mem_register(struct xp_wire *wire, const struct xp_mem_config *config,
                                 uint64_t mem_id, void **registration_out, struct fab_err *err);
void shm_mem_unregister(struct xp_wire *wire, void *registration);
void *shm_view(struct xp_ep *ep, uint64_t mem_id, uint64_t offset, size_t size_bytes, bool write);

#endif /* UCX_TRANSPORT_XP_SHM_INT_H */
