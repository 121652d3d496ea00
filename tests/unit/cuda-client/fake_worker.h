/* SPDX-License-Identifier: Apache-2.0
 * tests/unit/cuda-client/fake_worker.h - a worker without a driver, that does as it is told.
 *
 * It attaches like gpu-worker, describes devices of its own making, answers every call with success
 * and zeros, and counts what comes. Tests steer it through cuCtxSetLimit: the limit says what to
 * do, the value is the number that cuCtxGetLimit then gives.
 */
#ifndef TESTS_UNIT_CUDA_CLIENT_FAKE_WORKER_H
#define TESTS_UNIT_CUDA_CLIENT_FAKE_WORKER_H

/* Values of cuCtxSetLimit(CU_LIMIT_STACK_SIZE, ..). */
enum fake_order {
    FAKE_COUNT_OF = 1000,      /* + op: the limit is then how many of it have come */
    FAKE_LAST_FLAG = 2000,     /* the flag that the last event_notify, flag_wait or flag named */
    FAKE_BUSY = 2001,          /* from now on watches answer "not ready", and nobody is told */
    FAKE_REACH = 2002,         /* all that was asked about is reached */
    FAKE_SET_FLAG = 2003,      /* sends the last flag to the client */
    FAKE_RUN_HOST = 2004,      /* the streams come to their host functions */
    FAKE_PRINT = 2005,         /* one line of device text */
    FAKE_LATE = 2006,          /* a posted command failed */
    FAKE_FAULT = 2007,         /* a kernel failed in the context */
    FAKE_NONSENSE = 2008,      /* replies are cut from now on */
    FAKE_NONSENSE_DOWN = 2009, /* a message that does not decode */
    FAKE_DIE = 2010,
    FAKE_LAST_PEER = 2011,   /* that the last event_notify named */
    FAKE_CANNOT_TELL = 2012, /* the next record that asks to be told of will not be */
    FAKE_ASKED_TELL = 2013,  /* how many records have asked to be told of */
    FAKE_LAST_TELL = 2014,   /* by which the last of them wanted to be told */
    FAKE_TELL = 2015,        /* tells of that one, and of nothing else */
    FAKE_TELL_FAULT = 2016,  /* the same: a kernel failed before it */
    FAKE_FAIL_COPIES = 2017, /* from now on there is no memory for copies in bulk, and no bytes for
                              * small ones to the host; no reply tells of them */
    FAKE_REFUSE_COPIES = 2018, /* the same: their commands fail */
};

int fake_worker_main(void);

#endif /* TESTS_UNIT_CUDA_CLIENT_FAKE_WORKER_H */
