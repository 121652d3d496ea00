/* SPDX-License-Identifier: Apache-2.0
 * tests/random/faults.h - what happens to a random program on remote GPUs, once, from a seed.
 *
 * Until it happens every result must be the native one. Some faults must not be noticed at all;
 * after the others each call gives the native result or the error that is documented for the fault,
 * memory that can still be read is right, and all devices but lost ones work again after their
 * contexts were reset.
 */
#ifndef TESTS_RANDOM_FAULTS_H
#define TESTS_RANDOM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

enum fault_kind {
    FAULT_KILLED,  /* a worker's process */
    FAULT_RAIL,    /* one rail of a host is cut for a while: not noticed */
    FAULT_RAILS,   /* all rails of a host, for less than the grace period: not noticed */
    FAULT_LOST,    /* all rails of a host until it is given up */
    FAULT_MEMORY,  /* a worker's driver has no memory for a block or an allocation */
    FAULT_TRAP,    /* a worker's driver runs into a trap instead of a kernel */
    FAULT_LAUNCH,  /* a worker's driver refuses a launch */
    FAULT_MEMLOCK, /* the program may lock no memory: not noticed */
    FAULT_MEMFD,   /* there is no room for a memory file of the program */
    FAULT_KINDS,
};

struct fault_plan {
    enum fault_kind kind;
    uint32_t step;     /* it comes when this step begins .. */
    uint32_t delay_us; /* .. or so much later */
    uint32_t lasts_us; /* RAIL, RAILS */
    uint32_t worker, rail;
    uint32_t count;     /* MEMORY, TRAP, LAUNCH, MEMFD: the how manyth call from then on */
    uint64_t lost_mask; /* devices */
    int codes[2];       /* documented errors; 0: none */
};

/* Names of kinds, with commas, to a mask; 0: a name is unknown. */
uint32_t fault_kinds(const char *names);
const char *fault_name(enum fault_kind kind);
/* Kinds that cannot be brought about here are taken out of the mask: cuts need a rack, drivers'
 * faults RANDOM_FAULT_FILE and a driver that reads it. */
uint32_t fault_kinds_possible(uint32_t kinds);
void fault_plan_make(uint64_t seed, uint32_t kinds, uint32_t steps, uint32_t workers,
                     uint32_t devices, struct fault_plan *plan);
bool fault_is_documented(const struct fault_plan *plan, int result);

/* In the process that it happens to: before cuInit; when its step begins; when the program has
 * ended (it has happened by then); when all was looked at. False: the machine does not allow it. */
bool fault_prepare(const struct fault_plan *plan);
void fault_begin(const struct fault_plan *plan);
void fault_join(const struct fault_plan *plan);
void fault_end(const struct fault_plan *plan);

/* The file that a driver of a worker looks into (faults/driver.c). */
struct fault_file {
    _Atomic uint32_t kind;  /* and one; 0: nothing is wrong */
    _Atomic uint32_t count; /* calls until it happens */
};

#endif /* TESTS_RANDOM_FAULTS_H */
