/* SPDX-License-Identifier: Apache-2.0
 * softcuda/driver/event.h - events: a place in a stream, and the time it was passed.
 */
#ifndef SOFTCUDA_DRIVER_EVENT_H
#define SOFTCUDA_DRIVER_EVENT_H

struct soft_context;

/* The context is being closed: the handles of its events go stale. */
void soft_events_close(struct soft_context *context);

#endif /* SOFTCUDA_DRIVER_EVENT_H */
