/* SPDX-License-Identifier: Apache-2.0
 * examples/train-mpi/shapes.c - see shapes.h.
 */
#include "shapes.h"

#include <math.h>

enum { STROKES = 5 };

/* Strokes of each digit in a box of 4 by 6, y downwards: x0 y0 x1 y1. Unused: all zero. */
static const unsigned char digits[SHAPES_CLASSES][STROKES][4] = {
    {{0, 0, 4, 0}, {4, 0, 4, 6}, {4, 6, 0, 6}, {0, 6, 0, 0}},
    {{1, 1, 2, 0}, {2, 0, 2, 6}},
    {{0, 0, 4, 0}, {4, 0, 4, 3}, {4, 3, 0, 6}, {0, 6, 4, 6}},
    {{0, 0, 4, 0}, {4, 0, 4, 6}, {0, 3, 4, 3}, {0, 6, 4, 6}},
    {{0, 0, 0, 3}, {0, 3, 4, 3}, {4, 0, 4, 6}},
    {{4, 0, 0, 0}, {0, 0, 0, 3}, {0, 3, 4, 3}, {4, 3, 4, 6}, {4, 6, 0, 6}},
    {{3, 0, 0, 3}, {0, 3, 0, 6}, {0, 6, 4, 6}, {4, 6, 4, 3}, {4, 3, 0, 3}},
    {{0, 0, 4, 0}, {4, 0, 1, 6}},
    {{0, 0, 4, 0}, {4, 0, 0, 6}, {0, 6, 4, 6}, {4, 6, 0, 0}},
    {{4, 3, 0, 3}, {0, 3, 0, 0}, {0, 0, 4, 0}, {4, 0, 4, 3}, {4, 3, 2, 6}},
};

struct point {
    float x, y;
};

/* How this sample's digit lies on the paper. */
struct placing {
    float scale_x, scale_y, sine, cosine, dx, dy, width;
};

/* Mixes as the finaliser of MurmurHash3 does (public domain). */
static uint32_t mix(uint32_t value)
{
    value ^= value >> 16;
    value *= 0x85ebca6bu;
    value ^= value >> 13;
    value *= 0xc2b2ae35u;
    return value ^ value >> 16;
}

float shapes_random(uint32_t seed, uint32_t number)
{
    return (float)(mix(mix(seed + 0x9e3779b9u) ^ number * 0x9e3779b9u) >> 8) / (float)(1 << 24);
}

/* From -most to most. */
static float around(uint32_t sample, uint32_t number, float most)
{
    return (2.0f * shapes_random(sample, number) - 1.0f) * most;
}

static struct point place(const struct placing *placing, float x, float y)
{
    float across = (x - 2.0f) * placing->scale_x, down = (y - 3.0f) * placing->scale_y;

    return (struct point){
        SHAPES_SIDE / 2.0f + placing->dx + across * placing->cosine - down * placing->sine,
        SHAPES_SIDE / 2.0f + placing->dy + across * placing->sine + down * placing->cosine};
}

static float distance(struct point at, struct point from, struct point to)
{
    float x = to.x - from.x, y = to.y - from.y;
    float along = ((at.x - from.x) * x + (at.y - from.y) * y) / (x * x + y * y);

    along = fminf(fmaxf(along, 0.0f), 1.0f);
    x = from.x + along * x - at.x;
    y = from.y + along * y - at.y;
    return sqrtf(x * x + y * y);
}

/* The ink of all strokes at one pixel. */
static float ink(const struct placing *placing, int digit, struct point at)
{
    float nearest = SHAPES_SIDE;

    for (int s = 0; s < STROKES; s++) {
        const unsigned char *stroke = digits[digit][s];

        if (stroke[0] == stroke[2] && stroke[1] == stroke[3])
            continue;
        nearest = fminf(nearest, distance(at, place(placing, stroke[0], stroke[1]),
                                          place(placing, stroke[2], stroke[3])));
    }
    return fminf(fmaxf(placing->width - nearest + 0.5f, 0.0f), 1.0f);
}

int shapes_draw(uint32_t sample, float *pixels)
{
    int digit = (int)(sample % SHAPES_CLASSES);
    float turn = around(sample, 0, 0.2f);
    struct placing placing = {
        .scale_x = 1.7f + around(sample, 1, 0.4f),
        .scale_y = 1.7f + around(sample, 2, 0.3f),
        .sine = sinf(turn),
        .cosine = cosf(turn),
        .dx = around(sample, 3, 1.5f),
        .dy = around(sample, 4, 1.0f),
        .width = 0.9f + around(sample, 5, 0.3f),
    };

    for (int y = 0; y < SHAPES_SIDE; y++)
        for (int x = 0; x < SHAPES_SIDE; x++) {
            struct point at = {(float)x + 0.5f, (float)y + 0.5f};
            int pixel = y * SHAPES_SIDE + x;

            pixels[pixel] = ink(&placing, digit, at) + around(sample, 100 + (uint32_t)pixel, 0.2f);
        }
    return digit;
}
