/* SPDX-License-Identifier: Apache-2.0
 * ucx-transport/xp_frame.h - the bytes of frames, chunk headers and messages.
 *
 * Little-endian, fixed layouts, bounds first; nothing is cast onto a buffer. Decoders take any
 * bytes, keep no pointer but into their input, and change outputs on success only. Meaning (is
 * this number due, is that offset inside) is the core's; form is checked here. Thread: any.
 */
#ifndef UCX_TRANSPORT_XP_FRAME_H
#define UCX_TRANSPORT_XP_FRAME_H

#include "ucx-transport/xp.h"

enum {
    XP_FRAME_VERSION = 1,
    XP_NONCE_BYTES = 16,
    XP_MAC_BYTES = 32,
    XP_FRAME_PREFIX_BYTES = 16,
    XP_DATA_HEADER_BYTES = XP_FRAME_PREFIX_BYTES + 48,
    XP_CHUNK_HEADER_BYTES = XP_FRAME_PREFIX_BYTES + 64,
    XP_PROBE_BYTES = XP_FRAME_PREFIX_BYTES + 8,
    XP_HELLO_BYTES = XP_FRAME_PREFIX_BYTES + 136 + XP_MAC_BYTES,
    XP_MESSAGE_HEADER_BYTES = 16,
    XP_MESSAGE_ALIGN = 8,
    XP_REPLY_PREFIX_BYTES = 8 + XP_DIGEST_BYTES, /* call number, digest; then the caller's bytes */
};

enum xp_frame_kind {
    XP_FRAME_HELLO = 1,   /* initiator: dials a leg */
    XP_FRAME_WELCOME,     /* responder: the leg is up */
    XP_FRAME_DATA,        /* messages of a lane, and acknowledgements; count 0: only these */
    XP_FRAME_PROBE,       /* are you there? */
    XP_FRAME_PROBE_REPLY, /* the same cookie */
    XP_FRAME_CHUNK,       /* header of a bulk chunk */
};

enum xp_lane_id { XP_LANE_ORDERED, XP_LANE_URGENT, XP_LANE_COUNT };

/* What every frame starts with. */
struct xp_frame_prefix {
    enum xp_frame_kind kind;
    uint16_t flags;      /* XP_FRAME_RESEND */
    uint32_t body_bytes; /* what follows the header as body */
    uint64_t token;      /* names the receiver's end of the leg; 0 in hello and welcome */
};

enum {
    XP_FRAME_RESEND = 1u << 0, /* data: I miss what comes after my watermark, send it again */
    XP_FRAME_FLAGS = XP_FRAME_RESEND,
};

struct xp_data_header {
    uint16_t flags;
    uint64_t token;
    enum xp_lane_id lane;
    uint32_t count;
    uint32_t body_bytes;
    uint64_t first;                    /* number of the first message; 0 if count is 0 */
    uint64_t received[XP_LANE_COUNT];  /* the sender of this frame has all up to here */
    uint64_t executed, executed_bytes; /* ordered lane: done so far, in commands and bytes */
};

struct xp_chunk_header {
    uint64_t token;
    uint64_t transfer_id, command, offset, total_bytes;
    uint32_t index, attempt;
    uint32_t body_bytes;
    uint32_t unit_bytes; /* the sender's chunk size, for the plan */
    uint8_t digest[XP_DIGEST_BYTES];
};

/* Hello and welcome have one layout; a welcome repeats the hello's nonce in peer_nonce. */
struct xp_hello {
    enum xp_frame_kind kind;
    uint64_t session_id;
    uint64_t epoch;      /* of this life of the leg; only ever higher */
    uint64_t your_token; /* put this into frames to me */
    uint32_t leg;        /* 2 x pair + (1 for bulk) */
    uint32_t window_calls;
    uint64_t window_bytes;
    uint32_t chunk_bytes, chunks_in_flight;
    uint64_t received[XP_LANE_COUNT];
    uint64_t executed, executed_bytes;
    uint8_t nonce[XP_NONCE_BYTES], peer_nonce[XP_NONCE_BYTES];
    uint8_t mac[XP_MAC_BYTES]; /* over everything before it, and the addresses (xp_auth.h) */
};

/* Encoders write exactly the bytes of their kind. Fields are trusted. */
void xp_frame_encode_data(const struct xp_data_header *in, uint8_t out[XP_DATA_HEADER_BYTES]);
void xp_frame_encode_chunk(const struct xp_chunk_header *in, uint8_t out[XP_CHUNK_HEADER_BYTES]);
void xp_frame_encode_probe(enum xp_frame_kind kind, uint64_t token, uint64_t cookie,
                           uint8_t out[XP_PROBE_BYTES]);
void xp_frame_encode_hello(const struct xp_hello *in, uint8_t out[XP_HELLO_BYTES]);

/* FAB_ERR_TRUNCATED, FAB_ERR_VERSION, FAB_ERR_FORMAT (unknown kind, flags or lane, bytes too many,
 * reserved bytes set, a field outside its form). */
FAB_NODISCARD enum fab_status xp_frame_decode_prefix(const uint8_t *bytes, size_t size_bytes,
                                                     struct xp_frame_prefix *out);
FAB_NODISCARD enum fab_status xp_frame_decode_data(const uint8_t *bytes, size_t size_bytes,
                                                   struct xp_data_header *out);
FAB_NODISCARD enum fab_status xp_frame_decode_chunk(const uint8_t *bytes, size_t size_bytes,
                                                    struct xp_chunk_header *out);
FAB_NODISCARD enum fab_status xp_frame_decode_probe(const uint8_t *bytes, size_t size_bytes,
                                                    uint64_t *cookie_out);
FAB_NODISCARD enum fab_status xp_frame_decode_hello(const uint8_t *bytes, size_t size_bytes,
                                                    struct xp_hello *out);

/* ------------------------------------------------------------ messages in a data frame's body */

/* POST and CALL go in the ordered lane, the rest in the urgent one. */
enum xp_wire_message {
    XP_WIRE_POST = 1,
    XP_WIRE_CALL,
    XP_WIRE_SIGNAL,
    XP_WIRE_REPLY,      /* result is the peer's answer */
    XP_WIRE_CHUNK_NOTE, /* about a chunk or transfer, receiver to sender; struct xp_note */
    XP_WIRE_BULK_FAIL,  /* a transfer ends; struct xp_note; result is the status */
    XP_WIRE_LEG_DOWN,   /* struct xp_note: id = epoch, index = leg */
    XP_WIRE_BYE,        /* orderly end of the session; result is the status */
};

struct xp_message_view {
    enum xp_wire_message kind;
    uint32_t op;
    int32_t result;
    const uint8_t *args; /* into the frame */
    uint32_t args_bytes;
};

/* Room of a message with so many argument bytes, padding included. */
size_t xp_message_bytes(size_t args_bytes);

/* Writes header and padding; the arguments go to the address returned. */
uint8_t *xp_message_encode(uint8_t *out, enum xp_wire_message kind, uint32_t op, int32_t result,
                           uint32_t args_bytes);

/* The message at *cursor of the body, which it moves on. FAB_ERR_TRUNCATED or FAB_ERR_FORMAT; also
 * for a kind that does not belong to the lane. */
FAB_NODISCARD enum fab_status xp_message_decode(const uint8_t *body, size_t body_bytes,
                                                enum xp_lane_id lane, size_t *cursor,
                                                struct xp_message_view *out);

/* Arguments of the core's own messages. */
enum { XP_NOTE_BYTES = 24 };
enum xp_note_kind {
    XP_NOTE_ACK = 1,          /* landed and used */
    XP_NOTE_HOLD,             /* no place: keep the chunk and start no other until READY */
    XP_NOTE_READY,            /* go on; index and attempt are 0 */
    XP_NOTE_AGAIN,            /* send it again (digest) */
    XP_NOTE_FAIL_TO_SENDER,   /* BULK_FAIL: the transfer that you send */
    XP_NOTE_FAIL_TO_RECEIVER, /* BULK_FAIL: the transfer that you receive */
    XP_NOTE_LEG,
};
struct xp_note {
    enum xp_note_kind kind;
    uint64_t id;
    uint32_t index, attempt;
};
void xp_note_encode(const struct xp_note *in, uint8_t out[XP_NOTE_BYTES]);
FAB_NODISCARD enum fab_status xp_note_decode(const uint8_t *bytes, size_t size_bytes,
                                             struct xp_note *out);

#endif /* UCX_TRANSPORT_XP_FRAME_H */
