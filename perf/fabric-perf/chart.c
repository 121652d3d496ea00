/* SPDX-License-Identifier: Apache-2.0
 * perf/fabric-perf/chart.c - see chart.h.
 *
 * Both axes are logarithmic: sizes span eight decades and so do times. A line ends where a result
 * has no clean number, and goes on behind it.
 */
#include "perf/fabric-perf/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "perf/fabric-perf/print.h"

enum { LEFT = 52, RIGHT = 24, TOP = 34, BOTTOM = 36, POINTS_MIN = 3, SERIES_MAX = 12, COLOURS = 8 };

/* Okabe and Ito's, which people who see fewer colours can tell apart; the first is the ink. */
static const char *const colours[COLOURS] = {"#3a3f47", "#0072b2", "#d55e00", "#009e73",
                                             "#b0529a", "#c98a00", "#2f9fd0", "#7a5230"};
static const char *const dark_colours[COLOURS] = {"#d7dae0", "#56b4e9", "#ff8c42", "#2fc79b",
                                                  "#e39bc8", "#f0c04a", "#8fd0f0", "#c79a6b"};

void fp_escape(FILE *file, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            (void)fputs("&lt;", file);
        else if (*text == '>')
            (void)fputs("&gt;", file);
        else if (*text == '&')
            (void)fputs("&amp;", file);
        else if (*text == '"')
            (void)fputs("&quot;", file);
        else
            (void)fputc(*text >= ' ' && *text <= '~' ? *text : '?', file);
    }
}

/* ---- which --------------------------------------------------------------------------------------
 */

static double value_of(const struct fp_chart *chart, const struct fp_row *row)
{
    return chart->is_time ? row->us : row->mb_s;
}

double fp_chart_value(const struct fp_chart *chart, const struct fp_result *result, uint64_t size)
{
    struct fp_key key = chart->key;
    const struct fp_row *row;

    key.size = size;
    row = fp_find(result, &key);
    return row ? value_of(chart, row) : 0;
}

static uint32_t count_points(const struct fp_chart *chart, const struct fp_result *result)
{
    uint32_t points = 0;

    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct fp_row *row = &result->rows[i];

        points += value_of(chart, row) > 0 && row->key.size > 0 &&
                  fp_key_is_alike(&row->key, &chart->key);
    }
    return points;
}

static bool has_chart(const struct fp_chart *charts, uint32_t count, const struct fp_key *key)
{
    for (uint32_t i = 0; i < count; i++)
        if (fp_key_is_alike(&charts[i].key, key))
            return true;
    return false;
}

/* By what is copied, from where, how, and by how many. */
static int compare_charts(const void *one, const void *other)
{
    const struct fp_key *a = &((const struct fp_chart *)one)->key;
    const struct fp_key *b = &((const struct fp_chart *)other)->key;
    const int64_t differences[] = {
        (int64_t)a->gpus - b->gpus, (int64_t)a->test - b->test, (int64_t)a->memory - b->memory,
        (int64_t)a->peer - b->peer, (int64_t)a->call - b->call, (int64_t)a->streams - b->streams,
    };

    for (size_t i = 0; i < FAB_ARRAY_LEN(differences); i++)
        if (differences[i] != 0)
            return differences[i] < 0 ? -1 : 1;
    return 0;
}

uint32_t fp_charts_find(const struct fp_result *results, uint32_t count,
                        struct fp_chart charts[FP_CHARTS_MAX])
{
    uint32_t found = 0;

    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < results[r].row_count && found < FP_CHARTS_MAX; i++) {
            const struct fp_key *key = &results[r].rows[i].key;

            if (key->test == FP_MEMCPY || key->test == FP_LIMIT || key->size == 0 ||
                has_chart(charts, found, key))
                continue;
            charts[found] = (struct fp_chart){.key = *key, .is_time = key->call == FP_CALL_SYNC};
            found += count_points(&charts[found], &results[r]) >= POINTS_MIN;
        }
    }
    qsort(charts, found, sizeof(*charts), compare_charts);
    return found;
}

uint64_t fp_chart_size(const struct fp_chart *chart, const struct fp_result *results,
                       uint32_t count)
{
    uint64_t best = 0;
    uint32_t best_having = 0;

    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < results[r].row_count; i++) {
            const struct fp_key *key = &results[r].rows[i].key;
            uint32_t having = 0;

            if (key->size == 0 || !fp_key_is_alike(key, &chart->key))
                continue;
            for (uint32_t other = 0; other < count; other++)
                having += fp_chart_value(chart, &results[other], key->size) > 0;
            if (having > best_having || (having == best_having && having > 0 &&
                                         (chart->is_time ? key->size < best : key->size > best))) {
                best = key->size;
                best_having = having;
            }
        }
    }
    return best;
}

/* ---- series -------------------------------------------------------------------------------------
 */

/* Rows of one line. */
struct series {
    const struct fp_result *result;
    struct fp_key key; /* of a measurement ... */
    const char *name;  /* ... or of a limit */
    uint32_t colour;
};

static bool is_of(const struct series *series, const struct fp_row *row)
{
    if (series->key.test == FP_LIMIT)
        return row->key.test == FP_LIMIT && strcmp(row->name, series->name) == 0;
    return fp_key_is_alike(&row->key, &series->key);
}

static void add_series(struct series *all, uint32_t *count, struct series one,
                       const struct fp_chart *chart)
{
    for (uint32_t i = 0; i < *count; i++) /* a limit that several files have counts once */
        if (one.name && all[i].name && strcmp(all[i].name, one.name) == 0)
            return;
    for (uint32_t i = 0; i < one.result->row_count && *count < SERIES_MAX; i++)
        if (is_of(&one, &one.result->rows[i]) && value_of(chart, &one.result->rows[i]) > 0) {
            all[(*count)++] = one;
            return;
        }
}

/* Limits are drawn first: what was measured lies on top of them. */
static uint32_t find_series(const struct fp_chart *chart, const struct fp_result *results,
                            uint32_t count, struct series all[SERIES_MAX])
{
    const bool is_memory = chart->key.test == FP_H2D || chart->key.test == FP_D2H ||
                           chart->key.test == FP_D2D || chart->key.test == FP_BOTH;
    uint32_t found = 0;

    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < results[r].row_count; i++) {
            const struct fp_row *row = &results[r].rows[i];
            const bool is_other = row->key.test == FP_LIMIT;

            if ((is_other && chart->key.test != FP_D2D && chart->key.call != FP_CALL_KERNEL) ||
                (row->key.test == FP_MEMCPY && !chart->is_time && is_memory))
                add_series(all, &found,
                           (struct series){.result = &results[r],
                                           .key = row->key,
                                           .name = is_other ? row->name : "memcpy, one thread"},
                           chart);
        }
    }
    for (uint32_t r = 0; r < count; r++)
        add_series(all, &found,
                   (struct series){.result = &results[r], .key = chart->key, .colour = r}, chart);
    return found;
}

/* ---- drawing ------------------------------------------------------------------------------------
 */

struct frame {
    double x_low, x_high, y_low, y_high; /* logarithms: of 2, of 10 */
};

static double x_at(const struct frame *frame, double size)
{
    return LEFT + (log2(size) - frame->x_low) / (frame->x_high - frame->x_low) *
                      (FP_CHART_WIDTH - LEFT - RIGHT);
}

static double y_at(const struct frame *frame, double value)
{
    return FP_CHART_HEIGHT - BOTTOM -
           (log10(value) - frame->y_low) / (frame->y_high - frame->y_low) *
               (FP_CHART_HEIGHT - TOP - BOTTOM);
}

static struct frame find_frame(const struct fp_chart *chart, const struct series *all,
                               uint32_t count)
{
    struct frame frame = {INFINITY, -INFINITY, INFINITY, -INFINITY};

    for (uint32_t s = 0; s < count; s++) {
        for (uint32_t i = 0; i < all[s].result->row_count; i++) {
            const struct fp_row *row = &all[s].result->rows[i];
            const double value = value_of(chart, row);

            if (!is_of(&all[s], row) || value <= 0)
                continue;
            frame.y_low = fmin(frame.y_low, log10(value));
            frame.y_high = fmax(frame.y_high, log10(value));
            if (row->key.size == 0 || all[s].name)
                continue; /* a limit's sizes do not widen the plot */
            frame.x_low = fmin(frame.x_low, log2((double)row->key.size));
            frame.x_high = fmax(frame.x_high, log2((double)row->key.size));
        }
    }
    frame.y_low = floor(frame.y_low * 2 + 0.001) / 2; /* half decades */
    frame.y_high = ceil(frame.y_high * 2 - 0.001) / 2;
    if (frame.y_high <= frame.y_low)
        frame.y_high = frame.y_low + 0.5;
    if (frame.x_high <= frame.x_low)
        frame.x_high = frame.x_low + 1;
    return frame;
}

static const char *tick_text(double value, char text[FP_NUMBER_BYTES])
{
    if (value >= 1e6)
        (void)snprintf(text, FP_NUMBER_BYTES, "%gM", value / 1e6);
    else if (value >= 1e3)
        (void)snprintf(text, FP_NUMBER_BYTES, "%gk", value / 1e3);
    else
        (void)snprintf(text, FP_NUMBER_BYTES, "%g", value);
    return text;
}

static void draw_y_axis(FILE *file, const struct frame *frame)
{
    char text[FP_NUMBER_BYTES];

    for (int decade = (int)floor(frame->y_low); decade <= (int)ceil(frame->y_high); decade++) {
        for (int step = 1; step < 10; step++) {
            const double value = step * pow(10, decade);
            const bool is_named = step == 1 || (step == 3 && frame->y_high - frame->y_low < 1.6);

            if (log10(value) < frame->y_low - 0.001 || log10(value) > frame->y_high + 0.001)
                continue;
            if (step == 1 || is_named || frame->y_high - frame->y_low < 2.6)
                (void)fprintf(file,
                              "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
                              is_named ? "grid" : "fine", LEFT, FP_CHART_WIDTH - RIGHT,
                              y_at(frame, value), y_at(frame, value));
            if (is_named)
                (void)fprintf(
                    file,
                    "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                    LEFT - 6, y_at(frame, value) + 4, tick_text(value, text));
        }
    }
}

static void draw_x_axis(FILE *file, const struct frame *frame)
{
    const int step = frame->x_high - frame->x_low > 14 ? 4 : 2;
    char text[FP_NUMBER_BYTES];

    for (int power = (int)ceil(frame->x_low); power <= (int)floor(frame->x_high + 0.001); power++) {
        const double x = x_at(frame, ldexp(1, power));

        if (power % step != 0)
            continue;
        (void)fprintf(file, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n",
                      x, x, TOP, FP_CHART_HEIGHT - BOTTOM);
        (void)fprintf(file,
                      "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
                      x, FP_CHART_HEIGHT - BOTTOM + 16, fp_size_text(UINT64_C(1) << power, text));
    }
}

/* The point, its interval and its numbers for a pointer that rests on it. */
static void draw_point(FILE *file, const struct fp_chart *chart, const struct frame *frame,
                       const struct series *series, const struct fp_row *row)
{
    char size[FP_NUMBER_BYTES], us[FP_NUMBER_BYTES], rate[FP_NUMBER_BYTES];
    const double x = x_at(frame, (double)row->key.size), value = value_of(chart, row);

    if (row->us_low > 0 && row->us_high > row->us_low) {
        const double low =
            value * (chart->is_time ? row->us_low / row->us : row->us / row->us_high);
        const double high =
            value * (chart->is_time ? row->us_high / row->us : row->us / row->us_low);

        (void)fprintf(file, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x,
                      fmin(y_at(frame, low), FP_CHART_HEIGHT - BOTTOM),
                      fmax(y_at(frame, high), TOP));
    }
    (void)fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>", x, y_at(frame, value));
    fp_escape(file, series->name ? series->name : series->result->label);
    (void)fprintf(file, ", %s: %s us, %s MB/s</title></circle>\n",
                  fp_size_text(row->key.size, size), fp_number(row->us, us),
                  fp_number(row->mb_s, rate));
}

/* A limit without a size is a line across. */
static void draw_level(FILE *file, const struct frame *frame, const struct series *series,
                       double value)
{
    (void)fprintf(file, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"><title>", LEFT,
                  FP_CHART_WIDTH - RIGHT, y_at(frame, value), y_at(frame, value));
    fp_escape(file, series->name);
    (void)fprintf(file, "</title></line>\n");
}

static bool is_inside(const struct frame *frame, const struct fp_row *row)
{
    const double x = row->key.size > 0 ? log2((double)row->key.size) : -1;

    return x >= frame->x_low - 0.001 && x <= frame->x_high + 0.001;
}

static void draw_line(FILE *file, const struct fp_chart *chart, const struct frame *frame,
                      const struct series *series)
{
    const struct fp_result *result = series->result;
    bool is_open = false;

    for (uint32_t i = 0; i < result->row_count; i++) {
        const struct fp_row *row = &result->rows[i];

        if (!is_of(series, row))
            continue;
        if (value_of(chart, row) > 0 && is_inside(frame, row)) {
            (void)fprintf(file, "%s%.1f,%.1f", is_open ? " " : "<polyline points=\"",
                          x_at(frame, (double)row->key.size), y_at(frame, value_of(chart, row)));
            is_open = true;
        } else if (is_open) {
            (void)fprintf(file, "\"/>\n");
            is_open = false;
        }
    }
    if (is_open)
        (void)fprintf(file, "\"/>\n");
}

static void draw_series(FILE *file, const struct fp_chart *chart, const struct frame *frame,
                        const struct series *series)
{
    if (series->name)
        (void)fprintf(file, "<g class=\"limit\">\n");
    else
        (void)fprintf(file, "<g class=\"s%u\">\n", series->colour % COLOURS);
    draw_line(file, chart, frame, series);
    for (uint32_t i = 0; i < series->result->row_count; i++) {
        const struct fp_row *row = &series->result->rows[i];

        if (!is_of(series, row) || value_of(chart, row) <= 0)
            continue;
        if (row->key.size == 0)
            draw_level(file, frame, series, value_of(chart, row));
        else if (is_inside(frame, row))
            draw_point(file, chart, frame, series, row);
    }
    (void)fprintf(file, "</g>\n");
}

/* Names of limits stand at their lines' right ends, each in a place of its own. */
static void draw_limit_names(FILE *file, const struct fp_chart *chart, const struct frame *frame,
                             const struct series *all, uint32_t count)
{
    double last_y = -100;

    for (uint32_t s = 0; s < count && all[s].name; s++) {
        double value = 0, y;

        for (uint32_t i = 0; i < all[s].result->row_count; i++) {
            const struct fp_row *row = &all[s].result->rows[i];

            if (is_of(&all[s], row) && value_of(chart, row) > 0 &&
                (row->key.size == 0 || is_inside(frame, row)))
                value = value_of(chart, row);
        }
        if (value <= 0)
            continue;
        y = y_at(frame, value) - 5;
        if (fabs(y - last_y) < 11)
            y = last_y + (y >= last_y ? 11 : -11);
        last_y = y;
        (void)fprintf(file, "<text class=\"limitname\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
                      FP_CHART_WIDTH - RIGHT - 2, y);
        fp_escape(file, all[s].name);
        (void)fprintf(file, "</text>\n");
    }
}

void fp_chart_draw(FILE *file, const struct fp_chart *chart, const struct fp_result *results,
                   uint32_t count, bool is_inner)
{
    struct series all[SERIES_MAX];
    const uint32_t found = find_series(chart, results, count, all);
    const struct frame frame = find_frame(chart, all, found);
    char title[FP_TITLE_BYTES];

    if (!is_inner) {
        (void)fprintf(
            file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 %d %d\" "
            "role=\"img\" aria-label=\"",
            FP_CHART_WIDTH, FP_CHART_HEIGHT);
        fp_escape(file, fp_title(&chart->key, title));
        (void)fprintf(file, "\">\n");
    }
    (void)fprintf(file, "<text class=\"title\" x=\"%d\" y=\"18\">%s</text>\n", LEFT - 40,
                  fp_short_title(&chart->key, title));
    (void)fprintf(file, "<text class=\"tick\" x=\"%d\" y=\"18\" text-anchor=\"end\">%s</text>\n",
                  FP_CHART_WIDTH - RIGHT,
                  chart->is_time                      ? "us, cudaMemcpy"
                  : chart->key.call == FP_CALL_KERNEL ? "MB/s, by a kernel"
                                                      : "MB/s, cudaMemcpyAsync");
    draw_y_axis(file, &frame);
    draw_x_axis(file, &frame);
    for (uint32_t s = 0; s < found; s++)
        draw_series(file, chart, &frame, &all[s]);
    draw_limit_names(file, chart, &frame, all, found);
    if (!is_inner)
        (void)fprintf(file, "</svg>\n");
}

static void style_colours(FILE *file, const char *const *list, const char *ink, const char *weak,
                          const char *grid)
{
    for (int i = 0; i < COLOURS; i++)
        (void)fprintf(file, ".s%d polyline,.s%d line{stroke:%s}\n.s%d circle{fill:%s}\n", i, i,
                      list[i], i, list[i]);
    (void)fprintf(file,
                  ".limit polyline,.limit line{stroke:%s}\n.title{fill:%s}\n"
                  ".tick,.limitname{fill:%s}\n.grid,.fine{stroke:%s}\n",
                  weak, ink, weak, grid);
}

void fp_chart_style(FILE *file, bool is_dark_known)
{
    (void)fputs(
        "svg text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\n"
        ".title{font-size:13px;font-weight:600}\n.tick{font-size:11px}\n"
        ".limitname{font-size:10px;font-style:italic}\n"
        ".grid{stroke-width:.8}\n.fine{stroke-width:.8;opacity:.45}\n"
        "polyline{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
        "[class^=s] line{stroke-width:1.2;opacity:.7}\n"
        ".limit polyline,.limit line{stroke-dasharray:5 4;stroke-width:1.2}\n"
        ".limit circle{opacity:0}\n",
        file);
    style_colours(file, colours, "#20242b", "#667080", "#e1e5ea");
    if (!is_dark_known)
        return;
    (void)fputs("@media (prefers-color-scheme:dark){\n", file);
    style_colours(file, dark_colours, "#e8eaee", "#98a1af", "#30363f");
    (void)fputs("}\n", file);
}
